/* jsondiff.c: partial updates of JSON columns (binlog_row_value_options=PARTIAL_JSON). The value before becomes a tree
 * whose leaves still point into its bytes, every diff edits the tree, the tree is printed. Called by the rows of
 * event 39. */
#include "jsonb.h"
#include "wire.h"

typedef struct node node;
struct node {
    bool box, object;
    my_json leaf;
    wb_str *keys; /* object */
    node **items;
    uint32_t count, cap;
};

typedef struct edit {
    wb_arena *a;
    const char *why; /* the first thing that did not fit */
    size_t left;     /* nodes that may still be made: values that point at themselves end here */
} edit;

enum { DIFF_REPLACE, DIFF_INSERT, DIFF_REMOVE };

static void *fail(edit *e, const char *why)
{
    if (!e->why) e->why = why;
    return NULL;
}

static bool make_room(edit *e, node *n, uint32_t cap)
{
    if (cap <= n->cap) return true;
    cap = WB_MAX(cap, n->cap * 2);
    node **items = wb_arena_alloc(e->a, cap * sizeof *items);
    wb_str *keys = n->object ? wb_arena_alloc(e->a, cap * sizeof *keys) : NULL;
    if (e->a->failed) return fail(e, "there is no memory") != NULL;
    if (n->count) memcpy(items, n->items, n->count * sizeof *items);
    if (n->count && keys) memcpy(keys, n->keys, n->count * sizeof *keys);
    n->items = items;
    n->keys = keys;
    n->cap = cap;
    return true;
}

static node *make_tree(edit *e, const my_json *v, unsigned depth)
{
    my_json_box b;
    if (e->left == 0 || depth > MY_JSON_DEPTH) return fail(e, "a JSON value is damaged");
    e->left--;
    node *n = wb_arena_zalloc(e->a, sizeof *n);
    if (e->a->failed) return fail(e, "there is no memory");
    n->leaf = *v;
    if (!my_json_is_box(v)) return n;
    if (!my_json_unbox(v, &b)) return fail(e, "a JSON value is damaged");
    n->box = true;
    n->object = b.object;
    if (b.count > e->left) return fail(e, "a JSON value is damaged");
    if (!make_room(e, n, b.count)) return NULL;
    for (uint32_t i = 0; i < b.count; i++) {
        my_json item;
        if ((b.object && !my_json_key(&b, i, &n->keys[i])) || !my_json_item(&b, i, &item))
            return fail(e, "a JSON value is damaged");
        if (!(n->items[i] = make_tree(e, &item, depth + 1))) return NULL;
        n->count++;
    }
    return n;
}

static node *tree_of(edit *e, const void *p, size_t len)
{
    my_json v;
    e->left = len + 1; /* every value takes at least a byte */
    return my_json_open(p, len, &v) ? make_tree(e, &v, 1) : fail(e, "a JSON value is damaged");
}

/* ---------------------------------------------------------------- paths */

/* One leg: .key, ."key", [index]. */
typedef struct leg {
    bool index;
    uint64_t at;
    wb_str key;
} leg;

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i], low = (char)(c | 0x20);
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (uint32_t)(low - 'a' + 10);
        else
            return UINT32_MAX;
    }
    return v;
}

static char *put_unicode(char *q, uint32_t u)
{
    if (u < 0x80) {
        *q++ = (char)u;
    } else if (u < 0x800) {
        *q++ = (char)(0xC0 | u >> 6);
        *q++ = (char)(0x80 | (u & 63));
    } else {
        *q++ = (char)(0xE0 | u >> 12);
        *q++ = (char)(0x80 | (u >> 6 & 63));
        *q++ = (char)(0x80 | (u & 63));
    }
    return q;
}

/* A key in quotes at *p, behind the first one; escapes as in JSON. */
static bool read_quoted(edit *e, const char **p, const char *end, wb_str *out)
{
    static const char shorts[] = "b\bt\tn\nf\fr\r\"\"\\\\//";
    char *text = wb_arena_alloc(e->a, (size_t)(end - *p) + 1), *q = text;
    if (e->a->failed) return false;
    for (; *p < end && **p != '"'; (*p)++) {
        if (**p != '\\') {
            *q++ = **p;
            continue;
        }
        if (++*p == end) return false;
        if (**p == 'u') {
            uint32_t u = end - *p > 4 ? hex4(*p + 1) : UINT32_MAX;
            if (u == UINT32_MAX) return false;
            q = put_unicode(q, u);
            *p += 4;
            continue;
        }
        size_t i = 0;
        while (i + 1 < sizeof shorts && shorts[i] != **p) i += 2;
        if (i + 1 >= sizeof shorts) return false;
        *q++ = shorts[i + 1];
    }
    if (*p == end) return false;
    (*p)++;
    *out = (wb_str){text, (size_t)(q - text)};
    return true;
}

static bool read_leg(edit *e, const char **p, const char *end, leg *out)
{
    memset(out, 0, sizeof *out);
    if (**p == '[') {
        const char *digit = ++*p;
        for (; *p < end && **p >= '0' && **p <= '9' && *p - digit < 10; (*p)++)
            out->at = out->at * 10 + (uint64_t)(**p - '0');
        out->index = true;
        return *p > digit && *p < end && *(*p)++ == ']';
    }
    if (**p != '.' || ++*p == end) return false;
    if (**p == '"') {
        (*p)++;
        return read_quoted(e, p, end, &out->key);
    }
    const char *start = *p;
    while (*p < end && **p != '.' && **p != '[') (*p)++;
    out->key = (wb_str){start, (size_t)(*p - start)};
    return *p > start;
}

/* The server's order of keys: by length, then by bytes. Returns the place; *found: it is there. */
static uint32_t find_key(const node *n, wb_str key, bool *found)
{
    uint32_t i = 0;
    *found = false;
    for (; i < n->count; i++) {
        wb_str k = n->keys[i];
        int c = k.len != key.len ? (k.len < key.len ? -1 : 1) : key.len ? memcmp(k.ptr, key.ptr, key.len) : 0;
        *found = c == 0;
        if (c >= 0) break;
    }
    return i;
}

/* The place of a leg in its parent. An index into what is no array means the value itself, as [0] of a list of one. */
static bool find_leg(const node *n, const leg *l, uint32_t *at)
{
    bool found = false;
    if (!n->box || n->object == l->index) return false;
    if (!l->index) {
        *at = find_key(n, l->key, &found);
        return found;
    }
    *at = l->at < n->count ? (uint32_t)l->at : n->count;
    return *at < n->count;
}

/* ---------------------------------------------------------------- one diff */

static bool put_in(edit *e, node *parent, const leg *l, node *value)
{
    bool found = false;
    if (!parent->box || parent->object == l->index)
        return fail(e, "a JSON diff inserts where there is no list") != NULL;
    uint32_t at = l->index ? (uint32_t)WB_MIN(l->at, parent->count) : find_key(parent, l->key, &found);
    if (found) {
        parent->items[at] = value;
        return true;
    }
    if (!make_room(e, parent, parent->count + 1)) return false;
    memmove(parent->items + at + 1, parent->items + at, (parent->count - at) * sizeof *parent->items);
    parent->items[at] = value;
    if (parent->object) {
        memmove(parent->keys + at + 1, parent->keys + at, (parent->count - at) * sizeof *parent->keys);
        parent->keys[at] = l->key;
    }
    parent->count++;
    return true;
}

static void take_out(node *parent, uint32_t at)
{
    parent->count--;
    memmove(parent->items + at, parent->items + at + 1, (parent->count - at) * sizeof *parent->items);
    if (parent->object) memmove(parent->keys + at, parent->keys + at + 1, (parent->count - at) * sizeof *parent->keys);
}

static bool apply_one(edit *e, node **root, uint8_t op, wb_str path, node *value)
{
    const char *p = path.ptr, *end = path.ptr + path.len;
    leg l;
    uint32_t at;
    if (p == end || *p++ != '$') return fail(e, "the path of a JSON diff is damaged") != NULL;
    if (p == end) {
        if (op != DIFF_REPLACE) return fail(e, "a JSON diff has no path") != NULL;
        *root = value;
        return true;
    }
    for (node *n = *root;;) {
        if (!read_leg(e, &p, end, &l)) return fail(e, "the path of a JSON diff is damaged") != NULL;
        if (p == end && op == DIFF_INSERT) return put_in(e, n, &l, value);
        if (!find_leg(n, &l, &at)) return fail(e, "a JSON diff leads to what the value before does not have") != NULL;
        if (p == end && op == DIFF_REMOVE) {
            take_out(n, at);
            return true;
        }
        if (p == end) {
            n->items[at] = value;
            return true;
        }
        n = n->items[at];
    }
}

/* ---------------------------------------------------------------- all */

static bool put_tree(const node *n, unsigned depth, wb_out *o)
{
    if (!n->box) return my_json_put(&n->leaf, depth, o);
    if (depth > MY_JSON_DEPTH) return false;
    wb_out_byte(o, n->object ? '{' : '[');
    for (uint32_t i = 0; i < n->count; i++) {
        if (i) wb_out_put(o, ", ", 2);
        if (n->object) {
            if (!my_json_put_string(o, n->keys[i])) return false;
            wb_out_put(o, ": ", 2);
        }
        if (!put_tree(n->items[i], depth + 1, o)) return false;
    }
    wb_out_byte(o, n->object ? '}' : ']');
    return !o->failed;
}

const char *my_json_apply(const void *before, size_t n, const void *diffs, size_t m, wb_arena *a, wb_out *o)
{
    edit e = {.a = a};
    wb_rd r = wb_rd_of(diffs, m);
    node *root = tree_of(&e, before, n);
    while (root && wb_rd_left(&r) > 0) {
        uint8_t op = wb_rd_u8(&r);
        wb_str path = my_rd_lenenc_str(&r), value = {"", 0};
        if (op != DIFF_REMOVE) value = my_rd_lenenc_str(&r);
        if (r.failed || op > DIFF_REMOVE) return "a JSON diff is damaged";
        node *made = op == DIFF_REMOVE ? NULL : tree_of(&e, value.ptr, value.len);
        if (op != DIFF_REMOVE && !made) break;
        if (!apply_one(&e, &root, op, path, made)) break;
    }
    if (!e.why && root && !put_tree(root, 1, o)) e.why = o->failed ? "there is no memory" : "a JSON value is damaged";
    return e.why;
}

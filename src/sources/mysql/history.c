/* history.c: versions of tables, each with the transaction from which on it holds, so that yesterday's rows are read
 * with yesterday's columns. Pure; schema_track.c fills it and keeps it in the state. */
#include "my.h"

typedef struct version {
    uint64_t seq;
    wb_arena arena; /* everything below */
    wb_str schema, name;
    wb_pos at; /* len 0: from the beginning */
    my_known known;
    bool has_shape;
    my_schema shape;
} version;

struct my_history {
    version **all; /* by seq, ascending */
    size_t n, cap;
    uint64_t last;
};

my_history *my_history_new(void) { return calloc(1, sizeof(my_history)); }

static void version_free(version *v)
{
    wb_arena_fini(&v->arena);
    free(v);
}

void my_history_free(my_history *h)
{
    if (!h) return;
    for (size_t i = 0; i < h->n; i++) version_free(h->all[i]);
    free(h->all);
    free(h);
}

static wb_str keep(wb_arena *a, wb_str s) { return (wb_str){wb_arena_strndup(a, s.len ? s.ptr : "", s.len), s.len}; }

static void keep_shape(wb_arena *a, const my_schema *from, my_schema *to)
{
    *to = *from;
    to->schema = keep(a, from->schema);
    to->name = keep(a, from->name);
    my_schema_col *cols = wb_arena_alloc(a, (from->ncols + 1) * sizeof *cols);
    uint16_t *key = wb_arena_alloc(a, (from->nkey + 1) * sizeof *key);
    if (!cols || !key) {
        a->failed = true;
        return;
    }
    for (uint32_t i = 0; i < from->ncols && !a->failed; i++) {
        cols[i] = from->cols[i];
        cols[i].name = keep(a, from->cols[i].name);
        cols[i].type = keep(a, from->cols[i].type);
        cols[i].charset = keep(a, from->cols[i].charset);
    }
    if (from->nkey) memcpy(key, from->key, from->nkey * sizeof *key);
    to->cols = cols;
    to->key = key;
}

static version *version_new(void)
{
    version *v = calloc(1, sizeof *v);
    if (v) wb_arena_init(&v->arena, 2048, 0);
    return v;
}

/* In its place by seq; takes it. */
static bool put(my_history *h, version *v)
{
    if (v->arena.failed) {
        version_free(v);
        return false;
    }
    if (h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 64;
        version **bigger = realloc(h->all, cap * sizeof *bigger);
        if (!bigger) {
            version_free(v);
            return false;
        }
        h->all = bigger;
        h->cap = cap;
    }
    size_t i = h->n++;
    for (; i && h->all[i - 1]->seq > v->seq; i--) h->all[i] = h->all[i - 1];
    h->all[i] = v;
    h->last = WB_MAX(h->last, v->seq);
    return true;
}

bool my_history_add(my_history *h, wb_str schema, wb_str name, wb_pos at, my_known known, const my_schema *shape,
                    uint64_t *seq)
{
    version *v = version_new();
    if (!v) return false;
    v->seq = *seq = h->last + 1;
    v->schema = keep(&v->arena, schema);
    v->name = keep(&v->arena, name);
    wb_str bytes = keep(&v->arena, (wb_str){at.ptr, at.len});
    v->at = (wb_pos){bytes.ptr, bytes.len};
    v->known = known;
    v->has_shape = shape && shape->ncols;
    if (v->has_shape) keep_shape(&v->arena, shape, &v->shape);
    return put(h, v);
}

static bool is_of(const version *v, wb_str schema, wb_str name)
{
    return wb_str_eq(v->schema, schema) && wb_str_eq(v->name, name);
}

static bool same_pos(wb_pos a, wb_pos b) { return a.len == b.len && a.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

my_known my_history_find(const my_history *h, wb_str schema, wb_str name, wb_pos have, wb_pos at, const my_schema **out)
{
    *out = NULL;
    for (size_t i = h->n; i-- > 0;) {
        const version *v = h->all[i];
        if (!is_of(v, schema, name)) continue;
        if (v->at.len && !same_pos(v->at, at) && !my_pos_has(have, v->at)) continue;
        if (v->has_shape) *out = &v->shape;
        return v->known;
    }
    return MY_NOT_KNOWN;
}

bool my_history_has(const my_history *h, wb_str schema, wb_str name, wb_pos at)
{
    for (size_t i = h->n; i-- > 0;)
        if (is_of(h->all[i], schema, name) && same_pos(h->all[i]->at, at)) return true;
    return false;
}

bool my_history_knows(const my_history *h, wb_str schema, wb_str name)
{
    for (size_t i = h->n; i-- > 0;)
        if (is_of(h->all[i], schema, name)) return h->all[i]->has_shape;
    return false;
}

bool my_history_met(const my_history *h, wb_pos at)
{
    for (size_t i = h->n; i-- > 0;)
        if (same_pos(h->all[i]->at, at)) return true;
    return false;
}

/* A version is of no use once a later one of its table is in the settled position as well. */
static bool is_passed(const my_history *h, size_t i, wb_pos settled)
{
    for (size_t k = i + 1; k < h->n; k++)
        if (is_of(h->all[k], h->all[i]->schema, h->all[i]->name))
            return !h->all[k]->at.len || my_pos_has(settled, h->all[k]->at);
    return h->all[i]->known == MY_GONE && h->all[i]->at.len && my_pos_has(settled, h->all[i]->at);
}

void my_history_forget(my_history *h, wb_pos settled, void (*gone)(void *arg, uint64_t seq), void *arg)
{
    for (size_t i = 0; i < h->n;) {
        if (!is_passed(h, i, settled)) {
            i++;
            continue;
        }
        version *v = h->all[i];
        gone(arg, v->seq);
        memmove(h->all + i, h->all + i + 1, (h->n - i - 1) * sizeof(version *));
        h->n--;
        version_free(v);
    }
}

void my_history_tables(const my_history *h, void (*each)(void *arg, wb_str schema, wb_str name), void *arg)
{
    for (size_t i = 0; i < h->n; i++) {
        bool later = false;
        for (size_t k = i + 1; k < h->n && !later; k++) later = is_of(h->all[k], h->all[i]->schema, h->all[i]->name);
        if (!later && h->all[i]->known != MY_GONE) each(arg, h->all[i]->schema, h->all[i]->name);
    }
}

/* ---------------------------------------------------------------- for the state: lines of text, lengths before strings
 */

static void put_str(wb_out *o, wb_str s)
{
    wb_out_printf(o, "%zu:", s.len);
    wb_out_str(o, s);
}

static void put_hex(wb_out *o, wb_pos p)
{
    const uint8_t *q = p.ptr;
    wb_out_printf(o, "%zu:", p.len * 2);
    for (size_t i = 0; i < p.len; i++) wb_out_printf(o, "%02x", q[i]);
}

bool my_history_encode(const my_history *h, uint64_t seq, wb_out *o)
{
    for (size_t i = 0; i < h->n; i++) {
        const version *v = h->all[i];
        if (v->seq != seq) continue;
        wb_out_printf(o, "1 %d ", (int)v->known);
        put_str(o, v->schema);
        put_str(o, v->name);
        put_hex(o, v->at);
        wb_out_printf(o, "%u %d ", v->has_shape ? v->shape.ncols : 0, v->has_shape ? (int)v->shape.engine : 0);
        for (uint32_t k = 0; v->has_shape && k < v->shape.ncols; k++) {
            const my_schema_col *c = &v->shape.cols[k];
            put_str(o, c->name);
            put_str(o, c->type);
            put_str(o, c->charset);
            wb_out_printf(o, "%u %u ", c->flags, c->srid);
        }
        wb_out_printf(o, "%u ", v->has_shape ? v->shape.nkey : 0);
        for (uint32_t k = 0; v->has_shape && k < v->shape.nkey; k++) wb_out_printf(o, "%u ", v->shape.key[k]);
        return !o->failed;
    }
    return false;
}

typedef struct text {
    const char *p, *end;
    bool bad;
} text;

static uint64_t get_number(text *t, char after)
{
    uint64_t v = 0;
    size_t digits = 0;
    for (; t->p < t->end && *t->p >= '0' && *t->p <= '9' && digits < 18; t->p++, digits++)
        v = v * 10 + (uint64_t)(*t->p - '0');
    if (!digits || t->p == t->end || *t->p++ != after) t->bad = true;
    return t->bad ? 0 : v;
}

static wb_str get_str(text *t, wb_arena *a)
{
    uint64_t n = get_number(t, ':');
    if (t->bad || n > (uint64_t)(t->end - t->p)) {
        t->bad = true;
        return (wb_str){"", 0};
    }
    const char *from = t->p;
    t->p += n;
    return keep(a, (wb_str){from, n});
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static wb_pos get_hex(text *t, wb_arena *a)
{
    wb_str s = get_str(t, a);
    uint8_t *out = wb_arena_alloc(a, s.len / 2 + 1);
    if (s.len % 2 || !out) t->bad = true;
    for (size_t i = 0; !t->bad && i < s.len / 2; i++) {
        int hi = digit(s.ptr[2 * i]), lo = digit(s.ptr[2 * i + 1]);
        if (hi < 0 || lo < 0)
            t->bad = true;
        else
            out[i] = (uint8_t)(hi * 16 + lo);
    }
    return t->bad ? (wb_pos){NULL, 0} : (wb_pos){out, s.len / 2};
}

static void get_shape(text *t, version *v)
{
    enum { COLUMNS = 4096 };
    my_schema *s = &v->shape;
    uint64_t n = get_number(t, ' ');
    s->engine = (my_engine)get_number(t, ' ');
    if (t->bad || n > COLUMNS || s->engine > MY_ENGINE_PLAIN) {
        t->bad = true;
        return;
    }
    my_schema_col *cols = wb_arena_zalloc(&v->arena, (n + 1) * sizeof *cols);
    for (uint64_t i = 0; cols && i < n && !t->bad; i++) {
        cols[i].name = get_str(t, &v->arena);
        cols[i].type = get_str(t, &v->arena);
        cols[i].charset = get_str(t, &v->arena);
        cols[i].flags = (uint8_t)get_number(t, ' ');
        cols[i].srid = (uint32_t)get_number(t, ' ');
    }
    uint64_t nkey = get_number(t, ' ');
    if (t->bad || !cols || nkey > n) {
        t->bad = true;
        return;
    }
    uint16_t *key = wb_arena_zalloc(&v->arena, (nkey + 1) * sizeof *key);
    for (uint64_t i = 0; key && i < nkey && !t->bad; i++) {
        uint64_t k = get_number(t, ' ');
        if (k >= n) t->bad = true;
        key[i] = (uint16_t)k;
    }
    s->schema = v->schema;
    s->name = v->name;
    s->ncols = (uint32_t)n;
    s->cols = cols;
    s->nkey = (uint32_t)nkey;
    s->key = key;
    v->has_shape = n > 0;
}

bool my_history_decode(my_history *h, uint64_t seq, wb_str in)
{
    text t = {in.ptr, in.ptr + in.len, false};
    version *v = version_new();
    if (!v) return false;
    v->seq = seq;
    if (get_number(&t, ' ') != 1) t.bad = true;
    uint64_t known = get_number(&t, ' ');
    if (known > MY_NOT_KNOWN) t.bad = true;
    v->known = (my_known)known;
    v->schema = get_str(&t, &v->arena);
    v->name = get_str(&t, &v->arena);
    v->at = get_hex(&t, &v->arena);
    if (!t.bad) get_shape(&t, v);
    if (t.bad || t.p != t.end) {
        version_free(v);
        return false;
    }
    return put(h, v);
}

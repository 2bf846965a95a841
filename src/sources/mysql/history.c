/* history.c: versions of tables, each with the transaction from which on it holds, so that yesterday's rows are read
 * with yesterday's columns. Pure; schema_track.c fills it and keeps it in the state. Tens of thousands of tables have
 * one version each: what is asked for one table does not look at the others. */
#include "history.h"

#include "position.h"

typedef struct version version;
struct version {
    uint64_t seq;
    wb_arena arena; /* everything below */
    wb_str schema, name;
    wb_pos at; /* len 0: from the beginning */
    my_known known;
    bool has_shape;
    my_schema shape;
    version *older, *newer; /* of the same table, by seq */
    version *next;          /* in its slot, of the newest ones */
};

struct my_history {
    version **all; /* by seq, ascending */
    size_t n, cap;
    version **slots; /* the newest of each table, by its name */
    size_t nslots, ntables, ngone;
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
    free(h->slots);
    free(h);
}

/* ---------------------------------------------------------------- by name */

static bool is_of(const version *v, wb_str schema, wb_str name)
{
    return wb_str_eq(v->schema, schema) && wb_str_eq(v->name, name);
}

/* Where the newest version of the table is linked from; *there NULL: none. */
static version **place_of(const my_history *h, wb_str schema, wb_str name)
{
    version **at = &h->slots[my_table_id(schema, name) & (h->nslots - 1)];
    while (*at && !is_of(*at, schema, name)) at = &(*at)->next;
    return at;
}

static const version *newest_of(const my_history *h, wb_str schema, wb_str name)
{
    return h->nslots ? *place_of(h, schema, name) : NULL;
}

static bool more_slots(my_history *h)
{
    size_t want = h->nslots ? h->nslots * 2 : 64;
    version **had = h->slots, **made = calloc(want, sizeof(version *));
    size_t n = h->nslots;
    if (!made) return false;
    h->slots = made;
    h->nslots = want;
    for (size_t i = 0; i < n; i++)
        for (version *v = had[i], *next; v; v = next) {
            version **at = &made[my_table_id(v->schema, v->name) & (want - 1)];
            next = v->next;
            v->next = *at;
            *at = v;
        }
    free(had);
    return true;
}

/* Among the versions of its table, by seq. */
static void link_version(my_history *h, version *v)
{
    version **at = place_of(h, v->schema, v->name), *newest = *at;
    if (!newest) h->ntables++;
    if (!newest || newest->seq < v->seq) {
        v->next = newest ? newest->next : NULL;
        v->older = newest;
        if (newest) newest->newer = v;
        *at = v;
        return;
    }
    while (newest->older && newest->older->seq > v->seq) newest = newest->older;
    v->newer = newest;
    v->older = newest->older;
    if (v->older) v->older->newer = v;
    newest->older = v;
}

static void unlink_version(my_history *h, version *v)
{
    if (v->older) v->older->newer = v->newer;
    if (v->newer) {
        v->newer->older = v->older;
        return;
    }
    version **at = place_of(h, v->schema, v->name);
    if (v->older) {
        v->older->next = v->next;
        *at = v->older;
    } else {
        *at = v->next;
        h->ntables--;
    }
}

/* ---------------------------------------------------------------- adding */

static wb_str keep(wb_arena *a, wb_str s) { return (wb_str){wb_arena_strndup(a, s.len ? s.ptr : "", s.len), s.len}; }

static void keep_shape(wb_arena *a, const my_schema *from, my_schema *to)
{
    *to = *from;
    to->schema = keep(a, from->schema);
    to->name = keep(a, from->name);
    to->index = (wb_str){NULL, 0};
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
        if (cols[i].default_sql.ptr) cols[i].default_sql = keep(a, from->cols[i].default_sql);
        cols[i].comment = keep(a, from->cols[i].comment);
        cols[i].extra = keep(a, from->cols[i].extra);
        cols[i].missing = keep(a, from->cols[i].missing);
    }
    if (from->nkey) memcpy(key, from->key, from->nkey * sizeof *key);
    to->cols = cols;
    to->key = key;
}

static version *version_new(void)
{
    version *v = calloc(1, sizeof *v);
    if (v) wb_arena_init(&v->arena, 1024, 0);
    return v;
}

/* In its place by seq; takes it. */
static bool put(my_history *h, version *v)
{
    bool fine = !v->arena.failed && (h->ntables < h->nslots || more_slots(h));
    if (fine && h->n == h->cap) {
        size_t cap = h->cap ? h->cap * 2 : 64;
        version **bigger = realloc(h->all, cap * sizeof(version *));
        fine = bigger != NULL;
        if (bigger) {
            h->all = bigger;
            h->cap = cap;
        }
    }
    if (!fine) {
        version_free(v);
        return false;
    }
    size_t i = h->n++;
    for (; i && h->all[i - 1]->seq > v->seq; i--) h->all[i] = h->all[i - 1];
    h->all[i] = v;
    h->last = WB_MAX(h->last, v->seq);
    h->ngone += v->known == MY_GONE;
    link_version(h, v);
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

/* ---------------------------------------------------------------- asking */

static bool same_pos(wb_pos a, wb_pos b) { return a.len == b.len && a.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

my_known my_history_find(const my_history *h, wb_str schema, wb_str name, wb_pos have, wb_pos at, const my_schema **out)
{
    *out = NULL;
    for (const version *v = newest_of(h, schema, name); v; v = v->older) {
        if (v->at.len && !same_pos(v->at, at) && !my_pos_has(have, v->at)) continue;
        if (v->has_shape) *out = &v->shape;
        return v->known;
    }
    return MY_NOT_KNOWN;
}

bool my_history_there(const my_history *h, wb_str schema, wb_str name, wb_pos have)
{
    for (const version *v = newest_of(h, schema, name); v; v = v->older)
        if (!v->at.len || my_pos_has(have, v->at)) return v->known != MY_GONE;
    return false;
}

bool my_history_has(const my_history *h, wb_str schema, wb_str name, wb_pos at)
{
    for (const version *v = newest_of(h, schema, name); v; v = v->older)
        if (same_pos(v->at, at)) return true;
    return false;
}

bool my_history_knows(const my_history *h, wb_str schema, wb_str name)
{
    const version *v = newest_of(h, schema, name);
    return v && v->has_shape;
}

bool my_history_met(const my_history *h, wb_pos at)
{
    for (size_t i = h->n; i-- > 0;)
        if (same_pos(h->all[i]->at, at)) return true;
    return false;
}

void my_history_tables(const my_history *h, void (*each)(void *arg, wb_str schema, wb_str name), void *arg)
{
    for (size_t i = 0; i < h->n; i++)
        if (!h->all[i]->newer && h->all[i]->known != MY_GONE) each(arg, h->all[i]->schema, h->all[i]->name);
}

void my_history_names(const my_history *h, void (*each)(void *arg, wb_str schema, wb_str name), void *arg)
{
    for (size_t i = 0; i < h->n; i++)
        if (!h->all[i]->newer) each(arg, h->all[i]->schema, h->all[i]->name);
}

uint64_t my_history_lineage(const my_history *h)
{
    my_pos p;
    for (size_t i = h->n; i-- > 0;)
        if (h->all[i]->at.len && my_at_read(h->all[i]->at, &p) && p.lineage) return p.lineage;
    return 0;
}

size_t my_history_size(const my_history *h) { return h->n; }

/* ---------------------------------------------------------------- forgetting */

/* A version is of no use once a later one of its table is in the settled position as well. */
static bool is_passed(const version *v, wb_pos settled)
{
    if (v->newer) return !v->newer->at.len || my_pos_has(settled, v->newer->at);
    return v->known == MY_GONE && v->at.len && my_pos_has(settled, v->at);
}

void my_history_forget(my_history *h, wb_pos settled, void (*gone)(void *arg, uint64_t seq), void *arg)
{
    size_t left = 0;
    if (h->n == h->ntables && !h->ngone) return; /* asked once a second */
    for (size_t i = 0; i < h->n; i++) {
        version *v = h->all[i];
        if (!is_passed(v, settled)) {
            h->all[left++] = v;
            continue;
        }
        gone(arg, v->seq);
        h->ngone -= v->known == MY_GONE;
        unlink_version(h, v);
        version_free(v);
    }
    h->n = left;
}

/* ---------------------------------------------------------------- for the state */

enum { FORM = 3 };

static const version *by_seq(const my_history *h, uint64_t seq)
{
    size_t lo = 0, hi = h->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (h->all[mid]->seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < h->n && h->all[lo]->seq == seq ? h->all[lo] : NULL;
}

static void put_col(wb_out *o, const my_schema_col *c)
{
    wb_out_lstr(o, c->name);
    wb_out_lstr(o, c->type);
    wb_out_lstr(o, c->charset);
    wb_out_be32(o, c->srid);
    wb_out_byte(o, (char)c->flags);
    wb_out_byte(o, c->default_sql.ptr != NULL);
    wb_out_lstr(o, c->default_sql);
    wb_out_lstr(o, c->comment);
    wb_out_lstr(o, c->extra);
    wb_out_byte(o, (char)c->missing_kind);
    wb_out_lstr(o, c->missing);
}

bool my_history_encode(const my_history *h, uint64_t seq, wb_out *o)
{
    const version *v = by_seq(h, seq);
    if (!v) return false;
    wb_out_byte(o, FORM);
    wb_out_byte(o, (char)v->known);
    wb_out_lstr(o, v->schema);
    wb_out_lstr(o, v->name);
    wb_out_lstr(o, (wb_str){v->at.ptr, v->at.len});
    wb_out_byte(o, (char)(v->has_shape ? v->shape.engine : MY_ENGINE_UNKNOWN));
    wb_out_be16(o, (uint16_t)(v->has_shape ? v->shape.ncols : 0));
    for (uint32_t k = 0; v->has_shape && k < v->shape.ncols; k++) put_col(o, &v->shape.cols[k]);
    wb_out_be16(o, (uint16_t)(v->has_shape ? v->shape.nkey : 0));
    for (uint32_t k = 0; v->has_shape && k < v->shape.nkey; k++) wb_out_be16(o, v->shape.key[k]);
    return !o->failed;
}

static wb_str get_str(wb_rd *r, wb_arena *a) { return keep(a, wb_rd_lstr(r)); }

static void get_col(wb_rd *r, wb_arena *a, my_schema_col *c)
{
    c->name = get_str(r, a);
    c->type = get_str(r, a);
    c->charset = get_str(r, a);
    c->srid = wb_rd_be32(r);
    c->flags = wb_rd_u8(r);
    bool has_default = wb_rd_u8(r) != 0;
    c->default_sql = get_str(r, a);
    if (!has_default) c->default_sql = (wb_str){NULL, 0};
    c->comment = get_str(r, a);
    c->extra = get_str(r, a);
    c->missing_kind = wb_rd_u8(r);
    c->missing = get_str(r, a);
    if (c->missing_kind >= WB_KINDS) r->failed = true;
}

static void get_shape(wb_rd *r, version *v)
{
    my_schema *s = &v->shape;
    uint8_t engine = wb_rd_u8(r);
    uint32_t n = wb_rd_be16(r);
    my_schema_col *cols = wb_arena_zalloc(&v->arena, (n + 1) * sizeof *cols);
    for (uint32_t i = 0; cols && i < n && !r->failed; i++) get_col(r, &v->arena, &cols[i]);
    uint32_t nkey = wb_rd_be16(r);
    uint16_t *key = wb_arena_zalloc(&v->arena, (nkey + 1) * sizeof *key);
    if (!cols || !key || nkey > n || engine > MY_ENGINE_PLAIN) r->failed = true;
    for (uint32_t i = 0; i < nkey && !r->failed; i++) {
        key[i] = wb_rd_be16(r);
        if (key[i] >= n) r->failed = true;
    }
    *s = (my_schema){.schema = v->schema,
                     .name = v->name,
                     .ncols = n,
                     .cols = cols,
                     .nkey = nkey,
                     .key = key,
                     .engine = (my_engine)engine};
    v->has_shape = n > 0;
}

bool my_history_decode(my_history *h, uint64_t seq, wb_str in)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    version *v = version_new();
    if (!v) return false;
    v->seq = seq;
    if (wb_rd_u8(&r) != FORM) r.failed = true;
    uint8_t known = wb_rd_u8(&r);
    if (known > MY_NOT_KNOWN) r.failed = true;
    v->known = (my_known)known;
    v->schema = get_str(&r, &v->arena);
    v->name = get_str(&r, &v->arena);
    wb_str at = get_str(&r, &v->arena);
    v->at = (wb_pos){at.ptr, at.len};
    if (!r.failed) get_shape(&r, v);
    if (r.failed || wb_rd_left(&r)) {
        version_free(v);
        return false;
    }
    return put(h, v);
}

void my_history_load(void *loading, const char *key, wb_str value)
{
    my_history_loading *l = loading;
    char *end;
    uint64_t seq = strtoull(key + sizeof MY_HISTORY_FAMILY - 1, &end, 10);
    if (*end || !seq || !my_history_decode(l->h, seq, value)) l->bad = true;
}

/* wire_relation.c: the relation cache: which version of which table the next row belongs to, and the versions that a
 * streamed transaction brings, which count only from its commit on. Called by wire.c and wire_row.c. */
#include "decoder.h"

#include "types.h"

/* ---------------------------------------------------------------- the map */

static size_t slot_of(uint32_t oid, size_t cap)
{
    uint64_t h = (uint64_t)oid * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 32) & (cap - 1);
}

static pg_rel *map_get(const pg_rel_map *m, uint32_t oid)
{
    if (m->cap == 0) return NULL;
    for (size_t i = slot_of(oid, m->cap); m->slots[i]; i = (i + 1) & (m->cap - 1))
        if (m->slots[i]->oid == oid) return m->slots[i];
    return NULL;
}

static bool map_grow(pg_rel_map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 64;
    pg_rel **slots = calloc(cap, sizeof *slots);
    if (!slots) return false;
    for (size_t k = 0; k < m->cap; k++) {
        if (!m->slots[k]) continue;
        size_t i = slot_of(m->slots[k]->oid, cap);
        while (slots[i]) i = (i + 1) & (cap - 1);
        slots[i] = m->slots[k];
    }
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return true;
}

static void rel_free(pg_rel *rel)
{
    wb_table_unref(rel->table);
    free(rel);
}

/* Takes rel, also when there is no memory. */
static bool map_put(pg_rel_map *m, pg_rel *rel)
{
    if (m->used >= m->cap / 2 && !map_grow(m)) {
        rel_free(rel);
        return false;
    }
    size_t i = slot_of(rel->oid, m->cap);
    while (m->slots[i] && m->slots[i]->oid != rel->oid) i = (i + 1) & (m->cap - 1);
    if (m->slots[i]) {
        rel_free(m->slots[i]);
    } else {
        m->used++;
    }
    m->slots[i] = rel;
    return true;
}

void pg_rel_map_clear(pg_rel_map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i]) rel_free(m->slots[i]);
    free(m->slots);
    *m = (pg_rel_map){0};
}

/* ---------------------------------------------------------------- lookups and replays */

static pg_rel *find_any(const pg_decoder *d, uint32_t oid)
{
    pg_rel *rel = d->replaying ? map_get(&d->overlay, oid) : NULL;
    return rel ? rel : map_get(&d->base, oid);
}

const pg_rel *pg_rel_find_slow(pg_decoder *d, uint32_t oid)
{
    const pg_rel *rel = find_any(d, oid);
    if (rel) d->last = rel;
    return rel;
}

const wb_table *pg_decoder_table(const pg_decoder *d, uint32_t oid)
{
    const pg_rel *rel = find_any(d, oid);
    return rel ? rel->table : NULL;
}

void pg_decoder_replay_begin(pg_decoder *d)
{
    d->replaying = d->in_stream = true;
    d->seq = 0;
    d->last = NULL;
}

wb_code pg_decoder_replay_end(pg_decoder *d, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < d->overlay.cap; i++) {
        pg_rel *rel = d->overlay.slots[i];
        d->overlay.slots[i] = NULL;
        if (!rel) continue;
        const pg_rel *have = map_get(&d->base, rel->oid);
        if (have && have->seq >= rel->seq) {
            rel_free(rel);
        } else if (!map_put(&d->base, rel)) {
            code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the relation cache.");
        }
    }
    d->overlay.used = 0;
    d->replaying = d->in_stream = false;
    d->last = NULL;
    return code;
}

/* ---------------------------------------------------------------- the Relation message */

static wb_code read_columns(pg_decoder *d, pg_msg *m, uint32_t n, wb_error *err)
{
    enum { SMALLEST = 1 + 1 + 4 + 4 };
    if (n * (size_t)SMALLEST > wb_rd_left(&m->rd)) return pg_msg_bad(m, err, "it ends too early");
    if (n > d->cap_cols) {
        pg_rel_col *cols = realloc(d->cols, n * sizeof *cols);
        if (!cols) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a table of %u columns.", n);
        d->cols = cols;
        d->cap_cols = n;
    }
    for (uint32_t i = 0; i < n; i++) {
        pg_rel_col *c = &d->cols[i];
        c->identity = wb_rd_u8(&m->rd) & 1;
        c->name = wb_rd_cstr(&m->rd);
        c->type_oid = wb_rd_be32(&m->rd);
        c->type_mod = (int32_t)wb_rd_be32(&m->rd);
    }
    return pg_msg_end(m, err);
}

static wb_code read_relation(pg_decoder *d, pg_msg *m, pg_relation *r, wb_error *err)
{
    r->oid = wb_rd_be32(&m->rd);
    r->schema = wb_rd_cstr(&m->rd);
    r->name = wb_rd_cstr(&m->rd);
    r->identity = (char)wb_rd_u8(&m->rd);
    r->ncols = wb_rd_be16(&m->rd);
    if (m->rd.failed) return pg_msg_end(m, err);
    if (r->oid == 0) return pg_msg_bad(m, err, "a relation cannot have the OID 0");
    if (!r->identity || !strchr("dnfi", r->identity))
        return pg_msg_bad(m, err, "its replica identity 0x%02x is unknown", (uint8_t)r->identity);
    if (r->schema.len == 0) r->schema = WB_STR("pg_catalog");
    wb_code code = read_columns(d, m, r->ncols, err);
    r->cols = d->cols;
    return code;
}

/* Takes the reference on the table, also when there is no memory. */
static pg_rel *rel_new(uint32_t oid, const wb_table *t, const uint8_t *body, size_t n)
{
    pg_rel *rel = malloc(sizeof *rel + t->ncols + n);
    if (!rel) {
        wb_table_unref(t);
        return NULL;
    }
    uint8_t *kinds = (uint8_t *)(rel + 1), *copy = kinds + t->ncols;
    for (uint32_t i = 0; i < t->ncols; i++) kinds[i] = t->cols[i].kind;
    memcpy(copy, body, n);
    *rel = (pg_rel){.oid = oid, .ncols = t->ncols, .table = t, .kinds = kinds, .body = copy, .body_len = n};
    return rel;
}

/* Ask the hook for the table of r, and see that its columns are those of the message. */
static const wb_table *ask_table(pg_decoder *d, const pg_relation *r, wb_error *err)
{
    const wb_table *t = d->fn(d->arg, r, err);
    if (!t) {
        wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the description of table %.*s.%.*s.",
                (int)r->schema.len, r->schema.ptr, (int)r->name.len, r->name.ptr);
        return NULL;
    }
    if (t->ncols == r->ncols) return t;
    wb_fail(err, WB_E_INTERNAL, WB_NEVER,
            "Table %.*s.%.*s has %u columns in the stream and %u in our description of it.", (int)r->schema.len,
            r->schema.ptr, (int)r->name.len, r->name.ptr, r->ncols, t->ncols);
    wb_table_unref(t);
    return NULL;
}

wb_code pg_rel_read(pg_decoder *d, pg_msg *m, wb_error *err)
{
    wb_error own;
    pg_relation r = {0};
    const uint8_t *body = m->rd.p;
    size_t n = wb_rd_left(&m->rd);
    wb_error_reset(&own);
    if (!err) err = &own;
    wb_code code = read_relation(d, m, &r, err);
    if (code != WB_OK) return code;
    pg_rel *have = find_any(d, r.oid);
    bool same = have && have->body_len == n && memcmp(have->body, body, n) == 0;
    pg_rel_map *map = d->replaying ? &d->overlay : &d->base;
    if (same && map_get(map, r.oid) == have) {
        have->seq = d->seq;
        return WB_OK;
    }
    const wb_table *t = same ? wb_table_ref(have->table) : ask_table(d, &r, err);
    if (!t) return err->code;
    pg_rel *rel = rel_new(r.oid, t, body, n);
    if (rel) rel->seq = d->seq;
    d->last = NULL;
    if (!rel || !map_put(map, rel))
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the relation cache.");
    return WB_OK;
}

/* ---------------------------------------------------------------- a table from the message alone */

static void columns_of(const pg_relation *r, wb_column *cols, uint16_t *key, wb_table *t, wb_out *types)
{
    for (uint32_t i = 0; i < r->ncols; i++) {
        const pg_rel_col *c = &r->cols[i];
        size_t at = types->len;
        pg_type_name(c->type_oid, c->type_mod, types);
        cols[i] = (wb_column){.name = c->name, .source_name = c->name, .type_id = c->type_oid, .type_mod = c->type_mod};
        cols[i].type.len = types->len - at; /* its place is known when the text has stopped growing */
        cols[i].kind = (uint8_t)pg_type_kind(c->type_oid);
        if (!c->identity || r->identity == 'f') continue;
        cols[i].flags = WB_COL_KEY;
        key[t->nkey++] = (uint16_t)i;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < r->ncols && !types->failed; i++) {
        cols[i].type.ptr = types->p + at;
        at += cols[i].type.len;
    }
}

wb_table *pg_table_of_relation(const pg_relation *r)
{
    wb_out types = {0};
    wb_column *cols = calloc(r->ncols + 1u, sizeof *cols);
    uint16_t *key = calloc(r->ncols + 1u, sizeof *key);
    wb_table *made = NULL;
    if (cols && key) {
        wb_table t = {.id = r->oid, .schema = r->schema, .name = r->name, .ncols = r->ncols, .cols = cols, .key = key};
        t.source_schema = r->schema;
        t.source_name = r->name;
        t.flags = r->identity == 'f' ? WB_TABLE_FULL_BEFORE : 0;
        columns_of(r, cols, key, &t, &types);
        if (!types.failed) made = wb_table_new(&t);
    }
    wb_out_fini(&types);
    free(cols);
    free(key);
    return made;
}

/* shape.c: the columns of one version of a table: as text for the state, compared, merged with a Relation message, made
 * into a wb_table. Pure; what asks the catalog is shape_load.c. */
#include "pg.h"

enum { OLD_FORMAT = 1, TOLD_FORMAT = 2, FORMAT = 3 }; /* 1: without what formats with schemas ask for */

void pg_shape_narrow(pg_shape *s, const char *columns)
{
    size_t n = 0;
    bool cut = false; /* a part of a key is none */
    for (size_t i = 0; i < s->ncols; i++) {
        bool in = !s->cols[i].generated; /* a list may name generated ones (PostgreSQL 18) */
        if (columns) {
            in = false;
            for (const char *p = columns; *p && !in;) {
                size_t len = strcspn(p, "\1");
                in = wb_str_eq(s->cols[i].name, (wb_str){p, len});
                p += len + (p[len] != 0);
            }
        }
        cut = cut || (!in && s->cols[i].key);
        if (in) s->cols[n++] = s->cols[i];
    }
    s->ncols = n;
    for (size_t i = 0; cut && i < n; i++) s->cols[i].key = 0;
}

static void fill_column(const pg_column *from, wb_column *to)
{
    *to = (wb_column){.name = from->name,
                      .type = from->type_name,
                      .type_id = from->type,
                      .type_mod = from->mod,
                      .id = from->attnum,
                      .base_id = from->base ? from->base : from->type,
                      .base_mod = from->base && from->base != from->type ? from->base_mod : from->mod,
                      .default_sql = from->default_sql,
                      .labels = from->labels,
                      .kind = from->kind};
    to->flags = (uint8_t)((from->key ? WB_COL_KEY : 0) | (from->not_null ? WB_COL_NOT_NULL : 0) |
                          (from->generated ? WB_COL_GENERATED : 0));
    if (from->missing == PG_MISSING_UNKNOWN) return;
    to->flags |= WB_COL_DEFAULT_KNOWN;
    to->missing.kind = WB_NULL;
    if (from->missing == PG_MISSING_TEXT)
        to->missing = pg_value_of_text(from->kind, from->missing_text.ptr, (uint32_t)from->missing_text.len);
}

wb_table *pg_shape_table(const pg_shape *s, uint32_t flags)
{
    wb_column *cols = calloc(s->ncols + 1, sizeof *cols);
    uint16_t *key = calloc(s->ncols + 1, sizeof *key);
    wb_table *t = NULL;
    if (cols && key) {
        wb_table proto = {.id = s->oid, .schema = s->schema, .name = s->name, .ncols = (uint32_t)s->ncols};
        for (size_t i = 0; i < s->ncols; i++) fill_column(&s->cols[i], &cols[i]);
        for (size_t want = 1; want <= s->ncols; want++) /* key order */
            for (size_t i = 0; i < s->ncols; i++)
                if (s->cols[i].key == want) key[proto.nkey++] = (uint16_t)i;
        proto.cols = cols;
        proto.key = key;
        proto.flags = flags;
        if (s->identity == 'f') proto.flags |= WB_TABLE_FULL_BEFORE;
        if (s->relkind == 'p') proto.flags |= WB_TABLE_PARTITIONED;
        t = wb_table_new(&proto);
    }
    free(cols);
    free(key);
    return t;
}

/* ---------------------------------------------------------------- the form in the state */

void pg_shape_encode(const pg_shape *s, wb_out *out)
{
    wb_out_byte(out, FORMAT);
    wb_out_be32(out, s->oid);
    wb_out_byte(out, s->identity);
    wb_out_byte(out, s->relkind);
    wb_out_lstr(out, s->schema);
    wb_out_lstr(out, s->name);
    wb_out_be32(out, (uint32_t)s->ncols);
    for (size_t i = 0; i < s->ncols; i++) {
        const pg_column *c = &s->cols[i];
        wb_out_be32(out, (uint32_t)c->attnum);
        wb_out_be32(out, c->type);
        wb_out_be32(out, (uint32_t)c->mod);
        wb_out_byte(out, (char)c->kind);
        wb_out_byte(out, (char)c->missing);
        wb_out_byte(out, (char)((c->not_null ? 1 : 0) | (c->generated ? 2 : 0)));
        wb_out_be16(out, c->key);
        wb_out_lstr(out, c->name);
        wb_out_lstr(out, c->type_name);
        wb_out_lstr(out, c->missing_text);
        wb_out_be32(out, c->base);
        wb_out_be32(out, (uint32_t)c->base_mod);
        wb_out_lstr(out, c->default_sql);
        wb_out_lstr(out, c->labels);
    }
}

bool pg_shape_decode(wb_str in, wb_arena *a, pg_shape *out)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    uint8_t format = wb_rd_u8(&r);
    if (format != OLD_FORMAT && format != FORMAT) return false;
    *out = (pg_shape){.oid = wb_rd_be32(&r)};
    out->identity = (char)wb_rd_u8(&r);
    out->relkind = (char)wb_rd_u8(&r);
    out->schema = wb_rd_lstr(&r);
    out->name = wb_rd_lstr(&r);
    uint32_t n = wb_rd_be32(&r);
    if (r.failed || n > 1664 || n > wb_rd_left(&r)) return false; /* 1664: MaxTupleAttributeNumber */
    out->cols = wb_arena_zalloc(a, (n + 1) * sizeof *out->cols);
    if (!out->cols || a->failed) return false;
    for (uint32_t i = 0; i < n; i++) {
        pg_column *c = &out->cols[i];
        c->attnum = (int32_t)wb_rd_be32(&r);
        c->type = wb_rd_be32(&r);
        c->mod = (int32_t)wb_rd_be32(&r);
        c->kind = wb_rd_u8(&r);
        c->missing = wb_rd_u8(&r);
        uint8_t flags = wb_rd_u8(&r);
        c->not_null = flags & 1;
        c->generated = (flags & 2) != 0;
        c->key = wb_rd_be16(&r);
        c->name = wb_rd_lstr(&r);
        c->type_name = wb_rd_lstr(&r);
        c->missing_text = wb_rd_lstr(&r);
        if (format == FORMAT) {
            c->base = wb_rd_be32(&r);
            c->base_mod = (int32_t)wb_rd_be32(&r);
            c->default_sql = wb_rd_lstr(&r);
            c->labels = wb_rd_lstr(&r);
        }
        if (c->kind >= WB_KINDS || c->missing > PG_MISSING_TEXT || c->key > n) return false;
    }
    out->ncols = n;
    return !r.failed && wb_rd_left(&r) == 0;
}

void pg_told_encode(const pg_told *t, wb_out *out)
{
    wb_out_byte(out, TOLD_FORMAT);
    wb_out_be64(out, t->at);
    wb_out_be64(out, t->ordinal);
    wb_out_byte(out, t->dropped);
    pg_shape_encode(&t->shape, out);
}

bool pg_told_decode(wb_str in, wb_arena *a, pg_told *out)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    if (wb_rd_u8(&r) != TOLD_FORMAT) return false;
    *out = (pg_told){.at = wb_rd_be64(&r)};
    out->ordinal = wb_rd_be64(&r);
    out->dropped = wb_rd_u8(&r) != 0;
    size_t left = wb_rd_left(&r);
    const uint8_t *shape = wb_rd_bytes(&r, left);
    return shape && pg_shape_decode((wb_str){(const char *)shape, left}, a, &out->shape);
}

/* ---------------------------------------------------------------- two versions */

static bool key_differs(const pg_shape *a, const pg_shape *b)
{
    bool any_a = false, any_b = false, differs = false;
    for (size_t i = 0; i < a->ncols; i++) {
        any_a |= a->cols[i].key != 0;
        any_b |= b->cols[i].key != 0;
        differs |= a->cols[i].key != b->cols[i].key;
    }
    return differs && any_a && any_b; /* none: an identity that has no key, which is no change of the table */
}

bool pg_shape_differs(const pg_shape *a, const pg_shape *b)
{
    if (!wb_str_eq(a->schema, b->schema) || !wb_str_eq(a->name, b->name) || a->ncols != b->ncols) return true;
    for (size_t i = 0; i < a->ncols; i++) {
        const pg_column *x = &a->cols[i], *y = &b->cols[i];
        if (!wb_str_eq(x->name, y->name) || x->type != y->type || x->mod != y->mod) return true;
        if (x->attnum && y->attnum && x->attnum != y->attnum) return true;
    }
    return key_differs(a, b);
}

/* ---------------------------------------------------------------- against a Relation message */

static bool same(const pg_column *c, const pg_rel_col *r)
{
    return c->type == r->type_oid && wb_str_eq(c->name, r->name);
}

bool pg_shape_fits(const pg_shape *s, const pg_relation *r)
{
    if (s->ncols != r->ncols) return false;
    for (size_t i = 0; i < s->ncols; i++)
        if (!same(&s->cols[i], &r->cols[i]) || s->cols[i].mod != r->cols[i].type_mod) return false;
    return true;
}

static const pg_column *find(const pg_shape *s, const pg_rel_col *r)
{
    for (size_t i = 0; s && i < s->ncols; i++)
        if (same(&s->cols[i], r)) return &s->cols[i];
    return NULL;
}

/* Columns travel in the order of their numbers, so numbers must ascend; the ones that break it are guesses. */
static void drop_guesses(pg_shape *s)
{
    for (size_t i = 0; i < s->ncols; i++) {
        bool bad = false;
        for (size_t j = 0; j < s->ncols && s->cols[i].attnum && !bad; j++)
            bad = s->cols[j].attnum && ((j < i && s->cols[j].attnum >= s->cols[i].attnum) ||
                                        (j > i && s->cols[j].attnum <= s->cols[i].attnum));
        if (bad) s->cols[i].attnum = 0;
    }
}

/* Numbers are never used again, so a column between two known ones, with no other number between them, is that one,
 * whatever it is called by now. */
static void fill_certain(pg_shape *s)
{
    int32_t before = 0;
    for (size_t i = 0; i < s->ncols; i++) {
        if (s->cols[i].attnum) {
            before = s->cols[i].attnum;
            continue;
        }
        size_t end = i;
        while (end < s->ncols && !s->cols[end].attnum) end++;
        if (end < s->ncols && s->cols[end].attnum - before - 1 == (int32_t)(end - i))
            for (size_t k = i; k < end; k++) s->cols[k].attnum = before + 1 + (int32_t)(k - i);
        i = end - 1;
    }
}

/* The key: what the message says; under FULL, where every column is flagged, what is known of the primary key. */
static void merge_key(const pg_relation *r, pg_shape *out)
{
    size_t flagged = 0, agreed = 0, total = 0;
    for (size_t i = 0; i < out->ncols; i++) {
        flagged += r->cols[i].identity;
        agreed += r->cols[i].identity && out->cols[i].key;
        total += out->cols[i].key != 0;
    }
    if (r->identity == 'f' || r->identity == 'n') return;
    if (flagged == agreed && flagged == total) return; /* in the index's order */
    uint16_t next = 1;
    for (size_t i = 0; i < out->ncols; i++) out->cols[i].key = r->cols[i].identity ? next++ : 0;
}

/* Places in the key without holes, when a column of it did not travel. */
static void close_key(pg_shape *s)
{
    uint16_t next = 1;
    for (uint32_t want = 1; want <= 1664 && next <= s->ncols; want++)
        for (size_t i = 0; i < s->ncols; i++)
            if (s->cols[i].key == want) s->cols[i].key = next++;
}

bool pg_shape_merge(const pg_relation *r, const pg_shape *known, const pg_shape *now, wb_arena *a, pg_shape *out)
{
    *out = (pg_shape){.oid = r->oid, .schema = r->schema, .name = r->name, .identity = r->identity, .ncols = r->ncols};
    out->relkind = now ? now->relkind : known ? known->relkind : 'r';
    out->cols = wb_arena_zalloc(a, (r->ncols + 1) * sizeof *out->cols);
    if (!out->cols || a->failed) return false;
    for (uint32_t i = 0; i < r->ncols; i++) {
        const pg_rel_col *rc = &r->cols[i];
        const pg_column *from = find(known, rc);
        if (!from) from = find(now, rc);
        pg_column *c = &out->cols[i];
        if (from) *c = *from;
        if (!from) c->kind = (uint8_t)pg_type_kind(rc->type_oid);
        if (!from || from->mod != rc->type_mod) c->type_name = (wb_str){NULL, 0}; /* relation.c asks for it */
        c->name = rc->name;
        c->type = rc->type_oid;
        c->mod = rc->type_mod;
        c->generated = false;
    }
    drop_guesses(out);
    fill_certain(out);
    merge_key(r, out);
    close_key(out);
    return true;
}

/* FNV-1a over names and types: the name of a version in the state. */
uint64_t pg_shape_hash(const pg_relation *r)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < r->ncols; i++) {
        const pg_rel_col *c = &r->cols[i];
        uint32_t numbers[2] = {c->type_oid, (uint32_t)c->type_mod};
        for (size_t k = 0; k < c->name.len; k++) h = (h ^ (uint8_t)c->name.ptr[k]) * 0x100000001b3u;
        for (size_t k = 0; k < 8; k++) h = (h ^ (uint8_t)(numbers[k / 4] >> (8 * (k % 4)))) * 0x100000001b3u;
        h = (h ^ 0xff) * 0x100000001b3u;
    }
    return h;
}

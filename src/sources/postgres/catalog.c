/* catalog.c: which tables the database has and which of them are wanted: one query, whatever their number.
 * Called at open, by check, status and suggest. */
#include "pg.h"

#include <stdio.h>

static const char tables_sql[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, c.reltuples::int8,"
    " coalesce((SELECT i.inhparent FROM pg_inherits i WHERE c.relispartition AND i.inhrelid = c.oid LIMIT 1), 0),"
    " CASE c.relreplident WHEN 'f' THEN true WHEN 'n' THEN false"
    " WHEN 'i' THEN EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisreplident AND x.indisvalid)"
    " ELSE EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indisvalid"
    " AND x.indimmediate) END,"
    " has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'),"
    " pg_has_role(c.relowner, 'USAGE'), CASE WHEN c.relispartition THEN c.relfilenode ELSE 0 END, c.xmin,"
    " (SELECT txid_snapshot_xmin(txid_current_snapshot())), row_security_active(c.oid),"
    " EXISTS (SELECT FROM pg_index x JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum ="
    " ANY ((string_to_array(x.indkey::text, ' ')::int2[])[1:x.indnkeyatts]) WHERE x.indrelid = c.oid AND x.indisvalid"
    " AND CASE c.relreplident WHEN 'i' THEN x.indisreplident ELSE x.indisprimary END AND a.attgenerated IN (%s)),"
    " c.relreplident = 'f' AND current_setting('server_version_num')::int >= 180000 AND EXISTS (SELECT FROM"
    " pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated IN (%s))"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.oid >= 16384"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY c.oid";

static void read_row(const PGresult *res, int row, wb_arena *a, pg_table *t)
{
    *t = (pg_table){.oid = (uint32_t)pg_number(PQgetvalue(res, row, 0)),
                    .schema = pg_copied(a, PQgetvalue(res, row, 1)),
                    .name = pg_copied(a, PQgetvalue(res, row, 2)),
                    .kind = PQgetvalue(res, row, 3)[0],
                    .identity = PQgetvalue(res, row, 4)[0],
                    .rows = pg_number(PQgetvalue(res, row, 5)),
                    .parent = (uint32_t)pg_number(PQgetvalue(res, row, 6)),
                    .key_usable = PQgetvalue(res, row, 7)[0] == 't',
                    .hidden = PQgetvalue(res, row, 13)[0] == 't',
                    .can_select = PQgetvalue(res, row, 8)[0] == 't' && PQgetvalue(res, row, 13)[0] == 'f',
                    .owned = PQgetvalue(res, row, 9)[0] == 't',
                    .file = (uint32_t)pg_number(PQgetvalue(res, row, 10)),
                    .writer = (uint32_t)pg_number(PQgetvalue(res, row, 11))};
    /* What cannot be sent identifies nothing; and from 18 on the server refuses the application's updates of it. */
    t->key_cut = PQgetvalue(res, row, 14)[0] == 't';
    t->cut = PQgetvalue(res, row, 15)[0] == 't' || (t->key_cut && (t->identity == 'd' || t->identity == 'i'));
    t->key_usable = t->key_usable && !t->cut;
    t->usable = t->key_usable;
}

pg_table *pg_catalog_find(const pg_catalog *c, uint32_t oid)
{
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (c->tables[mid].oid == oid) return &c->tables[mid];
        if (c->tables[mid].oid < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool pg_catalog_covers(const pg_catalog *c, const pg_table *t)
{
    for (int depth = 0; t && depth < 64; depth++) {
        if (t->wanted) return true;
        t = t->parent ? pg_catalog_find(c, t->parent) : NULL;
    }
    return false;
}

/* An update of a partition needs the partition's own identity, though the root is what is published. A root that has
 * no partitions yet is judged by itself. The estimate of a root is the sum of its leaves. */
static void look_at_partitions(pg_catalog *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const pg_table *leaf = &c->tables[i];
        if (leaf->kind != 'r' || !leaf->parent) continue;
        pg_table *up = pg_catalog_find(c, leaf->parent);
        for (int depth = 0; up && depth < 64; depth++) {
            if (!leaf->key_usable) up->usable = false;
            if (leaf->rows > 0) up->rows = WB_MAX(up->rows, 0) + leaf->rows;
            up = up->parent ? pg_catalog_find(c, up->parent) : NULL;
        }
    }
}

/* Before 13 partitions travel under their own names. `tables` that names the root alone would bring nothing of it. */
static void look_for_unsent(pg_catalog *c, const wb_patterns *patterns)
{
    for (size_t i = 0; i < c->n && !c->unsent; i++) {
        const pg_table *leaf = &c->tables[i], *up = leaf;
        bool negative, taken_away = leaf->kind != 'r' || leaf->wanted;
        for (size_t p = 0; !taken_away && wb_patterns_text(patterns, p, &negative); p++)
            taken_away = negative && wb_patterns_match_one(patterns, p, leaf->schema, leaf->name);
        if (taken_away) continue;
        for (int depth = 0; up && up->parent && depth < 64 && !c->unsent; depth++) {
            up = pg_catalog_find(c, up->parent);
            if (!up || !wb_patterns_match(patterns, up->schema, up->name)) continue;
            c->unsent = leaf;
            c->unsent_root = up;
        }
    }
}

static void choose(pg_catalog *c, const wb_patterns *patterns, int version)
{
    bool roots = version >= 130000; /* before, a publication cannot name a partitioned table */
    for (size_t i = 0; i < c->n; i++) {
        pg_table *t = &c->tables[i];
        if (t->kind == 'p' && !roots) continue;
        t->wanted = wb_patterns_match(patterns, t->schema, t->name);
    }
    for (size_t i = 0; i < c->n && roots; i++) { /* what travels under the name of its root is not wanted twice */
        pg_table *t = &c->tables[i];
        const pg_table *up = t->parent ? pg_catalog_find(c, t->parent) : NULL;
        if (t->wanted && up && pg_catalog_covers(c, up)) t->wanted = false;
    }
    for (size_t i = 0; i < c->n; i++) c->nwanted += c->tables[i].wanted;
    if (!roots) look_for_unsent(c, patterns);
}

bool pg_catalog_unsent(const pg_catalog *c, char *out, size_t size)
{
    if (!c->unsent) return false;
    (void)snprintf(
        out, size,
        "%s.%s is partitioned, a server before PostgreSQL 13 sends partitions under their own names only, and "
        "`tables` does not name %s.%s",
        c->unsent_root->schema.ptr, c->unsent_root->name.ptr, c->unsent->schema.ptr, c->unsent->name.ptr);
    return true;
}

static size_t first_unmatched(const pg_catalog *c, const wb_patterns *patterns)
{
    bool negative;
    for (size_t p = 0; wb_patterns_text(patterns, p, &negative); p++) {
        bool any = negative;
        for (size_t i = 0; i < c->n && !any; i++)
            any = wb_patterns_match_one(patterns, p, c->tables[i].schema, c->tables[i].name);
        if (!any) return p + 1;
    }
    return 0;
}

wb_code pg_catalog_load(pg_link *l, const wb_patterns *patterns, pg_catalog *out, wb_error *err)
{
    memset(out, 0, sizeof *out);
    wb_arena_init(&out->arena, 16 * 1024, 0);
    PGresult *res;
    wb_out sql = {0};
    const char *unsent = l->version >= 180000 && l->s->generated_columns == PG_GENERATED_STORED ? "'v'" : "'s', 'v'";
    wb_out_printf(&sql, tables_sql, unsent, unsent);
    wb_code code = pg_query(l, "to list its tables", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    size_t n = (size_t)PQntuples(res);
    out->tables = wb_arena_zalloc(&out->arena, (n + 1) * sizeof *out->tables);
    for (size_t i = 0; out->tables && !out->arena.failed && i < n; i++) {
        read_row(res, (int)i, &out->arena, &out->tables[i]);
        out->n = i + 1;
    }
    if (n) out->horizon = (uint64_t)pg_number(PQgetvalue(res, 0, 12));
    PQclear(res);
    if (!out->tables || out->arena.failed) return pg_nomem(err);
    look_at_partitions(out);
    choose(out, patterns, l->version);
    out->unmatched = first_unmatched(out, patterns);
    return WB_OK;
}

void pg_catalog_free(pg_catalog *c)
{
    wb_arena_fini(&c->arena);
    memset(c, 0, sizeof *c);
}

wb_code pg_patterns_of(const pg_source *s, wb_arena *a, wb_patterns **out, wb_error *err)
{
    wb_code code = wb_patterns_new(&s->table_list, a, out, err);
    if (code == WB_OK && wb_patterns_parts(*out) > 2) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "A pattern in `tables` has three parts.");
        wb_hint(err, "Tables are schema.table; the database is chosen by the url.");
        return WB_E_CONFIG;
    }
    return code;
}

/* ---------------------------------------------------------------- a set of OIDs */

static size_t place(const pg_oidset *s, uint32_t oid)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->oids[mid] < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool pg_oidset_has(const pg_oidset *s, uint32_t oid)
{
    size_t at = place(s, oid);
    return at < s->n && s->oids[at] == oid;
}

bool pg_oidset_set(pg_oidset *s, uint32_t oid, bool in)
{
    size_t at = place(s, oid);
    bool there = at < s->n && s->oids[at] == oid;
    if (there == in) return true;
    if (!in) {
        memmove(s->oids + at, s->oids + at + 1, (s->n - at - 1) * sizeof *s->oids);
        s->n--;
        return true;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        uint32_t *bigger = realloc(s->oids, cap * sizeof *bigger);
        if (!bigger) return false;
        s->oids = bigger;
        s->cap = cap;
    }
    memmove(s->oids + at + 1, s->oids + at, (s->n - at) * sizeof *s->oids);
    s->oids[at] = oid;
    s->n++;
    return true;
}

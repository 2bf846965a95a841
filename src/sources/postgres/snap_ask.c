/* snap_ask.c: tables that join a running pipeline, and tables that are read again: what of it is PostgreSQL's; the
 * wishes in the state are sources/sql/copy_ask.c. Source thread, except pg_ask. */
#include "pg.h"

/* ---------------------------------------------------------------- asked from outside */

static pg_table *find_named(const pg_catalog *cat, const char *name)
{
    for (size_t i = 0; i < cat->n; i++)
        if (sql_wish_means(name, cat->tables[i].schema, cat->tables[i].name, "public")) return &cat->tables[i];
    return NULL;
}

static wb_code judge_wish(const char *what, const char *name, const pg_catalog *cat, const pg_table *t, wb_error *err)
{
    if (!t) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The database has no table %s.", name);
        wb_hint(err, "Tables are schema.table, and case counts.");
        return WB_E_CONFIG;
    }
    if (!t->wanted) {
        bool partition = pg_catalog_covers(cat, t);
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                partition ? "%s is a partition; it travels under the name of its root." : "`tables` leaves out %s.",
                name);
        wb_hint(err, partition ? "Name the root." : "Change `tables` in the pipeline file first.");
        return WB_E_CONFIG;
    }
    if (sql_wish_is_resync(what) && !t->published) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s is not in the publication: nothing of it has been copied.", name);
        wb_hint(err, "`walbrook add-table` makes it join.");
        return WB_E_CONFIG;
    }
    if (!t->can_select) {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "The user may not read %s, so it cannot be copied.", name);
        wb_hint(err, "`walbrook check` prints what mends it.");
        return WB_E_AUTH;
    }
    return WB_OK;
}

wb_code pg_ask(void *ctx, wb_host *h, const char *what, const char *table, wb_error *err)
{
    pg_source *s = ctx;
    pg_link l = {0};
    pg_names names;
    pg_pub pub, insert_pub;
    pg_catalog cat = {0};
    wb_arena a;
    wb_patterns *patterns = NULL;
    s->host = h;
    wb_arena_init(&a, 4 * 1024, 0);
    if (s->snapshot_mode == SQL_SNAP_ONLY)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "With `snapshot: only` a new run copies everything; there is no %s.",
                       what);
    wb_code code = pg_names_make(s, h, &names, err);
    if (code == WB_OK) code = pg_patterns_of(s, &a, &patterns, err);
    if (code == WB_OK) code = pg_link_open(&l, s, h, PG_SQL, err);
    if (code == WB_OK) code = pg_catalog_load(&l, patterns, &cat, err);
    if (code == WB_OK) code = pg_pub_look(&l, &names, &cat, &pub, &insert_pub, err);
    pg_table *t = code == WB_OK ? find_named(&cat, table) : NULL;
    if (code == WB_OK) code = judge_wish(what, table, &cat, t, err);
    if (code == WB_OK) code = sql_wish(h, what, t->oid, table, err);
    pg_catalog_free(&cat);
    pg_link_close(&l);
    wb_arena_fini(&a);
    s->host = NULL;
    return code;
}

/* ---------------------------------------------------------------- the wishes in the state */

typedef struct chosen { /* of tables, ordered */
    pg_table **tables;
    size_t n;
} chosen;

/* Those that have gone meanwhile are left out. */
static wb_code find_all(const pg_source *s, const uint64_t *oids, size_t n, chosen *out, wb_error *err)
{
    *out = (chosen){.tables = calloc(n + 1, sizeof(pg_table *))};
    if (!out->tables) return pg_nomem(err);
    for (size_t i = 0; i < n; i++) {
        pg_table *t = pg_catalog_find(&s->cat, (uint32_t)oids[i]);
        if (t && t->wanted) out->tables[out->n++] = t;
    }
    return WB_OK;
}

/* Their rows of before go: the copy begins with emptying the table. */
static wb_code copy_again(pg_source *s, const chosen *l, wb_error *err)
{
    if (!l->n || s->snapshot_mode == SQL_SNAP_NEVER) return WB_OK;
    for (size_t i = 0; i < l->n; i++)
        wb_host_log(s->host, WB_LOG_INFO, "%s.%s will be copied, in turns with the stream", l->tables[i]->schema.ptr,
                    l->tables[i]->name.ptr);
    wb_code code =
        pg_snap_plan(s, l->tables, l->n, sql_copy_everybody(&s->snap.copy), PG_COPY_TRUNCATE | PG_COPY_LONE, err);
    s->snap.copy.wanted = code == WB_OK;
    if (code == WB_OK) wb_host_copying(s->host, true);
    return code;
}

/* What the server refuses hurts only the tables that were asked for. */
static wb_code only_theirs(const pg_source *s, wb_code code, const wb_error *mine, wb_error *err)
{
    if (code == WB_OK) return WB_OK;
    if (pg_link_dead(&s->side) || code == WB_E_STOPPED || code == WB_E_NOMEM) {
        *err = *mine;
        return code;
    }
    wb_host_log(s->host, WB_LOG_WARN, "%s", mine->message);
    return WB_OK;
}

static wb_code join(pg_source *s, chosen *add, bool *second, wb_error *err)
{
    wb_error mine;
    wb_error_reset(&mine);
    wb_code code = only_theirs(s, pg_pub_join(s, &s->side, add->tables, add->n, second, &mine), &mine, err);
    if (code != WB_OK) return code;
    size_t n = 0;
    for (size_t i = 0; i < add->n; i++)
        if (add->tables[i]->published) add->tables[n++] = add->tables[i];
    add->n = n;
    return WB_OK;
}

/* One that is read again because it has a replica identity now: its updates travel from before it is copied. */
static wb_code complete(pg_source *s, const chosen *c, wb_error *err)
{
    wb_error mine;
    wb_error_reset(&mine);
    return only_theirs(s, pg_pub_complete(s, &s->side, c->tables, c->n, &mine), &mine, err);
}

wb_code pg_snap_wishes(pg_source *s, wb_error *err)
{
    sql_wishes w;
    chosen add = {.n = 0}, resync = {.n = 0};
    bool second = false;
    wb_code code = sql_wishes_read(s->host, &w, NULL, err);
    if (code == WB_OK) code = find_all(s, w.add, w.nadd, &add, err);
    if (code == WB_OK) code = find_all(s, w.resync, w.nresync, &resync, err);
    if (code == WB_OK && add.n) code = join(s, &add, &second, err);
    if (code == WB_OK) code = copy_again(s, &add, err);
    if (code == WB_OK) code = complete(s, &resync, err);
    if (code == WB_OK) code = copy_again(s, &resync, err);
    if (code == WB_OK) code = sql_wishes_forget(s->host, &w, err);
    sql_wishes_free(&w);
    free(add.tables);
    free(resync.tables);
    if (code == WB_OK && second)
        code =
            wb_fail(err, WB_E_SERVER, WB_RECONNECT,
                    "A table without replica identity has joined: the stream begins anew with one publication more.");
    return code;
}

wb_code pg_snap_add(pg_source *s, pg_table *const *tables, size_t n, wb_error *err)
{
    uint64_t *oids = calloc(n + 1, sizeof *oids);
    for (size_t i = 0; oids && i < n; i++) oids[i] = tables[i]->oid;
    wb_code code = oids ? sql_wish_new(&s->snap.copy, oids, n, err) : pg_nomem(err);
    free(oids);
    return code;
}

/* ---------------------------------------------------------------- HUP */

static wb_code look_again(pg_source *s, pg_catalog *cat, wb_error *err)
{
    pg_pub pub, insert_pub;
    wb_code code = pg_catalog_load(&s->side, s->patterns, cat, err);
    if (code == WB_OK) code = pg_pub_look(&s->side, &s->names, cat, &pub, &insert_pub, err);
    if (code != WB_OK) return code;
    pg_catalog_free(&s->cat);
    s->cat = *cat;
    memset(cat, 0, sizeof *cat);
    return WB_OK;
}

static wb_code add_unpublished(pg_source *s, wb_error *err)
{
    pg_table **list = calloc(s->cat.n + 1, sizeof(pg_table *));
    size_t n = 0;
    if (!list) return pg_nomem(err);
    for (size_t i = 0; i < s->cat.n; i++)
        if (s->cat.tables[i].wanted && !s->cat.tables[i].published) list[n++] = &s->cat.tables[i];
    wb_code code = n ? pg_snap_add(s, list, n, err) : WB_OK;
    free(list);
    return code;
}

/* Between rounds of copying, when it was asked for: the catalog again, then what is wished. A HUP that brings a wish of
 * `add-table` or `resync` is about that table; without one, all tables that match join. */
wb_code pg_snap_heed(pg_source *s, wb_error *err)
{
    pg_catalog cat = {0};
    bool reload = s->snap.copy.reload, wished = false;
    s->snap.copy.asked = s->snap.copy.reload = false;
    sql_wishes w;
    wb_code code = sql_wishes_read(s->host, &w, &wished, err);
    sql_wishes_free(&w);
    if (wished) reload = false;
    if (code == WB_OK) code = pg_side(s, err);
    if (code == WB_OK) code = look_again(s, &cat, err);
    pg_catalog_free(&cat);
    if (code == WB_OK && reload) code = add_unpublished(s, err);
    s->snap.copy.asked = false;
    return code == WB_OK ? pg_snap_wishes(s, err) : code;
}

wb_code pg_reload(void *ctx, const void *fresh, wb_error *err)
{
    pg_source *s = ctx;
    const pg_source *now = fresh;
    if (s->tail || !s->started) return WB_OK; /* an open that comes anyway looks again */
    if (now) {
        wb_patterns *patterns = NULL;
        s->table_list = now->table_list;
        s->snapshot_where = now->snapshot_where;
        s->snapshot_columns = now->snapshot_columns;
        wb_code code = pg_patterns_of(s, &s->arena, &patterns, err);
        if (code != WB_OK) return code;
        s->patterns = patterns;
    }
    s->snap.copy.asked = s->snap.copy.reload = true;
    return WB_OK;
}

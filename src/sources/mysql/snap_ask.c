/* snap_ask.c: tables that join a running pipeline, and tables that are read again: what of it is MySQL's; the wishes in
 * the state are sources/sql/copy_ask.c. And what statements in the log do to a copy that goes on. Source thread, except
 * my_ask. */
#include <inttypes.h>
#include <stdio.h>

#include "my.h"

/* ---------------------------------------------------------------- asked from outside */

static my_table *find_named(const my_catalog *cat, const char *database, const char *name)
{
    for (size_t i = 0; i < cat->n; i++)
        if (sql_wish_means(name, cat->tables[i].schema, cat->tables[i].name, database)) return &cat->tables[i];
    return NULL;
}

static wb_code judge_wish(const char *name, const my_table *t, wb_error *err)
{
    if (!t) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The server has no table %s.", name);
        wb_hint(err, "Tables are database.table, and case counts.");
        return WB_E_CONFIG;
    }
    if (t->wanted) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "`tables` leaves out %s.", name);
    wb_hint(err, "Change `tables` in the pipeline file first.");
    return WB_E_CONFIG;
}

wb_code my_ask(void *ctx, wb_host *h, const char *what, const char *table, wb_error *err)
{
    my_source *s = ctx;
    my_link l = {.my = NULL};
    my_catalog cat = {.n = 0};
    my_url u;
    wb_arena a;
    wb_patterns *patterns = NULL;
    if (s->snapshot_mode == SQL_SNAP_ONLY)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "With `snapshot: only` a new run copies everything; there is no %s.",
                       what);
    wb_arena_init(&a, 4 * 1024, 0);
    wb_code code = my_url_parse(s->url, &a, &u, err);
    if (code == WB_OK) code = my_patterns_of(s, &a, &patterns, err);
    if (code == WB_OK) code = my_link_open(&l, s, h, false, err);
    if (code == WB_OK) code = my_catalog_load(&l, patterns, &cat, err);
    my_table *t = code == WB_OK ? find_named(&cat, u.database ? u.database : "", table) : NULL;
    if (code == WB_OK) code = judge_wish(table, t, err);
    if (code == WB_OK) code = my_touch(&l, &t, 1, false, err); /* may we read it? */
    if (code == WB_OK) code = sql_wish(h, what, t->id, table, err);
    my_catalog_free(&cat);
    my_link_close(&l);
    wb_arena_fini(&a);
    return code;
}

/* ---------------------------------------------------------------- the wishes in the state */

/* Their rows of before go: the copy begins with emptying the table. Those that have gone meanwhile are left out. */
static wb_code copy_again(my_source *s, const uint64_t *ids, size_t n, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    my_table **list = calloc(n + 1, sizeof(my_table *));
    size_t many = 0;
    if (!list) return my_nomem(err);
    for (size_t i = 0; i < n && s->snapshot_mode != SQL_SNAP_NEVER; i++) {
        my_table *t = my_catalog_find(&s->cat, ids[i]);
        if (!t || !t->wanted) continue;
        list[many++] = t;
        wb_host_log(s->host, WB_LOG_INFO, "%s.%s will be copied, in turns with the stream", t->schema.ptr, t->name.ptr);
    }
    wb_code code = WB_OK;
    if (many) {
        code = my_snap_plan(s, list, many, sql_copy_everybody(c), MY_COPY_TRUNCATE | MY_COPY_LONE, err);
        if (code == WB_OK) c->wanted = true;
        if (code == WB_OK) wb_host_copying(s->host, true);
    }
    free(list);
    return code;
}

wb_code my_snap_wishes(my_source *s, wb_error *err)
{
    sql_wishes w;
    wb_code code = sql_wishes_read(s->host, &w, NULL, err);
    if (code == WB_OK) code = copy_again(s, w.add, w.nadd, err);
    if (code == WB_OK) code = copy_again(s, w.resync, w.nresync, err);
    if (code == WB_OK) code = sql_wishes_forget(s->host, &w, err);
    sql_wishes_free(&w);
    return code;
}

/* ---------------------------------------------------------------- HUP */

/* Wanted now, not before, and not one whose CREATE the stream has brought. */
static wb_code add_new(my_source *s, const my_catalog *was, wb_error *err)
{
    uint64_t *ids = calloc(s->cat.n + 1, sizeof *ids);
    size_t n = 0;
    if (!ids) return my_nomem(err);
    for (size_t i = 0; i < s->cat.n; i++) {
        const my_table *t = &s->cat.tables[i], *old = my_catalog_find(was, t->id);
        if (t->wanted && !(old && old->wanted) && !my_history_knows(s->history, t->schema, t->name)) ids[n++] = t->id;
    }
    wb_code code = n ? sql_wish_new(&s->snap.copy, ids, n, err) : WB_OK;
    free(ids);
    return code;
}

/* Between rounds of copying, when it was asked for: the catalog again, then what is wished. A HUP that brings a wish of
 * `add-table` or `resync` is about that table; without one, all tables that match join. */
wb_code my_snap_heed(my_source *s, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    my_catalog cat = {.n = 0};
    sql_wishes w;
    bool reload = c->reload, wished = false;
    c->asked = c->reload = false;
    wb_code code = sql_wishes_read(s->host, &w, &wished, err);
    sql_wishes_free(&w);
    if (code == WB_OK) code = my_side_again(s, err);
    if (code == WB_OK) code = my_catalog_load(&s->side, s->patterns, &cat, err);
    if (code != WB_OK) {
        my_catalog_free(&cat);
        return code;
    }
    my_catalog was = s->cat;
    s->cat = cat;
    s->snap.stale = false;
    my_decoder_forget_table(s->decoder, WB_STR(""), WB_STR("")); /* others may be wanted now */
    if (reload && !wished) code = add_new(s, &was, err);
    my_catalog_free(&was);
    c->asked = false;
    return code == WB_OK ? my_snap_wishes(s, err) : code;
}

wb_code my_reload(void *ctx, const void *fresh, wb_error *err)
{
    my_source *s = ctx;
    const my_source *now = fresh;
    if (s->tail || !s->streaming) return WB_OK; /* an open that comes anyway looks again */
    if (now) {
        wb_patterns *patterns = NULL;
        s->table_list = now->table_list;
        s->snapshot_where = now->snapshot_where;
        s->snapshot_columns = now->snapshot_columns;
        wb_code code = my_patterns_of(s, &s->arena, &patterns, err);
        if (code != WB_OK) return code;
        s->patterns = patterns;
    }
    s->snap.copy.asked = s->snap.copy.reload = true;
    return WB_OK;
}

/* ---------------------------------------------------------------- statements */

enum { GONE = 64 };

static void gone_key(uint64_t table, char key[GONE]) { (void)snprintf(key, GONE, "copy/gone/%" PRIu64, table); }

wb_code my_snap_note_gone(my_source *s, uint64_t table, bool gone, wb_error *err)
{
    char key[GONE];
    gone_key(table, key);
    return gone ? sql_fact_put(s->host, key, "its copy was not whole", err) : sql_fact_del(s->host, key, err);
}

static wb_code is_noted(my_source *s, uint64_t table, bool *yes, wb_error *err)
{
    char key[GONE], was[64] = "";
    gone_key(table, key);
    wb_code code = sql_fact_get(s->host, key, was, sizeof was, err);
    *yes = was[0] != 0;
    return code;
}

static wb_code look_if_unfinished(my_source *s, wb_str schema, wb_str name, bool *yes, wb_error *err)
{
    uint64_t table = my_table_id(schema, name);
    const sql_job *j = sql_ledger_find(&s->snap.copy.ledger, table);
    *yes = j && sql_job_lacks(j, ~(uint64_t)0);
    return j ? WB_OK : is_noted(s, table, yes, err);
}

static bool is_table(wb_str schema, wb_str name, wb_str other_schema, wb_str other)
{
    return wb_str_eq(name, other) && wb_str_eq(schema, other_schema);
}

/* Is the new name of this pair the old one of a later pair? Three pairs swap two tables. */
static bool goes_on(const my_statement *st, uint32_t pair)
{
    const my_st_table *t = &st->tables[pair];
    for (uint32_t i = pair + 1; i < st->ntables; i++)
        if (is_table(st->tables[i].schema, st->tables[i].name, t->to_schema, t->to_name)) return true;
    return false;
}

/* Had everybody all rows of the table that this pair renames, under each name that the statement gives it on the way?
 */
static wb_code was_followed(my_source *s, const my_statement *st, uint32_t pair, bool *yes, wb_error *err)
{
    const my_st_table *t = &st->tables[pair];
    *yes = false;
    for (uint32_t i = pair; my_track_wanted(s, t->schema, t->name);) {
        while (i > 0 && !is_table(st->tables[i - 1].to_schema, st->tables[i - 1].to_name, t->schema, t->name)) i--;
        if (!i) {
            bool unfinished = false;
            wb_code code = look_if_unfinished(s, t->schema, t->name, &unfinished, err);
            *yes = !unfinished;
            return code;
        }
        t = &st->tables[--i];
    }
    return WB_OK;
}

static wb_code copy_renamed(my_source *s, const my_statement *st, uint32_t pair, wb_error *err)
{
    const my_st_table *t = &st->tables[pair];
    bool followed = false, unfinished = false;
    wb_code code = was_followed(s, st, pair, &followed, err);
    if (code == WB_OK) code = look_if_unfinished(s, t->to_schema, t->to_name, &unfinished, err);
    /* asked: of which tables, only the state knows */
    if (code != WB_OK || (followed && !unfinished && !s->snap.copy.asked)) return code;
    uint64_t id = my_table_id(t->to_schema, t->to_name);
    return sql_wish_new(&s->snap.copy, &id, 1, err);
}

/* Tables are known by their names. One that was followed under its old name goes on under the new one, as a mirror's
 * does; one that was not, or whose copy is not whole, is copied under the new name. That is in the state before the
 * statement is handed over. Who takes no copy (snapshot: never) gets none. */
wb_code my_snap_ddl(my_source *s, const my_statement *st, wb_error *err)
{
    wb_code code = WB_OK;
    if (st->kind == MY_ST_TRUNCATE || s->snapshot_mode == SQL_SNAP_NEVER || !sql_fact_on(s->host)) return WB_OK;
    s->snap.stale = true;
    for (uint32_t i = 0; i < st->ntables && code == WB_OK; i++) {
        const my_st_table *t = &st->tables[i];
        if (t->to_name.len && my_track_wanted(s, t->to_schema, t->to_name) && !goes_on(st, i))
            code = copy_renamed(s, st, i, err);
    }
    for (uint32_t i = 0; i < st->ntables && code == WB_OK; i++) {
        const my_st_table *t = &st->tables[i];
        bool noted = false;
        if (!t->to_name.len && st->kind != MY_ST_DROP_TABLE) continue;
        code = is_noted(s, my_table_id(t->schema, t->name), &noted, err);
        if (code == WB_OK && noted) code = my_snap_note_gone(s, my_table_id(t->schema, t->name), false, err);
    }
    return code;
}

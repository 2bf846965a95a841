/* snap_ask.c: tables that join a running pipeline, and tables that are read again. A wish is in the state
 * ("copy/ask/WHAT/SCHEMA.TABLE") until the plan has it, so that nothing is forgotten between the publication and the
 * copy. Wishes come from the command line (pg_ask, another process), from HUP, and from whoever sees a new table.
 * Source thread, except pg_ask. */
#include "pg.h"

#include <stdio.h>

enum { WISH = 2 * PG_NAME + 40 };
static const char wishes_prefix[] = "copy/ask/", add_word[] = "add-table", resync_word[] = "resync";

static void wish_key(const char *what, const pg_table *t, char key[WISH])
{
    (void)snprintf(key, WISH, "%s%s/%u", wishes_prefix, what, t->oid);
}

/* ---------------------------------------------------------------- asked from outside */

static pg_table *find_named(const pg_catalog *cat, const char *name)
{
    const char *dot = strchr(name, '.');
    for (size_t i = 0; i < cat->n; i++) {
        pg_table *t = &cat->tables[i];
        bool schema = dot ? t->schema.len == (size_t)(dot - name) && memcmp(t->schema.ptr, name, t->schema.len) == 0
                          : wb_str_is(t->schema, "public");
        if (schema && wb_str_is(t->name, dot ? dot + 1 : name)) return t;
    }
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
    if (strcmp(what, resync_word) == 0 && !t->published) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s is not in the publication: nothing of it has been copied.", name);
        wb_hint(err, "`walbrook add-table` makes it join.");
        return WB_E_CONFIG;
    }
    if (!t->can_select) {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "The user may not read %s, so it cannot be copied.", name);
        wb_hint(err, "`walbrook check` prints the GRANT.");
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
    if (s->snapshot_mode == PG_SNAP_ONLY)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "With `snapshot: only` a new run copies everything; there is no %s.",
                       what);
    wb_code code = pg_names_make(s, h, &names, err);
    if (code == WB_OK) code = pg_patterns_of(s, &a, &patterns, err);
    if (code == WB_OK) code = pg_link_open(&l, s, h, PG_SQL, err);
    if (code == WB_OK) code = pg_catalog_load(&l, patterns, &cat, err);
    if (code == WB_OK) code = pg_pub_look(&l, &names, &cat, &pub, &insert_pub, err);
    pg_table *t = code == WB_OK ? find_named(&cat, table) : NULL;
    if (code == WB_OK) code = judge_wish(what, table, &cat, t, err);
    if (code == WB_OK) {
        char key[WISH];
        wish_key(what, t, key);
        code = wb_host_state_put(h, key, wb_str_of(table), err);
    }
    pg_catalog_free(&cat);
    pg_link_close(&l);
    wb_arena_fini(&a);
    s->host = NULL;
    return code;
}

/* ---------------------------------------------------------------- the wishes in the state */

typedef struct wishes {
    pg_table **add, **resync;
    char (*keys)[WISH];
    size_t nadd, nresync, nkeys, cap;
    pg_source *s;
    bool failed;
} wishes;

static void take_wish(void *arg, const char *key, wb_str value)
{
    wishes *w = arg;
    WB_UNUSED(value);
    if (w->nkeys == w->cap) {
        size_t cap = w->cap ? w->cap * 2 : 16;
        char(*keys)[WISH] = realloc(w->keys, cap * sizeof *keys);
        if (keys) w->keys = keys;
        pg_table **add = realloc(w->add, cap * sizeof(pg_table *));
        if (add) w->add = add;
        pg_table **resync = realloc(w->resync, cap * sizeof(pg_table *));
        if (resync) w->resync = resync;
        if (!keys || !add || !resync) {
            w->failed = true;
            return;
        }
        w->cap = cap;
    }
    (void)snprintf(w->keys[w->nkeys++], WISH, "%s", key);
    const char *oid = strrchr(key, '/');
    pg_table *t = pg_catalog_find(&w->s->cat, oid ? (uint32_t)strtoul(oid + 1, NULL, 10) : 0);
    if (!t || !t->wanted) return; /* it has gone meanwhile */
    if (strstr(key, resync_word))
        w->resync[w->nresync++] = t;
    else
        w->add[w->nadd++] = t;
}

static int by_oid(const void *a, const void *b)
{
    uint32_t x = (*(pg_table *const *)a)->oid, y = (*(pg_table *const *)b)->oid;
    return (x > y) - (x < y);
}

static uint64_t everybody(const pg_source *s)
{
    uint64_t all = 0;
    for (size_t i = 0; i < SQL_MEMBERS; i++)
        if (s->snap.names.of[i]) all |= (uint64_t)1 << i;
    return all;
}

/* Their rows of before go: the copy begins with emptying the table. */
static wb_code copy_again(pg_source *s, pg_table **list, size_t n, wb_error *err)
{
    if (!n || s->snapshot_mode == PG_SNAP_NEVER) return WB_OK;
    qsort(list, n, sizeof(pg_table *), by_oid);
    for (size_t i = 0; i < n; i++)
        wb_host_log(s->host, WB_LOG_INFO, "%s.%s will be copied, in turns with the stream", list[i]->schema.ptr,
                    list[i]->name.ptr);
    wb_code code = pg_snap_plan(s, list, n, everybody(s), PG_COPY_TRUNCATE | PG_COPY_LONE, err);
    s->snap.wanted = code == WB_OK;
    if (code == WB_OK) wb_host_copying(s->host, true);
    return code;
}

static wb_code forget_wishes(pg_source *s, const wishes *w, wb_error *err)
{
    wb_kv *kv = calloc(w->nkeys + 1, sizeof *kv);
    if (!kv) return pg_nomem(err);
    for (size_t i = 0; i < w->nkeys; i++) kv[i].key = w->keys[i];
    wb_code code = wb_host_state_put_all(s->host, kv, w->nkeys, err);
    free(kv);
    return code;
}

/* What the server refuses hurts only the tables that wanted to join. */
static wb_code join(pg_source *s, wishes *w, bool *second, wb_error *err)
{
    wb_error mine;
    wb_error_reset(&mine);
    wb_code code = pg_pub_join(s, &s->side, w->add, w->nadd, second, &mine);
    if (code != WB_OK && (pg_link_dead(&s->side) || code == WB_E_STOPPED || code == WB_E_NOMEM)) {
        *err = mine;
        return code;
    }
    if (code != WB_OK) wb_host_log(s->host, WB_LOG_WARN, "%s", mine.message);
    size_t n = 0;
    for (size_t i = 0; i < w->nadd; i++)
        if (w->add[i]->published) w->add[n++] = w->add[i];
    w->nadd = n;
    return WB_OK;
}

wb_code pg_snap_wishes(pg_source *s, wb_error *err)
{
    wishes w = {.s = s};
    bool second = false;
    wb_code code = wb_host_state_list(s->host, wishes_prefix, take_wish, &w, err);
    if (code == WB_OK && w.failed) code = pg_nomem(err);
    if (code == WB_OK && w.nadd) code = join(s, &w, &second, err);
    if (code == WB_OK) code = copy_again(s, w.add, w.nadd, err);
    if (code == WB_OK) code = copy_again(s, w.resync, w.nresync, err);
    if (code == WB_OK && w.nkeys) code = forget_wishes(s, &w, err);
    free(w.keys);
    free(w.add);
    free(w.resync);
    if (code == WB_OK && second)
        code =
            wb_fail(err, WB_E_SERVER, WB_RECONNECT,
                    "A table without replica identity has joined: the stream begins anew with one publication more.");
    return code;
}

wb_code pg_snap_add(pg_source *s, pg_table *const *list, size_t n, wb_error *err)
{
    wb_kv *kv = calloc(n + 1, sizeof *kv);
    char(*keys)[WISH] = calloc(n + 1, sizeof *keys);
    wb_code code = kv && keys ? WB_OK : pg_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        wish_key(add_word, list[i], keys[i]);
        kv[i] = (wb_kv){keys[i], WB_STR("new")};
    }
    if (code == WB_OK && n) code = wb_host_state_put_all(s->host, kv, n, err);
    free(kv);
    free(keys);
    s->snap.asked = code == WB_OK && n;
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

static void see_wish(void *arg, const char *key, wb_str value)
{
    bool *wished = arg;
    WB_UNUSED(key);
    if (!wb_str_eq(value, WB_STR("new"))) *wished = true;
}

/* Between rounds of copying, when it was asked for: the catalog again, then what is wished. A HUP that brings a wish of
 * `add-table` or `resync` is about that table; without one, all tables that match join. */
wb_code pg_snap_heed(pg_source *s, wb_error *err)
{
    pg_catalog cat = {0};
    bool reload = s->snap.reload, wished = false;
    s->snap.asked = s->snap.reload = false;
    wb_code code = wb_host_state_list(s->host, wishes_prefix, see_wish, &wished, err);
    if (wished) reload = false;
    if (code == WB_OK) code = pg_side(s, err);
    if (code == WB_OK) code = look_again(s, &cat, err);
    pg_catalog_free(&cat);
    if (code == WB_OK && reload) code = add_unpublished(s, err);
    s->snap.asked = false;
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
    s->snap.asked = s->snap.reload = true;
    return WB_OK;
}

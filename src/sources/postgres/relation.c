/* relation.c: a new version of a table came with the stream. The message has names and types; numbers, key order,
 * NOT NULL and the values that older rows show come from the catalog, which may be newer than the message, and from
 * the versions that the state remembers. Called by the decoder on the source's thread; rare. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"

/* ---------------------------------------------------------------- versions in the state */

static void version_key(uint32_t oid, uint64_t hash, char key[48])
{
    (void)snprintf(key, 48, "table/%u/%016llx", oid, (unsigned long long)hash);
}

/* Written only when it says something new, and not synced one by one: a version is needed when the position is past the
 * rows that have it, and that is written later. */
wb_code pg_shape_remember(pg_source *s, const pg_shape *shape, uint64_t hash, wb_error *err)
{
    if (!hash || !sql_fact_on(s->host)) return hash ? WB_OK : pg_told_first(s, shape, err);
    wb_out out = {0};
    char key[48];
    wb_str have = {NULL, 0};
    version_key(shape->oid, hash, key);
    pg_shape_encode(shape, &out);
    wb_code code = out.failed ? pg_nomem(err) : wb_host_state_get(s->host, key, &have, err);
    wb_str now = {out.p, out.len};
    if (code == WB_OK && !wb_str_eq(have, now)) code = wb_host_state_note(s->host, &(wb_kv){key, now}, 1, err);
    wb_out_fini(&out);
    return code;
}

static wb_code recall(pg_source *s, const char *key, wb_arena *a, pg_shape *out, bool *found, wb_error *err)
{
    wb_str v = {NULL, 0};
    *found = false;
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_code code = wb_host_state_get(s->host, key, &v, err);
    if (code != WB_OK || !v.len) return code;
    char *copy = wb_arena_strndup(a, v.ptr, v.len); /* the next get takes its memory */
    if (!copy || a->failed) return pg_nomem(err);
    if (!pg_shape_decode((wb_str){copy, v.len}, a, out)) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "The state's entry '%s' cannot be read.", key);
        wb_hint(err, "It was written by a newer Walbrook, or it is damaged.");
        return WB_E_STATE;
    }
    *found = true;
    return WB_OK;
}

/* The version of exactly this message, else the one that the targets were told of last. */
static wb_code recall_any(pg_source *s, const pg_relation *r, uint64_t hash, wb_arena *a, pg_shape *out, bool *found,
                          wb_error *err)
{
    char key[48];
    pg_told told;
    version_key(r->oid, hash, key);
    wb_code code = recall(s, key, a, out, found, err);
    if (code != WB_OK || *found) return code;
    code = pg_told_get(s, r->oid, a, &told, found, err);
    if (code == WB_OK && *found) *out = told.shape;
    return code;
}

/* ---------------------------------------------------------------- the catalog */

wb_code pg_side(pg_source *s, wb_error *err)
{
    if (!pg_link_dead(&s->side)) return WB_OK;
    pg_link_close(&s->side);
    return pg_link_open(&s->side, s, s->host, PG_SQL, err);
}

/* The server sends a transaction when its commit is in the log. Other sessions see it a moment later; behind a
 * synchronous standby, when that has answered. Until then the catalog is older than the message: a column that the
 * transaction added would have no default there. It holds the lock of its own number until it is seen. */
static wb_code await_visible(pg_source *s, wb_error *err)
{
    enum { MOST_US = 3000000, STEP_US = 2000 }; /* nobody answers keepalives meanwhile */
    static const char sql[] = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'transactionid'"
                              " AND transactionid = $1::xid AND mode = 'ExclusiveLock')";
    char xid[16];
    if (!s->txn.active || s->txn.xid == s->visible_xid) return WB_OK;
    (void)snprintf(xid, sizeof xid, "%u", s->txn.xid);
    for (int64_t since = wb_mono_us(); !pg_stopped(s, s->host); wb_sleep_us(STEP_US)) {
        PGresult *res;
        wb_code code = pg_query1(&s->side, "whether a transaction is over", sql, xid, &res, err);
        if (code != WB_OK) return code;
        bool open = PQgetvalue(res, 0, 0)[0] == 't';
        PQclear(res);
        if (open && wb_mono_us() - since < MOST_US) continue;
        if (open)
            wb_host_log(s->host, WB_LOG_WARN,
                        "transaction %s has committed, but other sessions still cannot see it (a synchronous standby "
                        "that does not answer?); what it did to columns is taken from the log alone",
                        xid);
        break;
    }
    s->visible_xid = s->txn.xid;
    return WB_OK;
}

wb_code pg_relation_now(pg_source *s, uint32_t oid, wb_arena *a, pg_shape *out, bool *found, wb_error *err)
{
    wb_error first;
    wb_error_reset(&first);
    wb_code code = pg_side(s, &first);
    if (code == WB_OK) code = await_visible(s, &first);
    if (code == WB_OK) code = pg_shape_load(&s->side, oid, a, out, found, &first);
    if (code == WB_E_NET && pg_link_dead(&s->side)) { /* idle for hours, cut by somebody: once more */
        code = pg_side(s, err);
        return code == WB_OK ? pg_shape_load(&s->side, oid, a, out, found, err) : code;
    }
    if (code != WB_OK && err) *err = first;
    return code;
}

/* Types that neither the catalog's nor a remembered version has. */
static wb_code name_types(pg_source *s, pg_shape *shape, wb_arena *a, wb_error *err)
{
    for (size_t i = 0; i < shape->ncols; i++) {
        pg_column *c = &shape->cols[i];
        if (c->type_name.ptr) continue;
        wb_code code = pg_column_type(&s->side, c, a, err);
        if (code != WB_OK) return code;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- the hook */

static bool is_wanted(const pg_source *s, const pg_relation *r)
{
    const pg_table *t = pg_catalog_find(&s->cat, r->oid);
    if (t && pg_catalog_covers(&s->cat, t)) return true;
    return wb_patterns_match(s->patterns, r->schema, r->name);
}

static wb_code shape_of(pg_source *s, const pg_relation *r, wb_arena *a, pg_shape *out, wb_error *err)
{
    pg_shape now, known;
    bool have_now = false, have_known = false;
    uint64_t hash = pg_shape_hash(r);
    wb_code code = pg_relation_now(s, r->oid, a, &now, &have_now, err);
    if (code != WB_OK) return code;
    pg_shape whole = now; /* a column list may have changed since: columns are looked for in all there are */
    if (have_now) {
        whole.cols = wb_arena_alloc(a, (now.ncols + 1) * sizeof *whole.cols);
        if (!whole.cols || a->failed) return pg_nomem(err);
        memcpy(whole.cols, now.cols, now.ncols * sizeof *whole.cols);
        pg_table *t = pg_catalog_find(&s->cat, r->oid);
        pg_shape_narrow(&now, t ? t->columns : NULL);
    }
    bool exact = have_now && pg_shape_fits(&now, r);
    if (!exact) {
        code = recall_any(s, r, hash, a, &known, &have_known, err);
        if (code != WB_OK) return code;
        wb_host_log(s->host, WB_LOG_DEBUG, "%.*s.%.*s has changed since this part of the log; %s", (int)r->schema.len,
                    r->schema.ptr, (int)r->name.len, r->name.ptr,
                    have_known ? "an older version is remembered" : "no older version is remembered");
    }
    if (!pg_shape_merge(r, have_known ? &known : NULL, have_now ? &whole : NULL, a, out)) return pg_nomem(err);
    code = name_types(s, out, a, err);
    return code == WB_OK ? pg_shape_remember(s, out, hash, err) : code;
}

wb_table *pg_relation_hook(void *arg, const pg_relation *r, wb_error *err)
{
    pg_source *s = arg;
    bool wanted = is_wanted(s, r);
    if (!pg_oidset_set(&s->unwanted, r->oid, !wanted)) {
        pg_nomem(err);
        return NULL;
    }
    wb_table *t = NULL;
    if (!wanted) {
        t = pg_table_of_relation(r);
        if (!t) pg_nomem(err);
        return t;
    }
    wb_arena a;
    wb_arena_init(&a, 16 * 1024, 0);
    pg_shape shape;
    if (shape_of(s, r, &a, &shape, err) == WB_OK) {
        const pg_table *known = pg_catalog_find(&s->cat, r->oid);
        bool insert_only = r->identity == 'n' || (known && known->published && !(known->usable && known->whole));
        for (size_t i = 0; known && known->key_cut && i < shape.ncols; i++) shape.cols[i].key = 0;
        t = pg_shape_table(&shape, insert_only ? WB_TABLE_INSERT_ONLY : 0);
        /* A partition whose root is published is described, and never has rows of its own. */
        bool silent = known && known->parent && !known->published;
        if (t && !silent && !pg_ddl_expect(s, &shape)) {
            wb_table_unref(t);
            t = NULL;
        }
        if (!t) pg_nomem(err);
    }
    wb_arena_fini(&a);
    return t;
}

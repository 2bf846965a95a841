/* snap_view.c: connections that share one view of the database, and its place in the log. MariaDB: START TRANSACTION
 * WITH CONSISTENT SNAPSHOT fixes both at once; connections that were told the same place have the same view. MySQL, and
 * where that does not come about: all transactions begin, and the place is read, while a global read lock keeps commits
 * out, for milliseconds. Tables of engines without transactions (MyISAM, Aria, MEMORY) are in nobody's view: they are
 * copied first, and the lock stays until they are. Every table is touched at once, so that no ALTER TABLE can come
 * between. No place in the log that is read around a SELECT would do: the server may send a commit before others see
 * it. MySQL without a lock: snap_free.c. */
#include "my.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"

enum { TRIES = 5 };

bool my_snap_is_plain(const my_source *s, const sql_job *j)
{
    const my_table *t = my_catalog_find(&s->cat, j->table);
    return t && !t->transactional;
}

static wb_code choose(const my_source *s, my_tables *out, wb_error *err)
{
    const sql_copy *c = &s->snap.copy;
    *out = (my_tables){.list = calloc(c->ledger.n + 1, sizeof(my_table *))};
    if (!out->list) return my_nomem(err);
    for (size_t i = 0; i < c->ledger.n; i++) {
        my_table *t = my_catalog_find(&s->cat, c->ledger.jobs[i]->table);
        if (!t || !t->wanted || !sql_job_lacks(c->ledger.jobs[i], c->running)) continue;
        out->list[out->n++] = t;
        if (!t->transactional) out->plain = true;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- locks */

static wb_code lock_tables(my_source *s, const my_tables *t, wb_error *err)
{
    wb_out sql = {0};
    for (size_t i = 0; i < t->n; i++) {
        wb_out_z(&sql, i ? ", " : "LOCK TABLES ");
        my_put_table(&sql, t->list[i]->schema, t->list[i]->name);
        wb_out_z(&sql, " READ");
    }
    wb_code code = t->n ? my_do(&s->snap.lock, "to lock the tables for a moment", wb_out_cstr(&sql), err) : WB_OK;
    wb_out_fini(&sql);
    if (code == WB_E_AUTH)
        wb_hint(
            err,
            "The snapshot needs RELOAD (or FLUSH_TABLES), or else LOCK TABLES and SELECT on the tables: GRANT RELOAD "
            "ON *.* TO the user.");
    return code;
}

static wb_code lock(my_source *s, const my_tables *t, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_code code = my_link_open(&n->lock, s, s->host, false, err);
    if (code == WB_OK && s->streaming) /* it waits for statements that run, and writes wait for it: a copy can wait */
        code = my_do(&n->lock, "not to wait for long", "SET SESSION lock_wait_timeout = 3", err);
    if (code == WB_OK) code = my_do(&n->lock, "to keep commits out for a moment", "FLUSH TABLES WITH READ LOCK", err);
    if (code == WB_E_AUTH) { /* hosted servers do not let anybody; the tables themselves do as well */
        wb_error_reset(err);
        code = lock_tables(s, t, err);
    }
    if (code == WB_E_SERVER)
        wb_hint(err,
                "The lock is held for milliseconds, but it waits for statements that run; try when there are none.");
    n->locked = code == WB_OK;
    if (code != WB_OK) my_link_close(&n->lock);
    return code;
}

wb_code my_view_unlock(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    if (!n->locked) return WB_OK;
    n->locked = false;
    wb_code code = my_do(&n->lock, "to let commits in again", "UNLOCK TABLES", err);
    my_link_close(&n->lock);
    return code;
}

/* ---------------------------------------------------------------- views */

wb_code my_view_begin(my_link *l, wb_error *err)
{
    wb_code code = my_do(l, "for repeatable reads", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", err);
    if (code == WB_OK)
        code = my_do(l, "to begin the snapshot", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err);
    return code;
}

static wb_code begin_all(my_source *s, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < s->snap.copy.nworkers && code == WB_OK; i++)
        code = my_view_begin(&s->snap.links[i].link, err);
    s->snap.copy.taken_us = wb_now_us();
    return code;
}

/* MariaDB says which place a transaction's view has. */
static wb_code view_place(my_link *l, my_place *place, wb_error *err)
{
    MYSQL_RES *res;
    *place = (my_place){.offset = 0};
    wb_code code = my_query(l, "where its snapshot is", "SHOW STATUS LIKE 'binlog_snapshot_%'", &res, err);
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        if (row[0] && row[1] && strcasecmp(row[0], "binlog_snapshot_file") == 0)
            (void)snprintf(place->log, sizeof place->log, "%s", row[1]);
        if (row[0] && row[1] && strcasecmp(row[0], "binlog_snapshot_position") == 0)
            place->offset = strtoull(row[1], NULL, 10);
    }
    mysql_free_result(res);
    return WB_OK;
}

/* Connections whose view is another one than the first's are let go. */
static void keep_equal(my_source *s, size_t equal)
{
    my_snap *n = &s->snap;
    for (size_t i = equal; i < n->copy.nworkers; i++) my_link_close(&n->links[i].link);
    n->copy.nworkers = WB_MIN(n->copy.nworkers, equal);
}

/* MariaDB, without a lock: until all were told the same place. *equal: so many were at the last try. */
static wb_code begin_together(my_source *s, size_t *equal, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_code code = WB_OK;
    *equal = 0;
    for (int i = 0; i < TRIES && *equal < n->copy.nworkers && code == WB_OK; i++) {
        code = begin_all(s, err);
        if (code == WB_OK) code = view_place(&n->links[0].link, &n->to, err);
        for (*equal = 1; code == WB_OK && *equal < n->copy.nworkers; ++*equal) {
            my_place other;
            code = view_place(&n->links[*equal].link, &other, err);
            if (code == WB_OK && (other.offset != n->to.offset || strcmp(other.log, n->to.log) != 0)) break;
        }
    }
    return code;
}

static wb_code begin_locked(my_source *s, const my_tables *t, my_gtid_set *set, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_code code = lock(s, t, err);
    if (code == WB_OK) code = begin_all(s, err);
    if (code == WB_OK && s->server.log_bin) code = my_server_end(&n->lock, &s->server, &n->to, set, err);
    return code;
}

static wb_code add_domains(my_source *s, my_gtid_set *set, wb_error *err)
{
    return set ? my_server_gtids_at(&s->side, &s->snap.to, set, err) : WB_OK;
}

static wb_code take_view(my_source *s, const my_tables *t, my_gtid_set *set, wb_error *err)
{
    my_snap *n = &s->snap;
    size_t equal = 0;
    if (my_view_is_free(s)) { /* `snapshot: only`: one view, and nothing that follows it */
        keep_equal(s, 1);
        return begin_all(s, err);
    }
    if (s->server.flavor != MY_MARIADB || t->plain || !s->server.log_bin) {
        if (s->server.log_bin || n->copy.nworkers > 1 || t->plain) return begin_locked(s, t, set, err);
        return begin_all(s, err);
    }
    wb_code code = begin_together(s, &equal, err);
    if (code != WB_OK) return code;
    if (!n->to.log[0])
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not say where its snapshot is.");
    if (equal == n->copy.nworkers) return add_domains(s, set, err);
    wb_error mine;
    wb_error_reset(&mine);
    if (s->snapshot_locking == MY_LOCKING_MINIMAL) code = begin_locked(s, t, set, &mine);
    if (s->snapshot_locking == MY_LOCKING_MINIMAL && code == WB_OK) return WB_OK;
    if (code != WB_OK && code != WB_E_AUTH) {
        *err = mine;
        return code;
    }
    keep_equal(s, equal); /* the views of the last try are as they were */
    return add_domains(s, set, err);
}

static wb_code take_point(my_source *s, const my_tables *t, wb_error *err)
{
    my_snap *n = &s->snap;
    my_gtid_set *set = s->server.gtid && s->server.log_bin ? my_gtid_set_new() : NULL;
    wb_code code = s->server.gtid && s->server.log_bin && !set ? my_nomem(err) : WB_OK;
    n->to = (my_place){.offset = 0};
    if (code == WB_OK) code = take_view(s, t, set, err);
    my_pos p = {.flavor = s->server.flavor,
                .has_file = n->to.log[0] != 0,
                .lineage = s->server.lineage,
                .log = wb_str_of(n->to.log),
                .offset = n->to.offset};
    wb_out_reset(&n->point);
    if (code == WB_OK && !my_pos_make(&n->point, &p, set)) code = my_nomem(err);
    my_gtid_set_free(set);
    return code;
}

/* ---------------------------------------------------------------- connections */

static wb_code open_links(my_source *s, size_t want, wb_error *err)
{
    my_snap *n = &s->snap;
    n->copy.workers = calloc(want, sizeof *n->copy.workers);
    n->links = calloc(want, sizeof *n->links);
    if (!n->copy.workers || !n->links) return my_nomem(err);
    n->nlinks = want;
    for (size_t i = 0; i < want; i++) n->copy.workers[i].own = &n->links[i];
    wb_code code = my_link_open(&n->links[0].link, s, s->host, false, err);
    n->copy.nworkers = code == WB_OK;
    for (size_t i = 1; i < want && code == WB_OK; i++) {
        wb_error mine;
        wb_error_reset(&mine);
        wb_code rc = my_link_open(&n->links[i].link, s, s->host, false, &mine);
        if (rc == WB_E_STOPPED) {
            *err = mine;
            return rc;
        }
        if (rc != WB_OK) {
            wb_host_log(s->host, WB_LOG_WARN, "copies with %zu connection(s), not %zu: %s", i, want, mine.message);
            break;
        }
        n->copy.nworkers++;
    }
    return code;
}

/* Of many tables each is read on one connection, and touched there only: MariaDB looks through all locks of a
 * connection for each lock more, and ten thousand of them on every connection would take most of a minute. Large
 * tables, of which all read parts, are touched by all. */
static void deal_out(const my_source *s, const my_tables *t, size_t readers)
{
    enum { MANY = 250 };
    for (size_t i = 0; i < t->n; i++) {
        const sql_job *j = sql_ledger_find(&s->snap.copy.ledger, t->list[i]->id);
        t->list[i]->reader = t->n > MANY && j && j->n <= 2 ? i % readers + 1 : 0;
    }
}

static wb_code touch_own(my_source *s, const my_tables *t, size_t reader, wb_error *err)
{
    my_table **own = calloc(t->n + 1, sizeof(my_table *));
    size_t n = 0;
    if (!own) return my_nomem(err);
    for (size_t i = 0; i < t->n; i++)
        if (!t->list[i]->reader || t->list[i]->reader == reader + 1) own[n++] = t->list[i];
    wb_code code = my_touch(&s->snap.links[reader].link, own, n, false, err);
    free(own);
    return code;
}

static wb_code touch_first(my_source *s, const my_tables *t, wb_error *err)
{
    wb_code code = touch_own(s, t, 0, err);
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    if (code == WB_E_SCHEMA) s->snap.stale = true;
    return code;
}

/* Whoever waits for a table of which the first one holds the lock waits for an ALTER TABLE that waits for that: such a
 * connection is not used, and what it was to read is the first one's. */
static wb_code touch_all(my_source *s, const my_tables *t, wb_error *err)
{
    my_snap *n = &s->snap;
    deal_out(s, t, n->copy.nworkers);
    wb_code code = touch_first(s, t, err);
    for (size_t i = 1; code == WB_OK && i < n->copy.nworkers; i++) {
        my_link *l = &n->links[i].link;
        wb_error mine;
        wb_error_reset(&mine);
        wb_code rc = my_do(l, "not to wait", "SET SESSION lock_wait_timeout = 1", &mine);
        if (rc == WB_OK) rc = touch_own(s, t, i, &mine);
        if (rc == WB_E_STOPPED) {
            *err = mine;
            return rc;
        }
        if (rc == WB_OK) continue;
        keep_equal(s, i);
        for (size_t k = 0; k < t->n; k++)
            if (t->list[k]->reader > i) t->list[k]->reader = 1;
        code = touch_first(s, t, err);
    }
    return code;
}

static wb_code open_view(my_source *s, const my_tables *t, wb_error *err)
{
    if (t->plain && s->snapshot_locking == MY_LOCKING_NONE)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_RETRY,
                       "snapshot_locking: none cannot copy tables of engines without transactions.");
    if (s->streaming && my_view_is_free(s)) return my_view_hold(s, t, err);
    wb_code code = take_point(s, t, err);
    (void)WB_FAULT("mysql.snapshot_taken");
    if (code == WB_OK) code = touch_all(s, t, err);
    return code == WB_OK && !t->plain ? my_view_unlock(s, err) : code;
}

wb_code my_view_open(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    my_tables t;
    my_view_close(s);
    size_t want = sql_copy_workers_wanted(&n->copy, s->snapshot_workers);
    wb_code code = choose(s, &t, err);
    if (code == WB_OK) code = open_links(s, want, err);
    if (code == WB_OK) code = open_view(s, &t, err);
    free(t.list);
    return code;
}

wb_code my_view_behind_stream(my_source *s, bool *seen, wb_error *err)
{
    my_tables t;
    *seen = true;
    if (!my_view_is_free(s)) return WB_OK;
    wb_code code = my_view_wait_seen(s, seen, err);
    if (code != WB_OK || !*seen) return code;
    my_link *first = &s->snap.links[0].link;
    code = choose(s, &t, err);
    if (code == WB_OK) code = my_do(first, "not to wait", "SET SESSION lock_wait_timeout = 1", err);
    if (code == WB_OK) code = begin_all(s, err);
    (void)WB_FAULT("mysql.snapshot_taken");
    if (code == WB_OK) code = touch_all(s, &t, err);
    free(t.list);
    my_link_close(&s->snap.lock);
    return code;
}

void my_view_close(my_source *s)
{
    my_snap *n = &s->snap;
    sql_copy_free_workers(&n->copy);
    for (size_t i = 0; i < n->nlinks; i++) my_worker_close(&n->links[i]);
    free(n->links);
    n->links = NULL;
    n->nlinks = 0;
    n->locked = false;
    my_link_close(&n->lock);
    my_gtid_set_free(n->must);
    n->must = NULL;
}

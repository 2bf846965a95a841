/* snapshot_begin.c: one instant of the database and its place in the log. MariaDB: START TRANSACTION WITH CONSISTENT
 * SNAPSHOT fixes both at once. MySQL: the place is read while a global read lock keeps commits out, for the
 * milliseconds that the transaction takes to begin. Tables of engines without transactions (MyISAM, Aria, MEMORY) are
 * in nobody's view: when there are such, they are copied first and the lock stays until they are. Every table is
 * touched at once, so that no ALTER TABLE can come between. No place in the log that is read around a SELECT would do:
 * the server may send a commit before others see it. */
#include "snapshot.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"

static bool any_plain(const my_source *s)
{
    for (size_t i = 0; i < s->cat.n; i++)
        if (s->cat.tables[i].wanted && !s->cat.tables[i].transactional) return true;
    return false;
}

static wb_code lock_tables(my_source *s, wb_error *err)
{
    wb_out sql = {0};
    size_t n = 0;
    for (size_t i = 0; i < s->cat.n; i++) {
        if (!s->cat.tables[i].wanted) continue;
        wb_out_z(&sql, n++ ? ", " : "LOCK TABLES ");
        my_put_table(&sql, s->cat.tables[i].schema, s->cat.tables[i].name);
        wb_out_z(&sql, " READ");
    }
    wb_code code = n ? my_do(&s->snap.lock, "to lock the tables for a moment", wb_out_cstr(&sql), err) : WB_OK;
    wb_out_fini(&sql);
    if (code == WB_E_AUTH)
        wb_hint(
            err,
            "The snapshot needs RELOAD (or FLUSH_TABLES), or else LOCK TABLES and SELECT on the tables: GRANT RELOAD "
            "ON *.* TO the user.");
    return code;
}

static wb_code lock(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_code code = my_link_open(&n->lock, s, s->host, false, err);
    if (code == WB_OK) code = my_do(&n->lock, "to keep commits out for a moment", "FLUSH TABLES WITH READ LOCK", err);
    if (code == WB_E_AUTH) { /* hosted servers do not let anybody; the tables themselves do as well */
        wb_error_reset(err);
        code = lock_tables(s, err);
    }
    if (code == WB_E_SERVER)
        wb_hint(err,
                "The lock is held for milliseconds, but it waits for statements that run; try when there are none.");
    n->locked = code == WB_OK;
    return code;
}

wb_code my_snap_unlock(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    if (!n->locked) return WB_OK;
    n->locked = false;
    wb_code code = my_do(&n->lock, "to let commits in again", "UNLOCK TABLES", err);
    my_link_close(&n->lock);
    return code;
}

static wb_code begin_transaction(my_source *s, wb_error *err)
{
    my_link *l = &s->snap.link;
    wb_code code = my_do(l, "for repeatable reads", "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", err);
    if (code == WB_OK)
        code = my_do(l, "to begin the snapshot", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", err);
    return code;
}

/* MariaDB says which place the transaction's view has. */
static wb_code snapshot_place(my_source *s, my_place *place, my_gtid_set *set, wb_error *err)
{
    MYSQL_RES *res;
    wb_code code = my_query(&s->snap.link, "where its snapshot is", "SHOW STATUS LIKE 'binlog_snapshot_%'", &res, err);
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        if (row[0] && row[1] && strcasecmp(row[0], "binlog_snapshot_file") == 0)
            (void)snprintf(place->log, sizeof place->log, "%s", row[1]);
        if (row[0] && row[1] && strcasecmp(row[0], "binlog_snapshot_position") == 0)
            place->offset = strtoull(row[1], NULL, 10);
    }
    mysql_free_result(res);
    if (!place->log[0])
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not say where its snapshot is.");
    wb_out sql = {0};
    char *text = NULL;
    wb_out_z(&sql, "SELECT BINLOG_GTID_POS(");
    my_put_literal(&sql, wb_str_of(place->log));
    wb_out_printf(&sql, ", %" PRIu64 ")", place->offset);
    code = my_query(&s->side, "for the GTIDs of its snapshot", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    if (row) text = row[0];
    if (text) code = my_gtid_set_parse(set, wb_str_of(text), err);
    mysql_free_result(res);
    return code;
}

static wb_code take_point(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    my_place place = {.offset = 0};
    my_gtid_set *set = s->server.gtid ? my_gtid_set_new() : NULL;
    wb_code code = s->server.gtid && !set ? my_nomem(err) : WB_OK;
    if (code == WB_OK && s->server.log_bin)
        code = s->server.flavor == MY_MARIADB ? snapshot_place(s, &place, set, err)
                                              : my_server_end(&n->lock, &s->server, &place, set, err);
    my_pos p = {.flavor = s->server.flavor,
                .has_file = place.log[0] != 0,
                .lineage = s->server.lineage,
                .log = wb_str_of(place.log),
                .offset = place.offset};
    if (code == WB_OK && !my_pos_make(&n->point, &p, s->server.log_bin ? set : NULL)) code = my_nomem(err);
    my_gtid_set_free(set);
    s->offset = place.offset; /* what the rows say as their position */
    return code;
}

/* From here on no table can be altered until our transaction ends. */
static wb_code touch_tables(my_source *s, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < s->cat.n && code == WB_OK; i++) {
        wb_out sql = {0};
        if (!s->cat.tables[i].wanted) continue;
        wb_out_z(&sql, "SELECT 1 FROM ");
        my_put_table(&sql, s->cat.tables[i].schema, s->cat.tables[i].name);
        wb_out_z(&sql, " LIMIT 0");
        code = my_do(&s->snap.link, "to read a table", wb_out_cstr(&sql), err);
        wb_out_fini(&sql);
    }
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    return code;
}

wb_code my_snap_begin(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    bool only = n->only, plain = any_plain(s), locks = plain || s->server.flavor == MY_MYSQL;
    n->first_batch = true;
    n->plain_turn = plain;
    n->done = calloc(s->cat.n + 1, sizeof *n->done);
    if (!n->done) return my_nomem(err);
    wb_code code = my_link_open(&n->link, s, s->host, false, err);
    if (code == WB_OK && locks) code = lock(s, err);
    if (code == WB_OK) code = begin_transaction(s, err);
    n->taken_us = wb_now_us();
    if (code == WB_OK) code = take_point(s, err);
    (void)WB_FAULT("mysql.snapshot_taken");
    if (code == WB_OK) code = touch_tables(s, err);
    if (code == WB_OK && !plain) code = my_snap_unlock(s, err);
    if (code == WB_OK) n->on = true;
    n->only = only;
    return code;
}

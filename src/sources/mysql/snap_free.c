/* snap_free.c: views of MySQL without any lock. MySQL does not tell which transactions a view has, but a transaction is
 * in gtid_executed only after its engine has committed it: a view that begins when gtid_executed has all that the
 * stream has handed over has all of that, too. What it has beyond comes again with the stream, and leads to the same
 * rows. Tables must not be altered between the place to which the stream has come and the view, or rows would come with
 * columns, or under a name, of later: a transaction that only touches the tables keeps ALTER TABLE out, then the stream
 * goes to where the log ended at that moment, and then the views are taken. */
#include "my.h"

#include "base/fault.h"

bool my_view_is_free(const my_source *s)
{
    return s->snapshot_locking == MY_LOCKING_NONE && s->server.flavor == MY_MYSQL;
}

wb_code my_view_hold(my_source *s, const my_tables *t, wb_error *err)
{
    my_link *l = &s->snap.lock;
    if (!s->server.gtid)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_RETRY, "snapshot_locking: none needs gtid_mode = ON with MySQL.");
    wb_code code = my_link_open(l, s, s->host, false, err);
    if (code == WB_OK) code = my_do(l, "not to wait for long", "SET SESSION lock_wait_timeout = 3", err);
    if (code == WB_OK) code = my_view_begin(l, err);
    if (code == WB_OK) code = my_touch(l, t->list, t->n, false, err);
    if (code == WB_E_AUTH) wb_hint(err, "The snapshot needs SELECT on every table; `walbrook check` prints the GRANT.");
    if (code == WB_E_SCHEMA) s->snap.stale = true;
    if (code != WB_OK) return code;
    my_gtid_set_free(s->snap.must);
    s->snap.must = my_gtid_set_new();
    return s->snap.must ? my_server_end(l, &s->server, &s->snap.to, s->snap.must, err) : my_nomem(err);
}

/* The place alone would not do: where the stream began, the log had transactions that were not executed yet, and its
 * set lacks these. Those of a prepared XA are there, and count when it is decided. */
bool my_view_has_come(const my_source *s)
{
    const my_gtid_set *must = s->snap.must;
    if (!must || my_gtid_set_within(must, s->set)) return true;
    my_gtid_set *all = s->nxas ? my_gtid_set_new() : NULL;
    bool come = all && my_gtid_set_copy(all, s->set);
    for (size_t i = 0; i < s->nxas && come; i++) come = my_gtid_set_add(all, &s->xas[i].gtid);
    come = come && my_gtid_set_within(must, all);
    my_gtid_set_free(all);
    return come;
}

wb_code my_view_wait_seen(my_source *s, bool *seen, wb_error *err)
{
    MYSQL_RES *res;
    wb_out sql = {0};
    wb_out_z(&sql, "SELECT WAIT_FOR_EXECUTED_GTID_SET('");
    my_gtid_set_text(s->set, &sql);
    wb_out_z(&sql, "', 1)");
    wb_code code = sql.failed ? my_nomem(err) : my_side_again(s, err);
    if (code == WB_OK) code = my_query(&s->side, "whether others see what its log has", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    *seen = row && row[0] && row[0][0] == '0';
    mysql_free_result(res);
    return WB_OK;
}

/* park.c: rows in the way of a key change. `UPDATE t SET id = id + 1` under a deferrable key arrives as 1→2, 2→3, … in
 * any order: the row that has key 2 when 1→2 comes must not be lost, its own change is still to come. It waits in a
 * temporary table until a change whose whole old row equals it takes it out. That needs whole old rows, and so do
 * deferrable keys at PostgreSQL; without them keys are checked row by row and whoever has a key that another row takes
 * is gone at the source. Called by mirror.c. */
#include "targets/sqlite/sqlite_target.h"

static wb_code make_table(sq_target *s, sq_plan *p, wb_error *err)
{
    wb_out *o = &s->sql;
    long long id = (long long)p->table_id;
    wb_code code;
    wb_out_reset(o);
    wb_out_printf(o, "CREATE TABLE IF NOT EXISTS temp._walbrook_park_%lld (", id);
    for (uint32_t j = 0; j < p->nkey; j++) wb_out_printf(o, "p%u,", j);
    for (size_t i = 0; i < p->ncols + p->nkept; i++) wb_out_printf(o, "%sc%zu", i ? "," : "", i);
    wb_out_printf(o, ");CREATE INDEX IF NOT EXISTS temp._walbrook_park_ix_%lld ON _walbrook_park_%lld (", id, id);
    for (uint32_t j = 0; j < p->nkey; j++) wb_out_printf(o, "%sp%u", j ? "," : "", j);
    wb_out_z(o, ");");
    code = sq_exec_out(s, err);
    p->park_made = !code;
    return code;
}

static wb_code run_new(sq_target *s, sq_plan *p, sq_kind kind, const wb_change *c, wb_error *err)
{
    sqlite3_stmt *st;
    bool taken;
    wb_code code = sq_statement(s, p, kind, NULL, &st, err);
    if (!code) code = sq_bind_new_key(s, p, st, c, err);
    return code ? code : sq_step(s, p, st, &taken, err);
}

wb_code sq_park_occupant(sq_target *s, sq_plan *p, const wb_change *c, wb_error *err)
{
    wb_code code = WB_OK;
    if (p->full) {
        if (!p->park_made) code = make_table(s, p, err);
        if (!code) code = run_new(s, p, SQ_PARK, c, err);
        if (code) return code;
        p->parked++;
        s->parked++;
    }
    return run_new(s, p, SQ_EVICT, c, err);
}

static wb_code find(sq_target *s, sq_plan *p, const wb_change *c, int64_t *rowid, wb_error *err)
{
    sqlite3_stmt *st;
    int rc;
    wb_code code = sq_statement(s, p, SQ_PARK_FIND, NULL, &st, err);
    if (!code) code = sq_bind_old(s, p, st, c, true, err);
    if (code) return code;
    rc = sqlite3_step(st);
    *rowid = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        code = sq_fail(s, rc, err, "looking for a parked row of table %s", p->name);
    sqlite3_reset(st);
    return code;
}

wb_code sq_park_apply(sq_target *s, sq_plan *p, const wb_change *c, const uint64_t *sent, bool *found, wb_error *err)
{
    sqlite3_stmt *st;
    bool taken = false;
    int64_t rowid = 0;
    int at = (int)(2 * p->ncols + 1);
    wb_code code = find(s, p, c, &rowid, err);
    *found = rowid != 0;
    if (code || !rowid) return code;
    if (sent) {
        code = sq_statement(s, p, SQ_UNPARK, sent, &st, err);
        if (!code) code = sq_bind_new(s, p, st, c, sent, err);
        if (code) return code;
        sqlite3_bind_int64(st, at, rowid);
        code = sq_step(s, p, st, &taken, err);
        if (!code && taken) {
            code = sq_park_occupant(s, p, c, err);
            if (!code) code = sq_step_free(s, p, st, err);
        }
        if (code) return code;
    }
    code = sq_statement(s, p, SQ_PARK_TAKE, NULL, &st, err);
    if (code) return code;
    sqlite3_bind_int64(st, at, rowid);
    p->parked--;
    s->parked--;
    return sq_step(s, p, st, &taken, err);
}

/* At its end a source transaction has unique keys again: a row that is still parked was replaced, and its delete was
 * not ours to see (`operations`, or a mirror that began without the older rows). */
wb_code sq_park_settle(sq_target *s, wb_error *err)
{
    for (size_t i = 0; i < WB_COUNT(s->plans) && s->parked; i++) {
        for (sq_plan *p = s->plans[i]; p; p = p->next) {
            sqlite3_stmt *st;
            bool taken;
            wb_code code;
            if (!p->parked) continue;
            if (!p->warned_park)
                wb_host_log(
                    s->host, WB_LOG_WARN,
                    "table %s: %zu rows whose keys were taken by others, and whose deletes did not come, are gone",
                    p->name, p->parked);
            p->warned_park = true;
            s->parked -= p->parked;
            p->parked = 0;
            code = sq_statement(s, p, SQ_PARK_EMPTY, NULL, &st, err);
            if (!code) code = sq_step(s, p, st, &taken, err);
            if (code) return code;
        }
    }
    return WB_OK;
}

/* copy_mark.c: changes of tables whose copy goes on. A target may lack the row that an update changes: the copy will
 * bring it, newer than the update. But an update that moves a row to another key, without bringing all of it, may move
 * it into a part that is done: its new key is then one more chunk. It is in the state before the update is handed over.
 * Where parts are places in the file, every update moves its row: what lies where it lay when the first snapshot was
 * taken has not changed since, and of all else the stream has brought the new row, or its key is such a chunk.
 * Called with each change of the stream while a copy is unfinished; source thread. */
#include "copy.h"

enum { ROWS_MAX = 1000 }; /* more, and the table is copied again */

/* Are all values there, in the new row or the old one? */
static bool is_whole(const wb_change *c)
{
    for (uint32_t i = 0; i < c->table->ncols; i++) {
        if (c->after[i].kind > WB_UNCHANGED) continue;
        if (!c->before || c->before[i].kind < WB_NULL) return false;
    }
    return true;
}

static bool has_row(const sql_job *j, wb_str key)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->chunks[i].kind == SQL_CHUNK_ROW && wb_str_eq(j->chunks[i].low, key) && !j->chunks[i].given) return true;
    return false;
}

static wb_code read_again(sql_copy *c, sql_job *j, const wb_change *change, wb_error *err)
{
    sql_ledger *l = &c->ledger;
    wb_out key = {0};
    size_t rows = 0;
    for (size_t i = 0; i < j->n; i++) rows += j->chunks[i].kind == SQL_CHUNK_ROW;
    bool fine = true, named = (j->flags & SQL_JOB_KEYED) && rows < ROWS_MAX && c->ops->key(change, &key);
    wb_str low = {key.p, key.len};
    if (!named)
        fine = sql_job_again(l, j, j->targets);
    else if (!has_row(j, low))
        fine = sql_job_add(l, j, SQL_CHUNK_ROW, low, (wb_str){NULL, 0}) != NULL;
    c->changed = true;
    wb_out_fini(&key);
    return fine ? WB_OK : sql_copy_nomem(err);
}

wb_code sql_copy_mark(sql_copy *c, wb_change *change, wb_error *err)
{
    if (!change || !change->table) return WB_OK;
    if (change->table->serial != c->mark_serial) {
        c->mark_serial = change->table->serial;
        c->mark_job = sql_ledger_find(&c->ledger, c->ops->id(change->table));
    }
    sql_job *j = c->mark_job;
    if (!j || !sql_job_lacks(j, c->running)) return WB_OK;
    change->flags |= WB_C_COPYING;
    bool moves =
        change->op == WB_UPDATE && change->after && (change->flags & WB_C_KEY_CHANGED || j->flags & SQL_JOB_PLACES);
    return moves && !is_whole(change) ? read_again(c, j, change, err) : WB_OK;
}

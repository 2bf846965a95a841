/* snap_mark.c: changes of tables whose copy goes on. A target may lack the row that an update changes: the copy will
 * bring it, newer than the update. But an update that moves a row to another key, without bringing all of it, may move
 * it into a part that is done: its new key is then one more chunk. It is in the state before the update is handed over.
 * Called by message.c with each change while a copy is unfinished; source thread. */
#include "pg.h"

enum { ROWS_MAX = 1000 }; /* more, and the table is copied again */

/* Are all values there, in the new row or the old one? */
static bool is_whole(const wb_change *c)
{
    for (uint32_t i = 0; i < c->table->ncols; i++) {
        if (c->after[i].kind != WB_UNCHANGED) continue;
        if (!c->before || c->before[i].kind < WB_NULL) return false;
    }
    return true;
}

static bool put_key(const wb_change *c, wb_out *out)
{
    for (uint32_t k = 0; k < c->table->nkey; k++) {
        const wb_value *v = &c->after[c->table->key[k]];
        if (!(v->flags & WB_V_TEXT)) return false;
        sql_tuple_put(out, (wb_str){v->as.ptr, v->len});
    }
    return c->table->nkey && !out->failed;
}

static bool has_row(const sql_job *j, wb_str key)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->chunks[i].kind == SQL_CHUNK_ROW && wb_str_eq(j->chunks[i].low, key) && !j->chunks[i].given) return true;
    return false;
}

static wb_code read_again(pg_source *s, sql_job *j, const wb_change *c, wb_error *err)
{
    sql_ledger *l = &s->snap.ledger;
    wb_out key = {0};
    size_t rows = 0;
    for (size_t i = 0; i < j->n; i++) rows += j->chunks[i].kind == SQL_CHUNK_ROW;
    bool fine = true, named = (j->flags & SQL_JOB_KEYED) && rows < ROWS_MAX && put_key(c, &key);
    wb_str low = {key.p, key.len};
    if (!named)
        fine = sql_job_again(l, j, j->targets);
    else if (!has_row(j, low))
        fine = sql_job_add(l, j, SQL_CHUNK_ROW, low, (wb_str){NULL, 0}) != NULL;
    s->snap.changed = true;
    wb_out_fini(&key);
    return fine ? WB_OK : pg_nomem(err);
}

wb_code pg_snap_mark(pg_source *s, wb_change *c, wb_error *err)
{
    sql_job *j = c && c->table ? sql_ledger_find(&s->snap.ledger, c->table->id) : NULL;
    if (!j || !sql_job_lacks(j, s->snap.running)) return WB_OK;
    c->flags |= WB_C_COPYING;
    bool moves = c->op == WB_UPDATE && (c->flags & WB_C_KEY_CHANGED) && c->after;
    return moves && !is_whole(c) ? read_again(s, j, c, err) : WB_OK;
}

/* mirror.c: mode mirror: one change becomes one row change. Called by sqlite.c for every change of a view, inside its
 * transaction. Inserts and updates say which columns they have: what was not sent is not touched. */
#include <stdio.h>

#include "targets/sqlite/sqlite_target.h"

static bool sent(const wb_value *v) { return v->kind >= WB_NULL; }

/* The value of column i after the change; unchanged TOAST values are in the old row when all of it came. */
static const wb_value *new_value(const wb_change *c, uint32_t i)
{
    const wb_value *v = &c->after[i];
    if (WB_UNLIKELY(v->kind == WB_UNCHANGED) && c->before && sent(&c->before[i])) return &c->before[i];
    return v;
}

static const wb_value *old_value(const wb_change *c, uint32_t i)
{
    if (c->before && sent(&c->before[i])) return &c->before[i];
    return c->after ? &c->after[i] : NULL;
}

static wb_code bind_failed(sq_target *s, sq_plan *p, uint32_t i, int rc, wb_error *err)
{
    const wb_column *col = &p->table->cols[i];
    wb_code code;
    if (rc == SQLITE_MISMATCH)
        return wb_fail(err, WB_E_DATA, WB_POISON, "column %s of table %s (%s) holds text that is not hex bytes",
                       col->name.ptr, p->name, col->type.ptr);
    if (rc != SQLITE_TOOBIG) return sq_fail(s, rc, err, "binding column %s of table %s", col->name.ptr, p->name);
    code = wb_fail(err, WB_E_DATA, WB_POISON, "the value of column %s of table %s is larger than SQLite holds",
                   col->name.ptr, p->name);
    wb_hint(err, "SQLite's limit is 1 GB a row; leave the column out with `columns`, or set dead_letters.");
    return code;
}

wb_code sq_bind_new(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, const uint64_t *bits, wb_error *err)
{
    for (uint32_t i = 0; i < p->ncols; i++) {
        int rc;
        if (bits && !(bits[i / 64] >> (i % 64) & 1)) continue;
        rc = sq_bind(s, st, (int)i + 1, new_value(c, i), (sq_class)p->cols[i].cls);
        if (WB_UNLIKELY(rc != SQLITE_OK)) return bind_failed(s, p, i, rc, err);
    }
    return WB_OK;
}

wb_code sq_bind_new_key(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, wb_error *err)
{
    for (uint32_t j = 0; j < p->nkey; j++) {
        uint32_t i = p->key[j];
        int rc = sq_bind(s, st, (int)i + 1, new_value(c, i), (sq_class)p->cols[i].cls);
        if (rc != SQLITE_OK) return bind_failed(s, p, i, rc, err);
    }
    return WB_OK;
}

static wb_code bind_old_column(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, uint32_t i,
                               wb_error *err)
{
    const wb_value *v = old_value(c, i);
    int rc;
    if (WB_UNLIKELY(!v || !sent(v))) {
        return wb_fail(err, WB_E_DATA, WB_POISON, "a change of table %s came without the old value of column %s",
                       p->name, p->table->cols[i].name.ptr);
    }
    rc = sq_bind(s, st, (int)(p->ncols + 1 + i), v, (sq_class)p->cols[i].cls);
    return WB_LIKELY(rc == SQLITE_OK) ? WB_OK : bind_failed(s, p, i, rc, err);
}

wb_code sq_bind_old(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, bool whole, wb_error *err)
{
    wb_code code = WB_OK;
    if (whole || !p->nkey) {
        for (uint32_t i = 0; i < p->ncols && !code; i++) code = bind_old_column(s, p, st, c, i, err);
    } else {
        for (uint32_t j = 0; j < p->nkey && !code; j++) code = bind_old_column(s, p, st, c, p->key[j], err);
    }
    return code;
}

wb_code sq_step(sq_target *s, sq_plan *p, sqlite3_stmt *st, bool *taken, wb_error *err)
{
    int rc = sqlite3_step(st);
    *taken = false;
    if (WB_LIKELY(rc == SQLITE_DONE)) {
        sqlite3_reset(st);
        return WB_OK;
    }
    rc = sqlite3_extended_errcode(s->db);
    if (rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID) {
        sqlite3_reset(st);
        *taken = true;
        return WB_OK;
    }
    wb_code code = sq_fail(s, rc, err, "writing a row of table %s", p->name);
    sqlite3_reset(st);
    return code;
}

wb_code sq_step_free(sq_target *s, sq_plan *p, sqlite3_stmt *st, wb_error *err)
{
    bool taken;
    wb_code code = sq_step(s, p, st, &taken, err);
    if (code || !taken) return code;
    return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "a key of table %s is taken although its row was moved away", p->name);
}

/* "id=7, lang=de": the old key, for people. */
static void key_text(const sq_plan *p, const wb_change *c, wb_out *o)
{
    for (uint32_t j = 0; j < p->nkey; j++) {
        const wb_column *col = &p->table->cols[p->key[j]];
        const wb_value *v = old_value(c, p->key[j]);
        wb_out_printf(o, "%s%s=", j ? ", " : "", col->name.ptr);
        if (v && (v->flags & WB_V_TEXT))
            wb_out_put(o, v->as.ptr, WB_MIN(v->len, 60u));
        else if (v && (v->kind == WB_INT || v->kind == WB_UINT))
            wb_out_i64(o, v->as.i);
        else
            wb_out_byte(o, '?');
    }
    wb_out_byte(o, 0);
}

static wb_code missing_row(sq_target *s, sq_plan *p, const wb_change *c, wb_error *err)
{
    wb_out o = {0};
    wb_code code = WB_OK;
    if (c->flags & WB_C_COPYING) return WB_OK; /* its row comes with the copy, newer than this */
    key_text(p, c, &o);
    if (p->stale) {
        if (!p->warned_missing) {
            p->warned_missing = true;
            wb_host_log(s->host, WB_LOG_WARN,
                        "table %s is stale: an update of a row that it does not have (%s) is left out", p->name,
                        o.failed ? "?" : o.p);
        }
    } else {
        code = wb_fail(err, WB_E_STATE, WB_NEVER,
                       "table %s has no row %s, and the update does not carry all of its columns", p->name,
                       o.failed ? "?" : o.p);
        wb_hint(err, "The mirror began without the older rows, or was edited. Take a new snapshot, or set REPLICA "
                     "IDENTITY FULL at the source.");
    }
    wb_out_fini(&o);
    return code;
}

static wb_code insert_row(sq_target *s, sq_plan *p, const wb_change *c, bool upsert, wb_error *err)
{
    sqlite3_stmt *st;
    bool taken = false;
    /* Whole old rows may come later for the row in the way: it waits. Else whoever has this key is gone at the source.
     */
    wb_code code = sq_statement(s, p, upsert && p->nkey ? SQ_UPSERT : SQ_INSERT, NULL, &st, err);
    if (!code) code = sq_bind_new(s, p, st, c, NULL, err);
    if (!code) code = sq_step(s, p, st, &taken, err);
    if (code || !taken) return code;
    if (!p->full) return insert_row(s, p, c, true, err);
    code = sq_park_occupant(s, p, c, err);
    return code ? code : sq_step_free(s, p, st, err);
}

/* Which columns the change brings, as bits of p->sent; true: all. */
static bool find_sent(sq_plan *p, const wb_change *c)
{
    bool all = true;
    memset(p->sent, 0, p->words * sizeof *p->sent);
    for (uint32_t i = 0; i < p->ncols; i++) {
        if (WB_LIKELY(sent(new_value(c, i))))
            p->sent[i / 64] |= (uint64_t)1 << (i % 64);
        else
            all = false;
    }
    return all;
}

/* Is there anything to set? The key counts only when it moves. */
static bool anything_sent(const sq_plan *p, bool move)
{
    for (uint32_t i = 0; i < p->ncols; i++) {
        if ((move || !p->cols[i].key) && (p->sent[i / 64] >> (i % 64) & 1)) return true;
    }
    return false;
}

/* Update the row; a key that is taken is freed and tried again. */
static wb_code update_row(sq_target *s, sq_plan *p, const wb_change *c, bool move, wb_error *err)
{
    sqlite3_stmt *st;
    bool taken;
    wb_code code = sq_statement(s, p, move ? SQ_MOVE : SQ_UPDATE, p->sent, &st, err);
    if (!code) code = sq_bind_new(s, p, st, c, p->sent, err);
    if (!code) code = sq_bind_old(s, p, st, c, false, err);
    if (!code) code = sq_step(s, p, st, &taken, err);
    if (code || !taken) return code;
    code = sq_park_occupant(s, p, c, err);
    return code ? code : sq_step_free(s, p, st, err);
}

/* A generated column that was not sent may have changed with the others. One that the source says is unchanged has not.
 */
static wb_code look_for_computed(sq_target *s, sq_plan *p, const wb_change *c, wb_error *err)
{
    for (uint32_t i = 0; i < p->ncols; i++)
        if (p->table->cols[i].flags & WB_COL_GENERATED && new_value(c, i)->kind == WB_ABSENT)
            return sq_make_stale(s, p, p->table->cols[i].name.ptr, err);
    return WB_OK;
}

static wb_code apply_update(sq_target *s, sq_plan *p, const wb_change *c, wb_error *err)
{
    bool all = find_sent(p, c), move = p->nkey && (c->flags & WB_C_KEY_CHANGED), found = false;
    wb_code code = !all && p->generates && !p->stale ? look_for_computed(s, p, c, err) : WB_OK;
    if (WB_UNLIKELY(code != WB_OK)) return code;
    if (WB_UNLIKELY(p->parked)) {
        code = sq_park_apply(s, p, c, p->sent, &found, err);
        if (code || found) return code;
    }
    if (!anything_sent(p, move)) return all ? insert_row(s, p, c, true, err) : WB_OK; /* nothing is news (D21) */
    code = update_row(s, p, c, move, err);
    if (code || sqlite3_changes(s->db) > 0) return code;
    if (!p->nkey) {
        if (!p->warned_missing && !(c->flags & WB_C_COPYING))
            wb_host_log(s->host, WB_LOG_WARN, "an update found no row of table %s that equals the old one", p->name);
        p->warned_missing = true;
        return all ? insert_row(s, p, c, false, err) : WB_OK;
    }
    return all ? insert_row(s, p, c, true, err) : missing_row(s, p, c, err);
}

static wb_code apply_delete(sq_target *s, sq_plan *p, const wb_change *c, wb_error *err)
{
    sqlite3_stmt *st;
    bool taken, found = false;
    wb_code code = WB_OK;
    if (WB_UNLIKELY(p->parked)) {
        code = sq_park_apply(s, p, c, NULL, &found, err);
        if (code || found) return code;
    }
    code = sq_statement(s, p, SQ_DELETE, NULL, &st, err);
    if (!code) code = sq_bind_old(s, p, st, c, false, err);
    if (!code) code = sq_step(s, p, st, &taken, err);
    return code;
}

static wb_code apply_truncate(sq_target *s, sq_plan *p, wb_error *err)
{
    sqlite3_stmt *st;
    bool taken;
    wb_code code = sq_statement(s, p, SQ_EMPTY, NULL, &st, err);
    if (!code) code = sq_step(s, p, st, &taken, err);
    if (code || !p->parked) return code;
    s->parked -= p->parked;
    p->parked = 0;
    code = sq_statement(s, p, SQ_PARK_EMPTY, NULL, &st, err);
    return code ? code : sq_step(s, p, st, &taken, err);
}

static wb_code without_rows(const wb_change *c, const sq_plan *p, wb_error *err)
{
    return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "a change of table %s (operation %d) came without its row", p->name,
                   c->op);
}

wb_code sq_mirror_apply(sq_target *s, const wb_change *c, wb_error *err)
{
    sq_plan *p = s->last;
    wb_code code;
    if (c->op == WB_MESSAGE) return WB_OK;
    if (WB_UNLIKELY(c->op == WB_DDL)) {
        if (c->ddl && c->ddl->kind == WB_DDL_DROP) return sq_follow_drop(s, c->table, err);
        if (!c->table->name.len) return WB_OK; /* a schema is nothing here */
        code = c->ddl && c->ddl->before ? sq_follow_rename(s, c->ddl->before, c->table, err) : WB_OK;
        if (code || !c->table->ncols) return code; /* no columns: gone again, the source knows the name only */
        p = s->last;
    }
    if (WB_UNLIKELY(!p || p->serial != c->table->serial)) {
        code = sq_plan_get(s, c->table, &p, err);
        if (code) return code;
        s->last = p;
    }
    if (s->scratch_used) {
        wb_arena_reset(&s->scratch);
        s->scratch_used = false;
    }
    switch (c->op) {
    case WB_READ:
        if (wb_is_empty_table(c)) return WB_OK; /* the plan above has made it */
        return insert_row(s, p, c, true, err);
    case WB_INSERT: return c->after ? insert_row(s, p, c, false, err) : without_rows(c, p, err);
    case WB_UPDATE: return c->after ? apply_update(s, p, c, err) : without_rows(c, p, err);
    case WB_DELETE: return c->before ? apply_delete(s, p, c, err) : without_rows(c, p, err);
    case WB_TRUNCATE: return apply_truncate(s, p, err);
    default: return WB_OK; /* DDL: the plan above has followed it */
    }
}

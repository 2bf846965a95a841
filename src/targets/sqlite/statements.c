/* statements.c: the SQL of one table version and a bounded cache of prepared statements. New values are ?1…?n, the old
 * row's are ?n+1…?2n, by column; a parked row's rowid is ?2n+1. Called by mirror.c and park.c. */
#include <stdio.h>

#include "targets/sqlite/sqlite_target.h"

static bool is_sent(const uint64_t *sent, size_t i) { return (sent[i / 64] >> (i % 64) & 1) != 0; }

static void put_columns(wb_out *o, const sq_plan *p)
{
    for (uint32_t i = 0; i < p->ncols; i++) wb_out_printf(o, "%s%s", i ? "," : "", p->cols[i].q);
    for (size_t i = 0; i < p->nkept; i++) wb_out_printf(o, ",%s", p->kept[i]);
}

/* "a" = ?9 AND "b" = ?10: the key, among the new (base 1) or the old values (base n+1). */
static void put_key(wb_out *o, const sq_plan *p, uint32_t base)
{
    for (uint32_t j = 0; j < p->nkey; j++)
        wb_out_printf(o, "%s%s = ?%u", j ? " AND " : "", p->cols[p->key[j]].q, base + p->key[j]);
}

/* SQLite allows a depth of 1,000 in an expression, and a chain of ANDs is as deep as it is long: in groups it is not.
 */
enum { AND_GROUP = 64 };
static void put_and(wb_out *o, uint32_t i, uint32_t n)
{
    if (i && i % AND_GROUP == 0) wb_out_byte(o, ')'); /* n > AND_GROUP, or i would not be here */
    if (i) wb_out_z(o, " AND ");
    if (i % AND_GROUP == 0 && n > AND_GROUP) wb_out_byte(o, '(');
}

/* The one row that the old values name. Without a key: the first of those equal in every column (D20). */
static void put_old_row(wb_out *o, const sq_plan *p)
{
    wb_out_z(o, " WHERE ");
    if (p->nkey) {
        put_key(o, p, p->ncols + 1);
        return;
    }
    wb_out_printf(o, "%s = (SELECT %s FROM %s WHERE ", p->rowid, p->rowid, p->q);
    for (uint32_t i = 0; i < p->ncols; i++) {
        put_and(o, i, p->ncols);
        wb_out_printf(o, "%s IS ?%u", p->cols[i].q, p->ncols + 1 + i);
    }
    wb_out_z(o, p->ncols > AND_GROUP ? ") LIMIT 1)" : " LIMIT 1)");
}

static void put_insert(wb_out *o, const sq_plan *p, bool upsert)
{
    bool first = true;
    wb_out_printf(o, "INSERT INTO %s (", p->q);
    put_columns(o, p);
    wb_out_z(o, ") VALUES (");
    for (uint32_t i = 0; i < p->ncols; i++) wb_out_printf(o, "%s?%u", i ? "," : "", i + 1);
    for (size_t i = 0; i < p->nkept; i++) wb_out_z(o, ",NULL");
    wb_out_byte(o, ')');
    if (!upsert) return;
    wb_out_z(o, " ON CONFLICT (");
    for (uint32_t j = 0; j < p->nkey; j++) wb_out_printf(o, "%s%s", j ? "," : "", p->cols[p->key[j]].q);
    wb_out_z(o, ") DO ");
    for (uint32_t i = 0; i < p->ncols; i++) {
        if (p->cols[i].key) continue;
        wb_out_printf(o, "%s%s = excluded.%s", first ? "UPDATE SET " : ", ", p->cols[i].q, p->cols[i].q);
        first = false;
    }
    if (first) wb_out_z(o, "NOTHING");
}

static void put_update(wb_out *o, const sq_plan *p, const uint64_t *sent, bool move)
{
    bool first = true;
    wb_out_printf(o, "UPDATE %s", p->q);
    for (uint32_t i = 0; i < p->ncols; i++) {
        if (!is_sent(sent, i) || (p->cols[i].key && !move)) continue;
        wb_out_printf(o, "%s%s = ?%u", first ? " SET " : ", ", p->cols[i].q, i + 1);
        first = false;
    }
    put_old_row(o, p);
}

/* The parking table: pN are the keys that the rows had, cN all their columns, untyped so that nothing is converted. */
static void put_park(wb_out *o, const sq_plan *p, sq_kind kind, const uint64_t *sent)
{
    uint32_t all = p->ncols + (uint32_t)p->nkept, rowid = 2 * p->ncols + 1;
    long long id = (long long)p->table_id;
    if (kind == SQ_PARK) {
        wb_out_printf(o, "INSERT INTO temp._walbrook_park_%lld SELECT ", id);
        for (uint32_t j = 0; j < p->nkey; j++) wb_out_printf(o, "%s,", p->cols[p->key[j]].q);
        put_columns(o, p);
        wb_out_printf(o, " FROM %s WHERE ", p->q);
        put_key(o, p, 1);
    } else if (kind == SQ_PARK_FIND) {
        wb_out_printf(o, "SELECT rowid FROM temp._walbrook_park_%lld WHERE ", id);
        for (uint32_t j = 0; j < p->nkey; j++) wb_out_printf(o, "p%u = ?%u AND ", j, p->ncols + 1 + p->key[j]);
        for (uint32_t i = 0; i < p->ncols; i++) {
            put_and(o, i, p->ncols);
            wb_out_printf(o, "c%u IS ?%u", i, p->ncols + 1 + i);
        }
        wb_out_z(o, p->ncols > AND_GROUP ? ") LIMIT 1" : " LIMIT 1");
    } else if (kind == SQ_PARK_TAKE) {
        wb_out_printf(o, "DELETE FROM temp._walbrook_park_%lld WHERE rowid = ?%u", id, rowid);
    } else if (kind == SQ_PARK_EMPTY) {
        wb_out_printf(o, "DELETE FROM temp._walbrook_park_%lld", id);
    } else {
        wb_out_printf(o, "INSERT INTO %s (", p->q);
        put_columns(o, p);
        wb_out_z(o, ") SELECT ");
        for (uint32_t i = 0; i < all; i++) {
            bool given = i < p->ncols && is_sent(sent, i);
            wb_out_printf(o, given ? "%s?%u" : "%sc%u", i ? "," : "", given ? i + 1 : i);
        }
        wb_out_printf(o, " FROM temp._walbrook_park_%lld WHERE rowid = ?%u", id, rowid);
    }
}

static void put_sql(wb_out *o, const sq_plan *p, sq_kind kind, const uint64_t *sent)
{
    wb_out_reset(o);
    switch (kind) {
    case SQ_INSERT: put_insert(o, p, false); break;
    case SQ_UPSERT: put_insert(o, p, true); break;
    case SQ_DELETE:
        wb_out_printf(o, "DELETE FROM %s", p->q);
        put_old_row(o, p);
        break;
    case SQ_EMPTY: wb_out_printf(o, "DELETE FROM %s", p->q); break;
    case SQ_EVICT:
        wb_out_printf(o, "DELETE FROM %s WHERE ", p->q);
        put_key(o, p, 1);
        break;
    case SQ_UPDATE: put_update(o, p, sent, false); break;
    case SQ_MOVE: put_update(o, p, sent, true); break;
    default: put_park(o, p, kind, sent); break;
    }
    wb_out_byte(o, 0);
}

/* ---------------------------------------------------------------- the cache */

static void unlink_stmt(sq_target *s, sq_stmt *q)
{
    if (q->newer)
        q->newer->older = q->older;
    else
        s->newest = q->older;
    if (q->older)
        q->older->newer = q->newer;
    else
        s->oldest = q->newer;
}

static void push_newest(sq_target *s, sq_stmt *q)
{
    q->newer = NULL;
    q->older = s->newest;
    if (s->newest)
        s->newest->newer = q;
    else
        s->oldest = q;
    s->newest = q;
}

static void drop_stmt(sq_target *s, sq_stmt *q)
{
    sq_plan *p = q->plan;
    if (q->kind < SQ_FIXED) {
        p->fixed[q->kind] = NULL;
    } else {
        sq_stmt **at = &p->partial;
        while (*at != q) at = &(*at)->sibling;
        *at = q->sibling;
        p->npartial--;
    }
    unlink_stmt(s, q);
    sqlite3_finalize(q->stmt);
    s->nstatements--;
    s->statement_bytes -= q->bytes;
    free(q);
}

void sq_statements_drop(sq_target *s, sq_plan *p)
{
    for (int i = 0; i < SQ_FIXED; i++) {
        if (p->fixed[i]) drop_stmt(s, p->fixed[i]);
    }
    while (p->partial) drop_stmt(s, p->partial);
}

static sq_stmt *find_partial(sq_plan *p, sq_kind kind, const uint64_t *sent)
{
    for (sq_stmt **at = &p->partial; *at; at = &(*at)->sibling) {
        sq_stmt *q = *at;
        if (q->kind != kind || memcmp(q->sent, sent, p->words * sizeof *sent) != 0) continue;
        *at = q->sibling; /* to the front: mostly the same columns come again */
        q->sibling = p->partial;
        p->partial = q;
        return q;
    }
    return NULL;
}

/* The one with a bitmap that was not used for the longest time. */
static void drop_partial(sq_target *s, sq_plan *p)
{
    sq_stmt *q = s->oldest;
    while (q && (q->plan != p || q->kind < SQ_FIXED)) q = q->newer;
    if (q) drop_stmt(s, q);
}

/* Rows that come for another table each need the pages that those tables end in: a root and a leaf at least, or every
 * row would read them again. */
enum { TABLE_PAGES = 16 * 1024 };
static wb_code widen_cache(sq_target *s, wb_error *err)
{
    char sql[64];
    int64_t share = wb_host_memory(s->host);
    if (s->wide || (int64_t)s->nstatements * TABLE_PAGES < share) return WB_OK;
    s->wide = true;
    (void)snprintf(sql, sizeof sql, "PRAGMA cache_size = -%lld", (long long)(2 * share / 1024));
    return sq_exec(s, err, sql);
}

static wb_code make(sq_target *s, sq_plan *p, sq_kind kind, const uint64_t *sent, sq_stmt **out, wb_error *err)
{
    size_t bits = kind < SQ_FIXED ? 0 : p->words * sizeof *sent;
    sq_stmt *q = calloc(1, sizeof *q + bits);
    int rc;
    if (!q) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for a statement on table %s", p->name);
    put_sql(&s->sql, p, kind, sent);
    if (s->sql.failed) {
        free(q);
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the SQL of table %s", p->name);
    }
    rc = sqlite3_prepare_v3(s->db, s->sql.p, (int)s->sql.len, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL);
    if (rc != SQLITE_OK) {
        free(q);
        return sq_fail(s, rc, err, "preparing a statement for table %s", p->name);
    }
    q->plan = p;
    q->kind = kind;
    if (kind < SQ_FIXED) {
        p->fixed[kind] = q;
    } else {
        if (p->npartial == SQ_PARTIAL) drop_partial(s, p);
        p->npartial++;
        memcpy(q->sent, sent, bits);
        q->sibling = p->partial;
        p->partial = q;
    }
    push_newest(s, q);
    q->bytes = (size_t)sqlite3_stmt_status(q->stmt, SQLITE_STMTSTATUS_MEMUSED, 0) + sizeof *q + bits;
    s->statement_limit = (size_t)WB_MAX(wb_host_memory(s->host), (int64_t)1 << 20);
    s->nstatements++;
    s->statement_bytes += q->bytes;
    /* A change may hold several: the newest ones stay, whatever they take. */
    while (s->statement_bytes > s->statement_limit && s->nstatements > SQ_LEAST) drop_stmt(s, s->oldest);
    *out = q;
    return widen_cache(s, err);
}

wb_code sq_statement(sq_target *s, sq_plan *p, sq_kind kind, const uint64_t *sent, sqlite3_stmt **out, wb_error *err)
{
    sq_stmt *q = kind < SQ_FIXED ? p->fixed[kind] : p->partial;
    if (q && kind >= SQ_FIXED && (q->kind != kind || memcmp(q->sent, sent, p->words * sizeof *sent) != 0))
        q = find_partial(p, kind, sent);
    if (!q) {
        wb_code code = make(s, p, kind, sent, &q, err);
        if (code) return code;
    } else if (q->newer) {
        unlink_stmt(s, q);
        push_newest(s, q);
    }
    *out = q->stmt;
    return WB_OK;
}

/* copy_chunk.c: chunks to connections, rows into batches. Rows of several chunks interleave. A row is handed over when
 * the next one is there, because the last one of a table, and of the snapshot, says so. Called by copy_turn.c. */
#include "copy.h"

#include "base/clock.h"

enum { TELL_US = 200000, IN_ORDER_US = 50000, VISIT = 512 /* rows of one connection before the next one's */ };

/* ---------------------------------------------------------------- batches */

static wb_code begin_piece(sql_copy *c, wb_error *err)
{
    wb_pos at = {NULL, 0};
    wb_code code = c->ops->position(c->source, c->seq, c->batch, &at, err);
    wb_txn *t = code == WB_OK ? wb_batch_txn(c->batch) : NULL;
    if (code == WB_OK && !t) code = sql_copy_nomem(err);
    if (code != WB_OK) return code;
    t->commit_us = c->taken_us;
    t->at = at;
    t->flags = WB_TXN_SNAPSHOT | (c->begun ? 0 : WB_TXN_BEGIN);
    code = c->ops->piece(c->source, c->batch, t, err);
    if (c->reset && !c->begun) wb_batch_set_reset(c->batch, c->again);
    wb_batch_set_targets(c->batch, c->mask);
    c->begun = true;
    c->in_batch = true;
    return code;
}

wb_code sql_copy_room(sql_copy *c, size_t need, wb_error *err)
{
    bool full = c->batch && wb_batch_count(c->batch) && (wb_batch_full(c->batch) || need);
    if (WB_UNLIKELY(full || (c->batch && need > c->batch_room))) {
        wb_batch *b = c->batch;
        bool holds = wb_batch_last_txn(b) != NULL;
        c->batch = NULL;
        c->in_batch = false;
        if (!holds) {
            wb_host_drop(c->host, b);
        } else {
            wb_code code = wb_host_put(c->host, b, err);
            if (code != WB_OK) return code;
        }
    }
    if (WB_UNLIKELY(!c->batch)) {
        c->batch = wb_host_take(c->host, need);
        c->batch_room = need;
        if (!c->batch) return WB_AGAIN;
    }
    return WB_UNLIKELY(!c->in_batch) ? begin_piece(c, err) : WB_OK;
}

/* ---------------------------------------------------------------- rows */

static wb_change *add_change(sql_copy *c, wb_op op, const wb_table *t)
{
    wb_change *change = wb_batch_change(c->batch);
    wb_batch_table(c->batch, t);
    change->op = (uint8_t)op;
    change->table = t;
    change->ordinal = c->ordinal++;
    change->place = c->place;
    return change;
}

static wb_code too_long(sql_copy *c, const wb_table *t, size_t len, wb_error *err)
{
    wb_fail(err, WB_E_LIMIT, WB_NEVER, "A row of %s.%s has %zu bytes, more than max_row allows (%lld).", t->schema.ptr,
            t->name.ptr, len, (long long)wb_host_max_row(c->host));
    wb_hint(err, "Raise max_row in the pipeline file.");
    return WB_E_LIMIT;
}

static wb_code hand_over(sql_copy *c, sql_worker *w, wb_error *err)
{
    sql_copy_table *ct = w->job->own;
    const wb_table *read = ct->narrow ? ct->narrow : ct->table;
    if (WB_UNLIKELY((int64_t)w->len > wb_host_max_row(c->host))) return too_long(c, ct->table, w->len, err);
    wb_code code = sql_copy_room(c, c->ops->room(read, w->len), err);
    if (code == WB_OK) code = c->ops->row(c->source, read, w->row, w->len, c->batch, err);
    if (code != WB_OK) return code;
    wb_change *change = wb_batch_last_change(c->batch);
    if (WB_UNLIKELY(!change)) return sql_copy_nomem(err);
    if (WB_UNLIKELY(ct->narrow) && (code = sql_copy_widen(c, ct, change, err)) != WB_OK) return code;
    change->ordinal = c->ordinal++;
    change->place = c->place;
    if (WB_UNLIKELY(!ct->begun)) change->flags |= WB_C_FIRST_OF_TABLE;
    if (WB_UNLIKELY(!c->any_rows)) change->flags |= WB_C_FIRST_OF_SNAPSHOT;
    ct->begun = c->any_rows = true;
    c->bytes += w->len;
    c->copied++;
    c->ops->release(w, w->row);
    w->row = NULL;
    return WB_OK;
}

/* An empty table is told of by a READ without a row. */
static wb_code tell_empty(sql_copy *c, sql_copy_table *ct, wb_error *err)
{
    wb_code code = sql_copy_room(c, 0, err);
    if (code != WB_OK) return code;
    wb_change *change = add_change(c, WB_READ, ct->table);
    change->flags = (uint8_t)(WB_C_FIRST_OF_TABLE | WB_C_LAST_OF_TABLE | (c->any_rows ? 0 : WB_C_FIRST_OF_SNAPSHOT));
    ct->begun = c->any_rows = true;
    return WB_OK;
}

void sql_copy_tell(sql_copy *c, const wb_table *t, bool now)
{
    int64_t us = wb_mono_us();
    if (t) c->telling = t;
    if (!c->telling) return;
    if (!now && us - c->told_us < TELL_US) return;
    c->told_us = us;
    wb_host_progress(c->host, c->telling, (int64_t)c->copied, c->total > 0 ? WB_MAX(c->total, (int64_t)c->copied) : -1);
}

/* ---------------------------------------------------------------- chunks */

static wb_code take_ref(sql_copy *c, const sql_job *j, size_t chunk, wb_error *err)
{
    if (c->nrefs == c->cap_refs) {
        size_t cap = c->cap_refs ? c->cap_refs * 2 : 64;
        sql_ref *bigger = realloc(c->refs, cap * sizeof *bigger);
        if (!bigger) return sql_copy_nomem(err);
        c->refs = bigger;
        c->cap_refs = cap;
    }
    c->refs[c->nrefs++] = (sql_ref){j->table, j->stamp, (uint32_t)chunk};
    return WB_OK;
}

/* Is any chunk of it left that nobody reads, for anybody here? */
static bool is_left(const sql_copy *c, const sql_job *j)
{
    for (size_t k = 0; k < j->n; k++)
        if (!j->chunks[k].taken && sql_chunk_lacks(j, &j->chunks[k], c->running)) return true;
    return false;
}

static bool was_begun(const sql_job *j)
{
    for (size_t k = 0; k < j->n; k++)
        if (j->chunks[k].taken || j->chunks[k].given) return true;
    return false;
}

static bool round_is_over(const sql_copy *c) { return c->lone && wb_mono_us() > c->round_until; }

/* The next chunk for exactly `mask` (0: for anybody), on `w` (NULL: on any connection). The job's emptying comes before
 * all else of it; when the stream shall go on, only what must be of one snapshot is finished. */
bool sql_copy_pick(sql_copy *c, const sql_worker *w, uint64_t mask, sql_job **job, size_t *chunk)
{
    bool over = round_is_over(c);
    for (size_t i = c->cursor; i < c->ledger.n; i++) {
        sql_job *j = c->ledger.jobs[i];
        if (!j->own || !is_left(c, j)) {
            if (i == c->cursor) c->cursor++;
            continue;
        }
        if (over && ((j->flags & SQL_JOB_KEYED) || !was_begun(j))) continue;
        if (c->ops->ready && !c->ops->ready(c->source, j, w)) continue;
        for (size_t k = 0; k < j->n; k++) {
            uint64_t lacks = sql_chunk_lacks(j, &j->chunks[k], c->running);
            if (lacks && !j->chunks[k].taken && (!mask || lacks == mask)) {
                *job = j;
                *chunk = k;
                return true;
            }
            if (k == 0 && lacks && j->chunks[0].kind == SQL_CHUNK_TRUNCATE && !(j->chunks[0].taken && lacks == mask))
                break; /* in another turn */
        }
    }
    return false;
}

static void say_begin(sql_copy *c, const sql_job *j)
{
    const sql_copy_table *ct = j->own;
    if (!was_begun(j))
        wb_host_log(c->host, WB_LOG_INFO, "copies %s.%s (about %lld rows)", ct->table->schema.ptr, ct->table->name.ptr,
                    (long long)WB_MAX(j->rows, (int64_t)0));
    sql_copy_tell(c, ct->table, false);
}

static wb_code empty_table(sql_copy *c, sql_job *j, wb_error *err)
{
    const sql_copy_table *ct = j->own;
    wb_code code = sql_copy_room(c, 0, err);
    if (code != WB_OK) return code;
    (void)add_change(c, WB_TRUNCATE, ct->table);
    j->chunks[0].taken = true;
    return take_ref(c, j, 0, err);
}

static wb_code start(sql_copy *c, sql_worker *w, sql_job *j, size_t chunk, wb_error *err)
{
    wb_code code = c->ops->start(c->source, w, j, chunk, err);
    if (code != WB_OK) return code;
    w->job = j;
    w->chunk = chunk;
    w->begun = ++c->begins;
    w->ended = w->dry = false;
    j->chunks[chunk].taken = true;
    j->open++;
    return WB_OK;
}

/* While the turn closes it is begun for the next one, and not read yet. */
wb_code sql_copy_assign(sql_copy *c, wb_error *err)
{
    for (size_t i = 0; i < c->nworkers; i++) {
        sql_worker *w = &c->workers[i];
        sql_job *j;
        size_t chunk;
        while (!w->job && sql_copy_pick(c, w, c->closing ? 0 : c->mask, &j, &chunk)) {
            bool truncates = j->chunks[chunk].kind == SQL_CHUNK_TRUNCATE;
            if (c->closing && truncates) return WB_OK;
            say_begin(c, j);
            wb_code code = truncates ? empty_table(c, j, err) : start(c, w, j, chunk, err);
            if (code != WB_OK) return code;
            w->early = c->closing;
        }
    }
    return WB_OK;
}

/* All of its rows are read: the last one goes out, and the chunk is in the turn. */
static wb_code finish_chunk(sql_copy *c, sql_worker *w, wb_error *err)
{
    sql_job *j = w->job;
    sql_copy_table *ct = j->own;
    bool last = j->open == 1 && !is_left(c, j);
    if (w->row) {
        wb_code code = hand_over(c, w, err);
        if (code != WB_OK) return code;
        if (last) wb_batch_last_change(c->batch)->flags |= WB_C_LAST_OF_TABLE;
    }
    bool whole = true; /* nothing of the table was handed over before this session */
    for (size_t k = 0; k < j->n; k++) whole = whole && !(j->chunks[k].done & c->mask);
    if (last && whole && !ct->begun) {
        wb_code code = tell_empty(c, ct, err);
        if (code != WB_OK) return code;
    }
    wb_code code = take_ref(c, j, w->chunk, err);
    if (code != WB_OK) return code;
    if (last) sql_copy_tell(c, ct->table, true);
    j->open--;
    w->job = NULL;
    return WB_OK;
}

/* Rows of one connection. WB_AGAIN: no budget. *dry: it has none now. */
static wb_code visit(sql_copy *c, sql_worker *w, bool *dry, wb_error *err)
{
    wb_code code = WB_OK;
    for (int i = 0; i < VISIT && code == WB_OK; i++) {
        if (w->ended) return finish_chunk(c, w, err);
        if (!w->next) {
            code = c->ops->read(c->source, w, dry, err);
            if (code != WB_OK || *dry || !w->next) {
                if (code == WB_OK && !*dry) continue;
                return code;
            }
        }
        if (w->row) code = hand_over(c, w, err);
        if (code != WB_OK) return code;
        w->row = w->next;
        w->len = w->next_len;
        w->next = NULL;
    }
    return code;
}

/* When targets are slower than the server, rows come chunk by chunk, in the order of their keys: databases take that
 * faster than two ranges at once. */
static bool in_order(const sql_copy *c) { return c->blocked_us && wb_mono_us() - c->blocked_us < IN_ORDER_US; }

bool sql_copy_wants(const sql_copy *c, const sql_worker *w)
{
    if (!w->job || w->early) return false;
    if (!in_order(c)) return true;
    for (size_t i = 0; i < c->nworkers; i++) {
        const sql_worker *o = &c->workers[i];
        if (o->job && !o->early && o->begun < w->begun) return false;
    }
    return true;
}

/* Some rows of everybody who has some. *dry: nobody has. */
wb_code sql_copy_visit(sql_copy *c, bool *dry, wb_error *err)
{
    *dry = true;
    for (size_t i = 0; i < c->nworkers; i++) {
        sql_worker *w = &c->workers[i];
        if (w->dry || !sql_copy_wants(c, w)) continue;
        wb_code code = visit(c, w, &w->dry, err);
        if (code != WB_OK) return code;
        *dry = *dry && w->dry;
    }
    return WB_OK;
}

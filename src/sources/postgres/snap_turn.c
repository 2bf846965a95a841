/* snap_turn.c: chunks into turns, rows into batches. A turn is a group of chunks that is handed over as one pseudo
 * transaction: a target has all of it or gets it again. It takes no new chunk after `snapshot_turn` and ends when those
 * that were begun are read; its note is in the state before its end goes out. Rows of several chunks interleave. A row
 * is handed over when the next one is there, because the last one of a table, and of the snapshot, says so. Source
 * thread. */
#include "pg.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"

enum {
    TELL_US = 200000,
    ROOM = 64 * 1024,
    BIG_ROW = 200 * 1024,
    VISIT = 512, /* rows of one connection before the next one's */
    TURN_BYTES = 256 << 20
};

/* ---------------------------------------------------------------- batches */

static void begin_piece(pg_source *s)
{
    pg_snap *n = &s->snap;
    uint8_t *at = wb_batch_alloc(s->batch, PG_TURN_LEN);
    size_t at_len = at ? pg_pos_make_turn(at, n->point, n->seq) : 0;
    size_t len = strlen(s->names.slot);
    wb_str log = {NULL, 0};
    if (!n->only) log = (wb_str){wb_batch_copy(s->batch, s->names.slot, len), len};
    wb_str database = pg_database_of(s, s->batch);
    wb_txn *t = wb_batch_txn(s->batch);
    t->log = log;
    t->database = database;
    t->commit_us = n->taken_us;
    t->at = (wb_pos){at, at_len};
    t->flags = WB_TXN_SNAPSHOT | (n->begun ? 0 : WB_TXN_BEGIN);
    if (n->reset && !n->begun) wb_batch_set_reset(s->batch, n->again);
    wb_batch_set_targets(s->batch, n->mask);
    n->begun = true;
    s->txn.in_batch = true;
}

/* A batch for a row of `len` bytes, the full one put. WB_AGAIN: no budget. */
static wb_code room_for_row(pg_source *s, uint32_t ncols, size_t len, wb_error *err)
{
    size_t need = len > BIG_ROW ? len + ROOM + 32 * (size_t)ncols : 0;
    bool full = s->batch && wb_batch_count(s->batch) && (wb_batch_full(s->batch) || need);
    if (WB_UNLIKELY(full || (s->batch && need > s->batch_room))) {
        wb_batch *b = s->batch;
        bool holds = wb_batch_last_txn(b) != NULL;
        s->batch = NULL;
        s->txn.in_batch = false;
        if (!holds) {
            wb_host_drop(s->host, b);
        } else {
            wb_code code = wb_host_put(s->host, b, err);
            if (code != WB_OK) return code;
        }
    }
    if (WB_UNLIKELY(!s->batch)) {
        s->batch = wb_host_take(s->host, need);
        s->batch_room = need;
        if (!s->batch) return WB_AGAIN;
    }
    if (WB_UNLIKELY(!s->txn.in_batch)) begin_piece(s);
    return WB_OK;
}

/* ---------------------------------------------------------------- rows */

static wb_change *add_change(pg_source *s, wb_op op, const wb_table *t)
{
    wb_change *c = wb_batch_change(s->batch);
    wb_batch_table(s->batch, t);
    c->op = (uint8_t)op;
    c->table = t;
    c->ordinal = s->snap.ordinal++;
    c->place = s->snap.point;
    return c;
}

/* Only some columns were read: the others are absent. */
static wb_code widen(pg_source *s, const pg_copy_table *ct, wb_change *c, wb_error *err)
{
    wb_value *all = wb_batch_values(s->batch, ct->table->ncols);
    if (!all || wb_batch_failed(s->batch)) return pg_nomem(err);
    for (uint32_t i = 0; i < ct->narrow->ncols; i++) all[ct->map[i]] = c->after[i];
    wb_batch_table(s->batch, ct->table);
    c->table = ct->table;
    c->after = all;
    return WB_OK;
}

static wb_code hand_over(pg_source *s, pg_worker *w, const char *p, size_t len, wb_error *err)
{
    pg_snap *n = &s->snap;
    pg_copy_table *ct = w->job->own;
    const wb_table *read = ct->narrow ? ct->narrow : ct->table;
    if (WB_UNLIKELY((int64_t)len > wb_host_max_row(s->host))) {
        wb_fail(err, WB_E_LIMIT, WB_NEVER, "A row of %s.%s has %zu bytes, more than max_row allows (%lld).",
                ct->table->schema.ptr, ct->table->name.ptr, len, (long long)wb_host_max_row(s->host));
        wb_hint(err, "Raise max_row in the pipeline file.");
        return WB_E_LIMIT;
    }
    wb_code code = room_for_row(s, read->ncols, len, err);
    if (code != WB_OK) return code;
    code = pg_copy_row(read, p, len, s->batch, err);
    if (code != WB_OK) return code;
    wb_change *c = wb_batch_last_change(s->batch);
    if (WB_UNLIKELY(!c)) return pg_nomem(err);
    if (WB_UNLIKELY(ct->narrow) && (code = widen(s, ct, c, err)) != WB_OK) return code;
    c->ordinal = n->ordinal++;
    c->place = n->point;
    if (WB_UNLIKELY(!ct->begun)) c->flags |= WB_C_FIRST_OF_TABLE;
    if (WB_UNLIKELY(!n->any_rows)) c->flags |= WB_C_FIRST_OF_SNAPSHOT;
    ct->begun = n->any_rows = true;
    n->bytes += len;
    n->copied++;
    return WB_OK;
}

/* An empty table is told of by a READ without a row. */
static wb_code tell_empty(pg_source *s, pg_copy_table *ct, wb_error *err)
{
    wb_code code = room_for_row(s, ct->table->ncols, 0, err);
    if (code != WB_OK) return code;
    wb_change *c = add_change(s, WB_READ, ct->table);
    c->flags = (uint8_t)(WB_C_FIRST_OF_TABLE | WB_C_LAST_OF_TABLE | (s->snap.any_rows ? 0 : WB_C_FIRST_OF_SNAPSHOT));
    ct->begun = s->snap.any_rows = true;
    return WB_OK;
}

static void tell_progress(pg_source *s, const wb_table *t, bool now)
{
    pg_snap *n = &s->snap;
    int64_t us = wb_mono_us();
    if (t) n->telling = t;
    if (!n->telling) return;
    if (!now && us - n->told_us < TELL_US) return;
    n->told_us = us;
    wb_host_progress(s->host, n->telling, (int64_t)n->copied, n->total > 0 ? WB_MAX(n->total, (int64_t)n->copied) : -1);
}

/* ---------------------------------------------------------------- chunks */

static wb_code take_ref(pg_source *s, const sql_job *j, size_t chunk, wb_error *err)
{
    pg_snap *n = &s->snap;
    if (n->nrefs == n->cap_refs) {
        size_t cap = n->cap_refs ? n->cap_refs * 2 : 64;
        sql_ref *bigger = realloc(n->refs, cap * sizeof *bigger);
        if (!bigger) return pg_nomem(err);
        n->refs = bigger;
        n->cap_refs = cap;
    }
    n->refs[n->nrefs++] = (sql_ref){j->table, j->stamp, (uint32_t)chunk};
    return WB_OK;
}

/* Is any chunk of it left that nobody reads, for anybody here? */
static bool is_left(const pg_source *s, const sql_job *j)
{
    for (size_t c = 0; c < j->n; c++)
        if (!j->chunks[c].taken && sql_chunk_lacks(j, &j->chunks[c], s->snap.running)) return true;
    return false;
}

static bool was_begun(const sql_job *j)
{
    for (size_t c = 0; c < j->n; c++)
        if (j->chunks[c].taken || j->chunks[c].given) return true;
    return false;
}

static bool round_is_over(const pg_source *s) { return s->snap.lone && wb_mono_us() > s->snap.round_until; }

/* The next chunk for exactly `mask` (0: for anybody). The job's emptying comes before all else of it; when the stream
 * shall go on, only what must be of one snapshot is finished. */
static bool pick(pg_source *s, uint64_t mask, sql_job **job, size_t *chunk)
{
    pg_snap *n = &s->snap;
    bool over = round_is_over(s);
    for (size_t i = n->cursor; i < n->ledger.n; i++) {
        sql_job *j = n->ledger.jobs[i];
        if (!j->own || !is_left(s, j)) {
            if (i == n->cursor) n->cursor++;
            continue;
        }
        if (over && ((j->flags & SQL_JOB_KEYED) || !was_begun(j))) continue;
        for (size_t c = 0; c < j->n; c++) {
            uint64_t lacks = sql_chunk_lacks(j, &j->chunks[c], n->running);
            if (lacks && !j->chunks[c].taken && (!mask || lacks == mask)) {
                *job = j;
                *chunk = c;
                return true;
            }
            if (c == 0 && lacks && j->chunks[0].kind == SQL_CHUNK_TRUNCATE && !(j->chunks[0].taken && lacks == mask))
                break; /* in another turn */
        }
    }
    return false;
}

static void say_begin(pg_source *s, const sql_job *j)
{
    const pg_copy_table *ct = j->own;
    if (!was_begun(j))
        wb_host_log(s->host, WB_LOG_INFO, "copies %s.%s (about %lld rows)", ct->table->schema.ptr, ct->table->name.ptr,
                    (long long)WB_MAX(j->rows, (int64_t)0));
    tell_progress(s, ct->table, false);
}

static wb_code empty_table(pg_source *s, sql_job *j, wb_error *err)
{
    const pg_copy_table *ct = j->own;
    wb_code code = room_for_row(s, ct->table->ncols, 0, err);
    if (code != WB_OK) return code;
    (void)add_change(s, WB_TRUNCATE, ct->table);
    j->chunks[0].taken = true;
    return take_ref(s, j, 0, err);
}

/* Work for those who have none. While the turn closes it is begun for the next one, and not read yet. */
static wb_code assign(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    for (size_t i = 0; i < n->nworkers; i++) {
        pg_worker *w = &n->workers[i];
        sql_job *j;
        size_t chunk;
        while (!w->job && pick(s, n->closing ? 0 : n->mask, &j, &chunk)) {
            bool truncates = j->chunks[chunk].kind == SQL_CHUNK_TRUNCATE;
            if (n->closing && truncates) return WB_OK;
            say_begin(s, j);
            wb_code code = truncates ? empty_table(s, j, err) : pg_worker_start(s, w, j, chunk, err);
            if (code != WB_OK) return code;
            w->early = n->closing;
        }
        if (!w->job) break;
    }
    return WB_OK;
}

/* All of its rows are read: the last one goes out, and the chunk is in the turn. */
static wb_code finish_chunk(pg_source *s, pg_worker *w, wb_error *err)
{
    sql_job *j = w->job;
    pg_copy_table *ct = j->own;
    bool last = j->open == 1 && !is_left(s, j);
    if (w->row) {
        wb_code code = hand_over(s, w, w->row, (size_t)w->len, err);
        if (code != WB_OK) return code;
        if (last) wb_batch_last_change(s->batch)->flags |= WB_C_LAST_OF_TABLE;
        PQfreemem(w->row);
        w->row = NULL;
    }
    bool whole = true; /* nothing of the table was handed over before this session */
    for (size_t c = 0; c < j->n; c++) whole = whole && !(j->chunks[c].done & s->snap.mask);
    if (last && whole && !ct->begun) {
        wb_code code = tell_empty(s, ct, err);
        if (code != WB_OK) return code;
    }
    wb_code code = take_ref(s, j, w->chunk, err);
    if (code != WB_OK) return code;
    if (last) tell_progress(s, ct->table, true);
    j->open--;
    w->job = NULL;
    return WB_OK;
}

/* Rows of one connection. WB_AGAIN: no budget. *dry: it has none now. */
static wb_code visit(pg_source *s, pg_worker *w, bool *dry, wb_error *err)
{
    wb_code code = WB_OK;
    for (int i = 0; i < VISIT && code == WB_OK; i++) {
        if (w->ended) return finish_chunk(s, w, err);
        if (!w->next) {
            code = pg_worker_read(w, dry, err);
            if (code != WB_OK || *dry || !w->next) {
                if (code == WB_OK && !*dry) continue;
                return code;
            }
        }
        if (w->row) {
            code = hand_over(s, w, w->row, (size_t)w->len, err);
            if (code != WB_OK) return code;
            PQfreemem(w->row);
        }
        w->row = w->next;
        w->len = w->next_len;
        w->next = NULL;
    }
    return code;
}

/* ---------------------------------------------------------------- turns */

static void open_turn(pg_source *s, uint64_t mask)
{
    pg_snap *n = &s->snap;
    n->turn = true;
    n->begun = n->closing = n->noted = false;
    n->seq = ++n->ledger.seq;
    n->mask = mask;
    n->nrefs = 0;
    n->bytes = 0;
    n->ordinal = 0;
    n->cursor = 0;
    n->turn_until = wb_mono_us() + s->snapshot_turn_ms * 1000;
    for (size_t i = 0; i < n->nworkers; i++) {
        pg_worker *w = &n->workers[i];
        if (w->job && w->early) w->early = sql_chunk_lacks(w->job, &w->job->chunks[w->chunk], n->running) != mask;
    }
}

/* For whom the next turn is. 0: nothing is left (of this round). */
static uint64_t next_mask(pg_source *s)
{
    pg_snap *n = &s->snap;
    sql_job *j = NULL;
    size_t chunk = 0;
    n->cursor = 0;
    for (size_t i = 0; i < n->nworkers; i++)
        if (n->workers[i].job)
            return sql_chunk_lacks(n->workers[i].job, &n->workers[i].job->chunks[n->workers[i].chunk], n->running);
    return pick(s, 0, &j, &chunk) ? sql_chunk_lacks(j, &j->chunks[chunk], n->running) : 0;
}

static void count_given(pg_source *s)
{
    pg_snap *n = &s->snap;
    for (size_t i = 0; i < n->nrefs; i++) {
        sql_job *j = sql_ledger_find(&n->ledger, n->refs[i].table);
        if (!j) continue;
        j->chunks[n->refs[i].chunk].given |= n->mask;
        j->chunks[n->refs[i].chunk].taken = false;
    }
}

/* The note is durable, then the end goes out, and with it what the batch still holds. */
static wb_code close_turn(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_code code = room_for_row(s, 0, 0, err);
    if (code != WB_OK) return code;
    if (!n->noted) {
        code = pg_snap_note(s, err);
        if (code != WB_OK) return code;
        n->noted = true;
    }
    count_given(s);
    bool all = !sql_ledger_lacks(&n->ledger, n->running);
    wb_change *last = wb_batch_last_change(s->batch);
    if (all && last && last->op == WB_READ) last->flags |= WB_C_LAST_OF_SNAPSHOT;
    uint8_t *end = wb_batch_alloc(s->batch, PG_TURN_LEN);
    if (!end) return pg_nomem(err);
    size_t len = pg_pos_make_turn(end, n->point, n->seq);
    wb_txn *t = wb_batch_last_txn(s->batch);
    t->flags |= WB_TXN_END;
    t->end = (wb_pos){end, len};
    wb_batch *b = s->batch;
    s->batch = NULL;
    s->txn.in_batch = false;
    code = wb_host_put(s->host, b, err);
    (void)WB_FAULT("postgres.turn_over");
    n->turn = false;
    n->reset = n->again = false;
    n->held &= ~n->mask;
    return code;
}

/* Targets that have nothing begin from nothing: a turn without rows. */
static wb_code reset_turn(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    if (!n->turn) {
        open_turn(s, n->fresh ? n->fresh : n->redo);
        n->reset = true;
        n->again = !n->fresh;
    }
    wb_code code = close_turn(s, err);
    if (code != WB_OK) return code;
    if (n->mask == n->fresh)
        n->fresh = 0;
    else
        n->redo = 0;
    return WB_OK;
}

static bool any_reading(const pg_snap *n)
{
    for (size_t i = 0; i < n->nworkers; i++)
        if (n->workers[i].job && !n->workers[i].early) return true;
    return false;
}

static void wait_for_rows(pg_source *s, int64_t until)
{
    pg_snap *n = &s->snap;
    struct pollfd fds[PG_WORKERS_MAX];
    pg_worker *who[PG_WORKERS_MAX];
    nfds_t many = 0;
    int64_t left = WB_MIN(until - wb_mono_us(), (int64_t)100000);
    for (size_t i = 0; i < n->nworkers; i++) {
        pg_worker *w = &n->workers[i];
        if (!w->job || w->early) continue;
        who[many] = w;
        fds[many++] = (struct pollfd){PQsocket(w->link.pg), POLLIN, 0};
    }
    if (poll(fds, many, left > 0 ? (int)(left / 1000 + 1) : 0) <= 0) return;
    for (nfds_t i = 0; i < many; i++)
        if (fds[i].revents) who[i]->dry = false;
}

static wb_code wait_for_budget(pg_source *s, int64_t until)
{
    int64_t left = until - wb_mono_us();
    struct pollfd fd = {wb_host_fd(s->host), POLLIN, 0};
    if (left > 0 && poll(&fd, 1, (int)(left / 1000 + 1)) > 0) wb_host_fd_clear(s->host);
    return WB_AGAIN;
}

/* Some rows of everybody who has some. *dry: nobody has. */
static wb_code visit_all(pg_source *s, bool *dry, wb_error *err)
{
    pg_snap *n = &s->snap;
    *dry = true;
    for (size_t i = 0; i < n->nworkers; i++) {
        pg_worker *w = &n->workers[i];
        if (!w->job || w->early || w->dry) continue;
        wb_code code = visit(s, w, &w->dry, err);
        if (code != WB_OK) return code;
        *dry = *dry && w->dry;
    }
    return WB_OK;
}

static void all_told(pg_source *s)
{
    wb_host_progress(s->host, NULL, 0, 0);
    wb_host_copying(s->host, sql_ledger_lacks(&s->snap.ledger, s->snap.running));
}

/* One step. WB_END: the round is over. */
static wb_code step(pg_source *s, int64_t until, wb_error *err)
{
    pg_snap *n = &s->snap;
    if (n->fresh || n->redo) return reset_turn(s, err);
    if (!n->turn) {
        uint64_t mask = next_mask(s);
        if (!mask) return WB_END;
        open_turn(s, mask);
    }
    if (wb_mono_us() > n->turn_until || n->bytes > TURN_BYTES) n->closing = true;
    wb_code code = assign(s, err);
    if (code != WB_OK) return code;
    if (!any_reading(n)) {
        code = close_turn(s, err);
        if (code == WB_OK && !sql_ledger_lacks(&n->ledger, n->running)) all_told(s);
        return code;
    }
    bool dry = false;
    code = visit_all(s, &dry, err);
    if (code == WB_OK && dry) wait_for_rows(s, until);
    if (code == WB_OK) tell_progress(s, NULL, false);
    return code;
}

wb_code pg_snap_turns(pg_source *s, int ms, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    for (;;) {
        wb_code code = step(s, until, err);
        if (s->started) {
            wb_code alive = pg_timers(s, err);
            if (code == WB_OK) code = alive;
        }
        if (code == WB_AGAIN) return wait_for_budget(s, until);
        if (code != WB_OK) return code;
        if (wb_mono_us() >= until || pg_stopped(s, s->host)) return WB_OK;
    }
}

/* ---------------------------------------------------------------- rounds */

wb_code pg_snap_begin_turns(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    wb_code code = pg_batch_put(s, err); /* what the stream brought before the point */
    if (code != WB_OK) return code;
    s->txn = (pg_txn){0};
    s->idle_to = 0;
    n->phase = PG_SNAP_TURNS;
    n->turn = false;
    n->copied = 0;
    n->lone = s->started && !n->fresh;
    for (size_t i = 0; i < n->ledger.n; i++)
        if (sql_job_lacks(n->ledger.jobs[i], n->running) && !(n->ledger.jobs[i]->flags & SQL_JOB_LONE)) n->lone = false;
    n->round_until = wb_mono_us() + s->snapshot_turn_ms * 1000;
    return WB_OK;
}

/* All of this round is handed over: the stream begins, or goes on. */
wb_code pg_snap_over(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    pg_snap_workers_close(s);
    n->phase = PG_SNAP_OFF;
    n->wanted = sql_ledger_lacks(&n->ledger, n->running);
    s->txn = (pg_txn){0};
    if (!n->wanted) all_told(s);
    if (n->only) { /* over for a target whose position has the last turn: it may not have answered yet */
        char last[24];
        (void)snprintf(last, sizeof last, "%llu", (unsigned long long)n->ledger.seq);
        wb_code code = sql_fact_put(s->host, "snapshot", last, err);
        (void)WB_FAULT("postgres.copy_over");
        return code;
    }
    return s->started ? WB_OK : pg_stream_start(s, s->start, err);
}

void pg_snap_close(pg_source *s)
{
    pg_snap *n = &s->snap;
    pg_snap_workers_close(s);
    pg_link_close(&n->maker);
    if (n->loaded) {
        pg_snap_undescribe(s);
        sql_ledger_fini(&n->ledger);
        wb_arena_fini(&n->arena);
    }
    free(n->refs);
    memset(n, 0, sizeof *n);
}

/* scripted.h: a source that plays a known log and a target that misbehaves on purpose, for tests of the engine.
 * The log: transaction n (from 1) has `rows(n)` changes; its position is 8 big-endian bytes of 10 n. Included by tests. */
#ifndef WB_TEST_SCRIPTED_H
#define WB_TEST_SCRIPTED_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/base.h"
#include "base/clock.h"
#include "walbrook/plugin.h"

static inline uint32_t test_random(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

/* ---------------------------------------------------------------- the log */

typedef struct script {
    uint64_t seed;
    uint64_t transactions; /* then: end */
    unsigned snapshot_rows;
    bool turns;            /* it is read in turns that are resumed, not in one */
    bool endless;          /* idle instead of end */
    unsigned break_one_in; /* of reads: the connection breaks */
    int64_t held;          /* bytes of log that the server says it keeps for us */
    uint64_t settled;      /* what the source was told to forget */
    unsigned opens, snapshots;
    bool lost;             /* settled passed something that somebody lacked */
} script;
static script the_script;

static inline unsigned rows_of(uint64_t n) { return n % 7 == 0 ? 23 : (unsigned)(n % 4) + 1; }

/* What the source remembers of turns: which rows each had, and for whom it counts. Survives every crash. */
typedef struct script_turn {
    unsigned from, to;
    uint64_t targets;
} script_turn;
static script_turn script_turns[4096];
static uint64_t script_nturns; /* number n is script_turns[n - 1] */

typedef struct scripted {
    int64_t snapshot;
    wb_host *h;
    uint64_t next, ordinal; /* the next change */
    uint64_t fresh;
    uint64_t rnd;
    wb_table *table;
    unsigned copied[64], piece; /* in turns: rows that each target has; of the open turn */
    uint64_t running, resets;
} scripted;

static inline uint64_t pos_number(wb_pos p)
{
    uint64_t v = 0;
    for (size_t i = 0; i < p.len && i < 8; i++) v = v << 8 | ((const uint8_t *)p.ptr)[i];
    return v;
}
static inline uint64_t pos_turn(wb_pos p) { return p.len == 16 ? pos_number((wb_pos){(const uint8_t *)p.ptr + 8, 8}) : 0; }
static inline size_t pos_bytes(uint8_t bytes[16], uint64_t v, uint64_t turn)
{
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    for (int i = 0; i < 8; i++) bytes[8 + i] = (uint8_t)(turn >> (56 - 8 * i));
    return turn ? 16 : 8;
}
static inline wb_pos pos_in_turn(wb_batch *b, uint64_t v, uint64_t turn)
{
    uint8_t bytes[16];
    size_t n = pos_bytes(bytes, v, turn);
    return (wb_pos){wb_batch_copy(b, bytes, n), n};
}
static inline wb_pos pos_in(wb_batch *b, uint64_t v) { return pos_in_turn(b, v, 0); }

static wb_table *scripted_table(void)
{
    static const uint16_t key[] = {0, 1};
    wb_column cols[2] = {{.name = WB_STR("txn"), .type = WB_STR("bigint"), .id = 1, .kind = WB_INT, .flags = WB_COL_KEY},
                         {.name = WB_STR("ordinal"), .type = WB_STR("bigint"), .id = 2, .kind = WB_INT, .flags = WB_COL_KEY}};
    wb_table t = {.id = 1, .schema = WB_STR("public"), .name = WB_STR("t"), .ncols = 2, .nkey = 2, .cols = cols, .key = key};
    return wb_table_new(&t);
}

/* What each running target has of the copy; a turn that it has not got does not count for it ever again. */
static void scripted_look(scripted *s, const wb_resume *r)
{
    s->running = 0;
    s->resets = r->fresh;
    for (size_t m = 0; m < r->nmembers; m++) {
        const wb_member *t = &r->members[m];
        if (!t->running) continue;
        s->running |= t->bit;
        s->copied[m] = 0;
        for (uint64_t n = 0; n < script_nturns; n++) {
            if (!(script_turns[n].targets & t->bit)) continue;
            bool has = t->pos.len && pos_turn(t->pos) >= n + 1;
            if (has) s->copied[m] = script_turns[n].to;
            if (!has) script_turns[n].targets &= ~t->bit;
        }
    }
}

static wb_code scripted_open(void *ctx, wb_host *h, const wb_resume *r, wb_error *err)
{
    scripted *s = ctx;
    s->h = h;
    s->rnd = the_script.seed + the_script.opens++ * 977;
    uint64_t at = r->pos.len ? pos_number(r->pos) : 0;
    if (r->pos.len && at < the_script.settled) return wb_fail(err, WB_E_GAP, WB_NEVER, "the log before %llu is gone", (unsigned long long)the_script.settled);
    if (!r->pos.len && the_script.settled) the_script.lost = true;
    if (!r->pos.len && !r->fresh) the_script.lost = true; /* a first start, for nobody */
    s->fresh = r->fresh;
    s->next = at / 10 + 1;
    s->ordinal = 0;
    if (!s->table) s->table = scripted_table();
    s->piece = 0;
    if (the_script.turns) scripted_look(s, r);
    if (r->fresh) s->next = 1; /* the snapshot of this script is always of position 1 */
    if (r->fresh && !the_script.snapshot_rows) { /* snapshot: never: from where the log begins for us */
        uint8_t start[8] = {0, 0, 0, 0, 0, 0, 0, 1};
        wb_host_idle(h, (wb_pos){start, 8}, r->fresh);
        s->fresh = 0;
    }
    return WB_OK;
}

static void scripted_row(scripted *s, wb_batch *b, wb_op op, uint64_t txn, uint64_t ordinal)
{
    wb_change *c = wb_batch_change(b);
    wb_value *v = wb_batch_values(b, 2);
    v[0] = (wb_value){.kind = WB_INT, .as.i = (int64_t)txn};
    v[1] = (wb_value){.kind = WB_INT, .as.i = (int64_t)ordinal};
    c->op = (uint8_t)op;
    c->table = s->table;
    c->after = v;
    c->ordinal = ordinal;
    wb_batch_table(b, s->table);
}

/* Rows of the snapshot are transaction 0; its end is position 1. */
static wb_code scripted_snapshot(scripted *s, wb_error *err)
{
    the_script.snapshots++;
    for (unsigned at = 0; at <= the_script.snapshot_rows;) {
        wb_batch *b = wb_host_take(s->h, 100);
        if (!b) {
            if (wb_host_stopping(s->h)) return WB_AGAIN;
            wb_sleep_us(200);
            continue;
        }
        wb_batch_set_targets(b, s->fresh);
        if (at == 0) wb_batch_set_reset(b, false);
        wb_txn *t = wb_batch_txn(b);
        t->flags = WB_TXN_SNAPSHOT | (at == 0 ? WB_TXN_BEGIN : 0);
        for (unsigned n = 0; n < 5 && at < the_script.snapshot_rows; n++, at++) scripted_row(s, b, WB_READ, 0, at);
        if (at == the_script.snapshot_rows) {
            t->flags |= WB_TXN_END;
            t->end = pos_in(b, 1);
            at++;
        }
        wb_code rc = wb_host_put(s->h, b, err);
        if (rc != WB_OK) return rc;
        if (the_script.break_one_in && test_random(&s->rnd) % (the_script.break_one_in * 2) == 0)
            return wb_fail(err, WB_E_NET, WB_RECONNECT, "the script breaks the snapshot");
    }
    s->fresh = 0;
    return WB_OK;
}

/* One piece of a turn: for those who have least, up to where the next of them is. WB_END: all have all. */
static wb_code scripted_turn(scripted *s, wb_error *err)
{
    unsigned least = UINT32_MAX, next = the_script.snapshot_rows;
    uint64_t who = 0;
    for (unsigned i = 0; i < 64; i++)
        if (s->running >> i & 1) least = WB_MIN(least, s->copied[i]);
    for (unsigned i = 0; i < 64; i++) {
        if (!(s->running >> i & 1)) continue;
        if (s->copied[i] == least) who |= (uint64_t)1 << i;
        if (s->copied[i] > least) next = WB_MIN(next, s->copied[i]);
    }
    if (s->resets) who = s->resets;
    if (!s->resets && least >= the_script.snapshot_rows) return WB_END;
    wb_batch *b = wb_host_take(s->h, 100);
    if (!b) {
        wb_sleep_us(200);
        return WB_AGAIN;
    }
    wb_batch_set_targets(b, who);
    wb_txn *t = wb_batch_txn(b);
    t->flags = WB_TXN_SNAPSHOT | (s->piece ? 0 : WB_TXN_BEGIN);
    t->at = pos_in_turn(b, 1, script_nturns + 1);
    unsigned to = WB_MIN(least + 7, next), from = least + s->piece;
    if (s->resets) {
        wb_batch_set_reset(b, false);
        the_script.snapshots++;
        from = to = 0;
    }
    for (unsigned n = 0; n < 3 && from < to; n++, from++) scripted_row(s, b, WB_READ, 0, from);
    s->piece = s->resets ? 0 : from - least;
    if (from == to) {
        script_turns[script_nturns++] = (script_turn){s->resets ? 0 : least, to, who};
        t = wb_batch_last_txn(b);
        t->flags |= WB_TXN_END;
        t->end = pos_in_turn(b, 1, script_nturns);
        for (unsigned i = 0; i < 64; i++)
            if (who >> i & 1) s->copied[i] = to;
        s->piece = 0;
        s->resets = s->fresh = 0;
    }
    return wb_host_put(s->h, b, err);
}

static wb_code scripted_read(void *ctx, int ms, wb_error *err)
{
    scripted *s = ctx;
    if (the_script.turns) {
        if (the_script.break_one_in && test_random(&s->rnd) % (2 * the_script.break_one_in) == 0)
            return wb_fail(err, WB_E_NET, WB_RECONNECT, "the script breaks a turn");
        wb_code rc = scripted_turn(s, err);
        if (rc != WB_END) return rc;
    }
    if (s->fresh) return scripted_snapshot(s, err);
    if (the_script.break_one_in && test_random(&s->rnd) % the_script.break_one_in == 0)
        return wb_fail(err, WB_E_NET, WB_RECONNECT, "the script breaks the connection");
    if (s->next > the_script.transactions) {
        if (the_script.endless) wb_sleep_us(WB_MIN(ms, 5) * 1000);
        return the_script.endless ? WB_AGAIN : WB_END;
    }
    if (s->ordinal == 0 && test_random(&s->rnd) % 3 == 0) { /* the log goes on before the next commit: a keepalive */
        uint8_t idle[16];
        size_t n = pos_bytes(idle, (s->next - 1) * 10 + 5, 0);
        wb_host_idle(s->h, (wb_pos){idle, n}, ~(uint64_t)0);
    }
    wb_batch *b = wb_host_take(s->h, 100);
    if (!b) {
        wb_sleep_us(200);
        return WB_AGAIN;
    }
    unsigned many = test_random(&s->rnd) % 40 + 1;
    while (many-- && s->next <= the_script.transactions) {
        wb_txn *t = wb_batch_last_txn(b);
        if (!t || (t->flags & WB_TXN_END)) {
            t = wb_batch_txn(b);
            t->at = pos_in(b, s->next * 10 - 1);
            t->commit_us = (int64_t)s->next;
            t->flags = s->ordinal == 0 ? WB_TXN_BEGIN : 0;
        }
        scripted_row(s, b, WB_INSERT, s->next, s->ordinal++);
        if (s->ordinal == rows_of(s->next)) {
            t = wb_batch_last_txn(b);
            t->flags |= WB_TXN_END;
            t->end = pos_in(b, s->next * 10);
            s->next++;
            s->ordinal = 0;
        }
    }
    return wb_host_put(s->h, b, err);
}

static wb_code scripted_settle(void *ctx, wb_pos pos, wb_error *err)
{
    WB_UNUSED(ctx);
    WB_UNUSED(err);
    if (pos_number(pos) < the_script.settled) the_script.lost = true; /* never backwards */
    the_script.settled = pos_number(pos);
    return WB_OK;
}
static bool scripted_holds(wb_pos pos, const wb_txn *t)
{
    if (t->flags & WB_TXN_SNAPSHOT) return pos_turn(pos) >= pos_turn(t->at);
    return pos_number(pos) > pos_number(t->at);
}
static int scripted_compare(wb_pos a, wb_pos b)
{
    uint64_t x = pos_number(a), y = pos_number(b), m = pos_turn(a), n = pos_turn(b);
    int log = (x > y) - (x < y), turns = (m > n) - (m < n);
    return log == turns || !turns ? log : log ? 2 : turns;
}
static void scripted_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    WB_UNUSED(cap);
    *len = pos_bytes(out, WB_MIN(pos_number(a), pos_number(b)), WB_MIN(pos_turn(a), pos_turn(b)));
}
static void scripted_join(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    WB_UNUSED(cap);
    *len = pos_bytes(out, WB_MAX(pos_number(a), pos_number(b)), WB_MAX(pos_turn(a), pos_turn(b)));
}
static size_t scripted_render(wb_pos p, char *out, size_t cap)
{
    return (size_t)snprintf(out, cap, "%llu+%llu", (unsigned long long)pos_number(p), (unsigned long long)pos_turn(p));
}
static wb_code scripted_tip(void *ctx, wb_host *h, void *out, size_t cap, size_t *len, wb_error *err)
{
    WB_UNUSED(ctx), WB_UNUSED(h), WB_UNUSED(cap), WB_UNUSED(err);
    uint64_t v = the_script.transactions * 10;
    for (int i = 0; i < 8; i++) ((uint8_t *)out)[i] = (uint8_t)(v >> (56 - 8 * i));
    *len = 8;
    return WB_OK;
}
static wb_code scripted_status(void *ctx, wb_host *h, wb_pos settled, const wb_facts *facts, wb_error *err)
{
    WB_UNUSED(ctx), WB_UNUSED(h), WB_UNUSED(settled), WB_UNUSED(err);
    facts->number(facts->arg, "held_bytes", the_script.held);
    return WB_OK;
}
static void scripted_interrupt(void *ctx) { WB_UNUSED(ctx); }
static void scripted_close(void *ctx)
{
    scripted *s = ctx;
    wb_table_unref(s->table);
    s->table = NULL;
}
static const wb_option scripted_options[] = {{.name = NULL}};
static const wb_source scripted_source = {
    .head = {.kind = WB_SOURCE, .name = "scripted", .brief = "a known log", .options = scripted_options, .ctx_size = sizeof(scripted)},
    .open = scripted_open, .read = scripted_read, .settle = scripted_settle, .holds = scripted_holds,
    .compare = scripted_compare, .meet = scripted_meet, .join = scripted_join, .tip = scripted_tip, .render = scripted_render,
    .status = scripted_status, .interrupt = scripted_interrupt, .close = scripted_close};

/* ---------------------------------------------------------------- the target */

typedef struct seen {
    uint64_t txn, ordinal;
} seen;

/* What survives its own "crash": one for each target name. */
typedef struct vault {
    char name[16];
    bool keeps;       /* it keeps a stand beside the data */
    unsigned trouble; /* one call in so many goes wrong; 0: never */
    atomic_bool blocked; /* takes nothing */
    atomic_bool breaks;  /* the next flush, whether or not it has anything */
    unsigned poison;     /* the first row of one transaction in so many can never be taken; 0: none */
    size_t mute;         /* the first so many times that it is open, it answers nothing */
    seen *rows;
    size_t n, cap;
    atomic_size_t shown; /* n, for other threads to look at */
    bool has_stand;
    uint8_t pos[16];
    size_t pos_len;
    uint64_t ordinal, epoch;
    size_t resets, opens, commits, torn; /* torn: a commit that was not at the end of a transaction */
    uint64_t answered_twice;
} vault;
static vault vaults[4];

/* Each row of the copy and of transactions 1 to `upto` once, in order. */
static inline void expect_exactly_once(const vault *v, unsigned snapshot_rows, uint64_t upto)
{
    size_t at = 0;
    for (unsigned i = 0; i < snapshot_rows; i++, at++) {
        assert_true(at < v->n);
        assert_int_equal(v->rows[at].txn, 0);
        assert_int_equal(v->rows[at].ordinal, i);
    }
    for (uint64_t t = 1; t <= upto; t++)
        for (unsigned o = 0; o < rows_of(t); o++, at++) {
            assert_true(at < v->n);
            assert_int_equal(v->rows[at].txn, t);
            assert_int_equal(v->rows[at].ordinal, o);
        }
    assert_int_equal(at, v->n);
}

typedef struct pending {
    wb_ticket t;
    uint8_t pos[16];
    size_t pos_len;
    uint64_t ordinal;
    bool ends, open;
} pending;

typedef struct shaky {
    const char *vault_name;
    wb_host *h;
    vault *v;
    uint64_t rnd, epoch;
    seen *rows; /* written, not committed */
    size_t n, cap;
    pending tickets[512];
    size_t ntickets, turn_at; /* turn_at: rows before the turn that is open */
    bool reset, open;
    uint8_t stand[16];
    atomic_bool interrupted;
} shaky;

static inline vault *vault_named(const char *name)
{
    for (size_t i = 0; i < WB_COUNT(vaults); i++)
        if (strcmp(vaults[i].name, name) == 0) return &vaults[i];
    return NULL;
}

static bool trouble(shaky *s) { return s->v->trouble && test_random(&s->rnd) % s->v->trouble == 0; }

static wb_code shaky_open(void *ctx, wb_host *h, wb_open *o, wb_error *err)
{
    shaky *s = ctx;
    s->h = h;
    s->v = vault_named(s->vault_name);
    s->rnd = the_script.seed * 31 + s->v->opens++;
    atomic_store(&s->interrupted, false);
    s->n = s->ntickets = 0;
    s->reset = s->open = false;
    if (s->v->blocked || (s->v->trouble && test_random(&s->rnd) % 4 == 0))
        return wb_fail(err, WB_E_NET, WB_RETRY, "the shaky target does not open");
    if (o->epoch < s->v->epoch) return wb_fail(err, WB_E_FENCED, WB_NEVER, "an older epoch");
    s->epoch = s->v->epoch = o->epoch;
    if (s->v->keeps) {
        o->keeps = true;
        o->own = s->v->has_stand;
        memcpy(s->stand, s->v->pos, s->v->pos_len);
        o->stand = (wb_stand){{s->stand, s->v->pos_len}, s->v->ordinal};
    }
    return WB_OK;
}

static void remember(seen **rows, size_t *n, size_t *cap, seen one)
{
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 256;
        *rows = realloc(*rows, *cap * sizeof **rows);
    }
    (*rows)[(*n)++] = one;
}

static wb_code shaky_commit(shaky *s, wb_error *err)
{
    if (!s->ntickets) return WB_OK;
    if (trouble(s)) { /* it rolls back: everything that it took is void */
        wb_fail(err, WB_E_SERVER, WB_RECONNECT, "the shaky target lost its transaction");
        for (size_t i = 0; i < s->ntickets; i++) wb_host_done(s->h, s->tickets[i].t, err);
        s->ntickets = s->n = 0;
        s->open = false;
        return err->code;
    }
    vault *v = s->v;
    size_t whole = s->open ? s->turn_at : s->n, counted = s->ntickets;
    while (counted && s->tickets[counted - 1].open) counted--; /* pieces say nothing: their turn's end does */
    if (!counted) {
        for (size_t i = 0; i < s->ntickets; i++) wb_host_done(s->h, s->tickets[i].t, NULL);
        s->ntickets = 0;
        return WB_OK;
    }
    if (s->reset && s->open && !s->turn_at) return WB_OK; /* the reset belongs to the turn */
    if (s->reset) {
        v->n = 0;
        v->resets++;
    }
    s->reset = false;
    for (size_t i = 0; i < whole; i++) remember(&v->rows, &v->n, &v->cap, s->rows[i]);
    atomic_store(&v->shown, v->n);
    const pending *last = &s->tickets[counted - 1];
    if (!last->ends) v->torn++;
    memcpy(v->pos, last->pos, last->pos_len);
    v->pos_len = last->pos_len;
    v->ordinal = last->ordinal;
    v->has_stand = true;
    v->commits++;
    if (s->n > whole) memmove(s->rows, s->rows + whole, (s->n - whole) * sizeof *s->rows);
    s->n -= whole;
    s->turn_at = 0;
    size_t n = s->ntickets;
    s->ntickets = 0;
    if (trouble(s)) { /* committed, and the answer is lost */
        wb_fail(err, WB_E_NET, WB_RECONNECT, "the shaky target's answer is lost");
        for (size_t i = 0; i < n; i++) wb_host_done(s->h, s->tickets[i].t, err);
        return err->code;
    }
    for (size_t i = n; i-- > 0;) wb_host_done(s->h, s->tickets[i].t, NULL); /* in any order */
    return WB_OK;
}

static wb_code shaky_write(void *ctx, const wb_view *v, wb_ticket t, wb_error *err)
{
    shaky *s = ctx;
    if (atomic_load(&s->interrupted)) return wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted");
    if (s->v->blocked) return WB_AGAIN;
    if (trouble(s)) return wb_fail(err, WB_E_NET, WB_RETRY, "the shaky target is busy");
    if (trouble(s)) return WB_AGAIN;
    if (s->ntickets == WB_COUNT(s->tickets)) return WB_AGAIN;
    if ((v->flags & WB_VIEW_ABANDON) && s->open) {
        s->n = s->turn_at;
        s->open = false;
    }
    if (v->flags & WB_BATCH_RESET) {
        s->reset = true;
        s->n = 0;
        s->turn_at = 0;
    }
    if ((v->flags & WB_VIEW_OPEN) && !s->open) s->turn_at = s->n;
    s->open = (v->flags & WB_VIEW_OPEN) != 0;
    size_t i = 0;
    for (const wb_change *c; (c = wb_view_next(v, &i));) {
        seen row = {(uint64_t)c->after[0].as.i, (uint64_t)c->after[1].as.i};
        if (s->v->poison && row.txn % s->v->poison == 0 && row.ordinal == 0) {
            wb_error why = {0};
            wb_fail(&why, WB_E_DATA, WB_POISON, "the shaky target can never take this");
            wb_code code = wb_host_poison(s->h, t, v, c, &why, err);
            if (code != WB_OK) return code;
            continue;
        }
        remember(&s->rows, &s->n, &s->cap, row);
    }
    pending *p = &s->tickets[s->ntickets++];
    *p = (pending){.t = t, .pos_len = v->stand.pos.len, .ordinal = v->stand.ordinal, .ends = v->ends_txn, .open = s->open};
    if (v->stand.pos.len) memcpy(p->pos, v->stand.pos.ptr, v->stand.pos.len);
    wb_host_free(s->h, t);
    return WB_OK;
}

static wb_code shaky_flush(void *ctx, int ms, wb_error *err)
{
    shaky *s = ctx;
    if (atomic_exchange(&s->v->breaks, false)) return wb_fail(err, WB_E_NET, WB_RECONNECT, "the shaky target breaks");
    if (s->v->blocked || s->v->opens <= s->v->mute) return s->ntickets ? WB_AGAIN : WB_OK;
    if (ms >= 0 && s->ntickets && s->ntickets < 3 && test_random(&s->rnd) % 2) return WB_AGAIN;
    return shaky_commit(s, err);
}
static void shaky_interrupt(void *ctx) { atomic_store(&((shaky *)ctx)->interrupted, true); }
static void shaky_close(void *ctx)
{
    shaky *s = ctx;
    free(s->rows);
    s->rows = NULL;
    s->n = s->cap = s->ntickets = 0;
}
static wb_code shaky_destination(void *ctx, char *out, size_t cap)
{
    snprintf(out, cap, "%s", ((shaky *)ctx)->vault_name);
    return WB_OK;
}
static const wb_option shaky_options[] = {
    {.name = "vault", .type = WB_OPT_STRING, .offset = offsetof(shaky, vault_name), .flags = WB_OPT_REQUIRED, .brief = "where it keeps"},
    {.name = NULL}};
static const wb_target shaky_target = {
    .head = {.kind = WB_TARGET, .name = "shaky", .brief = "misbehaves", .options = shaky_options, .ctx_size = sizeof(shaky)},
    .open = shaky_open, .write = shaky_write, .flush = shaky_flush, .destination = shaky_destination,
    .interrupt = shaky_interrupt, .close = shaky_close};
#endif

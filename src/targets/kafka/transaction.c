/* transaction.c: exactly once: many source transactions in one Kafka transaction, with the position that they bring us
 * to. The transactional id lets one run write at a time: opening ends the transaction of any other. Who was shut out
 * finds a later epoch in the position topic, and stops. A turn of a snapshot is one Kafka transaction, for it counts as
 * a whole. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "targets/kafka/kafka.h"

enum {
    INIT_MS = 60000,
    ABORT_MS = 2000,
    DRAIN_MS = 1000,
    MANY = 4096,    /* a transaction of so many messages is not ended by */
    LULL_US = 20000 /* a silence shorter than this */
};

/* ---------------------------------------------------------------- calls of librdkafka that answer with an error object
 */

/* Owns e. Sets *again where the same call is to be repeated. */
static wb_code judge(kf_target *k, rd_kafka_error_t *e, const char *doing, bool *again, wb_error *err)
{
    *again = false;
    if (!e) return WB_OK;
    rd_kafka_resp_err_t rc = rd_kafka_error_code(e);
    wb_code code = WB_E_NET;
    if (rd_kafka_error_is_retriable(e) && !rd_kafka_error_is_fatal(e)) {
        *again = !kf_stopped(k);
        if (!*again) code = wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted while %s", doing);
    } else {
        code = kf_fail(err, rc, "Kafka: %s failed: %s", doing, rd_kafka_error_string(e));
        /* What was ours alone is void: it comes again from the position that is committed. */
        bool ours = rd_kafka_error_txn_requires_abort(e) || rd_kafka_error_is_fatal(e);
        if (err && ours && err->next == WB_NEVER && code != WB_E_AUTH && code != WB_E_LIMIT) err->next = WB_RECONNECT;
    }
    rd_kafka_error_destroy(e);
    return code;
}

static wb_code init_transactions(kf_target *k, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)INIT_MS * 1000;
    for (;;) {
        bool again;
        rd_kafka_error_t *e = rd_kafka_init_transactions(k->rk, KF_SLICE_MS * 4);
        rd_kafka_poll(k->rk, 0);
        wb_code code = judge(k, e, "taking the transactional id", &again, err);
        if (!again) return code;
        if (k->trouble.code == WB_E_AUTH) {
            *err = k->trouble;
            return err->code;
        }
        if (wb_mono_us() > until)
            return kf_fail(err, RD_KAFKA_RESP_ERR__TIMED_OUT,
                           "Kafka does not give the transactional id %s within %d s.", k->txn_id, INIT_MS / 1000);
        wb_sleep_us(20000); /* the coordinator may still be loading */
    }
}

static wb_code begin(kf_target *k, wb_error *err)
{
    bool again;
    (void)WB_FAULT("kafka.before_begin");
    wb_code code = judge(k, rd_kafka_begin_transaction(k->rk), "beginning a transaction", &again, err);
    if (again) code = wb_fail(err, WB_E_NET, WB_RECONNECT, "Kafka does not begin a transaction now.");
    if (code != WB_OK) return code;
    k->in_txn = true;
    k->turn = k->stand_due = false;
    k->txn_messages = 0;
    k->txn_since_us = wb_mono_us();
    return WB_OK;
}

static void answer_all(kf_target *k)
{
    for (size_t i = 0; i < k->ntickets; i++) wb_host_done(k->host, k->tickets[i], NULL);
    k->ntickets = 0;
}

/* ---------------------------------------------------------------- commit */

static wb_code put_position(kf_target *k, wb_error *err)
{
    wb_out o = {0};
    kf_position_put(k, &o);
    if (o.failed) {
        wb_out_fini(&o);
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the position.");
    }
    rd_kafka_resp_err_t rc;
    do {
        rc = rd_kafka_producev(k->rk, RD_KAFKA_V_TOPIC(k->pos_topic), RD_KAFKA_V_PARTITION(0),
                               RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(k->txn_id, strlen(k->txn_id)),
                               RD_KAFKA_V_VALUE(o.p, o.len), RD_KAFKA_V_END);
        if (rc == RD_KAFKA_RESP_ERR__QUEUE_FULL) rd_kafka_poll(k->rk, 10);
    } while (rc == RD_KAFKA_RESP_ERR__QUEUE_FULL && !kf_stopped(k));
    wb_out_fini(&o);
    if (!rc) return WB_OK;
    wb_code code = kf_fail(err, rc, "The position was not taken: %s", rd_kafka_err2str(rc));
    if (err && err->next == WB_NEVER && rc < 0) err->next = WB_RECONNECT;
    return code;
}

/* The outcome is the broker's: a call that timed out is made again until it says one. */
static wb_code commit_call(kf_target *k, wb_error *err)
{
    for (;;) {
        bool again;
        rd_kafka_error_t *e = rd_kafka_commit_transaction(k->rk, KF_SLICE_MS * 2);
        wb_code code = judge(k, e, "committing a transaction", &again, err);
        if (!again) return code;
        rd_kafka_poll(k->rk, 0);
        kf_notice_silence(k);
        if (k->broken.code != WB_OK) return kf_repeat(k, err);
    }
}

static wb_code commit(kf_target *k, wb_error *err)
{
    int64_t start = wb_mono_us();
    (void)WB_FAULT("kafka.before_position");
    kf_pace_drain(k, DRAIN_MS);
    wb_code code = put_position(k, err);
    (void)WB_FAULT("kafka.before_commit");
    if (code == WB_OK) code = commit_call(k, err);
    if (code != WB_OK) return code;
    (void)WB_FAULT("kafka.after_commit");
    k->in_txn = k->turn = k->stand_due = false;
    k->committed_us = wb_mono_us();
    k->commit_took_us = k->committed_us - start;
    atomic_fetch_add(&k->commits, 1);
    atomic_fetch_add(&k->confirmed, k->txn_messages);
    atomic_store(&k->took_us, k->commit_took_us);
    answer_all(k);
    (void)WB_FAULT("kafka.after_answer");
    return WB_OK;
}

/* The turn that is open does not end. Its tickets say nothing that was not safe before it. */
static wb_code abandon(kf_target *k, wb_error *err)
{
    bool again = true;
    wb_code code = WB_OK;
    while (again && code == WB_OK) {
        rd_kafka_error_t *e = rd_kafka_abort_transaction(k->rk, KF_SLICE_MS * 2);
        code = judge(k, e, "giving up a transaction", &again, err);
        if (again) code = WB_OK;
    }
    if (code != WB_OK) return code;
    k->in_txn = k->turn = k->stand_due = false;
    answer_all(k);
    return WB_OK;
}

/* ---------------------------------------------------------------- views */

wb_code kf_txn_before(kf_target *k, const wb_view *v, wb_error *err)
{
    bool opens = (v->flags & WB_VIEW_OPEN) != 0;
    wb_code code = WB_OK;
    if (k->in_txn && k->turn && (v->flags & WB_VIEW_ABANDON)) code = abandon(k, err);
    if (code == WB_OK && k->in_txn && opens && !k->turn) code = commit(k, err); /* what came before counts already */
    if (code == WB_OK && !k->in_txn) code = begin(k, err);
    return code;
}

static wb_code keep(kf_target *k, const wb_view *v, wb_ticket t, wb_error *err)
{
    if (k->ntickets == k->cap_tickets) {
        size_t cap = k->cap_tickets ? k->cap_tickets * 2 : 256;
        wb_ticket *more = realloc(k->tickets, cap * sizeof *more);
        if (!more) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory to keep tickets.");
        k->tickets = more;
        k->cap_tickets = cap;
    }
    k->tickets[k->ntickets++] = t;
    k->txn_grew_us = wb_mono_us();
    k->turn = (v->flags & WB_VIEW_OPEN) != 0;
    if (k->turn) return WB_OK; /* its stand is the one before it */
    wb_out_reset(&k->stand_pos);
    wb_out_put(&k->stand_pos, v->stand.pos.ptr, v->stand.pos.len);
    k->stand_ordinal = v->stand.ordinal;
    k->has_stand = k->stand_due = true;
    return k->stand_pos.failed ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the position.") : WB_OK;
}

static bool is_due(const kf_target *k, bool ends)
{
    int64_t since = wb_mono_us() - k->txn_since_us;
    if (k->turn) return false;
    if (k->txn_messages >= 10 * k->commit_messages || since >= k->transaction_timeout_ms * 250) return true;
    return ends && (k->txn_messages >= k->commit_messages || since >= k->commit_interval_ms * 1000);
}

wb_code kf_txn_after(kf_target *k, const wb_view *v, wb_ticket t, wb_error *err)
{
    wb_code code = keep(k, v, t, err);
    if (code != WB_OK || !is_due(k, v->ends_txn)) return code;
    return commit(k, err);
}

/* Nothing more waits. A commit costs a round of all brokers: of a slow trickle at most a fifth of the time. In a flood
 * a source lets its server get ahead now and then, which is no end. */
wb_code kf_txn_flush(kf_target *k, int ms, wb_error *err)
{
    rd_kafka_poll(k->rk, 0);
    if (k->broken.code != WB_OK) return kf_repeat(k, err);
    if (k->at.active) {
        kf_pace_wait(k, WB_MIN(WB_MAX(ms, 0), KF_SLICE_MS));
        return WB_AGAIN;
    }
    if (!k->in_txn) return WB_OK;
    if (ms == 0) kf_pace_rest(k);
    if (k->turn) {
        answer_all(k);
        return WB_OK;
    }
    int64_t now = wb_mono_us();
    bool rested = now - k->committed_us >= WB_MIN(4 * k->commit_took_us, k->commit_interval_ms * 1000);
    bool over = k->txn_messages < MANY || now - k->txn_grew_us >= LULL_US;
    return ms < 0 || (rested && over) || is_due(k, true) ? commit(k, err) : WB_AGAIN;
}

/* ---------------------------------------------------------------- open and close */

static wb_code look_at_epoch(kf_target *k, const kf_mark *m, wb_error *err)
{
    if (!m->found || m->epoch <= k->epoch) return WB_OK;
    wb_fail(err, WB_E_FENCED, WB_NEVER,
            "Another run of this pipeline has taken over: the topic %s knows epoch %llu, this is %llu.", k->pos_topic,
            (unsigned long long)m->epoch, (unsigned long long)k->epoch);
    wb_hint(err, "Only one process may write with the transactional id %s.", k->txn_id);
    return WB_E_FENCED;
}

/* Our epoch beside the stand, before anything else of ours. */
static wb_code say_epoch(kf_target *k, const kf_mark *m, wb_error *err)
{
    k->has_stand = m->found && m->has_stand;
    k->stand_ordinal = k->has_stand ? m->ordinal : 0;
    wb_out_reset(&k->stand_pos);
    if (k->has_stand) wb_out_put(&k->stand_pos, m->pos.p, m->pos.len);
    wb_code code = begin(k, err);
    if (code == WB_OK) code = commit(k, err);
    k->committed_us = 0;
    return code;
}

static wb_code take_over(kf_target *k, kf_mark *m, wb_error *err)
{
    static const char *const settings[] = {"cleanup.policy",
                                           "compact",
                                           "segment.bytes",
                                           "4194304",
                                           "segment.ms",
                                           "3600000",
                                           "min.cleanable.dirty.ratio",
                                           "0.1",
                                           NULL};
    bool made = false;
    wb_code code = kf_topic_make(k, k->pos_topic, 1, settings, &made, err);
    if (code == WB_OK) code = kf_position_read(k, m, err); /* before anybody is shut out */
    if (code == WB_OK) code = look_at_epoch(k, m, err);
    if (code == WB_OK) code = init_transactions(k, err);
    (void)WB_FAULT("kafka.initialised");
    if (code == WB_OK) code = kf_position_read(k, m, err);
    if (code == WB_OK) code = look_at_epoch(k, m, err);
    return code == WB_OK ? say_epoch(k, m, err) : code;
}

wb_code kf_txn_open(kf_target *k, wb_open *o, wb_error *err)
{
    kf_mark m = {.found = false};
    k->epoch = o->epoch;
    k->render = o->render;
    wb_code code = take_over(k, &m, err);
    wb_out_fini(&m.pos);
    if (code != WB_OK) return code;
    o->keeps = true;
    o->own = k->has_stand;
    if (o->own) o->stand = (wb_stand){{k->stand_pos.p, k->stand_pos.len}, k->stand_ordinal};
    return WB_OK;
}

/* Readers of committed messages do not wait for what will never be. */
void kf_txn_close(kf_target *k)
{
    if (k->rk && k->in_txn && k->broken.code == WB_OK) {
        rd_kafka_error_t *e = rd_kafka_abort_transaction(k->rk, ABORT_MS);
        if (e) rd_kafka_error_destroy(e);
    }
    k->in_txn = k->turn = k->stand_due = false;
    wb_out_fini(&k->stand_pos);
    free(k->tickets);
    k->tickets = NULL;
    k->ntickets = k->cap_tickets = 0;
}

/* client.c: one librdkafka producer: made, connected, listened to, ended. librdkafka mends lost connections, moved
 * leaders and full brokers by itself; what it reports of that is kept, and becomes our error when nothing else comes.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "targets/kafka/kafka.h"

enum { SILENT_US = 5000000 };

bool kf_stopped(const kf_target *k)
{
    return atomic_load_explicit(&k->interrupted, memory_order_relaxed) || wb_host_stopping(k->host);
}

wb_code kf_repeat(const kf_target *k, wb_error *err)
{
    if (err && err->code == WB_OK) *err = k->broken;
    return k->broken.code;
}

/* ---------------------------------------------------------------- what it says */

static void break_off(kf_target *k, const wb_error *why)
{
    if (k->broken.code != WB_OK) return;
    k->broken = *why;
    if (k->broken.next == WB_RETRY) k->broken.next = WB_RECONNECT;
}

/* librdkafka waits for brokers as long as it takes, and says nothing: a broker may be gone, have a full disk, or too
 * few replicas. We say it once, and when it is over. */
void kf_notice_silence(kf_target *k)
{
    uint64_t waiting = (uint64_t)rd_kafka_outq_len(k->rk), answered = k->produced - waiting;
    bool silent = atomic_load_explicit(&k->silent, memory_order_relaxed);
    if (waiting && answered == k->seen_answered && silent) return;
    int64_t now = wb_mono_us(), held_ms = k->linger_ms + (k->delivery == KF_EXACTLY_ONCE ? k->commit_interval_ms : 0);
    if (!waiting || answered != k->seen_answered) {
        k->seen_answered = answered;
        k->waits_since_us = waiting ? now : 0;
        atomic_store_explicit(&k->silent, false, memory_order_relaxed);
        if (silent) wb_host_log(k->host, WB_LOG_INFO, "Kafka confirms messages again");
    } else if (!k->waits_since_us) {
        k->waits_since_us = now;
    } else if (now - k->waits_since_us > SILENT_US + held_ms * 1000) {
        bool known = k->trouble.code != WB_OK && k->trouble_us > k->waits_since_us - SILENT_US;
        atomic_store_explicit(&k->silent, true, memory_order_relaxed);
        wb_host_log(
            k->host, WB_LOG_WARN,
            "Kafka confirms nothing for now, %llu messages wait: %s%sLook whether its brokers run and have room on "
            "their disks; what waits is sent as soon as they answer",
            (unsigned long long)waiting, known ? k->trouble.message : "", known ? ". " : "");
    }
}

/* By rd_kafka_poll: our thread. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    kf_target *k = opaque;
    rd_kafka_resp_err_t from = (rd_kafka_resp_err_t)code;
    char text[400];
    if (from == RD_KAFKA_RESP_ERR__FATAL)
        from = rd_kafka_fatal_error(rk, text, sizeof text);
    else
        snprintf(text, sizeof text, "%s", reason);
    wb_error mine;
    wb_error_reset(&mine);
    kf_fail_event(k, &mine, from, text);
    if (from == RD_KAFKA_RESP_ERR__AUTHENTICATION && kf_scram_is_broken(k)) {
        mine.hint[0] = 0;
        wb_hint(
            &mine,
            "librdkafka %s cannot log in by SCRAM to Kafka 4 and later (mended in 2.6.1): use a newer one, or sasl: "
            "plain with tls. Else look at `username` and `password`.",
            rd_kafka_version_str());
    }
    bool is_fatal = rd_kafka_fatal_error(rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR;
    bool closed = mine.code == WB_E_AUTH;
    /* Of all brokers down and a login refused the second says more. */
    bool summary = from == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    k->all_down |= summary;
    if ((k->trouble.code != WB_E_AUTH && !(summary && k->trouble.code != WB_OK)) || closed) k->trouble = mine;
    k->trouble_us = wb_mono_us();
    if (is_fatal || (closed && !k->in_open)) {
        if (mine.next == WB_NEVER) mine.next = WB_RECONNECT; /* open decides: it may pass */
        break_off(k, &mine);
    } else if (!k->in_open) {
        wb_host_log(k->host, WB_LOG_DEBUG, "%s", mine.message);
    }
}

/* By rd_kafka_poll: our thread. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    kf_target *k = opaque;
    kf_ticket *r = m->_private;
    bool exact = k->delivery == KF_EXACTLY_ONCE;
    WB_UNUSED(rk);
    if (!r) return; /* the position */
    if (WB_LIKELY(m->err == RD_KAFKA_RESP_ERR_NO_ERROR)) {
        if (!exact) (void)WB_FAULT("kafka.delivered");
        kf_headers_back(k, m, r);
        kf_ticket_answer(k, r, NULL);
        if (exact) return; /* the commit counts them */
        atomic_store_explicit(&k->confirmed, atomic_load_explicit(&k->confirmed, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return;
    }
    if (exact) { /* the commit fails, and says why */
        kf_ticket_answer(k, r, NULL);
        return;
    }
    wb_error why;
    wb_error_reset(&why);
    kf_fail(&why, m->err, "A message for the topic %s was not written: %s", rd_kafka_topic_name(m->rkt),
            rd_kafka_err2str(m->err)); /* rd_kafka_message_errstr would be the row itself */
    break_off(k, &why);
    kf_ticket_answer(k, r, &why);
}

/* Any thread of librdkafka's. What matters of it comes as an error too. */
static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    kf_target *k = rd_kafka_opaque(rk);
    WB_UNUSED(level);
    if (k && k->host) wb_host_log(k->host, WB_LOG_DEBUG, "librdkafka %s: %s", fac, text);
}

/* ---------------------------------------------------------------- open and close */

wb_code kf_metadata(kf_target *k, rd_kafka_t *rk, bool all, rd_kafka_topic_t *one, int ms,
                    const struct rd_kafka_metadata **out, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    k->all_down = false;
    wb_error_reset(&k->trouble);
    for (;;) {
        rd_kafka_resp_err_t rc = rd_kafka_metadata(rk, all, one, out, KF_SLICE_MS);
        rd_kafka_poll(rk, 0);
        if (rc == RD_KAFKA_RESP_ERR_NO_ERROR) return WB_OK;
        if (kf_stopped(k)) return wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted");
        bool waits = rc == RD_KAFKA_RESP_ERR__TRANSPORT || rc == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                     rc == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE;
        bool refused = k->trouble.code == WB_E_AUTH || k->all_down;
        if (!waits) return kf_fail(err, rc, "Kafka does not say which brokers there are: %s", rd_kafka_err2str(rc));
        if (refused || wb_mono_us() > until) {
            if (k->trouble.code != WB_OK) {
                *err = k->trouble;
                return err->code;
            }
            wb_out brokers = {0};
            wb_code code = kf_fail(err, RD_KAFKA_RESP_ERR__TRANSPORT, "No broker answers at %s.",
                                   kf_brokers(k, &brokers) ? brokers.p : "?");
            wb_out_fini(&brokers);
            return code;
        }
    }
}

void kf_quiet(kf_target *k, rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_log_cb(conf, on_log);
}

wb_code kf_client_open(kf_target *k, wb_error *err)
{
    char why[300];
    rd_kafka_conf_t *conf = kf_conf_new(k, k->host, KF_PRODUCER, err);
    if (!conf) return err->code;
    kf_quiet(k, conf);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery); /* exactly once too: what our thread took it frees */
    k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    k->seen_answered = 0;
    k->waits_since_us = k->trouble_us = 0;
    atomic_store(&k->silent, false);
    if (k->rk) return WB_OK;
    rd_kafka_conf_destroy(conf);
    return kf_fail_new(k, err, why);
}

/* What was not confirmed is dropped here, and comes again from the checkpoint. */
void kf_client_close(kf_target *k)
{
    if (!k->rk) return;
    rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_destroy(k->rk);
    k->rk = NULL;
}

/* send.c: a view becomes messages in librdkafka's queue. When that is full write comes back with the same view and goes
 * on where it was, so that nothing of it is sent twice. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "targets/kafka/kafka.h"

enum { POLL_EVERY = 1024 }; /* answers are taken so often while a large view is sent */

static int64_t size_of(const wb_message *m)
{
    size_t n = m->key.len + m->value.len + KF_OVERHEAD;
    for (size_t i = 0; i < m->nheaders; i++) n += m->headers[i].name.len + m->headers[i].value.len + 10;
    return (int64_t)n;
}

/* One message into the queue, which copies it. WB_AGAIN: it is full. */
static wb_code produce(kf_target *k, kf_topic *t, const wb_message *m, wb_error *err)
{
    rd_kafka_headers_t *h = m->nheaders ? kf_headers_of(k, m) : NULL;
    rd_kafka_vu_t v[7];
    size_t n = 0;
    v[n].vtype = RD_KAFKA_VTYPE_RKT;
    v[n++].u.rkt = t->handle;
    v[n].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    v[n++].u.i = RD_KAFKA_MSG_F_COPY;
    v[n].vtype = RD_KAFKA_VTYPE_VALUE;
    v[n].u.mem.ptr = (void *)(uintptr_t)m->value.ptr;
    v[n++].u.mem.size = m->value.len;
    v[n].vtype = RD_KAFKA_VTYPE_KEY;
    v[n].u.mem.ptr = (void *)(uintptr_t)m->key.ptr;
    v[n++].u.mem.size = m->key.len;
    v[n].vtype = RD_KAFKA_VTYPE_OPAQUE;
    v[n++].u.ptr = k->at.record;
    if (h) {
        v[n].vtype = RD_KAFKA_VTYPE_HEADERS;
        v[n++].u.headers = h;
    }
    rd_kafka_error_t *e = rd_kafka_produceva(k->rk, v, n);
    if (WB_LIKELY(!e)) return WB_OK;
    if (h) rd_kafka_headers_destroy(h);
    rd_kafka_resp_err_t code = rd_kafka_error_code(e);
    wb_code rc = WB_AGAIN;
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rc = kf_fail(err, code, "A message for the topic %s was not taken: %s", t->name, rd_kafka_error_string(e));
        if (err && err->next != WB_RECONNECT && code < 0)
            err->next = WB_RECONNECT; /* the client's state, not the row */
    }
    rd_kafka_error_destroy(e);
    return rc;
}

/* ---------------------------------------------------------------- too large */

static wb_code too_large(kf_target *k, const wb_view *v, const kf_topic *t, int64_t size, wb_error *err)
{
    const wb_change *c = k->at.of_view.of;
    const wb_table *table = c ? c->table : NULL;
    wb_error why;
    wb_error_reset(&why);
    wb_fail(&why, WB_E_LIMIT, WB_POISON, "A %s of %.*s.%.*s has %lld bytes as a message; the topic %s takes %lld.",
            c ? wb_change_type(c) : "message", table ? (int)table->schema.len : 0, table ? table->schema.ptr : "",
            table ? (int)table->name.len : 0, table ? table->name.ptr : "", (long long)size, t->name,
            (long long)t->limit);
    wb_hint(&why, "Raise max_message and the topic's max.message.bytes, or choose on_too_large: dead_letter or skip.");
    atomic_fetch_add(&k->too_large, 1);
    if (k->on_large == KF_LARGE_SKIP && c) {
        wb_host_log(k->host, WB_LOG_WARN, "left out: %s", why.message);
        return WB_OK;
    }
    if (k->on_large == KF_LARGE_DEAD_LETTER && c) return wb_host_poison(k->host, k->at.ticket, v, c, &why, err);
    why.next = WB_NEVER;
    if (err && err->code == WB_OK) *err = why;
    return why.code;
}

/* All messages of a change fit, or none is sent. */
static wb_code check_sizes(kf_target *k, const wb_view *v, bool *drop, wb_error *err)
{
    *drop = false;
    for (size_t i = 0; i < k->at.of_view.messages.n; i++) {
        const wb_message *m = &k->at.of_view.messages.items[i];
        int64_t size = size_of(m);
        if (WB_LIKELY(size < 1000)) continue; /* no limit is below */
        kf_topic *t = kf_topic_of(k, k->at.of_view.of, m, err);
        if (!t) return err->code;
        if (size <= t->limit) continue;
        *drop = true;
        return too_large(k, v, t, size, err);
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- a view */

static wb_code send_messages(kf_target *k, wb_error *err)
{
    wb_formatting *at = &k->at.of_view;
    while (at->message < at->messages.n) {
        const wb_message *m = &at->messages.items[at->message];
        kf_topic *t = kf_topic_of(k, at->of, m, err);
        if (!t) return err->code;
        int64_t size = size_of(m);
        wb_code code = kf_pace_room(k, t, size) ? produce(k, t, m, err) : WB_AGAIN;
        if (code != WB_OK) return code;
        kf_pace_took(k, t, size);
        k->at.record->open++;
        at->message++;
        if (WB_UNLIKELY(++k->since_poll >= POLL_EVERY)) {
            k->since_poll = 0;
            rd_kafka_poll(k->rk, 0);
        }
        k->txn_messages++;
    }
    return WB_OK;
}

/* A change that cannot be a message is the engine's to keep. */
static wb_code poison(kf_target *k, const wb_view *v, const wb_error *why, wb_error *err)
{
    if (why->next == WB_POISON && k->at.of_view.of)
        return wb_host_poison(k->host, k->at.ticket, v, k->at.of_view.of, why, err);
    if (err && err->code == WB_OK) *err = *why;
    if (err && err->next == WB_RETRY) err->next = WB_RECONNECT; /* a part of the view is on its way */
    return why->code;
}

static wb_code begin_view(kf_target *k, wb_ticket t, wb_error *err)
{
    k->at = (kf_place){.active = true, .ticket = t};
    k->at.record = kf_ticket_new(k, t, err);
    if (!k->at.record) return err->code;
    k->at.record->answered = k->delivery == KF_EXACTLY_ONCE; /* by the commit */
    return WB_OK;
}

wb_code kf_send_view(kf_target *k, const wb_view *v, wb_ticket t, wb_error *err)
{
    wb_code code = WB_OK;
    if (!k->at.active || k->at.ticket != t) code = begin_view(k, t, err);
    wb_formatter_view(&k->formatter, v);
    while (code == WB_OK) {
        code = send_messages(k, err);
        if (code == WB_AGAIN) return code;
        if (code != WB_OK || k->broken.code != WB_OK) break;
        wb_error why;
        wb_error_reset(&why);
        code = wb_formatter_next(&k->formatter, v, &k->at.of_view, &why);
        if (code == WB_END) break;
        bool drop = false;
        if (code == WB_OK)
            code = check_sizes(k, v, &drop, err);
        else
            drop = true, code = poison(k, v, &why, err);
        if (drop) k->at.of_view.messages.n = 0;
    }
    if (k->broken.code != WB_OK) return kf_repeat(k, err);
    if (code != WB_END) return code;
    k->at.active = false;
    wb_host_free(k->host, t);
    return WB_OK;
}

/* rabbitmq.c: the target `rabbitmq`: one message a change (or what the format makes of it), published with confirms. A
 * view is formatted at once and its memory given back; its ticket is answered when the broker has confirmed all its
 * messages. At least once: after a crash or a lost connection everything unconfirmed is sent again, in order.
 * Registered in core/registry.c. */
#include "targets/rabbitmq/rabbitmq.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/options.h"

extern const wb_target wb_target_rabbitmq;

enum { LOOK = 32 * 1024, WAIT_MS = 200, COUNT_US = 10000000 };

static const wb_choice declare_choices[] = {
    {"create", RQ_CREATE, "make exchange, queue and binding when they are not there"},
    {"passive", RQ_PASSIVE, "only look whether exchange and queue are there"},
    {"nothing", RQ_NOTHING, "not even that"},
    {NULL, 0, NULL}};
static const wb_choice unroutable_choices[] = {
    {"stop", RQ_STOP, "the target stops with a sentence"},
    {"retry", RQ_RETRY, "try again until some queue takes it; nothing after it is sent"},
    {"skip", RQ_SKIP, "leave it out, count it, and say so once for each routing key"},
    {NULL, 0, NULL}};
static const wb_choice verify_choices[] = {{"full", RQ_VERIFY_FULL, "its authority and its name"},
                                           {"ca", RQ_VERIFY_CA, "its authority alone"},
                                           {"none", RQ_VERIFY_NONE, "nothing: encrypted, but to whomever"},
                                           {NULL, 0, NULL}};

#define AT(field) offsetof(rq_target, field)
static const wb_option options[] = {
    {"url", WB_OPT_STRING, AT(url_text), WB_OPT_REQUIRED | WB_OPT_URL, NULL, 0, 0, NULL, "the broker",
     "amqp://user:password@host:port/vhost; with TLS amqps://. Several hosts with commas: the first that answers. "
     "Without "
     "user and password: guest. A vhost's own / is written %2F; nothing after the host: the vhost /.",
     "amqp://walbrook@mq.internal/shop"},
    {"password", WB_OPT_STRING, AT(password), WB_OPT_SECRET, NULL, 0, 0, NULL, "instead of the one in the url", NULL,
     "${file:/run/secrets/mq}"},
    {"queue", WB_OPT_STRING, AT(queue), 0, NULL, 0, 0, NULL, "the queue, with words such as ${table}",
     "Without `exchange`: messages go straight there. With it: the queue is bound to the exchange with every routing "
     "key "
     "that occurs. Words: ${name}, ${schema}, ${table}, ${source_schema}, ${source_table}, ${database}, ${route}, "
     "${topic} (the format's), ${operation}.",
     "changes"},
    {"exchange", WB_OPT_STRING, AT(exchange), 0, NULL, 0, 0, NULL, "the exchange, with words",
     "Without one the default exchange takes messages to `queue`. The same words, without ${operation}.", "changes"},
    {"routing_key", WB_OPT_STRING, AT(routing_key), 0, NULL, 0, 0, NULL, "the routing key at the exchange, with words",
     "Default: the format's topic, else what the transform route says, else ${schema}.${table}.",
     "\"${schema}.${table}.${operation}\""},
    {"exchange_type", WB_OPT_STRING, AT(exchange_type), 0, "topic", 0, 0, NULL, "type of an exchange that is made",
     "topic, direct, fanout, headers, or one that a plugin of the broker adds.", "fanout"},
    {"queue_arguments", WB_OPT_NODE, AT(queue_arguments), 0, NULL, 0, 0, NULL, "arguments of a queue that is made",
     "Quorum queues and streams are made by x-queue-type. A limit of length needs x-overflow: reject-publish, or "
     "confirmed messages would be dropped.",
     "{x-queue-type: quorum}"},
    {"exchange_arguments", WB_OPT_NODE, AT(exchange_arguments), WB_OPT_ADVANCED, NULL, 0, 0, NULL,
     "arguments of an exchange that is made", NULL, "{alternate-exchange: unrouted}"},
    {"declare", WB_OPT_ENUM, AT(declare), 0, "create", 0, 0, declare_choices, "make what is not there",
     "At every connect, and again when a queue has gone meanwhile.", "passive"},
    {"durable", WB_OPT_BOOL, AT(durable), 0, "true", 0, 0, NULL, "what is made outlives a restart of the broker", NULL,
     NULL},
    {"format", WB_OPT_STRING, AT(format), 0, "record", 0, 0, NULL, "how a change becomes messages",
     "See `walbrook help format`.", "debezium"},
    {"format_options", WB_OPT_NODE, AT(format_options), 0, NULL, 0, 0, NULL, "options of the format", NULL,
     "{event_id: true}"},
    {"window", WB_OPT_INT, AT(window_size), 0, "2000", 1, 65535, NULL, "messages on their way without a confirmation",
     "They are held in memory, within the target's share of `memory`, and sent again when the broker refuses one.",
     NULL},
    {"unroutable", WB_OPT_ENUM, AT(unroutable), 0, "stop", 0, 0, unroutable_choices,
     "what happens to a message that no queue wants",
     "The broker gives it back (mandatory is always set). A queue that `declare: create` made and somebody deleted is "
     "made again first.",
     "retry"},
    {"persistent", WB_OPT_BOOL, AT(persistent), 0, "true", 0, 0, NULL, "messages survive a restart of the broker",
     "false: a confirmed message may be lost with the broker.", NULL},
    {"priority", WB_OPT_INT, AT(priority), 0, NULL, 0, 255, NULL, "priority of every message",
     "For queues with x-max-priority, which may change the order of different keys' messages only if all have the "
     "same.",
     NULL},
    {"ttl", WB_OPT_MSEC, AT(ttl_ms), 0, NULL, 0, 0, NULL, "the broker drops a message that nobody took for so long",
     "Default: never.", "1d"},
    {"headers", WB_OPT_BOOL, AT(headers), 0, "true", 0, 0, NULL, "headers event_id, schema, table, operation and key",
     "Those of the format come in any case.", NULL},
    {"content_type", WB_OPT_STRING, AT(content_type), 0, "application/json", 0, 0, NULL, "property of every message",
     "A header content-type of the format goes before it.", NULL},
    {"max_message", WB_OPT_SIZE, AT(max_message), 0, "128MB", 1024, 512 << 20, NULL, "the largest message",
     "The broker's max_message_size: 128 MB in RabbitMQ 3, 16 MB from 4.0 on unless it was raised. A larger row goes "
     "to "
     "the dead letters, or stops the target when there are none.",
     "16MB"},
    {"heartbeat", WB_OPT_MSEC, AT(heartbeat_ms), WB_OPT_ADVANCED, "30s", 1000, 3600000, NULL,
     "a silent connection is dead after two of them", "The broker may want shorter ones.", NULL},
    {"connect_timeout", WB_OPT_MSEC, AT(timeout_ms), WB_OPT_ADVANCED, "10s", 100, 600000, NULL,
     "time to connect, and to answer to a declaration", NULL, NULL},
    {"tls_ca", WB_OPT_STRING, AT(tls_ca), 0, NULL, 0, 0, NULL,
     "file of the authorities that may sign the broker's name", "Default: the system's.", "ca.crt"},
    {"tls_verify", WB_OPT_ENUM, AT(verify), 0, "full", 0, 0, verify_choices,
     "what is checked of the broker's certificate", NULL, NULL},
    {"tls_cert", WB_OPT_STRING, AT(tls_cert), 0, NULL, 0, 0, NULL, "our own certificate, PEM", NULL, NULL},
    {"tls_key", WB_OPT_STRING, AT(tls_key), 0, NULL, 0, 0, NULL, "its key; default: in the same file", NULL, NULL},
    {.name = NULL}};

/* ---------------------------------------------------------------- failures */

/* Nothing is sent any more: what is unconfirmed comes again from the engine. */
static wb_code note(rq_target *f, wb_code code, const wb_error *err)
{
    if (code == WB_OK || code == WB_AGAIN) return code;
    if (f->broken.code == WB_OK) f->broken = *err;
    if (f->broken.code == WB_OK) f->broken.code = code;
    return code;
}

static wb_code repeat(const rq_target *f, wb_error *err)
{
    if (err && err->code == WB_OK) *err = f->broken;
    return f->broken.code;
}

/* ---------------------------------------------------------------- what the broker says */

/* No queue took a message; its confirmation follows all the same. */
static wb_code on_return(rq_target *f, const amqp_basic_return_t *r, wb_error *err)
{
    wb_str exchange = {r->exchange.bytes, r->exchange.len}, key = {r->routing_key.bytes, r->routing_key.len};
    rq_message *m = rq_window_returned(&f->window, exchange, key);
    if (!m) return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "RabbitMQ gave a message back that was not sent.");
    bool first = m->place->returned++ == 0;
    bool again = f->unroutable == RQ_RETRY;
    atomic_fetch_add(&f->returned, 1);
    if (f->declare == RQ_CREATE && m->place->queue.len && first) { /* somebody deleted it */
        m->place->ready = false;
        again = true;
        wb_host_log(f->host, WB_LOG_WARN, "the queue %.*s is gone: making it again", (int)m->place->queue.len,
                    m->place->queue.ptr);
    } else if (f->unroutable == RQ_STOP) {
        wb_fail(err, WB_E_SERVER, WB_NEVER,
                "RabbitMQ has no queue for messages with routing key \"%.*s\" at exchange \"%.*s\".", (int)key.len,
                key.ptr, (int)exchange.len, exchange.ptr);
        wb_hint(err, "Bind a queue there, or say what happens with such messages: `unroutable: retry` or `skip`.");
        return WB_E_SERVER;
    } else if (f->unroutable == RQ_SKIP) {
        atomic_fetch_add(&f->skipped, 1);
        if (first)
            wb_host_log(f->host, WB_LOG_WARN, "no queue takes messages with routing key \"%.*s\": they are skipped",
                        (int)key.len, key.ptr);
        return WB_OK;
    } else if (first) {
        wb_host_log(f->host, WB_LOG_WARN, "no queue takes messages with routing key \"%.*s\": waiting for one",
                    (int)key.len, key.ptr);
    }
    m->returned = again;
    return WB_OK;
}

static void set_blocked(rq_target *f, bool on, amqp_bytes_t why)
{
    if (atomic_exchange(&f->blocked, on) == on) return;
    if (on)
        wb_host_log(f->host, WB_LOG_WARN, "RabbitMQ takes no messages for now: %.*s", (int)WB_MIN(why.len, (size_t)200),
                    why.len ? (const char *)why.bytes : "");
    else
        wb_host_log(f->host, WB_LOG_INFO, "RabbitMQ takes messages again");
}

static wb_code take_answer(rq_target *f, uint64_t tag, bool multiple, bool taken, wb_error *err)
{
    if (!taken) atomic_fetch_add(&f->refused, 1);
    if (rq_window_answer(&f->window, tag, multiple, taken)) return WB_OK;
    return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "RabbitMQ confirms message %llu, which was not sent.",
                   (unsigned long long)tag);
}

static wb_code take_frame(rq_target *f, const amqp_frame_t *frame, wb_error *err)
{
    if (frame->frame_type != AMQP_FRAME_METHOD) return WB_OK; /* of a message that was given back */
    const void *m = frame->payload.method.decoded;
    switch (frame->payload.method.id) {
    case AMQP_BASIC_ACK_METHOD:
        return take_answer(f, ((const amqp_basic_ack_t *)m)->delivery_tag, ((const amqp_basic_ack_t *)m)->multiple,
                           true, err);
    case AMQP_BASIC_NACK_METHOD:
        return take_answer(f, ((const amqp_basic_nack_t *)m)->delivery_tag, ((const amqp_basic_nack_t *)m)->multiple,
                           false, err);
    case AMQP_BASIC_RETURN_METHOD: return on_return(f, m, err);
    case AMQP_CONNECTION_BLOCKED_METHOD: set_blocked(f, true, ((const amqp_connection_blocked_t *)m)->reason); break;
    case AMQP_CONNECTION_UNBLOCKED_METHOD: set_blocked(f, false, amqp_empty_bytes); break;
    default: break;
    }
    return WB_OK;
}

/* After answers: what is through is let go, what is refused goes back to be sent again. */
static void settle(rq_target *f)
{
    uint64_t first = f->window.first;
    wb_ticket t;
    bool back = rq_window_settle(&f->window, wb_mono_us());
    if (back && !atomic_exchange(&f->refusing, true))
        wb_host_log(f->host, WB_LOG_WARN,
                    "RabbitMQ refuses messages (a queue is full, or none is there): trying again");
    if (!back && f->window.first > first && atomic_exchange(&f->refusing, false))
        wb_host_log(f->host, WB_LOG_INFO, "RabbitMQ accepts messages again");
    atomic_fetch_add(&f->confirmed, (long long)(f->window.first - first));
    atomic_store_explicit(&f->unconfirmed, (long long)rq_window_held(&f->window), memory_order_relaxed);
    while (rq_window_done(&f->window, &t)) wb_host_done(f->host, t, NULL);
}

/* Take what has come, waiting at most `ms` for the first of it. */
static wb_code listen(rq_target *f, int ms, wb_error *err)
{
    amqp_frame_t frame;
    bool any = false;
    wb_code code;
    f->unread = 0;
    while ((code = rq_conn_frame(&f->conn, any ? 0 : ms, &frame, err)) == WB_OK) {
        any = true;
        code = take_frame(f, &frame, err);
        if (code != WB_OK) break;
    }
    int sys = any ? WB_FAULT("rabbitmq.before_answer") : 0;
    if (sys && code == WB_AGAIN) code = wb_fail_errno(err, sys, "cannot read from RabbitMQ");
    if (any) settle(f);
    return code == WB_AGAIN ? WB_OK : code;
}

/* ---------------------------------------------------------------- sending */

/* A broken connection: its last words say more than that it is broken. */
static wb_code lost(rq_target *f, int status, wb_error *err)
{
    wb_error last;
    amqp_frame_t frame;
    wb_error_reset(&last);
    for (int i = 0; i < 1000 && rq_conn_frame(&f->conn, 0, &frame, &last) == WB_OK; i++) {}
    if (last.native[0] && err && err->code == WB_OK) {
        *err = last;
        return last.code;
    }
    return rq_conn_fail_status(&f->conn, status, "sending", err);
}

static wb_code publish(rq_target *f, rq_message *m, wb_error *err)
{
    wb_code code = m->place->ready ? WB_OK : rq_place_declare(&f->setup.places, &f->conn, m->place, err);
    if (code != WB_OK) return code;
    int status = amqp_basic_publish(f->conn.amqp, RQ_PUBLISH, rq_bytes(m->place->exchange), rq_bytes(m->place->key),
                                    !m->optional, 0, &m->properties, m->body);
    if (status != AMQP_STATUS_OK) return lost(f, status, err);
    rq_window_sent(&f->window);
    f->unread += m->bytes + 64;
    int sys = WB_FAULT("rabbitmq.after_publish");
    return sys ? wb_fail_errno(err, sys, "cannot send to RabbitMQ") : WB_OK;
}

/* Send what may be sent, looking at what comes in between: a broker that is out of memory says so, then stops reading.
 */
static wb_code pump(rq_target *f, wb_error *err)
{
    rq_message *m;
    wb_code code = WB_OK;
    while (code == WB_OK && !atomic_load_explicit(&f->blocked, memory_order_relaxed) &&
           (m = rq_window_next(&f->window, f->window.until_us ? wb_mono_us() : 0))) {
        if (f->unread + m->bytes >= LOOK) {
            code = listen(f, 0, err);
            if (code != WB_OK || f->blocked) break;
            m = rq_window_next(&f->window, f->window.until_us ? wb_mono_us() : 0);
            if (!m) break;
        }
        code = publish(f, m, err);
    }
    return code;
}

/* WB_OK: something was confirmed. WB_AGAIN: not within a moment. */
static wb_code make_room(rq_target *f, wb_error *err)
{
    uint64_t first = f->window.first;
    int64_t until = wb_mono_us() + WAIT_MS * 1000;
    for (;;) {
        wb_code code = listen(f, 20, err);
        if (code == WB_OK) code = pump(f, err);
        if (code != WB_OK) return code;
        if (f->window.first != first) return WB_OK;
        if (wb_mono_us() > until || wb_host_stopping(f->host)) return WB_AGAIN;
    }
}

/* ---------------------------------------------------------------- write */

/* A change that cannot be sent goes to the dead letters, if there are any. */
static wb_code give_up(rq_target *f, const wb_view *v, wb_ticket t, const wb_error *why, wb_error *err)
{
    wb_formatting *at = &f->cursor.of_view;
    if (why->next == WB_POISON && at->of) {
        at->message = at->messages.n;
        return wb_host_poison(f->host, t, v, at->of, why, err);
    }
    if (err && err->code == WB_OK) *err = *why;
    if (err && err->next == WB_POISON) err->next = WB_NEVER;
    if (err && err->next == WB_RETRY) err->next = WB_RECONNECT; /* a part of the view is on its way */
    return why->code;
}

static wb_code put_one(rq_target *f, const wb_view *v, wb_ticket t, wb_error *err)
{
    wb_formatting *at = &f->cursor.of_view;
    const wb_change *c = at->of;
    wb_error why;
    for (;;) {
        wb_error_reset(&why);
        wb_code code =
            rq_message_put(f, c ? wb_view_txn(v, c) : NULL, c, &at->messages.items[at->message], at->message, &why);
        if (code == WB_OK) break;
        if (code != WB_AGAIN) return give_up(f, v, t, &why, err);
        code = make_room(f, err);
        if (code != WB_OK) return code;
    }
    at->message++;
    return pump(f, err);
}

static wb_code put_view(rq_target *f, const wb_view *v, wb_ticket t, wb_error *err)
{
    rq_cursor *k = &f->cursor;
    wb_formatting *at = &k->of_view;
    wb_code code = WB_OK;
    if (!k->active || k->ticket != t) *k = (rq_cursor){.active = true, .ticket = t};
    wb_formatter_view(&f->formatter, v);
    while (code == WB_OK) {
        if (at->message < at->messages.n) {
            code = put_one(f, v, t, err);
            continue;
        }
        wb_error why;
        wb_error_reset(&why);
        code = wb_formatter_next(&f->formatter, v, at, &why);
        if (code != WB_OK && code != WB_END) code = give_up(f, v, t, &why, err);
    }
    if (code != WB_END) return code;
    k->active = false;
    if (!rq_window_ticket(&f->window, t))
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory to keep tickets.");
    wb_host_free(f->host, t);
    return WB_OK;
}

static wb_code rq_write(void *ctx, const wb_view *v, wb_ticket t, wb_error *err)
{
    rq_target *f = ctx;
    wb_error mine;
    if (f->broken.code != WB_OK) return repeat(f, err);
    wb_error_reset(&mine);
    wb_code code = put_view(f, v, t, &mine);
    atomic_store_explicit(&f->unconfirmed, (long long)rq_window_held(&f->window), memory_order_relaxed);
    if (code == WB_OK || code == WB_AGAIN) return code;
    note(f, code, &mine);
    return repeat(f, err);
}

/* ---------------------------------------------------------------- flush */

/* How long the queue is, for `status`: not while the broker is out of memory, when it would not answer. */
static wb_code count(rq_target *f, wb_error *err)
{
    rq_place *place = NULL;
    int64_t now = wb_mono_us(), messages = -1, consumers = -1;
    if (now - f->counted_us < COUNT_US || atomic_load(&f->blocked) || f->declare == RQ_NOTHING) return WB_OK;
    f->counted_us = now;
    if (!rq_places_fixed_queue(&f->setup.places)) return WB_OK;
    wb_code code = rq_place_fixed(&f->setup.places, &place, err);
    if (code != WB_OK || !place || !place->ready) return code;
    wb_error ignored; /* a queue that was deleted is the next message's matter */
    wb_error_reset(&ignored);
    code = rq_count(&f->conn, place->queue, &messages, &consumers, &ignored);
    atomic_store(&f->queue_messages, messages);
    atomic_store(&f->queue_consumers, consumers);
    if (code == WB_OK || ignored.native[0]) return WB_OK;
    if (err && err->code == WB_OK) *err = ignored;
    return code;
}

static wb_code rq_flush(void *ctx, int ms, wb_error *err)
{
    rq_target *f = ctx;
    wb_error mine;
    if (f->broken.code != WB_OK) return repeat(f, err);
    wb_error_reset(&mine);
    bool idle = rq_window_empty(&f->window);
    wb_code code = listen(f, idle ? 0 : ms < 0 || ms > WAIT_MS ? WAIT_MS : ms, &mine);
    if (code == WB_OK) code = pump(f, &mine);
    if (code == WB_OK && ms >= 0) code = count(f, &mine);
    settle(f); /* tickets without messages */
    if (code != WB_OK) {
        note(f, code, &mine);
        return repeat(f, err);
    }
    return rq_window_empty(&f->window) ? WB_OK : WB_AGAIN;
}

/* ---------------------------------------------------------------- open and close */

static void rq_close(void *ctx)
{
    rq_target *f = ctx;
    if (!f->is_open) return;
    f->is_open = false;
    rq_conn_close(&f->conn, f->broken.code == WB_OK && !atomic_load(&f->blocked));
    rq_window_close(&f->window);
    wb_formatter_close(&f->formatter);
    rq_setup_close(&f->setup);
    wb_out_fini(&f->id);
    f->cursor = (rq_cursor){0};
    wb_error_reset(&f->broken);
    atomic_store(&f->unconfirmed, 0);
    atomic_store(&f->blocked, false);
}

static wb_code rq_open(void *ctx, wb_host *h, wb_open *o, wb_error *err)
{
    rq_target *f = ctx;
    rq_place *place = NULL;
    WB_UNUSED(o);
    rq_close(f);
    atomic_store(&f->conn.interrupted, false);
    atomic_store(&f->opened, true);
    atomic_store(&f->queue_messages, -1);
    f->host = h;
    f->is_open = true;
    f->counted_us = 0;
    f->unread = 0;
    f->expiration[0] = 0;
    if (f->ttl_ms > 0) snprintf(f->expiration, sizeof f->expiration, "%lld", (long long)f->ttl_ms);
    wb_code code = rq_setup_open(f, h, &f->setup, err);
    if (code == WB_OK) code = wb_formatter_open(&f->formatter, f->format, f->format_options, f->host, err);
    if (code == WB_OK && !rq_window_open(&f->window, (size_t)f->window_size, (size_t)wb_host_memory(h)))
        code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the window of target rabbitmq.");
    if (code == WB_OK) code = rq_conn_open(&f->conn, h, &f->setup.settings, err);
    if (code == WB_OK) code = rq_conn_confirms(&f->conn, err);
    if (code == WB_OK) code = rq_place_fixed(&f->setup.places, &place, err);
    if (code == WB_OK && place) code = rq_place_declare(&f->setup.places, &f->conn, place, err);
    if (code != WB_OK) {
        f->broken.code = code;
        rq_close(f);
    }
    return code;
}

static void rq_interrupt(void *ctx)
{
    rq_target *f = ctx;
    rq_conn_interrupt(&f->conn);
}

static const char *rq_version(void)
{
    static _Thread_local char text[40];
    snprintf(text, sizeof text, "rabbitmq-c %s", amqp_version());
    return text;
}

const wb_target wb_target_rabbitmq = {
    .head = {.kind = WB_TARGET,
             .name = "rabbitmq",
             .brief = "messages in RabbitMQ, confirmed",
             .options = options,
             .ctx_size = sizeof(rq_target),
             .version = rq_version},
    .check = rq_check,
    .open = rq_open,
    .write = rq_write,
    .flush = rq_flush,
    .status = rq_status,
    .destination = rq_destination,
    .interrupt = rq_interrupt,
    .close = rq_close,
};

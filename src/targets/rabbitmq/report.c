/* report.c: what the options mean, and what the target says of itself: check, status, destination. Reads the options,
 * and makes connections of its own: another thread may have the target open. */
#include <limits.h>
#include <stdio.h>

#include "targets/rabbitmq/rabbitmq.h"

static wb_code absolute(const char *path, wb_host *h, wb_arena *a, const char **out, wb_error *err)
{
    char full[PATH_MAX];
    *out = NULL;
    if (!path) return WB_OK;
    wb_code code = wb_host_path(h, path, full, sizeof full, err);
    if (code == WB_OK) *out = wb_arena_strdup(a, full);
    return code;
}

wb_code rq_setup_open(const rq_target *f, wb_host *h, rq_setup *s, wb_error *err)
{
    memset(s, 0, sizeof *s);
    wb_arena_init(&s->arena, 1024, 0);
    s->settings = (rq_settings){.url = &s->url,
                                .password = f->password,
                                .verify = f->verify,
                                .heartbeat_ms = f->heartbeat_ms,
                                .timeout_ms = f->timeout_ms,
                                .name = wb_arena_printf(&s->arena, "walbrook %s", wb_host_pipeline(h))};
    s->places = (rq_places){.queue_arguments = f->queue_arguments,
                            .exchange_arguments = f->exchange_arguments,
                            .exchange_type = f->exchange_type,
                            .declare = f->declare,
                            .durable = f->durable,
                            .exchange_text = f->exchange && *f->exchange ? f->exchange : NULL,
                            .queue_text = f->queue && *f->queue ? f->queue : NULL,
                            .key_text = f->routing_key,
                            .pipeline = wb_host_pipeline(h)};
    wb_code code = rq_url_parse(f->url_text, &s->arena, &s->url, err);
    if (code == WB_OK && !s->url.tls && (f->tls_ca || f->tls_cert || f->tls_key)) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "`tls_ca`, `tls_cert` and `tls_key` of target rabbitmq need an amqps:// url.");
        return WB_E_CONFIG;
    }
    if (code == WB_OK && f->tls_key && !f->tls_cert)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "`tls_key` needs `tls_cert`, the certificate it belongs to.");
    if (code == WB_OK && f->content_type && strlen(f->content_type) > 255)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "`content_type` of target rabbitmq has more than 255 bytes.");
    if (code == WB_OK) code = absolute(f->tls_ca, h, &s->arena, &s->settings.ca, err);
    if (code == WB_OK) code = absolute(f->tls_cert, h, &s->arena, &s->settings.cert, err);
    if (code == WB_OK) code = absolute(f->tls_key, h, &s->arena, &s->settings.key, err);
    if (code == WB_OK && s->arena.failed) code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for options.");
    return code == WB_OK ? rq_places_open(&s->places, err) : code;
}

void rq_setup_close(rq_setup *s)
{
    rq_places_close(&s->places);
    wb_arena_fini(&s->arena);
}

/* Not the host: a broker may move. */
wb_code rq_destination(void *ctx, char *out, size_t cap)
{
    const rq_target *f = ctx;
    rq_url url;
    wb_arena a;
    wb_arena_init(&a, 1024, 0);
    wb_code code = rq_url_parse(f->url_text ? f->url_text : "", &a, &url, NULL);
    int n = snprintf(out, cap, "vhost %s%s%s%s%s%s%s", code == WB_OK ? url.vhost : "?",
                     f->exchange ? ", exchange " : "", f->exchange ? f->exchange : "", f->routing_key ? ", key " : "",
                     f->routing_key ? f->routing_key : "", f->queue ? ", queue " : "", f->queue ? f->queue : "");
    wb_arena_fini(&a);
    return n >= 0 && (size_t)n < cap ? WB_OK : WB_E_LIMIT;
}

wb_code rq_count(rq_conn *c, wb_str queue, int64_t *messages, int64_t *consumers, wb_error *err)
{
    wb_code code = rq_conn_declares(c, err);
    if (code != WB_OK) return code;
    const amqp_queue_declare_ok_t *r =
        amqp_queue_declare(c->amqp, RQ_DECLARE, rq_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (r) {
        *messages = r->message_count;
        *consumers = r->consumer_count;
        return WB_OK;
    }
    code = rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), "the queue", err);
    c->declares = false;
    return code == WB_OK ? wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "RabbitMQ does not say how long a queue is.")
                         : code;
}

/* ---------------------------------------------------------------- check */

/* Looks, and makes nothing: what is not there is fine where we may make it. */
static void check_thing(const rq_target *f, rq_conn *c, bool queue, wb_str name, wb_report *r)
{
    wb_error err;
    int64_t messages = 0, consumers = 0;
    const char *what = queue ? "queue" : "exchange";
    wb_error_reset(&err);
    wb_code code;
    if (queue) {
        code = rq_count(c, name, &messages, &consumers, &err);
    } else {
        code = rq_conn_declares(c, &err);
        if (code == WB_OK) {
            amqp_exchange_declare(c->amqp, RQ_DECLARE, rq_bytes(name), amqp_cstring_bytes(f->exchange_type), 1, 0, 0, 0,
                                  amqp_empty_table);
            code = rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), "the exchange", &err);
            c->declares = code == WB_OK;
        }
    }
    bool missing = strcmp(err.native, "404") == 0;
    if (code == WB_OK && queue)
        wb_report_add(r, WB_FINE, NULL, "The queue %.*s is there: %lld messages, %lld consumers.", (int)name.len,
                      name.ptr, (long long)messages, (long long)consumers);
    else if (code == WB_OK)
        wb_report_add(r, WB_FINE, NULL, "The exchange %.*s is there.", (int)name.len, name.ptr);
    else if (missing && f->declare == RQ_CREATE)
        wb_report_add(r, WB_FINE, NULL, "The %s %.*s is not there and will be made.", what, (int)name.len, name.ptr);
    else if (missing)
        wb_report_add(r, WB_BAD, "declare it, or set `declare: create`", "The %s %.*s is not there.", what,
                      (int)name.len, name.ptr);
    else
        wb_report_error(r, &err);
}

/* Rights are looked at before anything else is: so a question that is refused for another reason says that they are
 * there, and makes nothing. The broker's own words for them are in its answer. */
static void say_right(rq_conn *c, const char *right, wb_str name, wb_report *r)
{
    char doing[400];
    wb_error why;
    wb_error_reset(&why);
    int n = (int)WB_MIN(name.len, (size_t)255);
    snprintf(doing, sizeof doing, "to %s %.*s", right, n, name.ptr);
    wb_code code = rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), doing, &why);
    if (code == WB_E_AUTH || code == WB_E_NET)
        wb_report_error(r, &why);
    else
        wb_report_add(r, WB_FINE, NULL, "This user may %s %.*s.", right, n, name.ptr);
}

/* A message within a transaction of AMQP's that is rolled back. */
static void check_write(rq_conn *c, const rq_place *place, wb_report *r)
{
    amqp_channel_t channel = RQ_ASK;
    wb_str name = place->exchange.len ? place->exchange : WB_STR("(default)");
    if (!amqp_channel_open(c->amqp, channel) || !amqp_tx_select(c->amqp, channel)) return;
    amqp_basic_publish(c->amqp, channel, rq_bytes(place->exchange), rq_bytes(place->key), 0, 0, NULL, amqp_empty_bytes);
    amqp_tx_rollback(c->amqp, channel);
    say_right(c, "send to the exchange", name, r);
}

/* Arguments of a type that nobody takes. */
static void check_make(const rq_target *f, rq_conn *c, bool queue, wb_str name, wb_report *r)
{
    amqp_table_entry_t bad = {amqp_cstring_bytes(queue ? "x-expires" : "alternate-exchange"),
                              {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = 1}}};
    amqp_table_t arguments = {1, &bad};
    amqp_channel_t channel = queue ? RQ_ASK + 1 : RQ_ASK + 2;
    if (!amqp_channel_open(c->amqp, channel)) return;
    if (queue)
        amqp_queue_declare(c->amqp, channel, rq_bytes(name), 0, f->durable, 0, 0, arguments);
    else
        amqp_exchange_declare(c->amqp, channel, rq_bytes(name), amqp_cstring_bytes(f->exchange_type), 0, f->durable, 0,
                              0, arguments);
    say_right(c, queue ? "make the queue" : "make the exchange", name, r);
}

/* RabbitMQ's ways: another broker may take what it refuses. */
static void check_rights(const rq_target *f, rq_conn *c, const rq_place *place, wb_report *r)
{
    char product[64];
    if (strcmp(rq_server_property(c, "product", product, sizeof product), "RabbitMQ") != 0) return;
    bool own = place->exchange.len >= 4 && memcmp(place->exchange.ptr, "amq.", 4) == 0;
    check_write(c, place, r);
    if (f->declare != RQ_CREATE) return;
    if (place->exchange.len && !own) check_make(f, c, false, place->exchange, r);
    if (place->queue.len) check_make(f, c, true, place->queue, r);
}

static void check_places(const rq_target *f, rq_setup *s, rq_conn *c, wb_report *r)
{
    rq_place *place = NULL;
    wb_error err;
    wb_error_reset(&err);
    if (rq_place_fixed(&s->places, &place, &err) != WB_OK) {
        wb_report_error(r, &err);
    } else if (!place) {
        wb_report_add(r, WB_FINE, NULL,
                      "Exchange and queue depend on the table: they are %s when its first change comes.",
                      f->declare == RQ_CREATE ? "made" : "used");
    } else {
        if (place->exchange.len) check_thing(f, c, false, place->exchange, r);
        if (place->queue.len) check_thing(f, c, true, place->queue, r);
        check_rights(f, c, place, r);
    }
    if (!f->queue && f->unroutable == RQ_STOP)
        wb_report_add(r, WB_FINE, NULL, "A message that no queue is bound for stops the target (`unroutable: stop`).");
}

static void check_promises(const rq_target *f, const rq_setup *s, wb_report *r)
{
    if (!f->persistent || !f->durable)
        wb_report_add(
            r, WB_WARN, "persistent: true, durable: true",
            "Confirmed messages may be lost when the broker is restarted (`persistent` or `durable` is false).");
    if (s->url.tls && f->verify == RQ_VERIFY_NONE)
        wb_report_add(r, WB_WARN, "tls_verify: full", "The broker's certificate is not verified.");
    if (f->ttl_ms > 0)
        wb_report_add(r, WB_WARN, NULL, "The broker drops messages that nobody took for so long (`ttl`).");
    if (f->unroutable == RQ_SKIP)
        wb_report_add(r, WB_WARN, NULL, "Messages that no queue wants are skipped (`unroutable: skip`).");
}

wb_code rq_check(void *ctx, wb_host *h, wb_report *r, wb_error *err)
{
    const rq_target *f = ctx;
    rq_setup s;
    rq_conn conn = {0};
    char product[64], version[64];
    wb_error why;
    wb_formatter_check(f->format, f->format_options, h, r);
    wb_code code = rq_setup_open(f, h, &s, err);
    if (code == WB_OK) {
        wb_error_reset(&why);
        check_promises(f, &s, r);
        if (rq_conn_open(&conn, h, &s.settings, &why) != WB_OK || rq_conn_confirms(&conn, &why) != WB_OK) {
            wb_report_error(r, &why);
        } else {
            wb_report_add(r, WB_FINE, NULL, "%s %s answers, vhost %s%s; every change is delivered at least once.",
                          rq_server_property(&conn, "product", product, sizeof product),
                          rq_server_property(&conn, "version", version, sizeof version), s.url.vhost,
                          s.url.tls ? ", with TLS" : "");
            check_places(f, &s, &conn, r);
        }
        rq_conn_close(&conn, true);
    }
    rq_setup_close(&s);
    return code;
}

/* ---------------------------------------------------------------- status */

/* Of a target that does not run: how long its queue is. */
static void ask_broker(const rq_target *f, wb_host *h, const wb_facts *facts)
{
    rq_setup s;
    rq_conn conn = {0};
    rq_place *place = NULL;
    int64_t messages = 0, consumers = 0;
    wb_error why;
    wb_error_reset(&why);
    wb_code code = rq_setup_open(f, h, &s, &why);
    if (code == WB_OK) code = rq_place_fixed(&s.places, &place, &why);
    if (code == WB_OK && place && place->queue.len) {
        code = rq_conn_open(&conn, h, &s.settings, &why);
        if (code == WB_OK) code = rq_count(&conn, place->queue, &messages, &consumers, &why);
        rq_conn_close(&conn, true);
        if (code == WB_OK) {
            facts->number(facts->arg, "queue_messages", messages);
            facts->number(facts->arg, "queue_consumers", consumers);
        }
    }
    if (code != WB_OK) facts->text(facts->arg, "broker", why.message);
    rq_setup_close(&s);
}

wb_code rq_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err)
{
    rq_target *f = ctx;
    WB_UNUSED(err);
    facts->text(facts->arg, "delivery", "at least once");
    if (!atomic_load(&f->opened)) {
        ask_broker(f, h, facts);
        return WB_OK;
    }
    facts->number(facts->arg, "unconfirmed", atomic_load(&f->unconfirmed));
    facts->number(facts->arg, "confirmed", atomic_load(&f->confirmed));
    facts->number(facts->arg, "refused", atomic_load(&f->refused));
    facts->number(facts->arg, "returned", atomic_load(&f->returned));
    facts->number(facts->arg, "skipped", atomic_load(&f->skipped));
    if (atomic_load(&f->blocked)) facts->text(facts->arg, "broker", "takes no messages for now: out of memory or disk");
    if (atomic_load(&f->queue_messages) >= 0) {
        facts->number(facts->arg, "queue_messages", atomic_load(&f->queue_messages));
        facts->number(facts->arg, "queue_consumers", atomic_load(&f->queue_consumers));
    }
    return WB_OK;
}

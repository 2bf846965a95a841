/* places.c: where a message goes: exchange, routing key and queue from their templates, kept in a table by name and
 * declared when first used on a connection. */
#include <stdio.h>

#include "base/node.h"
#include "base/options.h"
#include "targets/rabbitmq/rabbitmq.h"

enum { SHORT = 255 }; /* bytes of an AMQP short string */

/* ---------------------------------------------------------------- arguments */

static bool read_bool(const char *t, bool *out)
{
    *out = strcmp(t, "true") == 0;
    return *out || strcmp(t, "false") == 0;
}

static wb_code argument(const wb_pair *pair, amqp_table_entry_t *e, wb_error *err)
{
    const wb_node *v = pair->value;
    int64_t i;
    bool b;
    if (v->kind != WB_NODE_SCALAR || wb_node_null(v))
        return wb_node_fail(v, err, "The argument %s must be a number, a text, true or false.", pair->key);
    if (strlen(pair->key) > SHORT) return wb_node_fail(v, err, "The name of an argument has more than 255 bytes.");
    e->key = amqp_cstring_bytes(pair->key);
    if (!v->quoted && read_bool(v->text, &b)) {
        e->value.kind = AMQP_FIELD_KIND_BOOLEAN;
        e->value.value.boolean = b;
    } else if (!v->quoted && wb_parse_int(v->text, &i, NULL) == WB_OK) {
        e->value.kind = AMQP_FIELD_KIND_I64;
        e->value.value.i64 = i;
    } else {
        e->value.kind = AMQP_FIELD_KIND_UTF8;
        e->value.value.bytes = amqp_cstring_bytes(v->text);
    }
    return WB_OK;
}

static wb_code arguments(const wb_node *map, amqp_table_t *out, wb_arena *a, wb_error *err)
{
    *out = amqp_empty_table;
    if (!map || wb_node_null(map)) return WB_OK;
    if (map->kind != WB_NODE_MAP) return wb_node_fail(map, err, "Arguments are a map: {x-queue-type: quorum}.");
    out->entries = wb_arena_zalloc(a, map->n * sizeof *out->entries + 1);
    if (!out->entries) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for arguments.");
    wb_code code = WB_OK;
    for (size_t i = 0; code == WB_OK && i < map->n; i++) code = argument(&map->pairs[i], &out->entries[i], err);
    out->num_entries = (int)map->n;
    return code;
}

/* A queue with a limit forgets its oldest messages, confirmed ones, unless it is told to refuse new ones. */
static wb_code refuse_forgetting(const wb_node *map, wb_error *err)
{
    const wb_node *type = wb_node_get(map, "x-queue-type"), *overflow = wb_node_get(map, "x-overflow"), *limit;
    bool stream = type && type->text && strcmp(type->text, "stream") == 0;
    const char *said = overflow && overflow->text ? overflow->text : "drop-head";
    limit = wb_node_get(map, "x-max-length");
    if (!limit) limit = wb_node_get(map, "x-max-length-bytes");
    if (!limit || stream || strncmp(said, "reject-publish", 14) == 0) return WB_OK;
    wb_node_fail(limit, err,
                 "A queue with x-max-length that is full drops its oldest messages (x-overflow %s): changes "
                 "would be lost.",
                 said);
    wb_hint(err, "Add x-overflow: reject-publish: then a full queue makes Walbrook wait.");
    return WB_E_CONFIG;
}

/* ---------------------------------------------------------------- open and close */

static wb_code parse(const char *text, const char *what, uint32_t words, wb_arena *a, wb_template **out, wb_error *err)
{
    *out = NULL;
    return text ? wb_template_new(text, words, what, a, out, err) : WB_OK;
}

wb_code rq_places_open(rq_places *p, wb_error *err)
{
    const uint32_t table = WB_WORDS_OF_TABLE | WB_WORD_BIT(WB_WORD_NAME) | WB_WORD_BIT(WB_WORD_DATABASE) |
                           WB_WORD_BIT(WB_WORD_ROUTE) | WB_WORD_BIT(WB_WORD_TOPIC);
    const uint32_t all = table | WB_WORD_BIT(WB_WORD_OPERATION);
    wb_arena_init(&p->arena, 4096, 0);
    p->nbuckets = 64;
    p->n = 0;
    p->buckets = calloc(p->nbuckets, sizeof(rq_place *));
    wb_code code = p->buckets ? WB_OK : wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for names of queues.");
    if (code == WB_OK && !p->exchange_text && !p->queue_text) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "A target rabbitmq needs `queue` or `exchange`.");
        wb_hint(err, "Write `queue: changes`, or `exchange: changes` and let consumers bind their own queues.");
        return WB_E_CONFIG;
    }
    if (code == WB_OK && p->key_text && !p->exchange_text) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "`routing_key` of target rabbitmq needs an `exchange`.");
        wb_hint(err, "Without one the queue's name is the routing key.");
        return WB_E_CONFIG;
    }
    if (code == WB_OK)
        code = parse(p->exchange_text, "`exchange` of target rabbitmq", table, &p->arena, &p->exchange, err);
    if (code == WB_OK) code = parse(p->queue_text, "`queue` of target rabbitmq", all, &p->arena, &p->queue, err);
    if (code == WB_OK) code = parse(p->key_text, "`routing_key` of target rabbitmq", all, &p->arena, &p->key, err);
    if (code == WB_OK) code = refuse_forgetting(p->queue_arguments, err);
    if (code == WB_OK) code = arguments(p->queue_arguments, &p->queue_table, &p->arena, err);
    if (code == WB_OK) code = arguments(p->exchange_arguments, &p->exchange_table, &p->arena, err);
    return code;
}

void rq_places_close(rq_places *p)
{
    if (p->nbuckets) wb_arena_fini(&p->arena);
    free(p->buckets);
    wb_out_fini(&p->scratch);
    p->buckets = NULL;
    p->exchange = p->queue = p->key = NULL;
    p->nbuckets = p->n = 0;
}

/* ---------------------------------------------------------------- by name */

static bool fixed(const wb_template *t) { return !t || !(wb_template_uses(t) & ~WB_WORD_BIT(WB_WORD_NAME)); }
bool rq_places_fixed_queue(const rq_places *p) { return p->queue && fixed(p->queue); }

/* What is about no row keeps the format's topic where the template has words of rows. */
static void put(const wb_template *t, const wb_words *w, bool aside, wb_out *o)
{
    const uint32_t of_rows = WB_WORDS_OF_TABLE | WB_WORD_BIT(WB_WORD_ROUTE) | WB_WORD_BIT(WB_WORD_OPERATION);
    if (t && aside && (wb_template_uses(t) & of_rows) && w->of[WB_WORD_TOPIC].len)
        wb_out_str(o, w->of[WB_WORD_TOPIC]);
    else if (t)
        wb_template_put(t, w, o);
}

/* What a message has for a routing key when nobody says: the format's topic, the route, schema.table; of a whole schema
 * its name. */
static void put_usual_key(const wb_words *w, wb_out *o)
{
    wb_str topic = w->of[WB_WORD_TOPIC];
    if (!topic.len) topic = w->of[WB_WORD_ROUTE];
    wb_out_str(o, topic);
    if (topic.len) return;
    wb_out_str(o, w->of[WB_WORD_SCHEMA]);
    if (w->of[WB_WORD_SCHEMA].len && w->of[WB_WORD_TABLE].len) wb_out_byte(o, '.');
    wb_out_str(o, w->of[WB_WORD_TABLE]);
}

static void grow(rq_places *p)
{
    size_t n = p->nbuckets * 2;
    rq_place **more = calloc(n, sizeof *more);
    if (!more) return; /* it is only slower */
    for (size_t i = 0; i < p->nbuckets; i++)
        for (rq_place *q = p->buckets[i], *next; q; q = next) {
            next = q->next;
            q->next = more[q->hash & (n - 1)];
            more[q->hash & (n - 1)] = q;
        }
    free(p->buckets);
    p->buckets = more;
    p->nbuckets = n;
}

static wb_code too_long(wb_str s, const char *what, wb_error *err)
{
    if (s.len <= SHORT) return WB_OK;
    return wb_fail(err, WB_E_LIMIT, WB_POISON, "A message's %s has %zu bytes, AMQP takes 255: %.80s...", what, s.len,
                   s.ptr);
}

static wb_code add(rq_places *p, wb_str exchange, wb_str queue, wb_str key, uint64_t hash, rq_place **out,
                   wb_error *err)
{
    wb_code code = too_long(exchange, "exchange", err);
    if (code == WB_OK) code = too_long(queue, "queue", err);
    if (code == WB_OK) code = too_long(key, "routing key", err);
    if (code != WB_OK) return code;
    rq_place *q = wb_arena_zalloc(&p->arena, sizeof *q);
    char *text = wb_arena_alloc(&p->arena, exchange.len + queue.len + key.len + 1);
    if (p->arena.failed) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for names of queues.");
    memcpy(text, exchange.ptr, exchange.len);
    q->exchange = (wb_str){text, exchange.len};
    memcpy(text + exchange.len, queue.ptr, queue.len);
    q->queue = (wb_str){text + exchange.len, queue.len};
    memcpy(text + exchange.len + queue.len, key.ptr, key.len);
    q->key = (wb_str){text + exchange.len + queue.len, key.len};
    q->hash = hash;
    if (p->n++ > p->nbuckets) grow(p);
    q->next = p->buckets[hash & (p->nbuckets - 1)];
    p->buckets[hash & (p->nbuckets - 1)] = q;
    *out = q;
    return WB_OK;
}

static wb_code find(rq_places *p, const wb_words *w, bool aside, rq_place **out, wb_error *err)
{
    wb_out *o = &p->scratch;
    size_t a, b, c;
    wb_out_reset(o);
    put(p->exchange, w, aside, o);
    a = o->len;
    wb_out_byte(o, 0);
    put(p->queue, w, aside, o);
    b = o->len;
    wb_out_byte(o, 0);
    if (!p->exchange)
        wb_out_put(o, o->p + a + 1, o->failed ? 0 : b - a - 1);
    else if (p->key)
        put(p->key, w, aside, o);
    else
        put_usual_key(w, o);
    c = o->len;
    if (o->failed) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for names of queues.");
    wb_str exchange = {o->p, a}, queue = {o->p + a + 1, b - a - 1}, key = {o->p + b + 1, c - b - 1};
    uint64_t hash = wb_fnv1a(WB_FNV1A, o->p, c);
    for (rq_place *q = p->buckets[hash & (p->nbuckets - 1)]; q; q = q->next)
        if (q->hash == hash && wb_str_eq(q->exchange, exchange) && wb_str_eq(q->queue, queue) &&
            wb_str_eq(q->key, key)) {
            *out = q;
            return WB_OK;
        }
    return add(p, exchange, queue, key, hash, out, err);
}

wb_code rq_place_of(rq_places *p, const wb_txn *txn, const wb_change *c, const wb_message *m, rq_place **out,
                    wb_error *err)
{
    char lower[16];
    char schemas[SHORT + 8];
    wb_words w;
    w.of[WB_WORD_NAME] = wb_str_of(p->pipeline);
    w.of[WB_WORD_TOPIC] = m->topic;
    wb_words_fill(&w, txn, c, lower);
    /* CREATE DATABASE: an exchange gets the schema's name, a queue that would be named after a table is as kafka's
     * topic */
    bool schema = c && c->table && !c->table->name.len && !p->exchange;
    if (schema && !m->topic.len) {
        snprintf(schemas, sizeof schemas, "%.*s.schema", SHORT, p->pipeline);
        w.of[WB_WORD_TOPIC] = wb_str_of(schemas);
    }
    return find(p, &w, m->aside || schema, out, err);
}

wb_code rq_place_fixed(rq_places *p, rq_place **out, wb_error *err)
{
    wb_words w = {.of[WB_WORD_NAME] = wb_str_of(p->pipeline)};
    *out = NULL;
    if (!fixed(p->exchange) || !fixed(p->queue)) return WB_OK;
    return find(p, &w, false, out, err);
}

/* ---------------------------------------------------------------- declaring */

/* Passive: only a person can mend what is not there. */
static wb_code declared(const rq_places *p, rq_conn *c, const char *what, wb_str name, wb_error *err)
{
    char doing[400];
    snprintf(doing, sizeof doing, "%s %.*s", what, (int)WB_MIN(name.len, (size_t)255), name.ptr);
    wb_code code = rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), doing, err);
    if (code == WB_OK) return code;
    c->declares = false;
    if (err && p->declare == RQ_PASSIVE && strcmp(err->native, "404") == 0) err->next = WB_NEVER;
    return code;
}

static wb_code declare_exchange(rq_places *p, rq_conn *c, const rq_place *place, wb_error *err)
{
    if (!place->exchange.len || strncmp(place->exchange.ptr, "amq.", WB_MIN(place->exchange.len, (size_t)4)) == 0)
        return WB_OK; /* the broker's own */
    bool passive = p->declare == RQ_PASSIVE;
    amqp_exchange_declare(c->amqp, RQ_DECLARE, rq_bytes(place->exchange), amqp_cstring_bytes(p->exchange_type), passive,
                          p->durable, 0, 0, passive ? amqp_empty_table : p->exchange_table);
    return declared(p, c, "the exchange", place->exchange, err);
}

static wb_code declare_queue(rq_places *p, rq_conn *c, const rq_place *place, wb_error *err)
{
    if (!place->queue.len) return WB_OK;
    bool passive = p->declare == RQ_PASSIVE;
    amqp_queue_declare(c->amqp, RQ_DECLARE, rq_bytes(place->queue), passive, p->durable, 0, 0,
                       passive ? amqp_empty_table : p->queue_table);
    wb_code code = declared(p, c, "the queue", place->queue, err);
    if (code != WB_OK || passive || !place->exchange.len) return code;
    amqp_queue_bind(c->amqp, RQ_DECLARE, rq_bytes(place->queue), rq_bytes(place->exchange), rq_bytes(place->key),
                    amqp_empty_table);
    return declared(p, c, "to bind the queue", place->queue, err);
}

wb_code rq_place_declare(rq_places *p, rq_conn *c, rq_place *place, wb_error *err)
{
    wb_code code = p->declare == RQ_NOTHING ? WB_OK : rq_conn_declares(c, err);
    if (code == WB_OK && p->declare != RQ_NOTHING) code = declare_exchange(p, c, place, err);
    if (code == WB_OK && p->declare != RQ_NOTHING) code = declare_queue(p, c, place, err);
    place->ready = code == WB_OK;
    return code;
}

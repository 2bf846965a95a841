/* message.c: a format's message, with AMQP's properties and headers, copied to where it is held until it is confirmed.
 */
#include <stdio.h>

#include "formats/json.h"
#include "targets/rabbitmq/rabbitmq.h"

enum { OWN_HEADERS = 6, SHORT = 255, HEADER_ROOM = RQ_FRAME - 4096 };

typedef struct draft {
    const wb_message *m;
    const wb_txn *txn;
    const wb_change *c;
    wb_str id, type, content_type; /* of the message; empty: none */
    size_t nheaders, bytes;        /* memory that the copy needs */
    size_t encoded;                /* bytes of headers in the frame */
} draft;

static wb_str content_type(const rq_target *f, const wb_message *m)
{
    for (size_t i = 0; i < m->nheaders; i++)
        if (wb_str_is(m->headers[i].name, "content-type") && m->headers[i].value.ptr &&
            m->headers[i].value.len <= SHORT)
            return m->headers[i].value;
    return wb_str_of(f->content_type);
}

static void count(draft *d, wb_str name, wb_str value)
{
    d->nheaders++;
    d->bytes += sizeof(amqp_table_entry_t) + name.len + value.len;
    d->encoded += name.len + value.len + 6;
}

static wb_code measure(rq_target *f, draft *d, wb_error *err)
{
    const wb_message *m = d->m;
    for (size_t i = 0; i < m->nheaders; i++) {
        if (m->headers[i].name.len > SHORT)
            return wb_fail(err, WB_E_LIMIT, WB_POISON, "The name of a header has %zu bytes, AMQP takes 255.",
                           m->headers[i].name.len);
        count(d, m->headers[i].name, m->headers[i].value);
    }
    if (f->headers && d->c) {
        const wb_table *t = d->c->table;
        if (d->id.len) count(d, WB_STR("event_id"), d->id);
        if (t) count(d, WB_STR("schema"), t->schema);
        if (t) count(d, WB_STR("table"), t->name);
        count(d, WB_STR("operation"), d->type);
    }
    if (f->headers && m->key.ptr) count(d, WB_STR("key"), m->key);
    if (d->encoded > HEADER_ROOM)
        return wb_fail(err, WB_E_LIMIT, WB_POISON,
                       "The headers of a message have %zu bytes, more than a frame of AMQP holds.", d->encoded);
    d->bytes += d->id.len + d->type.len + d->content_type.len + m->value.len;
    return WB_OK;
}

/* ---------------------------------------------------------------- the copy */

typedef struct copy {
    char *to;
    amqp_table_entry_t *entries;
    int n;
} copy;

static amqp_bytes_t keep(copy *k, wb_str s)
{
    amqp_bytes_t b = {s.len, k->to};
    if (s.len) memcpy(k->to, s.ptr, s.len);
    k->to += s.len;
    return b;
}

static void header(copy *k, wb_str name, wb_str value)
{
    amqp_table_entry_t *e = &k->entries[k->n++];
    e->key = keep(k, name);
    e->value.kind = value.ptr ? AMQP_FIELD_KIND_UTF8 : AMQP_FIELD_KIND_VOID;
    e->value.value.bytes = keep(k, value);
}

static void put_headers(const rq_target *f, const draft *d, copy *k)
{
    const wb_message *m = d->m;
    for (size_t i = 0; i < m->nheaders; i++) header(k, m->headers[i].name, m->headers[i].value);
    if (f->headers && d->c) {
        const wb_table *t = d->c->table;
        if (d->id.len) header(k, WB_STR("event_id"), d->id);
        if (t) header(k, WB_STR("schema"), t->schema);
        if (t) header(k, WB_STR("table"), t->name);
        header(k, WB_STR("operation"), d->type);
    }
    if (f->headers && m->key.ptr) header(k, WB_STR("key"), m->key);
}

static void fill(const rq_target *f, const draft *d, void *memory, rq_message *out)
{
    amqp_basic_properties_t *p = &out->properties;
    copy k = {.entries = memory, .to = (char *)memory + d->nheaders * sizeof(amqp_table_entry_t)};
    put_headers(f, d, &k);
    p->_flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_APP_ID_FLAG;
    p->delivery_mode = f->persistent ? AMQP_DELIVERY_PERSISTENT : AMQP_DELIVERY_NONPERSISTENT;
    p->app_id = amqp_cstring_bytes("walbrook");
    if (d->content_type.len) {
        p->_flags |= AMQP_BASIC_CONTENT_TYPE_FLAG;
        p->content_type = keep(&k, d->content_type);
    }
    if (d->id.len && d->id.len <= SHORT) {
        p->_flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        p->message_id = keep(&k, d->id);
    }
    if (d->type.len) {
        p->_flags |= AMQP_BASIC_TYPE_FLAG;
        p->type = keep(&k, d->type);
    }
    if (d->txn && d->txn->commit_us > 0) {
        p->_flags |= AMQP_BASIC_TIMESTAMP_FLAG;
        p->timestamp = (uint64_t)(d->txn->commit_us / 1000000);
    }
    if (f->priority > 0) {
        p->_flags |= AMQP_BASIC_PRIORITY_FLAG;
        p->priority = (uint8_t)f->priority;
    }
    if (f->expiration[0]) {
        p->_flags |= AMQP_BASIC_EXPIRATION_FLAG;
        p->expiration = amqp_cstring_bytes(f->expiration);
    }
    if (k.n) {
        p->_flags |= AMQP_BASIC_HEADERS_FLAG;
        p->headers = (amqp_table_t){k.n, k.entries};
    }
    out->body = keep(&k, d->m->value);
}

/* The same after a crash, and different for each message of a change. */
static wb_code put_id(rq_target *f, draft *d, size_t nth, wb_error *err)
{
    wb_out_reset(&f->id);
    if (!d->c) return WB_OK;
    wb_code code = wb_json_event_id(&f->id, d->txn, d->c, NULL, err);
    if (f->id.len && nth) wb_out_printf(&f->id, "/%zu", nth);
    if (code == WB_OK && f->id.failed)
        code = wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for a message.");
    d->id = (wb_str){f->id.p, f->id.len};
    return code;
}

wb_code rq_message_put(rq_target *f, const wb_txn *txn, const wb_change *c, const wb_message *m, size_t nth,
                       wb_error *err)
{
    draft d = {.m = m, .txn = txn, .c = c, .content_type = content_type(f, m)};
    rq_place *place;
    void *memory;
    if (m->value.len > (size_t)f->max_message)
        return wb_fail(err, WB_E_LIMIT, WB_POISON,
                       "A message has %zu bytes, `max_message` of target rabbitmq allows %lld.", m->value.len,
                       (long long)f->max_message);
    if (c) d.type = wb_str_of(wb_change_type(c));
    wb_code code = put_id(f, &d, nth, err);
    if (code == WB_OK) code = measure(f, &d, err);
    if (code == WB_OK) code = rq_place_of(&f->setup.places, txn, c, m, &place, err);
    if (code != WB_OK) return code;
    if (!rq_window_room(&f->window, d.bytes)) return WB_AGAIN;
    rq_message *out = rq_window_push(&f->window, d.bytes, &memory);
    if (!out)
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory to hold a message of %zu bytes.", d.bytes);
    out->place = place;
    out->optional = c && c->table && !c->table->name.len;
    fill(f, &d, memory, out);
    return WB_OK;
}

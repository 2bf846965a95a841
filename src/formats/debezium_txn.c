/* debezium_txn.c: messages that are about no row: begin and end of transactions, logical messages, heartbeats. */
#include "formats/debezium.h"

#include "base/clock.h"

static wb_str whole(const wb_out *o) { return (wb_str){o->p, o->len}; }

#define FIELD(type, optional, name) "{\"type\":\"" type "\",\"optional\":" optional ",\"field\":\"" name "\"}"

static const char txn_key_schema[] = "{\"type\":\"struct\",\"fields\":[" FIELD(
    "string", "false",
    "id") "],\"optional\":false,\"name\":\"io.debezium.connector.common.TransactionMetadataKey\",\"version\":1}";
static const char txn_value_schema[] =
    "{\"type\":\"struct\",\"fields\":[" FIELD("string", "false", "status") "," FIELD("string", "false", "id") "," FIELD(
        "int64", "true",
        "event_count") ",{\"type\":\"array\",\"items\":{\"type\":\"struct\",\"fields\":"
                       "[" FIELD("string", "false", "data_collection") "," FIELD(
                           "int64", "false",
                           "event_count") "],\"optional\":"
                                          "true,\"name\":"
                                          "\"event."
                                          "collection\","
                                          "\"version\":1},"
                                          "\"optional\":"
                                          "true,\"field\":"
                                          "\"data_"
                                          "collections\"}"
                                          "," FIELD("int64", "false",
                                                    "ts_ms") "],\"optional\":false,\"name\":\"io.debezium.connector."
                                                             "common.TransactionMetadataValue\",\"version\":1}";

/* {"schema":...,"payload": or nothing; close with dbz_close. */
static void open_payload(const dbz *d, wb_out *o, const char *schema)
{
    wb_out_reset(o);
    if (!d->schemas) return;
    wb_out_z(o, "{\"schema\":");
    wb_out_z(o, schema);
    wb_out_z(o, ",\"payload\":");
}
static void close_payload(const dbz *d, wb_out *o)
{
    if (d->schemas) wb_out_byte(o, '}');
}

static void put_topic(dbz *d, wb_out *o, const char *name)
{
    wb_out_reset(o);
    wb_out_z(o, d->prefix);
    wb_out_z(o, d->delimiter);
    wb_out_z(o, name);
}

/* ---------------------------------------------------------------- transactions */

static void put_txn_key(dbz *d)
{
    open_payload(d, &d->extra_key, txn_key_schema);
    wb_out_z(&d->extra_key, "{\"id\":");
    dbz_string(&d->extra_key, whole(&d->open_id));
    wb_out_byte(&d->extra_key, '}');
    close_payload(d, &d->extra_key);
}

static void put_status(dbz *d, const char *status)
{
    wb_out *o = &d->extra;
    open_payload(d, o, txn_value_schema);
    wb_out_printf(o, "{\"status\":\"%s\",\"id\":", status);
    dbz_string(o, whole(&d->open_id));
}

static void finish_status(dbz *d)
{
    wb_out_printf(&d->extra, ",\"ts_ms\":%lld}", (long long)(d->commit_us / 1000));
    close_payload(d, &d->extra);
    put_topic(d, &d->extra_topic, d->transaction_topic);
    dbz_add(d, whole(&d->extra_topic), whole(&d->extra_key), whole(&d->extra))->aside = true;
}

/* Before the first event of a transaction. */
void dbz_begin(dbz *d)
{
    if (d->open_txn && wb_str_eq(whole(&d->open_id), whole(&d->txid))) return;
    d->open_txn = true;
    d->total = 0;
    d->ncounted = 0;
    wb_out_reset(&d->names);
    wb_out_reset(&d->open_id);
    wb_out_put(&d->open_id, d->txid.p, d->txid.len);
    put_txn_key(d);
    put_status(d, "BEGIN");
    wb_out_z(&d->extra, ",\"event_count\":null,\"data_collections\":null");
    finish_status(d);
}

/* One more event of the table: its "transaction" block into `o`. */
void dbz_count(dbz *d, const dbz_plan *p, wb_out *o)
{
    wb_str name = dbz_str(p, p->collection);
    dbz_counted *c = NULL;
    for (size_t i = d->ncounted; i-- > 0 && !c;) {
        dbz_counted *at = &d->counted[i];
        if (at->serial == p->serial || wb_str_eq(name, (wb_str){d->names.p + at->name_at, at->name_len})) c = at;
    }
    if (!c && d->ncounted == d->cap_counted) {
        size_t cap = d->cap_counted ? d->cap_counted * 2 : 64;
        dbz_counted *more = realloc(d->counted, cap * sizeof *more);
        if (!more) {
            o->failed = true;
            return;
        }
        d->counted = more;
        d->cap_counted = cap;
    }
    if (!c) {
        c = &d->counted[d->ncounted++];
        *c = (dbz_counted){.name_at = d->names.len, .name_len = name.len};
        wb_out_str(&d->names, name);
    }
    c->serial = p->serial;
    wb_out_z(o, "{\"id\":");
    dbz_string(o, whole(&d->txid));
    wb_out_printf(o, ",\"total_order\":%llu,\"data_collection_order\":%llu}", (unsigned long long)++d->total,
                  (unsigned long long)++c->events);
}

/* After the last event of a transaction that had any. */
void dbz_end(dbz *d)
{
    wb_out *o = &d->extra;
    d->open_txn = false;
    put_txn_key(d);
    put_status(d, "END");
    wb_out_printf(o, ",\"event_count\":%llu,\"data_collections\":[", (unsigned long long)d->total);
    for (size_t i = 0; i < d->ncounted; i++) {
        const dbz_counted *c = &d->counted[i];
        wb_out_z(o, i ? ",{\"data_collection\":" : "{\"data_collection\":");
        dbz_string(o, (wb_str){d->names.p + c->name_at, c->name_len});
        wb_out_printf(o, ",\"event_count\":%llu}", (unsigned long long)c->events);
    }
    wb_out_byte(o, ']');
    finish_status(d);
}

/* ---------------------------------------------------------------- logical messages */

static const char message_key_schema[] = "{\"type\":\"struct\",\"fields\":[" FIELD(
    "string", "true",
    "prefix") "],\"optional\":false,\"name\":\"io.debezium.connector.postgresql.MessageKey\",\"version\":1}";

void dbz_message(dbz *d, const wb_txn *txn, const wb_change *c)
{
    wb_out *o = &d->value;
    wb_str prefix = {c->after[0].as.ptr, c->after[0].len};
    open_payload(d, &d->key, message_key_schema);
    wb_out_z(&d->key, "{\"prefix\":");
    dbz_string(&d->key, prefix);
    wb_out_byte(&d->key, '}');
    close_payload(d, &d->key);
    wb_out_reset(o);
    if (d->schemas) {
        wb_out_z(o, "{\"schema\":{\"type\":\"struct\",\"fields\":[" FIELD("string", "false", "op") "," FIELD(
                        "int64", "true", "ts_ms") ",");
        dbz_put_source_schema(d, o, true);
        wb_out_z(o, ",{\"type\":\"struct\",\"fields\":[" FIELD("string", "true", "prefix") "," FIELD(
                        "bytes", "true", "content") "],\"optional\":false,\"name\":\"io.debezium.connector.postgresql."
                                                    "Message\",\"version\":1,\"field\":\"message\"}"
                                                    "],\"optional\":false,\"name\":\"io.debezium.connector.postgresql."
                                                    "MessageValue\",\"version\":1},\"payload\":");
    }
    wb_out_printf(o, "{\"op\":\"m\",\"ts_ms\":%lld,", (long long)(wb_now_us() / 1000));
    dbz_put_source(d, txn, NULL, c, o);
    wb_out_z(o, ",\"transaction\":");
    if (d->metadata && txn->id.len && d->open_txn) {
        wb_out_z(o, "{\"id\":");
        dbz_string(o, whole(&d->txid));
        wb_out_printf(o, ",\"total_order\":%llu,\"data_collection_order\":1}", (unsigned long long)++d->total);
    } else {
        wb_out_z(o, "null");
    }
    wb_out_z(o, ",\"message\":{\"prefix\":");
    dbz_string(o, prefix);
    wb_out_z(o, ",\"content\":\"");
    wb_json_base64(o, c->after[1].as.ptr, c->after[1].len);
    wb_out_z(o, "\"}}");
    close_payload(d, o);
    put_topic(d, &d->message_topic, "message");
    dbz_add(d, whole(&d->message_topic), whole(&d->key), whole(o))->aside = true;
}

/* ---------------------------------------------------------------- heartbeats */

void dbz_heartbeat(dbz *d)
{
    int64_t now = wb_mono_us();
    if (now < d->heartbeat_at) return;
    d->heartbeat_at = now + d->heartbeat_ms * 1000;
    open_payload(d, &d->extra_key,
                 "{\"type\":\"struct\",\"fields\":[" FIELD(
                     "string", "false", "serverName") "],\"optional\":false,\"name\":"
                                                      "\"io.debezium.connector.common.ServerNameKey\",\"version\":1}");
    wb_out_z(&d->extra_key, "{\"serverName\":");
    dbz_string(&d->extra_key, wb_str_of(d->prefix));
    wb_out_byte(&d->extra_key, '}');
    close_payload(d, &d->extra_key);
    open_payload(d, &d->extra,
                 "{\"type\":\"struct\",\"fields\":[" FIELD(
                     "int64", "false", "ts_ms") "],\"optional\":false,\"name\":"
                                                "\"io.debezium.connector.common.Heartbeat\",\"version\":1}");
    wb_out_printf(&d->extra, "{\"ts_ms\":%lld}", (long long)(wb_now_us() / 1000));
    close_payload(d, &d->extra);
    wb_out_reset(&d->extra_topic);
    wb_out_z(&d->extra_topic, d->heartbeat_prefix);
    wb_out_z(&d->extra_topic, d->delimiter);
    wb_out_z(&d->extra_topic, d->prefix);
    dbz_add(d, whole(&d->extra_topic), whole(&d->extra_key), whole(&d->extra))->aside = true;
}

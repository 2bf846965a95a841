/* cloudevents.c: CloudEvents 1.0 around the rows that the format `debezium` makes: structured (one JSON object) or
 * binary (attributes as ce_ headers, the data alone as the value). Attributes as Debezium names them, but lower case
 * throughout, and with an id that is unique and the same after a crash. */
#include <stdio.h>

#include "formats/debezium.h"

enum { ATTRIBUTES = 32 };

typedef struct attributes {
    const char *names[ATTRIBUTES];
    size_t at[ATTRIBUTES], len[ATTRIBUTES];
    bool null[ATTRIBUTES], bare[ATTRIBUTES];
    size_t n;
    wb_out *text;
} attributes;

static void begin(attributes *a, const char *name, bool null)
{
    a->names[a->n] = name;
    a->null[a->n] = null;
    a->at[a->n] = a->text->len;
}
static void end(attributes *a)
{
    a->len[a->n] = a->text->len - a->at[a->n];
    a->n++;
}
static void text(attributes *a, const char *name, wb_str s)
{
    begin(a, name, !s.len);
    wb_out_str(a->text, s);
    end(a);
}
static void number(attributes *a, const char *name, int64_t v)
{
    begin(a, name, false);
    wb_out_i64(a->text, v);
    end(a);
}

/* Of a row of a snapshot: table and key; else the place in the log. Neither depends on when we started. */
static void put_id(dbz *d, attributes *a, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op)
{
    wb_out *o = a->text;
    begin(a, "id", false);
    wb_out_printf(o, "name:%s;", d->prefix);
    if (c->op == WB_READ) {
        wb_out_z(o, "snapshot:");
        wb_out_str(o, dbz_str(p, p->collection));
        wb_out_printf(o, ";key:%.*s", (int)d->key.len, p->nkey ? d->key.p : "");
        if (!p->nkey) wb_out_printf(o, "%llu", (unsigned long long)c->ordinal);
    } else if (d->is_postgres) {
        wb_out_printf(o, "lsn:%llu;txId:%.*s;ordinal:%llu;op:%c", (unsigned long long)c->place, (int)txn->id.len,
                      txn->id.ptr, (unsigned long long)c->ordinal, op);
    } else {
        wb_out_printf(o, "file:%.*s;pos:%llu;ordinal:%llu;op:%c", (int)txn->log.len, txn->log.ptr,
                      (unsigned long long)c->place, (unsigned long long)c->ordinal, op);
    }
    end(a);
}

static void put_time(attributes *a, int64_t us)
{
    const int64_t day = INT64_C(86400) * 1000000;
    int64_t days = us / day - (us % day < 0);
    begin(a, "time", false);
    dbz_put_iso_date(a->text, days);
    wb_out_byte(a->text, 'T');
    dbz_put_iso_clock(a->text, us - days * day, 3);
    wb_out_byte(a->text, 'Z');
    end(a);
}

static void put_sequence(dbz *d, attributes *a, const wb_change *c)
{
    wb_out *o = a->text;
    if (!d->is_postgres) {
        text(a, "iodebeziumsequence", (wb_str){NULL, 0});
        return;
    }
    begin(a, "iodebeziumsequence", false);
    for (size_t i = 1; i < d->seq.len; i++)
        if (d->seq.p[i] != '\\') wb_out_byte(o, d->seq.p[i]);
    wb_out_u64(o, c->place);
    wb_out_z(o, "\"]");
    end(a);
}

static void put_place(attributes *a, const wb_txn *txn, const wb_change *c)
{
    static const wb_str none;
    const wb_event *e = c->op <= WB_DELETE ? c->event : NULL;
    number(a, "iodebeziumserverid", txn->server_id);
    text(a, "iodebeziumgtid", txn->global_id);
    text(a, "iodebeziumfile", txn->log);
    number(a, "iodebeziumpos", (int64_t)(e ? e->start : c->place));
    number(a, "iodebeziumrow", e ? (int64_t)(c->ordinal - e->first) : 0);
    a->bare[a->n - 1] = true; /* the only number that is one */
    if (e && txn->thread)
        number(a, "iodebeziumthread", txn->thread);
    else
        text(a, "iodebeziumthread", none);
    text(a, "iodebeziumquery", e ? e->query : none);
}

static void collect(dbz *d, attributes *a, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op)
{
    static const wb_str none;
    put_id(d, a, p, txn, c, op);
    begin(a, "source", false);
    wb_out_printf(a->text, "/debezium/%s/%s", d->connector, d->prefix);
    end(a);
    text(a, "specversion", WB_STR("1.0"));
    begin(a, "type", false);
    wb_out_printf(a->text, "io.debezium.connector.%s.DataChangeEvent", d->connector);
    end(a);
    put_time(a, txn->commit_us);
    text(a, "datacontenttype", WB_STR("application/json"));
    text(a, "iodebeziumop", (wb_str){&op, 1});
    text(a, "iodebeziumversion", wb_str_of(d->version));
    text(a, "iodebeziumconnector", wb_str_of(d->connector));
    text(a, "iodebeziumname", wb_str_of(d->prefix));
    number(a, "iodebeziumtsms", txn->commit_us / 1000);
    text(a, "iodebeziumsnapshot", wb_str_of(dbz_marker(d, c)));
    text(a, "iodebeziumdb", dbz_str(p, p->database));
    put_sequence(d, a, c);
    number(a, "iodebeziumtsus", txn->commit_us);
    begin(a, "iodebeziumtsns", false);
    wb_out_printf(a->text, "%lld000", (long long)txn->commit_us);
    end(a);
    if (d->is_postgres) text(a, "iodebeziumschema", dbz_str(p, p->schema_name));
    text(a, "iodebeziumtable", dbz_str(p, p->table_name));
    if (d->is_postgres) {
        number(a, "iodebeziumlsn", (int64_t)c->place);
        text(a, "iodebeziumxmin", none);
        text(a, "iodebeziumorigin", none);
        text(a, "iodebeziumoriginlsn", none);
    } else {
        put_place(a, txn, c);
    }
    text(a, "iodebeziumtxid", d->is_postgres ? txn->id : none);
    text(a, "iodebeziumtxtotalorder", none);
    text(a, "iodebeziumtxdatacollectionorder", none);
}

wb_code dbz_put_cloud(dbz *d, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op, const wb_value *before,
                      const wb_value *after, wb_out *o, wb_error *err)
{
    if (d->wrap == DBZ_CLOUD) {
        attributes a = {.text = &d->element};
        wb_out_reset(a.text);
        collect(d, &a, p, txn, c, op);
        for (size_t i = 0; i < a.n; i++) {
            wb_out_byte(o, i ? ',' : '{');
            dbz_string(o, wb_str_of(a.names[i]));
            wb_out_byte(o, ':');
            if (a.null[i])
                wb_out_z(o, "null");
            else if (a.bare[i])
                wb_out_put(o, a.text->p + a.at[i], a.len[i]);
            else
                dbz_string(o, (wb_str){a.text->p + a.at[i], a.len[i]});
        }
        if (a.text->failed) o->failed = true;
        wb_out_z(o, ",\"data\":");
    }
    wb_out_str(o, dbz_str(p, p->value_head));
    wb_code code = dbz_put_sides(d, p, before, after, o, err);
    wb_out_byte(o, '}');
    if (d->schemas) wb_out_byte(o, '}');
    if (d->wrap == DBZ_CLOUD) wb_out_byte(o, '}');
    return code;
}

void dbz_cloud_headers(dbz *d, wb_message *m, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op)
{
    static const char *const prefixed[ATTRIBUTES][2] = {{"id", "ce_id"},
                                                        {"source", "ce_source"},
                                                        {"specversion", "ce_specversion"},
                                                        {"type", "ce_type"},
                                                        {"time", "ce_time"},
                                                        {"datacontenttype", "content-type"},
                                                        {"iodebeziumop", "ce_iodebeziumop"},
                                                        {"iodebeziumtable", "ce_iodebeziumtable"},
                                                        {"iodebeziumschema", "ce_iodebeziumschema"},
                                                        {"iodebeziumdb", "ce_iodebeziumdb"},
                                                        {"iodebeziumname", "ce_iodebeziumname"},
                                                        {"iodebeziumversion", "ce_iodebeziumversion"},
                                                        {"iodebeziumconnector", "ce_iodebeziumconnector"},
                                                        {"iodebeziumtsms", "ce_iodebeziumtsms"},
                                                        {"iodebeziumsnapshot", "ce_iodebeziumsnapshot"},
                                                        {"iodebeziumsequence", "ce_iodebeziumsequence"},
                                                        {"iodebeziumtsus", "ce_iodebeziumtsus"},
                                                        {"iodebeziumtsns", "ce_iodebeziumtsns"},
                                                        {"iodebeziumlsn", "ce_iodebeziumlsn"},
                                                        {"iodebeziumtxid", "ce_iodebeziumtxid"},
                                                        {"iodebeziumgtid", "ce_iodebeziumgtid"},
                                                        {"iodebeziumfile", "ce_iodebeziumfile"},
                                                        {"iodebeziumpos", "ce_iodebeziumpos"},
                                                        {"iodebeziumserverid", "ce_iodebeziumserverid"},
                                                        {"iodebeziumrow", "ce_iodebeziumrow"},
                                                        {"iodebeziumthread", "ce_iodebeziumthread"},
                                                        {"iodebeziumquery", "ce_iodebeziumquery"}};
    attributes a = {.text = &d->header_text};
    collect(d, &a, p, txn, c, op);
    for (size_t i = 0; i < a.n && !a.text->failed; i++)
        for (size_t k = 0; k < ATTRIBUTES && prefixed[k][0] && !a.null[i]; k++)
            if (strcmp(prefixed[k][0], a.names[i]) == 0) dbz_header_late(d, m, prefixed[k][1], 0, 0, a.at[i], a.len[i]);
}

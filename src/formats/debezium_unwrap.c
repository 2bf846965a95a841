/* debezium_unwrap.c: the option `unwrap`: the row alone instead of the envelope, as ExtractNewRecordState of Debezium
 * makes it, with fields and headers of what the envelope had. */
#include "formats/debezium.h"

#include "base/clock.h"

static const struct {
    const char *name, *type;
} members[] = {
    {"op", "string"},      {"ts_ms", "int64"},        {"ts_us", "int64"},        {"ts_ns", "int64"},
    {"table", "string"},   {"schema", "string"},      {"db", "string"},          {"lsn", "int64"},
    {"txId", "int64"},     {"name", "string"},        {"snapshot", "string"},    {"connector", "string"},
    {"version", "string"}, {"source.ts_ms", "int64"}, {"source.ts_us", "int64"}, {"source.ts_ns", "int64"},
    {"file", "string"},    {"pos", "int64"},          {"gtid", "string"},        {"server_id", "int64"},
    {"row", "int32"},      {"thread", "int64"},       {"query", "string"},
};

/* source.lsn is lsn; but source.ts_ms is not ts_ms. */
static const char *short_name(const char *name)
{
    bool of_source = strncmp(name, "source.", 7) == 0 && strncmp(name, "source.ts_", 10) != 0;
    return of_source ? name + 7 : name;
}

const char *dbz_member_type(const char *name)
{
    name = short_name(name);
    for (size_t i = 0; i < WB_COUNT(members); i++)
        if (strcmp(members[i].name, name) == 0) return members[i].type;
    return NULL;
}

static void put_string(wb_out *o, wb_str s) { dbz_string(o, s); }

/* What MySQL says of the event that the row came in. */
static bool put_event_member(const char *name, const wb_txn *txn, const wb_change *c, wb_out *o)
{
    const wb_event *e = c->op <= WB_DELETE ? c->event : NULL;
    if (strcmp(name, "row") == 0) {
        wb_out_u64(o, e ? c->ordinal - e->first : 0);
    } else if (strcmp(name, "thread") == 0) {
        if (e && txn->thread)
            wb_out_u64(o, txn->thread);
        else
            wb_out_z(o, "null");
    } else if (strcmp(name, "query") == 0) {
        dbz_string_or_null(o, e ? e->query : (wb_str){NULL, 0});
    } else {
        return false;
    }
    return true;
}

bool dbz_put_member(dbz *d, const char *name, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op,
                    wb_out *o)
{
    name = short_name(name);
    const char *dot = strchr(name, '.'), *time = dot ? dot + 1 : name;
    bool of_source = dot != NULL;
    if (strncmp(time, "ts_", 3) == 0) {
        int64_t us = of_source ? txn->commit_us : wb_now_us();
        wb_out_i64(o, time[3] == 'm' ? us / 1000 : us);
        if (time[3] == 'n') wb_out_z(o, "000");
    } else if (strcmp(name, "op") == 0) {
        put_string(o, (wb_str){&op, 1});
    } else if (strcmp(name, "table") == 0) {
        put_string(o, dbz_str(p, p->table_name));
    } else if (strcmp(name, "schema") == 0) {
        put_string(o, dbz_str(p, p->schema_name));
    } else if (strcmp(name, "db") == 0) {
        put_string(o, dbz_str(p, p->database));
    } else if (strcmp(name, "lsn") == 0) {
        wb_out_u64(o, c->place);
    } else if (strcmp(name, "pos") == 0) {
        wb_out_u64(o, c->op <= WB_DELETE && c->event ? c->event->start : c->place);
    } else if (strcmp(name, "txId") == 0) {
        wb_out_str(o, txn->id.len ? txn->id : WB_STR("null"));
    } else if (strcmp(name, "name") == 0) {
        put_string(o, wb_str_of(d->prefix));
    } else if (strcmp(name, "snapshot") == 0) {
        put_string(o, wb_str_of(dbz_marker(d, c)));
    } else if (strcmp(name, "connector") == 0) {
        put_string(o, wb_str_of(d->connector));
    } else if (strcmp(name, "version") == 0) {
        put_string(o, wb_str_of(d->version));
    } else if (strcmp(name, "file") == 0) {
        put_string(o, txn->log);
    } else if (strcmp(name, "gtid") == 0) {
        dbz_string_or_null(o, txn->global_id);
    } else if (strcmp(name, "server_id") == 0) {
        wb_out_u64(o, txn->server_id);
    } else {
        return put_event_member(name, txn, c, o);
    }
    return true;
}

static wb_code check(const wb_list *list, const char *option, wb_error *err)
{
    for (size_t i = 0; i < list->n; i++) {
        if (dbz_member_type(list->items[i])) continue;
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "`%s` of the format debezium: there is no field \"%s\".", option,
                list->items[i]);
        wb_hint(err,
                "Fields are op, ts_ms, table, schema, db, lsn, txId, snapshot, name, connector, version, source.ts_ms, "
                "file, pos, gtid, server_id, row, thread and query.");
        return WB_E_CONFIG;
    }
    return WB_OK;
}

wb_code dbz_unwrap_read(dbz *d, wb_error *err)
{
    wb_code code = check(&d->add_fields, "add_fields", err);
    if (code == WB_OK) code = check(&d->add_headers, "add_headers", err);
    if (code == WB_OK && d->add_headers.n > 12)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "`add_headers` of the format debezium has more than 12 fields.");
    return code;
}

/* __op, __source_ts_ms */
static void put_name(const dbz *d, const char *name, wb_out *o)
{
    size_t at = o->len;
    wb_out_z(o, d->unwrap_prefix);
    wb_out_z(o, name);
    for (; !o->failed && at < o->len; at++)
        if (o->p[at] == '.') o->p[at] = '_';
}

static bool rewrites(const dbz *d) { return d->deletes == DBZ_DEL_REWRITE || d->deletes == DBZ_DEL_REWRITE_TOMBSTONE; }

/* More fields of the row's schema, each with a comma before it. */
void dbz_unwrap_schema(const dbz *d, wb_out *o)
{
    if (rewrites(d)) wb_out_z(o, ",{\"type\":\"string\",\"optional\":true,\"field\":\"__deleted\"}");
    for (size_t i = 0; i < d->add_fields.n; i++) {
        wb_out_printf(o, ",{\"type\":\"%s\",\"optional\":true,\"field\":\"", dbz_member_type(d->add_fields.items[i]));
        put_name(d, d->add_fields.items[i], o);
        wb_out_z(o, "\"}");
    }
}

wb_code dbz_put_unwrapped(dbz *d, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op,
                          const wb_value *before, const wb_value *after, wb_out *o, wb_error *err)
{
    const wb_value *row = after ? after : before;
    wb_out_str(o, dbz_str(p, p->value_head));
    if (!row) { /* a truncated table has no row: only what was added */
        wb_out_z(o, "{\"__truncated\":true");
    } else {
        wb_code code = dbz_put_row(d, p, row, o, err);
        if (code != WB_OK) return code;
    }
    if (rewrites(d)) wb_out_z(o, op == 'd' ? ",\"__deleted\":\"true\"" : ",\"__deleted\":\"false\"");
    for (size_t i = 0; i < d->add_fields.n; i++) {
        wb_out_put(o, ",\"", 2);
        put_name(d, d->add_fields.items[i], o);
        wb_out_put(o, "\":", 2);
        (void)dbz_put_member(d, d->add_fields.items[i], p, txn, c, op, o);
    }
    wb_out_byte(o, '}');
    if (d->schemas) wb_out_byte(o, '}');
    return WB_OK;
}

/* Names and values into header_text. */
void dbz_unwrap_headers(dbz *d, wb_message *m, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op)
{
    wb_out *o = &d->header_text;
    size_t at[12][4], n = WB_MIN(d->add_headers.n, (size_t)12);
    if (!n) return;
    for (size_t i = 0; i < n; i++) {
        at[i][0] = o->len;
        put_name(d, d->add_headers.items[i], o);
        at[i][1] = o->len;
        size_t value = o->len;
        (void)dbz_put_member(d, d->add_headers.items[i], p, txn, c, op, o);
        bool quoted = !o->failed && o->len > value && o->p[value] == '"';
        at[i][2] = value + quoted; /* a string is bare in a header */
        at[i][3] = o->len - quoted;
    }
    for (size_t i = 0; i < n && !o->failed; i++)
        dbz_header_late(d, m, NULL, at[i][0], at[i][1] - at[i][0], at[i][2], at[i][3] - at[i][2]);
}

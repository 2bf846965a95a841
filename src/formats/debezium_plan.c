/* debezium_plan.c: what is made once per version of a table: fields, schemas, the key, the topic, the parts of `source`
 * that only the table decides. Bounded; keyed by wb_table.serial. One thread. */
#include "formats/debezium.h"

void dbz_plans_free(dbz *d)
{
    for (size_t i = 0; i < DBZ_SLOTS; i++) {
        for (dbz_plan *p = d->slots[i], *next; p; p = next) {
            next = p->next;
            wb_out_fini(&p->text);
            free(p);
        }
        d->slots[i] = NULL;
    }
    d->last = NULL;
    d->nplans = 0;
}

static void put_topic(const dbz *d, const wb_table *t, wb_out *o)
{
    size_t at = o->len;
    if (t->route.len) {
        wb_out_str(o, t->route);
    } else {
        wb_out_z(o, d->prefix);
        wb_out_z(o, d->delimiter);
        wb_out_str(o, t->schema);
        wb_out_z(o, d->delimiter);
        wb_out_str(o, t->name);
    }
    for (; !o->failed && at < o->len; at++) { /* what Kafka does not allow */
        char c = o->p[at];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                    c == '_' || c == '-';
        if (!fine) o->p[at] = '_';
    }
}

static dbz_span ended(const wb_out *o, size_t at) { return (dbz_span){at, o->len - at}; }

/* ---------------------------------------------------------------- columns */

/* What may not be null and was not sent: the default, or what Debezium takes for nothing. */
static void put_zero(const dbz_field *f, wb_out *o)
{
    switch (f->conv) {
    case DBZ_QUOTED:
    case DBZ_BYTES:
    case DBZ_TEXT_BYTES:
    case DBZ_BITS: wb_out_z(o, "\"\""); return;
    case DBZ_DECIMAL_TEXT: wb_out_z(o, "\"0\""); return;
    case DBZ_UNSCALED: wb_out_z(o, "\"AA==\""); return;
    case DBZ_SCALED: wb_out_z(o, "{\"scale\":0,\"value\":\"AA==\"}"); return;
    case DBZ_BIT: wb_out_z(o, "false"); return;
    case DBZ_ZONED:
    case DBZ_STAMP_ISO: wb_out_z(o, "\"1970-01-01T00:00:00Z\""); return;
    case DBZ_DATE_ISO: wb_out_z(o, "\"1970-01-01Z\""); return;
    case DBZ_TIME_ISO:
    case DBZ_ZONED_TIME: wb_out_z(o, "\"00:00:00Z\""); return;
    case DBZ_INTERVAL_ISO: wb_out_z(o, "\"P0Y0M0DT0H0M0S\""); return;
    case DBZ_HSTORE_JSON: wb_out_z(o, "\"{}\""); return;
    case DBZ_HSTORE_MAP: wb_out_z(o, "{}"); return;
    case DBZ_ARRAY: wb_out_z(o, "[]"); return;
    case DBZ_PLAIN: wb_out_z(o, strcmp(f->type, "boolean") == 0 ? "false" : "0"); return;
    default: wb_out_z(o, f->inner ? "null" : "0"); return;
    }
}

static void plan_column(dbz *d, const wb_table *t, uint32_t i, dbz_plan *p)
{
    const wb_column *c = &t->cols[i];
    dbz_field *f = &p->fields[i];
    wb_out *o = &p->text;
    if (!dbz_field_of(d, c, f)) {
        f->conv = DBZ_DROP;
        return;
    }
    if (dbz_rule_for(d, t, c, DBZ_RULE_BOOLEAN) >= 0) dbz_my_boolean(c, f);
    int rule = dbz_rule_for(d, t, c, DBZ_RULE_HASH);
    f->rule = (uint8_t)(rule + 1);
    wb_value v;
    wb_error ignored;
    wb_error_reset(&ignored);
    size_t at = o->len;
    bool known = d->is_postgres ? dbz_default_of(c, f, &d->element, &v) : dbz_my_default(d, c, f, &d->element, &v);
    if (known && dbz_put(d, f, &v, o, &ignored) != WB_OK) o->len = at;
    p->defs[i] = ended(o, at);
    bool null = p->defs[i].len == 4 && !o->failed && memcmp(o->p + at, "null", 4) == 0;
    if (null && f->lossy && !f->optional) { /* a zero date */
        o->len = at;
        put_zero(f, o);
        p->defs[i] = ended(o, at);
    } else if (null) {
        p->defs[i].len = 0;
    }
    p->zeros[i] = p->defs[i];
    if (p->zeros[i].len) return;
    at = o->len;
    if (f->optional)
        wb_out_z(o, "null");
    else
        put_zero(f, o);
    p->zeros[i] = ended(o, at);
}

static void put_field_schema(dbz *d, const wb_table *t, const dbz_plan *p, uint32_t i, bool key, wb_out *o)
{
    wb_out more = {0};
    const dbz_field *f = &p->fields[i];
    const wb_column *c = &t->cols[i];
    wb_str def = p->defs[i].len ? dbz_str(p, p->defs[i]) : (wb_str){NULL, 0};
    if (f->rule) {
        const dbz_rule *r = &d->rules[f->rule - 1];
        if (r->kind == DBZ_RULE_TRUNCATE)
            wb_out_printf(&more, "\"truncateLength\":\"%lld\"", (long long)r->length);
        else
            wb_out_z(&more, "\"masked\":\"true\"");
    }
    if (!key && dbz_rule_for(d, t, c, DBZ_RULE_SOURCE_TYPE) >= 0) {
        if (more.len) wb_out_byte(&more, ',');
        dbz_source_type_params(d, c, &more);
    }
    if (more.failed) o->failed = true;
    dbz_put_schema(o, f, def, (wb_str){more.p, more.len}, &c->name);
    wb_out_fini(&more);
}

/* [{...},...] of all columns that travel, into scratch first: plans' text may move while it is read. */
static void put_row_schema(dbz *d, const wb_table *t, const dbz_plan *p, wb_out *o)
{
    bool first = true;
    wb_out_byte(o, '[');
    for (uint32_t i = 0; i < t->ncols; i++) {
        if (p->fields[i].conv == DBZ_DROP) continue;
        if (!first) wb_out_byte(o, ',');
        first = false;
        put_field_schema(d, t, p, i, false, o);
    }
    wb_out_byte(o, ']');
}

/* ---------------------------------------------------------------- the key */

/* `message_key_columns: [schema.table:a,b]`, as in Debezium. */
static bool chosen_key(const dbz *d, const wb_table *t, dbz_plan *p)
{
    for (size_t i = 0; i < d->key_columns.n; i++) {
        const char *z = d->key_columns.items[i], *colon = strrchr(z, ':');
        if (!colon) continue;
        size_t n = t->source_schema.len;
        bool same = (size_t)(colon - z) == n + 1 + t->source_name.len && memcmp(z, t->source_schema.ptr, n) == 0 &&
                    z[n] == '.' && memcmp(z + n + 1, t->source_name.ptr, t->source_name.len) == 0;
        if (!same) continue;
        for (const char *at = colon + 1; *at;) {
            size_t len = strcspn(at, ",");
            for (uint32_t k = 0; k < t->ncols && p->nkey < t->ncols; k++)
                if (wb_str_eq(t->cols[k].source_name, (wb_str){at, len})) p->key[p->nkey++] = (uint16_t)k;
            at += len + (at[len] != 0);
        }
        return true;
    }
    return false;
}

static void plan_key(const dbz *d, const wb_table *t, dbz_plan *p)
{
    if (chosen_key(d, t, p)) return;
    for (uint32_t k = 0; k < t->nkey; k++)
        if (p->fields[t->key[k]].conv != DBZ_DROP) p->key[p->nkey++] = t->key[k];
}

static void put_key_head(dbz *d, const wb_table *t, const dbz_plan *p, wb_str topic, wb_out *o)
{
    if (!d->schemas) return;
    wb_out_z(o, "{\"schema\":{\"type\":\"struct\",\"fields\":[");
    for (uint32_t k = 0; k < p->nkey; k++) {
        if (k) wb_out_byte(o, ',');
        put_field_schema(d, t, p, p->key[k], true, o);
    }
    wb_out_z(o, "],\"optional\":false,\"name\":\"");
    wb_out_str(o, topic);
    wb_out_z(o, ".Key\"},\"payload\":");
}

/* ---------------------------------------------------------------- the value */

#define TEXT_FIELD(name) "{\"type\":\"string\",\"optional\":false,\"field\":\"" name "\"}"
#define TEXT_OPT(name) "{\"type\":\"string\",\"optional\":true,\"field\":\"" name "\"}"
#define LONG_FIELD(name) "{\"type\":\"int64\",\"optional\":false,\"field\":\"" name "\"}"
#define LONG_OPT(name) "{\"type\":\"int64\",\"optional\":true,\"field\":\"" name "\"}"
#define INT_FIELD(name) "{\"type\":\"int32\",\"optional\":false,\"field\":\"" name "\"}"

static const char transaction_schema[] = "{\"type\":\"struct\",\"fields\":[" TEXT_FIELD("id") "," LONG_FIELD(
    "total_order") "," LONG_FIELD("data_collection_order") "],\"optional\":true,\"name\":\"event.block\",\"version\":1,"
                                                           "\"field\":\"transaction\"}";

void dbz_put_source_schema(const dbz *d, wb_out *o, bool transaction)
{
    wb_out_z(o, "{\"type\":\"struct\",\"fields\":[" TEXT_FIELD("version") "," TEXT_FIELD("connector") "," TEXT_FIELD(
                    "name") "," LONG_FIELD("ts_ms") ",{\"type\":\"string\",\"optional\":true,\"name\":\"io.debezium."
                                                    "data.Enum\",\"version\":1,\"parameters\":{\"allowed\":\"true,"
                                                    "first,first_in_data_collection,"
                                                    "last_in_data_collection,last,false,incremental\"},\"default\":"
                                                    "\"false\",\"field\":\"snapshot\"}," TEXT_FIELD("db") "," TEXT_OPT(
                                                        "sequence") "," LONG_OPT("ts_us") "," LONG_OPT("ts_ns"));
    if (strcmp(d->connector, "postgresql") == 0)
        wb_out_z(o, "," TEXT_FIELD("schema") "," TEXT_FIELD("table") "," LONG_OPT("txId") "," LONG_OPT(
                        "lsn") "," LONG_OPT("xmin") "," TEXT_OPT("origin") "," LONG_OPT("origin_lsn"));
    else
        wb_out_z(o,
                 "," TEXT_OPT("table") "," LONG_FIELD("server_id") "," TEXT_OPT("gtid") "," TEXT_FIELD(
                     "file") "," LONG_FIELD("pos") "," INT_FIELD("row") "," LONG_OPT("thread") "," TEXT_OPT("query"));
    wb_out_printf(
        o, "],\"optional\":false,\"name\":\"io.debezium.connector.%s.Source\",\"version\":1,\"field\":\"source\"}",
        d->connector);
    if (transaction) wb_out_printf(o, ",%s", transaction_schema);
}

static void put_row_struct(wb_out *o, const wb_out *rows, wb_str topic, const char *field)
{
    wb_out_z(o, "{\"type\":\"struct\",\"fields\":");
    wb_out_put(o, rows->p, rows->len);
    wb_out_z(o, ",\"optional\":true,\"name\":\"");
    wb_out_str(o, topic);
    wb_out_printf(o, ".Value\",\"field\":\"%s\"}", field);
}

static void put_value_head(dbz *d, const wb_out *rows, wb_str topic, wb_out *o)
{
    if (!d->schemas) return;
    wb_out_z(o, "{\"schema\":{\"type\":\"struct\",\"fields\":");
    if (d->wrap == DBZ_UNWRAP) {
        wb_out_put(o, rows->p, rows->len - 1); /* without its ] */
        dbz_unwrap_schema(d, o);
        wb_out_z(o, "],\"optional\":false,\"name\":\"");
        wb_out_str(o, topic);
        wb_out_z(o, ".Value\"},\"payload\":");
        return;
    }
    wb_out_byte(o, '[');
    put_row_struct(o, rows, topic, "before");
    wb_out_byte(o, ',');
    put_row_struct(o, rows, topic, "after");
    if (d->wrap == DBZ_ENVELOPE) {
        wb_out_byte(o, ',');
        dbz_put_source_schema(d, o, true);
        wb_out_z(o, "," TEXT_FIELD("op") "," LONG_OPT("ts_ms") "," LONG_OPT("ts_us") "," LONG_OPT("ts_ns"));
        wb_out_z(o, "],\"optional\":false,\"name\":\"");
        wb_out_str(o, topic);
        wb_out_z(o, ".Envelope\",\"version\":2},\"payload\":");
    } else {
        wb_out_printf(o, "],\"optional\":false,\"name\":\"io.debezium.connector.%s.Data\"},\"payload\":", d->connector);
    }
}

static void put_names(const wb_table *t, dbz_plan *p)
{
    wb_out *o = &p->text;
    size_t at = o->len;
    for (uint32_t i = 0; i < t->ncols; i++) {
        p->at[i] = o->len - at;
        wb_out_put(o, ",\"", 2);
        dbz_escape(o, t->cols[i].name.ptr, t->cols[i].name.len);
        wb_out_put(o, "\":", 2);
    }
    p->at[t->ncols] = o->len - at;
    p->names = ended(o, at);
}

static void put_source_parts(const dbz *d, const wb_txn *txn, const wb_table *t, dbz_plan *p)
{
    wb_out *o = &p->text;
    wb_str db = txn->database.len ? txn->database : t->schema;
    size_t at = o->len;
    wb_out_z(o, "\",\"db\":");
    dbz_string(o, db);
    wb_out_z(o, ",\"sequence\":");
    p->db = ended(o, at);
    at = o->len;
    if (strcmp(d->connector, "postgresql") == 0) {
        wb_out_z(o, ",\"schema\":");
        dbz_string(o, t->schema);
    }
    wb_out_z(o, ",\"table\":");
    dbz_string(o, t->name);
    p->table = ended(o, at);
    at = o->len;
    wb_out_str(o, t->schema);
    wb_out_byte(o, '.');
    wb_out_str(o, t->name);
    p->collection = ended(o, at);
    p->schema_name = (dbz_span){at, t->schema.len};
    p->table_name = (dbz_span){at + t->schema.len + 1, t->name.len};
    at = o->len;
    wb_out_str(o, db);
    p->database = ended(o, at);
}

static void fill(dbz *d, const wb_txn *txn, const wb_table *t, dbz_plan *p)
{
    wb_out *o = &p->text, rows = {0}, head = {0}, topic = {0};
    for (uint32_t i = 0; i < t->ncols; i++) plan_column(d, t, i, p);
    plan_key(d, t, p);
    put_names(t, p);
    put_source_parts(d, txn, t, p);
    put_topic(d, t, &topic);
    wb_str name = {topic.p, topic.len};
    size_t at = o->len;
    wb_out_str(o, name);
    p->topic = ended(o, at);
    if (!o->failed) put_row_schema(d, t, p, &rows);
    if (!o->failed) put_key_head(d, t, p, name, &head);
    at = o->len;
    wb_out_put(o, head.p, head.len);
    p->key_head = ended(o, at);
    at = o->len;
    if (!rows.failed) put_value_head(d, &rows, name, o);
    p->value_head = ended(o, at);
    if (rows.failed || head.failed || topic.failed) o->failed = true;
    wb_out_fini(&rows);
    wb_out_fini(&head);
    wb_out_fini(&topic);
}

/* Two tables whose names differ only in what topics do not allow would share one. */
static wb_code collision(const dbz *d, const dbz_plan *p, const wb_table *t, wb_error *err)
{
    if (t->route.len) return WB_OK;
    wb_str topic = dbz_str(p, p->topic), mine = dbz_str(p, p->collection);
    for (size_t i = 0; i < DBZ_SLOTS; i++)
        for (const dbz_plan *q = d->slots[i]; q; q = q->next) {
            wb_str other = dbz_str(q, q->collection);
            if (!wb_str_eq(topic, dbz_str(q, q->topic)) || wb_str_eq(mine, other) || q->routed) continue;
            wb_fail(err, WB_E_CONFIG, WB_NEVER, "The tables %.*s and %.*s would share the topic %.*s.", (int)mine.len,
                    mine.ptr, (int)other.len, other.ptr, (int)topic.len, topic.ptr);
            wb_hint(err, "Topics have letters, digits, '.', '_' and '-'; anything else becomes '_'. Give one of them "
                         "another topic with the transform `route`.");
            return WB_E_CONFIG;
        }
    return WB_OK;
}

/* Of files a rule that asks how a column was declared has an answer only with a schema beside them. */
static wb_code declared(const dbz *d, const wb_table *t, wb_error *err)
{
    for (uint32_t i = 0; d->offline && d->nrules && i < t->ncols; i++) {
        const wb_column *c = &t->cols[i];
        dbz_my_type type;
        if (!(c->flags & WB_COL_UNDECLARED)) continue;
        dbz_my_type_read(c->type, &type);
        bool maybe = strcmp(type.name, "tinyint") == 0 && dbz_rule_for(d, t, c, DBZ_RULE_BOOLEAN) >= 0;
        if (!maybe && dbz_rule_for(d, t, c, DBZ_RULE_SOURCE_TYPE) < 0) continue;
        wb_fail(err, WB_E_SCHEMA, WB_NEVER,
                "%s wants to know how column %.*s of %.*s.%.*s was declared, and the log "
                "does not say it.",
                maybe ? "boolean.selector" : "column.propagate.source.type", (int)c->name.len, c->name.ptr,
                (int)t->schema.len, t->schema.ptr, (int)t->name.len, t->name.ptr);
        wb_hint(err, "Give the tables' declarations with --schema (a dump, a state folder, a server), or leave the "
                     "rule out.");
        return WB_E_SCHEMA;
    }
    return WB_OK;
}

static dbz_plan *build(dbz *d, const wb_txn *txn, const wb_table *t, wb_error *err)
{
    if (declared(d, t, err) != WB_OK) return NULL;
    size_t n = (size_t)t->ncols + 1;
    size_t bytes =
        sizeof(dbz_plan) + n * (sizeof(dbz_field) + 2 * sizeof(dbz_span) + sizeof(size_t) + sizeof(uint16_t));
    dbz_plan *p = calloc(1, bytes);
    if (p) {
        p->fields = (dbz_field *)(void *)(p + 1);
        p->defs = (dbz_span *)(void *)(p->fields + n);
        p->zeros = p->defs + n;
        p->at = (size_t *)(void *)(p->zeros + n);
        p->key = (uint16_t *)(void *)(p->at + n);
        p->serial = t->serial;
        p->ncols = t->ncols;
        p->routed = t->route.len > 0;
        fill(d, txn, t, p);
    }
    wb_code code = !p || p->text.failed ? wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a table's schema.")
                                        : collision(d, p, t, err);
    if (code == WB_OK) return p;
    if (p) wb_out_fini(&p->text);
    free(p);
    return NULL;
}

const dbz_plan *dbz_plan_of(dbz *d, const wb_txn *txn, const wb_table *t, wb_error *err)
{
    if (WB_LIKELY(d->last && d->last->serial == t->serial)) return d->last;
    size_t slot = (size_t)(t->serial * UINT64_C(0x9E3779B97F4A7C15) >> 32) % DBZ_SLOTS;
    for (dbz_plan *p = d->slots[slot]; p; p = p->next)
        if (p->serial == t->serial) return d->last = p;
    if (d->nplans >= DBZ_PLANS_MAX) dbz_plans_free(d);
    dbz_plan *p = build(d, txn, t, err);
    if (!p) return NULL;
    p->next = d->slots[slot];
    d->slots[slot] = p;
    d->nplans++;
    return d->last = p;
}

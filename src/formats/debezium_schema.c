/* debezium_schema.c: the schema change topic of MySQL and MariaDB: a message a table that a statement changed, under
 * the name of the prefix, with the statement and the table's columns after it. In a snapshot each table is told of
 * before its first row. */
#include "formats/debezium.h"

#include <stdio.h>

#define FIELD(type, optional, name) "{\"type\":\"" type "\",\"optional\":" optional ",\"field\":\"" name "\"}"
#define LIST(items, name)                                                                                              \
    "{\"type\":\"array\",\"items\":{\"type\":\"" items "\",\"optional\":false},\"optional\":true,\"field\":\"" name    \
    "\"}"

typedef struct part {
    const char *type, *name;
    bool optional;
} part;

static const part column_parts[] = {{"string", "name", false},
                                    {"int32", "jdbcType", false},
                                    {"int32", "nativeType", true},
                                    {"string", "typeName", false},
                                    {"string", "typeExpression", true},
                                    {"string", "charsetName", true},
                                    {"int32", "length", true},
                                    {"int32", "scale", true},
                                    {"int32", "position", false},
                                    {"boolean", "optional", true},
                                    {"boolean", "autoIncremented", true},
                                    {"boolean", "generated", true},
                                    {"string", "comment", true},
                                    {"string", "defaultValueExpression", true}};

/* ---------------------------------------------------------------- schemas of the message */

static void put_key(const dbz *d, wb_str database, wb_out *o)
{
    wb_out_reset(o);
    if (d->schemas)
        wb_out_printf(o,
                      "{\"schema\":{\"type\":\"struct\",\"fields\":[" FIELD(
                          "string", "false", "databaseName") "],\"optional\":false,\"name\":\"io.debezium.connector.%s."
                                                             "SchemaChangeKey\",\"version\":1},\"payload\":",
                      d->connector);
    wb_out_z(o, "{\"databaseName\":");
    dbz_string(o, database);
    wb_out_z(o, d->schemas ? "}}" : "}");
}

static void put_column_schema(wb_out *o)
{
    wb_out_z(o, "{\"type\":\"struct\",\"fields\":[");
    for (size_t i = 0; i < WB_COUNT(column_parts); i++) {
        const part *p = &column_parts[i];
        wb_out_printf(o, "{\"type\":\"%s\",\"optional\":%s,\"field\":\"%s\"},", p->type, p->optional ? "true" : "false",
                      p->name);
    }
    wb_out_z(o, LIST("string", "enumValues"));
    wb_out_z(o, "],\"optional\":false,\"name\":\"io.debezium.connector.schema.Column\",\"version\":1}");
}

static void put_value_schema(const dbz *d, wb_out *o)
{
    wb_out_z(o, "{\"schema\":{\"type\":\"struct\",\"fields\":[");
    dbz_put_source_schema(d, o, false);
    wb_out_z(o, "," FIELD("int64", "false", "ts_ms") "," FIELD("string", "true", "databaseName") "," FIELD(
                    "string", "true", "schemaName") "," FIELD("string", "true", "ddl") ",");
    wb_out_z(
        o, "{\"type\":\"array\",\"items\":{\"type\":\"struct\",\"fields\":[" FIELD("string", "false", "type") "," FIELD(
               "string", "false", "id") ",{\"type\":\"struct\",\"fields\":[" FIELD("string", "true",
                                                                                   "defaultCharsetName") ",");
    wb_out_z(o, LIST("string", "primaryKeyColumnNames") ",{\"type\":\"array\",\"items\":");
    put_column_schema(o);
    wb_out_z(o, ",\"optional\":false,\"field\":\"columns\"}," FIELD("string", "true", "comment"));
    wb_out_z(o,
             "],\"optional\":true,\"name\":\"io.debezium.connector.schema.Table\",\"version\":1,\"field\":\"table\"}"
             "],\"optional\":false,\"name\":\"io.debezium.connector.schema.Change\",\"version\":1},\"optional\":false,"
             "\"field\":\"tableChanges\"}");
    wb_out_printf(o,
                  "],\"optional\":false,\"name\":\"io.debezium.connector.%s.SchemaChangeValue\",\"version\":1},"
                  "\"payload\":",
                  d->connector);
}

/* ---------------------------------------------------------------- columns */

static int jdbc_type(const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"tinyint", 5},    {"smallint", 5},    {"mediumint", 4},   {"int", 4},           {"integer", 4},
                 {"year", 4},       {"bigint", -5},     {"decimal", 3},     {"float", 6},         {"double", 8},
                 {"bit", -7},       {"char", 1},        {"enum", 1},        {"set", 1},           {"varchar", 12},
                 {"tinytext", 12},  {"text", 12},       {"mediumtext", 12}, {"longtext", 12},     {"binary", -2},
                 {"varbinary", -3}, {"tinyblob", 2004}, {"blob", 2004},     {"mediumblob", 2004}, {"longblob", 2004},
                 {"date", 91},      {"time", 92},       {"datetime", 93},   {"timestamp", 2014}};
    for (size_t i = 0; i < WB_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    return 1111;
}

/* Labels as they are declared. */
static void put_labels(wb_str list, wb_out *o)
{
    bool any = false;
    wb_out one = {0};
    wb_out_byte(o, '[');
    while (dbz_my_next_label(&list, &one)) {
        if (any) wb_out_byte(o, ',');
        any = true;
        wb_out_z(o, "\"'");
        dbz_escape(o, one.p, one.len);
        wb_out_z(o, "'\"");
        wb_out_reset(&one);
    }
    wb_out_byte(o, ']');
    if (one.failed) o->failed = true;
    wb_out_fini(&one);
}

static void put_size(const char *name, int n, wb_out *o)
{
    wb_out_z(o, name);
    if (n < 0)
        wb_out_z(o, "null");
    else
        wb_out_i64(o, n);
}

static void put_bool(wb_out *o, bool b) { wb_out_z(o, b ? "true" : "false"); }

static void put_column(dbz *d, const wb_column *c, uint32_t position, wb_out *o)
{
    dbz_my_type t;
    int length, scale;
    dbz_my_type_read(c->type, &t);
    bool by_itself = dbz_my_says(c->extra, "auto_increment") || dbz_my_says(c->extra, "on update");
    bool labelled = strcmp(t.name, "enum") == 0 || strcmp(t.name, "set") == 0;
    wb_out_z(o, "{\"name\":");
    dbz_string(o, c->name);
    wb_out_printf(o, ",\"jdbcType\":%d,\"nativeType\":null,\"typeName\":", jdbc_type(t.name));
    dbz_my_put_type(&t, o);
    wb_out_z(o, ",\"typeExpression\":");
    dbz_my_put_type(&t, o);
    wb_out_z(o, ",\"charsetName\":");
    dbz_string_or_null(o, strcmp(t.name, "json") == 0 ? (wb_str){NULL, 0} : c->charset);
    dbz_my_sizes(&t, &length, &scale);
    put_size(",\"length\":", length, o);
    put_size(",\"scale\":", scale, o);
    wb_out_printf(o, ",\"position\":%u,\"optional\":", position);
    put_bool(o, !(c->flags & (WB_COL_NOT_NULL | WB_COL_KEY)));
    wb_out_z(o, ",\"autoIncremented\":");
    put_bool(o, by_itself);
    wb_out_z(o, ",\"generated\":");
    put_bool(o, by_itself); /* so it is there: what the server fills in, not what it computes */
    wb_out_z(o, ",\"comment\":");
    dbz_string_or_null(o, d->schema_comments || d->is_mariadb ? c->comment : (wb_str){NULL, 0});
    wb_out_z(o, ",\"defaultValueExpression\":");
    if (dbz_my_default_text(d, c, &d->element))
        dbz_string(o, (wb_str){d->element.p, d->element.len});
    else
        wb_out_z(o, "null");
    wb_out_z(o, ",\"enumValues\":");
    if (labelled)
        put_labels(t.list, o);
    else
        wb_out_z(o, "null");
    wb_out_byte(o, '}');
}

static void put_table(dbz *d, const wb_table *t, wb_out *o)
{
    wb_out_z(o, "{\"defaultCharsetName\":null,\"primaryKeyColumnNames\":[");
    for (uint32_t k = 0; k < t->nkey; k++) {
        if (k) wb_out_byte(o, ',');
        dbz_string(o, t->cols[t->key[k]].name);
    }
    wb_out_z(o, "],\"columns\":[");
    for (uint32_t i = 0; i < t->ncols; i++) {
        if (i) wb_out_byte(o, ',');
        put_column(d, &t->cols[i], i + 1, o);
    }
    wb_out_z(o, "],\"comment\":null}");
}

/* "\"shop\".\"t\"" */
static void put_id(const wb_table *t, wb_out *o)
{
    wb_out_z(o, "\"\\\"");
    dbz_escape(o, t->schema.ptr, t->schema.len);
    wb_out_z(o, "\\\".\\\"");
    dbz_escape(o, t->name.ptr, t->name.len);
    wb_out_z(o, "\\\"\"");
}

/* ---------------------------------------------------------------- statements */

static void put_ident(wb_out *o, wb_str s)
{
    wb_out_byte(o, '`');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '`') wb_out_byte(o, '`');
        wb_out_byte(o, s.ptr[i]);
    }
    wb_out_byte(o, '`');
}

/* A table that a snapshot found, as a statement that makes one like it. */
static void put_create(const dbz *d, const wb_table *t, wb_out *o)
{
    wb_out_z(o, "CREATE TABLE ");
    put_ident(o, t->name);
    for (uint32_t i = 0; i < t->ncols; i++) {
        const wb_column *c = &t->cols[i];
        wb_out_z(o, i ? ",\n  " : " (\n  ");
        put_ident(o, c->name);
        wb_out_byte(o, ' ');
        wb_out_str(o, c->type);
        if (c->flags & WB_COL_NOT_NULL) wb_out_z(o, " NOT NULL");
        if (c->default_sql.ptr && !(c->flags & WB_COL_GENERATED)) {
            bool quoted =
                !d->is_mariadb && !dbz_my_says(c->extra, "default_generated") && !dbz_my_says(c->type, "bit(");
            wb_out_z(o, quoted ? " DEFAULT '" : " DEFAULT ");
            for (size_t k = 0; k < c->default_sql.len; k++) {
                if (quoted && c->default_sql.ptr[k] == '\'') wb_out_byte(o, '\'');
                wb_out_byte(o, c->default_sql.ptr[k]);
            }
            if (quoted) wb_out_byte(o, '\'');
        }
        if (dbz_my_says(c->extra, "auto_increment")) wb_out_z(o, " AUTO_INCREMENT");
    }
    for (uint32_t k = 0; k < t->nkey; k++) {
        wb_out_z(o, k ? "," : ",\n  PRIMARY KEY (");
        put_ident(o, t->cols[t->key[k]].name);
    }
    wb_out_z(o, t->nkey ? ")\n)" : "\n)");
}

/* One statement that drops several tables is a message each, with a statement each. */
static void put_drop(const wb_table *t, wb_str sql, wb_out *o)
{
    wb_out_z(o, dbz_my_says(sql, "if exists") ? "DROP TABLE IF EXISTS " : "DROP TABLE ");
    put_ident(o, t->schema);
    wb_out_byte(o, '.');
    put_ident(o, t->name);
}

/* ---------------------------------------------------------------- messages */

static void put_source(dbz *d, const wb_txn *txn, const wb_table *t, const wb_change *c, wb_out *o)
{
    wb_out_put(o, d->head.p, d->head.len);
    wb_out_printf(o, "%s\",\"db\":", c->op == WB_READ ? "true" : "false");
    dbz_string(o, t->schema);
    wb_out_z(o, ",\"sequence\":null");
    wb_out_put(o, d->stamps.p, d->stamps.len);
    wb_out_z(o, ",\"table\":");
    dbz_string_or_null(o, t->name);
    wb_out_put(o, d->tail.p, d->tail.len);
    dbz_put_place(txn, c, o);
}

void dbz_schema_change(dbz *d, const wb_txn *txn, const wb_change *c)
{
    const wb_ddl *ddl = c->op == WB_DDL ? c->ddl : NULL;
    bool drop = ddl && ddl->kind == WB_DDL_DROP;
    const wb_table *t = drop ? ddl->before : ddl && ddl->after ? ddl->after : c->table;
    wb_out *o = &d->schema_value;
    if (!t) return;
    put_key(d, t->schema, &d->schema_key);
    wb_out_reset(o);
    if (d->schemas) put_value_schema(d, o);
    wb_out_byte(o, '{');
    put_source(d, txn, t, c, o);
    wb_out_printf(o, ",\"ts_ms\":%lld,\"databaseName\":", (long long)(txn->commit_us / 1000));
    dbz_string(o, t->schema);
    wb_out_z(o, ",\"schemaName\":null,\"ddl\":");
    wb_out_reset(&d->element);
    if (c->op == WB_READ)
        put_create(d, t, &d->element);
    else if (drop && t->name.len)
        put_drop(t, ddl->sql, &d->element);
    dbz_string_or_null(o, d->element.len ? (wb_str){d->element.p, d->element.len} : ddl ? ddl->sql : (wb_str){NULL, 0});
    wb_out_z(o, ",\"tableChanges\":[");
    if (t->name.len) {
        const char *kind = c->op == WB_READ || (ddl && ddl->kind == WB_DDL_CREATE) ? "CREATE" : drop ? "DROP" : "ALTER";
        wb_out_printf(o, "{\"type\":\"%s\",\"id\":", kind);
        put_id(t, o);
        wb_out_z(o, ",\"table\":");
        if (drop || !t->ncols)
            wb_out_z(o, "null");
        else
            put_table(d, t, o);
        wb_out_byte(o, '}');
    }
    wb_out_z(o, d->schemas ? "]}}" : "]}");
    if (d->element.failed) o->failed = true;
    wb_message *m =
        dbz_add(d, wb_str_of(d->prefix), (wb_str){d->schema_key.p, d->schema_key.len}, (wb_str){o->p, o->len});
    m->aside = true; /* a topic that is made of the table's name is for its rows */
    dbz_add_base(d, m);
}

/* debezium_schema.c: the schema change topic: a message a table that was changed, under the name of the prefix, with
 * the table's columns after it, and of MySQL and MariaDB the statement; PostgreSQL's log has none, and the message is
 * that of Debezium's connectors for such databases (SQL Server, Db2). In a snapshot each table is told of before its
 * first row. */
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

/* ---------------------------------------------------------------- tables */

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
        dbz_put_change_column(d, &t->cols[i], i + 1, o);
    }
    wb_out_z(o, "],\"comment\":null}");
}

/* "\"shop\".\"t\""; PostgreSQL: database, schema and table */
static void put_id(const dbz *d, wb_str database, const wb_table *t, wb_out *o)
{
    wb_out_z(o, "\"\\\"");
    if (d->is_postgres) {
        dbz_escape(o, database.ptr, database.len);
        wb_out_z(o, "\\\".\\\"");
    }
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

static void put_source(dbz *d, const wb_txn *txn, wb_str database, const wb_table *t, const wb_change *c, wb_out *o)
{
    wb_out_put(o, d->head.p, d->head.len);
    wb_out_printf(o, "%s\",\"db\":", c->op == WB_READ ? "true" : "false");
    dbz_string(o, database);
    wb_out_z(o, ",\"sequence\":");
    dbz_put_sequence(d, c, o);
    wb_out_put(o, d->stamps.p, d->stamps.len);
    if (d->is_postgres) {
        wb_out_z(o, ",\"schema\":");
        dbz_string(o, t->schema);
    }
    wb_out_z(o, ",\"table\":");
    dbz_string_or_null(o, t->name);
    dbz_put_log_place(d, txn, c, o);
}

static void put_statement(dbz *d, const wb_change *c, const wb_table *t, const wb_ddl *ddl, wb_out *o)
{
    wb_out_reset(&d->element);
    if (c->op == WB_READ && !d->is_postgres)
        put_create(d, t, &d->element);
    else if (!d->is_postgres && ddl && ddl->kind == WB_DDL_DROP && t->name.len)
        put_drop(t, ddl->sql, &d->element);
    dbz_string_or_null(o, d->element.len ? (wb_str){d->element.p, d->element.len} : ddl ? ddl->sql : (wb_str){NULL, 0});
    if (d->element.failed) o->failed = true;
}

void dbz_schema_change(dbz *d, const wb_txn *txn, const wb_change *c)
{
    const wb_ddl *ddl = c->op == WB_DDL ? c->ddl : NULL;
    bool drop = ddl && ddl->kind == WB_DDL_DROP;
    const wb_table *t = drop ? ddl->before : ddl && ddl->after ? ddl->after : c->table;
    wb_out *o = &d->schema_value;
    if (!t) return;
    wb_str none = {NULL, 0}, database = d->is_postgres ? txn->database : t->schema;
    put_key(d, database, &d->schema_key);
    wb_out_reset(o);
    if (d->schemas) put_value_schema(d, o);
    wb_out_byte(o, '{');
    put_source(d, txn, database, t, c, o);
    wb_out_printf(o, ",\"ts_ms\":%lld,\"databaseName\":", (long long)(txn->commit_us / 1000));
    dbz_string(o, database);
    wb_out_z(o, ",\"schemaName\":");
    dbz_string_or_null(o, d->is_postgres ? t->schema : none);
    wb_out_z(o, ",\"ddl\":");
    put_statement(d, c, t, ddl, o);
    wb_out_z(o, ",\"tableChanges\":[");
    if (t->name.len) {
        const char *kind = c->op == WB_READ || (ddl && ddl->kind == WB_DDL_CREATE) ? "CREATE" : drop ? "DROP" : "ALTER";
        wb_out_printf(o, "{\"type\":\"%s\",\"id\":", kind);
        put_id(d, database, t, o);
        wb_out_z(o, ",\"table\":");
        if (drop || !t->ncols)
            wb_out_z(o, "null");
        else
            put_table(d, t, o);
        wb_out_byte(o, '}');
    }
    wb_out_z(o, d->schemas ? "]}}" : "]}");
    wb_message *m =
        dbz_add(d, wb_str_of(d->prefix), (wb_str){d->schema_key.p, d->schema_key.len}, (wb_str){o->p, o->len});
    m->aside = true; /* a topic that is made of the table's name is for its rows */
    dbz_add_base(d, m);
}

/* columns.c: the columns and the key of one table, from information_schema, and a row of that as a column. Of many
 * tables at once: catalog_all.c. Names are compared as the server writes them. */
#include "my.h"

#include <stdio.h>
#include <strings.h>

static wb_str copy(wb_arena *a, const char *z) { return z ? wb_str_of(wb_arena_strdup(a, z)) : (wb_str){"", 0}; }

/* ---------------------------------------------------------------- rows of information_schema */

enum { NAME, TYPE, CHARSET, NULLABLE, EXTRA, EXPRESSION, DEFAULT, COMMENT, SRID = MY_COLUMN_SRID };

/* MySQL marks expressions (DEFAULT_GENERATED); MariaDB writes literals as SQL does, and NULL as a word. */
static void take_default(const my_link *l, MYSQL_ROW row, wb_arena *a, my_schema_col *c)
{
    const char *z = row[DEFAULT];
    if (!z || (l->flavor == MY_MARIADB && strcmp(z, "NULL") == 0)) return;
    c->default_sql = copy(a, z);
}

void my_column_of_row(const my_link *l, my_schema_col *c, MYSQL_ROW row, wb_arena *a)
{
    const char *extra = row[EXTRA] ? row[EXTRA] : "";
    bool made = strcasestr(extra, "GENERATED") && !strcasestr(extra, "DEFAULT_GENERATED");
    c->name = copy(a, row[NAME]);
    c->type = copy(a, row[TYPE]);
    c->charset = copy(a, row[CHARSET]);
    c->comment = copy(a, row[COMMENT]);
    c->extra = copy(a, extra);
    if (row[SRID]) c->srid = (uint32_t)strtoul(row[SRID], NULL, 10);
    if (row[NULLABLE] && strcmp(row[NULLABLE], "NO") == 0) c->flags |= WB_COL_NOT_NULL;
    if ((row[EXPRESSION] && row[EXPRESSION][0]) || made) c->flags |= WB_COL_GENERATED;
    if (strcasestr(extra, "DEFAULT_GENERATED") || strcasestr(extra, "auto_increment")) c->flags |= MY_COL_COMPUTED;
    if (strcasestr(extra, "INVISIBLE")) c->flags |= MY_COL_INVISIBLE; /* of both brands */
    take_default(l, row, a, c);
}

static void add_key_column(my_schema *s, uint16_t *key, const char *name)
{
    for (uint32_t i = 0; i < s->ncols && s->nkey < s->ncols; i++)
        if (wb_str_is(s->cols[i].name, name)) key[s->nkey++] = (uint16_t)i;
}

/* ---------------------------------------------------------------- one table */

static void put_where(wb_out *sql, wb_str schema, wb_str name)
{
    wb_out_z(sql, " WHERE TABLE_SCHEMA = ");
    my_put_literal(sql, schema);
    wb_out_z(sql, " AND TABLE_NAME = ");
    my_put_literal(sql, name);
}

static wb_code load_columns(my_link *l, wb_str schema, wb_str name, wb_arena *a, my_schema *out, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, "SELECT " MY_COLUMN_FIELDS);
    wb_out_z(&sql, l->flavor == MY_MYSQL && l->version >= 80003 ? ", SRS_ID" : ", 0");
    wb_out_z(&sql, " FROM information_schema.COLUMNS");
    put_where(&sql, schema, name);
    wb_out_z(&sql, " ORDER BY ORDINAL_POSITION");
    wb_code code = my_query(l, "for a table's columns", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    my_schema_col *cols = wb_arena_zalloc(a, (size_t)(mysql_num_rows(res) + 1) * sizeof *cols);
    for (MYSQL_ROW row; cols && (row = mysql_fetch_row(res));) my_column_of_row(l, &cols[out->ncols++], row, a);
    mysql_free_result(res);
    out->cols = cols;
    return cols && !a->failed ? WB_OK : my_nomem(err);
}

/* The primary key's columns, by their places. */
static wb_code load_key(my_link *l, wb_str schema, wb_str name, wb_arena *a, my_schema *out, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, "SELECT COLUMN_NAME FROM information_schema.STATISTICS");
    put_where(&sql, schema, name);
    wb_out_z(&sql, " AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX");
    wb_code code = my_query(l, "for a table's key", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    uint16_t *key = wb_arena_zalloc(a, (out->ncols + 1) * sizeof *key);
    for (MYSQL_ROW row; key && (row = mysql_fetch_row(res));)
        if (row[0]) add_key_column(out, key, row[0]);
    mysql_free_result(res);
    out->key = key;
    return key && !a->failed ? WB_OK : my_nomem(err);
}

static wb_code load_engine(my_link *l, wb_str schema, wb_str name, my_schema *out, wb_error *err)
{
    char yes[8];
    wb_out sql = {0};
    wb_out_z(&sql, "SELECT TRANSACTIONS FROM information_schema.ENGINES WHERE ENGINE = (SELECT ENGINE FROM"
                   " information_schema.TABLES");
    put_where(&sql, schema, name);
    wb_out_z(&sql, ")");
    wb_code code = my_one(l, "for a table's engine", wb_out_cstr(&sql), yes, sizeof yes, err);
    wb_out_fini(&sql);
    out->engine = !yes[0] ? MY_ENGINE_UNKNOWN : strcasecmp(yes, "YES") == 0 ? MY_ENGINE_TRANSACTIONAL : MY_ENGINE_PLAIN;
    return code;
}

/* The log may show a DDL statement before others see what it did. It holds its table's metadata lock until they do: to
 * touch the table is to wait for that. *gone: there is no such table. */
static wb_code wait_for_ddl(my_link *l, wb_str schema, wb_str name, bool *gone, wb_error *err)
{
    wb_error e;
    wb_out sql = {0};
    wb_error_reset(&e);
    wb_out_z(&sql, "SELECT 1 FROM ");
    my_put_table(&sql, schema, name);
    wb_out_z(&sql, " LIMIT 0");
    wb_code code = my_do(l, "to touch a table", wb_out_cstr(&sql), &e);
    wb_out_fini(&sql);
    *gone = code == WB_E_SCHEMA;
    if (code == WB_OK || code == WB_E_SCHEMA || code == WB_E_AUTH)
        return WB_OK; /* no right: there is nothing to see either */
    if (err && err->code == WB_OK) *err = e;
    return code;
}

wb_code my_shape_load(my_link *l, wb_str schema, wb_str name, wb_arena *a, my_schema *out, wb_error *err)
{
    *out = (my_schema){.schema = {wb_arena_strndup(a, schema.ptr, schema.len), schema.len},
                       .name = {wb_arena_strndup(a, name.ptr, name.len), name.len}};
    bool gone;
    wb_code code = wait_for_ddl(l, schema, name, &gone, err);
    if (code != WB_OK || gone) return code;
    code = load_columns(l, schema, name, a, out, err);
    if (code == WB_OK && out->ncols) code = load_key(l, schema, name, a, out, err);
    if (code == WB_OK && out->ncols) code = load_engine(l, schema, name, out, err);
    return code;
}

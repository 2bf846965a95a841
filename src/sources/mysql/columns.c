/* columns.c: the columns and the key of one table, from information_schema, and a row of that as a column. Of many
 * tables at once: catalog_all.c. Names are compared as the server writes them. */
#include "my.h"

#include <stdio.h>
#include <strings.h>

static wb_str copy(wb_arena *a, const char *z) { return z ? wb_str_of(wb_arena_strdup(a, z)) : (wb_str){"", 0}; }

/* ---------------------------------------------------------------- rows of information_schema */

enum { NAME, TYPE, CHARSET, NULLABLE, EXTRA, EXPRESSION, DEFAULT, COMMENT, KEY, SRID = MY_COLUMN_SRID };

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
    if (row[KEY] && strcmp(row[KEY], "PRI") == 0) c->flags |= WB_COL_KEY;
    if (row[NULLABLE] && strcmp(row[NULLABLE], "NO") == 0) c->flags |= WB_COL_NOT_NULL;
    if ((row[EXPRESSION] && row[EXPRESSION][0]) || made) c->flags |= WB_COL_GENERATED;
    if (strcasestr(extra, "DEFAULT_GENERATED") || strcasestr(extra, "auto_increment")) c->flags |= MY_COL_COMPUTED;
    if (strcasestr(extra, "INVISIBLE")) c->flags |= MY_COL_INVISIBLE; /* of both brands */
    take_default(l, row, a, c);
}

/* ---------------------------------------------------------------- rows of its indexes */

wb_code my_key_begin(my_keying *g, my_schema *of, wb_arena *a, wb_error *err)
{
    *g = (my_keying){.of = of, .key = wb_arena_zalloc(a, (of->ncols + 1) * sizeof *g->key)};
    of->key = g->key;
    return g->key ? WB_OK : my_nomem(err);
}

static bool is_primary(const my_keying *g) { return strcmp(g->index, "PRIMARY") == 0; }

/* The index is through. */
static void judge_index(my_keying *g, wb_arena *a)
{
    my_schema *s = g->of;
    uint32_t marked = 0;
    if (s->nkey || !g->n || !g->fits) return;
    for (uint32_t i = 0; i < s->ncols; i++) marked += (s->cols[i].flags & WB_COL_KEY) != 0;
    if (!is_primary(g) && g->n != marked) return;
    s->nkey = g->n;
    s->index = copy(a, g->index);
}

/* A primary key may have prefixes of columns; a unique one with them is none to the server. */
void my_key_row(my_keying *g, char **row, wb_arena *a)
{
    my_schema *s = g->of;
    const char *index = row[0] ? row[0] : "", *name = row[1];
    if (s->nkey) return;
    if (strcmp(index, g->index) != 0) {
        judge_index(g, a);
        (void)snprintf(g->index, sizeof g->index, "%s", index);
        g->n = 0;
        g->fits = !s->nkey;
    }
    uint32_t at = 0;
    while (name && at < s->ncols && !wb_str_is(s->cols[at].name, name)) at++;
    bool found = name && at < s->ncols && g->n < s->ncols;
    if (!found || (!is_primary(g) && (row[2] || !(s->cols[at].flags & WB_COL_KEY)))) g->fits = false;
    if (g->fits) g->key[g->n++] = (uint16_t)at;
}

void my_key_end(my_keying *g, wb_arena *a)
{
    my_schema_col *cols = (my_schema_col *)(uintptr_t)g->of->cols;
    judge_index(g, a);
    for (uint32_t i = 0; i < g->of->ncols; i++) cols[i].flags &= (uint8_t)~WB_COL_KEY; /* `key` says it from here on */
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

/* The columns of the primary key, or of what the server takes for it, by their places. */
static wb_code load_key(my_link *l, wb_str schema, wb_str name, wb_arena *a, my_schema *out, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    my_keying g;
    wb_out_z(&sql, "SELECT " MY_KEY_FIELDS " FROM information_schema.STATISTICS");
    put_where(&sql, schema, name);
    wb_out_z(&sql, " AND NON_UNIQUE = 0 ORDER BY " MY_KEY_ORDER);
    wb_code code = my_query(l, "for a table's key", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    code = my_key_begin(&g, out, a, err);
    for (MYSQL_ROW row; code == WB_OK && (row = mysql_fetch_row(res));) my_key_row(&g, row, a);
    if (code == WB_OK) my_key_end(&g, a);
    mysql_free_result(res);
    return code == WB_OK && a->failed ? my_nomem(err) : code;
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

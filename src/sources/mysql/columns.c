/* columns.c: the columns and keys of tables, from information_schema: of one table, or of all that are wanted, which is
 * two statements however many there are. Names are compared as the server writes them. */
#include "my.h"

#include <stdio.h>
#include <strings.h>

static wb_str copy(wb_arena *a, const char *z) { return z ? wb_str_of(wb_arena_strdup(a, z)) : (wb_str){"", 0}; }

/* ---------------------------------------------------------------- rows of information_schema */

enum { SCHEMA, TABLE, NAME, TYPE, CHARSET, NULLABLE, EXTRA, EXPRESSION, DEFAULT, SRID };

static void put_columns(const my_link *l, wb_out *sql)
{
    wb_out_z(sql, "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA,"
                  " GENERATION_EXPRESSION, COLUMN_DEFAULT");
    wb_out_z(sql, l->flavor == MY_MYSQL && l->version >= 80003 ? ", SRS_ID" : ", 0");
    wb_out_z(sql, " FROM information_schema.COLUMNS");
}

/* MySQL marks expressions (DEFAULT_GENERATED); MariaDB writes literals as SQL does, and NULL as a word. */
static void take_default(const my_link *l, MYSQL_ROW row, wb_arena *a, my_schema_col *c)
{
    const char *z = row[DEFAULT];
    if (!z || (l->flavor == MY_MARIADB && strcmp(z, "NULL") == 0)) return;
    c->default_sql = copy(a, z);
}

static void take_column(const my_link *l, MYSQL_ROW row, wb_arena *a, my_schema_col *c)
{
    const char *extra = row[EXTRA] ? row[EXTRA] : "";
    bool made = strcasestr(extra, "GENERATED") && !strcasestr(extra, "DEFAULT_GENERATED");
    c->name = copy(a, row[NAME]);
    c->type = copy(a, row[TYPE]);
    c->charset = copy(a, row[CHARSET]);
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
    put_columns(l, &sql);
    put_where(&sql, schema, name);
    wb_out_z(&sql, " ORDER BY ORDINAL_POSITION");
    wb_code code = my_query(l, "for a table's columns", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    my_schema_col *cols = wb_arena_zalloc(a, (size_t)(mysql_num_rows(res) + 1) * sizeof *cols);
    for (MYSQL_ROW row; cols && (row = mysql_fetch_row(res));) take_column(l, row, a, &cols[out->ncols++]);
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

/* ---------------------------------------------------------------- all tables */

typedef struct all {
    my_link *l;
    wb_arena names, one;    /* of all of it; of the table that is being read */
    const my_table **order; /* the wanted ones, by the bytes of their names */
    size_t n, at;
    MYSQL_RES *keys; /* in the same order */
    MYSQL_ROW key;
    my_schema shape;
    my_schema_col *cols;
    uint32_t cap;
    wb_code (*each)(void *arg, const my_schema *shape, wb_error *err);
    void *arg;
} all;

static int compare(wb_str a, wb_str b)
{
    int c = memcmp(a.ptr, b.ptr, WB_MIN(a.len, b.len));
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    const my_table *x = *(const my_table *const *)a, *y = *(const my_table *const *)b;
    int c = compare(x->schema, y->schema);
    return c ? c : compare(x->name, y->name);
}

static int beside(const my_table *t, MYSQL_ROW row)
{
    int c = compare(t->schema, wb_str_of(row[SCHEMA]));
    return c ? c : compare(t->name, wb_str_of(row[TABLE]));
}

static bool sort_tables(all *x, const my_catalog *cat)
{
    x->order = wb_arena_alloc(&x->names, (cat->nwanted + 1) * sizeof(const my_table *));
    for (size_t i = 0; x->order && i < cat->n; i++)
        if (cat->tables[i].wanted && x->n < cat->nwanted) x->order[x->n++] = &cat->tables[i];
    if (x->order && x->n) qsort(x->order, x->n, sizeof(const my_table *), by_name);
    return x->order != NULL;
}

/* Schemas with wanted tables, as a list of literals. */
static void put_schemas(const all *x, wb_out *sql)
{
    wb_out_z(sql, " WHERE TABLE_SCHEMA IN (");
    for (size_t i = 0; i < x->n; i++) {
        if (i && wb_str_eq(x->order[i]->schema, x->order[i - 1]->schema)) continue;
        if (i) wb_out_z(sql, ", ");
        my_put_literal(sql, x->order[i]->schema);
    }
    wb_out_byte(sql, ')');
}

/* As wait_for_ddl, some dozen tables at a time; one by one where one of them cannot be touched. */
static wb_code touch_all(const all *x, wb_error *err)
{
    enum { AT_ONCE = 64 };
    wb_code code = WB_OK;
    for (size_t i = 0; i < x->n && code == WB_OK; i += AT_ONCE) {
        wb_out sql = {0};
        wb_error e;
        bool gone;
        wb_error_reset(&e);
        for (size_t k = i; k < x->n && k < i + AT_ONCE; k++) {
            wb_out_z(&sql, k > i ? " UNION ALL (SELECT 1 FROM " : "(SELECT 1 FROM ");
            my_put_table(&sql, x->order[k]->schema, x->order[k]->name);
            wb_out_z(&sql, " LIMIT 0)");
        }
        bool touched = my_do(x->l, "to touch tables", wb_out_cstr(&sql), &e) == WB_OK;
        wb_out_fini(&sql);
        for (size_t k = i; !touched && code == WB_OK && k < x->n && k < i + AT_ONCE; k++)
            code = wait_for_ddl(x->l, x->order[k]->schema, x->order[k]->name, &gone, err);
        if (code == WB_OK && my_link_stopped(x->l)) code = my_fail_stopped(err);
    }
    return code;
}

static wb_code load_keys(all *x, wb_error *err)
{
    wb_out sql = {0};
    wb_out_z(&sql, "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS");
    put_schemas(x, &sql);
    wb_out_z(&sql, " AND INDEX_NAME = 'PRIMARY' ORDER BY CAST(TABLE_SCHEMA AS BINARY), CAST(TABLE_NAME AS BINARY),"
                   " SEQ_IN_INDEX");
    wb_code code = my_query(x->l, "for the keys of its tables", wb_out_cstr(&sql), &x->keys, err);
    wb_out_fini(&sql);
    if (code == WB_OK) x->key = mysql_fetch_row(x->keys);
    return code;
}

/* All of a table's columns were there. */
static wb_code end_table(all *x, wb_error *err)
{
    my_schema *s = &x->shape;
    if (!s->ncols) return WB_OK;
    const my_table *t = x->order[x->at];
    uint16_t *key = wb_arena_zalloc(&x->one, (s->ncols + 1) * sizeof *key);
    if (!key || x->one.failed) return my_nomem(err);
    s->cols = x->cols;
    s->key = key;
    s->engine = t->transactional ? MY_ENGINE_TRANSACTIONAL : MY_ENGINE_PLAIN;
    for (; x->key && beside(t, x->key) > 0; x->key = mysql_fetch_row(x->keys)) {}
    for (; x->key && beside(t, x->key) == 0; x->key = mysql_fetch_row(x->keys)) add_key_column(s, key, x->key[NAME]);
    wb_code code = x->each(x->arg, s, err);
    wb_arena_reset(&x->one);
    x->shape = (my_schema){.ncols = 0};
    return code;
}

static wb_code take_row(all *x, MYSQL_ROW row, wb_error *err)
{
    wb_code code = WB_OK;
    if (x->shape.ncols && beside(x->order[x->at], row) != 0) code = end_table(x, err);
    while (code == WB_OK && x->at < x->n && beside(x->order[x->at], row) < 0) x->at++;
    if (code != WB_OK || x->at == x->n || beside(x->order[x->at], row) != 0) return code; /* not wanted */
    my_schema *s = &x->shape;
    if (s->ncols == x->cap) {
        uint32_t cap = x->cap ? x->cap * 2 : 64;
        my_schema_col *bigger = realloc(x->cols, cap * sizeof *bigger);
        if (!bigger) return my_nomem(err);
        x->cols = bigger;
        x->cap = cap;
    }
    s->schema = x->order[x->at]->schema;
    s->name = x->order[x->at]->name;
    my_schema_col *c = &x->cols[s->ncols++];
    *c = (my_schema_col){.id = 0};
    take_column(x->l, row, &x->one, c);
    return WB_OK;
}

static wb_code load_all(all *x, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    put_columns(x->l, &sql);
    put_schemas(x, &sql);
    wb_out_z(&sql, " ORDER BY CAST(TABLE_SCHEMA AS BINARY), CAST(TABLE_NAME AS BINARY), ORDINAL_POSITION");
    wb_code code = my_rows(x->l, "for the columns of its tables", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; code == WB_OK && (row = mysql_fetch_row(res));)
        if (row[SCHEMA] && row[TABLE] && row[NAME]) code = take_row(x, row, err);
    if (code == WB_OK && mysql_errno(x->l->my)) code = my_fail(x->l, "for the columns of its tables", err);
    mysql_free_result(res);
    return code == WB_OK ? end_table(x, err) : code;
}

wb_code my_catalog_columns(my_link *l, const my_catalog *cat, bool still,
                           wb_code (*each)(void *arg, const my_schema *shape, wb_error *err), void *arg, wb_error *err)
{
    all x = {.l = l, .each = each, .arg = arg};
    wb_arena_init(&x.names, 4096, 0);
    wb_arena_init(&x.one, 16 * 1024, 0);
    wb_code code = sort_tables(&x, cat) ? WB_OK : my_nomem(err);
    if (code == WB_OK && !still) code = touch_all(&x, err);
    if (code == WB_OK && x.n) code = load_keys(&x, err);
    if (code == WB_OK && x.n) code = load_all(&x, err);
    if (x.keys) mysql_free_result(x.keys);
    free(x.cols);
    wb_arena_fini(&x.one);
    wb_arena_fini(&x.names);
    return code;
}

/* catalog_all.c: columns and keys of many tables at once: a few statements, however many tables there are. For the
 * beginning of a stream and for copies. */
#include "my.h"

#include <strings.h>

enum { FEW = 8, GROUP = 40 /* tables that one statement touches: the server joins no more than 61 */ };

/* ---------------------------------------------------------------- touching */

static wb_code touch_group(my_link *l, my_table *const *list, size_t n, wb_error *err)
{
    wb_out sql = {0};
    for (size_t i = 0; i < n; i++) {
        wb_out_z(&sql, i ? " UNION ALL (SELECT 1 FROM " : "(SELECT 1 FROM ");
        my_put_table(&sql, list[i]->schema, list[i]->name);
        wb_out_z(&sql, " LIMIT 0)");
    }
    wb_code code = my_do(l, "to read its tables", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    return code;
}

static bool refused(wb_code code) { return code == WB_E_SCHEMA || code == WB_E_AUTH; }

/* One by one, as a group fails with the first that cannot be read. */
static wb_code touch_each(my_link *l, my_table *const *list, size_t n, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        wb_error e;
        wb_error_reset(&e);
        code = touch_group(l, list + i, 1, &e);
        if (refused(code))
            code = WB_OK;
        else if (code != WB_OK && err)
            *err = e;
    }
    return code;
}

wb_code my_touch(my_link *l, my_table *const *list, size_t n, bool any, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < n && code == WB_OK; i += GROUP) {
        size_t many = WB_MIN(n - i, (size_t)GROUP);
        wb_error e;
        wb_error_reset(&e);
        code = touch_group(l, list + i, many, &e);
        if (any && refused(code))
            code = touch_each(l, list + i, many, err);
        else if (code != WB_OK && err)
            *err = e;
    }
    return code;
}

/* ---------------------------------------------------------------- columns and keys */

typedef struct loading {
    const my_catalog *cat;
    my_schema **of; /* by place in the catalog; NULL: not asked for */
    my_schema_col **cols;
} loading;

static size_t place_of(const loading *g, const char *schema, const char *name)
{
    const my_table *t = my_catalog_find(g->cat, my_table_id(wb_str_of(schema), wb_str_of(name)));
    size_t at = t ? (size_t)(t - g->cat->tables) : 0;
    return t && g->of[at] ? at : SIZE_MAX;
}

/* "'a', 'b'": the schemas of the list. */
static void put_schemas(wb_out *sql, my_table *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i && wb_str_eq(list[i]->schema, list[i - 1]->schema)) continue;
        if (i) wb_out_z(sql, ", ");
        my_put_literal(sql, list[i]->schema);
    }
}

static wb_str copy(wb_arena *a, const char *z) { return z ? wb_str_of(wb_arena_strdup(a, z)) : (wb_str){"", 0}; }

static wb_code load_columns(my_link *l, loading *g, my_table *const *list, size_t n, wb_arena *a, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, "SELECT " MY_COLUMN_FIELDS);
    wb_out_z(&sql, l->flavor == MY_MYSQL && l->version >= 80003 ? ", SRS_ID" : ", 0");
    wb_out_z(&sql, ", TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN (");
    put_schemas(&sql, list, n);
    wb_out_z(&sql, ") ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION");
    wb_code code = my_query(l, "for the columns of its tables", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        size_t at = place_of(g, row[MY_COLUMN_SRID + 1], row[MY_COLUMN_SRID + 2]);
        if (at != SIZE_MAX) g->of[at]->ncols++;
    }
    for (size_t i = 0; i < g->cat->n; i++) {
        if (!g->of[i]) continue;
        g->cols[i] = wb_arena_zalloc(a, (g->of[i]->ncols + 1) * sizeof *g->cols[i]);
        g->of[i]->cols = g->cols[i];
        g->of[i]->ncols = 0;
    }
    mysql_data_seek(res, 0);
    for (MYSQL_ROW row; !a->failed && (row = mysql_fetch_row(res));) {
        size_t at = place_of(g, row[MY_COLUMN_SRID + 1], row[MY_COLUMN_SRID + 2]);
        if (at == SIZE_MAX) continue;
        my_schema_col *c = &g->cols[at][g->of[at]->ncols++];
        my_column_of_row(l, c, row, a);
    }
    mysql_free_result(res);
    return a->failed ? my_nomem(err) : WB_OK;
}

static wb_code load_keys(my_link *l, loading *g, my_table *const *list, size_t n, wb_arena *a, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    my_keying k = {.of = NULL};
    wb_out_z(&sql, "SELECT " MY_KEY_FIELDS ", TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS"
                   " WHERE TABLE_SCHEMA IN (");
    put_schemas(&sql, list, n);
    wb_out_z(&sql, ") AND NON_UNIQUE = 0 ORDER BY TABLE_SCHEMA, TABLE_NAME, " MY_KEY_ORDER);
    wb_code code = my_query(l, "for the keys of its tables", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; code == WB_OK && !a->failed && (row = mysql_fetch_row(res));) {
        size_t at = place_of(g, row[3], row[4]);
        if (at == SIZE_MAX) continue;
        if (k.of != g->of[at]) {
            if (k.of) my_key_end(&k, a);
            code = my_key_begin(&k, g->of[at], a, err);
        }
        if (code == WB_OK) my_key_row(&k, row, a);
    }
    if (k.of) my_key_end(&k, a);
    mysql_free_result(res);
    return code == WB_OK && a->failed ? my_nomem(err) : code;
}

static wb_code load_all(my_link *l, loading *g, my_table *const *list, size_t n, wb_arena *a, my_schema *out,
                        wb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const my_table *t = list[i];
        out[i] = (my_schema){.schema = copy(a, t->schema.ptr),
                             .name = copy(a, t->name.ptr),
                             .engine = t->transactional ? MY_ENGINE_TRANSACTIONAL : MY_ENGINE_PLAIN};
        g->of[t - g->cat->tables] = &out[i];
    }
    wb_code code = load_columns(l, g, list, n, a, err);
    return code == WB_OK ? load_keys(l, g, list, n, a, err) : code;
}

wb_code my_catalog_shapes(my_link *l, const my_catalog *c, my_table *const *list, size_t n, wb_arena *a, my_schema *out,
                          wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; n <= FEW && i < n && code == WB_OK; i++)
        code = my_shape_load(l, list[i]->schema, list[i]->name, a, &out[i], err);
    if (n <= FEW) return code;
    loading g = {
        .cat = c, .of = calloc(c->n + 1, sizeof(my_schema *)), .cols = calloc(c->n + 1, sizeof(my_schema_col *))};
    code = g.of && g.cols ? load_all(l, &g, list, n, a, out, err) : my_nomem(err);
    free(g.of);
    free(g.cols);
    return code;
}

/* catalog.c: which tables there are, and which of them are wanted, from information_schema. Names are compared as the
 * server writes them. */
#include "my.h"

#include <stdio.h>
#include <strings.h>

#include "base/options.h"

bool my_is_system(wb_str schema)
{
    static const char *const names[] = {"mysql", "sys", "information_schema", "performance_schema", NULL};
    for (size_t i = 0; names[i]; i++)
        if (schema.len == strlen(names[i]) && strncasecmp(schema.ptr, names[i], schema.len) == 0) return true;
    return false;
}

wb_code my_patterns_of(const my_source *s, wb_arena *a, wb_patterns **out, wb_error *err)
{
    my_url u;
    wb_list list = s->table_list;
    const char *one;
    wb_code code = my_url_parse(s->url, a, &u, err);
    if (code == WB_OK && !list.n && u.database) { /* the url names a database: its tables */
        wb_out text = {0};
        wb_out_byte(&text, '"');
        for (const char *p = u.database; *p; p++) {
            if (*p == '"') wb_out_byte(&text, '"');
            wb_out_byte(&text, *p);
        }
        wb_out_z(&text, "\".*");
        one = wb_arena_strndup(a, text.p ? text.p : "", text.len);
        if (text.failed) code = my_nomem(err);
        wb_out_fini(&text);
        list = (wb_list){1, &one};
        if (code == WB_OK) code = wb_patterns_new(&list, a, out, err);
    } else if (code == WB_OK) {
        code = wb_patterns_new(&list, a, out, err);
    }
    if (code == WB_OK && wb_patterns_parts(*out) > 2) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "A pattern in `tables` has three parts.");
        wb_hint(err, "Tables are database.table.");
        return WB_E_CONFIG;
    }
    return code;
}

/* ---------------------------------------------------------------- tables */

static size_t first_unmatched(const my_catalog *c, const wb_patterns *p)
{
    bool negative;
    for (size_t k = 0; p && wb_patterns_text(p, k, &negative); k++) {
        bool any = negative;
        for (size_t i = 0; i < c->n && !any; i++)
            any = wb_patterns_match_one(p, k, c->tables[i].schema, c->tables[i].name);
        if (!any) return k + 1;
    }
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const my_table *x = *(my_table *const *)a, *y = *(my_table *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Two names of one number: not in a billion databases, and then not unnoticed. */
static wb_code index_tables(my_catalog *c, wb_error *err)
{
    c->by_id = wb_arena_zalloc(&c->arena, (c->n + 1) * sizeof(my_table *));
    if (!c->by_id) return my_nomem(err);
    for (size_t i = 0; i < c->n; i++) c->by_id[i] = &c->tables[i];
    qsort(c->by_id, c->n, sizeof(my_table *), by_id);
    for (size_t i = 1; i < c->n; i++)
        if (c->by_id[i]->id == c->by_id[i - 1]->id)
            return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "The names of %s.%s and %s.%s cannot be told apart.",
                           c->by_id[i]->schema.ptr, c->by_id[i]->name.ptr, c->by_id[i - 1]->schema.ptr,
                           c->by_id[i - 1]->name.ptr);
    return WB_OK;
}

my_table *my_catalog_find(const my_catalog *c, uint64_t id)
{
    const my_table key = {.id = id};
    const my_table *at = &key;
    my_table **found = c->n ? bsearch(&at, c->by_id, c->n, sizeof(my_table *), by_id) : NULL;
    return found ? *found : NULL;
}

wb_code my_catalog_load(my_link *l, const wb_patterns *patterns, my_catalog *out, wb_error *err)
{
    static const char sql[] =
        "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_ROWS, t.DATA_LENGTH, e.TRANSACTIONS FROM "
        "information_schema.TABLES t"
        " LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE"
        " WHERE t.TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND t.TABLE_SCHEMA NOT IN"
        " ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY t.TABLE_SCHEMA, t.TABLE_NAME";
    MYSQL_RES *res;
    *out = (my_catalog){.n = 0};
    wb_arena_init(&out->arena, 16 * 1024, 0);
    wb_code code = my_query(l, "for its tables", sql, &res, err);
    if (code != WB_OK) return code;
    size_t rows = (size_t)mysql_num_rows(res);
    out->tables = wb_arena_zalloc(&out->arena, (rows + 1) * sizeof *out->tables);
    for (MYSQL_ROW row; out->tables && (row = mysql_fetch_row(res));) {
        my_table *t = &out->tables[out->n];
        int64_t count;
        if (!row[0] || !row[1]) continue;
        t->schema = wb_str_of(wb_arena_strdup(&out->arena, row[0]));
        t->name = wb_str_of(wb_arena_strdup(&out->arena, row[1]));
        t->rows = row[2] && wb_parse_int(row[2], &count, NULL) == WB_OK ? count : -1;
        t->bytes = row[3] && wb_parse_int(row[3], &count, NULL) == WB_OK ? count : -1;
        t->transactional = row[4] && strcasecmp(row[4], "YES") == 0;
        t->id = my_table_id(t->schema, t->name);
        t->wanted = wb_patterns_match(patterns, t->schema, t->name);
        out->nwanted += t->wanted;
        out->n++;
    }
    mysql_free_result(res);
    if (!out->tables || out->arena.failed) return my_nomem(err);
    out->unmatched = first_unmatched(out, patterns);
    return index_tables(out, err);
}

void my_catalog_free(my_catalog *c)
{
    wb_arena_fini(&c->arena);
    memset(c, 0, sizeof *c);
}

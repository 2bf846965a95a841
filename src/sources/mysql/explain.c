/* explain.c: `walbrook explain types`: the wanted tables as information_schema has them now. Main thread, a connection
 * of its own. */
#include "my.h"

static wb_code one_table(my_link *l, const my_table *t, void (*each)(void *arg, const wb_table *t), void *arg,
                         wb_error *err)
{
    wb_arena a;
    my_schema shape;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_code code = my_shape_load(l, t->schema, t->name, &a, &shape, err);
    if (code == WB_OK && shape.ncols) { /* else it was dropped a moment ago */
        wb_table *table = my_table_of_schema(&shape, l->flavor, err);
        if (table)
            each(arg, table);
        else
            code = err ? err->code : WB_E_SCHEMA;
        wb_table_unref(table);
    }
    wb_arena_fini(&a);
    return code;
}

static wb_code no_match(const wb_patterns *patterns, size_t i, wb_error *err)
{
    bool negative;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "No table matches '%s'.", wb_patterns_text(patterns, i, &negative));
    wb_hint(err, "Patterns are database.table, with * and ?; \"double quotes\" around a part that holds dots.");
    return WB_E_CONFIG;
}

wb_code my_types(void *ctx, wb_host *h, void (*each)(void *arg, const wb_table *t), void *arg, wb_error *err)
{
    my_source *s = ctx;
    my_link l = {.my = NULL};
    my_catalog cat = {.n = 0};
    wb_patterns *patterns = NULL;
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    wb_code code = my_patterns_of(s, &a, &patterns, err);
    if (code == WB_OK) code = my_link_open(&l, s, h, false, err);
    if (code == WB_OK) code = my_catalog_load(&l, patterns, &cat, err);
    if (code == WB_OK && cat.unmatched) code = no_match(patterns, cat.unmatched - 1, err);
    for (size_t i = 0; code == WB_OK && i < cat.n; i++)
        if (cat.tables[i].wanted) code = one_table(&l, &cat.tables[i], each, arg, err);
    my_catalog_free(&cat);
    my_link_close(&l);
    wb_arena_fini(&a);
    return code;
}

/* explain.c: `walbrook explain types`: the wanted tables as the catalog has them now, with the columns that travel.
 * Main thread, a connection of its own. */
#include "pg.h"

static wb_code one_table(pg_link *l, uint32_t oid, void (*each)(void *arg, const wb_table *t), void *arg, wb_error *err)
{
    wb_arena a;
    pg_shape shape;
    bool found = false;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_code code = pg_shape_load(l, oid, &a, &shape, &found, err);
    if (code == WB_OK && found) { /* else it was dropped a moment ago */
        pg_shape_narrow(&shape, NULL);
        wb_table *t = pg_shape_table(&shape, 0);
        if (t)
            each(arg, t);
        else
            code = pg_nomem(err);
        wb_table_unref(t);
    }
    wb_arena_fini(&a);
    return code;
}

static wb_code no_match(const wb_patterns *patterns, size_t i, wb_error *err)
{
    bool negative;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "No table matches '%s'.", wb_patterns_text(patterns, i, &negative));
    wb_hint(err, "Patterns are schema.table, with * and ?; \"double quotes\" around a part that holds dots.");
    return WB_E_CONFIG;
}

wb_code pg_types(void *ctx, wb_host *h, void (*each)(void *arg, const wb_table *t), void *arg, wb_error *err)
{
    pg_source *s = ctx;
    pg_link l = {0};
    pg_catalog cat = {0};
    wb_patterns *patterns = NULL;
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    wb_code code = pg_patterns_of(s, &a, &patterns, err);
    if (code == WB_OK) code = pg_link_open(&l, s, h, PG_SQL, err);
    if (code == WB_OK) code = pg_catalog_load(&l, patterns, &cat, err);
    if (code == WB_OK && cat.unmatched) code = no_match(patterns, cat.unmatched - 1, err);
    for (size_t i = 0; code == WB_OK && i < cat.n; i++)
        if (cat.tables[i].wanted) code = one_table(&l, cat.tables[i].oid, each, arg, err);
    pg_catalog_free(&cat);
    pg_link_close(&l);
    wb_arena_fini(&a);
    return code;
}

/* explain.c: `walbrook explain types`: the wanted tables as the catalog has them now, with the columns that travel.
 * Main thread, a connection of its own. */
#include "pg.h"

static wb_code tell(const pg_shape *shapes, size_t n, void (*each)(void *arg, const wb_table *t), void *arg,
                    wb_error *err)
{
    for (size_t i = 0; i < n; i++) {
        pg_shape shape = shapes[i];
        pg_shape_narrow(&shape, NULL);
        wb_table *t = pg_shape_table(&shape, 0);
        if (!t) return pg_nomem(err);
        each(arg, t);
        wb_table_unref(t);
    }
    return WB_OK;
}

/* One query for all of them. */
static wb_code wanted_tables(pg_link *l, const pg_catalog *cat, void (*each)(void *arg, const wb_table *t), void *arg,
                             wb_error *err)
{
    wb_arena a;
    wb_out oids = {0};
    pg_shape *shapes = NULL;
    size_t n = 0, wanted = 0;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_out_byte(&oids, '{');
    for (size_t i = 0; i < cat->n; i++)
        if (cat->tables[i].wanted) wb_out_printf(&oids, "%s%u", wanted++ ? "," : "", cat->tables[i].oid);
    wb_out_byte(&oids, '}');
    const char *text = wb_out_cstr(&oids);
    wb_code code = text ? pg_shapes_load(l, text, &a, &shapes, &n, err) : pg_nomem(err);
    if (code == WB_OK) code = tell(shapes, n, each, arg, err);
    wb_out_fini(&oids);
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
    if (code == WB_OK) code = wanted_tables(&l, &cat, each, arg, err);
    pg_catalog_free(&cat);
    pg_link_close(&l);
    wb_arena_fini(&a);
    return code;
}

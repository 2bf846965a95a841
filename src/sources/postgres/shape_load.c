/* shape_load.c: the columns of a table as the catalog has them now, user types by OID. Called at open, for a snapshot
 * and for each new version that the stream brings. */
#include "pg.h"

#include <stdio.h>

enum { FIRST_USER_OID = 16384 };

/* A domain's values look like its base type's: `b` is what is under all the domains. */
#define BASE_OF(oid)                                                                                                   \
    " LEFT JOIN LATERAL (WITH RECURSIVE d AS ("                                                                        \
    "   SELECT t.*, t.typdefault IS NOT NULL AND t.typtype = 'd' AS has_default, -1 AS base_mod FROM pg_type t"        \
    "    WHERE t.oid = " oid                                                                                           \
    "   UNION ALL SELECT t.*, d.has_default OR (t.typdefault IS NOT NULL AND t.typtype = 'd'), d.typtypmod"            \
    "   FROM d JOIN pg_type t ON t.oid = d.typbasetype WHERE d.typtype = 'd')"                                         \
    "  SELECT d.oid, d.typtype, d.typcategory, d.has_default, d.typelem <> 0 AND d.typlen = -1 AS is_array, "          \
    "d.base_mod,"                                                                                                      \
    "   (SELECT string_agg(e.enumlabel, chr(1) ORDER BY e.enumsortorder) FROM pg_enum e"                               \
    "    WHERE e.enumtypid IN (d.oid, d.typelem)) AS labels"                                                           \
    "  FROM d WHERE d.typtype <> 'd' LIMIT 1) b ON true"

/* A missing value (fast default) is an array of one element, the column's
 * own type. A column whose old rows were rewritten with a computed value is not known: it has a default and no missing
 * value, as has one whose default came later. */
static const char columns_sql[] =
    "SELECT n.nspname, c.relname, c.relreplident, c.relkind,"
    " a.attnum, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,"
    " CASE WHEN a.atthasmissing THEN 2 WHEN a.atthasdef OR a.attidentity <> '' OR b.has_default THEN 0 ELSE 1 END,"
    " CASE WHEN a.atthasmissing THEN array_to_string(a.attmissingval, '') END,"
    " b.oid, b.typtype, b.typcategory, b.is_array,"
    " coalesce(array_position(k.attnums[1:k.indnkeyatts], a.attnum), 0), c.oid, b.base_mod, b.labels,"
    " (SELECT pg_get_expr(f.adbin, f.adrelid) FROM pg_attrdef f WHERE f.adrelid = c.oid AND f.adnum = a.attnum"
    "  AND a.attgenerated = '')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN LATERAL (SELECT string_to_array(x.indkey::text, ' ')::int2[] AS attnums, x.indnkeyatts FROM pg_index x"
    "  WHERE x.indrelid = c.oid AND x.indisvalid AND CASE c.relreplident WHEN 'i' THEN x.indisreplident"
    "  ELSE x.indisprimary END LIMIT 1) k ON true"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped" BASE_OF(
        "a.atttypid") " WHERE c.oid = ANY ($1::oid[]) ORDER BY c.oid, a.attnum";

static wb_kind kind_of(uint32_t base, char typtype, char category, bool is_array)
{
    if (base < FIRST_USER_OID) return pg_type_kind(base);
    if (typtype == 'e') return WB_TEXT;
    if (typtype == 'r' || typtype == 'm') return WB_RANGE;
    if (category == 'A' && is_array) return WB_ARRAY;
    if (category == 'S') return WB_TEXT; /* citext */
    return WB_OTHER;
}

/* The columns b.oid, b.typtype, b.typcategory, b.is_array, from `at` on. */
static uint8_t read_kind(const PGresult *res, int row, int at)
{
    return (uint8_t)kind_of((uint32_t)pg_number(PQgetvalue(res, row, at)), PQgetvalue(res, row, at + 1)[0],
                            PQgetvalue(res, row, at + 2)[0], PQgetvalue(res, row, at + 3)[0] == 't');
}

static wb_str type_name(uint32_t oid, int32_t mod, const char *formatted, wb_arena *a)
{
    if (oid >= FIRST_USER_OID) return pg_copied(a, formatted);
    wb_out out = {0};
    pg_type_name(oid, mod, &out);
    wb_str name = {wb_arena_strndup(a, out.p ? out.p : "", out.failed ? 0 : out.len), out.failed ? 0 : out.len};
    wb_out_fini(&out);
    return name;
}

static void read_column(const PGresult *res, int row, wb_arena *a, pg_column *c)
{
    c->attnum = (int32_t)pg_number(PQgetvalue(res, row, 4));
    c->name = pg_copied(a, PQgetvalue(res, row, 5));
    c->type = (uint32_t)pg_number(PQgetvalue(res, row, 6));
    c->mod = (int32_t)pg_number(PQgetvalue(res, row, 7));
    c->type_name = type_name(c->type, c->mod, PQgetvalue(res, row, 8), a);
    c->not_null = PQgetvalue(res, row, 9)[0] == 't';
    c->generated = PQgetvalue(res, row, 10)[0] != 0;
    c->missing = (uint8_t)pg_number(PQgetvalue(res, row, 11));
    if (PQgetisnull(res, row, 12))
        c->missing = c->missing == PG_MISSING_TEXT ? PG_MISSING_NULL : c->missing;
    else
        c->missing_text = (wb_str){wb_arena_strndup(a, PQgetvalue(res, row, 12), (size_t)PQgetlength(res, row, 12)),
                                   (size_t)PQgetlength(res, row, 12)};
    c->kind = read_kind(res, row, 13);
    c->key = (uint16_t)pg_number(PQgetvalue(res, row, 17));
    c->base = (uint32_t)pg_number(PQgetvalue(res, row, 13));
    c->base_mod = c->base == c->type ? c->mod : (int32_t)pg_number(PQgetvalue(res, row, 19));
    c->labels = pg_copied(a, PQgetvalue(res, row, 20));
    c->default_sql = pg_copied(a, PQgetvalue(res, row, 21));
}

/* The rows of one table, from `row` on; the first row that is not its own any more. */
static int read_shape(const PGresult *res, int row, wb_arena *a, pg_shape *out)
{
    int end = row;
    while (end < PQntuples(res) && strcmp(PQgetvalue(res, end, 18), PQgetvalue(res, row, 18)) == 0) end++;
    *out = (pg_shape){.oid = (uint32_t)pg_number(PQgetvalue(res, row, 18)),
                      .schema = pg_copied(a, PQgetvalue(res, row, 0)),
                      .name = pg_copied(a, PQgetvalue(res, row, 1)),
                      .identity = PQgetvalue(res, row, 2)[0],
                      .relkind = PQgetvalue(res, row, 3)[0],
                      .cols = wb_arena_zalloc(a, ((size_t)(end - row) + 1) * sizeof *out->cols)};
    for (int i = row; i < end && out->cols && !a->failed && !PQgetisnull(res, i, 4); i++)
        read_column(res, i, a, &out->cols[out->ncols++]);
    return end;
}

wb_code pg_shapes_load(pg_link *l, const char *oids, wb_arena *a, pg_shape **out, size_t *n, wb_error *err)
{
    PGresult *res;
    *n = 0;
    wb_code code = pg_query1(l, "to describe tables", columns_sql, oids, &res, err);
    if (code != WB_OK) return code;
    size_t tables = 0;
    for (int i = 0; i < PQntuples(res); i++)
        tables += i == 0 || strcmp(PQgetvalue(res, i, 18), PQgetvalue(res, i - 1, 18)) != 0;
    *out = wb_arena_zalloc(a, (tables + 1) * sizeof **out);
    for (int row = 0; *out && !a->failed && row < PQntuples(res);) row = read_shape(res, row, a, &(*out)[(*n)++]);
    PQclear(res);
    return a->failed ? pg_nomem(err) : WB_OK;
}

wb_code pg_shape_load(pg_link *l, uint32_t oid, wb_arena *a, pg_shape *out, bool *found, wb_error *err)
{
    char text[24];
    pg_shape *all = NULL;
    size_t n = 0;
    (void)snprintf(text, sizeof text, "{%u}", oid);
    wb_code code = pg_shapes_load(l, text, a, &all, &n, err);
    *found = code == WB_OK && n == 1;
    *out = *found ? all[0] : (pg_shape){.oid = oid};
    return code;
}

wb_code pg_column_type(pg_link *l, pg_column *c, wb_arena *a, wb_error *err)
{
    if (c->type < FIRST_USER_OID) {
        c->type_name = type_name(c->type, c->mod, NULL, a);
        c->kind = (uint8_t)pg_type_kind(c->type);
        c->base = c->type;
        c->base_mod = c->mod;
        return a->failed ? pg_nomem(err) : WB_OK;
    }
    char oid[16], mod[16];
    (void)snprintf(oid, sizeof oid, "%u", c->type);
    (void)snprintf(mod, sizeof mod, "%d", c->mod);
    const char *values[] = {oid, mod};
    PGresult *res = NULL;
    wb_code code =
        pg_run(l, &(pg_call){.why = "to name a type", .n = 2, .values = values},
               "SELECT format_type(x.oid, $2::int4), b.oid, b.typtype, b.typcategory, b.is_array, b.base_mod, b.labels"
               " FROM pg_type x" BASE_OF("x.oid") " WHERE x.oid = $1::oid",
               &res, err);
    if (code != WB_OK) return code;
    if (PQntuples(res)) {
        c->type_name = pg_copied(a, PQgetvalue(res, 0, 0));
        c->kind = read_kind(res, 0, 1);
        c->base = (uint32_t)pg_number(PQgetvalue(res, 0, 1));
        c->base_mod = c->base == c->type ? c->mod : (int32_t)pg_number(PQgetvalue(res, 0, 5));
        c->labels = pg_copied(a, PQgetvalue(res, 0, 6));
    } else { /* dropped since: its values come as text all the same */
        c->type_name = wb_str_of(wb_arena_printf(a, "type %u", c->type));
        c->kind = WB_OTHER;
    }
    PQclear(res);
    return a->failed ? pg_nomem(err) : WB_OK;
}

/* schema.c: tables as information_schema tells them: whether a table map fits one, and the wb_table of one alone.
 * Called by the plan of a table map, by schema histories, by snapshots. */
#include "schema.h"

#include <stdio.h>
#include <strings.h>

#include "types.h"

/* ---------------------------------------------------------------- does it fit? */

static bool col_fits(const my_schema_col *s, const my_map_col *c, const my_map *m, char *why, size_t cap, uint32_t i)
{
    my_type_info declared, seen;
    my_type_parse(s->type, s->charset, &declared);
    bool names =
        m->has_names && (s->name.len != c->name.len || strncasecmp(s->name.ptr, c->name.ptr, s->name.len) != 0);
    bool sign = m->has_signs && declared.family == MY_F_INT && declared.is_unsigned != c->is_unsigned;
    if (!names && !sign && my_type_fits(&declared, c, m->flavor)) return true;
    if (!why) return false;
    wb_out o = {0};
    my_type_of_map(c, m->flavor, &seen);
    if (!m->has_signs) seen.is_unsigned = false;
    my_type_name(&seen, NULL, 0, MY_UNKNOWN, &o);
    if (names)
        snprintf(why, cap, "column %u is called %.*s in the schema and %.*s in the log", i + 1, (int)s->name.len,
                 s->name.ptr, (int)c->name.len, c->name.ptr);
    else
        snprintf(why, cap, "column %u (%.*s) is %.*s in the schema and %.*s in the log", i + 1, (int)s->name.len,
                 s->name.ptr, (int)WB_MIN(s->type.len, 60), s->type.ptr, (int)o.len, o.len ? o.p : "");
    wb_out_fini(&o);
    return false;
}

bool my_schema_fits(const my_schema *s, const my_map *m, char *why, size_t cap)
{
    if (why && cap) why[0] = 0;
    if (s->ncols != m->ncols) {
        if (why) snprintf(why, cap, "it has %u columns in the schema and %u in the log", s->ncols, m->ncols);
        return false;
    }
    for (uint32_t i = 0; i < s->ncols; i++)
        if (!col_fits(&s->cols[i], &m->cols[i], m, why, cap, i)) return false;
    return true;
}

/* ---------------------------------------------------------------- a table */

void my_schema_describe(const my_schema_col *from, wb_column *to)
{
    to->default_sql = from->default_sql;
    to->charset = from->charset;
    to->comment = from->comment;
    to->extra = from->extra;
    to->flags &= (uint8_t)~MY_COL_COMPUTED;
    if (from->missing_kind == WB_ABSENT) return;
    to->flags |= WB_COL_DEFAULT_KNOWN;
    to->missing = (wb_value){.kind = from->missing_kind};
    if (from->missing_kind == WB_NULL) return;
    to->missing.flags = WB_V_TEXT;
    to->missing.len = (uint32_t)from->missing.len;
    to->missing.as.ptr = from->missing.ptr;
}

wb_table *my_table_of_schema(const my_schema *s, my_flavor flavor, wb_error *err)
{
    WB_UNUSED(flavor);
    wb_column *cols = calloc(s->ncols ? s->ncols : 1, sizeof *cols);
    for (uint32_t i = 0; cols && i < s->ncols; i++) {
        const my_schema_col *from = &s->cols[i];
        my_type_info t;
        my_type_parse(from->type, from->charset, &t);
        cols[i] = (wb_column){.name = from->name,
                              .type = from->type,
                              .type_id = my_type_id(&t),
                              .type_mod = my_type_mod(&t),
                              .id = from->id,
                              .kind = (uint8_t)my_type_kind(&t),
                              .flags = (uint8_t)(from->flags & ~WB_COL_KEY)};
        my_schema_describe(from, &cols[i]);
    }
    for (uint32_t k = 0; cols && k < s->nkey; k++) cols[s->key[k]].flags |= WB_COL_KEY;
    wb_table proto = {.id = s->id,
                      .schema = s->schema,
                      .name = s->name,
                      .ncols = s->ncols,
                      .nkey = s->nkey,
                      .cols = cols,
                      .key = s->key};
    proto.flags = s->nkey ? 0 : WB_TABLE_FULL_BEFORE; /* without a key the server logs all of the old row */
    wb_table *t = cols ? wb_table_new(&proto) : NULL;
    free(cols);
    if (!t)
        wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the columns of table %.*s.%.*s.", (int)s->schema.len,
                s->schema.ptr, (int)s->name.len, s->name.ptr);
    return t;
}

wb_table *my_bare_table(wb_str schema, wb_str name)
{
    char a[1024], b[1024]; /* a table's names end with NUL */
    (void)snprintf(a, sizeof a, "%.*s", (int)schema.len, schema.ptr ? schema.ptr : "");
    (void)snprintf(b, sizeof b, "%.*s", (int)name.len, name.ptr ? name.ptr : "");
    const wb_str s = wb_str_of(a), n = wb_str_of(b);
    const wb_table proto = {.schema = s, .name = n, .source_schema = s, .source_name = n};
    return wb_table_new(&proto);
}

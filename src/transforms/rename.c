/* rename.c: the transform that gives tables and columns other names. The derived tables still know the source's names.
 * Values are not touched. */
#include "base/options.h"
#include "transforms/memo.h"

typedef struct rename_ctx {
    const wb_node *tables, *columns; /* options */
    bool opened;
    wb_memo memo;
} rename_ctx;

/* Keys are exact names as they are at this step: "public.users", "users"; "public.users.mail", "users.mail". */
static bool key_is(const char *key, const wb_str *parts, size_t n)
{
    for (size_t from = 0; from < n; from++) { /* with every part, then without the leftmost ones */
        const char *p = key;
        size_t i = from;
        for (; i < n; i++) {
            if (strncmp(p, parts[i].ptr, parts[i].len) != 0) break;
            p += parts[i].len;
            if (i + 1 < n && *p++ != '.') break;
        }
        if (i == n && *p == 0) return true;
        if (n == 3 && from == 1) break; /* a column alone is too little */
    }
    return false;
}

static const char *new_name(const wb_node *map, const wb_str *parts, size_t n)
{
    for (size_t i = 0; map && i < map->n; i++)
        if (key_is(map->pairs[i].key, parts, n)) return map->pairs[i].value->text;
    return NULL;
}

static wb_code refuse_same(const wb_table *t, const wb_column *cols, wb_error *err)
{
    for (uint32_t i = 1; i < t->ncols; i++)
        for (uint32_t k = 0; k < i; k++)
            if (wb_str_eq(cols[i].name, cols[k].name))
                return wb_fail(err, WB_E_CONFIG, WB_NEVER,
                               "rename: table %s.%s would have two columns named \"%.60s\".", t->schema.ptr,
                               t->name.ptr, cols[i].name.ptr);
    return WB_OK;
}

static wb_code make_table(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    const rename_ctx *r = ctx;
    wb_table proto;
    wb_column *cols;
    size_t renamed = 0;
    wb_code code = wb_table_draft(in, 0, &proto, &cols, err);
    if (code) return code;
    for (uint32_t i = 0; i < in->ncols; i++) {
        const char *to = new_name(r->columns, (const wb_str[]){in->schema, in->name, cols[i].name}, 3);
        if (!to) continue;
        cols[i].name = wb_str_of(to);
        renamed++;
    }
    if (renamed) code = refuse_same(in, cols, err);
    const char *to = new_name(r->tables, (const wb_str[]){in->schema, in->name}, 2);
    if (to) {
        const char *dot = strchr(to, '.');
        if (dot) proto.schema = (wb_str){to, (size_t)(dot - to)};
        proto.name = wb_str_of(dot ? dot + 1 : to);
        renamed++;
    }
    if (!code && renamed) return wb_table_from_draft(&proto, cols, &made->out, err);
    free(cols);
    if (!code) made->out = wb_table_ref(in);
    return code;
}

/* ---------------------------------------------------------------- the plugin */

static wb_code check_map(const wb_node *map, const char *what, size_t least_dots, size_t most_dots, wb_error *err)
{
    if (wb_node_null(map)) return WB_OK;
    if (map->kind != WB_NODE_MAP) {
        wb_code code = wb_node_fail(map, err, "rename: \"%s\" is a map of old names to new names.", what);
        wb_hint(err, "Write {%s: new_name}.", least_dots ? "public.users.mail" : "public.users");
        return code;
    }
    for (size_t i = 0; i < map->n; i++) {
        const wb_pair *p = &map->pairs[i];
        const wb_node here = {.line = p->line, .file = map->file};
        size_t dots = 0;
        for (const char *c = p->key; *c; c++) dots += *c == '.';
        if (dots < least_dots)
            return wb_node_fail(
                &here, err, "rename: a column is \"table.column\" or \"schema.table.column\", not \"%.60s\".", p->key);
        if (wb_node_null(p->value) || p->value->kind != WB_NODE_SCALAR || !p->value->text[0])
            return wb_node_fail(&here, err, "rename: the new name of \"%.60s\" is missing.", p->key);
        const char *dot = strchr(p->value->text, '.');
        if (most_dots && dot && (dot == p->value->text || !dot[1]))
            return wb_node_fail(p->value, err, "rename: a new table name is \"table\" or \"schema.table\".");
    }
    return WB_OK;
}

static void rename_close(void *ctx)
{
    rename_ctx *r = ctx;
    if (!r->opened) return;
    wb_memo_fini(&r->memo);
    r->opened = false;
}

static wb_code rename_open(void *ctx, wb_error *err)
{
    rename_ctx *r = ctx;
    rename_close(r);
    wb_code code = check_map(r->tables, "tables", 0, 1, err);
    if (!code) code = check_map(r->columns, "columns", 1, 0, err);
    if (!code && wb_node_null(r->tables) && wb_node_null(r->columns)) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "This rename names nothing.");
        wb_hint(err, "Give it \"tables\" or \"columns\".");
    }
    r->opened = !code;
    return code;
}

static wb_code rename_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    rename_ctx *r = ctx;
    WB_UNUSED(txns);
    return wb_retable(&r->memo, make_table, NULL, r, b, changes, n, err);
}

#define AT(field) offsetof(rename_ctx, field)
static const wb_option options[] = {
    {.name = "tables",
     .type = WB_OPT_NODE,
     .offset = AT(tables),
     .flags = WB_OPT_TABLES,
     .brief = "old names to new names of tables",
     .detail = "Exact names at this step, schema.table or table; the new name may have a schema of its own.",
     .example = "{public.users: crm.people}"},
    {.name = "columns",
     .type = WB_OPT_NODE,
     .offset = AT(columns),
     .flags = WB_OPT_COLUMNS,
     .brief = "old names to new names of columns",
     .detail = "schema.table.column or table.column, with the table's old name.",
     .example = "{public.users.mail: email}"},
    {0},
};
#undef AT

extern const wb_transform wb_transform_rename;
const wb_transform wb_transform_rename = {
    .head = {.kind = WB_TRANSFORM,
             .name = "rename",
             .brief = "gives tables and columns other names",
             .options = options,
             .ctx_size = sizeof(rename_ctx)},
    .open = rename_open,
    .apply = rename_apply,
    .close = rename_close,
    .keeps = true,
};

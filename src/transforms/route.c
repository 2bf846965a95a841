/* route.c: the transform that says where changes of a table go: a text that targets with several destinations
 * (files, topics) use. It is made once a table version. */
#include "base/options.h"
#include "base/patterns.h"
#include "base/template.h"
#include "transforms/memo.h"

typedef struct route_ctx {
    wb_list tables; /* options */
    const char *to;

    const char *pipeline;
    wb_arena arena; /* open to close */
    bool opened;
    wb_patterns *patterns;
    wb_template *template;
    wb_memo memo;
} route_ctx;

static wb_code make_table(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    const route_ctx *r = ctx;
    if (!wb_patterns_match(r->patterns, in->schema, in->name)) {
        made->out = wb_table_ref(in);
        return WB_OK;
    }
    wb_out route = {0};
    wb_table proto = *in;
    wb_code code = WB_OK;
    wb_words words = {.of[WB_WORD_NAME] = wb_str_of(r->pipeline ? r->pipeline : "")};
    wb_words_fill_table(&words, in);
    wb_template_put(r->template, &words, &route);
    proto.route = (wb_str){route.p, route.len};
    made->out = route.failed ? NULL : wb_table_new(&proto);
    if (!made->out) code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform route.");
    wb_out_fini(&route);
    return code;
}

static void route_close(void *ctx)
{
    route_ctx *r = ctx;
    if (!r->opened) return;
    wb_memo_fini(&r->memo);
    wb_arena_fini(&r->arena);
    r->opened = false;
}

static wb_code route_open(void *ctx, wb_error *err)
{
    route_ctx *r = ctx;
    route_close(r);
    wb_arena_init(&r->arena, 1024, 0);
    r->opened = true;
    wb_code code = wb_patterns_new(&r->tables, &r->arena, &r->patterns, err);
    if (!code && wb_patterns_parts(r->patterns) > 2)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "route: a table pattern is \"table\" or \"schema.table\".");
    if (!code && !r->to[0]) code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "route: \"to\" is empty.");
    if (!code)
        code = wb_template_new(r->to, WB_WORDS_OF_TABLE | WB_WORD_BIT(WB_WORD_NAME), "route: \"to\"", &r->arena,
                               &r->template, err);
    if (code) route_close(r);
    return code;
}

static wb_code route_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    route_ctx *r = ctx;
    WB_UNUSED(txns);
    return wb_retable(&r->memo, make_table, NULL, r, b, changes, n, err);
}

static void route_named(void *ctx, const char *pipeline) { ((route_ctx *)ctx)->pipeline = pipeline; }

#define AT(field) offsetof(route_ctx, field)
static const wb_option options[] = {
    {.name = "tables",
     .type = WB_OPT_LIST,
     .offset = AT(tables),
     .flags = WB_OPT_TABLES,
     .brief = "only these tables; default: all",
     .detail = "Patterns on the names at this step. Of several route steps the last one that matches decides.",
     .example = "[public.orders*]"},
    {.name = "to",
     .type = WB_OPT_STRING,
     .offset = AT(to),
     .flags = WB_OPT_REQUIRED,
     .brief = "the destination, with words such as ${table}",
     .detail = "Words: ${schema}, ${table}, ${source_schema}, ${source_table}, ${name} (the pipeline's).",
     .example = "\"${schema}_${table}\""},
    {0},
};
#undef AT

extern const wb_transform wb_transform_route;
const wb_transform wb_transform_route = {
    .head = {.kind = WB_TRANSFORM,
             .name = "route",
             .brief = "names the destination of a table's changes",
             .options = options,
             .ctx_size = sizeof(route_ctx)},
    .open = route_open,
    .apply = route_apply,
    .close = route_close,
    .keeps = true,
    .named = route_named,
};

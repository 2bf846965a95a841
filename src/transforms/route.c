/* route.c: the transform that says where changes of a table go: a text that targets with several destinations
 * (files, topics) use. It is made once a table version. */
#include "base/options.h"
#include "base/patterns.h"
#include "transforms/memo.h"

typedef struct route_ctx {
    wb_list tables; /* options */
    const char *to;

    const char *pipeline;
    wb_arena arena; /* open to close */
    bool opened;
    wb_patterns *patterns;
    wb_memo memo;
} route_ctx;

static const char *const words[] = {"schema", "table", "source_schema", "source_table", "name", NULL};

static wb_str word_value(const route_ctx *r, const wb_table *t, size_t i)
{
    switch (i) {
    case 0: return t->schema;
    case 1: return t->name;
    case 2: return t->source_schema;
    case 3: return t->source_name;
    default: return wb_str_of(r->pipeline ? r->pipeline : "");
    }
}

static wb_code bad_word(const char *p, size_t n, wb_error *err)
{
    char word[64];
    n = WB_MIN(n, sizeof word - 1);
    memcpy(word, p, n);
    word[n] = 0;
    wb_code code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "route: there is no word ${%s}.", word);
    const char *near = wb_nearest(word, words);
    if (near) wb_hint(err, "Did you mean ${%s}?", near);
    wb_hint(err, "The words are ${schema}, ${table}, ${source_schema}, ${source_table} and ${name}.");
    return code;
}

/* t NULL: only look whether the template is right. */
static wb_code expand(const route_ctx *r, const wb_table *t, wb_out *out, wb_error *err)
{
    for (const char *p = r->to; *p;) {
        if (p[0] != '$' || p[1] != '{') {
            wb_out_byte(out, *p++);
            continue;
        }
        const char *end = strchr(p, '}');
        if (!end) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "route: a ${ in \"to\" is never closed with }.");
        size_t i = 0, n = (size_t)(end - p - 2);
        while (words[i] && !(strlen(words[i]) == n && memcmp(words[i], p + 2, n) == 0)) i++;
        if (!words[i]) return bad_word(p + 2, n, err);
        if (t) wb_out_str(out, word_value(r, t, i));
        p = end + 1;
    }
    return WB_OK;
}

static wb_code make_table(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    const route_ctx *r = ctx;
    if (!wb_patterns_match(r->patterns, in->schema, in->name)) {
        made->out = wb_table_ref(in);
        return WB_OK;
    }
    wb_out route = {0};
    wb_table proto = *in;
    wb_code code = expand(r, in, &route, err);
    if (!code) {
        proto.route = (wb_str){route.p, route.len};
        made->out = route.failed ? NULL : wb_table_new(&proto);
        if (!made->out) code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform route.");
    }
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
    wb_out none = {0};
    wb_code code = wb_patterns_new(&r->tables, &r->arena, &r->patterns, err);
    if (!code && wb_patterns_parts(r->patterns) > 2)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "route: a table pattern is \"table\" or \"schema.table\".");
    if (!code && !r->to[0]) code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "route: \"to\" is empty.");
    if (!code) code = expand(r, NULL, &none, err);
    wb_out_fini(&none);
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
    .named = route_named,
};

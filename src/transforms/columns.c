/* columns.c: the transform that leaves columns out. Key columns stay: without them rows could not be told apart. */
#include "base/options.h"
#include "base/patterns.h"
#include "transforms/memo.h"

typedef struct columns_ctx {
    wb_list keep, drop; /* options */

    wb_arena arena; /* open to close */
    bool opened;
    wb_patterns *keep_patterns, *drop_patterns;
    wb_memo memo;
} columns_ctx;

typedef struct columns_plan { /* which of the old columns are left, in their order */
    uint32_t n;
    bool all;
    uint16_t from[];
} columns_plan;

static bool stays(const columns_ctx *x, const wb_table *t, const wb_column *c)
{
    if (c->flags & WB_COL_KEY) return true;
    if (x->keep.n && !wb_patterns_match_column(x->keep_patterns, t->schema, t->name, c->name)) return false;
    return !x->drop.n || !wb_patterns_match_column(x->drop_patterns, t->schema, t->name, c->name);
}

/* A table of which "keep" names no column at all is not meant. */
static bool concerns(const columns_ctx *x, const wb_table *t)
{
    if (!x->keep.n) return true;
    for (uint32_t i = 0; i < t->ncols; i++)
        if (wb_patterns_match_column(x->keep_patterns, t->schema, t->name, t->cols[i].name)) return true;
    return false;
}

static wb_code refuse_key(const columns_ctx *x, const wb_table *t, wb_error *err)
{
    for (uint32_t i = 0; i < t->ncols; i++) {
        const wb_column *c = &t->cols[i];
        if (!(c->flags & WB_COL_KEY) || !x->drop.n) continue;
        if (!wb_patterns_match_column(x->drop_patterns, t->schema, t->name, c->name)) continue;
        wb_code code =
            wb_fail(err, WB_E_CONFIG, WB_NEVER, "columns: %s.%s.%s is part of the key and cannot be dropped.",
                    t->schema.ptr, t->name.ptr, c->name.ptr);
        wb_hint(err, "Leave it out of \"drop\" with a pattern such as \"!%s.%s\", or mask it with sha256.", t->name.ptr,
                c->name.ptr);
        return code;
    }
    return WB_OK;
}

static wb_code shrink(const wb_table *in, columns_plan *plan, wb_made *made, wb_error *err)
{
    wb_table proto;
    wb_column *cols;
    wb_code code = wb_table_draft(in, 0, &proto, &cols, err);
    if (code) return code;
    uint16_t *key = malloc((in->nkey + 1) * sizeof *key);
    if (!key) {
        free(cols);
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform columns.");
    }
    for (uint32_t to = 0; to < plan->n; to++) {
        cols[to] = in->cols[plan->from[to]];
        for (uint32_t k = 0; k < in->nkey; k++)
            if (in->key[k] == plan->from[to]) key[k] = (uint16_t)to;
    }
    proto.ncols = plan->n;
    proto.key = key;
    code = wb_table_from_draft(&proto, cols, &made->out, err);
    free(key);
    return code;
}

static wb_code make_plan(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    const columns_ctx *x = ctx;
    columns_plan *plan = calloc(1, sizeof *plan + in->ncols * sizeof(uint16_t));
    made->plan = plan;
    if (!plan) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform columns.");
    wb_code code = refuse_key(x, in, err);
    if (code) return code;
    bool meant = concerns(x, in);
    for (uint32_t i = 0; i < in->ncols; i++) {
        bool key = false;
        for (uint32_t k = 0; k < in->nkey; k++) key |= in->key[k] == i;
        if (key || !meant || stays(x, in, &in->cols[i])) plan->from[plan->n++] = (uint16_t)i;
    }
    plan->all = plan->n == in->ncols;
    if (!plan->all) return shrink(in, plan, made, err);
    made->out = wb_table_ref(in);
    return WB_OK;
}

/* Moves what is left to the front of the same memory. */
static void shrink_row(const columns_plan *plan, const wb_value *row)
{
    wb_value *v = wb_values_mut(row);
    for (uint32_t to = 0; to < plan->n; to++) v[to] = v[plan->from[to]];
}

static wb_code shrink_change(void *ctx, const void *known, wb_batch *b, wb_change *c, wb_error *err)
{
    const columns_plan *plan = known;
    WB_UNUSED(ctx);
    WB_UNUSED(b);
    WB_UNUSED(err);
    if (plan->all) return WB_OK;
    if (c->after) shrink_row(plan, c->after);
    if (c->before && c->before != c->after) shrink_row(plan, c->before);
    return WB_OK;
}

static wb_code columns_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    columns_ctx *x = ctx;
    WB_UNUSED(txns);
    return wb_retable(&x->memo, make_plan, shrink_change, x, b, changes, n, err);
}

static void columns_close(void *ctx)
{
    columns_ctx *x = ctx;
    if (!x->opened) return;
    wb_memo_fini(&x->memo);
    wb_arena_fini(&x->arena);
    x->opened = false;
}

static wb_code columns_open(void *ctx, wb_error *err)
{
    columns_ctx *x = ctx;
    columns_close(x);
    wb_arena_init(&x->arena, 1024, 0);
    x->opened = true;
    wb_code code = wb_patterns_new(&x->keep, &x->arena, &x->keep_patterns, err);
    if (!code) code = wb_patterns_new(&x->drop, &x->arena, &x->drop_patterns, err);
    if (!code && !x->keep.n && !x->drop.n) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "This step says nothing about columns.");
        wb_hint(err, "Give it \"keep\" or \"drop\".");
    }
    if (code) columns_close(x);
    return code;
}

#define AT(field) offsetof(columns_ctx, field)
static const wb_option options[] = {
    {.name = "keep",
     .type = WB_OPT_LIST,
     .offset = AT(keep),
     .flags = WB_OPT_COLUMNS,
     .brief = "keep only these columns",
     .detail = "Patterns column, table.column or schema.table.column, on the names at this step. Key columns stay in "
               "any case; a table of which no column is named stays whole.",
     .example = "[public.users.name, public.users.city]"},
    {.name = "drop",
     .type = WB_OPT_LIST,
     .offset = AT(drop),
     .flags = WB_OPT_COLUMNS,
     .brief = "leave these columns out",
     .detail = "Key columns cannot be left out.",
     .example = "[\"*.password\", public.users.notes]"},
    {0},
};
#undef AT

extern const wb_transform wb_transform_columns;
const wb_transform wb_transform_columns = {
    .head = {.kind = WB_TRANSFORM,
             .name = "columns",
             .brief = "leaves columns out",
             .options = options,
             .ctx_size = sizeof(columns_ctx)},
    .open = columns_open,
    .apply = columns_apply,
    .close = columns_close,
    .keeps = true,
};

/* filter.c: the transform that drops changes: by table, by operation, by a predicate on a column.
 * Dropping is targets = 0; the ordinals of the others stay as they were.
 * When in doubt a change is kept: a column that the change does not carry, or the table does not have, decides nothing.
 */
#include "base/options.h"
#include "base/patterns.h"
#include "transforms/memo.h"
#include "transforms/operations.h"
#include "transforms/value.h"

typedef enum where_op {
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
    OP_NULL,
    OP_NOT_NULL,
    OP_LIKE,
    OP_NOT_LIKE
} where_op;
static const struct {
    const char *word;
    where_op op;
} op_words[] = {{"=", OP_EQ},         {"==", OP_EQ},
                {"!=", OP_NE},        {"<>", OP_NE},
                {"<", OP_LT},         {"<=", OP_LE},
                {">", OP_GT},         {">=", OP_GE},
                {"in", OP_IN},        {"not_in", OP_NOT_IN},
                {"is_null", OP_NULL}, {"not_null", OP_NOT_NULL},
                {"like", OP_LIKE},    {"not_like", OP_NOT_LIKE}};

typedef struct condition { /* one {column, op, value} */
    const wb_node *node;
    const char *column;
    where_op op;
    size_t nvalues;
    wb_str *values, *lower;
} condition;

typedef struct filter_ctx {
    wb_list tables, scope, operations; /* options */
    const wb_node *where;

    wb_arena arena; /* open to close */
    bool opened;
    wb_patterns *table_patterns, *scope_patterns;
    uint32_t mask;
    size_t nconditions;
    condition *conditions;
    wb_memo memo;
} filter_ctx;

/* What is known of one table: a head, then a test a condition, then all literals. */
typedef struct test {
    int column; /* -1: the table has no such column */
    const wb_literal *literals;
} test;
typedef struct filter_plan {
    bool out_of_scope, refused;
    test tests[];
} filter_plan;

/* ---------------------------------------------------------------- reading the options */

static wb_code no_memory(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform filter.");
}

static wb_code read_op(const wb_node *n, condition *c, wb_error *err)
{
    const wb_node *op = wb_node_get(n, "op");
    const char *words[WB_COUNT(op_words) + 1] = {0};
    if (wb_node_null(op) || op->kind != WB_NODE_SCALAR) return wb_node_fail(n, err, "This condition has no \"op\".");
    for (size_t i = 0; i < WB_COUNT(op_words); i++) {
        words[i] = op_words[i].word;
        if (strcmp(op->text, op_words[i].word) != 0) continue;
        c->op = op_words[i].op;
        return WB_OK;
    }
    wb_code code = wb_node_fail(op, err, "There is no op \"%.40s\".", op->text);
    const char *near = wb_nearest(op->text, words);
    if (near && strlen(op->text) > 2) wb_hint(err, "Did you mean \"%s\"?", near);
    wb_hint(err, "The ops are =, !=, <, <=, >, >=, in, not_in, is_null, not_null, like and not_like.");
    return code;
}

static wb_code add_value(filter_ctx *f, condition *c, const wb_node *v, wb_error *err)
{
    if (v->kind != WB_NODE_SCALAR) return wb_node_fail(v, err, "A value to compare with is plain text or a number.");
    if (wb_node_null(v)) {
        wb_code code = wb_node_fail(v, err, "Nothing compares with null.");
        wb_hint(err, "Write \"op: is_null\" or \"op: not_null\", without a value.");
        return code;
    }
    size_t len = strlen(v->text);
    char *text = wb_arena_strndup(&f->arena, v->text, len), *lower = wb_arena_strndup(&f->arena, v->text, len);
    if (f->arena.failed) return no_memory(err);
    for (char *p = lower; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    c->values[c->nvalues] = (wb_str){text, len};
    c->lower[c->nvalues++] = (wb_str){lower, len};
    return WB_OK;
}

static wb_code read_values(filter_ctx *f, const wb_node *n, condition *c, wb_error *err)
{
    const wb_node *v = wb_node_get(n, "value");
    bool none = c->op == OP_NULL || c->op == OP_NOT_NULL, many = c->op == OP_IN || c->op == OP_NOT_IN;
    if (none) return v ? wb_node_fail(v, err, "is_null and not_null take no value.") : WB_OK;
    if (!v) return wb_node_fail(n, err, "This condition has no \"value\" to compare with.");
    if (many && v->kind != WB_NODE_LIST) return wb_node_fail(v, err, "in and not_in take a list: [a, b].");
    size_t count = many ? v->n : 1;
    if (count == 0) return wb_node_fail(v, err, "The list of values is empty.");
    c->values = wb_arena_alloc(&f->arena, count * sizeof *c->values);
    c->lower = wb_arena_alloc(&f->arena, count * sizeof *c->lower);
    if (f->arena.failed) return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        wb_code code = add_value(f, c, many ? v->items[i] : v, err);
        if (code) return code;
    }
    return WB_OK;
}

static wb_code read_condition(filter_ctx *f, const wb_node *n, condition *c, wb_error *err)
{
    static const char *const keys[] = {"column", "op", "value", NULL};
    if (n->kind != WB_NODE_MAP)
        return wb_node_fail(n, err, "A condition is a map: {column: ..., op: ..., value: ...}.");
    for (size_t i = 0; i < n->n; i++) {
        size_t k = 0;
        while (keys[k] && strcmp(keys[k], n->pairs[i].key) != 0) k++;
        if (keys[k]) continue;
        const wb_node here = {.line = n->pairs[i].line, .file = n->file};
        wb_code code = wb_node_fail(&here, err, "A condition has no key \"%.60s\".", n->pairs[i].key);
        const char *near = wb_nearest(n->pairs[i].key, keys);
        if (near) wb_hint(err, "Did you mean \"%s\"?", near);
        wb_hint(err, "Its keys are column, op and value.");
        return code;
    }
    const wb_node *column = wb_node_get(n, "column");
    if (wb_node_null(column) || column->kind != WB_NODE_SCALAR)
        return wb_node_fail(n, err, "This condition has no \"column\".");
    *c = (condition){.node = n, .column = wb_arena_strdup(&f->arena, column->text)};
    wb_code code = read_op(n, c, err);
    return code ? code : read_values(f, n, c, err);
}

static wb_code read_where(filter_ctx *f, wb_error *err)
{
    const wb_node *w = f->where;
    if (wb_node_null(w)) return WB_OK;
    bool many = w->kind == WB_NODE_LIST;
    size_t count = many ? w->n : 1;
    f->conditions = wb_arena_alloc(&f->arena, count * sizeof *f->conditions + 1);
    if (f->arena.failed) return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        wb_code code = read_condition(f, many ? w->items[i] : w, &f->conditions[i], err);
        if (code) return code;
        f->nconditions++;
    }
    return WB_OK;
}

static void filter_close(void *ctx)
{
    filter_ctx *f = ctx;
    if (!f->opened) return;
    wb_memo_fini(&f->memo);
    wb_arena_fini(&f->arena);
    f->nconditions = 0;
    f->opened = false;
}

static wb_code table_patterns(wb_arena *a, const wb_list *list, const char *key, wb_patterns **out, wb_error *err)
{
    wb_code code = wb_patterns_new(list, a, out, err);
    if (!code && wb_patterns_parts(*out) > 2)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER,
                       "\"%s\" of filter: a table pattern is \"table\" or \"schema.table\".", key);
    return code;
}

static wb_code filter_open(void *ctx, wb_error *err)
{
    filter_ctx *f = ctx;
    filter_close(f);
    wb_arena_init(&f->arena, 4096, 0);
    f->opened = true;
    wb_code code = table_patterns(&f->arena, &f->tables, "tables", &f->table_patterns, err);
    if (!code) code = table_patterns(&f->arena, &f->scope, "for", &f->scope_patterns, err);
    if (!code) code = wb_operations_parse(&f->operations, &f->mask, err);
    if (!code) code = read_where(f, err);
    if (!code && !f->tables.n && !f->operations.n && !f->nconditions) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "This filter says nothing about what to keep.");
        wb_hint(err, "Give it \"tables\", \"operations\" or \"where\".");
    }
    if (code) filter_close(f);
    return code;
}

/* ---------------------------------------------------------------- one table */

static wb_code make_literal(const condition *c, size_t i, const wb_table *t, int column, wb_literal *out, wb_error *err)
{
    const wb_column *col = &t->cols[column];
    const char *want = "";
    bool text = c->op == OP_LIKE || c->op == OP_NOT_LIKE;
    if (wb_literal_make(c->values[i], c->lower[i], text ? WB_TEXT : (wb_kind)col->kind, out, &want)) return WB_OK;
    return wb_node_fail(c->node, err, "filter: column %s.%s.%s is %s, and \"%.60s\" is not %s.", t->schema.ptr,
                        t->name.ptr, col->name.ptr, col->type.ptr, c->values[i].ptr, want);
}

static int find_column(const wb_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->ncols; i++)
        if (wb_str_is(t->cols[i].name, name)) return (int)i;
    return -1;
}

static wb_code make_plan(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    filter_ctx *f = ctx;
    size_t nliterals = 0, k = 0;
    for (size_t i = 0; i < f->nconditions; i++) nliterals += f->conditions[i].nvalues;
    filter_plan *plan = calloc(1, sizeof *plan + f->nconditions * sizeof(test) + nliterals * sizeof(wb_literal));
    if (!plan) return no_memory(err);
    made->plan = plan;
    plan->out_of_scope = !wb_patterns_match(f->scope_patterns, in->schema, in->name);
    plan->refused = !wb_patterns_match_named(f->table_patterns, in->schema, in->name);
    wb_literal *literals = (wb_literal *)(void *)&plan->tests[f->nconditions];
    bool looked_at = !plan->out_of_scope && !plan->refused;
    for (size_t i = 0; i < f->nconditions && looked_at; i++) {
        const condition *c = &f->conditions[i];
        plan->tests[i] = (test){.column = find_column(in, c->column), .literals = &literals[k]};
        for (size_t v = 0; v < c->nvalues && plan->tests[i].column >= 0; v++) {
            wb_code code = make_literal(c, v, in, plan->tests[i].column, &literals[k++], err);
            if (code) return code;
        }
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- one change */

static bool known(const wb_value *v) { return v && v->kind != WB_ABSENT && v->kind != WB_UNCHANGED; }

/* NULL is a value that differs from every other: != and not_in keep it, the rest does not. */
static bool null_passes(where_op op) { return op == OP_NULL || op == OP_NE || op == OP_NOT_IN || op == OP_NOT_LIKE; }

static bool in_list(const condition *c, const test *t, const wb_value *v, bool *told)
{
    int order;
    *told = true;
    for (size_t i = 0; i < c->nvalues; i++) {
        if (!wb_literal_compare(v, &t->literals[i], &order))
            *told = false;
        else if (order == 0)
            return true;
    }
    return false;
}

static bool value_passes(const condition *c, const test *t, const wb_value *v)
{
    char buf[WB_VALUE_TEXT];
    int order = 0;
    bool told, found;
    if (v->kind == WB_NULL) return null_passes(c->op);
    switch (c->op) {
    case OP_NULL: return false;
    case OP_NOT_NULL: return true;
    case OP_LIKE: return wb_like(wb_value_text(v, buf), t->literals->text);
    case OP_NOT_LIKE: return !wb_like(wb_value_text(v, buf), t->literals->text);
    case OP_IN:
    case OP_NOT_IN: found = in_list(c, t, v, &told); return (!told && !found) || found == (c->op == OP_IN);
    default: break;
    }
    if (!wb_literal_compare(v, t->literals, &order)) return true;
    switch (c->op) {
    case OP_EQ: return order == 0;
    case OP_NE: return order != 0;
    case OP_LT: return order < 0;
    case OP_LE: return order <= 0;
    case OP_GT: return order > 0;
    default: return order >= 0;
    }
}

static bool row_passes(const filter_ctx *f, const filter_plan *plan, const wb_change *ch)
{
    for (size_t i = 0; i < f->nconditions; i++) {
        const test *t = &plan->tests[i];
        if (t->column < 0) continue;
        const wb_value *v = ch->after ? &ch->after[t->column] : NULL;
        if (!known(v) && ch->before) v = &ch->before[t->column]; /* DELETE; or unchanged, and the old row is there */
        if (known(v) && !value_passes(&f->conditions[i], t, v)) return false;
    }
    return true;
}

static wb_code filter_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    filter_ctx *f = ctx;
    const wb_table *last = NULL;
    const filter_plan *plan = NULL;
    WB_UNUSED(b);
    WB_UNUSED(txns);
    for (size_t i = 0; i < n; i++) {
        wb_change *c = &changes[i];
        if (!c->targets) continue;
        if (!c->table) { /* a logical message belongs to no table */
            if (!f->scope_patterns && !(f->mask & 1u << c->op)) c->targets = 0;
            continue;
        }
        if (c->table != last) {
            const wb_made *made;
            wb_code code = wb_memo_of(&f->memo, c->table, make_plan, f, &made, err);
            if (code) return code;
            plan = made->plan;
            last = c->table;
        }
        if (plan->out_of_scope) continue;
        bool row = c->after || c->before;
        if (plan->refused || !(f->mask & 1u << c->op) || (row && f->nconditions && !row_passes(f, plan, c)))
            c->targets = 0;
    }
    return WB_OK;
}

#define AT(field) offsetof(filter_ctx, field)
static const wb_option options[] = {
    {.name = "tables",
     .type = WB_OPT_LIST,
     .offset = AT(tables),
     .flags = WB_OPT_TABLES,
     .brief = "keep only these tables",
     .detail = "Patterns; ! takes away; the last one that matches decides.",
     .example = "[public.*, \"!public.audit_*\"]"},
    {.name = "operations",
     .type = WB_OPT_LIST,
     .offset = AT(operations),
     .brief = "keep only these operations",
     .detail = "insert (rows of a snapshot too), update, delete, truncate, ddl, message.",
     .example = "[insert, update, delete]"},
    {.name = "where",
     .type = WB_OPT_NODE,
     .offset = AT(where),
     .flags = WB_OPT_COLUMNS,
     .brief = "keep only rows that fulfil this",
     .detail = "One condition or a list that must all hold: column, op, value. op: = != < <= > >= in not_in is_null "
               "not_null like not_like. The new row is looked at, for a DELETE the old one. A change that does not "
               "carry the column, and a table without it, are kept. NULL differs from every value: != and not_in "
               "keep it.",
     .example = "{column: status, op: in, value: [open, paid]}"},
    {.name = "for",
     .type = WB_OPT_LIST,
     .offset = AT(scope),
     .flags = WB_OPT_TABLES,
     .brief = "leave all other tables alone",
     .detail = "Only changes of these tables are looked at; every other one passes.",
     .example = "[public.orders]"},
    {0},
};
#undef AT

extern const wb_transform wb_transform_filter;
const wb_transform wb_transform_filter = {
    .head = {.kind = WB_TRANSFORM,
             .name = "filter",
             .brief = "drops changes by table, operation or a condition on a column",
             .options = options,
             .ctx_size = sizeof(filter_ctx)},
    .open = filter_open,
    .apply = filter_apply,
    .close = filter_close,
};

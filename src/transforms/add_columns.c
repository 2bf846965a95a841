/* add_columns.c: the transform that adds columns about the change itself: when, what, where from, and constants.
 * They stand in the new row; of a DELETE in the old row, its only one; the old row of an UPDATE has them absent. */
#include "base/options.h"
#include "transforms/memo.h"
#include "transforms/operations.h"

typedef enum added {
    ADD_SECONDS,
    ADD_MICROS,
    ADD_ISO,
    ADD_OPERATION,
    ADD_PIPELINE,
    ADD_POSITION,
    ADD_TRANSACTION,
    ADD_CONSTANT
} added;

typedef struct addition {
    added what;
    wb_column column;
    wb_value value; /* ADD_PIPELINE, ADD_CONSTANT: ready */
} addition;

typedef struct add_ctx {
    const wb_node *columns; /* option: names to what they hold */

    const char *pipeline;
    wb_arena arena; /* open to close */
    bool opened;
    size_t n;
    addition *all;
    wb_memo memo;
    const wb_txn *txns; /* of the batch, inside apply */
} add_ctx;

enum { PG_BOOL = 16, PG_INT8 = 20, PG_TEXT = 25, PG_NUMERIC = 1700, PG_TIMESTAMPTZ = 1184 };

/* What a column can hold beside a constant. */
static const struct {
    const char *word;
    added what;
    wb_kind kind;
    const char *type;
    uint32_t oid;
} words[] =
    {
        {"event_timestamp", ADD_SECONDS, WB_INT, "bigint", PG_INT8},
        {"operation", ADD_OPERATION, WB_TEXT, "text", PG_TEXT},
        {"pipeline", ADD_PIPELINE, WB_TEXT, "text", PG_TEXT},
        {"position", ADD_POSITION, WB_INT, "bigint", PG_INT8},
        {"transaction", ADD_TRANSACTION, WB_TEXT, "text", PG_TEXT},
},
  clocks[] = {
      {"seconds", ADD_SECONDS, WB_INT, "bigint", PG_INT8},
      {"us", ADD_MICROS, WB_INT, "bigint", PG_INT8},
      {"micros", ADD_MICROS, WB_INT, "bigint", PG_INT8},
      {"iso", ADD_ISO, WB_TIMESTAMPTZ, "timestamp with time zone", PG_TIMESTAMPTZ},
};

static wb_value text_value(wb_kind kind, const char *z)
{
    return (wb_value){.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = (uint32_t)strlen(z), .as.ptr = z};
}

static void add(add_ctx *x, added what, const char *name, wb_kind kind, const char *type, uint32_t oid, wb_value value)
{
    wb_str z = wb_str_of(name);
    x->all[x->n++] = (addition){
        .what = what,
        .value = value,
        .column = {.name = z,
                   .source_name = z,
                   .type = wb_str_of(type),
                   .type_id = oid,
                   .type_mod = -1,
                   .kind = (uint8_t)kind,
                   .flags = WB_COL_ADDED},
    };
}

/* ---------------------------------------------------------------- constants: YAML's own idea of their kind */

static bool is_number(const char *z, bool *whole)
{
    size_t digits = 0, dots = 0;
    if (*z == '-') z++;
    for (; *z; z++) {
        if (*z == '.')
            dots++;
        else if (*z >= '0' && *z <= '9')
            digits++;
        else
            return false;
    }
    *whole = dots == 0 && digits <= 18;
    return digits > 0 && dots <= 1;
}

static void add_constant(add_ctx *x, const char *name, const wb_node *n)
{
    const char *z = n->text;
    bool whole = false, plain = !n->quoted && !n->secret;
    if (plain && wb_node_null(n))
        add(x, ADD_CONSTANT, name, WB_TEXT, "text", PG_TEXT, (wb_value){.kind = WB_NULL});
    else if (plain && (strcmp(z, "true") == 0 || strcmp(z, "false") == 0))
        add(x, ADD_CONSTANT, name, WB_BOOL, "boolean", PG_BOOL, (wb_value){.kind = WB_BOOL, .as.i = z[0] == 't'});
    else if (plain && is_number(z, &whole) && whole)
        add(x, ADD_CONSTANT, name, WB_INT, "bigint", PG_INT8,
            (wb_value){.kind = WB_INT, .as.i = strtoll(z, NULL, 10)}); /* at most 18 digits: it fits */
    else if (plain && is_number(z, &whole))
        add(x, ADD_CONSTANT, name, WB_DECIMAL, "numeric", PG_NUMERIC, text_value(WB_DECIMAL, z));
    else
        add(x, ADD_CONSTANT, name, WB_TEXT, "text", PG_TEXT, text_value(WB_TEXT, z));
}

/* ---------------------------------------------------------------- reading the option */

static wb_code unknown_word(const wb_node *n, bool clock, wb_error *err)
{
    const char *names[WB_COUNT(words) + 2] = {0};
    size_t count = clock ? WB_COUNT(clocks) : WB_COUNT(words);
    for (size_t i = 0; i < count; i++) names[i] = clock ? clocks[i].word : words[i].word;
    if (n->kind != WB_NODE_SCALAR || wb_node_null(n))
        return wb_node_fail(n, err, "add_columns: %s is missing here.",
                            clock ? "seconds, us or iso" : "what the column holds");
    wb_code code = wb_node_fail(n, err, "add_columns: there is no %s \"%.60s\".",
                                clock ? "way to write the time" : "column content", n->secret ? "***" : n->text);
    const char *near = n->secret ? NULL : wb_nearest(n->text, names);
    if (near) wb_hint(err, "Did you mean \"%s\"?", near);
    if (clock)
        wb_hint(err, "The ways are seconds, us (microseconds) and iso.");
    else
        wb_hint(err, "There are event_timestamp, operation, pipeline, position and transaction; a constant is "
                     "written {value: ...}.");
    return code;
}

static wb_code add_word(add_ctx *x, const char *name, const wb_node *n, bool clock, wb_error *err)
{
    size_t count = clock ? WB_COUNT(clocks) : WB_COUNT(words);
    for (size_t i = 0; i < count && n->kind == WB_NODE_SCALAR; i++) {
        bool found = strcmp(n->text, clock ? clocks[i].word : words[i].word) == 0;
        if (!found) continue;
        added what = clock ? clocks[i].what : words[i].what;
        wb_value ready = {0};
        if (what == ADD_PIPELINE) ready = text_value(WB_TEXT, x->pipeline ? x->pipeline : "");
        if (clock)
            add(x, what, name, clocks[i].kind, clocks[i].type, clocks[i].oid, ready);
        else
            add(x, what, name, words[i].kind, words[i].type, words[i].oid, ready);
        return WB_OK;
    }
    return unknown_word(n, clock, err);
}

/* NAME: operation, NAME: {event_timestamp: us}, NAME: {value: eu} */
static wb_code add_one(add_ctx *x, const wb_pair *p, wb_error *err)
{
    static const char *const keys[] = {"event_timestamp", "value", NULL};
    const wb_node *n = p->value;
    const wb_node here = {.line = p->line, .file = x->columns->file};
    if (!p->key[0]) return wb_node_fail(&here, err, "add_columns: a name is empty.");
    if (n->kind != WB_NODE_MAP) return add_word(x, p->key, n, false, err);
    if (n->n == 1 && strcmp(n->pairs[0].key, "event_timestamp") == 0)
        return add_word(x, p->key, n->pairs[0].value, true, err);
    if (n->n == 1 && strcmp(n->pairs[0].key, "value") == 0) {
        if (n->pairs[0].value->kind != WB_NODE_SCALAR)
            return wb_node_fail(n->pairs[0].value, err, "add_columns: a constant is one plain value.");
        add_constant(x, p->key, n->pairs[0].value);
        return WB_OK;
    }
    wb_code code =
        wb_node_fail(n, err, "add_columns: \"%.60s\" is {value: ...}, {event_timestamp: ...} or one word.", p->key);
    const char *near = n->n == 1 ? wb_nearest(n->pairs[0].key, keys) : NULL;
    if (near) wb_hint(err, "Did you mean \"%s\"?", near);
    return code;
}

static void add_close(void *ctx)
{
    add_ctx *x = ctx;
    if (!x->opened) return;
    wb_memo_fini(&x->memo);
    wb_arena_fini(&x->arena);
    x->n = 0;
    x->opened = false;
}

static wb_code add_open(void *ctx, wb_error *err)
{
    add_ctx *x = ctx;
    add_close(x);
    if (x->columns->kind != WB_NODE_MAP || !x->columns->n) {
        wb_code code = wb_node_fail(x->columns, err, "add_columns: \"columns\" is a map of names to what they hold.");
        wb_hint(err, "Write for example {changed_at: event_timestamp}.");
        return code;
    }
    wb_arena_init(&x->arena, 1024, 0);
    x->opened = true;
    x->all = wb_arena_alloc(&x->arena, x->columns->n * sizeof *x->all);
    wb_code code = WB_OK;
    if (x->arena.failed) code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for transform add_columns.");
    for (size_t i = 0; !code && i < x->columns->n; i++) code = add_one(x, &x->columns->pairs[i], err);
    if (code) add_close(x);
    return code;
}

/* ---------------------------------------------------------------- one table, one change */

static wb_code make_table(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    const add_ctx *x = ctx;
    wb_table proto;
    wb_column *cols;
    if (in->ncols + x->n > UINT16_MAX) return wb_fail(err, WB_E_LIMIT, WB_NEVER, "add_columns: too many columns.");
    for (uint32_t i = 0; i < in->ncols; i++)
        for (size_t k = 0; k < x->n; k++)
            if (wb_str_eq(in->cols[i].name, x->all[k].column.name)) {
                wb_code code =
                    wb_fail(err, WB_E_CONFIG, WB_NEVER, "add_columns: table %s.%s already has a column \"%.60s\".",
                            in->schema.ptr, in->name.ptr, in->cols[i].name.ptr);
                wb_hint(err, "Choose another name for the added column.");
                return code;
            }
    wb_code code = wb_table_draft(in, x->n, &proto, &cols, err);
    if (code) return code;
    for (size_t k = 0; k < x->n; k++) cols[proto.ncols++] = x->all[k].column;
    return wb_table_from_draft(&proto, cols, &made->out, err);
}

static wb_value value_of(const addition *a, const wb_change *c, const wb_txn *t)
{
    int64_t us = t->commit_us;
    switch (a->what) {
    case ADD_SECONDS: return (wb_value){.kind = WB_INT, .as.i = us / 1000000 - (us % 1000000 < 0)};
    case ADD_MICROS: return (wb_value){.kind = WB_INT, .as.i = us};
    case ADD_ISO: return (wb_value){.kind = WB_TIMESTAMPTZ, .as.i = us};
    case ADD_OPERATION: return text_value(WB_TEXT, wb_operation_word((wb_op)c->op));
    case ADD_POSITION: return (wb_value){.kind = WB_INT, .as.i = (int64_t)c->place};
    case ADD_TRANSACTION:
        if (!t->id.len) return (wb_value){.kind = WB_NULL};
        return (wb_value){.kind = WB_TEXT, .flags = WB_V_TEXT, .len = (uint32_t)t->id.len, .as.ptr = t->id.ptr};
    case ADD_PIPELINE:
    case ADD_CONSTANT: break;
    }
    return a->value;
}

/* A longer copy; t NULL: the added ones stay absent. */
static const wb_value *longer(const add_ctx *x, wb_batch *b, const wb_value *row, const wb_change *c, const wb_txn *t)
{
    size_t n = c->table->ncols;
    wb_value *v = wb_batch_values(b, n + x->n);
    if (!v || wb_batch_failed(b)) return row;
    if (n) memcpy(v, row, n * sizeof *v);
    for (size_t k = 0; t && k < x->n; k++) v[n + k] = value_of(&x->all[k], c, t);
    return v;
}

static wb_code add_to_change(void *ctx, const void *plan, wb_batch *b, wb_change *c, wb_error *err)
{
    const add_ctx *x = ctx;
    const wb_txn *t = &x->txns[c->txn];
    bool only_old = !c->after;
    WB_UNUSED(plan);
    WB_UNUSED(err);
    if (c->after) c->after = longer(x, b, c->after, c, t);
    if (c->before) c->before = longer(x, b, c->before, c, only_old ? t : NULL);
    return WB_OK;
}

static wb_code add_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    add_ctx *x = ctx;
    x->txns = txns;
    wb_code code = wb_retable(&x->memo, make_table, add_to_change, x, b, changes, n, err);
    if (code == WB_OK && wb_batch_failed(b)) /* rows were left short: none of them may be read */
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform add_columns.");
    return code;
}

static void add_named(void *ctx, const char *pipeline) { ((add_ctx *)ctx)->pipeline = pipeline; }

#define AT(field) offsetof(add_ctx, field)
static const wb_option options[] = {
    {.name = "columns",
     .type = WB_OPT_NODE,
     .offset = AT(columns),
     .flags = WB_OPT_REQUIRED,
     .brief = "names of new columns, and what they hold",
     .detail =
         "event_timestamp: the commit time in seconds since 1970 (of a snapshot: when it was taken), "
         "{event_timestamp: us} in microseconds, {event_timestamp: iso} as a timestamp; what merges and upserts order "
         "rows by. operation: INSERT, UPDATE, DELETE, READ. pipeline: its name. position: the place in the source's "
         "log (PostgreSQL: the LSN as a number). transaction: the source's transaction id. {value: eu}: a constant; "
         "in quotes it is text, else what it looks like: number, true, false, null.",
     .example = "{changed_at: {event_timestamp: us}, op: operation, region: {value: eu}}"},
    {0},
};
#undef AT

extern const wb_transform wb_transform_add_columns;
const wb_transform wb_transform_add_columns = {
    .head = {.kind = WB_TRANSFORM,
             .name = "add_columns",
             .brief = "adds columns: commit time, operation, position, constants",
             .options = options,
             .ctx_size = sizeof(add_ctx)},
    .open = add_open,
    .apply = add_apply,
    .close = add_close,
    .keeps = true,
    .named = add_named,
};

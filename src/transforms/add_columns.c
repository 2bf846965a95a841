/* add_columns.c: the transform that adds columns about the change itself: when, what, where from, and constants.
 * They stand in the new row; of a DELETE in the old row, its only one; the old row of an UPDATE has them absent. */
#include "base/options.h"
#include "transforms/memo.h"
#include "transforms/operations.h"

typedef enum clock_as { AS_SECONDS, AS_MICROS, AS_ISO } clock_as;
typedef enum added { ADD_CLOCK, ADD_OPERATION, ADD_PIPELINE, ADD_POSITION, ADD_TRANSACTION, ADD_CONSTANT } added;

typedef struct addition {
    added what;
    wb_column column;
    wb_value value; /* ADD_PIPELINE, ADD_CONSTANT: ready */
} addition;

typedef struct add_ctx {
    const char *clock, *operation, *pipeline_column, *position, *transaction; /* options: names of columns */
    int clock_as;
    const wb_node *constants;

    const char *pipeline;
    wb_arena arena; /* open to close */
    bool opened;
    size_t n;
    addition *all;
    wb_memo memo;
} add_ctx;

enum { PG_BOOL = 16, PG_INT8 = 20, PG_TEXT = 25, PG_NUMERIC = 1700, PG_TIMESTAMPTZ = 1184 };

static wb_value text_value(wb_kind kind, const char *z)
{
    return (wb_value){.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = (uint32_t)strlen(z), .as.ptr = z};
}

static void add(add_ctx *x, added what, const char *name, wb_kind kind, const char *type, uint32_t oid, wb_value value)
{
    if (!name) return;
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

static wb_code add_constants(add_ctx *x, wb_error *err)
{
    const wb_node *map = x->constants;
    if (wb_node_null(map)) return WB_OK;
    for (size_t i = 0; i < map->n; i++) {
        if (map->pairs[i].value->kind != WB_NODE_SCALAR)
            return wb_node_fail(map->pairs[i].value, err, "add_columns: a constant is one plain value.");
        add_constant(x, map->pairs[i].key, map->pairs[i].value);
    }
    return WB_OK;
}

static wb_code add_all(add_ctx *x, wb_error *err)
{
    const wb_value none = {0};
    bool iso = x->clock_as == AS_ISO;
    add(x, ADD_CLOCK, x->clock, iso ? WB_TIMESTAMPTZ : WB_INT, iso ? "timestamp with time zone" : "bigint",
        iso ? PG_TIMESTAMPTZ : PG_INT8, none);
    add(x, ADD_OPERATION, x->operation, WB_TEXT, "text", PG_TEXT, none);
    add(x, ADD_PIPELINE, x->pipeline_column, WB_TEXT, "text", PG_TEXT,
        text_value(WB_TEXT, x->pipeline ? x->pipeline : ""));
    add(x, ADD_POSITION, x->position, WB_INT, "bigint", PG_INT8, none);
    add(x, ADD_TRANSACTION, x->transaction, WB_TEXT, "text", PG_TEXT, none);
    wb_code code = add_constants(x, err);
    if (code) return code;
    if (!x->n) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "This add_columns adds nothing.");
        wb_hint(err, "Write for example {event_timestamp: changed_at}.");
        return code;
    }
    for (size_t i = 0; i < x->n; i++) {
        if (!x->all[i].column.name.len) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "add_columns: a name is empty.");
        for (size_t k = 0; k < i; k++)
            if (wb_str_eq(x->all[i].column.name, x->all[k].column.name))
                return wb_fail(err, WB_E_CONFIG, WB_NEVER, "add_columns: two columns have the name \"%.60s\".",
                               x->all[i].column.name.ptr);
    }
    return WB_OK;
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
    const wb_node *map = wb_node_null(x->constants) ? NULL : x->constants;
    if (map && map->kind != WB_NODE_MAP)
        return wb_node_fail(map, err, "add_columns: \"constants\" is a map: {name: value}.");
    wb_arena_init(&x->arena, 1024, 0);
    x->opened = true;
    x->all = wb_arena_alloc(&x->arena, (ADD_CONSTANT + (map ? map->n : 0)) * sizeof *x->all);
    wb_code code = x->arena.failed ? wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for transform add_columns.")
                                   : add_all(x, err);
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

static wb_value clock_value(const add_ctx *x, int64_t us)
{
    switch ((clock_as)x->clock_as) {
    case AS_SECONDS: return (wb_value){.kind = WB_INT, .as.i = us / 1000000 - (us % 1000000 < 0)};
    case AS_MICROS: return (wb_value){.kind = WB_INT, .as.i = us};
    case AS_ISO: break;
    }
    return (wb_value){.kind = WB_TIMESTAMPTZ, .as.i = us};
}

static wb_value value_of(const add_ctx *x, const addition *a, const wb_change *c, const wb_txn *t)
{
    switch (a->what) {
    case ADD_CLOCK: return clock_value(x, t->commit_us);
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
    for (size_t k = 0; t && k < x->n; k++) v[n + k] = value_of(x, &x->all[k], c, t);
    return v;
}

static wb_code add_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    add_ctx *x = ctx;
    const wb_table *last = NULL;
    const wb_made *made = NULL;
    for (size_t i = 0; i < n; i++) {
        wb_change *c = &changes[i];
        if (!c->targets || !c->table) continue;
        if (c->table != last) {
            wb_code code = wb_memo_of(&x->memo, c->table, make_table, x, &made, err);
            if (code) return code;
            last = c->table;
            wb_batch_table(b, made->out);
        }
        const wb_txn *t = &txns[c->txn];
        bool only_old = !c->after;
        if (c->after) c->after = longer(x, b, c->after, c, t);
        if (c->before) c->before = longer(x, b, c->before, c, only_old ? t : NULL);
        c->table = made->out;
    }
    if (wb_batch_failed(b)) /* rows were left short: none of them may be read */
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform add_columns.");
    return WB_OK;
}

static void add_named(void *ctx, const char *pipeline) { ((add_ctx *)ctx)->pipeline = pipeline; }

static const wb_choice clocks[] = {
    {"seconds", AS_SECONDS, "whole seconds since 1970, as the record format has them"},
    {"micros", AS_MICROS, "microseconds since 1970"},
    {"iso", AS_ISO, "a timestamp with time zone"},
    {0},
};

#define AT(field) offsetof(add_ctx, field)
static const wb_option options[] = {
    {.name = "event_timestamp",
     .type = WB_OPT_STRING,
     .offset = AT(clock),
     .brief = "column for the commit time",
     .detail = "What merges and upserts order rows by. Rows of a snapshot have the time it was taken.",
     .example = "changed_at"},
    {.name = "timestamp_as",
     .type = WB_OPT_ENUM,
     .offset = AT(clock_as),
     .def = "seconds",
     .choices = clocks,
     .brief = "how the commit time is written"},
    {.name = "operation",
     .type = WB_OPT_STRING,
     .offset = AT(operation),
     .brief = "column for INSERT, UPDATE, DELETE or READ",
     .example = "op"},
    {.name = "pipeline",
     .type = WB_OPT_STRING,
     .offset = AT(pipeline_column),
     .brief = "column for the pipeline's name",
     .example = "service"},
    {.name = "position",
     .type = WB_OPT_STRING,
     .offset = AT(position),
     .brief = "column for the place in the source's log",
     .detail = "PostgreSQL: the LSN as a number.",
     .example = "lsn"},
    {.name = "transaction",
     .type = WB_OPT_STRING,
     .offset = AT(transaction),
     .brief = "column for the source's transaction id",
     .example = "xid"},
    {.name = "constants",
     .type = WB_OPT_NODE,
     .offset = AT(constants),
     .brief = "columns with a value of yours",
     .detail = "Quoted values are text; plain ones are what they look like: number, true, false, null.",
     .example = "{region: eu, tenant: 7}"},
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
    .named = add_named,
};

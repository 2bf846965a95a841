/* row.c: the format `row`: the columns alone, {"id":1,"name":"Ann"}; of a DELETE the old row. What is not a row has one
 * key with an underscore, so that a reader can tell: {"_truncate":"public.users"},
 * {"_alter":"public.users","_schema":{"sql":...,"before":...,"after":...}} (or _create, _drop),
 * {"_message":{"prefix":...,"content":...}}. */
#include "formats/formats.h"
#include "formats/fragments.h"

typedef struct row {
    const char *op_key, *table_key; /* options */
    int binary, absent;

    wb_json_options json;
    wb_fragments tables; /* head: "table":"public.users" or nothing */
} row;

#define AT(field) offsetof(row, field)
static const wb_option options[] = {
    {"op_key", WB_OPT_STRING, AT(op_key), 0, NULL, 0, 0, NULL, "name of a first key that says INSERT, UPDATE, ...",
     "Off by default. Choose a name that no column has.", "_op"},
    {"table_key", WB_OPT_STRING, AT(table_key), 0, NULL, 0, 0, NULL,
     "name of a key that says which table, as schema.table", "Off by default. Choose a name that no column has.",
     "_table"},
    {"binary", WB_OPT_ENUM, AT(binary), 0, "base64", 0, 0, wb_binary_choices, "how binary values are written", NULL,
     NULL},
    {"absent", WB_OPT_ENUM, AT(absent), 0, "omit", 0, 0, wb_absent_choices, "columns that the source did not send",
     "Not sent, or said to be unchanged: neither means NULL, which is why their keys are left out by default.", NULL},
    {.name = NULL}};

static void put_name(wb_out *o, const wb_table *t)
{
    wb_out_byte(o, '"');
    wb_json_escape(o, t->schema.ptr, t->schema.len);
    if (t->schema.len && t->name.len) wb_out_byte(o, '.');
    wb_json_escape(o, t->name.ptr, t->name.len);
    wb_out_byte(o, '"');
}

static void table_head(void *arg, const wb_table *t, wb_out *o)
{
    const row *r = arg;
    if (!r->table_key) return;
    wb_json_string(o, wb_str_of(r->table_key));
    wb_out_byte(o, ':');
    put_name(o, t);
}

static void put_other(const row *r, const wb_change *c, wb_out *o)
{
    switch (c->op) {
    case WB_TRUNCATE: wb_out_z(o, "\"_truncate\":"); break;
    case WB_DDL:
        wb_out_z(o, !c->ddl || c->ddl->kind == WB_DDL_ALTER ? "\"_alter\":"
                    : c->ddl->kind == WB_DDL_CREATE         ? "\"_create\":"
                                                            : "\"_drop\":");
        break;
    default: wb_out_z(o, "\"_message\":"); break;
    }
    if (c->op == WB_MESSAGE || !c->table)
        wb_json_message(o, c, &r->json);
    else
        put_name(o, c->table);
    if (c->op != WB_DDL) return;
    wb_out_z(o, ",\"_schema\":");
    wb_json_ddl(o, c);
}

static wb_code row_row(void *ctx, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    row *r = ctx;
    if (WB_UNLIKELY(wb_is_empty_table(c))) return WB_OK;
    WB_UNUSED(txn);
    size_t start = o->len;
    bool first = true;
    wb_code code = WB_OK;
    wb_out_byte(o, '{');
    if (r->op_key) {
        wb_json_string(o, wb_str_of(r->op_key));
        wb_out_printf(o, ":\"%s\"", wb_change_type(c));
        first = false;
    }
    const wb_fragment *f = c->table ? wb_fragments_get(&r->tables, c->table) : NULL;
    if (f && f->head_len) {
        if (!first) wb_out_byte(o, ',');
        wb_out_put(o, f->head, f->head_len);
        first = false;
    }
    const wb_value *values = c->op == WB_DELETE || !c->after ? c->before : c->after;
    if (c->op == WB_TRUNCATE || c->op == WB_DDL || c->op == WB_MESSAGE) {
        if (!first) wb_out_byte(o, ',');
        put_other(r, c, o);
    } else if (!f) {
        o->failed = true;
    } else if (values) {
        code = wb_json_columns(o, f, values, &r->json, &first, err);
    }
    wb_out_byte(o, '}');
    if (code == WB_OK && o->failed)
        code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a change in the format row.");
    if (code != WB_OK) o->len = start;
    return code;
}

static wb_code row_open(void *ctx, const char *pipeline, wb_error *err)
{
    row *r = ctx;
    WB_UNUSED(pipeline);
    WB_UNUSED(err);
    if (r->op_key && !*r->op_key) r->op_key = NULL;
    if (r->table_key && !*r->table_key) r->table_key = NULL;
    r->json = (wb_json_options){.hex = r->binary == 1, .absent_null = r->absent == 1};
    wb_fragments_init(&r->tables, table_head, r);
    return WB_OK;
}

static void row_close(void *ctx)
{
    row *r = ctx;
    wb_fragments_fini(&r->tables);
}

const wb_format wb_format_row = {
    .head = {.kind = WB_FORMAT,
             .name = "row",
             .brief = "the columns alone, one JSON object a row",
             .options = options,
             .ctx_size = sizeof(row)},
    .open = row_open,
    .row = row_row,
    .writes = wb_json_writes,
    .close = row_close,
};

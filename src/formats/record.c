/* record.c: the format `record`, the default: one JSON object a change, keys as docs/record-format.md lists them.
 * A line is put together from pieces that are made once: what a transaction says in all its rows, what an operation
 * says in this log, what a table says, the names of the columns. Only the values are new, and they are the source's
 * text. */
#include "formats/formats.h"
#include "formats/fragments.h"

enum { CREATE = WB_OPS, DROP, TYPES }; /* what an operation is called: one each, and two more of WB_DDL */

typedef struct record {
    bool before, event_id, changed, event_timestamp_us; /* options */
    int binary, primary_key, absent;

    wb_json_options json;
    wb_str service; /* escaped, in quotes; malloc'd */
    wb_fragments tables;
    /* The transaction whose prefix is made. Compared by content: a batch's memory is used again, so an address that
     * comes again says nothing. */
    wb_out prefix, identity, scratch;
    const wb_txn *txn;
    int64_t commit_us;
    size_t id_len, global_len;
    wb_out log; /* the log that `ops` are made for */
    wb_out ops;
    uint32_t op_at[TYPES + 1];
    bool ready;
    /* All before the row, when it is the same again: rows of a copy have one place. */
    wb_out head;
    uint64_t head_place, head_serial, last_place;
    uint8_t head_op;
} record;

static const wb_choice key_choices[] = {
    {"joined", 0, "one string, names joined by commas"}, {"list", 1, "a list of names"}, {NULL, 0, NULL}};

#define AT(field) offsetof(record, field)
static const wb_option options[] = {
    {"before", WB_OPT_BOOL, AT(before), 0, "false", 0, 0, NULL, "add the old row as `before`",
     "What the source sent of it: the key only, unless the table logs whole old rows (PostgreSQL: REPLICA IDENTITY "
     "FULL). "
     "Without this option it is there only when an UPDATE changed the key.",
     NULL},
    {"event_id", WB_OPT_BOOL, AT(event_id), 0, "false", 0, 0, NULL,
     "add an id that is the same when a change is repeated",
     "Made of the log, the transaction and the number of the change in it; for rows of a snapshot of table and key. "
     "Null for snapshot rows of a table without a key.",
     NULL},
    {"changed", WB_OPT_BOOL, AT(changed), 0, "false", 0, 0, NULL, "add the names of the columns that an UPDATE changed",
     "Null when the source did not send the whole old row.", NULL},
    {"event_timestamp_us", WB_OPT_BOOL, AT(event_timestamp_us), 0, "false", 0, 0, NULL,
     "add the commit time in microseconds", NULL, NULL},
    {"binary", WB_OPT_ENUM, AT(binary), 0, "base64", 0, 0, wb_binary_choices, "how binary values are written", NULL,
     NULL},
    {"primary_key", WB_OPT_ENUM, AT(primary_key), 0, "joined", 0, 0, key_choices,
     "how the names of the key columns are written", NULL, NULL},
    {"absent", WB_OPT_ENUM, AT(absent), 0, "omit", 0, 0, wb_absent_choices, "columns that the source did not send",
     "Not sent, or said to be unchanged: neither means NULL, which is why their keys are left out by default.", NULL},
    {.name = NULL}};

/* ---------------------------------------------------------------- pieces made once */

static void primary_key(const record *r, const wb_table *t, wb_out *o)
{
    bool list = r->primary_key == 1;
    wb_out_byte(o, list ? '[' : '"');
    for (uint32_t i = 0; i < t->nkey; i++) {
        wb_str name = t->cols[t->key[i]].name;
        if (i) wb_out_byte(o, ',');
        if (list)
            wb_json_string(o, name);
        else
            wb_json_escape(o, name.ptr, name.len);
    }
    wb_out_byte(o, list ? ']' : '"');
}

static void table_head(void *arg, const wb_table *t, wb_out *o)
{
    wb_out_z(o, ",\"primary_key\":");
    primary_key(arg, t, o);
    wb_out_z(o, ",\"schema_name\":");
    wb_json_string(o, t->schema);
    wb_out_z(o, ",\"table_name\":");
    wb_json_string_or_null(o, t->name);
    wb_out_z(o, ",\"record\":");
}

/* Asked three times a row, of some dozen bytes: no call, eight at a time. */
static inline bool same(const wb_out *o, size_t at, wb_str s)
{
    uint64_t a, b, differ = 0;
    if (!s.len) return true;
    const char *p = o->p + at, *q = s.ptr;
    if (s.len < 8) {
        for (size_t i = 0; i < s.len; i++) differ |= (uint64_t)(p[i] ^ q[i]);
        return differ == 0;
    }
    for (size_t i = 0; i < s.len; i += 8) {
        size_t k = WB_MIN(i, s.len - 8);
        memcpy(&a, p + k, 8);
        memcpy(&b, q + k, 8);
        differ |= a ^ b;
    }
    return differ == 0;
}

static void make_ops(record *r, wb_str log)
{
    wb_out_reset(&r->log);
    wb_out_str(&r->log, log);
    wb_out_reset(&r->ops);
    static const wb_ddl create = {.kind = WB_DDL_CREATE}, drop = {.kind = WB_DDL_DROP};
    for (uint8_t type = 0; type < TYPES; type++) {
        wb_change c = {.op = type < WB_OPS ? type : (uint8_t)WB_DDL};
        c.ddl = type == CREATE ? &create : type == DROP ? &drop : NULL;
        r->op_at[type] = (uint32_t)r->ops.len;
        wb_out_z(&r->ops, ",\"event_type\":\"");
        wb_out_z(&r->ops, wb_change_type(&c));
        wb_out_z(&r->ops, "\",\"service\":");
        wb_out_str(&r->ops, r->service);
        wb_out_z(&r->ops, ",\"source\":");
        wb_json_string_or_null(&r->ops, log);
        wb_out_z(&r->ops, ",\"position\":");
    }
    r->op_at[TYPES] = (uint32_t)r->ops.len;
}

static void make_prefix(record *r, const wb_txn *t)
{
    r->txn = t;
    wb_out_reset(&r->head);
    r->commit_us = t->commit_us;
    r->id_len = t->id.len;
    r->global_len = t->global_id.len;
    wb_out_reset(&r->identity);
    wb_out_str(&r->identity, t->id);
    wb_out_str(&r->identity, t->global_id);

    wb_out *o = &r->prefix;
    wb_out_reset(o);
    wb_out_z(o, "{\"global_id\":");
    wb_json_string_or_null(o, t->global_id);
    wb_out_z(o, ",\"transaction_id\":");
    wb_json_string_or_null(o, t->id);
    wb_out_z(o, ",\"event_timestamp\":");
    int64_t s = t->commit_us / 1000000;
    wb_out_i64(o, s - (t->commit_us % 1000000 < 0));
    if (r->event_timestamp_us) {
        wb_out_z(o, ",\"event_timestamp_us\":");
        wb_out_i64(o, t->commit_us);
    }
    if (!r->ready || r->log.len != t->log.len || !same(&r->log, 0, t->log)) make_ops(r, t->log);
    r->ready = !(r->prefix.failed || r->identity.failed || r->log.failed || r->ops.failed);
}

static inline bool known_txn(const record *r, const wb_txn *t)
{
    return r->ready && r->txn == t && r->commit_us == t->commit_us && r->id_len == t->id.len &&
           r->global_len == t->global_id.len && r->log.len == t->log.len && same(&r->identity, 0, t->id) &&
           same(&r->identity, r->id_len, t->global_id) && same(&r->log, 0, t->log);
}

/* ---------------------------------------------------------------- one row */

/* "{...}", or null without values. *none: no column had a value. */
static wb_code object(const record *r, wb_out *o, const wb_fragment *f, const wb_value *values, bool *none,
                      wb_error *err)
{
    *none = true;
    if (!values) {
        wb_out_put(o, "null", 4);
        return WB_OK;
    }
    wb_out_byte(o, '{');
    wb_code code = wb_json_columns(o, f, values, &r->json, none, err);
    wb_out_byte(o, '}');
    return code;
}

static wb_code body(const record *r, const wb_change *c, const wb_fragment *f, wb_out *o, wb_error *err)
{
    bool none;
    if (c->op == WB_MESSAGE) {
        wb_json_message(o, c, &r->json);
        return WB_OK;
    }
    if (c->op == WB_DDL) {
        wb_json_ddl(o, c);
        return WB_OK;
    }
    if (c->op == WB_TRUNCATE) return object(r, o, f, NULL, &none, err);
    if (c->op == WB_DELETE) return object(r, o, f, c->before, &none, err);
    size_t at = o->len;
    wb_code code = object(r, o, f, c->after, &none, err);
    if (WB_LIKELY(!none) || code != WB_OK || !c->before) return code;
    o->len = at; /* the source sent nothing of the new row: the old one says at least which */
    return object(r, o, f, c->before, &none, err);
}

static bool whole(const wb_value *values, uint32_t n)
{
    if (!values) return false;
    for (uint32_t i = 0; i < n; i++)
        if (values[i].kind <= WB_UNCHANGED) return false;
    return true;
}

static wb_code differs(record *r, const wb_value *a, const wb_value *b, bool *out, wb_error *err)
{
    bool pa = (a->flags & WB_V_TEXT) || a->kind == WB_BYTES || a->kind == WB_DOCUMENT;
    bool pb = (b->flags & WB_V_TEXT) || b->kind == WB_BYTES || b->kind == WB_DOCUMENT;
    if (b->kind <= WB_UNCHANGED) {
        *out = false;
    } else if (a->kind == WB_NULL || b->kind == WB_NULL) {
        *out = a->kind != b->kind;
    } else if (a->flags == b->flags && pa && pb) {
        *out = a->len != b->len || (a->len && memcmp(a->as.ptr, b->as.ptr, a->len) != 0);
    } else if (a->kind == b->kind && !pa && !pb) {
        *out = a->as.u != b->as.u;
    } else { /* one as text, one as a number: what they print is what counts */
        wb_out_reset(&r->scratch);
        wb_code code = wb_json_value(&r->scratch, a, &r->json, err);
        size_t n = r->scratch.len;
        if (code == WB_OK) code = wb_json_value(&r->scratch, b, &r->json, err);
        if (code != WB_OK) return code;
        *out = r->scratch.len != 2 * n || memcmp(r->scratch.p, r->scratch.p + n, n) != 0;
    }
    return WB_OK;
}

static wb_code put_changed(record *r, const wb_change *c, wb_out *o, wb_error *err)
{
    wb_out_z(o, ",\"changed\":");
    if (c->op != WB_UPDATE || !c->after || !whole(c->before, c->table->ncols)) {
        wb_out_z(o, "null");
        return WB_OK;
    }
    bool first = true;
    wb_out_byte(o, '[');
    for (uint32_t i = 0; i < c->table->ncols; i++) {
        bool d = false;
        wb_code code = differs(r, &c->before[i], &c->after[i], &d, err);
        if (code != WB_OK) return code;
        if (!d) continue;
        if (!first) wb_out_byte(o, ',');
        first = false;
        wb_json_string(o, c->table->cols[i].name);
    }
    wb_out_byte(o, ']');
    return WB_OK;
}

static wb_code put_event_id(record *r, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    wb_out *id = &r->scratch;
    wb_out_reset(id);
    wb_out_z(o, ",\"event_id\":");
    wb_code code = wb_json_event_id(id, txn, c, &r->json, err);
    if (code != WB_OK) return code;
    if (id->failed)
        o->failed = true;
    else
        wb_json_string_or_null(o, (wb_str){id->p, id->len});
    return WB_OK;
}

/* Columns whose values were read afterwards. */
static void put_reselected(const wb_change *c, wb_out *o)
{
    bool first = true;
    wb_out_z(o, ",\"reselected\":[");
    for (uint32_t i = 0; i < c->table->ncols && c->after; i++) {
        if (!(c->after[i].flags & WB_V_RESELECTED)) continue;
        if (!first) wb_out_byte(o, ',');
        first = false;
        wb_json_string(o, c->table->cols[i].name);
    }
    wb_out_byte(o, ']');
}

static wb_code extras(record *r, const wb_txn *txn, const wb_change *c, const wb_fragment *f, wb_out *o, wb_error *err)
{
    bool row = c->op != WB_MESSAGE && c->op != WB_DDL;
    wb_code code = WB_OK;
    if (r->before || (c->flags & WB_C_KEY_CHANGED)) {
        bool none;
        wb_out_z(o, ",\"before\":");
        code = object(r, o, f, row ? c->before : NULL, &none, err);
    }
    if (code == WB_OK && (c->flags & WB_C_RESELECTED)) put_reselected(c, o);
    if (code == WB_OK && r->event_id) code = put_event_id(r, txn, c, o, err);
    if (code == WB_OK && r->changed) code = put_changed(r, c, o, err);
    return code;
}

static wb_code no_memory(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a change in the format record.");
}

static void keep_head(record *r, const char *p, size_t n, uint64_t place, uint8_t op, uint64_t serial)
{
    wb_out_reset(&r->head);
    wb_out_put(&r->head, p, n);
    if (r->head.failed) wb_out_reset(&r->head);
    r->head_place = place;
    r->head_op = op;
    r->head_serial = serial;
}

static wb_code head(record *r, const wb_txn *txn, const wb_change *c, const wb_fragment **f, wb_out *o, wb_error *err)
{
    static const char no_table[] = ",\"primary_key\":\"\",\"schema_name\":null,\"table_name\":null,\"record\":";
    static const char no_table_list[] = ",\"primary_key\":[],\"schema_name\":null,\"table_name\":null,\"record\":";
    if (WB_UNLIKELY(!known_txn(r, txn))) {
        make_prefix(r, txn);
        if (!r->ready) return no_memory(err);
    }
    wb_str table = r->primary_key == 1 ? WB_STR(no_table_list) : WB_STR(no_table);
    *f = NULL;
    if (WB_LIKELY(c->table != NULL)) {
        *f = wb_fragments_get(&r->tables, c->table);
        if (!*f) return no_memory(err);
        table = (wb_str){(*f)->head, (*f)->head_len};
    }
    uint8_t op = c->op < WB_OPS ? c->op : (uint8_t)WB_MESSAGE;
    if (WB_UNLIKELY(op == WB_DDL && c->ddl && c->ddl->kind != WB_DDL_ALTER))
        op = c->ddl->kind == WB_DDL_CREATE ? CREATE : DROP;
    if (r->head.len && r->head_place == c->place && r->head_op == op && *f && r->head_serial == (*f)->serial) {
        wb_out_put(o, r->head.p, r->head.len);
        return WB_OK;
    }
    size_t op_len = r->op_at[op + 1] - r->op_at[op];
    char *q = wb_out_room(o, r->prefix.len + op_len + 20 + table.len);
    if (!q) return no_memory(err);
    char *start = q;
    q = wb_json_copy(q, r->prefix.p, r->prefix.len);
    q = wb_json_copy(q, r->ops.p + r->op_at[op], op_len);
    q = wb_json_put_u64(q, c->place);
    q = wb_json_copy(q, table.ptr, table.len);
    o->len += (size_t)(q - start);
    if (r->last_place == c->place && *f) keep_head(r, start, (size_t)(q - start), c->place, op, (*f)->serial);
    r->last_place = c->place;
    return WB_OK;
}

static wb_code record_row(void *ctx, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    record *r = ctx;
    if (WB_UNLIKELY(wb_is_empty_table(c))) return WB_OK;
    const wb_fragment *f = NULL;
    size_t start = o->len;
    wb_code code = head(r, txn, c, &f, o, err);
    if (code == WB_OK) code = body(r, c, f, o, err);
    if (code == WB_OK && (r->before || r->event_id || r->changed || (c->flags & (WB_C_KEY_CHANGED | WB_C_RESELECTED))))
        code = extras(r, txn, c, f, o, err);
    wb_out_byte(o, '}');
    if (code == WB_OK && o->failed) code = no_memory(err);
    if (code != WB_OK) o->len = start;
    return code;
}

static wb_code record_open(void *ctx, const char *pipeline, wb_error *err)
{
    record *r = ctx;
    wb_out o = {0};
    r->json = (wb_json_options){.hex = r->binary == 1, .absent_null = r->absent == 1};
    r->ready = false;
    wb_out_reset(&r->head);
    wb_fragments_init(&r->tables, table_head, r);
    wb_json_string(&o, wb_str_of(pipeline));
    free((void *)(uintptr_t)r->service.ptr);
    r->service = (wb_str){o.p, o.len};
    return o.failed ? no_memory(err) : WB_OK;
}

static void record_close(void *ctx)
{
    record *r = ctx;
    wb_fragments_fini(&r->tables);
    wb_out_fini(&r->prefix);
    wb_out_fini(&r->identity);
    wb_out_fini(&r->scratch);
    wb_out_fini(&r->log);
    wb_out_fini(&r->ops);
    wb_out_fini(&r->head);
    free((void *)(uintptr_t)r->service.ptr);
    r->service = (wb_str){NULL, 0};
    r->ready = false;
}

const wb_format wb_format_record = {
    .head = {.kind = WB_FORMAT,
             .name = "record",
             .brief = "one JSON object a change, with where it comes from",
             .options = options,
             .ctx_size = sizeof(record)},
    .open = record_open,
    .row = record_row,
    .writes = wb_json_writes,
    .close = record_close,
};

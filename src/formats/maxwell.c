/* maxwell.c: what Maxwell's daemon sends for the same change:
 * {"database","table","type","ts","xid","commit","data","old"}, with its options under its own names. Values are in
 * maxwell_value.c, schema changes in maxwell_ddl.c. */
#include "formats/maxwell.h"

#include "base/clock.h"

#define AT(field) offsetof(maxwell, field)
static const wb_choice key_choices[] = {{"hash", MX_HASH, "{\"database\":\"d\",\"table\":\"t\",\"pk.id\":1}"},
                                        {"array", MX_ARRAY, "[\"d\",\"t\",[{\"id\":1}]]"},
                                        {NULL, 0, NULL}};
static const wb_option options[] = {
    {"output_commit_info", WB_OPT_BOOL, AT(commit_info), 0, "true", 0, 0, NULL,
     "xid, and commit on the last row of a transaction", NULL, NULL},
    {"output_xoffset", WB_OPT_BOOL, AT(xoffset), 0, "false", 0, 0, NULL, "the row's number in its transaction",
     "On all rows but the last, as there.", NULL},
    {"output_binlog_position", WB_OPT_BOOL, AT(position), 0, "false", 0, 0, NULL, "position: file and offset",
     "From PostgreSQL: slot and LSN as a number.", NULL},
    {"output_gtid_position", WB_OPT_BOOL, AT(gtid), 0, "false", 0, 0, NULL, "gtid: of the transaction", NULL, NULL},
    {"output_server_id", WB_OPT_BOOL, AT(server_id), 0, "false", 0, 0, NULL, "server_id, where the source has one",
     NULL, NULL},
    {"output_thread_id", WB_OPT_BOOL, AT(thread_id), 0, "false", 0, 0, NULL, "thread_id, where the source has one",
     NULL, NULL},
    {"output_row_query", WB_OPT_BOOL, AT(query), 0, "false", 0, 0, NULL, "query: the statement that made the row",
     "From MySQL and MariaDB, when the server logs it and the source reads it.", NULL},
    {"output_push_timestamp", WB_OPT_BOOL, AT(push_ts), 0, "false", 0, 0, NULL, "push_ts: when it was written", NULL,
     NULL},
    {"output_nulls", WB_OPT_BOOL, AT(nulls), 0, "true", 0, 0, NULL, "columns that are NULL, in data", NULL, NULL},
    {"output_primary_keys", WB_OPT_BOOL, AT(pk), 0, "false", 0, 0, NULL, "primary_key: its values", NULL, NULL},
    {"output_primary_key_columns", WB_OPT_BOOL, AT(pk_columns), 0, "false", 0, 0, NULL,
     "primary_key_columns: its names", NULL, NULL},
    {"output_ddl", WB_OPT_BOOL, AT(ddl), 0, "false", 0, 0, NULL, "schema changes",
     "table-create, table-alter, table-drop, database-create, database-alter, database-drop.", NULL},
    {"kafka_key_format", WB_OPT_ENUM, AT(key_format), 0, "hash", 0, 0, key_choices, "how the key is written", NULL,
     NULL},
    {.name = NULL}};

/* ---------------------------------------------------------------- parts */

static bool digits(wb_str s)
{
    if (!s.len || s.len > 19) return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    return true;
}

static bool shown(const maxwell *m, const wb_change *c)
{
    if (c->op == WB_DDL) return m->ddl && !(c->ddl && (c->ddl->flags & WB_DDL_PART));
    return c->op == WB_INSERT || c->op == WB_UPDATE || c->op == WB_DELETE || c->op == WB_READ;
}

/* The last of its transaction that this target gets. */
static bool is_last(const maxwell *m, const wb_change *c)
{
    const wb_view *v = &m->view;
    if (!v->nchanges || c < v->changes || c >= v->changes + v->nchanges || !(wb_view_txn(v, c)->flags & WB_TXN_END))
        return false;
    size_t i = (size_t)(c - v->changes) + 1;
    for (const wb_change *next; (next = wb_view_next(v, &i)) && next->txn == c->txn;)
        if (shown(m, next)) return false;
    return true;
}

static void put_names(wb_out *o, const wb_table *t)
{
    wb_out_z(o, "\"database\":");
    wb_json_string(o, t->schema);
    wb_out_z(o, ",\"table\":");
    wb_json_string(o, t->name);
}

void mx_put_position(const maxwell *m, const wb_txn *txn, uint64_t place, wb_out *o)
{
    if (m->position) {
        wb_out_z(o, ",\"position\":\"");
        wb_json_escape(o, txn->log.ptr, txn->log.len);
        wb_out_byte(o, ':');
        wb_out_u64(o, place);
        wb_out_byte(o, '"');
    }
    if (m->gtid) {
        wb_out_z(o, ",\"gtid\":");
        wb_json_string_or_null(o, txn->global_id);
    }
}

static void put_number(wb_out *o, const char *name, uint64_t v)
{
    wb_out_z(o, name);
    wb_out_u64(o, v);
}

/* From type up to what the row itself begins with. */
static void put_head(const maxwell *m, const wb_txn *txn, const wb_change *c, const char *type, wb_out *o)
{
    bool row = c->op != WB_READ;
    wb_out_byte(o, '{');
    put_names(o, c->table);
    if (m->query && row && c->event && c->event->query.len) {
        wb_out_z(o, ",\"query\":");
        wb_json_string(o, c->event->query);
    }
    wb_out_z(o, ",\"type\":\"");
    wb_out_z(o, type);
    wb_out_z(o, "\",\"ts\":");
    wb_out_i64(o, txn->commit_us / 1000000);
    if (!row) return;
    if (m->commit_info) {
        bool last = is_last(m, c);
        if (digits(txn->id)) {
            wb_out_z(o, ",\"xid\":");
            wb_out_str(o, txn->id);
        }
        if (m->xoffset && !last) put_number(o, ",\"xoffset\":", c->ordinal);
        if (last) wb_out_z(o, ",\"commit\":true");
    }
    mx_put_position(m, txn, c->place, o);
    if (m->server_id && txn->server_id) put_number(o, ",\"server_id\":", txn->server_id);
    if (m->thread_id && txn->thread) put_number(o, ",\"thread_id\":", txn->thread);
}

static const wb_value *key_value(const wb_change *c, uint32_t k)
{
    const wb_value *row = c->after ? c->after : c->before, *v = row ? &row[c->table->key[k]] : NULL;
    if (v && v->kind <= WB_UNCHANGED && row == c->after && c->before) v = &c->before[c->table->key[k]];
    return v;
}

static wb_code put_primary_key(const maxwell *m, const wb_change *c, wb_out *o, wb_error *err)
{
    const wb_table *t = c->table;
    wb_code code = WB_OK;
    if (m->push_ts) {
        int64_t now = wb_now_us();
        wb_out_printf(o, ",\"push_ts\":%lld.%06lld", (long long)(now / 1000000), (long long)(now % 1000000));
    }
    if (m->pk) {
        wb_out_z(o, ",\"primary_key\":[");
        for (uint32_t k = 0; code == WB_OK && k < t->nkey; k++) {
            if (k) wb_out_byte(o, ',');
            code = mx_put_value(m, &t->cols[t->key[k]], key_value(c, k), o, err);
        }
        wb_out_byte(o, ']');
    }
    if (m->pk_columns) {
        wb_out_z(o, ",\"primary_key_columns\":[");
        for (uint32_t k = 0; k < t->nkey; k++) {
            if (k) wb_out_byte(o, ',');
            wb_json_string(o, t->cols[t->key[k]].name);
        }
        wb_out_byte(o, ']');
    }
    return code;
}

static void put_lower(wb_out *o, wb_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c + ('a' - 'A'));
        wb_json_escape(o, (c & 0x80) ? name.ptr + i : &c, (c & 0x80) ? name.len - i : 1);
        if (c & 0x80) return; /* from the first letter beyond ASCII on as it is */
    }
}

/* `values` false: bootstrap-start and -complete, whose keys are null. */
static wb_code put_key(maxwell *m, const wb_txn *txn, const wb_change *c, bool values, wb_error *err)
{
    wb_out *o = &m->key;
    const wb_table *t = c->table;
    bool hash = m->key_format == MX_HASH;
    wb_code code = WB_OK;
    wb_out_reset(o);
    wb_out_byte(o, hash ? '{' : '[');
    if (hash) {
        put_names(o, t);
    } else {
        wb_json_string(o, t->schema);
        wb_out_byte(o, ',');
        wb_json_string(o, t->name);
        wb_out_z(o, ",[");
    }
    if (hash && !t->nkey) { /* there a random one: ours is the same after a crash */
        wb_out_reset(&m->scratch);
        code = wb_json_event_id(&m->scratch, txn, c, NULL, err);
        wb_out_z(o, ",\"_uuid\":");
        wb_json_string(o, (wb_str){m->scratch.p, m->scratch.len});
    }
    for (uint32_t k = 0; code == WB_OK && k < t->nkey; k++) {
        wb_out_z(o, hash ? ",\"pk." : k ? ",{\"" : "{\"");
        put_lower(o, t->cols[t->key[k]].name);
        wb_out_z(o, "\":");
        code = mx_put_value(m, &t->cols[t->key[k]], values ? key_value(c, k) : NULL, o, err);
        if (!hash) wb_out_byte(o, '}');
    }
    wb_out_z(o, hash ? "}" : "]]");
    return code;
}

/* ---------------------------------------------------------------- messages */

static wb_code put_columns(const maxwell *m, const wb_table *t, const wb_value *values, const wb_value *only_if_not,
                           bool nulls, wb_out *o, wb_error *err)
{
    wb_code code = WB_OK;
    bool first = true;
    for (uint32_t i = 0; code == WB_OK && values && i < t->ncols; i++) {
        const wb_value *v = &values[i];
        if (v->kind <= WB_UNCHANGED || (v->kind == WB_NULL && !nulls)) continue;
        if (only_if_not && mx_same(v, &only_if_not[i])) continue;
        if (!first) wb_out_byte(o, ',');
        first = false;
        wb_json_string(o, t->cols[i].name);
        wb_out_byte(o, ':');
        code = mx_put_value(m, &t->cols[i], v, o, err);
    }
    return code;
}

static wb_code put_row(maxwell *m, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    static const char *const types[] = {
        [WB_INSERT] = "insert", [WB_UPDATE] = "update", [WB_DELETE] = "delete", [WB_READ] = "bootstrap-insert"};
    wb_out *o = &m->value;
    put_head(m, txn, c, types[c->op], o);
    wb_code code = put_primary_key(m, c, o, err);
    wb_out_z(o, ",\"data\":{");
    if (code == WB_OK) code = put_columns(m, c->table, c->after ? c->after : c->before, NULL, m->nulls, o, err);
    wb_out_byte(o, '}');
    if (code != WB_OK || c->op != WB_UPDATE || !c->before) return code;
    size_t start = o->len;
    wb_out_z(o, ",\"old\":{");
    size_t empty = o->len;
    code = put_columns(m, c->table, c->before, c->after, true, o, err);
    if (o->len == empty)
        o->len = start; /* nothing changed */
    else
        wb_out_byte(o, '}');
    return code;
}

/* One more message from where `value` and `key` began. */
static void add(maxwell *m, size_t value_at, size_t key_at)
{
    m->at[m->n].value = value_at;
    m->at[m->n].value_len = m->value.len - value_at;
    m->at[m->n].key = key_at;
    m->at[m->n].key_len = m->keys.len - key_at;
    m->n++;
}

static wb_code add_key(maxwell *m, const wb_txn *txn, const wb_change *c, bool values, wb_error *err)
{
    wb_code code = put_key(m, txn, c, values, err);
    wb_out_put(&m->keys, m->key.p, m->key.len);
    if (m->key.failed) m->keys.failed = true;
    return code;
}

static wb_code add_mark(maxwell *m, const wb_txn *txn, const wb_change *c, const char *type, wb_error *err)
{
    size_t value = m->value.len, key = m->keys.len;
    put_head(m, txn, c, type, &m->value);
    wb_out_z(&m->value, ",\"data\":{}}");
    wb_code code = add_key(m, txn, c, false, err);
    add(m, value, key);
    return code;
}

static wb_code add_row(maxwell *m, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    size_t value = m->value.len, key = m->keys.len;
    wb_code code = put_row(m, txn, c, err);
    wb_out_byte(&m->value, '}');
    if (code == WB_OK) code = add_key(m, txn, c, true, err);
    add(m, value, key);
    return code;
}

static wb_code add_ddl(maxwell *m, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    size_t value = m->value.len, key = m->keys.len;
    WB_UNUSED(err);
    mx_put_ddl(m, txn, c, &m->value);
    wb_out_z(&m->keys, "{\"database\":");
    wb_json_string(&m->keys, c->table->schema);
    wb_out_byte(&m->keys, '}');
    add(m, value, key);
    return WB_OK;
}

static wb_code messages(void *ctx, const wb_txn *txn, const wb_change *c, wb_messages *out, wb_error *err)
{
    maxwell *m = ctx;
    wb_code code = WB_OK;
    *out = (wb_messages){0};
    if (!c || !shown(m, c)) return WB_OK;
    wb_out_reset(&m->value);
    wb_out_reset(&m->keys);
    m->n = 0;
    if (c->op == WB_DDL) {
        code = add_ddl(m, txn, c, err);
    } else {
        if (c->op == WB_READ && (c->flags & WB_C_FIRST_OF_TABLE)) code = add_mark(m, txn, c, "bootstrap-start", err);
        if (code == WB_OK && !wb_is_empty_table(c)) code = add_row(m, txn, c, err);
        if (code == WB_OK && c->op == WB_READ && (c->flags & WB_C_LAST_OF_TABLE))
            code = add_mark(m, txn, c, "bootstrap-complete", err);
    }
    if (code == WB_OK && (m->value.failed || m->keys.failed))
        code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a change in the format maxwell.");
    if (code != WB_OK) return code;
    for (size_t i = 0; i < m->n; i++)
        m->items[i] = (wb_message){.value = {m->value.p + m->at[i].value, m->at[i].value_len},
                                   .key = {m->keys.p + m->at[i].key, m->at[i].key_len}};
    *out = (wb_messages){m->items, m->n};
    return WB_OK;
}

/* ---------------------------------------------------------------- the plugin */

static void view(void *ctx, const wb_view *v) { ((maxwell *)ctx)->view = *v; }

static void about(void *ctx, const char *source)
{
    ((maxwell *)ctx)->mysql = strcmp(source, "mysql") == 0 || strcmp(source, "binlog") == 0;
}

static void close_it(void *ctx)
{
    maxwell *m = ctx;
    wb_out_fini(&m->value);
    wb_out_fini(&m->key);
    wb_out_fini(&m->keys);
    wb_out_fini(&m->scratch);
}

const wb_format wb_format_maxwell = {
    .head = {.kind = WB_FORMAT,
             .name = "maxwell",
             .brief = "what Maxwell's daemon sends: database, table, type, data, old",
             .options = options,
             .ctx_size = sizeof(maxwell)},
    .about = about,
    .view = view,
    .messages = messages,
    .writes = mx_writes,
    .close = close_it,
};

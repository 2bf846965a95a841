/* debezium.c: the format `debezium`: what Debezium's connectors send for the same change: key, value, headers,
 * tombstones, field for field. Put together from what is made once per table (debezium_plan.c) and per transaction
 * (here); only values, and the numbers of their place, are new. The format `cloudevents` is the same with another
 * envelope. */
#include "formats/debezium.h"

#include <stdio.h>

#include "base/clock.h"

/* ---------------------------------------------------------------- what a transaction's messages share */

static bool same(const wb_out *o, size_t at, const void *p, size_t n) { return !n || memcmp(o->p + at, p, n) == 0; }

static inline bool known_txn(const dbz *d, const wb_txn *t)
{
    return d->ready && d->txn == t && d->commit_us == t->commit_us && d->id_len == t->id.len &&
           d->global_len == t->global_id.len && d->at_len == t->at.len && same(&d->identity, 0, t->id.ptr, t->id.len) &&
           same(&d->identity, d->id_len, t->global_id.ptr, t->global_id.len) &&
           same(&d->identity, d->id_len + d->global_len, t->at.ptr, t->at.len);
}

static void tick(dbz *d)
{
    int64_t us = wb_now_us();
    wb_out *o = &d->clock;
    wb_out_reset(o);
    wb_out_printf(o, ",\"ts_ms\":%lld,\"ts_us\":%lld,\"ts_ns\":%lld000}", (long long)(us / 1000), (long long)us,
                  (long long)us);
    d->since_clock = 0;
}

static uint64_t be64(wb_pos pos)
{
    wb_rd r = wb_rd_of(pos.ptr, pos.len);
    return pos.len >= 8 ? wb_rd_be64(&r) : 0;
}

static void make_postgres(dbz *d, const wb_txn *t)
{
    if (d->last_commit && !(t->flags & WB_TXN_SNAPSHOT))
        wb_out_printf(&d->seq, "\"[\\\"%llu\\\",\\\"", (unsigned long long)d->last_commit);
    else
        wb_out_z(&d->seq, "\"[null,\\\"");
    wb_out_z(&d->tail, ",\"txId\":");
    if (t->id.len)
        wb_out_str(&d->tail, t->id);
    else
        wb_out_z(&d->tail, "null");
    wb_out_z(&d->tail, ",\"lsn\":");
    wb_out_str(&d->txid, t->id);
    wb_out_printf(&d->txid, ":%llu", (unsigned long long)be64(t->at)); /* the commit's: one for all of its messages */
}

/* "binlog.000002:1234", the source's id without GTIDs, as Debezium writes it. */
static void put_file_id(dbz *d, const wb_txn *t)
{
    size_t n = t->id.len;
    while (n && t->id.ptr[n - 1] != ':') n--;
    wb_out_z(&d->txid, "file=");
    wb_out_str(&d->txid, t->log);
    wb_out_z(&d->txid, ",pos=");
    wb_out_put(&d->txid, t->id.ptr + n, t->id.len - n);
}

static void make_mysql(dbz *d, const wb_txn *t)
{
    wb_out_z(&d->seq, "null");
    wb_out_printf(&d->tail, ",\"server_id\":%u,\"gtid\":", t->server_id);
    dbz_string_or_null(&d->tail, t->global_id);
    wb_out_z(&d->tail, ",\"file\":");
    dbz_string(&d->tail, t->log);
    wb_out_z(&d->tail, ",\"pos\":");
    if (t->global_id.len)
        wb_out_str(&d->txid, t->global_id);
    else
        put_file_id(d, t);
}

/* The same source reads both brands. */
static void look_at_server(dbz *d, const wb_txn *t)
{
    bool mariadb = t->flags & WB_TXN_MARIADB;
    if (WB_LIKELY(mariadb == d->is_mariadb)) return;
    d->is_mariadb = mariadb;
    d->connector = mariadb ? "mariadb" : d->source;
    if (d->nbase) d->base[2].value = wb_str_of(d->connector);
    dbz_plans_free(d);
}

static void make_txn(dbz *d, const wb_txn *t)
{
    look_at_server(d, t);
    d->txn = t;
    d->commit_us = t->commit_us;
    d->id_len = t->id.len;
    d->global_len = t->global_id.len;
    d->at_len = t->at.len;
    wb_out_reset(&d->identity);
    wb_out_str(&d->identity, t->id);
    wb_out_str(&d->identity, t->global_id);
    wb_out_put(&d->identity, t->at.ptr, t->at.len);
    wb_out *o = &d->head;
    wb_out_reset(o);
    wb_out_z(o, "\"source\":{\"version\":");
    dbz_string(o, wb_str_of(d->version));
    wb_out_printf(o, ",\"connector\":\"%s\",\"name\":", d->connector);
    dbz_string(o, wb_str_of(d->prefix));
    wb_out_printf(o, ",\"ts_ms\":%lld,\"snapshot\":\"", (long long)(t->commit_us / 1000));
    wb_out_reset(&d->stamps);
    wb_out_printf(&d->stamps, ",\"ts_us\":%lld,\"ts_ns\":%lld000", (long long)t->commit_us, (long long)t->commit_us);
    wb_out_reset(&d->seq);
    wb_out_reset(&d->tail);
    wb_out_reset(&d->txid);
    if (d->is_postgres)
        make_postgres(d, t);
    else
        make_mysql(d, t);
    tick(d);
    d->ready = !(d->identity.failed || d->head.failed || d->stamps.failed || d->seq.failed || d->tail.failed ||
                 d->clock.failed);
}

/* ---------------------------------------------------------------- pieces of a value */

const char *dbz_marker(const dbz *d, const wb_change *c)
{
    if (c->op != WB_READ) return "false";
    if (c->flags & WB_C_LAST_OF_SNAPSHOT) return "last";
    if ((c->flags & WB_C_FIRST_OF_SNAPSHOT) || d->is_first) return "first";
    if (c->flags & WB_C_LAST_OF_TABLE) return "last_in_data_collection";
    return c->flags & WB_C_FIRST_OF_TABLE ? "first_in_data_collection" : "true";
}

/* MySQL: pos, row, thread, query. */
void dbz_put_place(const wb_txn *txn, const wb_change *c, wb_out *o)
{
    const wb_event *e = c->op <= WB_DELETE ? c->event : NULL;
    wb_out_u64(o, e ? e->start : c->place);
    wb_out_z(o, ",\"row\":");
    wb_out_u64(o, e ? c->ordinal - e->first : 0);
    wb_out_z(o, ",\"thread\":");
    if (e && txn->thread)
        wb_out_u64(o, txn->thread);
    else
        wb_out_z(o, "null");
    wb_out_z(o, ",\"query\":");
    dbz_string_or_null(o, e ? e->query : (wb_str){NULL, 0});
    wb_out_byte(o, '}');
}

void dbz_put_sequence(const dbz *d, const wb_change *c, wb_out *o)
{
    wb_out_put(o, d->seq.p, d->seq.len);
    if (!d->is_postgres) return;
    wb_out_u64(o, c->place);
    wb_out_put(o, "\\\"]\"", 4);
}

void dbz_put_log_place(const dbz *d, const wb_txn *txn, const wb_change *c, wb_out *o)
{
    wb_out_put(o, d->tail.p, d->tail.len);
    if (d->is_postgres) {
        wb_out_u64(o, c->place);
        wb_out_str(o, WB_STR(",\"xmin\":null,\"origin\":null,\"origin_lsn\":null}"));
    } else {
        dbz_put_place(txn, c, o);
    }
}

/* "source":{...}; p NULL: a message, which has no table. */
void dbz_put_source(dbz *d, const wb_txn *txn, const dbz_plan *p, const wb_change *c, wb_out *o)
{
    wb_out_put(o, d->head.p, d->head.len);
    wb_out_z(o, dbz_marker(d, c));
    if (p) {
        wb_out_str(o, dbz_str(p, p->db));
    } else {
        wb_out_z(o, "\",\"db\":");
        dbz_string(o, txn->database);
        wb_out_z(o, ",\"sequence\":");
    }
    dbz_put_sequence(d, c, o);
    wb_out_put(o, d->stamps.p, d->stamps.len);
    wb_out_str(o, p ? dbz_str(p, p->table) : WB_STR(",\"schema\":\"\",\"table\":\"\""));
    dbz_put_log_place(d, txn, c, o);
}

static wb_code put_field(dbz *d, const dbz_plan *p, uint32_t i, const wb_value *v, wb_out *o, wb_error *err)
{
    const dbz_field *f = &p->fields[i];
    if (WB_UNLIKELY(v->kind <= WB_NULL)) {
        if (v->kind == WB_UNCHANGED)
            dbz_put_unavailable(d, f, o);
        else if (v->kind == WB_ABSENT && (!f->optional || d->null_as_default))
            wb_out_str(o, dbz_str(p, p->zeros[i]));
        else if (v->kind == WB_NULL && d->null_as_default && p->defs[i].len)
            wb_out_str(o, dbz_str(p, p->defs[i]));
        else
            wb_out_put(o, "null", 4);
        return WB_OK;
    }
    size_t at = o->len;
    wb_code code =
        WB_UNLIKELY(f->rule) ? dbz_apply_rule(d, &d->rules[f->rule - 1], f, v, o, err) : dbz_put(d, f, v, o, err);
    bool lost = f->lossy && !f->optional && o->len == at + 4 && !o->failed && memcmp(o->p + at, "null", 4) == 0;
    if (WB_UNLIKELY(lost)) {
        o->len = at;
        wb_out_str(o, dbz_str(p, p->zeros[i]));
    }
    return code;
}

/* {...} of the columns that travel, without the closing brace. */
wb_code dbz_put_row(dbz *d, const dbz_plan *p, const wb_value *values, wb_out *o, wb_error *err)
{
    const char *names = p->text.p + p->names.at;
    size_t skip = 1;
    wb_out_byte(o, '{');
    for (uint32_t i = 0; i < p->ncols; i++) {
        if (p->fields[i].conv == DBZ_DROP) continue;
        wb_out_put(o, names + p->at[i] + skip, p->at[i + 1] - p->at[i] - skip);
        skip = 0;
        wb_code code = put_field(d, p, i, &values[i], o, err);
        if (WB_LIKELY(code == WB_OK)) continue;
        wb_error_where(err, "column %.*s", (int)WB_MIN(p->at[i + 1] - p->at[i] - 4, (size_t)50), names + p->at[i] + 2);
        return code;
    }
    return WB_OK;
}

static wb_code put_side(dbz *d, const dbz_plan *p, const wb_value *values, wb_out *o, wb_error *err)
{
    if (!values) {
        wb_out_put(o, "null", 4);
        return WB_OK;
    }
    wb_code code = dbz_put_row(d, p, values, o, err);
    wb_out_byte(o, '}');
    return code;
}

/* "before":...,"after":... */
wb_code dbz_put_sides(dbz *d, const dbz_plan *p, const wb_value *before, const wb_value *after, wb_out *o,
                      wb_error *err)
{
    wb_out_str(o, WB_STR("{\"before\":"));
    wb_code code = put_side(d, p, before, o, err);
    wb_out_str(o, WB_STR(",\"after\":"));
    return code == WB_OK ? put_side(d, p, after, o, err) : code;
}

static wb_code put_envelope(dbz *d, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op,
                            const wb_value *before, const wb_value *after, wb_out *o, wb_error *err)
{
    wb_out_str(o, dbz_str(p, p->value_head));
    wb_code code = dbz_put_sides(d, p, before, after, o, err);
    if (code != WB_OK) return code;
    wb_out_byte(o, ',');
    dbz_put_source(d, txn, p, c, o);
    wb_out_str(o, WB_STR(",\"transaction\":"));
    if (d->metadata && c->op != WB_READ)
        dbz_count(d, p, o);
    else
        wb_out_put(o, "null", 4);
    wb_out_str(o, WB_STR(",\"op\":\""));
    wb_out_byte(o, op);
    wb_out_byte(o, '"');
    wb_out_put(o, d->clock.p, d->clock.len);
    if (d->schemas) wb_out_byte(o, '}');
    return WB_OK;
}

static wb_code put_value(dbz *d, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op,
                         const wb_value *before, const wb_value *after, wb_out *o, wb_error *err)
{
    wb_out_reset(o);
    if (d->wrap == DBZ_UNWRAP) return dbz_put_unwrapped(d, p, txn, c, op, before, after, o, err);
    if (d->wrap >= DBZ_CLOUD) return dbz_put_cloud(d, p, txn, c, op, before, after, o, err);
    return put_envelope(d, p, txn, c, op, before, after, o, err);
}

/* The key of a row: payload alone into `o`. False: some of it is not there. */
static bool put_key(dbz *d, const dbz_plan *p, const wb_value *row, const wb_value *old, wb_out *o, wb_code *code,
                    wb_error *err)
{
    const char *names = p->text.p + p->names.at;
    bool whole = true;
    wb_out_reset(o);
    wb_out_byte(o, '{');
    for (uint32_t k = 0; k < p->nkey && *code == WB_OK; k++) {
        uint32_t i = p->key[k];
        const wb_value *v = &row[i];
        if (v->kind <= WB_UNCHANGED && old && old[i].kind >= WB_NULL) v = &old[i];
        whole &= v->kind >= WB_NULL;
        size_t skip = k ? 0 : 1;
        wb_out_put(o, names + p->at[i] + skip, p->at[i + 1] - p->at[i] - skip);
        *code = put_field(d, p, i, v, o, err);
    }
    wb_out_byte(o, '}');
    return whole;
}

/* ---------------------------------------------------------------- messages */

static wb_str whole(const wb_out *o) { return (wb_str){o->p, o->len}; }

/* Room for one more message; its headers begin with those of every message. */
wb_message *dbz_add(dbz *d, wb_str topic, wb_str key, wb_str value)
{
    wb_message *m = &d->items[d->n];
    *m = (wb_message){.topic = topic, .key = key, .value = value, .headers = d->headers[d->n]};
    d->n++;
    return m;
}

void dbz_header(dbz *d, wb_message *m, const char *name, wb_str value)
{
    if (m->nheaders < DBZ_HEADERS) d->headers[m - d->items][m->nheaders++] = (wb_header){wb_str_of(name), value};
}

void dbz_header_late(dbz *d, wb_message *m, const char *name, size_t name_at, size_t name_len, size_t value_at,
                     size_t value_len)
{
    if (m->nheaders >= DBZ_HEADERS || d->nlate >= WB_COUNT(d->late)) return;
    size_t item = (size_t)(m - d->items), header = m->nheaders++;
    d->headers[item][header] = (wb_header){wb_str_of(name ? name : ""), {NULL, 0}};
    d->late[d->nlate].item = item;
    d->late[d->nlate].header = header;
    d->late[d->nlate].name_at = name_at;
    d->late[d->nlate].name_len = name_len;
    d->late[d->nlate].value_at = value_at;
    d->late[d->nlate++].value_len = value_len;
}

static void settle_headers(dbz *d)
{
    for (size_t i = 0; i < d->nlate && !d->header_text.failed; i++) {
        wb_header *h = &d->headers[d->late[i].item][d->late[i].header];
        if (d->late[i].name_len) h->name = (wb_str){d->header_text.p + d->late[i].name_at, d->late[i].name_len};
        h->value = (wb_str){d->header_text.p + d->late[i].value_at, d->late[i].value_len};
    }
    d->nlate = 0;
}

void dbz_add_base(dbz *d, wb_message *m)
{
    for (size_t i = 0; i < d->nbase; i++)
        if (m->nheaders < DBZ_HEADERS) d->headers[m - d->items][m->nheaders++] = d->base[i];
}

/* The key of a message: the payload, with its schema when wanted. */
static wb_str finish_key(const dbz *d, const dbz_plan *p, const wb_out *payload, wb_out *o)
{
    if (!p->nkey) return (wb_str){NULL, 0};
    if (!d->schemas) return whole(payload);
    wb_out_reset(o);
    wb_out_str(o, dbz_str(p, p->key_head));
    wb_out_put(o, payload->p, payload->len);
    wb_out_byte(o, '}');
    return whole(o);
}

typedef struct event {
    dbz *d;
    const dbz_plan *p;
    const wb_txn *txn;
    const wb_change *c;
    wb_error *err;
} event;

/* other: name of the header that holds the other key of a changed one; NULL: none. */
static wb_message *add(const event *e, wb_str key, wb_str value, const char *other, const wb_out *other_key, char op)
{
    dbz *d = e->d;
    wb_message *m = dbz_add(d, dbz_str(e->p, e->p->topic), key, value);
    if (other && d->extended_keys) dbz_header(d, m, other, whole(other_key));
    dbz_add_base(d, m);
    if (op && d->wrap == DBZ_UNWRAP) dbz_unwrap_headers(d, m, e->p, e->txn, e->c, op);
    if (op && d->wrap == DBZ_CLOUD_BINARY) dbz_cloud_headers(d, m, e->p, e->txn, e->c, op);
    return m;
}

static wb_code deleted(const event *e, wb_str key, const char *other, const wb_out *other_key)
{
    static const wb_str none;
    dbz *d = e->d;
    bool unwrap = d->wrap == DBZ_UNWRAP;
    bool value = !unwrap || d->deletes == DBZ_DEL_REWRITE || d->deletes == DBZ_DEL_REWRITE_TOMBSTONE;
    bool tombstone = unwrap ? d->deletes != DBZ_DEL_DROP && d->deletes != DBZ_DEL_REWRITE : d->tombstones;
    if (value) {
        wb_code code = put_value(d, e->p, e->txn, e->c, 'd', e->c->before, NULL, &d->value, e->err);
        if (code != WB_OK) return code;
        add(e, key, whole(&d->value), other, other_key, 'd');
    }
    if (tombstone) add(e, key, none, other, other_key, unwrap && !value ? 'd' : 0);
    return WB_OK;
}

static bool unchanged(const event *e, wb_code *code)
{
    dbz *d = e->d;
    const wb_change *c = e->c;
    if (!d->skip_unchanged || c->op != WB_UPDATE || !c->before || !c->after) return false;
    for (uint32_t i = 0; i < e->p->ncols; i++)
        if (c->before[i].kind <= WB_UNCHANGED) return false;
    wb_out_reset(&d->value);
    wb_out_reset(&d->value2);
    *code = dbz_put_row(d, e->p, c->before, &d->value, e->err);
    if (*code == WB_OK) *code = dbz_put_row(d, e->p, c->after, &d->value2, e->err);
    return *code == WB_OK && d->value.len == d->value2.len && memcmp(d->value.p, d->value2.p, d->value.len) == 0;
}

/* INSERT, UPDATE, READ */
static wb_code stored(const event *e, char op)
{
    dbz *d = e->d;
    const wb_change *c = e->c;
    const wb_value *before = c->op == WB_UPDATE ? c->before : NULL;
    wb_code code = WB_OK;
    if (unchanged(e, &code) || code != WB_OK) return code;
    (void)put_key(d, e->p, c->after, before, &d->key, &code, e->err);
    bool moved = false;
    if (before && e->p->nkey && code == WB_OK) {
        moved = put_key(d, e->p, before, NULL, &d->old_key, &code, e->err);
        moved &= d->key.len != d->old_key.len || memcmp(d->key.p, d->old_key.p, d->key.len) != 0;
    }
    if (code != WB_OK) return code;
    if (moved) {
        wb_str old = finish_key(d, e->p, &d->old_key, &d->old_key_schema);
        code = deleted(e, old, "__debezium.newkey", &d->key);
        before = NULL;
        op = 'c';
    }
    if (code == WB_OK) code = put_value(d, e->p, e->txn, c, op, before, c->after, &d->value2, e->err);
    if (code != WB_OK) return code;
    wb_str key = finish_key(d, e->p, &d->key, &d->key_schema);
    add(e, key, whole(&d->value2), moved ? "__debezium.oldkey" : NULL, &d->old_key, op);
    return WB_OK;
}

static wb_code removed(const event *e)
{
    dbz *d = e->d;
    wb_code code = WB_OK;
    if (!e->c->before) return WB_OK; /* nobody knows which row */
    (void)put_key(d, e->p, e->c->before, NULL, &d->old_key, &code, e->err);
    if (code != WB_OK) return code;
    return deleted(e, finish_key(d, e->p, &d->old_key, &d->old_key_schema), NULL, NULL);
}

static wb_code truncated(const event *e)
{
    static const wb_str none;
    wb_code code = put_value(e->d, e->p, e->txn, e->c, 't', NULL, NULL, &e->d->value, e->err);
    if (code == WB_OK) add(e, none, whole(&e->d->value), NULL, NULL, 't');
    return code;
}

static wb_code row_messages(const event *e)
{
    switch (e->c->op) {
    case WB_INSERT: return stored(e, 'c');
    case WB_UPDATE: return e->c->after ? stored(e, 'u') : WB_OK;
    case WB_READ: return stored(e, 'r');
    case WB_DELETE: return removed(e);
    default: return truncated(e);
    }
}

static bool failed(const dbz *d)
{
    return d->key.failed || d->old_key.failed || d->value.failed || d->value2.failed || d->extra.failed ||
           d->extra_key.failed || d->key_schema.failed || d->old_key_schema.failed || d->header_text.failed ||
           d->schema_key.failed || d->schema_value.failed;
}

static wb_code no_memory(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a change in the format debezium.");
}

static uint8_t op_bit(uint8_t op)
{
    static const char letters[WB_OPS] = {[WB_INSERT] = 'c',   [WB_UPDATE] = 'u', [WB_DELETE] = 'd',
                                         [WB_TRUNCATE] = 't', [WB_READ] = 'r',   [WB_MESSAGE] = 'm'};
    const char *at = op < WB_OPS && letters[op] ? strchr("cudtrm", letters[op]) : NULL;
    return at ? (uint8_t)(1u << (at - "cudtrm")) : 0;
}

static wb_code change_messages(dbz *d, const wb_txn *txn, const wb_change *c, wb_error *err)
{
    if (c->op == WB_READ) { /* the first row is `first`, also where an empty table came before it */
        d->is_first = d->first_due;
        d->first_due = !c->after && ((c->flags & WB_C_FIRST_OF_SNAPSHOT) || d->first_due);
    }
    bool part = c->op == WB_DDL && c->ddl && (c->ddl->flags & WB_DDL_PART); /* its statement comes once */
    bool tells = d->tells_changes && !part && (c->op == WB_DDL || (c->flags & WB_C_FIRST_OF_TABLE));
    bool no_row = wb_is_empty_table(c) || c->op == WB_DDL || (d->skipped && (d->skipped & op_bit(c->op)));
    if (no_row && !tells) return WB_OK;
    if (WB_UNLIKELY(!known_txn(d, txn))) make_txn(d, txn);
    if (WB_UNLIKELY(++d->since_clock > 256)) tick(d);
    if (!d->ready) return no_memory(err);
    wb_out_reset(&d->header_text);
    d->nlate = 0;
    if (WB_UNLIKELY(tells)) {
        dbz_schema_change(d, txn, c);
        if (no_row) return failed(d) ? no_memory(err) : WB_OK;
    }
    if (d->metadata && txn->id.len + txn->global_id.len && !(txn->flags & WB_TXN_SNAPSHOT)) dbz_begin(d);
    if (c->op == WB_MESSAGE) {
        dbz_message(d, txn, c);
        return failed(d) ? no_memory(err) : WB_OK;
    }
    const dbz_plan *p = dbz_plan_of(d, txn, c->table, err);
    if (!p) return err ? err->code : WB_E_NOMEM;
    event e = {d, p, txn, c, err};
    wb_code code = row_messages(&e);
    if (WB_UNLIKELY(d->nlate)) settle_headers(d);
    return code == WB_OK && failed(d) ? no_memory(err) : code;
}

wb_code dbz_messages(void *ctx, const wb_txn *txn, const wb_change *c, wb_messages *out, wb_error *err)
{
    dbz *d = ctx;
    wb_code code = WB_OK;
    d->n = 0;
    if (WB_LIKELY(c != NULL)) {
        code = change_messages(d, txn, c, err);
    } else if (txn) {
        if (d->open_txn && !known_txn(d, txn)) make_txn(d, txn); /* its changes came in an older batch */
        if (d->open_txn && wb_str_eq(whole(&d->open_id), whole(&d->txid))) dbz_end(d);
        if (!(txn->flags & WB_TXN_SNAPSHOT) && be64(txn->end)) d->last_commit = be64(txn->end);
        d->ready = false; /* the next one says another last commit */
    } else if (d->heartbeat_ms) {
        dbz_heartbeat(d);
    }
    if (code == WB_OK && (d->extra.failed || d->extra_key.failed)) code = no_memory(err);
    *out = (wb_messages){d->items, code == WB_OK ? d->n : 0};
    return code;
}

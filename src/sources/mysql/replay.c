/* replay.c: a complete transaction, event by event, to changes: what next() does. Rolled-back parts are left out here,
 * rows are read here, statements that cannot be followed stop here. */
#include "inside.h"

#include <stdio.h>
#include <strings.h>

/* ---------------------------------------------------------------- what ends up in the log without rows */

static bool is_system(wb_str schema)
{
    static const char *const names[] = {"mysql", "sys", "performance_schema", "information_schema"};
    for (size_t i = 0; i < WB_COUNT(names); i++)
        if (schema.len == strlen(names[i]) && strncasecmp(schema.ptr, names[i], schema.len) == 0) return true;
    return false;
}

static bool is_wanted(const my_decoder *d, wb_str schema, wb_str name)
{
    return d->hooks.wanted ? d->hooks.wanted(d->hooks.arg, schema, name) : !is_system(schema);
}

static wb_code statement_format(const my_decoder *d, const my_query *q, const my_statement *st, wb_str schema,
                                wb_str name, wb_error *err)
{
    WB_UNUSED(q);
    wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
            "The rows that %s%s%.*s%s%.*s changed are not in the log at %.100s:%llu, only the statement: %.*s",
            st->verb, name.len ? " on " : "", (int)WB_MIN(schema.len, 64), schema.ptr, name.len ? "." : "",
            (int)WB_MIN(name.len, 64), name.ptr, d->log, (unsigned long long)d->place, (int)WB_MIN(d->sql.len, 120),
            d->sql.p);
    wb_hint(err, "SET GLOBAL binlog_format = ROW (sessions that are connected keep theirs, and may set it), then take "
                 "a new snapshot "
                 "of the table, or leave it out.");
    return WB_E_UNSUPPORTED;
}

static wb_code check_dml(const my_decoder *d, const my_query *q, const my_statement *st, wb_error *err)
{
    if (d->o.statements_pass) return WB_OK;
    for (uint32_t i = 0; i < st->ntables; i++)
        if (is_wanted(d, st->tables[i].schema, st->tables[i].name))
            return statement_format(d, q, st, st->tables[i].schema, st->tables[i].name, err);
    if (st->ntables == 0 && !is_system(q->schema)) return statement_format(d, q, st, WB_STR(""), WB_STR(""), err);
    return WB_OK;
}

static void forget_tables(my_decoder *d, const my_statement *st)
{
    if (st->unsure || st->ntables == 0) my_forget_plans(d, WB_STR(""), WB_STR(""));
    for (uint32_t i = 0; i < st->ntables; i++) {
        const my_st_table *t = &st->tables[i];
        my_forget_plans(d, t->schema, t->name);
        if (t->to_name.len) my_forget_plans(d, t->to_schema, t->to_name);
    }
}

static wb_code on_statement(my_decoder *d, const my_header *h, const uint8_t *body, size_t n, my_event *ev,
                            wb_error *err)
{
    my_query q;
    my_statement st;
    wb_code code = my_read_query(d, h, body, n, &q, &st, err);
    if (code != WB_OK) return code;
    if (st.kind < MY_ST_DML && !(st.kind == MY_ST_OTHER && st.unsure)) {
        if (d->payload.open && (st.kind == MY_ST_ROLLBACK || st.kind == MY_ST_ROLLBACK_TO))
            return my_bad_event(d, h->type, err, "it rolls back what is compressed");
        return WB_OK;
    }
    if (st.temporary) return WB_OK;
    if (st.kind == MY_ST_DML) return check_dml(d, &q, &st, err);
    if (d->group.alter_start) return WB_OK; /* nothing has changed yet, or ever */
    forget_tables(d, &st);
    ev->kind = MY_EV_DDL;
    ev->statement = st;
    ev->sql = (wb_str){d->sql.p, d->sql.len};
    ev->schema = q.schema;
    return WB_OK;
}

/* ---------------------------------------------------------------- rows */

static wb_code unknown_engine(const my_decoder *d, const my_plan *plan, wb_error *err)
{
    wb_fail(err, WB_E_SCHEMA, WB_NEVER,
            "The transaction that begins at %.100s:%llu was rolled back, and whether its rows of table %.*s.%.*s "
            "stayed depends on the "
            "table's engine, which is not known.",
            d->log, (unsigned long long)d->group.start, (int)plan->schema.len, plan->schema.ptr, (int)plan->name.len,
            plan->name.ptr);
    wb_hint(err, "InnoDB takes them back, MyISAM and Aria keep them: say it with the table's schema.");
    return WB_E_SCHEMA;
}

/* Were these rows taken back? */
static wb_code was_discarded(my_decoder *d, uint64_t at, bool *out, wb_error *err)
{
    const my_plan *plan = d->rows_at.plan;
    *out = false;
    if (WB_LIKELY(!d->group.rolled_back && my_held_content(d)->nranges == 0)) return WB_OK;
    if (!d->group.rolled_back && !my_held_discarded(my_held_content(d), at)) return WB_OK;
    if (plan->engine == MY_ENGINE_UNKNOWN && d->o.unknown_engine == MY_UNKNOWN_STOP)
        return unknown_engine(d, plan, err);
    *out = plan->engine != MY_ENGINE_PLAIN;
    return WB_OK;
}

static wb_code on_rows(my_decoder *d, uint8_t type, const uint8_t *body, size_t n, uint64_t at, wb_error *err)
{
    bool discarded;
    wb_code code = my_rows_open(d, type, body, n, err);
    if (code != WB_OK || !d->rows_at.plan) return code;
    if ((code = was_discarded(d, at, &discarded, err)) != WB_OK) return code;
    if (discarded) d->rows_at.plan = NULL;
    return WB_OK;
}

/* ---------------------------------------------------------------- a rows event in pieces (MariaDB 12.3) */

static wb_code on_fragment(my_decoder *d, const uint8_t *body, size_t n, uint64_t at, wb_error *err)
{
    wb_rd r = wb_rd_of(body, n);
    uint32_t total = my_rd_u32(&r), seq = my_rd_u32(&r);
    uint8_t flags = wb_rd_u8(&r);
    uint64_t size = flags & 1 ? my_rd_u64(&r) : 0;
    wb_str piece = my_rd_rest(&r);
    if (r.failed || seq != d->fragments + 1 || seq > total || (seq == 1) != (flags & 1))
        return my_bad_event(d, MY_PARTIAL_ROW_DATA, err, "it is not the next piece of a row");
    if (size / 2 > d->o.max_row + 1024 * 1024) {
        wb_code code = my_bad_event(d, MY_PARTIAL_ROW_DATA, err,
                                    "it begins an event of %llu bytes, more than max_row allows (%zu)",
                                    (unsigned long long)size, d->o.max_row);
        wb_hint(err, "Raise max_row in the pipeline file.");
        return code;
    }
    if (seq == 1) d->fragment_len = 0;
    size_t want = d->fragment_len + piece.len;
    if (want > d->inflated_cap) {
        size_t cap = WB_MAX(want, (size_t)size);
        uint8_t *more = realloc(d->inflated, cap);
        if (!more) return my_no_memory(d, err);
        d->inflated = more;
        d->inflated_cap = cap;
    }
    if (piece.len) memcpy(d->inflated + d->fragment_len, piece.ptr, piece.len);
    d->fragment_len = want;
    d->fragments = seq;
    if (seq < total) return WB_OK;
    d->fragments = 0;
    my_header h;
    wb_code code = my_header_read(d->inflated, want, &h, err);
    if (code != WB_OK) return code;
    if (h.length != want || !my_is_rows(h.type) || h.type >= MY_WRITE_ROWS_COMPRESSED_V1)
        return my_bad_event(d, MY_PARTIAL_ROW_DATA, err, "its pieces make no rows event");
    return on_rows(d, h.type, d->inflated + MY_HEADER_LEN, want - MY_HEADER_LEN, at, err);
}

/* ---------------------------------------------------------------- the statement that makes rows */

/* Long ones are left out: every batch that has rows of a statement has its text, too. */
static void on_rows_query(my_decoder *d, const uint8_t *body, size_t n)
{
    enum { LONGEST = 256 * 1024 };
    wb_out_reset(&d->query);
    d->query_over = false;
    d->query_put = (wb_str){NULL, 0};
    char *q = n <= LONGEST ? wb_out_room(&d->query, n * 3 + 8) : NULL;
    char *end = q ? my_to_utf8(&d->conv, my_cs_utf8mb4, q, body, n, true) : NULL;
    if (end) d->query.len = (size_t)(end - q);
}

/* ---------------------------------------------------------------- one event */

/* ev->kind says whether something came that the caller must see. */
static wb_code one_event(my_decoder *d, const my_header *h, const uint8_t *body, size_t n, uint64_t at, my_event *ev,
                         wb_error *err)
{
    d->type = h->type;
    if (my_is_rows(h->type)) return on_rows(d, h->type, body, n, at, err);
    switch (h->type) {
    case MY_TABLE_MAP: return my_table_map(d, body, n, err);
    case MY_QUERY:
    case MY_QUERY_COMPRESSED:
    case MY_EXECUTE_LOAD_QUERY: return on_statement(d, h, body, n, ev, err);
    case MY_PARTIAL_ROW_DATA: return on_fragment(d, body, n, at, err);
    case MY_ROWS_QUERY: /* begins with a length of one byte, which says little */
        if (d->o.query && n) on_rows_query(d, body + 1, n - 1);
        return WB_OK;
    case MY_ANNOTATE_ROWS:
        if (d->o.query) on_rows_query(d, body, n);
        return WB_OK;
    default: return WB_OK;
    }
}

/* The next event inside a compressed transaction; closes it at its end. */
static wb_code next_inside(my_decoder *d, my_event *ev, wb_error *err)
{
    const uint8_t *event;
    my_header h;
    wb_code code = my_payload_next(d, &event, &h, err);
    if (code != WB_OK) return code;
    if (!event) {
        my_payload_close(d);
        return WB_OK;
    }
    if (h.type == MY_TRANSACTION_PAYLOAD || h.type == MY_PARTIAL_ROW_DATA)
        return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "it holds an event of type %u", h.type);
    if (h.type == MY_XID && h.length >= MY_HEADER_LEN + 8) d->group.xid = my_get_u64(event + MY_HEADER_LEN);
    code = one_event(d, &h, event + MY_HEADER_LEN, h.length - MY_HEADER_LEN, d->at, ev, err);
    if (code == WB_AGAIN) d->payload.at -= h.length; /* the same again */
    return code;
}

static wb_code next_held(my_decoder *d, my_event *ev, wb_error *err)
{
    const uint8_t *p;
    my_header h;
    uint64_t at = d->at, place = d->place;
    wb_code code = my_held_read(d, my_held_content(d), at, MY_HEADER_LEN, &p, err);
    if (code != WB_OK) return code;
    if ((code = my_header_read(p, MY_HEADER_LEN, &h, err)) != WB_OK) return code;
    size_t tail = d->format.checksums ? 4 : 0;
    if (h.length < MY_HEADER_LEN + tail) return my_bad_event(d, h.type, err, "it ends too early");
    d->place = my_lift(d->place, h.log_pos, h.length);
    d->begins = d->place - h.length;
    d->at += h.length;
    d->type = h.type;
    if (h.type == MY_TRANSACTION_PAYLOAD)
        return my_payload_open(d, at + MY_HEADER_LEN, h.length - MY_HEADER_LEN - tail, err);
    if (my_is_rows(h.type) && WB_UNLIKELY(h.length > d->o.window)) {
        bool pass;
        code = my_rows_fit(d, &h, at, &pass, err);
        if (code != WB_OK || pass) return code;
    }
    if ((code = my_held_read(d, my_held_content(d), at, h.length, &p, err)) != WB_OK) return code;
    code = one_event(d, &h, p + MY_HEADER_LEN, h.length - MY_HEADER_LEN - tail, at, ev, err);
    if (code == WB_AGAIN) { /* the same again */
        d->at = at;
        d->place = place;
    }
    return code;
}

static bool at_end(const my_decoder *d)
{
    return !d->payload.open && !d->rows_at.plan && d->at >= my_held_size(my_held_content(d));
}

wb_code my_replay(my_decoder *d, wb_batch *b, my_event *ev, wb_error *err)
{
    size_t had = wb_batch_count(b);
    wb_code code = WB_OK;
    while (code == WB_OK && ev->kind == MY_EV_NOTHING && !at_end(d) && !wb_batch_full(b)) {
        if (d->rows_at.plan) {
            d->need = 0;
            code = my_rows_read(d, b, err);
            if (d->need) break;
        } else if (d->payload.open) {
            code = next_inside(d, ev, err);
        } else {
            code = next_held(d, ev, err);
        }
    }
    ev->rows = wb_batch_count(b) - had;
    if (code == WB_AGAIN) ev->need = d->need;
    if (code == WB_AGAIN && ev->rows) code = WB_OK; /* asked again next time */
    if (ev->rows && ev->kind == MY_EV_NOTHING) ev->kind = MY_EV_ROWS;
    return code;
}

/* ---------------------------------------------------------------- next */

static void describe(const my_decoder *d, my_event *ev)
{
    const my_group *g = &d->group;
    ev->log = wb_str_of(d->log);
    ev->start = g->start;
    ev->end = g->end;
    ev->gtid = g->gtid;
    ev->commit_us = g->commit_us ? g->commit_us : (int64_t)g->timestamp * 1000000 + g->us;
    ev->whole_second = !g->commit_us && !g->us;
    ev->timestamp = g->timestamp;
    ev->server_id = g->server_id;
    ev->thread_id = g->thread_id;
    ev->xid = g->xid;
    ev->xa = wb_str_of(g->xa);
}

static void begin(my_decoder *d)
{
    const my_group *g = d->source ? &d->source->group : &d->group;
    d->phase = 1;
    d->at = 0;
    d->place = g->start;
    d->rows = d->ordinal = 0;
    wb_out_reset(&d->query);
    d->rows_at.plan = NULL;
    d->window_len = 0;
    d->fragments = 0;
    my_payload_close(d);
}

static void finish(my_decoder *d)
{
    if (d->source) my_prepared_drop(d, d->source);
    d->source = NULL;
    d->state = MY_IDLE;
    d->place = d->offset;
    my_held_clear(d, &d->held);
    my_spool_trim(d);
}

void my_decoder_pass(my_decoder *d)
{
    if (!d->failed && d->state == MY_DELIVER) finish(d);
}

wb_code my_decoder_next(my_decoder *d, wb_batch *b, size_t room, my_event *ev, wb_error *err)
{
    memset(ev, 0, sizeof *ev);
    if (d->failed || d->state != MY_DELIVER)
        return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "No transaction is there to be delivered.");
    if (d->phase == 0) {
        begin(d);
        ev->kind = MY_EV_BEGIN;
        describe(d, ev);
        return WB_OK;
    }
    static char nothing[1]; /* where empty texts point before there is a first room */
    d->sink = (my_sink){.b = b, .cur = nothing, .end = nothing};
    d->room = room;
    d->need = 0;
    d->rows_at.event = NULL; /* the batch may be another one */
    d->query_put = (wb_str){NULL, 0};
    wb_code code = my_replay(d, b, ev, err);
    uint64_t rows = ev->rows;
    describe(d, ev);
    if (code != WB_OK) {
        d->failed = code != WB_AGAIN;
        return code;
    }
    if (wb_batch_failed(b)) {
        d->failed = true;
        return my_no_memory(d, err);
    }
    if (ev->kind != MY_EV_NOTHING || !at_end(d)) {
        if (ev->kind == MY_EV_NOTHING) ev->kind = MY_EV_ROWS; /* the batch was full already */
        ev->rows = rows;
        return WB_OK;
    }
    if (d->fragments) {
        d->failed = true;
        return my_bad_event(d, MY_PARTIAL_ROW_DATA, err, "the transaction ends within a row");
    }
    ev->kind = MY_EV_COMMIT;
    ev->rows = d->rows;
    finish(d);
    return WB_OK;
}

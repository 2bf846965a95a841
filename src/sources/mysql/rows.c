/* rows.c: rows events to changes. The event's head is read once, then rows one by one until its end or a full batch. A
 * row that fails appends nothing. */
#include "inside.h"

#include <stdio.h>

/* ---------------------------------------------------------------- the head of the event */

typedef struct shape {
    uint8_t op;
    bool v2, compressed, partial;
} shape;

static bool shape_of(uint8_t type, shape *s)
{
    *s = (shape){0};
    switch (type) {
    case MY_WRITE_ROWS_V0:
    case MY_WRITE_ROWS_V1: s->op = WB_INSERT; return true;
    case MY_UPDATE_ROWS_V0:
    case MY_UPDATE_ROWS_V1: s->op = WB_UPDATE; return true;
    case MY_DELETE_ROWS_V0:
    case MY_DELETE_ROWS_V1: s->op = WB_DELETE; return true;
    case MY_WRITE_ROWS: *s = (shape){WB_INSERT, true, false, false}; return true;
    case MY_UPDATE_ROWS: *s = (shape){WB_UPDATE, true, false, false}; return true;
    case MY_PARTIAL_UPDATE_ROWS: *s = (shape){WB_UPDATE, true, false, true}; return true;
    case MY_DELETE_ROWS: *s = (shape){WB_DELETE, true, false, false}; return true;
    case MY_WRITE_ROWS_COMPRESSED_V1: *s = (shape){WB_INSERT, false, true, false}; return true;
    case MY_UPDATE_ROWS_COMPRESSED_V1: *s = (shape){WB_UPDATE, false, true, false}; return true;
    case MY_DELETE_ROWS_COMPRESSED_V1: *s = (shape){WB_DELETE, false, true, false}; return true;
    case MY_WRITE_ROWS_COMPRESSED: *s = (shape){WB_INSERT, true, true, false}; return true;
    case MY_UPDATE_ROWS_COMPRESSED: *s = (shape){WB_UPDATE, true, true, false}; return true;
    case MY_DELETE_ROWS_COMPRESSED: *s = (shape){WB_DELETE, true, true, false}; return true;
    default: return false;
    }
}

static unsigned count_bits(const uint8_t *bits, uint32_t n)
{
    unsigned sum = 0;
    for (uint32_t i = 0; i < n / 8; i++) sum += (unsigned)__builtin_popcount(bits[i]);
    if (n % 8) sum += (unsigned)__builtin_popcount(bits[n / 8] & ((1u << n % 8) - 1));
    return sum;
}

static wb_code unknown_id(const my_decoder *d, uint8_t type, uint64_t id, wb_error *err)
{
    wb_code code = my_bad_event(d, type, err, "no TABLE_MAP says which table %llu is", (unsigned long long)id);
    wb_hint(err, "Start at the beginning of a transaction.");
    return code;
}

/* An id that belongs to no table marks the end of a statement. */
static bool is_end_mark(uint64_t id) { return id == 0x00ffffff || id == 0xffffffff || id == 0xffffffffffff; }

wb_code my_rows_open(my_decoder *d, uint8_t type, const uint8_t *bytes, size_t n, wb_error *err)
{
    my_cursor *c = &d->rows_at;
    wb_rd r = wb_rd_of(bytes, n);
    shape s;
    c->plan = NULL;
    if (!shape_of(type, &s)) return my_bad_event(d, type, err, "it is not known");
    uint64_t id = my_rd_table_id(d, type, &r);
    if (d->query_over) wb_out_reset(&d->query);
    d->query_over = my_rd_u16(&r) & 1; /* the last event of its statement */
    if (s.v2) {
        uint16_t extra = my_rd_u16(&r); /* its own two bytes included */
        my_rd_str(&r, extra < 2 ? UINT64_MAX : extra - 2u);
    }
    uint64_t ncols = my_rd_lenenc(&r);
    if (r.failed) return my_bad_event(d, type, err, "it ends too early");
    const my_plan *plan = my_find_id(d, id);
    if (!plan && is_end_mark(id)) return WB_OK;
    if (!plan) return unknown_id(d, type, id, err);
    if (!plan->table) return WB_OK; /* not wanted */
    if (ncols != plan->ncols)
        return my_bad_event(d, type, err, "it has rows of %llu columns, and its table map %u",
                            (unsigned long long)ncols, plan->ncols);
    size_t bitmap = (size_t)(ncols + 7) / 8;
    c->present = wb_rd_bytes(&r, bitmap);
    c->present_after = s.op == WB_UPDATE ? wb_rd_bytes(&r, bitmap) : c->present;
    if (r.failed) return my_bad_event(d, type, err, "it ends too early");
    if (s.compressed) {
        size_t keep = (size_t)(r.p - c->present), len;
        wb_code code = my_inflate(d, r, c->present, keep, &len, err);
        if (code != WB_OK) return code;
        c->present = d->inflated;
        c->present_after = s.op == WB_UPDATE ? d->inflated + bitmap : d->inflated;
        r = wb_rd_of(d->inflated + keep, len - keep);
    }
    c->all = count_bits(c->present, plan->ncols) == plan->ncols;
    c->all_after = count_bits(c->present_after, plan->ncols) == plan->ncols;
    c->op = s.op;
    c->partial = s.partial;
    c->p = r.p;
    c->end = r.end;
    c->place = d->place;
    c->start = d->begins;
    c->first = d->ordinal;
    c->event = NULL;
    if (c->p < c->end) c->plan = plan;
    if (c->p < c->end || count_bits(c->present, plan->ncols) > 0) return WB_OK;
    wb_code code =
        my_bad_event(d, type, err, "its rows have no column of table %.*s.%.*s, so that they cannot be counted",
                     (int)plan->schema.len, plan->schema.ptr, (int)plan->name.len, plan->name.ptr);
    wb_hint(
        err,
        "MySQL logs an INSERT of nothing but defaults so when binlog_row_image is MINIMAL: set it to FULL, and take a "
        "new snapshot of the table.");
    return code;
}

/* ---------------------------------------------------------------- one image */

static inline bool bit_of(const uint8_t *bits, uint32_t i) { return bits[i >> 3] >> (i & 7) & 1; }

static wb_code ends_early(const my_decoder *d, wb_error *err)
{
    const my_plan *plan = d->rows_at.plan;
    wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "A row of table %.*s.%.*s at %s:%llu ends too early.", (int)plan->schema.len,
            plan->schema.ptr, (int)plan->name.len, plan->name.ptr, d->log, (unsigned long long)d->rows_at.place);
    wb_hint(err,
            "The log is damaged, or the columns that are known of the table are not those of this place in the log.");
    return WB_E_PROTOCOL;
}

/* Values of the columns in `present`; the others become `missing`. */
static wb_code read_image(my_decoder *d, const uint8_t *present, bool all, wb_kind missing, wb_value *out,
                          wb_error *err)
{
    my_cursor *c = &d->rows_at;
    const my_plan *plan = c->plan;
    uint32_t n = plan->ncols, k = 0;
    size_t nulls_len = ((all ? n : count_bits(present, n)) + 7) / 8;
    if (WB_UNLIKELY(nulls_len > (size_t)(c->end - c->p))) return ends_early(d, err);
    const uint8_t *nulls = c->p, *p = c->p + nulls_len;
    for (uint32_t i = 0; i < n; i++) {
        if (WB_UNLIKELY(!all && !bit_of(present, i))) {
            out[i] = (wb_value){.kind = (uint8_t)missing};
            continue;
        }
        if (WB_UNLIKELY(bit_of(nulls, k++))) {
            out[i] = (wb_value){.kind = WB_NULL};
            continue;
        }
        wb_code code = my_value_read(d, plan, i, &p, c->end, &out[i], err);
        if (WB_UNLIKELY(code != WB_OK)) return code;
    }
    c->p = p;
    return WB_OK;
}

/* Where the JSON of the image begins, column by column: the same walk again, only for partial updates. */
static wb_code find_json(my_decoder *d, const uint8_t *image, const uint8_t *present, bool all, wb_error *err)
{
    my_cursor *c = &d->rows_at;
    const my_plan *plan = c->plan;
    uint32_t n = plan->ncols, k = 0;
    if (n > d->cap_before) {
        wb_str *more = realloc(d->before_json, n * sizeof *more);
        if (!more) return my_no_memory(d, err);
        d->before_json = more;
        d->cap_before = n;
    }
    const uint8_t *p = image + ((all ? n : count_bits(present, n)) + 7) / 8;
    for (uint32_t i = 0; i < n; i++) {
        d->before_json[i] = (wb_str){NULL, 0};
        if ((!all && !bit_of(present, i)) || bit_of(image, k++)) continue;
        const uint8_t *start = p;
        wb_value v;
        wb_code code = my_value_read(d, plan, i, &p, c->end, &v, err);
        if (code != WB_OK) return code;
        const my_plan_col *col = &plan->cols[i];
        if (col->op == MY_OP_JSON)
            d->before_json[i] = (wb_str){(const char *)start + col->a, (size_t)(p - start) - col->a};
    }
    return WB_OK;
}

/* The after image of event 39: options, which JSON columns are diffs, then an image. */
static wb_code read_partial(my_decoder *d, const wb_value *before, wb_value *out, wb_error *err)
{
    my_cursor *c = &d->rows_at;
    const my_plan *plan = c->plan;
    uint32_t n = plan->ncols, k = 0, json = 0;
    wb_rd r = wb_rd_of(c->p, (size_t)(c->end - c->p));
    uint64_t options = my_rd_lenenc(&r);
    const uint8_t *partial = options & 1 ? wb_rd_bytes(&r, (plan->njson + 7) / 8) : NULL;
    if (r.failed) return ends_early(d, err);
    if (options > 1)
        return my_bad_event(d, MY_PARTIAL_UPDATE_ROWS, err, "its options are %llu", (unsigned long long)options);
    c->p = r.p;
    if (!partial) return read_image(d, c->present_after, c->all_after, WB_UNCHANGED, out, err);
    const uint8_t *nulls = wb_rd_bytes(&r, ((c->all_after ? n : count_bits(c->present_after, n)) + 7) / 8), *p = r.p;
    if (!nulls) return ends_early(d, err);
    for (uint32_t i = 0; i < n; i++) {
        bool is_json = plan->cols[i].op == MY_OP_JSON, diff = is_json && bit_of(partial, json);
        json += is_json;
        out[i] = (wb_value){.kind = WB_UNCHANGED};
        if (!c->all_after && !bit_of(c->present_after, i)) continue;
        out[i].kind = WB_NULL;
        if (bit_of(nulls, k++)) continue;
        wb_code code = diff ? my_json_diffed(d, i, &p, c->end, &before[i], &out[i], err)
                            : my_value_read(d, plan, i, &p, c->end, &out[i], err);
        if (code != WB_OK) return code;
    }
    c->p = p;
    return WB_OK;
}

/* ---------------------------------------------------------------- one row */

static bool same_value(const wb_value *a, const wb_value *b)
{
    if (a->kind != b->kind || a->flags != b->flags) return false;
    if (a->kind == WB_NULL) return true;
    if (!(a->flags & WB_V_TEXT) && a->kind != WB_BYTES) return a->as.u == b->as.u;
    return a->len == b->len && (a->len == 0 || memcmp(a->as.ptr, b->as.ptr, a->len) == 0);
}

/* What was not sent of the new row is as it was; then: did the key change? MariaDB 11.8 never sends the generated
 * columns of an UPDATE: what they are is not known. */
static void complete(const wb_table *t, my_flavor flavor, const wb_value *before, wb_value *after, bool all,
                     wb_change *c)
{
    for (uint32_t i = 0; !all && i < t->ncols; i++) {
        if (after[i].kind != WB_UNCHANGED) continue;
        if (t->cols[i].flags & WB_COL_GENERATED && flavor == MY_MARIADB)
            after[i].kind = WB_ABSENT;
        else if (before[i].kind != WB_ABSENT)
            after[i] = before[i];
    }
    for (uint32_t k = 0; k < t->nkey; k++) {
        const wb_value *was = &before[t->key[k]], *is = &after[t->key[k]];
        if (was->kind == WB_ABSENT || is->kind <= WB_UNCHANGED || same_value(was, is)) continue;
        c->flags |= WB_C_KEY_CHANGED;
        return;
    }
}

static wb_code too_large(const my_decoder *d, size_t n, wb_error *err)
{
    const my_plan *plan = d->rows_at.plan;
    wb_fail(err, WB_E_LIMIT, WB_NEVER,
            "A row of table %.*s.%.*s at %s:%llu has %zu bytes, more than max_row allows (%zu).", (int)plan->schema.len,
            plan->schema.ptr, (int)plan->name.len, plan->name.ptr, d->log, (unsigned long long)d->rows_at.place, n,
            d->o.max_row);
    wb_hint(err, "Raise max_row in the pipeline file, or leave the table out of `tables`.");
    return WB_E_LIMIT;
}

wb_code my_rows_fit(my_decoder *d, const my_header *h, uint64_t at, bool *pass, wb_error *err)
{
    enum { SLACK = 1024 * 1024 };
    const uint8_t *p;
    shape s;
    *pass = false;
    wb_code code = my_held_read(d, my_held_content(d), at, d->o.window, &p, err);
    if (code != WB_OK) return code;
    p += MY_HEADER_LEN;
    wb_rd r = wb_rd_of(p, d->o.window - MY_HEADER_LEN);
    const my_plan *plan = my_find_id(d, my_rd_table_id(d, h->type, &r));
    if (!plan || !plan->table) { /* that is all there is to say of it */
        *pass = true;
        return my_rows_open(d, h->type, p, d->o.window - MY_HEADER_LEN, err);
    }
    (void)shape_of(h->type, &s);
    if (h->length / (s.op == WB_UPDATE ? 2 : 1) <= d->o.max_row + SLACK) return WB_OK;
    d->rows_at.plan = plan;
    d->rows_at.place = d->place;
    return too_large(d, h->length, err);
}

static wb_code read_update(my_decoder *d, wb_value *before, wb_value *after, wb_error *err)
{
    my_cursor *c = &d->rows_at;
    const uint8_t *image = c->p;
    wb_code code = read_image(d, c->present, c->all, WB_ABSENT, before, err);
    if (code != WB_OK) return code;
    if (WB_UNLIKELY((size_t)(c->p - image) > d->o.max_row)) return too_large(d, (size_t)(c->p - image), err);
    if (!c->partial) return read_image(d, c->present_after, c->all_after, WB_UNCHANGED, after, err);
    if ((code = find_json(d, image, c->present, c->all, err)) != WB_OK) return code;
    return read_partial(d, before, after, err);
}

/* What its rows share, into the batch. */
static void put_event(my_decoder *d, wb_batch *b)
{
    my_cursor *c = &d->rows_at;
    wb_event *e = wb_batch_alloc(b, sizeof *e);
    if (!e) return; /* the batch has failed */
    if (d->query.len && !d->query_put.ptr)
        d->query_put = (wb_str){wb_batch_copy(b, d->query.p, d->query.len), d->query.len};
    *e = (wb_event){.first = c->first, .start = c->start, .query = d->query.len ? d->query_put : (wb_str){"", 0}};
    c->event = e;
}

static wb_code read_row(my_decoder *d, wb_batch *b, wb_error *err)
{
    my_cursor *c = &d->rows_at;
    const wb_table *t = c->plan->table;
    unsigned images = c->op == WB_UPDATE ? 2 : 1;
    wb_value *values = wb_batch_alloc(b, images * t->ncols * sizeof *values), *second = values + t->ncols;
    if (WB_UNLIKELY(!values || wb_batch_failed(b))) return my_no_memory(d, err);
    const uint8_t *start = c->p;
    wb_code code = c->op == WB_UPDATE ? read_update(d, values, second, err)
                                      : read_image(d, c->present, c->all, WB_ABSENT, values, err);
    if (WB_UNLIKELY(code != WB_OK)) return code;
    size_t size = (size_t)(c->p - start);
    if (WB_UNLIKELY(size > images * d->o.max_row)) return too_large(d, size, err);
    if (WB_UNLIKELY(size == 0)) return ends_early(d, err); /* rows of nothing would never end */
    if (WB_UNLIKELY(!c->event)) put_event(d, b);
    wb_batch_table(b, t);
    wb_change *change = wb_batch_change(b);
    change->op = c->op;
    change->table = t;
    change->ordinal = d->ordinal++;
    change->place = c->place;
    change->event = c->event;
    if (c->op == WB_INSERT) {
        change->after = values;
    } else {
        change->before = values;
        if (c->op == WB_UPDATE) {
            change->after = second;
            complete(t, d->format.flavor, values, second, c->all_after && !c->partial, change);
        }
    }
    d->rows++;
    return WB_OK;
}

wb_code my_rows_read(my_decoder *d, wb_batch *b, wb_error *err)
{
    enum { ORDINARY = 256 * 1024 };
    my_cursor *c = &d->rows_at;
    size_t had = wb_batch_count(b);
    while (c->plan) {
        size_t left = (size_t)(c->end - c->p);
        if (WB_UNLIKELY(left > ORDINARY)) { /* a row may be that large */
            size_t need = WB_MIN(left, 2 * d->o.max_row) * 2 + ORDINARY;
            if (d->room < need) {
                d->need = need;
                return wb_batch_count(b) > had ? WB_OK : WB_AGAIN;
            }
        }
        wb_code code = read_row(d, b, err);
        if (WB_UNLIKELY(code != WB_OK)) return code;
        if (c->p == c->end) c->plan = NULL;
        if (wb_batch_full(b)) break;
    }
    return WB_OK;
}

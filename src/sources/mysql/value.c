/* value.c: one value of a row image to a wb_value. The inner loop of the decoder: every column of every row comes
 * through my_value_read. Numbers become numbers, everything that people see as text becomes the text that the server
 * prints. */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>

#include "inside.h"
#include "jsonb.h"
#include "number.h"

enum { CHUNK = 32 * 1024, LONG_TEXT = 16 * 1024 };

/* ---------------------------------------------------------------- room in the batch */

char *my_sink_slow(my_sink *s, size_t n)
{
    char *p = wb_batch_alloc(s->b, n > CHUNK / 4 ? n : CHUNK);
    if (!p || wb_batch_failed(s->b)) return NULL;
    if (n > CHUNK / 4) return p; /* by itself */
    s->cur = p;
    s->end = p + CHUNK;
    return p;
}

/* ---------------------------------------------------------------- what went wrong */

typedef enum trouble { FINE = 0, SHORT, DAMAGED, NO_MEMORY, BAD_TEXT, NO_LABEL, TOO_LONG } trouble;

static wb_code complain(const my_decoder *d, const my_plan *plan, uint32_t col, trouble t, wb_error *err)
{
    const wb_table *table = plan->table;
    wb_str name = table->cols[col].name, type = table->cols[col].type;
    char at[200];
    snprintf(at, sizeof at, "%.*s.%.*s at %.100s:%llu", (int)WB_MIN(table->schema.len, 64), table->schema.ptr,
             (int)WB_MIN(table->name.len, 64), table->name.ptr, d->log, (unsigned long long)d->rows_at.place);
    if (t == NO_MEMORY) return my_no_memory(d, err);
    if (t == BAD_TEXT) {
        wb_fail(err, WB_E_DATA, WB_NEVER,
                "Column %.*s of a row of table %s holds bytes that are no text of its character set (%s).",
                (int)name.len, name.ptr, at, plan->cols[col].charset ? plan->cols[col].charset->name : "utf8mb4");
        wb_hint(err, "Mend the row at the source, or let such bytes become U+FFFD by the option bad_text: replace.");
        return WB_E_DATA;
    }
    if (t == TOO_LONG) {
        wb_fail(err, WB_E_LIMIT, WB_NEVER, "Column %.*s of a row of table %s is larger than max_row allows (%zu).",
                (int)name.len, name.ptr, at, d->o.max_row);
        wb_hint(err, "Raise max_row in the pipeline file, or leave the table out of `tables`.");
        return WB_E_LIMIT;
    }
    if (t == NO_LABEL) {
        wb_fail(err, WB_E_SCHEMA, WB_NEVER,
                "Column %.*s of a row of table %s has a label that its type %.*s does not have.", (int)name.len,
                name.ptr, at, (int)WB_MIN(type.len, 100), type.ptr);
        wb_hint(err, "The columns that are known of the table are not those of this place in the log.");
        return WB_E_SCHEMA;
    }
    wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "A row of table %s %s column %.*s (%.*s).", at,
            t == SHORT ? "ends within" : "holds bytes that are no value of", (int)name.len, name.ptr,
            (int)WB_MIN(type.len, 100), type.ptr);
    wb_hint(err,
            "The log is damaged, or the columns that are known of the table are not those of this place in the log.");
    return WB_E_PROTOCOL;
}

/* ---------------------------------------------------------------- text and bytes */

static inline wb_value text_value(wb_kind kind, const char *q, size_t n)
{
    return (wb_value){.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = (uint32_t)n, .as.ptr = q};
}

/* Through the scratch, so that the batch gets no more than it needs. */
static trouble put_long(my_decoder *d, const my_charset *cs, wb_kind kind, const uint8_t *p, size_t n, wb_value *out)
{
    bool replace = d->o.policy.bad_text == MY_TEXT_REPLACE;
    wb_out_reset(&d->text);
    d->text.limit = n * 3 + 64;
    char *from = wb_out_room(&d->text, n * 3 + 4);
    if (!from) return NO_MEMORY;
    char *end = my_to_utf8(&d->conv, cs, from, p, n, replace);
    if (!end) return BAD_TEXT;
    size_t len = (size_t)(end - from);
    char *q = my_sink_room(&d->sink, len);
    if (!q || len > UINT32_MAX) return NO_MEMORY;
    memcpy(q, from, len);
    my_sink_done(&d->sink, q, q + len);
    *out = text_value(kind, q, len);
    return FINE;
}

static inline trouble put_utf8(my_decoder *d, wb_kind kind, const uint8_t *p, size_t n, wb_value *out)
{
    char *q = my_sink_room(&d->sink, n), *end;
    if (WB_UNLIKELY(!q)) return NO_MEMORY;
    size_t k = my_copy_ascii(q, p, n);
    if (WB_UNLIKELY(k < n)) {
        end = my_to_utf8(&d->conv, my_cs_utf8mb4, q + k, p + k, n - k, false);
        if (!end && d->o.policy.bad_text == MY_TEXT_REPLACE) return put_long(d, my_cs_utf8mb4, kind, p, n, out);
        if (!end) return BAD_TEXT;
    }
    my_sink_done(&d->sink, q, q + n);
    *out = text_value(kind, q, n);
    return FINE;
}

static trouble put_text(my_decoder *d, const my_charset *cs, wb_kind kind, const uint8_t *p, size_t n, wb_value *out)
{
    if (cs->form == MY_CS_UTF8) return put_utf8(d, kind, p, n, out);
    if (n > LONG_TEXT) return put_long(d, cs, kind, p, n, out);
    char *q = my_sink_room(&d->sink, n * 3 + 4);
    if (!q) return NO_MEMORY;
    char *end = my_to_utf8(&d->conv, cs, q, p, n, d->o.policy.bad_text == MY_TEXT_REPLACE);
    if (!end) return BAD_TEXT;
    my_sink_done(&d->sink, q, end);
    *out = text_value(kind, q, (size_t)(end - q));
    return FINE;
}

/* pad: the width of BINARY, whose zeros at the end the log leaves out. */
static trouble put_bytes(my_decoder *d, const uint8_t *p, size_t n, size_t pad, wb_value *out)
{
    size_t len = WB_MAX(n, pad);
    char *q = my_sink_room(&d->sink, len);
    if (WB_UNLIKELY(!q)) return NO_MEMORY;
    if (n) memcpy(q, p, n);
    if (len > n) memset(q + n, 0, len - n);
    my_sink_done(&d->sink, q, q + len);
    *out = (wb_value){.kind = WB_BYTES, .len = (uint32_t)len, .as.ptr = q};
    return FINE;
}

static trouble put_scratch(my_decoder *d, wb_kind kind, wb_value *out)
{
    size_t n = d->text.len;
    char *q = my_sink_room(&d->sink, n);
    if (!q || d->text.failed || n > UINT32_MAX) return NO_MEMORY;
    if (n) memcpy(q, d->text.p, n);
    my_sink_done(&d->sink, q, q + n);
    *out = text_value(kind, q, n);
    return FINE;
}

/* ---------------------------------------------------------------- labels, bits */

static trouble put_enum(my_decoder *d, const my_plan_col *c, uint64_t i, wb_value *out)
{
    if (i > c->nlabels) return NO_LABEL;
    wb_str label = i ? c->labels[i - 1] : WB_STR(""); /* 0: what did not fit when it was stored */
    char *q = my_sink_room(&d->sink, label.len);
    if (!q) return NO_MEMORY;
    if (label.len) memcpy(q, label.ptr, label.len);
    my_sink_done(&d->sink, q, q + label.len);
    *out = text_value(WB_TEXT, q, label.len);
    return FINE;
}

static trouble put_set(my_decoder *d, const my_plan_col *c, uint64_t bits, wb_value *out)
{
    if (c->nlabels < 64 && bits >> c->nlabels) return NO_LABEL;
    size_t room = 0;
    for (uint32_t i = 0; i < c->nlabels; i++)
        if (bits >> i & 1) room += c->labels[i].len + 1;
    char *q = my_sink_room(&d->sink, room), *at = q;
    if (!q) return NO_MEMORY;
    for (uint32_t i = 0; i < c->nlabels; i++) {
        if (!(bits >> i & 1)) continue;
        if (at > q) *at++ = ',';
        memcpy(at, c->labels[i].ptr, c->labels[i].len);
        at += c->labels[i].len;
    }
    my_sink_done(&d->sink, q, at);
    *out = text_value(WB_TEXT, q, (size_t)(at - q));
    return FINE;
}

static trouble put_bits(my_decoder *d, const my_plan_col *c, const uint8_t *p, wb_value *out)
{
    uint64_t v = my_get_be(p, c->n);
    if (c->a < 64 && v >> c->a) return DAMAGED;
    char *q = my_sink_room(&d->sink, c->a);
    if (!q) return NO_MEMORY;
    for (unsigned i = 0; i < c->a; i++) q[i] = (char)('0' + (v >> (c->a - 1 - i) & 1));
    my_sink_done(&d->sink, q, q + c->a);
    *out = text_value(WB_OTHER, q, c->a);
    return FINE;
}

/* ---------------------------------------------------------------- dates and times */

static inline trouble put_time(my_decoder *d, const my_plan_col *c, const uint8_t *p, wb_value *out)
{
    bool odd = false;
    char *q = my_sink_room(&d->sink, MY_TIME_TEXT), *end = NULL;
    if (WB_UNLIKELY(!q)) return NO_MEMORY;
    switch (c->op) {
    case MY_OP_DATE: end = my_put_date(q, p, &odd); break;
    case MY_OP_TIME2: end = my_put_time2(q, p, c->a, &odd); break;
    case MY_OP_DATETIME2: end = my_put_datetime2(q, p, c->a, &odd); break;
    case MY_OP_TIMESTAMP2: end = my_put_timestamp2(q, p, c->a, &d->day, &odd); break;
    case MY_OP_TIME_OLD: end = my_put_time_old(q, p, &odd); break;
    case MY_OP_DATETIME_OLD: end = my_put_datetime_old(q, p, &odd); break;
    default: end = my_put_timestamp_old(q, p, &d->day, &odd); break;
    }
    if (WB_UNLIKELY(!end)) return DAMAGED;
    if (WB_UNLIKELY(odd) && d->o.policy.zero_dates == MY_ZERO_NULL && c->kind != WB_TIME) {
        *out = (wb_value){.kind = WB_NULL};
        return FINE;
    }
    my_sink_done(&d->sink, q, end);
    *out = text_value(odd ? WB_OTHER : (wb_kind)c->kind, q, (size_t)(end - q));
    return FINE;
}

/* ---------------------------------------------------------------- JSON, vectors, addresses */

static trouble put_json(my_decoder *d, const uint8_t *p, size_t n, wb_value *out)
{
    wb_out_reset(&d->text);
    d->text.limit = n * 16 + 4096;
    if (!my_json_text(p, n, &d->text)) return DAMAGED;
    return put_scratch(d, WB_JSON, out);
}

static trouble put_vector(my_decoder *d, const uint8_t *p, size_t n, wb_value *out)
{
    bool odd = false;
    if (n % 4) return DAMAGED;
    wb_out_reset(&d->text);
    d->text.limit = n / 4 * (MY_FLOAT_TEXT + 1) + 64;
    wb_out_byte(&d->text, '[');
    for (size_t i = 0; i < n; i += 4) {
        uint32_t bits = my_get_u32(p + i);
        float f;
        memcpy(&f, &bits, sizeof f);
        odd |= !isfinite(f);
        if (i) wb_out_byte(&d->text, ',');
        char *q = wb_out_room(&d->text, MY_FLOAT_TEXT);
        if (!q) return NO_MEMORY;
        d->text.len += (size_t)(my_put_float(q, f) - q);
    }
    wb_out_byte(&d->text, ']');
    return put_scratch(d, odd ? WB_OTHER : WB_JSON, out);
}

static trouble put_address(my_decoder *d, const my_plan_col *c, const uint8_t *p, size_t n, wb_value *out)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t b[16] = {0};
    size_t size = c->op == MY_OP_INET4 ? 4 : 16;
    if (n > size) return DAMAGED;
    memcpy(b, p, n);
    char *q = my_sink_room(&d->sink, INET6_ADDRSTRLEN), *end = q;
    if (!q) return NO_MEMORY;
    if (c->op == MY_OP_UUID) {
        for (int i = 0; i < 16; i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10) *end++ = '-';
            *end++ = hex[b[i] >> 4];
            *end++ = hex[b[i] & 15];
        }
    } else {
        if (!inet_ntop(c->op == MY_OP_INET4 ? AF_INET : AF_INET6, b, q, INET6_ADDRSTRLEN)) return DAMAGED;
        end = q + strlen(q);
    }
    my_sink_done(&d->sink, q, end);
    *out = text_value((wb_kind)c->kind, q, (size_t)(end - q));
    return FINE;
}

/* ---------------------------------------------------------------- MariaDB's compressed columns */

static trouble put_compressed(my_decoder *d, const my_plan_col *c, const uint8_t *p, size_t n, wb_value *out)
{
    const uint8_t *bytes = p;
    size_t len = n;
    if (n > 0 && p[0] == 0) { /* as it is */
        bytes++;
        len--;
    } else if (n > 0) {
        unsigned k = p[0] & 7;
        if ((p[0] & 0xf0) != 0x80 || k == 0 || k > 4 || n < 1 + k) return DAMAGED;
        len = (size_t)my_get_be(p + 1, k);
        if (len > d->o.max_row) return TOO_LONG;
        if (len > d->column_cap) {
            uint8_t *more = realloc(d->column, len);
            if (!more) return NO_MEMORY;
            d->column = more;
            d->column_cap = len;
        }
        if (!my_inflate_raw(p + 1 + k, n - 1 - k, (char *)d->column, len, !(p[0] & 8))) return DAMAGED;
        bytes = d->column;
    }
    if (c->charset->form == MY_CS_BINARY) return put_bytes(d, bytes, len, 0, out);
    return put_text(d, c->charset, WB_TEXT, bytes, len, out);
}

/* ---------------------------------------------------------------- one value */

static trouble put_with_length(my_decoder *d, const my_plan_col *c, const uint8_t **at, const uint8_t *end,
                               wb_value *out)
{
    const uint8_t *p = *at;
    if (WB_UNLIKELY((size_t)(end - p) < c->a)) return SHORT;
    size_t n = c->a == 1 ? p[0] : c->a == 2 ? my_get_u16(p) : (size_t)my_get_le(p, c->a);
    p += c->a;
    if (WB_UNLIKELY(n > (size_t)(end - p))) return SHORT;
    *at = p + n;
    if (WB_UNLIKELY(n > d->o.max_row)) return TOO_LONG;
    switch (c->op) {
    case MY_OP_UTF8: return put_utf8(d, (wb_kind)c->kind, p, n, out);
    case MY_OP_TEXT: return put_text(d, c->charset, (wb_kind)c->kind, p, n, out);
    case MY_OP_BYTES: return put_bytes(d, p, n, c->n, out);
    case MY_OP_JSON: return put_json(d, p, n, out);
    case MY_OP_VECTOR: return put_vector(d, p, n, out);
    case MY_OP_COMPRESSED: return put_compressed(d, c, p, n, out);
    default: return put_address(d, c, p, n, out);
    }
}

static inline void put_int(wb_value *out, int64_t v) { *out = (wb_value){.kind = WB_INT, .as.i = v}; }
static inline void put_uint(wb_value *out, uint64_t v) { *out = (wb_value){.kind = WB_UINT, .as.u = v}; }

static inline void put_number(uint8_t op, const uint8_t *p, wb_value *out)
{
    switch (op) {
    case MY_OP_I8: put_int(out, (int8_t)p[0]); break;
    case MY_OP_I16: put_int(out, (int16_t)my_get_u16(p)); break;
    case MY_OP_I24: put_int(out, (int32_t)((uint32_t)my_get_le(p, 3) << 8) / 256); break;
    case MY_OP_I32: put_int(out, (int32_t)my_get_u32(p)); break;
    case MY_OP_I64: put_int(out, (int64_t)my_get_u64(p)); break;
    case MY_OP_U8: put_uint(out, p[0]); break;
    case MY_OP_U16: put_uint(out, my_get_u16(p)); break;
    case MY_OP_U24: put_uint(out, my_get_le(p, 3)); break;
    case MY_OP_U32: put_uint(out, my_get_u32(p)); break;
    case MY_OP_U64: put_uint(out, my_get_u64(p)); break;
    default: put_int(out, p[0] ? 1900 + p[0] : 0); break; /* YEAR */
    }
}

static trouble put_float(my_decoder *d, const uint8_t *p, wb_value *out)
{
    uint32_t bits = my_get_u32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    char *q = my_sink_room(&d->sink, MY_FLOAT_TEXT);
    if (!q) return NO_MEMORY;
    char *end = my_put_float(q, f);
    my_sink_done(&d->sink, q, end);
    *out = text_value(WB_FLOAT, q, (size_t)(end - q));
    return FINE;
}

static inline trouble put_decimal(my_decoder *d, const my_plan_col *c, const uint8_t *p, wb_value *out)
{
    char *q = my_sink_room(&d->sink, MY_DECIMAL_TEXT);
    if (WB_UNLIKELY(!q)) return NO_MEMORY;
    char *end = my_put_decimal(q, p, c->a, c->b);
    if (WB_UNLIKELY(!end)) return DAMAGED;
    my_sink_done(&d->sink, q, end);
    *out = text_value(WB_DECIMAL, q, (size_t)(end - q));
    return FINE;
}

/* The value at p, of `size` bytes that are there. */
static inline trouble put_fixed(my_decoder *d, const my_plan_col *c, const uint8_t *p, wb_value *out)
{
    double f;
    uint64_t bits;
    switch (c->op) {
    case MY_OP_FLOAT: return put_float(d, p, out);
    case MY_OP_DOUBLE:
        bits = my_get_u64(p);
        memcpy(&f, &bits, sizeof f);
        *out = (wb_value){.kind = WB_FLOAT, .as.f = f};
        return FINE;
    case MY_OP_DECIMAL: return put_decimal(d, c, p, out);
    case MY_OP_ENUM: return put_enum(d, c, my_get_le(p, c->n), out);
    case MY_OP_SET: return put_set(d, c, my_get_le(p, c->n), out);
    case MY_OP_BIT: return put_bits(d, c, p, out);
    default: return put_time(d, c, p, out);
    }
}

/* Bytes of what has no length of its own; 0: the plan says it. */
static const uint8_t fixed_size[] = {
    [MY_OP_I8] = 1,    [MY_OP_I16] = 2,          [MY_OP_I24] = 3,           [MY_OP_I32] = 4,       [MY_OP_I64] = 8,
    [MY_OP_U8] = 1,    [MY_OP_U16] = 2,          [MY_OP_U24] = 3,           [MY_OP_U32] = 4,       [MY_OP_U64] = 8,
    [MY_OP_FLOAT] = 4, [MY_OP_DOUBLE] = 8,       [MY_OP_YEAR] = 1,          [MY_OP_DATE] = 3,      [MY_OP_TIME_OLD] = 3,
    [MY_OP_BIT] = 0,   [MY_OP_DATETIME_OLD] = 8, [MY_OP_TIMESTAMP_OLD] = 4, [MY_OP_COMPRESSED] = 0};

static inline bool has_length(uint8_t op)
{
    return op == MY_OP_UTF8 || op == MY_OP_TEXT || op == MY_OP_BYTES || op >= MY_OP_JSON;
}

wb_code my_value_read(my_decoder *d, const my_plan *plan, uint32_t col, const uint8_t **at, const uint8_t *end,
                      wb_value *out, wb_error *err)
{
    const my_plan_col *c = &plan->cols[col];
    trouble t;
    if (has_length(c->op)) {
        t = put_with_length(d, c, at, end, out);
    } else {
        const uint8_t *p = *at;
        size_t size = fixed_size[c->op] ? fixed_size[c->op] : c->n;
        if (WB_UNLIKELY(size > (size_t)(end - p))) return complain(d, plan, col, SHORT, err);
        *at = p + size;
        if (c->op <= MY_OP_U64 || c->op == MY_OP_YEAR) {
            put_number(c->op, p, out);
            return WB_OK;
        }
        t = put_fixed(d, c, p, out);
    }
    return WB_LIKELY(t == FINE) ? WB_OK : complain(d, plan, col, t, err);
}

/* ---------------------------------------------------------------- partial updates of JSON */

static wb_code no_before(const my_decoder *d, const my_plan *plan, uint32_t col, const char *why, wb_error *err)
{
    wb_str name = plan->table->cols[col].name;
    wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
            "An update of table %.*s.%.*s at %s:%llu has only what changed within the JSON column %.*s, and %s.",
            (int)plan->schema.len, plan->schema.ptr, (int)plan->name.len, plan->name.ptr, d->log,
            (unsigned long long)d->rows_at.place, (int)name.len, name.ptr, why);
    wb_hint(
        err,
        "SET GLOBAL binlog_row_value_options = '' (or binlog_row_image = FULL) makes later updates whole; what is in "
        "the log already needs a new snapshot of the table.");
    return WB_E_UNSUPPORTED;
}

wb_code my_json_diffed(my_decoder *d, uint32_t col, const uint8_t **at, const uint8_t *end, const wb_value *before,
                       wb_value *out, wb_error *err)
{
    const my_plan *plan = d->rows_at.plan;
    if (end - *at < 4) return complain(d, plan, col, SHORT, err);
    size_t n = my_get_u32(*at);
    const uint8_t *p = *at + 4;
    if (n > (size_t)(end - p)) return complain(d, plan, col, SHORT, err);
    *at = p + n;
    if (n == 0 && before && before->kind != WB_ABSENT) {
        *out = *before; /* nothing changed */
        return WB_OK;
    }
    wb_str doc = d->before_json[col];
    if (!doc.ptr) return no_before(d, plan, col, "the row before is not in the log", err);
    wb_arena_reset(&d->arena);
    wb_out_reset(&d->text);
    d->text.limit = (doc.len + n) * 16 + 4096;
    const char *why = my_json_apply(doc.ptr, doc.len, p, n, &d->arena, &d->text);
    if (why) return no_before(d, plan, col, why, err);
    trouble t = put_scratch(d, WB_JSON, out);
    return t == FINE ? WB_OK : complain(d, plan, col, t, err);
}

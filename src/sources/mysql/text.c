/* text.c: fields of the SQL protocol to the values that the log gives for them, so that a snapshot and the stream show
 * the same bytes. Called by the snapshot for every field. */
#include <errno.h>
#include <stdio.h>

#include "number.h"
#include "temporal.h"
#include "types.h"
#include "wire.h"

static wb_code bad_field(const wb_table *t, uint32_t col, const char *p, size_t n, wb_error *err)
{
    const wb_column *c = &t->cols[col];
    return wb_fail(err, WB_E_DATA, WB_NEVER,
                   "The server sent '%.*s' as a value of column %.*s (%.*s) of table %.*s.%.*s.",
                   (int)WB_MIN(n, (size_t)60), p, (int)c->name.len, c->name.ptr, (int)WB_MIN(c->type.len, 60),
                   c->type.ptr, (int)t->schema.len, t->schema.ptr, (int)t->name.len, t->name.ptr);
}

static wb_code take_text(wb_kind kind, const char *p, size_t n, wb_batch *b, wb_value *out, wb_error *err)
{
    const char *q = wb_batch_copy(b, p, n);
    if (wb_batch_failed(b))
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a value of %zu bytes.", n);
    *out = (wb_value){.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = (uint32_t)n, .as.ptr = q};
    return WB_OK;
}

static wb_code take_bytes(const char *p, size_t n, wb_batch *b, wb_value *out, wb_error *err)
{
    wb_code code = take_text(WB_BYTES, p, n, b, out, err);
    out->flags = 0;
    return code;
}

/* ---------------------------------------------------------------- numbers */

static bool read_digits(const char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    if (n == 0) return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(p[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

static bool read_int(wb_kind kind, const char *p, size_t n, wb_value *out)
{
    bool minus = n > 0 && *p == '-';
    uint64_t v;
    if (!read_digits(p + minus, n - minus, &v)) return false;
    if (kind == WB_UINT) {
        *out = (wb_value){.kind = WB_UINT, .as.u = v};
        return !minus;
    }
    if (v > (uint64_t)INT64_MAX + minus) return false;
    *out = (wb_value){.kind = WB_INT, .as.i = minus ? (int64_t)(0 - v) : (int64_t)v};
    return true;
}

static wb_code take_float(const wb_table *t, uint32_t col, const char *p, size_t n, wb_batch *b, wb_value *out,
                          wb_error *err)
{
    char text[64], *end, q[MY_FLOAT_TEXT];
    if (n >= sizeof text || n == 0) return bad_field(t, col, p, n, err);
    memcpy(text, p, n);
    text[n] = 0;
    double f = strtod(text, &end);
    if (*end) return bad_field(t, col, p, n, err);
    if (t->cols[col].type_id == MY_T_DOUBLE) {
        *out = (wb_value){.kind = WB_FLOAT, .as.f = f};
        return WB_OK;
    }
    return take_text(WB_FLOAT, q, (size_t)(my_put_float(q, (float)f) - q), b, out, err);
}

/* ZEROFILL fills the text, not the value. */
static wb_code take_decimal(const char *p, size_t n, wb_batch *b, wb_value *out, wb_error *err)
{
    while (n > 1 && p[0] == '0' && p[1] >= '0' && p[1] <= '9') {
        p++;
        n--;
    }
    return take_text(WB_DECIMAL, p, n, b, out, err);
}

static wb_code take_bits(const wb_table *t, uint32_t col, const char *p, size_t n, wb_batch *b, wb_value *out,
                         wb_error *err)
{
    int32_t bits = t->cols[col].type_mod;
    char text[64];
    if (n == 0 || n > 8 || bits < 1 || bits > 64) return bad_field(t, col, p, n, err);
    uint64_t v = my_get_be((const uint8_t *)p, (unsigned)n);
    for (int32_t i = 0; i < bits; i++) text[i] = (char)('0' + (v >> (bits - 1 - i) & 1));
    return take_text(WB_OTHER, text, (size_t)bits, b, out, err);
}

static wb_code take_vector(const wb_table *t, uint32_t col, const char *p, size_t n, wb_batch *b, wb_value *out,
                           wb_error *err)
{
    wb_out o = {.limit = n / 4 * (MY_FLOAT_TEXT + 1) + 64};
    bool odd = false;
    if (n % 4) return bad_field(t, col, p, n, err);
    wb_out_byte(&o, '[');
    for (size_t i = 0; i < n; i += 4) {
        uint32_t bits = my_get_u32((const uint8_t *)p + i);
        float f;
        char text[MY_FLOAT_TEXT];
        memcpy(&f, &bits, sizeof f);
        odd |= (bits & 0x7f800000) == 0x7f800000;
        if (i) wb_out_byte(&o, ',');
        wb_out_put(&o, text, (size_t)(my_put_float(text, f) - text));
    }
    wb_out_byte(&o, ']');
    wb_code code = o.failed ? wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a value of %zu bytes.", n)
                            : take_text(odd ? WB_OTHER : WB_JSON, o.p, o.len, b, out, err);
    wb_out_fini(&o);
    return code;
}

/* ---------------------------------------------------------------- dates and times */

static unsigned two(const char *p) { return (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0'); }

/* "YYYY-MM-DD…": a day that ISO 8601 has? */
static bool is_real(const char *p, size_t n)
{
    return n >= 10 && my_is_real_date(two(p) * 100 + two(p + 2), two(p + 5), two(p + 8));
}

static wb_code take_time(wb_kind kind, const char *p, size_t n, const my_policy *policy, wb_batch *b, wb_value *out,
                         wb_error *err)
{
    if (kind == WB_TIME) {
        bool odd = *p == '-' || n < 8 || p[2] != ':' || two(p) > 23;
        return take_text(odd ? WB_OTHER : WB_TIME, p, n, b, out, err);
    }
    if (!is_real(p, n)) {
        if (policy && policy->zero_dates == MY_ZERO_NULL) {
            *out = (wb_value){.kind = WB_NULL};
            return WB_OK;
        }
        return take_text(WB_OTHER, p, n, b, out, err);
    }
    if (kind != WB_TIMESTAMPTZ) return take_text(kind, p, n, b, out, err);
    char text[MY_TIME_TEXT];
    if (n > sizeof text - 3) n = sizeof text - 3;
    memcpy(text, p, n);
    memcpy(text + n, "+00", 3);
    return take_text(kind, text, n + 3, b, out, err);
}

/* ---------------------------------------------------------------- all */

wb_code my_value_of_text(const wb_table *t, uint32_t col, const char *p, size_t n, const my_policy *policy, wb_batch *b,
                         wb_value *out, wb_error *err)
{
    const wb_column *c = &t->cols[col];
    switch ((wb_kind)c->kind) {
    case WB_INT:
    case WB_UINT: return read_int((wb_kind)c->kind, p, n, out) ? WB_OK : bad_field(t, col, p, n, err);
    case WB_FLOAT: return take_float(t, col, p, n, b, out, err);
    case WB_DECIMAL: return take_decimal(p, n, b, out, err);
    case WB_DATE:
    case WB_TIME:
    case WB_TIMESTAMP:
    case WB_TIMESTAMPTZ:
        return n ? take_time((wb_kind)c->kind, p, n, policy, b, out, err) : bad_field(t, col, p, n, err);
    case WB_BYTES: return take_bytes(p, n, b, out, err);
    case WB_OTHER:
        if (c->type_id == MY_T_BIT) return take_bits(t, col, p, n, b, out, err);
        break;
    case WB_JSON:
        if (c->type_id == MY_T_VECTOR) return take_vector(t, col, p, n, b, out, err);
        break;
    default: break;
    }
    return take_text((wb_kind)c->kind, p, n, b, out, err);
}

void my_select_expression(const wb_table *t, uint32_t col, my_flavor flavor, wb_out *out)
{
    const wb_column *c = &t->cols[col];
    WB_UNUSED(flavor);
    bool is_float = c->kind == WB_FLOAT && c->type_id == MY_T_FLOAT; /* 6 digits only, unless it is made a double */
    if (is_float) wb_out_byte(out, '(');
    wb_out_byte(out, '`');
    for (size_t i = 0; i < c->source_name.len; i++) {
        if (c->source_name.ptr[i] == '`') wb_out_byte(out, '`');
        wb_out_byte(out, c->source_name.ptr[i]);
    }
    wb_out_byte(out, '`');
    if (is_float) wb_out_z(out, " + 0e0)");
}

/* debezium_value.c: one value as the field that its column became. Called per column of a row by debezium.c. */
#include "formats/debezium.h"

#include <math.h>

#include "base/calendar.h"

static wb_code refuse(const wb_value *v, const char *what, wb_error *err)
{
    bool text = v->flags & WB_V_TEXT;
    return wb_fail(err, WB_E_DATA, WB_POISON, "A value cannot be written as %s: %.*s", what,
                   text ? (int)WB_MIN(v->len, 60u) : 1, text ? v->as.ptr : "?");
}

static void put_null(wb_out *o) { wb_out_put(o, "null", 4); }

static const wb_json_options plain = {.hex = false};

/* Its text, quoted. */
static wb_code put_quoted(const wb_value *v, wb_out *o, wb_error *err)
{
    if (!(v->flags & WB_V_TEXT) && v->kind != WB_BYTES) { /* a number as text: json.c quotes what is a time */
        bool bare = v->kind == WB_INT || v->kind == WB_UINT || v->kind == WB_FLOAT || v->kind == WB_BOOL;
        if (bare) wb_out_byte(o, '"');
        wb_code code = wb_json_value(o, v, &plain, err);
        if (bare) wb_out_byte(o, '"');
        return code;
    }
    dbz_string(o, (wb_str){v->as.ptr, v->len});
    return WB_OK;
}

/* ---------------------------------------------------------------- bytes */

void dbz_put_binary(const dbz *d, wb_out *o, const void *p, size_t n)
{
    wb_out_byte(o, '"');
    if (d->binary == DBZ_HEX) {
        wb_json_hex(o, p, n);
    } else {
        size_t at = o->len;
        wb_json_base64(o, p, n);
        if (d->binary == DBZ_BASE64_URL && !o->failed)
            for (; at < o->len; at++) o->p[at] = o->p[at] == '+' ? '-' : o->p[at] == '/' ? '_' : o->p[at];
    }
    wb_out_byte(o, '"');
}

static wb_code put_bytes(dbz *d, const wb_value *v, wb_out *o, wb_error *err)
{
    if (v->kind != WB_BYTES || !(v->flags & WB_V_TEXT)) {
        dbz_put_binary(d, o, v->as.ptr, v->len);
        return WB_OK;
    }
    if (v->len < 2 || v->len % 2 || v->as.ptr[0] != '\\') return refuse(v, "bytes", err);
    if (d->binary <= DBZ_BASE64) { /* the usual one, without a copy */
        wb_json_options opt = {.hex = false};
        return wb_json_value(o, v, &opt, err);
    }
    wb_out_reset(&d->scratch);
    size_t n = v->len / 2 - 1;
    uint8_t *q = (uint8_t *)wb_out_room(&d->scratch, n + 1);
    if (q && !wb_unhex(q, v->as.ptr + 2, 2 * n)) return refuse(v, "bytes", err);
    dbz_put_binary(d, o, q, n);
    return WB_OK;
}

/* Bits, least significant byte first, without the zero bytes at its end. */
static wb_code put_bits(dbz *d, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    wb_out_reset(&d->scratch);
    size_t n = ((size_t)v->len + 7) / 8;
    char *q = wb_out_room(&d->scratch, n + 1);
    if (!q) return refuse(v, "bits", err);
    memset(q, 0, n + 1);
    if (v->flags & WB_V_TEXT) {
        for (size_t i = 0; i < v->len; i++) {
            size_t bit = v->len - 1 - i;
            if (v->as.ptr[i] != '0' && v->as.ptr[i] != '1') return refuse(v, "bits", err);
            if (v->as.ptr[i] == '1') q[bit / 8] = (char)(q[bit / 8] | 1 << bit % 8);
        }
    } else if (v->kind == WB_BYTES) {
        n = v->len;
        q = wb_out_room(&d->scratch, n + 1);
        for (size_t i = 0; q && i < n; i++) q[i] = v->as.ptr[n - 1 - i];
    } else {
        n = 8;
        q = wb_out_room(&d->scratch, 8);
        for (size_t i = 0; q && i < 8; i++) q[i] = (char)(v->as.u >> 8 * i);
    }
    if (!q) return refuse(v, "bits", err);
    if (f->width) { /* MySQL: as many bytes as the column has */
        char *whole = n < (size_t)f->width ? wb_out_room(&d->scratch, (size_t)f->width) : q;
        if (!whole) return refuse(v, "bits", err);
        if (n < (size_t)f->width) memset(whole + n, 0, (size_t)f->width - n);
        q = whole;
        n = (size_t)f->width;
    } else {
        while (n && !q[n - 1]) n--;
    }
    wb_out_byte(o, '"');
    wb_json_base64(o, q, n);
    wb_out_byte(o, '"');
    return WB_OK;
}

/* ---------------------------------------------------------------- decimals */

static bool word(const char *p, size_t n, const char *want) { return n == strlen(want) && memcmp(p, want, n) == 0; }

/* "-$1,234.56", "1.234,56 €", "(¥1,234)": digits, and a point where the last separator has one or two digits after it.
 */
static wb_str money_number(dbz *d, const char *p, size_t n)
{
    wb_out *o = &d->changed;
    size_t last = 0, after = 0;
    bool negative = false;
    for (size_t i = 0; i < n; i++) {
        bool digit = (uint8_t)(p[i] - '0') <= 9;
        if (digit) after++;
        if (p[i] == '.' || p[i] == ',') {
            last = i;
            after = 0;
        }
        negative |= p[i] == '-' || p[i] == '(';
    }
    bool fraction = last && after > 0 && after < 3;
    wb_out_reset(o);
    if (negative) wb_out_byte(o, '-');
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)(p[i] - '0') <= 9)
            wb_out_byte(o, p[i]);
        else if (fraction && i == last)
            wb_out_byte(o, '.');
    return (wb_str){o->p, o->len};
}

static wb_code put_decimal(dbz *d, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    wb_str s = {v->as.ptr, v->len};
    char number[24];
    if (!(v->flags & WB_V_TEXT)) { /* an unsigned bigint */
        char *e = v->kind == WB_UINT ? wb_json_put_u64(number, v->as.u) : wb_json_put_i64(number, v->as.i);
        s = (wb_str){number, (size_t)(e - number)};
    }
    if (f->money) s = money_number(d, s.ptr, s.len);
    bool nan = word(s.ptr, s.len, "NaN"), up = word(s.ptr, s.len, "Infinity"), down = word(s.ptr, s.len, "-Infinity");
    int scale = f->scale;
    switch (f->conv) {
    case DBZ_DECIMAL_TEXT:
        wb_out_byte(o, '"');
        if (nan || up || down)
            wb_out_z(o, nan ? "NAN" : up ? "POSITIVE_INFINITY" : "NEGATIVE_INFINITY");
        else
            dbz_escape(o, s.ptr, s.len);
        wb_out_byte(o, '"');
        return WB_OK;
    case DBZ_DECIMAL_DOUBLE: {
        char *end = NULL;
        wb_out_reset(&d->scratch);
        wb_out_str(&d->scratch, s);
        wb_out_byte(&d->scratch, 0);
        dbz_put_double(o, d->scratch.failed ? 0 : strtod(d->scratch.p, &end));
        return WB_OK;
    }
    case DBZ_UNSCALED:
        if (nan || up || down)
            put_null(o);
        else if (!dbz_put_unscaled(d, o, s.ptr, s.len, false, &scale))
            return refuse(v, "a decimal of the column's scale", err);
        return WB_OK;
    default: {
        if (nan || up || down) {
            put_null(o);
            return WB_OK;
        }
        wb_out *number_text = &d->changed; /* first, because the scale stands before it */
        wb_out_reset(number_text);
        if (!dbz_put_unscaled(d, number_text, s.ptr, s.len, true, &scale)) return refuse(v, "a decimal", err);
        wb_out_z(o, "{\"scale\":");
        wb_out_i64(o, scale);
        wb_out_z(o, ",\"value\":");
        wb_out_put(o, number_text->p, number_text->len);
        if (number_text->failed) o->failed = true;
        wb_out_byte(o, '}');
        return WB_OK;
    }
    }
}

/* ---------------------------------------------------------------- dates and times */

static int64_t floor_div(int64_t v, int64_t by) { return v / by - (v % by < 0); }

static void put_units(const dbz_field *f, int64_t us, wb_out *o)
{
    bool ends = us == INT64_MAX || us == INT64_MIN; /* infinity stays the largest or smallest */
    if (f->scale < 0) {
        wb_out_i64(o, ends ? us : floor_div(us, -f->scale));
    } else if (f->scale > 1 && !ends) {
        int64_t v;
        if (__builtin_mul_overflow(us, (int64_t)f->scale, &v))
            put_null(o); /* nanoseconds hold the years 1677 to 2262 */
        else
            wb_out_i64(o, v);
    } else {
        wb_out_i64(o, us);
    }
}

static wb_code put_stamp_text(const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    int64_t days, us;
    if (!dbz_split(v, &days, &us)) return refuse(v, "a time", err);
    wb_out_byte(o, '"');
    if (days == INT64_MAX || days == INT64_MIN) {
        wb_out_z(o, days > 0 ? "infinity" : "-infinity");
    } else {
        dbz_put_iso_date(o, days);
        wb_out_byte(o, 'T');
        dbz_put_iso_clock(o, us, f->digits);
        wb_out_byte(o, 'Z');
    }
    wb_out_byte(o, '"');
    return WB_OK;
}

static wb_code put_time(dbz *d, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    int64_t n;
    WB_UNUSED(d);
    bool clock = f->conv == DBZ_TIME || f->conv == DBZ_TIME_ISO;
    if (WB_UNLIKELY(f->lossy && v->kind == WB_OTHER) &&
        !(f->conv == DBZ_TIME && f->scale > 0)) {                 /* no date, or no time of a day */
        bool fits = clock && dbz_micros(v, &n) && n == WB_DAY_US; /* 24:00:00 does */
        if (!fits) {
            put_null(o);
            return WB_OK;
        }
    }
    switch (f->conv) {
    case DBZ_DATE:
        if (!dbz_days(v, &n)) return refuse(v, "a date", err);
        wb_out_i64(o, WB_MAX(WB_MIN(n, (int64_t)INT32_MAX), (int64_t)INT32_MIN));
        return WB_OK;
    case DBZ_DATE_ISO:
        if (!dbz_days(v, &n)) return refuse(v, "a date", err);
        wb_out_byte(o, '"');
        if (n == INT64_MAX || n == INT64_MIN)
            wb_out_z(o, n > 0 ? "infinity" : "-infinity");
        else {
            dbz_put_iso_date(o, n);
            wb_out_byte(o, 'Z');
        }
        wb_out_byte(o, '"');
        return WB_OK;
    case DBZ_TIME_ISO:
        if (!dbz_micros(v, &n) || n < 0) return refuse(v, "a time", err);
        wb_out_byte(o, '"');
        dbz_put_iso_clock(o, n, -1);
        wb_out_z(o, "Z\"");
        return WB_OK;
    case DBZ_ZONED_TIME:
        if (!(v->flags & WB_V_TEXT) || !dbz_zoned_time(o, v->as.ptr, v->len)) return refuse(v, "a time", err);
        return WB_OK;
    case DBZ_TIME:
    case DBZ_STAMP:
        if (!dbz_micros(v, &n)) return refuse(v, "a time", err);
        put_units(f, n, o);
        return WB_OK;
    default: return put_stamp_text(f, v, o, err);
    }
}

static wb_code put_text_form(dbz *d, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    const char *p = v->as.ptr;
    int64_t us;
    if (!(v->flags & WB_V_TEXT)) return refuse(v, f->type, err);
    switch (f->conv) {
    case DBZ_INTERVAL:
        if (!dbz_interval(p, v->len, &us)) return refuse(v, "an interval", err);
        wb_out_i64(o, us);
        return WB_OK;
    case DBZ_INTERVAL_ISO:
        if (!dbz_interval_iso(o, p, v->len)) return put_quoted(v, o, err); /* infinity (PostgreSQL 17) */
        return WB_OK;
    case DBZ_HSTORE_JSON:
    case DBZ_HSTORE_MAP:
        if (!dbz_put_hstore(o, p, v->len, f->conv == DBZ_HSTORE_JSON, &d->scratch)) return refuse(v, "an hstore", err);
        return WB_OK;
    case DBZ_ARRAY:
        if (!dbz_put_array(d, f, p, v->len, o, err)) return refuse(v, "an array", err);
        return err && err->code != WB_OK ? err->code : WB_OK;
    default:
        if (!dbz_put_geometry(o, (dbz_conv)f->conv, p, v->len, &d->scratch)) return refuse(v, "a geometry", err);
        return WB_OK;
    }
}

wb_code dbz_put(dbz *d, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    if (v->kind <= WB_NULL) {
        put_null(o);
        return WB_OK;
    }
    switch (f->conv) {
    case DBZ_PLAIN:
        if (WB_UNLIKELY(v->kind == WB_FLOAT)) {
            size_t at = o->len;
            wb_code code = wb_json_value(o, v, &plain, err);
            dbz_java_number(o, at, strcmp(f->type, "float") == 0);
            return code;
        }
        if (WB_LIKELY(wb_json_small(v))) {
            char *q = wb_out_room(o, wb_json_room(v)), *e = q ? wb_json_put(q, v, &plain) : NULL;
            if (WB_LIKELY(e != NULL)) {
                o->len += (size_t)(e - q);
                return WB_OK;
            }
        }
        return wb_json_value(o, v, &plain, err);
    case DBZ_QUOTED: return put_quoted(v, o, err);
    case DBZ_BYTES: return put_bytes(d, v, o, err);
    case DBZ_TEXT_BYTES: dbz_put_binary(d, o, v->as.ptr, v->len); return WB_OK;
    case DBZ_UNSCALED:
    case DBZ_SCALED:
    case DBZ_DECIMAL_TEXT:
    case DBZ_DECIMAL_DOUBLE: return put_decimal(d, f, v, o, err);
    case DBZ_BIT:
        wb_out_z(o, (v->flags & WB_V_TEXT ? v->len && v->as.ptr[v->len - 1] == '1' : v->as.u != 0) ? "true" : "false");
        return WB_OK;
    case DBZ_VECTOR: dbz_put_floats(o, v->as.ptr, v->len); return WB_OK;
    case DBZ_FLOAT_WIDE: return dbz_put_wide(o, v) ? WB_OK : refuse(v, "a number", err);
    case DBZ_TRUTH: wb_out_z(o, v->as.i > 0 ? "true" : "false"); return WB_OK;
    case DBZ_WKB_POINT:
    case DBZ_WKB:
        if (!dbz_put_wkb(o, v, f->conv == DBZ_WKB_POINT)) return refuse(v, "a geometry", err);
        return WB_OK;
    case DBZ_BITS: return put_bits(d, f, v, o, err);
    case DBZ_LONG_WRAP: {
        uint64_t u = v->as.u;
        if (v->flags & WB_V_TEXT) {
            u = 0;
            for (uint32_t i = 0; i < v->len; i++) u = u * 10 + (uint64_t)(v->as.ptr[i] - '0');
        }
        wb_out_i64(o, (int64_t)u);
        return WB_OK;
    }
    default:
        return f->conv >= DBZ_DATE && f->conv <= DBZ_ZONED_TIME ? put_time(d, f, v, o, err)
                                                                : put_text_form(d, f, v, o, err);
    }
}

/* ---------------------------------------------------------------- what was not sent */

/* The placeholder in the form of the field: Debezium's consumers look for it. */
void dbz_put_unavailable(dbz *d, const dbz_field *f, wb_out *o)
{
    const char *p = d->unavailable;
    size_t n = strlen(p);
    switch (f->conv) {
    case DBZ_QUOTED:
    case DBZ_DECIMAL_TEXT:
    case DBZ_ZONED:
    case DBZ_DATE_ISO:
    case DBZ_STAMP_ISO: dbz_string(o, (wb_str){p, n}); return;
    case DBZ_BYTES:
    case DBZ_TEXT_BYTES: dbz_put_binary(d, o, p, n); return;
    case DBZ_UNSCALED:
    case DBZ_BITS:
    case DBZ_SCALED:
        if (f->conv == DBZ_SCALED) wb_out_z(o, "{\"scale\":0,\"value\":");
        wb_out_byte(o, '"');
        wb_json_base64(o, p, n);
        wb_out_byte(o, '"');
        if (f->conv == DBZ_SCALED) wb_out_byte(o, '}');
        return;
    case DBZ_HSTORE_JSON: {
        wb_out *inner = &d->scratch;
        wb_out_reset(inner);
        wb_out_byte(inner, '{');
        dbz_string(inner, (wb_str){p, n});
        wb_out_byte(inner, ':');
        dbz_string(inner, (wb_str){p, n});
        wb_out_byte(inner, '}');
        dbz_string(o, (wb_str){inner->p, inner->len});
        return;
    }
    case DBZ_HSTORE_MAP:
        wb_out_byte(o, '{');
        dbz_string(o, (wb_str){p, n});
        wb_out_byte(o, ':');
        dbz_string(o, (wb_str){p, n});
        wb_out_byte(o, '}');
        return;
    case DBZ_ARRAY:
        wb_out_byte(o, '[');
        if (f->kind == WB_INT || f->kind == WB_UINT) {
            for (size_t i = 0; i < n; i++) {
                if (i) wb_out_byte(o, ',');
                wb_out_i64(o, (signed char)p[i]);
            }
        } else if (f->of == DBZ_BYTES) {
            dbz_put_binary(d, o, p, n);
        } else if (f->of == DBZ_QUOTED || f->of == DBZ_DECIMAL_TEXT || f->of == DBZ_ZONED) {
            dbz_string(o, (wb_str){p, n});
        }
        wb_out_byte(o, ']');
        return;
    default: put_null(o);
    }
}

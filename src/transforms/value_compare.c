/* value_compare.c: values against what a person wrote in a filter, by kind: decimals digit by digit, times as
 * microseconds, text byte by byte. Used by filter.c. Pure. */
#include "base/calendar.h"
#include "transforms/value.h"

#include <math.h>
#include <strings.h>

static int sign_of(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* ---------------------------------------------------------------- decimals */

static bool digits_run(const char **p, const char *end, wb_str *out)
{
    out->ptr = *p;
    while (*p < end && **p >= '0' && **p <= '9') (*p)++;
    out->len = (size_t)(*p - out->ptr);
    return out->len > 0;
}

static bool word_is(wb_str s, const char *z) { return s.len == strlen(z) && strncasecmp(s.ptr, z, s.len) == 0; }

static bool parse_number(wb_str s, wb_number *n)
{
    *n = (wb_number){0};
    if (word_is(s, "nan")) n->special = 2;
    if (word_is(s, "infinity") || word_is(s, "inf")) n->special = 1;
    if (word_is(s, "-infinity") || word_is(s, "-inf")) n->special = -1;
    if (n->special) return true;
    const char *p = s.ptr, *end = s.ptr + s.len;
    if (p < end && (*p == '-' || *p == '+')) n->negative = *p++ == '-';
    bool some = digits_run(&p, end, &n->whole);
    if (p < end && *p == '.') {
        p++;
        some |= digits_run(&p, end, &n->fraction);
    }
    if (!some || p != end) return false;
    while (n->whole.len && n->whole.ptr[0] == '0') {
        n->whole.ptr++;
        n->whole.len--;
    }
    while (n->fraction.len && n->fraction.ptr[n->fraction.len - 1] == '0') n->fraction.len--;
    if (!n->whole.len && !n->fraction.len) n->negative = false; /* -0 is 0 */
    return true;
}

static int compare_bytes(wb_str a, wb_str b)
{
    size_t n = WB_MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (order) return order < 0 ? -1 : 1;
    return (a.len > b.len) - (a.len < b.len);
}

static int compare_numbers(const wb_number *a, const wb_number *b)
{
    if (a->special || b->special) return sign_of(a->special, b->special);
    if (a->negative != b->negative) return a->negative ? -1 : 1;
    int order = sign_of((int64_t)a->whole.len, (int64_t)b->whole.len);
    if (!order) order = compare_bytes(a->whole, b->whole);
    if (!order) order = compare_bytes(a->fraction, b->fraction);
    return a->negative ? -order : order;
}

/* ---------------------------------------------------------------- floating point */

static bool parse_float(wb_str s, double *out)
{
    char text[64], *end;
    if (s.len == 0 || s.len >= sizeof text) return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    *out = strtod(text, &end);
    return *end == 0;
}

/* NaN equals itself and is greater than all, as in PostgreSQL. */
static int compare_floats(double a, double b)
{
    if (isnan(a) || isnan(b)) return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    return (a > b) - (a < b);
}

/* ---------------------------------------------------------------- dates and times */

static bool number_at(const char **p, const char *end, size_t least, size_t most, int64_t *out)
{
    wb_str d;
    const char *stop = (size_t)(end - *p) > most ? *p + most : end;
    if (!digits_run(p, stop, &d) || d.len < least) return false;
    *out = 0;
    for (size_t i = 0; i < d.len; i++) *out = *out * 10 + (d.ptr[i] - '0');
    return true;
}

static bool take(const char **p, const char *end, char c)
{
    if (*p >= end || **p != c) return false;
    (*p)++;
    return true;
}

static bool parse_date(const char **p, const char *end, int64_t *days)
{
    int64_t y, m, d;
    if (!number_at(p, end, 4, 6, &y) || !take(p, end, '-') || !number_at(p, end, 2, 2, &m) || !take(p, end, '-') ||
        !number_at(p, end, 2, 2, &d) || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    *days = wb_days_of(y, m, d);
    return true;
}

static bool parse_clock(const char **p, const char *end, int64_t *us)
{
    int64_t h, m, s = 0, micros = 0;
    if (!number_at(p, end, 2, 2, &h) || !take(p, end, ':') || !number_at(p, end, 2, 2, &m)) return false;
    if (take(p, end, ':') && !number_at(p, end, 2, 2, &s)) return false;
    if (take(p, end, '.')) {
        const char *from = *p;
        if (!number_at(p, end, 1, 6, &micros)) return false;
        for (size_t n = (size_t)(*p - from); n < 6; n++) micros *= 10;
    }
    if (h > 24 || m > 59 || s > 60) return false;
    *us = ((h * 60 + m) * 60 + s) * 1000000 + micros;
    return true;
}

/* Z, +00, -03:30, +05:30:20 */
static bool parse_zone(const char **p, const char *end, int64_t *offset_us)
{
    int64_t h, m = 0, s = 0;
    *offset_us = 0;
    if (take(p, end, 'Z') || take(p, end, 'z')) return true;
    if (*p >= end || (**p != '+' && **p != '-')) return false;
    bool west = *(*p)++ == '-';
    if (!number_at(p, end, 2, 2, &h)) return false;
    if (take(p, end, ':') && !number_at(p, end, 2, 2, &m)) return false;
    if (take(p, end, ':') && !number_at(p, end, 2, 2, &s)) return false;
    *offset_us = ((h * 60 + m) * 60 + s) * 1000000 * (west ? -1 : 1);
    return true;
}

bool wb_parse_time(wb_str s, wb_kind kind, int64_t *us)
{
    const char *p = s.ptr, *end = s.ptr + s.len;
    int64_t days = 0, clock = 0, offset = 0;
    if (word_is(s, "infinity") || word_is(s, "-infinity")) {
        *us = s.ptr[0] == '-' ? INT64_MIN : INT64_MAX;
        return kind != WB_TIME;
    }
    if (kind == WB_TIME) return parse_clock(&p, end, us) && p == end;
    if (!parse_date(&p, end, &days)) return false;
    if (take(&p, end, ' ') || take(&p, end, 'T') || take(&p, end, 't')) {
        if (kind == WB_DATE || !parse_clock(&p, end, &clock)) return false;
        if (p < end && (kind != WB_TIMESTAMPTZ || !parse_zone(&p, end, &offset))) return false;
    }
    *us = days * 86400 * 1000000 + clock - offset;
    return p == end;
}

static bool time_of_value(const wb_value *v, wb_kind kind, int64_t *us)
{
    if (v->flags & WB_V_TEXT) {
        wb_str s = {v->as.ptr, v->len};
        if (s.len > 3 && memcmp(s.ptr + s.len - 3, " BC", 3) == 0) { /* before all that a person can write here */
            *us = INT64_MIN + 1;
            return true;
        }
        return wb_parse_time(s, kind, us);
    }
    *us = v->kind == WB_DATE ? v->as.i * 86400 * 1000000 : v->as.i;
    return v->kind == kind;
}

/* ---------------------------------------------------------------- bytes */

static int compare_hex(wb_str raw, wb_str hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < raw.len; i++) {
        unsigned char c = (unsigned char)raw.ptr[i];
        char pair[2] = {digits[c >> 4], digits[c & 15]};
        if (hex.len < 2) return 1;
        int order = memcmp(pair, hex.ptr, 2);
        if (order) return order < 0 ? -1 : 1;
        hex.ptr += 2;
        hex.len -= 2;
    }
    return hex.len ? -1 : 0;
}

/* ---------------------------------------------------------------- together */

static wb_family family_of(wb_kind kind)
{
    switch (kind) {
    case WB_INT:
    case WB_UINT:
    case WB_DECIMAL: return WB_FAM_NUMBER;
    case WB_FLOAT: return WB_FAM_FLOAT;
    case WB_BOOL: return WB_FAM_BOOL;
    case WB_DATE:
    case WB_TIME:
    case WB_TIMESTAMP:
    case WB_TIMESTAMPTZ: return WB_FAM_TIME;
    case WB_BYTES: return WB_FAM_BYTES;
    default: return WB_FAM_TEXT;
    }
}

static bool parse_bool(wb_str lower, int64_t *out)
{
    static const char *const yes[] = {"t", "true", "yes", "on", "1"}, *const no[] = {"f", "false", "no", "off", "0"};
    for (size_t i = 0; i < WB_COUNT(yes); i++) {
        *out = wb_str_is(lower, yes[i]);
        if (*out || wb_str_is(lower, no[i])) return true;
    }
    return false;
}

static bool is_hex(wb_str s)
{
    if (s.len % 2) return false;
    for (size_t i = 0; i < s.len; i++)
        if (!strchr("0123456789abcdef", s.ptr[i]) || !s.ptr[i]) return false;
    return true;
}

bool wb_literal_make(wb_str text, wb_str lower, wb_kind kind, wb_literal *out, const char **want)
{
    *out = (wb_literal){.family = family_of(kind), .kind = (uint8_t)kind, .text = text};
    switch (out->family) {
    case WB_FAM_NUMBER: *want = "a number such as 12.50"; return parse_number(text, &out->number);
    case WB_FAM_FLOAT: *want = "a number"; return parse_float(text, &out->f);
    case WB_FAM_BOOL: *want = "true or false"; return parse_bool(lower, &out->i);
    case WB_FAM_TIME:
        *want = kind == WB_DATE        ? "a date such as 2026-05-01"
                : kind == WB_TIME      ? "a time such as 12:30:00"
                : kind == WB_TIMESTAMP ? "a time such as \"2026-05-01 12:30:00\", without a zone"
                                       : "a time such as \"2026-05-01 12:30:00+02\"";
        return wb_parse_time(text, kind, &out->i);
    case WB_FAM_BYTES:
        *want = "bytes such as \\x00ff";
        if (lower.len < 2 || memcmp(lower.ptr, "\\x", 2) != 0) return false;
        out->text = (wb_str){lower.ptr + 2, lower.len - 2};
        return is_hex(out->text);
    case WB_FAM_TEXT: break;
    }
    if (kind == WB_UUID) out->text = lower;
    return true;
}

bool wb_literal_compare(const wb_value *v, const wb_literal *l, int *order)
{
    char buf[WB_VALUE_TEXT];
    wb_number n;
    double f;
    int64_t i;
    wb_str text = {0};
    if (l->family == WB_FAM_BYTES && !(v->flags & WB_V_TEXT)) {
        *order = compare_hex((wb_str){v->as.ptr, v->len}, l->text);
        return v->kind == WB_BYTES;
    }
    if (l->family != WB_FAM_TIME) text = wb_value_text(v, buf);
    switch (l->family) {
    case WB_FAM_NUMBER:
        if (!parse_number(text, &n)) return false;
        *order = compare_numbers(&n, &l->number);
        return true;
    case WB_FAM_FLOAT:
        if (!parse_float(text, &f)) return false;
        *order = compare_floats(f, l->f);
        return true;
    case WB_FAM_BOOL:
        if (!parse_bool(text, &i)) return false;
        *order = sign_of(i, l->i);
        return true;
    case WB_FAM_TIME:
        if (!time_of_value(v, (wb_kind)l->kind, &i)) return false;
        *order = sign_of(i, l->i);
        return true;
    case WB_FAM_BYTES:
        if (text.len < 2 || memcmp(text.ptr, "\\x", 2) != 0) return false;
        *order = compare_bytes((wb_str){text.ptr + 2, text.len - 2}, l->text);
        return true;
    case WB_FAM_TEXT: break;
    }
    *order = compare_bytes(text, l->text);
    return true;
}

bool wb_like(wb_str t, wb_str p)
{
    size_t ti = 0, pi = 0, star = SIZE_MAX, mark = 0;
    while (ti < t.len) {
        bool literal = pi < p.len && p.ptr[pi] != '%' && p.ptr[pi] != '_';
        size_t at = literal && p.ptr[pi] == '\\' && pi + 1 < p.len ? pi + 1 : pi;
        if (literal && p.ptr[at] == t.ptr[ti]) {
            pi = at + 1;
            ti++;
        } else if (pi < p.len && p.ptr[pi] == '_') { /* one character: the whole of its UTF-8 */
            pi++;
            for (ti++; ti < t.len && ((unsigned char)t.ptr[ti] & 0xC0) == 0x80;) ti++;
        } else if (pi < p.len && p.ptr[pi] == '%') {
            star = pi++;
            mark = ti;
        } else if (star != SIZE_MAX) {
            pi = star + 1;
            for (mark++; mark < t.len && ((unsigned char)t.ptr[mark] & 0xC0) == 0x80;) mark++;
            ti = mark;
        } else {
            return false;
        }
    }
    while (pi < p.len && p.ptr[pi] == '%') pi++;
    return pi == p.len;
}

/* debezium_java.c: text and numbers byte for byte as Java's JSON writer (Jackson, in Kafka Connect's JsonConverter)
 * puts them. A reader sees no difference, but a key's partition is the hash of its bytes. Called by the files of
 * `debezium`.
 */
#include <stdio.h>

#include "formats/debezium.h"

#define ONES (~(uint64_t)0 / 255)
#define HIGHS (ONES * 128)

/* ---------------------------------------------------------------- text */

static bool is_special(uint8_t c) { return c >= 0xF0 || (c < 0x20 && !(c >= '\b' && c <= '\r' && c != 0x0B)); }

/* Control characters other than those with a letter of their own, and characters above U+FFFF. */
static bool any_special(const char *p, size_t n)
{
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        uint64_t control = (x - ONES * 0x20) & ~x, large = x & x << 1 & x << 2 & x << 3;
        if (WB_LIKELY(!((control | large) & HIGHS))) continue;
        for (size_t i = 0; i < 8; i++)
            if (is_special((uint8_t)p[i])) return true;
    }
    for (size_t i = 0; i < n; i++)
        if (is_special((uint8_t)p[i])) return true;
    return false;
}

/* One of them: \u001F, \uD83C\uDF89. Returns the bytes used; 0: no whole character. */
static size_t put_special(wb_out *o, const char *p, size_t n)
{
    const uint8_t *c = (const uint8_t *)p;
    char text[16];
    if (c[0] < 0x20) {
        wb_out_put(o, text, (size_t)snprintf(text, sizeof text, "\\u%04X", c[0]));
        return 1;
    }
    if (n < 4 || !wb_utf8_valid(p, 4)) return 0;
    unsigned v = ((c[0] & 7u) << 18 | (c[1] & 63u) << 12 | (c[2] & 63u) << 6 | (c[3] & 63u)) - 0x10000;
    wb_out_put(o, text,
               (size_t)snprintf(text, sizeof text, "\\u%04X\\u%04X", 0xD800 + (v >> 10), 0xDC00 + (v & 0x3FF)));
    return 4;
}

void dbz_escape(wb_out *o, const char *p, size_t n)
{
    if (WB_LIKELY(!any_special(p, n))) {
        wb_json_escape(o, p, n);
        return;
    }
    for (size_t i = 0, from = 0; from < n;) {
        while (i < n && !is_special((uint8_t)p[i])) i++;
        wb_json_escape(o, p + from, i - from);
        if (i == n) return;
        size_t used = put_special(o, p + i, n - i);
        if (!used) wb_json_escape(o, p + i, 1); /* a byte that is no character */
        i = from = i + WB_MAX(used, (size_t)1);
    }
}

void dbz_string(wb_out *o, wb_str s)
{
    wb_out_byte(o, '"');
    dbz_escape(o, s.ptr, s.len);
    wb_out_byte(o, '"');
}

void dbz_string_or_null(wb_out *o, wb_str s)
{
    if (s.len)
        dbz_string(o, s);
    else
        wb_out_put(o, "null", 4);
}

/* ---------------------------------------------------------------- numbers */

enum { DIGITS = 40 };
typedef struct number {
    bool negative;
    int n, exponent; /* d.ddd times ten to the exponent, without zeros at the end; n 0: zero */
    char digits[DIGITS];
} number;

/* False: no number, or longer than any double is printed. */
static bool read_number(number *x, const char *p, size_t n)
{
    const char *end = p + n;
    bool point = false, any = false;
    int shift = 0, power = 0;
    *x = (number){.negative = p < end && *p == '-'};
    if (x->negative) p++;
    for (; p < end && ((*p >= '0' && *p <= '9') || *p == '.'); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        any = true;
        if (x->n == 0 && *p == '0') {
            shift -= point;
            continue;
        }
        if (x->n == DIGITS) return false;
        x->digits[x->n++] = *p;
        shift += !point;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool down = p + 1 < end && p[1] == '-';
        for (p += p + 1 < end && (p[1] == '-' || p[1] == '+') ? 2 : 1; p < end && *p >= '0' && *p <= '9'; p++)
            if (power < 10000) power = power * 10 + (*p - '0');
        if (down) power = -power;
    }
    while (x->n && x->digits[x->n - 1] == '0') x->n--;
    x->exponent = shift - 1 + power;
    return any && p == end;
}

/* Java shows two digits at least; of the smallest numbers the second is not 0: 4.9E-324 for 5e-324. */
static void second_digit(number *x, const char *p, size_t n, bool single)
{
    char text[64], two[32];
    if (x->n != 1 || x->exponent > (single ? -38 : -308) || n >= sizeof text) return;
    memcpy(text, p, n);
    text[n] = 0;
    snprintf(two, sizeof two, "%.1e", single ? (double)strtof(text, NULL) : strtod(text, NULL));
    const char *at = two + (two[0] == '-');
    x->digits[0] = at[0];
    x->digits[1] = at[2]; /* behind a point, or what a locale has instead */
    x->n = at[2] == '0' ? 1 : 2;
}

/* 0.001 up to ten million as they are, others as d.dE-9; always a digit behind the point. */
static void put_number(wb_out *o, const number *x)
{
    int whole = x->exponent >= -3 && x->exponent < 7 ? x->exponent + 1 : 1; /* digits before the point */
    if (x->negative) wb_out_byte(o, '-');
    if (x->n == 0) {
        wb_out_put(o, "0.0", 3);
        return;
    }
    bool plain = x->exponent >= -3 && x->exponent < 7;
    if (whole <= 0) wb_out_put(o, "0.00", 2 + (size_t)-whole);
    for (int i = 0; i < WB_MAX(x->n, whole); i++) {
        if (i == whole && i) wb_out_byte(o, '.');
        wb_out_byte(o, i < x->n ? x->digits[i] : '0');
    }
    if (x->n <= whole) wb_out_put(o, ".0", 2);
    if (plain) return;
    wb_out_byte(o, 'E');
    wb_out_i64(o, x->exponent);
}

/* The number that was written at `at`, as Java writes it; NaN and infinities are text. single: a float. */
void dbz_java_number(wb_out *o, size_t at, bool single)
{
    char text[64];
    number x;
    size_t n = o->len - at;
    if (o->failed || !n || n > sizeof text) return;
    memcpy(text, o->p + at, n);
    if (!read_number(&x, text, n)) return;
    second_digit(&x, text, n, single);
    o->len = at;
    put_number(o, &x);
}

void dbz_put_double(wb_out *o, double v)
{
    static const wb_json_options plain = {.hex = false};
    const wb_value f = {.kind = WB_FLOAT, .as.f = v};
    size_t at = o->len;
    if (wb_json_value(o, &f, &plain, NULL) != WB_OK) o->failed = true;
    dbz_java_number(o, at, false);
}

void dbz_put_floats(wb_out *o, const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = 0, at = o->len;
        while (i + k < n && !strchr("[],", p[i + k])) k++;
        wb_out_put(o, p + i, k);
        dbz_java_number(o, at, true);
        i += k;
        if (i < n) wb_out_byte(o, p[i++]);
    }
}

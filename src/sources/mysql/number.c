/* number.c: decimals, floats and integers to text. Decimals are in the row loop, the rest is not. */
#include "number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "wire.h"

const char my_digit_pairs[201] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* ---------------------------------------------------------------- decimals */

static const uint8_t group_bytes[10] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4}; /* of that many digits */
static const uint32_t power10[10] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

size_t my_decimal_size(unsigned precision, unsigned scale)
{
    if (precision == 0 || precision > MY_DECIMAL_MAX || scale > precision) return 0;
    unsigned whole = precision - scale;
    return whole / 9 * 4 + group_bytes[whole % 9] + scale / 9 * 4 + group_bytes[scale % 9];
}

/* One group of `digits` digits at *p; *bad when it is too large. */
static inline uint32_t read_group(const uint8_t **p, unsigned digits, uint8_t flip, bool *bad)
{
    unsigned n = group_bytes[digits];
    uint32_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | (uint8_t)(*(*p)++ ^ flip);
    *bad |= v >= power10[digits];
    return v;
}

static inline char *put_group(char *q, const uint8_t **p, unsigned digits, uint8_t flip, bool *bad)
{
    return my_put_fixed(q, read_group(p, digits, flip, bad), digits);
}

/* Up to 18 digits before the point and 9 behind it: what most columns are. */
static char *put_small(char *q, const uint8_t *p, unsigned whole, unsigned scale, uint8_t flip)
{
    bool bad = false;
    uint64_t v = whole % 9 ? read_group(&p, whole % 9, flip, &bad) : 0;
    for (unsigned i = 0; i < whole / 9; i++) v = v * 1000000000 + read_group(&p, 9, flip, &bad);
    uint32_t rest = scale ? read_group(&p, scale, flip, &bad) : 0;
    if (bad) return NULL;
    if (flip && (v || rest)) *q++ = '-'; /* there is no -0 */
    q = my_put_u64(q, v);
    if (scale == 0) return q;
    *q++ = '.';
    return my_put_fixed(q, rest, scale);
}

char *my_put_decimal(char *q, const uint8_t *bytes, unsigned precision, unsigned scale)
{
    uint8_t copy[32];
    size_t size = my_decimal_size(precision, scale);
    if (size == 0) return NULL;
    memcpy(copy, bytes, size);
    const uint8_t *p = copy;
    unsigned whole = precision - scale;
    uint8_t flip = copy[0] & 0x80 ? 0 : 0xff; /* negative: all bits inverted, but the sign's */
    copy[0] ^= 0x80;
    if (whole <= 18 && scale <= 9) return put_small(q, p, whole, scale, flip);
    char digits[MY_DECIMAL_TEXT], *d = digits;
    bool bad = false;
    if (whole % 9) d = put_group(d, &p, whole % 9, flip, &bad);
    for (unsigned i = 0; i < whole / 9; i++) d = put_group(d, &p, 9, flip, &bad);
    char *point = d;
    for (unsigned i = 0; i < scale / 9; i++) d = put_group(d, &p, 9, flip, &bad);
    if (scale % 9) d = put_group(d, &p, scale % 9, flip, &bad);
    if (bad) return NULL;
    const char *from = digits;
    while (from < point && *from == '0') from++;
    if (flip) {
        const char *any = from; /* there is no -0 */
        while (any < d && *any == '0') any++;
        if (any < d) *q++ = '-';
    }
    if (from == point) *q++ = '0';
    while (from < point) *q++ = *from++;
    if (scale == 0) return q;
    *q++ = '.';
    while (from < d) *q++ = *from++;
    return q;
}

/* ---------------------------------------------------------------- integers */

char *my_put_u64(char *q, uint64_t v)
{
    char text[20], *at = text + sizeof text;
    while (v >= 100) {
        memcpy(at -= 2, my_digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(at -= 2, my_digit_pairs + v * 2, 2);
    else
        *--at = (char)('0' + v);
    size_t n = (size_t)(text + sizeof text - at);
    memcpy(q, at, n);
    return q + n;
}

char *my_put_i64(char *q, int64_t v)
{
    if (v >= 0) return my_put_u64(q, (uint64_t)v);
    *q++ = '-';
    return my_put_u64(q, 0 - (uint64_t)v);
}

/* ---------------------------------------------------------------- floats */

static char *put_word(char *q, const char *word)
{
    size_t n = strlen(word);
    memcpy(q, word, n);
    return q + n;
}

/* A program that embeds us may have set a locale with a decimal comma. */
static void mend_point(char *p, int n)
{
    for (int i = 0; i < n; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || p[i] == '-' || p[i] == '+' || p[i] == 'e')) p[i] = '.';
}

char *my_put_float(char *q, float f)
{
    char text[MY_FLOAT_TEXT + 16];
    int n = 0;
    if (isnan(f)) return put_word(q, "NaN");
    if (isinf(f)) return put_word(q, f > 0 ? "Infinity" : "-Infinity");
    if (fabsf(f) < 1e6f && f == truncf(f) && !(f == 0 && signbit(f))) return my_put_i64(q, (int64_t)f);
    for (int digits = FLT_DIG; digits <= 9; digits++) {
        n = snprintf(text, sizeof text, "%.*g", digits, (double)f);
        float back = strtof(text, NULL);
        if (memcmp(&back, &f, sizeof f) == 0) break;
    }
    mend_point(text, n);
    memcpy(q, text, (size_t)n);
    return q + n;
}

/* The server's my_gcvt: digits of the shortest form; plain when the point falls within 15 places or there are digits
 * behind it, else with an e. */
char *my_put_json_double(char *q, double f)
{
    char text[MY_FLOAT_TEXT + 16];
    if (!isfinite(f)) return put_word(q, "null");
    for (int digits = 0; digits <= 16; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, f);
        double back = strtod(text, NULL);
        if (memcmp(&back, &f, sizeof f) == 0) break;
    }
    /* "-1.2345e+06" */
    const char *p = text;
    if (*p == '-') *q++ = *p++;
    char digits[24];
    int n = 0;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9') digits[n++] = *p;
    int point = *p ? (int)strtol(p + 1, NULL, 10) + 1 : 1; /* 0.DIGITS × 10^point */
    while (n > 1 && digits[n - 1] == '0') n--;
    if (f == 0) point = 1;
    if (point < -14 || (point > 15 && n <= point)) {
        *q++ = digits[0];
        if (n > 1) {
            *q++ = '.';
            memcpy(q, digits + 1, (size_t)n - 1);
            q += n - 1;
        }
        *q++ = 'e';
        return my_put_i64(q, point - 1);
    }
    if (point <= 0) {
        q = put_word(q, "0.");
        for (int i = point; i < 0; i++) *q++ = '0';
        memcpy(q, digits, (size_t)n);
        return q + n;
    }
    for (int i = 0; i < WB_MAX(n, point); i++) {
        if (i == point) *q++ = '.';
        *q++ = i < n ? digits[i] : '0';
    }
    return n <= point ? put_word(q, ".0") : q;
}

/* debezium_decimal.c: decimals as Kafka Connect writes them: the number without its point as big-endian two's
 * complement, of as few bytes as hold it, in base64. Called per value by debezium_value.c. */
#include "formats/debezium.h"

static void put_int64(wb_out *o, int64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    size_t at = 0;
    while (at < 7 && ((b[at] == 0 && !(b[at + 1] & 0x80)) || (b[at] == 0xff && (b[at + 1] & 0x80)))) at++;
    wb_json_base64(o, b + at, 8 - at);
}

/* Digits (most significant first) of any length: limbs of 32 bits, least significant first, then bytes in place. */
static bool put_large(dbz *d, wb_out *o, const char *digits, size_t n, bool negative)
{
    wb_out_reset(&d->limbs);
    size_t cap = n / 9 + 3; /* 10^9 < 2^32: never more than one limb for nine digits */
    uint32_t *limb = (uint32_t *)(void *)wb_out_room(&d->limbs, cap * 9);
    if (!limb) return false;
    uint8_t *bytes = (uint8_t *)(limb + cap);
    size_t used = 0;
    for (size_t i = 0; i < n;) {
        size_t k = i == 0 && n % 9 ? n % 9 : 9;
        uint64_t carry = 0, unit = 1;
        for (size_t j = 0; j < k; j++) {
            carry = carry * 10 + (uint64_t)(digits[i + j] - '0');
            unit *= 10;
        }
        for (size_t j = 0; j < used; j++) {
            carry += limb[j] * unit;
            limb[j] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry) limb[used++] = (uint32_t)carry;
        i += k;
    }
    size_t len = used * 4 + 1; /* one byte for the sign */
    bytes[0] = 0;
    for (size_t j = 0; j < used; j++)
        for (int b = 0; b < 4; b++) bytes[len - 1 - j * 4 - (size_t)b] = (uint8_t)(limb[j] >> (8 * b));
    if (negative) {
        unsigned carry = 1;
        for (size_t j = len; j-- > 0;) {
            carry += (uint8_t)~bytes[j];
            bytes[j] = (uint8_t)carry;
            carry >>= 8;
        }
    }
    size_t at = 0;
    while (at + 1 < len &&
           ((bytes[at] == 0 && !(bytes[at + 1] & 0x80)) || (bytes[at] == 0xff && (bytes[at + 1] & 0x80))))
        at++;
    wb_json_base64(o, bytes + at, len - at);
    return true;
}

static bool is_digit(char c) { return (uint8_t)(c - '0') <= 9; }

bool dbz_put_unscaled(dbz *d, wb_out *o, const char *p, size_t n, bool variable, int *scale)
{
    bool negative = n && p[0] == '-';
    size_t i = negative ? 1 : 0, point = 0, fraction = 0;
    wb_out *digits = &d->scratch;
    wb_out_reset(digits);
    char *q = wb_out_room(digits, n + (size_t)(*scale > 0 ? *scale : 0) + 1);
    if (!q || i == n) return false;
    size_t k = 0;
    for (; i < n; i++) {
        if (p[i] == '.' && !point) {
            point = 1;
            continue;
        }
        if (!is_digit(p[i])) return false;
        q[k++] = p[i];
        fraction += point;
    }
    if (variable) {
        while (fraction && q[k - 1] == '0') {
            k--;
            fraction--;
        }
        *scale = (int)fraction;
    }
    for (; (int)fraction < *scale; fraction++) q[k++] = '0';
    for (long more = (long)fraction - *scale; more > 0 && k; more--) /* zeros: the column has this scale */
        if (q[--k] != '0') return false;
    size_t zeros = 0;
    while (zeros < k && q[zeros] == '0') zeros++;
    q += zeros;
    k -= zeros;
    wb_out_byte(o, '"');
    if (k <= 18) {
        int64_t v = 0;
        for (size_t j = 0; j < k; j++) v = v * 10 + (q[j] - '0');
        put_int64(o, negative ? -v : v);
    } else if (!put_large(d, o, q, k, negative)) {
        return false;
    }
    wb_out_byte(o, '"');
    return true;
}

/* number.h: numbers of the log to text. Pure; hot path. */
#ifndef WB_MY_NUMBER_H
#define WB_MY_NUMBER_H
#include "base/base.h"

enum { MY_DECIMAL_MAX = 65, MY_DECIMAL_TEXT = 72, MY_FLOAT_TEXT = 40 };

extern const char my_digit_pairs[201];

/* v as exactly `width` digits, width up to 9. */
static inline char *my_put_fixed(char *q, uint32_t v, unsigned width)
{
    char *at = q + width;
    while (at - q >= 2) {
        memcpy(at -= 2, my_digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (at > q) *q = (char)('0' + v % 10);
    return q + width;
}
static inline char *my_put_2(char *q, uint32_t v)
{
    memcpy(q, my_digit_pairs + v % 100 * 2, 2);
    return q + 2;
}

/* Bytes of a DECIMAL(precision, scale); 0: there is no such type. */
size_t my_decimal_size(unsigned precision, unsigned scale);
/* Its text, all digits of the scale; up to MY_DECIMAL_TEXT bytes. NULL: bytes that no decimal has. */
char *my_put_decimal(char *q, const uint8_t *p, unsigned precision, unsigned scale);
/* The fewest digits that read back as the same float; "NaN", "Infinity". Up to MY_FLOAT_TEXT bytes. */
char *my_put_float(char *q, float f);
/* A double as MySQL prints it inside JSON: "1.0", "0.1", "1e20". Up to MY_FLOAT_TEXT bytes. */
char *my_put_json_double(char *q, double f);
char *my_put_u64(char *q, uint64_t v); /* up to 20 bytes */
char *my_put_i64(char *q, int64_t v);
#endif

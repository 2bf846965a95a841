/* value.h: the text of one field to a value, inline for the two loops that do it for every field: wire_row.c and
 * copy.c. Everybody else calls pg_value_of_text. The checks are O(1) and say only whether the text has the shape that
 * its kind promises; the server made it, so its digits are not doubted except where formats edit the text in place. */
#ifndef WB_PG_VALUE_H
#define WB_PG_VALUE_H
#include "base/base.h"

/* Are these 8 bytes digits exactly where `mask` has 0, and the bytes of `fixed` where it has 0xff? */
static inline bool pg_shape8(const char *p, uint64_t fixed, uint64_t mask)
{
    uint64_t w;
    memcpy(&w, p, 8);
    uint64_t v = w ^ fixed; /* digits become 0..9, fixed bytes 0 */
    return (((v + (0x0606060606060606u & ~mask)) | v) & 0xf0f0f0f0f0f0f0f0u) == 0 && (v & mask) == 0;
}
/* The word whose bytes in memory are a..h, on either byte order. */
static inline uint64_t pg_word8(const char bytes[8])
{
    uint64_t w;
    memcpy(&w, bytes, 8);
    return w;
}
static inline bool pg_digit(char c) { return (uint8_t)(c - '0') <= 9; }

#define PG_DIGITS "\0\0"
#define PG_FIXED "\377"

/* "YYYY-MM-DD" at p. */
static inline bool pg_is_date(const char *p)
{
    return pg_shape8(p, pg_word8("0000-00-"), pg_word8(PG_DIGITS PG_DIGITS PG_FIXED PG_DIGITS PG_FIXED)) &&
           pg_digit(p[8]) && pg_digit(p[9]);
}
/* "HH:MM:SS" at p. */
static inline bool pg_is_clock(const char *p)
{
    return pg_shape8(p, pg_word8("00:00:00"), pg_word8(PG_DIGITS PG_FIXED PG_DIGITS PG_FIXED PG_DIGITS));
}
/* n bytes at p: nothing, or '.' and 1 to 6 digits; a digit stands before p. */
static inline bool pg_is_fraction(const char *p, uint32_t n)
{
    if (n == 0) return true;
    if (WB_LIKELY(n == 7))
        return pg_shape8(p - 1, pg_word8("0.000000"), pg_word8("\0" PG_FIXED PG_DIGITS PG_DIGITS PG_DIGITS));
    if (n < 2 || n > 7 || p[0] != '.') return false;
    for (uint32_t i = 1; i < n; i++)
        if (!pg_digit(p[i])) return false;
    return true;
}
/* "YYYY-MM-DD HH:MM:SS[.f]", the whole of n bytes. */
static inline bool pg_is_timestamp(const char *p, uint32_t n)
{
    return n >= 19 && pg_is_date(p) && p[10] == ' ' && pg_is_clock(p + 11) && pg_is_fraction(p + 19, n - 19);
}

/* Does the text have the shape of its kind? Only for kinds whose text can be something else. */
static inline bool pg_text_fits(wb_kind kind, const char *p, uint32_t n)
{
    switch (kind) {
    case WB_BOOL: return n == 1 && (p[0] == 't' || p[0] == 'f');
    case WB_INT: return n - 1 < 20 && pg_digit(p[n - 1]) && (pg_digit(p[0]) || p[0] == '-');
    case WB_UINT: return n - 1 < 20 && pg_digit(p[n - 1]) && pg_digit(p[0]);
    case WB_BYTES: return n >= 2 && p[0] == '\\' && p[1] == 'x' && n % 2 == 0;
    case WB_DATE: return n == 10 && pg_is_date(p);
    case WB_TIME:
        return n >= 8 && pg_is_clock(p) && (p[0] < '2' || (p[0] == '2' && p[1] < '4')) && pg_is_fraction(p + 8, n - 8);
    case WB_TIMESTAMP: return pg_is_timestamp(p, n);
    case WB_TIMESTAMPTZ: return n >= 22 && memcmp(p + n - 3, "+00", 3) == 0 && pg_is_timestamp(p, n - 3);
    case WB_UUID: return n == 36;
    case WB_FLOAT:
    case WB_DECIMAL:
    case WB_JSON:
    case WB_INTERVAL:
    case WB_ARRAY:
    case WB_RANGE: return n > 0;
    default: return true;
    }
}

static inline wb_value pg_value_inline(wb_kind kind, const char *text, uint32_t len)
{
    wb_value v = {.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = len, .as.ptr = text};
    if (kind != WB_TEXT && WB_UNLIKELY(!pg_text_fits(kind, text, len))) v.kind = WB_OTHER;
    return v;
}
#endif

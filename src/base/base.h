/* base.h: what every file of Walbrook includes first: fixed types, attributes, banned functions.
 * Knows nothing of change data capture. */
#ifndef WB_BASE_H
#define WB_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "walbrook/change.h"

#define WB_LIKELY(x) __builtin_expect(!!(x), 1)
#define WB_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define WB_MIN(a, b) ((a) < (b) ? (a) : (b))
#define WB_MAX(a, b) ((a) > (b) ? (a) : (b))
#define WB_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define WB_UNUSED(x) ((void)(x))

#define WB_STR(lit) ((wb_str){(lit), sizeof(lit) - 1})
static inline wb_str wb_str_of(const char *z) { return (wb_str){z, z ? strlen(z) : 0}; }
static inline bool wb_str_eq(wb_str a, wb_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool wb_str_is(wb_str a, const char *z) { return wb_str_eq(a, wb_str_of(z)); }

/* -1: not a hex digit. */
static inline int wb_hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
/* n hex digits (even) to n/2 bytes; false: others are among them. */
static inline bool wb_unhex(uint8_t *q, const char *p, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        int a = wb_hex_digit(p[i]), b = wb_hex_digit(p[i + 1]);
        bad |= a | b;
        q[i / 2] = (uint8_t)(((unsigned)a << 4) | (unsigned)b);
    }
    return bad >= 0;
}

/* FNV-1a, 64 bits: goes on from h. http://www.isthe.com/chongo/tech/comp/fnv */
#define WB_FNV1A 14695981039346656037u
static inline uint64_t wb_fnv1a(uint64_t h, const void *p, size_t n)
{
    for (const uint8_t *at = (const uint8_t *)p, *end = n ? at + n : at; at != end; at++)
        h = (h ^ *at) * 1099511628211u;
    return h;
}
/* A text of several, with a mark where it ends; NULL: empty. */
static inline uint64_t wb_fnv1a_text(uint64_t h, const char *z)
{
    return (wb_fnv1a(h, z, z ? strlen(z) : 0) ^ 0xff) * 1099511628211u;
}

/* Checked arithmetic: true = it fits. */
static inline bool wb_add_ok(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool wb_mul_ok(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

#endif

/* buf.c: the parts of the reader and the writer that are not worth inlining. Called by wire readers and formats. */
#include "base/buf.h"

#include <stdio.h>

wb_str wb_rd_cstr(wb_rd *r)
{
    size_t left = wb_rd_left(r);
    const uint8_t *nul = r->failed || left == 0 ? NULL : memchr(r->p, 0, left);
    if (!nul) {
        r->failed = true;
        r->p = r->end;
        return (wb_str){"", 0};
    }
    wb_str s = {(const char *)r->p, (size_t)(nul - r->p)};
    r->p = nul + 1;
    return s;
}

bool wb_out_grow(wb_out *o, size_t more)
{
    size_t limit = o->limit ? o->limit : WB_OUT_LIMIT, need;
    if (o->failed || !wb_add_ok(o->len, more, &need) || need > limit) {
        o->failed = true;
        return false;
    }
    if (need <= o->cap) return true;
    size_t cap = o->cap < 256 ? 256 : o->cap;
    while (cap < need) cap *= 2; /* need <= limit, and no limit comes near SIZE_MAX / 2 */
    if (cap > limit && need <= limit) cap = limit;
    char *p = realloc(o->p, cap);
    if (!p) {
        o->failed = true;
        return false;
    }
    o->p = p;
    o->cap = cap;
    return true;
}

void wb_out_fini(wb_out *o)
{
    free(o->p);
    o->p = NULL;
    o->len = o->cap = 0;
    o->failed = false;
}

static const char two_digits[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                 "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                 "8081828384858687888990919293949596979899";

static unsigned count_digits(uint64_t v)
{
    unsigned n = 1;
    for (;;) {
        if (v < 10) return n;
        if (v < 100) return n + 1;
        if (v < 1000) return n + 2;
        if (v < 10000) return n + 3;
        v /= 10000;
        n += 4;
    }
}

void wb_out_u64(wb_out *o, uint64_t v)
{
    unsigned n = count_digits(v);
    char *q = wb_out_room(o, n);
    if (!q) return;
    o->len += n;
    char *end = q + n;
    while (v >= 100) {
        end -= 2;
        memcpy(end, two_digits + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(end - 2, two_digits + v * 2, 2);
    else
        end[-1] = (char)('0' + v);
}

void wb_out_i64(wb_out *o, int64_t v)
{
    uint64_t u = (uint64_t)v;
    if (v < 0) {
        wb_out_byte(o, '-');
        u = 0 - u;
    }
    wb_out_u64(o, u);
}

void wb_out_printf(wb_out *o, const char *fmt, ...)
{
    va_list ap;
    if (o->failed) return;
    va_start(ap, fmt);
    int n = vsnprintf(o->p ? o->p + o->len : NULL, o->cap - o->len, fmt, ap);
    va_end(ap);
    if (n < 0) {
        o->failed = true;
        return;
    }
    if ((size_t)n >= o->cap - o->len) { /* the NUL needs a place too */
        char *q = wb_out_room(o, (size_t)n + 1);
        if (!q) return;
        va_start(ap, fmt);
        n = vsnprintf(q, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    o->len += (size_t)n;
}

void wb_out_be16(wb_out *o, uint16_t v)
{
    v = __builtin_bswap16(v);
    wb_out_put(o, &v, sizeof v);
}

void wb_out_be32(wb_out *o, uint32_t v)
{
    v = __builtin_bswap32(v);
    wb_out_put(o, &v, sizeof v);
}

void wb_out_be64(wb_out *o, uint64_t v)
{
    v = __builtin_bswap64(v);
    wb_out_put(o, &v, sizeof v);
}

wb_str wb_rd_lstr(wb_rd *r)
{
    uint32_t n = wb_rd_be32(r);
    const uint8_t *p = wb_rd_bytes(r, n);
    return (wb_str){p ? (const char *)p : "", p ? n : 0};
}

void wb_out_lstr(wb_out *o, wb_str s)
{
    wb_out_be32(o, (uint32_t)s.len);
    wb_out_str(o, s);
}

void wb_out_quoted(wb_out *o, wb_str s, char quote)
{
    wb_out_byte(o, quote);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == quote) wb_out_byte(o, quote);
        wb_out_byte(o, s.ptr[i]);
    }
    wb_out_byte(o, quote);
}

void wb_out_percent(wb_out *o, const char *z)
{
    static const char hex[] = "0123456789ABCDEF";
    for (const char *p = z ? z : ""; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c);
        if (plain) {
            wb_out_byte(o, (char)c);
        } else {
            wb_out_byte(o, '%');
            wb_out_byte(o, hex[c >> 4]);
            wb_out_byte(o, hex[c & 15]);
        }
    }
}

const char *wb_out_cstr(wb_out *o)
{
    char *end = wb_out_room(o, 1);
    if (!end) return NULL;
    *end = 0;
    return o->p;
}

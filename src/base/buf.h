/* buf.h: bounded reader and growing writer, both sticky-failed: after a failure a reader yields zeros and a
 * writer drops bytes; look at `failed` once a message. No pointer arithmetic on wire bytes outside this file. */
#ifndef WB_BUF_H
#define WB_BUF_H
#include "base/base.h"
#include "walbrook/plugin.h" /* wb_out's name */

/* ---- reader of big-endian (be) and little-endian (le) wire bytes */
typedef struct wb_rd {
    const uint8_t *p, *end;
    bool failed;
} wb_rd;
static inline wb_rd wb_rd_of(const void *p, size_t n)
{
    const uint8_t *start = p ? (const uint8_t *)p : (const uint8_t *)""; /* NULL + 0 is undefined */
    return (wb_rd){start, start + n, false};
}
static inline size_t wb_rd_left(const wb_rd *r) { return (size_t)(r->end - r->p); }
static inline const uint8_t *wb_rd_bytes(wb_rd *r, size_t n) /* a view of n bytes; NULL when short */
{
    if (WB_UNLIKELY(r->failed || n > (size_t)(r->end - r->p))) {
        r->failed = true;
        r->p = r->end;
        return NULL;
    }
    const uint8_t *q = r->p;
    r->p += n;
    return q;
}
static inline uint8_t wb_rd_u8(wb_rd *r)
{
    const uint8_t *q = wb_rd_bytes(r, 1);
    return q ? q[0] : 0;
}
static inline uint16_t wb_rd_be16(wb_rd *r)
{
    const uint8_t *q = wb_rd_bytes(r, 2);
    uint16_t v;
    if (!q) return 0;
    memcpy(&v, q, 2);
    return __builtin_bswap16(v);
}
static inline uint32_t wb_rd_be32(wb_rd *r)
{
    const uint8_t *q = wb_rd_bytes(r, 4);
    uint32_t v;
    if (!q) return 0;
    memcpy(&v, q, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t wb_rd_be64(wb_rd *r)
{
    const uint8_t *q = wb_rd_bytes(r, 8);
    uint64_t v;
    if (!q) return 0;
    memcpy(&v, q, 8);
    return __builtin_bswap64(v);
}
/* A NUL-terminated string; fails when there is no NUL. The view excludes the NUL. */
wb_str wb_rd_cstr(wb_rd *r);
wb_str wb_rd_lstr(wb_rd *r); /* a be32 length and so many bytes: what wb_out_lstr wrote */

/* ---- growing writer */
struct wb_out {
    char *p;
    size_t len, cap, limit; /* limit 0: WB_OUT_LIMIT */
    bool failed;            /* no memory, or over the limit */
};
#define WB_OUT_LIMIT ((size_t)1 << 31)
bool wb_out_grow(wb_out *o, size_t more);
void wb_out_fini(wb_out *o);
static inline void wb_out_reset(wb_out *o)
{
    o->len = 0;
    o->failed = false;
}
/* Room for n more bytes; NULL when failed (or when n is 0 and nothing was ever written). Write, then add to o->len. */
static inline char *wb_out_room(wb_out *o, size_t n)
{
    if (WB_UNLIKELY(o->failed || n > o->cap - o->len) && !wb_out_grow(o, n)) return NULL;
    return (char *)((uintptr_t)o->p + o->len); /* NULL + 0 is undefined */
}
static inline void wb_out_put(wb_out *o, const void *p, size_t n)
{
    char *q = n ? wb_out_room(o, n) : NULL;
    if (!q) return;
    memcpy(q, p, n);
    o->len += n;
}
static inline void wb_out_byte(wb_out *o, char c)
{
    char *q = wb_out_room(o, 1);
    if (!q) return;
    *q = c;
    o->len++;
}
static inline void wb_out_str(wb_out *o, wb_str s) { wb_out_put(o, s.ptr, s.len); }
static inline void wb_out_z(wb_out *o, const char *z) { wb_out_put(o, z, strlen(z)); }
void wb_out_u64(wb_out *o, uint64_t v);
void wb_out_i64(wb_out *o, int64_t v);
void wb_out_printf(wb_out *o, const char *fmt, ...) WB_PRINTF(2, 3);
void wb_out_be16(wb_out *o, uint16_t v);
void wb_out_be32(wb_out *o, uint32_t v);
void wb_out_be64(wb_out *o, uint64_t v);
void wb_out_lstr(wb_out *o, wb_str s);               /* its length as be32, and it */
void wb_out_quoted(wb_out *o, wb_str s, char quote); /* in quotes; a quote inside is doubled, as in SQL */
void wb_out_percent(wb_out *o, const char *z); /* for a URL: all but letters, digits and -._~ as %XX; NULL: nothing */
const char *wb_out_cstr(wb_out *o);            /* what was written, NUL-terminated; NULL when it failed */

uint32_t wb_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */
#endif

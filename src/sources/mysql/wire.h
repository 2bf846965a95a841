/* wire.h: the numbers of MySQL's formats, for every file here that reads them. Little-endian unless the name says be.
 */
#ifndef WB_MY_WIRE_H
#define WB_MY_WIRE_H
#include "base/buf.h"

/* ---- at a place that is known to hold the bytes */
static inline uint64_t my_get_le(const uint8_t *p, unsigned n) /* n from 1 to 8 */
{
    uint64_t v = 0;
    for (unsigned i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}
static inline uint64_t my_get_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}
static inline uint16_t my_get_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t my_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t my_get_u64(const uint8_t *p) { return my_get_u32(p) | (uint64_t)my_get_u32(p + 4) << 32; }

/* ---- through a reader */
static inline uint64_t my_rd_le(wb_rd *r, unsigned n)
{
    const uint8_t *p = wb_rd_bytes(r, n);
    return p ? my_get_le(p, n) : 0;
}
static inline uint16_t my_rd_u16(wb_rd *r) { return (uint16_t)my_rd_le(r, 2); }
static inline uint32_t my_rd_u32(wb_rd *r) { return (uint32_t)my_rd_le(r, 4); }
static inline uint64_t my_rd_u48(wb_rd *r) { return my_rd_le(r, 6); }
static inline uint64_t my_rd_u64(wb_rd *r) { return my_rd_le(r, 8); }

/* "Length encoded" integer. 0xfb (NULL) and 0xff fail. */
static inline uint64_t my_rd_lenenc(wb_rd *r)
{
    uint8_t b = wb_rd_u8(r);
    if (WB_LIKELY(b < 0xfb)) return b;
    if (b == 0xfc) return my_rd_le(r, 2);
    if (b == 0xfd) return my_rd_le(r, 3);
    if (b == 0xfe) return my_rd_le(r, 8);
    r->failed = true;
    return 0;
}
/* n bytes; empty when they are not there. */
static inline wb_str my_rd_str(wb_rd *r, uint64_t n)
{
    const uint8_t *p = n <= SIZE_MAX ? wb_rd_bytes(r, (size_t)n) : NULL;
    if (!p) r->failed = true;
    return p ? (wb_str){(const char *)p, (size_t)n} : (wb_str){"", 0};
}
static inline wb_str my_rd_lenenc_str(wb_rd *r) { return my_rd_str(r, my_rd_lenenc(r)); }
static inline wb_str my_rd_rest(wb_rd *r) { return my_rd_str(r, wb_rd_left(r)); }

/* mysql::serialization: as many 1 bits at the bottom of the first byte as bytes follow. */
static inline uint64_t my_rd_varint(wb_rd *r)
{
    uint8_t first = wb_rd_u8(r);
    unsigned more = (unsigned)__builtin_ctz(~(unsigned)first); /* 0 to 8 */
    const uint8_t *p = wb_rd_bytes(r, more);
    if (!p) return 0;
    if (more == 8) return my_get_le(p, 8);
    uint64_t rest = more ? my_get_le(p, more) : 0;
    return more == 7 ? rest : (uint64_t)(first >> (more + 1)) | rest << (7 - more);
}
static inline int64_t my_rd_svarint(wb_rd *r)
{
    uint64_t v = my_rd_varint(r);
    return v & 1 ? -(int64_t)(v >> 1) - 1 : (int64_t)(v >> 1);
}
#endif

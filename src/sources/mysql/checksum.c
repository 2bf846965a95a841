/* checksum.c: the CRC32 at the end of an event. Called by feed.c and part.c. */
#include <zlib.h>

#include "inside.h"

bool my_checksum_fits(const my_decoder *d, const uint8_t *event, size_t n)
{
    enum { PIECE = 4 * 1024 * 1024 };
    if (n < MY_HEADER_LEN + 4) return false;
    uLong sum = 0;
    for (size_t at = 0, k; at < n - 4; at += k) {
        k = WB_MIN(n - 4 - at, (size_t)PIECE);
        sum = crc32_z(sum, event + at, k);
        if (k == PIECE && d->hooks.passed) d->hooks.passed(d->hooks.arg, event + at + k);
    }
    return (uint32_t)sum == my_get_u32(event + n - 4);
}

/* The "in use" flag of a file's first event is changed after its checksum was made. */
bool my_format_checksum_fits(const uint8_t *event, size_t n)
{
    uint8_t head[MY_HEADER_LEN];
    if (n < MY_HEADER_LEN + 4) return false;
    memcpy(head, event, sizeof head);
    head[17] &= 0xfe;
    uLong sum = crc32_z(crc32_z(0, head, sizeof head), event + sizeof head, n - sizeof head - 4);
    return (uint32_t)sum == my_get_u32(event + n - 4);
}

wb_code my_bad_checksum(my_decoder *d, uint8_t type, wb_error *err)
{
    wb_code code = my_bad_event(d, type, err, "its checksum is wrong");
    wb_hint(err, "The log file is damaged on the server's disk or on its way here: mysqlbinlog "
                 "--verify-binlog-checksum reads it "
                 "independently.");
    return code;
}

void my_part_sum(my_part *t, const uint8_t *p, size_t n)
{
    uint64_t upto = t->h.length - 4; /* where the checksum begins */
    size_t summed = t->got < upto ? (size_t)WB_MIN((uint64_t)n, upto - t->got) : 0;
    if (summed) t->sum = (uint32_t)crc32_z(t->sum, p, summed);
    for (size_t i = summed; i < n; i++) t->tail = t->tail >> 8 | (uint32_t)p[i] << 24;
}

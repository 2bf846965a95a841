/* position.c: LSNs as positions. A transaction's `at` is the LSN of its commit record, which lies before its end; so a
 * position holds the transaction when it is beyond `at`. The end of one transaction may equal the `at` of the next. */
#include "position.h"

#include <stdio.h>

void pg_pos_make(uint8_t out[PG_POS_LEN], pg_lsn lsn)
{
    uint64_t be = __builtin_bswap64(lsn);
    memcpy(out, &be, sizeof be);
}

pg_lsn pg_pos_lsn(wb_pos pos)
{
    uint64_t be;
    if (pos.len != PG_POS_LEN) return 0;
    memcpy(&be, pos.ptr, sizeof be);
    return __builtin_bswap64(be);
}

const char *pg_lsn_text(pg_lsn lsn, char out[PG_LSN_TEXT])
{
    (void)snprintf(out, PG_LSN_TEXT, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
    return out;
}

/* Up to eight hex digits. */
static bool half(const char **p, const char *end, uint32_t *out)
{
    uint32_t v = 0;
    int n = 0;
    for (; *p < end && n < 9; (*p)++, n++) {
        char c = **p;
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else
            break;
        v = (v << 4) | digit;
    }
    *out = v;
    return n >= 1 && n <= 8;
}

bool pg_lsn_parse(wb_str text, pg_lsn *out)
{
    const char *p = text.ptr, *end = p + text.len;
    uint32_t hi, lo;
    if (!text.len || !half(&p, end, &hi) || p == end || *p++ != '/' || !half(&p, end, &lo) || p != end) return false;
    *out = ((uint64_t)hi << 32) | lo;
    return true;
}

bool pg_pos_holds(wb_pos pos, const wb_txn *txn)
{
    return pos.len == PG_POS_LEN && txn->at.len == PG_POS_LEN && pg_pos_lsn(pos) > pg_pos_lsn(txn->at);
}

int pg_pos_compare(wb_pos a, wb_pos b)
{
    pg_lsn x = pg_pos_lsn(a), y = pg_pos_lsn(b);
    return (x > y) - (x < y);
}

int64_t pg_pos_distance(wb_pos from, wb_pos to) { return (int64_t)(pg_pos_lsn(to) - pg_pos_lsn(from)); }

void pg_pos_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    *len = 0;
    if (cap < PG_POS_LEN) return;
    pg_lsn x = pg_pos_lsn(a), y = pg_pos_lsn(b);
    pg_pos_make(out, WB_MIN(x, y));
    *len = PG_POS_LEN;
}

size_t pg_pos_render(wb_pos pos, char *out, size_t cap)
{
    char text[PG_LSN_TEXT];
    if (!cap) return 0;
    pg_lsn_text(pg_pos_lsn(pos), text);
    size_t n = WB_MIN(strlen(text), cap - 1);
    memcpy(out, text, n);
    out[n] = 0;
    return n;
}

wb_code pg_pos_parse(wb_str text, void *out, size_t cap, size_t *len, wb_error *err)
{
    pg_lsn lsn;
    *len = 0;
    if (cap < PG_POS_LEN || !pg_lsn_parse(text, &lsn)) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "'%.*s' is not a position of PostgreSQL.",
                (int)WB_MIN(text.len, (size_t)60), text.ptr ? text.ptr : "");
        wb_hint(err, "Write an LSN as the server does: 0/16B3748.");
        return WB_E_CONFIG;
    }
    pg_pos_make(out, lsn);
    *len = PG_POS_LEN;
    return WB_OK;
}

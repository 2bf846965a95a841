/* position.c: LSNs, and numbers of turns, as positions. The two counters are compared each by itself. A transaction's
 * `at` is the LSN of its commit record, which lies before its end; so a position holds the transaction when it is
 * beyond `at`. The end of one transaction may equal the `at` of the next. */
#include "position.h"

#include <stdio.h>

void pg_pos_make(uint8_t out[PG_POS_LEN], pg_lsn lsn)
{
    uint64_t be = __builtin_bswap64(lsn);
    memcpy(out, &be, sizeof be);
}

size_t pg_pos_make_turn(uint8_t out[PG_TURN_LEN], pg_lsn lsn, uint64_t seq)
{
    pg_pos_make(out, lsn);
    pg_pos_make(out + PG_POS_LEN, seq);
    return seq ? PG_TURN_LEN : PG_POS_LEN;
}

void pg_pos_make_part(uint8_t out[PG_PART_LEN], wb_pos pos, uint64_t counted)
{
    pg_lsn lsn = pg_pos_lsn(pos);
    uint64_t seq = pg_pos_seq(pos);
    pg_pos_make(out, lsn);
    pg_pos_make(out + PG_POS_LEN, seq);
    pg_pos_make(out + PG_TURN_LEN, counted);
}

static bool is_pos(wb_pos pos) { return pos.len == PG_POS_LEN || pos.len == PG_TURN_LEN || pos.len == PG_PART_LEN; }

/* One of its numbers; 0: it has none there. */
static uint64_t number_at(wb_pos pos, size_t at)
{
    uint64_t be;
    if (!is_pos(pos) || pos.len < at + sizeof be) return 0;
    memcpy(&be, (const uint8_t *)pos.ptr + at, sizeof be);
    return __builtin_bswap64(be);
}

pg_lsn pg_pos_lsn(wb_pos pos) { return number_at(pos, 0); }
uint64_t pg_pos_seq(wb_pos pos) { return number_at(pos, PG_POS_LEN); }
uint64_t pg_pos_counted(wb_pos pos) { return number_at(pos, PG_TURN_LEN); }

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
    if (!is_pos(pos) || !is_pos(txn->at)) return false;
    if (txn->flags & WB_TXN_SNAPSHOT) return pg_pos_seq(txn->at) && pg_pos_seq(pos) >= pg_pos_seq(txn->at);
    return pg_pos_lsn(pos) > pg_pos_lsn(txn->at);
}

static int order(uint64_t x, uint64_t y) { return (x > y) - (x < y); }

int pg_pos_compare(wb_pos a, wb_pos b)
{
    int log = order(pg_pos_lsn(a), pg_pos_lsn(b)), turns = order(pg_pos_seq(a), pg_pos_seq(b));
    if (log == turns || turns == 0) return log;
    return log == 0 ? turns : 2;
}

int64_t pg_pos_distance(wb_pos from, wb_pos to)
{
    pg_lsn a = pg_pos_lsn(from), b = pg_pos_lsn(to);
    return b > a ? (int64_t)(b - a) : 0;
}

static void put(pg_lsn lsn, uint64_t seq, void *out, size_t cap, size_t *len)
{
    uint8_t pos[PG_TURN_LEN];
    *len = pg_pos_make_turn(pos, lsn, seq);
    if (cap < *len) *len = 0;
    memcpy(out, pos, *len);
}

void pg_pos_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    pg_lsn x = pg_pos_lsn(a), y = pg_pos_lsn(b);
    uint64_t m = pg_pos_seq(a), n = pg_pos_seq(b);
    put(WB_MIN(x, y), WB_MIN(m, n), out, cap, len);
}

void pg_pos_join(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    pg_lsn x = pg_pos_lsn(a), y = pg_pos_lsn(b);
    uint64_t m = pg_pos_seq(a), n = pg_pos_seq(b);
    put(WB_MAX(x, y), WB_MAX(m, n), out, cap, len);
}

size_t pg_pos_render(wb_pos pos, char *out, size_t cap)
{
    char text[PG_POS_TEXT];
    if (!cap) return 0;
    pg_lsn_text(pg_pos_lsn(pos), text);
    size_t n0 = strlen(text);
    if (pg_pos_seq(pos)) (void)snprintf(text + n0, sizeof text - n0, "+%llu", (unsigned long long)pg_pos_seq(pos));
    size_t n = WB_MIN(strlen(text), cap - 1);
    memcpy(out, text, n);
    out[n] = 0;
    return n;
}

/* What follows the "+": digits, no more than fit. */
static bool parse_seq(wb_str text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || *out > (UINT64_MAX - 9) / 10) return false;
        *out = *out * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return text.len && *out;
}

wb_code pg_pos_parse(wb_str text, void *out, size_t cap, size_t *len, wb_error *err)
{
    pg_lsn lsn;
    uint64_t seq = 0;
    const char *plus = text.len ? memchr(text.ptr, '+', text.len) : NULL;
    wb_str left = {text.ptr, plus ? (size_t)(plus - text.ptr) : text.len};
    bool fine = pg_lsn_parse(left, &lsn);
    if (fine && plus) fine = parse_seq((wb_str){plus + 1, text.len - left.len - 1}, &seq);
    *len = 0;
    if (fine) put(lsn, seq, out, cap, len);
    if (*len) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "'%.*s' is not a position of PostgreSQL.", (int)WB_MIN(text.len, (size_t)60),
            text.ptr ? text.ptr : "");
    wb_hint(err, "Write an LSN as the server does: 0/16B3748.");
    return WB_E_CONFIG;
}

/* payload.c: what is compressed: whole transactions (MySQL, TRANSACTION_PAYLOAD), rows, queries and columns (MariaDB).
 * A transaction is decompressed piece by piece, one event in memory at a time, whatever its size. */
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "inside.h"

/* ---------------------------------------------------------------- TRANSACTION_PAYLOAD */

/* The next piece of it: what is in memory is not copied, what is in the spool comes through the window. */
static wb_code next_piece(my_decoder *d, wb_error *err)
{
    my_payload *y = &d->payload;
    const uint8_t *p;
    size_t n = (size_t)WB_MIN(y->end_held - y->at_held, (uint64_t)d->o.window);
    if (n == 0 || wb_rd_left(&y->in) > 0) return WB_OK;
    wb_code code = my_held_read(d, my_held_content(d), y->at_held, n, &p, err);
    if (code != WB_OK) return code;
    y->in = wb_rd_of(p, n);
    y->at_held += n;
    return WB_OK;
}

static bool over(const my_payload *y) { return wb_rd_left(&y->in) == 0 && y->at_held == y->end_held; }

wb_code my_payload_open(my_decoder *d, uint64_t at, uint64_t n, wb_error *err)
{
    enum { END, PAYLOAD_SIZE, COMPRESSION, UNCOMPRESSED_SIZE };
    enum { ZSTD = 0, NONE = 255 };
    my_payload *y = &d->payload;
    y->in = wb_rd_of(NULL, 0);
    y->at_held = at;
    y->end_held = at + n;
    wb_code code = next_piece(d, err);
    if (code != WB_OK) return code;
    wb_rd r = y->in; /* its head is small */
    uint64_t compression = NONE;
    while (wb_rd_left(&r) > 0) {
        uint64_t field = my_rd_lenenc(&r);
        if (field == END) break;
        wb_str value = my_rd_lenenc_str(&r);
        wb_rd v = wb_rd_of(value.ptr, value.len);
        if (field == COMPRESSION) compression = my_rd_lenenc(&v);
        if (v.failed) r.failed = true;
    }
    if (r.failed) return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "its head is damaged");
    if (compression != ZSTD && compression != NONE)
        return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "it is compressed in an unknown way (%llu)",
                            (unsigned long long)compression);
    y->plain = compression == NONE;
    y->in = r;
    y->at = y->len = 0;
    y->ended = false;
    if (!y->plain) {
        if (!y->zstd) y->zstd = ZSTD_createDStream();
        if (!y->zstd) return my_no_memory(d, err);
        ZSTD_initDStream(y->zstd);
    }
    y->open = true;
    return WB_OK;
}

void my_payload_close(my_decoder *d) { d->payload.open = false; }

void my_payload_fini(my_decoder *d)
{
    ZSTD_freeDStream(d->payload.zstd);
    free(d->payload.buf);
    memset(&d->payload, 0, sizeof d->payload);
}

/* Room for `want` bytes from `at` on. */
static bool make_room(my_payload *y, size_t want)
{
    if (y->at) {
        memmove(y->buf, y->buf + y->at, y->len - y->at);
        y->len -= y->at;
        y->at = 0;
    }
    if (want <= y->cap) return true;
    size_t cap = WB_MAX(want, (size_t)256 * 1024);
    uint8_t *more = realloc(y->buf, cap);
    if (!more) return false;
    y->buf = more;
    y->cap = cap;
    return true;
}

/* Until `want` bytes are there, or the stream ends. */
static wb_code fill(my_decoder *d, size_t want, wb_error *err)
{
    my_payload *y = &d->payload;
    if (y->len - y->at >= want) return WB_OK;
    if (!make_room(y, want)) return my_no_memory(d, err);
    while (y->len < want && !y->ended) {
        wb_code code = next_piece(d, err);
        if (code != WB_OK) return code;
        if (y->plain) {
            size_t k = WB_MIN(wb_rd_left(&y->in), y->cap - y->len);
            if (k) memcpy(y->buf + y->len, wb_rd_bytes(&y->in, k), k);
            y->len += k;
            y->ended = over(y);
            continue;
        }
        ZSTD_inBuffer in = {y->in.p, wb_rd_left(&y->in), 0};
        ZSTD_outBuffer out = {y->buf, y->cap, y->len};
        size_t left = ZSTD_decompressStream(y->zstd, &out, &in);
        wb_rd_bytes(&y->in, in.pos);
        bool moved = out.pos > y->len || in.pos > 0;
        y->len = out.pos;
        if (ZSTD_isError(left))
            return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "it cannot be decompressed: %s",
                                ZSTD_getErrorName(left));
        if (left == 0 && over(y)) y->ended = true;
        if (!moved && !y->ended) return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "what it holds ends too early");
    }
    return WB_OK;
}

wb_code my_payload_next(my_decoder *d, const uint8_t **out, my_header *h, wb_error *err)
{
    my_payload *y = &d->payload;
    *out = NULL;
    wb_code code = fill(d, MY_HEADER_LEN, err);
    if (code != WB_OK || (y->ended && y->len == y->at)) return code;
    if (y->len - y->at < MY_HEADER_LEN)
        return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "what it holds ends too early");
    if ((code = my_header_read(y->buf + y->at, MY_HEADER_LEN, h, err)) != WB_OK) return code;
    if (h->length / 2 > d->o.max_row + 1024 * 1024) {
        code = my_bad_event(d, MY_TRANSACTION_PAYLOAD, err,
                            "it holds an event of %u bytes, more than max_row allows (%zu)", h->length, d->o.max_row);
        wb_hint(err, "Raise max_row in the pipeline file.");
        return code;
    }
    if ((code = fill(d, h->length, err)) != WB_OK) return code;
    if (y->len - y->at < h->length) return my_bad_event(d, MY_TRANSACTION_PAYLOAD, err, "what it holds ends too early");
    *out = y->buf + y->at;
    y->at += h->length;
    return WB_OK;
}

/* ---------------------------------------------------------------- MariaDB */

bool my_inflate_raw(const uint8_t *p, size_t n, char *out, size_t size, bool wrapped)
{
    z_stream z = {.next_in = p, .avail_in = (uInt)n, .next_out = (Bytef *)out, .avail_out = (uInt)size};
    if (n > UINT32_MAX || size > UINT32_MAX || inflateInit2(&z, wrapped ? MAX_WBITS : -MAX_WBITS) != Z_OK) return false;
    int result = inflate(&z, Z_FINISH);
    bool ok = result == Z_STREAM_END && z.avail_out == 0;
    inflateEnd(&z);
    return ok;
}

wb_code my_inflate(my_decoder *d, wb_rd r, const uint8_t *keep, size_t nkeep, size_t *n, wb_error *err)
{
    uint64_t length;
    if (!my_compressed_read(&r, &length)) return my_bad_event(d, d->type, err, "its compressed part is damaged");
    if (length / 2 > d->o.max_row + 1024 * 1024) {
        wb_code code = my_bad_event(d, d->type, err, "it holds %llu bytes, more than max_row allows (%zu)",
                                    (unsigned long long)length, d->o.max_row);
        wb_hint(err, "Raise max_row in the pipeline file.");
        return code;
    }
    size_t size = nkeep + (size_t)length;
    if (size > d->inflated_cap) {
        uint8_t *more = realloc(d->inflated, size);
        if (!more) return my_no_memory(d, err);
        d->inflated = more;
        d->inflated_cap = size;
    }
    if (nkeep) memcpy(d->inflated, keep, nkeep);
    if (!my_inflate_raw(r.p, wb_rd_left(&r), (char *)d->inflated + nkeep, (size_t)length, true))
        return my_bad_event(d, d->type, err, "its compressed part is damaged");
    *n = size;
    return WB_OK;
}

/* file_compress.c: zstd frames and gzip members, ended where the file target says, so that a file cut there is whole.
 * Memory: what one stream of the library needs, a few MB at usual levels. */
#include "targets/file.h"

#include <stdio.h>

#ifdef WB_HAVE_ZSTD
#include <zstd.h>
#endif
#ifdef WB_HAVE_ZLIB
#include <zlib.h>
#endif

struct file_compress {
    int kind;
    bool begun; /* bytes since the last end */
#ifdef WB_HAVE_ZSTD
    ZSTD_CCtx *zstd;
#endif
#ifdef WB_HAVE_ZLIB
    z_stream gzip;
    bool gzip_ready;
#endif
};

enum { PIECE = 64 * 1024 };

const char *file_compress_version(void)
{
    static _Thread_local char text[80];
    text[0] = 0;
#ifdef WB_HAVE_ZSTD
    (void)snprintf(text, sizeof text, "zstd %s", ZSTD_versionString());
#endif
#ifdef WB_HAVE_ZLIB
    size_t n = strlen(text);
    (void)snprintf(text + n, sizeof text - n, "%szlib %s", n ? ", " : "", zlibVersion());
#endif
    return text[0] ? text : NULL;
}

static wb_code no_memory(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to compress the file.");
}

#ifdef WB_HAVE_ZSTD
static wb_code zstd_new(file_compress *c, int level, wb_error *err)
{
    c->zstd = ZSTD_createCCtx();
    if (!c->zstd) return no_memory(err);
    size_t code = ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level);
    if (!ZSTD_isError(code)) code = ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1);
    if (!ZSTD_isError(code)) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "zstd refuses the level %d: %s.", level, ZSTD_getErrorName(code));
}

static wb_code zstd_run(file_compress *c, const char *p, size_t n, bool end, wb_out *to, wb_error *err)
{
    ZSTD_inBuffer in = {p, n, 0};
    for (;;) {
        char *q = wb_out_room(to, PIECE);
        if (!q) return no_memory(err);
        ZSTD_outBuffer out = {q, to->cap - to->len, 0};
        size_t left = ZSTD_compressStream2(c->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        to->len += out.pos;
        if (ZSTD_isError(left))
            return wb_fail(err, WB_E_INTERNAL, WB_RECONNECT, "zstd cannot compress: %s.", ZSTD_getErrorName(left));
        if (end ? left == 0 : in.pos == in.size) return WB_OK;
    }
}
#endif

#ifdef WB_HAVE_ZLIB
static wb_code gzip_new(file_compress *c, int level, wb_error *err)
{
    int code = deflateInit2(&c->gzip, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY); /* 16: with gzip's header */
    c->gzip_ready = code == Z_OK;
    if (code == Z_OK) return WB_OK;
    if (code == Z_MEM_ERROR) return no_memory(err);
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "zlib refuses the level %d.", level);
}

static wb_code gzip_run(file_compress *c, const char *p, size_t n, bool end, wb_out *to, wb_error *err)
{
    c->gzip.next_in = (z_const Bytef *)(uintptr_t)p;
    for (;;) {
        size_t now = WB_MIN(n, (size_t)1 << 30); /* zlib counts in 32 bits */
        char *q = wb_out_room(to, PIECE);
        if (!q) return no_memory(err);
        size_t room = WB_MIN(to->cap - to->len, (size_t)1 << 30);
        c->gzip.avail_in = (uInt)now;
        c->gzip.next_out = (Bytef *)q;
        c->gzip.avail_out = (uInt)room;
        int code = deflate(&c->gzip, end && now == n ? Z_FINISH : Z_NO_FLUSH);
        to->len += room - c->gzip.avail_out;
        n -= now - c->gzip.avail_in;
        if (code == Z_STREAM_ERROR) return wb_fail(err, WB_E_INTERNAL, WB_RECONNECT, "zlib cannot compress.");
        if (end ? code == Z_STREAM_END : n == 0 && c->gzip.avail_out > 0) break;
    }
    if (end) deflateReset(&c->gzip);
    return WB_OK;
}
#endif

wb_code file_compress_new(int kind, int level, file_compress **out, wb_error *err)
{
    *out = NULL;
    file_compress *c = calloc(1, sizeof *c);
    if (!c) return no_memory(err);
    c->kind = kind;
    WB_UNUSED(level); /* where neither is built in */
    wb_code code = WB_E_UNSUPPORTED;
#ifdef WB_HAVE_ZSTD
    if (kind == FILE_ZSTD) code = zstd_new(c, level ? level : 3, err);
#endif
#ifdef WB_HAVE_ZLIB
    if (kind == FILE_GZIP) code = gzip_new(c, level ? level : 6, err);
#endif
    if (code == WB_E_UNSUPPORTED) {
        const char *name = kind == FILE_ZSTD ? "zstd" : "gzip";
        wb_fail(err, code, WB_NEVER, "This build of Walbrook has no %s.", name);
        wb_hint(err, "Install %s and build again.", kind == FILE_ZSTD ? "libzstd-dev" : "zlib1g-dev");
    }
    if (code != WB_OK) {
        file_compress_free(c);
        return code;
    }
    *out = c;
    return WB_OK;
}

static wb_code run(file_compress *c, const char *p, size_t n, bool end, wb_out *to, wb_error *err)
{
#ifdef WB_HAVE_ZSTD
    if (c->kind == FILE_ZSTD) return zstd_run(c, p, n, end, to, err);
#endif
#ifdef WB_HAVE_ZLIB
    if (c->kind == FILE_GZIP) return gzip_run(c, p, n, end, to, err);
#endif
    WB_UNUSED(p);
    WB_UNUSED(n);
    WB_UNUSED(end);
    WB_UNUSED(to);
    return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "Unknown compression %d.", c->kind);
}

wb_code file_compress_put(file_compress *c, const char *p, size_t n, wb_out *to, wb_error *err)
{
    if (n == 0) return WB_OK;
    c->begun = true;
    return run(c, p, n, false, to, err);
}

wb_code file_compress_end(file_compress *c, wb_out *to, wb_error *err)
{
    if (!c->begun) return WB_OK;
    wb_code code = run(c, "", 0, true, to, err);
    if (code == WB_OK) c->begun = false;
    return code;
}

void file_compress_free(file_compress *c)
{
    if (!c) return;
#ifdef WB_HAVE_ZSTD
    ZSTD_freeCCtx(c->zstd);
#endif
#ifdef WB_HAVE_ZLIB
    if (c->gzip_ready) deflateEnd(&c->gzip);
#endif
    free(c);
}

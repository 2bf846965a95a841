/* files_input.c: the bytes of a log: a plain file is mapped; a pipe, gzip and zstd go through a window. Called by
 * files.c. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { IN_SIZE = 256 * 1024, WINDOW = 1024 * 1024, FORGET = 8 * 1024 * 1024 };

typedef struct my_unpack {
    z_stream gz;
    ZSTD_DStream *zstd; /* NULL: gzip */
    uint8_t in[IN_SIZE];
    size_t from, to;
    bool in_over;  /* the file has no more */
    bool in_frame; /* the compressed data does not end here */
} my_unpack;

static wb_code nomem(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_NEVER, "There is no memory to read a binlog file.");
}

/* "/var/lib/mysql/binlog.000042.gz" is binlog.000042. */
void my_input_name(my_input *in)
{
    const char *slash = strrchr(in->path, '/'), *name = slash ? slash + 1 : in->path;
    (void)snprintf(in->name, sizeof in->name, "%.*s", MY_NAME_MAX - 1, name);
    size_t n = strlen(in->name);
    if (n > 3 && strcmp(in->name + n - 3, ".gz") == 0)
        in->name[n - 3] = 0;
    else if (n > 4 && strcmp(in->name + n - 4, ".zst") == 0)
        in->name[n - 4] = 0;
}

/* ---------------------------------------------------------------- reading what is not mapped */

/* Up to `cap` bytes as they are in the file or pipe. WB_AGAIN: none within ms. *n 0: the end. */
static wb_code read_raw(my_input *in, uint8_t *to, size_t cap, int ms, size_t *n, wb_error *err)
{
    struct pollfd fd = {in->fd, POLLIN, 0};
    *n = 0;
    if (poll(&fd, 1, ms) == 0) return WB_AGAIN;
    ssize_t got = read(in->fd, to, cap);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return WB_AGAIN;
    if (got < 0) return wb_fail_errno(err, errno, "cannot read %s", in->path);
    *n = (size_t)got;
    return WB_OK;
}

static wb_code damaged(const my_input *in, const char *how, const char *why, wb_error *err)
{
    wb_fail(err, WB_E_DATA, WB_NEVER, "%s is damaged: %s says at unpacked byte %llu: %s.", in->path, how,
            (unsigned long long)(in->offset + (in->to - in->from)), why);
    wb_hint(err, "Everything before that place was decoded; copy the file again.");
    return WB_E_DATA;
}

static wb_code unpack_gzip(my_input *in, wb_error *err)
{
    my_unpack *u = in->unpack;
    u->gz.next_in = u->in + u->from;
    u->gz.avail_in = (uInt)(u->to - u->from);
    u->gz.next_out = in->buffer + in->to;
    u->gz.avail_out = (uInt)WB_MIN(in->cap - in->to, (size_t)1 << 30);
    int code = inflate(&u->gz, Z_NO_FLUSH);
    u->from = u->to - u->gz.avail_in;
    in->to = (size_t)(u->gz.next_out - in->buffer);
    u->in_frame = true;
    if (code == Z_STREAM_END) {
        u->in_frame = false;
        (void)inflateReset(&u->gz); /* another member may follow */
        return WB_OK;
    }
    if (code == Z_OK || code == Z_BUF_ERROR) return WB_OK;
    return code == Z_MEM_ERROR ? nomem(err) : damaged(in, "gzip", u->gz.msg ? u->gz.msg : "not gzip data", err);
}

static wb_code unpack_zstd(my_input *in, wb_error *err)
{
    my_unpack *u = in->unpack;
    ZSTD_inBuffer from = {u->in, u->to, u->from};
    ZSTD_outBuffer to = {in->buffer, in->cap, in->to};
    size_t code = ZSTD_decompressStream(u->zstd, &to, &from);
    u->from = from.pos;
    in->to = to.pos;
    if (ZSTD_isError(code)) return damaged(in, "zstd", ZSTD_getErrorName(code), err);
    u->in_frame = code != 0;
    return WB_OK;
}

/* More bytes into the window. */
static wb_code fill(my_input *in, int ms, wb_error *err)
{
    my_unpack *u = in->unpack;
    size_t n, before = in->to;
    if (!u) {
        wb_code code = read_raw(in, in->buffer + in->to, in->cap - in->to, ms, &n, err);
        in->to += n;
        if (code == WB_OK && n == 0) in->over = true;
        return code;
    }
    if (u->from == u->to && !u->in_over) {
        wb_code code = read_raw(in, u->in, sizeof u->in, ms, &n, err);
        if (code != WB_OK) return code;
        u->from = 0;
        u->to = n;
        u->in_over = n == 0;
    }
    if (u->from == u->to && u->in_over && !u->in_frame) {
        in->over = true;
        return WB_OK;
    }
    wb_code code = u->zstd ? unpack_zstd(in, err) : unpack_gzip(in, err);
    if (code == WB_OK && u->in_over && u->from == u->to && in->to == before)
        return damaged(in, u->zstd ? "zstd" : "gzip", "the file ends too early", err);
    return code;
}

static wb_code make_room(my_input *in, size_t n, wb_error *err)
{
    if (in->from && in->cap - in->from < n) {
        memmove(in->buffer, in->buffer + in->from, in->to - in->from);
        in->to -= in->from;
        in->from = 0;
    }
    if (n <= in->cap) return WB_OK;
    uint8_t *bigger = realloc(in->buffer, n);
    if (!bigger) return nomem(err);
    in->buffer = bigger;
    in->cap = n;
    return WB_OK;
}

/* ---------------------------------------------------------------- for files.c */

wb_code my_input_peek(my_input *in, size_t n, int ms, const uint8_t **p, size_t *have, wb_error *err)
{
    if (in->map) {
        *p = in->map + in->offset;
        *have = WB_MIN(n, in->map_len - (size_t)in->offset);
        return WB_OK;
    }
    wb_code code = make_room(in, n, err);
    while (code == WB_OK && in->to - in->from < n && !in->over) code = fill(in, ms, err);
    *p = in->buffer + in->from;
    *have = WB_MIN(n, in->to - in->from);
    return code;
}

void my_input_skip(my_input *in, size_t n)
{
    in->offset += n;
    if (!in->map) in->from += n;
    if (in->from == in->to) in->from = in->to = 0;
}

bool my_input_seek(my_input *in, uint64_t offset)
{
    if (!in->map || offset > in->map_len) return false;
    in->offset = offset;
    return true;
}

void my_input_forget(my_input *in)
{
    if (!in->map) return;
    size_t upto = (size_t)in->offset & ~(size_t)4095;
    (void)madvise((void *)(uintptr_t)in->map, upto, MADV_DONTNEED);
    in->forgotten = upto;
}

void my_input_passed(my_input *in, const uint8_t *p)
{
    size_t from = (size_t)in->offset & ~(size_t)4095, upto = in->map ? (size_t)(p - in->map) & ~(size_t)4095 : 0;
    if (upto > from) (void)madvise((void *)(uintptr_t)(in->map + from), upto - from, MADV_DONTNEED);
}

static wb_code start_unpacking(my_input *in, bool zstd, wb_error *err)
{
    my_unpack *u = calloc(1, sizeof *u);
    if (!u) return nomem(err);
    in->unpack = u;
    memcpy(u->in, in->buffer + in->from, in->to - in->from); /* no more than its first bytes */
    u->to = in->to - in->from;
    u->in_over = in->over;
    in->from = in->to = 0;
    in->over = false;
    if (zstd) {
        u->zstd = ZSTD_createDStream();
        return u->zstd && !ZSTD_isError(ZSTD_initDStream(u->zstd)) ? WB_OK : nomem(err);
    }
    return inflateInit2(&u->gz, 15 + 16) == Z_OK ? WB_OK : nomem(err);
}

static wb_code map_file(my_input *in, size_t size, wb_error *err)
{
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, in->fd, 0);
    if (map == MAP_FAILED) return wb_fail_errno(err, errno, "cannot map %s", in->path);
    (void)madvise(map, size, MADV_SEQUENTIAL);
    in->map = map;
    in->map_len = size;
    return WB_OK;
}

wb_code my_input_open(my_input *in, const char *path, wb_error *err)
{
    static const uint8_t gz[] = {0x1f, 0x8b}, zst[] = {0x28, 0xb5, 0x2f, 0xfd};
    struct stat st;
    uint8_t magic[4] = {0};
    *in = (my_input){.fd = -1};
    bool pipe = strcmp(path, "-") == 0;
    (void)snprintf(in->path, sizeof in->path, "%s", pipe ? "standard input" : path);
    in->fd = pipe ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (in->fd < 0 || fstat(in->fd, &st)) return wb_fail_errno(err, errno, "cannot read %s", in->path);
    if (S_ISDIR(st.st_mode)) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s is a folder, not a binlog file.", path);
        wb_hint(err, "Name the files: %s/binlog.0*", path);
        return WB_E_CONFIG;
    }
    if (pipe)
        (void)snprintf(in->name, sizeof in->name, "-");
    else
        my_input_name(in);
    bool plain = S_ISREG(st.st_mode) && lseek(in->fd, 0, SEEK_CUR) == 0;
    ssize_t n = plain ? pread(in->fd, magic, sizeof magic, 0) : 0;
    if (plain && n == sizeof magic && memcmp(magic, gz, sizeof gz) != 0 && memcmp(magic, zst, sizeof zst) != 0)
        return map_file(in, (size_t)st.st_size, err);
    in->buffer = malloc(WINDOW);
    in->cap = WINDOW;
    if (!in->buffer) return nomem(err);
    wb_code code = WB_OK;
    while (in->to < sizeof magic && !in->over && (code == WB_OK || code == WB_AGAIN)) {
        in->cap = sizeof magic; /* no more than what tells: the rest may be compressed */
        code = fill(in, 100, err);
    }
    in->cap = WINDOW;
    if (code != WB_OK && code != WB_AGAIN) return code;
    if (in->to >= sizeof gz && memcmp(in->buffer, gz, sizeof gz) == 0) return start_unpacking(in, false, err);
    if (in->to >= sizeof zst && memcmp(in->buffer, zst, sizeof zst) == 0) return start_unpacking(in, true, err);
    return WB_OK;
}

void my_input_close(my_input *in)
{
    if (in->map) (void)munmap((void *)(uintptr_t)in->map, in->map_len);
    if (in->fd > 0) (void)close(in->fd);
    if (in->unpack) {
        if (in->unpack->zstd)
            (void)ZSTD_freeDStream(in->unpack->zstd);
        else
            (void)inflateEnd(&in->unpack->gz);
        free(in->unpack);
    }
    free(in->buffer);
    *in = (my_input){.fd = -1};
}

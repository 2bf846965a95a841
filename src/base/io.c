/* io.c: our own files, so that they survive a power cut. Called by the state, the journals, the spools and the file
 * target; any thread. Nothing is buffered here. */
#include "base/io.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static wb_code fail(int sys, wb_error *err, const char *what, const char *path)
{
    wb_code code = wb_fail_errno(err, sys, "cannot %s %s", what, path);
    if (code == WB_E_FULL) wb_hint(err, "Free some space there; Walbrook tries again by itself.");
    return code;
}

/* Take back the first `done` bytes of a write that could not go on, so that the same call may be made again.
 * Only at the end of a regular file; false: they are still there. */
static bool undo(int fd, size_t done)
{
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0 || at < (off_t)done || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size != at) return false;
    off_t start = at - (off_t)done;
    return ftruncate(fd, start) == 0 && lseek(fd, start, SEEK_SET) == start;
}

wb_code wb_io_write(int fd, const void *p, size_t n, const char *path, wb_error *err)
{
    size_t done = 0;
    int sys = WB_FAULT("io.write");
    while (!sys && done < n) {
        ssize_t w = write(fd, (const char *)p + done, n - done);
        if (w > 0)
            done += (size_t)w;
        else if (w == 0)
            sys = ENOSPC;
        else if (errno != EINTR)
            sys = errno;
    }
    if (!sys) return WB_OK;
    bool first = !err || err->code == WB_OK;
    wb_code code = fail(sys, err, "write to", path);
    if (done && !undo(fd, done) && err && first && err->next == WB_RETRY) err->next = WB_RECONNECT;
    return code;
}

wb_code wb_io_pwrite(int fd, const void *p, size_t n, int64_t at, const char *path, wb_error *err)
{
    size_t done = 0;
    int sys = WB_FAULT("io.write");
    while (!sys && done < n) {
        ssize_t w = pwrite(fd, (const char *)p + done, n - done, (off_t)at + (off_t)done);
        if (w > 0)
            done += (size_t)w;
        else if (w == 0)
            sys = ENOSPC;
        else if (errno != EINTR)
            sys = errno;
    }
    return sys ? fail(sys, err, "write to", path) : WB_OK;
}

wb_code wb_io_pread(int fd, void *p, size_t n, int64_t at, const char *path, wb_error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = pread(fd, (char *)p + done, n - done, (off_t)at + (off_t)done);
        if (r == 0)
            return wb_fail(err, WB_E_IO, WB_NEVER, "%s ends early: wanted %zu bytes at %lld, found %zu", path, n,
                           (long long)at, done);
        if (r > 0)
            done += (size_t)r;
        else if (errno != EINTR)
            return fail(errno, err, "read", path);
    }
    return WB_OK;
}

wb_code wb_io_sync(int fd, const char *path, wb_error *err)
{
    int sys = WB_FAULT("io.sync");
    if (!sys && fdatasync(fd)) sys = errno;
    if (!sys) return WB_OK;
    bool first = !err || err->code == WB_OK;
    wb_code code = fail(sys, err, "sync", path);
    /* The kernel may have dropped the pages: only starting over from what is known to be safe helps. */
    if (err && first && err->next == WB_RETRY) err->next = WB_RECONNECT;
    return code;
}

void wb_io_let_go(int fd, int64_t from, int64_t to)
{
    if (to > from) (void)posix_fadvise(fd, (off_t)from, (off_t)(to - from), POSIX_FADV_DONTNEED);
}

wb_code wb_io_truncate(int fd, int64_t len, const char *path, wb_error *err)
{
    int sys = WB_FAULT("io.truncate");
    while (!sys && ftruncate(fd, (off_t)len)) {
        if (errno != EINTR) sys = errno;
    }
    return sys ? fail(sys, err, "cut", path) : WB_OK;
}

wb_code wb_io_rename(const char *from, const char *to, wb_error *err)
{
    int sys = WB_FAULT("io.rename");
    if (!sys && rename(from, to)) sys = errno;
    if (sys) return wb_fail_errno(err, sys, "cannot rename %s to %s", from, to);
    return wb_io_sync_dir_of(to, err);
}

wb_code wb_io_sync_dir_of(const char *path, wb_error *err)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    if (slash && len == 0) len = 1; /* "/name" */
    if (len >= sizeof dir) return fail(ENAMETOOLONG, err, "sync the folder of", path);
    memcpy(dir, slash ? path : ".", slash ? len : 1);
    dir[slash ? len : 1] = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail(errno, err, "open the folder", dir);
    int sys = fsync(fd) ? errno : 0;
    (void)close(fd);
    /* Some file systems cannot sync a folder and say so; there is nothing more to be had from them. */
    if (sys && sys != EINVAL && sys != EROFS) return fail(sys, err, "sync the folder", dir);
    return WB_OK;
}

wb_code wb_io_mkdir(const char *path, int mode, wb_error *err)
{
    if (mkdir(path, (mode_t)mode) == 0) {
        char plain[PATH_MAX]; /* "state/" lies in ".", not in "state" */
        size_t len = strlen(path);
        while (len > 1 && path[len - 1] == '/') len--;
        if (len >= sizeof plain) return fail(ENAMETOOLONG, err, "make the folder", path);
        memcpy(plain, path, len);
        plain[len] = 0;
        return wb_io_sync_dir_of(plain, err);
    }
    int sys = errno;
    struct stat st;
    if (sys == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return WB_OK;
        sys = ENOTDIR;
    }
    return fail(sys, err, "make the folder", path);
}

static wb_code slurp_fd(int fd, const char *path, size_t max, char **p, size_t *n, wb_error *err)
{
    struct stat st;
    size_t cap = fstat(fd, &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size < max ? (size_t)st.st_size + 2 : 4096;
    size_t len = 0;
    char *buf = malloc(cap);
    while (buf) {
        ssize_t r = read(fd, buf + len, cap - 1 - len);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) {
            int sys = errno;
            free(buf);
            return fail(sys, err, "read", path);
        }
        len += (size_t)r;
        if (len > max) {
            free(buf);
            return wb_fail(err, WB_E_LIMIT, WB_NEVER, "%s is larger than the %zu bytes that are read of it", path, max);
        }
        if (r == 0) {
            buf[len] = 0;
            *p = buf;
            *n = len;
            return WB_OK;
        }
        if (len < cap - 1) continue;
        char *more = realloc(buf, cap * 2);
        if (!more) free(buf);
        buf = more;
        cap *= 2;
    }
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "no memory to read %s", path);
}

wb_code wb_io_slurp(const char *path, size_t max, char **p, size_t *n, wb_error *err)
{
    *p = NULL;
    *n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? WB_OK : fail(errno, err, "open", path);
    wb_code code = slurp_fd(fd, path, max, p, n, err);
    (void)close(fd);
    return code;
}

/* No fault points: this happens by the clock, and a test counts passages. */
wb_code wb_io_replace(const char *path, const void *p, size_t n, int mode, wb_error *err)
{
    char temp[PATH_MAX];
    int len = snprintf(temp, sizeof temp, "%s.tmp", path);
    if (len < 0 || (size_t)len >= sizeof temp) return fail(ENAMETOOLONG, err, "write", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0) return fail(errno, err, "create", temp);
    int sys = 0;
    for (size_t done = 0; !sys && done < n;) {
        ssize_t w = write(fd, (const char *)p + done, n - done);
        if (w >= 0)
            done += (size_t)w;
        else if (errno != EINTR)
            sys = errno;
    }
    if (!sys && fchmod(fd, (mode_t)mode)) sys = errno; /* whatever the umask */
    if (close(fd) && !sys) sys = errno;
    if (!sys && rename(temp, path)) sys = errno;
    if (!sys) return WB_OK;
    (void)unlink(temp);
    return fail(sys, err, "write", path);
}

wb_code wb_io_temp(const char *dir, int *fd, wb_error *err)
{
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0) return WB_OK;
    char path[PATH_MAX]; /* not every file system knows O_TMPFILE */
    int len = snprintf(path, sizeof path, "%s/.walbrook-XXXXXX", dir);
    if (len < 0 || (size_t)len >= sizeof path) return fail(ENAMETOOLONG, err, "make a file in", dir);
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0) return fail(errno, err, "make a file in", dir);
    (void)unlink(path);
    return WB_OK;
}

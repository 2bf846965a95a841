/* powercut_calls.c: the calls that powercut.c stands before: each does what libc does, and remembers it. */
#include "powercut.h"

#define API __attribute__((visibility("default")))

/* ---------------------------------------------------------------- writes */

static ssize_t tracked_write(int fd, const void *p, size_t n, off_t at, bool has_at)
{
    struct stat st;
    if (!pc_active() || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return has_at ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
    pthread_mutex_lock(&pc_lock);
    file *f = pc_file_of(fd);
    ssize_t done;
    if (!f) {
        done = has_at ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
    } else {
        int flags = fcntl(fd, F_GETFL);
        off_t before = pc_length(f);
        if (!has_at) at = flags & O_APPEND ? before : lseek(fd, 0, SEEK_CUR);
        size_t old_len;
        off_t end = at + (off_t)n < before ? at + (off_t)n : before;
        char *old = pc_bytes_at(f, at, end, &old_len);
        done = has_at ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
        int e = errno;
        if (done > 0) {
            made m = {false, (flags & O_DSYNC) != 0, at, before, pc_length(f), old, old_len};
            pc_remember(f, &m, p, (size_t)done);
            pc_tick("write");
        } else {
            free(old);
        }
        errno = e;
    }
    pthread_mutex_unlock(&pc_lock);
    return done;
}

static ssize_t tracked_writev(int fd, const struct iovec *v, int count, off_t at, bool has_at)
{
    size_t n = 0;
    for (int i = 0; i < count; i++) n += v[i].iov_len;
    if (!pc_active() || n == 0)
        return has_at ? syscall(SYS_pwritev, fd, v, (long)count, at, 0L) : syscall(SYS_writev, fd, v, (long)count);
    char *flat = pc_need(n);
    for (size_t i = 0, to = 0; i < (size_t)count; to += v[i++].iov_len)
        if (v[i].iov_len) memcpy(flat + to, v[i].iov_base, v[i].iov_len);
    ssize_t done = tracked_write(fd, flat, n, at, has_at);
    int e = errno;
    free(flat);
    errno = e;
    return done;
}

API ssize_t write(int fd, const void *p, size_t n) { return tracked_write(fd, p, n, 0, false); }
API ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return tracked_write(fd, p, n, at, true); }
API ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) { return tracked_write(fd, p, n, at, true); }
API ssize_t writev(int fd, const struct iovec *v, int count) { return tracked_writev(fd, v, count, 0, false); }
API ssize_t pwritev(int fd, const struct iovec *v, int count, off_t at)
{
    return tracked_writev(fd, v, count, at, true);
}
API ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t at)
{
    return tracked_writev(fd, v, count, at, true);
}

static int tracked_resize(int fd, off_t len)
{
    if (!pc_active()) return (int)syscall(SYS_ftruncate, fd, len);
    pthread_mutex_lock(&pc_lock);
    file *f = pc_file_of(fd);
    int r;
    if (!f) {
        r = (int)syscall(SYS_ftruncate, fd, len);
    } else {
        off_t before = pc_length(f);
        size_t old_len;
        char *old = pc_bytes_at(f, len, before, &old_len);
        r = (int)syscall(SYS_ftruncate, fd, len);
        int e = errno;
        if (r == 0) {
            made m = {true, (fcntl(fd, F_GETFL) & O_DSYNC) != 0, len, before, len, old, old_len};
            pc_remember(f, &m, NULL, 0);
            pc_tick("truncate");
        } else {
            free(old);
        }
        errno = e;
    }
    pthread_mutex_unlock(&pc_lock);
    return r;
}

static int tracked_allocate(int fd, off_t at, off_t len)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return -1;
    return at + len > st.st_size ? tracked_resize(fd, at + len) : 0;
}

API int ftruncate(int fd, off_t len) { return tracked_resize(fd, len); }
API int ftruncate64(int fd, off64_t len) { return tracked_resize(fd, len); }
API int posix_fallocate(int fd, off_t at, off_t len) { return tracked_allocate(fd, at, len) == 0 ? 0 : errno; }
API int posix_fallocate64(int fd, off64_t at, off64_t len) { return tracked_allocate(fd, at, len) == 0 ? 0 : errno; }
API int fallocate(int fd, int how, off_t at, off_t len)
{
    if (!pc_active()) return (int)syscall(SYS_fallocate, fd, how, at, len);
    if (how == FALLOC_FL_KEEP_SIZE) return 0;
    if (how == 0) return tracked_allocate(fd, at, len);
    errno = EOPNOTSUPP;
    return -1;
}
API int fallocate64(int fd, int how, off64_t at, off64_t len) { return fallocate(fd, how, at, len); }

/* ---------------------------------------------------------------- syncs */

static int tracked_sync(int fd, long call, const char *why)
{
    if (!pc_active()) return (int)syscall(call, fd);
    pthread_mutex_lock(&pc_lock);
    struct stat st;
    char path[PATH_MAX];
    file *f = pc_file_of(fd);
    bool folder = !f && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && pc_path_of_fd(fd, path) && pc_below_root(path);
    if (f || folder) pc_tick(why);
    int r = (int)syscall(call, fd), e = errno;
    if (r == 0 && f) pc_forget(f);
    if (r == 0 && folder) pc_sync_folder(path);
    pthread_mutex_unlock(&pc_lock);
    errno = e;
    return r;
}

API int fsync(int fd) { return tracked_sync(fd, SYS_fsync, "fsync"); }
API int fdatasync(int fd) { return tracked_sync(fd, SYS_fdatasync, "fdatasync"); }
API void sync(void)
{
    syscall(SYS_sync);
    if (!pc_active()) return;
    pthread_mutex_lock(&pc_lock);
    pc_forget_all();
    pc_sync_folder(NULL);
    pthread_mutex_unlock(&pc_lock);
}
API int syncfs(int fd)
{
    (void)fd;
    sync();
    return 0;
}

/* ---------------------------------------------------------------- names */

static int tracked_open(int dirfd, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    bool writes = (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) != 0;
    if (!pc_active() || !writes || (flags & O_TMPFILE) == O_TMPFILE)
        return (int)syscall(SYS_openat, dirfd, path, flags, mode);
    if (!pc_absolute(dirfd, path, full)) return (int)syscall(SYS_openat, dirfd, path, flags, mode);
    pthread_mutex_lock(&pc_lock);
    bool was = pc_exists(full), truncate = was && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY;
    int fd = (int)syscall(SYS_openat, dirfd, path, truncate ? flags & ~O_TRUNC : flags, mode);
    int e = errno;
    if (fd >= 0 && pc_is_shm(full)) {
        pc_remember_name(SHM, full, NULL, NULL);
    } else if (fd >= 0 && !was && (flags & O_CREAT)) {
        pc_remember_name(MADE, full, NULL, NULL);
        pc_tick("create");
    }
    pthread_mutex_unlock(&pc_lock);
    if (fd >= 0 && truncate && tracked_resize(fd, 0) != 0) {
        e = errno;
        syscall(SYS_close, fd);
        fd = -1;
    }
    errno = e;
    return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? (mode_t)va_arg(ap, int) : 0;
}
#define OPEN_BODY(dirfd)                                                                                               \
    va_list ap;                                                                                                        \
    va_start(ap, flags);                                                                                               \
    mode_t mode = mode_of(flags, ap);                                                                                  \
    va_end(ap);                                                                                                        \
    return tracked_open(dirfd, path, flags, mode);
API int open(const char *path, int flags, ...){OPEN_BODY(AT_FDCWD)} API
    int open64(const char *path, int flags, ...){OPEN_BODY(AT_FDCWD)} API
    int openat(int dirfd, const char *path, int flags, ...){OPEN_BODY(dirfd)} API
    int openat64(int dirfd, const char *path, int flags, ...){OPEN_BODY(dirfd)} API
    int __open_2(const char *path, int flags)
{
    return tracked_open(AT_FDCWD, path, flags, 0);
}
API int __open64_2(const char *path, int flags) { return tracked_open(AT_FDCWD, path, flags, 0); }
API int __openat_2(int dirfd, const char *path, int flags) { return tracked_open(dirfd, path, flags, 0); }
API int __openat64_2(int dirfd, const char *path, int flags) { return tracked_open(dirfd, path, flags, 0); }
API int creat(const char *path, mode_t mode)
{
    return tracked_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
API int creat64(const char *path, mode_t mode) { return creat(path, mode); }

API int mkostemp(char *path, int flags) /* glibc's own does not pass through open() above */
{
    size_t n = strlen(path);
    for (int tries = 0; n >= 6 && tries < 100; tries++) {
        uint64_t r = 0;
        syscall(SYS_getrandom, &r, sizeof r, 0);
        for (size_t i = n - 6; i < n; i++, r /= 26) path[i] = (char)('a' + r % 26);
        int fd = tracked_open(AT_FDCWD, path, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    errno = EINVAL;
    return -1;
}
API int mkstemp(char *path) { return mkostemp(path, 0); }
API int mkstemp64(char *path) { return mkostemp(path, 0); }
API int mkostemp64(char *path, int flags) { return mkostemp(path, flags); }

static int tracked_unlink(int dirfd, const char *path, int flags)
{
    char full[PATH_MAX], saved[PATH_MAX + 64];
    if (!pc_active() || (flags & AT_REMOVEDIR) || !pc_absolute(dirfd, path, full) || pc_is_shm(full) ||
        !pc_exists(full))
        return (int)syscall(SYS_unlinkat, dirfd, path, flags);
    pthread_mutex_lock(&pc_lock);
    pc_save(full, saved);
    int r = (int)syscall(SYS_unlinkat, AT_FDCWD, full, 0), e = errno;
    if (r == 0) {
        pc_remember_name(REMOVED, full, NULL, saved);
        pc_tick("unlink");
    }
    pthread_mutex_unlock(&pc_lock);
    errno = e;
    return r;
}
API int unlink(const char *path) { return tracked_unlink(AT_FDCWD, path, 0); }
API int unlinkat(int dirfd, const char *path, int flags) { return tracked_unlink(dirfd, path, flags); }

static int tracked_rename(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
    char a[PATH_MAX], b[PATH_MAX], saved[PATH_MAX + 64];
    if (!pc_active() || !pc_absolute(fromfd, from, a) || !pc_absolute(tofd, to, b))
        return (int)syscall(SYS_renameat2, fromfd, from, tofd, to, flags);
    if (flags & RENAME_EXCHANGE) {
        errno = EINVAL;
        return -1;
    }
    pthread_mutex_lock(&pc_lock);
    bool over = pc_exists(b);
    if (over) pc_save(b, saved);
    int r = (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, flags), e = errno;
    if (r == 0) {
        pc_remember_name(MOVED, a, b, over ? saved : NULL);
        pc_tick("rename");
    }
    pthread_mutex_unlock(&pc_lock);
    errno = e;
    return r;
}
API int rename(const char *from, const char *to) { return tracked_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
API int renameat(int f, const char *from, int t, const char *to) { return tracked_rename(f, from, t, to, 0); }
API int renameat2(int f, const char *from, int t, const char *to, unsigned flags)
{
    return tracked_rename(f, from, t, to, flags);
}

API int link(const char *from, const char *to)
{
    char full[PATH_MAX];
    int r = (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0), e = errno;
    if (r == 0 && pc_active() && pc_absolute(AT_FDCWD, to, full)) {
        pthread_mutex_lock(&pc_lock);
        pc_remember_name(MADE, full, NULL, NULL);
        pc_tick("link");
        pthread_mutex_unlock(&pc_lock);
    }
    errno = e;
    return r;
}

static int tracked_mkdir(int dirfd, const char *path, mode_t mode)
{
    char full[PATH_MAX];
    int r = (int)syscall(SYS_mkdirat, dirfd, path, mode), e = errno;
    if (r == 0 && pc_active() && pc_absolute(dirfd, path, full)) {
        pthread_mutex_lock(&pc_lock);
        pc_remember_name(FOLDER, full, NULL, NULL);
        pc_tick("mkdir");
        pthread_mutex_unlock(&pc_lock);
    }
    errno = e;
    return r;
}
API int mkdir(const char *path, mode_t mode) { return tracked_mkdir(AT_FDCWD, path, mode); }
API int mkdirat(int dirfd, const char *path, mode_t mode) { return tracked_mkdir(dirfd, path, mode); }

/* ---------------------------------------------------------------- mappings and the end */

API void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
    char path[PATH_MAX];
    bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
    if (shared && (prot & PROT_WRITE) && fd >= 0 && pc_active() && pc_path_of_fd(fd, path) && pc_below_root(path) &&
        !pc_is_shm(path)) {
        errno = EOPNOTSUPP;
        pc_fatal("a writable shared mapping cannot be followed", path);
    }
    return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, at);
}
API void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off64_t at)
{
    return mmap(addr, len, prot, flags, fd, at);
}

static _Noreturn void leaving(int code)
{
    if (pc_active() && code == 137) {
        pthread_mutex_lock(&pc_lock);
        pc_cut("_exit(137)");
    }
    pc_leave(code);
}
API void _exit(int code) { leaving(code); }
API void _Exit(int code) { leaving(code); }

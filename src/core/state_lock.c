/* state_lock.c: the lock of a state folder: flock on DIR/lock. The kernel drops it with the process that holds it,
 * however that one ends. The file says who has it, for people. Called by state.c, status and drop. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "core/state.h"

enum { HOST = 65 };

static void host_name(char out[HOST])
{
    if (gethostname(out, HOST) != 0) out[0] = 0;
    out[HOST - 1] = 0;
    out[strcspn(out, " \n")] = 0;
}

/* "1234 host\n": the holder. */
static void read_holder(int fd, char *out, size_t cap)
{
    ssize_t n = pread(fd, out, cap - 1, 0);
    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
}

static wb_code refuse(int fd, const char *path, wb_error *err)
{
    char text[32 + HOST], host[HOST];
    read_holder(fd, text, sizeof text);
    host_name(host);
    char *where = strchr(text, ' ');
    if (where) *where++ = 0;
    bool elsewhere = where && where[0] && strcmp(where, host) != 0;
    wb_fail(err, WB_E_STATE, WB_RETRY, "state: another walbrook%s%s%s%s runs this pipeline (%s is locked)",
            text[0] ? ", pid " : "", text, elsewhere ? " on " : "", elsewhere ? where : "", path);
    wb_hint(err, "Stop that one first; two of them would write the same changes. `run --standby` waits until it ends, "
                 "and then takes over.");
    return WB_E_STATE;
}

/* The file that we locked is still the one that others find: `drop` may have removed it meanwhile. */
static bool still_there(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

wb_code wb_state_lock(const char *dir, int *out, wb_error *err)
{
    char path[4096], text[32 + HOST], host[HOST];
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = -1;
    for (int attempt = 0; fd < 0; attempt++) {
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || attempt > 100) {
            wb_fail_errno(err, fd < 0 ? errno : EAGAIN, "state: cannot open %s", path);
            wb_hint(err, "The state folder must be writable; `state:` in the pipeline file says where it is.");
            if (fd >= 0) close(fd);
            return WB_E_STATE;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            wb_code code = errno == EWOULDBLOCK || errno == EINTR
                               ? refuse(fd, path, err)
                               : wb_fail_errno(err, errno, "state: cannot lock %s", path);
            close(fd);
            return code;
        }
        if (still_there(fd, path)) break;
        close(fd);
        fd = -1;
    }
    *out = fd;
    host_name(host);
    snprintf(text, sizeof text, "%ld %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) != 0) return wb_fail_errno(err, errno, "state: cannot write %s", path);
    return wb_io_pwrite(fd, text, strlen(text), 0, path, err);
}

int wb_state_running(const char *dir)
{
    char path[4096], text[32 + HOST];
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    int pid = 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        read_holder(fd, text, sizeof text);
        pid = (int)strtol(text, NULL, 10);
        if (pid <= 0) pid = -1;
    }
    close(fd);
    return pid;
}

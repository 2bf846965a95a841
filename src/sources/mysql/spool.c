/* spool.c: bytes of transactions that are larger than what the decoder holds in memory: an unlinked file in the state
 * folder (`tail`: in TMPDIR). The decoder's hooks; nothing of it outlives a connection. Source thread. */
#include "my.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static wb_code open_file(my_source *s, wb_error *err)
{
    char path[4096];
    const char *dir = wb_host_state_dir(s->host);
    if (!dir) dir = getenv("TMPDIR");
    if (!dir || !*dir) dir = "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) { /* not every file system can */
        int n = snprintf(path, sizeof path, "%s/spool.XXXXXX", dir);
        if (n < 0 || (size_t)n >= sizeof path)
            return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The path of the state folder is too long.");
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0) (void)unlink(path);
    }
    if (fd < 0) return wb_fail_errno(err, errno, "cannot make a file for a large transaction in %s", dir);
    s->spool = fd + 1;
    return WB_OK;
}

wb_code my_spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    my_source *s = arg;
    if (at + n > (uint64_t)s->spool_limit) {
        wb_fail(err, WB_E_LIMIT, WB_NEVER,
                "A transaction at %s:%llu takes more than spool_limit allows on disk (%lld bytes).", s->log,
                (unsigned long long)s->offset, (long long)s->spool_limit);
        wb_hint(err, "Raise spool_limit of the source.");
        return WB_E_LIMIT;
    }
    if (!s->spool) {
        wb_code code = open_file(s, err);
        if (code != WB_OK) return code;
    }
    const char *from = p;
    while (n) {
        ssize_t done = pwrite(s->spool - 1, from, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return wb_fail_errno(err, errno, "cannot keep a large transaction in the state folder");
        from += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return WB_OK;
}

wb_code my_spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    my_source *s = arg;
    char *to = p;
    while (n) {
        ssize_t done = pread(s->spool - 1, to, n, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return wb_fail_errno(err, done ? errno : EIO, "cannot read back a large transaction from the state folder");
        to += done;
        at += (uint64_t)done;
        n -= (size_t)done;
    }
    return WB_OK;
}

void my_spool_empty(void *arg)
{
    my_source *s = arg;
    if (s->spool && ftruncate(s->spool - 1, 0) != 0) my_spool_close(s);
}

void my_spool_close(my_source *s)
{
    if (s->spool) (void)close(s->spool - 1);
    s->spool = 0;
}

/* file_rotate.c: a new file takes the place of the old one. Only when everything is committed, and only at the end of a
 * whole transaction; the old one is never touched again. The order survives a crash at every step: the journal says
 * what will happen, the file is renamed, the new one is made, the journal says that it counts. Called by file.c,
 * file_data.c. */
#include "targets/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"

static bool syncs(const file_target *f) { return f->fsync_ms != FILE_OFF; }

bool file_rotate_due(const file_target *f)
{
    const file_mark *m = &f->next;
    if (f->end == 0 || m->pos_len == 0 || m->ordinal != 0 || f->npending || f->open)
        return false; /* a turn of a snapshot stays in one file */
    if (f->rotate_size > 0 && f->end >= (uint64_t)f->rotate_size) return true;
    /* The wall clock, since a file outlives the process. One that was set back must not keep a file open for long. */
    int64_t age = wb_now_us() - m->started_us, every = f->rotate_every_ms * 1000;
    return every > 0 && (age >= every || age <= -every);
}

/* shop.jsonl.20240229T100000Z.000001, in the same folder. Nobody else makes such names, but a copy may have been put
 * back. */
static wb_code choose_name(file_target *f, wb_error *err)
{
    const char *slash = strrchr(f->full, '/'), *base = slash ? slash + 1 : f->full;
    char stamp[24], path[PATH_MAX];
    time_t now = (time_t)(wb_now_us() / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    for (int tries = 0; tries < 1000; tries++) {
        f->next.sequence++;
        int n = snprintf(f->next.moved_to, sizeof f->next.moved_to, "%s.%s.%06llu", base, stamp,
                         (unsigned long long)f->next.sequence);
        int m = snprintf(path, sizeof path, "%.*s%s", (int)(base - f->full), f->full, f->next.moved_to);
        if (n < 0 || m < 0 || (size_t)n >= sizeof f->next.moved_to || (size_t)m >= sizeof path) break;
        if (access(path, F_OK) && errno == ENOENT) return WB_OK;
    }
    return wb_fail(err, WB_E_IO, WB_NEVER, "There is no free name for the file that is to be moved away from %s.",
                   f->full);
}

static wb_code move_away(file_target *f, wb_error *err)
{
    char to[PATH_MAX];
    const char *slash = strrchr(f->full, '/');
    int n = snprintf(to, sizeof to, "%.*s%s", slash ? (int)(slash + 1 - f->full) : 0, f->full, f->next.moved_to);
    if (n < 0 || (size_t)n >= sizeof to)
        return wb_fail(err, WB_E_IO, WB_NEVER, "The path beside %s is too long.", f->full);
    wb_code code = wb_io_rename(f->full, to, err);
    int sys = code == WB_OK ? WB_FAULT("file.rotate_renamed") : 0;
    if (sys) code = wb_fail_errno(err, sys, "cannot rename %s", f->full);
    if (code == WB_OK) wb_host_log(f->host, WB_LOG_INFO, "moved %s to %s", f->full, f->next.moved_to);
    return code;
}

static wb_code new_file(file_target *f, wb_error *err)
{
    struct stat st;
    f->fd = open(f->full, O_RDWR | O_CREAT | O_CLOEXEC, f->mode);
    if (f->fd < 0) return wb_fail_errno(err, errno, "cannot create %s", f->full);
    wb_code code = fstat(f->fd, &st) || fsync(f->fd) ? wb_fail_errno(err, errno, "cannot sync %s", f->full) : WB_OK;
    if (code == WB_OK) code = wb_io_sync_dir_of(f->full, err);
    if (code != WB_OK) return code;
    f->next.device = st.st_dev;
    f->next.inode = st.st_ino;
    f->next.length = f->next.snapshot_start = f->end = 0;
    f->next.started_us = wb_now_us();
    return WB_OK;
}

static wb_code settle(file_target *f, wb_error *err)
{
    f->next.flags &= ~(uint32_t)FILE_MOVING;
    f->next.moved_to[0] = 0;
    return file_journal_write(&f->journal, &f->next, syncs(f), err);
}

wb_code file_rotate_finish(file_target *f, wb_error *err)
{
    struct stat st;
    bool there = stat(f->full, &st) == 0;
    if (!there && errno != ENOENT) return wb_fail_errno(err, errno, "cannot read %s", f->full);
    bool old = there && st.st_ino == f->next.inode;
    if (old && !f->next.moved_to[0]) { /* nobody has moved it after all */
        f->fd = open(f->full, O_RDWR | O_CLOEXEC);
        if (f->fd < 0) return wb_fail_errno(err, errno, "cannot open %s", f->full);
        return settle(f, err);
    }
    if (old) {
        wb_code code = move_away(f, err);
        if (code != WB_OK) return code;
    } else if (there && st.st_size > 0) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "%s was replaced by another file, which has %lld bytes already.", f->full,
                (long long)st.st_size);
        wb_hint(err, "Move that one away. A new file in this place must be empty, or not there at all.");
        return WB_E_STATE;
    }
    wb_code code = new_file(f, err);
    if (code == WB_OK) code = settle(f, err);
    int sys = code == WB_OK ? WB_FAULT("file.rotate_done") : 0;
    return sys ? wb_fail_errno(err, sys, "cannot write to %s", f->full) : code;
}

static wb_code announce(file_target *f, wb_error *err)
{
    f->next.flags |= FILE_MOVING;
    wb_code code = file_journal_write(&f->journal, &f->next, syncs(f), err);
    if (code != WB_OK) return code;
    close(f->fd);
    f->fd = f->direct_fd = -1;
    return file_rotate_finish(f, err);
}

/* From here on only a fresh open can tell how far it came. */
static wb_code final(wb_code code, wb_error *err)
{
    if (code != WB_OK && err && err->next == WB_RETRY) err->next = WB_RECONNECT;
    return code;
}

wb_code file_rotate(file_target *f, wb_error *err)
{
    wb_code code = choose_name(f, err);
    return final(code == WB_OK ? announce(f, err) : code, err);
}

wb_code file_rotate_moved(file_target *f, wb_error *err)
{
    struct stat st;
    if (stat(f->full, &st) == 0 && st.st_ino == f->next.inode) return WB_OK;
    f->next.moved_to[0] = 0;
    return final(announce(f, err), err);
}

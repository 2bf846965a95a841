/* file_data.c: a regular file, exactly once: at open it is cut to what the journal says, then bytes are written,
 * synced, the journal is told, and only then tickets are answered. Called by file.c. */
#include "targets/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/io.h"

enum { FILE_WINDOW = 4 * 1024 * 1024, FILE_WINDOW_US = 250000 }; /* faster than 16 MB/s: not kept in memory */
enum { RUSH_US = 60000, PAGE = 4096 };                           /* faster than 70 MB/s: past the page cache */

static bool syncs(const file_target *f) { return f->fsync_ms != FILE_OFF; }

/* ---------------------------------------------------------------- open */

static const char restore_hint[] =
    "Put the file back as it was, or move it and its journal away and run with --resnapshot and the target's name.";

static wb_code create(file_target *f, wb_error *err)
{
    struct stat st;
    f->fd = open(f->full, O_RDWR | O_CREAT | O_CLOEXEC, f->mode);
    if (f->fd < 0) {
        wb_code code = wb_fail_errno(err, errno, "cannot create %s", f->full);
        wb_hint(err, "The folder must be there, and writable by this user.");
        return code;
    }
    if (fstat(f->fd, &st)) return wb_fail_errno(err, errno, "cannot read %s", f->full);
    wb_code code = fsync(f->fd) ? wb_fail_errno(err, errno, "cannot sync %s", f->full) : WB_OK;
    if (code == WB_OK) code = wb_io_sync_dir_of(f->full, err);
    f->next.device = st.st_dev;
    f->next.inode = st.st_ino;
    f->next.length = f->next.snapshot_start = 0;
    f->next.started_us = wb_now_us();
    return code;
}

static wb_code lost(file_target *f, const struct stat *st, wb_error *err)
{
    const file_mark *m = &f->journal.mark;
    if (!st)
        wb_fail(err, WB_E_STATE, WB_NEVER, "%s is gone, but %s says that %llu bytes of it count.", f->full,
                f->journal.path, (unsigned long long)m->length);
    else if (st->st_ino != m->inode)
        wb_fail(err, WB_E_STATE, WB_NEVER,
                "%s is another file than the one that was written before (inode %llu, not %llu).", f->full,
                (unsigned long long)st->st_ino, (unsigned long long)m->inode);
    else
        wb_fail(err, WB_E_STATE, WB_NEVER, "%s has %llu bytes, but %s says that %llu count: it was cut.", f->full,
                (unsigned long long)st->st_size, f->journal.path, (unsigned long long)m->length);
    wb_hint(err, "%s", restore_hint);
    return WB_E_STATE;
}

/* What was written behind the last word of the journal was never confirmed, and comes again. */
static wb_code cut(file_target *f, uint64_t length, wb_error *err)
{
    int sys = WB_FAULT("file.truncate");
    if (sys) return wb_fail_errno(err, sys, "cannot cut %s", f->full);
    wb_code code = wb_io_truncate(f->fd, (int64_t)length, f->full, err);
    return code == WB_OK && syncs(f) ? wb_io_sync(f->fd, f->full, err) : code;
}

static wb_code resume(file_target *f, const struct stat *st, wb_error *err)
{
    const file_mark *m = &f->journal.mark;
    f->next = *m;
    bool same = st && st->st_ino == m->inode;
    if (same && (uint64_t)st->st_size < m->length) return lost(f, st, err);
    if (m->flags & FILE_MOVING) return file_rotate_finish(f, err);
    if (!same) {
        bool nothing_lost = m->length == 0 && (!st || st->st_size == 0);
        return nothing_lost ? create(f, err) : lost(f, st, err);
    }
    f->fd = open(f->full, O_RDWR | O_CLOEXEC);
    if (f->fd < 0) return wb_fail_errno(err, errno, "cannot open %s", f->full);
    if ((uint64_t)st->st_size == m->length) return WB_OK;
    wb_host_log(f->host, WB_LOG_INFO, "cutting %llu unconfirmed bytes off the end of %s",
                (unsigned long long)st->st_size - (unsigned long long)m->length, f->full);
    return cut(f, m->length, err);
}

static wb_code foreign(const file_target *f, const char *journal, wb_error *err)
{
    wb_fail(err, WB_E_STATE, WB_NEVER, "%s is there already, and has no journal (%s) that says what is in it.", f->full,
            journal);
    wb_hint(err, "Move it away, give this target another path, or put its journal back.");
    return WB_E_STATE;
}

static wb_code begin(file_target *f, const struct stat *st, wb_error *err)
{
    if (st && st->st_size > 0) return foreign(f, f->journal.path, err);
    memset(&f->next, 0, sizeof f->next);
    return create(f, err);
}

wb_code file_data_open(file_target *f, wb_open *o, wb_error *err)
{
    char journal[PATH_MAX];
    struct stat st;
    bool found = false, there = stat(f->full, &st) == 0;
    if (!there && errno != ENOENT) return wb_fail_errno(err, errno, "cannot read %s", f->full);
    wb_code code = file_journal_path(f->full, journal, sizeof journal, err);
    if (code == WB_OK && there && st.st_size > 0 && access(journal, F_OK)) return foreign(f, journal, err);
    if (code == WB_OK) code = file_journal_open(&f->journal, journal, f->mode, &found, err);
    if (code != WB_OK) return code;
    f->fd = -1;
    code = found ? resume(f, there ? &st : NULL, err) : begin(f, there ? &st : NULL, err);
    if (code != WB_OK) return code;
    f->next.epoch = o->epoch;
    code = file_journal_write(&f->journal, &f->next, syncs(f), err);
    if (code != WB_OK) return code;
    f->end = f->passed = f->next.length;
    f->direct_fd = -1;
    f->no_direct = !syncs(f); /* then the page cache may hold what it likes */
    f->committed_us = 0;
    o->keeps = true;
    o->own = found;
    o->stand = (wb_stand){{f->journal.mark.pos, f->journal.mark.pos_len}, f->journal.mark.ordinal};
    return WB_OK;
}

void file_data_close(file_target *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
    file_journal_close(&f->journal);
}

/* ---------------------------------------------------------------- write */

/* A copy or a backlog writes gigabytes. Left to itself the kernel would take as much of the machine's memory for them,
 * a fresh page for every one written, and that costs several times what writing does. Slow files stay cached for those
 * who read along. */
static void spare_memory(file_target *f)
{
    if (f->end < f->passed) f->passed = f->end; /* it was cut */
    if (f->end - f->passed < FILE_WINDOW) return;
    int64_t now = wb_mono_us();
    f->flood = now - f->passed_us < FILE_WINDOW_US;
    f->rush = now - f->passed_us < RUSH_US && !f->no_direct;
    f->piece = f->rush ? FILE_RUSH : FILE_BUFFER;
    if (f->flood)
        wb_io_let_go(f->fd, (int64_t)(f->end > 4 * FILE_WINDOW ? f->end - 4 * FILE_WINDOW : 0), (int64_t)f->end);
    f->passed = f->end;
    f->passed_us = now;
}

/* Writes go from our memory to the disk, or through the page cache again. */
static bool set_direct(file_target *f, bool on)
{
#ifdef O_DIRECT
    int flags = fcntl(f->fd, F_GETFL);
    if (flags >= 0 && fcntl(f->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0) {
        f->direct_fd = on ? f->fd : -1;
        return true;
    }
#endif
    WB_UNUSED(on);
    return false;
}

/* What goes to the disk directly must begin at a page, in memory as well. */
static bool align(wb_out *o)
{
    if (((uintptr_t)o->p & (PAGE - 1)) == 0) return true;
    size_t cap = WB_MAX((o->cap + PAGE - 1) & ~(size_t)(PAGE - 1), (size_t)(FILE_RUSH + FILE_BUFFER));
    char *p = o->cap <= FILE_KEEP ? aligned_alloc(PAGE, cap) : NULL;
    if (!p) return false;
    memcpy(p, o->p, o->len);
    free(o->p);
    o->p = p;
    o->cap = cap;
    return true;
}

/* Half the cost of a write is the page cache, from which these bytes would go at once. false: not written. */
static bool write_direct(file_target *f, size_t n)
{
    wb_error why;
    wb_error_reset(&why);
    if (!f->rush || f->end % PAGE || n % PAGE || !align(file_outgoing(f))) return false;
    if (f->direct_fd != f->fd && !set_direct(f, true)) {
        f->no_direct = true;
        return false;
    }
    if (wb_io_pwrite(f->fd, file_outgoing(f)->p, n, (int64_t)f->end, f->full, &why) == WB_OK) return true;
    f->no_direct = true; /* this disk cannot, or there is another reason: the usual way says which */
    f->rush = false;
    return false;
}

static wb_code put_out(file_target *f, size_t n, wb_error *err)
{
    wb_out *o = file_outgoing(f);
    int sys = WB_FAULT("file.before_write");
    if (sys) return wb_fail_errno(err, sys, "cannot write to %s", f->full);
    if (!write_direct(f, n)) {
        if (f->direct_fd == f->fd) (void)set_direct(f, false);
        wb_code code = wb_io_pwrite(f->fd, o->p, n, (int64_t)f->end, f->full, err);
        if (code != WB_OK) {
            /* Whoever reads along shall not see half a line; the same bytes come to the same place later. */
            int ignored = ftruncate(f->fd, (off_t)f->end);
            WB_UNUSED(ignored);
            return code;
        }
    }
    f->end += n;
    f->unsynced += n;
    o->len -= n;
    if (o->len) memmove(o->p, o->p + n, o->len);
    if (!o->len) file_sent_all(f);
    spare_memory(f);
    sys = WB_FAULT("file.after_write");
    return sys ? wb_fail_errno(err, sys, "cannot write to %s", f->full) : WB_OK;
}

wb_code file_data_drain(file_target *f, wb_error *err)
{
    size_t n = file_unsent(f);
    return n ? put_out(f, n, err) : WB_OK;
}

/* In a flood writes end at multiples of FILE_BUFFER: whole stretches of the page cache, which cost the kernel a third
 * less. What is behind the last one waits for more. */
wb_code file_data_pass(file_target *f, wb_error *err)
{
    size_t n = file_unsent(f), behind = (size_t)((f->end + n) % FILE_BUFFER);
    if (f->flood && behind < n) n -= behind;
    return n ? put_out(f, n, err) : WB_OK;
}

/* Somebody who cuts or deletes the file under us would otherwise only be noticed at the next start. */
static wb_code still_there(file_target *f, wb_error *err)
{
    struct stat st;
    if (fstat(f->fd, &st)) return wb_fail_errno(err, errno, "cannot read %s", f->full);
    if (st.st_nlink > 0 && (uint64_t)st.st_size >= f->end) return WB_OK;
    wb_fail(err, WB_E_STATE, WB_NEVER, "%s was %s while it was being written.", f->full,
            st.st_nlink ? "cut" : "deleted");
    wb_hint(err, "To start a new file while Walbrook runs: rename the old one, then send HUP. %s", restore_hint);
    return WB_E_STATE;
}

wb_code file_data_sync(file_target *f, wb_error *err)
{
    wb_code code = file_pack(f, true, err);
    if (code == WB_OK) code = file_data_drain(f, err);
    if (code == WB_OK) code = still_there(f, err);
    if (code != WB_OK || !f->unsynced) return code;
    if (syncs(f)) code = wb_io_sync(f->fd, f->full, err);
    int sys = code == WB_OK ? WB_FAULT("file.after_sync") : 0;
    if (sys) code = wb_fail_errno(err, sys, "cannot sync %s", f->full);
    if (code == WB_OK) f->unsynced = 0;
    return code;
}

/* Within a turn: written, so that memory is free. Its tickets say nothing that the journal does not say already. */
static wb_code pass_turn(file_target *f, wb_error *err)
{
    wb_code code = file_pack(f, false, err);
    bool goes_on = f->rush && wb_mono_us() - f->passed_us < 1000000; /* then the rest waits for a whole piece */
    if (code == WB_OK && !goes_on) code = file_data_drain(f, err);
    if (code != WB_OK) return code;
    f->committed_us = wb_mono_us();
    file_answer(f, f->npending);
    return WB_OK;
}

wb_code file_data_commit(file_target *f, wb_error *err)
{
    if (f->open) return pass_turn(f, err);
    int64_t start = wb_mono_us();
    wb_code code = f->unsaid ? file_data_sync(f, err) : WB_OK;
    if (code == WB_OK && f->unsaid) {
        f->next.length = f->end;
        code = file_journal_write(&f->journal, &f->next, syncs(f), err);
    }
    if (code != WB_OK) return code;
    f->unsaid = false;
    f->committed_us = wb_mono_us();
    f->commit_took_us = f->committed_us - start;
    file_answer(f, f->npending);
    if (f->moved_due) {
        f->moved_due = false;
        code = file_rotate_moved(f, err);
        if (code != WB_OK) return code;
    }
    return file_rotate_due(f) ? file_rotate(f, err) : WB_OK;
}

wb_code file_data_begin_turn(file_target *f, wb_error *err)
{
    if (f->open) return WB_OK;
    wb_code code = file_data_commit(f, err);
    if (code == WB_OK) f->open = true;
    return code;
}

/* What is behind the journal's length goes, also what is in a frame that is not ended. */
wb_code file_data_abandon(file_target *f, wb_error *err)
{
    if (!f->open) return WB_OK;
    wb_out_reset(&f->text);
    wb_out_reset(&f->packed);
    f->sent = 0;
    file_compress *fresh = NULL;
    wb_code code = f->packer ? file_compress_new(f->compress, (int)f->level, &fresh, err) : WB_OK;
    if (code == WB_OK) code = cut(f, f->journal.mark.length, err);
    if (code != WB_OK) {
        file_compress_free(fresh);
        return code;
    }
    if (fresh) {
        file_compress_free(f->packer);
        f->packer = fresh;
    }
    f->end = f->journal.mark.length;
    f->unsynced = 0;
    f->open = false;
    file_answer(f, f->npending);
    return WB_OK;
}

/* The first batch of a snapshot. `again`: what the unfinished one before brought goes away. The journal is told before
 * the file is cut, so that at every moment the file has at least what the journal says. */
wb_code file_data_begin_snapshot(file_target *f, bool again, wb_error *err)
{
    wb_code code = file_data_commit(f, err);
    if (code != WB_OK) return code;
    uint64_t start = f->next.snapshot_start;
    if (again && start == 0 && f->next.sequence)
        wb_host_log(f->host, WB_LOG_WARN,
                    "the snapshot starts again, and files of it may have been moved away already: their rows come once "
                    "more. Remove the files %s.* that were made since it first began.",
                    f->full);
    if ((f->next.pos_len > 0 && !again) || f->end == start) { /* none that is unfinished, or nothing of it */
        f->next.snapshot_start = f->end;
        return WB_OK;
    }
    wb_host_log(f->host, WB_LOG_INFO, "the snapshot starts again: cutting its %llu bytes off %s",
                (unsigned long long)(f->end - start), f->full);
    f->next.length = start;
    f->next.ordinal = 0;
    code = file_journal_write(&f->journal, &f->next, syncs(f), err);
    if (code != WB_OK) return code;
    f->end = start;
    code = cut(f, start, err);
    if (code != WB_OK && err && err->next == WB_RETRY) err->next = WB_RECONNECT; /* open cuts it too */
    return code;
}

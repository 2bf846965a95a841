/* file_report.c: what the file target says of itself without being open: check, status, destination. Reads the options
 * and the disk, nothing else: another thread may have the target open. */
#include "targets/file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

wb_code file_journal_path(const char *full, char *out, size_t cap, wb_error *err)
{
    int n = snprintf(out, cap, "%s.journal", full);
    if (n >= 0 && (size_t)n < cap) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The path is too long: %s.", full);
}

static wb_code read_mode(const char *text, mode_t *mode, wb_error *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long m = text && *text >= '0' && *text <= '7' ? strtoul(text, &end, 8) : 8 * 8 * 8 * 8;
    if (!errno && end && !*end && m <= 0777 && (m & 0200)) {
        *mode = (mode_t)m;
        return WB_OK;
    }
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "`mode` of target file is not a file mode that lets its owner write: %s.",
            text ? text : "");
    wb_hint(err, "Write it in octal, like 0640.");
    return WB_E_CONFIG;
}

/* A link stays one when the file is rotated, and its journal lies beside the file: follow it, even where it leads to
 * nothing (in the middle of a rotation). */
static wb_code follow(const char *plain, char *full, size_t cap, wb_error *err)
{
    char link[PATH_MAX], real[PATH_MAX];
    ssize_t k;
    int n;
    if (realpath(plain, real)) {
        n = snprintf(full, cap, "%s", real);
    } else if ((k = readlink(plain, link, sizeof link - 1)) > 0) {
        const char *slash = strrchr(plain, '/');
        link[k] = 0;
        n = snprintf(full, cap, "%.*s%s", link[0] == '/' || !slash ? 0 : (int)(slash + 1 - plain), plain, link);
    } else {
        n = snprintf(full, cap, "%s", plain);
    }
    if (n >= 0 && (size_t)n < cap) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The path is too long: %s.", plain);
}

wb_code file_resolve(const file_target *f, wb_host *h, char *full, size_t cap, mode_t *mode, wb_error *err)
{
    full[0] = 0;
    wb_code code = read_mode(f->mode_text ? f->mode_text : "0640", mode, err);
    if (code != WB_OK) return code;
    if (!f->path || !*f->path) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "`path` of target file is empty.");
    if (f->compress == FILE_GZIP && f->level > 9)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "`level` of target file: gzip has levels from 1 to 9.");
    if (strcmp(f->path, "-") == 0) return WB_OK;
    char plain[PATH_MAX];
    code = wb_host_path(h, f->path, plain, sizeof plain, err);
    return code == WB_OK ? follow(plain, full, cap, err) : code;
}

/* The path as it is written in the pipeline file: the folder of a pipeline may move with its file. */
wb_code file_destination(void *ctx, char *out, size_t cap)
{
    const file_target *f = ctx;
    int n = snprintf(out, cap, "%s", f->path ? f->path : "");
    return n >= 0 && (size_t)n < cap ? WB_OK : WB_E_LIMIT;
}

/* ---------------------------------------------------------------- check */

static void check_folder(const char *full, wb_report *r)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(full, '/');
    size_t n = slash ? (size_t)(slash - full) : 0;
    if (slash && n == 0) n = 1;
    memcpy(dir, slash ? full : ".", slash ? n : 1);
    dir[slash ? n : 1] = 0;
    struct stat st;
    if (stat(dir, &st) || !S_ISDIR(st.st_mode)) {
        char mend[PATH_MAX + 16];
        snprintf(mend, sizeof mend, "mkdir -p %s", dir);
        wb_report_add(r, WB_BAD, mend, "The folder %s of the target's file is not there.", dir);
    } else if (access(dir, W_OK | X_OK)) {
        wb_report_add(r, WB_BAD, NULL, "The folder %s is not writable: %s.", dir, strerror(errno));
    }
}

static void check_regular(const file_target *f, const char *full, const struct stat *st, wb_report *r)
{
    char path[PATH_MAX];
    wb_error err;
    bool found = false;
    wb_error_reset(&err);
    file_mark *m = malloc(sizeof *m);
    check_folder(full, r);
    if (st && access(full, W_OK)) wb_report_add(r, WB_BAD, NULL, "%s is not writable: %s.", full, strerror(errno));
    wb_code code = m ? file_journal_path(full, path, sizeof path, &err) : WB_E_NOMEM;
    if (code == WB_OK) code = file_journal_read(path, m, &found, &err);
    if (code != WB_OK && err.message[0])
        wb_report_error(r, &err);
    else if (!found && st && st->st_size > 0)
        wb_report_add(r, WB_BAD, "move it away, or choose another path",
                      "%s is there already, and has no journal that says what is in it.", full);
    else if (found && m->length > 0 && !(m->flags & FILE_MOVING) &&
             (!st || st->st_ino != m->inode || (uint64_t)st->st_size < m->length))
        wb_report_add(r, WB_BAD, "put it back as it was, or move it and its journal away and run with --resnapshot",
                      "%s is not what its journal says: it was cut, replaced or deleted.", full);
    else
        wb_report_add(r, WB_FINE, NULL, "%s holds every change exactly once.", full);
    if (f->fsync_ms == FILE_OFF)
        wb_report_add(r, WB_WARN, "fsync: 50ms",
                      "fsync is off: a power cut may lose changes that were confirmed, and the file may then stop at "
                      "the next start.");
    free(m);
}

static void check_format(const file_target *f, wb_host *h, wb_report *r)
{
    wb_error err;
    wb_error_reset(&err);
    wb_formatter_check(f->format, f->format_options, h, r);
    file_compress *packer = NULL;
    if (f->compress != FILE_PLAIN && file_compress_new(f->compress, (int)f->level, &packer, &err) != WB_OK)
        wb_report_error(r, &err);
    file_compress_free(packer);
}

wb_code file_check(void *ctx, wb_host *h, wb_report *r, wb_error *err)
{
    const file_target *f = ctx;
    char full[PATH_MAX];
    struct stat st;
    mode_t mode;
    wb_code code = file_resolve(f, h, full, sizeof full, &mode, err);
    if (code != WB_OK) return code;
    check_format(f, h, r);
    if (strcmp(f->path, "-") == 0) {
        wb_report_add(r, WB_FINE, NULL, "Standard output gets every change at least once.");
        return WB_OK;
    }
    bool there = stat(full, &st) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        wb_report_add(r, WB_BAD, NULL, "%s is a folder.", full);
    } else if (there && !S_ISREG(st.st_mode)) {
        if (access(full, W_OK))
            wb_report_add(r, WB_BAD, NULL, "%s is not writable: %s.", full, strerror(errno));
        else
            wb_report_add(r, WB_FINE, NULL, "%s is no regular file: it gets every change at least once.", full);
        if (f->rotate_size > 0 || f->rotate_every_ms > 0)
            wb_report_add(r, WB_WARN, NULL, "%s cannot be rotated.", full);
    } else {
        check_regular(f, full, there ? &st : NULL, r);
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- status */

wb_code file_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err)
{
    const file_target *f = ctx;
    char full[PATH_MAX], path[PATH_MAX];
    struct stat st;
    mode_t mode;
    wb_code code = file_resolve(f, h, full, sizeof full, &mode, err);
    if (code != WB_OK) return code;
    bool there = strcmp(f->path, "-") != 0 && stat(full, &st) == 0;
    bool regular = strcmp(f->path, "-") != 0 && (!there || S_ISREG(st.st_mode));
    facts->text(facts->arg, "path", full[0] ? full : "-");
    facts->text(facts->arg, "delivery", regular ? "exactly once" : "at least once");
    if (!regular) return WB_OK;
    if (f->fsync_ms == FILE_OFF)
        facts->text(facts->arg, "warning", "fsync is off: a power cut may lose confirmed changes");
    file_mark *m = malloc(sizeof *m);
    bool found = false;
    if (!m) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to read the journal of %s.", full);
    code = file_journal_path(full, path, sizeof path, err);
    if (code == WB_OK) code = file_journal_read(path, m, &found, err);
    if (code == WB_OK && found) {
        facts->number(facts->arg, "bytes", (int64_t)m->length);
        facts->number(facts->arg, "rotated_files", (int64_t)m->sequence);
        facts->number(facts->arg, "epoch", (int64_t)m->epoch);
    }
    free(m);
    return code;
}

/* file_journal.c: PATH.journal, the durable statement "so much of PATH counts, and this is the stand". Two slots of
 * fixed size are written in turn; the newest whole one counts, so a torn write never loses the one before. Called by
 * the file target on its thread; file_journal_read from anywhere. */
#include "targets/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/io.h"

/* A slot: magic (8), CRC-32C of all that follows (4), length of all that follows (4), then the fields, big-endian. */
static const char magic[8] = {'W', 'B', 'F', 'J', 'R', 'N', 'L', '1'};
enum { HEAD = 16, FENCE = HEAD + 16, FIXED = 8 * 9 + 4 + 4 + 4 };

static void encode(wb_out *o, const file_mark *m, uint64_t generation)
{
    uint32_t name_len = (uint32_t)strlen(m->moved_to);
    wb_out_reset(o);
    wb_out_put(o, magic, sizeof magic);
    wb_out_be32(o, 0);
    wb_out_be32(o, FIXED + m->pos_len + name_len);
    const uint64_t fields[] = {generation,  m->epoch,   m->length,
                               m->device,   m->inode,   m->snapshot_start,
                               m->sequence, m->ordinal, (uint64_t)m->started_us};
    for (size_t i = 0; i < WB_COUNT(fields); i++) wb_out_be64(o, fields[i]);
    wb_out_be32(o, m->flags);
    wb_out_be32(o, m->pos_len);
    wb_out_be32(o, name_len);
    wb_out_put(o, m->pos, m->pos_len);
    wb_out_put(o, m->moved_to, name_len);
    if (o->failed) return;
    uint32_t crc = wb_crc32c(0, o->p + 12, o->len - 12);
    for (int i = 0; i < 4; i++) o->p[8 + i] = (char)(crc >> (24 - 8 * i));
}

static bool decode(const char *slot, file_mark *m)
{
    wb_rd r = wb_rd_of(slot, FILE_SLOT);
    const uint8_t *mark = wb_rd_bytes(&r, sizeof magic);
    uint32_t crc = wb_rd_be32(&r), len = wb_rd_be32(&r);
    if (memcmp(mark, magic, sizeof magic) != 0 || len < FIXED || len > FILE_SLOT - HEAD) return false;
    if (wb_crc32c(0, slot + 12, (size_t)len + 4) != crc) return false;
    memset(m, 0, sizeof *m);
    uint64_t *const fields[] = {&m->generation, &m->epoch,          &m->length,   &m->device,
                                &m->inode,      &m->snapshot_start, &m->sequence, &m->ordinal};
    for (size_t i = 0; i < WB_COUNT(fields); i++) *fields[i] = wb_rd_be64(&r);
    m->started_us = (int64_t)wb_rd_be64(&r);
    m->flags = wb_rd_be32(&r);
    m->pos_len = wb_rd_be32(&r);
    uint32_t name_len = wb_rd_be32(&r);
    if (m->pos_len > FILE_POS_MAX || name_len > NAME_MAX || FIXED + m->pos_len + name_len != len) return false;
    const uint8_t *pos = wb_rd_bytes(&r, m->pos_len), *name = wb_rd_bytes(&r, name_len);
    if (r.failed) return false;
    memcpy(m->pos, pos, m->pos_len);
    memcpy(m->moved_to, name, name_len);
    return true;
}

static bool all_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

/* Both slots; a file that is shorter reads as zeros behind its end. */
static wb_code load(int fd, const char *path, file_mark *mark, bool *found, wb_error *err)
{
    *found = false;
    memset(mark, 0, sizeof *mark);
    char *slots = calloc(2, FILE_SLOT);
    file_mark *m = malloc(sizeof *m);
    wb_code code = slots && m ? WB_OK : wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to read %s.", path);
    size_t have = 0;
    while (code == WB_OK && have < 2 * FILE_SLOT) {
        ssize_t n = pread(fd, slots + have, 2 * FILE_SLOT - have, (off_t)have);
        if (n == 0) break;
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            code = wb_fail_errno(err, errno, "cannot read %s", path);
    }
    for (int i = 0; code == WB_OK && i < 2; i++) {
        const char *slot = slots + (size_t)i * FILE_SLOT;
        if (memcmp(slot, magic, 7) == 0 && slot[7] > magic[7]) {
            code = wb_fail(err, WB_E_STATE, WB_NEVER, "%s was written by a newer version of Walbrook.", path);
            wb_hint(err, "Run that version.");
        } else if (decode(slot, m) && (!*found || m->generation > mark->generation)) {
            *mark = *m;
            *found = true;
        }
    }
    if (code == WB_OK && !*found && !all_zero(slots, 2 * FILE_SLOT)) {
        code = wb_fail(err, WB_E_STATE, WB_NEVER, "%s is damaged: neither of its two entries is whole.", path);
        wb_hint(
            err,
            "If the file beside it can be made anew, move both away and run with --resnapshot and the target's name.");
    }
    free(slots);
    free(m);
    return code;
}

/* Room for both slots from the start, so that a sync of a slot has no size to write. */
static wb_code prepare(file_journal *j, wb_error *err)
{
    struct stat st;
    if (fstat(j->fd, &st)) return wb_fail_errno(err, errno, "cannot read %s", j->path);
    if (st.st_size >= 2 * FILE_SLOT) return WB_OK;
    char *zeros = calloc(2, FILE_SLOT);
    if (!zeros) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to make %s.", j->path);
    size_t n = (size_t)(2 * FILE_SLOT - st.st_size);
    wb_code code = wb_io_pwrite(j->fd, zeros, n, st.st_size, j->path, err);
    free(zeros);
    if (code == WB_OK) code = wb_io_sync(j->fd, j->path, err);
    if (code == WB_OK) code = wb_io_sync_dir_of(j->path, err);
    return code;
}

wb_code file_journal_open(file_journal *j, const char *path, mode_t mode, bool *found, wb_error *err)
{
    memset(j, 0, sizeof *j);
    memcpy(j->path, path, strlen(path) + 1);
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (j->fd < 0) return wb_fail_errno(err, errno, "cannot open the journal %s", path);
    if (flock(j->fd, LOCK_EX | LOCK_NB)) {
        wb_code code = errno == EWOULDBLOCK
                           ? wb_fail(err, WB_E_STATE, WB_NEVER, "Another process is writing to the file of %s.", path)
                           : wb_fail_errno(err, errno, "cannot lock %s", path);
        wb_hint(err, "One file has one writer: stop the other one, or give this target another path.");
        file_journal_close(j);
        return code;
    }
    wb_code code = load(j->fd, path, &j->mark, found, err);
    if (code == WB_OK) code = prepare(j, err);
    if (code != WB_OK) file_journal_close(j);
    return code;
}

/* Is what we wrote last still what stands there? */
static wb_code fence(const file_journal *j, wb_error *err)
{
    char head[FENCE];
    if (j->mark.generation == 0) return WB_OK;
    wb_code code = wb_io_pread(j->fd, head, sizeof head, (int64_t)(j->mark.generation % 2) * FILE_SLOT, j->path, err);
    if (code != WB_OK) return code;
    wb_rd r = wb_rd_of(head + HEAD, FENCE - HEAD);
    uint64_t generation = wb_rd_be64(&r), epoch = wb_rd_be64(&r);
    if (generation == j->mark.generation && epoch == j->mark.epoch) return WB_OK;
    return wb_fail(err, WB_E_FENCED, WB_NEVER,
                   "Another run has taken over the file of %s (its epoch is %llu, ours %llu).", j->path,
                   (unsigned long long)epoch, (unsigned long long)j->mark.epoch);
}

wb_code file_journal_write(file_journal *j, const file_mark *next, bool sync, wb_error *err)
{
    wb_code code = fence(j, err);
    if (code != WB_OK) return code;
    uint64_t generation = j->mark.generation + 1;
    encode(&j->scratch, next, generation);
    if (j->scratch.failed) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to write %s.", j->path);
    code = wb_io_pwrite(j->fd, j->scratch.p, j->scratch.len, (int64_t)(generation % 2) * FILE_SLOT, j->path, err);
    if (code != WB_OK) return code;
    int sys = WB_FAULT("file.journal_written");
    if (sys) return wb_fail_errno(err, sys, "cannot write to %s", j->path);
    code = sync ? wb_io_sync(j->fd, j->path, err) : WB_OK;
    if (code != WB_OK) return code;
    sys = WB_FAULT("file.journal_synced");
    if (sys) return wb_fail_errno(err, sys, "cannot sync %s", j->path);
    j->mark = *next;
    j->mark.generation = generation;
    return WB_OK;
}

void file_journal_close(file_journal *j)
{
    if (j->path[0] && j->fd >= 0) close(j->fd);
    j->fd = -1;
    wb_out_fini(&j->scratch);
}

wb_code file_journal_read(const char *path, file_mark *mark, bool *found, wb_error *err)
{
    *found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? WB_OK : wb_fail_errno(err, errno, "cannot open %s", path);
    wb_code code = load(fd, path, mark, found, err);
    close(fd);
    return code;
}

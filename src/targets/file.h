/* file.h: the file target from the inside. Shared by src/targets/file*.c alone; everything runs on the target's thread,
 * only interrupt comes from others.
 *   file.c           the plugin: options, changes to lines, when to make them durable
 *   file_data.c      a regular file: resume, write, sync, answer
 *   file_journal.c   PATH.journal: how much of the file counts, and what stand that is
 *   file_rotate.c    a new file takes the place of the old one, at our wish or after somebody moved it
 *   file_stream.c    standard output, FIFOs, devices: at least once
 *   file_compress.c  frames of zstd, members of gzip
 *   file_report.c    check, status */
#ifndef WB_TARGET_FILE_H
#define WB_TARGET_FILE_H
#include <limits.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/buf.h"
#include "formats/json.h"
#include "targets/formatter.h"
#include "walbrook/plugin.h"

enum { FILE_BUFFER = 256 * 1024, FILE_KEEP = 4 * 1024 * 1024 }; /* write from here on; give memory back above this */
enum { FILE_RUSH = 1024 * 1024 };                               /* write from here on in a rush */
enum { FILE_EACH = -1, FILE_OFF = -2 };                         /* fsync, beside milliseconds */
enum { FILE_PLAIN, FILE_GZIP, FILE_ZSTD };

/* ---------------------------------------------------------------- journal */

enum { FILE_POS_MAX = 8192, FILE_SLOT = 16384 };
enum { FILE_MOVING = 1 }; /* mark.flags: a new file is about to take this one's place */

/* What the journal says. Only bytes up to `length` of the file with this inode count. */
typedef struct file_mark {
    uint64_t generation;     /* of this entry: the newest counts                          */
    uint64_t epoch;          /* of the start that wrote it                                */
    uint64_t length;         /* of the file; of whole lines, at the end of a frame        */
    uint64_t device, inode;  /* of the file                                               */
    uint64_t snapshot_start; /* where the snapshot that is or was last copied begins      */
    uint64_t sequence;       /* of the next file that is moved away                       */
    uint64_t ordinal;        /* the stand                                                 */
    int64_t started_us;      /* when the file was made, wall clock                        */
    uint32_t flags;
    uint32_t pos_len;
    uint8_t pos[FILE_POS_MAX];
    char moved_to[NAME_MAX + 1]; /* FILE_MOVING: the old file's new name; "": moved by somebody else */
} file_mark;

typedef struct file_journal {
    int fd; /* -1: closed; holds the lock */
    char path[PATH_MAX];
    file_mark mark; /* what it says now */
    wb_out scratch;
} file_journal;

/* Open or make it, and lock it: a second writer gets WB_E_STATE. *found: it says something; see j->mark. */
wb_code file_journal_open(file_journal *j, const char *path, mode_t mode, bool *found, wb_error *err) WB_MUST;
/* Say `next` (its generation is set here). The other slot keeps what was said before. WB_E_FENCED: another start has
 * written meanwhile. After a failure that may be retried, call again with the same. */
wb_code file_journal_write(file_journal *j, const file_mark *next, bool sync, wb_error *err) WB_MUST;
void file_journal_close(file_journal *j);
/* Just look: no lock. */
wb_code file_journal_read(const char *path, file_mark *mark, bool *found, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- compression */

typedef struct file_compress file_compress;
wb_code file_compress_new(int kind, int level, file_compress **out, wb_error *err) WB_MUST;
wb_code file_compress_put(file_compress *c, const char *p, size_t n, wb_out *to, wb_error *err) WB_MUST;
/* End the frame, if one is begun: what was put can be read back from here on. */
wb_code file_compress_end(file_compress *c, wb_out *to, wb_error *err) WB_MUST;
void file_compress_free(file_compress *c);
const char *file_compress_version(void); /* of the libraries; NULL: none is built in */

/* ---------------------------------------------------------------- the target */

typedef struct file_pending {
    wb_ticket ticket;
    uint64_t end; /* streams: answered when this many bytes are out; 0: not sealed yet */
} file_pending;

typedef struct file_target {
    /* options */
    const char *path, *format, *mode_text;
    const wb_node *format_options;
    int64_t fsync_ms, rotate_size, rotate_every_ms, level;
    int compress;

    /* from open to close */
    wb_host *host;
    bool is_open, is_stream, is_stdout;
    bool own_fd, nonblocking, mid_line; /* streams */
    char full[PATH_MAX];
    mode_t mode;
    int fd;
    bool envelope;   /* option */
    bool by_message; /* the format is asked for messages, not for rows */
    bool ends;       /* and has some that belong to no change */
    wb_formatter formatter;
    file_compress *packer;
    wb_out text; /* lines; with compression not packed yet */
    wb_out packed;
    size_t sent;       /* streams: bytes of the above that are written already */
    uint64_t end;      /* regular: where the next byte goes; streams: bytes written */
    uint64_t unsynced; /* bytes written since the last sync */
    uint64_t passed;   /* regular: until here the page cache was thought of */
    int64_t passed_us;
    bool flood; /* it grows so fast that whoever reads along may meet half a line */
    bool rush;  /* and even faster */
    bool no_direct;
    int direct_fd; /* the file when it bypasses the page cache */
    size_t piece;  /* write from here on: FILE_BUFFER, FILE_RUSH */
    file_journal journal;
    file_mark next;        /* what the journal will say */
    file_pending *pending; /* accepted, not answered */
    size_t npending, cap_pending;
    int64_t committed_us; /* monotonic, end of the last commit */
    int64_t commit_took_us;
    int64_t unsaid_us; /* since when */
    bool unsaid;       /* `next` has a stand that the journal does not */
    bool open; /* a turn of a snapshot is being written: behind the journal's length nothing counts until its end */
    bool moved_due;  /* HUP came meanwhile */
    bool blocked;    /* the last try failed, and may be tried again */
    wb_error broken; /* only close helps */
    uint64_t epoch;

    /* over close */
    bool cut; /* a stream ended within a line */
    atomic_bool interrupted;
} file_target;

static inline wb_out *file_outgoing(file_target *f) { return f->packer ? &f->packed : &f->text; }
static inline size_t file_unsent(file_target *f) { return file_outgoing(f)->len - f->sent; }
bool file_stopped(file_target *f);
/* Lines into frames; `end`: close the frame. Without compression nothing. */
wb_code file_pack(file_target *f, bool end, wb_error *err) WB_MUST;
/* All that was outgoing is written. Gives memory back after large rows. */
void file_sent_all(file_target *f);
/* Answer the first n pending tickets. */
void file_answer(file_target *f, size_t n);

/* file_data.c: regular files */
wb_code file_data_open(file_target *f, wb_open *o, wb_error *err) WB_MUST;
wb_code file_data_drain(file_target *f, wb_error *err) WB_MUST;  /* write what is outgoing */
wb_code file_data_pass(file_target *f, wb_error *err) WB_MUST;   /* write most of it: more comes at once */
wb_code file_data_sync(file_target *f, wb_error *err) WB_MUST;   /* and sync it */
wb_code file_data_commit(file_target *f, wb_error *err) WB_MUST; /* and tell the journal, answer */
wb_code file_data_begin_snapshot(file_target *f, bool again, wb_error *err) WB_MUST;
/* Before a piece of a turn: what came before the turn is committed. */
wb_code file_data_begin_turn(file_target *f, wb_error *err) WB_MUST;
/* The turn does not end: its bytes go. */
wb_code file_data_abandon(file_target *f, wb_error *err) WB_MUST;
void file_data_close(file_target *f);

/* file_rotate.c; all of it must be committed */
bool file_rotate_due(const file_target *f);
wb_code file_rotate(file_target *f, wb_error *err) WB_MUST;
wb_code file_rotate_moved(file_target *f, wb_error *err) WB_MUST; /* somebody may have moved it: reload */
/* Go on with what the journal says was begun: here, and at open after a crash. f->fd is closed before. */
wb_code file_rotate_finish(file_target *f, wb_error *err) WB_MUST;

/* file_stream.c */
wb_code file_stream_open(file_target *f, wb_error *err) WB_MUST;
/* Write what is outgoing until at most `enough` bytes are left or `ms` are over; answers tickets. WB_AGAIN: no room. */
wb_code file_stream_drain(file_target *f, size_t enough, int ms, wb_error *err) WB_MUST;
wb_code file_stream_seal(file_target *f, wb_error *err) WB_MUST; /* what is accepted becomes sendable */
void file_stream_close(file_target *f);

/* file_report.c */
wb_code file_check(void *ctx, wb_host *h, wb_report *r, wb_error *err);
wb_code file_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err);
wb_code file_destination(void *ctx, char *out, size_t cap);
/* Options that the table cannot check, and the path made absolute. Sets *mode. */
wb_code file_resolve(const file_target *f, wb_host *h, char *full, size_t cap, mode_t *mode, wb_error *err) WB_MUST;
wb_code file_journal_path(const char *full, char *out, size_t cap, wb_error *err) WB_MUST;
#endif

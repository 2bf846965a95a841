/* files.h: binlog files, offline: the source `binlog`, which `walbrook decode` reads. files.c is the plugin,
 * files_input.c the bytes (plain, gzip, zstd; files and pipes), files_part.c what a part of a file lacks, files_range.c
 * where to begin and to stop, files_schema.c the columns of tables from a schema dump, files_known.c from a pipeline's
 * state or a server. */
#ifndef WB_MY_FILES_H
#define WB_MY_FILES_H
#include "base/patterns.h"
#include "decoder.h"
#include "history.h"

/* ---------------------------------------------------------------- bytes */

enum { MY_NAME_MAX = 256 };

typedef struct my_input {
    char path[4096], name[MY_NAME_MAX]; /* the log's own name: without folder, .gz and .zst; "-" for a pipe */
    int fd;
    const uint8_t *map; /* a plain file */
    size_t map_len;
    size_t forgotten; /* pages before it are not ours any more */
    struct my_unpack *unpack;
    uint8_t *buffer; /* anything else: bytes [from, to) of it */
    size_t cap, from, to;
    bool over;       /* nothing comes after `to` */
    uint64_t offset; /* in the unpacked log: of the next byte */
} my_input;

void my_input_name(my_input *in); /* `name` from `path` */
wb_code my_input_open(my_input *in, const char *path, wb_error *err) WB_MUST;
void my_input_close(my_input *in);
static inline bool my_input_stable(const my_input *in) { return in->map != NULL; }
/* n bytes at the present offset; *have says how many there are (fewer only at the end). WB_AGAIN: a pipe has none yet,
 * for `ms`. They stay until the next call; those of a mapped file until it is closed. */
wb_code my_input_peek(my_input *in, size_t n, int ms, const uint8_t **p, size_t *have, wb_error *err) WB_MUST;
void my_input_skip(my_input *in, size_t n); /* what peek gave */
/* A mapped file only: go to another offset. */
bool my_input_seek(my_input *in, uint64_t offset);
/* Memory of a mapped file that was read goes back to the system. */
void my_input_forget(my_input *in);
void my_input_passed(my_input *in, const uint8_t *p); /* the same of the event that comes next, up to p */

/* ---------------------------------------------------------------- from, to */

typedef enum my_bound_kind { MY_BOUND_NONE, MY_BOUND_PLACE, MY_BOUND_TIME, MY_BOUND_GTID } my_bound_kind;
typedef struct my_bound {
    my_bound_kind kind;
    const char *text; /* as the user wrote it */
    wb_str log;       /* PLACE; empty: the first file (start), the last (stop) */
    uint64_t offset;
    int64_t us;
    char gtid[MY_GTID_TEXT];
} my_bound;

/* "binlog.000042:1234", "1234", "2024-06-01 12:00:00", "2024-06-01T12:00:00.5Z", a GTID. `what`: the option's name. */
wb_code my_bound_read(const char *text, const char *what, my_bound *out, wb_error *err) WB_MUST;

/* A FORMAT_DESCRIPTION for events that come without one; its size, 0: they do not tell enough. */
enum { MY_PART_FORMAT = 256, MY_PART_LOOK = 65536 };
size_t my_part_format(const uint8_t *p, size_t n, uint8_t out[MY_PART_FORMAT]);

/* ---------------------------------------------------------------- columns of tables */

/* Tables of a schema dump (mysqldump, mariadb-dump, SHOW CREATE TABLE). */
typedef struct my_shapes {
    wb_arena arena;
    my_schema *tables;
    size_t n, cap;
    bool dressed;
} my_shapes;
/* Defaults, which a dump has as SQL, as the brand's information_schema says them. */
void my_shapes_dress(my_shapes *s, my_flavor flavor);
wb_code my_shapes_read(my_shapes *s, const char *path, const char *text, size_t n, wb_error *err) WB_MUST;
wb_code my_shapes_load(my_shapes *s, const char *path, wb_error *err) WB_MUST;
const my_schema *my_shapes_find(const my_shapes *s, wb_str schema, wb_str name);
void my_shapes_fini(my_shapes *s);

/* ---------------------------------------------------------------- the source */

typedef struct my_files {
    /* options */
    wb_list files, tables;
    const char *start, *stop, *schema;
    int zero_dates, bad_text;
    bool query;

    wb_host *host;
    wb_arena arena;
    wb_patterns *patterns;
    my_shapes shapes;
    bool has_shapes;
    my_history *history; /* of a state folder, or the tables as a server has them; NULL: neither */
    my_gtid_set *set;    /* with it: what is before the present transaction */
    bool set_whole;      /* the log said what was before it */
    bool known_now;      /* the history is a server's tables, as they are now */
    my_bound from, to;
    bool begun, ended; /* the start was reached; the stop was */
    my_decoder *decoder;
    my_input in;
    bool open;
    uint32_t file;  /* number of the open one */
    uint64_t first; /* offset of the first event to look at in it, 0: all */
    bool in_use;    /* its header says: still being written */
    int spool;      /* file descriptor + 1 */

    /* the transaction that is being delivered */
    bool in_group, active, in_batch, told, skip;
    my_gtid gtid;
    int64_t commit_us;
    uint32_t server_id, thread;
    uint64_t txn_start, ordinal;
    wb_batch *batch;
    size_t room, need;
    uint64_t part_left; /* of a large event that is read in parts */
    uint32_t puts;
} my_files;

/* files_known.c: reads what `schema` names; the decoder's question; what a log says of the time before it. */
wb_code my_files_know(my_files *s, wb_error *err) WB_MUST;
wb_code my_files_columns(void *arg, const my_map *map, my_schema *out, wb_error *err);
/* What a state knows of a table before the present transaction, or after it. NULL: nothing. */
wb_table *my_files_table(my_files *s, wb_str schema, wb_str name, bool before);
bool my_files_before(my_files *s, const my_gtid_set *set) WB_MUST; /* NULL: not said */

enum { MY_FILES_POS = 12 }; /* of a position: number of the file, offset; its name follows */

wb_code my_files_flush(my_files *s, wb_error *err) WB_MUST;
wb_code my_files_step(my_files *s,
                      wb_error *err) WB_MUST; /* through the group that feed announced; WB_AGAIN: no budget */
wb_code my_files_nomem(wb_error *err);
bool my_files_wanted(void *arg, wb_str schema, wb_str table); /* hooks */
wb_code my_files_spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err);
wb_code my_files_spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err);
void my_files_spool_empty(void *arg);
#endif

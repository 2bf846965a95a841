/* sqlite_target.h: the SQLite target from the inside. Shared by the files of this folder alone; everything runs on the
 * target's thread, only interrupt comes from others.
 *   sqlite.c      the plugin: options, open, transactions, tickets
 *   indexes.c     secondary indexes
 *   meta.c        our own tables in the file: stand, tables, columns
 *   schema.c      a table version arrives: which mirror table, what changed
 *   alter.c       the DDL that makes a mirror table follow
 *   statements.c  SQL text and the cache of prepared statements
 *   mirror.c      changes to rows; park.c: rows that stand in the way for a moment
 *   values.c      values to SQLite's storage classes, exactly
 *   log_mode.c    mode: log
 *   report.c      check, status, destination
 *   compare.c     verify */
#ifndef WB_SQLITE_TARGET_H
#define WB_SQLITE_TARGET_H
#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "targets/formatter.h"
#include "walbrook/plugin.h"

typedef enum sq_mode { SQ_MIRROR, SQ_LOG } sq_mode;
enum { SQ_FOLLOW, SQ_STOP }; /* on_schema_change */
enum { SQ_KEEP, SQ_DROP };   /* on_drop          */
enum { SQ_PARTIAL = 256, SQ_LEAST = 8, SQ_WAL_PAGES = 20000, SQ_LAYOUT = 1 };

/* What a column is declared as. BLOB has no affinity: it also holds what may be INTEGER or TEXT (64-bit unsigned). */
typedef enum sq_class { SQ_INTEGER, SQ_REAL, SQ_TEXT, SQ_BLOB } sq_class;

typedef enum sq_kind {
    SQ_INSERT,
    SQ_UPSERT,
    SQ_DELETE, /* the row that the old values name                           */
    SQ_EMPTY,
    SQ_EVICT, /* the row that has the new key                               */
    SQ_PARK,  /* copy the row that has the new key into the parking table   */
    SQ_PARK_EMPTY,
    SQ_PARK_FIND, /* rowid of the parked row that equals the old row            */
    SQ_PARK_TAKE, /* delete a parked row by rowid                               */
    SQ_FIXED,     /* from here on: one statement for each set of sent columns   */
    SQ_UPDATE = SQ_FIXED,
    SQ_MOVE,  /* update that changes the key                                */
    SQ_UNPARK /* insert a parked row, changed                               */
} sq_kind;

typedef struct sq_plan sq_plan;
typedef struct sq_stmt sq_stmt;
struct sq_stmt {
    sqlite3_stmt *stmt;
    sq_plan *plan;
    sq_kind kind;
    size_t bytes;           /* memory of stmt                      */
    sq_stmt *newer, *older; /* LRU of all plans                    */
    sq_stmt *sibling;       /* of the same plan, with a bitmap     */
    uint64_t sent[];        /* from SQ_FIXED on                    */
};

typedef struct sq_column {
    const char *q; /* quoted */
    uint8_t cls;
    bool key;
} sq_column;

/* How the rows of one table version are written. */
struct sq_plan {
    sq_plan *next;
    uint64_t serial;
    int64_t table_id;      /* in _walbrook_tables     */
    const wb_table *table; /* one reference           */
    wb_arena arena;
    const char *name, *q; /* of the mirror table; quoted */
    const char *rowid;    /* without a key: a name of the hidden rowid that no column has */
    sq_column *cols;
    uint32_t ncols, nkey;
    const uint16_t *key;
    const char **kept; /* quoted columns that the source has dropped */
    size_t nkept;
    size_t words; /* of a bitmap */
    uint64_t *sent;
    sq_stmt *fixed[SQ_FIXED];
    sq_stmt *partial; /* most recently used first */
    size_t npartial;  /* at most SQ_PARTIAL        */
    size_t parked;
    bool park_made, full, stale, warned_missing, warned_park;
    bool generates; /* some columns are generated */
};

typedef struct sq_target sq_target;
struct sq_target {
    /* options */
    const char *path, *table_template, *log_table;
    int mode, on_schema_change, on_drop, synchronous;
    int64_t commit_rows, commit_every_ms, busy_ms;
    wb_list indexes;
    /* while open */
    sq_target *next_open; /* of this process: sq_claim */
    wb_host *host;
    sqlite3 *db;
    char file[PATH_MAX];
    uint64_t file_dev, file_ino; /* of the one that is open */
    uint64_t epoch;
    atomic_bool interrupted;
    atomic_bool building;  /* an index or a rebuilt table may take minutes: only a stop ends it */
    bool in_txn, boundary; /* boundary: what is in the SQLite transaction ends with a whole source transaction */
    bool open;             /* and it holds pieces of a turn of a snapshot: it commits at the turn's end, or is undone */
    bool snapshot_done;    /* the stand has a position: secondary indexes may be made */
    bool copying;          /* the last turn was not the last one of its snapshot */
    bool indexes_due;
    uint64_t rows; /* in the open SQLite transaction     */
    int64_t first_us;
    wb_out pos; /* of the stand to commit             */
    uint64_t ordinal;
    wb_out own_pos;     /* what open found                    */
    wb_ticket *tickets; /* accepted, unanswered, oldest first */
    size_t ntickets, cap_tickets;
    int wal_pages;
    int64_t idle_us; /* of the last commit or checkpoint */
    int64_t grew_us; /* of the last view that was written */
    sqlite3_stmt *begin, *commit, *stand;
    wb_out sql;
    wb_arena scratch; /* bytes bound for one row            */
    bool scratch_used;
    /* mirror */
    sq_plan *plans[1024];
    sq_plan *last;
    sq_stmt *newest, *oldest;
    size_t nstatements, statement_bytes, statement_limit; /* prepared, what they take, may take */
    bool wide;                                            /* many tables: a larger page cache   */
    size_t parked;
    /* log */
    sqlite3_stmt *log_insert;
    wb_formatter formatter;
    bool formatting;
    wb_out json[3];
    wb_value *image; /* a row of which only the key is there */
    size_t cap_image;
};

/* ---- sqlite.c */
/* Fill err from a SQLite result code and the connection's message. */
wb_code sq_fail(sq_target *s, int rc, wb_error *err, const char *fmt, ...) WB_PRINTF(4, 5);
wb_code sq_exec(sq_target *s, wb_error *err, const char *sql) WB_MUST;
/* The text of s->sql. */
wb_code sq_exec_out(sq_target *s, wb_error *err) WB_MUST;
wb_code sq_prepare(sq_target *s, const char *sql, sqlite3_stmt **out, wb_error *err) WB_MUST;
/* For statements without rows: step, reset. */
wb_code sq_run(sq_target *s, sqlite3_stmt *st, wb_error *err, const char *what) WB_MUST;

/* ---- indexes.c */
void sq_secondary_indexes(sq_target *s);

/* ---- meta.c */
typedef struct sq_known_column {
    int32_t id;
    const char *name, *mirror, *type;
    sq_class cls;
    int key_position; /* from 1; 0: not in the key */
    bool dropped;
    bool matched;
} sq_known_column;
typedef struct sq_known {
    int64_t table_id; /* 0: not known */
    uint64_t source_id;
    const char *schema, *name, *mirror, *state, *reason;
    size_t n;
    sq_known_column *cols;
} sq_known;
/* Two targets of one start in one file would overwrite each other's stand: the second is refused. */
wb_code sq_claim(sq_target *s, wb_error *err) WB_MUST;
void sq_release(sq_target *s);
/* Nobody has put another file in the place of the open one, whose pages would then go nowhere. */
wb_code sq_same_file(const sq_target *s, wb_error *err) WB_MUST;
wb_code sq_meta_open(sq_target *s, wb_open *o, wb_error *err) WB_MUST;
wb_code sq_meta_stand(sq_target *s, wb_error *err) WB_MUST; /* s->pos and s->ordinal into our row, if still ours */
/* First batch of a snapshot: forget all. */
wb_code sq_meta_reset(sq_target *s, bool again, wb_error *err) WB_MUST;
/* Memory of `a`. By source id (when not 0), else by schema and name. */
wb_code sq_known_load(sq_target *s, wb_arena *a, uint64_t source_id, wb_str schema, wb_str name, sq_known *k,
                      wb_error *err) WB_MUST;
wb_code sq_known_by_mirror(sq_target *s, wb_arena *a, const char *mirror, sq_known *k, bool *ours,
                           wb_error *err) WB_MUST;
/* Insert (table_id 0: is set) or replace, with all columns. */
wb_code sq_known_save(sq_target *s, sq_known *k, wb_error *err) WB_MUST;
wb_code sq_table_exists(sq_target *s, const char *name, bool *yes, wb_error *err) WB_MUST;
const char *sq_key_mode(const sq_target *s);

/* ---- schema.c */
/* The plan of a table version; makes or alters the mirror table when needed. */
wb_code sq_plan_get(sq_target *s, const wb_table *t, sq_plan **out, wb_error *err) WB_MUST;
/* The source computed the column anew and did not send it: what the mirror has there may be old. */
/* names.c. The table that the source has: before transforms gave it another name. */
wb_str sq_source_schema(const wb_table *t);
wb_str sq_source_name(const wb_table *t);
wb_code sq_mirror_name(sq_target *s, wb_arena *a, const wb_table *t, const char **out, wb_error *err) WB_MUST;
wb_code sq_schema_stop(sq_target *s, const wb_table *t, const char *what, wb_error *err) WB_MUST;
wb_code sq_set_aside(sq_target *s, wb_arena *a, sq_known *k, bool for_good, const char *why, wb_error *err) WB_MUST;
wb_code sq_make_room(sq_target *s, wb_arena *a, const wb_table *t, const char *name, int64_t table_id,
                     wb_error *err) WB_MUST;
wb_code sq_follow_drop(sq_target *s, const wb_table *t, wb_error *err) WB_MUST;
wb_code sq_follow_rename(sq_target *s, const wb_table *was, const wb_table *t, wb_error *err) WB_MUST;
/* Older versions of a table do not come again. */
wb_code sq_plans_forget(sq_target *s, int64_t table_id, wb_error *err) WB_MUST;
wb_code sq_make_stale(sq_target *s, sq_plan *p, const char *column, wb_error *err) WB_MUST;
sq_plan *sq_plan_find(sq_target *s, uint64_t serial);
void sq_plans_drop(sq_target *s);
const char *sq_quote(wb_arena *a, const char *name);

/* ---- alter.c */
/* One column of the new version beside what is known of it. */
typedef struct sq_pair {
    const wb_column *col;
    sq_known_column *old; /* NULL: added */
    const char *final;    /* its name in the mirror */
    sq_class cls;
    int key_position;
} sq_pair;
typedef struct sq_diff {
    const wb_table *table;
    wb_arena *arena;
    sq_known *known;
    sq_pair *pairs;
    size_t n;
    bool rebuild; /* key or class changed */
    bool any;
    wb_out reason; /* why the table is stale; empty: it is not */
    wb_out what;   /* what changed, for people */
} sq_diff;
wb_code sq_create(sq_target *s, const char *mirror, const sq_diff *d, wb_error *err) WB_MUST;
wb_code sq_alter(sq_target *s, sq_diff *d, wb_error *err) WB_MUST;
/* Rename a mirror table. */
wb_code sq_rename_table(sq_target *s, const char *from, const char *to, wb_error *err) WB_MUST;
wb_code sq_rebuild(sq_target *s, sq_diff *d, bool *fits, wb_error *err) WB_MUST;
const char *sq_class_name(sq_class c);

/* ---- statements.c */
wb_code sq_statement(sq_target *s, sq_plan *p, sq_kind kind, const uint64_t *sent, sqlite3_stmt **out,
                     wb_error *err) WB_MUST;
void sq_statements_drop(sq_target *s, sq_plan *p);

/* ---- mirror.c */
wb_code sq_mirror_apply(sq_target *s, const wb_change *c, wb_error *err) WB_MUST;
/* Bind what the change brings as ?1…?n (all columns, or those of the bitmap), or the old row as ?n+1…?2n. */
wb_code sq_bind_new(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, const uint64_t *sent,
                    wb_error *err) WB_MUST;
wb_code sq_bind_old(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, bool whole, wb_error *err) WB_MUST;
wb_code sq_bind_new_key(sq_target *s, sq_plan *p, sqlite3_stmt *st, const wb_change *c, wb_error *err) WB_MUST;
/* Step and reset; *taken: another row has the key, nothing was written. */
wb_code sq_step(sq_target *s, sq_plan *p, sqlite3_stmt *st, bool *taken, wb_error *err) WB_MUST;
wb_code sq_step_free(sq_target *s, sq_plan *p, sqlite3_stmt *st, wb_error *err) WB_MUST; /* nobody can have the key */

/* ---- park.c */
/* The row that has the change's new key moves into the parking table (whole old rows are sent), or goes. */
wb_code sq_park_occupant(sq_target *s, sq_plan *p, const wb_change *c, wb_error *err) WB_MUST;
/* An update or delete of a parked row; *found false: it is not parked. */
wb_code sq_park_apply(sq_target *s, sq_plan *p, const wb_change *c, const uint64_t *sent, bool *found,
                      wb_error *err) WB_MUST;
/* A source transaction ends: who is still parked is gone at the source. */
wb_code sq_park_settle(sq_target *s, wb_error *err) WB_MUST;

/* ---- values.c */
sq_class sq_class_of(const wb_column *c);
const char *sq_stores(const wb_column *c); /* in words, for `explain types` */
int sq_bind(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v, sq_class cls);

/* ---- log_mode.c */
wb_code sq_log_open(sq_target *s, wb_error *err) WB_MUST;
wb_code sq_log_apply(sq_target *s, const wb_txn *txn, const wb_change *c, wb_error *err) WB_MUST;
wb_code sq_log_reset(sq_target *s, bool again, wb_error *err) WB_MUST;
void sq_log_close(sq_target *s);

/* ---- report.c */
wb_code sq_check(void *ctx, wb_host *h, wb_report *r, wb_error *err);
wb_code sq_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err);
wb_code sq_destination(void *ctx, char *out, size_t cap);

/* ---- compare.c */
wb_code sq_compare(void *ctx, wb_host *h, const char *copy, const wb_differences *out, wb_error *err);

extern const wb_target wb_target_sqlite;
#endif

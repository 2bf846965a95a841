/* my.h: what the files of the live MySQL and MariaDB source share: options, connections, tables, the running stream.
 * Everything that talks to a server is here; what only reads bytes is in decoder.h, schema.h, gtid.h, position.h.
 * Threads: open, read, settle and close run on the source's thread and own everything below "running"; check, tip,
 * status, drop and suggest make a connection of their own and touch only the options, `interrupted` and `links`. */
#ifndef WB_MY_H
#define WB_MY_H
#include <mysql.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/patterns.h"
#include "decoder.h"
#include "history.h"
#include "packet.h"
#include "position.h"
#include "sources/sql/fact.h"
#include "sources/sql/lull.h"
#include "sources/sql/options.h"
#include "walbrook/plugin.h"

typedef enum my_snapshot_locking { MY_LOCKING_MINIMAL, MY_LOCKING_NONE } my_snapshot_locking;

typedef struct my_source my_source;

/* ---------------------------------------------------------------- url.c: mysql://user:password@host:port/db?... */

typedef enum my_tls { MY_TLS_DISABLED, MY_TLS_PREFERRED, MY_TLS_REQUIRED, MY_TLS_VERIFY_CA, MY_TLS_VERIFY_FULL } my_tls;
typedef struct my_url { /* strings in the arena, NUL-terminated; NULL: not given */
    const char *user, *password, *host, *database, *socket;
    const char *ca, *cert, *key, *tls_version, *public_key;
    unsigned port;
    long connect_timeout; /* s */
    my_tls tls;
} my_url;
wb_code my_url_parse(const char *text, wb_arena *a, my_url *out, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- conn.c */

typedef struct my_link {
    MYSQL *my; /* NULL: not connected */
    my_source *s;
    wb_host *h;
    my_flavor flavor;
    int version; /* 101118, 90700 */
    int place;   /* in s->links; -1 none */
    bool streams, broken;
    struct my_net *net; /* of a dump: who reads its packets; NULL: the library */
    int64_t heard_us;   /* and when the last bytes came */
} my_link;

/* streams: for a dump: large packets, and a read timeout that heartbeats keep away. */
wb_code my_link_open(my_link *l, my_source *s, wb_host *h, bool streams, wb_error *err) WB_MUST;
void my_link_close(my_link *l); /* fine when not open, or zeroed */
bool my_link_stopped(const my_link *l);
wb_code my_fail_stopped(wb_error *err);
wb_code my_nomem(wb_error *err);
void my_interrupt_links(my_source *s);
enum { MY_LINKS = 48 };

/* Run a statement and give its rows, all of them (mysql_free_result them); out NULL: none wanted. `why` completes
 * "MySQL refused ...". Waits without ever being deaf to a stop. */
wb_code my_query(my_link *l, const char *why, const char *sql, MYSQL_RES **out, wb_error *err) WB_MUST;
wb_code my_do(my_link *l, const char *why, const char *sql, wb_error *err) WB_MUST;
/* As my_query, but rows come one by one: mysql_fetch_row, then my_rows_end. */
wb_code my_rows(my_link *l, const char *why, const char *sql, MYSQL_RES **out, wb_error *err) WB_MUST;
/* The first column of the first row, "" when there is none or it is NULL. */
wb_code my_one(my_link *l, const char *why, const char *sql, char *out, size_t cap, wb_error *err) WB_MUST;
/* Fill err from the connection's last error. */
wb_code my_fail(my_link *l, const char *why, wb_error *err);
const char *my_brand(const my_link *l); /* "MySQL", "MariaDB" */
int my_link_fd(const my_link *l);

/* ---------------------------------------------------------------- net.c: the bytes of a dump */

bool my_link_buffered(const my_link *l); /* something was read ahead that poll() does not show */
/* The dump was asked for: from here on its packets are read by us, as far as that can be. */
wb_code my_net_open(my_link *l, wb_error *err) WB_MUST;
void my_net_close(my_link *l);
wb_code my_net_read(my_link *l, my_packet *out, wb_error *err) WB_MUST; /* WB_AGAIN: nothing is there */

/* classify.c: the server's number of an error to what it is, what to do next, and a hint (may be NULL) */
typedef struct my_class {
    unsigned number;
    wb_code code;
    wb_next next;
    const char *hint;
} my_class;
const my_class *my_classify(unsigned number);
/* Of the library too: once connected, all of its errors are a connection that broke. */
const my_class *my_classify_client(unsigned number, const char *text, bool connected);
/* 1236, the error of a dump, tells by its text only. */
typedef enum my_dump_error {
    MY_DUMP_OTHER,
    MY_DUMP_GAP,
    MY_DUMP_AHEAD,
    MY_DUMP_CLASH,
    MY_DUMP_AGAIN,
    MY_DUMP_SIZE
} my_dump_error;
my_dump_error my_classify_dump(const char *text);

/* sqltext.c: `name`, 'literal', and a NUL at the end of a writer's text */
void my_put_ident(wb_out *o, wb_str name);
void my_put_literal(wb_out *o, wb_str text);
void my_put_table(wb_out *o, wb_str schema, wb_str name);

/* ---------------------------------------------------------------- server.c: what the server is */

enum { MY_UUID = 40, MY_FILE = 256 };
typedef struct my_server {
    my_flavor flavor;
    int version;
    char text[80], uuid[MY_UUID]; /* uuid: MariaDB: made of what it says of itself */
    uint64_t lineage;             /* whose files our file positions are of */
    uint32_t server_id;
    bool log_bin, gtid; /* gtid: positions are GTID sets */
    char format[16], row_image[24], row_metadata[16], gtid_mode[24], zone[64];
    int lower_case; /* lower_case_table_names */
} my_server;
wb_code my_server_look(my_link *l, my_server *out, wb_error *err) WB_MUST;
/* Where the log ends, with file and offset. set: what was executed, added; may be NULL. */
typedef struct my_place {
    char log[MY_FILE];
    uint64_t offset;
} my_place;
wb_code my_server_end(my_link *l, const my_server *v, my_place *place, my_gtid_set *set, wb_error *err) WB_MUST;
/* MariaDB: the GTIDs before a place, added. */
wb_code my_server_gtids_at(my_link *l, const my_place *place, my_gtid_set *set, wb_error *err) WB_MUST;
/* Log files with their sizes, oldest first. Memory: a. */
typedef struct my_file {
    const char *name;
    uint64_t size;
} my_file;
wb_code my_server_logs(my_link *l, wb_arena *a, my_file **out, size_t *n, wb_error *err) WB_MUST;
/* Can the server still give what comes after the position? OK, or WB_E_GAP with sentences. */
wb_code my_server_has(my_source *s, my_link *l, const my_server *v, wb_pos pos, wb_error *err) WB_MUST;
wb_code my_gap(const my_source *s, wb_error *err, const char *fmt, ...) WB_PRINTF(3, 4);
/* What rows cannot be read from: log_bin off, another binlog_format. */
wb_code my_server_usable(const my_source *s, const my_server *v, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- catalog.c: which tables there are */

typedef struct my_table {
    wb_str schema, name; /* NUL-terminated */
    uint64_t id;         /* made of them */
    bool wanted, transactional;
    int64_t rows, bytes; /* estimates; -1 unknown */
    size_t reader;       /* of a copy: the connection that has touched it, + 1; 0: all have */
} my_table;
typedef struct my_catalog {
    wb_arena arena;
    my_table *tables; /* ordered by schema, name */
    my_table **by_id;
    size_t n, nwanted;
    size_t unmatched; /* the first pattern that matches nothing, + 1; 0: all match */
} my_catalog;
wb_code my_catalog_load(my_link *l, const wb_patterns *patterns, my_catalog *out, wb_error *err) WB_MUST;
void my_catalog_free(my_catalog *c); /* also of a failed load, or zeroed */
wb_code my_patterns_of(const my_source *s, wb_arena *a, wb_patterns **out, wb_error *err) WB_MUST;
bool my_is_system(wb_str schema);
my_table *my_catalog_find(const my_catalog *c, uint64_t id);
/* columns.c: the table as information_schema has it now; ncols 0: there is none. Memory: a. */
wb_code my_shape_load(my_link *l, wb_str schema, wb_str name, wb_arena *a, my_schema *out, wb_error *err) WB_MUST;
/* Rows of information_schema.COLUMNS: these fields, then SRS_ID. */
#define MY_COLUMN_FIELDS                                                                                               \
    "COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, EXTRA, GENERATION_EXPRESSION, COLUMN_DEFAULT,"         \
    " COLUMN_COMMENT, COLUMN_KEY"
enum { MY_COLUMN_SRID = 9 };
void my_column_of_row(const my_link *l, my_schema_col *c, MYSQL_ROW row, wb_arena *a);
/* Rows of information_schema.STATISTICS of a table whose columns are there, index after index: these fields, so
 * ordered. The key is the primary one, else the unique one that the server takes for it (COLUMN_KEY says PRI of its
 * columns). */
#define MY_KEY_FIELDS "INDEX_NAME, COLUMN_NAME, SUB_PART"
#define MY_KEY_ORDER "INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
typedef struct my_keying {
    my_schema *of;
    uint16_t *key; /* of->key */
    char index[260];
    uint32_t n;
    bool fits;
} my_keying;
wb_code my_key_begin(my_keying *g, my_schema *of, wb_arena *a, wb_error *err) WB_MUST;
void my_key_row(my_keying *g, char **row, wb_arena *a);
void my_key_end(my_keying *g, wb_arena *a);
/* catalog_all.c: of many tables, with a few statements; `out` has one for each, in their order. Who must not see them
 * as they were before a statement that the log has already touches them first. */
wb_code my_catalog_shapes(my_link *l, const my_catalog *c, my_table *const *list, size_t n, wb_arena *a, my_schema *out,
                          wb_error *err) WB_MUST;
/* Waits for statements that alter the tables; inside a transaction nobody alters them from then on. any: what cannot be
 * read is passed over. */
wb_code my_touch(my_link *l, my_table *const *list, size_t n, bool any, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- history.h: yesterday's columns of a table */

/* schema_track.c: the decoder's questions, and DDL */
typedef struct my_track_start {
    bool baseline;           /* the tables as they are now are what they are at `from`             */
    bool locked;             /* nobody can alter them                                              */
    const my_schema *shapes; /* they have been read already; NULL: no */
    size_t nshapes;
    wb_pos from;
} my_track_start;
/* From the state, or as the tables are now; *holds false: one of them was altered meanwhile, begin again. */
wb_code my_track_open(my_source *s, const my_track_start *start, bool *holds, wb_error *err) WB_MUST;
wb_code my_track_table(void *arg, const my_map *map, my_schema *out, wb_error *err);
bool my_track_wanted(void *arg, wb_str schema, wb_str table);
wb_code my_track_ddl(my_source *s, const my_event *ev, wb_error *err) WB_MUST;
void my_track_settled(my_source *s, wb_pos pos);
/* open.c: `position` or `start`, as text; empty: neither says, or a time does, *us (µs since 1970), which is else 0. */
wb_code my_told_text(const my_source *s, wb_out *out, int64_t *us, wb_error *err) WB_MUST;
/* start_time.c: the position from which on the log is of that time. Appends. */
wb_code my_start_time(my_source *s, int64_t us, wb_out *out, wb_error *err) WB_MUST;

/* missing.c: is `now` the table of `before` with columns added; what older rows have in these (arena: s->scratch); take
 * that back. */
bool my_missing_any(const my_schema *before, const my_schema *now);
wb_code my_missing_fill(my_source *s, const my_schema *before, my_schema *now, wb_error *err) WB_MUST;
void my_missing_clear(my_schema *now);

/* ---------------------------------------------------------------- dump.c: the replication protocol */

wb_code my_identity(my_source *s, wb_error *err) WB_MUST; /* server_id and uuid of ours, checked for clashes */
/* Ask for the log after `pos`, on l. once: up to its present end only. */
wb_code my_dump_start(my_source *s, my_link *l, wb_pos pos, bool once, wb_error *err) WB_MUST;
/* One event, or the next part of one; until the next call. WB_AGAIN: nothing is there; WB_END: the end (once). */
wb_code my_dump_read(my_link *l, my_packet *out, wb_error *err) WB_MUST;
wb_code my_dump_feed(my_decoder *d, const my_packet *p, my_event *ev, wb_error *err) WB_MUST;
/* Nothing came since then, nor from the server before: an error when that is too long. */
wb_code my_dump_silent(my_link *l, int64_t since_us, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- the source */

typedef struct my_txn { /* the one that is being handed over */
    bool active, begun, in_batch;
    my_gtid gtid;
    uint64_t start, end;
    int64_t commit_us;
    uint32_t server_id, thread;
    uint64_t rows; /* handed over or in the batch, schema changes included */
    char id[MY_FILE + 24];
} my_txn;

typedef struct my_xa { /* prepared: its GTID counts when it is decided */
    my_gtid gtid;
    char *name;
} my_xa;

#include "snap.h"

struct my_source {
    /* options */
    const char *url, *position;
    const wb_node *start_at;
    wb_list table_list;
    int snapshot_mode, snapshot_locking;
    int64_t snapshot_workers, snapshot_chunk, snapshot_turn_ms;
    const wb_node *snapshot_where, *snapshot_columns;
    int64_t server_id_option, heartbeat_ms, spool_limit;
    int zero_dates, bad_text;
    bool tail, query;

    /* any thread */
    atomic_bool interrupted;
    atomic_ullong skipped; /* events that are not known and may be left out */

    /* for the life of the process; guarded by the mutex of conn.c */
    int links[MY_LINKS]; /* fd + 1 of connections in use; 0: free */

    /* running */
    wb_host *host;
    uint64_t fresh;
    uint32_t server_id; /* ours */
    char uuid[MY_UUID];
    my_server server;
    my_link side, dump;
    my_catalog cat;
    wb_out start;    /* of the stream: a position */
    wb_out told;     /* `position` or `start`, as text */
    int64_t told_us; /* or as a time; 0: neither */
    bool first_kept; /* the state has where the first start began */
    wb_arena arena;  /* for the session: patterns */
    wb_patterns *patterns;
    my_decoder *decoder;
    my_history *history;
    wb_arena scratch; /* of one question about a table */
    my_snap snap;
    bool streaming; /* the dump was asked for */
    int spool;      /* fd + 1 */
    struct my_ahead *ahead;

    wb_batch *batch;
    size_t batch_room; /* asked for at take */
    size_t need;       /* of the next row */
    bool in_group;     /* the decoder gives a transaction, step by step */
    bool in_steps;     /* of which the first is made                    */
    bool slot_free;    /* the batch's last transaction has no changes: its place is taken by the next one */
    my_txn txn;
    my_gtid_set *set; /* everything before the present transaction */
    char log[MY_FILE];
    uint64_t offset;
    my_xa *xas;
    size_t nxas;
    wb_out pos_text;    /* scratch: a position, encoded */
    bool idle_due;      /* the position moved without a transaction for us */
    int64_t idle_at_us; /* not before */
    sql_lull lull;
    uint64_t events;
    int64_t heard_us, blocked_us; /* blocked: no budget since; 0: there is */
    bool paused;                  /* the connection was closed meanwhile */
    bool said_order;
};

/* stream.c */
wb_code my_stream_start(my_source *s, wb_pos from, wb_error *err) WB_MUST;
wb_code my_stream_read(my_source *s, int ms, wb_error *err) WB_MUST;
/* handover.c: what the decoder says of an event. WB_AGAIN: no budget, call my_event_step again. */
wb_code my_event_take(my_source *s, const my_event *ev, wb_error *err) WB_MUST;
wb_code my_event_step(my_source *s, wb_error *err) WB_MUST; /* one step through a group */
wb_code my_batch_for(my_source *s, size_t need, wb_error *err) WB_MUST;
wb_code my_batch_put(my_source *s, wb_error *err) WB_MUST; /* if it holds anything; then says idle */
void my_say_idle(my_source *s, bool now);
/* Our position now, encoded; lives until the next call. */
wb_pos my_here(my_source *s);
wb_pos my_at(my_source *s); /* of the present transaction */
/* spool.c: the decoder's hooks */
wb_code my_spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err);
wb_code my_spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err);
void my_spool_empty(void *arg);
void my_spool_close(my_source *s);
/* snap_view.c */
wb_code my_view_open(my_source *s, wb_error *err) WB_MUST; /* connections, snap.to and snap.point */
wb_code my_view_unlock(my_source *s, wb_error *err) WB_MUST;
/* The stream has come to snap.to. Without locks on MySQL the views are taken now. *seen false: not all that was handed
 * over can be seen by others yet; try again later. */
wb_code my_view_behind_stream(my_source *s, bool *seen, wb_error *err) WB_MUST;
wb_code my_view_begin(my_link *l, wb_error *err) WB_MUST; /* a transaction with a view of its own */
void my_view_close(my_source *s);
/* snap_free.c */
bool my_view_is_free(const my_source *s);
wb_code my_view_hold(my_source *s, const my_tables *t,
                     wb_error *err) WB_MUST; /* no ALTER TABLE from here on; snap.to */
bool my_view_has_come(const my_source *s);   /* the stream, to where it must */
wb_code my_view_wait_seen(my_source *s, bool *seen, wb_error *err) WB_MUST;
bool my_snap_is_plain(const my_source *s, const sql_job *j); /* no view covers its table */
/* snap_plan.c */
wb_code my_snap_plan(my_source *s, my_table *const *list, size_t n, uint64_t targets, uint32_t flags,
                     wb_error *err) WB_MUST;
wb_code my_snap_plan_fresh(my_source *s, uint64_t fresh, wb_error *err) WB_MUST;
wb_code my_snap_describe(my_source *s, wb_error *err) WB_MUST; /* as they are now; jobs that do not fit are made anew */
void my_snap_forget_shapes(my_source *s);                      /* of snap.shapes, which my_snap_describe leaves */
/* snap_split.c */
wb_code my_snap_split(my_source *s, sql_job *j, const my_schema *shape, const wb_table *t, int64_t chunks, int64_t rows,
                      wb_error *err) WB_MUST;
/* snap_work.c */
extern const sql_copy_ops my_snap_ops;
extern const sql_dialect my_dialect;
wb_code my_snap_begin_turns(my_source *s, wb_error *err) WB_MUST;
wb_code my_snap_turns(my_source *s, int ms, wb_error *err) WB_MUST; /* then the stream begins, or goes on */
void my_snap_close(my_source *s);
/* snap_seam.c */
wb_code my_snap_tend(my_source *s, wb_error *err) WB_MUST; /* between reads of the stream */
/* The views for the turns that begin here. *seen false: there are none, and a later round takes them. */
wb_code my_snap_look(my_source *s, bool *seen, wb_error *err) WB_MUST;
bool my_snap_rests(const my_source *s);
void my_snap_rest(my_source *s, int ms);
void my_snap_sees(my_source *s, const my_event *group); /* a transaction that comes next */
bool my_snap_reached(const my_source *s);
/* snap_ask.c */
wb_code my_ask(void *ctx, wb_host *h, const char *what, const char *table, wb_error *err);
wb_code my_reload(void *ctx, const void *fresh, wb_error *err);
wb_code my_snap_wishes(my_source *s, wb_error *err) WB_MUST;
wb_code my_snap_heed(my_source *s, wb_error *err) WB_MUST;
/* A job of the ledger whose table is not there any more was not whole: kept until the log tells what became of it. */
wb_code my_snap_note_gone(my_source *s, uint64_t table, bool gone, wb_error *err) WB_MUST;
wb_code my_snap_ddl(my_source *s, const my_statement *st, wb_error *err) WB_MUST; /* before it is told */
/* schema_track.c */
wb_code my_side_again(my_source *s, wb_error *err) WB_MUST; /* s->side, connected */
/* open.c */
wb_code my_first_settled(my_source *s, wb_error *err) WB_MUST; /* every target has a place */
wb_code my_open(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err);
void my_close(void *ctx);
/* check.c, status.c, suggest.c, explain.c */
wb_code my_check(void *ctx, wb_host *h, wb_report *r, wb_error *err);
wb_code my_tip(void *ctx, wb_host *h, void *out, size_t cap, size_t *len, wb_error *err);
wb_code my_status(void *ctx, wb_host *h, wb_pos settled, const wb_facts *facts, wb_error *err);
wb_code my_drop(void *ctx, wb_host *h, void (*say)(void *arg, const char *line), void *arg, wb_error *err);
wb_code my_suggest(void *ctx, wb_host *h, void (*put)(void *arg, const char *text), void *arg, wb_error *err);
wb_code my_types(void *ctx, wb_host *h, void (*each)(void *arg, const wb_table *t), void *arg, wb_error *err);

extern const wb_source wb_source_mysql;
#endif

/* pg.h: what the files of the PostgreSQL source share: options, connections, tables, the running stream.
 * Everything that talks to a server is here; what only reads bytes is in wire.h, types.h, spool.h, position.h.
 * Threads: open, read, settle and close run on the source's thread and own everything below "running"; check, tip,
 * status, drop and suggest make a connection of their own and touch only the options and `interrupted`. */
#ifndef WB_PG_H
#define WB_PG_H
#include <libpq-fe.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/patterns.h"
#include "position.h"
#include "sources/sql/fact.h"
#include "sources/sql/lull.h"
#include "sources/sql/options.h"
#include "spool.h"
#include "types.h"
#include "walbrook/plugin.h"
#include "wire.h"

typedef enum pg_failover { PG_FAILOVER_AUTO, PG_FAILOVER_ON, PG_FAILOVER_OFF } pg_failover;

enum { PG_NEW_NAME, PG_NEW_ADD };
enum { PG_ORIGIN_ANY, PG_ORIGIN_NONE };
enum { PG_GENERATED_NONE, PG_GENERATED_STORED };

typedef struct pg_source pg_source;

/* ---------------------------------------------------------------- conn.c */

typedef enum pg_role { PG_SQL, PG_REPLICATION } pg_role;
typedef struct pg_link {
    PGconn *pg; /* NULL: not connected */
    pg_source *s;
    wb_host *h;
    int version;         /* 150020 */
    int64_t deadline_us; /* closing: a stop does not end it, this time does; 0: none */
} pg_link;

wb_code pg_link_open(pg_link *l, pg_source *s, wb_host *h, pg_role role, wb_error *err) WB_MUST;
void pg_link_close(pg_link *l); /* fine when not open */
bool pg_link_dead(const pg_link *l);
bool pg_link_same(const pg_link *a, const pg_link *b); /* they lead to one server */
bool pg_stopped(const pg_source *s, wb_host *h);
/* A sentence when nobody knows what the bytes of a text mean; else NULL. */
const char *pg_link_no_encoding(const pg_link *l);
bool pg_link_stopped(const pg_link *l);
wb_code pg_fail_stopped(wb_error *err);

/* Run a statement, wait for it, give its last result (PQclear it). `why` completes "PostgreSQL refused ...". `tick`
 * (may be NULL) is called about ten times a second while waiting. Interrupted: cancels, WB_E_STOPPED. */
typedef struct pg_call {
    const char *why;
    int n;
    const char *const *values;
    void (*tick)(void *arg, int64_t waited_us);
    void *arg;
} pg_call;
wb_code pg_run(pg_link *l, const pg_call *call, const char *sql, PGresult **out, wb_error *err) WB_MUST;
wb_code pg_query(pg_link *l, const char *why, const char *sql, PGresult **out, wb_error *err) WB_MUST;
wb_code pg_query1(pg_link *l, const char *why, const char *sql, const char *value, PGresult **out,
                  wb_error *err) WB_MUST;
wb_code pg_do(pg_link *l, const char *why, const char *sql, wb_error *err) WB_MUST; /* no result wanted */
/* Fill err from a result that failed, or (res NULL) from a connection that broke. Returns the code. */
wb_code pg_fail_result(pg_link *l, const PGresult *res, const char *why, wb_error *err);
/* libpq's text on one line without password. */
void pg_clean_text(const PGconn *pg, const char *text, char *out, size_t cap);

/* hosts.c: the hosts of a url that names several, one by one; n is 1 when it does not. Pure. */
enum { PG_HOSTS = 16 };
typedef struct pg_hosts {
    size_t n;
    const char *host[PG_HOSTS], *addr[PG_HOSTS], *port[PG_HOSTS]; /* NULL: not given */
    char text[3][1024];
} pg_hosts;
/* false: too many or too long, or their numbers do not fit. Any may be NULL. */
bool pg_hosts_split(const char *hosts, const char *addrs, const char *ports, pg_hosts *out);

/* SQL text: "quoted ""name""", 'literal'. */
void pg_put_ident(wb_out *o, wb_str name);
void pg_put_ident_z(wb_out *o, const char *name);
void pg_put_literal(wb_out *o, const char *text);
wb_code pg_nomem(wb_error *err);
/* What the catalog answers: a number of it, 0 when it is none; a text, in the arena. */
int64_t pg_number(const char *z);
wb_str pg_copied(wb_arena *a, const char *z);

/* ---------------------------------------------------------------- names */

enum { PG_NAME = 64 }; /* NAMEDATALEN */
typedef struct pg_names {
    char slot[PG_NAME], pub[PG_NAME], insert_pub[PG_NAME];
    bool slot_named, pub_named; /* by the user */
    bool generated;             /* a publication that we make has generated columns, too */
    char comment[160];          /* what a publication that we made says of itself */
} pg_names;
wb_code pg_names_make(const pg_source *s, wb_host *h, pg_names *out, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- catalog.c: which tables there are */

typedef struct pg_table {
    uint32_t oid, parent;   /* parent: of a partition; else 0                  */
    wb_str schema, name;    /* NUL-terminated                                  */
    char kind, identity;    /* r p; d n f i                                    */
    bool key_usable;        /* the identity of the table itself                */
    bool key_cut;           /* the key has a generated column, which does not travel */
    bool cut;               /* so has the replica identity                    */
    bool usable;            /* updates and deletes can be published            */
    bool wanted;            /* by the patterns, partitions of wanted ones not  */
    bool published;         /* publication.c                                   */
    bool whole;             /* not by the second publication only              */
    bool updates;           /* they are published                              */
    bool hidden;            /* row-level security may hide rows from the user   */
    bool can_select, owned; /* can_select: all of its rows */
    int64_t rows;           /* estimate; -1 unknown                            */
    uint32_t file;          /* of a partition: relfilenode                     */
    uint32_t writer;        /* the transaction that wrote its line of pg_class */
    const char *columns;    /* column list of the publication: names separated by \1; NULL: all */
    const char *filter;     /* row filter, SQL; NULL: none                     */
} pg_table;

typedef struct pg_catalog {
    wb_arena arena;
    pg_table *tables; /* ordered by oid */
    size_t n, nwanted;
    uint64_t horizon; /* transactions before it were over when it was read */
    size_t unmatched; /* the first pattern that matches nothing, + 1; 0: all match */
    const pg_table *unsent,
        *unsent_root; /* a partition that only its root's name asks for, and before 13 nobody sends */
} pg_catalog;

wb_code pg_catalog_load(pg_link *l, const wb_patterns *patterns, pg_catalog *out, wb_error *err) WB_MUST;
void pg_catalog_free(pg_catalog *c); /* also of a failed load, or zeroed */
pg_table *pg_catalog_find(const pg_catalog *c, uint32_t oid);
/* The table or one of its partitioned ancestors is wanted. */
bool pg_catalog_covers(const pg_catalog *c, const pg_table *t);
/* "public.p is partitioned, ..."; false: all that is asked for can be sent. */
enum { PG_UNSENT = 400 };
bool pg_catalog_unsent(const pg_catalog *c, char *out, size_t size);
wb_code pg_patterns_of(const pg_source *s, wb_arena *a, wb_patterns **out, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- shape.c: the columns of one version of a table */

enum { PG_MISSING_UNKNOWN, PG_MISSING_NULL, PG_MISSING_TEXT };
typedef struct pg_column {
    int32_t attnum; /* 0: not known */
    uint32_t type;
    int32_t mod;
    uint8_t kind; /* wb_kind */
    uint8_t missing;
    bool not_null, generated;
    uint16_t key;  /* place in the key, from 1; 0: none */
    uint32_t base; /* under all domains; 0: not known */
    int32_t base_mod;
    wb_str name, type_name, missing_text, default_sql, labels;
} pg_column;

typedef struct pg_shape {
    uint32_t oid;
    wb_str schema, name;
    char identity, relkind;
    size_t ncols;
    pg_column *cols;
} pg_shape;

/* The table as the catalog has it now. *found false: no such table. Memory: a. */
wb_code pg_shape_load(pg_link *l, uint32_t oid, wb_arena *a, pg_shape *out, bool *found, wb_error *err) WB_MUST;
/* Name and kind of a column whose type and modifier are known; of a type that was dropped since: its text is kept. */
wb_code pg_column_type(pg_link *l, pg_column *c, wb_arena *a, wb_error *err) WB_MUST;
/* Many at once, in the order of their OIDs; `oids` as an array: "{1,2}". */
wb_code pg_shapes_load(pg_link *l, const char *oids, wb_arena *a, pg_shape **out, size_t *n, wb_error *err) WB_MUST;
/* Only columns that travel: not generated, and in `columns` (\1-separated; NULL: all). In place. */
void pg_shape_narrow(pg_shape *s, const char *columns);
wb_table *pg_shape_table(const pg_shape *s, uint32_t flags); /* NULL: no memory */
/* Text form for the state; pure. decode: false when it is not one. Views into `in`; the array from a. */
void pg_shape_encode(const pg_shape *s, wb_out *out);
bool pg_shape_decode(wb_str in, wb_arena *a, pg_shape *out);
/* Names and types of all columns are the same, in this order. */
bool pg_shape_fits(const pg_shape *s, const pg_relation *r);
/* What a Relation message shows, with ids and the rest from `known` and `now` (either may be NULL) where a column has
 * the same name and type; ids that would not ascend are left 0. Pure. */
bool pg_shape_merge(const pg_relation *r, const pg_shape *known, const pg_shape *now, wb_arena *a, pg_shape *out);
uint64_t pg_shape_hash(const pg_relation *r);

/* relation.c: the decoder's hook */
wb_table *pg_relation_hook(void *arg, const pg_relation *r, wb_error *err);
wb_code pg_side(pg_source *s, wb_error *err) WB_MUST; /* the side connection is there */
/* The table as the catalog has it now, on the side connection, which is made again when it is gone. */
wb_code pg_relation_now(pg_source *s, uint32_t oid, wb_arena *a, pg_shape *out, bool *found, wb_error *err) WB_MUST;
/* Remember a version of a table in the state: one that a Relation message showed (its hash), or the first one (0). */
wb_code pg_shape_remember(pg_source *s, const pg_shape *shape, uint64_t hash, wb_error *err) WB_MUST;

wb_code pg_shapes_remember(pg_source *s, const pg_shape *shapes, size_t n, wb_error *err) WB_MUST; /* in one step */

/* A set of OIDs: tables that are published but not wanted. */
typedef struct pg_oidset {
    uint32_t *oids;
    size_t n, cap;
} pg_oidset;
bool pg_oidset_has(const pg_oidset *s, uint32_t oid);
bool pg_oidset_set(pg_oidset *s, uint32_t oid, bool in); /* false: no memory */

/* ---------------------------------------------------------------- told.c, ddl.c: schema changes as events */

typedef struct pg_told { /* what the targets were told last of a table, and where in the log */
    pg_lsn at;           /* of the transaction; 0: at the start */
    uint64_t ordinal;
    bool dropped;
    pg_shape shape;
} pg_told;

typedef struct pg_told_kept {
    uint32_t oid;
    wb_out value;
} pg_told_kept;

typedef struct pg_ddl {
    pg_told_kept *waiting; /* versions that no row had yet: encoded shapes */
    size_t nwaiting;
    pg_oidset expected;   /* their tables: rows of others need no look */
    pg_oidset told;       /* tables that the targets know of */
    pg_oidset began_with; /* tables that were published at the start */
    pg_oidset asked;      /* watch_tables.c: dropped ones that a message was written for */
    pg_oidset named;      /* watch_tables.c: new ones that a word was said of */
    pg_told_kept *kept;   /* without a state: encoded pg_told */
    size_t nkept;
    bool begun;          /* the state says with what */
    pg_lsn newest;       /* no event was told beyond, when this session began */
    int64_t watch_at_us; /* watch_tables.c: next look */
} pg_ddl;

void pg_told_encode(const pg_told *t, wb_out *out);
bool pg_told_decode(wb_str in, wb_arena *a, pg_told *out);
wb_code pg_told_get(pg_source *s, uint32_t oid, wb_arena *a, pg_told *out, bool *found, wb_error *err) WB_MUST;
wb_code pg_told_put(pg_source *s, const pg_told *t, wb_error *err) WB_MUST;
/* The version that a table had at the start, or when its copy began; nothing when one is known. */
wb_code pg_told_first(pg_source *s, const pg_shape *shape, wb_error *err) WB_MUST;

/* Worth an event? By names, types, numbers and key; not by what only the catalog of the moment knows. Pure. */
bool pg_shape_differs(const pg_shape *a, const pg_shape *b);
/* A version came with the stream; the next row of the table has it. false: no memory. */
bool pg_ddl_expect(pg_source *s, const pg_shape *shape);
/* Before a row message (I U D T) is decoded into the batch, when anything is expected. */
wb_code pg_ddl_before(pg_source *s, char type, const char *p, size_t n, uint64_t place, wb_error *err) WB_MUST;
/* A message of the prefix walbrook inside a transaction; others than ours are nothing. */
wb_code pg_ddl_message(pg_source *s, wb_str content, uint64_t place, wb_error *err) WB_MUST;
wb_code pg_ddl_open(pg_source *s, pg_lsn settled, wb_error *err) WB_MUST;
wb_code pg_ddl_begin(pg_source *s, pg_lsn from, wb_error *err) WB_MUST; /* a slot was made: its log begins there */
void pg_ddl_close(pg_ddl *d);
/* watch_tables.c: new and dropped tables; what fails is tried again later */
void pg_watch_begin(pg_source *s); /* with the catalog that open has read */
void pg_watch_tables(pg_source *s, int64_t now);

/* ---------------------------------------------------------------- leaves.c: partitions that are truncated */

typedef struct pg_leaf {
    uint32_t oid, file;
    uint32_t next, writer; /* a file that is not explained, and whose it is; 0: none */
    pg_lsn until;          /* judged when the stream is here                         */
} pg_leaf;

typedef struct pg_truncated { /* of a root, by the stream */
    uint32_t root, xid;
} pg_truncated;

typedef struct pg_leaves {
    bool known;
    uint64_t horizon; /* of the last look at which every file was known or explained */
    pg_leaf *all;     /* ordered */
    size_t n;
    pg_truncated *truncates; /* NULL: nobody looks */
    size_t ntruncates;
    pg_lsn until; /* the first one to be judged; 0: none waits */
    bool waits;
    int64_t retry_us, save_us;
} pg_leaves;

/* anew: all tables are copied after this, so what was is over. Before the slot is made. */
wb_code pg_leaves_open(pg_source *s, bool anew, wb_error *err) WB_MUST;
void pg_leaves_close(pg_leaves *v);
wb_code pg_leaves_truncated(pg_source *s, uint32_t oid, uint32_t subxid, wb_error *err) WB_MUST;
wb_code pg_leaves_look(pg_source *s, const pg_catalog *cat, wb_error *err) WB_MUST;
bool pg_leaves_due(const pg_source *s);
wb_code pg_leaves_judge(pg_source *s, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- reselect.c: values that an UPDATE did not send */

typedef struct pg_reselect_row {
    size_t change; /* in the batch */
    uint32_t xid;
    bool done;
} pg_reselect_row;

typedef struct pg_reselect {
    pg_reselect_row *rows; /* of the batch that is being filled */
    size_t n, cap;
    size_t limit; /* so many are read at once; 0: not known yet */
} pg_reselect;

bool pg_reselect_note(pg_source *s); /* the batch's last change; false: no memory */
bool pg_reselect_due(const pg_source *s);
wb_code pg_reselect_batch(pg_source *s, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- publication.c */

typedef struct pg_pub {
    bool exists, all_tables, via_root;
    bool marked; /* its comment says that it is this pipeline's: the owner of the tables may have run our SQL */
    bool ours;   /* marked, and ours to drop */
    bool ins, upd, del, trunc;
} pg_pub;

/* What the server has under our two names, and marks catalog tables `published`. */
wb_code pg_pub_look(pg_link *l, const pg_names *names, pg_catalog *cat, pg_pub *pub, pg_pub *insert_pub,
                    wb_error *err) WB_MUST;
/* At open: look, make or take over, compare, log. Fills s->pub_list for START_REPLICATION. */
wb_code pg_pub_prepare(pg_source *s, pg_link *l, bool first, wb_error *err) WB_MUST;
/* Tables join ours. *second: the second publication is new, so the stream must begin anew to have it. */
wb_code pg_pub_join(pg_source *s, pg_link *l, pg_table *const *list, size_t n, bool *second, wb_error *err) WB_MUST;
/* One that got a replica identity after it was published for inserts only; and one that lost its own: the user's
 * UPDATE of it fails. */
bool pg_pub_halved(const pg_table *t);
bool pg_pub_breaks(const pg_catalog *cat, const pg_table *t);
void pg_pub_warn_identity(const pg_source *s, const pg_table *t); /* when one of the two */
/* Those of the list that are published by halves move to the first publication. */
wb_code pg_pub_complete(pg_source *s, pg_link *l, pg_table *const *list, size_t n, wb_error *err) WB_MUST;
/* CREATE statements that would make ours; for check and hints. */
void pg_pub_sql(const pg_names *names, const pg_catalog *cat, bool insert_only, int version, wb_out *out);
wb_code pg_pub_drop(pg_link *l, const pg_names *names, void (*say)(void *arg, const char *line), void *arg,
                    wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- slot.c */

#define PG_NO_LIMIT INT64_MAX
typedef struct pg_slot {
    bool exists, active, lost, temporary, logical, ours_plugin, two_phase, has_confirmed;
    bool failover, synced; /* 17 and newer; synced: a copy of the primary's */
    int active_pid;
    pg_lsn restart, confirmed;
    pg_lsn log_end;     /* of the server, slot or not */
    int64_t held, safe; /* bytes; safe: until the server may remove it; < 0: past that; PG_NO_LIMIT */
    char wal_status[16], database[PG_NAME], plugin[PG_NAME], why_lost[64];
} pg_slot;
wb_code pg_slot_look(pg_link *l, const char *name, pg_slot *out, wb_error *err) WB_MUST;
wb_code pg_slot_drop(pg_link *l, const char *name, wb_error *err) WB_MUST;
wb_code pg_slot_active(const pg_slot *slot, const char *name, wb_error *err);
/* Which of the server's processes streams to us: into the state. On s->repl, before the stream. */
wb_code pg_walsender_remember(pg_source *s, wb_error *err) WB_MUST;
/* A slot that only a dead, or sleeping, run of this pipeline still uses is freed; *slot looks again. */
wb_code pg_slot_release(pg_source *s, pg_link *l, const char *name, pg_slot *slot, wb_error *err) WB_MUST;
/* The log after our position is gone: code and next by the snapshot mode; with the size where it is known. */
wb_code pg_gap(const pg_source *s, wb_error *err, const char *fmt, ...) WB_PRINTF(3, 4);
wb_code pg_slot_missing(const pg_source *s, const pg_slot *slot, pg_lsn pos, wb_error *err);
const char *pg_slot_why(const pg_slot *slot); /* "it was behind by more than max_slot_wal_keep_size" */
wb_code pg_slot_lost(const pg_source *s, const pg_slot *slot, pg_lsn pos, wb_error *err);
/* slot_make.c */
void pg_slot_put_create(const pg_link *repl, const char *name, bool temporary, bool export, bool failover, wb_out *sql);
wb_code pg_slot_answer(const PGresult *res, bool export, pg_lsn *point, char *snapshot, wb_error *err) WB_MUST;
struct pg_blockers;
void pg_slot_blockers(struct pg_blockers *w, int64_t waited);
/* On the replication connection. *snapshot (cap PG_NAME) "" when none was asked for. */
wb_code pg_slot_create(pg_source *s, pg_link *repl, const char *name, bool temporary, bool export, pg_lsn *point,
                       char *snapshot, wb_error *err) WB_MUST;
wb_code pg_failover_check(const pg_source *s, int version, wb_error *err) WB_MUST;
/* As the option says; on s->repl, while nobody uses the slot. */
wb_code pg_slot_set_failover(pg_source *s, const pg_slot *slot, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- the source */

typedef struct pg_txn { /* the transaction that is being received or replayed */
    bool active, begun, in_batch;
    uint32_t xid;
    pg_lsn at;
    int64_t commit_us;
    uint64_t rows; /* handed over or in the batch */
} pg_txn;

#include "snap.h"

struct pg_source {
    /* options */
    const char *url;
    wb_list table_list;
    const char *slot_option, *publication_option, *slot_position;
    const wb_node *start_at;
    int snapshot_mode, failover, origin, generated_columns, new_tables;
    int64_t snapshot_workers, snapshot_chunk, snapshot_turn_ms;
    const wb_node *snapshot_where, *snapshot_columns;
    bool streaming, create_slot, create_publication, tail, messages, reselect;
    int64_t spool_limit, heartbeat_ms, status_interval_ms, table_interval_ms;

    /* any thread */
    atomic_bool interrupted;
    atomic_ullong tip_wanted; /* `--until now` waits for it */
    atomic_size_t good_host;  /* of several in the url: the one that was fine last */
    atomic_uint timeline;     /* the newest that was read; 0: not known */
    atomic_ullong system;     /* whose timeline that is */
    atomic_int slot_alarm;    /* what the log has said of the slot: status.c */

    /* for the life of the process */
    bool streaming_off; /* the spool had no room */
    char tail_name[PG_NAME];

    /* running */
    wb_host *host;
    uint64_t fresh;
    pg_names names;
    char database[PG_NAME];
    pg_link side, repl;
    pg_catalog cat;
    wb_arena arena; /* for the session: patterns */
    wb_patterns *patterns;
    wb_out pub_list; /* "p1","p 2" */
    bool second_pub; /* it has the one of inserts only */
    pg_decoder *decoder;
    pg_spools *spools;
    pg_spool_reader *replay;
    pg_event replay_commit;
    pg_spool_record replay_record;
    bool replay_pending; /* the record waits for a batch */
    pg_oidset unwanted;
    pg_ddl ddl;
    pg_leaves leaves;
    pg_reselect reselecting;
    pg_snap snap;
    pg_lsn start;     /* of the stream */
    bool started;     /* START_REPLICATION was answered */
    bool in_recovery; /* the server is a standby */
    bool in_stream;
    uint32_t stream_xid;
    uint32_t visible_xid; /* relation.c: the catalog shows what this one did */

    wb_batch *batch;
    size_t batch_room; /* asked for at take */
    pg_txn txn;
    pg_lsn idle_to; /* nothing up to here, to be said when the batch is put; 0 none */
    pg_lsn idle_said;
    int64_t idle_at_us; /* not before */
    char *pending;      /* a message that has no batch yet: PQfreemem */
    int pending_len;
    sql_lull lull;
    int64_t sent_us; /* when the server sent the message at hand */
    uint64_t received_messages;

    pg_lsn received, settled, reported;
    int64_t status_every_us, status_at_us, heartbeat_at_us, asked_us, heard_us;
    bool status_due;
};

/* counted.c: slot of wb_source; and at open: no target has a part of a transaction that was counted otherwise. */
void pg_part(void *ctx, wb_pos at, void *out, size_t cap, size_t *len);
wb_code pg_check_parts(const pg_source *s, const wb_resume *resume, wb_error *err) WB_MUST;
/* stream.c */
wb_code pg_stream_start(pg_source *s, pg_lsn from, wb_error *err) WB_MUST;
wb_code pg_stream_read(pg_source *s, int ms, wb_error *err) WB_MUST;
wb_code pg_options_fit(const pg_source *s, int version, wb_error *err) WB_MUST; /* what only newer servers can */
void pg_stream_end(pg_source *s);                                               /* last status, close the COPY */
/* feedback.c */
enum { PG_IDLE_EVERY_US = 50000 };
wb_code pg_status_send(pg_source *s, bool reply, wb_error *err) WB_MUST;
wb_code pg_timers(pg_source *s, wb_error *err) WB_MUST;
int64_t pg_timers_left(const pg_source *s, int64_t now); /* µs until the next one */
void pg_settled(pg_source *s, pg_lsn lsn);
/* message.c: one CopyData. WB_AGAIN: no budget for it, give it again. */
wb_code pg_message(pg_source *s, const char *p, size_t n, wb_error *err) WB_MUST;
wb_code pg_fail_two_phase(const char *slot, wb_error *err);
wb_code pg_replay_step(pg_source *s, wb_error *err) WB_MUST; /* WB_AGAIN: no budget */
/* A batch with room for `need` bytes more: WB_AGAIN when there is no budget. */
wb_code pg_batch_for(pg_source *s, size_t need, wb_error *err) WB_MUST;
void pg_enter_txn(pg_source *s);                           /* the open transaction is the batch's last one */
wb_code pg_batch_put(pg_source *s, wb_error *err) WB_MUST; /* if it holds anything; then says idle */
bool pg_in_flight(const pg_source *s);
wb_str pg_database_of(const pg_source *s, wb_batch *b); /* its name, in the batch */
/* snap_plan.c */
bool pg_snap_copies(const pg_source *s, const pg_table *t);
wb_code pg_snap_plan(pg_source *s, pg_table *const *list, size_t n, uint64_t targets, uint32_t flags,
                     wb_error *err) WB_MUST;
wb_code pg_snap_plan_fresh(pg_source *s, uint64_t fresh, wb_error *err) WB_MUST;
uint32_t pg_snap_file(const sql_job *j); /* whose pages its chunks are; 0: they are none, or without a key */
wb_code pg_snap_describe(pg_source *s, wb_error *err) WB_MUST; /* as they are now; jobs that do not fit are made anew */
/* snap_seam.c */
wb_code pg_snap_tend(pg_source *s, wb_error *err) WB_MUST; /* between reads of the stream */
bool pg_snap_rests(const pg_source *s);
wb_code pg_snap_rest(pg_source *s, int ms, wb_error *err) WB_MUST;
bool pg_snap_stops(const pg_source *s, const char *p, size_t n);
bool pg_snap_reached(const pg_source *s);
/* snap_work.c; snapshot "": one of our own, n->point is set */
wb_code pg_snap_workers_open(pg_source *s, const char *snapshot, wb_error *err) WB_MUST;
void pg_snap_workers_close(pg_source *s);
void pg_snap_begin(pg_source *s); /* of a session, before all else */
wb_code pg_snap_begin_turns(pg_source *s, wb_error *err) WB_MUST;
wb_code pg_snap_turns(pg_source *s, int ms, wb_error *err) WB_MUST; /* then the stream begins, or goes on */
void pg_snap_close(pg_source *s);
/* snap_row.c */
wb_code pg_fail_rewritten(const PGresult *res, wb_error *err);
wb_code pg_row_read(void *ctx, sql_worker *w, bool *dry, wb_error *err) WB_MUST;
void pg_row_release(sql_worker *w, char *row);
void pg_row_free(pg_worker *w);
/* snap_ask.c */
wb_code pg_ask(void *ctx, wb_host *h, const char *what, const char *table, wb_error *err);
wb_code pg_reload(void *ctx, const void *fresh, wb_error *err);
wb_code pg_snap_wishes(pg_source *s, wb_error *err) WB_MUST; /* those in the state, into the plan */
wb_code pg_snap_heed(pg_source *s, wb_error *err) WB_MUST;   /* when n->asked: the catalog again, and the wishes */
/* Tables of s->cat shall join the publication and be copied, in turns with the stream: soon, and after a crash too. */
wb_code pg_snap_add(pg_source *s, pg_table *const *list, size_t n, wb_error *err) WB_MUST;
/* open.c */
wb_code pg_open(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err);
void pg_close(void *ctx);
/* tail.c */
wb_code pg_tail_clean(pg_source *s, pg_link *l, wb_error *err) WB_MUST;    /* leftovers of dead ones */
wb_code pg_tail_existing(pg_source *s, pg_link *l, wb_error *err) WB_MUST; /* takes one that fits, by its name */
/* service.c */
typedef struct pg_service {
    const char *role, *name;
    const char *wal_level; /* a sentence; NULL: it is always logical there */
    const char *replicate; /* SQL before the role's name; NULL: ALTER ROLE, as everywhere */
} pg_service;
wb_code pg_service_look(pg_link *l, const pg_service **out, wb_error *err) WB_MUST; /* NULL: none that we know */
/* check.c, status.c, suggest.c, explain.c */
wb_code pg_check(void *ctx, wb_host *h, wb_report *r, wb_error *err);
/* s->timeline and s->system from the state. Not while another thread reads the state. */
void pg_timeline_recall(pg_source *s, wb_host *h);
/* slot_position or start: 0: neither says; *us: or a time, µs since 1970, else 0 */
wb_code pg_told_position(const pg_source *s, pg_lsn *told, int64_t *us, wb_error *err) WB_MUST;
/* start_time.c: the place in what the slot has from which on it is of that time, into *out, if it is later. Once
 * s->pub_list is there, on s->repl, which is another one then. search false: only if it was found before. */
wb_code pg_start_time(pg_source *s, const pg_slot *slot, int64_t us, bool search, pg_lsn *out, wb_error *err) WB_MUST;
wb_code pg_tip(void *ctx, wb_host *h, void *out, size_t cap, size_t *len, wb_error *err);
wb_code pg_status(void *ctx, wb_host *h, wb_pos settled, const wb_facts *facts, wb_error *err);
wb_code pg_drop(void *ctx, wb_host *h, void (*say)(void *arg, const char *line), void *arg, wb_error *err);
wb_code pg_suggest(void *ctx, wb_host *h, void (*put)(void *arg, const char *text), void *arg, wb_error *err);

wb_code pg_types(void *ctx, wb_host *h, void (*each)(void *arg, const wb_table *t), void *arg, wb_error *err);

extern const wb_source wb_source_postgres;
#endif

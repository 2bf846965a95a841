/* copy.h: the copy of tables (snapshot) of any SQL database: what of it is not the database's. A source gives a point
 * of its stream, connections that read in a snapshot of that point (workers), and functions over them; here chunks are
 * gathered into turns, rows into batches, and the ledger is kept in the state. All of it: source thread.
 *   copy_state.c   the ledger in the state: read and judged at open, noted a turn, forgotten at the end
 *   copy_turn.c    turns and rounds: when one begins and ends, and for whom
 *   copy_chunk.c   chunks to connections, rows into batches
 *   copy_mark.c    changes that the stream brings of tables whose copy goes on
 *   copy_ask.c     wishes of the user: a table more, a table again
 *   copy_table.c   what of a table is copied */
#ifndef WB_SQL_COPY_H
#define WB_SQL_COPY_H
#include "ledger.h"
#include "walbrook/plugin.h"

enum { SQL_WORKERS_MAX = 32 };

typedef enum sql_copy_phase {
    SQL_COPY_OFF,    /* nothing to copy, or not yet: the stream flows                       */
    SQL_COPY_MAKING, /* the server makes a snapshot for us; the stream flows, or rests      */
    SQL_COPY_REACH,  /* it is made, and held open; the stream flows up to its point         */
    SQL_COPY_TURNS   /* chunks are read; the stream's connection is only kept alive         */
} sql_copy_phase;

/* How the rows of one table are read; made for each session. Memory: sql_copy.arena. */
typedef struct sql_copy_table {
    const wb_table *table;  /* what travels: one reference                                  */
    const wb_table *narrow; /* what is read, when it is less (snapshot_columns); else NULL  */
    uint16_t *map;          /* place in `table` of each column of `narrow`                  */
    const char *select;     /* the statement up to the condition                            */
    const char *where;      /* row filter, snapshot_where; NULL: none                       */
    const char *name;       /* of the table, as SQL writes it                               */
    wb_str *key;            /* names of the key's columns, in order                         */
    size_t nkey;
    wb_str index;  /* that has them, where the source's SQL names it */
    bool begun;    /* its first row was handed over */
    bool plain;    /* no snapshot covers it: it is read while it is locked */
    size_t reader; /* the connection that reads it, + 1; 0: any               */
} sql_copy_table;

typedef struct sql_worker { /* one connection */
    void *own;              /* the source's                                                               */
    sql_job *job;           /* NULL: idle                                                                 */
    size_t chunk;
    bool early;     /* it is begun for the next turn: not read yet                                  */
    bool ended;     /* all is read                                                                  */
    bool dry;       /* nothing was there; until poll() says otherwise                               */
    uint64_t begun; /* the number of its chunk, in the order in which chunks were begun */
    char *row;      /* the last one read: what is said of it depends on whether another follows     */
    char *next;     /* which is this one                                                            */
    size_t len, next_len;
} sql_worker;

/* The database's part. `s`: the source. */
typedef struct sql_copy_ops {
    /* A piece of a turn begins: log, database. And the position at the copy's point, with the turn's number. */
    wb_code (*piece)(void *s, wb_batch *b, wb_txn *t, wb_error *err);
    wb_code (*position)(void *s, uint64_t seq, wb_batch *b, wb_pos *out, wb_error *err);
    uint64_t (*seq)(wb_pos pos); /* the number in one; 0: none */
    /* One chunk on a connection. read: the next row into w->next, NULL when there is none: *dry, or w->ended. */
    wb_code (*start)(void *s, sql_worker *w, sql_job *j, size_t chunk, wb_error *err);
    wb_code (*read)(void *s, sql_worker *w, bool *dry, wb_error *err);
    void (*release)(sql_worker *w, char *row);
    int (*fd)(const sql_worker *w);
    /* Appends a row as a change of t. `room`: bytes that it may take in a batch; 0: little. */
    wb_code (*row)(void *s, const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err);
    size_t (*room)(const wb_table *t, size_t len);
    wb_code (*alive)(void *s, wb_error *err); /* often, while turns are read; may be NULL */
    bool (*stopped)(void *s);
    /* May it be read now, on this connection (NULL: on any)? NULL: all. */
    bool (*ready)(void *s, const sql_job *j, const sql_worker *w);
    /* The rows of a key as a condition's literals, for a chunk of one row; false: it cannot be written. */
    bool (*key)(const wb_change *c, wb_out *out);
    uint64_t (*id)(const wb_table *t); /* what the ledger knows it by */
} sql_copy_ops;

typedef struct sql_copy {
    const sql_copy_ops *ops; /* by the source, with the next two, before all else */
    void *source;
    wb_host *host;
    int64_t turn_ms; /* how long chunks are gathered for one turn */
    sql_copy_phase phase;
    bool only;           /* nothing follows the copy */
    bool loaded, wanted; /* wanted: somebody may lack something                    */
    bool asked, reload;  /* wishes are in the state; reload: HUP, tables may be new */
    sql_ledger ledger;
    bool changed; /* the plan in the state is older than the one here */
    sql_names names;
    wb_arena names_arena;
    uint64_t running; /* targets of this session                                          */
    uint64_t held;    /* of those: they get nothing before their copy begins               */
    uint64_t fresh;   /* these begin from nothing, in a turn of their own                   */
    uint64_t redo;    /* these again, and what the copy before brought is void              */
    wb_arena arena;   /* of sql_copy_table                                                  */
    uint64_t place;   /* the point, as a change tells it                                    */
    int64_t taken_us; /* when the snapshot was taken                                        */
    sql_worker *workers;
    size_t nworkers;
    bool lone; /* this round ends by time, since the stream shall go on */
    int64_t round_until;
    /* the turn */
    bool turn, begun, closing, noted, reset, again;
    uint64_t seq, mask;
    int64_t turn_until;
    uint64_t begins;      /* chunks that were begun */
    int64_t blocked_us;   /* there was no budget then; 0: always */
    size_t bytes, waited; /* waited: so many when it waited for rows last */
    uint64_t ordinal;
    size_t cursor; /* jobs before it have nothing for this turn */
    sql_ref *refs;
    size_t nrefs, cap_refs;
    wb_batch *batch;
    size_t batch_room; /* asked for at take */
    bool in_batch;     /* the turn is the batch's transaction */
    /* of the session */
    bool any_rows;
    uint64_t copied;
    int64_t total, told_us; /* rows, estimated */
    const wb_table *telling;
    /* copy_mark.c */
    uint64_t mark_serial; /* of the table that was looked up last */
    sql_job *mark_job;
} sql_copy;

/* copy_state.c. anew: what is there is forgotten. */
wb_code sql_copy_load(sql_copy *c, const wb_resume *r, bool anew, wb_error *err) WB_MUST;
wb_code sql_copy_save(sql_copy *c, wb_error *err) WB_MUST; /* the plan */
wb_code sql_copy_note(sql_copy *c, wb_error *err) WB_MUST; /* the turn */
wb_code sql_copy_settled(sql_copy *c, wb_pos pos, wb_error *err) WB_MUST;
wb_code sql_copy_nomem(wb_error *err);
/* `snapshot: only`: running targets that have not all of the last such copy. */
wb_code sql_copy_only_lacks(sql_copy *c, const wb_resume *r, uint64_t *lacks, wb_error *err) WB_MUST;
wb_code sql_copy_only_begins(sql_copy *c, wb_error *err) WB_MUST;
wb_code sql_copy_only_over(sql_copy *c, wb_error *err) WB_MUST;

/* copy_turn.c. The stream has put its batch, and is at the point of the snapshot. streams: it goes on afterwards. */
void sql_copy_begin(sql_copy *c, bool streams);
wb_code sql_copy_turns(sql_copy *c, int ms, wb_error *err) WB_MUST; /* WB_END: this round is handed over */
wb_code sql_copy_reset(sql_copy *c, wb_error *err) WB_MUST; /* fresh targets begin, in a turn without rows; WB_AGAIN */
/* Connections are closed; WB_END: only. */
wb_code sql_copy_over(sql_copy *c, wb_error *err) WB_MUST;
void sql_copy_fini(sql_copy *c);
bool sql_copy_reads(const sql_copy *c, const sql_job *j); /* somebody here lacks some of it */
size_t sql_copy_workers_wanted(const sql_copy *c, int64_t most);
/* Rows and jobs are let go; connections are the source's. */
void sql_copy_free_workers(sql_copy *c);

/* copy_chunk.c; for copy_turn.c */
wb_code sql_copy_room(sql_copy *c, size_t need, wb_error *err) WB_MUST; /* WB_AGAIN: no budget */
bool sql_copy_pick(sql_copy *c, const sql_worker *w, uint64_t mask, sql_job **job, size_t *chunk);
wb_code sql_copy_assign(sql_copy *c, wb_error *err) WB_MUST; /* work for those who have none */
bool sql_copy_wants(const sql_copy *c, const sql_worker *w); /* are its rows wanted now? */
wb_code sql_copy_visit(sql_copy *c, bool *dry, wb_error *err) WB_MUST;
void sql_copy_tell(sql_copy *c, const wb_table *t, bool now);

/* copy_mark.c: after each change of the stream, while anything is wanted. In the state before the batch is put. */
wb_code sql_copy_mark(sql_copy *c, wb_change *change, wb_error *err) WB_MUST;

/* copy_ask.c */
typedef struct sql_wishes {
    uint64_t *add, *resync; /* ids of tables */
    size_t nadd, nresync;
    char **keys; /* in the state */
    size_t nkeys;
    wb_arena arena;
} sql_wishes;
wb_code sql_wish(wb_host *h, const char *what, uint64_t table, const char *name, wb_error *err) WB_MUST;
wb_code sql_wish_new(sql_copy *c, const uint64_t *tables, size_t n, wb_error *err) WB_MUST; /* to be added */
wb_code sql_wishes_read(wb_host *h, sql_wishes *out, bool *named, wb_error *err) WB_MUST;   /* named: by a user */
wb_code sql_wishes_forget(wb_host *h, const sql_wishes *w, wb_error *err) WB_MUST;
void sql_wishes_free(sql_wishes *w);
bool sql_wish_is_resync(const char *what);
/* Does `text` mean this table? As the log writes it, "schema.table", where either may hold dots; or as `tables` has it,
 * with both in double quotes; or the table alone if it is of the schema `own`. */
bool sql_wish_means(const char *text, wb_str schema, wb_str name, const char *own);
uint64_t sql_copy_everybody(const sql_copy *c);

/* copy_table.c: the options snapshot_where and snapshot_columns */
const wb_node *sql_copy_option(const wb_node *map, wb_str schema, wb_str name);
bool sql_copy_chosen(const wb_node *columns, wb_str column);
/* Both conditions, in parentheses; NULL: none. */
const char *sql_copy_where(sql_copy *c, const wb_node *map, wb_str schema, wb_str name, const char *filter);
const char *sql_copy_keep(sql_copy *c, wb_out *text); /* in the arena; the writer is let go */
void sql_copy_undescribe(sql_copy *c);
/* What is read is widened to the table that travels. */
wb_code sql_copy_widen(sql_copy *c, const sql_copy_table *ct, wb_change *change, wb_error *err) WB_MUST;
#endif

/* snap.h: the copy of tables (snapshot): what its files share. Included by pg.h.
 *   snap_open.c    the ledger in the state: read and judged at open, noted a turn, forgotten at the end
 *   snap_plan.c    tables into jobs, large ones into chunks
 *   snap_seam.c    a point of the stream that a snapshot is known to contain
 *   snap_work.c    connections that share the snapshot, one COPY a chunk
 *   snap_turn.c    chunks into turns, rows into batches
 *   snap_ask.c     wishes of the user: a table more, a table again */
#ifndef WB_PG_SNAP_H
#define WB_PG_SNAP_H
#include "sources/sql/ledger.h"

enum { PG_WORKERS_MAX = 32 };

typedef enum pg_snap_phase {
    PG_SNAP_OFF,    /* nothing to copy, or not yet: the stream flows                       */
    PG_SNAP_MAKING, /* the server makes a snapshot for us; the stream flows                */
    PG_SNAP_REACH,  /* it is made, and held open; the stream flows up to its point        */
    PG_SNAP_TURNS   /* chunks are read; the stream's connection is only kept alive         */
} pg_snap_phase;

/* How the rows of one table are read; made for each session. */
typedef struct pg_copy_table {
    const wb_table *table;  /* what travels: one reference                                  */
    const wb_table *narrow; /* what is read, when it is less (snapshot_columns); else NULL  */
    uint16_t *map;          /* place in `table` of each column of `narrow`                  */
    const char *select;     /* COPY (SELECT ... up to the condition                         */
    const char *where;      /* row filter of the publication, snapshot_where; NULL: none    */
    const char *name;       /* "schema"."table"                                             */
    wb_str *key;            /* names of the key's columns, in order                         */
    size_t nkey;
    bool begun; /* its first row was handed over */
} pg_copy_table;

typedef struct pg_worker {
    pg_link link;
    sql_job *job; /* NULL: idle          */
    size_t chunk;
    bool early;   /* it is begun for the next turn: not read yet                                */
    bool copying; /* rows come                                                                  */
    bool ended;   /* all is read                                                                */
    bool dry;     /* nothing was there; until poll() says otherwise                             */
    char *row;    /* the last one read: what is said of it depends on whether another follows   */
    char *next;   /* which is this one                                                          */
    int len, next_len;
} pg_worker;

typedef struct pg_blockers { /* transactions that the making of a slot waits for: told now and then */
    struct pg_source *s;
    int64_t next_us;
    bool hinted;
} pg_blockers;

typedef struct pg_snap {
    pg_snap_phase phase;
    bool only, loaded, wanted; /* wanted: somebody may lack something                       */
    bool asked, reload;        /* wishes are in the state; reload: HUP, tables may be new   */
    sql_ledger ledger;
    bool changed; /* the plan in the state is older than the one here */
    sql_names names;
    uint64_t running; /* targets of this session                                          */
    uint64_t held;    /* of those: they get nothing before their copy begins               */
    uint64_t fresh;   /* these begin from nothing, in a turn of their own                   */
    uint64_t redo;    /* these again, and what the copy before brought is void              */
    wb_arena arena;   /* of pg_copy_table                                                  */
    /* the snapshot */
    pg_link maker;
    pg_blockers blockers;
    pg_lsn point, passed, near; /* passed: the stream is known to be here, between transactions; near: where the
                                 * server's log ended at open */
    pg_lsn last;                /* commit of the last transaction that was begun                                */
    int64_t taken_us, making_us, retry_us;
    int64_t pause_us, paused_until; /* while a snapshot is made the stream rests, so that it does not pass the point */
    pg_worker *workers;
    size_t nworkers;
    bool lock_each; /* more tables than the server can lock at once */
    bool lone;      /* this round ends by time, since the stream shall go on */
    int64_t round_until;
    /* the turn */
    bool turn, begun, closing, noted, reset, again;
    uint64_t seq, mask;
    int64_t turn_until;
    size_t bytes;
    uint64_t ordinal;
    size_t cursor; /* jobs before it have nothing for this turn */
    sql_ref *refs;
    size_t nrefs, cap_refs;
    /* of the session */
    bool any_rows;
    uint64_t copied;
    int64_t total, told_us; /* rows, estimated */
    const wb_table *telling;
} pg_snap;

/* Flags of a plan. */
enum { PG_COPY_TRUNCATE = 1, PG_COPY_LONE = 2 };

#endif

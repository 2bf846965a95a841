/* snap.h: the copy of tables (snapshot): what is PostgreSQL's of it; the rest is sources/sql/copy.h. Included by pg.h.
 *   snap_plan.c    tables into jobs, large ones into chunks
 *   snap_seam.c    a point of the stream that a snapshot is known to contain
 *   snap_work.c    connections that share the snapshot, one COPY a chunk
 *   snap_row.c     rows off a connection
 *   snap_ask.c     wishes of the user: a table more, a table again */
#ifndef WB_PG_SNAP_H
#define WB_PG_SNAP_H
#include "sources/sql/copy.h"

typedef struct pg_row { /* one line of COPY's text */
    char *p;
    size_t len, cap;
} pg_row;

typedef struct pg_worker { /* behind a sql_worker */
    pg_link link;
    bool copying;   /* rows come                                      */
    uint64_t rows;  /* of this chunk, so far                          */
    pg_row held[2]; /* the row at hand, and the one that comes next   */
} pg_worker;

typedef struct pg_blockers { /* transactions that the making of a slot waits for: told now and then */
    struct pg_source *s;
    int64_t next_us;
    bool hinted;
} pg_blockers;

typedef struct pg_snap {
    sql_copy copy;
    pg_link maker;
    pg_blockers blockers;
    pg_lsn point, passed, near; /* passed: the stream is known to be here, between transactions; near: where the
                                 * server's log ended at open */
    pg_lsn last;                /* commit of the last transaction that was begun                                */
    int64_t making_us, retry_us;
    int64_t pause_us, paused_until; /* while a snapshot is made the stream rests, so that it does not pass the point */
    pg_worker *links;               /* one each of copy.workers */
    bool lock_each;                 /* more tables than the server can lock at once */
} pg_snap;

/* Flags of a plan. */
enum { PG_COPY_TRUNCATE = 1, PG_COPY_LONE = 2 };

#endif

/* snap.h: the copy of tables (snapshot): what is MySQL's and MariaDB's of it; the rest is sources/sql/copy.h. Included
 * by my.h.
 *   snap_view.c    connections that share one view of the database, and its place in the log
 *   snap_free.c    views of MySQL without any lock
 *   snap_seam.c    rounds: a view is taken while the stream flows, and the stream goes to its place
 *   snap_work.c    one SELECT a chunk, rows into batches
 *   snap_plan.c    tables into jobs, described for a session
 *   snap_split.c   large tables into chunks
 *   snap_ask.c     wishes of the user, and what statements do to a copy */
#ifndef WB_MY_SNAP_H
#define WB_MY_SNAP_H
#include "sources/sql/copy.h"

typedef struct my_row { /* memory of one */
    size_t cap;
    char bytes[];
} my_row;

typedef struct my_worker { /* behind a sql_worker */
    my_link link;
    bool sent; /* the statement, and nothing of its answer is read */
    MYSQL_RES *res;
    my_row *spare[2];
} my_worker;

void my_worker_close(my_worker *w);

typedef struct my_snap {
    sql_copy copy;
    my_worker *links; /* one each of copy.workers                                            */
    size_t nlinks;
    my_link lock; /* it keeps commits out; without locks: ALTER TABLE                    */
    bool locked;
    my_place to;       /* the view's place in the log: the stream goes there first                */
    my_gtid_set *must; /* and must have brought these; NULL: by its place alone                */
    wb_out point;      /* the stream's position there                                             */
    int64_t retry_us, pause_us, paused_until; /* the stream rests, so that it does not pass the next view's place */
    wb_arena shapes_arena; /* of the tables, as they were described last: the first copy begins the history with them */
    my_schema *shapes;
    size_t nshapes;
    bool said_unseen;
    bool stale; /* tables may have gone since the catalog was read */
    bool past;  /* the transaction that comes next is not in the view */
} my_snap;

/* The tables that somebody here lacks. */
typedef struct my_tables {
    my_table **list;
    size_t n;
    bool plain; /* some are of engines without transactions */
} my_tables;

/* Flags of a plan. */
enum { MY_COPY_TRUNCATE = 1, MY_COPY_LONE = 2 };

#endif

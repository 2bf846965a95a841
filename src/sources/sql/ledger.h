/* ledger.h: what of a copy of tables is done, for whom; shared by the sources that read SQL databases. Pure: no I/O, no
 * threads. The source keeps two kinds of entries in the state: the plan (all jobs with their chunks), written when it
 * changes, and a note a turn, written before the turn's end is handed over. A target has a turn when the turn's number
 * is not beyond the one in its position; at every open the notes are judged by that, and settled into the plan. */
#ifndef WB_SQL_LEDGER_H
#define WB_SQL_LEDGER_H
#include "base/arena.h"
#include "base/buf.h"

enum { SQL_MEMBERS = 64 };

typedef enum sql_chunk_kind {
    SQL_CHUNK_RANGE,    /* from `low` on, below `high`; empty: no bound        */
    SQL_CHUNK_TRUNCATE, /* no rows: the target empties the table first         */
    SQL_CHUNK_ROW       /* one key, in `low`: a row that moved while it was not copied */
} sql_chunk_kind;

/* Bounds are tuples: for each key column its length (32 bits) and text; see sql_tuple_put. */
typedef struct sql_chunk {
    wb_str low, high;
    uint64_t done;  /* targets that have it, for sure                           */
    uint64_t given; /* to these it was handed over in this session              */
    uint8_t kind;
    bool taken; /* somebody reads it now                                        */
} sql_chunk;

enum {
    SQL_JOB_KEYED = 1, /* chunks are ranges of keys and outlive their snapshot; else it is copied in one or again */
    SQL_JOB_LONE = 2,  /* between its chunks the stream goes on: a table that was added or is read again           */
    SQL_JOB_PLACES = 4 /* chunks are ranges of places in the table's file: see copy_mark.c                         */
};

typedef struct sql_job { /* the copy of one table */
    uint64_t table;      /* the source's id of it          */
    uint64_t stamp;      /* of this plan of it: notes of an older one do not count */
    uint64_t targets;    /* who is to have it              */
    uint32_t flags;
    wb_str key;   /* what the source says of the key: other words make another plan */
    int64_t rows; /* estimate; -1: unknown                */
    sql_chunk *chunks;
    size_t n, cap;
    /* for the source, not kept */
    uint64_t copied; /* rows handed over in this session    */
    size_t open;     /* chunks that are taken               */
    void *own;
} sql_job;

typedef struct sql_ledger {
    wb_arena arena;
    sql_job **jobs; /* ordered by table */
    size_t n, cap;
    uint64_t seq;   /* of the last turn */
    uint64_t stamp; /* of the last plan */
} sql_ledger;

typedef struct sql_ref { /* one chunk, in a note */
    uint64_t table, stamp;
    uint32_t chunk;
} sql_ref;

/* The pipeline's targets as the source sees them now: names of bits; NULL: no such target. */
typedef struct sql_names {
    const char *of[SQL_MEMBERS];
} sql_names;

void sql_ledger_init(sql_ledger *l);
void sql_ledger_fini(sql_ledger *l);
sql_job *sql_ledger_find(const sql_ledger *l, uint64_t table);
/* A job without chunks, or the one that is there made so (a new stamp). NULL: no memory. */
sql_job *sql_ledger_plan(sql_ledger *l, uint64_t table, wb_str key, uint64_t targets);
void sql_ledger_remove(sql_ledger *l, uint64_t table);
/* The bounds are copied. NULL: no memory. */
sql_chunk *sql_job_add(sql_ledger *l, sql_job *j, sql_chunk_kind kind, wb_str low, wb_str high);
/* Nothing of it is done for these targets; it begins with emptying the table. false: no memory. */
bool sql_job_again(sql_ledger *l, sql_job *j, uint64_t targets);

/* Of `running`, who lacks it. */
static inline uint64_t sql_chunk_lacks(const sql_job *j, const sql_chunk *c, uint64_t running)
{
    return j->targets & running & ~(c->done | c->given);
}
uint64_t sql_job_lacks(const sql_job *j, uint64_t running);
bool sql_ledger_lacks(const sql_ledger *l, uint64_t running);
/* Everybody has everything. */
bool sql_ledger_whole(const sql_ledger *l);

/* The form in the state. Jobs that everybody has are left out. */
void sql_plan_encode(const sql_ledger *l, const sql_names *names, wb_out *out);
bool sql_plan_decode(sql_ledger *l, const sql_names *names, wb_str in); /* false: it is not one, or no memory */

typedef struct sql_note {
    uint64_t seq, targets;
    const sql_ref *refs;
    size_t n;
} sql_note;
void sql_note_encode(const sql_note *note, const sql_names *names, wb_out *out);
bool sql_note_decode(sql_note *note, const sql_names *names, wb_str in, wb_arena *a);
/* Those in `has` have the turn. */
void sql_note_settle(sql_ledger *l, const sql_note *note, uint64_t has);

void sql_tuple_put(wb_out *out, wb_str value);
/* The next value of a tuple; false: the end. */
bool sql_tuple_next(wb_rd *r, wb_str *value);

/* How a database writes names and texts. */
typedef struct sql_dialect {
    void (*ident)(wb_out *out, wb_str name);
    void (*literal)(wb_out *out, wb_str text);
    bool spelled; /* a comparison of rows does not use an index there: a > 1 OR (a = 1 AND b >= 2) does */
} sql_dialect;
/* The chunk as a condition on its key columns, compared by the database in its own order; nothing for all rows. */
void sql_put_range(wb_out *out, const sql_dialect *d, const wb_str *columns, size_t n, const sql_chunk *c);
#endif

/* inside.h: the decoder from the inside, shared by feed.c (events to groups), group.c (what is held), replay.c (groups
 * to changes), tablemap.c and plan.c (tables), rows.c and value.c (rows), payload.c (compression). One thread. Nobody
 * else includes it. */
#ifndef WB_MY_INSIDE_H
#define WB_MY_INSIDE_H
#include "charset.h"
#include "event.h"
#include "temporal.h"
#include "types.h"

/* ---------------------------------------------------------------- how a table's rows are read */

typedef enum my_op {
    MY_OP_I8,
    MY_OP_I16,
    MY_OP_I24,
    MY_OP_I32,
    MY_OP_I64,
    MY_OP_U8,
    MY_OP_U16,
    MY_OP_U24,
    MY_OP_U32,
    MY_OP_U64,
    MY_OP_FLOAT,
    MY_OP_DOUBLE,
    MY_OP_DECIMAL, /* a: precision, b: scale, n: bytes */
    MY_OP_YEAR,
    MY_OP_DATE,
    MY_OP_TIME2, /* a: fsp, n: bytes; so the next two */
    MY_OP_DATETIME2,
    MY_OP_TIMESTAMP2,
    MY_OP_TIME_OLD,
    MY_OP_DATETIME_OLD,
    MY_OP_TIMESTAMP_OLD,
    MY_OP_UTF8,  /* a: bytes of the length; so all below with a length */
    MY_OP_TEXT,  /* charset                                        */
    MY_OP_BYTES, /* n > 0: padded to n with zeros (BINARY)           */
    MY_OP_ENUM,  /* n: bytes */
    MY_OP_SET,   /* n: bytes */
    MY_OP_BIT,   /* a: bits, n: bytes */
    MY_OP_JSON,
    MY_OP_VECTOR,
    MY_OP_UUID,
    MY_OP_INET4,
    MY_OP_INET6,
    MY_OP_COMPRESSED /* MariaDB's compressed columns; charset */
} my_op;

typedef struct my_plan_col {
    uint8_t op, kind, a, b;
    uint32_t n;
    const my_charset *charset;
    const wb_str *labels; /* ENUM, SET: UTF-8 */
    uint32_t nlabels;
} my_plan_col;

/* One version of one table. In one block but for `table`. */
typedef struct my_plan my_plan;
struct my_plan {
    my_plan *next;         /* all of the decoder's */
    const wb_table *table; /* one reference; NULL: rows are not wanted */
    wb_str schema, name;
    my_engine engine;
    bool stale; /* a DDL came: not found any more, but an id may still lead here */
    uint32_t ncols;
    uint32_t njson;
    size_t body_len;
    const uint8_t *body; /* the event behind the table's id and flags */
    my_plan_col *cols;
};

typedef struct my_id {
    uint64_t id;
    my_plan *plan; /* NULL: free */
} my_id;

/* ---------------------------------------------------------------- a transaction that is held */

typedef struct my_range {
    uint64_t from, to;
} my_range;
typedef struct my_savepoint {
    char *name;
    uint64_t at;
} my_savepoint;

/* Bytes of events, one after the other: somebody's (base), ours (mem), or in the spool. */
typedef struct my_held {
    const uint8_t *base; /* stable input, or one event that is lent; NULL: ours */
    uint8_t *mem;
    size_t len, cap; /* of base or mem */
    uint64_t spool_at, spool_len;
    my_range *ranges; /* rolled back to savepoints */
    size_t nranges, cap_ranges;
    my_savepoint *savepoints;
    size_t nsavepoints, cap_savepoints;
} my_held;

/* What is known of a transaction beside its bytes. */
typedef struct my_group {
    my_gtid gtid;
    uint64_t start, end;
    uint32_t server_id, thread_id, timestamp;
    int64_t commit_us; /* said by its GTID; 0: not */
    uint32_t us;       /* fraction of its last statement's time */
    uint64_t xid;
    bool standalone, alter_start; /* alter_start: nothing has changed yet, or ever (START and ROLLBACK ALTER) */
    bool rolled_back, has_rows;
    char xa[3 * 128 + 32];
} my_group;

typedef struct my_prepared {
    my_group group;
    my_held held;
    char log[512];
} my_prepared;

typedef enum my_state {
    MY_IDLE,   /* between transactions                                       */
    MY_OPEN,   /* its GTID was there, its first event not                     */
    MY_INSIDE, /* events are being held                                      */
    MY_DELIVER /* complete: next() is at work                                */
} my_state;

/* ---------------------------------------------------------------- rows that are being read */

typedef struct my_cursor {
    const my_plan *plan;                    /* NULL: no rows event is open */
    uint8_t op;                             /* wb_op */
    bool partial;                           /* JSON diffs */
    const uint8_t *present, *present_after; /* bitmaps */
    bool all, all_after;                    /* every column is present */
    const uint8_t *p, *end;
    uint64_t place, start; /* where the event ends and begins in the file */
    uint64_t first;        /* ordinal of its first row */
    const wb_event *event; /* in the present batch; NULL: not there yet */
} my_cursor;

/* An event that comes in parts. */
typedef struct my_part {
    bool open;
    bool skip; /* nothing of it is held */
    my_header h;
    uint64_t start, end, got;
    uint32_t sum, tail; /* of what came; what its last 4 bytes say */
} my_part;

/* A zstd stream of events. */
typedef struct my_payload {
    bool open;
    bool plain;                 /* not compressed */
    wb_rd in;                   /* the next piece of what is held, */
    uint64_t at_held, end_held; /* and where the rest lies */
    uint8_t *buf;               /* decompressed and not yet read: from at to len */
    size_t at, len, cap;
    void *zstd; /* ZSTD_DStream */
    bool ended;
} my_payload;

/* Room in the batch that values are written to. */
typedef struct my_sink {
    wb_batch *b;
    char *cur, *end;
} my_sink;

struct my_decoder {
    my_hooks hooks;
    my_options o;
    bool failed;
    uint8_t type; /* of the present event, for errors */
    /* where we are */
    char log[512];
    uint64_t offset;
    my_format format;
    char server[52];
    bool have_format, started;
    my_state state;
    my_group group;
    my_held held;
    my_prepared *prepared; /* XA */
    size_t nprepared, cap_prepared;
    my_prepared *source; /* what is being delivered when it is not `held` */
    uint64_t spool_top;
    uint64_t skipped;
    /* tables */
    my_plan *plans;
    my_id *ids;
    size_t nids, cap_ids;
    my_id last;
    my_map_col *map_cols; /* scratch */
    uint16_t *map_key;
    size_t cap_map_cols;
    /* delivery */
    int phase;
    uint64_t at;     /* in the held bytes */
    uint64_t place;  /* file offset behind the present event */
    uint64_t begins; /* and before it */
    uint64_t rows, ordinal;
    my_cursor rows_at;
    my_payload payload;
    my_part part;
    uint8_t *window; /* of the spool */
    size_t window_cap;
    uint64_t window_at, window_len;
    uint8_t *inflated; /* compressed rows, fragments put together */
    size_t inflated_cap;
    uint8_t *column; /* one compressed column: the row it stands in may be in `inflated` */
    size_t column_cap;
    size_t fragment_len; /* of PARTIAL_ROW_DATA so far */
    uint32_t fragments;
    size_t room; /* of the present batch */
    size_t need;
    my_sink sink;
    /* scratch */
    my_conv conv;
    my_day day;
    wb_out text;         /* JSON, charset conversion of long values */
    wb_out sql;          /* a statement in UTF-8 */
    wb_out query;        /* the statement that makes rows; empty: not known */
    bool query_over;     /* the rows that it made were all there */
    wb_str query_put;    /* its copy in the present batch; ptr NULL: none yet */
    wb_arena arena;      /* of one statement, or one row's JSON diffs */
    wb_str *before_json; /* by column: raw JSON of the before image; partial updates */
    size_t cap_before;
    my_gtid_set *set;
};

/* ---------------------------------------------------------------- group.c: held bytes */

void my_held_clear(my_decoder *d, my_held *h);
wb_code my_held_add(my_decoder *d, my_held *h, const uint8_t *p, size_t n, wb_error *err) WB_MUST;
/* All of it is there: what goes to the spool goes there. away: it will wait long, so all that is not small goes. */
wb_code my_held_close(my_decoder *d, my_held *h, bool away, wb_error *err) WB_MUST;
uint64_t my_held_size(const my_held *h);
/* n bytes at `at`, contiguous; until the next call. */
wb_code my_held_read(my_decoder *d, const my_held *h, uint64_t at, size_t n, const uint8_t **out,
                     wb_error *err) WB_MUST;
bool my_held_savepoint(my_held *h, wb_str name) WB_MUST; /* false: no memory */
int my_held_rollback_to(my_held *h, wb_str name);        /* 1: done, 0: no such savepoint, -1: no memory */
void my_held_release(my_held *h, wb_str name);
bool my_held_discarded(const my_held *h, uint64_t at);
/* What the present transaction is delivered from. */
static inline const my_held *my_held_content(const my_decoder *d) { return d->source ? &d->source->held : &d->held; }
my_prepared *my_prepared_find(my_decoder *d, const char *xa);
my_prepared *my_prepared_add(my_decoder *d); /* takes the present group and what it holds; NULL: no memory */
void my_prepared_drop(my_decoder *d, my_prepared *p);
void my_prepared_clear(my_decoder *d);
void my_spool_trim(my_decoder *d); /* what was delivered needs no room there any more */

/* ---------------------------------------------------------------- tablemap.c, plan.c */

/* The body of a TABLE_MAP: finds or makes its plan and remembers the id. WB_AGAIN: the hook asks to wait. */
wb_code my_table_map(my_decoder *d, const uint8_t *p, size_t n, wb_error *err) WB_MUST;
bool my_map_parse(my_decoder *d, wb_rd *r, my_map *out); /* behind the flags */
wb_code my_plan_make(my_decoder *d, const my_map *map, const uint8_t *body, size_t n, my_plan **out,
                     wb_error *err) WB_MUST;
void my_plan_free(my_plan *p);
my_plan *my_find_id(my_decoder *d, uint64_t id);
void my_forget_ids(my_decoder *d);
void my_forget_plans(my_decoder *d, wb_str schema, wb_str name); /* empty: all */

/* ---------------------------------------------------------------- rows.c, value.c */

/* Post headers of 6 bytes are those of the oldest servers, whose numbers had 4 bytes. */
static inline uint64_t my_rd_table_id(const my_decoder *d, uint8_t type, wb_rd *r)
{
    return d->format.post_header[type] == 6 ? my_rd_u32(r) : my_rd_u48(r);
}
/* The body of a rows event: opens the cursor. */
wb_code my_rows_open(my_decoder *d, uint8_t type, const uint8_t *p, size_t n, wb_error *err) WB_MUST;
/* One that is too large for the window, held at `at`: is it worth to be read? pass: nobody wants it. */
wb_code my_rows_fit(my_decoder *d, const my_header *h, uint64_t at, bool *pass, wb_error *err) WB_MUST;
/* Rows of the cursor until its end or until the batch is full. WB_AGAIN: d->need. */
wb_code my_rows_read(my_decoder *d, wb_batch *b, wb_error *err) WB_MUST;
/* One value at *p, which moves past it. An error says column and place. */
wb_code my_value_read(my_decoder *d, const my_plan *plan, uint32_t col, const uint8_t **p, const uint8_t *end,
                      wb_value *out, wb_error *err) WB_MUST;
wb_code my_json_diffed(my_decoder *d, uint32_t col, const uint8_t **p, const uint8_t *end, const wb_value *before,
                       wb_value *out, wb_error *err) WB_MUST;
char *my_sink_slow(my_sink *s, size_t n); /* NULL: no memory */
static inline char *my_sink_room(my_sink *s, size_t n)
{
    return WB_LIKELY(n <= (size_t)(s->end - s->cur)) ? s->cur : my_sink_slow(s, n);
}
/* What was written to the room at q ends at `end`; the rest of the room is given back. */
static inline void my_sink_done(my_sink *s, const char *q, char *end)
{
    if (WB_LIKELY(q == s->cur)) s->cur = end;
}
wb_code my_no_memory(const my_decoder *d, wb_error *err);

/* ---------------------------------------------------------------- checksum.c */

bool my_checksum_fits(const my_decoder *d, const uint8_t *event, size_t n);
bool my_format_checksum_fits(const uint8_t *event, size_t n);
wb_code my_bad_checksum(my_decoder *d, uint8_t type, wb_error *err);
void my_part_sum(my_part *t, const uint8_t *p, size_t n); /* before they count as `got` */

/* ---------------------------------------------------------------- payload.c */

/* Its body is what is held at `at`, n bytes. It is read piece by piece. */
wb_code my_payload_open(my_decoder *d, uint64_t at, uint64_t n, wb_error *err) WB_MUST;
/* The next event inside, whole; *out NULL: there is no more. Until the next call. */
wb_code my_payload_next(my_decoder *d, const uint8_t **out, my_header *h, wb_error *err) WB_MUST;
void my_payload_close(my_decoder *d);
void my_payload_fini(my_decoder *d);
/* MariaDB: zlib at r to d->inflated, behind `keep` bytes that are copied before it. */
wb_code my_inflate(my_decoder *d, wb_rd r, const uint8_t *keep, size_t nkeep, size_t *n, wb_error *err) WB_MUST;
/* Raw deflate of known size into out. */
bool my_inflate_raw(const uint8_t *p, size_t n, char *out, size_t size, bool wrapped);

/* ---------------------------------------------------------------- shared */

/* "WRITE_ROWS event at binlog.000002:1234" is where; the message continues after it. */
wb_code my_bad_event(const my_decoder *d, uint8_t type, wb_error *err, const char *fmt, ...) WB_PRINTF(4, 5);
/* Statement of a QUERY event, in UTF-8, classified; into d->sql and d->arena. */
wb_code my_read_query(my_decoder *d, const my_header *h, const uint8_t *body, size_t n, my_query *q, my_statement *st,
                      wb_error *err) WB_MUST;
uint64_t my_lift(uint64_t before, uint32_t log_pos, uint32_t length); /* file offset from the 32 bits of an event */
wb_code my_replay(my_decoder *d, wb_batch *b, my_event *ev, wb_error *err) WB_MUST;
#endif

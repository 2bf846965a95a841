/* wire.h: pgoutput messages to changes. Pure: bytes in, changes out, no I/O; fuzzed.
 * Format: PostgreSQL documentation, "Logical Replication Message Formats", protocol versions 1 to 4. */
#ifndef WB_PG_WIRE_H
#define WB_PG_WIRE_H
#include "base/arena.h"
#include "base/buf.h"

typedef uint64_t pg_lsn;

/* ---- outer framing: the payload of one CopyData from the walsender */
typedef struct pg_frame {
    char kind;           /* 'w' XLogData, 'k' keepalive                      */
    pg_lsn start, end;   /* 'w': walStart, walEnd; 'k': end only             */
    int64_t sent_us;     /* µs since 1970                                    */
    bool reply;          /* 'k': answer at once                              */
    const uint8_t *body; /* 'w': one pgoutput message                        */
    size_t len;
} pg_frame;
wb_code pg_frame_parse(const void *p, size_t n, pg_frame *f, wb_error *err) WB_MUST;
enum { PG_STATUS_LEN = 34 };
/* 'r' Standby status update. */
void pg_status_make(uint8_t out[PG_STATUS_LEN], pg_lsn write, pg_lsn flush, int64_t now_us, bool reply);

/* ---- what a Relation message says */
typedef struct pg_rel_col {
    wb_str name;
    uint32_t type_oid;
    int32_t type_mod;
    bool identity; /* part of the replica identity */
} pg_rel_col;
typedef struct pg_relation {
    uint32_t oid;
    wb_str schema, name; /* schema "" on the wire is "pg_catalog" here */
    char identity;       /* d n f i */
    uint32_t ncols;
    const pg_rel_col *cols; /* views into the message and the decoder's scratch */
} pg_relation;

/* ---- control messages, as an event. Row messages append to the batch and give PG_EV_ROWS. */
typedef enum pg_ev_kind {
    PG_EV_ROWS,         /* I U D T: `rows` changes were appended                       */
    PG_EV_BEGIN,        /* commit_lsn (final_lsn), commit_us, xid                      */
    PG_EV_COMMIT,       /* commit_lsn, end_lsn, commit_us                              */
    PG_EV_RELATION,     /* taken into the cache                                        */
    PG_EV_TYPE,         /* type_oid, name                                              */
    PG_EV_ORIGIN,       /* name                                                        */
    PG_EV_MESSAGE,      /* M: transactional, message_lsn, prefix, content; nothing appended */
    PG_EV_STREAM_START, /* xid, first_segment; from now on in_stream                   */
    PG_EV_STREAM_STOP,
    PG_EV_STREAM_COMMIT, /* xid, commit_lsn, end_lsn, commit_us                         */
    PG_EV_STREAM_ABORT,  /* xid, subxid                                                 */
    PG_EV_TWO_PHASE      /* b P K r p: parsed; `type` says which; the source refuses    */
} pg_ev_kind;
/* With PG_EV_ROWS only kind, type, xid (in a stream) and rows are set; else what the kind does not have is 0. */
typedef struct pg_event {
    pg_ev_kind kind;
    char type; /* the message's type byte */
    uint32_t xid, subxid;
    pg_lsn commit_lsn, end_lsn, message_lsn;
    int64_t commit_us;
    bool first_segment, transactional;
    uint32_t rows;
    uint32_t type_oid;
    wb_str name, schema; /* origin, type */
    wb_str prefix, content;
} pg_event;

/* The decoder: a relation cache and the little state that the protocol has. */
typedef struct pg_decoder pg_decoder;
/* A new Relation version: the hook makes the table (one reference, given to the cache), with the catalog's help
 * or from `r` alone (pg_table_of_relation). Called for every Relation message; when r is equal to what the cache
 * holds for its oid the decoder does not call. */
typedef wb_table *(*pg_relation_fn)(void *arg, const pg_relation *r, wb_error *err);
pg_decoder *pg_decoder_new(pg_relation_fn fn, void *arg, size_t max_row);
void pg_decoder_free(pg_decoder *d);
void pg_decoder_forget(pg_decoder *d);             /* a new session: empty cache, not in a stream, ordinal 0 */
void pg_decoder_in_stream(pg_decoder *d, bool in); /* messages carry an xid; S, E and replay_* set it too */
/* Streamed transactions and the relation cache. A Relation message inside a stream belongs to that transaction: it
 * becomes known when the transaction commits, and then only if no newer version of the table arrived outside meanwhile.
 * So every message has a number of arrival: pg_decode counts those it gets, a message that is spooled instead takes
 * one: spooling:        rec.seq = pg_decoder_arrival(d) Stream Commit:   pg_decode(the message);
 * pg_decoder_replay_begin(d); each record of the spool: pg_decoder_seq(d, rec.seq); pg_decode(d, rec...);
 *                      pg_decoder_replay_end(d)
 * During a replay the versions that it brings lie over the cache; at its end each of them goes into the cache unless
 * the one there arrived later. A replay that failed ends with pg_decoder_forget, as any failed session does. */
uint64_t pg_decoder_arrival(pg_decoder *d);
void pg_decoder_replay_begin(pg_decoder *d);
void pg_decoder_seq(pg_decoder *d, uint64_t seq);
wb_code pg_decoder_replay_end(pg_decoder *d, wb_error *err) WB_MUST; /* WB_E_NOMEM only */
void pg_decoder_ordinal(pg_decoder *d, uint64_t next); /* of the next change; the source sets 0 at a begin */
uint64_t pg_decoder_next_ordinal(const pg_decoder *d);
const wb_table *pg_decoder_table(const pg_decoder *d, uint32_t oid); /* borrowed; NULL unknown */

/* Decode one message. Row messages append changes (bytes copied into the batch) whose txn is the batch's last one;
 * `place` becomes change.place. b may be NULL when the message cannot hold rows (see pg_wire_peek).
 * Fails with WB_E_PROTOCOL (truncated, trailing bytes, unknown type, unknown relation), WB_E_SCHEMA (a row with another
 * number of columns than its relation), WB_E_LIMIT (larger than max_row), WB_E_NOMEM, or what the hook said. A message
 * that failed appended nothing. A row takes at most n + 64 kB + 32 bytes a column of the batch. */
wb_code pg_decode(pg_decoder *d, const void *p, size_t n, uint64_t place, wb_batch *b, pg_event *ev,
                  wb_error *err) WB_MUST;

/* Type byte, whether it holds rows, and with in_stream its (sub)transaction id; for spooling raw messages. */
typedef struct pg_peek {
    char type;
    bool rows;
    uint32_t xid; /* 0 outside a stream */
} pg_peek;
wb_code pg_wire_peek(const void *p, size_t n, bool in_stream, pg_peek *out, wb_error *err) WB_MUST;

/* A table from the message alone: key = identity columns (none for FULL), ids 0, types by types.h. */
wb_table *pg_table_of_relation(const pg_relation *r);

/* ---- COPY ... TO STDOUT (text format): one row, of table->ncols columns, appended as WB_READ. n without the final
 * newline or with it. */
wb_code pg_copy_row(const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err) WB_MUST;
#endif

/* decoder.h: events of a binlog (version 4) to changes. Pure: bytes in, changes out, no I/O; fuzzed. One thread.
 *
 *     my_decoder_start(d, "binlog.000042", 4)
 *     every event, from a file or a dump packet without its status byte:
 *         my_decoder_feed(d, p, n, &ev)          ev says what it was; MY_EV_GROUP: a transaction is complete, then
 *         my_decoder_next(d, batch, room, &ev)   until MY_EV_COMMIT: MY_EV_BEGIN, MY_EV_ROWS and MY_EV_DDL,
 * MY_EV_COMMIT
 *
 * A transaction is held, as bytes, until its end is there: only its end says whether it was rolled back, wholly or to a
 * savepoint. Beyond `hold` bytes it goes through the spool hooks. Compressed transactions are one event and never hold
 * what was rolled back: they are decompressed while they are read, and held as they are.
 * XA: a prepared transaction stays held until its XA COMMIT or XA ROLLBACK. */
#ifndef WB_MY_DECODER_H
#define WB_MY_DECODER_H
#include "gtid.h"
#include "schema.h"
#include "statement.h"

/* ---- framing, for whoever cuts a file into events */
enum { MY_HEADER_LEN = 19, MY_MAGIC_LEN = 4, MY_FIRST_EVENT = 4 };
typedef struct my_header {
    uint32_t timestamp;
    uint32_t server_id;
    uint32_t length; /* of the whole event, header and checksum included */
    uint32_t log_pos;
    uint16_t flags;
    uint8_t type;
} my_header;
/* p holds at least MY_HEADER_LEN bytes. WB_E_PROTOCOL: no event has such a header. */
wb_code my_header_read(const void *p, size_t n, my_header *h, wb_error *err) WB_MUST;
/* The first 4 bytes of a file. Encrypted files are refused by name. */
wb_code my_magic_check(const void *p, size_t n, wb_error *err) WB_MUST;
const char *my_event_name(uint8_t type, my_flavor flavor); /* "WRITE_ROWS"; NULL: unknown */

/* ---- what an event, or a step through a transaction, was */
typedef enum my_ev_kind {
    MY_EV_NOTHING = 0, /* taken or skipped: part of a transaction, or of no interest                             */
    MY_EV_FORMAT,      /* `server`, flavor, checksums                                                          */
    MY_EV_ROTATE,      /* log, end: events that follow are of this file at this offset; `artificial`           */
    MY_EV_STOP,        /* the server was shut down properly                                                    */
    MY_EV_HEARTBEAT,   /* log, end: the server is alive and has nothing after this                             */
    MY_EV_PREVIOUS,    /* `set`: what was executed before this file (PREVIOUS_GTIDS, GTID_LIST)                 */
    MY_EV_GROUP,       /* a transaction, or a statement of its own, is complete: call my_decoder_next           */
    MY_EV_PREPARED,    /* an XA transaction is prepared and held; gtid, start, end: a transaction by itself for
                        * positions, without rows                                                              */
    /* my_decoder_next only */
    MY_EV_BEGIN,  /* gtid, commit_us, xid, start, end, last                                                     */
    MY_EV_ROWS,   /* `rows` changes were appended; put the batch when it is full                               */
    MY_EV_DDL,    /* statement, sql, schema; in its place. Kind MY_ST_OTHER: not understood (`unsure`)          */
    MY_EV_COMMIT, /* as MY_EV_BEGIN; `rows`: of all of it. 0: only the position moves                          */
} my_ev_kind;

typedef struct my_event {
    my_ev_kind kind;
    uint8_t type;       /* event type byte                                                                     */
    bool artificial;    /* ROTATE: made for us, not in the file                                                */
    uint32_t timestamp; /* s since 1970; 0: artificial                                                         */
    uint32_t server_id;
    wb_str log;          /* file name; lives until the next ROTATE                                             */
    uint64_t start, end; /* in that file: where the event (the transaction: its GTID) begins, where it ends     */
    /* BEGIN, COMMIT, PREPARED, DDL */
    my_gtid gtid;
    int64_t
        commit_us; /* µs where the server says so, else whole seconds. With the NOTHING of a GTID event too, if said */
    bool whole_second;  /* that: the fraction is not known                                                    */
    uint64_t xid;       /* InnoDB's number; 0: none or not known yet (compressed)                             */
    uint32_t thread_id; /* of the session; 0: not known                                                       */
    uint64_t rows;
    wb_str xa; /* XA transaction: its name as SQL writes it; else empty                              */
    /* DDL */
    my_statement statement;
    wb_str sql, schema; /* UTF-8; until the next call                                                         */
    /* FORMAT */
    wb_str server; /* version text */
    my_flavor flavor;
    bool checksums;
    /* PREVIOUS */
    const my_gtid_set *set;
    /* with WB_AGAIN of my_decoder_next: bytes that the next row may need; 0: the hook asked to wait */
    size_t need;
} my_event;

/* A transaction's time is not before `us`, as far as is known: where the log has whole seconds, any within them. */
static inline bool my_event_since(const my_event *ev, int64_t us)
{
    return ev->commit_us + (ev->whole_second ? 999999 : 0) >= us;
}

/* ---- hooks */
typedef struct my_hooks {
    void *arg;
    /* Are rows of this table wanted? NULL: all. Asked once a table map version. Rows of others are not decoded and have
     * no ordinal. Also decides whether a change in statement format stops the stream. */
    bool (*wanted)(void *arg, wb_str schema, wb_str table);
    /* A table map that was not seen since the last DDL on its table: what is known of the table (filled with zeros
     * before; what it points to must live until the next call). NULL, or ncols left 0: the map alone must do.
     * WB_AGAIN: not now; my_decoder_next returns WB_AGAIN and asks again when called again. */
    wb_code (*table)(void *arg, const my_map *map, my_schema *out, wb_error *err);
    /* Bytes of held transactions beyond `hold`: write n bytes at offset `at` (which never leaves a hole), read them
     * back. NULL: a transaction larger than `hold` is refused. */
    wb_code (*spool_write)(void *arg, uint64_t at, const void *p, size_t n, wb_error *err);
    wb_code (*spool_read)(void *arg, uint64_t at, void *p, size_t n, wb_error *err);
    void (*spool_empty)(void *arg); /* nothing is held there any more: the file may be cut; may be NULL */
    /* Of a large event everything before p was read once, and will be again at its delivery; may be NULL. */
    void (*passed)(void *arg, const void *p);
    /* Something that is no error and that a person should hear of once; may be NULL. */
    void (*notice)(void *arg, const char *text);
} my_hooks;

typedef enum my_unknown { MY_UNKNOWN_STOP = 0, MY_UNKNOWN_SKIP } my_unknown;

typedef struct my_options {
    size_t max_row;        /* bytes of one row image                                                             */
    size_t hold;           /* bytes of held transactions in memory; 0: 4 MB                                      */
    size_t window;         /* what is read back from the spool at once, if not one event is larger; 0: 256 KB       */
    bool stable;           /* bytes given to feed stay where they are until the transaction was delivered (a mapped
                            * file): not copied, not spooled                                                    */
    bool kept;             /* those of one event do so until the next one is given, or the transaction that it makes
                            * alone (a compressed one) was delivered                                             */
    bool query;            /* rows say the statement that made them, where the log has it                        */
    bool no_verify;        /* do not check checksums                                                            */
    bool partial_start;    /* the first event may be in the middle of a transaction, whose rest is skipped       */
    bool lower_names;      /* the server writes names of tables in small letters, whatever statements say        */
    bool statements_pass;  /* changes in statement format do not stop: nobody asks for rows                      */
    my_unknown unknown_xa; /* XA COMMIT of what was prepared before the start: stop, or go on without its rows */
    my_unknown unknown_engine; /* ROLLBACK of rows of a table whose engine is not known: stop, or leave them out   */
    my_policy policy;
} my_options;

typedef struct my_decoder my_decoder;
my_decoder *my_decoder_new(const my_hooks *hooks, const my_options *options); /* both copied */
void my_decoder_free(my_decoder *d);
/* A new connection or file: everything that belongs to the old one is forgotten, held XA transactions too, when
 * `keep_xa` is false. The next event is at `offset` of `log` (until a ROTATE says otherwise). */
void my_decoder_start(my_decoder *d, wb_str log, uint64_t offset, bool keep_xa);
/* A table changed without a DDL in the log that says so: ask the hook again. Empty strings: all tables. */
void my_decoder_forget_table(my_decoder *d, wb_str schema, wb_str table);

/* One whole event. Not while a group is being delivered. A failure is for good until the next start. */
wb_code my_decoder_feed(my_decoder *d, const void *p, size_t n, my_event *ev, wb_error *err) WB_MUST;
/* The same for an event that is too large to lie in memory in one piece (my_type_in_parts of event.h): its next bytes,
 * of which the first ones hold its header; it is the event's end that says what it was. `kept` does not concern them.
 */
wb_code my_decoder_part(my_decoder *d, const void *p, size_t n, bool last, my_event *ev, wb_error *err) WB_MUST;
/* One step through the group that feed announced. Rows become changes of the batch's last transaction, which the source
 * made at MY_EV_BEGIN and makes again in every further batch; ordinals are set. `room`: what the batch was taken for
 * (0: an ordinary one). WB_AGAIN: nothing was appended; ev->need > 0: the next row wants a batch with that room, call
 * again with it; need 0: the table hook said so. */
wb_code my_decoder_next(my_decoder *d, wb_batch *b, size_t room, my_event *ev, wb_error *err) WB_MUST;
/* Instead of that: nothing of the group is read. */
void my_decoder_pass(my_decoder *d);
bool my_decoder_in_group(const my_decoder *d); /* between its first event and its last */

/* XA transactions that are prepared and held: their number, and (i < number) the name and where it begins. Nothing from
 * there on can be forgotten at the server. */
size_t my_decoder_prepared(const my_decoder *d);
bool my_decoder_prepared_at(const my_decoder *d, size_t i, wb_str *xa, wb_str *log, uint64_t *start, my_gtid *gtid);

/* The ordinal of a change that the source itself makes of a MY_EV_DDL, at its place among the rows: takes it. */
uint64_t my_decoder_ordinal(my_decoder *d);

/* How many events of types that the format lets one skip were skipped. */
uint64_t my_decoder_skipped(const my_decoder *d);
#endif

/* spool.h: what the server streams of transactions that are not committed yet, kept as raw messages in one unlinked
 * 0600 file a transaction until they commit or abort. Source thread only. Disposable: the server sends the whole again
 * after a reconnect. Memory: one write buffer for all, the aborted sets (a bit a subtransaction), and a read buffer. */
#ifndef WB_PG_SPOOL_H
#define WB_PG_SPOOL_H
#include "base/base.h"

typedef struct pg_spools pg_spools;
/* dir: the state folder, copied. limit: bytes of all files together; 0: none. NULL: no memory. */
pg_spools *pg_spools_new(const char *dir, uint64_t limit);
void pg_spools_free(pg_spools *s);

/* One message of transaction xid. seq: its number of arrival (pg_decoder_arrival). WB_E_FULL: the disk is full,
 * WB_E_LIMIT: the limit is reached, WB_E_IO; after any of them only pg_spools_drop and pg_spools_free are of use. */
wb_code pg_spool_append(pg_spools *s, uint32_t xid, uint32_t subxid, uint64_t place, uint64_t seq, const void *p,
                        size_t n, wb_error *err) WB_MUST;
/* Stream Abort. subxid == xid: the transaction is gone. Else its messages of subxid will be left out; the server names
 * every aborted subtransaction, children too. Unknown transactions are fine: the server had nothing to send of them. */
wb_code pg_spool_abort(pg_spools *s, uint32_t xid, uint32_t subxid, wb_error *err) WB_MUST;
void pg_spools_drop(pg_spools *s);            /* all of them: a new session begins           */
size_t pg_spools_count(const pg_spools *s);   /* open transactions, those being read included */
uint64_t pg_spools_bytes(const pg_spools *s); /* of their files and of what is not written yet */

typedef struct pg_spool_record {
    uint32_t subxid;
    uint64_t place, seq;
    const void *p; /* until the next call */
    size_t n;
} pg_spool_record;

/* Stream Commit: read transaction xid back. It leaves the open ones; others may be appended to meanwhile. A transaction
 * that was never appended to reads as empty. close removes its file; before pg_spools_free. */
typedef struct pg_spool_reader pg_spool_reader;
wb_code pg_spool_read(pg_spools *s, uint32_t xid, pg_spool_reader **out, wb_error *err) WB_MUST;
/* WB_OK; WB_END: that was all; WB_E_IO. */
wb_code pg_spool_next(pg_spool_reader *r, pg_spool_record *out, wb_error *err) WB_MUST;
void pg_spool_close(pg_spool_reader *r);
#endif

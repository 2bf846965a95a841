/* xidset.h: a set of transaction ids, for the aborted subtransactions of one streamed transaction. Ids that lie close
 * together, as those of a loop of savepoints do, cost about a bit each. */
#ifndef WB_PG_XIDSET_H
#define WB_PG_XIDSET_H
#include "base/base.h"

typedef struct pg_xid_page {
    uint32_t number;  /* xid / 256           */
    uint64_t bits[4]; /* all 0: a free slot  */
} pg_xid_page;
typedef struct pg_xidset {
    pg_xid_page *slots; /* open addressing */
    size_t cap, used;
} pg_xidset;

void pg_xidset_fini(pg_xidset *s);
bool pg_xidset_add(pg_xidset *s, uint32_t xid); /* false: no memory */
bool pg_xidset_has(const pg_xidset *s, uint32_t xid);
#endif

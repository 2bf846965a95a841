/* batch.h: a batch from the inside; the pool with one byte budget. Plugins see walbrook/change.h only. */
#ifndef WB_BATCH_H
#define WB_BATCH_H
#include <pthread.h>
#include <stdatomic.h>
#include "base/arena.h"

enum { WB_BATCH_SOFT = 512 * 1024, WB_BATCH_CHANGES = 4096, WB_BATCH_FEW = 16, WB_BATCH_SEEN = 4096 };

typedef struct wb_pool wb_pool;
struct wb_batch {
    wb_arena arena;
    wb_change *changes;
    size_t nchanges, cap_changes;
    wb_txn *txns;
    size_t ntxns, cap_txns;
    const wb_table **tables; /* one reference each */
    size_t ntables, cap_tables;
    const wb_table *last_table;
    const wb_table **seen; /* WB_BATCH_SEEN by serial: whether a table is in `tables`; NULL while these are few */
    uint64_t targets;        /* mask by the source   */
    uint32_t flags;          /* WB_BATCH_*           */
    bool failed;
    size_t charged;          /* bytes taken from the budget */
    atomic_uint refs;
    wb_pool *pool;           /* NULL: a loose one (tests, tools) */
    wb_batch *next;          /* in the pool's free list */
};

wb_pool *wb_pool_new(size_t budget);
void wb_pool_free(wb_pool *p); /* all batches must be back */
/* NULL: no budget now. A row larger than the budget gets a batch when it is alone. */
wb_batch *wb_pool_take(wb_pool *p, size_t need);
size_t wb_pool_used(wb_pool *p);
/* Called (any thread, pool unlocked) whenever budget comes back. */
void wb_pool_on_room(wb_pool *p, void (*fn)(void *), void *arg);

wb_batch *wb_batch_loose(void); /* without a pool; one reference */
void wb_batch_ref(wb_batch *b);
void wb_batch_unref(wb_batch *b); /* the last one returns it to its pool */
void wb_batch_weigh(wb_batch *b); /* filled: charge what it really takes */
void wb_batch_clear(wb_batch *b); /* empty again, same memory (tools that reuse one) */
#endif

/* queue.h: a bounded queue of pointers between threads: any number that push, any number that pop. Not for a hot path
 * of single changes: an entry is a batch or a view. The pointers stay the property of whoever holds them. */
#ifndef WB_QUEUE_H
#define WB_QUEUE_H
#include <pthread.h>

#include "base/base.h"

typedef struct wb_queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    void **ring;
    size_t cap, head, count;
    size_t waiting; /* threads inside pop that sleep */
    bool closed;
} wb_queue;

bool wb_queue_init(wb_queue *q, size_t cap) WB_MUST; /* false: no memory; fini is legal then */
void wb_queue_fini(wb_queue *q);                     /* nobody may be inside any more        */
bool wb_queue_push(wb_queue *q, void *p) WB_MUST;    /* false: full or closed; never waits   */
/* The oldest entry, waiting for it at most timeout_us (0: not at all, < 0: for ever). NULL: none came, or the queue is
 * closed and empty. */
void *wb_queue_pop(wb_queue *q, int64_t timeout_us);
void wb_queue_close(wb_queue *q); /* no more pushes; what is inside can still be popped */
size_t wb_queue_count(wb_queue *q);
#endif

/* queue.c: a bounded queue of pointers between threads. Called by the engine and by connectors with own threads. */
#include "base/queue.h"
#include "base/clock.h"

#include <time.h>

bool wb_queue_init(wb_queue *q, size_t cap)
{
    memset(q, 0, sizeof *q);
    pthread_condattr_t attr;
    if (cap == 0 || cap > SIZE_MAX / sizeof *q->ring || pthread_condattr_init(&attr)) return false;
    /* Waits are measured on the clock that nobody sets. */
    bool ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&q->filled, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    if (!ok) return false;
    q->ring = pthread_mutex_init(&q->lock, NULL) == 0 ? malloc(cap * sizeof *q->ring) : NULL;
    if (!q->ring) {
        (void)pthread_cond_destroy(&q->filled);
        return false;
    }
    q->cap = cap;
    return true;
}

void wb_queue_fini(wb_queue *q)
{
    if (!q->ring) return;
    (void)pthread_cond_destroy(&q->filled);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->ring);
    memset(q, 0, sizeof *q);
}

bool wb_queue_push(wb_queue *q, void *p)
{
    (void)pthread_mutex_lock(&q->lock);
    bool ok = !q->closed && q->count < q->cap;
    if (ok) {
        q->ring[(q->head + q->count) % q->cap] = p;
        q->count++;
        if (q->waiting) (void)pthread_cond_signal(&q->filled);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return ok;
}

/* Sleep until there is something, it is closed or the time is up. The lock is held before and after. */
static void wait_filled(wb_queue *q, int64_t timeout_us)
{
    int64_t until = wb_mono_us();
    if (timeout_us > 0 && __builtin_add_overflow(until, timeout_us, &until)) until = INT64_MAX;
    struct timespec t = {(time_t)(until / 1000000), (long)(until % 1000000) * 1000};
    q->waiting++;
    while (q->count == 0 && !q->closed) {
        int r =
            timeout_us < 0 ? pthread_cond_wait(&q->filled, &q->lock) : pthread_cond_timedwait(&q->filled, &q->lock, &t);
        if (r) break;
    }
    q->waiting--;
}

void *wb_queue_pop(wb_queue *q, int64_t timeout_us)
{
    void *p = NULL;
    (void)pthread_mutex_lock(&q->lock);
    if (q->count == 0 && timeout_us != 0) wait_filled(q, timeout_us);
    if (q->count) {
        p = q->ring[q->head];
        q->head = (q->head + 1) % q->cap;
        q->count--;
    }
    (void)pthread_mutex_unlock(&q->lock);
    return p;
}

void wb_queue_close(wb_queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    q->closed = true;
    (void)pthread_cond_broadcast(&q->filled);
    (void)pthread_mutex_unlock(&q->lock);
}

size_t wb_queue_count(wb_queue *q)
{
    (void)pthread_mutex_lock(&q->lock);
    size_t n = q->count;
    (void)pthread_mutex_unlock(&q->lock);
    return n;
}

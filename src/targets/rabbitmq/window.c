/* window.c: messages that the broker has not confirmed. A refused one (nacked, or given back) is sent again with all
 * after it, in order, once every answer on the way has come; first alone, then with twice as many each time, so that a
 * full queue is asked and not flooded. Pure: no I/O, no clock. */
#include "targets/rabbitmq/rabbitmq.h"

struct rq_chunk {
    rq_chunk *next;
    size_t size, used, live; /* bytes; bytes; messages in it */
    _Alignas(16) char bytes[];
};

enum { SPARES = 8 };

/* ---------------------------------------------------------------- memory */

static void let_go(rq_window *w, rq_chunk *k)
{
    if (--k->live > 0) return;
    if (k == w->chunk) {
        k->used = 0;
    } else if (k->size == RQ_CHUNK && w->nspare < SPARES) {
        k->next = w->spare;
        w->spare = k;
        w->nspare++;
    } else {
        free(k);
    }
}

static rq_chunk *new_chunk(rq_window *w, size_t size)
{
    rq_chunk *k = size == RQ_CHUNK ? w->spare : NULL;
    if (k) {
        w->spare = k->next;
        w->nspare--;
    } else {
        k = malloc(sizeof *k + size);
        if (!k) return NULL;
        k->size = size;
    }
    k->used = k->live = 0;
    k->next = NULL;
    return k;
}

/* A large message has a chunk of its own. */
static rq_chunk *chunk_for(rq_window *w, size_t bytes)
{
    if (bytes > RQ_CHUNK / 4) return new_chunk(w, bytes);
    if (w->chunk && bytes <= w->chunk->size - w->chunk->used) return w->chunk;
    rq_chunk *k = new_chunk(w, RQ_CHUNK);
    if (k) w->chunk = k; /* the one before has messages: it goes with the last of them */
    return k;
}

/* ---------------------------------------------------------------- open and close */

bool rq_window_open(rq_window *w, size_t max, size_t max_bytes)
{
    memset(w, 0, sizeof *w);
    w->cap = 16;
    while (w->cap < max) w->cap *= 2;
    w->ring = calloc(w->cap, sizeof *w->ring);
    w->limit = w->max = max;
    w->max_bytes = max_bytes;
    w->rewind = UINT64_MAX;
    w->base_tag = 1;
    return w->ring != NULL;
}

static inline rq_message *at(const rq_window *w, uint64_t i) { return &w->ring[i & (w->cap - 1)]; }

static void release(rq_window *w)
{
    rq_message *m = at(w, w->first++);
    w->bytes -= m->bytes;
    let_go(w, m->chunk);
}

void rq_window_close(rq_window *w)
{
    while (w->ring && w->first < w->end) release(w);
    free(w->chunk);
    while (w->spare) {
        rq_chunk *k = w->spare;
        w->spare = k->next;
        free(k);
    }
    free(w->ring);
    free(w->tickets);
    memset(w, 0, sizeof *w);
}

/* ---------------------------------------------------------------- messages */

bool rq_window_room(const rq_window *w, size_t bytes)
{
    size_t held = rq_window_held(w);
    return held == 0 || (held < w->max && w->bytes < w->max_bytes && bytes <= w->max_bytes - w->bytes);
}

rq_message *rq_window_push(rq_window *w, size_t bytes, void **memory)
{
    bytes = (bytes + 15) & ~(size_t)15;
    rq_chunk *k = chunk_for(w, bytes);
    if (!k) return NULL;
    *memory = k->bytes + k->used;
    k->used += bytes;
    k->live++;
    rq_message *m = at(w, w->end++);
    *m = (rq_message){.chunk = k, .bytes = bytes};
    w->bytes += bytes;
    return m;
}

rq_message *rq_window_next(rq_window *w, int64_t now_us)
{
    if (w->next == w->end || w->open >= w->limit || w->rewind != UINT64_MAX) return NULL;
    if (w->until_us) {
        if (now_us < w->until_us) return NULL;
        w->until_us = 0;
    }
    return at(w, w->next);
}

void rq_window_sent(rq_window *w)
{
    at(w, w->next)->state = RQ_SENT;
    at(w, w->next)->returned = false;
    w->tag++;
    if (w->open == 0) { /* the numbers of both run side by side from here */
        w->base = w->low = w->next;
        w->base_tag = w->tag;
    }
    w->next++;
    w->open++;
}

static void answer(rq_window *w, uint64_t i, bool taken)
{
    rq_message *m = at(w, i);
    if (m->state != RQ_SENT) return;
    m->state = taken && !m->returned ? RQ_CONFIRMED : RQ_REFUSED;
    w->open--;
    if (m->state == RQ_REFUSED)
        w->rewind = WB_MIN(w->rewind, i);
    else
        m->place->returned = 0;
}

bool rq_window_answer(rq_window *w, uint64_t tag, bool multiple, bool taken)
{
    if (tag == 0 && multiple) tag = w->tag; /* all there are */
    if (tag > w->tag) return false;
    if (tag < w->base_tag || w->open == 0) return true; /* answered before */
    uint64_t i = w->base + (tag - w->base_tag);
    if (i >= w->next) return false;
    if (multiple)
        for (; w->low <= i; w->low++) answer(w, w->low, taken);
    else
        answer(w, i, taken);
    while (w->low < w->next && at(w, w->low)->state != RQ_SENT) w->low++;
    return true;
}

rq_message *rq_window_returned(rq_window *w, wb_str exchange, wb_str key)
{
    for (uint64_t i = w->low; w->open && i < w->next; i++) {
        rq_message *m = at(w, i);
        if (m->state == RQ_SENT && !m->returned && wb_str_eq(m->place->key, key) &&
            wb_str_eq(m->place->exchange, exchange))
            return m;
    }
    return NULL;
}

bool rq_window_settle(rq_window *w, int64_t now_us)
{
    uint64_t before = w->first;
    while (w->first < w->next && at(w, w->first)->state == RQ_CONFIRMED) release(w);
    if (w->first > before && w->rewind == UINT64_MAX) {
        w->pause_us = 0;
        w->limit = WB_MIN(w->limit + (size_t)(w->first - before), w->max);
    }
    if (w->rewind == UINT64_MAX || w->open) return false;
    for (uint64_t i = w->rewind; i < w->next; i++) at(w, i)->state = RQ_WAITING;
    w->next = w->rewind;
    w->rewind = UINT64_MAX;
    w->limit = 1;
    w->pause_us = w->pause_us ? WB_MIN(w->pause_us * 2, (int64_t)RQ_PAUSE_MAX) : RQ_PAUSE_MIN;
    w->until_us = now_us + w->pause_us;
    return true;
}

/* ---------------------------------------------------------------- tickets */

bool rq_window_ticket(rq_window *w, wb_ticket t)
{
    if (w->ntickets == w->tickets_cap) {
        size_t cap = w->tickets_cap ? w->tickets_cap * 2 : 64;
        rq_ticket *more = malloc(cap * sizeof *more);
        if (!more) return false;
        for (size_t i = 0; i < w->ntickets; i++) more[i] = w->tickets[(w->tickets_first + i) & (w->tickets_cap - 1)];
        free(w->tickets);
        w->tickets = more;
        w->tickets_cap = cap;
        w->tickets_first = 0;
    }
    w->tickets[(w->tickets_first + w->ntickets++) & (w->tickets_cap - 1)] = (rq_ticket){t, w->end};
    return true;
}

bool rq_window_done(rq_window *w, wb_ticket *t)
{
    if (!w->ntickets || w->tickets[w->tickets_first].end > w->first) return false;
    *t = w->tickets[w->tickets_first].ticket;
    w->tickets_first = (w->tickets_first + 1) & (w->tickets_cap - 1);
    w->ntickets--;
    return true;
}

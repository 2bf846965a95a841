/* tickets.c: which messages of which ticket are on their way. At least once a ticket is answered when all of its
 * messages are in the log of enough brokers, or when the first of them cannot be; exactly once by transaction.c. */
#include "base/clock.h"
#include "targets/kafka/kafka.h"

kf_ticket *kf_ticket_new(kf_target *k, wb_ticket t, wb_error *err)
{
    kf_ticket *r = k->spare;
    if (r) {
        k->spare = r->next;
    } else {
        r = malloc(sizeof *r);
        if (!r) {
            wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory to keep tickets.");
            return NULL;
        }
    }
    *r = (kf_ticket){.ticket = t, .since_us = wb_mono_us()};
    if (k->last)
        k->last->next = r;
    else
        k->first = r;
    k->last = r;
    return r;
}

/* Those at the head that are through go back to the spare ones; their messages no longer point at them. */
static void reap(kf_target *k)
{
    while (k->first && k->first->whole && !k->first->open) {
        kf_ticket *r = k->first;
        k->first = r->next;
        if (!k->first) k->last = NULL;
        r->next = k->spare;
        k->spare = r;
    }
}

static void finish(kf_target *k, kf_ticket *r)
{
    if (!r->whole || r->open) return;
    if (!r->answered) {
        atomic_store_explicit(&k->took_us, wb_mono_us() - r->since_us, memory_order_relaxed);
        wb_host_done(k->host, r->ticket, NULL);
        r->answered = true;
    }
    reap(k);
}

void kf_ticket_whole(kf_target *k, kf_ticket *r)
{
    r->whole = true;
    finish(k, r);
}

void kf_ticket_answer(kf_target *k, kf_ticket *r, const wb_error *why)
{
    r->open--;
    if (why && !r->answered) {
        r->answered = true;
        wb_host_done(k->host, r->ticket, why);
    }
    finish(k, r);
}

void kf_tickets_count(kf_target *k)
{
    kf_notice_silence(k);
    atomic_store_explicit(&k->unconfirmed, rd_kafka_outq_len(k->rk), memory_order_relaxed);
    atomic_store_explicit(&k->oldest_us, k->first ? k->first->since_us : 0, memory_order_relaxed);
}

static void release(kf_ticket *r)
{
    while (r) {
        kf_ticket *next = r->next;
        free(r);
        r = next;
    }
}

void kf_tickets_close(kf_target *k)
{
    release(k->first);
    release(k->spare);
    k->first = k->last = k->spare = NULL;
    atomic_store(&k->unconfirmed, 0);
    atomic_store(&k->oldest_us, 0);
}

/* pace.c: when librdkafka sends what it was given: we say it. By itself it would once `linger` has passed, and while a
 * batch is due that the idempotent producer may not send yet (one is on its way), its thread spins: up to half of all
 * processor time, more the slower the broker answers (seen with 2.0.2). So it never finds one due (settings.c): a batch
 * goes out when nothing more is waiting, when it is full or `linger` old, and the next one is collected while its
 * answer is on its way. Target thread; called by send.c, kafka.c, transaction.c. */
#include "base/clock.h"
#include "targets/kafka/kafka.h"

enum {
    SEND_MS = 1,         /* for librdkafka's thread to see that it should send */
    AGAIN_US = 5000,     /* it may not have: once more, and then ever later */
    AGAIN_MOST = 320000, /* for what comes back from a broker that is away is sent by this alone */
    REST_US = 4000,      /* the longest that an idle flush waits for answers */
    SHARE = 8            /* batches in one go, over all topics */
};

static int64_t unanswered(const kf_target *k) { return rd_kafka_outq_len(k->rk); }

/* Is the answer to something of the last go missing? */
static bool in_flight(const kf_target *k) { return (int64_t)k->produced - unanswered(k) < (int64_t)k->sent; }

static bool on_its_way(const kf_target *k) { return in_flight(k) && wb_mono_us() - k->sent_us < k->again_us; }

static void send_now(kf_target *k)
{
    k->again_us = k->produced > k->sent ? AGAIN_US : WB_MIN(2 * k->again_us, AGAIN_MOST);
    k->sent = k->produced;
    k->go++;
    k->held = 0;
    (void)rd_kafka_flush(k->rk, SEND_MS);
    k->sent_us = wb_mono_us();
}

bool kf_pace_room(kf_target *k, kf_topic *t, int64_t size)
{
    int64_t own = t->go == k->go ? t->held : 0, most = k->batch_size * WB_MIN(WB_MAX(t->partitions, 1), SHARE / 2);
    if (own == 0 || (own + size <= most && k->held + size <= k->batch_size * SHARE)) return true;
    if (on_its_way(k)) return false;
    send_now(k);
    return true;
}

void kf_pace_took(kf_target *k, kf_topic *t, int64_t size)
{
    if (!k->held) k->held_us = wb_mono_us();
    t->held = (t->go == k->go ? t->held : 0) + size;
    t->go = k->go;
    k->held += size;
    k->produced++;
}

/* A view is through, and there may be more. */
void kf_pace_linger(kf_target *k)
{
    if (k->held && wb_mono_us() - k->held_us >= k->linger_ms * 1000 && !on_its_way(k)) send_now(k);
}

/* The queue is full, or a view waits for room: until there is some, or ms. */
void kf_pace_wait(kf_target *k, int ms)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000, before = unanswered(k);
    do {
        if (on_its_way(k)) {
            rd_kafka_poll(k->rk, SEND_MS);
        } else {
            bool more = k->produced > k->sent;
            send_now(k);
            if (more) return;
        }
    } while (unanswered(k) >= before && wb_mono_us() < until && k->broken.code == WB_OK && !kf_stopped(k));
}

/* Nothing more is waiting: until all is answered, or us. */
static void rest(kf_target *k, int64_t us)
{
    int64_t until = wb_mono_us() + us;
    rd_kafka_poll(k->rk, 0);
    while (unanswered(k) && k->broken.code == WB_OK && !kf_stopped(k)) {
        if (on_its_way(k))
            rd_kafka_poll(k->rk, SEND_MS);
        else
            send_now(k);
        if (wb_mono_us() >= until) return;
    }
}

void kf_pace_rest(kf_target *k) { rest(k, REST_US); }

/* All of it is to be answered: before a commit, whose own flush would spin, and what it does not see is the commit's
 * matter; at the end. */
void kf_pace_drain(kf_target *k, int ms) { rest(k, (int64_t)ms * 1000); }

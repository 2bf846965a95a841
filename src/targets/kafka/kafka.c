/* kafka.c: the target `kafka`: messages in topics, through librdkafka. A view becomes messages at once and its memory
 * is given back; its ticket is answered when the brokers have all of them (at least once), or when the Kafka
 * transaction that holds them and our position is committed (exactly once). Registered in core/registry.c. */
#include "targets/kafka/kafka.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"

extern const wb_target wb_target_kafka;

/* After a failure that a repeat cannot mend nothing is sent any more: only open knows what counts. */
static wb_code note(kf_target *k, wb_code code, const wb_error *err)
{
    if (code == WB_OK || code == WB_AGAIN || k->broken.code != WB_OK) return code;
    if (err && err->next == WB_RETRY) return code;
    if (err)
        k->broken = *err;
    else
        k->broken.code = code;
    return code;
}

/* ---------------------------------------------------------------- open and close */

static void kf_close(void *ctx)
{
    kf_target *k = ctx;
    if (!k->is_open) return;
    k->is_open = false;
    atomic_store(&k->shown, false);
    kf_txn_close(k);
    kf_topics_close(k);
    kf_client_close(k);
    kf_tickets_close(k);
    kf_headers_close(k);
    wb_formatter_close(&k->formatter);
    wb_arena_fini(&k->arena);
    k->at = (kf_place){.active = false};
    k->since_poll = 0;
    k->produced = k->sent = k->go = 0;
    k->held = k->again_us = 0;
    wb_error_reset(&k->broken);
    wb_error_reset(&k->trouble);
}

typedef struct remembered {
    char id[64];
} remembered;

static void take_cluster(void *arg, const char *key, wb_str value)
{
    remembered *r = arg;
    WB_UNUSED(key);
    snprintf(r->id, sizeof r->id, "%.*s", (int)value.len, value.ptr ? value.ptr : "");
}

static void cluster_key(const kf_target *k, char *key, size_t cap)
{
    snprintf(key, cap, "kafka-cluster/%s/", wb_host_target(k->host));
}

/* Another cluster, or one that was wiped, does not have what was confirmed before: it must not go on by itself. */
static wb_code look_at_cluster(kf_target *k, wb_open *o, wb_error *err)
{
    char key[128];
    remembered known = {""};
    char *id = rd_kafka_clusterid(k->rk, 2000);
    if (!id) return WB_OK; /* brokers before 0.10.1 have none */
    cluster_key(k, key, sizeof key);
    wb_code code = WB_OK;
    if (k->cluster[0])
        memcpy(known.id, k->cluster, sizeof known.id);
    else if (!o->fresh)
        code = wb_host_state_list(k->host, key, take_cluster, &known, err);
    if (known.id[0] && !o->fresh && strncmp(known.id, id, sizeof known.id - 1) != 0) {
        wb_host_log(k->host, WB_LOG_WARN, "this Kafka is another cluster (%s) than the one before (%s)", id, known.id);
        o->keeps = true; /* and none of its own stands: the engine judges */
    }
    snprintf(k->cluster, sizeof k->cluster, "%s", id);
    k->cluster_due = strcmp(k->cluster, known.id) != 0;
    rd_kafka_mem_free(k->rk, id);
    return code;
}

/* Only once the engine has accepted us: not before the first view. */
static wb_code remember_cluster(kf_target *k, wb_error *err)
{
    char key[128];
    cluster_key(k, key, sizeof key);
    wb_code code = wb_host_state_put(k->host, key, wb_str_of(k->cluster), err);
    if (code == WB_OK) k->cluster_due = false;
    return code;
}

static wb_code connect_to(kf_target *k, wb_open *o, wb_error *err)
{
    const struct rd_kafka_metadata *m = NULL;
    wb_code code = kf_client_open(k, err);
    if (code == WB_OK) code = kf_metadata(k, k->rk, false, NULL, KF_OPEN_MS, &m, err);
    if (m) rd_kafka_metadata_destroy(m);
    if (code != WB_OK) return code;
    return k->delivery == KF_EXACTLY_ONCE ? kf_txn_open(k, o, err) : look_at_cluster(k, o, err);
}

static wb_code kf_open(void *ctx, wb_host *h, wb_open *o, wb_error *err)
{
    kf_target *k = ctx;
    kf_close(k);
    atomic_store(&k->interrupted, false);
    k->host = h;
    k->is_open = k->in_open = true;
    wb_arena_init(&k->arena, 1024, 0);
    bool exact = k->delivery == KF_EXACTLY_ONCE;
    wb_code code = wb_formatter_open(&k->formatter, k->format, k->format_options, h, err);
    if (code == WB_OK) code = kf_topics_open(k, err);
    if (code == WB_OK && exact) code = kf_position_names(k, err);
    if (code == WB_OK) code = connect_to(k, o, err);
    k->in_open = false;
    if (code != WB_OK) {
        kf_close(k);
        return code;
    }
    wb_error_reset(&k->trouble);
    atomic_store(&k->shown, true);
    return WB_OK;
}

/* ---------------------------------------------------------------- write and flush */

static wb_code send_view(kf_target *k, const wb_view *v, wb_ticket t, wb_error *err)
{
    bool exact = k->delivery == KF_EXACTLY_ONCE, again = k->at.active && k->at.ticket == t;
    wb_code code = exact && !again ? kf_txn_before(k, v, err) : WB_OK;
    if (code == WB_OK) code = kf_send_view(k, v, t, err);
    if (code != WB_OK) return code;
    (void)WB_FAULT("kafka.sent");
    kf_ticket_whole(k, k->at.record);
    k->at.record = NULL;
    kf_pace_linger(k);
    rd_kafka_poll(k->rk, 0);
    return exact ? kf_txn_after(k, v, t, err) : WB_OK;
}

static wb_code kf_write(void *ctx, const wb_view *v, wb_ticket t, wb_error *err)
{
    kf_target *k = ctx;
    if (k->broken.code != WB_OK) return kf_repeat(k, err);
    wb_code code = k->cluster_due ? remember_cluster(k, err) : WB_OK;
    if (code == WB_OK) code = send_view(k, v, t, err);
    kf_tickets_count(k);
    return note(k, code, err);
}

static wb_code kf_flush(void *ctx, int ms, wb_error *err)
{
    kf_target *k = ctx;
    if (k->broken.code == WB_OK && k->delivery == KF_EXACTLY_ONCE) {
        wb_code code = note(k, kf_txn_flush(k, ms, err), err);
        kf_tickets_count(k);
        return code;
    }
    if (k->broken.code == WB_OK) {
        if (ms < 0)
            kf_pace_drain(k, KF_SLICE_MS);
        else if (ms > 0)
            kf_pace_wait(k, WB_MIN(ms, KF_SLICE_MS));
        else
            kf_pace_rest(k);
        kf_tickets_count(k);
    }
    if (k->broken.code != WB_OK) return kf_repeat(k, err);
    return k->first ? WB_AGAIN : WB_OK;
}

static void kf_interrupt(void *ctx)
{
    kf_target *k = ctx;
    atomic_store(&k->interrupted, true);
}

const wb_target wb_target_kafka = {
    .head = {.kind = WB_TARGET,
             .name = "kafka",
             .brief = "messages in Kafka's topics",
             .options = kf_options,
             .ctx_size = sizeof(kf_target),
             .version = kf_version},
    .check = kf_check,
    .open = kf_open,
    .write = kf_write,
    .flush = kf_flush,
    .status = kf_status,
    .destination = kf_destination,
    .interrupt = kf_interrupt,
    .close = kf_close,
};

/* report.c: what the target kafka says of itself without being open: check, status, destination, version. check has a
 * connection of its own and changes nothing. */
#include <stdio.h>

#include "base/clock.h"
#include "targets/kafka/kafka.h"

enum { CHECK_MS = 8000 };

const char *kf_version(void)
{
    static char text[64];
    snprintf(text, sizeof text, "librdkafka %s", rd_kafka_version_str());
    return text;
}

/* What the state knows it by. Addresses of brokers come and go; which cluster it is open() sees. */
wb_code kf_destination(void *ctx, char *out, size_t cap)
{
    const kf_target *k = ctx;
    int n = snprintf(out, cap, "%s", k->topic ? k->topic : "topics");
    return n >= 0 && (size_t)n < cap ? WB_OK : WB_E_LIMIT;
}

/* ---------------------------------------------------------------- status */

wb_code kf_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err)
{
    kf_target *k = ctx;
    wb_out brokers = {0};
    WB_UNUSED(h);
    WB_UNUSED(err);
    if (kf_brokers(k, &brokers)) facts->text(facts->arg, "brokers", brokers.p);
    wb_out_fini(&brokers);
    facts->text(facts->arg, "delivery", k->delivery == KF_EXACTLY_ONCE ? "exactly once" : "at least once");
    if (!atomic_load(&k->shown)) return WB_OK; /* nobody runs it in this process */
    if (atomic_load(&k->silent))
        facts->text(facts->arg, "broker", "confirms nothing for now: what waits is sent when it answers");
    int64_t oldest = atomic_load(&k->oldest_us);
    facts->number(facts->arg, "unconfirmed_messages", atomic_load(&k->unconfirmed));
    facts->number(facts->arg, "confirmed_messages", atomic_load(&k->confirmed));
    facts->number(facts->arg, "oldest_unconfirmed_ms", oldest ? (wb_mono_us() - oldest) / 1000 : 0);
    facts->number(facts->arg, "broker_lag_us", atomic_load(&k->took_us));
    facts->number(facts->arg, "too_large", atomic_load(&k->too_large));
    facts->number(facts->arg, "made_topics", atomic_load(&k->made_topics));
    if (k->delivery == KF_EXACTLY_ONCE) facts->number(facts->arg, "commits", atomic_load(&k->commits));
    return WB_OK;
}

/* ---------------------------------------------------------------- check */

typedef struct probe {
    kf_target k; /* of its own: the options are borrowed */
    const kf_target *of;
    wb_report *r;
    atomic_int oldest_fetch; /* the lowest version of Fetch that a broker speaks; -1: not known */
} probe;

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    probe *p = opaque;
    wb_error mine;
    WB_UNUSED(rk);
    wb_error_reset(&mine);
    kf_fail_event(&p->k, &mine, (rd_kafka_resp_err_t)code, reason);
    bool summary = code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
    p->k.all_down |= summary;
    if (p->k.trouble.code != WB_E_AUTH && !(summary && p->k.trouble.code != WB_OK)) p->k.trouble = mine;
}

/* librdkafka tells which versions a broker speaks in its log alone: "ApiKey Fetch (1) Versions 4..17". */
static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    static const char word[] = "ApiKey Fetch (1) Versions ";
    probe *p = rd_kafka_opaque(rk);
    const char *at = strstr(text, word);
    WB_UNUSED(level);
    WB_UNUSED(fac);
    if (at) atomic_store(&p->oldest_fetch, (int)strtol(at + sizeof word - 1, NULL, 10));
}

static void say(wb_report *r, const wb_error *e)
{
    wb_report_add(r, WB_BAD, e->hint[0] ? e->hint : NULL, "%s", e->message);
}

static bool is_kafka4(probe *p) { return atomic_load(&p->oldest_fetch) >= 4; }

/* The pair that cannot log in is told by name: the broker itself says only that the login failed. */
static void say_unreachable(probe *p, const wb_error *why)
{
    if (why->code == WB_E_AUTH && kf_scram_is_broken(&p->k) && is_kafka4(p)) {
        wb_report_add(p->r, WB_BAD, "install librdkafka 2.6.1 or later, or use sasl: plain with tls: true",
                      "librdkafka %s cannot log in by SCRAM to Kafka 4 and later, and this is one: its nonce is wrong.",
                      rd_kafka_version_str());
        return;
    }
    say(p->r, why);
}

static void check_brokers(probe *p, rd_kafka_t *rk, const struct rd_kafka_metadata *m)
{
    char *id = rd_kafka_clusterid(rk, 2000);
    wb_report_add(p->r, WB_FINE, NULL, "Kafka answers: %d broker%s, cluster %s, %s (librdkafka %s).", m->broker_cnt,
                  m->broker_cnt == 1 ? "" : "s", id ? id : "without an id",
                  is_kafka4(p) ? "version 4 or newer" : "a version before 4", rd_kafka_version_str());
    if (id) rd_kafka_mem_free(rk, id);
    if (p->k.replication > m->broker_cnt)
        wb_report_add(p->r, WB_BAD, "replication: a number not above that of the brokers",
                      "`replication` is %lld, and there are %d brokers.", (long long)p->k.replication, m->broker_cnt);
}

static void check_rights(probe *p, rd_kafka_t *rk)
{
    char name[KF_NAME_MAX + 1];
    bool changed;
    wb_error why;
    wb_error_reset(&why);
    rd_kafka_resp_err_t answer = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!p->k.create_topics || !kf_topic_name(wb_str_of(wb_host_pipeline(p->k.host)), name, &changed)) return;
    if (strlen(name) > 200) return;
    memcpy(name + strlen(name), ".check", 7);
    if (kf_admin_create(&p->k, rk, name, (int)p->k.partitions, NULL, true, &answer, &why) == WB_OK)
        wb_report_add(p->r, WB_FINE, NULL, "Topics can be made (tried with %s, without making it).", name);
    else if (why.code == WB_E_AUTH)
        wb_report_add(p->r, WB_WARN, why.hint,
                      "This user may not make topics like %s: those of all tables must be there.", name);
    else
        say(p->r, &why);
}

static void check_sizes(probe *p, rd_kafka_t *rk, const char *broker)
{
    int64_t limit = kf_admin_setting(&p->k, rk, RD_KAFKA_RESOURCE_BROKER, broker, "message.max.bytes", 0);
    if (limit <= 0) {
        wb_report_add(p->r, WB_WARN, NULL, "The broker does not let us read its message.max.bytes.");
    } else if (p->k.batch_size > limit || p->k.max_message > limit) {
        char mend[120];
        snprintf(mend, sizeof mend,
                 "max_message and batch_size: %lld at most, or topic_config: {max.message.bytes: %lld}",
                 (long long)limit, (long long)WB_MAX(p->k.batch_size, p->k.max_message) + KF_OVERHEAD);
        bool own = p->k.topic_config != NULL;
        wb_report_add(
            p->r, own ? WB_WARN : WB_BAD, mend,
            "max_message is %lld and batch_size %lld, but new topics take %lld bytes unless they say otherwise.",
            (long long)p->k.max_message, (long long)p->k.batch_size, (long long)limit);
    } else {
        wb_report_add(p->r, WB_FINE, NULL, "Messages of up to %lld bytes fit.", (long long)p->k.max_message);
    }
}

/* The log of transactions needs as many brokers as it is told; ours may not last longer than the broker allows. */
static void check_transactions(probe *p, rd_kafka_t *rk, const char *broker, int brokers)
{
    if (p->of->delivery != KF_EXACTLY_ONCE) return;
    int64_t most = kf_admin_setting(&p->k, rk, RD_KAFKA_RESOURCE_BROKER, broker, "transaction.max.timeout.ms", 0);
    int64_t copies =
        kf_admin_setting(&p->k, rk, RD_KAFKA_RESOURCE_BROKER, broker, "transaction.state.log.replication.factor", 0);
    if (most > 0 && p->k.transaction_timeout_ms > most)
        wb_report_add(p->r, WB_BAD, "transaction_timeout: not above transaction.max.timeout.ms",
                      "`transaction_timeout` is %lld ms, and the broker allows %lld.",
                      (long long)p->k.transaction_timeout_ms, (long long)most);
    else if (copies > brokers)
        wb_report_add(p->r, WB_BAD, "transaction.state.log.replication.factor: not above the number of brokers",
                      "The broker keeps its log of transactions %lld times, and there are %d brokers: none can begin.",
                      (long long)copies, brokers);
    else
        wb_report_add(p->r, WB_FINE, NULL, "Exactly once: readers must use isolation.level=read_committed.");
}

static void check_promises(probe *p)
{
    if (p->k.acks)
        wb_report_add(p->r, WB_WARN, "acks: all",
                      "acks: leader confirms what only one broker has: its crash may lose changes.");
    else if (!p->k.idempotence && p->k.delivery == KF_AT_LEAST_ONCE)
        wb_report_add(p->r, WB_WARN, "idempotence: true", "Without idempotence a lost answer repeats messages.");
    if (p->k.tls && !p->k.tls_verify)
        wb_report_add(p->r, WB_WARN, "tls_verify: true", "The broker's certificate is not verified.");
    if (kf_scram_is_broken(&p->k) && !is_kafka4(p))
        wb_report_add(p->r, WB_WARN, "install librdkafka 2.6.1 or later before the brokers become Kafka 4",
                      "librdkafka %s logs in by SCRAM to Kafka up to 3 only.", rd_kafka_version_str());
}

static wb_code check_connected(probe *p, rd_kafka_t *rk, wb_error *err)
{
    const struct rd_kafka_metadata *m = NULL;
    wb_error why;
    wb_error_reset(&why);
    WB_UNUSED(err);
    if (kf_metadata(&p->k, rk, false, NULL, CHECK_MS, &m, &why) != WB_OK) {
        say_unreachable(p, &why);
        return WB_OK;
    }
    char broker[16];
    snprintf(broker, sizeof broker, "%d", m->broker_cnt ? (int)m->brokers[0].id : 0);
    check_brokers(p, rk, m);
    int brokers = m->broker_cnt;
    rd_kafka_metadata_destroy(m);
    check_rights(p, rk);
    check_sizes(p, rk, broker);
    check_transactions(p, rk, broker, brokers);
    check_promises(p);
    return WB_OK;
}

static void check_options(probe *p)
{
    wb_error why;
    wb_error_reset(&why);
    wb_code code = wb_formatter_open(&p->k.formatter, p->k.format, p->k.format_options, p->k.host, &why);
    if (code == WB_OK && kf_topics_open(&p->k, &why) == WB_OK)
        wb_error_reset(&why);
    else
        say(p->r, &why);
    kf_topics_close(&p->k);
    wb_formatter_close(&p->k.formatter);
}

wb_code kf_check(void *ctx, wb_host *h, wb_report *r, wb_error *err)
{
    char why[300];
    probe *p = calloc(1, sizeof *p);
    if (!p) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a check.");
    memcpy(&p->k, ctx, sizeof p->k);
    p->r = r;
    p->k.host = h;
    p->k.is_open = false;
    p->k.in_open = true;
    p->k.delivery = KF_AT_LEAST_ONCE; /* init_transactions would end another run's */
    atomic_store(&p->oldest_fetch, -1);
    wb_arena_init(&p->k.arena, 1024, 0);
    check_options(p);
    p->of = ctx;
    rd_kafka_conf_t *conf = kf_conf_new(&p->k, h, KF_PRODUCER, err);
    rd_kafka_t *rk = NULL;
    if (conf) {
        rd_kafka_conf_set_opaque(conf, p);
        rd_kafka_conf_set_error_cb(conf, on_error);
        rd_kafka_conf_set_log_cb(conf, on_log);
        (void)rd_kafka_conf_set(conf, "debug", "feature", why, sizeof why);
        rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
        if (!rk) rd_kafka_conf_destroy(conf);
    }
    wb_code code = conf ? WB_OK : err->code;
    if (conf && !rk) code = kf_fail_new(&p->k, err, why);
    if (rk) code = check_connected(p, rk, err);
    if (rk) rd_kafka_destroy(rk);
    wb_arena_fini(&p->k.arena);
    free(p);
    return code;
}

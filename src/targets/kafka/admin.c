/* admin.c: requests to brokers that are not messages: make a topic, read a setting. Each waits for its answer. */
#include <stdio.h>

#include "base/clock.h"
#include "base/node.h"
#include "targets/kafka/kafka.h"

enum { ANSWER_MS = 20000, SETTING_MS = 5000 };

/* The event that answers, or NULL and err. */
static rd_kafka_event_t *wait_for(kf_target *k, rd_kafka_queue_t *q, int ms, const char *what, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    for (;;) {
        rd_kafka_event_t *e = rd_kafka_queue_poll(q, KF_SLICE_MS);
        rd_kafka_resp_err_t rc = e ? rd_kafka_event_error(e) : RD_KAFKA_RESP_ERR__TIMED_OUT;
        if (e && rc == RD_KAFKA_RESP_ERR_NO_ERROR) return e;
        if (e) kf_fail(err, rc, "Kafka does not answer to %s: %s", what, rd_kafka_event_error_string(e));
        if (e) rd_kafka_event_destroy(e);
        if (e) return NULL;
        if (kf_stopped(k))
            wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted");
        else if (wb_mono_us() > until)
            kf_fail(err, rc, "Kafka does not answer to %s within %d s.", what, ms / 1000);
        else
            continue;
        return NULL;
    }
}

static wb_code configure(const kf_target *k, rd_kafka_NewTopic_t *t, const char *const *settings, wb_error *err)
{
    const wb_node *n = settings ? NULL : k->topic_config;
    for (size_t i = 0; settings && settings[i]; i += 2) rd_kafka_NewTopic_set_config(t, settings[i], settings[i + 1]);
    if (n && n->kind != WB_NODE_MAP && !wb_node_null(n))
        return wb_node_fail(n, err, "topic_config: is a map of a topic's settings.");
    for (size_t i = 0; n && n->kind == WB_NODE_MAP && i < n->n; i++) {
        if (n->pairs[i].value->kind != WB_NODE_SCALAR)
            return wb_node_fail(n->pairs[i].value, err, "topic_config: %s is a text or a number.", n->pairs[i].key);
        rd_kafka_NewTopic_set_config(t, n->pairs[i].key, n->pairs[i].value->text);
    }
    return WB_OK;
}

static wb_code read_created(rd_kafka_event_t *e, const char *name, rd_kafka_resp_err_t *answer, wb_error *err)
{
    size_t n = 0;
    const rd_kafka_topic_result_t **t = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(e), &n);
    *answer = n ? rd_kafka_topic_result_error(t[0]) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (*answer == RD_KAFKA_RESP_ERR_NO_ERROR || *answer == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return WB_OK;
    const char *why = rd_kafka_topic_result_error_string(t[0]);
    return kf_fail(err, *answer, "Kafka does not make the topic %s: %s", name, why ? why : rd_kafka_err2str(*answer));
}

wb_code kf_admin_create(kf_target *k, rd_kafka_t *rk, const char *name, int partitions, const char *const *settings,
                        bool only_try, rd_kafka_resp_err_t *answer, wb_error *err)
{
    char why[256];
    int replicas = k->replication ? (int)k->replication : -1;
    rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, partitions ? partitions : -1, replicas, why, sizeof why);
    if (!t) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The topic %s cannot be made: %s", name, why);
    wb_code code = configure(k, t, settings, err);
    if (code != WB_OK) {
        rd_kafka_NewTopic_destroy(t);
        return code;
    }
    rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    if (rd_kafka_AdminOptions_set_validate_only(o, only_try, why, sizeof why) ||
        rd_kafka_AdminOptions_set_request_timeout(o, ANSWER_MS, why, sizeof why))
        code = wb_fail(err, WB_E_INTERNAL, WB_NEVER, "librdkafka: %s", why);
    if (code == WB_OK) {
        rd_kafka_CreateTopics(rk, &t, 1, o, q);
        rd_kafka_event_t *e = wait_for(k, q, ANSWER_MS, "a request for a topic", err);
        code = e ? read_created(e, name, answer, err) : err->code;
        if (e) rd_kafka_event_destroy(e);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
    rd_kafka_NewTopic_destroy(t);
    return code;
}

static int64_t find_setting(rd_kafka_event_t *e, const char *setting, int64_t fallback)
{
    size_t n = 0, m = 0;
    const rd_kafka_ConfigResource_t **r =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(e), &n);
    if (!n || rd_kafka_ConfigResource_error(r[0]) != RD_KAFKA_RESP_ERR_NO_ERROR) return fallback;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(r[0], &m);
    for (size_t i = 0; i < m; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (!value || strcmp(rd_kafka_ConfigEntry_name(entries[i]), setting) != 0) continue;
        char *end = NULL;
        long long v = strtoll(value, &end, 10);
        return end && end != value && !*end ? v : fallback;
    }
    return fallback;
}

int64_t kf_admin_setting(kf_target *k, rd_kafka_t *rk, rd_kafka_ResourceType_t type, const char *name,
                         const char *setting, int64_t fallback)
{
    wb_error ignored;
    wb_error_reset(&ignored);
    rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(type, name);
    rd_kafka_queue_t *q = rd_kafka_queue_new(rk);
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_DescribeConfigs(rk, &r, 1, o, q);
    rd_kafka_event_t *e = wait_for(k, q, SETTING_MS, "a question for settings", &ignored);
    int64_t value = e ? find_setting(e, setting, fallback) : fallback;
    if (e) rd_kafka_event_destroy(e);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_queue_destroy(q);
    rd_kafka_ConfigResource_destroy(r);
    return value;
}

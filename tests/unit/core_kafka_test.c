/* Target kafka without a server: names, positions and errors alone, and the conformance suite of targets over
 * librdkafka's mock of a cluster, which refuses now and then. proves G-01, G-03, G-04 */
#include "check.h"

#ifdef WB_HAVE_KAFKA
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <librdkafka/rdkafka_mock.h>

#include "core/registry.h"
#include "scripted.h"
#include "targets/kafka/kafka.h"
#include "walbrook/walbrook.h"

/* ---------------------------------------------------------------- names, positions, errors */

static void expect_name(const char *text, const char *want, bool changed)
{
    char name[KF_NAME_MAX + 1] = "";
    bool did = false;
    assert_int_equal(kf_topic_name(wb_str_of(text), name, &did), want != NULL);
    if (!want) return;
    assert_string_equal(name, want);
    assert_int_equal(did, changed);
}

static void test_names(void **state)
{
    char longest[KF_NAME_MAX + 2];
    WB_UNUSED(state);
    expect_name("shop.public.order_lines-2", "shop.public.order_lines-2", false);
    expect_name("shop.public.größe m²", "shop.public.gr__e_m_", true);
    expect_name("a/b\"c\n", "a_b_c_", true);
    expect_name("", NULL, false);
    expect_name(".", NULL, false);
    expect_name("..", NULL, false);
    expect_name("...", "...", false);
    memset(longest, 'x', sizeof longest);
    longest[KF_NAME_MAX] = 0;
    expect_name(longest, longest, false);
    longest[KF_NAME_MAX] = 'x';
    longest[KF_NAME_MAX + 1] = 0;
    expect_name(longest, NULL, false);
}

static void test_positions(void **state)
{
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"epoch\":1}",
                                      "{\"epoch\":,\"ordinal\":0,\"position\":null,\"",
                                      "{\"epoch\":1,\"ordinal\":0,\"position\":\"0\",\"",
                                      "{\"epoch\":1,\"ordinal\":0,\"position\":\"0g\",\"",
                                      "{\"epoch\":1,\"ordinal\":0,\"position\":\"00",
                                      "{\"epoch\":99999999999999999999,\"ordinal\":0,\"position\":null,\"",
                                      "{\"epoch\":1,\"ordinal\":-1,\"position\":null,\""};
    kf_mark m = {.found = false};
    WB_UNUSED(state);
    const char *good = "{\"epoch\":18446744073709551615,\"ordinal\":7,\"position\":\"00ff10\",\"pipeline\":\"x\"}";
    assert_true(kf_position_parse(good, strlen(good), &m));
    assert_true(m.has_stand);
    assert_int_equal(m.epoch, UINT64_MAX);
    assert_int_equal(m.ordinal, 7);
    assert_int_equal(m.pos.len, 3);
    assert_memory_equal(m.pos.p, "\x00\xff\x10", 3);
    good = "{\"epoch\":5,\"ordinal\":0,\"position\":null,\"pipeline\":\"x\"}";
    assert_true(kf_position_parse(good, strlen(good), &m));
    assert_false(m.has_stand);
    assert_int_equal(m.epoch, 5);
    for (size_t i = 0; i < WB_COUNT(bad); i++) assert_false(kf_position_parse(bad[i], strlen(bad[i]), &m));
    for (size_t n = 0; n < strlen(good) - strlen("\"pipeline\":\"x\"}"); n++)
        assert_false(kf_position_parse(good, n, &m));
    wb_out_fini(&m.pos);
}

static void expect_class(rd_kafka_resp_err_t from, wb_code code, wb_next next)
{
    wb_error err;
    wb_error_reset(&err);
    assert_int_equal(kf_fail(&err, from, "it failed"), code);
    assert_int_equal(err.code, code);
    assert_int_equal(err.next, next);
    assert_int_equal(kf_is_final(from), next == WB_NEVER);
    assert_true(err.native[0]);
}

static void test_classes(void **state)
{
    WB_UNUSED(state);
    expect_class(RD_KAFKA_RESP_ERR__TRANSPORT, WB_E_NET, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, WB_E_NET, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, WB_E_SERVER, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, WB_E_SERVER, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, WB_E_SERVER, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE, WB_E_NET, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR__FENCED, WB_E_NET, WB_RECONNECT); /* open looks who it was */
    expect_class(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, WB_E_SERVER, WB_RECONNECT);
    expect_class(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, WB_E_AUTH, WB_NEVER);
    expect_class(RD_KAFKA_RESP_ERR__AUTHENTICATION, WB_E_AUTH, WB_NEVER);
    expect_class(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, WB_E_LIMIT, WB_NEVER);
    expect_class(RD_KAFKA_RESP_ERR_INVALID_RECORD, WB_E_DATA, WB_NEVER);
}

/* ---------------------------------------------------------------- conformance, over the mock */

enum { SNAPSHOT = 40, TRANSACTIONS = 3000, PARTITIONS = 3, TOPIC_TXNS = TRANSACTIONS + 60 };

static char dir[64];
static rd_kafka_t *owner;
static rd_kafka_mock_cluster_t *cluster;

static void new_cluster(void)
{
    char why[256];
    if (cluster) rd_kafka_mock_cluster_destroy(cluster);
    if (!owner) owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
    assert_non_null(owner);
    cluster = rd_kafka_mock_cluster_new(owner, 1);
    assert_int_equal(rd_kafka_mock_topic_create(cluster, "test.public.t", PARTITIONS, 1), 0);
}

static void on_log(void *arg, wb_log_level level, const char *part, const char *text)
{
    WB_UNUSED(arg);
    if (getenv("WB_TEST_LOG")) fprintf(stderr, "%d %s: %s\n", level, part, text);
}

static void *stop_soon(void *arg)
{
    wb_sleep_us(30000 + (int64_t)(the_script.seed * 7919 % 30) * 4000);
    wb_pipeline_stop(arg, the_script.seed % 2 == 0);
    return NULL;
}

static wb_code run(bool stop, wb_error *err)
{
    char yaml[1000];
    wb_error_reset(err);
    snprintf(yaml, sizeof yaml,
             "name: test\nsource: {type: scripted}\nbackoff_min: 1ms\nbackoff_max: 20ms\ncheckpoint_interval: "
             "15ms\ntargets: [{type: kafka, brokers: '%s', format: row, create_topics: false, compression: none, "
             "rdkafka: {socket.timeout.ms: 100}}]\n",
             rd_kafka_mock_cluster_bootstraps(cluster));
    wb_pipeline *p = wb_pipeline_parse(yaml, strlen(yaml), dir, false, err);
    if (!p) fprintf(stderr, "%s: %s\n", err->where, err->message);
    assert_non_null(p);
    wb_pipeline_on_log(p, WB_LOG_DEBUG, on_log, NULL);
    pthread_t t;
    if (stop) assert_int_equal(pthread_create(&t, NULL, stop_soon, p), 0);
    wb_code rc = wb_pipeline_run(p, NULL, err);
    if (stop) pthread_join(t, NULL);
    if (rc != WB_OK) fprintf(stderr, "seed %d: %s: %s\n", (int)the_script.seed, err->where, err->message);
    wb_pipeline_free(p);
    return rc;
}

/* {"txn":T,"ordinal":O}: each at least once; within a partition the first sight of each is in order. */
static void see(const rd_kafka_message_t *m, uint64_t *last, uint8_t found[TOPIC_TXNS][SNAPSHOT])
{
    unsigned long long txn = 0;
    unsigned ordinal = 0;
    char text[100];
    snprintf(text, sizeof text, "%.*s", (int)m->len, (const char *)m->payload);
    assert_int_equal(sscanf(text, "{\"txn\":%llu,\"ordinal\":%u}", &txn, &ordinal), 2);
    assert_true(txn < TOPIC_TXNS && ordinal < SNAPSHOT);
    assert_true(m->key_len > 0);
    if (found[txn][ordinal]) return;
    found[txn][ordinal] = 1;
    uint64_t at = txn * 1000 + ordinal;
    if (txn && last[m->partition] > at)
        fail_msg("%llu/%u came after %llu", txn, ordinal, (unsigned long long)last[m->partition]);
    last[m->partition] = at;
}

static void expect_all(uint64_t upto)
{
    static uint8_t found[TOPIC_TXNS][SNAPSHOT];
    uint64_t last[PARTITIONS] = {0};
    char why[256];
    memset(found, 0, sizeof found);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), why, sizeof why);
    rd_kafka_conf_set(conf, "group.id", "test", why, sizeof why);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", why, sizeof why);
    rd_kafka_conf_set(conf, "isolation.level", "read_uncommitted", why, sizeof why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    assert_non_null(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int i = 0; i < PARTITIONS; i++)
        rd_kafka_topic_partition_list_add(list, "test.public.t", i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(rk, list), 0);
    rd_kafka_topic_partition_list_destroy(list);
    for (int ended = 0; ended < PARTITIONS;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 20000);
        assert_non_null(m);
        if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ended++;
        else if (!m->err)
            see(m, last, found);
        rd_kafka_message_destroy(m);
    }
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    for (uint64_t t = 0; t <= upto; t++)
        for (unsigned o = 0; o < (t ? rows_of(t) : SNAPSHOT); o++)
            if (!found[t][o]) fail_msg("%llu/%u was lost", (unsigned long long)t, o);
}

static void clean(void)
{
    char cmd[160];
    snprintf(cmd, sizeof cmd, "rm -rf %s/test.state", dir);
    assert_int_equal(system(cmd), 0);
    memset(&the_script, 0, sizeof the_script);
    script_nturns = 0;
}

/* What a broker in trouble says: librdkafka tries again, or the producer ends and the checkpoint decides. */
static void make_trouble(void)
{
    rd_kafka_mock_push_request_errors(cluster, 0 /* Produce */, 6, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
}

static void test_suite(void **state)
{
    wb_error err = {0};
    WB_UNUSED(state);
    for (uint64_t round = 0; round < 2; round++) {
        clean();
        new_cluster();
        the_script = (script){.seed = 1000 * round,
                              .transactions = TRANSACTIONS,
                              .snapshot_rows = SNAPSHOT,
                              .turns = round % 2 == 1,
                              .break_one_in = round % 2 == 1 ? 40 : 0};
        for (int i = 0; i < 3; i++) {
            the_script.seed++;
            make_trouble();
            assert_int_equal(run(true, &err), WB_OK);
        }
        assert_int_equal(run(false, &err), WB_OK); /* to the end */
        expect_all(TRANSACTIONS);
        assert_int_equal(the_script.settled, TRANSACTIONS * 10);
        the_script.transactions += 50; /* and it goes on from there */
        assert_int_equal(run(false, &err), WB_OK);
        expect_all(TRANSACTIONS + 50);
    }
}

/* Shut out, and a gap: the producer cannot go on; a new one does, from the checkpoint. */
static void test_producer_that_ends(void **state)
{
    wb_error err = {0};
    WB_UNUSED(state);
    static const rd_kafka_resp_err_t ends[] = {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
                                               RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                               RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, RD_KAFKA_RESP_ERR_INVALID_MSG};
    for (size_t i = 0; i < WB_COUNT(ends); i++) {
        clean();
        new_cluster();
        the_script = (script){.seed = 77 + i, .transactions = 300, .snapshot_rows = SNAPSHOT};
        rd_kafka_mock_push_request_errors(cluster, 0, 2, RD_KAFKA_RESP_ERR_NO_ERROR, ends[i]);
        assert_int_equal(run(false, &err), WB_OK);
        expect_all(300);
    }
    clean();
    new_cluster();
    the_script = (script){.seed = 99, .transactions = 300, .snapshot_rows = SNAPSHOT};
    rd_kafka_mock_push_request_errors(cluster, 0, 2, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    if (run(false, &err) != WB_OK)
        assert_int_equal(err.code, WB_E_AUTH); /* a person must act; while it ends: the next run */
    assert_int_equal(run(false, &err), WB_OK);
    expect_all(300);
}

static int setup(void **state)
{
    WB_UNUSED(state);
    snprintf(dir, sizeof dir, "/tmp/wb-kafka-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    wb_registry_add(&scripted_source.head);
    wb_registry_add(&shaky_target.head);
    return 0;
}
static int teardown(void **state)
{
    WB_UNUSED(state);
    clean();
    if (cluster) rd_kafka_mock_cluster_destroy(cluster);
    if (owner) rd_kafka_destroy(owner);
    return rmdir(dir);
}

int main(void)
{
    /* ThreadSanitizer does not know the threads that librdkafka makes with C11's thrd_create, and crashes in them. */
#ifdef __SANITIZE_THREAD__
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_positions),
                                       cmocka_unit_test(test_classes)};
    WB_UNUSED(test_suite);
    WB_UNUSED(test_producer_that_ends);
#else
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_positions),          cmocka_unit_test(test_classes),
        cmocka_unit_test(test_suite), cmocka_unit_test(test_producer_that_ends),
    };
#endif
    return cmocka_run_group_tests(tests, setup, teardown);
}
#else
int main(void) { return 77; } /* built without kafka */
#endif

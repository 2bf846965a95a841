/* URLs of brokers, and where messages go. */
#include "check.h"

#include "base/node.h"
#include "targets/rabbitmq/rabbitmq.h"

static wb_code parse(wb_arena *a, const char *text, rq_url *u, wb_error *err)
{
    wb_error_reset(err);
    return rq_url_parse(text, a, u, err);
}

static void test_urls(void **state)
{
    WB_UNUSED(state);
    wb_arena a;
    rq_url u;
    wb_error err;
    wb_arena_init(&a, 1024, 0);
    assert_int_equal(parse(&a, "amqp://localhost", &u, &err), WB_OK);
    assert_string_equal(u.user, "guest");
    assert_null(u.password);
    assert_string_equal(u.vhost, "/");
    assert_int_equal(u.hosts[0].port, 5672);
    assert_int_equal(parse(&a, "amqps://me%40home:p%3a%2fw@a.b:99,[::1]:7,c/my%2fvhost", &u, &err), WB_OK);
    assert_string_equal(u.user, "me@home");
    assert_string_equal(u.password, "p:/w");
    assert_string_equal(u.vhost, "my/vhost");
    assert_true(u.tls);
    assert_int_equal(u.nhosts, 3);
    assert_string_equal(u.hosts[0].name, "a.b");
    assert_int_equal(u.hosts[0].port, 99);
    assert_string_equal(u.hosts[1].name, "::1");
    assert_int_equal(u.hosts[1].port, 7);
    assert_int_equal(u.hosts[2].port, 5671);
    assert_int_equal(parse(&a, "amqp://u:p@h/", &u, &err), WB_OK);
    assert_string_equal(u.vhost, "/");
    static const char *const bad[] = {"http://x",
                                      "amqp://",
                                      "amqp://u@",
                                      "amqp://h:0",
                                      "amqp://h:70000",
                                      "amqp://h:5x",
                                      "amqp://%zz@h",
                                      "amqp://h/a/b",
                                      "amqp://h?x=1",
                                      "amqp://h/v?x=1",
                                      "amqp://[::1",
                                      "amqp://[::1]x",
                                      "amqp://u%00@h",
                                      "amqp://h,",
                                      "",
                                      "amqp://h:99999999999999999999"};
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        if (parse(&a, bad[i], &u, &err) != WB_E_CONFIG) fail_msg("%s was taken", bad[i]);
        assert_non_null(strstr(err.message, "url of target rabbitmq"));
    }
    wb_arena_fini(&a);
}

static void expect_place(rq_places *p, const wb_table *t, wb_str topic, const char *exchange, const char *key,
                         const char *queue)
{
    wb_change c = {.op = WB_UPDATE, .table = t};
    wb_txn txn = {.database = WB_STR("db")};
    rq_place *a, *b;
    wb_error err;
    wb_error_reset(&err);
    const wb_message m = {.topic = topic};
    assert_int_equal(rq_place_of(p, &txn, t ? &c : NULL, &m, &a, &err), WB_OK);
    assert_int_equal(rq_place_of(p, &txn, t ? &c : NULL, &m, &b, &err), WB_OK);
    assert_ptr_equal(a, b);
    assert_true(wb_str_is(a->exchange, exchange));
    assert_true(wb_str_is(a->key, key));
    assert_true(wb_str_is(a->queue, queue));
}

#define TEXT(z)                                                                                                        \
    {                                                                                                                  \
        (z), sizeof(z) - 1                                                                                             \
    }
static const wb_table orders = {
    .schema = TEXT("public"), .name = TEXT("orders"), .source_schema = TEXT("public"), .source_name = TEXT("orders")};
static const wb_table routed = {.schema = TEXT("public"), .name = TEXT("orders"), .route = TEXT("elsewhere")};
static const wb_str none = {NULL, 0};

/* A statement about a schema has no table: what would be named after one is called as at the target kafka. */
static void test_places_of_schemas(void **state)
{
    WB_UNUSED(state);
    static const wb_table shop = {.schema = TEXT("shop"), .source_schema = TEXT("shop")};
    wb_error err;
    wb_error_reset(&err);
    rq_places p = {.queue_text = "${table}", .pipeline = "crm"};
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    expect_place(&p, &shop, none, "", "crm.schema", "crm.schema");
    expect_place(&p, &shop, WB_STR("lab"), "", "lab", "lab");
    rq_places_close(&p);
    p = (rq_places){.exchange_text = "all", .pipeline = "crm", .exchange_type = "topic"};
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    expect_place(&p, &shop, none, "all", "shop", "");
    rq_places_close(&p);
    p = (rq_places){.queue_text = "changes", .pipeline = "crm"};
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    expect_place(&p, &shop, none, "", "changes", "changes");
    rq_places_close(&p);
}

static void test_places(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    rq_place *fixed;
    wb_error_reset(&err);
    rq_places p = {.queue_text = "changes", .pipeline = "shop", .exchange_type = "topic"};
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    expect_place(&p, &orders, none, "", "changes", "changes");
    expect_place(&p, &orders, WB_STR("t"), "", "changes", "changes");
    assert_int_equal(rq_place_fixed(&p, &fixed, &err), WB_OK);
    assert_non_null(fixed);
    assert_true(rq_places_fixed_queue(&p));
    assert_int_equal(p.n, 1);
    rq_places_close(&p);

    p = (rq_places){.exchange_text = "${name}", .pipeline = "shop"};
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    expect_place(&p, &orders, none, "shop", "public.orders", "");
    expect_place(&p, &routed, none, "shop", "elsewhere", "");
    expect_place(&p, &routed, WB_STR("lab.public.orders"), "shop", "lab.public.orders", "");
    expect_place(&p, NULL, WB_STR("heartbeat"), "shop", "heartbeat", "");
    rq_places_close(&p);

    p = (rq_places){.exchange_text = "x",
                    .queue_text = "${database}.${table}",
                    .key_text = "${operation}.${topic}",
                    .pipeline = "shop"};
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    expect_place(&p, &orders, WB_STR("T"), "x", "update.T", "db.orders");
    assert_int_equal(rq_place_fixed(&p, &fixed, &err), WB_OK);
    assert_null(fixed);
    for (int i = 0; i < 500; i++) { /* more than there are buckets at first */
        char name[16];
        wb_table t = orders;
        snprintf(name, sizeof name, "t%d", i % 250);
        t.name = wb_str_of(name);
        char queue[32];
        snprintf(queue, sizeof queue, "db.t%d", i % 250);
        expect_place(&p, &t, WB_STR("T"), "x", "update.T", queue);
    }
    assert_int_equal(p.n, 251);
    char big[300];
    memset(big, 'x', sizeof big);
    wb_table t = orders;
    wb_change c = {.op = WB_INSERT, .table = &t};
    t.name = (wb_str){big, sizeof big};
    const wb_message m = {.topic = none};
    assert_int_equal(rq_place_of(&p, NULL, &c, &m, &fixed, &err), WB_E_LIMIT);
    assert_int_equal(err.next, WB_POISON);
    rq_places_close(&p);
}

static wb_node scalar(const char *text)
{
    return (wb_node){.kind = WB_NODE_SCALAR, .text = text, .file = "f", .line = 3};
}

static void test_refusals(void **state)
{
    WB_UNUSED(state);
    wb_error err;
    wb_node type = scalar("quorum"), length = scalar("1000"), overflow = scalar("reject-publish"),
            flag = scalar("true");
    wb_pair pairs[] = {
        {"x-queue-type", 3, &type}, {"x-max-length", 3, &length}, {"x-flag", 3, &flag}, {"x-overflow", 3, &overflow}};
    wb_node map = {.kind = WB_NODE_MAP, .pairs = pairs, .n = 3, .file = "f", .line = 3};
    rq_places p = {.queue_text = "q", .queue_arguments = &map, .pipeline = "shop"};
    wb_error_reset(&err);
    assert_int_equal(rq_places_open(&p, &err), WB_E_CONFIG); /* drop-head */
    assert_non_null(strstr(err.message, "drops its oldest"));
    rq_places_close(&p);
    map.n = 4;
    wb_error_reset(&err);
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    assert_int_equal(p.queue_table.num_entries, 4);
    assert_int_equal(p.queue_table.entries[0].value.kind, AMQP_FIELD_KIND_UTF8);
    assert_int_equal(p.queue_table.entries[1].value.kind, AMQP_FIELD_KIND_I64);
    assert_int_equal(p.queue_table.entries[2].value.kind, AMQP_FIELD_KIND_BOOLEAN);
    rq_places_close(&p);
    map.n = 2;
    type.text = "stream"; /* its nature is to forget */
    wb_error_reset(&err);
    assert_int_equal(rq_places_open(&p, &err), WB_OK);
    rq_places_close(&p);

    p = (rq_places){.pipeline = "shop"};
    wb_error_reset(&err);
    assert_int_equal(rq_places_open(&p, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "needs `queue` or `exchange`"));
    rq_places_close(&p);
    p = (rq_places){.queue_text = "q", .key_text = "k", .pipeline = "shop"};
    wb_error_reset(&err);
    assert_int_equal(rq_places_open(&p, &err), WB_E_CONFIG);
    rq_places_close(&p);
    p = (rq_places){.queue_text = "q${tabel}", .pipeline = "shop"};
    wb_error_reset(&err);
    assert_int_equal(rq_places_open(&p, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.hint, "${table}"));
    rq_places_close(&p);
}

/* What the broker's numbers mean for what is done next. */
static void test_classes(void **state)
{
    WB_UNUSED(state);
    static const struct {
        int number;
        const char *words;
        wb_code code;
        wb_next next;
    } rows[] = {
        {320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", WB_E_NET, WB_RECONNECT},
        {403, "ACCESS_REFUSED - Login was refused", WB_E_AUTH, WB_NEVER},
        {404, "NOT_FOUND - no exchange 'x' in vhost '/'", WB_E_SERVER, WB_RECONNECT},
        {406, "PRECONDITION_FAILED - inequivalent arg 'durable'", WB_E_SERVER, WB_NEVER},
        {530, "NOT_ALLOWED - vhost x not found", WB_E_AUTH, WB_NEVER},
        {530, "NOT_ALLOWED - access refused: connection limit (1) is reached", WB_E_AUTH, WB_RECONNECT},
        {541, "INTERNAL_ERROR", WB_E_SERVER, WB_RECONNECT},
        {599, "new", WB_E_SERVER, WB_RECONNECT},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        wb_error err;
        wb_error_reset(&err);
        assert_int_equal(rq_conn_refused(rows[i].number, amqp_cstring_bytes(rows[i].words), "it", &err), rows[i].code);
        assert_int_equal(err.next, rows[i].next);
        assert_non_null(strstr(err.message, rows[i].words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_urls), cmocka_unit_test(test_places_of_schemas),
                                       cmocka_unit_test(test_places), cmocka_unit_test(test_refusals),
                                       cmocka_unit_test(test_classes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

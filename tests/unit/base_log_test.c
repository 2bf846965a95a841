/* wb_log, wb_node and the clock. */
#include "base/clock.h"
#include "base/log.h"
#include "base/node.h"
#include "check.h"

typedef struct kept {
    int lines;
    char part[40];
    char text[4096];
} kept;

static void keep(void *arg, wb_log_level level, const char *part, const char *text)
{
    WB_UNUSED(level);
    kept *k = arg;
    k->lines++;
    (void)snprintf(k->part, sizeof k->part, "%s", part);
    (void)snprintf(k->text, sizeof k->text, "%s", text);
}

static void test_levels(void **state)
{
    WB_UNUSED(state);
    kept k = {0};
    wb_logger l = {keep, &k, WB_LOG_INFO};
    wb_log(&l, WB_LOG_DEBUG, "engine", "no");
    assert_int_equal(k.lines, 0);
    wb_log(&l, WB_LOG_INFO, "engine", "yes %d", 1);
    wb_log(&l, WB_LOG_ERROR, "source", "yes %d", 2);
    assert_int_equal(k.lines, 2);
    assert_string_equal(k.part, "source");
    assert_string_equal(k.text, "yes 2");
    wb_logger silent = {NULL, NULL, WB_LOG_DEBUG};
    wb_log(&silent, WB_LOG_ERROR, "engine", "nobody");
    wb_log(NULL, WB_LOG_ERROR, "engine", "nobody");
}

static void test_one_line_stays_one(void **state)
{
    WB_UNUSED(state);
    kept k = {0};
    wb_logger l = {keep, &k, WB_LOG_DEBUG};
    wb_log(&l, WB_LOG_INFO, "source", "server says: %s", "ERROR:\n  no\r\n\x1B[2Jgone\t\n");
    assert_string_equal(k.text, "server says: ERROR:   no   [2Jgone");
    char large[5000];
    memset(large, 'a', sizeof large);
    large[sizeof large - 1] = 0;
    wb_log(&l, WB_LOG_INFO, "source", "%s", large);
    assert_int_equal(strlen(k.text), 2047);
    assert_string_equal(k.text + 2044, "...");
}

static void test_an_error_in_one_line(void **state)
{
    WB_UNUSED(state);
    kept k = {0};
    wb_logger l = {keep, &k, WB_LOG_DEBUG};
    wb_error e = {0};
    wb_log_error(&l, WB_LOG_ERROR, "source", &e);
    wb_log_error(&l, WB_LOG_ERROR, "source", NULL);
    assert_int_equal(k.lines, 0);
    (void)wb_fail(&e, WB_E_SERVER, WB_NEVER, "slot is gone");
    wb_log_error(&l, WB_LOG_ERROR, "source", &e);
    assert_string_equal(k.text, "slot is gone");
    wb_error_where(&e, "source postgres");
    (void)snprintf(e.native, sizeof e.native, "42704");
    wb_hint(&e, "Make it again.");
    wb_log_error(&l, WB_LOG_ERROR, "source", &e);
    assert_string_equal(k.text, "source postgres: slot is gone [42704]. Make it again.");
}

static wb_node scalar(const char *text, bool quoted)
{
    return (wb_node){.kind = WB_NODE_SCALAR, .line = 3, .file = "shop.yaml", .text = text, .quoted = quoted};
}

static void test_node_null(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *text;
        bool quoted, null;
    } rows[] = {{"", false, true},     {"~", false, true},      {"null", false, true}, {"", true, false},
                {"null", true, false}, {"nullx", false, false}, {"0", false, false},   {NULL, false, true}};
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        wb_node n = scalar(rows[i].text, rows[i].quoted);
        assert_int_equal(wb_node_null(&n), rows[i].null);
    }
    wb_node list = {.kind = WB_NODE_LIST};
    assert_false(wb_node_null(&list));
    assert_true(wb_node_null(NULL));
}

static void test_node_get(void **state)
{
    WB_UNUSED(state);
    wb_node a = scalar("1", false), b = scalar("2", false);
    wb_pair pairs[] = {{"a", 3, &a}, {"b", 3, &b}};
    wb_node map = {.kind = WB_NODE_MAP, .n = 2, .pairs = pairs};
    assert_ptr_equal(wb_node_get(&map, "b"), &b);
    assert_null(wb_node_get(&map, "c"));
    assert_null(wb_node_get(&a, "a"));
    assert_null(wb_node_get(NULL, "a"));
}

static void test_node_fail_says_where(void **state)
{
    WB_UNUSED(state);
    wb_node n = scalar("x", false);
    wb_error e = {0};
    assert_int_equal(wb_node_fail(&n, &e, "%s is wrong", "x"), WB_E_CONFIG);
    assert_int_equal(e.next, WB_NEVER);
    assert_string_equal(e.where, "shop.yaml:3");
    assert_string_equal(e.message, "x is wrong");
    n.line = 9;
    assert_int_equal(wb_node_fail(&n, &e, "second"), WB_E_CONFIG);
    assert_string_equal(e.where, "shop.yaml:3");
    assert_int_equal(wb_node_fail(&n, NULL, "nobody"), WB_E_CONFIG);
    wb_error f = {0};
    assert_int_equal(wb_node_fail(NULL, &f, "x"), WB_E_CONFIG);
    assert_string_equal(f.where, "");
}

static void test_node_fail_keeps_the_end_of_a_long_path(void **state)
{
    WB_UNUSED(state);
    char path[300];
    memset(path, 'd', sizeof path);
    (void)snprintf(path + 200, 100, "/shop.yaml");
    wb_node n = {.line = 12345, .file = path};
    wb_error e = {0};
    (void)wb_node_fail(&n, &e, "x");
    assert_int_equal(strlen(e.where), sizeof e.where - 1);
    assert_int_equal(strncmp(e.where, "...d", 4), 0);
    assert_non_null(strstr(e.where, "/shop.yaml:12345"));
}

static void test_clock(void **state)
{
    WB_UNUSED(state);
    int64_t wall = wb_now_us(), start = wb_mono_us();
    assert_true(wall > 1700000000000000); /* 2023 */
    wb_sleep_us(5000);
    wb_sleep_us(0);
    wb_sleep_us(-1);
    assert_true(wb_mono_us() - start >= 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_one_line_stays_one),
        cmocka_unit_test(test_an_error_in_one_line),
        cmocka_unit_test(test_node_null),
        cmocka_unit_test(test_node_get),
        cmocka_unit_test(test_node_fail_says_where),
        cmocka_unit_test(test_node_fail_keeps_the_end_of_a_long_path),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

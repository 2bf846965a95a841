/* Rows of COPY to changes. */
#include "postgres_help.h"

typedef struct copy_case {
    const char *line, *want;
} copy_case;

static wb_table *make_table(const uint32_t *oids, size_t n)
{
    pg_rel_col cols[8];
    pg_relation r = {.oid = 1, .schema = WB_STR("s"), .name = WB_STR("t"), .identity = 'd', .ncols = (uint32_t)n};
    for (size_t i = 0; i < n; i++) cols[i] = (pg_rel_col){WB_STR("c"), oids[i], -1, i == 0};
    r.cols = cols;
    wb_table *t = pg_table_of_relation(&r);
    assert_non_null(t);
    return t;
}

static wb_code copy_line(const wb_table *t, const char *p, size_t n, wb_out *shown, wb_error *err)
{
    wb_batch *b = wb_batch_loose();
    char *exact = malloc(n ? n : 1);
    memcpy(exact, p, n);
    wb_error_reset(err);
    wb_code code = pg_copy_row(t, exact, n, b, err);
    free(exact); /* the batch has its own bytes */
    wb_out_reset(shown);
    assert_int_equal(wb_batch_count(b), code == WB_OK);
    if (code == WB_OK) show_change(shown, &b->changes[0]);
    wb_out_byte(shown, 0);
    wb_batch_unref(b);
    return code;
}

static void check(const wb_table *t, const copy_case *rows, size_t n)
{
    wb_out o = {0};
    wb_error err;
    for (size_t i = 0; i < n; i++) {
        char line[200];
        wb_code code = copy_line(t, rows[i].line, strlen(rows[i].line), &o, &err);
        if (code != WB_OK) print_error("%s: %s\n", rows[i].line, err.message);
        assert_int_equal(code, WB_OK);
        assert_string_equal(o.p, rows[i].want);
        snprintf(line, sizeof line, "%s\n", rows[i].line);
        assert_int_equal(copy_line(t, line, strlen(line), &o, &err), WB_OK);
        assert_string_equal(o.p, rows[i].want);
    }
    wb_out_fini(&o);
}

static void test_rows(void **state)
{
    (void)state;
    const uint32_t oids[] = {23, 25, 17};
    wb_table *t = make_table(oids, 3);
    const copy_case rows[] = {
        {"1\tabc\t\\\\x00ff", "READ s.t after(int:1, text:abc, bytes:\\x00ff)"},
        {"1\t\t\\N", "READ s.t after(int:1, text:, null)"},
        {"\\N\t\\N\t\\N", "READ s.t after(null, null, null)"},
        {"1\tno escapes\tx", "READ s.t after(int:1, text:no escapes, other:x)"},
        {"1\t\\\\N\t\\N", "READ s.t after(int:1, text:\\N, null)"},
        {"1\tN\t\\N", "READ s.t after(int:1, text:N, null)"},
        {"1\ta\\tb\\nc\\\\d\\re\t\\N", "READ s.t after(int:1, text:a\tb\nc\\d\re, null)"},
        {"1\t\\b\\f\\v\t\\N", "READ s.t after(int:1, text:\b\f\v, null)"},
        {"1\t\\101\\x42\\7x\\x4g\\q\\xg\t\\N", "READ s.t after(int:1, text:AB\7x\4gqxg, null)"},
        {"1\té\\t日\t\\N", "READ s.t after(int:1, text:é\t日, null)"},
    };
    check(t, rows, sizeof rows / sizeof rows[0]);
    wb_table_unref(t);
}

/* The same text as in the stream becomes the same value. */
static void test_same_values_as_the_stream(void **state)
{
    (void)state;
    const uint32_t oids[] = {1082, 1184, 1700, 790};
    const char *const fields[] = {"infinity", "2024-02-29 10:00:00.123456+00", "NaN", "-$1,234.56"};
    wb_table *t = make_table(oids, 4);
    const char want[] =
        "READ s.t after(other:infinity, timestamptz:2024-02-29 10:00:00.123456+00, decimal:NaN, other:-$1,234.56)";
    const copy_case row = {"infinity\t2024-02-29 10:00:00.123456+00\tNaN\t-$1,234.56", want};
    check(t, &row, 1);
    wb_table_unref(t);

    fixture *f = fixture_new(1000);
    RELATION(f, 0, 1, 'd', {"a", 1082, -1, 1}, {"b", 1184, -1, 0}, {"c", 1700, -1, 0}, {"d", 790, -1, 0});
    decode_ok(f);
    put_head(&f->m, 'I', 0, 1);
    put_tuple(&f->m, 'N', fields, 4);
    decode_ok(f);
    assert_string_equal(strstr(last_change(f), " after"), strstr(want, " after"));
    fixture_free(f);
}

static void test_one_and_no_column(void **state)
{
    (void)state;
    const uint32_t oids[] = {25};
    wb_table *t = make_table(oids, 1);
    const copy_case rows[] = {
        {"", "READ s.t after(text:)"}, {"\\N", "READ s.t after(null)"}, {".", "READ s.t after(text:.)"}};
    check(t, rows, 3);
    wb_table_unref(t);
    t = make_table(NULL, 0);
    const copy_case none = {"", "READ s.t after()"};
    check(t, &none, 1);
    wb_table_unref(t);
}

/* The row is looked at in blocks, and its end in another way: the tab, and an escape, at every place of every length.
 */
static void test_every_length(void **state)
{
    (void)state;
    const uint32_t oids[] = {25, 25};
    wb_table *t = make_table(oids, 2);
    wb_out o = {0};
    wb_error err;
    for (int n = 1; n <= 50; n++) {
        for (int at = 0; at < n; at++) {
            char line[64], want[160], left[64] = "", right[64] = "";
            for (int i = 0; i < n; i++) line[i] = (char)(i == at ? '\t' : 'a' + i % 26);
            memcpy(left, line, (size_t)at);
            memcpy(right, line + at + 1, (size_t)(n - at - 1));
            snprintf(want, sizeof want, "READ s.t after(text:%s, text:%s)", left, right);
            assert_int_equal(copy_line(t, line, (size_t)n, &o, &err), WB_OK);
            assert_string_equal(o.p, want);
            if (at + 3 > n) continue; /* an escaped backslash at the beginning of the second one */
            line[at + 1] = line[at + 2] = '\\';
            right[1] = '\\';
            snprintf(want, sizeof want, "READ s.t after(text:%s, text:%s)", left, right + 1);
            assert_int_equal(copy_line(t, line, (size_t)n, &o, &err), WB_OK);
            assert_string_equal(o.p, want);
        }
    }
    wb_table_unref(t);
    wb_out_fini(&o);
}

static void test_refusals(void **state)
{
    (void)state;
    const uint32_t oids[] = {23, 25};
    wb_table *t = make_table(oids, 2);
    wb_out o = {0};
    wb_error err;
    assert_int_equal(copy_line(t, "1", 1, &o, &err), WB_E_SCHEMA);
    assert_int_equal(copy_line(t, "", 0, &o, &err), WB_E_SCHEMA);
    assert_int_equal(copy_line(t, "1\t2\t3", 5, &o, &err), WB_E_SCHEMA);
    assert_string_equal(err.message, "A row of the snapshot of table s.t does not have 2 columns.");
    assert_int_equal(copy_line(t, "1\tab\\", 5, &o, &err), WB_E_PROTOCOL);
    assert_int_equal(copy_line(t, "1\\\t2", 4, &o, &err), WB_E_PROTOCOL);
    wb_table_unref(t);
    t = make_table(NULL, 0);
    assert_int_equal(copy_line(t, "1", 1, &o, &err), WB_E_SCHEMA);
    wb_table_unref(t);
    wb_out_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_same_values_as_the_stream),
        cmocka_unit_test(test_one_and_no_column),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

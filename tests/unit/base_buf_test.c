/* wb_rd and wb_out: bounds, sticky failure, limits, numbers; CRC-32C. */
#include "base/buf.h"
#include "check.h"

static void test_reader_reads_big_endian(void **state)
{
    WB_UNUSED(state);
    static const uint8_t bytes[] = {0xFE, 0x01, 0x02, 0x80, 0, 0, 1, 0xFF, 0, 0, 0, 0, 0, 0, 2, 'h', 'i', 0, 0};
    wb_rd r = wb_rd_of(bytes, sizeof bytes);
    assert_int_equal(wb_rd_u8(&r), 0xFE);
    assert_int_equal(wb_rd_be16(&r), 0x0102);
    assert_int_equal(wb_rd_be32(&r), 0x80000001u);
    assert_true(wb_rd_be64(&r) == 0xFF00000000000002u);
    assert_true(wb_str_is(wb_rd_cstr(&r), "hi"));
    assert_true(wb_str_is(wb_rd_cstr(&r), ""));
    assert_int_equal(wb_rd_left(&r), 0);
    assert_false(r.failed);
}

static void test_reader_failure_is_sticky(void **state)
{
    WB_UNUSED(state);
    static const uint8_t bytes[] = {1, 2, 3};
    wb_rd r = wb_rd_of(bytes, sizeof bytes);
    assert_int_equal(wb_rd_be32(&r), 0);
    assert_true(r.failed);
    assert_int_equal(wb_rd_u8(&r), 0);
    assert_int_equal(wb_rd_be16(&r), 0);
    assert_true(wb_rd_be64(&r) == 0);
    assert_null(wb_rd_bytes(&r, 0));
    assert_int_equal(wb_rd_left(&r), 0);
    assert_int_equal(wb_rd_cstr(&r).len, 0);
}

static void test_reader_refuses_absurd_lengths(void **state)
{
    WB_UNUSED(state);
    static const uint8_t bytes[] = {1, 2, 3};
    static const size_t lengths[] = {4, SIZE_MAX, SIZE_MAX - 2, (size_t)1 << 63};
    for (size_t i = 0; i < WB_COUNT(lengths); i++) {
        wb_rd r = wb_rd_of(bytes, sizeof bytes);
        assert_null(wb_rd_bytes(&r, lengths[i]));
        assert_true(r.failed);
    }
}

static void test_reader_string_without_end(void **state)
{
    WB_UNUSED(state);
    static const uint8_t bytes[] = {'a', 'b'};
    wb_rd r = wb_rd_of(bytes, sizeof bytes);
    wb_str s = wb_rd_cstr(&r);
    assert_int_equal(s.len, 0);
    assert_non_null(s.ptr);
    assert_true(r.failed);
    wb_rd none = wb_rd_of(NULL, 0);
    assert_int_equal(wb_rd_cstr(&none).len, 0);
    assert_true(none.failed);
}

static void test_writer_grows(void **state)
{
    WB_UNUSED(state);
    wb_out o = {0};
    wb_out_put(&o, NULL, 0);
    assert_int_equal(o.len, 0);
    assert_false(o.failed);
    for (int i = 0; i < 10000; i++) wb_out_byte(&o, (char)('a' + i % 26));
    wb_out_z(&o, "end");
    wb_out_str(&o, WB_STR("!"));
    wb_out_put(&o, NULL, 0);
    assert_int_equal(o.len, 10004);
    assert_memory_equal(o.p + 10000, "end!", 4);
    assert_int_equal(o.p[27], 'b');
    size_t cap = o.cap;
    wb_out_reset(&o);
    assert_int_equal(o.len, 0);
    assert_int_equal(o.cap, cap);
    wb_out_fini(&o);
    assert_null(o.p);
    wb_out_fini(&o);
}

static void test_writer_limit_is_sticky(void **state)
{
    WB_UNUSED(state);
    wb_out o = {.limit = 300};
    char text[299];
    memset(text, 'x', sizeof text);
    wb_out_put(&o, text, sizeof text);
    wb_out_byte(&o, 'y'); /* exactly the limit */
    assert_false(o.failed);
    assert_int_equal(o.len, 300);
    wb_out_byte(&o, 'z');
    assert_true(o.failed);
    assert_int_equal(o.len, 300);
    wb_out_u64(&o, 7);
    wb_out_printf(&o, "%d", 7);
    wb_out_be64(&o, 7);
    assert_null(wb_out_room(&o, 0));
    assert_int_equal(o.len, 300);
    wb_out_reset(&o);
    wb_out_byte(&o, 'a');
    assert_false(o.failed);
    assert_int_equal(o.len, 1);
    wb_out_fini(&o);
}

static void test_writer_sizes_that_overflow_fail(void **state)
{
    WB_UNUSED(state);
    wb_out o = {0};
    wb_out_byte(&o, 'a');
    assert_null(wb_out_room(&o, SIZE_MAX));
    assert_true(o.failed);
    wb_out_reset(&o);
    assert_null(wb_out_room(&o, WB_OUT_LIMIT + 1));
    assert_true(o.failed);
    wb_out_fini(&o);
}

static void test_writer_numbers(void **state)
{
    WB_UNUSED(state);
    static const uint64_t values[] = {0,
                                      9,
                                      10,
                                      99,
                                      100,
                                      999,
                                      1000,
                                      9999,
                                      10000,
                                      99999,
                                      100000,
                                      12345678,
                                      4294967295u,
                                      UINT64_MAX,
                                      UINT64_MAX / 10,
                                      10000000000000000000u};
    char want[64];
    for (size_t i = 0; i < WB_COUNT(values); i++) {
        wb_out o = {0};
        wb_out_u64(&o, values[i]);
        (void)snprintf(want, sizeof want, "%llu", (unsigned long long)values[i]);
        assert_int_equal(o.len, strlen(want));
        assert_memory_equal(o.p, want, o.len);
        wb_out_reset(&o);
        wb_out_i64(&o, (int64_t)values[i]);
        (void)snprintf(want, sizeof want, "%lld", (long long)values[i]);
        assert_int_equal(o.len, strlen(want));
        assert_memory_equal(o.p, want, o.len);
        wb_out_fini(&o);
    }
    wb_out o = {0};
    wb_out_i64(&o, INT64_MIN);
    assert_int_equal(o.len, 20);
    assert_memory_equal(o.p, "-9223372036854775808", 20);
    wb_out_fini(&o);
}

static void test_writer_number_needs_only_its_digits(void **state)
{
    WB_UNUSED(state);
    wb_out o = {.limit = 3};
    wb_out_u64(&o, 123);
    assert_false(o.failed);
    wb_out_u64(&o, 4);
    assert_true(o.failed);
    wb_out_fini(&o);
}

static void test_writer_printf(void **state)
{
    WB_UNUSED(state);
    wb_out o = {0};
    wb_out_printf(&o, "%s", "");
    assert_int_equal(o.len, 0);
    for (int n = 0; n < 700; n += 7) {
        wb_out_reset(&o);
        wb_out_printf(&o, "<%0*d>", n + 1, 3);
        assert_false(o.failed);
        assert_int_equal(o.len, (size_t)n + 3);
        assert_int_equal(o.p[0], '<');
        assert_int_equal(o.p[o.len - 1], '>');
        assert_int_equal(o.p[o.len - 2], '3');
    }
    wb_out_fini(&o);
}

static void test_writer_big_endian_reads_back(void **state)
{
    WB_UNUSED(state);
    wb_out o = {0};
    wb_out_be16(&o, 0x1234);
    wb_out_be32(&o, 0x89ABCDEF);
    wb_out_be64(&o, 0x0102030405060708u);
    assert_int_equal(o.len, 14);
    assert_int_equal((uint8_t)o.p[0], 0x12);
    wb_rd r = wb_rd_of(o.p, o.len);
    assert_int_equal(wb_rd_be16(&r), 0x1234);
    assert_int_equal(wb_rd_be32(&r), 0x89ABCDEF);
    assert_true(wb_rd_be64(&r) == 0x0102030405060708u);
    wb_out_fini(&o);
}

/* Values of RFC 3720, appendix B.4. */
static void test_crc32c_known_values(void **state)
{
    WB_UNUSED(state);
    uint8_t bytes[32];
    assert_int_equal(wb_crc32c(0, "123456789", 9), 0xE3069283u);
    assert_int_equal(wb_crc32c(0, "", 0), 0);
    memset(bytes, 0, 32);
    assert_int_equal(wb_crc32c(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xFF, 32);
    assert_int_equal(wb_crc32c(0, bytes, 32), 0x62A8AB43u);
    for (uint8_t i = 0; i < 32; i++) bytes[i] = i;
    assert_int_equal(wb_crc32c(0, bytes, 32), 0x46DD794Eu);
    uint32_t whole = wb_crc32c(0, bytes, 32);
    for (size_t cut = 0; cut <= 32; cut++)
        assert_int_equal(wb_crc32c(wb_crc32c(0, bytes, cut), bytes + cut, 32 - cut), whole);
}

static void test_checked_sums(void **state)
{
    WB_UNUSED(state);
    size_t v;
    assert_true(wb_add_ok(1, 2, &v));
    assert_int_equal(v, 3);
    assert_false(wb_add_ok(SIZE_MAX, 1, &v));
    assert_true(wb_mul_ok(3, 4, &v));
    assert_int_equal(v, 12);
    assert_false(wb_mul_ok(SIZE_MAX / 2, 3, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_reads_big_endian),
        cmocka_unit_test(test_reader_failure_is_sticky),
        cmocka_unit_test(test_reader_refuses_absurd_lengths),
        cmocka_unit_test(test_reader_string_without_end),
        cmocka_unit_test(test_writer_grows),
        cmocka_unit_test(test_writer_limit_is_sticky),
        cmocka_unit_test(test_writer_sizes_that_overflow_fail),
        cmocka_unit_test(test_writer_numbers),
        cmocka_unit_test(test_writer_number_needs_only_its_digits),
        cmocka_unit_test(test_writer_printf),
        cmocka_unit_test(test_writer_big_endian_reads_back),
        cmocka_unit_test(test_crc32c_known_values),
        cmocka_unit_test(test_checked_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

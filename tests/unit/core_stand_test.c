/* Stands are compared by position, then by ordinal, and never by the bytes of a struct. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/stand.h"

enum { LEN = 8 };
/* Positions of a source, big-endian. */
static wb_stand at(uint8_t bytes[LEN], uint64_t place, uint64_t ordinal)
{
    for (int i = 0; i < LEN; i++) bytes[i] = (uint8_t)(place >> (56 - 8 * i));
    return (wb_stand){{bytes, LEN}, ordinal};
}
static int compare(wb_pos a, wb_pos b)
{
    int order = memcmp(a.ptr, b.ptr, LEN);
    return (order > 0) - (order < 0);
}

static void test_d24_position_before_ordinal(void **state)
{
    WB_UNUSED(state);
    static const struct {
        uint64_t place;
        uint64_t ordinal;
    } rising[] = {{0, 0}, {0, 9}, {9, 0}, {9, 10}, {9, 1000}, {10, 0}, {0x100, 2}, {0x100000000, 1}, {0x100000000, 2}};
    for (size_t i = 0; i < WB_COUNT(rising); i++)
        for (size_t k = 0; k < WB_COUNT(rising); k++) {
            uint8_t a[LEN], b[LEN];
            int order = wb_stand_compare(compare, at(a, rising[i].place, rising[i].ordinal),
                                         at(b, rising[k].place, rising[k].ordinal));
            assert_int_equal(order, i < k ? -1 : i > k);
        }
}

static void test_no_position_comes_first(void **state)
{
    WB_UNUSED(state);
    uint8_t a[LEN];
    wb_stand none = {{NULL, 0}, 5}, less = {{NULL, 0}, 4}, some = at(a, 1, 0);
    assert_int_equal(wb_stand_compare(compare, none, some), -1);
    assert_int_equal(wb_stand_compare(compare, some, none), 1);
    assert_int_equal(wb_stand_compare(compare, less, none), -1);
    assert_int_equal(wb_stand_compare(compare, none, none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d24_position_before_ordinal),
        cmocka_unit_test(test_no_position_comes_first),
    };
    return cmocka_run_group_tests_name("stand", tests, NULL, NULL);
}

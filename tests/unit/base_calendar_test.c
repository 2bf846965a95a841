/* Days to dates and back, and times of day as text. */
#include "base/calendar.h"
#include "check.h"

static void days_and_dates_agree(void **state)
{
    (void)state;
    int64_t day = wb_days_of(-5000, 1, 1), year = -5000;
    unsigned month = 1, dom = 1;
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (; year < 12000; day++) {
        wb_date d = wb_date_of(day);
        assert_true(d.year == year && d.month == month && d.day == dom);
        assert_true(wb_days_of(year, month, dom) == day);
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (++dom > lengths[month - 1] + (month == 2 && leap)) {
            dom = 1;
            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }
    assert_true(wb_days_of(1970, 1, 1) == 0 && wb_days_of(2000, 3, 1) == 11017);
}

static void a_day_before_1970_has_its_rest(void **state)
{
    (void)state;
    int64_t rest;
    assert_true(wb_day_of(-1, &rest) == -1 && rest == WB_DAY_US - 1);
    assert_true(wb_day_of(-WB_DAY_US, &rest) == -1 && rest == 0);
    assert_true(wb_day_of(WB_DAY_US + 5, &rest) == 1 && rest == 5);
}

static void clock_is(int64_t us, const char *want)
{
    char text[32];
    *wb_put_clock(text, us) = 0;
    assert_string_equal(text, want);
}

static void clocks_have_signs_and_fractions(void **state)
{
    (void)state;
    clock_is(0, "00:00:00");
    clock_is(45296000001, "12:34:56.000001");
    clock_is(45296500000, "12:34:56.5");
    clock_is(-5400000000, "-01:30:00");
    clock_is(-INT64_C(3020399) * 1000000, "-838:59:59");
    clock_is(WB_DAY_US, "24:00:00");
    clock_is(INT64_MIN, "-2562047788:00:54.775808");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_and_dates_agree),
        cmocka_unit_test(a_day_before_1970_has_its_rest),
        cmocka_unit_test(clocks_have_signs_and_fractions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

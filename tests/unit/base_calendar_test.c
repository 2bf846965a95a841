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

static void time_is(const char *text, int64_t want)
{
    int64_t us = 0;
    assert_true(wb_time_parse(text, &us));
    assert_int_equal(us, want);
}

static void moments_are_read(void **state)
{
    (void)state;
    const int64_t noon = INT64_C(1717243200) * 1000000;
    time_is("2024-06-01T12:00:00Z", noon);
    time_is("2024-06-01 12:00:00", noon);
    time_is("2024-06-01t12:00:00z", noon);
    time_is("2024-06-01 12:00", noon);
    time_is("2024-06-01T14:00:00+02:00", noon);
    time_is("2024-06-01T14:00:00+02", noon);
    time_is("2024-06-01T06:30:00-05:30", noon);
    time_is("2024-06-01T12:00:00.5Z", noon + 500000);
    time_is("2024-06-01T14:00:00.000001999+02:00", noon + 1);
    time_is("2024-06-01", noon - INT64_C(43200) * 1000000);
    time_is("2024-02-29", INT64_C(19782) * WB_DAY_US);
    time_is("1970-01-01", 0);
    static const char *const none[] = {"",
                                       "2024",
                                       "2024-6-1",
                                       "2024-06-01T",
                                       "2024-06-01 12",
                                       "2024-06-01 24:00",
                                       "2024-13-01",
                                       "2024-02-30",
                                       "2023-02-29",
                                       "2024-06-00",
                                       "2024-06-01 12:00:60",
                                       "2024-06-01T12:00:00.Z",
                                       "now",
                                       "2024-06-01Z+1",
                                       "2024-06-01+02:0",
                                       "2024-06-01+2",
                                       "2024-06-01 12:00:00 Z",
                                       "2024-06-01T12:00:00+24:00",
                                       "12:00:00",
                                       "2024-06-01+",
                                       "2024-06-01+02:60",
                                       "2024-06-01+02:00x"};
    for (size_t i = 0; i < WB_COUNT(none); i++) {
        int64_t us;
        if (wb_time_parse(none[i], &us)) fail_msg("'%s' is no time", none[i]);
    }
}

static void moments_are_written_as_they_are_read(void **state)
{
    (void)state;
    static const char *const texts[] = {"2024-06-01T12:00:00Z", "1999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.5Z",
                                        "0001-01-01T00:00:00Z"};
    for (size_t i = 0; i < WB_COUNT(texts); i++) {
        char out[WB_TIME_TEXT];
        int64_t us;
        assert_true(wb_time_parse(texts[i], &us));
        assert_string_equal(wb_time_text(us, out), texts[i]);
    }
    char out[WB_TIME_TEXT];
    assert_true(strlen(wb_time_text(INT64_MIN, out)) < WB_TIME_TEXT);
    assert_true(strlen(wb_time_text(INT64_MAX, out)) < WB_TIME_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_and_dates_agree),
        cmocka_unit_test(a_day_before_1970_has_its_rest),
        cmocka_unit_test(clocks_have_signs_and_fractions),
        cmocka_unit_test(moments_are_read),
        cmocka_unit_test(moments_are_written_as_they_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

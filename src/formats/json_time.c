/* json_time.c: dates and times that travel as numbers, as ISO 8601. Called by json.c; the usual form is the source's
 * text, which json.c copies. */
#include "formats/json.h"

static char *put_2(char *q, unsigned v)
{
    q[0] = (char)('0' + v / 10 % 10);
    q[1] = (char)('0' + v % 10);
    return q + 2;
}

/* Days since 1970 to year, month, day (proleptic Gregorian; the method of "chrono-compatible low-level algorithms"). */
static char *put_date(char *q, int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = (int64_t)yoe + era * 400 + (month <= 2);
    if (year < 0 || year > 9999) { /* ISO 8601's expanded form: with a sign */
        *q++ = year < 0 ? '-' : '+';
        year = year < 0 ? -year : year;
    }
    if (year > 9999) {
        q = wb_json_put_u64(q, (uint64_t)year);
    } else {
        q = put_2(q, (unsigned)year / 100);
        q = put_2(q, (unsigned)year % 100);
    }
    *q++ = '-';
    q = put_2(q, month);
    *q++ = '-';
    return put_2(q, doy - (153 * mp + 2) / 5 + 1);
}

/* HH:MM:SS and the fraction without trailing zeros, as PostgreSQL prints it. */
static char *put_clock(char *q, int64_t us)
{
    if (us < 0) {
        *q++ = '-';
        us = -us;
    }
    uint64_t s = (uint64_t)us / 1000000, fraction = (uint64_t)us % 1000000;
    if (s >= 360000)
        q = wb_json_put_u64(q, s / 3600);
    else
        q = put_2(q, (unsigned)(s / 3600));
    *q++ = ':';
    q = put_2(q, (unsigned)(s / 60 % 60));
    *q++ = ':';
    q = put_2(q, (unsigned)(s % 60));
    if (!fraction) return q;
    *q++ = '.';
    for (uint64_t unit = 100000; fraction; fraction %= unit, unit /= 10) *q++ = (char)('0' + fraction / unit);
    return q;
}

static char *put_stamp(char *q, int64_t us)
{
    const int64_t day = INT64_C(86400) * 1000000;
    int64_t days = us / day, rest = us % day;
    if (rest < 0) {
        rest += day;
        days--;
    }
    q = put_date(q, days);
    *q++ = 'T';
    return put_clock(q, rest);
}

char *wb_json_put_time(char *q, const wb_value *v)
{
    *q++ = '"';
    if (v->kind == WB_DATE)
        q = put_date(q, v->as.i);
    else if (v->kind == WB_TIME)
        q = put_clock(q, v->as.i);
    else
        q = put_stamp(q, v->as.i);
    if (v->kind == WB_TIMESTAMPTZ) *q++ = 'Z';
    *q++ = '"';
    return q;
}

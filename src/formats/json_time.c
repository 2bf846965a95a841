/* json_time.c: dates and times that travel as numbers, as ISO 8601. Called by json.c; the usual form is the source's
 * text, which json.c copies. */
#include "base/calendar.h"
#include "formats/json.h"

static char *put_2(char *q, unsigned v)
{
    q[0] = (char)('0' + v / 10 % 10);
    q[1] = (char)('0' + v % 10);
    return q + 2;
}

static char *put_date(char *q, int64_t days)
{
    wb_date d = wb_date_of(days);
    if (d.year < 0 || d.year > 9999) { /* ISO 8601's expanded form: with a sign */
        *q++ = d.year < 0 ? '-' : '+';
        d.year = d.year < 0 ? -d.year : d.year;
    }
    if (d.year > 9999) {
        q = wb_json_put_u64(q, (uint64_t)d.year);
    } else {
        q = put_2(q, (unsigned)d.year / 100);
        q = put_2(q, (unsigned)d.year % 100);
    }
    *q++ = '-';
    q = put_2(q, d.month);
    *q++ = '-';
    return put_2(q, d.day);
}

static char *put_stamp(char *q, int64_t us)
{
    int64_t rest, days = wb_day_of(us, &rest);
    q = put_date(q, days);
    *q++ = 'T';
    return wb_put_clock(q, rest);
}

char *wb_json_put_time(char *q, const wb_value *v)
{
    *q++ = '"';
    if (v->kind == WB_DATE)
        q = put_date(q, v->as.i);
    else if (v->kind == WB_TIME)
        q = wb_put_clock(q, v->as.i);
    else
        q = put_stamp(q, v->as.i);
    if (v->kind == WB_TIMESTAMPTZ) *q++ = 'Z';
    *q++ = '"';
    return q;
}

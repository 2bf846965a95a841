/* calendar.c: a time of day, or a span of hours, as text. Called wherever times in number form are written. */
#include "base/calendar.h"

#include <stdio.h>

static char *put_2(char *q, unsigned v)
{
    q[0] = (char)('0' + v / 10 % 10);
    q[1] = (char)('0' + v % 10);
    return q + 2;
}

char *wb_put_clock(char *q, int64_t us)
{
    uint64_t u = us < 0 ? (uint64_t)0 - (uint64_t)us : (uint64_t)us;
    uint64_t s = u / 1000000, fraction = u % 1000000;
    if (us < 0) *q++ = '-';
    if (s >= 360000)
        q += snprintf(q, 12, "%llu", (unsigned long long)(s / 3600));
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

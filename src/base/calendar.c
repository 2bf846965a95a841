/* calendar.c: a time of day, a span of hours, or a moment, as text, and a moment as people write it. Called wherever
 * times in number form are written, and by options that take a time. */
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

/* ---------------------------------------------------------------- moments */

static int digits(const char *p, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

/* "", Z, +02, +02:00 */
static bool parse_offset(const char *p, int64_t *away)
{
    *away = 0;
    if (!*p || ((*p == 'Z' || *p == 'z') && !p[1])) return true;
    if (*p != '+' && *p != '-') return false;
    int hours = digits(p + 1, 2), minutes = 0;
    if (hours < 0) return false;
    if (p[3]) {
        if (p[3] != ':' || (minutes = digits(p + 4, 2)) < 0 || p[6]) return false;
    }
    if (hours > 23 || minutes > 59) return false;
    *away = (hours * 60 + minutes) * INT64_C(60000000);
    if (*p == '-') *away = -*away;
    return true;
}

bool wb_time_parse(const char *z, int64_t *us)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    size_t n = 0;
    for (; z[n] && n < sizeof form - 1; n++) {
        bool between = form[n] == ' ' && (z[n] == 'T' || z[n] == 't');
        if (form[n] == 'd' ? z[n] < '0' || z[n] > '9' : z[n] != form[n] && !between) break;
    }
    if (n != 10 && n != 16 && n != 19) return false;
    int year = digits(z, 4), month = digits(z + 5, 2), day = digits(z + 8, 2);
    int hour = n > 10 ? digits(z + 11, 2) : 0, minute = n > 10 ? digits(z + 14, 2) : 0;
    int second = n > 16 ? digits(z + 17, 2) : 0;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) return false;
    int64_t days = wb_days_of(year, month, day), away;
    wb_date back = wb_date_of(days);
    if ((int)back.day != day) return false; /* the 31st of a month of 30 days */
    *us = ((days * 24 + hour) * 60 + minute) * INT64_C(60000000) + second * INT64_C(1000000);
    const char *p = z + n;
    if (*p == '.' && n == 19) {
        int64_t unit = 100000;
        if (p[1] < '0' || p[1] > '9') return false;
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10) *us += (*p - '0') * unit;
    }
    if (!parse_offset(p, &away)) return false;
    *us -= away;
    return true;
}

const char *wb_time_text(int64_t us, char out[WB_TIME_TEXT])
{
    int64_t rest;
    wb_date d = wb_date_of(wb_day_of(us, &rest));
    int n = snprintf(out, WB_TIME_TEXT - 20, "%04lld-%02u-%02uT", (long long)d.year, d.month, d.day);
    char *q = wb_put_clock(out + n, rest);
    *q++ = 'Z';
    *q = 0;
    return out;
}

/* calendar.h: days, dates and times of day. The proleptic Gregorian calendar with a year 0, which is 1 BC; the method
 * is that of Howard Hinnant's "chrono-compatible low-level date algorithms". Pure; any thread. */
#ifndef WB_CALENDAR_H
#define WB_CALENDAR_H
#include "base/base.h"

#define WB_DAY_US (INT64_C(86400) * 1000000)

typedef struct wb_date {
    int64_t year;
    unsigned month, day; /* from 1 */
} wb_date;

/* Days since 1970-01-01. */
static inline wb_date wb_date_of(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return (wb_date){(int64_t)yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

static inline int64_t wb_days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* Microseconds since 1970 as whole days and what is left of the day. */
static inline int64_t wb_day_of(int64_t us, int64_t *rest)
{
    int64_t days = us / WB_DAY_US - (us % WB_DAY_US < 0);
    *rest = us - days * WB_DAY_US;
    return days;
}

/* "[-]HH:MM:SS[.ffffff]" as PostgreSQL prints it: no fraction when it is 0, no trailing zeros. At most 24 bytes, no
 * NUL; returns the end. */
char *wb_put_clock(char *q, int64_t us);

/* A moment as people write it: 2024-06-01, 2024-06-01 12:00, 2024-06-01T12:00:00.5Z, ...+02:00 (RFC 3339 among them).
 * Without an offset it is UTC; of a fraction microseconds count. false: it is none. */
bool wb_time_parse(const char *z, int64_t *us) WB_MUST;
/* "2024-06-01T12:00:00.5Z" into out, which it returns. */
enum { WB_TIME_TEXT = 48 };
const char *wb_time_text(int64_t us, char out[WB_TIME_TEXT]);
#endif

/* temporal.h: dates and times of the log to text, as the servers print them. Pure; hot path.
 * Every function writes at most MY_TIME_TEXT bytes and returns the end; NULL: bytes that no value has. *odd: a value
 * that ISO 8601 does not have: zero or partial dates, days that a month lacks, the year 0, times beyond a day or
 * negative. */
#ifndef WB_MY_TEMPORAL_H
#define WB_MY_TEMPORAL_H
#include "base/base.h"

enum { MY_TIME_TEXT = 40, MY_FSP_MAX = 6 };

/* The last day that was printed: rows of a transaction share theirs. */
typedef struct my_day {
    uint32_t day; /* since 1970 */
    char text[12];
    bool known;
} my_day;

/* Bytes of the fraction. */
static inline unsigned my_fraction_size(unsigned fsp) { return (fsp + 1) / 2; }

char *my_put_date(char *q, const uint8_t p[3], bool *odd);
char *my_put_datetime2(char *q, const uint8_t *p, unsigned fsp, bool *odd);
char *my_put_time2(char *q, const uint8_t *p, unsigned fsp, bool *odd);
char *my_put_timestamp2(char *q, const uint8_t *p, unsigned fsp, my_day *memo, bool *odd); /* with "+00" unless zero */
/* before MySQL 5.6 */
char *my_put_time_old(char *q, const uint8_t p[3], bool *odd);
char *my_put_datetime_old(char *q, const uint8_t p[8], bool *odd);
char *my_put_timestamp_old(char *q, const uint8_t p[4], my_day *memo, bool *odd);
/* inside JSON: µs packed as in memory; always six digits of fraction */
char *my_put_json_date(char *q, int64_t packed);
char *my_put_json_datetime(char *q, int64_t packed);
char *my_put_json_time(char *q, int64_t packed);

bool my_is_real_date(unsigned year, unsigned month, unsigned day); /* from 0001-01-01 on */
#endif

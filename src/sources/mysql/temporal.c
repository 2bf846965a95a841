/* temporal.c: dates and times of the log to text: digits from bit fields, without a calendar where there is none.
 * Called by the row loop, by JSON, and for old formats. */
#include "temporal.h"

#include "number.h"
#include "wire.h"

bool my_is_real_date(unsigned year, unsigned month, unsigned day)
{
    static const uint8_t days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (WB_LIKELY(day - 1 < 28 && month - 1 < 12)) return year > 0;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return year > 0 && month - 1 < 12 && day > 0 && day <= (unsigned)days[month] + (month == 2 && leap);
}

static inline char *put_ymd(char *q, unsigned year, unsigned month, unsigned day)
{
    q = my_put_2(q, year / 100);
    q = my_put_2(q, year);
    *q++ = '-';
    q = my_put_2(q, month);
    *q++ = '-';
    return my_put_2(q, day);
}

static inline char *put_hms(char *q, unsigned hour, unsigned minute, unsigned second)
{
    q = my_put_2(q, hour);
    *q++ = ':';
    q = my_put_2(q, minute);
    *q++ = ':';
    return my_put_2(q, second);
}

/* ".123" of microseconds */
static inline char *put_fraction(char *q, uint32_t us, unsigned fsp)
{
    static const uint32_t unit[MY_FSP_MAX + 1] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    if (fsp == 0) return q;
    *q++ = '.';
    return my_put_fixed(q, us / unit[fsp], fsp);
}

/* What is stored in hundredths, ten-thousandths or millionths, as µs. */
static inline uint32_t fraction_us(uint32_t stored, unsigned fsp)
{
    static const uint32_t unit[MY_FSP_MAX + 1] = {0, 10000, 10000, 100, 100, 1, 1};
    return stored * unit[fsp];
}

static inline uint32_t get_fraction(const uint8_t *p, unsigned fsp)
{
    unsigned n = my_fraction_size(fsp);
    return n ? fraction_us((uint32_t)my_get_be(p, n), fsp) : 0;
}

char *my_put_date(char *q, const uint8_t p[3], bool *odd)
{
    uint32_t v = (uint32_t)my_get_le(p, 3);
    unsigned year = v >> 9, month = v >> 5 & 15, day = v & 31;
    if (year > 9999) return NULL;
    *odd = !my_is_real_date(year, month, day);
    return put_ymd(q, year, month, day);
}

/* (year × 13 + month):17, day:5, hour:5, minute:6, second:6 */
static inline char *put_packed(char *q, uint64_t v, bool *odd)
{
    unsigned ym = (unsigned)(v >> 22), year = ym / 13, month = ym % 13, day = v >> 17 & 31;
    unsigned hour = v >> 12 & 31, minute = v >> 6 & 63, second = v & 63;
    if (year > 9999 || hour > 23 || minute > 59 || second > 59) return NULL;
    *odd = !my_is_real_date(year, month, day);
    q = put_ymd(q, year, month, day);
    *q++ = ' ';
    return put_hms(q, hour, minute, second);
}

char *my_put_datetime2(char *q, const uint8_t *p, unsigned fsp, bool *odd)
{
    uint64_t v = my_get_be(p, 5);
    uint32_t us = get_fraction(p + 5, fsp);
    if (!(v & 0x8000000000) || us > 999999) return NULL;
    q = put_packed(q, v & 0x7fffffffff, odd);
    return q ? put_fraction(q, us, fsp) : NULL;
}

static char *put_time(char *q, bool minus, uint32_t hour, unsigned minute, unsigned second, uint32_t us, unsigned fsp,
                      bool *odd)
{
    if (hour > 999 || minute > 59 || second > 59 || us > 999999) return NULL;
    *odd = minus || hour > 23;
    if (minus) *q++ = '-';
    if (hour > 99) *q++ = (char)('0' + hour / 100);
    return put_fraction(put_hms(q, hour, minute, second), us, fsp);
}

char *my_put_time2(char *q, const uint8_t *p, unsigned fsp, bool *odd)
{
    unsigned f = my_fraction_size(fsp);
    int64_t v = (int64_t)my_get_be(p, 3 + f) - ((int64_t)0x800000 << 8 * f); /* fraction and all: one signed number */
    bool minus = v < 0;
    uint64_t u = (uint64_t)(minus ? -v : v);
    uint32_t whole = (uint32_t)(u >> 8 * f), rest = (uint32_t)(u & (((uint64_t)1 << 8 * f) - 1));
    if (whole >> 22) return NULL;
    return put_time(q, minus, whole >> 12 & 1023, whole >> 6 & 63, whole & 63, fraction_us(rest, fsp), fsp, odd);
}

/* Days since 1970 to year, month, day ("chrono-compatible low-level date algorithms", without years before 1970). */
static void put_day(my_day *memo, uint32_t days)
{
    uint32_t z = days + 719468, era = z / 146097, doe = z % 146097;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;
    put_ymd(memo->text, yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1);
    memo->text[10] = ' ';
    memo->day = days;
    memo->known = true;
}

static inline char *put_epoch(char *q, uint32_t seconds, uint32_t us, unsigned fsp, my_day *memo, bool *odd)
{
    if (us > 999999) return NULL;
    if (WB_UNLIKELY(seconds == 0 && us == 0)) {
        *odd = true;
        memcpy(q, "0000-00-00 00:00:00", 19);
        return put_fraction(q + 19, 0, fsp);
    }
    uint32_t days = seconds / 86400, rest = seconds % 86400;
    if (WB_UNLIKELY(!memo->known || memo->day != days)) put_day(memo, days);
    memcpy(q, memo->text, 11);
    q = put_hms(q + 11, rest / 3600, rest / 60 % 60, rest % 60);
    q = put_fraction(q, us, fsp);
    memcpy(q, "+00", 3);
    *odd = false;
    return q + 3;
}

char *my_put_timestamp2(char *q, const uint8_t *p, unsigned fsp, my_day *memo, bool *odd)
{
    return put_epoch(q, (uint32_t)my_get_be(p, 4), get_fraction(p + 4, fsp), fsp, memo, odd);
}

/* ---------------------------------------------------------------- before MySQL 5.6 */

char *my_put_time_old(char *q, const uint8_t p[3], bool *odd)
{
    int32_t v = (int32_t)((uint32_t)my_get_le(p, 3) << 8) / 256;
    uint32_t u = (uint32_t)(v < 0 ? -v : v);
    return put_time(q, v < 0, u / 10000, u / 100 % 100, u % 100, 0, 0, odd);
}

char *my_put_datetime_old(char *q, const uint8_t p[8], bool *odd)
{
    uint64_t v = my_get_u64(p), date = v / 1000000, clock = v % 1000000;
    if (date > 99991299) return NULL;
    unsigned year = (unsigned)(date / 10000), month = (unsigned)(date / 100 % 100), day = (unsigned)(date % 100);
    if (clock / 10000 > 23 || clock / 100 % 100 > 59 || clock % 100 > 59) return NULL;
    *odd = !my_is_real_date(year, month, day);
    q = put_ymd(q, year, month, day);
    *q++ = ' ';
    return put_hms(q, (unsigned)(clock / 10000), (unsigned)(clock / 100 % 100), (unsigned)(clock % 100));
}

char *my_put_timestamp_old(char *q, const uint8_t p[4], my_day *memo, bool *odd)
{
    return put_epoch(q, my_get_u32(p), 0, 0, memo, odd);
}

/* ---------------------------------------------------------------- inside JSON */

char *my_put_json_date(char *q, int64_t packed)
{
    bool odd;
    char text[MY_TIME_TEXT];
    if (packed < 0 || !put_packed(text, (uint64_t)packed >> 24, &odd)) return NULL;
    memcpy(q, text, 10);
    return q + 10;
}

char *my_put_json_datetime(char *q, int64_t packed)
{
    bool odd;
    uint32_t us = (uint32_t)(packed & 0xffffff);
    if (packed < 0 || us > 999999 || !(q = put_packed(q, (uint64_t)packed >> 24, &odd))) return NULL;
    return put_fraction(q, us, 6);
}

char *my_put_json_time(char *q, int64_t packed)
{
    bool odd, minus = packed < 0;
    uint64_t u = minus ? 0 - (uint64_t)packed : (uint64_t)packed, whole = u >> 24;
    return put_time(q, minus, (uint32_t)(whole >> 12 & 1023), whole >> 6 & 63, whole & 63, u & 0xffffff, 6, &odd);
}

/* debezium_time.c: dates, times and intervals as PostgreSQL prints them (ISO, IntervalStyle postgres), BC and years of
 * more than four digits included, to numbers and to the ISO text that Debezium writes. Called per value. */
#include "base/calendar.h"
#include "formats/debezium.h"

typedef struct cursor {
    const char *p, *end;
} cursor;

static bool number(cursor *c, int64_t *out)
{
    const char *start = c->p;
    int64_t v = 0;
    while (c->p < c->end && (uint8_t)(*c->p - '0') <= 9) {
        if (v > INT64_MAX / 10 - 10) return false;
        v = v * 10 + (*c->p++ - '0');
    }
    *out = v;
    return c->p > start;
}

static bool is(cursor *c, char want)
{
    if (c->p == c->end || *c->p != want) return false;
    c->p++;
    return true;
}

static bool word(cursor *c, const char *want)
{
    size_t n = strlen(want);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, want, n) != 0) return false;
    c->p += n;
    return true;
}

static bool fraction(cursor *c, int64_t *us)
{
    *us = 0;
    if (!is(c, '.')) return true;
    int64_t unit = 100000;
    const char *start = c->p;
    while (c->p < c->end && (uint8_t)(*c->p - '0') <= 9) {
        *us += (*c->p++ - '0') * unit;
        unit /= 10;
    }
    return c->p > start;
}

/* Hours of any number: intervals and MySQL's times have them. */
static bool clock_of(cursor *c, int64_t *us)
{
    int64_t h, m, s, f;
    bool negative = is(c, '-');
    if (!number(c, &h) || !is(c, ':') || !number(c, &m) || !is(c, ':') || !number(c, &s) || !fraction(c, &f))
        return false;
    if (h > INT64_C(2500000000)) return false;
    *us = ((h * 60 + m) * 60 + s) * 1000000 + f;
    if (negative) *us = -*us;
    return true;
}

static bool date_of(cursor *c, int64_t *year, int64_t *m, int64_t *d)
{
    return number(c, year) && is(c, '-') && number(c, m) && is(c, '-') && number(c, d) && *m >= 1 && *m <= 12 &&
           *d >= 1 && *d <= 31;
}

static bool infinite(const cursor *c, int64_t *out)
{
    cursor at = *c;
    bool negative = is(&at, '-');
    if (!word(&at, "infinity") || at.p != at.end) return false;
    *out = negative ? INT64_MIN : INT64_MAX;
    return true;
}

bool dbz_days(const wb_value *v, int64_t *days)
{
    if (!(v->flags & WB_V_TEXT)) {
        *days = v->as.i;
        return true;
    }
    cursor c = {v->as.ptr, v->as.ptr + v->len};
    int64_t y, m, d;
    if (infinite(&c, days)) return true;
    if (!date_of(&c, &y, &m, &d)) return false;
    if (word(&c, " BC")) y = 1 - y;
    *days = wb_days_of(y, m, d);
    return c.p == c.end;
}

static int64_t stamp(int64_t days, int64_t us)
{
    int64_t v;
    if (__builtin_mul_overflow(days, WB_DAY_US, &v) || __builtin_add_overflow(v, us, &v))
        return days < 0 ? INT64_MIN : INT64_MAX;
    return v;
}

/* PostgreSQL has timestamps that microseconds since 1970 do not hold. */
bool dbz_split(const wb_value *v, int64_t *days, int64_t *us)
{
    if (!(v->flags & WB_V_TEXT)) {
        *days = wb_day_of(v->as.i, us);
        return true;
    }
    cursor c = {v->as.ptr, v->as.ptr + v->len};
    int64_t y, m, d;
    *us = 0;
    if (infinite(&c, days)) return true;
    if (!date_of(&c, &y, &m, &d)) return false;
    if ((is(&c, ' ') || is(&c, 'T')) && !clock_of(&c, us)) return false;
    if (!word(&c, "+00")) (void)is(&c, 'Z');
    if (word(&c, " BC")) y = 1 - y;
    *days = wb_days_of(y, m, d);
    return c.p == c.end;
}

bool dbz_micros(const wb_value *v, int64_t *us)
{
    int64_t days;
    if (!(v->flags & WB_V_TEXT)) {
        *us = v->as.i;
        return true;
    }
    cursor c = {v->as.ptr, v->as.ptr + v->len};
    if (clock_of(&c, us)) return c.p == c.end;
    if (!dbz_split(v, &days, us)) return false;
    *us = stamp(days, *us);
    return true;
}

/* ---------------------------------------------------------------- intervals */

typedef struct interval {
    int64_t months, years, days, us;
    bool negative_clock;
} interval;

/* "1 year 2 mons -3 days -04:05:06.789" */
static bool read_interval(const char *p, size_t n, interval *out)
{
    cursor c = {p, p + n};
    *out = (interval){0};
    while (c.p < c.end) {
        while (is(&c, ' ')) {}
        cursor try = c;
        (void)is(&try, '+');
        if (clock_of(&try, &out->us) && try.p == try.end) return true;
        bool negative = is(&c, '-');
        int64_t v;
        (void)is(&c, '+');
        if (!number(&c, &v) || !is(&c, ' ')) return false;
        if (negative) v = -v;
        if (word(&c, "year"))
            out->years = v;
        else if (word(&c, "mon"))
            out->months = v;
        else if (word(&c, "day"))
            out->days = v;
        else
            return false;
        (void)is(&c, 's');
    }
    return n > 0;
}

bool dbz_interval(const char *p, size_t n, int64_t *us)
{
    interval i;
    cursor c = {p, p + n};
    if (infinite(&c, us)) return true;
    if (!read_interval(p, n, &i)) return false;
    __extension__ typedef __int128 wide;
    wide v = (wide)(i.years * 12 + i.months) * INT64_C(2629800000000); /* 365.25 / 12 days */
    v += (wide)i.days * WB_DAY_US + i.us;
    *us = v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
    return true;
}

bool dbz_interval_iso(wb_out *o, const char *p, size_t n)
{
    interval i;
    if (!read_interval(p, n, &i)) return false;
    int64_t us = i.us, s = us / 1000000 % 60, f = us % 1000000;
    wb_out_printf(o, "\"P%lldY%lldM%lldDT%lldH%lldM", (long long)i.years, (long long)i.months, (long long)i.days,
                  (long long)(us / 3600000000), (long long)(us / 60000000 % 60));
    if (us < 0 && (s || f)) wb_out_byte(o, '-');
    wb_out_i64(o, s < 0 ? -s : s);
    if (f) {
        char digits[8];
        int64_t left = f < 0 ? -f : f, unit = 100000;
        size_t k = 0;
        for (; left; left %= unit, unit /= 10) digits[k++] = (char)('0' + left / unit);
        wb_out_byte(o, '.');
        wb_out_put(o, digits, k);
    }
    wb_out_z(o, "S\"");
    return true;
}

/* ---------------------------------------------------------------- text */

static void put_2(wb_out *o, int64_t v)
{
    wb_out_byte(o, (char)('0' + v / 10 % 10));
    wb_out_byte(o, (char)('0' + v % 10));
}

void dbz_put_iso_date(wb_out *o, int64_t days)
{
    wb_date d = wb_date_of(days);
    int64_t year = d.year;
    if (year < 0 || year > 9999) wb_out_byte(o, year < 0 ? '-' : '+');
    if (year < 0) year = -year;
    if (year > 9999) {
        wb_out_i64(o, year);
    } else {
        put_2(o, year / 100);
        put_2(o, year % 100);
    }
    wb_out_byte(o, '-');
    put_2(o, d.month);
    wb_out_byte(o, '-');
    put_2(o, d.day);
}

void dbz_put_iso_clock(wb_out *o, int64_t us, int digits)
{
    int64_t s = us / 1000000, f = us % 1000000, unit = 100000;
    put_2(o, s / 3600);
    wb_out_byte(o, ':');
    put_2(o, s / 60 % 60);
    wb_out_byte(o, ':');
    put_2(o, s % 60);
    if (digits == 0 || (digits < 0 && !f)) return;
    wb_out_byte(o, '.');
    for (int i = 0; digits < 0 ? f > 0 : i<digits; i++, f %= unit, unit = unit> 1 ? unit / 10 : 1)
        wb_out_byte(o, (char)('0' + (i < 6 ? f / unit : 0)));
}

/* "12:34:56.789-05:30" to UTC. */
bool dbz_zoned_time(wb_out *o, const char *p, size_t n)
{
    cursor c = {p, p + n};
    int64_t us, h = 0, m = 0, s = 0;
    if (!clock_of(&c, &us)) return false;
    bool west = is(&c, '-');
    if (!west && !is(&c, '+')) return false;
    if (!number(&c, &h) || (is(&c, ':') && !number(&c, &m)) || (is(&c, ':') && !number(&c, &s)) || c.p != c.end)
        return false;
    int64_t offset = ((h * 60 + m) * 60 + s) * 1000000;
    if (offset)
        us = ((us + (west ? offset : -offset)) % WB_DAY_US + WB_DAY_US) % WB_DAY_US; /* 24:00:00+00 stays what it is */
    wb_out_byte(o, '"');
    dbz_put_iso_clock(o, us, -1);
    wb_out_z(o, "Z\"");
    return true;
}

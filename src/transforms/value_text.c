/* value_text.c: a value in number form as the text its source would have printed. Used by filter and mask. */
#include <math.h>
#include <stdio.h>

#include "transforms/value.h"

static const int64_t DAY_US = 86400LL * 1000000;

/* Howard Hinnant's civil_from_days. */
static void civil(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int64_t)yoe + era * 400 + (*month <= 2);
}

static int put_date(char *buf, size_t cap, int64_t days)
{
    int64_t y;
    unsigned m, d;
    civil(days, &y, &m, &d);
    return snprintf(buf, cap, "%04lld-%02u-%02u", (long long)y, m, d);
}

static int put_time(char *buf, size_t cap, int64_t us)
{
    int64_t s = us / 1000000;
    int fraction = (int)(us % 1000000);
    int n = snprintf(buf, cap, "%02d:%02d:%02d", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
    if (!fraction) return n;
    n += snprintf(buf + n, cap - (size_t)n, ".%06d", fraction);
    while (buf[n - 1] == '0') n--;
    return n;
}

static int put_stamp(char *buf, size_t cap, int64_t us, bool zone)
{
    int64_t days = us / DAY_US, rest = us % DAY_US;
    if (rest < 0) {
        rest += DAY_US;
        days--;
    }
    int n = put_date(buf, cap, days);
    buf[n++] = ' ';
    n += put_time(buf + n, cap - (size_t)n, rest);
    if (zone) {
        memcpy(buf + n, "+00", 3);
        n += 3;
    }
    return n;
}

static int put_double(char *buf, size_t cap, double f)
{
    if (isnan(f)) return snprintf(buf, cap, "NaN");
    if (isinf(f)) return snprintf(buf, cap, "%sInfinity", f < 0 ? "-" : "");
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back the same */
        n = snprintf(buf, cap, "%.*g", digits, f);
        if (strtod(buf, NULL) == f) break;
    }
    return n;
}

wb_str wb_value_text(const wb_value *v, char buf[WB_VALUE_TEXT])
{
    if (v->flags & WB_V_TEXT) return (wb_str){v->as.ptr, v->len};
    int n = 0;
    switch ((wb_kind)v->kind) {
    case WB_BOOL: return v->as.i ? WB_STR("t") : WB_STR("f");
    case WB_INT: n = snprintf(buf, WB_VALUE_TEXT, "%lld", (long long)v->as.i); break;
    case WB_UINT: n = snprintf(buf, WB_VALUE_TEXT, "%llu", (unsigned long long)v->as.u); break;
    case WB_FLOAT: n = put_double(buf, WB_VALUE_TEXT, v->as.f); break;
    case WB_DATE: n = put_date(buf, WB_VALUE_TEXT, v->as.i); break;
    case WB_TIME: n = put_time(buf, WB_VALUE_TEXT, v->as.i); break;
    case WB_TIMESTAMP: n = put_stamp(buf, WB_VALUE_TEXT, v->as.i, false); break;
    case WB_TIMESTAMPTZ: n = put_stamp(buf, WB_VALUE_TEXT, v->as.i, true); break;
    case WB_ABSENT:
    case WB_UNCHANGED:
    case WB_NULL: return WB_STR("");
    default: return (wb_str){v->as.ptr, v->len};
    }
    return (wb_str){buf, (size_t)n};
}

/* value_text.c: a value in number form as the text its source would have printed. Used by filter and mask. */
#include <math.h>
#include <stdio.h>

#include "base/calendar.h"
#include "transforms/value.h"

static int put_date(char *buf, size_t cap, int64_t days)
{
    wb_date d = wb_date_of(days);
    return snprintf(buf, cap, "%04lld-%02u-%02u", (long long)d.year, d.month, d.day);
}

static int put_stamp(char *buf, size_t cap, int64_t us, bool zone)
{
    int64_t rest, days = wb_day_of(us, &rest);
    int n = put_date(buf, cap, days);
    buf[n++] = ' ';
    n = (int)(wb_put_clock(buf + n, rest) - buf);
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
    case WB_TIME: n = (int)(wb_put_clock(buf, v->as.i) - buf); break;
    case WB_TIMESTAMP: n = put_stamp(buf, WB_VALUE_TEXT, v->as.i, false); break;
    case WB_TIMESTAMPTZ: n = put_stamp(buf, WB_VALUE_TEXT, v->as.i, true); break;
    case WB_ABSENT:
    case WB_UNCHANGED:
    case WB_NULL: return WB_STR("");
    default: return (wb_str){v->as.ptr, v->len};
    }
    return (wb_str){buf, (size_t)n};
}

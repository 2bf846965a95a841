/* units.c: numbers with units, as options write them: whole numbers, sizes, durations. Called by base/options_*.c. */
#include "base/units.h"

#include <stdio.h>
#include <strings.h>

typedef struct unit {
    const char *name;
    int64_t factor;
} unit;

/* Largest last: printing takes the last one that divides. */
static const unit sizes[] = {{"B", 1}, {"kB", 1024}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", (int64_t)1 << 40}};
static const unit times[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits at *p, which moves behind them. */
static wb_unit_error read_digits(const char **p, int64_t *out)
{
    int64_t v = 0;
    if (!is_digit(**p)) return WB_UNIT_NOT_A_NUMBER;
    for (; is_digit(**p); (*p)++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **p - '0', &v)) return WB_UNIT_TOO_LARGE;
    *out = v;
    return WB_UNIT_OK;
}

static wb_unit_error read_int(const char *p, int64_t *out)
{
    bool minus = *p == '-';
    if (minus || *p == '+') p++;
    if (!is_digit(*p)) return WB_UNIT_NOT_A_NUMBER;
    int64_t v = 0;
    bool over = false;
    for (; is_digit(*p); p++) { /* downwards, because the smallest number has no positive twin */
        over = over || __builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *p - '0', &v);
    }
    if (*p) return WB_UNIT_NOT_A_NUMBER;
    if (over || (!minus && v == INT64_MIN)) return WB_UNIT_TOO_LARGE;
    *out = minus ? v : -v;
    return WB_UNIT_OK;
}

/* kB, KB, KiB, k and K are the same; so are the others. */
static int64_t size_factor(const char *p)
{
    if (!*p || strcasecmp(p, "B") == 0) return 1;
    const char *letters = "kmgt", *found = strchr(letters, *p | 0x20);
    if (!found || (p[1] && strcasecmp(p + 1, "B") != 0 && strcasecmp(p + 1, "iB") != 0)) return 0;
    return (int64_t)1 << (10 * (found - letters + 1));
}

static wb_unit_error time_factor(const char *p, int64_t *out)
{
    if (!*p) return WB_UNIT_MISSING;
    if (strcmp(p, "us") == 0 || strcmp(p, "\xC2\xB5s") == 0 || strcmp(p, "ns") == 0) return WB_UNIT_TOO_FINE;
    for (size_t i = 0; i < WB_COUNT(times); i++)
        if (strcmp(times[i].name, p) == 0) {
            *out = times[i].factor;
            return WB_UNIT_OK;
        }
    return WB_UNIT_UNKNOWN;
}

wb_unit_error wb_unit_read(wb_opt_type type, const char *text, int64_t *out)
{
    if (type == WB_OPT_INT) return read_int(text, out);
    const char *p = text;
    if (*p == '-') return is_digit(p[1]) ? WB_UNIT_NEGATIVE : WB_UNIT_NOT_A_NUMBER;
    int64_t whole, part = 0, scale = 1, factor = 1;
    wb_unit_error e = read_digits(&p, &whole);
    if (e) return e;
    if (*p == '.') {
        p++;
        if (!is_digit(*p)) return WB_UNIT_NOT_A_NUMBER;
        for (; is_digit(*p); p++) {
            if (scale == 1000000) return WB_UNIT_TOO_FINE;
            part = part * 10 + (*p - '0');
            scale *= 10;
        }
    }
    while (*p == ' ') p++;
    if (type == WB_OPT_MSEC)
        e = time_factor(p, &factor);
    else if ((factor = size_factor(p)) == 0)
        e = WB_UNIT_UNKNOWN;
    if (e) return e;
    int64_t v, more = part * factor / scale; /* below 10^6 * 2^40: fits */
    if (more * scale != part * factor && (type == WB_OPT_MSEC || factor == 1)) return WB_UNIT_TOO_FINE;
    if (__builtin_mul_overflow(whole, factor, &v) || __builtin_add_overflow(v, more, &v)) return WB_UNIT_TOO_LARGE;
    *out = v;
    return WB_UNIT_OK;
}

void wb_unit_print(wb_opt_type type, int64_t v, char out[WB_UNIT_TEXT])
{
    const unit *u = type == WB_OPT_SIZE ? sizes : times;
    size_t n = type == WB_OPT_SIZE ? WB_COUNT(sizes) : WB_COUNT(times), i = n - 1;
    if (type == WB_OPT_INT || v < 0) {
        (void)snprintf(out, WB_UNIT_TEXT, "%lld", (long long)v);
        return;
    }
    while (i > 0 && (v % u[i].factor || v == 0)) i--;
    if (v == 0 && type == WB_OPT_MSEC) i = 1; /* 0s */
    /* Bytes go without: 100, as users write them. */
    const char *name = type == WB_OPT_SIZE && i == 0 ? "" : u[i].name;
    (void)snprintf(out, WB_UNIT_TEXT, "%lld%s", (long long)(v / u[i].factor), name);
}

const char *wb_unit_howto(wb_opt_type type)
{
    if (type == WB_OPT_SIZE) return "Sizes are written like 100, 64kB, 32MB or 10GB.";
    if (type == WB_OPT_MSEC) return "Durations are written like 50ms, 10s, 5m, 2h or 1d.";
    return "Write digits only, as in 10.";
}

void wb_unit_explain(wb_opt_type type, wb_unit_error e, const char *text, char *out, size_t cap)
{
    const char *what = type == WB_OPT_SIZE ? "size" : type == WB_OPT_MSEC ? "duration" : "whole number";
    switch (e) {
    case WB_UNIT_NEGATIVE: (void)snprintf(out, cap, "is negative, which no %s can be", what); break;
    case WB_UNIT_MISSING: (void)snprintf(out, cap, "has no unit; write a unit: %.30ss", text ? text : "10"); break;
    case WB_UNIT_UNKNOWN: (void)snprintf(out, cap, "has a unit that is not known"); break;
    case WB_UNIT_TOO_FINE:
        (void)snprintf(out, cap, "is finer than %s", type == WB_OPT_MSEC ? "a millisecond" : "can be held");
        break;
    case WB_UNIT_TOO_LARGE: (void)snprintf(out, cap, "is too large for a %s", what); break;
    case WB_UNIT_OK:
    case WB_UNIT_NOT_A_NUMBER: (void)snprintf(out, cap, "is not a %s", what); break;
    }
}

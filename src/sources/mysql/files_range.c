/* files_range.c: where to begin and where to stop, as people write it. Pure; called by files.c. */
#include "base/calendar.h"
#include "files.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static wb_code unclear(const char *what, const char *text, wb_error *err)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s: \"%.200s\" is no place in a binlog, no time and no GTID.", what, text);
    wb_hint(err, "Write binlog.000042:1234, 1234 (a byte of the file), \"2024-06-01 12:00:00\" (UTC), 0-1-100 or "
                 "3e11fa47-71ca-11e1-9e33-c80aa9429562:23.");
    return WB_E_CONFIG;
}

static bool digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9') return false;
    return n > 0 && n < 20;
}

static int number(const char *p, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) v = v * 10 + (p[i] - '0');
    return v;
}

/* 2024-06-01, 2024-06-01 12:00, 2024-06-01T12:00:00.5Z, ...+02:00 */
static bool time_of(const char *z, int64_t *us)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    size_t n = 0;
    for (; z[n] && n < sizeof form - 1; n++) {
        bool fits = form[n] == 'd' ? z[n] >= '0' && z[n] <= '9' : z[n] == form[n] || (form[n] == ' ' && z[n] == 'T');
        if (!fits) break;
    }
    if (n != 10 && n != 16 && n != 19) return false;
    int month = number(z + 5, 2), day = number(z + 8, 2), hour = n > 10 ? number(z + 11, 2) : 0;
    int minute = n > 10 ? number(z + 14, 2) : 0, second = n > 16 ? number(z + 17, 2) : 0;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59) return false;
    *us = ((wb_days_of(number(z, 4), month, day) * 24 + hour) * 60 + minute) * 60000000 + (int64_t)second * 1000000;
    const char *p = z + n;
    if (*p == '.' && n == 19) {
        int64_t unit = 100000;
        for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10) *us += (*p - '0') * unit;
    }
    if (strcmp(p, "Z") == 0 || strcmp(p, "") == 0) return true;
    bool zone = (*p == '+' || *p == '-') && isdigit((unsigned char)p[1]) && isdigit((unsigned char)p[2]) &&
                (!p[3] || (p[3] == ':' && digits(p + 4, 2) && !p[6]));
    if (!zone) return false;
    int64_t away = number(p + 1, 2) * INT64_C(3600000000) + (p[3] ? number(p + 4, 2) * INT64_C(60000000) : 0);
    *us -= *p == '+' ? away : -away;
    return true;
}

static bool gtid_of(const char *z, char out[MY_GTID_TEXT])
{
    wb_error ignored = {0};
    my_gtid_set *set = my_gtid_set_new();
    wb_out text = {0};
    bool fine = set && my_gtid_set_parse(set, (wb_str){z, strlen(z)}, &ignored) == WB_OK && my_gtid_set_count(set) == 1;
    if (fine) my_gtid_set_text(set, &text);
    fine = fine && !text.failed && text.len > 0 && text.len < MY_GTID_TEXT;
    if (fine) {
        memcpy(out, text.p, text.len);
        out[text.len] = 0;
    }
    wb_out_fini(&text);
    my_gtid_set_free(set);
    return fine;
}

wb_code my_bound_read(const char *text, const char *what, my_bound *out, wb_error *err)
{
    *out = (my_bound){.text = text};
    if (!text || !*text) return WB_OK;
    const char *colon = strrchr(text, ':'), *at = colon ? colon + 1 : text;
    if (time_of(text, &out->us)) {
        out->kind = MY_BOUND_TIME;
    } else if (gtid_of(text, out->gtid)) {
        out->kind = MY_BOUND_GTID;
    } else if (digits(at, strlen(at)) && (!colon || colon > text)) {
        out->kind = MY_BOUND_PLACE;
        out->offset = strtoull(at, NULL, 10);
        if (colon) out->log = (wb_str){text, (size_t)(colon - text)};
    } else {
        return unclear(what, text, err);
    }
    return WB_OK;
}

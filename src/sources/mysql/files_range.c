/* files_range.c: where to begin and where to stop, as people write it. Pure; called by files.c. */
#include "base/calendar.h"
#include "files.h"

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
    if (wb_time_parse(text, &out->us)) {
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

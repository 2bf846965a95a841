/* start.c: the option `start`. */
#include "start.h"

#include <stdio.h>

#include "base/calendar.h"

static wb_code unknown_word(const wb_node *value, const char *key, const sql_start_rule *rule, wb_error *err)
{
    char known[80] = "";
    for (size_t w = 0, at = 0; rule->words[w] && at < sizeof known; w++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", w ? ", " : "", rule->words[w]);
    return wb_node_fail(value, err, "start: this source has no place called %.40s; it knows %s.", key, known);
}

wb_code sql_start_read(const wb_node *n, const sql_start_rule *rule, const char *texts[SQL_START_MAX], wb_error *err)
{
    for (size_t i = 0; i < SQL_START_MAX; i++) texts[i] = NULL;
    if (wb_node_null(n)) return WB_OK;
    if (n->kind != WB_NODE_MAP)
        return wb_node_fail(n, err, "start: is a map that names a place, such as {%s: …}.", rule->words[0]);
    for (size_t i = 0; i < n->n; i++) {
        const wb_node *value = n->pairs[i].value;
        size_t w = 0;
        while (rule->words[w] && strcmp(rule->words[w], n->pairs[i].key) != 0) w++;
        if (!rule->words[w]) return unknown_word(value, n->pairs[i].key, rule, err);
        if (value->kind != WB_NODE_SCALAR || wb_node_null(value))
            return wb_node_fail(value, err, "start: %s is a text or a number.", n->pairs[i].key);
        texts[w] = value->text;
    }
    return WB_OK;
}

wb_code sql_start_time(const wb_node *n, const char *text, int64_t *us, wb_error *err)
{
    if (wb_time_parse(text, us) && *us > 0) return WB_OK;
    wb_code code = wb_node_fail(n, err, "start: time is '%.60s', which is no time since 1970.", text);
    wb_hint(err, "It looks like 2026-05-31T14:00:00+02:00, 2026-05-31T12:00:00.25Z or 2026-05-31 12:00:00, which is "
                 "UTC, too.");
    return code;
}

wb_code sql_start_ahead(int64_t us, int64_t now_us, wb_error *err)
{
    char at[WB_TIME_TEXT], now[WB_TIME_TEXT];
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "start: time is %s, and by the server's clock it is %s.", wb_time_text(us, at),
            wb_time_text(now_us, now));
    wb_hint(err, "A time without an offset is UTC. To begin with the next change leave `start` out.");
    return WB_E_CONFIG;
}

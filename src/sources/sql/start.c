/* start.c: the option `start`. */
#include "start.h"

#include <stdio.h>

static wb_code unknown_word(const wb_node *value, const char *key, const sql_start_rule *rule, wb_error *err)
{
    if (strcmp(key, "time") == 0) {
        wb_code code = wb_node_fail(value, err, "start: {time: …} cannot be: %s", rule->no_time);
        wb_hint(err, "%s", rule->time_hint);
        return code;
    }
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

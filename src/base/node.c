/* node.c: looking at a parsed pipeline file. Called by options and by plugins that read a tree themselves. */
#include "base/node.h"

#include <stdio.h>

const wb_node *wb_node_get(const wb_node *map, const char *key)
{
    if (!map || map->kind != WB_NODE_MAP) return NULL;
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->pairs[i].key, key) == 0) return map->pairs[i].value;
    return NULL;
}

bool wb_node_null(const wb_node *n)
{
    if (!n) return true;
    if (n->kind != WB_NODE_SCALAR || n->quoted) return false;
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < WB_COUNT(nulls); i++)
        if (!n->text || strcmp(n->text, nulls[i]) == 0) return true;
    return false;
}

wb_code wb_node_fail(const wb_node *n, wb_error *err, const char *fmt, ...)
{
    if (!err || err->code != WB_OK) return WB_E_CONFIG;
    char message[sizeof err->message];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    (void)wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s", message);
    if (!n || !n->file) return WB_E_CONFIG;
    /* The end of a long path tells more than its beginning. */
    char line[16] = "";
    if (n->line > 0) (void)snprintf(line, sizeof line, ":%d", n->line);
    size_t room = sizeof err->where - 1 - strlen(line), len = strlen(n->file);
    if (len <= room)
        wb_error_where(err, "%s%s", n->file, line);
    else
        wb_error_where(err, "...%s%s", n->file + (len - room + 3), line);
    return WB_E_CONFIG;
}

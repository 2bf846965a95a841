/* import_names.c: Debezium's lists of names, which are regular expressions, as patterns, which know * and ? alone. */
#include <stdlib.h>
#include <string.h>

#include "cli/import.h"

/* One expression up to a comma; false: there is no such pattern. */
static bool convert(const char *p, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '\\' && i + 1 < n) {
            c = p[++i];
            if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return false; /* \d */
            if (c == '*' || c == '?' || c == '!' || c == '"') return false;
            out[len++] = c;
        } else if (c == '.' && i + 1 < n && p[i + 1] == '*') {
            out[len++] = '*';
            i++;
        } else if (strchr("[](){}|+?*^$\"!", c)) {
            return false;
        } else {
            out[len++] = c; /* a lone dot between names, as everybody writes it */
        }
    }
    out[len] = 0;
    return len > 0;
}

static bool walk(FILE *to, const char *list, const char *before, const char *after, bool *first)
{
    char *out = malloc(strlen(list) + 1), *whole = malloc(strlen(list) + strlen(before) + strlen(after) + 1);
    bool fine = out && whole;
    for (const char *p = list; fine && *p;) {
        size_t n = strcspn(p, ","), blank = strspn(p, " \t\n");
        const char *from = p + (blank < n ? blank : n), *end = p + n;
        p = *end ? end + 1 : end;
        while (end > from && (end[-1] == ' ' || end[-1] == '\t')) end--;
        if (from == end) continue;
        fine = convert(from, (size_t)(end - from), out);
        if (!fine || !to) continue;
        (void)snprintf(whole, strlen(list) + strlen(before) + strlen(after) + 1, "%s%s%s", before, out, after);
        if (!*first) (void)fputs(", ", to);
        *first = false;
        fine = cli_put_scalar(to, whole);
    }
    free(out);
    free(whole);
    return fine;
}

bool imp_put_patterns(FILE *to, const char *list, const char *before, const char *after, bool *first)
{
    return walk(NULL, list, before, after, first) && walk(to, list, before, after, first);
}

/* nearest.c: "did you mean". Called by options, and by the engine for names of plugins and targets. */
#include "base/options.h"

enum { LONGEST = 64 };

/* Case and the two kinds of dash are no mistakes worth counting. */
static char fold(char c)
{
    if (c >= 'A' && c <= 'Z') return (char)(c + 32);
    return c == '-' ? '_' : c;
}

/* Damerau-Levenshtein (a swap of neighbours counts once), three rows at a time. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t rows[3][LONGEST + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++) last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t differs = fold(a[i - 1]) != fold(b[j - 1]);
            size_t d = WB_MIN(last[j] + 1, now[j - 1] + 1);
            d = WB_MIN(d, last[j - 1] + differs);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                d = WB_MIN(d, before[j - 2] + 1);
            now[j] = d;
        }
        size_t *t = before;
        before = last;
        last = now;
        now = t;
    }
    return last[nb];
}

const char *wb_nearest(const char *word, const char *const *names)
{
    size_t len = word ? strlen(word) : 0, best = 0;
    const char *found = NULL;
    if (len == 0 || len > LONGEST || !names) return NULL;
    for (; *names; names++) {
        size_t n = strlen(*names);
        if (n > LONGEST) continue;
        size_t d = distance(word, len, *names, n);
        if (d > 1 + len / 4 || d >= len || d >= n || (found && d >= best)) continue;
        found = *names;
        best = d;
    }
    return found;
}

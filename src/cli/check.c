/* check.c: `walbrook check FILE`: what both ends lack, and the command that mends it. Findings go to stdout. */
#include "cli/cli.h"

#include <string.h>

typedef struct tally {
    int bad, warned;
} tally;

static void indented(const char *text)
{
    const char *bold = cli_color(stdout, "\033[1m"), *end = *bold ? "\033[0m" : "";
    while (*text) {
        size_t n = strcspn(text, "\n");
        char line[2000];
        (void)snprintf(line, sizeof line, "%.*s", (int)n, text);
        (void)printf("      %s", bold);
        cli_put_text(stdout, line);
        (void)printf("%s\n", end);
        text += n + (text[n] == '\n');
    }
}

static void finding(void *arg, wb_level level, const char *what, const char *mend)
{
    static const struct {
        const char *word, *color;
    } looks[] = {[WB_FINE] = {"ok  ", "\033[32m"}, [WB_WARN] = {"warn", "\033[33m"}, [WB_BAD] = {"bad ", "\033[31m"}};
    tally *t = arg;
    t->bad += level == WB_BAD;
    t->warned += level == WB_WARN;
    const char *color = cli_color(stdout, looks[level].color);
    (void)printf("%s%s%s  ", color, looks[level].word, *color ? "\033[0m" : "");
    for (; *what; what++) { /* one finding, one line: names may hold line ends */
        size_t n = strcspn(what, "\n");
        char piece[2000];
        (void)snprintf(piece, sizeof piece, "%.*s", (int)n, what);
        cli_put_text(stdout, piece);
        what += n;
        if (!*what) break;
        (void)putchar('?');
    }
    (void)putchar('\n');
    if (mend) indented(mend);
}

int cli_check(const cli_args *a)
{
    wb_error err = {0};
    tally t = {0};
    wb_report report = {.add = finding, .arg = &t};
    wb_pipeline *p = wb_pipeline_load(a->words[0], &err);
    if (!p) {
        (void)cli_failed(&err);
        return cli_exit_code(&err, 'c');
    }
    wb_code code = wb_pipeline_check(p, &report, &err);
    if (code != WB_OK) {
        char what[sizeof err.where + sizeof err.message + 4];
        (void)snprintf(what, sizeof what, "%s%s%s", err.where, err.where[0] ? ": " : "", err.message);
        finding(&t, WB_BAD, what, err.hint[0] ? err.hint : NULL);
    }
    if (t.bad)
        (void)printf("%s: %d to mend before it can run%s\n", wb_pipeline_name(p), t.bad,
                     t.warned ? ", and warnings" : "");
    else
        (void)printf("%s: ready to run%s\n", wb_pipeline_name(p), t.warned ? ", with warnings" : "");
    wb_pipeline_free(p);
    if (code == WB_E_INTERNAL || code == WB_E_NOMEM) return EXIT_BUG;
    return t.bad ? EXIT_CHECK : EXIT_FINE;
}

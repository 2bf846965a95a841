/* status.c: `walbrook status FILE`: what wb_pipeline_status says, as a page for people, or as it is with --json. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double since(double us)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - us / 1e6;
    return s < 0 ? 0 : s;
}

/* ---------------------------------------------------------------- a table with columns as wide as their widest cell */

enum { COLUMNS = 6, CELL = 64 };
typedef struct grid {
    char (*cells)[COLUMNS][CELL];
    size_t n;
} grid;

/* Columns on a terminal: bytes that do not continue a UTF-8 character. */
static int width_of(const char *z)
{
    int n = 0;
    for (; *z; z++) n += ((unsigned char)*z & 0xC0) != 0x80;
    return n;
}

static void print_grid(const grid *g)
{
    int widths[COLUMNS] = {0};
    const char *bold = cli_color(stdout, "\033[1m"), *end = *bold ? "\033[0m" : "";
    for (size_t r = 0; r < g->n; r++)
        for (size_t k = 0; k < COLUMNS; k++)
            if (width_of(g->cells[r][k]) > widths[k]) widths[k] = width_of(g->cells[r][k]);
    for (size_t r = 0; r < g->n; r++) {
        (void)printf("  %s", r ? "" : bold);
        for (size_t k = 0; k < COLUMNS; k++) {
            cli_put_text(stdout, g->cells[r][k]);
            if (k + 1 < COLUMNS) (void)printf("%*s", widths[k] - width_of(g->cells[r][k]) + 2, "");
        }
        (void)printf("%s\n", r ? "" : end);
    }
}

static void set(grid *g, size_t row, size_t column, const char *text)
{
    (void)snprintf(g->cells[row][column], CELL, "%.*s", CELL - 1, text);
}

static void set_target(grid *g, size_t row, const cli_json *t)
{
    char text[160], number[32];
    double lag = cli_json_number(t, "lag_seconds", -1), bytes = cli_json_number(t, "lag_bytes", -1),
           ordinal = cli_json_number(t, "ordinal", 0);
    const char *type = cli_json_text(t, "type"), *name = cli_json_text(t, "name"),
               *position = cli_json_text(t, "position");
    (void)snprintf(text, sizeof text, strcmp(type, name) == 0 ? "%s" : "%s (%s)", name, type);
    set(g, row, 0, text);
    set(g, row, 1, cli_json_text(t, "state"));
    (void)snprintf(text, sizeof text, ordinal > 0 ? "%s + %s" : "%s", *position ? position : "-",
                   cli_number((int64_t)ordinal, number));
    set(g, row, 2, text);
    set(g, row, 3, lag < 0 ? "-" : cli_seconds(lag, number));
    set(g, row, 4, bytes < 0 ? "-" : cli_bytes((int64_t)bytes, number));
    double changes = cli_json_number(t, "changes", -1);
    set(g, row, 5, changes < 0 ? "-" : cli_number((int64_t)changes, number));
}

/* ---------------------------------------------------------------- facts that only the plugin knows: name and value */

/* "held_bytes" as "held" with a unit, "pending_tables" as "pending tables". */
static void print_fact(const cli_json *f)
{
    char name[80], number[32];
    (void)snprintf(name, sizeof name, "%s", f->key);
    size_t n = strlen(name);
    bool bytes = n > 6 && strcmp(name + n - 6, "_bytes") == 0 && f->kind == CLI_NUMBER;
    if (bytes) name[n - 6] = 0;
    for (char *p = name; *p; p++)
        if (*p == '_') *p = ' ';
    (void)printf("    %-24s ", name);
    if (bytes)
        (void)fputs(cli_bytes((int64_t)strtod(f->text, NULL), number), stdout);
    else if (f->kind == CLI_BOOL)
        (void)fputs(f->on ? "yes" : "no", stdout);
    else if (f->text)
        cli_put_text(stdout, f->text);
    (void)putchar('\n');
}

static void print_facts(const cli_json *map, const char *const *known)
{
    for (const cli_json *f = map ? map->first : NULL; f; f = f->next) {
        size_t k = 0;
        while (known && known[k] && strcmp(known[k], f->key) != 0) k++;
        if (known && known[k]) continue;
        if (f->kind == CLI_MAP)
            print_facts(f, NULL);
        else if (f->kind != CLI_NULL && f->kind != CLI_LIST)
            print_fact(f);
        for (const cli_json *i = f->kind == CLI_LIST ? f->first : NULL; i; i = i->next) {
            cli_json one = *i;
            one.key = f->key;
            if (i->kind == CLI_MAP)
                print_facts(i, NULL);
            else
                print_fact(&one);
        }
    }
}

static void print_error(const char *text)
{
    const char *red = cli_color(stdout, "\033[31m"), *end = *red ? "\033[0m" : "";
    if (!*text) return;
    (void)printf("    %serror: ", red);
    cli_put_text(stdout, text);
    (void)printf("%s\n", end);
}

/* ---------------------------------------------------------------- the page */

static void print_head(const cli_json *s)
{
    char age[32], memory[32];
    const cli_json *running = cli_json_get(s, "running");
    double started = cli_json_number(s, "started_us", -1), written = cli_json_number(s, "written_us", -1);
    const char *bold = cli_color(stdout, "\033[1m"), *end = *bold ? "\033[0m" : "";
    (void)printf("%s%s%s: ", bold, cli_json_text(s, "pipeline"), end);
    if (running && running->on) {
        (void)printf("running, pid %s", cli_json_text(s, "pid"));
        if (started > 0) (void)printf(", for %s", cli_seconds(since(started), age));
        double used = cli_json_number(s, "memory_bytes", -1);
        if (used >= 0) (void)printf(", %s of changes on their way", cli_bytes((int64_t)used, memory));
        if (written > 0 && since(written) > 10)
            (void)printf("; these figures are %s old", cli_seconds(since(written), age));
    } else {
        (void)printf("not running");
    }
    (void)putchar('\n');
}

static void print_source(const cli_json *s)
{
    static const char *const known[] = {"type",     "connected", "changes", "transactions", "reconnects", "error",
                                        "snapshot", "server",    NULL};
    char a[32], b[32];
    const cli_json *source = cli_json_get(s, "source"), *connected = cli_json_get(source, "connected"),
                   *snapshot = cli_json_get(source, "snapshot");
    double changes = cli_json_number(source, "changes", -1);
    (void)printf("\nsource %s%s\n", cli_json_text(source, "type"), connected && connected->on ? ", connected" : "");
    if (changes >= 0)
        (void)printf("    %-24s %s in %s transactions\n", "changes", cli_number((int64_t)changes, a),
                     cli_number((int64_t)cli_json_number(source, "transactions", 0), b));
    if (cli_json_number(source, "reconnects", 0) > 0)
        (void)printf("    %-24s %s\n", "reconnects", cli_json_text(source, "reconnects"));
    if (snapshot && snapshot->kind == CLI_MAP) {
        double total = cli_json_number(snapshot, "total", -1);
        (void)printf("    %-24s %s, %s", "copying", cli_json_text(snapshot, "table"),
                     cli_number((int64_t)cli_json_number(snapshot, "rows", 0), a));
        (void)printf(total > 0 ? " of about %s rows" : " rows", cli_number((int64_t)total, b));
        double eta = cli_json_number(snapshot, "eta_seconds", -1);
        (void)printf(eta >= 0 ? ", left: %s\n" : "\n", cli_seconds(eta, a));
    }
    print_facts(cli_json_get(source, "server"), NULL);
    print_facts(source, known);
    print_error(cli_json_text(source, "error"));
}

static void print_targets(const cli_json *s)
{
    static const char *const known[] = {"name",    "type",          "destination", "state",      "position",
                                        "ordinal", "lag_bytes",     "lag_seconds", "unanswered", "changes",
                                        "retries", "down_since_us", "error",       NULL};
    static const char *const heads[COLUMNS] = {"target", "state", "stands at", "behind", "log behind", "changes"};
    const cli_json *list = cli_json_get(s, "targets");
    size_t n = 0;
    for (const cli_json *t = list ? list->first : NULL; t; t = t->next) n++;
    grid g = {.cells = calloc(n + 1, sizeof *g.cells), .n = n + 1};
    if (!g.cells) return;
    for (size_t k = 0; k < COLUMNS; k++) set(&g, 0, k, heads[k]);
    size_t row = 1;
    for (const cli_json *t = list ? list->first : NULL; t; t = t->next) set_target(&g, row++, t);
    (void)putchar('\n');
    if (n)
        print_grid(&g);
    else
        (void)puts("no target has a checkpoint yet");
    free(g.cells);
    for (const cli_json *t = list ? list->first : NULL; t; t = t->next) {
        bool more = *cli_json_text(t, "error") || cli_json_number(t, "retries", 0) > 0;
        for (const cli_json *f = t->first; f; f = f->next) {
            size_t k = 0;
            while (known[k] && strcmp(known[k], f->key) != 0) k++;
            more = more || (!known[k] && f->kind != CLI_NULL && (f->kind != CLI_MAP || f->first) &&
                            (f->kind != CLI_LIST || f->first));
        }
        if (!more) continue;
        char number[32];
        (void)printf("\ntarget %s: %s\n", cli_json_text(t, "name"), cli_json_text(t, "destination"));
        print_facts(t, known);
        if (cli_json_number(t, "retries", 0) > 0)
            (void)printf("    %-24s %s\n", "retries", cli_number((int64_t)cli_json_number(t, "retries", 0), number));
        double down = cli_json_number(t, "down_since_us", -1);
        if (down > 0) (void)printf("    %-24s %s\n", "down for", cli_seconds(since(down), number));
        print_error(cli_json_text(t, "error"));
    }
}

int cli_status(const cli_args *a)
{
    wb_error err = {0};
    wb_pipeline *p = wb_pipeline_load(a->words[0], &err);
    if (!p) {
        (void)cli_failed(&err);
        return cli_exit_code(&err, 'c');
    }
    char *text = wb_pipeline_status(p, &err);
    int code = text ? EXIT_FINE : cli_exit_code(&err, wb_pipeline_blame(p));
    cli_json *s = text ? cli_json_parse(text) : NULL;
    if (!text) {
        (void)cli_failed(&err);
    } else if (cli_flag(a, "json") || !s) {
        size_t n = strlen(text);
        (void)fputs(text, stdout);
        if (!n || text[n - 1] != '\n') (void)putchar('\n');
    } else {
        print_head(s);
        print_source(s);
        print_targets(s);
    }
    cli_json_free(s);
    free(text);
    wb_pipeline_free(p);
    return code;
}

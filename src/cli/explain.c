/* explain.c: `walbrook explain types URL`: what becomes of every column: its type at the source, the kind of its
 * values, what formats and targets make of it. A page for people, or --json: one object a column. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 3, COLUMNS = FIRST + 64 }; /* name, type, kind, then a column for all that write the same */

typedef struct row {
    char *cells[COLUMNS];
} row;
typedef struct page {
    char *schema, *table; /* whose rows these are; NULL: none yet */
    row *rows;
    size_t n, cap, width; /* width: of a row, in cells */
    char *by[COLUMNS];    /* who writes so */
    bool failed;
} page;

static char *copy(page *p, const char *z)
{
    char *c = strdup(z);
    if (!c) p->failed = true;
    return c;
}

/* Columns on a terminal: bytes that do not continue a UTF-8 character. */
static int width_of(const char *z)
{
    int n = 0;
    for (; *z; z++) n += ((unsigned char)*z & 0xC0) != 0x80;
    return n;
}

static bool same_column(const page *p, size_t a, size_t b)
{
    for (size_t r = 0; r < p->n; r++)
        if (strcmp(p->rows[r].cells[a], p->rows[r].cells[b]) != 0) return false;
    return true;
}

/* "record, row": who write the same for every column of the table share a heading; *shown: is it the first of them? */
static void heading(const page *p, size_t k, char *out, size_t cap, bool *shown)
{
    size_t n = (size_t)snprintf(out, cap, "%s", p->by[k]);
    *shown = true;
    for (size_t o = FIRST; o < p->width; o++) {
        if (o == k || !same_column(p, k, o)) continue;
        if (o < k) *shown = false;
        if (o > k && n < cap) n += (size_t)snprintf(out + n, cap - n, ", %s", p->by[o]);
    }
}

static void print_column(const char *text, int width, bool last)
{
    cli_put_text(stdout, text);
    if (!last) (void)printf("%*s", width - width_of(text) + 2, "");
}

static void print_table(const page *p)
{
    const char *bold = cli_color(stdout, "\033[1m"), *end = *bold ? "\033[0m" : "";
    char heads[COLUMNS][160] = {"column", "type", "kind"};
    int widths[COLUMNS] = {0};
    bool shown[COLUMNS] = {true, true, true};
    size_t last = FIRST - 1;
    for (size_t k = 0; k < p->width; k++) {
        if (k >= FIRST) heading(p, k, heads[k], sizeof heads[k], &shown[k]);
        if (shown[k]) last = k;
        widths[k] = width_of(heads[k]);
        for (size_t r = 0; r < p->n; r++)
            if (width_of(p->rows[r].cells[k]) > widths[k]) widths[k] = width_of(p->rows[r].cells[k]);
    }
    (void)printf("%s", bold);
    cli_put_text(stdout, p->schema);
    (void)putchar('.');
    cli_put_text(stdout, p->table);
    (void)printf("%s\n", end);
    for (size_t r = 0; r <= p->n; r++) { /* the headings, then the rows */
        (void)printf("  ");
        for (size_t k = 0; k < p->width; k++)
            if (shown[k]) print_column(r ? p->rows[r - 1].cells[k] : heads[k], widths[k], k == last);
        (void)putchar('\n');
    }
}

static void end_table(page *p)
{
    if (p->table && p->schema && !p->failed) print_table(p);
    for (size_t r = 0; r < p->n; r++)
        for (size_t k = 0; k < p->width; k++) free(p->rows[r].cells[k]);
    for (size_t k = 0; k < COLUMNS; k++) free(p->by[k]);
    memset(p->by, 0, sizeof p->by);
    free(p->schema);
    free(p->table);
    p->schema = p->table = NULL;
    p->n = 0;
}

static void begin_table(page *p, const wb_explained *e)
{
    bool again = p->table != NULL;
    end_table(p);
    if (again) (void)putchar('\n');
    p->schema = copy(p, e->schema);
    p->table = copy(p, e->table);
    p->width = FIRST + (e->n < COLUMNS - FIRST ? e->n : COLUMNS - FIRST);
    for (size_t k = FIRST; k < p->width; k++) p->by[k] = copy(p, e->by[k - FIRST]);
}

static void on_column(void *arg, const wb_explained *e)
{
    page *p = arg;
    char name[300];
    if (p->failed) return;
    if (!p->table || strcmp(p->schema, e->schema) != 0 || strcmp(p->table, e->table) != 0) begin_table(p, e);
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 64;
        row *more = realloc(p->rows, cap * sizeof *more);
        if (!more) {
            p->failed = true;
            return;
        }
        p->rows = more;
        p->cap = cap;
    }
    row *r = &p->rows[p->n++];
    (void)snprintf(name, sizeof name, "%s%s", e->column, e->key ? " (key)" : "");
    r->cells[0] = copy(p, name);
    r->cells[1] = copy(p, e->type);
    r->cells[2] = copy(p, e->kind);
    for (size_t k = FIRST; k < p->width; k++) r->cells[k] = copy(p, e->writes[k - FIRST]);
}

/* ---------------------------------------------------------------- for machines */

static void put_member(const char *name, const char *value)
{
    (void)printf("\"%s\":", name);
    cli_put_json(stdout, value);
    (void)putchar(',');
}

static void on_column_json(void *arg, const wb_explained *e)
{
    (void)arg;
    (void)putchar('{');
    put_member("schema", e->schema);
    put_member("table", e->table);
    put_member("column", e->column);
    put_member("type", e->type);
    put_member("kind", e->kind);
    (void)printf("\"key\":%s,\"not_null\":%s,\"writes\":{", e->key ? "true" : "false", e->not_null ? "true" : "false");
    for (size_t i = 0; i < e->n; i++) {
        (void)printf("%s\"%s\":", i ? "," : "", e->by[i]);
        cli_put_json(stdout, e->writes[i]);
    }
    (void)puts("}}");
}

int cli_explain(const cli_args *a)
{
    wb_error err = {0};
    page p = {0};
    if (strcmp(a->words[0], "types") != 0)
        return cli_usage_error("explain has nothing about %s. It is: walbrook explain types URL", a->words[0]);
    const char **tables = cli_values(a, "tables");
    bool json = cli_flag(a, "json");
    wb_code code = wb_explain_types(a->words[1], tables, json ? on_column_json : on_column, &p, &err);
    free(tables);
    end_table(&p);
    free(p.rows);
    if (code == WB_OK && p.failed) return cli_usage_error("There is not enough memory.");
    if (code == WB_OK) return EXIT_FINE;
    (void)cli_failed(&err);
    return cli_exit_code(&err, 's');
}

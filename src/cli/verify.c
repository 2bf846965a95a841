/* verify.c: `walbrook verify FILE`: rows that differ between the source and its mirrors, then how many did. */
#include "cli/cli.h"

#include <string.h>

typedef struct tally {
    bool json;
    int64_t rows, tables, differing, here; /* here: in the table at hand */
} tally;

static void put_member(const char *name, const char *z, bool more)
{
    (void)printf("\"%s\":", name);
    cli_put_json(stdout, z);
    if (more) (void)putchar(',');
}

static const char *word(wb_differs what)
{
    switch (what) {
    case WB_ROW_MISSING: return "missing";
    case WB_ROW_EXTRA: return "extra";
    case WB_ROW_DIFFERS: return "differs";
    case WB_TABLE_DIFFERS: return "table";
    default: return "compared";
    }
}

static void as_json(const tally *t, const wb_difference *d)
{
    (void)putchar('{');
    put_member("what", word(d->what), true);
    put_member("target", d->target, true);
    put_member("schema", d->schema, true);
    put_member("table", d->table, true);
    if (d->what == WB_SAME_SO_FAR) {
        (void)printf("\"rows\":%lld,\"differing\":%lld}\n", (long long)d->rows, (long long)t->here);
        return;
    }
    put_member("key", d->key, true);
    put_member("detail", d->detail, false);
    (void)puts("}");
}

static void as_text(const tally *t, const wb_difference *d)
{
    char number[32];
    cli_put_text(stdout, d->target);
    (void)fputs(": ", stdout);
    cli_put_text(stdout, d->schema);
    (void)putchar('.');
    cli_put_text(stdout, d->table);
    if (d->what == WB_SAME_SO_FAR) {
        (void)printf(": %s rows, ", cli_number(d->rows, number));
        if (t->here)
            (void)printf("%s differ\n", cli_number(t->here, number));
        else
            (void)puts("equal");
        return;
    }
    if (d->key[0]) {
        (void)fputs(" (", stdout);
        cli_put_text(stdout, d->key);
        (void)putchar(')');
    }
    if (d->what == WB_ROW_MISSING) (void)fputs(": not in the mirror", stdout);
    if (d->what == WB_ROW_EXTRA) (void)fputs(": not at the source", stdout);
    if (d->detail[0]) {
        (void)fputs(d->what == WB_ROW_MISSING || d->what == WB_ROW_EXTRA ? ", " : ": ", stdout);
        cli_put_text(stdout, d->detail);
    }
    (void)putchar('\n');
}

static void on_difference(void *arg, const wb_difference *d)
{
    tally *t = arg;
    if (d->what == WB_SAME_SO_FAR) {
        t->rows += d->rows;
        t->tables++;
    } else {
        t->differing++;
        t->here++;
    }
    cli_bar("");
    if (t->json)
        as_json(t, d);
    else
        as_text(t, d);
    if (d->what == WB_SAME_SO_FAR) t->here = 0;
}

int cli_verify(const cli_args *a)
{
    wb_error err = {0};
    tally t = {.json = cli_flag(a, "json")};
    bool behind = false;
    char rows[32], differing[32];
    wb_pipeline *p = wb_pipeline_load(a->words[0], &err);
    if (!p) {
        (void)cli_failed(&err);
        return cli_exit_code(&err, 'c');
    }
    wb_pipeline_on_log(p, WB_LOG_WARN, cli_on_log, NULL);
    wb_pipeline_on_progress(p, cli_on_progress, NULL);
    wb_code code = wb_pipeline_verify(p, on_difference, &t, &behind, &err);
    cli_bar("");
    int exit_code = cli_exit_code(&err, wb_pipeline_blame(p));
    wb_pipeline_free(p);
    if (code != WB_OK) {
        (void)cli_failed(&err);
        return exit_code;
    }
    if (!t.json)
        (void)printf("%s rows of %lld tables compared: %s\n", cli_number(t.rows, rows), (long long)t.tables,
                     t.differing ? "they differ" : "no difference");
    if (t.differing && !t.json) (void)printf("%s differences\n", cli_number(t.differing, differing));
    if (t.differing && behind && !t.json)
        (void)puts("Some may only be newer than the mirror: `walbrook run FILE --until now`, then verify again.");
    return t.differing ? EXIT_CHECK : EXIT_FINE;
}

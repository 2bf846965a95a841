/* tail.c: `walbrook tail URL`: changes as they happen, on stdout. A pipeline made here, without state: a temporary
 * slot at PostgreSQL, the log's end at MySQL, and nothing left behind. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool write_list(FILE *f, const char *key, const char **values)
{
    if (!values) return true;
    bool fine = true;
    (void)fprintf(f, "  %s: [", key);
    for (size_t i = 0; fine && values[i]; i++) {
        if (i) (void)fputs(", ", f);
        fine = cli_put_scalar(f, values[i]);
    }
    (void)fputs("]\n", f);
    return fine;
}

static bool write_pipeline(FILE *f, const cli_args *a, const char *type)
{
    const char *no = getenv("NO_COLOR"), *publication = cli_value(a, "publication");
    const char **tables = cli_values(a, "tables");
    bool color = isatty(STDOUT_FILENO) && !(no && *no), fine;
    (void)fprintf(f, "name: tail\nsource:\n  type: %s\n  tail: true\n  snapshot: %s\n  url: ", type,
                  cli_flag(a, "snapshot") ? "initial" : "never");
    fine = cli_put_scalar(f, a->words[0]);
    (void)fputc('\n', f);
    fine = fine && write_list(f, "tables", tables);
    free(tables);
    if (publication) {
        (void)fputs("  publication: ", f);
        fine = fine && cli_put_scalar(f, publication);
        (void)fputc('\n', f);
    }
    (void)fputs("targets:\n  - type: file\n    path: '-'\n    fsync: off\n", f);
    if (cli_flag(a, "json"))
        (void)fputs("    format: record\n", f);
    else
        (void)fprintf(f, "    format: pretty\n    format_options: {color: %s}\n", color ? "true" : "false");
    return fine;
}

int cli_tail(const cli_args *a)
{
    const char *type = wb_source_of_url(a->words[0]);
    if (!type) return cli_usage_error("tail needs a URL that begins with postgres://, mysql:// or mariadb://");
    int code = cli_say_open(a, WB_LOG_WARN);
    if (code != EXIT_FINE) return code;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    bool fine = f && write_pipeline(f, a, type);
    if (f && fclose(f) != 0) fine = false;
    if (!fine) {
        free(text);
        return cli_usage_error("The URL, the publication or a table pattern holds a control character.");
    }
    cli_job job = {.file = "tail", .text = text, .watch_stdout = true, .hello = "Watching; Ctrl-C ends it."};
    code = cli_run_jobs(&job, 1);
    memset(text, 0, n); /* the URL may hold a password */
    free(text);
    return code;
}

/* decode.c: `walbrook decode FILE...`: binlog files, offline, as lines on stdout in any format; with --sql or --undo as
 * statements. A pipeline made here, without state. */
#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A path means the same to the pipeline as to the shell: ours has no folder. */
static bool write_lists(FILE *f, const cli_args *a)
{
    const char **tables = cli_values(a, "tables");
    bool fine = true;
    (void)fputs("name: decode\nsource:\n  type: binlog\n  files: [", f);
    for (size_t i = 0; fine && i < a->nwords; i++) {
        if (i) (void)fputs(", ", f);
        fine = cli_put_scalar(f, a->words[i]);
    }
    (void)fputs("]\n", f);
    if (tables) (void)fputs("  tables: [", f);
    for (size_t i = 0; tables && fine && tables[i]; i++) {
        if (i) (void)fputs(", ", f);
        fine = cli_put_scalar(f, tables[i]);
    }
    if (tables) (void)fputs("]\n", f);
    free(tables);
    return fine;
}

/* A list or a map as it is, which is YAML; anything else as text. */
static bool put_option_value(FILE *f, const char *z)
{
    if (*z != '[' && *z != '{') return cli_put_scalar(f, z);
    for (; *z; z++) {
        if ((unsigned char)*z < 0x20 || *z == 0x7f) return false;
        if (*z == '$' && z[1] == '{') (void)fputc('$', f);
        (void)fputc(*z, f);
    }
    return true;
}

static bool write_format_options(FILE *f, const cli_args *a)
{
    const char **options = cli_values(a, "format-option");
    bool fine = true;
    if (options) (void)fputs("    format_options:\n", f);
    for (size_t i = 0; options && fine && options[i]; i++) {
        (void)fprintf(f, "      %.*s: ", (int)strcspn(options[i], "="), options[i]);
        fine = put_option_value(f, strchr(options[i], '=') + 1);
        (void)fputc('\n', f);
    }
    free(options);
    return fine;
}

static bool write_pipeline(FILE *f, const cli_args *a)
{
    static const char *const given[] = {"start", "stop", "schema", "zero-dates", "bad-text", NULL};
    static const char *const keys[] = {"start", "stop", "schema", "zero_dates", "bad_text", NULL};
    bool sql = cli_flag(a, "sql"), undo = cli_flag(a, "undo"), fine = write_lists(f, a);
    for (size_t i = 0; fine && given[i]; i++) {
        const char *value = cli_value(a, given[i]);
        if (!value) continue;
        (void)fprintf(f, "  %s: ", keys[i]);
        fine = cli_put_scalar(f, value);
        (void)fputc('\n', f);
    }
    if (cli_flag(a, "query")) (void)fputs("  query: true\n", f);
    const char *format = sql || undo ? "sql" : cli_value(a, "format");
    (void)fputs("targets:\n  - type: file\n    path: '-'\n    fsync: off\n    format: ", f);
    fine = fine && cli_put_scalar(f, format ? format : "record");
    (void)fputc('\n', f);
    if (cli_flag(a, "envelope")) (void)fputs("    envelope: true\n", f);
    if (undo) (void)fputs("    format_options: {undo: true}\n", f);
    return fine && write_format_options(f, a);
}

/* ---------------------------------------------------------------- --sql and --undo */

static const char before[] =
    "-- Made by walbrook decode. Values are UTF-8 text and UTC times; run it with the mysql or mariadb client.\n"
    "SET NAMES utf8mb4;\n"
    "SET time_zone = '+00:00';\n"
    "SET sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO';\n";

static int cannot(const char *what) { return cli_usage_error("%s: %s", what, strerror(errno)), EXIT_TARGET; }

/* The lines of `f`, the last one first, to stdout. */
static int backwards(FILE *f)
{
    enum { CHUNK = 64 * 1024 };
    char *lines = NULL; /* from the beginning of a line to `end` */
    size_t n = 0;
    if (fseeko(f, 0, SEEK_END) != 0) return cannot("the file for undo statements");
    for (off_t at = ftello(f); at > 0;) {
        size_t more = at < CHUNK ? (size_t)at : CHUNK;
        char *bigger = realloc(lines, n + more);
        if (!bigger) {
            free(lines);
            return cannot("undo");
        }
        lines = bigger;
        memmove(lines + more, lines, n);
        at -= (off_t)more;
        n += more;
        if (fseeko(f, at, SEEK_SET) != 0 || fread(lines, 1, more, f) != more) {
            free(lines);
            return cannot("the file for undo statements");
        }
        /* whole lines: those after the first newline, and all of it at the beginning of the file */
        for (size_t end = n; end > 0;) {
            size_t from = end - 1;
            while (from > 0 && lines[from - 1] != '\n') from--;
            if (from == 0 && at > 0) break;
            (void)fwrite(lines + from, 1, end - from, stdout);
            n = end = from;
        }
    }
    free(lines);
    return ferror(stdout) ? cannot("stdout") : EXIT_FINE;
}

static int run_job(const char *text)
{
    cli_job job = {.file = "decode", .text = text, .watch_stdout = true};
    return cli_run_jobs(&job, 1);
}

static int run_sql(const char *text)
{
    (void)fputs(before, stdout);
    if (fflush(stdout) != 0) return errno == EPIPE ? EXIT_FINE : cannot("stdout");
    int code = run_job(text);
    if (code == EXIT_FINE) (void)puts("COMMIT;");
    return code;
}

/* The statements go to a file of nobody else, and from there backwards to stdout. */
static int run_undo(const char *text)
{
    FILE *f = tmpfile();
    int out = dup(STDOUT_FILENO);
    if (!f || out < 0 || dup2(fileno(f), STDOUT_FILENO) < 0) {
        if (f) (void)fclose(f);
        return cannot("a file for undo statements");
    }
    int code = run_job(text);
    if (dup2(out, STDOUT_FILENO) < 0) code = cannot("stdout");
    (void)close(out);
    if (code == EXIT_FINE) {
        (void)fputs(before, stdout);
        (void)fputs("BEGIN;\n", stdout);
        code = backwards(f);
    }
    (void)fclose(f);
    return code;
}

/* NAME=VALUE, each name once and such as an option's can be: anything else is no YAML of ours. */
static int check_format_options(const cli_args *a)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    const char **options = cli_values(a, "format-option");
    int code = EXIT_FINE;
    for (size_t i = 0; options && code == EXIT_FINE && options[i]; i++) {
        size_t n = strspn(options[i], letters);
        if (!n || options[i][n] != '=')
            code = cli_usage_error("--format-option is NAME=VALUE, such as schemas=true: \"%s\" is not.", options[i]);
        for (size_t k = 0; code == EXIT_FINE && k < i; k++)
            if (strncmp(options[k], options[i], n + 1) == 0)
                code = cli_usage_error("--format-option %.*s is there twice; a list is NAME='[a, b]'.", (int)n,
                                       options[i]);
    }
    free(options);
    return code;
}

int cli_decode(const cli_args *a)
{
    bool sql = cli_flag(a, "sql"), undo = cli_flag(a, "undo");
    if (sql && undo) return cli_usage_error("--sql repeats changes and --undo takes them back: give one of them.");
    if ((sql || undo) && cli_value(a, "format"))
        return cli_usage_error("--%s is a format by itself: leave out --format.", sql ? "sql" : "undo");
    if ((sql || undo) && (cli_flag(a, "envelope") || cli_flag(a, "format-option")))
        return cli_usage_error("--%s prints statements: --envelope and --format-option are for other formats.",
                               sql ? "sql" : "undo");
    int code = check_format_options(a);
    if (code == EXIT_FINE) code = cli_say_open(a, WB_LOG_WARN);
    if (code != EXIT_FINE) return code;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    bool fine = f && write_pipeline(f, a);
    if (f && fclose(f) != 0) fine = false;
    if (!fine) {
        free(text);
        return cli_usage_error("A file's name or an option's value holds a control character.");
    }
    code = undo ? run_undo(text) : sql ? run_sql(text) : run_job(text);
    free(text);
    return code;
}

/* cli.h: what the commands of the program share. They use walbrook/walbrook.h as any embedding program would. */
#ifndef WB_CLI_H
#define WB_CLI_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "walbrook/walbrook.h"

/* Exit codes: the promise of `walbrook help exit-codes`. */
enum { EXIT_FINE = 0, EXIT_CHECK = 1, EXIT_USAGE = 2, EXIT_SOURCE = 3, EXIT_TARGET = 4, EXIT_BUG = 5 };

/* ---------------------------------------------------------------- args.c: the command line, from tables */

typedef enum cli_kind { CLI_FLAG, CLI_VALUE, CLI_MANY } cli_kind;
typedef struct cli_option {
    const char *name;  /* without --; NULL ends the table */
    cli_kind kind;     /* a flag, a value, a value that may come several times */
    const char *value; /* "NAME", for help */
    const char *brief;
} cli_option;

typedef struct cli_args cli_args;
typedef struct cli_command {
    const char *name;  /* NULL ends the table */
    const char *words; /* "FILE...", for help */
    const char *brief;
    const char *detail; /* may be NULL */
    const cli_option *options;
    size_t least, most; /* words */
    int (*run)(const cli_args *a);
} cli_command;

typedef struct cli_given {
    const cli_option *option;
    const char *value;
} cli_given;
struct cli_args {
    const cli_command *command;
    const char **words;
    size_t nwords;
    cli_given *given;
    size_t ngiven;
};
/* EXIT_FINE: filled; EXIT_USAGE: said why. The arrays live as long as the process. */
int cli_parse(const cli_command *c, int argc, char **argv, cli_args *out);
bool cli_flag(const cli_args *a, const char *name);
const char *cli_value(const cli_args *a, const char *name);   /* the last one; NULL: not given */
const char **cli_values(const cli_args *a, const char *name); /* malloc'd, NULL-ended; NULL: none given */
/* The nearest of `names` (NULL-ended), or NULL. */
const char *cli_nearest(const char *word, const char *const *names);

extern const cli_command cli_commands[]; /* main.c */
int cli_run(const cli_args *a), cli_check(const cli_args *a), cli_tail(const cli_args *a),
    cli_status(const cli_args *a), cli_drop(const cli_args *a), cli_verify(const cli_args *a),
    cli_init(const cli_args *a), cli_explain(const cli_args *a), cli_decode(const cli_args *a),
    cli_help(const cli_args *a), cli_snapshot(const cli_args *a), cli_add_table(const cli_args *a),
    cli_resync(const cli_args *a), cli_import(const cli_args *a);
int cli_version(void);
void cli_usage(FILE *to);
void cli_command_help(const cli_command *c, FILE *to);

/* ---------------------------------------------------------------- say.c: words for people, on stderr */

typedef struct cli_say_options {
    wb_log_level level;
    const char *file; /* NULL: stderr                                   */
    int json;         /* 1 yes, 0 no, -1: when it is not a terminal     */
} cli_say_options;
/* --log-level, --log-format, --log-file */
#define CLI_LOG_OPTIONS                                                                                                \
    {"log-level", CLI_VALUE, "error|warn|info|debug", "how much to say"},                                              \
        {"log-format", CLI_VALUE, "text|json", "default: text on a terminal, else JSON lines"},                        \
    {                                                                                                                  \
        "log-file", CLI_VALUE, "FILE", "append the log to a file instead of stderr; HUP opens it again"                \
    }
int cli_say_open(const cli_args *a, wb_log_level level); /* EXIT_FINE or EXIT_USAGE, said why */
void cli_say_reopen(void);
wb_log_level cli_say_level(void);
/* One line of the log. Any thread. */
void cli_say(wb_log_level level, const char *part, const char *text);
void cli_say_error(const wb_error *err, const char *pipeline);
/* For wb_pipeline_on_log; arg: the pipeline's name to put in front, or NULL. */
void cli_on_log(void *arg, wb_log_level level, const char *part, const char *text);
/* One line redrawn below the log, on a terminal only; "": take it away. */
void cli_bar(const char *text);
bool cli_bar_wanted(void);
/* "walbrook: ..." on stderr, whatever the log options say: mistakes of the command line. */
int cli_usage_error(const char *fmt, ...) WB_PRINTF(1, 2);
/* A failed call of a short command: sentence, hint; gives the exit code. */
int cli_failed(const wb_error *err);
int cli_exit_code(const wb_error *err, int blame);
/* ANSI sequence, or "" when `to` is no terminal or NO_COLOR is set. */
const char *cli_color(FILE *to, const char *sequence);
/* A JSON string with its quotes; NULL: "". */
void cli_put_json(FILE *to, const char *z);
/* A YAML scalar in single quotes; `$${` is `${` itself. False: it holds control characters. */
bool cli_put_scalar(FILE *f, const char *z);
/* Text from outside with control characters replaced. */
void cli_put_text(FILE *to, const char *text);
/* 1234567 as 1,234,567; bytes as 1.2 MB; seconds as 2 h 05 m. Into `out`, returned. */
const char *cli_number(int64_t n, char out[32]);
const char *cli_bytes(int64_t n, char out[32]);
const char *cli_seconds(double s, char out[32]);

/* ---------------------------------------------------------------- running.c: pipelines in threads, signals in main */

typedef struct cli_job {
    const char *file; /* or, with text, what to call it          */
    const char *text; /* a pipeline file in memory, stateless    */
    wb_run_options options;
    bool watch_stdout; /* stop quietly when nobody reads stdout   */
    const char *hello; /* for a person, when it has started; NULL: nothing */
} cli_job;
/* Runs all of them until they end or a signal says so; the worst exit code. */
int cli_run_jobs(const cli_job *jobs, size_t n);

/* ---------------------------------------------------------------- notify.c: systemd */
void cli_notify(const char *state); /* nothing without NOTIFY_SOCKET */
int cli_watchdog_ms(void);          /* how often WATCHDOG=1 is wanted; -1: never */

/* ---------------------------------------------------------------- progress.c: the bar of a snapshot */
void cli_on_progress(void *arg, const char *table, int64_t rows, int64_t total);

/* ---------------------------------------------------------------- json.c: reading what wb_pipeline_status gives */
typedef enum cli_json_kind { CLI_NULL, CLI_BOOL, CLI_NUMBER, CLI_TEXT, CLI_LIST, CLI_MAP } cli_json_kind;
typedef struct cli_json {
    cli_json_kind kind;
    const char *key;  /* in a map */
    const char *text; /* NUMBER (as written), TEXT */
    bool on;
    struct cli_json *first, *next;
} cli_json;
cli_json *cli_json_parse(const char *text); /* NULL: it is not JSON, or no memory */
void cli_json_free(cli_json *j);
const cli_json *cli_json_get(const cli_json *map, const char *key);
const char *cli_json_text(const cli_json *map, const char *key); /* "" when it is none */
double cli_json_number(const cli_json *map, const char *key, double otherwise);
#endif

/* main.c: the program: its commands in one table, and what every one of them needs first. */
#include "cli/cli.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static const cli_option run_options[] = {
    {"until", CLI_VALUE, "now", "end when what was committed at the start has arrived everywhere"},
    {"standby", CLI_FLAG, NULL, "while another process runs the pipeline: wait for its end, then take over"},
    {"forget", CLI_MANY, "NAME", "a target that the file names no more: drop its checkpoint"},
    {"accept", CLI_MANY, "NAME", "a target whose own stand differs from the state: believe it"},
    {"resnapshot", CLI_MANY, "NAME", "begin this target again from nothing, with a snapshot"},
    CLI_LOG_OPTIONS,
    {0},
};
static const cli_option snapshot_options[] = {
    {"resnapshot", CLI_MANY, "NAME", "copy to this target again, from nothing"},
    CLI_LOG_OPTIONS,
    {0},
};
static const cli_option tail_options[] = {
    {"tables", CLI_MANY, "PATTERN", "only these tables, such as public.*"},
    {"json", CLI_FLAG, NULL, "records for machines instead of lines for eyes"},
    {"publication", CLI_VALUE, "NAME", "use this publication instead of a temporary one"},
    {"snapshot", CLI_FLAG, NULL, "show the rows that are there first"},
    CLI_LOG_OPTIONS,
    {0},
};
static const cli_option decode_options[] = {
    {"format", CLI_VALUE, "NAME", "how changes are written: record (default), row, debezium, pretty, ..."},
    {"format-option", CLI_MANY, "NAME=VALUE", "an option of the format: schemas=true, skip='[t]'"},
    {"envelope", CLI_FLAG, NULL, "lines {\"topic\":...,\"key\":...,\"value\":...,\"headers\":[...]}"},
    {"query", CLI_FLAG, NULL, "keep the statements that made the rows, for formats that tell them"},
    {"tables", CLI_MANY, "PATTERN", "only these tables, such as shop.*"},
    {"start", CLI_VALUE, "WHERE", "begin at: binlog.000042:1234, 1234, \"2024-06-01 12:00:00\" (UTC), a GTID"},
    {"stop", CLI_VALUE, "WHERE", "end before that place or time, or after that GTID"},
    {"schema", CLI_VALUE, "DUMP|STATE|URL",
     "who knows how columns are declared, and their names in logs without FULL row\n"
     "metadata: a schema dump, the state folder of a pipeline, or a server"},
    {"sql", CLI_FLAG, NULL, "SQL that makes the changes again"},
    {"undo", CLI_FLAG, NULL, "SQL that takes the changes back, the last one first"},
    {"zero-dates", CLI_VALUE, "text|null", "what becomes of 0000-00-00"},
    {"bad-text", CLI_VALUE, "refuse|replace", "bytes that are not of the column's charset"},
    CLI_LOG_OPTIONS,
    {0},
};
static const cli_option status_options[] = {{"json", CLI_FLAG, NULL, "one JSON object, for machines"}, {0}};
static const cli_option verify_options[] = {
    {"json", CLI_FLAG, NULL, "one JSON object a difference and a table, for machines"}, {0}};
static const cli_option import_options[] = {
    {"offsets", CLI_VALUE, "FILE", "Debezium's stored offsets: go on where it had come to"}, {0}};
static const cli_option drop_options[] = {{"yes", CLI_FLAG, NULL, "do not ask"}, {0}};
static const cli_option explain_options[] = {
    {"tables", CLI_MANY, "PATTERN", "only these tables, such as public.*"},
    {"json", CLI_FLAG, NULL, "one JSON object a column, for machines"},
    {0},
};
static const cli_option help_options[] = {{"markdown", CLI_FLAG, NULL, "the reference of everything, in Markdown"},
                                          {0}};

const cli_command cli_commands[] = {
    {"run", "FILE...", "run a pipeline, or several in one process",
     "TERM or INT delivers what was read (for at most the pipeline's grace), writes the checkpoints and ends with 0; "
     "a\n"
     "second one ends at once. HUP syncs the targets' files, opens them again and looks for new\n"
     "tables that match `tables`. USR1 logs the status.",
     run_options, 1, 1000, cli_run},
    {"snapshot", "FILE", "copy the tables as they are now, once, and end",
     "As `snapshot: only`: no slot, no changes afterwards. One that was interrupted begins again.", snapshot_options, 1,
     1, cli_snapshot},
    {"add-table", "FILE TABLE", "let a table join a pipeline that has run: it is copied, then followed",
     "TABLE is schema.table and must match the file's `tables`. The pipeline may be running: the copy comes in turns "
     "with\n"
     "the stream. HUP does it for all tables that match and have not joined.",
     NULL, 2, 2, cli_add_table},
    {"resync", "FILE TABLE", "read a table again, for all targets",
     "Each target first empties its copy of the table, so that rows that should not be there go. The pipeline may be\n"
     "running.",
     NULL, 2, 2, cli_resync},
    {"check", "FILE", "look whether both ends are ready; changes nothing",
     "Each finding comes with the SQL or the command that mends it. Exit code 1 when one must be mended first.", NULL,
     1, 1, cli_check},
    {"status", "FILE", "how far each target is, and what the source holds for it",
     "Works while the pipeline runs and while it does not.", status_options, 1, 1, cli_status},
    {"verify", "FILE", "compare the source's tables with their SQLite mirrors, row by row",
     "Exit code 1 when they differ. Reads the tables once (while the pipeline runs: twice) and needs room for a copy "
     "of the\n"
     "mirror in the state folder.",
     verify_options, 1, 1, cli_verify},
    {"tail", "URL", "watch changes live; keeps no state, leaves nothing behind",
     "URL: postgres://user@host/database, mysql://user@host/database. A password: PGPASSWORD, ~/.pgpass; MYSQL_PWD.",
     tail_options, 1, 1, cli_tail},
    {"decode", "FILE...", "binlog files of MySQL and MariaDB, offline, to records or SQL",
     "FILE: binlog.000042, plain, gzip or zstd, several in their order, or - for standard input. Places are where a\n"
     "transaction begins. Needs no server.",
     decode_options, 1, 10000, cli_decode},
    {"init", "URL", "write a commented pipeline file for a database to stdout", NULL, NULL, 1, 1, cli_init},
    {"import", "debezium FILE", "a pipeline file that means what a configuration of Debezium means",
     "FILE: Debezium Server's application.properties, or a connector of Kafka Connect as JSON. What has no counterpart "
     "is\n"
     "named at the end. Passwords are not printed: they come from the environment.",
     import_options, 2, 2, cli_import},
    {"explain", "types URL", "what each column becomes in every format, and in SQLite",
     "Per column: its type at the source, the kind of its values, and what the formats and targets write of them when\n"
     "no option says otherwise. Columns that do not travel (generated ones) are left out. Changes nothing.",
     explain_options, 2, 2, cli_explain},
    {"drop", "FILE", "remove a pipeline's slot, publications and state",
     "Data at the targets stays. Asks on a terminal; elsewhere it needs --yes.", drop_options, 1, 1, cli_drop},
    {"help", "[WORD [NAME]]", "help about a command, a plugin's options, exit codes",
     "WORD: a command, source, target, transform, format (then a NAME or nothing), pipeline, exit-codes.", help_options,
     0, 2, cli_help},
    {0},
};

static int unknown_command(const char *word)
{
    const char *names[32];
    size_t n = 0;
    for (const cli_command *c = cli_commands; c->name && n < 31; c++) names[n++] = c->name;
    names[n] = NULL;
    const char *near = cli_nearest(word + strspn(word, "-"), names);
    if (near) return cli_usage_error("walbrook %s has no command %s. Did you mean %s?", wb_version(), word, near);
    return cli_usage_error("walbrook %s has no command %s. \"walbrook help\" lists them.", wb_version(), word);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_usage(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0 || strcmp(word, "version") == 0) return cli_version();
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        cli_usage(stdout);
        return EXIT_FINE;
    }
    for (const cli_command *c = cli_commands; c->name; c++) {
        cli_args a;
        if (strcmp(c->name, word) != 0) continue;
        if (wants_help(argc - 2, argv + 2)) {
            cli_command_help(c, stdout);
            return EXIT_FINE;
        }
        int code = cli_parse(c, argc - 2, argv + 2, &a);
        if (code == EXIT_FINE) code = c->run(&a);
        free(a.words);
        free(a.given);
        return code;
    }
    return unknown_command(word);
}

int main(int argc, char **argv)
{
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* passwords stay out of core dumps */
    (void)signal(SIGPIPE, SIG_IGN);           /* a reader that has gone is an error of that write */
    /* A connect that a stop did not wait for may be in the midst of TLS when the process ends: what it uses stays. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    int code = dispatch(argc, argv);
    if (fflush(stdout) != 0 && errno != EPIPE && code == EXIT_FINE)
        return cli_usage_error("stdout: %s", strerror(errno));
    return code;
}

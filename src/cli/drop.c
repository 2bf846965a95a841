/* drop.c: `walbrook drop FILE`: remove what a pipeline made at the source, and its state. Data at the targets stays. */
#include "cli/cli.h"

#include <stdlib.h>
#include <unistd.h>

static void say(void *arg, const char *line)
{
    ++*(int *)arg;
    cli_put_text(stdout, line);
    (void)putchar('\n');
}

/* A person's yes, on the terminal. */
static bool agreed(const char *name)
{
    char *answer = NULL;
    size_t cap = 0;
    (void)fprintf(stderr,
                  "Remove the slot, the publications and the state of \"%s\"? Its next run begins with a new "
                  "snapshot. [y/N] ",
                  name);
    bool yes = getline(&answer, &cap, stdin) > 0 && (answer[0] == 'y' || answer[0] == 'Y');
    free(answer);
    return yes;
}

int cli_drop(const cli_args *a)
{
    wb_error err = {0};
    int removed = 0;
    wb_pipeline *p = wb_pipeline_load(a->words[0], &err);
    if (!p) {
        (void)cli_failed(&err);
        return cli_exit_code(&err, 'c');
    }
    if (!cli_flag(a, "yes")) {
        bool terminal = isatty(STDIN_FILENO);
        bool yes = terminal && agreed(wb_pipeline_name(p));
        if (!yes) {
            wb_pipeline_free(p);
            if (!terminal)
                return cli_usage_error("drop asks before it removes anything; without a terminal say --yes.");
            (void)puts("Nothing was removed.");
            return EXIT_FINE;
        }
    }
    wb_code code = wb_pipeline_drop(p, say, &removed, &err);
    int exit_code = code == WB_OK ? EXIT_FINE : cli_exit_code(&err, wb_pipeline_blame(p));
    if (code != WB_OK)
        (void)cli_failed(&err);
    else if (!removed)
        (void)puts("There was nothing to remove.");
    else
        (void)puts("What the targets hold stays. To copy into the same places again: walbrook run FILE --resnapshot "
                   "NAME, for each target.");
    wb_pipeline_free(p);
    return exit_code;
}

/* init.c: `walbrook init URL`: a commented pipeline file for that database, on stdout. */
#include "cli/cli.h"

static void put(void *arg, const char *text)
{
    (void)arg;
    (void)fputs(text, stdout);
}

int cli_init(const cli_args *a)
{
    wb_error err = {0};
    if (wb_suggest(a->words[0], put, NULL, &err) == WB_OK) return EXIT_FINE;
    (void)cli_failed(&err);
    return cli_exit_code(&err, 's');
}

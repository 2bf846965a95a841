/* ask.c: `walbrook add-table FILE TABLE` and `walbrook resync FILE TABLE`: wishes for a pipeline, running or not. */
#include "cli/cli.h"

static int ask(const cli_args *a, const char *what, const char *now, const char *later)
{
    wb_error err = {0};
    bool running = false;
    wb_pipeline *p = wb_pipeline_load(a->words[0], &err);
    if (!p) {
        (void)cli_failed(&err);
        return cli_exit_code(&err, 'c');
    }
    wb_code code = wb_pipeline_ask(p, what, a->words[1], &running, &err);
    int exit_code = code == WB_OK ? EXIT_FINE : cli_exit_code(&err, wb_pipeline_blame(p));
    if (code != WB_OK) {
        (void)cli_failed(&err);
    } else {
        cli_put_text(stdout, a->words[1]);
        (void)puts(running ? now : later);
    }
    wb_pipeline_free(p);
    return exit_code;
}

int cli_add_table(const cli_args *a)
{
    return ask(a, "add-table", " joins the pipeline and is copied, in turns with the stream; see `walbrook status`.",
               " will join and be copied when the pipeline runs next.");
}

int cli_resync(const cli_args *a)
{
    return ask(a, "resync", " is read again, in turns with the stream; see `walbrook status`.",
               " will be read again when the pipeline runs next.");
}

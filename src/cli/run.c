/* run.c: `walbrook run FILE...`, `walbrook snapshot FILE` */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

int cli_run(const cli_args *a)
{
    const char *until = cli_value(a, "until");
    if (until && strcmp(until, "now") != 0) return cli_usage_error("--until knows one word: now.");
    bool standby = cli_flag(a, "standby");
    if (until && standby) return cli_usage_error("--standby is for runs without an end; --until now has one.");
    bool named = cli_value(a, "forget") || cli_value(a, "accept") || cli_value(a, "resnapshot");
    if (named && a->nwords > 1)
        return cli_usage_error("--forget, --accept and --resnapshot go with one pipeline file: they name its targets.");
    int code = cli_say_open(a, WB_LOG_INFO);
    if (code != EXIT_FINE) return code;
    cli_job *jobs = calloc(a->nwords, sizeof *jobs);
    if (!jobs) return cli_usage_error("There is not enough memory.");
    const char **forget = cli_values(a, "forget"), **accept = cli_values(a, "accept"),
               **resnapshot = cli_values(a, "resnapshot");
    for (size_t i = 0; i < a->nwords; i++) {
        jobs[i].file = a->words[i];
        jobs[i].options = (wb_run_options){.flags = (until ? WB_RUN_UNTIL_NOW : 0) | (standby ? WB_RUN_STANDBY : 0),
                                           .forget = forget,
                                           .accept = accept,
                                           .resnapshot = resnapshot};
    }
    code = cli_run_jobs(jobs, a->nwords);
    free(forget);
    free(accept);
    free(resnapshot);
    free(jobs);
    return code;
}

int cli_snapshot(const cli_args *a)
{
    int code = cli_say_open(a, WB_LOG_INFO);
    if (code != EXIT_FINE) return code;
    const char **resnapshot = cli_values(a, "resnapshot");
    cli_job job = {.file = a->words[0], .options = {.flags = WB_RUN_SNAPSHOT, .resnapshot = resnapshot}};
    code = cli_run_jobs(&job, 1);
    free(resnapshot);
    return code;
}

/* walbrook/walbrook.h: run pipelines from a program of your own; what the command `walbrook` is made of.
 * Link with -lwalbrook. Everything is opaque; options are strings, as in a pipeline file.
 * Thread: a pipeline belongs to the thread that made it, except where said. */
#ifndef WALBROOK_H
#define WALBROOK_H

#include "walbrook/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

WB_API const char *wb_version(void);
WB_API const char *wb_libraries(void); /* what every build needs, with versions; plugins name theirs */

typedef struct wb_pipeline wb_pipeline;

/* Load a pipeline file, or its text. Nothing is connected or written. NULL and err: refused. */
WB_API wb_pipeline *wb_pipeline_load(const char *path, wb_error *err);
/* dir: folder that paths are relative to; NULL: the working folder. stateless: keep no state (`tail`). */
WB_API wb_pipeline *wb_pipeline_parse(const char *yaml, size_t len, const char *dir, bool stateless, wb_error *err);
WB_API void wb_pipeline_free(wb_pipeline *p);
WB_API const char *wb_pipeline_name(const wb_pipeline *p);

/* Called from any of the pipeline's threads. Default: silent. Before run. */
WB_API void wb_pipeline_on_log(wb_pipeline *p, wb_log_level level,
                               void (*fn)(void *arg, wb_log_level level, const char *part, const char *text),
                               void *arg);
/* Progress of a snapshot; any thread. table "" at the end. total < 0: not known. */
WB_API void wb_pipeline_on_progress(wb_pipeline *p,
                                    void (*fn)(void *arg, const char *table, int64_t rows, int64_t total), void *arg);

typedef enum wb_run_flags {
    WB_RUN_UNTIL_NOW = 1,
    WB_RUN_STANDBY = 2, /* another process runs it: wait for its end, then take over */
    WB_RUN_SNAPSHOT = 4 /* only copy the tables, whatever the file says of snapshots */
} wb_run_flags;
typedef struct wb_run_options {
    uint32_t flags;
    const char *const *forget;     /* NULL-ended: targets that the file names no more            */
    const char *const *accept;     /* NULL-ended: targets whose own stand is believed            */
    const char *const *resnapshot; /* NULL-ended: targets that start from nothing               */
    void (*ready)(void *arg);      /* the source is open and every target too, or it stands by; may be NULL */
    void *arg;
} wb_run_options;

/* Preflight of both ends; changes nothing. WB_OK even with findings: look at report->bad. */
WB_API wb_code wb_pipeline_check(wb_pipeline *p, wb_report *report, wb_error *err);
/* Blocks until stopped, finished (WB_OK) or failed. Takes the state folder's lock. */
WB_API wb_code wb_pipeline_run(wb_pipeline *p, const wb_run_options *o, wb_error *err);
/* Any thread, and signal handlers of a program: drain for at most `grace`, checkpoint, end. now: without draining. */
WB_API void wb_pipeline_stop(wb_pipeline *p, bool now);
/* Any thread: targets sync and reopen their files. */
WB_API void wb_pipeline_reload(wb_pipeline *p);
/* Which end failed: 0 neither, 'c' configuration or state, 's' source, 't' a target. After run. */
WB_API int wb_pipeline_blame(const wb_pipeline *p);

/* Whether it runs or not: one JSON object in malloc'd memory (free() it). Asks the servers. */
WB_API char *wb_pipeline_status(wb_pipeline *p, wb_error *err);
/* "add-table" or "resync" of one table ("schema.table"): checked, kept in the state, and the process that runs the
 * pipeline is told; *running false: the next run does it. */
WB_API wb_code wb_pipeline_ask(wb_pipeline *p, const char *what, const char *table, bool *running, wb_error *err);
/* Remove what it made at the source, and its state. `say` gets one line a removed thing. */
WB_API wb_code wb_pipeline_drop(wb_pipeline *p, void (*say)(void *arg, const char *line), void *arg, wb_error *err);
/* Compare what the targets hold with a new snapshot of the source: rows that differ, and the end of every table, through
 * `each`. While the pipeline runs, only what differs twice, after the targets have caught up. *behind: some
 * target may lack changes, since nothing runs that brings them. Reads at both ends; needs room for a copy in the state folder. */
WB_API wb_code wb_pipeline_verify(wb_pipeline *p, void (*each)(void *arg, const wb_difference *d), void *arg,
                                  bool *behind, wb_error *err);
/* The source that a URL's scheme names: "postgres", "mysql"; NULL: none. */
WB_API const char *wb_source_of_url(const char *url);
/* A commented pipeline file for the database at `url`, through `put`. */
WB_API wb_code wb_suggest(const char *url, void (*put)(void *arg, const char *text), void *arg, wb_error *err);

/* What becomes of a column: its type at the source, the kind of its values, and what every format and every target that
 * has columns makes of them. All text is the library's, until `each` returns. */
typedef struct wb_explained {
    const char *schema, *table, *column, *type, *kind;
    bool key, not_null;
    size_t n;
    const char *const *by;     /* n names: "record", "sqlite" */
    const char *const *writes; /* what each of them writes    */
} wb_explained;
/* tables: NULL-ended patterns, or NULL: all. */
WB_API wb_code wb_explain_types(const char *url, const char *const *tables,
                                void (*each)(void *arg, const wb_explained *column), void *arg, wb_error *err);

/* Introspection: the i-th plugin of a kind, NULL past the end. */
WB_API const wb_plugin *wb_plugin_at(wb_plugin_kind kind, size_t i);
WB_API const char *wb_plugin_absent(wb_plugin_kind kind, const char *name);
/* Text for people about a plugin's options, or (plugin NULL) the pipeline's own; malloc'd. markdown: for docs. */
WB_API char *wb_help_options(const wb_plugin *plugin, bool markdown);

#ifdef __cplusplus
}
#endif
#endif

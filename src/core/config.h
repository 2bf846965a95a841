/* config.h: a pipeline file as the engine uses it. YAML in, parsed option structs out; every error has file:line.
 * ${ENV}, ${ENV:-default} and ${file:/path} are replaced inside scalars (never keys); their values are secrets.
 * Paths are relative to the file's folder: plugins get them made absolute through wb_host_path. */
#ifndef WB_CONFIG_H
#define WB_CONFIG_H
#include "base/arena.h"
#include "base/node.h"
#include "base/patterns.h"
#include "walbrook/plugin.h"

typedef enum wb_start { WB_START_UNSET, WB_START_SNAPSHOT, WB_START_NOW } wb_start;

typedef struct wb_selection { /* what one target wants; source names of tables and columns */
    wb_patterns *tables;      /* NULL: all                                                */
    uint32_t operations;      /* bit 1 << wb_op; READ goes with INSERT                     */
    wb_patterns *columns;     /* "table.column" patterns ("public.users.email" too); NULL: all */
} wb_selection;

typedef struct wb_target_config {
    const char *name;
    const wb_target *plugin;
    void *ctx; /* options filled in; ctx_size bytes */
    const wb_node *node;
    wb_selection select;
    wb_start start;
} wb_target_config;

typedef struct wb_transform_config {
    const wb_transform *plugin;
    void *ctx;
    const wb_node *node;
} wb_transform_config;

typedef struct wb_engine_options { /* top-level keys; one option table: wb_engine_option_table */
    const char *name;              /* default: the file's name without .yaml/.yml; [a-zA-Z0-9_-]{1,40} */
    const char *state;             /* folder; default NAME.state beside the file                       */
    int64_t memory, max_row;
    int64_t patience_ms, answer_timeout_ms, grace_ms, checkpoint_ms;
    int64_t hold;             /* bytes of the server's log; default 10GB                  */
    int hold_action;          /* 0 warn, 1 stop                                           */
    const char *dead_letters; /* file; NULL: a poison row stops its target                */
    int64_t backoff_min_ms, backoff_max_ms;
} wb_engine_options;
extern const wb_option wb_engine_option_table[];

typedef struct wb_config {
    wb_arena arena;
    const char *file; /* as given; "(text)" when parsed from text */
    const char *path; /* of the file, absolute; NULL: from text */
    const char *dir;  /* absolute folder that paths are relative to */
    const wb_node *root;
    wb_engine_options engine;
    const char *state_dir; /* absolute; NULL: no state at all (tail) */
    const wb_source *source;
    void *source_ctx;
    const wb_node *source_node;
    size_t ntransforms, ntargets; /* ntargets <= 64 */
    wb_transform_config *transforms;
    wb_target_config *targets;
} wb_config;

wb_code wb_config_load(const char *path, wb_config **out, wb_error *err) WB_MUST;
/* From memory, for tail and embedding; dir NULL: the working folder. */
wb_code wb_config_parse(const char *text, size_t len, const char *file, const char *dir, wb_config **out,
                        wb_error *err) WB_MUST;
/* As if the file said `snapshot: only`. */
wb_code wb_config_snapshot_only(wb_config *c, wb_error *err) WB_MUST;
void wb_config_free(wb_config *c);
#endif

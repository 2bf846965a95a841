/* walbrook/plugin.h: how to write a source, a target, a format or a transform.
 * A plugin is one const struct. The engine allocates ctx_size zeroed bytes, fills them from the option table,
 * then calls. A NULL slot means: not offered. close() is legal after a failed open, and may be called twice. */
#ifndef WALBROOK_PLUGIN_H
#define WALBROOK_PLUGIN_H

#include "walbrook/change.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- options */

typedef enum wb_opt_type {
    WB_OPT_STRING, /* const char *; NULL when absent and without default                      */
    WB_OPT_BOOL,   /* bool: true false yes no on off                                          */
    WB_OPT_INT,    /* int64_t                                                                 */
    WB_OPT_SIZE,   /* int64_t bytes: 100, 64kB, 32MB, 10GB (powers of 1024)                    */
    WB_OPT_MSEC,   /* int64_t milliseconds: 50ms, 10s, 5m, 2h, 1d; a bare number is refused    */
    WB_OPT_ENUM,   /* int: one of choices                                                     */
    WB_OPT_LIST,   /* wb_list of strings; one scalar is a list of one                         */
    WB_OPT_NODE    /* const wb_node *: the plugin reads the tree itself                       */
} wb_opt_type;

enum {
    WB_OPT_REQUIRED = 1,
    WB_OPT_SECRET = 2,   /* never printed: *** everywhere                                     */
    WB_OPT_ADVANCED = 4, /* left out of sample configs                                        */
    WB_OPT_URL = 8,      /* a URL whose password is secret: printed without it                */
    WB_OPT_TABLES = 16,  /* patterns of tables, or of columns: `check` names those that match */
    WB_OPT_COLUMNS = 32  /* nothing                                                           */
};

typedef struct wb_choice {
    const char *name; /* NULL ends the list */
    int value;
    const char *brief;
} wb_choice;

typedef struct wb_list {
    size_t n;
    const char *const *items; /* NUL-terminated strings */
} wb_list;

typedef struct wb_node wb_node; /* a piece of the pipeline file, with its line: src/base/node.h */

typedef struct wb_option {
    const char *name; /* NULL ends the table */
    wb_opt_type type;
    uint32_t offset; /* in the context        */
    uint32_t flags;
    const char *def;          /* as the user would write it; NULL: none */
    int64_t min, max;         /* both 0: any                            */
    const wb_choice *choices; /* WB_OPT_ENUM, and words accepted beside a number or a duration:
                                 value stored as it is (use negative ones) */
    const char *brief;        /* a line, no full stop                   */
    const char *detail;       /* sentences; may be NULL                 */
    const char *example;      /* as written in YAML; may be NULL        */
} wb_option;

/* ---------------------------------------------------------------- what all plugins have */

typedef enum wb_plugin_kind { WB_SOURCE, WB_TARGET, WB_FORMAT, WB_TRANSFORM } wb_plugin_kind;

typedef struct wb_plugin {
    wb_plugin_kind kind;
    const char *name;  /* as in `type:` */
    const char *brief; /* one line      */
    const wb_option *options;
    size_t ctx_size;
    const char *(*version)(void); /* libraries in use, "libpq 15.20"; may be NULL */
} wb_plugin;

/* Findings of check(): level, one sentence, and the SQL or command that mends it (may be NULL). */
typedef enum wb_level { WB_FINE, WB_WARN, WB_BAD } wb_level;
typedef struct wb_report {
    void (*add)(void *arg, wb_level level, const char *what, const char *mend);
    void *arg;
    int bad; /* counted by wb_report_add */
} wb_report;
WB_API void wb_report_add(wb_report *r, wb_level level, const char *mend, const char *fmt, ...) WB_PRINTF(4, 5);
/* An error as a finding, its hint as the mend. */
WB_API void wb_report_error(wb_report *r, const wb_error *e);

/* Key/value facts for `status`: the name is a JSON key; exactly one value. */
typedef struct wb_facts {
    void (*text)(void *arg, const char *name, const char *value);
    void (*number)(void *arg, const char *name, int64_t value);
    void *arg;
} wb_facts;

/* ---------------------------------------------------------------- the engine, as a plugin sees it */

typedef struct wb_host wb_host; /* one for the source and one for each target of a pipeline */
typedef uint64_t wb_ticket;

/* Any thread. Readable (poll) when there is work, budget or a stop; never read it yourself. */
WB_API int wb_host_fd(wb_host *h);
WB_API void wb_host_fd_clear(wb_host *h);
WB_API bool wb_host_stopping(wb_host *h);
WB_API const char *wb_host_pipeline(wb_host *h);  /* its name                                     */
WB_API const char *wb_host_state_dir(wb_host *h); /* absolute folder, 0700; NULL: no state (tail)  */
/* A path of the pipeline file made absolute (relative to the file's folder), in `out`. WB_E_CONFIG: too long. */
WB_API wb_code wb_host_path(wb_host *h, const char *path, char *out, size_t cap, wb_error *err) WB_MUST;
WB_API int64_t wb_host_memory(wb_host *h); /* this plugin's own share, bytes                */
WB_API int64_t wb_host_max_row(wb_host *h);
/* No target leaves out updates, and no transform may: what a row became reaches whoever gets the row. Source. */
WB_API bool wb_host_updates_pass(wb_host *h);

typedef enum wb_log_level { WB_LOG_ERROR, WB_LOG_WARN, WB_LOG_INFO, WB_LOG_DEBUG } wb_log_level;
WB_API void wb_host_log(wb_host *h, wb_log_level level, const char *fmt, ...) WB_PRINTF(3, 4);

/* Source. take: a batch with room for at least `need` bytes of one row, or NULL: no budget now (serve the
 * connection, poll wb_host_fd). put: gives it away; the order of puts is the order of changes. */
WB_API wb_batch *wb_host_take(wb_host *h, size_t need);
WB_API wb_code wb_host_put(wb_host *h, wb_batch *b, wb_error *err) WB_MUST;
WB_API void wb_host_drop(wb_host *h, wb_batch *b);                  /* taken, not wanted                 */
WB_API void wb_host_idle(wb_host *h, wb_pos pos, uint64_t targets); /* nothing up to here; ~0: all */
/* A target has a part of the transaction after its position, and counts on its end: until that is handed over, also one
 * of which nothing is wanted any more is put, as an end without changes. Source thread. */
WB_API bool wb_host_partial(wb_host *h);
WB_API bool wb_host_waiting(wb_host *h); /* a target has nothing to do         */
/* What the source must remember: durable when put returns WB_OK. get: 0 bytes when unknown;
 * *value lives until the next get. A name ending in '/' is a family: see list. */
WB_API wb_code wb_host_state_put(wb_host *h, const char *key, wb_str value, wb_error *err) WB_MUST;
WB_API wb_code wb_host_state_get(wb_host *h, const char *key, wb_str *value, wb_error *err) WB_MUST;
WB_API wb_code wb_host_state_del(wb_host *h, const char *key, wb_error *err) WB_MUST;
WB_API wb_code wb_host_state_list(wb_host *h, const char *prefix,
                                  void (*each)(void *arg, const char *key, wb_str value), void *arg,
                                  wb_error *err) WB_MUST;
/* The same of another pipeline, whose state is in `dir` and whose source is a `source`: to look at only. */
WB_API wb_code wb_host_state_of(wb_host *h, const char *dir, const char *source, const char *prefix,
                                void (*each)(void *arg, const char *key, wb_str value), void *arg,
                                wb_error *err) WB_MUST;
/* Several of them in one durable step. A value whose ptr is NULL: forget the key. */
typedef struct wb_kv {
    const char *key;
    wb_str value;
} wb_kv;
WB_API wb_code wb_host_state_put_all(wb_host *h, const wb_kv *kv, size_t n, wb_error *err) WB_MUST;
/* The same without a sync: durable before any checkpoint that comes later. For what a position needs once it is past.
 */
WB_API wb_code wb_host_state_note(wb_host *h, const wb_kv *kv, size_t n, wb_error *err) WB_MUST;
/* Tables are being copied, or all of it was handed over: `--until now` waits until it has arrived, too. */
WB_API void wb_host_copying(wb_host *h, bool on);
/* Progress of a snapshot, for the bar and status. total < 0: not known. table NULL: the end. */
WB_API void wb_host_progress(wb_host *h, const wb_table *table, int64_t rows, int64_t total);

/* Target. Any thread. free: the view's memory is not needed any more. done: it is safe (err NULL) or failed;
 * exactly once a ticket; implies free. */
WB_API void wb_host_free(wb_host *h, wb_ticket t);
WB_API void wb_host_done(wb_host *h, wb_ticket t, const wb_error *err);
WB_API const char *wb_host_target(wb_host *h); /* this target's name; "": it is none (check) */
/* A format by name for this target's `format:` option; NULL: none of that name. */
WB_API const struct wb_format *wb_host_format(wb_host *h, const char *name);
WB_API const char *wb_host_source(wb_host *h); /* the type of the pipeline's source: "postgres" */
/* A change that this target can never take: WB_OK: it is in the dead-letter file, go on; else return the error. */
WB_API wb_code wb_host_poison(wb_host *h, wb_ticket t, const wb_view *v, const wb_change *c, const wb_error *why,
                              wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- source */

typedef struct wb_member { /* one target of the pipeline */
    const char *name;
    uint64_t bit;
    bool running; /* else its position is not known now, and it gets nothing until the source opens again */
    wb_pos pos;   /* of the last whole transaction or turn; len 0: none                                     */
} wb_member;

typedef struct wb_resume {
    wb_pos pos;     /* where the stream goes on; len 0: no target has a position yet                */
    uint64_t fresh; /* targets that have nothing: they get the snapshot; without one, idle(start) where `start`
                     * is where the server's log begins for us, and the stream opens there, before pos     */
    bool again;     /* a reconnect inside one run                                                   */
    const wb_member *members; /* all targets; until open returns */
    size_t nmembers;
} wb_resume;

typedef struct wb_source {
    wb_plugin head;
    /* Preflight of rights and settings; changes nothing. */
    wb_code (*check)(void *ctx, wb_host *h, wb_report *r, wb_error *err);
    wb_code (*open)(void *ctx, wb_host *h, const wb_resume *resume, wb_error *err);
    /* Read for at most about `ms`; take, fill and put batches. WB_AGAIN: nothing came. WB_END: never more. */
    wb_code (*read)(void *ctx, int ms, wb_error *err);
    /* All targets and the checkpoint have `pos`: the server may forget it. Source thread, never backwards. */
    wb_code (*settle)(void *ctx, wb_pos pos, wb_error *err);
    bool (*holds)(wb_pos pos, const wb_txn *txn); /* is the transaction inside? pure          */
    int (*compare)(wb_pos a, wb_pos b);           /* -1, 0, 1; 2: neither holds the other; pure */
    void (*meet)(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len); /* latest inside both; pure     */
    /* Where one is who was at `a` and got what ends at `b`; NULL slot: at b. For positions of several counters; pure.
     */
    void (*join)(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len);
    /* Where one is who was at `at` and has a part of the next transaction: `at`, and what the numbers of that one's
     * changes depend on, so that open can refuse to go on when that is another now. NULL: on nothing. Source thread. */
    void (*part)(void *ctx, wb_pos at, void *out, size_t cap, size_t *len);
    int64_t (*distance)(wb_pos from, wb_pos to); /* bytes of log between, for lag; -1: not known; may be NULL; pure */
    /* Where the log ends now (own short connection; needs no open). */
    wb_code (*tip)(void *ctx, wb_host *h, void *out, size_t cap, size_t *len, wb_error *err);
    size_t (*render)(wb_pos pos, char *out, size_t cap); /* text for people; returns its length       */
    wb_code (*parse)(wb_str text, void *out, size_t cap, size_t *len, wb_error *err);
    /* For `status`: facts from the server, without open, while another thread may be reading. "position": where the
     * log ends now, as render prints it; "held_bytes": log kept for us. */
    wb_code (*status)(void *ctx, wb_host *h, wb_pos settled, const wb_facts *facts, wb_error *err);
    /* Remove what open made at the server. `say` gets one line a removed thing. */
    wb_code (*drop)(void *ctx, wb_host *h, void (*say)(void *arg, const char *line), void *arg, wb_error *err);
    /* `init`: a commented pipeline file for this database, through `put`. */
    wb_code (*suggest)(void *ctx, wb_host *h, void (*put)(void *arg, const char *text), void *arg, wb_error *err);
    /* `explain types`: the tables that `tables` wants, as they are now, with the columns that travel. Needs no open. */
    wb_code (*types)(void *ctx, wb_host *h, void (*each)(void *arg, const wb_table *t), void *arg, wb_error *err);
    /* A wish of the user, from another process, while it may be running: `what` is "add-table" or "resync". Look
     * whether it can be done and write it to the state, where read() finds it after a reload, or the next open. */
    wb_code (*ask)(void *ctx, wb_host *h, const char *what, const char *table, wb_error *err);
    /* HUP; source thread, between reads, while open. `fresh`: a context with the options that the file has now; NULL:
     * it cannot be read. What can change while running is taken from it; it lives until the next one. */
    wb_code (*reload)(void *ctx, const void *fresh, wb_error *err);
    void (*interrupt)(void *ctx); /* any thread, any time, repeatedly: read and open return soon          */
    void (*close)(void *ctx);
} wb_source;

/* ---------------------------------------------------------------- target */

enum { WB_TARGET_STANDS = 1 }; /* caps: it keeps its own stand beside the data (exactly once) */

typedef struct wb_open {
    uint64_t epoch; /* of this start; write it beside the stand; a commit that finds another stops   */
    bool fresh;     /* the state has never seen this target                                           */
    wb_stand known; /* the checkpoint, when not fresh                                                 */
    bool keeps;     /* out: this destination keeps stands (a pipe does not): one that is missing was lost */
    bool own;       /* out: the target has a stand of its own                                         */
    wb_stand stand; /* out: that stand; memory of the plugin until close                              */
    int (*compare)(wb_pos a, wb_pos b); /* the source's                                     */
    size_t (*render)(wb_pos pos, char *out, size_t cap);
} wb_open;

/* What `verify` finds. Text is the target's until `each` returns. */
typedef enum wb_differs {
    WB_SAME_SO_FAR,  /* the end of a table: rows at the source                      */
    WB_ROW_MISSING,  /* at the source, not here                                     */
    WB_ROW_EXTRA,    /* here, not at the source                                     */
    WB_ROW_DIFFERS,  /* `detail` says in what                                       */
    WB_TABLE_DIFFERS /* the table or a column is not here: `detail`                 */
} wb_differs;
typedef struct wb_difference {
    const char *target, *schema, *table;
    wb_differs what;
    const char *key, *detail; /* "id = 5"; "v: 'a' at the source, 'b' here"; may be "" */
    int64_t rows;             /* WB_SAME_SO_FAR */
} wb_difference;
typedef struct wb_differences {
    void (*each)(void *arg, const wb_difference *d);
    void *arg;
} wb_differences;

typedef struct wb_target {
    wb_plugin head;
    uint32_t caps;
    wb_code (*check)(void *ctx, wb_host *h, wb_report *r, wb_error *err);
    wb_code (*open)(void *ctx, wb_host *h, wb_open *o, wb_error *err);
    /* WB_OK: accepted (not durable), answered later through done. WB_AGAIN: no room; flush, then the same view again.
     * An error: not accepted; WB_RETRY: the same view again after a pause, anything else: see wb_next. */
    wb_code (*write)(void *ctx, const wb_view *v, wb_ticket t, wb_error *err);
    /* The ring is empty, or 1 s passed: commit, serve the connection. WB_OK: every accepted ticket is answered.
     * WB_AGAIN: some are not yet: called again within 10 ms. ms < 0: the last one, make all of it durable now. */
    wb_code (*flush)(void *ctx, int ms, wb_error *err);
    wb_code (*reload)(void *ctx, wb_error *err); /* HUP; target thread; may be NULL                     */
    wb_code (*status)(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err); /* without open; may be NULL */
    wb_code (*destination)(void *ctx, char *out, size_t cap); /* what the state knows it by, no secrets  */
    const char *(*stores)(const wb_column *c); /* `explain types`: its type there, "BIGINT"; NULL: it has no columns */
    /* `verify`: this destination against `copy`, one that this same target filled from a new snapshot after its option
     * copy_option was set to that place. copy NULL: say whether that can be done. Reads only; without open. */
    wb_code (*compare)(void *ctx, wb_host *h, const char *copy, const wb_differences *out, wb_error *err);
    const char *copy_option;
    void (*interrupt)(void *ctx); /* any thread: write, flush and open return within 1 s                 */
    void (*close)(void *ctx);
} wb_target;

/* ---------------------------------------------------------------- format: how a change becomes bytes */

typedef struct wb_out wb_out; /* growing buffer: src/base/buf.h */

/* One message. ptr NULL: topic: the target's own; key: none; value: a tombstone; a header's value: null. */
typedef struct wb_header {
    wb_str name, value;
} wb_header;
typedef struct wb_message {
    wb_str topic, key, value;
    const wb_header *headers;
    size_t nheaders;
    bool aside; /* about no table (transaction metadata, heartbeats): templates with words of a table are not for it */
} wb_message;
typedef struct wb_messages {
    const wb_message *items;
    size_t n;
} wb_messages;

/* A format has `row`, `messages`, or both: targets call wb_formatter_messages (src/targets/formatter.h), which makes
 * one message of a row, with the primary key as JSON, where a format has no `messages`. */
typedef struct wb_format {
    wb_plugin head;
    void (*about)(void *ctx, const char *source); /* before open: the type of the source, "postgres"; may be NULL */
    wb_code (*open)(void *ctx, const char *pipeline, wb_error *err);
    /* Append one change (JSON formats: one line without its end); nothing for what the format does not show, as a READ
     * without a row. One thread a context. */
    wb_code (*row)(void *ctx, const wb_txn *txn, const wb_change *c, wb_out *out, wb_error *err);
    /* The messages of one change, none to several, in the order in which they must be sent. Without a change (c NULL):
     * what comes after those of a transaction whose end (WB_TXN_END) the view has; call it for each such one. Without
     * either: what time brings (heartbeats); call it when a view was written. All memory is the format's, until its
     * next call. */
    wb_code (*messages)(void *ctx, const wb_txn *txn, const wb_change *c, wb_messages *out, wb_error *err);
    /* Before the changes of a view: which view, for formats that look ahead. It lives until its last change. May be
     * NULL. */
    void (*view)(void *ctx, const wb_view *v);
    const char *(*writes)(const wb_column *c); /* `explain types`: how values look by default; may be NULL */
    void (*close)(void *ctx);
} wb_format;

/* ---------------------------------------------------------------- transform */

/* Edits in place, in the batch's memory only; never adds, splits or reorders changes. Dropping a change:
 * targets = 0. An edited table is a derived version (wb_table_new) that the context caches by serial. */
typedef struct wb_transform {
    wb_plugin head;
    wb_code (*open)(void *ctx, wb_error *err);
    wb_code (*apply)(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err);
    void (*close)(void *ctx);
    void (*named)(void *ctx, const char *pipeline); /* before open: the pipeline's name, which lives on; may be NULL */
    bool keeps;                                     /* it leaves no change out; else it may                          */
} wb_transform;

#ifdef __cplusplus
}
#endif
#endif

/* state.h: state.db, what a pipeline must know after a crash: the epoch, a checkpoint per target, what the source
 * remembers. One SQLite file in the state folder, written with synchronous=FULL. Any thread; calls are serialised. */
#ifndef WB_STATE_H
#define WB_STATE_H
#include "core/stand.h"
#include "walbrook/plugin.h"

typedef struct wb_state wb_state;

enum { WB_STATE_VERSION = 1 };

/* What the state knows of one target. */
typedef struct wb_target_state {
    char name[48], type[32];
    char *destination;  /* malloc'd */
    wb_kept checkpoint; /* everything up to here is safe */
    wb_kept last;       /* stand of the last answered ticket that had changes */
    bool resetting;     /* a snapshot was begun; `before` is where the target stood then */
    wb_kept before;
} wb_target_state;
void wb_target_state_fini(wb_target_state *t);

typedef enum wb_state_mode { WB_STATE_RUN, WB_STATE_LOOK, WB_STATE_ASK } wb_state_mode;

/* RUN: makes the folder and the file, takes the lock (WB_E_STATE and WB_RETRY: another one has it, its pid is named).
 * LOOK: read-only, no lock; WB_AGAIN when there is no state. ASK: the same, but a wish may be written, whoever runs. dir NULL: in memory (tail).
 * pipeline NULL: of whichever it is. */
wb_code wb_state_open(const char *dir, const char *pipeline, const char *source_type, wb_state_mode mode,
                      wb_state **out, wb_error *err) WB_MUST;
void wb_state_close(wb_state *s);
/* state_lock.c. WB_OK: *fd holds the lock until it is closed or the process ends. */
wb_code wb_state_lock(const char *dir, int *fd, wb_error *err) WB_MUST;
/* Is a pipeline running on this folder? Its pid, else 0. */
int wb_state_running(const char *dir);
/* Remove the files (drop); the lock must be free. */
wb_code wb_state_remove(const char *dir, wb_error *err) WB_MUST;

wb_code wb_state_next_epoch(wb_state *s, uint64_t *epoch, wb_error *err) WB_MUST;
uint64_t wb_state_epoch(wb_state *s);
/* WB_E_FENCED: a later start has taken over. Every write below says so, too. */
wb_code wb_state_check(wb_state *s, wb_error *err) WB_MUST;

/* Several targets' rows in one durable transaction. Rows are matched by name; new ones inserted. */
wb_code wb_state_save_targets(wb_state *s, const wb_target_state *const *t, size_t n, wb_error *err) WB_MUST;
/* Calls each for every target; the struct is the callback's only during the call. */
wb_code wb_state_load_targets(wb_state *s, void (*each)(void *arg, const wb_target_state *t), void *arg,
                              wb_error *err) WB_MUST;
wb_code wb_state_forget_target(wb_state *s, const char *name, wb_error *err) WB_MUST;

wb_code wb_state_kv_put(wb_state *s, const char *key, wb_str value, wb_error *err) WB_MUST;
wb_code wb_state_kv_put_all(wb_state *s, const wb_kv *kv, size_t n, wb_error *err) WB_MUST;
/* Durable with the next checkpoint or put, not now. */
wb_code wb_state_kv_note(wb_state *s, const wb_kv *kv, size_t n, wb_error *err) WB_MUST;
wb_code wb_state_kv_get(wb_state *s, const char *key, wb_str *value,
                        wb_error *err) WB_MUST; /* valid till the next get */
wb_code wb_state_kv_del(wb_state *s, const char *key, wb_error *err) WB_MUST;
wb_code wb_state_kv_list(wb_state *s, const char *prefix, void (*each)(void *arg, const char *key, wb_str value),
                         void *arg, wb_error *err) WB_MUST;
/* What the source of any pipeline remembers, without a lock, whether it runs or not. */
wb_code wb_state_peek(const char *dir, const char *source_type, const char *prefix,
                      void (*each)(void *arg, const char *key, wb_str value), void *arg, wb_error *err) WB_MUST;
#endif

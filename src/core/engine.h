/* engine.h: a running pipeline from the inside; shared by the files of core/ only.
 *
 *   source thread: source.read → wb_host_put (deliver.c) → entries of every lane
 *   lane thread:   entry → target.write → … → wb_host_done (lane.c) → the lane's checkpoint
 *   main thread:   once a second: checkpoints → state.db → the source may settle (pipeline.c)
 */
#ifndef WB_ENGINE_H
#define WB_ENGINE_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "core/batch.h"
#include "core/config.h"
#include "core/state.h"
#include "walbrook/walbrook.h"

typedef struct wb_lane wb_lane;

struct wb_host {
    wb_pipeline *p; /* NULL: a loose one (tests, check) */
    wb_lane *lane;  /* NULL: the source's               */
    char part[80];  /* "source", "target mirror"        */
    int fd;         /* eventfd                          */
    atomic_bool stopping;
    /* a loose host */
    const char *dir, *name;
    const struct wb_host_hooks *hooks;
    void *hooks_arg;
};

/* What a loose host does with answers: for tests of targets without an engine. Any may be NULL. */
typedef struct wb_host_hooks {
    void (*free)(void *arg, wb_ticket t);
    void (*done)(void *arg, wb_ticket t, const wb_error *err);
    wb_code (*put)(void *arg, wb_batch *b, wb_error *err);
    void (*idle)(void *arg, wb_pos pos, uint64_t targets);
} wb_host_hooks;
wb_host *wb_host_loose(const char *dir, const wb_host_hooks *hooks, void *arg); /* dir: paths and state */
void wb_host_loose_free(wb_host *h);
wb_code wb_host_init(wb_host *h, wb_pipeline *p, wb_lane *lane, const char *part, wb_error *err) WB_MUST;
void wb_host_fini(wb_host *h);
void wb_host_wake(wb_host *h);

/* ---------------------------------------------------------------- one target: its queue of tickets */

typedef enum wb_entry_state { WB_ENTRY_ISSUED, WB_ENTRY_DONE } wb_entry_state;
typedef struct wb_entry {
    wb_view view;
    wb_batch *batch; /* one reference, until freed; NULL: an idle entry, or freed  */
    wb_change *own;  /* changes of a projected view, malloc'd; NULL otherwise      */
    wb_kept stand;
    wb_entry_state state;
    bool has_changes;
    int64_t commit_us; /* of its last transaction, for lag */
} wb_entry;

typedef enum wb_lane_state {
    WB_LANE_RUNNING,
    WB_LANE_DOWN,  /* closed, tries to open again: what it lacks comes from the source later */
    WB_LANE_READY, /* open again, waits for the source to reopen at its checkpoint           */
    WB_LANE_FAILED /* for good                                                               */
} wb_lane_state;

struct wb_lane {
    wb_pipeline *p;
    size_t index;
    uint64_t bit;
    const wb_target_config *config;
    wb_host host;
    pthread_t thread;
    bool thread_started;

    pthread_mutex_t mutex; /* guards all below down to the blank line */
    pthread_cond_t cond;
    wb_entry *entries; /* circular */
    size_t cap;
    uint64_t copied;           /* all tickets of the copy are below */
    uint64_t head, next, tail; /* tickets: oldest unanswered, next to write, next to issue */
    _Atomic(wb_lane_state) state;
    atomic_bool stop;
    bool reload;
    char *facts;           /* what the target says of itself: JSON members, malloc'd; NULL: not asked yet */
    atomic_bool broken;    /* an answer said failed: start over from the checkpoint */
    wb_error error;        /* why it is down, failed or broken */
    wb_target_state known; /* checkpoint, last, reset: what state.db gets */
    bool dirty;            /* known differs from state.db */
    int64_t down_since, answered_us, done_commit_us;
    uint64_t answered; /* answers so far: progress */
    bool slow_said, fresh, accept;
    bool again;           /* --resnapshot: what the target says of itself does not count */
    atomic_bool finished; /* its thread is through */

    bool inside;         /* source thread: what was issued last ends inside a transaction that the target has begun */
    bool open;           /* source thread: and that one is a turn of a snapshot */
    bool abandon;        /* source thread: which will not go on: the next view says so */
    wb_kept issued;      /* source thread: the stand of the last entry issued; main before threads start */
    atomic_bool waiting; /* nothing to do */
    atomic_ullong changes, transactions, retries;
    atomic_llong busy_since; /* monotonic µs: inside write or flush since; 0: not */
    atomic_bool open_called;
};

/* lane.c: the queue; lane_thread.c: open, write, flush, recover. */
wb_code wb_lane_init(wb_lane *l, wb_pipeline *p, size_t index, wb_error *err) WB_MUST;
void wb_lane_fini(wb_lane *l);
/* Open the target and judge its stand against the state. Main, before the threads. */
wb_code wb_lane_open(wb_lane *l, bool fresh, bool accept, wb_error *err) WB_MUST;
/* Nothing of what it has counts: the next open starts from nothing. Main, before open. */
wb_code wb_lane_from_nothing(wb_lane *l, wb_error *err) WB_MUST;
wb_code wb_lane_start(wb_lane *l, wb_error *err) WB_MUST;
void wb_lane_stop(wb_lane *l, bool now); /* no more entries come; now: interrupt */
void wb_lane_join(wb_lane *l);
/* Issue one entry: takes a reference on the batch when it has changes. Source thread. false: no memory. */
bool wb_lane_issue(wb_lane *l, const wb_view *view, wb_batch *b, wb_change *own, bool has_changes, int64_t commit_us);
void wb_lane_free_ticket(wb_lane *l, wb_ticket t);
void wb_lane_done(wb_lane *l, wb_ticket t, const wb_error *err);
void wb_lane_drop(wb_lane *l); /* its entries; the mutex is held, or nobody else is there */
/* A copy of what state.db gets; false: nothing new since the last one. */
bool wb_lane_news(wb_lane *l, wb_target_state *copy);
/* What state.db says of it, now; the mutex is held. */
wb_code wb_lane_save(wb_lane *l, wb_error *err) WB_MUST;
/* All answered. */
bool wb_lane_idle(wb_lane *l);
/* It runs and has answered all, or has failed for good. One look: a lane that breaks drops its entries. */
bool wb_lane_has_all(wb_lane *l);
/* A reset begins: durable before the target sees it. Source thread. */
wb_code wb_lane_begin_reset(wb_lane *l, wb_error *err) WB_MUST;
wb_stand wb_lane_checkpoint(wb_lane *l, wb_kept *copy); /* through *copy */
/* Watch over it: stuck calls, unanswered tickets. Main thread. */
void wb_lane_watch(wb_lane *l, int64_t now);

/* ---------------------------------------------------------------- the pipeline */

struct wb_pipeline {
    wb_config *config;
    bool stateless;
    wb_logger logger;
    void (*progress)(void *arg, const char *table, int64_t rows, int64_t total);
    void *progress_arg;

    wb_state *state;
    wb_pool *pool;
    wb_host host;       /* the source's                                    */
    wb_host watch_host; /* the watch thread's: a stop ends what it waits for */
    wb_lane *lanes;
    size_t nlanes;
    uint64_t epoch;
    int64_t started_us;
    pthread_t source_thread, watch_thread;
    wb_target_state saving[64], saved[64]; /* main thread: on the way to, and in, state.db */

    /* deliver.c, source thread */
    struct wb_deliver *deliver;

    pthread_mutex_t mutex; /* guards down to the blank line */
    pthread_cond_t cond;   /* main waits here */
    bool stop, stop_now, reload, watch_quit;
    pthread_cond_t watch_cond;
    atomic_bool source_ended;
    unsigned ends; /* how often it became so */
    bool source_failed, source_open;
    wb_error source_error;
    wb_kept settled;      /* every checkpoint, durably */
    wb_kept tip;          /* --until now */
    atomic_uint sessions; /* how often the source began to open */
    atomic_bool opened;   /* it is through with that: it has said whether it copies */
    atomic_bool copying;  /* tables are being copied: --until now waits for the end of it */
    atomic_bool copied;   /* that was so once: until every target has answered it */
    bool until_now;
    bool standby; /* --standby: tries for as long as it takes */
    char *facts;  /* of the server: JSON members, malloc'd; NULL: not asked yet */
    int64_t held_bytes;
    wb_kept server_end; /* where the server's log ended when it was asked */
    char progress_table[200];
    int64_t progress_rows, progress_total;
    int64_t progress_since_us, progress_first; /* monotonic; rows that were there then */

    atomic_bool reopen;        /* a lane is ready again: the source closes and opens */
    atomic_bool reload_source; /* HUP */
    wb_config *reloaded;       /* source thread: what the file said then; the source may point into it */
    atomic_bool quit;          /* source thread: leave the loop */
    atomic_bool finish;        /* source thread: settle, close, end */
    atomic_ullong read_changes, read_transactions, reconnects;
    atomic_llong last_commit_us; /* newest commit handed over */
    atomic_bool running;
    atomic_bool source_idle; /* source thread: out of the loop, waits for `finish` */
    bool source_started, watch_started;
    int blame;
};

static inline const wb_source *wb_pipeline_source(const wb_pipeline *p) { return p->config->source; }

/* deliver.c */
struct wb_deliver *wb_deliver_new(wb_pipeline *p);
void wb_deliver_free(wb_pipeline *p);
wb_code wb_deliver_put(wb_pipeline *p, wb_batch *b, wb_error *err) WB_MUST;
bool wb_deliver_partial(wb_pipeline *p); /* does a running target have a part of the next transaction? */
void wb_deliver_idle(wb_pipeline *p, wb_pos pos, uint64_t targets);

/* source_loop.c */
void *wb_source_thread(void *arg);

/* members.c: the file's targets against the state's. Main, before the threads. */
wb_code wb_members_open(wb_pipeline *p, const wb_run_options *o, wb_error *err) WB_MUST;
/* The same for `check`: what would keep a start from happening. p->state is open to look. */
wb_code wb_members_check(wb_pipeline *p, wb_report *r, wb_error *err) WB_MUST;

/* watch.c: a thread that asks the server how it is, so that nobody waits for the answer. */
void *wb_watch_thread(void *arg);
/* Ask now: JSON members ("\"slot\":\"x\",…"), malloc'd; NULL and err. end, held: may be NULL. */
char *wb_ask_target(const wb_target_config *t, wb_host *h, wb_error *err); /* the same of a target, open or not */
char *wb_ask_server(wb_pipeline *p, wb_host *h, wb_pos settled, wb_kept *end, int64_t *held, wb_error *err);

/* deadletter.c: append one poison row and sync it. */
wb_code wb_dead_letter(wb_pipeline *p, wb_lane *l, const wb_view *v, const wb_change *c, const wb_error *why,
                       wb_error *err) WB_MUST;

/* api.c: a pipeline of a configuration, which it frees; NULL: no memory, the configuration is freed. */
wb_pipeline *wb_pipeline_of(wb_config *c, wb_error *err);

/* checkpoint.c: news of all targets into state.db, then what the source may settle. Main thread. */
wb_code wb_checkpoint(wb_pipeline *p, wb_error *err) WB_MUST;

/* status.c */
void wb_status_file(wb_pipeline *p, bool running); /* main thread, once a second */
void wb_json_text(wb_out *o, const char *z);       /* a JSON string with its quotes */
size_t wb_stand_text(const wb_source *s, wb_stand stand, char *out, size_t cap);
#endif

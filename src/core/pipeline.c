/* pipeline.c: one pipeline from start to end. Main thread: open everything, then once in a while checkpoint, watch,
 * and end in order: the source stops reading, targets drain, the last checkpoint, the source settles and closes. */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "core/engine.h"

enum { TICK_US = 100000, TICK_FAST_US = 5000 };

/* ---------------------------------------------------------------- start */

static wb_code open_transforms(wb_pipeline *p, wb_error *err)
{
    for (size_t i = 0; i < p->config->ntransforms; i++) {
        const wb_transform_config *t = &p->config->transforms[i];
        wb_code rc = t->plugin->open ? t->plugin->open(t->ctx, err) : WB_OK;
        if (rc != WB_OK) {
            wb_error_where(err, "transform %s", t->plugin->head.name);
            p->blame = 'c';
            return rc;
        }
    }
    return WB_OK;
}

static wb_code take_tip(wb_pipeline *p, wb_error *err)
{
    const wb_source *s = wb_pipeline_source(p);
    uint8_t pos[WB_POS_MAX];
    size_t n = 0;
    if (!s->tip) return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "this source cannot say where its log ends");
    wb_code rc = s->tip(p->config->source_ctx, &p->host, pos, sizeof pos, &n, err);
    if (rc == WB_OK && !wb_keep(&p->tip, (wb_stand){{pos, n}, 0}))
        rc = wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    if (rc != WB_OK) p->blame = 's';
    return rc;
}

/* A nap of a run that another one keeps waiting. false: asked to stop. */
static bool wait_a_little(wb_pipeline *p)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_US * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&p->mutex);
    if (!p->stop) pthread_cond_timedwait(&p->cond, &p->mutex, &until);
    p->reload = false;
    bool go_on = !p->stop;
    pthread_mutex_unlock(&p->mutex);
    return go_on;
}

/* The state's lock; a standby waits for whoever has it. */
static wb_code open_state(wb_pipeline *p, const wb_run_options *o, wb_error *err)
{
    wb_config *c = p->config;
    int64_t since = wb_mono_us();
    for (bool said = false;; said = true) {
        wb_code rc = wb_state_open(p->stateless ? NULL : c->state_dir, c->engine.name, c->source->head.name,
                                   WB_STATE_RUN, &p->state, err);
        if (rc == WB_OK && said)
            wb_log(&p->logger, WB_LOG_WARN, "engine", "the other run has ended: takes over after %.1f s of waiting",
                   (double)(wb_mono_us() - since) / 1e6);
        if (rc != WB_E_STATE || err->next != WB_RETRY) return rc;
        if (!p->standby) {
            err->next = WB_NEVER;
            return rc;
        }
        if (!said) wb_log(&p->logger, WB_LOG_INFO, "engine", "stands by: %s", err->message);
        if (!said && o->ready) o->ready(o->arg);
        wb_error_reset(err);
        if (!wait_a_little(p)) return WB_E_STOPPED;
    }
}

static wb_code prepare(wb_pipeline *p, const wb_run_options *o, wb_error *err)
{
    wb_config *c = p->config;
    p->nlanes = 0;
    p->lanes = calloc(WB_MAX(c->ntargets, (size_t)1), sizeof *p->lanes);
    p->pool = wb_pool_new((size_t)(c->engine.memory - c->engine.memory / 4));
    if (!p->lanes || !p->pool) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    wb_pool_on_room(p->pool, (void (*)(void *))wb_host_wake, &p->host);
    for (size_t i = 0; i < c->ntargets; i++) {
        p->nlanes++; /* first: fini takes what init has begun */
        wb_code rc = wb_lane_init(&p->lanes[i], p, i, err);
        if (rc != WB_OK) return rc;
    }
    p->deliver = wb_deliver_new(p);
    if (!p->deliver) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    p->blame = 'c';
    p->standby = o && (o->flags & WB_RUN_STANDBY);
    wb_code rc = open_state(p, o, err);
    if (rc == WB_OK) rc = wb_state_next_epoch(p->state, &p->epoch, err);
    if (rc != WB_OK) return rc;
    p->blame = 0;
    if (o && (o->flags & WB_RUN_SNAPSHOT)) rc = wb_config_snapshot_only(c, err); /* `walbrook snapshot` */
    if (rc == WB_OK) rc = open_transforms(p, err);
    p->until_now = o && (o->flags & WB_RUN_UNTIL_NOW);
    if (rc == WB_OK) rc = wb_members_open(p, o, err);
    if (rc == WB_OK && p->until_now) rc = take_tip(p, err);
    if (rc == WB_OK) rc = wb_checkpoint(p, err);
    return rc;
}

static wb_code start_threads(wb_pipeline *p, wb_error *err)
{
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_code rc = wb_lane_start(&p->lanes[i], err);
        if (rc != WB_OK) return rc;
    }
    int rc = pthread_create(&p->source_thread, NULL, wb_source_thread, p);
    if (rc) return wb_fail_errno(err, rc, "cannot start a thread");
    p->source_started = true;
    if (p->stateless) return WB_OK; /* nobody asks for its status */
    wb_code code = wb_host_init(&p->watch_host, p, NULL, "source", err);
    if (code != WB_OK) return code;
    if (pthread_create(&p->watch_thread, NULL, wb_watch_thread, p) == 0) p->watch_started = true;
    return WB_OK;
}

/* ---------------------------------------------------------------- the loop */

/* Why the loop ends. */
typedef enum ending { GO_ON, ASKED, REACHED, ENDED, SOURCE_FAILED, TARGETS_FAILED, CHECKPOINT_FAILED } ending;

/* `--until now`: it has what was there at the start, tables that are being copied included. A target that returns makes
 * the source go back: the session must be the same one before and after the look. */
static bool has_enough(wb_pipeline *p, wb_lane *l)
{
    wb_kept copy = {0};
    unsigned session = atomic_load(&p->sessions);
    wb_pos pos = wb_lane_checkpoint(l, &copy).pos;
    int order = pos.len ? wb_pipeline_source(p)->compare(pos, wb_kept_stand(&p->tip).pos) : -1;
    wb_kept_fini(&copy);
    if (order != 0 && order != 1) return false;
    if (!atomic_load(&p->opened) || atomic_load(&p->copying)) return false;
    if (!atomic_load(&p->copied)) return true;
    pthread_mutex_lock(&l->mutex);
    bool answered = l->state == WB_LANE_RUNNING && l->head >= l->copied;
    pthread_mutex_unlock(&l->mutex);
    return answered && atomic_load(&p->sessions) == session;
}

/* Of a lane that has failed: another start is at work, and this one ends, whatever its other targets do. */
static bool is_fenced(wb_lane *l)
{
    pthread_mutex_lock(&l->mutex); /* it may have failed just now: its error comes with that */
    bool fenced = l->error.code == WB_E_FENCED;
    pthread_mutex_unlock(&l->mutex);
    return fenced;
}

static ending targets_ending(wb_pipeline *p)
{
    size_t failed = 0, behind = 0;
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        if (l->state == WB_LANE_FAILED) {
            failed++;
            if (is_fenced(l)) failed = p->nlanes;
            continue;
        }
        if (!p->until_now) continue;
        behind += !has_enough(p, l);
    }
    if (failed >= p->nlanes) return TARGETS_FAILED;
    if (p->until_now && behind == 0) return failed ? TARGETS_FAILED : REACHED;
    return GO_ON;
}

/* Every target that has not failed has all that was read. */
static bool all_idle(wb_pipeline *p)
{
    for (size_t i = 0; i < p->nlanes; i++)
        if (!wb_lane_has_all(&p->lanes[i])) return false;
    return true;
}

/* The source is at its end, and every target has all of it. A target that returns makes the source go back: between
 * that and the first thing that it gets it is idle, too, so the end must be the same one before and after the look. */
static bool all_is_done(wb_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    unsigned end = p->ends;
    bool ended = p->source_ended;
    pthread_mutex_unlock(&p->mutex);
    if (!ended || !all_idle(p)) return false;
    pthread_mutex_lock(&p->mutex);
    ended = p->source_ended && p->ends == end;
    pthread_mutex_unlock(&p->mutex);
    return ended;
}

static void nap(wb_pipeline *p, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&p->mutex);
    if (!p->stop && !p->stop_now && !p->reload && !p->source_failed)
        pthread_cond_timedwait(&p->cond, &p->mutex, &until);
    pthread_mutex_unlock(&p->mutex);
}

static ending look_around(wb_pipeline *p, bool *ready, const wb_run_options *o)
{
    ending e = GO_ON;
    pthread_mutex_lock(&p->mutex);
    bool reload = p->reload, open = p->source_open;
    p->reload = false;
    if (p->stop || p->stop_now) e = ASKED;
    if (p->source_failed) e = SOURCE_FAILED;
    pthread_mutex_unlock(&p->mutex);
    if (reload) {
        atomic_store(&p->reload_source, true);
        wb_host_wake(&p->host);
    }
    for (size_t i = 0; reload && i < p->nlanes; i++) {
        pthread_mutex_lock(&p->lanes[i].mutex);
        p->lanes[i].reload = true;
        pthread_cond_broadcast(&p->lanes[i].cond);
        pthread_mutex_unlock(&p->lanes[i].mutex);
    }
    if (open && !*ready) {
        *ready = true;
        if (o && o->ready) o->ready(o->arg);
    }
    if (e == GO_ON) e = targets_ending(p);
    if (e == GO_ON && all_is_done(p)) e = ENDED;
    return e;
}

/* A checkpoint that cannot be written loses nothing: the server keeps its log. Said once, tried again. */
static wb_code save(wb_pipeline *p, bool *said, wb_error *err)
{
    wb_error mine = {0};
    wb_code rc = wb_checkpoint(p, &mine);
    if (rc == WB_OK) {
        if (*said) wb_log(&p->logger, WB_LOG_INFO, "engine", "checkpoints are written again");
        *said = false;
        return WB_OK;
    }
    if (mine.next == WB_NEVER) {
        *err = mine;
        return rc;
    }
    if (!*said) wb_log_error(&p->logger, WB_LOG_WARN, "engine", &mine);
    *said = true;
    return WB_OK;
}

static ending main_loop(wb_pipeline *p, const wb_run_options *o, wb_error *err)
{
    int64_t saved = wb_mono_us(), written = 0;
    bool ready = false, said = false, shown = false; /* shown: status.json says that we are connected */
    for (;;) {
        ending e = look_around(p, &ready, o);
        int64_t now = wb_mono_us();
        if (e != GO_ON) return e;
        if (now - saved >= p->config->engine.checkpoint_ms * 1000) {
            saved = now;
            if (save(p, &said, err) != WB_OK) return CHECKPOINT_FAILED;
            for (size_t i = 0; i < p->nlanes; i++) wb_lane_watch(&p->lanes[i], now);
        }
        if (!p->stateless && (now - written >= 1000000 || ready != shown)) {
            written = now;
            shown = ready;
            wb_status_file(p, true);
        }
        nap(p, p->until_now || p->source_ended ? TICK_FAST_US : TICK_US);
    }
}

/* ---------------------------------------------------------------- the end */

static void stop_source(wb_pipeline *p)
{
    const wb_source *s = wb_pipeline_source(p);
    atomic_store(&p->quit, true);
    wb_host_wake(&p->host);
    if (s->interrupt) s->interrupt(p->config->source_ctx);
}

/* Targets make what they have durable, for at most `grace`; a second stop ends the wait. */
static void drain(wb_pipeline *p, bool at_once)
{
    int64_t until = wb_mono_us() + p->config->engine.grace_ms * 1000;
    for (size_t i = 0; i < p->nlanes; i++) wb_lane_stop(&p->lanes[i], at_once);
    for (bool told = at_once;;) {
        bool finished = true;
        for (size_t i = 0; i < p->nlanes; i++)
            finished = finished && (atomic_load(&p->lanes[i].finished) || !p->lanes[i].thread_started);
        if (finished) break;
        pthread_mutex_lock(&p->mutex);
        bool now = p->stop_now;
        pthread_mutex_unlock(&p->mutex);
        if (!told && (now || wb_mono_us() > until)) {
            told = true;
            if (!now) wb_log(&p->logger, WB_LOG_WARN, "engine", "targets did not drain within `grace`: stopping them");
        }
        if (told)
            for (size_t i = 0; i < p->nlanes; i++) wb_lane_stop(&p->lanes[i], true);
        wb_sleep_us(told ? 20000 : 2000);
    }
    for (size_t i = 0; i < p->nlanes; i++) wb_lane_join(&p->lanes[i]);
}

static void end_threads(wb_pipeline *p, bool at_once)
{
    stop_source(p);
    while (p->source_started && !atomic_load(&p->source_idle)) { /* it may be inside a call that is being interrupted */
        wb_sleep_us(1000);
        const wb_source *s = wb_pipeline_source(p);
        if (s->interrupt) s->interrupt(p->config->source_ctx);
    }
    drain(p, at_once);
    wb_error err = {0};
    if (p->state && wb_checkpoint(p, &err) != WB_OK) wb_log_error(&p->logger, WB_LOG_WARN, "engine", &err);
    atomic_store(&p->finish, true);
    wb_host_wake(&p->host);
    if (p->source_started) pthread_join(p->source_thread, NULL);
    pthread_mutex_lock(&p->mutex);
    p->watch_quit = true;
    atomic_store_explicit(&p->watch_host.stopping, true, memory_order_release);
    pthread_cond_broadcast(&p->watch_cond);
    pthread_mutex_unlock(&p->mutex);
    if (p->watch_started) {
        wb_host_wake(&p->watch_host);
        pthread_join(p->watch_thread, NULL);
        p->watch_started = false;
    }
    if (p->watch_host.p) wb_host_fini(&p->watch_host);
    p->watch_host.p = NULL;
}

static void tidy(wb_pipeline *p)
{
    for (size_t i = 0; i < p->nlanes; i++) {
        const wb_target_config *t = p->lanes[i].config;
        if (t && atomic_load(&p->lanes[i].open_called)) t->plugin->close(t->ctx);
        wb_lane_fini(&p->lanes[i]);
    }
    for (size_t i = 0; i < p->config->ntransforms; i++) {
        const wb_transform_config *t = &p->config->transforms[i];
        if (t->plugin->close) t->plugin->close(t->ctx);
    }
    wb_deliver_free(p);
    free(p->lanes);
    p->lanes = NULL;
    wb_pool_free(p->pool);
    p->pool = NULL;
    wb_state_close(p->state);
    p->state = NULL;
    p->nlanes = 0;
    for (size_t i = 0; i < WB_COUNT(p->saving); i++) {
        p->saving[i].destination = NULL; /* borrowed from the lane */
        wb_target_state_fini(&p->saving[i]);
        wb_target_state_fini(&p->saved[i]);
    }
}

static wb_code verdict(wb_pipeline *p, ending e, wb_error *err)
{
    switch (e) {
    case SOURCE_FAILED:
        p->blame = 's';
        *err = p->source_error;
        return err->code;
    case CHECKPOINT_FAILED: p->blame = 'c'; return err->code;
    default: break;
    }
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        bool undone = l->state == WB_LANE_FAILED || (l->state == WB_LANE_RUNNING && l->broken && e != ASKED);
        if (!undone) continue;
        p->blame = 't';
        *err = l->error;
        wb_error_where(err, "%s", l->host.part);
        return err->code;
    }
    return WB_OK;
}

wb_code wb_pipeline_run(wb_pipeline *p, const wb_run_options *o, wb_error *err)
{
    p->started_us = wb_now_us();
    ending e = GO_ON;
    wb_code rc = prepare(p, o, err);
    if (rc == WB_OK) rc = start_threads(p, err);
    if (rc == WB_OK) {
        atomic_store(&p->running, true);
        e = main_loop(p, o, err);
    }
    pthread_mutex_lock(&p->mutex);
    bool at_once = p->stop_now;
    pthread_mutex_unlock(&p->mutex);
    end_threads(p, at_once);
    if (e != GO_ON) rc = verdict(p, e, err);
    if (!p->stateless && p->state) wb_status_file(p, false);
    atomic_store(&p->running, false);
    tidy(p);
    return rc == WB_E_STOPPED && !err->code ? WB_OK : rc; /* stopped while it stood by */
}

void wb_pipeline_stop(wb_pipeline *p, bool now)
{
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    if (now) p->stop_now = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->mutex);
    atomic_store_explicit(&p->host.stopping, true, memory_order_release);
    wb_host_wake(&p->host);
}

void wb_pipeline_reload(wb_pipeline *p)
{
    pthread_mutex_lock(&p->mutex);
    p->reload = true;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->mutex);
}

int wb_pipeline_blame(const wb_pipeline *p) { return p->blame; }

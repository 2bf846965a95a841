/* lane_thread.c: the life of one target: open, judge its stand, write, flush, recover. Only here are targets retried.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "core/engine.h"

/* ---------------------------------------------------------------- open */

static wb_code stand_error(wb_lane *l, const char *what, wb_stand ours, wb_stand theirs, wb_error *err)
{
    char a[200], b[200];
    const wb_source *s = wb_pipeline_source(l->p);
    wb_stand_text(s, ours, a, sizeof a);
    wb_stand_text(s, theirs, b, sizeof b);
    wb_fail(err, WB_E_STATE, WB_NEVER, "target %s: %s (the state says %s, the target says %s)", l->config->name, what,
            a, b);
    wb_hint(err,
            "Put back the one that was replaced; or `run --accept %s` goes on from where the target stands, while the "
            "source still has its log; or `run --resnapshot %s` copies everything again.",
            l->config->name, l->config->name);
    return WB_E_STATE;
}

/* What the target says of itself against what the state says of it. */
static wb_code judge(wb_lane *l, const wb_open *o, wb_error *err)
{
    static const wb_stand nothing = {{NULL, 0}, 0};
    wb_target_state *k = &l->known;
    wb_stand last = wb_kept_stand(&k->last), checkpoint = wb_kept_stand(&k->checkpoint);
    int (*compare)(wb_pos, wb_pos) = o->compare;
    bool started = last.pos.len || last.ordinal;

    if (!o->keeps) return WB_OK;
    if (l->again) {
        l->again = false;
        return wb_keep(&k->before, o->own ? o->stand : nothing) ? WB_OK
                                                                : wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    }
    if (!o->own) {
        if (!started || l->accept) return WB_OK;
        return stand_error(l, "its data are gone, or it is another one", last, nothing, err);
    }
    if (l->fresh && (o->stand.pos.len || o->stand.ordinal) && !l->accept)
        return stand_error(l, "it holds changes of this pipeline that the state knows nothing of", nothing, o->stand,
                           err);
    if (k->resetting) {
        /* A snapshot was begun. The target has not heard of it yet when it stands where it stood before. */
        bool unmoved = wb_stand_compare(compare, o->stand, wb_kept_stand(&k->before)) == 0;
        if (!o->stand.pos.len || unmoved) return WB_OK;
    }
    int order = wb_stand_compare(compare, o->stand, last);
    if (order == 0) return WB_OK; /* idle positions may have carried the checkpoint further */
    if (order != 1 && !l->accept)
        return stand_error(l, order == 2 ? "its stand does not belong to this source" : "it is behind: an older copy",
                           last, o->stand, err);
    bool further = wb_stand_compare(compare, o->stand, checkpoint) == 1 || order != 1;
    if (further && !wb_keep(&k->checkpoint, o->stand)) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    if (!wb_keep(&k->last, o->stand)) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    if (o->stand.pos.len) k->resetting = false;
    return WB_OK;
}

static wb_code open_target(wb_lane *l, wb_error *err)
{
    const wb_target *t = l->config->plugin;
    wb_kept checkpoint = {0};
    wb_open o = {.epoch = l->p->epoch,
                 .fresh = l->fresh,
                 .known = wb_lane_checkpoint(l, &checkpoint),
                 .compare = wb_pipeline_source(l->p)->compare,
                 .render = wb_pipeline_source(l->p)->render};
    atomic_store(&l->open_called, true);
    wb_code rc = t->open(l->config->ctx, &l->host, &o, err);
    if (rc == WB_OK) {
        pthread_mutex_lock(&l->mutex);
        rc = judge(l, &o, err);
        if (rc == WB_OK && l->fresh) rc = wb_lane_save(l, err); /* before it holds anything of ours */
        if (rc == WB_OK) {
            l->accept = false;
            l->fresh = false;
            l->dirty = true;
        }
        pthread_mutex_unlock(&l->mutex);
    }
    if (rc != WB_OK) {
        wb_error_where(err, "%s", l->host.part);
        t->close(l->config->ctx);
    }
    wb_kept_fini(&checkpoint);
    return rc;
}

static void set_down(wb_lane *l, const wb_error *err)
{
    pthread_mutex_lock(&l->mutex);
    bool final = err->next == WB_NEVER || err->next == WB_RESNAPSHOT || err->next == WB_POISON;
    l->state = final ? WB_LANE_FAILED : WB_LANE_DOWN;
    l->error = *err;
    l->down_since = wb_now_us();
    l->broken = false;
    wb_lane_drop(l);
    bool failed = l->state == WB_LANE_FAILED;
    pthread_mutex_unlock(&l->mutex);
    wb_log_error(&l->p->logger, failed ? WB_LOG_ERROR : WB_LOG_WARN, l->host.part, err);
    pthread_mutex_lock(&l->p->mutex);
    pthread_cond_broadcast(&l->p->cond);
    pthread_mutex_unlock(&l->p->mutex);
    wb_host_wake(&l->p->host);
}

wb_code wb_lane_open(wb_lane *l, bool fresh, bool accept, wb_error *err)
{
    l->fresh = fresh;
    l->accept = accept;
    wb_error mine = {0};
    wb_code rc = open_target(l, &mine);
    if (rc == WB_OK) {
        l->state = WB_LANE_RUNNING;
        return wb_keep(&l->issued, wb_kept_stand(&l->known.checkpoint))
                   ? WB_OK
                   : wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    }
    if (mine.next == WB_RETRY || mine.next == WB_RECONNECT) {
        set_down(l, &mine);
        return WB_OK;
    }
    *err = mine;
    return rc;
}

wb_code wb_lane_from_nothing(wb_lane *l, wb_error *err)
{
    static const wb_stand nothing = {{NULL, 0}, 0};
    l->known.resetting = true; /* whatever the target says of itself is what it stood at before */
    l->accept = l->again = true;
    bool kept = wb_keep(&l->known.checkpoint, nothing) && wb_keep(&l->known.last, nothing);
    return kept ? WB_OK : wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
}

/* ---------------------------------------------------------------- the thread */

typedef enum job { JOB_WRITE, JOB_FLUSH, JOB_RELOAD, JOB_RECOVER, JOB_END } job;

/* Wait on the lane's condition for at most `us`; the mutex is held. */
static void wait_us(wb_lane *l, int64_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(us / 1000000);
    until.tv_nsec += (long)(us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&l->cond, &l->mutex, &until);
}

typedef struct turn {
    wb_view view;
    wb_kept stand; /* what view.stand points into */
    wb_ticket ticket;
    bool unflushed;  /* written since the last flush           */
    bool again;      /* the last flush left tickets unanswered */
    int64_t flushed; /* monotonic µs of the last flush         */
} turn;

/* What to do next. The source may wait for us to have nothing to do: it keeps a half-full batch meanwhile. */
static job next_job(wb_lane *l, turn *t)
{
    job todo = JOB_FLUSH;
    pthread_mutex_lock(&l->mutex);
    for (bool waited = false;;) {
        if (l->broken || l->state == WB_LANE_DOWN) {
            todo = JOB_RECOVER;
            break;
        }
        while (l->next < l->tail && !l->entries[l->next & (l->cap - 1)].has_changes) l->next++;
        if (l->next < l->tail && l->state == WB_LANE_RUNNING) {
            wb_entry *e = &l->entries[l->next & (l->cap - 1)];
            t->view = e->view;
            if (wb_keep(&t->stand, wb_kept_stand(&e->stand))) t->view.stand = wb_kept_stand(&t->stand);
            t->ticket = l->next;
            todo = wb_mono_us() - t->flushed > 1000000 ? JOB_FLUSH : JOB_WRITE;
            break;
        }
        if (l->reload) {
            l->reload = false;
            todo = JOB_RELOAD;
            break;
        }
        if (t->unflushed || (waited && l->state == WB_LANE_RUNNING && !l->stop)) break;
        if (l->stop) {
            todo = JOB_END;
            break;
        }
        atomic_store_explicit(&l->waiting, l->state == WB_LANE_RUNNING, memory_order_relaxed);
        if (!waited) wb_host_wake(&l->p->host);
        wait_us(l, t->again ? 5000 : 1000000);
        atomic_store_explicit(&l->waiting, false, memory_order_relaxed);
        waited = true;
    }
    pthread_mutex_unlock(&l->mutex);
    return todo;
}

static wb_code call_flush(wb_lane *l, turn *t, int ms, wb_error *err)
{
    const wb_target *target = l->config->plugin;
    atomic_store(&l->busy_since, wb_mono_us());
    wb_code rc = target->flush ? target->flush(l->config->ctx, ms, err) : WB_OK;
    atomic_store(&l->busy_since, 0);
    t->unflushed = false;
    t->again = rc == WB_AGAIN;
    t->flushed = wb_mono_us();
    return rc;
}

static int64_t backoff_us(const wb_lane *l, unsigned attempt)
{
    const wb_engine_options *o = &l->p->config->engine;
    int64_t us = o->backoff_min_ms * 1000;
    for (unsigned i = 0; i < attempt && us < o->backoff_max_ms * 1000; i++) us *= 2;
    us = WB_MIN(us, o->backoff_max_ms * 1000);
    return us / 2 + (int64_t)((uint64_t)wb_mono_us() * 2654435761u % (uint64_t)(us / 2 + 1)); /* jitter */
}

/* Sleep unless told to stop. */
static void pause_lane(wb_lane *l, int64_t us)
{
    int64_t until = wb_mono_us() + us;
    pthread_mutex_lock(&l->mutex);
    while (!wb_host_stopping(&l->host) && !(l->stop && l->state == WB_LANE_DOWN)) {
        int64_t left = until - wb_mono_us();
        if (left <= 0) break;
        wait_us(l, WB_MIN(left, 100000));
    }
    pthread_mutex_unlock(&l->mutex);
}

static bool others_running(const wb_lane *l)
{
    bool any = false;
    for (size_t i = 0; i < l->p->nlanes && !any; i++) {
        wb_lane *o = &l->p->lanes[i];
        if (o == l) continue;
        pthread_mutex_lock(&o->mutex);
        any = o->state == WB_LANE_RUNNING;
        pthread_mutex_unlock(&o->mutex);
    }
    return any;
}

static uint64_t answers(wb_lane *l)
{
    pthread_mutex_lock(&l->mutex);
    uint64_t n = l->answered;
    pthread_mutex_unlock(&l->mutex);
    return n;
}

/* One view until it is accepted. An error is what the lane goes down with; WB_E_STOPPED: asked to. */
static wb_code write_view(wb_lane *l, turn *t, wb_error *err)
{
    const wb_target *target = l->config->plugin;
    int64_t since = wb_mono_us();
    uint64_t seen = answers(l);
    bool said = false;
    for (unsigned attempt = 0;;) {
        wb_error_reset(err);
        atomic_store(&l->busy_since, wb_mono_us());
        wb_code rc = target->write(l->config->ctx, &t->view, t->ticket, err);
        atomic_store(&l->busy_since, 0);
        if (rc == WB_OK) {
            if (said) wb_log(&l->p->logger, WB_LOG_INFO, l->host.part, "takes changes again");
            t->unflushed = true;
            return WB_OK;
        }
        if (wb_host_stopping(&l->host)) return WB_E_STOPPED;
        if (rc == WB_AGAIN) {
            wb_error_reset(err);
            rc = call_flush(l, t, 100, err);
            if (rc != WB_OK && rc != WB_AGAIN) return rc;
            wb_fail(err, WB_E_NET, WB_RETRY, "takes nothing more: whoever reads from it is too slow or stands still");
        } else if (err->next != WB_RETRY) {
            return rc;
        } else {
            if (!said) wb_log_error(&l->p->logger, WB_LOG_WARN, l->host.part, err);
            said = true;
            atomic_fetch_add(&l->retries, 1);
            pause_lane(l, backoff_us(l, attempt++));
        }
        if (answers(l) != seen) {
            seen = answers(l);
            since = wb_mono_us();
        }
        if (l->broken) return WB_E_NET; /* an answer said so: next_job recovers */
        if (wb_mono_us() - since > l->p->config->engine.patience_ms * 1000 && others_running(l)) {
            err->next = WB_RECONNECT;
            return err->code;
        }
    }
}

/* The target failed: close it, forget what it was given, open it again, ask for what it lacks. */
static void recover(wb_lane *l, turn *t, wb_error *err)
{
    const wb_target *target = l->config->plugin;
    bool was_down = l->state == WB_LANE_DOWN; /* only this thread moves it out of there */
    if (!was_down) {
        target->close(l->config->ctx);
        set_down(l, err);
    }
    t->unflushed = t->again = false;
    for (unsigned attempt = 0; l->state == WB_LANE_DOWN; attempt++) {
        pause_lane(l, backoff_us(l, attempt));
        pthread_mutex_lock(&l->mutex);
        bool end = l->stop || wb_host_stopping(&l->host);
        pthread_mutex_unlock(&l->mutex);
        if (end) return;
        wb_error mine = {0};
        wb_code rc = open_target(l, &mine);
        if (rc == WB_OK) {
            pthread_mutex_lock(&l->mutex);
            l->state = WB_LANE_READY;
            pthread_mutex_unlock(&l->mutex);
            atomic_store(&l->p->reopen, true);
            wb_host_wake(&l->p->host);
            wb_log(&l->p->logger, WB_LOG_INFO, l->host.part, "answers again; the source goes back for what it lacks");
        } else if (mine.next != WB_RETRY && mine.next != WB_RECONNECT) {
            set_down(l, &mine);
        } else {
            atomic_fetch_add(&l->retries, 1);
            wb_log(&l->p->logger, WB_LOG_DEBUG, l->host.part, "still down: %s", mine.message);
        }
    }
}

/* No more entries come: make all of it durable. */
static void drain(wb_lane *l, turn *t)
{
    wb_error err = {0};
    while (l->state == WB_LANE_RUNNING && !wb_lane_idle(l) && !wb_host_stopping(&l->host)) {
        wb_code rc = call_flush(l, t, -1, &err);
        if (rc != WB_OK && rc != WB_AGAIN) {
            if (rc != WB_E_STOPPED) wb_log_error(&l->p->logger, WB_LOG_ERROR, l->host.part, &err);
            pthread_mutex_lock(&l->mutex);
            l->error = err;
            pthread_mutex_unlock(&l->mutex);
            break;
        }
        if (l->broken) break;
        if (!wb_lane_idle(l)) pause_lane(l, 2000);
    }
    l->config->plugin->close(l->config->ctx);
}

static void *lane_main(void *arg)
{
    wb_lane *l = arg;
    const wb_target *target = l->config->plugin;
    turn t = {.flushed = wb_mono_us()};
    wb_error err = {0};
    for (;;) {
        job todo = next_job(l, &t);
        if (todo == JOB_END || wb_host_stopping(&l->host)) break;
        wb_error_reset(&err);
        wb_code rc = WB_OK;
        if (todo == JOB_WRITE) {
            rc = write_view(l, &t, &err);
            if (rc == WB_OK) {
                pthread_mutex_lock(&l->mutex);
                if (l->next == t.ticket) l->next++;
                pthread_mutex_unlock(&l->mutex);
            }
        } else if (todo == JOB_FLUSH) {
            rc = call_flush(l, &t, 0, &err);
        } else if (todo == JOB_RELOAD) {
            rc = target->reload ? target->reload(l->config->ctx, &err) : WB_OK;
        } else {
            pthread_mutex_lock(&l->mutex);
            if (l->broken) err = l->error;
            pthread_mutex_unlock(&l->mutex);
            recover(l, &t, &err);
            if (l->stop && l->state == WB_LANE_DOWN) break;
            continue;
        }
        if (rc == WB_OK || rc == WB_AGAIN) continue;
        if (wb_host_stopping(&l->host)) break;
        if (todo == JOB_FLUSH && err.next == WB_RETRY) { /* nothing is lost: its tickets are still open */
            wb_log_error(&l->p->logger, WB_LOG_WARN, l->host.part, &err);
            atomic_fetch_add(&l->retries, 1);
            pause_lane(l, backoff_us(l, 3));
            t.unflushed = true;
            continue;
        }
        if (err.code == WB_OK) wb_fail(&err, WB_E_NET, WB_RECONNECT, "failed without a word");
        recover(l, &t, &err);
    }
    drain(l, &t);
    wb_kept_fini(&t.stand);
    atomic_store(&l->finished, true);
    pthread_mutex_lock(&l->p->mutex);
    pthread_cond_broadcast(&l->p->cond);
    pthread_mutex_unlock(&l->p->mutex);
    return NULL;
}

wb_code wb_lane_start(wb_lane *l, wb_error *err)
{
    int rc = pthread_create(&l->thread, NULL, lane_main, l);
    if (rc) return wb_fail_errno(err, rc, "cannot start a thread");
    l->thread_started = true;
    return WB_OK;
}

void wb_lane_stop(wb_lane *l, bool now)
{
    const wb_target *t = l->config->plugin;
    if (now) atomic_store_explicit(&l->host.stopping, true, memory_order_release);
    pthread_mutex_lock(&l->mutex);
    l->stop = true;
    pthread_cond_broadcast(&l->cond);
    pthread_mutex_unlock(&l->mutex);
    if (now) {
        wb_host_wake(&l->host);
        if (t->interrupt && atomic_load(&l->open_called)) t->interrupt(l->config->ctx);
    }
}

void wb_lane_join(wb_lane *l)
{
    if (l->thread_started) pthread_join(l->thread, NULL);
    l->thread_started = false;
}

/* source_loop.c: the source's thread: open where the targets are, read, settle; reconnect, go back, start over. */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "core/engine.h"

typedef struct loop {
    wb_pipeline *p;
    const wb_source *source;
    void *ctx;
    wb_kept settled; /* told to the source on this connection */
    bool ever_open;
    unsigned attempt;
    int64_t first_try;
    wb_member members[64];
} loop;

/* Lanes that opened again join here, at their checkpoint. */
static void join_lanes(wb_pipeline *p, wb_error *err)
{
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        pthread_mutex_lock(&l->mutex);
        if (l->state == WB_LANE_READY) {
            l->state = WB_LANE_RUNNING;
            l->inside = l->open = false;
            if (!wb_keep(&l->issued, wb_kept_stand(&l->known.checkpoint)))
                (void)wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
            pthread_cond_broadcast(&l->cond);
        }
        l->abandon = l->inside && l->open; /* a turn is read again from its begin */
        pthread_mutex_unlock(&l->mutex);
    }
}

/* Where to open: the latest position that every running target has; `fresh`: those that have none. *any false: none
 * runs, and an open without a position would be a first start: the slot made anew. */
static wb_code where_to_open(loop *o, wb_resume *r, wb_kept *keep, bool *any, wb_error *err)
{
    wb_pipeline *p = o->p;
    *r = (wb_resume){.again = o->ever_open, .members = o->members, .nmembers = p->nlanes};
    keep->len = 0;
    *any = false;
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        o->members[i] = (wb_member){.name = l->config->name, .bit = l->bit};
        if (l->state != WB_LANE_RUNNING) continue;
        *any = true;
        wb_stand s = wb_kept_stand(&l->issued);
        o->members[i].running = true;
        o->members[i].pos = s.pos;
        if (!s.pos.len) {
            r->fresh |= l->bit;
            continue;
        }
        wb_stand both = s;
        uint8_t buffer[WB_POS_MAX];
        if (keep->len) {
            size_t n = 0;
            o->source->meet(wb_kept_stand(keep).pos, s.pos, buffer, sizeof buffer, &n);
            both.pos = (wb_pos){buffer, n};
        }
        both.ordinal = 0;
        if (!wb_keep(keep, both)) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    }
    r->pos = wb_kept_stand(keep).pos;
    return WB_OK;
}

static bool quitting(const loop *o) { return atomic_load(&o->p->quit); }

static void wait_for_work(loop *o, int ms)
{
    struct pollfd fd = {.fd = o->p->host.fd, .events = POLLIN};
    if (poll(&fd, 1, ms) > 0) wb_host_fd_clear(&o->p->host);
}

static void back_off(loop *o)
{
    const wb_engine_options *e = &o->p->config->engine;
    int64_t us = e->backoff_min_ms * 1000;
    for (unsigned i = 0; i < o->attempt && us < e->backoff_max_ms * 1000; i++) us *= 2;
    us = WB_MIN(us, e->backoff_max_ms * 1000);
    us = us / 2 + (int64_t)((uint64_t)wb_mono_us() * 2654435761u % (uint64_t)(us / 2 + 1));
    o->attempt++;
    for (int64_t until = wb_mono_us() + us; !quitting(o);) {
        int64_t left = until - wb_mono_us();
        if (left <= 0) break;
        wait_for_work(o, (int)WB_MIN(left / 1000 + 1, 100));
    }
}

static void start_over(wb_pipeline *p)
{
    for (size_t i = 0; i < p->nlanes; i++) { wb_kept_fini(&p->lanes[i].issued); /* nothing */ }
}

/* Decide what an error means. true: try again. */
static bool go_on(loop *o, const wb_error *err)
{
    wb_pipeline *p = o->p;
    if (quitting(o)) return false;
    if (err->code == WB_E_STOPPED) {
        wait_for_work(o, 50);
        return !quitting(o);
    }
    bool may = err->next == WB_RETRY || err->next == WB_RECONNECT || err->next == WB_RESNAPSHOT;
    if (may && !o->ever_open && err->next != WB_RESNAPSHOT && !p->standby) {
        /* The first start: a server that is not there is more likely a wrong address. */
        int64_t patience = err->code == WB_E_NET ? 1500 : p->config->engine.patience_ms;
        if (wb_mono_us() - o->first_try > patience * 1000) may = false;
    }
    if (!may) {
        pthread_mutex_lock(&p->mutex);
        p->source_error = *err;
        p->source_failed = true;
        pthread_cond_broadcast(&p->cond);
        pthread_mutex_unlock(&p->mutex);
        return false;
    }
    wb_log_error(&p->logger, WB_LOG_WARN, "source", err);
    if (err->next == WB_RESNAPSHOT) {
        wb_log(&p->logger, WB_LOG_WARN, "source", "starts over with a new snapshot");
        start_over(p);
    }
    pthread_mutex_lock(&p->mutex);
    p->source_error = *err;
    pthread_mutex_unlock(&p->mutex);
    back_off(o);
    return !quitting(o);
}

static wb_code settle(loop *o, wb_error *err)
{
    wb_pipeline *p = o->p;
    wb_kept now = {0};
    pthread_mutex_lock(&p->mutex);
    bool kept = wb_keep(&now, wb_kept_stand(&p->settled));
    pthread_mutex_unlock(&p->mutex);
    wb_code rc = WB_OK;
    wb_pos pos = wb_kept_stand(&now).pos;
    if (kept && pos.len && (!o->settled.len || o->source->compare(wb_kept_stand(&o->settled).pos, pos) == -1)) {
        rc = o->source->settle(o->ctx, pos, err);
        if (rc == WB_OK) (void)!wb_keep(&o->settled, wb_kept_stand(&now));
    }
    wb_kept_fini(&now);
    return rc;
}

/* HUP: what the file says now, for the source to take from it what can change while it runs. */
static void reload(loop *o)
{
    wb_pipeline *p = o->p;
    wb_error err = {0};
    if (!atomic_exchange(&p->reload_source, false) || !o->source->reload) return;
    wb_config *c = NULL;
    wb_code rc = p->config->path ? wb_config_load(p->config->path, &c, &err) : WB_OK;
    if (rc == WB_OK && c && c->source != p->config->source)
        rc = wb_fail(&err, WB_E_CONFIG, WB_NEVER, "the file names another source now");
    if (rc == WB_OK) rc = o->source->reload(o->ctx, c ? c->source_ctx : NULL, &err);
    if (rc != WB_OK) {
        wb_log_error(&p->logger, WB_LOG_WARN, "reload", &err);
        wb_config_free(c);
    } else if (c) {
        wb_config_free(p->reloaded);
        p->reloaded = c;
    }
}

static void said_open(loop *o)
{
    wb_pipeline *p = o->p;
    if (o->ever_open) atomic_fetch_add(&p->reconnects, 1);
    o->ever_open = true;
    o->attempt = 0;
    atomic_store(&p->opened, true);
    pthread_mutex_lock(&p->mutex);
    p->source_open = true;
    wb_error_reset(&p->source_error);
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->mutex);
}

/* One connection, from open to its end. WB_OK: a target wants the source to go back. */
static wb_code session(loop *o, wb_error *err)
{
    wb_pipeline *p = o->p;
    wb_resume resume;
    wb_kept keep = {0};
    bool any;
    o->settled.len = 0;
    atomic_store(&p->reopen, false);
    atomic_fetch_add(&p->sessions, 1);
    atomic_store(&p->opened, false); /* who joins has nothing to answer yet, and may lack rows of a copy */
    join_lanes(p, err);
    (void)WB_FAULT("source.joined");
    wb_code rc = where_to_open(o, &resume, &keep, &any, err); /* who joined may have broken since */
    if (rc == WB_OK && !any) {
        wb_kept_fini(&keep);
        wait_for_work(o, 200);
        return WB_OK;
    }
    if (rc == WB_OK) rc = wb_state_check(p->state, err); /* asleep while another run took over? */
    if (rc == WB_OK) rc = o->source->open(o->ctx, &p->host, &resume, err);
    wb_kept_fini(&keep);
    if (rc == WB_OK) said_open(o);
    while (rc == WB_OK || rc == WB_AGAIN) {
        if (quitting(o)) return WB_OK;
        if (atomic_load(&p->reopen)) break;
        rc = settle(o, err);
        reload(o);
        if (rc == WB_OK) rc = o->source->read(o->ctx, 100, err);
    }
    if (quitting(o)) return WB_OK;
    if (rc == WB_END) return rc; /* stays open for the last settle */
    o->source->close(o->ctx);
    pthread_mutex_lock(&p->mutex);
    p->source_open = false;
    pthread_mutex_unlock(&p->mutex);
    return rc == WB_AGAIN ? WB_OK : rc;
}

static void say_ended(wb_pipeline *p, bool ended)
{
    pthread_mutex_lock(&p->mutex);
    p->source_ended = ended;
    p->ends += ended;
    pthread_cond_broadcast(&p->cond);
    pthread_mutex_unlock(&p->mutex);
}

/* Nothing more comes; a target that was down may still want what it missed. false: the end. */
static bool wait_at_end(loop *o)
{
    wb_pipeline *p = o->p;
    wb_error err = {0};
    say_ended(p, true);
    while (!quitting(o) && !atomic_load(&p->reopen)) {
        wait_for_work(o, 100);
        (void)!settle(o, &err);
    }
    if (quitting(o)) return false;
    say_ended(p, false);
    o->source->close(o->ctx);
    return true;
}

void *wb_source_thread(void *arg)
{
    wb_pipeline *p = arg;
    loop o = {.p = p, .source = wb_pipeline_source(p), .ctx = p->config->source_ctx, .first_try = wb_mono_us()};
    while (!quitting(&o)) {
        wb_error err = {0};
        wb_code rc = session(&o, &err);
        if (rc == WB_OK) continue;
        if (rc == WB_END) {
            if (wait_at_end(&o)) continue;
            break;
        }
        if (err.code == WB_OK) wb_fail(&err, rc, WB_RECONNECT, "the source failed without a word");
        wb_error_where(&err, "source");
        if (!go_on(&o, &err)) break;
    }
    atomic_store(&p->source_idle, true);
    while (!atomic_load(&p->finish)) wait_for_work(&o, 100);
    wb_error err = {0};
    if (p->source_open) (void)!settle(&o, &err);
    o.source->close(o.ctx);
    wb_kept_fini(&o.settled);
    return NULL;
}

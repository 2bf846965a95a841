/* lane.c: one target's queue of tickets: issued by the source thread, written by the lane's thread, answered by
 * anybody. The checkpoint is the stand of the highest ticket below which all are answered. */
#include "base/clock.h"
#include "core/engine.h"

#include <stdio.h>

static wb_entry *at(wb_lane *l, uint64_t t) { return &l->entries[t & (l->cap - 1)]; }

wb_code wb_lane_init(wb_lane *l, wb_pipeline *p, size_t index, wb_error *err)
{
    memset(l, 0, sizeof *l);
    l->p = p;
    l->index = index;
    l->bit = (uint64_t)1 << index;
    l->config = &p->config->targets[index];
    pthread_mutex_init(&l->mutex, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->cond, &attr);
    pthread_condattr_destroy(&attr);
    char part[80], where[1024] = "";
    snprintf(part, sizeof part, "target %s", l->config->name);
    wb_code rc = wb_host_init(&l->host, p, l, part, err);
    if (rc != WB_OK) return rc;
    snprintf(l->known.name, sizeof l->known.name, "%s", l->config->name);
    snprintf(l->known.type, sizeof l->known.type, "%s", l->config->plugin->head.name);
    if (l->config->plugin->destination) (void)l->config->plugin->destination(l->config->ctx, where, sizeof where);
    l->known.destination = strdup(where);
    l->cap = 64;
    l->entries = calloc(l->cap, sizeof *l->entries);
    if (!l->entries || !l->known.destination) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    return WB_OK;
}

/* What an entry holds of a batch; call without the mutex where it can be avoided. */
static void let_go(wb_batch *b, wb_change *own)
{
    free(own);
    wb_batch_unref(b);
}

static void drop_entries(wb_lane *l)
{
    for (uint64_t t = l->head; t < l->tail; t++) {
        wb_entry *e = at(l, t);
        let_go(e->batch, e->own);
        e->batch = NULL;
        e->own = NULL;
    }
    l->head = l->next = l->tail;
}

void wb_lane_drop(wb_lane *l) { drop_entries(l); }

void wb_lane_fini(wb_lane *l)
{
    if (!l->p) return;
    drop_entries(l);
    for (size_t i = 0; i < l->cap && l->entries; i++) wb_kept_fini(&l->entries[i].stand);
    free(l->entries);
    free(l->facts);
    wb_kept_fini(&l->issued);
    wb_target_state_fini(&l->known);
    wb_host_fini(&l->host);
    pthread_cond_destroy(&l->cond);
    pthread_mutex_destroy(&l->mutex);
    l->p = NULL;
}

/* ---------------------------------------------------------------- issuing (source thread) */

/* A bigger ring. Entries move, so the lane's thread works on a copy of the view (lane_thread.c). */
static bool grow(wb_lane *l)
{
    size_t cap = l->cap * 2;
    wb_entry *bigger = calloc(cap, sizeof *bigger);
    if (!bigger) return false;
    for (uint64_t t = l->head; t < l->tail; t++) bigger[t & (cap - 1)] = *at(l, t);
    for (uint64_t t = l->tail; t < l->head + l->cap; t++) wb_kept_fini(&at(l, t)->stand); /* the unused ones */
    free(l->entries);
    l->entries = bigger;
    l->cap = cap;
    return true;
}

static bool checkpoint_to(wb_lane *l, wb_stand s, bool has_changes)
{
    bool kept = wb_keep(&l->known.checkpoint, s);
    if (kept && has_changes) kept = wb_keep(&l->known.last, s);
    if (kept && s.pos.len) l->known.resetting = false; /* the snapshot is whole */
    l->dirty = true;
    return kept;
}

static bool issue_locked(wb_lane *l, const wb_view *view, wb_batch *b, wb_change *own, bool has_changes,
                         int64_t commit_us)
{
    if (!has_changes) {
        if (l->head == l->tail) return checkpoint_to(l, view->stand, false);
        wb_entry *last = at(l, l->tail - 1);
        if (!last->has_changes) return wb_keep(&last->stand, view->stand);
    }
    if (l->tail - l->head == l->cap && !grow(l)) return false;
    wb_entry *e = at(l, l->tail);
    if (!wb_keep(&e->stand, view->stand)) return false;
    e->view = *view;
    e->own = own;
    e->has_changes = has_changes;
    e->commit_us = commit_us;
    e->state = has_changes ? WB_ENTRY_ISSUED : WB_ENTRY_DONE;
    e->batch = has_changes ? b : NULL;
    if (has_changes) wb_batch_ref(b);
    if (l->head == l->tail) l->answered_us = wb_mono_us();
    l->tail++;
    if (has_changes) pthread_cond_signal(&l->cond);
    return true;
}

bool wb_lane_issue(wb_lane *l, const wb_view *view, wb_batch *b, wb_change *own, bool has_changes, int64_t commit_us)
{
    pthread_mutex_lock(&l->mutex);
    bool taken = l->state == WB_LANE_RUNNING && !l->broken;
    bool fine = !taken || issue_locked(l, view, b, own, has_changes, commit_us);
    pthread_mutex_unlock(&l->mutex);
    if (!taken || !fine || !has_changes) free(own);
    return fine;
}

/* ---------------------------------------------------------------- answers (any thread) */

void wb_lane_free_ticket(wb_lane *l, wb_ticket t)
{
    wb_batch *b = NULL;
    wb_change *own = NULL;
    pthread_mutex_lock(&l->mutex);
    if (t >= l->head && t < l->tail) {
        wb_entry *e = at(l, t);
        b = e->batch;
        own = e->own;
        e->batch = NULL;
        e->own = NULL;
    }
    pthread_mutex_unlock(&l->mutex);
    let_go(b, own);
}

void wb_lane_done(wb_lane *l, wb_ticket t, const wb_error *err)
{
    wb_lane_free_ticket(l, t);
    pthread_mutex_lock(&l->mutex);
    if (t < l->head || t >= l->tail) { /* an answer from before the target was reopened */
        pthread_mutex_unlock(&l->mutex);
        return;
    }
    if (err && err->code != WB_OK) {
        if (!l->broken) l->error = *err;
        l->broken = true;
        pthread_cond_signal(&l->cond);
    } else if (!l->broken) {
        at(l, t)->state = WB_ENTRY_DONE;
        while (l->head < l->tail && at(l, l->head)->state == WB_ENTRY_DONE) {
            wb_entry *e = at(l, l->head);
            bool said = e->has_changes && !(e->view.flags & WB_VIEW_OPEN); /* by the target, of itself */
            if (!checkpoint_to(l, wb_kept_stand(&e->stand), said)) break;
            if (e->commit_us) l->done_commit_us = e->commit_us;
            l->head++;
        }
        if (l->next < l->head) l->next = l->head;
        l->answered++;
        l->answered_us = wb_mono_us();
        l->slow_said = false;
    }
    pthread_mutex_unlock(&l->mutex);
}

bool wb_lane_idle(wb_lane *l)
{
    pthread_mutex_lock(&l->mutex);
    bool idle = l->head == l->tail && !l->broken;
    pthread_mutex_unlock(&l->mutex);
    return idle;
}

bool wb_lane_has_all(wb_lane *l)
{
    pthread_mutex_lock(&l->mutex);
    bool all = l->state == WB_LANE_FAILED || (l->state == WB_LANE_RUNNING && l->head == l->tail && !l->broken);
    pthread_mutex_unlock(&l->mutex);
    return all;
}

wb_stand wb_lane_checkpoint(wb_lane *l, wb_kept *copy)
{
    pthread_mutex_lock(&l->mutex);
    bool kept = wb_keep(copy, wb_kept_stand(&l->known.checkpoint));
    pthread_mutex_unlock(&l->mutex);
    return kept ? wb_kept_stand(copy) : (wb_stand){{NULL, 0}, 0};
}

bool wb_lane_news(wb_lane *l, wb_target_state *copy)
{
    pthread_mutex_lock(&l->mutex);
    bool news = l->dirty && wb_keep(&copy->checkpoint, wb_kept_stand(&l->known.checkpoint)) &&
                wb_keep(&copy->last, wb_kept_stand(&l->known.last)) &&
                wb_keep(&copy->before, wb_kept_stand(&l->known.before));
    if (news) {
        memcpy(copy->name, l->known.name, sizeof copy->name);
        memcpy(copy->type, l->known.type, sizeof copy->type);
        copy->destination = l->known.destination; /* never changes; borrowed */
        copy->resetting = l->known.resetting;
        l->dirty = false;
    }
    pthread_mutex_unlock(&l->mutex);
    return news;
}

wb_code wb_lane_save(wb_lane *l, wb_error *err)
{
    const wb_target_state *one = &l->known;
    return wb_state_save_targets(l->p->state, &one, 1, err);
}

/* What was asked of the target before is void from here on: state.db must say so before the target can. */
wb_code wb_lane_begin_reset(wb_lane *l, wb_error *err)
{
    static const wb_stand nothing = {{NULL, 0}, 0};
    pthread_mutex_lock(&l->mutex);
    bool kept = true;
    if (!l->known.resetting) kept = wb_keep(&l->known.before, wb_kept_stand(&l->known.last));
    l->known.resetting = true;
    kept = kept && wb_keep(&l->known.checkpoint, nothing) && wb_keep(&l->known.last, nothing);
    l->dirty = false;
    wb_code rc = kept ? wb_lane_save(l, err) : wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    pthread_mutex_unlock(&l->mutex);
    return rc;
}

void wb_lane_watch(wb_lane *l, int64_t now)
{
    const wb_engine_options *o = &l->p->config->engine;
    const wb_target *t = l->config->plugin;
    int64_t busy = atomic_load(&l->busy_since);
    bool stuck = busy && now - busy > o->patience_ms * 1000 + 1000000;
    pthread_mutex_lock(&l->mutex);
    int64_t silent = l->state == WB_LANE_RUNNING && l->head < l->next ? now - l->answered_us : 0;
    bool say = silent > o->answer_timeout_ms * 1000 && !l->slow_said;
    if (say) l->slow_said = true;
    if (silent > o->answer_timeout_ms * 10000 && !l->broken) {
        wb_error_reset(&l->error);
        wb_fail(&l->error, WB_E_NET, WB_RECONNECT, "no answer for %lld s", (long long)(silent / 1000000));
        l->broken = stuck = true;
        pthread_cond_signal(&l->cond);
    }
    pthread_mutex_unlock(&l->mutex);
    if (say)
        wb_log(&l->p->logger, WB_LOG_WARN, l->host.part,
               "has not confirmed what it took %lld s ago; its checkpoint waits", (long long)(silent / 1000000));
    if (stuck && t->interrupt) t->interrupt(l->config->ctx);
}

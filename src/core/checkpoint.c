/* checkpoint.c: the only place where "safe at every target" becomes "the server may forget".
 * The order is the promise G-01: targets durable → state.db durable → settle. */
#include "base/fault.h"
#include "core/engine.h"

/* The latest position inside every target's saved checkpoint; none while one has none. */
static bool meet_all(wb_pipeline *p, wb_target_state *const *saved, wb_kept *out)
{
    const wb_source *s = wb_pipeline_source(p);
    uint8_t buffer[WB_POS_MAX];
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_stand c = wb_kept_stand(&saved[i]->checkpoint);
        if (!c.pos.len) return false;
        size_t n = c.pos.len;
        if (i == 0) {
            if (n > sizeof buffer) return false;
            memcpy(buffer, c.pos.ptr, n);
        } else {
            wb_pos before = wb_kept_stand(out).pos;
            s->meet(before, c.pos, buffer, sizeof buffer, &n);
        }
        if (!wb_keep(out, (wb_stand){{buffer, n}, 0})) return false;
    }
    return p->nlanes > 0;
}

wb_code wb_checkpoint(wb_pipeline *p, wb_error *err)
{
    wb_target_state *news[64];
    size_t n = 0;
    wb_code rc;
    for (size_t i = 0; i < p->nlanes; i++)
        if (wb_lane_news(&p->lanes[i], &p->saving[i])) news[n++] = &p->saving[i];
    rc = n ? wb_state_save_targets(p->state, (const wb_target_state *const *)news, n, err)
           : wb_state_check(p->state, err);
    if (rc != WB_OK) {
        for (size_t i = 0; i < p->nlanes; i++) {
            pthread_mutex_lock(&p->lanes[i].mutex);
            p->lanes[i].dirty = true;
            pthread_mutex_unlock(&p->lanes[i].mutex);
        }
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        wb_target_state *t = news[i];
        wb_target_state *s = &p->saved[t - p->saving];
        if (!wb_keep(&s->checkpoint, wb_kept_stand(&t->checkpoint))) return WB_OK;
    }
    if (!n) return WB_OK;
    wb_target_state *all[64];
    for (size_t i = 0; i < p->nlanes; i++) all[i] = &p->saved[i];
    wb_kept both = {0};
    if (meet_all(p, all, &both)) {
        (void)WB_FAULT("checkpoint.before_settle");
        pthread_mutex_lock(&p->mutex);
        (void)!wb_keep(&p->settled, wb_kept_stand(&both));
        pthread_mutex_unlock(&p->mutex);
        wb_host_wake(&p->host);
    }
    wb_kept_fini(&both);
    return WB_OK;
}

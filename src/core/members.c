/* members.c: the targets that the file names against those that the state knows, before anything moves. */
#include <stdio.h>

#include "core/engine.h"

typedef struct roll { /* what the state knows */
    wb_pipeline *p;
    bool known[64];
    bool has_run;          /* some target has been given changes */
    char strangers[8][48]; /* names that the file does not have  */
    size_t nstrangers;
    const char *const *forget;
    wb_error *err;
    wb_code rc;
} roll;

static bool listed(const char *const *names, const char *name)
{
    for (size_t i = 0; names && names[i]; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static wb_lane *lane_named(wb_pipeline *p, const char *name)
{
    for (size_t i = 0; i < p->nlanes; i++)
        if (strcmp(p->lanes[i].config->name, name) == 0) return &p->lanes[i];
    return NULL;
}

/* ---------------------------------------------------------------- what keeps a start from happening */

static wb_code fail_moved(const wb_target_state *was, const char *type, const char *destination, wb_error *err)
{
    wb_fail(err, WB_E_STATE, WB_NEVER, "target %s was %s %s and is now %s %s.", was->name, was->type, was->destination,
            type, destination);
    wb_hint(err, "Give the new destination another name, or say `run --forget %s` to treat it as a new target.",
            was->name);
    return WB_E_STATE;
}

static wb_code fail_stranger(const char *name, wb_error *err)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "the state knows the target %s, the pipeline file does not name it.", name);
    wb_hint(err,
            "Put it back, or say `run --forget %s`: its checkpoint is dropped and the server may discard the "
            "log that it lacks. A renamed target is a new one.",
            name);
    return WB_E_CONFIG;
}

static wb_code fail_new(const char *name, wb_error *err)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "target %s is new to this pipeline, which has run before.", name);
    wb_hint(err, "Say how it starts: `start: snapshot` (copy the tables first) or `start: now`.");
    return WB_E_CONFIG;
}

static bool has_checkpoint(const wb_target_state *t) { return t->checkpoint.len || t->last.len || t->last.ordinal; }

/* ---------------------------------------------------------------- `check`: the same, without a lane, all of it */

typedef struct looking {
    const wb_config *c;
    wb_report *r;
    bool known[64];
    bool has_run;
} looking;

static void look_at(void *arg, const wb_target_state *t)
{
    looking *k = arg;
    wb_error err = {0};
    char where[1024] = "";
    const wb_target_config *is = NULL;
    for (size_t i = 0; i < k->c->ntargets; i++) {
        if (strcmp(k->c->targets[i].name, t->name) != 0) continue;
        is = &k->c->targets[i];
        k->known[i] = true;
    }
    if (has_checkpoint(t)) k->has_run = true;
    if (is && is->plugin->destination) (void)is->plugin->destination(is->ctx, where, sizeof where);
    if (!is)
        (void)fail_stranger(t->name, &err);
    else if (strcmp(is->plugin->head.name, t->type) != 0 || strcmp(where, t->destination) != 0)
        (void)fail_moved(t, is->plugin->head.name, where, &err);
    if (err.code) wb_report_error(k->r, &err);
}

wb_code wb_members_check(wb_pipeline *p, wb_report *r, wb_error *err)
{
    looking k = {.c = p->config, .r = r};
    wb_code rc = wb_state_load_targets(p->state, look_at, &k, err);
    for (size_t i = 0; rc == WB_OK && k.has_run && i < k.c->ntargets; i++) {
        wb_error mine = {0};
        if (k.known[i] || k.c->targets[i].start != WB_START_UNSET) continue;
        (void)fail_new(k.c->targets[i].name, &mine);
        wb_report_error(r, &mine);
    }
    return rc;
}

/* ---------------------------------------------------------------- `run` */

static void meet_one(void *arg, const wb_target_state *t)
{
    roll *r = arg;
    if (r->rc != WB_OK) return;
    if (has_checkpoint(t)) r->has_run = true;
    wb_lane *l = lane_named(r->p, t->name);
    if (!l) {
        if (!listed(r->forget, t->name) && r->nstrangers < WB_COUNT(r->strangers))
            snprintf(r->strangers[r->nstrangers++], sizeof r->strangers[0], "%s", t->name);
        return;
    }
    if (strcmp(l->known.type, t->type) != 0 || strcmp(l->known.destination, t->destination) != 0) {
        if (!listed(r->forget, t->name)) r->rc = fail_moved(t, l->known.type, l->known.destination, r->err);
        return; /* forgotten below, then fresh */
    }
    if (listed(r->forget, t->name)) return;
    bool kept = wb_keep(&l->known.checkpoint, wb_kept_stand(&t->checkpoint)) &&
                wb_keep(&l->known.last, wb_kept_stand(&t->last)) &&
                wb_keep(&l->known.before, wb_kept_stand(&t->before)) &&
                wb_keep(&r->p->saved[l->index].checkpoint, wb_kept_stand(&t->checkpoint));
    if (!kept) r->rc = wb_fail(r->err, WB_E_NOMEM, WB_NEVER, "out of memory");
    l->known.resetting = t->resetting;
    r->known[l->index] = true;
}

static wb_code read_roll(wb_pipeline *p, roll *r, const wb_run_options *o, wb_error *err)
{
    *r = (roll){.p = p, .forget = o ? o->forget : NULL, .err = err};
    wb_code rc = wb_state_load_targets(p->state, meet_one, r, err);
    if (rc == WB_OK) rc = r->rc;
    if (rc == WB_OK && r->nstrangers) rc = fail_stranger(r->strangers[0], err);
    for (size_t i = 0; rc == WB_OK && r->forget && r->forget[i]; i++)
        rc = wb_state_forget_target(p->state, r->forget[i], err);
    return rc;
}

/* `start: now`: from where the source's log ends at this moment. */
static wb_code start_now(wb_pipeline *p, wb_lane *l, wb_error *err)
{
    const wb_source *s = wb_pipeline_source(p);
    uint8_t pos[WB_POS_MAX];
    size_t n = 0;
    wb_code rc = s->tip(p->config->source_ctx, &p->host, pos, sizeof pos, &n, err);
    if (rc == WB_OK && !wb_keep(&l->known.checkpoint, (wb_stand){{pos, n}, 0}))
        rc = wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    return rc;
}

static wb_code admit(wb_pipeline *p, const roll *r, wb_lane *l, const wb_run_options *o, wb_error *err)
{
    bool fresh = !r->known[l->index];
    bool again = o && listed(o->resnapshot, l->config->name);
    bool accept = o && listed(o->accept, l->config->name);
    wb_start start = l->config->start;
    wb_code rc = WB_OK;
    if (fresh && r->has_run && start == WB_START_UNSET && !again && !accept) return fail_new(l->config->name, err);
    if (again) rc = wb_lane_from_nothing(l, err);
    if (rc == WB_OK && fresh && start == WB_START_NOW) rc = start_now(p, l, err);
    if (rc == WB_OK) rc = wb_lane_open(l, fresh && !again, accept || again, err);
    return rc;
}

wb_code wb_members_open(wb_pipeline *p, const wb_run_options *o, wb_error *err)
{
    roll r;
    wb_code rc = read_roll(p, &r, o, err);
    for (size_t i = 0; rc == WB_OK && o && o->resnapshot && o->resnapshot[i]; i++)
        if (!lane_named(p, o->resnapshot[i]))
            rc = wb_fail(err, WB_E_CONFIG, WB_NEVER, "--resnapshot %s: no target of that name", o->resnapshot[i]);
    for (size_t i = 0; rc == WB_OK && o && o->accept && o->accept[i]; i++)
        if (!lane_named(p, o->accept[i]))
            rc = wb_fail(err, WB_E_CONFIG, WB_NEVER, "--accept %s: no target of that name", o->accept[i]);
    if (rc != WB_OK) {
        p->blame = 'c';
        return rc;
    }
    for (size_t i = 0; rc == WB_OK && i < p->nlanes; i++) {
        p->blame = 't';
        rc = admit(p, &r, &p->lanes[i], o, err);
    }
    if (rc == WB_OK) p->blame = 0;
    return rc;
}

/* verify.c: `walbrook verify`: what the targets hold against a new snapshot of the source. The snapshot goes through
 * the same transforms and the same target into a file of its own, and the target compares the two. While the pipeline
 * runs the two are of different moments: then only what differs in the same way each time, with the targets' catching
 * up between, is a difference, and it is looked again until no more falls away. Main thread; a second pipeline, without
 * state, makes the copies. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/engine.h"

enum { CATCH_UP_US = 60000000, LOOK_EVERY_US = 200000, SEEN_MAX = 1000000, LOOKS_MAX = 5 };

typedef struct verifying {
    wb_pipeline *p;
    void (*each)(void *arg, const wb_difference *d);
    void *arg;
    const char *target;
    bool collect;         /* remember what differs; else tell it */
    int looks;            /* over before this one */
    uint64_t *seen, *now; /* what differed in each look before; in this one too. Sorted; with room for SEEN_MAX */
    size_t nseen, nnow, cap;
    bool too_many;
} verifying;

/* ---------------------------------------------------------------- differences */

static uint64_t hash_of(const verifying *v, const wb_difference *d)
{
    const char *const texts[] = {v->target, d->schema, d->table, d->key, d->detail};
    uint64_t h = WB_FNV1A + (uint64_t)d->what;
    for (size_t i = 0; i < WB_COUNT(texts); i++) h = wb_fnv1a_text(h, texts[i]);
    return h;
}

static bool remember(verifying *v, uint64_t h)
{
    if (v->nnow == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 1024;
        uint64_t *more = cap <= SEEN_MAX * 2 ? realloc(v->now, cap * sizeof *more) : NULL;
        if (!more) return false;
        v->now = more;
        v->cap = cap;
    }
    v->now[v->nnow++] = h;
    return true;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool was_seen(const verifying *v, uint64_t h)
{
    return v->nseen && bsearch(&h, v->seen, v->nseen, sizeof h, by_value);
}

static void on_difference(void *arg, const wb_difference *found)
{
    verifying *v = arg;
    wb_difference d = *found;
    d.target = v->target;
    bool row = d.what != WB_SAME_SO_FAR;
    uint64_t h = hash_of(v, &d);
    if (row && v->looks && !v->too_many && !was_seen(v, h)) return;
    if (!v->collect)
        v->each(v->arg, &d);
    else if (row && !remember(v, h))
        v->too_many = true;
}

/* What this look left becomes what was seen before. Is it as much as there was? */
static bool settle(verifying *v)
{
    bool same = v->too_many || !v->nnow || (v->looks && v->nnow == v->nseen);
    free(v->seen);
    v->seen = v->now;
    v->nseen = v->nnow;
    v->now = NULL;
    v->nnow = v->cap = 0;
    if (v->nseen) qsort(v->seen, v->nseen, sizeof *v->seen, by_value);
    v->looks++;
    return same || v->looks == LOOKS_MAX;
}

/* ---------------------------------------------------------------- the copy */

static const wb_option *option_of(const wb_plugin *p, const char *name)
{
    for (const wb_option *o = p->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

static void copy_path(const wb_pipeline *p, size_t target, const char *end, char *out, size_t cap)
{
    snprintf(out, cap, "%s/verify.%ld.%zu.db%s", p->config->state_dir, (long)getpid(), target, end);
}

static void remove_copies(const wb_pipeline *p)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[4200];
    for (size_t i = 0; i < p->config->ntargets; i++)
        for (size_t k = 0; k < WB_COUNT(ends); k++) {
            copy_path(p, i, ends[k], path, sizeof path);
            (void)unlink(path);
        }
}

/* What a killed one left. */
static void remove_strays(const wb_pipeline *p)
{
    DIR *dir = opendir(p->config->state_dir);
    if (!dir) return;
    for (const struct dirent *e; (e = readdir(dir));) {
        char path[4200], *end;
        if (strncmp(e->d_name, "verify.", 7) != 0) continue;
        long pid = strtol(e->d_name + 7, &end, 10);
        if (pid <= 0 || *end != '.' || kill((pid_t)pid, 0) == 0 || errno != ESRCH) continue;
        snprintf(path, sizeof path, "%s/%s", p->config->state_dir, e->d_name);
        (void)unlink(path);
    }
    closedir(dir);
}

/* The file's targets that compare, each writing to its copy; paths[i]: of target i of the file, "" when it does not. */
static wb_code redirect(wb_pipeline *p, wb_config *c, char (*paths)[4200], wb_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < c->ntargets; i++) {
        wb_target_config t = c->targets[i];
        wb_error why = {0};
        paths[i][0] = 0;
        const wb_option *o = t.plugin->copy_option ? option_of(&t.plugin->head, t.plugin->copy_option) : NULL;
        if (!t.plugin->compare || !o || t.plugin->compare(t.ctx, &p->host, NULL, NULL, &why) != WB_OK) {
            wb_log(&p->logger, WB_LOG_INFO, t.name, "%s", why.code ? why.message : "not compared: it keeps no tables");
            continue;
        }
        copy_path(p, i, "", paths[i], sizeof paths[i]);
        const char *path = paths[i];
        memcpy((char *)t.ctx + o->offset, &path, sizeof path);
        c->targets[n++] = t;
    }
    c->ntargets = n;
    if (n) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "none of the targets can be compared with the source");
    wb_hint(err, "Mirrors can: targets of type sqlite with mode: mirror.");
    return WB_E_CONFIG;
}

static wb_code make_copies(wb_pipeline *p, char (*paths)[4200], wb_error *err)
{
    wb_config *c = NULL;
    remove_copies(p);
    wb_code rc = wb_config_load(p->config->file, &c, err);
    if (rc != WB_OK) return rc;
    wb_pipeline *copier = wb_pipeline_of(c, err);
    if (!copier) return err->code;
    copier->stateless = true;
    copier->logger = p->logger;
    copier->progress = p->progress;
    copier->progress_arg = p->progress_arg;
    rc = wb_config_snapshot_only(c, err);
    if (rc == WB_OK) rc = redirect(p, c, paths, err);
    if (rc == WB_OK) rc = wb_pipeline_run(copier, NULL, err);
    if (rc != WB_OK) p->blame = wb_pipeline_blame(copier) ? wb_pipeline_blame(copier) : 'c';
    wb_pipeline_free(copier);
    return rc;
}

/* ---------------------------------------------------------------- comparing */

static wb_code compare_all(verifying *v, char (*paths)[4200], wb_error *err)
{
    const wb_differences out = {on_difference, v};
    wb_code rc = WB_OK;
    for (size_t i = 0; rc == WB_OK && i < v->p->config->ntargets; i++) {
        const wb_target_config *t = &v->p->config->targets[i];
        if (!paths[i][0]) continue;
        v->target = t->name;
        rc = t->plugin->compare(t->ctx, &v->p->host, paths[i], &out, err);
        if (rc == WB_OK) continue;
        wb_error_where(err, "target %s", t->name);
        v->p->blame = 't';
    }
    return rc;
}

static wb_code look(verifying *v, char (*paths)[4200], wb_error *err)
{
    wb_code rc = make_copies(v->p, paths, err);
    if (rc == WB_OK) rc = compare_all(v, paths, err);
    remove_copies(v->p);
    return rc;
}

typedef struct reached {
    const wb_source *s;
    wb_pos tip;
    bool all;
} reached;

static void judge_one(void *arg, const wb_target_state *t)
{
    reached *r = arg;
    wb_stand at = wb_kept_stand(&t->checkpoint);
    int order = at.pos.len && r->tip.len ? r->s->compare(at.pos, r->tip) : -1;
    if (order != 0 && order != 1) r->all = false;
}

/* Have the checkpoints of all targets come to the tip of a moment ago? */
static wb_code have_reached(wb_pipeline *p, wb_pos tip, bool *yes, wb_error *err)
{
    wb_state *state = NULL;
    const wb_config *c = p->config;
    reached r = {c->source, tip, true};
    wb_code rc = wb_state_open(c->state_dir, c->engine.name, c->source->head.name, WB_STATE_LOOK, &state, err);
    if (rc == WB_AGAIN) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "the pipeline has not run yet: there is nothing to compare");
        return WB_E_STATE;
    }
    if (rc == WB_OK) rc = wb_state_load_targets(state, judge_one, &r, err);
    wb_state_close(state);
    *yes = r.all;
    return rc;
}

/* While it runs: until the targets have what is committed now. *yes false: they did not get there, or it does not run.
 */
static wb_code catch_up(wb_pipeline *p, bool running, bool *yes, wb_error *err)
{
    uint8_t pos[WB_POS_MAX];
    size_t n = 0;
    const wb_source *s = wb_pipeline_source(p);
    if (!s->tip || !s->compare)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "this source cannot say where its log ends");
    if (!running) { /* nothing will move; only: is there a state at all? */
        *yes = false;
        return have_reached(p, (wb_pos){NULL, 0}, &(bool){false}, err);
    }
    wb_code rc = s->tip(p->config->source_ctx, &p->host, pos, sizeof pos, &n, err);
    if (rc != WB_OK) p->blame = 's';
    for (int64_t until = wb_mono_us() + CATCH_UP_US; rc == WB_OK;) {
        rc = have_reached(p, (wb_pos){pos, n}, yes, err);
        if (rc != WB_OK || *yes || wb_mono_us() > until) break;
        wb_sleep_us(LOOK_EVERY_US);
    }
    return rc;
}

wb_code wb_pipeline_verify(wb_pipeline *p, void (*each)(void *arg, const wb_difference *d), void *arg, bool *behind,
                           wb_error *err)
{
    verifying v = {.p = p, .each = each, .arg = arg};
    bool there = false, running = wb_state_running(p->config->state_dir) != 0;
    char(*paths)[4200] = calloc(64, sizeof *paths);
    if (!paths) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    p->blame = 'c';
    remove_strays(p);
    wb_code rc = catch_up(p, running, &there, err);
    /* A row that changes all the time can differ in the same way twice. */
    for (bool settled = !running; rc == WB_OK && !settled;) {
        v.collect = true;
        rc = look(&v, paths, err);
        v.collect = false;
        if (rc == WB_OK) rc = catch_up(p, running, &there, err);
        settled = settle(&v);
    }
    *behind = !there;
    if (rc == WB_OK) rc = look(&v, paths, err);
    free(v.seen);
    free(v.now);
    free(paths);
    return rc;
}

/* watch.c: asks the server now and then how it is (held log, where its log ends), in a thread of its own. */
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "core/engine.h"

typedef struct collect {
    wb_out json;
    char position[256];
    int64_t held;
} collect;

static void name_of(collect *c, const char *name)
{
    if (c->json.len) wb_out_byte(&c->json, ',');
    wb_json_text(&c->json, name);
    wb_out_byte(&c->json, ':');
}

static void take_text(void *arg, const char *name, const char *value)
{
    collect *c = arg;
    name_of(c, name);
    if (value)
        wb_json_text(&c->json, value);
    else
        wb_out_z(&c->json, "null");
    if (strcmp(name, "position") == 0 && value) snprintf(c->position, sizeof c->position, "%s", value);
}

static void take_number(void *arg, const char *name, int64_t value)
{
    collect *c = arg;
    name_of(c, name);
    wb_out_i64(&c->json, value);
    if (strcmp(name, "held_bytes") == 0) c->held = value;
}

char *wb_ask_server(wb_pipeline *p, wb_host *h, wb_pos settled, wb_kept *end, int64_t *held, wb_error *err)
{
    const wb_source *s = wb_pipeline_source(p);
    collect c = {.held = -1};
    wb_facts facts = {take_text, take_number, &c};
    wb_code rc = s->status ? s->status(p->config->source_ctx, h, settled, &facts, err) : WB_OK;
    if (rc == WB_OK && end && c.position[0] && s->parse) {
        uint8_t pos[WB_POS_MAX];
        size_t n = 0;
        wb_error ignored = {0};
        if (s->parse(wb_str_of(c.position), pos, sizeof pos, &n, &ignored) == WB_OK)
            (void)!wb_keep(end, (wb_stand){{pos, n}, 0});
    }
    if (held) *held = c.held;
    wb_out_byte(&c.json, 0);
    if (rc == WB_OK && !c.json.failed) return c.json.p;
    wb_out_fini(&c.json);
    return NULL;
}

char *wb_ask_target(const wb_target_config *t, wb_host *h, wb_error *err)
{
    collect c = {.held = -1};
    wb_facts facts = {take_text, take_number, &c};
    wb_code rc = t->plugin->status ? t->plugin->status(t->ctx, h, &facts, err) : WB_OK;
    wb_out_byte(&c.json, 0);
    if (rc == WB_OK && !c.json.failed) return c.json.p;
    wb_out_fini(&c.json);
    return NULL;
}

static void look_at_targets(wb_pipeline *p)
{
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        wb_error ignored = {0};
        char *facts = wb_ask_target(l->config, &l->host, &ignored);
        if (!facts) continue;
        pthread_mutex_lock(&l->mutex);
        free(l->facts);
        l->facts = facts;
        pthread_mutex_unlock(&l->mutex);
    }
}

static void look_once(wb_pipeline *p, wb_host *h)
{
    wb_kept settled = {0}, end = {0};
    int64_t held = -1;
    wb_error err = {0};
    pthread_mutex_lock(&p->mutex);
    (void)!wb_keep(&settled, wb_kept_stand(&p->settled));
    pthread_mutex_unlock(&p->mutex);
    char *facts = wb_ask_server(p, h, wb_kept_stand(&settled).pos, &end, &held, &err);
    pthread_mutex_lock(&p->mutex);
    if (facts) {
        free(p->facts);
        p->facts = facts;
        p->held_bytes = held;
        if (end.len) (void)!wb_keep(&p->server_end, wb_kept_stand(&end));
    }
    pthread_mutex_unlock(&p->mutex);
    wb_kept_fini(&settled);
    wb_kept_fini(&end);
}

static void judge_hold(wb_pipeline *p, bool *said)
{
    const wb_engine_options *o = &p->config->engine;
    pthread_mutex_lock(&p->mutex);
    int64_t held = p->held_bytes;
    pthread_mutex_unlock(&p->mutex);
    if (o->hold <= 0 || held < o->hold) {
        *said = false;
        return;
    }
    if (o->hold_action == 1) {
        wb_log(&p->logger, WB_LOG_ERROR, "engine",
               "the server keeps %lld bytes of its log for this pipeline, `hold` allows %lld: stopping",
               (long long)held, (long long)o->hold);
        pthread_mutex_lock(&p->mutex);
        if (!p->source_failed) {
            p->source_failed = true;
            wb_fail(&p->source_error, WB_E_LIMIT, WB_NEVER,
                    "the server keeps %lld bytes of its log for this pipeline, more than `hold` (%lld)",
                    (long long)held, (long long)o->hold);
            wb_hint(&p->source_error,
                    "See `walbrook status` for the target that is behind; the log is kept until it catches up "
                    "or the pipeline is dropped.");
        }
        pthread_cond_broadcast(&p->cond);
        pthread_mutex_unlock(&p->mutex);
    } else if (!*said) {
        wb_log(&p->logger, WB_LOG_WARN, "engine",
               "the server keeps %lld bytes of its log for this pipeline (`hold` is %lld)", (long long)held,
               (long long)o->hold);
        *said = true;
    }
}

void *wb_watch_thread(void *arg)
{
    wb_pipeline *p = arg;
    bool said = false;
    int64_t next = wb_mono_us() + 2000000;
    for (;;) {
        pthread_mutex_lock(&p->mutex);
        while (!p->watch_quit && wb_mono_us() < next) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += 1;
            pthread_cond_timedwait(&p->watch_cond, &p->mutex, &until);
        }
        bool quit = p->watch_quit;
        pthread_mutex_unlock(&p->mutex);
        if (quit) break;
        look_once(p, &p->watch_host);
        look_at_targets(p);
        judge_hold(p, &said);
        next = wb_mono_us() + 10000000;
    }
    return NULL;
}

/* api.c: walbrook.h: a pipeline as a program holds it. */
#include <stdio.h>

#include "core/engine.h"

const char *wb_version(void) { return WB_VERSION; }

wb_pipeline *wb_pipeline_of(wb_config *c, wb_error *err)
{
    wb_pipeline *p = calloc(1, sizeof *p);
    pthread_condattr_t attr;
    if (!p || wb_host_init(&p->host, p, NULL, "source", err) != WB_OK) {
        wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
        wb_config_free(c);
        free(p);
        return NULL;
    }
    p->config = c;
    p->held_bytes = -1;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->cond, &attr);
    pthread_cond_init(&p->watch_cond, &attr);
    pthread_condattr_destroy(&attr);
    return p;
}

wb_pipeline *wb_pipeline_load(const char *path, wb_error *err)
{
    wb_config *c = NULL;
    return wb_config_load(path, &c, err) == WB_OK ? wb_pipeline_of(c, err) : NULL;
}

wb_pipeline *wb_pipeline_parse(const char *yaml, size_t len, const char *dir, bool stateless, wb_error *err)
{
    wb_config *c = NULL;
    if (wb_config_parse(yaml, len, "(text)", dir, &c, err) != WB_OK) return NULL;
    wb_pipeline *p = wb_pipeline_of(c, err);
    if (p) p->stateless = stateless;
    return p;
}

void wb_pipeline_free(wb_pipeline *p)
{
    if (!p) return;
    wb_host_fini(&p->host);
    wb_kept_fini(&p->settled);
    wb_kept_fini(&p->tip);
    wb_kept_fini(&p->server_end);
    free(p->facts);
    pthread_cond_destroy(&p->cond);
    pthread_cond_destroy(&p->watch_cond);
    pthread_mutex_destroy(&p->mutex);
    wb_config_free(p->config);
    wb_config_free(p->reloaded);
    free(p);
}

const char *wb_pipeline_name(const wb_pipeline *p) { return p->config->engine.name; }

void wb_pipeline_on_log(wb_pipeline *p, wb_log_level level,
                        void (*fn)(void *arg, wb_log_level level, const char *part, const char *text), void *arg)
{
    p->logger = (wb_logger){fn, arg, level};
}

void wb_pipeline_on_progress(wb_pipeline *p, void (*fn)(void *arg, const char *table, int64_t rows, int64_t total),
                             void *arg)
{
    p->progress = fn;
    p->progress_arg = arg;
}

wb_code wb_pipeline_drop(wb_pipeline *p, void (*say)(void *arg, const char *line), void *arg, wb_error *err)
{
    wb_config *c = p->config;
    char line[4200];
    int pid = wb_state_running(c->state_dir);
    if (pid) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "the pipeline is running (pid %d)", pid);
        wb_hint(err, "Stop it first.");
        return WB_E_STATE;
    }
    wb_state *state = NULL;
    wb_code rc = wb_state_open(c->state_dir, c->engine.name, c->source->head.name, WB_STATE_LOOK, &state, err);
    if (rc != WB_OK && rc != WB_AGAIN) return rc;
    bool had = state != NULL;
    p->state = state;
    rc = c->source->drop ? c->source->drop(c->source_ctx, &p->host, say, arg, err) : WB_OK;
    p->state = NULL;
    wb_state_close(state);
    if (rc != WB_OK) {
        wb_error_where(err, "source");
        p->blame = 's';
        return rc;
    }
    rc = wb_state_remove(c->state_dir, err);
    if (rc == WB_OK && had) {
        snprintf(line, sizeof line, "removed the state in %s", c->state_dir);
        say(arg, line);
    }
    return rc;
}

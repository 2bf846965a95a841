/* ask.c: a wish for a pipeline that may be running in another process: checked by its source, written to the state, and
 * the one that runs is told. Called by walbrook.h's wb_pipeline_ask. */
#include <signal.h>

#include "core/engine.h"

wb_code wb_pipeline_ask(wb_pipeline *p, const char *what, const char *table, bool *running, wb_error *err)
{
    const wb_config *c = p->config;
    *running = false;
    if (!c->source->ask)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "the source %s knows no %s", c->source->head.name, what);
    wb_state *state = NULL;
    wb_code rc = wb_state_open(c->state_dir, c->engine.name, c->source->head.name, WB_STATE_ASK, &state, err);
    if (rc == WB_AGAIN) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "this pipeline has not run yet");
        wb_hint(err, "Its first run copies every table that `tables` names.");
        rc = WB_E_STATE;
    }
    p->blame = 'c';
    if (rc != WB_OK) return rc;
    p->state = state;
    rc = c->source->ask(c->source_ctx, &p->host, what, table, err);
    p->state = NULL;
    wb_state_close(state);
    p->blame = rc == WB_OK ? 0 : 's';
    if (rc != WB_OK) return rc;
    int pid = wb_state_running(c->state_dir);
    *running = pid > 0 && kill(pid, SIGHUP) == 0;
    return WB_OK;
}

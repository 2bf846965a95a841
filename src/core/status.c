/* status.c: what `walbrook status` prints: status.json, rewritten each second by a running pipeline, and the same
 * members made from state.db when none runs. One writer for both, so that they cannot differ. */
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "core/engine.h"

void wb_json_text(wb_out *o, const char *z)
{
    wb_out_byte(o, '"');
    for (; *z; z++) {
        unsigned char c = (unsigned char)*z;
        if (c == '"' || c == '\\') {
            wb_out_byte(o, '\\');
            wb_out_byte(o, (char)c);
        } else if (c < 0x20) {
            wb_out_printf(o, "\\u%04x", c);
        } else {
            wb_out_byte(o, (char)c);
        }
    }
    wb_out_byte(o, '"');
}

size_t wb_stand_text(const wb_source *s, wb_stand stand, char *out, size_t cap)
{
    char pos[160] = "nothing";
    if (stand.pos.len && s->render) s->render(stand.pos, pos, sizeof pos);
    int n = stand.ordinal ? snprintf(out, cap, "%s + %llu changes", pos, (unsigned long long)stand.ordinal)
                          : snprintf(out, cap, "%s", pos);
    return n < 0 ? 0 : WB_MIN((size_t)n, cap - 1);
}

/* One target, whatever is known of it. Numbers below 0: null. */
typedef struct row {
    const char *name, *type, *destination, *state;
    wb_stand stand;
    int64_t lag_bytes;
    int64_t lag_ms, unanswered, changes, retries;
    int64_t down_since_us;
    const wb_error *error;
    const char *facts; /* JSON members of the target itself, or NULL */
} row;

static void put_number(wb_out *o, const char *name, int64_t v)
{
    wb_out_printf(o, ",\"%s\":", name);
    if (v < 0)
        wb_out_z(o, "null");
    else
        wb_out_i64(o, v);
}

static void put_row(wb_out *o, const wb_source *s, const row *r)
{
    char text[256];
    wb_out_z(o, "{\"name\":");
    wb_json_text(o, r->name);
    wb_out_z(o, ",\"type\":");
    wb_json_text(o, r->type);
    wb_out_z(o, ",\"destination\":");
    wb_json_text(o, r->destination ? r->destination : "");
    wb_out_z(o, ",\"state\":");
    wb_json_text(o, r->state);
    wb_stand_text(s, (wb_stand){r->stand.pos, 0}, text, sizeof text);
    wb_out_z(o, ",\"position\":");
    if (r->stand.pos.len)
        wb_json_text(o, text);
    else
        wb_out_z(o, "null");
    put_number(o, "ordinal", (int64_t)r->stand.ordinal);
    put_number(o, "lag_bytes", r->lag_bytes);
    wb_out_z(o, ",\"lag_seconds\":");
    if (r->lag_ms < 0)
        wb_out_z(o, "null");
    else
        wb_out_printf(o, "%lld.%03lld", (long long)(r->lag_ms / 1000), (long long)(r->lag_ms % 1000));
    put_number(o, "unanswered", r->unanswered);
    put_number(o, "changes", r->changes);
    put_number(o, "retries", r->retries);
    put_number(o, "down_since_us", r->down_since_us ? r->down_since_us : -1);
    wb_out_z(o, ",\"error\":");
    if (r->error && r->error->code != WB_OK)
        wb_json_text(o, r->error->message);
    else
        wb_out_z(o, "null");
    if (r->facts)
        wb_out_printf(o, ",\"facts\":{%s}", r->facts);
    else
        wb_out_z(o, ",\"facts\":null");
    wb_out_byte(o, '}');
}

static int64_t behind_bytes(const wb_source *s, wb_pos have, wb_pos end)
{
    if (!have.len || !end.len || !s->distance) return -1;
    int64_t d = s->distance(have, end);
    return d;
}

/* ---------------------------------------------------------------- a running pipeline */

static const char *lane_state_name(const wb_lane *l, bool running)
{
    if (!running) return l->state == WB_LANE_FAILED ? "failed" : "stopped";
    switch (atomic_load(&l->state)) {
    case WB_LANE_RUNNING: return "running";
    case WB_LANE_DOWN: return "down";
    case WB_LANE_READY: return "returning";
    default: return "failed";
    }
}

static void put_lane(wb_out *o, wb_pipeline *p, wb_lane *l, wb_pos end, bool running)
{
    wb_kept stand = {0};
    pthread_mutex_lock(&l->mutex);
    (void)!wb_keep(&stand, wb_kept_stand(&l->known.checkpoint));
    bool idle = l->head == l->tail;
    int64_t unanswered = (int64_t)(l->tail - l->head), down = l->down_since, done = l->done_commit_us;
    wb_error error = l->error;
    if (l->state == WB_LANE_RUNNING) wb_error_reset(&error);
    char *facts = l->facts ? strdup(l->facts) : NULL;
    pthread_mutex_unlock(&l->mutex);
    /* Idle: it has all that was read. Else the age of the newest commit that it has. */
    int64_t lag_ms = idle && l->state == WB_LANE_RUNNING ? 0
                     : done                              ? WB_MAX(wb_now_us() - done, (int64_t)0) / 1000
                                                         : -1;
    row r = {.name = l->config->name,
             .type = l->config->plugin->head.name,
             .destination = l->known.destination,
             .state = lane_state_name(l, running),
             .stand = wb_kept_stand(&stand),
             .lag_bytes = behind_bytes(wb_pipeline_source(p), wb_kept_stand(&stand).pos, end),
             .lag_ms = lag_ms,
             .unanswered = unanswered,
             .changes = (int64_t)atomic_load(&l->changes),
             .retries = (int64_t)atomic_load(&l->retries),
             .down_since_us = l->state == WB_LANE_RUNNING ? 0 : down,
             .error = &error,
             .facts = facts};
    put_row(o, wb_pipeline_source(p), &r);
    free(facts);
    wb_kept_fini(&stand);
}

/* Of the copy that is going on, from its speed so far; -1: cannot be said. The pipeline's mutex is held. */
static int64_t seconds_left(const wb_pipeline *p)
{
    int64_t us = wb_mono_us() - p->progress_since_us, done = p->progress_rows - p->progress_first;
    if (p->progress_total <= 0 || done <= 0 || us < 500000) return -1;
    int64_t left = WB_MAX(p->progress_total - p->progress_rows, (int64_t)0);
    return (int64_t)((double)left * (double)us / (double)done / 1e6);
}

static void put_live(wb_out *o, wb_pipeline *p, bool running)
{
    wb_kept end = {0};
    pthread_mutex_lock(&p->mutex);
    (void)!wb_keep(&end, wb_kept_stand(&p->server_end));
    wb_out_printf(
        o,
        "{\"pipeline\":\"%s\",\"running\":%s,\"pid\":%ld,\"version\":\"%s\",\"epoch\":%llu,\"started_us\":%lld,"
        "\"written_us\":%lld,\"memory_bytes\":%lld,\"source\":{\"type\":\"%s\",\"connected\":%s,\"changes\":%llu,"
        "\"transactions\":%llu,\"reconnects\":%llu,\"error\":",
        p->config->engine.name, running ? "true" : "false", (long)getpid(), WB_VERSION, (unsigned long long)p->epoch,
        (long long)p->started_us, (long long)wb_now_us(), (long long)wb_pool_used(p->pool),
        p->config->source->head.name, running && p->source_open ? "true" : "false",
        (unsigned long long)atomic_load(&p->read_changes), (unsigned long long)atomic_load(&p->read_transactions),
        (unsigned long long)atomic_load(&p->reconnects));
    if (p->source_error.code != WB_OK)
        wb_json_text(o, p->source_error.message);
    else
        wb_out_z(o, "null");
    wb_out_z(o, ",\"snapshot\":");
    if (p->progress_table[0]) {
        wb_out_z(o, "{\"table\":");
        wb_json_text(o, p->progress_table);
        put_number(o, "rows", p->progress_rows);
        put_number(o, "total", p->progress_total);
        put_number(o, "eta_seconds", seconds_left(p));
        wb_out_byte(o, '}');
    } else {
        wb_out_z(o, "null");
    }
    wb_out_z(o, ",\"server\":");
    if (p->facts)
        wb_out_printf(o, "{%s}", p->facts);
    else
        wb_out_z(o, "null");
    pthread_mutex_unlock(&p->mutex);
    wb_out_z(o, "},\"targets\":[");
    for (size_t i = 0; i < p->nlanes; i++) {
        if (i) wb_out_byte(o, ',');
        put_lane(o, p, &p->lanes[i], wb_kept_stand(&end).pos, running);
    }
    wb_out_z(o, "]}\n");
    wb_kept_fini(&end);
}

void wb_status_file(wb_pipeline *p, bool running)
{
    char path[4096];
    wb_out o = {0};
    wb_error err = {0};
    snprintf(path, sizeof path, "%s/status.json", p->config->state_dir);
    put_live(&o, p, running);
    if (!o.failed) (void)!wb_io_replace(path, o.p, o.len, 0600, &err);
    wb_out_fini(&o);
}

/* ---------------------------------------------------------------- from outside */

typedef struct rest {
    wb_out *o;
    wb_pipeline *p;
    const wb_source *s;
    wb_pos end;
    bool any;
} rest;

static char *facts_at_rest(wb_pipeline *p, const char *name)
{
    char *facts = NULL;
    for (size_t i = 0; i < p->config->ntargets; i++) {
        const wb_target_config *t = &p->config->targets[i];
        wb_host h;
        wb_error ignored = {0};
        if (strcmp(t->name, name) != 0 || wb_host_init(&h, p, NULL, "target", &ignored) != WB_OK) continue;
        facts = wb_ask_target(t, &h, &ignored);
        wb_host_fini(&h);
        break;
    }
    return facts;
}

static void put_saved(void *arg, const wb_target_state *t)
{
    rest *r = arg;
    if (r->any) wb_out_byte(r->o, ',');
    r->any = true;
    wb_stand stand = wb_kept_stand(&t->checkpoint);
    char *facts = facts_at_rest(r->p, t->name);
    row one = {.name = t->name,
               .type = t->type,
               .destination = t->destination,
               .state = t->resetting || !stand.pos.len ? "snapshot unfinished" : "stopped",
               .stand = stand,
               .lag_bytes = behind_bytes(r->s, stand.pos, r->end),
               .lag_ms = -1,
               .unanswered = -1,
               .changes = -1,
               .retries = -1,
               .facts = facts};
    put_row(r->o, r->s, &one);
    free(facts);
}

typedef struct meeting {
    const wb_source *s;
    wb_kept all; /* the latest position that every target has */
    bool none;   /* one has nothing */
} meeting;

static void meet_saved(void *arg, const wb_target_state *t)
{
    meeting *m = arg;
    uint8_t buffer[WB_POS_MAX];
    wb_stand stand = wb_kept_stand(&t->checkpoint);
    size_t n = 0;
    if (!stand.pos.len || m->none) {
        m->none = true;
        return;
    }
    stand.ordinal = 0;
    if (m->all.len) {
        m->s->meet(wb_kept_stand(&m->all).pos, stand.pos, buffer, sizeof buffer, &n);
        stand.pos = (wb_pos){buffer, n};
    }
    if (!wb_keep(&m->all, stand)) m->none = true;
}

static void put_at_rest(wb_pipeline *p, wb_state *state, wb_out *o)
{
    wb_host h;
    wb_error err = {0}, ignored = {0};
    wb_kept end = {0};
    char *facts = NULL;
    meeting m = {.s = wb_pipeline_source(p)};
    if (state) (void)!wb_state_load_targets(state, meet_saved, &m, &ignored);
    if (wb_host_init(&h, p, NULL, "source", &err) == WB_OK) {
        wb_state *before = p->state;
        p->state = state;
        wb_pos settled = m.none ? (wb_pos){NULL, 0} : wb_kept_stand(&m.all).pos;
        facts = wb_ask_server(p, &h, settled, &end, NULL, &err);
        p->state = before;
        wb_host_fini(&h);
    }
    wb_out_printf(o,
                  "{\"pipeline\":\"%s\",\"running\":false,\"pid\":null,\"version\":\"%s\",\"epoch\":%llu,\"source\":{"
                  "\"type\":\"%s\","
                  "\"connected\":false,\"error\":",
                  p->config->engine.name, WB_VERSION, (unsigned long long)(state ? wb_state_epoch(state) : 0),
                  p->config->source->head.name);
    if (err.code != WB_OK)
        wb_json_text(o, err.message);
    else
        wb_out_z(o, "null");
    if (facts)
        wb_out_printf(o, ",\"snapshot\":null,\"server\":{%s}},\"targets\":[", facts);
    else
        wb_out_z(o, ",\"snapshot\":null,\"server\":null},\"targets\":[");
    rest r = {o, p, wb_pipeline_source(p), wb_kept_stand(&end).pos, false};
    if (state) (void)!wb_state_load_targets(state, put_saved, &r, &ignored);
    wb_out_z(o, "]}\n");
    free(facts);
    wb_kept_fini(&end);
    wb_kept_fini(&m.all);
}

char *wb_pipeline_status(wb_pipeline *p, wb_error *err)
{
    wb_out o = {0};
    char path[4096], *text = NULL;
    size_t n = 0;
    const char *dir = p->config->state_dir;
    if (wb_state_running(dir)) {
        snprintf(path, sizeof path, "%s/status.json", dir);
        if (wb_io_slurp(path, 1 << 20, &text, &n, err) == WB_OK && text) return text;
    }
    wb_state *state = NULL;
    wb_code rc = wb_state_open(dir, p->config->engine.name, p->config->source->head.name, WB_STATE_LOOK, &state, err);
    if (rc != WB_OK && rc != WB_AGAIN) return NULL;
    put_at_rest(p, state, &o);
    wb_state_close(state);
    wb_out_byte(&o, 0);
    if (!o.failed) return o.p;
    wb_out_fini(&o);
    wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    return NULL;
}

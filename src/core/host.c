/* host.c: the engine as a plugin sees it: memory, paths, state, answers. Thin: the work is in lane.c and deliver.c. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/engine.h"
#include "core/registry.h"

wb_code wb_host_init(wb_host *h, wb_pipeline *p, wb_lane *lane, const char *part, wb_error *err)
{
    memset(h, 0, sizeof *h);
    h->p = p;
    h->lane = lane;
    snprintf(h->part, sizeof h->part, "%s", part);
    h->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    atomic_init(&h->stopping, false);
    return h->fd >= 0 ? WB_OK : wb_fail_errno(err, errno, "cannot make an eventfd");
}

void wb_host_fini(wb_host *h)
{
    if (h->fd > 0) close(h->fd);
    h->fd = -1;
}

wb_host *wb_host_loose(const char *dir, const wb_host_hooks *hooks, void *arg)
{
    wb_host *h = calloc(1, sizeof *h);
    wb_error err = {0};
    if (!h || wb_host_init(h, NULL, NULL, "loose", &err) != WB_OK) {
        free(h);
        return NULL;
    }
    h->dir = dir;
    h->name = "loose";
    h->hooks = hooks;
    h->hooks_arg = arg;
    return h;
}

void wb_host_loose_free(wb_host *h)
{
    if (!h) return;
    wb_host_fini(h);
    free(h);
}

void wb_host_wake(wb_host *h)
{
    uint64_t one = 1;
    ssize_t n = write(h->fd, &one, sizeof one);
    WB_UNUSED(n); /* full means: awake already */
}

int wb_host_fd(wb_host *h) { return h->fd; }

void wb_host_fd_clear(wb_host *h)
{
    uint64_t count;
    ssize_t n = read(h->fd, &count, sizeof count);
    WB_UNUSED(n);
}

bool wb_host_stopping(wb_host *h) { return atomic_load_explicit(&h->stopping, memory_order_acquire); }
const char *wb_host_pipeline(wb_host *h) { return h->p ? h->p->config->engine.name : h->name; }
const char *wb_host_state_dir(wb_host *h) { return !h->p ? h->dir : h->p->stateless ? NULL : h->p->config->state_dir; }

int64_t wb_host_memory(wb_host *h)
{
    /* A quarter is the targets' own, shared evenly; the rest is the batches'. */
    if (!h->p) return 8 << 20;
    return h->p->config->engine.memory / 4 / (int64_t)WB_MAX(h->p->config->ntargets, (size_t)1);
}
int64_t wb_host_max_row(wb_host *h) { return h->p ? h->p->config->engine.max_row : (int64_t)256 << 20; }

bool wb_host_updates_pass(wb_host *h)
{
    const wb_config *c = h->p ? h->p->config : NULL;
    for (size_t i = 0; c && i < c->ntargets; i++) {
        uint32_t only = c->targets[i].select.operations;
        if (only && !(only & 1u << WB_UPDATE)) return false;
    }
    for (size_t i = 0; c && i < c->ntransforms; i++)
        if (!c->transforms[i].plugin->keeps) return false;
    return true;
}

wb_code wb_host_path(wb_host *h, const char *path, char *out, size_t cap, wb_error *err)
{
    const char *dir = h->p ? h->p->config->dir : h->dir;
    int n = path[0] == '/' || !dir ? snprintf(out, cap, "%s", path) : snprintf(out, cap, "%s/%s", dir, path);
    if (n < 0 || (size_t)n >= cap) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "the path is too long: %.60s…", path);
    return WB_OK;
}

void wb_host_log(wb_host *h, wb_log_level level, const char *fmt, ...)
{
    if (!h->p) return;
    va_list ap;
    va_start(ap, fmt);
    wb_logv(&h->p->logger, level, h->part, fmt, ap);
    va_end(ap);
}

const char *wb_host_source(wb_host *h) { return h->p ? h->p->config->source->head.name : "postgres"; }

const char *wb_host_target(wb_host *h) { return h->lane ? h->lane->config->name : ""; }

const struct wb_format *wb_host_format(wb_host *h, const char *name)
{
    WB_UNUSED(h);
    return wb_find_format(name);
}

/* ---------------------------------------------------------------- source */

wb_batch *wb_host_take(wb_host *h, size_t need)
{
    if (!h->p) return wb_batch_loose();
    if (wb_host_stopping(h)) return NULL;
    for (size_t i = 0; i < h->p->nlanes; i++) /* nobody would get it: do not read the log for nothing */
        if (h->p->lanes[i].state == WB_LANE_RUNNING) return wb_pool_take(h->p->pool, need);
    return NULL;
}

void wb_host_drop(wb_host *h, wb_batch *b)
{
    WB_UNUSED(h);
    wb_batch_unref(b);
}

wb_code wb_host_put(wb_host *h, wb_batch *b, wb_error *err)
{
    if (h->p) return wb_deliver_put(h->p, b, err);
    wb_code rc = h->hooks && h->hooks->put ? h->hooks->put(h->hooks_arg, b, err) : WB_OK;
    wb_batch_unref(b);
    return rc;
}

void wb_host_idle(wb_host *h, wb_pos pos, uint64_t targets)
{
    if (h->p)
        wb_deliver_idle(h->p, pos, targets);
    else if (h->hooks && h->hooks->idle)
        h->hooks->idle(h->hooks_arg, pos, targets);
}

bool wb_host_partial(wb_host *h) { return h->p && wb_deliver_partial(h->p); }

bool wb_host_waiting(wb_host *h)
{
    if (!h->p) return true;
    for (size_t i = 0; i < h->p->nlanes; i++)
        if (atomic_load_explicit(&h->p->lanes[i].waiting, memory_order_relaxed)) return true;
    return false;
}

wb_code wb_host_state_put(wb_host *h, const char *key, wb_str value, wb_error *err)
{
    return h->p && h->p->state ? wb_state_kv_put(h->p->state, key, value, err) : WB_OK;
}
wb_code wb_host_state_get(wb_host *h, const char *key, wb_str *value, wb_error *err)
{
    *value = (wb_str){NULL, 0};
    return h->p && h->p->state ? wb_state_kv_get(h->p->state, key, value, err) : WB_OK;
}
wb_code wb_host_state_del(wb_host *h, const char *key, wb_error *err)
{
    return h->p && h->p->state ? wb_state_kv_del(h->p->state, key, err) : WB_OK;
}
wb_code wb_host_state_list(wb_host *h, const char *prefix, void (*each)(void *arg, const char *key, wb_str value),
                           void *arg, wb_error *err)
{
    return h->p && h->p->state ? wb_state_kv_list(h->p->state, prefix, each, arg, err) : WB_OK;
}

wb_code wb_host_state_of(wb_host *h, const char *dir, const char *source, const char *prefix,
                         void (*each)(void *arg, const char *key, wb_str value), void *arg, wb_error *err)
{
    WB_UNUSED(h);
    return wb_state_peek(dir, source, prefix, each, arg, err);
}

wb_code wb_host_state_note(wb_host *h, const wb_kv *kv, size_t n, wb_error *err)
{
    return h->p && h->p->state ? wb_state_kv_note(h->p->state, kv, n, err) : WB_OK;
}
wb_code wb_host_state_put_all(wb_host *h, const wb_kv *kv, size_t n, wb_error *err)
{
    return h->p && h->p->state ? wb_state_kv_put_all(h->p->state, kv, n, err) : WB_OK;
}

void wb_host_copying(wb_host *h, bool on)
{
    wb_pipeline *p = h->p;
    if (!p) return;
    for (size_t i = 0; !on && i < p->nlanes; i++) {
        pthread_mutex_lock(&p->lanes[i].mutex);
        p->lanes[i].copied = p->lanes[i].tail;
        pthread_mutex_unlock(&p->lanes[i].mutex);
    }
    atomic_store(&p->copying, on);
    if (on) atomic_store(&p->copied, true);
}

void wb_host_progress(wb_host *h, const wb_table *table, int64_t rows, int64_t total)
{
    wb_pipeline *p = h->p;
    if (!p) return;
    char name[200] = "";
    if (table) snprintf(name, sizeof name, "%s.%s", table->source_schema.ptr, table->source_name.ptr);
    pthread_mutex_lock(&p->mutex);
    if (!p->progress_table[0] && name[0]) {
        p->progress_since_us = wb_mono_us();
        p->progress_first = rows;
    }
    memcpy(p->progress_table, name, sizeof name);
    p->progress_rows = rows;
    p->progress_total = total;
    pthread_mutex_unlock(&p->mutex);
    if (p->progress) p->progress(p->progress_arg, name, rows, total);
}

/* ---------------------------------------------------------------- target */

void wb_host_free(wb_host *h, wb_ticket t)
{
    if (h->lane)
        wb_lane_free_ticket(h->lane, t);
    else if (h->hooks && h->hooks->free)
        h->hooks->free(h->hooks_arg, t);
}

void wb_host_done(wb_host *h, wb_ticket t, const wb_error *err)
{
    if (h->lane)
        wb_lane_done(h->lane, t, err);
    else if (h->hooks && h->hooks->done)
        h->hooks->done(h->hooks_arg, t, err);
}

wb_code wb_host_poison(wb_host *h, wb_ticket t, const wb_view *v, const wb_change *c, const wb_error *why,
                       wb_error *err)
{
    WB_UNUSED(t);
    if (h->lane) return wb_dead_letter(h->p, h->lane, v, c, why, err);
    *err = *why;
    return why->code;
}

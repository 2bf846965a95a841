/* state.c: small facts that must survive us: which server it was, what we made there. Durable when put returns. `tail`
 * has no state: nothing is kept, everything is unknown. Source thread, and drop. */
#include "pg.h"

void pg_timeline_recall(pg_source *s, wb_host *h)
{
    wb_str v = {NULL, 0};
    wb_error ignored;
    wb_error_reset(&ignored);
    if (wb_host_state_get(h, "system_id", &v, &ignored) == WB_OK && v.len && v.len < 30)
        atomic_store_explicit(&s->system, strtoull(v.ptr, NULL, 10), memory_order_relaxed);
    if (wb_host_state_get(h, "timeline", &v, &ignored) != WB_OK || !v.len || v.len > 10) return;
    unsigned long known = strtoul(v.ptr, NULL, 10); /* the state ends it with a zero byte */
    if (known > atomic_load_explicit(&s->timeline, memory_order_relaxed))
        atomic_store_explicit(&s->timeline, (unsigned)known, memory_order_relaxed);
}

bool pg_state_on(const pg_source *s) { return wb_host_state_dir(s->host) != NULL; }

wb_code pg_state_put(pg_source *s, const char *key, const char *value, wb_error *err)
{
    return pg_state_on(s) ? wb_host_state_put(s->host, key, wb_str_of(value), err) : WB_OK;
}

wb_code pg_state_get(pg_source *s, const char *key, char *out, size_t cap, wb_error *err)
{
    wb_str v = {NULL, 0};
    out[0] = 0;
    if (!pg_state_on(s)) return WB_OK;
    wb_code code = wb_host_state_get(s->host, key, &v, err);
    if (code != WB_OK) return code;
    if (v.len >= cap)
        return wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a value of '%s' that is too long.", key);
    if (v.len) memcpy(out, v.ptr, v.len);
    out[v.len] = 0;
    return WB_OK;
}

wb_code pg_state_del(pg_source *s, const char *key, wb_error *err)
{
    return pg_state_on(s) ? wb_host_state_del(s->host, key, err) : WB_OK;
}

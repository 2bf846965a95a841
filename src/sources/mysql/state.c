/* state.c: small facts that must survive us: which server it was, who we said to be. Durable when put returns. `tail`
 * has no state: nothing is kept, everything is unknown. Source thread, and drop. */
#include "my.h"

bool my_state_on(const my_source *s) { return wb_host_state_dir(s->host) != NULL; }

wb_code my_state_put(my_source *s, const char *key, const char *value, wb_error *err)
{
    return my_state_on(s) ? wb_host_state_put(s->host, key, wb_str_of(value), err) : WB_OK;
}

wb_code my_state_get(my_source *s, const char *key, char *out, size_t cap, wb_error *err)
{
    wb_str v = {NULL, 0};
    out[0] = 0;
    if (!my_state_on(s)) return WB_OK;
    wb_code code = wb_host_state_get(s->host, key, &v, err);
    if (code != WB_OK) return code;
    if (v.len >= cap)
        return wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a value of '%s' that is too long.", key);
    if (v.len) memcpy(out, v.ptr, v.len);
    out[v.len] = 0;
    return WB_OK;
}

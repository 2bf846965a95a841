/* fact.c: facts as values in the pipeline's state. */
#include "fact.h"

bool sql_fact_on(wb_host *h) { return wb_host_state_dir(h) != NULL; }

wb_code sql_fact_put(wb_host *h, const char *key, const char *value, wb_error *err)
{
    return sql_fact_on(h) ? wb_host_state_put(h, key, wb_str_of(value), err) : WB_OK;
}

wb_code sql_fact_get(wb_host *h, const char *key, char *out, size_t cap, wb_error *err)
{
    wb_str v = {NULL, 0};
    out[0] = 0;
    if (!sql_fact_on(h)) return WB_OK;
    wb_code code = wb_host_state_get(h, key, &v, err);
    if (code != WB_OK) return code;
    if (v.len >= cap)
        return wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a value of '%s' that is too long.", key);
    if (v.len) memcpy(out, v.ptr, v.len);
    out[v.len] = 0;
    return WB_OK;
}

wb_code sql_fact_del(wb_host *h, const char *key, wb_error *err)
{
    return sql_fact_on(h) ? wb_host_state_del(h, key, err) : WB_OK;
}

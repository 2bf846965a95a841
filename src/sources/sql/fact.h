/* fact.h: small facts that a source must remember: which server it was, what it made there. Text by key, durable when
 * put returns. `tail` has no state: nothing is kept, everything is unknown. Source thread, and drop. */
#ifndef WB_SQL_FACT_H
#define WB_SQL_FACT_H
#include "base/base.h"
#include "walbrook/plugin.h"

bool sql_fact_on(wb_host *h); /* facts are kept */
wb_code sql_fact_put(wb_host *h, const char *key, const char *value, wb_error *err) WB_MUST;
/* "" when unknown. */
wb_code sql_fact_get(wb_host *h, const char *key, char *out, size_t cap, wb_error *err) WB_MUST;
wb_code sql_fact_del(wb_host *h, const char *key, wb_error *err) WB_MUST;
#endif

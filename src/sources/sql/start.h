/* start.h: the option `start`: a place in the server's log, or a time, written by hand as a map. */
#ifndef WB_SQL_START_H
#define WB_SQL_START_H
#include "base/node.h"

#define SQL_START_MAX 4
typedef struct sql_start_rule {
    const char *words[SQL_START_MAX + 1]; /* that this source has; NULL-ended */
} sql_start_rule;
/* The texts of the words, by their places; NULL: not given. */
wb_code sql_start_read(const wb_node *n, const sql_start_rule *rule, const char *texts[SQL_START_MAX],
                       wb_error *err) WB_MUST;
/* The text of `time` as µs since 1970, never 0. n: where it stands, for errors. */
wb_code sql_start_time(const wb_node *n, const char *text, int64_t *us, wb_error *err) WB_MUST;
/* One that has not come yet, by the server's clock. */
wb_code sql_start_ahead(int64_t us, int64_t now_us, wb_error *err);
#endif

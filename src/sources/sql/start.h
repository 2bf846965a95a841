/* start.h: the option `start`: a place in the server's log, written by hand as a map. */
#ifndef WB_SQL_START_H
#define WB_SQL_START_H
#include "base/node.h"

#define SQL_START_MAX 4
typedef struct sql_start_rule {
    const char *words[SQL_START_MAX + 1]; /* that this source has; NULL-ended */
    const char *no_time, *time_hint;      /* why a time is refused, and what to do */
} sql_start_rule;
/* The texts of the words, by their places; NULL: not given. */
wb_code sql_start_read(const wb_node *n, const sql_start_rule *rule, const char *texts[SQL_START_MAX],
                       wb_error *err) WB_MUST;
#endif

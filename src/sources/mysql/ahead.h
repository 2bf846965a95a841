/* ahead.h: which tables are changed between a place in the log and its present end; for schema_track.c. */
#ifndef WB_MY_AHEAD_H
#define WB_MY_AHEAD_H
#include "my.h"

typedef struct my_ahead_table {
    wb_str schema, name; /* name empty: all of the schema */
} my_ahead_table;

typedef struct my_ahead {
    wb_host *host;
    wb_arena arena;
    my_ahead_table *tables;
    size_t n, cap;
    bool all; /* a statement that is not understood touches everything */
} my_ahead;

wb_code my_ahead_scan(my_source *s, wb_pos from, my_ahead *out, wb_error *err) WB_MUST; /* free it in any case */
bool my_ahead_touches(const my_ahead *a, wb_str schema, wb_str name);
void my_ahead_free(my_ahead *a);
#endif

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
    bool met,
        met_fits;   /* the table that was asked for has rows before it is touched; with the columns that it has now */
    my_schema then; /* those that it has there, if they are others; memory: the source's scratch */
} my_ahead;

/* Free it in any case. now: a table as it is now; what comes after it is touched is not looked at then, and what comes
 * after its next rows neither, unless `whole`. NULL: everything to the end. */
wb_code my_ahead_scan(my_source *s, wb_pos from, const my_schema *now, bool whole, my_ahead *out,
                      wb_error *err) WB_MUST;
bool my_ahead_touches(const my_ahead *a, wb_str schema, wb_str name);
void my_ahead_free(my_ahead *a);
#endif

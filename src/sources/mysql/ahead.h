/* ahead.h: what happens to tables between a place in the log and its present end; for schema_track.c. The log is read
 * through once, however many are asked for. Source thread. */
#ifndef WB_MY_AHEAD_H
#define WB_MY_AHEAD_H
#include "my.h"

typedef struct my_ahead_answer {
    bool changed;       /* a statement changes it */
    bool met, met_fits; /* before that it has rows; with the columns that it has now */
    my_schema then;     /* those that it has there, if they are others; memory: the source's scratch */
} my_ahead_answer;

/* now: a table as it was read a moment ago. What is changed later is not looked for when it has rows before that,
 * unless `whole`. base: where to begin when nothing was looked through yet: in `from`, and in that of later questions.
 */
wb_code my_ahead_ask(my_source *s, wb_pos base, wb_pos from, const my_schema *now, bool whole, my_ahead_answer *out,
                     wb_error *err) WB_MUST;
/* Is any table of the catalog that is wanted changed after `from`? */
wb_code my_ahead_any(my_source *s, wb_pos from, bool *any, wb_error *err) WB_MUST;
void my_ahead_settled(my_source *s, wb_pos pos); /* nothing before is asked for any more */
void my_ahead_close(my_source *s);
#endif

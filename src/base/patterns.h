/* patterns.h: lists of names as people write them in a pipeline file: "public.*", "!public.audit_*", "*.email".
 * A list is read in order and the last pattern that matches decides; "!" in front takes away. A list whose first
 * pattern takes away starts from everything. "*" stands for any run of characters, "?" for one. A part in double
 * quotes is literal ("" is one quote). Anchored and exact: "app.*" is not "app_old.users"; case counts. */
#ifndef WB_PATTERNS_H
#define WB_PATTERNS_H
#include "base/arena.h"
#include "walbrook/plugin.h"

typedef struct wb_patterns wb_patterns;

/* Compile a list; the patterns live in `a`. An empty list gives NULL, which matches everything.
 * WB_E_CONFIG names the pattern that cannot be read. */
wb_code wb_patterns_new(const wb_list *list, wb_arena *a, wb_patterns **out, wb_error *err) WB_MUST;
/* The most parts (a.b.c has three) that any of the patterns has: tables take two at most. 0 for NULL. */
size_t wb_patterns_parts(const wb_patterns *p);

/* Tables. NULL patterns match everything. A pattern without a dot means any schema; one of three parts none. */
bool wb_patterns_match(const wb_patterns *p, wb_str schema, wb_str name);
/* Could a table of this schema match? When in doubt it could. */
bool wb_patterns_match_schema(const wb_patterns *p, wb_str schema);
/* The table, or the schema if the name is empty: what a change is about. */
bool wb_patterns_match_named(const wb_patterns *p, wb_str schema, wb_str name);
/* Columns: column, table.column or schema.table.column. */
bool wb_patterns_match_column(const wb_patterns *p, wb_str schema, wb_str table, wb_str column);

/* The text of the i-th pattern as written, and whether it alone matches (its "!" aside); for "matches nothing"
 * findings. Past the end: NULL. */
const char *wb_patterns_text(const wb_patterns *p, size_t i, bool *negative);
bool wb_patterns_match_one(const wb_patterns *p, size_t i, wb_str schema, wb_str name);
#endif

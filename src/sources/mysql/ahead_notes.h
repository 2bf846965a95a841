/* ahead_notes.h: what the log has of tables ahead of the stream, in its order: that one is changed, and the columns of
 * its first rows after that. Found by name; for ahead.c. Pure. */
#ifndef WB_MY_AHEAD_NOTES_H
#define WB_MY_AHEAD_NOTES_H
#include "schema.h"
#include "walbrook/change.h"

typedef struct my_notes my_notes;
my_notes *my_notes_new(void);
void my_notes_free(my_notes *n);
/* The transaction at `at` changes the table. name empty: all of the schema; schema empty too: all there are. */
bool my_notes_change(my_notes *n, wb_str schema, wb_str name, wb_pos at) WB_MUST;
/* It has rows of this form. Copied, without labels. */
bool my_notes_rows(my_notes *n, const my_map *map, wb_pos at) WB_MUST;
/* Were rows of it noted since it was changed last? */
bool my_notes_has_rows(const my_notes *n, wb_str schema, wb_str name);
/* What comes first in what `from` does not have: *rows NULL: it is changed before that, or there are none. *changed: it
 * is, at all. */
void my_notes_find(const my_notes *n, wb_str schema, wb_str name, wb_pos from, bool *changed, const my_map **rows);
/* What `done` has is not asked for any more. */
void my_notes_forget(my_notes *n, wb_pos done);
size_t my_notes_count(const my_notes *n);
#endif

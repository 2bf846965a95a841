/* history.h: every version of a table that a position can still meet, with the place in the log from which on it holds.
 * The live source keeps them in its state: replaying an old log finds the columns of then. `decode --schema FOLDER`
 * reads them from there. Pure. */
#ifndef WB_MY_HISTORY_H
#define WB_MY_HISTORY_H
#include "schema.h"

#define MY_HISTORY_FAMILY "schema/" /* keys in the state: with the version's number behind it */

typedef struct my_history my_history;
my_history *my_history_new(void);
void my_history_free(my_history *h);
typedef enum my_known { MY_KNOWN, MY_LOOSE, MY_GONE, MY_NOT_KNOWN } my_known;
/* The version that holds for a transaction at `at` when all before `have` is done; NULL schema: never heard of.
 * MY_LOOSE: read later than it began, believed only where the log itself names the columns. */
my_known my_history_find(const my_history *h, wb_str schema, wb_str name, wb_pos have, wb_pos at,
                         const my_schema **out);
/* A new version from `at` on (empty: from the beginning). shape NULL: the table is gone. false: no memory */
bool my_history_add(my_history *h, wb_str schema, wb_str name, wb_pos at, my_known known, const my_schema *shape,
                    uint64_t *seq) WB_MUST;
bool my_history_has(const my_history *h, wb_str schema, wb_str name, wb_pos at); /* a version from exactly there */
bool my_history_knows(const my_history *h, wb_str schema, wb_str name);          /* its newest version has columns */
bool my_history_met(const my_history *h, wb_pos at);                             /* any version from exactly there */
/* Versions that `settled` has passed: their numbers, for the state; and out of memory. */
void my_history_forget(my_history *h, wb_pos settled, void (*gone)(void *arg, uint64_t seq), void *arg);
/* Is it there when all before `have` is done, with known columns or without? */
bool my_history_there(const my_history *h, wb_str schema, wb_str name, wb_pos have);
void my_history_names(const my_history *h, void (*each)(void *arg, wb_str schema, wb_str name), void *arg); /* all */
/* Tables that are there by the last that is known of them. */
void my_history_tables(const my_history *h, void (*each)(void *arg, wb_str schema, wb_str name), void *arg);
uint64_t my_history_lineage(const my_history *h); /* whose log files its places are in; 0: not said */
size_t my_history_size(const my_history *h);      /* how many versions */
/* As bytes for the state. */
bool my_history_encode(const my_history *h, uint64_t seq, wb_out *out);
bool my_history_decode(my_history *h, uint64_t seq, wb_str in);
/* One fact of the state's family, as wb_host_state_list gives them. bad: one cannot be read. */
typedef struct my_history_loading {
    my_history *h;
    bool bad;
} my_history_loading;
void my_history_load(void *loading, const char *key, wb_str value);
#endif

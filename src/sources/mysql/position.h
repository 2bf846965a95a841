/* position.h: where in a binlog: a GTID set where the server has them, the file and offset beside it, and whose files
 * those are. Opaque bytes to the engine. Pure.
 * Which of the two decides: MySQL with GTIDs: the sets, exactly. MariaDB: file and offset when both sides are of the
 * same server (its numbers may go back where gtid_strict_mode is off), else the last number of each domain, whichever
 * server wrote it. MySQL without GTIDs: file and offset, of the same server only.
 * Beside the log, by itself: the number of the last turn of a copy (sources/sql/copy.h). */
#ifndef WB_MY_POSITION_H
#define WB_MY_POSITION_H
#include "gtid.h"

typedef struct my_pos {
    my_flavor flavor;
    bool has_set;     /* `set` says what is done; a transaction: `gtid` */
    bool has_file;    /* log, offset                                     */
    uint64_t lineage; /* whose files; 0: not known                       */
    wb_str log;
    uint64_t offset;
    uint64_t seq; /* positions: of the last turn; 0: none             */
    wb_str set;   /* positions: encoded by gtid.h (MySQL), or domains */
    my_gtid gtid; /* transactions                                     */
} my_pos;

enum { MY_POS_MAX = 60000 }; /* a position longer than this is refused */

/* Appends. false: it would be too long, or no memory. set NULL: none. */
bool my_pos_make(wb_out *out, const my_pos *p, const my_gtid_set *set) WB_MUST;
void my_at_make(wb_out *out, const my_pos *p); /* of a transaction: p->gtid, its file and where it begins there */
bool my_pos_read(wb_pos pos, my_pos *out);     /* views into it */
bool my_at_read(wb_pos at, my_pos *out);
bool my_pos_set(const my_pos *p, my_gtid_set *out); /* adds; false: damaged or no memory */
bool my_pos_has(wb_pos pos, wb_pos at);             /* is the transaction inside? */

uint64_t my_pos_seq(wb_pos pos);
/* The same place with this turn's number. Appends. */
bool my_pos_turn(wb_out *out, wb_pos pos, uint64_t seq) WB_MUST;

bool my_pos_holds(wb_pos pos, const wb_txn *txn);
int my_pos_compare(wb_pos a, wb_pos b);
void my_pos_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len);
void my_pos_join(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len);
int64_t my_pos_distance(wb_pos from, wb_pos to); /* -1: not known */
size_t my_pos_render(wb_pos pos, char *out, size_t cap);
wb_code my_pos_parse(wb_str text, void *out, size_t cap, size_t *len, wb_error *err);
#endif

/* position.h: a position of this source is two counters that only grow: an LSN, just after the last byte that is
 * inside, and the number of the last turn of a copy (snapshot) that is inside. 8 bytes, big-endian: the LSN alone, no
 * turn; 16: both; 24: and a part of the next transaction, with what its changes were counted by (counted.c). Pure. */
#ifndef WB_PG_POSITION_H
#define WB_PG_POSITION_H
#include "base/base.h"
#include "wire.h"

enum { PG_POS_LEN = 8, PG_TURN_LEN = 16, PG_PART_LEN = 24, PG_LSN_TEXT = 18, PG_POS_TEXT = 40 };

void pg_pos_make(uint8_t out[PG_POS_LEN], pg_lsn lsn);
size_t pg_pos_make_turn(uint8_t out[PG_TURN_LEN], pg_lsn lsn, uint64_t seq); /* its length */
pg_lsn pg_pos_lsn(wb_pos pos);                                               /* 0: none, or not one of ours */
uint64_t pg_pos_seq(wb_pos pos);                                             /* 0: no turn                  */
/* `pos` with a part of the next transaction; no order knows of it, and what ends later is without it. */
void pg_pos_make_part(uint8_t out[PG_PART_LEN], wb_pos pos, uint64_t counted);
uint64_t pg_pos_counted(wb_pos pos); /* 0: no part */
/* "0/16B3748" into out (NUL-terminated); returns out. */
const char *pg_lsn_text(pg_lsn lsn, char out[PG_LSN_TEXT]);
bool pg_lsn_parse(wb_str text, pg_lsn *out);

/* Slots of wb_source. */
bool pg_pos_holds(wb_pos pos, const wb_txn *txn);
int pg_pos_compare(wb_pos a, wb_pos b);
int64_t pg_pos_distance(wb_pos from, wb_pos to);
void pg_pos_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len);
void pg_pos_join(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len);
size_t pg_pos_render(wb_pos pos, char *out, size_t cap);
wb_code pg_pos_parse(wb_str text, void *out, size_t cap, size_t *len, wb_error *err);
#endif

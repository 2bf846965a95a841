/* lull.h: reading a server's stream lazily. The server sends one packet a row, and a client that sleeps in poll() is
 * woken for nearly each; a pause of half a millisecond when the socket is drained in the midst of a burst saves a third
 * of the processor time on both sides. Source thread. */
#ifndef WB_SQL_LULL_H
#define WB_SQL_LULL_H
#include "base/base.h"
#include "walbrook/plugin.h"

typedef struct sql_lull {
    size_t since_pause, since_dry; /* bytes */
    int64_t paused_us;
} sql_lull;

static inline void sql_lull_took(sql_lull *l, size_t bytes)
{
    l->since_pause += bytes;
    l->since_dry += bytes;
}
/* The socket gave nothing. Was there much before? In a flood the batch is kept over the pause, for fewer and larger
 * ones. */
bool sql_lull_flood(sql_lull *l);
/* Let the server get ahead, so that fewer of its rows wake us; not below 1 MB/s, where it would only cost latency.
 * false: it did not pause. */
bool sql_lull_pause(sql_lull *l);
/* More may come for the batch before a target has time for it: all are busy, and within a millisecond the socket, or
 * what was read ahead of it (`buffered`), has something. */
bool sql_lull_more(wb_host *h, int socket, bool buffered);
#endif

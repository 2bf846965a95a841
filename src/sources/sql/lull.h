/* lull.h: reading a server's stream lazily. The server sends one packet a row, and a client that sleeps in poll() is
 * woken for nearly each; a pause of half a millisecond when the socket is drained in the midst of a burst saves a third
 * of the processor time on both sides. Over the loopback interface each packet goes through the whole network stack on
 * the server's time, more than what it needs to decode the row. There the receive window is kept small, and the pause
 * lasts until it is closed and some milliseconds more: what the server writes meanwhile its kernel gathers into few
 * large segments. Source thread. */
#ifndef WB_SQL_LULL_H
#define WB_SQL_LULL_H
#include "base/base.h"
#include "walbrook/plugin.h"

typedef struct sql_lull {
    size_t since_pause, since_dry; /* bytes */
    int64_t paused_us;
    int near; /* the socket if the server is on this machine, else 0 */
} sql_lull;

static inline void sql_lull_took(sql_lull *l, size_t bytes)
{
    l->since_pause += bytes;
    l->since_dry += bytes;
}
/* A stream begins on this socket. Over loopback its receive buffer is set. For servers that send a packet a row. */
void sql_lull_begin(sql_lull *l, int socket);
/* The socket gave nothing. Was there much before? In a flood the batch is kept over the pause, for fewer and larger
 * ones. */
bool sql_lull_flood(sql_lull *l);
/* Let the server get ahead, so that fewer of its rows wake us; not below 1 MB/s, where it would only cost latency: half
 * a millisecond, over loopback from 8 MB/s on up to 12. false: it did not pause. */
bool sql_lull_pause(sql_lull *l);
/* More may come for the batch before a target has time for it: all are busy, and within a millisecond the socket, or
 * what was read ahead of it (`buffered`), has something. */
bool sql_lull_more(wb_host *h, int socket, bool buffered);
#endif

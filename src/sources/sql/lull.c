/* lull.c: when to read on, and when to let the server get ahead. */
#include "lull.h"

#include <poll.h>
#include <time.h>

#include "base/clock.h"

enum { PAUSE_NS = 500000, BURST = 4096, FLOOD = 4096, HOLD_MS = 1 };

bool sql_lull_flood(sql_lull *l)
{
    bool flood = l->since_dry >= FLOOD;
    l->since_dry = 0;
    return flood;
}

bool sql_lull_pause(sql_lull *l)
{
    const struct timespec pause = {0, PAUSE_NS};
    if (l->since_pause < BURST) return false;
    bool fast = (int64_t)l->since_pause >= wb_mono_us() - l->paused_us;
    if (fast) (void)nanosleep(&pause, NULL);
    l->since_pause = 0;
    l->paused_us = wb_mono_us();
    return fast;
}

bool sql_lull_more(wb_host *h, int socket, bool buffered)
{
    struct pollfd fds[2] = {{socket, POLLIN, 0}, {wb_host_fd(h), POLLIN, 0}};
    if (wb_host_waiting(h)) return false;
    if (buffered) return true;
    if (poll(fds, 2, HOLD_MS) <= 0) return false;
    if (fds[1].revents) wb_host_fd_clear(h);
    return fds[0].revents != 0;
}

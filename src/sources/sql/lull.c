/* lull.c: when to read on, and when to let the server get ahead. */
#include "lull.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"

enum {
    PAUSE_NS = 500000,
    BURST = 4096,
    FLOOD = 4096,
    HOLD_MS = 1,
    NEAR_BUFFER = 65536, /* Linux doubles it: it holds what a new connection was promised, however small the packets */
    NEAR_RATE = 8,       /* bytes a microsecond */
    FILL_NS = 1000000,
    FILLS = 6,
    AHEAD_NS = 6000000
};

static bool loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

void sql_lull_begin(sql_lull *l, int socket)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof peer;
    const int size = NEAR_BUFFER;
    l->near = 0;
    if (getpeername(socket, (struct sockaddr *)&peer, &n) != 0 || !loopback(&peer)) return;
    if (setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0) l->near = socket;
}

bool sql_lull_flood(sql_lull *l)
{
    bool flood = l->since_dry >= FLOOD;
    l->since_dry = 0;
    return flood;
}

static void rest(long ns)
{
    const struct timespec t = {0, ns};
    (void)nanosleep(&t, NULL);
}

static int queued(int socket)
{
    int n = 0;
    return ioctl(socket, FIONREAD, &n) == 0 ? n : 0;
}

/* Until the receive window is closed or the server pauses; if closed, longer: what it sends then costs it no packet. */
static void rest_until_full(int socket)
{
    int had = queued(socket);
    for (int i = 0; i < FILLS; i++) {
        rest(FILL_NS);
        int has = queued(socket);
        bool grows = has >= had + BURST;
        had = has;
        if (!grows) break;
    }
    if (had >= NEAR_BUFFER / 2) rest(AHEAD_NS);
}

bool sql_lull_pause(sql_lull *l)
{
    if (l->since_pause < BURST) return false;
    int64_t took = wb_mono_us() - l->paused_us, bytes = (int64_t)l->since_pause;
    bool fast = bytes >= took;
    if (fast && l->near && bytes >= took * NEAR_RATE)
        rest_until_full(l->near);
    else if (fast)
        rest(PAUSE_NS);
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

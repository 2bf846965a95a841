/* notify.c: a word to systemd (Type=notify), without its library: one datagram to $NOTIFY_SOCKET. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void cli_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') to.sun_path[0] = 0; /* the abstract namespace */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, len);
    (void)sent; /* nobody listens: nothing to do */
    (void)close(fd);
}

int cli_watchdog_ms(void)
{
    const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    char *end = NULL;
    if (!us || !getenv("NOTIFY_SOCKET")) return -1;
    if (pid && strtoll(pid, NULL, 10) != (long long)getpid()) return -1;
    long long n = strtoll(us, &end, 10);
    if (*end || n <= 0) return -1;
    return n / 2000 < 1 ? 1 : n / 2000 > 60000 ? 60000 : (int)(n / 2000);
}

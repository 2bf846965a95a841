/* Reading a server's stream lazily: which sockets are read in large pieces, and that a small window loses nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "sources/sql/lull.h"

/* The engine's part, which nothing here asks for. */
int wb_host_fd(wb_host *h)
{
    WB_UNUSED(h);
    return -1;
}
void wb_host_fd_clear(wb_host *h) { WB_UNUSED(h); }
bool wb_host_waiting(wb_host *h)
{
    WB_UNUSED(h);
    return false;
}

typedef struct pair {
    int server, client;
} pair;

static pair over(const char *address, int family)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    socklen_t n = family == AF_INET ? sizeof a.v4 : sizeof a.v6;
    const int on = 1;
    memset(&a, 0, sizeof a);
    a.any.sa_family = (sa_family_t)family;
    assert_int_equal(inet_pton(family, address, family == AF_INET ? (void *)&a.v4.sin_addr : &a.v6.sin6_addr), 1);
    int door = socket(family, SOCK_STREAM, 0);
    pair p = {-1, -1};
    if (bind(door, &a.any, n) != 0) { /* no IPv6 on this machine */
        close(door);
        return p;
    }
    assert_int_equal(listen(door, 1), 0);
    assert_int_equal(getsockname(door, &a.any, &n), 0);
    p.client = socket(family, SOCK_STREAM, 0);
    assert_int_equal(connect(p.client, &a.any, n), 0);
    p.server = accept(door, NULL, NULL);
    assert_true(p.server >= 0);
    assert_int_equal(setsockopt(p.server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    close(door);
    return p;
}

static void shut(pair p)
{
    close(p.server);
    close(p.client);
}

static int buffer_of(int socket)
{
    int size = 0;
    socklen_t n = sizeof size;
    assert_int_equal(getsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, &n), 0);
    return size;
}

static void test_only_over_loopback(void **unused)
{
    WB_UNUSED(unused);
    const char *const addresses[] = {"127.0.0.1", "127.1.2.3", "::1"};
    for (size_t i = 0; i < WB_COUNT(addresses); i++) {
        sql_lull l = {0};
        pair p = over(addresses[i], strchr(addresses[i], ':') ? AF_INET6 : AF_INET);
        if (p.client < 0) continue;
        sql_lull_begin(&l, p.client);
        assert_int_equal(l.near, p.client);
        assert_int_equal(buffer_of(p.client), 2 * 65536);
        shut(p);
    }
    sql_lull l = {.near = 7};
    int local[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, local), 0);
    int before = buffer_of(local[0]);
    sql_lull_begin(&l, local[0]);
    assert_int_equal(l.near, 0);
    assert_int_equal(buffer_of(local[0]), before);
    close(local[0]);
    close(local[1]);
}

static void test_pauses_in_a_flood_only(void **unused)
{
    WB_UNUSED(unused);
    sql_lull l = {.paused_us = wb_mono_us()};
    sql_lull_took(&l, 1000);
    assert_false(sql_lull_pause(&l));
    sql_lull_took(&l, 1u << 30);
    assert_true(sql_lull_pause(&l));
    assert_false(sql_lull_pause(&l)); /* nothing since */
    sql_lull_took(&l, 1u << 20);
    l.paused_us -= 10000000; /* in ten seconds */
    assert_false(sql_lull_pause(&l));
    sql_lull_took(&l, 5000);
    assert_true(sql_lull_flood(&l));
    assert_false(sql_lull_flood(&l));
}

enum { ROW = 23, ROWS = 200000 };

static void *send_rows(void *socket)
{
    unsigned char row[ROW];
    for (int i = 0; i < ROWS; i++) {
        memset(row, i & 255, sizeof row);
        for (size_t at = 0; at < sizeof row;) {
            ssize_t n = send(*(int *)socket, row + at, sizeof row - at, MSG_NOSIGNAL);
            if (n <= 0) return NULL;
            at += (size_t)n;
        }
    }
    shutdown(*(int *)socket, SHUT_WR);
    return NULL;
}

/* Small packets fill the buffer with what the kernel keeps beside them long before the window is full. */
static void test_small_packets_all_arrive(void **unused)
{
    WB_UNUSED(unused);
    sql_lull l = {0};
    pair p = over("127.0.0.1", AF_INET);
    pthread_t sender;
    static unsigned char buf[1 << 16];
    size_t got = 0, pauses = 0;
    sql_lull_begin(&l, p.client);
    assert_int_equal(pthread_create(&sender, NULL, send_rows, &p.server), 0);
    for (;;) {
        ssize_t n = recv(p.client, buf, sizeof buf, MSG_DONTWAIT);
        if (n == 0) break;
        if (n > 0) {
            for (ssize_t i = 0; i < n; i++) assert_int_equal(buf[i], ((got + (size_t)i) / ROW) & 255);
            got += (size_t)n;
            sql_lull_took(&l, (size_t)n << 10); /* as if it were fast, whatever the machine does */
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        if (sql_lull_pause(&l)) {
            pauses++;
            continue;
        }
        struct pollfd fd = {p.client, POLLIN, 0};
        assert_int_equal(poll(&fd, 1, 60000), 1);
    }
    assert_int_equal(pthread_join(sender, NULL), 0);
    assert_int_equal(got, (size_t)ROW * ROWS);
    assert_true(pauses > 0);
    shut(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_over_loopback),
        cmocka_unit_test(test_pauses_in_a_flood_only),
        cmocka_unit_test(test_small_packets_all_arrive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

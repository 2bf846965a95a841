/* net.c: the bytes of a dump. The Connector makes the connection; once the dump was asked for, its packets are read
 * here: with a buffer of our own, of many packets, without waiting, and without the whole of a large event in memory.
 * They come from the socket, or from the OpenSSL session that the Connector made. One of GnuTLS is left to the
 * Connector. Called by dump.c and conn.c. */
#include "my.h"

typedef unsigned char uchar; /* what the next headers lack by themselves */
#define HAVE_TLS 1           /* as the library was built: its structs depend on it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ma_pvio.h>
#include <ma_tls.h>
#pragma GCC diagnostic pop
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fault.h"

enum { BUFFER = 512 * 1024, TICK_MS = 50 };

struct my_net {
    my_packets packets;
    SSL *tls; /* NULL: none */
    int fd;
};

/* ---------------------------------------------------------------- what the library has read ahead */

typedef enum tls_kind { TLS_NONE, TLS_OPENSSL, TLS_GNUTLS, TLS_OTHER } tls_kind;

static const char *tls_name = "of unknown name";
static tls_kind tls_built;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

static void ask_library(void)
{
    const char *name = NULL;
    if (mariadb_get_infov(NULL, MARIADB_TLS_LIBRARY, &name) == 0 && name) tls_name = name;
    bool openssl = strncmp(tls_name, "OpenSSL", 7) == 0, gnutls = strncmp(tls_name, "GnuTLS", 6) == 0;
    tls_built = openssl ? TLS_OPENSSL : gnutls ? TLS_GNUTLS : TLS_OTHER;
}

/* Also asked for every row of a copy. */
static tls_kind kind_of(const my_link *l)
{
    const MARIADB_PVIO *pvio = l->my->net.pvio;
    if (!pvio || !pvio->ctls || !pvio->ctls->ssl) return TLS_NONE;
    pthread_once(&tls_once, ask_library);
    return tls_built;
}

/* We are not linked to GnuTLS; a Connector that is has it in the process. */
static size_t gnutls_pending(void *session)
{
    size_t (*pending)(void *) = NULL;
    void *found = dlsym(RTLD_DEFAULT, "gnutls_record_check_pending");
    memcpy(&pending, &found, sizeof pending);
    return pending ? pending(session) : 0;
}

/* What the library, or TLS under it, has read ahead does not show in poll(). */
bool my_link_buffered(const my_link *l)
{
    const MARIADB_PVIO *pvio = l->my->net.pvio;
    if (!pvio) return true; /* broken: reading says so */
    if (pvio->cache && pvio->cache + pvio->cache_size > pvio->cache_pos) return true;
    switch (kind_of(l)) {
    case TLS_OPENSSL: return SSL_pending(pvio->ctls->ssl) > 0;
    case TLS_GNUTLS: return gnutls_pending(pvio->ctls->ssl) > 0;
    default: return false;
    }
}

/* ---------------------------------------------------------------- taking over */

wb_code my_net_open(my_link *l, wb_error *err)
{
    MARIADB_PVIO *pvio = l->my->net.pvio;
    tls_kind kind = kind_of(l);
    my_net_close(l);
    l->heard_us = wb_mono_us();
    if (kind == TLS_OTHER) {
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                "MariaDB Connector/C was built with a TLS library that is not known: %s.", tls_name);
        wb_hint(err, "With OpenSSL or GnuTLS the log can be read over TLS; without TLS (ssl-mode=disabled) with any.");
        return WB_E_UNSUPPORTED;
    }
    if (!pvio || kind == TLS_GNUTLS || l->my->net.compress || WB_FAULT("mysql.library_reads"))
        return WB_OK; /* the Connector reads */
    SSL *tls = kind == TLS_OPENSSL ? pvio->ctls->ssl : NULL;
    struct my_net *k = calloc(1, sizeof *k);
    if (!k) return my_nomem(err);
    l->net = k;
    k->fd = my_link_fd(l);
    k->tls = tls;
    if (!my_packets_init(&k->packets, BUFFER, (uint8_t)l->my->net.pkt_nr)) return my_nomem(err);
    size_t room, ahead = pvio->cache ? (size_t)(pvio->cache + pvio->cache_size - pvio->cache_pos) : 0;
    uint8_t *to = my_packets_room(&k->packets, &room);
    if (ahead > room) return wb_fail(err, WB_E_INTERNAL, WB_RECONNECT, "The Connector has read too far ahead.");
    if (ahead) memcpy(to, pvio->cache_pos, ahead); /* what it has read already comes first */
    my_packets_add(&k->packets, ahead);
    if (ahead) pvio->cache_pos += ahead;
    int flags = fcntl(k->fd, F_GETFL);
    if (flags < 0 || fcntl(k->fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return wb_fail_errno(err, errno, "cannot set the connection to not wait");
    if (tls) SSL_set_read_ahead(tls, 1); /* half as many system calls */
    return WB_OK;
}

void my_net_close(my_link *l)
{
    if (!l->net) return;
    my_packets_fini(&l->net->packets);
    free(l->net);
    l->net = NULL;
}

/* ---------------------------------------------------------------- reading */

static wb_code broke(my_link *l, const char *how, wb_error *err)
{
    if (my_link_stopped(l)) return my_fail_stopped(err);
    l->broken = true;
    return wb_fail(err, WB_E_NET, WB_RECONNECT, "The connection to %s broke while its log was read: %s.", my_brand(l),
                   how);
}

static const char *ended(const my_link *l)
{
    return my_packets_within(&l->net->packets) ? "it was closed in the midst of a packet" : "it was closed";
}

static wb_code read_socket(my_link *l, uint8_t *to, size_t cap, size_t *n, wb_error *err)
{
    ssize_t got;
    char text[120];
    do got = recv(l->net->fd, to, cap, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return WB_AGAIN;
    if (got < 0) return broke(l, strerror_r(errno, text, sizeof text), err);
    if (got == 0) return broke(l, ended(l), err);
    *n = (size_t)got;
    return WB_OK;
}

static wb_code fail_tls(my_link *l, int why, int sys, wb_error *err)
{
    char text[200];
    unsigned long said = ERR_get_error();
    if (said && ERR_GET_REASON(said) != SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_error_string_n(said, text, sizeof text);
        return broke(l, text, err);
    }
    bool by_system = why == SSL_ERROR_SYSCALL && sys && !said;
    return broke(l, by_system ? strerror_r(sys, text, sizeof text) : ended(l), err);
}

/* One record a call is what it gives: until there is no more, or no room. */
static wb_code read_tls(my_link *l, uint8_t *to, size_t cap, size_t *n, wb_error *err)
{
    SSL *tls = l->net->tls;
    while (*n < cap) {
        size_t got = 0;
        ERR_clear_error();
        int fine = SSL_read_ex(tls, to + *n, cap - *n, &got), sys = errno;
        if (fine) {
            *n += got;
            continue;
        }
        int why = SSL_get_error(tls, fine);
        if (why == SSL_ERROR_WANT_WRITE) { /* it has to answer something first (new keys) */
            struct pollfd fd = {l->net->fd, POLLOUT, 0};
            if (my_link_stopped(l)) return my_fail_stopped(err);
            (void)poll(&fd, 1, TICK_MS);
            continue;
        }
        if (why == SSL_ERROR_SYSCALL && sys == EINTR) continue;
        if (*n) return WB_OK; /* what came before it counts; then it is said again */
        return why == SSL_ERROR_WANT_READ ? WB_AGAIN : fail_tls(l, why, sys, err);
    }
    return WB_OK;
}

wb_code my_net_read(my_link *l, my_packet *out, wb_error *err)
{
    struct my_net *k = l->net;
    for (;;) {
        wb_code code = my_packets_next(&k->packets, out, err);
        if (code != WB_AGAIN) {
            if (code != WB_OK) l->broken = true;
            return code;
        }
        size_t cap, n = 0;
        uint8_t *to = my_packets_room(&k->packets, &cap);
        code = k->tls ? read_tls(l, to, cap, &n, err) : read_socket(l, to, cap, &n, err);
        if (code != WB_OK) return code;
        my_packets_add(&k->packets, n);
        l->heard_us = wb_mono_us();
    }
}

/* conn.c: one connection to a broker: connecting so that a stop ends it, logging in, frames, and what refusals mean. */
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "targets/rabbitmq/rabbitmq.h"

/* Held for a store or one shutdown(2), never longer. */
static void lock(rq_conn *c)
{
    while (atomic_exchange_explicit(&c->lock, true, memory_order_acquire)) sched_yield();
}
static void unlock(rq_conn *c) { atomic_store_explicit(&c->lock, false, memory_order_release); }

static void know_fd(rq_conn *c, int fd)
{
    lock(c);
    c->fd = fd;
    c->has_fd = fd >= 0;
    unlock(c);
}

void rq_conn_interrupt(rq_conn *c)
{
    atomic_store(&c->interrupted, true);
    lock(c);
    if (c->has_fd) shutdown(c->fd, SHUT_RDWR);
    unlock(c);
}

/* ---------------------------------------------------------------- what went wrong */

wb_code rq_conn_refused(int number, amqp_bytes_t words, const char *doing, wb_error *err)
{
    static const struct {
        int number;
        wb_code code;
        wb_next next;
        const char *hint;
    } known[] = {
        {320, WB_E_NET, WB_RECONNECT, NULL},
        {402, WB_E_CONFIG, WB_NEVER, "The vhost is what comes after the last / of the url."},
        {403, WB_E_AUTH, WB_NEVER,
         "Look at user and password in the url, and give the user its rights: rabbitmqctl set_permissions -p VHOST "
         "USER configure write read; a user guest may only come from the same machine."},
        {404, WB_E_SERVER, WB_RECONNECT, "Declare it, or set `declare: create`."},
        {405, WB_E_SERVER, WB_RECONNECT, "Another connection has it for itself (an exclusive queue)."},
        {406, WB_E_SERVER, WB_NEVER,
         "What is there was declared otherwise (type, durable, arguments): write the same here, delete it, or set "
         "`declare: passive`."},
        {501, WB_E_PROTOCOL, WB_RECONNECT, NULL},
        {502, WB_E_PROTOCOL, WB_RECONNECT, NULL},
        {503, WB_E_PROTOCOL, WB_NEVER, "The exchange type needs a plugin of the broker, or is misspelled."},
        {506, WB_E_SERVER, WB_RECONNECT, NULL},
        {530, WB_E_AUTH, WB_NEVER, "Look at the vhost in the url: rabbitmqctl add_vhost NAME makes one."},
        {540, WB_E_UNSUPPORTED, WB_NEVER, "This broker does not know what is asked of it."},
        {541, WB_E_SERVER, WB_RECONNECT, NULL},
    };
    wb_code code = WB_E_SERVER;
    wb_next next = WB_RECONNECT;
    const char *hint = NULL, *text = words.bytes ? words.bytes : "";
    for (size_t i = 0; i < WB_COUNT(known); i++) {
        if (known[i].number != number) continue;
        code = known[i].code;
        next = known[i].next;
        hint = known[i].hint;
    }
    if (number == 530 && memmem(text, words.len, "limit", 5)) next = WB_RECONNECT;
    if (number == 406 && memmem(text, words.len, "message size", 12))
        hint = "Set `max_message` to what the broker takes, so that larger rows become dead letters, or raise the "
               "broker's max_message_size.";
    code = wb_fail(err, code, next, "RabbitMQ refuses %s: %.*s", doing, (int)WB_MIN(words.len, (size_t)300), text);
    if (err && !err->native[0]) snprintf(err->native, sizeof err->native, "%d", number);
    if (hint) wb_hint(err, "%s", hint);
    return code;
}

wb_code rq_conn_fail_status(const rq_conn *c, int status, const char *doing, wb_error *err)
{
    if (atomic_load(&c->interrupted)) return wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "Interrupted.");
    if (status == AMQP_STATUS_NO_MEMORY)
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory to talk to RabbitMQ.");
    if (status == AMQP_STATUS_TABLE_TOO_BIG)
        return wb_fail(err, WB_E_LIMIT, WB_NEVER, "The properties of a message do not fit into a frame of AMQP.");
    if (status == AMQP_STATUS_HEARTBEAT_TIMEOUT)
        return wb_fail(err, WB_E_NET, WB_RECONNECT, "RabbitMQ was silent for two heartbeats while %s.", doing);
    if (status == AMQP_STATUS_TIMEOUT)
        return wb_fail(err, WB_E_NET, WB_RECONNECT, "RabbitMQ did not answer in time while %s.", doing);
    return wb_fail(err, WB_E_NET, WB_RECONNECT, "The connection to RabbitMQ broke while %s: %s.", doing,
                   amqp_error_string2(status));
}

static wb_code refused_by(const amqp_method_t *m, const char *doing, wb_error *err)
{
    if (m->id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *k = m->decoded;
        return rq_conn_refused(k->reply_code, k->reply_text, doing, err);
    }
    if (m->id == AMQP_CHANNEL_CLOSE_METHOD) {
        const amqp_channel_close_t *k = m->decoded;
        return rq_conn_refused(k->reply_code, k->reply_text, doing, err);
    }
    return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "RabbitMQ answered %s with something unexpected.", doing);
}

wb_code rq_conn_reply(const rq_conn *c, amqp_rpc_reply_t reply, const char *doing, wb_error *err)
{
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) return WB_OK;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) return refused_by(&reply.reply, doing, err);
    return rq_conn_fail_status(c, reply.library_error, doing, err);
}

/* ---------------------------------------------------------------- connecting */

static bool stopped(const rq_conn *c) { return atomic_load(&c->interrupted) || wb_host_stopping(c->host); }

/* 0, or an errno. Looks for a stop ten times a second. */
static int wait_connected(const rq_conn *c, int fd, int64_t until)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int n = poll(&p, 1, 100), sys = 0;
        socklen_t len = sizeof sys;
        if (n > 0) return getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) ? errno : sys;
        if (n < 0 && errno != EINTR) return errno;
        if (stopped(c)) return ECANCELED;
        if (wb_mono_us() > until) return ETIMEDOUT;
    }
}

static int try_address(const rq_conn *c, const struct addrinfo *a, int64_t until, int *out)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol), on = 1, sys = 0;
    if (fd < 0) return errno;
    if (setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on) ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on))
        sys = errno;
    if (!sys && connect(fd, a->ai_addr, a->ai_addrlen))
        sys = errno == EINPROGRESS ? wait_connected(c, fd, until) : errno;
    if (sys)
        close(fd);
    else
        *out = fd;
    return sys;
}

static wb_code reach(rq_conn *c, const rq_settings *s, const char *host, int port, int *fd, wb_error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char service[8];
    int64_t until = wb_mono_us() + s->timeout_ms * 1000;
    snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(host, service, &hints, &list), sys = ENOENT;
    if (rc)
        return wb_fail(err, WB_E_NET, WB_RETRY, "The host %s of RabbitMQ is not known: %s.", host, gai_strerror(rc));
    for (const struct addrinfo *a = list; a && sys; a = a->ai_next) sys = try_address(c, a, until, fd);
    freeaddrinfo(list);
    if (!sys) return WB_OK;
    wb_fail(err, sys == ECANCELED ? WB_E_STOPPED : WB_E_NET, WB_RETRY, "RabbitMQ cannot be reached at %s:%d: %s.", host,
            port, strerror(sys));
    wb_hint(err, "Look whether the broker runs, and at host and port in the url.");
    return err ? err->code : WB_E_NET;
}

static wb_code fail_tls(const rq_conn *c, const rq_settings *s, int status, const char *host, wb_error *err)
{
    const char *why = rq_tls_why();
    if (!why && rq_tls_refused(s, err)) return WB_E_AUTH; /* TLS 1.2: within the handshake */
    if (status == AMQP_STATUS_TIMEOUT || !why) {
        wb_fail(err, WB_E_NET, WB_RETRY, "TLS with RabbitMQ at %s fails: %s.", host, amqp_error_string2(status));
        wb_hint(err, "Look whether this port of the broker speaks TLS (usually 5671), and at `tls_ca`.");
        return err ? err->code : WB_E_NET;
    }
    WB_UNUSED(c);
    wb_fail(err, WB_E_AUTH, WB_NEVER, "The certificate of RabbitMQ at %s is not accepted: %s.", host, why);
    wb_hint(err, "%s",
            s->ca ? "Look at `tls_ca`, and whether the certificate is made out to the host in the url."
                  : "Name the authority that signed it: `tls_ca: FILE`.");
    return WB_E_AUTH;
}

static wb_code open_socket(rq_conn *c, const rq_settings *s, const char *host, int port, wb_error *err)
{
    int fd = -1;
    wb_code code = reach(c, s, host, port, &fd, err);
    if (code != WB_OK) return code;
    amqp_socket_t *socket = s->url->tls ? amqp_ssl_socket_new(c->amqp) : amqp_tcp_socket_new(c->amqp);
    if (!socket || !s->url->tls) {
        if (!socket) {
            close(fd);
            return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to connect to RabbitMQ.");
        }
        amqp_tcp_socket_set_sockfd(socket, fd);
    } else { /* rabbitmq-c connects TLS itself; that the host answers is known */
        struct timeval limit = {.tv_sec = (time_t)(s->timeout_ms / 1000), .tv_usec = (s->timeout_ms % 1000) * 1000};
        close(fd);
        code = rq_tls_prepare(socket, s, host, err);
        if (code != WB_OK) return code;
        int status = amqp_socket_open_noblock(socket, host, port, &limit);
        if (status != AMQP_STATUS_OK) return fail_tls(c, s, status, host, err);
    }
    know_fd(c, amqp_get_sockfd(c->amqp));
    return WB_OK;
}

static amqp_table_entry_t entry_bool(const char *name)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name), {.kind = AMQP_FIELD_KIND_BOOLEAN, .value = {.boolean = 1}}};
}
static amqp_table_entry_t entry_text(const char *name, const char *text)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name),
                                {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = amqp_cstring_bytes(text)}}};
}

static wb_code log_in(rq_conn *c, const rq_settings *s, wb_error *err)
{
    amqp_table_entry_t can[] = {entry_bool("connection.blocked"), entry_bool("publisher_confirms"),
                                entry_bool("basic.nack"), entry_bool("consumer_cancel_notify")};
    amqp_table_entry_t about[] = {entry_text("product", "Walbrook"),
                                  entry_text("version", WB_VERSION),
                                  entry_text("connection_name", s->name ? s->name : "walbrook"),
                                  {amqp_cstring_bytes("capabilities"),
                                   {.kind = AMQP_FIELD_KIND_TABLE, .value = {.table = {WB_COUNT(can), can}}}}};
    amqp_table_t properties = {WB_COUNT(about), about};
    struct timeval limit = {.tv_sec = (time_t)(s->timeout_ms / 1000), .tv_usec = (s->timeout_ms % 1000) * 1000};
    const char *password = s->password ? s->password : s->url->password ? s->url->password : "guest";
    amqp_set_handshake_timeout(c->amqp, &limit);
    amqp_set_rpc_timeout(c->amqp, &limit);
    amqp_rpc_reply_t reply =
        amqp_login_with_properties(c->amqp, s->url->vhost, 0, RQ_FRAME, (int)(s->heartbeat_ms / 1000), &properties,
                                   AMQP_SASL_METHOD_PLAIN, s->url->user, password);
    wb_code code = rq_conn_reply(c, reply, "the login", err);
    if (code != WB_E_NET || !s->url->tls) return code;
    if (rq_tls_refused(s, err)) return WB_E_AUTH;
    wb_hint(err, "If it comes again: the broker may want another certificate of ours (`tls_cert`, `tls_key`).");
    return code;
}

wb_code rq_conn_open(rq_conn *c, wb_host *h, const rq_settings *s, wb_error *err)
{
    wb_error last;
    wb_code code = WB_E_NET;
    c->host = h;
    c->declares = false;
    wb_error_reset(&last);
    for (size_t i = 0; i < s->url->nhosts; i++) {
        size_t k = (c->which + i) % s->url->nhosts;
        wb_error_reset(&last);
        c->amqp = amqp_new_connection();
        if (!c->amqp) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory to connect to RabbitMQ.");
        code = open_socket(c, s, s->url->hosts[k].name, s->url->hosts[k].port, &last);
        if (code == WB_OK) code = log_in(c, s, &last);
        if (code == WB_OK) {
            c->which = k;
            return WB_OK;
        }
        rq_conn_close(c, false);
        if (stopped(c) || last.next == WB_NEVER) break;
    }
    if (err && err->code == WB_OK) *err = last;
    return code;
}

wb_code rq_conn_confirms(rq_conn *c, wb_error *err)
{
    amqp_channel_open(c->amqp, RQ_PUBLISH);
    wb_code code = rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), "to open a channel", err);
    if (code != WB_OK) return code;
    amqp_confirm_select(c->amqp, RQ_PUBLISH);
    return rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), "publisher confirms", err);
}

wb_code rq_conn_declares(rq_conn *c, wb_error *err)
{
    if (c->declares) return WB_OK;
    amqp_channel_close_ok_t seen = {0};
    int status = c->declared ? amqp_send_method(c->amqp, RQ_DECLARE, AMQP_CHANNEL_CLOSE_OK_METHOD, &seen) : 0;
    c->declared = false;
    if (status != AMQP_STATUS_OK) return rq_conn_fail_status(c, status, "opening a channel", err);
    amqp_channel_open(c->amqp, RQ_DECLARE);
    wb_code code = rq_conn_reply(c, amqp_get_rpc_reply(c->amqp), "to open a channel", err);
    c->declares = c->declared = code == WB_OK;
    return code;
}

void rq_conn_close(rq_conn *c, bool politely)
{
    if (!c->amqp) return;
    if (politely && !atomic_load(&c->interrupted)) {
        struct timeval limit = {.tv_sec = 1};
        amqp_set_rpc_timeout(c->amqp, &limit);
        amqp_connection_close(c->amqp, AMQP_REPLY_SUCCESS);
    }
    know_fd(c, -1);
    amqp_destroy_connection(c->amqp);
    c->amqp = NULL;
    c->declares = c->declared = false;
}

/* ---------------------------------------------------------------- frames */

wb_code rq_conn_frame(rq_conn *c, int ms, amqp_frame_t *frame, wb_error *err)
{
    struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    amqp_maybe_release_buffers(c->amqp);
    int status = amqp_simple_wait_frame_noblock(c->amqp, frame, &limit);
    if (status == AMQP_STATUS_TIMEOUT) return WB_AGAIN;
    if (status != AMQP_STATUS_OK) return rq_conn_fail_status(c, status, "waiting for confirmations", err);
    if (frame->frame_type != AMQP_FRAME_METHOD) return WB_OK;
    amqp_method_number_t id = frame->payload.method.id;
    if (id == AMQP_CONNECTION_CLOSE_METHOD || id == AMQP_CHANNEL_CLOSE_METHOD)
        return refused_by(&frame->payload.method, "to go on", err);
    return WB_OK;
}

const char *rq_server_property(const rq_conn *c, const char *name, char *out, size_t cap)
{
    const amqp_table_t *t = amqp_get_server_properties(c->amqp);
    snprintf(out, cap, "?");
    for (int i = 0; t && i < t->num_entries; i++) {
        const amqp_table_entry_t *e = &t->entries[i];
        if (e->key.len != strlen(name) || memcmp(e->key.bytes, name, e->key.len) != 0) continue;
        if (e->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(out, cap, "%.*s", (int)WB_MIN(e->value.value.bytes.len, cap),
                     (const char *)e->value.value.bytes.bytes);
    }
    return out;
}

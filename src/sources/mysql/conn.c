/* conn.c: one connection to a server, through MariaDB Connector/C. The library blocks; a stop must not wait for it. So
 * it connects on a thread of its own, which a stop leaves to itself; a statement is waited for in poll(); and
 * `interrupt` shuts down the sockets of all connections, which ends whatever blocks on them. */
#include "my.h"

#include <errmsg.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { TICK_MS = 50, MAX_PACKET = 1 << 30, LEAVE_US = 700000 };

/* Guards the table of sockets of every source: a number must not be shut down after it was closed and given away. */
static pthread_mutex_t links_mutex = PTHREAD_MUTEX_INITIALIZER;

bool my_link_stopped(const my_link *l)
{
    return atomic_load_explicit(&l->s->interrupted, memory_order_relaxed) || wb_host_stopping(l->h);
}

const char *my_brand(const my_link *l) { return l->flavor == MY_MARIADB ? "MariaDB" : "MySQL"; }
int my_link_fd(const my_link *l) { return (int)mysql_get_socket(l->my); }

/* ---------------------------------------------------------------- what the server and the library say */

static void clean_text(const char *text, char *out, size_t cap)
{
    size_t n = 0;
    for (const char *p = text; *p && n + 1 < cap; p++) {
        char c = *p == '\n' || *p == '\t' || *p == '\r' ? ' ' : *p;
        if (c == ' ' && (n == 0 || out[n - 1] == ' ')) continue;
        out[n++] = c;
    }
    while (n && (out[n - 1] == ' ' || out[n - 1] == '.')) n--;
    out[n] = 0;
}

static void set_native(wb_error *err, MYSQL *my)
{
    if (!err) return;
    err->sys = (int32_t)mysql_errno(my);
    const char *state = mysql_sqlstate(my);
    if (state && strlen(state) < sizeof err->native) memcpy(err->native, state, strlen(state) + 1);
}

wb_code my_fail(my_link *l, const char *why, wb_error *err)
{
    char text[400];
    unsigned number = l->my ? mysql_errno(l->my) : CR_SERVER_GONE_ERROR;
    if (my_link_stopped(l)) return my_fail_stopped(err);
    clean_text(l->my ? mysql_error(l->my) : "", text, sizeof text);
    const my_class *c = my_classify_client(number, text, true);
    bool fresh = err && err->code == WB_OK;
    if (c->code == WB_E_NET)
        wb_fail(err, c->code, c->next, "The connection to %s broke while it was asked %s: %s.", my_brand(l), why,
                text[0] ? text : "it was closed");
    else
        wb_fail(err, c->code, c->next, "%s refused %s: %s.", my_brand(l), why, text);
    if (c->code == WB_E_NET) l->broken = true;
    if (fresh && l->my) set_native(err, l->my);
    if (c->hint) wb_hint(err, "%s", c->hint);
    return c->code;
}

/* ---------------------------------------------------------------- connecting */

typedef struct attempt { /* lives until both the asker and the thread have let go of it */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool done, given_up, good;
    MYSQL *my;
    wb_arena arena; /* what `url` points to */
    my_url url;
} attempt;

static void attempt_free(attempt *t)
{
    if (t->my) mysql_close(t->my);
    wb_arena_fini(&t->arena);
    pthread_mutex_destroy(&t->mutex);
    pthread_cond_destroy(&t->cond);
    free(t);
}

static void *connect_main(void *arg)
{
    attempt *t = arg;
    const my_url *u = &t->url;
    mysql_thread_init();
    MYSQL *done =
        mysql_real_connect(t->my, u->socket ? NULL : u->host, u->user, u->password, NULL, u->port, u->socket, 0);
    mysql_thread_end();
    pthread_mutex_lock(&t->mutex);
    t->done = true;
    t->good = done != NULL;
    bool mine = t->given_up;
    pthread_cond_signal(&t->cond);
    pthread_mutex_unlock(&t->mutex);
    if (mine) attempt_free(t);
    return NULL;
}

static const char *system_ca(void)
{
    static const char *const known[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                        "/etc/ssl/cert.pem", NULL};
    for (size_t i = 0; known[i]; i++)
        if (access(known[i], R_OK) == 0) return known[i];
    return NULL;
}

static wb_code set_tls(MYSQL *my, const my_url *u, bool tls, wb_error *err)
{
    my_bool on = tls, verify = u->tls == MY_TLS_VERIFY_FULL;
    const char *ca = u->ca;
    if (!ca && u->tls >= MY_TLS_VERIFY_CA) {
        ca = system_ca();
        if (!ca)
            return wb_fail(
                err, WB_E_CONFIG, WB_NEVER,
                "ssl-mode wants the server's certificate checked, and no authorities are known: give ssl-ca.");
    }
    const char *const files[] = {u->ca, u->cert, u->key};
    for (size_t i = 0; i < WB_COUNT(files); i++)
        if (tls && files[i] && access(files[i], R_OK) != 0)
            return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The file %s, which the url names, cannot be read.", files[i]);
    (void)mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &on);
    (void)mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    if (!tls) return WB_OK;
    if (ca) (void)mysql_optionsv(my, MYSQL_OPT_SSL_CA, ca);
    if (u->cert) (void)mysql_optionsv(my, MYSQL_OPT_SSL_CERT, u->cert);
    if (u->key) (void)mysql_optionsv(my, MYSQL_OPT_SSL_KEY, u->key);
    if (u->tls_version) (void)mysql_optionsv(my, MARIADB_OPT_TLS_VERSION, u->tls_version);
    return WB_OK;
}

static wb_code prepare(attempt *t, const my_link *l, bool tls, wb_error *err)
{
    MYSQL *my = t->my;
    unsigned connect = (unsigned)t->url.connect_timeout, io = 300;
    size_t packet = MAX_PACKET;
    my_bool off = 0;
    char name[128];
    if (l->streams) io = (unsigned)(l->s->heartbeat_ms * 3 / 1000 + 5);
    (void)snprintf(name, sizeof name, "walbrook %s", wb_host_pipeline(l->h) ? wb_host_pipeline(l->h) : "");
    (void)mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
    (void)mysql_optionsv(my, MYSQL_OPT_READ_TIMEOUT, &io);
    (void)mysql_optionsv(my, MYSQL_OPT_WRITE_TIMEOUT, &io);
    (void)mysql_optionsv(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    (void)mysql_optionsv(my, MYSQL_OPT_RECONNECT, &off);
    (void)mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, NULL);
    (void)mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    (void)mysql_optionsv(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", name);
    unsigned tcp = MYSQL_PROTOCOL_TCP; /* "localhost" would be a socket somewhere */
    if (!t->url.socket) (void)mysql_optionsv(my, MYSQL_OPT_PROTOCOL, &tcp);
    if (t->url.public_key) (void)mysql_optionsv(my, MYSQL_SERVER_PUBLIC_KEY, t->url.public_key);
    return set_tls(my, &t->url, tls, err);
}

/* The thread is done, or nobody waits for it any more. A stop lets it finish when the network answers: the process must
 * not end while it is inside the TLS library. One that is left behind sleeps on a silent network. */
static bool await_attempt(attempt *t, const my_link *l)
{
    int64_t stop_us = 0;
    pthread_mutex_lock(&t->mutex);
    while (!t->done) {
        if (my_link_stopped(l) && !stop_us) stop_us = wb_mono_us();
        if (stop_us && wb_mono_us() - stop_us > LEAVE_US) break;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&t->cond, &t->mutex, &until);
    }
    bool done = t->done;
    t->given_up = !done;
    pthread_mutex_unlock(&t->mutex);
    return done;
}

static attempt *attempt_new(const my_source *s, wb_error *err)
{
    attempt *t = calloc(1, sizeof *t);
    if (!t) {
        (void)my_nomem(err);
        return NULL;
    }
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->cond, NULL);
    wb_arena_init(&t->arena, 1024, 0);
    t->my = mysql_init(NULL);
    wb_code code = t->my ? my_url_parse(s->url, &t->arena, &t->url, err) : my_nomem(err);
    if (!t->url.password) t->url.password = getenv("MYSQL_PWD");
    if (code == WB_OK) return t;
    attempt_free(t);
    return NULL;
}

static wb_code fail_connect(attempt *t, my_link *l, wb_error *err)
{
    char text[400];
    unsigned number = mysql_errno(t->my);
    const my_url *u = &t->url;
    clean_text(mysql_error(t->my), text, sizeof text);
    const my_class *c = my_classify_client(number, text, false);
    bool fresh = err && err->code == WB_OK;
    bool far = number == CR_CONN_HOST_ERROR || number == CR_CONNECTION_ERROR || number == CR_UNKNOWN_HOST;
    if (u->socket)
        wb_fail(err, c->code, c->next, "Cannot connect to MySQL through %s: %s.", u->socket, text);
    else
        wb_fail(err, c->code, c->next, "Cannot connect to MySQL at %s port %u: %s.", u->host, u->port, text);
    if (fresh) set_native(err, t->my);
    if (c->hint) wb_hint(err, "%s", c->hint);
    if (far) wb_hint(err, "Check that the server runs, and host and port in the url.");
    WB_UNUSED(l);
    return c->code;
}

static void enter(my_link *l)
{
    pthread_mutex_lock(&links_mutex);
    for (int i = 0; i < MY_LINKS && l->place < 0; i++) {
        if (l->s->links[i]) continue;
        l->s->links[i] = my_link_fd(l) + 1;
        l->place = i;
    }
    pthread_mutex_unlock(&links_mutex);
}

void my_interrupt_links(my_source *s)
{
    pthread_mutex_lock(&links_mutex);
    for (int i = 0; i < MY_LINKS; i++)
        if (s->links[i]) (void)shutdown(s->links[i] - 1, SHUT_RDWR);
    pthread_mutex_unlock(&links_mutex);
}

/* Text for everything that follows: values print as schema.h expects them, and nothing times out on us. */
static wb_code set_session(my_link *l, wb_error *err)
{
    static const char sql[] =
        "SET SESSION sql_mode = 'NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', wait_timeout = 31536000,"
        " net_write_timeout = 31536000, net_read_timeout = 31536000, lock_wait_timeout = 20";
    l->version = (int)mysql_get_server_version(l->my);
    l->flavor = strstr(mysql_get_server_info(l->my), "MariaDB") ? MY_MARIADB : MY_MYSQL;
    bool old = l->flavor == MY_MARIADB ? l->version < 100200 : l->version < 50700;
    if (old)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "The server is %s %s; MySQL 5.7 or MariaDB 10.4 are needed.",
                       my_brand(l), mysql_get_server_info(l->my));
    wb_code code = my_do(l, "to set the session", sql, err);
    if (code == WB_OK) code = my_do(l, "for UTF-8", "SET NAMES utf8mb4", err);
    if (code == WB_OK && l->flavor == MY_MARIADB)
        code = my_do(l, "to set timeouts", "SET SESSION max_statement_time = 0", err);
    return code;
}

static wb_code try_once(my_link *l, bool tls, bool *no_tls, wb_error *err)
{
    attempt *t = attempt_new(l->s, err);
    pthread_t thread;
    if (!t) return err ? err->code : WB_E_NOMEM;
    wb_code code = prepare(t, l, tls, err);
    int rc = code == WB_OK ? pthread_create(&thread, NULL, connect_main, t) : 0;
    if (code == WB_OK && rc) code = wb_fail_errno(err, rc, "cannot start a thread");
    if (code != WB_OK) {
        attempt_free(t);
        return code;
    }
    if (!await_attempt(t, l)) {
        pthread_detach(thread);
        return my_fail_stopped(err);
    }
    pthread_join(thread, NULL);
    *no_tls = t->url.tls == MY_TLS_PREFERRED && mysql_errno(t->my) == CR_SSL_CONNECTION_ERROR;
    if (t->good) {
        l->my = t->my;
        t->my = NULL;
        enter(l);
    } else if (!tls || !*no_tls) {
        code = fail_connect(t, l, err);
    } else {
        code = WB_E_AUTH;
    }
    attempt_free(t);
    return code;
}

wb_code my_link_open(my_link *l, my_source *s, wb_host *h, bool streams, wb_error *err)
{
    *l = (my_link){.s = s, .h = h, .place = -1, .streams = streams};
    if (my_link_stopped(l)) return my_fail_stopped(err);
    wb_arena a;
    my_url u;
    wb_arena_init(&a, 1024, 0);
    wb_code code = my_url_parse(s->url, &a, &u, err);
    my_tls tls = u.tls;
    wb_arena_fini(&a);
    if (code != WB_OK) return code;
    bool no_tls = false;
    code = try_once(l, tls != MY_TLS_DISABLED, &no_tls, err);
    if (code != WB_OK && no_tls) code = try_once(l, false, &no_tls, err);
    if (code == WB_OK) code = set_session(l, err);
    if (code != WB_OK) my_link_close(l);
    return code;
}

void my_link_close(my_link *l)
{
    my_net_close(l);
    if (l->my) {
        pthread_mutex_lock(&links_mutex);
        int fd = l->place >= 0 ? l->s->links[l->place] - 1 : -1;
        if (l->place >= 0) l->s->links[l->place] = 0;
        pthread_mutex_unlock(&links_mutex);
        if (fd >= 0 && (l->broken || l->streams || my_link_stopped(l)))
            (void)shutdown(fd, SHUT_RDWR); /* mysql_close says goodbye, which could block */
        mysql_close(l->my);
    }
    l->my = NULL;
    l->place = -1;
}

/* ---------------------------------------------------------------- asking */

/* Until the answer begins to come. */
static wb_code await_answer(my_link *l, wb_error *err)
{
    struct pollfd fd = {my_link_fd(l), POLLIN, 0};
    while (!my_link_buffered(l) && poll(&fd, 1, TICK_MS) <= 0) {
        if (!my_link_stopped(l)) continue;
        l->broken = true;
        return my_fail_stopped(err);
    }
    return WB_OK;
}

static wb_code ask(my_link *l, const char *why, const char *sql, wb_error *err)
{
    if (!sql) return my_nomem(err);
    if (!l->my || l->broken) return wb_fail(err, WB_E_NET, WB_RECONNECT, "There is no connection to %s.", my_brand(l));
    if (my_link_stopped(l)) return my_fail_stopped(err);
    if (mysql_send_query(l->my, sql, strlen(sql)) != 0) return my_fail(l, why, err);
    wb_code code = await_answer(l, err);
    if (code == WB_OK && mysql_read_query_result(l->my) != 0) code = my_fail(l, why, err);
    return code;
}

wb_code my_query(my_link *l, const char *why, const char *sql, MYSQL_RES **out, wb_error *err)
{
    if (out) *out = NULL;
    wb_code code = ask(l, why, sql, err);
    if (code != WB_OK) return code;
    MYSQL_RES *res = mysql_store_result(l->my);
    if (!res && mysql_errno(l->my)) return my_fail(l, why, err);
    if (out && !res)
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "%s gave no rows when asked %s.", my_brand(l), why);
    if (out)
        *out = res;
    else if (res)
        mysql_free_result(res);
    return WB_OK;
}

wb_code my_do(my_link *l, const char *why, const char *sql, wb_error *err) { return my_query(l, why, sql, NULL, err); }

wb_code my_rows(my_link *l, const char *why, const char *sql, MYSQL_RES **out, wb_error *err)
{
    *out = NULL;
    wb_code code = ask(l, why, sql, err);
    if (code != WB_OK) return code;
    *out = mysql_use_result(l->my);
    return *out ? WB_OK : my_fail(l, why, err);
}

wb_code my_one(my_link *l, const char *why, const char *sql, char *out, size_t cap, wb_error *err)
{
    MYSQL_RES *res;
    out[0] = 0;
    wb_code code = my_query(l, why, sql, &res, err);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    if (row && row[0]) (void)snprintf(out, cap, "%s", row[0]);
    mysql_free_result(res);
    return WB_OK;
}

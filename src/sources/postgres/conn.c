/* conn.c: one connection to a server: made, asked and broken without ever blocking longer than an interrupt allows.
 * Used by every file of the source that talks. The session settings below fix the text form of values (types.h). */
#include "pg.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "classify.h"

enum { TICK_MS = 100, CONNECT_SECONDS = 10, MAX_KEYWORDS = 80 };

static const char pinned[] = "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 "
                             "-c bytea_output=hex -c lc_monetary=C -c search_path=pg_catalog -c statement_timeout=0 "
                             "-c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c row_security=off";

wb_code pg_nomem(wb_error *err) { return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory left."); }

bool pg_stopped(const pg_source *s, wb_host *h)
{
    return atomic_load_explicit(&s->interrupted, memory_order_relaxed) || wb_host_stopping(h);
}

const char *pg_link_no_encoding(const pg_link *l)
{
    const char *encoding = l->pg ? PQparameterStatus(l->pg, "server_encoding") : NULL;
    if (!encoding || strcmp(encoding, "SQL_ASCII") != 0) return NULL;
    return "the database has no encoding (SQL_ASCII): what is not UTF-8 in its texts becomes U+FFFD in JSON; SQLite "
           "gets the bytes as they are";
}

bool pg_link_stopped(const pg_link *l)
{
    return l->deadline_us ? wb_mono_us() > l->deadline_us : pg_stopped(l->s, l->h);
}

wb_code pg_fail_stopped(wb_error *err) { return wb_fail(err, WB_E_STOPPED, WB_RETRY, "Stopped on request."); }

/* ---------------------------------------------------------------- what the server and libpq say */

/* Replace every `secret` in z by "***", in place (a secret of three bytes or more). */
static void hide(char *z, const char *secret)
{
    size_t n = secret ? strlen(secret) : 0;
    if (n < 3) return;
    for (char *at = strstr(z, secret); at; at = strstr(at + 3, secret)) {
        memcpy(at, "***", 3);
        memmove(at + 3, at + n, strlen(at + n) + 1);
    }
}

void pg_clean_text(const PGconn *pg, const char *text, char *out, size_t cap)
{
    size_t n = 0;
    const char *place = strstr(text, "\nLOCATION:"); /* the server's own source line: noise */
    if (!place) place = strstr(text, "\n\tIs the server running");
    if (!place) place = strstr(text, "\n\tThis probably means");
    size_t len = place ? (size_t)(place - text) : strlen(text);
    char state[6];
    pg_sqlstate_in(text, state);
    for (size_t i = 0; i < len && n + 1 < cap; i++) {
        char c = text[i];
        if (state[0] && strncmp(text + i, state, 5) == 0 && text[i + 5] == ':') {
            i += 5;
            state[0] = 0;
            continue;
        }
        if (c == '\n' || c == '\t' || c == '\r') c = ' ';
        if (c == ' ' && (n == 0 || out[n - 1] == ' ')) continue;
        out[n++] = c;
    }
    while (n && (out[n - 1] == ' ' || out[n - 1] == '.')) n--;
    out[n] = 0;
    if (pg) hide(out, PQpass(pg));
}

static void set_native(wb_error *err, const char *state)
{
    if (err && state && strlen(state) < sizeof err->native) memcpy(err->native, state, strlen(state) + 1);
}

wb_code pg_fail_result(pg_link *l, const PGresult *res, const char *why, wb_error *err)
{
    char text[400];
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    if (!state || !state[0]) {
        pg_clean_text(l->pg, l->pg ? PQerrorMessage(l->pg) : "", text, sizeof text);
        return wb_fail(err, WB_E_NET, WB_RECONNECT, "The connection to PostgreSQL broke while it was asked %s: %s.",
                       why, text[0] ? text : "it was closed");
    }
    const pg_class *c = pg_classify(state);
    pg_clean_text(l->pg, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY), text, sizeof text);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    char more[200] = "";
    if (detail) pg_clean_text(l->pg, detail, more, sizeof more);
    bool fresh = err && err->code == WB_OK;
    bool gap = c->next == WB_RESNAPSHOT && l->s->snapshot_mode != SQL_SNAP_WHEN_NEEDED; /* nobody asked for that */
    wb_fail(err, c->code, gap ? WB_NEVER : c->next, "PostgreSQL refused %s: %s%s%s.", why, text, more[0] ? ". " : "",
            more);
    if (fresh) set_native(err, state);
    if (gap) wb_hint(err, "A new snapshot: `walbrook run --resnapshot TARGET`; or set `snapshot: when_needed`.");
    if (c->hint) wb_hint(err, "%s", c->hint);
    return c->code;
}

/* Poolers refuse what replication and our session settings need, each in its own words. */
static wb_code fail_pooler(const char *which, const char *text, wb_error *err)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER,
            "What answers at this address is a connection pooler (%s), not PostgreSQL itself: %s.", which, text);
    wb_hint(err, "Replication cannot go through a pooler: give the server's own address and port in `url`.");
    return WB_E_CONFIG;
}

/* A connection that could not be made. */
static wb_code fail_connect(PGconn *pg, wb_error *err)
{
    char text[400], state[6];
    const char *raw = PQerrorMessage(pg);
    pg_sqlstate_in(raw, state);
    pg_clean_text(pg, raw, text, sizeof text);
    if (strstr(raw, "unsupported startup parameter")) return fail_pooler("pgbouncer", text, err);
    if (strstr(raw, "RDS Proxy")) return fail_pooler("RDS Proxy", text, err);
    if (PQconnectionNeedsPassword(pg)) {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "PostgreSQL asks for a password, and there is none: %s.", text);
        wb_hint(err, "Set PGPASSWORD, add a line to ~/.pgpass, or write ${file:/run/secrets/...} into the url.");
        return WB_E_AUTH;
    }
    if (!state[0] && (strstr(raw, "certificate") || strstr(raw, "does not support SSL"))) {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "The encrypted connection that `sslmode` asks for could not be made: %s.",
                text);
        wb_hint(err, "Look at sslmode and sslrootcert in the url, and at ssl in the server's postgresql.conf.");
        return WB_E_AUTH;
    }
    if (!state[0] && strncmp(raw, "invalid ", 8) == 0)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url cannot be used: %s.", text);
    if (strcmp(state, "42501") == 0) {
        wb_fail(err, WB_E_AUTH, WB_NEVER, "The user %s may not replicate: %s.", PQuser(pg), text);
        wb_hint(err, "Run ALTER ROLE \"%s\" WITH REPLICATION; as a superuser.", PQuser(pg));
        return WB_E_AUTH;
    }
    const pg_class *c = pg_classify(state);
    bool fresh = err && err->code == WB_OK;
    wb_fail(err, c->code, c->next, "Cannot connect to PostgreSQL: %s.", text);
    if (fresh) set_native(err, state);
    if (c->hint)
        wb_hint(err, "%s", c->hint);
    else if (!state[0])
        wb_hint(err, "Check that the server runs, and host and port in the url.");
    return c->code;
}

static void on_notice(void *arg, const PGresult *res)
{
    pg_link *l = arg; /* libpq would print it */
    char text[300];
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (!primary) return;
    pg_clean_text(l->pg, primary, text, sizeof text);
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    bool warn = severity && strcmp(severity, "WARNING") == 0;
    wb_host_log(l->h, warn ? WB_LOG_WARN : WB_LOG_DEBUG, "PostgreSQL says: %s", text);
}

/* ---------------------------------------------------------------- connecting */

typedef struct params {
    const char *key[MAX_KEYWORDS], *value[MAX_KEYWORDS];
    size_t n;
    long timeout;
    bool failed;
} params;

static void add(params *p, const char *key, const char *value)
{
    if (p->n + 1 >= MAX_KEYWORDS) {
        p->failed = true;
        return;
    }
    p->key[p->n] = key;
    p->value[p->n++] = value;
}

/* libpq quotes pieces of a url that it cannot read, which may be pieces of a password. */
static wb_code fail_url(const char *url, const char *text, wb_error *err)
{
    char clean[300];
    bool secret = strchr(url, '@') || strstr(url, "password");
    pg_clean_text(NULL, text ? text : "", clean, sizeof clean);
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url cannot be read%s%s.", secret ? "" : ": ", secret ? "" : clean);
    wb_hint(err, "Write postgres://user@host:5432/database or \"host=... dbname=...\"; in a password write %%40 for @, "
                 "%%2F for /, %%3A for :, %%3F for ? and %%23 for #.");
    return WB_E_CONFIG;
}

/* An unescaped @ / ? in the password shifts the host: libpq would send half of the password to the name server. */
static bool url_is_ambiguous(const char *url)
{
    const char *p = strstr(url, "://");
    if (!p || (strncmp(url, "postgres", 8) != 0)) return false;
    p += 3;
    const char *first = strchr(p, '@'), *last = strrchr(p, '@');
    if (!first) return false;
    const char *cut = p + strcspn(p, "/?#"), *query = strchr(p, '?');
    if (first > cut) return !query || first < query;    /* "@" in the path: a "/" stood in the password */
    return first != last && last < p + strcspn(p, "?"); /* a second one: before the host, or after a "/" */
}

static bool ours(const char *key)
{
    static const char *const keys[] = {"replication", "options", "client_encoding", "fallback_application_name", NULL};
    for (size_t i = 0; keys[i]; i++)
        if (strcmp(keys[i], key) == 0) return true;
    return false;
}

static void add_defaults(params *p, const PQconninfoOption *given)
{
    static const char *const wanted[][2] = {
        {"keepalives", "1"}, {"keepalives_idle", "30"}, {"keepalives_interval", "10"}, {"keepalives_count", "3"}};
    for (size_t i = 0; i < WB_COUNT(wanted); i++) {
        const PQconninfoOption *o = given;
        while (o->keyword && strcmp(o->keyword, wanted[i][0]) != 0) o++;
        if (!o->keyword || !o->val) add(p, wanted[i][0], wanted[i][1]);
    }
}

/* Seconds from the option, from PGCONNECT_TIMEOUT, or our own. */
static long timeout_of(const char *value)
{
    if (!value) value = getenv("PGCONNECT_TIMEOUT");
    if (!value || !value[0]) return CONNECT_SECONDS;
    char *end;
    long v = strtol(value, &end, 10);
    return *end || v <= 0 || v > 3600 ? CONNECT_SECONDS : v;
}

static wb_code poll_connect(pg_link *l, long seconds, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)seconds * 1000000;
    PostgresPollingStatusType st = PGRES_POLLING_WRITING;
    while (st != PGRES_POLLING_OK) {
        if (st == PGRES_POLLING_FAILED) return fail_connect(l->pg, err);
        if (pg_link_stopped(l)) return pg_fail_stopped(err);
        if (wb_mono_us() > until) {
            wb_fail(err, WB_E_NET, WB_RECONNECT, "Cannot connect to PostgreSQL at %s: no answer within %ld seconds.",
                    PQhost(l->pg) ? PQhost(l->pg) : "?", seconds);
            wb_hint(err, "Check host, port and firewall; connect_timeout in the url changes the time.");
            return WB_E_NET;
        }
        struct pollfd fd = {PQsocket(l->pg), st == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};
        if (poll(&fd, 1, TICK_MS) > 0) st = PQconnectPoll(l->pg);
    }
    return WB_OK;
}

/* A pooler that is told to ignore what it does not know drops our session settings, and values would look different. */
static wb_code check_pins(pg_link *l, wb_error *err)
{
    static const char expected[] = "ISO, YMD|ISO, DMY|ISO, MDY";
    static const char reset[] = "SET idle_session_timeout = 0; ", reset17[] = "SET transaction_timeout = 0; ";
    wb_out sql = {0};
    PGresult *res;
    if (l->version >= 140000) wb_out_z(&sql, reset);
    if (l->version >= 170000) wb_out_z(&sql, reset17);
    wb_out_z(&sql, "SELECT current_setting('IntervalStyle') || ' ' || current_setting('TimeZone') || ' ' ||"
                   " current_setting('extra_float_digits') || ' ' || current_setting('bytea_output') || ' ' ||"
                   " current_setting('search_path'), current_setting('DateStyle')");
    wb_code code = pg_query(l, "for its session settings", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    bool fine = PQntuples(res) && strcmp(PQgetvalue(res, 0, 0), "postgres UTC 3 hex pg_catalog") == 0 &&
                strstr(expected, PQgetvalue(res, 0, 1));
    PQclear(res);
    return fine ? WB_OK : fail_pooler("pgbouncer or the like", "it does not pass on our session settings", err);
}

static wb_code after_connect(pg_link *l, wb_error *err)
{
    (void)PQsetErrorVerbosity(l->pg, PQERRORS_DEFAULT);
    l->version = PQserverVersion(l->pg);
    if (l->version < 120000) {
        const char *says = PQparameterStatus(l->pg, "server_version");
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "The server is PostgreSQL %s; version 12 or newer is needed.",
                says ? says : "of an unknown version");
        wb_hint(err, "Upgrade the server; 11 and older get no security fixes either.");
        return WB_E_UNSUPPORTED;
    }
    wb_code code = check_pins(l, err);
    /* Without an encoding the server refuses to send what is not UTF-8, and nobody could read the log past it. */
    if (code == WB_OK && pg_link_no_encoding(l))
        code = pg_do(l, "to send texts as they are", "SET client_encoding = SQL_ASCII", err);
    return code;
}

/* What one address says to the parameters that all have in common. */
static wb_code try_host(pg_link *l, const params *common, const pg_hosts *hosts, size_t i, wb_error *err)
{
    params p = *common;
    if (hosts && hosts->host[i]) add(&p, "host", hosts->host[i]);
    if (hosts && hosts->addr[i]) add(&p, "hostaddr", hosts->addr[i]);
    if (hosts && hosts->port[i]) add(&p, "port", hosts->port[i]);
    if (p.failed) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url has too many parameters.");
    l->pg = PQconnectStartParams(p.key, p.value, 0);
    if (!l->pg) return pg_nomem(err);
    (void)PQsetErrorVerbosity(l->pg, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(l->pg, on_notice, l);
    if (PQstatus(l->pg) == CONNECTION_BAD) return fail_connect(l->pg, err);
    return poll_connect(l, p.timeout, err);
}

/* Another cluster altogether: identify() in open.c says so. */
static bool another_system(pg_link *l)
{
    unsigned long long known = atomic_load_explicit(&l->s->system, memory_order_relaxed);
    PGresult *res;
    wb_error ignored;
    wb_error_reset(&ignored);
    if (pg_query(l, "for its identifier", "SELECT system_identifier FROM pg_control_system()", &res, &ignored) != WB_OK)
        return false;
    bool another = known && (unsigned long long)strtoull(PQgetvalue(res, 0, 0), NULL, 10) != known;
    PQclear(res);
    return another;
}

/* The primary of before a failover that came back by itself calls itself a primary, too: its timeline tells. */
static wb_code check_left_behind(pg_link *l, wb_error *err)
{
    unsigned known = atomic_load_explicit(&l->s->timeline, memory_order_relaxed);
    PGresult *res;
    if (!known) return WB_OK;
    wb_code code = pg_query(l, "for its timeline",
                            "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE left(pg_walfile_name("
                            "pg_current_wal_lsn()), 8) END",
                            &res, err);
    if (code != WB_OK) return code;
    unsigned long is = PQgetisnull(res, 0, 0) ? known : strtoul(PQgetvalue(res, 0, 0), NULL, 16);
    PQclear(res);
    if (is >= known || another_system(l)) return WB_OK;
    wb_host_log(
        l->h, WB_LOG_WARN,
        "the server %s:%s is on timeline %lu, and the pipeline has read timeline %u: it is the primary of before "
        "a failover. Stop it, or make it a standby",
        PQhost(l->pg), PQport(l->pg), is, known);
    return wb_fail(err, WB_E_SERVER, WB_RECONNECT, "It is the primary of before a failover (timeline %lu, not %u).", is,
                   known);
}

/* One after the other, the one that was fine last first. Each has all of connect_timeout. */
static wb_code try_hosts(pg_link *l, const params *common, const pg_hosts *hosts, wb_error *err)
{
    char all[400] = "";
    size_t first = atomic_load_explicit(&l->s->good_host, memory_order_relaxed), said = 0;
    bool again = false;
    wb_error last;
    for (size_t k = 0; k < hosts->n; k++) {
        size_t i = (first + k) % hosts->n;
        wb_error_reset(&last);
        wb_code code = try_host(l, common, hosts, i, &last);
        if (code == WB_OK) code = check_left_behind(l, &last);
        if (code == WB_OK) {
            if (i != first) wb_host_log(l->h, WB_LOG_INFO, "connected to %s", hosts->host[i] ? hosts->host[i] : "?");
            atomic_store_explicit(&l->s->good_host, i, memory_order_relaxed);
            return WB_OK;
        }
        pg_link_close(l);
        if (code == WB_E_STOPPED) return pg_fail_stopped(err);
        again = again || last.next == WB_RECONNECT || last.next == WB_RETRY;
        int n = snprintf(all + said, sizeof all - said, "%s%s:%s: %s", said ? " " : "",
                         hosts->host[i] ? hosts->host[i] : hosts->addr[i], hosts->port[i] ? hosts->port[i] : "5432",
                         last.message);
        said = WB_MIN(said + (size_t)WB_MAX(n, 0), sizeof all - 1);
    }
    wb_fail(err, again ? WB_E_NET : last.code, again ? WB_RECONNECT : last.next,
            "None of the %zu servers of the url can be used. %s", hosts->n, all);
    wb_hint(err, "One of them must run and be the primary (or what target_session_attrs in the url asks for).");
    return err ? err->code : WB_E_NET;
}

/* Several hosts whose order is ours to keep; prefer-standby is libpq's own art. */
static bool takes_turns(const PQconninfoOption *given, pg_hosts *hosts)
{
    const char *v[4] = {NULL};
    static const char *const names[4] = {"host", "hostaddr", "port", "target_session_attrs"};
    for (const PQconninfoOption *o = given; o->keyword; o++)
        for (size_t i = 0; i < 4; i++)
            if (strcmp(o->keyword, names[i]) == 0) v[i] = o->val;
    if (v[3] && strcmp(v[3], "prefer-standby") == 0) return false;
    return pg_hosts_split(v[0], v[1], v[2], hosts) && hosts->n > 1;
}

static bool names_a_host(const char *key)
{
    return strcmp(key, "host") == 0 || strcmp(key, "hostaddr") == 0 || strcmp(key, "port") == 0;
}

static wb_code start_connect(pg_link *l, pg_role role, const PQconninfoOption *given, wb_error *err)
{
    pg_source *s = l->s;
    char app[128], options[1024];
    params p = {.timeout = CONNECT_SECONDS};
    pg_hosts hosts;
    bool turns = takes_turns(given, &hosts);
    const char *user_options = "", *timeout = NULL;
    if (turns) add(&p, "target_session_attrs", "primary"); /* the url's own comes later and wins */
    for (const PQconninfoOption *o = given; o->keyword; o++) {
        if (!o->val || (turns && names_a_host(o->keyword))) continue;
        if (strcmp(o->keyword, "options") == 0) user_options = o->val;
        if (strcmp(o->keyword, "connect_timeout") == 0) timeout = o->val;
        if (!ours(o->keyword) && !(s->tail && strcmp(o->keyword, "application_name") == 0)) add(&p, o->keyword, o->val);
    }
    if (s->tail && s->tail_name[0])
        (void)snprintf(app, sizeof app, "%s", s->tail_name);
    else
        (void)snprintf(app, sizeof app, "walbrook %s", wb_host_pipeline(l->h) ? wb_host_pipeline(l->h) : "");
    int n = snprintf(options, sizeof options, "%s%s%s", user_options, user_options[0] ? " " : "", pinned);
    if (n < 0 || (size_t)n >= sizeof options)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The `options` in the url are too long.");
    add(&p, "options", options);
    add(&p, "client_encoding", "UTF8");
    add(&p, s->tail ? "application_name" : "fallback_application_name", app);
    if (role == PG_REPLICATION) add(&p, "replication", "database");
    add_defaults(&p, given);
    p.timeout = timeout_of(timeout);
    return turns ? try_hosts(l, &p, &hosts, err) : try_host(l, &p, NULL, 0, err);
}

wb_code pg_link_open(pg_link *l, pg_source *s, wb_host *h, pg_role role, wb_error *err)
{
    *l = (pg_link){.s = s, .h = h, .deadline_us = l->deadline_us};
    if (pg_link_stopped(l)) return pg_fail_stopped(err);
    char *text = NULL;
    if (url_is_ambiguous(s->url)) return fail_url(s->url, "", err);
    PQconninfoOption *given = PQconninfoParse(s->url, &text);
    if (!given) {
        wb_code code = text ? fail_url(s->url, text, err) : pg_nomem(err);
        PQfreemem(text);
        return code;
    }
    wb_code code = start_connect(l, role, given, err);
    PQconninfoFree(given);
    if (code == WB_OK) code = after_connect(l, err);
    if (code != WB_OK) pg_link_close(l);
    return code;
}

void pg_link_close(pg_link *l)
{
    if (l->pg) PQfinish(l->pg);
    l->pg = NULL;
}

bool pg_link_same(const pg_link *a, const pg_link *b)
{
    return strcmp(PQhost(a->pg), PQhost(b->pg)) == 0 && strcmp(PQport(a->pg), PQport(b->pg)) == 0;
}

bool pg_link_dead(const pg_link *l) { return !l->pg || PQstatus(l->pg) == CONNECTION_BAD; }

/* ---------------------------------------------------------------- asking */

typedef struct cancelling { /* of two threads; the last one frees it */
    PGcancel *c;
    int done; /* eventfd */
    atomic_int users;
} cancelling;

static void leave(cancelling *k)
{
    if (atomic_fetch_sub(&k->users, 1) > 1) return;
    PQfreeCancel(k->c);
    if (k->done >= 0) close(k->done);
    free(k);
}

static void *cancel_main(void *arg)
{
    cancelling *k = arg;
    char text[256];
    uint64_t one = 1;
    (void)PQcancel(k->c, text, (int)sizeof text);
    ssize_t n = write(k->done, &one, sizeof one);
    WB_UNUSED(n); /* nobody may wait any more */
    leave(k);
    return NULL;
}

/* PQcancel connects and waits for the server, without a limit: a network that is silent would hold up the stop. So it
 * gets a thread of its own and half a second; after that the thread is left to itself. */
static void cancel(pg_link *l)
{
    enum { WAIT_MS = 500 };
    pthread_t t;
    cancelling *k = calloc(1, sizeof *k);
    if (!k) return;
    k->c = PQgetCancel(l->pg);
    k->done = eventfd(0, EFD_CLOEXEC);
    atomic_init(&k->users, 2);
    if (!k->c || k->done < 0 || pthread_create(&t, NULL, cancel_main, k) != 0) {
        atomic_store(&k->users, 1);
        leave(k);
        return;
    }
    struct pollfd fd = {k->done, POLLIN, 0};
    if (poll(&fd, 1, WAIT_MS) > 0)
        pthread_join(t, NULL);
    else
        pthread_detach(t);
    leave(k);
}

/* Until a result can be had without waiting. */
static wb_code await(pg_link *l, const pg_call *call, int64_t since, wb_error *err)
{
    bool cancelled = false;
    int64_t give_up = 0;
    while (PQisBusy(l->pg)) {
        struct pollfd fd = {PQsocket(l->pg), POLLIN, 0};
        int n = poll(&fd, 1, TICK_MS);
        if (n > 0 && !PQconsumeInput(l->pg)) return pg_fail_result(l, NULL, call->why, err);
        int64_t now = wb_mono_us();
        if (call->tick && n == 0) call->tick(call->arg, now - since);
        if (!cancelled && pg_link_stopped(l)) {
            cancel(l);
            cancelled = true;
            give_up = now + 800000;
        }
        if (cancelled && now > give_up) break;
    }
    return cancelled ? pg_fail_stopped(err) : WB_OK;
}

wb_code pg_run(pg_link *l, const pg_call *call, const char *sql, PGresult **out, wb_error *err)
{
    *out = NULL;
    if (!sql) return pg_nomem(err);
    if (!l->pg) return wb_fail(err, WB_E_NET, WB_RECONNECT, "There is no connection to PostgreSQL.");
    int64_t since = wb_mono_us();
    int sent =
        call->n ? PQsendQueryParams(l->pg, sql, call->n, NULL, call->values, NULL, NULL, 0) : PQsendQuery(l->pg, sql);
    if (!sent) return pg_fail_result(l, NULL, call->why, err);
    PGresult *last = NULL;
    for (;;) {
        wb_code code = await(l, call, since, err);
        if (code != WB_OK) {
            PQclear(last);
            return code;
        }
        PGresult *res = PQgetResult(l->pg);
        if (!res) break;
        ExecStatusType st = PQresultStatus(res);
        bool bad_before = last && PQresultStatus(last) == PGRES_FATAL_ERROR;
        if (bad_before) {
            PQclear(res); /* the first error tells */
            continue;
        }
        PQclear(last);
        last = res;
        if (st == PGRES_COPY_OUT || st == PGRES_COPY_BOTH || st == PGRES_COPY_IN) break;
    }
    ExecStatusType st = last ? PQresultStatus(last) : PGRES_FATAL_ERROR;
    if (st == PGRES_COMMAND_OK || st == PGRES_TUPLES_OK || st == PGRES_COPY_OUT || st == PGRES_COPY_BOTH) {
        *out = last;
        return WB_OK;
    }
    wb_code code = pg_fail_result(l, last, call->why, err);
    PQclear(last);
    return code;
}

wb_code pg_query(pg_link *l, const char *why, const char *sql, PGresult **out, wb_error *err)
{
    return pg_run(l, &(pg_call){.why = why}, sql, out, err);
}

wb_code pg_query1(pg_link *l, const char *why, const char *sql, const char *value, PGresult **out, wb_error *err)
{
    return pg_run(l, &(pg_call){.why = why, .n = 1, .values = &value}, sql, out, err);
}

wb_code pg_do(pg_link *l, const char *why, const char *sql, wb_error *err)
{
    PGresult *res;
    wb_code code = pg_query(l, why, sql, &res, err);
    PQclear(res);
    return code;
}

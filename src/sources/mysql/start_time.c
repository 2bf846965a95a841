/* start_time.c: `start: {time: …}`: the place in the log from which on the time has come: before the first transaction,
 * in the log's order, that was committed at that time or later. It is found by reading: times in the log need not be in
 * order, and everything after that place is delivered, so nothing committed since is lost. Called by open.c, once; from
 * there on the place counts. Source thread. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/calendar.h"
#include "base/fault.h"
#include "my.h"
#include "sources/sql/start.h"

/* How much earlier than the time the file that is read first must begin: by so much a clock that was set back, or,
 * where the log has the times at which statements began, a statement that ran for long, may lead astray. */
#define SECOND INT64_C(1000000)
#define BEFORE_COMMIT (3600 * SECOND)
#define BEFORE_START (86400 * SECOND)
enum { LOOK = 8 }; /* events at the head of a file */

typedef struct search {
    my_source *s;
    int64_t us;
    my_link link;
    my_decoder *decoder;
    my_gtid_set *set; /* of what is before the place; NULL: positions are files */
    bool whole;       /* the log said what was before it */
    char log[MY_FILE];
    uint64_t offset;
    bool early; /* the file that is read begins so long before the time that no other is needed */
    bool found;
    int64_t found_us, first_us; /* of the first transaction in what is read; 0: none yet */
} search;

static bool nobody(void *arg, wb_str schema, wb_str table)
{
    WB_UNUSED(arg);
    WB_UNUSED(schema);
    WB_UNUSED(table);
    return false;
}

/* ---------------------------------------------------------------- reading */

static wb_code open_dump(search *f, const char *file, wb_error *err)
{
    wb_out from = {0};
    my_pos p = {.flavor = f->s->server.flavor,
                .has_file = true,
                .lineage = f->s->server.lineage,
                .log = wb_str_of(file),
                .offset = MY_FIRST_EVENT};
    f->link = (my_link){.my = NULL};
    wb_code code = my_pos_make(&from, &p, NULL) ? WB_OK : my_nomem(err);
    if (code == WB_OK) code = my_link_open(&f->link, f->s, f->s->host, true, err);
    if (code == WB_OK) code = my_dump_start(f->s, &f->link, (wb_pos){from.p, from.len}, true, err);
    wb_out_fini(&from);
    return code;
}

/* The next event, or part of one. WB_END: the log's present end. */
static wb_code next_event(search *f, my_packet *p, wb_error *err)
{
    enum { TICK_MS = 50 };
    for (;;) {
        if (my_link_stopped(&f->link)) return my_fail_stopped(err);
        wb_code code = my_dump_read(&f->link, p, err);
        if (code != WB_AGAIN) return code;
        struct pollfd fd = {my_link_fd(&f->link), POLLIN, 0};
        (void)poll(&fd, 1, TICK_MS);
        code = my_dump_silent(&f->link, 0, err);
        if (code != WB_OK) return code;
    }
}

/* ---------------------------------------------------------------- which file to begin with */

typedef struct head {
    int64_t made_us, commit_us; /* commit: of its first transaction, where the log says it; 0: not */
} head;

static wb_code look_at_file(search *f, const char *file, head *out, wb_error *err)
{
    *out = (head){.made_us = 0};
    my_decoder_start(f->decoder, wb_str_of(file), MY_FIRST_EVENT, false);
    wb_code code = open_dump(f, file, err);
    for (int i = 0; code == WB_OK && i < LOOK && !out->commit_us; i++) {
        my_packet p;
        my_event ev = {.kind = MY_EV_NOTHING};
        code = next_event(f, &p, err);
        if (code == WB_OK) code = my_dump_feed(f->decoder, &p, &ev, err);
        if (code != WB_OK) break;
        if (ev.kind == MY_EV_GROUP) my_decoder_pass(f->decoder);
        if (ev.kind == MY_EV_FORMAT && !out->made_us) out->made_us = ev.timestamp * SECOND;
        if (ev.kind == MY_EV_NOTHING) out->commit_us = ev.commit_us;
    }
    my_link_close(&f->link);
    return code == WB_END ? WB_OK : code;
}

/* The newest that is old enough; else the oldest. */
static wb_code choose_file(search *f, const my_file *files, size_t n, size_t *chosen, head *of, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = n; i-- > 0 && code == WB_OK;) {
        code = look_at_file(f, files[i].name, of, err);
        *chosen = i;
        int64_t latest = of->commit_us ? of->commit_us + BEFORE_COMMIT : of->made_us + BEFORE_START;
        f->early = code == WB_OK && of->made_us && latest <= f->us;
        if (f->early) break;
    }
    return code;
}

/* ---------------------------------------------------------------- the place in it */

static void move_to(search *f, const my_event *ev)
{
    if (!ev->log.len || ev->log.len >= sizeof f->log || !ev->end) return;
    memcpy(f->log, ev->log.ptr, ev->log.len);
    f->log[ev->log.len] = 0;
    f->offset = ev->end;
}

/* One that comes before the place, or the place itself. */
static wb_code pass(search *f, const my_event *ev, wb_error *err)
{
    if (!f->first_us) f->first_us = ev->commit_us;
    f->found = my_event_since(ev, f->us);
    f->found_us = ev->commit_us;
    if (f->found) return WB_OK;
    if (ev->kind == MY_EV_GROUP) my_decoder_pass(f->decoder);
    if (f->set && ev->gtid.flavor != MY_UNKNOWN && !my_gtid_set_add(f->set, &ev->gtid)) return my_nomem(err);
    move_to(f, ev);
    return WB_OK;
}

static wb_code take(search *f, const my_packet *p, wb_error *err)
{
    my_event ev = {.kind = MY_EV_NOTHING};
    wb_code code = my_dump_feed(f->decoder, p, &ev, err);
    if (code != WB_OK) return code;
    if (ev.kind == MY_EV_GROUP || ev.kind == MY_EV_PREPARED) return pass(f, &ev, err);
    if (ev.kind == MY_EV_PREVIOUS && f->set && !f->whole) { /* that of the first file */
        f->whole = true;
        if (!my_gtid_set_copy(f->set, ev.set)) return my_nomem(err);
    }
    if (ev.kind == MY_EV_ROTATE || (ev.timestamp && !my_decoder_in_group(f->decoder))) move_to(f, &ev);
    return WB_OK;
}

/* XA transactions that are prepared and not decided at the place: with a set they come again. */
static wb_code leave_out_prepared(search *f, wb_error *err)
{
    my_gtid gtid;
    my_gtid_set *held = my_gtid_set_new();
    bool fine = held != NULL;
    for (size_t i = 0; fine && my_decoder_prepared_at(f->decoder, i, NULL, NULL, NULL, &gtid); i++)
        if (gtid.flavor == MY_MYSQL) fine = my_gtid_set_add(held, &gtid);
    if (fine && !my_gtid_set_empty(held)) fine = my_gtid_set_subtract(f->set, held);
    my_gtid_set_free(held);
    return fine ? WB_OK : my_nomem(err);
}

static wb_code make_decoder(search *f, wb_error *err)
{
    const my_hooks hooks = {.arg = f->s,
                            .wanted = nobody,
                            .spool_write = my_spool_write,
                            .spool_read = my_spool_read,
                            .spool_empty = my_spool_empty};
    const my_options options = {.max_row = (size_t)wb_host_max_row(f->s->host),
                                .kept = true,
                                .statements_pass = true,
                                .lower_names = f->s->server.lower_case == 1,
                                .unknown_xa = MY_UNKNOWN_SKIP,
                                .unknown_engine = MY_UNKNOWN_SKIP};
    f->decoder = my_decoder_new(&hooks, &options);
    return f->decoder ? WB_OK : my_nomem(err);
}

static wb_code read_from(search *f, const char *file, wb_error *err)
{
    my_decoder_start(f->decoder, wb_str_of(file), MY_FIRST_EVENT, false);
    (void)snprintf(f->log, sizeof f->log, "%s", file);
    f->offset = MY_FIRST_EVENT;
    wb_code code = open_dump(f, file, err);
    while (code == WB_OK && !f->found) {
        my_packet p;
        code = next_event(f, &p, err);
        if (code == WB_OK) code = take(f, &p, err);
    }
    my_link_close(&f->link);
    if (code == WB_END) code = WB_OK;
    return code == WB_OK && f->set ? leave_out_prepared(f, err) : code;
}

/* ---------------------------------------------------------------- all of it */

/* The first file that the server ever wrote, or wrote since RESET: nothing came before it. */
static bool is_first(const char *file)
{
    const char *dot = strrchr(file, '.');
    return dot && strtoull(dot + 1, NULL, 10) == 1;
}

/* Its oldest file must reach back to the time: from there on all that was committed is in the log. The file says when
 * it was made in whole seconds, and may say when the statement that filled the one before had begun. */
static wb_code check_oldest(const search *f, const char *file, const head *of, wb_error *err)
{
    char at[WB_TIME_TEXT], oldest[WB_TIME_TEXT];
    int64_t us = is_first(file) ? of->made_us : WB_MAX(of->made_us + SECOND, f->first_us);
    if (us <= f->us) return WB_OK;
    wb_fail(
        err, WB_E_GAP, WB_NEVER,
        "start: time is %s, and the server's oldest log file, %s, reaches back to %s only: what was committed before "
        "that is gone.",
        wb_time_text(f->us, at), file, wb_time_text(us, oldest));
    wb_hint(err,
            "Begin there, start: {time: %s}; or copy the tables (snapshot: initial), without `start`. Let the "
            "server keep its logs longer (binlog_expire_logs_seconds).",
            oldest);
    return WB_E_GAP;
}

static wb_code check_future(my_source *s, int64_t us, wb_error *err)
{
    char text[40];
    wb_code code =
        my_one(&s->side, "for its clock", "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))",
               text, sizeof text, err);
    if (code != WB_OK) return code;
    int64_t now = strtoll(text, NULL, 10);
    return us > now ? sql_start_ahead(us, now, err) : WB_OK;
}

static void say_found(const search *f)
{
    char at[WB_TIME_TEXT], first[WB_TIME_TEXT];
    wb_time_text(f->us, at);
    if (f->found)
        wb_host_log(f->s->host, WB_LOG_INFO,
                    "start: time %s is %s:%" PRIu64 ": the first transaction since then was committed at %s", at,
                    f->log, f->offset, wb_time_text(f->found_us, first));
    else
        wb_host_log(f->s->host, WB_LOG_INFO, "start: time %s is the log's end, %s:%" PRIu64 ": nothing came since then",
                    at, f->log, f->offset);
}

wb_code my_start_time(my_source *s, int64_t us, wb_out *out, wb_error *err)
{
    search f = {.s = s, .us = us};
    my_file *files;
    size_t n = 0, i = 0;
    head of = {.made_us = 0};
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    wb_code code = check_future(s, us, err);
    if (code == WB_OK) code = my_server_logs(&s->side, &a, &files, &n, err);
    if (code == WB_OK && !n) code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "The server has no binary log.");
    if (code == WB_OK && s->server.gtid && !(f.set = my_gtid_set_new())) code = my_nomem(err);
    if (code == WB_OK) code = make_decoder(&f, err);
    if (code == WB_OK) code = choose_file(&f, files, n, &i, &of, err);
    if (code == WB_OK) wb_host_log(s->host, WB_LOG_INFO, "looks for the start in the log, from %s on", files[i].name);
    if (code == WB_OK) code = read_from(&f, files[i].name, err);
    (void)WB_FAULT("mysql.start_time_found");
    if (code == WB_OK && !f.early) code = check_oldest(&f, files[0].name, &of, err);
    my_pos p = {.flavor = s->server.flavor,
                .has_file = true,
                .lineage = s->server.lineage,
                .log = wb_str_of(f.log),
                .offset = f.offset};
    if (code == WB_OK && !my_pos_make(out, &p, f.set)) code = my_nomem(err);
    if (code == WB_OK) say_found(&f);
    if (code == WB_OK) code = my_server_has(s, &s->side, &s->server, (wb_pos){out->p, out->len}, err);
    my_decoder_free(f.decoder);
    my_gtid_set_free(f.set);
    wb_arena_fini(&a);
    return code;
}

/* stream.c: the dump and the read loop. The loop reads lazily: sources/sql/lull.h. Without budget nothing is read;
 * after a while the connection is closed, so that the server does not hold a session for somebody who does not listen.
 * Source thread. */
#include "my.h"

#include <poll.h>
#include <stdio.h>

#include "base/clock.h"

enum { CLOSE_AFTER_US = 30000000, LOOK_EVERY = 255 };

static void notice(void *arg, const char *text)
{
    my_source *s = arg;
    wb_host_log(s->host, WB_LOG_WARN, "%s", text);
}

static wb_code make_decoder(my_source *s, wb_error *err)
{
    const my_hooks hooks = {.arg = s,
                            .wanted = my_track_wanted,
                            .table = my_track_table,
                            .spool_write = my_spool_write,
                            .spool_read = my_spool_read,
                            .spool_empty = my_spool_empty,
                            .notice = notice};
    const my_options options = {.max_row = (size_t)wb_host_max_row(s->host),
                                .kept = true,
                                .query = s->query,
                                .lower_names = s->server.lower_case == 1,
                                .policy = {(my_zero_dates)s->zero_dates, (my_bad_text)s->bad_text}};
    s->decoder = my_decoder_new(&hooks, &options);
    return s->decoder ? WB_OK : my_nomem(err);
}

wb_code my_stream_start(my_source *s, wb_pos from, wb_error *err)
{
    my_pos p;
    char text[120];
    if (!my_pos_read(from, &p))
        return wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a position that is damaged.");
    wb_code code = make_decoder(s, err);
    if (code == WB_OK) code = my_link_open(&s->dump, s, s->host, true, err);
    if (code == WB_OK) code = my_dump_start(s, &s->dump, from, false, err);
    if (code != WB_OK) return code;
    if (p.has_set) {
        s->set = my_gtid_set_new();
        if (!s->set || !my_pos_set(&p, s->set)) return my_nomem(err);
    }
    bool here = p.has_file && p.lineage == s->server.lineage;
    s->log[0] = 0;
    if (here && p.log.len < sizeof s->log) {
        memcpy(s->log, p.log.ptr, p.log.len);
        s->log[p.log.len] = 0;
        s->offset = p.offset;
    }
    my_decoder_start(s->decoder, wb_str_of(s->log), p.has_set ? 0 : p.offset, false);
    s->streaming = true;
    s->heard_us = wb_mono_us();
    (void)my_pos_render(from, text, sizeof text);
    wb_host_log(s->host, WB_LOG_INFO, "streams from %s as replica %u", text, s->server_id);
    return WB_OK;
}

/* ---------------------------------------------------------------- waiting */

static bool readable(const my_source *s)
{
    struct pollfd fd = {my_link_fd(&s->dump), POLLIN, 0};
    return my_link_buffered(&s->dump) || poll(&fd, 1, 0) > 0;
}

static void sleep_on(my_source *s, bool socket, int64_t until)
{
    int64_t left = until - wb_mono_us();
    struct pollfd fds[2] = {{wb_host_fd(s->host), POLLIN, 0}, {socket ? my_link_fd(&s->dump) : -1, POLLIN, 0}};
    if (left < 0) left = 0;
    if (poll(fds, socket ? 2 : 1, (int)((left + 999) / 1000)) > 0 && fds[0].revents) wb_host_fd_clear(s->host);
}

static bool pause_pays(my_source *s) { return sql_lull_pause(&s->lull) && readable(s); }

/* The socket gave nothing. */
static wb_code when_dry(my_source *s, int64_t until, wb_error *err)
{
    bool flood = sql_lull_flood(&s->lull);
    if (flood && pause_pays(s)) return WB_OK;
    bool holds = s->batch && wb_batch_last_txn(s->batch);
    if (holds && sql_lull_more(s->host, my_link_fd(&s->dump), my_link_buffered(&s->dump))) return WB_OK;
    if (holds) {
        wb_code code = my_batch_put(s, err);
        if (code != WB_OK) return code;
    }
    my_say_idle(s, false);
    if (pause_pays(s)) return WB_OK;
    sleep_on(s, true, until);
    return my_dump_silent(&s->dump, s->heard_us, err);
}

/* No budget. */
static wb_code when_blocked(my_source *s, int64_t until, wb_error *err)
{
    int64_t now = wb_mono_us();
    if (!s->blocked_us) s->blocked_us = now;
    if (!s->paused && now - s->blocked_us > CLOSE_AFTER_US) {
        wb_host_log(s->host, WB_LOG_INFO, "closes the dump until the targets take something again");
        my_link_close(&s->dump);
        s->paused = true;
    }
    sleep_on(s, false, until);
    WB_UNUSED(err);
    return WB_AGAIN;
}

static wb_code unblocked(my_source *s, wb_error *err)
{
    int64_t since = s->blocked_us;
    s->blocked_us = 0;
    s->heard_us = wb_mono_us();
    if (!s->paused) return WB_OK;
    return wb_fail(err, WB_E_NET, WB_RECONNECT,
                   "The targets took nothing for %lld seconds, and the dump was closed meanwhile.",
                   (long long)((wb_mono_us() - since) / 1000000));
}

/* ---------------------------------------------------------------- reading */

/* WB_AGAIN: there is none. */
static wb_code read_event(my_source *s, wb_error *err)
{
    my_packet p;
    my_event ev = {.kind = MY_EV_NOTHING};
    wb_code code = my_dump_read(&s->dump, &p, err);
    if (code == WB_END)
        return wb_fail(err, WB_E_NET, WB_RECONNECT, "The server ended the dump; it is probably shutting down.");
    if (code != WB_OK) return code;
    uint64_t skipped = my_decoder_skipped(s->decoder);
    code = my_dump_feed(s->decoder, &p, &ev, err);
    if (WB_UNLIKELY(my_decoder_skipped(s->decoder) != skipped)) atomic_fetch_add(&s->skipped, 1);
    if (code != WB_OK) return code;
    sql_lull_took(&s->lull, p.n);
    s->events++;
    code = my_event_take(s, &ev, err);
    if (ev.kind == MY_EV_HEARTBEAT && code == WB_OK) my_say_idle(s, true);
    return code;
}

static wb_code turn(my_source *s, bool *dry, wb_error *err)
{
    if (s->in_group) {
        if (WB_UNLIKELY(s->snap.copy.phase == SQL_COPY_REACH) && my_snap_reached(s)) return WB_END;
        if (WB_UNLIKELY(s->paused)) { /* its bytes may have been the connection's */
            wb_code again = my_batch_for(s, s->need, err);
            return again == WB_OK ? unblocked(s, err) : again;
        }
        wb_code code = my_event_step(s, err);
        if (code == WB_OK && s->blocked_us) code = unblocked(s, err);
        return code;
    }
    if (s->batch && wb_batch_full(s->batch)) {
        wb_code code = my_batch_put(s, err);
        if (code != WB_OK) return code;
    }
    wb_code code = read_event(s, err);
    *dry = code == WB_AGAIN;
    return *dry ? WB_OK : code;
}

/* What the log itself has lost (an incident, rows of an XA transaction before our place): a new copy is made only by
 * those who asked for that. Others stop: with `snapshot: never` to start over would be to go on without the rows. */
static wb_code judge(const my_source *s, wb_code code, wb_error *err)
{
    bool again = s->snapshot_mode == SQL_SNAP_WHEN_NEEDED;
    if (code == WB_E_GAP && err && err->next == WB_RESNAPSHOT && !again) err->next = WB_NEVER;
    return code;
}

wb_code my_stream_read(my_source *s, int ms, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    uint64_t before = s->events;
    for (uint32_t i = 1;; i++) {
        bool dry = false;
        wb_code code = turn(s, &dry, err);
        if (code == WB_AGAIN) {
            code = when_blocked(s, until, err);
            if (code != WB_AGAIN) return code;
            if (my_link_stopped(&s->side) || wb_mono_us() >= until) break;
            continue;
        }
        if (WB_UNLIKELY(s->snap.copy.phase == SQL_COPY_REACH) && code == WB_OK && my_snap_reached(s)) return WB_END;
        if (code == WB_OK && dry) code = when_dry(s, until, err);
        if (code != WB_OK) return judge(s, code, err);
        if (!dry && (i & LOOK_EVERY)) continue;
        if (my_link_stopped(&s->side) || wb_mono_us() >= until) break;
    }
    return s->events == before ? WB_AGAIN : WB_OK;
}

/* snap_seam.c: where a copy and the stream meet. The first copy is all of one view, and the stream begins at its place.
 * Every other one, of a table that was added or after a crash, takes a view while the stream flows, and waits until the
 * stream has brought all before its place and nothing after it; then come turns, then the stream again. Source thread.
 */
#include "my.h"

#include <poll.h>

#include "base/clock.h"
#include "base/fault.h"

enum { RETRY_US = 5000000, LOOK_US = 200000, NEAR = 16 << 20, PAUSE_US = 20000, PAUSE_MAX_US = 2000000 };

/* -1, 0, 1 */
static int order(wb_str log, uint64_t offset, const my_place *p)
{
    int files = my_log_compare(log, wb_str_of(p->log));
    return files ? files : (offset > p->offset) - (offset < p->offset);
}

/* ---------------------------------------------------------------- taking a view */

/* Nothing is lost: the stream flows, the copy comes later. */
static wb_code later(my_source *s, wb_error *why, wb_error *err)
{
    my_snap *n = &s->snap;
    my_view_close(s);
    n->copy.phase = SQL_COPY_OFF;
    n->retry_us = wb_mono_us() + RETRY_US;
    if (why->code == WB_E_STOPPED || (why->next == WB_NEVER && why->code != WB_E_SCHEMA)) {
        *err = *why;
        return why->code;
    }
    wb_host_log(s->host, WB_LOG_WARN, "the copy of tables waits: %s", why->message);
    return WB_OK;
}

/* A view is held, and for some tables a lock, until the stream is there: first nearly all of the log. */
static wb_code is_near(my_source *s, bool *near, wb_error *err)
{
    my_place end;
    wb_code code = my_server_end(&s->side, &s->server, &end, NULL, err);
    *near = code == WB_OK && strcmp(s->log, end.log) == 0 && s->offset + NEAR >= end.offset;
    return code;
}

static wb_code look_again(my_source *s, wb_error *err)
{
    my_catalog cat;
    if (!s->snap.stale) return WB_OK;
    wb_code code = my_catalog_load(&s->side, s->patterns, &cat, err);
    if (code != WB_OK) {
        my_catalog_free(&cat);
        return code;
    }
    my_catalog_free(&s->cat);
    s->cat = cat;
    s->snap.stale = false;
    return WB_OK;
}

static wb_code begin(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    bool near = false;
    n->retry_us = wb_mono_us() + LOOK_US;
    wb_code code = my_side_again(s, err);
    if (code == WB_OK) code = look_again(s, err);
    if (code == WB_OK) code = is_near(s, &near, err);
    if (code != WB_OK || !near) return code;
    code = my_batch_put(s, err);
    if (code == WB_OK) code = my_view_open(s, err);
    if (code == WB_OK) code = my_snap_describe(s, err); /* the tables cannot be altered from here on */
    my_snap_forget_shapes(s);
    if (code != WB_OK) return code;
    if (order(wb_str_of(s->log), s->offset, &n->to) > 0) { /* the stream had more than others could see yet */
        my_view_close(s);
        n->pause_us = n->pause_us ? WB_MIN(2 * n->pause_us, (int64_t)PAUSE_MAX_US) : PAUSE_US;
        n->paused_until = wb_mono_us() + n->pause_us;
        n->retry_us = n->paused_until - PAUSE_US / 2;
        return WB_OK;
    }
    (void)WB_FAULT("mysql.copy_view");
    n->pause_us = n->paused_until = 0;
    n->past = false;
    n->copy.phase = SQL_COPY_REACH;
    wb_host_log(s->host, WB_LOG_DEBUG, "has a view as of %s:%llu; the stream goes there first", n->to.log,
                (unsigned long long)n->to.offset);
    return WB_OK;
}

wb_code my_snap_look(my_source *s, bool *seen, wb_error *err)
{
    wb_error why;
    wb_error_reset(&why);
    if (my_view_behind_stream(s, seen, &why) != WB_OK) {
        *seen = false;
        return later(s, &why, err);
    }
    bool said = s->snap.said_unseen;
    s->snap.said_unseen = !*seen;
    if (*seen) return WB_OK;
    if (!said) wb_host_log(s->host, WB_LOG_INFO, "the copy waits for others to see what the log has already");
    my_view_close(s);
    s->snap.copy.phase = SQL_COPY_OFF;
    s->snap.retry_us = wb_mono_us() + LOOK_US;
    return WB_OK;
}

wb_code my_snap_tend(my_source *s, wb_error *err)
{
    my_snap *n = &s->snap;
    wb_error why;
    wb_error_reset(&why);
    if (n->copy.phase != SQL_COPY_OFF || !n->copy.wanted || s->in_group || s->txn.active) return WB_OK;
    if (wb_mono_us() < n->retry_us) return WB_OK;
    n->copy.wanted = n->copy.fresh || sql_ledger_lacks(&n->copy.ledger, n->copy.running);
    return n->copy.wanted && begin(s, &why) != WB_OK ? later(s, &why, err) : WB_OK;
}

bool my_snap_rests(const my_source *s)
{
    return s->snap.copy.phase == SQL_COPY_OFF && s->snap.paused_until && wb_mono_us() < s->snap.retry_us;
}

void my_snap_rest(my_source *s, int ms)
{
    struct pollfd fd = {wb_host_fd(s->host), POLLIN, 0};
    int64_t left = (s->snap.retry_us - wb_mono_us()) / 1000 + 1;
    if (poll(&fd, 1, (int)WB_MIN(WB_MAX(left, (int64_t)0), (int64_t)ms)) > 0) wb_host_fd_clear(s->host);
    s->heard_us = wb_mono_us();
}

/* ---------------------------------------------------------------- reaching its place */

/* A transaction lies in the log in one piece: it is in the view when it begins before the view's place. */
void my_snap_sees(my_source *s, const my_event *group)
{
    if (s->snap.copy.phase == SQL_COPY_REACH) s->snap.past = order(group->log, group->start, &s->snap.to) >= 0;
}

bool my_snap_reached(const my_source *s)
{
    if (s->snap.copy.phase != SQL_COPY_REACH) return false;
    bool there = s->in_group ? s->snap.past && !s->in_steps : order(wb_str_of(s->log), s->offset, &s->snap.to) >= 0;
    return there && my_view_has_come(s);
}

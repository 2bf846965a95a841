/* status.c: what the server says while we may or may not run: where its log ends, what it still has, and whether what
 * we need is about to go. There is nothing to remove at the server. Each makes a connection of its own. Main thread, or
 * any. */
#include <inttypes.h>
#include <stdio.h>

#include "my.h"

/* ---------------------------------------------------------------- tip */

/* MySQL: by file, also with GTIDs: its set holds what is prepared and not decided, which no position of ours does.
 * MariaDB: the set alone: the file may have ended in something that no transaction is. */
wb_code my_tip(void *ctx, wb_host *h, void *out, size_t cap, size_t *len, wb_error *err)
{
    my_source *s = ctx;
    my_link l = {.my = NULL};
    my_server v;
    my_place place;
    wb_out o = {0};
    *len = 0;
    my_gtid_set *set = NULL;
    wb_code code = my_link_open(&l, s, h, false, err);
    if (code == WB_OK) code = my_server_look(&l, &v, err);
    if (code == WB_OK && !v.log_bin) code = my_server_usable(s, &v, err);
    if (code == WB_OK && v.flavor == MY_MARIADB && !(set = my_gtid_set_new())) code = my_nomem(err);
    if (code == WB_OK && v.log_bin) code = my_server_end(&l, &v, &place, set, err);
    if (code == WB_OK) {
        my_pos p = {.flavor = v.flavor, .has_file = !set && v.log_bin, .lineage = v.lineage};
        if (p.has_file) {
            p.log = wb_str_of(place.log);
            p.offset = place.offset;
        }
        if (!my_pos_make(&o, &p, set) || o.len > cap)
            code = wb_fail(err, WB_E_LIMIT, WB_NEVER, "The server's GTID set is too long for a position.");
        else
            memcpy(out, o.p, o.len);
        if (code == WB_OK) *len = o.len;
    }
    wb_out_fini(&o);
    my_gtid_set_free(set);
    my_link_close(&l);
    return code;
}

/* ---------------------------------------------------------------- status */

static wb_code say_end(my_link *l, const my_server *v, const wb_facts *facts, my_place *place, wb_error *err)
{
    my_gtid_set *set = v->gtid ? my_gtid_set_new() : NULL;
    wb_out o = {0};
    wb_code code = v->gtid && !set ? my_nomem(err) : my_server_end(l, v, place, set, err);
    if (code == WB_OK) {
        my_pos p = {.flavor = v->flavor,
                    .has_file = true,
                    .lineage = v->lineage,
                    .log = wb_str_of(place->log),
                    .offset = place->offset};
        char *text = NULL;
        if (my_pos_make(&o, &p, set) && (text = malloc(MY_POS_MAX * 3))) {
            (void)my_pos_render((wb_pos){o.p, o.len}, text, MY_POS_MAX * 3);
            facts->text(facts->arg, "position", text);
        }
        free(text);
    }
    wb_out_fini(&o);
    my_gtid_set_free(set);
    return code;
}

static wb_code expiry(my_link *l, int64_t *seconds, wb_error *err)
{
    char text[40];
    bool maria = l->flavor == MY_MARIADB, new = maria ? l->version >= 100601 : l->version >= 80000;
    wb_code code =
        my_one(l, "how long it keeps its log",
               new ? "SELECT @@GLOBAL.binlog_expire_logs_seconds" : "SELECT @@GLOBAL.expire_logs_days * 86400", text,
               sizeof text, err);
    *seconds = (int64_t)strtod(text, NULL);
    return code;
}

/* What the server has, from which file on we need it, and how near that is to the ones that go next. */
static wb_code say_logs(my_link *l, const my_server *v, const my_pos *settled, const my_place *end,
                        const wb_facts *facts, wb_error *err)
{
    wb_arena a;
    my_file *files;
    size_t n = 0, ours;
    int64_t total = 0, after = 0, keeps = 0;
    wb_arena_init(&a, 4096, 0);
    wb_code code = my_server_logs(l, &a, &files, &n, err);
    if (code == WB_OK) code = expiry(l, &keeps, err);
    bool here = settled && settled->has_file && settled->lineage == v->lineage;
    ours = n;
    for (size_t i = 0; code == WB_OK && i < n; i++) {
        total += (int64_t)files[i].size;
        if (here && ours == n && wb_str_eq(wb_str_of(files[i].name), settled->log)) ours = i;
        if (ours < n) after += strcmp(files[i].name, end->log) == 0 ? (int64_t)end->offset : (int64_t)files[i].size;
    }
    if (code == WB_OK) {
        facts->number(facts->arg, "log_files", (int64_t)n);
        facts->number(facts->arg, "log_bytes", total);
        if (n) facts->text(facts->arg, "oldest_log", files[0].name);
        if (keeps) facts->number(facts->arg, "log_kept_seconds", keeps);
        if (ours < n) facts->number(facts->arg, "lag_bytes", WB_MAX(after - (int64_t)settled->offset, (int64_t)0));
        if (ours < n) facts->number(facts->arg, "log_files_before_ours", (int64_t)ours);
        bool last = n && ours + 1 == n;
        if (here && ours == n && !settled->has_set)
            facts->text(facts->arg, "log_at_risk", "the server has purged the log file that comes next");
        else if (here && !last && ours < 2 && keeps)
            facts->text(facts->arg, "log_at_risk", "the log file that comes next is among the next to be purged");
    }
    wb_arena_fini(&a);
    return code;
}

static void say_set_risk(my_source *s, my_link *l, const my_server *v, wb_pos settled, const wb_facts *facts)
{
    wb_error e;
    wb_error_reset(&e);
    if (settled.len && my_server_has(s, l, v, settled, &e) == WB_E_GAP) facts->text(facts->arg, "log_lost", e.message);
}

wb_code my_status(void *ctx, wb_host *h, wb_pos settled, const wb_facts *facts, wb_error *err)
{
    my_source *s = ctx;
    my_link l = {.my = NULL};
    my_server v;
    my_pos p;
    my_place end = {.offset = 0};
    bool known = settled.len && my_pos_read(settled, &p);
    wb_code code = my_link_open(&l, s, h, false, err);
    if (code == WB_OK) code = my_server_look(&l, &v, err);
    if (code == WB_OK) {
        char text[120];
        (void)snprintf(text, sizeof text, "%s %s", my_brand(&l), v.text);
        facts->text(facts->arg, "server_version", text);
    }
    uint64_t skipped = atomic_load(&s->skipped);
    if (code == WB_OK && skipped) facts->number(facts->arg, "events_left_out", (int64_t)skipped);
    if (code == WB_OK && v.log_bin && s->snapshot_mode != SQL_SNAP_ONLY) {
        code = say_end(&l, &v, facts, &end, err);
        if (code == WB_OK) code = say_logs(&l, &v, known ? &p : NULL, &end, facts, err);
        if (code == WB_OK) say_set_risk(s, &l, &v, settled, facts);
    }
    my_link_close(&l);
    return code;
}

wb_code my_drop(void *ctx, wb_host *h, void (*say)(void *arg, const char *line), void *arg, wb_error *err)
{
    WB_UNUSED(ctx);
    WB_UNUSED(h);
    WB_UNUSED(err);
    say(arg, "nothing was made at the server: a replica leaves no trace there");
    return WB_OK;
}

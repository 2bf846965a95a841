/* server.c: what the server is, where its log ends, which log files it has, and whether it can still give what comes
 * after a position. */
#include "my.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/options.h"

/* ---------------------------------------------------------------- settings */

static uint64_t hash(const char *z, uint64_t h) { return wb_fnv1a(h, z, strlen(z)); }

typedef struct wish {
    const char *name;
    char *out;
    size_t cap;
} wish;

static void take_setting(const wish *w, size_t n, const char *name, const char *value)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(w[i].name, name) == 0) (void)snprintf(w[i].out, w[i].cap, "%s", value ? value : "");
}

wb_code my_server_look(my_link *l, my_server *out, wb_error *err)
{
    *out = (my_server){.flavor = l->flavor, .version = l->version};
    char id[24] = "", log_bin[8] = "", lower[8] = "", host[256] = "", port[8] = "", dir[1024] = "", zone[64] = "";
    const wish wishes[] = {{"server_uuid", out->uuid, sizeof out->uuid},
                           {"server_id", id, sizeof id},
                           {"log_bin", log_bin, sizeof log_bin},
                           {"binlog_format", out->format, sizeof out->format},
                           {"binlog_row_image", out->row_image, sizeof out->row_image},
                           {"binlog_row_metadata", out->row_metadata, sizeof out->row_metadata},
                           {"gtid_mode", out->gtid_mode, sizeof out->gtid_mode},
                           {"lower_case_table_names", lower, sizeof lower},
                           {"time_zone", out->zone, sizeof out->zone},
                           {"system_time_zone", zone, sizeof zone},
                           {"version", out->text, sizeof out->text},
                           {"hostname", host, sizeof host},
                           {"port", port, sizeof port},
                           {"datadir", dir, sizeof dir}};
    MYSQL_RES *res;
    wb_code code =
        my_query(l, "for its settings",
                 "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('server_uuid', 'server_id', 'log_bin',"
                 " 'binlog_format', 'binlog_row_image', 'binlog_row_metadata', 'gtid_mode', 'hostname', 'port',"
                 " 'lower_case_table_names', 'time_zone', 'system_time_zone', 'version', 'datadir')",
                 &res, err);
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) take_setting(wishes, WB_COUNT(wishes), row[0], row[1]);
    mysql_free_result(res);
    if (strcmp(out->zone, "SYSTEM") == 0) memcpy(out->zone, zone, sizeof zone);
    out->server_id = (uint32_t)strtoul(id, NULL, 10);
    out->log_bin = strcasecmp(log_bin, "ON") == 0 || strcmp(log_bin, "1") == 0;
    out->lower_case = (int)strtol(lower, NULL, 10);
    if (!out->uuid[0] && l->flavor == MY_MARIADB) /* it has none: the machine, and what the server is on it */
        (void)snprintf(out->uuid, sizeof out->uuid, "%016" PRIx64,
                       hash(dir, hash(port, hash(host, hash(id, MY_FNV1A)))));
    out->lineage = hash(out->uuid, MY_FNV1A) | 1;
    out->gtid = l->flavor == MY_MARIADB || strcasecmp(out->gtid_mode, "ON") == 0;
    return WB_OK;
}

wb_code my_server_usable(const my_source *s, const my_server *v, wb_error *err)
{
    if (s->snapshot_mode == SQL_SNAP_ONLY) return WB_OK;
    if (!v->log_bin) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "The server writes no binary log (log_bin is off), so its changes cannot be read.");
        wb_hint(err, "Add log_bin = binlog and server_id = 1 to the server's configuration, then restart it.");
        return WB_E_CONFIG;
    }
    if (v->format[0] && strcasecmp(v->format, "ROW") != 0) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The server's binlog_format is %s; its log must be written with ROW.",
                v->format);
        wb_hint(err,
                "Run SET GLOBAL binlog_format = 'ROW'; and set it in the server's configuration too; sessions that "
                "are connected keep the old format until they connect again.");
        return WB_E_CONFIG;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- where the log ends */

static const char *end_sql(const my_link *l)
{
    return l->flavor == MY_MYSQL && l->version >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
}

static wb_code add_text(my_gtid_set *set, const char *text, wb_error *err)
{
    if (!set || !text) return WB_OK;
    return my_gtid_set_parse(set, wb_str_of(text), err);
}

wb_code my_server_gtids_at(my_link *l, const my_place *place, my_gtid_set *set, wb_error *err)
{
    char *text = NULL;
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, "SELECT BINLOG_GTID_POS(");
    my_put_literal(&sql, wb_str_of(place->log));
    wb_out_printf(&sql, ", %" PRIu64 ")", place->offset);
    wb_code code = my_query(l, "for the GTIDs at the end of its log", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    if (row) text = row[0];
    code = add_text(set, text, err);
    mysql_free_result(res);
    return code;
}

wb_code my_server_end(my_link *l, const my_server *v, my_place *place, my_gtid_set *set, wb_error *err)
{
    MYSQL_RES *res;
    *place = (my_place){.offset = 0};
    wb_code code = my_query(l, "where its log ends", end_sql(l), &res, err);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    unsigned fields = mysql_num_fields(res);
    if (row && row[0] && row[1] && fields >= 2) {
        (void)snprintf(place->log, sizeof place->log, "%s", row[0]);
        place->offset = strtoull(row[1], NULL, 10);
        if (l->flavor == MY_MYSQL && v->gtid && fields >= 5) code = add_text(set, row[4], err);
    } else {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "The server has no binary log.");
    }
    mysql_free_result(res);
    if (code == WB_OK && l->flavor == MY_MARIADB && set) code = my_server_gtids_at(l, place, set, err);
    return code;
}

wb_code my_server_logs(my_link *l, wb_arena *a, my_file **out, size_t *n, wb_error *err)
{
    MYSQL_RES *res;
    *n = 0;
    wb_code code = my_query(l, "for its log files", "SHOW BINARY LOGS", &res, err);
    if (code != WB_OK) return code;
    *out = wb_arena_zalloc(a, (size_t)(mysql_num_rows(res) + 1) * sizeof **out);
    for (MYSQL_ROW row; *out && (row = mysql_fetch_row(res));) {
        if (!row[0] || !row[1]) continue;
        (*out)[*n].name = wb_arena_strdup(a, row[0]);
        (*out)[(*n)++].size = strtoull(row[1], NULL, 10);
    }
    mysql_free_result(res);
    return *out && !a->failed ? WB_OK : my_nomem(err);
}

/* ---------------------------------------------------------------- can it still give what follows */

wb_code my_gap(const my_source *s, wb_error *err, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool again = s->snapshot_mode == SQL_SNAP_WHEN_NEEDED;
    wb_fail(err, WB_E_GAP, again ? WB_RESNAPSHOT : WB_NEVER, "%s.", text);
    wb_hint(err,
            "Only a new snapshot helps: `walbrook run --resnapshot TARGET`, or snapshot: when_needed, which does it by "
            "itself. Let the server keep its logs longer (binlog_expire_logs_seconds).");
    return WB_E_GAP;
}

static void short_set(const my_gtid_set *set, char *out, size_t cap)
{
    wb_out o = {0};
    my_gtid_set_text(set, &o);
    size_t n = WB_MIN(o.len, cap - 1);
    if (n) memcpy(out, o.p, n);
    if (o.len > n && n > 3) memcpy(out + n - 3, "...", 3);
    out[n] = 0;
    wb_out_fini(&o);
}

static wb_code load_set(my_link *l, const char *sql, my_gtid_set *set, wb_error *err)
{
    MYSQL_RES *res;
    wb_code code = my_query(l, "for its GTIDs", sql, &res, err);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    if (row && row[0]) code = add_text(set, row[0], err);
    mysql_free_result(res);
    return code;
}

static wb_code has_mysql(my_source *s, my_link *l, my_gtid_set *ours, wb_error *err)
{
    char text[200];
    my_gtid_set *purged = my_gtid_set_new(), *executed = my_gtid_set_new(), *rest = my_gtid_set_new();
    wb_code code = purged && executed && rest ? WB_OK : my_nomem(err);
    if (code == WB_OK) code = load_set(l, "SELECT @@GLOBAL.gtid_purged", purged, err);
    if (code == WB_OK) code = load_set(l, "SELECT @@GLOBAL.gtid_executed", executed, err);
    if (code == WB_OK && !my_gtid_set_within(purged, ours)) {
        if (!my_gtid_set_copy(rest, purged) || !my_gtid_set_subtract(rest, ours)) code = my_nomem(err);
        short_set(rest, text, sizeof text);
        if (code == WB_OK)
            code =
                my_gap(s, err,
                       "The server has purged log files that were not read yet: %" PRIu64 " transactions (%s) are lost "
                       "to this pipeline",
                       my_gtid_set_count(rest), text);
    }
    if (code == WB_OK && !my_gtid_set_within(ours, executed)) {
        if (!my_gtid_set_copy(rest, ours) || !my_gtid_set_subtract(rest, executed)) code = my_nomem(err);
        short_set(rest, text, sizeof text);
        if (code == WB_OK)
            code = my_gap(s, err,
                          "The targets have %" PRIu64
                          " transactions (%s) that this server never executed: it is behind the "
                          "one that was read before, or its log was reset",
                          my_gtid_set_count(rest), text);
    }
    my_gtid_set_free(purged);
    my_gtid_set_free(executed);
    my_gtid_set_free(rest);
    return code;
}

/* A log file begins with the state before it: its second event, shown as "[0-1-5,1-2-3]". */
static wb_code add_first_state(my_link *l, const char *file, my_gtid_set *set, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, "SHOW BINLOG EVENTS IN ");
    my_put_literal(&sql, wb_str_of(file));
    wb_out_z(&sql, " LIMIT 3");
    wb_code code = my_query(l, "for the beginning of its log", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    unsigned fields = mysql_num_fields(res);
    for (MYSQL_ROW row; code == WB_OK && fields >= 6 && (row = mysql_fetch_row(res));) {
        if (!row[2] || strcasecmp(row[2], "Gtid_list") != 0 || !row[5] || row[5][0] != '[') continue;
        code = my_gtid_set_parse(set, (wb_str){row[5] + 1, strcspn(row[5] + 1, "]")}, err);
    }
    mysql_free_result(res);
    return code;
}

static wb_code has_mariadb(my_source *s, my_link *l, my_gtid_set *ours, wb_error *err)
{
    wb_arena a;
    my_file *files;
    size_t n = 0;
    char text[200];
    my_gtid_set *first = my_gtid_set_new(), *end = my_gtid_set_new();
    wb_arena_init(&a, 4096, 0);
    wb_code code = first && end ? my_server_logs(l, &a, &files, &n, err) : my_nomem(err);
    if (code == WB_OK && n) code = add_first_state(l, files[0].name, first, err);
    if (code == WB_OK) code = load_set(l, "SELECT @@GLOBAL.gtid_binlog_pos", end, err);
    if (code == WB_OK && !my_gtid_set_within(first, ours)) {
        short_set(first, text, sizeof text);
        code = my_gap(
            s, err,
            "The server has purged log files that were not read yet: its log begins after %s, and the targets are "
            "not so far",
            text);
    }
    if (code == WB_OK && !my_gtid_set_within(ours, end)) {
        short_set(ours, text, sizeof text);
        code =
            my_gap(s, err,
                   "The targets are at %s, which this server never had in its log: it is behind the one that was read "
                   "before, or its log was reset",
                   text);
    }
    wb_arena_fini(&a);
    my_gtid_set_free(first);
    my_gtid_set_free(end);
    return code;
}

static wb_code has_file(my_source *s, my_link *l, const my_server *v, const my_pos *p, wb_error *err)
{
    wb_arena a;
    my_file *files;
    size_t n = 0, i = 0;
    if (!p->has_file)
        return wb_fail(err, WB_E_STATE, WB_NEVER, "The targets' positions have no log file, and the server no GTIDs.");
    if (p->lineage && p->lineage != v->lineage) {
        wb_fail(err, WB_E_GAP, s->snapshot_mode == SQL_SNAP_WHEN_NEEDED ? WB_RESNAPSHOT : WB_NEVER,
                "This is another server (server_uuid %s), and without GTIDs the position %.*s:%" PRIu64
                " of the one before says nothing here.",
                v->uuid, (int)p->log.len, p->log.ptr, p->offset);
        wb_hint(err, "Check the url. If the database has moved for good: `walbrook run --resnapshot TARGET`. With "
                     "gtid_mode = ON a pipeline goes on at another server by itself.");
        return WB_E_GAP;
    }
    wb_arena_init(&a, 4096, 0);
    wb_code code = my_server_logs(l, &a, &files, &n, err);
    while (code == WB_OK && i < n && !wb_str_eq(wb_str_of(files[i].name), p->log)) i++;
    if (code == WB_OK && i == n)
        code = my_gap(s, err, "The server has purged the log file %.*s, which the targets still need; its oldest is %s",
                      (int)p->log.len, p->log.ptr, n ? files[0].name : "none");
    if (code == WB_OK && p->offset > files[i].size)
        code = my_gap(s, err,
                      "The targets have changes up to %.*s:%" PRIu64 ", and the file ends at %" PRIu64
                      ": the server has lost the end of its log, or it was reset",
                      (int)p->log.len, p->log.ptr, p->offset, files[i].size);
    wb_arena_fini(&a);
    return code;
}

wb_code my_server_has(my_source *s, my_link *l, const my_server *v, wb_pos pos, wb_error *err)
{
    my_pos p;
    if (!my_pos_read(pos, &p)) return wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a position that is damaged.");
    if (p.flavor != v->flavor && p.flavor != MY_UNKNOWN)
        return my_gap(s, err, "The positions of this pipeline belong to a %s server, and this is %s",
                      p.flavor == MY_MARIADB ? "MariaDB" : "MySQL", v->text);
    if (!p.has_set) return has_file(s, l, v, &p, err);
    if (!v->gtid) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "The pipeline's positions are GTID sets, and the server's gtid_mode is %s now.", v->gtid_mode);
        wb_hint(err, "Set gtid_mode = ON again, or start anew: `walbrook run --resnapshot TARGET`.");
        return WB_E_CONFIG;
    }
    my_gtid_set *ours = my_gtid_set_new();
    wb_code code = ours && my_pos_set(&p, ours) ? WB_OK : my_nomem(err);
    if (code == WB_OK) code = v->flavor == MY_MARIADB ? has_mariadb(s, l, ours, err) : has_mysql(s, l, ours, err);
    my_gtid_set_free(ours);
    return code;
}

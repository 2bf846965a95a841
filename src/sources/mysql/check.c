/* check.c: what would keep the pipeline from starting, or from being complete, each with the SQL that mends it. Changes
 * nothing. Called by `walbrook check` on the main thread. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "my.h"

typedef struct checking {
    my_source *s;
    wb_report *r;
    my_link link;
    my_server v;
    my_catalog cat;
    wb_arena arena;
    wb_patterns *patterns;
    char user[200], grants[4096];
    bool only;
} checking;

/* GRANT text TO 'user'@'host'; */
static void found_right(checking *c, wb_level level, const char *right, const char *what)
{
    wb_out mend = {0};
    wb_out_printf(&mend, "GRANT %s TO %s;", right, c->user);
    wb_report_add(c->r, level, wb_out_cstr(&mend), "%s", what);
    wb_out_fini(&mend);
}

static void check_log(checking *c)
{
    const my_server *v = &c->v;
    wb_report *r = c->r;
    if (!v->log_bin) {
        wb_report_add(r, WB_BAD, "log_bin = binlog and server_id = 1 in the server's configuration; then restart it",
                      "the server writes no binary log (log_bin is off)");
        return;
    }
    if (v->format[0] && strcasecmp(v->format, "ROW") != 0)
        wb_report_add(r, WB_BAD, "SET GLOBAL binlog_format = 'ROW'; -- and in the server's configuration",
                      "binlog_format is %s; the log must be written with ROW", v->format);
    if (strcasecmp(v->row_image, "FULL") != 0 && strcasecmp(v->row_image, "FULL_NODUP") != 0)
        wb_report_add(r, WB_WARN, "SET GLOBAL binlog_row_image = 'FULL'; -- and in the server's configuration",
                      "binlog_row_image is %s: updates and deletes carry only a part of the row", v->row_image);
    if (!v->row_metadata[0])
        wb_report_add(r, WB_WARN, NULL,
                      "the server is too old to write names of columns into its log (binlog_row_metadata); they are "
                      "followed through its DDL statements");
    else if (strcasecmp(v->row_metadata, "FULL") != 0)
        wb_report_add(r, WB_WARN, "SET GLOBAL binlog_row_metadata = 'FULL'; -- and in the server's configuration",
                      "binlog_row_metadata is %s: names of columns are not in the log; they are followed through DDL "
                      "statements, and a table that is altered twice while nobody reads stops the pipeline",
                      v->row_metadata);
    if (!v->gtid)
        wb_report_add(
            r, WB_WARN,
            "gtid_mode = ON and enforce_gtid_consistency = ON; online: OFF_PERMISSIVE, ON_PERMISSIVE, then ON",
            "gtid_mode is %s: positions are files and offsets, which no other server understands after a failover",
            v->gtid_mode[0] ? v->gtid_mode : "OFF");
    if (!v->server_id)
        wb_report_add(r, WB_BAD, "SET GLOBAL server_id = 1;", "the server's server_id is 0: nobody may replicate");
}

/* How long the server keeps its files. */
static wb_code check_retention(checking *c, wb_error *err)
{
    char text[40];
    bool maria = c->link.flavor == MY_MARIADB, seconds = maria ? c->link.version >= 100601 : c->link.version >= 80000;
    wb_code code =
        my_one(&c->link, "how long it keeps its log",
               seconds ? "SELECT @@GLOBAL.binlog_expire_logs_seconds" : "SELECT @@GLOBAL.expire_logs_days * 86400",
               text, sizeof text, err);
    if (code != WB_OK || !c->v.log_bin) return code;
    double keep = strtod(text, NULL);
    if (keep > 0 && keep < 86400)
        wb_report_add(c->r, WB_WARN,
                      seconds ? "SET GLOBAL binlog_expire_logs_seconds = 259200;" : "SET GLOBAL expire_logs_days = 3;",
                      "the server keeps its log for %.1f hours: a pipeline that is down for longer starts over",
                      keep / 3600);
    else if (keep > 0)
        wb_report_add(c->r, WB_FINE, NULL, "the server keeps its log for %.1f days", keep / 86400);
    else
        wb_report_add(c->r, WB_FINE, NULL, "the server keeps its log until somebody purges it");
    return WB_OK;
}

static wb_code load_rights(checking *c, wb_error *err)
{
    MYSQL_RES *res;
    wb_out all = {0};
    char user[160];
    wb_code code = my_one(&c->link, "who we are", "SELECT CURRENT_USER()", user, sizeof user, err);
    if (code == WB_OK) code = my_query(&c->link, "for our rights", "SHOW GRANTS", &res, err);
    if (code != WB_OK) return code;
    char *at = strrchr(user, '@');
    if (at) *at = 0;
    (void)snprintf(c->user, sizeof c->user, "'%s'@'%s'", user, at ? at + 1 : "%");
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));) {
        char *end = row[0] ? strstr(row[0], " TO ") : NULL;
        if (!end) continue;
        *end = 0; /* what follows may be a hash of the password */
        wb_out_z(&all, row[0]);
        wb_out_z(&all, "\n");
    }
    mysql_free_result(res);
    (void)snprintf(c->grants, sizeof c->grants, "%.*s", (int)WB_MIN(all.len, sizeof c->grants - 1), all.p ? all.p : "");
    wb_out_fini(&all);
    return WB_OK;
}

static bool has_right(const checking *c, const char *right)
{
    for (const char *line = c->grants; *line;) {
        size_t n = strcspn(line, "\n");
        const char *on = memmem(line, n, " ON ", 4);
        if (on && strncmp(on, " ON *.*", 7) == 0) {
            size_t head = (size_t)(on - line);
            if (memmem(line, head, "ALL PRIVILEGES", 14) || memmem(line, head, right, strlen(right))) return true;
        }
        line += n + (line[n] == '\n');
    }
    return false;
}

/* Granted roles may hold what the user itself does not; their rights are not listed. */
static bool has_roles(const checking *c)
{
    for (const char *line = c->grants; *line;) {
        size_t n = strcspn(line, "\n");
        if (!memmem(line, n, " ON ", 4)) return true;
        line += n + (line[n] == '\n');
    }
    return false;
}

static void check_rights(checking *c)
{
    wb_level bad = has_roles(c) ? WB_WARN : WB_BAD;
    bool maria = c->link.flavor == MY_MARIADB && c->link.version >= 100502;
    if (!c->only && !has_right(c, "REPLICATION SLAVE"))
        found_right(c, bad, "REPLICATION SLAVE ON *.*", "the user may not read the binary log");
    if (!c->only && !has_right(c, "REPLICATION CLIENT") && !has_right(c, "BINLOG MONITOR"))
        found_right(c, bad, maria ? "BINLOG MONITOR ON *.*" : "REPLICATION CLIENT ON *.*",
                    "the user may not ask where the binary log ends");
    bool copies = c->link.flavor == MY_MYSQL && c->s->snapshot_mode != SQL_SNAP_NEVER;
    bool locks = copies && c->s->snapshot_locking != MY_LOCKING_NONE;
    if (copies && !locks && !c->v.gtid && !c->only)
        wb_report_add(c->r, WB_BAD, "snapshot_locking: minimal",
                      "snapshot_locking: none needs gtid_mode = ON with MySQL");
    if (locks && !has_right(c, "RELOAD") && !has_right(c, "FLUSH_TABLES") && !has_right(c, "LOCK TABLES"))
        found_right(c, bad, "RELOAD ON *.*",
                    "the user may not hold a read lock for the moment in which the snapshot begins");
}

static void check_tables(checking *c)
{
    bool negative;
    const my_catalog *cat = &c->cat;
    size_t plain = 0;
    if (cat->unmatched && c->s->table_list.n)
        wb_report_add(c->r, cat->nwanted ? WB_WARN : WB_BAD, NULL,
                      "the pattern '%s' in `tables` matches no table that the user %s may see",
                      wb_patterns_text(c->patterns, cat->unmatched - 1, &negative), c->user);
    else if (!cat->nwanted)
        found_right(c, WB_BAD, "SELECT ON database.*", "there is no table that matches and that the user may read");
    for (size_t i = 0; i < cat->n; i++) plain += cat->tables[i].wanted && !cat->tables[i].transactional;
    if (plain && c->s->snapshot_mode != SQL_SNAP_NEVER)
        wb_report_add(
            c->r, WB_WARN, NULL,
            "%zu table(s) have an engine without transactions: all writes to the server wait while the snapshot "
            "copies them",
            plain);
    wb_report_add(c->r, WB_FINE, NULL, "%zu table(s) match", cat->nwanted);
}

static wb_code check_all(checking *c, wb_host *h, wb_error *err)
{
    wb_out told = {0};
    int64_t us;
    wb_code code = my_told_text(c->s, &told, &us, err);
    wb_out_fini(&told);
    if (code == WB_OK) code = my_link_open(&c->link, c->s, h, false, err);
    if (code == WB_OK) code = my_server_look(&c->link, &c->v, err);
    if (code == WB_OK) code = load_rights(c, err);
    if (code != WB_OK) return code;
    wb_report_add(c->r, WB_FINE, NULL, "%s %s, user %s%s%s", my_brand(&c->link), c->v.text, c->user,
                  mysql_get_ssl_cipher(c->link.my) ? ", encrypted with " : ", not encrypted",
                  mysql_get_ssl_cipher(c->link.my) ? mysql_get_ssl_cipher(c->link.my) : "");
    if (!c->only) check_log(c);
    check_rights(c);
    if (!c->only) code = check_retention(c, err);
    if (code == WB_OK) code = my_catalog_load(&c->link, c->patterns, &c->cat, err);
    if (code != WB_OK) return code;
    check_tables(c);
    if (c->s->server_id_option && (uint32_t)c->s->server_id_option == c->v.server_id)
        wb_report_add(c->r, WB_BAD, "leave server_id out: one is chosen", "server_id %u is that of the server itself",
                      c->v.server_id);
    return WB_OK;
}

wb_code my_check(void *ctx, wb_host *h, wb_report *r, wb_error *err)
{
    checking c = {.s = ctx, .r = r};
    wb_error e;
    wb_error_reset(&e);
    c.only = c.s->snapshot_mode == SQL_SNAP_ONLY;
    wb_arena_init(&c.arena, 4096, 0);
    wb_code code = my_patterns_of(c.s, &c.arena, &c.patterns, &e);
    if (code == WB_OK) code = check_all(&c, h, &e);
    my_catalog_free(&c.cat);
    my_link_close(&c.link);
    wb_arena_fini(&c.arena);
    if (code == WB_OK) return WB_OK;
    if (code == WB_E_STOPPED || code == WB_E_NOMEM) {
        if (err) *err = e;
        return code;
    }
    wb_report_error(r, &e);
    return WB_OK;
}

/* check.c: what would keep the pipeline from starting, or from being complete, each with the SQL that mends it. Changes
 * nothing. Called by `walbrook check` on the main thread. */
#include "pg.h"

#include <stdio.h>

#include "base/options.h"

typedef struct checking {
    pg_source *s;
    wb_host *h;
    wb_report *r;
    pg_link link;
    pg_names names;
    pg_catalog cat;
    pg_pub pub, insert_pub;
    wb_arena arena;
    wb_patterns *patterns;
    char user[PG_NAME];
    bool may_replicate, may_create;
    const pg_service *service; /* NULL: none */
} checking;

/* A finding whose mend is built piece by piece. */
static void found(wb_report *r, wb_level level, wb_out *mend, const char *what)
{
    wb_report_add(r, level, wb_out_cstr(mend), "%s", what);
    wb_out_fini(mend);
}

static wb_code check_server(checking *c, wb_error *err)
{
    static const char sql[] =
        "SELECT current_setting('server_version'), current_setting('wal_level'), pg_is_in_recovery(),"
        " r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_roles g WHERE g.rolname = 'rds_replication' AND"
        " pg_has_role(g.oid, 'USAGE')), current_user,"
        " current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots),"
        " current_setting('max_wal_senders')::int - (SELECT count(*) FROM pg_stat_replication),"
        " current_setting('max_slot_wal_keep_size', true), current_database(),"
        " has_database_privilege(current_database(), 'CREATE') FROM pg_roles r WHERE r.rolname = current_user";
    PGresult *res;
    wb_code code = pg_query(&c->link, "for its settings", sql, &res, err);
    if (code != WB_OK) return code;
    bool only = c->s->snapshot_mode == SQL_SNAP_ONLY;
    wb_report *r = c->r;
    wb_report_add(r, WB_FINE, NULL, "PostgreSQL %s%s%s, database %s, user %s", PQgetvalue(res, 0, 0),
                  c->service ? ", " : "", c->service ? c->service->name : "", PQgetvalue(res, 0, 8),
                  PQgetvalue(res, 0, 4));
    if (!only && strcmp(PQgetvalue(res, 0, 1), "logical") != 0)
        wb_report_add(r, WB_BAD,
                      c->service && c->service->wal_level
                          ? c->service->wal_level
                          : "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server",
                      "wal_level is %s; the log must be written with 'logical'", PQgetvalue(res, 0, 1));
    (void)snprintf(c->user, sizeof c->user, "%s", PQgetvalue(res, 0, 4));
    c->may_replicate = PQgetvalue(res, 0, 3)[0] == 't';
    c->may_create = PQgetvalue(res, 0, 9)[0] == 't';
    if (!only && !c->may_replicate) {
        wb_out mend = {0};
        bool grant = c->service && c->service->replicate;
        wb_out_z(&mend, grant ? c->service->replicate : "ALTER ROLE ");
        pg_put_ident_z(&mend, PQgetvalue(res, 0, 4));
        wb_out_z(&mend, grant ? ";" : " WITH REPLICATION;");
        found(r, WB_BAD, &mend, "the user may not replicate");
    }
    if (!only && PQgetvalue(res, 0, 2)[0] == 't')
        wb_report_add(r, c->link.version >= 160000 ? WB_WARN : WB_BAD, NULL,
                      "the server is a standby: publications are made at the primary, and slots on a standby need "
                      "PostgreSQL 16 or newer");
    pg_slot slot;
    code = pg_slot_look(&c->link, c->names.slot, &slot, err);
    if (code == WB_OK && !only && !slot.exists) {
        if (PQgetvalue(res, 0, 5)[0] == '-' || strcmp(PQgetvalue(res, 0, 5), "0") == 0)
            wb_report_add(r, WB_BAD, "ALTER SYSTEM SET max_replication_slots = 20; -- then restart the server",
                          "every replication slot of the server is taken (max_replication_slots)");
        if (PQgetvalue(res, 0, 6)[0] == '-' || strcmp(PQgetvalue(res, 0, 6), "0") == 0)
            wb_report_add(r, WB_BAD, "ALTER SYSTEM SET max_wal_senders = 20; -- then restart the server",
                          "every walsender of the server is taken (max_wal_senders)");
    }
    const char *keep = PQgetvalue(res, 0, 7);
    if (!only && !PQgetisnull(res, 0, 7))
        wb_report_add(r, WB_FINE, NULL,
                      strcmp(keep, "-1") == 0 ? "max_slot_wal_keep_size is not set: while this pipeline is stopped the "
                                                "server keeps log without limit (%s)"
                                              : "the server keeps at most %s of log for a pipeline that is stopped",
                      keep);
    PQclear(res);
    return code;
}

/* What a standby that is promoted will have of us, and what the server does to a slot that rests. */
static wb_code check_failover(checking *c, wb_error *err)
{
    PGresult *res;
    wb_error e;
    wb_error_reset(&e);
    if (pg_failover_check(c->s, c->link.version, &e) != WB_OK) wb_report_error(c->r, &e);
    if (c->link.version < 170000) return WB_OK;
    wb_code code = pg_query(&c->link, "for its standbys",
                            "SELECT current_setting('synchronized_standby_slots'), (SELECT string_agg(slot_name, ', '"
                            " ORDER BY slot_name) FROM pg_replication_slots WHERE slot_type = 'physical' AND active),"
                            " coalesce(current_setting('idle_replication_slot_timeout', true), '0')",
                            &res, err);
    if (code != WB_OK) return code;
    if (c->s->failover != PG_FAILOVER_OFF && !PQgetvalue(res, 0, 0)[0] && !PQgetisnull(res, 0, 1)) {
        wb_out mend = {0};
        wb_out_z(&mend, "ALTER SYSTEM SET synchronized_standby_slots = ");
        pg_put_literal(&mend, PQgetvalue(res, 0, 1));
        wb_out_z(&mend, "; SELECT pg_reload_conf();");
        found(c->r, WB_WARN, &mend,
              "a standby follows this server, and changes are handed over before it has them: one that is promoted may "
              "lack the last of them, and the pipeline will stop");
    }
    const char *idle = PQgetvalue(res, 0, 2);
    if (strcmp(idle, "0") != 0)
        wb_report_add(c->r, WB_WARN, NULL,
                      "the server gives up a slot that was not read for %s (idle_replication_slot_timeout): a pipeline "
                      "that rests longer needs a new snapshot",
                      idle);
    PQclear(res);
    return WB_OK;
}

static void check_replication(checking *c)
{
    pg_link repl = {0};
    wb_error e;
    wb_error_reset(&e);
    if (c->s->snapshot_mode == SQL_SNAP_ONLY || !c->may_replicate) return;
    if (pg_link_open(&repl, c->s, c->h, PG_REPLICATION, &e) != WB_OK) wb_report_error(c->r, &e);
    pg_link_close(&repl);
}

static void put_table(wb_out *o, const pg_table *t)
{
    pg_put_ident(o, t->schema);
    wb_out_byte(o, '.');
    pg_put_ident(o, t->name);
}

/* Its identity and the publication that it is in: what an UPDATE of it does. */
static void check_identity(checking *c, const pg_table *t)
{
    char what[300];
    wb_out mend = {0};
    bool breaks = (c->pub.upd || c->pub.del) && pg_pub_breaks(&c->cat, t);
    if (pg_pub_halved(t)) {
        wb_out_printf(&mend, "walbrook resync FILE %s.%s", t->schema.ptr, t->name.ptr);
        (void)snprintf(what, sizeof what,
                       "%s.%s has a replica identity now, but only its inserts and truncates travel still",
                       t->schema.ptr, t->name.ptr);
        found(c->r, WB_WARN, &mend, what);
    } else if (!t->usable) {
        wb_out_z(&mend, "ALTER TABLE ");
        put_table(&mend, t);
        wb_out_z(&mend, t->cut ? " REPLICA IDENTITY USING INDEX ...; -- one without generated columns"
                               : " REPLICA IDENTITY FULL; -- or give it a primary key");
        if (t->published && !breaks) wb_out_printf(&mend, "\nwalbrook resync FILE %s.%s", t->schema.ptr, t->name.ptr);
        (void)snprintf(what, sizeof what,
                       breaks ? "%s.%s is in the publication and has no replica identity: UPDATE and DELETE of it fail "
                                "for everyone"
                       : t->cut
                           ? "%s.%s has a generated column in its replica identity, which does not travel: nor do its "
                             "updates and deletes"
                           : "%s.%s has no replica identity: its updates and deletes do not travel",
                       t->schema.ptr, t->name.ptr);
        found(c->r, breaks ? WB_BAD : WB_WARN, &mend, what);
    }
}

/* leaves.c copies the table again, when it may and looks. */
static void check_partitions(checking *c, const pg_table *t)
{
    bool never = c->s->snapshot_mode == SQL_SNAP_NEVER, blind = !c->s->table_interval_ms;
    if ((c->pub.exists && !(t->published && c->pub.trunc)) || !(never || blind)) return;
    wb_report_add(
        c->r, WB_WARN, NULL,
        "the server does not send TRUNCATE of a single partition of %s.%s, and with %s %s: TRUNCATE the root, "
        "or DELETE",
        t->schema.ptr, t->name.ptr, blind ? "`table_interval: 0ms`" : "`snapshot: never`",
        blind ? "nobody looks for it" : "it is named in the log, but not copied again");
}

/* Row-level security would leave rows out without a word; every session of ours asks for an error instead. */
static void check_select(checking *c, const pg_table *t)
{
    wb_out mend = {0};
    char what[300];
    const char *whose = c->s->snapshot_mode != SQL_SNAP_NEVER ? "snapshot" : "option reselect";
    if (t->hidden) {
        wb_out_z(&mend, "ALTER ROLE ");
        pg_put_ident_z(&mend, c->user);
        wb_out_z(&mend, " BYPASSRLS;");
        (void)snprintf(what, sizeof what, "row-level security hides rows of %s.%s from the user, and the %s needs all",
                       t->schema.ptr, t->name.ptr, whose);
    } else {
        wb_out_z(&mend, "GRANT USAGE ON SCHEMA ");
        pg_put_ident(&mend, t->schema);
        wb_out_z(&mend, " TO ");
        pg_put_ident_z(&mend, c->user);
        wb_out_z(&mend, "; GRANT SELECT ON ");
        put_table(&mend, t);
        wb_out_z(&mend, " TO ");
        pg_put_ident_z(&mend, c->user);
        wb_out_byte(&mend, ';');
        (void)snprintf(what, sizeof what, "the user may not read %s.%s, which the %s needs", t->schema.ptr, t->name.ptr,
                       whose);
    }
    found(c->r, WB_BAD, &mend, what);
}

static void check_tables(checking *c)
{
    bool negative;
    const pg_catalog *cat = &c->cat;
    if (cat->unmatched)
        wb_report_add(c->r, cat->nwanted ? WB_WARN : WB_BAD, NULL, "the pattern '%s' in `tables` matches no table",
                      wb_patterns_text(c->patterns, cat->unmatched - 1, &negative));
    else if (!cat->nwanted)
        wb_report_add(c->r, WB_BAD, NULL, "no table of the database matches `tables`");
    char unsent[PG_UNSENT];
    if (pg_catalog_unsent(cat, unsent, sizeof unsent)) wb_report_add(c->r, WB_BAD, NULL, "%s", unsent);
    size_t fine = 0;
    for (size_t i = 0; i < cat->n; i++) {
        const pg_table *t = &cat->tables[i];
        if (!t->wanted) continue;
        fine += t->usable && t->can_select && !pg_pub_halved(t);
        if (!t->can_select && (c->s->snapshot_mode != SQL_SNAP_NEVER || c->s->reselect)) check_select(c, t);
        if (c->s->snapshot_mode != SQL_SNAP_ONLY) check_identity(c, t);
        if (t->kind == 'p') check_partitions(c, t);
    }
    wb_report_add(c->r, WB_FINE, NULL, "%zu table(s) match, %zu without remarks", cat->nwanted, fine);
}

static void mend_missing(checking *c, wb_out *mend)
{
    for (size_t i = 0; c->pub.ours && i < c->cat.n; i++) {
        const pg_table *t = &c->cat.tables[i];
        if (t->wanted && !t->published)
            wb_out_printf(mend, "%swalbrook add-table FILE %s.%s", mend->len ? "\n" : "", t->schema.ptr, t->name.ptr);
        if (mend->len < 1000) continue;
        wb_out_z(mend, "\nand so on; HUP lets all join a pipeline that runs");
        return;
    }
    if (c->pub.ours) return;
    wb_out_z(mend, "ALTER PUBLICATION ");
    pg_put_ident_z(mend, c->names.pub);
    wb_out_z(mend, " ADD TABLE");
    size_t n = 0;
    for (size_t i = 0; i < c->cat.n; i++) {
        const pg_table *t = &c->cat.tables[i];
        if (!t->wanted || t->published || !t->usable) continue;
        wb_out_z(mend, n++ ? ", " : " ");
        put_table(mend, t);
    }
    wb_out_z(mend, "; -- rows that are there already need a snapshot");
}

static void check_rights_to_publish(checking *c)
{
    if (!c->s->create_publication) {
        wb_out mend = {0};
        pg_pub_sql(&c->names, &c->cat, false, c->link.version, &mend);
        wb_out_byte(&mend, ';');
        found(c->r, WB_BAD, &mend, "the publication does not exist, and create_publication is off");
        return;
    }
    size_t foreign = 0;
    for (size_t i = 0; i < c->cat.n; i++) foreign += c->cat.tables[i].wanted && !c->cat.tables[i].owned;
    if (c->may_create && !foreign) {
        wb_report_add(c->r, WB_FINE, NULL, "the publication %s will be made", c->names.pub);
        return;
    }
    wb_out mend = {0};
    wb_out_z(&mend, "-- as the owner of the tables:\n");
    pg_pub_sql(&c->names, &c->cat, false, c->link.version, &mend);
    wb_out_byte(&mend, ';');
    for (size_t i = 0; i < c->cat.n; i++) {
        if (!c->cat.tables[i].wanted || c->cat.tables[i].usable) continue;
        wb_out_byte(&mend, '\n');
        pg_pub_sql(&c->names, &c->cat, true, c->link.version, &mend);
        wb_out_byte(&mend, ';');
        break;
    }
    char what[200];
    if (foreign)
        (void)snprintf(what, sizeof what, "the user does not own %zu of the tables, so it may not publish them",
                       foreign);
    else
        (void)snprintf(what, sizeof what, "the user may not make publications in this database");
    found(c->r, WB_BAD, &mend, what);
}

static void check_publication(checking *c)
{
    pg_pub pub = c->pub;
    if (!pub.exists) {
        check_rights_to_publish(c);
        return;
    }
    size_t missing = 0;
    for (size_t i = 0; i < c->cat.n; i++) missing += c->cat.tables[i].wanted && !c->cat.tables[i].published;
    wb_report_add(c->r, WB_FINE, NULL, "the publication %s exists%s", c->names.pub,
                  pub.ours ? "" : "; it was not made by this pipeline and is used as it is");
    if (missing) {
        wb_out mend = {0};
        char what[160];
        mend_missing(c, &mend);
        (void)snprintf(what, sizeof what, "%zu table(s) match `tables` and are not published", missing);
        found(c->r, WB_WARN, &mend, what);
    }
    if (!pub.ins || !pub.upd || !pub.del || !pub.trunc)
        wb_report_add(c->r, WB_WARN, NULL, "the publication %s leaves out some of insert, update, delete and truncate",
                      c->names.pub);
}

static wb_code check_slot(checking *c, wb_error *err)
{
    pg_slot slot;
    wb_code code = pg_slot_look(&c->link, c->names.slot, &slot, err);
    if (code != WB_OK) return code;
    if (!slot.exists && c->s->create_slot)
        wb_report_add(c->r, WB_FINE, NULL, "the replication slot %s will be made", c->names.slot);
    else if (!slot.exists)
        wb_report_add(c->r, WB_BAD, NULL, "the replication slot %s does not exist, and create_slot is off",
                      c->names.slot);
    else if (slot.lost)
        wb_report_add(c->r, WB_BAD, "walbrook run --resnapshot TARGET, for each target; and raise what was too small",
                      "the replication slot %s is lost: %s", c->names.slot, pg_slot_why(&slot));
    else if (!slot.logical || !slot.ours_plugin)
        wb_report_add(c->r, WB_BAD, NULL, "the replication slot %s is not a logical slot of pgoutput", c->names.slot);
    else if (strcmp(slot.database, PQdb(c->link.pg)) != 0)
        wb_report_add(c->r, WB_BAD, NULL, "the replication slot %s belongs to the database %s", c->names.slot,
                      slot.database);
    else
        wb_report_add(c->r, WB_FINE, NULL, "the replication slot %s exists%s, the server keeps %lld MB of log for it",
                      c->names.slot, slot.active ? " and is in use" : "", (long long)(slot.held >> 20));
    return WB_OK;
}

static wb_code check_all(checking *c, wb_error *err)
{
    pg_lsn told;
    int64_t us;
    pg_timeline_recall(c->s, c->h);
    wb_code code = pg_told_position(c->s, &told, &us, err);
    if (code == WB_OK) code = pg_link_open(&c->link, c->s, c->h, PG_SQL, err);
    if (code == WB_OK) code = pg_options_fit(c->s, c->link.version, err);
    if (code == WB_OK) code = pg_service_look(&c->link, &c->service, err);
    if (code == WB_OK) code = check_server(c, err);
    if (code == WB_OK && c->s->snapshot_mode != SQL_SNAP_ONLY) code = check_failover(c, err);
    if (code == WB_OK) check_replication(c);
    if (code == WB_OK && pg_link_no_encoding(&c->link))
        wb_report_add(c->r, WB_WARN, NULL, "%s", pg_link_no_encoding(&c->link));
    if (code == WB_OK) code = pg_catalog_load(&c->link, c->patterns, &c->cat, err);
    if (code == WB_OK && c->s->snapshot_mode != SQL_SNAP_ONLY)
        code = pg_pub_look(&c->link, &c->names, &c->cat, &c->pub, &c->insert_pub, err);
    if (code != WB_OK) return code;
    check_tables(c);
    if (c->s->snapshot_mode == SQL_SNAP_ONLY) return WB_OK;
    check_publication(c);
    return check_slot(c, err);
}

wb_code pg_check(void *ctx, wb_host *h, wb_report *r, wb_error *err)
{
    checking c = {.s = ctx, .h = h, .r = r};
    wb_error e;
    wb_error_reset(&e);
    wb_arena_init(&c.arena, 4096, 0);
    wb_code code = pg_names_make(c.s, h, &c.names, &e);
    if (code == WB_OK) code = pg_patterns_of(c.s, &c.arena, &c.patterns, &e);
    if (code == WB_OK) code = check_all(&c, &e);
    pg_catalog_free(&c.cat);
    pg_link_close(&c.link);
    wb_arena_fini(&c.arena);
    if (code == WB_OK) return WB_OK;
    if (code == WB_E_STOPPED || code == WB_E_NOMEM) {
        if (err) *err = e;
        return code;
    }
    wb_report_error(r, &e);
    return WB_OK;
}

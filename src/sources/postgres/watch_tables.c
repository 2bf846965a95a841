/* watch_tables.c: tables that are made and dropped while we stream. The log tells neither. A dropped one: we write a
 * message of our own into the log, whose place is after every change of the table; ddl.c makes a DROP of it when the
 * stream brings it. A new one that matches `tables`: its name is said, or (new_tables: add) it joins the publication,
 * together with a message at whose place the CREATE is told. Source thread, by timer. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"

enum { SHARE = 50, RETRY_US = 1000000 }; /* of the time at most one part in so many goes into looking */

/* A standby that does not answer shall not hold up the stream. */
static const char local[] = "SET LOCAL synchronous_commit = local; ";

static bool may_write(const pg_source *s)
{
    return s->side.version >= 140000 && !s->in_recovery && sql_fact_on(s->host) && !s->tail;
}

static void put_message(const pg_source *s, const char *word, uint32_t oid, wb_out *sql)
{
    wb_out_printf(sql, "SELECT pg_logical_emit_message(true, 'walbrook', 'schema %s %s %u')", s->names.slot, word, oid);
}

/* ---------------------------------------------------------------- dropped */

static wb_code say_dropped(pg_source *s, uint32_t oid, wb_error *err)
{
    wb_out sql = {0};
    if (pg_oidset_has(&s->ddl.asked, oid)) return WB_OK;
    wb_out_z(&sql, local);
    put_message(s, "drop", oid, &sql);
    wb_code code = pg_do(&s->side, "to note that a table was dropped", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    return code == WB_OK && !pg_oidset_set(&s->ddl.asked, oid, true) ? pg_nomem(err) : code;
}

static wb_code look_for_dropped(pg_source *s, const pg_catalog *cat, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < s->ddl.told.n && code == WB_OK; i++)
        if (!pg_catalog_find(cat, s->ddl.told.oids[i])) code = say_dropped(s, s->ddl.told.oids[i], err);
    return code;
}

/* ---------------------------------------------------------------- new */

static wb_code add_table(pg_source *s, const pg_table *t, wb_error *err)
{
    const char *pub = t->usable ? s->names.pub : s->names.insert_pub;
    wb_out sql = {0};
    wb_out_z(&sql, local);
    wb_out_z(&sql, "ALTER PUBLICATION ");
    pg_put_ident_z(&sql, pub);
    wb_out_z(&sql, " ADD TABLE ");
    pg_put_ident(&sql, t->schema);
    wb_out_byte(&sql, '.');
    pg_put_ident(&sql, t->name);
    if (may_write(s)) { /* both or neither: several statements in one query are one transaction */
        wb_out_z(&sql, "; ");
        put_message(s, "add", t->oid, &sql);
    }
    wb_code code = pg_do(&s->side, "to publish a new table", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    if (code == WB_OK)
        wb_host_log(s->host, WB_LOG_INFO, "%s.%s is new and was added to the publication %s", t->schema.ptr,
                    t->name.ptr, pub);
    return code;
}

static void name_table(const pg_source *s, const pg_table *t)
{
    wb_host_log(s->host, WB_LOG_WARN,
                "%s.%s is new and matches `tables`, and is not in the publication %s: its changes do not travel. "
                "`new_tables: add` adds such tables by itself.",
                t->schema.ptr, t->name.ptr, s->names.pub);
}

static wb_code meet_new(pg_source *s, pg_table *t, wb_error *err)
{
    wb_error own;
    wb_error_reset(&own);
    if (!pg_oidset_set(&s->ddl.named, t->oid, true)) return pg_nomem(err);
    if (s->new_tables != PG_NEW_ADD) {
        name_table(s, t);
        return WB_OK;
    }
    if (!t->usable && !s->second_pub) {
        wb_host_log(s->host, WB_LOG_WARN,
                    "%s.%s is new and has no primary key and no replica identity; it is not published, since that "
                    "would make its updates fail. ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY FULL; mends it.",
                    t->schema.ptr, t->name.ptr, t->schema.ptr, t->name.ptr);
        return WB_OK;
    }
    wb_code code = pg_snap_add(s, &t, 1, &own); /* first: rows that are there by then are copied, whatever crashes */
    if (code == WB_OK) code = add_table(s, t, &own);
    if (code == WB_OK || pg_link_dead(&s->side) || code == WB_E_STOPPED) {
        if (code != WB_OK && err) *err = own;
        return code;
    }
    wb_host_log(s->host, WB_LOG_WARN,
                "%s.%s is new and could not be added to the publication: %s The owner of both can "
                "say: ALTER PUBLICATION \"%s\" ADD TABLE \"%s\".\"%s\";",
                t->schema.ptr, t->name.ptr, own.message, s->names.pub, t->schema.ptr, t->name.ptr);
    return WB_OK;
}

static bool is_new(const pg_source *s, const pg_table *t)
{
    const pg_table *had = pg_catalog_find(&s->cat, t->oid);
    return t->wanted && !(had && had->published) && !pg_oidset_has(&s->ddl.named, t->oid);
}

static wb_code look_for_new(pg_source *s, pg_catalog *cat, bool looked, wb_error *err)
{
    pg_pub pub, insert_pub;
    wb_code code = WB_OK;
    for (size_t i = 0; i < cat->n && code == WB_OK; i++) {
        if (!is_new(s, &cat->tables[i])) continue;
        if (!looked) code = pg_pub_look(&s->side, &s->names, cat, &pub, &insert_pub, err); /* only now: it is slow */
        looked = true;
        if (code == WB_OK && !cat->tables[i].published)
            code = meet_new(s, &cat->tables[i], err);
        else if (code == WB_OK && !pg_oidset_set(&s->ddl.named, cat->tables[i].oid, true))
            code = pg_nomem(err);
    }
    return code;
}

/* ---------------------------------------------------------------- with and without a replica identity */

/* s->cat knows who is published; a change is said once. */
static void look_at_identities(pg_source *s, const pg_catalog *cat)
{
    for (size_t i = 0; i < cat->n && cat != &s->cat; i++) {
        const pg_table *t = &cat->tables[i];
        pg_table *had = pg_catalog_find(&s->cat, t->oid);
        if (!had || !had->published || had->usable == t->usable) continue;
        had->usable = t->usable;
        pg_pub_warn_identity(s, had);
    }
}

/* ---------------------------------------------------------------- when */

static wb_code look(pg_source *s, pg_catalog *cat, bool looked, wb_error *err)
{
    look_at_identities(s, cat);
    wb_code code = pg_leaves_look(s, cat, err);
    if (code == WB_OK && may_write(s)) code = look_for_dropped(s, cat, err);
    return code == WB_OK ? look_for_new(s, cat, looked, err) : code;
}

void pg_watch_begin(pg_source *s)
{
    wb_error own;
    wb_error_reset(&own);
    s->ddl.watch_at_us = INT64_MAX;
    if (s->tail || !s->table_interval_ms) return;
    s->ddl.watch_at_us = wb_mono_us() + s->table_interval_ms * 1000;
    if (look(s, &s->cat, true, &own) != WB_OK)
        wb_host_log(s->host, WB_LOG_DEBUG, "could not look for new and dropped tables: %s", own.message);
}

void pg_watch_tables(pg_source *s, int64_t now)
{
    wb_error own;
    pg_catalog cat = {0};
    wb_error_reset(&own);
    if (pg_leaves_due(s) && now >= s->leaves.retry_us && pg_leaves_judge(s, &own) != WB_OK) {
        s->leaves.retry_us = now + RETRY_US;
        wb_host_log(s->host, WB_LOG_DEBUG, "could not look at truncated partitions: %s", own.message);
        wb_error_reset(&own);
    }
    if (now < s->ddl.watch_at_us) return;
    wb_code code = pg_side(s, &own);
    if (code == WB_OK) code = pg_catalog_load(&s->side, s->patterns, &cat, &own);
    if (code == WB_OK) code = look(s, &cat, false, &own);
    pg_catalog_free(&cat);
    if (code != WB_OK) wb_host_log(s->host, WB_LOG_DEBUG, "could not look for new and dropped tables: %s", own.message);
    int64_t after = wb_mono_us();
    s->ddl.watch_at_us = after + WB_MAX(s->table_interval_ms * 1000, (after - now) * SHARE);
}

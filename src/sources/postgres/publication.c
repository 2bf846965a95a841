/* publication.c: what the server sends. Our publications name tables, never ALL TABLES: a table without replica
 * identity in a publication of updates makes the user's own UPDATE fail, so such tables go into a second one that
 * publishes inserts only. Made before the slot, because the server looks them up as of the change being decoded.
 * Called at open; parts of it by check, status and drop. */
#include "pg.h"

#include <stdio.h>

#include "base/options.h"

/* ---------------------------------------------------------------- looking */

static wb_code look_settings(pg_link *l, const pg_names *names, pg_pub *pub, pg_pub *insert_pub, wb_error *err)
{
    const char *values[] = {names->pub, names->insert_pub};
    const char *sql = l->version >= 130000
                          ? "SELECT pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,"
                            " coalesce(obj_description(oid, 'pg_publication'), ''), pg_has_role(pubowner, 'USAGE') "
                            "FROM pg_publication"
                            " WHERE pubname IN ($1, $2)"
                          : "SELECT pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, false,"
                            " coalesce(obj_description(oid, 'pg_publication'), ''), pg_has_role(pubowner, 'USAGE') "
                            "FROM pg_publication"
                            " WHERE pubname IN ($1, $2)";
    PGresult *res;
    wb_code code = pg_run(l, &(pg_call){.why = "to list publications", .n = 2, .values = values}, sql, &res, err);
    if (code != WB_OK) return code;
    for (int i = 0; i < PQntuples(res); i++) {
        pg_pub *p = strcmp(PQgetvalue(res, i, 0), names->pub) == 0 ? pub : insert_pub;
        p->exists = true;
        p->all_tables = PQgetvalue(res, i, 1)[0] == 't';
        p->ins = PQgetvalue(res, i, 2)[0] == 't';
        p->upd = PQgetvalue(res, i, 3)[0] == 't';
        p->del = PQgetvalue(res, i, 4)[0] == 't';
        p->trunc = PQgetvalue(res, i, 5)[0] == 't';
        p->via_root = PQgetvalue(res, i, 6)[0] == 't';
        p->marked = strcmp(PQgetvalue(res, i, 7), names->comment) == 0;
        p->ours = p->marked && PQgetvalue(res, i, 8)[0] == 't';
    }
    PQclear(res);
    return WB_OK;
}

/* Several publications of one table: their row filters are ORed, and one without a filter wins. */
static void merge_filter(pg_table *t, bool first, const char *filter, wb_arena *a)
{
    if (first)
        t->filter = filter ? wb_arena_strdup(a, filter) : NULL;
    else if (!filter)
        t->filter = NULL;
    else if (t->filter)
        t->filter = wb_arena_printf(a, "(%s) OR (%s)", t->filter, filter);
}

/* The list of columns, NULL when it is all that are not generated. Before 18 generated ones never travel, though 15
 * names them here. */
#define LOOK(exactly, list)                                                                                            \
    "SELECT c.oid, p.rowfilter, CASE WHEN p.attnames @> k.names " exactly " THEN NULL ELSE array_to_string(" list      \
    ", chr(1)) END, p.pubname = $2 FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname"       \
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"                                           \
    " CROSS JOIN LATERAL (SELECT coalesce(array_agg(a.attname), '{}') AS names FROM pg_attribute a"                    \
    " WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '') k"                     \
    " WHERE p.pubname IN ($1, $2)"

static wb_code look_tables(pg_link *l, const pg_names *names, pg_catalog *cat, const pg_pub *insert_pub, wb_error *err)
{
    const char *values[] = {names->pub,
                            insert_pub->marked ? names->insert_pub : ""}; /* not one that is only named so */
    const char *sql = l->version >= 180000 ? LOOK("AND p.attnames <@ k.names", "p.attnames")
                      : l->version >= 150000
                          ? LOOK("", "ARRAY(SELECT x FROM unnest(p.attnames) x WHERE x = ANY (k.names))")
                          : "SELECT c.oid, NULL, NULL, p.pubname = $2 FROM pg_publication_tables p"
                            " JOIN pg_namespace n ON n.nspname = p.schemaname"
                            " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename"
                            " WHERE p.pubname IN ($1, $2)";
    PGresult *res;
    wb_code code = pg_run(l, &(pg_call){.why = "to list published tables", .n = 2, .values = values}, sql, &res, err);
    if (code != WB_OK) return code;
    for (size_t i = 0; i < cat->n; i++) cat->tables[i].published = cat->tables[i].whole = false;
    for (int i = 0; i < PQntuples(res); i++) {
        int64_t oid = 0;
        if (wb_parse_int(PQgetvalue(res, i, 0), &oid, NULL) != WB_OK) continue;
        pg_table *t = pg_catalog_find(cat, (uint32_t)oid);
        if (!t) continue;
        merge_filter(t, !t->published, PQgetisnull(res, i, 1) ? NULL : PQgetvalue(res, i, 1), &cat->arena);
        t->columns = PQgetisnull(res, i, 2) ? NULL : wb_arena_strdup(&cat->arena, PQgetvalue(res, i, 2));
        t->published = true;
        if (PQgetvalue(res, i, 3)[0] != 't') t->whole = true;
    }
    PQclear(res);
    return cat->arena.failed ? pg_nomem(err) : WB_OK;
}
#undef LOOK

wb_code pg_pub_look(pg_link *l, const pg_names *names, pg_catalog *cat, pg_pub *pub, pg_pub *insert_pub, wb_error *err)
{
    *pub = *insert_pub = (pg_pub){0};
    wb_code code = look_settings(l, names, pub, insert_pub, err);
    if (code == WB_OK) code = look_tables(l, names, cat, insert_pub, err);
    for (size_t i = 0; i < cat->n; i++) cat->tables[i].updates = cat->tables[i].whole && pub->upd;
    return code;
}

/* ---------------------------------------------------------------- making */

/* Goes into which of the two. */
static bool belongs(const pg_table *t, bool insert_only) { return t->wanted && t->usable != insert_only; }

static size_t put_tables(const pg_catalog *cat, bool insert_only, wb_out *out)
{
    size_t n = 0;
    for (size_t i = 0; i < cat->n; i++) {
        const pg_table *t = &cat->tables[i];
        if (!belongs(t, insert_only)) continue;
        wb_out_z(out, n++ ? ", " : " ");
        pg_put_ident(out, t->schema);
        wb_out_byte(out, '.');
        pg_put_ident(out, t->name);
    }
    return n;
}

static void put_comment(const pg_names *names, const char *pub, wb_out *out)
{
    wb_out_z(out, "; COMMENT ON PUBLICATION ");
    pg_put_ident_z(out, pub);
    wb_out_z(out, " IS ");
    pg_put_literal(out, names->comment);
}

void pg_pub_sql(const pg_names *names, const pg_catalog *cat, bool insert_only, int version, wb_out *out)
{
    const char *pub = insert_only ? names->insert_pub : names->pub;
    wb_out list = {0};
    size_t n = put_tables(cat, insert_only, &list);
    wb_out_z(out, "CREATE PUBLICATION ");
    pg_put_ident_z(out, pub);
    if (n) {
        wb_out_z(out, " FOR TABLE");
        wb_out_put(out, list.p, list.len);
    }
    wb_out_z(out, insert_only ? " WITH (publish = 'insert, truncate'"
                              : " WITH (publish = 'insert, update, delete, truncate'");
    if (version >= 130000) wb_out_z(out, ", publish_via_partition_root = true");
    if (names->generated && version >= 180000) wb_out_z(out, ", publish_generated_columns = stored");
    wb_out_z(out, ")");
    put_comment(names, pub, out);
    if (list.failed) out->failed = true;
    wb_out_fini(&list);
}

static size_t count_belonging(const pg_catalog *cat, bool insert_only)
{
    size_t n = 0;
    for (size_t i = 0; i < cat->n; i++) n += belongs(&cat->tables[i], insert_only);
    return n;
}

static wb_code make(pg_source *s, pg_link *l, bool insert_only, wb_error *err)
{
    wb_out sql = {0};
    pg_pub_sql(&s->names, &s->cat, insert_only, l->version, &sql);
    wb_code code = pg_do(l, "to make a publication", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    if (code == WB_OK)
        wb_host_log(s->host, WB_LOG_INFO, "made the publication %s of %zu table(s)",
                    insert_only ? s->names.insert_pub : s->names.pub, count_belonging(&s->cat, insert_only));
    else
        wb_hint(err, "The user needs CREATE on the database and must own the tables; `walbrook check` prints the SQL. "
                     "Or make the publication as another user and name it with `publication`.");
    return code;
}

/* One that we made for a start that did not get far: the tables may have changed since. */
static wb_code remake(pg_source *s, pg_link *l, const pg_pub *pub, bool insert_only, wb_error *err)
{
    if (pub->exists) {
        wb_out sql = {0};
        wb_out_z(&sql, "DROP PUBLICATION ");
        pg_put_ident_z(&sql, insert_only ? s->names.insert_pub : s->names.pub);
        wb_code code = pg_do(l, "to replace an unfinished publication", wb_out_cstr(&sql), err);
        wb_out_fini(&sql);
        if (code != WB_OK) return code;
    }
    /* The server must know every publication of a stream from its beginning, so tables that come later have theirs. */
    bool needed = !insert_only || count_belonging(&s->cat, true) || s->new_tables == PG_NEW_ADD;
    return needed ? make(s, l, insert_only, err) : WB_OK;
}

static void warn_insert_only(const pg_source *s)
{
    for (size_t i = 0; i < s->cat.n; i++) {
        const pg_table *t = &s->cat.tables[i];
        if (!t->wanted || t->usable) continue;
        if (t->cut) {
            wb_host_log(s->host, WB_LOG_WARN,
                        "the replica identity of %s.%s has a generated column, which does not travel: only inserts and "
                        "truncates of the table do. A unique index of other columns as its replica identity mends it, "
                        "or `generated_columns: stored` (PostgreSQL 18).",
                        t->schema.ptr, t->name.ptr);
            continue;
        }
        wb_host_log(
            s->host, WB_LOG_WARN,
            "%s.%s has no primary key and no replica identity: only its inserts and truncates travel. This mends "
            "it: ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY FULL; then `walbrook resync FILE %s.%s`.",
            t->schema.ptr, t->name.ptr, t->schema.ptr, t->name.ptr, t->schema.ptr, t->name.ptr);
    }
}

static wb_code make_both(pg_source *s, pg_link *l, const pg_pub *pub, const pg_pub *insert_pub, wb_error *err)
{
    if (s->tail && s->names.pub_named) { /* one of ours would have to go again, and bears a name that is not ours */
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "There is no publication %s.", s->names.pub);
        wb_hint(err, "Without --publication one is made for the time of the tail.");
        return WB_E_CONFIG;
    }
    if (!s->create_publication) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The publication %s does not exist, and create_publication is off.",
                s->names.pub);
        wb_hint(err, "`walbrook check` prints the CREATE PUBLICATION that makes it.");
        return WB_E_CONFIG;
    }
    if (!s->cat.nwanted) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "No table of the database matches `tables`.");
        wb_hint(err, "Patterns are schema.table, and case counts; `walbrook init URL` lists the tables.");
        return WB_E_CONFIG;
    }
    wb_code code = sql_fact_put(s->host, "making_publication", s->names.pub, err);
    if (code == WB_OK) code = remake(s, l, pub, false, err);
    if (code == WB_OK) code = remake(s, l, insert_pub, true, err);
    if (code == WB_OK) code = sql_fact_put(s->host, "publication", s->names.pub, err);
    if (code == WB_OK) code = sql_fact_put(s->host, "pub_made", "yes", err);
    if (code == WB_OK) code = sql_fact_del(s->host, "making_publication", err);
    pg_pub again, insert_again;
    if (code == WB_OK) code = pg_pub_look(l, &s->names, &s->cat, &again, &insert_again, err);
    return code;
}

/* ---------------------------------------------------------------- joining */

/* The second one, empty so far, for tables that join. */
static wb_code make_insert_pub(pg_source *s, pg_link *l, pg_table *const *list, size_t n, wb_error *err)
{
    wb_out sql = {0};
    size_t many = 0;
    wb_out_z(&sql, "CREATE PUBLICATION ");
    pg_put_ident_z(&sql, s->names.insert_pub);
    wb_out_z(&sql, " FOR TABLE ");
    for (size_t i = 0; i < n; i++) {
        if (list[i]->published || list[i]->usable) continue;
        if (many++) wb_out_z(&sql, ", ");
        pg_put_ident(&sql, list[i]->schema);
        wb_out_byte(&sql, '.');
        pg_put_ident(&sql, list[i]->name);
    }
    wb_out_z(&sql, " WITH (publish = 'insert, truncate'");
    wb_out_z(&sql, l->version >= 130000 ? ", publish_via_partition_root = true)" : ")");
    put_comment(&s->names, s->names.insert_pub, &sql);
    wb_code code = pg_do(l, "to make a publication", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    return code;
}

static wb_code join_one(pg_source *s, pg_link *l, pg_table *const *list, size_t n, bool insert_only, wb_error *err)
{
    wb_out sql = {0};
    size_t many = 0;
    wb_out_z(&sql, "ALTER PUBLICATION ");
    pg_put_ident_z(&sql, insert_only ? s->names.insert_pub : s->names.pub);
    wb_out_z(&sql, " ADD TABLE ");
    for (size_t i = 0; i < n; i++) {
        if (list[i]->published || list[i]->usable == insert_only) continue;
        if (many++) wb_out_z(&sql, ", ");
        pg_put_ident(&sql, list[i]->schema);
        wb_out_byte(&sql, '.');
        pg_put_ident(&sql, list[i]->name);
    }
    wb_code code = many ? pg_do(l, "to let a table join the publication", wb_out_cstr(&sql), err) : WB_OK;
    wb_out_fini(&sql);
    if (code == WB_OK && many) wb_host_log(s->host, WB_LOG_INFO, "%zu table(s) have joined the publication", many);
    return code;
}

static size_t count_joining(pg_table *const *list, size_t n, bool insert_only)
{
    size_t many = 0;
    for (size_t i = 0; i < n; i++) many += !list[i]->published && list[i]->usable != insert_only;
    return many;
}

wb_code pg_pub_join(pg_source *s, pg_link *l, pg_table *const *list, size_t n, bool *second, wb_error *err)
{
    pg_pub pub = {0}, insert_pub = {0};
    *second = false;
    if (!count_joining(list, n, false) && !count_joining(list, n, true)) return WB_OK;
    wb_code code = look_settings(l, &s->names, &pub, &insert_pub, err);
    if (code != WB_OK) return code;
    if (!pub.ours) {
        wb_host_log(s->host, WB_LOG_WARN,
                    "the publication %s was not made by this pipeline, so tables join it by your hand: ALTER "
                    "PUBLICATION ... ADD TABLE, then add-table again",
                    s->names.pub);
        return WB_OK;
    }
    code = join_one(s, l, list, n, false, err);
    if (code == WB_OK && count_joining(list, n, true)) {
        *second = !insert_pub.exists;
        code = insert_pub.exists ? join_one(s, l, list, n, true, err) : make_insert_pub(s, l, list, n, err);
    }
    pg_pub again, insert_again;
    if (code == WB_OK) code = pg_pub_look(l, &s->names, &s->cat, &again, &insert_again, err);
    return code;
}

/* ---------------------------------------------------------------- a table that has an identity now */

bool pg_pub_halved(const pg_table *t) { return t->wanted && t->published && !t->whole && t->usable; }

bool pg_pub_breaks(const pg_catalog *cat, const pg_table *t)
{
    return t->published && t->whole && !t->usable && pg_catalog_covers(cat, t);
}

static void put_move(const pg_source *s, const pg_table *t, wb_out *sql)
{
    for (int whole = 0; whole < 2; whole++) {
        wb_out_z(sql, whole ? "; ALTER PUBLICATION " : "ALTER PUBLICATION ");
        pg_put_ident_z(sql, whole ? s->names.pub : s->names.insert_pub);
        wb_out_z(sql, whole ? " ADD TABLE " : " DROP TABLE ");
        pg_put_ident(sql, t->schema);
        wb_out_byte(sql, '.');
        pg_put_ident(sql, t->name);
    }
}

wb_code pg_pub_complete(pg_source *s, pg_link *l, pg_table *const *list, size_t n, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        wb_out sql = {0};
        if (!pg_pub_halved(list[i])) continue;
        put_move(s, list[i], &sql); /* both or neither: several statements in one query are one transaction */
        code = pg_do(l, "to publish updates and deletes of a table", wb_out_cstr(&sql), err);
        wb_out_fini(&sql);
        if (code != WB_OK) break;
        list[i]->whole = true;
        wb_host_log(s->host, WB_LOG_INFO, "updates and deletes of %s.%s travel from now on", list[i]->schema.ptr,
                    list[i]->name.ptr);
    }
    return code;
}

void pg_pub_warn_identity(const pg_source *s, const pg_table *t)
{
    if (pg_pub_halved(t))
        wb_host_log(s->host, WB_LOG_WARN,
                    "%s.%s has a replica identity now, but only its inserts and truncates travel still: `walbrook "
                    "resync FILE %s.%s` publishes the rest and reads it again.",
                    t->schema.ptr, t->name.ptr, t->schema.ptr, t->name.ptr);
    else if (pg_pub_breaks(&s->cat, t))
        wb_host_log(s->host, WB_LOG_WARN,
                    "%s.%s is in the publication %s and has no replica identity: UPDATE and DELETE of it fail for "
                    "everyone until ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY FULL.",
                    t->schema.ptr, t->name.ptr, s->names.pub, t->schema.ptr, t->name.ptr);
}

/* ---------------------------------------------------------------- at open */

static void warn_difference(const pg_source *s, const pg_pub *pub)
{
    for (size_t i = 0; i < s->cat.n; i++) {
        const pg_table *t = &s->cat.tables[i];
        if (t->wanted && !t->published)
            wb_host_log(s->host, WB_LOG_WARN,
                        "%s.%s matches `tables` but is not in the publication %s: its changes do "
                        "not travel.",
                        t->schema.ptr, t->name.ptr, s->names.pub);
        if (pub->upd || pub->del) pg_pub_warn_identity(s, t);
    }
    if (!pub->ins || !pub->upd || !pub->del || !pub->trunc)
        wb_host_log(s->host, WB_LOG_WARN, "the publication %s leaves out some of insert, update, delete and truncate",
                    s->names.pub);
}

static void list_for_stream(pg_source *s, bool second)
{
    s->second_pub = second;
    wb_out_reset(&s->pub_list);
    pg_put_ident_z(&s->pub_list, s->names.pub);
    if (second) {
        wb_out_byte(&s->pub_list, ',');
        pg_put_ident_z(&s->pub_list, s->names.insert_pub);
    }
}

wb_code pg_pub_prepare(pg_source *s, pg_link *l, bool first, wb_error *err)
{
    pg_pub pub, insert_pub;
    wb_code code = pg_pub_look(l, &s->names, &s->cat, &pub, &insert_pub, err);
    if (code != WB_OK) return code;
    if (!first && !pub.exists)
        return pg_gap(s, err, "The publication %s is gone. What was changed without it cannot be read any more",
                      s->names.pub);
    if (!pub.exists || (first && pub.ours)) {
        code = make_both(s, l, &pub, &insert_pub, err);
        if (code != WB_OK) return code;
        warn_insert_only(s);
        insert_pub.exists = count_belonging(&s->cat, true) > 0 || s->new_tables == PG_NEW_ADD;
        insert_pub.marked = insert_pub.ours = true;
    } else {
        warn_difference(s, &pub);
    }
    if (insert_pub.exists && !insert_pub.marked) insert_pub.exists = false; /* only a likeness of names */
    list_for_stream(s, insert_pub.exists);
    return s->pub_list.failed ? pg_nomem(err) : WB_OK;
}

/* ---------------------------------------------------------------- dropping */

wb_code pg_pub_drop(pg_link *l, const pg_names *names, void (*say)(void *arg, const char *line), void *arg,
                    wb_error *err)
{
    pg_pub pubs[2] = {{0}, {0}};
    const char *const name[2] = {names->pub, names->insert_pub};
    wb_code code = look_settings(l, names, &pubs[0], &pubs[1], err);
    for (int i = 0; i < 2 && code == WB_OK; i++) {
        char line[200];
        if (!pubs[i].exists) continue;
        if (!pubs[i].ours) {
            (void)snprintf(line, sizeof line, "publication %s stays: it was not made by this pipeline", name[i]);
            say(arg, line);
            continue;
        }
        wb_out sql = {0};
        wb_out_z(&sql, "DROP PUBLICATION ");
        pg_put_ident_z(&sql, name[i]);
        code = pg_do(l, "to drop a publication", wb_out_cstr(&sql), err);
        wb_out_fini(&sql);
        (void)snprintf(line, sizeof line, "publication %s dropped", name[i]);
        if (code == WB_OK) say(arg, line);
    }
    return code;
}

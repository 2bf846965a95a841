/* tail.c: watching without leaving anything. The slot is temporary; the publication is one that is there already and
 * shows every wanted table whole, else one of our own that close drops. Its name is also the application_name of our
 * connections, so that the next tail sees which ones belong to nobody any more. Source thread, at open. */
#include "pg.h"

#include <stdio.h>

wb_code pg_tail_clean(pg_source *s, pg_link *l, wb_error *err)
{
    static const char sql[] = "SELECT p.pubname FROM pg_publication p WHERE left(p.pubname, 14) = 'walbrook_tail_'"
                              " AND pg_has_role(p.pubowner, 'USAGE')"
                              " AND obj_description(p.oid, 'pg_publication') LIKE 'made by walbrook %'"
                              " AND NOT EXISTS (SELECT FROM pg_stat_activity a"
                              "  WHERE a.application_name = regexp_replace(p.pubname::text, '_insert$', ''))";
    PGresult *res;
    wb_code code = pg_query(l, "for leftovers of earlier tails", sql, &res, err);
    if (code != WB_OK) return code;
    for (int i = 0; i < PQntuples(res); i++) {
        wb_error ignored;
        wb_error_reset(&ignored);
        wb_out drop = {0};
        wb_out_z(&drop, "DROP PUBLICATION IF EXISTS ");
        pg_put_ident_z(&drop, PQgetvalue(res, i, 0));
        if (pg_do(l, "to drop a leftover", wb_out_cstr(&drop), &ignored) == WB_OK)
            wb_host_log(s->host, WB_LOG_INFO, "dropped the publication %s that an earlier tail left",
                        PQgetvalue(res, i, 0));
        wb_out_fini(&drop);
    }
    PQclear(res);
    return WB_OK;
}

/* '{16385,16390}' */
static void put_wanted(const pg_catalog *cat, wb_out *out)
{
    bool any = false;
    wb_out_byte(out, '{');
    for (size_t i = 0; i < cat->n; i++) {
        if (!cat->tables[i].wanted) continue;
        if (any) wb_out_byte(out, ',');
        wb_out_u64(out, cat->tables[i].oid);
        any = true;
    }
    wb_out_byte(out, '}');
}

wb_code pg_tail_existing(pg_source *s, pg_link *l, wb_error *err)
{
    if (s->names.pub_named) return WB_OK;
    wb_out sql = {0}, wanted = {0};
    wb_out_z(&sql, "SELECT p.pubname FROM pg_publication p WHERE p.pubinsert AND p.pubupdate AND p.pubdelete"
                   " AND p.pubtruncate AND left(p.pubname, 14) <> 'walbrook_tail_'");
    if (l->version >= 130000) wb_out_z(&sql, " AND p.pubviaroot");
    wb_out_z(&sql, " AND NOT EXISTS (SELECT FROM unnest($1::oid[]) w WHERE NOT EXISTS (SELECT FROM"
                   " pg_publication_tables t JOIN pg_class c ON c.oid = w AND c.relname = t.tablename"
                   " JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = t.schemaname"
                   " WHERE t.pubname = p.pubname");
    if (l->version >= 150000)
        wb_out_z(&sql, " AND t.rowfilter IS NULL AND cardinality(t.attnames) >= (SELECT count(*) FROM pg_attribute a"
                       " WHERE a.attrelid = w AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')");
    wb_out_z(&sql, ")) ORDER BY 1 LIMIT 1");
    put_wanted(&s->cat, &wanted);
    PGresult *res;
    const char *list = wb_out_cstr(&wanted);
    wb_code code = list ? pg_query1(l, "for a publication to use", wb_out_cstr(&sql), list, &res, err) : pg_nomem(err);
    wb_out_fini(&sql);
    wb_out_fini(&wanted);
    if (code != WB_OK) return code;
    if (PQntuples(res) && s->cat.nwanted && PQgetlength(res, 0, 0) < PG_NAME) {
        (void)snprintf(s->names.pub, PG_NAME, "%s", PQgetvalue(res, 0, 0));
        wb_host_log(s->host, WB_LOG_INFO, "uses the publication %s", s->names.pub);
    }
    PQclear(res);
    return WB_OK;
}

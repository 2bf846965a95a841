/* suggest.c: a commented pipeline file for a database: `walbrook init`. Never writes a password. Main thread. */
#include "pg.h"

#include <stdio.h>

#include "sources/sql/shown.h"

static void put_parameter(wb_out *o, const PQconninfoOption *all, const char *name, const char *usual, char *mark)
{
    for (const PQconninfoOption *i = all; i && i->keyword; i++) {
        if (strcmp(i->keyword, name) != 0 || !i->val || !i->val[0] || strcmp(i->val, usual) == 0) continue;
        wb_out_byte(o, *mark);
        wb_out_z(o, name);
        wb_out_byte(o, '=');
        wb_out_percent(o, i->val);
        *mark = '&';
    }
}

/* From the connection itself, without the password. */
static void put_url(const PGconn *pg, wb_out *o)
{
    const char *host = PQhost(pg);
    union { /* libpq's prototype lacks a const */
        const PGconn *in;
        PGconn *out;
    } u = {pg};
    PQconninfoOption *all = PQconninfo(u.out);
    char mark = '?';
    wb_out_z(o, "postgres://");
    wb_out_percent(o, PQuser(pg));
    wb_out_byte(o, '@');
    if (strchr(host, ':')) {
        wb_out_printf(o, "[%s]", host);
    } else {
        wb_out_percent(o, host);
    }
    wb_out_printf(o, ":%s/", PQport(pg));
    wb_out_percent(o, PQdb(pg));
    put_parameter(o, all, "sslmode", "prefer", &mark);
    put_parameter(o, all, "sslrootcert", "", &mark);
    PQconninfoFree(all);
}

static void put_rows(wb_out *o, int64_t rows)
{
    if (rows < 0)
        wb_out_z(o, "never analyzed");
    else
        wb_out_printf(o, "about %lld rows", (long long)rows);
}

static void put_tables(const pg_catalog *cat, wb_out *o)
{
    size_t bare = 0;
    for (size_t i = 0; i < cat->n; i++) {
        const pg_table *t = &cat->tables[i];
        if (!t->wanted) continue;
        wb_out_z(o, "    #   ");
        sql_put_shown(o, t->schema.ptr, t->schema.len);
        wb_out_byte(o, '.');
        sql_put_shown(o, t->name.ptr, t->name.len);
        wb_out_z(o, "  ");
        put_rows(o, t->rows);
        if (!t->can_select) wb_out_z(o, ", not readable for this user");
        wb_out_byte(o, '\n');
        bare += !t->usable;
    }
    if (!bare) return;
    wb_out_z(o, "    # Without primary key and replica identity, so only their inserts travel; this mends it:\n");
    for (size_t i = 0; i < cat->n; i++) {
        const pg_table *t = &cat->tables[i];
        if (!t->wanted || t->usable) continue;
        wb_out sql = {0};
        pg_put_ident(&sql, t->schema);
        wb_out_byte(&sql, '.');
        pg_put_ident(&sql, t->name);
        wb_out_z(o, "    #   ALTER TABLE ");
        sql_put_shown(o, sql.p ? sql.p : "", sql.len);
        wb_out_fini(&sql);
        wb_out_z(o, " REPLICA IDENTITY FULL;\n");
    }
}

static void put_schemas(const pg_catalog *cat, wb_out *o)
{
    size_t n = 0;
    for (size_t i = 0; i < cat->n; i++) {
        bool seen = !cat->tables[i].wanted;
        for (size_t k = 0; k < i && !seen; k++)
            seen = cat->tables[k].wanted && wb_str_eq(cat->tables[k].schema, cat->tables[i].schema);
        if (seen) continue;
        if (n++) wb_out_z(o, ", ");
        sql_put_schema(o, cat->tables[i].schema);
    }
    if (!n) wb_out_z(o, "\"public.*\"");
}

static void put_name(const char *db, wb_out *o)
{
    for (const char *p = db; *p && p < db + 40; p++) {
        bool fine = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
        wb_out_byte(o, fine ? *p : '-');
    }
}

static void put_file(const pg_link *l, const pg_catalog *cat, wb_out *o)
{
    wb_out_z(o, "# Made by `walbrook init`. Run it: walbrook check FILE, then walbrook run FILE.\nname: ");
    put_name(PQdb(l->pg), o);
    wb_out_z(
        o, "\nsource:\n  type: postgres\n  # The password comes from PGPASSWORD, ~/.pgpass, or ${file:/run/secrets/pg} "
           "in the url.\n  url: \"");
    put_url(l->pg, o);
    wb_out_z(o, "\"\n  tables:  # schema.table with * and ?; \"!\" leaves out\n    [");
    put_schemas(cat, o);
    wb_out_z(o, "]\n");
    put_tables(cat, o);
    wb_out_z(o, "  snapshot: initial  # initial | never | only | when_needed\ntargets:\n"
                "  - type: sqlite     # a mirror of the tables in one file\n    path: ");
    put_name(PQdb(l->pg), o);
    wb_out_z(o, ".db\n  # - type: file     # every change as a line of JSON\n  #   path: ");
    put_name(PQdb(l->pg), o);
    wb_out_z(o, ".jsonl\n");
}

wb_code pg_suggest(void *ctx, wb_host *h, void (*put)(void *arg, const char *text), void *arg, wb_error *err)
{
    pg_source *s = ctx;
    pg_link l = {0};
    pg_catalog cat = {0};
    wb_out text = {0};
    wb_code code = pg_link_open(&l, s, h, PG_SQL, err);
    if (code == WB_OK) code = pg_catalog_load(&l, NULL, &cat, err);
    if (code == WB_OK) {
        put_file(&l, &cat, &text);
        const char *z = wb_out_cstr(&text);
        if (z)
            put(arg, z);
        else
            code = pg_nomem(err);
    }
    wb_out_fini(&text);
    pg_catalog_free(&cat);
    pg_link_close(&l);
    return code;
}

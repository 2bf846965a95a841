/* suggest.c: a commented pipeline file for a server: `walbrook init`. Never writes a password. Main thread. */
#include <stdio.h>
#include <strings.h>

#include "my.h"
#include "sources/sql/shown.h"

static void put_parameter(wb_out *o, const char *name, const char *value, char *mark)
{
    if (!value) return;
    wb_out_byte(o, *mark);
    wb_out_z(o, name);
    wb_out_byte(o, '=');
    wb_out_percent(o, value);
    *mark = '&';
}

static void put_url(const my_url *u, wb_out *o)
{
    static const char *const modes[] = {"disabled", NULL, "required", "verify-ca", "verify-full"};
    char mark = '?';
    wb_out_z(o, "mysql://");
    if (u->user) {
        wb_out_percent(o, u->user);
        wb_out_byte(o, '@');
    }
    if (u->host && strchr(u->host, ':')) {
        wb_out_printf(o, "[%s]", u->host);
    } else if (u->host) {
        wb_out_percent(o, u->host);
    }
    if (u->host) wb_out_printf(o, ":%u", u->port);
    wb_out_byte(o, '/');
    wb_out_percent(o, u->database);
    put_parameter(o, "ssl-mode", modes[u->tls], &mark);
    put_parameter(o, "ssl-ca", u->ca, &mark);
    put_parameter(o, "ssl-cert", u->cert, &mark);
    put_parameter(o, "ssl-key", u->key, &mark);
    put_parameter(o, "socket", u->socket, &mark);
}

static void put_tables(const my_catalog *cat, wb_out *o)
{
    for (size_t i = 0; i < cat->n; i++) {
        const my_table *t = &cat->tables[i];
        if (!t->wanted) continue;
        wb_out_z(o, "    #   ");
        sql_put_shown(o, t->schema.ptr, t->schema.len);
        wb_out_byte(o, '.');
        sql_put_shown(o, t->name.ptr, t->name.len);
        wb_out_printf(o, "  about %lld rows%s\n", (long long)WB_MAX(t->rows, (int64_t)0),
                      t->transactional ? "" : ", an engine without transactions");
    }
}

static void put_schemas(const my_catalog *cat, const my_url *u, wb_out *o)
{
    wb_str last = {NULL, 0};
    for (size_t i = 0; i < cat->n; i++) {
        const my_table *t = &cat->tables[i];
        if (!t->wanted || (last.ptr && wb_str_eq(last, t->schema))) continue;
        if (last.ptr) wb_out_z(o, ", ");
        sql_put_schema(o, t->schema);
        last = t->schema;
    }
    if (!last.ptr) sql_put_schema(o, wb_str_of(u->database ? u->database : "shop"));
}

static void put_name(const char *db, wb_out *o)
{
    if (!db || !*db) db = "mysql";
    for (const char *p = db; *p && p < db + 40; p++) {
        bool fine = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
        wb_out_byte(o, fine ? *p : '-');
    }
}

static void put_file(const my_url *u, const my_server *v, const my_catalog *cat, wb_out *o)
{
    wb_out_z(o, "# Made by `walbrook init`. Run it: walbrook check FILE, then walbrook run FILE.\nname: ");
    put_name(u->database, o);
    wb_out_z(
        o,
        "\nsource:\n  type: mysql  # and MariaDB\n  # The password comes from MYSQL_PWD, or ${file:/run/secrets/my} in "
        "the url.\n  url: \"");
    put_url(u, o);
    wb_out_z(o, "\"\n  tables:  # database.table with * and ?; \"!\" leaves out\n    [");
    put_schemas(cat, u, o);
    wb_out_z(o, "]\n");
    put_tables(cat, o);
    if (v->row_metadata[0] && strcasecmp(v->row_metadata, "FULL") != 0)
        wb_out_z(o, "    # Names of columns come with the log after: SET GLOBAL binlog_row_metadata = 'FULL';\n");
    wb_out_z(o, "  snapshot: initial  # initial | never | only | when_needed\ntargets:\n"
                "  - type: sqlite     # a mirror of the tables in one file\n    path: ");
    put_name(u->database, o);
    wb_out_z(o, ".db\n  # - type: file     # every change as a line of JSON\n  #   path: ");
    put_name(u->database, o);
    wb_out_z(o, ".jsonl\n");
}

wb_code my_suggest(void *ctx, wb_host *h, void (*put)(void *arg, const char *text), void *arg, wb_error *err)
{
    my_source *s = ctx;
    my_link l = {.my = NULL};
    my_catalog cat = {.n = 0};
    my_server v;
    my_url u;
    wb_arena a;
    wb_patterns *patterns = NULL;
    wb_out text = {0};
    wb_arena_init(&a, 2048, 0);
    wb_code code = my_url_parse(s->url, &a, &u, err);
    if (code == WB_OK) code = my_patterns_of(s, &a, &patterns, err);
    if (code == WB_OK) code = my_link_open(&l, s, h, false, err);
    if (code == WB_OK) code = my_server_look(&l, &v, err);
    if (code == WB_OK) code = my_catalog_load(&l, patterns, &cat, err);
    if (code == WB_OK) {
        put_file(&u, &v, &cat, &text);
        const char *z = wb_out_cstr(&text);
        if (z)
            put(arg, z);
        else
            code = my_nomem(err);
    }
    wb_out_fini(&text);
    my_catalog_free(&cat);
    my_link_close(&l);
    wb_arena_fini(&a);
    return code;
}

/* files_known.c: columns of tables for logs that do not name them: from a schema dump (files_schema.c), from the
 * history that a pipeline keeps in its state, or from a server that has the tables. Whatever they say must fit the log,
 * column by column. Called by files.c. */
#include "files.h"

#include <stdio.h>
#include <sys/stat.h>

#include "my.h"

/* ---------------------------------------------------------------- a pipeline's state */

static wb_code from_state(my_files *s, const char *dir, wb_error *err)
{
    my_history_loading l = {.h = s->history};
    wb_code code = wb_host_state_of(s->host, dir, "mysql", MY_HISTORY_FAMILY, my_history_load, &l, err);
    if (code != WB_OK) return code;
    if (l.bad)
        return wb_fail(err, WB_E_STATE, WB_NEVER,
                       "The state in %s holds a table's columns in a form that cannot be read.", dir);
    if (my_history_size(s->history)) return WB_OK;
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The state in %s knows no tables: its pipeline has not run.", dir);
}

/* ---------------------------------------------------------------- a server */

static wb_code add_tables(my_files *s, my_link *l, const my_catalog *cat, wb_error *err)
{
    wb_arena a;
    size_t n = 0;
    uint64_t seq;
    wb_arena_init(&a, 16 * 1024, 0);
    my_table **list = wb_arena_zalloc(&a, (cat->n + 1) * sizeof(my_table *));
    my_schema *shapes = wb_arena_zalloc(&a, (cat->n + 1) * sizeof *shapes);
    for (size_t i = 0; list && i < cat->n; i++)
        if (cat->tables[i].wanted) list[n++] = &cat->tables[i];
    wb_code code = list && shapes ? my_catalog_shapes(l, cat, list, n, &a, shapes, err) : my_files_nomem(err);
    for (size_t i = 0; code == WB_OK && i < n; i++)
        if (shapes[i].ncols && !my_history_add(s->history, shapes[i].schema, shapes[i].name, (wb_pos){NULL, 0},
                                               MY_KNOWN, &shapes[i], &seq))
            code = my_files_nomem(err);
    wb_arena_fini(&a);
    return code;
}

static wb_code from_server(my_files *s, wb_error *err)
{
    my_source *asked = calloc(1, sizeof *asked); /* as a connection wants one: the url, and what it does not have */
    my_link l = {.my = NULL};
    my_catalog cat = {.n = 0};
    if (!asked) return my_files_nomem(err);
    asked->url = s->schema;
    asked->host = s->host;
    asked->heartbeat_ms = 5000;
    wb_code code = my_link_open(&l, asked, s->host, false, err);
    if (code == WB_OK) code = my_catalog_load(&l, s->patterns, &cat, err);
    if (code == WB_OK) code = add_tables(s, &l, &cat, err);
    if (code != WB_OK && err) err->next = WB_NEVER;
    my_catalog_free(&cat);
    my_link_close(&l);
    free(asked);
    return code;
}

wb_code my_files_know(my_files *s, wb_error *err)
{
    char path[4096];
    struct stat st;
    if (!s->schema) return WB_OK;
    s->known_now = strncmp(s->schema, "mysql://", 8) == 0 || strncmp(s->schema, "mariadb://", 10) == 0;
    wb_code code = s->known_now ? WB_OK : wb_host_path(s->host, s->schema, path, sizeof path, err);
    if (code != WB_OK) return code;
    if (!s->known_now && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))) {
        s->has_shapes = true;
        return my_shapes_load(&s->shapes, path, err);
    }
    s->history = my_history_new();
    s->set = my_gtid_set_new();
    if (!s->history || !s->set) return my_files_nomem(err);
    return s->known_now ? from_server(s, err) : from_state(s, path, err);
}

/* ---------------------------------------------------------------- where we are */

bool my_files_before(my_files *s, const my_gtid_set *set)
{
    s->set_whole = set && s->set;
    return !s->set_whole || my_gtid_set_copy(s->set, set);
}

/* The position and the transaction as the live source writes them: histories are told by these. after: the position of
 * who has the transaction. */
static bool put_places(const my_files *s, my_flavor flavor, bool after, wb_out *have, wb_out *at)
{
    bool known = s->set_whole && s->gtid.flavor != MY_UNKNOWN;
    my_gtid_set *grown = after && known ? my_gtid_set_new() : NULL;
    const my_gtid_set *set = grown ? grown : s->set_whole ? s->set : NULL;
    my_pos p = {.flavor = flavor,
                .has_file = true,
                .lineage = my_history_lineage(s->history),
                .log = {s->in.name, strlen(s->in.name)},
                .offset = s->txn_start + after,
                .gtid = s->gtid};
    bool fine = !(after && known) || grown;
    if (grown) fine = my_gtid_set_copy(grown, s->set) && my_gtid_set_add(grown, &s->gtid);
    fine = fine && my_pos_make(have, &p, set);
    p.offset = s->txn_start;
    p.has_set = known;
    my_at_make(at, &p);
    my_gtid_set_free(grown);
    return fine && !at->failed;
}

static bool names_agree(const my_schema *s, const my_map *m)
{
    for (uint32_t i = 0; i < m->ncols; i++)
        if (!wb_str_eq(s->cols[i].name, m->cols[i].name)) return false;
    return true;
}

static wb_code not_known(const my_files *s, const my_map *m, my_known known, const char *why, wb_error *err)
{
    char at[400];
    (void)snprintf(at, sizeof at, "%.*s.%.*s at %.100s:%llu", (int)WB_MIN(m->schema.len, 64), m->schema.ptr,
                   (int)WB_MIN(m->name.len, 64), m->name.ptr, s->in.name, (unsigned long long)s->txn_start);
    if (known == MY_KNOWN)
        wb_fail(err, WB_E_SCHEMA, WB_NEVER, "The columns of %s are not those that %s has: %s.", at,
                s->known_now ? "the server" : "the state", why);
    else
        wb_fail(err, WB_E_SCHEMA, WB_NEVER, "The columns of %s are not known: %s.", at,
                s->known_now        ? "the server has no such table"
                : known == MY_GONE  ? "by then it had been dropped"
                : known == MY_LOOSE ? "they were read while the log named them, and here it does not"
                                    : "the state has no version of it that is old enough");
    wb_hint(err, "Give a schema dump of that time (--schema dump.sql), or leave the table out of `tables`.");
    return WB_E_SCHEMA;
}

wb_code my_files_columns(void *arg, const my_map *m, my_schema *out, wb_error *err)
{
    my_files *s = arg;
    if (s->has_shapes) my_shapes_dress(&s->shapes, m->flavor);
    const my_schema *found = s->has_shapes ? my_shapes_find(&s->shapes, m->schema, m->name) : NULL;
    if (!s->history) {
        if (found && (m->has_names || my_schema_fits(found, m, NULL, 0))) *out = *found;
        return WB_OK;
    }
    wb_out have = {0}, at = {0};
    char why[200] = "";
    bool placed = put_places(s, m->flavor, false, &have, &at);
    my_known known = MY_NOT_KNOWN;
    if (placed)
        known =
            my_history_find(s->history, m->schema, m->name, (wb_pos){have.p, have.len}, (wb_pos){at.p, at.len}, &found);
    wb_out_fini(&have);
    wb_out_fini(&at);
    if (!placed) return my_files_nomem(err);
    bool fits = found && my_schema_fits(found, m, why, sizeof why);
    if (m->has_names) {
        if (fits && names_agree(found, m)) *out = *found;
        return WB_OK;
    }
    if (known != MY_KNOWN || !fits) return not_known(s, m, known, why, err);
    *out = *found;
    return WB_OK;
}

wb_table *my_files_table(my_files *s, wb_str schema, wb_str name, bool before)
{
    my_flavor flavor = s->gtid.flavor == MY_MARIADB ? MY_MARIADB : MY_MYSQL;
    wb_out have = {0}, at = {0};
    const my_schema *found = NULL;
    my_known known = MY_NOT_KNOWN;
    wb_error ignored;
    wb_error_reset(&ignored);
    if (!s->history || s->known_now) return NULL; /* nobody knows when a dump's or a server's columns began */
    if (put_places(s, flavor, !before, &have, &at))
        known = my_history_find(s->history, schema, name, (wb_pos){have.p, have.len}, (wb_pos){NULL, 0}, &found);
    wb_out_fini(&have);
    wb_out_fini(&at);
    return found && known <= MY_LOOSE ? my_table_of_schema(found, flavor, &ignored) : NULL;
}

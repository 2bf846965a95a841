/* names.c: which mirror table a table of the source has: its name, what stands in the way, renames and drops. Called by
 * schema.c and mirror.c, in the transaction of the rows. */
#include <string.h>
#include <strings.h>

#include "targets/sqlite/sqlite_target.h"

wb_str sq_source_schema(const wb_table *t) { return t->source_name.len ? t->source_schema : t->schema; }
wb_str sq_source_name(const wb_table *t) { return t->source_name.len ? t->source_name : t->name; }

/* ---------------------------------------------------------------- the mirror table's name */

static void expand(wb_out *o, const char *template, wb_str schema, wb_str name, wb_str pipeline)
{
    const struct {
        const char *word;
        wb_str value;
    } words[] = {{"${schema}", schema}, {"${table}", name}, {"${name}", pipeline}};
    while (*template) {
        size_t i = 0;
        while (i < WB_COUNT(words) && strncmp(template, words[i].word, strlen(words[i].word)) != 0) i++;
        if (i < WB_COUNT(words)) {
            wb_out_str(o, words[i].value);
            template += strlen(words[i].word);
        } else {
            wb_out_byte(o, *template ++);
        }
    }
}

wb_code sq_mirror_name(sq_target *s, wb_arena *a, const wb_table *t, const char **out, wb_error *err)
{
    const char *template = s->table_template;
    wb_out o = {0};
    wb_code code = WB_OK;
    if (!template) {
        bool plain = t->schema.len == 0 || wb_str_is(t->schema, "public") || wb_str_is(t->schema, "main");
        template = plain ? "${table}" : "${schema}_${table}";
    }
    if (t->route.len)
        wb_out_str(&o, t->route);
    else
        expand(&o, template, t->schema, t->name, wb_str_of(wb_host_pipeline(s->host)));
    *out = wb_arena_strndup(a, o.p ? o.p : "", o.len);
    if (o.failed || a->failed) {
        code = wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the name of a mirror table");
    } else if (!o.len || strncasecmp(*out, "sqlite_", 7) == 0 || strncasecmp(*out, "_walbrook", 9) == 0) {
        code = wb_fail(err, WB_E_SCHEMA, WB_NEVER,
                       "table %s.%s would be called \"%s\" in %s: SQLite and Walbrook keep such names for themselves",
                       t->schema.ptr, t->name.ptr, *out, s->file);
        wb_hint(err,
                "Set the target's `table:`, for example table: \"m_${table}\", or leave the table out with `tables:`.");
    }
    wb_out_fini(&o);
    return code;
}

/* ---------------------------------------------------------------- names in the way */

wb_code sq_schema_stop(sq_target *s, const wb_table *t, const char *what, wb_error *err)
{
    wb_code code =
        wb_fail(err, WB_E_SCHEMA, WB_NEVER, "table %s.%s changed at the source: %s", t->schema.ptr, t->name.ptr, what);
    wb_hint(err, "Set on_schema_change: follow to let the mirror in %s follow, or leave the table out with `tables:`.",
            s->file);
    return code;
}

/* Keep a mirror table under another name: its table was renamed or dropped at the source, and nothing says which. When
 * its own next version comes it gets the right name; else it stays for the user to drop. */
wb_code sq_set_aside(sq_target *s, wb_arena *a, sq_known *k, bool for_good, const char *why, wb_error *err)
{
    const char *to;
    bool exists = true;
    wb_code code = WB_OK;
    to = wb_arena_printf(a, "%s_%llu", k->mirror,
                         (unsigned long long)(k->source_id ? k->source_id : (uint64_t)k->table_id));
    for (int i = 2; !code && exists; i++) {
        code = sq_table_exists(s, to, &exists, err);
        if (exists) to = wb_arena_printf(a, "%s_%lld_%d", k->mirror, (long long)k->table_id, i);
    }
    if (!code) code = sq_rename_table(s, k->mirror, to, err);
    if (code) return code;
    wb_host_log(s->host, WB_LOG_WARN, "mirror table %s is now %s: %s", k->mirror, to, why);
    for (size_t i = 0; i < WB_COUNT(s->plans); i++) {
        for (sq_plan *p = s->plans[i]; p; p = p->next) {
            if (p->table_id == k->table_id) p->serial = 0; /* found no more; freed with the others */
        }
    }
    k->mirror = to;
    k->state = "aside";
    if (for_good) k->source_id = 0;
    return sq_known_save(s, k, err);
}

/* Is `name` free for table_id (0: a new table)? A table of ours that had the same name at the source steps aside. */
wb_code sq_make_room(sq_target *s, wb_arena *a, const wb_table *t, const char *name, int64_t table_id, wb_error *err)
{
    sq_known k;
    bool ours = false, exists = false;
    wb_code code = sq_known_by_mirror(s, a, name, &k, &ours, err);
    if (code || (k.table_id && k.table_id == table_id)) return code;
    if (!k.table_id) {
        code = sq_table_exists(s, name, &exists, err);
        if (code || !exists) return code;
        code = wb_fail(err, WB_E_SCHEMA, WB_NEVER,
                       "%s already has a table \"%s\" that Walbrook did not make, and table %s.%s wants its name",
                       s->file, name, t->schema.ptr, t->name.ptr);
        wb_hint(err, "Rename that table, or set the target's `table:`, for example table: \"m_${table}\".");
        return code;
    }
    if (ours && (strcmp(k.state, "aside") == 0 ||
                 (wb_str_is(sq_source_schema(t), k.schema) && wb_str_is(sq_source_name(t), k.name)))) {
        if (s->on_schema_change == SQ_STOP)
            return sq_schema_stop(s, t, "it is another table than before under the same name", err);
        return sq_set_aside(s, a, &k, false, "another table of that name has come at the source", err);
    }
    code = wb_fail(err, WB_E_SCHEMA, WB_NEVER, "tables %s.%s and %s.%s%s would both be \"%s\" in %s", k.schema, k.name,
                   sq_source_schema(t).ptr, sq_source_name(t).ptr, ours ? "" : " (of another pipeline)", name, s->file);
    wb_hint(err, "SQLite's names do not tell upper from lower case. Set the target's `table:`, for example table: "
                 "\"${schema}_${table}\".");
    return code;
}

/* ---------------------------------------------------------------- renamed, dropped */

/* A source that has no numbers for its tables (MySQL) knows them by name: the mirror table goes with the name. A swap
 * comes as three renames. */
wb_code sq_follow_rename(sq_target *s, const wb_table *was, const wb_table *t, wb_error *err)
{
    wb_arena a;
    sq_known k = {0}, other = {0};
    const char *mirror = NULL;
    if (t->id ||
        (wb_str_eq(sq_source_name(was), sq_source_name(t)) && wb_str_eq(sq_source_schema(was), sq_source_schema(t))))
        return WB_OK;
    wb_arena_init(&a, 4096, 0);
    wb_code code = sq_known_load(s, &a, 0, sq_source_schema(was), sq_source_name(was), &k, err);
    if (!code && !k.table_id)
        wb_host_log(
            s->host, WB_LOG_WARN,
            "table %s.%s was called %s.%s, and %s has no such table: rows that it had then are here only when a "
            "copy brings them (walbrook resync)",
            t->schema.ptr, t->name.ptr, was->schema.ptr, was->name.ptr, s->file);
    if (code || !k.table_id) goto done;
    if (s->on_schema_change == SQ_STOP) {
        code = sq_schema_stop(s, t, "it was renamed", err);
        goto done;
    }
    code = sq_known_load(s, &a, 0, sq_source_schema(t), sq_source_name(t), &other, err);
    if (!code && other.table_id) code = sq_set_aside(s, &a, &other, true, "another table has its name now", err);
    if (!code) code = sq_mirror_name(s, &a, t, &mirror, err);
    if (!code && strcmp(k.mirror, mirror) != 0) {
        code = sq_make_room(s, &a, t, mirror, k.table_id, err);
        if (!code) code = sq_rename_table(s, k.mirror, mirror, err);
        if (!code) wb_host_log(s->host, WB_LOG_INFO, "mirror table %s is now %s: it was renamed", k.mirror, mirror);
    }
    if (code) goto done;
    k.mirror = mirror;
    k.schema = sq_source_schema(t).ptr;
    k.name = sq_source_name(t).ptr;
    code = sq_known_save(s, &k, err);
    if (!code) code = sq_plans_forget(s, k.table_id, err);
done:
    wb_arena_fini(&a);
    return code;
}

/* Most tables of a schema that is dropped were told of one by one; who reads log files knows no others. */
static wb_code follow_schema_drop(sq_target *s, wb_str schema, wb_error *err)
{
    sqlite3_stmt *st;
    wb_code code = sq_prepare(s,
                              "UPDATE _walbrook_tables SET state = 'dropped' WHERE id = (SELECT min(id) FROM"
                              " _walbrook_tables WHERE pipeline = ?1 AND schema_name = ?2 AND source_id = 0 AND state"
                              " NOT IN ('aside', 'dropped')) RETURNING id",
                              &st, err);
    if (code) return code;
    sqlite3_bind_text(st, 1, wb_host_pipeline(s->host), -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, schema.ptr, (int)schema.len, SQLITE_STATIC);
    for (int rc = SQLITE_ROW; !code && rc == SQLITE_ROW;) {
        rc = sqlite3_step(st);
        int64_t id = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
        if (rc == SQLITE_ROW)
            code = sq_plans_forget(s, id, err);
        else if (rc != SQLITE_DONE)
            code = sq_fail(s, rc, err, "writing _walbrook_tables");
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return code;
}

/* The rows stay, as those of a dropped column do. A table that comes later under that name is another one. */
wb_code sq_follow_drop(sq_target *s, const wb_table *t, wb_error *err)
{
    wb_arena a;
    sq_known k = {0};
    if (t->id) return WB_OK; /* a table with a number is told from another by it */
    if (!t->name.len) return follow_schema_drop(s, t->schema, err);
    wb_arena_init(&a, 4096, 0);
    wb_code code = sq_known_load(s, &a, 0, sq_source_schema(t), sq_source_name(t), &k, err);
    if (!code && k.table_id) {
        k.state = "dropped";
        code = sq_known_save(s, &k, err);
        if (!code) code = sq_plans_forget(s, k.table_id, err);
    }
    wb_arena_fini(&a);
    return code;
}

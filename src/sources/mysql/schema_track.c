/* schema_track.c: what the columns of a table are at our place in the log. The log itself says so with
 * binlog_row_metadata=FULL; else the history: the tables as they were at the start, and after each DDL statement as
 * they are read again, which is believed only when nothing changed them between the statement and the reading
 * (ahead.c). What cannot be known stops the stream: a row with another row's columns is worse than none. Source thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "ahead.h"
#include "base/clock.h"

static bool full_metadata(const my_source *s) { return strcasecmp(s->server.row_metadata, "FULL") == 0; }

bool my_track_wanted(void *arg, wb_str schema, wb_str table)
{
    const my_source *s = arg;
    return !my_is_system(schema) && wb_patterns_match(s->patterns, schema, table);
}

/* ---------------------------------------------------------------- the state */

static wb_code save(my_source *s, uint64_t seq, wb_error *err)
{
    char key[40];
    wb_out o = {0};
    if (!sql_fact_on(s->host)) return WB_OK;
    (void)snprintf(key, sizeof key, "%s%012" PRIu64, MY_HISTORY_FAMILY, seq);
    wb_code code = my_history_encode(s->history, seq, &o) ? WB_OK : my_nomem(err);
    if (code == WB_OK) code = wb_host_state_put(s->host, key, (wb_str){o.p, o.len}, err);
    wb_out_fini(&o);
    return code;
}

static void forget_one(void *arg, uint64_t seq)
{
    my_source *s = arg;
    char key[40];
    wb_error ignored;
    wb_error_reset(&ignored);
    if (!sql_fact_on(s->host)) return;
    (void)snprintf(key, sizeof key, "%s%012" PRIu64, MY_HISTORY_FAMILY, seq);
    (void)!wb_host_state_del(s->host, key, &ignored); /* it may come again: harmless */
}

void my_track_settled(my_source *s, wb_pos pos)
{
    if (s->history && pos.len) my_history_forget(s->history, pos, forget_one, s);
    if (pos.len) my_ahead_settled(s, pos);
}

static wb_code add(my_source *s, wb_str schema, wb_str name, wb_pos at, my_known known, const my_schema *shape,
                   wb_error *err)
{
    uint64_t seq;
    if (!my_history_add(s->history, schema, name, at, known, shape, &seq)) return my_nomem(err);
    return save(s, seq, err);
}

/* ---------------------------------------------------------------- the beginning */

/* All versions of the beginning, in one step. */
static wb_code save_all(my_source *s, const uint64_t *seqs, size_t n, wb_error *err)
{
    enum { KEY = 40 };
    wb_kv *kv = calloc(n + 1, sizeof *kv);
    char(*keys)[KEY] = calloc(n + 1, sizeof *keys);
    wb_out o = {0};
    size_t *at = calloc(n + 1, sizeof *at);
    wb_code code = kv && keys && at ? WB_OK : my_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        (void)snprintf(keys[i], KEY, "%s%012" PRIu64, MY_HISTORY_FAMILY, seqs[i]);
        if (!my_history_encode(s->history, seqs[i], &o)) code = my_nomem(err);
        at[i + 1] = o.len;
    }
    for (size_t i = 0; i < n && code == WB_OK; i++) kv[i] = (wb_kv){keys[i], {o.p + at[i], at[i + 1] - at[i]}};
    if (code == WB_OK && n && sql_fact_on(s->host)) code = wb_host_state_put_all(s->host, kv, n, err);
    wb_out_fini(&o);
    free(at);
    free(keys);
    free(kv);
    return code;
}

static wb_code add_baseline(my_source *s, const my_schema *shapes, size_t n, wb_error *err)
{
    uint64_t *seqs = calloc(n + 1, sizeof *seqs);
    size_t many = 0;
    wb_code code = seqs ? WB_OK : my_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        if (!shapes[i].ncols) continue;
        if (!my_history_add(s->history, shapes[i].schema, shapes[i].name, (wb_pos){NULL, 0}, MY_KNOWN, &shapes[i],
                            &seqs[many++]))
            code = my_nomem(err);
    }
    if (code == WB_OK) code = save_all(s, seqs, many, err);
    free(seqs);
    return code;
}

static wb_code read_baseline(my_source *s, my_link *l, wb_error *err)
{
    wb_arena a;
    my_table **list = calloc(s->cat.n + 1, sizeof(my_table *));
    size_t n = 0;
    if (!list) return my_nomem(err);
    for (size_t i = 0; i < s->cat.n; i++)
        if (s->cat.tables[i].wanted) list[n++] = &s->cat.tables[i];
    wb_arena_init(&a, 16 * 1024, 0);
    my_schema *shapes = wb_arena_zalloc(&a, (n + 1) * sizeof *shapes);
    wb_code code = shapes ? my_touch(l, list, n, true, err) : my_nomem(err);
    if (code == WB_OK) code = my_catalog_shapes(l, &s->cat, list, n, &a, shapes, err);
    if (code == WB_OK) code = add_baseline(s, shapes, n, err);
    wb_arena_fini(&a);
    free(list);
    return code;
}

/* Did a wanted table change between `from` and now, while we read? */
static wb_code baseline_holds(my_source *s, wb_pos from, bool *holds, wb_error *err)
{
    bool changed;
    wb_code code = my_ahead_any(s, from, &changed, err);
    *holds = !changed;
    return code;
}

wb_code my_track_open(my_source *s, const my_track_start *start, bool *holds, wb_error *err)
{
    my_history_loading l = {.h = my_history_new()};
    my_history_free(s->history);
    s->history = l.h;
    *holds = true;
    if (!l.h) return my_nomem(err);
    wb_code code = wb_host_state_list(s->host, MY_HISTORY_FAMILY, my_history_load, &l, err);
    if (code == WB_OK && l.bad)
        code = wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a table's columns in a form that cannot be read.");
    if (code != WB_OK || !start->baseline || s->tail) return code; /* tail: each table when it is met */
    code = start->shapes ? add_baseline(s, start->shapes, start->nshapes, err) : read_baseline(s, &s->side, err);
    if (code == WB_OK && !start->locked && !full_metadata(s)) code = baseline_holds(s, start->from, holds, err);
    return code;
}

/* ---------------------------------------------------------------- a table as it is now */

wb_code my_side_again(my_source *s, wb_error *err)
{
    if (s->side.my && !s->side.broken && mysql_ping(s->side.my) == 0) return WB_OK;
    my_link_close(&s->side);
    return my_link_open(&s->side, s, s->host, false, err);
}

static void say_changed_again(my_source *s, wb_str schema, wb_str name)
{
    wb_host_log(
        s->host, WB_LOG_WARN,
        "%.*s.%.*s was changed more than once since here in the log, so its columns at this place are not known; its "
        "rows, if any follow before the next change, will stop the stream",
        (int)schema.len, schema.ptr, (int)name.len, name.ptr);
}

/* Is what was read now what the table is at `here`? Says what is known then; *ahead: it is of a later time. */
static wb_code judge(my_source *s, my_schema *shape, wb_pos here, bool filled, my_known *known, bool *ahead,
                     my_schema *then, wb_error *err)
{
    my_ahead_answer a;
    bool full = full_metadata(s);
    wb_code code = my_ahead_ask(s, my_here(s), here, shape, filled || !full, &a, err);
    if (a.changed && filled) my_missing_clear(shape);
    *known = full ? MY_LOOSE : a.changed ? MY_NOT_KNOWN : MY_KNOWN;
    *ahead = full && a.met ? !a.met_fits : a.changed;
    *then = a.then;
    return code;
}

/* Read the table again, as a version that holds from `at` on. before: what it was, NULL: not known. adds: a statement
 * did no more than add columns. What was read may be of a later time: then the version has the columns of its next
 * rows, or, if it was changed again before there were any, those of before. */
static wb_code read_again(my_source *s, wb_str schema, wb_str name, wb_pos here, wb_pos at, const my_schema *before,
                          bool adds, wb_error *err)
{
    my_schema shape, then = {.ncols = 0};
    my_known known = MY_NOT_KNOWN;
    bool filled = false, ahead = false;
    wb_arena_reset(&s->scratch);
    wb_code code = my_side_again(s, err);
    if (code == WB_OK) code = my_shape_load(&s->side, schema, name, &s->scratch, &shape, err);
    if (code == WB_OK && before && adds && s->batch && shape.ncols && my_missing_any(before, &shape)) {
        code = my_missing_fill(s, before, &shape, err);
        filled = true;
    }
    if (code == WB_OK && shape.ncols) code = judge(s, &shape, here, filled, &known, &ahead, &then, err);
    if (code != WB_OK) return code;
    if (known == MY_NOT_KNOWN && !full_metadata(s)) say_changed_again(s, schema, name);
    const my_schema *is = shape.ncols ? &shape : NULL;
    if (ahead && then.ncols) {
        is = &then;
    } else if ((ahead || !is) && before) {
        then = *before;
        then.schema = schema;
        then.name = name;
        is = &then;
    }
    return add(s, schema, name, at, known, is, err);
}

/* Positions in memory of the scratch's neighbour: `my_here` and `my_at` share one buffer. */
typedef struct places {
    wb_out have, at, after;
    bool replay; /* this statement was followed before: the history has what it made */
    bool adds;   /* an ALTER TABLE that renames nothing: a new name is a new column */
} places;

static bool take_places(my_source *s, places *p)
{
    wb_pos have = my_here(s);
    wb_out_put(&p->have, have.ptr, have.len);
    wb_pos at = my_at(s);
    wb_out_put(&p->at, at.ptr, at.len);
    return have.len && at.len && !p->have.failed && !p->at.failed;
}

static void free_places(places *p)
{
    wb_out_fini(&p->have);
    wb_out_fini(&p->at);
    wb_out_fini(&p->after);
}

static wb_pos pos_of(const wb_out *o) { return (wb_pos){o->p, o->len}; }

/* The position after the present transaction: from there on the log is looked through. */
static bool take_after(my_source *s, places *p)
{
    my_pos pos = {.flavor = s->server.flavor,
                  .has_file = s->log[0] != 0,
                  .lineage = s->server.lineage,
                  .log = wb_str_of(s->log),
                  .offset = s->txn.end};
    my_gtid_set *set = NULL;
    bool fine = true;
    if (s->set) {
        set = my_gtid_set_new();
        fine = set && my_gtid_set_copy(set, s->set) &&
               (s->txn.gtid.flavor == MY_UNKNOWN || my_gtid_set_add(set, &s->txn.gtid));
    }
    fine = fine && my_pos_make(&p->after, &pos, set);
    my_gtid_set_free(set);
    return fine;
}

/* was: under which name the table was known before. */
static wb_code changed_from(my_source *s, places *p, wb_str was_schema, wb_str was, wb_str schema, wb_str name,
                            wb_error *err)
{
    const my_schema *before = NULL;
    if (p->replay || !my_track_wanted(s, schema, name)) return WB_OK;
    (void)my_history_find(s->history, was_schema, was, pos_of(&p->have), (wb_pos){NULL, 0}, &before);
    return read_again(s, schema, name, pos_of(&p->after), pos_of(&p->at), before, p->adds, err);
}

static wb_code changed(my_source *s, places *p, wb_str schema, wb_str name, wb_error *err)
{
    return changed_from(s, p, schema, name, schema, name, err);
}

/* Words anywhere in it: rather too often than once too little. */
static bool only_adds(const my_event *ev)
{
    wb_out text = {0};
    wb_out_str(&text, ev->sql);
    const char *z = wb_out_cstr(&text);
    bool adds = z && ev->statement.kind == MY_ST_ALTER_TABLE && !ev->statement.unsure && strcasestr(z, "add") &&
                !strcasestr(z, "rename") && !strcasestr(z, "change");
    wb_out_fini(&text);
    return adds;
}

static wb_code gone(my_source *s, places *p, wb_str schema, wb_str name, wb_error *err)
{
    if (p->replay || !my_track_wanted(s, schema, name)) return WB_OK;
    return add(s, schema, name, pos_of(&p->at), MY_GONE, NULL, err);
}

/* What was known under the old name is known under the new one: several pairs in one statement swap tables. */
static wb_code renamed(my_source *s, places *p, const my_st_table *t, wb_error *err)
{
    const my_schema *shape = NULL;
    if (p->replay) return WB_OK;
    my_known known = my_history_find(s->history, t->schema, t->name, pos_of(&p->have), pos_of(&p->at), &shape);
    wb_code code = WB_OK;
    if (my_track_wanted(s, t->to_schema, t->to_name)) {
        if (known == MY_KNOWN && shape) {
            my_schema moved = *shape;
            moved.schema = t->to_schema;
            moved.name = t->to_name;
            code = add(s, t->to_schema, t->to_name, pos_of(&p->at), MY_KNOWN, &moved, err);
        } else {
            code = read_again(s, t->to_schema, t->to_name, pos_of(&p->after), pos_of(&p->at), shape, false, err);
        }
    }
    return code == WB_OK ? gone(s, p, t->schema, t->name, err) : code;
}

/* ---------------------------------------------------------------- what it did, as changes */

static wb_table *table_at(my_source *s, const places *p, wb_str schema, wb_str name, bool before)
{
    const my_schema *shape = NULL;
    wb_error ignored;
    wb_error_reset(&ignored);
    my_known known = my_history_find(s->history, schema, name, pos_of(&p->have),
                                     before ? (wb_pos){NULL, 0} : pos_of(&p->at), &shape);
    if (!shape || known == MY_GONE) return NULL;
    return my_table_of_schema(shape, s->server.flavor, &ignored);
}

typedef struct telling {
    my_source *s;
    const my_event *ev;
    const places *p;
    uint8_t flags; /* WB_DDL_* */
} telling;

/* Takes the tables. */
static wb_code tell(const telling *t, wb_ddl_kind kind, wb_table *before, wb_table *after, wb_error *err)
{
    my_source *s = t->s;
    wb_change *c = before || after ? wb_batch_ddl(s->batch, kind, t->flags, before, after, t->ev->sql) : NULL;
    if (c) {
        c->ordinal = my_decoder_ordinal(s->decoder);
        s->txn.rows++;
        c->place = t->ev->end;
    }
    wb_code code = !c || wb_batch_failed(s->batch) ? my_nomem(err) : WB_OK;
    if (before) wb_table_unref(before);
    if (after) wb_table_unref(after);
    return code;
}

static wb_table *table_or_bare(const telling *t, wb_str schema, wb_str name, bool before)
{
    wb_table *found = table_at(t->s, t->p, schema, name, before);
    return found ? found : my_bare_table(schema, name);
}

static wb_code tell_truncate(const telling *t, wb_str schema, wb_str name, wb_error *err)
{
    my_source *s = t->s;
    wb_table *table = table_or_bare(t, schema, name, true);
    if (!table) return my_nomem(err);
    wb_batch_table(s->batch, table);
    wb_change *c = wb_batch_change(s->batch);
    c->op = WB_TRUNCATE;
    c->table = table;
    c->ordinal = my_decoder_ordinal(s->decoder);
    s->txn.rows++;
    c->place = t->ev->end;
    wb_table_unref(table);
    return WB_OK;
}

static wb_code tell_drop(const telling *t, wb_str schema, wb_str name, wb_error *err)
{
    return tell(t, WB_DDL_DROP, table_or_bare(t, schema, name, true), NULL, err);
}

static wb_code tell_table(const telling *told, const my_st_table *t, wb_error *err)
{
    my_source *s = told->s;
    const my_statement *st = &told->ev->statement;
    wb_str schema = t->schema, name = t->name, to_schema = t->to_name.len ? t->to_schema : schema,
           to_name = t->to_name.len ? t->to_name : name;
    bool from = my_track_wanted(s, schema, name), to = my_track_wanted(s, to_schema, to_name);
    if (!from && !to) return WB_OK;
    if (st->kind == MY_ST_TRUNCATE) return tell_truncate(told, schema, name, err);
    if (st->kind == MY_ST_DROP_TABLE || !to) return tell_drop(told, schema, name, err); /* or renamed away */
    if (from && st->replaces && my_history_there(s->history, schema, name, pos_of(&told->p->have))) {
        telling part = *told; /* another table from here on */
        part.flags = WB_DDL_PART;
        wb_code code = tell_drop(&part, schema, name, err);
        if (code != WB_OK) return code;
    }
    wb_table *before = from && !st->replaces ? table_at(s, told->p, schema, name, true) : NULL;
    if (!before && from && t->to_name.len) before = my_bare_table(schema, name); /* a name on the way of a swap */
    return tell(told, st->kind == MY_ST_CREATE_TABLE || !from ? WB_DDL_CREATE : WB_DDL_ALTER, before,
                table_or_bare(told, to_schema, to_name, false), err);
}

/* ---------------------------------------------------------------- several tables at once */

typedef struct known_list {
    wb_str schema; /* of this one only; empty: all */
    wb_arena arena;
    my_st_table *list;
    size_t n, cap;
} known_list;

static void collect(void *arg, wb_str schema, wb_str name)
{
    known_list *k = arg;
    if (!wb_str_eq(schema, k->schema) && k->schema.len) return;
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 32;
        my_st_table *bigger = realloc(k->list, cap * sizeof *bigger);
        if (!bigger) {
            k->arena.failed = true;
            return;
        }
        k->list = bigger;
        k->cap = cap;
    }
    k->list[k->n++] = (my_st_table){.schema = {wb_arena_strndup(&k->arena, schema.ptr, schema.len), schema.len},
                                    .name = {wb_arena_strndup(&k->arena, name.ptr, name.len), name.len}};
}

static void free_list(known_list *k)
{
    wb_arena_fini(&k->arena);
    free(k->list);
}

/* A statement that may have changed any table. */
static wb_code all_changed(my_source *s, places *p, wb_error *err)
{
    known_list k = {.n = 0};
    wb_arena_init(&k.arena, 4096, 0);
    my_history_tables(s->history, collect, &k);
    wb_code code = k.arena.failed ? my_nomem(err) : WB_OK;
    for (size_t i = 0; i < k.n && code == WB_OK; i++) code = changed(s, p, k.list[i].schema, k.list[i].name, err);
    free_list(&k);
    return code;
}

/* The tables that the schema has here in the log, whatever became of them later: after a crash they are told of again.
 */
static wb_code drop_tables(const telling *t, places *p, wb_str schema, wb_error *err)
{
    my_source *s = t->s;
    known_list k = {.schema = schema};
    telling part = *t;
    part.flags = WB_DDL_PART;
    wb_arena_init(&k.arena, 4096, 0);
    if (schema.len) my_history_names(s->history, collect, &k);
    wb_code code = k.arena.failed ? my_nomem(err) : WB_OK;
    for (size_t i = 0; i < k.n && code == WB_OK; i++) {
        wb_str name = k.list[i].name;
        if (!my_history_there(s->history, schema, name, pos_of(&p->have)) || !my_track_wanted(s, schema, name))
            continue;
        code = tell_drop(&part, schema, name, err);
        if (code == WB_OK) code = gone(s, p, schema, name, err);
    }
    free_list(&k);
    return code;
}

/* CREATE, ALTER or DROP DATABASE: the tables that go with it, then the schema, as a table without a name. */
static wb_code follow_schema(telling *t, places *p, wb_error *err)
{
    const my_statement *st = &t->ev->statement;
    wb_str schema = st->ntables ? st->tables[0].schema : WB_STR(""), none = WB_STR("");
    bool drop = st->kind == MY_ST_DROP_SCHEMA, create = st->kind == MY_ST_CREATE_SCHEMA;
    wb_code code = drop || st->replaces ? drop_tables(t, p, schema, err) : WB_OK;
    if (code != WB_OK || !schema.len || my_is_system(schema) || !wb_patterns_match_schema(t->s->patterns, schema))
        return code;
    if (create && st->replaces) {
        t->flags = WB_DDL_PART;
        code = tell(t, WB_DDL_DROP, my_bare_table(schema, none), NULL, err);
        t->flags = 0;
    }
    if (code != WB_OK) return code;
    wb_table *before = create ? NULL : my_bare_table(schema, none), *after = drop ? NULL : my_bare_table(schema, none);
    return tell(t, drop ? WB_DDL_DROP : create ? WB_DDL_CREATE : WB_DDL_ALTER, before, after, err);
}

static wb_code follow(my_source *s, const my_event *ev, places *p, const my_st_table *t, wb_error *err)
{
    switch (ev->statement.kind) {
    case MY_ST_TRUNCATE: return WB_OK;
    case MY_ST_DROP_TABLE: return gone(s, p, t->schema, t->name, err);
    case MY_ST_RENAME_TABLE: return renamed(s, p, t, err);
    default: break;
    }
    if (!t->to_name.len) return changed(s, p, t->schema, t->name, err);
    /* ALTER TABLE ... RENAME TO */
    wb_code code = changed_from(s, p, t->schema, t->name, t->to_schema, t->to_name, err);
    return code == WB_OK ? gone(s, p, t->schema, t->name, err) : code;
}

wb_code my_track_ddl(my_source *s, const my_event *ev, wb_error *err)
{
    const my_statement *st = &ev->statement;
    if (st->temporary) return WB_OK;
    places p = {.replay = false};
    wb_code code = take_places(s, &p) && take_after(s, &p) ? WB_OK : my_nomem(err);
    p.replay = code == WB_OK && my_history_met(s->history, pos_of(&p.at));
    p.adds = code == WB_OK && !p.replay && only_adds(ev);
    telling t = {.s = s, .ev = ev, .p = &p};
    bool schema = st->kind >= MY_ST_CREATE_SCHEMA;
    if (code == WB_OK) code = my_snap_ddl(s, st, err);
    if (code == WB_OK && st->unsure && st->kind != MY_ST_DROP_SCHEMA) code = all_changed(s, &p, err);
    if (code == WB_OK && schema) code = follow_schema(&t, &p, err);
    for (uint32_t i = 0; i < st->ntables && code == WB_OK && !schema; i++) {
        code = follow(s, ev, &p, &st->tables[i], err);
        if (code == WB_OK) code = tell_table(&t, &st->tables[i], err);
    }
    free_places(&p);
    return code;
}

/* ---------------------------------------------------------------- the decoder asks */

static wb_code not_known(const my_map *m, const char *why, wb_error *err)
{
    wb_fail(err, WB_E_SCHEMA, WB_NEVER, "The columns of %.*s.%.*s at this place of the log are not known: %s.",
            (int)m->schema.len, m->schema.ptr, (int)m->name.len, m->name.ptr, why);
    wb_hint(err,
            "For the future: SET GLOBAL binlog_row_metadata = 'FULL'; (MySQL 8.0, MariaDB 10.5 or newer) writes them "
            "into the log. Now: `walbrook run --resnapshot TARGET` starts over from the tables as they are, or leave "
            "the table out with \"!%.*s.%.*s\" in `tables`.",
            (int)m->schema.len, m->schema.ptr, (int)m->name.len, m->name.ptr);
    return WB_E_SCHEMA;
}

/* Wanted, and met for the first time: `tables` was changed, or its CREATE lies before our start. It is as it is now if
 * nothing changes it from here to the log's end. */
static wb_code meet_table(my_source *s, const my_map *m, places *p, const my_schema **shape, my_known *known,
                          wb_error *err)
{
    wb_code code = read_again(s, m->schema, m->name, pos_of(&p->have), pos_of(&p->at), NULL, false, err);
    if (code == WB_OK)
        *known = my_history_find(s->history, m->schema, m->name, pos_of(&p->have), pos_of(&p->at), shape);
    return code;
}

wb_code my_track_table(void *arg, const my_map *m, my_schema *out, wb_error *err)
{
    my_source *s = arg;
    places p = {.replay = false};
    const my_schema *shape = NULL;
    char why[200] = "";
    my_known known = MY_NOT_KNOWN;
    wb_code code = take_places(s, &p) ? WB_OK : my_nomem(err);
    if (code == WB_OK) {
        known = my_history_find(s->history, m->schema, m->name, pos_of(&p.have), pos_of(&p.at), &shape);
        bool lost = known == MY_GONE || known == MY_NOT_KNOWN; /* gone, and has rows: its statement was not followed */
        if (lost && !shape && !my_history_has(s->history, m->schema, m->name, pos_of(&p.at)))
            code = meet_table(s, m, &p, &shape, &known, err);
    }
    free_places(&p);
    if (code != WB_OK) return code;
    bool fits = shape && my_schema_fits(shape, m, why, sizeof why);
    if (m->has_names) { /* the log is right; the history adds the types as they were declared, by the columns' names */
        if (shape) *out = *shape;
        return WB_OK;
    }
    if (known == MY_KNOWN && fits) {
        *out = *shape;
        return WB_OK;
    }
    if (known == MY_KNOWN && shape) return not_known(m, why, err);
    return not_known(m,
                     known == MY_LOOSE ? "they were read while the log named them, and here it does not"
                                       : "the table was changed again before it could be read",
                     err);
}

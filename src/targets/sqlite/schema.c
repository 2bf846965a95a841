/* schema.c: a table version arrives that this run has not seen. It is compared, column by column and by the source's
 * own ids, with what _walbrook_columns knows; the mirror table is made, altered or set aside; the result is a plan,
 * kept by the version's serial. Called by mirror.c. All of it happens in the transaction of the rows. */
#include <stdio.h>
#include <strings.h>

#include "targets/sqlite/sqlite_target.h"

const char *sq_quote(wb_arena *a, const char *name)
{
    size_t n = strlen(name), k = 0;
    char *q = wb_arena_alloc(a, 2 * n + 3);
    if (!q || a->failed) return "";
    q[k++] = '"';
    for (size_t i = 0; i < n; i++) {
        if (name[i] == '"') q[k++] = '"';
        q[k++] = name[i];
    }
    q[k++] = '"';
    q[k] = 0;
    return q;
}

/* ---------------------------------------------------------------- what changed */

static int name_rank(const char *type, const char *const *names)
{
    for (int i = 0; names[i]; i++) {
        if (strcmp(type, names[i]) == 0) return i;
    }
    return -1;
}

/* Changes of type that leave every stored value as it is: wider integers, longer or unlimited text, more digits. */
static bool values_stay(const char *from, const char *to)
{
    static const char *const ints[] = {"smallint", "int2", "integer", "int4", "bigint", "int8", NULL};
    long f = 0, t = 0, fs = 0, ts = 0;
    int a = name_rank(from, ints), b = name_rank(to, ints);
    if (a >= 0 && b >= 0) return a / 2 <= b / 2;
    if (strncmp(from, "character varying", 17) == 0 || strncmp(from, "varchar", 7) == 0) {
        if (strcmp(to, "text") == 0 || strcmp(to, "character varying") == 0 || strcmp(to, "varchar") == 0) return true;
        return (sscanf(from, "character varying(%ld)", &f) == 1 && sscanf(to, "character varying(%ld)", &t) == 1 &&
                t >= f) ||
               (sscanf(from, "varchar(%ld)", &f) == 1 && sscanf(to, "varchar(%ld)", &t) == 1 && t >= f);
    }
    if (sscanf(from, "numeric(%ld,%ld)", &f, &fs) != 2) return false;
    return strcmp(to, "numeric") == 0 || (sscanf(to, "numeric(%ld,%ld)", &t, &ts) == 2 && t >= f && ts == fs);
}

static sq_known_column *match(sq_known *k, const wb_column *c)
{
    for (size_t i = 0; c->id && i < k->n; i++) {
        sq_known_column *o = &k->cols[i];
        if (!o->dropped && !o->matched && o->id == c->id) return o;
    }
    for (size_t i = 0; i < k->n; i++) {
        sq_known_column *o = &k->cols[i];
        if (!o->dropped && !o->matched && (!o->id || !c->id) && wb_str_is(c->name, o->name)) return o;
    }
    return NULL;
}

static bool name_used(const sq_diff *d, size_t upto, const char *name)
{
    for (size_t i = 0; i < upto; i++) {
        if (strcasecmp(d->pairs[i].final, name) == 0) return true;
    }
    return false;
}

/* Names in the mirror: the source's, except that SQLite does not tell "Id" from "id". Columns that the source dropped
 * give way. */
static void choose_names(sq_target *s, sq_diff *d)
{
    for (size_t i = 0; i < d->n; i++) {
        sq_pair *p = &d->pairs[i];
        if (p->old && wb_str_is(p->col->name, p->old->name) && !name_used(d, i, p->old->mirror)) {
            p->final = p->old->mirror;
            continue;
        }
        p->final = p->col->name.ptr;
        for (int k = 2; name_used(d, i, p->final); k++)
            p->final = wb_arena_printf(d->arena, "%s_%d", p->col->name.ptr, k);
        if (strcmp(p->final, p->col->name.ptr) != 0)
            wb_host_log(s->host, WB_LOG_WARN,
                        "column %s of table %s.%s is \"%s\" in %s: SQLite's names do not tell upper from lower case",
                        p->col->name.ptr, d->table->schema.ptr, d->table->name.ptr, p->final, s->file);
    }
}

static const char *separator(const wb_out *o) { return o->len ? "; " : ""; }

static void compare_pair(sq_diff *d, sq_pair *p)
{
    const wb_column *c = p->col;
    const sq_known_column *o = p->old;
    if (!o) {
        wb_out_printf(&d->what, "%scolumn %s was added", separator(&d->what), c->name.ptr);
        if (p->key_position) d->rebuild = true;
        return;
    }
    if (!wb_str_is(c->name, o->name))
        wb_out_printf(&d->what, "%scolumn %s is now %s", separator(&d->what), o->name, c->name.ptr);
    if (p->key_position != o->key_position) d->rebuild = true;
    if (p->cls != o->cls) d->rebuild = true;
    if (!wb_str_is(c->type, o->type)) {
        wb_out_printf(&d->what, "%scolumn %s is now %s, it was %s", separator(&d->what), c->name.ptr, c->type.ptr,
                      o->type);
        if (p->cls != o->cls || !values_stay(o->type, c->type.ptr))
            wb_out_printf(&d->reason, "%scolumn %s changed from %s to %s; older rows may still have their old values",
                          separator(&d->reason), c->name.ptr, o->type, c->type.ptr);
    } else if (p->cls != o->cls) {
        wb_out_printf(&d->what, "%scolumn %s is stored as %s, it was %s", separator(&d->what), c->name.ptr,
                      sq_class_name(p->cls), sq_class_name(o->cls));
    }
}

/* Fills d from the version and what is known of it (known->n 0: a new table). */
static wb_code make_diff(sq_target *s, sq_diff *d, wb_error *err)
{
    const wb_table *t = d->table;
    bool rekeyed;
    d->n = t->ncols;
    d->pairs = wb_arena_zalloc(d->arena, (t->ncols + 1) * sizeof *d->pairs);
    if (!d->pairs || d->arena->failed)
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the columns of %s", t->name.ptr);
    for (uint32_t i = 0; i < t->ncols; i++) {
        sq_pair *p = &d->pairs[i];
        p->col = &t->cols[i];
        p->cls = sq_class_of(p->col);
        p->old = match(d->known, p->col);
        if (p->old) p->old->matched = true;
    }
    for (uint32_t j = 0; j < t->nkey; j++) d->pairs[t->key[j]].key_position = (int)j + 1;
    choose_names(s, d);
    if (!d->known->n) return WB_OK;
    for (size_t i = 0; i < d->n; i++) compare_pair(d, &d->pairs[i]);
    for (size_t i = 0; i < d->known->n; i++) {
        sq_known_column *o = &d->known->cols[i];
        if (o->matched || o->dropped) continue;
        wb_out_printf(&d->what, "%scolumn %s was dropped", separator(&d->what), o->name);
        if (o->key_position) d->rebuild = true;
    }
    rekeyed = d->rebuild && d->what.len == 0;
    if (rekeyed) wb_out_z(&d->what, "it has another key");
    d->any = d->what.len > 0;
    wb_out_byte(&d->what, 0);
    return d->what.failed || d->reason.failed
               ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the changes of table %s", t->name.ptr)
               : WB_OK;
}

/* ---------------------------------------------------------------- follow */

/* The new state into our tables: the version's columns, then those that the source dropped. */
static wb_code remember(sq_target *s, sq_diff *d, wb_error *err)
{
    sq_known *k = d->known;
    size_t n = 0;
    sq_known_column *cols = wb_arena_zalloc(d->arena, (d->n + k->n + 1) * sizeof *cols);
    if (!cols || d->arena->failed)
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for the columns of %s", k->mirror);
    for (size_t i = 0; i < d->n; i++) {
        const sq_pair *p = &d->pairs[i];
        int32_t id = p->col->id ? p->col->id : p->old ? p->old->id : 0;
        cols[n++] = (sq_known_column){.id = id,
                                      .name = p->col->name.ptr,
                                      .mirror = p->final,
                                      .type = p->col->type.ptr,
                                      .cls = p->cls,
                                      .key_position = p->key_position};
    }
    for (size_t i = 0; i < k->n; i++) {
        if (k->cols[i].matched || !k->cols[i].mirror) continue;
        cols[n] = k->cols[i];
        cols[n].dropped = true;
        cols[n++].key_position = 0;
    }
    k->cols = cols;
    k->n = n;
    k->schema = wb_arena_strndup(d->arena, sq_source_schema(d->table).ptr ? sq_source_schema(d->table).ptr : "",
                                 sq_source_schema(d->table).len);
    k->name = wb_arena_strndup(d->arena, sq_source_name(d->table).ptr, sq_source_name(d->table).len);
    if (d->table->id) k->source_id = d->table->id;
    if (d->reason.len) {
        bool more = k->reason && k->reason[0];
        k->reason = wb_arena_printf(d->arena, "%s%s%.*s", more ? k->reason : "", more ? "; " : "", (int)d->reason.len,
                                    d->reason.p);
        wb_host_log(s->host, WB_LOG_WARN, "table %s is stale: %.*s; only a new snapshot makes it whole", k->mirror,
                    (int)d->reason.len, d->reason.p);
    }
    k->state = k->reason && k->reason[0] ? "stale" : "ok";
    return sq_known_save(s, k, err);
}

static wb_code create_new(sq_target *s, sq_diff *d, const char *mirror, wb_error *err)
{
    wb_code code = sq_make_room(s, d->arena, d->table, mirror, 0, err);
    if (!code) code = sq_create(s, mirror, d, err);
    if (code) return code;
    s->indexes_due = true;
    d->known->mirror = mirror;
    return remember(s, d, err);
}

/* The key changed and the rows do not fit it: they stay under another name, the table begins anew. */
static wb_code begin_anew(sq_target *s, sq_diff *d, const char *mirror, wb_error *err)
{
    sq_known old = *d->known;
    wb_code code;
    code = sq_set_aside(s, d->arena, &old, true, "its rows do not fit the new key", err);
    if (code) return code;
    wb_out_printf(&d->reason, "%sthe key changed and the rows before that do not fit it; they are in table %s",
                  separator(&d->reason), old.mirror);
    *d->known = (sq_known){0};
    for (size_t i = 0; i < d->n; i++) d->pairs[i].old = NULL;
    choose_names(s, d);
    return create_new(s, d, mirror, err);
}

static wb_code follow_known(sq_target *s, sq_diff *d, const char *mirror, wb_error *err)
{
    sq_known *k = d->known;
    bool renamed = strcmp(k->mirror, mirror) != 0, exists = false, fits = true;
    wb_code code = sq_table_exists(s, k->mirror, &exists, err);
    if (code) return code;
    if (!exists) {
        code = wb_fail(err, WB_E_STATE, WB_NEVER, "mirror table %s is gone from %s: somebody dropped or renamed it",
                       k->mirror, s->file);
        wb_hint(err, "Rename it back, or take a new snapshot into this target.");
        return code;
    }
    if (!d->any && !renamed)
        return strcmp(k->state, "aside") == 0 || k->source_id != d->table->id ? remember(s, d, err) : WB_OK;
    if (s->on_schema_change == SQ_STOP) return sq_schema_stop(s, d->table, d->any ? d->what.p : "it was renamed", err);
    wb_host_log(s->host, WB_LOG_INFO, "table %s.%s changed at the source: %s", d->table->schema.ptr, d->table->name.ptr,
                d->any ? d->what.p : "it was renamed");
    if (renamed) {
        code = sq_make_room(s, d->arena, d->table, mirror, k->table_id, err);
        if (!code) code = sq_rename_table(s, k->mirror, mirror, err);
        if (code) return code;
        k->mirror = mirror;
    }
    if (d->rebuild) {
        code = sq_rebuild(s, d, &fits, err);
        if (!code && !fits) return begin_anew(s, d, mirror, err);
        s->indexes_due = true;
    } else if (d->any) {
        code = sq_alter(s, d, err);
    }
    return code ? code : remember(s, d, err);
}

static wb_code follow(sq_target *s, sq_diff *d, wb_error *err)
{
    const wb_table *t = d->table;
    const char *mirror = NULL;
    wb_code code = sq_mirror_name(s, d->arena, t, &mirror, err);
    if (!code) code = sq_known_load(s, d->arena, t->id, sq_source_schema(t), sq_source_name(t), d->known, err);
    if (!code && strcmp(d->known->table_id ? d->known->state : "", "dropped") == 0) *d->known = (sq_known){0};
    if (!code && !d->known->table_id && t->id) {
        code = sq_known_load(s, d->arena, 0, sq_source_schema(t), sq_source_name(t), d->known, err);
        if (!code && d->known->source_id) *d->known = (sq_known){0}; /* another table: see make_room */
    }
    if (!code) code = make_diff(s, d, err);
    if (code) return code;
    return d->known->table_id ? follow_known(s, d, mirror, err) : create_new(s, d, mirror, err);
}

/* ---------------------------------------------------------------- plans */

static sq_plan **slot(sq_target *s, uint64_t serial) { return &s->plans[serial % WB_COUNT(s->plans)]; }

sq_plan *sq_plan_find(sq_target *s, uint64_t serial)
{
    sq_plan *p = *slot(s, serial);
    while (p && p->serial != serial) p = p->next;
    return p;
}

static void free_plan(sq_target *s, sq_plan *p)
{
    sq_statements_drop(s, p);
    s->parked -= p->parked;
    wb_table_unref(p->table);
    wb_arena_fini(&p->arena);
    free(p->sent);
    free(p);
}

void sq_plans_drop(sq_target *s)
{
    for (size_t i = 0; i < WB_COUNT(s->plans); i++) {
        while (s->plans[i]) {
            sq_plan *p = s->plans[i];
            s->plans[i] = p->next;
            free_plan(s, p);
        }
    }
    s->last = NULL;
}

/* Older versions of the same table do not come again. */
wb_code sq_plans_forget(sq_target *s, int64_t table_id, wb_error *err)
{
    for (size_t i = 0; i < WB_COUNT(s->plans); i++) {
        for (sq_plan **at = &s->plans[i]; *at;) {
            sq_plan *p = *at;
            if (p->table_id != table_id) {
                at = &p->next;
                continue;
            }
            if (p->parked)
                return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                               "table %s changed in the middle of a transaction that swaps keys", p->name);
            *at = p->next;
            if (s->last == p) s->last = NULL;
            free_plan(s, p);
        }
    }
    return WB_OK;
}

static const char *free_rowid(const sq_known *k)
{
    static const char *const names[] = {"rowid", "_rowid_", "oid"};
    for (size_t n = 0; n < WB_COUNT(names); n++) {
        size_t i = 0;
        while (i < k->n && strcasecmp(k->cols[i].mirror, names[n]) != 0) i++;
        if (i == k->n) return names[n];
    }
    return NULL;
}

static wb_code fill_plan(sq_plan *p, const sq_diff *d, wb_error *err)
{
    const sq_known *k = d->known;
    wb_arena *a = &p->arena;
    p->serial = d->table->serial;
    p->table_id = k->table_id;
    p->ncols = d->table->ncols;
    p->nkey = d->table->nkey;
    p->key = d->table->key;
    p->full = (d->table->flags & WB_TABLE_FULL_BEFORE) != 0;
    p->stale = strcmp(k->state, "stale") == 0;
    for (uint32_t i = 0; i < d->table->ncols; i++) p->generates |= (d->table->cols[i].flags & WB_COL_GENERATED) != 0;
    p->words = (p->ncols + 63) / 64 + (p->ncols == 0);
    p->sent = calloc(p->words, sizeof *p->sent);
    p->name = wb_arena_strdup(a, k->mirror);
    p->q = sq_quote(a, k->mirror);
    p->cols = wb_arena_zalloc(a, (p->ncols + 1) * sizeof *p->cols);
    p->kept = wb_arena_zalloc(a, (k->n + 1) * sizeof *p->kept);
    if (a->failed || !p->sent || !p->cols || !p->kept)
        return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for table %s", k->mirror);
    for (uint32_t i = 0; i < p->ncols; i++) {
        const sq_pair *pair = &d->pairs[i];
        p->cols[i] = (sq_column){sq_quote(a, pair->final), (uint8_t)pair->cls, pair->key_position > 0};
    }
    for (size_t i = 0; i < k->n; i++) {
        if (k->cols[i].dropped) p->kept[p->nkept++] = sq_quote(a, k->cols[i].mirror);
    }
    if (!p->nkey && !(p->rowid = free_rowid(k)))
        return wb_fail(
            err, WB_E_SCHEMA, WB_NEVER,
            "table %s has no key, and columns called rowid, _rowid_ and oid: its rows cannot be told apart in SQLite",
            k->mirror);
    return a->failed ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for table %s", k->mirror) : WB_OK;
}

/* A table has several versions (of its copy, of the stream): people hear of it once. */
static bool is_first_version(const sq_target *s, const sq_plan *of)
{
    for (size_t i = 0; i < WB_COUNT(s->plans); i++)
        for (const sq_plan *p = s->plans[i]; p; p = p->next)
            if (p->table_id == of->table_id) return false;
    return true;
}

wb_code sq_make_stale(sq_target *s, sq_plan *p, const char *column, wb_error *err)
{
    wb_arena a;
    sq_known k;
    bool ours;
    wb_arena_init(&a, 4096, 0);
    wb_code code = sq_known_by_mirror(s, &a, p->name, &k, &ours, err);
    if (!code && k.table_id) {
        bool more = k.reason && k.reason[0];
        k.reason = wb_arena_printf(&a, "%s%supdates do not bring the generated column %s", more ? k.reason : "",
                                   more ? "; " : "", column);
        k.state = "stale";
        code = a.failed ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for table %s", p->name)
                        : sq_known_save(s, &k, err);
        wb_host_log(
            s->host, WB_LOG_WARN,
            "table %s is stale: the source's updates do not bring the generated column %s, and the mirror keeps "
            "what it has in it",
            p->name, column);
    }
    p->stale = true;
    wb_arena_fini(&a);
    return code;
}

static wb_code make_plan(sq_target *s, const sq_diff *d, sq_plan **out, wb_error *err)
{
    sq_plan *p;
    wb_code code = sq_plans_forget(s, d->known->table_id, err);
    if (code) return code;
    p = calloc(1, sizeof *p);
    if (!p) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "no memory for table %s", d->known->mirror);
    wb_arena_init(&p->arena, 1024, 0);
    p->table = wb_table_ref(d->table);
    code = fill_plan(p, d, err);
    if (code) {
        free_plan(s, p);
        return code;
    }
    if (!p->nkey && !(d->table->flags & WB_TABLE_INSERT_ONLY) && is_first_version(s, p))
        wb_host_log(s->host, WB_LOG_WARN,
                    "table %s has no key: every update and delete looks through the whole mirror table", p->name);
    p->next = *slot(s, p->serial);
    *slot(s, p->serial) = p;
    *out = p;
    return WB_OK;
}

wb_code sq_plan_get(sq_target *s, const wb_table *t, sq_plan **out, wb_error *err)
{
    wb_arena a;
    sq_known known = {0};
    sq_diff d = {.table = t, .arena = &a, .known = &known};
    wb_code code;
    *out = sq_plan_find(s, t->serial);
    if (*out) return WB_OK;
    wb_arena_init(&a, 8192, 0);
    atomic_store(&s->building, true);
    code = follow(s, &d, err);
    atomic_store(&s->building, false);
    if (!code) code = make_plan(s, &d, out, err);
    wb_out_fini(&d.reason);
    wb_out_fini(&d.what);
    wb_arena_fini(&a);
    return code;
}

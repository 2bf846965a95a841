/* snap_plan.c: which tables are copied, and how each is read in this session. Tables are measured and described with a
 * few statements for all of them; only one larger than `snapshot_chunk` costs some of its own (snap_split.c). Source
 * thread. */
#include "my.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/options.h"

enum { CHUNKS_MAX = 2000, FRESH_STATISTICS = 1000 };

/* "id:int(11),n:varchar(20)": names and types of the key's columns. Another key makes another plan. */
static void put_key(wb_out *o, const my_schema *sh)
{
    for (uint32_t k = 0; k < sh->nkey; k++) {
        const my_schema_col *c = &sh->cols[sh->key[k]];
        if (k) wb_out_byte(o, ',');
        wb_out_str(o, c->name);
        wb_out_byte(o, ':');
        wb_out_str(o, c->type);
    }
}

/* ---------------------------------------------------------------- sizes */

typedef struct size_of {
    uint64_t id;
    int64_t bytes, rows;
} size_of;

static int by_id(const void *a, const void *b)
{
    const size_of *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int64_t number(const char *z)
{
    int64_t v;
    return z && wb_parse_int(z, &v, NULL) == WB_OK ? v : 0;
}

/* MySQL shows statistics of up to a day ago; fresh ones cost it a look at each table. */
static wb_code load_fresh_sizes(my_source *s, wb_arena *a, size_of **out, size_t *many, wb_error *err)
{
    MYSQL_RES *res;
    wb_code code = my_do(&s->side, "for fresh statistics", "SET SESSION information_schema_stats_expiry = 0", err);
    if (code == WB_OK)
        code = my_query(&s->side, "for the size of its tables",
                        "SELECT TABLE_SCHEMA, TABLE_NAME, DATA_LENGTH, TABLE_ROWS FROM information_schema.TABLES WHERE"
                        " TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN"
                        " ('mysql', 'sys', 'information_schema', 'performance_schema')",
                        &res, err);
    if (code != WB_OK) return code;
    *out = wb_arena_zalloc(a, (size_t)(mysql_num_rows(res) + 1) * sizeof **out);
    for (MYSQL_ROW row; *out && (row = mysql_fetch_row(res));)
        if (row[0] && row[1])
            (*out)[(*many)++] = (size_of){.id = my_table_id(wb_str_of(row[0]), wb_str_of(row[1])),
                                          .bytes = number(row[2]),
                                          .rows = number(row[3])};
    mysql_free_result(res);
    return *out ? WB_OK : my_nomem(err);
}

static wb_code load_sizes(my_source *s, size_t n, wb_arena *a, size_of **out, size_t *many, wb_error *err)
{
    wb_code code = WB_OK;
    *many = 0;
    if (s->server.flavor == MY_MYSQL && s->server.version >= 80000 && n <= FRESH_STATISTICS) {
        code = load_fresh_sizes(s, a, out, many, err);
    } else {
        *out = wb_arena_zalloc(a, (s->cat.n + 1) * sizeof **out);
        for (size_t i = 0; *out && i < s->cat.n; i++)
            (*out)[(*many)++] = (size_of){s->cat.tables[i].id, s->cat.tables[i].bytes, s->cat.tables[i].rows};
        if (!*out) code = my_nomem(err);
    }
    if (code == WB_OK) qsort(*out, *many, sizeof **out, by_id);
    return code;
}

/* ---------------------------------------------------------------- jobs */

static wb_code plan_table(my_source *s, const my_table *t, const my_schema *sh, const size_of *size, uint64_t targets,
                          uint32_t flags, wb_error *err)
{
    wb_out key = {0};
    wb_str none = {NULL, 0};
    sql_ledger *l = &s->snap.copy.ledger;
    put_key(&key, sh);
    bool keyed = sh->nkey > 0;
    sql_job *j = key.failed ? NULL : sql_ledger_plan(l, t->id, (wb_str){key.p, key.len}, targets);
    wb_out_fini(&key);
    if (!j) return my_nomem(err);
    j->flags = (keyed ? SQL_JOB_KEYED : 0u) | (flags & MY_COPY_LONE ? SQL_JOB_LONE : 0u);
    j->rows = size ? size->rows : -1;
    j->copied = 0;
    if ((flags & MY_COPY_TRUNCATE) && !sql_job_add(l, j, SQL_CHUNK_TRUNCATE, none, none)) return my_nomem(err);
    int64_t bytes = size ? size->bytes : 0;
    int64_t chunks = WB_MIN((bytes + s->snapshot_chunk - 1) / s->snapshot_chunk, (int64_t)CHUNKS_MAX);
    wb_table *table = chunks > 1 && keyed ? my_table_of_schema(sh, s->server.flavor, err) : NULL;
    if (table) {
        wb_code code = my_snap_split(s, j, sh, table, chunks, size->rows, err);
        wb_table_unref(table);
        return code;
    }
    return sql_job_add(l, j, SQL_CHUNK_RANGE, none, none) ? WB_OK : my_nomem(err);
}

wb_code my_snap_plan(my_source *s, my_table *const *list, size_t n, uint64_t targets, uint32_t flags, wb_error *err)
{
    wb_arena a;
    size_of *sizes = NULL;
    size_t nsizes = 0;
    if (!n) return WB_OK;
    wb_arena_init(&a, 16 * 1024, 0);
    my_schema *shapes = wb_arena_zalloc(&a, n * sizeof *shapes);
    wb_code code = shapes ? my_catalog_shapes(&s->side, &s->cat, list, n, &a, shapes, err) : my_nomem(err);
    if (code == WB_OK) code = load_sizes(s, n, &a, &sizes, &nsizes, err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        const size_of want = {.id = list[i]->id};
        if (!shapes[i].ncols) continue; /* gone meanwhile */
        code = plan_table(s, list[i], &shapes[i], bsearch(&want, sizes, nsizes, sizeof *sizes, by_id), targets, flags,
                          err);
        if (code == WB_OK && my_link_stopped(&s->side)) code = my_fail_stopped(err);
    }
    wb_arena_fini(&a);
    s->snap.copy.changed = true;
    return code == WB_OK ? sql_copy_save(&s->snap.copy, err) : code;
}

/* Targets that have nothing get every table: into the jobs that are there, and new ones. */
wb_code my_snap_plan_fresh(my_source *s, uint64_t fresh, wb_error *err)
{
    my_table **list = calloc(s->cat.n + 1, sizeof(my_table *));
    size_t n = 0;
    if (!list) return my_nomem(err);
    for (size_t i = 0; i < s->cat.n; i++) {
        my_table *t = &s->cat.tables[i];
        if (!t->wanted) continue;
        sql_job *j = sql_ledger_find(&s->snap.copy.ledger, t->id);
        if (j)
            j->targets |= fresh;
        else
            list[n++] = t;
    }
    s->snap.copy.changed = true;
    wb_code code = my_snap_plan(s, list, n, fresh, s->snapshot_locking == MY_LOCKING_NONE ? MY_COPY_LONE : 0, err);
    if (code == WB_OK && !n) code = sql_copy_save(&s->snap.copy, err);
    free(list);
    return code;
}

/* ---------------------------------------------------------------- how a table is read, in this session */

static bool is_key(const my_schema *sh, uint32_t col)
{
    for (uint32_t k = 0; k < sh->nkey; k++)
        if (sh->key[k] == col) return true;
    return false;
}

/* The columns that `snapshot_columns` leaves, the key always: the rest of a row is absent. */
static wb_code narrow(my_source *s, sql_copy_table *ct, const my_table *t, const my_schema *sh, wb_error *err)
{
    const wb_node *columns = sql_copy_option(s->snapshot_columns, t->schema, t->name);
    wb_arena *a = &s->snap.copy.arena;
    if (!columns) return WB_OK;
    my_schema read = *sh;
    my_schema_col *cols = wb_arena_zalloc(a, (sh->ncols + 1) * sizeof *cols);
    uint16_t *key = wb_arena_zalloc(a, (sh->nkey + 1) * sizeof *key);
    ct->map = wb_arena_zalloc(a, (sh->ncols + 1) * sizeof *ct->map);
    if (!cols || !key || !ct->map) return my_nomem(err);
    read.cols = cols;
    read.key = key;
    read.ncols = 0;
    for (uint32_t i = 0; i < sh->ncols; i++) {
        if (!is_key(sh, i) && !sql_copy_chosen(columns, sh->cols[i].name)) continue;
        for (uint32_t k = 0; k < sh->nkey; k++)
            if (sh->key[k] == i) key[k] = (uint16_t)read.ncols;
        ct->map[read.ncols] = (uint16_t)i;
        cols[read.ncols++] = sh->cols[i];
    }
    if (read.ncols == sh->ncols) return WB_OK;
    ct->narrow = my_table_of_schema(&read, s->server.flavor, err);
    return ct->narrow ? WB_OK : err ? err->code : WB_E_SCHEMA;
}

static wb_code describe(my_source *s, sql_job *j, const my_table *t, const my_schema *sh, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    sql_copy_table *ct = wb_arena_zalloc(&c->arena, sizeof *ct);
    if (!ct) return my_nomem(err);
    j->own = ct;
    ct->plain = !t->transactional;
    ct->reader = t->reader;
    ct->table = my_table_of_schema(sh, s->server.flavor, err);
    if (!ct->table) return err ? err->code : WB_E_SCHEMA;
    ct->key = wb_arena_zalloc(&c->arena, (sh->nkey + 1) * sizeof *ct->key);
    for (uint32_t k = 0; k < sh->nkey && ct->key; k++) {
        wb_str name = sh->cols[sh->key[k]].name;
        ct->key[ct->nkey++] = (wb_str){wb_arena_strndup(&c->arena, name.ptr, name.len), name.len};
    }
    ct->index = (wb_str){wb_arena_strndup(&c->arena, sh->index.len ? sh->index.ptr : "", sh->index.len), sh->index.len};
    wb_code code = narrow(s, ct, t, sh, err);
    if (code != WB_OK) return code;
    const wb_table *read = ct->narrow ? ct->narrow : ct->table;
    wb_out sql = {0};
    wb_out_z(&sql, "SELECT ");
    for (uint32_t i = 0; i < read->ncols; i++) {
        if (i) wb_out_z(&sql, ", ");
        my_select_expression(read, i, s->server.flavor, &sql);
    }
    wb_out_z(&sql, " FROM ");
    my_put_table(&sql, t->schema, t->name);
    ct->select = sql_copy_keep(c, &sql);
    ct->where = sql_copy_where(c, s->snapshot_where, t->schema, t->name, NULL);
    return c->arena.failed ? my_nomem(err) : WB_OK;
}

static wb_code plan_again(my_source *s, sql_job *j, my_table *t, wb_error *err)
{
    void *own = j->own;
    uint32_t lone = j->flags & SQL_JOB_LONE ? MY_COPY_LONE : 0;
    wb_host_log(s->host, WB_LOG_INFO, "the key of %s.%s has changed: its copy begins again", t->schema.ptr,
                t->name.ptr);
    wb_code code = my_snap_plan(s, &t, 1, j->targets, MY_COPY_TRUNCATE | lone, err);
    j->own = own;
    return code;
}

static wb_code describe_all(my_source *s, my_table *const *list, size_t n, wb_error *err)
{
    my_snap *snap = &s->snap;
    wb_arena_fini(&snap->shapes_arena);
    wb_arena_init(&snap->shapes_arena, 16 * 1024, 0);
    my_schema *shapes = snap->shapes = wb_arena_zalloc(&snap->shapes_arena, (n + 1) * sizeof *shapes);
    snap->nshapes = n;
    wb_code code =
        shapes ? my_catalog_shapes(&s->side, &s->cat, list, n, &snap->shapes_arena, shapes, err) : my_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        wb_out key = {0};
        sql_job *j = sql_ledger_find(&s->snap.copy.ledger, list[i]->id);
        if (!shapes[i].ncols || !j) continue;
        put_key(&key, &shapes[i]);
        bool same = wb_str_eq(j->key, (wb_str){key.p, key.len});
        code = key.failed ? my_nomem(err) : describe(s, j, list[i], &shapes[i], err);
        wb_out_fini(&key);
        if (code == WB_OK && !same) code = plan_again(s, j, list[i], err);
    }
    return code;
}

/* The table is gone by now, perhaps only by its name: the statement that says so is still to come in the log, and must
 * find that its copy was not whole. */
static wb_code forget_job(my_source *s, uint64_t table, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    bool lacks = sql_job_lacks(sql_ledger_find(&c->ledger, table), ~(uint64_t)0);
    sql_ledger_remove(&c->ledger, table);
    c->changed = true;
    return lacks ? my_snap_note_gone(s, table, true, err) : WB_OK;
}

wb_code my_snap_describe(my_source *s, wb_error *err)
{
    sql_copy *c = &s->snap.copy;
    sql_ledger *l = &c->ledger;
    my_table **list = calloc(l->n + 1, sizeof(my_table *));
    size_t n = 0;
    if (!list) return my_nomem(err);
    sql_copy_undescribe(c);
    wb_arena_reset(&c->arena);
    wb_code code = WB_OK;
    for (size_t i = l->n; i-- > 0 && code == WB_OK;) {
        const my_table *t = my_catalog_find(&s->cat, l->jobs[i]->table);
        if (!t || !t->wanted) code = forget_job(s, l->jobs[i]->table, err);
    }
    c->total = 0;
    for (size_t i = 0; i < l->n && code == WB_OK; i++) {
        if (!sql_job_lacks(l->jobs[i], c->running)) continue;
        list[n++] = my_catalog_find(&s->cat, l->jobs[i]->table);
        if (l->jobs[i]->rows > 0) c->total += l->jobs[i]->rows;
    }
    if (code == WB_OK) code = describe_all(s, list, n, err);
    for (size_t i = l->n; i-- > 0 && code == WB_OK;) { /* dropped since the catalog was read */
        if (l->jobs[i]->own || !sql_job_lacks(l->jobs[i], c->running)) continue;
        code = forget_job(s, l->jobs[i]->table, err);
    }
    free(list);
    return code == WB_OK && c->changed ? sql_copy_save(c, err) : code;
}

void my_snap_forget_shapes(my_source *s)
{
    wb_arena_fini(&s->snap.shapes_arena);
    s->snap.shapes = NULL;
    s->snap.nshapes = 0;
}

/* snap_plan.c: which tables are copied, and in which pieces. Tables are described, measured and divided with one query
 * each for all of them; only a table larger than `snapshot_chunk` costs a query of its own, which samples its keys.
 * Boundaries need not be exact: they are values that divide the key's order, nothing more. Source thread. */
#include "pg.h"

#include <stdio.h>

#include "base/options.h"

enum { PAGE = 8192, SAMPLE_PAGES = 30, CHUNKS_MAX = 2000, SCATTERED = 8 };

/* What is copied: wanted and published. Of a partitioned table that travels by its partitions, those. */
bool pg_snap_copies(const pg_source *s, const pg_table *t)
{
    if (s->snap.copy.only) return t->wanted;
    return t->published && pg_catalog_covers(&s->cat, t);
}

static void put_name(wb_out *o, const pg_table *t)
{
    pg_put_ident(o, t->schema);
    wb_out_byte(o, '.');
    pg_put_ident(o, t->name);
}

static void put_oids(wb_out *o, pg_table *const *list, size_t n)
{
    wb_out_byte(o, '{');
    for (size_t i = 0; i < n; i++) wb_out_printf(o, "%s%u", i ? "," : "", list[i]->oid);
    wb_out_byte(o, '}');
}

static const pg_column *key_column(const pg_shape *sh, size_t place)
{
    for (size_t i = 0; i < sh->ncols; i++)
        if (sh->cols[i].key == place) return &sh->cols[i];
    return NULL;
}

/* "1:23,2:25": numbers and types of the key's columns; "1:23@16384": with the file whose pages are meant. Another key,
 * or another file, makes another plan. */
static void put_key(wb_out *o, const pg_shape *sh, uint32_t file)
{
    const pg_column *c;
    for (size_t k = 1; (c = key_column(sh, k)); k++) wb_out_printf(o, "%s%d:%u", k > 1 ? "," : "", c->attnum, c->type);
    if (file) wb_out_printf(o, "@%u", file);
}

uint32_t pg_snap_file(const sql_job *j)
{
    const char *at = j->flags & SQL_JOB_PLACES && j->key.len ? memchr(j->key.ptr, '@', j->key.len) : NULL;
    return at ? (uint32_t)strtoul(at + 1, NULL, 10) : 0;
}

/* ---------------------------------------------------------------- sizes */

typedef struct size_of {
    uint32_t oid;
    int64_t bytes;
    bool scattered; /* rows do not lie in the order of their keys: a range touches all of the table */
    bool ordered;   /* they do, by what the server knows */
    bool toasted;   /* some values lie elsewhere: updates may leave them out */
    uint32_t file;
} size_of;

static wb_code load_sizes(pg_source *s, const char *oids, wb_arena *a, size_of **out, size_t *n, wb_error *err)
{
    static const char sql[] =
        "SELECT x.oid, x.bytes, CASE WHEN x.bytes > $2::int8 THEN (SELECT abs(st.correlation) FROM pg_index i"
        "  JOIN pg_attribute k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[0] JOIN pg_stats st"
        "  ON st.schemaname = x.nspname AND st.tablename = x.relname AND st.attname = k.attname"
        "  AND st.inherited = (x.relkind = 'p') WHERE i.indrelid = x.oid AND CASE x.relreplident WHEN 'i' THEN"
        "  i.indisreplident ELSE i.indisprimary END LIMIT 1) END, x.toast > 0, pg_relation_filenode(x.oid)"
        " FROM (SELECT c.oid, n.nspname, c.relname, c.relkind, c.relreplident, l.toast, CASE c.relkind WHEN 'p' THEN"
        "  (SELECT coalesce(sum(pg_table_size(p.relid)), 0)::int8 FROM pg_partition_tree(c.oid) p WHERE p.isleaf)"
        "  WHEN 'r' THEN h.heap + l.toast ELSE pg_table_size(c.oid) END AS bytes"
        "  FROM unnest($1::oid[]) t(oid) JOIN pg_class c ON c.oid = t.oid"
        "  JOIN pg_namespace n ON n.oid = c.relnamespace"
        "  CROSS JOIN LATERAL (SELECT coalesce(pg_relation_size(c.oid), 0) AS heap OFFSET 0) h"
        "  CROSS JOIN LATERAL (SELECT CASE WHEN h.heap > 0 AND c.reltoastrelid <> 0 THEN"
        "  coalesce(pg_relation_size(c.reltoastrelid), 0) ELSE 0 END AS toast OFFSET 0) l OFFSET 0) x ORDER BY 1";
    char chunk[24]; /* only what is divided need be looked at closely: pg_stats takes its time */
    (void)snprintf(chunk, sizeof chunk, "%lld", (long long)s->snapshot_chunk);
    const char *values[] = {oids, chunk};
    PGresult *res;
    wb_code code =
        pg_run(&s->side, &(pg_call){.why = "for the size of tables", .n = 2, .values = values}, sql, &res, err);
    if (code != WB_OK) return code;
    *n = (size_t)PQntuples(res);
    *out = wb_arena_zalloc(a, (*n + 1) * sizeof **out);
    for (size_t i = 0; i < *n && *out; i++) {
        (*out)[i].oid = (uint32_t)strtoul(PQgetvalue(res, (int)i, 0), NULL, 10);
        (*out)[i].bytes = strtoll(PQgetvalue(res, (int)i, 1), NULL, 10);
        double order = PQgetisnull(res, (int)i, 2) ? -1 : strtod(PQgetvalue(res, (int)i, 2), NULL);
        (*out)[i].scattered = order >= 0 && order < 0.7;
        (*out)[i].ordered = order >= 0.9;
        (*out)[i].toasted = PQgetvalue(res, (int)i, 3)[0] == 't';
        (*out)[i].file = (uint32_t)strtoul(PQgetvalue(res, (int)i, 4), NULL, 10);
    }
    PQclear(res);
    return a->failed ? pg_nomem(err) : WB_OK;
}

static const size_of *find_size(const size_of *sizes, size_t n, uint32_t oid)
{
    static const size_of none;
    for (size_t lo = 0, hi = n; lo < hi;) {
        size_t mid = lo + (hi - lo) / 2;
        if (sizes[mid].oid == oid) return &sizes[mid];
        if (sizes[mid].oid < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return &none;
}

/* ---------------------------------------------------------------- pieces */

static wb_code add_chunk(pg_source *s, sql_job *j, sql_chunk_kind kind, const wb_out *low, const wb_out *high,
                         wb_error *err)
{
    wb_str from = low ? (wb_str){low->p, low->len} : (wb_str){NULL, 0};
    wb_str to = high ? (wb_str){high->p, high->len} : (wb_str){NULL, 0};
    if ((low && low->failed) || (high && high->failed) || !sql_job_add(&s->snap.copy.ledger, j, kind, from, to))
        return pg_nomem(err);
    return WB_OK;
}

static wb_code divide_by_pages(pg_source *s, sql_job *j, int64_t chunks, int64_t bytes, wb_error *err)
{
    int64_t step = WB_MAX(bytes / PAGE / chunks, (int64_t)1);
    wb_out low = {0}, high = {0};
    wb_code code = WB_OK;
    for (int64_t i = 0; i < chunks && code == WB_OK; i++) {
        char at[40];
        int n = snprintf(at, sizeof at, "(%lld,0)", (long long)((i + 1) * step));
        wb_out_reset(&high);
        if (i + 1 < chunks) sql_tuple_put(&high, (wb_str){at, (size_t)n});
        code = add_chunk(s, j, SQL_CHUNK_RANGE, &low, &high, err);
        wb_out_reset(&low);
        wb_out_put(&low, high.p, high.len);
    }
    wb_out_fini(&low);
    wb_out_fini(&high);
    return code;
}

static void put_sample(wb_out *o, const pg_table *t, const pg_shape *sh, int64_t chunks, int64_t bytes)
{
    wb_out list = {0};
    const pg_column *c;
    for (size_t k = 1; (c = key_column(sh, k)); k++) {
        if (k > 1) wb_out_z(&list, ", ");
        pg_put_ident(&list, c->name);
    }
    double percent = 100.0 * (double)(chunks * SAMPLE_PAGES) / ((double)bytes / PAGE);
    const char *z = wb_out_cstr(&list);
    if (!z) o->failed = true;
    wb_out_printf(o,
                  "SELECT %s FROM (SELECT %s, row_number() OVER (ORDER BY %s) AS \"walbrook r\", count(*) OVER () AS"
                  " \"walbrook c\" FROM ",
                  z ? z : "", z ? z : "", z ? z : "");
    if (t->kind == 'r') wb_out_z(o, "ONLY ");
    put_name(o, t);
    wb_out_printf(o,
                  " TABLESAMPLE SYSTEM (%.6f)) x WHERE \"walbrook r\" > 1 AND \"walbrook r\" * %lld / \"walbrook c\""
                  " <> (\"walbrook r\" - 1) * %lld / \"walbrook c\" ORDER BY \"walbrook r\"",
                  percent > 100 ? 100.0 : percent, (long long)chunks, (long long)chunks);
    wb_out_fini(&list);
}

static wb_code divide_by_keys(pg_source *s, sql_job *j, const pg_table *t, const pg_shape *sh, int64_t chunks,
                              int64_t bytes, wb_error *err)
{
    wb_out sql = {0}, low = {0}, high = {0};
    PGresult *res = NULL;
    put_sample(&sql, t, sh, chunks, bytes);
    const char *text = wb_out_cstr(&sql);
    wb_code code = text ? pg_query(&s->side, "for a sample of keys", text, &res, err) : pg_nomem(err);
    int n = code == WB_OK ? PQntuples(res) : 0;
    for (int i = 0; i <= n && code == WB_OK; i++) {
        wb_out_reset(&high);
        for (int c = 0; i < n && c < PQnfields(res); c++)
            sql_tuple_put(&high, (wb_str){PQgetvalue(res, i, c), (size_t)PQgetlength(res, i, c)});
        code = add_chunk(s, j, SQL_CHUNK_RANGE, &low, &high, err);
        wb_out_reset(&low);
        wb_out_put(&low, high.p, high.len);
    }
    PQclear(res);
    wb_out_fini(&sql);
    wb_out_fini(&low);
    wb_out_fini(&high);
    return code;
}

/* Places in a file outlive their snapshot, as long as all changes come whole: see copy_mark.c. */
static bool all_comes(const pg_source *s, const pg_table *t)
{
    return t->usable && t->updates && s->origin != PG_ORIGIN_NONE && wb_host_updates_pass(s->host);
}

/* Pages cost the server a tenth less than keys. Rows that are not in the order of their keys would not be so at the
 * target either. Without a key they are good within one snapshot only. */
static bool by_places(const pg_source *s, const pg_table *t, const size_of *size, bool keyed, uint32_t flags)
{
    if (t->kind != 'r' || s->side.version < 140000) return false;
    if (!keyed) return true;
    bool outlives = all_comes(s, t) && !size->toasted && !(flags & PG_COPY_LONE);
    return size->ordered && size->file && (s->snap.copy.only || outlives);
}

static wb_code plan_table(pg_source *s, const pg_table *t, const pg_shape *sh, const size_of *size, uint64_t targets,
                          uint32_t flags, wb_error *err)
{
    wb_out key = {0};
    bool keyed = key_column(sh, 1) != NULL, places = by_places(s, t, size, keyed, flags);
    uint32_t file = keyed && places ? size->file : 0;
    put_key(&key, sh, file);
    sql_job *j = key.failed ? NULL : sql_ledger_plan(&s->snap.copy.ledger, t->oid, (wb_str){key.p, key.len}, targets);
    wb_out_fini(&key);
    if (!j) return pg_nomem(err);
    j->flags = (keyed ? SQL_JOB_KEYED : 0u) | (flags & PG_COPY_LONE ? SQL_JOB_LONE : 0u) | (file ? SQL_JOB_PLACES : 0u);
    j->rows = t->rows;
    j->copied = 0;
    int64_t unit = s->snapshot_chunk * (size->scattered && keyed ? SCATTERED : 1);
    int64_t chunks = WB_MIN((size->bytes + unit - 1) / unit, (int64_t)CHUNKS_MAX);
    wb_code code = flags & PG_COPY_TRUNCATE ? add_chunk(s, j, SQL_CHUNK_TRUNCATE, NULL, NULL, err) : WB_OK;
    if (code != WB_OK) return code;
    if (chunks > 1 && places) return divide_by_pages(s, j, chunks, size->bytes, err);
    if (chunks > 1 && keyed) return divide_by_keys(s, j, t, sh, chunks, size->bytes, err);
    return add_chunk(s, j, SQL_CHUNK_RANGE, NULL, NULL, err);
}

/* In the order of `list`, which is that of OIDs. */
wb_code pg_snap_plan(pg_source *s, pg_table *const *list, size_t n, uint64_t targets, uint32_t flags, wb_error *err)
{
    wb_arena a;
    wb_arena_init(&a, 16 * 1024, 0);
    wb_out oids = {0};
    pg_shape *shapes = NULL;
    size_of *sizes = NULL;
    size_t nshapes = 0, nsizes = 0;
    put_oids(&oids, list, n);
    const char *text = wb_out_cstr(&oids);
    wb_code code = text ? pg_shapes_load(&s->side, text, &a, &shapes, &nshapes, err) : pg_nomem(err);
    if (code == WB_OK) code = load_sizes(s, text, &a, &sizes, &nsizes, err);
    for (size_t i = 0, k = 0; i < n && code == WB_OK; i++) {
        while (k < nshapes && shapes[k].oid < list[i]->oid) k++;
        if (k == nshapes || shapes[k].oid != list[i]->oid) continue; /* gone meanwhile */
        code = plan_table(s, list[i], &shapes[k], find_size(sizes, nsizes, list[i]->oid), targets, flags, err);
    }
    wb_out_fini(&oids);
    wb_arena_fini(&a);
    s->snap.copy.changed = true;
    return code == WB_OK ? sql_copy_save(&s->snap.copy, err) : code;
}

/* Targets that have nothing get every table: into the jobs that are there, and new ones. */
wb_code pg_snap_plan_fresh(pg_source *s, uint64_t fresh, wb_error *err)
{
    pg_table **list = calloc(s->cat.n + 1, sizeof(pg_table *));
    size_t n = 0;
    if (!list) return pg_nomem(err);
    for (size_t i = 0; i < s->cat.n; i++) {
        pg_table *t = &s->cat.tables[i];
        if (!pg_snap_copies(s, t)) continue;
        sql_job *j = sql_ledger_find(&s->snap.copy.ledger, t->oid);
        if (j)
            j->targets |= fresh;
        else
            list[n++] = t;
    }
    wb_code code = pg_snap_plan(s, list, n, fresh, 0, err);
    free(list);
    return code;
}

/* ---------------------------------------------------------------- how a table is read, in this session */

/* Without its key a row is nobody's. */
static bool is_chosen(const wb_node *columns, const pg_column *c)
{
    return c->key || sql_copy_chosen(columns, c->name);
}

/* The columns that `snapshot_columns` leaves, in `read`: the rest of a row is absent. */
static wb_code narrow(pg_source *s, sql_copy_table *ct, const pg_table *t, const pg_shape *sh, pg_shape *read,
                      wb_error *err)
{
    const wb_node *columns = sql_copy_option(s->snapshot_columns, t->schema, t->name);
    *read = *sh;
    if (!columns) return WB_OK;
    ct->map = wb_arena_zalloc(&s->snap.copy.arena, (sh->ncols + 1) * sizeof *ct->map);
    read->cols = wb_arena_zalloc(&s->snap.copy.arena, (sh->ncols + 1) * sizeof *read->cols);
    if (!ct->map || !read->cols) return pg_nomem(err);
    read->ncols = 0;
    for (size_t i = 0; i < sh->ncols; i++) {
        if (!is_chosen(columns, &sh->cols[i])) continue;
        ct->map[read->ncols] = (uint16_t)i;
        read->cols[read->ncols++] = sh->cols[i];
    }
    if (read->ncols == sh->ncols) return WB_OK;
    ct->narrow = pg_shape_table(read, 0);
    return ct->narrow ? WB_OK : pg_nomem(err);
}

static void keep_key(pg_source *s, sql_copy_table *ct, const pg_shape *sh)
{
    const pg_column *c;
    while ((c = key_column(sh, ct->nkey + 1))) ct->nkey++;
    ct->key = wb_arena_zalloc(&s->snap.copy.arena, (ct->nkey + 1) * sizeof *ct->key);
    for (size_t k = 0; k < ct->nkey && ct->key; k++) {
        c = key_column(sh, k + 1);
        ct->key[k] = (wb_str){wb_arena_strndup(&s->snap.copy.arena, c->name.ptr, c->name.len), c->name.len};
    }
}

static wb_code describe(pg_source *s, sql_job *j, const pg_table *t, pg_shape *sh, wb_error *err)
{
    sql_copy_table *ct = wb_arena_zalloc(&s->snap.copy.arena, sizeof *ct);
    if (!ct) return pg_nomem(err);
    uint32_t flags = t->usable ? 0 : WB_TABLE_INSERT_ONLY;
    j->own = ct;
    keep_key(s, ct, sh);
    pg_shape_narrow(sh, t->columns);
    ct->table = pg_shape_table(sh, flags);
    if (!ct->table) return pg_nomem(err);
    pg_shape read;
    wb_code code = narrow(s, ct, t, sh, &read, err);
    if (code != WB_OK) return code;
    wb_out sql = {0}, name = {0};
    put_name(&name, t);
    wb_out_z(&sql, "COPY (SELECT ");
    for (size_t i = 0; i < read.ncols; i++) {
        if (i) wb_out_z(&sql, ", ");
        pg_put_ident(&sql, read.cols[i].name);
    }
    wb_out_z(&sql, t->kind == 'p' ? " FROM " : " FROM ONLY ");
    put_name(&sql, t);
    ct->select = sql_copy_keep(&s->snap.copy, &sql);
    ct->name = sql_copy_keep(&s->snap.copy, &name);
    ct->where = sql_copy_where(&s->snap.copy, s->snapshot_where, t->schema, t->name, t->filter);
    return s->snap.copy.arena.failed ? pg_nomem(err) : WB_OK;
}

/* Jobs against the tables as they are now: one that is gone needs no copy, one with another key another plan. */
static wb_code fit_job(pg_source *s, sql_job *j, pg_shape *sh, uint32_t file, pg_table **again, size_t *nagain,
                       wb_error *err)
{
    pg_table *t = pg_catalog_find(&s->cat, (uint32_t)j->table);
    wb_out key = {0};
    bool places = pg_snap_file(j) != 0;
    put_key(&key, sh, places ? file : 0);
    bool same = wb_str_eq(j->key, (wb_str){key.p, key.len}) && (!places || s->snap.copy.only || all_comes(s, t));
    if (key.failed) s->snap.copy.arena.failed = true;
    wb_out_fini(&key);
    if (!same) again[(*nagain)++] = t;
    return describe(s, j, t, sh, err);
}

static wb_code plan_again(pg_source *s, pg_table **again, size_t n, wb_error *err)
{
    wb_code code = WB_OK;
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        sql_job *j = sql_ledger_find(&s->snap.copy.ledger, again[i]->oid);
        void *own = j->own;
        wb_host_log(s->host, WB_LOG_INFO, "%s.%s has another key, or was written anew: its copy begins again",
                    again[i]->schema.ptr, again[i]->name.ptr);
        code = pg_snap_plan(s, &again[i], 1, j->targets, PG_COPY_TRUNCATE, err);
        j->own = own;
    }
    return code;
}

static bool any_places(const sql_ledger *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (pg_snap_file(l->jobs[i])) return true;
    return false;
}

static wb_code describe_all(pg_source *s, pg_table **list, size_t n, wb_arena *a, wb_error *err)
{
    wb_out oids = {0};
    pg_shape *shapes = NULL;
    size_of *sizes = NULL;
    size_t nshapes = 0, nsizes = 0, nagain = 0;
    pg_table **again = calloc(n + 1, sizeof(pg_table *));
    put_oids(&oids, list, n);
    const char *text = wb_out_cstr(&oids);
    wb_code code = text && again ? pg_shapes_load(&s->side, text, a, &shapes, &nshapes, err) : pg_nomem(err);
    if (code == WB_OK && any_places(&s->snap.copy.ledger)) code = load_sizes(s, text, a, &sizes, &nsizes, err);
    for (size_t i = 0; i < nshapes && code == WB_OK; i++)
        code = fit_job(s, sql_ledger_find(&s->snap.copy.ledger, shapes[i].oid), &shapes[i],
                       find_size(sizes, nsizes, shapes[i].oid)->file, again, &nagain, err);
    size_t first = 0; /* those of the first copy; a table that joins the stream is told of where it joins */
    for (size_t i = 0; i < nshapes && code == WB_OK; i++)
        if (!(sql_ledger_find(&s->snap.copy.ledger, shapes[i].oid)->flags & SQL_JOB_LONE)) shapes[first++] = shapes[i];
    if (code == WB_OK) code = pg_shapes_remember(s, shapes, first, err); /* narrowed, as they travel */
    if (code == WB_OK) code = plan_again(s, again, nagain, err);
    free(again);
    wb_out_fini(&oids);
    return code;
}

wb_code pg_snap_describe(pg_source *s, wb_error *err)
{
    sql_ledger *l = &s->snap.copy.ledger;
    pg_table **list = calloc(l->n + 1, sizeof(pg_table *));
    wb_arena a;
    size_t n = 0;
    if (!list) return pg_nomem(err);
    sql_copy_undescribe(&s->snap.copy);
    wb_arena_reset(&s->snap.copy.arena);
    for (size_t i = l->n; i-- > 0;) {
        pg_table *t = pg_catalog_find(&s->cat, (uint32_t)l->jobs[i]->table);
        if (t && pg_snap_copies(s, t)) continue;
        sql_ledger_remove(l, l->jobs[i]->table);
        s->snap.copy.changed = true;
    }
    s->snap.copy.total = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (!sql_job_lacks(l->jobs[i], s->snap.copy.running)) continue;
        list[n++] = pg_catalog_find(&s->cat, (uint32_t)l->jobs[i]->table);
        if (l->jobs[i]->rows > 0) s->snap.copy.total += l->jobs[i]->rows;
    }
    wb_arena_init(&a, 16 * 1024, 0);
    wb_code code = describe_all(s, list, n, &a, err);
    for (size_t i = l->n; i-- > 0 && code == WB_OK;) { /* dropped since the catalog was read */
        if (l->jobs[i]->own || !sql_job_lacks(l->jobs[i], s->snap.copy.running)) continue;
        sql_ledger_remove(l, l->jobs[i]->table);
        s->snap.copy.changed = true;
    }
    wb_arena_fini(&a);
    free(list);
    if (code == WB_OK && s->snap.copy.changed) code = sql_copy_save(&s->snap.copy, err);
    return code;
}

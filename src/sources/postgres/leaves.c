/* leaves.c: TRUNCATE of one partition of a table that travels under its root's name: the server tells nobody. But it
 * gives the partition a new file, which the catalog shows, and so it is found out by looking. Others make a new file,
 * too. TRUNCATE of the root: the stream brings it, and the number of its transaction stands in the partition's line
 * of pg_class. VACUUM FULL and CLUSTER: they leave rows that are older than our last look, TRUNCATE leaves none. An
 * ALTER that writes the table anew leaves none either; it changed the rows without a word. So what is not explained is
 * a partition whose rows are gone, or others than were sent: its root is copied again. Source thread, by
 * watch_tables.c. The files are kept in the state: what happens between two runs is seen as well. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"

enum { TRUNCATES_MAX = 512, ENTRY = 8, SAVE_EVERY_US = 600000000 };
static const char files_key[] = "leaves/files", truncates_key[] = "leaves/truncates", look_key[] = "leaves/look";

/* ---------------------------------------------------------------- in the state */

/* At once only when nothing was known: what a later look finds again may be lost with the checkpoint that it waits for.
 */
static wb_code keep(pg_source *s, const char *key, wb_out *value, bool at_once, wb_error *err)
{
    wb_kv kv = {key, {value->p, value->len}};
    wb_code code = value->failed ? pg_nomem(err)
                   : at_once     ? wb_host_state_put(s->host, kv.key, kv.value, err)
                                 : wb_host_state_note(s->host, &kv, 1, err);
    wb_out_fini(value);
    return code;
}

/* An old one makes more partitions look truncated, no fewer. */
static wb_code save_horizon(pg_source *s, wb_error *err)
{
    pg_leaves *v = &s->leaves;
    wb_out out = {0};
    wb_out_be32(&out, (uint32_t)(v->horizon >> 32));
    wb_out_be32(&out, (uint32_t)v->horizon);
    v->save_us = wb_mono_us() + SAVE_EVERY_US;
    return keep(s, look_key, &out, false, err);
}

static wb_code save_files(pg_source *s, bool at_once, wb_error *err)
{
    const pg_leaves *v = &s->leaves;
    wb_out out = {0};
    wb_out_byte(&out, 1); /* never nothing, so that it is known to be there */
    for (size_t i = 0; i < v->n; i++) {
        wb_out_be32(&out, v->all[i].oid);
        wb_out_be32(&out, v->all[i].file);
    }
    return keep(s, files_key, &out, at_once, err);
}

static wb_code read_files(pg_leaves *v, wb_str in, wb_error *err)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    (void)wb_rd_u8(&r);
    v->n = wb_rd_left(&r) / ENTRY;
    v->all = calloc(v->n + 1, sizeof *v->all);
    if (!v->all) return pg_nomem(err);
    for (size_t i = 0; i < v->n; i++) {
        v->all[i].oid = wb_rd_be32(&r);
        v->all[i].file = wb_rd_be32(&r);
    }
    v->known = !r.failed;
    return WB_OK;
}

static void read_horizon(pg_leaves *v, wb_str in)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    uint64_t high = wb_rd_be32(&r);
    v->horizon = high << 32 | wb_rd_be32(&r);
}

static wb_code read_truncates(pg_leaves *v, wb_str in, wb_error *err)
{
    wb_rd r = wb_rd_of(in.ptr, in.len);
    v->truncates = calloc(TRUNCATES_MAX, sizeof *v->truncates);
    if (!v->truncates) return pg_nomem(err);
    v->ntruncates = WB_MIN(in.len / ENTRY, (size_t)TRUNCATES_MAX);
    for (size_t i = 0; i < v->ntruncates; i++) {
        v->truncates[i].root = wb_rd_be32(&r);
        v->truncates[i].xid = wb_rd_be32(&r);
    }
    return WB_OK;
}

wb_code pg_leaves_open(pg_source *s, bool anew, wb_error *err)
{
    pg_leaves *v = &s->leaves;
    wb_str in = {NULL, 0};
    if (!sql_fact_on(s->host)) return WB_OK;
    wb_code code = wb_host_state_get(s->host, truncates_key, &in, err);
    if (code == WB_OK) code = read_truncates(v, in, err);
    if (code == WB_OK && !anew) code = wb_host_state_get(s->host, files_key, &in, err);
    if (code == WB_OK && !anew && in.len) code = read_files(v, in, err);
    if (code == WB_OK && v->known) {
        code = wb_host_state_get(s->host, look_key, &in, err);
        read_horizon(v, in);
        return code;
    }
    if (code != WB_OK) return code;
    return pg_leaves_look(s, &s->cat, err); /* a copy of all comes after it, or nobody knows how it was before */
}

void pg_leaves_close(pg_leaves *v)
{
    free(v->all);
    free(v->truncates);
    memset(v, 0, sizeof *v);
}

/* ---------------------------------------------------------------- TRUNCATE of a root, from the stream */

static bool has_truncate(const pg_leaves *v, uint32_t root, uint32_t xid)
{
    for (size_t i = v->ntruncates; i-- > 0;)
        if (v->truncates[i].root == root && v->truncates[i].xid == xid) return true;
    return false;
}

static bool keep_truncate(pg_leaves *v, uint32_t root, uint32_t xid)
{
    if (has_truncate(v, root, xid)) return false;
    if (v->ntruncates == TRUNCATES_MAX) { /* the older half */
        v->ntruncates /= 2;
        memmove(v->truncates, v->truncates + TRUNCATES_MAX - v->ntruncates, v->ntruncates * sizeof *v->truncates);
    }
    v->truncates[v->ntruncates++] = (pg_truncated){.root = root, .xid = xid};
    return true;
}

wb_code pg_leaves_truncated(pg_source *s, uint32_t oid, uint32_t subxid, wb_error *err)
{
    pg_leaves *v = &s->leaves;
    const pg_table *t = pg_catalog_find(&s->cat, oid);
    if (!v->truncates || (t && t->kind != 'p')) return WB_OK;
    bool kept = keep_truncate(v, oid, s->txn.xid);
    if (subxid && keep_truncate(v, oid, subxid)) kept = true;
    wb_out out = {0};
    for (size_t i = 0; kept && i < v->ntruncates; i++) {
        wb_out_be32(&out, v->truncates[i].root);
        wb_out_be32(&out, v->truncates[i].xid);
    }
    return kept ? keep(s, truncates_key, &out, false, err) : WB_OK;
}

/* The TRUNCATE of one of its ancestors that the stream has brought wrote the partition's line last. */
static bool explained(const pg_leaves *v, const pg_catalog *cat, const pg_table *leaf, uint32_t writer)
{
    const pg_table *up = pg_catalog_find(cat, leaf->parent);
    for (int depth = 0; up && depth < 64; depth++) {
        if (has_truncate(v, up->oid, writer)) return true;
        up = up->parent ? pg_catalog_find(cat, up->parent) : NULL;
    }
    return false;
}

/* ---------------------------------------------------------------- looking */

static pg_leaf *find_leaf(const pg_leaves *v, uint32_t oid)
{
    size_t lo = 0, hi = v->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->all[mid].oid == oid) return &v->all[mid];
        if (v->all[mid].oid < oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool is_leaf(const pg_catalog *cat, const pg_table *t)
{
    return t->kind == 'r' && t->parent && !t->wanted && pg_catalog_covers(cat, t);
}

/* A row that was there at the last look is there still: nobody has truncated the partition in between. Any row will do,
 * so a few thousand are enough. A partition that is locked, or slow, is asked again at the next look. */
static wb_code survived(pg_source *s, const pg_table *t, bool *yes, bool *busy, wb_error *err)
{
    PGresult *res = NULL;
    wb_out sql = {0};
    wb_error own;
    wb_error_reset(&own);
    *yes = *busy = false;
    if (!t->can_select) return WB_OK;
    wb_out_z(&sql, "SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '2s';"
                   " SELECT bool_or(age(r.x) > age('");
    wb_out_printf(&sql, "%u", (uint32_t)s->leaves.horizon);
    wb_out_z(&sql, "'::xid)) FROM (SELECT xmin AS x FROM ONLY ");
    pg_put_ident(&sql, t->schema);
    wb_out_byte(&sql, '.');
    pg_put_ident(&sql, t->name);
    wb_out_z(&sql, " LIMIT 10000) r");
    wb_code code = pg_query(&s->side, "for the age of a partition's rows", wb_out_cstr(&sql), &res, &own);
    wb_out_fini(&sql);
    if (code == WB_OK) *yes = PQntuples(res) && PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);
    *busy = strcmp(own.native, "55P03") == 0 || strcmp(own.native, "57014") == 0; /* one of the two timeouts */
    if (code == WB_OK || (own.native[0] && !pg_link_dead(&s->side))) return WB_OK;
    if (err) *err = own;
    return code;
}

static wb_code look_at(pg_source *s, const pg_catalog *cat, const pg_table *t, pg_leaf *leaf, wb_error *err)
{
    bool yes = false, busy = false;
    if (leaf->file == t->file) {
        leaf->next = 0;
        return WB_OK;
    }
    wb_code code = WB_OK;
    yes = explained(&s->leaves, cat, t, t->writer);
    if (!yes) code = survived(s, t, &yes, &busy, err);
    if (code != WB_OK || busy) return code;
    if (yes) {
        leaf->file = t->file;
        leaf->next = 0;
    } else if (leaf->next != t->file || leaf->writer != t->writer) {
        leaf->next = t->file;
        leaf->writer = t->writer;
        leaf->until = 0;
    }
    return WB_OK;
}

/* What has committed by now lies before this place. */
static wb_code place_of_now(pg_source *s, pg_lsn *out, wb_error *err)
{
    PGresult *res;
    bool write = s->side.version >= 140000 && !s->in_recovery;
    if (write) {
        wb_code code = pg_do(&s->side, "to mark the end of its log",
                             "SET LOCAL synchronous_commit = local; SELECT pg_logical_emit_message(true, 'walbrook',"
                             " 'look')",
                             err);
        if (code != WB_OK) return code;
    }
    wb_code code =
        pg_query(&s->side, "where its log ends",
                 s->in_recovery ? "SELECT pg_last_wal_replay_lsn()" : "SELECT pg_current_wal_flush_lsn()", &res, err);
    if (code != WB_OK) return code;
    if (!pg_lsn_parse(wb_str_of(PQgetvalue(res, 0, 0)), out))
        code = wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server did not say where its log ends.");
    PQclear(res);
    return code;
}

/* `--until now` waits for a judgement, and no longer. */
static void hold(pg_source *s)
{
    pg_leaves *v = &s->leaves;
    const sql_copy *c = &s->snap.copy;
    bool waits = v->until != 0;
    if (waits || v->waits) wb_host_copying(s->host, waits || c->asked || c->wanted || c->phase != SQL_COPY_OFF);
    v->waits = waits;
}

/* The stream must come here before those that wait are judged. */
static wb_code set_places(pg_source *s, wb_error *err)
{
    pg_leaves *v = &s->leaves;
    pg_lsn now = 0;
    v->until = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (!v->all[i].next) continue;
        wb_code code = v->all[i].until || now ? WB_OK : place_of_now(s, &now, err);
        if (code != WB_OK) return code;
        if (!v->all[i].until) v->all[i].until = now;
        v->until = v->until ? WB_MIN(v->until, v->all[i].until) : v->all[i].until;
    }
    hold(s);
    return WB_OK;
}

/* The same leaves, newly looked at. *same: the files of all are the known ones, or explained. */
static wb_code look_at_all(pg_source *s, const pg_catalog *cat, pg_leaf *all, bool *changed, bool *same, wb_error *err)
{
    const pg_leaves *v = &s->leaves;
    size_t n = 0;
    for (size_t i = 0; i < cat->n; i++) {
        const pg_table *t = &cat->tables[i];
        if (!is_leaf(cat, t)) continue;
        const pg_leaf *had = find_leaf(v, t->oid);
        /* The first file of a table has the table's own number: another one was made since. */
        pg_leaf *leaf = &all[n++];
        *leaf = had ? *had : (pg_leaf){.oid = t->oid, .file = v->known ? t->oid : t->file};
        uint32_t file = leaf->file;
        wb_code code = look_at(s, cat, t, leaf, err);
        if (code != WB_OK) return code;
        *changed = *changed || !had || file != leaf->file;
        *same = *same && leaf->file == t->file;
    }
    return WB_OK;
}

wb_code pg_leaves_look(pg_source *s, const pg_catalog *cat, wb_error *err)
{
    pg_leaves *v = &s->leaves;
    size_t n = 0;
    if (!v->truncates) return WB_OK;
    for (size_t i = 0; i < cat->n; i++) n += is_leaf(cat, &cat->tables[i]);
    if (!n && !v->n && v->known) return WB_OK;
    pg_leaf *all = calloc(n + 1, sizeof *all);
    bool first = !v->known, changed = first || n != v->n, same = true;
    wb_code code = all ? look_at_all(s, cat, all, &changed, &same, err) : pg_nomem(err);
    if (code != WB_OK) {
        free(all);
        return code;
    }
    free(v->all);
    v->all = all;
    v->n = n;
    v->known = true;
    if (same) v->horizon = cat->horizon;
    code = set_places(s, err);
    if (code == WB_OK && n && (changed || wb_mono_us() >= v->save_us)) code = save_horizon(s, err);
    return code == WB_OK && changed ? save_files(s, first, err) : code;
}

/* ---------------------------------------------------------------- judging */

/* Under whose name the rows of a leaf travel: the topmost ancestor that is published. */
static const pg_table *root_of(const pg_catalog *cat, const pg_table *leaf)
{
    const pg_table *root = NULL, *up = pg_catalog_find(cat, leaf->parent);
    for (int depth = 0; up && depth < 64; depth++) {
        if (up->published) root = up;
        up = up->parent ? pg_catalog_find(cat, up->parent) : NULL;
    }
    return root;
}

/* Why the table is not copied again; NULL: it is. */
static const char *why_not(const pg_source *s, const pg_table *root)
{
    if (s->snapshot_mode == SQL_SNAP_NEVER)
        return "With `snapshot: never` it is not copied again: the targets keep rows that the source has not. TRUNCATE "
               "the root, or DELETE.";
    if (s->origin == PG_ORIGIN_NONE) /* a root's TRUNCATE that replication brought is left out of the stream */
        return "With `origin: none` nobody knows where that was done, so the table is not copied again; `walbrook "
               "resync` does it.";
    if (!root->wanted) return "`tables` does not name the table that is published, so it is not copied again.";
    if (!root->can_select)
        return "The user may not read the table, so it is not copied again; `walbrook check` prints what mends it, "
               "and then `walbrook resync` copies it.";
    return NULL;
}

static wb_code act(pg_source *s, const pg_table *leaf, const pg_table *root, wb_error *err)
{
    char name[3 * PG_NAME];
    const char *why = why_not(s, root);
    (void)snprintf(name, sizeof name, "%s.%s", root->schema.ptr, root->name.ptr);
    wb_host_log(s->host, WB_LOG_WARN,
                "the partition %s.%s of %s was truncated, or written anew by an ALTER; the server sends nothing of "
                "that under the name of the root. %s",
                leaf->schema.ptr, leaf->name.ptr, name, why ? why : "The table will be copied again.");
    if (why) return WB_OK;
    wb_code code = sql_wish(s->host, "resync", root->oid, name, err);
    if (code == WB_OK) s->snap.copy.asked = true;
    return code;
}

static wb_code judge_all(pg_source *s, const pg_catalog *cat, bool truncates, wb_error *err)
{
    pg_leaves *v = &s->leaves;
    for (size_t i = 0; i < v->n; i++) {
        pg_leaf *leaf = &v->all[i];
        if (!leaf->next || leaf->until > s->snap.passed) continue;
        const pg_table *t = pg_catalog_find(cat, leaf->oid);
        const pg_table *root = t && truncates ? root_of(cat, t) : NULL;
        wb_code code = root && !explained(v, cat, t, leaf->writer) ? act(s, t, root, err) : WB_OK;
        if (code != WB_OK) return code;
        leaf->file = leaf->next;
        leaf->next = 0;
    }
    wb_code code = set_places(s, err);
    return code == WB_OK ? save_files(s, false, err) : code;
}

bool pg_leaves_due(const pg_source *s) { return s->leaves.until && s->snap.passed >= s->leaves.until; }

wb_code pg_leaves_judge(pg_source *s, wb_error *err)
{
    pg_catalog cat = {0};
    pg_pub pub, insert_pub;
    wb_code code = pg_side(s, err);
    if (code == WB_OK) code = pg_catalog_load(&s->side, s->patterns, &cat, err);
    if (code == WB_OK) code = pg_pub_look(&s->side, &s->names, &cat, &pub, &insert_pub, err);
    if (code == WB_OK) code = judge_all(s, &cat, pub.trunc, err);
    if (code == WB_OK) code = pg_leaves_look(s, &cat, err);
    pg_catalog_free(&cat);
    return code;
}

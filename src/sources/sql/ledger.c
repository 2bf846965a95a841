/* ledger.c: jobs, chunks and turns of a copy, and their form in the state. Called by the sources' snapshots. */
#include "ledger.h"

enum { PLAN_FORMAT = 1, NOTE_FORMAT = 1 };

void sql_ledger_init(sql_ledger *l)
{
    memset(l, 0, sizeof *l);
    wb_arena_init(&l->arena, 16 * 1024, 0);
}

static void free_job(sql_job *j)
{
    free(j->chunks);
    free(j);
}

void sql_ledger_fini(sql_ledger *l)
{
    for (size_t i = 0; i < l->n; i++) free_job(l->jobs[i]);
    free(l->jobs);
    wb_arena_fini(&l->arena);
    memset(l, 0, sizeof *l);
}

static size_t place(const sql_ledger *l, uint64_t table)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->jobs[mid]->table < table)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

sql_job *sql_ledger_find(const sql_ledger *l, uint64_t table)
{
    size_t at = place(l, table);
    return at < l->n && l->jobs[at]->table == table ? l->jobs[at] : NULL;
}

static sql_job *insert(sql_ledger *l, uint64_t table)
{
    size_t at = place(l, table);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 16;
        sql_job **bigger = realloc(l->jobs, cap * sizeof(sql_job *));
        if (!bigger) return NULL;
        l->jobs = bigger;
        l->cap = cap;
    }
    sql_job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    memmove(l->jobs + at + 1, l->jobs + at, (l->n - at) * sizeof(sql_job *));
    l->jobs[at] = j;
    l->n++;
    j->table = table;
    return j;
}

static wb_str keep(sql_ledger *l, wb_str s)
{
    return s.len ? (wb_str){wb_arena_strndup(&l->arena, s.ptr, s.len), s.len} : (wb_str){NULL, 0};
}

sql_job *sql_ledger_plan(sql_ledger *l, uint64_t table, wb_str key, uint64_t targets)
{
    sql_job *j = sql_ledger_find(l, table);
    if (!j) j = insert(l, table);
    if (!j) return NULL;
    j->n = 0;
    j->flags = 0;
    j->stamp = ++l->stamp;
    j->targets = targets;
    j->key = keep(l, key);
    j->rows = -1;
    return l->arena.failed ? NULL : j;
}

void sql_ledger_remove(sql_ledger *l, uint64_t table)
{
    size_t at = place(l, table);
    if (at >= l->n || l->jobs[at]->table != table) return;
    free_job(l->jobs[at]);
    memmove(l->jobs + at, l->jobs + at + 1, (l->n - at - 1) * sizeof(sql_job *));
    l->n--;
}

static sql_chunk *room(sql_job *j)
{
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 4;
        sql_chunk *bigger = realloc(j->chunks, cap * sizeof *bigger);
        if (!bigger) return NULL;
        j->chunks = bigger;
        j->cap = cap;
    }
    memset(&j->chunks[j->n], 0, sizeof *j->chunks);
    return &j->chunks[j->n];
}

sql_chunk *sql_job_add(sql_ledger *l, sql_job *j, sql_chunk_kind kind, wb_str low, wb_str high)
{
    sql_chunk *c = room(j);
    if (!c) return NULL;
    c->kind = (uint8_t)kind;
    c->low = keep(l, low);
    c->high = keep(l, high);
    if (l->arena.failed) return NULL;
    j->n++;
    return c;
}

bool sql_job_again(sql_ledger *l, sql_job *j, uint64_t targets)
{
    for (size_t i = 0; i < j->n; i++) {
        j->chunks[i].done &= ~targets;
        j->chunks[i].given &= ~targets;
    }
    j->stamp = ++l->stamp; /* what notes say of it was before */
    if (j->n && j->chunks[0].kind == SQL_CHUNK_TRUNCATE) return true;
    if (!room(j)) return false;
    memmove(j->chunks + 1, j->chunks, j->n * sizeof *j->chunks);
    j->chunks[0] = (sql_chunk){.kind = SQL_CHUNK_TRUNCATE, .done = ~targets};
    j->n++;
    return true;
}

uint64_t sql_job_lacks(const sql_job *j, uint64_t running)
{
    uint64_t lacks = 0;
    for (size_t i = 0; i < j->n; i++) lacks |= sql_chunk_lacks(j, &j->chunks[i], running);
    return lacks;
}

bool sql_ledger_lacks(const sql_ledger *l, uint64_t running)
{
    for (size_t i = 0; i < l->n; i++)
        if (sql_job_lacks(l->jobs[i], running)) return true;
    return false;
}

bool sql_ledger_whole(const sql_ledger *l) { return !sql_ledger_lacks(l, ~(uint64_t)0); }

/* ---------------------------------------------------------------- the form in the state */

/* Targets are known by name: their bits differ from start to start. */
static void put_names(wb_out *o, const sql_names *names)
{
    for (size_t i = 0; i < SQL_MEMBERS; i++) wb_out_lstr(o, wb_str_of(names->of[i] ? names->of[i] : ""));
}

static void get_names(wb_rd *r, const sql_names *names, int8_t bit_of[SQL_MEMBERS])
{
    for (size_t i = 0; i < SQL_MEMBERS; i++) {
        wb_str name = wb_rd_lstr(r);
        bit_of[i] = -1;
        for (int b = 0; name.len && b < SQL_MEMBERS; b++)
            if (names->of[b] && wb_str_eq(name, wb_str_of(names->of[b]))) bit_of[i] = (int8_t)b;
    }
}

static uint64_t get_mask(wb_rd *r, const int8_t bit_of[SQL_MEMBERS])
{
    uint64_t kept = wb_rd_be64(r), mask = 0;
    for (size_t i = 0; i < SQL_MEMBERS; i++)
        if ((kept >> i & 1) && bit_of[i] >= 0) mask |= (uint64_t)1 << bit_of[i];
    return mask;
}

static void put_job(wb_out *o, const sql_job *j)
{
    wb_out_be64(o, j->table);
    wb_out_be64(o, j->stamp);
    wb_out_be64(o, j->targets);
    wb_out_be32(o, j->flags);
    wb_out_be64(o, (uint64_t)j->rows);
    wb_out_lstr(o, j->key);
    wb_out_be32(o, (uint32_t)j->n);
    for (size_t i = 0; i < j->n; i++) {
        const sql_chunk *c = &j->chunks[i];
        wb_out_byte(o, (char)c->kind);
        wb_out_be64(o, c->done);
        wb_out_lstr(o, c->low);
        wb_out_lstr(o, c->high);
    }
}

void sql_plan_encode(const sql_ledger *l, const sql_names *names, wb_out *out)
{
    wb_out_byte(out, PLAN_FORMAT);
    put_names(out, names);
    wb_out_be64(out, l->seq);
    wb_out_be64(out, l->stamp);
    wb_out_be32(out, (uint32_t)l->n);
    for (size_t i = 0; i < l->n; i++) put_job(out, l->jobs[i]);
}

static bool get_job(sql_ledger *l, wb_rd *r, const int8_t bit_of[SQL_MEMBERS])
{
    sql_job head = {.table = wb_rd_be64(r), .stamp = wb_rd_be64(r)};
    head.targets = get_mask(r, bit_of);
    head.flags = wb_rd_be32(r);
    head.rows = (int64_t)wb_rd_be64(r);
    wb_str key = wb_rd_lstr(r);
    uint32_t n = wb_rd_be32(r);
    if (r->failed || sql_ledger_find(l, head.table)) return false;
    sql_job *j = insert(l, head.table);
    if (!j) return false;
    j->stamp = head.stamp;
    j->targets = head.targets;
    j->flags = head.flags;
    j->rows = head.rows;
    j->key = keep(l, key);
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        uint8_t kind = wb_rd_u8(r);
        uint64_t done = get_mask(r, bit_of);
        wb_str low = wb_rd_lstr(r), high = wb_rd_lstr(r);
        if (r->failed || kind > SQL_CHUNK_ROW) return false;
        sql_chunk *c = sql_job_add(l, j, (sql_chunk_kind)kind, low, high);
        if (!c) return false;
        c->done = done;
    }
    return !r->failed;
}

bool sql_plan_decode(sql_ledger *l, const sql_names *names, wb_str in)
{
    int8_t bit_of[SQL_MEMBERS];
    wb_rd r = wb_rd_of(in.ptr, in.len);
    if (wb_rd_u8(&r) != PLAN_FORMAT) return false;
    get_names(&r, names, bit_of);
    l->seq = wb_rd_be64(&r);
    l->stamp = wb_rd_be64(&r);
    uint32_t n = wb_rd_be32(&r);
    for (uint32_t i = 0; i < n; i++)
        if (r.failed || !get_job(l, &r, bit_of)) return false;
    return !r.failed && !l->arena.failed;
}

void sql_note_encode(const sql_note *note, const sql_names *names, wb_out *out)
{
    wb_out_byte(out, NOTE_FORMAT);
    put_names(out, names);
    wb_out_be64(out, note->seq);
    wb_out_be64(out, note->targets);
    wb_out_be32(out, (uint32_t)note->n);
    for (size_t i = 0; i < note->n; i++) {
        wb_out_be64(out, note->refs[i].table);
        wb_out_be64(out, note->refs[i].stamp);
        wb_out_be32(out, note->refs[i].chunk);
    }
}

bool sql_note_decode(sql_note *note, const sql_names *names, wb_str in, wb_arena *a)
{
    int8_t bit_of[SQL_MEMBERS];
    wb_rd r = wb_rd_of(in.ptr, in.len);
    if (wb_rd_u8(&r) != NOTE_FORMAT) return false;
    get_names(&r, names, bit_of);
    *note = (sql_note){.seq = wb_rd_be64(&r)};
    note->targets = get_mask(&r, bit_of);
    note->n = wb_rd_be32(&r);
    if (r.failed || note->n > in.len / 20) return false;
    sql_ref *refs = wb_arena_zalloc(a, (note->n + 1) * sizeof *refs);
    if (!refs) return false;
    for (size_t i = 0; i < note->n; i++)
        refs[i] = (sql_ref){.table = wb_rd_be64(&r), .stamp = wb_rd_be64(&r), .chunk = wb_rd_be32(&r)};
    note->refs = refs;
    return !r.failed;
}

void sql_note_settle(sql_ledger *l, const sql_note *note, uint64_t has)
{
    for (size_t i = 0; i < note->n; i++) {
        sql_job *j = sql_ledger_find(l, note->refs[i].table);
        if (j && j->stamp == note->refs[i].stamp && note->refs[i].chunk < j->n)
            j->chunks[note->refs[i].chunk].done |= has & note->targets;
    }
}

/* ---------------------------------------------------------------- tuples and ranges */

void sql_tuple_put(wb_out *out, wb_str value) { wb_out_lstr(out, value); }

bool sql_tuple_next(wb_rd *r, wb_str *value)
{
    if (r->p >= r->end || r->failed) return false;
    *value = wb_rd_lstr(r);
    return !r->failed;
}

static void put_columns(wb_out *out, const sql_dialect *d, const wb_str *columns, size_t n)
{
    if (n > 1) wb_out_byte(out, '(');
    for (size_t i = 0; i < n; i++) {
        if (i) wb_out_z(out, ", ");
        d->ident(out, columns[i]);
    }
    if (n > 1) wb_out_byte(out, ')');
}

/* (a, b) >= ('1', 'x'): the literals take the columns' types, the comparison the columns' collations. */
static void put_bound(wb_out *out, const sql_dialect *d, const wb_str *columns, size_t n, const char *op, wb_str bound)
{
    wb_rd r = wb_rd_of(bound.ptr, bound.len);
    wb_str value;
    put_columns(out, d, columns, n);
    wb_out_z(out, op);
    if (n > 1) wb_out_byte(out, '(');
    for (size_t i = 0; i < n; i++) {
        if (i) wb_out_z(out, ", ");
        if (!sql_tuple_next(&r, &value)) out->failed = true;
        d->literal(out, out->failed ? (wb_str){"", 0} : value);
    }
    if (n > 1) wb_out_byte(out, ')');
}

/* The same without a comparison of rows. */
static void put_spelled(wb_out *out, const sql_dialect *d, const wb_str *columns, size_t n, const char *op,
                        wb_str bound)
{
    wb_rd r = wb_rd_of(bound.ptr, bound.len);
    wb_str value;
    char strict[4] = {' ', op[1], ' ', 0};
    bool equal = op[1] == '=';
    for (size_t i = 0; i < n; i++) {
        if (!sql_tuple_next(&r, &value)) out->failed = true;
        if (out->failed) return;
        if (i + 1 < n && !equal) {
            wb_out_byte(out, '(');
            d->ident(out, columns[i]);
            wb_out_z(out, strict);
            d->literal(out, value);
            wb_out_z(out, " OR (");
        }
        d->ident(out, columns[i]);
        wb_out_z(out, i + 1 < n ? " = " : op);
        d->literal(out, value);
        if (i + 1 < n) wb_out_z(out, " AND ");
    }
    for (size_t i = 1; i < n && !equal; i++) wb_out_z(out, "))");
}

/* A bound may be of the first columns only. */
static void put_side(wb_out *out, const sql_dialect *d, const wb_str *columns, size_t n, const char *op, wb_str bound)
{
    wb_rd r = wb_rd_of(bound.ptr, bound.len);
    wb_str value;
    size_t values = 0;
    while (sql_tuple_next(&r, &value)) values++;
    n = WB_MIN(n, WB_MAX(values, (size_t)1));
    if (d->spelled && n > 1)
        put_spelled(out, d, columns, n, op, bound);
    else
        put_bound(out, d, columns, n, op, bound);
}

void sql_put_range(wb_out *out, const sql_dialect *d, const wb_str *columns, size_t n, const sql_chunk *c)
{
    if (c->kind == SQL_CHUNK_ROW) {
        put_side(out, d, columns, n, " = ", c->low);
        return;
    }
    if (c->low.len) put_side(out, d, columns, n, " >= ", c->low);
    if (c->low.len && c->high.len) wb_out_z(out, " AND ");
    if (c->high.len) put_side(out, d, columns, n, " < ", c->high);
}

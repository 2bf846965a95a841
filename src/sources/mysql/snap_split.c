/* snap_split.c: a large table into ranges of its key. Where the key begins with an integer, its values are
 * halved until the server expects few enough rows between two of them: it answers that from its index, without reading
 * rows. Else the key is walked through once, from boundary to boundary. Boundaries need not be exact: they are values
 * that divide the key's order, nothing more; they are kept as SQL writes them. Source thread. */
#include "my.h"
#include "types.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum { PARTS_MAX = 4000 };

typedef struct splitting {
    my_source *s;
    sql_job *j;
    const my_schema *sh;
    const wb_table *t;
    wb_out low; /* of the chunk that is not added yet */
    int64_t unit;
} splitting;

static void put_from(const splitting *x, wb_out *sql)
{
    wb_out_z(sql, " FROM ");
    my_put_table(sql, x->sh->schema, x->sh->name);
    wb_out_z(sql, " FORCE INDEX (");
    my_put_ident(sql, x->sh->index);
    wb_out_byte(sql, ')');
}

static wb_str key_name(const splitting *x, uint32_t k) { return x->sh->cols[x->sh->key[k]].name; }

/* The chunk up to `high`; empty: the last one. */
static wb_code add_up_to(splitting *x, wb_str high, wb_error *err)
{
    wb_str low = {x->low.p, x->low.len};
    bool fine = !x->low.failed && sql_job_add(&x->s->snap.copy.ledger, x->j, SQL_CHUNK_RANGE, low, high) != NULL;
    wb_out_reset(&x->low);
    wb_out_str(&x->low, high);
    return fine ? WB_OK : my_nomem(err);
}

/* ---------------------------------------------------------------- integers */

/* Values are shifted by 2^63 where they have a sign: unsigned order is theirs. */
static void put_integer(const splitting *x, uint64_t v, wb_out *o)
{
    if (x->t->cols[x->t->key[0]].kind == WB_INT)
        wb_out_printf(o, "%" PRId64, (int64_t)(v ^ (uint64_t)1 << 63));
    else
        wb_out_printf(o, "%" PRIu64, v);
}

static bool read_integer(const splitting *x, const char *text, uint64_t *out)
{
    char *end;
    if (!text || !*text) return false;
    if (x->t->cols[x->t->key[0]].kind == WB_INT)
        *out = (uint64_t)strtoll(text, &end, 10) ^ (uint64_t)1 << 63;
    else
        *out = strtoull(text, &end, 10);
    return *end == 0;
}

static wb_code first_and_last(const splitting *x, uint64_t *first, uint64_t *last, bool *any, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, "SELECT MIN(");
    my_put_ident(&sql, key_name(x, 0));
    wb_out_z(&sql, "), MAX(");
    my_put_ident(&sql, key_name(x, 0));
    wb_out_byte(&sql, ')');
    put_from(x, &sql);
    wb_code code = my_query(&x->s->side, "for a table's first and last key", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    MYSQL_ROW row = mysql_fetch_row(res);
    *any = row && read_integer(x, row[0], first) && read_integer(x, row[1], last);
    mysql_free_result(res);
    return WB_OK;
}

/* Rows from `low` on, up to `high`, as the server expects them. */
static wb_code expected(const splitting *x, uint64_t low, uint64_t high, int64_t *rows, wb_error *err)
{
    wb_out sql = {0};
    MYSQL_RES *res;
    wb_out_z(&sql, x->s->server.flavor == MY_MYSQL ? "EXPLAIN FORMAT=TRADITIONAL SELECT 1" : "EXPLAIN SELECT 1");
    put_from(x, &sql);
    wb_out_z(&sql, " WHERE ");
    my_put_ident(&sql, key_name(x, 0));
    wb_out_z(&sql, " >= ");
    put_integer(x, low, &sql);
    wb_out_z(&sql, " AND ");
    my_put_ident(&sql, key_name(x, 0));
    wb_out_z(&sql, " <= ");
    put_integer(x, high, &sql);
    wb_code code = my_query(&x->s->side, "how many rows lie between two keys", wb_out_cstr(&sql), &res, err);
    wb_out_fini(&sql);
    if (code != WB_OK) return code;
    *rows = 0;
    MYSQL_ROW row = mysql_fetch_row(res);
    MYSQL_FIELD *f = mysql_fetch_fields(res);
    for (unsigned i = 0; row && i < mysql_num_fields(res); i++)
        if (strcasecmp(f[i].name, "rows") == 0 && row[i]) *rows = strtoll(row[i], NULL, 10);
    mysql_free_result(res);
    return WB_OK;
}

typedef struct part {
    uint64_t low, high; /* both within */
} part;

/* Depth first, from the low end: boundaries come in order. *crowded: one value has many rows. */
static wb_code halve(splitting *x, uint64_t first, uint64_t last, bool *crowded, wb_error *err)
{
    part stack[130];
    size_t n = 0, parts = 0;
    wb_out bound = {0};
    wb_code code = WB_OK;
    stack[n++] = (part){first, last};
    while (n && code == WB_OK) {
        part p = stack[--n];
        int64_t rows = 0;
        code = expected(x, p.low, p.high, &rows, err);
        if (code == WB_OK && my_link_stopped(&x->s->side)) code = my_fail_stopped(err);
        bool many = rows > x->unit && parts < PARTS_MAX;
        if (many && p.low == p.high && rows > 4 * x->unit) *crowded = true;
        if (many && p.low < p.high && n + 2 <= WB_COUNT(stack)) {
            uint64_t mid = p.low + (p.high - p.low) / 2;
            stack[n++] = (part){mid + 1, p.high};
            stack[n++] = (part){p.low, mid};
            continue;
        }
        if (code != WB_OK || !n) break;
        wb_out one = {0};
        put_integer(x, stack[n - 1].low, &one);
        wb_out_reset(&bound);
        sql_tuple_put(&bound, (wb_str){one.p, one.len});
        if (one.failed) bound.failed = true;
        wb_out_fini(&one);
        parts++;
        code = bound.failed ? my_nomem(err) : add_up_to(x, (wb_str){bound.p, bound.len}, err);
    }
    wb_out_fini(&bound);
    return code;
}

/* ---------------------------------------------------------------- all others */

/* A value of the key as SQL writes it; false: there is no way that keeps it whole. */
static bool put_literal_of(const splitting *x, uint32_t k, wb_out *sql)
{
    const wb_column *c = &x->t->cols[x->t->key[k]];
    const char *before, *after;
    switch ((wb_kind)c->kind) {
    case WB_FLOAT: return false;
    case WB_INT:
    case WB_UINT:
    case WB_DECIMAL: before = "CAST(", after = " AS CHAR)"; break;
    case WB_BYTES: before = "CONCAT('X''', HEX(", after = "), '''')"; break;
    default: before = "QUOTE(", after = ")"; break;
    }
    bool counted = c->type_id == MY_T_ENUM || c->type_id == MY_T_SET || c->type_id == MY_T_BIT;
    wb_out_z(sql, counted ? "CAST(" : before);
    my_put_ident(sql, key_name(x, k));
    wb_out_z(sql, counted ? " + 0 AS CHAR)" : after);
    return true;
}

static bool put_walk(const splitting *x, wb_out *sql)
{
    wb_str names[16];
    uint32_t n = x->sh->nkey;
    bool fine = n <= WB_COUNT(names);
    wb_out_z(sql, "SELECT ");
    for (uint32_t k = 0; k < n && fine; k++) {
        if (k) wb_out_z(sql, ", ");
        names[k] = key_name(x, k);
        fine = put_literal_of(x, k, sql);
    }
    if (!fine) return false;
    put_from(x, sql);
    sql_chunk c = {.low = {x->low.p, x->low.len}, .kind = SQL_CHUNK_RANGE};
    if (c.low.len) wb_out_z(sql, " WHERE ");
    sql_put_range(sql, &my_dialect, names, n, &c);
    for (uint32_t k = 0; k < n; k++) {
        wb_out_z(sql, k ? ", " : " ORDER BY ");
        my_put_ident(sql, names[k]);
    }
    wb_out_printf(sql, " LIMIT 1 OFFSET %" PRId64, x->unit);
    return true;
}

static wb_code walk(splitting *x, wb_error *err)
{
    wb_out sql = {0}, bound = {0};
    wb_code code = WB_OK;
    bool more = x->sh->nkey > 0;
    for (size_t i = 0; i < PARTS_MAX && more && code == WB_OK; i++) {
        MYSQL_RES *res;
        wb_out_reset(&sql);
        wb_out_reset(&bound);
        if (!put_walk(x, &sql)) break;
        code = my_query(&x->s->side, "for keys that divide a table", wb_out_cstr(&sql), &res, err);
        if (code != WB_OK) break;
        MYSQL_ROW row = mysql_fetch_row(res);
        more = row != NULL;
        for (uint32_t k = 0; more && k < x->sh->nkey; k++) sql_tuple_put(&bound, wb_str_of(row[k] ? row[k] : "NULL"));
        mysql_free_result(res);
        if (bound.failed) code = my_nomem(err);
        if (code == WB_OK && more) code = add_up_to(x, (wb_str){bound.p, bound.len}, err);
        if (code == WB_OK && my_link_stopped(&x->s->side)) code = my_fail_stopped(err);
    }
    wb_out_fini(&sql);
    wb_out_fini(&bound);
    return code;
}

wb_code my_snap_split(my_source *s, sql_job *j, const my_schema *shape, const wb_table *t, int64_t chunks, int64_t rows,
                      wb_error *err)
{
    splitting x = {.s = s, .j = j, .sh = shape, .t = t, .unit = WB_MAX(rows / chunks, (int64_t)1)};
    uint64_t first, last;
    size_t before = j->n;
    bool any = false, crowded = false;
    uint8_t kind = t->cols[t->key[0]].kind;
    bool integer = (kind == WB_INT || kind == WB_UINT) && t->cols[t->key[0]].type_id != MY_T_BIT;
    wb_code code = integer ? first_and_last(&x, &first, &last, &any, err) : WB_OK;
    if (code == WB_OK && any) code = halve(&x, first, last, &crowded, err);
    if (code == WB_OK && (!integer || crowded)) {
        j->n = before;
        wb_out_reset(&x.low);
        code = walk(&x, err);
    }
    if (code == WB_OK) code = add_up_to(&x, (wb_str){NULL, 0}, err);
    wb_out_fini(&x.low);
    return code;
}

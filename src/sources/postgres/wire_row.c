/* wire_row.c: Insert, Update, Delete and Truncate to changes; the decoder's hot path. A row costs one allocation in the
 * batch: its values, then its bytes as they came, which the values point into. A message that fails appends nothing. */
#include "decoder.h"

#include "value.h"

typedef struct pg_row {
    const pg_rel *rel;
    wb_rd rd; /* of the copy in the batch */
    wb_value *before, *after;
} pg_row;

/* ---------------------------------------------------------------- errors */

static wb_code fail_unknown(const pg_msg *m, uint32_t oid, wb_error *err)
{
    return m->rd.failed ? pg_msg_end(m, err)
                        : pg_msg_bad(m, err, "relation %u was never described by a Relation message", oid);
}

static wb_code fail_columns(const pg_msg *m, const pg_rel *rel, uint16_t n, wb_error *err)
{
    const wb_table *t = rel->table;
    wb_code code =
        wb_fail(err, WB_E_SCHEMA, WB_NEVER,
                "A row of table %.*s.%.*s at %X/%X has %u columns, but the server described the table with %u.",
                (int)t->schema.len, t->schema.ptr, (int)t->name.len, t->name.ptr, (uint32_t)(m->place >> 32),
                (uint32_t)m->place, n, rel->ncols);
    wb_hint(err, "Nothing of it was taken. Please report this with the server's version.");
    return code;
}

static wb_code fail_size(const pg_msg *m, const pg_decoder *d, const wb_table *t, wb_error *err)
{
    wb_code code = wb_fail(err, WB_E_LIMIT, WB_NEVER,
                           "A row of table %.*s.%.*s at %X/%X has %zu bytes, more than max_row allows (%zu).",
                           (int)t->schema.len, t->schema.ptr, (int)t->name.len, t->name.ptr, (uint32_t)(m->place >> 32),
                           (uint32_t)m->place, m->n, d->max_row);
    wb_hint(err, "Raise max_row in the pipeline file, or leave the table out of `tables`.");
    return code;
}

/* ---------------------------------------------------------------- one tuple */

static wb_code fail_field(const pg_msg *m, const pg_row *row, uint32_t i, uint8_t form, wb_error *err)
{
    wb_str name = row->rel->table->cols[i].name;
    if (form == 'b')
        return pg_msg_bad(m, err, "column %.*s is in binary form, which was not asked for", (int)name.len, name.ptr);
    return pg_msg_bad(m, err, "column %.*s has the unknown form 0x%02x", (int)name.len, name.ptr, form);
}

/* `null` is what 'n' means: NULL, or in an old key "not sent". */
static wb_code read_tuple(const pg_msg *m, pg_row *row, wb_value *out, wb_kind null, wb_error *err)
{
    const pg_rel *rel = row->rel;
    wb_rd r = row->rd;
    uint16_t n = wb_rd_be16(&r);
    if (WB_UNLIKELY(r.failed)) return pg_msg_bad(m, err, "it ends too early");
    if (WB_UNLIKELY(n != rel->ncols)) return fail_columns(m, rel, n, err);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t form = wb_rd_u8(&r);
        if (WB_LIKELY(form == 't')) {
            uint32_t len = wb_rd_be32(&r);
            const uint8_t *p = wb_rd_bytes(&r, len);
            if (WB_UNLIKELY(!p)) return pg_msg_bad(m, err, "it ends too early");
            out[i] = pg_value_inline((wb_kind)rel->kinds[i], (const char *)p, len);
        } else if (form == 'n' || form == 'u') {
            out[i] = (wb_value){.kind = (uint8_t)(form == 'n' ? null : WB_UNCHANGED)};
        } else if (r.failed) {
            return pg_msg_bad(m, err, "it ends too early");
        } else {
            return fail_field(m, row, i, form, err);
        }
    }
    row->rd = r;
    return WB_OK;
}

/* ---------------------------------------------------------------- a row in the batch */

/* Find the relation, and make room for `tuples` arrays of values and for the rest of the message. */
static wb_code row_begin(pg_decoder *d, pg_msg *m, uint32_t oid, unsigned tuples, wb_batch *b, pg_row *row,
                         wb_error *err)
{
    const pg_rel *rel = pg_rel_find(d, oid);
    if (WB_UNLIKELY(!rel || m->rd.failed)) return fail_unknown(m, oid, err);
    if (WB_UNLIKELY(m->n > d->max_row)) return fail_size(m, d, rel->table, err);
    if (WB_UNLIKELY(!b))
        return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "A row was decoded without a batch to put it in.");
    size_t left = wb_rd_left(&m->rd), values = rel->ncols * sizeof(wb_value);
    char *mem = wb_batch_alloc(b, tuples * values + left);
    if (WB_UNLIKELY(!mem || wb_batch_failed(b)))
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a row of %zu bytes.", m->n);
    char *bytes = mem + tuples * values;
    memcpy(bytes, wb_rd_bytes(&m->rd, left), left);
    row->rel = rel;
    row->rd = wb_rd_of(bytes, left);
    row->after = (wb_value *)(void *)mem;
    row->before = tuples == 2 ? row->after + rel->ncols : NULL;
    return WB_OK;
}

static wb_change *add_change(pg_decoder *d, const pg_msg *m, const wb_table *t, wb_op op, wb_batch *b)
{
    wb_batch_table(b, t);
    wb_change *c = wb_batch_change(b);
    c->op = (uint8_t)op;
    c->table = t;
    c->ordinal = d->ordinal++;
    c->place = m->place;
    return c;
}

/* The bytes of the tuple are all that was left of the message: nothing may follow. */
static wb_code row_end(pg_msg *m, const pg_row *row, wb_error *err)
{
    m->rd = row->rd;
    return pg_msg_end(m, err);
}

wb_code pg_row_insert(pg_decoder *d, pg_msg *m, wb_batch *b, wb_error *err)
{
    pg_row row;
    wb_code code;
    uint32_t oid = wb_rd_be32(&m->rd);
    uint8_t tag = wb_rd_u8(&m->rd);
    if ((code = row_begin(d, m, oid, 1, b, &row, err)) != WB_OK) return code;
    if (WB_UNLIKELY(tag != 'N')) return pg_msg_bad(m, err, "0x%02x stands where the new row must begin", tag);
    if ((code = read_tuple(m, &row, row.after, WB_NULL, err)) != WB_OK) return code;
    if ((code = row_end(m, &row, err)) != WB_OK) return code;
    add_change(d, m, row.rel->table, WB_INSERT, b)->after = row.after;
    return WB_OK;
}

/* A value that the new row does not repeat, because it is stored out of line and stayed, is in the old row under
 * REPLICA IDENTITY FULL, and in the old key when it belongs to the key. */
static void fill_unchanged(pg_row *row)
{
    for (uint32_t i = 0; i < row->rel->ncols; i++)
        if (row->after[i].kind == WB_UNCHANGED && row->before[i].kind != WB_ABSENT) row->after[i] = row->before[i];
}

/* Key columns that the old tuple does not hold (identity by another index) did not change as far as we can know. */
static bool key_changed(const pg_row *row)
{
    const wb_table *t = row->rel->table;
    for (uint32_t k = 0; k < t->nkey; k++) {
        const wb_value *was = &row->before[t->key[k]], *is = &row->after[t->key[k]];
        if (was->kind == WB_ABSENT || was->kind == WB_UNCHANGED || is->kind == WB_UNCHANGED) continue;
        if ((was->kind == WB_NULL) != (is->kind == WB_NULL)) return true;
        if (was->kind == WB_NULL) continue;
        if (was->len != is->len || (was->len && memcmp(was->as.ptr, is->as.ptr, was->len) != 0)) return true;
    }
    return false;
}

wb_code pg_row_update(pg_decoder *d, pg_msg *m, wb_batch *b, wb_error *err)
{
    pg_row row;
    wb_code code;
    uint32_t oid = wb_rd_be32(&m->rd);
    uint8_t tag = wb_rd_u8(&m->rd);
    bool old = tag == 'K' || tag == 'O';
    if ((code = row_begin(d, m, oid, old ? 2 : 1, b, &row, err)) != WB_OK) return code;
    if (old) {
        code = read_tuple(m, &row, row.before, tag == 'K' ? WB_ABSENT : WB_NULL, err);
        if (code != WB_OK) return code;
        tag = wb_rd_u8(&row.rd);
        if (row.rd.failed) return row_end(m, &row, err);
    }
    if (WB_UNLIKELY(tag != 'N')) return pg_msg_bad(m, err, "0x%02x stands where the new row must begin", tag);
    if ((code = read_tuple(m, &row, row.after, WB_NULL, err)) != WB_OK) return code;
    if ((code = row_end(m, &row, err)) != WB_OK) return code;
    wb_change *c = add_change(d, m, row.rel->table, WB_UPDATE, b);
    c->after = row.after;
    if (!old) return WB_OK;
    c->before = row.before;
    fill_unchanged(&row);
    if (key_changed(&row)) c->flags |= WB_C_KEY_CHANGED;
    return WB_OK;
}

wb_code pg_row_delete(pg_decoder *d, pg_msg *m, wb_batch *b, wb_error *err)
{
    pg_row row;
    wb_code code;
    uint32_t oid = wb_rd_be32(&m->rd);
    uint8_t tag = wb_rd_u8(&m->rd);
    if ((code = row_begin(d, m, oid, 1, b, &row, err)) != WB_OK) return code;
    if (tag != 'K' && tag != 'O') return pg_msg_bad(m, err, "0x%02x stands where the old row must begin", tag);
    code = read_tuple(m, &row, row.after, tag == 'K' ? WB_ABSENT : WB_NULL, err);
    if (code != WB_OK) return code;
    if ((code = row_end(m, &row, err)) != WB_OK) return code;
    add_change(d, m, row.rel->table, WB_DELETE, b)->before = row.after;
    return WB_OK;
}

wb_code pg_row_truncate(pg_decoder *d, pg_msg *m, wb_batch *b, uint32_t *rows, wb_error *err)
{
    uint32_t n = wb_rd_be32(&m->rd), done = 0;
    (void)wb_rd_u8(&m->rd); /* CASCADE, RESTART IDENTITY: the list already names every table that was emptied */
    wb_rd all = m->rd;
    for (uint32_t i = 0; i < n && !m->rd.failed; i++) {
        uint32_t oid = wb_rd_be32(&m->rd);
        if (!m->rd.failed && !pg_rel_find(d, oid)) return fail_unknown(m, oid, err);
    }
    wb_code code = pg_msg_end(m, err);
    if (code != WB_OK) return code;
    if (!b) return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "A TRUNCATE was decoded without a batch to put it in.");
    for (; done < n; done++) add_change(d, m, pg_rel_find(d, wb_rd_be32(&all))->table, WB_TRUNCATE, b);
    *rows = n;
    return wb_batch_failed(b) ? wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a TRUNCATE.") : WB_OK;
}

/* memo.c: tables by serial, for the transforms. A lookup a run of changes, no allocation once a table is known. */
#include "transforms/memo.h"

enum { MEMO_MAX = 4096 }; /* table versions; more are made again when they come back */

static size_t slot_of(const wb_memo *m, uint64_t serial)
{
    size_t i = (size_t)(serial * 0x9E3779B97F4A7C15u) & (m->cap - 1);
    while (m->slots[i].serial && m->slots[i].serial != serial) i = (i + 1) & (m->cap - 1);
    return i;
}

static void forget(wb_memo *m)
{
    for (size_t i = 0; i < m->cap; i++) {
        wb_table_unref(m->slots[i].out);
        free(m->slots[i].plan);
        m->slots[i] = (wb_made){0};
    }
    m->n = 0;
}

static bool grow(wb_memo *m)
{
    wb_memo bigger = {.cap = m->cap ? m->cap * 2 : 64};
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].serial) bigger.slots[slot_of(&bigger, m->slots[i].serial)] = m->slots[i];
    bigger.n = m->n;
    free(m->slots);
    *m = bigger;
    return true;
}

wb_code wb_memo_of(wb_memo *m, const wb_table *in, wb_make_fn make, void *ctx, const wb_made **out, wb_error *err)
{
    if (m->cap) {
        size_t i = slot_of(m, in->serial);
        if (WB_LIKELY(m->slots[i].serial == in->serial)) {
            *out = &m->slots[i];
            return WB_OK;
        }
    }
    if (m->n >= MEMO_MAX) forget(m);
    if (m->n * 2 >= m->cap && !grow(m))
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory to transform table %s.%s.",
                       in->schema.ptr, in->name.ptr);
    wb_made made = {.serial = in->serial};
    wb_code code = make(ctx, in, &made, err);
    if (code) {
        wb_table_unref(made.out);
        free(made.plan);
        return code;
    }
    size_t i = slot_of(m, in->serial);
    m->slots[i] = made;
    m->n++;
    *out = &m->slots[i];
    return WB_OK;
}

void wb_memo_fini(wb_memo *m)
{
    forget(m);
    free(m->slots);
    *m = (wb_memo){0};
}

static wb_code made_for(wb_memo *m, const wb_table *in, wb_make_fn make, void *ctx, wb_batch *b, const wb_table **out,
                        wb_error *err)
{
    const wb_made *made;
    *out = NULL;
    if (!in) return WB_OK;
    wb_code code = wb_memo_of(m, in, make, ctx, &made, err);
    if (code) return code;
    *out = made->out;
    wb_batch_table(b, *out);
    return WB_OK;
}

static wb_code redraw(wb_memo *m, wb_make_fn make, void *ctx, wb_batch *b, wb_change *c, wb_error *err)
{
    if (WB_LIKELY(c->op != WB_DDL || !c->ddl)) return WB_OK;
    const wb_table *before, *after;
    wb_code code = made_for(m, c->ddl->before, make, ctx, b, &before, err);
    if (!code) code = made_for(m, c->ddl->after, make, ctx, b, &after, err);
    if (code || (before == c->ddl->before && after == c->ddl->after)) return code;
    wb_ddl *d = wb_batch_alloc(b, sizeof *d);
    if (!d) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory to transform a schema change.");
    *d = *c->ddl;
    d->before = before;
    d->after = after;
    c->ddl = d;
    return WB_OK;
}

wb_code wb_retable(wb_memo *m, wb_make_fn make, wb_edit_fn edit, void *ctx, wb_batch *b, wb_change *changes, size_t n,
                   wb_error *err)
{
    const wb_table *last = NULL;
    const wb_made *made = NULL;
    for (size_t i = 0; i < n; i++) {
        wb_change *c = &changes[i];
        if (!c->targets || !c->table || !c->table->name.len) continue; /* of a schema there is nothing to change */
        wb_code code = WB_OK;
        if (WB_UNLIKELY(c->op == WB_DDL)) {
            code = redraw(m, make, ctx, b, c, err);
            if (code) return code;
            last = NULL; /* the memo may have begun anew */
        }
        if (c->table != last) {
            code = wb_memo_of(m, c->table, make, ctx, &made, err);
            if (code) return code;
            last = c->table;
            wb_batch_table(b, made->out);
        }
        if (edit) code = edit(ctx, made->plan, b, c, err);
        if (code) return code;
        c->table = made->out;
    }
    return WB_OK;
}

wb_code wb_table_draft(const wb_table *in, size_t more, wb_table *proto, wb_column **cols, wb_error *err)
{
    *proto = *in;
    *cols = malloc((in->ncols + more + 1) * sizeof **cols);
    if (!*cols)
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory to transform table %s.%s.",
                       in->schema.ptr, in->name.ptr);
    if (in->ncols) memcpy(*cols, in->cols, in->ncols * sizeof **cols);
    proto->cols = *cols;
    return WB_OK;
}

wb_code wb_table_from_draft(const wb_table *proto, wb_column *cols, const wb_table **out, wb_error *err)
{
    *out = wb_table_new(proto);
    free(cols);
    if (*out) return WB_OK;
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory to transform table %s.%s.", proto->schema.ptr,
                   proto->name.ptr);
}

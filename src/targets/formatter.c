/* formatter.c: opens the format that a target's options name. Called by every target that writes bytes. */
#include "targets/formatter.h"

#include <stdio.h>

#include "base/options.h"
#include "formats/json.h"

wb_code wb_formatter_open(wb_formatter *f, const char *name, const wb_node *options, wb_host *h, wb_error *err)
{
    const wb_format *format = wb_host_format(h, name);
    memset(f, 0, sizeof *f);
    if (!format) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "There is no format named \"%s\".", name);
        wb_hint(err, "`walbrook help format` lists those there are.");
        return WB_E_CONFIG;
    }
    wb_arena_init(&f->arena, 4096, 0);
    void *ctx = wb_arena_zalloc(&f->arena, WB_MAX(format->head.ctx_size, (size_t)1));
    char what[64];
    snprintf(what, sizeof what, "format %s", format->head.name);
    wb_code code = f->arena.failed ? wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the %s.", what) : WB_OK;
    if (code == WB_OK) code = wb_options_parse(format->head.options, ctx, options, NULL, what, &f->arena, err);
    if (code == WB_OK) {
        f->format = format;
        f->ctx = ctx;
        if (format->about) format->about(ctx, wb_host_source(h));
        if (format->open) code = format->open(ctx, wb_host_pipeline(h), err);
    }
    if (code != WB_OK) wb_formatter_close(f);
    return code;
}

void wb_formatter_check(const char *name, const wb_node *options, wb_host *h, wb_report *r)
{
    wb_error err;
    wb_error_reset(&err);
    wb_formatter f;
    if (!wb_host_format(h, name))
        wb_report_add(r, WB_BAD, "walbrook help format", "There is no format named \"%s\".", name);
    else if (wb_formatter_open(&f, name, options, h, &err) != WB_OK)
        wb_report_add(r, WB_BAD, err.hint[0] ? err.hint : NULL, "%s%s%s", err.where, err.where[0] ? ": " : "",
                      err.message);
    else
        wb_formatter_close(&f);
}

void wb_formatter_close(wb_formatter *f)
{
    if (f->format && f->format->close) f->format->close(f->ctx);
    f->format = NULL;
    f->ctx = NULL;
    wb_arena_fini(&f->arena);
    wb_out_fini(&f->key);
    wb_out_fini(&f->value);
}

/* {"id":1}: of the new row, of a deleted one the old. False: the change has no key. */
static bool put_key(wb_formatter *f, const wb_change *c, wb_error *err)
{
    static const wb_json_options plain;
    const wb_table *t = c->table;
    wb_out *o = &f->key;
    const wb_value *row = c->after ? c->after : c->before;
    wb_out_reset(o);
    if (!t || !t->nkey || !row || c->op > WB_READ) return false;
    for (uint32_t k = 0; k < t->nkey; k++) {
        const wb_value *v = &row[t->key[k]];
        if (v->kind <= WB_UNCHANGED && row == c->after && c->before) v = &c->before[t->key[k]];
        wb_out_byte(o, k ? ',' : '{');
        wb_json_string(o, t->cols[t->key[k]].name);
        wb_out_byte(o, ':');
        if (wb_json_value(o, v, &plain, err) != WB_OK) return false;
    }
    wb_out_byte(o, '}');
    return true;
}

wb_code wb_formatter_messages(wb_formatter *f, const wb_txn *txn, const wb_change *c, wb_messages *out, wb_error *err)
{
    *out = (wb_messages){0};
    if (f->format->messages) return f->format->messages(f->ctx, txn, c, out, err);
    if (!c) return WB_OK;
    wb_out_reset(&f->value);
    wb_code code = f->format->row(f->ctx, txn, c, &f->value, err);
    if (code != WB_OK || !f->value.len) return code;
    wb_error why;
    wb_error_reset(&why);
    bool keyed = put_key(f, c, &why);
    if (why.code != WB_OK) {
        if (err) *err = why;
        return why.code;
    }
    if (f->key.failed || f->value.failed)
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a message.");
    f->one = (wb_message){.value = {f->value.p, f->value.len}};
    if (keyed) f->one.key = (wb_str){f->key.p, f->key.len};
    *out = (wb_messages){&f->one, 1};
    return WB_OK;
}

wb_code wb_formatter_next(wb_formatter *f, const wb_view *v, wb_formatting *at, wb_error *err)
{
    size_t i = at->change;
    const wb_change *c = wb_view_next(v, &i);
    size_t before = c ? c->txn : v->ntxns;
    const wb_txn *txn = NULL;
    while (at->ended < before && !txn) {
        const wb_txn *x = &v->txns[at->ended++];
        if (x->flags & WB_TXN_END) txn = x;
    }
    if (txn) {
        c = NULL;
    } else if (c) {
        at->change = i;
        txn = wb_view_txn(v, c);
    } else if (at->timed) {
        return WB_END;
    } else {
        at->timed = true;
    }
    at->of = c;
    at->message = 0;
    at->messages.n = 0;
    return wb_formatter_messages(f, txn, c, &at->messages, err);
}

/* formats_help.h: values, tables and changes written down in one line each, for the tests of formats and targets. */
#ifndef FORMATS_HELP_H
#define FORMATS_HELP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/base.h"
#include "base/buf.h"
#include "formats/formats.h"

static inline wb_value text_n(wb_kind kind, const char *p, size_t n)
{
    wb_value v = {.kind = (uint8_t)kind, .flags = WB_V_TEXT, .len = (uint32_t)n};
    v.as.ptr = p;
    return v;
}
static inline wb_value text(wb_kind kind, const char *z) { return text_n(kind, z, strlen(z)); }
static inline wb_value number(wb_kind kind, int64_t i)
{
    wb_value v = {.kind = (uint8_t)kind};
    v.as.i = i;
    return v;
}
static inline wb_value real(double f)
{
    wb_value v = {.kind = WB_FLOAT};
    v.as.f = f;
    return v;
}
static inline wb_value raw(const void *p, size_t n)
{
    wb_value v = {.kind = WB_BYTES, .len = (uint32_t)n};
    v.as.ptr = p;
    return v;
}
static inline wb_value kind(wb_kind k) { return (wb_value){.kind = (uint8_t)k}; }

static inline wb_column column(const char *name, const char *type, wb_kind k, unsigned flags)
{
    return (wb_column){.name = wb_str_of(name),
                       .source_name = wb_str_of(name),
                       .type = wb_str_of(type),
                       .type_mod = -1,
                       .kind = (uint8_t)k,
                       .flags = (uint8_t)flags};
}
static inline wb_table *table_of(const char *schema, const char *name, const wb_column *cols, uint32_t ncols,
                                 const uint16_t *key, uint32_t nkey)
{
    wb_table proto = {.id = 1,
                      .schema = wb_str_of(schema),
                      .name = wb_str_of(name),
                      .source_schema = wb_str_of(schema),
                      .source_name = wb_str_of(name),
                      .ncols = ncols,
                      .nkey = nkey,
                      .cols = cols,
                      .key = key};
    wb_table *t = wb_table_new(&proto);
    assert_non_null(t);
    return t;
}

/* One line of a format, NUL-terminated; free() it. */
static inline char *line_of(const wb_format *f, void *ctx, const wb_txn *txn, const wb_change *c)
{
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    wb_code code = f->row(ctx, txn, c, &o, &err);
    if (code != WB_OK) fail_msg("row: %s", err.message);
    wb_out_byte(&o, '\0');
    assert_false(o.failed);
    return o.p;
}
static inline void expect_line(const wb_format *f, void *ctx, const wb_txn *txn, const wb_change *c, const char *want)
{
    char *got = line_of(f, ctx, txn, c);
    assert_string_equal(got, want);
    free(got);
}
#endif

/* formatter.c: opens the format that a target's options name. Called by every target that writes bytes. */
#include "targets/formatter.h"

#include <stdio.h>

#include "base/options.h"

wb_code wb_formatter_open(wb_formatter *f, const wb_format *format, const wb_node *options, const char *pipeline,
                          wb_error *err)
{
    memset(f, 0, sizeof *f);
    wb_arena_init(&f->arena, 4096, 0);
    void *ctx = wb_arena_zalloc(&f->arena, WB_MAX(format->head.ctx_size, (size_t)1));
    char what[64];
    snprintf(what, sizeof what, "format %s", format->head.name);
    wb_code code = f->arena.failed ? wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the %s.", what) : WB_OK;
    if (code == WB_OK) code = wb_options_parse(format->head.options, ctx, options, NULL, what, &f->arena, err);
    if (code == WB_OK) {
        f->format = format;
        f->ctx = ctx;
        if (format->open) code = format->open(ctx, pipeline, err);
    }
    if (code != WB_OK) wb_formatter_close(f);
    return code;
}

void wb_formatter_close(wb_formatter *f)
{
    if (f->format && f->format->close) f->format->close(f->ctx);
    f->format = NULL;
    f->ctx = NULL;
    wb_arena_fini(&f->arena);
}

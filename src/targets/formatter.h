/* formatter.h: the format of a target that writes bytes: chosen by its `format` option and `format_options`. */
#ifndef WB_FORMATTER_H
#define WB_FORMATTER_H
#include "base/arena.h"
#include "base/buf.h"
#include "walbrook/plugin.h"
typedef struct wb_formatter {
    const wb_format *format;
    void *ctx;
    wb_arena arena;
    wb_out key, value; /* of a format that has no messages of its own */
    wb_message one;
} wb_formatter;
/* `options`: a map, or NULL. */
wb_code wb_formatter_open(wb_formatter *f, const wb_format *format, const wb_node *options, wb_host *h,
                          wb_error *err) WB_MUST;
/* wb_format.messages, for every format. A READ without a row, and what the format does not show, has none. */
wb_code wb_formatter_messages(wb_formatter *f, const wb_txn *txn, const wb_change *c, wb_messages *out,
                              wb_error *err) WB_MUST;
/* Before the changes of a view; a view that is given again may be told again. */
static inline void wb_formatter_view(wb_formatter *f, const wb_view *v)
{
    if (f->format->view) f->format->view(f->ctx, v);
}
void wb_formatter_close(wb_formatter *f);
#endif

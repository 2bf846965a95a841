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
/* `name`: of the format; `options`: a map, or NULL. */
wb_code wb_formatter_open(wb_formatter *f, const char *name, const wb_node *options, wb_host *h, wb_error *err) WB_MUST;
/* Can it be opened? If not, that is a finding. */
void wb_formatter_check(const char *name, const wb_node *options, wb_host *h, wb_report *r);
/* wb_format.messages, for every format. A READ without a row, and what the format does not show, has none. */
wb_code wb_formatter_messages(wb_formatter *f, const wb_txn *txn, const wb_change *c, wb_messages *out,
                              wb_error *err) WB_MUST;
/* Before the changes of a view; a view that is given again may be told again. */
static inline void wb_formatter_view(wb_formatter *f, const wb_view *v)
{
    if (f->format->view) f->format->view(f->ctx, v);
}
/* The messages of a view, change by change. Zeroed at its begin; the view must stay until its end. */
typedef struct wb_formatting {
    size_t change, ended; /* the next change; the next transaction whose end is due */
    bool timed;           /* what time brings was asked for: the last of a view */
    const wb_change *of;  /* what the messages are about; NULL: of no change */
    wb_messages messages; /* of the format, until its next call */
    size_t message;       /* the caller's: how many it has taken */
} wb_formatting;
/* The messages of the next change; before them those of the ends of transactions, after all what time brings. WB_END:
 * no more. With an error, at->of is what cannot be formatted. */
wb_code wb_formatter_next(wb_formatter *f, const wb_view *v, wb_formatting *at, wb_error *err) WB_MUST;
void wb_formatter_close(wb_formatter *f);
#endif

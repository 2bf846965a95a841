/* formatter.h: the format of a target that writes bytes: chosen by its `format` option and `format_options`. */
#ifndef WB_FORMATTER_H
#define WB_FORMATTER_H
#include "base/arena.h"
#include "walbrook/plugin.h"
typedef struct wb_formatter {
    const wb_format *format;
    void *ctx;
    wb_arena arena;
} wb_formatter;
/* `find` is the registry's lookup, so that targets do not look upwards. `options`: a map, or NULL. */
wb_code wb_formatter_open(wb_formatter *f, const wb_format *format, const wb_node *options, const char *pipeline,
                          wb_error *err) WB_MUST;
void wb_formatter_close(wb_formatter *f);
#endif

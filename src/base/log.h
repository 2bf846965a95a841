/* log.h: the one way that the engine speaks to people: lines for a callback. The library never prints. */
#ifndef WB_LOG_H
#define WB_LOG_H
#include "base/base.h"
#include "walbrook/plugin.h"
/* Called from any thread, one call a line, no newline. `part`: "source", "target mirror", "engine". */
typedef void (*wb_log_fn)(void *arg, wb_log_level level, const char *part, const char *text);
typedef struct wb_logger {
    wb_log_fn fn; /* NULL: silent */
    void *arg;
    wb_log_level level; /* lines above it are not made */
} wb_logger;
void wb_log(const wb_logger *l, wb_log_level level, const char *part, const char *fmt, ...) WB_PRINTF(4, 5);
void wb_logv(const wb_logger *l, wb_log_level level, const char *part, const char *fmt, va_list ap);
/* Log an error with where, native code and hint. */
void wb_log_error(const wb_logger *l, wb_log_level level, const char *part, const wb_error *err);
#endif

/* log.c: lines for the callback that the program gave. Called by the engine and, through wb_host_log, by plugins. */
#include "base/log.h"

#include <stdio.h>

void wb_log(const wb_logger *l, wb_log_level level, const char *part, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    wb_logv(l, level, part, fmt, ap);
    va_end(ap);
}

void wb_logv(const wb_logger *l, wb_log_level level, const char *part, const char *fmt, va_list ap)
{
    if (!l || !l->fn || level > l->level) return;
    char text[2048];
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0) return;
    if ((size_t)n >= sizeof text) {
        size_t end = sizeof text - 4;
        while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
        memcpy(text + end, "...", 4);
    }
    /* What a server or a table name says must not make a line of its own, nor speak to the terminal. */
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) *p = ' ';
    for (size_t end = strlen(text); end > 0 && text[end - 1] == ' '; end--) text[end - 1] = 0;
    l->fn(l->arg, level, part ? part : "", text);
}

void wb_log_error(const wb_logger *l, wb_log_level level, const char *part, const wb_error *err)
{
    if (!err || err->code == WB_OK) return;
    bool stop = err->message[0] && strchr(".!?", err->message[strlen(err->message) - 1]);
    wb_log(l, level, part, "%s%s%s%s%s%s%s%s", err->where, err->where[0] ? ": " : "", err->message,
           err->native[0] ? " [" : "", err->native, err->native[0] ? "]" : "", err->hint[0] ? (stop ? " " : ". ") : "",
           err->hint);
}

/* error.c: filling a wb_error. Called from everywhere; never allocates. */
#include "base/base.h"

#include <errno.h>
#include <stdio.h>

/* Format into `to`, which may also be one of the arguments (hence the copy). A text that does not fit ends in
 * "..." and never in half a UTF-8 character. */
static void say(char *to, size_t cap, const char *fmt, va_list ap)
{
    char text[sizeof((wb_error *)0)->message];
    int n = vsnprintf(text, WB_MIN(cap, sizeof text), fmt, ap);
    if (n < 0) text[0] = 0;
    if (n >= (int)cap) {
        size_t end = cap - 4;
        while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
        memcpy(text + end, "...", 4);
    }
    memcpy(to, text, strlen(text) + 1);
}

static bool taken(const wb_error *err) { return !err || err->code != WB_OK; }

static void fill(wb_error *err, wb_code code, wb_next next, int sys)
{
    err->code = code;
    err->next = next;
    err->sys = sys;
    err->native[0] = err->where[0] = err->message[0] = err->hint[0] = 0;
}

/* Not all of its kilobyte: targets do it for each row. */
void wb_error_reset(wb_error *err)
{
    if (err) fill(err, WB_OK, WB_NEVER, 0);
}

wb_code wb_fail(wb_error *err, wb_code code, wb_next next, const char *fmt, ...)
{
    if (code < WB_E_CONFIG) code = WB_E_INTERNAL; /* "it failed with success" is a bug of the caller */
    if (taken(err)) return code;
    va_list ap;
    va_start(ap, fmt);
    say(err->message, sizeof err->message, fmt, ap); /* before the rest is cleared: it may be an argument */
    va_end(ap);
    char message[sizeof err->message];
    memcpy(message, err->message, sizeof message);
    fill(err, code, next, 0);
    memcpy(err->message, message, sizeof message);
    return code;
}

wb_code wb_fail_errno(wb_error *err, int sys, const char *fmt, ...)
{
    bool full = sys == ENOSPC || sys == EDQUOT;
    wb_code code = full ? WB_E_FULL : WB_E_IO;
    if (taken(err)) return code;
    char reason[128], message[sizeof err->message - sizeof reason]; /* the reason always fits */
    va_list ap;
    va_start(ap, fmt);
    say(message, sizeof message, fmt, ap);
    va_end(ap);
    fill(err, code, full ? WB_RETRY : WB_NEVER, sys);
    const char *text = strerror_r(sys, reason, sizeof reason);
    (void)snprintf(err->message, sizeof err->message, "%s: %.120s", message, text);
    return code;
}

void wb_hint(wb_error *err, const char *fmt, ...)
{
    if (!err || err->code == WB_OK || err->hint[0]) return;
    va_list ap;
    va_start(ap, fmt);
    say(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
}

void wb_error_where(wb_error *err, const char *fmt, ...)
{
    if (!err || err->code == WB_OK || err->where[0]) return;
    va_list ap;
    va_start(ap, fmt);
    say(err->where, sizeof err->where, fmt, ap);
    va_end(ap);
}

const char *wb_code_name(wb_code code)
{
    static const char *const names[] = {
        [WB_OK] = "ok",
        [WB_AGAIN] = "again",
        [WB_END] = "end",
        [WB_E_CONFIG] = "config",
        [WB_E_IO] = "io",
        [WB_E_FULL] = "full",
        [WB_E_NET] = "net",
        [WB_E_AUTH] = "auth",
        [WB_E_SERVER] = "server",
        [WB_E_PROTOCOL] = "protocol",
        [WB_E_DATA] = "data",
        [WB_E_SCHEMA] = "schema",
        [WB_E_GAP] = "gap",
        [WB_E_STATE] = "state",
        [WB_E_FENCED] = "fenced",
        [WB_E_LIMIT] = "limit",
        [WB_E_NOMEM] = "nomem",
        [WB_E_UNSUPPORTED] = "unsupported",
        [WB_E_STOPPED] = "stopped",
        [WB_E_INTERNAL] = "internal",
    };
    return (size_t)code < WB_COUNT(names) ? names[code] : "unknown";
}

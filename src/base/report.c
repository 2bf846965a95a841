/* report.c: findings of a preflight. Called by the check() of every plugin and by the engine's own. */
#include "base/base.h"
#include "walbrook/plugin.h"

#include <stdio.h>

void wb_report_add(wb_report *r, wb_level level, const char *mend, const char *fmt, ...)
{
    if (!r) return;
    if (level == WB_BAD) r->bad++;
    if (!r->add) return;
    char what[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    r->add(r->arg, level, what, mend);
}

void wb_report_error(wb_report *r, const wb_error *e)
{
    wb_report_add(r, WB_BAD, e->hint[0] ? e->hint : NULL, "%s", e->message);
}

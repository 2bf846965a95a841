/* options.h: one table a plugin drives parsing, help, sample configs, reference docs and the redaction of secrets. */
#ifndef WB_OPTIONS_H
#define WB_OPTIONS_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/node.h"

/* Fill `ctx` from `map` (may be NULL: all defaults). `skip`: NULL-ended names the caller handles itself ("type",
 * "name"), may be NULL. Unknown keys, wrong units, ranges, missing and repeated keys are refused with file:line and
 * the nearest known name. `what` names the owner in messages: "target file". Strings go into `a`. */
wb_code wb_options_parse(const wb_option *table, void *ctx, const wb_node *map, const char *const *skip,
                         const char *what, wb_arena *a, wb_error *err) WB_MUST;
/* One value as text into the field: what parse does for a scalar; for command-line options and tests. */
wb_code wb_option_set(const wb_option *o, void *ctx, const char *text, wb_arena *a, wb_error *err) WB_MUST;
/* The value as the user would write it; secrets as ***, URLs without password. */
void wb_option_print(const wb_option *o, const void *ctx, wb_out *out);
/* Text with the password of a URL (postgres://u:p@h, or key=value password=...) replaced by ***. */
void wb_redact_url(const char *url, wb_out *out);
/* A part of a URL with its %-escapes resolved. NULL: an escape that is none, a NUL, or no memory. */
const char *wb_percent_decode(wb_arena *a, const char *p, size_t n);
/* The nearest of `names` (NULL-ended) by edit distance, or NULL when nothing is near. */
const char *wb_nearest(const char *word, const char *const *names);
/* `walbrook help ...`: people's text; and docs/reference: Markdown. */
void wb_options_help(const wb_option *table, wb_out *out);
void wb_options_markdown(const wb_option *table, wb_out *out);

wb_code wb_parse_size(const char *text, int64_t *out, wb_error *err) WB_MUST;
wb_code wb_parse_msec(const char *text, int64_t *out, wb_error *err) WB_MUST;
wb_code wb_parse_int(const char *text, int64_t *out, wb_error *err) WB_MUST;
#endif

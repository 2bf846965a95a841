/* yaml.h: YAML text to a tree of nodes; used by config.c alone. */
#ifndef WB_YAML_H
#define WB_YAML_H
#include "base/arena.h"
#include "base/node.h"

enum { WB_YAML_MAX = 1024 * 1024, WB_YAML_DEPTH = 32 };

/* What came in through ${...}: hidden in every message about the file. Memory: the arena. */
typedef struct wb_secrets {
    wb_str *all;
    size_t n, cap;
} wb_secrets;

typedef struct wb_yaml_in {
    const char *text;
    size_t len;
    const char *file; /* for messages; kept by the nodes           */
    const char *dir;  /* what ${file:...} is relative to, absolute */
    wb_secrets *secrets;
} wb_yaml_in;

/* One document, its root a map. The tree lives in `a`. Refused with file:line:column: what YAML does not allow, more
 * than one document, anchors, aliases, tags, repeated keys, NUL bytes, over WB_YAML_MAX bytes or WB_YAML_DEPTH deep. */
wb_code wb_yaml_load(const wb_yaml_in *in, wb_arena *a, const wb_node **root, wb_error *err) WB_MUST;

/* ${ENV}, ${ENV:-default}, ${file:/path} in the text of scalar `n` (its text, quoted and secret are changed);
 * $${ stands for ${ itself. Words that begin with a small letter are left for templates: ${schema}. */
wb_code wb_yaml_substitute(wb_node *n, const wb_yaml_in *in, wb_arena *a, wb_error *err) WB_MUST;
/* Replace what `err` shows of them, also cut short, by ***. */
void wb_secrets_hide(const wb_secrets *secrets, wb_error *err);

/* Fill `err` with "file:line:column" in where. */
wb_code wb_yaml_fail(const char *file, size_t line, size_t column, wb_error *err, const char *fmt, ...) WB_PRINTF(5, 6);
#endif

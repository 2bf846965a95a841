/* shown.h: names of schemas and tables in the file that `walbrook init` writes: whatever they hold, it can be read. */
#ifndef WB_SQL_SHOWN_H
#define WB_SQL_SHOWN_H
#include "base/buf.h"

void sql_put_shown(wb_out *o, const char *z, size_t n); /* in a comment, which a line end would close */
/* "schema.*" as a pattern in a YAML string; the pattern has quotes of its own round a name that needs them. */
void sql_put_schema(wb_out *o, wb_str schema);
#endif

/* shown.c: see shown.h. Called by the sources' suggest.c. */
#include "sources/sql/shown.h"

void sql_put_shown(wb_out *o, const char *z, size_t n)
{
    for (size_t i = 0; i < n; i++) wb_out_byte(o, (uint8_t)z[i] < 0x20 || z[i] == 0x7f ? '?' : z[i]);
}

void sql_put_schema(wb_out *o, wb_str schema)
{
    bool quoted = schema.len == 0 || schema.ptr[0] == '!' || strcspn(schema.ptr, ".*?\"") < schema.len;
    wb_out_z(o, quoted ? "\"\\\"" : "\"");
    for (size_t i = 0; i < schema.len; i++) {
        char c = schema.ptr[i];
        if (c == '"')
            wb_out_z(o, "\\\"\\\""); /* doubled for the pattern, escaped for YAML */
        else if (c == '\\')
            wb_out_z(o, "\\\\");
        else if (c == '$' && i + 1 < schema.len && schema.ptr[i + 1] == '{')
            wb_out_z(o, "$$"); /* not a substitution */
        else if ((uint8_t)c < 0x20 || c == 0x7f)
            wb_out_printf(o, "\\x%02x", (unsigned)c);
        else
            wb_out_byte(o, c);
    }
    wb_out_z(o, quoted ? "\\\".*\"" : ".*\"");
}

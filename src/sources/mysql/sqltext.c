/* sqltext.c: names and texts as SQL writes them. Pure. */
#include "my.h"

void my_put_ident(wb_out *o, wb_str name) { wb_out_quoted(o, name, '`'); }

void my_put_table(wb_out *o, wb_str schema, wb_str name)
{
    my_put_ident(o, schema);
    wb_out_byte(o, '.');
    my_put_ident(o, name);
}

/* Our sessions have a sql_mode without NO_BACKSLASH_ESCAPES. */
void my_put_literal(wb_out *o, wb_str text)
{
    wb_out_byte(o, '\'');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'' || text.ptr[i] == '\\') wb_out_byte(o, '\\');
        wb_out_byte(o, text.ptr[i]);
    }
    wb_out_byte(o, '\'');
}

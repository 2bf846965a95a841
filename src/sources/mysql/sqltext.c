/* sqltext.c: names and texts as SQL writes them. Pure. */
#include "my.h"

void my_put_ident(wb_out *o, wb_str name)
{
    wb_out_byte(o, '`');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '`') wb_out_byte(o, '`');
        wb_out_byte(o, name.ptr[i]);
    }
    wb_out_byte(o, '`');
}

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

const char *my_out_z(wb_out *o)
{
    char *end = wb_out_room(o, 1);
    if (!end) return NULL;
    *end = 0;
    return o->p;
}

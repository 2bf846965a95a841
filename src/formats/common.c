/* common.c: small things that several formats share. */
#include "formats/formats.h"

const wb_choice wb_binary_choices[] = {
    {"base64", 0, "standard alphabet with padding"}, {"hex", 1, "lower-case digits"}, {NULL, 0, NULL}};
const wb_choice wb_absent_choices[] = {
    {"omit", 0, "the key is left out"}, {"null", 1, "the key is there, with null"}, {NULL, 0, NULL}};

const char *wb_op_name(uint8_t op)
{
    static const char *const names[WB_OPS] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "READ", "ALTER", "MESSAGE"};
    return op < WB_OPS ? names[op] : "OTHER";
}

void wb_json_message(wb_out *o, const wb_change *c, const wb_json_options *opt)
{
    const wb_value *v = c->after;
    if (!v) {
        wb_out_z(o, "null");
        return;
    }
    wb_out_z(o, "{\"prefix\":");
    if (v[0].kind == WB_TEXT)
        wb_json_string(o, (wb_str){v[0].as.ptr, v[0].len});
    else
        wb_out_z(o, "null");
    wb_out_z(o, ",\"content\":");
    wb_str content = {v[1].as.ptr, v[1].len};
    if (v[1].kind <= WB_NULL) {
        wb_out_z(o, "null");
    } else if (wb_utf8_valid(content.ptr, content.len)) {
        wb_json_string(o, content);
    } else {
        wb_out_byte(o, '"');
        if (opt->hex)
            wb_json_hex(o, content.ptr, content.len);
        else
            wb_json_base64(o, content.ptr, content.len);
        wb_out_z(o, opt->hex ? "\",\"encoding\":\"hex" : "\",\"encoding\":\"base64");
        wb_out_byte(o, '"');
    }
    wb_out_byte(o, '}');
}

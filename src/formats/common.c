/* common.c: small things that several formats share. */
#include "formats/formats.h"

const wb_choice wb_binary_choices[] = {
    {"base64", 0, "standard alphabet with padding"}, {"hex", 1, "lower-case digits"}, {NULL, 0, NULL}};
const wb_choice wb_absent_choices[] = {
    {"omit", 0, "the key is left out"}, {"null", 1, "the key is there, with null"}, {NULL, 0, NULL}};

const char *wb_json_writes(const wb_column *c)
{
    switch (c->kind) {
    case WB_BOOL: return "true or false";
    case WB_INT:
    case WB_UINT: return "number";
    case WB_FLOAT: return "number, or \"NaN\", \"Infinity\", \"-Infinity\"";
    case WB_DECIMAL: return "string, all digits: \"12.50\"";
    case WB_BYTES: return "string, base64";
    case WB_DATE: return "string: \"2024-02-29\"";
    case WB_TIME: return "string: \"10:00:00.5\"";
    case WB_TIMESTAMP: return "string: \"2024-02-29T10:00:00.5\"";
    case WB_TIMESTAMPTZ: return "string: \"2024-02-29T10:00:00.5Z\"";
    case WB_JSON: return "the value itself";
    case WB_TEXT:
    case WB_UUID: return "string";
    case WB_DOCUMENT: return "nothing: such documents are refused";
    default: return "string, as the source prints it";
    }
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

static void put_table(wb_out *o, const wb_table *t)
{
    if (!t) {
        wb_out_z(o, "null");
        return;
    }
    wb_out_z(o, "{\"schema\":");
    wb_json_string(o, t->schema);
    wb_out_z(o, ",\"table\":");
    wb_json_string_or_null(o, t->name);
    wb_out_z(o, ",\"primary_key\":[");
    for (uint32_t k = 0; k < t->nkey; k++) {
        if (k) wb_out_byte(o, ',');
        wb_json_string(o, t->cols[t->key[k]].name);
    }
    wb_out_z(o, "],\"columns\":[");
    for (uint32_t i = 0; i < t->ncols; i++) {
        const wb_column *c = &t->cols[i];
        wb_out_z(o, i ? ",{\"name\":" : "{\"name\":");
        wb_json_string(o, c->name);
        wb_out_z(o, ",\"type\":");
        wb_json_string(o, c->type);
        wb_out_z(o, c->flags & WB_COL_NOT_NULL ? ",\"nullable\":false,\"id\":" : ",\"nullable\":true,\"id\":");
        if (c->id)
            wb_out_i64(o, c->id);
        else
            wb_out_z(o, "null");
        wb_out_byte(o, '}');
    }
    wb_out_z(o, "]}");
}

void wb_json_ddl(wb_out *o, const wb_change *c)
{
    static const wb_ddl unknown = {.kind = WB_DDL_ALTER};
    const wb_ddl *d = c->ddl ? c->ddl : &unknown;
    wb_out_z(o, "{\"sql\":");
    wb_json_string_or_null(o, d->sql);
    wb_out_z(o, ",\"before\":");
    put_table(o, d->before);
    wb_out_z(o, ",\"after\":");
    put_table(o, c->ddl ? d->after : c->table);
    wb_out_byte(o, '}');
}

/* maxwell_ddl.c: schema changes as Maxwell sends them with output_ddl: the table before and after, and the statement.
 * What it also knows and we do not (character sets) is left out. Pure. */
#include "formats/maxwell.h"

static wb_str base_type(wb_str type)
{
    size_t n = 0;
    while (n < type.len && type.ptr[n] != '(' && type.ptr[n] != ' ') n++;
    return (wb_str){type.ptr, n};
}

static bool one_of(wb_str name, const char *const *list)
{
    for (; *list; list++)
        if (wb_str_is(name, *list)) return true;
    return false;
}

static void put_labels(wb_str labels, wb_out *o)
{
    wb_out_z(o, ",\"enum-values\":[");
    for (size_t at = 0; at < labels.len;) {
        const char *end = memchr(labels.ptr + at, 1, labels.len - at);
        size_t n = end ? (size_t)(end - labels.ptr) - at : labels.len - at;
        if (at) wb_out_byte(o, ',');
        wb_json_string(o, (wb_str){labels.ptr + at, n});
        at += n + 1;
    }
    wb_out_byte(o, ']');
}

static void put_column(const wb_column *c, wb_out *o)
{
    static const char *const ints[] = {"tinyint", "smallint", "mediumint", "int", "integer", "bigint", NULL};
    static const char *const times[] = {"time", "datetime", "timestamp", NULL};
    wb_str type = base_type(c->type);
    wb_out_z(o, "{\"type\":");
    wb_json_string(o, type);
    wb_out_z(o, ",\"name\":");
    wb_json_string(o, c->name);
    if (one_of(type, ints))
        wb_out_z(o, memmem(c->type.ptr, c->type.len, "unsigned", 8) ? ",\"signed\":false" : ",\"signed\":true");
    if (one_of(type, times) && type.len + 2 < c->type.len && c->type.ptr[type.len] == '(')
        wb_out_printf(o, ",\"column-length\":%c", c->type.ptr[type.len + 1]);
    if (c->labels.len) put_labels(c->labels, o);
    wb_out_byte(o, '}');
}

static void put_table(const char *name, const wb_table *t, wb_out *o)
{
    wb_out_printf(o, ",\"%s\":{\"database\":", name);
    wb_json_string(o, t->schema);
    wb_out_z(o, ",\"table\":");
    wb_json_string(o, t->name);
    wb_out_z(o, ",\"columns\":[");
    for (uint32_t i = 0; i < t->ncols; i++) {
        if (i) wb_out_byte(o, ',');
        put_column(&t->cols[i], o);
    }
    wb_out_z(o, "],\"primary-key\":[");
    for (uint32_t k = 0; k < t->nkey; k++) {
        if (k) wb_out_byte(o, ',');
        wb_json_string(o, t->cols[t->key[k]].name);
    }
    wb_out_z(o, "]}");
}

void mx_put_ddl(const maxwell *m, const wb_txn *txn, const wb_change *c, wb_out *o)
{
    static const char *const kinds[] = {[WB_DDL_CREATE] = "create", [WB_DDL_ALTER] = "alter", [WB_DDL_DROP] = "drop"};
    const wb_ddl *d = c->ddl;
    int kind = d ? d->kind : WB_DDL_ALTER;
    bool table = c->table->name.len > 0;
    wb_out_printf(o, "{\"type\":\"%s-%s\",\"database\":", table ? "table" : "database", kinds[kind]);
    wb_json_string(o, c->table->schema);
    if (table) {
        wb_out_z(o, ",\"table\":");
        wb_json_string(o, c->table->name);
        if (kind == WB_DDL_ALTER && d && d->before) put_table("old", d->before, o);
        if (kind != WB_DDL_DROP) put_table("def", d && d->after ? d->after : c->table, o);
    }
    wb_out_z(o, ",\"ts\":");
    wb_out_i64(o, txn->commit_us / 1000);
    if (d && d->sql.len) {
        wb_out_z(o, ",\"sql\":");
        wb_json_string(o, d->sql);
    }
    mx_put_position(m, txn, c->place, o);
    wb_out_byte(o, '}');
}

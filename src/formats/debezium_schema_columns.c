/* debezium_schema_columns.c: one column in a message of the schema change topic (debezium_schema.c). */
#include "formats/debezium.h"

#include <stdio.h>

/* ---------------------------------------------------------------- MySQL, MariaDB */

static int jdbc_type(const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"tinyint", 5},    {"smallint", 5},    {"mediumint", 4},   {"int", 4},           {"integer", 4},
                 {"year", 4},       {"bigint", -5},     {"decimal", 3},     {"float", 6},         {"double", 8},
                 {"bit", -7},       {"char", 1},        {"enum", 1},        {"set", 1},           {"varchar", 12},
                 {"tinytext", 12},  {"text", 12},       {"mediumtext", 12}, {"longtext", 12},     {"binary", -2},
                 {"varbinary", -3}, {"tinyblob", 2004}, {"blob", 2004},     {"mediumblob", 2004}, {"longblob", 2004},
                 {"date", 91},      {"time", 92},       {"datetime", 93},   {"timestamp", 2014}};
    for (size_t i = 0; i < WB_COUNT(types); i++)
        if (strcmp(types[i].name, name) == 0) return types[i].type;
    return 1111;
}

/* Labels as they are declared. */
static void put_labels(wb_str list, wb_out *o)
{
    bool any = false;
    wb_out one = {0};
    wb_out_byte(o, '[');
    while (dbz_my_next_label(&list, &one)) {
        if (any) wb_out_byte(o, ',');
        any = true;
        wb_out_z(o, "\"'");
        dbz_escape(o, one.p, one.len);
        wb_out_z(o, "'\"");
        wb_out_reset(&one);
    }
    wb_out_byte(o, ']');
    if (one.failed) o->failed = true;
    wb_out_fini(&one);
}

static void put_size(const char *name, int n, wb_out *o)
{
    wb_out_z(o, name);
    if (n < 0)
        wb_out_z(o, "null");
    else
        wb_out_i64(o, n);
}

static void put_bool(wb_out *o, bool b) { wb_out_z(o, b ? "true" : "false"); }

static void put_my_column(dbz *d, const wb_column *c, uint32_t position, wb_out *o)
{
    dbz_my_type t;
    int length, scale;
    dbz_my_type_read(c->type, &t);
    bool by_itself = dbz_my_says(c->extra, "auto_increment") || dbz_my_says(c->extra, "on update");
    bool labelled = strcmp(t.name, "enum") == 0 || strcmp(t.name, "set") == 0;
    wb_out_z(o, "{\"name\":");
    dbz_string(o, c->name);
    wb_out_printf(o, ",\"jdbcType\":%d,\"nativeType\":null,\"typeName\":", jdbc_type(t.name));
    dbz_my_put_type(&t, o);
    wb_out_z(o, ",\"typeExpression\":");
    dbz_my_put_type(&t, o);
    wb_out_z(o, ",\"charsetName\":");
    dbz_string_or_null(o, strcmp(t.name, "json") == 0 ? (wb_str){NULL, 0} : c->charset);
    dbz_my_sizes(&t, &length, &scale);
    put_size(",\"length\":", length, o);
    put_size(",\"scale\":", scale, o);
    wb_out_printf(o, ",\"position\":%u,\"optional\":", position);
    put_bool(o, !(c->flags & (WB_COL_NOT_NULL | WB_COL_KEY)));
    wb_out_z(o, ",\"autoIncremented\":");
    put_bool(o, by_itself);
    wb_out_z(o, ",\"generated\":");
    put_bool(o, by_itself); /* so it is there: what the server fills in, not what it computes */
    wb_out_z(o, ",\"comment\":");
    dbz_string_or_null(o, d->schema_comments || d->is_mariadb ? c->comment : (wb_str){NULL, 0});
    wb_out_z(o, ",\"defaultValueExpression\":");
    if (dbz_my_default_text(d, c, &d->element))
        dbz_string(o, (wb_str){d->element.p, d->element.len});
    else
        wb_out_z(o, "null");
    wb_out_z(o, ",\"enumValues\":");
    if (labelled)
        put_labels(t.list, o);
    else
        wb_out_z(o, "null");
    wb_out_byte(o, '}');
}

/* ---------------------------------------------------------------- PostgreSQL: by type OIDs, which never change */

/* As its JDBC driver has them; zoned times as Debezium has them. */
static int pg_jdbc_type(const wb_column *c, uint32_t oid)
{
    static const int16_t types[][2] = {{16, -7},   {21, 5},      {23, 4},    {26, -5},   {20, -5},   {700, 7},
                                       {701, 8},   {1700, 2},    {790, 8},   {18, 1},    {1042, 1},  {1043, 12},
                                       {25, 12},   {19, 12},     {17, -2},   {1082, 91}, {1083, 92}, {1266, 2013},
                                       {1114, 93}, {1184, 2014}, {1560, -7}, {142, 2009}};
    if (c->kind == WB_ARRAY) return 2003;
    if (c->labels.len) return 12;
    for (size_t i = 0; i < WB_COUNT(types); i++)
        if ((uint32_t)types[i][0] == oid) return types[i][1];
    return 1111;
}

static void pg_sizes(uint32_t oid, int32_t mod, int *length, int *scale)
{
    *length = *scale = -1;
    if (mod < 0) return;
    switch (oid) {
    case 1042:
    case 1043: *length = mod - 4; break;
    case 1560:
    case 1562: *length = mod; break;
    case 1083:
    case 1114:
    case 1184:
    case 1266: *scale = mod; break;
    case 1700:
        *length = (mod - 4) >> 16 & 0xffff;
        *scale = (((mod - 4) & 0x7ff) ^ 1024) - 1024;
        break;
    default: break;
    }
}

/* "numeric" of "numeric(5,2)", "timestamp without time zone" of "timestamp(3) without time zone". */
static void put_type_name(wb_str type, wb_out *o)
{
    const char *open = memchr(type.ptr, '(', type.len), *end = type.ptr + type.len;
    const char *close = open && type.ptr[0] != '"' ? memchr(open, ')', (size_t)(end - open)) : NULL;
    wb_out_byte(o, '"');
    dbz_escape(o, type.ptr, close ? (size_t)(open - type.ptr) : type.len);
    if (close) dbz_escape(o, close + 1, (size_t)(end - close) - 1);
    wb_out_byte(o, '"');
}

static void put_plain_labels(wb_str labels, wb_out *o)
{
    wb_out_byte(o, '[');
    for (size_t i = 0; i < labels.len;) {
        const char *end = memchr(labels.ptr + i, 1, labels.len - i);
        size_t n = end ? (size_t)(end - labels.ptr) - i : labels.len - i;
        if (i) wb_out_byte(o, ',');
        dbz_string(o, (wb_str){labels.ptr + i, n});
        i += n + 1;
    }
    wb_out_byte(o, ']');
}

static void put_pg_column(const wb_column *c, uint32_t position, wb_out *o)
{
    uint32_t oid = c->base_id ? c->base_id : c->type_id;
    int length, scale;
    pg_sizes(oid, c->base_id ? c->base_mod : c->type_mod, &length, &scale);
    wb_str def = c->flags & WB_COL_GENERATED ? (wb_str){NULL, 0} : c->default_sql;
    bool counts = def.len > 8 && memcmp(def.ptr, "nextval(", 8) == 0;
    wb_out_z(o, "{\"name\":");
    dbz_string(o, c->name);
    wb_out_printf(o, ",\"jdbcType\":%d,\"nativeType\":", pg_jdbc_type(c, oid));
    if (c->type_id && c->type_id <= INT32_MAX)
        wb_out_u64(o, c->type_id);
    else
        wb_out_z(o, "null");
    wb_out_z(o, ",\"typeName\":");
    put_type_name(c->type, o);
    wb_out_z(o, ",\"typeExpression\":");
    dbz_string(o, c->type);
    wb_out_z(o, ",\"charsetName\":null");
    put_size(",\"length\":", length, o);
    put_size(",\"scale\":", scale, o);
    wb_out_printf(o, ",\"position\":%u,\"optional\":", position);
    put_bool(o, !(c->flags & (WB_COL_NOT_NULL | WB_COL_KEY)));
    wb_out_z(o, ",\"autoIncremented\":");
    put_bool(o, counts);
    wb_out_z(o, ",\"generated\":");
    put_bool(o, c->flags & WB_COL_GENERATED);
    wb_out_z(o, ",\"comment\":null,\"defaultValueExpression\":");
    dbz_string_or_null(o, def);
    wb_out_z(o, ",\"enumValues\":");
    if (c->labels.len)
        put_plain_labels(c->labels, o);
    else
        wb_out_z(o, "null");
    wb_out_byte(o, '}');
}

void dbz_put_change_column(dbz *d, const wb_column *c, uint32_t position, wb_out *o)
{
    if (d->is_postgres)
        put_pg_column(c, position, o);
    else
        put_my_column(d, c, position, o);
}

/* debezium_mysql.c: columns of MySQL and MariaDB to the fields that Debezium's connectors make of them, by their
 * declared type ("int(10) unsigned", "enum('a','b')"), and defaults as their servers write them. Called once per column
 * and version of a table. Its values that only MySQL has: geometry, floats that are declared with digits. */
#include "formats/debezium.h"

#include <math.h>
#include <stdio.h>
#include <strings.h>

/* ---------------------------------------------------------------- declared types */

void dbz_my_type_read(wb_str text, dbz_my_type *t)
{
    *t = (dbz_my_type){.nargs = 0};
    size_t i = 0, k = 0;
    for (; i < text.len && text.ptr[i] != '(' && text.ptr[i] != ' '; i++)
        if (k + 1 < sizeof t->name) t->name[k++] = text.ptr[i];
    if (i < text.len && text.ptr[i] == '(') {
        size_t from = ++i;
        bool quoted = false;
        for (; i < text.len && (quoted || text.ptr[i] != ')'); i++) /* '' within quotes ends and begins them */
            if (text.ptr[i] == '\'') quoted = !quoted;
        t->list = (wb_str){text.ptr + from, i - from};
        for (size_t at = from; at < i && t->nargs < 2; at++) {
            int v = 0;
            for (; at < i && (uint8_t)(text.ptr[at] - '0') <= 9 && v < 1000000000 / 10; at++)
                v = v * 10 + (text.ptr[at] - '0');
            t->args[t->nargs++] = v;
        }
        if (i < text.len) i++;
    }
    wb_str rest = {text.ptr + i, text.len - i};
    t->is_unsigned = dbz_my_says(rest, "unsigned");
    t->zerofill = dbz_my_says(rest, "zerofill");
}

bool dbz_my_next_label(wb_str *list, wb_out *o)
{
    const char *p = list->ptr, *end = p + list->len;
    while (p < end && *p != '\'') p++;
    if (p == end) return false;
    for (p++; p < end; p++) {
        if (*p == '\'' && (p + 1 == end || p[1] != '\'')) break;
        if (*p == '\'') p++;
        wb_out_byte(o, *p);
    }
    if (p < end) p++;
    *list = (wb_str){p, (size_t)(end - p)};
    return true;
}

/* "INT UNSIGNED", quoted. */
void dbz_my_put_type(const dbz_my_type *t, wb_out *o)
{
    wb_out_byte(o, '"');
    for (const char *p = t->name; *p; p++) wb_out_byte(o, *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
    if (t->is_unsigned) wb_out_z(o, " UNSIGNED");
    if (t->zerofill) wb_out_z(o, " ZEROFILL");
    wb_out_byte(o, '"');
}

/* As Debezium's parser has them; -1: none. Of a set the length of all its labels if they had one letter. */
void dbz_my_sizes(const dbz_my_type *t, int *length, int *scale)
{
    *length = t->nargs ? t->args[0] : -1;
    *scale = t->nargs > 1 ? t->args[1] : -1;
    bool is_enum = strcmp(t->name, "enum") == 0;
    if (strcmp(t->name, "decimal") == 0) {
        if (*length < 0) *length = 10;
        if (*scale < 0) *scale = 0;
    } else if (is_enum || strcmp(t->name, "set") == 0) {
        wb_out label = {0};
        wb_str list = t->list;
        int n = 0;
        while (dbz_my_next_label(&list, &label)) n++;
        wb_out_fini(&label);
        *length = is_enum ? 1 : n ? 2 * n - 1 : 0;
        *scale = -1;
    }
}

/* ---------------------------------------------------------------- fields */

static const char point_fields[] =
    "\"fields\":[{\"type\":\"double\",\"optional\":false,\"field\":\"x\"},{\"type\":\"double\",\"optional\":false,"
    "\"field\":\"y\"},{\"type\":\"bytes\",\"optional\":true,\"field\":\"wkb\"},{\"type\":\"int32\",\"optional\":true,"
    "\"field\":\"srid\"}]";
static const char geometry_fields[] =
    "\"fields\":[{\"type\":\"bytes\",\"optional\":false,\"field\":\"wkb\"},{\"type\":\"int32\",\"optional\":true,"
    "\"field\":\"srid\"}]";
static const char vector_items[] = "\"items\":{\"type\":\"float\",\"optional\":false}";

static void simple(dbz_field *f, dbz_conv conv, const char *type, const char *name)
{
    f->conv = (uint8_t)conv;
    f->type = type;
    f->name = name;
    f->version = 1;
}

static bool whole_number(const dbz *d, const dbz_my_type *t, dbz_field *f)
{
    static const struct {
        const char *name, *type, *of_unsigned;
    } types[] = {{"tinyint", "int16", "int16"}, {"smallint", "int16", "int32"}, {"mediumint", "int32", "int32"},
                 {"int", "int32", "int64"},     {"integer", "int32", "int64"},  {"bigint", "int64", NULL}};
    for (size_t i = 0; i < WB_COUNT(types); i++) {
        if (strcmp(t->name, types[i].name) != 0) continue;
        if (!t->is_unsigned)
            simple(f, DBZ_PLAIN, types[i].type, NULL);
        else if (types[i].of_unsigned)
            simple(f, DBZ_PLAIN, types[i].of_unsigned, NULL);
        else if (!d->bigint_unsigned)
            simple(f, DBZ_LONG_WRAP, "int64", NULL);
        else
            dbz_fixed_decimal(f, 20, 0);
        return true;
    }
    if (strcmp(t->name, "year") != 0) return false;
    simple(f, DBZ_PLAIN, "int32", "io.debezium.time.Year");
    return true;
}

static bool number(const dbz *d, const dbz_my_type *t, dbz_field *f)
{
    bool is_decimal = strcmp(t->name, "decimal") == 0, is_float = strcmp(t->name, "float") == 0;
    if (is_decimal)
        dbz_decimal_field(d, f, t->nargs ? t->args[0] : 10, t->nargs > 1 ? t->args[1] : 0);
    else if (is_float && t->nargs == 2)
        simple(f, DBZ_FLOAT_WIDE, "double", NULL);
    else if (is_float)
        simple(f, DBZ_PLAIN, "float", NULL);
    else if (strcmp(t->name, "double") == 0)
        simple(f, DBZ_PLAIN, "double", NULL);
    else
        return whole_number(d, t, f);
    return true;
}

static bool of_time(const dbz *d, const dbz_my_type *t, dbz_field *f)
{
    int digits = t->nargs ? t->args[0] : 0;
    f->lossy = true; /* dates that no calendar has */
    if (strcmp(t->name, "date") == 0)
        dbz_date_field(d, f);
    else if (strcmp(t->name, "time") == 0)
        dbz_time_field(d, f, -1); /* its range is wider than a day: microseconds, whatever its digits */
    else if (strcmp(t->name, "datetime") == 0)
        dbz_timestamp_field(d, f, digits);
    else if (strcmp(t->name, "timestamp") == 0)
        dbz_zoned_field(f, digits);
    else
        return f->lossy = false;
    return true;
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static bool text_or_bytes(const dbz *d, const wb_column *c, const dbz_my_type *t, dbz_field *f)
{
    static const char *const shapes[] = {"geometry",           "linestring",      "polygon",
                                         "multipoint",         "multilinestring", "multipolygon",
                                         "geometrycollection", "geomcollection",  NULL};
    bool is_enum = strcmp(t->name, "enum") == 0;
    if (is_enum || strcmp(t->name, "set") == 0) {
        simple(f, DBZ_QUOTED, "string", is_enum ? "io.debezium.data.Enum" : "io.debezium.data.EnumSet");
        f->labels = t->list;
        f->quoted_labels = true;
    } else if (strcmp(t->name, "bit") == 0) {
        dbz_bits_field(f, t->nargs ? t->args[0] : 1);
        f->width = (int16_t)(((t->nargs ? t->args[0] : 1) + 7) / 8);
    } else if (strcmp(t->name, "json") == 0) {
        simple(f, DBZ_QUOTED, "string", "io.debezium.data.Json");
    } else if (strcmp(t->name, "uuid") == 0) {
        simple(f, DBZ_QUOTED, "string", "io.debezium.data.Uuid");
    } else if (strcmp(t->name, "point") == 0) {
        simple(f, DBZ_WKB_POINT, "struct", "io.debezium.data.geometry.Point");
        f->doc = "Geometry (POINT)";
        f->inner = point_fields;
    } else if (is_one_of(t->name, shapes)) {
        simple(f, DBZ_WKB, "struct", "io.debezium.data.geometry.Geometry");
        f->doc = "Geometry";
        f->inner = geometry_fields;
    } else if (strcmp(t->name, "vector") == 0) {
        simple(f, DBZ_VECTOR, "array", "io.debezium.data.FloatVector");
        f->inner = vector_items;
    } else if (c->kind == WB_BYTES) {
        dbz_bytes_field(d, f, DBZ_BYTES);
    } else {
        simple(f, DBZ_QUOTED, "string", NULL);
    }
    return true;
}

bool dbz_my_field(const dbz *d, const wb_column *c, dbz_field *f)
{
    dbz_my_type t;
    dbz_my_type_read(c->type, &t);
    return number(d, &t, f) || of_time(d, &t, f) || text_or_bytes(d, c, &t, f);
}

/* tinyint(1) as a boolean, where a rule says so. */
void dbz_my_boolean(const wb_column *c, dbz_field *f)
{
    dbz_my_type t;
    dbz_my_type_read(c->type, &t);
    if (strcmp(t.name, "tinyint") == 0 && t.nargs == 1 && t.args[0] == 1) simple(f, DBZ_TRUTH, "boolean", NULL);
}

/* ---------------------------------------------------------------- defaults: 42, 'it''s', b'101', current_timestamp()
 */

static bool begins(wb_str s, const char *word)
{
    size_t n = strlen(word);
    return s.len >= n && strncasecmp(s.ptr, word, n) == 0;
}

bool dbz_my_says(wb_str s, const char *word)
{
    for (size_t i = 0; i < s.len; i++)
        if (begins((wb_str){s.ptr + i, s.len - i}, word)) return true;
    return false;
}

static bool is_now(wb_str s) { return begins(s, "current_timestamp") || begins(s, "now("); }

static bool literal(wb_str s, wb_out *o)
{
    const char *p = s.ptr, *end = p + s.len;
    for (p++; p < end; p++) {
        if (*p == '\'' && (p + 1 == end || p[1] != '\'')) return p + 1 == end;
        if (*p == '\'') {
            p++;
        } else if (*p == '\\' && p + 1 < end) {
            p++;
            if (*p == '0') {
                wb_out_byte(o, 0);
                continue;
            }
        }
        wb_out_byte(o, *p);
    }
    return false;
}

/* Binary ones are padded as their rows are. */
static void bytes_of(const wb_column *c, wb_out *o, wb_value *v)
{
    dbz_my_type t;
    dbz_my_type_read(c->type, &t);
    if (strcmp(t.name, "binary") == 0 && t.nargs)
        while (!o->failed && o->len < (size_t)t.args[0]) wb_out_byte(o, 0);
    v->flags = 0;
}

static bool hex_bytes(wb_str s, wb_out *o)
{
    size_t n = s.len / 2 - 1;
    if (s.len % 2 || s.len < 4) return false;
    uint8_t *q = (uint8_t *)wb_out_room(o, n);
    if (!q || !wb_unhex(q, s.ptr + 2, 2 * n)) return false;
    o->len += n;
    return true;
}

static bool is_number(wb_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((uint8_t)(s.ptr[i] - '0') > 9 && !memchr("-+.eE", s.ptr[i], 5)) return false;
    return s.len > 0;
}

/* MySQL writes the value and marks expressions, MariaDB writes SQL. */
bool dbz_my_default_text(const dbz *d, const wb_column *c, wb_out *o)
{
    wb_str s = c->default_sql;
    wb_out_reset(o);
    if (!s.ptr || (c->flags & WB_COL_GENERATED)) return false;
    if (is_now(s)) { /* where it may not be null it is the epoch there */
        if (!(c->flags & WB_COL_NOT_NULL)) return false;
        wb_out_z(o, "1970-01-01 00:00:00");
    } else if (s.len > 3 && s.ptr[0] == 'b' && s.ptr[1] == '\'') {
        wb_out_put(o, s.ptr + 2, s.len - 3);
    } else if (c->kind == WB_BYTES && begins(s, "0x")) {
        return hex_bytes(s, o);
    } else if (!d->is_mariadb) {
        if (dbz_my_says(c->extra, "default_generated")) return false;
        wb_out_str(o, s);
    } else if (s.len && s.ptr[0] == '\'') {
        return literal(s, o);
    } else {
        if (!is_number(s)) return false; /* an expression, or NULL */
        wb_out_str(o, s);
    }
    return !o->failed;
}

bool dbz_my_default(const dbz *d, const wb_column *c, const dbz_field *f, wb_out *o, wb_value *v)
{
    if (!dbz_my_default_text(d, c, o)) return false;
    *v = (wb_value){.kind = c->kind, .flags = WB_V_TEXT};
    bool zero = o->len >= 10 && memcmp(o->p, "0000-00-00", 10) == 0;
    if (f->lossy && (zero || is_now(c->default_sql))) v->kind = WB_OTHER; /* the field's zero */
    if (c->kind == WB_BYTES) bytes_of(c, o, v);
    v->len = (uint32_t)o->len;
    wb_out_byte(o, 0); /* so that there is memory for an empty one */
    v->as.ptr = o->p;
    return !o->failed;
}

/* ---------------------------------------------------------------- values */

static double coordinate(const uint8_t *p, bool little)
{
    uint64_t bits = 0;
    double v;
    for (unsigned i = 0; i < 8; i++) bits |= (uint64_t)p[little ? i : 7 - i] << 8 * i;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* SRID, then WKB: byte order, kind, coordinates. False: it is none. */
bool dbz_put_wkb(wb_out *o, const wb_value *v, bool point)
{
    const uint8_t *p = (const uint8_t *)v->as.ptr;
    if (v->kind != WB_BYTES || (v->flags & WB_V_TEXT) || v->len < 9) return false;
    uint32_t srid = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if (point && v->len < 25) return false;
    wb_out_byte(o, '{');
    if (point) {
        wb_out_z(o, "\"x\":");
        dbz_put_double(o, coordinate(p + 9, p[4]));
        wb_out_z(o, ",\"y\":");
        dbz_put_double(o, coordinate(p + 17, p[4]));
        wb_out_byte(o, ',');
    }
    wb_out_z(o, "\"wkb\":\"");
    wb_json_base64(o, p + 4, v->len - 4);
    wb_out_z(o, "\",\"srid\":");
    if (srid)
        wb_out_u64(o, srid);
    else
        wb_out_z(o, "null");
    wb_out_byte(o, '}');
    return true;
}

/* A float as the double that is the same number: 0.1 is 0.10000000149011612. */
bool dbz_put_wide(wb_out *o, const wb_value *v)
{
    char text[40];
    if (!(v->flags & WB_V_TEXT)) {
        dbz_put_double(o, (double)(float)v->as.f);
        return true;
    }
    if (v->len >= sizeof text) return false;
    memcpy(text, v->as.ptr, v->len);
    text[v->len] = 0;
    dbz_put_double(o, (double)strtof(text, NULL));
    return true;
}

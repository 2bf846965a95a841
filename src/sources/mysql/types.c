/* types.c: what a column's type is: parsed from information_schema's text, read from a table map, compared, named.
 * Called when a table becomes known, never for a row. */
#include "types.h"

#include <strings.h>

/* ---------------------------------------------------------------- information_schema's text */

typedef struct known {
    const char *name;
    uint8_t family;
    uint8_t size; /* fixed by the name; 0: by the parentheses */
    bool binary;  /* the binary charset */
} known;

static const known known_types[] = {
    {"tinyint", MY_F_INT, 1, false},       {"smallint", MY_F_INT, 2, false},
    {"mediumint", MY_F_INT, 3, false},     {"int", MY_F_INT, 4, false},
    {"integer", MY_F_INT, 4, false},       {"bigint", MY_F_INT, 8, false},
    {"float", MY_F_FLOAT, 0, false},       {"double", MY_F_DOUBLE, 0, false},
    {"decimal", MY_F_DECIMAL, 0, false},   {"year", MY_F_YEAR, 0, false},
    {"date", MY_F_DATE, 0, false},         {"time", MY_F_TIME, 0, false},
    {"datetime", MY_F_DATETIME, 0, false}, {"timestamp", MY_F_TIMESTAMP, 0, false},
    {"char", MY_F_CHAR, 0, false},         {"varchar", MY_F_VARCHAR, 0, false},
    {"binary", MY_F_CHAR, 0, true},        {"varbinary", MY_F_VARCHAR, 0, true},
    {"tinytext", MY_F_BLOB, 1, false},     {"text", MY_F_BLOB, 2, false},
    {"mediumtext", MY_F_BLOB, 3, false},   {"longtext", MY_F_BLOB, 4, false},
    {"tinyblob", MY_F_BLOB, 1, true},      {"blob", MY_F_BLOB, 2, true},
    {"mediumblob", MY_F_BLOB, 3, true},    {"longblob", MY_F_BLOB, 4, true},
    {"bit", MY_F_BIT, 0, false},           {"enum", MY_F_ENUM, 0, false},
    {"set", MY_F_SET, 0, false},           {"json", MY_F_JSON, 0, false},
    {"vector", MY_F_VECTOR, 0, false},     {"uuid", MY_F_UUID, 0, false},
    {"inet4", MY_F_INET4, 0, false},       {"inet6", MY_F_INET6, 0, false},
};
/* By their number in a table map. */
static const char *const geometries[] = {"geometry",   "point",           "linestring",   "polygon",
                                         "multipoint", "multilinestring", "multipolygon", "geomcollection"};

static const known *find_known(wb_str word)
{
    for (size_t i = 0; i < WB_COUNT(known_types); i++)
        if (strlen(known_types[i].name) == word.len && strncasecmp(known_types[i].name, word.ptr, word.len) == 0)
            return &known_types[i];
    return NULL;
}

static bool find_geometry(wb_str word, my_type_info *out)
{
    for (size_t i = 0; i < WB_COUNT(geometries); i++) {
        if (strlen(geometries[i]) != word.len || strncasecmp(geometries[i], word.ptr, word.len) != 0) continue;
        out->family = MY_F_GEOMETRY;
        out->detail = (uint8_t)i;
        return true;
    }
    if (word.len != 18 || strncasecmp("geometrycollection", word.ptr, 18) != 0) return false;
    out->family = MY_F_GEOMETRY;
    out->detail = 7;
    return true;
}

/* "(12,2)" at *p: up to two numbers. */
static void read_numbers(const char **p, const char *end, uint32_t *a, uint32_t *b)
{
    uint32_t *to = a;
    if (*p == end || **p != '(') return;
    for ((*p)++; *p < end && **p != ')'; (*p)++) {
        if (**p == ',') to = b;
        if (**p >= '0' && **p <= '9' && *to < 100000000) *to = *to * 10 + (uint32_t)(**p - '0');
    }
    if (*p < end) (*p)++;
}

/* "('a','b')" at *p, where quotes are doubled. */
static void read_labels(const char **p, const char *end, wb_str *out)
{
    if (*p == end || **p != '(') return;
    const char *start = ++*p;
    bool in = false;
    while (*p < end && (in || **p != ')')) in ^= *(*p)++ == '\'';
    *out = (wb_str){start, (size_t)(*p - start)};
    if (*p < end) (*p)++;
}

static bool has_word(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);
    for (; (size_t)(end - p) >= n; p++)
        if (strncasecmp(p, word, n) == 0) return true;
    return false;
}

static bool is_letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

void my_type_parse(wb_str type, wb_str charset, my_type_info *out)
{
    memset(out, 0, sizeof *out);
    if (type.len == 0) return;
    const char *p = type.ptr, *end = p + type.len;
    while (p < end && (is_letter(*p) || (p > type.ptr && *p >= '0' && *p <= '9'))) p++;
    wb_str word = {type.ptr, (size_t)(p - type.ptr)};
    const known *k = find_known(word);
    if (!k) {
        find_geometry(word, out);
        return;
    }
    out->family = k->family;
    if (k->family == MY_F_ENUM || k->family == MY_F_SET)
        read_labels(&p, end, &out->labels);
    else
        read_numbers(&p, end, &out->size, &out->scale);
    if (k->size) out->size = k->size;
    if (k->family == MY_F_DECIMAL && out->size == 0) out->size = 10;
    if (k->family == MY_F_BIT && out->size == 0) out->size = 1;
    if (k->family == MY_F_CHAR && out->size == 0 && p == end && type.len <= 6) out->size = 1;
    if (k->family == MY_F_FLOAT || k->family == MY_F_DOUBLE || k->family == MY_F_YEAR) out->size = out->scale = 0;
    out->is_unsigned = has_word(p, end, "unsigned");
    out->compressed = has_word(p, end, "COMPRESSED");
    if (k->binary || charset.len == 0)
        out->charset = k->binary ? my_cs_binary : NULL;
    else
        out->charset = my_charset_of_name(charset);
}

bool my_next_label(wb_str *list, char *buf, wb_str *out)
{
    if (list->len == 0) return false;
    const char *p = list->ptr, *end = p + list->len;
    size_t n = 0;
    while (p < end && *p != '\'') p++;
    if (p == end) return false;
    for (p++; p < end; p++) {
        if (*p == '\'') {
            if (p + 1 == end || p[1] != '\'') break;
            p++;
        }
        buf[n++] = *p;
    }
    *out = (wb_str){buf, n};
    if (p < end) p++;
    *list = (wb_str){p, (size_t)(end - p)};
    return true;
}

/* ---------------------------------------------------------------- from a table map */

static uint8_t int_size(uint8_t type)
{
    switch (type) {
    case MY_T_TINY: return 1;
    case MY_T_SHORT: return 2;
    case MY_T_INT24: return 3;
    case MY_T_LONG: return 4;
    case MY_T_LONGLONG: return 8;
    default: return 0;
    }
}

/* Characters from the greatest number of bytes. */
static uint32_t characters(uint32_t bytes, const my_charset *cs) { return cs && cs->max ? bytes / cs->max : bytes; }

static void string_of_map(const my_map_col *c, my_type_info *out)
{
    out->charset = c->collation ? my_charset_of_collation(c->collation) : NULL;
    switch (c->type) {
    case MY_T_STRING:
        out->family = MY_F_CHAR;
        out->size = characters(c->meta, out->charset);
        break;
    case MY_T_VARCHAR_COMPRESSED:
        out->compressed = true;
        out->family = MY_F_VARCHAR;
        out->size = characters(c->meta ? c->meta - 1u : 0, out->charset);
        break;
    case MY_T_VARCHAR:
    case MY_T_VAR_STRING:
        out->family = MY_F_VARCHAR;
        out->size = characters(c->meta, out->charset);
        break;
    default:
        out->family = MY_F_BLOB;
        out->compressed = c->type == MY_T_BLOB_COMPRESSED;
        out->size = c->meta;
        break;
    }
}

static void time_of_map(const my_map_col *c, my_type_info *out)
{
    switch (c->type) {
    case MY_T_TIME: out->family = MY_F_TIME; return;
    case MY_T_DATETIME: out->family = MY_F_DATETIME; return;
    case MY_T_TIMESTAMP: out->family = MY_F_TIMESTAMP; return;
    case MY_T_TIME2: out->family = MY_F_TIME; break;
    case MY_T_DATETIME2: out->family = MY_F_DATETIME; break;
    default: out->family = MY_F_TIMESTAMP; break;
    }
    out->size = c->meta;
}

void my_type_of_map(const my_map_col *c, my_flavor flavor, my_type_info *out)
{
    WB_UNUSED(flavor);
    memset(out, 0, sizeof *out);
    out->is_unsigned = c->is_unsigned;
    out->size = int_size(c->type);
    switch (c->type) {
    case MY_T_TINY:
    case MY_T_SHORT:
    case MY_T_INT24:
    case MY_T_LONG:
    case MY_T_LONGLONG: out->family = MY_F_INT; break;
    case MY_T_FLOAT: out->family = MY_F_FLOAT; break;
    case MY_T_DOUBLE: out->family = MY_F_DOUBLE; break;
    case MY_T_NEWDECIMAL:
        out->family = MY_F_DECIMAL;
        out->size = c->meta >> 8;
        out->scale = c->meta & 255;
        break;
    case MY_T_YEAR:
        out->family = MY_F_YEAR;
        out->is_unsigned = false;
        break;
    case MY_T_DATE: out->family = MY_F_DATE; break;
    case MY_T_TIME:
    case MY_T_DATETIME:
    case MY_T_TIMESTAMP:
    case MY_T_TIME2:
    case MY_T_DATETIME2:
    case MY_T_TIMESTAMP2: time_of_map(c, out); break;
    case MY_T_STRING:
    case MY_T_VARCHAR:
    case MY_T_VAR_STRING:
    case MY_T_VARCHAR_COMPRESSED:
    case MY_T_BLOB:
    case MY_T_BLOB_COMPRESSED: string_of_map(c, out); break;
    case MY_T_BIT:
        out->family = MY_F_BIT;
        out->size = (uint32_t)(c->meta & 255) * 8 + (c->meta >> 8);
        break;
    case MY_T_ENUM:
    case MY_T_SET:
        out->family = c->type == MY_T_ENUM ? MY_F_ENUM : MY_F_SET;
        out->charset = c->collation ? my_charset_of_collation(c->collation) : NULL;
        break;
    case MY_T_JSON: out->family = MY_F_JSON; break;
    case MY_T_VECTOR:
        out->family = MY_F_VECTOR;
        out->size = c->detail;
        break;
    case MY_T_GEOMETRY:
        out->family = MY_F_GEOMETRY;
        out->detail = c->detail < WB_COUNT(geometries) ? (uint8_t)c->detail : 0;
        break;
    case MY_T_TYPED_ARRAY: out->family = MY_F_TYPED_ARRAY; break;
    default: break;
    }
}

/* ---------------------------------------------------------------- compared */

static bool string_fits(const my_type_info *d, const my_map_col *c)
{
    uint64_t bytes = (uint64_t)d->size * (d->charset ? d->charset->max : 1);
    bool bytes_fit = !d->charset || bytes == c->meta;
    if (d->family == MY_F_BLOB) return (c->type == MY_T_BLOB || c->type == MY_T_BLOB_COMPRESSED) && c->meta == d->size;
    if (d->family == MY_F_CHAR) return c->type == MY_T_STRING && bytes_fit;
    if (c->type == MY_T_VARCHAR_COMPRESSED) return true;
    return (c->type == MY_T_VARCHAR || c->type == MY_T_VAR_STRING) && bytes_fit;
}

static bool time_fits(const my_type_info *d, const my_map_col *c)
{
    static const uint8_t now[] = {
        [MY_F_TIME] = MY_T_TIME2, [MY_F_DATETIME] = MY_T_DATETIME2, [MY_F_TIMESTAMP] = MY_T_TIMESTAMP2};
    static const uint8_t old[] = {
        [MY_F_TIME] = MY_T_TIME, [MY_F_DATETIME] = MY_T_DATETIME, [MY_F_TIMESTAMP] = MY_T_TIMESTAMP};
    return (c->type == now[d->family] && c->meta == d->size) || (c->type == old[d->family] && d->size == 0);
}

bool my_type_fits(const my_type_info *d, const my_map_col *c, my_flavor flavor)
{
    my_type_info m;
    my_type_of_map(c, flavor, &m);
    switch (d->family) {
    case MY_F_CHAR:
    case MY_F_VARCHAR:
    case MY_F_BLOB: return string_fits(d, c);
    case MY_F_TIME:
    case MY_F_DATETIME:
    case MY_F_TIMESTAMP: return time_fits(d, c);
    case MY_F_INT: return m.family == MY_F_INT && m.size == d->size;
    case MY_F_DECIMAL: return m.family == MY_F_DECIMAL && m.size == d->size && m.scale == d->scale;
    case MY_F_BIT: return m.family == MY_F_BIT && m.size == d->size;
    case MY_F_UUID:
    case MY_F_INET6: return c->type == MY_T_STRING && c->meta == 16;
    case MY_F_INET4: return c->type == MY_T_STRING && c->meta == 4;
    case MY_F_VECTOR: /* MariaDB's are VARBINARY */
        return c->type == MY_T_VECTOR ||
               ((c->type == MY_T_VARCHAR || c->type == MY_T_VAR_STRING) && c->meta == d->size * 4);
    case MY_F_JSON: return c->type == MY_T_JSON || (c->type == MY_T_BLOB && c->meta == 4);
    case MY_F_UNKNOWN: return true;
    default: return m.family == d->family;
    }
}

/* ---------------------------------------------------------------- named */

static void put_labels(const wb_str *labels, uint32_t n, wb_out *out)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i) wb_out_byte(out, ',');
        wb_out_byte(out, '\'');
        for (size_t k = 0; k < labels[i].len; k++) {
            if (labels[i].ptr[k] == '\'') wb_out_byte(out, '\'');
            wb_out_byte(out, labels[i].ptr[k]);
        }
        wb_out_byte(out, '\'');
    }
}

static const char *base_name(const my_type_info *t)
{
    bool binary = t->charset && t->charset->form == MY_CS_BINARY;
    for (size_t i = 0; i < WB_COUNT(known_types); i++) {
        const known *k = &known_types[i];
        if (k->family == t->family && (k->size == 0 || k->size == t->size) && k->binary == binary) return k->name;
    }
    return t->family == MY_F_GEOMETRY ? geometries[t->detail] : t->family == MY_F_TYPED_ARRAY ? "array" : "unknown";
}

/* MariaDB shows how wide integers are displayed, and nobody says otherwise but for BOOLEAN. */
static void put_width(const my_type_info *t, wb_out *out)
{
    static const uint8_t with_sign[9] = {[1] = 4, [2] = 6, [3] = 9, [4] = 11, [8] = 20},
                         without[9] = {[1] = 3, [2] = 5, [3] = 8, [4] = 10, [8] = 20};
    if (t->family == MY_F_YEAR)
        wb_out_z(out, "(4)");
    else if (t->size <= 8)
        wb_out_printf(out, "(%u)", t->is_unsigned ? without[t->size] : with_sign[t->size]);
}

void my_type_name(const my_type_info *t, const wb_str *labels, uint32_t n, my_flavor flavor, wb_out *out)
{
    wb_out_z(out, base_name(t));
    switch (t->family) {
    case MY_F_INT:
    case MY_F_YEAR:
        if (flavor == MY_MARIADB) put_width(t, out);
        break;
    case MY_F_DECIMAL: wb_out_printf(out, "(%u,%u)", t->size, t->scale); break;
    case MY_F_TIME:
    case MY_F_DATETIME:
    case MY_F_TIMESTAMP:
    case MY_F_VECTOR:
        if (t->size) wb_out_printf(out, "(%u)", t->size);
        break;
    case MY_F_CHAR:
    case MY_F_VARCHAR:
    case MY_F_BIT: wb_out_printf(out, "(%u)", t->size); break;
    case MY_F_ENUM:
    case MY_F_SET:
        wb_out_byte(out, '(');
        put_labels(labels, n, out);
        wb_out_byte(out, ')');
        break;
    default: break;
    }
    if (t->is_unsigned) wb_out_z(out, " unsigned");
}

wb_kind my_type_kind(const my_type_info *t)
{
    switch ((my_family)t->family) {
    case MY_F_INT: return t->is_unsigned ? WB_UINT : WB_INT;
    case MY_F_YEAR: return WB_INT;
    case MY_F_FLOAT:
    case MY_F_DOUBLE: return WB_FLOAT;
    case MY_F_DECIMAL: return WB_DECIMAL;
    case MY_F_DATE: return WB_DATE;
    case MY_F_TIME: return WB_TIME;
    case MY_F_DATETIME: return WB_TIMESTAMP;
    case MY_F_TIMESTAMP: return WB_TIMESTAMPTZ;
    case MY_F_CHAR:
    case MY_F_VARCHAR:
    case MY_F_BLOB: return t->charset && t->charset->form == MY_CS_BINARY ? WB_BYTES : WB_TEXT;
    case MY_F_ENUM:
    case MY_F_SET:
    case MY_F_INET4:
    case MY_F_INET6: return WB_TEXT;
    case MY_F_JSON:
    case MY_F_VECTOR: return WB_JSON;
    case MY_F_GEOMETRY:
    case MY_F_TYPED_ARRAY: return WB_BYTES;
    case MY_F_UUID: return WB_UUID;
    case MY_F_BIT:
    case MY_F_UNKNOWN: break;
    }
    return WB_OTHER;
}

uint32_t my_type_id(const my_type_info *t)
{
    static const uint8_t ids[] = {[MY_F_FLOAT] = MY_T_FLOAT,
                                  [MY_F_DOUBLE] = MY_T_DOUBLE,
                                  [MY_F_DECIMAL] = MY_T_NEWDECIMAL,
                                  [MY_F_YEAR] = MY_T_YEAR,
                                  [MY_F_DATE] = MY_T_DATE,
                                  [MY_F_TIME] = MY_T_TIME2,
                                  [MY_F_DATETIME] = MY_T_DATETIME2,
                                  [MY_F_TIMESTAMP] = MY_T_TIMESTAMP2,
                                  [MY_F_CHAR] = MY_T_STRING,
                                  [MY_F_VARCHAR] = MY_T_VARCHAR,
                                  [MY_F_BLOB] = MY_T_BLOB,
                                  [MY_F_BIT] = MY_T_BIT,
                                  [MY_F_ENUM] = MY_T_ENUM,
                                  [MY_F_SET] = MY_T_SET,
                                  [MY_F_JSON] = MY_T_JSON,
                                  [MY_F_GEOMETRY] = MY_T_GEOMETRY,
                                  [MY_F_VECTOR] = MY_T_VECTOR,
                                  [MY_F_UUID] = MY_T_STRING,
                                  [MY_F_INET4] = MY_T_STRING,
                                  [MY_F_INET6] = MY_T_STRING,
                                  [MY_F_TYPED_ARRAY] = MY_T_TYPED_ARRAY};
    static const uint8_t ints[] = {
        [1] = MY_T_TINY, [2] = MY_T_SHORT, [3] = MY_T_INT24, [4] = MY_T_LONG, [8] = MY_T_LONGLONG};
    if (t->family == MY_F_INT) return t->size <= 8 ? ints[t->size] : 0;
    return ids[t->family];
}

int32_t my_type_mod(const my_type_info *t)
{
    switch (t->family) {
    case MY_F_DECIMAL: return (int32_t)(t->size << 8 | t->scale);
    case MY_F_TIME:
    case MY_F_DATETIME:
    case MY_F_TIMESTAMP:
    case MY_F_CHAR:
    case MY_F_VARCHAR:
    case MY_F_BLOB:
    case MY_F_BIT:
    case MY_F_VECTOR: return (int32_t)t->size;
    default: return -1;
    }
}

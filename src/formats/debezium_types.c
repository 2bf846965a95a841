/* debezium_types.c: a column to the field that Debezium's connectors make of it. Called once per column and version of
 * a table. The numbers are PostgreSQL's type OIDs, which never change. */
#include "formats/debezium.h"

#include <stdio.h>

#define POINT_FIELDS                                                                                                   \
    "\"fields\":[{\"type\":\"double\",\"optional\":false,\"field\":\"x\"},{\"type\":\"double\",\"optional\":false,"    \
    "\"field\":\"y\"},{\"type\":\"bytes\",\"optional\":true,\"field\":\"wkb\"},{\"type\":\"int32\",\"optional\":true," \
    "\"field\":\"srid\"}]"
static const char point_fields[] = POINT_FIELDS;
static const char line_fields[] =
    "\"fields\":[{\"type\":\"double\",\"optional\":false,\"field\":\"a\"},{\"type\":\"double\",\"optional\":false,"
    "\"field\":\"b\"},{\"type\":\"double\",\"optional\":false,\"field\":\"c\"}]";
static const char circle_fields[] =
    "\"fields\":[{\"type\":\"struct\"," POINT_FIELDS ",\"optional\":false,\"name\":\"io.debezium.data.geometry.Point\","
    "\"version\":1,\"doc\":\"Geometry (POINT)\",\"field\":\"center\"},{\"type\":\"double\",\"optional\":false,"
    "\"field\":\"radius\"}]";
static const char geometry_fields[] =
    "\"fields\":[{\"type\":\"bytes\",\"optional\":false,\"field\":\"wkb\"},{\"type\":\"int32\",\"optional\":true,"
    "\"field\":\"srid\"},{\"type\":\"map\",\"keys\":{\"type\":\"string\",\"optional\":false},\"values\":{\"type\":"
    "\"string\",\"optional\":false},\"optional\":true,\"field\":\"extensions\"}]";
static const char scaled_fields[] =
    "\"fields\":[{\"type\":\"int32\",\"optional\":false,\"field\":\"scale\"},{\"type\":\"bytes\",\"optional\":false,"
    "\"field\":\"value\"}]";
static const char map_fields[] =
    "\"keys\":{\"type\":\"string\",\"optional\":false},\"values\":{\"type\":\"string\",\"optional\":true}";

static void simple(dbz_field *f, dbz_conv conv, const char *type, const char *name)
{
    f->conv = (uint8_t)conv;
    f->type = type;
    f->name = name;
    f->version = 1;
}

/* ---------------------------------------------------------------- numbers */

/* precision 0: any. */
void dbz_fixed_decimal(dbz_field *f, int precision, int scale)
{
    simple(f, DBZ_UNSCALED, "bytes", "org.apache.kafka.connect.data.Decimal");
    int n = snprintf(f->params, sizeof f->params, "\"scale\":\"%d\"", scale);
    if (precision)
        snprintf(f->params + n, sizeof f->params - (size_t)n, ",\"connect.decimal.precision\":\"%d\"", precision);
    f->scale = (int16_t)scale;
}

static void decimal(const dbz *d, dbz_field *f, int precision, int scale, bool any)
{
    if (d->decimal == DBZ_DOUBLE) {
        simple(f, DBZ_DECIMAL_DOUBLE, "double", NULL);
    } else if (d->decimal == DBZ_STRING) {
        simple(f, DBZ_DECIMAL_TEXT, "string", NULL);
    } else if (any) {
        simple(f, DBZ_SCALED, "struct", "io.debezium.data.VariableScaleDecimal");
        f->inner = scaled_fields;
        f->doc = "Variable scaled decimal";
    } else {
        dbz_fixed_decimal(f, precision, scale);
    }
    f->scale = (int16_t)scale;
}

void dbz_decimal_field(const dbz *d, dbz_field *f, int precision, int scale) { decimal(d, f, precision, scale, false); }

static void pg_numeric(const dbz *d, dbz_field *f, int32_t mod)
{
    int32_t m = mod - 4, scale = ((m & 0x7ff) ^ 1024) - 1024; /* 11 bits, signed since PostgreSQL 15 */
    decimal(d, f, mod < 4 ? 0 : (m >> 16) & 0xffff, mod < 4 ? 0 : scale, mod < 4);
}

/* ---------------------------------------------------------------- times; digits: of a second, -1 not said */

void dbz_date_field(const dbz *d, dbz_field *f)
{
    if (d->time == DBZ_ISO)
        simple(f, DBZ_DATE_ISO, "string", "io.debezium.time.IsoDate");
    else
        simple(f, DBZ_DATE, "int32",
               d->time == DBZ_CONNECT ? "org.apache.kafka.connect.data.Date" : "io.debezium.time.Date");
}

void dbz_time_field(const dbz *d, dbz_field *f, int digits)
{
    bool coarse = digits >= 0 && digits <= 3 && d->time == DBZ_ADAPTIVE;
    f->scale = 1;
    if (d->time == DBZ_ISO) {
        simple(f, DBZ_TIME_ISO, "string", "io.debezium.time.IsoTime");
    } else if (d->time == DBZ_CONNECT || coarse) {
        simple(f, DBZ_TIME, "int32", coarse ? "io.debezium.time.Time" : "org.apache.kafka.connect.data.Time");
        f->scale = -1000;
    } else if (d->time == DBZ_NANOS) {
        simple(f, DBZ_TIME, "int64", "io.debezium.time.NanoTime");
        f->scale = 1000;
    } else {
        simple(f, DBZ_TIME, "int64", "io.debezium.time.MicroTime");
    }
}

void dbz_timestamp_field(const dbz *d, dbz_field *f, int digits)
{
    bool coarse = digits >= 0 && digits <= 3 && (d->time == DBZ_ADAPTIVE || d->time == DBZ_ADAPTIVE_MICROS);
    f->scale = 1;
    f->digits = -1;
    if (d->time == DBZ_ISO) {
        simple(f, DBZ_STAMP_ISO, "string", "io.debezium.time.IsoTimestamp");
    } else if (d->time == DBZ_CONNECT || coarse) {
        simple(f, DBZ_STAMP, "int64",
               coarse ? "io.debezium.time.Timestamp" : "org.apache.kafka.connect.data.Timestamp");
        f->scale = -1000;
    } else if (d->time == DBZ_NANOS) {
        simple(f, DBZ_STAMP, "int64", "io.debezium.time.NanoTimestamp");
        f->scale = 1000;
    } else {
        simple(f, DBZ_STAMP, "int64", "io.debezium.time.MicroTimestamp");
    }
}

void dbz_zoned_field(dbz_field *f, int digits)
{
    simple(f, DBZ_ZONED, "string", "io.debezium.time.ZonedTimestamp");
    f->digits = (int16_t)(digits < 0 ? 6 : digits);
}

/* ---------------------------------------------------------------- bytes and bits */

void dbz_bytes_field(const dbz *d, dbz_field *f, dbz_conv conv)
{
    simple(f, conv, d->binary == DBZ_BASE64_BYTES ? "bytes" : "string", NULL);
}

void dbz_bits_field(dbz_field *f, int32_t length)
{
    if (length == 1) {
        simple(f, DBZ_BIT, "boolean", NULL);
        return;
    }
    simple(f, DBZ_BITS, "bytes", "io.debezium.data.Bits");
    snprintf(f->params, sizeof f->params, "\"length\":\"%d\"", length > 0 ? length : INT32_MAX);
}

static void geometry(dbz_field *f, dbz_conv conv)
{
    simple(f, conv, "struct", "io.debezium.data.geometry.Geometry");
    f->version = 2;
    f->doc = "Geometry";
    f->inner = geometry_fields;
    if (conv == DBZ_POINT) {
        f->name = "io.debezium.data.geometry.Point";
        f->doc = "Geometry (POINT)";
        f->inner = point_fields;
    } else if (conv == DBZ_LINE) {
        f->name = "io.debezium.data.geometry.Line";
        f->doc = "Geometry (LINE)";
        f->inner = line_fields;
    } else if (conv == DBZ_CIRCLE) {
        f->name = "io.debezium.data.geometry.Circle";
        f->doc = "Geometry (CIRCLE)";
        f->inner = circle_fields;
    }
    if (conv == DBZ_POINT || conv == DBZ_LINE || conv == DBZ_CIRCLE) f->version = 1;
}

/* ---------------------------------------------------------------- PostgreSQL */

/* Element types by the OID of their array. */
static uint32_t element_of(uint32_t oid)
{
    static const uint16_t pairs[][2] = {
        {1000, 16},   {1001, 17},   {1002, 18},   {1003, 19},   {1016, 20},   {1005, 21},   {1007, 23},   {1009, 25},
        {1028, 26},   {199, 114},   {143, 142},   {1017, 600},  {1018, 601},  {1019, 602},  {1020, 603},  {1027, 604},
        {629, 628},   {651, 650},   {1021, 700},  {1022, 701},  {719, 718},   {775, 774},   {791, 790},   {1040, 829},
        {1041, 869},  {1014, 1042}, {1015, 1043}, {1182, 1082}, {1183, 1083}, {1115, 1114}, {1185, 1184}, {1187, 1186},
        {1270, 1266}, {1561, 1560}, {1563, 1562}, {1231, 1700}, {2951, 2950}, {3643, 3614}, {3807, 3802}, {3905, 3904},
        {3907, 3906}, {3909, 3908}, {3911, 3910}, {3913, 3912}, {3927, 3926}};
    for (size_t i = 0; i < WB_COUNT(pairs); i++)
        if (pairs[i][0] == oid) return pairs[i][1];
    return 0;
}

/* The kind that values of an array's elements have. */
static wb_kind element_kind(uint32_t oid)
{
    switch (oid) {
    case 16: return WB_BOOL;
    case 17: return WB_BYTES;
    case 20:
    case 21:
    case 23: return WB_INT;
    case 26: return WB_UINT;
    case 700:
    case 701: return WB_FLOAT;
    case 1700: return WB_DECIMAL;
    case 1082: return WB_DATE;
    case 1083: return WB_TIME;
    case 1114: return WB_TIMESTAMP;
    case 1184: return WB_TIMESTAMPTZ;
    default: return WB_OTHER;
    }
}

static bool pg_times(const dbz *d, uint32_t oid, int32_t mod, dbz_field *f)
{
    switch (oid) {
    case 1082: dbz_date_field(d, f); return true;
    case 1083: dbz_time_field(d, f, mod); return true;
    case 1114: dbz_timestamp_field(d, f, mod); return true;
    case 1184: dbz_zoned_field(f, mod); return true;
    case 1266: simple(f, DBZ_ZONED_TIME, "string", "io.debezium.time.ZonedTime"); return true;
    case 1186:
        if (d->interval)
            simple(f, DBZ_INTERVAL_ISO, "string", "io.debezium.time.Interval");
        else
            simple(f, DBZ_INTERVAL, "int64", "io.debezium.time.MicroDuration");
        return true;
    default: return false;
    }
}

static bool pg_geometry(uint32_t oid, dbz_field *f)
{
    static const struct {
        uint16_t oid;
        uint8_t conv;
    } types[] = {{600, DBZ_POINT}, {628, DBZ_LINE},    {601, DBZ_LSEG},  {603, DBZ_BOX},
                 {602, DBZ_PATH},  {604, DBZ_POLYGON}, {718, DBZ_CIRCLE}};
    for (size_t i = 0; i < WB_COUNT(types); i++) {
        if (types[i].oid != oid) continue;
        geometry(f, (dbz_conv)types[i].conv);
        return true;
    }
    return false;
}

static bool pg_scalar(const dbz *d, uint32_t oid, int32_t mod, dbz_field *f)
{
    switch (oid) {
    case 16: simple(f, DBZ_PLAIN, "boolean", NULL); return true;
    case 21: simple(f, DBZ_PLAIN, "int16", NULL); return true;
    case 23: simple(f, DBZ_PLAIN, "int32", NULL); return true;
    case 20:
    case 26: simple(f, DBZ_PLAIN, "int64", NULL); return true;
    case 700: simple(f, DBZ_PLAIN, "float", NULL); return true;
    case 701: simple(f, DBZ_PLAIN, "double", NULL); return true;
    case 1700: pg_numeric(d, f, mod); return true;
    case 790:
        decimal(d, f, 0, (int)d->money_digits, false);
        f->money = true;
        return true;
    case 17: dbz_bytes_field(d, f, DBZ_BYTES); return true;
    case 1560: dbz_bits_field(f, mod > 0 ? mod : 1); return true;
    case 1562: dbz_bits_field(f, mod > 0 ? mod : 0); return true;
    case 142: simple(f, DBZ_QUOTED, "string", "io.debezium.data.Xml"); return true;
    case 114:
    case 3802: simple(f, DBZ_QUOTED, "string", "io.debezium.data.Json"); return true;
    case 2950: simple(f, DBZ_QUOTED, "string", "io.debezium.data.Uuid"); return true;
    case 3614: simple(f, DBZ_QUOTED, "string", "io.debezium.data.Tsvector"); return true;
    case 18:
    case 19:
    case 25:
    case 1042:
    case 1043:
    case 650:
    case 869:
    case 829:
    case 774:
    case 3904:
    case 3906:
    case 3908:
    case 3910:
    case 3912:
    case 3926: simple(f, DBZ_QUOTED, "string", NULL); return true;
    default: return pg_times(d, oid, mod, f) || pg_geometry(oid, f);
    }
}

/* The last part of a type's name, without quotes: public."hstore" */
static bool named(wb_str type, const char *want)
{
    size_t n = strlen(want);
    if (type.len && type.ptr[type.len - 1] == '"') type.len--;
    if (type.len < n || memcmp(type.ptr + type.len - n, want, n) != 0) return false;
    return type.len == n || type.ptr[type.len - n - 1] == '.' || type.ptr[type.len - n - 1] == '"';
}

static bool pg_user_type(const dbz *d, const wb_column *c, dbz_field *f)
{
    if (c->labels.len && c->kind != WB_ARRAY) {
        simple(f, DBZ_QUOTED, "string", "io.debezium.data.Enum");
        f->labels = c->labels;
    } else if (named(c->type, "hstore")) {
        if (d->hstore) {
            simple(f, DBZ_HSTORE_MAP, "map", NULL);
            f->inner = map_fields;
        } else {
            simple(f, DBZ_HSTORE_JSON, "string", "io.debezium.data.Json");
        }
    } else if (named(c->type, "ltree")) {
        simple(f, DBZ_QUOTED, "string", "io.debezium.data.Ltree");
    } else if (named(c->type, "citext") || c->kind == WB_TEXT) {
        simple(f, DBZ_QUOTED, "string", NULL);
    } else {
        return false;
    }
    return true;
}

static bool pg_array(const dbz *d, const wb_column *c, uint32_t oid, int32_t mod, dbz_field *f)
{
    uint32_t of = element_of(oid);
    if (c->labels.len) {
        simple(f, DBZ_QUOTED, "string", "io.debezium.data.Enum");
        f->labels = c->labels;
    } else if (!of || !pg_scalar(d, of, mod, f)) {
        return false;
    }
    f->of = f->conv;
    f->kind = (uint8_t)element_kind(of);
    f->conv = DBZ_ARRAY;
    return true;
}

static bool pg_field(const dbz *d, const wb_column *c, dbz_field *f)
{
    uint32_t oid = c->base_id ? c->base_id : c->type_id;
    int32_t mod = c->base_id ? c->base_mod : c->type_mod;
    if (c->kind == WB_ARRAY) {
        if (pg_array(d, c, oid, mod, f)) return true;
    } else if (pg_scalar(d, oid, mod, f) || pg_user_type(d, c, f)) {
        return true;
    }
    if (!d->unknown) return false;
    dbz_bytes_field(d, f, DBZ_TEXT_BYTES);
    return true;
}

/* ---------------------------------------------------------------- anything else: by kind */

static bool field_of_kind(const dbz *d, const wb_column *c, dbz_field *f)
{
    switch (c->kind) {
    case WB_BOOL: simple(f, DBZ_PLAIN, "boolean", NULL); return true;
    case WB_INT: simple(f, DBZ_PLAIN, "int64", NULL); return true;
    case WB_UINT: simple(f, d->bigint_unsigned ? DBZ_UNSCALED : DBZ_LONG_WRAP, "int64", NULL); return true;
    case WB_FLOAT: simple(f, DBZ_PLAIN, "double", NULL); return true;
    case WB_DECIMAL: decimal(d, f, 0, 0, true); return true;
    case WB_BYTES: dbz_bytes_field(d, f, DBZ_BYTES); return true;
    case WB_DATE: dbz_date_field(d, f); return true;
    case WB_TIME: dbz_time_field(d, f, -1); return true;
    case WB_TIMESTAMP: dbz_timestamp_field(d, f, -1); return true;
    case WB_TIMESTAMPTZ: dbz_zoned_field(f, -1); return true;
    case WB_UUID: simple(f, DBZ_QUOTED, "string", "io.debezium.data.Uuid"); return true;
    case WB_JSON: simple(f, DBZ_QUOTED, "string", "io.debezium.data.Json"); return true;
    default: simple(f, DBZ_QUOTED, "string", NULL); return true;
    }
}

bool dbz_field_of(const dbz *d, const wb_column *c, dbz_field *f)
{
    *f = (dbz_field){.optional = !(c->flags & WB_COL_NOT_NULL)};
    bool pg = strcmp(d->source, "postgres") == 0 && c->type_id && !(c->flags & WB_COL_ADDED);
    if (c->flags & WB_COL_KEY) f->optional = false;
    if (d->schema_comments || d->is_mariadb) f->comment = c->comment;
    bool my = strcmp(d->source, "mysql") == 0 && c->type_id && !(c->flags & WB_COL_ADDED);
    return pg ? pg_field(d, c, f) : my ? dbz_my_field(d, c, f) : field_of_kind(d, c, f);
}

/* ---------------------------------------------------------------- schemas */

/* A comma within a label of MySQL's has a backslash before it. */
static void put_quoted_labels(wb_out *o, wb_str list)
{
    wb_out one = {0};
    wb_out_z(o, "\"allowed\":\"");
    for (bool first = true; dbz_my_next_label(&list, &one); first = false) {
        if (!first) wb_out_byte(o, ',');
        for (size_t i = 0, from = 0; i <= one.len; i++) {
            if (i < one.len && one.p[i] != ',') continue;
            dbz_escape(o, one.p + from, i - from);
            if (i < one.len) wb_out_z(o, "\\\\,");
            from = i + 1;
        }
        wb_out_reset(&one);
    }
    if (one.failed) o->failed = true;
    wb_out_fini(&one);
    wb_out_byte(o, '"');
}

static void put_labels(wb_out *o, wb_str labels)
{
    wb_out_z(o, "\"allowed\":\"");
    for (size_t i = 0; i < labels.len;) {
        const char *end = memchr(labels.ptr + i, 1, labels.len - i);
        size_t n = end ? (size_t)(end - labels.ptr) - i : labels.len - i;
        if (i) wb_out_byte(o, ',');
        dbz_escape(o, labels.ptr + i, n);
        i += n + 1;
    }
    wb_out_byte(o, '"');
}

static void put_semantic(wb_out *o, const dbz_field *f)
{
    if (f->name) wb_out_printf(o, ",\"name\":\"%s\",\"version\":%u", f->name, (unsigned)f->version);
    if (f->doc) wb_out_printf(o, ",\"doc\":\"%s\"", f->doc);
    if (f->doc || !f->comment.len) return;
    wb_out_z(o, ",\"doc\":");
    dbz_string(o, f->comment);
}

static void put_params(wb_out *o, const dbz_field *f, wb_str more)
{
    bool own = f->labels.len || f->params[0];
    if (!own && !more.len) return;
    wb_out_z(o, ",\"parameters\":{");
    if (f->quoted_labels)
        put_quoted_labels(o, f->labels);
    else if (f->labels.len)
        put_labels(o, f->labels);
    else
        wb_out_z(o, f->params);
    if (own && more.len) wb_out_byte(o, ',');
    wb_out_str(o, more);
    wb_out_byte(o, '}');
}

void dbz_put_schema(wb_out *o, const dbz_field *f, wb_str def, wb_str more, const wb_str *name)
{
    static const wb_str none;
    if (f->conv == DBZ_ARRAY) {
        wb_out_printf(o, "{\"type\":\"array\",\"items\":{\"type\":\"%s\"", f->type);
        if (f->inner) wb_out_printf(o, ",%s", f->inner);
        wb_out_z(o, f->labels.len ? ",\"optional\":false" : ",\"optional\":true"); /* so they are in Debezium */
        put_semantic(o, f);
        put_params(o, f, none);
        wb_out_byte(o, '}');
    } else {
        wb_out_printf(o, "{\"type\":\"%s\"", f->type);
        if (f->inner) wb_out_printf(o, ",%s", f->inner);
    }
    wb_out_z(o, f->optional ? ",\"optional\":true" : ",\"optional\":false");
    if (f->conv != DBZ_ARRAY) {
        put_semantic(o, f);
        put_params(o, f, more);
    } else if (more.len) {
        wb_out_printf(o, ",\"parameters\":{%.*s}", (int)more.len, more.ptr);
    }
    if (def.len) {
        wb_out_z(o, ",\"default\":");
        wb_out_str(o, def);
    }
    if (name) {
        wb_out_z(o, ",\"field\":");
        dbz_string(o, *name);
    }
    wb_out_byte(o, '}');
}

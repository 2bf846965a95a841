/* types.c: what PostgreSQL's built-in types are here, and what they are called. The OIDs of these types never change
 * (pg_type.dat assigns them by hand). Called when a table becomes known, never for a row. */
#include "types.h"

#include "value.h"

/* How a type modifier is written. */
typedef enum mod_style {
    MOD_NONE,
    MOD_LENGTH,    /* (n): modifier less 4       */
    MOD_BITS,      /* (n): the modifier          */
    MOD_NUMERIC,   /* (precision,scale)          */
    MOD_PRECISION, /* (p)                        */
    MOD_INTERVAL   /* fields and (p)             */
} mod_style;

typedef struct type_info {
    uint16_t oid, array_oid;
    uint8_t kind;  /* wb_kind   */
    uint8_t style; /* mod_style */
    const char *name;
} type_info;

/* Ordered by oid. Names are those that SQL knows; for times the short ones, because the long ones carry the precision
 * in their middle. */
static const type_info type_table[] = {
    {16, 1000, WB_BOOL, MOD_NONE, "boolean"},
    {17, 1001, WB_BYTES, MOD_NONE, "bytea"},
    {18, 1002, WB_TEXT, MOD_NONE, "\"char\""},
    {19, 1003, WB_TEXT, MOD_NONE, "name"},
    {20, 1016, WB_INT, MOD_NONE, "bigint"},
    {21, 1005, WB_INT, MOD_NONE, "smallint"},
    {22, 1006, WB_OTHER, MOD_NONE, "int2vector"},
    {23, 1007, WB_INT, MOD_NONE, "integer"},
    {24, 1008, WB_OTHER, MOD_NONE, "regproc"},
    {25, 1009, WB_TEXT, MOD_NONE, "text"},
    {26, 1028, WB_UINT, MOD_NONE, "oid"},
    {27, 1010, WB_OTHER, MOD_NONE, "tid"},
    {28, 1011, WB_UINT, MOD_NONE, "xid"},
    {29, 1012, WB_UINT, MOD_NONE, "cid"},
    {30, 1013, WB_OTHER, MOD_NONE, "oidvector"},
    {114, 199, WB_JSON, MOD_NONE, "json"},
    {142, 143, WB_TEXT, MOD_NONE, "xml"},
    {600, 1017, WB_OTHER, MOD_NONE, "point"},
    {601, 1018, WB_OTHER, MOD_NONE, "lseg"},
    {602, 1019, WB_OTHER, MOD_NONE, "path"},
    {603, 1020, WB_OTHER, MOD_NONE, "box"},
    {604, 1027, WB_OTHER, MOD_NONE, "polygon"},
    {628, 629, WB_OTHER, MOD_NONE, "line"},
    {650, 651, WB_OTHER, MOD_NONE, "cidr"},
    {700, 1021, WB_FLOAT, MOD_NONE, "real"},
    {701, 1022, WB_FLOAT, MOD_NONE, "double precision"},
    {718, 719, WB_OTHER, MOD_NONE, "circle"},
    {774, 775, WB_OTHER, MOD_NONE, "macaddr8"},
    {790, 791, WB_OTHER, MOD_NONE, "money"},
    {829, 1040, WB_OTHER, MOD_NONE, "macaddr"},
    {869, 1041, WB_OTHER, MOD_NONE, "inet"},
    {1033, 1034, WB_OTHER, MOD_NONE, "aclitem"},
    {1042, 1014, WB_TEXT, MOD_LENGTH, "character"},
    {1043, 1015, WB_TEXT, MOD_LENGTH, "character varying"},
    {1082, 1182, WB_DATE, MOD_NONE, "date"},
    {1083, 1183, WB_TIME, MOD_PRECISION, "time"},
    {1114, 1115, WB_TIMESTAMP, MOD_PRECISION, "timestamp"},
    {1184, 1185, WB_TIMESTAMPTZ, MOD_PRECISION, "timestamptz"},
    {1186, 1187, WB_INTERVAL, MOD_INTERVAL, "interval"},
    {1266, 1270, WB_OTHER, MOD_PRECISION, "timetz"},
    {1560, 1561, WB_OTHER, MOD_BITS, "bit"},
    {1562, 1563, WB_OTHER, MOD_BITS, "bit varying"},
    {1700, 1231, WB_DECIMAL, MOD_NUMERIC, "numeric"},
    {1790, 2201, WB_OTHER, MOD_NONE, "refcursor"},
    {2202, 2207, WB_OTHER, MOD_NONE, "regprocedure"},
    {2203, 2208, WB_OTHER, MOD_NONE, "regoper"},
    {2204, 2209, WB_OTHER, MOD_NONE, "regoperator"},
    {2205, 2210, WB_OTHER, MOD_NONE, "regclass"},
    {2206, 2211, WB_OTHER, MOD_NONE, "regtype"},
    {2950, 2951, WB_UUID, MOD_NONE, "uuid"},
    {2970, 2949, WB_OTHER, MOD_NONE, "txid_snapshot"},
    {3220, 3221, WB_OTHER, MOD_NONE, "pg_lsn"},
    {3614, 3643, WB_OTHER, MOD_NONE, "tsvector"},
    {3615, 3645, WB_OTHER, MOD_NONE, "tsquery"},
    {3734, 3735, WB_OTHER, MOD_NONE, "regconfig"},
    {3769, 3770, WB_OTHER, MOD_NONE, "regdictionary"},
    {3802, 3807, WB_JSON, MOD_NONE, "jsonb"},
    {3904, 3905, WB_RANGE, MOD_NONE, "int4range"},
    {3906, 3907, WB_RANGE, MOD_NONE, "numrange"},
    {3908, 3909, WB_RANGE, MOD_NONE, "tsrange"},
    {3910, 3911, WB_RANGE, MOD_NONE, "tstzrange"},
    {3912, 3913, WB_RANGE, MOD_NONE, "daterange"},
    {3926, 3927, WB_RANGE, MOD_NONE, "int8range"},
    {4072, 4073, WB_OTHER, MOD_NONE, "jsonpath"},
    {4089, 4090, WB_OTHER, MOD_NONE, "regnamespace"},
    {4096, 4097, WB_OTHER, MOD_NONE, "regrole"},
    {4191, 4192, WB_OTHER, MOD_NONE, "regcollation"},
    {4451, 6150, WB_RANGE, MOD_NONE, "int4multirange"},
    {4532, 6151, WB_RANGE, MOD_NONE, "nummultirange"},
    {4533, 6152, WB_RANGE, MOD_NONE, "tsmultirange"},
    {4534, 6153, WB_RANGE, MOD_NONE, "tstzmultirange"},
    {4535, 6155, WB_RANGE, MOD_NONE, "datemultirange"},
    {4536, 6157, WB_RANGE, MOD_NONE, "int8multirange"},
    {5038, 5039, WB_OTHER, MOD_NONE, "pg_snapshot"},
    {5069, 271, WB_UINT, MOD_NONE, "xid8"},
};

/* NULL: not built in. *array: the OID is that of the array of the type. */
static const type_info *type_find(uint32_t oid, bool *array)
{
    for (size_t i = 0; oid != 0 && i < WB_COUNT(type_table); i++) {
        const type_info *t = &type_table[i];
        if (t->oid == oid || t->array_oid == oid) {
            *array = t->array_oid == oid;
            return t;
        }
    }
    *array = false;
    return NULL;
}

wb_kind pg_type_kind(uint32_t oid)
{
    bool array;
    const type_info *t = type_find(oid, &array);
    if (!t) return WB_OTHER;
    return array ? WB_ARRAY : (wb_kind)t->kind;
}

/* The field words of an interval's modifier, as src/backend/utils/adt/timestamp.c of PostgreSQL packs them. */
static void interval_mod(int32_t mod, wb_out *out)
{
    enum { MONTH = 1 << 1, YEAR = 1 << 2, DAY = 1 << 3, HOUR = 1 << 10, MINUTE = 1 << 11, SECOND = 1 << 12 };
    static const struct {
        uint16_t mask;
        const char *words;
    } fields[] = {
        {YEAR, " year"},
        {MONTH, " month"},
        {DAY, " day"},
        {HOUR, " hour"},
        {MINUTE, " minute"},
        {SECOND, " second"},
        {YEAR | MONTH, " year to month"},
        {DAY | HOUR, " day to hour"},
        {DAY | HOUR | MINUTE, " day to minute"},
        {DAY | HOUR | MINUTE | SECOND, " day to second"},
        {HOUR | MINUTE, " hour to minute"},
        {HOUR | MINUTE | SECOND, " hour to second"},
        {MINUTE | SECOND, " minute to second"},
    };
    uint32_t range = ((uint32_t)mod >> 16) & 0x7fff, precision = (uint32_t)mod & 0xffff;
    for (size_t i = 0; i < WB_COUNT(fields); i++)
        if (fields[i].mask == range) wb_out_z(out, fields[i].words);
    if (precision <= 6) wb_out_printf(out, "(%u)", precision);
}

static void type_mod(mod_style style, int32_t mod, wb_out *out)
{
    switch (style) {
    case MOD_LENGTH:
        if (mod >= 4) wb_out_printf(out, "(%d)", mod - 4);
        break;
    case MOD_NUMERIC:
        if (mod >= 4) {
            int32_t m = mod - 4, scale = ((m & 0x7ff) ^ 1024) - 1024; /* 11 bits, signed since PostgreSQL 15 */
            wb_out_printf(out, "(%d,%d)", (m >> 16) & 0xffff, scale);
        }
        break;
    case MOD_BITS:
    case MOD_PRECISION: wb_out_printf(out, "(%d)", mod); break;
    case MOD_INTERVAL: interval_mod(mod, out); break;
    case MOD_NONE: break;
    }
}

void pg_type_name(uint32_t oid, int32_t mod, wb_out *out)
{
    bool array;
    const type_info *t = type_find(oid, &array);
    if (!t) {
        wb_out_printf(out, "type %u", oid);
        return;
    }
    /* "character" alone would mean character(1) */
    wb_out_z(out, t->oid == 1042 && mod < 0 ? "bpchar" : t->name);
    if (mod >= 0) type_mod((mod_style)t->style, mod, out);
    if (array) wb_out_z(out, "[]");
}

wb_value pg_value_of_text(wb_kind kind, const char *text, uint32_t len) { return pg_value_inline(kind, text, len); }

/* types.h: column types: as information_schema writes them, as the log has them, as values are here. Pure.
 * Shared by schema.c (tables), tablemap.c (plans) and text.c (snapshots). */
#ifndef WB_MY_TYPES_H
#define WB_MY_TYPES_H
#include "charset.h"
#include "schema.h"

/* Type bytes of the log. */
enum {
    MY_T_DECIMAL = 0,
    MY_T_TINY = 1,
    MY_T_SHORT = 2,
    MY_T_LONG = 3,
    MY_T_FLOAT = 4,
    MY_T_DOUBLE = 5,
    MY_T_NULL = 6,
    MY_T_TIMESTAMP = 7,
    MY_T_LONGLONG = 8,
    MY_T_INT24 = 9,
    MY_T_DATE = 10,
    MY_T_TIME = 11,
    MY_T_DATETIME = 12,
    MY_T_YEAR = 13,
    MY_T_VARCHAR = 15,
    MY_T_BIT = 16,
    MY_T_TIMESTAMP2 = 17,
    MY_T_DATETIME2 = 18,
    MY_T_TIME2 = 19,
    MY_T_TYPED_ARRAY = 20,
    MY_T_BLOB_COMPRESSED = 140,
    MY_T_VARCHAR_COMPRESSED = 141,
    MY_T_VECTOR = 242,
    MY_T_JSON = 245,
    MY_T_NEWDECIMAL = 246,
    MY_T_ENUM = 247,
    MY_T_SET = 248,
    MY_T_BLOB = 252,
    MY_T_VAR_STRING = 253,
    MY_T_STRING = 254,
    MY_T_GEOMETRY = 255
};

/* What a type is, whoever says it. */
typedef enum my_family {
    MY_F_UNKNOWN = 0,
    MY_F_INT, /* size 1, 2, 3, 4, 8 */
    MY_F_FLOAT,
    MY_F_DOUBLE,
    MY_F_DECIMAL, /* precision, scale */
    MY_F_YEAR,
    MY_F_DATE,
    MY_F_TIME,      /* fsp */
    MY_F_DATETIME,  /* fsp */
    MY_F_TIMESTAMP, /* fsp */
    MY_F_CHAR,      /* size: characters; text or, with the binary charset, bytes */
    MY_F_VARCHAR,   /* size: characters */
    MY_F_BLOB,      /* size: bytes of the length, 1 to 4; text by charset */
    MY_F_BIT,       /* size */
    MY_F_ENUM,
    MY_F_SET,
    MY_F_JSON,
    MY_F_GEOMETRY, /* detail: which */
    MY_F_VECTOR,   /* size: dimensions */
    MY_F_UUID,
    MY_F_INET4,
    MY_F_INET6,
    MY_F_TYPED_ARRAY
} my_family;

typedef struct my_type_info {
    uint8_t family;
    bool is_unsigned, compressed;
    uint8_t detail;
    uint32_t size; /* or precision, or fsp */
    uint32_t scale;
    const my_charset *charset; /* of CHAR, VARCHAR, BLOB, ENUM, SET; NULL: not known */
    wb_str labels;             /* of information_schema: 'a','b' without the parentheses */
} my_type_info;

/* "int(10) unsigned", with CHARACTER_SET_NAME. Family MY_F_UNKNOWN: no type that we know. */
void my_type_parse(wb_str type, wb_str charset, my_type_info *out);
/* From a column of a table map. */
void my_type_of_map(const my_map_col *c, my_flavor flavor, my_type_info *out);
/* Can the column of the log be of the declared type? */
bool my_type_fits(const my_type_info *declared, const my_map_col *c, my_flavor flavor);
/* As the server writes it: "int unsigned", "varchar(63)", MariaDB "int(11)". labels: of ENUM and SET, n of them, UTF-8. */
void my_type_name(const my_type_info *t, const wb_str *labels, uint32_t n, my_flavor flavor, wb_out *out);
wb_kind my_type_kind(const my_type_info *t);
/* For wb_column: the same whoever said the type. */
uint32_t my_type_id(const my_type_info *t);
int32_t my_type_mod(const my_type_info *t);
/* The next label of information_schema's list; false: no more. `buf` has room for the list. */
bool my_next_label(wb_str *list, char *buf, wb_str *out);
#endif

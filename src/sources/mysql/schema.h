/* schema.h: what is known of a table: from its TABLE_MAP in the log, and from information_schema or a history of it.
 * And text of the SQL protocol to the values that the log's bytes give: snapshot and stream show the same. Pure. */
#ifndef WB_MY_SCHEMA_H
#define WB_MY_SCHEMA_H
#include "base/arena.h"
#include "base/buf.h"
#include "gtid.h"

/* ---- what a TABLE_MAP says. Views into the event and the decoder's scratch: for the length of the hook's call. */
typedef struct my_map_col {
    uint8_t type;  /* column type byte; ENUM and SET already told from STRING                            */
    uint16_t meta; /* in the order of the bytes: first << 8 | second for two single bytes, else the number */
    bool not_null;
    bool is_unsigned;   /* with has_signs                                                                     */
    bool visible;       /* true unless the server said otherwise                                              */
    uint32_t collation; /* id; 0: not said                                                                    */
    uint32_t detail;    /* geometry type, dimensions of a vector; else 0                                      */
    wb_str name;        /* with has_names                                                                     */
    wb_str labels;      /* ENUM, SET: as on the wire: (length, bytes) × nlabels                               */
    uint32_t nlabels;   /* 0: not said                                                                        */
} my_map_col;

typedef struct my_map {
    uint64_t id; /* of the map, in this connection only */
    wb_str schema, name;
    uint32_t ncols;
    const my_map_col *cols;
    bool has_names, has_signs, has_charsets, has_key;
    uint32_t nkey; /* with has_key */
    const uint16_t *key;
    my_flavor flavor; /* of the server that wrote it */
} my_map;

/* By name: what the ledger of a copy knows a table by, and what tables of tables are in slots by. States have it. */
#define MY_FNV1A 1469598103934665603u
static inline uint64_t my_table_id(wb_str schema, wb_str name)
{
    static const char between = 0;
    return wb_fnv1a(wb_fnv1a(wb_fnv1a(MY_FNV1A, schema.ptr, schema.len), &between, 1), name.ptr, name.len);
}

/* A table of which no columns are known, for a statement about it; with an empty name a schema. NULL: no memory. */
wb_table *my_bare_table(wb_str schema, wb_str name);

/* ---- what information_schema.columns says (ORDER BY ordinal_position), invisible and generated columns included */
/* Beside WB_COL_NOT_NULL, WB_COL_GENERATED. COMPUTED: its default is an expression or a counter. */
enum { MY_COL_INVISIBLE = 32, MY_COL_COMPUTED = 128 };
typedef struct my_schema_col {
    wb_str name;
    wb_str type;    /* COLUMN_TYPE: "int(10) unsigned", "enum('a','b')", "uuid"                               */
    wb_str charset; /* CHARACTER_SET_NAME: "latin1"; empty: none                                              */
    int32_t id;     /* of the column, stable across renames, if the caller has one; else 0                    */
    uint32_t srid;
    uint8_t flags;        /* WB_COL_NOT_NULL, WB_COL_GENERATED, MY_COL_INVISIBLE                                     */
    wb_str default_sql;   /* COLUMN_DEFAULT; ptr NULL: none                                                   */
    uint8_t missing_kind; /* what rows have that are older than the column: wb_kind; WB_ABSENT: not known     */
    wb_str comment;       /* COLUMN_COMMENT                                                                   */
    wb_str extra;         /* EXTRA: "auto_increment"                                                          */
    wb_str missing;       /* its text, unless it is NULL                                                      */
} my_schema_col;
/* What only it knows of a column: its default and what older rows have, charset, comment, EXTRA. */
void my_schema_describe(const my_schema_col *from, wb_column *to);

typedef enum my_engine {
    MY_ENGINE_UNKNOWN,
    MY_ENGINE_TRANSACTIONAL, /* a ROLLBACK undoes its rows: InnoDB, RocksDB                                    */
    MY_ENGINE_PLAIN          /* MyISAM, Aria, MEMORY: a ROLLBACK does not                                      */
} my_engine;

typedef struct my_schema {
    uint64_t id; /* becomes wb_table.id; 0: none                                                               */
    wb_str schema, name;
    uint32_t ncols; /* 0: nothing is known beyond the table map                                                */
    const my_schema_col *cols;
    uint32_t nkey; /* primary key, else the unique key that identifies a row; 0: take the table map's          */
    const uint16_t *key;
    wb_str index; /* that has them, while it is being looked at; empty: not known                              */
    my_engine engine;
} my_schema;

/* Do the columns of the map (number, types, metadata) fit what the schema says? `why` (may be NULL) names the first
 * that does not: "column 3 (price) is decimal(12,2) in the schema and varchar in the log". */
bool my_schema_fits(const my_schema *s, const my_map *m, char *why, size_t cap);

/* The table (one reference) of a schema alone: what the same schema gives with a map of it. NULL: err says why. */
wb_table *my_table_of_schema(const my_schema *s, my_flavor flavor, wb_error *err);

/* ---- policies */
typedef enum my_zero_dates { MY_ZERO_TEXT = 0, MY_ZERO_NULL } my_zero_dates;  /* 0000-00-00, 2024-00-15 */
typedef enum my_bad_text { MY_TEXT_REFUSE = 0, MY_TEXT_REPLACE } my_bad_text; /* bytes that are not of the charset */
typedef struct my_policy {
    my_zero_dates zero_dates;
    my_bad_text bad_text;
} my_policy;

/* ---- snapshots: one field of the text protocol (session: SET NAMES utf8mb4, time_zone '+00:00') to the value that
 * the stream gives for it. NULL fields are the caller's. FLOAT columns must be selected so that the text holds all
 * digits (`my_select_expression`). Bytes are copied into the batch. */
wb_code my_value_of_text(const wb_table *t, uint32_t col, const char *p, size_t n, const my_policy *policy, wb_batch *b,
                         wb_value *out, wb_error *err) WB_MUST;
/* What to select for the column: its quoted name, or an expression around it. Appends. */
void my_select_expression(const wb_table *t, uint32_t col, my_flavor flavor, wb_out *out);
#endif

/* debezium.h: the parts of the format `debezium`, shared by its files: how a column becomes a field (types), how its
 * values become JSON (values), what is made once per version of a table (plans), and the messages (debezium.c).
 * One thread a context. */
#ifndef WB_DEBEZIUM_H
#define WB_DEBEZIUM_H
#include "formats/formats.h"

typedef enum dbz_decimal { DBZ_PRECISE, DBZ_DOUBLE, DBZ_STRING } dbz_decimal;
typedef enum dbz_time { DBZ_ADAPTIVE, DBZ_ADAPTIVE_MICROS, DBZ_CONNECT, DBZ_ISO, DBZ_MICROS, DBZ_NANOS } dbz_time;
typedef enum dbz_binary { DBZ_BASE64_BYTES, DBZ_BASE64, DBZ_BASE64_URL, DBZ_HEX } dbz_binary;
typedef enum dbz_deletes {
    DBZ_DEL_TOMBSTONE,
    DBZ_DEL_DROP,
    DBZ_DEL_REWRITE,
    DBZ_DEL_REWRITE_TOMBSTONE,
    DBZ_DEL_TO_TOMBSTONE
} dbz_deletes;
typedef enum dbz_telling { DBZ_TELL_NONE, DBZ_TELL, DBZ_TELL_AUTO } dbz_telling;
typedef enum dbz_wrap { DBZ_ENVELOPE, DBZ_UNWRAP, DBZ_CLOUD, DBZ_CLOUD_BINARY } dbz_wrap;

/* ---------------------------------------------------------------- fields */

/* What is made of a value. */
typedef enum dbz_conv {
    DBZ_DROP,   /* the column is left out */
    DBZ_PLAIN,  /* as json.c writes it: numbers, booleans */
    DBZ_QUOTED, /* its text */
    DBZ_BYTES,
    DBZ_TEXT_BYTES, /* the bytes of its text: types that nobody knows */
    DBZ_UNSCALED,   /* decimal of a fixed scale */
    DBZ_SCALED,     /* struct of scale and value */
    DBZ_DECIMAL_TEXT,
    DBZ_DECIMAL_DOUBLE,
    DBZ_DATE, /* the next ten: from text or number to a number of units, or ISO text */
    DBZ_DATE_ISO,
    DBZ_TIME,
    DBZ_TIME_ISO,
    DBZ_STAMP,
    DBZ_STAMP_ISO,
    DBZ_ZONED,
    DBZ_ZONED_TIME,
    DBZ_INTERVAL,
    DBZ_INTERVAL_ISO,
    DBZ_BIT,
    DBZ_BITS,
    DBZ_HSTORE_JSON,
    DBZ_HSTORE_MAP,
    DBZ_POINT, /* the next seven: geometry */
    DBZ_LINE,
    DBZ_LSEG,
    DBZ_BOX,
    DBZ_PATH,
    DBZ_POLYGON,
    DBZ_CIRCLE,
    DBZ_LONG_WRAP,  /* bigint unsigned as a signed one */
    DBZ_FLOAT_WIDE, /* float(7,2) */
    DBZ_TRUTH,      /* tinyint(1) as a boolean */
    DBZ_WKB_POINT,  /* MySQL's geometry */
    DBZ_WKB,
    DBZ_VECTOR, /* MySQL's: a list of floats */
    DBZ_ARRAY
} dbz_conv;

typedef struct dbz_field {
    uint8_t conv, of; /* dbz_conv; of: of the elements of an array */
    uint8_t kind;     /* wb_kind of the elements */
    bool optional, money;
    bool lossy;         /* MySQL's dates and times: what the field cannot hold is null, or else the default */
    bool quoted_labels; /* of MySQL: 'a','b' */
    int16_t scale;      /* decimals: digits after the point; times: units a microsecond (1), or µs a unit (-1000) */
    int16_t digits;     /* times: digits of a second that are written */
    int16_t width;      /* bits: bytes; 0: as many as it takes */
    uint8_t rule;       /* column rule + 1; 0: none */
    const char *type;   /* "int32" */
    const char *name;   /* "io.debezium.time.Date"; NULL: none */
    const char *doc;    /* NULL: none */
    wb_str comment;     /* of the column, where it is wanted; doc comes first */
    const char *inner;  /* members of the schema object between type and optional; NULL: none */
    uint8_t version;
    char params[96]; /* members of "parameters"; "" none */
    wb_str labels;   /* "allowed" */
} dbz_field;

/* ---------------------------------------------------------------- rules for columns, in Debezium's names */

typedef enum dbz_rule_kind {
    DBZ_RULE_MASK,
    DBZ_RULE_TRUNCATE,
    DBZ_RULE_HASH,
    DBZ_RULE_SOURCE_TYPE,
    DBZ_RULE_BOOLEAN
} dbz_rule_kind;
typedef struct dbz_rule {
    dbz_rule_kind kind;
    int64_t length;
    const char *algorithm, *salt;
    bool v2;
    struct re_pattern_buffer *patterns; /* regex_t: on schema.table.column */
} dbz_rule;
enum { DBZ_RULES = 64 };

/* ---------------------------------------------------------------- plans */

typedef struct dbz_span { /* of dbz_plan.text */
    size_t at, len;
} dbz_span;

typedef struct dbz_plan {
    uint64_t serial;
    struct dbz_plan *next;
    uint32_t ncols, nkey;
    bool routed;       /* the topic is a route transform's */
    dbz_field *fields; /* ncols */
    dbz_span *defs;    /* ncols: JSON of the default; len 0: none                                                */
    dbz_span *zeros;   /* ncols: what a field that may not be null shows when the source did not send its value  */
    uint16_t *key;     /* nkey; a column index each */
    size_t *at;        /* ncols + 1: ,"name": from names.at on */
    wb_out text;
    dbz_span names, topic;
    dbz_span key_head;   /* {"schema":...,"payload": */
    dbz_span value_head; /* the same of a value; with unwrap: of a row */
    dbz_span db;         /* ","db":"x","sequence": */
    dbz_span table;      /* ,"schema":"s","table":"t" */
    dbz_span collection; /* s.t, as transaction metadata says it */
    dbz_span schema_name, table_name, database;
} dbz_plan;

enum { DBZ_SLOTS = 256, DBZ_PLANS_MAX = 4096, DBZ_ITEMS = 8, DBZ_HEADERS = 40 };

typedef struct dbz_counted { /* of the open transaction, per table */
    size_t name_at, name_len;
    uint64_t serial, events;
} dbz_counted;

typedef struct dbz {
    /* options */
    const char *prefix, *delimiter, *unavailable, *transaction_topic, *heartbeat_prefix, *version, *unwrap_prefix;
    bool schemas, tombstones, extended_headers, unknown, metadata, unwrap, null_as_default, skip_unchanged,
        schema_comments;
    bool is_cloud;
    int cloud_mode, schema_changes; /* dbz_telling */
    int decimal, time, binary, interval, hstore, bigint_unsigned, deletes;
    int64_t money_digits, heartbeat_ms;
    wb_list skip, key_columns, add_fields, add_headers;
    const wb_node *columns;

    dbz_wrap wrap;
    const char *source, *connector; /* "postgres", "postgresql" */
    uint8_t skipped;                /* bit a letter of "cudtrm" */
    dbz_rule rules[DBZ_RULES];
    size_t nrules;
    char *kept[DBZ_RULES];
    size_t nkept;
    dbz_plan *slots[DBZ_SLOTS];
    const dbz_plan *last;
    size_t nplans;

    /* what the transaction's messages share */
    const wb_txn *txn;
    wb_out identity, head, seq, stamps, tail, txid;
    int64_t commit_us;
    size_t id_len, global_len, at_len;
    bool ready;
    uint64_t since_clock;
    wb_out clock;
    uint64_t last_commit;
    bool is_first, first_due; /* of the snapshot's rows */

    /* transaction metadata */
    bool open_txn;
    uint64_t total;
    wb_out open_id, names;
    dbz_counted *counted;
    size_t ncounted, cap_counted;

    int64_t heartbeat_at;
    wb_header base[4];
    size_t nbase;
    char run_id[40];
    bool is_postgres, is_mariadb, extended_keys;
    bool tells_changes; /* of schemas */
    bool offline;       /* log files: what is not in the log may be known to nobody */

    /* the messages of one call */
    wb_out key, old_key, key_schema, old_key_schema, value, value2, extra, extra_key, header_text;
    wb_out extra_topic, message_topic, schema_key, schema_value;
    wb_out scratch, limbs, changed, element; /* within one value */
    wb_header headers[DBZ_ITEMS][DBZ_HEADERS];
    wb_message items[DBZ_ITEMS];
    size_t n;
    struct {
        size_t item, header, name_at, name_len, value_at, value_len;
    } late[2 *
           DBZ_HEADERS]; /* headers whose text is in header_text, which may still move; name_len 0: the name is there */
    size_t nlate;
} dbz;

/* debezium_types.c: what a column is. False: it is left out. `inner` and labels live in `o`, which must not move after.
 */
bool dbz_field_of(const dbz *d, const wb_column *c, dbz_field *f);
/* {"type":...}; def: JSON of the default, or empty; more: members of "parameters", or empty; name: the field's, or
 * NULL. */
void dbz_put_schema(wb_out *o, const dbz_field *f, wb_str def, wb_str more, const wb_str *name);
/* Parts of it that MySQL's types need, too. digits: of a second; -1: not said. */
void dbz_decimal_field(const dbz *d, dbz_field *f, int precision, int scale);
void dbz_fixed_decimal(dbz_field *f, int precision, int scale);
void dbz_date_field(const dbz *d, dbz_field *f);
void dbz_time_field(const dbz *d, dbz_field *f, int digits);
void dbz_timestamp_field(const dbz *d, dbz_field *f, int digits);
void dbz_zoned_field(dbz_field *f, int digits);
void dbz_bytes_field(const dbz *d, dbz_field *f, dbz_conv conv);
void dbz_bits_field(dbz_field *f, int32_t length);
/* debezium_mysql.c */
typedef struct dbz_my_type { /* "decimal(5,2) unsigned" */
    char name[24];
    int args[2], nargs;
    wb_str list; /* between the parentheses */
    bool is_unsigned, zerofill;
} dbz_my_type;
void dbz_my_type_read(wb_str text, dbz_my_type *t);
bool dbz_my_says(wb_str s, const char *word);    /* the word is in it, in any case of letters */
bool dbz_my_next_label(wb_str *list, wb_out *o); /* of 'a','b'; appends it; false: no more */
void dbz_my_put_type(const dbz_my_type *t, wb_out *o);
void dbz_my_sizes(const dbz_my_type *t, int *length, int *scale);
bool dbz_my_field(const dbz *d, const wb_column *c, dbz_field *f);
void dbz_my_boolean(const wb_column *c, dbz_field *f);
bool dbz_my_default(const dbz *d, const wb_column *c, const dbz_field *f, wb_out *o, wb_value *v);
/* A default as text that is no SQL any more; false: none, or computed. */
bool dbz_my_default_text(const dbz *d, const wb_column *c, wb_out *o);
bool dbz_put_wkb(wb_out *o, const wb_value *v, bool point);
bool dbz_put_wide(wb_out *o, const wb_value *v);
/* debezium_default.c: a default that is a constant, as a value; false: it is none. Text from `o`. */
static inline wb_str dbz_str(const dbz_plan *p, dbz_span s) { return (wb_str){p->text.p + s.at, s.len}; }
bool dbz_default_of(const wb_column *c, const dbz_field *f, wb_out *o, wb_value *v);

/* debezium_value.c */
wb_code dbz_put(dbz *d, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err) WB_MUST;
void dbz_put_unavailable(dbz *d, const dbz_field *f, wb_out *o);
void dbz_put_binary(const dbz *d, wb_out *o, const void *p, size_t n); /* quoted, by the option */
/* debezium_java.c: text and numbers in the bytes that Java writes */
void dbz_escape(wb_out *o, const char *p, size_t n);
void dbz_string(wb_out *o, wb_str s); /* in quotes */
void dbz_string_or_null(wb_out *o, wb_str s);
void dbz_put_double(wb_out *o, double v);
void dbz_put_floats(wb_out *o, const char *p, size_t n); /* of "[1,2.5]" */
void dbz_java_number(wb_out *o, size_t at, bool single);
/* debezium_decimal.c: the unscaled value as quoted base64. variable: *scale is set. False: not a number. */
bool dbz_put_unscaled(dbz *d, wb_out *o, const char *p, size_t n, bool variable, int *scale);
/* debezium_time.c: text forms of PostgreSQL to numbers; false: not one. Infinity: the largest and smallest. */
bool dbz_days(const wb_value *v, int64_t *days);
bool dbz_micros(const wb_value *v, int64_t *us);               /* since 1970, or since midnight */
bool dbz_split(const wb_value *v, int64_t *days, int64_t *us); /* of a timestamp; infinity in days */
bool dbz_interval(const char *p, size_t n, int64_t *us);
bool dbz_interval_iso(wb_out *o, const char *p, size_t n);
bool dbz_zoned_time(wb_out *o, const char *p, size_t n);
void dbz_put_iso_date(wb_out *o, int64_t days);
void dbz_put_iso_clock(wb_out *o, int64_t us, int digits); /* digits < 0: as many as there are */
/* debezium_text.c */
bool dbz_put_hstore(wb_out *o, const char *p, size_t n, bool json_text, wb_out *scratch);
bool dbz_put_geometry(wb_out *o, dbz_conv what, const char *p, size_t n, wb_out *scratch);
bool dbz_put_array(dbz *d, const dbz_field *f, const char *p, size_t n, wb_out *o, wb_error *err);

/* debezium_plan.c */
const dbz_plan *dbz_plan_of(dbz *d, const wb_txn *txn, const wb_table *t, wb_error *err);
void dbz_plans_free(dbz *d);
void dbz_put_source_schema(const dbz *d, wb_out *o, bool transaction);
/* debezium_rules.c */
wb_code dbz_rules_read(dbz *d, wb_error *err) WB_MUST;
void dbz_rules_free(dbz *d);
/* The last of those that change values (what: DBZ_RULE_HASH), or one of that kind; -1: none. */
int dbz_rule_for(const dbz *d, const wb_table *t, const wb_column *c, dbz_rule_kind what);
wb_code dbz_apply_rule(dbz *d, const dbz_rule *r, const dbz_field *f, const wb_value *v, wb_out *o,
                       wb_error *err) WB_MUST;
void dbz_source_type_params(const dbz *d, const wb_column *c, wb_out *o);
/* debezium_txn.c */
void dbz_begin(dbz *d);
void dbz_count(dbz *d, const dbz_plan *p, wb_out *block);
void dbz_end(dbz *d);
void dbz_message(dbz *d, const wb_txn *txn, const wb_change *c);
void dbz_heartbeat(dbz *d);
/* debezium.c */
wb_code dbz_messages(void *ctx, const wb_txn *txn, const wb_change *c, wb_messages *out, wb_error *err);
wb_message *dbz_add(dbz *d, wb_str topic, wb_str key, wb_str value);
void dbz_header(dbz *d, wb_message *m, const char *name, wb_str value);
/* One whose text is in header_text. */
void dbz_header_late(dbz *d, wb_message *m, const char *name, size_t name_at, size_t name_len, size_t value_at,
                     size_t value_len);
const char *dbz_marker(const dbz *d, const wb_change *c); /* of `snapshot` */
void dbz_put_source(dbz *d, const wb_txn *txn, const dbz_plan *p, const wb_change *c, wb_out *o);
wb_code dbz_put_row(dbz *d, const dbz_plan *p, const wb_value *values, wb_out *o, wb_error *err) WB_MUST;
wb_code dbz_put_sides(dbz *d, const dbz_plan *p, const wb_value *before, const wb_value *after, wb_out *o,
                      wb_error *err) WB_MUST;
void dbz_put_place(const wb_txn *txn, const wb_change *c, wb_out *o); /* of MySQL: pos, row, thread, query} */
void dbz_put_sequence(const dbz *d, const wb_change *c, wb_out *o);   /* the value of `sequence` */
void dbz_put_log_place(const dbz *d, const wb_txn *txn, const wb_change *c, wb_out *o); /* what follows `table` */
void dbz_add_base(dbz *d, wb_message *m);                                               /* headers of every message */
/* debezium_schema_columns.c */
void dbz_put_change_column(dbz *d, const wb_column *c, uint32_t position, wb_out *o);
/* debezium_schema.c */
void dbz_schema_change(dbz *d, const wb_txn *txn, const wb_change *c);
/* debezium_unwrap.c */
wb_code dbz_unwrap_read(dbz *d, wb_error *err) WB_MUST;
void dbz_unwrap_schema(const dbz *d, wb_out *o);
wb_code dbz_put_unwrapped(dbz *d, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op,
                          const wb_value *before, const wb_value *after, wb_out *o, wb_error *err) WB_MUST;
void dbz_unwrap_headers(dbz *d, wb_message *m, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op);
/* One field of `source`, or op, ts_ms, as JSON, by its name; false: no such field. NULL o: only look. */
bool dbz_put_member(dbz *d, const char *name, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op,
                    wb_out *o);
const char *dbz_member_type(const char *name); /* of the schema; NULL: no such field */
/* cloudevents.c */
wb_code dbz_put_cloud(dbz *d, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op, const wb_value *before,
                      const wb_value *after, wb_out *o, wb_error *err) WB_MUST;
void dbz_cloud_headers(dbz *d, wb_message *m, const dbz_plan *p, const wb_txn *txn, const wb_change *c, char op);
/* debezium_options.c */
wb_code dbz_open(void *ctx, const char *pipeline, wb_error *err);
void dbz_close(void *ctx);
void dbz_about(void *ctx, const char *source);
const char *dbz_writes(const wb_column *c);
#endif

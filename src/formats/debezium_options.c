/* debezium_options.c: the options of the formats `debezium` and `cloudevents`, and what they mean. Names are Debezium's
 * with another dress: decimal.handling.mode is `decimal`. */
#include <stdio.h>
#include <sys/random.h>

#include "base/clock.h"
#include "formats/debezium.h"

static const wb_choice decimal_choices[] = {{"precise", DBZ_PRECISE, "the unscaled number's bytes"},
                                            {"double", DBZ_DOUBLE, "a number, which may not hold it"},
                                            {"string", DBZ_STRING, "all digits as text"},
                                            {NULL, 0, NULL}};
static const wb_choice time_choices[] = {
    {"adaptive", DBZ_ADAPTIVE, "milliseconds up to 3 digits, else microseconds"},
    {"adaptive_time_microseconds", DBZ_ADAPTIVE_MICROS, "the same, times of day always microseconds"},
    {"connect", DBZ_CONNECT, "Kafka Connect's own types, milliseconds"},
    {"isostring", DBZ_ISO, "ISO 8601 text"},
    {"microseconds", DBZ_MICROS, NULL},
    {"nanoseconds", DBZ_NANOS, "timestamps before 1677 and after 2262 become null"},
    {NULL, 0, NULL}};
static const wb_choice binary_choices[] = {{"bytes", DBZ_BASE64_BYTES, "bytes, which JSON has in base64"},
                                           {"base64", DBZ_BASE64, NULL},
                                           {"base64-url-safe", DBZ_BASE64_URL, NULL},
                                           {"hex", DBZ_HEX, NULL},
                                           {NULL, 0, NULL}};
static const wb_choice interval_choices[] = {
    {"numeric", 0, "microseconds, a month being 30.4375 days"}, {"string", 1, "P1Y2M3DT4H5M6.78S"}, {NULL, 0, NULL}};
static const wb_choice hstore_choices[] = {{"json", 0, "JSON text"}, {"map", 1, NULL}, {NULL, 0, NULL}};
static const wb_choice bigint_choices[] = {
    {"long", 0, "signed: above 2^63-1 it turns negative"}, {"precise", 1, "a decimal of scale 0"}, {NULL, 0, NULL}};
static const wb_choice delete_choices[] = {{"tombstone", DBZ_DEL_TOMBSTONE, "only a tombstone"},
                                           {"drop", DBZ_DEL_DROP, "nothing"},
                                           {"rewrite", DBZ_DEL_REWRITE, "the old row with __deleted"},
                                           {"rewrite-with-tombstone", DBZ_DEL_REWRITE_TOMBSTONE, NULL},
                                           {"delete-to-tombstone", DBZ_DEL_TO_TOMBSTONE, "only a tombstone"},
                                           {NULL, 0, NULL}};
static const wb_choice telling_choices[] = {{"auto", DBZ_TELL_AUTO, "of MySQL and MariaDB, not of PostgreSQL"},
                                            {"true", DBZ_TELL, NULL},
                                            {"false", DBZ_TELL_NONE, NULL},
                                            {NULL, 0, NULL}};
static const wb_choice mode_choices[] = {{"structured", 0, "one JSON object"},
                                         {"binary", 1, "attributes as ce_ headers, the value is the data alone"},
                                         {NULL, 0, NULL}};

#define AT(field) offsetof(dbz, field)
#define SHARED_OPTIONS                                                                                                 \
    {"prefix",                                                                                                         \
     WB_OPT_STRING,                                                                                                    \
     AT(prefix),                                                                                                       \
     0,                                                                                                                \
     NULL,                                                                                                             \
     0,                                                                                                                \
     0,                                                                                                                \
     NULL,                                                                                                             \
     "first part of topics, and `name` of the source",                                                                 \
     "Debezium: topic.prefix. Default: the pipeline's name.",                                                          \
     "lab_cdc"},                                                                                                       \
        {"schemas",                                                                                                    \
         WB_OPT_BOOL,                                                                                                  \
         AT(schemas),                                                                                                  \
         0,                                                                                                            \
         "false",                                                                                                      \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "{\"schema\":...,\"payload\":...} instead of the payload",                                                    \
         "Debezium: schemas.enable of JsonConverter, which is true there when nobody says.",                           \
         NULL},                                                                                                        \
        {"delimiter",                                                                                                  \
         WB_OPT_STRING,                                                                                                \
         AT(delimiter),                                                                                                \
         WB_OPT_ADVANCED,                                                                                              \
         ".",                                                                                                          \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "between the parts of a topic",                                                                               \
         "Debezium: topic.delimiter.",                                                                                 \
         NULL},                                                                                                        \
        {"tombstones",                                                                                                 \
         WB_OPT_BOOL,                                                                                                  \
         AT(tombstones),                                                                                               \
         0,                                                                                                            \
         "true",                                                                                                       \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "after a delete a message without value",                                                                     \
         "Debezium: tombstones.on.delete. Kafka's compaction forgets a key by it.",                                    \
         NULL},                                                                                                        \
        {"headers",                                                                                                    \
         WB_OPT_BOOL,                                                                                                  \
         AT(extended_headers),                                                                                         \
         0,                                                                                                            \
         "true",                                                                                                       \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "the headers __debezium.context.*",                                                                           \
         "Debezium: extended.headers.enabled.",                                                                        \
         NULL},                                                                                                        \
        {"skip",                                                                                                       \
         WB_OPT_LIST,                                                                                                  \
         AT(skip),                                                                                                     \
         0,                                                                                                            \
         "t",                                                                                                          \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "operations that are left out: c, u, d, t, r, m, or none",                                                    \
         "Debezium: skipped.operations, which leaves out truncates (t) when nobody says.",                             \
         "none"},                                                                                                      \
        {"skip_unchanged",                                                                                             \
         WB_OPT_BOOL,                                                                                                  \
         AT(skip_unchanged),                                                                                           \
         0,                                                                                                            \
         "false",                                                                                                      \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "no message for an update that changes nothing that is sent",                                                 \
         "Debezium: skip.messages.without.change. It needs whole old rows (PostgreSQL: REPLICA IDENTITY FULL).",       \
         NULL},                                                                                                        \
        {"decimal", WB_OPT_ENUM, AT(decimal),     0,          "precise",                                               \
         0,         0,           decimal_choices, "decimals", "Debezium: decimal.handling.mode.",                      \
         NULL},                                                                                                        \
        {"time_precision",                                                                                             \
         WB_OPT_ENUM,                                                                                                  \
         AT(time),                                                                                                     \
         0,                                                                                                            \
         "adaptive",                                                                                                   \
         0,                                                                                                            \
         0,                                                                                                            \
         time_choices,                                                                                                 \
         "dates and times",                                                                                            \
         "Debezium: time.precision.mode.",                                                                             \
         NULL},                                                                                                        \
        {"binary",                                                                                                     \
         WB_OPT_ENUM,                                                                                                  \
         AT(binary),                                                                                                   \
         0,                                                                                                            \
         "bytes",                                                                                                      \
         0,                                                                                                            \
         0,                                                                                                            \
         binary_choices,                                                                                               \
         "binary values",                                                                                              \
         "Debezium: binary.handling.mode.",                                                                            \
         NULL},                                                                                                        \
        {"interval", WB_OPT_ENUM, AT(interval),     0,           "numeric",                                            \
         0,          0,           interval_choices, "intervals", "Debezium: interval.handling.mode.",                  \
         NULL},                                                                                                        \
        {"hstore",                                                                                                     \
         WB_OPT_ENUM,                                                                                                  \
         AT(hstore),                                                                                                   \
         0,                                                                                                            \
         "json",                                                                                                       \
         0,                                                                                                            \
         0,                                                                                                            \
         hstore_choices,                                                                                               \
         "hstore columns",                                                                                             \
         "Debezium: hstore.handling.mode.",                                                                            \
         NULL},                                                                                                        \
        {"bigint_unsigned",                                                                                            \
         WB_OPT_ENUM,                                                                                                  \
         AT(bigint_unsigned),                                                                                          \
         0,                                                                                                            \
         "long",                                                                                                       \
         0,                                                                                                            \
         0,                                                                                                            \
         bigint_choices,                                                                                               \
         "MySQL's bigint unsigned",                                                                                    \
         "Debezium: bigint.unsigned.handling.mode.",                                                                   \
         NULL},                                                                                                        \
        {"money_fraction_digits",                                                                                      \
         WB_OPT_INT,                                                                                                   \
         AT(money_digits),                                                                                             \
         WB_OPT_ADVANCED,                                                                                              \
         "2",                                                                                                          \
         0,                                                                                                            \
         18,                                                                                                           \
         NULL,                                                                                                         \
         "scale of money columns",                                                                                     \
         "Debezium: money.fraction.digits.",                                                                           \
         NULL},                                                                                                        \
        {"unknown_types",                                                                                              \
         WB_OPT_BOOL,                                                                                                  \
         AT(unknown),                                                                                                  \
         0,                                                                                                            \
         "false",                                                                                                      \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "columns of types that Debezium does not know, as bytes of their text",                                       \
         "Debezium: include.unknown.datatypes. Without it these columns are left out.",                                \
         NULL},                                                                                                        \
        {"unavailable_value",                                                                                          \
         WB_OPT_STRING,                                                                                                \
         AT(unavailable),                                                                                              \
         0,                                                                                                            \
         "__debezium_unavailable_value",                                                                               \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "what stands for a value that the source did not send",                                                       \
         "Debezium: unavailable.value.placeholder.",                                                                   \
         NULL},                                                                                                        \
        {"null_as_default",                                                                                            \
         WB_OPT_BOOL,                                                                                                  \
         AT(null_as_default),                                                                                          \
         WB_OPT_ADVANCED,                                                                                              \
         "false",                                                                                                      \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "a null shows as the column's default",                                                                       \
         "What JsonConverter does (replace.null.with.default), and what loses NULLs.",                                 \
         NULL},                                                                                                        \
        {"message_key_columns",                                                                                        \
         WB_OPT_LIST,                                                                                                  \
         AT(key_columns),                                                                                              \
         0,                                                                                                            \
         NULL,                                                                                                         \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "other keys: schema.table:column,column",                                                                     \
         "Debezium: message.key.columns, with names instead of expressions.",                                          \
         "[\"public.people:email\"]"},                                                                                 \
        {"columns",                                                                                                    \
         WB_OPT_NODE,                                                                                                  \
         AT(columns),                                                                                                  \
         0,                                                                                                            \
         NULL,                                                                                                         \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL,                                                                                                         \
         "column.mask, column.truncate and column.propagate rules in Debezium's names",                                \
         "Values are regular expressions on schema.table.column.",                                                     \
         "{column.truncate.to.20.chars: public.people.note}"},                                                         \
    {                                                                                                                  \
        "source_version", WB_OPT_STRING, AT(version), WB_OPT_ADVANCED, "walbrook-" WB_VERSION, 0, 0, NULL,             \
            "`version` of the source", "For consumers that look at Debezium's.", NULL                                  \
    }

static const wb_option options[] = {
    SHARED_OPTIONS,
    {"transaction_metadata", WB_OPT_BOOL, AT(metadata), 0, "false", 0, 0, NULL,
     "number the events of a transaction; say its begin and end",
     "Debezium: provide.transaction.metadata. Begin and end go to PREFIX.transaction.", NULL},
    {"transaction_topic", WB_OPT_STRING, AT(transaction_topic), WB_OPT_ADVANCED, "transaction", 0, 0, NULL,
     "last part of that topic", "Debezium: topic.transaction.", NULL},
    {"schema_changes", WB_OPT_ENUM, AT(schema_changes), 0, "auto", 0, 0, telling_choices,
     "changes of tables go to the topic PREFIX",
     "Debezium: include.schema.changes. Its connector for PostgreSQL has none: there only `true` tells them.", NULL},
    {"schema_comments", WB_OPT_BOOL, AT(schema_comments), WB_OPT_ADVANCED, "false", 0, 0, NULL,
     "MySQL: comments of columns are in the schemas",
     "Debezium: include.schema.comments; its connector for MariaDB always does it.", NULL},
    {"heartbeat", WB_OPT_MSEC, AT(heartbeat_ms), 0, "0s", 0, 86400000, NULL,
     "a message to HEARTBEAT_PREFIX.PREFIX so often",
     "Debezium: heartbeat.interval.ms. When the source says how far it is; 0s: never.", "10s"},
    {"heartbeat_prefix", WB_OPT_STRING, AT(heartbeat_prefix), WB_OPT_ADVANCED, "__debezium-heartbeat", 0, 0, NULL,
     "first part of that topic", "Debezium: topic.heartbeat.prefix.", NULL},
    {"unwrap", WB_OPT_BOOL, AT(unwrap), 0, "false", 0, 0, NULL, "the row alone instead of the envelope",
     "Debezium: the transform ExtractNewRecordState.", NULL},
    {"deletes", WB_OPT_ENUM, AT(deletes), 0, "tombstone", 0, 0, delete_choices, "with unwrap: what becomes of a delete",
     "Debezium: delete.tombstone.handling.mode.", NULL},
    {"add_fields", WB_OPT_LIST, AT(add_fields), 0, NULL, 0, 0, NULL,
     "with unwrap: fields of the envelope that are added to the row", "Debezium: add.fields.",
     "[op, table, lsn, source.ts_ms]"},
    {"add_headers", WB_OPT_LIST, AT(add_headers), 0, NULL, 0, 0, NULL,
     "with unwrap: fields of the envelope that become headers", "Debezium: add.headers.", "[op, db]"},
    {"add_prefix", WB_OPT_STRING, AT(unwrap_prefix), WB_OPT_ADVANCED, "__", 0, 0, NULL,
     "before the names of what was added", "Debezium: add.fields.prefix and add.headers.prefix.", NULL},
    {.name = NULL}};

static const wb_option cloud_options[] = {
    SHARED_OPTIONS,
    {"mode", WB_OPT_ENUM, AT(cloud_mode), 0, "structured", 0, 0, mode_choices, "where the attributes go", NULL, NULL},
    {.name = NULL}};

/* ---------------------------------------------------------------- open and close */

void dbz_about(void *ctx, const char *source)
{
    dbz *d = ctx;
    d->source = source;
}

static wb_code read_skip(dbz *d, wb_error *err)
{
    static const char letters[] = "cudtrm";
    d->skipped = 0;
    for (size_t i = 0; i < d->skip.n; i++) {
        const char *z = d->skip.items[i], *at = strlen(z) == 1 ? strchr(letters, z[0]) : NULL;
        if (strcmp(z, "none") == 0) continue;
        if (!at) {
            wb_fail(err, WB_E_CONFIG, WB_NEVER, "`skip` of the format: there is no operation \"%s\".", z);
            wb_hint(
                err,
                "Operations are c (insert), u (update), d (delete), t (truncate), r (snapshot), m (message); or none.");
            return WB_E_CONFIG;
        }
        d->skipped |= (uint8_t)(1u << (at - letters));
    }
    return WB_OK;
}

/* A UUID of version 7, as the runs of a connector have. */
static void make_run_id(dbz *d)
{
    uint8_t b[16];
    uint64_t ms = (uint64_t)(wb_now_us() / 1000);
    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) memset(b, 0, sizeof b);
    for (int i = 0; i < 6; i++) b[i] = (uint8_t)(ms >> (40 - 8 * i));
    b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
    snprintf(d->run_id, sizeof d->run_id, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

wb_code dbz_open(void *ctx, const char *pipeline, wb_error *err)
{
    dbz *d = ctx;
    if (!d->prefix || !*d->prefix) d->prefix = pipeline;
    if (!d->source) d->source = "postgres";
    d->offline = strcmp(d->source, "binlog") == 0;
    if (d->offline) d->source = "mysql";
    d->is_postgres = strcmp(d->source, "postgres") == 0;
    bool is_mysql = strcmp(d->source, "mysql") == 0;
    if (!d->is_postgres && !is_mysql) {
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                "This version makes the format %s of changes of PostgreSQL, MySQL and MariaDB, not of a source %s.",
                d->is_cloud ? "cloudevents" : "debezium", d->source);
        wb_hint(err, "Use the format record, which every source has.");
        return WB_E_UNSUPPORTED;
    }
    d->connector = d->is_postgres ? "postgresql" : d->source;
    d->tells_changes = d->schema_changes == DBZ_TELL_AUTO ? !d->is_postgres : d->schema_changes == DBZ_TELL;
    if (!d->is_cloud) d->wrap = d->unwrap ? DBZ_UNWRAP : DBZ_ENVELOPE;
    d->extended_keys = true;
    d->nbase = 0;
    make_run_id(d);
    if (d->extended_headers) {
        d->base[0] = (wb_header){WB_STR("__debezium.context.connectorLogicalName"), wb_str_of(d->prefix)};
        d->base[1] = (wb_header){WB_STR("__debezium.context.taskId"), WB_STR("0")};
        d->base[2] = (wb_header){WB_STR("__debezium.context.connectorName"), wb_str_of(d->connector)};
        d->base[3] = (wb_header){WB_STR("__debezium.context.runId"), wb_str_of(d->run_id)};
        d->nbase = 4;
    }
    wb_code code = read_skip(d, err);
    if (code == WB_OK) code = dbz_unwrap_read(d, err);
    return code == WB_OK ? dbz_rules_read(d, err) : code;
}

void dbz_close(void *ctx)
{
    dbz *d = ctx;
    wb_out *all[] = {&d->identity,       &d->head,          &d->seq,     &d->stamps, &d->tail,      &d->txid,
                     &d->clock,          &d->open_id,       &d->names,   &d->key,    &d->old_key,   &d->key_schema,
                     &d->old_key_schema, &d->value,         &d->value2,  &d->extra,  &d->extra_key, &d->header_text,
                     &d->extra_topic,    &d->message_topic, &d->scratch, &d->limbs,  &d->changed,   &d->element,
                     &d->schema_key,     &d->schema_value};
    for (size_t i = 0; i < WB_COUNT(all); i++) wb_out_fini(all[i]);
    dbz_plans_free(d);
    dbz_rules_free(d);
    free(d->counted);
    d->counted = NULL;
    d->ncounted = d->cap_counted = 0;
    d->ready = d->open_txn = false;
}

static wb_code cloud_open(void *ctx, const char *pipeline, wb_error *err)
{
    dbz *d = ctx;
    d->is_cloud = true;
    d->wrap = d->cloud_mode ? DBZ_CLOUD_BINARY : DBZ_CLOUD;
    d->transaction_topic = "transaction";
    d->unwrap_prefix = "__";
    return dbz_open(ctx, pipeline, err);
}

/* With the options that nobody set. */
const char *dbz_writes(const wb_column *c)
{
    static const dbz plain = {.source = "postgres", .money_digits = 2};
    dbz_field f;
    if (!dbz_field_of(&plain, c, &f)) return "left out (unknown_types: true sends it as bytes)";
    if (f.conv == DBZ_ARRAY) return "array";
    return f.name ? f.name : f.type;
}

const wb_format wb_format_debezium = {
    .head = {.kind = WB_FORMAT,
             .name = "debezium",
             .brief = "what Debezium's connectors send, field for field",
             .options = options,
             .ctx_size = sizeof(dbz)},
    .about = dbz_about,
    .open = dbz_open,
    .messages = dbz_messages,
    .writes = dbz_writes,
    .close = dbz_close,
};

const wb_format wb_format_cloudevents = {
    .head = {.kind = WB_FORMAT,
             .name = "cloudevents",
             .brief = "CloudEvents 1.0 around Debezium's rows",
             .options = cloud_options,
             .ctx_size = sizeof(dbz)},
    .about = dbz_about,
    .open = cloud_open,
    .messages = dbz_messages,
    .writes = dbz_writes,
    .close = dbz_close,
};

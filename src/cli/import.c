/* import.c: `walbrook import debezium FILE`: a pipeline file that means the same, on stdout; what has no counterpart is
 * named at its end. Secrets are never printed: they are asked of the environment. */
#include <stdlib.h>
#include <string.h>

#include "cli/import.h"

typedef struct job {
    imp_settings s;
    const imp_offset *offset; /* NULL: none was given */
    const char *file, *prefix;
    bool postgres;
    const char *notes[16]; /* what a person must look at */
    size_t nnotes;
} job;

static void note(job *j, const char *text)
{
    if (j->nnotes < 16) j->notes[j->nnotes++] = text;
}

static bool is(const char *value, const char *word) { return value && strcmp(value, word) == 0; }
static const char *or_else(const char *value, const char *otherwise) { return value && *value ? value : otherwise; }

static void put_line(const char *indent, const char *name, const char *value)
{
    (void)printf("%s%s: ", indent, name);
    if (!cli_put_scalar(stdout, value)) (void)fputs(" # holds control characters", stdout);
    (void)fputc('\n', stdout);
}

static void put_escaped(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
        (void)printf(plain ? "%c" : "%%%02X", c);
    }
}

/* ---------------------------------------------------------------- the source */

static void put_url(job *j, const char *scheme, const char *host, const char *port, const char *database)
{
    const char *user = imp_get(&j->s, "database.user");
    (void)printf("  url: '%s://", scheme);
    if (user && *user) {
        put_escaped(user);
        (void)fputc('@', stdout);
    }
    put_escaped(host);
    (void)printf(":%s/", port);
    put_escaped(database);
    const char *mode = imp_get(&j->s, j->postgres ? "database.sslmode" : "database.ssl.mode");
    if (mode && *mode) {
        (void)printf("?%s=", j->postgres ? "sslmode" : "ssl-mode");
        for (; *mode; mode++)
            (void)fputc(*mode == '_' ? '-' : *mode >= 'A' && *mode <= 'Z' ? *mode + 32 : *mode, stdout);
    }
    (void)printf("'     # the password: %s\n", j->postgres ? "PGPASSWORD or ~/.pgpass" : "MYSQL_PWD");
}

/* include and exclude lists of one kind; false: an expression that no pattern is. */
static bool put_list(job *j, const char *key, const char *before, const char *after, bool *first)
{
    const char *list = imp_peek(&j->s, key);
    if (!list || !*list) return true;
    if (!imp_put_patterns(stdout, list, before, after, first)) return false;
    (void)imp_get(&j->s, key);
    return true;
}

static void put_tables(job *j)
{
    bool first = true;
    (void)fputs("  tables: [", stdout);
    const char *schemas = j->postgres ? "schema.include.list" : "database.include.list";
    const char *not_schemas = j->postgres ? "schema.exclude.list" : "database.exclude.list";
    const char *tables = imp_peek(&j->s, "table.include.list");
    bool fine =
        tables && *tables ? put_list(j, "table.include.list", "", "", &first) : put_list(j, schemas, "", ".*", &first);
    if (first) {
        (void)fputs("'*.*'", stdout);
        first = false;
        if (fine) note(j, "tables: Debezium reads all tables when no list is given, and so does '*.*'.");
    }
    fine = put_list(j, not_schemas, "!", ".*", &first) && fine;
    fine = put_list(j, "table.exclude.list", "!", "", &first) && fine;
    (void)fputs("]\n", stdout);
    if (!fine) note(j, "tables: an expression of the lists below has no pattern: write tables with * and ? instead.");
}

static void put_snapshot(job *j)
{
    static const char *const modes[][2] = {{"initial", "initial"},
                                           {"initial_only", "only"},
                                           {"no_data", "never"},
                                           {"never", "never"},
                                           {"schema_only", "never"},
                                           {"when_needed", "when_needed"},
                                           {"schema_only_recovery", "never"},
                                           {NULL, NULL}};
    const char *mode = or_else(imp_peek(&j->s, "snapshot.mode"), "initial"), *ours = NULL;
    for (size_t i = 0; modes[i][0] && !ours; i++)
        if (strcmp(mode, modes[i][0]) == 0) ours = modes[i][1];
    if (ours) (void)imp_get(&j->s, "snapshot.mode");
    if (!ours) ours = "initial";
    if (j->offset && !j->offset->copying) ours = "never"; /* the rows were copied */
    put_line("  ", "snapshot", ours);
    if (j->offset && j->offset->copying) note(j, "offset: Debezium's first copy had not ended: it begins again here.");
}

static void put_postgres(job *j)
{
    put_url(j, "postgres", or_else(imp_get(&j->s, "database.hostname"), "localhost"),
            or_else(imp_get(&j->s, "database.port"), "5432"), or_else(imp_get(&j->s, "database.dbname"), "postgres"));
    put_tables(j);
    put_snapshot(j);
    const char *plugin = imp_get(&j->s, "plugin.name"), *slot = or_else(imp_get(&j->s, "slot.name"), "debezium");
    const char *publication = or_else(imp_get(&j->s, "publication.name"), "dbz_publication");
    bool ours = is(plugin, "pgoutput");
    if (ours) {
        put_line("  ", "slot", slot);
        put_line("  ", "publication", publication);
        if (j->offset && j->offset->lsn && !j->offset->copying)
            (void)printf("  slot_position: '%llX/%llX'     # where Debezium had come to\n", j->offset->lsn >> 32,
                         j->offset->lsn & 0xFFFFFFFFu);
        if (j->offset && j->offset->inside)
            note(j,
                 "slot_position: Debezium keeps no offset of a transaction's end: the last one that it sent comes once "
                 "more.");
        if (!j->offset)
            note(j, "slot: taken over where the server says that it stands; with --offsets from where Debezium had "
                    "come to.");
    } else {
        note(j, "slot: Debezium read it with decoderbufs (plugin.name), whose slots cannot be read here: a new one is "
                "made. Let "
                "Debezium run until this pipeline has copied the tables, or stop the writers in between.");
    }
    const char *beat = imp_get(&j->s, "status.update.interval.ms");
    if (beat && *beat) (void)printf("  status_interval: %sms\n", beat);
}

static void put_mysql(job *j)
{
    put_url(j, "mysql", or_else(imp_get(&j->s, "database.hostname"), "localhost"),
            or_else(imp_get(&j->s, "database.port"), "3306"), "");
    put_tables(j);
    put_snapshot(j);
    const char *id = imp_get(&j->s, "database.server.id");
    if (id && *id) (void)printf("  server_id: %s\n", id);
    if (imp_get(&j->s, "include.query")) (void)fputs("  query: true\n", stdout);
    if (!j->offset || j->offset->copying || !j->offset->file[0]) return;
    (void)printf("  position: '%s%s%s:%llu'     # where Debezium had come to\n", j->offset->gtids,
                 j->offset->gtids[0] ? " " : "", j->offset->file, j->offset->pos);
    if (j->offset->inside)
        note(j,
             "position: Debezium keeps no offset of a transaction's end: the last one that it sent comes once more.");
    note(j, "position: needs binlog_row_metadata = FULL at the server, from that place on. Without it take `position` "
            "out and "
            "set snapshot: initial: consumers see every row once more, with op r.");
}

/* ---------------------------------------------------------------- the format */

typedef enum kind { TEXT, SWITCH, LIST, MSEC } kind;
static const struct {
    const char *theirs, *ours;
    kind kind;
} mapping[] = {{"topic.delimiter", "delimiter", TEXT},
               {"decimal.handling.mode", "decimal", TEXT},
               {"time.precision.mode", "time_precision", TEXT},
               {"binary.handling.mode", "binary", TEXT},
               {"interval.handling.mode", "interval", TEXT},
               {"hstore.handling.mode", "hstore", TEXT},
               {"bigint.unsigned.handling.mode", "bigint_unsigned", TEXT},
               {"money.fraction.digits", "money_fraction_digits", TEXT},
               {"unavailable.value.placeholder", "unavailable_value", TEXT},
               {"topic.transaction", "transaction_topic", TEXT},
               {"topic.heartbeat.prefix", "heartbeat_prefix", TEXT},
               {"heartbeat.interval.ms", "heartbeat", MSEC},
               {"tombstones.on.delete", "tombstones", SWITCH},
               {"extended.headers.enabled", "headers", SWITCH},
               {"include.unknown.datatypes", "unknown_types", SWITCH},
               {"provide.transaction.metadata", "transaction_metadata", SWITCH},
               {"skip.messages.without.change", "skip_unchanged", SWITCH},
               {"include.schema.changes", "schema_changes", SWITCH},
               {"include.schema.comments", "schema_comments", SWITCH},
               {"skipped.operations", "skip", LIST}};

static void put_items(const char *name, const char *value, const char *separators)
{
    (void)printf("      %s: [", name);
    for (bool first = true; *value; first = false) {
        size_t n = strcspn(value, separators), blank = strspn(value, " ");
        char *one = strndup(value + blank, n > blank ? n - blank : 0);
        if (!first) (void)fputs(", ", stdout);
        if (one) (void)cli_put_scalar(stdout, one);
        free(one);
        value += n + (value[n] != 0);
    }
    (void)fputs("]\n", stdout);
}

static void put_unwrap(job *j)
{
    const char *list = imp_peek(&j->s, "transforms");
    char key[300];
    if (!list || !*list) return;
    (void)snprintf(key, sizeof key, "transforms.%.100s.type", list);
    if (strchr(list, ',') || !is(imp_peek(&j->s, key), "io.debezium.transforms.ExtractNewRecordState")) return;
    (void)imp_get(&j->s, key);
    (void)imp_get(&j->s, "transforms");
    (void)fputs("      unwrap: true\n", stdout);
    static const char *const names[][2] = {{"delete.tombstone.handling.mode", "deletes"},
                                           {"add.fields", "add_fields"},
                                           {"add.headers", "add_headers"},
                                           {"add.fields.prefix", "add_prefix"}};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(key, sizeof key, "transforms.%.100s.%s", list, names[i][0]);
        const char *value = imp_get(&j->s, key);
        if (!value) continue;
        if (i == 1 || i == 2)
            put_items(names[i][1], value, ",");
        else
            put_line("      ", names[i][1], value);
    }
}

static void put_rule(bool *first, const char *key, const char *value)
{
    if (*first) (void)fputs("      columns:\n", stdout);
    *first = false;
    (void)fputs("        ", stdout);
    bool fine = cli_put_scalar(stdout, key); /* a salt is in it */
    (void)fputs(": ", stdout);
    fine = cli_put_scalar(stdout, value) && fine;
    (void)fputs(fine ? "\n" : " # holds control characters\n", stdout);
}

/* Masks above all: without them the pipeline would show what Debezium hides. Keys and expressions are the same here. */
static void put_rules(job *j)
{
    bool first = true;
    char type[300], selector[300];
    for (size_t i = 0; i < j->s.n; i++) {
        imp_setting *one = &j->s.items[i];
        bool rule = strncmp(one->key, "column.mask.", 12) == 0 || strncmp(one->key, "column.truncate.", 16) == 0 ||
                    strcmp(one->key, "column.propagate.source.type") == 0;
        if (rule && !one->used) put_rule(&first, one->key, imp_get(&j->s, one->key));
    }
    const char *name = imp_peek(&j->s, "converters");
    if (!name || strchr(name, ',')) return;
    (void)snprintf(type, sizeof type, "%.100s.type", name);
    (void)snprintf(selector, sizeof selector, "%.100s.selector", name);
    const char *class = imp_peek(&j->s, type), *of = imp_peek(&j->s, selector);
    if (!class || !of || !strstr(class, "TinyIntOneToBooleanConverter")) return;
    put_rule(&first, "boolean.selector", imp_get(&j->s, selector));
    (void)imp_get(&j->s, type);
    (void)imp_get(&j->s, "converters");
}

static bool schemas(job *j)
{
    static const char *const keys[] = {"value.converter.schemas.enable", "format.value.schemas.enable",
                                       "format.schemas.enable", "format.json.schemas.enable", NULL};
    const char *value = NULL;
    for (size_t i = 0; keys[i] && !value; i++) value = imp_get(&j->s, keys[i]);
    const char *of_keys = imp_peek(&j->s, "key.converter.schemas.enable");
    if (!of_keys) of_keys = imp_peek(&j->s, "format.key.schemas.enable");
    if (!value && !j->s.server)
        note(j,
             "schemas: the connector does not say; look at value.converter.schemas.enable of Kafka Connect's worker.");
    if (of_keys && is(of_keys, "false") != is(value, "false"))
        note(j, "schemas: here keys and values both have one, or neither; other keys go to other partitions.");
    return !is(value, "false");
}

static void put_format(job *j)
{
    const char *converter = imp_get(&j->s, "value.converter"), *format = imp_get(&j->s, "format.value");
    bool cloud = (converter && strstr(converter, "CloudEvents")) || is(format, "cloudevents");
    bool json = cloud || ((!converter || strstr(converter, "JsonConverter")) && (!format || strstr(format, "json")));
    if (!json) note(j, "format: its converter is not JSON (Avro, Protobuf): there is none here; JSON is written.");
    (void)printf("    format: %s\n    format_options:\n", cloud ? "cloudevents" : "debezium");
    put_line("      ", "prefix", j->prefix);
    (void)printf("      schemas: %s\n", schemas(j) ? "true" : "false");
    for (size_t i = 0; i < sizeof mapping / sizeof *mapping; i++) {
        const char *value = imp_get(&j->s, mapping[i].theirs);
        if (!value || !*value) continue;
        if (j->postgres && strcmp(mapping[i].ours, "schema_changes") == 0)
            continue; /* that connector has none anyway */
        if (mapping[i].kind == SWITCH)
            (void)printf("      %s: %s\n", mapping[i].ours, is(value, "true") ? "true" : "false");
        else if (mapping[i].kind == LIST)
            put_items(mapping[i].ours, value, ",");
        else if (mapping[i].kind == MSEC) {
            if (strtoll(value, NULL, 10) > 0)
                (void)printf("      %s: %lldms\n", mapping[i].ours, strtoll(value, NULL, 10));
        } else {
            put_line("      ", mapping[i].ours, value);
        }
    }
    const char *keys = imp_get(&j->s, "message.key.columns");
    if (keys && *keys) put_items("message_key_columns", keys, ";");
    put_rules(j);
    put_unwrap(j);
}

/* ---------------------------------------------------------------- the target */

static void put_kafka(job *j)
{
    const char *brokers = imp_get(&j->s, "sink.kafka.producer.bootstrap.servers");
    (void)fputs("  - type: kafka\n    brokers: [", stdout);
    if (!brokers)
        brokers = "localhost:9092";
    else
        (void)imp_get(&j->s, "sink.type");
    for (bool first = true; *brokers; first = false) {
        size_t n = strcspn(brokers, ",");
        char *one = strndup(brokers, n);
        if (!first) (void)fputs(", ", stdout);
        if (one) (void)cli_put_scalar(stdout, one);
        free(one);
        brokers += n + (brokers[n] != 0);
    }
    (void)fputs("]\n", stdout);
    if (!j->s.server)
        note(j, "brokers: a connector does not say them: write the bootstrap.servers of Kafka Connect's worker.");
    (void)imp_get(&j->s, "sink.kafka.producer.key.serializer");
    (void)imp_get(&j->s, "sink.kafka.producer.value.serializer");
    const char *compression = imp_get(&j->s, "sink.kafka.producer.compression.type");
    if (compression) put_line("    ", "compression", compression);
    const char *linger = imp_get(&j->s, "sink.kafka.producer.linger.ms");
    if (linger) (void)printf("    linger: %sms\n", linger);
}

static void put_rabbitmq(job *j)
{
    const char *user = imp_get(&j->s, "sink.rabbitmq.connection.username");
    const char *vhost = imp_get(&j->s, "sink.rabbitmq.connection.virtual.host");
    (void)fputs("  - type: rabbitmq\n    url: 'amqp://", stdout);
    if (user) {
        put_escaped(user);
        (void)fputc('@', stdout);
    }
    put_escaped(or_else(imp_get(&j->s, "sink.rabbitmq.connection.host"), "localhost"));
    (void)printf(":%s/", or_else(imp_get(&j->s, "sink.rabbitmq.connection.port"), "5672"));
    if (vhost && !is(vhost, "/")) put_escaped(vhost);
    (void)fputs("'\n", stdout);
    if (imp_get(&j->s, "sink.rabbitmq.connection.password"))
        (void)fputs("    password: ${RABBITMQ_PASSWORD}     # of the environment\n", stdout);
    const char *exchange = imp_get(&j->s, "sink.rabbitmq.exchange"), *key = imp_get(&j->s, "sink.rabbitmq.routingKey");
    const char *source = imp_get(&j->s, "sink.rabbitmq.routingKey.source"),
               *old = imp_get(&j->s, "sink.rabbitmq.routingKeyFromTopicName");
    bool topic = is(source, "topic") || is(old, "true");
    if (exchange && *exchange) {
        put_line("    ", "exchange", exchange);
        if (!topic && key && *key) put_line("    ", "routing_key", key);
    } else if (topic) {
        (void)fputs("    queue: '${topic}'\n", stdout);
    } else {
        put_line("    ", "queue", or_else(key, "debezium"));
    }
    if (is(source, "key")) note(j, "routing_key: Debezium routed by the message's key: here it is the header `key`.");
    (void)fputs("    declare: passive\n", stdout);
    if (is(imp_get(&j->s, "sink.rabbitmq.deliveryMode"), "1")) (void)fputs("    persistent: false\n", stdout);
    (void)imp_get(&j->s, "sink.rabbitmq.ackTimeout");
    (void)imp_get(&j->s, "sink.type");
}

static void put_columns(job *j)
{
    bool first = true;
    const char *exclude = imp_peek(&j->s, "column.exclude.list"), *include = imp_peek(&j->s, "column.include.list");
    if ((!exclude || !*exclude) && (!include || !*include)) return;
    (void)fputs("    columns: [", stdout);
    bool fine =
        put_list(j, "column.include.list", "", "", &first) && put_list(j, "column.exclude.list", "!", "", &first);
    (void)fputs("]\n", stdout);
    if (!fine) note(j, "columns: an expression of the lists below has no pattern: write columns with * and ? instead.");
}

static void put_target(job *j)
{
    const char *sink = imp_peek(&j->s, "sink.type");
    (void)fputs("targets:\n", stdout);
    if (!j->s.server || is(sink, "kafka")) {
        put_kafka(j);
    } else if (is(sink, "rabbitmq")) {
        put_rabbitmq(j);
    } else {
        (void)fputs("  - type: file\n    path: changes.jsonl\n    envelope: true\n", stdout);
        note(j, "target: there is none of this sink.type here: the changes go to a file until you choose one.");
    }
    put_columns(j);
    put_format(j);
}

/* ---------------------------------------------------------------- the command */

/* Also an address with a login in it. */
static bool secret(const char *key, const char *value)
{
    static const char *const words[] = {"password",         "passphrase",  "secret",  "jaas",       "token",
                                        "credential",       "api.key",     "apikey",  "access.key", "accesskey",
                                        "authparams",       "auth.params", "private", "signing",    "connection.string",
                                        "connectionstring", NULL};
    for (size_t i = 0; words[i]; i++)
        if (strcasestr(key, words[i])) return true;
    const char *host = strstr(value, "://"), *at = host ? strchr(host, '@') : NULL;
    return at != NULL;
}

/* What has no meaning here, and needs none. */
static bool harmless(const char *key)
{
    static const char *const list[] = {"connector.class",
                                       "name",
                                       "tasks.max",
                                       "key.converter",
                                       "key.converter.schemas.enable",
                                       "format.key",
                                       "format.key.schemas.enable",
                                       "format.header",
                                       "offset.storage",
                                       "offset.flush.interval.ms",
                                       "offset.flush.timeout.ms",
                                       "offset.storage.file.filename",
                                       "offset.storage.topic",
                                       "schema.history.internal",
                                       "max.batch.size",
                                       "max.queue.size",
                                       "poll.interval.ms",
                                       "publication.autocreate.mode",
                                       "database.password",
                                       NULL};
    for (size_t i = 0; list[i]; i++)
        if (strcmp(key, list[i]) == 0) return true;
    return strncmp(key, "schema.history.", 15) == 0 || strncmp(key, "quarkus.", 8) == 0;
}

static void put_rest(const job *j)
{
    bool head = false;
    for (size_t i = 0; i < j->nnotes; i++) (void)printf("%s#  %s\n", i ? "" : "\n# Look at these:\n", j->notes[i]);
    for (size_t i = 0; i < j->s.n; i++) {
        const imp_setting *one = &j->s.items[i];
        if (one->used || harmless(one->key)) continue;
        if (!head) (void)fputs("\n# Without a counterpart here:\n", stdout);
        head = true;
        (void)fputs("#  ", stdout);
        cli_put_text(stdout, one->key);
        (void)fputs(" = ", stdout);
        cli_put_text(stdout, secret(one->key, one->value) ? "***" : one->value);
        (void)fputc('\n', stdout);
    }
}

int cli_import(const cli_args *a)
{
    imp_offset offset;
    job j = {.file = a->words[1]};
    if (strcmp(a->words[0], "debezium") != 0)
        return cli_usage_error("Only Debezium's configuration can be imported: walbrook import debezium FILE.");
    int code = imp_read(j.file, &j.s);
    if (code != EXIT_FINE) return code;
    const char *class = imp_get(&j.s, "connector.class"), *from = cli_value(a, "offsets");
    j.postgres = strstr(class, "Postgres") != NULL;
    j.prefix = or_else(imp_get(&j.s, "topic.prefix"), or_else(imp_get(&j.s, "database.server.name"), "debezium"));
    if (!j.postgres && !strstr(class, "MySql") && !strstr(class, "MariaDb")) {
        code = cli_usage_error("There is no source for %s here.", class);
    } else if (from && (code = imp_read_offset(from, j.prefix, &offset)) == EXIT_FINE) {
        j.offset = &offset;
    }
    if (code == EXIT_FINE) {
        (void)printf("# Made by walbrook import debezium. Stop Debezium before you run it.\n");
        put_line("", "name", j.prefix);
        (void)printf("source:\n  type: %s\n", j.postgres ? "postgres" : "mysql");
        if (j.postgres)
            put_postgres(&j);
        else
            put_mysql(&j);
        put_target(&j);
        put_rest(&j);
    }
    imp_free(&j.s);
    return code;
}

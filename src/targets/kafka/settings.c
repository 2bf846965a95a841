/* settings.c: the options of the target kafka, and librdkafka's configuration made of them. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/node.h"
#include "targets/kafka/kafka.h"

static const wb_choice delivery_choices[] = {
    {"at_least_once", KF_AT_LEAST_ONCE, "after a crash some messages come again, in order"},
    {"exactly_once", KF_EXACTLY_ONCE, "Kafka transactions, with the position in them"},
    {NULL, 0, NULL}};
static const wb_choice compression_choices[] = {{"none", 0, NULL}, {"gzip", 1, NULL}, {"snappy", 2, NULL},
                                                {"lz4", 3, NULL},  {"zstd", 4, NULL}, {NULL, 0, NULL}};
static const wb_choice acks_choices[] = {{"all", 0, "all replicas in sync have it"},
                                         {"leader", 1, "the leader has it: its crash may lose confirmed changes"},
                                         {NULL, 0, NULL}};
static const wb_choice large_choices[] = {
    {"stop", KF_LARGE_STOP, "the target stops and says which row it is"},
    {"dead_letter", KF_LARGE_DEAD_LETTER, "the change goes to the pipeline's dead_letters file"},
    {"skip", KF_LARGE_SKIP, "the change is left out, counted and logged"},
    {NULL, 0, NULL}};
static const wb_choice sasl_choices[] = {{"none", KF_SASL_NONE, NULL},
                                         {"plain", KF_SASL_PLAIN, NULL},
                                         {"scram-sha-256", KF_SASL_SCRAM_256, NULL},
                                         {"scram-sha-512", KF_SASL_SCRAM_512, NULL},
                                         {NULL, 0, NULL}};
static const wb_choice partitioner_choices[] = {
    {"murmur2_random", 0, "as the Java client's default: by hash of the key; without a key any"},
    {"murmur2", 1, "the same; without a key always the same one"},
    {"consistent_random", 2, "librdkafka's default: CRC32 of the key"},
    {"consistent", 3, NULL},
    {"fnv1a_random", 4, "as Sarama's"},
    {"fnv1a", 5, NULL},
    {NULL, 0, NULL}};
static const wb_choice character_choices[] = {
    {"replace", 0, "they become _; two tables that would then share a topic are refused"},
    {"refuse", 1, "the target stops and names the table"},
    {NULL, 0, NULL}};

enum { NEVER_MS = 900000 }; /* the longest that librdkafka can wait for a batch to fill */

#define AT(field) offsetof(kf_target, field)
const wb_option kf_options[] = {
    {"brokers", WB_OPT_LIST, AT(brokers), WB_OPT_REQUIRED, NULL, 0, 0, NULL, "host:port of one or more brokers",
     "Some of them are enough: the others are learned.", "[kafka1:9092, kafka2:9092]"},
    {"topic", WB_OPT_STRING, AT(topic), 0, NULL, 0, 0, NULL, "the topic of a table's changes",
     "Words: ${name} (the pipeline), ${schema}, ${table}, ${source_schema}, ${source_table}, ${route}, ${topic} (what "
     "the "
     "format says). Without it the format's topic (debezium: PREFIX.schema.table), else the transform route's, else "
     "${name}.${schema}.${table}.",
     "\"${name}.${schema}.${table}\""},
    {"topic_characters", WB_OPT_ENUM, AT(refuse_characters), WB_OPT_ADVANCED, "replace", 0, 0, character_choices,
     "characters that a topic cannot have", "Topics have letters of ASCII, digits, dots, _ and -.", NULL},
    {"format", WB_OPT_STRING, AT(format), 0, "record", 0, 0, NULL, "how a change becomes key, value and headers",
     "See `walbrook help format`.", "debezium"},
    {"format_options", WB_OPT_NODE, AT(format_options), 0, NULL, 0, 0, NULL, "options of the format", NULL,
     "{schemas: true}"},
    {"delivery", WB_OPT_ENUM, AT(delivery), 0, "at_least_once", 0, 0, delivery_choices, "what a crash may repeat",
     "With exactly_once consumers must read with isolation.level=read_committed.", "exactly_once"},
    {"create_topics", WB_OPT_BOOL, AT(create_topics), 0, "true", 0, 0, NULL, "make topics that are not there", NULL,
     NULL},
    {"partitions", WB_OPT_INT, AT(partitions), 0, "0", 0, 1000000, NULL,
     "partitions of a new topic; 0: the broker's default",
     "When it is given, a topic that has another number is refused: keys would be in other partitions.", "12"},
    {"replication", WB_OPT_INT, AT(replication), 0, "0", 0, 1000, NULL,
     "replicas of a new topic; 0: the broker's default", NULL, "3"},
    {"topic_config", WB_OPT_NODE, AT(topic_config), 0, NULL, 0, 0, NULL, "settings of a new topic", NULL,
     "{cleanup.policy: compact, min.insync.replicas: 2}"},
    {"partitioner", WB_OPT_ENUM, AT(partitioner), WB_OPT_ADVANCED, "murmur2_random", 0, 0, partitioner_choices,
     "which partition a key goes to",
     "Without a key (tables without a primary key) there is no order between partitions.", NULL},
    {"compression", WB_OPT_ENUM, AT(compression), 0, "lz4", 0, 0, compression_choices, "compress batches", NULL,
     "zstd"},
    {"linger", WB_OPT_MSEC, AT(linger_ms), 0, "50ms", 0, 900000, NULL, "wait so long for a batch to fill",
     "When nothing more is waiting a batch goes out at once.", "20ms"},
    {"batch_size", WB_OPT_SIZE, AT(batch_size), 0, "976kB", 1, 2147483647, NULL, "bytes of one batch",
     "Not above max.message.bytes of the topics (default there: 1048588).", NULL},
    {"max_message", WB_OPT_SIZE, AT(max_message), 0, "976kB", 1000, 1000000000, NULL,
     "largest message, with key, headers and 100 bytes",
     "A topic's own max.message.bytes, where it can be read, counts too.", "16MB"},
    {"on_too_large", WB_OPT_ENUM, AT(on_large), 0, "stop", 0, 0, large_choices, "what to do with a change above that",
     NULL, "dead_letter"},
    {"acks", WB_OPT_ENUM, AT(acks), WB_OPT_ADVANCED, "all", 0, 0, acks_choices, "when a message counts as written",
     NULL, NULL},
    {"idempotence", WB_OPT_BOOL, AT(idempotence), WB_OPT_ADVANCED, "true", 0, 0, NULL,
     "no repeats and no change of order when librdkafka tries again", NULL, NULL},
    {"tls", WB_OPT_BOOL, AT(tls), 0, "false", 0, 0, NULL, "encrypt, and verify the broker's certificate and name", NULL,
     NULL},
    {"tls_ca", WB_OPT_STRING, AT(tls_ca), 0, NULL, 0, 0, NULL, "file of the authorities that may sign it",
     "Without it the system's.", "/etc/kafka/ca.pem"},
    {"tls_cert", WB_OPT_STRING, AT(tls_cert), 0, NULL, 0, 0, NULL, "file with our own certificate, PEM", NULL, NULL},
    {"tls_key", WB_OPT_STRING, AT(tls_key), 0, NULL, 0, 0, NULL, "file with its key", "Default: in the same file.",
     NULL},
    {"tls_key_password", WB_OPT_STRING, AT(tls_key_password), WB_OPT_SECRET, NULL, 0, 0, NULL, "password of that key",
     NULL, "${KAFKA_KEY_PASSWORD}"},
    {"tls_verify", WB_OPT_BOOL, AT(tls_verify), WB_OPT_ADVANCED, "true", 0, 0, NULL,
     "verify; off: anybody in between can read along", NULL, NULL},
    {"sasl", WB_OPT_ENUM, AT(sasl), 0, "none", 0, 0, sasl_choices, "how to log in",
     "librdkafka before 2.6.1 cannot log in by SCRAM to Kafka 4; `check` says so.", "scram-sha-512"},
    {"username", WB_OPT_STRING, AT(username), 0, NULL, 0, 0, NULL, "user to log in as", NULL, NULL},
    {"password", WB_OPT_STRING, AT(password), WB_OPT_SECRET, NULL, 0, 0, NULL, "and the password", NULL,
     "${KAFKA_PASSWORD}"},
    {"client_id", WB_OPT_STRING, AT(client_id), WB_OPT_ADVANCED, "walbrook", 0, 0, NULL,
     "what the broker's logs call us", NULL, NULL},
    {"transactional_id", WB_OPT_STRING, AT(transactional_id), WB_OPT_ADVANCED, NULL, 0, 0, NULL,
     "exactly_once: the id that keeps out other runs", "Default: walbrook.PIPELINE.TARGET.", NULL},
    {"position_topic", WB_OPT_STRING, AT(position_topic), WB_OPT_ADVANCED, NULL, 0, 0, NULL,
     "exactly_once: the compacted topic that holds the position", "Default: the transactional id with .position.",
     NULL},
    {"commit_messages", WB_OPT_INT, AT(commit_messages), WB_OPT_ADVANCED, "100000", 1, 100000000, NULL,
     "exactly_once: messages of one Kafka transaction",
     "It ends with a source transaction, unless one has more than ten times as many.", NULL},
    {"commit_interval", WB_OPT_MSEC, AT(commit_interval_ms), 0, "500ms", 1, 600000, NULL,
     "exactly_once: end a Kafka transaction after this time", "Sooner when nothing more is waiting.", NULL},
    {"transaction_timeout", WB_OPT_MSEC, AT(transaction_timeout_ms), WB_OPT_ADVANCED, "60s", 1000, 86400000, NULL,
     "exactly_once: how long the broker waits for a run that has died", "Readers wait as long.", NULL},
    {"rdkafka", WB_OPT_NODE, AT(rdkafka), WB_OPT_ADVANCED, NULL, 0, 0, NULL, "any property of librdkafka", NULL,
     "{socket.keepalive.enable: true, statistics.interval.ms: 0}"},
    {.name = NULL}};

/* ---------------------------------------------------------------- librdkafka's configuration */

/* Properties that have an option of ours, or on which a promise rests. */
static const struct {
    const char *property, *instead;
} ours[] = {
    {"bootstrap.servers", "Use the option brokers."},
    {"metadata.broker.list", "Use the option brokers."},
    {"acks", "Use the option acks."},
    {"request.required.acks", "Use the option acks."},
    {"enable.idempotence", "Use the option idempotence."},
    {"enable.gapless.guarantee", "A gap would be a lost change."},
    {"transactional.id", "Use the option transactional_id."},
    {"transaction.timeout.ms", "Use the option transaction_timeout."},
    {"message.timeout.ms", "A message that times out would be a lost change."},
    {"delivery.timeout.ms", "A message that times out would be a lost change."},
    {"delivery.report.only.error", "Every message must be confirmed."},
    {"message.max.bytes", "Use the option max_message."},
    {"batch.size", "Use the option batch_size."},
    {"linger.ms", "Use the option linger."},
    {"queue.buffering.max.ms", "Use the option linger."},
    {"queue.buffering.max.kbytes", "Use `memory` of the pipeline."},
    {"compression.codec", "Use the option compression."},
    {"compression.type", "Use the option compression."},
    {"partitioner", "Use the option partitioner."},
    {"security.protocol", "Use the options tls and sasl."},
    {"sasl.mechanism", "Use the option sasl."},
    {"sasl.mechanisms", "Use the option sasl."},
    {"sasl.username", "Use the option username."},
    {"sasl.password", "Use the option password."},
    {"isolation.level", "Positions are read with read_committed."},
};

typedef struct making {
    rd_kafka_conf_t *conf;
    wb_error *err;
    wb_code code;
} making;

static void set(making *m, const char *name, const char *value)
{
    char why[256];
    if (m->code != WB_OK || !value) return;
    if (rd_kafka_conf_set(m->conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK) return;
    m->code = wb_fail(m->err, WB_E_CONFIG, WB_NEVER, "librdkafka does not take %s: %s", name, why);
}

static void set_number(making *m, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set(m, name, text);
}

/* That a file is there is seen here: OpenSSL would say "system lib". */
static void set_path(making *m, wb_host *h, const char *name, const char *option, const char *path)
{
    char full[4096];
    if (m->code != WB_OK || !path) return;
    m->code = wb_host_path(h, path, full, sizeof full, m->err);
    if (m->code != WB_OK) return;
    if (access(full, R_OK) != 0)
        m->code = wb_fail(m->err, WB_E_CONFIG, WB_NEVER, "The file of `%s` cannot be read: %s: %s.", option, full,
                          strerror(errno));
    set(m, name, full);
}

bool kf_brokers(const kf_target *k, wb_out *out)
{
    wb_out_reset(out);
    for (size_t i = 0; i < k->brokers.n; i++) {
        if (i) wb_out_byte(out, ',');
        wb_out_z(out, k->brokers.items[i]);
    }
    wb_out_byte(out, 0);
    return !out->failed && out->len > 1;
}

static void set_security(making *m, const kf_target *k, wb_host *h)
{
    static const char *const mechanisms[] = {NULL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    bool sasl = k->sasl != KF_SASL_NONE;
    set(m, "security.protocol", k->tls ? (sasl ? "SASL_SSL" : "SSL") : (sasl ? "SASL_PLAINTEXT" : "PLAINTEXT"));
    if (sasl && (!k->username || !k->password) && m->code == WB_OK)
        m->code = wb_fail(m->err, WB_E_CONFIG, WB_NEVER, "`sasl` needs `username` and `password`.");
    if (!k->tls && (k->tls_ca || k->tls_cert || k->tls_key) && m->code == WB_OK)
        m->code = wb_fail(m->err, WB_E_CONFIG, WB_NEVER, "There are certificates, but `tls` is not on.");
    if (sasl) {
        set(m, "sasl.mechanisms", mechanisms[k->sasl]);
        set(m, "sasl.username", k->username);
        set(m, "sasl.password", k->password);
    }
    if (k->tls_key && !k->tls_cert && m->code == WB_OK)
        m->code = wb_fail(m->err, WB_E_CONFIG, WB_NEVER, "`tls_key` needs `tls_cert`, the certificate it belongs to.");
    if (!k->tls) return;
    set_path(m, h, "ssl.ca.location", "tls_ca", k->tls_ca);
    set_path(m, h, "ssl.certificate.location", "tls_cert", k->tls_cert);
    set_path(m, h, "ssl.key.location", k->tls_key ? "tls_key" : "tls_cert", k->tls_key ? k->tls_key : k->tls_cert);
    set(m, "ssl.key.password", k->tls_key_password);
    set(m, "ssl.endpoint.identification.algorithm", k->tls_verify ? "https" : "none");
    set(m, "enable.ssl.certificate.verification", k->tls_verify ? "true" : "false");
}

/* What is not yet written counts against our share of `memory`; the largest message must fit. */
static int64_t queue_kbytes(const kf_target *k, wb_host *h)
{
    int64_t bytes = WB_MAX(wb_host_memory(h), 2 * k->max_message);
    return WB_MIN(WB_MAX(bytes / 1024, 1024), 2147483647);
}

static void set_producer(making *m, const kf_target *k, wb_host *h)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    bool exact = k->delivery == KF_EXACTLY_ONCE, sure = exact || (k->idempotence && k->acks == 0);
    set(m, "acks", k->acks ? "1" : "all");
    set(m, "enable.idempotence", sure ? "true" : "false");
    if (sure && !exact) set(m, "enable.gapless.guarantee", "true");
    if (!sure) set(m, "max.in.flight.requests.per.connection", "1"); /* the order of a key, without sequence numbers */
    set(m, "compression.codec", codecs[k->compression]);
    set(m, "partitioner", partitioner_choices[k->partitioner].name);
    /* Never, see pace.c; with transactions it must be below message.timeout.ms, five minutes or the transaction's. */
    set_number(m, "linger.ms", exact ? WB_MIN(NEVER_MS / 4, k->transaction_timeout_ms / 2) : NEVER_MS);
    set_number(m, "sticky.partitioning.linger.ms", WB_MIN(2 * k->linger_ms, NEVER_MS));
    set_number(m, "batch.size", k->batch_size);
    set_number(m, "message.max.bytes", WB_MAX(k->max_message, k->batch_size) + 1024);
    set_number(m, "queue.buffering.max.kbytes", queue_kbytes(k, h));
    set(m, "queue.buffering.max.messages", "10000000");
    set(m, "batch.num.messages", "1000000");
    if (exact) {
        set(m, "transactional.id", k->txn_id);
        set(m, "isolation.level", "read_uncommitted"); /* the ends of topics that it asks for are the real ones */
        set_number(m, "transaction.timeout.ms", k->transaction_timeout_ms);
    } else {
        set(m, "message.timeout.ms", "0"); /* never given up: order and the engine's patience decide */
    }
}

static void set_more(making *m, const kf_target *k)
{
    const wb_node *n = k->rdkafka;
    if (n && n->kind != WB_NODE_MAP && !wb_node_null(n) && m->code == WB_OK)
        m->code = wb_node_fail(n, m->err, "rdkafka: is a map of librdkafka's properties.");
    for (size_t i = 0; n && n->kind == WB_NODE_MAP && i < n->n && m->code == WB_OK; i++) {
        const wb_pair *p = &n->pairs[i];
        for (size_t o = 0; o < WB_COUNT(ours); o++)
            if (strcmp(p->key, ours[o].property) == 0)
                m->code = wb_node_fail(p->value, m->err, "rdkafka: %s cannot be set. %s", p->key, ours[o].instead);
        if (m->code == WB_OK && p->value->kind != WB_NODE_SCALAR)
            m->code = wb_node_fail(p->value, m->err, "rdkafka: %s is a text or a number.", p->key);
        if (m->code == WB_OK) set(m, p->key, p->value->text);
    }
}

rd_kafka_conf_t *kf_conf_new(kf_target *k, wb_host *h, kf_role role, wb_error *err)
{
    making m = {.conf = rd_kafka_conf_new(), .err = err};
    wb_out brokers = {0};
    if (!kf_brokers(k, &brokers)) m.code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "`brokers` of target kafka is empty.");
    set(&m, "bootstrap.servers", m.code == WB_OK ? brokers.p : NULL);
    wb_out_fini(&brokers);
    set(&m, "client.id", k->client_id);
    set(&m, "log.connection.close", "false"); /* idle connections are closed by brokers all the time */
    set(&m, "log_level", "5");
    set(&m, "reconnect.backoff.max.ms", "2000");
    set(&m, "topic.metadata.refresh.fast.interval.ms", "100");
    set_security(&m, k, h);
    if (role == KF_PRODUCER) set_producer(&m, k, h);
    if (role == KF_POSITIONS) {
        set(&m, "group.id", k->txn_id);
        set(&m, "isolation.level", "read_committed");
        set(&m, "enable.auto.commit", "false");
        set(&m, "enable.partition.eof", "true");
        set(&m, "fetch.wait.max.ms", "10");
        set(&m, "auto.offset.reset", "error");
        set(&m, "allow.auto.create.topics", "false");
    }
    set_more(&m, k);
    if (m.code == WB_OK) return m.conf;
    rd_kafka_conf_destroy(m.conf);
    return NULL;
}

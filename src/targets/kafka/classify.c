/* classify.c: from librdkafka's and the broker's error codes to what is to be done. */
#include "targets/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TO_LARGE                                                                                                       \
    "Its limit is `max.message.bytes` of the topic; `max_message` and `batch_size` of the target must not be above "   \
    "it."
#define TO_RIGHTS                                                                                                      \
    "Give the user the rights to write, create and describe on the target's topics: kafka-acls --add --producer."
#define BY_ITSELF "Walbrook tries again by itself."

static const struct {
    rd_kafka_resp_err_t from;
    wb_code code;
    wb_next next;
    const char *hint;
} classes[] = {
    {RD_KAFKA_RESP_ERR__TRANSPORT, WB_E_NET, WB_RECONNECT, BY_ITSELF},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, WB_E_NET, WB_RECONNECT, BY_ITSELF},
    {RD_KAFKA_RESP_ERR__RESOLVE, WB_E_NET, WB_RECONNECT, "Look at the names in `brokers`."},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, WB_E_NET, WB_RECONNECT, BY_ITSELF},
    {RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, WB_E_NET, WB_RECONNECT, BY_ITSELF},
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, WB_E_NET, WB_RECONNECT, BY_ITSELF},
    {RD_KAFKA_RESP_ERR__WAIT_COORD, WB_E_NET, WB_RECONNECT, BY_ITSELF},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, WB_E_AUTH, WB_NEVER, "Look at `sasl`, `username` and `password`."},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, WB_E_AUTH, WB_NEVER, "Look at `username` and `password`."},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, WB_E_AUTH, WB_NEVER, "Choose another `sasl`."},
    {RD_KAFKA_RESP_ERR__SSL, WB_E_AUTH, WB_NEVER,
     "`tls_ca` names the authority that signed the broker's certificate; the certificate must be for the name that "
     "`brokers` says."},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, WB_E_AUTH, WB_NEVER, TO_RIGHTS},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, WB_E_AUTH, WB_NEVER, TO_RIGHTS},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, WB_E_AUTH, WB_NEVER,
     "The user needs the rights to write and describe on the transactional id."},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, WB_E_LIMIT, WB_NEVER, TO_LARGE},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, WB_E_LIMIT, WB_NEVER, TO_LARGE},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, WB_E_DATA, WB_NEVER,
     "A compacted topic takes no messages without a key, and tables without a primary key have none: use another "
     "cleanup.policy for them, or message_key_columns of the format debezium."},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, WB_E_CONFIG, WB_NEVER, "Choose other names with `topic`."},
    {RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, WB_E_CONFIG, WB_NEVER, "Look at `partitions`."},
    {RD_KAFKA_RESP_ERR_INVALID_CONFIG, WB_E_CONFIG, WB_NEVER, "Look at `topic_config`."},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, WB_E_CONFIG, WB_NEVER, "The cluster has rules for new topics."},
    {RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, WB_E_CONFIG, WB_RECONNECT,
     "`replication` must not be above the number of brokers; Walbrook tries again, in case one is missing."},
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, WB_E_CONFIG, WB_NEVER, NULL},
    {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, WB_E_CONFIG, WB_NEVER,
     "`transaction_timeout` must not be above the broker's transaction.max.timeout.ms."},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, WB_E_UNSUPPORTED, WB_NEVER, "The broker is too old for this."},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, WB_E_UNSUPPORTED, WB_NEVER, "The broker is too old for this."},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, WB_E_UNSUPPORTED, WB_NEVER, NULL},
    {RD_KAFKA_RESP_ERR__INVALID_ARG, WB_E_CONFIG, WB_NEVER, NULL},
};

bool kf_is_final(rd_kafka_resp_err_t code)
{
    for (size_t i = 0; i < WB_COUNT(classes); i++)
        if (classes[i].from == code) return classes[i].next == WB_NEVER;
    return false;
}

/* What is not in the table comes from the server and may pass: close, open, send again. */
wb_code kf_fail(wb_error *err, rd_kafka_resp_err_t from, const char *fmt, ...)
{
    wb_code code = from < 0 ? WB_E_NET : WB_E_SERVER;
    wb_next next = WB_RECONNECT;
    const char *hint = BY_ITSELF;
    for (size_t i = 0; i < WB_COUNT(classes); i++) {
        if (classes[i].from != from) continue;
        code = classes[i].code;
        next = classes[i].next;
        hint = classes[i].hint;
    }
    if (!err || err->code != WB_OK) return code;
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    wb_fail(err, code, next, "%s", text);
    snprintf(err->native, sizeof err->native, "%s", rd_kafka_err2name(from));
    err->sys = from;
    if (hint) wb_hint(err, "%s", hint);
    return code;
}

/* ---------------------------------------------------------------- certificates */

/* librdkafka reports a TLS alert of the broker as a lost connection, and tries forever. Alerts 42 to 46, 48, 49, 51
 * and 116 (RFC 8446, 6.2) are about the certificate of who comes: it is ours that the broker does not like. */
static bool refuses_our_certificate(const char *reason)
{
    static const char word[] = "SSL alert number ";
    const char *at = strstr(reason, word);
    long n = at ? strtol(at + sizeof word - 1, NULL, 10) : 0;
    return (n >= 42 && n <= 46) || n == 48 || n == 49 || n == 51 || n == 116;
}

wb_code kf_fail_event(const kf_target *k, wb_error *err, rd_kafka_resp_err_t from, const char *reason)
{
    if (!k->tls || !refuses_our_certificate(reason)) return kf_fail(err, from, "Kafka: %s", reason);
    if (k->tls_cert) {
        kf_fail(err, RD_KAFKA_RESP_ERR__SSL, "Kafka refuses the certificate of `tls_cert`: %s", reason);
        err->hint[0] = 0;
        wb_hint(err, "The broker must know the authority that signed it (its ssl.truststore), and it must be in date.");
    } else {
        kf_fail(err, RD_KAFKA_RESP_ERR__SSL, "Kafka wants a certificate of who comes, and there is none: %s", reason);
        err->hint[0] = 0;
        wb_hint(err, "Give `tls_cert` and `tls_key`: a certificate that the broker's ssl.truststore knows.");
    }
    return err->code;
}

wb_code kf_fail_new(const kf_target *k, wb_error *err, const char *why)
{
    const char *mend = NULL;
    if (strstr(why, "key values mismatch"))
        mend = "The key of `tls_key` does not belong to the certificate of `tls_cert`.";
    else if (strstr(why, "ssl.key.location") && !k->tls_key)
        mend = "There is no private key in the file of `tls_cert`: name its file with `tls_key`.";
    else if (strstr(why, "ssl.key.location"))
        mend = "The file of `tls_key` is no private key in PEM, or `tls_key_password` is not its password.";
    else if (strstr(why, "ssl.certificate.location"))
        mend = "The file of `tls_cert` is no certificate in PEM.";
    else if (strstr(why, "ssl.ca.location"))
        mend = "The file of `tls_ca` has no certificates in PEM.";
    if (mend) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s (%s)", mend, why);
    return wb_fail(err, WB_E_CONFIG, WB_NEVER, "librdkafka refuses this: %s", why);
}

/* Brokers from 4.0 on check the nonce strictly; librdkafka before 2.6.1 writes it wrong (its pull request 4895). */
bool kf_scram_is_broken(const kf_target *k) { return k->sasl >= KF_SASL_SCRAM_256 && rd_kafka_version() < 0x020601ff; }

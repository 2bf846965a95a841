/* kafka.h: the parts of the target `kafka`, shared by its files: settings (settings.c), the connection and what it says
 * (client.c), topics (topics.c), messages on their way (send.c, pace.c, headers.c), tickets (tickets.c), exactly once
 * (transaction.c and position.c), check and status (report.c). All but interrupt, check and status runs on the target's
 * thread. */
#ifndef WB_KAFKA_H
#define WB_KAFKA_H
#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "base/template.h"
#include "targets/formatter.h"
#include "walbrook/plugin.h"

typedef enum kf_delivery { KF_AT_LEAST_ONCE, KF_EXACTLY_ONCE } kf_delivery;
typedef enum kf_large { KF_LARGE_STOP, KF_LARGE_DEAD_LETTER, KF_LARGE_SKIP } kf_large;
typedef enum kf_sasl { KF_SASL_NONE, KF_SASL_PLAIN, KF_SASL_SCRAM_256, KF_SASL_SCRAM_512 } kf_sasl;
enum {
    KF_NAME_MAX = 249,  /* of a topic, the broker's limit                                        */
    KF_SLICE_MS = 250,  /* the longest wait that an interrupt does not end                       */
    KF_OVERHEAD = 100,  /* of one message in a batch of its own: header and length fields        */
    KF_OPEN_MS = 15000, /* for brokers to answer at open, in all                                 */
    KF_HEADERS = 16,    /* of a message whose list is used again */
    KF_MEMO = 256       /* table versions and topics that are found without looking; power of 2  */
};

#define KF_MIXED UINT64_MAX /* headers of several kinds */

/* One topic that something was sent to. */
typedef struct kf_topic {
    struct kf_topic *next; /* in its hash bucket */
    char name[KF_NAME_MAX + 1];
    char *raw; /* before characters were replaced: two tables must not share a topic by that */
    size_t raw_len;
    rd_kafka_topic_t *handle;
    int32_t partitions; /* as they were when it was first used; -1: not known */
    int64_t limit;      /* bytes of one message with its overhead */
    int64_t held;       /* bytes in go number `go`: see pace.c */
    uint64_t go;
} kf_topic;

/* What was made of a table version and the format's topic. */
typedef struct kf_memo {
    uint64_t serial;
    kf_topic *topic;
    size_t len;
    char from[KF_NAME_MAX + 1];
} kf_memo;

/* One ticket of which messages are on their way. */
typedef struct kf_ticket {
    struct kf_ticket *next; /* in order of writing */
    wb_ticket ticket;
    uint64_t open; /* messages without an answer */
    bool whole;    /* no more come */
    bool answered; /* as failed, or by transaction.c */
    int64_t since_us;
    uint64_t headers; /* which kind of them its messages have: headers.c; 0: none yet */
} kf_ticket;

/* Lists of headers that came back with answers, and what they say. */
typedef struct kf_spares {
    rd_kafka_headers_t **lists;
    size_t n, cap;
    uint64_t kind; /* counts what was learned */
    size_t count;  /* headers of one list; 0: nothing is known */
    size_t sizes[2 * KF_HEADERS];
    wb_out text; /* names and values, one after another */
    uint64_t misses;
} kf_spares;

/* Where write has come to in the view that it could not send as a whole. */
typedef struct kf_place {
    bool active;
    wb_ticket ticket;
    kf_ticket *record;
    wb_formatting of_view;
} kf_place;

typedef struct kf_target {
    /* options */
    wb_list brokers;
    const char *topic, *format, *client_id, *username, *password, *tls_ca, *tls_cert, *tls_key, *tls_key_password;
    const char *transactional_id, *position_topic;
    const wb_node *format_options, *topic_config, *rdkafka;
    bool create_topics, idempotence, tls, tls_verify, refuse_characters;
    int compression, acks, on_large, sasl, delivery, partitioner;
    int64_t partitions, replication, linger_ms, batch_size, max_message, commit_messages, commit_interval_ms,
        transaction_timeout_ms;

    wb_host *host;
    bool is_open, in_open;
    atomic_bool interrupted;
    rd_kafka_t *rk;
    wb_arena arena;
    wb_formatter formatter;
    wb_template *template;   /* NULL: what the format says, else pipeline.schema.table */
    uint32_t template_words; /* bits */
    wb_error broken;         /* nothing goes on after it but close and open */
    wb_error trouble;        /* what the client said last: librdkafka tries by itself */
    bool all_down;           /* it has tried every broker */

    kf_topic *buckets[KF_MEMO];
    size_t ntopics;
    kf_memo *memo; /* KF_MEMO of them */
    wb_out name;   /* of a topic, while it is made */

    kf_place at;
    kf_ticket *first, *last, *spare;
    kf_spares spares;
    uint64_t since_poll;
    uint64_t produced, sent, go; /* messages given to librdkafka, of which told to send; in so many goes: see pace.c */
    int64_t held, held_us, sent_us, again_us;

    /* exactly once */
    bool in_txn, turn; /* a Kafka transaction is open; it is one turn of a snapshot */
    bool stand_due;    /* it has something to say of where we stand */
    char *txn_id, *pos_topic;
    uint64_t epoch;
    wb_out stand_pos; /* bytes of the position that the next commit says */
    uint64_t stand_ordinal;
    bool has_stand;
    int64_t txn_since_us, txn_grew_us, txn_messages, commit_took_us, committed_us;
    wb_ticket *tickets;
    size_t ntickets, cap_tickets;
    size_t (*render)(wb_pos pos, char *out, size_t cap);

    char cluster[64]; /* id of the cluster that has what was sent; "": not known */
    bool cluster_due; /* remember it with the next ticket */

    /* whether anything is confirmed */
    uint64_t seen_answered;
    int64_t waits_since_us, trouble_us; /* 0: nothing waits; when `trouble` was said */

    /* for status: any thread */
    atomic_bool silent;
    atomic_bool shown;
    atomic_llong unconfirmed, confirmed, too_large, oldest_us, took_us, commits, made_topics;
} kf_target;

/* settings.c: the client's configuration. NULL and err: a property that librdkafka refuses. */
typedef enum kf_role { KF_PRODUCER, KF_POSITIONS, KF_CHECK } kf_role;
rd_kafka_conf_t *kf_conf_new(kf_target *k, wb_host *h, kf_role role, wb_error *err);
bool kf_brokers(const kf_target *k, wb_out *out); /* "a:9092,b:9092", NUL-terminated */
extern const wb_option kf_options[];

/* classify.c: the one table from librdkafka's codes to what the engine does about them. */
wb_code kf_fail(wb_error *err, rd_kafka_resp_err_t code, const char *fmt, ...) WB_PRINTF(3, 4);
/* What librdkafka reports by itself; what rd_kafka_new said no to. */
wb_code kf_fail_event(const kf_target *k, wb_error *err, rd_kafka_resp_err_t code, const char *reason);
wb_code kf_fail_new(const kf_target *k, wb_error *err, const char *why);
bool kf_is_final(rd_kafka_resp_err_t code); /* waiting does not mend it: a person must act */
bool kf_scram_is_broken(const kf_target *k);

/* client.c */
wb_code kf_client_open(kf_target *k, wb_error *err) WB_MUST; /* connects */
void kf_client_close(kf_target *k);
void kf_quiet(kf_target *k, rd_kafka_conf_t *conf); /* its log goes to ours */
bool kf_stopped(const kf_target *k);
void kf_notice_silence(kf_target *k); /* from time to time, while it is open */
/* Wait until a broker answers. all: learn all topics. */
wb_code kf_metadata(kf_target *k, rd_kafka_t *rk, bool all, rd_kafka_topic_t *one, int ms,
                    const struct rd_kafka_metadata **out, wb_error *err) WB_MUST;
wb_code kf_repeat(const kf_target *k, wb_error *err);

/* topics.c */
wb_code kf_topics_open(kf_target *k, wb_error *err) WB_MUST;
void kf_topics_close(kf_target *k);
/* The topic of a message; c NULL or aside: about no table. NULL: err. */
kf_topic *kf_topic_of(kf_target *k, const wb_change *c, const wb_message *m, wb_error *err);
/* Make sure that a topic is there; settings: pairs of name and value, NULL-ended; may be NULL. */
wb_code kf_topic_make(kf_target *k, const char *name, int partitions, const char *const *settings, bool *made,
                      wb_error *err) WB_MUST;
/* `name` from text: characters that topics cannot have become _. False: too long, or none. */
bool kf_topic_name(wb_str text, char name[KF_NAME_MAX + 1], bool *changed);

/* admin.c: one request, answered. */
wb_code kf_admin_create(kf_target *k, rd_kafka_t *rk, const char *name, int partitions, const char *const *settings,
                        bool only_try, rd_kafka_resp_err_t *answer, wb_error *err) WB_MUST;
/* A setting of a topic or broker, as a number; fallback: not known. */
int64_t kf_admin_setting(kf_target *k, rd_kafka_t *rk, rd_kafka_ResourceType_t type, const char *name,
                         const char *setting, int64_t fallback);

/* pace.c */
bool kf_pace_room(kf_target *k, kf_topic *t, int64_t size); /* false: wait for answers first */
void kf_pace_took(kf_target *k, kf_topic *t, int64_t size);
void kf_pace_linger(kf_target *k);
void kf_pace_wait(kf_target *k, int ms);
void kf_pace_rest(kf_target *k);
void kf_pace_drain(kf_target *k, int ms);

/* headers.c: of a message of k->at.record */
rd_kafka_headers_t *kf_headers_of(kf_target *k, const wb_message *m);
void kf_headers_back(kf_target *k, const rd_kafka_message_t *m, const kf_ticket *t);
void kf_headers_close(kf_target *k);

/* tickets.c */
kf_ticket *kf_ticket_new(kf_target *k, wb_ticket t, wb_error *err);
void kf_ticket_whole(kf_target *k, kf_ticket *t);
void kf_ticket_answer(kf_target *k, kf_ticket *t, const wb_error *why); /* one message of it; why NULL: delivered */
void kf_tickets_count(kf_target *k);                                    /* figures for status */
void kf_tickets_close(kf_target *k);

/* send.c */
wb_code kf_send_view(kf_target *k, const wb_view *v, wb_ticket t, wb_error *err) WB_MUST;

/* transaction.c */
wb_code kf_txn_open(kf_target *k, wb_open *o, wb_error *err) WB_MUST;
void kf_txn_close(kf_target *k);
wb_code kf_txn_before(kf_target *k, const wb_view *v, wb_error *err) WB_MUST; /* a view is about to be sent */
wb_code kf_txn_after(kf_target *k, const wb_view *v, wb_ticket t, wb_error *err) WB_MUST;
wb_code kf_txn_flush(kf_target *k, int ms, wb_error *err) WB_MUST;
/* position.c: the record that says where we stand. */
typedef struct kf_mark {
    bool found, has_stand;
    uint64_t epoch, ordinal;
    wb_out pos;
} kf_mark;
wb_code kf_position_names(kf_target *k, wb_error *err) WB_MUST;
wb_code kf_position_read(kf_target *k, kf_mark *m, wb_error *err) WB_MUST;
void kf_position_put(const kf_target *k, wb_out *out);
bool kf_position_parse(const char *text, size_t n, kf_mark *m);

/* report.c */
wb_code kf_check(void *ctx, wb_host *h, wb_report *r, wb_error *err);
wb_code kf_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err);
wb_code kf_destination(void *ctx, char *out, size_t cap);
const char *kf_version(void);
#endif

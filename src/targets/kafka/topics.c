/* topics.c: which topic a message goes to, and that it is there: named, made, looked at once. Called by send.c. */
#include <stdio.h>

#include "base/clock.h"
#include "base/fault.h"
#include "targets/kafka/kafka.h"

enum { LEADER_MS = 15000 };
#define WORDS_OF_ROWS (WB_WORDS_OF_TABLE | WB_WORD_BIT(WB_WORD_ROUTE))

/* ---------------------------------------------------------------- names */

static bool allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

/* One _ a character, not a byte: as Debezium does it. */
bool kf_topic_name(wb_str text, char name[KF_NAME_MAX + 1], bool *changed)
{
    size_t n = 0;
    *changed = false;
    for (size_t i = 0; i < text.len; i++) {
        if (((unsigned char)text.ptr[i] & 0xC0) == 0x80) continue;
        bool fine = allowed(text.ptr[i]);
        if (n == KF_NAME_MAX) return false;
        name[n++] = fine ? text.ptr[i] : '_';
        *changed |= !fine;
    }
    name[n] = 0;
    return n > 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The text of a topic's name into k->name. aside: about no table. */
static bool put_name(kf_target *k, const wb_change *c, const wb_message *m)
{
    wb_words w = {.of[WB_WORD_NAME] = wb_str_of(wb_host_pipeline(k->host)), .of[WB_WORD_TOPIC] = m->topic};
    const wb_table *t = c && !m->aside ? c->table : NULL;
    bool about_row = t && t->name.len;
    wb_out *o = &k->name;
    wb_out_reset(o);
    wb_words_fill_table(&w, t);
    if (k->template && (about_row || !(k->template_words & WORDS_OF_ROWS))) {
        wb_template_put(k->template, &w, o);
    } else if (m->topic.ptr) {
        wb_out_str(o, m->topic);
    } else if (about_row && t->route.len) {
        wb_out_str(o, t->route);
    } else {
        wb_out_str(o, w.of[WB_WORD_NAME]);
        wb_out_byte(o, '.');
        if (about_row) {
            wb_out_str(o, t->schema);
            wb_out_byte(o, '.');
            wb_out_str(o, t->name);
        } else {
            wb_out_z(o, c && c->op == WB_MESSAGE ? "message" : "schema");
        }
    }
    return !o->failed;
}

/* ---------------------------------------------------------------- making sure that it is there */

/* Without the right to make topics an existing one is still fine. */
static wb_code look_for(kf_target *k, const char *name, bool *there, wb_error *err)
{
    const struct rd_kafka_metadata *all = NULL;
    *there = false;
    wb_code code = kf_metadata(k, k->rk, true, NULL, LEADER_MS, &all, err);
    if (code != WB_OK) return code;
    for (int i = 0; i < all->topic_cnt && !*there; i++) *there = strcmp(all->topics[i].topic, name) == 0;
    rd_kafka_metadata_destroy(all);
    return WB_OK;
}

wb_code kf_topic_make(kf_target *k, const char *name, int partitions, const char *const *settings, bool *made,
                      wb_error *err)
{
    wb_error mine;
    wb_error_reset(&mine);
    bool there = false;
    *made = false;
    if (k->create_topics || settings) {
        rd_kafka_resp_err_t answer = RD_KAFKA_RESP_ERR_NO_ERROR;
        wb_code code = kf_admin_create(k, k->rk, name, partitions, settings, false, &answer, &mine);
        (void)WB_FAULT("kafka.topic_made");
        *made = code == WB_OK && answer == RD_KAFKA_RESP_ERR_NO_ERROR;
        if (code == WB_OK) return WB_OK;
        if (mine.code != WB_E_AUTH) {
            *err = mine;
            return code;
        }
    }
    wb_code code = look_for(k, name, &there, err);
    if (code != WB_OK || there) return code;
    if (mine.code == WB_OK) {
        wb_fail(&mine, WB_E_CONFIG, WB_NEVER, "There is no topic %s, and `create_topics` is off.", name);
        wb_hint(&mine, "Make it: kafka-topics --create --topic %s", name);
    }
    *err = mine;
    return mine.code;
}

/* How many partitions it has; a new one has none for a moment. */
static wb_code count_partitions(kf_target *k, kf_topic *t, wb_error *err)
{
    int64_t until = wb_mono_us() + (int64_t)LEADER_MS * 1000;
    for (;;) {
        const struct rd_kafka_metadata *m = NULL;
        wb_code code = kf_metadata(k, k->rk, false, t->handle, LEADER_MS, &m, err);
        if (code != WB_OK) return code;
        t->partitions = m->topic_cnt == 1 ? m->topics[0].partition_cnt : 0;
        rd_kafka_resp_err_t rc = m->topic_cnt == 1 ? m->topics[0].err : RD_KAFKA_RESP_ERR_NO_ERROR;
        rd_kafka_metadata_destroy(m);
        if (t->partitions > 0 && !rc) return WB_OK;
        if (kf_is_final(rc)) return kf_fail(err, rc, "The topic %s cannot be used: %s", t->name, rd_kafka_err2str(rc));
        if (kf_stopped(k)) return wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted");
        if (wb_mono_us() > until)
            return kf_fail(err, RD_KAFKA_RESP_ERR__TIMED_OUT, "The topic %s has no leader: %s", t->name,
                           rd_kafka_err2str(rc));
        wb_sleep_us(20000);
    }
}

static wb_code judge(kf_target *k, const kf_topic *t, int64_t limit, wb_error *err)
{
    if (k->partitions && t->partitions != (int32_t)k->partitions) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The topic %s has %d partitions, and the pipeline file says %lld.", t->name,
                (int)t->partitions, (long long)k->partitions);
        wb_hint(err,
                "With another number the rows of a key go to another partition. Leave `partitions` out to take the "
                "topic as it is, or send to a new topic.");
        return WB_E_CONFIG;
    }
    if (limit > 0 && limit < k->batch_size) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "The topic %s takes at most %lld bytes at once, and `batch_size` is %lld.",
                t->name, (long long)limit, (long long)k->batch_size);
        wb_hint(err, "Set batch_size: %lld or less, or raise max.message.bytes of the topic.", (long long)limit);
        return WB_E_CONFIG;
    }
    return WB_OK;
}

static wb_code prepare(kf_target *k, kf_topic *t, wb_error *err)
{
    bool made = false;
    wb_code code = kf_topic_make(k, t->name, (int)k->partitions, NULL, &made, err);
    if (code != WB_OK) return code;
    rd_kafka_topic_conf_t *conf = rd_kafka_default_topic_conf_dup(k->rk);
    rd_kafka_topic_conf_set_opaque(conf, t);
    t->handle = rd_kafka_topic_new(k->rk, t->name, conf);
    if (!t->handle) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "librdkafka does not take the topic %s.", t->name);
    code = count_partitions(k, t, err);
    if (code != WB_OK) return code;
    int64_t limit = kf_admin_setting(k, k->rk, RD_KAFKA_RESOURCE_TOPIC, t->name, "max.message.bytes", 0);
    t->limit = limit > 0 ? WB_MIN(limit, k->max_message) : k->max_message;
    if (made) {
        atomic_fetch_add(&k->made_topics, 1);
        wb_host_log(k->host, WB_LOG_INFO, "made the topic %s with %d partition%s", t->name, (int)t->partitions,
                    t->partitions == 1 ? "" : "s");
    }
    return judge(k, t, limit, err);
}

/* ---------------------------------------------------------------- finding */

static uint32_t hash(const char *p)
{
    uint32_t h = 2166136261u;
    for (; *p; p++) h = (h ^ (unsigned char)*p) * 16777619u;
    return h;
}

static wb_code same_table(const kf_topic *t, wb_str raw, wb_error *err)
{
    wb_str first = {t->raw, t->raw_len};
    if (wb_str_eq(first, raw)) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "Two names become the topic %s: %.*s and %.*s.", t->name,
            (int)WB_MIN(first.len, (size_t)100), first.ptr, (int)WB_MIN(raw.len, (size_t)100), raw.ptr);
    wb_hint(err, "Topics have only letters of ASCII, digits, dots, _ and -, others become _. Give one of the tables "
                 "another topic with the transform route.");
    return WB_E_CONFIG;
}

static kf_topic *add(kf_target *k, kf_topic **bucket, const char *name, wb_str raw, wb_error *err)
{
    kf_topic *t = calloc(1, sizeof *t);
    char *copy = malloc(raw.len + 1);
    if (!t || !copy) {
        wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the topic %s.", name);
        free(t);
        free(copy);
        return NULL;
    }
    memcpy(copy, raw.ptr, raw.len);
    t->raw = copy;
    t->raw_len = raw.len;
    memcpy(t->name, name, strlen(name) + 1);
    if (prepare(k, t, err) != WB_OK) {
        if (t->handle) rd_kafka_topic_destroy(t->handle);
        free(t->raw);
        free(t);
        return NULL;
    }
    t->next = *bucket;
    *bucket = t;
    k->ntopics++;
    return t;
}

static kf_topic *find(kf_target *k, wb_str raw, wb_error *err)
{
    char name[KF_NAME_MAX + 1];
    bool changed;
    if (!kf_topic_name(raw, name, &changed)) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "\"%.*s\" cannot be a topic: it is empty, a dot, or has more than %d characters.",
                (int)WB_MIN(raw.len, (size_t)300), raw.ptr ? raw.ptr : "", KF_NAME_MAX);
        wb_hint(err, "Give the table another topic with `topic` or the transform route.");
        return NULL;
    }
    if (changed && k->refuse_characters) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "\"%.*s\" cannot be a topic: topics have only letters of ASCII, digits, dots, _ and -.",
                (int)WB_MIN(raw.len, (size_t)300), raw.ptr);
        wb_hint(err, "topic_characters: replace makes _ of the others; or use the transform route.");
        return NULL;
    }
    kf_topic **bucket = &k->buckets[hash(name) % KF_MEMO];
    for (kf_topic *t = *bucket; t; t = t->next)
        if (strcmp(t->name, name) == 0) return same_table(t, raw, err) == WB_OK ? t : NULL;
    return add(k, bucket, name, raw, err);
}

kf_topic *kf_topic_of(kf_target *k, const wb_change *c, const wb_message *m, wb_error *err)
{
    const wb_table *t = c && !m->aside ? c->table : NULL;
    uint64_t serial = t ? t->serial : 0;
    kf_memo *memo = &k->memo[(serial * 31 + m->topic.len) % KF_MEMO];
    if (WB_LIKELY(memo->topic && serial && memo->serial == serial &&
                  wb_str_eq(m->topic, (wb_str){memo->from, memo->len})))
        return memo->topic;
    if (!put_name(k, c, m)) {
        wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the name of a topic.");
        return NULL;
    }
    kf_topic *found = find(k, (wb_str){k->name.p, k->name.len}, err);
    if (!found || m->topic.len > KF_NAME_MAX) return found;
    memo->serial = serial;
    memo->topic = found;
    memo->len = m->topic.len;
    if (m->topic.len) memcpy(memo->from, m->topic.ptr, m->topic.len);
    return found;
}

/* ---------------------------------------------------------------- open and close */

wb_code kf_topics_open(kf_target *k, wb_error *err)
{
    k->memo = calloc(KF_MEMO, sizeof *k->memo);
    if (!k->memo) return wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for the names of topics.");
    k->template = NULL;
    k->template_words = 0;
    if (!k->topic) return WB_OK;
    wb_code code = wb_template_new(k->topic, WORDS_OF_ROWS | WB_WORD_BIT(WB_WORD_NAME) | WB_WORD_BIT(WB_WORD_TOPIC),
                                   "`topic` of target kafka", &k->arena, &k->template, err);
    if (code == WB_OK) k->template_words = wb_template_uses(k->template);
    return code;
}

void kf_topics_close(kf_target *k)
{
    for (size_t i = 0; i < KF_MEMO; i++) {
        for (kf_topic *t = k->buckets[i], *next; t; t = next) {
            next = t->next;
            if (t->handle) rd_kafka_topic_destroy(t->handle);
            free(t->raw);
            free(t);
        }
        k->buckets[i] = NULL;
    }
    k->ntopics = 0;
    free(k->memo);
    k->memo = NULL;
    wb_out_fini(&k->name);
}

/* position.c: the record that says where we stand, in a compacted topic of our own: written in the Kafka transaction of
 * the messages that it speaks of, and read back as any other reader of committed messages sees it. */
#include <stdio.h>

#include "base/clock.h"
#include "formats/json.h"
#include "targets/kafka/kafka.h"

enum { WINDOW = 200, READ_MS = 60000 };

/* ---------------------------------------------------------------- its text */

void kf_position_put(const kf_target *k, wb_out *o)
{
    char at[256] = "";
    wb_out_printf(o, "{\"epoch\":%llu,\"ordinal\":%llu,\"position\":", (unsigned long long)k->epoch,
                  (unsigned long long)k->stand_ordinal);
    if (k->has_stand) {
        wb_out_byte(o, '"');
        wb_json_hex(o, k->stand_pos.p, k->stand_pos.len);
        wb_out_byte(o, '"');
        if (k->render && k->stand_pos.len) k->render((wb_pos){k->stand_pos.p, k->stand_pos.len}, at, sizeof at);
    } else {
        wb_out_z(o, "null");
    }
    wb_out_z(o, ",\"pipeline\":");
    wb_json_string(o, wb_str_of(wb_host_pipeline(k->host)));
    wb_out_z(o, ",\"target\":");
    wb_json_string(o, wb_str_of(wb_host_target(k->host)));
    wb_out_z(o, ",\"at\":");
    wb_json_string(o, wb_str_of(at));
    wb_out_printf(o, ",\"time_ms\":%lld}", (long long)(wb_now_us() / 1000));
}

static bool word(wb_rd *r, const char *text)
{
    size_t n = strlen(text);
    const uint8_t *p = wb_rd_bytes(r, n);
    if (!p || memcmp(p, text, n) != 0) r->failed = true;
    return !r->failed;
}

static uint64_t digits(wb_rd *r)
{
    uint64_t v = 0;
    size_t n = 0;
    for (; wb_rd_left(r) && *r->p >= '0' && *r->p <= '9'; n++) {
        uint64_t d = (uint64_t)(wb_rd_u8(r) - '0');
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v)) r->failed = true;
    }
    if (!n) r->failed = true;
    return v;
}

static int nibble(uint8_t c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static void hex(wb_rd *r, wb_out *out)
{
    while (!r->failed && wb_rd_left(r) && *r->p != '"') {
        int a = nibble(wb_rd_u8(r)), b = nibble(wb_rd_u8(r));
        if (a < 0 || b < 0 || out->len >= WB_POS_MAX) r->failed = true;
        wb_out_byte(out, (char)(a << 4 | b));
    }
}

/* What follows the position is for people. */
bool kf_position_parse(const char *text, size_t n, kf_mark *m)
{
    wb_rd r = wb_rd_of(text, n);
    wb_out_reset(&m->pos);
    m->has_stand = false;
    word(&r, "{\"epoch\":");
    m->epoch = digits(&r);
    word(&r, ",\"ordinal\":");
    m->ordinal = digits(&r);
    word(&r, ",\"position\":");
    if (!r.failed && wb_rd_left(&r) && *r.p == '"') {
        (void)wb_rd_u8(&r);
        hex(&r, &m->pos);
        word(&r, "\",");
        m->has_stand = true;
    } else {
        word(&r, "null,");
    }
    return !r.failed && !m->pos.failed;
}

/* ---------------------------------------------------------------- names */

static wb_code make_name(kf_target *k, const char *given, const char *tail, char **out, wb_error *err)
{
    char name[KF_NAME_MAX + 1];
    bool changed;
    wb_out *o = &k->name;
    wb_out_reset(o);
    if (given) {
        wb_out_z(o, given);
    } else if (*tail) {
        wb_out_z(o, k->txn_id);
        wb_out_z(o, tail);
    } else {
        wb_out_z(o, "walbrook.");
        wb_out_z(o, wb_host_pipeline(k->host));
        wb_out_byte(o, '.');
        wb_out_z(o, wb_host_target(k->host));
    }
    if (o->failed || !kf_topic_name((wb_str){o->p, o->len}, name, &changed))
        return wb_fail(err, WB_E_CONFIG, WB_NEVER,
                       "`transactional_id` or `position_topic` of target kafka has no good name.");
    *out = wb_arena_strdup(&k->arena, name);
    return k->arena.failed ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "There is no memory for a name.") : WB_OK;
}

wb_code kf_position_names(kf_target *k, wb_error *err)
{
    wb_code code = make_name(k, k->transactional_id, "", &k->txn_id, err);
    return code == WB_OK ? make_name(k, k->position_topic, ".position", &k->pos_topic, err) : code;
}

/* ---------------------------------------------------------------- reading */

typedef struct reading {
    kf_target *k;
    rd_kafka_t *rk;
    int64_t low, high;
    kf_mark *m;
} reading;

static wb_code take(reading *x, const rd_kafka_message_t *m, wb_error *err)
{
    const char *id = x->k->txn_id;
    if (m->key_len != strlen(id) || memcmp(m->key, id, m->key_len) != 0 || !m->payload) return WB_OK;
    x->m->found = kf_position_parse(m->payload, m->len, x->m);
    if (x->m->found) return WB_OK;
    wb_fail(err, WB_E_STATE, WB_NEVER, "The position in the topic %s at offset %lld cannot be read.", x->k->pos_topic,
            (long long)m->offset);
    wb_hint(err, "Only Walbrook may write to this topic.");
    return WB_E_STATE;
}

/* From an offset to the end; a reader of committed messages is held up by the open transaction of anybody. */
static wb_code read_from(reading *x, int64_t from, wb_error *err)
{
    kf_target *k = x->k;
    int64_t until = wb_mono_us() + (int64_t)READ_MS * 1000;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, k->pos_topic, 0)->offset = from;
    rd_kafka_resp_err_t rc = rd_kafka_assign(x->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (rc) return kf_fail(err, rc, "The topic %s cannot be read: %s", k->pos_topic, rd_kafka_err2str(rc));
    wb_code code = WB_OK;
    for (bool end = false; code == WB_OK && !end;) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(x->rk, KF_SLICE_MS);
        if (m && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            end = m->offset >= x->high;
        else if (m && m->err && (kf_is_final(m->err) || m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET))
            code = kf_fail(err, m->err, "The topic %s cannot be read: %s", k->pos_topic, rd_kafka_message_errstr(m));
        else if (m && !m->err)
            code = take(x, m, err);
        if (m) rd_kafka_message_destroy(m);
        if (code != WB_OK || end) break;
        if (kf_stopped(k)) code = wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted");
        if (code == WB_OK && wb_mono_us() > until)
            code = kf_fail(err, RD_KAFKA_RESP_ERR__TIMED_OUT,
                           "The topic %s cannot be read to its end: a transaction in it is still open.", k->pos_topic);
    }
    return code;
}

static wb_code look_at_ends(reading *x, wb_error *err)
{
    kf_target *k = x->k;
    int64_t until = wb_mono_us() + (int64_t)KF_OPEN_MS * 1000;
    for (;;) {
        rd_kafka_resp_err_t rc =
            rd_kafka_query_watermark_offsets(k->rk, k->pos_topic, 0, &x->low, &x->high, KF_SLICE_MS);
        rd_kafka_poll(k->rk, 0);
        if (!rc) return WB_OK;
        if (kf_stopped(k)) return wb_fail(err, WB_E_STOPPED, WB_RECONNECT, "interrupted");
        if (kf_is_final(rc) || wb_mono_us() > until)
            return kf_fail(err, rc, "The topic %s cannot be read: %s", k->pos_topic, rd_kafka_err2str(rc));
        wb_sleep_us(20000); /* a new topic has no leader for a moment */
    }
}

/* The newest record is near the end; further back only where others write to the same topic. */
static wb_code search(reading *x, wb_error *err)
{
    wb_code code = WB_OK;
    int64_t from = x->high;
    for (int64_t window = WINDOW; code == WB_OK && !x->m->found && from > x->low; window *= 20) {
        from = WB_MAX(x->low, x->high - window);
        code = read_from(x, from, err);
    }
    return code;
}

wb_code kf_position_read(kf_target *k, kf_mark *m, wb_error *err)
{
    char why[300];
    reading x = {.k = k, .m = m};
    m->found = m->has_stand = false;
    wb_code code = look_at_ends(&x, err);
    if (code != WB_OK || x.high <= x.low) return code;
    rd_kafka_conf_t *conf = kf_conf_new(k, k->host, KF_POSITIONS, err);
    if (!conf) return err->code;
    kf_quiet(k, conf);
    x.rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!x.rk) {
        rd_kafka_conf_destroy(conf);
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "librdkafka refuses this: %s", why);
    }
    rd_kafka_poll_set_consumer(x.rk);
    code = search(&x, err);
    rd_kafka_assign(x.rk, NULL);
    rd_kafka_destroy_flags(x.rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return code;
}

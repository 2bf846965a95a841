/* kafka_publish.c: the floor of target kafka's latency: a bare librdkafka loop that sends a message at a time, with
 * what we promise (acks=all, idempotence) and no waiting for more. Its message says when it was handed to librdkafka.
 * kafka_publish BROKERS TOPIC RATE SECONDS */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef WB_HAVE_KAFKA
int main(void) { return 77; }
#else
#include <librdkafka/rdkafka.h>

static void must(bool fine, const char *what)
{
    if (fine) return;
    (void)fprintf(stderr, "kafka_publish: %s\n", what);
    exit(1);
}

static int64_t now_us(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t lost;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    (void)opaque;
    lost += m->err != RD_KAFKA_RESP_ERR_NO_ERROR;
}

int main(int argc, char **argv)
{
    must(argc == 5, "usage: kafka_publish BROKERS TOPIC RATE SECONDS");
    static const char *const settings[][2] = {
        {"acks", "all"}, {"enable.idempotence", "true"}, {"linger.ms", "0"}, {"compression.codec", "lz4"}};
    char why[200], value[600];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        must(!rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why), why);
    must(!rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], why, sizeof why), why);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    must(rk != NULL, why);
    int64_t rate = strtoll(argv[3], NULL, 10), total = rate * strtoll(argv[4], NULL, 10),
            start = now_us(CLOCK_MONOTONIC);
    memset(value, 'x', sizeof value);
    for (int64_t i = 0; i < total; i++) {
        int64_t left = start + i * 1000000 / rate - now_us(CLOCK_MONOTONIC);
        rd_kafka_poll(rk, 0);
        if (left > 0) (void)nanosleep(&(struct timespec){0, (long)left * 1000}, NULL);
        int n =
            snprintf(value, sizeof value, "{\"source\":{\"ts_us\":%" PRId64 "},\"text\":\"", now_us(CLOCK_REALTIME));
        value[n] = 'x';
        memcpy(value + sizeof value - 2, "\"}", 2);
        rd_kafka_resp_err_t rc =
            rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(argv[2]), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                              RD_KAFKA_V_KEY(&i, sizeof i), RD_KAFKA_V_VALUE(value, sizeof value), RD_KAFKA_V_END);
        must(!rc, rd_kafka_err2str(rc));
    }
    must(!rd_kafka_flush(rk, 30000) && !lost, "not all messages were delivered");
    rd_kafka_destroy(rk);
    return 0;
}
#endif

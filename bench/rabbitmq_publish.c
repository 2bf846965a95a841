/* rabbitmq_publish.c: the ceiling for the target rabbitmq: a bare rabbitmq-c loop that publishes the lines of a file to
 * a queue with publisher confirms, at most WINDOW of them unconfirmed. rabbitmq_publish PORT QUEUE FILE WINDOW */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef WB_HAVE_RABBITMQ
int main(void) { return 77; }
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>

static void must(bool fine, const char *what)
{
    if (fine) return;
    (void)fprintf(stderr, "rabbitmq_publish: %s\n", what);
    exit(1);
}

static bool fine(amqp_rpc_reply_t r) { return r.reply_type == AMQP_RESPONSE_NORMAL; }

/* Take confirmations until fewer than `most` are on their way. */
static uint64_t confirmed_upto(amqp_connection_state_t c, uint64_t sent, uint64_t confirmed, uint64_t most, bool wait)
{
    while (wait ? sent - confirmed >= most : true) {
        struct timeval none = {0}, *limit = wait ? NULL : &none;
        amqp_frame_t frame;
        amqp_maybe_release_buffers(c);
        int status = amqp_simple_wait_frame_noblock(c, &frame, limit);
        if (status == AMQP_STATUS_TIMEOUT) break;
        must(status == AMQP_STATUS_OK && frame.frame_type == AMQP_FRAME_METHOD &&
                 frame.payload.method.id == AMQP_BASIC_ACK_METHOD,
             "no confirmation");
        const amqp_basic_ack_t *a = frame.payload.method.decoded;
        confirmed = a->multiple ? a->delivery_tag : confirmed + 1; /* good enough to count */
    }
    return confirmed;
}

static amqp_table_entry_t entry(const char *name, const char *text)
{
    return (amqp_table_entry_t){amqp_cstring_bytes(name),
                                {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = amqp_cstring_bytes(text)}}};
}

int main(int argc, char **argv)
{
    if (argc < 5) return 2;
    FILE *in = fopen(argv[3], "r");
    uint64_t window = strtoull(argv[4], NULL, 10), sent = 0, confirmed = 0;
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);
    must(in && s && amqp_socket_open(s, "127.0.0.1", (int)strtol(argv[1], NULL, 10)) == 0, "cannot connect");
    must(fine(amqp_login(c, "/", 0, 131072, 30, AMQP_SASL_METHOD_PLAIN, "guest", "guest")), "cannot log in");
    amqp_channel_open(c, 1);
    amqp_confirm_select(c, 1);
    amqp_queue_declare(c, 1, amqp_cstring_bytes(argv[2]), 0, 1, 0, 0, amqp_empty_table);
    must(fine(amqp_get_rpc_reply(c)), "cannot declare the queue");
    char id[64];
    amqp_table_entry_t headers[] = {entry("event_id", id), entry("schema", "public"), entry("table", "bench"),
                                    entry("operation", "INSERT"), entry("key", "{\"id\":1234567}")};
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                                           AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG |
                                           AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_HEADERS_FLAG,
                                 .content_type = amqp_cstring_bytes("application/json"),
                                 .type = amqp_cstring_bytes("INSERT"),
                                 .app_id = amqp_cstring_bytes("walbrook"),
                                 .timestamp = 1700000000,
                                 .headers = {5, headers},
                                 .delivery_mode = 2};
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, in)) > 0) {
        if (sent - confirmed >= window) confirmed = confirmed_upto(c, sent, confirmed, window, true);
        (void)snprintf(id, sizeof id, "walbrook_slot:%07llu-0000000012345678:0", (unsigned long long)sent);
        p.message_id = headers[0].value.value.bytes = amqp_cstring_bytes(id);
        must(amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(argv[2]), 1, 0, &p,
                                (amqp_bytes_t){(size_t)n - 1, line}) == 0,
             "cannot publish");
        if (++sent % 64 == 0) confirmed = confirmed_upto(c, sent, confirmed, 0, false);
    }
    while (confirmed < sent) confirmed = confirmed_upto(c, sent, confirmed, 1, true);
    free(line);
    (void)fclose(in);
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    return amqp_destroy_connection(c) == AMQP_STATUS_OK ? 0 : 1;
}
#endif

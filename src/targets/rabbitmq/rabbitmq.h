/* rabbitmq.h: the RabbitMQ target from the inside. Shared by the files of this folder alone; everything runs on the
 * target's thread, only interrupt and status come from others.
 *   rabbitmq.c   the plugin: options, open, a view becomes messages, flush
 *   url.c        amqp:// URLs
 *   conn.c       one connection: connecting, logging in, frames, what the broker's words mean
 *   tls.c        what is asked of the broker's certificate
 *   places.c     templates: exchange, routing key and queue of a message; declaring them
 *   message.c    a format's message with properties and headers, copied to be held
 *   window.c     what is sent and not confirmed yet, in order; what must be sent again
 *   report.c     check, status, destination */
#ifndef WB_RABBITMQ_H
#define WB_RABBITMQ_H
#include <amqp.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/template.h"
#include "targets/formatter.h"
#include "walbrook/plugin.h"

/* For calls that take bytes as not const and only read them. */
static inline amqp_bytes_t rq_bytes(wb_str s)
{
    union {
        const char *in;
        void *out;
    } u = {s.ptr};
    return (amqp_bytes_t){s.len, u.out};
}

/* ---------------------------------------------------------------- url.c */

enum { RQ_HOSTS = 8 };
typedef struct rq_url {
    const char *user, *password, *vhost; /* never NULL, but password: NULL when it is not in the URL */
    struct {
        const char *name;
        int port;
    } hosts[RQ_HOSTS];
    size_t nhosts;
    bool tls;
} rq_url;
wb_code rq_url_parse(const char *text, wb_arena *a, rq_url *out, wb_error *err) WB_MUST;

/* ---------------------------------------------------------------- conn.c */

/* Channels: what is refused on the second leaves the first alone. From RQ_ASK on: for one question of check each. */
enum { RQ_PUBLISH = 1, RQ_DECLARE = 2, RQ_ASK = 3 };
enum { RQ_VERIFY_FULL, RQ_VERIFY_CA, RQ_VERIFY_NONE };
enum { RQ_FRAME = 131072 };

typedef struct rq_settings { /* how to connect; strings live as long as the options */
    const rq_url *url;
    const char *password;        /* instead of the URL's; NULL: none */
    const char *ca, *cert, *key; /* absolute paths or NULL */
    int verify;
    int64_t heartbeat_ms, timeout_ms;
    const char *name; /* the connection's, for the broker's management */
} rq_settings;

typedef struct rq_conn {
    amqp_connection_state_t amqp; /* NULL: closed */
    wb_host *host;
    bool declares;    /* the second channel is open */
    bool declared;    /* it was: when it is not, the broker has closed it, and waits for our word */
    size_t which;     /* of the URL's hosts */
    atomic_bool lock; /* guards fd, for an instant: interrupt shuts it down */
    int fd;           /* with `has_fd` */
    bool has_fd;
    atomic_bool interrupted;
} rq_conn; /* zeroed: closed */

/* Connects to the first host that answers, logs in. Errors: RETRY for what may pass. */
wb_code rq_conn_open(rq_conn *c, wb_host *h, const rq_settings *s, wb_error *err) WB_MUST;
wb_code rq_conn_confirms(rq_conn *c, wb_error *err) WB_MUST; /* opens the channel that publishes */
wb_code rq_conn_declares(rq_conn *c, wb_error *err) WB_MUST; /* opens the other one, when it is not open */
void rq_conn_close(rq_conn *c, bool politely);
void rq_conn_interrupt(rq_conn *c); /* any thread */
/* The next frame within `ms`; WB_AGAIN: none. What closes a channel or the connection is an error already. */
wb_code rq_conn_frame(rq_conn *c, int ms, amqp_frame_t *frame, wb_error *err) WB_MUST;
wb_code rq_conn_fail_status(const rq_conn *c, int status, const char *doing, wb_error *err);
/* The answer to a call: WB_OK or what went wrong. */
wb_code rq_conn_reply(const rq_conn *c, amqp_rpc_reply_t reply, const char *doing, wb_error *err) WB_MUST;
/* A close of the broker's: its number and words as an error. */
wb_code rq_conn_refused(int number, amqp_bytes_t words, const char *doing, wb_error *err);
const char *rq_server_property(const rq_conn *c, const char *name, char *out, size_t cap);

/* tls.c */
wb_code rq_tls_prepare(amqp_socket_t *socket, const rq_settings *s, const char *host, wb_error *err) WB_MUST;
bool rq_tls_refused(const rq_settings *s, wb_error *err); /* the broker does not like our certificate: then err says so */
const char *rq_tls_why(void); /* what was wrong with the last certificate on this thread; NULL: nothing */

/* ---------------------------------------------------------------- places.c */

enum { RQ_CREATE, RQ_PASSIVE, RQ_NOTHING }; /* declare */

typedef struct rq_place {
    struct rq_place *next; /* in its bucket */
    uint64_t hash;
    wb_str exchange, key, queue; /* queue empty: none to declare */
    bool ready;                  /* declared on this connection */
    unsigned returned;           /* times in a row that the broker had no queue for it */
} rq_place;

typedef struct rq_places {
    const wb_node *queue_arguments, *exchange_arguments; /* set from outside, as is all down to the blank line */
    const char *exchange_type;
    int declare;
    bool durable;
    const char *exchange_text, *queue_text, *key_text;
    const char *pipeline;

    wb_template *exchange, *queue, *key; /* key NULL: the topic of the format, the route, schema.table */
    wb_arena arena;
    amqp_table_t queue_table, exchange_table;
    rq_place **buckets;
    size_t nbuckets, n;
    wb_out scratch;
} rq_places;

wb_code rq_places_open(rq_places *p, wb_error *err) WB_MUST;
void rq_places_close(rq_places *p);
/* Where a message goes. WB_POISON: a name that AMQP cannot carry. */
wb_code rq_place_of(rq_places *p, const wb_txn *txn, const wb_change *c, const wb_message *m, rq_place **out,
                    wb_error *err) WB_MUST;
/* The one place there is without a change, or NULL: it depends on the table. */
wb_code rq_place_fixed(rq_places *p, rq_place **out, wb_error *err) WB_MUST;
wb_code rq_place_declare(rq_places *p, rq_conn *c, rq_place *place, wb_error *err) WB_MUST;
bool rq_places_fixed_queue(const rq_places *p); /* one queue, whatever the table */

/* ---------------------------------------------------------------- window.c */

typedef enum rq_state { RQ_WAITING, RQ_SENT, RQ_CONFIRMED, RQ_REFUSED } rq_state;

typedef struct rq_chunk rq_chunk;
typedef struct rq_message {
    rq_place *place;
    amqp_basic_properties_t properties;
    amqp_bytes_t body;
    rq_chunk *chunk; /* its memory */
    size_t bytes;
    uint8_t state;
    bool returned; /* and not yet confirmed: there was no queue for it */
    bool optional; /* about a whole schema: nobody need have bound a queue for it */
} rq_message;

typedef struct rq_ticket {
    wb_ticket ticket;
    uint64_t end; /* its last message is the one before */
} rq_ticket;

/* Messages by number, in the order in which they must arrive: [first, next) are sent, [next, end) wait. They stay until
 * all before them are confirmed too, since one that the broker refuses is sent again with all after it. */
typedef struct rq_window {
    rq_message *ring;
    size_t cap; /* power of two */
    uint64_t first, next, end;
    uint64_t base, base_tag; /* message `base` was sent with delivery tag `base_tag`, the next with the one after */
    uint64_t low;            /* the oldest that is sent and has no answer */
    size_t open;             /* sent and without answer */
    size_t limit, max;       /* how many of them may be; after a refusal few */
    uint64_t rewind;         /* the oldest refused; UINT64_MAX: none */
    uint64_t tag;            /* of the last message sent on this channel */
    int64_t pause_us;        /* the last pause after a refusal */
    int64_t until_us;        /* monotonic: nothing is sent before; 0: no pause */
    size_t bytes, max_bytes;
    rq_chunk *chunk, *spare; /* memory of messages: being filled; standard ones to use again */
    size_t nspare;
    rq_ticket *tickets; /* circular */
    size_t tickets_cap, tickets_first, ntickets;
} rq_window;

enum { RQ_CHUNK = 128 * 1024, RQ_PAUSE_MIN = 50000, RQ_PAUSE_MAX = 2000000 };

bool rq_window_open(rq_window *w, size_t max, size_t max_bytes) WB_MUST; /* false: no memory */
void rq_window_close(rq_window *w);
bool rq_window_room(const rq_window *w, size_t bytes); /* for one more message */
/* One more message with `bytes` of memory at *memory (16-byte aligned); NULL: no memory. Ask for room first. */
rq_message *rq_window_push(rq_window *w, size_t bytes, void **memory);
rq_message *rq_window_next(rq_window *w, int64_t now_us); /* what may be sent now, or NULL */
void rq_window_sent(rq_window *w);                        /* that was */
/* Answers. False: there is no such message. */
bool rq_window_answer(rq_window *w, uint64_t tag, bool multiple, bool taken) WB_MUST;
/* The broker gave a message back, whose confirmation follows: which it was; NULL: none of ours. */
rq_message *rq_window_returned(rq_window *w, wb_str exchange, wb_str key);
/* After answers: lets go of what is confirmed, goes back to what was refused. True: it went back. */
bool rq_window_settle(rq_window *w, int64_t now_us);
bool rq_window_ticket(rq_window *w, wb_ticket t) WB_MUST; /* all before is its; false: no memory */
bool rq_window_done(rq_window *w, wb_ticket *t);          /* the next ticket that is answered */
static inline bool rq_window_empty(const rq_window *w) { return w->first == w->end && !w->ntickets; }
static inline size_t rq_window_held(const rq_window *w) { return (size_t)(w->end - w->first); }

/* ---------------------------------------------------------------- the target */

enum { RQ_STOP, RQ_RETRY, RQ_SKIP }; /* unroutable */

/* Where the messages of a view have come to: a view that found no room is given again, and goes on from here. */
typedef struct rq_cursor {
    bool active;
    wb_ticket ticket;
    wb_formatting of_view;
} rq_cursor;

/* What the options mean. */
typedef struct rq_setup {
    wb_arena arena;
    rq_url url;
    rq_settings settings;
    rq_places places;
} rq_setup;

typedef struct rq_target {
    /* options */
    const char *url_text, *password, *tls_ca, *tls_cert, *tls_key, *format, *content_type;
    const char *exchange, *exchange_type, *queue, *routing_key;
    const wb_node *format_options, *queue_arguments, *exchange_arguments;
    int declare, unroutable, verify;
    bool durable, persistent, headers;
    int64_t window_size, priority, ttl_ms, max_message, heartbeat_ms, timeout_ms;

    /* from open to close */
    wb_host *host;
    bool is_open;
    rq_setup setup;
    rq_conn conn;
    rq_window window;
    wb_formatter formatter;
    rq_cursor cursor;
    wb_out id; /* event ids */
    char expiration[24];
    wb_error broken;    /* only close helps */
    int64_t counted_us; /* when the queue was last asked how long it is */
    size_t unread;      /* bytes sent since incoming frames were last looked for */

    /* over close; read by status */
    atomic_bool opened, blocked, refusing;
    atomic_llong unconfirmed, confirmed, refused, returned, skipped, queue_messages, queue_consumers;
} rq_target;

/* message.c: a held message of it. WB_AGAIN: no room yet. WB_POISON: AMQP cannot carry it. */
wb_code rq_message_put(rq_target *f, const wb_txn *txn, const wb_change *c, const wb_message *m, size_t nth,
                       wb_error *err) WB_MUST;
/* What the option table cannot check. Close it whatever comes out. Reads the options alone. */
wb_code rq_setup_open(const rq_target *f, wb_host *h, rq_setup *out, wb_error *err) WB_MUST;
void rq_setup_close(rq_setup *s);

/* report.c */
wb_code rq_check(void *ctx, wb_host *h, wb_report *r, wb_error *err);
wb_code rq_status(void *ctx, wb_host *h, const wb_facts *facts, wb_error *err);
wb_code rq_destination(void *ctx, char *out, size_t cap);
/* How long the queue is: messages and consumers. */
wb_code rq_count(rq_conn *c, wb_str queue, int64_t *messages, int64_t *consumers, wb_error *err) WB_MUST;
#endif

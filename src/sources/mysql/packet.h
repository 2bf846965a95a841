/* packet.h: the packets of a dump, cut out of the bytes of a connection as they come. Pure: whoever has the connection
 * brings the bytes (net.c), so it can be tested and fuzzed without one.
 *
 *     my_packets_next      until WB_AGAIN: then bring more bytes
 *     my_packets_room, my_packets_add
 *
 * A packet: 3 bytes of length, a number that counts them, the content. 16 MB - 1 of content: the next packet goes on.
 * The first byte of the first one says what it is: an event, an error, the end. (A server that was told of semi-sync
 * puts two more bytes there; we never tell it.) Many packets fit into the buffer, and their events are handed out where
 * they lie. An event that does not fit is handed out in parts, if that is what its type allows; else it is put
 * together. */
#ifndef WB_MY_PACKET_H
#define WB_MY_PACKET_H
#include "base/base.h"

typedef enum my_packet_kind {
    MY_PK_EVENT, /* a whole event                                              */
    MY_PK_PART,  /* the next bytes of one; the first part has at least its header */
    MY_PK_ERROR, /* the server's: number, SQLSTATE, text                       */
    MY_PK_END    /* the end of the log; the server sends no more               */
} my_packet_kind;

typedef struct my_packet {
    my_packet_kind kind;
    bool last; /* of a part: the event ends with it (n may be 0) */
    const uint8_t *p;
    size_t n; /* both until the next call */
    /* ERROR */
    unsigned number;
    char text[400];
} my_packet;

typedef struct my_packets {
    uint8_t *buf; /* what came and was not handed out: from `from` to `to` */
    size_t cap, from, to;
    uint8_t seq; /* of the packet that comes next */
    /* an event that does not fit into buf */
    bool inside, parts;
    bool goes_on; /* after the present packet comes another one of it */
    size_t rest;  /* of the present packet */
    uint8_t *big; /* what was put together of it, not of its parts */
    size_t big_len, big_cap;
} my_packets;

/* seq: of the first packet. cap: at least MY_PACKETS_LEAST. false: no memory. */
enum { MY_PACKETS_LEAST = 64 };
bool my_packets_init(my_packets *k, size_t cap, uint8_t seq) WB_MUST;
void my_packets_fini(my_packets *k); /* fine when zeroed */
wb_code my_packets_next(my_packets *k, my_packet *out, wb_error *err) WB_MUST;
/* Where up to *n (> 0) bytes that came are to be written, and how many were; after WB_AGAIN only. */
uint8_t *my_packets_room(my_packets *k, size_t *n);
void my_packets_add(my_packets *k, size_t n);
bool my_packets_within(const my_packets *k); /* a packet has begun, and its end has not come */
#endif

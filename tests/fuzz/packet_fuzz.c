/* packet_fuzz.c: the packets of a dump under any bytes. An input: the size of the buffer (one byte), how many bytes
 * come at once (one byte), then the bytes of the connection. What comes out must be the same when the same bytes come
 * at once into a buffer that holds them all. */
#include <zlib.h>

#include "sources/mysql/event.h"
#include "sources/mysql/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct outcome {
    uint64_t events, bytes, errors, ends;
    uint32_t sum;
    wb_code code;
} outcome;

static void require(bool what)
{
    if (!what) __builtin_trap();
}

/* Parts are added up as if the event had come whole. */
static void take(outcome *o, const my_packet *p, bool *within)
{
    if (p->kind == MY_PK_ERROR) o->errors += p->number;
    if (p->kind == MY_PK_END) o->ends++;
    if (p->kind == MY_PK_ERROR || p->kind == MY_PK_END) return;
    if (p->kind == MY_PK_PART && !*within) require(p->n >= MY_HEADER_LEN && my_type_in_parts(p->p[4]));
    *within = p->kind == MY_PK_PART && !p->last;
    o->sum = (uint32_t)crc32_z(o->sum, p->p, p->n);
    if (*within) return;
    o->events++;
}

static outcome run(const uint8_t *p, size_t n, size_t cap, size_t step, bool *within)
{
    outcome o = {.code = WB_AGAIN};
    my_packets k;
    wb_error err;
    require(my_packets_init(&k, cap, 0));
    *within = false;
    for (size_t at = 0;;) {
        my_packet out = {0};
        wb_error_reset(&err);
        o.code = my_packets_next(&k, &out, &err);
        if (o.code == WB_OK) {
            take(&o, &out, within);
            continue;
        }
        if (o.code != WB_AGAIN) require(err.code == o.code && err.message[0]);
        if (o.code != WB_AGAIN || at == n) break;
        size_t room;
        uint8_t *to = my_packets_room(&k, &room);
        size_t got = WB_MIN(WB_MIN(room, step), n - at);
        require(room > 0);
        memcpy(to, p + at, got);
        my_packets_add(&k, got);
        at += got;
    }
    my_packets_fini(&k);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    bool within, whole;
    size_t n = size - 2;
    outcome a = run(data + 2, n, MY_PACKETS_LEAST + data[0], 1 + data[1], &within);
    outcome b = run(data + 2, n, MY_PACKETS_LEAST + n + (1 << 16), n + 1, &whole);
    /* A small buffer refuses more: large packets that are no events. What both take is the same. */
    if (a.code == WB_AGAIN && b.code == WB_AGAIN && !within && !whole)
        require(a.events == b.events && a.sum == b.sum && a.errors == b.errors && a.ends == b.ends);
    return 0;
}

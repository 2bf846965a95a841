/* packet.c: see packet.h. Called by net.c. */
#include "packet.h"

#include <stdio.h>

#include "event.h"

enum {
    HEAD = 4,
    FULL = 0xffffff,
    IS_EVENT = 0,
    IS_END = 0xfe,
    IS_ERROR = 0xff,
    END_BELOW = 9, /* a larger packet that begins with IS_END is something else */
    LIMIT = 1 << 30
};

bool my_packets_init(my_packets *k, size_t cap, uint8_t seq)
{
    *k = (my_packets){.cap = cap, .seq = seq, .buf = malloc(cap)};
    return k->buf != NULL;
}

static void forget_big(my_packets *k)
{
    free(k->big);
    k->big = NULL;
    k->big_len = k->big_cap = 0;
}

void my_packets_fini(my_packets *k)
{
    forget_big(k);
    free(k->buf);
    *k = (my_packets){.cap = 0};
}

uint8_t *my_packets_room(my_packets *k, size_t *n)
{
    if (k->from == k->to) k->from = k->to = 0;
    if (k->from) { /* the beginning of a packet: little beside the buffer */
        memmove(k->buf, k->buf + k->from, k->to - k->from);
        k->to -= k->from;
        k->from = 0;
    }
    *n = k->cap - k->to;
    return k->buf + k->to;
}

void my_packets_add(my_packets *k, size_t n) { k->to += n; }
bool my_packets_within(const my_packets *k) { return k->inside || k->from < k->to; }

/* ---------------------------------------------------------------- what cannot be */

static wb_code bad(wb_error *err, const char *what)
{
    wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT, "The server's stream of its log cannot be read: %s.", what);
    wb_hint(err, "The connection is made anew. If that does not help, something between here and the server (a proxy) "
                 "changes what it sends.");
    return WB_E_PROTOCOL;
}

static wb_code bad_number(const my_packets *k, uint8_t got, wb_error *err)
{
    char what[80];
    (void)snprintf(what, sizeof what, "packet %u came where %u was due", got, k->seq);
    return bad(err, what);
}

/* ---------------------------------------------------------------- an event that is larger than the buffer */

static bool grow(my_packets *k, size_t n)
{
    size_t want = k->big_len + n;
    if (want <= k->big_cap) return true;
    size_t cap = WB_MAX(want, k->big_cap * 2);
    uint8_t *more = realloc(k->big, cap);
    if (!more) return false;
    k->big = more;
    k->big_cap = cap;
    return true;
}

static wb_code put_together(my_packets *k, const uint8_t *p, size_t n, bool last, my_packet *out, wb_error *err)
{
    if (n > LIMIT - k->big_len)
        return wb_fail(err, WB_E_LIMIT, WB_NEVER, "The server's log has an event of more than %d bytes.", LIMIT);
    if (!grow(k, n)) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a large event of the log.");
    if (n) memcpy(k->big + k->big_len, p, n);
    k->big_len += n;
    if (!last) return WB_AGAIN;
    out->kind = MY_PK_EVENT;
    out->p = k->big;
    out->n = k->big_len;
    return WB_OK;
}

/* The head of the next packet of the event. */
static wb_code next_packet(my_packets *k, wb_error *err)
{
    const uint8_t *p = k->buf + k->from;
    if (k->to - k->from < HEAD) return WB_AGAIN;
    if (p[3] != k->seq) return bad_number(k, p[3], err);
    k->seq++;
    k->rest = my_get_le(p, 3);
    k->goes_on = k->rest == FULL;
    k->from += HEAD;
    return WB_OK;
}

static wb_code go_on(my_packets *k, my_packet *out, wb_error *err)
{
    for (;;) {
        bool fresh = k->rest == 0; /* the present packet is over, and another one is due */
        wb_code code = fresh ? next_packet(k, err) : WB_OK;
        if (code != WB_OK) return code;
        size_t n = WB_MIN(k->rest, k->to - k->from);
        if (n == 0 && k->rest) return WB_AGAIN;
        const uint8_t *p = k->buf + k->from;
        k->from += n;
        k->rest -= n;
        bool last = k->rest == 0 && !k->goes_on;
        if (last) k->inside = false;
        if (k->parts) {
            *out = (my_packet){.kind = MY_PK_PART, .last = last, .p = p, .n = n};
            return WB_OK;
        }
        code = put_together(k, p, n, last, out, err);
        if (code != WB_AGAIN) return code;
    }
}

/* There is the head of a packet, and its content does not fit. */
static wb_code begin_large(my_packets *k, my_packet *out, wb_error *err)
{
    enum { TYPE = 4 }; /* in an event's header */
    const uint8_t *p = k->buf + k->from + HEAD;
    if (k->to - k->from < HEAD + 1 + MY_HEADER_LEN) return WB_AGAIN;
    if (p[0] != IS_EVENT) return bad(err, "a packet is large, and no event");
    wb_code code = next_packet(k, err);
    if (code != WB_OK) return code;
    k->from++;
    k->rest--;
    k->inside = true;
    k->parts = my_type_in_parts(p[1 + TYPE]);
    return go_on(k, out, err);
}

/* ---------------------------------------------------------------- packets */

static wb_code read_error(const uint8_t *p, size_t n, my_packet *out, wb_error *err)
{
    if (n < 3) return bad(err, "it sent an error without a number");
    const char *text = (const char *)p + 3;
    size_t len = n - 3;
    if (len >= 6 && text[0] == '#') { /* SQLSTATE */
        text += 6;
        len -= 6;
    }
    out->kind = MY_PK_ERROR;
    out->number = my_get_u16(p + 1);
    (void)snprintf(out->text, sizeof out->text, "%.*s", (int)WB_MIN(len, sizeof out->text - 1), text);
    return WB_OK;
}

wb_code my_packets_next(my_packets *k, my_packet *out, wb_error *err)
{
    if (WB_UNLIKELY(k->inside)) return go_on(k, out, err);
    if (WB_UNLIKELY(k->big != NULL)) forget_big(k);
    const uint8_t *p = k->buf + k->from;
    size_t have = k->to - k->from;
    if (have < HEAD) return WB_AGAIN;
    size_t n = (size_t)my_get_le(p, 3);
    if (WB_UNLIKELY(p[3] != k->seq)) return bad_number(k, p[3], err);
    if (WB_UNLIKELY(n == FULL || HEAD + n > k->cap)) return begin_large(k, out, err);
    if (have < HEAD + n) return WB_AGAIN;
    if (WB_UNLIKELY(n == 0)) return bad(err, "it sent an empty packet");
    k->from += HEAD + n;
    k->seq++;
    p += HEAD;
    if (WB_LIKELY(p[0] == IS_EVENT)) {
        out->kind = MY_PK_EVENT;
        out->p = p + 1;
        out->n = n - 1;
        return WB_OK;
    }
    if (p[0] == IS_ERROR) return read_error(p, n, out, err);
    out->kind = MY_PK_END;
    return p[0] == IS_END && n < END_BELOW ? WB_OK : bad(err, "it sent a packet that is no event");
}

/* headers.c: librdkafka's headers of a message. They cost it five allocations a message, a third of what sending does,
 * and most messages of a run have the same ones: lists that come back with an answer are used again. Target thread. */
#include "targets/kafka/kafka.h"

enum { SPARE_MAX = 16384 };

static rd_kafka_headers_t *made_of(const wb_message *m)
{
    rd_kafka_headers_t *h = rd_kafka_headers_new(m->nheaders);
    for (size_t i = 0; i < m->nheaders; i++) {
        const wb_header *x = &m->headers[i];
        rd_kafka_header_add(h, x->name.ptr, (ssize_t)x->name.len, x->value.ptr, (ssize_t)x->value.len);
    }
    return h;
}

/* ---------------------------------------------------------------- what the spare ones say */

static bool same_text(const wb_out *o, size_t *at, wb_str s)
{
    bool same = o->len - *at >= s.len && (!s.len || memcmp(o->p + *at, s.ptr, s.len) == 0);
    *at += s.len;
    return same;
}

static bool fits(const kf_spares *s, const wb_message *m)
{
    size_t at = 0;
    if (s->count != m->nheaders) return false;
    for (size_t i = 0; i < m->nheaders; i++) {
        const wb_header *x = &m->headers[i];
        if (s->sizes[2 * i] != x->name.len || s->sizes[2 * i + 1] != x->value.len || !s->sizes[2 * i]) return false;
        if (!same_text(&s->text, &at, x->name) || !same_text(&s->text, &at, x->value)) return false;
    }
    return true;
}

static void forget(kf_spares *s)
{
    while (s->n) rd_kafka_headers_destroy(s->lists[--s->n]);
    s->count = 0;
    s->kind++;
    wb_out_reset(&s->text);
}

static void learn(kf_spares *s, const wb_message *m)
{
    forget(s);
    if (m->nheaders > KF_HEADERS) return;
    for (size_t i = 0; i < m->nheaders; i++) {
        wb_out_str(&s->text, m->headers[i].name);
        wb_out_str(&s->text, m->headers[i].value);
        s->sizes[2 * i] = m->headers[i].name.len;
        s->sizes[2 * i + 1] = m->headers[i].value.len;
    }
    if (!s->text.failed) s->count = m->nheaders;
}

/* ---------------------------------------------------------------- use */

/* Where every message has its own nothing is learned: ever more seldom, until there is a hit. */
rd_kafka_headers_t *kf_headers_of(kf_target *k, const wb_message *m)
{
    kf_spares *s = &k->spares;
    kf_ticket *t = k->at.record;
    bool fit = fits(s, m);
    bool due = (s->misses & (s->misses + 1)) == 0; /* 0, 1, 3, 7 … */
    s->misses = fit ? 0 : s->misses + 1;
    if (!fit && due) {
        learn(s, m);
        fit = s->count != 0;
    }
    uint64_t kind = fit ? s->kind : KF_MIXED;
    t->headers = !t->headers || t->headers == kind ? kind : KF_MIXED;
    return fit && s->n ? s->lists[--s->n] : made_of(m);
}

/* An answer came. Those of a ticket are all of one kind, or none is kept. */
void kf_headers_back(kf_target *k, const rd_kafka_message_t *m, const kf_ticket *t)
{
    kf_spares *s = &k->spares;
    rd_kafka_headers_t *h = NULL;
    if (t->headers != s->kind || !s->count || s->n == SPARE_MAX) return;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 256;
        rd_kafka_headers_t **more = realloc(s->lists, cap * sizeof(*more));
        if (!more) return;
        s->lists = more;
        s->cap = cap;
    }
    /* The message is ours until this call returns, though it is shown as const. */
    if (rd_kafka_message_detach_headers((rd_kafka_message_t *)(uintptr_t)m, &h) == RD_KAFKA_RESP_ERR_NO_ERROR)
        s->lists[s->n++] = h;
}

void kf_headers_close(kf_target *k)
{
    forget(&k->spares);
    wb_out_fini(&k->spares.text);
    free(k->spares.lists);
    k->spares = (kf_spares){.n = 0};
}

/* group.c: the bytes of transactions whose end is not known yet: in memory while they are few, else in the spool; and
 * the savepoints within them. Prepared XA transactions wait here, too. Called by feed.c and replay.c. */
#include "inside.h"

#include <strings.h>

uint64_t my_held_size(const my_held *h) { return h->spool_len + h->len; }

void my_held_clear(my_decoder *d, my_held *h)
{
    WB_UNUSED(d);
    for (size_t i = 0; i < h->nsavepoints; i++) free(h->savepoints[i].name);
    h->nsavepoints = h->nranges = 0;
    h->base = NULL;
    h->len = 0;
    h->spool_at = h->spool_len = 0;
}

/* What is in memory, behind what is in the spool already. */
static wb_code to_spool(my_decoder *d, my_held *h, wb_error *err)
{
    if (h->len == 0) return WB_OK;
    if (h->spool_len == 0) h->spool_at = d->spool_top;
    wb_code code = d->hooks.spool_write(d->hooks.arg, h->spool_at + h->spool_len, h->mem, h->len, err);
    if (code != WB_OK) return code;
    h->spool_len += h->len;
    d->spool_top = h->spool_at + h->spool_len;
    h->len = 0;
    return WB_OK;
}

static bool grow(my_held *h, size_t n)
{
    size_t want;
    if (!wb_add_ok(h->len, n, &want)) return false;
    if (want <= h->cap) return true;
    size_t cap = WB_MAX(want, h->cap ? h->cap * 2 : (size_t)64 * 1024);
    uint8_t *more = realloc(h->mem, cap);
    if (!more) return false;
    h->mem = more;
    h->cap = cap;
    return true;
}

wb_code my_held_add(my_decoder *d, my_held *h, const uint8_t *p, size_t n, wb_error *err)
{
    if (d->o.stable) {
        if (h->len == 0) h->base = p;
        if (h->base && p == h->base + h->len) {
            h->len += n;
            return WB_OK;
        }
        if (h->base) { /* not in one piece after all */
            const uint8_t *base = h->base;
            size_t len = h->len;
            h->base = NULL;
            h->len = 0;
            if (!grow(h, len)) return my_no_memory(d, err);
            memcpy(h->mem, base, len);
            h->len = len;
        }
    }
    if (h->len + n > d->o.hold && h->len > 0 && d->hooks.spool_write) {
        wb_code code = to_spool(d, h, err);
        if (code != WB_OK) return code;
    }
    if (h->len + n > d->o.hold && h->len > 0 && !d->o.stable) {
        wb_fail(err, WB_E_LIMIT, WB_NEVER,
                "The transaction that begins at %s:%llu is larger than what may be held (%zu bytes).", d->log,
                (unsigned long long)d->group.start, d->o.hold);
        wb_hint(err, "It can be held in a file when there is a state folder.");
        return WB_E_LIMIT;
    }
    if (!grow(h, n)) return my_no_memory(d, err);
    memcpy(h->mem + h->len, p, n);
    h->len += n;
    return WB_OK;
}

wb_code my_held_close(my_decoder *d, my_held *h, bool away, wb_error *err)
{
    enum { WORTH = 64 * 1024 };
    away = away && h->len > WORTH && !h->base && d->hooks.spool_write;
    return h->spool_len || away ? to_spool(d, h, err) : WB_OK;
}

wb_code my_held_read(my_decoder *d, const my_held *h, uint64_t at, size_t n, const uint8_t **out, wb_error *err)
{
    if (at > my_held_size(h) || n > my_held_size(h) - at)
        return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "A held transaction was read beyond its end.");
    if (h->spool_len == 0) {
        *out = (h->base ? h->base : h->mem) + at;
        return WB_OK;
    }
    if (d->window_len && at >= d->window_at && at + n <= d->window_at + d->window_len) {
        *out = d->window + (at - d->window_at);
        return WB_OK;
    }
    size_t want = (size_t)WB_MIN((uint64_t)WB_MAX(n, d->o.window), h->spool_len - at);
    if (want > d->window_cap) {
        uint8_t *more = realloc(d->window, want);
        if (!more) return my_no_memory(d, err);
        d->window = more;
        d->window_cap = want;
    }
    d->window_len = 0;
    wb_code code = d->hooks.spool_read(d->hooks.arg, h->spool_at + at, d->window, want, err);
    if (code != WB_OK) return code;
    d->window_at = at;
    d->window_len = want;
    *out = d->window;
    return WB_OK;
}

void my_spool_trim(my_decoder *d)
{
    if (d->spool_top == 0) return;
    d->spool_top = 0;
    for (size_t i = 0; i < d->nprepared; i++) {
        const my_held *h = &d->prepared[i].held;
        if (h->spool_len) d->spool_top = WB_MAX(d->spool_top, h->spool_at + h->spool_len);
    }
    if (d->spool_top == 0 && d->hooks.spool_empty) d->hooks.spool_empty(d->hooks.arg);
}

/* ---------------------------------------------------------------- savepoints */

static bool same_name(const my_savepoint *s, wb_str name)
{
    return strlen(s->name) == name.len && strncasecmp(s->name, name.ptr, name.len) == 0;
}

static void *one_more(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return array;
    size_t want = *cap ? *cap * 2 : 8;
    void *more = realloc(array, want * size);
    if (more) *cap = want;
    return more;
}

/* One that is set again moves. */
bool my_held_savepoint(my_held *h, wb_str name)
{
    my_savepoint *all = one_more(h->savepoints, h->nsavepoints, &h->cap_savepoints, sizeof *all);
    if (!all) return false;
    h->savepoints = all;
    for (size_t i = 0; i < h->nsavepoints; i++) {
        if (!same_name(&all[i], name)) continue;
        free(all[i].name);
        memmove(&all[i], &all[i + 1], (h->nsavepoints - i - 1) * sizeof *all);
        h->nsavepoints--;
        break;
    }
    char *copy = strndup(name.ptr, name.len);
    if (!copy) return false;
    all[h->nsavepoints++] = (my_savepoint){copy, my_held_size(h)};
    return true;
}

int my_held_rollback_to(my_held *h, wb_str name)
{
    size_t i = h->nsavepoints;
    while (i > 0 && !same_name(&h->savepoints[i - 1], name)) i--;
    if (i == 0) return 0;
    my_range *all = one_more(h->ranges, h->nranges, &h->cap_ranges, sizeof *all);
    if (!all) return -1;
    h->ranges = all;
    all[h->nranges++] = (my_range){h->savepoints[i - 1].at, my_held_size(h)};
    while (h->nsavepoints > i) free(h->savepoints[--h->nsavepoints].name); /* those set after it are gone */
    return 1;
}

void my_held_release(my_held *h, wb_str name)
{
    size_t i = h->nsavepoints;
    while (i > 0 && !same_name(&h->savepoints[i - 1], name)) i--;
    while (i > 0 && h->nsavepoints >= i) free(h->savepoints[--h->nsavepoints].name);
}

bool my_held_discarded(const my_held *h, uint64_t at)
{
    for (size_t i = 0; i < h->nranges; i++)
        if (at >= h->ranges[i].from && at < h->ranges[i].to) return true;
    return false;
}

/* ---------------------------------------------------------------- prepared XA transactions */

my_prepared *my_prepared_find(my_decoder *d, const char *xa)
{
    for (size_t i = 0; i < d->nprepared; i++)
        if (strcasecmp(d->prepared[i].group.xa, xa) == 0) return &d->prepared[i];
    return NULL;
}

my_prepared *my_prepared_add(my_decoder *d)
{
    my_prepared *all = one_more(d->prepared, d->nprepared, &d->cap_prepared, sizeof *all);
    if (!all) return NULL;
    d->prepared = all;
    my_prepared *p = &all[d->nprepared];
    memset(p, 0, sizeof *p);
    if (d->held.base) { /* stable input is so only until the delivery */
        const uint8_t *base = d->held.base;
        size_t len = d->held.len;
        uint8_t *copy = malloc(len ? len : 1);
        if (!copy) return NULL;
        memcpy(copy, base, len);
        free(d->held.mem);
        d->held.base = NULL;
        d->held.mem = copy;
        d->held.cap = len;
    }
    p->group = d->group;
    p->held = d->held;
    memcpy(p->log, d->log, sizeof p->log);
    memset(&d->held, 0, sizeof d->held);
    d->nprepared++;
    return p;
}

static void free_held(my_decoder *d, my_held *h)
{
    my_held_clear(d, h);
    free(h->mem);
    free(h->ranges);
    free(h->savepoints);
    memset(h, 0, sizeof *h);
}

void my_prepared_drop(my_decoder *d, my_prepared *p)
{
    free_held(d, &p->held);
    size_t i = (size_t)(p - d->prepared);
    memmove(p, p + 1, (d->nprepared - i - 1) * sizeof *p);
    d->nprepared--;
}

void my_prepared_clear(my_decoder *d)
{
    while (d->nprepared) my_prepared_drop(d, &d->prepared[d->nprepared - 1]);
}

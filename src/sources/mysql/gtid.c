/* gtid.c: arithmetic of GTID sets. Called by positions (resume, meet, holds) and by the decoder; never for a row.
 * Everything that can run out of memory builds the result first and leaves the set as it was on failure. */
#include "gtid.h"

#include "gtid_set.h"

my_gtid_set *my_gtid_set_new(void) { return calloc(1, sizeof(my_gtid_set)); }

void my_gtid_set_clear(my_gtid_set *s)
{
    for (size_t i = 0; i < s->n; i++) free(s->sids[i].spans);
    free(s->sids);
    free(s->domains);
    memset(s, 0, sizeof *s);
}

void my_gtid_set_free(my_gtid_set *s)
{
    if (!s) return;
    my_gtid_set_clear(s);
    free(s);
}

my_flavor my_gtid_set_flavor(const my_gtid_set *s) { return s->flavor; }
bool my_gtid_set_empty(const my_gtid_set *s) { return s->n == 0 && s->ndomains == 0; }

bool my_gtid_set_tagged(const my_gtid_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->sids[i].tag[0]) return true;
    return false;
}

/* Room for one more element of `size` bytes. */
static bool room(void **array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return true;
    size_t want = *cap ? *cap * 2 : 4, bytes;
    if (!wb_mul_ok(want, size, &bytes)) return false;
    void *bigger = realloc(*array, bytes);
    if (!bigger) return false;
    *array = bigger;
    *cap = want;
    return true;
}

static bool same_flavor(my_gtid_set *s, my_flavor flavor)
{
    if (s->flavor == MY_UNKNOWN || my_gtid_set_empty(s)) s->flavor = flavor;
    return s->flavor == flavor;
}

/* ---------------------------------------------------------------- MySQL: spans */

static int compare_sid(const my_sid *e, const uint8_t sid[MY_SID_LEN], const char *tag)
{
    int c = memcmp(e->sid, sid, MY_SID_LEN);
    return c ? c : strcmp(e->tag, tag);
}

/* The place of (sid, tag) among the entries; *found: it is there. */
static size_t find_sid(const my_gtid_set *s, const uint8_t sid[MY_SID_LEN], const char *tag, bool *found)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = compare_sid(&s->sids[mid], sid, tag);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

/* The first span that ends at or after n. */
static size_t find_span(const my_sid *e, uint64_t n)
{
    size_t low = 0, high = e->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->spans[mid].end < n)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool sid_add(my_sid *e, my_span x)
{
    size_t i = find_span(e, x.first), j = i;
    while (j < e->n && e->spans[j].first <= x.end) { /* touching spans become one */
        x.first = WB_MIN(x.first, e->spans[j].first);
        x.end = WB_MAX(x.end, e->spans[j].end);
        j++;
    }
    if (j == i) {
        void *p = e->spans;
        bool ok = room(&p, e->n, &e->cap, sizeof *e->spans);
        e->spans = p;
        if (!ok) return false;
        memmove(e->spans + i + 1, e->spans + i, (e->n - i) * sizeof *e->spans);
        e->n++;
    } else {
        memmove(e->spans + i + 1, e->spans + j, (e->n - j) * sizeof *e->spans);
        e->n -= j - i - 1;
    }
    e->spans[i] = x;
    return true;
}

bool my_gtid_set_add_span(my_gtid_set *s, const uint8_t sid[MY_SID_LEN], const char *tag, my_span span)
{
    if (span.first == 0 || span.end <= span.first || span.end > MY_GNO_MAX + 1 || strlen(tag) > MY_TAG_MAX)
        return false;
    if (!same_flavor(s, MY_MYSQL)) return false;
    bool found;
    size_t at = find_sid(s, sid, tag, &found);
    if (found) return sid_add(&s->sids[at], span);
    my_sid e = {0};
    memcpy(e.sid, sid, MY_SID_LEN);
    memcpy(e.tag, tag, strlen(tag));
    if (!sid_add(&e, span)) return false;
    void *p = s->sids;
    bool ok = room(&p, s->n, &s->cap, sizeof *s->sids);
    s->sids = p;
    if (!ok) {
        free(e.spans);
        return false;
    }
    memmove(s->sids + at + 1, s->sids + at, (s->n - at) * sizeof *s->sids);
    s->sids[at] = e;
    s->n++;
    return true;
}

/* ---------------------------------------------------------------- MariaDB: domains */

static size_t find_domain(const my_gtid_set *s, uint32_t domain, bool *found)
{
    size_t i = 0;
    while (i < s->ndomains && s->domains[i].domain < domain) i++;
    *found = i < s->ndomains && s->domains[i].domain == domain;
    return i;
}

static bool add_domain(my_gtid_set *s, const my_gtid *g)
{
    if (!same_flavor(s, MY_MARIADB)) return false;
    bool found;
    size_t at = find_domain(s, g->domain, &found);
    if (found) {
        if (g->n >= s->domains[at].n) s->domains[at] = *g;
        return true;
    }
    void *p = s->domains;
    bool ok = room(&p, s->ndomains, &s->cap_domains, sizeof *s->domains);
    s->domains = p;
    if (!ok) return false;
    memmove(s->domains + at + 1, s->domains + at, (s->ndomains - at) * sizeof *s->domains);
    s->domains[at] = *g;
    s->ndomains++;
    return true;
}

bool my_gtid_set_domain(const my_gtid_set *s, size_t i, my_gtid *out)
{
    if (i >= s->ndomains) return false;
    *out = s->domains[i];
    return true;
}

/* ---------------------------------------------------------------- both */

bool my_gtid_set_add(my_gtid_set *s, const my_gtid *g)
{
    if (g->flavor == MY_MARIADB) return add_domain(s, g);
    if (g->flavor != MY_MYSQL) return false;
    return my_gtid_set_add_span(s, g->sid, g->tag, (my_span){g->n, g->n + 1});
}

bool my_gtid_set_holds(const my_gtid_set *s, const my_gtid *g)
{
    bool found;
    if (g->flavor == MY_UNKNOWN || g->flavor != s->flavor) return false;
    if (g->flavor == MY_MARIADB) {
        size_t at = find_domain(s, g->domain, &found);
        return found && g->n <= s->domains[at].n;
    }
    size_t at = find_sid(s, g->sid, g->tag, &found);
    if (!found) return false;
    const my_sid *e = &s->sids[at];
    size_t i = find_span(e, g->n + 1);
    return i < e->n && e->spans[i].first <= g->n && g->n < e->spans[i].end;
}

/* Put every span of `from` into `s`, whose earlier content may be lost on failure. */
static bool pour(my_gtid_set *s, const my_gtid_set *from)
{
    for (size_t i = 0; i < from->n; i++)
        for (size_t k = 0; k < from->sids[i].n; k++)
            if (!my_gtid_set_add_span(s, from->sids[i].sid, from->sids[i].tag, from->sids[i].spans[k])) return false;
    for (size_t i = 0; i < from->ndomains; i++)
        if (!add_domain(s, &from->domains[i])) return false;
    return true;
}

/* `made` becomes the set when ok, else is thrown away. */
static bool take(my_gtid_set *s, my_gtid_set *made, bool ok)
{
    if (ok) {
        my_gtid_set old = *s;
        *s = *made;
        *made = old;
    }
    my_gtid_set_clear(made);
    return ok;
}

bool my_gtid_set_copy(my_gtid_set *to, const my_gtid_set *from)
{
    my_gtid_set made = {.flavor = from->flavor};
    return to == from || take(to, &made, pour(&made, from));
}

static bool comparable(const my_gtid_set *a, const my_gtid_set *b)
{
    return my_gtid_set_empty(a) || my_gtid_set_empty(b) || a->flavor == b->flavor;
}

bool my_gtid_set_unite(my_gtid_set *s, const my_gtid_set *with)
{
    my_gtid_set made = {0};
    if (!comparable(s, with)) return false;
    return take(s, &made, pour(&made, s) && pour(&made, with));
}

/* The numbers that are in both entries, or (without) in `a` and not in `b`. */
static bool cut_sid(my_gtid_set *made, const my_sid *a, const my_sid *b, bool without)
{
    for (size_t i = 0, from = 0; i < a->n; i++) {
        my_span x = a->spans[i];
        while (from < b->n && b->spans[from].end <= x.first) from++;
        uint64_t at = x.first;
        for (size_t k = from; k < b->n && b->spans[k].first < x.end; k++) {
            my_span common = {WB_MAX(x.first, b->spans[k].first), WB_MIN(x.end, b->spans[k].end)};
            my_span piece = without ? (my_span){at, common.first} : common;
            if (piece.first < piece.end && !my_gtid_set_add_span(made, a->sid, a->tag, piece)) return false;
            at = common.end;
        }
        if (without && at < x.end && !my_gtid_set_add_span(made, a->sid, a->tag, (my_span){at, x.end})) return false;
    }
    return true;
}

static bool cut(my_gtid_set *made, const my_gtid_set *a, const my_gtid_set *b, bool without)
{
    static const my_sid none;
    bool found;
    for (size_t i = 0; i < a->n; i++) {
        size_t at = find_sid(b, a->sids[i].sid, a->sids[i].tag, &found);
        if (!found && !without) continue;
        if (!cut_sid(made, &a->sids[i], found ? &b->sids[at] : &none, without)) return false;
    }
    for (size_t i = 0; i < a->ndomains; i++) {
        size_t at = find_domain(b, a->domains[i].domain, &found);
        const my_gtid *x = &a->domains[i], *y = found ? &b->domains[at] : NULL;
        if (without && y && x->n <= y->n) continue;
        if (!without && !y) continue;
        if (!add_domain(made, !without && y->n < x->n ? y : x)) return false;
    }
    return true;
}

bool my_gtid_set_meet(my_gtid_set *s, const my_gtid_set *with)
{
    my_gtid_set made = {.flavor = s->flavor};
    return comparable(s, with) && take(s, &made, cut(&made, s, with, false));
}

bool my_gtid_set_subtract(my_gtid_set *s, const my_gtid_set *without)
{
    my_gtid_set made = {.flavor = s->flavor};
    return comparable(s, without) && take(s, &made, cut(&made, s, without, true));
}

static bool sid_within(const my_sid *in, const my_sid *out)
{
    for (size_t i = 0; i < in->n; i++) {
        size_t k = find_span(out, in->spans[i].end);
        if (k >= out->n || out->spans[k].first > in->spans[i].first) return false;
    }
    return true;
}

bool my_gtid_set_within(const my_gtid_set *inner, const my_gtid_set *outer)
{
    bool found;
    if (my_gtid_set_empty(inner)) return true;
    if (inner->flavor != outer->flavor) return false;
    for (size_t i = 0; i < inner->n; i++) {
        size_t at = find_sid(outer, inner->sids[i].sid, inner->sids[i].tag, &found);
        if (!found || !sid_within(&inner->sids[i], &outer->sids[at])) return false;
    }
    for (size_t i = 0; i < inner->ndomains; i++)
        if (!my_gtid_set_holds(outer, &inner->domains[i])) return false;
    return true;
}

bool my_gtid_set_equal(const my_gtid_set *a, const my_gtid_set *b)
{
    return my_gtid_set_within(a, b) && my_gtid_set_within(b, a);
}

uint64_t my_gtid_set_count(const my_gtid_set *s)
{
    uint64_t sum = s->ndomains;
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < s->sids[i].n; k++) {
            uint64_t more = s->sids[i].spans[k].end - s->sids[i].spans[k].first;
            if (__builtin_add_overflow(sum, more, &sum)) return UINT64_MAX;
        }
    }
    return sum;
}

/* position.c: positions as bytes, and their order. See position.h for which half of a position decides. */
#include "position.h"

#include <inttypes.h>
#include <stdio.h>

/* 'P' or 'T', flavor, flags, lineage 8, offset 8, name length 1, name, the turn's number 8 if it has one, then the set,
 * or the one GTID. Numbers are little-endian. */
enum { HAS_SET = 1, HAS_FILE = 2, HAS_SEQ = 4, FIXED = 20, SEQ_LEN = 8, DOMAIN_LEN = 16 };

static void put_le(wb_out *o, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) wb_out_byte(o, (char)(v >> (8 * i)));
}

static uint64_t le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void put_head(wb_out *out, char kind, const my_pos *p, bool has_set)
{
    wb_str log = p->has_file ? p->log : (wb_str){NULL, 0};
    wb_out_byte(out, kind);
    wb_out_byte(out, (char)p->flavor);
    wb_out_byte(out, (char)((has_set ? HAS_SET : 0) | (p->has_file ? HAS_FILE : 0) | (p->seq ? HAS_SEQ : 0)));
    put_le(out, p->lineage, 8);
    put_le(out, p->has_file ? p->offset : 0, 8);
    wb_out_byte(out, (char)log.len);
    wb_out_str(out, log);
    if (p->seq) put_le(out, p->seq, SEQ_LEN);
}

bool my_pos_make(wb_out *out, const my_pos *p, const my_gtid_set *set)
{
    size_t from = out->len;
    if (p->has_file && p->log.len > 255) return false;
    put_head(out, 'P', p, set != NULL);
    if (set && p->flavor == MY_MARIADB) {
        my_gtid g;
        for (size_t i = 0; my_gtid_set_domain(set, i, &g); i++) {
            put_le(out, g.domain, 4);
            put_le(out, g.server, 4);
            put_le(out, g.n, 8);
        }
    } else if (set) {
        my_gtid_set_encode(set, out);
    }
    return !out->failed && out->len - from <= MY_POS_MAX;
}

void my_at_make(wb_out *out, const my_pos *p)
{
    const my_gtid *g = &p->gtid;
    put_head(out, 'T', p, p->has_set);
    if (!p->has_set) return;
    if (p->flavor == MY_MARIADB) {
        put_le(out, g->domain, 4);
        put_le(out, g->server, 4);
    } else {
        wb_out_put(out, g->sid, MY_SID_LEN);
        wb_out_byte(out, (char)strlen(g->tag));
        wb_out_z(out, g->tag);
    }
    put_le(out, g->n, 8);
}

static bool read_head(wb_pos pos, char kind, my_pos *out, wb_str *rest)
{
    const uint8_t *p = pos.ptr;
    *out = (my_pos){.flavor = MY_UNKNOWN};
    if (pos.len < FIXED || p[0] != (uint8_t)kind || p[1] > MY_MARIADB) return false;
    size_t name = p[19];
    if (name > pos.len - FIXED) return false;
    out->flavor = (my_flavor)p[1];
    out->has_set = (p[2] & HAS_SET) != 0;
    out->has_file = (p[2] & HAS_FILE) != 0;
    out->lineage = le(p + 3, 8);
    out->offset = le(p + 11, 8);
    out->log = (wb_str){(const char *)p + FIXED, name};
    *rest = (wb_str){(const char *)p + FIXED + name, pos.len - FIXED - name};
    if (!(p[2] & HAS_SEQ)) return true;
    if (rest->len < SEQ_LEN) return false;
    out->seq = le((const uint8_t *)rest->ptr, SEQ_LEN);
    rest->ptr += SEQ_LEN;
    rest->len -= SEQ_LEN;
    return true;
}

bool my_pos_read(wb_pos pos, my_pos *out)
{
    if (!read_head(pos, 'P', out, &out->set)) return false;
    return out->has_set ? out->flavor != MY_MARIADB || out->set.len % DOMAIN_LEN == 0 : out->set.len == 0;
}

bool my_at_read(wb_pos at, my_pos *out)
{
    wb_str rest;
    if (!read_head(at, 'T', out, &rest)) return false;
    if (!out->has_set) return true;
    const uint8_t *p = (const uint8_t *)rest.ptr;
    my_gtid *g = &out->gtid;
    g->flavor = out->flavor;
    if (out->flavor == MY_MARIADB) {
        if (rest.len != DOMAIN_LEN) return false;
        g->domain = (uint32_t)le(p, 4);
        g->server = (uint32_t)le(p + 4, 4);
        g->n = le(p + 8, 8);
        return true;
    }
    size_t tag = rest.len > MY_SID_LEN ? p[MY_SID_LEN] : MY_TAG_MAX + 1;
    if (tag > MY_TAG_MAX || rest.len != MY_SID_LEN + 1 + tag + 8) return false;
    memcpy(g->sid, p, MY_SID_LEN);
    memcpy(g->tag, p + MY_SID_LEN + 1, tag);
    g->n = le(p + MY_SID_LEN + 1 + tag, 8);
    return true;
}

bool my_pos_set(const my_pos *p, my_gtid_set *out)
{
    if (!p->has_set) return true;
    if (p->flavor == MY_MARIADB) {
        const uint8_t *q = (const uint8_t *)p->set.ptr;
        for (size_t i = 0; i + DOMAIN_LEN <= p->set.len; i += DOMAIN_LEN) {
            my_gtid g = {.flavor = MY_MARIADB,
                         .domain = (uint32_t)le(q + i, 4),
                         .server = (uint32_t)le(q + i + 4, 4),
                         .n = le(q + i + 8, 8)};
            if (!my_gtid_set_add(out, &g)) return false;
        }
        return true;
    }
    wb_error ignored;
    wb_error_reset(&ignored);
    return my_gtid_set_decode(out, p->set.ptr, p->set.len, &ignored) == WB_OK;
}

/* ---------------------------------------------------------------- is it inside */

static bool same_files(const my_pos *a, const my_pos *b)
{
    return a->has_file && b->has_file && a->lineage && a->lineage == b->lineage && my_log_compare(a->log, b->log) != 2;
}

/* -1, 0, 1 of file and offset; only after same_files. */
static int file_order(const my_pos *a, const my_pos *b)
{
    int order = my_log_compare(a->log, b->log);
    return order ? order : (a->offset > b->offset) - (a->offset < b->offset);
}

/* The set in the binary form, without building it: the engine asks once a transaction and target. Sets with tags have
 * another form: *slow. */
static bool set_has(wb_str set, const my_gtid *g, bool *slow)
{
    wb_rd rd = wb_rd_of(set.ptr, set.len);
    const uint8_t *p = wb_rd_bytes(&rd, 8);
    uint64_t sids = p ? le(p, 8) : 0;
    *slow = g->tag[0] || sids >> 32;
    for (uint64_t i = 0; i < sids && !*slow; i++) {
        const uint8_t *sid = wb_rd_bytes(&rd, MY_SID_LEN), *count = wb_rd_bytes(&rd, 8);
        uint64_t n = count ? le(count, 8) : 0;
        if (!sid || n > wb_rd_left(&rd) / 16) return false;
        const uint8_t *at = wb_rd_bytes(&rd, n * 16);
        if (!at || memcmp(sid, g->sid, MY_SID_LEN) != 0) continue;
        size_t lo = 0, hi = n;
        while (lo < hi) {
            size_t mid = lo + (hi - lo) / 2;
            if (le(at + mid * 16 + 8, 8) <= g->n) /* its end, which is not in it */
                lo = mid + 1;
            else
                hi = mid;
        }
        return lo < n && le(at + lo * 16, 8) <= g->n;
    }
    return false;
}

static bool slowly_has(const my_pos *p, const my_gtid *g)
{
    my_gtid_set *set = my_gtid_set_new();
    bool has = set && my_pos_set(p, set) && my_gtid_set_holds(set, g);
    my_gtid_set_free(set);
    return has;
}

static bool domain_has(const my_pos *p, const my_gtid *g)
{
    const uint8_t *q = (const uint8_t *)p->set.ptr;
    for (size_t i = 0; i + DOMAIN_LEN <= p->set.len; i += DOMAIN_LEN)
        if (le(q + i, 4) == g->domain) return le(q + i + 8, 8) >= g->n;
    return false;
}

bool my_pos_has(wb_pos pos, wb_pos at)
{
    my_pos p, t;
    if (!my_pos_read(pos, &p) || !my_at_read(at, &t)) return false;
    bool sets = p.has_set && t.has_set && p.flavor == t.flavor;
    if (sets && p.flavor == MY_MYSQL) {
        bool slow;
        bool has = set_has(p.set, &t.gtid, &slow);
        return slow ? slowly_has(&p, &t.gtid) : has;
    }
    if (same_files(&p, &t)) return file_order(&p, &t) > 0; /* its end lies after its beginning */
    return sets && domain_has(&p, &t.gtid);
}

uint64_t my_pos_seq(wb_pos pos)
{
    my_pos p;
    return my_pos_read(pos, &p) ? p.seq : 0;
}

bool my_pos_turn(wb_out *out, wb_pos pos, uint64_t seq)
{
    my_pos p;
    if (!my_pos_read(pos, &p)) return false;
    p.seq = seq;
    put_head(out, 'P', &p, p.has_set);
    wb_out_str(out, p.set);
    return !out->failed;
}

bool my_pos_holds(wb_pos pos, const wb_txn *txn)
{
    if (!(txn->flags & WB_TXN_SNAPSHOT)) return my_pos_has(pos, txn->at);
    uint64_t seq = my_pos_seq(txn->at);
    return seq && my_pos_seq(pos) >= seq;
}

/* ---------------------------------------------------------------- order */

static int set_order(const my_pos *a, const my_pos *b)
{
    if (a->set.len == b->set.len && memcmp(a->set.ptr, b->set.ptr, a->set.len) == 0) return 0;
    my_gtid_set *x = my_gtid_set_new(), *y = my_gtid_set_new();
    int order = 2;
    if (x && y && my_pos_set(a, x) && my_pos_set(b, y)) {
        bool le_ = my_gtid_set_within(x, y), ge = my_gtid_set_within(y, x);
        order = le_ && ge ? 0 : le_ ? -1 : ge ? 1 : 2;
    }
    my_gtid_set_free(x);
    my_gtid_set_free(y);
    return order;
}

static int order_of(const my_pos *a, const my_pos *b)
{
    bool sets = a->has_set && b->has_set && a->flavor == b->flavor;
    int order = sets && a->flavor == MY_MYSQL ? set_order(a, b) : 0;
    if (order) return order; /* with one set the log goes on without transactions: a new file, a prepared one */
    if (same_files(a, b)) return file_order(a, b);
    bool nothing = !a->has_set && !a->has_file && !b->has_set && !b->has_file; /* a copy without a log */
    return sets ? set_order(a, b) : nothing ? 0 : 2;
}

static int turn_order(const my_pos *a, const my_pos *b) { return (a->seq > b->seq) - (a->seq < b->seq); }

int my_pos_compare(wb_pos a, wb_pos b)
{
    my_pos x, y;
    if (a.len == b.len && (!a.len || memcmp(a.ptr, b.ptr, a.len) == 0)) return 0;
    if (!my_pos_read(a, &x) || !my_pos_read(b, &y)) return 2;
    int log = order_of(&x, &y), turns = turn_order(&x, &y);
    if (log == turns || turns == 0) return log;
    return log == 0 ? turns : 2;
}

static void give(wb_pos p, void *out, size_t cap, size_t *len)
{
    if (p.len > cap) return;
    memmove(out, p.ptr, p.len);
    *len = p.len;
}

static void give_turn(wb_pos p, uint64_t seq, void *out, size_t cap, size_t *len)
{
    wb_out o = {0};
    if (my_pos_seq(p) == seq)
        give(p, out, cap, len);
    else if (my_pos_turn(&o, p, seq))
        give((wb_pos){o.p, o.len}, out, cap, len);
    wb_out_fini(&o);
}

void my_pos_meet(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    my_pos x, y;
    *len = 0;
    if (!my_pos_read(a, &x) || !my_pos_read(b, &y)) return;
    int order = order_of(&x, &y);
    uint64_t seq = WB_MIN(x.seq, y.seq);
    if (order != 2) {
        give_turn(order == 1 ? b : a, seq, out, cap, len);
        return;
    }
    if (!x.has_set || !y.has_set || x.flavor != y.flavor) return;
    my_gtid_set *s = my_gtid_set_new(), *t = my_gtid_set_new();
    wb_out o = {0};
    my_pos both = {.flavor = x.flavor, .seq = seq};
    if (s && t && my_pos_set(&x, s) && my_pos_set(&y, t) && my_gtid_set_meet(s, t) && my_pos_make(&o, &both, s))
        give((wb_pos){o.p, o.len}, out, cap, len);
    wb_out_fini(&o);
    my_gtid_set_free(s);
    my_gtid_set_free(t);
}

/* A transaction's end is beyond where one was, so nothing is compared for it; a turn ends where the stream is. */
void my_pos_join(wb_pos a, wb_pos b, void *out, size_t cap, size_t *len)
{
    my_pos x, y;
    *len = 0;
    if (!my_pos_read(a, &x) || !my_pos_read(b, &y)) {
        give(b, out, cap, len);
        return;
    }
    bool behind = y.seq && order_of(&x, &y) == 1;
    give_turn(behind ? a : b, WB_MAX(x.seq, y.seq), out, cap, len);
}

int64_t my_pos_distance(wb_pos from, wb_pos to)
{
    my_pos a, b;
    if (!my_pos_read(from, &a) || !my_pos_read(to, &b)) return -1;
    bool sets = a.has_set && b.has_set;
    int order = sets && a.flavor == MY_MYSQL && b.flavor == MY_MYSQL ? set_order(&a, &b) : order_of(&a, &b);
    if (sets && (order == 0 || order == 1)) return 0;
    if (!same_files(&a, &b) || my_log_compare(a.log, b.log) != 0 || b.offset < a.offset) return -1;
    return (int64_t)(b.offset - a.offset);
}

/* ---------------------------------------------------------------- text: "SET file:offset", "-": an empty set */

size_t my_pos_render(wb_pos pos, char *out, size_t cap)
{
    my_pos p;
    wb_out o = {0};
    if (!cap) return 0;
    if (my_pos_read(pos, &p)) {
        my_gtid_set *s = my_gtid_set_new();
        if (p.has_set && s && my_pos_set(&p, s)) {
            my_gtid_set_text(s, &o);
            if (!o.len) wb_out_byte(&o, '-');
        }
        my_gtid_set_free(s);
        if (p.has_file) {
            if (p.has_set) wb_out_byte(&o, ' ');
            wb_out_str(&o, p.log);
            wb_out_printf(&o, ":%" PRIu64, p.offset);
        }
        if (p.seq) wb_out_printf(&o, "+%" PRIu64, p.seq);
    }
    size_t n = WB_MIN(o.len, cap - 1);
    if (n) memcpy(out, o.p, n);
    if (o.len > n && n >= 3) memcpy(out + n - 3, "...", 3);
    out[n] = 0;
    wb_out_fini(&o);
    return n;
}

static bool parse_file(wb_str text, my_pos *p)
{
    size_t colon = text.len;
    while (colon && text.ptr[colon - 1] != ':') colon--;
    if (colon < 2 || colon == text.len || colon - 1 > 255) return false;
    uint64_t v = 0;
    for (size_t i = colon; i < text.len; i++) {
        unsigned digit = (unsigned)(text.ptr[i] - '0');
        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v)) return false;
    }
    p->log = (wb_str){text.ptr, colon - 1};
    p->offset = v;
    p->has_file = memchr(p->log.ptr, '.', p->log.len) && !memchr(p->log.ptr, ',', p->log.len);
    return p->has_file;
}

/* "+7" at the end: the turn; taken off. */
static uint64_t take_turn(wb_str *text)
{
    size_t at = text->len;
    uint64_t v = 0, unit = 1;
    while (at && at + 19 > text->len && text->ptr[at - 1] >= '0' && text->ptr[at - 1] <= '9') {
        v += unit * (uint64_t)(text->ptr[--at] - '0');
        unit *= 10;
    }
    if (!at || at == text->len || text->ptr[at - 1] != '+') return 0;
    text->len = at - 1;
    return v;
}

wb_code my_pos_parse(wb_str text, void *out, size_t cap, size_t *len, wb_error *err)
{
    my_pos p = {.flavor = MY_MYSQL};
    wb_error ignored;
    wb_error_reset(&ignored);
    wb_str whole = text;
    *len = 0;
    p.seq = take_turn(&text);
    size_t blank = text.len;
    while (blank && text.ptr[blank - 1] != ' ') blank--;
    wb_str file = {text.ptr + blank, text.len - blank}, sets = {text.ptr, blank ? blank - 1 : 0};
    if (!parse_file(file, &p)) sets = text;
    my_gtid_set *s = my_gtid_set_new();
    bool empty = sets.len == 1 && sets.ptr[0] == '-';
    while (sets.len && sets.ptr[sets.len - 1] == ' ') sets.len--;
    bool fine = s && (empty || !sets.len || my_gtid_set_parse(s, sets, &ignored) == WB_OK) && (sets.len || p.has_file);
    if (fine && my_gtid_set_flavor(s) != MY_UNKNOWN) p.flavor = my_gtid_set_flavor(s);
    wb_out o = {0};
    fine = fine && my_pos_make(&o, &p, sets.len ? s : NULL);
    if (fine) give((wb_pos){o.p, o.len}, out, cap, len);
    wb_out_fini(&o);
    my_gtid_set_free(s);
    if (*len) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "'%.*s' is not a position of MySQL or MariaDB.", (int)WB_MIN(whole.len, 60u),
            whole.ptr ? whole.ptr : "");
    wb_hint(err, "Write a GTID set (uuid:1-5, or 0-1-100), a file and offset (binlog.000003:157), or both with a blank "
                 "between.");
    return WB_E_CONFIG;
}

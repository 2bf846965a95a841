/* gtid_text.c: GTIDs and their sets as text and as MySQL's bytes; names of log files. Called with what servers, files
 * and people say, so everything is checked. */
#include <stdio.h>

#include "gtid.h"
#include "gtid_set.h"
#include "wire.h"

/* ---------------------------------------------------------------- to text */

static const char hex_digits[] = "0123456789abcdef";

static char *put_uuid(char *q, const uint8_t sid[MY_SID_LEN])
{
    for (int i = 0; i < MY_SID_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *q++ = '-';
        *q++ = hex_digits[sid[i] >> 4];
        *q++ = hex_digits[sid[i] & 15];
    }
    return q;
}

size_t my_gtid_text(const my_gtid *g, char out[MY_GTID_TEXT])
{
    int n = 0;
    out[0] = 0;
    if (g->flavor == MY_MARIADB) {
        n = snprintf(out, MY_GTID_TEXT, "%u-%u-%llu", g->domain, g->server, (unsigned long long)g->n);
    } else if (g->flavor == MY_MYSQL) {
        char *q = put_uuid(out, g->sid);
        size_t left = MY_GTID_TEXT - (size_t)(q - out);
        n = (int)(q - out) + snprintf(q, left, "%s%s:%llu", g->tag[0] ? ":" : "", g->tag, (unsigned long long)g->n);
    }
    return (size_t)n;
}

void my_gtid_set_text(const my_gtid_set *s, wb_out *out)
{
    char text[MY_GTID_TEXT];
    for (size_t i = 0; i < s->ndomains; i++) {
        if (i) wb_out_byte(out, ',');
        wb_out_put(out, text, my_gtid_text(&s->domains[i], text));
    }
    for (size_t i = 0; i < s->n; i++) {
        const my_sid *e = &s->sids[i];
        if (i == 0 || memcmp(e->sid, e[-1].sid, MY_SID_LEN) != 0) {
            if (i) wb_out_byte(out, ',');
            wb_out_put(out, text, (size_t)(put_uuid(text, e->sid) - text));
        }
        if (e->tag[0]) {
            wb_out_byte(out, ':');
            wb_out_z(out, e->tag);
        }
        for (size_t k = 0; k < e->n; k++) {
            wb_out_byte(out, ':');
            wb_out_u64(out, e->spans[k].first);
            if (e->spans[k].end - e->spans[k].first == 1) continue;
            wb_out_byte(out, '-');
            wb_out_u64(out, e->spans[k].end - 1);
        }
    }
}

/* ---------------------------------------------------------------- from text */

typedef struct scan {
    const char *p, *end;
} scan;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_blanks(scan *s)
{
    while (s->p < s->end && is_blank(*s->p)) s->p++;
}

static bool next_is(scan *s, char c)
{
    skip_blanks(s);
    if (s->p >= s->end || *s->p != c) return false;
    s->p++;
    return true;
}

static bool read_number(scan *s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    skip_blanks(s);
    const char *start = s->p;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        uint64_t digit = (uint64_t)(*s->p - '0');
        if (v > (max - digit) / 10) return false;
        v = v * 10 + digit;
    }
    *out = v;
    return s->p > start;
}

/* 32 digits; dashes where they usually stand, or none. */
static bool read_uuid(scan *s, uint8_t sid[MY_SID_LEN])
{
    skip_blanks(s);
    bool dashes = s->end - s->p >= 36 && s->p[8] == '-';
    for (int i = 0; i < MY_SID_LEN; i++) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10) && (s->p >= s->end || *s->p++ != '-')) return false;
        if (s->end - s->p < 2) return false;
        int high = wb_hex_digit(s->p[0]), low = wb_hex_digit(s->p[1]);
        if (high < 0 || low < 0) return false;
        sid[i] = (uint8_t)(high << 4 | low);
        s->p += 2;
    }
    return true;
}

static bool tag_char(char c) { return (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9'); }

static bool read_tag(scan *s, char tag[MY_TAG_MAX + 1])
{
    size_t n = 0;
    skip_blanks(s);
    for (; s->p < s->end; s->p++) {
        char c = *s->p >= 'A' && *s->p <= 'Z' ? (char)(*s->p | 0x20) : *s->p;
        if (!tag_char(c)) break;
        if (n == MY_TAG_MAX) return false;
        tag[n++] = c;
    }
    tag[n] = 0;
    return n > 0;
}

/* ":1-5:7:tag:3" after the uuid */
static bool read_intervals(scan *s, const uint8_t sid[MY_SID_LEN], my_gtid_set *out)
{
    char tag[MY_TAG_MAX + 1] = "";
    bool any = false;
    while (next_is(s, ':')) {
        skip_blanks(s);
        if (s->p < s->end && !(*s->p >= '0' && *s->p <= '9')) {
            if (!read_tag(s, tag)) return false;
            any = false;
            continue;
        }
        uint64_t first, last;
        if (!read_number(s, MY_GNO_MAX, &first)) return false;
        last = first;
        if (next_is(s, '-') && !read_number(s, MY_GNO_MAX, &last)) return false;
        if (first == 0 || last < first || !my_gtid_set_add_span(out, sid, tag, (my_span){first, last + 1}))
            return false;
        any = true;
    }
    return any;
}

static bool read_mariadb(scan *s, my_gtid_set *out)
{
    uint64_t domain, server, n;
    if (!read_number(s, UINT32_MAX, &domain) || !next_is(s, '-') || !read_number(s, UINT32_MAX, &server) ||
        !next_is(s, '-') || !read_number(s, UINT64_MAX, &n))
        return false;
    my_gtid g = {.flavor = MY_MARIADB, .n = n, .domain = (uint32_t)domain, .server = (uint32_t)server};
    return my_gtid_set_add(out, &g);
}

wb_code my_gtid_set_parse(my_gtid_set *s, wb_str text, wb_error *err)
{
    my_gtid_set *made = my_gtid_set_new();
    scan in = {text.len ? text.ptr : "", (text.len ? text.ptr : "") + text.len};
    bool mysql = text.len && memchr(text.ptr, ':', text.len), ok = made && my_gtid_set_copy(made, s);
    skip_blanks(&in);
    while (ok && in.p < in.end) {
        uint8_t sid[MY_SID_LEN];
        ok = mysql ? read_uuid(&in, sid) && read_intervals(&in, sid, made) : read_mariadb(&in, made);
        skip_blanks(&in);
        if (!ok || in.p == in.end) break;
        ok = next_is(&in, ',');
        skip_blanks(&in);
    }
    ok = ok && my_gtid_set_copy(s, made);
    my_gtid_set_free(made);
    if (ok) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "'%.*s' is not a set of GTIDs.", (int)WB_MIN(text.len, 200), text.ptr);
    wb_hint(err, "MySQL writes uuid:1-5:7, MariaDB 0-1-100; several are separated by commas.");
    return WB_E_CONFIG;
}

/* ---------------------------------------------------------------- MySQL's bytes */

static wb_code bad_set(wb_error *err)
{
    return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "A set of GTIDs in MySQL's binary form is damaged.");
}

static bool decode_entry(my_gtid_set *s, wb_rd *r, bool tagged)
{
    uint8_t sid[MY_SID_LEN];
    char tag[MY_TAG_MAX + 1] = "";
    const uint8_t *p = wb_rd_bytes(r, sizeof sid);
    if (!p) return false;
    memcpy(sid, p, sizeof sid);
    if (tagged) {
        uint64_t len = my_rd_varint(r);
        p = len <= MY_TAG_MAX ? wb_rd_bytes(r, (size_t)len) : NULL;
        if (!p) return false;
        memcpy(tag, p, (size_t)len);
        for (size_t i = 0; i < len; i++)
            if (!tag_char(tag[i])) return false;
    }
    uint64_t n = my_rd_u64(r);
    if (n > wb_rd_left(r) / 16) return false;
    for (; n > 0; n--) {
        uint64_t first = my_rd_u64(r), end = my_rd_u64(r);
        if (!my_gtid_set_add_span(s, sid, tag, (my_span){first, end})) return false;
    }
    return !r->failed;
}

wb_code my_gtid_set_decode(my_gtid_set *s, const void *bytes, size_t n, wb_error *err)
{
    wb_rd r = wb_rd_of(bytes, n);
    uint64_t head = my_rd_u64(&r);
    bool tagged = head >> 56 == 1;
    uint64_t count = tagged ? head >> 8 & 0xffffffffffff : head;
    if (r.failed || (head >> 56 > 1) || count > wb_rd_left(&r) / (MY_SID_LEN + 8)) return bad_set(err);
    my_gtid_set *made = my_gtid_set_new();
    bool ok = made && my_gtid_set_copy(made, s);
    for (; ok && count > 0; count--) ok = decode_entry(made, &r, tagged);
    ok = ok && wb_rd_left(&r) == 0 && my_gtid_set_copy(s, made);
    my_gtid_set_free(made);
    return ok ? WB_OK : bad_set(err);
}

static void put_le64(wb_out *out, uint64_t v)
{
    char b[8];
    for (int i = 0; i < 8; i++) b[i] = (char)(v >> 8 * i & 0xff);
    wb_out_put(out, b, sizeof b);
}

void my_gtid_set_encode(const my_gtid_set *s, wb_out *out)
{
    bool tagged = my_gtid_set_tagged(s);
    put_le64(out, tagged ? (uint64_t)1 << 56 | (uint64_t)s->n << 8 | 1 : s->n);
    for (size_t i = 0; i < s->n; i++) {
        const my_sid *e = &s->sids[i];
        wb_out_put(out, e->sid, MY_SID_LEN);
        if (tagged) {
            wb_out_byte(out, (char)(strlen(e->tag) << 1));
            wb_out_z(out, e->tag);
        }
        put_le64(out, e->n);
        for (size_t k = 0; k < e->n; k++) {
            put_le64(out, e->spans[k].first);
            put_le64(out, e->spans[k].end);
        }
    }
}

/* ---------------------------------------------------------------- log files */

/* "binlog.000042": the length of "binlog", and 42; without a number at its end: all of it, and 0. */
static size_t split_log(wb_str name, uint64_t *number)
{
    scan s = {name.ptr, name.ptr + name.len};
    size_t n = name.len;
    *number = 0;
    while (n > 0 && name.ptr[n - 1] >= '0' && name.ptr[n - 1] <= '9') n--;
    if (n == 0 || n == name.len || name.ptr[n - 1] != '.') return name.len;
    s.p += n;
    return read_number(&s, UINT64_MAX, number) ? n - 1 : name.len;
}

int my_log_compare(wb_str a, wb_str b)
{
    uint64_t x, y;
    size_t n = split_log(a, &x), m = split_log(b, &y);
    if (n != m || (n && memcmp(a.ptr, b.ptr, n) != 0)) return 2;
    return x < y ? -1 : x > y;
}

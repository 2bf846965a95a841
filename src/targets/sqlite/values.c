/* values.c: a value to one of SQLite's storage classes so that reading gives back the same value. Called by mirror.c
 * and alter.c for every column. Two traps of SQLite are kept out here: a column's affinity turns text that looks like a
 * number into a number, and a double that is not a number becomes NULL. */
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/calendar.h"
#include "targets/sqlite/sqlite_target.h"

/* Unsigned types of at most 32 bits. PostgreSQL: oid, xid, cid; MySQL's type bytes: tiny, short, long, int24, year,
 * bit is not among them. Everything else may exceed an INTEGER. */
static bool uint_is_small(uint32_t type_id)
{
    static const uint32_t small[] = {26, 28, 29, 1, 2, 3, 9, 13};
    for (size_t i = 0; i < WB_COUNT(small); i++) {
        if (small[i] == type_id) return true;
    }
    return false;
}

sq_class sq_class_of(const wb_column *c)
{
    switch (c->kind) {
    case WB_BOOL:
    case WB_INT: return SQ_INTEGER;
    case WB_UINT: return uint_is_small(c->type_id) ? SQ_INTEGER : SQ_BLOB;
    case WB_FLOAT: return SQ_REAL;
    case WB_BYTES:
    case WB_DOCUMENT: return SQ_BLOB;
    default: return SQ_TEXT;
    }
}

const char *sq_stores(const wb_column *c)
{
    switch (sq_class_of(c)) {
    case SQ_INTEGER: return c->kind == WB_BOOL ? "INTEGER, 0 or 1" : "INTEGER";
    case SQ_REAL: return "REAL; NaN as TEXT";
    case SQ_BLOB: return c->kind == WB_UINT ? "INTEGER; from 2^63 on TEXT" : "BLOB";
    default: return "TEXT";
    }
}

static void *scratch(sq_target *s, size_t n)
{
    s->scratch_used = true;
    return wb_arena_alloc(&s->scratch, n);
}

/* Text that must stay text. In a column of numeric affinity SQLite would make a number of "12": there it goes in as a
 * BLOB of the same bytes, which affinity leaves alone. */
static int bind_text(sqlite3_stmt *st, int at, const char *p, size_t n, sq_class cls)
{
    if (WB_UNLIKELY(cls == SQ_INTEGER || cls == SQ_REAL)) {
        size_t i = 0;
        while (i < n && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r'))) i++;
        if (i < n && ((p[i] >= '0' && p[i] <= '9') || p[i] == '-' || p[i] == '+' || p[i] == '.'))
            return sqlite3_bind_blob64(st, at, p, n, SQLITE_STATIC);
    }
    return sqlite3_bind_text64(st, at, p ? p : "", n, SQLITE_STATIC, SQLITE_UTF8);
}

/* Plain digits into *out; false: not a number, or over UINT64_MAX. */
static bool digits(const char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    if (n == 0 || n > 20) return false;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned char)p[i] - (unsigned)'0';
        if (d > 9) return false;
        if (WB_UNLIKELY(i >= 19)) {
            if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)d, &v)) return false;
        } else {
            v = v * 10 + d;
        }
    }
    *out = v;
    return true;
}

static int bind_int(sqlite3_stmt *st, int at, const wb_value *v, sq_class cls)
{
    const char *p = v->as.ptr;
    size_t n = v->len;
    uint64_t u;
    bool minus;
    if (!(v->flags & WB_V_TEXT)) return sqlite3_bind_int64(st, at, v->as.i);
    minus = n && p[0] == '-';
    if (!digits(p + minus, n - minus, &u) || u > (uint64_t)INT64_MAX + minus) return bind_text(st, at, p, n, cls);
    return sqlite3_bind_int64(st, at, (int64_t)(minus ? 0 - u : u));
}

static int bind_uint(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v, sq_class cls)
{
    uint64_t u;
    char *text;
    int n;
    if (v->flags & WB_V_TEXT) {
        if (!digits(v->as.ptr, v->len, &u) || u > INT64_MAX) return bind_text(st, at, v->as.ptr, v->len, cls);
        return sqlite3_bind_int64(st, at, (int64_t)u);
    }
    if (v->as.u <= INT64_MAX) return sqlite3_bind_int64(st, at, (int64_t)v->as.u);
    text = scratch(s, 24);
    n = snprintf(text, 24, "%llu", (unsigned long long)v->as.u);
    return bind_text(st, at, text, (size_t)n, cls);
}

static locale_t c_locale;
static void make_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Up to 15 digits and a small power of ten are exact by one correctly rounded operation; the rest goes to strtod. */
static bool quick_double(const char *p, size_t n, double *out)
{
    static const double ten[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool minus = n && p[0] == '-', dot = false;
    unsigned after = 0, count = 0;
    int64_t m = 0;
    for (size_t i = minus; i < n; i++) {
        unsigned d = (unsigned char)p[i] - (unsigned)'0';
        if (d > 9) {
            if (p[i] != '.' || dot) return false;
            dot = true;
            continue;
        }
        if (++count > 15) return false;
        m = m * 10 + d;
        after += dot;
    }
    if (count == 0) return false;
    *out = (double)m / ten[after];
    if (minus) *out = -*out;
    return true;
}

/* NaN stays text; the infinities are REAL. -0 is stored as 0, which is equal. */
static int bind_float(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v, sq_class cls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *p = v->as.ptr;
    char small[64], *copy = small, *end;
    double d;
    if (!(v->flags & WB_V_TEXT)) {
        if (isnan(v->as.f)) return sqlite3_bind_text(st, at, "NaN", 3, SQLITE_STATIC);
        return sqlite3_bind_double(st, at, v->as.f);
    }
    if (quick_double(p, v->len, &d)) return sqlite3_bind_double(st, at, d);
    if (v->len == 8 && memcmp(p, "Infinity", 8) == 0) return sqlite3_bind_double(st, at, (double)INFINITY);
    if (v->len == 9 && memcmp(p, "-Infinity", 9) == 0) return sqlite3_bind_double(st, at, (double)-INFINITY);
    if (v->len == 0 || memchr("0123456789-.", p[0], 12) == NULL) return bind_text(st, at, p, v->len, cls);
    pthread_once(&once, make_locale);
    if (v->len >= sizeof small) copy = scratch(s, (size_t)v->len + 1);
    if (!copy) return SQLITE_NOMEM;
    memcpy(copy, p, v->len);
    copy[v->len] = 0;
    d = strtod_l(copy, &end, c_locale);
    if (end != copy + v->len || !isfinite(d)) return bind_text(st, at, p, v->len, cls);
    return sqlite3_bind_double(st, at, d);
}

static int bind_bytes(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v)
{
    const char *p = v->as.ptr;
    size_t n = v->len / 2;
    uint8_t *raw;
    if (!(v->flags & WB_V_TEXT)) return sqlite3_bind_blob64(st, at, v->len ? p : "", v->len, SQLITE_STATIC);
    if (v->len < 2 || v->len % 2 || p[0] != '\\' || p[1] != 'x') return SQLITE_MISMATCH;
    n -= 1;
    raw = scratch(s, n + 1);
    if (!raw || s->scratch.failed) return SQLITE_NOMEM;
    if (!wb_unhex(raw, p + 2, 2 * n)) return SQLITE_MISMATCH;
    return sqlite3_bind_blob64(st, at, raw, n, SQLITE_STATIC);
}

static int bind_moment(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v, sq_class cls)
{
    enum { CAP = 80 };
    char *out = scratch(s, CAP);
    int64_t days = v->as.i, us = 0;
    size_t n = 0;
    if (!out) return SQLITE_NOMEM;
    if (v->kind == WB_TIME) return bind_text(st, at, out, (size_t)(wb_put_clock(out, v->as.i) - out), cls);
    if (v->kind != WB_DATE) days = wb_day_of(v->as.i, &us);
    wb_date d = wb_date_of(days);
    n = (size_t)snprintf(out, CAP, "%04lld-%02u-%02u", (long long)d.year, d.month, d.day);
    if (v->kind != WB_DATE) {
        out[n++] = ' ';
        n = (size_t)(wb_put_clock(out + n, us) - out);
    }
    if (v->kind == WB_TIMESTAMPTZ) {
        memcpy(out + n, "+00:00", 6);
        n += 6;
    }
    return bind_text(st, at, out, n, cls);
}

/* PostgreSQL writes a whole-hour zone as "+00", which SQLite's date functions do not read: "+00:00" is. */
static int bind_timestamptz(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v, sq_class cls)
{
    const char *p = v->as.ptr;
    size_t n = v->len;
    char *out;
    if (n < 4 || (p[n - 3] != '+' && p[n - 3] != '-')) return bind_text(st, at, p, n, cls);
    out = scratch(s, n + 3);
    if (!out) return SQLITE_NOMEM;
    memcpy(out, p, n);
    memcpy(out + n, ":00", 3);
    return bind_text(st, at, out, n + 3, cls);
}

int sq_bind(sq_target *s, sqlite3_stmt *st, int at, const wb_value *v, sq_class cls)
{
    switch (v->kind) {
    case WB_ABSENT:
    case WB_UNCHANGED:
    case WB_NULL: return sqlite3_bind_null(st, at);
    case WB_BOOL:
        if (!(v->flags & WB_V_TEXT)) return sqlite3_bind_int64(st, at, v->as.i != 0);
        return sqlite3_bind_int64(st, at, v->len && v->as.ptr[0] == 't');
    case WB_INT: return bind_int(st, at, v, cls);
    case WB_UINT: return bind_uint(s, st, at, v, cls);
    case WB_FLOAT: return bind_float(s, st, at, v, cls);
    case WB_BYTES: return bind_bytes(s, st, at, v);
    case WB_DOCUMENT: return sqlite3_bind_blob64(st, at, v->len ? v->as.ptr : "", v->len, SQLITE_STATIC);
    case WB_DATE:
    case WB_TIME:
    case WB_TIMESTAMP:
        if (!(v->flags & WB_V_TEXT)) return bind_moment(s, st, at, v, cls);
        return bind_text(st, at, v->as.ptr, v->len, cls);
    case WB_TIMESTAMPTZ:
        if (!(v->flags & WB_V_TEXT)) return bind_moment(s, st, at, v, cls);
        return bind_timestamptz(s, st, at, v, cls);
    default: return bind_text(st, at, v->as.ptr, v->len, cls);
    }
}

/* maxwell_value.c: values as Maxwell writes them: decimals are numbers with all their digits, times are MySQL's texts
 * with as many fractional digits as the column has, timestamps are in UTC without saying so, sets are arrays. Pure. */
#include "formats/maxwell.h"

bool mx_same(const wb_value *a, const wb_value *b)
{
    bool pa = (a->flags & WB_V_TEXT) || a->kind == WB_BYTES, pb = (b->flags & WB_V_TEXT) || b->kind == WB_BYTES;
    if (b->kind <= WB_UNCHANGED) return true;
    if (a->kind == WB_NULL || b->kind == WB_NULL) return a->kind == b->kind;
    if (a->kind != b->kind || pa != pb) return false;
    if (pa) return a->len == b->len && (!a->len || memcmp(a->as.ptr, b->as.ptr, a->len) == 0);
    return a->as.u == b->as.u;
}

/* "datetime(3)": 3. */
static unsigned fraction_of(const wb_column *col)
{
    const char *open = memchr(col->type.ptr, '(', col->type.len);
    if (!open || open + 2 >= col->type.ptr + col->type.len || open[2] != ')' || open[1] < '0' || open[1] > '6')
        return 0;
    return (unsigned)(open[1] - '0');
}

/* Digits with at most one point: a JSON number as it is. */
static bool plain_number(wb_str s)
{
    size_t i = s.len && s.ptr[0] == '-', start = i, points = 0;
    if (i == s.len || s.ptr[i] == '.') return false;
    if (s.ptr[i] == '0' && i + 1 < s.len && s.ptr[i + 1] != '.') return false;
    for (; i < s.len; i++) {
        if (s.ptr[i] == '.') {
            if (points++ || i == start || i + 1 == s.len) return false;
        } else if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

/* `from` on: "2024-02-29T10:00:00.5Z" becomes "2024-02-29 10:00:00.500". */
static void reshape_time(const maxwell *m, const wb_column *col, size_t from, wb_out *o)
{
    if (o->failed || o->len < from + 2 || o->p[from] != '"') return;
    size_t end = o->len - 1, n = 0;
    for (size_t i = from + 1; i < end && !n; i++) {
        if (o->p[i] == 'T') o->p[i] = ' ';
        if (o->p[i] == '.') n = i;
    }
    if (o->p[end - 1] == 'Z')
        end--;
    else if (col->kind == WB_TIMESTAMPTZ && end > from + 6 && memcmp(o->p + end - 6, "+00:00", 6) == 0)
        end -= 6;
    o->len = end;
    if (m->mysql) {
        unsigned want = fraction_of(col);
        size_t have = n ? end - n - 1 : 0;
        if (!n && want) wb_out_byte(o, '.');
        for (; have < want; have++) wb_out_byte(o, '0');
        if (have > want) o->len -= have - want;
        if (n && !want && o->len == n + 1) o->len--;
    }
    wb_out_byte(o, '"');
}

static bool is_set(const wb_column *col)
{
    wb_str t = col->type;
    return t.len >= 3 && memcmp(t.ptr, "set", 3) == 0 && (t.len == 3 || t.ptr[3] == '(' || t.ptr[3] == ' ');
}

/* 'a,b' of a set as ["a","b"]. */
static void put_set(wb_str s, wb_out *o)
{
    wb_out_byte(o, '[');
    for (size_t at = 0; at < s.len;) {
        const char *comma = memchr(s.ptr + at, ',', s.len - at);
        size_t n = comma ? (size_t)(comma - s.ptr) - at : s.len - at;
        if (at) wb_out_byte(o, ',');
        wb_json_string(o, (wb_str){s.ptr + at, n});
        at += n + 1;
    }
    wb_out_byte(o, ']');
}

/* `explain types`. */
const char *mx_writes(const wb_column *c)
{
    switch (c->kind) {
    case WB_DECIMAL: return "number, all digits: 12.50; NaN as a string";
    case WB_TEXT: return is_set(c) ? "array of strings" : wb_json_writes(c);
    case WB_TIMESTAMP: return "string: \"2024-02-29 10:00:00.5\"";
    case WB_TIMESTAMPTZ: return "string, in UTC: \"2024-02-29 10:00:00.5\"";
    default: return wb_json_writes(c);
    }
}

wb_code mx_put_value(const maxwell *m, const wb_column *col, const wb_value *v, wb_out *o, wb_error *err)
{
    static const wb_json_options plain;
    if (!v || v->kind <= WB_NULL) {
        wb_out_z(o, "null");
        return WB_OK;
    }
    size_t from = o->len;
    wb_code code = WB_OK;
    switch (v->kind) {
    case WB_DECIMAL: {
        wb_str s = {v->as.ptr, v->len};
        if (!plain_number(s)) break;
        wb_out_str(o, s);
        return WB_OK;
    }
    case WB_TEXT:
        if (!m->mysql || !is_set(col)) break;
        put_set((wb_str){v->as.ptr, v->len}, o);
        return WB_OK;
    case WB_TIME:
    case WB_TIMESTAMP:
    case WB_TIMESTAMPTZ:
        code = wb_json_value(o, v, &plain, err);
        if (code == WB_OK) reshape_time(m, col, from, o);
        return code;
    default: break;
    }
    code = wb_json_value(o, v, &plain, err);
    if (code != WB_OK) wb_error_where(err, "column %.*s", (int)WB_MIN(col->name.len, (size_t)50), col->name.ptr);
    return code;
}

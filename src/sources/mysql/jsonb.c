/* jsonb.c: MySQL's binary JSON to text. Called for every JSON value of a row; the text is what CAST(j AS CHAR) gives,
 * so that a snapshot and the log show the same bytes. */
#include "jsonb.h"

#include "number.h"
#include "temporal.h"
#include "wire.h"

bool my_json_open(const void *p, size_t n, my_json *out)
{
    static const uint8_t null[] = {0};
    const uint8_t *bytes = p;
    if (n == 0) { /* INSERT IGNORE of NULL into NOT NULL */
        *out = (my_json){MY_JSON_LITERAL, null, 1};
        return true;
    }
    *out = (my_json){bytes[0], bytes + 1, n - 1};
    return true;
}

/* ---------------------------------------------------------------- objects and arrays */

static uint32_t get_number(const uint8_t *p, uint8_t width) { return width == 2 ? my_get_u16(p) : my_get_u32(p); }

bool my_json_unbox(const my_json *v, my_json_box *out)
{
    uint8_t width = v->type == MY_JSON_LARGE_OBJECT || v->type == MY_JSON_LARGE_ARRAY ? 4 : 2;
    if (v->n < 2u * width) return false;
    bool object = v->type <= MY_JSON_LARGE_OBJECT;
    uint32_t count = get_number(v->p, width), size = get_number(v->p + width, width);
    size_t entries = (size_t)count * (1u + width + (object ? width + 2u : 0));
    if (size > v->n || size < 2u * width || entries > size - 2u * width) return false;
    *out = (my_json_box){object, width, count, v->p, size};
    return true;
}

bool my_json_key(const my_json_box *b, uint32_t i, wb_str *out)
{
    const uint8_t *entry = b->p + 2u * b->width + (size_t)i * (b->width + 2u);
    uint32_t offset = get_number(entry, b->width), len = my_get_u16(entry + b->width);
    if (offset > b->n || len > b->n - offset) return false;
    *out = (wb_str){(const char *)b->p + offset, len};
    return true;
}

static bool is_inline(uint8_t type, uint8_t width)
{
    return type == MY_JSON_LITERAL || type == MY_JSON_INT16 || type == MY_JSON_UINT16 ||
           (width == 4 && (type == MY_JSON_INT32 || type == MY_JSON_UINT32));
}

bool my_json_item(const my_json_box *b, uint32_t i, my_json *out)
{
    size_t keys = b->object ? (size_t)b->count * (b->width + 2u) : 0;
    const uint8_t *entry = b->p + 2u * b->width + keys + (size_t)i * (1u + b->width);
    if (is_inline(entry[0], b->width)) {
        *out = (my_json){entry[0], entry + 1, b->width};
        return true;
    }
    uint32_t offset = get_number(entry + 1, b->width);
    if (offset < 2u * b->width || offset >= b->n) return false;
    *out = (my_json){entry[0], b->p + offset, b->n - offset};
    return true;
}

/* ---------------------------------------------------------------- scalars */

/* Length in groups of 7 bits, low first. */
static bool read_length(const uint8_t **p, size_t *n, size_t *len)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 5 && i < *n; i++) {
        v |= (uint64_t)((*p)[i] & 0x7f) << 7 * i;
        if ((*p)[i] & 0x80) continue;
        *p += i + 1;
        *n -= i + 1;
        *len = (size_t)v;
        return v <= *n;
    }
    return false;
}

bool my_json_put_string(wb_out *o, wb_str s)
{
    static const char hex[] = "0123456789abcdef";
    wb_out_byte(o, '"');
    for (size_t i = 0; i < s.len;) {
        size_t k = i;
        while (k < s.len && (uint8_t)s.ptr[k] >= 0x20 && s.ptr[k] != '"' && s.ptr[k] != '\\') k++;
        wb_out_put(o, s.ptr + i, k - i);
        if (k == s.len) break;
        char c = s.ptr[k];
        static const char shorts[] = "\bb\tt\nn\ff\rr\"\"\\\\";
        const char *found = NULL;
        for (size_t j = 0; j + 1 < sizeof shorts && !found; j += 2)
            if (shorts[j] == c) found = &shorts[j + 1];
        wb_out_byte(o, '\\');
        if (found) {
            wb_out_byte(o, *found);
        } else {
            wb_out_put(o, "u00", 3);
            wb_out_byte(o, hex[(uint8_t)c >> 4]);
            wb_out_byte(o, hex[c & 15]);
        }
        i = k + 1;
    }
    wb_out_byte(o, '"');
    return !o->failed;
}

/* In lines of 76 characters, as the server's encoder makes them; the break is escaped. */
static void put_base64(wb_out *o, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0u);
        char q[4] = {digits[x >> 18], digits[x >> 12 & 63], i + 1 < n ? digits[x >> 6 & 63] : '=',
                     i + 2 < n ? digits[x & 63] : '='};
        wb_out_put(o, q, 4);
        if (i % 57 == 54 && i + 3 < n) wb_out_put(o, "\\n", 2);
    }
}

enum { T_TIMESTAMP = 7, T_DATE = 10, T_TIME = 11, T_DATETIME = 12, T_NEWDECIMAL = 246 };

static bool put_opaque(wb_out *o, uint8_t type, const uint8_t *p, size_t n)
{
    char text[MY_DECIMAL_TEXT + MY_TIME_TEXT], *end = NULL;
    if (type == T_NEWDECIMAL) {
        if (n < 2 || my_decimal_size(p[0], p[1]) != n - 2) return false;
        end = my_put_decimal(text, p + 2, p[0], p[1]);
        if (end) wb_out_put(o, text, (size_t)(end - text));
        return end != NULL;
    }
    bool time = type == T_TIME || type == T_DATE || type == T_DATETIME || type == T_TIMESTAMP;
    wb_out_byte(o, '"');
    if (time) {
        if (n != 8) return false;
        int64_t packed = (int64_t)my_get_u64(p);
        end = type == T_TIME   ? my_put_json_time(text, packed)
              : type == T_DATE ? my_put_json_date(text, packed)
                               : my_put_json_datetime(text, packed);
        if (!end) return false;
        wb_out_put(o, text, (size_t)(end - text));
    } else {
        wb_out_z(o, "base64:type");
        wb_out_u64(o, type);
        wb_out_byte(o, ':');
        put_base64(o, p, n);
    }
    wb_out_byte(o, '"');
    return !o->failed;
}

static bool put_number(const my_json *v, wb_out *o)
{
    static const uint8_t sizes[] = {
        [MY_JSON_INT16] = 2, [MY_JSON_UINT16] = 2, [MY_JSON_INT32] = 4, [MY_JSON_UINT32] = 4,
        [MY_JSON_INT64] = 8, [MY_JSON_UINT64] = 8, [MY_JSON_DOUBLE] = 8};
    if (v->n < sizes[v->type]) return false;
    uint64_t u = my_get_le(v->p, sizes[v->type]);
    char text[MY_FLOAT_TEXT], *end;
    double f;
    switch (v->type) {
    case MY_JSON_INT16: end = my_put_i64(text, (int16_t)u); break;
    case MY_JSON_INT32: end = my_put_i64(text, (int32_t)u); break;
    case MY_JSON_INT64: end = my_put_i64(text, (int64_t)u); break;
    case MY_JSON_DOUBLE:
        memcpy(&f, &u, sizeof f);
        end = my_put_json_double(text, f);
        break;
    default: end = my_put_u64(text, u); break;
    }
    wb_out_put(o, text, (size_t)(end - text));
    return !o->failed;
}

static bool put_scalar(const my_json *v, wb_out *o)
{
    const uint8_t *p = v->p;
    size_t n = v->n, len;
    switch (v->type) {
    case MY_JSON_LITERAL:
        if (n == 0 || p[0] > 2) return false;
        wb_out_z(o, p[0] == 0 ? "null" : p[0] == 1 ? "true" : "false");
        return !o->failed;
    case MY_JSON_STRING: return read_length(&p, &n, &len) && my_json_put_string(o, (wb_str){(const char *)p, len});
    case MY_JSON_OPAQUE:
        if (n == 0) return false;
        p++;
        n--;
        return read_length(&p, &n, &len) && put_opaque(o, v->p[0], p, len);
    default: return v->type >= MY_JSON_INT16 && v->type <= MY_JSON_DOUBLE && put_number(v, o);
    }
}

/* ---------------------------------------------------------------- all */

bool my_json_put(const my_json *v, unsigned depth, wb_out *o)
{
    if (!my_json_is_box(v)) return put_scalar(v, o);
    my_json_box b;
    if (depth > MY_JSON_DEPTH || !my_json_unbox(v, &b)) return false;
    wb_out_byte(o, b.object ? '{' : '[');
    for (uint32_t i = 0; i < b.count; i++) {
        my_json item;
        wb_str key;
        if (i) wb_out_put(o, ", ", 2);
        if (b.object) {
            if (!my_json_key(&b, i, &key) || !my_json_put_string(o, key)) return false;
            wb_out_put(o, ": ", 2);
        }
        if (!my_json_item(&b, i, &item) || !my_json_put(&item, depth + 1, o)) return false;
    }
    wb_out_byte(o, b.object ? '}' : ']');
    return !o->failed;
}

bool my_json_text(const void *p, size_t n, wb_out *o)
{
    my_json v;
    return my_json_open(p, n, &v) && my_json_put(&v, 1, o);
}

/* json.c: values to JSON text, by the shortest way: the source's own text is copied wherever JSON's form is the same,
 * strings are scanned 16 bytes at a time for what needs an escape. Called by every JSON format, per value. */
#include "formats/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define RARE __attribute__((noinline)) /* kept out of the functions that every value goes through */

/* ---------------------------------------------------------------- escaping */

static const char hex_digits[] = "0123456789abcdef";

#define ONES (~(uint64_t)0 / 255)
#define HIGHS (ONES * 128)

/* May any of the 8 bytes need a closer look? Never false when one does. */
static inline bool suspect(uint64_t x)
{
    uint64_t quote = x ^ (ONES * '"'), slash = x ^ (ONES * '\\');
    return (((x - ONES * 0x20) | (quote - ONES) | (slash - ONES) | x) & HIGHS) != 0;
}

/* Length of the well-formed UTF-8 sequence at p (lead byte >= 0x80), 0 when there is none. */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0xC2 || c > 0xF4 || left < 2) return 0;
    if (c < 0xE0) return (p[1] & 0xC0) == 0x80 ? 2 : 0;
    uint8_t low = 0x80, high = 0xBF; /* of the second byte: no overlong forms, surrogates, or beyond U+10FFFF */
    if (c == 0xE0) low = 0xA0;
    if (c == 0xED) high = 0x9F;
    if (c == 0xF0) low = 0x90;
    if (c == 0xF4) high = 0x8F;
    if (p[1] < low || p[1] > high || left < 3 || (p[2] & 0xC0) != 0x80) return 0;
    if (c < 0xF0) return 3;
    return left >= 4 && (p[3] & 0xC0) == 0x80 ? 4 : 0;
}

bool wb_utf8_valid(const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text;
    for (size_t i = 0; i < n;) {
        size_t k = p[i] < 0x80 ? 1 : utf8_sequence(p + i, n - i);
        if (k == 0) return false;
        i += k;
    }
    return true;
}

static char *put_control(char *q, uint8_t c)
{
    static const char names[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    *q++ = '\\';
    if (c < sizeof names && names[c]) {
        *q++ = names[c];
        return q;
    }
    memcpy(q, "u00", 3);
    q[3] = hex_digits[c >> 4];
    q[4] = hex_digits[c & 15];
    return q + 5;
}

/* One plain byte, one escape, or one run of characters above ASCII. */
static RARE char *put_special(char *q, const char **pp, const char *end)
{
    const char *p = *pp;
    uint8_t c = (uint8_t)*p;
    if (c < 0x80) {
        *pp = p + 1;
        if (c >= 0x20 && c != '"' && c != '\\') {
            *q++ = (char)c;
            return q;
        }
        return put_control(q, c);
    }
    while (p < end && (uint8_t)*p >= 0x80) {
        size_t k = utf8_sequence((const uint8_t *)p, (size_t)(end - p));
        if (WB_UNLIKELY(k == 0)) {
            memcpy(q, "\xEF\xBF\xBD", 3);
            q += 3;
            p++;
            continue;
        }
        for (size_t i = 0; i < k; i++) q[i] = p[i];
        q += k;
        p += k;
    }
    *pp = p;
    return q;
}

static RARE char *put_bytewise(char *q, const char *p, const char *end)
{
    while (p < end) q = put_special(q, &p, end);
    return q;
}

/* Fewer than 16 bytes. Overlapping loads, so that nothing outside the text is read. */
static inline char *put_short(char *q, const char *p, size_t n)
{
    if (n >= 8) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
        if (WB_UNLIKELY(suspect(a) || suspect(b))) return put_bytewise(q, p, p + n);
        memcpy(q, &a, 8);
        memcpy(q + n - 8, &b, 8);
        return q + n;
    }
    if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        if (WB_UNLIKELY(suspect((uint64_t)a << 32 | b))) return put_bytewise(q, p, p + n);
        memcpy(q, &a, 4);
        memcpy(q + n - 4, &b, 4);
        return q + n;
    }
    return put_bytewise(q, p, p + n);
}

/* Room: 6 n + 16 bytes. */
static char *put_escaped(char *q, const char *p, size_t n)
{
    const char *end = p + n;
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'), space = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* signed compare: control characters and everything from 0x80 on are "less than space" */
        __m128i bad =
            _mm_or_si128(_mm_cmplt_epi8(x, space), _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)));
        unsigned mask = (unsigned)_mm_movemask_epi8(bad);
        _mm_storeu_si128((__m128i *)(void *)q, x);
        if (WB_LIKELY(mask == 0)) {
            p += 16;
            q += 16;
            continue;
        }
        unsigned clean = (unsigned)__builtin_ctz(mask);
        p += clean;
        q = put_special(q + clean, &p, end);
    }
#else
    while (end - p >= 16) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        if (WB_LIKELY(!suspect(a) && !suspect(b))) {
            memcpy(q, &a, 8);
            memcpy(q + 8, &b, 8);
            p += 16;
            q += 16;
            continue;
        }
        q = put_special(q, &p, end);
    }
#endif
    return put_short(q, p, (size_t)(end - p));
}

/* Like put_escaped, but with the room of what really comes, in pieces: for texts of any length. */
void wb_json_escape(wb_out *o, const char *p, size_t n)
{
    while (n > 0) {
        size_t k = n;
        if (k > WB_JSON_SMALL) {
            k = WB_JSON_SMALL;
            for (int back = 0; back < 3 && ((uint8_t)p[k] & 0xC0) == 0x80; back++) k--;
        }
        char *q = wb_out_room(o, k * 6 + 16);
        if (!q) return;
        o->len += (size_t)(put_escaped(q, p, k) - q);
        p += k;
        n -= k;
    }
}

void wb_json_string(wb_out *o, wb_str s)
{
    wb_out_byte(o, '"');
    wb_json_escape(o, s.ptr, s.len);
    wb_out_byte(o, '"');
}

void wb_json_string_or_null(wb_out *o, wb_str s)
{
    if (s.len)
        wb_json_string(o, s);
    else
        wb_out_put(o, "null", 4);
}

/* ---------------------------------------------------------------- bytes */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *put_base64(char *q, const uint8_t *p, size_t n)
{
    for (; n >= 3; n -= 3, p += 3, q += 4) {
        uint32_t x = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        q[0] = base64_digits[x >> 18];
        q[1] = base64_digits[x >> 12 & 63];
        q[2] = base64_digits[x >> 6 & 63];
        q[3] = base64_digits[x & 63];
    }
    if (n == 0) return q;
    uint32_t x = (uint32_t)p[0] << 16 | (n == 2 ? (uint32_t)p[1] << 8 : 0);
    q[0] = base64_digits[x >> 18];
    q[1] = base64_digits[x >> 12 & 63];
    q[2] = n == 2 ? base64_digits[x >> 6 & 63] : '=';
    q[3] = '=';
    return q + 4;
}

static char *put_hex(char *q, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *q++ = hex_digits[p[i] >> 4];
        *q++ = hex_digits[p[i] & 15];
    }
    return q;
}

enum { BYTES_PIECE = 12 * 1024 }; /* a multiple of 3 */

void wb_json_base64(wb_out *o, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        size_t k = WB_MIN(n, (size_t)BYTES_PIECE);
        char *q = wb_out_room(o, k / 3 * 4 + 8);
        if (!q) return;
        o->len += (size_t)(put_base64(q, p, k) - q);
        p += k;
        n -= k;
    }
}

void wb_json_hex(wb_out *o, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        size_t k = WB_MIN(n, (size_t)BYTES_PIECE);
        char *q = wb_out_room(o, k * 2);
        if (!q) return;
        o->len += (size_t)(put_hex(q, p, k) - q);
        p += k;
        n -= k;
    }
}

static bool hex_text(const wb_value *v)
{
    return v->len >= 2 && v->len % 2 == 0 && v->as.ptr[0] == '\\' && v->as.ptr[1] == 'x';
}

/* Text "\x0aff" of any length, without quotes; false: not such a text. Decodes through a small buffer. */
static bool append_hex_text(wb_out *o, const wb_value *v, bool hex)
{
    if (!hex_text(v)) return false;
    const char *p = v->as.ptr + 2;
    size_t left = v->len - 2;
    uint8_t buf[768];
    while (left > 0) {
        size_t k = WB_MIN(left, sizeof buf * 2);
        if (!wb_unhex(buf, p, k)) return false;
        if (hex)
            wb_json_hex(o, buf, k / 2);
        else
            wb_json_base64(o, buf, k / 2);
        p += k;
        left -= k;
    }
    return true;
}

static char *put_hex_text(char *q, const wb_value *v, bool hex)
{
    wb_out o = {.p = q, .cap = wb_json_room(v)};
    return append_hex_text(&o, v, hex) ? q + o.len : NULL;
}

static RARE char *put_bytes(char *q, const wb_value *v, bool hex)
{
    *q++ = '"';
    if (v->flags & WB_V_TEXT)
        q = put_hex_text(q, v, hex);
    else if (hex)
        q = put_hex(q, (const uint8_t *)v->as.ptr, v->len);
    else
        q = put_base64(q, (const uint8_t *)v->as.ptr, v->len);
    if (!q) return NULL;
    *q++ = '"';
    return q;
}

/* ---------------------------------------------------------------- numbers */

/* Two digits at a time, each written where it belongs. */
char *wb_json_put_u64(char *q, uint64_t v)
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    size_t n = 1;
    for (uint64_t x = v; x >= 10; x /= 10000) {
        if (x < 100) {
            n += 1;
            break;
        }
        if (x < 1000) {
            n += 2;
            break;
        }
        if (x < 10000) {
            n += 3;
            break;
        }
        n += 4;
    }
    char *at = q + n;
    while (v >= 100) {
        memcpy(at -= 2, pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(at - 2, pairs + v * 2, 2);
    else
        at[-1] = (char)('0' + v);
    return q + n;
}

char *wb_json_put_i64(char *q, int64_t v)
{
    if (v >= 0) return wb_json_put_u64(q, (uint64_t)v);
    *q++ = '-';
    return wb_json_put_u64(q, 0 - (uint64_t)v);
}

static char *put_word(char *q, const char *word) { return wb_json_copy(q, word, strlen(word)); }

/* The fewest digits that read back as the same double. */
static char *put_double(char *q, double f)
{
    if (isnan(f)) return put_word(q, "\"NaN\"");
    if (isinf(f)) return put_word(q, f > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    char buf[40];
    int n = 0;
    for (int digits = DBL_DIG; digits <= 17; digits++) {
        n = snprintf(buf, sizeof buf, "%.*g", digits, f);
        double back = strtod(buf, NULL);
        if (memcmp(&back, &f, sizeof f) == 0) break;
    }
    for (int i = 0; i < n; i++) { /* a program that embeds us may have set a locale with a decimal comma */
        char c = buf[i];
        if (!((c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e')) buf[i] = '.';
    }
    return wb_json_copy(q, buf, (size_t)n);
}

static inline char *put_quoted(char *q, const char *p, size_t n)
{
    *q++ = '"';
    q = put_escaped(q, p, n);
    *q++ = '"';
    return q;
}

static inline bool looks_numeric(const char *p, size_t n)
{
    return n > 0 && (uint8_t)(p[n - 1] - '0') <= 9 && ((uint8_t)(p[0] - '0') <= 9 || p[0] == '-');
}

/* ---------------------------------------------------------------- times as text */

/* The text as it is, edited to ISO 8601: 'T' for the space, 'Z' for "+00". */
static RARE char *put_stamp_text(char *q, const wb_value *v)
{
    char *start = q;
    q = put_quoted(q, v->as.ptr, v->len);
    if ((size_t)(q - start) != (size_t)v->len + 2 || v->len < 19 || start[11] != ' ') return q; /* not as expected */
    start[11] = 'T';
    if (v->kind == WB_TIMESTAMPTZ && memcmp(q - 4, "+00\"", 4) == 0) {
        q[-4] = 'Z';
        q[-3] = '"';
        q -= 2;
    }
    return q;
}

/* ---------------------------------------------------------------- values */

/* Raw, in one line. A newline can only stand outside of strings in valid JSON. */
static RARE char *put_json(char *q, const char *p, size_t n)
{
    if (n == 0) return put_word(q, "\"\"");
    memcpy(q, p, n);
    for (size_t i = 0; i < n; i++)
        if (q[i] == '\n' || q[i] == '\r') q[i] = ' ';
    return q + n;
}

static RARE char *put_number_form(char *q, const wb_value *v)
{
    switch (v->kind) {
    case WB_INT: return wb_json_put_i64(q, v->as.i);
    case WB_UINT: return wb_json_put_u64(q, v->as.u);
    case WB_FLOAT: return put_double(q, v->as.f);
    case WB_BOOL: return put_word(q, v->as.i ? "true" : "false");
    case WB_DATE:
    case WB_TIME:
    case WB_TIMESTAMP:
    case WB_TIMESTAMPTZ: return wb_json_put_time(q, v);
    default: return NULL;
    }
}

char *wb_json_put(char *q, const wb_value *v, const wb_json_options *opt)
{
    if (v->kind <= WB_NULL) {
        memcpy(q, "null", 4);
        return q + 4;
    }
    if (v->kind == WB_BYTES) return put_bytes(q, v, opt->hex);
    if (!(v->flags & WB_V_TEXT)) return put_number_form(q, v);
    switch (v->kind) {
    case WB_INT:
    case WB_UINT:
    case WB_FLOAT:
        if (WB_LIKELY(looks_numeric(v->as.ptr, v->len))) return wb_json_copy(q, v->as.ptr, v->len);
        return put_quoted(q, v->as.ptr, v->len);
    case WB_BOOL: return put_word(q, v->len && (v->as.ptr[0] == 't' || v->as.ptr[0] == '1') ? "true" : "false");
    case WB_TIMESTAMP:
    case WB_TIMESTAMPTZ: return put_stamp_text(q, v);
    case WB_JSON: return put_json(q, v->as.ptr, v->len);
    case WB_DOCUMENT: return NULL;
    default: return put_quoted(q, v->as.ptr, v->len);
    }
}

static wb_code refuse(const wb_value *v, wb_error *err)
{
    if (v->kind == WB_DOCUMENT)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_POISON, "This build cannot write a BSON document as JSON.");
    if (v->kind == WB_BYTES)
        return wb_fail(err, WB_E_DATA, WB_POISON,
                       "A binary value came as text that is not \"\\x\" followed by pairs of hex digits (%u bytes).",
                       (unsigned)v->len);
    return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "A value of kind %u came without its text.", (unsigned)v->kind);
}

static wb_code append_large(wb_out *o, const wb_value *v, const wb_json_options *opt, wb_error *err)
{
    if (v->kind == WB_DOCUMENT) return refuse(v, err);
    if (v->kind == WB_JSON) {
        char *q = wb_out_room(o, v->len);
        if (q) o->len += (size_t)(put_json(q, v->as.ptr, v->len) - q);
        return WB_OK;
    }
    wb_out_byte(o, '"');
    if (v->kind != WB_BYTES) {
        wb_json_escape(o, v->as.ptr, v->len);
    } else if (v->flags & WB_V_TEXT) {
        if (!append_hex_text(o, v, opt->hex)) return refuse(v, err);
    } else if (opt->hex) {
        wb_json_hex(o, v->as.ptr, v->len);
    } else {
        wb_json_base64(o, v->as.ptr, v->len);
    }
    wb_out_byte(o, '"');
    return WB_OK;
}

wb_code wb_json_value(wb_out *o, const wb_value *v, const wb_json_options *opt, wb_error *err)
{
    size_t start = o->len;
    if (WB_LIKELY(wb_json_small(v))) {
        char *q = wb_out_room(o, wb_json_room(v));
        if (q) {
            char *e = wb_json_put(q, v, opt);
            if (!e) return refuse(v, err);
            o->len += (size_t)(e - q);
        }
    } else {
        wb_code code = append_large(o, v, opt, err);
        if (code != WB_OK) {
            o->len = start;
            return code;
        }
    }
    if (o->failed)
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a value of %u bytes as JSON.",
                       (unsigned)v->len);
    return WB_OK;
}

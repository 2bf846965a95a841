/* copy.c: one row of COPY ... TO STDOUT in text format to a change. Called by the snapshot for every row. The same
 * value as in the stream becomes the same bytes: both are what the type's output function printed. */
#include "wire.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "value.h"

static wb_code fail_columns(const wb_table *t, wb_error *err)
{
    return wb_fail(err, WB_E_SCHEMA, WB_NEVER, "A row of the snapshot of table %.*s.%.*s does not have %u columns.",
                   (int)t->schema.len, t->schema.ptr, (int)t->name.len, t->name.ptr, t->ncols);
}

static uint32_t hex_digit(char c)
{
    if (c >= '0' && c <= '9') return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f') return (uint32_t)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return (uint32_t)(c - 'A') + 10;
    return 16;
}

/* \ooo or \xhh, of which COPY itself writes none: up to `most` digits of a base. p is moved past them. */
static char code_digits(const char **p, const char *end, uint32_t base, int most)
{
    uint32_t v = 0;
    for (int i = 0; i < most && *p < end && hex_digit(**p) < base; i++) v = v * base + hex_digit(*(*p)++);
    return (char)(v & 0xff);
}

/* What a backslash and the character at *p mean; *p is moved past it. */
static char escaped(const char **p, const char *end)
{
    char c = *(*p)++;
    switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    case 'x':
        if (*p < end && hex_digit(**p) < 16) return code_digits(p, end, 16, 2);
        return c;
    default:
        if (c < '0' || c > '7') return c;
        (*p)--;
        return code_digits(p, end, 8, 3);
    }
}

/* Take the escapes out of n bytes, in place. The new length, or SIZE_MAX when a backslash stands at the end. */
static size_t unescape(char *text, size_t n)
{
    const char *from = memchr(text, '\\', n), *end = text + n;
    char *to = text + (from ? from - text : 0);
    if (!from) return n;
    while (from < end) {
        if (++from == end) return SIZE_MAX;
        *to++ = escaped(&from, end);
        const char *next = memchr(from, '\\', (size_t)(end - from));
        size_t plain = (size_t)((next ? next : end) - from);
        memmove(to, from, plain);
        to += plain;
        from += plain;
    }
    return (size_t)(to - text);
}

enum { BLOCK = 16 };

/* Which of the BLOCK bytes at p are tabs or backslashes: bit 0 the first. */
static inline unsigned marks(const char *p)
{
#if defined(__SSE2__)
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\t')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    return (unsigned)_mm_movemask_epi8(hit);
#else
    unsigned mask = 0;
    for (unsigned i = 0; i < BLOCK; i++) mask |= (unsigned)(p[i] == '\t' || p[i] == '\\') << i;
    return mask;
#endif
}

/* A field with a backslash in it: NULL, or escapes. */
static wb_code escaped_value(const wb_table *t, wb_kind kind, char *text, size_t len, wb_value *out, wb_error *err)
{
    if (len == 2 && text[1] == 'N') {
        *out = (wb_value){.kind = WB_NULL};
        return WB_OK;
    }
    len = unescape(text, len);
    if (len == SIZE_MAX)
        return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "A row of the snapshot of table %.*s.%.*s ends in half an escape.",
                       (int)t->schema.len, t->schema.ptr, (int)t->name.len, t->name.ptr);
    *out = pg_value_inline(kind, text, (uint32_t)len);
    return WB_OK;
}

/* Split the n bytes at `text`, which may be edited, into the values of t. BLOCK bytes may be read behind them, but not
 * behind `line`, the same bytes: what was just written to `text` takes a moment to be read. */
static wb_code split(const wb_table *t, const char *line, char *text, size_t n, wb_value *out, wb_error *err)
{
    char *end = text + n, *field = text;
    bool escapes = false;
    uint32_t col = 0;
    if (t->ncols == 0) return n ? fail_columns(t, err) : WB_OK;
    for (char *p = text; p <= end; p += BLOCK) {
        size_t left = (size_t)(end - p);
        unsigned mask = marks(left < BLOCK ? p : line + (p - text));
        if (left < BLOCK) mask = (mask & ((1u << left) - 1)) | 1u << left; /* the end is the last field's */
        for (; mask; mask &= mask - 1) {
            char *at = p + __builtin_ctz(mask);
            if (at != end && *at == '\\') {
                escapes = true;
                continue;
            }
            if (WB_UNLIKELY(col == t->ncols)) return fail_columns(t, err);
            wb_kind kind = (wb_kind)t->cols[col].kind;
            if (WB_UNLIKELY(escapes)) {
                wb_code code = escaped_value(t, kind, field, (size_t)(at - field), &out[col], err);
                if (code != WB_OK) return code;
                escapes = false;
            } else {
                out[col] = pg_value_inline(kind, field, (uint32_t)(at - field));
            }
            col++;
            field = at + 1;
        }
    }
    return col == t->ncols ? WB_OK : fail_columns(t, err);
}

wb_code pg_copy_row(const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err)
{
    size_t values = t->ncols * sizeof(wb_value);
    if (n && p[n - 1] == '\n') n--;
    if (n > UINT32_MAX) return wb_fail(err, WB_E_LIMIT, WB_NEVER, "A row of %zu bytes is too large.", n);
    char *mem = wb_batch_alloc(b, values + n + BLOCK); /* never nothing, for a table without columns */
    if (!mem || wb_batch_failed(b))
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a row of %zu bytes.", n);
    wb_value *out = (wb_value *)(void *)mem;
    if (n) memcpy(mem + values, p, n);
    memset(mem + values + n, 0, BLOCK);
    wb_code code = split(t, p, mem + values, n, out, err);
    if (code != WB_OK) return code;
    wb_batch_table(b, t);
    wb_change *c = wb_batch_change(b);
    c->op = WB_READ;
    c->table = t;
    c->after = out;
    return WB_OK;
}

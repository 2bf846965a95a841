/* copy.c: one row of COPY ... TO STDOUT in text format to a change. Called by the snapshot for every row. The same
 * value as in the stream becomes the same bytes: both are what the type's output function printed. */
#include "wire.h"

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

/* Split the n bytes at `text`, which may be edited, into the values of t. */
static wb_code split(const wb_table *t, char *text, size_t n, wb_value *out, wb_error *err)
{
    char *end = text + n;
    bool escapes = memchr(text, '\\', n) != NULL;
    if (t->ncols == 0) return n ? fail_columns(t, err) : WB_OK;
    for (uint32_t i = 0; i < t->ncols; i++) {
        char *tab = memchr(text, '\t', (size_t)(end - text));
        if (!tab != (i + 1 == t->ncols)) return fail_columns(t, err);
        size_t len = (size_t)((tab ? tab : end) - text);
        if (escapes && len == 2 && text[0] == '\\' && text[1] == 'N') {
            out[i] = (wb_value){.kind = WB_NULL};
        } else {
            if (escapes && (len = unescape(text, len)) == SIZE_MAX)
                return wb_fail(err, WB_E_PROTOCOL, WB_NEVER,
                               "A row of the snapshot of table %.*s.%.*s ends in half an escape.", (int)t->schema.len,
                               t->schema.ptr, (int)t->name.len, t->name.ptr);
            out[i] = pg_value_inline((wb_kind)t->cols[i].kind, text, (uint32_t)len);
        }
        if (tab) text = tab + 1;
    }
    return WB_OK;
}

wb_code pg_copy_row(const wb_table *t, const char *p, size_t n, wb_batch *b, wb_error *err)
{
    size_t values = t->ncols * sizeof(wb_value);
    if (n && p[n - 1] == '\n') n--;
    if (n > UINT32_MAX) return wb_fail(err, WB_E_LIMIT, WB_NEVER, "A row of %zu bytes is too large.", n);
    char *mem = wb_batch_alloc(b, values + n + 1); /* never nothing, for a table without columns */
    if (!mem || wb_batch_failed(b))
        return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a row of %zu bytes.", n);
    wb_value *out = (wb_value *)(void *)mem;
    if (n) memcpy(mem + values, p, n);
    wb_code code = split(t, mem + values, n, out, err);
    if (code != WB_OK) return code;
    wb_batch_table(b, t);
    wb_change *c = wb_batch_change(b);
    c->op = WB_READ;
    c->table = t;
    c->after = out;
    return WB_OK;
}

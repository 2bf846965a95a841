/* sql_values.c: values as literals. Text is UTF-8 (SET NAMES utf8mb4), times are UTC (SET time_zone), FLOAT and DOUBLE
 * are written so that the same bits come back. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "formats/json.h"
#include "formats/sql.h"

void wb_sql_name(wb_out *o, wb_str name) { wb_out_quoted(o, name, '`'); }

void wb_sql_table(wb_out *o, wb_str schema, wb_str name)
{
    wb_sql_name(o, schema);
    wb_out_byte(o, '.');
    wb_sql_name(o, name);
}

static bool type_is(const wb_column *c, const char *word)
{
    size_t n = strlen(word);
    return c->type.len >= n && strncasecmp(c->type.ptr, word, n) == 0;
}

bool wb_sql_lenient(const wb_column *c, const wb_value *v)
{
    return v->kind == WB_TEXT && v->len == 0 && type_is(c, "enum");
}

/* One line, whatever the text. */
static void put_text(wb_out *o, const char *p, size_t n)
{
    wb_out_byte(o, '\'');
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        switch (c) {
        case '\'': wb_out_z(o, "\\'"); break;
        case '\\': wb_out_z(o, "\\\\"); break;
        case '\n': wb_out_z(o, "\\n"); break;
        case '\r': wb_out_z(o, "\\r"); break;
        case 0: wb_out_z(o, "\\0"); break;
        case 26: wb_out_z(o, "\\Z"); break;
        default: wb_out_byte(o, c);
        }
    }
    wb_out_byte(o, '\'');
}

static void put_hex(wb_out *o, const void *p, size_t n)
{
    wb_out_z(o, "X'");
    wb_json_hex(o, p, n);
    wb_out_byte(o, '\'');
}

/* What `v` holds as text, in `small` or where it is. */
static wb_str text_of(const wb_value *v, char small[64])
{
    if (v->flags & WB_V_TEXT) return (wb_str){v->as.ptr, v->len};
    char *end = small;
    if (v->kind == WB_UINT) {
        end = wb_json_put_u64(small, v->as.u);
    } else if (v->kind == WB_DATE || v->kind == WB_TIME || v->kind == WB_TIMESTAMP || v->kind == WB_TIMESTAMPTZ) {
        char *q = wb_json_put_time(small, v); /* in quotes */
        memmove(small, small + 1, (size_t)(q - small - 2));
        end = q - 2;
    } else {
        end = wb_json_put_i64(small, v->as.i);
    }
    return (wb_str){small, (size_t)(end - small)};
}

/* 2024-02-29T12:34:56.5Z, ...+00 */
static void put_time(wb_out *o, wb_str s)
{
    char text[64];
    size_t n = WB_MIN(s.len, sizeof text);
    memcpy(text, s.ptr, n);
    if (n > 10 && text[10] == 'T') text[10] = ' ';
    if (n && text[n - 1] == 'Z') n--;
    if (n > 3 && memcmp(text + n - 3, "+00", 3) == 0) n -= 3;
    put_text(o, text, n);
}

static void put_float(wb_out *o, const wb_column *c, const wb_value *v)
{
    double f = v->as.f;
    if (v->flags & WB_V_TEXT) {
        char text[400];
        size_t n = WB_MIN((size_t)v->len, sizeof text - 1);
        memcpy(text, v->as.ptr, n);
        text[n] = 0;
        f = type_is(c, "float") ? (double)strtof(text, NULL) : strtod(text, NULL);
    } else if (type_is(c, "float")) {
        f = (double)(float)f;
    }
    char text[40];
    (void)snprintf(text, sizeof text, "%.17g", f);
    wb_out_z(o, text);
    if (!strchr(text, 'e')) wb_out_z(o, "e0"); /* else it would be a decimal */
}

/* [1,-2.5,3e10] as the floats that both servers store. */
static wb_code put_vector(wb_out *o, const wb_value *v, wb_error *err)
{
    char *text = malloc((size_t)v->len + 1);
    if (!text) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a vector.");
    memcpy(text, v->as.ptr, v->len);
    text[v->len] = 0;
    wb_out_z(o, "X'");
    bool fine = text[0] == '[';
    for (char *p = text + 1; fine && *p && *p != ']';) {
        char *end;
        float f = strtof(p, &end);
        fine = end != p;
        wb_json_hex(o, &f, sizeof f); /* little-endian, as this machine's */
        p = end + strspn(end, ", ");
    }
    wb_out_byte(o, '\'');
    free(text);
    return fine ? WB_OK : wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "a vector that is no list of numbers");
}

/* The digits of a number without sign, point, exponent and the zeros around them. */
static size_t digits_of(const char *text, char out[64])
{
    size_t n = 0;
    for (; *text && (*text | 32) != 'e'; text++)
        if (*text >= '0' && *text <= '9' && (n || *text != '0')) out[n++] = *text;
    while (n && out[n - 1] == '0') n--;
    out[n] = 0;
    return n;
}

/* Does the number come back from JSON text as it was? MySQL reads one that is no 64-bit integer as a DOUBLE, which
 * prints its shortest digits; a DECIMAL inside a document can say more. */
static bool json_number_survives(const char *p, size_t n)
{
    char text[64], again[64], want[64], have[64];
    if (n >= sizeof text) return false;
    memcpy(text, p, n);
    text[n] = 0;
    bool negative = text[0] == '-';
    const char *dot = strchr(text, '.'), *digits = text + negative;
    if (!strpbrk(text, ".eE")) {
        size_t d = strlen(digits);
        const char *most = negative ? "9223372036854775808" : "18446744073709551615";
        return d < strlen(most) || (d == strlen(most) && strcmp(digits, most) <= 0);
    }
    if (dot && !strpbrk(text, "eE") && text[n - 1] == '0' && strcmp(dot, ".0") != 0) return false; /* 1.10 */
    double f = strtod(text, NULL);
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(again, sizeof again, "%.*e", precision, f);
        if (strtod(again, NULL) == f) break;
    }
    return digits_of(text, have) == digits_of(again, want) && strcmp(have, want) == 0;
}

static wb_code check_json(const wb_value *v, wb_error *err)
{
    const char *p = v->as.ptr, *end = p + v->len;
    while (p < end) {
        if (*p == '"') {
            if (end - p > 12 && memcmp(p, "\"base64:type", 12) == 0)
                return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                               "its JSON holds binary data, which no JSON text brings back");
            for (p++; p < end && *p != '"'; p++)
                if (*p == '\\') p++;
            p++;
        } else if (*p == '-' || (*p >= '0' && *p <= '9')) {
            const char *from = p;
            while (p < end && *p && (strchr("+-.eE", *p) || (*p >= '0' && *p <= '9'))) p++;
            if (!json_number_survives(from, (size_t)(p - from)))
                return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                               "its JSON holds the DECIMAL %.*s, which no JSON text brings back", (int)(p - from),
                               from);
        } else {
            p++;
        }
    }
    return WB_OK;
}

static wb_code put_bytes(wb_out *o, const wb_value *v, wb_error *err)
{
    if (!(v->flags & WB_V_TEXT)) {
        put_hex(o, v->as.ptr, v->len);
        return WB_OK;
    }
    if (v->len < 2 || memcmp(v->as.ptr, "\\x", 2) != 0)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "bytes whose text is not hex digits");
    wb_out_z(o, "X'");
    wb_out_put(o, v->as.ptr + 2, v->len - 2);
    wb_out_byte(o, '\'');
    return WB_OK;
}

wb_code wb_sql_value(wb_out *o, const wb_column *c, const wb_value *v, wb_error *err)
{
    char small[64];
    wb_str text;
    switch ((wb_kind)v->kind) {
    case WB_NULL: wb_out_z(o, "NULL"); return WB_OK;
    case WB_BOOL:
        wb_out_byte(o, (v->flags & WB_V_TEXT ? v->len && v->as.ptr[0] == 't' : v->as.i != 0) ? '1' : '0');
        return WB_OK;
    case WB_INT:
    case WB_UINT:
    case WB_DECIMAL: wb_out_str(o, text_of(v, small)); return WB_OK;
    case WB_FLOAT: put_float(o, c, v); return WB_OK;
    case WB_DATE:
    case WB_TIME:
    case WB_TIMESTAMP:
    case WB_TIMESTAMPTZ: put_time(o, text_of(v, small)); return WB_OK;
    case WB_BYTES: return put_bytes(o, v, err);
    case WB_JSON:
        if (type_is(c, "vector")) return put_vector(o, v, err);
        if (type_is(c, "json")) {
            wb_code code = check_json(v, err);
            if (code != WB_OK) return code;
        }
        put_text(o, v->as.ptr, v->len);
        return WB_OK;
    case WB_OTHER:
        text = text_of(v, small);
        if (type_is(c, "bit")) {
            wb_out_z(o, "b'");
            wb_out_str(o, text);
            wb_out_byte(o, '\'');
        } else if (c->kind == WB_TIMESTAMPTZ || c->kind == WB_TIMESTAMP) {
            put_time(o, text);
        } else {
            put_text(o, text.ptr, text.len);
        }
        return WB_OK;
    case WB_TEXT:
    case WB_UUID: put_text(o, v->as.ptr, v->len); return WB_OK;
    default: break;
    }
    return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "a value that the log does not hold");
}

/* Wraps both sides: column and literal as the bytes of their UTF-8. */
static wb_code put_exact_text(wb_out *o, const wb_column *c, const wb_value *v, wb_error *err)
{
    wb_out_z(o, "CAST(CONVERT(");
    wb_sql_name(o, c->source_name);
    wb_out_z(o, " USING utf8mb4) AS BINARY) = CAST(");
    wb_code code = wb_sql_value(o, c, v, err);
    wb_out_z(o, " AS BINARY)");
    return code;
}

wb_code wb_sql_condition(wb_out *o, const wb_column *c, const wb_value *v, bool key, wb_error *err)
{
    if (v->kind == WB_NULL) {
        wb_sql_name(o, c->source_name);
        wb_out_z(o, " IS NULL");
        return WB_OK;
    }
    bool document = v->kind == WB_JSON && !type_is(c, "vector");
    if (document || (v->kind == WB_TEXT && !key)) return put_exact_text(o, c, v, err);
    bool opaque =
        (v->kind == WB_BYTES && !type_is(c, "bin") && !type_is(c, "varbin") && !strstr(c->type.ptr, "blob")) ||
        v->kind == WB_JSON;
    if (opaque) wb_out_z(o, "HEX(");
    wb_sql_name(o, c->source_name);
    wb_out_z(o, opaque ? ") = HEX(" : " = ");
    wb_code code = wb_sql_value(o, c, v, err);
    if (opaque) wb_out_byte(o, ')');
    return code;
}

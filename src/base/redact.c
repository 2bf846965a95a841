/* redact.c: connection strings without their passwords, for logs, status and errors; the escapes of URLs. Pure; any
 * thread. When in doubt it hides too much. */
#include "base/options.h"

#include <strings.h>

static bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Is this the name of something secret? The name may be written with %-escapes, which libpq decodes. */
static bool is_secret_name(const char *p, size_t n)
{
    static const char *const words[] = {"pass", "pwd", "secret", "token", "apikey", "accesskey", "privatekey"};
    char name[64];
    size_t len = 0;
    for (size_t i = 0; i < n && len < sizeof name - 1; i++) {
        char c = p[i];
        if (c == '%' && i + 2 < n && wb_hex_digit(p[i + 1]) >= 0 && wb_hex_digit(p[i + 2]) >= 0) {
            c = (char)(wb_hex_digit(p[i + 1]) * 16 + wb_hex_digit(p[i + 2]));
            i += 2;
        }
        if (c != '_' && c != '-' && c) name[len++] = c;
    }
    name[len] = 0;
    if (strcasecmp(name, "passfile") == 0) return false; /* a path; worth seeing */
    for (size_t i = 0; i < WB_COUNT(words); i++)
        if (strcasestr(name, words[i])) return true;
    return false;
}

/* The length of "scheme://" at p, or 0. */
static size_t scheme(const char *p, const char *end)
{
    const char *q = p;
    if (q == end || !is_alpha(*q)) return 0;
    while (q < end && (is_alpha(*q) || is_digit(*q) || *q == '+' || *q == '-' || *q == '.')) q++;
    return end - q >= 3 && memcmp(q, "://", 3) == 0 ? (size_t)(q + 3 - p) : 0;
}

static const char *last_at(const char *p, const char *end)
{
    while (end > p)
        if (*--end == '@') return end;
    return NULL;
}

/* "host:port,host:port" or hosts alone? */
static bool is_host_list(const char *p, const char *end)
{
    if (p < end && *p == '[') return true; /* an IPv6 address */
    for (bool port = false; p < end; p++) {
        if (*p == ':')
            port = true;
        else if (*p == ',')
            port = false;
        else if (port && !is_digit(*p))
            return false;
    }
    return true;
}

/* "user:password@" at the start of p: written without the password. Returns what comes after it. */
static const char *redact_user(const char *p, const char *end, wb_out *out)
{
    const char *stop = p, *path_end;
    while (stop < end && !strchr("/?#", *stop)) stop++;
    for (path_end = stop; path_end < end && *path_end != '?' && *path_end != '#';) path_end++;
    const char *colon = memchr(p, ':', (size_t)(stop - p)), *at = last_at(p, stop);
    /* No @ where it belongs: hosts with ports, or a password with a / or ? in it. */
    if (!at && colon && (!is_host_list(p, stop) || last_at(stop, path_end))) at = last_at(stop, end);
    if (!at || !colon || colon > at) return p;
    wb_out_put(out, p, (size_t)(colon - p));
    wb_out_z(out, ":***");
    return at;
}

/* The rest of a URL: name=value pairs behind ?, & or ; may be secret. */
static void redact_query(const char *p, const char *end, wb_out *out)
{
    const char *mark = memchr(p, '?', (size_t)(end - p));
    if (!mark) {
        wb_out_put(out, p, (size_t)(end - p));
        return;
    }
    wb_out_put(out, p, (size_t)(mark - p));
    for (p = mark; p < end;) {
        wb_out_byte(out, *p++); /* ?, &, ; or # */
        const char *stop = p;
        while (stop < end && !strchr("&;#", *stop)) stop++;
        const char *equals = memchr(p, '=', (size_t)(stop - p));
        if (equals && is_secret_name(p, (size_t)(equals - p))) {
            wb_out_put(out, p, (size_t)(equals + 1 - p));
            wb_out_z(out, "***");
        } else {
            wb_out_put(out, p, (size_t)(stop - p));
        }
        p = stop;
    }
}

/* One URL, or several with commas between. */
static void redact_urls(const char *p, const char *end, wb_out *out)
{
    while (p < end) {
        const char *stop = p;
        while (stop < end && !(*stop == ',' && scheme(stop + 1, end))) stop++;
        size_t head = scheme(p, stop);
        wb_out_put(out, p, head);
        redact_query(redact_user(p + head, stop, out), stop, out);
        if (stop < end) wb_out_byte(out, ',');
        p = stop + (stop < end);
    }
}

/* The end of a value of a conninfo string: a space outside of quotes. A quote inside a bare word means nothing. */
static const char *value_end(const char *p, const char *end)
{
    bool quotes = p < end && *p == '\'', inside = false;
    for (; p < end && (inside || !is_space(*p)); p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if (quotes && *p == '\'')
            inside = !inside;
    }
    return p;
}

/* "host=db password='it''s'": libpq's other form, and other drivers' "a=b;c=d". */
static void redact_pairs(const char *p, const char *end, wb_out *out)
{
    while (p < end) {
        const char *name = p;
        while (p < end && *p != '=' && !is_space(*p) && *p != ';') p++;
        size_t len = (size_t)(p - name);
        const char *equals = p;
        while (equals < end && is_space(*equals)) equals++;
        if (len == 0 || equals == end || *equals != '=') {
            wb_out_put(out, name, len);
            if (p < end) wb_out_byte(out, *p++);
            continue;
        }
        p = equals + 1;
        while (p < end && is_space(*p)) p++;
        const char *value = p;
        p = value_end(p, end);
        wb_out_put(out, name, (size_t)(value - name));
        size_t quote = value < p && *value == '\'';
        if (is_secret_name(name, len)) {
            wb_out_z(out, "***");
            /* A ; in the value may be the password's or the next pair's: the pair's name tells. */
        } else if (scheme(value + quote, p)) {
            wb_out_put(out, value, quote);
            redact_urls(value + quote, p, out);
        } else {
            const char *semicolon = quote ? NULL : memchr(value, ';', (size_t)(p - value));
            if (semicolon) p = semicolon;
            wb_out_put(out, value, (size_t)(p - value));
        }
    }
}

void wb_redact_url(const char *url, wb_out *out)
{
    if (!url) return;
    const char *end = url + strlen(url), *p = url;
    while (is_alpha(*p) || is_digit(*p) || *p == '_' || is_space(*p)) p++;
    if (scheme(url, end))
        redact_urls(url, end, out);
    else if (*p != '=' && strchr(url, '@'))
        redact_query(redact_user(url, end, out), end, out); /* user:password@host, without a scheme */
    else
        redact_pairs(url, end, out);
}

const char *wb_percent_decode(wb_arena *a, const char *p, size_t n)
{
    char *out = wb_arena_alloc(a, n + 1);
    size_t len = 0;
    if (!out) return NULL;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '%') {
            if (i + 2 >= n || wb_hex_digit(p[i + 1]) < 0 || wb_hex_digit(p[i + 2]) < 0) return NULL;
            c = (char)(wb_hex_digit(p[i + 1]) * 16 + wb_hex_digit(p[i + 2]));
            i += 2;
        }
        if (!c) return NULL;
        out[len++] = c;
    }
    out[len] = 0;
    return out;
}

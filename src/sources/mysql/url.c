/* url.c: mysql://user:password@host:port/database?parameter=value&... (mariadb:// is the same). Errors never quote what
 * may be a piece of the password. Pure. */
#include <strings.h>

#include "base/options.h"
#include "my.h"

static wb_code fail_url(wb_error *err, const char *why)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url cannot be read: %s.", why);
    wb_hint(err, "Write mysql://user@host:3306/database; in a password write %%40 for @, %%2F for /, %%3A for :, %%3F "
                 "for ? and %%23 for #.");
    return WB_E_CONFIG;
}

static wb_code take(wb_arena *a, const char *p, size_t n, const char **out, wb_error *err)
{
    *out = wb_percent_decode(a, p, n);
    return *out ? WB_OK : fail_url(err, "a % in it is not followed by two hexadecimal digits");
}

static wb_code take_tls(const char *value, my_url *out, wb_error *err)
{
    static const struct {
        const char *name;
        my_tls tls;
    } modes[] = {{"disable", MY_TLS_DISABLED},           {"disabled", MY_TLS_DISABLED},
                 {"prefer", MY_TLS_PREFERRED},           {"preferred", MY_TLS_PREFERRED},
                 {"require", MY_TLS_REQUIRED},           {"required", MY_TLS_REQUIRED},
                 {"verify-ca", MY_TLS_VERIFY_CA},        {"verify_ca", MY_TLS_VERIFY_CA},
                 {"verify-full", MY_TLS_VERIFY_FULL},    {"verify_identity", MY_TLS_VERIFY_FULL},
                 {"verify-identity", MY_TLS_VERIFY_FULL}};
    for (size_t i = 0; i < WB_COUNT(modes); i++) {
        if (strcasecmp(modes[i].name, value) != 0) continue;
        out->tls = modes[i].tls;
        return WB_OK;
    }
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url's ssl-mode '%.40s' is not known.", value);
    wb_hint(err, "It is disabled, preferred, required, verify-ca or verify-full.");
    return WB_E_CONFIG;
}

static wb_code take_timeout(const char *value, my_url *out, wb_error *err)
{
    int64_t v;
    if (wb_parse_int(value, &v, NULL) != WB_OK || v < 1 || v > 3600)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url's connect_timeout must be 1 to 3600 seconds.");
    out->connect_timeout = (long)v;
    return WB_OK;
}

static wb_code take_parameter(const char *name, const char *value, my_url *out, wb_error *err)
{
    static const char *const names[] = {"ssl-mode",
                                        "sslmode",
                                        "ssl-ca",
                                        "ssl-cert",
                                        "ssl-key",
                                        "tls-version",
                                        "connect_timeout",
                                        "socket",
                                        "server-public-key-path",
                                        NULL};
    char plain[64];
    size_t n = 0;
    for (; name[n] && n + 1 < sizeof plain; n++) plain[n] = name[n] == '_' ? '-' : name[n];
    plain[n] = 0;
    if (strcmp(plain, "ssl-mode") == 0 || strcmp(plain, "sslmode") == 0) return take_tls(value, out, err);
    if (strcmp(plain, "connect-timeout") == 0) return take_timeout(value, out, err);
    const char **to = strcmp(plain, "ssl-ca") == 0                   ? &out->ca
                      : strcmp(plain, "ssl-cert") == 0               ? &out->cert
                      : strcmp(plain, "ssl-key") == 0                ? &out->key
                      : strcmp(plain, "tls-version") == 0            ? &out->tls_version
                      : strcmp(plain, "socket") == 0                 ? &out->socket
                      : strcmp(plain, "server-public-key-path") == 0 ? &out->public_key
                                                                     : NULL;
    if (to) {
        *to = value;
        return WB_OK;
    }
    const char *near = wb_nearest(name, names);
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url has a parameter that is not known: '%.40s'.", name);
    if (near) wb_hint(err, "Did you mean %s?", near);
    wb_hint(err, "Known are ssl-mode, ssl-ca, ssl-cert, ssl-key, tls-version, socket, connect_timeout and "
                 "server-public-key-path.");
    return WB_E_CONFIG;
}

static wb_code take_query(const char *p, wb_arena *a, my_url *out, wb_error *err)
{
    while (*p) {
        size_t n = strcspn(p, "&");
        const char *equals = memchr(p, '=', n), *name, *value;
        if (!equals) return fail_url(err, "after the ? come name=value pairs with & between");
        wb_code code = take(a, p, (size_t)(equals - p), &name, err);
        if (code == WB_OK) code = take(a, equals + 1, n - (size_t)(equals + 1 - p), &value, err);
        if (code == WB_OK) code = take_parameter(name, value, out, err);
        if (code != WB_OK) return code;
        p += n + (p[n] == '&');
    }
    return WB_OK;
}

static wb_code take_host(const char *p, const char *end, wb_arena *a, my_url *out, wb_error *err)
{
    const char *host = p, *host_end = memchr(p, ':', (size_t)(end - p)), *port;
    if (p < end && *p == '[') {
        host = p + 1;
        host_end = memchr(p, ']', (size_t)(end - p));
        if (!host_end || (host_end + 1 != end && host_end[1] != ':')) return fail_url(err, "a [ has no ]");
        port = host_end + 1 == end ? NULL : host_end + 1;
    } else {
        port = host_end;
        if (!host_end) host_end = end;
    }
    if (port) {
        char digits[8];
        int64_t v;
        size_t n = (size_t)(end - port - 1);
        if (!n || n >= sizeof digits) return fail_url(err, "the port is not a number");
        memcpy(digits, port + 1, n);
        digits[n] = 0;
        if (wb_parse_int(digits, &v, NULL) != WB_OK || v < 1 || v > 65535)
            return fail_url(err, "the port is not a number from 1 to 65535");
        out->port = (unsigned)v;
    }
    return host_end > host ? take(a, host, (size_t)(host_end - host), &out->host, err) : WB_OK;
}

wb_code my_url_parse(const char *text, wb_arena *a, my_url *out, wb_error *err)
{
    *out = (my_url){.port = 3306, .tls = MY_TLS_PREFERRED, .connect_timeout = 10};
    const char *p = NULL;
    if (strncasecmp(text, "mysql://", 8) == 0) p = text + 8;
    if (strncasecmp(text, "mariadb://", 10) == 0) p = text + 10;
    if (!p) return fail_url(err, "it must begin with mysql:// or mariadb://");
    const char *cut = p + strcspn(p, "/?#"), *at = NULL;
    for (const char *q = p; q < cut; q++)
        if (*q == '@') at = q;
    /* An unescaped / ? # in the password shifts the host: half of the password would go to the name server. */
    const char *query = strchr(cut, '?');
    const char *stray = strchr(cut, '@');
    if (*cut == '#' || (stray && (!query || stray < query)))
        return fail_url(err, "a password with @, /, ? or # needs these escaped");
    wb_code code = WB_OK;
    if (at) {
        const char *colon = memchr(p, ':', (size_t)(at - p)), *user_end = colon ? colon : at;
        if (memchr(p, '@', (size_t)(at - p))) return fail_url(err, "a password with @, /, ? or # needs these escaped");
        if (user_end > p) code = take(a, p, (size_t)(user_end - p), &out->user, err);
        if (code == WB_OK && colon) code = take(a, colon + 1, (size_t)(at - colon - 1), &out->password, err);
        p = at + 1;
    }
    if (code == WB_OK) code = take_host(p, cut, a, out, err);
    if (code == WB_OK && *cut == '/') {
        size_t n = strcspn(cut + 1, "?");
        if (n) code = take(a, cut + 1, n, &out->database, err);
    }
    if (code == WB_OK && query) code = take_query(query + 1, a, out, err);
    if (code == WB_OK && a->failed) code = my_nomem(err);
    if (code != WB_OK) return code;
    if (out->database && strchr(out->database, '/')) return fail_url(err, "the database has a / in it");
    if (!out->host && !out->socket) out->host = "localhost";
    return WB_OK;
}

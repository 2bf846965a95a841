/* url.c: amqp://user:password@host:port,host2/vhost and amqps://. Pure. */
#include <stdio.h>
#include <strings.h>

#include "base/options.h"
#include "targets/rabbitmq/rabbitmq.h"

static wb_code fail_url(wb_error *err, const char *why)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The url of target rabbitmq cannot be used: %s.", why);
    wb_hint(err, "Write it like amqp://user:password@host:5672/vhost, with TLS amqps://; what is special in a user, "
                 "password or vhost as %% and two hexadecimal digits.");
    return WB_E_CONFIG;
}

static wb_code take(wb_arena *a, const char *p, size_t n, const char **out, wb_error *err)
{
    *out = wb_percent_decode(a, p, n);
    return *out ? WB_OK : fail_url(err, "a % in it is not followed by two hexadecimal digits");
}

static wb_code take_port(const char *p, size_t n, int *port, wb_error *err)
{
    int v = 0;
    for (size_t i = 0; i < n && v < 65536; i++) {
        if (p[i] < '0' || p[i] > '9') return fail_url(err, "a port is not a number");
        v = v * 10 + (p[i] - '0');
    }
    if (n == 0 || v < 1 || v > 65535) return fail_url(err, "a port is not between 1 and 65535");
    *port = v;
    return WB_OK;
}

static wb_code take_host(wb_arena *a, const char *p, size_t n, rq_url *out, wb_error *err)
{
    size_t name = n, rest;
    if (out->nhosts == RQ_HOSTS) return fail_url(err, "it names more than 8 hosts");
    if (n && p[0] == '[') { /* IPv6 */
        const char *end = memchr(p, ']', n);
        if (!end) return fail_url(err, "a [ is never closed with ]");
        name = (size_t)(end - p) - 1;
        rest = (size_t)(end - p) + 1;
        p++;
        n--;
        rest--;
    } else {
        const char *colon = memchr(p, ':', n);
        name = rest = colon ? (size_t)(colon - p) : n;
    }
    if (!name) return fail_url(err, "it has no host");
    out->hosts[out->nhosts].port = out->tls ? 5671 : 5672;
    wb_code code = take(a, p, name, &out->hosts[out->nhosts].name, err);
    if (code == WB_OK && rest < n) {
        if (p[rest] != ':') return fail_url(err, "something stands between a host and its port");
        code = take_port(p + rest + 1, n - rest - 1, &out->hosts[out->nhosts].port, err);
    }
    out->nhosts++;
    return code;
}

static wb_code take_user(wb_arena *a, const char *p, size_t n, rq_url *out, wb_error *err)
{
    const char *colon = memchr(p, ':', n);
    wb_code code = take(a, p, colon ? (size_t)(colon - p) : n, &out->user, err);
    if (code == WB_OK && colon) code = take(a, colon + 1, n - (size_t)(colon + 1 - p), &out->password, err);
    return code;
}

wb_code rq_url_parse(const char *text, wb_arena *a, rq_url *out, wb_error *err)
{
    memset(out, 0, sizeof *out);
    out->user = "guest";
    out->vhost = "/";
    out->tls = strncasecmp(text, "amqps://", 8) == 0;
    if (!out->tls && strncasecmp(text, "amqp://", 7) != 0)
        return fail_url(err, "it begins neither with amqp:// nor with amqps://");
    const char *p = text + (out->tls ? 8 : 7);
    size_t n = strcspn(p, "/?#");
    const char *at = memrchr(p, '@', n);
    wb_code code = at ? take_user(a, p, (size_t)(at - p), out, err) : WB_OK;
    const char *end = p + n;
    for (const char *h = at ? at + 1 : p; code == WB_OK && h <= end;) {
        size_t len = WB_MIN(strcspn(h, ","), (size_t)(end - h));
        code = take_host(a, h, len, out, err);
        h += len + 1;
    }
    if (code != WB_OK) return code;
    if (*end == '/' && end[1]) {
        size_t len = strlen(end + 1);
        if (strpbrk(end + 1, "?#/"))
            return fail_url(err, "its vhost has a /, ? or # that is not written as % and digits");
        code = take(a, end + 1, len, &out->vhost, err);
    } else if (*end && *end != '/') {
        return fail_url(err, "it takes no parameters: they are options of the target");
    }
    if (code == WB_OK && a->failed) code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the url.");
    return code;
}

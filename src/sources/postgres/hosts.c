/* hosts.c: "a,b,c" of a url, as libpq reads it: a list of hosts, perhaps of their addresses, and one port or one each.
 * We try them ourselves, since libpq gives a host that is silent all the time there is. Pure. */
#include "pg.h"

/* The pieces of a comma list, in `text`. 0: too many or too long. */
static size_t split(const char *list, char *text, size_t cap, const char **out)
{
    size_t n = 0, len = strlen(list);
    if (len + 1 > cap) return 0;
    memcpy(text, list, len + 1);
    for (char *p = text; p; n++) {
        if (n == PG_HOSTS) return 0;
        out[n] = p;
        p = strchr(p, ',');
        if (p) *p++ = 0;
    }
    return n;
}

bool pg_hosts_split(const char *hosts, const char *addrs, const char *ports, pg_hosts *out)
{
    size_t n[3] = {0, 0, 0};
    const char *const lists[3] = {hosts, addrs, ports};
    const char **const into[3] = {out->host, out->addr, out->port};
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < 3; i++) {
        if (!lists[i] || !lists[i][0]) continue;
        n[i] = split(lists[i], out->text[i], sizeof out->text[i], into[i]);
        if (!n[i]) return false;
    }
    out->n = WB_MAX(WB_MAX(n[0], n[1]), (size_t)1);
    if (n[0] && n[1] && n[0] != n[1]) return false;
    if (n[2] > 1 && n[2] != out->n) return false;
    for (size_t i = 1; n[2] == 1 && i < out->n; i++) out->port[i] = out->port[0];
    return true;
}

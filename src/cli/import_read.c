/* import_read.c: Debezium's files: Java properties, a connector as JSON, stored offsets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/import.h"

enum { LARGEST = 64 << 20 };

static char *slurp(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *p = NULL;
    size_t n = 0, cap = 0;
    if (!f) {
        (void)cli_usage_error("%s cannot be read: %s.", path, strerror(errno));
        return NULL;
    }
    for (;;) {
        if (n + 4096 > cap) {
            char *more = cap < LARGEST ? realloc(p, cap = cap ? cap * 2 : 65536) : NULL;
            if (!more) break;
            p = more;
        }
        size_t got = fread(p + n, 1, cap - n - 1, f);
        if (!got) {
            bool bad = ferror(f);
            (void)fclose(f);
            if (bad) {
                (void)cli_usage_error("%s cannot be read.", path);
                free(p);
                return NULL;
            }
            p[n] = 0;
            *size = n;
            return p;
        }
        n += got;
    }
    (void)fclose(f);
    free(p);
    (void)cli_usage_error("%s is too large.", path);
    return NULL;
}

/* ---------------------------------------------------------------- settings */

static bool add(imp_settings *s, const char *key, const char *value)
{
    imp_setting *more = realloc(s->items, (s->n + 1) * sizeof *more);
    if (!more) return false;
    s->items = more;
    imp_setting *one = &more[s->n];
    *one = (imp_setting){strdup(key), strdup(value), false};
    s->n++;
    return one->key && one->value;
}

/* debezium.source.x is x; debezium.sink.x is sink.x. */
static bool add_server(imp_settings *s, const char *key, const char *value)
{
    if (strncmp(key, "debezium.source.", 16) == 0) return add(s, key + 16, value);
    if (strncmp(key, "debezium.", 9) == 0) return add(s, key + 9, value);
    return add(s, key, value);
}

static size_t unescape(const char *p, size_t n, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (c == '\\' && i + 1 < n) {
            c = p[++i];
            if (c == '\r' || c == '\n') { /* goes on in the next line, without its indent */
                if (c == '\r' && i + 1 < n && p[i + 1] == '\n') i++;
                while (i + 1 < n && (p[i + 1] == ' ' || p[i + 1] == '\t')) i++;
                continue;
            }
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        out[len++] = c;
    }
    out[len] = 0;
    return len;
}

/* One logical line of Java properties: up to a line end that no backslash precedes. */
static size_t line_length(const char *p)
{
    size_t n = 0;
    while (p[n] && p[n] != '\n') {
        if (p[n] == '\\' && p[n + 1]) n++;
        n++;
    }
    return n;
}

static bool read_properties(char *text, imp_settings *s)
{
    bool fine = true;
    char *out = malloc(strlen(text) + 2), *key = out;
    s->server = strstr(text, "debezium.source.") != NULL;
    for (const char *p = text; fine && out && *p;) {
        size_t n = line_length(p), blank = strspn(p, " \t\f\r");
        const char *from = p + (blank < n ? blank : n), *end = p + n;
        p = *end ? end + 1 : end;
        while (end > from && (end[-1] == '\r' || end[-1] == ' ')) end--;
        if (from == end || *from == '#' || *from == '!') continue;
        size_t k = 0;
        while (from + k < end && !strchr("=: \t", from[k])) k += from[k] == '\\' && from + k + 1 < end ? 2 : 1;
        char *value = key + unescape(from, k, key) + 1;
        const char *v = from + k;
        while (v < end && strchr(" \t", *v)) v++;
        if (v < end && strchr("=:", *v)) v++;
        while (v < end && strchr(" \t", *v)) v++;
        unescape(v, (size_t)(end - v), value);
        fine = s->server ? add_server(s, key, value) : add(s, key, value);
    }
    free(out);
    return fine && out;
}

static bool read_connector(const char *text, imp_settings *s)
{
    cli_json *j = cli_json_parse(text);
    const cli_json *config = j ? cli_json_get(j, "config") : NULL;
    bool fine = j && j->kind == CLI_MAP;
    if (!config) config = j;
    for (const cli_json *one = fine ? config->first : NULL; one && fine; one = one->next)
        fine = add(s, one->key, one->kind == CLI_BOOL ? (one->on ? "true" : "false") : one->text ? one->text : "");
    cli_json_free(j);
    return fine;
}

int imp_read(const char *path, imp_settings *out)
{
    size_t n;
    char *text = slurp(path, &n);
    memset(out, 0, sizeof *out);
    if (!text) return EXIT_USAGE;
    size_t blank = strspn(text, " \t\r\n");
    bool fine = text[blank] == '{' ? read_connector(text, out) : read_properties(text, out);
    free(text);
    if (fine && imp_peek(out, "connector.class")) return EXIT_FINE;
    imp_free(out);
    return cli_usage_error("%s is no configuration of a Debezium connector: it has no connector.class. Give Debezium "
                           "Server's application.properties, or the JSON of a connector.",
                           path);
}

void imp_free(imp_settings *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->items[i].key);
        free(s->items[i].value);
    }
    free(s->items);
    memset(s, 0, sizeof *s);
}

const char *imp_peek(const imp_settings *s, const char *key)
{
    for (size_t i = s->n; i-- > 0;) /* the last one counts */
        if (strcmp(s->items[i].key, key) == 0) return s->items[i].value;
    return NULL;
}

const char *imp_get(imp_settings *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->items[i].key, key) == 0) s->items[i].used = true;
    return imp_peek(s, key);
}

/* ---------------------------------------------------------------- offsets */

/* The JSON object that begins at p, as text; NULL: it is none. */
static char *object_at(const char *p, const char *end)
{
    int depth = 0;
    bool quoted = false;
    for (const char *q = p; q < end && q - p < 65536; q++) {
        if (quoted) {
            if (*q == '\\')
                q++;
            else if (*q == '"')
                quoted = false;
        } else if (*q == '"') {
            quoted = true;
        } else if (*q == '{') {
            depth++;
        } else if (*q == '}' && --depth == 0) {
            return strndup(p, (size_t)(q - p) + 1);
        }
    }
    return NULL;
}

static unsigned long long number(const cli_json *j, const char *key)
{
    const cli_json *one = cli_json_get(j, key);
    return one && one->kind == CLI_NUMBER && one->text ? strtoull(one->text, NULL, 10) : 0;
}

static void take_offset(const cli_json *j, imp_offset *out)
{
    const cli_json *snapshot = cli_json_get(j, "snapshot"), *last = cli_json_get(j, "last_snapshot_record");
    memset(out, 0, sizeof *out);
    out->found = true;
    out->copying = snapshot && !(last && last->kind == CLI_BOOL && last->on) &&
                   ((snapshot->kind == CLI_BOOL && snapshot->on) || snapshot->kind == CLI_TEXT);
    out->lsn = number(j, "lsn_commit");
    if (!out->lsn) out->lsn = number(j, "lsn_proc");
    if (!out->lsn) out->lsn = number(j, "lsn");
    (void)snprintf(out->file, sizeof out->file, "%s", cli_json_text(j, "file"));
    (void)snprintf(out->gtids, sizeof out->gtids, "%s", cli_json_text(j, "gtids"));
    out->pos = number(j, "pos");
    out->inside = number(j, "event") > 0 || number(j, "row") > 0 || number(j, "lsn_proc") > out->lsn;
}

/* Java's serialized map of a file of offsets, and the lines of a dumped topic, have both: the partition,
 * {"server":...}, and after it the offset, each as JSON. */
int imp_read_offset(const char *path, const char *prefix, imp_offset *out)
{
    size_t n;
    char *text = slurp(path, &n), server[256] = "";
    memset(out, 0, sizeof *out);
    if (!text) return EXIT_USAGE;
    for (const char *p = text, *end = text + n; (p = memchr(p, '{', (size_t)(end - p)));) {
        char *object = object_at(p, end);
        cli_json *j = object ? cli_json_parse(object) : NULL;
        p += j ? strlen(object) : 1;
        free(object);
        if (j && cli_json_get(j, "server")) {
            (void)snprintf(server, sizeof server, "%s", cli_json_text(j, "server"));
        } else if (j && (cli_json_get(j, "lsn") || cli_json_get(j, "lsn_proc") || cli_json_get(j, "file"))) {
            if (!server[0] || strcmp(server, prefix) == 0) take_offset(j, out);
        }
        cli_json_free(j);
    }
    free(text);
    if (out->found) return EXIT_FINE;
    return cli_usage_error(
        "%s holds no offset of %s. It is what offset.storage.file.filename names, or a dump of the topic "
        "offset.storage.topic with its keys.",
        path, prefix);
}

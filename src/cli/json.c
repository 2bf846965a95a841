/* json.c: reading the one JSON object that wb_pipeline_status gives. Called by status.c. Small and strict; escapes
 * above U+007F are kept as they are written. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH = 16 };

typedef struct reader {
    const char *p;
    bool failed;
} reader;

static void blanks(reader *r) { r->p += strspn(r->p, " \t\r\n"); }

static bool take(reader *r, char c)
{
    blanks(r);
    if (*r->p != c) return false;
    r->p++;
    return true;
}

/* One escape after the backslash; returns how many bytes it wrote. */
static size_t escape(reader *r, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char c = *r->p;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        r->p++;
        *to = into[known - from];
        return 1;
    }
    if (c != 'u' || strspn(r->p + 1, "0123456789abcdefABCDEF") < 4) {
        r->failed = true;
        return 0;
    }
    char hex[5] = {r->p[1], r->p[2], r->p[3], r->p[4], 0};
    unsigned long code = strtoul(hex, NULL, 16);
    r->p += 5;
    *to = code && code < 0x80 ? (char)code : '?';
    return 1;
}

static char *text(reader *r)
{
    if (!take(r, '"')) {
        r->failed = true;
        return NULL;
    }
    char *out = malloc(strlen(r->p) + 1); /* of one small document: more than enough */
    size_t n = 0;
    while (out && !r->failed && *r->p && *r->p != '"') {
        if (*r->p != '\\') {
            out[n++] = *r->p++;
            continue;
        }
        r->p++;
        n += escape(r, out + n);
    }
    if (!out || r->failed || *r->p != '"') {
        r->failed = true;
        free(out);
        return NULL;
    }
    r->p++;
    out[n] = 0;
    return out;
}

static cli_json *value(reader *r, int depth);

static void members(reader *r, cli_json *j, int depth)
{
    cli_json **end = &j->first;
    char close = j->kind == CLI_MAP ? '}' : ']';
    if (take(r, close)) return;
    do {
        char *key = j->kind == CLI_MAP ? text(r) : NULL;
        if (j->kind == CLI_MAP && (!key || !take(r, ':'))) r->failed = true;
        cli_json *one = r->failed ? NULL : value(r, depth + 1);
        if (!one) {
            free(key);
            r->failed = true;
            return;
        }
        one->key = key;
        *end = one;
        end = &one->next;
    } while (take(r, ','));
    if (!take(r, close)) r->failed = true;
}

static void word(reader *r, cli_json *j)
{
    static const struct {
        const char *word;
        cli_json_kind kind;
        bool on;
    } words[] = {{"null", CLI_NULL, false}, {"true", CLI_BOOL, true}, {"false", CLI_BOOL, false}};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i].word);
        if (strncmp(r->p, words[i].word, n) != 0) continue;
        j->kind = words[i].kind;
        j->on = words[i].on;
        r->p += n;
        return;
    }
    size_t n = strspn(r->p, "+-0123456789.eE");
    j->kind = CLI_NUMBER;
    j->text = n ? strndup(r->p, n) : NULL;
    if (!j->text) r->failed = true;
    r->p += n;
}

static cli_json *value(reader *r, int depth)
{
    cli_json *j = calloc(1, sizeof *j);
    blanks(r);
    if (!j || depth > DEPTH) {
        r->failed = true;
        free(j);
        return NULL;
    }
    if (*r->p == '"') {
        j->kind = CLI_TEXT;
        j->text = text(r);
    } else if (*r->p == '{' || *r->p == '[') {
        j->kind = *r->p++ == '{' ? CLI_MAP : CLI_LIST;
        members(r, j, depth);
    } else {
        word(r, j);
    }
    if (!r->failed) return j;
    cli_json_free(j);
    return NULL;
}

cli_json *cli_json_parse(const char *z)
{
    reader r = {z, false};
    cli_json *j = value(&r, 0);
    blanks(&r);
    if (j && !*r.p) return j;
    cli_json_free(j);
    return NULL;
}

void cli_json_free(cli_json *j)
{
    while (j) {
        cli_json *next = j->next;
        cli_json_free(j->first);
        free((void *)(uintptr_t)j->key);
        free((void *)(uintptr_t)j->text);
        free(j);
        j = next;
    }
}

const cli_json *cli_json_get(const cli_json *map, const char *key)
{
    if (!map || map->kind != CLI_MAP) return NULL;
    for (const cli_json *m = map->first; m; m = m->next)
        if (strcmp(m->key, key) == 0) return m;
    return NULL;
}

const char *cli_json_text(const cli_json *map, const char *key)
{
    const cli_json *j = cli_json_get(map, key);
    return j && (j->kind == CLI_TEXT || j->kind == CLI_NUMBER) ? j->text : "";
}

double cli_json_number(const cli_json *map, const char *key, double otherwise)
{
    const cli_json *j = cli_json_get(map, key);
    return j && j->kind == CLI_NUMBER ? strtod(j->text, NULL) : otherwise;
}

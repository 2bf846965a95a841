/* subst.c: ${ENV}, ${ENV:-default} and ${file:/path} in the scalars of a pipeline file. Called by yaml.c.
 * What comes in this way is a secret: its node is marked, and messages name the variable, never its value. */
#include "base/buf.h"
#include "base/io.h"
#include "core/yaml.h"

#include <stdio.h>

enum { FILE_MAX = 64 * 1024, VALUE_MAX = 1024 * 1024 };

typedef struct subst {
    const wb_node *node;
    const wb_yaml_in *in;
    wb_arena *arena;
    wb_out out;
    wb_error *err;
    bool did;
} subst;

static bool upper(char c) { return (c >= 'A' && c <= 'Z') || c == '_'; }
static bool lower(char c) { return c >= 'a' && c <= 'z'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

/* Value texts of fewer characters are no secrets, and hiding them would make messages unreadable. */
enum { SECRET_LEAST = 4, SECRET_SURE = 8 };

static void remember(subst *s, const char *p, size_t n)
{
    wb_secrets *x = s->in->secrets;
    if (n < SECRET_LEAST) return;
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 8;
        wb_str *all = wb_arena_alloc(s->arena, cap * sizeof *all);
        if (s->arena->failed) return;
        if (x->n) memcpy(all, x->all, x->n * sizeof *all);
        x->all = all;
        x->cap = cap;
    }
    x->all[x->n++] = (wb_str){wb_arena_strndup(s->arena, p, n), n};
}

static void put_secret(subst *s, const char *p, size_t n)
{
    remember(s, p, n);
    wb_out_put(&s->out, p, n);
}

static void hide(char *text, wb_str secret)
{
    size_t sure = WB_MIN(secret.len, (size_t)SECRET_SURE);
    for (char *p = text; *p;) {
        if (strncmp(p, secret.ptr, sure) != 0) {
            p++;
            continue;
        }
        size_t n = sure;
        while (n < secret.len && p[n] && p[n] == secret.ptr[n]) n++; /* it may have been cut */
        memset(p, '*', 3);
        memmove(p + 3, p + n, strlen(p + n) + 1);
        p += 3;
    }
}

void wb_secrets_hide(const wb_secrets *secrets, wb_error *err)
{
    for (size_t i = 0; err && i < secrets->n; i++) {
        hide(err->message, secrets->all[i]);
        hide(err->hint, secrets->all[i]);
    }
}

static wb_code from_file(subst *s, const char *path, size_t len)
{
    char full[4096];
    bool relative = len == 0 || path[0] != '/';
    int n = relative ? snprintf(full, sizeof full, "%s/%.*s", s->in->dir, (int)len, path)
                     : snprintf(full, sizeof full, "%.*s", (int)len, path);
    if (len == 0 || n < 0 || (size_t)n >= sizeof full)
        return wb_node_fail(s->node, s->err, "${file:...} needs the path of a file, of at most 4095 characters.");
    wb_error why = {0};
    char *text = NULL;
    size_t size = 0;
    wb_code code = wb_io_slurp(full, FILE_MAX, &text, &size, &why);
    if (code) return wb_node_fail(s->node, s->err, "${file:%.*s} cannot be read: %s", (int)len, path, why.message);
    if (!text) {
        code = wb_node_fail(s->node, s->err, "${file:%.*s}: there is no file %s.", (int)len, path, full);
        wb_hint(s->err, "Paths are relative to the folder of the pipeline file.");
        return code;
    }
    if (size && text[size - 1] == '\n') size--;
    if (size && text[size - 1] == '\r') size--;
    if (memchr(text, 0, size))
        code = wb_node_fail(s->node, s->err, "${file:%.*s} holds a NUL byte: it is not text.", (int)len, path);
    else
        put_secret(s, text, size);
    explicit_bzero(text, size);
    free(text);
    return code;
}

static wb_code from_environment(subst *s, const char *word, size_t len)
{
    size_t n = 0;
    char name[256];
    while (n < len && (upper(word[n]) || (n && digit(word[n])))) n++;
    bool with_default = len - n >= 2 && word[n] == ':' && word[n + 1] == '-';
    if (n == 0 || n >= sizeof name || (n < len && !with_default)) {
        wb_code code = wb_node_fail(s->node, s->err, "${%.*s} is not understood.", (int)WB_MIN(len, 60), word);
        wb_hint(s->err, "Write ${NAME} or ${NAME:-default} for the environment (capital letters, digits, _), "
                        "${file:/path} for a file, and $${ for the characters themselves.");
        return code;
    }
    memcpy(name, word, n);
    name[n] = 0;
    const char *value = getenv(name);
    if (value && (*value || !with_default)) {
        put_secret(s, value, strlen(value));
        return WB_OK;
    }
    if (with_default) {
        wb_out_put(&s->out, word + n + 2, len - n - 2); /* it stands in the file */
        return WB_OK;
    }
    wb_code code = wb_node_fail(s->node, s->err, "The environment variable %s is not set.", name);
    wb_hint(s->err, "Set it, or give a default: ${%s:-value}.", name);
    return code;
}

/* `p` is at "${"; moves it past the closing brace. */
static wb_code one(subst *s, const char **p)
{
    const char *word = *p + 2, *end = strchr(word, '}');
    if (!end) {
        wb_code code = wb_node_fail(s->node, s->err, "A ${ is never closed with }.");
        wb_hint(s->err, "Write $${ for the characters themselves.");
        return code;
    }
    size_t len = (size_t)(end - word);
    *p = end + 1;
    if (len >= 5 && memcmp(word, "file:", 5) == 0) {
        s->did = true;
        return from_file(s, word + 5, len - 5);
    }
    if (len && lower(word[0])) { /* a template's word: ${schema} */
        wb_out_put(&s->out, word - 2, len + 3);
        return WB_OK;
    }
    s->did = true;
    return from_environment(s, word, len);
}

wb_code wb_yaml_substitute(wb_node *n, const wb_yaml_in *in, wb_arena *a, wb_error *err)
{
    const char *p = n->text;
    if (!strstr(p, "${")) return WB_OK;
    subst s = {.node = n, .in = in, .arena = a, .err = err, .out = {.limit = VALUE_MAX}};
    wb_code code = WB_OK;
    while (*p && !code) {
        if (p[0] == '$' && p[1] == '$' && p[2] == '{') { /* $${ */
            wb_out_put(&s.out, "${", 2);
            p += 3;
        } else if (p[0] == '$' && p[1] == '{') {
            code = one(&s, &p);
        } else {
            wb_out_byte(&s.out, *p++);
        }
    }
    if (!code && s.out.failed) code = wb_node_fail(n, err, "This value has more than 1 MB after ${...} was replaced.");
    if (!code) {
        n->text = wb_arena_strndup(a, s.out.len ? s.out.p : "", s.out.len);
        n->secret = s.did;
        if (s.did) n->quoted = true; /* an empty password is not null */
    }
    if (s.out.p) explicit_bzero(s.out.p, s.out.len);
    wb_out_fini(&s.out);
    return code;
}

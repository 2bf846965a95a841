/* patterns.c: globs on dotted names, compiled once. Used by the configuration, by transforms and by sources. */
#include "base/patterns.h"

enum { MAX_PARTS = 3 };
enum unit_kind { UNIT_LITERAL, UNIT_ONE, UNIT_ANY };

typedef struct glob { /* one part of a dotted name; text and kind have len elements */
    char *text;
    uint8_t *kind;
    size_t len;
} glob;

typedef struct pattern {
    const char *text; /* as written */
    bool negative;
    size_t nparts;
    glob parts[MAX_PARTS]; /* [0] is the leftmost */
} pattern;

struct wb_patterns {
    size_t n, parts;
    pattern *all;
};

/* ---------------------------------------------------------------- compiling */

static wb_code refuse(const char *text, const char *why, wb_error *err)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The pattern '%s' cannot be read: %s.", text, why);
    wb_hint(err, "Write schema.table, with * and ? for unknown characters, ! in front to leave out, and \"double "
                 "quotes\" around a part that holds dots or stars.");
    return WB_E_CONFIG;
}

static void add_unit(glob *g, char c, enum unit_kind kind)
{
    if (kind == UNIT_ANY && g->len && g->kind[g->len - 1] == UNIT_ANY) return; /* ** is * */
    g->text[g->len] = c;
    g->kind[g->len++] = (uint8_t)kind;
}

/* A quoted run from the character after the opening quote; returns the one after the closing quote, NULL: none. */
static const char *read_quoted(const char *p, glob *g)
{
    for (; *p; p++) {
        if (*p == '"') {
            if (p[1] != '"') return p + 1;
            p++;
        }
        add_unit(g, *p, UNIT_LITERAL);
    }
    return NULL;
}

static wb_code compile(const char *text, wb_arena *a, pattern *out, wb_error *err)
{
    *out = (pattern){.text = wb_arena_strdup(a, text)};
    const char *p = text;
    if (*p == '!') {
        out->negative = true;
        p++;
    }
    size_t room = strlen(p) + 1;
    for (;;) {
        if (out->nparts == MAX_PARTS) return refuse(text, "it has more than three parts", err);
        glob *g = &out->parts[out->nparts++];
        g->text = wb_arena_alloc(a, room);
        g->kind = wb_arena_alloc(a, room);
        if (a->failed || !g->text || !g->kind) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "There is no memory left.");
        bool quoted = false;
        while (*p && *p != '.') {
            if (*p == '"') {
                quoted = true;
                p = read_quoted(p + 1, g);
                if (!p) return refuse(text, "a double quote is not closed", err);
            } else {
                add_unit(g, *p, *p == '*' ? UNIT_ANY : *p == '?' ? UNIT_ONE : UNIT_LITERAL);
                p++;
            }
        }
        if (!g->len) return refuse(text, quoted ? "a quoted part is empty" : "a part of it is empty", err);
        if (!*p) return WB_OK;
        p++;
    }
}

wb_code wb_patterns_new(const wb_list *list, wb_arena *a, wb_patterns **out, wb_error *err)
{
    *out = NULL;
    if (!list || !list->n) return WB_OK;
    wb_patterns *p = wb_arena_zalloc(a, sizeof *p);
    size_t bytes;
    if (!wb_mul_ok(list->n, sizeof *p->all, &bytes)) bytes = SIZE_MAX / 2;
    pattern *all = wb_arena_zalloc(a, bytes);
    if (a->failed || !p || !all) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "There is no memory left.");
    p->all = all;
    for (size_t i = 0; i < list->n; i++) {
        wb_code code = compile(list->items[i], a, &all[i], err);
        if (code != WB_OK) return code;
        p->n++;
        p->parts = WB_MAX(p->parts, all[i].nparts);
    }
    *out = p;
    return WB_OK;
}

size_t wb_patterns_parts(const wb_patterns *p) { return p ? p->parts : 0; }

/* ---------------------------------------------------------------- matching */

/* Bytes of the UTF-8 character at s (left > 0); a stray byte counts as one. */
static size_t char_len(const char *s, size_t left)
{
    uint8_t c = (uint8_t)s[0];
    size_t n = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return WB_MIN(n, left);
}

/* The usual two-pointer glob: on a mismatch go back to the last * and let it take one more character. */
static bool glob_match(const glob *g, wb_str s)
{
    size_t gi = 0, si = 0, star = SIZE_MAX, star_si = 0;
    while (si < s.len) {
        if (gi < g->len && g->kind[gi] == UNIT_ANY) {
            star = gi++;
            star_si = si;
        } else if (gi < g->len && g->kind[gi] == UNIT_ONE) {
            si += char_len(s.ptr + si, s.len - si);
            gi++;
        } else if (gi < g->len && g->text[gi] == s.ptr[si]) {
            gi++;
            si++;
        } else if (star != SIZE_MAX) {
            gi = star + 1;
            star_si += char_len(s.ptr + star_si, s.len - star_si);
            si = star_si;
        } else {
            return false;
        }
    }
    while (gi < g->len && g->kind[gi] == UNIT_ANY) gi++;
    return gi == g->len;
}

/* Parts are compared from the right: a missing one on the left means any. */
static bool pattern_match(const pattern *p, const wb_str *names, size_t n)
{
    if (p->nparts > n) return false;
    for (size_t i = 0; i < p->nparts; i++)
        if (!glob_match(&p->parts[p->nparts - 1 - i], names[n - 1 - i])) return false;
    return true;
}

static bool list_match(const wb_patterns *p, const wb_str *names, size_t n)
{
    if (!p) return true;
    for (size_t i = p->n; i-- > 0;)
        if (pattern_match(&p->all[i], names, n)) return !p->all[i].negative;
    return p->all[0].negative;
}

bool wb_patterns_match(const wb_patterns *p, wb_str schema, wb_str name)
{
    return list_match(p, (const wb_str[]){schema, name}, 2);
}

/* Does `by` match all that `g` matches, as far as can be told without trying? */
static bool is_covered(const glob *g, const glob *by)
{
    bool literal = true, same = g->len == by->len;
    for (size_t i = 0; i < g->len; i++) {
        literal = literal && g->kind[i] == UNIT_LITERAL;
        same = same && g->kind[i] == by->kind[i] && g->text[i] == by->text[i];
    }
    return same || (by->len == 1 && by->kind[0] == UNIT_ANY) || (literal && glob_match(by, (wb_str){g->text, g->len}));
}

/* Is it about tables of this schema? */
static bool speaks_of(const pattern *x, wb_str schema)
{
    return x->nparts == 1 || (x->nparts == 2 && glob_match(&x->parts[0], schema));
}

/* Does the list's i-th pattern (n: everything) give a table of the schema that none behind it takes away? */
static bool gives(const wb_patterns *p, size_t i, wb_str schema)
{
    static char star = '*';
    static uint8_t any = UNIT_ANY;
    static const glob all = {&star, &any, 1};
    const glob *g = i < p->n ? &p->all[i].parts[p->all[i].nparts - 1] : &all;
    for (size_t k = i < p->n ? i + 1 : 0; k < p->n; k++) {
        const pattern *x = &p->all[k];
        if (x->negative && speaks_of(x, schema) && is_covered(g, &x->parts[x->nparts - 1])) return false;
    }
    return true;
}

bool wb_patterns_match_schema(const wb_patterns *p, wb_str schema)
{
    if (!p || (p->all[0].negative && gives(p, p->n, schema))) return true;
    for (size_t i = 0; i < p->n; i++) {
        const pattern *x = &p->all[i];
        if (!x->negative && speaks_of(x, schema) && gives(p, i, schema)) return true;
    }
    return false;
}

bool wb_patterns_match_named(const wb_patterns *p, wb_str schema, wb_str name)
{
    return name.len ? wb_patterns_match(p, schema, name) : wb_patterns_match_schema(p, schema);
}

bool wb_patterns_match_column(const wb_patterns *p, wb_str schema, wb_str table, wb_str column)
{
    return list_match(p, (const wb_str[]){schema, table, column}, 3);
}

const char *wb_patterns_text(const wb_patterns *p, size_t i, bool *negative)
{
    if (!p || i >= p->n) return NULL;
    *negative = p->all[i].negative;
    return p->all[i].text;
}

bool wb_patterns_match_one(const wb_patterns *p, size_t i, wb_str schema, wb_str name)
{
    return p && i < p->n && pattern_match(&p->all[i], (const wb_str[]){schema, name}, 2);
}

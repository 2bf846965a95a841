/* template.c: parses and fills in texts with words in ${}. Pure. */
#include "base/template.h"

#include <stdio.h>

#include "base/options.h"

typedef struct part {
    wb_str text;  /* in front of the word */
    wb_word word; /* WB_WORDS: none, the end */
} part;

struct wb_template {
    uint32_t uses;
    size_t n;
    part parts[];
};

static const char *const names[WB_WORDS + 1] = {"name",     "schema", "table", "source_schema", "source_table",
                                                "database", "route",  "topic", "operation",     NULL};

/* "The words are ${schema} and ${table}." */
static void list_words(uint32_t allowed, char *out, size_t cap)
{
    size_t at = (size_t)snprintf(out, cap, "The words are");
    unsigned left = (unsigned)__builtin_popcount(allowed), all = left;
    for (int w = 0; w < WB_WORDS && at < cap; w++) {
        if (!(allowed & WB_WORD_BIT(w))) continue;
        const char *before = left == all ? " " : left == 1 ? " and " : ", ";
        at += (size_t)snprintf(out + at, cap - at, "%s${%s}", before, names[w]);
        left--;
    }
    if (at < cap) snprintf(out + at, cap - at, ".");
}

static wb_code bad_word(const char *p, size_t n, uint32_t allowed, const char *what, wb_error *err)
{
    char word[64], list[256];
    const char *known[WB_WORDS + 1];
    size_t k = 0;
    n = WB_MIN(n, sizeof word - 1);
    memcpy(word, p, n);
    word[n] = 0;
    for (int w = 0; w < WB_WORDS; w++)
        if (allowed & WB_WORD_BIT(w)) known[k++] = names[w];
    known[k] = NULL;
    wb_code code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s: there is no word ${%s}.", what, word);
    const char *near = wb_nearest(word, known);
    list_words(allowed, list, sizeof list);
    if (near) wb_hint(err, "Did you mean ${%s}? %s", near, list);
    wb_hint(err, "%s", list);
    return code;
}

static wb_word find(const char *p, size_t n, uint32_t allowed)
{
    for (int w = 0; w < WB_WORDS; w++)
        if ((allowed & WB_WORD_BIT(w)) && strlen(names[w]) == n && memcmp(names[w], p, n) == 0) return (wb_word)w;
    return WB_WORDS;
}

wb_code wb_template_new(const char *text, uint32_t allowed, const char *what, wb_arena *a, wb_template **out,
                        wb_error *err)
{
    size_t max = 1;
    for (const char *p = text; (p = strstr(p, "${")); p += 2) max++;
    wb_template *t = wb_arena_zalloc(a, sizeof *t + max * sizeof *t->parts);
    if (a->failed) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for %s.", what);
    const char *from = text, *p;
    while ((p = strstr(from, "${"))) {
        const char *end = strchr(p, '}');
        if (!end) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s: a ${ is never closed with }.", what);
        size_t n = (size_t)(end - p - 2);
        wb_word w = find(p + 2, n, allowed);
        if (w == WB_WORDS) return bad_word(p + 2, n, allowed, what, err);
        t->parts[t->n++] = (part){{from, (size_t)(p - from)}, w};
        t->uses |= WB_WORD_BIT(w);
        from = end + 1;
    }
    t->parts[t->n++] = (part){wb_str_of(from), WB_WORDS};
    *out = t;
    return WB_OK;
}

uint32_t wb_template_uses(const wb_template *t) { return t->uses; }

void wb_template_put(const wb_template *t, const wb_words *words, wb_out *out)
{
    for (size_t i = 0; i < t->n; i++) {
        wb_out_str(out, t->parts[i].text);
        if (t->parts[i].word != WB_WORDS) wb_out_str(out, words->of[t->parts[i].word]);
    }
}

void wb_words_fill_table(wb_words *w, const wb_table *t)
{
    static const wb_str none;
    w->of[WB_WORD_SCHEMA] = t ? t->schema : none;
    w->of[WB_WORD_TABLE] = t ? t->name : none;
    w->of[WB_WORD_SOURCE_SCHEMA] = t ? t->source_schema : none;
    w->of[WB_WORD_SOURCE_TABLE] = t ? t->source_name : none;
    w->of[WB_WORD_ROUTE] = t ? t->route : none;
}

void wb_words_fill(wb_words *w, const wb_txn *txn, const wb_change *c, char lower[16])
{
    static const wb_str none;
    const wb_table *t = c ? c->table : NULL;
    wb_words_fill_table(w, t);
    w->of[WB_WORD_DATABASE] = txn && txn->database.len ? txn->database : w->of[WB_WORD_SOURCE_SCHEMA];
    w->of[WB_WORD_OPERATION] = none;
    if (!c) return;
    const char *type = wb_change_type(c);
    size_t n = 0;
    for (; type[n] && n < 15; n++) lower[n] = (char)(type[n] + ('a' - 'A'));
    lower[n] = 0;
    w->of[WB_WORD_OPERATION] = (wb_str){lower, n};
}

/* lexer.c: SQL to words. Comments vanish, executable ones open up, quotes hide what they hold. */
#include "lexer.h"

#include <strings.h>

#include "statement.h"

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
           (c & 0x80);
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool looking_at(const my_lex *l, const char *z)
{
    size_t n = strlen(z);
    return (size_t)(l->end - l->p) >= n && memcmp(l->p, z, n) == 0;
}

static void skip_line(my_lex *l)
{
    const char *nl = memchr(l->p, '\n', (size_t)(l->end - l->p));
    l->p = nl ? nl + 1 : l->end;
}

static void skip_comment(my_lex *l)
{
    l->p += 2;
    const char *close = l->p < l->end ? memmem(l->p, (size_t)(l->end - l->p), "*/", 2) : NULL;
    l->unsure |= !close;
    l->p = close ? close + 2 : l->end;
}

/* At an executable comment, "/" "*!50000 ...": its content counts, unless the version is one that nobody has. From some
 * version on it depends on the server, which is told apart by its flavor only. */
static void open_comment(my_lex *l, size_t head)
{
    enum { NOBODY = 200000 };
    unsigned all_run = head == 4 ? 100500 : l->flavor == MY_MYSQL ? 80000 : 50700;
    const char *start = l->p;
    unsigned version = 0, digits = 0;
    l->p += head;
    while (l->p < l->end && *l->p >= '0' && *l->p <= '9' && digits < 6) {
        version = version * 10 + (unsigned)(*l->p++ - '0');
        digits++;
    }
    if (version == 99999 || version >= NOBODY) {
        l->p = start;
        skip_comment(l);
        return;
    }
    if (version > all_run) l->unsure = true;
    l->inside = true;
}

static void skip_blanks(my_lex *l)
{
    while (l->p < l->end) {
        if (is_blank(*l->p))
            l->p++;
        else if (*l->p == '#')
            skip_line(l);
        else if (looking_at(l, "--") && (l->end - l->p == 2 || is_blank(l->p[2]) || (uint8_t)l->p[2] < 0x20))
            skip_line(l);
        else if (looking_at(l, "/*!"))
            open_comment(l, 3);
        else if (looking_at(l, "/*M!") && l->flavor != MY_MYSQL)
            open_comment(l, 4);
        else if (looking_at(l, "/*"))
            skip_comment(l);
        else if (l->inside && looking_at(l, "*/")) {
            l->inside = false;
            l->p += 2;
        } else
            return;
    }
}

/* The place behind the closing quote, or the end. *inner: quotes or backslashes within. */
static const char *close_quote(my_lex *l, char quote, bool backslash, bool *inner)
{
    const char *p = l->p + 1;
    *inner = false;
    for (; p < l->end; p++) {
        if (backslash && *p == '\\' && p + 1 < l->end) {
            p++;
            *inner = true;
        } else if (*p == quote) {
            if (p + 1 == l->end || p[1] != quote) return p + 1;
            p++;
            *inner = true;
        }
    }
    l->unsure = true;
    return l->end;
}

/* "a``b" to "a`b" */
static wb_str halve(my_lex *l, wb_str s, char quote)
{
    char *q = wb_arena_alloc(l->a, s.len + 1);
    size_t n = 0;
    if (!q || l->a->failed) return s;
    for (size_t i = 0; i < s.len; i++) {
        q[n++] = s.ptr[i];
        if (s.ptr[i] == quote && i + 1 < s.len) i++;
    }
    return (wb_str){q, n};
}

static void quoted(my_lex *l, char quote, bool name)
{
    bool inner, backslash = !name && !(l->sql_mode & MY_SQL_NO_BACKSLASH_ESCAPES);
    const char *start = l->p, *stop = close_quote(l, quote, backslash, &inner);
    l->p = stop;
    l->tok.text = (wb_str){start, (size_t)(stop - start)};
    l->tok.kind = name ? MY_TOK_QUOTED : MY_TOK_STRING;
    if (!name) return;
    size_t ends = stop - start >= 2 && stop[-1] == quote ? 2 : 1;
    l->tok.text = (wb_str){start + 1, (size_t)(stop - start) - ends};
    if (inner) l->tok.text = halve(l, l->tok.text, quote);
}

void my_lex_next(my_lex *l)
{
    skip_blanks(l);
    l->tok = (my_tok){MY_TOK_END, {"", 0}};
    if (l->p >= l->end) return;
    char c = *l->p;
    if (c == '`' || (c == '"' && l->sql_mode & MY_SQL_ANSI_QUOTES)) {
        quoted(l, c, true);
    } else if (c == '\'' || c == '"') {
        quoted(l, c, false);
    } else if (is_word(c)) {
        const char *start = l->p;
        while (l->p < l->end && is_word(*l->p)) l->p++;
        l->tok = (my_tok){MY_TOK_WORD, {start, (size_t)(l->p - start)}};
    } else {
        l->tok = (my_tok){MY_TOK_OTHER, {l->p++, 1}};
    }
}

void my_lex_start(my_lex *l, wb_str sql, uint64_t sql_mode, my_flavor flavor, wb_arena *a)
{
    *l = (my_lex){.p = sql.ptr, .end = sql.ptr + sql.len, .sql_mode = sql_mode, .flavor = flavor, .a = a};
    my_lex_next(l);
}

bool my_lex_is(const my_lex *l, const char *word)
{
    size_t n = strlen(word);
    return l->tok.kind == MY_TOK_WORD && l->tok.text.len == n && strncasecmp(l->tok.text.ptr, word, n) == 0;
}

bool my_lex_take(my_lex *l, const char *word)
{
    bool is = my_lex_is(l, word);
    if (is) my_lex_next(l);
    return is;
}

bool my_lex_char(my_lex *l, char c)
{
    bool is = l->tok.kind == MY_TOK_OTHER && l->tok.text.ptr[0] == c;
    if (is) my_lex_next(l);
    return is;
}

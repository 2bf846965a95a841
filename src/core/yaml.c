/* yaml.c: a pipeline file's YAML to nodes with their lines, through libyaml's events. Called by config.c.
 * Aliases are refused altogether: no pipeline file needs them, and a few lines of them can mean gigabytes. */
#include "core/yaml.h"
#include "walbrook/walbrook.h"

#include <stdio.h>
#include <yaml.h>

typedef struct reader {
    yaml_parser_t parser;
    const wb_yaml_in *in;
    wb_arena *arena;
    wb_error *err;
} reader;

wb_code wb_yaml_fail(const char *file, size_t line, size_t column, wb_error *err, const char *fmt, ...)
{
    char text[sizeof err->message];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0) text[0] = 0;
    wb_code code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s", text);
    char place[48];
    (void)snprintf(place, sizeof place, ":%zu:%zu", line, column);
    size_t room = sizeof err->where - 1 - strlen(place), len = strlen(file); /* the end of a path tells more */
    wb_error_where(err, "%s%s%s", len > room ? "..." : "", len > room ? file + (len - room + 3) : file, place);
    return code;
}

static wb_code fail_at(reader *r, yaml_mark_t mark, const char *what, const char *hint)
{
    wb_code code = wb_yaml_fail(r->in->file, mark.line + 1, mark.column + 1, r->err, "%s", what);
    if (hint) wb_hint(r->err, "%s", hint);
    return code;
}

static wb_code no_memory(reader *r)
{
    return wb_fail(r->err, WB_E_NOMEM, WB_NEVER, "There is not enough memory to read %s.", r->in->file);
}

/* What libyaml says, in words for somebody who has never read the YAML specification. */
static const struct {
    const char *problem, *what, *hint;
} syntax_words[] = {
    {"cannot start any token", "This character cannot begin a value here; a tab cannot indent in YAML.",
     "Indent with spaces, and put values that begin with @, %% or ` in quotes."},
    {"did not find expected alphabetic or numeric character",
     "A value that begins with * or & is an alias or an anchor in YAML.",
     "Put patterns such as \"*.email\" in quotes."},
    {"mapping values are not allowed", "A colon follows where no key can be.",
     "Look at the indentation of this line and the one before, and put values that contain \": \" in quotes."},
    {"did not find expected key", "Here a key of the map, or the end of the map, should come.",
     "Keys of one map begin in the same column; look at the line before too."},
    {"did not find expected node content", "A value should come here.", NULL},
    {"could not find expected ':'", "A key without its colon.", "Write \"key: value\", with a space after the colon."},
    {"did not find expected ',' or ']'", "This list is not closed: a comma or ] is missing.", NULL},
    {"did not find expected ',' or '}'", "This map is not closed: a comma or } is missing.",
     "Put values that hold { or }, such as \"${NAME}\", in quotes."},
    {"found unexpected end of stream", "A quote that was opened is never closed.", NULL},
    {"did not find expected '-' indicator", "Here the next \"- \" of the list should come.",
     "Items of one list begin in the same column."},
    {"found a tab character", "A tab cannot indent in YAML.", "Indent with spaces."},
    {"control characters are not allowed", "A control character is not allowed in YAML.", NULL},
    {"UTF-8", "These bytes are not UTF-8.", "Save the file as UTF-8."},
    {"found unknown escape character", "This backslash escape is not known in double quotes.",
     "Write \\\\ for a backslash, or use single quotes."},
    {"found undefined tag handle", "A value that begins with ! is a tag in YAML.",
     "Put patterns such as \"!public.audit_*\" in quotes."},
    {"did not find expected tag URI", "A value that begins with ! is a tag in YAML.",
     "Put patterns such as \"!public.audit_*\" in quotes."},
    {"did not find expected whitespace or line break", "A value that begins with ! is a tag in YAML.",
     "Put patterns such as \"!public.audit_*\" in quotes."},
};

static wb_code syntax_error(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return no_memory(r);
    const char *problem = p->problem ? p->problem : "it is not YAML";
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR) { /* knows an offset only */
        mark.line = mark.column = 0;
        for (size_t i = 0; i < p->problem_offset && i < r->in->len; i++) {
            mark.column++;
            if (r->in->text[i] == '\n') {
                mark.line++;
                mark.column = 0;
            }
        }
    }
    for (size_t i = 0; i < WB_COUNT(syntax_words); i++)
        if (strstr(problem, syntax_words[i].problem))
            return fail_at(r, mark, syntax_words[i].what, syntax_words[i].hint);
    return wb_yaml_fail(r->in->file, mark.line + 1, mark.column + 1, r->err, "This is not YAML: %s.", problem);
}

static wb_code next_event(reader *r, yaml_event_t *ev)
{
    return yaml_parser_parse(&r->parser, ev) ? WB_OK : syntax_error(r);
}

static wb_node *node_new(reader *r, wb_node_kind kind, yaml_mark_t mark)
{
    wb_node *n = wb_arena_zalloc(r->arena, sizeof *n);
    n->kind = kind;
    n->line = (int)mark.line + 1;
    n->file = r->in->file;
    n->text = "";
    return n;
}

static wb_code refuse_extras(reader *r, const yaml_event_t *ev, const void *anchor, const void *tag)
{
    if (anchor)
        return fail_at(r, ev->start_mark, "Anchors (&name) are not used in pipeline files.",
                       "Write the value out; put a value that begins with & in quotes.");
    if (tag)
        return fail_at(r, ev->start_mark, "A value that begins with ! is a tag in YAML, and tags are not used here.",
                       "Put patterns such as \"!public.audit_*\" in quotes.");
    return WB_OK;
}

static wb_code scalar(reader *r, const yaml_event_t *ev, bool key, const wb_node **out)
{
    const char *p = (const char *)ev->data.scalar.value;
    size_t n = ev->data.scalar.length;
    wb_code code = refuse_extras(r, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
    if (code) return code;
    if (memchr(p, 0, n)) return fail_at(r, ev->start_mark, "A NUL character cannot be part of a value.", NULL);
    wb_node *node = node_new(r, WB_NODE_SCALAR, ev->start_mark);
    node->text = wb_arena_strndup(r->arena, p, n);
    node->quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (r->arena->failed) return no_memory(r);
    *out = node;
    return key ? WB_OK : wb_yaml_substitute(node, r->in, r->arena, r->err);
}

/* Children are collected in a list on the stack of the C program's heap, then copied once into the arena. */
typedef struct pile {
    wb_pair *at;
    size_t n, cap;
} pile;

static bool pile_add(pile *p, wb_pair pair)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        wb_pair *at = realloc(p->at, cap * sizeof *at);
        if (!at) return false;
        p->at = at;
        p->cap = cap;
    }
    p->at[p->n++] = pair;
    return true;
}

static wb_code value(reader *r, const yaml_event_t *ev, int depth, const wb_node **out);

static wb_code list(reader *r, const yaml_event_t *start, int depth, pile *children, const wb_node **out)
{
    wb_code code = refuse_extras(r, start, start->data.sequence_start.anchor, start->data.sequence_start.tag);
    if (code) return code;
    wb_node *node = node_new(r, WB_NODE_LIST, start->start_mark);
    for (;;) {
        yaml_event_t ev;
        wb_pair item = {0};
        if ((code = next_event(r, &ev))) return code;
        bool end = ev.type == YAML_SEQUENCE_END_EVENT;
        if (!end) code = value(r, &ev, depth + 1, &item.value);
        yaml_event_delete(&ev);
        if (code) return code;
        if (end) break;
        if (!pile_add(children, item)) return no_memory(r);
    }
    const wb_node **items = wb_arena_alloc(r->arena, children->n * sizeof(void *) + 1);
    if (r->arena->failed) return no_memory(r);
    for (size_t i = 0; i < children->n; i++) items[i] = children->at[i].value;
    node->items = items;
    node->n = children->n;
    *out = node;
    return WB_OK;
}

static int by_key(const void *a, const void *b)
{
    const wb_pair *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->line - y->line;
}

/* `sorted` is scratch of n pairs. */
static wb_code refuse_repeated(reader *r, const pile *children)
{
    if (children->n < 2) return WB_OK;
    wb_pair *sorted = malloc(children->n * sizeof *sorted);
    if (!sorted) return no_memory(r);
    memcpy(sorted, children->at, children->n * sizeof *sorted);
    qsort(sorted, children->n, sizeof *sorted, by_key);
    wb_code code = WB_OK;
    for (size_t i = 1; i < children->n && !code; i++) {
        if (strcmp(sorted[i - 1].key, sorted[i].key) != 0) continue;
        wb_node at = {.kind = WB_NODE_SCALAR, .line = sorted[i].line, .file = r->in->file};
        code = wb_node_fail(&at, r->err, "The key \"%s\" is there twice; the first is in line %d.", sorted[i].key,
                            sorted[i - 1].line);
    }
    free(sorted);
    return code;
}

static wb_code pair_of(reader *r, const yaml_event_t *ev, int depth, wb_pair *pair)
{
    const wb_node *key;
    if (ev->type != YAML_SCALAR_EVENT)
        return fail_at(r, ev->start_mark, "A key must be a plain word.",
                       "Put text that begins with { or [ or * in quotes.");
    wb_code code = scalar(r, ev, true, &key);
    if (code) return code;
    pair->key = key->text;
    pair->line = key->line;
    yaml_event_t next;
    if ((code = next_event(r, &next))) return code;
    code = value(r, &next, depth + 1, &pair->value);
    yaml_event_delete(&next);
    return code;
}

static wb_code map(reader *r, const yaml_event_t *start, int depth, pile *children, const wb_node **out)
{
    wb_code code = refuse_extras(r, start, start->data.mapping_start.anchor, start->data.mapping_start.tag);
    if (code) return code;
    wb_node *node = node_new(r, WB_NODE_MAP, start->start_mark);
    for (;;) {
        yaml_event_t ev;
        wb_pair pair = {0};
        if ((code = next_event(r, &ev))) return code;
        bool end = ev.type == YAML_MAPPING_END_EVENT;
        if (!end) code = pair_of(r, &ev, depth, &pair);
        yaml_event_delete(&ev);
        if (code) return code;
        if (end) break;
        if (!pile_add(children, pair)) return no_memory(r);
    }
    if ((code = refuse_repeated(r, children))) return code;
    node->pairs = wb_arena_alloc(r->arena, children->n * sizeof(wb_pair) + 1);
    if (r->arena->failed) return no_memory(r);
    if (children->n) memcpy(node->pairs, children->at, children->n * sizeof(wb_pair));
    node->n = children->n;
    *out = node;
    return WB_OK;
}

static wb_code value(reader *r, const yaml_event_t *ev, int depth, const wb_node **out)
{
    pile children = {0};
    wb_code code;
    if (depth > WB_YAML_DEPTH) return fail_at(r, ev->start_mark, "The file is nested too deeply here.", NULL);
    switch (ev->type) {
    case YAML_SCALAR_EVENT: code = scalar(r, ev, false, out); break;
    case YAML_SEQUENCE_START_EVENT: code = list(r, ev, depth, &children, out); break;
    case YAML_MAPPING_START_EVENT: code = map(r, ev, depth, &children, out); break;
    case YAML_ALIAS_EVENT:
        code =
            fail_at(r, ev->start_mark, "A value that begins with * is an alias in YAML, and aliases are not used here.",
                    "Put patterns such as \"*.email\" in quotes; write repeated values out.");
        break;
    default: code = fail_at(r, ev->start_mark, "A value should come here.", NULL); break;
    }
    free(children.at);
    return code;
}

static wb_code document(reader *r, const wb_node **root)
{
    for (;;) {
        yaml_event_t ev;
        wb_code code = next_event(r, &ev);
        if (code) return code;
        yaml_event_type_t type = ev.type;
        yaml_mark_t mark = ev.start_mark;
        if (type == YAML_DOCUMENT_START_EVENT && *root)
            code = fail_at(r, mark, "A second YAML document begins here (---).",
                           "One file holds one pipeline; put the other one in a file of its own.");
        else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
                 type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT)
            code = value(r, &ev, 0, root);
        yaml_event_delete(&ev);
        if (code || type == YAML_STREAM_END_EVENT) return code;
    }
}

static wb_code refuse_bytes(const wb_yaml_in *in, wb_error *err)
{
    if (in->len > WB_YAML_MAX)
        return wb_yaml_fail(in->file, 1, 1, err, "The file has %zu bytes; a pipeline file has at most 1 MB.", in->len);
    const char *nul = in->len ? memchr(in->text, 0, in->len) : NULL;
    if (!nul) return WB_OK;
    size_t line = 1;
    for (const char *p = in->text; p < nul; p++) line += *p == '\n';
    wb_code code = wb_yaml_fail(in->file, line, 1, err, "This line holds a NUL byte: the file is not UTF-8 text.");
    wb_hint(err, "Save the file as UTF-8.");
    return code;
}

wb_code wb_yaml_load(const wb_yaml_in *in, wb_arena *a, const wb_node **root, wb_error *err)
{
    reader r = {.in = in, .arena = a, .err = err};
    *root = NULL;
    wb_code code = refuse_bytes(in, err);
    if (code) return code;
    if (!yaml_parser_initialize(&r.parser)) return no_memory(&r);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)in->text, in->len);
    code = document(&r, root);
    yaml_parser_delete(&r.parser);
    if (code) return code;
    if (!*root || wb_node_null(*root))
        return wb_yaml_fail(in->file, 1, 1, err, "The file is empty: it should describe a pipeline.");
    if ((*root)->kind != WB_NODE_MAP)
        return wb_node_fail(*root, err, "A pipeline file begins with keys such as \"source:\" and \"targets:\".");
    return a->failed ? no_memory(&r) : WB_OK;
}

const char *wb_libraries(void)
{
    static _Thread_local char text[40];
    (void)snprintf(text, sizeof text, "libyaml %s", yaml_get_version_string());
    return text;
}

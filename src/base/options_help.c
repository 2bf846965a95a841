/* options_help.c: option tables as text: values, `walbrook help`, docs/reference. Called by core and the commands. */
#include "base/options.h"
#include "base/units.h"

enum { WIDTH = 80 };

/* ---------------------------------------------------------------- one value */

static void print_text(const wb_option *o, const char *text, wb_out *out)
{
    if (o->flags & WB_OPT_SECRET)
        wb_out_z(out, "***");
    else if (o->flags & WB_OPT_URL)
        wb_redact_url(text, out);
    else
        wb_out_z(out, text);
}

static void print_number(const wb_option *o, int64_t v, wb_out *out)
{
    char text[WB_UNIT_TEXT];
    for (const wb_choice *c = o->choices; c && c->name; c++)
        if (c->value == v) {
            wb_out_z(out, c->name);
            return;
        }
    wb_unit_print(o->type, v, text);
    wb_out_z(out, text);
}

static void print_list(const wb_option *o, const wb_list *list, wb_out *out)
{
    wb_out_byte(out, '[');
    for (size_t i = 0; i < list->n; i++) {
        if (i) wb_out_z(out, ", ");
        print_text(o, list->items[i], out);
    }
    wb_out_byte(out, ']');
}

static void print_node(const wb_node *n, wb_out *out)
{
    if (wb_node_null(n)) {
        wb_out_z(out, "null");
    } else if (n->kind == WB_NODE_SCALAR) {
        wb_out_z(out, n->secret ? "***" : n->text);
    } else {
        bool map = n->kind == WB_NODE_MAP;
        wb_out_byte(out, map ? '{' : '[');
        for (size_t i = 0; i < n->n; i++) {
            if (i) wb_out_z(out, ", ");
            if (map) wb_out_printf(out, "%s: ", n->pairs[i].key);
            print_node(map ? n->pairs[i].value : n->items[i], out);
        }
        wb_out_byte(out, map ? '}' : ']');
    }
}

void wb_option_print(const wb_option *o, const void *ctx, wb_out *out)
{
    const char *at = (const char *)ctx + o->offset;
    union {
        const char *text;
        bool on;
        int64_t number;
        int choice;
        wb_list list;
        const wb_node *node;
    } v;
    switch (o->type) {
    case WB_OPT_STRING:
        memcpy(&v.text, at, sizeof v.text);
        if (v.text) print_text(o, v.text, out);
        return;
    case WB_OPT_BOOL:
        memcpy(&v.on, at, sizeof v.on);
        print_text(o, v.on ? "true" : "false", out);
        return;
    case WB_OPT_INT:
    case WB_OPT_SIZE:
    case WB_OPT_MSEC:
        memcpy(&v.number, at, sizeof v.number);
        if (o->flags & WB_OPT_SECRET)
            wb_out_z(out, "***");
        else
            print_number(o, v.number, out);
        return;
    case WB_OPT_ENUM:
        memcpy(&v.choice, at, sizeof v.choice);
        for (const wb_choice *c = o->choices; c && c->name; c++)
            if (c->value == v.choice) {
                print_text(o, c->name, out);
                return;
            }
        return;
    case WB_OPT_LIST:
        memcpy(&v.list, at, sizeof v.list);
        print_list(o, &v.list, out);
        return;
    case WB_OPT_NODE:
        memcpy(&v.node, at, sizeof v.node);
        if (v.node && (o->flags & WB_OPT_SECRET))
            wb_out_z(out, "***");
        else
            print_node(v.node, out);
        return;
    }
}

/* ---------------------------------------------------------------- what both helps say */

/* "DURATION | each | off" */
static void print_type(const wb_option *o, const char *bar, wb_out *out)
{
    static const char *const names[] = {
        [WB_OPT_STRING] = "TEXT",   [WB_OPT_BOOL] = "true", [WB_OPT_INT] = "NUMBER", [WB_OPT_SIZE] = "SIZE",
        [WB_OPT_MSEC] = "DURATION", [WB_OPT_ENUM] = "",     [WB_OPT_LIST] = "LIST",  [WB_OPT_NODE] = "MAP",
    };
    const char *name = o->flags & WB_OPT_URL ? "URL" : names[o->type];
    wb_out_z(out, name);
    if (o->type == WB_OPT_BOOL) {
        wb_out_z(out, bar);
        wb_out_z(out, "false");
    }
    bool first = !name[0];
    for (const wb_choice *c = o->choices; c && c->name; c++) {
        if (!first) wb_out_z(out, bar);
        first = false;
        wb_out_z(out, c->name);
    }
}

/* "From 1ms to 10s." or nothing. */
static void print_range(const wb_option *o, wb_out *out)
{
    bool number = o->type == WB_OPT_INT || o->type == WB_OPT_SIZE || o->type == WB_OPT_MSEC;
    if (!number || (o->min == 0 && o->max == 0)) return;
    char low[WB_UNIT_TEXT], high[WB_UNIT_TEXT];
    wb_unit_print(o->type, o->min, low);
    wb_unit_print(o->type, o->max, high);
    if (o->max == INT64_MAX || (o->max == 0 && o->min > 0))
        wb_out_printf(out, "At least %s.", low);
    else
        wb_out_printf(out, "From %s to %s.", low, high);
}

static const char *default_of(const wb_option *o)
{
    if (!o->def) return NULL;
    return o->flags & WB_OPT_SECRET ? "***" : o->def;
}

/* The example as a whole `name: value`, whichever way the table has it. */
static void print_example(const wb_option *o, wb_out *out)
{
    size_t n = strlen(o->name);
    if (strncmp(o->example, o->name, n) != 0 || o->example[n] != ':') wb_out_printf(out, "%s: ", o->name);
    wb_out_z(out, o->example);
}

/* ---------------------------------------------------------------- for a terminal */

/* Words of `text`, wrapped, each line after `indent` spaces. */
static void print_wrapped(const char *text, size_t indent, wb_out *out)
{
    size_t column = 0;
    for (const char *p = text; *p;) {
        size_t gap = strspn(p, " \n"), len = strcspn(p + gap, " \n");
        p += gap;
        if (len == 0) break;
        if (column && column + 1 + len > WIDTH) {
            wb_out_byte(out, '\n');
            column = 0;
        }
        if (column == 0) {
            wb_out_printf(out, "%*s", (int)indent, "");
            column = indent;
        } else {
            wb_out_byte(out, ' ');
            column++;
        }
        wb_out_put(out, p, len);
        column += len;
        p += len;
    }
    if (column) wb_out_byte(out, '\n');
}

/* Lines of an example keep their shape. */
static void print_lines(const char *text, size_t len, size_t indent, wb_out *out)
{
    while (len) {
        const char *nl = memchr(text, '\n', len);
        size_t n = nl ? (size_t)(nl - text) : len;
        if (n) wb_out_printf(out, "%*s%.*s", (int)indent, "", (int)n, text);
        wb_out_byte(out, '\n');
        n += nl != NULL;
        text += n;
        len -= n;
    }
}

static void help_one(const wb_option *o, wb_out *out)
{
    const char *def = default_of(o);
    wb_out_printf(out, "  %s: ", o->name);
    print_type(o, " | ", out);
    if (o->flags & WB_OPT_REQUIRED)
        wb_out_z(out, "  (required)");
    else if (def)
        wb_out_printf(out, "  (default %s)", def);
    wb_out_byte(out, '\n');
    if (o->brief) print_wrapped(o->brief, 6, out);
    if (o->detail) print_wrapped(o->detail, 6, out);
    wb_out range = {0};
    print_range(o, &range);
    if (range.len) print_lines(range.p, range.len, 6, out);
    wb_out_fini(&range);
    for (const wb_choice *c = o->choices; c && c->name; c++)
        if (c->brief) wb_out_printf(out, "        %-10s %s\n", c->name, c->brief);
    if (!o->example) return;
    wb_out example = {0};
    print_example(o, &example);
    bool block = example.len && memchr(example.p, '\n', example.len);
    if (block) {
        wb_out_z(out, "      Example:\n");
        print_lines(example.p, example.len, 8, out);
    } else if (example.len) {
        wb_out_printf(out, "      Example: %.*s\n", (int)example.len, example.p);
    }
    wb_out_fini(&example);
}

void wb_options_help(const wb_option *table, wb_out *out)
{
    if (!table || !table->name) wb_out_z(out, "  It has no options.\n");
    for (const wb_option *o = table; o && o->name; o++) {
        if (o != table) wb_out_byte(out, '\n');
        help_one(o, out);
    }
}

/* ---------------------------------------------------------------- for docs/reference */

/* Inside a table cell: no bars, no line ends. */
static void print_cell(const char *text, size_t len, wb_out *out)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '|') wb_out_byte(out, '\\');
        wb_out_byte(out, text[i] == '\n' ? ' ' : text[i]);
    }
}

static void print_sentence(const char *text, wb_out *out)
{
    size_t n = text ? strlen(text) : 0;
    if (n == 0) return;
    print_cell(text, n, out);
    if (!strchr(".!?:", text[n - 1])) wb_out_byte(out, '.');
}

static void markdown_one(const wb_option *o, wb_out *out)
{
    const char *def = default_of(o);
    wb_out_printf(out, "| `%s` | ", o->name);
    print_type(o, " \\| ", out);
    if (o->flags & WB_OPT_REQUIRED)
        wb_out_z(out, " | required | ");
    else if (def)
        wb_out_printf(out, " | `%s` | ", def);
    else
        wb_out_z(out, " | | ");
    print_sentence(o->brief, out);
    if (o->detail) {
        wb_out_byte(out, ' ');
        print_sentence(o->detail, out);
    }
    wb_out range = {0};
    print_range(o, &range);
    if (range.len) {
        wb_out_byte(out, ' ');
        wb_out_put(out, range.p, range.len);
    }
    wb_out_fini(&range);
    for (const wb_choice *c = o->choices; c && c->name; c++) {
        if (!c->brief) continue;
        wb_out_printf(out, " `%s`: ", c->name);
        print_sentence(c->brief, out);
    }
    if (o->example && !strchr(o->example, '\n')) {
        wb_out example = {0};
        print_example(o, &example);
        wb_out_z(out, " Example: `");
        print_cell(example.p, example.len, out);
        wb_out_z(out, "`");
        wb_out_fini(&example);
    }
    wb_out_z(out, " |\n");
}

void wb_options_markdown(const wb_option *table, wb_out *out)
{
    if (!table || !table->name) {
        wb_out_z(out, "It has no options.\n");
        return;
    }
    wb_out_z(out, "| option | value | default | meaning |\n|---|---|---|---|\n");
    for (const wb_option *o = table; o->name; o++) markdown_one(o, out);
    for (const wb_option *o = table; o->name; o++) {
        if (!o->example || !strchr(o->example, '\n')) continue;
        wb_out_printf(out, "\n`%s`, for example:\n\n```yaml\n", o->name);
        print_example(o, out);
        if (o->example[strlen(o->example) - 1] != '\n') wb_out_byte(out, '\n');
        wb_out_z(out, "```\n");
    }
}

/* options_parse.c: from the nodes of a pipeline file, or one text, into a plugin's context, by its option table.
 * Called by core/config for every plugin and for the engine's own options, and by the command line. */
#include "base/options.h"
#include "base/units.h"

#include <stdio.h>
#include <strings.h>

/* One value on its way into its field. */
typedef struct setter {
    const wb_option *o;
    char *ctx;
    const wb_node *node; /* what to blame; NULL: a default, or a command line */
    const char *what;    /* "target file"; NULL: nobody                       */
    wb_arena *arena;
    wb_error *err;
    bool flow; /* a text in brackets is a list: not for scalars of a file, where the parser knew better */
} setter;

static void *field(const setter *s) { return s->ctx + s->o->offset; }

static bool is_secret(const setter *s) { return (s->o->flags & WB_OPT_SECRET) || (s->node && s->node->secret); }

/* "target file: `fsync: 10` ": the value only when it may be seen. */
static void subject(const setter *s, const char *text, char *out, size_t cap)
{
    const char *what = s->what ? s->what : "", *colon = s->what ? ": " : "";
    if (!text || is_secret(s)) {
        (void)snprintf(out, cap, "%s%s`%s`", what, colon, s->o->name);
        return;
    }
    wb_out shown = {0};
    if (s->o->flags & WB_OPT_URL)
        wb_redact_url(text, &shown);
    else
        wb_out_z(&shown, text);
    bool longer = shown.len > 60;
    (void)snprintf(out, cap, "%s%s`%s: %.*s%s`", what, colon, s->o->name, (int)WB_MIN(shown.len, 60),
                   shown.p ? shown.p : "", longer ? "..." : "");
    wb_out_fini(&shown);
}

static wb_code refuse(const setter *s, const char *text, const char *why)
{
    char who[300];
    subject(s, text, who, sizeof who);
    return wb_node_fail(s->node, s->err, "%s %s", who, why);
}

/* A hint is the first error's; a refusal that came second must not talk into it. */
#define HINT(s, had, ...) ((had) ? (void)0 : wb_hint((s)->err, __VA_ARGS__))
static bool had_error(const setter *s) { return s->err && s->err->code != WB_OK; }

static wb_code no_memory(const setter *s)
{
    return wb_fail(s->err, WB_E_NOMEM, WB_RETRY, "no memory for the option `%s`", s->o->name);
}

/* ---------------------------------------------------------------- choices */

static const wb_choice *find_choice(const wb_option *o, const char *text)
{
    for (const wb_choice *c = o->choices; c && c->name; c++)
        if (strcmp(c->name, text) == 0) return c;
    return NULL;
}

enum { MOST_NAMES = 128 };

static const char *nearest_choice(const wb_option *o, const char *text)
{
    const char *names[MOST_NAMES + 1];
    size_t n = 0;
    for (const wb_choice *c = o->choices; c && c->name && n < MOST_NAMES; c++) names[n++] = c->name;
    names[n] = NULL;
    return wb_nearest(text, names);
}

/* "mirror, log or 10s"; cut when long. */
static void list_choices(const wb_option *o, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = 0;
    for (const wb_choice *c = o->choices; c && c->name && len < cap; c++) {
        const char *between = len == 0 ? "" : c[1].name ? ", " : " or ";
        int n = snprintf(out + len, cap - len, "%s%s", between, c->name);
        if (n < 0) break;
        len += (size_t)n;
    }
}

/* ---------------------------------------------------------------- one type each */

static wb_code set_bool(const setter *s, const char *text)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    for (size_t i = 0; i < WB_COUNT(yes); i++) {
        bool on = strcasecmp(text, yes[i]) == 0;
        if (!on && strcasecmp(text, no[i]) != 0) continue;
        memcpy(field(s), &on, sizeof on);
        return WB_OK;
    }
    bool had = had_error(s);
    wb_code code = refuse(s, text, "is neither true nor false");
    HINT(s, had, "Write true or false; yes, no, on and off are fine too.");
    return code;
}

static wb_code set_enum(const setter *s, const char *text)
{
    const wb_choice *c = find_choice(s->o, text);
    if (c) {
        memcpy(field(s), &c->value, sizeof c->value);
        return WB_OK;
    }
    char choices[200], why[240];
    list_choices(s->o, choices, sizeof choices);
    (void)snprintf(why, sizeof why, "is none of its values: %s", choices);
    const char *near = is_secret(s) ? NULL : nearest_choice(s->o, text);
    bool had = had_error(s);
    wb_code code = refuse(s, text, why);
    if (near) HINT(s, had, "Did you mean `%s`?", near);
    return code;
}

/* min and max both 0: any. max 0 with min above it: no upper limit. */
static wb_code check_range(const setter *s, const char *text, int64_t v)
{
    const wb_option *o = s->o;
    if (o->min == 0 && o->max == 0) return WB_OK;
    bool open = o->max == INT64_MAX || (o->max == 0 && o->min > 0);
    if (v >= o->min && (open || v <= o->max)) return WB_OK;
    char low[WB_UNIT_TEXT], high[WB_UNIT_TEXT], why[120];
    wb_unit_print(o->type, o->min, low);
    wb_unit_print(o->type, o->max, high);
    if (open)
        (void)snprintf(why, sizeof why, "is too small; the least is %s", low);
    else
        (void)snprintf(why, sizeof why, "is out of range; it may be %s to %s", low, high);
    return refuse(s, text, why);
}

static wb_code set_number(const setter *s, const char *text)
{
    int64_t v = 0;
    const wb_choice *c = find_choice(s->o, text);
    if (c) {
        v = c->value;
        memcpy(field(s), &v, sizeof v);
        return WB_OK;
    }
    wb_unit_error e = wb_unit_read(s->o->type, text, &v);
    if (e) {
        char why[160], choices[120];
        bool had = had_error(s), secret = is_secret(s);
        const char *near = secret ? NULL : nearest_choice(s->o, text);
        wb_unit_explain(s->o->type, e, secret ? NULL : text, why, sizeof why);
        wb_code code = refuse(s, text, why);
        list_choices(s->o, choices, sizeof choices);
        if (near && e == WB_UNIT_NOT_A_NUMBER) HINT(s, had, "Did you mean `%s`?", near);
        HINT(s, had, "%s%s%s%s", wb_unit_howto(s->o->type), choices[0] ? " Allowed too: " : "", choices,
             choices[0] ? "." : "");
        return code;
    }
    wb_code code = check_range(s, text, v);
    if (code == WB_OK) memcpy(field(s), &v, sizeof v);
    return code;
}

static wb_code set_string(const setter *s, const char *text)
{
    const char *copy = wb_arena_strdup(s->arena, text);
    if (s->arena->failed) return no_memory(s);
    memcpy(field(s), &copy, sizeof copy);
    return WB_OK;
}

static wb_code put_list(const setter *s, const char **items, size_t n)
{
    if (s->arena->failed || !items) return no_memory(s);
    wb_list list = {n, items};
    memcpy(field(s), &list, sizeof list);
    return WB_OK;
}

/* "[a, b]" as in YAML, without quotes; anything else is one item. */
static wb_code set_list_text(const setter *s, const char *text)
{
    size_t len = strlen(text), most = 1, n = 0;
    bool flow = s->flow && len >= 2 && text[0] == '[' && text[len - 1] == ']';
    for (const char *p = text; *p; p++) most += *p == ',';
    const char **items = wb_arena_alloc(s->arena, most * sizeof *items);
    if (s->arena->failed || !items) return no_memory(s);
    if (!flow) {
        items[n++] = wb_arena_strdup(s->arena, text);
        return put_list(s, items, n);
    }
    const char *p = text + 1, *end = text + len - 1;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end, *last = stop;
        while (p < stop && *p == ' ') p++;
        while (last > p && last[-1] == ' ') last--;
        if (last > p) items[n++] = wb_arena_strndup(s->arena, p, (size_t)(last - p));
        p = stop + 1;
    }
    return put_list(s, items, n);
}

static wb_code set_node_text(const setter *s, const char *text)
{
    wb_node *n = wb_arena_zalloc(s->arena, sizeof *n);
    if (s->arena->failed || !n) return no_memory(s);
    n->kind = WB_NODE_SCALAR;
    n->text = wb_arena_strdup(s->arena, text);
    if (s->arena->failed) return no_memory(s);
    const wb_node *node = n;
    memcpy(field(s), &node, sizeof node);
    return WB_OK;
}

static wb_code set_text(const setter *s, const char *text)
{
    switch (s->o->type) {
    case WB_OPT_STRING: return set_string(s, text);
    case WB_OPT_BOOL: return set_bool(s, text);
    case WB_OPT_INT:
    case WB_OPT_SIZE:
    case WB_OPT_MSEC: return set_number(s, text);
    case WB_OPT_ENUM: return set_enum(s, text);
    case WB_OPT_LIST: return set_list_text(s, text);
    case WB_OPT_NODE: return set_node_text(s, text);
    }
    return wb_fail(s->err, WB_E_INTERNAL, WB_NEVER, "option `%s` has a type that does not exist", s->o->name);
}

static wb_code set_list_node(const setter *s)
{
    const wb_node *list = s->node;
    if (!list->n) {
        bool had = had_error(s);
        wb_code code = refuse(s, NULL, "is an empty list, which could mean all or nothing");
        HINT(s, had, "Leave the key out, or name something.");
        return code;
    }
    const char **items = wb_arena_alloc(s->arena, list->n * sizeof *items);
    if (s->arena->failed || !items) return no_memory(s);
    for (size_t i = 0; i < list->n; i++) {
        setter item = *s;
        item.node = list->items[i];
        if (item.node->kind != WB_NODE_SCALAR) return refuse(&item, NULL, "takes a list of plain values");
        if (wb_node_null(item.node)) return refuse(&item, NULL, "has an empty entry in its list");
        items[i] = wb_arena_strdup(s->arena, item.node->text);
    }
    return put_list(s, items, list->n);
}

static wb_code set_node(const setter *s)
{
    if (s->o->type == WB_OPT_NODE) {
        memcpy(field(s), &s->node, sizeof s->node);
        return WB_OK;
    }
    if (s->node->kind == WB_NODE_SCALAR) return set_text(s, s->node->text);
    if (s->o->type == WB_OPT_LIST && s->node->kind == WB_NODE_LIST) return set_list_node(s);
    bool list = s->node->kind == WB_NODE_LIST;
    if (s->o->type == WB_OPT_LIST) return refuse(s, NULL, "takes a list, not a map");
    return refuse(s, NULL, list ? "takes one value, not a list" : "takes one value, not a map");
}

/* ---------------------------------------------------------------- the whole table */

static bool is_listed(const char *const *names, const char *name)
{
    for (; names && *names; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

static const wb_option *find_option(const wb_option *table, const char *name)
{
    for (const wb_option *o = table; o && o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

static wb_code refuse_key(const wb_option *table, const wb_node *map, const wb_pair *pair, const char *const *skip,
                          const char *what, wb_error *err)
{
    const char *names[MOST_NAMES + 1];
    size_t n = 0, len = 0;
    char all[300] = "";
    for (const wb_option *o = table; o && o->name && n < MOST_NAMES; o++) names[n++] = o->name;
    for (size_t i = 0; i < n && len < sizeof all; i++)
        len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", i ? ", " : "", names[i]);
    for (; skip && *skip && n < MOST_NAMES; skip++) names[n++] = *skip;
    names[n] = NULL;
    bool had = err && err->code != WB_OK;
    const wb_node here = {.line = pair->line, .file = map->file};
    wb_code code = wb_node_fail(&here, err, "%s has no option `%.80s`", what, pair->key);
    if (had) return code;
    const char *near = wb_nearest(pair->key, names);
    if (near)
        wb_hint(err, "Did you mean `%s`?", near);
    else if (all[0])
        wb_hint(err, "Its options: %s.", all);
    else
        wb_hint(err, "It has no options.");
    return code;
}

static wb_code refuse_repeated(const wb_node *map, size_t i, const char *what, wb_error *err)
{
    for (size_t j = 0; j < i; j++) {
        if (strcmp(map->pairs[j].key, map->pairs[i].key) != 0) continue;
        const wb_node here = {.line = map->pairs[i].line, .file = map->file};
        return wb_node_fail(&here, err, "%s: `%.80s` is written twice; the first one is on line %d", what,
                            map->pairs[i].key, map->pairs[j].line);
    }
    return WB_OK;
}

static wb_code refuse_missing(const wb_option *o, const wb_node *map, const char *what, wb_error *err)
{
    bool had = err && err->code != WB_OK;
    wb_code code =
        wb_node_fail(map, err, "%s needs the option `%s` (%s)", what, o->name, o->brief ? o->brief : "required");
    if (!had && o->example && !strchr(o->example, '\n')) {
        size_t n = strlen(o->name);
        bool whole = strncmp(o->example, o->name, n) == 0 && o->example[n] == ':';
        wb_hint(err, "For example: %s%s%s", whole ? "" : o->name, whole ? "" : ": ", o->example);
    }
    return code;
}

static wb_code set_defaults(const wb_option *table, void *ctx, const char *what, wb_arena *a, wb_error *err)
{
    for (const wb_option *o = table; o && o->name; o++) {
        if (!o->def) continue;
        const setter s = {.o = o, .ctx = ctx, .what = what, .arena = a, .err = err, .flow = true};
        wb_code code = set_text(&s, o->def);
        if (code != WB_OK) return code;
    }
    return WB_OK;
}

wb_code wb_options_parse(const wb_option *table, void *ctx, const wb_node *map, const char *const *skip,
                         const char *what, wb_arena *a, wb_error *err)
{
    wb_code code = set_defaults(table, ctx, what, a, err);
    if (code != WB_OK) return code;
    if (wb_node_null(map)) map = NULL;
    if (map && map->kind != WB_NODE_MAP)
        return wb_node_fail(map, err, "%s takes options as `name: value`, not %s", what,
                            map->kind == WB_NODE_LIST ? "a list" : "one value");
    for (size_t i = 0; map && i < map->n; i++) {
        const wb_pair *pair = &map->pairs[i];
        code = refuse_repeated(map, i, what, err);
        if (code != WB_OK) return code;
        if (is_listed(skip, pair->key)) continue;
        const wb_option *o = find_option(table, pair->key);
        if (!o) return refuse_key(table, map, pair, skip, what, err);
        if (wb_node_null(pair->value)) continue; /* `path:` and `path: null`: as if it were not there */
        const setter s = {.o = o, .ctx = ctx, .node = pair->value, .what = what, .arena = a, .err = err};
        code = set_node(&s);
        if (code != WB_OK) return code;
    }
    for (const wb_option *o = table; o && o->name; o++)
        if ((o->flags & WB_OPT_REQUIRED) && !is_listed(skip, o->name) && wb_node_null(wb_node_get(map, o->name)))
            return refuse_missing(o, map, what, err);
    return WB_OK;
}

wb_code wb_option_set(const wb_option *o, void *ctx, const char *text, wb_arena *a, wb_error *err)
{
    const setter s = {.o = o, .ctx = ctx, .arena = a, .err = err, .flow = true};
    return set_text(&s, text);
}

static wb_code parse_alone(wb_opt_type type, const char *text, int64_t *out, wb_error *err)
{
    *out = 0;
    wb_unit_error e = wb_unit_read(type, text, out);
    if (!e) return WB_OK;
    char why[160];
    wb_unit_explain(type, e, text, why, sizeof why);
    bool had = err && err->code != WB_OK;
    wb_code code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "`%.60s` %s", text, why);
    if (!had) wb_hint(err, "%s", wb_unit_howto(type));
    return code;
}

wb_code wb_parse_size(const char *text, int64_t *out, wb_error *err)
{
    return parse_alone(WB_OPT_SIZE, text, out, err);
}
wb_code wb_parse_msec(const char *text, int64_t *out, wb_error *err)
{
    return parse_alone(WB_OPT_MSEC, text, out, err);
}
wb_code wb_parse_int(const char *text, int64_t *out, wb_error *err) { return parse_alone(WB_OPT_INT, text, out, err); }

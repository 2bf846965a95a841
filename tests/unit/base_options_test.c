/* Option tables: parsing from nodes and texts, defaults, every refusal with its file and line, secrets unseen. */
#include "base/options.h"
#include "check.h"

typedef struct settings {
    const char *path, *url, *password;
    bool on;
    int64_t count, size, every, gap;
    int mode;
    wb_list tables, keys;
    const wb_node *extra;
} settings;

static const wb_choice modes[] = {{"mirror", 3, "like the source"}, {"log", 7, "append only"}, {NULL, 0, NULL}};
static const wb_choice syncs[] = {{"each", -1, "after every batch"}, {"off", -2, "never"}, {NULL, 0, NULL}};
#define AT(f) offsetof(settings, f)
static const wb_option table[] = {
    {.name = "path",
     .type = WB_OPT_STRING,
     .offset = AT(path),
     .flags = WB_OPT_REQUIRED,
     .brief = "where to write",
     .example = "out.jsonl"},
    {.name = "url", .type = WB_OPT_STRING, .offset = AT(url), .flags = WB_OPT_URL, .brief = "which server"},
    {.name = "password",
     .type = WB_OPT_STRING,
     .offset = AT(password),
     .flags = WB_OPT_SECRET,
     .brief = "its password"},
    {.name = "on", .type = WB_OPT_BOOL, .offset = AT(on), .def = "yes", .brief = "do it"},
    {.name = "count", .type = WB_OPT_INT, .offset = AT(count), .def = "5", .min = 1, .max = 10, .brief = "how many"},
    {.name = "size",
     .type = WB_OPT_SIZE,
     .offset = AT(size),
     .def = "32MB",
     .min = 4096,
     .brief = "how large",
     .detail = "More is faster, up to what the disk can do in a moment, and then it is only more memory."},
    {.name = "fsync",
     .type = WB_OPT_MSEC,
     .offset = AT(every),
     .def = "50ms",
     .min = 1,
     .max = 10000,
     .choices = syncs,
     .brief = "when to sync"},
    {.name = "gap", .type = WB_OPT_MSEC, .offset = AT(gap), .brief = "how long"},
    {.name = "mode", .type = WB_OPT_ENUM, .offset = AT(mode), .def = "log", .choices = modes, .brief = "which shape"},
    {.name = "tables",
     .type = WB_OPT_LIST,
     .offset = AT(tables),
     .def = "[a.*, \"b\"]",
     .brief = "which | tables",
     .example = "tables:\n  - public.*\n  - other.*"},
    {.name = "keys", .type = WB_OPT_LIST, .offset = AT(keys), .flags = WB_OPT_SECRET, .brief = "secret keys"},
    {.name = "extra", .type = WB_OPT_NODE, .offset = AT(extra), .brief = "anything"},
    {.name = NULL}};

static const wb_option *option(const char *name)
{
    for (const wb_option *o = table; o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    fail_msg("no option %s", name);
    return NULL;
}

/* ---- building maps */

enum { MOST = 12 };
typedef struct tree {
    wb_node map, values[MOST];
    wb_pair pairs[MOST];
} tree;

static wb_node *add(tree *t, const char *key, const char *text)
{
    size_t i = t->map.n++;
    t->map.kind = WB_NODE_MAP;
    t->map.file = "shop.yaml";
    t->map.line = 1;
    t->map.pairs = t->pairs;
    t->values[i] = (wb_node){.kind = WB_NODE_SCALAR, .line = (int)i + 2, .file = "shop.yaml", .text = text};
    t->pairs[i] = (wb_pair){key, (int)i + 2, &t->values[i]};
    return &t->values[i];
}

typedef struct setup {
    wb_arena arena;
    wb_error err;
    settings s;
} setup;

static int begin(void **state)
{
    setup *u = calloc(1, sizeof *u);
    if (!u) return -1;
    wb_arena_init(&u->arena, 0, 0);
    *state = u;
    return 0;
}
static int finish(void **state)
{
    setup *u = *state;
    wb_arena_fini(&u->arena);
    free(u);
    return 0;
}

static wb_code parse(setup *u, const wb_node *map)
{
    static const char *const skip[] = {"type", "name", NULL};
    wb_error_reset(&u->err);
    memset(&u->s, 0, sizeof u->s);
    return wb_options_parse(table, &u->s, map, skip, "target file", &u->arena, &u->err);
}

static void assert_refused(setup *u, const wb_node *map, const char *where, const char *message, const char *hint)
{
    assert_int_equal(parse(u, map), WB_E_CONFIG);
    assert_int_equal(u->err.code, WB_E_CONFIG);
    assert_int_equal(u->err.next, WB_NEVER);
    assert_string_equal(u->err.where, where);
    assert_string_equal(u->err.message, message);
    if (hint) assert_string_equal(u->err.hint, hint);
}

/* ---- what is accepted */

static void test_defaults(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "path", "x");
    assert_int_equal(parse(u, &t.map), WB_OK);
    assert_string_equal(u->s.path, "x");
    assert_null(u->s.url);
    assert_true(u->s.on);
    assert_int_equal(u->s.count, 5);
    assert_int_equal(u->s.size, 32 << 20);
    assert_int_equal(u->s.every, 50);
    assert_int_equal(u->s.gap, 0);
    assert_int_equal(u->s.mode, 7);
    assert_int_equal(u->s.tables.n, 2);
    assert_string_equal(u->s.tables.items[0], "a.*");
    assert_int_equal(u->s.keys.n, 0);
    assert_null(u->s.extra);
}

static void test_values(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "type", "file"); /* skipped */
    char path[] = "a.jsonl";
    add(&t, "path", path);
    add(&t, "on", "off");
    add(&t, "count", "10");
    add(&t, "size", "1GB");
    add(&t, "fsync", "each");
    add(&t, "mode", "mirror");
    add(&t, "tables", "[not, split]"); /* the YAML parser says that it is one scalar */
    const wb_node *extra = add(&t, "extra", "anything");
    assert_int_equal(parse(u, &t.map), WB_OK);
    path[0] = 'z'; /* strings are copies */
    assert_string_equal(u->s.path, "a.jsonl");
    assert_false(u->s.on);
    assert_int_equal(u->s.count, 10);
    assert_int_equal(u->s.size, 1 << 30);
    assert_int_equal(u->s.every, -1);
    assert_int_equal(u->s.mode, 3);
    assert_int_equal(u->s.tables.n, 1);
    assert_string_equal(u->s.tables.items[0], "[not, split]");
    assert_ptr_equal(u->s.extra, extra);
}

static void test_a_list(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "path", "x");
    wb_node a = {.kind = WB_NODE_SCALAR, .text = "one"}, b = {.kind = WB_NODE_SCALAR, .text = "", .quoted = true};
    const wb_node *items[] = {&a, &b};
    *add(&t, "tables", NULL) = (wb_node){.kind = WB_NODE_LIST, .n = 2, .items = items};
    assert_int_equal(parse(u, &t.map), WB_OK);
    assert_int_equal(u->s.tables.n, 2);
    assert_string_equal(u->s.tables.items[0], "one");
    assert_string_equal(u->s.tables.items[1], "");
    *add(&t, "keys", NULL) = (wb_node){.kind = WB_NODE_LIST, .n = 0}; /* all, or nothing? */
    assert_int_equal(parse(u, &t.map), WB_E_CONFIG);
    assert_non_null(strstr(u->err.message, "`keys` is an empty list"));
}

static void test_null_means_absent(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "path", "")->quoted = true; /* "" is a text */
    add(&t, "count", "~");
    add(&t, "tables", "null");
    add(&t, "on", "");
    assert_int_equal(parse(u, &t.map), WB_OK);
    assert_string_equal(u->s.path, "");
    assert_int_equal(u->s.count, 5);
    assert_int_equal(u->s.tables.n, 2);
    assert_true(u->s.on);
}

/* ---- what is refused */

static void test_no_map_at_all(void **state)
{
    setup *u = *state;
    assert_refused(u, NULL, "", "target file needs the option `path` (where to write)", "For example: path: out.jsonl");
    wb_node null = {.kind = WB_NODE_SCALAR, .text = "", .line = 4, .file = "shop.yaml"};
    assert_refused(u, &null, "", "target file needs the option `path` (where to write)", NULL);
    wb_node text = {.kind = WB_NODE_SCALAR, .text = "x", .line = 4, .file = "shop.yaml"};
    assert_refused(u, &text, "shop.yaml:4", "target file takes options as `name: value`, not one value", NULL);
    wb_node list = {.kind = WB_NODE_LIST, .line = 4, .file = "shop.yaml"};
    assert_refused(u, &list, "shop.yaml:4", "target file takes options as `name: value`, not a list", NULL);
}

static void test_required(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "count", "1");
    add(&t, "path", "~");
    assert_refused(u, &t.map, "shop.yaml:1", "target file needs the option `path` (where to write)",
                   "For example: path: out.jsonl");
}

static void test_unknown_and_repeated_keys(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "path", "x");
    add(&t, "fsnc", "each");
    assert_refused(u, &t.map, "shop.yaml:3", "target file has no option `fsnc`", "Did you mean `fsync`?");
    t.pairs[1].key = "nmae";
    assert_refused(u, &t.map, "shop.yaml:3", "target file has no option `nmae`", "Did you mean `name`?");
    t.pairs[1].key = "zzzzzz";
    assert_refused(u, &t.map, "shop.yaml:3", "target file has no option `zzzzzz`",
                   "Its options: path, url, password, on, count, size, fsync, gap, mode, tables, keys, extra.");
    t.pairs[1].key = "path";
    assert_refused(u, &t.map, "shop.yaml:3", "target file: `path` is written twice; the first one is on line 2", "");
    tree none = {0};
    add(&none, "x", "y");
    static const wb_option empty[] = {{.name = NULL}};
    wb_error_reset(&u->err);
    assert_int_equal(wb_options_parse(empty, &u->s, &none.map, NULL, "format row", &u->arena, &u->err), WB_E_CONFIG);
    assert_string_equal(u->err.hint, "It has no options.");
}

static void test_wrong_values(void **state)
{
    setup *u = *state;
    static const struct {
        const char *key, *value, *message, *hint;
    } rows[] = {
        {"on", "maybe", "target file: `on: maybe` is neither true nor false", NULL},
        {"count", "many", "target file: `count: many` is not a whole number", "Write digits only, as in 10."},
        {"count", "5.5", "target file: `count: 5.5` is not a whole number", NULL},
        {"count", "0", "target file: `count: 0` is out of range; it may be 1 to 10", ""},
        {"count", "11", "target file: `count: 11` is out of range; it may be 1 to 10", NULL},
        {"count", "99999999999999999999", "target file: `count: 99999999999999999999` is too large for a whole number",
         NULL},
        {"size", "1kB", "target file: `size: 1kB` is too small; the least is 4kB", NULL},
        {"size", "10XB", "target file: `size: 10XB` has a unit that is not known",
         "Sizes are written like 100, 64kB, 32MB or 10GB."},
        {"size", "-5MB", "target file: `size: -5MB` is negative, which no size can be", NULL},
        {"gap", "10", "target file: `gap: 10` has no unit; write a unit: 10s",
         "Durations are written like 50ms, 10s, 5m, 2h or 1d."},
        {"fsync", "11s", "target file: `fsync: 11s` is out of range; it may be 1ms to 10s", NULL},
        {"fsync", "10", "target file: `fsync: 10` has no unit; write a unit: 10s",
         "Durations are written like 50ms, 10s, 5m, 2h or 1d. Allowed too: each or off."},
        {"fsync", "eahc", "target file: `fsync: eahc` is not a duration", "Did you mean `each`?"},
        {"fsync", "5us", "target file: `fsync: 5us` is finer than a millisecond", NULL},
        {"mode", "mirorr", "target file: `mode: mirorr` is none of its values: mirror or log",
         "Did you mean `mirror`?"},
        {"mode", "zz", "target file: `mode: zz` is none of its values: mirror or log", ""},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        tree t = {0};
        add(&t, "path", "x");
        add(&t, rows[i].key, rows[i].value);
        assert_refused(u, &t.map, "shop.yaml:3", rows[i].message, rows[i].hint);
    }
}

static void test_wrong_shapes(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "path", "x");
    wb_node inner = {.kind = WB_NODE_LIST, .line = 7, .file = "shop.yaml"};
    wb_node null = {.kind = WB_NODE_SCALAR, .line = 8, .file = "shop.yaml", .text = ""};
    const wb_node *items[] = {&inner};
    wb_node *v = add(&t, "count", "1");
    *v = (wb_node){.kind = WB_NODE_LIST, .line = 3, .file = "shop.yaml"};
    assert_refused(u, &t.map, "shop.yaml:3", "target file: `count` takes one value, not a list", "");
    v->kind = WB_NODE_MAP;
    assert_refused(u, &t.map, "shop.yaml:3", "target file: `count` takes one value, not a map", "");
    t.pairs[1].key = "tables";
    assert_refused(u, &t.map, "shop.yaml:3", "target file: `tables` takes a list, not a map", "");
    *v = (wb_node){.kind = WB_NODE_LIST, .line = 3, .file = "shop.yaml", .n = 1, .items = items};
    assert_refused(u, &t.map, "shop.yaml:7", "target file: `tables` takes a list of plain values", "");
    items[0] = &null;
    assert_refused(u, &t.map, "shop.yaml:8", "target file: `tables` has an empty entry in its list", "");
}

static void test_a_long_value_is_shortened(void **state)
{
    setup *u = *state;
    char value[3000];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = 0;
    tree t = {0};
    add(&t, "path", "x");
    add(&t, "count", value);
    assert_int_equal(parse(u, &t.map), WB_E_CONFIG);
    assert_non_null(strstr(u->err.message, "vvv...` is not a whole number"));
    assert_true(strlen(u->err.message) < 130);
}

static void test_an_earlier_error_stays_as_it_is(void **state)
{
    setup *u = *state;
    tree t = {0};
    add(&t, "path", "x");
    add(&t, "fsnc", "each");
    wb_error_reset(&u->err);
    (void)wb_fail(&u->err, WB_E_NET, WB_RETRY, "first");
    assert_int_equal(wb_options_parse(table, &u->s, &t.map, NULL, "x", &u->arena, &u->err), WB_E_CONFIG);
    assert_string_equal(u->err.message, "first");
    assert_string_equal(u->err.hint, "");
    assert_int_equal(wb_options_parse(table, &u->s, &t.map, NULL, "x", &u->arena, NULL), WB_E_CONFIG);
}

static void test_no_memory(void **state)
{
    setup *u = *state;
    wb_arena small;
    wb_arena_init(&small, 64, 1);
    tree t = {0};
    add(&t, "path", "x");
    wb_error_reset(&u->err);
    assert_int_equal(wb_options_parse(table, &u->s, &t.map, NULL, "x", &small, &u->err), WB_E_NOMEM);
    wb_arena_fini(&small);
}

/* ---- secrets */

static void assert_unseen(const wb_error *e)
{
    assert_int_equal(e->code, WB_E_CONFIG);
    assert_null(strstr(e->message, "HUSH"));
    assert_null(strstr(e->hint, "HUSH"));
    assert_null(strstr(e->where, "HUSH"));
}

static void test_secrets_are_never_echoed(void **state)
{
    setup *u = *state;
    static const char *const keys[] = {"on", "count", "size", "fsync", "gap", "mode"};
    for (size_t i = 0; i < WB_COUNT(keys); i++) {
        /* came through ${...} */
        tree t = {0};
        add(&t, "path", "x");
        add(&t, keys[i], "9HUSH")->secret = true;
        assert_int_equal(parse(u, &t.map), WB_E_CONFIG);
        assert_unseen(&u->err);
        assert_non_null(strstr(u->err.message, keys[i]));
        /* the table says so */
        wb_option o = *option(keys[i]);
        o.flags |= WB_OPT_SECRET;
        wb_error_reset(&u->err);
        assert_int_equal(wb_option_set(&o, &u->s, "9HUSH", &u->arena, &u->err), WB_E_CONFIG);
        assert_unseen(&u->err);
        assert_non_null(strstr(u->err.message, keys[i]));
    }
    tree t = {0};
    add(&t, "path", "x");
    add(&t, "gap", "424242")->secret = true;
    assert_refused(u, &t.map, "shop.yaml:3", "target file: `gap` has no unit; write a unit: 10s", NULL);
    wb_option url = {.name = "wait", .type = WB_OPT_INT, .flags = WB_OPT_URL};
    wb_error_reset(&u->err);
    assert_int_equal(wb_option_set(&url, &u->s, "postgres://u:HUSH@h", &u->arena, &u->err), WB_E_CONFIG);
    assert_unseen(&u->err);
}

/* ---- printing */

static const char *printed(const wb_option *o, const void *ctx, wb_out *out)
{
    wb_out_reset(out);
    wb_option_print(o, ctx, out);
    wb_out_byte(out, 0);
    return out->p;
}

static void test_print_is_what_set_reads(void **state)
{
    setup *u = *state;
    static const struct {
        const char *name, *text, *want;
    } rows[] = {
        {"path", "a b.jsonl", NULL},  {"url", "postgres://u:p@h/d", "postgres://u:***@h/d"},
        {"password", "HUSH", "***"},  {"on", "yes", "true"},
        {"on", "OFF", "false"},       {"count", "7", NULL},
        {"size", "4096", "4kB"},      {"size", "32MB", NULL},
        {"size", "4097", NULL},       {"fsync", "1000ms", "1s"},
        {"fsync", "1500ms", NULL},    {"fsync", "1.5s", "1500ms"},
        {"fsync", "each", NULL},      {"gap", "90s", NULL},
        {"gap", "120s", "2m"},        {"gap", "0ms", "0s"},
        {"gap", "48h", "2d"},         {"mode", "mirror", NULL},
        {"tables", "[a, b.c]", NULL}, {"tables", "[]", NULL},
        {"tables", "one", "[one]"},   {"keys", "[HUSH, HUSH]", "[***, ***]"},
        {"extra", "text", NULL},
    };
    wb_out out = {0};
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        wb_error_reset(&u->err);
        assert_int_equal(wb_option_set(option(rows[i].name), &u->s, rows[i].text, &u->arena, &u->err), WB_OK);
        assert_string_equal(printed(option(rows[i].name), &u->s, &out), rows[i].want ? rows[i].want : rows[i].text);
    }
    wb_out_fini(&out);
}

static void test_print_a_tree_without_its_secrets(void **state)
{
    setup *u = *state;
    wb_node a = {.kind = WB_NODE_SCALAR, .text = "1"}, b = {.kind = WB_NODE_SCALAR, .text = "HUSH", .secret = true};
    const wb_node *items[] = {&a, &b};
    wb_node list = {.kind = WB_NODE_LIST, .n = 2, .items = items};
    wb_pair pairs[] = {{"a", 1, &a}, {"l", 1, &list}};
    wb_node map = {.kind = WB_NODE_MAP, .n = 2, .pairs = pairs};
    memset(&u->s, 0, sizeof u->s);
    wb_out out = {0};
    assert_string_equal(printed(option("extra"), &u->s, &out), "null");
    u->s.extra = &map;
    assert_string_equal(printed(option("extra"), &u->s, &out), "{a: 1, l: [1, ***]}");
    assert_string_equal(printed(option("path"), &u->s, &out), "");
    assert_string_equal(printed(option("mode"), &u->s, &out), ""); /* 0 is none of its values */
    wb_out_fini(&out);
}

/* ---- help */

static void test_help(void **state)
{
    WB_UNUSED(state);
    wb_out out = {0};
    wb_options_help(table, &out);
    wb_out_byte(&out, 0);
    static const char *const lines[] = {
        "  path: TEXT  (required)\n      where to write\n      Example: path: out.jsonl\n",
        "  url: URL\n      which server\n",
        "  on: true | false  (default yes)\n",
        "  count: NUMBER  (default 5)\n      how many\n      From 1 to 10.\n",
        "      At least 4kB.\n",
        "  fsync: DURATION | each | off  (default 50ms)\n",
        "        each       after every batch\n",
        "  mode: mirror | log  (default log)\n",
        "      Example:\n        tables:\n          - public.*\n          - other.*\n",
    };
    for (size_t i = 0; i < WB_COUNT(lines); i++)
        if (!strstr(out.p, lines[i])) fail_msg("no %s in\n%s", lines[i], out.p);
    for (const char *line = out.p; *line;) {
        size_t n = strcspn(line, "\n");
        assert_true(n <= 80);
        line += n + (line[n] == '\n');
    }
    wb_out_reset(&out);
    wb_options_help(NULL, &out);
    assert_memory_equal(out.p, "  It has no options.\n", out.len);
    wb_out_fini(&out);
}

static void test_markdown(void **state)
{
    WB_UNUSED(state);
    wb_out out = {0};
    wb_options_markdown(table, &out);
    wb_out_byte(&out, 0);
    static const char *const lines[] = {
        "| option | value | default | meaning |\n|---|---|---|---|\n",
        "| `path` | TEXT | required | where to write. Example: `path: out.jsonl` |\n",
        "| `count` | NUMBER | `5` | how many. From 1 to 10. |\n",
        "| `fsync` | DURATION \\| each \\| off | `50ms` | when to sync. From 1ms to 10s. `each`: after every batch. "
        "`off`: "
        "never. |\n",
        "| which \\| tables. |\n",
        "\n`tables`, for example:\n\n```yaml\ntables:\n  - public.*\n  - other.*\n```\n",
    };
    for (size_t i = 0; i < WB_COUNT(lines); i++)
        if (!strstr(out.p, lines[i])) fail_msg("no %s in\n%s", lines[i], out.p);
    wb_out_fini(&out);
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        WITH(test_defaults),
        WITH(test_values),
        WITH(test_a_list),
        WITH(test_null_means_absent),
        WITH(test_no_map_at_all),
        WITH(test_required),
        WITH(test_unknown_and_repeated_keys),
        WITH(test_wrong_values),
        WITH(test_wrong_shapes),
        WITH(test_a_long_value_is_shortened),
        WITH(test_an_earlier_error_stays_as_it_is),
        WITH(test_no_memory),
        WITH(test_secrets_are_never_echoed),
        WITH(test_print_is_what_set_reads),
        WITH(test_print_a_tree_without_its_secrets),
        WITH(test_help),
        WITH(test_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

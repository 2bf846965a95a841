/* Pipeline files: what is read, and how each mistake is said, with file, line and the nearest known name. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

#include "core/config.h"
#include "core/registry.h"
#include "transforms/operations.h"

/* ---------------------------------------------------------------- a source and a target with known options */

typedef struct demo_ctx {
    const char *url, *password, *path;
    int64_t size, wait_ms;
    int mode;
    wb_list tables;
} demo_ctx;
static const wb_choice modes[] = {{"initial", 0, ""}, {"never", 1, ""}, {0}};
#define AT(f) offsetof(demo_ctx, f)
static const wb_option source_options[] = {
    {.name = "url", .type = WB_OPT_STRING, .offset = AT(url), .flags = WB_OPT_REQUIRED | WB_OPT_URL, .brief = "where"},
    {.name = "password", .type = WB_OPT_STRING, .offset = AT(password), .flags = WB_OPT_SECRET, .brief = "secret"},
    {.name = "tables", .type = WB_OPT_LIST, .offset = AT(tables), .brief = "which"},
    {.name = "snapshot", .type = WB_OPT_ENUM, .offset = AT(mode), .def = "initial", .choices = modes, .brief = "how"},
    {0},
};
static const wb_option target_options[] = {
    {.name = "path", .type = WB_OPT_STRING, .offset = AT(path), .flags = WB_OPT_REQUIRED, .brief = "file"},
    {.name = "size", .type = WB_OPT_SIZE, .offset = AT(size), .def = "1MB", .brief = "how much"},
    {.name = "wait", .type = WB_OPT_MSEC, .offset = AT(wait_ms), .def = "1s", .brief = "how long"},
    {0},
};
static const wb_source demo_source = {
    .head = {WB_SOURCE, "demo_source", "for tests", source_options, sizeof(demo_ctx), NULL}};
static const wb_target demo_target = {
    .head = {WB_TARGET, "demo_target", "for tests", target_options, sizeof(demo_ctx), NULL}};

static char folder[] = "config-test-XXXXXX";

static int setup(void **state)
{
    (void)state;
    wb_registry_add(&demo_source.head);
    wb_registry_add(&demo_target.head);
    setenv("WB_TEST_SECRET", "hunter2", 1);
    setenv("WB_TEST_EMPTY", "", 1);
    unsetenv("WB_TEST_UNSET");
    return mkdtemp(folder) ? 0 : -1;
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text, size_t n)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
}

static int teardown(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static wb_config *good(const char *text)
{
    wb_error err = {0};
    wb_config *c = NULL;
    if (wb_config_parse(text, strlen(text), "t.yaml", folder, &c, &err) != WB_OK)
        fail_msg("%s: %s %s", err.where, err.message, err.hint);
    return c;
}

#define SRC "source: {type: demo_source, url: 'x://h'}\n"
#define TGT "targets: [{type: demo_target, path: a}]\n"

/* ---------------------------------------------------------------- what is read */

static void test_whole_file(void **state)
{
    (void)state;
    wb_config *c =
        good("name: shop\nmemory: 64MB\npatience: 5s\nhold_action: stop\ndead_letters: dead.jsonl\n"
             "source:\n  type: demo_source\n  url: x://h\n  tables: [public.*, \"!public.audit_*\"]\n"
             "transforms:\n  - mask: {columns: [\"*.email\"], with: sha256}\n  - filter: {operations: [insert]}\n"
             "targets:\n  - {type: demo_target, path: a, size: 2MB}\n"
             "  - {type: demo_target, name: mirror, path: b, operations: [insert, delete], tables: public.users,\n"
             "     columns: [\"!*.password\"], start: now}\n");
    assert_string_equal(c->engine.name, "shop");
    assert_int_equal(c->engine.memory, 64 << 20);
    assert_int_equal(c->engine.patience_ms, 5000);
    assert_int_equal(c->engine.hold_action, 1);
    assert_int_equal(c->engine.hold, 10LL << 30);
    assert_string_equal(c->engine.dead_letters, "dead.jsonl");
    assert_non_null(strstr(c->state_dir, "/shop.state"));
    assert_int_equal(c->state_dir[0], '/');
    const demo_ctx *s = c->source_ctx;
    assert_string_equal(s->url, "x://h");
    assert_int_equal(s->tables.n, 2);
    assert_int_equal(c->ntransforms, 2);
    assert_string_equal(c->transforms[0].plugin->head.name, "mask");
    assert_int_equal(c->ntargets, 2);
    assert_string_equal(c->targets[0].name, "demo_target");
    assert_int_equal(((const demo_ctx *)c->targets[0].ctx)->size, 2 << 20);
    assert_int_equal(((const demo_ctx *)c->targets[0].ctx)->wait_ms, 1000);
    assert_null(c->targets[0].select.tables);
    assert_int_equal(c->targets[0].select.operations, (1u << WB_OPS) - 1);
    const wb_target_config *m = &c->targets[1];
    assert_string_equal(m->name, "mirror");
    assert_int_equal(m->start, WB_START_NOW);
    assert_int_equal(m->select.operations, 1u << WB_INSERT | 1u << WB_READ | 1u << WB_DELETE);
    assert_true(wb_patterns_match(m->select.tables, WB_STR("public"), WB_STR("users")));
    assert_false(wb_patterns_match(m->select.tables, WB_STR("public"), WB_STR("orders")));
    assert_false(wb_patterns_match_column(m->select.columns, WB_STR("a"), WB_STR("b"), WB_STR("password")));
    wb_config_free(c);
}

static void test_defaults(void **state)
{
    (void)state;
    wb_config *c = good(SRC "targets: {type: demo_target, path: a}\n"); /* one target needs no list */
    assert_string_equal(c->engine.name, "pipeline");
    assert_int_equal(c->engine.memory, 32 << 20);
    assert_int_equal(c->engine.grace_ms, 30000);
    assert_int_equal(c->ntargets, 1);
    assert_int_equal(c->targets[0].start, WB_START_UNSET);
    wb_config_free(c);
}

static void test_file_names_the_pipeline(void **state)
{
    (void)state;
    wb_error err = {0};
    wb_config *c = NULL;
    put("my-shop.yaml", SRC TGT, strlen(SRC TGT));
    assert_int_equal(wb_config_load(path_of("my-shop.yaml"), &c, &err), WB_OK);
    assert_string_equal(c->engine.name, "my-shop");
    assert_non_null(strstr(c->state_dir, "/my-shop.state"));
    assert_true(strlen(c->dir) >= strlen(folder));
    assert_string_equal(c->dir + strlen(c->dir) - strlen(folder), folder);
    wb_config_free(c);
    put("my shop.yaml", SRC TGT, strlen(SRC TGT));
    assert_int_equal(wb_config_load(path_of("my shop.yaml"), &c, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "cannot be the pipeline's name"));
    wb_error_reset(&err);
    assert_int_equal(wb_config_load(path_of("none.yaml"), &c, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "none.yaml"));
    wb_error_reset(&err);
    assert_int_equal(wb_config_load(folder, &c, &err), WB_E_CONFIG); /* a folder */
    assert_null(c);
}

static const char *password_with(const char *value, wb_config **out)
{
    char text[2000];
    snprintf(text, sizeof text, "source:\n  type: demo_source\n  url: x://h\n  password: %s\n" TGT, value);
    *out = good(text);
    return ((const demo_ctx *)(*out)->source_ctx)->password;
}

static void test_substitution(void **state)
{
    (void)state;
    put("secret", "s3cret\n", 7);
    put("crlf", "s3cret\r\n", 8);
    static const struct {
        const char *written, *read;
        bool secret;
    } all[] = {
        {"\"${WB_TEST_SECRET}\"", "hunter2", true},
        {"${WB_TEST_SECRET}", "hunter2", true},
        {"a${WB_TEST_SECRET}b${WB_TEST_SECRET}", "ahunter2bhunter2", true},
        {"\"${WB_TEST_UNSET:-fall back}\"", "fall back", true},
        {"\"${WB_TEST_EMPTY:-fall}\"", "fall", true},
        {"\"${WB_TEST_EMPTY}\"", "", true},
        {"${WB_TEST_EMPTY}", "", true}, /* empty, not null */
        {"\"${WB_TEST_UNSET:-}\"", "", true},
        {"\"${file:secret}\"", "s3cret", true},
        {"\"${file:crlf}\"", "s3cret", true},
        {"\"${schema}.${table}\"", "${schema}.${table}", false}, /* words of templates stay */
        {"\"$${WB_TEST_SECRET}\"", "${WB_TEST_SECRET}", false},
        {"\"$1 $$ $\"", "$1 $$ $", false},
    };
    for (size_t i = 0; i < WB_COUNT(all); i++) {
        wb_config *c;
        assert_string_equal(password_with(all[i].written, &c), all[i].read);
        assert_int_equal(wb_node_get(c->source_node, "password")->secret, all[i].secret);
        wb_config_free(c);
    }
}

/* What lies in examples/ can be read by what is built here. */
static void test_examples(void **state)
{
    (void)state;
    static const char *const names[] = {"shop-to-sqlite", "shop-to-file", "audit-log", "masked", "shop-to-rabbitmq"};
    for (size_t i = 0; i < WB_COUNT(names) && wb_find_source("postgres"); i++) {
        char path[100];
        wb_error err = {0};
        wb_config *c = NULL;
        snprintf(path, sizeof path, "examples/%s.yaml", names[i]);
        if (wb_config_load(path, &c, &err) != WB_OK) fail_msg("%s: %s %s", err.where, err.message, err.hint);
        assert_true(c->ntargets > 0);
        wb_config_free(c);
    }
}

/* ---------------------------------------------------------------- mistakes */

static const struct mistake {
    const char *text, *where, *message, *hint;
} mistakes[] = {
    {"", "t.yaml:1:1", "empty", ""},
    {"# only a comment\n", "t.yaml:1:1", "empty", ""},
    {"- a\n", "t.yaml:1", "begins with keys", ""},
    {"source: {type: demo_source, url: x}\ntargets: ]\n", "t.yaml:2:10", "value should come", ""},
    {"a: [1, 2\n", "t.yaml:2:1", "not closed", ""},
    {"a: {b: 1\n", "t.yaml:2:1", "not closed", ""},
    {"a: \"never closed\n", "t.yaml:", "never closed", ""},
    {"a: b: c\n", "t.yaml:1:5", "colon", "indentation"},
    {"source:\n\ttype: demo_source\n", "t.yaml:2:1", "tab", "spaces"},
    {SRC TGT "---\nname: x\n", "t.yaml:3:1", "second YAML document", "file of its own"},
    {"a: &x 1\n", "t.yaml:1:4", "Anchors", ""},
    {"name: *x\n", "t.yaml:1:7", "alias", "quotes"},
    {"a: [*.email]\n", "t.yaml:1", "alias", "quotes"},
    {"a: !public.audit\n", "t.yaml:1:4", "tag", "quotes"},
    {"a: !!str x\n", "t.yaml:1:4", "tag", "quotes"},
    {"{a: 1}: x\n", "t.yaml:1:1", "key must be", ""},
    {"name: a\nname: b\n", "t.yaml:2", "\"name\" is there twice; the first is in line 1", ""},
    {"source:\n  url: a\n  type: b\n  url: c\n", "t.yaml:4", "\"url\" is there twice", ""},
    {"name: \"a\\0b\"\n", "t.yaml:1:7", "NUL", ""},
    {"name: \"\\q\"\n", "t.yaml:1:8", "backslash", "quotes"},
    {"nmae: x\n" SRC TGT, "t.yaml:1", "nmae", "`name`"},
    {"target: x\n" SRC TGT, "t.yaml:1", "target", "`targets`"},
    {SRC "memory: 1kB\n" TGT, "t.yaml:2", "memory", ""},
    {SRC "memory: lots\n" TGT, "t.yaml:2", "memory", ""},
    {SRC "grace: 5\n" TGT, "t.yaml:2", "grace", ""},
    {SRC "patience: 5 parsecs\n" TGT, "t.yaml:2", "patience", ""},
    {SRC "hold_action: stpo\n" TGT, "t.yaml:2", "hold_action", "`stop`"},
    {SRC "backoff_min: 10s\nbackoff_max: 1s\n" TGT, "t.yaml:2", "longer than backoff_max", ""},
    {SRC "name: my shop\n" TGT, "t.yaml:2", "not allowed", ""},
    {SRC "name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" TGT, "t.yaml:2", "not allowed", ""},
    {SRC "state: ''\n" TGT, "t.yaml:2", "no folder", ""},
    {TGT, "t.yaml:1", "no \"source\"", "source:"},
    {SRC, "t.yaml:1", "no \"targets\"", "targets:"},
    {SRC "targets: []\n", "t.yaml:2", "no \"targets\"", ""},
    {SRC "targets: demo_target\n", "t.yaml:2", "list of maps", ""},
    {SRC "targets: [demo_target]\n", "t.yaml:2", "begins with \"type:\"", ""},
    {"source: demo_source\n" TGT, "t.yaml:1", "begins with \"type:\"", ""},
    {"source:\n  url: x\n" TGT, "t.yaml:2", "no \"type\"", "walbrook help source"},
    {"source:\n  type: [a]\n" TGT, "t.yaml:2", "one word", ""},
    {"source:\n  type: demo_sourec\n" TGT, "t.yaml:2", "no source \"demo_sourec\"", "\"demo_source\""},
    {"source:\n  type: xyz\n" TGT, "t.yaml:2", "no source \"xyz\"", "walbrook help source"},
    {"source:\n  type: mongodb\n" TGT, "t.yaml:2", "does not have source mongodb", ""},
    {"source: {type: demo_source}\n" TGT, "t.yaml:1", "url", ""},
    {"source:\n  type: demo_source\n  url: x\n  tabels: [a]\n" TGT, "t.yaml:4", "tabels", "`tables`"},
    {"source:\n  type: demo_source\n  url: x\n  snapshot: inital\n" TGT, "t.yaml:4", "snapshot", "`initial`"},
    {SRC "targets:\n  - type: delta\n", "t.yaml:3", "does not have target delta", "walbrook help target"},
    {SRC "targets:\n  - type: demo_targte\n", "t.yaml:3", "no target", "\"demo_target\""},
    {SRC "targets:\n  - {type: demo_target}\n", "t.yaml:3", "path", ""},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    szie: 1MB\n", "t.yaml:5", "szie", "`size`"},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    operatons: [insert]\n", "t.yaml:5", "operatons",
     "`operations`"},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    operations: [inserts]\n", "t.yaml:5", "inserts",
     "\"insert\""},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    tables: [a.b.c]\n", "t.yaml:5", "schema.table", ""},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    columns: [a..c]\n", "t.yaml:5", "a..c", ""},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    start: nwo\n", "t.yaml:5", "start", ""},
    {SRC "targets:\n  - type: demo_target\n    path: a\n    wait: 3\n", "t.yaml:5", "wait", ""},
    {SRC "targets:\n  - {type: demo_target, path: a}\n  - {type: demo_target, path: b}\n", "t.yaml:4",
     "Two targets have the name \"demo_target\"; the first is in line 3", "name:"},
    {SRC "targets:\n  - {type: demo_target, path: a, name: a b}\n", "t.yaml:3", "not allowed", ""},
    {SRC "transforms: {mask: {columns: a}}\n" TGT, "t.yaml:2", "is a list", ""},
    {SRC "transforms:\n  - {mask: {columns: a}, filter: {tables: a}}\n" TGT, "t.yaml:3", "one key", ""},
    {SRC "transforms:\n  - filtre: {}\n" TGT, "t.yaml:3", "filtre", "\"filter\""},
    {SRC "transforms:\n  - mask: [a]\n" TGT, "t.yaml:3", "map of options", ""},
    {SRC "transforms:\n  - mask: {}\n" TGT, "t.yaml:3", "columns", ""},
    {SRC "transforms:\n  - mask\n" TGT, "t.yaml:3", "columns", ""},
    {SRC "transforms:\n  - mask:\n      columns: [a]\n      with: sha265\n" TGT, "t.yaml:5", "sha265", "`sha256`"},
    {SRC "transforms:\n  - filter: {operations: [inserts]}\n" TGT, "t.yaml:3", "inserts", "\"insert\""},
    {SRC "transforms:\n  - filter:\n      where: {column: a, op: '=', vlaue: 1}\n" TGT, "t.yaml:4", "vlaue",
     "\"value\""},
    {SRC "transforms:\n  - route: {to: '${tabel}'}\n" TGT, "t.yaml:3", "${tabel}", "${table}"},
    {"source:\n  type: demo_source\n  url: ${WB_TEST_UNSET}\n" TGT, "t.yaml:3", "WB_TEST_UNSET is not set", ":-value"},
    {"source:\n  type: demo_source\n  url: ${Wrong}\n" TGT, "t.yaml:3", "${Wrong} is not understood", "$${"},
    {"source:\n  type: demo_source\n  url: ${A:x}\n" TGT, "t.yaml:3", "not understood", ""},
    {"source:\n  type: demo_source\n  url: '${A'\n" TGT, "t.yaml:3", "never closed", "$${"},
    {"source:\n  type: demo_source\n  url: '${file:/no/such/secret}'\n" TGT, "t.yaml:3", "/no/such/secret", "relative"},
    {"source:\n  type: demo_source\n  url: '${file:}'\n" TGT, "t.yaml:3", "path of a file", ""},
    {"source:\n  type: demo_source\n  url: '${file:binary}'\n" TGT, "t.yaml:3", "NUL", ""},
};

static void test_mistakes(void **state)
{
    (void)state;
    put("binary", "a\0b", 3);
    for (size_t i = 0; i < WB_COUNT(mistakes); i++) {
        const struct mistake *m = &mistakes[i];
        wb_error err = {0};
        wb_config *c = NULL;
        if (wb_config_parse(m->text, strlen(m->text), "t.yaml", folder, &c, &err) != WB_E_CONFIG || c)
            fail_msg("not refused: %s", m->text);
        size_t n = strlen(m->where);
        bool at =
            strncmp(err.where, m->where, n) == 0 && (m->where[n - 1] == ':' || !err.where[n] || err.where[n] == ':');
        if (!at || !strstr(err.message, m->message) || !strstr(err.hint, m->hint))
            fail_msg("%s\nexpected %s | %s | %s\ngot      %s | %s | %s", m->text, m->where, m->message, m->hint,
                     err.where, err.message, err.hint);
        assert_null(strstr(err.message, "hunter2"));
    }
}

static void test_secrets_in_wrong_places(void **state)
{
    (void)state;
    static const char *const texts[] = {
        SRC "memory: ${WB_TEST_SECRET}\n" TGT,
        SRC "hold_action: ${WB_TEST_SECRET}\n" TGT,
        SRC "name: a ${WB_TEST_SECRET}\n" TGT,
        "source: {type: '${WB_TEST_SECRET}'}\n" TGT,
        SRC "targets: [{type: demo_target, path: a, name: 'a ${WB_TEST_SECRET}'}]\n",
        SRC "targets: [{type: demo_target, path: a, operations: ['${WB_TEST_SECRET}']}]\n",
        SRC "targets: [{type: demo_target, path: a, tables: ['${WB_TEST_SECRET}.a.b.c.d']}]\n",
        SRC "transforms: ['${WB_TEST_SECRET}']\n" TGT,
        SRC "transforms: [{filter: {where: {column: a, op: '${WB_TEST_SECRET}', value: 1}}}]\n" TGT,
        SRC "transforms: [{add_columns: {columns: {a: '${WB_TEST_SECRET}'}}}]\n" TGT,
        SRC "transforms: [{route: {to: '$${${WB_TEST_SECRET}}'}}]\n" TGT,
    };
    for (size_t i = 0; i < WB_COUNT(texts); i++) {
        wb_error err = {0};
        wb_config *c = NULL;
        assert_int_equal(wb_config_parse(texts[i], strlen(texts[i]), "t.yaml", folder, &c, &err), WB_E_CONFIG);
        if (strstr(err.message, "hunter2") || strstr(err.hint, "hunter2") || strstr(err.where, "hunter2"))
            fail_msg("%s\n%s: %s %s", texts[i], err.where, err.message, err.hint);
    }
}

/* ---------------------------------------------------------------- bytes and sizes */

static wb_code parse_bytes(const char *p, size_t n, wb_error *err)
{
    wb_config *c = NULL;
    wb_code code = wb_config_parse(p, n, "t.yaml", folder, &c, err);
    wb_config_free(c);
    return code;
}

static void test_bytes(void **state)
{
    (void)state;
    wb_error err = {0};
    assert_int_equal(parse_bytes("a: 1\nb\0: 2\n", 12, &err), WB_E_CONFIG);
    assert_string_equal(err.where, "t.yaml:2:1");
    wb_error_reset(&err);
    assert_int_equal(parse_bytes("a: 1\nb: \xff\xfe\n", 11, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "UTF-8"));
    assert_non_null(strstr(err.where, "t.yaml:2:"));
    wb_error_reset(&err);
    size_t n = (1 << 20) + 1;
    char *big = malloc(n);
    memset(big, ' ', n);
    assert_int_equal(parse_bytes(big, n, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "1 MB"));
    memset(big, '[', n - 1);
    memcpy(big, "a: ", 3);
    wb_error_reset(&err);
    assert_int_equal(parse_bytes(big, 1000, &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "nested too deeply"));
    free(big);
}

/* A path longer than the error has room for keeps its end and the line. */
static void test_long_path(void **state)
{
    (void)state;
    char file[300];
    memset(file, 'd', sizeof file);
    memcpy(file + sizeof file - 11, "/shop.yaml", 11);
    for (int i = 0; i < 2; i++) {
        wb_error err = {0};
        wb_config *c = NULL;
        const char *text = i ? "a: b: c\n" : "nmae: x\n" SRC TGT;
        assert_int_equal(wb_config_parse(text, strlen(text), file, folder, &c, &err), WB_E_CONFIG);
        assert_non_null(strstr(err.where, i ? "/shop.yaml:1:5" : "/shop.yaml:1"));
    }
}

static void test_too_many(void **state)
{
    (void)state;
    char text[8000] = SRC "targets:\n";
    for (int i = 0; i < 65; i++) {
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "  - {type: demo_target, path: a, name: t%d}\n", i);
    }
    wb_error err = {0};
    assert_int_equal(parse_bytes(text, strlen(text), &err), WB_E_CONFIG);
    assert_non_null(strstr(err.message, "at most 64"));
}

/* ---------------------------------------------------------------- registry */

static void test_registry(void **state)
{
    (void)state;
    assert_ptr_equal(wb_find_source("demo_source"), &demo_source);
    assert_null(wb_find_source("demo_target"));
    assert_null(wb_find_target("none"));
    for (int kind = WB_SOURCE; kind <= WB_TRANSFORM; kind++) {
        size_t n = 0;
        for (const wb_plugin *p; (p = wb_plugin_at((wb_plugin_kind)kind, n)); n++) {
            assert_int_equal(p->kind, kind);
            assert_string_equal(wb_plugin_names((wb_plugin_kind)kind)[n], p->name);
            assert_null(wb_plugin_absent((wb_plugin_kind)kind, p->name));
        }
        assert_null(wb_plugin_names((wb_plugin_kind)kind)[n]);
        assert_true(n > 0);
    }
    assert_non_null(strstr(wb_plugin_absent(WB_TARGET, "delta"), "does not have target delta"));
    assert_null(wb_plugin_absent(WB_TARGET, "nonsense"));
}

static void test_operation_words(void **state)
{
    (void)state;
    uint32_t mask = 0;
    assert_int_equal(wb_operations_parse(&(wb_list){0}, &mask, NULL), WB_OK);
    assert_int_equal(mask, (1u << WB_OPS) - 1);
    const char *items[] = {"ddl", "message"};
    assert_int_equal(wb_operations_parse(&(wb_list){2, items}, &mask, NULL), WB_OK);
    assert_int_equal(mask, 1u << WB_DDL | 1u << WB_MESSAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_file_names_the_pipeline),
        cmocka_unit_test(test_substitution),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_secrets_in_wrong_places),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_registry),
        cmocka_unit_test(test_operation_words),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

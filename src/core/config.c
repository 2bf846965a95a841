/* config.c: a pipeline file to parsed option structs. Called by pipeline.c (wb_pipeline_load, wb_pipeline_parse).
 * YAML is yaml.c's, ${...} subst.c's, values base/options'; here is the file's own shape. */
#include "core/config.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/io.h"
#include "base/options.h"
#include "core/config_options.h"
#include "core/registry.h"
#include "core/yaml.h"
#include "transforms/operations.h"

enum { NAME_LEN = 40, TARGETS_MAX = 64, TRANSFORMS_MAX = 256 };

static const char *const kind_words[] = {"source", "target", "format", "transform"};

static wb_code no_memory(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_NEVER, "There is not enough memory to read the pipeline file.");
}

/* Memory that belongs to the configuration, zeroed; NULL without memory, whatever the size. */
static void *room(wb_config *c, size_t bytes)
{
    void *p = wb_arena_zalloc(&c->arena, bytes ? bytes : 1);
    return c->arena.failed ? NULL : p;
}

static bool good_name(const char *z)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t n = strspn(z, allowed);
    return n > 0 && n <= NAME_LEN && z[n] == 0;
}

/* The error's place, when what failed has not given a better one. */
static wb_code placed(const wb_node *n, wb_code code, wb_error *err)
{
    if (code && err && !err->where[0] && n && n->file) {
        wb_error at = {0};
        (void)wb_node_fail(n, &at, "%s", "");
        wb_error_where(err, "%s", at.where);
    }
    return code;
}

/* A plugin that is not there: absent with its reason, else the nearest name. */
static wb_code unknown_plugin(wb_plugin_kind kind, const char *name, const wb_node *n, wb_error *err)
{
    const char *absent = wb_plugin_absent(kind, name);
    wb_code code;
    if (absent) {
        code = wb_node_fail(n, err, "%s", absent);
        wb_hint(err, "\"walbrook help %s\" lists what there is.", kind_words[kind]);
        return code;
    }
    const char *near = wb_nearest(name, wb_plugin_names(kind));
    code = wb_node_fail(n, err, "There is no %s \"%.60s\".", kind_words[kind], name);
    if (near)
        wb_hint(err, "Did you mean \"%s\"?", near);
    else
        wb_hint(err, "\"walbrook help %s\" lists what there is.", kind_words[kind]);
    return code;
}

/* The text of `type:` in a source or target. */
static wb_code type_of(const wb_node *n, wb_plugin_kind kind, const char **out, wb_error *err)
{
    const char *word = kind_words[kind];
    if (n->kind != WB_NODE_MAP) return wb_node_fail(n, err, "A %s is a map that begins with \"type:\".", word);
    const wb_node *type = wb_node_get(n, "type");
    if (wb_node_null(type)) {
        wb_code code = wb_node_fail(n, err, "This %s has no \"type\".", word);
        wb_hint(err, "\"walbrook help %s\" lists the types there are.", word);
        return code;
    }
    if (type->kind != WB_NODE_SCALAR) return wb_node_fail(type, err, "The type of a %s is one word.", word);
    *out = type->text;
    return WB_OK;
}

static wb_code read_source(wb_config *c, wb_error *err)
{
    const wb_node *n = wb_node_get(c->root, "source");
    const char *type;
    if (wb_node_null(n)) {
        wb_code code = wb_node_fail(c->root, err, "The file has no \"source\".");
        wb_hint(err, "Add \"source: {type: postgres, url: ...}\".");
        return code;
    }
    wb_code code = type_of(n, WB_SOURCE, &type, err);
    if (code) return code;
    c->source = wb_find_source(type);
    c->source_node = n;
    if (!c->source) return unknown_plugin(WB_SOURCE, type, wb_node_get(n, "type"), err);
    static const char *const skip[] = {"type", NULL};
    c->source_ctx = room(c, c->source->head.ctx_size);
    if (!c->source_ctx) return no_memory(err);
    const char *what = wb_arena_printf(&c->arena, "source %s", c->source->head.name);
    return placed(n, wb_options_parse(c->source->head.options, c->source_ctx, n, skip, what, &c->arena, err), err);
}

/* ---------------------------------------------------------------- transforms */

static wb_code read_transform(wb_config *c, const wb_node *n, wb_transform_config *t, wb_error *err)
{
    const char *name = NULL;
    const wb_node *options = NULL;
    if (n->kind == WB_NODE_SCALAR && !wb_node_null(n)) {
        name = n->text;
    } else if (n->kind == WB_NODE_MAP && n->n == 1) {
        name = n->pairs[0].key;
        options = n->pairs[0].value;
    } else {
        wb_code code = wb_node_fail(n, err, "A transform is a map with one key, its name.");
        wb_hint(err, "Write \"- mask: {columns: [...]}\", one transform an item.");
        return code;
    }
    t->plugin = wb_find_transform(name);
    t->node = n;
    if (!t->plugin) return unknown_plugin(WB_TRANSFORM, name, n, err);
    if (options && options->kind != WB_NODE_MAP && !wb_node_null(options))
        return wb_node_fail(options, err, "Transform %s takes a map of options.", name);
    if (options && wb_node_null(options)) options = NULL;
    t->ctx = room(c, t->plugin->head.ctx_size);
    if (!t->ctx) return no_memory(err);
    const char *what = wb_arena_printf(&c->arena, "transform %s", t->plugin->head.name);
    wb_code code = wb_options_parse(t->plugin->head.options, t->ctx, options, NULL, what, &c->arena, err);
    if (code) return placed(n, code, err);
    if (t->plugin->named) t->plugin->named(t->ctx, c->engine.name);
    /* Opening is how a transform reads its options: mistakes belong to the file, not to the first run. */
    if (t->plugin->open) code = t->plugin->open(t->ctx, err);
    if (t->plugin->close) t->plugin->close(t->ctx);
    return placed(n, code, err);
}

static wb_code read_transforms(wb_config *c, wb_error *err)
{
    const wb_node *n = wb_node_get(c->root, "transforms");
    if (wb_node_null(n)) return WB_OK;
    if (n->kind != WB_NODE_LIST) {
        wb_code code = wb_node_fail(n, err, "\"transforms\" is a list: the steps, in their order.");
        wb_hint(err, "Write \"- mask: {columns: [...]}\", one transform an item.");
        return code;
    }
    if (n->n > TRANSFORMS_MAX) return wb_node_fail(n, err, "A pipeline has at most %d transforms.", TRANSFORMS_MAX);
    c->transforms = room(c, n->n * sizeof *c->transforms);
    if (!c->transforms) return no_memory(err);
    for (size_t i = 0; i < n->n; i++) {
        wb_code code = read_transform(c, n->items[i], &c->transforms[i], err);
        if (code) return code;
        c->ntransforms++;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- targets */

static const char *const target_keys[] = {"type", "name", "tables", "operations", "columns", "start", NULL};

/* A map with only the keys that the engine reads. */
static const wb_node *engine_part(wb_config *c, const wb_node *n)
{
    wb_node *part = room(c, sizeof *part);
    if (!part) return NULL;
    *part = *n;
    part->n = 0;
    part->pairs = room(c, n->n * sizeof *part->pairs);
    if (!part->pairs) return NULL;
    for (size_t i = 0; i < n->n; i++)
        for (size_t k = 1; target_keys[k]; k++)
            if (strcmp(n->pairs[i].key, target_keys[k]) == 0) part->pairs[part->n++] = n->pairs[i];
    return part;
}

static wb_code read_selection(wb_config *c, wb_target_config *t, const char *what, wb_error *err)
{
    wb_selection_options o = {0};
    const wb_node *part = engine_part(c, t->node);
    if (!part) return no_memory(err);
    wb_code code = wb_options_parse(wb_selection_option_table, &o, part, NULL, what, &c->arena, err);
    if (code) return placed(part, code, err);
    t->name = o.name ? o.name : t->plugin->head.name;
    t->start = (wb_start)o.start;
    code = wb_patterns_new(&o.tables, &c->arena, &t->select.tables, err);
    if (code) return placed(wb_node_get(part, "tables"), code, err);
    if (wb_patterns_parts(t->select.tables) > 2)
        return wb_node_fail(wb_node_get(part, "tables"), err, "A table pattern is \"table\" or \"schema.table\".");
    code = wb_patterns_new(&o.columns, &c->arena, &t->select.columns, err);
    if (code) return placed(wb_node_get(part, "columns"), code, err);
    code = wb_operations_parse(&o.operations, &t->select.operations, err);
    return placed(wb_node_get(part, "operations"), code, err);
}

static wb_code refuse_same_name(const wb_config *c, const wb_target_config *t, wb_error *err)
{
    const wb_node *at = wb_node_get(t->node, "name");
    if (!at) at = t->node;
    if (!good_name(t->name))
        return wb_node_fail(at, err, "The target's name \"%.60s\" is not allowed: letters, digits, _ and -, 1 to %d.",
                            t->name, NAME_LEN);
    for (const wb_target_config *o = c->targets; o < t; o++) {
        if (strcmp(o->name, t->name) != 0) continue;
        wb_code code =
            wb_node_fail(at, err, "Two targets have the name \"%s\"; the first is in line %d.", t->name, o->node->line);
        wb_hint(err, "Give one of them a \"name:\" of its own.");
        return code;
    }
    return WB_OK;
}

/* Targets read `format` and its options when they open; mistakes belong to the file. */
static wb_code look_at_format(wb_config *c, const wb_target_config *t, wb_error *err)
{
    const wb_option *o = t->plugin->head.options;
    while (o && o->name && strcmp(o->name, "format") != 0) o++;
    if (!o || !o->name) return WB_OK;
    const wb_node *at = wb_node_get(t->node, "format"), *options = wb_node_get(t->node, "format_options");
    const char *name = at && at->kind == WB_NODE_SCALAR && !wb_node_null(at) ? at->text : o->def;
    const wb_format *format = name ? wb_find_format(name) : NULL;
    if (!format) return name ? unknown_plugin(WB_FORMAT, name, at ? at : t->node, err) : WB_OK;
    void *ctx = room(c, format->head.ctx_size);
    if (!ctx) return no_memory(err);
    const char *what = wb_arena_printf(&c->arena, "format %s", format->head.name);
    wb_code code = wb_options_parse(format->head.options, ctx, options, NULL, what, &c->arena, err);
    return placed(options ? options : t->node, code, err);
}

static wb_code read_target(wb_config *c, const wb_node *n, wb_target_config *t, wb_error *err)
{
    const char *type;
    wb_code code = type_of(n, WB_TARGET, &type, err);
    if (code) return code;
    t->node = n;
    t->plugin = wb_find_target(type);
    if (!t->plugin) return unknown_plugin(WB_TARGET, type, wb_node_get(n, "type"), err);
    const wb_node *name = wb_node_get(n, "name");
    bool named = name && name->kind == WB_NODE_SCALAR && !wb_node_null(name) && good_name(name->text);
    const char *what = wb_arena_printf(&c->arena, "target %s", named ? name->text : t->plugin->head.name);
    if ((code = read_selection(c, t, what, err))) return code;
    if ((code = refuse_same_name(c, t, err))) return code;
    t->ctx = room(c, t->plugin->head.ctx_size);
    if (!t->ctx) return no_memory(err);
    code = wb_options_parse(t->plugin->head.options, t->ctx, n, target_keys, what, &c->arena, err);
    return code ? placed(n, code, err) : look_at_format(c, t, err);
}

static wb_code read_targets(wb_config *c, wb_error *err)
{
    const wb_node *n = wb_node_get(c->root, "targets");
    if (wb_node_null(n) || (n->kind == WB_NODE_LIST && n->n == 0)) {
        wb_code code = wb_node_fail(n ? n : c->root, err, "The file has no \"targets\".");
        wb_hint(err, "Add \"targets: [{type: file, path: changes.jsonl}]\".");
        return code;
    }
    if (n->kind == WB_NODE_SCALAR)
        return wb_node_fail(n, err, "\"targets\" is a list of maps that begin with \"type:\".");
    bool many = n->kind == WB_NODE_LIST; /* one map is a list of one */
    size_t count = many ? n->n : 1;
    if (count > TARGETS_MAX) return wb_node_fail(n, err, "A pipeline has at most %d targets.", TARGETS_MAX);
    c->targets = room(c, count * sizeof *c->targets);
    if (!c->targets) return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        wb_code code = read_target(c, many ? n->items[i] : n, &c->targets[i], err);
        if (code) return code;
        c->ntargets++;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- the top of the file */

/* The file's name without folder and .yaml; "pipeline" for text from memory. */
static wb_code default_name(wb_config *c, bool from_file, wb_error *err)
{
    if (!from_file) {
        c->engine.name = "pipeline";
        return WB_OK;
    }
    const char *base = strrchr(c->file, '/');
    base = base ? base + 1 : c->file;
    size_t len = strlen(base);
    if (len > 5 && strcmp(base + len - 5, ".yaml") == 0)
        len -= 5;
    else if (len > 4 && strcmp(base + len - 4, ".yml") == 0)
        len -= 4;
    c->engine.name = wb_arena_strndup(&c->arena, base, len);
    if (c->arena.failed) return no_memory(err);
    if (good_name(c->engine.name)) return WB_OK;
    wb_code code = wb_node_fail(c->root, err, "The file's name \"%.60s\" cannot be the pipeline's name.", base);
    wb_hint(err, "Add \"name:\" with letters, digits, _ and -, at most %d.", NAME_LEN);
    return code;
}

static wb_code read_engine(wb_config *c, bool from_file, wb_error *err)
{
    static const char *const skip[] = {"source", "transforms", "targets", NULL};
    wb_code code = wb_options_parse(wb_engine_option_table, &c->engine, c->root, skip, "the pipeline", &c->arena, err);
    if (code) return placed(c->root, code, err);
    if (!c->engine.name && (code = default_name(c, from_file, err))) return code;
    if (!good_name(c->engine.name))
        return wb_node_fail(wb_node_get(c->root, "name"), err,
                            "The pipeline's name \"%.60s\" is not allowed: letters, digits, _ and -, 1 to %d.",
                            c->engine.name, NAME_LEN);
    if (c->engine.backoff_min_ms > c->engine.backoff_max_ms)
        return wb_node_fail(wb_node_get(c->root, "backoff_min"), err, "backoff_min is longer than backoff_max.");
    const char *state = c->engine.state;
    if (state && !*state) return wb_node_fail(wb_node_get(c->root, "state"), err, "\"state\" names no folder.");
    if (!state) state = wb_arena_printf(&c->arena, "%s.state", c->engine.name);
    c->state_dir = state[0] == '/' ? state : wb_arena_printf(&c->arena, "%s/%s", c->dir, state);
    return c->arena.failed ? no_memory(err) : WB_OK;
}

static wb_code read_all(wb_config *c, const char *text, size_t len, bool from_file, wb_error *err)
{
    wb_secrets secrets = {0};
    wb_yaml_in in = {.text = text, .len = len, .file = c->file, .dir = c->dir, .secrets = &secrets};
    wb_code code = wb_yaml_load(&in, &c->arena, &c->root, err);
    if (!code) code = read_engine(c, from_file, err);
    if (!code) code = read_source(c, err);
    if (!code) code = read_transforms(c, err);
    if (!code) code = read_targets(c, err);
    if (code) wb_secrets_hide(&secrets, err);
    return code;
}

static wb_code parse(const char *text, size_t len, const char *file, const char *dir, bool from_file, wb_config **out,
                     wb_error *err)
{
    char absolute[PATH_MAX];
    *out = NULL;
    if (!realpath(dir ? dir : ".", absolute))
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "There is no folder %s.", dir ? dir : "(the working folder)");
    wb_config *c = calloc(1, sizeof *c);
    if (!c) return no_memory(err);
    wb_arena_init(&c->arena, 16 * 1024, 0);
    c->file = wb_arena_strdup(&c->arena, file);
    c->dir = wb_arena_strdup(&c->arena, absolute);
    const char *slash = strrchr(file, '/');
    if (from_file) c->path = wb_arena_printf(&c->arena, "%s/%s", absolute, slash ? slash + 1 : file);
    wb_code code = c->arena.failed ? no_memory(err) : read_all(c, text, len, from_file, err);
    if (!code && c->arena.failed) code = no_memory(err);
    if (code)
        wb_config_free(c);
    else
        *out = c;
    return code;
}

wb_code wb_config_parse(const char *text, size_t len, const char *file, const char *dir, wb_config **out, wb_error *err)
{
    return parse(text, len, file ? file : "(text)", dir, false, out, err);
}

wb_code wb_config_load(const char *path, wb_config **out, wb_error *err)
{
    char *text = NULL;
    size_t len = 0;
    *out = NULL;
    wb_error why = {0};
    wb_code code = wb_io_slurp(path, WB_YAML_MAX, &text, &len, &why);
    if (code) return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The pipeline file cannot be read: %s", why.message);
    if (!text) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "There is no file %s.", path);
        wb_hint(err, "\"walbrook init URL\" writes one for a database.");
        return code;
    }
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX] = ".";
    if (slash == path)
        memcpy(dir, "/", 2);
    else if (slash && (size_t)(slash - path) < sizeof dir) {
        memcpy(dir, path, (size_t)(slash - path));
        dir[slash - path] = 0;
    }
    code = parse(text, len, path, dir, true, out, err);
    free(text);
    return code;
}

wb_code wb_config_snapshot_only(wb_config *c, wb_error *err)
{
    for (const wb_option *o = c->source->head.options; o && o->name; o++)
        if (strcmp(o->name, "snapshot") == 0) return wb_option_set(o, c->source_ctx, "only", &c->arena, err);
    return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "The source %s copies nothing.", c->source->head.name);
}

void wb_config_free(wb_config *c)
{
    if (!c) return;
    wb_arena_fini(&c->arena);
    free(c);
}

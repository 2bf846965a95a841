/* transforms_kit.h: pipeline-file nodes, tables and changes in a few words, for the tests of transforms. */
#ifndef WB_TRANSFORMS_KIT_H
#define WB_TRANSFORMS_KIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/options.h"
#include "core/batch.h"

static wb_arena kit_arena;
static wb_batch *kit_batch;

static inline int kit_setup(void **state)
{
    WB_UNUSED(state);
    wb_arena_init(&kit_arena, 4096, 0);
    kit_batch = wb_batch_loose();
    wb_txn *t = wb_batch_txn(kit_batch);
    *t = (wb_txn){.id = WB_STR("742"), .commit_us = 1700000000123456, .flags = WB_TXN_BEGIN | WB_TXN_END};
    return 0;
}
static inline int kit_teardown(void **state)
{
    WB_UNUSED(state);
    wb_batch_unref(kit_batch);
    wb_arena_fini(&kit_arena);
    return 0;
}

/* ---- nodes */
static int kit_line = 1;
static inline wb_node *node_of(wb_node_kind kind)
{
    wb_node *n = wb_arena_zalloc(&kit_arena, sizeof *n);
    n->kind = kind;
    n->file = "t.yaml";
    n->line = kit_line++;
    return n;
}
static inline const wb_node *T(const char *text)
{
    wb_node *n = node_of(WB_NODE_SCALAR);
    n->text = text;
    return n;
}
static inline const wb_node *Q(const char *text) /* in quotes */
{
    wb_node *n = node_of(WB_NODE_SCALAR);
    n->text = text;
    n->quoted = true;
    return n;
}
static inline const wb_node *L(const wb_node *first, ...) /* ends with NULL */
{
    wb_node *n = node_of(WB_NODE_LIST);
    n->items = wb_arena_alloc(&kit_arena, 32 * sizeof *n->items);
    va_list ap;
    va_start(ap, first);
    for (const wb_node *i = first; i; i = va_arg(ap, const wb_node *)) n->items[n->n++] = i;
    va_end(ap);
    return n;
}
static inline const wb_node *M(const char *key, ...) /* key, node, ..., NULL */
{
    wb_node *n = node_of(WB_NODE_MAP);
    n->pairs = wb_arena_alloc(&kit_arena, 32 * sizeof *n->pairs);
    va_list ap;
    va_start(ap, key);
    for (const char *k = key; k; k = va_arg(ap, const char *)) {
        const wb_node *v = va_arg(ap, const wb_node *);
        n->pairs[n->n++] = (wb_pair){.key = k, .line = v->line, .value = v};
    }
    va_end(ap);
    return n;
}

/* ---- tables: "id!:int name:text": ! marks the key */
static inline wb_kind kit_kind(const char *word)
{
    static const char *const words[] = {[WB_BOOL] = "bool",           [WB_INT] = "int",
                                        [WB_DECIMAL] = "decimal",     [WB_FLOAT] = "float",
                                        [WB_TEXT] = "text",           [WB_BYTES] = "bytes",
                                        [WB_DATE] = "date",           [WB_TIME] = "time",
                                        [WB_TIMESTAMP] = "timestamp", [WB_TIMESTAMPTZ] = "timestamptz",
                                        [WB_UUID] = "uuid",           [WB_JSON] = "json"};
    for (size_t i = 0; i < WB_COUNT(words); i++)
        if (words[i] && strcmp(words[i], word) == 0) return (wb_kind)i;
    fail_msg("no kind %s", word);
    return WB_OTHER;
}
static inline const wb_table *kit_table(const char *schema, const char *name, const char *spec)
{
    wb_column cols[16] = {0};
    uint16_t key[16];
    wb_table t = {.schema = wb_str_of(schema), .name = wb_str_of(name), .cols = cols, .key = key};
    char *copy = wb_arena_strdup(&kit_arena, spec), *save = NULL;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *colon = strchr(w, ':');
        *colon = 0;
        wb_column *c = &cols[t.ncols];
        c->kind = (uint8_t)kit_kind(colon + 1);
        c->type = wb_str_of(colon + 1);
        c->type_id = 99;
        size_t n = strlen(w);
        if (w[n - 1] == '!') {
            w[--n] = 0;
            c->flags = WB_COL_KEY | WB_COL_NOT_NULL;
            key[t.nkey++] = (uint16_t)t.ncols;
        }
        c->name = wb_str_of(w);
        t.ncols++;
    }
    wb_table *made = wb_table_new(&t);
    wb_batch_table(kit_batch, made);
    wb_table_unref(made); /* the batch holds it */
    return made;
}

/* ---- rows: one text a column; NULL is SQL's NULL; "\1" absent, "\2" unchanged */
#define ABSENT "\1"
#define UNCHANGED "\2"
static inline const wb_value *kit_row(const wb_table *t, const char *const *texts)
{
    wb_value *v = wb_batch_values(kit_batch, t->ncols);
    for (uint32_t i = 0; i < t->ncols; i++) {
        const char *z = texts[i];
        if (!z)
            v[i].kind = WB_NULL;
        else if (z[0] == 1 || z[0] == 2)
            v[i].kind = z[0] == 1 ? WB_ABSENT : WB_UNCHANGED;
        else
            v[i] = (wb_value){.kind = t->cols[i].kind, .flags = WB_V_TEXT, .len = (uint32_t)strlen(z), .as.ptr = z};
    }
    return v;
}
#define ROW(t, ...) kit_row((t), (const char *const[]){__VA_ARGS__})

/* All changes of the batch start wanted by every target. Returns its index. */
static inline size_t kit_change(wb_op op, const wb_table *t, const wb_value *before, const wb_value *after)
{
    wb_change *c = wb_batch_change(kit_batch);
    c->op = (uint8_t)op;
    c->table = t;
    c->before = before;
    c->after = after;
    c->targets = ~(uint64_t)0;
    c->ordinal = kit_batch->nchanges - 1;
    c->place = 4096;
    return kit_batch->nchanges - 1;
}
static inline const wb_change *kit_at(size_t i) { return &kit_batch->changes[i]; }
static inline bool kit_dropped(size_t i) { return kit_batch->changes[i].targets == 0; }

/* ---- transforms */
static inline void *kit_parse(const wb_transform *t, const wb_node *options, wb_error *err)
{
    void *ctx = wb_arena_zalloc(&kit_arena, t->head.ctx_size);
    wb_code code = wb_options_parse(t->head.options, ctx, options, NULL, t->head.name, &kit_arena, err);
    if (!code && t->named) t->named(ctx, "shop");
    if (!code && t->open) code = t->open(ctx, err);
    return code ? NULL : ctx;
}
static inline void *kit_open(const wb_transform *t, const wb_node *options)
{
    wb_error err = {0};
    void *ctx = kit_parse(t, options, &err);
    if (!ctx) fail_msg("%s: %s", err.where, err.message);
    return ctx;
}
static inline wb_code kit_apply(const wb_transform *t, void *ctx, wb_error *err)
{
    return t->apply(ctx, kit_batch, kit_batch->changes, kit_batch->nchanges, kit_batch->txns, err);
}
/* Open, apply to the whole batch, close. */
static inline void kit_run(const wb_transform *t, const wb_node *options)
{
    wb_error err = {0};
    void *ctx = kit_open(t, options);
    if (kit_apply(t, ctx, &err)) fail_msg("%s: %s", err.where, err.message);
    t->close(ctx);
    t->close(ctx); /* allowed twice */
}
static inline void kit_refused(const wb_transform *t, const wb_node *options, const char *message)
{
    wb_error err = {0};
    void *ctx = kit_parse(t, options, &err);
    if (ctx && !kit_apply(t, ctx, &err)) fail_msg("not refused: %s", message);
    if (ctx) t->close(ctx);
    if (!strstr(err.message, message)) fail_msg("expected \"%s\", got \"%s\"", message, err.message);
}
static inline void kit_value_is(const wb_value *v, wb_kind kind, const char *text)
{
    assert_int_equal(v->kind, kind);
    if (!text) return;
    assert_true(v->flags & WB_V_TEXT);
    assert_int_equal(v->len, strlen(text));
    assert_memory_equal(v->as.ptr, text, v->len);
}
static inline void kit_str_is(wb_str s, const char *z)
{
    if (!wb_str_is(s, z)) fail_msg("expected \"%s\", got \"%.*s\"", z, (int)s.len, s.ptr);
}
#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
#endif

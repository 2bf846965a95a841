/* preflight.c: `walbrook check`: the source, the targets against the state, the file's patterns against the source's
 * tables, each target. Changes nothing. Main thread; nothing runs in this process. */
#include <stdio.h>

#include "base/options.h"
#include "core/config_options.h"
#include "core/engine.h"

/* ---------------------------------------------------------------- patterns that match nothing */

/* One pattern of the file; options say by a flag that they hold such. A mistyped name would mask nothing, or leave a
 * target empty, and nobody would be told. */
typedef struct claim {
    const char *text, *file, *option, *what; /* what: "transform mask" */
    int line;
    size_t step; /* of the transforms; NO_STEP: of a target */
    bool columns, met;
    wb_patterns *patterns;
} claim;

#define NO_STEP SIZE_MAX

typedef struct claims {
    wb_pipeline *p;
    wb_report *r;
    wb_arena arena;
    claim *list;
    size_t n, cap, tables;
    bool *refused; /* by step: said already */
} claims;

static void add_claim(claims *k, const claim *c)
{
    wb_error ignored = {0};
    const char *text = c->text;
    const wb_list one = {1, &text};
    if (c->text[0] == '!') return; /* it takes away: nothing is missing without it */
    if (k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 32;
        claim *bigger = wb_arena_alloc(&k->arena, cap * sizeof *bigger);
        if (!bigger || k->arena.failed) return;
        if (k->n) memcpy(bigger, k->list, k->n * sizeof *bigger);
        k->list = bigger;
        k->cap = cap;
    }
    claim *mine = &k->list[k->n];
    *mine = *c;
    if (wb_patterns_new(&one, &k->arena, &mine->patterns, &ignored) == WB_OK) k->n++;
}

static void claim_word(claims *k, const wb_node *n, claim c)
{
    if (n->kind != WB_NODE_SCALAR || wb_node_null(n) || n->secret) return;
    c.text = n->text;
    c.line = n->line;
    add_claim(k, &c);
}

/* A word, the `column` of a condition, or (rename) the keys of a map. */
static void claims_of_one(claims *k, const wb_node *n, claim c)
{
    const wb_node *column = wb_node_get(n, "column");
    if (n->kind != WB_NODE_MAP || column) {
        claim_word(k, column ? column : n, c);
        return;
    }
    for (size_t i = 0; i < n->n; i++) {
        c.text = n->pairs[i].key;
        c.line = n->pairs[i].line;
        add_claim(k, &c);
    }
}

static void claims_of(claims *k, const wb_node *n, claim c)
{
    if (wb_node_null(n)) return;
    c.file = n->file;
    if (n->kind != WB_NODE_LIST) claims_of_one(k, n, c);
    for (size_t i = 0; n->kind == WB_NODE_LIST && i < n->n; i++) claims_of_one(k, n->items[i], c);
}

static void claims_of_table(claims *k, const wb_option *table, const wb_node *map, const char *what, size_t step)
{
    for (const wb_option *o = table; o && o->name; o++)
        if (o->flags & (WB_OPT_TABLES | WB_OPT_COLUMNS))
            claims_of(k, wb_node_get(map, o->name),
                      (claim){.option = o->name, .what = what, .step = step, .columns = o->flags & WB_OPT_COLUMNS});
}

static void collect(claims *k)
{
    const wb_config *c = k->p->config;
    for (size_t i = 0; i < c->ntransforms; i++) {
        const wb_transform_config *t = &c->transforms[i];
        const char *what = wb_arena_printf(&k->arena, "transform %s", t->plugin->head.name);
        if (t->node->kind == WB_NODE_MAP) /* else it is a name alone */
            claims_of_table(k, t->plugin->head.options, t->node->pairs[0].value, what, i);
    }
    for (size_t i = 0; i < c->ntargets; i++) {
        const wb_target_config *t = &c->targets[i];
        claims_of_table(k, wb_selection_option_table, t->node, wb_arena_printf(&k->arena, "target %s", t->name),
                        NO_STEP);
    }
}

static bool meets(const claim *c, const wb_table *t)
{
    if (!c->columns) return wb_patterns_match(c->patterns, t->schema, t->name);
    for (uint32_t i = 0; i < t->ncols; i++)
        if (wb_patterns_match_column(c->patterns, t->schema, t->name, t->cols[i].name)) return true;
    return false;
}

static void hold_against(claims *k, size_t step, const wb_table *t)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->list[i].step == step && !k->list[i].met) k->list[i].met = meets(&k->list[i], t);
}

/* A change of each operation, without values: what a step makes of the table, unless it leaves it out. NULL: it does,
 * or refuses it. */
static const wb_table *through_step(claims *k, size_t step, const wb_table *t, wb_batch *b)
{
    const wb_transform_config *x = &k->p->config->transforms[step];
    wb_change changes[WB_TRUNCATE + 1] = {0};
    const wb_table *out = NULL;
    wb_error err = {0};
    for (uint8_t op = WB_INSERT; op <= WB_TRUNCATE; op++) {
        wb_value *row = wb_batch_values(b, t->ncols);
        if (wb_batch_failed(b)) return NULL;
        changes[op] = (wb_change){.op = op, .table = t, .targets = 1};
        if (op == WB_INSERT || op == WB_UPDATE) changes[op].after = row;
        if (op == WB_DELETE) changes[op].before = row;
    }
    if (x->plugin->apply(x->ctx, b, changes, WB_COUNT(changes), wb_batch_last_txn(b), &err) != WB_OK) {
        if (!k->refused[step]) wb_report_error(k->r, &err);
        k->refused[step] = true;
        return NULL;
    }
    for (size_t i = 0; i < WB_COUNT(changes); i++)
        if (changes[i].targets) out = changes[i].table;
    return out;
}

static void see_table(void *arg, const wb_table *t)
{
    claims *k = arg;
    wb_batch *b = wb_batch_loose();
    wb_txn *txn = b ? wb_batch_txn(b) : NULL;
    if (txn) *txn = (wb_txn){.flags = WB_TXN_BEGIN | WB_TXN_END};
    k->tables++;
    hold_against(k, NO_STEP, t);
    if (b) wb_batch_table(b, t);
    for (size_t i = 0; txn && t && i < k->p->config->ntransforms; i++) {
        hold_against(k, i, t);
        t = through_step(k, i, t, b);
    }
    if (b) wb_batch_unref(b);
}

static void report_claims(const claims *k)
{
    for (size_t i = 0; i < k->n; i++) {
        const claim *c = &k->list[i];
        if (c->met || (c->step != NO_STEP && k->refused[c->step])) continue;
        wb_report_add(k->r, WB_WARN, NULL, "%s:%d: %s: no %s matches `%.100s` in `%s`", c->file ? c->file : "", c->line,
                      c->what, c->columns ? "column" : "table", c->text, c->option);
    }
}

/* The source has said already what keeps it from telling its tables. */
static void check_patterns(wb_pipeline *p, wb_report *r)
{
    const wb_config *c = p->config;
    wb_error ignored = {0};
    claims k = {.p = p, .r = r};
    size_t opened = 0;
    if (!c->source->types) return;
    wb_arena_init(&k.arena, 4096, 0);
    k.refused = wb_arena_zalloc(&k.arena, c->ntransforms + 1);
    collect(&k);
    bool fine = k.refused && !k.arena.failed;
    for (; fine && opened < c->ntransforms; opened++) {
        const wb_transform_config *t = &c->transforms[opened];
        fine = !t->plugin->open || t->plugin->open(t->ctx, &ignored) == WB_OK;
    }
    if (fine && (k.n || c->ntransforms))
        fine = c->source->types(c->source_ctx, &p->host, see_table, &k, &ignored) == WB_OK;
    if (fine && k.tables && !k.arena.failed) report_claims(&k);
    for (size_t i = 0; i < opened; i++)
        if (c->transforms[i].plugin->close) c->transforms[i].plugin->close(c->transforms[i].ctx);
    wb_arena_fini(&k.arena);
}

/* ---------------------------------------------------------------- all of it */

static wb_code check_targets(wb_pipeline *p, wb_report *report, wb_error *err)
{
    const wb_config *c = p->config;
    wb_code rc = WB_OK;
    for (size_t i = 0; rc == WB_OK && i < c->ntargets; i++) {
        const wb_target_config *t = &c->targets[i];
        wb_host h;
        char part[80];
        snprintf(part, sizeof part, "target %s", t->name);
        rc = wb_host_init(&h, p, NULL, part, err);
        if (rc == WB_OK && t->plugin->check) rc = t->plugin->check(t->ctx, &h, report, err);
        if (rc != WB_OK) wb_error_where(err, "%s", part);
        if (rc != WB_OK) p->blame = 't';
        wb_host_fini(&h);
    }
    return rc;
}

wb_code wb_pipeline_check(wb_pipeline *p, wb_report *report, wb_error *err)
{
    wb_config *c = p->config;
    wb_state *state = NULL;
    wb_code rc = wb_state_open(c->state_dir, c->engine.name, c->source->head.name, WB_STATE_LOOK, &state, err);
    if (rc == WB_AGAIN) rc = WB_OK;
    p->state = state;
    if (rc == WB_OK && state) rc = wb_members_check(p, report, err);
    if (rc != WB_OK) {
        wb_report_error(report, err);
        wb_error_reset(err);
    }
    rc = c->source->check ? c->source->check(c->source_ctx, &p->host, report, err) : WB_OK;
    if (rc != WB_OK) wb_error_where(err, "source");
    if (rc != WB_OK) p->blame = 's';
    if (rc == WB_OK) check_patterns(p, report);
    if (rc == WB_OK) rc = check_targets(p, report, err);
    p->state = NULL;
    wb_state_close(state);
    return rc;
}

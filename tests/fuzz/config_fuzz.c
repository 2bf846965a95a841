/* config_fuzz.c: pipeline files of any bytes; the transforms of those that can be read get a row each of every kind. */
#include "core/batch.h"
#include "core/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool what)
{
    if (!what) __builtin_trap();
}

/* Only files of the working folder: devices and pipes elsewhere would make the run wait. */
static bool reads_elsewhere(const uint8_t *p, size_t n)
{
    static const char open[] = "${file:";
    for (size_t i = 0; i + sizeof open <= n; i++)
        if (memcmp(p + i, open, sizeof open - 1) == 0) return true;
    return false;
}

static const wb_table *add_table(wb_batch *b)
{
    static const uint16_t key[] = {0};
    wb_column cols[WB_KINDS] = {0};
    static const char names[] = "abcdefghijklmnopqrstuvwxyz";
    for (uint32_t i = 0; i < WB_KINDS; i++)
        cols[i] = (wb_column){.name = {names + i, 1}, .type = WB_STR("t"), .kind = (uint8_t)i};
    cols[0].kind = WB_INT;
    cols[0].flags = WB_COL_KEY;
    wb_table t = {
        .schema = WB_STR("public"), .name = WB_STR("users"), .ncols = WB_KINDS, .nkey = 1, .cols = cols, .key = key};
    wb_table *made = wb_table_new(&t);
    require(made != NULL);
    wb_batch_table(b, made);
    wb_table_unref(made);
    return made;
}

static wb_value *add_row(wb_batch *b)
{
    wb_value *v = wb_batch_values(b, WB_KINDS);
    for (uint32_t i = WB_BOOL; i < WB_KINDS; i++)
        v[i] = (wb_value){.kind = (uint8_t)i, .flags = WB_V_TEXT, .len = 10, .as.ptr = "2024-02-29"};
    v[WB_UNCHANGED].kind = WB_UNCHANGED;
    v[WB_NULL].kind = WB_NULL;
    v[0] = (wb_value){.kind = WB_INT, .as.i = -7};
    return v;
}

static void fill(wb_batch *b)
{
    const wb_table *t = add_table(b);
    *wb_batch_txn(b) = (wb_txn){.commit_us = -1};
    for (unsigned op = 0; op < WB_OPS; op++) {
        wb_change *c = wb_batch_change(b);
        c->op = (uint8_t)op;
        c->targets = 1;
        if (op == WB_MESSAGE) continue;
        c->table = t;
        if (op == WB_UPDATE || op == WB_DELETE) c->before = add_row(b);
        if (op == WB_INSERT || op == WB_UPDATE || op == WB_READ) c->after = add_row(b);
    }
}

static void look(const wb_batch *b)
{
    for (size_t i = 0; i < b->nchanges; i++) {
        const wb_change *c = &b->changes[i];
        if (!c->targets || !c->table) continue;
        for (uint32_t k = 0; k < c->table->ncols; k++) {
            require(!c->after || c->after[k].kind < WB_KINDS);
            require(!c->before || c->before[k].kind < WB_KINDS);
        }
    }
}

static void apply(const wb_config *c)
{
    wb_batch *b = wb_batch_loose();
    require(b != NULL);
    fill(b);
    for (size_t i = 0; i < c->ntransforms; i++) {
        const wb_transform *t = c->transforms[i].plugin;
        wb_error err = {0};
        require(t->open(c->transforms[i].ctx, &err) == WB_OK); /* it was opened when the file was read */
        wb_code code = t->apply(c->transforms[i].ctx, b, b->changes, b->nchanges, b->txns, &err);
        require(code == err.code);
        if (!code) look(b);
    }
    for (size_t i = 0; i < c->ntransforms; i++) c->transforms[i].plugin->close(c->transforms[i].ctx);
    wb_batch_unref(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    wb_config *c = NULL;
    wb_error err = {0};
    if (reads_elsewhere(data, size)) return 0;
    wb_code code = wb_config_parse((const char *)data, size, "fuzz.yaml", ".", &c, &err);
    require((code == WB_OK) == (c != NULL));
    require(code == err.code);
    if (code) {
        require(err.message[0] && strncmp(err.where, "fuzz.yaml:", 10) == 0);
        return 0;
    }
    apply(c);
    wb_config_free(c);
    return 0;
}

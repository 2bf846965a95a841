/* binlog_run.h: what the fuzz targets of the binlog share: a decoder with a spool in memory and a table that fits some.
 */
#ifndef WB_FUZZ_BINLOG_RUN_H
#define WB_FUZZ_BINLOG_RUN_H
#include "core/batch.h"
#include "sources/mysql/decoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct run {
    my_decoder *d;
    wb_batch *b;
    bool schema, late, asked;
    uint8_t *spool;
    size_t spooled;
} run;

static void require(bool what)
{
    if (!what) __builtin_trap();
}

static wb_code table(void *arg, const my_map *map, my_schema *out, wb_error *err)
{
    static const my_schema_col cols[] = {
        {.name = {"id", 2}, .type = {"int unsigned", 12}, .charset = {"", 0}, .id = 1},
        {.name = {"v", 1},
         .type = {"varchar(20)", 11},
         .charset = {"utf8mb4", 7},
         .id = 2,
         .missing_kind = WB_TEXT,
         .missing = {"m", 1}},
        {.name = {"u", 1}, .type = {"uuid", 4}, .charset = {"", 0}, .id = 3},
        {.name = {"i4", 2}, .type = {"inet4", 5}, .charset = {"", 0}, .id = 4, .flags = WB_COL_GENERATED},
        {.name = {"i6", 2}, .type = {"inet6", 5}, .charset = {"", 0}, .id = 5},
        {.name = {"e", 1}, .type = {"enum('a','b''c')", 16}, .charset = {"", 0}, .id = 6},
        {.name = {"s", 1}, .type = {"set('x','y')", 12}, .charset = {"", 0}, .id = 7},
        {.name = {"j", 1}, .type = {"json", 4}, .charset = {"", 0}, .id = 8}};
    static const uint16_t key[] = {0};
    run *f = arg;
    WB_UNUSED(err);
    f->asked = !f->asked;
    if (f->late && f->asked) return WB_AGAIN;
    if (!f->schema) return WB_OK;
    *out = (my_schema){
        .schema = map->schema, .name = map->name, .ncols = (uint32_t)WB_MIN(map->ncols, WB_COUNT(cols)), .cols = cols};
    out->nkey = 1;
    out->key = key;
    out->engine = (my_engine)(map->ncols % 3);
    return WB_OK;
}

static wb_code spool_write(void *arg, uint64_t at, const void *p, size_t n, wb_error *err)
{
    run *f = arg;
    WB_UNUSED(err);
    require(at <= f->spooled);
    f->spool = realloc(f->spool, (size_t)at + n);
    require(f->spool != NULL);
    memcpy(f->spool + at, p, n);
    f->spooled = (size_t)at + n;
    return WB_OK;
}

static wb_code spool_read(void *arg, uint64_t at, void *p, size_t n, wb_error *err)
{
    run *f = arg;
    WB_UNUSED(err);
    require(at + n <= f->spooled);
    memcpy(p, f->spool + at, n);
    return WB_OK;
}

static void cut_length(uint8_t *event, size_t n)
{
    for (int i = 0; i < 4; i++) event[9 + i] = (uint8_t)(n >> 8 * i);
}
#endif

/* What a real PostgreSQL 15 sent (tests/golden/pgoutput: the SQL, its bytes, the expected text), decoded the way the
 * source does it: spooled while it is streamed, replayed at the commit. */
#include <unistd.h>

#include "postgres_help.h"
#include "sources/postgres/spool.h"

typedef struct golden {
    fixture *f;
    pg_spools *spools;
    FILE *hex;
    wb_out text;     /* everything that was decoded, a line each */
    uint32_t stream; /* xid of the open stream                   */
    bool inside;
    uint8_t bytes[65536];
    size_t n;
    uint64_t place;
} golden;

static bool next_message(golden *g)
{
    static char line[140000], hex[140000];
    uint32_t high, low;
    if (!fgets(line, sizeof line, g->hex)) return false;
    assert_int_equal(sscanf(line, "%x/%x %139999s", &high, &low, hex), 3);
    g->place = (uint64_t)high << 32 | low;
    g->n = strlen(hex) / 2;
    assert_true(g->n <= sizeof g->bytes);
    for (size_t i = 0; i < g->n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        g->bytes[i] = (uint8_t)byte;
    }
    return true;
}

static void decode(golden *g, const void *p, size_t n, uint64_t place)
{
    fixture *f = g->f;
    size_t had = f->b->nchanges;
    if (decode_bytes(f, p, n, place) != WB_OK) fail_msg("%s", f->err.message);
    for (size_t i = had; i < f->b->nchanges; i++) {
        wb_out_printf(&g->text, "%llu: ", (unsigned long long)f->b->changes[i].ordinal);
        show_change(&g->text, &f->b->changes[i]);
        wb_out_byte(&g->text, '\n');
    }
    if (f->ev.kind == PG_EV_BEGIN) pg_decoder_ordinal(f->d, 0);
    if (f->ev.kind == PG_EV_BEGIN) wb_out_printf(&g->text, "BEGIN %u\n", f->ev.xid);
    if (f->ev.kind == PG_EV_COMMIT) wb_out_z(&g->text, "COMMIT\n");
    if (f->ev.kind == PG_EV_MESSAGE)
        wb_out_printf(&g->text, "MESSAGE %d %s %.*s\n", f->ev.transactional, f->ev.prefix.ptr, (int)f->ev.content.len,
                      f->ev.content.ptr);
}

static void replay(golden *g, uint32_t xid)
{
    pg_spool_reader *r;
    pg_spool_record rec;
    wb_code code;
    assert_int_equal(pg_spool_read(g->spools, xid, &r, &g->f->err), WB_OK);
    wb_out_printf(&g->text, "STREAM %u\n", xid);
    pg_decoder_ordinal(g->f->d, 0);
    pg_decoder_replay_begin(g->f->d);
    while ((code = pg_spool_next(r, &rec, &g->f->err)) == WB_OK) {
        pg_decoder_seq(g->f->d, rec.seq);
        decode(g, rec.p, rec.n, rec.place);
    }
    assert_int_equal(code, WB_END);
    assert_int_equal(pg_decoder_replay_end(g->f->d, &g->f->err), WB_OK);
    pg_spool_close(r);
    wb_out_z(&g->text, "COMMIT\n");
}

static void take_message(golden *g)
{
    fixture *f = g->f;
    pg_peek peek;
    assert_int_equal(pg_wire_peek(g->bytes, g->n, g->inside, &peek, &f->err), WB_OK);
    if (peek.xid) {
        uint64_t seq = pg_decoder_arrival(f->d);
        assert_int_equal(pg_spool_append(g->spools, g->stream, peek.xid, g->place, seq, g->bytes, g->n, &f->err),
                         WB_OK);
        return;
    }
    decode(g, g->bytes, g->n, g->place);
    switch (f->ev.kind) {
    case PG_EV_STREAM_START:
        g->stream = f->ev.xid;
        g->inside = true;
        break;
    case PG_EV_STREAM_STOP: g->inside = false; break;
    case PG_EV_STREAM_ABORT:
        assert_int_equal(pg_spool_abort(g->spools, f->ev.xid, f->ev.subxid, &f->err), WB_OK);
        break;
    case PG_EV_STREAM_COMMIT: replay(g, f->ev.xid); break;
    default: break;
    }
}

static golden *run(const char *path)
{
    char dir[] = P_tmpdir "/walbrook-golden-XXXXXX";
    golden *g = calloc(1, sizeof *g);
    assert_non_null(mkdtemp(dir));
    g->f = fixture_new(1 << 20);
    g->spools = pg_spools_new(dir, 0);
    g->hex = fopen(path, "r");
    assert_non_null(g->hex);
    while (next_message(g)) take_message(g);
    wb_out_byte(&g->text, 0);
    fclose(g->hex);
    assert_int_equal(pg_spools_count(g->spools), 0);
    pg_spools_free(g->spools);
    assert_int_equal(rmdir(dir), 0);
    return g;
}

static void golden_free(golden *g)
{
    fixture_free(g->f);
    wb_out_fini(&g->text);
    free(g);
}

static void test_basic(void **state)
{
    (void)state;
    static char want[65536];
    golden *g = run("tests/golden/pgoutput/basic.hex");
    FILE *txt = fopen("tests/golden/pgoutput/basic.txt", "r");
    if (!txt) fail_msg("there is no basic.txt; decoded:\n%s", g->text.p);
    want[fread(want, 1, sizeof want - 1, txt)] = 0;
    fclose(txt);
    if (strcmp(want, g->text.p) != 0) print_error("%s", g->text.p);
    assert_string_equal(g->text.p, want);
    golden_free(g);
}

static void test_stream(void **state)
{
    (void)state;
    wb_out want = {0};
    golden *g = run("tests/golden/pgoutput/stream.hex");
    const char *at = g->text.p;
    assert_non_null(at);
    wb_out_printf(&want, "STREAM %u\n", 770);
    for (int i = 1; i <= 600; i++) wb_out_printf(&want, "%d: INSERT public.small after(int:%d)\n", i - 1, i);
    wb_out_printf(&want, "COMMIT\nBEGIN %u\n0: INSERT public.small after(int:2000)\nCOMMIT\n", 775);
    wb_out_byte(&want, 0);
    assert_string_equal(at, want.p);
    wb_out_fini(&want);
    golden_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_basic), cmocka_unit_test(test_stream)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

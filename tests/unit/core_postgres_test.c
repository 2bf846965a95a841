/* What the PostgreSQL source makes of whole messages (message.c), without a server: which transactions and places it
 * hands over, and when it says that nothing came. */
#include "check.h"

#ifdef WB_HAVE_POSTGRES
#include "core/engine.h"
#include "postgres_help.h"
#include "sources/postgres/pg.h"

typedef struct rig {
    pg_source s;
    wb_out frame;   /* being made */
    wb_out got;     /* what was handed over, a word each */
    bool ends_held; /* each end holds its own transaction */
} rig;

static wb_code on_put(void *arg, wb_batch *b, wb_error *err)
{
    rig *g = arg;
    WB_UNUSED(err);
    size_t at = 0;
    for (size_t t = 0; t < b->ntxns; t++) {
        const wb_txn *x = &b->txns[t];
        if (x->flags & WB_TXN_BEGIN) wb_out_printf(&g->got, "begin@%llu ", (unsigned long long)pg_pos_lsn(x->at));
        for (; at < b->nchanges && b->changes[at].txn == t; at++)
            wb_out_printf(&g->got, "%s%u ", b->changes[at].op == WB_MESSAGE ? "message" : "row",
                          (unsigned)b->changes[at].ordinal);
        if (!(x->flags & WB_TXN_END)) continue;
        wb_out_printf(&g->got, "end@%llu ", (unsigned long long)pg_pos_lsn(x->end));
        if (!pg_pos_holds(x->end, x)) g->ends_held = false;
    }
    return WB_OK;
}

static void on_idle(void *arg, wb_pos pos, uint64_t targets)
{
    rig *g = arg;
    WB_UNUSED(targets);
    wb_out_printf(&g->got, "idle@%llu ", (unsigned long long)pg_pos_lsn(pos));
}

static wb_table *hook(void *arg, const pg_relation *r, wb_error *err)
{
    WB_UNUSED(arg);
    WB_UNUSED(err);
    return pg_table_of_relation(r);
}

static rig *rig_new(bool messages)
{
    static const wb_host_hooks hooks = {.put = on_put, .idle = on_idle};
    rig *g = calloc(1, sizeof *g);
    assert_non_null(g);
    g->ends_held = true;
    g->s.host = wb_host_loose("/tmp", &hooks, g);
    g->s.decoder = pg_decoder_new(hook, NULL, 1 << 20);
    g->s.spools = pg_spools_new("/tmp", 1 << 20);
    assert_non_null(g->s.host);
    assert_true(g->s.decoder && g->s.spools);
    g->s.messages = messages;
    return g;
}

static void rig_free(rig *g)
{
    wb_batch_unref(g->s.batch);
    pg_decoder_free(g->s.decoder);
    pg_spools_free(g->s.spools);
    wb_host_loose_free(g->s.host);
    wb_out_fini(&g->frame);
    wb_out_fini(&g->got);
    free(g);
}

static void send_frame(rig *g)
{
    wb_error err = {0};
    wb_code code = pg_message(&g->s, g->frame.p, g->frame.len, &err);
    if (code != WB_OK) print_error("%s\n", err.message);
    assert_int_equal(code, WB_OK);
    wb_out_reset(&g->frame);
}

static wb_out *data(rig *g, pg_lsn at) /* the head of a message; its body follows */
{
    wb_out_byte(&g->frame, 'w');
    wb_out_be64(&g->frame, at);
    wb_out_be64(&g->frame, at);
    wb_out_be64(&g->frame, 7);
    return &g->frame;
}

static void keepalive(rig *g, pg_lsn end)
{
    wb_out_byte(&g->frame, 'k');
    wb_out_be64(&g->frame, end);
    wb_out_be64(&g->frame, 7);
    wb_out_byte(&g->frame, 0);
    send_frame(g);
    g->s.idle_at_us = 0; /* said at once, not 50 ms after the one before */
}

static void begin(rig *g, pg_lsn commit)
{
    static const col cols[] = {{"id", 23, -1, 1}};
    wb_out *o = data(g, commit - 50);
    wb_out_byte(o, 'B');
    wb_out_be64(o, commit);
    wb_out_be64(o, 7);
    wb_out_be32(o, 765);
    send_frame(g);
    put_relation(data(g, commit - 50), 0, 9, "public", "t", 'd', cols, 1);
    send_frame(g);
}

static void row(rig *g, pg_lsn at, uint32_t xid)
{
    static const char *const fields[] = {"1"};
    put_head(data(g, at), 'I', xid, 9);
    put_tuple(&g->frame, 'N', fields, 1);
    send_frame(g);
}

static void message(rig *g, pg_lsn at, bool transactional)
{
    wb_out *o = data(g, at);
    wb_out_byte(o, 'M');
    wb_out_byte(o, transactional);
    wb_out_be64(o, at);
    put_cstr(o, "app");
    wb_out_be32(o, 2);
    wb_out_z(o, "hi");
    send_frame(g);
}

/* 'C', or 'c' of a streamed transaction. */
static void commit(rig *g, char type, pg_lsn commit, pg_lsn end)
{
    wb_out *o = data(g, commit);
    wb_out_byte(o, type);
    if (type == 'c') wb_out_be32(o, 765);
    wb_out_byte(o, 0);
    wb_out_be64(o, commit);
    wb_out_be64(o, end);
    wb_out_be64(o, 7);
    send_frame(g);
}

static void put(rig *g)
{
    wb_error err = {0};
    assert_int_equal(pg_batch_put(&g->s, &err), WB_OK);
}

/* All since the last one. */
static void expect(rig *g, const char *want)
{
    put(g);
    const char *got = wb_out_cstr(&g->got);
    assert_string_equal(got ? got : "", want);
    assert_true(g->ends_held);
    wb_out_reset(&g->got);
}

/* Commit, begin and row at one place: each end is behind its own commit record, and before the next one's. */
static void test_d5_ends_are_behind_their_commit_records(void **state)
{
    WB_UNUSED(state);
    rig *g = rig_new(false);
    begin(g, 100);
    row(g, 60, 0);
    commit(g, 'C', 100, 148);
    begin(g, 148);
    row(g, 148, 0);
    commit(g, 'C', 148, 196);
    expect(g, "begin@100 row0 end@148 begin@148 row0 end@196 ");
    rig_free(g);
}

/* A message is a change among the others whether or not it is wanted, and ends nothing. */
static void test_d8_messages_count_and_end_nothing(void **state)
{
    WB_UNUSED(state);
    for (int wanted = 0; wanted < 2; wanted++) {
        rig *g = rig_new(wanted);
        begin(g, 100);
        message(g, 60, true);
        row(g, 70, 0);
        message(g, 80, true);
        commit(g, 'C', 100, 148);
        expect(g, wanted ? "begin@100 message0 row1 message2 end@148 " : "begin@100 row1 end@148 ");
        begin(g, 200); /* of messages alone */
        message(g, 160, true);
        commit(g, 'C', 200, 248);
        expect(g, wanted ? "begin@200 message0 end@248 " : "idle@248 ");
        rig_free(g);
    }
}

/* Outside of transactions: one of its own, with an end that holds it; the next one has none of it. */
static void test_d8_a_loose_message_is_inside_its_end(void **state)
{
    WB_UNUSED(state);
    rig *g = rig_new(true);
    message(g, 60, false);
    begin(g, 100);
    row(g, 70, 0);
    commit(g, 'C', 100, 148);
    expect(g, "begin@59 message0 end@60 begin@100 row0 end@148 ");
    rig_free(g);
    g = rig_new(false);
    message(g, 60, false);
    expect(g, "");
    rig_free(g);
}

/* A keepalive amid a transaction, begun or streamed, says nothing that a target may take for a place to be at. */
static void test_d10_keepalives_amid_a_transaction(void **state)
{
    WB_UNUSED(state);
    rig *g = rig_new(false);
    keepalive(g, 10);
    expect(g, "idle@10 ");
    begin(g, 100);
    keepalive(g, 20); /* before its first row, between its rows, and when a part is out */
    expect(g, "");
    row(g, 70, 0);
    keepalive(g, 90);
    expect(g, "begin@100 row0 ");
    keepalive(g, 95);
    expect(g, "");
    row(g, 80, 0);
    commit(g, 'C', 100, 148);
    keepalive(g, 150);
    expect(g, "row1 end@148 idle@150 ");
    rig_free(g);
}

static void test_d10_keepalives_while_one_is_put_aside(void **state)
{
    WB_UNUSED(state);
    static const col cols[] = {{"id", 23, -1, 1}};
    rig *g = rig_new(false);
    wb_error err = {0};
    wb_out *o = data(g, 0);
    wb_out_byte(o, 'S');
    wb_out_be32(o, 765);
    wb_out_byte(o, 1);
    send_frame(g);
    put_relation(data(g, 0), 765, 9, "public", "t", 'd', cols, 1);
    send_frame(g);
    row(g, 70, 765);
    keepalive(g, 75);
    expect(g, "");
    wb_out_byte(data(g, 0), 'E');
    send_frame(g);
    keepalive(g, 80);
    expect(g, "");
    commit(g, 'c', 100, 148);
    keepalive(g, 150); /* read again from where it was put aside: not over yet */
    expect(g, "");
    while (g->s.replay) assert_int_equal(pg_replay_step(&g->s, &err), WB_OK);
    keepalive(g, 160);
    expect(g, "begin@100 row0 end@148 idle@160 ");
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d5_ends_are_behind_their_commit_records),
        cmocka_unit_test(test_d8_messages_count_and_end_nothing),
        cmocka_unit_test(test_d8_a_loose_message_is_inside_its_end),
        cmocka_unit_test(test_d10_keepalives_amid_a_transaction),
        cmocka_unit_test(test_d10_keepalives_while_one_is_put_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) { return 77; } /* built without postgres */
#endif

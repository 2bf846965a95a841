/* The history of tables: which columns a row of yesterday had. */
#include "check.h"
#include "sources/mysql/my.h"

typedef struct place {
    wb_out pos, at;
} place;

/* After, and of, transaction n of one server. */
static place txn(unsigned n)
{
    place p = {{0}, {0}};
    wb_error err;
    char text[80];
    wb_error_reset(&err);
    my_gtid_set *s = my_gtid_set_new();
    (void)snprintf(text, sizeof text, "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%u", n);
    if (n) assert_int_equal(my_gtid_set_parse(s, wb_str_of(text), &err), WB_OK);
    my_pos pos = {.flavor = MY_MYSQL};
    assert_true(my_pos_make(&p.pos, &pos, s));
    pos.has_set = true;
    pos.gtid = (my_gtid){
        .flavor = MY_MYSQL,
        .sid = {0x3e, 0x11, 0xfa, 0x47, 0x71, 0xca, 0x11, 0xe1, 0x9e, 0x33, 0xc8, 0x0a, 0xa9, 0x42, 0x95, 0x62},
        .n = n};
    my_at_make(&p.at, &pos);
    my_gtid_set_free(s);
    return p;
}

static void drop(place *p)
{
    wb_out_fini(&p->pos);
    wb_out_fini(&p->at);
}

static wb_pos of(const wb_out *o) { return (wb_pos){o->p, o->len}; }

static const my_schema_col two[] = {
    {.name = {"id", 2}, .type = {"int", 3}, .charset = {"", 0}, .flags = WB_COL_NOT_NULL},
    {.name = {"a:b c", 5}, .type = {"varchar(20)", 11}, .charset = {"latin1", 6}}};
static const uint16_t first[] = {0};

static my_schema shape(uint32_t n)
{
    return (my_schema){.schema = {"shop", 4},
                       .name = {"t", 1},
                       .ncols = n,
                       .cols = two,
                       .nkey = 1,
                       .key = first,
                       .engine = MY_ENGINE_TRANSACTIONAL};
}

static uint32_t columns(const my_history *h, unsigned done, unsigned now, my_known *known)
{
    const my_schema *s;
    place have = txn(done), at = txn(now);
    *known = my_history_find(h, WB_STR("shop"), WB_STR("t"), of(&have.pos), of(&at.at), &s);
    uint32_t n = s ? s->ncols : 0;
    drop(&have);
    drop(&at);
    return n;
}

static my_history *two_versions(void)
{
    my_history *h = my_history_new();
    uint64_t seq;
    my_schema before = shape(1), after = shape(2);
    place fifth = txn(5), ninth = txn(9);
    assert_true(my_history_add(h, WB_STR("shop"), WB_STR("t"), (wb_pos){NULL, 0}, MY_KNOWN, &before, &seq));
    assert_true(my_history_add(h, WB_STR("shop"), WB_STR("t"), of(&fifth.at), MY_KNOWN, &after, &seq));
    assert_true(my_history_add(h, WB_STR("shop"), WB_STR("t"), of(&ninth.at), MY_GONE, NULL, &seq));
    assert_int_equal(seq, 3);
    drop(&fifth);
    drop(&ninth);
    return h;
}

static void test_d31_an_old_row_gets_the_columns_of_then(void **state)
{
    WB_UNUSED(state);
    my_known known;
    my_history *h = two_versions();
    assert_int_equal(columns(h, 3, 4, &known), 1);
    assert_int_equal(columns(h, 4, 5, &known), 2); /* the statement's own transaction: CREATE TABLE ... SELECT */
    assert_int_equal(columns(h, 5, 6, &known), 2);
    assert_int_equal(known, MY_KNOWN);
    assert_int_equal(columns(h, 9, 10, &known), 0);
    assert_int_equal(known, MY_GONE);
    my_history_free(h);
}

static void note_name(void *arg, wb_str schema, wb_str name)
{
    wb_out_str(arg, schema);
    wb_out_byte(arg, '.');
    wb_out_str(arg, name);
}

/* Dropped in the ninth transaction: before it there, after it not, whoever asks again. */
static void test_there(void **state)
{
    WB_UNUSED(state);
    my_history *h = two_versions();
    wb_out names = {0};
    for (unsigned n = 0; n < 11; n++) {
        place p = txn(n);
        assert_int_equal(my_history_there(h, WB_STR("shop"), WB_STR("t"), of(&p.pos)), n < 9);
        assert_false(my_history_there(h, WB_STR("shop"), WB_STR("other"), of(&p.pos)));
        drop(&p);
    }
    my_history_tables(h, note_name, &names);
    assert_int_equal(names.len, 0);
    my_history_names(h, note_name, &names);
    assert_true(names.len == 6 && memcmp(names.p, "shop.t", 6) == 0);
    wb_out_fini(&names);
    my_history_free(h);
}

static void test_what_was_never_heard_of(void **state)
{
    WB_UNUSED(state);
    my_history *h = two_versions();
    const my_schema *s;
    place p = txn(3);
    assert_int_equal(my_history_find(h, WB_STR("shop"), WB_STR("T"), of(&p.pos), of(&p.at), &s), MY_NOT_KNOWN);
    assert_null(s);
    assert_false(my_history_has(h, WB_STR("shop"), WB_STR("t"), of(&p.at)));
    place fifth = txn(5);
    assert_true(my_history_has(h, WB_STR("shop"), WB_STR("t"), of(&fifth.at)));
    drop(&p);
    drop(&fifth);
    my_history_free(h);
}

static void copy_one(my_history *from, my_history *to, uint64_t seq)
{
    wb_out o = {0};
    assert_true(my_history_encode(from, seq, &o));
    assert_true(my_history_decode(to, seq, (wb_str){o.p, o.len}));
    for (size_t n = 0; n < o.len; n++) { /* every piece is refused */
        char *cut = malloc(n ? n : 1);
        memcpy(cut, o.p, n);
        my_history *scrap = my_history_new();
        assert_false(my_history_decode(scrap, 1, (wb_str){cut, n}));
        my_history_free(scrap);
        free(cut);
    }
    wb_out_fini(&o);
}

static void test_through_the_state(void **state)
{
    WB_UNUSED(state);
    my_known known;
    my_history *h = two_versions(), *again = my_history_new();
    for (uint64_t seq = 3; seq; seq--) copy_one(h, again, seq);
    assert_int_equal(columns(again, 3, 4, &known), 1);
    assert_int_equal(columns(again, 5, 6, &known), 2);
    assert_int_equal(columns(again, 9, 10, &known), 0);
    const my_schema *s;
    place p = txn(6);
    (void)my_history_find(again, WB_STR("shop"), WB_STR("t"), of(&p.pos), of(&p.at), &s);
    assert_non_null(s);
    assert_string_equal(s->cols[1].name.ptr, "a:b c");
    assert_string_equal(s->cols[1].charset.ptr, "latin1");
    assert_int_equal(s->cols[0].flags, WB_COL_NOT_NULL);
    assert_int_equal(s->nkey, 1);
    assert_int_equal(s->engine, MY_ENGINE_TRANSACTIONAL);
    drop(&p);
    my_history_free(h);
    my_history_free(again);
}

static void count_one(void *arg, uint64_t seq)
{
    uint64_t *mask = arg;
    *mask |= (uint64_t)1 << seq;
}

static void test_what_everybody_has_passed_is_forgotten(void **state)
{
    WB_UNUSED(state);
    my_known known;
    uint64_t gone = 0;
    my_history *h = two_versions();
    place fourth = txn(4), sixth = txn(6), tenth = txn(10);
    my_history_forget(h, of(&fourth.pos), count_one, &gone);
    assert_int_equal(gone, 0);
    my_history_forget(h, of(&sixth.pos), count_one, &gone);
    assert_int_equal(gone, 1 << 1);
    assert_int_equal(columns(h, 6, 7, &known), 2);
    my_history_forget(h, of(&tenth.pos), count_one, &gone);
    assert_int_equal(gone, 1 << 1 | 1 << 2 | 1 << 3);
    drop(&fourth);
    drop(&sixth);
    drop(&tenth);
    my_history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d31_an_old_row_gets_the_columns_of_then),
        cmocka_unit_test(test_there),
        cmocka_unit_test(test_what_was_never_heard_of),
        cmocka_unit_test(test_through_the_state),
        cmocka_unit_test(test_what_everybody_has_passed_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

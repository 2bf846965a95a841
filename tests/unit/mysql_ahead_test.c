/* What is noted of tables ahead in the log: what comes first, behind any place. */
#include "check.h"
#include "sources/mysql/ahead_notes.h"
#include "sources/mysql/position.h"

typedef struct place {
    wb_out pos, at;
} place;

/* After, and of, transaction n of one server. */
static place txn(unsigned n)
{
    place p = {{0}, {0}};
    my_pos pos = {
        .flavor = MY_MARIADB, .has_file = true, .lineage = 7, .log = WB_STR("b.000001"), .offset = n * 100u + 90};
    assert_true(my_pos_make(&p.pos, &pos, NULL));
    pos.offset = n * 100u;
    my_at_make(&p.at, &pos);
    return p;
}

static wb_pos of(const wb_out *o) { return (wb_pos){o->p, o->len}; }

static void drop(place *p)
{
    wb_out_fini(&p->pos);
    wb_out_fini(&p->at);
}

static void change(my_notes *n, const char *schema, const char *name, unsigned at)
{
    place p = txn(at);
    assert_true(my_notes_change(n, wb_str_of(schema), wb_str_of(name), of(&p.at)));
    drop(&p);
}

static void rows(my_notes *n, const char *name, uint32_t ncols, unsigned at)
{
    static const my_map_col cols[] = {{.name = {"a", 1}}, {.name = {"bb", 2}}, {.name = {"c", 1}}};
    static const uint16_t key[] = {0, 2};
    my_map m = {.schema = WB_STR("s"), .name = wb_str_of(name), .ncols = ncols, .cols = cols, .has_names = true};
    place p = txn(at);
    m.nkey = 2;
    m.key = key;
    assert_true(my_notes_rows(n, &m, of(&p.at)));
    drop(&p);
}

/* "3 then changed": rows of three columns come first after transaction `done`; "changed", "3", "" */
static void says(const my_notes *n, const char *name, unsigned done, const char *expect)
{
    bool changed;
    const my_map *m;
    char text[40];
    place p = txn(done);
    my_notes_find(n, WB_STR("s"), wb_str_of(name), of(&p.pos), &changed, &m);
    (void)snprintf(text, sizeof text, "%s%s%s", m ? (char[]){(char)('0' + m->ncols), 0} : "",
                   m && changed ? " then " : "", changed ? "changed" : "");
    assert_string_equal(text, expect);
    if (m) assert_true(wb_str_is(m->cols[m->ncols - 1].name, m->ncols == 3 ? "c" : m->ncols == 2 ? "bb" : "a"));
    if (m) assert_int_equal(m->key[1], 2);
    drop(&p);
}

static void test_what_comes_first(void **state)
{
    WB_UNUSED(state);
    my_notes *n = my_notes_new();
    says(n, "t", 0, "");
    change(n, "s", "t", 2);
    rows(n, "t", 2, 3);
    change(n, "s", "t", 5);
    rows(n, "t", 3, 5);
    change(n, "s", "u", 6);
    says(n, "t", 1, "changed");
    says(n, "t", 2, "2 then changed"); /* what is done does not count, its own transaction neither */
    says(n, "t", 3, "changed");
    says(n, "t", 4, "changed");
    says(n, "t", 5, "");
    says(n, "u", 5, "changed");
    says(n, "v", 0, "");
    my_notes_free(n);
}

/* A schema that is dropped, a statement that is not understood. */
static void test_of_many_tables(void **state)
{
    WB_UNUSED(state);
    my_notes *n = my_notes_new();
    rows(n, "t", 1, 1);
    change(n, "s", "", 2);
    change(n, "other", "", 3);
    assert_false(my_notes_has_rows(n, WB_STR("s"), WB_STR("t")));
    rows(n, "t", 2, 4);
    assert_true(my_notes_has_rows(n, WB_STR("s"), WB_STR("t")));
    assert_false(my_notes_has_rows(n, WB_STR("other"), WB_STR("t")));
    change(n, "", "", 5);
    assert_false(my_notes_has_rows(n, WB_STR("s"), WB_STR("t")));
    says(n, "t", 0, "1 then changed");
    says(n, "t", 1, "changed");
    says(n, "t", 2, "2 then changed");
    says(n, "v", 4, "changed");
    says(n, "t", 5, "");
    my_notes_free(n);
}

/* Names of any number; what is done goes, the rest stays in its order. */
static void test_many_and_forgotten(void **state)
{
    enum { MANY = 700 };
    WB_UNUSED(state);
    char name[20];
    my_notes *n = my_notes_new();
    for (unsigned turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < MANY; i++) {
            (void)snprintf(name, sizeof name, "t%u", i);
            change(n, "s", name, turn * MANY + i + 1);
            rows(n, name, 1 + turn, turn * MANY + i + 1);
        }
    assert_int_equal(my_notes_count(n), 4 * MANY);
    says(n, "t3", 0, "changed");
    says(n, "t3", MANY, "changed");
    place p = txn(MANY + 10);
    my_notes_forget(n, of(&p.pos));
    drop(&p);
    assert_int_equal(my_notes_count(n), 2 * (MANY - 10));
    says(n, "t9", 0, "");
    says(n, "t10", 0, "changed");
    assert_true(my_notes_has_rows(n, WB_STR("s"), WB_STR("t10")));
    assert_false(my_notes_has_rows(n, WB_STR("s"), WB_STR("t9")));
    p = txn(2 * MANY);
    my_notes_forget(n, of(&p.pos));
    drop(&p);
    assert_int_equal(my_notes_count(n), 0);
    change(n, "s", "t1", 2 * MANY + 5);
    says(n, "t1", 2 * MANY, "changed");
    my_notes_free(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_comes_first),
        cmocka_unit_test(test_of_many_tables),
        cmocka_unit_test(test_many_and_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Versions of a table: kept in the state, merged with what the stream says, made into a wb_table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sources/postgres/pg.h"

enum { INT4 = 23, TEXT = 25, INT8 = 20 };

static pg_column column(int attnum, const char *name, uint32_t type, int key)
{
    return (pg_column){.attnum = attnum,
                       .type = type,
                       .mod = -1,
                       .kind = type == TEXT ? WB_TEXT : WB_INT,
                       .missing = PG_MISSING_NULL,
                       .key = (uint16_t)key,
                       .name = wb_str_of(name),
                       .type_name = wb_str_of(type == TEXT ? "text" : "integer")};
}

static pg_rel_col sent(const char *name, uint32_t type, bool identity)
{
    return (pg_rel_col){wb_str_of(name), type, -1, identity};
}

static pg_shape shape_of(pg_column *cols, size_t n)
{
    return (pg_shape){.oid = 16400,
                      .schema = WB_STR("public"),
                      .name = WB_STR("t"),
                      .identity = 'd',
                      .relkind = 'r',
                      .ncols = n,
                      .cols = cols};
}

static pg_relation relation_of(const pg_rel_col *cols, uint32_t n, char identity)
{
    return (pg_relation){16400, WB_STR("public"), WB_STR("t"), identity, n, cols};
}

typedef struct scratch {
    wb_arena a;
} scratch;

static int begin(void **state)
{
    static scratch s;
    wb_arena_init(&s.a, 4096, 0);
    *state = &s;
    return 0;
}

static int end(void **state)
{
    wb_arena_fini(&((scratch *)*state)->a);
    return 0;
}

static void test_kept_and_read_back(void **state)
{
    scratch *sc = *state;
    pg_column cols[] = {column(1, "id", INT8, 1), column(3, "gr\xC3\xBC\xC3\x9F", TEXT, 0)};
    cols[1].missing = PG_MISSING_TEXT;
    cols[1].missing_text = (wb_str){"a\0b", 3};
    cols[1].not_null = true;
    cols[1].mod = 24;
    pg_shape s = shape_of(cols, 2), got;
    wb_out out = {0};
    pg_shape_encode(&s, &out);
    assert_false(out.failed);
    assert_true(pg_shape_decode((wb_str){out.p, out.len}, &sc->a, &got));
    assert_int_equal(got.oid, 16400);
    assert_int_equal(got.identity, 'd');
    assert_int_equal(got.ncols, 2);
    assert_true(wb_str_is(got.schema, "public"));
    assert_int_equal(got.cols[0].key, 1);
    assert_int_equal(got.cols[1].attnum, 3);
    assert_int_equal(got.cols[1].mod, 24);
    assert_true(got.cols[1].not_null);
    assert_false(got.cols[1].generated);
    assert_true(wb_str_eq(got.cols[1].name, cols[1].name));
    assert_true(wb_str_eq(got.cols[1].missing_text, cols[1].missing_text));
    for (size_t n = 0; n < out.len; n++) /* cut anywhere: refused, never read beyond */
        assert_false(pg_shape_decode((wb_str){out.p, n}, &sc->a, &got));
    wb_out_byte(&out, 0);
    assert_false(pg_shape_decode((wb_str){out.p, out.len}, &sc->a, &got));
    out.p[0] = 9; /* of a newer version */
    assert_false(pg_shape_decode((wb_str){out.p, out.len - 1}, &sc->a, &got));
    wb_out_fini(&out);
}

static void check_ids(const pg_shape *s, const int *ids)
{
    for (size_t i = 0; i < s->ncols; i++)
        if (s->cols[i].attnum != ids[i]) fail_msg("column %zu has number %d, not %d", i, s->cols[i].attnum, ids[i]);
}

static void test_the_catalog_of_today(void **state)
{
    scratch *sc = *state;
    pg_column cols[] = {column(1, "id", INT4, 1), column(4, "v", TEXT, 0)};
    pg_rel_col rel[] = {sent("id", INT4, true), sent("v", TEXT, false)};
    pg_shape now = shape_of(cols, 2), out;
    pg_relation r = relation_of(rel, 2, 'd');
    assert_true(pg_shape_fits(&now, &r));
    assert_true(pg_shape_merge(&r, NULL, &now, &sc->a, &out));
    check_ids(&out, (const int[]){1, 4});
    assert_int_equal(out.cols[0].key, 1);
    rel[1].type_mod = 24;
    assert_false(pg_shape_fits(&now, &r));
}

/* Renamed since: the remembered version still knows the old name. */
static void test_g07_yesterdays_names(void **state)
{
    scratch *sc = *state;
    pg_column old[] = {column(1, "id", INT4, 1), column(2, "name", TEXT, 0), column(3, "z", TEXT, 0)};
    pg_column new[] = {column(1, "id", INT4, 1), column(2, "title", TEXT, 0), column(5, "name", TEXT, 0)};
    pg_rel_col rel[] = {sent("id", INT4, true), sent("name", TEXT, false), sent("z", TEXT, false)};
    pg_shape known = shape_of(old, 3), now = shape_of(new, 3), out;
    pg_relation r = relation_of(rel, 3, 'd');
    assert_true(pg_shape_merge(&r, &known, &now, &sc->a, &out));
    check_ids(&out, (const int[]){1, 2, 3});
}

/* A name that neither version has, between two that are known: numbers ascend and are never used again. */
static void test_a_name_in_between(void **state)
{
    scratch *sc = *state;
    pg_column new[] = {column(1, "id", INT4, 1), column(2, "c", TEXT, 0), column(3, "z", TEXT, 0)};
    pg_rel_col rel[] = {sent("id", INT4, true), sent("b", TEXT, false), sent("z", TEXT, false), sent("q", TEXT, false)};
    pg_shape now = shape_of(new, 3), out;
    pg_relation r = relation_of(rel, 4, 'd');
    assert_true(pg_shape_merge(&r, NULL, &now, &sc->a, &out));
    check_ids(&out, (const int[]){1, 2, 3, 0}); /* the last one may be any: not guessed */
}

/* Swapped names would make numbers descend: not believed. */
static void test_descending_numbers_are_not_believed(void **state)
{
    scratch *sc = *state;
    pg_column new[] = {column(1, "a", TEXT, 0), column(2, "b", TEXT, 0), column(5, "c", TEXT, 0)};
    pg_rel_col rel[] = {sent("b", TEXT, false), sent("a", TEXT, false), sent("c", TEXT, false)};
    pg_shape now = shape_of(new, 3), out;
    pg_relation r = relation_of(rel, 3, 'd');
    assert_true(pg_shape_merge(&r, NULL, &now, &sc->a, &out));
    int last = 0;
    for (size_t i = 0; i < 3; i++) {
        if (!out.cols[i].attnum) continue;
        assert_true(out.cols[i].attnum > last);
        last = out.cols[i].attnum;
    }
    assert_int_equal(out.cols[2].attnum, 5);
}

static void test_keys(void **state)
{
    scratch *sc = *state;
    pg_column cols[] = {column(1, "a", INT4, 2), column(2, "b", INT4, 1), column(3, "c", INT4, 0)};
    pg_shape now = shape_of(cols, 3), out;
    pg_rel_col both[] = {sent("a", INT4, true), sent("b", INT4, true), sent("c", INT4, false)};
    pg_relation r = relation_of(both, 3, 'd');
    assert_true(pg_shape_merge(&r, NULL, &now, &sc->a, &out)); /* agreed: the index's own order */
    wb_table *t = pg_shape_table(&out, 0);
    assert_int_equal(t->nkey, 2);
    assert_int_equal(t->key[0], 1);
    assert_int_equal(t->key[1], 0);
    wb_table_unref(t);

    pg_rel_col other[] = {sent("a", INT4, false), sent("b", INT4, false), sent("c", INT4, true)};
    r = relation_of(other, 3, 'i');
    assert_true(pg_shape_merge(&r, NULL, &now, &sc->a, &out)); /* the message wins */
    t = pg_shape_table(&out, 0);
    assert_int_equal(t->nkey, 1);
    assert_int_equal(t->key[0], 2);
    wb_table_unref(t);

    pg_rel_col all[] = {sent("a", INT4, true), sent("b", INT4, true), sent("c", INT4, true)};
    r = relation_of(all, 3, 'f'); /* every column is flagged: the primary key is what the catalog says */
    assert_true(pg_shape_merge(&r, NULL, &now, &sc->a, &out));
    t = pg_shape_table(&out, 0);
    assert_int_equal(t->nkey, 2);
    assert_true(t->flags & WB_TABLE_FULL_BEFORE);
    wb_table_unref(t);
}

static void test_columns_that_travel(void **state)
{
    WB_UNUSED(state);
    pg_column cols[] = {column(1, "id", INT4, 1), column(2, "g", INT4, 0), column(3, "id2", TEXT, 0),
                        column(4, "x", TEXT, 0)};
    cols[1].generated = true;
    pg_shape s = shape_of(cols, 4);
    pg_shape_narrow(&s, NULL);
    assert_int_equal(s.ncols, 3);
    pg_shape_narrow(&s, "x\1id"); /* a list is exact */
    assert_int_equal(s.ncols, 2);
    assert_true(wb_str_is(s.cols[0].name, "id"));
    assert_true(wb_str_is(s.cols[1].name, "x"));
}

static void test_what_older_rows_show(void **state)
{
    WB_UNUSED(state);
    pg_column cols[] = {column(1, "id", INT4, 1), column(2, "seven", INT4, 0), column(3, "unknown", TEXT, 0)};
    cols[1].missing = PG_MISSING_TEXT;
    cols[1].missing_text = WB_STR("7");
    cols[2].missing = PG_MISSING_UNKNOWN;
    pg_shape s = shape_of(cols, 3);
    wb_table *t = pg_shape_table(&s, WB_TABLE_INSERT_ONLY);
    assert_true(t->cols[0].flags & WB_COL_DEFAULT_KNOWN);
    assert_int_equal(t->cols[0].missing.kind, WB_NULL);
    assert_int_equal(t->cols[1].missing.kind, WB_INT);
    assert_memory_equal(t->cols[1].missing.as.ptr, "7", 1);
    assert_false(t->cols[2].flags & WB_COL_DEFAULT_KNOWN);
    assert_int_equal(t->flags, WB_TABLE_INSERT_ONLY);
    assert_int_equal(t->cols[1].id, 2);
    wb_table_unref(t);
}

static void test_versions_have_names(void **state)
{
    WB_UNUSED(state);
    pg_rel_col a[] = {sent("ab", INT4, true), sent("c", INT4, false)};
    pg_rel_col b[] = {sent("a", INT4, true), sent("bc", INT4, false)};
    pg_rel_col c[] = {sent("ab", INT4, true), sent("c", INT8, false)};
    pg_relation ra = relation_of(a, 2, 'd'), rb = relation_of(b, 2, 'd'), rc = relation_of(c, 2, 'd');
    assert_true(pg_shape_hash(&ra) != pg_shape_hash(&rb));
    assert_true(pg_shape_hash(&ra) != pg_shape_hash(&rc));
    rb = ra;
    rb.identity = 'f';
    assert_true(pg_shape_hash(&ra) == pg_shape_hash(&rb));
}

/* What is worth an event, and what is not. */
static void test_what_differs(void **state)
{
    WB_UNUSED(state);
    pg_column a[] = {column(1, "id", INT4, 1), column(2, "a", TEXT, 0)}, b[2];
    pg_shape was = shape_of(a, 2), is = shape_of(b, 2);
#define AGAIN() (memcpy(b, a, sizeof b), is = shape_of(b, 2))
    AGAIN();
    assert_false(pg_shape_differs(&was, &is));
    b[1].not_null = true; /* known from the catalog of the moment only */
    b[1].missing = PG_MISSING_UNKNOWN;
    b[1].attnum = 0;
    is.identity = 'f';
    assert_false(pg_shape_differs(&was, &is));
    AGAIN(), b[1].name = WB_STR("b");
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), b[1].type = INT8;
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), b[1].mod = 12;
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), b[1].attnum = 3; /* dropped and added again */
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), is.ncols = 1;
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), is.name = WB_STR("u");
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), b[1].key = 2;
    assert_true(pg_shape_differs(&was, &is));
    AGAIN(), b[0].key = 0; /* an identity without a key */
    assert_false(pg_shape_differs(&was, &is));
#undef AGAIN
}

static void test_what_was_told(void **state)
{
    scratch *s = *state;
    pg_column a[] = {column(1, "id", INT4, 1)};
    pg_told told = {.at = 0x1234567890, .ordinal = 7, .dropped = true, .shape = shape_of(a, 1)}, back;
    wb_out out = {0};
    pg_told_encode(&told, &out);
    assert_true(pg_told_decode((wb_str){out.p, out.len}, &s->a, &back));
    assert_int_equal(back.at, told.at);
    assert_int_equal(back.ordinal, 7);
    assert_true(back.dropped);
    assert_false(pg_shape_differs(&back.shape, &told.shape));
    for (size_t n = 0; n < out.len; n++) assert_false(pg_told_decode((wb_str){out.p, n}, &s->a, &back));
    wb_out_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_and_read_back, begin, end),
        cmocka_unit_test_setup_teardown(test_the_catalog_of_today, begin, end),
        cmocka_unit_test_setup_teardown(test_g07_yesterdays_names, begin, end),
        cmocka_unit_test_setup_teardown(test_a_name_in_between, begin, end),
        cmocka_unit_test_setup_teardown(test_descending_numbers_are_not_believed, begin, end),
        cmocka_unit_test_setup_teardown(test_keys, begin, end),
        cmocka_unit_test(test_columns_that_travel),
        cmocka_unit_test(test_what_older_rows_show),
        cmocka_unit_test(test_versions_have_names),
        cmocka_unit_test(test_what_differs),
        cmocka_unit_test_setup_teardown(test_what_was_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

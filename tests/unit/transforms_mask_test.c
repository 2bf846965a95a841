/* The transform mask. */
#include "transforms_kit.h"

extern const wb_transform wb_transform_mask;
#define MASK (&wb_transform_mask)

static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; /* FIPS 180-4 */

static void test_sha256(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int email:text note:text");
    kit_change(WB_UPDATE, t, ROW(t, "1", "abc", "x"), ROW(t, "1", "abc", "y"));
    kit_change(WB_DELETE, t, ROW(t, "1", ABSENT, ABSENT), NULL);
    kit_change(WB_INSERT, t, NULL, ROW(t, "2", NULL, UNCHANGED));
    kit_run(MASK, M("columns", T("*.email"), "with", T("sha256"), NULL));
    kit_value_is(&kit_at(0)->after[1], WB_TEXT, abc);
    kit_value_is(&kit_at(0)->before[1], WB_TEXT, abc);
    kit_value_is(&kit_at(0)->after[2], WB_TEXT, "y");
    assert_int_equal(kit_at(1)->before[1].kind, WB_ABSENT);
    assert_int_equal(kit_at(2)->after[1].kind, WB_NULL);
    assert_int_equal(kit_at(2)->after[2].kind, WB_UNCHANGED);
    assert_ptr_not_equal(kit_at(0)->table, t);
    assert_ptr_equal(kit_at(0)->table, kit_at(2)->table); /* made once */
    kit_str_is(kit_at(0)->table->source_name, "users");
}

static void test_salt(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int email:text");
    kit_change(WB_INSERT, t, NULL, ROW(t, "1", "bar"));
    kit_run(MASK, M("columns", T("email"), "with", T("sha256"), "salt", T("foo"), NULL));
    kit_value_is(&kit_at(0)->after[1], WB_TEXT, "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2");
}

static void test_words(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int card:text short:text name:text");
    kit_change(
        WB_INSERT, t, NULL,
        ROW(t, "1", "4111111111111234", "1234", "\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F"));
    kit_run(MASK, M("columns", L(T("users.card"), T("users.short"), T("users.name"), NULL), "with", T("last4"), NULL));
    kit_value_is(&kit_at(0)->after[1], WB_TEXT, "****1234");
    kit_value_is(&kit_at(0)->after[2], WB_TEXT, "****"); /* too short to show any of it */
    kit_value_is(&kit_at(0)->after[3], WB_TEXT, "****\xC3\xA4\xC3\xB6\xC3\xBC\xC3\x9F");
    kit_run(MASK, M("columns", T("card"), "with", T("redact"), NULL));
    kit_value_is(&kit_at(0)->after[1], WB_TEXT, "****");
    kit_run(MASK, M("columns", T("card"), "with", T("text"), "text", T("gone"), NULL));
    kit_value_is(&kit_at(0)->after[1], WB_TEXT, "gone");
    kit_run(MASK, M("columns", T("card"), "with", T("null"), NULL));
    assert_int_equal(kit_at(0)->after[1].kind, WB_NULL);
}

static void test_table_changes(void **state)
{
    WB_UNUSED(state);
    wb_column cols[2] = {
        {.name = WB_STR("id"), .type = WB_STR("integer"), .kind = WB_INT, .flags = WB_COL_KEY, .type_id = 23},
        {.name = WB_STR("age"),
         .type = WB_STR("integer"),
         .kind = WB_INT,
         .type_id = 23,
         .flags = WB_COL_NOT_NULL | WB_COL_DEFAULT_KNOWN,
         .missing = {.kind = WB_INT, .flags = WB_V_TEXT, .len = 3, .as.ptr = "abc"}},
    };
    uint16_t key[] = {0};
    wb_table proto = {
        .schema = WB_STR("public"), .name = WB_STR("users"), .ncols = 2, .nkey = 1, .cols = cols, .key = key};
    wb_table *t = wb_table_new(&proto);
    wb_batch_table(kit_batch, t);
    wb_table_unref(t);
    kit_change(WB_DDL, t, NULL, NULL);
    kit_run(MASK, M("columns", T("age"), "with", T("sha256"), NULL));
    const wb_column *age = &kit_at(0)->table->cols[1];
    assert_int_equal(age->kind, WB_TEXT);
    kit_str_is(age->type, "text");
    kit_value_is(&age->missing, WB_TEXT, abc); /* what old rows show is masked as well */
    assert_int_equal(kit_at(0)->table->nkey, 1);

    kit_batch->changes[0].table = t;
    kit_run(MASK, M("columns", T("age"), NULL)); /* null is the default */
    age = &kit_at(0)->table->cols[1];
    assert_int_equal(age->kind, WB_INT);
    assert_int_equal(age->flags & WB_COL_NOT_NULL, 0);
    assert_int_equal(age->missing.kind, WB_NULL);
}

static void test_keys(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "email!:text");
    kit_change(WB_INSERT, t, NULL, ROW(t, "abc"));
    kit_refused(MASK, M("columns", T("email"), NULL), "part of the key");
    kit_refused(MASK, M("columns", T("email"), "with", T("redact"), NULL), "part of the key");
    kit_run(MASK, M("columns", T("email"), "with", T("sha256"), NULL));
    kit_value_is(&kit_at(0)->after[0], WB_TEXT, abc);
    assert_int_equal(kit_at(0)->table->cols[0].flags & WB_COL_KEY, WB_COL_KEY);
}

/* The same array for old and new row, and a dropped change, are not hashed twice or at all. */
static void test_once(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int email:text");
    const wb_value *row = ROW(t, "1", "abc"), *other = ROW(t, "1", "abc");
    kit_change(WB_UPDATE, t, row, row);
    kit_change(WB_UPDATE, t, NULL, other);
    kit_batch->changes[1].targets = 0;
    kit_run(MASK, M("columns", T("email"), "with", T("sha256"), NULL));
    kit_value_is(&row[1], WB_TEXT, abc);
    kit_value_is(&other[1], WB_TEXT, "abc");
}

static void test_mistakes(void **state)
{
    WB_UNUSED(state);
    kit_refused(MASK, NULL, "columns");
    kit_refused(MASK, M("columns", L(NULL, NULL), NULL), "empty");
    kit_refused(MASK, M("columns", T("a.b.c.d"), NULL), "a.b.c.d");
    kit_refused(MASK, M("columns", T("a"), "with", T("sha265"), NULL), "sha265");
    kit_refused(MASK, M("columns", T("a"), "with", T("text"), NULL), "go together");
    kit_refused(MASK, M("columns", T("a"), "text", T("x"), NULL), "go together");
    kit_refused(MASK, M("columns", T("a"), "salt", T("x"), NULL), "salt");
    kit_refused(MASK, M("column", T("a"), NULL), "no option");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_sha256), KIT_TEST(test_salt), KIT_TEST(test_words),    KIT_TEST(test_table_changes),
        KIT_TEST(test_keys),   KIT_TEST(test_once), KIT_TEST(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

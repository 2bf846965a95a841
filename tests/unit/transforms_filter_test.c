/* The transform filter, and how values are compared. */
#include "transforms_kit.h"

#include "transforms/value.h"

extern const wb_transform wb_transform_filter;
#define FILTER (&wb_transform_filter)

static const wb_node *where(const char *column, const char *op, const wb_node *value)
{
    return M("where",
             value ? M("column", T(column), "op", T(op), "value", value, NULL)
                   : M("column", T(column), "op", T(op), NULL),
             NULL);
}

static void test_tables(void **state)
{
    WB_UNUSED(state);
    const wb_table *users = kit_table("public", "users", "id!:int"), *audit = kit_table("public", "audit_x", "id!:int");
    kit_change(WB_INSERT, users, NULL, ROW(users, "1"));
    kit_change(WB_INSERT, audit, NULL, ROW(audit, "1"));
    kit_change(WB_TRUNCATE, audit, NULL, NULL);
    kit_run(FILTER, M("tables", L(T("public.*"), T("!public.audit_*"), NULL), NULL));
    assert_false(kit_dropped(0));
    assert_true(kit_dropped(1));
    assert_true(kit_dropped(2));
    assert_int_equal(kit_at(1)->ordinal, 1); /* ids stay */
}

/* A statement about a schema: kept where one of its tables could be, left alone where only some tables are looked at.
 */
static void test_schemas(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *key, *pattern;
        bool dropped;
    } all[] = {{"tables", "shop.orders", false}, {"tables", "other.*", true}, {"tables", "!shop.*", true}};
    const wb_table *shop = kit_table("shop", "", "");
    wb_change *c = wb_batch_ddl(kit_batch, WB_DDL_CREATE, 0, NULL, shop, WB_STR("create database shop"));
    for (size_t i = 0; i < WB_COUNT(all); i++) {
        c->targets = 1;
        kit_run(FILTER, M(all[i].key, L(T(all[i].pattern), NULL), NULL));
        assert_int_equal(kit_dropped(0), all[i].dropped);
    }
    c->targets = 1;
    kit_run(FILTER, M("for", T("shop.orders"), "operations", L(T("insert"), NULL), NULL));
    assert_false(kit_dropped(0));
    kit_run(FILTER, M("operations", L(T("insert"), T("update"), NULL), NULL));
    assert_true(kit_dropped(0));
}

static void test_operations(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int");
    for (int op = 0; op < WB_MESSAGE; op++) kit_change((wb_op)op, t, NULL, NULL);
    kit_change(WB_MESSAGE, NULL, NULL, NULL);
    kit_run(FILTER, M("operations", L(T("insert"), T("delete"), NULL), NULL));
    for (int op = 0; op < WB_OPS; op++)
        assert_int_equal(kit_dropped((size_t)op), op != WB_INSERT && op != WB_READ && op != WB_DELETE);
}

static void test_scope(void **state)
{
    WB_UNUSED(state);
    const wb_table *a = kit_table("public", "orders", "id!:int"), *b = kit_table("public", "users", "id!:int");
    kit_change(WB_INSERT, a, NULL, ROW(a, "1"));
    kit_change(WB_INSERT, b, NULL, ROW(b, "1"));
    kit_run(FILTER, M("for", T("orders"), "where", M("column", T("id"), "op", T(">"), "value", T("1"), NULL), NULL));
    assert_true(kit_dropped(0));
    assert_false(kit_dropped(1));
}

/* One row a comparison: kind, what the row has, op, what the filter says, kept? */
static void test_compare(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *spec, *value, *op, *with;
        bool kept;
    } all[] = {
        {"v:int", "9", "<", "10", true}, /* not as text */
        {"v:int", "-9", "<", "-10", false},
        {"v:int", "9223372036854775807", ">", "9223372036854775806", true},
        {"v:int", "7", "=", "7.0", true},
        {"v:decimal", "0.10", "=", "0.1", true},
        {"v:decimal", "9007199254740993", "=", "9007199254740992", false}, /* equal as doubles */
        {"v:decimal", "123456789012345678901234567890.5", ">", "123456789012345678901234567890.49", true},
        {"v:decimal", "-0.0", "=", "0", true},
        {"v:decimal", "-1.5", "<", "-1.25", true},
        {"v:decimal", "NaN", ">", "Infinity", true},
        {"v:decimal", "-Infinity", "<", "-99999999999999999999", true},
        {"v:float", "1e3", "=", "1000", true},
        {"v:float", "NaN", "=", "nan", true},
        {"v:bool", "t", "=", "true", true},
        {"v:bool", "f", "=", "yes", false},
        {"v:text", "B", "<", "a", true}, /* bytes */
        {"v:text", "a", "!=", "a", false},
        {"v:text", "", "=", "", true},
        {"v:uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "=", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", true},
        {"v:bytes", "\\x00ff", "=", "\\x00FF", true},
        {"v:date", "2024-02-29", ">=", "2024-02-29", true},
        {"v:date", "infinity", ">", "9999-12-31", true},
        {"v:date", "0044-03-15 BC", "<", "0001-01-01", true},
        {"v:time", "24:00:00", ">", "23:59:59.999999", true},
        {"v:timestamp", "2024-01-01 00:00:00", "=", "2024-01-01", true},
        {"v:timestamp", "2024-01-01 10:00:00.5", ">", "2024-01-01T10:00:00", true},
        {"v:timestamptz", "2024-01-01 10:00:00+00", "=", "2024-01-01 12:00:00+02", true},
        {"v:timestamptz", "2024-01-01 10:00:00+00", "=", "2024-01-01T10:00:00Z", true},
        {"v:text", "hello", "like", "h%o", true},
        {"v:text", "hello", "like", "h_o", false},
        {"v:text", "h\xC3\xA4o", "like", "h_o", true},
        {"v:text", "100%", "like", "100\\%", true},
        {"v:text", "1000", "like", "100\\%", false},
        {"v:text", "hello", "not_like", "%ell%", false},
        {"v:text", NULL, "=", "a", false},
        {"v:text", NULL, "!=", "a", true}, /* NULL differs from everything */
        {"v:int", NULL, "<", "1", false},
        {"v:int", ABSENT, "=", "1", true}, /* not known: kept */
        {"v:int", UNCHANGED, "=", "1", true},
        {"w:int", "5", "=", "1", true}, /* no such column: kept */
    };
    for (size_t i = 0; i < WB_COUNT(all); i++) {
        const wb_table *t = kit_table("public", "t", all[i].spec);
        size_t at = kit_change(WB_INSERT, t, NULL, ROW(t, all[i].value));
        kit_run(FILTER, where("v", all[i].op, Q(all[i].with)));
        if (kit_dropped(at) == all[i].kept)
            fail_msg("%s %s %s %s: %s", all[i].spec, all[i].value ? all[i].value : "NULL", all[i].op, all[i].with,
                     all[i].kept ? "dropped" : "kept");
        wb_batch_clear(kit_batch);
        *wb_batch_txn(kit_batch) = (wb_txn){0};
    }
}

static void test_lists_and_null(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "t", "v:int");
    kit_change(WB_INSERT, t, NULL, ROW(t, "1"));
    kit_change(WB_INSERT, t, NULL, ROW(t, "3"));
    kit_change(WB_INSERT, t, NULL, ROW(t, NULL));
    static const struct {
        const char *op;
        bool value;
        bool dropped[3];
    } all[] = {
        {"in", true, {false, true, true}},
        {"not_in", true, {true, false, false}},
        {"is_null", false, {true, true, false}},
        {"not_null", false, {false, false, true}},
    };
    for (size_t k = 0; k < WB_COUNT(all); k++) {
        for (size_t i = 0; i < 3; i++) kit_batch->changes[i].targets = 1;
        kit_run(FILTER, where("v", all[k].op, all[k].value ? L(T("1"), T("2"), NULL) : NULL));
        for (size_t i = 0; i < 3; i++) assert_int_equal(kit_dropped(i), all[k].dropped[i]);
    }
}

static void test_which_row(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "t", "id!:int v:text");
    size_t gone = kit_change(WB_DELETE, t, ROW(t, "1", "a"), NULL);
    size_t key_only = kit_change(WB_DELETE, t, ROW(t, "1", ABSENT), NULL);
    size_t update = kit_change(WB_UPDATE, t, ROW(t, "1", "b"), ROW(t, "1", "a"));
    size_t toast = kit_change(WB_UPDATE, t, ROW(t, "1", "a"), ROW(t, "1", UNCHANGED));
    size_t unknown = kit_change(WB_UPDATE, t, NULL, ROW(t, "1", UNCHANGED));
    size_t ddl = kit_change(WB_DDL, t, NULL, NULL);
    kit_run(FILTER, where("v", "=", T("b")));
    assert_true(kit_dropped(gone));
    assert_false(kit_dropped(key_only)); /* not known */
    assert_true(kit_dropped(update));    /* the new row */
    assert_true(kit_dropped(toast));     /* unchanged: the old row tells */
    assert_false(kit_dropped(unknown));
    assert_false(kit_dropped(ddl));
}

static void test_number_forms(void **state)
{
    WB_UNUSED(state);
    static const struct {
        wb_kind kind;
        int64_t i;
        const char *text;
    } all[] = {
        {WB_INT, -5, "-5"},
        {WB_BOOL, 1, "t"},
        {WB_DATE, 19782, "2024-02-29"},
        {WB_DATE, -1, "1969-12-31"},
        {WB_TIME, 45296500000, "12:34:56.5"},
        {WB_TIMESTAMP, -1, "1969-12-31 23:59:59.999999"},
        {WB_TIMESTAMPTZ, 1700000000000000, "2023-11-14 22:13:20+00"},
    };
    for (size_t i = 0; i < WB_COUNT(all); i++) {
        char buf[WB_VALUE_TEXT];
        wb_value v = {.kind = (uint8_t)all[i].kind, .as.i = all[i].i};
        kit_str_is(wb_value_text(&v, buf), all[i].text);
        wb_literal l;
        const char *want;
        int order;
        assert_true(wb_literal_make(wb_str_of(all[i].text), wb_str_of(all[i].text), all[i].kind, &l, &want));
        assert_true(wb_literal_compare(&v, &l, &order));
        assert_int_equal(order, 0);
    }
    char buf[WB_VALUE_TEXT];
    wb_value f = {.kind = WB_FLOAT, .as.f = 0.1};
    kit_str_is(wb_value_text(&f, buf), "0.1");
    f.as.f = 1.0 / 3;
    kit_str_is(wb_value_text(&f, buf), "0.3333333333333333");
    wb_value raw = {.kind = WB_BYTES, .len = 2, .as.ptr = "\x00\xff"};
    wb_literal l;
    const char *want;
    int order;
    assert_true(wb_literal_make(WB_STR("\\x00ff"), WB_STR("\\x00ff"), WB_BYTES, &l, &want));
    assert_true(wb_literal_compare(&raw, &l, &order));
    assert_int_equal(order, 0);
}

static void test_mistakes(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "t", "v:int d:date");
    kit_change(WB_INSERT, t, NULL, ROW(t, "1", NULL));
    kit_refused(FILTER, NULL, "says nothing");
    kit_refused(FILTER, M("operations", T("insrt"), NULL), "no operation \"insrt\"");
    kit_refused(FILTER, M("tables", T("a.b.c"), NULL), "schema.table");
    kit_refused(FILTER, where("v", "=~", T("1")), "no op \"=~\"");
    kit_refused(FILTER, where("v", "=", T("null")), "compares with null");
    kit_refused(FILTER, where("v", "is_null", T("1")), "take no value");
    kit_refused(FILTER, where("v", "=", NULL), "no \"value\"");
    kit_refused(FILTER, where("v", "in", T("1")), "take a list");
    kit_refused(FILTER, M("where", M("colunm", T("v"), NULL), NULL), "no key \"colunm\"");
    kit_refused(FILTER, M("where", M("op", T("="), NULL), NULL), "no \"column\"");
    kit_refused(FILTER, where("v", "=", T("abc")), "\"abc\" is not a number");
    kit_refused(FILTER, where("v", "=", T("1e5")), "is not a number");
    kit_refused(FILTER, where("d", "=", T("yesterday")), "is not a date");
    kit_refused(FILTER, M("oprations", T("insert"), NULL), "oprations");
    wb_error err = {0};
    assert_null(kit_parse(FILTER, where("v", "=<", T("1")), &err));
    assert_non_null(strstr(err.where, "t.yaml:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_tables),    KIT_TEST(test_schemas),      KIT_TEST(test_operations),
        KIT_TEST(test_scope),     KIT_TEST(test_compare),      KIT_TEST(test_lists_and_null),
        KIT_TEST(test_which_row), KIT_TEST(test_number_forms), KIT_TEST(test_mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

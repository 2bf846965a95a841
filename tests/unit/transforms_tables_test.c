/* The transforms that make new tables: rename, route, columns, add_columns; and that they follow one another. */
#include "transforms_kit.h"

extern const wb_transform wb_transform_rename, wb_transform_route, wb_transform_columns, wb_transform_add_columns,
    wb_transform_mask;
#define RENAME (&wb_transform_rename)
#define ROUTE (&wb_transform_route)
#define COLUMNS (&wb_transform_columns)
#define ADD (&wb_transform_add_columns)

static void test_rename(void **state)
{
    WB_UNUSED(state);
    const wb_table *users = kit_table("public", "users", "id!:int mail:text"),
                   *other = kit_table("app", "users", "id!:int mail:text");
    kit_change(WB_INSERT, users, NULL, ROW(users, "1", "a"));
    kit_change(WB_INSERT, other, NULL, ROW(other, "1", "a"));
    kit_run(RENAME,
            M("tables", M("public.users", T("crm.people"), NULL), "columns", M("users.mail", T("email"), NULL), NULL));
    const wb_table *t = kit_at(0)->table;
    kit_str_is(t->schema, "crm");
    kit_str_is(t->name, "people");
    kit_str_is(t->source_schema, "public");
    kit_str_is(t->source_name, "users");
    kit_str_is(t->cols[1].name, "email");
    kit_str_is(t->cols[1].source_name, "mail");
    kit_str_is(kit_at(1)->table->schema, "app");
    kit_str_is(kit_at(1)->table->cols[1].name, "email");
    assert_int_equal(t->nkey, 1);
}

static void test_rename_leaves_others(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users2", "id!:int mail:text");
    kit_change(WB_INSERT, t, NULL, ROW(t, "1", "a"));
    kit_run(RENAME, M("tables", M("public.users", T("people"), NULL), NULL));
    assert_ptr_equal(kit_at(0)->table, t);
}

/* A schema change speaks of two tables, and both get their new names, columns and destinations. */
static void test_schema_change(void **state)
{
    WB_UNUSED(state);
    const wb_table *was = kit_table("public", "users", "id!:int mail:text"),
                   *is = kit_table("public", "users", "id!:int mail:text password:text");
    wb_batch_ddl(kit_batch, WB_DDL_ALTER, 0, was, is, WB_STR("alter table"))->targets = 1;
    wb_batch_ddl(kit_batch, WB_DDL_DROP, 0, was, NULL, WB_STR(""))->targets = 1;
    kit_change(WB_INSERT, is, NULL, ROW(is, "1", "a", "b"));
    kit_run(RENAME, M("columns", M("users.mail", T("email"), NULL), NULL));
    kit_run(COLUMNS, M("drop", L(T("*.password"), NULL), NULL));
    kit_run(ADD, M("columns", M("at", T("operation"), NULL), NULL));
    const wb_ddl *d = kit_at(0)->ddl;
    kit_str_is(d->sql, "alter table");
    assert_int_equal(d->before->ncols, 3);
    kit_str_is(d->before->cols[1].name, "email");
    kit_str_is(d->before->cols[2].name, "at");
    assert_int_equal(d->after->ncols, 3);
    assert_ptr_equal(kit_at(0)->table, d->after);
    assert_ptr_equal(kit_at(2)->table, d->after);
    assert_null(kit_at(1)->ddl->after);
    assert_ptr_equal(kit_at(1)->table, kit_at(1)->ddl->before);
    assert_ptr_equal(kit_at(1)->table, d->before);
}

/* A schema has no columns and no destination of its own. */
static void test_schemas_stay(void **state)
{
    WB_UNUSED(state);
    const wb_table *shop = kit_table("shop", "", "");
    wb_batch_ddl(kit_batch, WB_DDL_ALTER, 0, shop, shop, WB_STR("alter database"))->targets = 1;
    kit_run(RENAME, M("tables", M("shop.t", T("crm.u"), NULL), NULL));
    kit_run(ADD, M("columns", M("at", T("operation"), NULL), NULL));
    kit_run(ROUTE, M("to", T("${schema}.${table}"), NULL));
    assert_ptr_equal(kit_at(0)->table, shop);
    assert_ptr_equal(kit_at(0)->ddl->after, shop);
}

static void test_route(void **state)
{
    WB_UNUSED(state);
    const wb_table *a = kit_table("public", "orders", "id!:int"), *b = kit_table("public", "users", "id!:int");
    kit_change(WB_INSERT, a, NULL, ROW(a, "1"));
    kit_change(WB_INSERT, b, NULL, ROW(b, "1"));
    kit_run(ROUTE, M("tables", T("orders"), "to", T("${name}/${schema}.${table}.x"), NULL));
    kit_str_is(kit_at(0)->table->route, "shop/public.orders.x");
    kit_str_is(kit_at(1)->table->route, "");
    kit_refused(ROUTE, M("to", T("${tabel}"), NULL), "no word ${tabel}");
    kit_refused(ROUTE, M("to", T("${table"), NULL), "never closed");
    kit_refused(ROUTE, NULL, "to");
}

static void test_drop_columns(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "a:text id!:int password:text b:text");
    kit_change(WB_UPDATE, t, ROW(t, "1", "2", "3", "4"), ROW(t, "5", "6", "7", "8"));
    kit_run(COLUMNS, M("drop", L(T("*.password"), T("users.a"), NULL), NULL));
    const wb_change *c = kit_at(0);
    assert_int_equal(c->table->ncols, 2);
    kit_str_is(c->table->cols[0].name, "id");
    kit_str_is(c->table->cols[1].name, "b");
    assert_int_equal(c->table->key[0], 0);
    kit_value_is(&c->before[0], WB_INT, "2");
    kit_value_is(&c->before[1], WB_TEXT, "4");
    kit_value_is(&c->after[0], WB_INT, "6");
    kit_value_is(&c->after[1], WB_TEXT, "8");
}

static void test_keep_columns(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int name:text note:text"),
                   *other = kit_table("public", "x", "id!:int y:text");
    kit_change(WB_INSERT, t, NULL, ROW(t, "1", "n", "o"));
    kit_change(WB_INSERT, other, NULL, ROW(other, "1", "n"));
    kit_run(COLUMNS, M("keep", T("users.name"), NULL));
    assert_int_equal(kit_at(0)->table->ncols, 2); /* the key stays */
    kit_value_is(&kit_at(0)->after[1], WB_TEXT, "n");
    assert_ptr_equal(kit_at(1)->table, other); /* not meant */
    kit_refused(COLUMNS, M("drop", T("x.id"), NULL), "part of the key");
    kit_refused(COLUMNS, NULL, "says nothing");
}

static const wb_node *V(const wb_node *n) { return M("value", n, NULL); }
static const wb_node *one(const char *name, const wb_node *n) { return M("columns", M(name, n, NULL), NULL); }
static const wb_node *clock_as(const char *word) { return M("event_timestamp", T(word), NULL); }

static void test_add_columns(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int");
    kit_change(WB_UPDATE, t, ROW(t, "1"), ROW(t, "2"));
    kit_change(WB_DELETE, t, ROW(t, "1"), NULL);
    kit_change(WB_TRUNCATE, t, NULL, NULL);
    kit_run(ADD, M("columns",
                   M("ts", T("event_timestamp"), "op", T("operation"), "service", T("pipeline"), "lsn", T("position"),
                     "xid", T("transaction"), "region", V(T("eu")), "tenant", V(T("7")), "rate", V(T("0.10")), "live",
                     V(T("true")), "zip", V(Q("01234")), "nil", V(T("null")), NULL),
                   NULL));
    const wb_change *c = kit_at(0);
    assert_int_equal(c->table->ncols, 12);
    assert_true(c->table->cols[1].flags & WB_COL_ADDED);
    kit_str_is(c->table->cols[1].name, "ts");
    kit_value_is(&c->after[0], WB_INT, "2");
    assert_int_equal(c->after[1].kind, WB_INT);
    assert_int_equal(c->after[1].as.i, 1700000000);
    kit_value_is(&c->after[2], WB_TEXT, "UPDATE");
    kit_value_is(&c->after[3], WB_TEXT, "shop");
    assert_int_equal(c->after[4].as.i, 4096);
    kit_value_is(&c->after[5], WB_TEXT, "742");
    kit_value_is(&c->after[6], WB_TEXT, "eu");
    assert_int_equal(c->after[7].kind, WB_INT);
    assert_int_equal(c->after[7].as.i, 7);
    kit_value_is(&c->after[8], WB_DECIMAL, "0.10");
    assert_int_equal(c->after[9].kind, WB_BOOL);
    kit_value_is(&c->after[10], WB_TEXT, "01234");
    assert_int_equal(c->after[11].kind, WB_NULL);
    kit_value_is(&c->before[0], WB_INT, "1");
    for (size_t i = 1; i < 12; i++) assert_int_equal(c->before[i].kind, WB_ABSENT);
    kit_value_is(&kit_at(1)->before[2], WB_TEXT, "DELETE"); /* its only row */
    assert_null(kit_at(2)->after);
    assert_ptr_equal(kit_at(2)->table, c->table);
}

static void test_timestamps(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int");
    kit_change(WB_INSERT, t, NULL, ROW(t, "2"));
    kit_run(ADD, one("us", clock_as("us")));
    kit_run(ADD, one("iso", clock_as("iso")));
    assert_int_equal(kit_at(0)->after[1].as.i, 1700000000123456);
    assert_int_equal(kit_at(0)->after[2].kind, WB_TIMESTAMPTZ);
    assert_int_equal(kit_at(0)->table->cols[2].kind, WB_TIMESTAMPTZ);
    kit_batch->txns[0].commit_us = -1; /* before 1970: floor */
    kit_run(ADD, one("s", clock_as("seconds")));
    assert_int_equal(kit_at(0)->after[3].as.i, -1);
}

static void test_add_mistakes(void **state)
{
    WB_UNUSED(state);
    const wb_table *t = kit_table("public", "users", "id!:int");
    kit_change(WB_INSERT, t, NULL, ROW(t, "2"));
    kit_refused(ADD, NULL, "needs the option");
    kit_refused(ADD, M("columns", T("x"), NULL), "is a map");
    kit_refused(ADD, one("id", T("operation")), "already has a column \"id\"");
    kit_refused(ADD, one("x", T("operatoin")), "no column content \"operatoin\"");
    kit_refused(ADD, one("x", clock_as("hours")), "no way to write the time \"hours\"");
    kit_refused(ADD, one("x", V(L(T("a"), NULL))), "one plain value");
    kit_refused(ADD, one("x", M("valeu", T("a"), NULL)), "{value: ...}");
    kit_refused(RENAME, M("columns", M("mail", T("email"), NULL), NULL), "table.column");
    kit_refused(RENAME, M("tables", M("users", T("null"), NULL), NULL), "missing");
    kit_refused(RENAME, NULL, "names nothing");
    const wb_table *two = kit_table("public", "two", "a!:int b:int");
    kit_change(WB_INSERT, two, NULL, ROW(two, "2", "3"));
    kit_refused(RENAME, M("columns", M("two.a", T("b"), NULL), NULL), "two columns named \"b\"");
}

/* Table versions beyond what is remembered, and steps one after another. */
static void test_many_tables(void **state)
{
    WB_UNUSED(state);
    wb_error err = {0};
    void *add = kit_open(ADD, one("op", T("operation"))),
         *mask = kit_open(&wb_transform_mask, M("columns", T("v"), "with", T("redact"), NULL));
    for (int round = 0; round < 10; round++) {
        const wb_table *first = NULL;
        for (int i = 0; i < 600; i++) {
            char name[32];
            snprintf(name, sizeof name, "t%d_%d", round, i);
            const wb_table *t = kit_table("public", name, "id!:int v:text");
            if (!first) first = t;
            kit_change(WB_INSERT, t, NULL, ROW(t, "1", "x"));
        }
        kit_change(WB_INSERT, first, NULL, ROW(first, "1", "x"));
        assert_int_equal(kit_apply(ADD, add, &err), WB_OK);
        assert_int_equal(kit_apply(&wb_transform_mask, mask, &err), WB_OK);
        for (size_t i = 0; i < kit_batch->nchanges; i++) {
            assert_int_equal(kit_at(i)->table->ncols, 3);
            kit_value_is(&kit_at(i)->after[1], WB_TEXT, "****");
            kit_value_is(&kit_at(i)->after[2], WB_TEXT, "INSERT");
        }
        wb_batch_clear(kit_batch);
        *wb_batch_txn(kit_batch) = (wb_txn){0};
    }
    ADD->close(add);
    wb_transform_mask.close(mask);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KIT_TEST(test_rename),        KIT_TEST(test_rename_leaves_others),
        KIT_TEST(test_schema_change), KIT_TEST(test_schemas_stay),
        KIT_TEST(test_route),         KIT_TEST(test_drop_columns),
        KIT_TEST(test_keep_columns),  KIT_TEST(test_add_columns),
        KIT_TEST(test_timestamps),    KIT_TEST(test_add_mistakes),
        KIT_TEST(test_many_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

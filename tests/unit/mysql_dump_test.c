/* mysql_dump_test.c: schema dumps: columns, keys, defaults and comments as information_schema would tell them. */
#include "mysql_help.h"
#include "sources/mysql/files.h"

static const char mysql_dump[] =
    "USE `shop`;\n"
    "CREATE TABLE `t` (\n"
    "  `id` int NOT NULL AUTO_INCREMENT,\n"
    "  `n` decimal(5,2) DEFAULT '1.50' COMMENT 'it''s, a (number)',\n"
    "  `v` varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT 'it''s \\\\ DEFAULT',\n"
    "  `b` bit(3) DEFAULT b'101',\n"
    "  `bn` binary(3) DEFAULT _binary 'a\\0',\n"
    "  `none` int DEFAULT NULL,\n"
    "  `ts` timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),\n"
    "  `ex` varchar(40) DEFAULT (concat('a ',' b')) COMMENT 'x',\n"
    "  `e` enum('a,b','DEFAULT x') DEFAULT 'a,b',\n"
    "  `g` int GENERATED ALWAYS AS ((`id` + 1)) VIRTUAL,\n"
    "  PRIMARY KEY (`id`),\n"
    "  UNIQUE KEY `u` (`v`)\n"
    ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='the table''s';\n";

static const char mariadb_dump[] =
    "CREATE TABLE `t` (\n"
    "  `n` int(11) NOT NULL DEFAULT 5,\n"
    "  `v` varchar(20) DEFAULT 'it''s',\n"
    "  `none` int(11) DEFAULT NULL,\n"
    "  `ts` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),\n"
    "  `p` varchar(9) NOT NULL,\n"
    "  UNIQUE KEY `may_be_null` (`v`),\n"
    "  UNIQUE KEY `part` (`p`(3)),\n"
    "  UNIQUE KEY `whole` (`n`,`p`),\n"
    "  UNIQUE KEY `later` (`n`)\n"
    ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n";

typedef struct row {
    const char *name, *type, *def, *extra, *comment;
} row;

static void same(wb_str s, const char *z)
{
    if (!z) {
        assert_null(s.ptr);
        return;
    }
    if (s.len != strlen(z)) fail_msg("%.*s, not %s", (int)s.len, s.ptr, z);
    if (s.len) assert_memory_equal(s.ptr, z, s.len);
}

static const my_schema *read_dump(my_shapes *s, const char *text, my_flavor flavor, const row *rows, size_t n)
{
    wb_error err;
    wb_error_reset(&err);
    assert_int_equal(my_shapes_read(s, "dump.sql", text, strlen(text), &err), WB_OK);
    my_shapes_dress(s, flavor);
    my_shapes_dress(s, flavor); /* once */
    const my_schema *t = my_shapes_find(s, WB_STR("shop"), WB_STR("t"));
    assert_non_null(t);
    assert_int_equal(t->ncols, n);
    for (size_t i = 0; i < n; i++) {
        same(t->cols[i].name, rows[i].name);
        same(t->cols[i].type, rows[i].type);
        same(t->cols[i].default_sql, rows[i].def);
        same(t->cols[i].extra, rows[i].extra);
        same(t->cols[i].comment, rows[i].comment);
    }
    return t;
}

static void test_dump_of_mysql(void **state)
{
    (void)state;
    static const row rows[] = {
        {"id", "int", NULL, "auto_increment", NULL},
        {"n", "decimal(5,2)", "1.50", "", "it's, a (number)"},
        {"v", "varchar(20)", "it's \\ DEFAULT", "", NULL},
        {"b", "bit(3)", "b'101'", "", NULL},
        {"bn", "binary(3)", "0x6100", "", NULL},
        {"none", "int", NULL, "", NULL},
        {"ts", "timestamp(3)", "CURRENT_TIMESTAMP(3)", "DEFAULT_GENERATED on update CURRENT_TIMESTAMP", NULL},
        {"ex", "varchar(40)", "(concat('a ',' b'))", "DEFAULT_GENERATED", "x"},
        {"e", "enum('a,b','DEFAULT x')", "a,b", "", NULL},
        {"g", "int", NULL, "", NULL},
    };
    my_shapes s = {.tables = NULL};
    const my_schema *t = read_dump(&s, mysql_dump, MY_MYSQL, rows, WB_COUNT(rows));
    assert_int_equal(t->nkey, 1);
    assert_int_equal(t->key[0], 0);
    same(t->cols[2].charset, "latin1");
    assert_true(t->cols[9].flags & WB_COL_GENERATED);
    my_shapes_fini(&s);
}

static void test_dump_of_mariadb(void **state)
{
    (void)state;
    static const row rows[] = {
        {"n", "int(11)", "5", "", NULL},
        {"v", "varchar(20)", "'it''s'", "", NULL},
        {"none", "int(11)", NULL, "", NULL},
        {"ts", "timestamp", "current_timestamp()", "on update CURRENT_TIMESTAMP", NULL},
        {"p", "varchar(9)", NULL, "", NULL},
    };
    my_shapes s = {.tables = NULL};
    const my_schema *t = read_dump(&s, mariadb_dump, MY_MARIADB, rows, WB_COUNT(rows));
    assert_int_equal(t->nkey, 2); /* the first that may not be null and has whole columns */
    assert_int_equal(t->key[0], 0);
    assert_int_equal(t->key[1], 4);
    my_shapes_fini(&s);
}

/* Whatever a file holds: no read beyond its end. */
static void test_dumps_that_end_anywhere(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof mysql_dump; n++) {
        wb_error err;
        wb_error_reset(&err);
        my_shapes s = {.tables = NULL};
        char *text = malloc(n + 1);
        assert_non_null(text);
        memcpy(text, mysql_dump, n);
        if (my_shapes_read(&s, "dump.sql", text, n, &err) == WB_OK) my_shapes_dress(&s, MY_MYSQL);
        my_shapes_fini(&s);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dump_of_mysql),
        cmocka_unit_test(test_dump_of_mariadb),
        cmocka_unit_test(test_dumps_that_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

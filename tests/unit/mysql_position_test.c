/* Positions of MySQL and MariaDB: what they hold, their order, where two of them meet, and their text. */
#include "check.h"
#include "sources/mysql/position.h"

#define UUID_A "3e11fa47-71ca-11e1-9e33-c80aa9429562"
#define UUID_B "4e11fa47-71ca-11e1-9e33-c80aa9429562"

typedef struct made {
    uint8_t bytes[2000];
    size_t len;
} made;

static wb_pos pos_of(const made *m) { return (wb_pos){m->bytes, m->len}; }

/* set NULL: none; log NULL: no file. */
static made make(my_flavor flavor, const char *set, uint64_t lineage, const char *log, uint64_t offset)
{
    made m = {.len = 0};
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    my_gtid_set *s = set ? my_gtid_set_new() : NULL;
    if (set) assert_int_equal(my_gtid_set_parse(s, wb_str_of(set), &err), WB_OK);
    my_pos p = {.flavor = flavor, .has_file = log != NULL, .lineage = lineage, .log = wb_str_of(log), .offset = offset};
    assert_true(my_pos_make(&o, &p, s));
    assert_true(o.len <= sizeof m.bytes);
    memcpy(m.bytes, o.p, o.len);
    m.len = o.len;
    wb_out_fini(&o);
    my_gtid_set_free(s);
    return m;
}

static made at(my_flavor flavor, const char *gtid, uint64_t lineage, const char *log, uint64_t start)
{
    made m = {.len = 0};
    wb_out o = {0};
    wb_error err;
    wb_error_reset(&err);
    my_pos p = {.flavor = flavor,
                .has_set = gtid != NULL,
                .has_file = log != NULL,
                .lineage = lineage,
                .log = wb_str_of(log),
                .offset = start};
    if (gtid && flavor == MY_MARIADB) {
        my_gtid_set *s = my_gtid_set_new();
        assert_int_equal(my_gtid_set_parse(s, wb_str_of(gtid), &err), WB_OK);
        assert_true(my_gtid_set_domain(s, 0, &p.gtid));
        my_gtid_set_free(s);
    } else if (gtid) { /* "uuid:n" or "uuid:tag:n" */
        for (int i = 0, k = 0; i < 36; i++) {
            if (gtid[i] == '-') continue;
            unsigned v;
            char two[3] = {gtid[i], gtid[i + 1], 0};
            assert_int_equal(sscanf(two, "%x", &v), 1);
            p.gtid.sid[k++] = (uint8_t)v;
            i++;
        }
        const char *last = strrchr(gtid, ':');
        if (last != gtid + 36)
            (void)snprintf(p.gtid.tag, sizeof p.gtid.tag, "%.*s", (int)(last - gtid - 37), gtid + 37);
        p.gtid.flavor = MY_MYSQL;
        p.gtid.n = strtoull(last + 1, NULL, 10);
    }
    my_at_make(&o, &p);
    memcpy(m.bytes, o.p, o.len);
    m.len = o.len;
    wb_out_fini(&o);
    return m;
}

static bool holds(made pos, made txn)
{
    wb_txn t = {.at = pos_of(&txn)};
    return my_pos_holds(pos_of(&pos), &t);
}

static int compare(made a, made b) { return my_pos_compare(pos_of(&a), pos_of(&b)); }

static made mysql(const char *set) { return make(MY_MYSQL, set, 7, "binlog.000002", 500); }
static made mysql_txn(const char *gtid) { return at(MY_MYSQL, gtid, 7, "binlog.000002", 400); }

static void test_d41_a_hole_in_the_set_is_not_inside(void **state)
{
    WB_UNUSED(state);
    made pos = mysql(UUID_A ":1-3:5-10");
    assert_true(holds(pos, mysql_txn(UUID_A ":3")));
    assert_false(holds(pos, mysql_txn(UUID_A ":4")));
    assert_true(holds(pos, mysql_txn(UUID_A ":5")));
    assert_true(holds(pos, mysql_txn(UUID_A ":10")));
    assert_false(holds(pos, mysql_txn(UUID_A ":11")));
    assert_false(holds(pos, mysql_txn(UUID_B ":1")));
    assert_true(holds(mysql(UUID_A ":5"), mysql_txn(UUID_A ":5"))); /* a single number: DBZ-7905 */
    assert_false(holds(mysql(""), mysql_txn(UUID_A ":1")));
}

static void test_sets_of_several_servers_and_tags(void **state)
{
    WB_UNUSED(state);
    made pos = mysql(UUID_A ":1-3," UUID_B ":1-9");
    assert_true(holds(pos, mysql_txn(UUID_B ":9")));
    assert_false(holds(pos, mysql_txn(UUID_B ":10")));
    made tagged = mysql(UUID_A ":1-3:blue:1-2");
    assert_true(holds(tagged, mysql_txn(UUID_A ":blue:2")));
    assert_false(holds(tagged, mysql_txn(UUID_A ":blue:3")));
    assert_true(holds(tagged, mysql_txn(UUID_A ":3")));
    assert_false(holds(tagged, mysql_txn(UUID_A ":red:1")));
    assert_false(holds(pos, mysql_txn(UUID_A ":blue:1")));
}

static void test_mysql_with_gtids_ignores_files(void **state)
{
    WB_UNUSED(state); /* a clone has the same files' names, and another server the same offsets */
    made pos = make(MY_MYSQL, UUID_A ":1-3", 7, "binlog.000009", 9000);
    assert_false(holds(pos, at(MY_MYSQL, UUID_A ":4", 7, "binlog.000001", 4)));
    assert_int_equal(compare(pos, make(MY_MYSQL, UUID_A ":1-4", 7, "binlog.000001", 4)), -1);
    assert_int_equal(compare(pos, make(MY_MYSQL, UUID_A ":1-3", 8, "other.000001", 4)), 0);
    /* with one set and one lineage the log goes on: an empty file, a transaction that is only prepared */
    assert_int_equal(compare(pos, make(MY_MYSQL, UUID_A ":1-3", 7, "binlog.000010", 198)), -1);
    assert_int_equal(compare(make(MY_MYSQL, UUID_A ":1-3", 7, "binlog.000009", 9001), pos), 1);
}

static void test_d40_file_numbers_are_numbers(void **state)
{
    WB_UNUSED(state);
    made a = make(MY_MYSQL, NULL, 7, "binlog.999999", 500), b = make(MY_MYSQL, NULL, 7, "binlog.1000000", 157);
    assert_int_equal(compare(a, b), -1);
    assert_int_equal(compare(b, a), 1);
    assert_true(holds(b, at(MY_MYSQL, NULL, 7, "binlog.999999", 400)));
    assert_false(holds(a, at(MY_MYSQL, NULL, 7, "binlog.1000000", 157)));
}

static void test_files_of_one_server(void **state)
{
    WB_UNUSED(state);
    made pos = make(MY_MYSQL, NULL, 7, "binlog.000002", 500);
    assert_true(holds(pos, at(MY_MYSQL, NULL, 7, "binlog.000002", 499)));
    assert_false(holds(pos, at(MY_MYSQL, NULL, 7, "binlog.000002", 500)));
    assert_true(holds(pos, at(MY_MYSQL, NULL, 7, "binlog.000001", 90000)));
    assert_false(holds(pos, at(MY_MYSQL, NULL, 8, "binlog.000001", 90000))); /* another server's file */
    assert_int_equal(compare(pos, make(MY_MYSQL, NULL, 8, "binlog.000002", 500)), 2);
    assert_int_equal(compare(pos, make(MY_MYSQL, NULL, 7, "other.000002", 500)), 2);
}

static void test_d44_mariadb_domains_do_not_care_which_server_wrote(void **state)
{
    WB_UNUSED(state);
    made pos = make(MY_MARIADB, "0-1-100,5-3-7", 7, "binlog.000002", 500);
    assert_true(holds(pos, at(MY_MARIADB, "0-2-100", 8, "binlog.000077", 4)));
    assert_false(holds(pos, at(MY_MARIADB, "0-2-101", 8, "binlog.000001", 4)));
    assert_true(holds(pos, at(MY_MARIADB, "5-9-7", 8, "binlog.000001", 4)));
    assert_false(holds(pos, at(MY_MARIADB, "6-1-1", 8, "binlog.000001", 4))); /* a domain that it never met */
    assert_int_equal(compare(pos, make(MY_MARIADB, "0-2-100,5-3-7", 8, "x.000001", 4)), 0);
    assert_int_equal(compare(pos, make(MY_MARIADB, "0-2-101,5-3-7", 8, "x.000001", 4)), -1);
    assert_int_equal(compare(pos, make(MY_MARIADB, "0-2-101,5-3-6", 8, "x.000001", 4)), 2);
}

static void test_mariadb_of_one_server_goes_by_its_file(void **state)
{
    WB_UNUSED(state); /* without gtid_strict_mode a lower number of the domain may come after a higher one */
    made pos = make(MY_MARIADB, "0-1-9", 7, "binlog.000002", 500);
    assert_false(holds(pos, at(MY_MARIADB, "0-2-5", 7, "binlog.000002", 500)));
    assert_true(holds(pos, at(MY_MARIADB, "0-1-9", 7, "binlog.000002", 300)));
    assert_int_equal(compare(pos, make(MY_MARIADB, "0-1-9", 7, "binlog.000002", 600)), -1);
    made without = make(MY_MARIADB, "0-1-9", 7, NULL, 0); /* the end of the log, asked for by GTID alone */
    assert_int_equal(compare(pos, without), 0);
}

static void test_meet(void **state)
{
    WB_UNUSED(state);
    uint8_t out[2000];
    size_t len = 0;
    made a = mysql(UUID_A ":1-5"), b = mysql(UUID_A ":1-9"), c = mysql(UUID_A ":1-3:5-20");
    my_pos_meet(pos_of(&b), pos_of(&a), out, sizeof out, &len);
    assert_int_equal(my_pos_compare((wb_pos){out, len}, pos_of(&a)), 0);
    my_pos_meet(pos_of(&b), pos_of(&c), out, sizeof out, &len);
    char text[200];
    (void)my_pos_render((wb_pos){out, len}, text, sizeof text);
    assert_string_equal(text, UUID_A ":1-3:5-9");
    made f = make(MY_MYSQL, NULL, 7, "binlog.000002", 500), g = make(MY_MYSQL, NULL, 8, "binlog.000002", 500);
    my_pos_meet(pos_of(&f), pos_of(&g), out, sizeof out, &len);
    assert_int_equal(len, 0); /* files of two servers: none */
    my_pos_meet(pos_of(&b), pos_of(&a), out, 5, &len);
    assert_int_equal(len, 0);
}

static made turn(made of, uint64_t seq)
{
    wb_out o = {0};
    made m = {.len = 0};
    assert_true(my_pos_turn(&o, pos_of(&of), seq));
    assert_true(o.len <= sizeof m.bytes);
    memcpy(m.bytes, o.p, o.len);
    m.len = o.len;
    wb_out_fini(&o);
    return m;
}

static void expect_text(wb_pos pos, const char *want)
{
    char text[200];
    uint8_t out[2000];
    size_t len = 0;
    wb_error err;
    wb_error_reset(&err);
    (void)my_pos_render(pos, text, sizeof text);
    assert_string_equal(text, want);
    assert_int_equal(my_pos_parse(wb_str_of(text), out, sizeof out, &len, &err), WB_OK);
    assert_int_equal(my_pos_seq((wb_pos){out, len}), my_pos_seq(pos));
    (void)my_pos_render((wb_pos){out, len}, text, sizeof text);
    assert_string_equal(text, want);
}

/* The number of a copy's last turn counts by itself. proves G-06 */
static void test_turns(void **state)
{
    WB_UNUSED(state);
    uint8_t out[2000];
    size_t len = 0;
    made a = make(MY_MYSQL, UUID_A ":1-5", 0, NULL, 0), b = make(MY_MYSQL, UUID_A ":1-9", 0, NULL, 0), a3 = turn(a, 3),
         a7 = turn(a, 7), b3 = turn(b, 3);
    assert_int_equal(my_pos_seq(pos_of(&a)), 0);
    assert_int_equal(my_pos_seq(pos_of(&a7)), 7);
    wb_txn turn3 = {.flags = WB_TXN_SNAPSHOT, .at = pos_of(&b3)};
    assert_false(my_pos_holds(pos_of(&b), &turn3));
    assert_true(my_pos_holds(pos_of(&a3), &turn3)); /* whatever its log says */
    assert_true(holds(a7, mysql_txn(UUID_A ":5")));
    assert_false(holds(a7, mysql_txn(UUID_A ":6")));
    assert_int_equal(compare(a3, a7), -1);
    assert_int_equal(compare(b3, a3), 1);
    assert_int_equal(compare(a7, b3), 2);
    assert_int_equal(compare(b, a3), 2);
    my_pos_meet(pos_of(&a7), pos_of(&b3), out, sizeof out, &len);
    expect_text((wb_pos){out, len}, UUID_A ":1-5+3");
    my_pos_join(pos_of(&a7), pos_of(&b), out, sizeof out, &len); /* a transaction ends at b */
    expect_text((wb_pos){out, len}, UUID_A ":1-9+7");
    my_pos_join(pos_of(&b), pos_of(&a7), out, sizeof out, &len); /* who was ahead got a turn */
    expect_text((wb_pos){out, len}, UUID_A ":1-9+7");
    made f = turn(make(MY_MYSQL, NULL, 7, "binlog.000002", 500), 12);
    expect_text(pos_of(&f), "binlog.000002:500+12");
    made nothing = make(MY_MYSQL, NULL, 7, NULL, 0), first = turn(nothing, 1), second = turn(nothing, 2);
    assert_int_equal(compare(first, second), -1); /* a copy of a server without a log */
    for (size_t n = 0; n < f.len; n++) assert_int_equal(my_pos_seq((wb_pos){f.bytes, n}), 0);
}

static void test_distance(void **state)
{
    WB_UNUSED(state);
    made a = make(MY_MYSQL, NULL, 7, "binlog.000002", 500), b = make(MY_MYSQL, NULL, 7, "binlog.000002", 1700),
         c = make(MY_MYSQL, NULL, 7, "binlog.000003", 4);
    assert_int_equal(my_pos_distance(pos_of(&a), pos_of(&b)), 1200);
    assert_int_equal(my_pos_distance(pos_of(&a), pos_of(&c)), -1);
    made s = mysql(UUID_A ":1-5"), t = mysql(UUID_A ":1-5");
    assert_int_equal(my_pos_distance(pos_of(&s), pos_of(&t)), 0);
}

static void test_text(void **state)
{
    WB_UNUSED(state);
    static const char *const texts[] = {
        UUID_A ":1-3:5-10 binlog.000002:500", UUID_A ":1-3", "binlog.000002:500",        "- binlog.000001:157",
        "0-1-100,5-3-7 mariadb-bin.000009:4", "0-1-100",     "my-host.example.000012:77"};
    for (size_t i = 0; i < WB_COUNT(texts); i++) {
        uint8_t pos[2000];
        size_t len = 0;
        char out[300];
        wb_error err;
        wb_error_reset(&err);
        assert_int_equal(my_pos_parse(wb_str_of(texts[i]), pos, sizeof pos, &len, &err), WB_OK);
        assert_int_equal(my_pos_render((wb_pos){pos, len}, out, sizeof out), strlen(texts[i]));
        assert_string_equal(out, texts[i]);
    }
    char little[10];
    made a = mysql(UUID_A ":1-5");
    assert_int_equal(my_pos_render(pos_of(&a), little, sizeof little), 9);
    assert_string_equal(little + 6, "...");
}

static void test_refused_text(void **state)
{
    WB_UNUSED(state);
    static const char *const bad[] = {"",
                                      " ",
                                      "nonsense",
                                      ":",
                                      "binlog.000001:",
                                      "binlog.000001:x",
                                      "uuid:1-2",
                                      "0-1",
                                      "binlog.000001:99999999999999999999999"};
    for (size_t i = 0; i < WB_COUNT(bad); i++) {
        uint8_t pos[2000];
        size_t len = 0;
        wb_error err;
        wb_error_reset(&err);
        assert_int_equal(my_pos_parse(wb_str_of(bad[i]), pos, sizeof pos, &len, &err), WB_E_CONFIG);
        assert_int_equal(len, 0);
    }
}

/* Whatever the state may hold: no answer is wrong, none crashes. */
static void test_damaged_bytes(void **state)
{
    WB_UNUSED(state);
    made good[] = {mysql(UUID_A ":1-3:5-10"), make(MY_MARIADB, "0-1-100", 7, "binlog.000002", 500),
                   mysql(UUID_A ":1-3:blue:1-2")};
    made txn = mysql_txn(UUID_A ":3");
    char text[300];
    uint8_t out[2000];
    for (size_t g = 0; g < WB_COUNT(good); g++) {
        for (size_t n = 0; n < good[g].len; n++) { /* exact blocks: a sanitizer sees every byte too far */
            uint8_t *cut = malloc(n ? n : 1), *flipped = malloc(good[g].len);
            size_t len;
            memcpy(cut, good[g].bytes, n);
            memcpy(flipped, good[g].bytes, good[g].len);
            flipped[n] ^= 0xff;
            wb_pos a = {cut, n}, b = {flipped, good[g].len};
            (void)my_pos_has(a, pos_of(&txn));
            (void)my_pos_has(b, pos_of(&txn));
            (void)my_pos_compare(a, b);
            (void)my_pos_render(a, text, sizeof text);
            (void)my_pos_render(b, text, sizeof text);
            my_pos_meet(b, pos_of(&good[g]), out, sizeof out, &len);
            (void)my_pos_distance(b, pos_of(&good[g]));
            free(cut);
            free(flipped);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_d41_a_hole_in_the_set_is_not_inside),
        cmocka_unit_test(test_sets_of_several_servers_and_tags),
        cmocka_unit_test(test_mysql_with_gtids_ignores_files),
        cmocka_unit_test(test_d40_file_numbers_are_numbers),
        cmocka_unit_test(test_files_of_one_server),
        cmocka_unit_test(test_d44_mariadb_domains_do_not_care_which_server_wrote),
        cmocka_unit_test(test_mariadb_of_one_server_goes_by_its_file),
        cmocka_unit_test(test_meet),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refused_text),
        cmocka_unit_test(test_damaged_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

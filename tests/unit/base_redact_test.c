/* wb_redact_url and wb_nearest. */
#include "base/options.h"
#include "check.h"

static void test_passwords_are_hidden(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *url, *want;
    } rows[] = {
        /* URLs */
        {"postgres://user:pass@host/db?password=x", "postgres://user:***@host/db?password=***"},
        {"postgres://user@host/db", "postgres://user@host/db"},
        {"postgres://host/db", "postgres://host/db"},
        {"postgres://host:5432/db?options=a@b", "postgres://host:5432/db?options=a@b"},
        {"postgres://h1:5432,h2:5433/db?application_name=a@b", "postgres://h1:5432,h2:5433/db?application_name=a@b"},
        {"postgres://[::1]:5432/db", "postgres://[::1]:5432/db"},
        {"postgres://u:p@[::1]:5432/db", "postgres://u:***@[::1]:5432/db"},
        {"postgres://user:@host/db", "postgres://user:***@host/db"},
        {"postgres://:p@host", "postgres://:***@host"},
        {"postgres://user:p%40ss%2Fword@host/db", "postgres://user:***@host/db"},
        {"postgres://user:p@ss@host/db", "postgres://user:***@host/db"},
        {"postgres://user:pa/ss@host/db", "postgres://user:***@host/db"},
        {"postgres://user:pa?ss@host/db", "postgres://user:***@host/db"},
        {"postgres://user:pa:ss@host/db", "postgres://user:***@host/db"},
        {"postgres://h/db?user=a&password=b&sslmode=require", "postgres://h/db?user=a&password=***&sslmode=require"},
        {"postgres://h/db?p%61ssword=b&x=1", "postgres://h/db?p%61ssword=***&x=1"},
        {"postgres://h/db?PASSWORD=b", "postgres://h/db?PASSWORD=***"},
        {"postgres://h/db?sslpassword=b;x=1", "postgres://h/db?sslpassword=***;x=1"},
        {"postgres://h/db?passfile=/a/b", "postgres://h/db?passfile=/a/b"},
        {"postgres://h/db?password", "postgres://h/db?password"},
        {"postgres://user:12/34@host/db", "postgres://user:***@host/db"},
        {"https://h/x?api_key=k#frag", "https://h/x?api_key=***#frag"},
        {"https://h/x?access_token=k&a=b", "https://h/x?access_token=***&a=b"},
        {"nats://a:b@h1:1,nats://c:d@h2:2", "nats://a:***@h1:1,nats://c:***@h2:2"},
        {"mongodb://a:b@h1:1,h2:2/db?replicaSet=r", "mongodb://a:***@h1:1,h2:2/db?replicaSet=r"},
        /* key=value */
        {"host=h password=x dbname=d", "host=h password=*** dbname=d"},
        {"password=x", "password=***"},
        {"  password = x  host=h", "  password = ***  host=h"},
        {"host=h password='a b' dbname=d", "host=h password=*** dbname=d"},
        {"host=h password='a\\'b c' dbname=d", "host=h password=*** dbname=d"},
        {"host=h password='it''s mine' dbname=d", "host=h password=*** dbname=d"},
        {"host=h password=a\\ b dbname=d", "host=h password=*** dbname=d"},
        {"user=o'brien password=x y=1", "user=o'brien password=*** y=1"},
        {"host=h password='never ends", "host=h password=***"},
        {"host=h password=", "host=h password=***"},
        {"dbname='postgres://u:p@h/d' user=x", "dbname='postgres://u:***@h/d' user=x"},
        {"dbname=postgres://u:p@h/d user=x", "dbname=postgres://u:***@h/d user=x"},
        {"Server=h;Pwd=x;Database=d", "Server=h;Pwd=***"},
        {"host=h sslpassword=x", "host=h sslpassword=***"},
        /* neither */
        {"user:pass@tcp(host)/db", "user:***@tcp(host)/db"},
        {"user:pa=ss@host", "user:***@host"},
        {"localhost:9092", "localhost:9092"},
        {"just a word", "just a word"},
        {"", ""},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        wb_out o = {0};
        wb_redact_url(rows[i].url, &o);
        wb_out_byte(&o, 0);
        assert_string_equal(o.p, rows[i].want);
        wb_out_fini(&o);
    }
    wb_out none = {0};
    wb_redact_url(NULL, &none);
    assert_int_equal(none.len, 0);
}

/* Whatever the password is, it does not come through. */
static void test_no_password_comes_through(void **state)
{
    WB_UNUSED(state);
    static const char *const shapes[] = {"postgres://u:%s@h/d", "postgres://u:%s@h:1/d?sslmode=require",
                                         "postgres://h/d?password=%s", "host=h password=%s dbname=d",
                                         "password='%s' host=h"};
    static const char *const passwords[] = {"SECRET",   "SECRET:SECRET", "SECRET=SECRET", "%53SECRET", "SECRET'SECRET",
                                            "(SECRET)", "SECRET,SECRET", "SECRET\\'x",    "SECRET+1",  "SECRET;SECRET"};
    for (size_t s = 0; s < WB_COUNT(shapes); s++)
        for (size_t p = 0; p < WB_COUNT(passwords); p++) {
            char url[200];
            const char *hole = strstr(shapes[s], "%s");
            (void)snprintf(url, sizeof url, "%.*s%s%s", (int)(hole - shapes[s]), shapes[s], passwords[p], hole + 2);
            bool closes = shapes[s][0] == 'p' && strchr(url, '\'') && strstr(url, "SECRET'SECRET");
            if (closes) continue; /* a quote ends the quoted password: not one that could be written so */
            if (strchr(passwords[p], ';') && hole != strstr(shapes[s], "%s@h") && strchr(shapes[s], '?')) continue;
            wb_out o = {0};
            wb_redact_url(url, &o);
            wb_out_byte(&o, 0);
            if (strstr(o.p, "SECRET")) fail_msg("%s became %s", url, o.p);
            assert_non_null(strstr(o.p, "***"));
            wb_out_fini(&o);
        }
}

static void test_nearest(void **state)
{
    WB_UNUSED(state);
    static const char *const names[] = {"path", "format", "fsync", "rotate_size", "compress", "id", NULL};
    static const struct {
        const char *word, *want;
    } rows[] = {
        {"pth", "path"},
        {"paht", "path"},
        {"Path", "path"},
        {"formt", "format"},
        {"fromat", "format"},
        {"fsnyc", "fsync"},
        {"rotate-size", "rotate_size"},
        {"rotat_siez", "rotate_size"},
        {"compression", "compress"},
        {"zzz", NULL},
        {"", NULL},
        {"x", NULL},
        {"xy", NULL},
        {"ix", "id"},
        {NULL, NULL},
        {"a_name_that_is_longer_than_any_option_would_ever_be_and_then_some_more", NULL},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        const char *got = wb_nearest(rows[i].word, names);
        if (!rows[i].want)
            assert_null(got);
        else {
            assert_non_null(got);
            assert_string_equal(got, rows[i].want);
        }
    }
    assert_null(wb_nearest("path", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passwords_are_hidden),
        cmocka_unit_test(test_no_password_comes_through),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

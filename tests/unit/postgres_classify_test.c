/* What an SQLSTATE means for us, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sources/postgres/classify.h"

typedef struct row {
    const char *state;
    wb_code code;
    wb_next next;
} row;

static const row rows[] = {
    {"", WB_E_NET, WB_RECONNECT},          /* no answer at all */
    {"08006", WB_E_NET, WB_RECONNECT},     /* connection_failure */
    {"08P01", WB_E_NET, WB_RECONNECT},     /* protocol_violation */
    {"0A000", WB_E_UNSUPPORTED, WB_NEVER}, /* feature_not_supported */
    {"22023", WB_E_SERVER, WB_NEVER},      /* invalid_parameter_value */
    {"25006", WB_E_SERVER, WB_NEVER},      /* read_only_sql_transaction */
    {"28000", WB_E_AUTH, WB_NEVER},        /* no line in pg_hba.conf */
    {"28P01", WB_E_AUTH, WB_NEVER},        /* wrong password */
    {"3D000", WB_E_CONFIG, WB_NEVER},      /* no such database */
    {"40001", WB_E_SERVER, WB_RETRY},      /* serialization_failure */
    {"40P01", WB_E_SERVER, WB_RETRY},      /* deadlock_detected */
    {"42501", WB_E_AUTH, WB_NEVER},        /* insufficient_privilege */
    {"42704", WB_E_SERVER, WB_NEVER},      /* undefined_object: publication, slot */
    {"42P01", WB_E_SERVER, WB_NEVER},      /* undefined_table */
    {"53100", WB_E_SERVER, WB_RETRY},      /* disk_full, over there */
    {"53300", WB_E_SERVER, WB_RETRY},      /* too_many_connections */
    {"53400", WB_E_SERVER, WB_NEVER},      /* all slots are taken */
    {"54000", WB_E_LIMIT, WB_NEVER},       /* program_limit_exceeded */
    {"55000", WB_E_SERVER, WB_NEVER},      /* not in prerequisite state; a lost slot is judged by its view */
    {"55006", WB_E_SERVER, WB_RECONNECT},  /* slot in use */
    {"55P03", WB_E_SERVER, WB_RETRY},      /* lock_not_available */
    {"57014", WB_E_SERVER, WB_RECONNECT},  /* query_canceled */
    {"57P01", WB_E_NET, WB_RECONNECT},     /* admin_shutdown */
    {"57P02", WB_E_NET, WB_RECONNECT},     /* crash_shutdown */
    {"57P03", WB_E_NET, WB_RECONNECT},     /* cannot_connect_now */
    {"57P04", WB_E_SERVER, WB_NEVER},      /* database_dropped */
    {"57P05", WB_E_NET, WB_RECONNECT},     /* idle_session_timeout */
    {"58P01", WB_E_GAP, WB_RESNAPSHOT},    /* a log segment is gone */
    {"58030", WB_E_SERVER, WB_RECONNECT},  /* io_error */
    {"72000", WB_E_SERVER, WB_RETRY},      /* snapshot_too_old */
    {"P0001", WB_E_SERVER, WB_NEVER},      /* raise_exception */
    {"XX000", WB_E_SERVER, WB_RECONNECT},  /* internal_error */
    {"XX001", WB_E_SERVER, WB_NEVER},      /* data_corrupted */
};

static void test_each_row(void **state)
{
    WB_UNUSED(state);
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        const pg_class *c = pg_classify(rows[i].state);
        if (c->code != rows[i].code || c->next != rows[i].next)
            fail_msg("%s: code %d next %d", rows[i].state, c->code, c->next);
    }
    assert_ptr_equal(pg_classify(NULL), pg_classify(""));
}

static void test_hints_are_sentences(void **state)
{
    WB_UNUSED(state);
    for (size_t i = 0; i < WB_COUNT(rows); i++) {
        const char *hint = pg_classify(rows[i].state)->hint;
        if (hint && hint[strlen(hint) - 1] != '.') fail_msg("%s: %s", rows[i].state, hint);
    }
}

static void test_state_in_a_refused_connection(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *text, *want;
    } texts[] = {
        {"connection to server at \"h\" (1.2.3.4), port 5432 failed: FATAL:  28P01: password authentication failed\n"
         "LOCATION:  auth_failed, auth.c:338\n",
         "28P01"},
        {"FATAL:  3D000: database \"x\" does not exist\n", "3D000"},
        {"FATAL:  database \"x\" does not exist\n", ""},
        {"could not translate host name \"x\" to address\n", ""},
        {"SCHWERWIEGEND:  28000: keine pg_hba.conf-Zeile\n", "28000"},
        {"a:  b: c:  12345:", "12345"},
        {"", ""},
        {":  1234", ""},
    };
    for (size_t i = 0; i < WB_COUNT(texts); i++) {
        char got[6];
        pg_sqlstate_in(texts[i].text, got);
        assert_string_equal(got, texts[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_hints_are_sentences),
        cmocka_unit_test(test_state_in_a_refused_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

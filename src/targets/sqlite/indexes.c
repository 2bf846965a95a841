/* indexes.c: the secondary indexes that the user asked for, made when the snapshot is there. */
#include "targets/sqlite/sqlite_target.h"

/* "orders(customer_id)" to CREATE INDEX on the mirror table, if it is there. false: the table is not there yet. */
static bool make_index(sq_target *s, const char *spec, wb_error *err)
{
    const char *open = strchr(spec, '(');
    size_t n = open ? (size_t)(open - spec) : 0;
    bool exists = false;
    wb_arena a;
    wb_arena_init(&a, 512, 0);
    while (n && spec[n - 1] == ' ') n--;
    const char *table = wb_arena_strndup(&a, spec, n), *name = wb_arena_printf(&a, "_walbrook_%s", spec);
    wb_out_reset(&s->sql);
    if (!n || spec[strlen(spec) - 1] != ')' || strchr(spec, ';')) {
        wb_fail(err, WB_E_CONFIG, WB_NEVER, "\"%s\" is not of the form table(column, column)", spec);
    } else if (sq_table_exists(s, table, &exists, err) == WB_OK && exists) {
        wb_out_printf(&s->sql, "CREATE INDEX IF NOT EXISTS %s ON %s %s", sq_quote(&a, name), sq_quote(&a, table), open);
        (void)!sq_exec_out(s, err);
    }
    wb_arena_fini(&a);
    return exists;
}

/* Never UNIQUE: the order of changes may pass through states that a UNIQUE index refuses (D23). A wish that fails does
 * not stop the mirror. */
void sq_secondary_indexes(sq_target *s)
{
    s->indexes_due = false;
    atomic_store(&s->building, true);
    for (size_t i = 0; i < s->indexes.n; i++) {
        wb_error err = {0};
        (void)make_index(s, s->indexes.items[i], &err);
        if (!err.code) continue;
        if (err.code == WB_E_STOPPED || err.next == WB_RETRY)
            s->indexes_due = true;
        else
            wb_host_log(s->host, WB_LOG_WARN, "index %s is not made: %s", s->indexes.items[i], err.message);
    }
    atomic_store(&s->building, false);
}

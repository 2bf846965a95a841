/* targets_file_rush_test.c: the file target when rows come faster than 70 MB/s: whole pieces go past the page cache,
 * what is between goes through it, and every byte is where it belongs. */
#include "file_help.h"

static wb_host host;

static int setup(void **state)
{
    WB_UNUSED(state);
    host_make(&host);
    return 0;
}
static int teardown(void **state)
{
    WB_UNUSED(state);
    host_forget(&host);
    return 0;
}

/* Rows from..to of {"id":N,"v":"zzz..."}, 1,000 z each, and nothing else. */
static void expect_long_rows(const char *path, int from, int to)
{
    char want[1100], line[1100];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int i = from; i <= to; i++) {
        int n = snprintf(want, sizeof want, "{\"id\":%d,\"v\":\"", i);
        memset(want + n, 'z', 1000);
        snprintf(want + n + 1000, sizeof want - (size_t)n - 1000, "\"}\n");
        assert_non_null(fgets(line, sizeof line, f));
        assert_string_equal(line, want);
    }
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
}

/* As if it came as fast as the disk takes it: the next bytes go past the page cache, where the disk can do that. */
static void in_a_rush(rig *r)
{
    r->ctx->flood = r->ctx->rush = !r->ctx->no_direct;
    r->ctx->piece = r->ctx->rush ? FILE_RUSH : FILE_BUFFER;
    r->ctx->passed_us = wb_mono_us();
}

static void rush_in(const char *folder)
{
    rig r;
    char dir[600], path[700], command[700];
    snprintf(dir, sizeof dir, "%s/walbrook-rush-XXXXXX", folder);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out", dir);
    char *v = malloc(1001);
    memset(v, 'z', 1000);
    v[1000] = 0;
    RIG(&r, &host, "path", path, "format", "row", "fsync", "1ms");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write_as(&r, 3, v, 100, 0, 0));
    for (int i = 0; i < 24; i++) { /* pieces of all lengths, and now and then a moment without any */
        in_a_rush(&r);
        MUST(&r, rig_write_as(&r, 1 + i * 131, v, 100, 0, WB_VIEW_OPEN));
        if (i % 5 == 0) assert_true(rig_flush(&r, 0) != WB_E_IO);
    }
    int last = r.row;
    MUST(&r, rig_write_as(&r, 2, v, 200, 0, 0)); /* the turn ends */
    MUST(&r, rig_flush(&r, -1));
    expect_long_rows(path, 1, last + 1);
    in_a_rush(&r);
    MUST(&r, rig_write_as(&r, 5000, v, 200, 0, WB_VIEW_OPEN));
    wb_target_file.close(r.ctx); /* a crash within the next one: cut */
    MUST(&r, rig_open(&r));
    expect_long_rows(path, 1, last + 1);
    r.row = last + 2;
    in_a_rush(&r);
    MUST(&r, rig_write_as(&r, 4000, v, 300, 0, 0));
    MUST(&r, rig_flush(&r, -1));
    expect_long_rows(path, 1, last + 4001);
    rig_end(&r);
    free(v);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

static void test_a_rush(void **state)
{
    WB_UNUSED(state);
    rush_in(host.dir);
    host.last_done = 0;
    rush_in("/var/tmp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_a_rush, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

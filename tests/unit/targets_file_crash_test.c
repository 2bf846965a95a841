/* targets_file_crash_test.c: the file target dies at every passage of every one of its fault points, is started again
 * and ends with every row once, in order (G-02). Needs a build with -Dfault=true; skipped without. The child runs this
 * program again: a source that resumes at the target's own stand, with a snapshot first, then transactions, over
 * rotations. */
#include "file_help.h"

#include <dirent.h>

static wb_host host;

enum { SNAPSHOT_ROWS = 6, ROWS = 20 };

/* Now the lines are synced without their journal, now with it. */
static wb_code flush(rig *r)
{
    wb_code code = rig_flush(r, 0);
    if (code == WB_AGAIN && r->row % 2) code = rig_flush(r, 0);
    return code == WB_AGAIN ? WB_OK : code;
}

/* Rows 1..6 are the snapshot (stand 0+n, then 6+0); row i > 6 is the transaction that ends at i; every fifth comes in
 * two views of one row each, the transaction having two rows. */
static int run(const char *dir, const char *compress)
{
    rig r;
    host.in_order = true;
    snprintf(host.dir, sizeof host.dir, "%s", dir);
    if (pipe2(host.fd, O_NONBLOCK)) return 3;
    RIG(&r, &host, "path", "out", "format", "row", "fsync", "each", "rotate_size", compress[0] == 'n' ? "100" : "150",
        "compress", compress);
    if (rig_open(&r) != WB_OK) {
        rig_end(&r);
        return 4;
    }
    uint64_t lsn = 0, ordinal = 0;
    if (r.open.own) {
        if (r.open.stand.pos.len) memcpy(&lsn, r.open.stand.pos.ptr, sizeof lsn);
        ordinal = r.open.stand.ordinal;
    }
    wb_code code = WB_OK;
    if (lsn == 0) {
        for (int i = 1; i <= SNAPSHOT_ROWS && code == WB_OK; i += 2) {
            code = rig_write_as(&r, 2, "x", i + 1 == SNAPSHOT_ROWS ? (uint64_t)i + 1 : 0,
                                i + 1 == SNAPSHOT_ROWS ? 0 : (uint64_t)i + 1, i == 1 ? WB_BATCH_RESET : 0);
            if (code == WB_OK) code = flush(&r);
        }
        lsn = SNAPSHOT_ROWS;
        ordinal = 0;
    }
    r.row = (int)(lsn + ordinal) + 1;
    while (code == WB_OK && r.row <= ROWS) {
        uint64_t row = (uint64_t)r.row;
        bool half = row % 5 == 0 && ordinal == 0;
        code = half ? rig_write_as(&r, 1, "x", lsn, ++ordinal, 0) : rig_write_as(&r, 1, "x", lsn = row, ordinal = 0, 0);
        if (code == WB_OK && row % 3) code = flush(&r);
    }
    if (code == WB_OK) code = rig_flush(&r, -1);
    rig_end(&r);
    return code == WB_OK ? 0 : 5;
}

static char program[PATH_MAX];

static int child(const char *dir, const char *compress, const char *fault)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (fault)
            setenv("WB_FAULT", fault, 1);
        else
            unsetenv("WB_FAULT");
        execl(program, program, "--child", dir, compress, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

/* All moved files in the order of their sequence, then the last one. */
static void expect_everything_once(const wb_host *h, const char *what)
{
    static char names[64][300];
    size_t n = 0;
    DIR *d = opendir(h->dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name);
        if (strncmp(e->d_name, "out.", 4) == 0 && !strstr(e->d_name, ".journal")) {
            assert_true(n < 63 && len > 6);
            snprintf(names[n++], sizeof names[0], "%s %s", e->d_name + len - 6, e->d_name);
        }
    }
    closedir(d);
    qsort(names, n, sizeof names[0], by_name);
    snprintf(names[n++], sizeof names[0], "------ out");
    wb_out got = {0}, want = {0};
    for (size_t i = 0; i < n; i++) {
        char *text = contents(h, names[i] + 7);
        assert_non_null(text);
        wb_out_z(&got, text);
        free(text);
    }
    for (int i = 1; i <= ROWS; i++) wb_out_printf(&want, "{\"id\":%d,\"v\":\"x\"}\n", i);
    wb_out_byte(&got, '\0');
    wb_out_byte(&want, '\0');
    if (strcmp(got.p, want.p) != 0 || n < 3) fail_msg("%s: %zu files:\n%s", what, n, got.p);
    wb_out_fini(&got);
    wb_out_fini(&want);
}

static void test_g02_crash_at_every_fault_point(void **state)
{
    WB_UNUSED(state);
#ifndef WB_WITH_FAULTS
    skip();
#endif
    static const char *const points[] = {"file.before_write",    "file.after_write",    "file.after_sync",
                                         "file.journal_written", "file.journal_synced", "file.rotate_renamed",
                                         "file.rotate_done",     "file.truncate"};
    for (size_t i = 0; i < WB_COUNT(points); i++) {
        bool truncates = strcmp(points[i], "file.truncate") == 0; /* only in a second start: after another crash */
        int died = 0;
        for (int nth = 1; nth < 200; nth += nth < 6 ? 1 : 9) {
            char fault[100];
            host_make(&host);
            snprintf(fault, sizeof fault, "%s@%d:crash", truncates ? "file.after_write" : points[i], nth);
            int code = child(host.dir, "none", fault);
            if (code == 137 && truncates) (void)child(host.dir, "none", "file.truncate@1:crash");
            if (code == 137 && !truncates && nth % 2)
                (void)child(host.dir, "none", fault); /* and once more on the way */
            died += code == 137;
            assert_true(code == 0 || code == 137);
            assert_int_equal(child(host.dir, "none", NULL), 0);
            expect_everything_once(&host, fault);
            host_forget(&host);
            if (code == 0) break;
        }
        if (!died) fail_msg("%s was never passed", points[i]);
    }
}

/* A failure instead of a death: retried where it may be, else the next start goes on. */
static void test_g02_errors_at_every_fault_point(void **state)
{
    WB_UNUSED(state);
#ifndef WB_WITH_FAULTS
    skip();
#endif
    static const char *const points[] = {
        "file.before_write",   "file.after_write",    "file.after_sync",  "file.journal_written",
        "file.journal_synced", "file.rotate_renamed", "file.rotate_done", "io.sync"};
    static const char *const actions[] = {"eio", "enospc"};
    for (size_t i = 0; i < WB_COUNT(points) * 2; i++) {
        for (int nth = 1; nth < 8; nth += 3) {
            char fault[100];
            host_make(&host);
            snprintf(fault, sizeof fault, "%s@%d:%s", points[i / 2], nth, actions[i % 2]);
            int code = child(host.dir, "none", fault);
            assert_true(code == 0 || code == 4 || code == 5);
            assert_int_equal(child(host.dir, "none", NULL), 0);
            expect_everything_once(&host, fault);
            host_forget(&host);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--child") == 0) return run(argv[2], argv[3]);
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0) return 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_g02_crash_at_every_fault_point),
        cmocka_unit_test(test_g02_errors_at_every_fault_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Fault points, and what base/io makes of them. Both are compiled in here with the points on, whatever the build. */
#ifndef WB_WITH_FAULTS
#define WB_WITH_FAULTS 1
#endif
#include "base/fault.c"
#include "base/io.c"
#include "check.h"

#include <sys/wait.h>

/* Run `body` in a process of its own, because WB_FAULT is read once. Returns its status. */
static int with_fault(const char *spec, int (*body)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int devnull = open("/dev/null", O_WRONLY);
        if (devnull >= 0) (void)dup2(devnull, 2);
        if (setenv("WB_FAULT", spec, 1)) _exit(99);
        _exit(body());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (WIFSTOPPED(status)) {
        assert_int_equal(kill(pid, SIGCONT), 0);
        int end;
        assert_int_equal(waitpid(pid, &end, 0), pid);
        return 1000 + WSTOPSIG(status) * 256 + WEXITSTATUS(end);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2000;
}

/* Bits of the passages, of six, that failed; +64 when one gave a wrong errno. */
static int six_passages(void)
{
    int seen = 0;
    for (int i = 0; i < 6; i++) {
        int r = WB_FAULT("a.point");
        if (r) seen |= 1 << i;
        if (r && r != EIO) seen |= 64;
        if (WB_FAULT("another.point")) seen |= 128;
    }
    return seen;
}

static void test_which_passage(void **state)
{
    WB_UNUSED(state);
    static const struct {
        const char *spec;
        int want;
    } rows[] = {
        {"", 0},
        {"a.point:eio", 1},
        {"a.point@1:eio", 1},
        {"a.point@3:eio", 4},
        {"a.point@*:eio", 63},
        {"a.point@7:eio", 0},
        {"a.poin:eio;a.points@*:eio", 0},
        {"a.point@2:eio;a.point@5:eio", 2 + 16},
        {"a.point@2:enospc", 64 + 2},
        {";;another.point@2:eio;", 128},
        {"a.point@2:crash", 137},
        {"a.point@2:sleep=1", 0},
        {"a.point:stop", 1000 + SIGSTOP * 256},
    };
    for (size_t i = 0; i < WB_COUNT(rows); i++) assert_int_equal(with_fault(rows[i].spec, six_passages), rows[i].want);
}

static void test_a_wrong_spec_is_not_ignored(void **state)
{
    WB_UNUSED(state);
    static const char *const specs[] = {
        "a.point",      "a.point:", "a.point:explode", "a.point@0:eio",  "a.point@x:eio",
        "a.point@:eio", ":eio",     "a.point:sleep=x", "a.point:sleep=", "a.point:sleep=-1"};
    for (size_t i = 0; i < WB_COUNT(specs); i++) assert_int_equal(with_fault(specs[i], six_passages), 125);
}

static int slept(void)
{
    int64_t start = wb_mono_us();
    (void)WB_FAULT("a.point");
    return wb_mono_us() - start >= 20000 ? 1 : 0;
}

static void test_sleep(void **state)
{
    WB_UNUSED(state);
    assert_int_equal(with_fault("a.point:sleep=20", slept), 1);
}

/* 1 write, 2 pwrite, 4 sync, 8 truncate, 16 rename failed; 32: some error was not the expected one. */
static wb_code wanted_code;
static wb_next wanted_next;
static int note(int bit, wb_code code, const wb_error *e)
{
    if (code == WB_OK) return 0;
    bool good = code == wanted_code && e->code == code && e->next == wanted_next && strstr(e->message, "the file");
    return good ? bit : 32;
}

static int all_of_io(void)
{
    int seen = 0, fd = -1;
    wb_error e = {0};
    if (wb_io_temp(".", &fd, &e)) return 99;
    seen |= note(1, wb_io_write(fd, "abc", 3, "the file", &e), &e);
    wb_error_reset(&e);
    seen |= note(2, wb_io_pwrite(fd, "abc", 3, 0, "the file", &e), &e);
    wb_error_reset(&e);
    seen |= note(4, wb_io_sync(fd, "the file", &e), &e);
    wb_error_reset(&e);
    seen |= note(8, wb_io_truncate(fd, 1, "the file", &e), &e);
    wb_error_reset(&e);
    wb_code code = wb_io_rename("the file", "there", &e);
    if (code && e.sys != ENOENT) seen |= note(16, code, &e);
    return seen;
}

static void test_points_of_io(void **state)
{
    WB_UNUSED(state);
    wanted_code = WB_E_IO;
    wanted_next = WB_NEVER;
    assert_int_equal(with_fault("", all_of_io), 0);
    assert_int_equal(with_fault("io.write:eio", all_of_io), 1);
    assert_int_equal(with_fault("io.write@2:eio", all_of_io), 2);
    assert_int_equal(with_fault("io.sync:eio", all_of_io), 4);
    assert_int_equal(with_fault("io.truncate:eio", all_of_io), 8);
    assert_int_equal(with_fault("io.rename:eio", all_of_io), 16);
    assert_int_equal(with_fault("io.sync:crash", all_of_io), 137);
    wanted_code = WB_E_FULL;
    wanted_next = WB_RETRY;
    assert_int_equal(with_fault("io.write@*:enospc", all_of_io), 3);
    wanted_next = WB_RECONNECT; /* a failed sync is never tried again */
    assert_int_equal(with_fault("io.sync:enospc", all_of_io), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_passage),
        cmocka_unit_test(test_a_wrong_spec_is_not_ignored),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_points_of_io),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* targets_file_stream_test.c: the file target on FIFOs, standard output and devices: at least once, lines stay whole,
 * and nothing waits for a reader for long. */
#include "file_help.h"

#include <pthread.h>

static wb_host host;

static int setup(void **state)
{
    WB_UNUSED(state);
    host_make(&host);
    assert_int_equal(mkfifo(path_in(&host, "pipe"), 0600), 0);
    return 0;
}
static int teardown(void **state)
{
    WB_UNUSED(state);
    host_forget(&host);
    return 0;
}

#define FIFO "path", "pipe", "format", "row"

static int reader(void)
{
    int fd = open(path_in(&host, "pipe"), O_RDONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

/* What is in the pipe now, behind what was there. */
static void drain(int fd, wb_out *into)
{
    char buf[65536];
    for (ssize_t n; (n = read(fd, buf, sizeof buf)) > 0;) wb_out_put(into, buf, (size_t)n);
}

static void expect_numbers(const wb_out *o, int from, int to)
{
    wb_out want = {0};
    for (int i = from; i <= to; i++) wb_out_printf(&want, "{\"id\":%d,\"v\":\"x\"}\n", i);
    assert_int_equal(o->len, want.len);
    assert_memory_equal(o->p, want.p, want.len);
    wb_out_fini(&want);
}

static void test_fifo_without_reader_is_tried_again(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, FIFO);
    assert_int_equal(rig_open(&r), WB_E_IO);
    assert_int_equal(r.err.next, WB_RETRY);
    assert_non_null(strstr(r.err.message, "Nobody reads"));
    int fd = reader();
    MUST(&r, rig_open(&r));
    assert_false(r.open.own);
    assert_false(r.open.keeps);
    MUST(&r, rig_write(&r, 2, "x"));
    MUST(&r, rig_flush(&r, 0));
    assert_int_equal(host.ndone, 2 - 1);
    wb_out got = {0};
    drain(fd, &got);
    expect_numbers(&got, 1, 2);
    assert_int_equal(size_of(&host, "pipe.journal"), -1);
    wb_out_fini(&got);
    close(fd);
    rig_end(&r);
}

static void test_a_reader_that_stands_still(void **state)
{
    WB_UNUSED(state);
    rig r;
    int fd = reader();
    RIG(&r, &host, FIFO);
    MUST(&r, rig_open(&r));
    wb_code code = WB_OK;
    int accepted = 0;
    while ((code = rig_write(&r, 1000, "x")) == WB_OK && accepted < 1000) accepted++;
    assert_int_equal(code, WB_AGAIN);
    assert_true(accepted < 50);
    assert_true(r.ctx->text.len < 2 * FILE_BUFFER);
    int64_t start = wb_mono_us();
    assert_int_equal(rig_flush(&r, 100), WB_AGAIN);
    assert_int_equal(rig_flush(&r, -1), WB_AGAIN);
    assert_true(wb_mono_us() - start < 1000000);
    size_t before = host.ndone;
    assert_true(before < (size_t)accepted);

    wb_out got = {0};
    for (int i = 0; i < 200 && rig_flush(&r, 10) != WB_OK; i++) drain(fd, &got);
    drain(fd, &got);
    assert_int_equal(host.ndone, accepted);
    assert_true(host.in_order);
    expect_numbers(&got, 1, accepted * 1000);
    wb_out_fini(&got);
    close(fd);
    rig_end(&r);
}

/* A reader that is always a little behind: memory stays bounded and nothing is lost. */
static void test_a_slow_reader(void **state)
{
    WB_UNUSED(state);
    rig r;
    int fd = reader();
    wb_out got = {0};
    RIG(&r, &host, FIFO);
    MUST(&r, rig_open(&r));
    for (int i = 0; i < 300;) {
        if (rig_write(&r, 1000, "x") == WB_OK) i++;
        char buf[30000];
        ssize_t n = read(fd, buf, sizeof buf);
        if (n > 0) wb_out_put(&got, buf, (size_t)n);
        assert_true(r.ctx->text.len < 4 * FILE_BUFFER);
    }
    while (rig_flush(&r, 1) != WB_OK) drain(fd, &got);
    drain(fd, &got);
    expect_numbers(&got, 1, 300000);
    wb_out_fini(&got);
    close(fd);
    rig_end(&r);
}

static void test_after_a_cut_line_the_next_is_whole(void **state)
{
    WB_UNUSED(state);
    rig r;
    int fd = reader();
    RIG(&r, &host, FIFO);
    MUST(&r, rig_open(&r));
    while (rig_write(&r, 1000, "x") == WB_OK) {}
    wb_out got = {0};
    wb_target_file.close(r.ctx); /* the engine gave up waiting, within a line */
    drain(fd, &got);
    assert_int_not_equal(got.p[got.len - 1], '\n');
    size_t cut = got.len;
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, 0));
    drain(fd, &got);
    assert_memory_equal(got.p + cut, "\n{\"id\":", 7);
    cut = got.len;
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r)); /* not cut: no empty line */
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, 0));
    drain(fd, &got);
    assert_memory_equal(got.p + cut, "{\"id\":", 6);
    wb_out_fini(&got);
    close(fd);
    rig_end(&r);
}

static void test_a_reader_that_goes_away(void **state)
{
    WB_UNUSED(state);
    rig r;
    int fd = reader();
    RIG(&r, &host, FIFO);
    MUST(&r, rig_open(&r));
    close(fd);
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, 0), WB_E_IO); /* and no SIGPIPE */
    assert_int_equal(r.err.next, WB_RECONNECT);
    assert_int_equal(host.ndone, 0);
    rig_end(&r);
}

static void *interrupt_soon(void *arg)
{
    rig *r = arg;
    wb_sleep_us(50000);
    wb_target_file.interrupt(r->ctx);
    assert_int_equal(write(host.fd[1], "x", 1), 1); /* as the engine wakes us */
    return NULL;
}

static void test_interrupt_ends_a_wait(void **state)
{
    WB_UNUSED(state);
    rig r;
    int fd = reader();
    RIG(&r, &host, FIFO);
    MUST(&r, rig_open(&r));
    while (rig_write(&r, 1000, "x") == WB_OK) {}
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, interrupt_soon, &r), 0);
    int64_t start = wb_mono_us();
    while (!atomic_load(&r.ctx->interrupted)) assert_int_equal(rig_flush(&r, 200), WB_AGAIN);
    assert_int_equal(rig_flush(&r, 200), WB_AGAIN);
    assert_true(wb_mono_us() - start < 500000);
    pthread_join(t, NULL);
    close(fd);
    rig_end(&r);
}

static void test_reload_opens_the_fifo_again(void **state)
{
    WB_UNUSED(state);
    rig r;
    int fd = reader();
    wb_out got = {0};
    RIG(&r, &host, FIFO);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, wb_target_file.reload(r.ctx, &r.err));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, 0));
    drain(fd, &got);
    expect_numbers(&got, 1, 2);
    wb_out_fini(&got);
    close(fd);
    rig_end(&r);
}

static void test_devices(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, "path", "/dev/null");
    MUST(&r, rig_open(&r));
    assert_false(r.open.keeps);
    MUST(&r, rig_write(&r, 100000, "x"));
    MUST(&r, rig_flush(&r, 0));
    assert_int_equal(host.ndone, 1);
    rig_end(&r);
    RIG(&r, &host, "path", "/dev/full");
    host.ndone = 0;
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, 0), WB_E_FULL);
    assert_int_equal(r.err.next, WB_RETRY);
    assert_int_equal(host.ndone, 0);
    rig_end(&r);
}

/* In a child, whose standard output is what we say. Exit code: how it ended. */
static int on_stdout(int fd, int close_first)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (close_first >= 0) close(close_first);
        dup2(fd, STDOUT_FILENO);
        rig r;
        RIG(&r, &host, "path", "-", "format", "row");
        wb_code code = rig_open(&r);
        if (code == WB_OK) code = rig_write(&r, 3, "x");
        if (code == WB_OK) code = rig_flush(&r, -1);
        bool said = strstr(r.err.message, "reader of standard output has gone") != NULL;
        _exit(code == WB_OK && host.ndone == 1 ? 0 : code == WB_E_IO && said && r.err.next == WB_NEVER ? 1 : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_standard_output(void **state)
{
    WB_UNUSED(state);
    int p[2];
    wb_out got = {0};
    assert_int_equal(pipe(p), 0);
    assert_int_equal(on_stdout(p[1], -1), 0);
    assert_int_equal(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0); /* others share it: its flags stay */
    close(p[1]);
    drain(p[0], &got);
    expect_numbers(&got, 1, 3);
    wb_out_fini(&got);
    close(p[0]);

    assert_int_equal(pipe(p), 0);
    close(p[0]);
    assert_int_equal(on_stdout(p[1], -1), 1);
    close(p[1]);

    int fd = open(path_in(&host, "redirected"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(on_stdout(fd, -1), 0);
    assert_int_equal(on_stdout(fd, -1), 0);
    close(fd);
    char *text = contents(&host, "redirected");
    assert_int_equal(strlen(text), 2 * 3 * 17);
    free(text);
}

/* Disk full on a regular file: the same view again, and neither torn nor double lines. */
static void test_disk_full_and_room_again(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, "path", "out", "format", "row", "fsync", "each");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    int real = r.ctx->fd, full = open("/dev/full", O_WRONLY);
    r.ctx->fd = full;
    MUST(&r, rig_write(&r, 30000, "x")); /* taken already when the disk turns out to be full */
    assert_int_equal(rig_flush(&r, 0), WB_E_FULL);
    assert_int_equal(r.err.next, WB_RETRY);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_write(&r, 30000, "x"), WB_E_FULL);
        assert_int_equal(r.err.next, WB_RETRY);
    }
    assert_int_equal(host.ndone, 1);
    r.ctx->fd = real;
    close(full);
    MUST(&r, rig_write(&r, 30000, "x"));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(host.ndone, 3);
    expect_rows(&host, "out", 1, 60001);
    rig_end(&r);
}

/* ---------------------------------------------------------------- check and status */

static wb_level worst;
static char said[2000];
static void add(void *arg, wb_level level, const char *what, const char *mend)
{
    WB_UNUSED(arg);
    worst = WB_MAX(worst, level);
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s[%s]\n", what, mend ? mend : "");
}
static void text_fact(void *arg, const char *name, const char *value)
{
    WB_UNUSED(arg);
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s=%s\n", name, value);
}
static void number_fact(void *arg, const char *name, int64_t value)
{
    WB_UNUSED(arg);
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s=%lld\n", name, (long long)value);
}

static void expect_finding(const char *const *options, wb_level level, const char *words)
{
    rig r;
    wb_report report = {.add = add};
    rig_make(&r, &host, options);
    worst = WB_FINE;
    said[0] = 0;
    MUST(&r, wb_target_file.check(r.ctx, &host, &report, &r.err));
    if (worst != level || !strstr(said, words)) fail_msg("level %d: %s", (int)worst, said);
    rig_end(&r);
}
#define CHECK(level, words, ...) expect_finding((const char *const[]){__VA_ARGS__, NULL}, level, words)

static void test_check_and_status(void **state)
{
    WB_UNUSED(state);
    CHECK(WB_FINE, "exactly once", "path", "out");
    CHECK(WB_FINE, "at least once", "path", "-");
    CHECK(WB_FINE, "at least once", "path", "pipe");
    CHECK(WB_WARN, "fsync is off", "path", "out", "fsync", "off");
    CHECK(WB_BAD, "is not there.[mkdir -p ", "path", "no/out");
    CHECK(WB_BAD, "no format named", "path", "out", "format", "xml");
    append(&host, "mine", "text\n");
    CHECK(WB_BAD, "has no journal", "path", "mine");
    assert_int_equal(size_of(&host, "out.journal"), -1); /* check changes nothing */

    rig r;
    wb_facts facts = {text_fact, number_fact, NULL};
    RIG(&r, &host, "path", "out", "format", "row", "fsync", "each");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 2, "x"));
    MUST(&r, rig_flush(&r, -1));
    said[0] = 0;
    MUST(&r, wb_target_file.status(r.ctx, &host, &facts, &r.err));
    assert_non_null(strstr(said, "delivery=exactly once\n"));
    assert_non_null(strstr(said, "bytes=34\n"));
    assert_non_null(strstr(said, "epoch=1\n"));
    char where[100];
    assert_int_equal(wb_target_file.destination(r.ctx, where, sizeof where), WB_OK);
    assert_string_equal(where, "out");
    rig_end(&r);
    assert_int_equal(truncate(path_in(&host, "out"), 3), 0);
    CHECK(WB_BAD, "was cut, replaced or deleted", "path", "out");
    wb_error err;
    wb_error_reset(&err);
    wb_report report = {.add = add};
    RIG(&r, &host, "path", "out", "mode", "0888");
    assert_int_equal(wb_target_file.check(r.ctx, &host, &report, &err), WB_E_CONFIG);
    rig_end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fifo_without_reader_is_tried_again),
        TEST(test_a_reader_that_stands_still),
        TEST(test_a_slow_reader),
        TEST(test_after_a_cut_line_the_next_is_whole),
        TEST(test_a_reader_that_goes_away),
        TEST(test_interrupt_ends_a_wait),
        TEST(test_reload_opens_the_fifo_again),
        TEST(test_devices),
        TEST(test_standard_output),
        TEST(test_disk_full_and_room_again),
        TEST(test_check_and_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

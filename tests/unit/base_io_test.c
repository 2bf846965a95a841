/* wb_io: whole files, partial writes taken back, missing and oversized files, folders. */
#include "base/io.h"
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct place {
    char dir[64];
    char path[128], other[128];
    wb_error err;
} place;

static int begin(void **state)
{
    place *p = calloc(1, sizeof *p);
    if (!p) return -1;
    (void)snprintf(p->dir, sizeof p->dir, "/tmp/base_io_XXXXXX");
    if (!mkdtemp(p->dir)) return -1;
    (void)snprintf(p->path, sizeof p->path, "%s/one", p->dir);
    (void)snprintf(p->other, sizeof p->other, "%s/two", p->dir);
    *state = p;
    return 0;
}
static int finish(void **state)
{
    place *p = *state;
    (void)unlink(p->path);
    (void)unlink(p->other);
    (void)rmdir(p->path);
    int r = rmdir(p->dir); /* fails when a temporary file was left */
    free(p);
    return r;
}

static int make(const place *p) { return open(p->path, O_RDWR | O_CREAT | O_TRUNC, 0600); }

static void assert_holds(place *p, const char *path, const char *want)
{
    char *text;
    size_t n;
    assert_int_equal(wb_io_slurp(path, 1 << 20, &text, &n, &p->err), WB_OK);
    assert_non_null(text);
    assert_string_equal(text, want);
    assert_int_equal(n, strlen(want));
    free(text);
}

static void test_write_read_cut_sync(void **state)
{
    place *p = *state;
    char got[8] = "";
    int fd = make(p);
    assert_int_equal(wb_io_write(fd, "hello", 5, p->path, &p->err), WB_OK);
    assert_int_equal(wb_io_write(fd, "", 0, p->path, &p->err), WB_OK);
    assert_int_equal(wb_io_pwrite(fd, "J", 1, 0, p->path, &p->err), WB_OK);
    assert_int_equal(wb_io_sync(fd, p->path, &p->err), WB_OK);
    assert_holds(p, p->path, "Jello");
    assert_int_equal(wb_io_truncate(fd, 4, p->path, &p->err), WB_OK);
    assert_int_equal(wb_io_pread(fd, got, 3, 1, p->path, &p->err), WB_OK);
    assert_string_equal(got, "ell");
    assert_int_equal(wb_io_pread(fd, got, 4, 1, p->path, &p->err), WB_E_IO);
    assert_non_null(strstr(p->err.message, "ends early"));
    assert_non_null(strstr(p->err.message, p->path));
    (void)close(fd);
}

static void test_errors_name_the_path(void **state)
{
    place *p = *state;
    assert_int_equal(wb_io_write(-1, "x", 1, "some/path", &p->err), WB_E_IO);
    assert_int_equal(p->err.sys, EBADF);
    assert_non_null(strstr(p->err.message, "cannot write to some/path: "));
    wb_error_reset(&p->err);
    assert_int_equal(wb_io_sync(-1, "some/path", &p->err), WB_E_IO);
    assert_non_null(strstr(p->err.message, "some/path"));
    wb_error_reset(&p->err);
    assert_int_equal(wb_io_truncate(-1, 0, "some/path", &p->err), WB_E_IO);
    wb_error_reset(&p->err);
    assert_int_equal(wb_io_pread(-1, &p->err.sys, 1, 0, "some/path", &p->err), WB_E_IO);
    wb_error_reset(&p->err);
    assert_int_equal(wb_io_rename(p->path, p->other, &p->err), WB_E_IO);
    assert_non_null(strstr(p->err.message, p->path));
    assert_non_null(strstr(p->err.message, p->other));
    wb_error_reset(&p->err);
    int fd;
    assert_int_equal(wb_io_temp("/nowhere/at/all", &fd, &p->err), WB_E_IO);
    assert_int_equal(fd, -1);
}

static void test_full_device(void **state)
{
    place *p = *state;
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0) skip();
    assert_int_equal(wb_io_write(fd, "x", 1, "/dev/full", &p->err), WB_E_FULL);
    assert_int_equal(p->err.code, WB_E_FULL);
    assert_int_equal(p->err.next, WB_RETRY);
    assert_int_equal(p->err.sys, ENOSPC);
    assert_true(p->err.hint[0] != 0);
    (void)close(fd);
}

/* A file size limit stops a write in the middle, as a full disk does. */
static void test_half_a_write_is_taken_back(void **state)
{
    place *p = *state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit small = {1000, 1000};
        (void)signal(SIGXFSZ, SIG_IGN);
        int fd = make(p);
        char bytes[800];
        memset(bytes, 'b', sizeof bytes);
        if (setrlimit(RLIMIT_FSIZE, &small)) _exit(9);
        if (wb_io_write(fd, bytes, 800, p->path, &p->err) != WB_OK) _exit(1);
        if (wb_io_write(fd, bytes, 800, p->path, &p->err) == WB_OK) _exit(2);
        if (lseek(fd, 0, SEEK_END) != 800) _exit(3);
        if (lseek(fd, 0, SEEK_CUR) != 800) _exit(4);
        wb_error_reset(&p->err);
        if (wb_io_write(fd, bytes, 200, p->path, &p->err) != WB_OK) _exit(5);
        /* In the middle of a file there is nothing to take back. */
        if (lseek(fd, 500, SEEK_SET) != 500 || wb_io_write(fd, bytes, 800, p->path, &p->err) == WB_OK) _exit(6);
        if (p->err.sys != EFBIG) _exit(7);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_slurp(void **state)
{
    place *p = *state;
    char *text = p->dir;
    size_t n = 9;
    assert_int_equal(wb_io_slurp(p->path, 10, &text, &n, &p->err), WB_OK);
    assert_null(text);
    assert_int_equal(n, 0);
    assert_int_equal(p->err.code, WB_OK);
    int fd = make(p);
    assert_holds(p, p->path, "");
    assert_int_equal(wb_io_write(fd, "0123456789", 10, p->path, &p->err), WB_OK);
    assert_int_equal(wb_io_slurp(p->path, 10, &text, &n, &p->err), WB_OK);
    assert_int_equal(n, 10);
    assert_string_equal(text, "0123456789");
    free(text);
    assert_int_equal(wb_io_slurp(p->path, 9, &text, &n, &p->err), WB_E_LIMIT);
    assert_null(text);
    wb_error_reset(&p->err);
    assert_int_equal(wb_io_slurp(p->dir, 9, &text, &n, &p->err), WB_E_IO);
    assert_null(text);
    (void)close(fd);
    /* A file whose size is not known before. */
    wb_error_reset(&p->err);
    assert_int_equal(wb_io_slurp("/proc/self/status", 1 << 20, &text, &n, &p->err), WB_OK);
    assert_true(n > 100);
    assert_int_equal(strlen(text), n);
    free(text);
}

static void test_slurp_large(void **state)
{
    place *p = *state;
    int fd = make(p);
    char *bytes = malloc(100001), *text;
    size_t n;
    memset(bytes, 'x', 100001);
    assert_int_equal(wb_io_write(fd, bytes, 100001, p->path, &p->err), WB_OK);
    assert_int_equal(wb_io_slurp(p->path, 100001, &text, &n, &p->err), WB_OK);
    assert_int_equal(n, 100001);
    assert_memory_equal(text, bytes, n);
    free(text);
    free(bytes);
    (void)close(fd);
}

static void test_replace(void **state)
{
    place *p = *state;
    struct stat st;
    mode_t mask = umask(077);
    assert_int_equal(wb_io_replace(p->path, "one", 3, 0644, &p->err), WB_OK);
    (void)umask(mask);
    assert_holds(p, p->path, "one");
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_int_equal(wb_io_replace(p->path, "", 0, 0600, &p->err), WB_OK);
    assert_holds(p, p->path, "");
    assert_int_equal(wb_io_replace("/nowhere/at/all", "x", 1, 0600, &p->err), WB_E_IO);
}

static void test_rename(void **state)
{
    place *p = *state;
    assert_int_equal(wb_io_replace(p->path, "new", 3, 0600, &p->err), WB_OK);
    assert_int_equal(wb_io_replace(p->other, "old", 3, 0600, &p->err), WB_OK);
    assert_int_equal(wb_io_rename(p->path, p->other, &p->err), WB_OK);
    assert_holds(p, p->other, "new");
    assert_int_equal(access(p->path, F_OK), -1);
    assert_int_equal(wb_io_sync_dir_of("name-alone", &p->err), WB_OK);
    assert_int_equal(wb_io_sync_dir_of("/name", &p->err), WB_OK);
    assert_int_equal(wb_io_sync_dir_of("/nowhere/at/all", &p->err), WB_E_IO);
}

static void test_mkdir(void **state)
{
    place *p = *state;
    struct stat st;
    char slash[140];
    (void)snprintf(slash, sizeof slash, "%s//", p->path);
    assert_int_equal(wb_io_mkdir(slash, 0700, &p->err), WB_OK);
    assert_int_equal(wb_io_mkdir(p->path, 0700, &p->err), WB_OK);
    assert_int_equal(stat(p->path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(wb_io_replace(p->other, "", 0, 0600, &p->err), WB_OK);
    assert_int_equal(wb_io_mkdir(p->other, 0700, &p->err), WB_E_IO);
    assert_int_equal(p->err.sys, ENOTDIR);
}

static void test_temp(void **state)
{
    place *p = *state;
    int fd;
    struct stat st;
    assert_int_equal(wb_io_temp(p->dir, &fd, &p->err), WB_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(wb_io_write(fd, "x", 1, "spool", &p->err), WB_OK);
    (void)close(fd);
}

int main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, begin, finish)
    const struct CMUnitTest tests[] = {
        WITH(test_write_read_cut_sync),
        WITH(test_errors_name_the_path),
        WITH(test_full_device),
        WITH(test_half_a_write_is_taken_back),
        WITH(test_slurp),
        WITH(test_slurp_large),
        WITH(test_replace),
        WITH(test_rename),
        WITH(test_mkdir),
        WITH(test_temp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

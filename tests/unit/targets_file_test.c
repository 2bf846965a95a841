/* targets_file_test.c: regular files of the file target: resume, what must stop it, snapshots, rotation, compression.
 */
#include "file_help.h"

#include <dirent.h>
#include <zlib.h>
#ifdef WB_HAVE_ZSTD
#include <zstd.h>
#endif

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

#define PLAIN "path", "out", "format", "row", "fsync", "each"

/* The first file NAME.* that is not the journal; the caller's buffer. */
static int moved_files(const char *name, char last[300])
{
    int n = 0;
    DIR *d = opendir(host.dir);
    size_t len = strlen(name);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, name, len) != 0 || e->d_name[len] != '.' || strstr(e->d_name, ".journal")) continue;
        if (n++ == 0 || strcmp(e->d_name, last) > 0) snprintf(last, 300, "%s", e->d_name);
    }
    closedir(d);
    return n;
}

static void test_lines_and_answers(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    assert_true(r.open.keeps);
    assert_false(r.open.own);
    MUST(&r, rig_write(&r, 2, "x"));
    assert_int_equal(host.nfree, 1);
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, 0), WB_AGAIN); /* synced; the journal when nothing more comes */
    assert_int_equal(host.ndone, 0);
    expect_rows(&host, "out", 1, 3);
    MUST(&r, rig_flush(&r, 0));
    assert_int_equal(host.ndone, 2);
    assert_true(host.in_order);
    expect_rows(&host, "out", 1, 3);
    struct stat st;
    assert_int_equal(stat(path_in(&host, "out"), &st), 0);
    assert_int_equal(st.st_mode & 0737, 0600); /* 0640 less umask */
    rig_end(&r);
}

static void test_resume_at_the_journals_stand(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 2, "x"));
    MUST(&r, rig_flush(&r, -1));
    MUST(&r, rig_write_as(&r, 1, "x", 10, 1, 0)); /* a piece of a large transaction */
    MUST(&r, rig_flush(&r, -1));
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, 0), WB_AGAIN); /* synced without its journal: comes again */
    wb_target_file.close(r.ctx);
    append(&host, "out", "{\"id\":3,\"v\":\"torn");
    MUST(&r, rig_open(&r));
    assert_string_equal(r.stand, "10+1");
    expect_rows(&host, "out", 1, 3);
    r.row = 4;
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 1, 4);
    rig_end(&r);
}

static void test_lines_show_before_they_are_durable(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, "path", "out", "format", "row", "fsync", "50s");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x")); /* nothing was synced yet: at once */
    assert_int_equal(host.ndone, 1);
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, 0), WB_AGAIN);
    assert_int_equal(host.ndone, 1);
    expect_rows(&host, "out", 1, 2);
    wb_target_file.close(r.ctx); /* never confirmed: gone at the next start */
    MUST(&r, rig_open(&r));
    assert_string_equal(r.stand, "10+0");
    expect_rows(&host, "out", 1, 1);
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(host.ndone, 2);
    rig_end(&r);
}

static void test_fsync_off_answers_at_once(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, "path", "out", "format", "row", "fsync", "off");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, 0));
    assert_int_equal(host.ndone, 1);
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r));
    assert_string_equal(r.stand, "10+0");
    rig_end(&r);
}

static void expect_refused(rig *r, const char *why)
{
    wb_code code = rig_open(r);
    if (code != WB_E_STATE || r->err.next != WB_NEVER || !strstr(r->err.message, why) || !r->err.hint[0])
        fail_msg("%s: \"%s\" lacks \"%s\"", wb_code_name(code), r->err.message, why);
}

static void test_what_stops_the_start(void **state)
{
    WB_UNUSED(state);
    rig r, other;
    RIG(&r, &host, PLAIN);
    append(&host, "out", "{}\n");
    expect_refused(&r, "is there already, and has no journal");
    assert_int_equal(size_of(&host, "out.journal"), -1);
    assert_int_equal(unlink(path_in(&host, "out")), 0);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 3, "x"));
    MUST(&r, rig_flush(&r, -1));
    RIG(&other, &host, PLAIN);
    expect_refused(&other, "Another process is writing");
    wb_target_file.close(r.ctx);

    assert_int_equal(rename(path_in(&host, "out"), path_in(&host, "kept")), 0);
    expect_refused(&r, "is gone");
    append(&host, "out", "");
    expect_refused(&r, "is another file");
    assert_int_equal(rename(path_in(&host, "kept"), path_in(&host, "out")), 0);
    assert_int_equal(truncate(path_in(&host, "out"), 20), 0);
    expect_refused(&r, "it was cut");
    rig_end(&other);
    rig_end(&r);
}

static void test_a_file_deleted_or_cut_while_it_is_written(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 3, "x"));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(unlink(path_in(&host, "out")), 0);
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, 0), WB_E_STATE);
    assert_non_null(strstr(r.err.message, "deleted while it was being written"));
    assert_int_equal(rig_write(&r, 1, "x"), WB_E_STATE); /* only a fresh open helps */
    assert_int_equal(host.ndone, 1);
    rig_end(&r);
}

static void test_torn_and_damaged_journal(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    uint64_t newest = r.ctx->journal.mark.generation;
    wb_target_file.close(r.ctx);
    int fd = open(path_in(&host, "out.journal"), O_RDWR);
    off_t slot = (off_t)(newest % 2) * FILE_SLOT;
    assert_int_equal(pwrite(fd, "\xFF\xFF", 2, slot + 30), 2);
    MUST(&r, rig_open(&r)); /* the entry before it counts, and the file is cut to it */
    assert_string_equal(r.stand, "10+0");
    expect_rows(&host, "out", 1, 1);
    wb_target_file.close(r.ctx);
    assert_int_equal(pwrite(fd, "\xFF\xFF", 2, 30), 2);
    assert_int_equal(pwrite(fd, "\xFF\xFF", 2, FILE_SLOT + 30), 2);
    expect_refused(&r, "is damaged");
    assert_int_equal(pwrite(fd, "WBFJRNL2", 8, 0), 8);
    expect_refused(&r, "newer version");
    close(fd);
    rig_end(&r);
}

static void test_another_epoch_fences(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    file_journal other = r.ctx->journal; /* as another machine would, that does not see our lock */
    other.scratch = (wb_out){0};
    file_mark next = other.mark;
    next.epoch = 99;
    assert_int_equal(file_journal_write(&other, &next, true, NULL), WB_OK);
    assert_int_equal(file_journal_write(&other, &next, true, NULL), WB_OK);
    wb_out_fini(&other.scratch);
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rig_flush(&r, -1), WB_E_FENCED);
    assert_int_equal(host.ndone, 1);
    rig_end(&r);
}

static void test_an_unfinished_snapshot_starts_again(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN, "rotate_size", "40");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write_as(&r, 3, "x", 0, 3, WB_BATCH_RESET));
    MUST(&r, rig_flush(&r, -1));
    MUST(&r, rig_write_as(&r, 2, "x", 0, 5, 0));
    MUST(&r, rig_flush(&r, -1));
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r));
    assert_string_equal(r.stand, "0+5");
    r.row = 1;
    MUST(&r, rig_write_as(&r, 1, "x", 0, 1, WB_BATCH_RESET));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 1, 1); /* and no rotation: it is not finished */
    r.lsn = 100;
    MUST(&r, rig_write(&r, 4, "x")); /* finished: now it may move */
    MUST(&r, rig_flush(&r, -1));
    char moved[300];
    assert_int_equal(moved_files("out", moved), 1);
    expect_rows(&host, moved, 1, 5);
    assert_int_equal(size_of(&host, "out"), 0);
    r.row = 6;
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    /* a second snapshot behind finished changes: only its own rows go away when it starts again */
    MUST(&r, rig_write_as(&r, 1, "x", 0, 1, WB_BATCH_RESET));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 6, 7);
    r.row = 7;
    MUST(&r, rig_write_as(&r, 2, "x", 0, 2, WB_BATCH_RESET));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 6, 8);
    rig_end(&r);
}

/* A turn of a snapshot: readable as it comes, counted at its end; one that does not end is cut off. */
static void turns_of(const char *compress)
{
    rig r;
    size_t before = host.ndone;
    RIG(&r, &host, PLAIN, "rotate_size", "40", "compress", compress);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write_as(&r, 2, "x", 100, 0, 0));
    uint32_t open = WB_VIEW_OPEN;
    MUST(&r, rig_write_as(&r, 3, "half", 100, 0, open)); /* what came before is committed, this is not */
    MUST(&r, rig_flush(&r, -1));
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r)); /* a crash within it: cut */
    r.row = 3;
    MUST(&r, rig_write_as(&r, 1, "half", 100, 0, open));
    MUST(&r, rig_flush(&r, 0));
    MUST(&r, wb_target_file.reload(r.ctx, &r.err)); /* HUP waits for the turn's end */
    r.row = 3;
    MUST(&r, rig_write_as(&r, 1, "x", 100, 0, open | WB_VIEW_ABANDON)); /* the connection was lost: another turn */
    MUST(&r, rig_write_as(&r, 1, "x", 200, 0, 0));                      /* which ends */
    MUST(&r, rig_flush(&r, -1));
    wb_target_file.close(r.ctx);
    char moved[300];
    MUST(&r, rig_open(&r));
    if (strcmp(compress, "none") == 0) {
        assert_int_equal(moved_files("out", moved), 1); /* not before the end */
        expect_rows(&host, moved, 1, 4);
    }
    assert_int_equal(host.ndone - before, r.ticket);
    rig_end(&r);
}

static void test_turns(void **state)
{
    WB_UNUSED(state);
    turns_of("none");
    turns_of("gzip");
}

static void test_rotation_by_size(void **state)
{
    WB_UNUSED(state);
    rig r;
    char moved[300];
    RIG(&r, &host, PLAIN, "rotate_size", "50");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write_as(&r, 4, "x", 10, 4, 0)); /* within a transaction: stays */
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(moved_files("out", moved), 0);
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(moved_files("out", moved), 1);
    assert_string_equal(moved + strlen(moved) - 7, ".000001");
    expect_rows(&host, moved, 1, 5);
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 6, 6);
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r));
    assert_string_equal(r.stand, "20+0");
    MUST(&r, rig_write(&r, 5, "x"));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(moved_files("out", moved), 2);
    assert_string_equal(moved + strlen(moved) - 7, ".000002");
    expect_rows(&host, moved, 6, 11);
    rig_end(&r);
}

static void test_rotation_by_time(void **state)
{
    WB_UNUSED(state);
    rig r;
    char moved[300];
    RIG(&r, &host, PLAIN, "rotate_every", "1s");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    r.ctx->next.started_us -= 900000;
    MUST(&r, rig_flush(&r, 0));
    assert_int_equal(moved_files("out", moved), 0);
    r.ctx->next.started_us -= 200000;
    MUST(&r, rig_flush(&r, 0)); /* nothing comes, and still it is time */
    assert_int_equal(moved_files("out", moved), 1);
    r.ctx->next.started_us -= 2000000;
    MUST(&r, rig_flush(&r, 0)); /* an empty file stays */
    assert_int_equal(moved_files("out", moved), 1);
    rig_end(&r);
}

static void test_reload_after_logrotate(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, wb_target_file.reload(r.ctx, &r.err)); /* not moved: nothing happens */
    MUST(&r, rig_write(&r, 1, "x"));
    assert_int_equal(rename(path_in(&host, "out"), path_in(&host, "out.1")), 0);
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, wb_target_file.reload(r.ctx, &r.err));
    assert_int_equal(host.ndone, 3);
    expect_rows(&host, "out.1", 1, 3);
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 4, 4);
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r));
    assert_string_equal(r.stand, "40+0");
    /* logrotate's "create": an empty file waits already */
    assert_int_equal(rename(path_in(&host, "out"), path_in(&host, "out.2")), 0);
    append(&host, "out", "");
    MUST(&r, wb_target_file.reload(r.ctx, &r.err));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 5, 5);
    assert_int_equal(rename(path_in(&host, "out"), path_in(&host, "out.3")), 0);
    append(&host, "out", "not ours\n");
    wb_error_reset(&r.err);
    assert_int_equal(wb_target_file.reload(r.ctx, &r.err), WB_E_STATE);
    expect_file(&host, "out", "not ours\n");
    rig_end(&r);
}

static void test_link_is_followed(void **state)
{
    WB_UNUSED(state);
    rig r;
    char moved[300];
    assert_int_equal(mkdir(path_in(&host, "data"), 0700), 0);
    assert_int_equal(symlink("data/real", path_in(&host, "out")), 0);
    RIG(&r, &host, PLAIN, "rotate_size", "50");
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 5, "x"));
    MUST(&r, rig_flush(&r, -1));
    MUST(&r, rig_write(&r, 1, "x"));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "data/real", 6, 6);
    assert_int_equal(moved_files("out", moved), 0);
    assert_true(size_of(&host, "data/real.journal") > 0);
    rig_end(&r);
}

static void test_large_views_and_rows(void **state)
{
    WB_UNUSED(state);
    rig r;
    size_t n = 5 * 1024 * 1024;
    char *big = malloc(n + 1);
    memset(big, 'y', n);
    big[n] = 0;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    MUST(&r, rig_write(&r, 50000, "x"));
    MUST(&r, rig_flush(&r, -1));
    expect_rows(&host, "out", 1, 50000);
    int64_t before = size_of(&host, "out");
    MUST(&r, rig_write(&r, 1, big));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(size_of(&host, "out") - before, (int64_t)n + 20);
    assert_true(r.ctx->text.cap <= FILE_KEEP); /* the row's memory is given back */
    free(big);
    rig_end(&r);
}

static void test_poison(void **state)
{
    WB_UNUSED(state);
    rig r;
    RIG(&r, &host, PLAIN);
    MUST(&r, rig_open(&r));
    wb_value bad[] = {number(WB_INT, 1), text(WB_BYTES, "\\xz")}, good[] = {number(WB_INT, 1), text(WB_TEXT, "x")};
    wb_change c[] = {{.op = WB_INSERT, .table = r.table, .after = good, .targets = 1},
                     {.op = WB_INSERT, .table = r.table, .after = bad, .targets = 1},
                     {.op = WB_INSERT, .table = r.table, .after = good, .targets = 2}};
    wb_txn txn = {.id = WB_STR("1")};
    uint64_t lsn = 5;
    wb_view v = {
        .changes = c, .txns = &txn, .nchanges = 3, .ntxns = 1, .bit = 1, .stand = {{&lsn, 8}, 0}, .ends_txn = true};
    host.dead_letters = true;
    MUST(&r, wb_target_file.write(r.ctx, &v, 1, &r.err));
    MUST(&r, rig_flush(&r, -1));
    assert_int_equal(host.npoison, 1);
    expect_rows(&host, "out", 1, 1);
    host.dead_letters = false;
    assert_int_equal(wb_target_file.write(r.ctx, &v, 2, &r.err), WB_E_DATA);
    assert_int_equal(r.err.next, WB_POISON);
    wb_error_reset(&r.err);
    assert_int_equal(rig_flush(&r, -1), WB_E_DATA); /* half a view must not become durable */
    wb_target_file.close(r.ctx);
    MUST(&r, rig_open(&r));
    expect_rows(&host, "out", 1, 1);
    rig_end(&r);
}

static char *gunzip(const char *name)
{
    gzFile g = gzopen(path_in(&host, name), "rb");
    assert_non_null(g);
    char *p = calloc(1, 1 << 20);
    int n = gzread(g, p, (1 << 20) - 1);
    assert_true(n >= 0);
    assert_int_equal(gzclose(g), Z_OK);
    return p;
}

static char *unzstd(const char *name)
{
    char *p = calloc(1, 1 << 20);
#ifdef WB_HAVE_ZSTD
    int64_t n = size_of(&host, name);
    char *packed = contents(&host, name);
    size_t k = ZSTD_decompress(p, (1 << 20) - 1, packed, (size_t)n);
    if (ZSTD_isError(k)) fail_msg("%s", ZSTD_getErrorName(k));
    p[k] = 0; /* it may have used the room behind */
    free(packed);
#endif
    return p;
}

static void compressed(const char *kind, char *(*unpack)(const char *name))
{
    rig r;
    RIG(&r, &host, "path", "out", "format", "row", "fsync", "each", "compress", kind);
    MUST(&r, rig_open(&r));
    for (int i = 0; i < 3; i++) {
        MUST(&r, rig_write(&r, 1000, "x"));
        MUST(&r, rig_flush(&r, -1));
    }
    int64_t whole = size_of(&host, "out");
    assert_true(whole < 20000);
    wb_target_file.close(r.ctx);
    append(&host, "out", "half a frame");
    MUST(&r, rig_open(&r));
    assert_int_equal(size_of(&host, "out"), whole);
    MUST(&r, rig_write(&r, 1000, "x"));
    MUST(&r, rig_flush(&r, -1));
    char *got = unpack("out");
    wb_out want = {0};
    for (int i = 1; i <= 4000; i++) wb_out_printf(&want, "{\"id\":%d,\"v\":\"x\"}\n", i);
    assert_int_equal(strlen(got), want.len);
    assert_memory_equal(got, want.p, want.len);
    wb_out_fini(&want);
    free(got);
    rig_end(&r);
}

static void test_gzip_members(void **state)
{
    WB_UNUSED(state);
    compressed("gzip", gunzip);
}

static void test_zstd_frames(void **state)
{
    WB_UNUSED(state);
#ifdef WB_HAVE_ZSTD
    compressed("zstd", unzstd);
#else
    WB_UNUSED(unzstd);
    skip();
#endif
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_and_answers),
        TEST(test_resume_at_the_journals_stand),
        TEST(test_lines_show_before_they_are_durable),
        TEST(test_fsync_off_answers_at_once),
        TEST(test_what_stops_the_start),
        TEST(test_a_file_deleted_or_cut_while_it_is_written),
        TEST(test_torn_and_damaged_journal),
        TEST(test_another_epoch_fences),
        TEST(test_an_unfinished_snapshot_starts_again),
        TEST(test_turns),
        TEST(test_rotation_by_size),
        TEST(test_rotation_by_time),
        TEST(test_reload_after_logrotate),
        TEST(test_link_is_followed),
        TEST(test_large_views_and_rows),
        TEST(test_poison),
        TEST(test_gzip_members),
        TEST(test_zstd_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The spool of streamed transactions, and the set of aborted ids. */
#include <dirent.h>
#include <unistd.h>

#include "postgres_help.h"
#include "sources/postgres/spool.h"
#include "sources/postgres/xidset.h"

typedef struct folder {
    char path[64];
    pg_spools *s;
    wb_error err;
} folder;

static int setup(void **state)
{
    folder *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s/walbrook-spool-XXXXXX", P_tmpdir);
    assert_non_null(mkdtemp(f->path));
    f->s = pg_spools_new(f->path, 0);
    assert_non_null(f->s);
    *state = f;
    return 0;
}

/* Nothing of it can be seen in the folder. */
static int teardown(void **state)
{
    folder *f = *state;
    pg_spools_free(f->s);
    assert_int_equal(rmdir(f->path), 0);
    free(f);
    return 0;
}

static void append(folder *f, uint32_t xid, uint32_t subxid, uint64_t n)
{
    char text[32];
    int len = snprintf(text, sizeof text, "message %llu", (unsigned long long)n);
    assert_int_equal(pg_spool_append(f->s, xid, subxid, n * 2, n, text, (size_t)len, &f->err), WB_OK);
}

static void expect(folder *f, pg_spool_reader *r, uint32_t subxid, uint64_t n)
{
    char text[32];
    pg_spool_record rec;
    int len = snprintf(text, sizeof text, "message %llu", (unsigned long long)n);
    assert_int_equal(pg_spool_next(r, &rec, &f->err), WB_OK);
    assert_true(rec.subxid == subxid && rec.place == n * 2 && rec.seq == n && rec.n == (size_t)len);
    assert_memory_equal(rec.p, text, (size_t)len);
}

static pg_spool_reader *read_back(folder *f, uint32_t xid)
{
    pg_spool_reader *r;
    assert_int_equal(pg_spool_read(f->s, xid, &r, &f->err), WB_OK);
    return r;
}

static void expect_end(folder *f, pg_spool_reader *r)
{
    pg_spool_record rec;
    assert_int_equal(pg_spool_next(r, &rec, &f->err), WB_END);
    assert_int_equal(pg_spool_next(r, &rec, &f->err), WB_END);
    pg_spool_close(r);
}

static void test_in_order(void **state)
{
    folder *f = *state;
    for (uint64_t i = 0; i < 100000; i++) append(f, 7, 8, i);
    assert_int_equal(pg_spools_count(f->s), 1);
    pg_spool_reader *r = read_back(f, 7);
    for (uint64_t i = 0; i < 100000; i++) expect(f, r, 8, i);
    assert_true(pg_spools_bytes(f->s) > 100000 * 24);
    expect_end(f, r);
    assert_true(pg_spools_bytes(f->s) == 0 && pg_spools_count(f->s) == 0);
}

static void test_interleaved(void **state)
{
    folder *f = *state;
    enum { XIDS = 50, ROUNDS = 200 };
    for (uint64_t i = 0; i < (uint64_t)XIDS * ROUNDS; i++) append(f, (uint32_t)(i / 3 % XIDS) + 1, 1, i);
    for (uint32_t xid = XIDS; xid >= 1; xid--) {
        pg_spool_reader *r = read_back(f, xid);
        if (xid == XIDS) append(f, 1, 1, 99999); /* appended to while another is read */
        for (uint64_t i = 0; i < (uint64_t)XIDS * ROUNDS; i++)
            if (i / 3 % XIDS + 1 == xid) expect(f, r, 1, i);
        if (xid == 1) expect(f, r, 1, 99999);
        expect_end(f, r);
    }
    assert_true(pg_spools_bytes(f->s) == 0);
}

/* Aborted parts are left out; what comes after them stays. */
static void test_aborted_parts(void **state)
{
    folder *f = *state;
    for (uint32_t i = 0; i < 1000; i++) append(f, 765, 766 + i % 10, i);
    for (uint32_t sub = 766; sub < 776; sub += 2) assert_int_equal(pg_spool_abort(f->s, 765, sub, &f->err), WB_OK);
    append(f, 765, 765, 5000);
    pg_spool_reader *r = read_back(f, 765);
    for (uint32_t i = 0; i < 1000; i++)
        if (i % 2) expect(f, r, 766 + i % 10, i);
    expect(f, r, 765, 5000);
    expect_end(f, r);
}

static void test_aborted_whole(void **state)
{
    folder *f = *state;
    append(f, 1, 1, 1);
    append(f, 2, 2, 2);
    append(f, 1, 1, 3);
    assert_int_equal(pg_spool_abort(f->s, 1, 1, &f->err), WB_OK);
    assert_int_equal(pg_spool_abort(f->s, 9, 9, &f->err), WB_OK); /* never heard of */
    assert_int_equal(pg_spool_abort(f->s, 9, 10, &f->err), WB_OK);
    assert_int_equal(pg_spools_count(f->s), 1);
    expect_end(f, read_back(f, 1));
    pg_spool_reader *r = read_back(f, 2);
    expect(f, r, 2, 2);
    expect_end(f, r);
    append(f, 1, 1, 4); /* an xid can come again */
    r = read_back(f, 1);
    expect(f, r, 1, 4);
    expect_end(f, r);
}

static void test_drop(void **state)
{
    folder *f = *state;
    for (uint32_t i = 0; i < 100; i++) append(f, i + 1, 1, i);
    pg_spools_drop(f->s);
    assert_true(pg_spools_bytes(f->s) == 0 && pg_spools_count(f->s) == 0);
    append(f, 1, 1, 1);
    pg_spool_reader *r = read_back(f, 1);
    expect(f, r, 1, 1);
    expect_end(f, r);
}

/* Around the sizes of the buffers, and far above. */
static void test_large_messages(void **state)
{
    folder *f = *state;
    const size_t sizes[] = {262144 - 25, 262144 - 24, 262144 - 23, 262144, 262145, 3000000, 0, 1, 600000, 262120};
    const size_t count = sizeof sizes / sizeof sizes[0];
    char *big = malloc(3000000);
    for (size_t i = 0; i < 3000000; i++) big[i] = (char)(i * 7919 >> 3);
    for (size_t i = 0; i < count * 3; i++) {
        assert_int_equal(
            pg_spool_append(f->s, 1, 1, i, i, big + i, sizes[i % count] - (sizes[i % count] > 100 ? i : 0), &f->err),
            WB_OK);
        if (i % 4 == 0) append(f, 2, 2, i);
    }
    pg_spool_reader *r = read_back(f, 1);
    for (size_t i = 0; i < count * 3; i++) {
        pg_spool_record rec;
        assert_int_equal(pg_spool_next(r, &rec, &f->err), WB_OK);
        assert_int_equal(rec.n, sizes[i % count] - (sizes[i % count] > 100 ? i : 0));
        assert_memory_equal(rec.p, big + i, rec.n);
    }
    expect_end(f, r);
    free(big);
}

static void test_limit(void **state)
{
    folder *f = *state;
    pg_spools *s = pg_spools_new(f->path, 1000);
    char bytes[100] = {0};
    wb_code code = WB_OK;
    int n = 0;
    for (; n < 20 && code == WB_OK; n++)
        code = pg_spool_append(s, (uint32_t)(n % 3) + 1, 1, 0, 0, bytes, sizeof bytes, &f->err);
    assert_int_equal(code, WB_E_LIMIT);
    assert_int_equal(n, 1000 / 124 + 1);
    assert_true(pg_spools_bytes(s) <= 1000);
    assert_non_null(strstr(f->err.message, "spool_limit"));
    pg_spools_drop(s);
    assert_int_equal(pg_spool_append(s, 1, 1, 0, 0, bytes, sizeof bytes, &f->err), WB_OK);
    pg_spools_free(s);
}

#ifdef WB_WITH_FAULTS
/* The disk fills up: said as such, and after the drop it goes on. */
static void test_disk_full(void **state)
{
    folder *f = *state;
    setenv("WB_FAULT", "spool.append@3:enospc", 1); /* read at the first passage in this process */
    append(f, 1, 1, 1);
    append(f, 2, 2, 2);
    assert_int_equal(pg_spool_append(f->s, 1, 1, 0, 0, "x", 1, &f->err), WB_E_FULL);
    pg_spools_drop(f->s);
    wb_error_reset(&f->err);
    append(f, 1, 1, 4);
    pg_spool_reader *r = read_back(f, 1);
    expect(f, r, 1, 4);
    expect_end(f, r);
}
#endif

static void test_folder_gone(void **state)
{
    folder *f = *state;
    pg_spools *s = pg_spools_new("/nonexistent-folder", 0);
    pg_spool_reader *r;
    assert_int_equal(pg_spool_append(s, 1, 1, 0, 0, "x", 1, &f->err), WB_OK); /* still in memory */
    assert_int_equal(pg_spool_read(s, 1, &r, &f->err), WB_E_IO);
    assert_null(r);
    pg_spools_free(s);
}

static void test_xidset(void **state)
{
    (void)state;
    pg_xidset s = {0};
    assert_false(pg_xidset_has(&s, 0));
    assert_true(pg_xidset_add(&s, 5));
    for (uint32_t i = 0; i < 5000; i++) assert_int_equal(pg_xidset_has(&s, i), i == 5);
    pg_xidset_fini(&s);
    for (uint32_t i = 0; i < 100000; i++) assert_true(pg_xidset_add(&s, 1000 + i * 2));
    for (uint32_t i = 0; i < 100000; i++) {
        assert_true(pg_xidset_has(&s, 1000 + i * 2));
        assert_false(pg_xidset_has(&s, 1001 + i * 2));
    }
    assert_false(pg_xidset_has(&s, 998));
    assert_true(s.cap * sizeof(pg_xid_page) < 200000); /* about a bit each, not 4 bytes and more */
    pg_xidset_fini(&s);
    for (uint32_t i = 0, x = 1; i < 20000; i++, x = x * 2654435761u + 97) assert_true(pg_xidset_add(&s, x));
    for (uint32_t i = 0, x = 1; i < 20000; i++, x = x * 2654435761u + 97) assert_true(pg_xidset_has(&s, x));
    assert_true(pg_xidset_add(&s, UINT32_MAX) && pg_xidset_add(&s, 0));
    assert_true(pg_xidset_has(&s, UINT32_MAX) && pg_xidset_has(&s, 0));
    pg_xidset_fini(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef WB_WITH_FAULTS
        T(test_disk_full), /* first: it arms the fault */
#endif
        T(test_in_order),       T(test_interleaved), T(test_aborted_parts), T(test_aborted_whole),         T(test_drop),
        T(test_large_messages), T(test_limit),       T(test_folder_gone),   cmocka_unit_test(test_xidset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

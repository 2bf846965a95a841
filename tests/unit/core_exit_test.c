/* The end of a program in which a connection is still being made. */
#include "check.h"

#ifdef WB_HAVE_MYSQL
#include <openssl/crypto.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sources/mysql/my.h"

static void cleaned_up(void) { _exit(42); }

/* Whoever connects on a thread of its own then must not lose OpenSSL's locks. */
static void test_openssl_outlives_threads(void **state)
{
    int status = -1;
    WB_UNUSED(state);
    assert_true(my_brand(&(my_link){.flavor = MY_MYSQL})[0]); /* conn.c is part of this program */
    pid_t child = fork();
    if (child == 0) {
        if (!OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL) || OPENSSL_atexit(cleaned_up) != 1) _exit(1);
        exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_openssl_outlives_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) { return 77; } /* built without mysql */
#endif

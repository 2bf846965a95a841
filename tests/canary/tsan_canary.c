/* tsan_canary.c: a race that ThreadSanitizer must see. Built and run by tests/canary/run only. */
#include <pthread.h>
#include <string.h>

static int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *count(void *locked)
{
    for (int i = 0; i < 1000; i++) {
        if (locked) (void)pthread_mutex_lock(&lock);
        shared++;
        if (locked) (void)pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    void *locked = argc > 1 && strcmp(argv[1], "race") == 0 ? NULL : &lock;
    pthread_t t[2];
    for (int i = 0; i < 2; i++)
        if (pthread_create(&t[i], NULL, count, locked)) return 1;
    for (int i = 0; i < 2; i++)
        if (pthread_join(t[i], NULL)) return 1;
    return 0;
}

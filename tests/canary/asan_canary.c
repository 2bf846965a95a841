/* asan_canary.c: bugs that AddressSanitizer must see, our arena's included. Built and run by tests/canary/run only. */
#include "base/arena.h"

int main(int argc, char **argv)
{
    const char *bug = argc > 1 ? argv[1] : "";
    volatile char *p = NULL;
    wb_arena a;
    wb_arena_init(&a, 4096, 0);
    if (strcmp(bug, "after-free") == 0) {
        p = malloc(16);
        free((void *)p);
    } else if (strcmp(bug, "arena-overrun") == 0) {
        p = (char *)wb_arena_alloc(&a, 20) + 20;
        (void)wb_arena_alloc(&a, 20);
    } else if (strcmp(bug, "arena-after-reset") == 0) {
        p = wb_arena_alloc(&a, 20);
        wb_arena_reset(&a);
    } else if (strcmp(bug, "leak") == 0) {
        p = malloc(16);
        if (p) *p = 1;
        p = NULL;
    }
    if (p) *p = 1;
    if (strcmp(bug, "leak") != 0) wb_arena_fini(&a);
    return 0;
}

/* ubsan_canary.c: bugs that UndefinedBehaviorSanitizer must see and stop at. Built and run by tests/canary/run only. */
#include <limits.h>
#include <stdint.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *bug = argc > 1 ? argv[1] : "";
    volatile int n = INT_MAX, shift = 40;
    _Alignas(8) volatile char bytes[8] = {0};
    int *volatile wrong = (int *)(uintptr_t)(bytes + 1);
    if (strcmp(bug, "overflow") == 0) n = n + argc;
    if (strcmp(bug, "shift") == 0) n = argc << shift;
    if (strcmp(bug, "misaligned") == 0) n = *wrong;
    return 0;
}

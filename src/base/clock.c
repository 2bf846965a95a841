/* clock.c: time. Any thread. */
#include "base/clock.h"

#include <errno.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t)) return 0;
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t wb_now_us(void) { return read_us(CLOCK_REALTIME); }
int64_t wb_mono_us(void) { return read_us(CLOCK_MONOTONIC); }

void wb_sleep_us(int64_t us)
{
    if (us <= 0) return;
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t)) return;
    t.tv_sec += (time_t)(us / 1000000);
    t.tv_nsec += (long)(us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

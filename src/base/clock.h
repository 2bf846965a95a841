/* clock.h: time. */
#ifndef WB_CLOCK_H
#define WB_CLOCK_H
#include "base/base.h"
int64_t wb_now_us(void);  /* wall clock, µs since 1970 UTC    */
int64_t wb_mono_us(void); /* monotonic, for waits and backoff */
void wb_sleep_us(int64_t us);
#endif

/* fault.c: fault points, armed by the environment. Only in builds for tests (-Dfault=true); any thread. */
#include "base/fault.h"
#include "base/base.h"

#ifdef WB_WITH_FAULTS
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"

enum { MAX_FAULTS = 16, CRASH = -1, STOP = -2, SLEEP = -3 };

typedef struct fault {
    char name[64];
    unsigned long nth; /* 0: every passage */
    int action;        /* an errno, or one of the above */
    int64_t sleep_us;
    atomic_ulong passed;
} fault;

static fault faults[MAX_FAULTS];
static size_t nfaults;
static pthread_once_t parsed = PTHREAD_ONCE_INIT;

/* A test whose fault was never armed would pass for nothing: say so and stop. */
static _Noreturn void refuse(const char *why)
{
    static const char head[] = "WB_FAULT: ", tail[] = "; write name[@n]:crash|eio|enospc|stop|sleep=MS[;...]\n";
    ssize_t done = write(2, head, sizeof head - 1);
    done += write(2, why, strlen(why));
    done += write(2, tail, sizeof tail - 1);
    _exit(done < 0 ? 124 : 125);
}

static void parse_action(fault *f, const char *text, size_t len)
{
    wb_str s = {text, len};
    if (wb_str_is(s, "crash")) {
        f->action = CRASH;
    } else if (wb_str_is(s, "stop")) {
        f->action = STOP;
    } else if (wb_str_is(s, "eio")) {
        f->action = EIO;
    } else if (wb_str_is(s, "enospc")) {
        f->action = ENOSPC;
    } else if (len > 6 && memcmp(text, "sleep=", 6) == 0) {
        char *end;
        errno = 0;
        long ms = strtol(text + 6, &end, 10);
        if (errno || end != text + len || ms < 0) refuse("the time to sleep is not a number");
        f->action = SLEEP;
        f->sleep_us = (int64_t)ms * 1000;
    } else {
        refuse("unknown action");
    }
}

static void parse_one(const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len);
    if (!colon) refuse("an entry has no action");
    if (nfaults == MAX_FAULTS) refuse("too many entries");
    fault *f = &faults[nfaults];
    size_t name_len = (size_t)(colon - text);
    const char *at = memchr(text, '@', name_len);
    f->nth = 1;
    if (at && at + 2 == colon && at[1] == '*') {
        f->nth = 0;
    } else if (at) {
        char *end;
        errno = 0;
        f->nth = strtoul(at + 1, &end, 10);
        if (errno || end != colon || f->nth == 0) refuse("the passage is not a number from 1 on");
    }
    if (at) name_len = (size_t)(at - text);
    if (name_len == 0 || name_len >= sizeof f->name) refuse("a name is empty or too long");
    memcpy(f->name, text, name_len);
    parse_action(f, colon + 1, len - (size_t)(colon + 1 - text));
    nfaults++;
}

static void parse(void)
{
    const char *p = getenv("WB_FAULT");
    while (p && *p) {
        size_t len = strcspn(p, ";");
        if (len) parse_one(p, len);
        p += len;
        if (*p == ';') p++;
    }
}

static int act(const fault *f)
{
    switch (f->action) {
    case CRASH: _exit(137); /* as a shell reports kill -9; nothing is flushed, no handler runs */
    case STOP: (void)raise(SIGSTOP); return 0;
    case SLEEP: wb_sleep_us(f->sleep_us); return 0;
    default: return f->action;
    }
}

int wb_fault_hit(const char *name)
{
    (void)pthread_once(&parsed, parse);
    int result = 0;
    for (size_t i = 0; i < nfaults; i++) {
        fault *f = &faults[i];
        if (strcmp(f->name, name) != 0) continue;
        unsigned long now = atomic_fetch_add(&f->passed, 1) + 1;
        if (f->nth && now != f->nth) continue;
        int r = act(f);
        if (!result) result = r;
    }
    return result;
}
#endif

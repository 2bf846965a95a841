/* fault.h: places where a test may make the program fail. Compiled away unless built with -Dfault=true.
 * Armed by the environment: WB_FAULT="name[@n]:action[;...]", action = crash (SIGKILL-like _exit(137)), eio, enospc,
 * stop (SIGSTOP), sleep=MS; n = the n-th passage (default 1); "name@*": every passage. */
#ifndef WB_FAULT_H
#define WB_FAULT_H
#ifdef WB_WITH_FAULTS
int wb_fault_hit(const char *name); /* 0, or an errno to fail with */
#define WB_FAULT(name) wb_fault_hit(name)
#else
#define WB_FAULT(name) 0
#endif
#endif

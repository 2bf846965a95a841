/* snapshot.h: what the files of the first copy share; snapshot.c and snapshot_begin.c. */
#ifndef WB_MY_SNAPSHOT_H
#define WB_MY_SNAPSHOT_H
#include <sys/socket.h>

#include "my.h"

wb_code my_snap_unlock(my_source *s, wb_error *err) WB_MUST; /* the global read lock goes */
#endif

/* io.h: our own files. Every write that must survive a power cut goes through here (and through libsqlite):
 * plain write/pwrite, fdatasync, rename, fsync of the folder, so that tests/chaos/powercut.c, preloaded, can drop or
 * tear whatever was not synced. EINTR and short writes are handled; errors name the path. */
#ifndef WB_IO_H
#define WB_IO_H
#include "base/base.h"
/* All or nothing at the end of a regular file: what a full disk took already is cut off again, so a WB_RETRY may be
 * the same call. Where that cannot be done the error says WB_RECONNECT. */
wb_code wb_io_write(int fd, const void *p, size_t n, const char *path, wb_error *err) WB_MUST;
wb_code wb_io_pwrite(int fd, const void *p, size_t n, int64_t at, const char *path, wb_error *err) WB_MUST;
/* Exactly n bytes, or WB_E_IO "ends early". */
wb_code wb_io_pread(int fd, void *p, size_t n, int64_t at, const char *path, wb_error *err) WB_MUST;
/* A failed sync is final: pages may be gone. Never retried: WB_RECONNECT when the disk was full, else WB_NEVER. */
wb_code wb_io_sync(int fd, const char *path, wb_error *err) WB_MUST;
/* Bytes that nobody needs soon: the disk may begin to write them, and what it has written leaves the page cache. A hint:
 * it says nothing of safety, and its failure means nothing. */
void wb_io_let_go(int fd, int64_t from, int64_t to);
wb_code wb_io_truncate(int fd, int64_t len, const char *path, wb_error *err) WB_MUST;
wb_code wb_io_rename(const char *from, const char *to, wb_error *err) WB_MUST; /* and syncs the folder */
wb_code wb_io_sync_dir_of(const char *path, wb_error *err) WB_MUST;
wb_code wb_io_mkdir(const char *path, int mode, wb_error *err) WB_MUST; /* fine when it is there */
/* The whole file (at most `max` bytes) into malloc'd memory, NUL added. Missing: WB_OK with *p NULL. */
wb_code wb_io_slurp(const char *path, size_t max, char **p, size_t *n, wb_error *err) WB_MUST;
/* Not durable; for status.json: temp file and rename. */
wb_code wb_io_replace(const char *path, const void *p, size_t n, int mode, wb_error *err) WB_MUST;
/* An unlinked 0600 file in `dir`. */
wb_code wb_io_temp(const char *dir, int *fd, wb_error *err) WB_MUST;
#endif

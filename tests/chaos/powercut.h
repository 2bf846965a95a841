/* powercut.h: what powercut.c (what is not synced, and the cut) gives to powercut_calls.c (the calls it stands before).
 * Everything but pc_active, pc_below_root, pc_is_shm, pc_path_of_fd, pc_absolute, pc_exists: with pc_lock held. */
#ifndef WB_POWERCUT_H
#define WB_POWERCUT_H
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECTOR = 512, BUCKETS = 256 };

typedef struct file file; /* a file below the root, by inode */
enum change { MADE, REMOVED, MOVED, FOLDER, SHM };

extern pthread_mutex_t pc_lock;

_Noreturn void pc_leave(int code);
void pc_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void pc_fatal(const char *what, const char *path);
void *pc_need(size_t n);
bool pc_active(void);
bool pc_below_root(const char *path);
bool pc_is_shm(const char *path);
bool pc_path_of_fd(int fd, char out[PATH_MAX]);
/* Absolute, its folder resolved; false: no such folder, or not below the root. */
bool pc_absolute(int dirfd, const char *path, char out[PATH_MAX]);
bool pc_exists(const char *path);
/* The file behind a descriptor; NULL: not one of ours. */
file *pc_file_of(int fd);
off_t pc_length(const file *f);
/* Counts an operation; does not return when the cut comes here. */
void pc_tick(const char *why);
_Noreturn void pc_cut(const char *why);
/* The bytes from at to end, about to be overwritten; NULL when *n is 0. */
char *pc_bytes_at(const file *f, off_t at, off_t end, size_t *n);
/* One write (p, n at `at`) or resize that was made; `old` becomes ours. */
typedef struct made {
    bool resize, durable;    /* durable: through O_SYNC or O_DSYNC                     */
    off_t at, before, after; /* place of the bytes; the file's length before, after */
    char *old;
    size_t old_len;
} made;
void pc_remember(file *f, const made *m, const void *p, size_t n);
void pc_forget(file *f); /* it was synced */
void pc_forget_all(void);
void pc_remember_name(enum change what, const char *path, const char *to, const char *saved);
/* A second name, into `out`, for an inode that is about to lose its own. */
void pc_save(const char *path, char out[PATH_MAX + 64]);
void pc_sync_folder(const char *folder); /* NULL: all */
#endif

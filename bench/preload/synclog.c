/* synclog.c: LD_PRELOADed by bench/latency: when was which length of which file safe? Every fsync and fdatasync of a
 * regular file becomes one record in the file WB_SYNCLOG, a shared mapping, so that nothing is lost at the end. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MAX = 1 << 20 };
struct record {
    int64_t begin_ns, end_ns, inode, size; /* size when the sync began */
};
static struct record *records;
static atomic_uint used;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000 + t.tv_nsec;
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("WB_SYNCLOG");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, MAX * (off_t)sizeof *records) != 0) return;
    void *p = mmap(NULL, MAX * sizeof *records, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED) records = p;
}

static int timed(int fd, long call)
{
    struct stat st;
    if (!records || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return (int)syscall(call, fd);
    int64_t begin = now();
    int r = (int)syscall(call, fd);
    unsigned i = atomic_fetch_add(&used, 1);
    if (i < MAX) records[i] = (struct record){begin, now(), (int64_t)st.st_ino, st.st_size};
    return r;
}

__attribute__((visibility("default"))) int fsync(int fd) { return timed(fd, SYS_fsync); }
__attribute__((visibility("default"))) int fdatasync(int fd) { return timed(fd, SYS_fdatasync); }

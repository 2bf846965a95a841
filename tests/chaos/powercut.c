/* powercut.c: a power cut, for a program that does not know about it. LD_PRELOADed by tests/chaos/run and others:
 *     cc -shared -fPIC -O2 -pthread -o powercut.so powercut.c powercut_calls.c
 * kill -9 leaves the page cache whole and so proves nothing about syncs. This library remembers, for every file below
 * WB_POWERCUT_ROOT, what was written since that file's last fsync or fdatasync, and for every folder which names were
 * made, moved and removed since the folder's last fsync. When the cut comes it takes that back, then dies.
 *     WB_POWERCUT_ROOT=DIR   absolute; names that go away are kept in DIR.cut until they are synced
 *     WB_POWERCUT=MODE       drop: nothing unsynced survives. tear: a random part does: later writes without earlier
 *                            ones, writes cut at 512-byte sectors, lengths without data, the first so many of the name
 *                            changes. keep: everything survives (kill -9, but at a place that can be repeated)
 *     WB_POWERCUT_AT=N       cut at the N-th write, truncate, sync or name change; else only _exit(137) is a cut, which
 *                            is how a fault point crashes (src/base/fault.h)
 *     WB_POWERCUT_SEED=S     for tear
 *     WB_POWERCUT_LOG=FILE   one line is appended: what was taken back, or how many operations there were
 * Strict where POSIX is: fsync of a file does not sync its name. Files as found at the start count as synced.
 * Not seen: stdio, copy_file_range, io_uring, children. A writable shared mapping is refused loudly, but for SQLite's
 * -shm, which a cut removes, as a reboot makes it worthless. No descriptor of ours is ever closed: closing any
 * descriptor of a file drops all POSIX locks that the process has on it, and SQLite lives on those. */
#include "powercut.h"

enum mode { KEEP, DROP, TEAR };

typedef struct op { /* one write, or one change of length, in the order they were made */
    struct op *prev, *next;
    made how;
    size_t new_len;
    char new_bytes[];
} op;

struct file {
    file *chain;
    dev_t dev;
    ino_t ino;
    int fd; /* our own, never closed */
    op *first, *last;
};

typedef struct name {  /* one change of names */
    struct name *next; /* an older one                                         */
    enum change what;
    char *path, *to;         /* to: MOVED                                            */
    char *saved;             /* where the inode that lost its name is kept, or NULL  */
    bool path_done, to_done; /* its folder was synced                                */
} name;

static struct {
    char root[PATH_MAX];
    size_t root_len; /* 0: not active */
    enum mode mode;
    uint64_t at, count, seed, random, saved;
    const char *log;
    pid_t pid;
    file *files[BUCKETS];
    name *names;
    name *shms; /* to be removed by a cut */
    uint64_t undone, kept, undone_bytes, names_undone;
} g;
pthread_mutex_t pc_lock = PTHREAD_MUTEX_INITIALIZER;

void pc_leave(int code)
{
    for (;;) syscall(SYS_exit_group, code);
}

void pc_say(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    int fd = g.log ? (int)syscall(SYS_openat, AT_FDCWD, g.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644) : 2;
    if (fd >= 0 && n > 0) syscall(SYS_write, fd, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

void pc_fatal(const char *what, const char *path)
{
    g.log = NULL;
    pc_say("powercut: %s: %s: %s\n", what, path, strerror(errno));
    pc_leave(98);
}

void *pc_need(size_t n)
{
    void *p = calloc(1, n);
    if (!p) pc_fatal("no memory", "");
    return p;
}

static uint64_t dice(uint64_t sides) /* splitmix64 */
{
    uint64_t z = (g.random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % sides;
}

__attribute__((constructor)) static void begin(void)
{
    const char *root = getenv("WB_POWERCUT_ROOT"), *mode = getenv("WB_POWERCUT"), *at = getenv("WB_POWERCUT_AT"),
               *seed = getenv("WB_POWERCUT_SEED");
    if (!root) return;
    g.log = getenv("WB_POWERCUT_LOG");
    if (!realpath(root, g.root)) pc_fatal("no such folder", root);
    g.mode = mode && strcmp(mode, "tear") == 0 ? TEAR : mode && strcmp(mode, "keep") == 0 ? KEEP : DROP;
    g.at = at ? strtoull(at, NULL, 10) : 0;
    g.seed = g.random = seed ? strtoull(seed, NULL, 10) : 1;
    g.pid = getpid();
    g.root_len = strlen(g.root);
}

bool pc_active(void) { return g.root_len != 0 && getpid() == g.pid; }

/* ---------------------------------------------------------------- which file, which path */

bool pc_below_root(const char *path)
{
    return strncmp(path, g.root, g.root_len) == 0 && (path[g.root_len] == '/' || path[g.root_len] == '\0');
}

bool pc_is_shm(const char *path)
{
    size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, "-shm") == 0;
}

bool pc_path_of_fd(int fd, char out[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    if (n <= 0) return false;
    out[n] = '\0';
    return true;
}

/* Absolute, its folder resolved; false: no such folder, or not below the root. */
bool pc_absolute(int dirfd, const char *path, char out[PATH_MAX])
{
    char full[PATH_MAX], folder[PATH_MAX];
    int n;
    if (path[0] == '/') {
        n = snprintf(full, sizeof full, "%s", path);
    } else {
        char base[PATH_MAX];
        if (dirfd == AT_FDCWD ? !getcwd(base, sizeof base) : !pc_path_of_fd(dirfd, base)) return false;
        n = snprintf(full, sizeof full, "%s/%s", base, path);
    }
    if (n <= 0 || n >= PATH_MAX) return false;
    char *slash = strrchr(full, '/');
    *slash = '\0';
    if (!realpath(slash == full ? "/" : full, folder)) return false;
    n = snprintf(out, PATH_MAX, "%s/%s", folder, slash + 1);
    return n > 0 && n < PATH_MAX && pc_below_root(out);
}

bool pc_exists(const char *path)
{
    struct stat st;
    return fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The file behind a descriptor, when it is one of ours; the lock is held. */
file *pc_file_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return NULL;
    file **head = &g.files[st.st_ino % BUCKETS];
    for (file *f = *head; f; f = f->chain)
        if (f->ino == st.st_ino && f->dev == st.st_dev) return f;
    char path[PATH_MAX], link[64];
    if (st.st_nlink == 0 || !pc_path_of_fd(fd, path) || !pc_below_root(path) || pc_is_shm(path)) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    file *f = pc_need(sizeof *f);
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    if (f->fd < 0) pc_fatal("cannot open it a second time", path);
    f->chain = *head;
    return *head = f;
}

off_t pc_length(const file *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0) pc_fatal("fstat", "a file of ours");
    return st.st_size;
}

/* ---------------------------------------------------------------- the cut */

static void put(const file *f, const char *p, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t w = syscall(SYS_pwrite64, f->fd, p, n, at);
        if (w < 0) pc_fatal("cannot write while taking back", "pwrite");
        p += w;
        n -= (size_t)w;
        at += w;
    }
}

static void resize(const file *f, off_t len)
{
    if (syscall(SYS_ftruncate, f->fd, len) != 0) pc_fatal("cannot truncate while taking back", "ftruncate");
}

static void undo(const file *f, const op *o)
{
    if (o->how.resize) resize(f, o->how.before);
    put(f, o->how.old, o->how.old_len, o->how.at);
    if (!o->how.resize) resize(f, o->how.before);
    g.undone += !o->how.durable;
    g.undone_bytes += o->how.durable ? 0 : o->new_len;
}

/* Write again what survives of one operation. */
static void redo(const file *f, const op *o)
{
    uint64_t roll = o->how.durable ? 0 : dice(10);
    if (roll >= 7) return; /* lost */
    g.kept += !o->how.durable;
    if (o->how.resize) {
        resize(f, o->how.after);
        return;
    }
    if (roll < 4) {
        put(f, o->new_bytes, o->new_len, o->how.at);
        return;
    }
    if (roll == 6 && pc_length(f) < o->how.after)
        resize(f, o->how.after); /* the length came to the disk, the data not */
    for (size_t i = 0; i < o->new_len;) {
        size_t n = SECTOR - (size_t)((o->how.at + (off_t)i) % SECTOR);
        if (n > o->new_len - i) n = o->new_len - i;
        if (dice(2)) put(f, o->new_bytes + i, n, o->how.at + (off_t)i);
        i += n;
    }
}

static void place_to_keep(char out[PATH_MAX + 64])
{
    snprintf(out, PATH_MAX + 64, "%s.cut", g.root);
    syscall(SYS_mkdirat, AT_FDCWD, out, 0700);
    snprintf(out, PATH_MAX + 64, "%s.cut/%ld-%llu", g.root, (long)g.pid, (unsigned long long)g.saved++);
}

static void undo_name(const name *n)
{
    char gone[PATH_MAX + 64];
    g.names_undone++;
    switch (n->what) {
    case SHM: break;
    case MADE: syscall(SYS_unlinkat, AT_FDCWD, n->path, 0); break;
    case REMOVED: syscall(SYS_linkat, AT_FDCWD, n->saved, AT_FDCWD, n->path, 0); break;
    case MOVED:
        syscall(SYS_renameat2, AT_FDCWD, n->to, AT_FDCWD, n->path, 0);
        if (n->saved) syscall(SYS_linkat, AT_FDCWD, n->saved, AT_FDCWD, n->to, 0);
        break;
    case FOLDER: /* with all that is in it, synced or not: nothing leads there any more */
        place_to_keep(gone);
        syscall(SYS_renameat2, AT_FDCWD, n->path, AT_FDCWD, gone, 0);
        break;
    }
}

static void take_back(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (file *f = g.files[i]; f; f = f->chain) {
            for (op *o = f->last; o; o = o->prev) undo(f, o);
            for (op *o = f->first; o; o = o->next)
                if (o->how.durable || g.mode == TEAR) redo(f, o);
        }
    }
    uint64_t total = 0;
    for (name *n = g.names; n; n = n->next) total++;
    uint64_t lost = g.mode == TEAR ? dice(total + 1) : total;
    for (name *n = g.names; n && lost > 0; n = n->next, lost--) undo_name(n);
    for (name *s = g.shms; s; s = s->next) syscall(SYS_unlinkat, AT_FDCWD, s->path, 0);
}

void pc_cut(const char *why) /* with the lock: nobody writes any more */
{
    static const char *const modes[] = {"keep", "drop", "tear"};
    if (g.mode != KEEP) take_back();
    pc_say(
        "powercut: cut at operation %llu (%s), %s, seed %llu: %llu operations of %llu bytes taken back, %llu of them "
        "survived in part or whole, %llu names taken back\n",
        (unsigned long long)g.count, why, modes[g.mode], (unsigned long long)g.seed, (unsigned long long)g.undone,
        (unsigned long long)g.undone_bytes, (unsigned long long)g.kept, (unsigned long long)g.names_undone);
    pc_leave(137);
}

void pc_tick(const char *why)
{
    if (++g.count == g.at) pc_cut(why);
}

/* ---------------------------------------------------------------- remembering */

void pc_remember(file *f, const made *m, const void *p, size_t n)
{
    op *o = pc_need(sizeof *o + n);
    o->how = *m;
    o->new_len = n;
    if (n) memcpy(o->new_bytes, p, n);
    o->prev = f->last;
    if (f->last)
        f->last->next = o;
    else
        f->first = o;
    f->last = o;
}

char *pc_bytes_at(const file *f, off_t at, off_t end, size_t *n)
{
    *n = end > at ? (size_t)(end - at) : 0;
    if (*n == 0) return NULL;
    char *p = pc_need(*n);
    for (size_t got = 0; got < *n;) {
        ssize_t r = syscall(SYS_pread64, f->fd, p + got, *n - got, at + (off_t)got);
        if (r <= 0) pc_fatal("cannot read what will be overwritten", "pread");
        got += (size_t)r;
    }
    return p;
}

void pc_forget(file *f)
{
    for (op *o = f->first, *next; o; o = next) {
        next = o->next;
        free(o->how.old);
        free(o);
    }
    f->first = f->last = NULL;
}

void pc_forget_all(void)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (file *f = g.files[i]; f; f = f->chain) pc_forget(f);
}

void pc_remember_name(enum change what, const char *path, const char *to, const char *saved)
{
    name *n = pc_need(sizeof *n);
    n->what = what;
    n->path = strdup(path);
    n->to = to ? strdup(to) : NULL;
    n->saved = saved ? strdup(saved) : NULL;
    n->to_done = !to;
    name **list = what == SHM ? &g.shms : &g.names;
    n->next = *list;
    *list = n;
}

void pc_save(const char *path, char out[PATH_MAX + 64])
{
    place_to_keep(out);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, out, 0) != 0) pc_fatal("cannot keep what is being removed", path);
}

static bool lies_in(const char *path, const char *folder)
{
    size_t n = (size_t)(strrchr(path, '/') - path);
    return strlen(folder) == n && memcmp(path, folder, n) == 0;
}

void pc_sync_folder(const char *folder) /* NULL: all */
{
    for (name **at = &g.names; *at;) {
        name *n = *at;
        if (!folder || lies_in(n->path, folder)) n->path_done = true;
        if (!folder || (n->to && lies_in(n->to, folder))) n->to_done = true;
        if (!n->path_done || !n->to_done) {
            at = &n->next;
            continue;
        }
        *at = n->next;
        if (n->saved) syscall(SYS_unlinkat, AT_FDCWD, n->saved, 0);
        free(n->path);
        free(n->to);
        free(n->saved);
        free(n);
    }
}

__attribute__((destructor)) static void end(void)
{
    if (pc_active() && g.log) pc_say("powercut: ended by itself after %llu operations\n", (unsigned long long)g.count);
}

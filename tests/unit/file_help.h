/* file_help.h: a host that notes what the file target answers, and batches of numbered rows, for targets_file*_test.c.
 */
#ifndef FILE_HELP_H
#define FILE_HELP_H
#include "formats_help.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/options.h"
#include "targets/file.h"

extern const wb_target wb_target_file;

struct wb_host {
    char dir[512];
    int fd[2];
    bool stopping;
    size_t nfree, ndone, npoison;
    wb_ticket last_done;
    bool in_order;
    bool dead_letters;
};

int wb_host_fd(wb_host *h) { return h->fd[0]; }
void wb_host_fd_clear(wb_host *h)
{
    char c;
    while (read(h->fd[0], &c, 1) > 0) {}
}
bool wb_host_stopping(wb_host *h) { return h->stopping; }
const char *wb_host_pipeline(wb_host *h)
{
    WB_UNUSED(h);
    return "shop";
}
wb_code wb_host_path(wb_host *h, const char *path, char *out, size_t cap, wb_error *err)
{
    int n = path[0] == '/' ? snprintf(out, cap, "%s", path) : snprintf(out, cap, "%s/%s", h->dir, path);
    return n > 0 && (size_t)n < cap ? WB_OK : wb_fail(err, WB_E_CONFIG, WB_NEVER, "too long");
}
void wb_host_log(wb_host *h, wb_log_level level, const char *fmt, ...)
{
    WB_UNUSED(h);
    WB_UNUSED(level);
    WB_UNUSED(fmt);
}
void wb_host_free(wb_host *h, wb_ticket t)
{
    WB_UNUSED(t);
    h->nfree++;
}
void wb_host_done(wb_host *h, wb_ticket t, const wb_error *err)
{
    assert_null(err);
    h->in_order &= t == h->last_done + 1;
    h->last_done = t;
    h->ndone++;
}
const char *wb_host_source(wb_host *h)
{
    WB_UNUSED(h);
    return "postgres";
}
const struct wb_format *wb_host_format(wb_host *h, const char *name)
{
    WB_UNUSED(h);
    return strcmp(name, "row") == 0 ? &wb_format_row : strcmp(name, "record") == 0 ? &wb_format_record : NULL;
}
wb_code wb_host_poison(wb_host *h, wb_ticket t, const wb_view *v, const wb_change *c, const wb_error *why,
                       wb_error *err)
{
    WB_UNUSED(t);
    WB_UNUSED(v);
    WB_UNUSED(c);
    h->npoison++;
    if (h->dead_letters) return WB_OK;
    *err = *why;
    return why->code;
}

static inline void host_make(wb_host *h)
{
    memset(h, 0, sizeof *h);
    h->in_order = true;
    /* memory where there is some: a process that dies loses nothing of it, and hundreds of syncs cost nothing */
    snprintf(h->dir, sizeof h->dir, "%s/walbrook-file-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    assert_non_null(mkdtemp(h->dir));
    assert_int_equal(pipe2(h->fd, O_NONBLOCK | O_CLOEXEC), 0);
}
static inline void host_forget(wb_host *h)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", h->dir);
    assert_int_equal(system(command), 0);
    close(h->fd[0]);
    close(h->fd[1]);
}

/* A target with options as text: "path", "out", "fsync", "each", ... NULL. */
typedef struct rig {
    wb_host *host;
    file_target *ctx;
    wb_arena arena;
    wb_table *table;
    uint64_t epoch;
    wb_ticket ticket;
    uint64_t lsn; /* of the last whole transaction          */
    int row;      /* number of the next row                 */
    wb_error err;
    wb_open open;
    char stand[64]; /* what open said: "none", "LSN+ordinal" */
} rig;

static inline void rig_options(rig *r, const char *const *options)
{
    for (const wb_option *o = wb_target_file.head.options; o->name; o++) {
        const char *text = o->def;
        for (size_t i = 0; options[i]; i += 2)
            if (strcmp(options[i], o->name) == 0) text = options[i + 1];
        if (text) assert_int_equal(wb_option_set(o, r->ctx, text, &r->arena, NULL), WB_OK);
    }
}
static inline void rig_make(rig *r, wb_host *h, const char *const *options)
{
    memset(r, 0, sizeof *r);
    r->host = h;
    h->last_done = 0;
    wb_arena_init(&r->arena, 4096, 0);
    r->ctx = calloc(1, wb_target_file.head.ctx_size);
    rig_options(r, options);
    wb_column cols[] = {column("id", "int", WB_INT, WB_COL_KEY), column("v", "text", WB_TEXT, 0)};
    const uint16_t key[] = {0};
    r->table = table_of("public", "t", cols, 2, key, 1);
    r->row = 1;
}
#define RIG(r, h, ...) rig_make(r, h, (const char *const[]){__VA_ARGS__, NULL})
static inline void rig_end(rig *r)
{
    wb_target_file.close(r->ctx);
    wb_target_file.close(r->ctx);
    free(r->ctx);
    wb_table_unref(r->table);
    wb_arena_fini(&r->arena);
}

static inline wb_code rig_open(rig *r)
{
    wb_error_reset(&r->err);
    r->open = (wb_open){.epoch = ++r->epoch, .fresh = true};
    wb_code code = wb_target_file.open(r->ctx, r->host, &r->open, &r->err);
    snprintf(r->stand, sizeof r->stand, "none");
    if (code == WB_OK && r->open.own) {
        uint64_t lsn = 0;
        if (r->open.stand.pos.len) memcpy(&lsn, r->open.stand.pos.ptr, sizeof lsn);
        snprintf(r->stand, sizeof r->stand, "%llu+%llu", (unsigned long long)lsn,
                 (unsigned long long)r->open.stand.ordinal);
    }
    return code;
}

/* One view of `n` rows {"id":ROW,"v":text}. The stand is LSN+ordinal; lsn 0: an unfinished snapshot. */
static inline wb_code rig_write_as(rig *r, int n, const char *v, uint64_t lsn, uint64_t ordinal, uint32_t flags)
{
    wb_value *values = calloc((size_t)n * 2 + 1, sizeof *values);
    wb_change *changes = calloc((size_t)n + 1, sizeof *changes);
    wb_txn txn = {.id = WB_STR("7"), .log = WB_STR("slot")};
    wb_ticket t = r->ticket + 1;
    for (int i = 0; i < n; i++) {
        values[2 * i] = number(WB_INT, r->row + i);
        values[2 * i + 1] = text(WB_TEXT, v);
        changes[i] = (wb_change){.op = WB_INSERT, .table = r->table, .after = &values[2 * i], .targets = 1};
    }
    wb_view view = {.changes = changes,
                    .txns = &txn,
                    .nchanges = (size_t)n,
                    .ntxns = 1,
                    .bit = 1,
                    .flags = flags,
                    .stand = {{&lsn, lsn ? sizeof lsn : 0}, ordinal},
                    .ends_txn = ordinal == 0};
    wb_error_reset(&r->err);
    wb_code code = wb_target_file.write(r->ctx, &view, t, &r->err);
    if (code == WB_OK) {
        r->ticket = t;
        r->row += n;
    }
    memset(values, 0x5A, sizeof *values * ((size_t)n * 2 + 1)); /* the view is gone after write */
    free(values);
    free(changes);
    return code;
}
static inline wb_code rig_write(rig *r, int n, const char *v)
{
    wb_code code = rig_write_as(r, n, v, r->lsn + 10, 0, 0);
    if (code == WB_OK) r->lsn += 10;
    return code;
}
static inline wb_code rig_flush(rig *r, int ms)
{
    wb_error_reset(&r->err);
    return wb_target_file.flush(r->ctx, ms, &r->err);
}
#define MUST(r, call)                                                                                                  \
    do {                                                                                                               \
        wb_code code_ = (call);                                                                                        \
        if (code_ != WB_OK) fail_msg("%s: %s: %s", #call, wb_code_name(code_), (r)->err.message);                      \
    } while (0)

static inline char *path_in(const wb_host *h, const char *name)
{
    static char paths[4][700];
    static int n;
    char *p = paths[n++ % 4];
    int len = snprintf(p, sizeof paths[0], "%s/%s", h->dir, name);
    assert_in_range(len, 1, sizeof paths[0] - 1);
    return p;
}
static inline char *contents(const wb_host *h, const char *name)
{
    int fd = open(path_in(h, name), O_RDONLY);
    if (fd < 0) return NULL;
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *p = calloc(1, (size_t)st.st_size + 1);
    size_t have = 0;
    while (have < (size_t)st.st_size) {
        ssize_t n = read(fd, p + have, (size_t)st.st_size - have);
        assert_true(n > 0);
        have += (size_t)n;
    }
    close(fd);
    return p;
}
static inline void expect_file(const wb_host *h, const char *name, const char *want)
{
    char *got = contents(h, name);
    assert_non_null(got);
    assert_string_equal(got, want);
    free(got);
}
/* Rows from..to as the format row writes them with v = "x". */
static inline void expect_rows(const wb_host *h, const char *name, int from, int to)
{
    wb_out o = {0};
    for (int i = from; i <= to; i++) wb_out_printf(&o, "{\"id\":%d,\"v\":\"x\"}\n", i);
    wb_out_byte(&o, '\0');
    expect_file(h, name, o.p);
    wb_out_fini(&o);
}
static inline void append(const wb_host *h, const char *name, const char *what)
{
    int fd = open(path_in(h, name), O_WRONLY | O_APPEND | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, what, strlen(what)), (ssize_t)strlen(what));
    close(fd);
}
static inline int64_t size_of(const wb_host *h, const char *name)
{
    struct stat st;
    return stat(path_in(h, name), &st) ? -1 : (int64_t)st.st_size;
}
#endif

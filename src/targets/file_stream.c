/* file_stream.c: standard output, FIFOs, terminals, devices: nothing can be taken back there, so it is at least once,
 * and done means written. Never blocks for long: writes are nonblocking and waits end at an interrupt. Called by
 * file.c. */
#include "targets/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"

enum { CAREFUL = 4096 }; /* PIPE_BUF: what poll promises on a pipe that may not be made nonblocking */

/* Standard output is shared with other programs: its flags stay as they are. A description of our own can be
 * nonblocking, where the kernel gives one (pipes, terminals; not sockets). */
static wb_code open_stdout(file_target *f, wb_error *err)
{
    struct stat st;
    f->is_stdout = true;
    if (fstat(STDOUT_FILENO, &st)) return wb_fail_errno(err, errno, "cannot write to standard output");
    if (!S_ISREG(st.st_mode)) {
        f->fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (f->fd >= 0) {
            f->own_fd = f->nonblocking = true;
            return WB_OK;
        }
    }
    f->fd = STDOUT_FILENO;
    f->own_fd = false;
    f->nonblocking = S_ISREG(st.st_mode); /* never waits */
    return WB_OK;
}

wb_code file_stream_open(file_target *f, wb_error *err)
{
    f->end = 0;
    if (strcmp(f->path, "-") == 0) {
        wb_code code = open_stdout(f, err);
        if (code != WB_OK) return code;
    } else {
        f->fd = open(f->full, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (f->fd < 0 && errno == ENXIO) {
            wb_fail(err, WB_E_IO, WB_RETRY, "Nobody reads from %s.", f->full);
            wb_hint(err, "Walbrook tries again by itself until somebody opens it for reading.");
            return WB_E_IO;
        }
        if (f->fd < 0) return wb_fail_errno(err, errno, "cannot open %s", f->full);
        f->own_fd = f->nonblocking = true;
    }
    if (f->cut) wb_out_byte(&f->text, '\n'); /* the last one ended within a line: end it, so that the next is whole */
    f->cut = f->mid_line = false;
    return WB_OK;
}

void file_stream_close(file_target *f)
{
    if (!f->packer && f->mid_line) f->cut = true;
    if (f->own_fd && f->fd >= 0) close(f->fd);
    f->fd = -1;
}

wb_code file_stream_seal(file_target *f, wb_error *err)
{
    wb_code code = file_pack(f, true, err);
    if (code != WB_OK) return code;
    uint64_t end = f->end + file_unsent(f);
    for (size_t i = f->npending; i > 0 && f->pending[i - 1].end == 0; i--)
        f->pending[i - 1].end = WB_MAX(end, (uint64_t)1);
    return WB_OK;
}

static void answer_written(file_target *f)
{
    size_t n = 0;
    while (n < f->npending && f->pending[n].end && (f->pending[n].end <= f->end || file_unsent(f) == 0)) n++;
    file_answer(f, n);
}

static wb_code failed(file_target *f, int sys, wb_error *err)
{
    if (sys != EPIPE) return wb_fail_errno(err, sys, "cannot write to %s", f->is_stdout ? "standard output" : f->full);
    if (f->is_stdout) return wb_fail(err, WB_E_IO, WB_NEVER, "The reader of standard output has gone.");
    wb_fail(err, WB_E_IO, WB_RECONNECT, "The reader of %s has gone.", f->full);
    wb_hint(err, "Walbrook goes on when somebody opens it for reading; what was not confirmed comes again.");
    return WB_E_IO;
}

/* Until there is room. WB_AGAIN: time is over, or somebody wants something else of us. */
static wb_code wait_room(file_target *f, int64_t until)
{
    for (;;) {
        int64_t left = until - wb_mono_us();
        if (file_stopped(f)) return WB_AGAIN;
        struct pollfd p[2] = {{.fd = f->fd, .events = POLLOUT}, {.fd = wb_host_fd(f->host), .events = POLLIN}};
        int n = poll(p, 2, left > 0 ? (int)WB_MIN(left / 1000 + 1, 200) : 0);
        if (n > 0 && p[0].revents) return WB_OK; /* an error too: the write says which */
        if (n > 0 && p[1].revents) wb_host_fd_clear(f->host);
        if (left <= 0) return WB_AGAIN;
    }
}

/* A reader that has gone is an error to report, not a signal. Threads of targets are the engine's own. */
static void block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

wb_code file_stream_drain(file_target *f, size_t enough, int ms, wb_error *err)
{
    wb_out *o = file_outgoing(f);
    int64_t until = wb_mono_us() + (int64_t)ms * 1000;
    wb_code code = WB_OK;
    if (file_unsent(f)) block_sigpipe();
    while (code == WB_OK && file_unsent(f) > 0) {
        int sys = WB_FAULT("file.before_write");
        if (!f->nonblocking && (code = wait_room(f, until)) != WB_OK) break;
        ssize_t n = sys ? -1
                        : write(f->fd, o->p + f->sent,
                                f->nonblocking ? file_unsent(f) : WB_MIN(file_unsent(f), (size_t)CAREFUL));
        if (n < 0 && !sys) sys = errno;
        if (n > 0) {
            f->sent += (size_t)n;
            f->end += (uint64_t)n;
            f->mid_line = o->p[f->sent - 1] != '\n';
        } else if (sys == EAGAIN) {
            code = file_unsent(f) <= enough ? WB_AGAIN : wait_room(f, until);
        } else if (sys && sys != EINTR) {
            code = failed(f, sys, err);
        }
    }
    if (file_unsent(f) == 0) {
        file_sent_all(f);
    } else if (f->sent >= FILE_BUFFER) { /* a reader that is always a little behind */
        memmove(o->p, o->p + f->sent, file_unsent(f));
        o->len -= f->sent;
        f->sent = 0;
    }
    answer_written(f);
    if (code == WB_AGAIN && file_unsent(f) <= enough) return WB_OK;
    return code;
}

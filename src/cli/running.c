/* running.c: pipelines, each in a thread that makes, runs and frees it; the main thread waits for signals.
 * TERM or INT: drain and end; once more: at once; a third time: leave. HUP: files are synced and opened again.
 * USR1: the status as a line of the log. Used by run and tail. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef struct crew crew;
typedef struct worker {
    crew *crew;
    const cli_job *job;
    pthread_t thread;
    bool started;
    wb_pipeline *p; /* under the mutex: NULL before it is made and after it is freed */
    bool ready, ended;
    int code;
} worker;

struct crew {
    pthread_mutex_t mutex; /* guards the workers and down to `stops` */
    pthread_cond_t cond;
    size_t n, made, ready, ended;
    bool refused; /* one of the files cannot be used: none runs */
    int stops;    /* signals to stop so far */
    int events;   /* eventfd: something of a worker changed */
    worker *workers;
};

static void poke(crew *c)
{
    uint64_t one = 1;
    ssize_t n = write(c->events, &one, sizeof one);
    (void)n; /* full means: awake already */
}

static void on_ready(void *arg)
{
    worker *w = arg;
    pthread_mutex_lock(&w->crew->mutex);
    if (!w->ready) w->crew->ready++;
    w->ready = true;
    pthread_mutex_unlock(&w->crew->mutex);
    poke(w->crew);
}

/* All files are read before any pipeline starts. */
static bool make(worker *w, wb_error *err)
{
    crew *c = w->crew;
    const cli_job *j = w->job;
    wb_pipeline *p =
        j->text ? wb_pipeline_parse(j->text, strlen(j->text), NULL, true, err) : wb_pipeline_load(j->file, err);
    if (p) {
        wb_pipeline_on_log(p, cli_say_level(), cli_on_log, c->n > 1 ? (void *)(uintptr_t)wb_pipeline_name(p) : NULL);
        wb_pipeline_on_progress(p, cli_on_progress, NULL);
    } else {
        cli_say_error(err, NULL);
        w->code = cli_exit_code(err, 'c');
    }
    pthread_mutex_lock(&c->mutex);
    w->p = p;
    c->made++;
    if (!p) c->refused = true;
    pthread_cond_broadcast(&c->cond);
    while (c->made < c->n) pthread_cond_wait(&c->cond, &c->mutex);
    bool go = !c->refused && !c->stops;
    pthread_mutex_unlock(&c->mutex);
    return go;
}

/* Nobody reads what tail writes: head has seen enough. */
static bool stdout_gone(void)
{
    struct pollfd fd = {STDOUT_FILENO, 0, 0};
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLERR | POLLHUP));
}

static void *work(void *arg)
{
    worker *w = arg;
    crew *c = w->crew;
    wb_error err = {0};
    if (make(w, &err)) {
        wb_run_options o = w->job->options;
        o.ready = on_ready;
        o.arg = w;
        wb_code code = wb_pipeline_run(w->p, &o, &err);
        cli_bar("");
        w->code = code == WB_OK ? EXIT_FINE : cli_exit_code(&err, wb_pipeline_blame(w->p));
        if (w->code == EXIT_TARGET && w->job->watch_stdout && stdout_gone()) w->code = EXIT_FINE;
        if (w->code != EXIT_FINE) cli_say_error(&err, c->n > 1 ? wb_pipeline_name(w->p) : NULL);
    }
    pthread_mutex_lock(&c->mutex);
    wb_pipeline *p = w->p;
    w->p = NULL;
    w->ended = true;
    c->ended++;
    pthread_mutex_unlock(&c->mutex);
    wb_pipeline_free(p);
    poke(c);
    return NULL;
}

/* ---------------------------------------------------------------- the main thread */

static void stop_all(crew *c, bool now)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->workers[i].p) wb_pipeline_stop(c->workers[i].p, now);
}

static void say_status(crew *c)
{
    for (size_t i = 0; i < c->n; i++) {
        wb_error err = {0};
        char *text = c->workers[i].p ? wb_pipeline_status(c->workers[i].p, &err) : NULL;
        if (text) cli_say(WB_LOG_INFO, "status", text);
        free(text);
    }
}

static void on_signal(crew *c, int sig)
{
    pthread_mutex_lock(&c->mutex);
    if (sig == SIGHUP) {
        cli_say_reopen();
        cli_say(WB_LOG_INFO, "walbrook",
                "HUP: files are synced and opened again, new tables that match are looked for");
        for (size_t i = 0; i < c->n; i++)
            if (c->workers[i].p) wb_pipeline_reload(c->workers[i].p);
    } else if (sig == SIGUSR1) {
        say_status(c);
    } else {
        c->stops++;
        if (c->stops == 1) cli_notify("STOPPING=1");
        if (c->stops == 1)
            cli_say(WB_LOG_INFO, "walbrook", "stopping: delivering what was read; once more stops at once");
        if (c->stops > 2) _exit(128 + sig); /* nothing is lost: what has no checkpoint is read again */
        stop_all(c, c->stops > 1);
    }
    pthread_mutex_unlock(&c->mutex);
}

static void read_signals(crew *c, int fd)
{
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) on_signal(c, (int)info.ssi_signo);
}

/* Until every worker has ended. */
static void wait_for_all(crew *c, int signals, bool watch_stdout, const char *hello)
{
    bool told_ready = false, broken = false;
    int watchdog = cli_watchdog_ms();
    for (;;) {
        pthread_mutex_lock(&c->mutex);
        bool over = c->ended == c->n, ready = c->ready == c->n;
        pthread_mutex_unlock(&c->mutex);
        if (over) return;
        if (ready && !told_ready) cli_notify("READY=1");
        if (ready && !told_ready && hello && isatty(STDERR_FILENO)) (void)fprintf(stderr, "%s\n", hello);
        told_ready = told_ready || ready;
        struct pollfd fds[3] = {
            {signals, POLLIN, 0}, {c->events, POLLIN, 0}, {watch_stdout && !broken ? STDOUT_FILENO : -1, 0, 0}};
        int got = poll(fds, 3, watchdog);
        if (got == 0 && watchdog >= 0) cli_notify("WATCHDOG=1");
        if (got <= 0) continue;
        uint64_t count;
        if (fds[1].revents && read(c->events, &count, sizeof count) < 0 && errno != EAGAIN) return;
        if (fds[0].revents) read_signals(c, signals);
        if (fds[2].revents & (POLLERR | POLLHUP)) { /* tail | head: the reader has gone */
            broken = true;
            pthread_mutex_lock(&c->mutex);
            c->stops += 2;
            stop_all(c, true);
            pthread_mutex_unlock(&c->mutex);
        }
        if (watchdog >= 0) cli_notify("WATCHDOG=1");
    }
}

static int start_all(crew *c, const cli_job *jobs)
{
    for (size_t i = 0; i < c->n; i++) {
        worker *w = &c->workers[i];
        *w = (worker){.crew = c, .job = &jobs[i]};
        w->started = pthread_create(&w->thread, NULL, work, w) == 0;
        if (w->started) continue;
        pthread_mutex_lock(&c->mutex);
        c->made++;
        c->ended++;
        c->refused = true;
        w->code = EXIT_BUG;
        pthread_cond_broadcast(&c->cond);
        pthread_mutex_unlock(&c->mutex);
        cli_say(WB_LOG_ERROR, "walbrook", "a thread cannot be started");
    }
    return EXIT_FINE;
}

/* Signals are blocked before any thread exists, so that every thread inherits it and only the signalfd sees them. */
static int take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int cli_run_jobs(const cli_job *jobs, size_t n)
{
    crew c = {.n = n, .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    int signals = take_signals(), worst = EXIT_FINE;
    c.events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c.workers = calloc(n, sizeof *c.workers);
    if (signals < 0 || c.events < 0 || !c.workers) {
        free(c.workers);
        return cli_usage_error("There are not enough file descriptors or memory to start.");
    }
    start_all(&c, jobs);
    wait_for_all(&c, signals, jobs[0].watch_stdout, jobs[0].hello);
    for (size_t i = 0; i < n; i++) {
        if (c.workers[i].started) pthread_join(c.workers[i].thread, NULL);
        if (c.workers[i].code > worst) worst = c.workers[i].code;
    }
    free(c.workers);
    (void)close(c.events);
    (void)close(signals);
    return worst;
}

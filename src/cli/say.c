/* say.c: everything the program says to people: the log, errors, the progress bar's line. stderr or a file, text on a
 * terminal, JSON lines otherwise. Any thread; one line is one write. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 4096, BAR = 300 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static int fd = STDERR_FILENO;
static const char *path; /* NULL: stderr */
static bool json, terminal;
static wb_log_level most = WB_LOG_INFO;
static char bar[BAR];

static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};

const char *cli_color(FILE *to, const char *sequence)
{
    const char *no = getenv("NO_COLOR");
    return isatty(fileno(to)) && !(no && *no) ? sequence : "";
}

/* ---------------------------------------------------------------- lines */

typedef struct line {
    char text[LINE];
    size_t n;
} line;

static void put(line *l, const char *fmt, ...) WB_PRINTF(2, 3);
static void put(line *l, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(l->text + l->n, sizeof l->text - l->n, fmt, ap);
    va_end(ap);
    if (n > 0) l->n = l->n + (size_t)n < sizeof l->text ? l->n + (size_t)n : sizeof l->text - 1;
}

/* Room is kept for the end of the line. */
static void put_json(line *l, const char *z)
{
    for (; *z && l->n < sizeof l->text - 16; z++) {
        unsigned char c = (unsigned char)*z;
        if (c == '"' || c == '\\')
            put(l, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            put(l, "\\u%04x", c);
        else
            l->text[l->n++] = *z;
    }
}

static void put_clean(line *l, const char *z)
{
    for (; *z && l->n < sizeof l->text - 16; z++) {
        unsigned char c = (unsigned char)*z;
        l->text[l->n++] = c < 0x20 || c == 0x7f ? '?' : *z;
    }
}

/* "2026-05-01T12:30:00.123Z", or for a terminal the local "12:30:00". */
static void put_time(line *l, bool brief)
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    if (brief) {
        localtime_r(&now.tv_sec, &tm);
        put(l, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
        return;
    }
    gmtime_r(&now.tv_sec, &tm);
    put(l, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
        tm.tm_sec, now.tv_nsec / 1000000);
}

static void write_all(const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return; /* nobody to tell */
        p += w;
        n -= (size_t)w;
    }
}

static const char *color_of(wb_log_level level)
{
    const char *no = getenv("NO_COLOR");
    if (!terminal || (no && *no)) return "";
    return level == WB_LOG_ERROR   ? "\033[31m"
           : level == WB_LOG_WARN  ? "\033[33m"
           : level == WB_LOG_DEBUG ? "\033[2m"
                                   : "";
}

void cli_say(wb_log_level level, const char *part, const char *text)
{
    line l = {.n = 0};
    if (level > most) return;
    pthread_mutex_lock(&mutex);
    const char *color = color_of(level);
    if (json) {
        put(&l, "{\"time\":\"");
        put_time(&l, false);
        put(&l, "\",\"level\":\"%s\",\"part\":\"", level_names[level]);
        put_json(&l, part);
        put(&l, "\",\"text\":\"");
        put_json(&l, text);
        put(&l, "\"}\n");
    } else {
        if (bar[0]) put(&l, "\r\033[K");
        put_time(&l, terminal);
        put(&l, " %s%-5s %s: ", color, level_names[level], part);
        put_clean(&l, text);
        put(&l, "%s\n%s", *color ? "\033[0m" : "", bar);
    }
    write_all(l.text, l.n);
    pthread_mutex_unlock(&mutex);
}

void cli_on_log(void *arg, wb_log_level level, const char *part, const char *text)
{
    char both[160];
    if (!arg) {
        cli_say(level, part, text);
        return;
    }
    (void)snprintf(both, sizeof both, "%s %s", (const char *)arg, part);
    cli_say(level, both, text);
}

/* Message and hint as one text: a log has one line for them. */
void cli_say_error(const wb_error *err, const char *pipeline)
{
    char text[sizeof err->message + sizeof err->hint + 32], part[160];
    size_t n = strlen(err->message);
    bool open = n && err->hint[0] && !err->native[0] && !strchr(".!?:;", err->message[n - 1]); /* a sentence follows */
    (void)snprintf(text, sizeof text, "%s%s%s%s%s%s", err->message, err->native[0] ? " [" : "", err->native,
                   err->native[0] ? "]" : "", err->hint[0] ? open ? ". " : " " : "", err->hint);
    (void)snprintf(part, sizeof part, "%s%s%s", pipeline ? pipeline : "", pipeline && err->where[0] ? " " : "",
                   err->where);
    cli_say(WB_LOG_ERROR, part[0] ? part : "walbrook", text);
}

bool cli_bar_wanted(void) { return terminal && !json && most >= WB_LOG_INFO; }

void cli_bar(const char *text)
{
    line l = {.n = 0};
    pthread_mutex_lock(&mutex);
    if (text[0] || bar[0]) {
        put(&l, "\r\033[K");
        put_clean(&l, text);
        (void)snprintf(bar, sizeof bar, "%.*s", (int)(l.n - 4 < BAR - 1 ? l.n - 4 : BAR - 1), l.text + 4);
        write_all(l.text, l.n);
    }
    pthread_mutex_unlock(&mutex);
}

/* ---------------------------------------------------------------- where to */

static int open_file(void) { return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640); }

void cli_say_reopen(void)
{
    if (!path) return;
    int fresh = open_file();
    pthread_mutex_lock(&mutex);
    if (fresh >= 0) {
        (void)close(fd);
        fd = fresh;
    }
    pthread_mutex_unlock(&mutex);
    if (fresh < 0) cli_say(WB_LOG_WARN, "walbrook", "the log file cannot be opened again; the old one is used");
}

wb_log_level cli_say_level(void) { return most; }

int cli_say_open(const cli_args *a, wb_log_level level)
{
    const char *word = cli_value(a, "log-level"), *format = cli_value(a, "log-format");
    size_t k = 0;
    most = level;
    if (word) {
        while (level_names[k] && strcmp(level_names[k], word) != 0) k++;
        if (!level_names[k]) {
            const char *near = cli_nearest(word, level_names);
            return cli_usage_error("There is no log level %s: error, warn, info, debug.%s%s%s", word,
                                   near ? " Did you mean " : "", near ? near : "", near ? "?" : "");
        }
        most = (wb_log_level)k;
    }
    if (format && strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return cli_usage_error("There is no log format %s: text or json.", format);
    path = cli_value(a, "log-file");
    if (path) {
        int file = open_file();
        if (file < 0) return cli_usage_error("The log file %s cannot be opened: %s.", path, strerror(errno));
        fd = file;
    }
    terminal = isatty(fd);
    json = format ? strcmp(format, "json") == 0 : !terminal;
    return EXIT_FINE;
}

/* ---------------------------------------------------------------- errors of short commands */

int cli_usage_error(const char *fmt, ...)
{
    va_list ap;
    const char *red = cli_color(stderr, "\033[31m");
    (void)fprintf(stderr, "%swalbrook:%s ", red, *red ? "\033[0m" : "");
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
    return EXIT_USAGE;
}

int cli_exit_code(const wb_error *err, int blame)
{
    if (err->code == WB_OK || err->code == WB_AGAIN || err->code == WB_END) return EXIT_FINE;
    if (err->code == WB_E_INTERNAL || err->code == WB_E_NOMEM) return EXIT_BUG;
    /* What a plugin finds wrong with the other end counts as that end, whatever it calls it. */
    bool of_plugin = strncmp(err->where, "source", 6) == 0 || strncmp(err->where, "target", 6) == 0;
    if (err->code == WB_E_CONFIG && !of_plugin) return EXIT_USAGE;
    switch (blame) {
    case 's': return EXIT_SOURCE;
    case 't': return EXIT_TARGET;
    default: return EXIT_USAGE;
    }
}

int cli_failed(const wb_error *err)
{
    const char *red = cli_color(stderr, "\033[31m");
    (void)fprintf(stderr, "%swalbrook:%s ", red, *red ? "\033[0m" : "");
    if (err->where[0]) {
        cli_put_text(stderr, err->where);
        (void)fputs(": ", stderr);
    }
    cli_put_text(stderr, err->message);
    if (err->native[0]) (void)fprintf(stderr, " [%s]", err->native);
    (void)fputc('\n', stderr);
    if (err->hint[0]) {
        (void)fputs("  ", stderr);
        cli_put_text(stderr, err->hint);
        (void)fputc('\n', stderr);
    }
    return EXIT_USAGE;
}

void cli_put_text(FILE *to, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        (void)fputc((c < 0x20 && c != '\n') || c == 0x7f ? '?' : c, to);
    }
}

void cli_put_json(FILE *to, const char *z)
{
    (void)fputc('"', to);
    for (; z && *z; z++) {
        unsigned char c = (unsigned char)*z;
        if (c < 0x20) {
            (void)fprintf(to, "\\u%04x", c);
            continue;
        }
        if (c == '"' || c == '\\') (void)fputc('\\', to);
        (void)fputc(c, to);
    }
    (void)fputc('"', to);
}

bool cli_put_scalar(FILE *f, const char *z)
{
    (void)fputc('\'', f);
    for (; *z; z++) {
        unsigned char c = (unsigned char)*z;
        if (c < 0x20 || c == 0x7f) return false;
        if (c == '\'' || (c == '$' && z[1] == '{')) (void)fputc(c, f);
        (void)fputc(c, f);
    }
    (void)fputc('\'', f);
    return true;
}

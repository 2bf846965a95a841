/* progress.c: the bar of a snapshot: the table begun last; rows of all tables, share, rows a second, what is left. One
 * line, redrawn ten times a second at most. Called from the source's thread. */
#include "cli/cli.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { WIDTH = 24 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static char current[200];
static double began, drawn;
static int64_t first, last; /* rows when it began, and now */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void draw(const char *table, int64_t rows, int64_t total, int64_t done, double seconds)
{
    char text[256], have[32], all[32], speed[32], left[32], cells[WIDTH + 1];
    double rate = seconds > 0.2 ? (double)done / seconds : 0;
    (void)cli_number(rows, have);
    speed[0] = 0;
    if (rate > 0) (void)snprintf(speed, sizeof speed, ", %.20s/s", cli_number((int64_t)rate, all));
    if (total <= 0) {
        (void)snprintf(text, sizeof text, "  %.80s  %s rows%s", table, have, speed);
        cli_bar(text);
        return;
    }
    double share = rows >= total ? 1 : (double)rows / (double)total; /* the total is an estimate */
    size_t full = (size_t)(share * WIDTH);
    memset(cells, '.', WIDTH);
    memset(cells, '#', full);
    cells[WIDTH] = 0;
    double rest = rate > 0 ? (double)(total > rows ? total - rows : 0) / rate : 0;
    (void)snprintf(text, sizeof text, "  %.80s  [%s] %3.0f %%  %s of about %s rows%s%s%s", table, cells, share * 100,
                   have, cli_number(total, all), speed, rest > 0 ? ", left: " : "",
                   rest > 0 ? cli_seconds(rest, left) : "");
    cli_bar(text);
}

void cli_on_progress(void *arg, const char *table, int64_t rows, int64_t total)
{
    (void)arg;
    if (!cli_bar_wanted()) return;
    pthread_mutex_lock(&mutex);
    double t = now();
    if (!table || !table[0]) {
        current[0] = 0;
        cli_bar("");
    } else {
        bool fresh = !current[0] || rows < last;
        (void)snprintf(current, sizeof current, "%s", table);
        if (fresh) {
            began = t;
            first = rows;
        }
        last = rows;
        if (fresh || t - drawn >= 0.1) {
            drawn = t;
            draw(table, rows, total, rows - first, t - began);
        }
    }
    pthread_mutex_unlock(&mutex);
}

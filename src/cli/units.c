/* units.c: numbers for people. Used by the bar and by status. */
#include "cli/cli.h"

#include <inttypes.h>
#include <string.h>

const char *cli_number(int64_t n, char out[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRId64, n < 0 ? 0 : n);
    size_t k = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) out[k++] = ',';
        out[k++] = digits[i];
    }
    out[k] = 0;
    return out;
}

const char *cli_bytes(int64_t n, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)(n < 0 ? 0 : n);
    size_t u = 0;
    while (v >= 1023.5 && u < 5) {
        v /= 1024;
        u++;
    }
    (void)snprintf(out, 32, u && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return out;
}

const char *cli_seconds(double s, char out[32])
{
    int64_t whole = (int64_t)(s + 0.5);
    if (s < 0.0005)
        (void)snprintf(out, 32, "0 s");
    else if (s < 0.9995)
        (void)snprintf(out, 32, "%.0f ms", s * 1000);
    else if (s < 59.5)
        (void)snprintf(out, 32, s < 9.95 ? "%.1f s" : "%.0f s", s);
    else if (whole < 3600)
        (void)snprintf(out, 32, "%" PRId64 " m %02" PRId64 " s", whole / 60, whole % 60);
    else if (whole < 86400)
        (void)snprintf(out, 32, "%" PRId64 " h %02" PRId64 " m", whole / 3600, whole / 60 % 60);
    else
        (void)snprintf(out, 32, "%" PRId64 " d %02" PRId64 " h", whole / 86400, whole / 3600 % 24);
    return out;
}

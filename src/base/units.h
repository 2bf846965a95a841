/* units.h: numbers with units, as options write them. Private to base/options_*.c. Pure; any thread. */
#ifndef WB_UNITS_H
#define WB_UNITS_H
#include "base/base.h"
#include "walbrook/plugin.h"

typedef enum wb_unit_error {
    WB_UNIT_OK = 0,
    WB_UNIT_NOT_A_NUMBER,
    WB_UNIT_NEGATIVE,
    WB_UNIT_MISSING,
    WB_UNIT_UNKNOWN,
    WB_UNIT_TOO_FINE,
    WB_UNIT_TOO_LARGE
} wb_unit_error;

/* type: WB_OPT_INT, WB_OPT_SIZE or WB_OPT_MSEC. *out only with WB_UNIT_OK. */
wb_unit_error wb_unit_read(wb_opt_type type, const char *text, int64_t *out);
/* The shortest exact spelling: "90s", "32MB", "-3". */
enum { WB_UNIT_TEXT = 32 };
void wb_unit_print(wb_opt_type type, int64_t v, char out[WB_UNIT_TEXT]);
/* What is wrong with `text`, to follow a subject: "has no unit; write a unit: 10s". text NULL: it is a secret. */
void wb_unit_explain(wb_opt_type type, wb_unit_error e, const char *text, char *out, size_t cap);
/* A sentence that shows how the type is written. */
const char *wb_unit_howto(wb_opt_type type);
#endif

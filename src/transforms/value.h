/* value.h: values as text, and compared with what a person wrote; used by filter and mask. Pure. */
#ifndef WB_TRANSFORM_VALUE_H
#define WB_TRANSFORM_VALUE_H
#include "base/base.h"

enum { WB_VALUE_TEXT = 64 };
/* The value as the source's text form: a view into the value, or into `buf`. Raw bytes come as they are. */
wb_str wb_value_text(const wb_value *v, char buf[WB_VALUE_TEXT]);

/* How values of a column are compared. */
typedef enum wb_family { WB_FAM_TEXT, WB_FAM_NUMBER, WB_FAM_FLOAT, WB_FAM_BOOL, WB_FAM_TIME, WB_FAM_BYTES } wb_family;

typedef struct wb_number { /* a decimal, taken apart; never a double */
    int8_t special;        /* -1 -Infinity, 0 finite, 1 Infinity, 2 NaN: greater than all, as PostgreSQL has it */
    bool negative;
    wb_str whole, fraction; /* without leading, trailing zeros */
} wb_number;

/* What a person wrote, ready to be compared with values of one kind of column. Views into the text given. */
typedef struct wb_literal {
    wb_family family;
    uint8_t kind; /* of the column */
    wb_number number;
    double f;
    int64_t i; /* BOOL: 0, 1; TIME: µs */
    wb_str text;
} wb_literal;

/* `text` and `lower` (the same in small letters) must outlive the literal. False: it is no such value; *want says
 * what is expected. */
bool wb_literal_make(wb_str text, wb_str lower, wb_kind kind, wb_literal *out, const char **want) WB_MUST;
/* False: cannot be told (a value of a form that this does not know). */
bool wb_literal_compare(const wb_value *v, const wb_literal *l, int *order) WB_MUST;

/* "2024-05-01", "12:30", "2024-05-01 12:30:00.5", with T, Z or an offset where `kind` has one: µs since 1970
 * (or midnight). */
bool wb_parse_time(wb_str s, wb_kind kind, int64_t *us) WB_MUST;
/* SQL's LIKE: % any run, _ one character, backslash takes the next one as it is. */
bool wb_like(wb_str text, wb_str pattern);
#endif

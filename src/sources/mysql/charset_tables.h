/* charset_tables.h: the data of charset.c. */
#ifndef WB_MY_CHARSET_TABLES_H
#define WB_MY_CHARSET_TABLES_H
#include "base/base.h"

enum { MY_SINGLES = 24 }; /* 8-bit sets with a table */
extern const uint16_t my_single_upper[MY_SINGLES][128];
extern const uint16_t my_swe7_lower[][2];

typedef struct my_odd {
    uint32_t code, unicode;
} my_odd;
extern const my_odd my_odd_sjis[], my_odd_ujis[], my_odd_big5[], my_odd_gb18030[];
#endif

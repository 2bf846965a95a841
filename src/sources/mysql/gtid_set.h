/* gtid_set.h: a GTID set from the inside, shared by gtid.c (arithmetic) and gtid_text.c (text and bytes). */
#ifndef WB_MY_GTID_SET_H
#define WB_MY_GTID_SET_H
#include "gtid.h"

/* Numbers first ≤ n < end. */
typedef struct my_span {
    uint64_t first, end;
} my_span;

/* One (uuid, tag): spans ascending, never empty, never touching. */
typedef struct my_sid {
    uint8_t sid[MY_SID_LEN];
    char tag[MY_TAG_MAX + 1];
    my_span *spans;
    size_t n, cap;
} my_sid;

struct my_gtid_set {
    my_flavor flavor;
    my_sid *sids; /* MySQL: ascending by uuid, then tag; none without spans */
    size_t n, cap;
    my_gtid *domains; /* MariaDB: ascending by domain */
    size_t ndomains, cap_domains;
};

/* The greatest number of a transaction: 2^63 - 2. */
#define MY_GNO_MAX (((uint64_t)1 << 63) - 2)

bool my_gtid_set_add_span(my_gtid_set *s, const uint8_t sid[MY_SID_LEN], const char *tag, my_span span) WB_MUST;
#endif

/* gtid.h: global transaction ids of MySQL (tagged ones too) and MariaDB, and exact arithmetic of their sets. Pure.
 * MySQL: a set is intervals for every (uuid, tag); holes are normal and kept. MariaDB: a state is the last number of
 * every domain; whoever has it has all before it in that domain, whichever server wrote it. */
#ifndef WB_MY_GTID_H
#define WB_MY_GTID_H
#include "base/buf.h"

typedef enum my_flavor { MY_UNKNOWN = 0, MY_MYSQL, MY_MARIADB } my_flavor;

enum { MY_SID_LEN = 16, MY_TAG_MAX = 32, MY_GTID_TEXT = 96 };

typedef struct my_gtid {
    my_flavor flavor;        /* MY_UNKNOWN: none (anonymous)                        */
    uint8_t sid[MY_SID_LEN]; /* MySQL: the server's uuid                            */
    char tag[MY_TAG_MAX + 1];
    uint64_t n;              /* number of the transaction, from 1                   */
    uint32_t domain, server; /* MariaDB                                             */
} my_gtid;

/* "3e11fa47-71ca-11e1-9e33-c80aa9429562:23", "…:tag:23", "0-1-100"; "" when none. Returns the length. */
size_t my_gtid_text(const my_gtid *g, char out[MY_GTID_TEXT]);

/* A set. Flavor MY_UNKNOWN: empty, takes the flavor of what is put in first. Functions that say bool: false when there
 * is no memory, or when the flavors differ; the set is then as it was. */
typedef struct my_gtid_set my_gtid_set;
my_gtid_set *my_gtid_set_new(void);
void my_gtid_set_free(my_gtid_set *s);
void my_gtid_set_clear(my_gtid_set *s);
bool my_gtid_set_copy(my_gtid_set *to, const my_gtid_set *from) WB_MUST;
my_flavor my_gtid_set_flavor(const my_gtid_set *s);
bool my_gtid_set_empty(const my_gtid_set *s);
bool my_gtid_set_tagged(const my_gtid_set *s); /* needs the tagged binary form */

/* MariaDB: becomes the last one of its domain (also when the number is lower and the server another: a failover does
 * not go back, so a lower number changes nothing). */
bool my_gtid_set_add(my_gtid_set *s, const my_gtid *g) WB_MUST;
bool my_gtid_set_unite(my_gtid_set *s, const my_gtid_set *with) WB_MUST;
/* What both hold. MariaDB: the lower number of domains that both know. */
bool my_gtid_set_meet(my_gtid_set *s, const my_gtid_set *with) WB_MUST;
/* MySQL: what `without` does not hold. MariaDB: domains whose number is not reached by `without`. */
bool my_gtid_set_subtract(my_gtid_set *s, const my_gtid_set *without) WB_MUST;
bool my_gtid_set_holds(const my_gtid_set *s, const my_gtid *g);
bool my_gtid_set_within(const my_gtid_set *inner, const my_gtid_set *outer); /* is every one of inner in outer? */
bool my_gtid_set_equal(const my_gtid_set *a, const my_gtid_set *b);
uint64_t my_gtid_set_count(const my_gtid_set *s); /* MySQL: transactions; MariaDB: domains */

/* Text as the servers write it: "uuid:1-5:7,uuid:tag:1-3"; "0-1-100,5-3-7"; blanks and newlines between are fine, ""
 * is the empty set. Adds to the set. */
wb_code my_gtid_set_parse(my_gtid_set *s, wb_str text, wb_error *err) WB_MUST;
void my_gtid_set_text(const my_gtid_set *s, wb_out *out);
/* MySQL's binary form: PREVIOUS_GTIDS, COM_BINLOG_DUMP_GTID. Decoding adds. */
wb_code my_gtid_set_decode(my_gtid_set *s, const void *p, size_t n, wb_error *err) WB_MUST;
void my_gtid_set_encode(const my_gtid_set *s, wb_out *out);
/* MariaDB: one call a domain, ascending: for GTID_LIST and for positions. i from 0; false: no more. */
bool my_gtid_set_domain(const my_gtid_set *s, size_t i, my_gtid *out);

/* Names of log files: compared by base name, then by number, "binlog.999999" before "binlog.1000000".
 * -1, 0, 1; 2: other base names. */
int my_log_compare(wb_str a, wb_str b);
#endif

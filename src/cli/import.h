/* import.h: `walbrook import debezium`: import_read.c (their files), import.c (what it means here), import_names.c
 * (patterns of tables and columns). */
#ifndef WB_IMPORT_H
#define WB_IMPORT_H
#include "cli/cli.h"

typedef struct imp_setting {
    char *key, *value; /* of the connector: table.include.list; else with its prefix: sink.type, format.value */
    bool used;
} imp_setting;
typedef struct imp_settings {
    imp_setting *items;
    size_t n;
    bool server; /* Debezium Server's; else a connector of Kafka Connect */
} imp_settings;

/* EXIT_FINE, or it said why. */
int imp_read(const char *path, imp_settings *out);
void imp_free(imp_settings *s);
const char *imp_get(imp_settings *s, const char *key); /* NULL: none; it counts as used */
const char *imp_peek(const imp_settings *s, const char *key);

typedef struct imp_offset {
    bool found, copying;    /* copying: of a first copy that had not ended */
    unsigned long long lsn; /* PostgreSQL */
    char file[256], gtids[4096];
    unsigned long long pos;
    bool inside; /* after an event of a transaction: its end is not known */
} imp_offset;
/* From a file of offsets, or a dump of the topic: the last one of this prefix. */
int imp_read_offset(const char *path, const char *prefix, imp_offset *out);

/* A list of regular expressions of names as patterns: ['a.b', '!c.*']. False: one of them is none; nothing is printed.
 */
bool imp_put_patterns(FILE *to, const char *list, const char *before, const char *after, bool *first);
#endif

/* maxwell.h: the format maxwell from the inside: maxwell.c (messages), maxwell_value.c (values), maxwell_ddl.c (schema
 * changes). */
#ifndef WB_MAXWELL_H
#define WB_MAXWELL_H
#include "formats/formats.h"

enum { MX_HASH, MX_ARRAY };
enum { MX_MESSAGES = 3 }; /* of one change: bootstrap-start, the row, bootstrap-complete */

typedef struct maxwell {
    /* options */
    bool commit_info, xoffset, position, gtid, server_id, thread_id, query, push_ts, nulls, pk, pk_columns, ddl;
    int key_format;

    bool mysql;   /* else values look as PostgreSQL's */
    wb_view view; /* whose changes come */
    wb_out value, keys, key, scratch;
    struct {
        size_t value, value_len, key, key_len;
    } at[MX_MESSAGES];
    size_t n;
    wb_message items[MX_MESSAGES];
} maxwell;

/* v NULL: null. */
wb_code mx_put_value(const maxwell *m, const wb_column *col, const wb_value *v, wb_out *o, wb_error *err) WB_MUST;
const char *mx_writes(const wb_column *c);
/* The same value, as far as can be told from how they travel; b not sent: the same. */
bool mx_same(const wb_value *a, const wb_value *b);
void mx_put_position(const maxwell *m, const wb_txn *txn, uint64_t place, wb_out *o);
void mx_put_ddl(const maxwell *m, const wb_txn *txn, const wb_change *c, wb_out *o);
#endif

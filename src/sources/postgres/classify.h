/* classify.h: what an SQLSTATE means for us. Pure. Used by conn.c for every error that the server sends. */
#ifndef WB_PG_CLASSIFY_H
#define WB_PG_CLASSIFY_H
#include "base/base.h"

typedef struct pg_class {
    const char *prefix; /* of the SQLSTATE; "" is the rest */
    wb_code code;
    wb_next next;
    const char *hint; /* a full sentence; may be NULL */
} pg_class;

/* Never NULL. The longest prefix wins. NULL or "": no SQLSTATE, so the connection itself failed. */
const pg_class *pg_classify(const char *sqlstate);

/* The five characters of the SQLSTATE in a text that libpq wrote with PQERRORS_VERBOSE ("FATAL:  28P01: ..."), which is
 * the only place of it when a connection is refused. "" when there is none. */
void pg_sqlstate_in(const char *text, char out[6]);
#endif

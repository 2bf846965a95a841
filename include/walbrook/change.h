/* walbrook/change.h: what travels: values, tables, transactions, changes, batches, views, stands.
 * Everything a batch points to lives in the batch's own memory (or in a counted table) and is read-only
 * once the batch was put. A view borrows it until its ticket is freed or answered. */
#ifndef WALBROOK_CHANGE_H
#define WALBROOK_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walbrook/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that belong to somebody else. Not NUL-terminated unless said. */
typedef struct wb_str {
    const char *ptr;
    size_t len;
} wb_str;

/* ---------------------------------------------------------------- values */

typedef enum wb_kind {
    WB_ABSENT = 0,  /* the server did not send it                                          */
    WB_UNCHANGED,   /* the server says: as before, value not sent (TOAST)                   */
    WB_NULL,
    WB_BOOL,        /* number form: i = 0 or 1; text form: "t" / "f"                        */
    WB_INT,         /* number form: i                                                       */
    WB_UINT,        /* number form: u                                                       */
    WB_FLOAT,       /* number form: f; text form: shortest round-trip, NaN, [-]Infinity     */
    WB_DECIMAL,     /* always text: plain digits, NaN, [-]Infinity                          */
    WB_TEXT,        /* always text, valid UTF-8                                             */
    WB_BYTES,       /* raw bytes; text form (WB_V_TEXT): "\x" and hex digits                */
    WB_DATE,        /* number form: i = days since 1970-01-01; text form: YYYY-MM-DD        */
    WB_TIME,        /* number form: i = µs since midnight; text form: HH:MM:SS[.ffffff]     */
    WB_TIMESTAMP,   /* number form: i = µs since 1970, no zone; text: "YYYY-MM-DD HH:MM:SS[.f]" */
    WB_TIMESTAMPTZ, /* number form: i = µs since 1970 UTC; text: the same with "+00"         */
    WB_UUID,        /* text: canonical, lower case                                          */
    WB_JSON,        /* text: one JSON value as the source prints it                         */
    WB_DOCUMENT,    /* raw BSON                                                             */
    WB_INTERVAL,    /* text: the source's                                                   */
    WB_ARRAY,       /* text: the source's                                                   */
    WB_RANGE,       /* text: the source's                                                   */
    WB_OTHER,       /* text: the source's; nothing better is known                          */
    WB_KINDS
} wb_kind;

enum {
    WB_V_TEXT = 1,      /* flags: ptr/len hold the source's text, not the number or the raw bytes      */
    WB_V_RESELECTED = 2 /* not sent with the change: read from the table afterwards, may be newer      */
};

/* 16 bytes. For DECIMAL, TEXT, UUID, JSON, INTERVAL, ARRAY, RANGE and OTHER WB_V_TEXT is always set.
 * A value that its kind cannot hold exactly (infinity, BC, 24:00:00, a zero date) has kind WB_OTHER and the
 * source's text; the column keeps its kind. */
typedef struct wb_value {
    uint8_t kind; /* wb_kind */
    uint8_t flags;
    uint16_t spare;
    uint32_t len; /* bytes at ptr */
    union {
        const char *ptr;
        int64_t i;
        uint64_t u;
        double f;
    } as;
} wb_value;

/* ---------------------------------------------------------------- tables */

enum {
    WB_COL_KEY = 1,          /* part of wb_table.key                                          */
    WB_COL_NOT_NULL = 2,
    WB_COL_GENERATED = 4,
    WB_COL_DEFAULT_KNOWN = 8, /* `missing` is what rows older than the column show             */
    WB_COL_ADDED = 16,       /* made by a transform; no such column at the source             */
    WB_COL_UNDECLARED = 64   /* `type` is put together from the log (decode): how it was declared, its default and
                                comment are not known                                         */
};

typedef struct wb_column {
    wb_str name;        /* NUL-terminated as well                                              */
    wb_str source_name; /* before any rename                                                   */
    wb_str type;        /* the source's own name with its modifier: "numeric(12,2)"            */
    wb_value missing;   /* with WB_COL_DEFAULT_KNOWN: NULL or the text of the fast default     */
    wb_str default_sql; /* its default as the source writes it (MySQL: COLUMN_DEFAULT); ptr NULL: none, or not known */
    wb_str charset;     /* MySQL: character set of text                                         */
    wb_str comment;     /* MySQL                                                                */
    wb_str extra;       /* MySQL: EXTRA of information_schema: "auto_increment"                 */
    wb_str labels;      /* of an enum or set (or an array of one), each after the other with \1 between; empty: none */
    uint32_t type_id;   /* PostgreSQL: type OID; MySQL: column type byte                       */
    int32_t type_mod;   /* PostgreSQL: atttypmod; -1 none                                      */
    uint32_t base_id;   /* PostgreSQL: what is under a domain; else as type_id; 0: not known   */
    int32_t base_mod;
    int32_t id;         /* stable across renames (PostgreSQL: attnum); 0: not known            */
    uint8_t kind;       /* wb_kind                                                             */
    uint8_t flags;
} wb_column;

enum {
    WB_TABLE_FULL_BEFORE = 1, /* updates and deletes carry the whole old row (REPLICA IDENTITY FULL) */
    WB_TABLE_INSERT_ONLY = 2, /* updates and deletes are not published                               */
    WB_TABLE_PARTITIONED = 4
};

/* One immutable version of a table. Counted: wb_table_ref/unref from any thread. */
typedef struct wb_table {
    uint64_t serial; /* unique in this process: what caches are keyed by                       */
    uint64_t id;     /* stable across renames (PostgreSQL: relation OID)                       */
    wb_str schema, name;
    wb_str source_schema, source_name; /* before any rename                                    */
    wb_str route;    /* set by a route transform; else empty                                   */
    uint32_t ncols, nkey;
    uint32_t flags;
    const wb_column *cols;
    const uint16_t *key; /* column indexes in key order; nkey of them                          */
} wb_table;

/* Build one table: `proto` and all it points to are copied into one block; serial is assigned.
 * Returns a table with one reference, or NULL without memory. */
WB_API wb_table *wb_table_new(const wb_table *proto);
WB_API wb_table *wb_table_ref(const wb_table *t);
WB_API void wb_table_unref(const wb_table *t);

/* ---------------------------------------------------------------- positions and stands */

/* A place in the source's log: opaque bytes; len 0 = none yet. Only its source can say more. */
enum { WB_POS_MAX = 65536 }; /* no source makes longer ones */
typedef struct wb_pos {
    const void *ptr;
    size_t len;
} wb_pos;

/* How far a target has come: after the last whole transaction, plus `ordinal` changes of the next one.
 * pos.len 0 with any ordinal: a first snapshot that is not finished. */
typedef struct wb_stand {
    wb_pos pos;
    uint64_t ordinal;
} wb_stand;

/* ---------------------------------------------------------------- transactions and changes */

typedef enum wb_op {
    WB_INSERT = 0,
    WB_UPDATE,
    WB_DELETE,
    WB_TRUNCATE,
    WB_READ,    /* a row of a snapshot; without one (after NULL): the table is empty; mirrors make it */
    WB_DDL,     /* schema change: `ddl` says which; `table` is the new version, of a DROP the last one */
    WB_MESSAGE, /* logical message: after[0] prefix (text), after[1] content (bytes)           */
    WB_OPS
} wb_op;

enum {
    WB_TXN_BEGIN = 1,    /* its first change is in this batch                                  */
    WB_TXN_END = 2,      /* its last change is in this batch; `end` is set                     */
    WB_TXN_SNAPSHOT = 4, /* not a transaction but a turn: rows of a snapshot that a target gets whole, or again. Until
                          * its END a target's stand does not move, since a copy that is read again has other rows  */
    WB_TXN_MARIADB = 8   /* source mysql: the server is MariaDB                                 */
};

typedef struct wb_txn {
    wb_str id;         /* the source's transaction id as text; empty: null                      */
    wb_str global_id;  /* GTID; empty: null                                                     */
    wb_str log;        /* log file or slot: the record's "source"; empty: null                  */
    wb_str database;   /* PostgreSQL: the database; empty: the table's schema is it (MySQL)      */
    int64_t commit_us; /* µs since 1970; snapshot: when it was taken                            */
    wb_pos at;         /* what `holds` is asked with; known from the first change on. Of a turn: none, or its number */
    wb_pos end;        /* position after the whole transaction; only with WB_TXN_END            */
    uint32_t flags;
    uint32_t server_id; /* MySQL: of the server that wrote it; 0: not known                     */
    uint32_t thread;    /* MySQL: of its session; 0: not known                                  */
} wb_txn;

enum {
    WB_C_FIRST_OF_TABLE = 1, /* READ only */
    WB_C_LAST_OF_TABLE = 2,
    WB_C_FIRST_OF_SNAPSHOT = 4,
    WB_C_LAST_OF_SNAPSHOT = 8,
    WB_C_KEY_CHANGED = 16,   /* UPDATE whose old key differs: `before` has at least the old key  */
    WB_C_COPYING = 32,       /* its table is not copied to the end: the row may be missing; it will be read, unless all
                                of it is in this change */
    WB_C_RESELECTED = 64     /* some of its values have WB_V_RESELECTED                           */
};

typedef enum wb_ddl_kind { WB_DDL_CREATE, WB_DDL_ALTER, WB_DDL_DROP } wb_ddl_kind;
enum {
    WB_DDL_PART = 1, /* a change behind it is about all of its statement: tables that go with their schema */
    WB_DDL_WIDER = 2 /* its statement also drops tables that the source does not capture                   */
};

/* What a schema change did. One statement that changes several tables is several changes with the same text. A
 * statement about a whole schema (CREATE DATABASE) has a table without name and columns. */
typedef struct wb_ddl {
    uint8_t kind;            /* wb_ddl_kind; a rename is an ALTER                               */
    uint8_t flags;           /* WB_DDL_PART, WB_DDL_WIDER                                       */
    const wb_table *before;  /* NULL: CREATE, or not known                                      */
    const wb_table *after;   /* NULL: DROP                                                      */
    wb_str sql;              /* the statement; empty: the source does not tell (PostgreSQL)     */
    wb_str schema;           /* where its names without a schema are; empty: not known          */
} wb_ddl;

/* The event of the log that rows came in (MySQL): a change is its row number ordinal - first. */
typedef struct wb_event {
    uint64_t first; /* ordinal of its first row                                                 */
    uint64_t start; /* where it begins in the log file                                          */
    wb_str query;   /* the statement that made its rows; empty: not asked for, or not in the log */
} wb_event;

typedef struct wb_change {
    uint8_t op; /* wb_op */
    uint8_t flags;
    uint16_t spare;
    uint32_t txn;            /* index into the batch's txns                                     */
    const wb_table *table;   /* NULL only for WB_MESSAGE                                        */
    const wb_value *before;  /* table->ncols values, or NULL: not sent. Key only: the rest ABSENT */
    const wb_value *after;   /* table->ncols values, or NULL (DELETE, TRUNCATE)                 */
    union { /* look at op first */
        const wb_ddl *ddl;     /* of WB_DDL; NULL: an ALTER of which no more is known             */
        const wb_event *event; /* of INSERT, UPDATE, DELETE; NULL: not known                      */
    };
    uint64_t ordinal;        /* in its committed transaction, from 0, before any filter. A schema change that the
                              * log does not hold, because the source worked it out, has that of the change after it,
                              * and is in one batch with it                                     */
    uint64_t place;          /* the record's "position": LSN, offset; 0                         */
    uint64_t targets;        /* bit a target that gets it; set by the engine                    */
} wb_change;

/* A READ that says: this table is there and has no rows. */
static inline bool wb_is_empty_table(const wb_change *c) { return c->op == WB_READ && !c->after; }

/* INSERT, UPDATE, DELETE, TRUNCATE, READ, CREATE, ALTER, DROP, MESSAGE: what formats call it. */
static inline const char *wb_change_type(const wb_change *c)
{
    static const char *const ops[WB_OPS] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "READ", "ALTER", "MESSAGE"};
    if (c->op == WB_DDL && c->ddl && c->ddl->kind != WB_DDL_ALTER)
        return c->ddl->kind == WB_DDL_CREATE ? "CREATE" : "DROP";
    return c->op < WB_OPS ? ops[c->op] : "OTHER";
}

/* ---------------------------------------------------------------- batches (a source fills them) */

typedef struct wb_batch wb_batch;

/* Of batches, and of the views on them. */
enum {
    WB_BATCH_RESET = 1, /* first batch of a snapshot: the target begins from nothing                            */
    WB_BATCH_AGAIN = 2, /* with RESET: nothing but an unfinished snapshot came since the last one: it is void    */
    WB_VIEW_OPEN = 4,   /* a piece of a turn: its stand is the one before the turn, what it brings counts with the end */
    WB_VIEW_ABANDON = 8 /* the turn that is open does not end: first take back what its pieces brought            */
};

/* All of these: source thread only, between take and put. A failed allocation is sticky: the functions
 * return a usable dummy and wb_batch_failed() is true; the engine turns it into WB_E_NOMEM at put. */
WB_API void *wb_batch_alloc(wb_batch *b, size_t bytes);                 /* 16-byte aligned         */
WB_API const char *wb_batch_copy(wb_batch *b, const void *p, size_t n); /* n bytes, not terminated */
WB_API wb_value *wb_batch_values(wb_batch *b, size_t n);                /* n values, all ABSENT    */
WB_API wb_change *wb_batch_change(wb_batch *b); /* appends one, zeroed, its txn = the last txn     */
/* Appends a schema change; the batch holds references on the tables (either may be NULL, not both) and copies sql. */
WB_API wb_change *wb_batch_ddl(wb_batch *b, wb_ddl_kind kind, uint8_t flags, const wb_table *before,
                               const wb_table *after, wb_str sql);
/* Says of the last change, a schema change, what its statement's default schema was (copied). */
WB_API void wb_batch_ddl_schema(wb_batch *b, wb_str schema);
WB_API wb_change *wb_batch_last_change(wb_batch *b); /* NULL when there is none; valid until the next one  */
WB_API wb_change *wb_batch_at(wb_batch *b, size_t i); /* NULL: no such one; valid until the next one */
WB_API wb_txn *wb_batch_txn(wb_batch *b);       /* appends one, zeroed; valid until the next call  */
WB_API wb_txn *wb_batch_last_txn(wb_batch *b);  /* NULL when there is none                         */
WB_API void wb_batch_table(wb_batch *b, const wb_table *t); /* the batch holds a reference; cheap when repeated */
WB_API bool wb_batch_full(const wb_batch *b);   /* big enough: put it                              */
WB_API size_t wb_batch_count(const wb_batch *b);
WB_API bool wb_batch_failed(const wb_batch *b);
WB_API void wb_batch_set_reset(wb_batch *b, bool again); /* again: WB_BATCH_AGAIN as well      */
WB_API void wb_batch_set_targets(wb_batch *b, uint64_t mask); /* only these targets; default: all  */

/* ---------------------------------------------------------------- views (a target reads them) */

/* What one target sees of a batch. Whole transactions, or a piece of one: look at the txns' flags.
 * `stand` is where the target stands when all of the view is safe. */
typedef struct wb_view {
    const wb_batch *batch;
    const wb_change *changes;
    const wb_txn *txns;
    size_t nchanges, ntxns; /* of the whole batch: take changes with wb_view_next only  */
    uint64_t bit;
    wb_stand stand;
    uint32_t flags;         /* WB_BATCH_*, WB_VIEW_* */
    bool ends_txn;          /* the view ends with a whole transaction: a SQL target may commit here */
} wb_view;

/* The next change of the view at or after *i, which moves past it; NULL at the end. Start with *i = 0. */
static inline const wb_change *wb_view_next(const wb_view *v, size_t *i)
{
    while (*i < v->nchanges) {
        const wb_change *c = &v->changes[(*i)++];
        if (c->targets & v->bit) return c;
    }
    return NULL;
}
static inline const wb_txn *wb_view_txn(const wb_view *v, const wb_change *c)
{
    return &v->txns[c->txn];
}

#ifdef __cplusplus
}
#endif
#endif

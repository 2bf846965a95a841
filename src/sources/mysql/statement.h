/* statement.h: what a statement in the binlog is, and which tables it touches: recognised word by word, never parsed.
 * Comments, quotes, executable and versioned comments are understood; what is not understood is MY_ST_OTHER, never an
 * error. Pure. */
#ifndef WB_MY_STATEMENT_H
#define WB_MY_STATEMENT_H
#include "base/arena.h"
#include "gtid.h"

typedef enum my_st_kind {
    MY_ST_OTHER = 0, /* changes no table's rows or columns: GRANT, FLUSH, ANALYZE, CREATE VIEW, CREATE PROCEDURE ...  */
    MY_ST_BEGIN,
    MY_ST_COMMIT,
    MY_ST_ROLLBACK,
    MY_ST_SAVEPOINT,   /* name                                                                                */
    MY_ST_ROLLBACK_TO, /* name                                                                                */
    MY_ST_RELEASE,     /* name                                                                                */
    MY_ST_XA_START,    /* name: the xid as written, blanks removed                                            */
    MY_ST_XA_END,
    MY_ST_XA_PREPARE,
    MY_ST_XA_COMMIT,
    MY_ST_XA_ROLLBACK,
    MY_ST_DML, /* rows changed by a statement: INSERT, UPDATE, DELETE, REPLACE, LOAD DATA, CALL, SELECT f() */
    /* From here on: DDL */
    MY_ST_CREATE_TABLE, /* `select`: it also fills it; `like`                                                 */
    MY_ST_ALTER_TABLE,  /* also CREATE and DROP INDEX; with RENAME TO: `to`                                    */
    MY_ST_DROP_TABLE,
    MY_ST_RENAME_TABLE, /* pairs: name, to; in order                                                          */
    MY_ST_TRUNCATE,
    MY_ST_CREATE_SCHEMA, /* schema                                                                            */
    MY_ST_ALTER_SCHEMA,
    MY_ST_DROP_SCHEMA
} my_st_kind;

typedef struct my_st_table {
    wb_str schema, name;       /* without quotes; schema: the default one when the statement names none       */
    wb_str to_schema, to_name; /* RENAME; else empty                                                          */
} my_st_table;

typedef struct my_statement {
    my_st_kind kind;
    bool temporary;  /* CREATE, ALTER, DROP of a TEMPORARY table: touches nobody                               */
    bool select;     /* CREATE TABLE … SELECT                                                                  */
    bool replaces;   /* CREATE OR REPLACE of a table or a schema: what had the name is dropped first             */
    bool loses_rows; /* ALTER TABLE … DROP, TRUNCATE or EXCHANGE PARTITION: rows go without a trace in the log      */
    bool unsure;     /* there may be more tables than are listed, or another kind: treat all as touched        */
    uint32_t ntables;
    const my_st_table *tables;
    wb_str name;      /* savepoint, xid                                                                      */
    const char *verb; /* "ALTER TABLE", "INSERT": for people                                                 */
} my_statement;

enum { MY_SQL_ANSI_QUOTES = 4, MY_SQL_NO_BACKSLASH_ESCAPES = 0x100000 }; /* of sql_mode */

/* `sql` is UTF-8, `schema` the default one. What `out` points to is in `a` or in `sql`. A statement that brings the
 * arena to its end is MY_ST_OTHER with `unsure`. */
void my_statement_read(wb_str sql, wb_str schema, uint64_t sql_mode, my_flavor flavor, wb_arena *a, my_statement *out);
static inline bool my_statement_is_ddl(const my_statement *s) { return s->kind >= MY_ST_CREATE_TABLE; }
#endif

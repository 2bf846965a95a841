/* postgres_help.h: makes pgoutput messages, decodes them, and writes changes down in one line each; for the tests of
 * the PostgreSQL decoder. */
#ifndef POSTGRES_HELP_H
#define POSTGRES_HELP_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buf.h"
#include "core/batch.h"
#include "sources/postgres/types.h"
#include "sources/postgres/wire.h"

/* Fields of a tuple that are not text. */
static const char NUL_[] = "NULL", UNCH_[] = "unchanged", BIN_[] = "binary", BAD_[] = "bad";

static inline void put_cstr(wb_out *o, const char *z) { wb_out_put(o, z, strlen(z) + 1); }

/* A column of a Relation message. */
typedef struct col {
    const char *name;
    uint32_t oid;
    int32_t mod;
    int identity;
} col;

static inline void put_relation(wb_out *o, uint32_t xid, uint32_t oid, const char *schema, const char *name,
                                char identity, const col *cols, size_t n)
{
    wb_out_byte(o, 'R');
    if (xid) wb_out_be32(o, xid);
    wb_out_be32(o, oid);
    put_cstr(o, schema);
    put_cstr(o, name);
    wb_out_byte(o, identity);
    wb_out_be16(o, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        wb_out_byte(o, (char)cols[i].identity);
        put_cstr(o, cols[i].name);
        wb_out_be32(o, cols[i].oid);
        wb_out_be32(o, (uint32_t)cols[i].mod);
    }
}

static inline void put_tuple(wb_out *o, char tag, const char *const *fields, size_t n)
{
    wb_out_byte(o, tag);
    wb_out_be16(o, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        const char *f = fields[i];
        if (f == NUL_ || f == UNCH_ || f == BAD_) {
            wb_out_byte(o, f == NUL_ ? 'n' : f == UNCH_ ? 'u' : 'z');
            continue;
        }
        wb_out_byte(o, f == BIN_ ? 'b' : 't');
        wb_out_be32(o, (uint32_t)strlen(f));
        wb_out_z(o, f);
    }
}

static inline void put_head(wb_out *o, char type, uint32_t xid, uint32_t oid)
{
    wb_out_byte(o, type);
    if (xid) wb_out_be32(o, xid);
    wb_out_be32(o, oid);
}

/* ---------------------------------------------------------------- a decoder under test */

typedef struct fixture {
    pg_decoder *d;
    wb_batch *b;
    wb_out m;   /* the message being made           */
    void *last; /* the last one: events point into it */
    int asked;  /* times that the hook was called   */
    bool key;   /* the hook makes the first column the key, as the catalog may under FULL */
    pg_event ev;
    wb_error err;
} fixture;

static inline wb_table *table_hook(void *arg, const pg_relation *r, wb_error *err)
{
    fixture *f = arg;
    (void)err;
    f->asked++;
    wb_table *plain = pg_table_of_relation(r);
    if (!f->key || !plain) return plain;
    const uint16_t first = 0;
    wb_table with = *plain;
    with.nkey = 1;
    with.key = &first;
    wb_table *made = wb_table_new(&with);
    wb_table_unref(plain);
    return made;
}

static inline fixture *fixture_new(size_t max_row)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->d = pg_decoder_new(table_hook, f, max_row);
    f->b = wb_batch_loose();
    assert_non_null(f->d);
    assert_non_null(f->b);
    return f;
}
static inline void fixture_free(fixture *f)
{
    pg_decoder_free(f->d);
    wb_batch_unref(f->b);
    wb_out_fini(&f->m);
    free(f->last);
    free(f);
}

/* Decode n bytes from a block of exactly that size, so that the sanitizer sees every byte too many. */
static inline wb_code decode_bytes(fixture *f, const void *p, size_t n, uint64_t place)
{
    void *exact = malloc(n ? n : 1);
    assert_non_null(exact);
    free(f->last);
    f->last = exact;
    if (n) memcpy(exact, p, n);
    wb_error_reset(&f->err);
    wb_code code = pg_decode(f->d, exact, n, place, f->b, &f->ev, &f->err);
    assert_true(code == WB_OK || (code == f->err.code && f->err.message[0]));
    return code;
}
/* Decode what was put into f->m, and empty it. */
static inline wb_code decode_made(fixture *f)
{
    wb_code code = decode_bytes(f, f->m.p, f->m.len, 0x16b374d48);
    wb_out_reset(&f->m);
    return code;
}
#define decode_ok(f)                                                                                                   \
    do {                                                                                                               \
        wb_code code_ = decode_made(f);                                                                                \
        if (code_ != WB_OK) print_error("%s\n", (f)->err.message);                                                     \
        assert_int_equal(code_, WB_OK);                                                                                \
    } while (0)

#define RELATION(f, xid, oid, identity, ...)                                                                           \
    do {                                                                                                               \
        const col cols_[] = {__VA_ARGS__};                                                                             \
        put_relation(&(f)->m, xid, oid, "public", "t", identity, cols_, sizeof cols_ / sizeof cols_[0]);               \
    } while (0)
#define TUPLE(f, tag, ...)                                                                                             \
    do {                                                                                                               \
        const char *const fields_[] = {__VA_ARGS__};                                                                   \
        put_tuple(&(f)->m, tag, fields_, sizeof fields_ / sizeof fields_[0]);                                          \
    } while (0)

/* ---------------------------------------------------------------- changes as text */

static inline void show_value(wb_out *o, const wb_value *v)
{
    static const char *const names[WB_KINDS] = {"absent",    "unchanged",   "null", "bool",  "int",      "uint",
                                                "float",     "decimal",     "text", "bytes", "date",     "time",
                                                "timestamp", "timestamptz", "uuid", "json",  "document", "interval",
                                                "array",     "range",       "other"};
    assert_true(v->kind < WB_KINDS);
    wb_out_z(o, names[v->kind]);
    if (v->kind <= WB_NULL) return;
    assert_int_equal(v->flags, WB_V_TEXT);
    wb_out_byte(o, ':');
    if (v->len <= 60) {
        wb_out_put(o, v->as.ptr, v->len);
    } else {
        wb_out_printf(o, "%c*%u", v->as.ptr[0], v->len);
    }
}

static inline void show_row(wb_out *o, const char *what, const wb_value *row, uint32_t n)
{
    if (!row) return;
    wb_out_printf(o, " %s(", what);
    for (uint32_t i = 0; i < n; i++) {
        if (i) wb_out_z(o, ", ");
        show_value(o, &row[i]);
    }
    wb_out_byte(o, ')');
}

static inline void show_change(wb_out *o, const wb_change *c)
{
    static const char *const ops[WB_OPS] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "READ", "DDL", "MESSAGE"};
    wb_out_printf(o, "%s %.*s.%.*s", ops[c->op], (int)c->table->schema.len, c->table->schema.ptr,
                  (int)c->table->name.len, c->table->name.ptr);
    show_row(o, "before", c->before, c->table->ncols);
    show_row(o, "after", c->after, c->table->ncols);
    if (c->flags & WB_C_KEY_CHANGED) wb_out_z(o, " key changed");
}

/* The last change of the batch, in memory that lives until the next call. */
static inline const char *last_change(fixture *f)
{
    static wb_out o;
    wb_out_reset(&o);
    if (f->b->nchanges) show_change(&o, &f->b->changes[f->b->nchanges - 1]);
    wb_out_byte(&o, 0);
    return o.p;
}
#endif

/* types.h: PostgreSQL types to value kinds. Pure. The session settings of conn.c fix the text forms
 * (DateStyle ISO, TimeZone UTC, IntervalStyle postgres, bytea hex, extra_float_digits 3). */
#ifndef WB_PG_TYPES_H
#define WB_PG_TYPES_H
#include "base/buf.h"

/* Kind of a built-in type by its OID; WB_OTHER when not known (text kept). Domains: ask with the base type's OID. */
wb_kind pg_type_kind(uint32_t oid);
/* Name with modifier, "numeric(12,2)", "character varying(20)[]"; "type 16421" when the OID is not built in. */
void pg_type_name(uint32_t oid, int32_t mod, wb_out *out);
/* The value of one text field: its column's kind, or WB_OTHER when the kind cannot hold it exactly (infinity, BC,
 * years over 9999, 24:00:00). `text` stays where it is. */
wb_value pg_value_of_text(wb_kind kind, const char *text, uint32_t len);
#endif

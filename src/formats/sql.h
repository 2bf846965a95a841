/* sql.h: values and conditions as MySQL and MariaDB read them back exactly. Pure; used by sql.c. */
#ifndef WB_FORMATS_SQL_H
#define WB_FORMATS_SQL_H
#include "base/buf.h"

void wb_sql_name(wb_out *o, wb_str name);                 /* `name` */
void wb_sql_table(wb_out *o, wb_str schema, wb_str name); /* `schema`.`name` */
/* A literal that the column takes back as the same value. WB_E_UNSUPPORTED (err says why): there is none. */
wb_code wb_sql_value(wb_out *o, const wb_column *c, const wb_value *v, wb_error *err) WB_MUST;
/* A condition that is true for this very value alone, whatever the collation. */
wb_code wb_sql_condition(wb_out *o, const wb_column *c, const wb_value *v, bool key, wb_error *err) WB_MUST;
/* An ENUM that holds the empty string of a wrong insert: only a lenient sql_mode takes it again. */
bool wb_sql_lenient(const wb_column *c, const wb_value *v);
#endif

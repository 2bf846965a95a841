/* formats.h: the formats of this folder, for the registry; and what two of them share. */
#ifndef WB_FORMATS_H
#define WB_FORMATS_H
#include "formats/json.h"
#include "walbrook/plugin.h"

extern const wb_format wb_format_record; /* record.c: one JSON object a change, with where it comes from */
extern const wb_format wb_format_row;    /* row.c: the columns alone */
extern const wb_format wb_format_sql;    /* sql.c: statements, for walbrook decode */
extern const wb_format wb_format_debezium, wb_format_cloudevents; /* debezium_options.c */
extern const wb_format wb_format_maxwell;                         /* maxwell.c */
extern const wb_format wb_format_pretty;                          /* pretty.c: for eyes on a terminal */

extern const wb_choice wb_binary_choices[]; /* base64 0, hex 1 */
extern const wb_choice wb_absent_choices[]; /* omit 0, null 1  */
/* For `explain types`: how the JSON formats write values of a column. */
const char *wb_json_writes(const wb_column *c);
/* A logical message as {"prefix":...,"content":...}: text when it is UTF-8, else base64 or hex, and "encoding" says so.
 * Without values: null. */
void wb_json_message(wb_out *o, const wb_change *c, const wb_json_options *opt);
/* A schema change as {"sql":...,"before":{table},"after":{table}}; a table is
 * {"schema","table","primary_key","columns"}. */
void wb_json_ddl(wb_out *o, const wb_change *c);
#endif

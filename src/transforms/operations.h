/* operations.h: the words for operations in a pipeline file; used by filter and by core/config for targets. */
#ifndef WB_OPERATIONS_H
#define WB_OPERATIONS_H
#include "base/base.h"
#include "walbrook/plugin.h"

/* insert (READ too), update, delete, truncate, ddl, message to bits 1 << wb_op. An empty list means all. */
wb_code wb_operations_parse(const wb_list *list, uint32_t *mask, wb_error *err) WB_MUST;
/* "INSERT", "UPDATE", ..., as the record format writes them. */
const char *wb_operation_word(wb_op op);
#endif

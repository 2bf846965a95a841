/* operations.c: the words for operations in a pipeline file. Called when it is read, never for a change. */
#include "transforms/operations.h"

#include "base/options.h"

static const char *const words[] = {"insert", "update", "delete", "truncate", "ddl", "message", NULL};
static const uint32_t bits[] = {1u << WB_INSERT | 1u << WB_READ,
                                1u << WB_UPDATE,
                                1u << WB_DELETE,
                                1u << WB_TRUNCATE,
                                1u << WB_DDL,
                                1u << WB_MESSAGE};

wb_code wb_operations_parse(const wb_list *list, uint32_t *mask, wb_error *err)
{
    *mask = list->n ? 0 : (1u << WB_OPS) - 1;
    for (size_t i = 0; i < list->n; i++) {
        size_t k = 0;
        while (words[k] && strcmp(words[k], list->items[i]) != 0) k++;
        if (words[k]) {
            *mask |= bits[k];
            continue;
        }
        const char *near = wb_nearest(list->items[i], words);
        wb_code code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "There is no operation \"%.60s\".", list->items[i]);
        if (near) wb_hint(err, "Did you mean \"%s\"?", near);
        wb_hint(err, "The operations are insert, update, delete, truncate, ddl and message.");
        return code;
    }
    return WB_OK;
}

const char *wb_operation_word(wb_op op)
{
    static const char *const names[] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE", "READ", "DDL", "MESSAGE"};
    return (size_t)op < WB_COUNT(names) ? names[op] : "";
}

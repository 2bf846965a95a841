/* config_options.h: options of the pipeline and of every target; shared by config.c and help.c. */
#ifndef WB_CONFIG_OPTIONS_H
#define WB_CONFIG_OPTIONS_H
#include "core/config.h"

typedef struct wb_selection_options { /* keys of a target that the engine reads, not the plugin */
    const char *name;
    wb_list tables, operations, columns;
    int start; /* wb_start */
} wb_selection_options;
extern const wb_option wb_selection_option_table[];
#endif

/* registry.h: every plugin there is, in one table. Adding one is one file and one line in registry.c. */
#ifndef WB_REGISTRY_H
#define WB_REGISTRY_H
#include "base/base.h"
#include "walbrook/walbrook.h"
const wb_source *wb_find_source(const char *name);
const wb_target *wb_find_target(const char *name);
const wb_format *wb_find_format(const char *name);
const wb_transform *wb_find_transform(const char *name);
/* Names of a kind, NULL-ended, for "did you mean"; static memory. */
const char *const *wb_plugin_names(wb_plugin_kind kind);
/* Tests: one more plugin. Before any pipeline is made. */
void wb_registry_add(const wb_plugin *p);
#endif

/* node.h: a parsed pipeline file as a plain tree; every node knows its file and line. Made by core/config from YAML,
 * read by base/options and by plugins with WB_OPT_NODE options. Memory: the arena it was made in. */
#ifndef WB_NODE_H
#define WB_NODE_H
#include "base/base.h"
#include "walbrook/plugin.h"

typedef enum wb_node_kind { WB_NODE_SCALAR, WB_NODE_LIST, WB_NODE_MAP } wb_node_kind;
typedef struct wb_pair wb_pair;
struct wb_node {
    wb_node_kind kind;
    int line;              /* from 1; 0: made by the program, not read from a file */
    const char *file;
    const char *text;      /* SCALAR: after ${} substitution, NUL-terminated */
    bool quoted;           /* SCALAR: written in quotes, so never null       */
    bool secret;           /* SCALAR: came through ${...}: never printed     */
    size_t n;              /* LIST, MAP */
    const wb_node **items; /* LIST      */
    wb_pair *pairs;        /* MAP       */
};
struct wb_pair {
    const char *key;
    int line;
    const wb_node *value;
};
const wb_node *wb_node_get(const wb_node *map, const char *key); /* NULL: none, or not a map */
/* Null: absent, or an unquoted empty scalar, `~` or `null`. */
bool wb_node_null(const wb_node *n);
/* WB_E_CONFIG with "file:line" in where. */
wb_code wb_node_fail(const wb_node *n, wb_error *err, const char *fmt, ...) WB_PRINTF(3, 4);
#endif

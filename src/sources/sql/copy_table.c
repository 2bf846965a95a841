/* copy_table.c: what of a table is copied: the options snapshot_where and snapshot_columns, and the description of a
 * table in a session. Called by the sources' plans. */
#include "copy.h"

#include <stdio.h>

#include "base/node.h"

const wb_node *sql_copy_option(const wb_node *map, wb_str schema, wb_str name)
{
    char key[600];
    (void)snprintf(key, sizeof key, "%.*s.%.*s", (int)schema.len, schema.ptr, (int)name.len, name.ptr);
    return map ? wb_node_get(map, key) : NULL;
}

bool sql_copy_chosen(const wb_node *columns, wb_str column)
{
    if (!columns) return true;
    if (columns->kind == WB_NODE_SCALAR) return wb_str_eq(column, wb_str_of(columns->text));
    for (size_t i = 0; i < columns->n && columns->kind == WB_NODE_LIST; i++)
        if (columns->items[i]->text && wb_str_eq(column, wb_str_of(columns->items[i]->text))) return true;
    return false;
}

const char *sql_copy_where(sql_copy *c, const wb_node *map, wb_str schema, wb_str name, const char *filter)
{
    const wb_node *own = sql_copy_option(map, schema, name);
    const char *where = own && own->kind == WB_NODE_SCALAR ? own->text : NULL;
    if (where && filter) return wb_arena_printf(&c->arena, "(%s) AND (%s)", filter, where);
    if (where) return wb_arena_printf(&c->arena, "(%s)", where);
    return filter ? wb_arena_printf(&c->arena, "(%s)", filter) : NULL;
}

const char *sql_copy_keep(sql_copy *c, wb_out *text)
{
    const char *kept = text->failed ? NULL : wb_arena_strndup(&c->arena, text->p ? text->p : "", text->len);
    if (!kept) c->arena.failed = true;
    wb_out_fini(text);
    return kept;
}

void sql_copy_undescribe(sql_copy *c)
{
    c->telling = NULL;
    c->mark_serial = 0;
    c->mark_job = NULL;
    for (size_t i = 0; i < c->ledger.n; i++) {
        sql_copy_table *ct = c->ledger.jobs[i]->own;
        if (!ct) continue;
        wb_table_unref((wb_table *)(uintptr_t)ct->table);
        wb_table_unref((wb_table *)(uintptr_t)ct->narrow);
        c->ledger.jobs[i]->own = NULL;
    }
}

wb_code sql_copy_widen(sql_copy *c, const sql_copy_table *ct, wb_change *change, wb_error *err)
{
    wb_value *all = wb_batch_values(c->batch, ct->table->ncols);
    if (!all || wb_batch_failed(c->batch)) return sql_copy_nomem(err);
    for (uint32_t i = 0; i < ct->narrow->ncols; i++) all[ct->map[i]] = change->after[i];
    wb_batch_table(c->batch, ct->table);
    change->table = ct->table;
    change->after = all;
    return WB_OK;
}

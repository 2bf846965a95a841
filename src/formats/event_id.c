/* event_id.c: the name of a change that is the same after a crash: where it stands in the log; of a row of a snapshot
 * table and key. Used by the format record and by targets that give every message an id. */
#include "formats/json.h"

/* public.users:[1,"a"]: source names, so that a rename in the pipeline does not change the id. */
static wb_code read_id(const wb_json_options *opt, const wb_change *c, wb_out *id, wb_error *err)
{
    const wb_table *t = c->table;
    wb_out_str(id, t->source_schema);
    wb_out_byte(id, '.');
    wb_out_str(id, t->source_name);
    wb_out_put(id, ":[", 2);
    for (uint32_t i = 0; i < t->nkey; i++) {
        if (i) wb_out_byte(id, ',');
        wb_code code = wb_json_value(id, &c->after[t->key[i]], opt, err);
        if (code != WB_OK) return code;
    }
    wb_out_byte(id, ']');
    return WB_OK;
}

wb_code wb_json_event_id(wb_out *o, const wb_txn *txn, const wb_change *c, const wb_json_options *opt, wb_error *err)
{
    static const wb_json_options plain;
    if (c->op == WB_READ) return c->table->nkey && c->after ? read_id(opt ? opt : &plain, c, o, err) : WB_OK;
    wb_out_str(o, txn->log);
    wb_out_byte(o, ':');
    wb_out_str(o, txn->global_id.len ? txn->global_id : txn->id);
    wb_out_byte(o, '-');
    wb_json_hex(o, txn->at.ptr, txn->at.len);
    wb_out_byte(o, ':');
    wb_out_u64(o, c->ordinal);
    if (c->op == WB_DDL) wb_out_z(o, ":ddl"); /* it may share its ordinal with the row after it */
    return WB_OK;
}

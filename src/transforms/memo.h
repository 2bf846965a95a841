/* memo.h: what a transform knows of each table version, made once and found by serial. One thread a memo. */
#ifndef WB_MEMO_H
#define WB_MEMO_H
#include "base/base.h"

typedef struct wb_made {
    uint64_t serial;     /* of the table that came in                       */
    const wb_table *out; /* what its changes get: one reference of the memo */
    void *plan;          /* the transform's own, one malloc'd block or NULL */
} wb_made;

typedef struct wb_memo {
    wb_made *slots; /* open addressing; serial 0: free */
    size_t cap, n;
} wb_memo;

/* Fill made->out (a reference) and made->plan for table `in`. On failure both are left NULL or freed by the memo. */
typedef wb_code (*wb_make_fn)(void *ctx, const wb_table *in, wb_made *made, wb_error *err);

/* What is known of `in`; made when it is seen first. Valid until the next call. */
wb_code wb_memo_of(wb_memo *m, const wb_table *in, wb_make_fn make, void *ctx, const wb_made **out,
                   wb_error *err) WB_MUST;
void wb_memo_fini(wb_memo *m);
/* Edit one change's rows; it still has the table that came in. */
typedef wb_code (*wb_edit_fn)(void *ctx, const void *plan, wb_batch *b, wb_change *c, wb_error *err);

/* What the transforms that change tables do: every change that is not dropped is edited (edit may be NULL) and gets the
 * table made for its own. */
wb_code wb_retable(wb_memo *m, wb_make_fn make, wb_edit_fn edit, void *ctx, wb_batch *b, wb_change *changes, size_t n,
                   wb_error *err) WB_MUST;

/* A copy of `in` to edit and give to wb_table_new: the columns in malloc'd memory with room for `more`. */
wb_code wb_table_draft(const wb_table *in, size_t more, wb_table *proto, wb_column **cols, wb_error *err) WB_MUST;
/* Make the drafted table, free the draft. */
wb_code wb_table_from_draft(const wb_table *proto, wb_column *cols, const wb_table **out, wb_error *err) WB_MUST;

/* The values of a change, to be edited in place: they are the batch's, and the batch was not put yet. */
static inline wb_value *wb_values_mut(const wb_value *v)
{
    union {
        const wb_value *in;
        wb_value *out;
    } u = {v};
    return u.out;
}
#endif

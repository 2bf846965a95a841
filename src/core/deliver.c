/* deliver.c: from a batch to the targets' queues: selection, transforms, what a target already has, views, stands.
 * Source thread only. No target and no source filters by position; it is done here, once. */

#include "base/clock.h"
#include "base/patterns.h"
#include "core/engine.h"

enum { CACHE = 4096 }; /* table versions remembered at once; a power of two */

typedef struct projection { /* the columns of one table version that one target wants */
    wb_table *table;        /* NULL: all of them */
    uint16_t *cols;
} projection;

typedef struct seen_table {
    uint64_t serial;
    uint64_t mask;       /* targets that want the table          */
    projection *project; /* by lane; NULL: nobody selects columns */
} seen_table;

struct wb_deliver {
    uint64_t op_mask[WB_OPS];
    bool any_tables, any_columns;
    seen_table cache[CACHE];
};

/* ---------------------------------------------------------------- selection */

struct wb_deliver *wb_deliver_new(wb_pipeline *p)
{
    struct wb_deliver *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    for (size_t i = 0; i < p->nlanes; i++) {
        const wb_selection *s = &p->lanes[i].config->select;
        if (s->tables) d->any_tables = true;
        if (s->columns) d->any_columns = true;
        for (int op = 0; op < WB_OPS; op++) {
            int as = op == WB_READ ? WB_INSERT : op;
            if (!s->operations || (s->operations & (1u << as))) d->op_mask[op] |= p->lanes[i].bit;
        }
    }
    return d;
}

static void forget(wb_pipeline *p, seen_table *s)
{
    for (size_t i = 0; s->project && i < p->nlanes; i++) {
        wb_table_unref(s->project[i].table);
        free(s->project[i].cols);
    }
    free(s->project);
    memset(s, 0, sizeof *s);
}

void wb_deliver_free(wb_pipeline *p)
{
    for (size_t i = 0; p->deliver && i < CACHE; i++) forget(p, &p->deliver->cache[i]);
    free(p->deliver);
    p->deliver = NULL;
}

static bool wants_column(const wb_patterns *pat, const wb_table *t, wb_str column)
{
    return wb_patterns_match_column(pat, t->source_schema, t->source_name, column);
}

/* The table with only the wanted columns; the key always stays. */
static bool make_projection(const wb_patterns *pat, const wb_table *t, projection *out)
{
    wb_column *cols = calloc(t->ncols, sizeof *cols);
    uint16_t *from = calloc(t->ncols, sizeof *from), *key = calloc(t->nkey + 1, sizeof *key);
    uint32_t n = 0;
    bool fine = cols && from && key;
    for (uint32_t i = 0; fine && i < t->ncols; i++) {
        if (!(t->cols[i].flags & (WB_COL_KEY | WB_COL_ADDED)) && !wants_column(pat, t, t->cols[i].source_name))
            continue;
        for (uint32_t k = 0; k < t->nkey; k++)
            if (t->key[k] == i) key[k] = (uint16_t)n;
        cols[n] = t->cols[i];
        from[n++] = (uint16_t)i;
    }
    if (fine && n < t->ncols) {
        wb_table proto = *t;
        proto.cols = cols;
        proto.ncols = n;
        proto.key = key;
        out->table = wb_table_new(&proto);
        out->cols = from;
        fine = out->table != NULL;
        from = NULL;
    }
    free(cols);
    free(from);
    free(key);
    return fine;
}

static seen_table *look(wb_pipeline *p, const wb_table *t)
{
    seen_table *s = &p->deliver->cache[t->serial & (CACHE - 1)];
    if (WB_LIKELY(s->serial == t->serial)) return s;
    forget(p, s);
    for (size_t i = 0; i < p->nlanes; i++) {
        const wb_selection *sel = &p->lanes[i].config->select;
        if (wb_patterns_match_named(sel->tables, t->source_schema, t->name.len ? t->source_name : t->name))
            s->mask |= p->lanes[i].bit;
    }
    if (p->deliver->any_columns) {
        s->project = calloc(p->nlanes, sizeof *s->project);
        for (size_t i = 0; i < p->nlanes; i++) {
            const wb_patterns *pat = p->lanes[i].config->select.columns;
            if (!s->project || (pat && !make_projection(pat, t, &s->project[i]))) return NULL;
        }
    }
    s->serial = t->serial;
    return s;
}

static wb_code select_changes(wb_pipeline *p, wb_batch *b, wb_error *err)
{
    const struct wb_deliver *d = p->deliver;
    const wb_table *last = NULL;
    uint64_t mask = b->targets;
    for (size_t i = 0; i < b->nchanges; i++) {
        wb_change *c = &b->changes[i];
        if (d->any_tables && c->table && c->table != last) {
            const seen_table *s = look(p, c->table);
            if (!s) return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
            mask = b->targets & s->mask;
            last = c->table;
        }
        /* What empties a table before it is copied again belongs to the copy, whatever `operations` says. */
        bool copies = c->op == WB_TRUNCATE && (b->txns[c->txn].flags & WB_TXN_SNAPSHOT);
        c->targets = (c->table ? mask : b->targets) & d->op_mask[WB_UNLIKELY(copies) ? WB_READ : c->op];
    }
    return WB_OK;
}

static wb_code transform(wb_pipeline *p, wb_batch *b, wb_error *err)
{
    for (size_t i = 0; i < p->config->ntransforms; i++) {
        const wb_transform_config *t = &p->config->transforms[i];
        wb_code rc = t->plugin->apply(t->ctx, b, b->changes, b->nchanges, b->txns, err);
        if (rc != WB_OK) {
            wb_error_where(err, "transform %s", t->plugin->head.name);
            return rc;
        }
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- what one target gets */

/* Values of the wanted columns only, in the batch's memory. */
static const wb_value *project_row(wb_batch *b, const projection *pr, const wb_value *row)
{
    if (!row) return NULL;
    wb_value *v = wb_batch_values(b, pr->table->ncols);
    for (uint32_t i = 0; i < pr->table->ncols && v; i++) v[i] = row[pr->cols[i]];
    return v;
}

/* What a schema change speaks of, with the columns that the target wants. */
static const wb_ddl *project_ddl(wb_pipeline *p, const wb_lane *l, wb_batch *b, const wb_ddl *from)
{
    const wb_table *tables[2] = {from->before, from->after};
    for (int i = 0; i < 2; i++) {
        if (!tables[i]) continue;
        const seen_table *s = look(p, tables[i]);
        if (!s) return NULL;
        if (s->project[l->index].table) tables[i] = s->project[l->index].table;
        wb_batch_table(b, tables[i]);
    }
    wb_ddl *d = wb_batch_alloc(b, sizeof *d);
    if (!d) return NULL;
    *d = *from;
    d->before = tables[0];
    d->after = tables[1];
    return d;
}

static wb_change *project(wb_pipeline *p, wb_lane *l, wb_batch *b, const wb_change *from, size_t n, wb_error *err)
{
    wb_change *own = malloc((n ? n : 1) * sizeof *own);
    bool fine = own != NULL;
    for (size_t i = 0; fine && i < n; i++) {
        own[i] = from[i];
        if (!from[i].table || !(from[i].targets & l->bit)) continue;
        if (from[i].op == WB_DDL && from[i].ddl) {
            own[i].ddl = project_ddl(p, l, b, from[i].ddl);
            fine = own[i].ddl != NULL;
            if (!fine) break;
        }
        const seen_table *s = look(p, from[i].table);
        fine = s != NULL;
        if (!fine || !s->project[l->index].table) continue;
        const projection *pr = &s->project[l->index];
        wb_batch_table(b, pr->table);
        own[i].table = pr->table;
        own[i].before = project_row(b, pr, from[i].before);
        own[i].after = project_row(b, pr, from[i].after);
    }
    if (fine && !wb_batch_failed(b)) return own;
    free(own);
    wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    return NULL;
}

/* Where one is who was at `have` and got what ends at `end`; in the batch's memory. */
static wb_pos advance(wb_pipeline *p, wb_batch *b, wb_pos have, wb_pos end)
{
    const wb_source *s = wb_pipeline_source(p);
    uint8_t out[WB_POS_MAX];
    size_t n = 0;
    if (!s->join || !have.len) return end;
    s->join(have, end, out, sizeof out, &n);
    return n ? (wb_pos){wb_batch_copy(b, out, n), n} : end;
}

/* The same with a part of the transaction after it. */
static wb_pos with_part(wb_pipeline *p, wb_batch *b, wb_pos at)
{
    const wb_source *s = wb_pipeline_source(p);
    uint8_t out[WB_POS_MAX];
    size_t n = 0;
    if (!s->part || !at.len) return at;
    s->part(p->config->source_ctx, at, out, sizeof out, &n);
    return n ? (wb_pos){wb_batch_copy(b, out, n), n} : at;
}

/* Leave out what the target has; bring `stand` to where the txn's changes in this batch take it. Changes [from, to).
 * Within a turn of a snapshot a stand does not move: who reads it again finds other rows. */
static void step_over(wb_pipeline *p, wb_lane *l, wb_batch *b, const wb_txn *txn, size_t from, size_t to,
                      wb_stand *stand)
{
    bool turn = (txn->flags & WB_TXN_SNAPSHOT) != 0;
    if (stand->pos.len && (!turn || txn->at.len) && wb_pipeline_source(p)->holds(stand->pos, txn)) {
        for (size_t i = from; i < to; i++) b->changes[i].targets &= ~l->bit;
        return;
    }
    for (size_t i = from; !turn && i < to && b->changes[i].ordinal < stand->ordinal; i++)
        b->changes[i].targets &= ~l->bit;
    if (txn->flags & WB_TXN_END)
        *stand = (wb_stand){advance(p, b, stand->pos, txn->end), 0};
    else if (!turn && to > from && b->changes[to - 1].ordinal >= stand->ordinal)
        stand->ordinal = b->changes[to - 1].ordinal + 1;
}

static size_t count_changes(const wb_batch *b, size_t from, size_t to, uint64_t bit)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++) n += (b->changes[i].targets & bit) != 0;
    return n;
}

/* One piece of the batch for one target: changes [from, to), ending at `stand`. */
static wb_code issue(wb_pipeline *p, wb_lane *l, wb_batch *b, size_t from, size_t to, wb_stand stand, bool ends,
                     int64_t commit_us, uint32_t flags, wb_error *err)
{
    size_t n = count_changes(b, from, to, l->bit);
    if (l->abandon) flags |= WB_VIEW_ABANDON;
    /* An end without changes matters to a target that was given a piece of that transaction: it may commit now. */
    bool has = n > 0 || (flags & (WB_BATCH_RESET | WB_VIEW_ABANDON)) || (ends && l->inside);
    wb_change *own = NULL;
    if (n && l->config->select.columns) {
        own = project(p, l, b, b->changes + from, to - from, err);
        if (!own) return err->code;
    }
    wb_view view = {.batch = b,
                    .changes = own ? own : b->changes + from,
                    .txns = b->txns,
                    .nchanges = to - from,
                    .ntxns = b->ntxns,
                    .bit = l->bit,
                    .stand = stand,
                    .flags = flags,
                    .ends_txn = ends};
    if (has) {
        l->inside = !ends;
        l->open = (flags & WB_VIEW_OPEN) != 0;
        l->abandon = false;
    }
    atomic_fetch_add_explicit(&l->changes, n, memory_order_relaxed);
    if (!wb_lane_issue(l, &view, b, own, has, commit_us) || !wb_keep(&l->issued, stand))
        return wb_fail(err, WB_E_NOMEM, WB_NEVER, "out of memory");
    return WB_OK;
}

/* What one target gets of a batch: one piece, or two when the batch ends inside a transaction that is not its only
 * one, so that a target that commits whole transactions can. */
typedef struct plan {
    size_t whole_to;       /* changes of the first piece; 0 with !two */
    wb_stand whole, stand; /* after the first piece, after all        */
    int64_t whole_us, commit_us;
    bool two, ends, open;
} plan;

/* Walk the batch's transactions for one target. All targets are planned before any gets its view: planning clears
 * bits in changes that the targets' threads then read. */
static plan plan_for(wb_pipeline *p, wb_lane *l, wb_batch *b)
{
    plan x = {.stand = wb_kept_stand(&l->issued), .ends = true};
    if (b->flags & WB_BATCH_RESET) x.stand = (wb_stand){{NULL, 0}, 0};
    size_t at = 0;
    bool any_whole = false;
    for (size_t t = 0; t < b->ntxns; t++) {
        size_t to = at;
        while (to < b->nchanges && b->changes[to].txn == t) to++;
        step_over(p, l, b, &b->txns[t], at, to, &x.stand);
        at = to;
        x.ends = (b->txns[t].flags & WB_TXN_END) != 0;
        x.open = !x.ends && (b->txns[t].flags & WB_TXN_SNAPSHOT);
        x.commit_us = b->txns[t].commit_us;
        if (x.ends) {
            any_whole = true;
            x.whole_to = to;
            x.whole = x.stand;
            x.whole_us = x.commit_us;
        }
    }
    x.two = !x.ends && any_whole;
    if (x.stand.ordinal) x.stand.pos = with_part(p, b, x.stand.pos);
    return x;
}

static wb_code deliver_to(wb_pipeline *p, wb_lane *l, wb_batch *b, const plan *x, wb_error *err)
{
    uint32_t flags = b->flags;
    size_t from = 0;
    if (x->two) {
        wb_code rc = issue(p, l, b, 0, x->whole_to, x->whole, true, x->whole_us, flags, err);
        if (rc != WB_OK) return rc;
        from = x->whole_to;
        flags = 0;
    }
    if (x->open) flags |= WB_VIEW_OPEN;
    return issue(p, l, b, from, b->nchanges, x->stand, x->ends, x->commit_us, flags, err);
}

/* A turn that is open will not end, and nothing of it is answered before the target hears that. */
static wb_code give_up_turn(wb_pipeline *p, wb_lane *l, wb_batch *b, wb_error *err)
{
    wb_kept last = {0};
    pthread_mutex_lock(&l->mutex);
    bool kept = wb_keep(&last, wb_kept_stand(&l->known.last));
    pthread_mutex_unlock(&l->mutex);
    wb_code rc = kept ? issue(p, l, b, 0, 0, wb_kept_stand(&last), true, 0, 0, err)
                      : wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "out of memory");
    wb_kept_fini(&last);
    return rc;
}

/* A snapshot begins for these targets: they answer what they have first, then state.db says that they start over. */
static wb_code begin_reset(wb_pipeline *p, wb_batch *b, wb_error *err)
{
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        if (!(b->targets & l->bit) || l->state != WB_LANE_RUNNING) continue;
        if (l->abandon) {
            wb_code code = give_up_turn(p, l, b, err);
            if (code != WB_OK) return code;
        }
        while (!wb_lane_idle(l) && l->state == WB_LANE_RUNNING && !l->broken) {
            if (wb_host_stopping(&p->host)) return WB_E_STOPPED;
            wb_sleep_us(1000);
        }
        wb_code rc = wb_lane_begin_reset(l, err);
        if (rc != WB_OK) return rc;
    }
    return WB_OK;
}

wb_code wb_deliver_put(wb_pipeline *p, wb_batch *b, wb_error *err)
{
    wb_code rc = wb_batch_failed(b) ? wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "out of memory for a batch") : WB_OK;
    if (rc == WB_OK) rc = select_changes(p, b, err);
    if (rc == WB_OK && p->config->ntransforms) rc = transform(p, b, err);
    if (rc == WB_OK && (b->flags & WB_BATCH_RESET)) rc = begin_reset(p, b, err);
    if (rc == WB_OK) wb_batch_weigh(b);
    plan plans[64];
    uint64_t running = 0;
    for (size_t i = 0; rc == WB_OK && i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        if (!(b->targets & l->bit) || l->state != WB_LANE_RUNNING) continue;
        running |= l->bit;
        plans[i] = plan_for(p, l, b);
    }
    if (rc == WB_OK && wb_batch_failed(b)) rc = wb_fail(err, WB_E_NOMEM, WB_RECONNECT, "out of memory for a batch");
    for (size_t i = 0; rc == WB_OK && i < p->nlanes; i++)
        if (running & p->lanes[i].bit) rc = deliver_to(p, &p->lanes[i], b, &plans[i], err);
    if (rc == WB_OK && b->ntxns) {
        uint64_t whole = 0;
        for (size_t t = 0; t < b->ntxns; t++) whole += (b->txns[t].flags & WB_TXN_END) != 0;
        atomic_fetch_add_explicit(&p->read_changes, b->nchanges, memory_order_relaxed);
        atomic_fetch_add_explicit(&p->read_transactions, whole, memory_order_relaxed);
        atomic_store_explicit(&p->last_commit_us, b->txns[b->ntxns - 1].commit_us, memory_order_relaxed);
    }
    wb_batch_unref(b);
    return rc;
}

bool wb_deliver_partial(wb_pipeline *p)
{
    for (size_t i = 0; i < p->nlanes; i++)
        if (p->lanes[i].state == WB_LANE_RUNNING && wb_kept_stand(&p->lanes[i].issued).ordinal) return true;
    return false;
}

/* Nothing up to `pos`: an answer without a view, counted after all before it. */
void wb_deliver_idle(wb_pipeline *p, wb_pos pos, uint64_t targets)
{
    for (size_t i = 0; i < p->nlanes; i++) {
        wb_lane *l = &p->lanes[i];
        if (!(targets & l->bit) || l->state != WB_LANE_RUNNING) continue;
        const wb_source *s = wb_pipeline_source(p);
        wb_stand have = wb_kept_stand(&l->issued), stand = {pos, 0};
        if (have.ordinal) continue; /* a part of the next transaction is there: its end says more */
        uint8_t out[WB_POS_MAX];
        if (have.pos.len && s->join) {
            size_t n = 0;
            s->join(have.pos, pos, out, sizeof out, &n);
            stand.pos = (wb_pos){out, n};
        }
        if (have.pos.len && s->compare(have.pos, stand.pos) != -1) continue;
        if (!have.pos.len && targets == ~(uint64_t)0) continue; /* its snapshot is not over */
        wb_view view = {.bit = l->bit, .stand = stand, .ends_txn = true};
        if (wb_lane_issue(l, &view, NULL, NULL, false, 0) && !wb_keep(&l->issued, stand)) return;
    }
}

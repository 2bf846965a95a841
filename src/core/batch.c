/* batch.c: the memory that a run of changes travels in, and the pool that bounds it.
 * Filled by one thread, then read-only; counted by the views on it. */
#include "core/batch.h"

#include <pthread.h>

enum { ARENA_BLOCK = 64 * 1024, FREE_LIST_MAX = 16 };

struct wb_pool {
    pthread_mutex_t mutex;
    size_t budget, used;
    wb_batch *spare; /* empty ones, ready to use */
    size_t nspare;
    void (*on_room)(void *);
    void *room_arg;
};

/* ---------------------------------------------------------------- one batch */

static wb_batch *batch_new(wb_pool *pool)
{
    wb_batch *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    wb_arena_init(&b->arena, ARENA_BLOCK, 0);
    b->pool = pool;
    b->targets = ~(uint64_t)0;
    atomic_init(&b->refs, 1);
    return b;
}

void wb_batch_clear(wb_batch *b)
{
    for (size_t i = 0; i < b->ntables; i++) {
        if (b->seen) b->seen[b->tables[i]->serial % WB_BATCH_SEEN] = NULL;
        wb_table_unref(b->tables[i]);
    }
    wb_arena_reset(&b->arena);
    b->nchanges = b->ntxns = b->ntables = 0;
    b->last_table = NULL;
    b->targets = ~(uint64_t)0;
    b->flags = 0;
    b->failed = false;
    b->next = NULL;
}

static void batch_free(wb_batch *b)
{
    wb_batch_clear(b);
    wb_arena_fini(&b->arena);
    free(b->changes);
    free(b->txns);
    free(b->tables);
    free(b->seen);
    free(b);
}

wb_batch *wb_batch_loose(void) { return batch_new(NULL); }

void wb_batch_ref(wb_batch *b) { atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed); }

void *wb_batch_alloc(wb_batch *b, size_t bytes) { return wb_arena_alloc(&b->arena, bytes); }

const char *wb_batch_copy(wb_batch *b, const void *p, size_t n)
{
    char *q = wb_arena_alloc(&b->arena, n);
    if (WB_UNLIKELY(b->arena.failed)) return "";
    if (n) memcpy(q, p, n);
    return q;
}

wb_value *wb_batch_values(wb_batch *b, size_t n)
{
    wb_value *v = wb_arena_alloc(&b->arena, n * sizeof *v);
    if (WB_LIKELY(v != NULL) && !b->arena.failed) memset(v, 0, n * sizeof *v);
    return v;
}

/* Room for one more element in a growing array that survives wb_batch_clear. */
static void *one_more(void *array, size_t n, size_t *cap, size_t size, size_t first)
{
    if (WB_LIKELY(n < *cap)) return array;
    size_t want = *cap ? *cap * 2 : first, bytes;
    if (!wb_mul_ok(want, size, &bytes)) return NULL;
    void *bigger = realloc(array, bytes);
    if (bigger) *cap = want;
    return bigger;
}

wb_change *wb_batch_change(wb_batch *b)
{
    static _Thread_local wb_change dummy;
    wb_change *all = one_more(b->changes, b->nchanges, &b->cap_changes, sizeof *all, 64);
    if (WB_UNLIKELY(!all)) {
        b->failed = true;
        return &dummy;
    }
    b->changes = all;
    wb_change *c = &all[b->nchanges++];
    memset(c, 0, sizeof *c);
    c->txn = b->ntxns ? (uint32_t)(b->ntxns - 1) : 0;
    return c;
}

wb_change *wb_batch_ddl(wb_batch *b, wb_ddl_kind kind, uint8_t flags, const wb_table *before, const wb_table *after,
                        wb_str sql)
{
    static const wb_ddl unknown = {.kind = WB_DDL_ALTER};
    wb_ddl *d = wb_batch_alloc(b, sizeof *d);
    const char *text = sql.len ? wb_batch_copy(b, sql.ptr, sql.len) : NULL;
    wb_change *c = wb_batch_change(b);
    if (before) wb_batch_table(b, before);
    if (after) wb_batch_table(b, after);
    c->op = WB_DDL;
    c->table = after ? after : before;
    c->ddl = d ? d : &unknown;
    if (d)
        *d = (wb_ddl){.kind = (uint8_t)kind, .flags = flags, .before = before, .after = after, .sql = {text, sql.len}};
    return c;
}

wb_change *wb_batch_at(wb_batch *b, size_t i) { return i < b->nchanges ? &b->changes[i] : NULL; }

void wb_batch_ddl_schema(wb_batch *b, wb_str schema)
{
    wb_change *c = wb_batch_last_change(b);
    if (!c || c->op != WB_DDL || !c->ddl || !c->ddl->sql.len || !schema.len) return;
    wb_ddl *d = wb_batch_alloc(b, sizeof *d);
    const char *text = wb_batch_copy(b, schema.ptr, schema.len);
    if (!d || !text) return; /* the batch knows */
    *d = *c->ddl;
    d->schema = (wb_str){text, schema.len};
    c->ddl = d;
}

wb_change *wb_batch_last_change(wb_batch *b) { return b->nchanges ? &b->changes[b->nchanges - 1] : NULL; }

wb_txn *wb_batch_txn(wb_batch *b)
{
    static _Thread_local wb_txn dummy;
    wb_txn *all = one_more(b->txns, b->ntxns, &b->cap_txns, sizeof *all, 16);
    if (WB_UNLIKELY(!all)) {
        b->failed = true;
        return &dummy;
    }
    b->txns = all;
    wb_txn *t = &all[b->ntxns++];
    memset(t, 0, sizeof *t);
    return t;
}

wb_txn *wb_batch_last_txn(wb_batch *b) { return b->ntxns ? &b->txns[b->ntxns - 1] : NULL; }

/* A few tables are looked through; of more it is remembered by their numbers. Two tables of one number push each other
 * out, and may then be in the list several times: a reference more. */
static bool has_table(wb_batch *b, const wb_table *t)
{
    if (b->seen) return b->seen[t->serial % WB_BATCH_SEEN] == t;
    for (size_t i = 0; i < b->ntables; i++)
        if (b->tables[i] == t) return true;
    if (b->ntables < WB_BATCH_FEW) return false;
    b->seen = calloc(WB_BATCH_SEEN, sizeof *b->seen);
    for (size_t i = 0; b->seen && i < b->ntables; i++) b->seen[b->tables[i]->serial % WB_BATCH_SEEN] = b->tables[i];
    return false;
}

void wb_batch_table(wb_batch *b, const wb_table *t)
{
    if (WB_LIKELY(t == b->last_table)) return;
    if (has_table(b, t)) {
        b->last_table = t;
        return;
    }
    const wb_table **all = one_more(b->tables, b->ntables, &b->cap_tables, sizeof *all, 8);
    if (!all) {
        b->failed = true;
        return;
    }
    b->tables = all;
    all[b->ntables++] = wb_table_ref(t);
    if (b->seen) b->seen[t->serial % WB_BATCH_SEEN] = t;
    b->last_table = t;
}

bool wb_batch_full(const wb_batch *b)
{
    return b->arena.bytes >= WB_BATCH_SOFT || b->nchanges >= WB_BATCH_CHANGES || b->ntables >= WB_BATCH_CHANGES;
}
size_t wb_batch_count(const wb_batch *b) { return b->nchanges; }
bool wb_batch_failed(const wb_batch *b) { return b->failed || b->arena.failed; }
void wb_batch_set_reset(wb_batch *b, bool again) { b->flags |= WB_BATCH_RESET | (again ? WB_BATCH_AGAIN : 0u); }
void wb_batch_set_targets(wb_batch *b, uint64_t mask) { b->targets = mask; }

/* ---------------------------------------------------------------- the pool */

wb_pool *wb_pool_new(size_t budget)
{
    wb_pool *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    pthread_mutex_init(&p->mutex, NULL);
    p->budget = budget;
    return p;
}

void wb_pool_free(wb_pool *p)
{
    if (!p) return;
    while (p->spare) {
        wb_batch *b = p->spare;
        p->spare = b->next;
        batch_free(b);
    }
    pthread_mutex_destroy(&p->mutex);
    free(p);
}

void wb_pool_on_room(wb_pool *p, void (*fn)(void *), void *arg)
{
    p->on_room = fn;
    p->room_arg = arg;
}

/* What an ordinary batch is expected to take: its arena, its changes. */
enum { ORDINARY = WB_BATCH_SOFT + WB_BATCH_CHANGES * (int)sizeof(wb_change) };

wb_batch *wb_pool_take(wb_pool *p, size_t need)
{
    size_t charge = need > WB_BATCH_SOFT / 2 ? ORDINARY + need : ORDINARY;
    pthread_mutex_lock(&p->mutex);
    if (p->used && (charge > p->budget || p->used > p->budget - charge)) {
        pthread_mutex_unlock(&p->mutex);
        return NULL;
    }
    p->used += charge;
    wb_batch *b = p->spare;
    if (b) {
        p->spare = b->next;
        p->nspare--;
        b->next = NULL;
        atomic_store_explicit(&b->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&p->mutex);
    if (!b) b = batch_new(p);
    if (!b) {
        pthread_mutex_lock(&p->mutex);
        p->used -= charge;
        pthread_mutex_unlock(&p->mutex);
        return NULL;
    }
    b->charged = charge;
    return b;
}

size_t wb_pool_used(wb_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    size_t used = p->used;
    pthread_mutex_unlock(&p->mutex);
    return used;
}

void wb_batch_weigh(wb_batch *b)
{
    wb_pool *p = b->pool;
    if (!p) return;
    size_t many = b->seen ? WB_BATCH_SEEN * sizeof *b->seen + b->cap_tables * sizeof *b->tables : 0;
    size_t weight =
        many + b->arena.bytes + b->cap_changes * sizeof *b->changes + b->cap_txns * sizeof *b->txns + sizeof *b;
    pthread_mutex_lock(&p->mutex);
    p->used = p->used - b->charged + weight;
    b->charged = weight;
    pthread_mutex_unlock(&p->mutex);
}

void wb_batch_unref(wb_batch *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) return;
    wb_pool *p = b->pool;
    if (!p) {
        batch_free(b);
        return;
    }
    size_t charged = b->charged;
    wb_batch_clear(b);
    pthread_mutex_lock(&p->mutex);
    p->used -= charged;
    if (p->nspare < FREE_LIST_MAX) {
        b->next = p->spare;
        p->spare = b;
        p->nspare++;
        b = NULL;
    }
    pthread_mutex_unlock(&p->mutex);
    if (b) batch_free(b);
    if (p->on_room) p->on_room(p->room_arg);
}

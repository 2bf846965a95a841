/* snap_open.c: the ledger of a copy in the state: "copy/plan" with all jobs, "copy/turn/N" a note a turn, "copy/seq"
 * the last number. At open the notes are judged by the targets' positions and settled into the plan, in one durable
 * step, before any new turn: a target that goes on without a turn must not seem to have it later. Source thread. */
#include "pg.h"

#include <stdio.h>

#include "base/fault.h"

enum { NOTE_KEY = 40 };
static const char notes_prefix[] = "copy/turn/";

static void note_key(uint64_t seq, char key[NOTE_KEY])
{
    (void)snprintf(key, NOTE_KEY, "%s%020llu", notes_prefix, (unsigned long long)seq);
}

/* ---------------------------------------------------------------- what is written */

typedef struct edits { /* of the state, in one step; memory: an arena */
    wb_arena *a;
    wb_kv *kv;
    size_t n, cap;
} edits;

static void edit(edits *e, const char *key, wb_str value)
{
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 16;
        wb_kv *bigger = wb_arena_zalloc(e->a, cap * sizeof *bigger);
        if (!bigger) return;
        if (e->n) memcpy(bigger, e->kv, e->n * sizeof *bigger);
        e->kv = bigger;
        e->cap = cap;
    }
    const char *copy = value.ptr ? wb_arena_strndup(e->a, value.ptr, value.len) : NULL;
    e->kv[e->n++] = (wb_kv){wb_arena_strdup(e->a, key), {copy, value.len}};
}

static wb_code write_edits(pg_source *s, const edits *e, wb_error *err)
{
    if (e->a->failed) return pg_nomem(err);
    return e->n ? wb_host_state_put_all(s->host, e->kv, e->n, err) : WB_OK;
}

static void edit_plan(pg_source *s, edits *e)
{
    wb_out out = {0};
    char seq[24];
    (void)snprintf(seq, sizeof seq, "%llu", (unsigned long long)s->snap.ledger.seq);
    if (s->snap.ledger.n) {
        sql_plan_encode(&s->snap.ledger, &s->snap.names, &out);
        edit(e, "copy/plan", (wb_str){out.p, out.len});
        if (out.failed) e->a->failed = true;
    } else {
        edit(e, "copy/plan", (wb_str){NULL, 0});
    }
    edit(e, "copy/seq", wb_str_of(seq));
    wb_out_fini(&out);
}

wb_code pg_snap_save(pg_source *s, wb_error *err)
{
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    edits e = {.a = &a};
    edit_plan(s, &e);
    wb_code code = write_edits(s, &e, err);
    wb_arena_fini(&a);
    if (code == WB_OK) s->snap.changed = false;
    int sys = WB_FAULT("postgres.copy_planned");
    return code == WB_OK && sys ? wb_fail_errno(err, sys, "state: the plan of the copy") : code;
}

wb_code pg_snap_note(pg_source *s, wb_error *err)
{
    pg_snap *n = &s->snap;
    char key[NOTE_KEY];
    wb_out out = {0};
    sql_note note = {.seq = n->seq, .targets = n->mask, .refs = n->refs, .n = n->nrefs};
    int sys = WB_FAULT("postgres.before_note");
    if (sys) return wb_fail_errno(err, sys, "state: a turn of the copy");
    note_key(n->seq, key);
    sql_note_encode(&note, &n->names, &out);
    wb_code code = out.failed ? pg_nomem(err) : wb_host_state_put(s->host, key, (wb_str){out.p, out.len}, err);
    wb_out_fini(&out);
    (void)WB_FAULT("postgres.after_note");
    return code;
}

/* ---------------------------------------------------------------- what is read */

typedef struct note_text {
    struct note_text *next;
    const char *key;
    wb_str value;
} note_text;

typedef struct reading {
    wb_arena *a;
    note_text *first, **last;
} reading;

static void take_note(void *arg, const char *key, wb_str value)
{
    reading *r = arg;
    note_text *t = wb_arena_zalloc(r->a, sizeof *t);
    if (!t) return;
    t->key = wb_arena_strdup(r->a, key);
    t->value = (wb_str){wb_arena_strndup(r->a, value.ptr, value.len), value.len};
    *r->last = t;
    r->last = &t->next;
}

static wb_code read_notes(pg_source *s, wb_arena *a, note_text **out, wb_error *err)
{
    reading r = {.a = a};
    r.last = &r.first;
    wb_code code = wb_host_state_list(s->host, notes_prefix, take_note, &r, err);
    *out = r.first;
    return code == WB_OK && a->failed ? pg_nomem(err) : code;
}

static wb_code unreadable(const char *key, wb_error *err)
{
    wb_fail(err, WB_E_STATE, WB_NEVER, "The state's entry '%s' cannot be read.", key);
    wb_hint(err, "It was written by a newer Walbrook, or it is damaged.");
    return WB_E_STATE;
}

/* A target has the turns up to the number in its position. One that does not run is judged when it does. */
static wb_code settle_notes(pg_source *s, const wb_resume *r, note_text *notes, edits *e, wb_error *err)
{
    pg_snap *n = &s->snap;
    for (const note_text *t = notes; t; t = t->next) {
        sql_note note;
        if (!sql_note_decode(&note, &n->names, t->value, e->a)) return unreadable(t->key, err);
        uint64_t has = 0;
        for (size_t i = 0; i < r->nmembers; i++)
            if (r->members[i].running && pg_pos_seq(r->members[i].pos) >= note.seq) has |= r->members[i].bit;
        sql_note_settle(&n->ledger, &note, has & ~r->fresh);
        n->ledger.seq = WB_MAX(n->ledger.seq, note.seq);
        note.targets &= ~n->running;
        wb_out out = {0};
        if (note.targets) sql_note_encode(&note, &n->names, &out);
        if (out.failed) return pg_nomem(err);
        edit(e, t->key, (wb_str){out.p, out.len});
        wb_out_fini(&out);
    }
    return WB_OK;
}

/* A table without a key is copied in one snapshot or again from the begin, and without what the stream brought
 * meanwhile: nobody could tell those rows from the ones that the copy brings. */
static bool begin_again(sql_ledger *l, sql_job *j, uint64_t running)
{
    uint64_t lacks = sql_job_lacks(j, running);
    return (j->flags & SQL_JOB_KEYED) || !lacks || sql_job_again(l, j, lacks);
}

static wb_code tidy_jobs(pg_source *s, uint64_t fresh, wb_error *err)
{
    sql_ledger *l = &s->snap.ledger;
    for (size_t i = l->n; i-- > 0;) {
        sql_job *j = l->jobs[i];
        j->targets &= ~fresh;
        for (size_t c = 0; c < j->n; c++) j->chunks[c].done &= ~fresh;
        if (!begin_again(l, j, s->snap.running)) return pg_nomem(err);
        if (!sql_job_lacks(j, ~(uint64_t)0)) sql_ledger_remove(l, j->table);
    }
    return WB_OK;
}

static void take_members(pg_source *s, const wb_resume *r)
{
    pg_snap *n = &s->snap;
    for (size_t i = 0; i < r->nmembers; i++) {
        const wb_member *m = &r->members[i];
        n->names.of[__builtin_ctzll(m->bit)] = wb_arena_strdup(&s->arena, m->name);
        if (m->running) n->running |= m->bit;
        n->ledger.seq = WB_MAX(n->ledger.seq, pg_pos_seq(m->pos));
    }
}

wb_code pg_snap_load(pg_source *s, const wb_resume *r, bool anew, wb_error *err)
{
    pg_snap *n = &s->snap;
    char text[24];
    wb_str plan = {NULL, 0};
    note_text *notes = NULL;
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    wb_arena_init(&n->arena, 8 * 1024, 0);
    sql_ledger_init(&n->ledger);
    n->loaded = true;
    take_members(s, r);
    uint64_t seq = n->ledger.seq;
    wb_code code = s->arena.failed ? pg_nomem(err) : wb_host_state_get(s->host, "copy/plan", &plan, err);
    if (code == WB_OK && plan.len && !anew && !sql_plan_decode(&n->ledger, &n->names, plan))
        code = unreadable("copy/plan", err);
    bool any = plan.len != 0;
    n->ledger.seq = WB_MAX(n->ledger.seq, seq);
    if (code == WB_OK) code = sql_fact_get(s->host, "copy/seq", text, sizeof text, err);
    if (code == WB_OK) n->ledger.seq = WB_MAX(n->ledger.seq, strtoull(text, NULL, 10));
    if (code == WB_OK) code = read_notes(s, &a, &notes, err);
    edits e = {.a = &a};
    if (code == WB_OK) code = settle_notes(s, r, notes, &e, err);
    if (code == WB_OK) code = tidy_jobs(s, r->fresh, err);
    if (code == WB_OK && (any || notes)) {
        for (size_t i = 0; anew && i < e.n; i++) e.kv[i].value = (wb_str){NULL, 0};
        edit_plan(s, &e);
        code = write_edits(s, &e, err);
    }
    wb_arena_fini(&a);
    return code;
}

/* Everybody has everything, durably: nothing of it need be known any more. */
wb_code pg_snap_settled(pg_source *s, wb_pos pos, wb_error *err)
{
    pg_snap *n = &s->snap;
    if (!n->loaded || !n->ledger.n || n->phase != PG_SNAP_OFF || pg_pos_seq(pos) < n->ledger.seq) return WB_OK;
    if (sql_ledger_lacks(&n->ledger, ~(uint64_t)0)) return WB_OK;
    pg_snap_undescribe(s);
    while (n->ledger.n) sql_ledger_remove(&n->ledger, n->ledger.jobs[n->ledger.n - 1]->table);
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    edits e = {.a = &a};
    note_text *notes = NULL;
    wb_code code = read_notes(s, &a, &notes, err);
    for (const note_text *t = notes; t; t = t->next) edit(&e, t->key, (wb_str){NULL, 0});
    edit_plan(s, &e);
    if (code == WB_OK) code = write_edits(s, &e, err);
    wb_arena_fini(&a);
    return code;
}

/* copy_state.c: the ledger of a copy in the state: "copy/plan" with all jobs, "copy/turn/N" a note a turn, "copy/seq"
 * the last number. At open the notes are judged by the targets' positions and settled into the plan, in one durable
 * step, before any new turn: a target that goes on without a turn must not seem to have it later. Source thread. */
#include "copy.h"

#include <stdio.h>

#include "base/fault.h"
#include "fact.h"

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

static wb_code write_edits(sql_copy *c, const edits *e, wb_error *err)
{
    if (e->a->failed) return sql_copy_nomem(err);
    return e->n ? wb_host_state_put_all(c->host, e->kv, e->n, err) : WB_OK;
}

static void edit_plan(sql_copy *c, edits *e)
{
    wb_out out = {0};
    char seq[24];
    (void)snprintf(seq, sizeof seq, "%llu", (unsigned long long)c->ledger.seq);
    if (c->ledger.n) {
        sql_plan_encode(&c->ledger, &c->names, &out);
        edit(e, "copy/plan", (wb_str){out.p, out.len});
        if (out.failed) e->a->failed = true;
    } else {
        edit(e, "copy/plan", (wb_str){NULL, 0});
    }
    edit(e, "copy/seq", wb_str_of(seq));
    wb_out_fini(&out);
}

wb_code sql_copy_save(sql_copy *c, wb_error *err)
{
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    edits e = {.a = &a};
    edit_plan(c, &e);
    wb_code code = write_edits(c, &e, err);
    wb_arena_fini(&a);
    if (code == WB_OK) c->changed = false;
    c->mark_serial = 0;
    int sys = WB_FAULT("copy.planned");
    return code == WB_OK && sys ? wb_fail_errno(err, sys, "state: the plan of the copy") : code;
}

wb_code sql_copy_note(sql_copy *c, wb_error *err)
{
    char key[NOTE_KEY];
    wb_out out = {0};
    sql_note note = {.seq = c->seq, .targets = c->mask, .refs = c->refs, .n = c->nrefs};
    int sys = WB_FAULT("copy.before_note");
    if (sys) return wb_fail_errno(err, sys, "state: a turn of the copy");
    note_key(c->seq, key);
    sql_note_encode(&note, &c->names, &out);
    wb_code code = out.failed ? sql_copy_nomem(err) : wb_host_state_put(c->host, key, (wb_str){out.p, out.len}, err);
    wb_out_fini(&out);
    (void)WB_FAULT("copy.after_note");
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

static wb_code read_notes(sql_copy *c, wb_arena *a, note_text **out, wb_error *err)
{
    reading r = {.a = a};
    r.last = &r.first;
    wb_code code = wb_host_state_list(c->host, notes_prefix, take_note, &r, err);
    *out = r.first;
    return code == WB_OK && a->failed ? sql_copy_nomem(err) : code;
}

static wb_code unreadable(const char *key, wb_error *err)
{
    wb_fail(err, WB_E_STATE, WB_NEVER, "The state's entry '%s' cannot be read.", key);
    wb_hint(err, "It was written by a newer Walbrook, or it is damaged.");
    return WB_E_STATE;
}

/* A target has the turns up to the number in its position. One that does not run is judged when it does. */
static wb_code settle_notes(sql_copy *c, const wb_resume *r, note_text *notes, edits *e, wb_error *err)
{
    for (const note_text *t = notes; t; t = t->next) {
        sql_note note;
        if (!sql_note_decode(&note, &c->names, t->value, e->a)) return unreadable(t->key, err);
        uint64_t has = 0;
        for (size_t i = 0; i < r->nmembers; i++)
            if (r->members[i].running && c->ops->seq(r->members[i].pos) >= note.seq) has |= r->members[i].bit;
        sql_note_settle(&c->ledger, &note, has & ~r->fresh);
        c->ledger.seq = WB_MAX(c->ledger.seq, note.seq);
        note.targets &= ~c->running;
        wb_out out = {0};
        if (note.targets) sql_note_encode(&note, &c->names, &out);
        if (out.failed) return sql_copy_nomem(err);
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

static wb_code tidy_jobs(sql_copy *c, uint64_t fresh, wb_error *err)
{
    sql_ledger *l = &c->ledger;
    for (size_t i = l->n; i-- > 0;) {
        sql_job *j = l->jobs[i];
        j->targets &= ~fresh;
        for (size_t k = 0; k < j->n; k++) j->chunks[k].done &= ~fresh;
        if (!begin_again(l, j, c->running)) return sql_copy_nomem(err);
        if (!sql_job_lacks(j, ~(uint64_t)0)) sql_ledger_remove(l, j->table);
    }
    return WB_OK;
}

static void take_members(sql_copy *c, const wb_resume *r)
{
    for (size_t i = 0; i < r->nmembers; i++) {
        const wb_member *m = &r->members[i];
        c->names.of[__builtin_ctzll(m->bit)] = wb_arena_strdup(&c->names_arena, m->name);
        if (m->running) c->running |= m->bit;
        c->ledger.seq = WB_MAX(c->ledger.seq, c->ops->seq(m->pos));
    }
}

/* 0: nothing is there. */
static wb_code get_number(sql_copy *c, const char *key, uint64_t *out, wb_error *err)
{
    char text[24];
    wb_code code = sql_fact_get(c->host, key, text, sizeof text, err);
    *out = code == WB_OK ? strtoull(text, NULL, 10) : 0;
    return code;
}

wb_code sql_copy_load(sql_copy *c, const wb_resume *r, bool anew, wb_error *err)
{
    wb_str plan = {NULL, 0};
    note_text *notes = NULL;
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    wb_arena_init(&c->arena, 8 * 1024, 0);
    wb_arena_init(&c->names_arena, 1024, 0);
    sql_ledger_init(&c->ledger);
    c->loaded = true;
    take_members(c, r);
    uint64_t seq = c->ledger.seq;
    wb_code code = c->names_arena.failed ? sql_copy_nomem(err) : wb_host_state_get(c->host, "copy/plan", &plan, err);
    if (code == WB_OK && plan.len && !anew && !sql_plan_decode(&c->ledger, &c->names, plan))
        code = unreadable("copy/plan", err);
    bool any = plan.len != 0;
    c->ledger.seq = WB_MAX(c->ledger.seq, seq);
    if (code == WB_OK) code = get_number(c, "copy/seq", &seq, err);
    c->ledger.seq = WB_MAX(c->ledger.seq, seq);
    if (code == WB_OK) code = read_notes(c, &a, &notes, err);
    edits e = {.a = &a};
    if (code == WB_OK) code = settle_notes(c, r, notes, &e, err);
    if (code == WB_OK) code = tidy_jobs(c, r->fresh, err);
    if (code == WB_OK && (any || notes)) {
        for (size_t i = 0; anew && i < e.n; i++) e.kv[i].value = (wb_str){NULL, 0};
        edit_plan(c, &e);
        code = write_edits(c, &e, err);
    }
    wb_arena_fini(&a);
    return code;
}

/* Everybody has everything, durably: nothing of it need be known any more. */
wb_code sql_copy_settled(sql_copy *c, wb_pos pos, wb_error *err)
{
    if (!c->loaded || !c->ledger.n || c->phase != SQL_COPY_OFF || c->ops->seq(pos) < c->ledger.seq) return WB_OK;
    if (sql_ledger_lacks(&c->ledger, ~(uint64_t)0)) return WB_OK;
    sql_copy_undescribe(c);
    while (c->ledger.n) sql_ledger_remove(&c->ledger, c->ledger.jobs[c->ledger.n - 1]->table);
    wb_arena a;
    wb_arena_init(&a, 8 * 1024, 0);
    edits e = {.a = &a};
    note_text *notes = NULL;
    wb_code code = read_notes(c, &a, &notes, err);
    for (const note_text *t = notes; t; t = t->next) edit(&e, t->key, (wb_str){NULL, 0});
    edit_plan(c, &e);
    if (code == WB_OK) code = write_edits(c, &e, err);
    wb_arena_fini(&a);
    return code;
}

/* ---------------------------------------------------------------- a copy that nothing follows */

static const char only_key[] = "snapshot";

/* "running", or the number of its last turn: over for a target whose position has that. */
wb_code sql_copy_only_lacks(sql_copy *c, const wb_resume *r, uint64_t *lacks, wb_error *err)
{
    char was[24];
    *lacks = 0;
    wb_code code = sql_fact_get(c->host, only_key, was, sizeof was, err);
    bool running = strcmp(was, "running") == 0;
    for (size_t i = 0; code == WB_OK && i < r->nmembers; i++) {
        const wb_member *m = &r->members[i];
        if (m->running && (running || c->ops->seq(m->pos) < strtoull(was, NULL, 10))) *lacks |= m->bit;
    }
    return code;
}

wb_code sql_copy_only_begins(sql_copy *c, wb_error *err) { return sql_fact_put(c->host, only_key, "running", err); }

wb_code sql_copy_only_over(sql_copy *c, wb_error *err)
{
    char last[24];
    (void)snprintf(last, sizeof last, "%llu", (unsigned long long)c->ledger.seq);
    wb_code code = sql_fact_put(c->host, only_key, last, err);
    (void)WB_FAULT("copy.over");
    return code;
}

wb_code sql_copy_nomem(wb_error *err) { return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for the copy."); }

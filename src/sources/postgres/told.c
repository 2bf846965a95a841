/* told.c: what the targets were told last of each table: the version, and the place in the log where it became so. Only
 * with the place a repeat after a crash tells the same schema changes as the first time, no more and no fewer. Kept in
 * the state as table/OID; without a state (tail) in memory. Source thread; called by ddl.c and relation.c. */
#include "pg.h"

#include <stdio.h>

static void key_of(uint32_t oid, char key[48]) { (void)snprintf(key, 48, "table/%u", oid); }

/* ---------------------------------------------------------------- without a state */

static pg_told_kept *kept_at(pg_ddl *d, uint32_t oid)
{
    for (size_t i = 0; i < d->nkept; i++)
        if (d->kept[i].oid == oid) return &d->kept[i];
    return NULL;
}

static wb_code keep(pg_ddl *d, uint32_t oid, wb_out *value, wb_error *err)
{
    pg_told_kept *k = kept_at(d, oid);
    if (!k) {
        pg_told_kept *all = realloc(d->kept, (d->nkept + 1) * sizeof *all);
        if (!all) return pg_nomem(err);
        d->kept = all;
        k = &all[d->nkept++];
        *k = (pg_told_kept){.oid = oid};
    }
    wb_out_fini(&k->value);
    k->value = *value;
    *value = (wb_out){0};
    return WB_OK;
}

/* ---------------------------------------------------------------- one table */

wb_code pg_told_get(pg_source *s, uint32_t oid, wb_arena *a, pg_told *out, bool *found, wb_error *err)
{
    char key[48];
    wb_str v = {NULL, 0};
    wb_code code = WB_OK;
    *found = false;
    key_of(oid, key);
    if (sql_fact_on(s->host)) {
        code = wb_host_state_get(s->host, key, &v, err);
    } else {
        const pg_told_kept *k = kept_at(&s->ddl, oid);
        if (k) v = (wb_str){k->value.p, k->value.len};
    }
    if (code != WB_OK || !v.len) return code;
    char *copy = wb_arena_strndup(a, v.ptr, v.len); /* the next get takes its memory */
    if (!copy || a->failed) return pg_nomem(err);
    if (!pg_told_decode((wb_str){copy, v.len}, a, out)) {
        wb_fail(err, WB_E_STATE, WB_NEVER, "The state's entry '%s' cannot be read.", key);
        wb_hint(err, "It was written by another version of Walbrook, or it is damaged.");
        return WB_E_STATE;
    }
    *found = true;
    return WB_OK;
}

/* at_once: durable when it returns, else with the next checkpoint. */
static wb_code put(pg_source *s, const pg_told *t, bool at_once, wb_error *err)
{
    char key[48];
    wb_out value = {0};
    key_of(t->shape.oid, key);
    pg_told_encode(t, &value);
    wb_code code = value.failed ? pg_nomem(err) : WB_OK;
    if (code == WB_OK && !pg_oidset_set(&s->ddl.told, t->shape.oid, !t->dropped)) code = pg_nomem(err);
    if (code == WB_OK)
        code = !sql_fact_on(s->host) ? keep(&s->ddl, t->shape.oid, &value, err)
               : at_once             ? wb_host_state_put(s->host, key, (wb_str){value.p, value.len}, err)
                                     : wb_host_state_note(s->host, &(wb_kv){key, {value.p, value.len}}, 1, err);
    wb_out_fini(&value);
    return code;
}

wb_code pg_told_put(pg_source *s, const pg_told *t, wb_error *err) { return put(s, t, true, err); }

wb_code pg_told_first(pg_source *s, const pg_shape *shape, wb_error *err)
{
    wb_arena a;
    pg_told have;
    bool found;
    wb_arena_init(&a, 8 * 1024, 0);
    wb_code code = pg_told_get(s, shape->oid, &a, &have, &found, err);
    wb_arena_fini(&a);
    return code != WB_OK || found ? code : put(s, &(pg_told){.shape = *shape}, false, err);
}

/* The same for many, in one durable step. */
static wb_code put_firsts(pg_source *s, const pg_shape *shapes, size_t n, wb_kv *kv, char (*keys)[48], wb_out *texts,
                          wb_error *err)
{
    size_t news = 0;
    for (size_t i = 0; i < n; i++) {
        wb_str have = {NULL, 0};
        key_of(shapes[i].oid, keys[i]);
        wb_code code = wb_host_state_get(s->host, keys[i], &have, err);
        if (code != WB_OK) return code;
        if (have.len) continue;
        pg_told_encode(&(pg_told){.shape = shapes[i]}, &texts[i]);
        if (texts[i].failed || !pg_oidset_set(&s->ddl.told, shapes[i].oid, true)) return pg_nomem(err);
        kv[news++] = (wb_kv){keys[i], {texts[i].p, texts[i].len}};
    }
    return news ? wb_host_state_put_all(s->host, kv, news, err) : WB_OK;
}

wb_code pg_shapes_remember(pg_source *s, const pg_shape *shapes, size_t n, wb_error *err)
{
    if (!n) return WB_OK;
    if (!sql_fact_on(s->host)) {
        wb_code code = WB_OK;
        for (size_t i = 0; i < n && code == WB_OK; i++) code = pg_told_first(s, &shapes[i], err);
        return code;
    }
    wb_kv *kv = calloc(n, sizeof *kv);
    char(*keys)[48] = calloc(n, sizeof *keys);
    wb_out *texts = calloc(n, sizeof *texts);
    wb_code code = kv && keys && texts ? put_firsts(s, shapes, n, kv, keys, texts, err) : pg_nomem(err);
    for (size_t i = 0; texts && i < n; i++) wb_out_fini(&texts[i]);
    free(kv);
    free(keys);
    free(texts);
    return code;
}

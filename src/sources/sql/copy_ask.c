/* copy_ask.c: tables that join a running pipeline, and tables that are read again. A wish is in the state
 * ("copy/ask/WHAT/ID") until the plan has it, so that nothing is forgotten in between. Wishes come from the command
 * line (another process), from HUP, and from whoever sees a new table. */
#include "copy.h"

#include <stdio.h>

enum { WISH = 64 };
static const char wishes_prefix[] = "copy/ask/", add_word[] = "add-table", resync_word[] = "resync";

bool sql_wish_is_resync(const char *what) { return strcmp(what, resync_word) == 0; }

static void wish_key(const char *what, uint64_t table, char key[WISH])
{
    (void)snprintf(key, WISH, "%s%s/%llu", wishes_prefix, what, (unsigned long long)table);
}

wb_code sql_wish(wb_host *h, const char *what, uint64_t table, const char *name, wb_error *err)
{
    char key[WISH];
    wish_key(what, table, key);
    return wb_host_state_put(h, key, wb_str_of(name), err);
}

/* The part at *p, with a quote at both ends and each inside doubled; past it. */
static bool takes_quoted(const char **p, wb_str part)
{
    const char *c = *p;
    if (*c++ != '"') return false;
    for (size_t i = 0; i < part.len; i++) {
        if (*c++ != part.ptr[i]) return false;
        if (part.ptr[i] == '"' && *c++ != '"') return false;
    }
    *p = c + 1;
    return *c == '"';
}

static bool takes(const char **p, wb_str part)
{
    bool same = strncmp(*p, part.ptr, part.len) == 0;
    if (same) *p += part.len;
    return same;
}

bool sql_wish_means(const char *text, wb_str schema, wb_str name, const char *own)
{
    const char *p = text, *q = text;
    if (wb_str_is(name, text) && wb_str_is(schema, own)) return true;
    if (takes(&p, schema) && *p == '.' && wb_str_is(name, p + 1)) return true;
    return takes_quoted(&q, schema) && *q++ == '.' && takes_quoted(&q, name) && !*q;
}

wb_code sql_wish_new(sql_copy *c, const uint64_t *tables, size_t n, wb_error *err)
{
    wb_kv *kv = calloc(n + 1, sizeof *kv);
    char(*keys)[WISH] = calloc(n + 1, sizeof *keys);
    wb_code code = kv && keys ? WB_OK : sql_copy_nomem(err);
    for (size_t i = 0; i < n && code == WB_OK; i++) {
        wish_key(add_word, tables[i], keys[i]);
        kv[i] = (wb_kv){keys[i], WB_STR("new")};
    }
    if (code == WB_OK && n) code = wb_host_state_put_all(c->host, kv, n, err);
    free(kv);
    free(keys);
    c->asked = code == WB_OK && n;
    return code;
}

/* ---------------------------------------------------------------- the wishes in the state */

typedef struct reading {
    sql_wishes *w;
    size_t cap;
    bool named, failed;
} reading;

static bool grow(reading *r)
{
    sql_wishes *w = r->w;
    if (w->nkeys < r->cap) return true;
    size_t cap = r->cap ? r->cap * 2 : 16;
    char **keys = realloc(w->keys, cap * sizeof(char *));
    if (keys) w->keys = keys;
    uint64_t *add = realloc(w->add, cap * sizeof *add);
    if (add) w->add = add;
    uint64_t *resync = realloc(w->resync, cap * sizeof *resync);
    if (resync) w->resync = resync;
    r->cap = keys && add && resync ? cap : r->cap;
    return keys && add && resync;
}

static void take_wish(void *arg, const char *key, wb_str value)
{
    reading *r = arg;
    sql_wishes *w = r->w;
    const char *id = strrchr(key, '/');
    char *kept = grow(r) ? wb_arena_strdup(&w->arena, key) : NULL;
    if (!kept || !id) {
        r->failed = r->failed || !kept;
        return;
    }
    w->keys[w->nkeys++] = kept;
    if (!wb_str_eq(value, WB_STR("new"))) r->named = true;
    uint64_t table = strtoull(id + 1, NULL, 10);
    if (strstr(key, resync_word))
        w->resync[w->nresync++] = table;
    else
        w->add[w->nadd++] = table;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

wb_code sql_wishes_read(wb_host *h, sql_wishes *out, bool *named, wb_error *err)
{
    reading r = {.w = out};
    memset(out, 0, sizeof *out);
    wb_arena_init(&out->arena, 1024, 0);
    wb_code code = wb_host_state_list(h, wishes_prefix, take_wish, &r, err);
    if (code == WB_OK && r.failed) code = sql_copy_nomem(err);
    if (out->nadd) qsort(out->add, out->nadd, sizeof *out->add, by_id);
    if (out->nresync) qsort(out->resync, out->nresync, sizeof *out->resync, by_id);
    if (named) *named = r.named;
    return code;
}

wb_code sql_wishes_forget(wb_host *h, const sql_wishes *w, wb_error *err)
{
    wb_kv *kv = calloc(w->nkeys + 1, sizeof *kv);
    if (!kv) return sql_copy_nomem(err);
    for (size_t i = 0; i < w->nkeys; i++) kv[i].key = w->keys[i];
    wb_code code = w->nkeys ? wb_host_state_put_all(h, kv, w->nkeys, err) : WB_OK;
    free(kv);
    return code;
}

void sql_wishes_free(sql_wishes *w)
{
    free(w->keys);
    free(w->add);
    free(w->resync);
    wb_arena_fini(&w->arena);
}

uint64_t sql_copy_everybody(const sql_copy *c)
{
    uint64_t all = 0;
    for (size_t i = 0; i < SQL_MEMBERS; i++)
        if (c->names.of[i]) all |= (uint64_t)1 << i;
    return all;
}

/* fragments.c: escaped names per table version, and the loop over a row's columns that every JSON format shares. */
#include "formats/fragments.h"

void wb_fragments_init(wb_fragments *f, void (*head)(void *arg, const wb_table *t, wb_out *out), void *arg)
{
    memset(f, 0, sizeof *f);
    f->head = head;
    f->arg = arg;
}

void wb_fragments_fini(wb_fragments *f)
{
    for (size_t i = 0; i < WB_FRAGMENT_SLOTS; i++) {
        for (wb_fragment *e = f->slots[i], *next; e; e = next) {
            next = e->next;
            free(e);
        }
        f->slots[i] = NULL;
    }
    f->last = NULL;
    f->n = 0;
}

static wb_fragment *build(const wb_fragments *f, const wb_table *t)
{
    size_t fixed = sizeof(wb_fragment) + sizeof(uint32_t) * ((size_t)t->ncols + 1);
    wb_fragment *e = malloc(fixed);
    if (!e) return NULL;
    wb_out out = {0};
    if (f->head) f->head(f->arg, t, &out);
    *e = (wb_fragment){.serial = t->serial, .ncols = t->ncols, .head_len = (uint32_t)out.len};
    for (uint32_t i = 0; i < t->ncols; i++) {
        e->at[i] = (uint32_t)(out.len - e->head_len);
        wb_out_put(&out, ",\"", 2);
        wb_json_escape(&out, t->cols[i].name.ptr, t->cols[i].name.len);
        wb_out_put(&out, "\":", 2);
    }
    e->at[t->ncols] = (uint32_t)(out.len - e->head_len);
    wb_fragment *whole = out.failed || out.len > UINT32_MAX ? NULL : realloc(e, fixed + out.len + 1);
    if (!whole) {
        free(e);
    } else {
        char *text = (char *)whole + fixed;
        if (out.len) memcpy(text, out.p, out.len);
        whole->head = text;
        whole->names = text + whole->head_len;
    }
    wb_out_fini(&out);
    return whole;
}

const wb_fragment *wb_fragments_make(wb_fragments *f, const wb_table *t)
{
    size_t slot = (size_t)(t->serial * UINT64_C(0x9E3779B97F4A7C15) >> 32) % WB_FRAGMENT_SLOTS;
    for (wb_fragment *e = f->slots[slot]; e; e = e->next)
        if (e->serial == t->serial) return f->last = e;
    /* Many thousands of versions are rare, and building one is cheap: begin anew instead of keeping an order of use. */
    if (f->n >= WB_FRAGMENTS_MAX) wb_fragments_fini(f);
    wb_fragment *e = build(f, t);
    if (!e) return NULL;
    e->next = f->slots[slot];
    f->slots[slot] = e;
    f->n++;
    return f->last = e;
}

static inline bool skipped(const wb_value *v, const wb_json_options *opt)
{
    return v->kind <= WB_UNCHANGED && !opt->absent_null;
}

wb_code wb_json_columns(wb_out *o, const wb_fragment *f, const wb_value *values, const wb_json_options *opt,
                        bool *first, wb_error *err)
{
    char *q = wb_out_room(o, 64);
    if (!q) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a row as JSON.");
    char *end = o->p + o->cap;
    for (uint32_t i = 0; i < f->ncols; i++) {
        const wb_value *v = &values[i];
        if (WB_UNLIKELY(skipped(v, opt))) continue;
        const char *name = f->names + f->at[i];
        size_t len = f->at[i + 1] - f->at[i];
        if (*first) {
            name++;
            len--;
            *first = false;
        }
        bool small = WB_LIKELY(wb_json_small(v));
        size_t need = len + (small ? wb_json_room(v) : 0);
        if (WB_UNLIKELY(need > (size_t)(end - q))) {
            o->len = (size_t)(q - o->p);
            if (!(q = wb_out_room(o, need))) break;
            end = o->p + o->cap;
        }
        q = wb_json_copy(q, name, len);
        char *e = small ? wb_json_put(q, v, opt) : NULL;
        if (WB_LIKELY(e != NULL)) {
            q = e;
            continue;
        }
        o->len = (size_t)(q - o->p); /* a large one, or one that is refused: the slow way says why */
        wb_code code = wb_json_value(o, v, opt, err);
        if (code != WB_OK) {
            size_t quotes = name[0] == ',' ? 2 : 1; /* ,"name": */
            wb_error_where(err, "column %.*s", (int)WB_MIN(len - quotes - 2, (size_t)50), name + quotes);
            return code;
        }
        q = o->p + o->len;
        end = o->p + o->cap;
    }
    if (o->failed) return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a row as JSON.");
    o->len = (size_t)(q - o->p);
    return WB_OK;
}

/* debezium_default.c: a column's default, where it is a constant, as a value of the column. PostgreSQL prints such ones
 * as 42, '-1'::integer, 'it''s'::text, true. Called once per column and version of a table. */
#include "formats/debezium.h"

/* '...' or E'...' at p; its text into o. Returns what comes after it, or NULL. */
static const char *literal(const char *p, const char *end, wb_out *o)
{
    bool escapes = p < end && *p == 'E';
    if (escapes) p++;
    if (p == end || *p++ != '\'') return NULL;
    while (p < end) {
        if (*p == '\'' && (p + 1 == end || p[1] != '\'')) return p + 1;
        if (*p == '\'' || (escapes && *p == '\\' && p + 1 < end)) p++;
        wb_out_byte(o, *p++);
    }
    return NULL;
}

static bool is_number(const char *p, const char *end)
{
    bool any = false;
    if (p < end && *p == '-') p++;
    for (; p < end; p++) {
        if ((uint8_t)(*p - '0') <= 9)
            any = true;
        else if (*p != '.')
            return false;
    }
    return any;
}

/* Nothing but casts: ::character varying(5) */
static bool only_casts(const char *p, const char *end)
{
    if (p == end) return true;
    if (end - p < 3 || p[0] != ':' || p[1] != ':') return false;
    for (; p < end; p++)
        if (memchr("+*/|<>=", *p, 7) || *p == '\'') return false;
    return true;
}

bool dbz_default_of(const wb_column *c, const dbz_field *f, wb_out *o, wb_value *v)
{
    const char *p = c->default_sql.ptr, *end = p + c->default_sql.len;
    wb_out_reset(o);
    if (!c->default_sql.len || (c->flags & WB_COL_GENERATED)) return false;
    if (f->conv == DBZ_ARRAY || f->conv == DBZ_BYTES || f->conv == DBZ_TEXT_BYTES) return false;
    if (c->default_sql.len > 8 && memcmp(p, "nextval(", 8) == 0) { /* Debezium's parser knows no more of serial */
        if (c->kind != WB_INT) return false;
        wb_out_byte(o, '0');
    } else if (*p == '\'' || *p == 'E') {
        const char *rest = literal(p, end, o);
        if (!rest || !only_casts(rest, end)) return false;
    } else {
        if (*p == '(' && end[-1] == ')') { /* (-1) */
            p++;
            end--;
        }
        const char *cast = memchr(p, ':', (size_t)(end - p));
        const char *stop = cast ? cast : end;
        if (cast && !only_casts(cast, end)) return false;
        if (stop > p && stop[-1] == ')' && *p == '(') { /* (-1)::numeric */
            p++;
            stop--;
        }
        wb_str word = {p, (size_t)(stop - p)};
        bool boolean = wb_str_eq(word, WB_STR("true")) || wb_str_eq(word, WB_STR("false"));
        if (!boolean && !is_number(p, stop)) return false;
        wb_out_str(o, word);
    }
    *v = (wb_value){.kind = c->kind, .flags = WB_V_TEXT, .len = (uint32_t)o->len};
    wb_out_byte(o, 0); /* so that there is memory for an empty one */
    v->as.ptr = o->p;
    return !o->failed;
}

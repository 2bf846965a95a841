/* missing.c: what the rows that are there already have in a column that an ALTER TABLE adds: its default, which the log
 * does not say. Read from the server; used only when nothing changed the table since (schema_track.c). What is computed
 * (expressions, CURRENT_TIMESTAMP, generated and counted columns) cannot be known and is left as not known. Source
 * thread. */
#include "my.h"

#include <stdio.h>
#include <strings.h>

#include "types.h"

static bool has_column(const my_schema *s, wb_str name)
{
    for (uint32_t i = 0; i < s->ncols; i++)
        if (s->cols[i].name.len == name.len && strncasecmp(s->cols[i].name.ptr, name.ptr, name.len) == 0) return true;
    return false;
}

/* Were columns only added? A renamed one looks like one that is new beside one that is gone. */
bool my_missing_any(const my_schema *before, const my_schema *now)
{
    for (uint32_t i = 0; i < before->ncols; i++)
        if (!has_column(now, before->cols[i].name)) return false;
    return now->ncols > before->ncols;
}

static void say(my_schema_col *c, wb_arena *a, wb_kind kind, const char *p, size_t n)
{
    c->missing_kind = (uint8_t)kind;
    c->missing = (wb_str){wb_arena_strndup(a, p, n), n};
}

/* NOT NULL and no default: what the server puts there by itself. */
static void implicit(my_schema_col *c, my_type_info *t, wb_arena *a)
{
    char zero[48] = "0.";
    wb_kind kind = my_type_kind(t);
    wb_str label;
    char *room = t->family == MY_F_ENUM ? wb_arena_alloc(a, t->labels.len + 1) : NULL;
    switch ((my_family)t->family) {
    case MY_F_INT: say(c, a, kind, "0", 1); break;
    case MY_F_DECIMAL:
        memset(zero + 2, '0', WB_MIN(t->scale, 40u));
        say(c, a, kind, zero, t->scale ? 2 + WB_MIN(t->scale, 40u) : 1);
        break;
    case MY_F_CHAR:
    case MY_F_VARCHAR:
    case MY_F_BLOB:
    case MY_F_SET:
        if (kind == WB_TEXT) say(c, a, kind, "", 0);
        break;
    case MY_F_ENUM:
        if (room && my_next_label(&t->labels, room, &label)) say(c, a, kind, label.ptr, label.len);
        break;
    default: break;
    }
}

/* 'text', 12, -1.5: what MariaDB writes of a default that is no expression. */
static bool is_literal(wb_str s)
{
    if (s.len >= 2 && s.ptr[0] == '\'') return s.ptr[s.len - 1] == '\'';
    return s.len > 0 && strspn(s.ptr, "0123456789.-+eE") == s.len;
}

/* To be asked for: a literal of a type whose values come as they are. */
static bool can_ask(const my_link *l, const my_schema_col *c, const my_type_info *t)
{
    static const bool plain[WB_KINDS] = {
        [WB_INT] = true,  [WB_UINT] = true, [WB_DECIMAL] = true,   [WB_TEXT] = true,
        [WB_DATE] = true, [WB_TIME] = true, [WB_TIMESTAMP] = true, [WB_TIMESTAMPTZ] = true};
    return plain[my_type_kind(t)] && (l->flavor == MY_MYSQL || is_literal(c->default_sql));
}

/* One value of the server's to the text that the stream gives for it. */
static wb_code take(my_source *s, const wb_table *t, uint32_t i, my_schema_col *c, const char *p, size_t n,
                    wb_error *err)
{
    const my_policy policy = {(my_zero_dates)s->zero_dates, (my_bad_text)s->bad_text};
    char digits[24];
    wb_value v;
    wb_code code = my_value_of_text(t, i, p, n, &policy, s->batch, &v, err);
    if (code != WB_OK) return code;
    if (v.flags & WB_V_TEXT) {
        if (v.kind == t->cols[i].kind) say(c, &s->scratch, (wb_kind)v.kind, v.as.ptr, v.len);
    } else if (v.kind == WB_INT || v.kind == WB_UINT) {
        int len = v.kind == WB_INT ? snprintf(digits, sizeof digits, "%lld", (long long)v.as.i)
                                   : snprintf(digits, sizeof digits, "%llu", (unsigned long long)v.as.u);
        say(c, &s->scratch, (wb_kind)v.kind, digits, (size_t)len);
    }
    return WB_OK;
}

static wb_code ask(my_source *s, my_schema *now, my_schema_col *cols, uint32_t i, wb_error *err)
{
    wb_error e;
    MYSQL_RES *res = NULL;
    wb_out sql = {0};
    wb_error_reset(&e);
    wb_out_z(&sql, "SELECT DEFAULT(");
    my_put_ident(&sql, cols[i].name);
    wb_out_z(&sql, ") FROM ");
    my_put_table(&sql, now->schema, now->name);
    wb_out_z(&sql, " LIMIT 1"); /* without rows there is nobody to ask for */
    wb_code code = my_query(&s->side, "for a column's default", wb_out_cstr(&sql), &res, &e);
    wb_out_fini(&sql);
    if (code == WB_E_NET || code == WB_E_STOPPED) *err = e;
    if (code != WB_OK) return code == WB_E_NET || code == WB_E_STOPPED ? code : WB_OK; /* an expression, or no right */
    MYSQL_ROW row = mysql_fetch_row(res);
    wb_table *t = row && row[0] ? my_table_of_schema(now, s->server.flavor, &e) : NULL;
    if (t) code = take(s, t, i, &cols[i], row[0], mysql_fetch_lengths(res)[0], &e);
    if (t) wb_table_unref(t);
    mysql_free_result(res);
    return code == WB_E_NOMEM ? my_nomem(err) : WB_OK; /* a value of no use: not known */
}

wb_code my_missing_fill(my_source *s, const my_schema *before, my_schema *now, wb_error *err)
{
    my_schema_col *cols = wb_arena_alloc(&s->scratch, (now->ncols + 1) * sizeof *cols);
    wb_code code = cols ? WB_OK : my_nomem(err);
    if (code == WB_OK) memcpy(cols, now->cols, now->ncols * sizeof *cols);
    for (uint32_t i = 0; code == WB_OK && i < now->ncols; i++) {
        my_schema_col *c = &cols[i];
        my_type_info t;
        if (has_column(before, c->name) || c->flags & (WB_COL_GENERATED | MY_COL_COMPUTED)) continue;
        my_type_parse(c->type, c->charset, &t);
        if (c->default_sql.ptr) {
            if (can_ask(&s->side, c, &t)) code = ask(s, now, cols, i, err);
        } else if (!(c->flags & WB_COL_NOT_NULL)) {
            c->missing_kind = WB_NULL;
        } else {
            implicit(c, &t, &s->scratch);
        }
    }
    if (code == WB_OK && s->scratch.failed) code = my_nomem(err);
    if (code == WB_OK) now->cols = cols;
    return code;
}

void my_missing_clear(my_schema *now)
{
    my_schema_col *cols = (my_schema_col *)(uintptr_t)now->cols; /* ours: my_missing_fill made them */
    for (uint32_t i = 0; i < now->ncols; i++) cols[i].missing_kind = WB_ABSENT;
}

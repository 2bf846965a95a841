/* pretty.c: the format `pretty`, for eyes on a terminal (`walbrook tail`): one line a change, with time, operation,
 * table, key and columns; long values are cut. Nothing of a value reaches the terminal as a control character. */
#include "formats/formats.h"

#include <stdio.h>

typedef struct pretty {
    bool color; /* options */
    int64_t width;
    wb_out scratch;
} pretty;

#define AT(field) offsetof(pretty, field)
static const wb_option options[] = {
    {"color", WB_OPT_BOOL, AT(color), 0, "false", 0, 0, NULL, "colours, as ANSI sequences", NULL, NULL},
    {"width", WB_OPT_INT, AT(width), 0, "40", 4, 1000000, NULL, "characters of a value that are shown", NULL, NULL},
    {.name = NULL}};

#define DIM "\033[2m"
#define BOLD "\033[1m"
#define CYAN "\033[36m"

static void paint(const pretty *p, wb_out *o, const char *color, const char *text)
{
    if (p->color) wb_out_z(o, color);
    wb_out_z(o, text);
    if (p->color) wb_out_z(o, "\033[0m");
}

static const char *op_color(uint8_t op)
{
    switch (op) {
    case WB_INSERT: return "\033[32m";
    case WB_UPDATE: return "\033[33m";
    case WB_DELETE:
    case WB_TRUNCATE: return "\033[31m";
    case WB_READ: return "\033[34m";
    default: return "\033[35m";
    }
}

/* Time of day in UTC, as the source prints its own times. */
static void put_clock(const pretty *p, int64_t us, wb_out *o)
{
    const int64_t day = INT64_C(86400000);
    int64_t ms = us / 1000 % day;
    if (ms < 0) ms += day;
    char text[48];
    snprintf(text, sizeof text, "%02d:%02d:%02d.%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60),
             (int)(ms / 1000 % 60), (int)(ms % 1000));
    paint(p, o, DIM, text);
}

/* Length of the first `width` characters. */
static size_t cut(const char *s, size_t n, int64_t width)
{
    size_t i = 0;
    for (int64_t chars = 0; i < n; i++)
        if (((uint8_t)s[i] & 0xC0) != 0x80 && ++chars > width) break;
    return i;
}

/* Escaped like JSON, and DEL and the C1 control characters (U+0080 to U+009F) too: terminals obey those. */
static void put_safe(pretty *p, const char *s, size_t n, wb_out *o)
{
    wb_out_reset(&p->scratch);
    wb_json_escape(&p->scratch, s, n);
    const char *q = p->scratch.p;
    for (size_t i = 0; i < p->scratch.len; i++) {
        uint8_t c = (uint8_t)q[i], d = i + 1 < p->scratch.len ? (uint8_t)q[i + 1] : 0;
        if (c == 0x7F) {
            wb_out_z(o, "\\u007f");
        } else if (c == 0xC2 && d >= 0x80 && d < 0xA0) {
            wb_out_printf(o, "\\u%04x", d);
            i++;
        } else {
            wb_out_byte(o, (char)c);
        }
    }
}

static void put_text(pretty *p, const char *s, size_t n, wb_out *o)
{
    size_t k = cut(s, n, p->width);
    bool bare = k > 0 && !(k == 4 && memcmp(s, "null", 4) == 0);
    for (size_t i = 0; i < k && bare; i++) bare = (uint8_t)s[i] > ' ' && s[i] != '"' && s[i] != '=' && s[i] != '\\';
    if (!bare) wb_out_byte(o, '"');
    put_safe(p, s, k, o);
    if (k < n) wb_out_z(o, "\xE2\x80\xA6");
    if (!bare) wb_out_byte(o, '"');
}

static wb_code put_value(pretty *p, const wb_value *v, wb_out *o, wb_error *err)
{
    static const wb_json_options json = {.hex = true};
    if (v->kind <= WB_NULL) {
        paint(p, o, DIM, v->kind == WB_NULL ? "null" : "?");
    } else if (v->kind == WB_BYTES && (v->flags & WB_V_TEXT) && v->len > 1 && v->as.ptr[1] == 'x') {
        size_t k = WB_MIN((size_t)v->len, (size_t)p->width / 2 * 2 + 2);
        wb_out_byte(o, '\\');
        put_safe(p, v->as.ptr + 1, k - 1, o);
        if (k < v->len) wb_out_z(o, "\xE2\x80\xA6");
    } else if (v->flags & WB_V_TEXT) {
        put_text(p, v->as.ptr, v->len, o);
    } else if (v->kind == WB_BYTES) {
        size_t k = WB_MIN((size_t)v->len, (size_t)p->width / 2);
        wb_out_z(o, "\\x");
        wb_json_hex(o, v->as.ptr, k);
        if (k < v->len) wb_out_z(o, "\xE2\x80\xA6");
    } else {
        wb_out number = {0};
        wb_code code = wb_json_value(&number, v, &json, err);
        bool quoted = number.len >= 2 && number.p[0] == '"';
        if (code == WB_OK) wb_out_put(o, number.p + quoted, number.len - 2 * (size_t)quoted);
        wb_out_fini(&number);
        return code;
    }
    return WB_OK;
}

static bool equal(const wb_value *a, const wb_value *b)
{
    if (a->kind != b->kind || a->flags != b->flags) return false;
    if (a->kind <= WB_NULL) return true;
    if (!(a->flags & WB_V_TEXT) && a->kind != WB_BYTES && a->kind != WB_DOCUMENT) return a->as.u == b->as.u;
    return a->len == b->len && (a->len == 0 || memcmp(a->as.ptr, b->as.ptr, a->len) == 0);
}

static wb_code put_column(pretty *p, const wb_column *col, const wb_value *old, const wb_value *v, wb_out *o,
                          wb_error *err)
{
    wb_code code = WB_OK;
    wb_out_byte(o, ' ');
    if (p->color) wb_out_z(o, col->flags & WB_COL_KEY ? BOLD : CYAN);
    put_safe(p, col->name.ptr, col->name.len, o);
    if (p->color) wb_out_z(o, "\033[0m");
    wb_out_byte(o, '=');
    if (old) {
        code = put_value(p, old, o, err);
        wb_out_z(o, "\xE2\x86\x92"); /* an arrow */
    }
    return code == WB_OK ? put_value(p, v, o, err) : code;
}

static wb_code put_columns(pretty *p, const wb_change *c, wb_out *o, wb_error *err)
{
    const wb_table *t = c->table;
    const wb_value *now = c->op == WB_DELETE || !c->after ? c->before : c->after;
    const wb_value *old = c->op == WB_UPDATE && now == c->after ? c->before : NULL;
    wb_code code = WB_OK;
    if (!now) return WB_OK;
    for (uint32_t k = 0; k < t->nkey && code == WB_OK; k++) {
        uint32_t i = t->key[k];
        bool moved = old && old[i].kind > WB_UNCHANGED && !equal(&old[i], &now[i]);
        if (now[i].kind > WB_UNCHANGED) code = put_column(p, &t->cols[i], moved ? &old[i] : NULL, &now[i], o, err);
    }
    for (uint32_t i = 0; i < t->ncols && code == WB_OK; i++) {
        bool key = false;
        for (uint32_t k = 0; k < t->nkey; k++) key |= t->key[k] == i;
        if (key || now[i].kind <= WB_UNCHANGED) continue;
        bool had = old && old[i].kind > WB_UNCHANGED;
        if (had && equal(&old[i], &now[i])) continue;
        code = put_column(p, &t->cols[i], had ? &old[i] : NULL, &now[i], o, err);
    }
    return code;
}

static void put_message(pretty *p, const wb_change *c, wb_out *o)
{
    if (!c->after) return;
    wb_out_byte(o, ' ');
    if (c->after[0].kind == WB_TEXT) put_text(p, c->after[0].as.ptr, c->after[0].len, o);
    wb_out_byte(o, ' ');
    if (c->after[1].kind > WB_NULL) put_text(p, c->after[1].as.ptr, c->after[1].len, o);
}

/* The column of t that was, or became, c: by its number, else by its name. */
static const wb_column *counterpart(const wb_table *t, const wb_column *c)
{
    for (uint32_t i = 0; i < t->ncols; i++)
        if (c->id && t->cols[i].id ? c->id == t->cols[i].id : wb_str_eq(c->name, t->cols[i].name)) return &t->cols[i];
    return NULL;
}

static void put_sign(pretty *p, const char *sign, const wb_column *c, const wb_column *was, wb_out *o)
{
    wb_out_z(o, sign);
    if (was && !wb_str_eq(was->name, c->name)) {
        put_safe(p, was->name.ptr, was->name.len, o);
        wb_out_z(o, "\xE2\x86\x92");
    }
    if (p->color) wb_out_z(o, CYAN);
    put_safe(p, c->name.ptr, c->name.len, o);
    if (p->color) wb_out_z(o, "\033[0m");
    wb_out_byte(o, ':');
    if (was && !wb_str_eq(was->type, c->type)) {
        put_safe(p, was->type.ptr, was->type.len, o);
        wb_out_z(o, "\xE2\x86\x92");
    }
    put_safe(p, c->type.ptr, c->type.len, o);
}

/* What an ALTER did: " +new:type -gone:type old->new:type". */
static void put_difference(pretty *p, const wb_table *was, const wb_table *is, wb_out *o)
{
    if (!wb_str_eq(was->schema, is->schema) || !wb_str_eq(was->name, is->name)) {
        wb_out_z(o, " was ");
        put_safe(p, was->schema.ptr, was->schema.len, o);
        wb_out_byte(o, '.');
        put_safe(p, was->name.ptr, was->name.len, o);
    }
    for (uint32_t i = 0; i < was->ncols; i++)
        if (!counterpart(is, &was->cols[i])) put_sign(p, " -", &was->cols[i], NULL, o);
    for (uint32_t i = 0; i < is->ncols; i++) {
        const wb_column *old = counterpart(was, &is->cols[i]);
        if (!old)
            put_sign(p, " +", &is->cols[i], NULL, o);
        else if (!wb_str_eq(old->name, is->cols[i].name) || !wb_str_eq(old->type, is->cols[i].type))
            put_sign(p, " ", &is->cols[i], old, o);
    }
}

static void put_ddl(pretty *p, const wb_change *c, wb_out *o)
{
    const wb_ddl *d = c->ddl;
    if (!d) return;
    if (d->before && d->after)
        put_difference(p, d->before, d->after, o);
    else if (d->after)
        for (uint32_t i = 0; i < d->after->ncols; i++) put_sign(p, " +", &d->after->cols[i], NULL, o);
    if (!d->sql.len) return;
    wb_out_byte(o, ' ');
    put_text(p, d->sql.ptr, d->sql.len, o);
}

static wb_code pretty_row(void *ctx, const wb_txn *txn, const wb_change *c, wb_out *o, wb_error *err)
{
    pretty *p = ctx;
    if (WB_UNLIKELY(wb_is_empty_table(c))) return WB_OK;
    size_t start = o->len;
    wb_code code = WB_OK;
    char op[16];
    put_clock(p, txn->commit_us, o);
    wb_out_byte(o, ' ');
    snprintf(op, sizeof op, "%-8s", wb_change_type(c));
    paint(p, o, op_color(c->op), op);
    if (c->table) {
        wb_out_byte(o, ' ');
        if (c->table->schema.len) {
            put_safe(p, c->table->schema.ptr, c->table->schema.len, o);
            if (c->table->name.len) wb_out_byte(o, '.');
        }
        if (p->color) wb_out_z(o, BOLD);
        put_safe(p, c->table->name.ptr, c->table->name.len, o);
        if (p->color) wb_out_z(o, "\033[0m");
    }
    if (c->op == WB_MESSAGE || !c->table)
        put_message(p, c, o);
    else if (c->op == WB_DDL)
        put_ddl(p, c, o);
    else if (c->op != WB_TRUNCATE)
        code = put_columns(p, c, o, err);
    if (code == WB_OK && (o->failed || p->scratch.failed))
        code = wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for a line of the format pretty.");
    if (code != WB_OK) o->len = start;
    return code;
}

static const char *pretty_writes(const wb_column *c)
{
    return c->kind == WB_BYTES ? "\\x and hex digits" : "as the source prints it";
}

static wb_code pretty_open(void *ctx, const char *pipeline, wb_error *err)
{
    pretty *p = ctx;
    WB_UNUSED(pipeline);
    WB_UNUSED(err);
    if (p->width <= 0) p->width = 40;
    return WB_OK;
}

static void pretty_close(void *ctx)
{
    pretty *p = ctx;
    wb_out_fini(&p->scratch);
}

const wb_format wb_format_pretty = {
    .head = {.kind = WB_FORMAT,
             .name = "pretty",
             .brief = "one line a change for people, coloured on request",
             .options = options,
             .ctx_size = sizeof(pretty)},
    .open = pretty_open,
    .row = pretty_row,
    .writes = pretty_writes,
    .close = pretty_close,
};

/* decoder.c: making, starting and freeing a decoder, and what all its files say errors with. */
#include "inside.h"

#include <stdarg.h>
#include <stdio.h>

enum { HOLD = 4 * 1024 * 1024, WINDOW = 256 * 1024, MAX_ROW = 256 * 1024 * 1024 };

my_decoder *my_decoder_new(const my_hooks *hooks, const my_options *options)
{
    my_decoder *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    if (hooks) d->hooks = *hooks;
    if (options) d->o = *options;
    if (d->o.hold == 0) d->o.hold = HOLD;
    if (d->o.window == 0) d->o.window = WINDOW;
    if (d->o.max_row == 0) d->o.max_row = MAX_ROW;
    wb_arena_init(&d->arena, 16 * 1024, 0);
    d->set = my_gtid_set_new();
    if (!d->set) {
        my_decoder_free(d);
        return NULL;
    }
    my_decoder_start(d, WB_STR(""), MY_FIRST_EVENT, false);
    return d;
}

static void free_plans(my_decoder *d)
{
    d->rows_at.plan = NULL;
    my_forget_ids(d);
    while (d->plans) {
        my_plan *next = d->plans->next;
        my_plan_free(d->plans);
        d->plans = next;
    }
}

void my_decoder_free(my_decoder *d)
{
    if (!d) return;
    free_plans(d);
    my_held_clear(d, &d->held);
    free(d->held.mem);
    free(d->held.ranges);
    free(d->held.savepoints);
    my_prepared_clear(d);
    free(d->prepared);
    free(d->ids);
    free(d->map_cols);
    free(d->map_key);
    my_payload_fini(d);
    free(d->window);
    free(d->inflated);
    free(d->column);
    my_conv_fini(&d->conv);
    wb_out_fini(&d->text);
    wb_out_fini(&d->sql);
    wb_out_fini(&d->query);
    wb_arena_fini(&d->arena);
    free(d->before_json);
    my_gtid_set_free(d->set);
    free(d);
}

static void set_log(my_decoder *d, wb_str log)
{
    size_t n = WB_MIN(log.len, sizeof d->log - 1);
    if (n) memcpy(d->log, log.ptr, n);
    d->log[n] = 0;
}

void my_decoder_start(my_decoder *d, wb_str log, uint64_t offset, bool keep_xa)
{
    free_plans(d);
    my_held_clear(d, &d->held);
    if (!keep_xa) my_prepared_clear(d);
    my_spool_trim(d);
    my_payload_close(d);
    d->part.open = false;
    my_gtid_set_clear(d->set);
    set_log(d, log);
    d->offset = d->place = offset;
    d->have_format = d->started = d->failed = false;
    memset(&d->format, 0, sizeof d->format);
    memset(&d->group, 0, sizeof d->group);
    d->state = MY_IDLE;
    d->source = NULL;
    d->phase = 0;
    d->window_len = 0;
    d->fragments = 0;
}

void my_decoder_forget_table(my_decoder *d, wb_str schema, wb_str table) { my_forget_plans(d, schema, table); }
bool my_decoder_in_group(const my_decoder *d) { return d->state != MY_IDLE; }
size_t my_decoder_prepared(const my_decoder *d) { return d->nprepared; }
uint64_t my_decoder_skipped(const my_decoder *d) { return d->skipped; }
uint64_t my_decoder_ordinal(my_decoder *d) { return d->ordinal++; }

bool my_decoder_prepared_at(const my_decoder *d, size_t i, wb_str *xa, wb_str *log, uint64_t *start, my_gtid *gtid)
{
    if (i >= d->nprepared) return false;
    const my_prepared *p = &d->prepared[i];
    if (xa) *xa = wb_str_of(p->group.xa);
    if (log) *log = wb_str_of(p->log);
    if (start) *start = p->group.start;
    if (gtid) *gtid = p->group.gtid;
    return true;
}

/* ---------------------------------------------------------------- errors */

wb_code my_no_memory(const my_decoder *d, wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is no memory for what stands at %s:%llu.", d->log,
                   (unsigned long long)d->place);
}

wb_code my_bad_event(const my_decoder *d, uint8_t type, wb_error *err, const char *fmt, ...)
{
    char what[300], kind[40];
    const char *name = my_event_name(type, d->format.flavor);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (name)
        snprintf(kind, sizeof kind, "%s event", name);
    else
        snprintf(kind, sizeof kind, "event of type %u", type);
    return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "The %s that ends at %.120s:%llu cannot be read: %s.", kind, d->log,
                   (unsigned long long)d->place, what);
}

/* ---------------------------------------------------------------- places */

uint64_t my_lift(uint64_t before, uint32_t log_pos, uint32_t length)
{
    const uint64_t wrap = (uint64_t)1 << 32;
    if (log_pos == 0) return before + length; /* MariaDB from 11.4 on does not say; nor do events inside of payloads */
    uint64_t at = (before & ~(wrap - 1)) | log_pos;
    return at < before ? at + wrap : at;
}

/* ---------------------------------------------------------------- statements */

static wb_code inflate_sql(my_decoder *d, wb_str sql, wb_str *out, wb_error *err)
{
    size_t n;
    wb_code code = my_inflate(d, wb_rd_of(sql.ptr, sql.len), NULL, 0, &n, err);
    *out = (wb_str){(const char *)d->inflated, n};
    return code;
}

/* To UTF-8; what is not of its character set becomes U+FFFD: only names of tables matter here. */
static bool to_utf8(my_decoder *d, uint32_t collation, wb_str sql)
{
    const my_charset *cs = collation ? my_charset_of_collation(collation) : NULL;
    if (!cs || cs->form == MY_CS_BINARY || cs->form >= MY_CS_UTF16) {
        if (!cs || cs->form != MY_CS_ICONV) cs = my_cs_utf8mb4;
    }
    wb_out_reset(&d->sql);
    char *q = wb_out_room(&d->sql, sql.len * 3 + 8);
    if (!q) return false;
    char *end = my_to_utf8(&d->conv, cs, q, (const uint8_t *)sql.ptr, sql.len, true);
    if (!end) return false;
    d->sql.len = (size_t)(end - q);
    return true;
}

static wb_str small_letters(my_decoder *d, wb_str name, bool *other)
{
    char *q = wb_arena_strndup(&d->arena, name.len ? name.ptr : "", name.len);
    for (size_t i = 0; q && i < name.len; i++) {
        if (q[i] >= 'A' && q[i] <= 'Z') q[i] = (char)(q[i] | 0x20);
        *other |= (uint8_t)q[i] >= 0x80;
    }
    return (wb_str){q, q ? name.len : 0};
}

/* As the log and the catalog have them. What small letters of other alphabets are only the server knows: then the
 * statement may be about any table. */
static void lower_names(my_decoder *d, my_statement *st)
{
    my_st_table *t = (my_st_table *)(uintptr_t)st->tables; /* in our arena */
    bool other = false;
    for (uint32_t i = 0; i < st->ntables; i++) {
        t[i].schema = small_letters(d, t[i].schema, &other);
        t[i].name = small_letters(d, t[i].name, &other);
        t[i].to_schema = small_letters(d, t[i].to_schema, &other);
        t[i].to_name = small_letters(d, t[i].to_name, &other);
    }
    if (other) st->unsure = true;
}

wb_code my_read_query(my_decoder *d, const my_header *h, const uint8_t *body, size_t n, my_query *q, my_statement *st,
                      wb_error *err)
{
    unsigned post = d->format.post_header[h->type];
    if (post < 13) post = h->type == MY_EXECUTE_LOAD_QUERY ? 26 : 13;
    if (!my_query_read(wb_rd_of(body, n), d->format.flavor, post, q))
        return my_bad_event(d, h->type, err, "it is damaged");
    wb_str sql = q->sql;
    memset(st, 0, sizeof *st);
    if (sql.len == 5 && memcmp(sql.ptr, "BEGIN", 5) == 0 && h->type == MY_QUERY) {
        st->kind = MY_ST_BEGIN;
        return WB_OK;
    }
    if (h->type == MY_QUERY_COMPRESSED) {
        wb_code code = inflate_sql(d, sql, &sql, err);
        if (code != WB_OK) return code;
    }
    if (!to_utf8(d, q->client_charset, sql)) return my_no_memory(d, err);
    wb_arena_reset(&d->arena);
    my_statement_read((wb_str){d->sql.p, d->sql.len}, q->schema, q->sql_mode, d->format.flavor, &d->arena, st);
    if (d->o.lower_names && st->kind >= MY_ST_DML) lower_names(d, st);
    if (h->type == MY_EXECUTE_LOAD_QUERY && st->kind != MY_ST_DML) {
        st->kind = MY_ST_DML;
        st->verb = "LOAD DATA";
        st->unsure = true;
    }
    return WB_OK;
}

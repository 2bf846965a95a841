/* mask.c: the transform that hides values: hashed, emptied or replaced, in the old and in the new row alike.
 * NULL stays NULL, absent and unchanged stay what they are: that a value is there is no secret here. */
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/options.h"
#include "base/patterns.h"
#include "transforms/memo.h"
#include "transforms/value.h"

typedef enum mask_with { MASK_NULL, MASK_SHA256, MASK_REDACT, MASK_LAST4, MASK_TEXT } mask_with;
enum { HASH_LEN = 32, HEX_LEN = 64 };

typedef struct mask_ctx {
    wb_list columns; /* options */
    int with;
    const char *salt, *text;

    wb_arena arena; /* open to close */
    bool opened;
    wb_patterns *patterns;
    wb_memo memo;
    EVP_MD_CTX *md;
    EVP_MD *sha256;
} mask_ctx;

typedef struct mask_plan {
    uint32_t n;
    uint16_t columns[];
} mask_plan;

static wb_code no_memory(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_RETRY, "There is not enough memory for transform mask.");
}

/* ---------------------------------------------------------------- one value */

static void set_text(wb_value *v, const char *p, size_t n)
{
    *v = (wb_value){.kind = WB_TEXT, .flags = WB_V_TEXT, .len = (uint32_t)n, .as.ptr = p};
}

/* Up to WB_ARENA_DUMMY bytes, never NULL: of the batch, or (b NULL: the default of a column) of the transform. */
static char *room(mask_ctx *m, wb_batch *b, size_t n)
{
    return b ? wb_batch_alloc(b, n) : wb_arena_alloc(&m->arena, n);
}

static wb_code hash(mask_ctx *m, wb_batch *b, wb_value *v, wb_error *err)
{
    static const char digits[] = "0123456789abcdef";
    char buf[WB_VALUE_TEXT];
    unsigned char sum[HASH_LEN];
    wb_str text = wb_value_text(v, buf);
    bool ok = EVP_DigestInit_ex(m->md, m->sha256, NULL) == 1 &&
              (!m->salt || EVP_DigestUpdate(m->md, m->salt, strlen(m->salt)) == 1) &&
              EVP_DigestUpdate(m->md, text.ptr, text.len) == 1 && EVP_DigestFinal_ex(m->md, sum, NULL) == 1;
    if (!ok) return wb_fail(err, WB_E_INTERNAL, WB_NEVER, "The SHA-256 of libcrypto failed.");
    char *hex = room(m, b, HEX_LEN);
    for (size_t i = 0; i < HASH_LEN; i++) {
        hex[2 * i] = digits[sum[i] >> 4];
        hex[2 * i + 1] = digits[sum[i] & 15];
    }
    set_text(v, hex, HEX_LEN);
    return WB_OK;
}

/* Stars, then the last four characters; of short texts nothing. */
static void last4(mask_ctx *m, wb_batch *b, wb_value *v)
{
    char buf[WB_VALUE_TEXT];
    wb_str text = wb_value_text(v, buf);
    size_t chars = 0, at = text.len;
    for (size_t i = 0; i < text.len && chars < 8; i++) chars += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    for (size_t left = chars < 8 ? 0 : 4; left && at > 0;) left -= ((unsigned char)text.ptr[--at] & 0xC0) != 0x80;
    size_t tail = WB_MIN(text.len - at, 16u);
    char *p = room(m, b, tail + 4);
    memcpy(p, "****", 4);
    if (tail) memcpy(p + 4, text.ptr + text.len - tail, tail);
    set_text(v, p, tail + 4);
}

static wb_code mask_value(mask_ctx *m, wb_batch *b, wb_value *v, wb_error *err)
{
    if (v->kind <= WB_NULL) return WB_OK; /* absent, unchanged, null */
    switch ((mask_with)m->with) {
    case MASK_NULL: *v = (wb_value){.kind = WB_NULL}; break;
    case MASK_SHA256: return hash(m, b, v, err);
    case MASK_REDACT: set_text(v, "****", 4); break;
    case MASK_LAST4: last4(m, b, v); break;
    case MASK_TEXT: set_text(v, m->text, strlen(m->text)); break;
    }
    return WB_OK;
}

static wb_code mask_row(mask_ctx *m, const mask_plan *plan, wb_batch *b, const wb_value *row, wb_error *err)
{
    wb_value *v = wb_values_mut(row);
    for (uint32_t i = 0; i < plan->n; i++) {
        wb_code code = mask_value(m, b, &v[plan->columns[i]], err);
        if (code) return code;
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- one table */

static wb_code refuse_key(const mask_ctx *m, const wb_table *t, const wb_column *c, wb_error *err)
{
    if (!(c->flags & WB_COL_KEY) || m->with == MASK_SHA256) return WB_OK;
    wb_code code = wb_fail(err, WB_E_CONFIG, WB_NEVER,
                           "mask: column %s.%s.%s is part of the key; masked this way, rows could not be told apart.",
                           t->schema.ptr, t->name.ptr, c->name.ptr);
    wb_hint(err, "Mask it with sha256, or leave it out with a pattern such as \"!%s.%s\".", t->name.ptr, c->name.ptr);
    return code;
}

/* The column as its values are now: text, except where they are emptied. What old rows show is masked as well. */
static wb_code mask_column(mask_ctx *m, wb_column *c, wb_error *err)
{
    if (m->with == MASK_NULL) {
        c->flags &= (uint8_t)~WB_COL_NOT_NULL;
    } else {
        c->kind = WB_TEXT;
        c->type = WB_STR("text");
        c->type_id = 0;
        c->type_mod = -1;
    }
    return c->flags & WB_COL_DEFAULT_KNOWN ? mask_value(m, NULL, &c->missing, err) : WB_OK;
}

static wb_code mask_columns(mask_ctx *m, const wb_table *in, mask_plan *plan, wb_column *cols, wb_error *err)
{
    for (uint32_t i = 0; i < in->ncols; i++) {
        if (!wb_patterns_match_column(m->patterns, in->schema, in->name, cols[i].name)) continue;
        wb_code code = refuse_key(m, in, &cols[i], err);
        if (!code) code = mask_column(m, &cols[i], err);
        if (code) return code;
        plan->columns[plan->n++] = (uint16_t)i;
    }
    return WB_OK;
}

static wb_code make_plan(void *ctx, const wb_table *in, wb_made *made, wb_error *err)
{
    mask_ctx *m = ctx;
    wb_table proto;
    wb_column *cols;
    mask_plan *plan = calloc(1, sizeof *plan + in->ncols * sizeof(uint16_t));
    made->plan = plan;
    if (!plan) return no_memory(err);
    wb_code code = wb_table_draft(in, 0, &proto, &cols, err);
    if (code) return code;
    code = mask_columns(m, in, plan, cols, err);
    if (!code && m->arena.failed) code = no_memory(err);
    if (!code && plan->n) return wb_table_from_draft(&proto, cols, &made->out, err);
    free(cols);
    if (!code) made->out = wb_table_ref(in); /* nothing to mask here */
    return code;
}

/* ---------------------------------------------------------------- the plugin */

static void mask_close(void *ctx)
{
    mask_ctx *m = ctx;
    if (!m->opened) return;
    wb_memo_fini(&m->memo);
    wb_arena_fini(&m->arena);
    EVP_MD_CTX_free(m->md);
    EVP_MD_free(m->sha256);
    m->md = NULL;
    m->sha256 = NULL;
    m->opened = false;
}

static wb_code mask_open(void *ctx, wb_error *err)
{
    mask_ctx *m = ctx;
    mask_close(m);
    wb_arena_init(&m->arena, 1024, 0);
    m->opened = true;
    wb_code code = WB_OK;
    if (!m->columns.n) code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "mask: the list of columns is empty.");
    if (!code && m->salt && m->with != MASK_SHA256)
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "mask: a salt goes with \"with: sha256\" only.");
    if (!code && (m->text != NULL) != (m->with == MASK_TEXT))
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "mask: \"with: text\" and \"text: ...\" go together.");
    if (!code) code = wb_patterns_new(&m->columns, &m->arena, &m->patterns, err);
    if (!code && m->with == MASK_SHA256) {
        m->md = EVP_MD_CTX_new();
        m->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        if (!m->md || !m->sha256) code = wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "libcrypto offers no SHA-256 here.");
    }
    if (code) mask_close(m);
    return code;
}

static wb_code mask_change(void *ctx, const void *known, wb_batch *b, wb_change *c, wb_error *err)
{
    const mask_plan *plan = known;
    wb_code code = WB_OK;
    if (plan->n && c->after) code = mask_row(ctx, plan, b, c->after, err);
    if (!code && plan->n && c->before && c->before != c->after) code = mask_row(ctx, plan, b, c->before, err);
    return code;
}

static wb_code mask_apply(void *ctx, wb_batch *b, wb_change *changes, size_t n, const wb_txn *txns, wb_error *err)
{
    mask_ctx *m = ctx;
    WB_UNUSED(txns);
    return wb_retable(&m->memo, make_plan, mask_change, m, b, changes, n, err);
}

static const wb_choice withs[] = {
    {"sha256", MASK_SHA256, "64 hex digits: equal values stay equal, and keys stay keys"},
    {"null", MASK_NULL, "NULL"},
    {"redact", MASK_REDACT, "****"},
    {"last4", MASK_LAST4, "**** and the last four characters; nothing of texts shorter than eight"},
    {"text", MASK_TEXT, "what the option text says"},
    {0},
};

#define AT(field) offsetof(mask_ctx, field)
static const wb_option options[] = {
    {.name = "columns",
     .type = WB_OPT_LIST,
     .offset = AT(columns),
     .flags = WB_OPT_REQUIRED | WB_OPT_COLUMNS,
     .brief = "the columns to hide",
     .detail = "Patterns column, table.column or schema.table.column, on the names at "
               "this step; ! takes away.",
     .example = "[\"*.email\", public.users.phone]"},
    {.name = "with",
     .type = WB_OPT_ENUM,
     .offset = AT(with),
     .def = "null",
     .choices = withs,
     .brief = "what to put in the value's place",
     .detail = "NULL stays NULL. Key columns can be hashed only. A hashed or replaced column has type text.",
     .example = "sha256"},
    {.name = "salt",
     .type = WB_OPT_STRING,
     .offset = AT(salt),
     .flags = WB_OPT_SECRET,
     .brief = "secret put before each value that is hashed",
     .detail = "Without one, whoever has a list of candidates can find the values. In SQL: "
               "encode(sha256(convert_to('SALT' || email, 'UTF8')), 'hex').",
     .example = "\"${file:/run/secrets/salt}\""},
    {.name = "text", .type = WB_OPT_STRING, .offset = AT(text), .brief = "the text for with: text"},
    {0},
};
#undef AT

/* "OpenSSL 3.0.19 27 Jan 2026": without the date. */
static const char *version(void)
{
    static _Thread_local char text[48];
    const char *full = OpenSSL_version(OPENSSL_VERSION), *space = strchr(full, ' ');
    size_t n = space ? (size_t)(space + 1 - full) + strcspn(space + 1, " ") : strlen(full);
    n = WB_MIN(n, sizeof text - 1);
    memcpy(text, full, n);
    text[n] = 0;
    return text;
}

extern const wb_transform wb_transform_mask;
const wb_transform wb_transform_mask = {
    .head = {.kind = WB_TRANSFORM,
             .name = "mask",
             .brief = "hides values: hashed, emptied or replaced",
             .options = options,
             .ctx_size = sizeof(mask_ctx),
             .version = version},
    .open = mask_open,
    .apply = mask_apply,
    .close = mask_close,
    .keeps = true,
};

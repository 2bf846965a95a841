/* tablemap.c: TABLE_MAP events: what they say, with all their optional metadata, and which plan belongs to which id.
 * Every statement sends its maps again: one that is equal to the last of its id costs a comparison. */
#include <strings.h>

#include "inside.h"

/* ---------------------------------------------------------------- ids */

static size_t slot_of(const my_decoder *d, uint64_t id)
{
    size_t i = (size_t)((id * 0x9E3779B97F4A7C15u) >> 32) & (d->cap_ids - 1);
    while (d->ids[i].plan && d->ids[i].id != id) i = (i + 1) & (d->cap_ids - 1);
    return i;
}

my_plan *my_find_id(my_decoder *d, uint64_t id)
{
    if (WB_LIKELY(d->last.plan && d->last.id == id)) return d->last.plan;
    if (!d->cap_ids) return NULL;
    const my_id *found = &d->ids[slot_of(d, id)];
    if (found->plan) d->last = *found;
    return found->plan;
}

void my_forget_ids(my_decoder *d)
{
    if (d->cap_ids) memset(d->ids, 0, d->cap_ids * sizeof *d->ids);
    d->nids = 0;
    d->last = (my_id){0, NULL};
}

static bool set_id(my_decoder *d, uint64_t id, my_plan *plan)
{
    enum { FIRST = 64, MOST = 1 << 16 };
    if (d->nids * 2 >= d->cap_ids) {
        if (d->cap_ids == MOST) my_forget_ids(d); /* ids of old are never used again */
        size_t cap = d->cap_ids ? WB_MIN(d->cap_ids * 2, (size_t)MOST) : FIRST, had = d->cap_ids;
        my_id *old = d->ids, *made = calloc(cap, sizeof *made);
        if (!made) return false;
        d->ids = made;
        d->cap_ids = cap;
        for (size_t i = 0; i < had; i++)
            if (old[i].plan) d->ids[slot_of(d, old[i].id)] = old[i];
        free(old);
    }
    my_id *to = &d->ids[slot_of(d, id)];
    d->nids += !to->plan;
    *to = d->last = (my_id){id, plan};
    return true;
}

static bool in_use(const my_decoder *d, const my_plan *plan)
{
    for (size_t i = 0; i < d->cap_ids; i++)
        if (d->ids[i].plan == plan) return true;
    return d->rows_at.plan == plan || d->last.plan == plan;
}

/* Stale ones that no id leads to any more are freed when a new one comes. */
static void sweep(my_decoder *d)
{
    for (my_plan **at = &d->plans; *at;) {
        my_plan *p = *at;
        if (!p->stale || in_use(d, p)) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        my_plan_free(p);
    }
}

void my_forget_plans(my_decoder *d, wb_str schema, wb_str name)
{
    for (my_plan *p = d->plans; p; p = p->next) {
        bool same = (schema.len == 0 ||
                     (schema.len == p->schema.len && strncasecmp(schema.ptr, p->schema.ptr, schema.len) == 0)) &&
                    (name.len == 0 || (name.len == p->name.len && strncasecmp(name.ptr, p->name.ptr, name.len) == 0));
        if (same) p->stale = true;
    }
}

/* ---------------------------------------------------------------- metadata of the types */

static bool read_meta(wb_rd *r, my_map_col *c, my_flavor flavor)
{
    uint8_t a, b;
    WB_UNUSED(flavor);
    switch (c->type) {
    case MY_T_FLOAT:
    case MY_T_DOUBLE:
    case MY_T_TIMESTAMP2:
    case MY_T_DATETIME2:
    case MY_T_TIME2:
    case MY_T_BLOB:
    case MY_T_BLOB_COMPRESSED:
    case MY_T_GEOMETRY:
    case MY_T_JSON:
    case MY_T_VECTOR: c->meta = wb_rd_u8(r); break;
    case MY_T_VARCHAR:
    case MY_T_VAR_STRING:
    case MY_T_VARCHAR_COMPRESSED: c->meta = my_rd_u16(r); break;
    case MY_T_NEWDECIMAL:
    case MY_T_BIT:
        a = wb_rd_u8(r);
        c->meta = (uint16_t)(a << 8 | wb_rd_u8(r));
        break;
    case MY_T_ENUM:
    case MY_T_SET:
        wb_rd_u8(r);
        c->meta = wb_rd_u8(r);
        break;
    case MY_T_STRING:
        a = wb_rd_u8(r);
        b = wb_rd_u8(r);
        if (a == MY_T_ENUM || a == MY_T_SET) {
            c->type = a;
            c->meta = b;
        } else if ((a & 0x30) != 0x30) { /* two bits of the length are hidden in the type */
            c->type = a | 0x30;
            c->meta = (uint16_t)(b | ((a & 0x30) ^ 0x30) << 4);
        } else {
            c->type = a;
            c->meta = b;
        }
        break;
    case MY_T_TYPED_ARRAY:
        a = wb_rd_u8(r); /* the element's type and, for some, its metadata */
        if (a == MY_T_VARCHAR)
            my_rd_le(r, 3);
        else if (a == MY_T_NEWDECIMAL)
            my_rd_u16(r);
        else if (a == MY_T_TIME2 || a == MY_T_DATETIME2)
            wb_rd_u8(r);
        c->meta = 4;
        break;
    default: break;
    }
    return !r->failed;
}

/* ---------------------------------------------------------------- optional metadata */

enum {
    SIGNEDNESS = 1,
    DEFAULT_CHARSET,
    COLUMN_CHARSET,
    COLUMN_NAME,
    SET_STR_VALUE,
    ENUM_STR_VALUE,
    GEOMETRY_TYPE,
    SIMPLE_PRIMARY_KEY,
    PRIMARY_KEY_WITH_PREFIX,
    ENUM_AND_SET_DEFAULT_CHARSET,
    ENUM_AND_SET_COLUMN_CHARSET,
    COLUMN_VISIBILITY,
    VECTOR_DIMENSIONALITY
};

static bool is_numeric(uint8_t t)
{
    return t == MY_T_TINY || t == MY_T_SHORT || t == MY_T_INT24 || t == MY_T_LONG || t == MY_T_LONGLONG ||
           t == MY_T_NEWDECIMAL || t == MY_T_DECIMAL || t == MY_T_FLOAT || t == MY_T_DOUBLE || t == MY_T_YEAR;
}
static bool is_enum_or_set(const my_map_col *c, my_flavor flavor)
{
    WB_UNUSED(flavor);
    return c->type == MY_T_ENUM || c->type == MY_T_SET;
}
/* MariaDB counts geometries among the columns with a character set. */
static bool is_character(const my_map_col *c, my_flavor flavor)
{
    switch (c->type) {
    case MY_T_STRING:
    case MY_T_VAR_STRING:
    case MY_T_VARCHAR:
    case MY_T_BLOB:
    case MY_T_BLOB_COMPRESSED:
    case MY_T_VARCHAR_COMPRESSED: return true;
    case MY_T_GEOMETRY: return flavor == MY_MARIADB;
    default: return false;
    }
}

static bool read_signs(wb_rd r, my_map *m, my_map_col *cols)
{
    unsigned bit = 0;
    uint8_t byte = 0;
    for (uint32_t i = 0; i < m->ncols; i++) {
        if (!is_numeric(cols[i].type)) continue;
        if (bit++ % 8 == 0) byte = wb_rd_u8(&r);
        cols[i].is_unsigned = byte & 0x80;
        byte = (uint8_t)(byte << 1);
    }
    m->has_signs = true;
    return !r.failed;
}

typedef bool (*which_fn)(const my_map_col *c, my_flavor flavor);

static bool read_default_charset(wb_rd r, my_map *m, my_map_col *cols, which_fn which)
{
    uint64_t collation = my_rd_lenenc(&r);
    for (uint32_t i = 0; i < m->ncols; i++)
        if (which(&cols[i], m->flavor)) cols[i].collation = (uint32_t)collation;
    while (wb_rd_left(&r) > 0 && !r.failed) {
        uint64_t index = my_rd_lenenc(&r), other = my_rd_lenenc(&r), k = 0;
        for (uint32_t i = 0; i < m->ncols; i++)
            if (which(&cols[i], m->flavor) && k++ == index) cols[i].collation = (uint32_t)other;
    }
    return !r.failed;
}

static bool read_charsets(wb_rd r, my_map *m, my_map_col *cols, which_fn which)
{
    for (uint32_t i = 0; i < m->ncols; i++)
        if (which(&cols[i], m->flavor)) cols[i].collation = (uint32_t)my_rd_lenenc(&r);
    return !r.failed;
}

static bool read_names(wb_rd r, my_map *m, my_map_col *cols)
{
    for (uint32_t i = 0; i < m->ncols; i++) cols[i].name = my_rd_str(&r, my_rd_lenenc(&r));
    m->has_names = true;
    return !r.failed;
}

static bool read_labels(wb_rd r, const my_map *m, my_map_col *cols, uint8_t type)
{
    for (uint32_t i = 0; i < m->ncols; i++) {
        if (cols[i].type != type) continue;
        uint64_t n = my_rd_lenenc(&r);
        if (n > wb_rd_left(&r)) return false;
        const uint8_t *start = r.p;
        for (uint64_t k = 0; k < n && !r.failed; k++) my_rd_lenenc_str(&r);
        cols[i].nlabels = (uint32_t)n;
        cols[i].labels = (wb_str){(const char *)start, (size_t)(r.p - start)};
    }
    return !r.failed;
}

static bool read_details(wb_rd r, const my_map *m, my_map_col *cols, uint8_t type)
{
    for (uint32_t i = 0; i < m->ncols; i++) {
        if (cols[i].type != type) continue;
        uint64_t detail = my_rd_lenenc(&r);
        cols[i].detail = detail > UINT32_MAX ? UINT32_MAX : (uint32_t)detail;
    }
    return !r.failed;
}

static bool read_key(wb_rd r, my_map *m, uint16_t *key, bool prefixes)
{
    m->nkey = 0;
    while (wb_rd_left(&r) > 0 && !r.failed) {
        uint64_t i = my_rd_lenenc(&r);
        if (prefixes) my_rd_lenenc(&r);
        if (i >= m->ncols || m->nkey >= m->ncols) return false;
        key[m->nkey++] = (uint16_t)i;
    }
    m->key = key;
    m->has_key = true;
    return !r.failed;
}

static bool read_visibility(wb_rd r, const my_map *m, my_map_col *cols)
{
    const uint8_t *bits = wb_rd_bytes(&r, (m->ncols + 7) / 8);
    if (!bits) return false;
    for (uint32_t i = 0; i < m->ncols; i++) cols[i].visible = bits[i / 8] & 0x80 >> i % 8;
    return true;
}

static bool read_tlv(uint8_t type, wb_rd r, my_map *m, my_map_col *cols, uint16_t *key)
{
    switch (type) {
    case SIGNEDNESS: return read_signs(r, m, cols);
    case DEFAULT_CHARSET: m->has_charsets = true; return read_default_charset(r, m, cols, is_character);
    case COLUMN_CHARSET: m->has_charsets = true; return read_charsets(r, m, cols, is_character);
    case COLUMN_NAME: return read_names(r, m, cols);
    case SET_STR_VALUE: return read_labels(r, m, cols, MY_T_SET);
    case ENUM_STR_VALUE: return read_labels(r, m, cols, MY_T_ENUM);
    case GEOMETRY_TYPE: return read_details(r, m, cols, MY_T_GEOMETRY);
    case SIMPLE_PRIMARY_KEY: return read_key(r, m, key, false);
    case PRIMARY_KEY_WITH_PREFIX: return read_key(r, m, key, true);
    case ENUM_AND_SET_DEFAULT_CHARSET: return read_default_charset(r, m, cols, is_enum_or_set);
    case ENUM_AND_SET_COLUMN_CHARSET: return read_charsets(r, m, cols, is_enum_or_set);
    case COLUMN_VISIBILITY: return read_visibility(r, m, cols);
    case VECTOR_DIMENSIONALITY: return read_details(r, m, cols, MY_T_VECTOR);
    default: return true; /* newer than we: its length says where it ends */
    }
}

/* ---------------------------------------------------------------- the event */

static bool make_scratch(my_decoder *d, size_t n)
{
    if (n <= d->cap_map_cols) return true;
    free(d->map_cols);
    free(d->map_key);
    d->map_cols = calloc(n, sizeof *d->map_cols);
    d->map_key = calloc(n, sizeof *d->map_key);
    d->cap_map_cols = d->map_cols && d->map_key ? n : 0;
    return d->cap_map_cols != 0;
}

bool my_map_parse(my_decoder *d, wb_rd *r, my_map *m)
{
    enum { COLUMNS_MAX = 4096 };
    m->schema = my_rd_str(r, wb_rd_u8(r));
    wb_rd_u8(r);
    m->name = my_rd_str(r, wb_rd_u8(r));
    wb_rd_u8(r);
    uint64_t n = my_rd_lenenc(r);
    const uint8_t *types = n <= COLUMNS_MAX ? wb_rd_bytes(r, (size_t)n) : NULL;
    if (!types || n == 0 || !make_scratch(d, (size_t)n)) return false;
    my_map_col *cols = d->map_cols;
    memset(cols, 0, (size_t)n * sizeof *cols);
    m->ncols = (uint32_t)n;
    m->cols = cols;
    m->flavor = d->format.flavor;
    wb_str meta = my_rd_lenenc_str(r);
    wb_rd mr = wb_rd_of(meta.ptr, meta.len);
    for (uint32_t i = 0; i < n; i++) {
        cols[i].type = types[i];
        cols[i].visible = true;
        if (!read_meta(&mr, &cols[i], m->flavor)) return false;
    }
    const uint8_t *nulls = wb_rd_bytes(r, (size_t)(n + 7) / 8);
    if (!nulls || wb_rd_left(&mr) != 0) return false;
    for (uint32_t i = 0; i < n; i++) cols[i].not_null = !(nulls[i / 8] >> i % 8 & 1);
    while (wb_rd_left(r) > 0) {
        uint8_t type = wb_rd_u8(r);
        wb_str value = my_rd_lenenc_str(r);
        if (r->failed || !read_tlv(type, wb_rd_of(value.ptr, value.len), m, cols, d->map_key)) return false;
    }
    return true;
}

static bool same_body(const my_plan *p, const uint8_t *body, size_t n)
{
    return p->body_len == n && memcmp(p->body, body, n) == 0;
}

wb_code my_table_map(my_decoder *d, const uint8_t *bytes, size_t n, wb_error *err)
{
    wb_rd r = wb_rd_of(bytes, n);
    my_map m = {.id = my_rd_table_id(d, MY_TABLE_MAP, &r)};
    my_rd_u16(&r); /* flags */
    const uint8_t *body = r.p;
    size_t len = wb_rd_left(&r);
    my_plan *plan = my_find_id(d, m.id);
    if (WB_LIKELY(plan && !plan->stale && same_body(plan, body, len))) return WB_OK;
    for (plan = d->plans; plan; plan = plan->next)
        if (!plan->stale && same_body(plan, body, len)) break;
    if (!plan) {
        if (!my_map_parse(d, &r, &m)) return my_bad_event(d, MY_TABLE_MAP, err, "it is damaged");
        sweep(d);
        wb_code code = my_plan_make(d, &m, body, len, &plan, err);
        if (code != WB_OK) return code;
        plan->next = d->plans;
        d->plans = plan;
    }
    return set_id(d, m.id, plan) ? WB_OK : my_no_memory(d, err);
}

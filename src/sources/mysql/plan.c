/* plan.c: from a table map and what else is known of the table to the way its rows are read, and to the wb_table that
 * its changes carry. Called once a version of a table. */
#include <stdio.h>
#include <strings.h>

#include "inside.h"
#include "number.h"

typedef struct maker {
    my_decoder *d;
    const my_map *map;
    my_schema schema;
    wb_arena a; /* of the making */
    my_plan *plan;
    wb_column *cols;
    wb_str *labels; /* all of the plan's, one after the other */
    uint32_t nlabels;
    char *text; /* of the labels */
} maker;

void my_plan_free(my_plan *p)
{
    if (!p) return;
    wb_table_unref(p->table);
    free(p);
}

static wb_code no_schema(const maker *k, const char *why, wb_error *err)
{
    const my_map *m = k->map;
    wb_fail(err, WB_E_SCHEMA, WB_NEVER, "The columns of table %.*s.%.*s at %s:%llu are not known: %s.",
            (int)m->schema.len, m->schema.ptr, (int)m->name.len, m->name.ptr, k->d->log,
            (unsigned long long)k->d->place, why);
    wb_hint(
        err,
        "SET GLOBAL binlog_row_metadata = FULL makes the log say them from then on; for what is in the log already, "
        "give the table's columns as they were (a schema dump, or a new snapshot), or leave the table out.");
    return WB_E_SCHEMA;
}

/* ---------------------------------------------------------------- what the schema says of a column */

static const my_schema_col *schema_col(const maker *k, uint32_t i)
{
    const my_map_col *c = &k->map->cols[i];
    if (!k->schema.ncols) return NULL;
    if (!k->map->has_names) return &k->schema.cols[i];
    for (uint32_t j = 0; j < k->schema.ncols; j++) { /* the log's own names decide */
        const my_schema_col *s = &k->schema.cols[j];
        if (s->name.len == c->name.len && strncasecmp(s->name.ptr, c->name.ptr, c->name.len) == 0) return s;
    }
    return NULL;
}

/* What both say together. `s` NULL, or its type does not fit: the map alone. Returns the schema column that counts. */
static const my_schema_col *join_type(const maker *k, uint32_t i, my_type_info *t)
{
    const my_map_col *c = &k->map->cols[i];
    const my_schema_col *s = schema_col(k, i);
    my_type_info declared;
    my_type_of_map(c, k->map->flavor, t);
    if (!s) return NULL;
    my_type_parse(s->type, s->charset, &declared);
    if (!my_type_fits(&declared, c, k->map->flavor)) return NULL;
    if (!k->map->has_signs) t->is_unsigned = declared.is_unsigned;
    if (!t->charset) t->charset = declared.charset;
    t->labels = declared.labels;
    if (declared.family >= MY_F_JSON && declared.family <= MY_F_INET6 && declared.family != MY_F_GEOMETRY) {
        t->family = declared.family;
        t->size = declared.size;
    }
    if (declared.family == MY_F_GEOMETRY) t->detail = declared.detail;
    return s;
}

/* ---------------------------------------------------------------- how it is read */

static void plan_string(my_plan_col *p, const my_type_info *t, const my_map_col *c)
{
    p->a = t->family == MY_F_BLOB ? (uint8_t)c->meta : c->meta > 255 ? 2 : 1;
    p->charset = t->charset;
    bool binary = t->charset->form == MY_CS_BINARY;
    if (t->compressed)
        p->op = MY_OP_COMPRESSED;
    else if (binary)
        p->op = MY_OP_BYTES;
    else
        p->op = t->charset->form == MY_CS_UTF8 ? MY_OP_UTF8 : MY_OP_TEXT;
    if (binary && t->family == MY_F_CHAR) p->n = c->meta;
}

static void plan_time(my_plan_col *p, const my_type_info *t, const my_map_col *c)
{
    static const uint8_t fixed[] = {[MY_F_TIME] = 3, [MY_F_DATETIME] = 5, [MY_F_TIMESTAMP] = 4};
    p->a = (uint8_t)t->size;
    p->n = fixed[t->family] + my_fraction_size(t->size);
    switch (c->type) {
    case MY_T_TIME2: p->op = MY_OP_TIME2; break;
    case MY_T_DATETIME2: p->op = MY_OP_DATETIME2; break;
    case MY_T_TIMESTAMP2: p->op = MY_OP_TIMESTAMP2; break;
    case MY_T_TIME: p->op = MY_OP_TIME_OLD; break;
    case MY_T_DATETIME: p->op = MY_OP_DATETIME_OLD; break;
    default: p->op = MY_OP_TIMESTAMP_OLD; break;
    }
}

/* false: no such type is in the log. */
static bool plan_col(my_plan_col *p, const my_type_info *t, const my_map_col *c)
{
    static const uint8_t ints[] = {[1] = MY_OP_I8, [2] = MY_OP_I16, [3] = MY_OP_I24, [4] = MY_OP_I32, [8] = MY_OP_I64};
    p->kind = (uint8_t)my_type_kind(t);
    switch ((my_family)t->family) {
    case MY_F_INT: p->op = (uint8_t)(ints[t->size] + (t->is_unsigned ? MY_OP_U8 - MY_OP_I8 : 0)); return true;
    case MY_F_FLOAT: p->op = MY_OP_FLOAT; return c->meta == 4;
    case MY_F_DOUBLE: p->op = MY_OP_DOUBLE; return c->meta == 8;
    case MY_F_DECIMAL:
        p->op = MY_OP_DECIMAL;
        p->a = (uint8_t)t->size;
        p->b = (uint8_t)t->scale;
        p->n = (uint32_t)my_decimal_size(t->size, t->scale);
        return p->n > 0;
    case MY_F_YEAR: p->op = MY_OP_YEAR; return true;
    case MY_F_DATE: p->op = MY_OP_DATE; return true;
    case MY_F_TIME:
    case MY_F_DATETIME:
    case MY_F_TIMESTAMP: plan_time(p, t, c); return t->size <= MY_FSP_MAX;
    case MY_F_CHAR:
    case MY_F_VARCHAR:
    case MY_F_BLOB: plan_string(p, t, c); return p->a >= 1 && p->a <= 4;
    case MY_F_BIT:
        p->op = MY_OP_BIT;
        p->a = (uint8_t)t->size;
        p->n = (t->size + 7) / 8;
        return t->size >= 1 && t->size <= 64;
    case MY_F_ENUM:
        p->op = MY_OP_ENUM;
        p->n = c->meta;
        return p->n == 1 || p->n == 2;
    case MY_F_SET:
        p->op = MY_OP_SET;
        p->n = c->meta;
        return p->n >= 1 && p->n <= 8;
    case MY_F_JSON:
        p->op = c->type == MY_T_JSON ? MY_OP_JSON : MY_OP_UTF8;
        p->charset = my_cs_utf8mb4;
        p->a = (uint8_t)c->meta;
        return p->a >= 1 && p->a <= 4;
    case MY_F_GEOMETRY:
    case MY_F_TYPED_ARRAY:
        p->op = MY_OP_BYTES;
        p->a = (uint8_t)c->meta;
        return p->a >= 1 && p->a <= 4;
    case MY_F_VECTOR:
        p->op = MY_OP_VECTOR;
        p->a = c->type == MY_T_VECTOR ? (uint8_t)c->meta : c->meta > 255 ? 2 : 1;
        return p->a >= 1 && p->a <= 4;
    case MY_F_UUID: p->op = MY_OP_UUID; break;
    case MY_F_INET4: p->op = MY_OP_INET4; break;
    case MY_F_INET6: p->op = MY_OP_INET6; break;
    case MY_F_UNKNOWN: return false;
    }
    p->a = 1;
    return true;
}

/* ---------------------------------------------------------------- labels */

/* Labels of the column in UTF-8, into the plan. */
static bool take_labels(maker *k, my_plan_col *p, const my_type_info *t, const my_map_col *c)
{
    uint32_t first = k->nlabels;
    if (c->nlabels) {
        wb_rd r = wb_rd_of(c->labels.ptr, c->labels.len);
        for (uint32_t i = 0; i < c->nlabels; i++) {
            wb_str raw = my_rd_lenenc_str(&r);
            const my_charset *cs = t->charset ? t->charset : my_cs_utf8mb4;
            char *end = my_to_utf8(&k->d->conv, cs, k->text, (const uint8_t *)raw.ptr, raw.len, true);
            if (!end) return false;
            k->labels[k->nlabels++] = (wb_str){k->text, (size_t)(end - k->text)};
            k->text = end;
        }
    } else {
        wb_str list = t->labels, one;
        while (my_next_label(&list, k->text, &one)) {
            k->labels[k->nlabels++] = one;
            k->text += one.len;
        }
    }
    p->labels = k->labels + first;
    p->nlabels = k->nlabels - first;
    return p->nlabels > 0;
}

/* Room for all labels: how many, and how many bytes. */
static void count_labels(const maker *k, size_t *n, size_t *bytes)
{
    *n = *bytes = 0;
    for (uint32_t i = 0; i < k->map->ncols; i++) {
        const my_map_col *c = &k->map->cols[i];
        const my_schema_col *s = schema_col(k, i);
        if (c->type != MY_T_ENUM && c->type != MY_T_SET) continue;
        *n += c->nlabels + (s ? s->type.len / 3 + 1 : 0);
        *bytes += c->labels.len * 3 + 8u * c->nlabels + (s ? s->type.len : 0);
    }
}

/* ---------------------------------------------------------------- columns, key, table */

static wb_code make_col(maker *k, uint32_t i, wb_error *err)
{
    const my_map_col *c = &k->map->cols[i];
    my_plan_col *p = &k->plan->cols[i];
    wb_column *to = &k->cols[i];
    my_type_info t;
    const my_schema_col *s = join_type(k, i, &t);
    char why[200];
    wb_str name = k->map->has_names ? c->name : s->name;
    bool text = t.family == MY_F_CHAR || t.family == MY_F_VARCHAR || t.family == MY_F_BLOB;
    if (text && !t.charset) {
        snprintf(why, sizeof why, "the character set of column %.*s (collation %u) is not known",
                 (int)WB_MIN(name.len, 64), name.ptr, c->collation);
        return no_schema(k, why, err);
    }
    if (!plan_col(p, &t, c)) {
        snprintf(why, sizeof why, "the log's type %u (metadata %u) of column %.*s is not known", c->type, c->meta,
                 (int)WB_MIN(name.len, 64), name.ptr);
        return no_schema(k, why, err);
    }
    if ((p->op == MY_OP_ENUM || p->op == MY_OP_SET) && !take_labels(k, p, &t, c)) {
        snprintf(why, sizeof why, "the labels of column %.*s are not known", (int)WB_MIN(name.len, 64), name.ptr);
        return no_schema(k, why, err);
    }
    k->plan->njson += p->op == MY_OP_JSON;
    to->name = name;
    to->kind = p->kind;
    to->type_id = my_type_id(&t);
    to->type_mod = my_type_mod(&t);
    to->id = s ? s->id : 0;
    to->flags =
        (uint8_t)((s ? s->flags : 0) | (c->not_null ? WB_COL_NOT_NULL : 0) | (c->visible ? 0 : MY_COL_INVISIBLE));
    to->flags &= (uint8_t)~WB_COL_KEY;
    if (s) my_schema_describe(s, to);
    if (s && s->type.len) {
        to->type = s->type;
        return WB_OK;
    }
    to->flags |= WB_COL_UNDECLARED;
    wb_out o = {0};
    my_type_name(&t, p->labels, p->nlabels, k->map->flavor, &o);
    to->type = (wb_str){wb_arena_strndup(&k->a, o.p, o.len), o.len};
    bool failed = o.failed || k->a.failed;
    wb_out_fini(&o);
    return failed ? my_no_memory(k->d, err) : WB_OK;
}

/* The schema's, by the log's columns. Returns how many. */
static uint32_t schema_key(const maker *k, uint16_t *key)
{
    const my_map *m = k->map;
    uint32_t n = 0;
    for (uint32_t j = 0; j < k->schema.nkey; j++) {
        const my_schema_col *want = &k->schema.cols[k->schema.key[j]];
        for (uint32_t i = 0; i < m->ncols; i++) {
            wb_str name = k->cols[i].name;
            if (name.len != want->name.len || strncasecmp(name.ptr, want->name.ptr, name.len) != 0) continue;
            key[n++] = (uint16_t)i;
            break;
        }
        if (n != j + 1) return 0; /* half a key is none */
    }
    return n;
}

/* The key: the log's, else the schema's. Of the same columns the schema's, whose order the copy has: of two unique keys
 * over them either may be the key. Returns how many. */
static uint32_t make_key(const maker *k, uint16_t *key)
{
    const my_map *m = k->map;
    uint32_t n = schema_key(k, key), same = 0;
    if (!m->has_key) return n;
    for (uint32_t i = 0; i < m->nkey && n == m->nkey; i++)
        for (uint32_t j = 0; j < n; j++) same += m->key[i] == key[j];
    if (n && n == m->nkey && same == n) return n;
    memcpy(key, m->key, m->nkey * sizeof *key);
    return m->nkey;
}

static wb_code make_table(maker *k, wb_error *err)
{
    const my_map *m = k->map;
    wb_code code = WB_OK;
    k->cols = wb_arena_zalloc(&k->a, m->ncols * sizeof *k->cols);
    uint16_t *key = wb_arena_alloc(&k->a, m->ncols * sizeof *key);
    if (k->a.failed) return my_no_memory(k->d, err);
    for (uint32_t i = 0; i < m->ncols && code == WB_OK; i++) code = make_col(k, i, err);
    if (code != WB_OK) return code;
    wb_table proto = {
        .id = k->schema.id, .schema = m->schema, .name = m->name, .ncols = m->ncols, .cols = k->cols, .key = key};
    proto.nkey = make_key(k, key);
    proto.flags = proto.nkey ? 0 : WB_TABLE_FULL_BEFORE; /* without a key the server logs all of the old row */
    for (uint32_t i = 0; i < proto.nkey; i++) k->cols[key[i]].flags |= WB_COL_KEY;
    k->plan->table = wb_table_new(&proto);
    return k->plan->table ? WB_OK : my_no_memory(k->d, err);
}

/* ---------------------------------------------------------------- the plan */

static wb_code ask_schema(maker *k, wb_error *err)
{
    my_decoder *d = k->d;
    char why[300];
    if (d->hooks.table) {
        wb_code code = d->hooks.table(d->hooks.arg, k->map, &k->schema, err);
        if (code != WB_OK) return code;
    }
    if (k->map->has_names) return WB_OK;
    if (!k->schema.ncols) return no_schema(k, "the log has no names of columns (binlog_row_metadata is not FULL)", err);
    return my_schema_fits(&k->schema, k->map, why, sizeof why) ? WB_OK : no_schema(k, why, err);
}

static bool allocate(maker *k, const uint8_t *body, size_t n)
{
    const my_map *m = k->map;
    size_t nlabels, label_bytes;
    count_labels(k, &nlabels, &label_bytes);
    size_t cols = m->ncols * sizeof(my_plan_col), labels = nlabels * sizeof(wb_str);
    k->plan = calloc(1, sizeof *k->plan + cols + labels + label_bytes + n + m->schema.len + m->name.len);
    if (!k->plan) return false;
    my_plan *p = k->plan;
    p->cols = (my_plan_col *)(void *)(p + 1);
    k->labels = (wb_str *)(void *)((char *)p->cols + cols);
    k->text = (char *)k->labels + labels;
    char *at = k->text + label_bytes;
    memcpy(at, body, n);
    p->body = (uint8_t *)at;
    p->body_len = n;
    at += n;
    memcpy(at, m->schema.ptr, m->schema.len);
    p->schema = (wb_str){at, m->schema.len};
    at += m->schema.len;
    memcpy(at, m->name.ptr, m->name.len);
    p->name = (wb_str){at, m->name.len};
    p->ncols = m->ncols;
    return true;
}

/* A sequence of MariaDB's keeps its numbers in a row of its own, which is in the log whenever it takes some: nobody's
 * table. */
static bool is_sequence(const maker *k)
{
    const my_map *m = k->map;
    if (m->flavor != MY_MARIADB || m->ncols != 8 || (!m->has_names && k->schema.ncols != 8)) return false;
    wb_str first = m->has_names ? m->cols[0].name : k->schema.cols[0].name,
           last = m->has_names ? m->cols[7].name : k->schema.cols[7].name;
    return wb_str_is(first, "next_not_cached_value") && wb_str_is(last, "cycle_count");
}

wb_code my_plan_make(my_decoder *d, const my_map *map, const uint8_t *body, size_t n, my_plan **out, wb_error *err)
{
    maker k = {.d = d, .map = map};
    bool wanted = !d->hooks.wanted || d->hooks.wanted(d->hooks.arg, map->schema, map->name);
    wb_code code = wanted ? ask_schema(&k, err) : WB_OK;
    if (code != WB_OK) return code;
    if (wanted && is_sequence(&k)) wanted = false;
    if (!allocate(&k, body, n)) return my_no_memory(d, err);
    k.plan->engine = k.schema.engine;
    wb_arena_init(&k.a, 4096, 0);
    if (wanted) code = make_table(&k, err);
    wb_arena_fini(&k.a);
    if (code != WB_OK) {
        my_plan_free(k.plan);
        return code;
    }
    *out = k.plan;
    return WB_OK;
}

/* debezium_rules.c: what Debezium's connectors do to columns, under the names that its users know:
 *   columns: {column.mask.with.5.chars: public.people.name, column.truncate.to.20.chars: ".*\\.note",
 *             column.mask.hash.v2.SHA-256.with.salt.SALT: public.people.email, column.propagate.source.type: ".*"}
 * The values are lists of regular expressions that match the whole of schema.table.column. Read at open; looked up once
 * per column and version of a table; masks and hashes are made per value. */
#include <openssl/evp.h>
#include <regex.h>
#include <stdio.h>

#include "base/node.h"
#include "base/options.h"
#include "formats/debezium.h"

static wb_code refuse(const char *key, const char *why, wb_error *err)
{
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "`columns` of the format debezium: %.100s: %s.", key, why);
    wb_hint(
        err,
        "Known are column.mask.with.N.chars, column.truncate.to.N.chars, column.mask.hash.ALGORITHM.with.salt.SALT, "
        "column.mask.hash.v2.ALGORITHM.with.salt.SALT, column.propagate.source.type and boolean.selector.");
    return WB_E_CONFIG;
}

static const char *keep(dbz *d, const char *p, size_t n)
{
    char *z = malloc(n + 1);
    if (!z || d->nkept == WB_COUNT(d->kept)) {
        free(z);
        return NULL;
    }
    memcpy(z, p, n);
    z[n] = 0;
    return d->kept[d->nkept++] = z;
}

static bool number_between(const char *key, const char *before, const char *after, int64_t *out)
{
    size_t n = strlen(before), k = strlen(key), m = strlen(after);
    if (k <= n + m || strncmp(key, before, n) != 0 || strcmp(key + k - m, after) != 0) return false;
    char text[16];
    if (k - n - m >= sizeof text) return false;
    memcpy(text, key + n, k - n - m);
    text[k - n - m] = 0;
    wb_error ignored;
    wb_error_reset(&ignored);
    return wb_parse_int(text, out, &ignored) == WB_OK && *out >= 0 && *out <= 100000;
}

static wb_code read_hash(dbz *d, const char *key, dbz_rule *r, wb_error *err)
{
    const char *p = key + strlen("column.mask.hash.");
    if (strncmp(p, "v2.", 3) == 0) {
        r->v2 = true;
        p += 3;
    }
    const char *salt = strstr(p, ".with.salt.");
    if (!salt) return refuse(key, "it says no salt", err);
    r->kind = DBZ_RULE_HASH;
    r->algorithm = keep(d, p, (size_t)(salt - p));
    r->salt = salt + strlen(".with.salt.");
    const char *name = r->algorithm ? r->algorithm : "";
    EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
    if (!md) return refuse(key, "that hash is not known", err);
    EVP_MD_free(md);
    return r->v2 ? WB_OK
                 : refuse(key, "only version 2 is made (column.mask.hash.v2): the first hashes Java's serialized form",
                          err);
}

/* Java's expressions are close enough to POSIX's; \d, \w and the like are refused rather than misread. */
static wb_code read_patterns(const char *key, const char *text, dbz_rule *r, wb_error *err)
{
    wb_out o = {0};
    wb_out_z(&o, "^(");
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1] && strchr("dDwWsSbB", p[1])) {
            wb_out_fini(&o);
            return refuse(key, "\\d, \\w, \\s and \\b are not understood", err);
        }
        if (*p == ',') {
            wb_out_byte(&o, '|');
            while (p[1] == ' ') p++;
        } else {
            wb_out_byte(&o, *p);
        }
    }
    wb_out_z(&o, ")$");
    wb_out_byte(&o, 0);
    r->patterns = o.failed ? NULL : malloc(sizeof(regex_t));
    bool good = r->patterns && regcomp(r->patterns, o.p, REG_EXTENDED | REG_NOSUB | REG_ICASE) == 0;
    if (!good) {
        free(r->patterns);
        r->patterns = NULL;
    }
    wb_out_fini(&o);
    return good ? WB_OK : refuse(key, "that is not a regular expression", err);
}

static wb_code read_rule(dbz *d, const char *key, const char *value, wb_error *err)
{
    if (d->nrules == DBZ_RULES) return refuse(key, "there are more than 64 rules", err);
    dbz_rule *r = &d->rules[d->nrules++];
    *r = (dbz_rule){0};
    wb_code code = WB_OK;
    if (number_between(key, "column.mask.with.", ".chars", &r->length))
        r->kind = DBZ_RULE_MASK;
    else if (number_between(key, "column.truncate.to.", ".chars", &r->length))
        r->kind = DBZ_RULE_TRUNCATE;
    else if (strncmp(key, "column.mask.hash.", 17) == 0)
        code = read_hash(d, key, r, err);
    else if (strcmp(key, "column.propagate.source.type") == 0)
        r->kind = DBZ_RULE_SOURCE_TYPE;
    else if (strcmp(key, "boolean.selector") == 0)
        r->kind = DBZ_RULE_BOOLEAN;
    else
        code = refuse(key, "there is no such rule", err);
    return code == WB_OK ? read_patterns(key, value, r, err) : code;
}

wb_code dbz_rules_read(dbz *d, wb_error *err)
{
    const wb_node *map = d->columns;
    if (!map) return WB_OK;
    if (map->kind != WB_NODE_MAP) return refuse("columns", "it is not a map", err);
    for (size_t i = 0; i < map->n; i++) {
        const wb_node *v = map->pairs[i].value;
        if (v->kind != WB_NODE_SCALAR) return refuse(map->pairs[i].key, "its value is not text", err);
        wb_code code = read_rule(d, map->pairs[i].key, v->text, err);
        if (code != WB_OK) return code;
    }
    return WB_OK;
}

void dbz_rules_free(dbz *d)
{
    for (size_t i = 0; i < d->nrules; i++) {
        if (!d->rules[i].patterns) continue;
        regfree(d->rules[i].patterns);
        free(d->rules[i].patterns);
    }
    for (size_t i = 0; i < d->nkept; i++) free(d->kept[i]);
    d->nrules = d->nkept = 0;
}

/* Where several fit: hash before truncate before mask, as the connector applies them. */
int dbz_rule_for(const dbz *d, const wb_table *t, const wb_column *c, dbz_rule_kind what)
{
    char name[600];
    int found = -1;
    int n = snprintf(name, sizeof name, "%s.%s.%s", t->source_schema.ptr, t->source_name.ptr, c->source_name.ptr);
    if (n < 0 || (size_t)n >= sizeof name) return -1;
    for (size_t i = 0; i < d->nrules; i++) {
        const dbz_rule *r = &d->rules[i];
        bool meant = what == DBZ_RULE_HASH ? r->kind <= DBZ_RULE_HASH : r->kind == what;
        if (!meant || regexec(r->patterns, name, 0, NULL, 0) != 0) continue;
        if (found < 0 || r->kind > d->rules[found].kind) found = (int)i;
    }
    return found;
}

/* ---------------------------------------------------------------- values */

static void put_hash(dbz *d, const dbz_rule *r, const wb_value *v, wb_out *o)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    wb_out_reset(&d->scratch);
    wb_out_z(&d->scratch, r->salt);
    wb_out_put(&d->scratch, v->as.ptr, v->len);
    EVP_MD *md = EVP_MD_fetch(NULL, r->algorithm, NULL);
    if (!md || d->scratch.failed || !EVP_Digest(d->scratch.p, d->scratch.len, digest, &n, md, NULL)) o->failed = true;
    EVP_MD_free(md);
    wb_out_byte(o, '"');
    wb_json_hex(o, digest, n);
    wb_out_byte(o, '"');
}

wb_code dbz_apply_rule(dbz *d, const dbz_rule *r, const dbz_field *f, const wb_value *v, wb_out *o, wb_error *err)
{
    bool text = f->conv == DBZ_QUOTED && (v->flags & WB_V_TEXT);
    if (!text && r->kind != DBZ_RULE_MASK) return dbz_put(d, f, v, o, err); /* as in Debezium: text alone */
    if (r->kind == DBZ_RULE_MASK) {
        if (!text) {
            wb_out_z(o, "null");
            return WB_OK;
        }
        wb_out_byte(o, '"');
        for (int64_t i = 0; i < r->length; i++) wb_out_byte(o, '*');
        wb_out_byte(o, '"');
    } else if (r->kind == DBZ_RULE_TRUNCATE) {
        size_t at = 0;
        for (int64_t chars = 0; at < v->len; at++)
            if (((uint8_t)v->as.ptr[at] & 0xC0) != 0x80 && chars++ == r->length) break;
        dbz_string(o, (wb_str){v->as.ptr, at});
    } else {
        put_hash(d, r, v, o);
    }
    return WB_OK;
}

/* ---------------------------------------------------------------- column.propagate.source.type */

static void my_source_type(const wb_column *c, wb_out *o)
{
    dbz_my_type t;
    int length, scale;
    dbz_my_type_read(c->type, &t);
    dbz_my_sizes(&t, &length, &scale);
    wb_out_z(o, "\"__debezium.source.column.type\":");
    dbz_my_put_type(&t, o);
    if (length >= 0) wb_out_printf(o, ",\"__debezium.source.column.length\":\"%d\"", length);
    if (scale >= 0) wb_out_printf(o, ",\"__debezium.source.column.scale\":\"%d\"", scale);
    wb_out_z(o, ",\"__debezium.source.column.name\":");
    dbz_string(o, c->source_name);
}

void dbz_source_type_params(const dbz *d, const wb_column *c, wb_out *o)
{
    static const struct {
        uint32_t oid;
        const char *name;
        int length, scale;
    } types[] = {{16, "BOOL", 1, 0},          {20, "INT8", 19, 0},          {21, "INT2", 5, 0},
                 {23, "INT4", 10, 0},         {25, "TEXT", INT32_MAX, 0},   {700, "FLOAT4", 8, 8},
                 {701, "FLOAT8", 17, 17},     {1042, "BPCHAR", 0, 0},       {1043, "VARCHAR", 0, 0},
                 {1082, "DATE", 13, 0},       {1114, "TIMESTAMP", 29, 6},   {1184, "TIMESTAMPTZ", 35, 6},
                 {1700, "NUMERIC", 0, 0},     {2950, "UUID", INT32_MAX, 0}, {3802, "JSONB", INT32_MAX, 0},
                 {114, "JSON", INT32_MAX, 0}, {17, "BYTEA", INT32_MAX, 0}};
    if (!d->is_postgres) {
        my_source_type(c, o);
        return;
    }
    const char *name = NULL;
    int length = INT32_MAX, scale = 0;
    for (size_t i = 0; i < WB_COUNT(types); i++) {
        if (types[i].oid != c->type_id) continue;
        name = types[i].name;
        length = types[i].length;
        scale = types[i].scale;
    }
    if (c->type_id == 1042 || c->type_id == 1043) length = c->type_mod >= 4 ? c->type_mod - 4 : INT32_MAX;
    if (c->type_id == 1700) {
        length = c->type_mod >= 4 ? (c->type_mod - 4) >> 16 & 0xffff : 0;
        scale = c->type_mod >= 4 ? (((c->type_mod - 4) & 0x7ff) ^ 1024) - 1024 : 0;
    }
    wb_out_z(o, "\"__debezium.source.column.type\":\"");
    if (name) {
        wb_out_z(o, name);
    } else {
        for (size_t i = 0; i < c->type.len && c->type.ptr[i] != '('; i++)
            wb_out_byte(o,
                        c->type.ptr[i] >= 'a' && c->type.ptr[i] <= 'z' ? (char)(c->type.ptr[i] - 32) : c->type.ptr[i]);
    }
    wb_out_printf(o,
                  "\",\"__debezium.source.column.length\":\"%d\",\"__debezium.source.column.scale\":\"%d\","
                  "\"__debezium.source.column.name\":",
                  length, scale);
    dbz_string(o, c->source_name);
}

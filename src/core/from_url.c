/* from_url.c: what walbrook.h offers for a database that no pipeline file names yet: `walbrook init`, `explain types`.
 * A pipeline in memory, without state, does the asking. */
#include "base/buf.h"
#include "core/engine.h"
#include "core/registry.h"

/* A scalar in single quotes; `${` is not a substitution here. */
static void put_scalar(wb_out *y, const char *text)
{
    wb_out_byte(y, '\'');
    for (const char *c = text; *c; c++) {
        if (c[0] == '$' && c[1] == '{') wb_out_byte(y, '$');
        if (*c == '\'') wb_out_byte(y, '\'');
        wb_out_byte(y, *c);
    }
    wb_out_byte(y, '\'');
}

/* The URL's scheme names the source. */
const char *wb_source_of_url(const char *url)
{
    static const struct {
        const char *scheme, *source;
    } known[] = {
        {"postgres://", "postgres"}, {"postgresql://", "postgres"}, {"mysql://", "mysql"}, {"mariadb://", "mysql"}};
    for (size_t i = 0; i < WB_COUNT(known); i++)
        if (strncmp(url, known[i].scheme, strlen(known[i].scheme)) == 0) return known[i].source;
    return NULL;
}

static const wb_source *source_of(const char *url, wb_error *err)
{
    const char *name = wb_source_of_url(url);
    const wb_source *s = name ? wb_find_source(name) : NULL;
    if (s) return s;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "There is no source for this URL.");
    wb_hint(err, "%s",
            name ? wb_plugin_absent(WB_SOURCE, name) : "A URL begins with postgres://, mysql:// or mariadb:// here.");
    return NULL;
}

static wb_pipeline *pipeline_at(const wb_source *s, const char *url, const char *const *tables, wb_error *err)
{
    wb_out y = {0};
    wb_out_z(&y, "name: init\nsource:\n  type: ");
    wb_out_z(&y, s->head.name);
    wb_out_z(&y, "\n  url: ");
    put_scalar(&y, url);
    for (size_t i = 0; tables && tables[i]; i++) {
        wb_out_z(&y, i ? ", " : "\n  tables: [");
        put_scalar(&y, tables[i]);
    }
    wb_out_z(&y, tables && tables[0] ? "]\n" : "\n");
    wb_out_z(&y, "targets:\n  - {type: file, path: '-'}\n");
    wb_pipeline *p = y.failed ? NULL : wb_pipeline_parse(y.p, y.len, NULL, true, err);
    wb_out_fini(&y);
    if (!p) wb_fail(err, WB_E_CONFIG, WB_NEVER, "the URL cannot be read");
    return p;
}

wb_code wb_suggest(const char *url, void (*put)(void *arg, const char *text), void *arg, wb_error *err)
{
    const wb_source *s = source_of(url, err);
    if (!s) return err->code;
    if (!s->suggest)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "the source %s cannot suggest a pipeline file", s->head.name);
    wb_pipeline *p = pipeline_at(s, url, NULL, err);
    if (!p) return err->code;
    wb_code rc = s->suggest(p->config->source_ctx, &p->host, put, arg, err);
    if (rc != WB_OK) wb_error_where(err, "source");
    wb_pipeline_free(p);
    return rc;
}

/* ---------------------------------------------------------------- explain types */

enum { SAYERS_MAX = 64 };
typedef const char *(*sayer)(const wb_column *c);
typedef struct explaining {
    void (*each)(void *arg, const wb_explained *column);
    void *arg;
    size_t n;
    const char *by[SAYERS_MAX], *writes[SAYERS_MAX];
    sayer say[SAYERS_MAX];
} explaining;

static const char *kind_name(uint8_t kind)
{
    static const char *const names[WB_KINDS] = {
        [WB_BOOL] = "bool",           [WB_INT] = "int",         [WB_UINT] = "uint",
        [WB_FLOAT] = "float",         [WB_DECIMAL] = "decimal", [WB_TEXT] = "text",
        [WB_BYTES] = "bytes",         [WB_DATE] = "date",       [WB_TIME] = "time",
        [WB_TIMESTAMP] = "timestamp", [WB_UUID] = "uuid",       [WB_TIMESTAMPTZ] = "timestamptz",
        [WB_JSON] = "json",           [WB_RANGE] = "range",     [WB_DOCUMENT] = "document",
        [WB_INTERVAL] = "interval",   [WB_ARRAY] = "array",     [WB_OTHER] = "other"};
    return kind < WB_KINDS && names[kind] ? names[kind] : "other";
}

static void add(explaining *e, const char *name, sayer say)
{
    if (!say || e->n == SAYERS_MAX) return;
    e->by[e->n] = name;
    e->say[e->n++] = say;
}

static void explain_table(void *arg, const wb_table *t)
{
    explaining *e = arg;
    for (uint32_t i = 0; i < t->ncols; i++) {
        const wb_column *c = &t->cols[i];
        for (size_t k = 0; k < e->n; k++) e->writes[k] = e->say[k](c);
        e->each(e->arg, &(wb_explained){.schema = t->schema.ptr,
                                        .table = t->name.ptr,
                                        .column = c->name.ptr,
                                        .type = c->type.ptr,
                                        .kind = kind_name(c->kind),
                                        .key = (c->flags & WB_COL_KEY) != 0,
                                        .not_null = (c->flags & WB_COL_NOT_NULL) != 0,
                                        .n = e->n,
                                        .by = e->by,
                                        .writes = e->writes});
    }
}

wb_code wb_explain_types(const char *url, const char *const *tables,
                         void (*each)(void *arg, const wb_explained *column), void *arg, wb_error *err)
{
    explaining e = {.each = each, .arg = arg};
    const wb_plugin *head;
    const wb_source *s = source_of(url, err);
    if (!s) return err->code;
    if (!s->types)
        return wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER, "the source %s cannot explain its types", s->head.name);
    for (size_t i = 0; (head = wb_plugin_at(WB_FORMAT, i)); i++)
        add(&e, head->name, wb_find_format(head->name)->writes);
    for (size_t i = 0; (head = wb_plugin_at(WB_TARGET, i)); i++)
        add(&e, head->name, wb_find_target(head->name)->stores);
    wb_pipeline *p = pipeline_at(s, url, tables, err);
    if (!p) return err->code;
    wb_code rc = s->types(p->config->source_ctx, &p->host, explain_table, &e, err);
    if (rc != WB_OK) wb_error_where(err, "source");
    wb_pipeline_free(p);
    return rc;
}

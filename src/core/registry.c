/* registry.c: every plugin there is. Adding one is its file and one line here.
 * Read by config.c, help.c and the command line. */
#include "core/registry.h"

extern const wb_source wb_source_postgres, wb_source_mysql, wb_source_binlog;
extern const wb_target wb_target_file, wb_target_sqlite, wb_target_rabbitmq, wb_target_kafka;
extern const wb_format wb_format_record, wb_format_row, wb_format_pretty, wb_format_sql, wb_format_debezium,
    wb_format_cloudevents, wb_format_maxwell;
extern const wb_transform wb_transform_filter, wb_transform_mask, wb_transform_rename, wb_transform_route,
    wb_transform_columns, wb_transform_add_columns;

/* What this build has. */
static const wb_plugin *const built_in[] = {
#ifdef WB_HAVE_POSTGRES
    &wb_source_postgres.head,
#endif
#ifdef WB_HAVE_MYSQL
    &wb_source_mysql.head,    &wb_source_binlog.head,
#endif
#ifdef WB_HAVE_RABBITMQ
    &wb_target_rabbitmq.head,
#endif
#ifdef WB_HAVE_KAFKA
    &wb_target_kafka.head,
#endif
    &wb_target_file.head,     &wb_target_sqlite.head,     &wb_format_record.head,         &wb_format_row.head,
    &wb_format_pretty.head,   &wb_format_sql.head,        &wb_format_debezium.head,       &wb_format_cloudevents.head,
    &wb_format_maxwell.head,  &wb_transform_filter.head,  &wb_transform_mask.head,        &wb_transform_rename.head,
    &wb_transform_route.head, &wb_transform_columns.head, &wb_transform_add_columns.head,
};

/* What people may look for and not find. */
#define NOT_YET(kind, name) "walbrook " WB_VERSION " does not have " kind " " name "."
static const struct {
    wb_plugin_kind kind;
    const char *name, *why;
} absent[] = {
#ifndef WB_HAVE_POSTGRES
    {WB_SOURCE, "postgres", "built without postgres: install libpq-dev and build again."},
#endif
#ifndef WB_HAVE_MYSQL
    {WB_SOURCE, "binlog", "built without mysql: install libmariadb-dev, libzstd-dev and zlib1g-dev and build again."},
    {WB_SOURCE, "mysql", "built without mysql: install libmariadb-dev, libzstd-dev and zlib1g-dev and build again."},
#endif
    {WB_SOURCE, "mariadb", "MariaDB is read by the source mysql: write type: mysql."},
    {WB_SOURCE, "mongodb", NOT_YET("source", "mongodb")},
    {WB_SOURCE, "kafka", NOT_YET("source", "kafka")},
    {WB_SOURCE, "file", NOT_YET("source", "file")},
    {WB_SOURCE, "sqlite", NOT_YET("source", "sqlite")},
    {WB_SOURCE, "oracle", NOT_YET("source", "oracle")},
    {WB_SOURCE, "sqlserver", NOT_YET("source", "sqlserver")},
#ifndef WB_HAVE_KAFKA
    {WB_TARGET, "kafka", "built without kafka: install librdkafka-dev and build again."},
#endif
#ifndef WB_HAVE_RABBITMQ
    {WB_TARGET, "rabbitmq", "built without rabbitmq: install librabbitmq-dev and libssl-dev and build again."},
#endif
    {WB_TARGET, "postgres", NOT_YET("target", "postgres")},
    {WB_TARGET, "mysql", NOT_YET("target", "mysql")},
    {WB_TARGET, "delta", NOT_YET("target", "delta")},
    {WB_TARGET, "redis", NOT_YET("target", "redis")},
    {WB_TARGET, "nats", NOT_YET("target", "nats")},
    {WB_TARGET, "http", NOT_YET("target", "http")},
    {WB_TARGET, "exec", NOT_YET("target", "exec")},
    {WB_FORMAT, "avro", NOT_YET("format", "avro")},
};

enum { MORE_MAX = 32, NAMES_MAX = WB_COUNT(built_in) + MORE_MAX + 1 };
static const wb_plugin *more[MORE_MAX];
static size_t nmore;

void wb_registry_add(const wb_plugin *p)
{
    if (nmore < MORE_MAX) more[nmore++] = p;
}

static const wb_plugin *at(size_t i)
{
    if (i < WB_COUNT(built_in)) return built_in[i];
    i -= WB_COUNT(built_in);
    return i < nmore ? more[i] : NULL;
}

const wb_plugin *wb_plugin_at(wb_plugin_kind kind, size_t i)
{
    const wb_plugin *p;
    for (size_t k = 0; (p = at(k)); k++)
        if (p->kind == kind && i-- == 0) return p;
    return NULL;
}

static const wb_plugin *find(wb_plugin_kind kind, const char *name)
{
    const wb_plugin *p;
    for (size_t k = 0; (p = at(k)); k++)
        if (p->kind == kind && strcmp(p->name, name) == 0) return p;
    return NULL;
}

/* The head is the first member of every plugin struct. */
const wb_source *wb_find_source(const char *name) { return (const wb_source *)(const void *)find(WB_SOURCE, name); }
const wb_target *wb_find_target(const char *name) { return (const wb_target *)(const void *)find(WB_TARGET, name); }
const wb_format *wb_find_format(const char *name) { return (const wb_format *)(const void *)find(WB_FORMAT, name); }
const wb_transform *wb_find_transform(const char *name)
{
    return (const wb_transform *)(const void *)find(WB_TRANSFORM, name);
}

const char *const *wb_plugin_names(wb_plugin_kind kind)
{
    static _Thread_local const char *names[NAMES_MAX];
    size_t n = 0;
    const wb_plugin *p;
    for (size_t k = 0; (p = at(k)); k++)
        if (p->kind == kind) names[n++] = p->name;
    names[n] = NULL;
    return names;
}

const char *wb_plugin_absent(wb_plugin_kind kind, const char *name)
{
    if (find(kind, name)) return NULL;
    for (size_t i = 0; i < WB_COUNT(absent); i++)
        if (absent[i].kind == kind && strcmp(absent[i].name, name) == 0) return absent[i].why;
    return NULL;
}

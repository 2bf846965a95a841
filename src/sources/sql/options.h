/* options.h: options of the copy that every source of a SQL database has. One that uses them has fields of these names:
 * snapshot_mode, snapshot_workers, snapshot_where, snapshot_columns, snapshot_chunk, snapshot_turn_ms. What differs
 * between databases is in the words. */
#ifndef WB_SQL_OPTIONS_H
#define WB_SQL_OPTIONS_H
#include "copy.h"

typedef enum sql_snapshot { SQL_SNAP_INITIAL, SQL_SNAP_NEVER, SQL_SNAP_ONLY, SQL_SNAP_WHEN_NEEDED } sql_snapshot;

#define SQL_SNAPSHOT_CHOICES(only_)                                                                                    \
    {"initial", SQL_SNAP_INITIAL, "copy all rows first, then every change"},                                           \
        {"never", SQL_SNAP_NEVER, "only what changes from now on"}, {"only", SQL_SNAP_ONLY, only_},                    \
        {"when_needed", SQL_SNAP_WHEN_NEEDED, "as initial, and again by itself when the server's log was lost"},       \
    {                                                                                                                  \
        NULL, 0, NULL                                                                                                  \
    }

#define SQL_SNAPSHOT_OPTION(at, choices_)                                                                              \
    {                                                                                                                  \
        .name = "snapshot", .type = WB_OPT_ENUM, .offset = at(snapshot_mode), .def = "initial", .choices = choices_,   \
        .brief = "Whether the rows that are there already are copied first"                                            \
    }

#define SQL_COPY_OPTIONS(at, one_view, where_more, where_example, columns_example, key)                                \
    {.name = "snapshot_workers",                                                                                       \
     .type = WB_OPT_INT,                                                                                               \
     .offset = at(snapshot_workers),                                                                                   \
     .def = "2",                                                                                                       \
     .min = 1,                                                                                                         \
     .max = SQL_WORKERS_MAX,                                                                                           \
     .brief = "Connections that copy at once",                                                                         \
     .detail = "Tables and parts of large tables are read side by side, all in " one_view "."},                        \
        {.name = "snapshot_where",                                                                                     \
         .type = WB_OPT_NODE,                                                                                          \
         .offset = at(snapshot_where),                                                                                 \
         .brief = "Per table, a condition in SQL for the rows that the copy takes",                                    \
         .detail = "Only of the copy: changes come whatever the row." where_more,                                      \
         .example = where_example},                                                                                    \
        {.name = "snapshot_columns",                                                                                   \
         .type = WB_OPT_NODE,                                                                                          \
         .offset = at(snapshot_columns),                                                                               \
         .brief = "Per table, the columns that the copy takes; the key always",                                        \
         .detail = "The others are absent in its rows, as if the server had not sent them.",                           \
         .example = columns_example},                                                                                  \
        {.name = "snapshot_chunk",                                                                                     \
         .type = WB_OPT_SIZE,                                                                                          \
         .offset = at(snapshot_chunk),                                                                                 \
         .flags = WB_OPT_ADVANCED,                                                                                     \
         .def = "64MB",                                                                                                \
         .min = 8192,                                                                                                  \
         .max = INT64_MAX / 16,                                                                                        \
         .brief = "Tables larger than this are read in parts of about this size",                                      \
         .detail =                                                                                                     \
             "Parts are ranges of the " key ". One that was interrupted is read again, one that is done is not."},     \
    {                                                                                                                  \
        .name = "snapshot_turn", .type = WB_OPT_MSEC, .offset = at(snapshot_turn_ms), .flags = WB_OPT_ADVANCED,        \
        .def = "5s", .min = 1, .max = 3600000, .brief = "How long parts are gathered for one commit at the targets",   \
        .detail =                                                                                                      \
            "What a crash makes read again, and how long the stream rests while tables are added, is about this."      \
    }

#endif

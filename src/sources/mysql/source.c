/* source.c: the plugin: its options, and what each slot of wb_source does. The work is in open.c (start), snap.h
 * (copies), stream.c (the log), check.c, status.c and suggest.c. */
#include <errmsg.h>
#include <stdio.h>

#include "ahead.h"
#include "base/clock.h"

#define AT(field) offsetof(my_source, field)

static const wb_choice snapshot_modes[] = {
    SQL_SNAPSHOT_CHOICES("copy all rows, then end"),
};

static const wb_choice zero_dates[] = {
    {"text", MY_ZERO_TEXT, "hand them over as the text that the server shows"},
    {"null", MY_ZERO_NULL, "hand over NULL"},
    {NULL, 0, NULL},
};

static const wb_choice bad_texts[] = {
    {"refuse", MY_TEXT_REFUSE, "stop, with table, column and place"},
    {"replace", MY_TEXT_REPLACE, "put U+FFFD in place of each"},
    {NULL, 0, NULL},
};

static const wb_choice lockings[] = {
    {"minimal", MY_LOCKING_MINIMAL, "a global read lock for milliseconds, where the server knows no other way"},
    {"none", MY_LOCKING_NONE,
     "nothing, ever: in turns with the stream; tables with a primary key only, and with MySQL GTIDs"},
    {NULL, 0, NULL},
};

static const wb_option options[] = {
    {.name = "url",
     .type = WB_OPT_STRING,
     .offset = AT(url),
     .flags = WB_OPT_REQUIRED | WB_OPT_URL,
     .brief = "Where the server is",
     .detail =
         "mysql://user@host:3306/database, or mariadb://. The password may come from MYSQL_PWD instead. Behind a ?: "
         "ssl-mode (disabled, preferred, required, verify-ca, verify-full; preferred is the default), ssl-ca, "
         "ssl-cert, ssl-key, tls-version, socket, connect_timeout, server-public-key-path.",
     .example = "mysql://walbrook@db.internal/shop?ssl-mode=verify-full"},
    {.name = "tables",
     .type = WB_OPT_LIST,
     .offset = AT(table_list),
     .brief = "Patterns of tables to read, default all of the url's database, or all there are",
     .detail = "database.table with * and ?; \"!\" in front leaves out; the last pattern that matches decides.",
     .example = "[shop.*, \"!shop.audit_*\"]"},
    SQL_SNAPSHOT_OPTION(AT, snapshot_modes),
    {.name = "position",
     .type = WB_OPT_STRING,
     .offset = AT(position),
     .flags = WB_OPT_ADVANCED,
     .brief = "Where in the log to begin; used at the first start only",
     .detail = "A GTID set, and after a blank FILE:OFFSET; without GTIDs FILE:OFFSET alone. It is what the tool before "
               "has had: changes begin right after it. With snapshot: never, and binlog_row_metadata = FULL.",
     .example = "\"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5 binlog.000003:157\""},
    {.name = "start",
     .type = WB_OPT_NODE,
     .offset = AT(start_at),
     .flags = WB_OPT_ADVANCED,
     .brief = "The same as position, as a map: {gtid: …} or {file: …, pos: …}, or all three; or {time: …}",
     .detail = "A time: the first transaction in the log that was committed then or later, and all that follow it. "
               "RFC 3339, or \"2026-05-31 12:00:00\", which is UTC.",
     .example = "{time: 2026-05-31T14:00:00+02:00}"},
    {.name = "snapshot_locking",
     .type = WB_OPT_ENUM,
     .offset = AT(snapshot_locking),
     .flags = WB_OPT_ADVANCED,
     .def = "minimal",
     .choices = lockings,
     .brief = "What a copy may lock"},
    SQL_COPY_OPTIONS(AT, "one view of the database", "", "{shop.orders: \"placed > now() - interval 1 year\"}",
                     "{shop.users: [name, city]}", "primary key"),
    {.name = "server_id",
     .type = WB_OPT_INT,
     .offset = AT(server_id_option),
     .flags = WB_OPT_ADVANCED,
     .def = "0",
     .min = 0,
     .max = UINT32_MAX,
     .brief = "Number by which the server knows us as a replica; 0: one is chosen and kept",
     .detail = "It must differ from that of the server and of every other replica."},
    {.name = "zero_dates",
     .type = WB_OPT_ENUM,
     .offset = AT(zero_dates),
     .def = "text",
     .choices = zero_dates,
     .brief = "What becomes of dates that no calendar has: 0000-00-00, 2024-00-15"},
    {.name = "invalid_text",
     .type = WB_OPT_ENUM,
     .offset = AT(bad_text),
     .flags = WB_OPT_ADVANCED,
     .def = "refuse",
     .choices = bad_texts,
     .brief = "What becomes of bytes that are not of their column's character set"},
    {.name = "query",
     .type = WB_OPT_BOOL,
     .offset = AT(query),
     .flags = WB_OPT_ADVANCED,
     .def = "false",
     .brief = "Changes carry the statement that made them, for formats that show it (debezium)",
     .detail =
         "Where the log has it: MySQL with binlog_rows_query_log_events = ON, MariaDB with "
         "binlog_annotate_row_events. Statements may hold what rows do not show. Longer ones than 256 KB are left "
         "out."},
    {.name = "heartbeat",
     .type = WB_OPT_MSEC,
     .offset = AT(heartbeat_ms),
     .flags = WB_OPT_ADVANCED,
     .def = "5s",
     .min = 200,
     .max = 600000,
     .brief = "How often an idle server shall say that it is alive",
     .detail = "After three times that, and 5 s, without a word the connection counts as lost."},
    {.name = "spool_limit",
     .type = WB_OPT_SIZE,
     .offset = AT(spool_limit),
     .flags = WB_OPT_ADVANCED,
     .def = "10GB",
     .min = 1 << 20,
     .max = INT64_MAX,
     .brief = "Most disk space for one transaction that is too large for memory"},
    {.name = "tail",
     .type = WB_OPT_BOOL,
     .offset = AT(tail),
     .flags = WB_OPT_ADVANCED,
     .def = "false",
     .brief = "Begin at the log's end and keep nothing; what `walbrook tail` sets"},
    {.name = NULL},
};

static const char *version(void)
{
    static char text[60]; /* the same whoever writes it */
    (void)snprintf(text, sizeof text, "MariaDB Connector/C %s", mysql_get_client_info());
    return text;
}

static wb_code read_source(void *ctx, int ms, wb_error *err)
{
    my_source *s = ctx;
    if (my_link_stopped(&s->side)) return WB_AGAIN;
    sql_copy *c = &s->snap.copy;
    wb_code code = WB_OK;
    if (c->phase == SQL_COPY_TURNS) return my_snap_turns(s, ms, err);
    if (c->only) return WB_END;
    if (WB_UNLIKELY(c->asked) && c->phase == SQL_COPY_OFF && !s->in_group) code = my_snap_heed(s, err);
    if (code == WB_OK && c->wanted) code = my_snap_tend(s, err);
    if (code == WB_OK && WB_UNLIKELY(my_snap_rests(s))) {
        my_snap_rest(s, ms);
        return WB_AGAIN;
    }
    if (code == WB_OK) code = my_stream_read(s, ms, err);
    return code == WB_END ? my_snap_begin_turns(s, err) : code;
}

static wb_code settle(void *ctx, wb_pos pos, wb_error *err)
{
    my_source *s = ctx;
    my_track_settled(s, pos);
    wb_code code = WB_UNLIKELY(s->first_kept) && pos.len ? my_first_settled(s, err) : WB_OK;
    if (code != WB_OK) return code;
    return s->snap.copy.ledger.n ? sql_copy_settled(&s->snap.copy, pos, err) : WB_OK;
}

static void interrupt(void *ctx)
{
    my_source *s = ctx;
    atomic_store_explicit(&s->interrupted, true, memory_order_relaxed);
    my_interrupt_links(s);
}

void my_close(void *ctx)
{
    my_source *s = ctx;
    if (s->batch && s->host) wb_host_drop(s->host, s->batch);
    my_snap_close(s);
    my_ahead_close(s);
    my_link_close(&s->dump);
    my_link_close(&s->side);
    my_decoder_free(s->decoder);
    my_history_free(s->history);
    my_gtid_set_free(s->set);
    my_spool_close(s);
    my_catalog_free(&s->cat);
    for (size_t i = 0; i < s->nxas; i++) free(s->xas[i].name);
    free(s->xas);
    wb_out_fini(&s->pos_text);
    wb_out_fini(&s->start);
    wb_out_fini(&s->told);
    wb_arena_fini(&s->arena);
    wb_arena_fini(&s->scratch);
    atomic_store(&s->interrupted, false);
    /* What follows the options, the flags and tables of other threads begins anew. */
    size_t from = offsetof(my_source, host);
    memset((char *)s + from, 0, sizeof *s - from);
}

const wb_source wb_source_mysql = {
    .head = {.kind = WB_SOURCE,
             .name = "mysql",
             .brief = "MySQL 5.7 and newer, MariaDB 10.4 and newer, by the binary log",
             .options = options,
             .ctx_size = sizeof(my_source),
             .version = version},
    .check = my_check,
    .open = my_open,
    .read = read_source,
    .settle = settle,
    .holds = my_pos_holds,
    .compare = my_pos_compare,
    .meet = my_pos_meet,
    .join = my_pos_join,
    .distance = my_pos_distance,
    .tip = my_tip,
    .render = my_pos_render,
    .parse = my_pos_parse,
    .status = my_status,
    .drop = my_drop,
    .suggest = my_suggest,
    .types = my_types,
    .ask = my_ask,
    .reload = my_reload,
    .interrupt = interrupt,
    .close = my_close,
};

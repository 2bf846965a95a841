/* source.c: the plugin: its options, and what each slot of wb_source does. The work is in open.c (start), snapshot.c
 * (first copy), stream.c (the log), check.c, status.c and suggest.c. */
#include "pg.h"

#include <stdio.h>

#include "base/clock.h"

#define AT(field) offsetof(pg_source, field)

static const wb_choice snapshot_modes[] = {
    SQL_SNAPSHOT_CHOICES("copy all rows, then end; nothing is left at the server"),
};

static const wb_choice failover_modes[] = {
    {"auto", PG_FAILOVER_AUTO, "yes where the server can, for slots that this pipeline made"},
    {"on", PG_FAILOVER_ON, "yes, also for a slot that was there before; refused where the server can't"},
    {"off", PG_FAILOVER_OFF, "no"},
    {NULL, 0, NULL},
};

static const wb_choice origins[] = {
    {"any", PG_ORIGIN_ANY, "every change, wherever it was made first"},
    {"none", PG_ORIGIN_NONE, "only changes made here: those that replication brought are left out"},
    {NULL, 0, NULL},
};

static const wb_choice generated[] = {
    {"none", PG_GENERATED_NONE, "they stay at the source"},
    {"stored", PG_GENERATED_STORED, "as other columns (server 18 or newer)"},
    {NULL, 0, NULL},
};

static const wb_choice newcomers[] = {
    {"name", PG_NEW_NAME, "the log and `walbrook status` name them"},
    {"add", PG_NEW_ADD, "they join the publication; rows that they have by then come with the next snapshot"},
    {NULL, 0, NULL},
};

static const wb_option options[] = {
    {.name = "url",
     .type = WB_OPT_STRING,
     .offset = AT(url),
     .flags = WB_OPT_REQUIRED | WB_OPT_URL,
     .brief = "Where the database is",
     .detail = "A libpq URI or a list of key=value. The password may come from PGPASSWORD or ~/.pgpass instead. TLS: "
               "sslmode=verify-full and sslrootcert. Give the server itself, not a pooler. Several hosts, "
               "a,b: they are tried in turn until one is the primary.",
     .example = "postgres://walbrook@db.internal/shop?sslmode=verify-full"},
    {.name = "tables",
     .type = WB_OPT_LIST,
     .offset = AT(table_list),
     .brief = "Patterns of tables to read, default all of the user's",
     .detail =
         "schema.table with * and ?; \"!\" in front leaves out; the last pattern that matches decides. Partitions "
         "travel under the name of their root. Tables made later are named in `walbrook status`.",
     .example = "[public.*, \"!public.audit_*\"]"},
    SQL_SNAPSHOT_OPTION(AT, snapshot_modes),
    SQL_COPY_OPTIONS(AT, "one snapshot", " A row filter of the publication counts as well.",
                     "{public.orders: \"placed > now() - interval '1 year'\"}", "{public.users: [name, city]}", "key"),
    {.name = "slot",
     .type = WB_OPT_STRING,
     .offset = AT(slot_option),
     .brief = "Replication slot, default walbrook_PIPELINE",
     .detail = "One that exists already is used as it is when it is named here.",
     .example = "shop_cdc"},
    {.name = "publication",
     .type = WB_OPT_STRING,
     .offset = AT(publication_option),
     .brief = "Publication, default walbrook_PIPELINE",
     .detail = "One that exists already and was not made by this pipeline is used as it is, with its column lists and "
               "row filters. Tables without replica identity go into a second one, NAME_insert, that publishes inserts "
               "and truncates only.",
     .example = "shop_pub"},
    {.name = "slot_position",
     .type = WB_OPT_STRING,
     .offset = AT(slot_position),
     .flags = WB_OPT_ADVANCED,
     .brief = "Where the tool that read the slot before has come to; used at the first start only",
     .detail =
         "An LSN: what pg_recvlogical said last, lsn_commit of Debezium's offset. Changes begin right after it. A "
         "slot that begins later than that is refused with the size of the gap. With snapshot: never.",
     .example = "0/16B3748"},
    {.name = "start",
     .type = WB_OPT_NODE,
     .offset = AT(start_at),
     .flags = WB_OPT_ADVANCED,
     .brief = "The same as slot_position, as a map: {lsn: …}; or {time: …}",
     .detail =
         "A time: the first transaction of the slot that was committed then or later, and all that follow it. The "
         "slot must be older. RFC 3339, or \"2026-05-31 12:00:00\", which is UTC.",
     .example = "{time: 2026-05-31T14:00:00+02:00}"},
    {.name = "failover",
     .type = WB_OPT_ENUM,
     .offset = AT(failover),
     .flags = WB_OPT_ADVANCED,
     .def = "auto",
     .choices = failover_modes,
     .brief = "Whether standbys keep a copy of the slot, for the day one is promoted",
     .detail = "PostgreSQL 17 and newer; the standbys need sync_replication_slots. See docs/sources/postgres.md."},
    {.name = "create_slot",
     .type = WB_OPT_BOOL,
     .offset = AT(create_slot),
     .flags = WB_OPT_ADVANCED,
     .def = "true",
     .brief = "Make the slot when it is missing"},
    {.name = "create_publication",
     .type = WB_OPT_BOOL,
     .offset = AT(create_publication),
     .flags = WB_OPT_ADVANCED,
     .def = "true",
     .brief = "Make the publication when it is missing"},
    {.name = "streaming",
     .type = WB_OPT_BOOL,
     .offset = AT(streaming),
     .flags = WB_OPT_ADVANCED,
     .def = "on",
     .brief = "Receive large transactions while they run (server 14 or newer)",
     .detail = "They wait in a file in the state folder until they commit. Off: the server keeps them, and sends them "
               "after the commit."},
    {.name = "spool_limit",
     .type = WB_OPT_SIZE,
     .offset = AT(spool_limit),
     .flags = WB_OPT_ADVANCED,
     .def = "10GB",
     .min = 1 << 20,
     .max = INT64_MAX,
     .brief = "Most disk space for transactions that are not committed yet",
     .detail = "When it, or the disk, is full, the pipeline connects again with streaming off and loses nothing."},
    {.name = "messages",
     .type = WB_OPT_BOOL,
     .offset = AT(messages),
     .def = "off",
     .brief = "Hand over messages of pg_logical_emit_message (server 14 or newer)",
     .detail = "Those inside a transaction come with it, in their order. The others come at their place in the log, "
               "between commits, without a transaction id, whether or not who wrote them committed."},
    {.name = "reselect",
     .type = WB_OPT_BOOL,
     .offset = AT(reselect),
     .def = "false",
     .brief = "Read values that an UPDATE did not send from the table",
     .detail =
         "The server leaves out large values that stayed as they were (TOAST), unless the table has REPLICA "
         "IDENTITY FULL. They are read by key, so they may be newer than the change, and are marked; a row that is "
         "gone by then keeps its gaps. Mirrors do not need it: they leave such columns alone."},
    {.name = "origin",
     .type = WB_OPT_ENUM,
     .offset = AT(origin),
     .flags = WB_OPT_ADVANCED,
     .def = "any",
     .choices = origins,
     .brief = "Which changes, by where they were made first (server 16 or newer for none)",
     .detail = "With none a two-way copy does not go round in circles: what a subscription or another tool with a "
               "replication origin wrote is left out. The snapshot cannot tell and copies all rows."},
    {.name = "generated_columns",
     .type = WB_OPT_ENUM,
     .offset = AT(generated_columns),
     .flags = WB_OPT_ADVANCED,
     .def = "none",
     .choices = generated,
     .brief = "Whether a publication that we make has stored generated columns, too",
     .detail = "A publication of your own decides by itself. Virtual ones never travel."},
    {.name = "new_tables",
     .type = WB_OPT_ENUM,
     .offset = AT(new_tables),
     .def = "name",
     .choices = newcomers,
     .brief = "What happens to tables that are made later and match `tables`",
     .detail = "To add them the user must own them and the publication. A publication FOR ALL TABLES or FOR TABLES IN "
               "SCHEMA has them anyway."},
    {.name = "table_interval",
     .type = WB_OPT_MSEC,
     .offset = AT(table_interval_ms),
     .flags = WB_OPT_ADVANCED,
     .def = "10s",
     .min = 0,
     .max = 86400000,
     .brief = "Look this often for tables that were made or dropped, and for truncated partitions; 0ms: never",
     .detail = "The server's log tells none of it. What is found dropped is noted in the log by a message of our own "
               "(server 14 or newer), so that a DROP has its place among the changes."},
    {.name = "heartbeat",
     .type = WB_OPT_MSEC,
     .offset = AT(heartbeat_ms),
     .flags = WB_OPT_ADVANCED,
     .def = "0ms",
     .min = 0,
     .max = 86400000,
     .brief = "Write a small logical message this often; 0ms: never",
     .detail = "Not needed to keep the server's log short; useful where a proxy hides keepalives.",
     .example = "30s"},
    {.name = "status_interval",
     .type = WB_OPT_MSEC,
     .offset = AT(status_interval_ms),
     .flags = WB_OPT_ADVANCED,
     .def = "10s",
     .min = 100,
     .max = 3600000,
     .brief = "Tell the server at least this often where we are",
     .detail = "At least three times in the server's wal_sender_timeout, whatever is set here."},
    {.name = "tail",
     .type = WB_OPT_BOOL,
     .offset = AT(tail),
     .flags = WB_OPT_ADVANCED,
     .def = "false",
     .brief = "Use a temporary slot and leave nothing behind; what `walbrook tail` sets"},
    {.name = NULL},
};

static const char *version(void)
{
    static char text[32]; /* the same whoever writes it */
    int v = PQlibVersion();
    (void)snprintf(text, sizeof text, "libpq %d.%d", v / 10000, v % 10000);
    return text;
}

static wb_code pg_read(void *ctx, int ms, wb_error *err)
{
    pg_source *s = ctx;
    if (pg_stopped(s, s->host)) return WB_AGAIN;
    wb_code code = WB_OK;
    if (s->snap.copy.phase == SQL_COPY_TURNS) return pg_snap_turns(s, ms, err);
    if (s->snap.copy.only) return WB_END;
    if (WB_UNLIKELY(s->snap.copy.asked) && s->snap.copy.phase == SQL_COPY_OFF) code = pg_snap_heed(s, err);
    if (code == WB_OK && (s->snap.copy.phase != SQL_COPY_OFF || s->snap.copy.wanted)) code = pg_snap_tend(s, err);
    if (code == WB_OK && pg_snap_rests(s)) return pg_snap_rest(s, ms, err);
    if (code == WB_OK) code = pg_stream_read(s, ms, err);
    return code == WB_END ? pg_snap_begin_turns(s, err) : code;
}

static wb_code pg_settle(void *ctx, wb_pos pos, wb_error *err)
{
    pg_source *s = ctx;
    pg_settled(s, pg_pos_lsn(pos));
    return s->snap.copy.ledger.n ? sql_copy_settled(&s->snap.copy, pos, err) : WB_OK;
}

static void pg_interrupt(void *ctx)
{
    pg_source *s = ctx;
    atomic_store_explicit(&s->interrupted, true, memory_order_relaxed);
}

static void nobody(void *arg, const char *line)
{
    WB_UNUSED(arg);
    WB_UNUSED(line);
}

static void leave_nothing(pg_source *s)
{
    if (!s->tail_name[0] || !s->host) return;
    s->side.deadline_us = wb_mono_us() + 2000000; /* a stop is why we are here */
    wb_error ignored;
    wb_error_reset(&ignored);
    if (pg_link_dead(&s->side)) {
        pg_link_close(&s->side);
        (void)!pg_link_open(&s->side, s, s->host, PG_SQL, &ignored);
    }
    if (s->side.pg) (void)!pg_pub_drop(&s->side, &s->names, nobody, NULL, &ignored);
    s->side.deadline_us = 0;
    s->tail_name[0] = 0;
}

void pg_close(void *ctx)
{
    pg_source *s = ctx;
    pg_stream_end(s);
    if (s->batch && s->host) wb_host_drop(s->host, s->batch);
    if (s->pending) PQfreemem(s->pending);
    if (s->replay) pg_spool_close(s->replay);
    pg_snap_close(s);
    pg_link_close(&s->repl);
    leave_nothing(s);
    pg_link_close(&s->side);
    pg_spools_free(s->spools);
    pg_decoder_free(s->decoder);
    pg_catalog_free(&s->cat);
    wb_out_fini(&s->pub_list);
    wb_arena_fini(&s->arena);
    free(s->unwanted.oids);
    pg_ddl_close(&s->ddl);
    pg_leaves_close(&s->leaves);
    free(s->reselecting.rows);
    atomic_store(&s->interrupted, false);
    /* What follows the options, the flags of other threads and `streaming_off` begins anew. */
    size_t from = offsetof(pg_source, host);
    memset((char *)s + from, 0, sizeof *s - from);
}

const wb_source wb_source_postgres = {
    .head = {.kind = WB_SOURCE,
             .name = "postgres",
             .brief = "PostgreSQL 12 and newer, by logical replication (pgoutput)",
             .options = options,
             .ctx_size = sizeof(pg_source),
             .version = version},
    .check = pg_check,
    .open = pg_open,
    .read = pg_read,
    .settle = pg_settle,
    .holds = pg_pos_holds,
    .compare = pg_pos_compare,
    .meet = pg_pos_meet,
    .join = pg_pos_join,
    .part = pg_part,
    .distance = pg_pos_distance,
    .tip = pg_tip,
    .render = pg_pos_render,
    .parse = pg_pos_parse,
    .status = pg_status,
    .drop = pg_drop,
    .suggest = pg_suggest,
    .types = pg_types,
    .ask = pg_ask,
    .reload = pg_reload,
    .interrupt = pg_interrupt,
    .close = pg_close,
};

/* dump.c: the replication protocol: who we say to be, the session of a dump, its commands, one event after another. The
 * Connector gives the connection; its own reader of the log is not used. */
#include "my.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"

enum { REGISTER = 0x15, DUMP = 0x12, DUMP_GTID = 0x1e, NON_BLOCK = 1, ANNOTATE_ROWS = 2, FIRST_OFFSET = 4 };

/* ---------------------------------------------------------------- who we are */

static void random_bytes(uint8_t *p, size_t n)
{
    if (getrandom(p, n, 0) == (ssize_t)n) return;
    uint64_t v = (uint64_t)(uintptr_t)p;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)((v = v * 6364136223846793005u + 1442695040888963407u) >> 33);
}

static uint32_t random_id(void)
{
    uint32_t v;
    random_bytes((uint8_t *)&v, sizeof v);
    return 0x40000000u | (v & 0x3fffffffu); /* far from what people number their servers with */
}

static void random_uuid(char out[MY_UUID])
{
    uint8_t b[16];
    random_bytes(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    (void)snprintf(out, MY_UUID, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
                   b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

/* What we register as our host: shows an administrator who it is, and us our own old connections. */
static void host_name(const my_source *s, char out[61]) { (void)snprintf(out, 61, "walbrook-%.36s", s->uuid); }

/* Another replica with our number: the server would throw out one for the other, for ever. Only those that registered
 * are listed; what an own, dead connection registered is known by our name. */
static wb_code clashes(my_source *s, uint32_t id, bool *clash, wb_error *err)
{
    bool mysql = s->side.flavor == MY_MYSQL;
    char ours[61];
    MYSQL_RES *res;
    *clash = id == s->server.server_id;
    if (*clash) return WB_OK;
    host_name(s, ours);
    wb_code code = my_query(&s->side, "for its replicas",
                            mysql && s->side.version >= 80022 ? "SHOW REPLICAS" : "SHOW SLAVE HOSTS", &res, err);
    if (code == WB_E_AUTH) { /* it is a right of its own; without it nobody can look */
        wb_error_reset(err);
        s->side.broken = false;
        return WB_OK;
    }
    if (code != WB_OK) return code;
    for (MYSQL_ROW row; (row = mysql_fetch_row(res));)
        if (row[0] && strtoul(row[0], NULL, 10) == id && !(row[1] && strcmp(row[1], ours) == 0)) *clash = true;
    mysql_free_result(res);
    return WB_OK;
}

static wb_code fixed_id(my_source *s, wb_error *err)
{
    bool clash;
    s->server_id = (uint32_t)s->server_id_option;
    wb_code code = clashes(s, s->server_id, &clash, err);
    if (code != WB_OK || !clash) return code;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "The server_id %u is that of %s.", s->server_id,
            s->server_id == s->server.server_id ? "the server itself" : "another replica that is connected now");
    wb_hint(err, "Give this pipeline another server_id, or none: one is chosen then.");
    return WB_E_CONFIG;
}

wb_code my_identity(my_source *s, wb_error *err)
{
    char kept[24];
    wb_code code = sql_fact_get(s->host, "replica_uuid", s->uuid, sizeof s->uuid, err);
    if (code == WB_OK && !s->uuid[0]) {
        random_uuid(s->uuid);
        code = sql_fact_put(s->host, "replica_uuid", s->uuid, err);
    }
    if (code != WB_OK) return code;
    if (s->server_id_option) return fixed_id(s, err);
    code = sql_fact_get(s->host, "server_id", kept, sizeof kept, err);
    uint32_t id = kept[0] ? (uint32_t)strtoul(kept, NULL, 10) : random_id();
    for (int i = 0; code == WB_OK && i < 20; i++) {
        bool clash;
        code = clashes(s, id, &clash, err);
        if (code == WB_OK && !clash) break;
        id = random_id();
    }
    if (code != WB_OK) return code;
    s->server_id = id;
    char text[24];
    (void)snprintf(text, sizeof text, "%u", id);
    return strcmp(text, kept) == 0 ? WB_OK : sql_fact_put(s->host, "server_id", text, err);
}

/* ---------------------------------------------------------------- the session of a dump */

/* As whom a dump is asked for. A second one under the same names would end the first. */
typedef struct whom {
    uint32_t id;
    char uuid[MY_UUID];
} whom;

static wb_code set_dump_session(const my_source *s, my_link *l, const whom *w, wb_error *err)
{
    char sql[600];
    int64_t ns = s->heartbeat_ms * 1000000;
    (void)snprintf(sql, sizeof sql,
                   "SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum ="
                   " @@global.binlog_checksum, @master_heartbeat_period = %" PRId64
                   ", @source_heartbeat_period = %" PRId64 ", @slave_uuid = '%s', @replica_uuid = '%s'",
                   ns, ns, w->uuid, w->uuid);
    wb_code code = my_do(l, "to prepare the dump", sql, err);
    if (code == WB_OK && l->flavor == MY_MARIADB)
        code = my_do(l, "to prepare the dump", "SET @mariadb_slave_capability = 4, @slave_gtid_ignore_duplicates = 0",
                     err);
    return code;
}

static void put_le(wb_out *o, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) wb_out_byte(o, (char)(v >> (8 * i)));
}

static void put_short(wb_out *o, const char *z)
{
    wb_out_byte(o, (char)strlen(z));
    wb_out_z(o, z);
}

static wb_code send(my_link *l, int command, wb_out *body, bool answer, const char *why, wb_error *err)
{
    wb_code code = WB_OK;
    if (body->failed)
        code = my_nomem(err);
    else if (l->my->methods->db_command(l->my, (enum enum_server_command)command, body->p, body->len, !answer, NULL) !=
             0)
        code = my_fail(l, why, err);
    wb_out_fini(body);
    return code;
}

static wb_code register_us(const my_source *s, my_link *l, wb_error *err)
{
    char host[61];
    wb_out o = {0};
    host_name(s, host);
    put_le(&o, s->server_id, 4);
    put_short(&o, host);
    put_short(&o, "");
    put_short(&o, "");
    put_le(&o, 0, 2);
    put_le(&o, 0, 4);
    put_le(&o, 0, 4);
    return send(l, REGISTER, &o, true, "to register a replica", err);
}

static wb_code dump_file(my_link *l, const whom *w, wb_str log, uint64_t offset, int flags, wb_error *err)
{
    wb_out o = {0};
    if (offset > UINT32_MAX) {
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                "The position %.*s:%" PRIu64 " lies beyond 4 GiB, where the protocol cannot begin without GTIDs.",
                (int)log.len, log.ptr, offset);
        wb_hint(err, "Set gtid_mode = ON at the server and start with a new snapshot.");
        return WB_E_UNSUPPORTED;
    }
    put_le(&o, offset, 4);
    put_le(&o, (uint64_t)flags, 2);
    put_le(&o, w->id, 4);
    wb_out_str(&o, log);
    return send(l, DUMP, &o, false, "to send its log", err);
}

static wb_code dump_mysql(my_link *l, const whom *w, const my_gtid_set *set, int flags, wb_error *err)
{
    wb_out o = {0}, sets = {0};
    my_gtid_set_encode(set, &sets);
    put_le(&o, (uint64_t)flags, 2);
    put_le(&o, w->id, 4);
    put_le(&o, 0, 4);
    put_le(&o, FIRST_OFFSET, 8);
    put_le(&o, sets.len, 4);
    wb_out_put(&o, sets.p, sets.len);
    if (sets.failed) o.failed = true;
    wb_out_fini(&sets);
    return send(l, DUMP_GTID, &o, false, "to send its log", err);
}

static wb_code dump_mariadb(my_link *l, const whom *w, const my_gtid_set *set, int flags, wb_error *err)
{
    wb_out sql = {0};
    wb_out_z(&sql, "SET @slave_connect_state = '");
    my_gtid_set_text(set, &sql);
    wb_out_z(&sql, "', @slave_gtid_strict_mode = 0");
    wb_code code = my_do(l, "to take a position", wb_out_cstr(&sql), err);
    wb_out_fini(&sql);
    return code == WB_OK ? dump_file(l, w, WB_STR(""), FIRST_OFFSET, flags, err) : code;
}

static wb_code dump_set(my_link *l, const whom *w, const my_pos *p, int flags, wb_error *err)
{
    my_gtid_set *set = my_gtid_set_new();
    wb_code code = set && my_pos_set(p, set) ? WB_OK : my_nomem(err);
    if (code == WB_OK)
        code = p->flavor == MY_MARIADB ? dump_mariadb(l, w, set, flags, err) : dump_mysql(l, w, set, flags, err);
    my_gtid_set_free(set);
    return code;
}

wb_code my_dump_start(my_source *s, my_link *l, wb_pos pos, bool once, wb_error *err)
{
    my_pos p;
    int flags = once ? NON_BLOCK : 0;
    if (s->query && s->server.flavor == MY_MARIADB) flags |= ANNOTATE_ROWS;
    if (!my_pos_read(pos, &p)) return wb_fail(err, WB_E_STATE, WB_NEVER, "The state holds a position that is damaged.");
    whom w = {.id = s->server_id};
    memcpy(w.uuid, s->uuid, sizeof w.uuid);
    if (once) {
        w.id = random_id();
        random_uuid(w.uuid);
    }
    wb_code code = set_dump_session(s, l, &w, err);
    if (code == WB_OK && !once) code = register_us(s, l, err);
    if (code == WB_OK)
        code = p.has_set ? dump_set(l, &w, &p, flags, err) : dump_file(l, &w, p.log, p.offset, flags, err);
    return code == WB_OK ? my_net_open(l, err) : code;
}

/* ---------------------------------------------------------------- events */

static wb_code fail_dump(my_link *l, unsigned number, const char *text, wb_error *err)
{
    const my_class *c = my_classify(number);
    if (my_link_stopped(l)) return my_fail_stopped(err);
    my_dump_error is = my_classify_dump(text);
    if (number != 1236 && is != MY_DUMP_CLASH) {
        wb_fail(err, c->code, c->next, "%s refused to go on sending its log: %.300s.", my_brand(l), text);
        if (c->hint) wb_hint(err, "%s", c->hint);
        return c->code;
    }
    switch (is) {
    case MY_DUMP_GAP: return my_gap(l->s, err, "The server no longer has the log that comes next: %.250s", text);
    case MY_DUMP_AHEAD: return my_gap(l->s, err, "The server's log does not hold our position: %.250s", text);
    case MY_DUMP_AGAIN:
        return wb_fail(err, WB_E_SERVER, WB_RECONNECT, "The server cannot send its log now: %.250s.", text);
    case MY_DUMP_CLASH:
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "Something else connected to the server as a replica with our server_id %u.", l->s->server_id);
        wb_hint(err,
                "Two programs with one server_id throw each other out for ever. Give this one another `server_id`; is "
                "the same pipeline running twice, with a copy of the state?");
        return WB_E_CONFIG;
    case MY_DUMP_SIZE:
        wb_fail(err, WB_E_SERVER, WB_NEVER, "The server cannot send the next event of its log: %.250s.", text);
        wb_hint(err,
                "Either max_allowed_packet of the server is too small for it, or our position is not at the beginning "
                "of an event, because the log was replaced.");
        return WB_E_SERVER;
    default: break;
    }
    return wb_fail(err, WB_E_SERVER, WB_NEVER, "%s refused to go on sending its log: %.300s.", my_brand(l), text);
}

/* Through the Connector: whole events only, and once one has begun it waits for its end. */
static wb_code read_library(my_link *l, my_packet *out, wb_error *err)
{
    struct pollfd fd = {my_link_fd(l), POLLIN, 0};
    if (!my_link_buffered(l) && poll(&fd, 1, 0) <= 0) return WB_AGAIN;
    unsigned long len = mysql_net_read_packet(l->my);
    l->heard_us = wb_mono_us();
    if (len >= UINT32_MAX || len == 0) { /* the library's packet_error is that of 32 bits */
        unsigned number = mysql_errno(l->my);
        bool told = number && (number < 2000 || number >= 3000);
        if (told) return fail_dump(l, number, mysql_error(l->my), err);
        if (number) return my_fail(l, "for its log", err);
        l->broken = true;
        return my_link_stopped(l)
                   ? my_fail_stopped(err)
                   : wb_fail(err, WB_E_NET, WB_RECONNECT, "The connection broke while the log was read.");
    }
    const uint8_t *q = l->my->net.read_pos;
    if (q[0] == 0xFE && len < 9) return WB_END;
    if (q[0] != 0 || len < 2)
        return wb_fail(err, WB_E_PROTOCOL, WB_RECONNECT,
                       "The server sent a packet that is no event (it begins with %u).", q[0]);
    *out = (my_packet){.kind = MY_PK_EVENT, .p = q + 1, .n = len - 1};
    return WB_OK;
}

wb_code my_dump_read(my_link *l, my_packet *out, wb_error *err)
{
    if (!l->net) return read_library(l, out, err);
    wb_code code = my_net_read(l, out, err);
    if (WB_UNLIKELY(code == WB_OK && out->kind == MY_PK_ERROR)) return fail_dump(l, out->number, out->text, err);
    return WB_LIKELY(code != WB_OK || out->kind != MY_PK_END) ? code : WB_END;
}

wb_code my_dump_feed(my_decoder *d, const my_packet *p, my_event *ev, wb_error *err)
{
    if (WB_UNLIKELY(p->kind == MY_PK_PART)) return my_decoder_part(d, p->p, p->n, p->last, ev, err);
    return my_decoder_feed(d, p->p, p->n, ev, err);
}

wb_code my_dump_silent(my_link *l, int64_t since_us, wb_error *err)
{
    int64_t silent = wb_mono_us() - WB_MAX(since_us, l->heard_us);
    if (silent < l->s->heartbeat_ms * 3000 + 5000000) return WB_OK;
    l->broken = true;
    return wb_fail(err, WB_E_NET, WB_RECONNECT, "The server was silent for %lld seconds, without a heartbeat.",
                   (long long)(silent / 1000000));
}

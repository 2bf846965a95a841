/* event.c: headers and bodies of binlog events, one by one; no state. Facts: MySQL's libs/mysql/binlog/event, MariaDB's
 * sql/log_event.h. */
#include "event.h"

#include <stdio.h>

/* ---------------------------------------------------------------- framing */

wb_code my_header_read(const void *p, size_t n, my_header *h, wb_error *err)
{
    wb_rd r = wb_rd_of(p, n);
    h->timestamp = my_rd_u32(&r);
    h->type = wb_rd_u8(&r);
    h->server_id = my_rd_u32(&r);
    h->length = my_rd_u32(&r);
    h->log_pos = my_rd_u32(&r);
    h->flags = my_rd_u16(&r);
    if (r.failed) return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "A binlog event ends within its header.");
    if (h->length < MY_HEADER_LEN)
        return wb_fail(err, WB_E_PROTOCOL, WB_NEVER, "A binlog event says that it has %u bytes, less than its header.",
                       h->length);
    return WB_OK;
}

wb_code my_magic_check(const void *p, size_t n, wb_error *err)
{
    static const char plain[MY_MAGIC_LEN] = {(char)0xfe, 'b', 'i', 'n'},
                      encrypted[MY_MAGIC_LEN] = {(char)0xfd, 'b', 'i', 'n'};
    if (n >= MY_MAGIC_LEN && memcmp(p, plain, MY_MAGIC_LEN) == 0) return WB_OK;
    if (n >= MY_MAGIC_LEN && memcmp(p, encrypted, MY_MAGIC_LEN) == 0) {
        wb_fail(err, WB_E_UNSUPPORTED, WB_NEVER,
                "This binlog file is encrypted by the MySQL server (binlog_encryption).");
        wb_hint(
            err,
            "Only the server has the key: read the log from the server, or let mysqlbinlog --read-from-remote-server "
            "--raw fetch it in plain form.");
        return WB_E_UNSUPPORTED;
    }
    wb_fail(err, WB_E_PROTOCOL, WB_NEVER,
            "This is not a binlog file: it does not begin with the four bytes fe 62 69 6e.");
    wb_hint(err, "Files that are compressed must be given decompressed, and index files are not logs.");
    return WB_E_PROTOCOL;
}

bool my_type_in_parts(uint8_t type)
{
    return my_is_rows(type) || type == MY_TRANSACTION_PAYLOAD || type == MY_PARTIAL_ROW_DATA;
}

const char *my_event_name(uint8_t type, my_flavor flavor)
{
    static const char *const names[] = {NULL,
                                        "START_V3",
                                        "QUERY",
                                        "STOP",
                                        "ROTATE",
                                        "INTVAR",
                                        "LOAD",
                                        "SLAVE",
                                        "CREATE_FILE",
                                        "APPEND_BLOCK",
                                        "EXEC_LOAD",
                                        "DELETE_FILE",
                                        "NEW_LOAD",
                                        "RAND",
                                        "USER_VAR",
                                        "FORMAT_DESCRIPTION",
                                        "XID",
                                        "BEGIN_LOAD_QUERY",
                                        "EXECUTE_LOAD_QUERY",
                                        "TABLE_MAP",
                                        "WRITE_ROWS_V0",
                                        "UPDATE_ROWS_V0",
                                        "DELETE_ROWS_V0",
                                        "WRITE_ROWS_V1",
                                        "UPDATE_ROWS_V1",
                                        "DELETE_ROWS_V1",
                                        "INCIDENT",
                                        "HEARTBEAT",
                                        "IGNORABLE",
                                        "ROWS_QUERY",
                                        "WRITE_ROWS",
                                        "UPDATE_ROWS",
                                        "DELETE_ROWS",
                                        "GTID",
                                        "ANONYMOUS_GTID",
                                        "PREVIOUS_GTIDS",
                                        "TRANSACTION_CONTEXT",
                                        "VIEW_CHANGE",
                                        "XA_PREPARE",
                                        "PARTIAL_UPDATE_ROWS",
                                        "TRANSACTION_PAYLOAD",
                                        "HEARTBEAT_V2",
                                        "GTID_TAGGED"};
    static const char *const mariadb[] = {"ANNOTATE_ROWS",
                                          "BINLOG_CHECKPOINT",
                                          "GTID",
                                          "GTID_LIST",
                                          "START_ENCRYPTION",
                                          "QUERY_COMPRESSED",
                                          "WRITE_ROWS_COMPRESSED_V1",
                                          "UPDATE_ROWS_COMPRESSED_V1",
                                          "DELETE_ROWS_COMPRESSED_V1",
                                          "WRITE_ROWS_COMPRESSED",
                                          "UPDATE_ROWS_COMPRESSED",
                                          "DELETE_ROWS_COMPRESSED",
                                          "PARTIAL_ROW_DATA"};
    if (type < WB_COUNT(names)) return names[type];
    if (flavor == MY_MYSQL || type < MY_ANNOTATE_ROWS || type - MY_ANNOTATE_ROWS >= (int)WB_COUNT(mariadb)) return NULL;
    return mariadb[type - MY_ANNOTATE_ROWS];
}

/* ---------------------------------------------------------------- FORMAT_DESCRIPTION */

/* "8.0.36" to 80036; 0: no version. */
static unsigned version_number(const char *text)
{
    unsigned part[3] = {0};
    for (int i = 0; i < 3; i++) {
        while (*text >= '0' && *text <= '9' && part[i] < 1000) part[i] = part[i] * 10 + (unsigned)(*text++ - '0');
        if (*text != '.') break;
        text++;
    }
    return part[0] * 10000 + part[1] * 100 + part[2];
}

const char *my_format_read(const uint8_t *p, size_t n, my_format *out)
{
    enum { FIXED = 2 + 50 + 4 + 1, TAIL = 1 + 4 };
    memset(out, 0, sizeof *out);
    if (n < FIXED) return "it ends too early";
    if (my_get_u16(p) != 4) return "its version is not 4";
    if (p[56] != MY_HEADER_LEN) return "it says that headers of events are not 19 bytes long";
    char version[51] = {0};
    memcpy(version, p + 2, 50);
    out->server = (wb_str){(const char *)p + 2, strlen(version)};
    out->flavor = strstr(version, "MariaDB") ? MY_MARIADB : MY_MYSQL;
    out->created = my_get_u32(p + 52);
    /* Since MySQL 5.6.1 and MariaDB 5.3 the algorithm and a checksum end the event. */
    bool tail = version_number(version) >= (out->flavor == MY_MARIADB ? 50300u : 50601u);
    size_t left = n - FIXED;
    if (tail && left < TAIL) return "it ends too early";
    if (tail) {
        left -= TAIL;
        uint8_t algorithm = p[FIXED + left];
        if (algorithm > 1) return "its checksums are of an unknown kind";
        out->checksums = algorithm == 1;
    }
    memcpy(out->post_header + 1, p + FIXED, WB_MIN(left, (size_t)255));
    return NULL;
}

/* ---------------------------------------------------------------- QUERY */

/* MariaDB, of a GTID and in a statement's variables. */
enum { MULTI_ENGINE = 1, START_ALTER = 2, COMMIT_ALTER = 4, ROLLBACK_ALTER = 8, THREAD_ID = 16 };

/* Codes are not self-describing: an unknown one ends the block. MySQL and MariaDB agree below 128. */
static void read_status(wb_rd r, my_query *out)
{
    while (wb_rd_left(&r) > 0 && !r.failed) {
        uint8_t code = wb_rd_u8(&r);
        switch (code) {
        case 0: my_rd_u32(&r); break; /* flags2 */
        case 1: out->sql_mode = my_rd_u64(&r); break;
        case 2: my_rd_str(&r, wb_rd_u8(&r) + 1u); break; /* catalog */
        case 3: my_rd_u32(&r); break;                    /* auto_increment */
        case 4:
            out->client_charset = my_rd_u16(&r);
            my_rd_u32(&r);
            break;
        case 5:
        case 6: my_rd_str(&r, wb_rd_u8(&r)); break; /* time zone, catalog */
        case 7:
        case 8:
        case 18: my_rd_u16(&r); break; /* lc_time, database's charset, default of utf8mb4 */
        case 9:
        case 14:
        case 15:
        case 17: my_rd_u64(&r); break; /* tables to update, commit times, DDL's xid */
        case 10: my_rd_u32(&r); break;
        case 11:
            my_rd_str(&r, wb_rd_u8(&r)); /* invoker */
            my_rd_str(&r, wb_rd_u8(&r));
            break;
        case 12: {
            unsigned n = wb_rd_u8(&r);
            for (unsigned i = 0; n != 254 && i < n && !r.failed; i++) wb_rd_cstr(&r);
            break;
        }
        case 13:
        case 128:
            out->us = (uint32_t)my_rd_le(&r, 3);
            out->has_us = !r.failed && out->us < 1000000;
            break;
        case 16:
        case 19:
        case 20: wb_rd_u8(&r); break;   /* explicit defaults, required key, encryption */
        case 129: my_rd_u64(&r); break; /* MariaDB: xid */
        case 130:                       /* MariaDB: flags of the GTID; of an ALTER's end, of which */
            if (wb_rd_u8(&r) & (COMMIT_ALTER | ROLLBACK_ALTER)) my_rd_u64(&r);
            break;
        case 131: my_rd_str(&r, wb_rd_u8(&r) * 4u); break; /* MariaDB: default collations of character sets */
        default: return;
        }
    }
}

bool my_query_read(wb_rd r, my_flavor flavor, unsigned post_header, my_query *out)
{
    WB_UNUSED(flavor);
    memset(out, 0, sizeof *out);
    out->thread_id = my_rd_u32(&r);
    out->exec_time = my_rd_u32(&r);
    uint8_t schema_len = wb_rd_u8(&r);
    out->error = my_rd_u16(&r);
    uint16_t status = my_rd_u16(&r);
    if (post_header > 13) my_rd_str(&r, post_header - 13u);
    const uint8_t *p = wb_rd_bytes(&r, status);
    if (p) read_status(wb_rd_of(p, status), out);
    out->schema = my_rd_str(&r, schema_len);
    if (wb_rd_u8(&r) != 0) return false;
    out->sql = my_rd_rest(&r);
    return !r.failed;
}

/* ---------------------------------------------------------------- GTIDs */

/* Optional tail of events 33 and 34: bytes that are not there say nothing. */
static void read_commit_time(wb_rd *r, my_gtid_event *out)
{
    if (wb_rd_left(r) < 1 + 16 + 7) return;
    my_rd_str(r, 1 + 16); /* logical clock */
    out->commit_us = (int64_t)(my_rd_le(r, 7) & ~((uint64_t)1 << 55));
}

static bool read_mysql(wb_rd *r, bool anonymous, my_gtid_event *out)
{
    wb_rd_u8(r); /* flags */
    wb_str sid = my_rd_str(r, MY_SID_LEN);
    uint64_t n = my_rd_u64(r);
    if (r->failed) return false;
    if (!anonymous) {
        out->gtid.flavor = MY_MYSQL;
        memcpy(out->gtid.sid, sid.ptr, MY_SID_LEN);
        out->gtid.n = n;
        if (n == 0 || n > INT64_MAX) return false;
    }
    read_commit_time(r, out);
    return true;
}

/* mysql::serialization: fields with numbers, ascending; those up to the last one that must be known are known here. */
static bool read_tagged(wb_rd *r, my_gtid_event *out)
{
    enum {
        FLAGS,
        UUID,
        GNO,
        TAG,
        LAST_COMMITTED,
        SEQUENCE,
        COMMIT,
        ORIGINAL_COMMIT,
        LENGTH,
        VERSION,
        ORIGINAL_VERSION,
        TICKET
    };
    my_rd_varint(r); /* version of the format */
    uint64_t size = my_rd_varint(r), must = my_rd_varint(r);
    if (r->failed || must > TICKET + 1) return false;
    WB_UNUSED(size);
    out->gtid.flavor = MY_MYSQL;
    bool uuid = false, gno = false;
    while (wb_rd_left(r) > 0 && !r->failed) {
        uint64_t field = my_rd_varint(r);
        if (field == UUID) {
            for (int i = 0; i < MY_SID_LEN; i++) out->gtid.sid[i] = (uint8_t)my_rd_varint(r);
            uuid = true;
        } else if (field == GNO) {
            int64_t n = my_rd_svarint(r);
            if (n <= 0) return false;
            out->gtid.n = (uint64_t)n;
            gno = true;
        } else if (field == TAG) {
            wb_str tag = my_rd_str(r, my_rd_varint(r));
            if (tag.len > MY_TAG_MAX || memchr(tag.ptr, 0, tag.len)) return false;
            memcpy(out->gtid.tag, tag.ptr, tag.len);
        } else if (field == COMMIT) {
            out->commit_us = (int64_t)my_rd_varint(r);
        } else if (field <= TICKET) {
            my_rd_varint(r); /* signed ones have the same length */
        } else {
            break; /* newer than we, and may be ignored */
        }
    }
    return uuid && gno && !r->failed;
}

static bool read_mariadb(wb_rd *r, uint32_t server_id, my_gtid_event *out)
{
    enum { STANDALONE = 1, GROUP_COMMIT = 2, PREPARED_XA = 0x40, COMPLETED_XA = 0x80 };
    out->gtid = (my_gtid){.flavor = MY_MARIADB, .n = my_rd_u64(r), .server = server_id};
    out->gtid.domain = my_rd_u32(r);
    uint8_t flags = wb_rd_u8(r);
    if (r->failed) return false;
    out->standalone = flags & STANDALONE;
    wb_rd tail = *r; /* padded with zeros, and by old servers not there */
    if (flags & GROUP_COMMIT) my_rd_u64(&tail);
    if (flags & (PREPARED_XA | COMPLETED_XA)) {
        my_rd_u32(&tail);
        unsigned n = wb_rd_u8(&tail);
        n += wb_rd_u8(&tail);
        my_rd_str(&tail, n);
    }
    if (tail.failed || wb_rd_left(&tail) == 0) return true;
    uint8_t extra = wb_rd_u8(&tail);
    if (extra & MULTI_ENGINE) wb_rd_u8(&tail);
    if (extra & (COMMIT_ALTER | ROLLBACK_ALTER)) my_rd_u64(&tail);
    out->start_alter = extra & START_ALTER;
    out->rollback_alter = extra & ROLLBACK_ALTER;
    if (extra & THREAD_ID && wb_rd_left(&tail) >= 4) out->thread_id = my_rd_u32(&tail);
    return true;
}

bool my_gtid_read(wb_rd r, uint8_t type, uint32_t server_id, my_gtid_event *out)
{
    memset(out, 0, sizeof *out);
    if (type == MY_MARIADB_GTID) return read_mariadb(&r, server_id, out);
    if (type == MY_GTID_TAGGED) return read_tagged(&r, out);
    return read_mysql(&r, type == MY_ANONYMOUS_GTID, out);
}

bool my_gtid_list_read(wb_rd r, my_gtid_set *out)
{
    uint32_t n = my_rd_u32(&r) & 0x0fffffff;
    if (n > wb_rd_left(&r) / 16) return false;
    for (; n > 0; n--) {
        my_gtid g = {.flavor = MY_MARIADB, .domain = my_rd_u32(&r)};
        g.server = my_rd_u32(&r);
        g.n = my_rd_u64(&r);
        if (!my_gtid_set_add(out, &g)) return false;
    }
    return !r.failed;
}

/* ---------------------------------------------------------------- the others */

static char *put_hex(char *q, wb_str s)
{
    static const char digits[] = "0123456789abcdef";
    *q++ = 'X';
    *q++ = '\'';
    for (size_t i = 0; i < s.len; i++) {
        *q++ = digits[(uint8_t)s.ptr[i] >> 4];
        *q++ = digits[s.ptr[i] & 15];
    }
    *q++ = '\'';
    return q;
}

bool my_xa_prepare_read(wb_rd r, my_xa *out)
{
    out->one_phase = wb_rd_u8(&r) != 0;
    uint32_t format = my_rd_u32(&r), gtrid_len = my_rd_u32(&r), bqual_len = my_rd_u32(&r);
    if (gtrid_len > 64 || bqual_len > 64) return false;
    wb_str gtrid = my_rd_str(&r, gtrid_len), bqual = my_rd_str(&r, bqual_len);
    if (r.failed) return false;
    char *q = put_hex(out->name, gtrid);
    *q++ = ',';
    q = put_hex(q, bqual);
    snprintf(q, 12, ",%u", format);
    return true;
}

bool my_heartbeat2_read(wb_rd r, wb_str *log, uint64_t *pos)
{
    enum { END, FILE_NAME, POSITION };
    *log = (wb_str){"", 0};
    *pos = 0;
    while (wb_rd_left(&r) > 0) {
        uint64_t field = my_rd_lenenc(&r);
        if (field == END) break;
        wb_str value = my_rd_lenenc_str(&r);
        wb_rd v = wb_rd_of(value.ptr, value.len);
        if (field == FILE_NAME) *log = value;
        if (field == POSITION) *pos = my_rd_lenenc(&v);
        if (v.failed) return false;
    }
    return !r.failed;
}

bool my_compressed_read(wb_rd *r, uint64_t *length)
{
    uint8_t head = wb_rd_u8(r);
    unsigned n = head & 7;
    const uint8_t *p = wb_rd_bytes(r, n);
    if (!p || (head & 0xf8) != 0x80 || n == 0 || n > 4) return false; /* algorithm 0: zlib */
    *length = my_get_be(p, n);
    return true;
}

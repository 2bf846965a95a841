/* event.h: the bodies of single events, read into structs that point into them. Pure; wire.h's readers underneath.
 * Called by feed.c (every event that is not a row) and replay.c (statements). Every reader is for the body alone:
 * behind the header, without the checksum; false: the body is damaged. */
#ifndef WB_MY_EVENT_H
#define WB_MY_EVENT_H
#include "decoder.h"
#include "wire.h"

typedef enum my_type {
    MY_START_V3 = 1,
    MY_QUERY = 2,
    MY_STOP = 3,
    MY_ROTATE = 4,
    MY_INTVAR = 5,
    MY_LOAD = 6,
    MY_SLAVE = 7,
    MY_CREATE_FILE = 8,
    MY_APPEND_BLOCK = 9,
    MY_EXEC_LOAD = 10,
    MY_DELETE_FILE = 11,
    MY_NEW_LOAD = 12,
    MY_RAND = 13,
    MY_USER_VAR = 14,
    MY_FORMAT_DESCRIPTION = 15,
    MY_XID = 16,
    MY_BEGIN_LOAD_QUERY = 17,
    MY_EXECUTE_LOAD_QUERY = 18,
    MY_TABLE_MAP = 19,
    MY_WRITE_ROWS_V0 = 20,
    MY_UPDATE_ROWS_V0 = 21,
    MY_DELETE_ROWS_V0 = 22,
    MY_WRITE_ROWS_V1 = 23,
    MY_UPDATE_ROWS_V1 = 24,
    MY_DELETE_ROWS_V1 = 25,
    MY_INCIDENT = 26,
    MY_HEARTBEAT = 27,
    MY_IGNORABLE = 28,
    MY_ROWS_QUERY = 29,
    MY_WRITE_ROWS = 30,
    MY_UPDATE_ROWS = 31,
    MY_DELETE_ROWS = 32,
    MY_GTID = 33,
    MY_ANONYMOUS_GTID = 34,
    MY_PREVIOUS_GTIDS = 35,
    MY_TRANSACTION_CONTEXT = 36,
    MY_VIEW_CHANGE = 37,
    MY_XA_PREPARE = 38,
    MY_PARTIAL_UPDATE_ROWS = 39,
    MY_TRANSACTION_PAYLOAD = 40,
    MY_HEARTBEAT_V2 = 41,
    MY_GTID_TAGGED = 42,
    MY_ANNOTATE_ROWS = 160,
    MY_BINLOG_CHECKPOINT = 161,
    MY_MARIADB_GTID = 162,
    MY_GTID_LIST = 163,
    MY_START_ENCRYPTION = 164,
    MY_QUERY_COMPRESSED = 165,
    MY_WRITE_ROWS_COMPRESSED_V1 = 166,
    MY_UPDATE_ROWS_COMPRESSED_V1 = 167,
    MY_DELETE_ROWS_COMPRESSED_V1 = 168,
    MY_WRITE_ROWS_COMPRESSED = 169,
    MY_UPDATE_ROWS_COMPRESSED = 170,
    MY_DELETE_ROWS_COMPRESSED = 171,
    MY_PARTIAL_ROW_DATA = 172
} my_type;

static inline bool my_is_rows(uint8_t t)
{
    return (t >= MY_WRITE_ROWS_V0 && t <= MY_DELETE_ROWS_V1) || (t >= MY_WRITE_ROWS && t <= MY_DELETE_ROWS) ||
           t == MY_PARTIAL_UPDATE_ROWS || (t >= MY_WRITE_ROWS_COMPRESSED_V1 && t <= MY_DELETE_ROWS_COMPRESSED);
}
/* May an event of this type be taken in parts (my_decoder_part)? Those that hold what was changed may. */
bool my_type_in_parts(uint8_t type);

enum { MY_FLAG_THREAD_SPECIFIC = 0x04, MY_FLAG_ARTIFICIAL = 0x20, MY_FLAG_IGNORABLE = 0x80 };

typedef struct my_format {
    wb_str server; /* "8.0.36", "10.11.6-MariaDB-log" */
    my_flavor flavor;
    uint32_t created; /* 0: not the first file since the server started */
    bool checksums;
    uint8_t post_header[256]; /* by type */
} my_format;
/* p, n: the body with its checksum, which the event itself announces. Returns NULL, or what is wrong. */
const char *my_format_read(const uint8_t *p, size_t n, my_format *out);

typedef struct my_query {
    uint32_t thread_id, exec_time;
    uint16_t error;
    uint64_t sql_mode;
    uint32_t client_charset; /* collation id; 0: not said */
    uint32_t us;             /* fraction of the time of its header */
    bool has_us;
    wb_str schema, sql; /* sql: compressed when the event is */
} my_query;
/* post_header: of the type by the format description (13; 26 with a file to load). */
bool my_query_read(wb_rd r, my_flavor flavor, unsigned post_header, my_query *out);

typedef struct my_gtid_event {
    my_gtid gtid;
    int64_t commit_us; /* 0: not said */
    /* MariaDB */
    bool standalone, start_alter, rollback_alter;
    uint32_t thread_id;
} my_gtid_event;
bool my_gtid_read(wb_rd r, uint8_t type, uint32_t server_id, my_gtid_event *out);
bool my_gtid_list_read(wb_rd r, my_gtid_set *out);

typedef struct my_xa {
    bool one_phase;
    char name[3 * 128 + 32]; /* X'…',X'…',1 */
} my_xa;
bool my_xa_prepare_read(wb_rd r, my_xa *out);

/* HEARTBEAT_V2: file and position. */
bool my_heartbeat2_read(wb_rd r, wb_str *log, uint64_t *pos);

/* MariaDB's compression of queries and rows: length of what comes out, and where the zlib stream begins. */
bool my_compressed_read(wb_rd *r, uint64_t *length);
#endif

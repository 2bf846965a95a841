/* jsonb.h: MySQL's binary JSON to JSON text, byte for byte as the server prints it; and the changes of partial updates.
 * Pure. Offsets are followed as they are written, never assumed to be in order (the server leaves gaps). */
#ifndef WB_MY_JSONB_H
#define WB_MY_JSONB_H
#include "base/arena.h"
#include "base/buf.h"

enum { MY_JSON_DEPTH = 100 }; /* the server's own limit */

typedef enum my_json_type {
    MY_JSON_SMALL_OBJECT = 0,
    MY_JSON_LARGE_OBJECT = 1,
    MY_JSON_SMALL_ARRAY = 2,
    MY_JSON_LARGE_ARRAY = 3,
    MY_JSON_LITERAL = 4,
    MY_JSON_INT16 = 5,
    MY_JSON_UINT16 = 6,
    MY_JSON_INT32 = 7,
    MY_JSON_UINT32 = 8,
    MY_JSON_INT64 = 9,
    MY_JSON_UINT64 = 10,
    MY_JSON_DOUBLE = 11,
    MY_JSON_STRING = 12,
    MY_JSON_OPAQUE = 15
} my_json_type;

/* One value: its payload and all that follows it. */
typedef struct my_json {
    uint8_t type;
    const uint8_t *p;
    size_t n;
} my_json;
/* An object or array whose head was read and fits. */
typedef struct my_json_box {
    bool object;
    uint8_t width; /* of counts and offsets: 2 or 4 */
    uint32_t count;
    const uint8_t *p; /* where offsets count from */
    size_t n;
} my_json_box;

/* All of these: false when the bytes are damaged. n 0 is the JSON null. */
bool my_json_open(const void *p, size_t n, my_json *out);
static inline bool my_json_is_box(const my_json *v) { return v->type <= MY_JSON_LARGE_ARRAY; }
bool my_json_unbox(const my_json *v, my_json_box *out);
bool my_json_key(const my_json_box *b, uint32_t i, wb_str *out);
bool my_json_item(const my_json_box *b, uint32_t i, my_json *out);
/* Appends text; the limit of `o` stops values that point at themselves. */
bool my_json_put(const my_json *v, unsigned depth, wb_out *o);
bool my_json_put_string(wb_out *o, wb_str s); /* with quotes and the server's escapes */

/* A whole value to text. */
bool my_json_text(const void *p, size_t n, wb_out *o);

/* Diffs of a PARTIAL_UPDATE_ROWS event (the bytes after their total length) applied to the value before. Memory of the
 * arena is used and not given back. NULL: done; else why not. */
const char *my_json_apply(const void *before, size_t n, const void *diffs, size_t m, wb_arena *a, wb_out *o);
#endif

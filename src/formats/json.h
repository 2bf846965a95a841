/* json.h: values to JSON text. What every JSON format is made of; also used for status and dead letters.
 * Two layers: wb_json_* append to a wb_out and grow it; put_* style functions (wb_json_put...) write to memory whose
 * room the caller has made with wb_json_room. Pure, any thread; nothing is kept. */
#ifndef WB_JSON_H
#define WB_JSON_H
#include "base/buf.h"

typedef struct wb_json_options {
    bool hex;         /* BYTES as lower-case hex; else base64 */
    bool absent_null; /* ABSENT and UNCHANGED columns as null; else left out (objects only) */
} wb_json_options;

/* ---- appending; on no memory `o->failed` */

/* Text with JSON's escapes, without quotes. Bytes that are not UTF-8 become U+FFFD. */
void wb_json_escape(wb_out *o, const char *p, size_t n);
/* The same in quotes. */
void wb_json_string(wb_out *o, wb_str s);
/* "name" or null when empty. */
void wb_json_string_or_null(wb_out *o, wb_str s);
void wb_json_base64(wb_out *o, const void *p, size_t n); /* without quotes */
void wb_json_hex(wb_out *o, const void *p, size_t n);    /* without quotes */
/* One value. ABSENT and UNCHANGED: null. Newlines of embedded JSON become spaces, so that a line stays a line.
 * WB_E_UNSUPPORTED: a document; WB_E_DATA: bytes whose text is not hex; WB_E_NOMEM. Both of the first: WB_POISON. */
wb_code wb_json_value(wb_out *o, const wb_value *v, const wb_json_options *opt, wb_error *err) WB_MUST;
/* The name of a change, the same after a crash; nothing for a row of a snapshot without a key. opt NULL: plain. */
wb_code wb_json_event_id(wb_out *o, const wb_txn *txn, const wb_change *c, const wb_json_options *opt,
                         wb_error *err) WB_MUST;
bool wb_utf8_valid(const char *p, size_t n);

/* ---- writing without checks, for the hot path */

enum { WB_JSON_SMALL = 16 * 1024 }; /* values up to this length may go through wb_json_put */

/* Bytes that wb_json_put may touch. */
static inline size_t wb_json_room(const wb_value *v)
{
    return (v->flags & WB_V_TEXT) || v->kind == WB_BYTES ? (size_t)v->len * 6 + 64 : 64;
}
static inline bool wb_json_small(const wb_value *v)
{
    return !((v->flags & WB_V_TEXT) || v->kind == WB_BYTES || v->kind == WB_DOCUMENT) || v->len <= WB_JSON_SMALL;
}
/* Returns the end, or NULL: refused, ask wb_json_value why. */
char *wb_json_put(char *q, const wb_value *v, const wb_json_options *opt);
char *wb_json_put_i64(char *q, int64_t v); /* up to 20 bytes, touches no more */
char *wb_json_put_u64(char *q, uint64_t v);
char *wb_json_put_time(char *q,
                       const wb_value *v); /* DATE, TIME, TIMESTAMP, TIMESTAMPTZ in number form, quoted; 40 bytes */

/* Copy of n bytes that is quick for short n; touches nothing outside. */
static inline char *wb_json_copy(char *q, const char *p, size_t n)
{
    if (n >= 8 && n <= 16) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
        memcpy(q, &a, 8);
        memcpy(q + n - 8, &b, 8);
    } else if (n >= 4 && n < 8) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        memcpy(q, &a, 4);
        memcpy(q + n - 4, &b, 4);
    } else if (n > 16) {
        memcpy(q, p, n);
    } else {
        for (size_t i = 0; i < n; i++) q[i] = p[i];
    }
    return q + n;
}
#endif

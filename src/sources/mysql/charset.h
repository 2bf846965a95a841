/* charset.h: the servers' character sets to UTF-8. Pure (iconv loads its tables from the C library). */
#ifndef WB_MY_CHARSET_H
#define WB_MY_CHARSET_H
#include "base/base.h"

typedef enum my_cs_form {
    MY_CS_BINARY,
    MY_CS_UTF8, /* utf8mb3, utf8mb4 */
    MY_CS_ASCII,
    MY_CS_SINGLE,
    MY_CS_UTF16, /* big-endian; ucs2 too */
    MY_CS_UTF16LE,
    MY_CS_UTF32, /* big-endian */
    MY_CS_ICONV
} my_cs_form;

typedef struct my_charset {
    const char *name;
    uint8_t form;     /* my_cs_form                          */
    uint8_t max;      /* bytes of the longest character      */
    uint8_t index;    /* SINGLE: its table; ICONV: its place */
    const char *libc; /* ICONV: the C library's name for it  */
} my_charset;

const my_charset *my_charset_of_name(wb_str name);      /* NULL: unknown; "utf8" is utf8mb3 */
const my_charset *my_charset_of_collation(uint32_t id); /* NULL: unknown */
extern const my_charset *const my_cs_utf8mb4, *const my_cs_binary;

/* What conversions need between calls. One thread. */
enum { MY_ICONVS = 9 };
typedef struct my_conv {
    void *open[MY_ICONVS]; /* iconv_t */
} my_conv;
void my_conv_fini(my_conv *c);

/* Bytes that n bytes may become. */
static inline size_t my_utf8_room(const my_charset *cs, size_t n)
{
    return cs->form <= MY_CS_ASCII ? n * (cs->form == MY_CS_ASCII ? 3 : 1) : n * 3 + 4;
}
/* Writes UTF-8 to q, which has my_utf8_room (with `replace`: 3 n + 4). Returns the end; NULL: bytes that are not of the
 * set, and not `replace` (then they become U+FFFD). UTF8 form: bytes are checked and copied. */
char *my_to_utf8(my_conv *c, const my_charset *cs, char *q, const uint8_t *p, size_t n, bool replace);

/* Copies n bytes to q while they are ASCII, in steps; returns how many were (all before the first that is not). May
 * write up to 8 bytes more than that, never beyond q + n. */
static inline size_t my_copy_ascii(char *q, const uint8_t *p, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        memcpy(q + i, &w, 8);
        if (WB_UNLIKELY(w & 0x8080808080808080u)) break;
    }
    while (i < n && p[i] < 0x80) {
        q[i] = (char)p[i];
        i++;
    }
    return i;
}
#endif

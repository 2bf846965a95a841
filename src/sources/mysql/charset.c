/* charset.c: character sets of MySQL and MariaDB to UTF-8. 8-bit sets by the servers' own tables, Unicode forms by
 * hand, the East Asian ones by iconv with the few characters that the servers see differently. Called by values and
 * DDL. */
#include "charset.h"

#include <errno.h>
#include <iconv.h>
#include <strings.h>

#include "charset_tables.h"

/* ---------------------------------------------------------------- names and numbers */

enum {
    LATIN1,
    LATIN2,
    DEC8,
    CP850,
    HP8,
    KOI8R,
    HEBREW,
    TIS620,
    KOI8U,
    GREEK,
    CP1250,
    LATIN5,
    ARMSCII8,
    CP866,
    KEYBCS2,
    MACCE,
    MACROMAN,
    CP852,
    LATIN7,
    CP1251,
    CP1256,
    CP1257,
    GEOSTD8,
    SWE7, /* MY_SINGLES: places in the tables */
    UTF8MB4,
    UTF8MB3,
    ASCII,
    BINARY,
    UCS2,
    UTF16,
    UTF16LE,
    UTF32,
    SJIS,
    CP932,
    UJIS,
    EUCJPMS,
    EUCKR,
    GB2312,
    GBK,
    BIG5,
    GB18030,
    CHARSETS
};
enum { ODD_SJIS, ODD_CP932, ODD_UJIS, ODD_EUCJPMS, ODD_EUCKR, ODD_GB2312, ODD_GBK, ODD_BIG5, ODD_GB18030 };

#define SINGLE(id, name) [id] = {name, MY_CS_SINGLE, 1, id, NULL}
static const my_charset charsets[CHARSETS] = {
    SINGLE(LATIN1, "latin1"),
    SINGLE(LATIN2, "latin2"),
    SINGLE(DEC8, "dec8"),
    SINGLE(CP850, "cp850"),
    SINGLE(HP8, "hp8"),
    SINGLE(KOI8R, "koi8r"),
    SINGLE(HEBREW, "hebrew"),
    SINGLE(TIS620, "tis620"),
    SINGLE(KOI8U, "koi8u"),
    SINGLE(GREEK, "greek"),
    SINGLE(CP1250, "cp1250"),
    SINGLE(LATIN5, "latin5"),
    SINGLE(ARMSCII8, "armscii8"),
    SINGLE(CP866, "cp866"),
    SINGLE(KEYBCS2, "keybcs2"),
    SINGLE(MACCE, "macce"),
    SINGLE(MACROMAN, "macroman"),
    SINGLE(CP852, "cp852"),
    SINGLE(LATIN7, "latin7"),
    SINGLE(CP1251, "cp1251"),
    SINGLE(CP1256, "cp1256"),
    SINGLE(CP1257, "cp1257"),
    SINGLE(GEOSTD8, "geostd8"),
    SINGLE(SWE7, "swe7"),
    [UTF8MB4] = {"utf8mb4", MY_CS_UTF8, 4, 0, NULL},
    [UTF8MB3] = {"utf8mb3", MY_CS_UTF8, 3, 0, NULL},
    [ASCII] = {"ascii", MY_CS_ASCII, 1, 0, NULL},
    [BINARY] = {"binary", MY_CS_BINARY, 1, 0, NULL},
    [UCS2] = {"ucs2", MY_CS_UTF16, 2, 0, NULL},
    [UTF16] = {"utf16", MY_CS_UTF16, 4, 0, NULL},
    [UTF16LE] = {"utf16le", MY_CS_UTF16LE, 4, 0, NULL},
    [UTF32] = {"utf32", MY_CS_UTF32, 4, 0, NULL},
    [SJIS] = {"sjis", MY_CS_ICONV, 2, ODD_SJIS, "CP932"},
    [CP932] = {"cp932", MY_CS_ICONV, 2, ODD_CP932, "CP932"},
    [UJIS] = {"ujis", MY_CS_ICONV, 3, ODD_UJIS, "EUC-JP-MS"},
    [EUCJPMS] = {"eucjpms", MY_CS_ICONV, 3, ODD_EUCJPMS, "EUC-JP-MS"},
    [EUCKR] = {"euckr", MY_CS_ICONV, 2, ODD_EUCKR, "UHC"},
    [GB2312] = {"gb2312", MY_CS_ICONV, 2, ODD_GB2312, "EUC-CN"},
    [GBK] = {"gbk", MY_CS_ICONV, 2, ODD_GBK, "GBK"},
    [BIG5] = {"big5", MY_CS_ICONV, 2, ODD_BIG5, "BIG5"},
    [GB18030] = {"gb18030", MY_CS_ICONV, 4, ODD_GB18030, "GB18030"},
};
static const my_odd *const odd_ones[MY_ICONVS] = {
    [ODD_SJIS] = my_odd_sjis, [ODD_UJIS] = my_odd_ujis, [ODD_BIG5] = my_odd_big5, [ODD_GB18030] = my_odd_gb18030};

const my_charset *const my_cs_utf8mb4 = &charsets[UTF8MB4], *const my_cs_binary = &charsets[BINARY];

const my_charset *my_charset_of_name(wb_str name)
{
    if (name.len == 4 && strncasecmp(name.ptr, "utf8", 4) == 0) return &charsets[UTF8MB3];
    for (size_t i = 0; i < CHARSETS; i++)
        if (strlen(charsets[i].name) == name.len && strncasecmp(charsets[i].name, name.ptr, name.len) == 0)
            return &charsets[i];
    return NULL;
}

/* Numbers of collations below 1024 on all three servers, in runs. */
static const struct {
    uint16_t first, last;
    uint8_t charset;
} runs[] = {{1, 1, BIG5},        {2, 2, LATIN2},      {3, 3, DEC8},        {4, 4, CP850},       {5, 5, LATIN1},
            {6, 6, HP8},         {7, 7, KOI8R},       {8, 8, LATIN1},      {9, 9, LATIN2},      {10, 10, SWE7},
            {11, 11, ASCII},     {12, 12, UJIS},      {13, 13, SJIS},      {14, 14, CP1251},    {15, 15, LATIN1},
            {16, 16, HEBREW},    {18, 18, TIS620},    {19, 19, EUCKR},     {20, 20, LATIN7},    {21, 21, LATIN2},
            {22, 22, KOI8U},     {23, 23, CP1251},    {24, 24, GB2312},    {25, 25, GREEK},     {26, 26, CP1250},
            {27, 27, LATIN2},    {28, 28, GBK},       {29, 29, CP1257},    {30, 30, LATIN5},    {31, 31, LATIN1},
            {32, 32, ARMSCII8},  {33, 33, UTF8MB3},   {34, 34, CP1250},    {35, 35, UCS2},      {36, 36, CP866},
            {37, 37, KEYBCS2},   {38, 38, MACCE},     {39, 39, MACROMAN},  {40, 40, CP852},     {41, 42, LATIN7},
            {43, 43, MACCE},     {44, 44, CP1250},    {45, 46, UTF8MB4},   {47, 49, LATIN1},    {50, 52, CP1251},
            {53, 53, MACROMAN},  {54, 55, UTF16},     {56, 56, UTF16LE},   {57, 57, CP1256},    {58, 59, CP1257},
            {60, 61, UTF32},     {62, 62, UTF16LE},   {63, 63, BINARY},    {64, 64, ARMSCII8},  {65, 65, ASCII},
            {66, 66, CP1250},    {67, 67, CP1256},    {68, 68, CP866},     {69, 69, DEC8},      {70, 70, GREEK},
            {71, 71, HEBREW},    {72, 72, HP8},       {73, 73, KEYBCS2},   {74, 74, KOI8R},     {75, 75, KOI8U},
            {76, 76, UTF8MB3},   {77, 77, LATIN2},    {78, 78, LATIN5},    {79, 79, LATIN7},    {80, 80, CP850},
            {81, 81, CP852},     {82, 82, SWE7},      {83, 83, UTF8MB3},   {84, 84, BIG5},      {85, 85, EUCKR},
            {86, 86, GB2312},    {87, 87, GBK},       {88, 88, SJIS},      {89, 89, TIS620},    {90, 90, UCS2},
            {91, 91, UJIS},      {92, 93, GEOSTD8},   {94, 94, LATIN1},    {95, 96, CP932},     {97, 98, EUCJPMS},
            {99, 99, CP1250},    {101, 124, UTF16},   {128, 151, UCS2},    {159, 159, UCS2},    {160, 183, UTF32},
            {192, 215, UTF8MB3}, {223, 223, UTF8MB3}, {224, 247, UTF8MB4}, {248, 250, GB18030}, {255, 271, UTF8MB4},
            {273, 275, UTF8MB4}, {277, 294, UTF8MB4}, {296, 298, UTF8MB4}, {300, 300, UTF8MB4}, {303, 323, UTF8MB4},
            {576, 579, UTF8MB3}, {608, 611, UTF8MB4}, {640, 642, UCS2},    {672, 674, UTF16},   {736, 738, UTF32}};

const my_charset *my_charset_of_collation(uint32_t id)
{
    static const uint8_t uca1400[] = {UTF8MB3, UTF8MB4, UCS2, UTF16, UTF32};
    if (id >= 2048) { /* MariaDB's uca1400_…: 256 numbers a character set */
        size_t i = (id - 2048) / 256;
        return i < WB_COUNT(uca1400) ? &charsets[uca1400[i]] : NULL;
    }
    if (id >= 1024) id -= 1024; /* MariaDB's …_nopad_… of the same set */
    for (size_t i = 0; i < WB_COUNT(runs); i++)
        if (id >= runs[i].first && id <= runs[i].last) return &charsets[runs[i].charset];
    return NULL;
}

/* ---------------------------------------------------------------- one character */

static char *put_char(char *q, uint32_t u)
{
    if (u < 0x80) {
        *q++ = (char)u;
    } else if (u < 0x800) {
        *q++ = (char)(0xC0 | u >> 6);
        *q++ = (char)(0x80 | (u & 63));
    } else if (u < 0x10000) {
        *q++ = (char)(0xE0 | u >> 12);
        *q++ = (char)(0x80 | (u >> 6 & 63));
        *q++ = (char)(0x80 | (u & 63));
    } else {
        *q++ = (char)(0xF0 | u >> 18);
        *q++ = (char)(0x80 | (u >> 12 & 63));
        *q++ = (char)(0x80 | (u >> 6 & 63));
        *q++ = (char)(0x80 | (u & 63));
    }
    return q;
}

enum { REPLACEMENT = 0xFFFD };

/* ---------------------------------------------------------------- UTF-8 */

/* Length of the valid character of two bytes or more at p, or 0. */
static size_t utf8_char(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4 || left < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F)) return 0; /* too long; surrogates */
    if ((c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F)) return 0;
    return n;
}

static char *from_utf8(char *q, const uint8_t *p, size_t n, bool replace)
{
    for (;;) {
        size_t k = my_copy_ascii(q, p, n);
        q += k;
        p += k;
        n -= k;
        if (n == 0) return q;
        k = utf8_char(p, n);
        if (k == 0 && !replace) return NULL;
        if (k == 0) {
            q = put_char(q, REPLACEMENT);
            k = 1;
        } else {
            memcpy(q, p, k);
            q += k;
        }
        p += k;
        n -= k;
    }
}

/* ---------------------------------------------------------------- 8 bits */

static char *from_swe7(char *q, const uint8_t *p, size_t n, bool replace)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t u = p[i] < 0x80 ? p[i] : REPLACEMENT;
        if (u == REPLACEMENT && !replace) return NULL;
        for (size_t k = 0; my_swe7_lower[k][0]; k++)
            if (my_swe7_lower[k][0] == p[i]) u = my_swe7_lower[k][1];
        q = put_char(q, u);
    }
    return q;
}

/* `upper` NULL: ASCII, nothing has the high bit. */
static char *from_single(char *q, const uint16_t *upper, const uint8_t *p, size_t n, bool replace)
{
    for (;;) {
        size_t k = my_copy_ascii(q, p, n);
        q += k;
        p += k;
        n -= k;
        if (n == 0) return q;
        uint32_t u = upper ? upper[*p & 0x7F] : 0;
        if (u == 0 && !replace) return NULL;
        q = put_char(q, u ? u : REPLACEMENT);
        p++;
        n--;
    }
}

/* ---------------------------------------------------------------- UTF-16, UTF-32 */

static char *from_utf16(char *q, const uint8_t *p, size_t n, bool little, bool replace)
{
    int high = little ? 1 : 0, low = little ? 0 : 1;
    while (n > 0) {
        uint32_t u = n >= 2 ? (uint32_t)p[high] << 8 | p[low] : REPLACEMENT;
        size_t k = WB_MIN(n, (size_t)2);
        bool bad = n < 2;
        if (u >= 0xD800 && u < 0xE000) {
            uint32_t v = n >= 4 ? (uint32_t)p[2 + high] << 8 | p[2 + low] : 0;
            bad = u >= 0xDC00 || v < 0xDC00 || v >= 0xE000;
            u = bad ? (uint32_t)REPLACEMENT : 0x10000 + ((u - 0xD800) << 10) + (v - 0xDC00);
            if (!bad) k = 4;
        }
        if (bad && !replace) return NULL;
        q = put_char(q, u);
        p += k;
        n -= k;
    }
    return q;
}

static char *from_utf32(char *q, const uint8_t *p, size_t n, bool replace)
{
    while (n > 0) {
        uint32_t u = REPLACEMENT;
        size_t k = WB_MIN(n, (size_t)4);
        if (k == 4) u = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        bool bad = k < 4 || u > 0x10FFFF || (u >= 0xD800 && u < 0xE000);
        if (bad && !replace) return NULL;
        q = put_char(q, bad ? (uint32_t)REPLACEMENT : u);
        p += k;
        n -= k;
    }
    return q;
}

/* ---------------------------------------------------------------- by iconv */

/* Bytes of the character at p, by its lead byte. */
static size_t char_len(uint8_t index, const uint8_t *p, size_t left)
{
    size_t n = 2;
    uint8_t c = p[0];
    if (c < 0x80)
        n = 1;
    else if (index == ODD_SJIS || index == ODD_CP932)
        n = c == 0x80 || c == 0xA0 || (c >= 0xA1 && c <= 0xDF) || c >= 0xFD ? 1 : 2;
    else if (index == ODD_UJIS || index == ODD_EUCJPMS)
        n = c == 0x8F ? 3 : 2;
    else if (index == ODD_GB18030)
        n = left >= 2 && p[1] >= 0x30 && p[1] <= 0x39 ? 4 : 2;
    return WB_MIN(n, left);
}

static uint32_t odd_one(const my_odd *list, const uint8_t *p, size_t n)
{
    uint32_t code = 0;
    for (size_t i = 0; i < n; i++) code = code << 8 | p[i];
    for (; list && list->code; list++)
        if (list->code == code) return list->unicode;
    return 0;
}

/* NULL: not a character of the set. */
static char *iconv_one(iconv_t cd, char *q, const uint8_t *p, size_t n)
{
    char in[4], out[8], *from = in, *to = out;
    size_t left = n, room = sizeof out;
    memcpy(in, p, n);
    if (iconv(cd, &from, &left, &to, &room) == (size_t)-1 || left) {
        iconv(cd, NULL, NULL, NULL, NULL);
        return NULL;
    }
    size_t made = sizeof out - room;
    memcpy(q, out, made);
    return q + made;
}

static iconv_t iconv_of(my_conv *c, const my_charset *cs)
{
    void **slot = &c->open[cs->index];
    if (*slot) return (iconv_t)*slot;
    iconv_t cd = iconv_open("UTF-8", cs->libc);
    if (cd == (iconv_t)-1) return cd;
    *slot = cd;
    return cd;
}

static char *from_iconv(my_conv *c, const my_charset *cs, char *q, const uint8_t *p, size_t n, bool replace)
{
    iconv_t cd = iconv_of(c, cs);
    if (cd == (iconv_t)-1) return NULL;
    while (n > 0) {
        size_t k = my_copy_ascii(q, p, n);
        q += k;
        p += k;
        n -= k;
        if (n == 0) break;
        k = char_len(cs->index, p, n);
        uint32_t u = odd_one(odd_ones[cs->index], p, k);
        char *end = u ? put_char(q, u) : iconv_one(cd, q, p, k);
        if (!end) {
            if (!replace) return NULL;
            end = put_char(q, REPLACEMENT);
            k = 1;
        }
        q = end;
        p += k;
        n -= k;
    }
    return q;
}

void my_conv_fini(my_conv *c)
{
    for (size_t i = 0; i < MY_ICONVS; i++) {
        if (c->open[i]) iconv_close((iconv_t)c->open[i]);
        c->open[i] = NULL;
    }
}

/* ---------------------------------------------------------------- all */

char *my_to_utf8(my_conv *c, const my_charset *cs, char *q, const uint8_t *p, size_t n, bool replace)
{
    switch ((my_cs_form)cs->form) {
    case MY_CS_UTF8: return from_utf8(q, p, n, replace);
    case MY_CS_ASCII: return from_single(q, NULL, p, n, replace);
    case MY_CS_SINGLE:
        return cs->index == SWE7 ? from_swe7(q, p, n, replace)
                                 : from_single(q, my_single_upper[cs->index], p, n, replace);
    case MY_CS_UTF16: return from_utf16(q, p, n, false, replace);
    case MY_CS_UTF16LE: return from_utf16(q, p, n, true, replace);
    case MY_CS_UTF32: return from_utf32(q, p, n, replace);
    case MY_CS_ICONV: return from_iconv(c, cs, q, p, n, replace);
    case MY_CS_BINARY: break;
    }
    memcpy(q, p, n);
    return q + n;
}

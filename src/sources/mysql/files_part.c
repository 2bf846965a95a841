/* files_part.c: a log that begins in the middle, through a pipe, has no FORMAT_DESCRIPTION. The events themselves tell
 * which server wrote them and whether they carry checksums; what is made of that is the event that a server would send.
 * Pure; called by files.c. */
#include "files.h"

#include <stdio.h>
#include <zlib.h>

enum { MYSQL_TYPES = 42, MARIADB_TYPES = 171, VERSION_LEN = 50, FORMAT_EVENT = 15 };

/* Lengths of what follows the header, by type: the same in all versions that write what we read. */
static uint8_t fixed_length(my_flavor flavor, int type)
{
    static const uint8_t common[] = {
        [2] = 13, [4] = 8, [17] = 4, [18] = 26, [19] = 8, [26] = 2, [30] = 10, [31] = 10, [32] = 10};
    static const uint8_t mysql[] = {[33] = 42, [34] = 42, [36] = 18, [37] = 52, [39] = 10, [40] = 40};
    static const uint8_t mariadb[] = {[23] = 8, [24] = 8, [25] = 8, [39] = 10, [40] = 10, [41] = 10};
    static const uint8_t late[] = {4, 19, 4, 0, 13, 8, 8, 8, 10, 10, 10}; /* from 161 on */
    if (type < (int)sizeof common && common[type]) return common[type];
    if (flavor == MY_MYSQL)
        return type < (int)sizeof mysql ? mysql[type] : type == 23 || type == 24 || type == 25 ? 8 : 0;
    if (type >= 161) return late[type - 161];
    return type < (int)sizeof mariadb ? mariadb[type] : 0;
}

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

/* The first event that only one of the two writes. */
static my_flavor flavor_of(const uint8_t *p, size_t n)
{
    for (size_t at = 0; at + MY_HEADER_LEN <= n;) {
        uint8_t type = p[at + 4];
        uint32_t length = le32(p + at + 9);
        if (type >= 160 || (type >= 23 && type <= 25)) return MY_MARIADB;
        if (type >= 29 && type <= 42) return MY_MYSQL;
        if (length < MY_HEADER_LEN) break;
        at += length;
    }
    return MY_UNKNOWN;
}

size_t my_part_format(const uint8_t *p, size_t n, uint8_t out[MY_PART_FORMAT])
{
    uint32_t length = n >= MY_HEADER_LEN ? le32(p + 9) : 0;
    my_flavor flavor = flavor_of(p, n);
    if (flavor == MY_UNKNOWN) return 0;
    bool checksum =
        length > MY_HEADER_LEN + 4 && length <= n && (uint32_t)crc32(0, p, length - 4) == le32(p + length - 4);
    int types = flavor == MY_MYSQL ? MYSQL_TYPES : MARIADB_TYPES;
    size_t size = MY_HEADER_LEN + 2 + VERSION_LEN + 4 + 1 + (size_t)types + 1 + 4;
    uint8_t *q = out + MY_HEADER_LEN;
    memset(out, 0, MY_PART_FORMAT);
    memcpy(out, p, 4); /* the time */
    out[4] = FORMAT_EVENT;
    memcpy(out + 5, p + 5, 4); /* the server */
    put_le32(out + 9, (uint32_t)size);
    out[17] = 0x20; /* artificial */
    q[0] = 4;
    (void)snprintf((char *)q + 2, VERSION_LEN, "%s", flavor == MY_MYSQL ? "8.0.11" : "10.5.0-MariaDB");
    q += 2 + VERSION_LEN + 4;
    *q++ = MY_HEADER_LEN;
    for (int type = 1; type <= types; type++) *q++ = fixed_length(flavor, type);
    *q++ = checksum;
    put_le32(q, (uint32_t)crc32(0, out, (uInt)(size - 4)));
    return size;
}

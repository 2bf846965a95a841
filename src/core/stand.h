/* stand.h: stands that outlive what they were read from. Not thread-safe: the owner locks. */
#ifndef WB_STAND_H
#define WB_STAND_H
#include "base/base.h"

typedef struct wb_kept {
    uint64_t ordinal;
    size_t len, big_cap;
    uint8_t small[24];
    uint8_t *big; /* when len > sizeof small */
} wb_kept;

bool wb_keep(wb_kept *k, wb_stand s) WB_MUST; /* false: no memory, k unchanged */
void wb_kept_fini(wb_kept *k);
static inline wb_stand wb_kept_stand(const wb_kept *k)
{
    const void *p = k->len > sizeof k->small ? k->big : k->small;
    return (wb_stand){{k->len ? p : NULL, k->len}, k->ordinal};
}
/* -1, 0, 1; 2 when the positions cannot be ordered. A stand without position comes before every other. */
int wb_stand_compare(int (*compare)(wb_pos a, wb_pos b), wb_stand a, wb_stand b);
#endif

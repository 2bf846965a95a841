/* stand.c: owned copies of stands, and their order. */
#include "core/stand.h"

bool wb_keep(wb_kept *k, wb_stand s)
{
    uint8_t *to = k->small;
    if (s.pos.len > sizeof k->small) {
        if (s.pos.len > k->big_cap) {
            uint8_t *bigger = malloc(s.pos.len);
            if (!bigger) return false;
            memcpy(bigger, s.pos.ptr, s.pos.len); /* s may point into the old block */
            free(k->big);
            k->big = bigger;
            k->big_cap = s.pos.len;
            s.pos.ptr = bigger;
        }
        to = k->big;
    }
    if (s.pos.len && to != s.pos.ptr) memmove(to, s.pos.ptr, s.pos.len);
    k->len = s.pos.len;
    k->ordinal = s.ordinal;
    return true;
}

void wb_kept_fini(wb_kept *k)
{
    free(k->big);
    memset(k, 0, sizeof *k);
}

int wb_stand_compare(int (*compare)(wb_pos a, wb_pos b), wb_stand a, wb_stand b)
{
    int order;
    if (!a.pos.len || !b.pos.len)
        order = (a.pos.len != 0) - (b.pos.len != 0);
    else
        order = compare(a.pos, b.pos);
    if (order) return order;
    return (a.ordinal > b.ordinal) - (a.ordinal < b.ordinal);
}

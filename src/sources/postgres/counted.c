/* counted.c: what decides which changes the server sends of a transaction. A target that has a part of one counts on
 * getting the same again. The server looks publications up as of each change, so altering one changes nothing of the
 * past; naming another one does. Source thread. */
#include "pg.h"

/* `messages`: those outside of transactions come as transactions of their own, before the one that a target is in. */
static uint64_t counted_by(const pg_source *s)
{
    uint64_t h = wb_fnv1a_text(WB_FNV1A, s->names.pub);
    h = wb_fnv1a_text(h, s->origin == PG_ORIGIN_NONE ? "none" : "any");
    return wb_fnv1a_text(h, s->messages ? "all" : "rows") | 1;
}

void pg_part(void *ctx, wb_pos at, void *out, size_t cap, size_t *len)
{
    const pg_source *s = ctx;
    uint8_t pos[PG_PART_LEN];
    pg_pos_make_part(pos, at, counted_by(s));
    *len = cap < sizeof pos ? 0 : sizeof pos;
    memcpy(out, pos, *len);
}

wb_code pg_check_parts(const pg_source *s, const wb_resume *resume, wb_error *err)
{
    char at[PG_LSN_TEXT];
    for (size_t i = 0; i < resume->nmembers; i++) {
        const wb_member *t = &resume->members[i];
        uint64_t by = t->running ? pg_pos_counted(t->pos) : 0;
        if (!by || by == counted_by(s)) continue;
        wb_fail(err, WB_E_CONFIG, WB_NEVER,
                "The target %s has a part of the transaction after %s, and publication, messages or origin are others "
                "now: the server would not send the same changes of it, so nobody knew which ones are missing.",
                t->name, pg_lsn_text(pg_pos_lsn(t->pos), at));
        wb_hint(err,
                "Put them back as they were and say `walbrook run FILE --until now`: then the transaction is whole, "
                "and they can be changed. Or copy the tables again: `walbrook run FILE --resnapshot %s`.",
                t->name);
        return WB_E_CONFIG;
    }
    return WB_OK;
}

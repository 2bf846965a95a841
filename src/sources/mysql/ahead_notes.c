/* ahead_notes.c: what is ahead in the log, by table: a list for each name, in the log's order. What is noted of a whole
 * schema, or of everything, has lists of its own under empty names. */
#include "ahead_notes.h"

#include "position.h"

typedef struct note {
    struct note *next;
    uint64_t seq; /* its turn among all */
    wb_pos at;    /* behind the note, as the rest of what it points to */
    bool rows;
    my_map map; /* of rows */
} note;

typedef struct spot {
    struct spot *next; /* in its slot */
    wb_str schema, name;
    note *first, *last;
} spot;

struct my_notes {
    spot **slots;
    size_t nslots, nspots, nnotes;
    uint64_t seq;
};

my_notes *my_notes_new(void) { return calloc(1, sizeof(my_notes)); }

static void spot_free(spot *s)
{
    for (note *t = s->first, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    free(s);
}

void my_notes_free(my_notes *n)
{
    if (!n) return;
    for (size_t i = 0; i < n->nslots; i++)
        for (spot *s = n->slots[i], *next; s; s = next) {
            next = s->next;
            spot_free(s);
        }
    free(n->slots);
    free(n);
}

size_t my_notes_count(const my_notes *n) { return n->nnotes; }

/* ---------------------------------------------------------------- by name */

static spot **place_of(const my_notes *n, wb_str schema, wb_str name)
{
    spot **at = &n->slots[my_table_id(schema, name) & (n->nslots - 1)];
    while (*at && !(wb_str_eq((*at)->schema, schema) && wb_str_eq((*at)->name, name))) at = &(*at)->next;
    return at;
}

static const spot *find_spot(const my_notes *n, wb_str schema, wb_str name)
{
    return n->nslots ? *place_of(n, schema, name) : NULL;
}

static bool more_slots(my_notes *n)
{
    size_t want = n->nslots ? n->nslots * 2 : 64, had = n->nslots;
    spot **old = n->slots, **made = calloc(want, sizeof(spot *));
    if (!made) return false;
    n->slots = made;
    n->nslots = want;
    for (size_t i = 0; i < had; i++)
        for (spot *s = old[i], *next; s; s = next) {
            spot **at = &made[my_table_id(s->schema, s->name) & (want - 1)];
            next = s->next;
            s->next = *at;
            *at = s;
        }
    free(old);
    return true;
}

/* Copies n bytes to *at, which moves past them. */
static const char *put(char **at, const void *p, size_t n)
{
    char *q = *at;
    if (n) memcpy(q, p, n);
    *at = q + n;
    return q;
}

static wb_str put_str(char **at, wb_str s) { return (wb_str){put(at, s.ptr, s.len), s.len}; }

static spot *spot_for(my_notes *n, wb_str schema, wb_str name)
{
    if (n->nspots >= n->nslots && !more_slots(n)) return NULL;
    spot **at = place_of(n, schema, name);
    if (*at) return *at;
    spot *s = malloc(sizeof *s + schema.len + name.len);
    if (!s) return NULL;
    char *to = (char *)(s + 1);
    *s = (spot){.schema = put_str(&to, schema)};
    s->name = put_str(&to, name);
    *at = s;
    n->nspots++;
    return s;
}

/* ---------------------------------------------------------------- noting */

static bool append(my_notes *n, wb_str schema, wb_str name, note *t)
{
    spot *s = t ? spot_for(n, schema, name) : NULL;
    if (!s) {
        free(t);
        return false;
    }
    t->seq = ++n->seq;
    if (s->last)
        s->last->next = t;
    else
        s->first = t;
    s->last = t;
    n->nnotes++;
    return true;
}

bool my_notes_change(my_notes *n, wb_str schema, wb_str name, wb_pos at)
{
    note *t = malloc(sizeof *t + at.len);
    char *to = (char *)(t + 1);
    if (t) *t = (note){.at = {put(&to, at.ptr, at.len), at.len}};
    return append(n, schema, name, t);
}

bool my_notes_rows(my_notes *n, const my_map *map, wb_pos at)
{
    size_t cols = map->ncols * sizeof *map->cols, key = map->nkey * sizeof *map->key, names = 0;
    for (uint32_t i = 0; i < map->ncols; i++) names += map->cols[i].name.len;
    note *t = malloc(sizeof *t + cols + key + names + at.len);
    if (!t) return false;
    my_map_col *c = (my_map_col *)(t + 1);
    char *to = (char *)(c + map->ncols);
    *t = (note){.rows = true, .map = *map};
    if (cols) memcpy(c, map->cols, cols);
    t->map.cols = c;
    t->map.key = (const uint16_t *)(const void *)put(&to, map->key, key);
    t->map.schema = t->map.name = (wb_str){"", 0};
    for (uint32_t i = 0; i < map->ncols; i++) {
        c[i].name = put_str(&to, c[i].name);
        c[i].labels = (wb_str){"", 0};
        c[i].nlabels = 0;
    }
    t->at = (wb_pos){put(&to, at.ptr, at.len), at.len};
    return append(n, map->schema, map->name, t);
}

/* ---------------------------------------------------------------- asking */

/* Those that concern a table: its own, its schema's, everything's. */
static void spots_of(const my_notes *n, wb_str schema, wb_str name, const spot *out[3])
{
    const wb_str none = {"", 0};
    out[0] = find_spot(n, schema, name);
    out[1] = find_spot(n, schema, none);
    out[2] = find_spot(n, none, none);
}

bool my_notes_has_rows(const my_notes *n, wb_str schema, wb_str name)
{
    const spot *of[3];
    spots_of(n, schema, name, of);
    if (!of[0] || !of[0]->last || !of[0]->last->rows) return false;
    for (size_t i = 1; i < WB_COUNT(of); i++)
        if (of[i] && of[i]->last && of[i]->last->seq > of[0]->last->seq) return false;
    return true;
}

static const note *first_after(const spot *s, bool rows, wb_pos from)
{
    const note *t = s ? s->first : NULL;
    while (t && (t->rows != rows || my_pos_has(from, t->at))) t = t->next;
    return t;
}

void my_notes_find(const my_notes *n, wb_str schema, wb_str name, wb_pos from, bool *changed, const my_map **rows)
{
    const spot *of[3];
    spots_of(n, schema, name, of);
    const note *r = first_after(of[0], true, from);
    *changed = false;
    for (size_t i = 0; i < WB_COUNT(of); i++) {
        const note *c = first_after(of[i], false, from);
        if (!c) continue;
        *changed = true;
        if (r && c->seq < r->seq) r = NULL;
    }
    *rows = r ? &r->map : NULL;
}

/* ---------------------------------------------------------------- forgetting */

static void forget_passed(my_notes *n, spot *s, wb_pos done)
{
    while (s->first && my_pos_has(done, s->first->at)) {
        note *t = s->first;
        s->first = t->next;
        if (!s->first) s->last = NULL;
        free(t);
        n->nnotes--;
    }
}

void my_notes_forget(my_notes *n, wb_pos done)
{
    for (size_t i = 0; i < n->nslots; i++)
        for (spot **at = &n->slots[i]; *at;) {
            spot *s = *at;
            forget_passed(n, s, done);
            if (s->first) {
                at = &s->next;
                continue;
            }
            *at = s->next;
            free(s);
            n->nspots--;
        }
}

/* sqltext.c: names and texts as SQL writes them, what the catalog answers as values, and the names that this source
 * gives to what it makes. Pure. */
#include "pg.h"

#include <stdio.h>

#include "base/options.h"

void pg_put_ident(wb_out *o, wb_str name) { wb_out_quoted(o, name, '"'); }
void pg_put_ident_z(wb_out *o, const char *name) { wb_out_quoted(o, wb_str_of(name), '"'); }

/* E'' where a backslash occurs, since standard_conforming_strings may be off. */
void pg_put_literal(wb_out *o, const char *text)
{
    bool escape = strchr(text, '\\') != NULL;
    if (escape) wb_out_z(o, " E");
    wb_out_byte(o, '\'');
    for (const char *p = text; *p; p++) {
        if (*p == '\'' || *p == '\\') wb_out_byte(o, *p);
        wb_out_byte(o, *p);
    }
    wb_out_byte(o, '\'');
}

int64_t pg_number(const char *z)
{
    int64_t v;
    return wb_parse_int(z, &v, NULL) == WB_OK ? v : 0;
}

wb_str pg_copied(wb_arena *a, const char *z) { return wb_str_of(wb_arena_strdup(a, z)); }

/* "walbrook_" and the pipeline's name in the letters that a slot's name may have. */
static void default_name(const char *pipeline, char out[PG_NAME])
{
    char name[48];
    size_t n = 0;
    for (const char *p = pipeline; *p && n + 1 < sizeof name; p++) {
        char c = *p;
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        name[n++] = fine ? c : '_';
    }
    name[n] = 0;
    (void)snprintf(out, PG_NAME, "walbrook_%s", name);
}

static wb_code check_slot_name(const char *name, wb_error *err)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (n && !name[n] && n < PG_NAME) return WB_OK;
    wb_fail(err, WB_E_CONFIG, WB_NEVER, "'%.80s' cannot be the name of a replication slot.", name);
    wb_hint(err, "A slot's name has up to 63 of a-z, 0-9 and _.");
    return WB_E_CONFIG;
}

static wb_code take_name(const char *name, size_t max, char out[PG_NAME], wb_error *err)
{
    size_t n = strlen(name);
    if (!n || n > max)
        return wb_fail(err, WB_E_CONFIG, WB_NEVER, "The name '%.80s' must have 1 to %zu bytes.", name, max);
    memcpy(out, name, n + 1);
    return WB_OK;
}

wb_code pg_names_make(const pg_source *s, wb_host *h, pg_names *out, wb_error *err)
{
    *out = (pg_names){.slot_named = s->slot_option != NULL,
                      .pub_named = s->publication_option != NULL,
                      .generated = s->generated_columns == PG_GENERATED_STORED};
    const char *pipeline = wb_host_pipeline(h) ? wb_host_pipeline(h) : "unnamed";
    char name[PG_NAME];
    default_name(pipeline, name);
    if (s->tail && s->tail_name[0]) memcpy(name, s->tail_name, PG_NAME);
    wb_code code = take_name(s->slot_option ? s->slot_option : name, PG_NAME - 1, out->slot, err);
    if (code == WB_OK) code = check_slot_name(out->slot, err);
    if (code == WB_OK)
        code = take_name(s->publication_option ? s->publication_option : name, PG_NAME - 8, out->pub, err);
    if (code != WB_OK) return code;
    (void)snprintf(out->insert_pub, sizeof out->insert_pub, "%.56s_insert", out->pub);
    if (s->tail)
        (void)snprintf(out->comment, sizeof out->comment, "made by walbrook tail as %s", s->tail_name);
    else
        (void)snprintf(out->comment, sizeof out->comment, "made by walbrook for the pipeline %s", pipeline);
    return WB_OK;
}

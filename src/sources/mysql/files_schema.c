/* files_schema.c: columns of tables from a schema dump: CREATE TABLE as mysqldump, mariadb-dump and SHOW CREATE TABLE
 * write it, one column a line. Not a parser of SQL: a line that does not begin with a quoted name is no column. Pure
 * but for the reading of the file. Called by files.c. */
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

typedef struct reader {
    my_shapes *s;
    wb_str schema; /* of the last USE */
    my_schema *t;  /* inside CREATE TABLE */
    my_schema_col *cols;
    uint16_t *key;
    uint32_t ncols, cap, nkey;
} reader;

static wb_str copy(my_shapes *s, const char *p, size_t n)
{
    char *q = wb_arena_alloc(&s->arena, n + 1);
    if (!q) return (wb_str){"", 0};
    memcpy(q, p, n);
    q[n] = 0;
    return (wb_str){q, n};
}

/* `name` at *p, doubled quotes undone; moves past it. */
static bool quoted(reader *r, const char **p, const char *end, wb_str *out)
{
    const char *q = *p;
    if (q >= end || *q != '`') return false;
    char *to = wb_arena_alloc(&r->s->arena, (size_t)(end - q) + 1);
    size_t n = 0;
    for (q++; q < end && (*q != '`' || (q + 1 < end && q[1] == '`')); q++) {
        if (*q == '`') q++;
        if (to) to[n++] = *q;
    }
    if (q >= end || !to) return false;
    to[n] = 0;
    *out = (wb_str){to, n};
    *p = q + 1;
    return true;
}

static bool starts(const char **p, const char *end, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(end - *p) < n || strncasecmp(*p, word, n) != 0) return false;
    *p += n;
    while (*p < end && **p == ' ') ++*p;
    return true;
}

static bool has_word(wb_str line, const char *word)
{
    size_t n = strlen(word);
    bool in_quote = false;
    for (size_t i = 0; i + n <= line.len; i++) {
        if (line.ptr[i] == '\'') in_quote = !in_quote;
        if (!in_quote && strncasecmp(line.ptr + i, word, n) == 0) return true;
    }
    return false;
}

/* The type: up to a blank outside of parentheses and quotes; "unsigned" and "zerofill" belong to it. */
static wb_str type_of(const char *p, const char *end)
{
    const char *from = p;
    int depth = 0;
    bool in_quote = false;
    for (; p < end; p++) {
        if (*p == '\'') in_quote = !in_quote;
        if (in_quote) continue;
        if (*p == '(') depth++;
        if (*p == ')') depth--;
        if ((*p == ' ' && depth == 0) || (*p == ',' && depth == 0)) break;
    }
    for (const char *q = p; q < end;) {
        while (q < end && *q == ' ') q++;
        if (starts(&q, end, "unsigned") || starts(&q, end, "zerofill")) {
            p = q;
            while (p > from && p[-1] == ' ') p--;
        } else {
            break;
        }
    }
    return (wb_str){from, (size_t)(p - from)};
}

/* The word after "CHARACTER SET", or the first part of the collation. */
static wb_str charset_of(wb_str line, const char *mark, const char *mark2)
{
    size_t n = strlen(mark);
    for (size_t i = 0; i + n <= line.len; i++) {
        if (strncasecmp(line.ptr + i, mark, n) != 0) continue;
        const char *p = line.ptr + i + n, *end = line.ptr + line.len, *from;
        while (p < end && (*p == ' ' || *p == '=')) p++;
        for (from = p; p < end && (*p == '_' || (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z'));)
            p++;
        if (p > from) return (wb_str){from, (size_t)(p - from)};
    }
    if (!mark2) return (wb_str){NULL, 0};
    wb_str collation = charset_of(line, mark2, NULL);
    for (size_t i = 0; i < collation.len; i++)
        if (collation.ptr[i] == '_') collation.len = i;
    return collation;
}

static bool is_text(wb_str type)
{
    static const char *const words[] = {"char",     "varchar", "tinytext", "text", "mediumtext",
                                        "longtext", "enum",    "set",      NULL};
    for (const char *const *w = words; *w; w++)
        if (type.len >= strlen(*w) && strncasecmp(type.ptr, *w, strlen(*w)) == 0) return true;
    return false;
}

static wb_code nomem(wb_error *err)
{
    return wb_fail(err, WB_E_NOMEM, WB_NEVER, "There is no memory for the schema dump.");
}

static wb_code add_column(reader *r, wb_str name, wb_str line, const char *p, wb_error *err)
{
    if (r->ncols == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 32;
        my_schema_col *bigger = wb_arena_alloc(&r->s->arena, cap * sizeof *bigger);
        if (!bigger) return nomem(err);
        if (r->ncols) memcpy(bigger, r->cols, r->ncols * sizeof *bigger);
        r->cols = bigger;
        r->cap = cap;
    }
    my_schema_col *c = &r->cols[r->ncols++];
    wb_str type = type_of(p, line.ptr + line.len),
           rest = {type.ptr + type.len, (size_t)(line.ptr + line.len - type.ptr) - type.len};
    wb_str charset = charset_of(rest, "CHARACTER SET", "COLLATE");
    *c = (my_schema_col){.name = name, .type = copy(r->s, type.ptr, type.len)};
    c->charset =
        charset.len ? copy(r->s, charset.ptr, charset.len) : (wb_str){NULL, is_text(type) ? 1 : 0}; /* 1: the table's */
    if (has_word(rest, "NOT NULL")) c->flags |= WB_COL_NOT_NULL;
    if (has_word(rest, "GENERATED ALWAYS AS")) c->flags |= WB_COL_GENERATED;
    if (has_word(rest, "INVISIBLE")) c->flags |= MY_COL_INVISIBLE;
    return WB_OK;
}

/* (`a`,`b`(10)) */
static void add_key(reader *r, const char *p, const char *end)
{
    wb_str name;
    r->key = wb_arena_alloc(&r->s->arena, (r->ncols + 1) * sizeof *r->key);
    while (p < end && *p != '(') p++;
    for (p++; r->key && p < end && *p != ')'; p++) {
        if (*p == '(') /* of a prefix */
            while (p < end && *p != ')') p++;
        if (*p != '`') continue;
        if (!quoted(r, &p, end, &name)) return;
        p--;
        for (uint32_t i = 0; i < r->ncols && r->nkey <= r->ncols; i++)
            if (wb_str_eq(r->cols[i].name, name)) r->key[r->nkey++] = (uint16_t)i;
    }
}

static wb_code end_table(reader *r, wb_str line, wb_error *err)
{
    my_shapes *s = r->s;
    wb_str charset = charset_of(line, "DEFAULT CHARSET", "COLLATE"), engine = charset_of(line, "ENGINE", NULL);
    for (uint32_t i = 0; i < r->ncols; i++)
        if (!r->cols[i].charset.ptr)
            r->cols[i].charset =
                r->cols[i].charset.len && charset.len ? copy(s, charset.ptr, charset.len) : (wb_str){"", 0};
    r->t->cols = r->cols;
    r->t->ncols = r->ncols;
    r->t->key = r->key;
    r->t->nkey = r->nkey;
    bool plain =
        engine.len &&
        (strncasecmp(engine.ptr, "MyISAM", engine.len) == 0 || strncasecmp(engine.ptr, "Aria", engine.len) == 0 ||
         strncasecmp(engine.ptr, "MEMORY", engine.len) == 0 || strncasecmp(engine.ptr, "CSV", engine.len) == 0);
    r->t->engine = plain ? MY_ENGINE_PLAIN : engine.len ? MY_ENGINE_TRANSACTIONAL : MY_ENGINE_UNKNOWN;
    r->t = NULL;
    return s->arena.failed ? nomem(err) : WB_OK;
}

static wb_code begin_table(reader *r, const char *p, const char *end, wb_error *err)
{
    my_shapes *s = r->s;
    wb_str first, second = {NULL, 0};
    if (!starts(&p, end, "TABLE")) return WB_OK;
    (void)starts(&p, end, "IF NOT EXISTS");
    if (!quoted(r, &p, end, &first)) return WB_OK;
    if (p < end && *p == '.') {
        p++;
        if (!quoted(r, &p, end, &second)) return WB_OK;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        my_schema *bigger = wb_arena_alloc(&s->arena, cap * sizeof *bigger);
        if (!bigger) return nomem(err);
        if (s->n) memcpy(bigger, s->tables, s->n * sizeof *bigger);
        s->tables = bigger;
        s->cap = cap;
    }
    r->t = &s->tables[s->n++];
    *r->t = (my_schema){.schema = second.len ? first : r->schema, .name = second.len ? second : first};
    r->cols = NULL;
    r->key = NULL;
    r->ncols = r->cap = r->nkey = 0;
    return WB_OK;
}

static wb_code take_line(reader *r, wb_str line, wb_error *err)
{
    const char *p = line.ptr, *end = line.ptr + line.len;
    wb_str name;
    while (p < end && (*p == ' ' || *p == '\t')) p++;
    if (!r->t) {
        if (starts(&p, end, "USE ")) {
            if (quoted(r, &p, end, &name)) r->schema = name;
            return WB_OK;
        }
        return starts(&p, end, "CREATE ") ? begin_table(r, p, end, err) : WB_OK;
    }
    if (p < end && *p == ')') return end_table(r, line, err);
    if (quoted(r, &p, end, &name)) {
        while (p < end && *p == ' ') p++;
        return add_column(r, name, line, p, err);
    }
    if (starts(&p, end, "PRIMARY KEY")) add_key(r, p, end);
    return WB_OK;
}

wb_code my_shapes_read(my_shapes *s, const char *path, const char *text, size_t n, wb_error *err)
{
    reader r = {.s = s};
    wb_code code = WB_OK;
    wb_arena_init(&s->arena, 64 * 1024, 0);
    for (const char *p = text, *end = text + n; code == WB_OK && p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
        size_t len = (size_t)(stop - p);
        if (len && p[len - 1] == '\r') len--;
        code = take_line(&r, (wb_str){p, len}, err);
        p = stop + 1;
    }
    if (code == WB_OK && r.t) {
        s->n--;
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s ends within the table %.*s.", path, (int)r.t->name.len,
                       r.t->name.ptr);
    } else if (code == WB_OK && s->n == 0) {
        code = wb_fail(err, WB_E_CONFIG, WB_NEVER, "%s has no CREATE TABLE.", path);
        wb_hint(err, "Write it with: mysqldump --no-data --databases DATABASE > schema.sql");
    }
    return code;
}

wb_code my_shapes_load(my_shapes *s, const char *path, wb_error *err)
{
    wb_out text = {0};
    FILE *f = fopen(path, "rbe");
    if (!f) return wb_fail_errno(err, errno, "cannot read the schema dump %s", path);
    char part[65536];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) wb_out_put(&text, part, n);
    bool broken = ferror(f) != 0;
    (void)fclose(f);
    wb_code code = broken        ? wb_fail_errno(err, EIO, "cannot read the schema dump %s", path)
                   : text.failed ? nomem(err)
                                 : WB_OK;
    if (code == WB_OK) code = my_shapes_read(s, path, text.p, text.len, err);
    wb_out_fini(&text);
    return code;
}

/* A dump of one database does not always say which: a table without one is of any. */
const my_schema *my_shapes_find(const my_shapes *s, wb_str schema, wb_str name)
{
    const my_schema *found = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const my_schema *t = &s->tables[i];
        if (!wb_str_eq(t->name, name)) continue;
        if (t->schema.len && !wb_str_eq(t->schema, schema)) continue;
        if (!found || t->schema.len) found = t;
    }
    return found;
}

void my_shapes_fini(my_shapes *s)
{
    wb_arena_fini(&s->arena);
    *s = (my_shapes){.tables = NULL};
}

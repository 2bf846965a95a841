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

/* ---------------------------------------------------------------- defaults and comments */

/* What follows the word, where that is neither in quotes nor in parentheses: 'it''s', b'101', (1 + 1), now(3). */
static wb_str word_after(wb_str line, const char *word)
{
    size_t n = strlen(word), from = 0;
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        bool outside = !quoted && depth == 0;
        bool introduces = line.ptr[from] == '_' && i + 1 < line.len && line.ptr[i + 1] == '\''; /* _binary 'a' */
        if (from && outside && (c == ',' || (c == ' ' && !introduces))) return (wb_str){line.ptr + from, i - from};
        if (c == '\'') quoted = !quoted;
        if (!quoted && (c == '(' || c == ')')) depth += c == '(' ? 1 : -1;
        if (from || !outside || c != ' ' || line.len - i <= n + 1) continue;
        if (strncasecmp(line.ptr + i + 1, word, n) == 0 && line.ptr[i + 1 + n] == ' ') from = i + n + 2;
        if (from) i = from - 1;
    }
    return from ? (wb_str){line.ptr + from, line.len - from} : (wb_str){NULL, 0};
}

/* The text of 'it''s\n'; the result is shorter. */
static wb_str unquoted(my_shapes *s, wb_str sql)
{
    char *to = wb_arena_alloc(&s->arena, sql.len + 1);
    size_t n = 0;
    for (size_t i = 1; to && i + 1 < sql.len; i++) {
        char c = sql.ptr[i];
        bool escape = c == '\\' && i + 2 < sql.len;
        if (escape || c == '\'') c = sql.ptr[++i];
        if (escape) c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c == '0' ? 0 : c;
        to[n++] = c;
    }
    if (to) to[n] = 0;
    return (wb_str){to, to ? n : 0};
}

static bool is_quoted(wb_str s) { return s.len >= 2 && s.ptr[0] == '\'' && s.ptr[s.len - 1] == '\''; }

static void describe(reader *r, my_schema_col *c, wb_str rest)
{
    wb_str def = word_after(rest, "DEFAULT"), comment = word_after(rest, "COMMENT");
    bool counts = has_word(rest, "AUTO_INCREMENT"), touched = has_word(rest, " ON UPDATE ");
    c->extra = wb_str_of(counts ? "auto_increment" : touched ? "on update CURRENT_TIMESTAMP" : "");
    if (is_quoted(comment)) c->comment = unquoted(r->s, comment);
    bool null = def.len == 4 && strncasecmp(def.ptr, "NULL", 4) == 0;
    if (def.len && !null && !(c->flags & WB_COL_GENERATED)) c->default_sql = copy(r->s, def.ptr, def.len);
}

/* Of MySQL: a constant without its quotes, bytes in hexadecimal; of anything else, that it is an expression. */
static void dress(my_shapes *s, my_schema_col *c)
{
    static const char binary[] = "_binary '";
    wb_str def = c->default_sql;
    bool bytes = c->type.len >= 6 && strncasecmp(c->type.ptr, "binary", 6) == 0;
    bytes = bytes || (c->type.len >= 9 && strncasecmp(c->type.ptr, "varbinary", 9) == 0);
    if (!def.len || (def.len > 2 && (def.ptr[0] == 'b' || def.ptr[0] == 'B') && def.ptr[1] == '\'')) return;
    bool marked = def.len > sizeof binary - 1 && strncasecmp(def.ptr, binary, sizeof binary - 1) == 0;
    if (marked) def = (wb_str){def.ptr + sizeof binary - 2, def.len - (sizeof binary - 2)};
    if (!is_quoted(def)) {
        c->extra = wb_str_of(c->extra.len ? "DEFAULT_GENERATED on update CURRENT_TIMESTAMP" : "DEFAULT_GENERATED");
        return;
    }
    c->default_sql = unquoted(s, def);
    if (!bytes) return;
    static const char digits[] = "0123456789ABCDEF";
    wb_str raw = c->default_sql;
    char *to = wb_arena_alloc(&s->arena, 2 * raw.len + 3);
    if (!to) return;
    to[0] = '0';
    to[1] = 'x';
    for (size_t i = 0; i < raw.len; i++) {
        to[2 + 2 * i] = digits[(uint8_t)raw.ptr[i] >> 4];
        to[3 + 2 * i] = digits[(uint8_t)raw.ptr[i] & 15];
    }
    to[2 * raw.len + 2] = 0;
    c->default_sql = (wb_str){to, 2 * raw.len + 2};
}

void my_shapes_dress(my_shapes *s, my_flavor flavor)
{
    if (s->dressed) return;
    s->dressed = true;
    for (size_t i = 0; i < s->n && flavor == MY_MYSQL; i++)
        for (uint32_t k = 0; k < s->tables[i].ncols; k++) dress(s, (my_schema_col *)(uintptr_t)&s->tables[i].cols[k]);
}

/* ---------------------------------------------------------------- tables */

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
    describe(r, c, rest);
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

/* UNIQUE KEY `name` (`a`,`b`): what the server takes for the primary key where there is none is the first one whose
 * columns may not be null, whole ones, and not expressions. */
static void add_unique(reader *r, const char *p, const char *end)
{
    wb_str name, line = {p, (size_t)(end - p)};
    if (r->nkey || has_word(line, "USING HASH") || !quoted(r, &p, end, &name)) return;
    const char *open = memchr(p, '(', (size_t)(end - p)), *more = open ? open + 1 : NULL;
    if (!open || memchr(more, '(', (size_t)(end - more))) return;
    add_key(r, open, end);
    for (uint32_t k = 0; k < r->nkey; k++)
        if (!(r->cols[r->key[k]].flags & WB_COL_NOT_NULL)) r->nkey = 0;
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
    if (starts(&p, end, "UNIQUE KEY")) add_unique(r, p, end);
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

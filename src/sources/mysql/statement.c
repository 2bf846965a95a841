/* statement.c: what a statement does to tables, by its first words and the names behind them. Called for every QUERY
 * event that is not plainly BEGIN or COMMIT. Whatever it does not understand is MY_ST_OTHER with `unsure`. */
#include "statement.h"

#include "lexer.h"

typedef struct reader {
    my_lex lex;
    my_statement *out;
    wb_str schema;
    my_st_table *tables;
    uint32_t cap;
    bool unsure; /* a name stands in, or behind, what only some servers execute */
} reader;

#define IS(word) my_lex_is(&r->lex, word)
#define TAKE(word) my_lex_take(&r->lex, word)

static bool at_end(const reader *r) { return r->lex.tok.kind == MY_TOK_END; }

/* ---------------------------------------------------------------- names */

static bool read_part(reader *r, wb_str *out)
{
    if (r->lex.tok.kind != MY_TOK_WORD && r->lex.tok.kind != MY_TOK_QUOTED) return false;
    *out = r->lex.tok.text;
    my_lex_next(&r->lex);
    return true;
}

/* name, schema.name, .name */
static bool read_name(reader *r, wb_str *schema, wb_str *name)
{
    *schema = r->schema;
    if (my_lex_char(&r->lex, '.')) return read_part(r, name);
    if (!read_part(r, name)) return false;
    if (!my_lex_char(&r->lex, '.')) return true;
    *schema = *name;
    return read_part(r, name);
}

static my_st_table *add_table(reader *r)
{
    static _Thread_local my_st_table dummy;
    my_statement *s = r->out;
    if (s->ntables == r->cap) {
        uint32_t cap = r->cap ? r->cap * 2 : 4;
        my_st_table *more = wb_arena_alloc(r->lex.a, cap * sizeof *more);
        if (!more || r->lex.a->failed) return &dummy;
        if (s->ntables) memcpy(more, r->tables, s->ntables * sizeof *more);
        r->tables = more;
        r->cap = cap;
        s->tables = more;
    }
    my_st_table *t = &r->tables[s->ntables++];
    r->unsure |= r->lex.unsure;
    memset(t, 0, sizeof *t);
    return t;
}

static bool read_table(reader *r)
{
    wb_str schema, name;
    if (!read_name(r, &schema, &name)) return false;
    my_st_table *t = add_table(r);
    t->schema = schema;
    t->name = name;
    return true;
}

static void take_if_exists(reader *r)
{
    if (!TAKE("if")) return;
    TAKE("not");
    TAKE("exists");
}

static void become(reader *r, my_st_kind kind, const char *verb)
{
    r->out->kind = kind;
    r->out->verb = verb;
}

static void give_up(reader *r) { r->out->unsure = true; }

/* ---------------------------------------------------------------- transactions */

/* X'61', X'62', 1 without blanks; hexadecimal digits in lower case */
static void read_xid(reader *r)
{
    const char *p = r->lex.tok.kind == MY_TOK_END ? r->lex.end : r->lex.tok.text.ptr;
    size_t n = (size_t)(r->lex.end - p), k = 0;
    char *q = wb_arena_alloc(r->lex.a, n + 1);
    if (!q || r->lex.a->failed) return;
    bool in = false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\'') in = !in;
        if (!in && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n')) {
            if (k && i + 1 < n && p[i + 1] >= 'A' && p[i + 1] <= 'Z' && p[i + 1] != 'X') break; /* ONE PHASE */
            continue;
        }
        char c = p[i];
        if (in && c >= 'A' && c <= 'F') c = (char)(c | 0x20);
        if (!in && c == 'x') c = 'X';
        q[k++] = c;
    }
    r->out->name = (wb_str){q, k};
}

static void read_xa(reader *r)
{
    static const struct {
        const char *word, *verb;
        my_st_kind kind;
    } words[] = {{"start", "XA START", MY_ST_XA_START},    {"begin", "XA START", MY_ST_XA_START},
                 {"end", "XA END", MY_ST_XA_END},          {"prepare", "XA PREPARE", MY_ST_XA_PREPARE},
                 {"commit", "XA COMMIT", MY_ST_XA_COMMIT}, {"rollback", "XA ROLLBACK", MY_ST_XA_ROLLBACK}};
    for (size_t i = 0; i < WB_COUNT(words); i++) {
        if (!TAKE(words[i].word)) continue;
        become(r, words[i].kind, words[i].verb);
        read_xid(r);
        return;
    }
    give_up(r);
}

static void read_rollback(reader *r)
{
    become(r, MY_ST_ROLLBACK, "ROLLBACK");
    TAKE("work");
    if (!TAKE("to")) return;
    become(r, MY_ST_ROLLBACK_TO, "ROLLBACK TO");
    if (TAKE("savepoint") && at_end(r)) { /* a savepoint of that name */
        r->out->name = WB_STR("savepoint");
        return;
    }
    read_part(r, &r->out->name);
}

static bool read_transaction(reader *r)
{
    if (TAKE("begin")) {
        TAKE("work");
        become(r, MY_ST_BEGIN, "BEGIN");
        if (!at_end(r)) become(r, MY_ST_DML, "BEGIN NOT ATOMIC"), give_up(r); /* a compound statement */
    } else if (TAKE("start")) {
        if (TAKE("transaction")) become(r, MY_ST_BEGIN, "START TRANSACTION");
    } else if (TAKE("commit")) {
        become(r, MY_ST_COMMIT, "COMMIT");
    } else if (TAKE("rollback")) {
        read_rollback(r);
    } else if (TAKE("savepoint")) {
        become(r, MY_ST_SAVEPOINT, "SAVEPOINT");
        read_part(r, &r->out->name);
    } else if (TAKE("release")) {
        TAKE("savepoint");
        become(r, MY_ST_RELEASE, "RELEASE SAVEPOINT");
        read_part(r, &r->out->name);
    } else if (TAKE("xa")) {
        read_xa(r);
    } else {
        return false;
    }
    return true;
}

/* ---------------------------------------------------------------- CREATE */

/* Behind the name of the new table: LIKE, or a SELECT outside of parentheses (or in some around all of it). */
static void read_create_rest(reader *r)
{
    int depth = 0;
    while (!at_end(r)) {
        bool first = depth <= 1;
        if (my_lex_char(&r->lex, '(')) {
            depth++;
            continue;
        }
        if (my_lex_char(&r->lex, ')')) {
            depth--;
            continue;
        }
        if (first && (IS("select") || IS("with") || IS("values") || IS("table"))) r->out->select = true;
        my_lex_next(&r->lex);
    }
}

static void read_create_index(reader *r, const char *verb)
{
    wb_str name;
    take_if_exists(r);
    become(r, MY_ST_ALTER_TABLE, verb);
    read_part(r, &name);
    while (!at_end(r) && !TAKE("on")) my_lex_next(&r->lex);
    if (!read_table(r)) give_up(r);
}

/* ALTER DATABASE CHARACTER SET …: no name, but what is altered of the default one. The log's default schema of such a
 * statement is the schema that it is about, so that a schema with one of these names is found either way. */
static bool is_schema_option(const reader *r)
{
    static const char *const words[] = {"default",    "character", "charset", "collate",
                                        "encryption", "read",      "comment", "upgrade"};
    for (size_t i = 0; i < WB_COUNT(words); i++)
        if (IS(words[i])) return true;
    return false;
}

static void read_schema(reader *r, my_st_kind kind, const char *verb)
{
    take_if_exists(r);
    become(r, kind, verb);
    wb_str name = r->schema;
    if ((kind != MY_ST_ALTER_SCHEMA || !is_schema_option(r)) && !read_part(r, &name)) name = r->schema;
    my_st_table *t = add_table(r);
    t->schema = name;
    t->name = t->to_schema = t->to_name = WB_STR("");
}

/* Words that may stand between CREATE, ALTER or DROP and what it is about. */
static void take_fillers(reader *r)
{
    while (IS("or") || IS("replace") || IS("online") || IS("offline") || IS("ignore") || IS("unique") ||
           IS("fulltext") || IS("spatial") || IS("vector"))
        my_lex_next(&r->lex);
}

static void read_create(reader *r)
{
    bool replaces = IS("or"); /* OR REPLACE */
    take_fillers(r);
    r->out->temporary = TAKE("temporary");
    if (TAKE("table")) {
        take_if_exists(r);
        become(r, MY_ST_CREATE_TABLE, "CREATE TABLE");
        r->out->replaces = replaces;
        if (!read_table(r)) give_up(r);
        read_create_rest(r);
    } else if (TAKE("index")) {
        read_create_index(r, "CREATE INDEX");
    } else if (TAKE("database") || TAKE("schema")) {
        read_schema(r, MY_ST_CREATE_SCHEMA, "CREATE DATABASE");
        r->out->replaces = replaces;
    } else {
        become(r, MY_ST_OTHER, "CREATE");
    }
}

/* ---------------------------------------------------------------- ALTER, DROP, RENAME, TRUNCATE */

/* One thing to do of an ALTER TABLE; stands behind its first word. */
static void read_rename_to(reader *r)
{
    if (IS("column") || IS("index") || IS("key")) return;
    if (!TAKE("to")) TAKE("as");
    my_lex_char(&r->lex, '=');
    wb_str schema, name;
    if (!read_name(r, &schema, &name) || !r->out->ntables) {
        give_up(r);
        return;
    }
    r->unsure |= r->lex.unsure;
    r->tables[0].to_schema = schema;
    r->tables[0].to_name = name;
}

static void read_alter_rest(reader *r)
{
    int depth = 0;
    bool start = true; /* a comma before, or the name of the table */
    while (!at_end(r)) {
        if (my_lex_char(&r->lex, '(')) {
            depth++;
        } else if (my_lex_char(&r->lex, ')')) {
            depth--;
        } else if (depth == 0 && my_lex_char(&r->lex, ',')) {
            start = true;
            continue;
        } else if (depth == 0 && start && TAKE("rename")) {
            read_rename_to(r);
        } else if (depth == 0 && start && (IS("drop") || IS("truncate"))) {
            my_lex_next(&r->lex);
            r->out->loses_rows |= IS("partition");
        } else if (depth == 0 && start && TAKE("exchange")) {
            while (!at_end(r) && !TAKE("table")) my_lex_next(&r->lex);
            r->out->loses_rows = true;
            if (!read_table(r)) give_up(r);
        } else if (depth == 0 && start && (IS("wait") || IS("nowait"))) {
            my_lex_next(&r->lex); /* MariaDB: WAIT n before the first thing to do */
            if (r->lex.tok.text.len && r->lex.tok.text.ptr[0] >= '0' && r->lex.tok.text.ptr[0] <= '9')
                my_lex_next(&r->lex);
            continue;
        } else {
            my_lex_next(&r->lex);
        }
        start = false;
    }
}

static void read_alter(reader *r)
{
    take_fillers(r);
    r->out->temporary = TAKE("temporary");
    if (TAKE("table")) {
        take_if_exists(r);
        become(r, MY_ST_ALTER_TABLE, "ALTER TABLE");
        if (!read_table(r)) give_up(r);
        read_alter_rest(r);
    } else if (TAKE("database") || TAKE("schema")) {
        read_schema(r, MY_ST_ALTER_SCHEMA, "ALTER DATABASE");
    } else {
        become(r, MY_ST_OTHER, "ALTER");
    }
}

static void read_list(reader *r)
{
    do {
        if (!read_table(r)) {
            give_up(r);
            return;
        }
    } while (my_lex_char(&r->lex, ','));
}

static void read_drop(reader *r)
{
    take_fillers(r);
    r->out->temporary = TAKE("temporary");
    if (TAKE("table") || TAKE("tables")) {
        take_if_exists(r);
        become(r, MY_ST_DROP_TABLE, "DROP TABLE");
        read_list(r);
    } else if (TAKE("index")) {
        read_create_index(r, "DROP INDEX");
    } else if (TAKE("database") || TAKE("schema")) {
        read_schema(r, MY_ST_DROP_SCHEMA, "DROP DATABASE");
    } else {
        become(r, MY_ST_OTHER, "DROP");
    }
}

static void read_rename(reader *r)
{
    become(r, MY_ST_OTHER, "RENAME");
    if (!TAKE("table") && !TAKE("tables")) return; /* RENAME USER */
    become(r, MY_ST_RENAME_TABLE, "RENAME TABLE");
    take_if_exists(r);
    do {
        wb_str schema, name;
        if (!read_table(r)) {
            give_up(r);
            return;
        }
        while (!at_end(r) && !TAKE("to")) my_lex_next(&r->lex); /* WAIT n, NOWAIT */
        if (!read_name(r, &schema, &name)) {
            give_up(r);
            return;
        }
        my_st_table *t = &r->tables[r->out->ntables - 1];
        t->to_schema = schema;
        t->to_name = name;
    } while (my_lex_char(&r->lex, ','));
}

static void read_truncate(reader *r)
{
    become(r, MY_ST_TRUNCATE, "TRUNCATE TABLE");
    TAKE("table");
    if (!read_table(r)) give_up(r);
}

/* ---------------------------------------------------------------- statements that change rows */

static void read_dml(reader *r, const char *verb)
{
    become(r, MY_ST_DML, verb);
    while (IS("low_priority") || IS("delayed") || IS("high_priority") || IS("quick") || IS("ignore"))
        my_lex_next(&r->lex);
    bool name = !IS("into") && !IS("from") && !IS("data") && !IS("xml");
    while (!at_end(r)) {
        if (name && (r->lex.tok.kind == MY_TOK_WORD || r->lex.tok.kind == MY_TOK_QUOTED)) {
            read_table(r);
            if (my_lex_char(&r->lex, ',')) continue; /* UPDATE a, b; FROM a, b */
        }
        name = IS("into") || IS("from") || IS("join") || IS("table") || IS("using");
        if (!at_end(r)) my_lex_next(&r->lex);
        if (name) TAKE("table"); /* LOAD DATA … INTO TABLE t */
        if (r->lex.a->failed) return;
    }
}

static bool read_row_change(reader *r)
{
    static const char *const named[] = {"insert", "replace", "update", "delete"};
    static const char *const verbs[] = {"INSERT", "REPLACE", "UPDATE", "DELETE"};
    for (size_t i = 0; i < WB_COUNT(named); i++) {
        if (!TAKE(named[i])) continue;
        read_dml(r, verbs[i]);
        return true;
    }
    if (TAKE("load")) {
        read_dml(r, "LOAD DATA");
        return true;
    }
    static const char *const others[] = {"call",    "select", "do",    "with",   "values",
                                         "handler", "import", "merge", "execute"};
    static const char *const other_verbs[] = {"CALL",    "SELECT", "DO",    "WITH",   "VALUES",
                                              "HANDLER", "IMPORT", "MERGE", "EXECUTE"};
    for (size_t i = 0; i < WB_COUNT(others); i++) {
        if (!IS(others[i])) continue;
        become(r, MY_ST_DML, other_verbs[i]);
        give_up(r);
        return true;
    }
    return false;
}

/* ---------------------------------------------------------------- all */

/* Statements whose first word says that no table's rows or columns change. */
static bool is_harmless(reader *r)
{
    static const char *const words[] = {
        "grant", "revoke",  "flush",    "analyze",  "optimize", "repair",    "check", "checksum",   "set",
        "kill",  "reset",   "purge",    "change",   "install",  "uninstall", "lock",  "unlock",     "use",
        "show",  "explain", "describe", "desc",     "cache",    "stop",      "start", "deallocate", "prepare",
        "help",  "binlog",  "backup",   "shutdown", "clone",    "signal",    "get"};
    for (size_t i = 0; i < WB_COUNT(words); i++)
        if (IS(words[i])) return true;
    return false;
}

/* MariaDB: SET STATEMENT name=value, … FOR statement */
static void skip_set_statement(reader *r)
{
    my_lex before = r->lex;
    if (!TAKE("set")) return;
    if (!TAKE("statement")) {
        r->lex = before;
        return;
    }
    while (!at_end(r) && !TAKE("for")) my_lex_next(&r->lex);
}

void my_statement_read(wb_str sql, wb_str schema, uint64_t sql_mode, my_flavor flavor, wb_arena *a, my_statement *out)
{
    reader reading = {.out = out, .schema = schema}, *r = &reading;
    memset(out, 0, sizeof *out);
    out->verb = "statement";
    out->name = WB_STR("");
    my_lex_start(&r->lex, sql, sql_mode, flavor, a);
    skip_set_statement(r);
    if (read_transaction(r)) {
        if (out->kind == MY_ST_OTHER) out->unsure |= !at_end(r) && out->verb[0] == 's';
    } else if (TAKE("create")) {
        read_create(r);
    } else if (TAKE("alter")) {
        read_alter(r);
    } else if (TAKE("drop")) {
        read_drop(r);
    } else if (TAKE("rename")) {
        read_rename(r);
    } else if (TAKE("truncate")) {
        read_truncate(r);
    } else if (!read_row_change(r)) {
        out->unsure = !at_end(r) && !is_harmless(r);
    }
    if (r->unsure && out->kind >= MY_ST_DML) out->unsure = true;
    if (a->failed) *out = (my_statement){.verb = "statement", .name = WB_STR(""), .unsure = true};
}

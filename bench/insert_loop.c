/* insert_loop.c: the ceiling for a mirror: a bare loop that inserts the rows of a COPY text file (table bench of
 * lib.py) with one prepared statement. insert_loop COPY-FILE DATABASE [ROWS-A-TRANSACTION, default 10000] */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 6 };

static void must(int rc, int expected, sqlite3 *db, const char *what)
{
    if (rc == expected) return;
    (void)fprintf(stderr, "insert_loop: %s: %s\n", what, sqlite3_errmsg(db));
    exit(1);
}

static void sql(sqlite3 *db, const char *text) { must(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK, db, text); }

static void bind(sqlite3_stmt *s, sqlite3 *db, char *line)
{
    for (int i = 1; i <= COLUMNS; i++) {
        char *end = strpbrk(line, "\t\n");
        int len = end ? (int)(end - line) : (int)strlen(line);
        if (i == 1 || i == 2)
            must(sqlite3_bind_int64(s, i, strtoll(line, NULL, 10)), SQLITE_OK, db, "bind");
        else if (i == COLUMNS)
            must(sqlite3_bind_int(s, i, *line == 't'), SQLITE_OK, db, "bind");
        else
            must(sqlite3_bind_text(s, i, line, len, SQLITE_STATIC), SQLITE_OK, db, "bind");
        if (end) line = end + 1;
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    long per = argc > 3 ? strtol(argv[3], NULL, 10) : 10000;
    FILE *in = fopen(argv[1], "r");
    (void)unlink(argv[2]);
    sqlite3 *db;
    sqlite3_stmt *s;
    if (!in || sqlite3_open(argv[2], &db) != SQLITE_OK) return 1;
    sql(db, "pragma journal_mode=wal");
    sql(db, "pragma synchronous=full");
    sql(db, "pragma wal_autocheckpoint=20000");
    sql(db, "create table bench (id integer primary key, n integer, txt text, amount text, at text, ok integer)");
    must(sqlite3_prepare_v2(db, "insert into bench values (?, ?, ?, ?, ?, ?)", -1, &s, NULL), SQLITE_OK, db, "prepare");
    sql(db, "begin");
    char *line = NULL;
    size_t cap = 0;
    for (long n = 1; getline(&line, &cap, in) > 0; n++) {
        bind(s, db, line);
        must(sqlite3_step(s), SQLITE_DONE, db, "step");
        (void)sqlite3_reset(s);
        if (n % per == 0) {
            sql(db, "commit");
            sql(db, "begin");
        }
    }
    sql(db, "commit");
    free(line);
    (void)fclose(in);
    (void)sqlite3_finalize(s);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}

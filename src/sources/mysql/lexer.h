/* lexer.h: SQL as MySQL and MariaDB read it, word by word. Called by statement.c. Pure. */
#ifndef WB_MY_LEXER_H
#define WB_MY_LEXER_H
#include "base/arena.h"
#include "gtid.h"

typedef enum my_tok_kind { MY_TOK_END, MY_TOK_WORD, MY_TOK_QUOTED, MY_TOK_STRING, MY_TOK_OTHER } my_tok_kind;
typedef struct my_tok {
    my_tok_kind kind;
    wb_str text; /* QUOTED: without quotes; STRING: as written; OTHER: one character */
} my_tok;

typedef struct my_lex {
    const char *p, *end;
    uint64_t sql_mode;
    my_flavor flavor;
    wb_arena *a;
    bool inside; /* of an executable comment                                   */
    bool unsure; /* a comment that only some versions execute, or an open end  */
    my_tok tok;  /* the present one */
} my_lex;

void my_lex_start(my_lex *l, wb_str sql, uint64_t sql_mode, my_flavor flavor, wb_arena *a); /* tok is the first one */
void my_lex_next(my_lex *l);
bool my_lex_is(const my_lex *l, const char *word); /* unquoted, any case */
bool my_lex_take(my_lex *l, const char *word);     /* the same, and goes on */
bool my_lex_char(my_lex *l, char c);               /* that character, and goes on */
#endif

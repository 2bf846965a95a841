/* template.h: texts with words in ${}, as options write them: "${name}.${schema}.${table}". Parsed once, filled in once a
 * table version or a message. Which words an option knows is a mask. Used by the transform route and the brokers. */
#ifndef WB_TEMPLATE_H
#define WB_TEMPLATE_H
#include "base/arena.h"
#include "base/buf.h"

typedef enum wb_word {
    WB_WORD_NAME, /* the pipeline's                                  */
    WB_WORD_SCHEMA,
    WB_WORD_TABLE,
    WB_WORD_SOURCE_SCHEMA, /* before any rename                      */
    WB_WORD_SOURCE_TABLE,
    WB_WORD_DATABASE,  /* PostgreSQL: the database; else the schema  */
    WB_WORD_ROUTE,     /* what the transform route says              */
    WB_WORD_TOPIC,     /* what the format says                       */
    WB_WORD_OPERATION, /* insert, update, delete, truncate, read ... */
    WB_WORDS
} wb_word;
#define WB_WORD_BIT(w) (1u << (w))
#define WB_WORDS_OF_TABLE                                                                                              \
    (WB_WORD_BIT(WB_WORD_SCHEMA) | WB_WORD_BIT(WB_WORD_TABLE) | WB_WORD_BIT(WB_WORD_SOURCE_SCHEMA) |                   \
     WB_WORD_BIT(WB_WORD_SOURCE_TABLE))

typedef struct wb_words {
    wb_str of[WB_WORDS];
} wb_words;

typedef struct wb_template wb_template;

/* `what` names the option in messages: "route: \"to\"". The template lives in `a` and points into `text`. An unknown
 * word is refused with the nearest and a list of those that are `allowed` (bits). */
wb_code wb_template_new(const char *text, uint32_t allowed, const char *what, wb_arena *a, wb_template **out,
                        wb_error *err) WB_MUST;
uint32_t wb_template_uses(const wb_template *t); /* bits */
void wb_template_put(const wb_template *t, const wb_words *words, wb_out *out);

/* The words of a change and its table; NULLs leave theirs empty. `lower`: 16 bytes for the operation's name. */
void wb_words_fill(wb_words *w, const wb_txn *txn, const wb_change *c, char lower[16]);
/* The same of a table alone. */
void wb_words_fill_table(wb_words *w, const wb_table *t);
#endif

/* args.c: the command line against a command's table of options. Called by main.c. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = 40 };

/* Levenshtein, with a swap of neighbours as one step. */
static size_t distance(const char *a, const char *b)
{
    size_t d[WORD_MAX + 1][WORD_MAX + 1], na = strlen(a), nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX) return WORD_MAX;
    for (size_t i = 0; i <= na; i++) d[i][0] = i;
    for (size_t j = 0; j <= nb; j++) d[0][j] = j;
    for (size_t i = 1; i <= na; i++)
        for (size_t j = 1; j <= nb; j++) {
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[na][nb];
}

const char *cli_nearest(const char *word, const char *const *names)
{
    const char *found = NULL;
    size_t best = strlen(word) / 3 + 1;
    for (; *names; names++) {
        size_t d = distance(word, *names);
        if (d > best || d >= strlen(*names) || (found && d == best)) continue;
        best = d;
        found = *names;
    }
    return found;
}

static const cli_option *find(const cli_command *c, const char *name, size_t n)
{
    for (const cli_option *o = c->options; o && o->name; o++)
        if (strlen(o->name) == n && strncmp(o->name, name, n) == 0) return o;
    return NULL;
}

static int unknown(const cli_command *c, const char *word)
{
    const char *names[32] = {"help"};
    size_t n = 1;
    char name[WORD_MAX + 1];
    for (const cli_option *o = c->options; o && o->name && n < 31; o++) names[n++] = o->name;
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *near = cli_nearest(name + strspn(name, "-"), names);
    if (near) return cli_usage_error("%s has no option %s. Did you mean --%s?", c->name, word, near);
    return cli_usage_error("%s has no option %s. \"walbrook help %s\" lists them.", c->name, word, c->name);
}

/* One "--name", "--name value" or "--name=value" at argv[*i]. */
static int option(const cli_command *c, int argc, char **argv, int *i, cli_args *out)
{
    const char *word = argv[*i], *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
    const cli_option *o = word[1] == '-' ? find(c, word + 2, n) : NULL;
    if (!o) return unknown(c, word);
    const char *value = equals ? equals + 1 : NULL;
    if (o->kind == CLI_FLAG && value) return cli_usage_error("--%s takes no value.", o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (*i + 1 >= argc) return cli_usage_error("--%s needs a value: %s.", o->name, o->value);
        value = argv[++*i];
    }
    if (o->kind == CLI_VALUE && cli_value(out, o->name)) return cli_usage_error("--%s is given twice.", o->name);
    out->given[out->ngiven++] = (cli_given){o, value};
    return EXIT_FINE;
}

static int count_words(const cli_args *a)
{
    const cli_command *c = a->command;
    if (a->nwords < c->least) return cli_usage_error("%s needs: walbrook %s %s", c->name, c->name, c->words);
    if (a->nwords > c->most)
        return cli_usage_error("%s is one word too many. It is: walbrook %s %s", a->words[c->most], c->name, c->words);
    return EXIT_FINE;
}

int cli_parse(const cli_command *c, int argc, char **argv, cli_args *out)
{
    *out = (cli_args){.command = c};
    out->words = calloc((size_t)argc + 1, sizeof *out->words);
    out->given = calloc((size_t)argc + 1, sizeof *out->given);
    if (!out->words || !out->given) return cli_usage_error("There is not enough memory.");
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        if (only_words || argv[i][0] != '-' || !argv[i][1]) {
            out->words[out->nwords++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (option(c, argc, argv, &i, out) != EXIT_FINE) {
            return EXIT_USAGE;
        }
    }
    return count_words(out);
}

bool cli_flag(const cli_args *a, const char *name)
{
    for (size_t i = 0; i < a->ngiven; i++)
        if (strcmp(a->given[i].option->name, name) == 0) return true;
    return false;
}

const char *cli_value(const cli_args *a, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < a->ngiven; i++)
        if (strcmp(a->given[i].option->name, name) == 0) value = a->given[i].value;
    return value;
}

const char **cli_values(const cli_args *a, const char *name)
{
    size_t n = 0;
    const char **values = calloc(a->ngiven + 1, sizeof *values);
    for (size_t i = 0; values && i < a->ngiven; i++)
        if (strcmp(a->given[i].option->name, name) == 0) values[n++] = a->given[i].value;
    if (n) return values;
    free(values);
    return NULL;
}

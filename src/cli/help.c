/* help.c: `walbrook help ...` and --version. Options of plugins come from their tables, through wb_help_options. */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    wb_plugin_kind kind;
    const char *word, *plural;
} kinds[] = {
    {WB_SOURCE, "source", "sources"},
    {WB_TARGET, "target", "targets"},
    {WB_TRANSFORM, "transform", "transforms"},
    {WB_FORMAT, "format", "formats"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0], NAMES = 64 };

static const char exit_codes[] = "Exit codes\n"
                                 "  0  stopped as asked, or finished (--until now)\n"
                                 "  1  check found something to mend, or verify a difference\n"
                                 "  2  the pipeline file, the command line, or the state folder\n"
                                 "  3  the source\n"
                                 "  4  a target\n"
                                 "  5  a bug of walbrook's, or no memory\n"
                                 "\n"
                                 "Of several pipelines in one process: the highest.\n";

/* ---------------------------------------------------------------- commands */

void cli_usage(FILE *to)
{
    (void)fputs("walbrook turns the log that a database keeps into a stream of changes, and loses none.\n\nCommands\n",
                to);
    for (const cli_command *c = cli_commands; c->name; c++) {
        char words[64];
        (void)snprintf(words, sizeof words, "%s %s", c->name, c->words);
        (void)fprintf(to, "  %-34s %s\n", words, c->brief);
    }
    (void)fputs("\n\"walbrook help COMMAND\" says more; also: help source, target, transform, format (and a NAME), "
                "help pipeline,\n"
                "help exit-codes; walbrook --version.\n",
                to);
}

void cli_command_help(const cli_command *c, FILE *to)
{
    (void)fprintf(to, "walbrook %s %s\n\n  %s\n", c->name, c->words, c->brief);
    if (c->detail) (void)fprintf(to, "\n%s\n", c->detail);
    if (!c->options || !c->options->name) return;
    (void)fputs("\nOptions\n", to);
    for (const cli_option *o = c->options; o->name; o++) {
        char left[80];
        (void)snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        (void)fprintf(to, "  %-38s %s%s\n", left, o->brief, o->kind == CLI_MANY ? "; may come several times" : "");
    }
}

/* ---------------------------------------------------------------- plugins */

static const wb_plugin *find(wb_plugin_kind kind, const char *name)
{
    const wb_plugin *p;
    for (size_t i = 0; (p = wb_plugin_at(kind, i)); i++)
        if (strcmp(p->name, name) == 0) return p;
    return NULL;
}

static int print_options(const wb_plugin *p, bool markdown)
{
    char *text = wb_help_options(p, markdown);
    if (!text) return EXIT_BUG;
    (void)fputs(text, stdout);
    free(text);
    return EXIT_FINE;
}

static int list_kind(size_t k)
{
    const wb_plugin *p;
    (void)printf("%s\n", kinds[k].plural);
    for (size_t i = 0; (p = wb_plugin_at(kinds[k].kind, i)); i++) (void)printf("  %-14s %s\n", p->name, p->brief);
    (void)printf("\n\"walbrook help %s NAME\" lists its options.\n", kinds[k].word);
    return EXIT_FINE;
}

static int no_such_plugin(size_t k, const char *name)
{
    const char *names[NAMES + 1] = {0}, *absent = wb_plugin_absent(kinds[k].kind, name);
    const wb_plugin *p;
    for (size_t i = 0; i < NAMES && (p = wb_plugin_at(kinds[k].kind, i)); i++) names[i] = p->name;
    const char *near = cli_nearest(name, names);
    if (absent) return cli_usage_error("%s", absent);
    if (near) return cli_usage_error("There is no %s %s. Did you mean %s?", kinds[k].word, name, near);
    return cli_usage_error("There is no %s %s. \"walbrook help %s\" lists them.", kinds[k].word, name, kinds[k].word);
}

/* ---------------------------------------------------------------- one word */

static int help_word(const char *word)
{
    const char *names[NAMES + 1] = {"pipeline", "exit-codes"};
    size_t n = 2;
    bool found = false;
    for (const cli_command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, word) == 0) {
            cli_command_help(c, stdout);
            return EXIT_FINE;
        }
        names[n++] = c->name;
    }
    if (strcmp(word, "pipeline") == 0) return print_options(NULL, false);
    if (strcmp(word, "exit-codes") == 0) return fputs(exit_codes, stdout) < 0 ? EXIT_BUG : EXIT_FINE;
    for (size_t k = 0; k < KINDS; k++) {
        if (strcmp(word, kinds[k].word) == 0 || strcmp(word, kinds[k].plural) == 0) return list_kind(k);
        const wb_plugin *p = find(kinds[k].kind, word);
        if (p && found) (void)putchar('\n');
        if (p && print_options(p, false) != EXIT_FINE) return EXIT_BUG;
        found = found || p;
        names[n++] = kinds[k].word;
        for (size_t i = 0; n < NAMES && (p = wb_plugin_at(kinds[k].kind, i)); i++) names[n++] = p->name;
    }
    if (found) return EXIT_FINE;
    for (size_t k = 0; k < KINDS; k++)
        if (wb_plugin_absent(kinds[k].kind, word)) return no_such_plugin(k, word);
    const char *near = cli_nearest(word, names);
    if (near) return cli_usage_error("There is no help about %s. Did you mean %s?", word, near);
    return cli_usage_error("There is no help about %s. \"walbrook help\" says what there is.", word);
}

static int help_two(const char *kind, const char *name)
{
    const char *words[KINDS + 1] = {0};
    for (size_t k = 0; k < KINDS; k++) {
        words[k] = kinds[k].word;
        if (strcmp(kind, kinds[k].word) != 0 && strcmp(kind, kinds[k].plural) != 0) continue;
        const wb_plugin *p = find(kinds[k].kind, name);
        return p ? print_options(p, false) : no_such_plugin(k, name);
    }
    const char *near = cli_nearest(kind, words);
    if (near) return cli_usage_error("There is no help about %s. Did you mean %s?", kind, near);
    return cli_usage_error("There is no help about %s: source, target, transform or format.", kind);
}

/* ---------------------------------------------------------------- docs/reference/config.md */

static int markdown(void)
{
    const wb_plugin *p;
    (void)puts(
        "# Configuration reference\n\nMade by `walbrook help --markdown` from the option tables; do not edit.\n");
    if (print_options(NULL, true) != EXIT_FINE) return EXIT_BUG;
    for (size_t k = 0; k < KINDS; k++) {
        (void)printf("\n## %c%s\n\n", kinds[k].plural[0] - 'a' + 'A', kinds[k].plural + 1);
        for (size_t i = 0; (p = wb_plugin_at(kinds[k].kind, i)); i++) {
            if (print_options(p, true) != EXIT_FINE) return EXIT_BUG;
            (void)putchar('\n');
        }
    }
    (void)puts("## Commands\n");
    for (const cli_command *c = cli_commands; c->name; c++) {
        (void)puts("```");
        cli_command_help(c, stdout);
        (void)puts("```\n");
    }
    (void)printf("## %s", exit_codes);
    return EXIT_FINE;
}

int cli_help(const cli_args *a)
{
    if (cli_flag(a, "markdown")) return markdown();
    if (a->nwords == 2) return help_two(a->words[0], a->words[1]);
    if (a->nwords == 1) return help_word(a->words[0]);
    cli_usage(stdout);
    return EXIT_FINE;
}

/* ---------------------------------------------------------------- version */

/* Each library once: several plugins may use the same. */
static void print_libraries(void)
{
    const char *seen[NAMES];
    size_t n = 0;
    const wb_plugin *p;
    (void)printf("  libraries:  %s", wb_libraries());
    for (size_t k = 0; k < KINDS; k++)
        for (size_t i = 0; (p = wb_plugin_at(kinds[k].kind, i)); i++) {
            const char *version = p->version ? p->version() : NULL;
            size_t s = 0;
            while (version && s < n && strcmp(seen[s], version) != 0) s++;
            if (!version || s < n || n == NAMES) continue;
            (void)printf(", %s", version);
            seen[n++] = version;
        }
    (void)putchar('\n');
}

int cli_version(void)
{
    const wb_plugin *p;
    (void)printf("walbrook %s\n", wb_version());
    for (size_t k = 0; k < KINDS; k++) {
        char head[32];
        (void)snprintf(head, sizeof head, "%s:", kinds[k].plural);
        (void)printf("  %-11s", head);
        for (size_t i = 0; (p = wb_plugin_at(kinds[k].kind, i)); i++) (void)printf("%s %s", i ? "," : "", p->name);
        (void)putchar('\n');
    }
    print_libraries();
    return EXIT_FINE;
}

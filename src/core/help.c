/* help.c: what `walbrook help` and docs/reference say about options, from the option tables alone. */
#include "base/options.h"
#include "core/config_options.h"
#include "walbrook/walbrook.h"

static void options(const wb_option *table, bool markdown, wb_out *out)
{
    if (!table || !table->name)
        wb_out_z(out, markdown ? "No options.\n" : "  It has no options.\n");
    else if (markdown)
        wb_options_markdown(table, out);
    else
        wb_options_help(table, out);
}

static void heading(const char *text, bool markdown, wb_out *out)
{
    wb_out_printf(out, markdown ? "\n%s\n\n" : "\n%s:\n\n", text);
}

static void plugin_help(const wb_plugin *p, bool markdown, wb_out *out)
{
    static const char *const kinds[] = {"source", "target", "format", "transform"};
    const char *version = p->version ? p->version() : NULL;
    wb_out_printf(out, markdown ? "### %s `%s`\n\n%s" : "%s %s: %s", kinds[p->kind], p->name, p->brief);
    if (version && !markdown) wb_out_printf(out, " (%s)", version);
    wb_out_z(out, markdown ? ".\n\n" : "\n\n");
    options(p->options, markdown, out);
    if (p->kind != WB_TARGET || markdown) return;
    heading("Options that every target has", false, out);
    options(wb_selection_option_table, false, out);
}

static void pipeline_help(bool markdown, wb_out *out)
{
    static const char shape[] = "name: shop\n"
                                "source: {type: ..., ...}          # one; \"walbrook help source\"\n"
                                "transforms: [{NAME: {...}}, ...]  # any, in their order; \"walbrook help transform\"\n"
                                "targets: [{type: ..., ...}, ...]  # one or more; \"walbrook help target\"\n";
    if (markdown)
        wb_out_printf(out, "## The pipeline file\n\n```yaml\n%s```\n\n", shape);
    else
        wb_out_printf(out, "A pipeline file is YAML:\n\n%s\n", shape);
    wb_out_z(
        out,
        "Values may hold ${NAME} and ${NAME:-default} (the environment) and ${file:/path} (a file, without its last "
        "newline); $${ stands for ${ itself. What comes in this way is never printed. Paths are relative to the "
        "file's folder.\n");
    heading(markdown ? "### Keys of the pipeline" : "Its other keys", markdown, out);
    options(wb_engine_option_table, markdown, out);
    if (!markdown) return;
    heading("### Keys of every target", true, out);
    options(wb_selection_option_table, true, out);
}

char *wb_help_options(const wb_plugin *plugin, bool markdown)
{
    wb_out out = {0};
    if (plugin)
        plugin_help(plugin, markdown, &out);
    else
        pipeline_help(markdown, &out);
    if (out.len && !out.failed && out.p[out.len - 1] != '\n') wb_out_byte(&out, '\n');
    wb_out_byte(&out, 0);
    if (!out.failed) return out.p;
    wb_out_fini(&out);
    return NULL;
}

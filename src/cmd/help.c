/* SPDX-License-Identifier: Apache-2.0 */
/* socle help [VERB], --help, and the man page: all from the tables of the verbs. */
#include "cmd/cmd.h"

#include <string.h>

const sc_option sc_global_options[] = {
    {"help", 'h', SC_OPT_FLAG, .help = "show this help, or after a verb that verb's"},
    {"version", 'V', SC_OPT_FLAG, .help = "print the version"},
    {0}};

enum { WIDTH = 80, INDENT = 26 };

/* The length of the word at text, or of what fits a line of it: a choice of words may go on behind a '|'. */
static int word_length(const char *text, int most)
{
    int n = (int)strcspn(text, " \n");
    if (n <= most) return n;
    for (int i = most; i > 0; i--)
        if (text[i - 1] == '|') return i;
    return n;
}

/* Words of `text` from column `column` on, further lines indented by `indent`. A blank line in the text stays one. */
static void wrap(FILE *f, const char *text, int column, int indent)
{
    bool fresh = true;
    while (*text) {
        if (text[0] == '\n' && text[1] == '\n') {
            fprintf(f, "\n\n%*s", indent, "");
            column = indent;
            fresh = true;
            text += 2;
            continue;
        }
        if (*text == ' ' || *text == '\n') {
            text++;
            continue;
        }
        int n = word_length(text, WIDTH - indent);
        if (!fresh && column + 1 + n > WIDTH) {
            fprintf(f, "\n%*s", indent, "");
            column = indent;
            fresh = true;
        }
        fprintf(f, "%s%.*s", fresh ? "" : " ", n, text);
        column += n + !fresh;
        fresh = false;
        text += n;
    }
    fputc('\n', f);
}

static void option_row(FILE *f, const sc_option *o)
{
    char left[80];
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->kind != SC_OPT_FLAG && n < (int)sizeof left)
        n += snprintf(left + n, sizeof left - (size_t)n, " %s", o->kind == SC_OPT_CHOICE ? "WORD" : o->arg);
    fputs(left, f);
    if (n > INDENT - 2) {
        fputc('\n', f);
        n = 0;
    }
    fprintf(f, "%*s", INDENT - n, "");
    char text[1024];
    n = snprintf(text, sizeof text, "%s", o->help);
    if (o->kind == SC_OPT_CHOICE && n < (int)sizeof text)
        n += snprintf(text + n, sizeof text - (size_t)n, ": %s", o->arg);
    if (o->value && n < (int)sizeof text) n += snprintf(text + n, sizeof text - (size_t)n, " [%s]", o->value);
    if (o->many && n < (int)sizeof text) snprintf(text + n, sizeof text - (size_t)n, " (may be repeated)");
    wrap(f, text, INDENT, INDENT);
}

static void verb_row(FILE *f, const sc_verb *v) { fprintf(f, "  %-22s %s\n", v->name, v->summary); }

void sc_help_program(FILE *f)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    fputs("socle: foundation models in one command\n\nusage: socle VERB [OPTION...] [ARGUMENT...]\n\n", f);
    for (int i = 0; i < count; i++) verb_row(f, verbs[i]);
    fputs("\nsocle VERB --help shows what a verb takes, with examples.\n", f);
}

void sc_help_group(FILE *f, const char *name)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    fprintf(f, "usage: socle %s VERB [OPTION...] [ARGUMENT...]\n\n", name);
    for (int i = 0; i < count; i++)
        if (sc_verb_in_group(verbs[i], name)) verb_row(f, verbs[i]);
    fprintf(f, "\nsocle %s VERB --help shows what a verb takes, with examples.\n", name);
}

void sc_help_verb(FILE *f, const sc_verb *v)
{
    fprintf(f, "usage: socle %s%s%s%s\n\n", v->name, v->options && v->options->name ? " [OPTION...]" : "",
            *v->args ? " " : "", v->args);
    fprintf(f, "%s.\n", v->summary);
    if (v->about) {
        fputc('\n', f);
        wrap(f, v->about, 0, 0);
    }
    fputs("\nOptions:\n", f);
    for (const sc_option *o = v->options; o && o->name; o++) option_row(f, o);
    option_row(f, &(sc_option){"help", 'h', SC_OPT_FLAG, .help = "show this help"});
    if (v->examples && v->examples->line) fputs("\nExamples:\n", f);
    for (const sc_example *e = v->examples; e && e->line; e++) fprintf(f, "  # %s\n  %s\n", e->what, e->line);
}

static int help(sc_cmd *c)
{
    if (sc_cmd_flag(c, "man")) {
        sc_help_man(stdout);
        return 0;
    }
    const char *name = sc_cmd_arg(c, 0);
    if (!name) {
        sc_help_program(stdout);
        return 0;
    }
    const char *second = sc_cmd_arg(c, 1);
    char *words[] = {(char *)(uintptr_t)name, (char *)(uintptr_t)second};
    const sc_verb *v = sc_verb_named(second ? 2 : 1, words);
    if (!v && sc_verb_group(name) && !second) {
        sc_help_group(stdout, name);
        return 0;
    }
    if (!v || (second && !strchr(v->name, ' ')))
        return sc_cmd_usage(c, "no verb '%s%s%s'", name, second ? " " : "", second ? second : "");
    sc_help_verb(stdout, v);
    return 0;
}

static const sc_option options[] = {{"man", 0, SC_OPT_FLAG, .help = "print the man page of all verbs"}, {0}};
static const sc_example examples[] = {
    {"socle help run", "What the verb run takes"}, {"socle help --man | man -l -", "Read the whole manual"}, {0}};

const sc_verb sc_verb_help = {.name = "help",
                              .summary = "Show what a verb takes, or the manual",
                              .args = "[VERB]",
                              .max_args = 2,
                              .options = options,
                              .examples = examples,
                              .run = help};

/* SPDX-License-Identifier: Apache-2.0 */
/* The man page, in man(7) macros. */
#include "cmd/cmd.h"

#include <string.h>

/* Text as roff reads it literally: backslashes, dashes, and lines that begin with a control character. */
static void text(FILE *f, const char *p)
{
    bool start = true;
    for (; *p; p++) {
        if (start && (*p == '.' || *p == '\'')) fputs("\\&", f);
        start = *p == '\n';
        if (*p == '\\')
            fputs("\\e", f);
        else if (*p == '-')
            fputs("\\-", f);
        else if (p[0] == '\n' && p[1] == '\n') {
            fputs("\n.PP\n", f);
            p++;
        } else
            fputc(*p, f);
    }
}

static void option_entry(FILE *f, const sc_option *o)
{
    fputs(".TP\n", f);
    if (o->letter) fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", f);
    text(f, o->name);
    fputs("\\fR", f);
    if (o->kind != SC_OPT_FLAG) {
        fputs(" \\fI", f);
        text(f, o->kind == SC_OPT_CHOICE ? "WORD" : o->arg);
        fputs("\\fR", f);
    }
    fputc('\n', f);
    text(f, o->help);
    if (o->kind == SC_OPT_CHOICE) {
        fputs(": ", f);
        text(f, o->arg);
    }
    if (o->value) {
        fputs(" [", f);
        text(f, o->value);
        fputc(']', f);
    }
    if (o->many) fputs(" (may be repeated)", f);
    fputc('\n', f);
}

static void verb_section(FILE *f, const sc_verb *v)
{
    fputs(".SS \"socle ", f);
    text(f, v->name);
    fputs(v->options && v->options->name ? " [OPTION...]" : "", f);
    fputs(*v->args ? " " : "", f);
    text(f, v->args);
    fputs("\"\n", f);
    text(f, v->summary);
    fputs(".\n", f);
    if (v->about) {
        fputs(".PP\n", f);
        text(f, v->about);
        fputc('\n', f);
    }
    for (const sc_option *o = v->options; o && o->name; o++) option_entry(f, o);
    for (const sc_example *e = v->examples; e && e->line; e++) {
        fputs(".PP\n", f);
        text(f, e->what);
        fputs(":\n.PP\n.RS 4\n.nf\n", f);
        text(f, e->line);
        fputs("\n.fi\n.RE\n", f);
    }
}

void sc_help_man(FILE *f)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    fprintf(f, ".TH SOCLE 1 \"\" \"socle %s\" \"User Commands\"\n", sc_version());
    fputs(".SH NAME\nsocle \\- foundation models in one command\n"
          ".SH SYNOPSIS\n.B socle\n\\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n"
          ".SH DESCRIPTION\nsocle runs, inspects and converts foundation models. Nothing but the answer goes to "
          "standard\n"
          "output; messages, and at a terminal a progress bar, go to standard error. Options may stand anywhere\n"
          "after the verb; what follows\n.B \\-\\-\nis never an option.\n",
          f);
    fputs(".SH OPTIONS\n", f);
    for (const sc_option *o = sc_global_options; o->name; o++) option_entry(f, o);
    fputs(".SH VERBS\n", f);
    for (int i = 0; i < count; i++) verb_section(f, verbs[i]);
    fputs(".SH EXIT STATUS\n"
          ".TP\n0\nsuccess\n.TP\n1\na failure, told in one line on standard error\n.TP\n2\nwrong use\n"
          ".TP\n130\ninterrupted by Ctrl\\-C\n"
          ".SH ENVIRONMENT\n"
          ".TP\n.B SOCLE_MODELS\nfolder of models; otherwise\n.I $XDG_DATA_HOME/socle/models\nor\n"
          ".I ~/.local/share/socle/models\n"
          ".TP\n.B SOCLE_LANGUAGES\nthe model that tells languages apart; otherwise languages.ftz in the folder of "
          "models\n"
          ".TP\n.B HF_ENDPOINT\nwhere models are pulled from\n"
          ".TP\n.B HF_TOKEN\nsent there, for repositories that need one\n"
          ".TP\n.B HF_HUB_OFFLINE\n1: make no connection\n"
          ".TP\n.BR HF_HUB_CACHE \", \" HF_HOME\nwhere the local HuggingFace cache is: the folder itself, or the "
          "one that has it as\n.IR hub ;\notherwise\n.I $XDG_CACHE_HOME/huggingface/hub\nor\n.I "
          "~/.cache/huggingface/hub\n"
          ".TP\n.B XDG_STATE_HOME\nwhere a chat keeps its history; otherwise\n.I ~/.local/state\n",
          f);
}

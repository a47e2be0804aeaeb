/* SPDX-License-Identifier: Apache-2.0 */
/* socle completion bash|zsh: the shell's completion script, written from the tables of the verbs. */
#include "cmd/cmd.h"

#include <string.h>

/* The words of "a|b|c" with a space between. */
static void choices(FILE *f, const char *arg)
{
    for (; *arg; arg++) fputc(*arg == '|' ? ' ' : *arg, f);
}

static void bash_words(FILE *f, const sc_verb *v)
{
    for (const sc_option *o = v->options; o && o->name; o++) {
        fprintf(f, "--%s ", o->name);
        if (o->letter) fprintf(f, "-%c ", o->letter);
    }
    fputs("--help -h", f);
}

/* After an option with a value, what that value may be. */
static void bash_values(FILE *f, const sc_verb *v)
{
    for (const sc_option *o = v->options; o && o->name; o++) {
        if (o->kind == SC_OPT_FLAG) continue;
        fprintf(f, "        '%s:--%s'", v->name, o->name);
        if (o->letter) fprintf(f, "|'%s:-%c'", v->name, o->letter);
        fputs(") ", f);
        if (o->kind == SC_OPT_CHOICE) {
            fputs("COMPREPLY=($(compgen -W '", f);
            choices(f, o->arg);
            fputs("' -- \"$cur\"))", f);
        } else if (o->kind == SC_OPT_FILE) {
            fputs("_socle_names -f", f);
        } else if (o->kind == SC_OPT_DIR) {
            fputs("_socle_names -d", f);
        } else {
            fputs("COMPREPLY=()", f);
        }
        fputs("; return ;;\n", f);
    }
}

/* Whether verb i is the first of its group in the table, where those of a group stand together. */
static bool leads_group(int i)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    int n = sc_verb_first(verbs[i]);
    return verbs[i]->name[n] && (i == 0 || strncmp(verbs[i - 1]->name, verbs[i]->name, (size_t)n + 1) != 0);
}

/* What may come first after `socle`, apart by spaces. */
static void first_words(FILE *f)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    for (int i = 0; i < count; i++)
        if (!strchr(verbs[i]->name, ' ') || leads_group(i))
            fprintf(f, "%s%.*s", i ? " " : "", sc_verb_first(verbs[i]), verbs[i]->name);
}

/* The second word of a group's verbs, beginning with verb i. */
static void bash_group(FILE *f, int i)
{
    int count, n;
    const sc_verb *const *verbs = sc_verbs(&count);
    n = sc_verb_first(verbs[i]);
    fprintf(f,
            "        %.*s)\n            if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
            "                COMPREPLY=($(compgen -W '",
            n, verbs[i]->name);
    for (int k = i; k < count && strncmp(verbs[k]->name, verbs[i]->name, (size_t)n + 1) == 0; k++)
        fprintf(f, "%s ", verbs[k]->name + n + 1);
    fputs("--help' -- \"$cur\"))\n                return\n            fi\n"
          "            verb=\"$verb ${COMP_WORDS[2]}\" ;;\n",
          f);
}

static void bash(FILE *f)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    /* mapfile, because names of files may hold blanks. */
    fputs("# bash completion for socle\n_socle_names() {\n"
          "    compopt -o filenames 2>/dev/null\n    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n}\n"
          "_socle() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W '",
          f);
    first_words(f);
    fputs(" --help --version' -- \"$cur\"))\n        return\n    fi\n    case $verb in\n", f);
    for (int i = 0; i < count; i++)
        if (leads_group(i)) bash_group(f, i);
    fputs("    esac\n    case $verb:$prev in\n", f);
    for (int i = 0; i < count; i++) bash_values(f, verbs[i]);
    fputs("    esac\n    case $verb:$cur in\n", f);
    for (int i = 0; i < count; i++) {
        fprintf(f, "        '%s:-'*) COMPREPLY=($(compgen -W '", verbs[i]->name);
        bash_words(f, verbs[i]);
        fputs("' -- \"$cur\")) ;;\n", f);
    }
    fputs("        help:*) COMPREPLY=($(compgen -W '", f);
    first_words(f);
    fputs("' -- \"$cur\")) ;;\n"
          "        completion:*) COMPREPLY=($(compgen -W 'bash zsh' -- \"$cur\")) ;;\n"
          "        *) _socle_names -f ;;\n    esac\n}\n"
          "complete -F _socle socle\n",
          f);
}

/* Inside single quotes of a zsh specification: quotes closed and reopened, brackets and colons escaped. */
static void zsh_text(FILE *f, const char *p)
{
    for (; *p; p++) {
        if (*p == '\'')
            fputs("'\\''", f);
        else if (strchr("[]:\\", *p))
            fprintf(f, "\\%c", *p);
        else
            fputc(*p, f);
    }
}

static void zsh_option(FILE *f, const sc_option *o, const char *dashes, const char *name)
{
    fprintf(f, " \\\n            '%s%s%s%s[", o->many ? "*" : "", dashes, name,
            o->kind == SC_OPT_FLAG    ? ""
            : o->letter && !dashes[1] ? "+"
                                      : "=");
    zsh_text(f, o->help);
    fputc(']', f);
    if (o->kind != SC_OPT_FLAG) {
        fputc(':', f);
        zsh_text(f, o->kind == SC_OPT_CHOICE ? "word" : o->arg);
        fputc(':', f);
        if (o->kind == SC_OPT_CHOICE) {
            fputc('(', f);
            choices(f, o->arg);
            fputc(')', f);
        } else if (o->kind == SC_OPT_FILE) {
            fputs("_files", f);
        } else if (o->kind == SC_OPT_DIR) {
            fputs("_files -/", f);
        }
    }
    fputc('\'', f);
}

static void zsh_group(FILE *f, int i)
{
    int count, n;
    const sc_verb *const *verbs = sc_verbs(&count);
    n = sc_verb_first(verbs[i]);
    fprintf(f, "        %.*s)\n            if (( CURRENT == 2 )); then\n                verbs=(\n", n,
            verbs[i]->name);
    for (int k = i; k < count && strncmp(verbs[k]->name, verbs[i]->name, (size_t)n + 1) == 0; k++) {
        fprintf(f, "                    '%s:", verbs[k]->name + n + 1);
        zsh_text(f, verbs[k]->summary);
        fputs("'\n", f);
    }
    fputs(
        "                )\n                _describe -t verbs verb verbs\n                return\n            fi\n"
        "            verb=\"$verb $words[2]\"\n            shift words\n            (( CURRENT-- )) ;;\n",
        f);
}

static void zsh(FILE *f)
{
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    fputs("#compdef socle\n_socle() {\n    local -a verbs\n    verbs=(\n", f);
    for (int i = 0; i < count; i++) {
        bool group = strchr(verbs[i]->name, ' ');
        if (group && !leads_group(i)) continue;
        fprintf(f, "        '%.*s:", sc_verb_first(verbs[i]), verbs[i]->name);
        zsh_text(f, group ? "More verbs" : verbs[i]->summary);
        fputs("'\n", f);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then\n        _describe -t verbs verb verbs\n        return\n    fi\n"
          "    local verb=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $verb in\n",
          f);
    for (int i = 0; i < count; i++)
        if (leads_group(i)) zsh_group(f, i);
    fputs("    esac\n    case $verb in\n", f);
    for (int i = 0; i < count; i++) {
        const sc_verb *v = verbs[i];
        fprintf(f, "        '%s')\n            _arguments -s '(-h --help)'{-h,--help}'[show help]'", v->name);
        for (const sc_option *o = v->options; o && o->name; o++) {
            char letter[2] = {o->letter, 0};
            if (o->letter) zsh_option(f, o, "-", letter);
            zsh_option(f, o, "--", o->name);
        }
        if (strcmp(v->name, "help") == 0)
            fputs(" \\\n            '*:verb:{ _describe -t verbs verb verbs }'", f);
        else if (strcmp(v->name, "completion") == 0)
            fputs(" \\\n            '*:shell:(bash zsh)'", f);
        else if (v->max_args != 0)
            fputs(" \\\n            '*:file:_files'", f);
        fputs(" ;;\n", f);
    }
    fputs("    esac\n}\n_socle \"$@\"\n", f);
}

static int completion(sc_cmd *c)
{
    const char *shell = sc_cmd_arg(c, 0);
    if (strcmp(shell, "bash") == 0)
        bash(stdout);
    else if (strcmp(shell, "zsh") == 0)
        zsh(stdout);
    else
        return sc_cmd_usage(c, "no completion for '%s', only for bash and zsh", shell);
    return 0;
}

static const sc_example examples[] = {
    {"eval \"$(socle completion bash)\"", "Completion in this bash"},
    {"socle completion zsh > ~/.zsh/completions/_socle", "Completion in every zsh with that folder in its fpath"},
    {0}};

const sc_verb sc_verb_completion = {.name = "completion",
                                    .summary = "Print the completion script of a shell",
                                    .args = "bash|zsh",
                                    .min_args = 1,
                                    .max_args = 1,
                                    .examples = examples,
                                    .run = completion};

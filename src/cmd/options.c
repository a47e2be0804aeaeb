/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a command line by the table of its verb. Options may stand anywhere before "--"; the last of a repeated one
 * counts unless the table says `many`. */
#include "cmd/cmd.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 256

const char *sc_cmd_nearest(const char *word, const char *const *words, int count)
{
    const char *best;
    return sc_nearest_words(word, words, count, &best, 1) ? best : NULL;
}

static const sc_option *by_name(const sc_verb *v, const char *name, size_t n)
{
    for (const sc_option *o = v->options; o && o->name; o++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) return o;
    return NULL;
}

static const sc_option *by_letter(const sc_verb *v, char letter)
{
    for (const sc_option *o = v->options; o && o->name; o++)
        if (o->letter == letter) return o;
    return NULL;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; n > 0; p++) {
        size_t k = strcspn(p, "|");
        if (k == n && memcmp(p, text, n) == 0) return true;
        p += k;
        if (!*p) break;
    }
    return false;
}

static bool read_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return *text && !isspace((unsigned char)*text) && !*end && errno == 0;
}

static bool read_num(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return *text && !isspace((unsigned char)*text) && !*end && isfinite(*out);
}

/* 0, or 2 after saying what is wrong with the value. */
static int check_value(const sc_cmd *c, const sc_option *o, const char *text)
{
    double x = 0;
    int64_t i;
    bool ok = true;
    if (o->kind == SC_OPT_INT) {
        ok = read_int(text, &i);
        x = (double)i;
    } else if (o->kind == SC_OPT_NUM) {
        ok = read_num(text, &x);
    } else if (o->kind == SC_OPT_CHOICE) {
        if (is_choice(o->arg, text)) return 0;
        return sc_cmd_usage(c, "--%s takes one of %s, not '%s'", o->name, o->arg, text);
    } else {
        return 0;
    }
    const char *what = o->kind == SC_OPT_INT ? "a whole number" : "a number";
    if (!ok) return sc_cmd_usage(c, "--%s takes %s, not '%s'", o->name, what, text);
    if (o->lo == 0 && o->hi == 0) return 0;
    if (x < o->lo || x > o->hi)
        return sc_cmd_usage(c, "--%s takes %s from %.15g to %.15g, not '%s'", o->name, what, o->lo, o->hi, text);
    return 0;
}

static int put(sc_cmd *c, const sc_option *o, const char *text)
{
    c->values[c->n_values++] = (sc_cmd_value){o, text};
    return text ? check_value(c, o, text) : 0;
}

static int unknown_option(const sc_cmd *c, const char *name)
{
    const char *words[MAX_WORDS];
    int n = 0;
    words[n++] = "help";
    for (const sc_option *o = c->verb->options; o && o->name && n < MAX_WORDS; o++) words[n++] = o->name;
    const char *near = sc_cmd_nearest(name, words, n);
    if (near) return sc_cmd_usage(c, "no option --%s; did you mean --%s?", name, near);
    return sc_cmd_usage(c, "no option --%s", name);
}

/* "--name", "--name=value" or "--name" "value". *i moves past a value that was taken. */
static int parse_long(sc_cmd *c, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    const sc_option *o = by_name(c->verb, name, n);
    if (!o) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)(n < 60 ? n : 60), name);
        return unknown_option(c, text);
    }
    if (o->kind == SC_OPT_FLAG) {
        if (equals) return sc_cmd_usage(c, "--%s takes no value", o->name);
        return put(c, o, NULL);
    }
    if (equals) return put(c, o, equals + 1);
    if (*i + 1 >= argc) return sc_cmd_usage(c, "--%s needs a value: %s", o->name, o->arg);
    return put(c, o, argv[++*i]);
}

/* "-n5", "-n" "5", or flags together: "-rq". */
static int parse_short(sc_cmd *c, int argc, char **argv, int *i)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const sc_option *o = by_letter(c->verb, *p);
        if (!o && *p == 'h') return -1;
        if (!o) return sc_cmd_usage(c, "no option -%c (text that begins with a dash goes after --)", *p);
        if (o->kind == SC_OPT_FLAG) {
            int rc = put(c, o, NULL);
            if (rc) return rc;
            continue;
        }
        if (p[1]) return put(c, o, p + 1);
        if (*i + 1 >= argc) return sc_cmd_usage(c, "-%c needs a value: %s", *p, o->arg);
        return put(c, o, argv[++*i]);
    }
    return 0;
}

int sc_cmd_parse(sc_cmd *c, const sc_verb *verb, int argc, char **argv)
{
    *c = (sc_cmd){.verb = verb, .n_words = argc, .words = argv};
    size_t letters = 1;
    for (int i = 1; i < argc; i++) letters += strlen(argv[i]) + 1;
    /* A word of n letters can hold n flags. */
    c->values = calloc(letters, sizeof *c->values);
    c->argv = calloc((size_t)argc + 1, sizeof *c->argv);
    if (!c->values || !c->argv) {
        sc_cmd_message("out of memory");
        return 2;
    }
    bool only_args = false;
    for (int i = strchr(verb->name, ' ') ? 2 : 1; i < argc; i++) {
        const char *a = argv[i];
        int rc = 0;
        if (only_args || a[0] != '-' || a[1] == 0)
            c->argv[c->argc++] = a;
        else if (strcmp(a, "--") == 0)
            only_args = true;
        else if (strcmp(a, "--help") == 0)
            return -1;
        else if (a[1] == '-')
            rc = parse_long(c, argc, argv, &i);
        else
            rc = parse_short(c, argc, argv, &i);
        if (rc) return rc;
    }
    if (c->argc < verb->min_args)
        return sc_cmd_usage(c, "too few arguments: usage: socle %s %s", verb->name, verb->args);
    if (verb->max_args >= 0 && c->argc > verb->max_args) {
        const char *hint = verb->max_args > 0 ? " (several words are one argument only in quotes)" : "";
        return sc_cmd_usage(c, "one argument too many: '%s'%s", c->argv[verb->max_args], hint);
    }
    return 0;
}

static const sc_option *need(const sc_cmd *c, const char *name)
{
    const sc_option *o = by_name(c->verb, name, strlen(name));
    if (!o) {
        sc_cmd_message("the verb %s has no option %s in its table", c->verb->name, name);
        abort();
    }
    return o;
}

/* The last value typed, or the default. */
static const char *text_of(const sc_cmd *c, const sc_option *o)
{
    for (int i = c->n_values - 1; i >= 0; i--)
        if (c->values[i].option == o) return c->values[i].text;
    return o->value;
}

int sc_cmd_argc(const sc_cmd *c) { return c->argc; }

const char *sc_cmd_arg(const sc_cmd *c, int i) { return i >= 0 && i < c->argc ? c->argv[i] : NULL; }

int sc_cmd_count(const sc_cmd *c, const char *name)
{
    const sc_option *o = need(c, name);
    int n = 0;
    for (int i = 0; i < c->n_values; i++) n += c->values[i].option == o;
    return n;
}

const char *sc_cmd_list(const sc_cmd *c, const char *name, int i)
{
    const sc_option *o = need(c, name);
    for (int k = 0; k < c->n_values; k++)
        if (c->values[k].option == o && i-- == 0) return c->values[k].text;
    return NULL;
}

bool sc_cmd_has(const sc_cmd *c, const char *name) { return by_name(c->verb, name, strlen(name)) != NULL; }

bool sc_cmd_given(const sc_cmd *c, const char *name) { return sc_cmd_count(c, name) > 0; }

bool sc_cmd_flag(const sc_cmd *c, const char *name) { return sc_cmd_count(c, name) > 0; }

int64_t sc_cmd_int(const sc_cmd *c, const char *name)
{
    const char *text = text_of(c, need(c, name));
    int64_t v = 0;
    if (text) read_int(text, &v);
    return v;
}

double sc_cmd_num(const sc_cmd *c, const char *name)
{
    const char *text = text_of(c, need(c, name));
    double v = 0;
    if (text) read_num(text, &v);
    return v;
}

const char *sc_cmd_str(const sc_cmd *c, const char *name) { return text_of(c, need(c, name)); }

/* ---- messages ---- */

/* One line, whatever the text holds: names from files and from the command line must not steer the terminal. */
static void say(const char *fmt, va_list args, const char *tail)
{
    char line[2048];
    int n = vsnprintf(line, sizeof line, fmt, args);
    if (n < 0) return;
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    fprintf(stderr, "socle: %s%s\n", line, tail);
}

void sc_cmd_message(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args, "");
    va_end(args);
}

int sc_cmd_fail(const sc_cmd *c)
{
    sc_cmd_clear_progress((sc_cmd *)c);
    if (*sc_error()) sc_cmd_message("%s", sc_error()); /* else another process says it */
    return 1;
}

int sc_cmd_error(const sc_cmd *c, const char *fmt, ...)
{
    sc_cmd_clear_progress((sc_cmd *)c);
    va_list args;
    va_start(args, fmt);
    say(fmt, args, "");
    va_end(args);
    return 1;
}

int sc_cmd_usage(const sc_cmd *c, const char *fmt, ...)
{
    char tail[64];
    snprintf(tail, sizeof tail, " (see socle %s --help)", c->verb->name);
    va_list args;
    va_start(args, fmt);
    say(fmt, args, tail);
    va_end(args);
    return 2;
}

void sc_cmd_note(const sc_cmd *c, const char *fmt, ...)
{
    if (by_name(c->verb, "quiet", 5) && sc_cmd_flag(c, "quiet")) return;
    sc_cmd_clear_progress((sc_cmd *)c);
    va_list args;
    va_start(args, fmt);
    say(fmt, args, "");
    va_end(args);
}

const char *const *sc_cmd_words(const sc_cmd *c, int *n)
{
    *n = c->n_words;
    return (const char *const *)c->words;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of the command: one file a verb, whose table makes its help, its completions and its manual.
 *
 * A verb is src/cmd/NAME.c and the row V(NAME) in verbs.def:
 *
 *     static int tokenize(sc_cmd *c)
 *     {
 *         const char *file = sc_cmd_arg(c, 1);                    // NULL: not given
 *         sc_context *ctx = sc_cmd_context(c);                    // --threads, progress, Ctrl-C; the frame's
 *         if (!ctx) return sc_cmd_fail(c);                        // prints sc_error() as "socle: …", returns 1
 *         if (sc_cmd_flag(c, "lines") && file) …
 *         int64_t n = sc_cmd_int(c, "limit");                     // in its range already
 *         if (n % 2) return sc_cmd_usage(c, "--limit must be even");   // returns 2
 *         fputs("answer\n", stdout);                              // checked when the command ends
 *         return 0;
 *     }
 *     static const sc_option options[] = {
 *         {"lines", 'l', SC_OPT_FLAG, .help = "one array a line of input"},
 *         {"limit", 'n', SC_OPT_INT, "N", "at most N tokens", .value = "256", .lo = 1, .hi = 1e9},
 *         SC_OPT_CONTEXT,                                         // --threads and --quiet, where a context is made
 *         {0}};
 *     static const sc_example examples[] = {
 *         {"socle tokenize SmolLM2.gguf notes.txt", "The ids of a file as one JSON array"},
 *         {0}};
 *     const sc_verb sc_verb_tokenize = {
 *         .name = "tokenize", .summary = "Turn text into token ids, and back",
 *         .args = "MODEL [FILE]", .min_args = 1, .max_args = 2,
 *         .options = options, .examples = examples, .run = tokenize};
 *
 * Only the public headers, jansson and this one are included by verbs. Nothing but the answer goes to stdout. A verb
 * returns 0, 1 (a failure, said in one line on stderr) or 2 (wrong use); main turns an interrupt into 130. */
#ifndef SC_CMD_H
#define SC_CMD_H

#include "socle/base.h"

#include <jansson.h>
#include <stdio.h>

#define SC_CMD_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

typedef struct sc_cmd sc_cmd;

typedef enum sc_option_kind {
    SC_OPT_FLAG,   /* takes no value */
    SC_OPT_INT,    /* int64_t within [lo, hi] */
    SC_OPT_NUM,    /* finite double within [lo, hi] */
    SC_OPT_STR,    /* any text */
    SC_OPT_CHOICE, /* one of the words of `arg`, written "f32|f16|q8_0" */
    SC_OPT_FILE,   /* text, completed as a file name */
    SC_OPT_DIR,    /* text, completed as a folder */
} sc_option_kind;

typedef struct sc_option {
    const char *name; /* without the dashes */
    char letter;      /* 0: no short form */
    sc_option_kind kind;
    const char *arg;   /* what the value is called in help: "N", "FILE" */
    const char *help;  /* without a capital or a full stop */
    const char *value; /* the default, as it would be typed; NULL: none */
    double lo, hi;     /* for numbers; both 0: no limit */
    bool many;         /* may be repeated: sc_cmd_list has all of them */
} sc_option;

typedef struct sc_example {
    const char *line; /* as typed */
    const char *what; /* what it does */
} sc_example;

typedef struct sc_verb {
    const char *name, *summary; /* "tokenize" or two words, "tokenizer train"; the summary without a full stop */
    const char *args;           /* positional arguments: "MODEL [PROMPT]"; "" for none */
    const char *about;          /* more paragraphs of help, separated by blank lines; may be NULL */
    int min_args, max_args;     /* positional arguments; max_args -1: any number */
    const sc_option *options;   /* ended by {0}; may be NULL */
    const sc_example *examples; /* ended by {0} */
    int (*run)(sc_cmd *c);
} sc_verb;

#define SC_OPT_CONTEXT                                                                                             \
    {"threads",    't',     SC_OPT_INT, "T", "threads to use; 0: one for each physical core",                      \
     .value = "0", .lo = 0, .hi = 256},                                                                            \
    {                                                                                                              \
        "quiet", 'q', SC_OPT_FLAG, .help = "no progress and no remarks"                                            \
    }

/* All verbs, in the order of verbs.def; *count of them. */
const sc_verb *const *sc_verbs(int *count);
/* The verb that the first words, or word, of a command line name; NULL: there is none. */
const sc_verb *sc_verb_named(int n, char *const *word);
/* Verbs of two words with the same first one are a group. The first verb of a group; NULL: there is no such group. */
const sc_verb *sc_verb_group(const char *name);
bool sc_verb_in_group(const sc_verb *v, const char *group);
int sc_verb_first(const sc_verb *v); /* letters of the name's first word */

/* ---- what the user typed (options.c). Asking for an option that the verb's table lacks is a mistake in the verb
 * and ends the program with a message. ---- */
int sc_cmd_argc(const sc_cmd *c);
const char *sc_cmd_arg(const sc_cmd *c, int i);       /* i-th positional argument; NULL: there are fewer */
bool sc_cmd_has(const sc_cmd *c, const char *name);   /* whether the verb's table has such an option */
bool sc_cmd_given(const sc_cmd *c, const char *name); /* typed, not only a default */
bool sc_cmd_flag(const sc_cmd *c, const char *name);
int64_t sc_cmd_int(const sc_cmd *c, const char *name); /* typed or default; 0 where there is neither */
double sc_cmd_num(const sc_cmd *c, const char *name);
const char *sc_cmd_str(const sc_cmd *c, const char *name);         /* NULL: neither; STR, CHOICE, FILE, DIR */
int sc_cmd_count(const sc_cmd *c, const char *name);               /* how often it was typed */
const char *sc_cmd_list(const sc_cmd *c, const char *name, int i); /* its i-th value, in the order typed */
const char *const *sc_cmd_words(const sc_cmd *c, int *n);          /* all that was typed, the verb first */

/* ---- ending ---- */
int sc_cmd_fail(const sc_cmd *c); /* "socle: " and sc_error() on stderr where that is not empty; returns 1 */
int sc_cmd_error(const sc_cmd *c, const char *fmt, ...) SC_CMD_PRINTF(2, 3); /* the same with this text */
int sc_cmd_usage(const sc_cmd *c, const char *fmt, ...) SC_CMD_PRINTF(2, 3); /* the same, returns 2 */
void sc_cmd_note(const sc_cmd *c, const char *fmt, ...) SC_CMD_PRINTF(2, 3); /* a remark; not with --quiet */

/* ---- context and terminal (context.c) ---- */
/* The context of this command, made at the first call from SC_OPT_CONTEXT (or defaults, where the verb's table lacks
 * it) and freed by the frame after the verb. NULL: sc_error() says why. Ctrl-C cancels it; a second one ends the
 * program. Free what was made with it before returning. */
sc_context *sc_cmd_context(sc_cmd *c);
bool sc_cmd_interrupted(void); /* Ctrl-C was pressed since the last sc_cmd_resume */
void sc_cmd_resume(sc_cmd *c); /* forgets it, so that work can go on */
/* Draws over the last progress at a terminal, cut to its width; `stays`: what comes next is below it. Elsewhere a line. */
void sc_cmd_status(sc_cmd *c, const char *line, bool stays);
/* From now on this signal asks to stop as Ctrl-C does: for work that can be saved. */
void sc_cmd_stop_on(int sig);
void sc_cmd_clear_progress(sc_cmd *c); /* takes the progress bar off the screen, before an answer begins */

/* ---- input (input.c) ---- */
/* All bytes of a file, or of stdin where path is "-" or NULL; NUL-terminated, owned (free). At most max bytes. NULL
 * after printing what went wrong. */
char *sc_cmd_read(const sc_cmd *c, const char *path, int64_t max, int64_t *len);

/* ---- answers as JSON (json.c) ---- */
/* Prints o, which it takes, and a newline. 0, or 1 after a message; o NULL (it could not be made) is a failure too. */
int sc_cmd_json(const sc_cmd *c, json_t *o, size_t flags);

/* ---- adapters (adapters.c) ---- */
enum { SC_CMD_ADAPTERS = 16 };
typedef struct sc_adapter_list {
    const char *dir[SC_CMD_ADAPTERS];
    double weight[SC_CMD_ADAPTERS];
    char text[SC_CMD_ADAPTERS][1024];
    int n;
} sc_adapter_list;
#define SC_OPT_ADAPTER                                                                                             \
    {                                                                                                              \
        "adapter", 0, SC_OPT_STR, "DIR[=WEIGHT]", "apply an adapter in PEFT's format: LoRA or prompt tuning",      \
            .many = true                                                                                           \
    }
/* Reads --adapter; 0, or the exit code after a message. */
int sc_cmd_adapters(sc_cmd *c, sc_adapter_list *out);
/* Texts of files, one a line; of a file whose name ends in .jsonl, the text at `field` of each line's object. */
typedef struct sc_cmd_texts {
    struct sc_text *item; /* embed.h */
    int64_t n, cap;
    char **data; /* what the items look into */
    int64_t n_data;
} sc_cmd_texts;
/* Appends those of a file, or of stdin where path is "-" or NULL. 0, or 1 after printing what went wrong. Starts as {0}. */
int sc_cmd_texts_read(const sc_cmd *c, sc_cmd_texts *t, const char *path, const char *field);
void sc_cmd_texts_free(sc_cmd_texts *t);

/* ---- who answers (asker.c) ---- */
#define SC_OPT_ASKER                                                                                               \
    {"api", 0, SC_OPT_STR, "URL", "ask an OpenAI-compatible endpoint (https://host/v1) instead of a model here"},  \
        {"api-model", 0, SC_OPT_STR, "NAME", "what the endpoint calls the model"},                                 \
        {"api-key-env",                                                                                            \
         0,                                                                                                        \
         SC_OPT_STR,                                                                                               \
         "VARIABLE",                                                                                               \
         "the environment variable that has its key",                                                              \
         .value = "OPENAI_API_KEY"},                                                                               \
        {"api-requests", 0, SC_OPT_INT, "N", "requests at once", .value = "4", .lo = 1, .hi = 64},                 \
        {"api-timeout",  0,         SC_OPT_NUM, "S", "seconds that one request may take",                          \
         .value = "600", .lo = 0.1, .hi = 1e6},                                                                    \
    {                                                                                                              \
        "api-chat", 0, SC_OPT_FLAG, .help = "it knows /chat/completions only"                                      \
    }
/* Opens what the options say: the endpoint, whose name for the model is --api-model or else `model`, or else the model that
 * `model` names here (a path or a name; NULL: none), with `options` (may be NULL). 0, or the exit code after a message. */
struct sc_asker;
struct sc_asker_options;
int sc_cmd_asker(sc_cmd *c, const char *model, const struct sc_asker_options *options, struct sc_asker **out);

/* ---- chat at a terminal (chat.c) ---- */
/* What a chat talks to. Each call that can fail returns 0 to go on or the exit code to end with; what went wrong in a
 * way that the user can mend is said (sc_cmd_error) and 0 returned. */
typedef struct sc_chat {
    const char *name; /* of the model, for the greeting */
    void *user;
    int (*answer)(void *user, const char *line);                 /* prints the answer; Ctrl-C cancels the context */
    int (*clear)(void *user);                                    /* forgets the conversation */
    int (*system)(void *user, const char *text);                 /* new system prompt; "": the model's own */
    int (*set)(void *user, const char *name, const char *value); /* both NULL: shows all on stderr */
} sc_chat;
/* Reads lines until Ctrl-D or /quit. Line editing and history at a terminal, where the build has libedit. */
int sc_chat_run(sc_cmd *c, const sc_chat *chat);

/* ---- help (help.c, man.c) ---- */
void sc_help_program(FILE *f);
void sc_help_group(FILE *f, const char *name);
void sc_help_verb(FILE *f, const sc_verb *v);
void sc_help_man(FILE *f);
extern const sc_option sc_global_options[]; /* before or instead of a verb; ended by {0} */

/* ---- between main.c, options.c and context.c ---- */
typedef struct sc_cmd_value {
    const sc_option *option;
    const char *text;
} sc_cmd_value;
struct sc_cmd {
    const sc_verb *verb;
    int argc;
    const char **argv; /* positional */
    int n_words;
    char **words; /* all, the verb first */
    int n_values;
    sc_cmd_value *values; /* options, in the order typed */
    sc_context *ctx;
    int threads; /* of a context for which none are asked; 0: one for each core */
    bool progress_shown;
    double progress_time;
};
/* argv[0] is the verb. 0, 2 after a message, or -1: help was asked for. */
int sc_cmd_parse(sc_cmd *c, const sc_verb *verb, int argc, char **argv);
void sc_cmd_end(sc_cmd *c); /* frees what the frame owns */
void sc_cmd_signals(void);
/* The word nearest to `word` of `count` words, or NULL where none is near. */
const char *sc_cmd_nearest(const char *word, const char *const *words, int count);
void sc_cmd_message(const char *fmt, ...) SC_CMD_PRINTF(1, 2); /* "socle: …" on stderr, one line */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `socle vectors neighbors`, `analogy`, `eval` and `get`: what static word vectors know. */
#include "socle/vectors.h"
#include "cmd/cmd.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (1LL << 30)

enum { MOST_WORDS = 64 };

/* ---- words with signs: "king - man + woman" ---- */

typedef struct expression {
    sc_text word[MOST_WORDS];
    float weight[MOST_WORDS];
    int64_t n;
} expression;

static bool add_word(expression *x, const char *p, int64_t len, float weight)
{
    if (x->n == MOST_WORDS) return false;
    x->word[x->n] = (sc_text){p, len};
    x->weight[x->n++] = weight;
    return true;
}

/* Words apart by spaces; a sign of its own counts for the next one. */
static bool parse(expression *x, const char *text)
{
    float sign = 1;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, " ");
        bool alone = n == 1 && (*p == '+' || *p == '-');
        if (alone)
            sign = *p == '-' ? -1 : 1;
        else if (n && !add_word(x, p, (int64_t)n, sign))
            return false;
        else if (n)
            sign = 1;
        p += n + strspn(p + n, " ");
    }
    return x->n > 0;
}

/* ---- actions ---- */

static int put_nearest(sc_cmd *c, const sc_vectors *v, sc_word_space *s, const expression *x)
{
    int64_t k = sc_cmd_int(c, "top"), found, len;
    sc_neighbor *best = calloc((size_t)k, sizeof *best);
    if (!best) return sc_cmd_error(c, "out of memory");
    int code = sc_word_space_nearest(s, x->word, x->weight, x->n, k, best, &found) ? sc_cmd_fail(c) : 0;
    for (int64_t i = 0; !code && i < found; i++) {
        const char *word = sc_vectors_word(v, best[i].row, &len);
        printf("%.4f\t%.*s\n", (double)best[i].score, (int)len, word);
    }
    free(best);
    return code;
}

static int neighbors(sc_cmd *c, const sc_vectors *v, sc_word_space *s)
{
    for (int i = 1; i < sc_cmd_argc(c); i++) {
        expression x = {0};
        const char *word = sc_cmd_arg(c, i);
        add_word(&x, word, (int64_t)strlen(word), 1);
        if (i > 1) putchar('\n');
        int code = put_nearest(c, v, s, &x);
        if (code) return code;
    }
    return 0;
}

static int analogy(sc_cmd *c, const sc_vectors *v, sc_word_space *s)
{
    expression x = {0};
    bool ok = sc_cmd_argc(c) == 2 && parse(&x, sc_cmd_arg(c, 1));
    for (int i = 0; sc_cmd_argc(c) == 4 && i < 3; i++) {
        const char *word = sc_cmd_arg(c, 1 + i);
        ok = add_word(&x, word, (int64_t)strlen(word), i == 1 ? -1 : 1);
    }
    if (!ok) return sc_cmd_usage(c, "an analogy is 'king - man + woman', or the three words");
    return put_nearest(c, v, s, &x);
}

static void put_part(const char *name, int64_t len, int64_t correct, int64_t asked, int64_t skipped)
{
    printf("%-28.*s %6.2f%%  %lld of %lld, %lld skipped\n", (int)len, name,
           asked ? 100.0 * (double)correct / (double)asked : 0, (long long)correct, (long long)asked,
           (long long)skipped);
}

static int put_analogies(sc_cmd *c, sc_word_space *s, const char *text, int64_t len)
{
    sc_analogies *part;
    int64_t n, sum[3][3] = {{0}}; /* semantic, syntactic, all: correct, asked, skipped */
    if (sc_word_space_analogies(s, text, len, &part, &n)) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    if (!n) return sc_free(part), sc_cmd_error(c, "no questions: lines are four words, or two words and a number");
    for (int64_t i = 0; i < n; i++) {
        put_part(part[i].name, part[i].len, part[i].correct, part[i].asked, part[i].skipped);
        bool grammar = part[i].len >= 4 && memcmp(part[i].name, "gram", 4) == 0;
        for (int k = grammar ? 1 : 0; k < 3; k += grammar ? 1 : 2) {
            sum[k][0] += part[i].correct;
            sum[k][1] += part[i].asked;
            sum[k][2] += part[i].skipped;
        }
    }
    static const char *const names[] = {"semantic", "syntactic", "all"};
    for (int k = 0; k < 3; k++)
        if (k == 2 || sum[k][1] || sum[k][2])
            put_part(names[k], (int64_t)strlen(names[k]), sum[k][0], sum[k][1], sum[k][2]);
    sc_free(part);
    return 0;
}

/* Four words are an analogy, a colon names a section of them; other numbers of columns are pairs with scores. */
static bool has_pairs(const char *text)
{
    int words = 0;
    while (*text == '\n' || *text == '\r') text++;
    if (*text == ':') return false;
    for (bool in = false; *text && *text != '\n'; text++) {
        bool space = strchr(" \t\r,;", *text) != NULL;
        words += !space && !in;
        in = !space;
    }
    return words >= 3 && words != 4;
}

static int eval(sc_cmd *c, const sc_vectors *v, sc_word_space *s)
{
    (void)v;
    for (int i = 1; i < sc_cmd_argc(c); i++) {
        int64_t len;
        sc_word_pairs r;
        char *text = sc_cmd_read(c, sc_cmd_arg(c, i), MAX_TEXT, &len);
        int code = text ? 0 : 1;
        if (text && !has_pairs(text))
            code = put_analogies(c, s, text, len);
        else if (text && sc_word_space_pairs(s, text, len, &r))
            code = sc_cmd_fail(c);
        else if (text)
            printf("spearman %.4f, pearson %.4f over %lld pairs, %lld skipped\n", r.spearman, r.pearson,
                   (long long)r.scored, (long long)r.skipped);
        free(text);
        if (code) return code;
    }
    return 0;
}

/* The vectors themselves, without a space. */
static int get(sc_cmd *c, const sc_vectors *v)
{
    int64_t width = sc_vectors_width(v);
    float *x = calloc((size_t)width, sizeof *x);
    if (!x) return sc_cmd_error(c, "out of memory");
    int code = 0;
    for (int i = 1; !code && i < sc_cmd_argc(c); i++) {
        const char *word = sc_cmd_arg(c, i);
        if (sc_vectors_get(v, word, (int64_t)strlen(word), x)) {
            code = sc_cmd_fail(c);
            break;
        }
        fputs(word, stdout);
        for (int64_t k = 0; k < width; k++) printf(" %.9g", (double)x[k]);
        putchar('\n');
    }
    free(x);
    return code;
}

/* run NULL: the vectors themselves. */
static int ask(sc_cmd *c, int (*run)(sc_cmd *, const sc_vectors *, sc_word_space *))
{
    sc_vectors *v = NULL;
    sc_word_space *s = NULL;
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || sc_vectors_open(&v, sc_cmd_arg(c, 0), sc_cmd_int(c, "limit"))) return sc_cmd_fail(c);
    sc_cmd_note(c, "%s, %lld words of %lld numbers", sc_vectors_kind(v), (long long)sc_vectors_count(v),
                (long long)sc_vectors_width(v));
    int code = 0;
    if (!run)
        code = get(c, v);
    else if (sc_word_space_new(&s, ctx, v))
        code = sc_cmd_fail(c);
    else
        code = run(c, v, s);
    sc_word_space_free(s);
    sc_vectors_free(v);
    return code;
}

static int vectors_neighbors(sc_cmd *c) { return ask(c, neighbors); }
static int vectors_analogy(sc_cmd *c) { return ask(c, analogy); }
static int vectors_eval(sc_cmd *c) { return ask(c, eval); }
static int vectors_get(sc_cmd *c) { return ask(c, NULL); }

#define LIMIT                                                                                                      \
    {                                                                                                              \
        "limit", 'l', SC_OPT_INT, "N", "only the first N words, the most frequent ones; 0: all", .value = "0",     \
                                                                                                 .hi = 1e9         \
    }
#define FORMATS                                                                                                    \
    "FILE is word2vec's text or binary format, GloVe's text, or fastText's .bin, which also has vectors for "      \
    "words "                                                                                                       \
    "that it does not list."

static const sc_option near_options[] = {
    {"top", 'k', SC_OPT_INT, "K", "how many words to show", .value = "10", .lo = 1, .hi = 1e6},
    LIMIT,
    SC_OPT_CONTEXT,
    {0}};
static const sc_option options[] = {LIMIT, SC_OPT_CONTEXT, {0}};

const sc_verb sc_verb_vectors_neighbors = {
    .name = "vectors neighbors",
    .summary = "The words nearest to a word",
    .args = "FILE WORD...",
    .min_args = 2,
    .max_args = -1,
    .about = "By the cosine of their vectors, which stands before each. " FORMATS,
    .options = near_options,
    .examples =
        (const sc_example[]){{"socle vectors neighbors glove.6B.100d.txt frog", "The ten nearest words"}, {0}},
    .run = vectors_neighbors};

const sc_verb sc_verb_vectors_analogy = {
    .name = "vectors analogy",
    .summary = "What is to C as B is to A",
    .args = "FILE 'B - A + C' | FILE B A C",
    .min_args = 2,
    .max_args = 4,
    .about = "The words nearest to a sum of words, each brought to length 1: in signs, or as three words of which "
             "the second "
             "is taken away. " FORMATS,
    .options = near_options,
    .examples =
        (const sc_example[]){{"socle vectors analogy GoogleNews-vectors-negative300.bin 'king - man + woman'",
                              "What is to woman as king to man"},
                             {0}},
    .run = vectors_analogy};

const sc_verb sc_verb_vectors_eval = {
    .name = "vectors eval",
    .summary = "How well word vectors answer questions",
    .args = "FILE QUESTIONS...",
    .min_args = 2,
    .max_args = -1,
    .about = "QUESTIONS is a file of analogies in the format of questions-words.txt, by whose sections the share "
             "of right "
             "answers is given, or one of pairs of words with people's scores (WordSim-353, RG-65, SimLex-999): "
             "then it is the "
             "rank correlation (Spearman) of the cosines with them, and the linear one (Pearson). Questions with "
             "words that have "
             "no vector are skipped and counted.\n\n" FORMATS,
    .options = options,
    .examples =
        (const sc_example[]){{"socle vectors eval cc.en.300.bin questions-words.txt --limit 300000",
                              "How many analogies come out right among 300,000 words"},
                             {"socle vectors eval words.bin EN-WS-353-ALL.txt SimLex-999.txt", "Likeness of words"},
                             {0}},
    .run = vectors_eval};

const sc_verb sc_verb_vectors_get = {
    .name = "vectors get",
    .summary = "The vectors of words",
    .args = "FILE WORD...",
    .min_args = 2,
    .max_args = -1,
    .about = "A line for each word. " FORMATS,
    .options = options,
    .examples =
        (const sc_example[]){{"socle vectors get cc.en.300.bin unheardofword", "A vector made of a word's parts"},
                             {0}},
    .run = vectors_get};

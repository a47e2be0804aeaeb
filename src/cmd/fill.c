/* SPDX-License-Identifier: Apache-2.0 */
/* `socle fill` and `socle classify`: encoders with a head. */
#include "cmd/cmd.h"
#include "socle/embed.h"
#include "socle/hub.h"

#include <stdlib.h>
#include <string.h>

static sc_reader *open_reader(sc_cmd *c)
{
    sc_reader *r = NULL;
    char *path = NULL;
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || sc_hub_resolve(&path, sc_cmd_arg(c, 0)) || sc_reader_open(&r, ctx, path)) sc_cmd_fail(c);
    sc_free(path);
    return r;
}

static sc_text text_of(const char *p) { return (sc_text){p, p ? (int64_t)strlen(p) : 0}; }

static int put_json(sc_cmd *c, json_t *o) { return sc_cmd_json(c, o, JSON_REAL_PRECISION(6)); }

/* ---- fill ---- */

static int put_guess(sc_cmd *c, const sc_reader *r, int64_t gap, const sc_guess *g)
{
    char *text;
    int64_t len;
    if (sc_tokenizer_decode(sc_reader_tokenizer(r), &g->id, 1, SC_DETOKENIZE_REPLACE_INVALID, &text, &len))
        return sc_cmd_fail(c);
    const char *word = text;
    while (*word == ' ') word++;
    int code = 0;
    if (sc_cmd_flag(c, "json"))
        code = put_json(c, json_pack("{s:I, s:i, s:s, s:f}", "gap", (json_int_t)gap, "id", (int)g->id, "text", word,
                                     "probability", (double)g->probability));
    else
        printf("%.4f\t%s\n", (double)g->probability, word);
    sc_free(text);
    return code;
}

static int fill(sc_cmd *c)
{
    sc_reader *r = open_reader(c);
    if (!r) return 1;
    int64_t k = sc_cmd_int(c, "top"), gaps;
    sc_guess *guess = NULL;
    int code = sc_reader_fill(r, text_of(sc_cmd_arg(c, 1)), k, &guess, &gaps) ? sc_cmd_fail(c) : 0;
    for (int64_t i = 0; !code && i < gaps; i++) {
        if (i && !sc_cmd_flag(c, "json")) putchar('\n');
        for (int64_t j = 0; !code && j < k; j++) code = put_guess(c, r, i, &guess[i * k + j]);
    }
    sc_free(guess);
    sc_reader_free(r);
    return code;
}

static const sc_option fill_options[] = {
    {"top", 'k', SC_OPT_INT, "K", "how many words to show for each gap", .value = "5", .lo = 1, .hi = 1e6},
    {"json", 'j', SC_OPT_FLAG, .help = "an object a line: gap, id, text, probability"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example fill_examples[] = {
    {"socle fill bert-base-uncased 'Paris is the [MASK] of France.'", "The likeliest words for a gap"},
    {"socle fill roberta-base 'The <mask> of France is <mask>.' -k 1", "Gaps as another tokenizer spells them"},
    {0}};
const sc_verb sc_verb_fill = {.name = "fill",
                              .summary = "Find the likeliest words for the gaps of a text",
                              .args = "MODEL TEXT",
                              .min_args = 2,
                              .max_args = 2,
                              .about =
                                  "For models that were trained to find masked words. A gap is the model's mask "
                                  "token, spelled as its tokenizer does. Shows the probability, a tab and the "
                                  "word, best first; an empty line stands between gaps.",
                              .options = fill_options,
                              .examples = fill_examples,
                              .run = fill};

/* ---- classify ---- */

typedef struct scored {
    float p;
    int64_t label;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->p != y->p) return x->p > y->p ? -1 : 1;
    return x->label < y->label ? -1 : 1;
}

static int put_classes(sc_cmd *c, sc_reader *r, sc_text text, sc_text pair, int64_t labels)
{
    float *p = calloc((size_t)labels, sizeof *p);
    scored *s = calloc((size_t)labels, sizeof *s);
    int code = 0;
    if (!p || !s)
        code = sc_cmd_error(c, "out of memory");
    else if (sc_reader_classify(r, text, pair, p))
        code = sc_cmd_fail(c);
    if (!code) {
        int64_t top = sc_cmd_int(c, "top");
        for (int64_t i = 0; i < labels; i++) s[i] = (scored){p[i], i};
        qsort(s, (size_t)labels, sizeof *s, by_score);
        json_t *o = sc_cmd_flag(c, "json") ? json_object() : NULL;
        for (int64_t i = 0; i < labels && (!top || i < top); i++) {
            const char *name = sc_model_label(sc_reader_model(r), s[i].label);
            if (o)
                json_object_set_new(o, name ? name : "", json_real((double)s[i].p));
            else
                printf("%.4f\t%s\n", (double)s[i].p, name ? name : "");
        }
        if (o) code = put_json(c, o);
    }
    free(p);
    free(s);
    return code;
}

/* "B-PER" and "I-PER" are the same kind of thing; "O" is none. */
static const char *kind_of(const char *label)
{
    return strncmp(label, "B-", 2) == 0 || strncmp(label, "I-", 2) == 0 ? label + 2 : label;
}

/* Whether a token goes on with what reaches to `stop` under a label: inside a word always, where its first token decides;
 * after spaces alone where it is of the same kind and no "B-" begins anew. */
static bool goes_on(sc_text text, int64_t stop, const char *label, const sc_tag *next, const char *next_label)
{
    if (next->begin <= stop) return true;
    for (int64_t i = stop; i < next->begin; i++)
        if (text.p[i] != ' ') return false;
    return strncmp(next_label, "B-", 2) != 0 && strcmp(kind_of(label), kind_of(next_label)) == 0;
}

static int put_tags(sc_cmd *c, sc_reader *r, sc_text text)
{
    const sc_model *m = sc_reader_model(r);
    sc_tag *tag = NULL;
    int64_t n;
    int code = 0;
    if (sc_reader_tag(r, text, &tag, &n)) return sc_cmd_fail(c);
    for (int64_t i = 0, next; !code && i < n; i = next) {
        const char *label = sc_model_label(m, tag[i].label);
        double p = (double)tag[i].probability;
        int64_t begin = tag[i].begin, stop = tag[i].end;
        for (next = i + 1; next < n && goes_on(text, stop, label, &tag[next], sc_model_label(m, tag[next].label));
             next++)
            stop = tag[next].end > stop ? tag[next].end : stop;
        if (strcmp(label, "O") == 0) continue;
        if (sc_cmd_flag(c, "json"))
            code = put_json(c, json_pack("{s:s, s:f, s:I, s:I, s:s%}", "label", kind_of(label), "probability", p,
                                         "begin", (json_int_t)begin, "end", (json_int_t)stop, "text",
                                         text.p + begin, (size_t)(stop - begin)));
        else
            printf("%.4f\t%s\t%.*s\n", p, kind_of(label), (int)(stop - begin), text.p + begin);
    }
    sc_free(tag);
    return code;
}

static int put_answer(sc_cmd *c, sc_reader *r, sc_text question, sc_text context)
{
    sc_tag a;
    if (!context.p) return sc_cmd_usage(c, "this model finds answers: --pair TEXT is the text to look in");
    if (sc_reader_answer(r, question, context, &a)) return sc_cmd_fail(c);
    if (sc_cmd_flag(c, "json"))
        return put_json(c, json_pack("{s:f, s:I, s:I, s:s%}", "probability", (double)a.probability, "begin",
                                     (json_int_t)a.begin, "end", (json_int_t)a.end, "text", context.p + a.begin,
                                     (size_t)(a.end - a.begin)));
    printf("%.4f\t%.*s\n", (double)a.probability, (int)(a.end - a.begin), context.p + a.begin);
    return 0;
}

static int classify(sc_cmd *c)
{
    sc_cmd_texts texts = {0};
    sc_model_info info;
    sc_text pair = text_of(sc_cmd_str(c, "pair")), *text, one = text_of(sc_cmd_arg(c, 1));
    int64_t n = 1;
    int code = 0;
    if (!one.p) code = sc_cmd_texts_read(c, &texts, sc_cmd_str(c, "file"), sc_cmd_str(c, "field"));
    text = one.p ? &one : texts.item;
    if (!one.p) n = texts.n;
    sc_reader *r = code ? NULL : open_reader(c);
    if (!r) code = 1;
    if (r) sc_model_describe(sc_reader_model(r), &info);
    for (int64_t i = 0; !code && i < n; i++) {
        if (i && !sc_cmd_flag(c, "json")) putchar('\n');
        switch (info.head) {
        case SC_HEAD_TAGS: code = put_tags(c, r, text[i]); break;
        case SC_HEAD_SPAN: code = put_answer(c, r, text[i], pair); break;
        default: code = put_classes(c, r, text[i], pair, info.labels > 0 ? info.labels : 1); break;
        }
    }
    sc_reader_free(r);
    sc_cmd_texts_free(&texts);
    return code;
}

static const sc_option classify_options[] = {
    {"pair", 0, SC_OPT_STR, "TEXT", "a second text, for models that compare two or find answers in one"},
    {"file", 'f', SC_OPT_FILE, "FILE", "texts to classify, one a line; - for standard input"},
    {"field", 0, SC_OPT_STR, "NAME", "where the text is in lines of a .jsonl file", .value = "text"},
    {"top", 'k', SC_OPT_INT, "K", "how many classes to show; 0: all", .value = "0", .hi = 1e6},
    {"json", 'j', SC_OPT_FLAG, .help = "an object a line"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example classify_examples[] = {
    {"socle classify ./sentiment 'What a lovely day!'", "The classes of a text and how likely they are"},
    {"socle classify ./entities 'Ada lives in London.'", "The words that a model marks, and as what"},
    {"socle classify ./ranker 'how to cook rice' --pair 'Rinse it first.'", "A model that compares two texts"},
    {0}};
const sc_verb sc_verb_classify = {
    .name = "classify",
    .summary = "Classify texts, or the words in them",
    .args = "MODEL [TEXT]",
    .min_args = 1,
    .max_args = 2,
    .about =
        "A classifier of texts shows each class with its probability, best first, or one number where there is a "
        "single "
        "class. A classifier of tokens shows what it marks: probability, kind and text, where neighbouring tokens "
        "of "
        "one kind stand together. A model that answers questions shows the part of --pair TEXT that answers.\n\n"
        "Without TEXT the lines of --file or of standard input are classified; an empty line stands between them.",
    .options = classify_options,
    .examples = classify_examples,
    .run = classify};

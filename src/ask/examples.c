/* SPDX-License-Identifier: Apache-2.0 */
/* Solved examples: read, and chosen from. */
#include "ask/asking.h"
#include "io/io.h"
#include "text/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_EXAMPLES = 1000000, MOST_SHOTS = 256, MOST_WORDS = 1 << 16 };
#define MOST_BYTES ((int64_t)1 << 30)

/* A word of an input and how much it says. */
typedef struct weight {
    int64_t word;
    double value;
} weight;

typedef struct words {
    weight *w;
    int64_t n, cap;
} words;

struct sc_ask_examples {
    sc_arena *arena;
    sc_ask_example *x;
    int64_t n, cap;
    /* by words; made when first needed */
    sc_map word;    /* to its number; the spelled words are in the arena */
    words *of;      /* (n) tf-idf of length 1, in the order of the words' numbers */
    int64_t *holds; /* in how many inputs each word is */
    int64_t n_words, cap_words;
    /* by meaning */
    sc_embedder *by;
    float *vector; /* (n, width) */
    int64_t width;
};

sc_status sc_ask_examples_new(sc_ask_examples **out)
{
    sc_ask_examples *e = sc_calloc(1, sizeof *e);
    if (!e) return sc_nomem();
    if (!(e->arena = sc_arena_new())) {
        sc_free(e);
        return sc_nomem();
    }
    *out = e;
    return SC_OK;
}

static void forget_words(sc_ask_examples *e)
{
    for (int64_t i = 0; e->of && i < e->n; i++) sc_free(e->of[i].w);
    sc_free(e->of);
    e->of = NULL;
    sc_map_free(&e->word);
    e->word = (sc_map){0};
    e->n_words = 0;
}

void sc_ask_examples_free(sc_ask_examples *e)
{
    if (!e) return;
    forget_words(e);
    sc_free(e->holds);
    sc_free(e->vector);
    sc_free(e->x);
    sc_arena_free(e->arena);
    sc_free(e);
}

int64_t sc_ask_examples_count(const sc_ask_examples *e) { return e->n; }
const sc_ask_example *sc_ask_examples_at(const sc_ask_examples *e, int64_t i)
{
    return i >= 0 && i < e->n ? &e->x[i] : NULL;
}

static sc_text keep(sc_ask_examples *e, sc_text t)
{
    return t.p ? (sc_text){sc_arena_strndup(e->arena, t.p, (size_t)t.len), t.len} : t;
}

sc_status sc_ask_examples_add(sc_ask_examples *e, const sc_ask_example *x)
{
    if (e->n >= MOST_EXAMPLES) return sc_fail(SC_ELIMIT, "more than %d examples", MOST_EXAMPLES);
    if (!x->input.p || !x->answer.p) return sc_fail(SC_EINVAL, "an example without input or answer");
    if (!sc_grow(&e->x, &e->cap, e->n + 1, sizeof *e->x)) return sc_nomem();
    sc_ask_example *to = &e->x[e->n];
    *to = (sc_ask_example){keep(e, x->input), keep(e, x->answer), keep(e, x->reasoning), NULL, x->n_choices};
    sc_text *choices = sc_arena_alloc(e->arena, sizeof *choices * (size_t)SC_MAX(x->n_choices, 1));
    bool whole = to->input.p && to->answer.p && !to->reasoning.p == !x->reasoning.p && choices;
    for (int64_t i = 0; whole && i < x->n_choices; i++) whole = (choices[i] = keep(e, x->choices[i])).p != NULL;
    if (!whole) return sc_nomem();
    to->choices = choices;
    forget_words(e);
    sc_free(e->vector);
    e->vector = NULL;
    e->n++;
    return SC_OK;
}

/* ---- files ---- */

static const json_t *first_of(const json_t *o, const char *const *names, int n, const char **which)
{
    for (int i = 0; i < n; i++) {
        const json_t *v = json_object_get(o, names[i]);
        if (v && !json_is_null(v)) {
            *which = names[i];
            return v;
        }
    }
    return NULL;
}

/* A string, or a number as it is written. `number` is where that is put. */
static sc_status text_of(const json_t *v, const char *name, char number[32], sc_text *out)
{
    if (json_is_string(v)) {
        *out = (sc_text){json_string_value(v), (int64_t)json_string_length(v)};
        return SC_OK;
    }
    if (json_is_integer(v))
        snprintf(number, 32, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v))
        snprintf(number, 32, "%.15g", json_real_value(v));
    else if (json_is_boolean(v))
        strcpy(number, json_is_true(v) ? "true" : "false");
    else
        return sc_fail(SC_EFORMAT, "%s is neither a text nor a number", name);
    *out = (sc_text){number, (int64_t)strlen(number)};
    return SC_OK;
}

static sc_text trimmed(const char *p, int64_t n)
{
    while (n > 0 && strchr(" \t\r\n", p[0])) p++, n--;
    while (n > 0 && strchr(" \t\r\n", p[n - 1])) n--;
    return (sc_text){p, n};
}

static sc_status read_choices(const json_t *o, sc_text *choices, int64_t most, int64_t *n)
{
    const json_t *list = json_object_get(o, "choices");
    /* ARC's and others' {"text": [...], "label": [...]} */
    if (json_is_object(list)) list = json_object_get(list, "text");
    *n = 0;
    if (!list || json_is_null(list)) return SC_OK;
    if (!json_is_array(list)) return sc_fail(SC_EFORMAT, "choices is no list");
    if ((int64_t)json_array_size(list) > most)
        return sc_fail(SC_ELIMIT, "%zu choices, at most %lld", json_array_size(list), (long long)most);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_string(v)) return sc_fail(SC_EFORMAT, "choice %zu is no text", i + 1);
        choices[(*n)++] = (sc_text){json_string_value(v), (int64_t)json_string_length(v)};
    }
    return SC_OK;
}

static sc_status add_object(sc_ask_examples *e, const json_t *o)
{
    static const char *const inputs[] = {"input", "question", "prompt", "text"},
                             *const answers[] = {"answer", "output", "target", "label", "completion"},
                             *const reasonings[] = {"reasoning", "rationale", "cot"};
    enum { MOST_CHOICES = 64 };
    sc_text choices[MOST_CHOICES];
    char number[3][32];
    const char *name = "";
    sc_ask_example x = {.choices = choices};
    if (!json_is_object(o)) return sc_fail(SC_EFORMAT, "no object");
    const json_t *input = first_of(o, inputs, SC_COUNT(inputs), &name);
    if (!input) return sc_fail(SC_EFORMAT, "no input, question, prompt or text");
    sc_status s = text_of(input, name, number[0], &x.input);
    const json_t *answer = first_of(o, answers, SC_COUNT(answers), &name);
    if (!s && !answer) s = sc_fail(SC_EFORMAT, "no answer, output, target, label or completion");
    if (!s) s = text_of(answer, name, number[1], &x.answer);
    const json_t *reasoning = s ? NULL : first_of(o, reasonings, SC_COUNT(reasonings), &name);
    if (reasoning) s = text_of(reasoning, name, number[2], &x.reasoning);
    if (!s) s = read_choices(o, choices, MOST_CHOICES, &x.n_choices);
    if (s) return s;
    if (x.n_choices && json_is_integer(answer)) {
        json_int_t i = json_integer_value(answer);
        if (i < 0 || i >= x.n_choices)
            return sc_fail(SC_EFORMAT, "answer %lld of %lld choices", (long long)i, (long long)x.n_choices);
        x.answer = choices[i];
    }
    const char *mark = json_is_string(answer) ? memmem(x.answer.p, (size_t)x.answer.len, "####", 4) : NULL;
    if (mark && !x.reasoning.p) {
        const char *end = x.answer.p + x.answer.len;
        x.reasoning = trimmed(x.answer.p, mark - x.answer.p);
        x.answer = trimmed(mark + 4, end - mark - 4);
    }
    return sc_ask_examples_add(e, &x);
}

static sc_status add_lines(sc_ask_examples *e, const char *p, int64_t n, const char *path)
{
    sc_status s = SC_OK;
    for (int64_t line = 1; n > 0 && !s; line++) {
        const char *end = memchr(p, '\n', (size_t)n);
        int64_t len = end ? end - p : n;
        sc_text t = trimmed(p, len);
        json_t *o = NULL;
        if (t.len && (s = sc_json_parse(&o, t.p, t.len, "the line"))) o = NULL;
        if (o) s = add_object(e, o);
        json_decref(o);
        if (s) return sc_fail_in(s, "%s: line %lld", path, (long long)line);
        n -= len + (end != NULL);
        p += len + (end != NULL);
    }
    return s;
}

sc_status sc_ask_examples_parse(sc_ask_examples **out, const char *p, int64_t n, const char *what)
{
    sc_ask_examples *e = NULL;
    json_t *all = NULL;
    sc_status s = sc_ask_examples_new(&e);
    sc_text t = trimmed(p, n);
    if (!s && t.len && t.p[0] == '[') {
        if ((s = sc_json_parse(&all, t.p, t.len, what))) all = NULL;
        for (size_t i = 0; !s && i < json_array_size(all); i++)
            if ((s = add_object(e, json_array_get(all, i)))) sc_fail_in(s, "%s: example %zu", what, i + 1);
        json_decref(all);
    } else if (!s) {
        s = add_lines(e, p, n, what);
    }
    if (!s && !e->n) s = sc_fail(SC_EFORMAT, "%s has no example", what);
    if (s)
        sc_ask_examples_free(e);
    else
        *out = e;
    return s;
}

sc_status sc_ask_examples_read(sc_ask_examples **out, const char *path)
{
    char *p;
    int64_t n;
    sc_status s = sc_bytes_all(&p, &n, path, MOST_BYTES);
    if (s) return s;
    s = sc_ask_examples_parse(out, p, n, path);
    sc_free(p);
    return s;
}

/* ---- likeness by words ---- */

/* Scripts whose words carry endings or stand together: ideographs, kana, Hangul. */
static bool is_dense(uint32_t c)
{
    return sc_uni_word(c) && c >= 0x1100 && (c < 0x1200 || (c >= 0x2E80 && c < 0xD7B0) || c >= 0x20000);
}

static int64_t put_lower(uint32_t c, char *out)
{
    uint32_t low[2];
    int64_t len = 0;
    for (int j = 0, m = sc_uni_lower(c, low); j < m; j++) len += sc_utf8_encode(low[j], out + len);
    return len;
}

/* The word that begins at or behind p[*at], in lower case; of dense scripts a character with the one behind it. Its bytes in
 * out, 0: there is none. */
static int64_t next_word(const char *p, int64_t n, int64_t *at, char *out, int64_t cap)
{
    uint32_t c = 0, next = 0;
    int64_t len = 0;
    int k = 0;
    while (*at < n && !sc_uni_word((k = sc_utf8_decode(p + *at, n - *at, &c), c))) *at += k;
    if (*at >= n) return 0;
    if (is_dense(c)) {
        *at += k;
        if (*at < n) sc_utf8_decode(p + *at, n - *at, &next);
        len = put_lower(c, out);
        return is_dense(next) ? len + put_lower(next, out + len) : len;
    }
    for (; *at < n && len + 8 <= cap; *at += k) {
        k = sc_utf8_decode(p + *at, n - *at, &c);
        if (!sc_uni_word(c) || is_dense(c)) break;
        len += put_lower(c, out + len);
    }
    return len;
}

static int by_word(const void *a, const void *b)
{
    const weight *x = a, *y = b;
    return (x->word > y->word) - (x->word < y->word);
}

/* Counts of the words of a text, sorted and each once. add: unknown words get numbers. */
static sc_status count_words(sc_ask_examples *e, sc_text t, bool add, words *out)
{
    char word[256];
    int64_t at = 0, len, id;
    while (out->n < MOST_WORDS && (len = next_word(t.p, t.len, &at, word, sizeof word))) {
        if (!sc_map_get(&e->word, word, len, &id)) {
            if (!add) continue;
            char *copy = sc_arena_strndup(e->arena, word, (size_t)len);
            if (!copy || !sc_grow(&e->holds, &e->cap_words, e->n_words + 1, sizeof *e->holds)) return sc_nomem();
            id = e->n_words++;
            e->holds[id] = 0;
            if (!sc_map_put(&e->word, copy, len, id)) return sc_nomem();
        }
        if (!sc_grow(&out->w, &out->cap, out->n + 1, sizeof *out->w)) return sc_nomem();
        out->w[out->n++] = (weight){id, 1};
    }
    if (out->n) qsort(out->w, (size_t)out->n, sizeof *out->w, by_word);
    int64_t n = 0;
    for (int64_t i = 0; i < out->n; i++)
        if (n && out->w[n - 1].word == out->w[i].word)
            out->w[n - 1].value++;
        else
            out->w[n++] = out->w[i];
    out->n = n;
    return SC_OK;
}

/* Counts times how rare the words are, brought to length 1. */
static void weigh(const sc_ask_examples *e, words *w)
{
    double sum = 0;
    for (int64_t i = 0; i < w->n; i++) {
        w->w[i].value *= log((1.0 + (double)e->n) / (1.0 + (double)e->holds[w->w[i].word])) + 1;
        sum += w->w[i].value * w->w[i].value;
    }
    for (int64_t i = 0; i < w->n && sum > 0; i++) w->w[i].value /= sqrt(sum);
}

static sc_status make_words(sc_ask_examples *e)
{
    if (e->of) return SC_OK;
    if (!(e->of = sc_calloc((size_t)SC_MAX(e->n, 1), sizeof *e->of))) return sc_nomem();
    for (int64_t i = 0; i < e->n; i++) {
        sc_status s = count_words(e, e->x[i].input, true, &e->of[i]);
        if (s) {
            forget_words(e);
            return s;
        }
        for (int64_t k = 0; k < e->of[i].n; k++) e->holds[e->of[i].w[k].word]++;
    }
    for (int64_t i = 0; i < e->n; i++) weigh(e, &e->of[i]);
    return SC_OK;
}

static double product(const words *a, const words *b)
{
    double sum = 0;
    for (int64_t i = 0, k = 0; i < a->n && k < b->n;)
        if (a->w[i].word == b->w[k].word)
            sum += a->w[i++].value * b->w[k++].value;
        else if (a->w[i].word < b->w[k].word)
            i++;
        else
            k++;
    return sum;
}

static sc_status alike_by_words(sc_ask_examples *e, sc_text input, double *score)
{
    words w = {0};
    sc_status s = make_words(e);
    if (!s) s = count_words(e, input, false, &w);
    if (!s) {
        weigh(e, &w);
        for (int64_t i = 0; i < e->n; i++) score[i] = product(&w, &e->of[i]);
    }
    sc_free(w.w);
    return s;
}

/* ---- likeness by meaning ---- */

sc_status sc_ask_examples_embed(sc_ask_examples *e, sc_embedder *by)
{
    int64_t width = sc_embedder_width(by);
    sc_text *inputs = sc_malloc(sizeof *inputs * (size_t)SC_MAX(e->n, 1));
    float *v = sc_malloc(sizeof *v * (size_t)SC_MAX(e->n * width, 1));
    sc_status s = inputs && v ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < e->n; i++) inputs[i] = e->x[i].input;
    if (!s) s = sc_embedder_embed(by, inputs, e->n, v);
    sc_free(inputs);
    if (s) {
        sc_free(v);
        return s;
    }
    sc_free(e->vector);
    e->vector = v;
    e->width = width;
    e->by = by;
    return SC_OK;
}

static double cosine(const float *a, const float *b, int64_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (int64_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static sc_status alike_by_meaning(sc_ask_examples *e, sc_text input, double *score)
{
    float *v = sc_malloc(sizeof *v * (size_t)e->width);
    sc_status s = v ? sc_embedder_embed(e->by, &input, 1, v) : sc_nomem();
    for (int64_t i = 0; !s && i < e->n; i++) score[i] = cosine(v, e->vector + i * e->width, e->width);
    sc_free(v);
    return s;
}

/* ---- picking ---- */

static bool same_text(sc_text a, sc_text b) { return a.len == b.len && memcmp(a.p, b.p, (size_t)a.len) == 0; }

/* row becomes a permutation of [0, n). */
static void shuffle(int64_t *row, int64_t n, uint64_t seed, uint64_t stream)
{
    sc_rng r = sc_rng_make(seed, stream);
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = (int64_t)(sc_rng_uniform(&r) * (double)(i + 1)), x = row[i];
        row[i] = row[k];
        row[k] = x;
    }
}

typedef struct ranked {
    double score;
    int64_t row;
} ranked;

static int best_first(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static sc_status rank(sc_ask_examples *e, sc_text input, int64_t *order)
{
    double *score = sc_malloc(sizeof *score * (size_t)e->n);
    ranked *r = sc_malloc(sizeof *r * (size_t)e->n);
    sc_status s = score && r ? SC_OK : sc_nomem();
    if (!s) s = e->vector ? alike_by_meaning(e, input, score) : alike_by_words(e, input, score);
    for (int64_t i = 0; !s && i < e->n; i++) r[i] = (ranked){score[i], i};
    if (!s) qsort(r, (size_t)e->n, sizeof *r, best_first);
    for (int64_t i = 0; !s && i < e->n; i++) order[i] = r[i].row;
    sc_free(score);
    sc_free(r);
    return s;
}

/* Of the order's rows, those first that leave no answer more often than another: round after round of the answers. */
static sc_status balance(const sc_ask_examples *e, int64_t *order)
{
    sc_map seen = {0};
    int64_t *round = sc_malloc(sizeof *round * (size_t)e->n), *copy = sc_malloc(sizeof *copy * (size_t)e->n);
    int64_t n = 0, rounds = 0;
    sc_status s = round && copy ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < e->n; i++) {
        int64_t before = 0;
        sc_text a = e->x[order[i]].answer;
        sc_map_get(&seen, a.p, a.len, &before);
        if (!sc_map_put(&seen, a.p, a.len, before + 1)) s = sc_nomem();
        round[i] = before;
        rounds = SC_MAX(rounds, before + 1);
        /* Many rounds mean many of one answer: those behind the most shots that there can be need no order. */
        if (before > MOST_SHOTS) round[i] = MOST_SHOTS + 1;
    }
    rounds = SC_MIN(rounds, MOST_SHOTS + 2);
    for (int64_t k = 0; !s && k < rounds; k++)
        for (int64_t i = 0; i < e->n; i++)
            if (round[i] == k) copy[n++] = order[i];
    if (!s) memcpy(order, copy, sizeof *copy * (size_t)e->n);
    sc_map_free(&seen);
    sc_free(round);
    sc_free(copy);
    return s;
}

sc_status sc_ask_examples_pick(sc_ask_examples *e, sc_ask_pick pick, int shots, uint64_t seed, uint64_t order,
                               sc_text input, int64_t *rows, int *n)
{
    if (shots < 0 || shots > MOST_SHOTS)
        return sc_fail(SC_EINVAL, "%d examples, outside 0 to %d", shots, MOST_SHOTS);
    *n = 0;
    if (!shots || !e->n) return SC_OK;
    int64_t *all = sc_malloc(sizeof *all * (size_t)e->n);
    if (!all) return sc_nomem();
    for (int64_t i = 0; i < e->n; i++) all[i] = i;
    sc_status s = SC_OK;
    if (pick == SC_PICK_RANDOM || pick == SC_PICK_BALANCED) shuffle(all, e->n, seed, 1);
    if (pick == SC_PICK_BALANCED) s = balance(e, all);
    if (pick == SC_PICK_NEAREST) s = rank(e, input, all);
    for (int64_t i = 0; !s && i < e->n && *n < shots; i++)
        if (!same_text(e->x[all[i]].input, input)) rows[(*n)++] = all[i];
    sc_free(all);
    if (s) return s;
    for (int i = 0; pick == SC_PICK_NEAREST && i < *n / 2; i++) { /* the most alike last, next to the question */
        int64_t x = rows[i];
        rows[i] = rows[*n - 1 - i];
        rows[*n - 1 - i] = x;
    }
    if (order) shuffle(rows, *n, seed, 1 + order);
    return SC_OK;
}

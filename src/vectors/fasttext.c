/* SPDX-License-Identifier: Apache-2.0 */
/* fastText's word vectors (Bojanowski et al. 2017): a word is the mean of its own row and those of its n-grams, and learns as in
 * word2vec.
 *
 * Without locks two things are done less often than the formulas say. In skip-gram all that a centre learns from its contexts goes
 * into its rows once; as each of them changes all rows alike, their mean is kept up to date by adding the same, so results are those
 * of single steps. In CBOW a word's rows are summed when the word comes into reach and changed when it leaves it; only words that share
 * n-grams within one window see each other's changes that much later. */
#include "vectors/fasttext.h"
#include "vectors/learn.h"

typedef struct words {
    const sc_vectors_training *o;
    sc_lexicon *x;
    sc_ft_model model; /* settings and words alone; matrices when it is written */
    sc_ft_parts parts;
    float
        *echo; /* by how much of one change to all rows of a word, as often as they are in it, their mean changes */
    uint32_t *keep;
    sc_alias negatives;
    sc_huffman tree;
    sc_tables *t;
} words;

/* A lane's: CBOW keeps the sums of the words in reach, and what is to be added to their rows, by place modulo `slots`. */
typedef struct reach {
    sc_buffer *held;
    float *mean, *change, *sum, *due; /* (stride), (stride), (slots, stride) twice */
    float **row;                      /* of one word */
    int64_t slots;
    int32_t from, to; /* places of the sentence that are kept */
} reach;

/* ---- examples ---- */

static void put_outputs(const words *w, sc_lane *l, int32_t word)
{
    if (w->o->hierarchical) {
        for (int64_t i = w->tree.at[word]; i < w->tree.at[word + 1]; i++)
            sc_lane_out(l, w->tree.node[i], w->tree.bit[i]);
        return;
    }
    sc_lane_out(l, word, true);
    for (int64_t i = 0; i < w->o->negative && w->x->n > 1; i++) {
        int32_t other;
        do other = sc_alias_draw(&w->negatives, &l->draw);
        while (other == word);
        sc_lane_out(l, other, false);
    }
}

/* The window around the next centre; false where it has no other word. */
static bool window(const words *w, sc_lane *l, int32_t *centre, int32_t *from, int32_t *to)
{
    int32_t at = *centre = l->at++, wide = (int32_t)w->o->window;
    if (!w->o->whole_window) wide -= (int32_t)sc_draw_below(&l->draw, (uint32_t)wide);
    *from = SC_MAX(at - wide, 0);
    *to = SC_MIN(at + wide, l->n - 1);
    return *from < *to;
}

static void put_rows(const words *w, sc_lane *l, int32_t word)
{
    for (int64_t i = w->parts.at[word]; i < w->parts.at[word + 1]; i++) sc_lane_in(l, w->parts.row[i]);
}

/* For rounds: every example by itself. */
static bool next_examples(void *user, sc_lane *l)
{
    const words *w = user;
    int32_t centre, from, to;
    if (l->at == l->n) return sc_lane_sentence(l, w->x, w->keep, true);
    if (!window(w, l, &centre, &from, &to)) return true;
    bool together = w->o->method == SC_VECTORS_CBOW;
    if (together) sc_lane_example(l);
    for (int32_t i = from; i <= to; i++) {
        if (i == centre) continue;
        if (!together) sc_lane_example(l);
        put_rows(w, l, l->sentence[together ? i : centre]);
        if (!together) put_outputs(w, l, l->sentence[i]);
    }
    if (together) put_outputs(w, l, l->sentence[centre]);
    return !l->oom;
}

/* ---- without locks ---- */

static void fetch(const float *row, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 1, 3);
}

static void fetch_word(const words *w, const sc_lane *l, int32_t place)
{
    if (place >= l->n) return;
    int32_t word = l->sentence[place];
    for (int64_t i = w->parts.at[word]; i < w->parts.at[word + 1]; i++)
        fetch(w->t->in + w->parts.row[i] * w->t->stride, w->t->stride);
}

static void fetch_outputs(const words *w, const sc_lane *l)
{
    for (int64_t i = 0; i < l->n_out; i++) fetch(w->t->out + (l->out[i] >> 1) * w->t->stride, w->t->stride);
}

static int64_t rows_of(const words *w, const reach *r, int32_t word)
{
    int64_t from = w->parts.at[word], n = w->parts.at[word + 1] - from;
    for (int64_t i = 0; i < n; i++) r->row[i] = w->t->in + w->parts.row[from + i] * w->t->stride;
    return n;
}

/* Outputs learn from h; what h would change by goes into l->e. */
SC_UNLOCKED static void learn_outputs(const words *w, sc_lane *l, const sc_example *x, const float *h)
{
    const sc_tables *t = w->t;
    for (int j = 0; j < x->n_out; j++) l->row[j] = t->out + (l->out[x->out + j] >> 1) * t->stride;
    sc_lane_gradients(l, t, x, h, l->row, l->g);
    t->k.pull(t->stride, h, l->row, x->n_out, l->g, l->e);
}

static bool room(sc_lane *l, const sc_tables *t)
{
    if (!l->oom && !sc_lane_room(l, t, 1)) l->oom = true;
    return !l->oom;
}

SC_UNLOCKED static bool next_skipgram(void *user, sc_lane *l)
{
    const words *w = user;
    const sc_tables *t = w->t;
    reach *r = l->own;
    int32_t centre, from, to;
    if (l->at == l->n) return sc_lane_sentence(l, w->x, w->keep, true);
    if (!window(w, l, &centre, &from, &to)) return true;
    for (int32_t i = from; i <= to; i++) {
        if (i == centre) continue;
        sc_lane_example(l);
        put_outputs(w, l, l->sentence[i]);
    }
    if (!room(l, t)) return false;
    fetch_outputs(w, l);
    fetch_word(w, l, centre + 1);
    int32_t word = l->sentence[centre];
    int64_t n = rows_of(w, r, word);
    t->k.sum(t->stride, r->row, n, 1.0f / (float)SC_MAX(n, 1), r->mean);
    memset(r->change, 0, sizeof *r->change * (size_t)t->stride);
    for (int64_t i = 0; i < l->n_example; i++) {
        learn_outputs(w, l, &l->example[i], r->mean);
        t->k.add(t->stride, w->echo[word], l->e, r->mean);
        t->k.add(t->stride, 1, l->e, r->change);
    }
    for (int64_t i = 0; i < n; i++) t->k.add(t->stride, 1, r->change, r->row[i]);
    sc_lane_clear(l);
    return true;
}

/* The word at a place comes into reach. */
SC_UNLOCKED static void enter(const words *w, const sc_lane *l, reach *r, int32_t place)
{
    int64_t at = place % r->slots * w->t->stride;
    w->t->k.sum(w->t->stride, r->row, rows_of(w, r, l->sentence[place]), 1, r->sum + at);
    memset(r->due + at, 0, sizeof *r->due * (size_t)w->t->stride);
}

SC_UNLOCKED static void leave(const words *w, const sc_lane *l, reach *r, int32_t place)
{
    int64_t at = place % r->slots * w->t->stride, n = rows_of(w, r, l->sentence[place]);
    for (int64_t i = 0; i < n; i++) w->t->k.add(w->t->stride, 1, r->due + at, r->row[i]);
}

/* Keeps places from .. to. */
static void move(const words *w, const sc_lane *l, reach *r, int32_t from, int32_t to)
{
    while (r->from < from && r->from < r->to) leave(w, l, r, r->from++);
    while (r->to < to) enter(w, l, r, r->to++);
}

SC_UNLOCKED static bool next_cbow(void *user, sc_lane *l)
{
    const words *w = user;
    const sc_tables *t = w->t;
    reach *r = l->own;
    int32_t centre, from, to, wide = (int32_t)w->o->window;
    int64_t n = 0;
    if (l->at == l->n) {
        move(w, l, r, l->n, l->n);
        r->from = r->to = 0;
        return sc_lane_sentence(l, w->x, w->keep, true);
    }
    bool any = window(w, l, &centre, &from, &to);
    move(w, l, r, SC_MAX(centre - wide, 0), SC_MIN(centre + wide + 1, l->n));
    if (!any) return true;
    sc_lane_example(l);
    put_outputs(w, l, l->sentence[centre]);
    if (!room(l, t)) return false;
    fetch_outputs(w, l);
    fetch_word(w, l, centre + wide + 2);
    memset(r->mean, 0, sizeof *r->mean * (size_t)t->stride);
    for (int32_t i = from; i <= to; i++) {
        if (i == centre) continue;
        t->k.add(t->stride, 1, r->sum + i % r->slots * t->stride, r->mean);
        n += w->parts.at[l->sentence[i] + 1] - w->parts.at[l->sentence[i]];
    }
    memset(r->change, 0, sizeof *r->change * (size_t)t->stride);
    t->k.add(t->stride, 1.0f / (float)SC_MAX(n, 1), r->mean, r->change);
    learn_outputs(w, l, &l->example[0], r->change);
    for (int32_t i = from; i <= to; i++) {
        int32_t word = l->sentence[i];
        if (i == centre) continue;
        float rows = (float)(w->parts.at[word + 1] - w->parts.at[word]);
        t->k.add(t->stride, 1, l->e, r->due + i % r->slots * t->stride);
        t->k.add(t->stride, w->echo[word] * rows, l->e, r->sum + i % r->slots * t->stride);
    }
    sc_lane_clear(l);
    return true;
}

static sc_status begin_reach(void *user, sc_lane *l)
{
    const words *w = user;
    int64_t most = 0, stride = w->t->stride;
    reach *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    l->own = r;
    r->slots = 2 * w->o->window + 1;
    for (int32_t i = 0; i < w->x->n; i++) most = SC_MAX(most, w->parts.at[i + 1] - w->parts.at[i]);
    r->row = sc_malloc(sizeof *r->row * (size_t)(most + 1));
    if (!r->row) return sc_nomem();
    sc_status s = sc_buffer_new(&r->held, (2 + 2 * r->slots) * stride * (int64_t)sizeof(float));
    if (s) return s;
    r->mean = r->held->data;
    r->change = r->mean + stride;
    r->sum = r->change + stride;
    r->due = r->sum + r->slots * stride;
    return SC_OK;
}

static void end_reach(void *user, sc_lane *l)
{
    reach *r = l->own;
    (void)user;
    if (!r) return;
    sc_buffer_unref(r->held);
    sc_free(r->row);
    sc_free(r);
}

/* ---- the whole ---- */

/* A row that is there m times changes by m steps, and counts m times in the mean: the sum of m^2 over the rows by their number. */
static sc_status count_echoes(words *w)
{
    if (!(w->echo = sc_malloc(sizeof *w->echo * (size_t)w->x->n))) return sc_nomem();
    for (int64_t i = 0; i < w->x->n; i++) {
        const int32_t *row = w->parts.row + w->parts.at[i];
        int64_t n = w->parts.at[i + 1] - w->parts.at[i], equal = n;
        for (int64_t a = 0; a < n && n < 4096; a++)
            for (int64_t b = a + 1; b < n; b++) equal += row[a] == row[b] ? 2 : 0;
        w->echo[i] = (float)equal / (float)SC_MAX(n, 1);
    }
    return SC_OK;
}

static void set_up(words *w)
{
    const sc_vectors_training *o = w->o;
    bool together = o->method == SC_VECTORS_CBOW;
    w->model = (sc_ft_model){.dict = w->x, .words = (int32_t)w->x->n, .pruned.n = -1};
    w->model.set = (sc_ft_settings){.width = (int32_t)o->width,
                                    .window = (int32_t)o->window,
                                    .epochs = (int32_t)o->epochs,
                                    .min_count = (int32_t)SC_MIN(o->min_count, INT32_MAX),
                                    .negatives = (int32_t)o->negative,
                                    .word_ngrams = 1,
                                    .loss = o->hierarchical ? SC_FT_HIERARCHICAL : SC_FT_NEGATIVE,
                                    .model = together ? SC_FT_CBOW : SC_FT_SKIPGRAM,
                                    .bucket = o->longest ? (int32_t)o->bucket : 0,
                                    .shortest = (int32_t)o->shortest,
                                    .longest = (int32_t)o->longest,
                                    .rate_update = 100,
                                    .sample = o->sample};
}

sc_status sc_fasttext_check(const sc_vectors_training *o)
{
    if (o->method == SC_VECTORS_GLOVE) return sc_fail(SC_EINVAL, "GloVe has no n-grams of characters");
    if (o->shortest < 1 || o->longest < 0 || o->longest > SC_FT_LONGEST ||
        (o->longest && o->shortest > o->longest) || o->bucket < 1 || o->bucket > 1 << 30)
        return sc_fail(SC_EINVAL, "n-grams of %lld to %lld characters in %lld buckets", (long long)o->shortest,
                       (long long)o->longest, (long long)o->bucket);
    if (o->format != SC_VECTORS_FASTTEXT || o->out_contexts || o->phrases)
        return sc_fail(SC_EINVAL,
                       "vectors with n-grams are written in fastText's format alone, and have no phrases");
    return SC_OK;
}

static sc_status write_model(words *w, const char *path)
{
    const sc_tables *t = w->t;
    w->model.in = (sc_ft_matrix){.rows = t->n_in, .width = t->width, .stride = t->stride, .data = t->in};
    w->model.out = (sc_ft_matrix){.rows = t->n_out, .width = t->width, .stride = t->stride, .data = t->out};
    return sc_ft_write(&w->model, path);
}

static sc_status learn(words *w, sc_context *ctx, const sc_word_text *t, const char *state, const char *settings,
                       sc_vectors_trained *report)
{
    const sc_vectors_training *o = w->o;
    sc_learned learned;
    sc_source source = {.next = o->deterministic               ? next_examples
                                : o->method == SC_VECTORS_CBOW ? next_cbow
                                                               : next_skipgram,
                        .begin = o->deterministic ? NULL : begin_reach,
                        .end = o->deterministic ? NULL : end_reach,
                        .user = w};
    sc_learning how = {.epochs = o->epochs,
                       .words = w->x->seen,
                       .rate = o->rate > 0 ? o->rate : 0.05,
                       .deterministic = o->deterministic,
                       .round = o->hierarchical ? 64 : SC_MAX(SC_LANES, SC_MIN(512, w->x->n / 8)),
                       .seed = o->seed,
                       .state = state,
                       .settings = settings,
                       .save_every = o->save_every};
    sc_status s = sc_learn(w->t, ctx, t, &source, &how, &learned);
    if (s) return s;
    report->loss = learned.loss;
    report->seconds = learned.seconds;
    report->trained = learned.words;
    report->resumed = learned.resumed;
    return SC_OK;
}

sc_status sc_fasttext_train(sc_context *ctx, const sc_word_text *t, sc_lexicon *x, const sc_vectors_training *o,
                            const char *state, const char *settings, sc_vectors_trained *report)
{
    words w = {.o = o, .x = x};
    set_up(&w);
    if (x->n + (int64_t)w.model.set.bucket > INT32_MAX)
        return sc_fail(SC_ELIMIT, "%lld words and %d buckets are too many", (long long)x->n, w.model.set.bucket);
    sc_status s = sc_ft_parts_new(&w.parts, &w.model);
    if (!s) s = count_echoes(&w);
    if (!s) s = sc_subsample_make(&w.keep, x, o->sample);
    if (!s && o->hierarchical) s = sc_huffman_make(&w.tree, x->count, x->n);
    if (!s && !o->hierarchical) s = sc_alias_negatives(&w.negatives, x, o->power);
    if (!s) s = sc_tables_new(&w.t, ctx, x->n + w.model.set.bucket, x->n, o->width, 1 / (float)o->width, o->seed);
    if (!s) s = learn(&w, ctx, t, state, settings, report);
    if (!s) s = write_model(&w, o->out);
    sc_tables_free(w.t);
    sc_ft_parts_free(&w.parts);
    sc_free(w.echo);
    sc_free(w.keep);
    sc_alias_free(&w.negatives);
    sc_huffman_free(&w.tree);
    return s;
}

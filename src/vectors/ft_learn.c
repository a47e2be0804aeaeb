/* SPDX-License-Identifier: Apache-2.0 */
/* Learning to classify lines: the mean of a line's rows goes through one linear layer, and both are corrected by stochastic
 * gradient descent, line by line. Threads take lines of their own and write to the same rows without locks. */
#include "vectors/fasttext.h"

#include <math.h>

typedef struct learning {
    sc_ft_model *m;
    const sc_ft_corpus *c;
    const sc_ft_plan *plan;
    const sc_ft_kernels *k;
    sc_context *ctx;
    float *in, *out;
    int members;
    int64_t *order; /* of the lines */
    double *weight; /* of labels, for negatives */
    sc_alias negatives;
    sc_huffman tree;
    atomic_int_fast64_t done; /* tokens */
    int64_t total;
    struct learner *learner;
} learning;

typedef struct learner {
    float *hidden, *gradient, *score;
    int32_t *row;
    int64_t n_rows, cap_rows;
    uint64_t draw;
    double loss; /* sum over the last pass */
    int64_t examples;
    sc_status status;
    char pad[64]; /* threads write beside each other */
} learner;

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* ---- losses: correct the output, leave the hidden vector's gradient; each gives the loss ---- */

static float softmax(learning *x, learner *l, int32_t label, float rate)
{
    int64_t n = x->m->labels, width = x->m->set.width;
    float *p = l->score, most = -INFINITY, sum = 0;
    x->k->products(p, x->out, width, n, l->hidden);
    for (int64_t i = 0; i < n; i++) most = SC_MAX(most, p[i]);
    for (int64_t i = 0; i < n; i++) sum += p[i] = expf(p[i] - most);
    float loss = -logf(p[label] / sum + 1e-12f);
    for (int64_t i = 0; i < n; i++) p[i] = rate * ((float)(i == label) - p[i] / sum);
    x->k->steps(x->out, width, n, l->hidden, l->gradient, p);
    return loss;
}

/* One output of which the answer is yes or no. */
static float logistic(learning *x, learner *l, int64_t row, bool yes, float rate)
{
    int64_t width = x->m->set.width;
    float *w = x->out + row * width, f = sigmoid(x->k->product(w, l->hidden, width));
    x->k->step(w, l->hidden, l->gradient, rate * ((float)yes - f), width);
    return -logf((yes ? f : 1 - f) + 1e-12f);
}

static float hierarchical(learning *x, learner *l, int32_t label, float rate)
{
    float loss = 0;
    for (int64_t k = x->tree.at[label]; k < x->tree.at[label + 1]; k++)
        loss += logistic(x, l, x->tree.node[k], x->tree.bit[k], rate);
    return loss;
}

static float negative(learning *x, learner *l, int32_t label, float rate)
{
    float loss = logistic(x, l, label, true, rate);
    for (int64_t k = 0; k < x->plan->negatives && x->m->labels > 1; k++) {
        int32_t other;
        do other = sc_alias_draw(&x->negatives, &l->draw);
        while (other == label);
        loss += logistic(x, l, other, false, rate);
    }
    return loss;
}

static float one_vs_all(learning *x, learner *l, const int32_t *label, int64_t n_labels, float rate)
{
    int64_t n = x->m->labels, width = x->m->set.width;
    float *a = l->score, loss = 0;
    x->k->products(a, x->out, width, n, l->hidden);
    for (int64_t i = 0; i < n; i++) {
        bool yes = false;
        for (int64_t k = 0; k < n_labels; k++) yes |= -1 - label[k] == i;
        float f = sigmoid(a[i]);
        loss -= logf((yes ? f : 1 - f) + 1e-12f);
        a[i] = rate * ((float)yes - f);
    }
    x->k->steps(x->out, width, n, l->hidden, l->gradient, a);
    return loss;
}

/* ---- a line ---- */

static bool put_rows(learner *l, const int32_t *row, int64_t n)
{
    if (!sc_grow(&l->row, &l->cap_rows, l->n_rows + n, sizeof *l->row)) return false;
    memcpy(l->row + l->n_rows, row, (size_t)n * sizeof *row);
    l->n_rows += n;
    return true;
}

/* Rows of words, of their n-grams of characters, then of n-grams of words. */
static bool gather(const learning *x, learner *l, const int32_t *word, int64_t n)
{
    const sc_ft_corpus *c = x->c;
    l->n_rows = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t from = c->parts.at[word[i]];
        if (!put_rows(l, c->parts.row + from, c->parts.at[word[i] + 1] - from)) return false;
    }
    for (int64_t i = 0; i < n && x->m->set.word_ngrams > 1; i++) {
        uint64_t h = (uint64_t)(int64_t)(int32_t)c->hash[word[i]];
        for (int64_t j = i + 1; j < n && j < i + x->m->set.word_ngrams; j++) {
            h = sc_ft_join(h, c->hash[word[j]]);
            int64_t row = sc_ft_row(x->m, (int32_t)(h % (uint64_t)x->m->set.bucket));
            if (row >= 0 && !put_rows(l, &(int32_t){(int32_t)row}, 1)) return false;
        }
    }
    return true;
}

static bool learn_line(learning *x, learner *l, int64_t line, float rate)
{
    const int32_t *t = x->c->token + x->c->line[line];
    int64_t n = x->c->line[line + 1] - x->c->line[line], labels = 0, width = x->m->set.width;
    while (t[labels] < 0) labels++;
    if (!gather(x, l, t + labels, n - labels)) return false;
    if (!l->n_rows) return true;
    memset(l->hidden, 0, sizeof *l->hidden * (size_t)width);
    memset(l->gradient, 0, sizeof *l->gradient * (size_t)width);
    x->k->sum_rows(l->hidden, x->in, width, l->row, l->n_rows);
    float share = 1 / (float)l->n_rows;
    for (int64_t i = 0; i < width; i++) l->hidden[i] *= share;
    int32_t one = -1 - t[labels == 1 ? 0 : sc_draw_below(&l->draw, (uint32_t)labels)];
    switch (x->m->set.loss) {
    case SC_FT_SOFTMAX: l->loss += (double)softmax(x, l, one, rate); break;
    case SC_FT_HIERARCHICAL: l->loss += (double)hierarchical(x, l, one, rate); break;
    case SC_FT_NEGATIVE: l->loss += (double)negative(x, l, one, rate); break;
    default: l->loss += (double)one_vs_all(x, l, t, labels, rate);
    }
    l->examples++;
    for (int64_t i = 0; i < width; i++) l->gradient[i] *= share;
    x->k->add_to_rows(x->in, width, l->row, l->n_rows, l->gradient);
    return true;
}

static void shuffle(int64_t *order, int64_t n, uint64_t *draw)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(sc_draw(draw) % (uint64_t)(i + 1)), was = order[i];
        order[i] = order[j];
        order[j] = was;
    }
}

enum { REPORT = 4096 }; /* tokens between looks at what the others have done */

static void learn_share(void *arg, int member)
{
    learning *x = arg;
    if (member >= x->members) return;
    learner *l = &x->learner[member];
    int64_t from = x->c->n_lines * member / x->members, to = x->c->n_lines * (member + 1) / x->members, waiting = 0;
    double rate = x->plan->rate;
    for (int64_t epoch = 0; epoch < x->plan->epochs && !l->status; epoch++) {
        shuffle(x->order + from, to - from, &l->draw);
        l->loss = 0;
        l->examples = 0;
        for (int64_t i = from; i < to && !l->status; i++) {
            int64_t line = x->order[i];
            if (!learn_line(x, l, line, (float)rate)) l->status = SC_ENOMEM;
            waiting += x->c->line[line + 1] - x->c->line[line];
            if (waiting < REPORT) continue;
            int64_t done = atomic_fetch_add(&x->done, waiting) + waiting;
            waiting = 0;
            rate = x->plan->rate * (1 - (double)done / (double)x->total);
            if (member == 0) sc_progress(x->ctx, "training", done, x->total);
            if (sc_context_cancelled(x->ctx)) l->status = SC_ECANCELLED;
        }
    }
    atomic_fetch_add(&x->done, waiting);
}

/* ---- all of it ---- */

static sc_status prepare(learning *x)
{
    const sc_ft_model *m = x->m;
    const int64_t *count = m->dict->count + m->words;
    x->order = sc_malloc(sizeof *x->order * (size_t)x->c->n_lines);
    x->learner = sc_calloc((size_t)x->members, sizeof *x->learner);
    x->weight = sc_malloc(sizeof *x->weight * (size_t)m->labels);
    if (!x->order || !x->learner || !x->weight) return sc_nomem();
    uint64_t draw = sc_draw_state(x->plan->seed, 1, 0);
    for (int64_t i = 0; i < x->c->n_lines; i++) x->order[i] = i;
    shuffle(x->order, x->c->n_lines, &draw);
    for (int i = 0; i < x->members; i++) {
        learner *l = &x->learner[i];
        l->draw = sc_draw_state(x->plan->seed, 2, (uint64_t)i);
        l->hidden = sc_malloc(sizeof(float) * (size_t)m->set.width);
        l->gradient = sc_malloc(sizeof(float) * (size_t)m->set.width);
        l->score = sc_malloc(sizeof(float) * (size_t)m->labels);
        if (!l->hidden || !l->gradient || !l->score) return sc_nomem();
    }
    if (m->set.loss == SC_FT_HIERARCHICAL) return sc_huffman_make(&x->tree, count, m->labels);
    if (m->set.loss != SC_FT_NEGATIVE) return SC_OK;
    for (int32_t i = 0; i < m->labels; i++) x->weight[i] = sqrt((double)count[i]);
    return sc_alias_make(&x->negatives, x->weight, m->labels);
}

static void clean_up(learning *x)
{
    for (int i = 0; x->learner && i < x->members; i++) {
        sc_free(x->learner[i].hidden);
        sc_free(x->learner[i].gradient);
        sc_free(x->learner[i].score);
        sc_free(x->learner[i].row);
    }
    sc_free(x->learner);
    sc_free(x->order);
    sc_free(x->weight);
    sc_alias_free(&x->negatives);
    sc_huffman_free(&x->tree);
}

static sc_status outcome(const learning *x, sc_classifier_run *run, double seconds)
{
    double loss = 0;
    int64_t examples = 0;
    for (int i = 0; i < x->members; i++) {
        const learner *l = &x->learner[i];
        if (l->status == SC_ENOMEM) return sc_nomem();
        if (l->status) return sc_fail(SC_ECANCELLED, "stopped on request");
        loss += l->loss;
        examples += l->examples;
    }
    loss /= (double)SC_MAX(examples, 1);
    if (!(loss < INFINITY)) return sc_fail(SC_EINVAL, "the loss is not a number any more: try a smaller rate");
    *run = (sc_classifier_run){x->c->n_lines, x->c->seen, loss, seconds};
    return SC_OK;
}

sc_status sc_ft_learn(sc_ft_model *m, sc_context *ctx, const sc_ft_corpus *c, const sc_ft_plan *plan,
                      sc_classifier_run *run)
{
    learning x = {.m = m,
                  .c = c,
                  .plan = plan,
                  .k = sc_ft_kernels_get(),
                  .ctx = ctx,
                  .in = sc_ft_dense(&m->in),
                  .out = sc_ft_dense(&m->out),
                  .members = plan->deterministic ? 1 : sc_context_threads(ctx),
                  .total = SC_MAX(c->n_tokens * plan->epochs, 1)};
    sc_status s = prepare(&x);
    double from = sc_now();
    if (!s) {
        sc_pool_run(ctx->pool, learn_share, &x);
        s = outcome(&x, run, sc_now() - from);
    }
    clean_up(&x);
    return s;
}

/* ---- beginnings ---- */

typedef struct filling {
    float *p, limit;
    int64_t n;
    uint64_t seed;
    atomic_int_fast64_t next;
} filling;

static void fill(void *arg, int member)
{
    const int64_t block = 1 << 16;
    filling *f = arg;
    (void)member;
    for (int64_t at; (at = atomic_fetch_add(&f->next, 1) * block) < f->n;) {
        uint64_t draw = sc_draw_state(f->seed, 0, (uint64_t)at);
        for (int64_t i = at; i < SC_MIN(at + block, f->n); i++)
            f->p[i] = ((float)(sc_draw(&draw) >> 40) * 0x1p-23f - 1) * f->limit;
    }
}

sc_status sc_ft_random(sc_ft_matrix *m, sc_context *ctx, int64_t rows, int64_t width, float limit, uint64_t seed)
{
    filling f = {.limit = limit, .n = rows * width, .seed = seed};
    sc_status s = sc_ft_matrix_new(m, &f.p, rows, width);
    if (!s) sc_pool_run(ctx->pool, fill, &f);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Denoising (Lewis et al. 2020, section 2.2): sentences change places, and spans of lengths by Poisson's distribution become
 * one mask each, of no length too; the decoder writes the text as it was. */
#include "train/objective.h"

#include <math.h>

typedef struct denoise {
    sc_corpus corpus;
    sc_pair_ids ids;
    double share, mean; /* of tokens masked, and of the lengths of spans */
    int32_t mask;
    bool permute;
    const int32_t *before, *after; /* what stands around a text */
    int64_t n_before, n_after;
    int32_t *text, *labels; /* of a part: its sentences in their new order, and the answer */
    int64_t *start, *order; /* of its sentences */
    int64_t *length;        /* of the span at each gap between tokens that stay; -1: none */
    int64_t *gap;
} denoise;

static void denoise_free(void *self)
{
    denoise *x = self;
    if (!x) return;
    sc_corpus_free(&x->corpus);
    sc_free(x->text);
    sc_free(x->labels);
    sc_free(x->start);
    sc_free(x->order);
    sc_free(x->length);
    sc_free(x->gap);
    sc_free(x);
}

static sc_status make_room(denoise *x, int64_t most)
{
    size_t n = (size_t)(most + x->n_before + x->n_after) + 2;
    x->text = sc_calloc(n, sizeof *x->text);
    x->labels = sc_calloc(n, sizeof *x->labels);
    x->start = sc_calloc(n, sizeof *x->start);
    x->order = sc_calloc(n, sizeof *x->order);
    x->length = sc_calloc(n, sizeof *x->length);
    x->gap = sc_calloc(n, sizeof *x->gap);
    return x->text && x->labels && x->start && x->order && x->length && x->gap ? SC_OK : sc_nomem();
}

static sc_status denoise_open(void **self, const sc_objective_setup *s)
{
    denoise *x = sc_calloc(1, sizeof *x);
    int64_t length = 0, vocab = SC_MIN(s->model->info.source_vocab, s->model->info.vocab);
    if (!x) return sc_nomem();
    x->share = s->o->mask_share > 0 ? s->o->mask_share : 0.3;
    x->mean = s->o->mean_span > 0 ? s->o->mean_span : 3;
    x->permute = !s->o->keep_order;
    x->mask = sc_tokenizer_id(s->tokenizer, "<mask>", 6);
    if (x->mask < 0) x->mask = sc_tokenizer_id(s->tokenizer, "[MASK]", 6);
    sc_tokenizer_template(s->tokenizer, &x->before, &x->n_before, &x->after, &x->n_after);
    sc_status e = x->share <= 0.9 && x->mean <= 100
                      ? SC_OK
                      : sc_fail(SC_EINVAL, "spans of %g tokens, %g of all", x->mean, x->share);
    if (!e && (x->mask < 0 || x->mask >= vocab))
        e = sc_fail(SC_EINVAL, "the tokenizer has no token <mask> that the model knows");
    if (!e) e = sc_pair_ids_of(&x->ids, s);
    /* The answer ends with the id that ends texts even where the tokenizer puts nothing around them. */
    if (!e && !x->n_after) x->after = &x->ids.end, x->n_after = 1;
    if (!e) e = sc_objective_length(s, &length);
    length -= x->n_before + x->n_after;
    if (!e) e = sc_corpus_open(&x->corpus, s, length, vocab, x->permute);
    if (!e) e = make_room(x, length);
    if (e)
        denoise_free(x);
    else
        *self = x;
    return e;
}

static void denoise_size(const void *self, sc_objective_size *out)
{
    sc_corpus_size(&((const denoise *)self)->corpus, out);
}

static void shuffle(sc_rng *r, int64_t *x, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = sc_rng_below(r, i + 1), swap = x[i];
        x[i] = x[k];
        x[k] = swap;
    }
}

/* The part's sentences in any order, into x->text. */
static void permute(denoise *x, const sc_passage *part, sc_rng *r)
{
    int64_t n = 0, at = 0;
    x->start[n++] = 0;
    for (int64_t i = 0; x->permute && i < part->n - 1; i++)
        if (part->last[i]) x->start[n++] = i + 1;
    x->start[n] = part->n;
    for (int64_t i = 0; i < n; i++) x->order[i] = i;
    shuffle(r, x->order, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t from = x->start[x->order[i]], len = x->start[x->order[i] + 1] - from;
        memcpy(x->text + at, part->ids + from, (size_t)len * sizeof *x->text);
        at += len;
    }
}

/* Knuth 1969: how many uniform numbers multiply to no less than exp(-mean). */
static int64_t poisson(sc_rng *r, double mean)
{
    double limit = exp(-mean), p = 1;
    int64_t n = -1;
    do {
        p *= 1 - sc_rng_uniform(r);
        n++;
    } while (p > limit);
    return n;
}

/* Where masks stand between the tokens that stay, and for how many each: x->length of n - gone + 1 gaps, no two spans at
 * one. Returns the number of gaps. */
static int64_t choose_spans(denoise *x, int64_t n, sc_rng *r)
{
    int64_t budget = (int64_t)rint((double)n * x->share), spans = 0, gone = 0;
    while (gone < budget && spans < n - gone + 1) {
        int64_t len = SC_MIN(poisson(r, x->mean), budget - gone);
        if (spans + 1 > n - gone - len + 1) break;
        x->order[spans++] = len;
        gone += len;
    }
    int64_t gaps = n - gone + 1;
    for (int64_t i = 0; i < gaps; i++) {
        x->gap[i] = i;
        x->length[i] = -1;
    }
    for (int64_t i = 0; i < spans; i++) { /* the first of a shuffle */
        int64_t k = i + sc_rng_below(r, gaps - i), swap = x->gap[i];
        x->gap[i] = x->gap[k];
        x->gap[k] = swap;
        x->length[x->gap[i]] = x->order[i];
    }
    return gaps;
}

static sc_status spoil(void *user, const sc_passage *part, sc_rng *r)
{
    denoise *x = user;
    sc_maker *m = &x->corpus.maker;
    int64_t at = 0, n = 0;
    permute(x, part, r);
    int64_t gaps = choose_spans(x, part->n, r);
    sc_maker_text(m, &m->source, x->before, NULL, x->n_before, false);
    for (int64_t i = 0; i < gaps; i++) {
        if (x->length[i] >= 0) {
            sc_maker_text(m, &m->source, &x->mask, NULL, 1, true);
            at += x->length[i];
        }
        if (i + 1 < gaps) sc_maker_text(m, &m->source, &x->text[at++], NULL, 1, true);
    }
    sc_maker_text(m, &m->source, x->after, NULL, x->n_after, true);
    for (int64_t i = 0; i < x->n_before; i++) x->labels[n++] = x->before[i];
    memcpy(x->labels + n, part->ids, (size_t)part->n * sizeof *x->labels);
    n += part->n;
    for (int64_t i = 0; i < x->n_after; i++) x->labels[n++] = x->after[i];
    sc_maker_answer(m, x->labels, n, x->ids.wraps ? x->labels[n - 1] : x->ids.start);
    return SC_OK;
}

static sc_status batch(denoise *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_status s = sc_corpus_batch(&x->corpus, eval, index, spoil, x);
    return s ? s : sc_maker_finish(&x->corpus.maker, SC_ROWS_TOKENS, out);
}

static sc_status denoise_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, false, index, out);
}

static sc_status denoise_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status denoise_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    (void)self;
    return sc_build_pair(out, m, b, 0);
}

static void denoise_describe(void *self, int64_t index, sc_str *out)
{
    sc_corpus_describe(&((denoise *)self)->corpus, index, out);
}

const sc_objective sc_objective_denoise = {.name = "denoise",
                                           .summary = "a text with masked spans and sentences out of order (BART)",
                                           .kinds = SC_LEARNS_PAIR,
                                           .measure = "token_accuracy",
                                           .open = denoise_open,
                                           .free = denoise_free,
                                           .size = denoise_size,
                                           .batch = denoise_batch,
                                           .eval_batch = denoise_eval_batch,
                                           .describe = denoise_describe,
                                           .build = denoise_build};

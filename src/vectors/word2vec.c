/* SPDX-License-Identifier: Apache-2.0 */
/* word2vec (Mikolov et al. 2013, "Efficient Estimation of Word Representations in Vector Space" and "Distributed Representations of
 * Words and Phrases and their Compositionality"): examples from a window around each word. */
#include "vectors/learn.h"

typedef struct word2vec {
    const sc_lexicon *x;
    const sc_vectors_training *o;
    uint32_t *keep;
    sc_alias negatives;
    sc_huffman tree;
} word2vec;

/* The word and drawn ones, or the turns of its path. */
static void put_outputs(const word2vec *w, sc_lane *l, int32_t word)
{
    if (w->o->hierarchical) {
        for (int64_t i = w->tree.at[word]; i < w->tree.at[word + 1]; i++)
            sc_lane_out(l, w->tree.node[i], !w->tree.bit[i]);
        return;
    }
    sc_lane_out(l, word, true);
    for (int64_t i = 0; i < w->o->negative; i++) {
        int32_t other = sc_alias_draw(&w->negatives, &l->draw);
        if (other != word) sc_lane_out(l, other, false);
    }
}

/* Words are drawn once for a centre and not for each word near it: the outputs stay in this core's cache while all of those learn, which
 * is most of the speed (Ji et al. 2016, "Parallelizing Word2Vec in Shared and Distributed Memory", do so). */
static bool next(void *user, sc_lane *l)
{
    const word2vec *w = user;
    if (l->at == l->n) return sc_lane_sentence(l, w->x, w->keep, false);
    int32_t centre = l->at++, word = l->sentence[centre];
    int32_t reach = (int32_t)w->o->window;
    if (!w->o->whole_window) reach -= (int32_t)sc_draw_below(&l->draw, (uint32_t)reach);
    int32_t from = SC_MAX(centre - reach, 0), to = SC_MIN(centre + reach, l->n - 1);
    bool together = w->o->method == SC_VECTORS_CBOW, first = true;
    for (int32_t i = from; i <= to; i++) {
        if (i == centre) continue;
        if (first) sc_lane_example(l);
        if (first) put_outputs(w, l, word);
        if (!first && !together) sc_lane_example_again(l);
        sc_lane_in(l, l->sentence[i]);
        first = false;
    }
    return !l->oom;
}

/* In rounds every example of a round sees the same rows, so few should change the same one: a tree's root is in every example, and of
 * a small vocabulary each word. */
static int64_t round_of(const word2vec *w)
{
    if (w->o->hierarchical) return 64;
    return SC_MAX(SC_LANES, SC_MIN(512, w->x->n / 8));
}

sc_status sc_word2vec_train(sc_vectors_result *r, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x,
                            const sc_vectors_training *o, const char *state, const char *settings,
                            sc_vectors_trained *report)
{
    word2vec w = {.x = x, .o = o};
    sc_tables *tables = NULL;
    sc_learned learned;
    sc_source source = {.next = next, .user = &w};
    sc_learning how = {.epochs = o->epochs,
                       .words = x->seen,
                       .rate = o->rate > 0                    ? o->rate
                               : o->method == SC_VECTORS_CBOW ? 0.05
                                                              : 0.025,
                       .last_rate = o->last_rate,
                       .deterministic = o->deterministic,
                       .seed = o->seed,
                       .state = state,
                       .settings = settings,
                       .save_every = o->save_every};
    sc_status s = sc_subsample_make(&w.keep, x, o->sample);
    if (!s && o->hierarchical) s = sc_huffman_make(&w.tree, x->count, x->n);
    if (!s && !o->hierarchical) s = sc_alias_negatives(&w.negatives, x, o->power);
    if (!s)
        s = sc_tables_new(&tables, ctx, x->n, o->hierarchical ? x->n - 1 : x->n, o->width, 0.5f / (float)o->width,
                          o->seed);
    how.round = round_of(&w);
    how.last_rate = SC_MIN(how.last_rate, how.rate);
    if (!s) s = sc_learn(tables, ctx, t, &source, &how, &learned);
    if (!s) {
        *r = (sc_vectors_result){.held = {sc_buffer_ref(tables->held[0]), sc_buffer_ref(tables->held[1])},
                                 .row = tables->in,
                                 .context = o->hierarchical ? NULL : tables->out,
                                 .stride = tables->stride};
        report->loss = learned.loss;
        report->seconds = learned.seconds;
        report->trained = learned.words;
        report->resumed = learned.resumed;
    }
    sc_tables_free(tables);
    sc_free(w.keep);
    sc_alias_free(&w.negatives);
    sc_huffman_free(&w.tree);
    return s;
}

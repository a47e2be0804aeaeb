/* SPDX-License-Identifier: Apache-2.0 */
/* Masked words (Devlin et al. 2019): of a part of the tokens 80 % become the mask, 10 % another token, 10 % stay, and the
 * model tells what stood there. Which, is drawn anew whenever a text comes (Liu et al. 2019). */
#include "train/objective.h"

#define MASKED   0.8 /* of the chosen tokens */
#define REPLACED 0.9

typedef struct mlm {
    sc_corpus corpus;
    const sc_tokenizer *tokenizer;
    const int32_t *before, *after; /* what stands around a text */
    int64_t n_before, n_after;
    double share;
    int32_t mask;
    int64_t words; /* ids to replace tokens with */
    bool *special; /* (words) never chosen */
    bool *begins;  /* (words) a word begins with it; NULL: each token is chosen for itself */
    bool *chosen;  /* of a text */
    int64_t cap_chosen;
} mlm;

static void mlm_free(void *self)
{
    mlm *m = self;
    if (!m) return;
    sc_corpus_free(&m->corpus);
    sc_free(m->special);
    sc_free(m->begins);
    sc_free(m->chosen);
    sc_free(m);
}

static int32_t find(const sc_tokenizer *t, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        int32_t id = sc_tokenizer_id(t, names[i], (int64_t)strlen(names[i]));
        if (id >= 0) return id;
    }
    return -1;
}

static bool starts_with(const char *p, int64_t n, const char *with)
{
    size_t len = strlen(with);
    return n >= (int64_t)len && memcmp(p, with, len) == 0;
}

/* How a vocabulary tells the beginnings of words: "##" before what continues one, or a space before what begins one. */
static sc_status find_words(mlm *m)
{
    static const char *const spaces[] = {"\xc4\xa0", "\xe2\x96\x81"}; /* of bytes, of SentencePiece */
    const sc_tokenizer *t = m->tokenizer;
    int64_t hashes = 0, len;
    if (!(m->begins = sc_calloc((size_t)m->words, sizeof *m->begins))) return sc_nomem();
    for (int64_t i = 0; i < m->words; i++) {
        const char *p = sc_tokenizer_token(t, (int32_t)i, &len);
        hashes += p && len > 2 && starts_with(p, len, "##");
    }
    for (int64_t i = 0; i < m->words; i++) {
        const char *p = sc_tokenizer_token(t, (int32_t)i, &len);
        if (!p) continue;
        m->begins[i] =
            hashes ? !starts_with(p, len, "##") : starts_with(p, len, spaces[0]) || starts_with(p, len, spaces[1]);
    }
    return SC_OK;
}

static sc_status read_vocabulary(mlm *m, const sc_objective_setup *x)
{
    static const char *const names[] = {"[MASK]", "<mask>"};
    const sc_tokenizer *t = m->tokenizer = x->tokenizer;
    m->mask = find(t, names, SC_COUNT(names));
    m->words = SC_MIN(sc_tokenizer_vocab_size(t), x->model->info.vocab);
    if (m->mask < 0) return sc_fail(SC_EINVAL, "the tokenizer has no token [MASK] or <mask>");
    if (m->mask >= m->words)
        return sc_fail(SC_ELIMIT, "the tokenizer's mask is id %d, the model has %lld tokens", m->mask,
                       (long long)x->model->info.vocab);
    if (!(m->special = sc_calloc((size_t)m->words, sizeof *m->special))) return sc_nomem();
    for (int64_t i = 0; i < m->words; i++) m->special[i] = sc_tokenizer_is_special(t, (int32_t)i);
    sc_tokenizer_template(t, &m->before, &m->n_before, &m->after, &m->n_after);
    return x->o->whole_words ? find_words(m) : SC_OK;
}

static sc_status mlm_open(void **self, const sc_objective_setup *x)
{
    mlm *m = sc_calloc(1, sizeof *m);
    int64_t length = 0;
    if (!m) return sc_nomem();
    m->share = x->o->mask_share > 0 ? x->o->mask_share : 0.15;
    sc_status s = m->share < 1 ? SC_OK : sc_fail(SC_EINVAL, "a share of %g of masks", m->share);
    if (!s && x->model->info.head != SC_HEAD_FILL)
        s = sc_fail(SC_EUNSUPPORTED, "%s: the model has no head for masked words", x->model->info.path);
    if (!s) s = read_vocabulary(m, x);
    if (!s) s = sc_objective_length(x, &length);
    if (!s) s = sc_corpus_open(&m->corpus, x, length - m->n_before - m->n_after, x->model->info.vocab, false);
    if (s)
        mlm_free(m);
    else
        *self = m;
    return s;
}

static void mlm_size(const void *self, sc_objective_size *out)
{
    sc_corpus_size(&((const mlm *)self)->corpus, out);
}

/* Tokens, or words as a whole. */
static sc_status choose(mlm *m, sc_rng *r, const int32_t *ids, int64_t n)
{
    bool on = false;
    if (!sc_grow(&m->chosen, &m->cap_chosen, n, sizeof *m->chosen)) return sc_nomem();
    for (int64_t i = 0; i < n; i++) {
        bool special = ids[i] >= m->words || m->special[ids[i]];
        if (i == 0 || !m->begins || special || m->begins[ids[i]]) on = sc_rng_uniform(r) < m->share;
        m->chosen[i] = on && !special;
    }
    return SC_OK;
}

static sc_status spoil(void *user, const sc_passage *part, sc_rng *r)
{
    mlm *m = user;
    sc_maker *b = &m->corpus.maker;
    const int32_t *ids = part->ids;
    sc_status s = choose(m, r, ids, part->n);
    if (s) return s;
    sc_maker_text(b, &b->text, m->before, NULL, m->n_before, false);
    for (int64_t i = 0; i < part->n; i++) {
        int32_t id = ids[i];
        if (m->chosen[i]) {
            double x = sc_rng_uniform(r);
            if (x < REPLACED) id = x < MASKED ? m->mask : (int32_t)sc_rng_below(r, m->words);
            sc_maker_row(b, b->text.tokens, ids[i], 0);
        }
        sc_maker_text(b, &b->text, &id, NULL, 1, true);
    }
    sc_maker_text(b, &b->text, m->after, NULL, m->n_after, true);
    return SC_OK;
}

static sc_status batch(mlm *m, bool eval, int64_t index, sc_text_batch *out)
{
    sc_status s = sc_corpus_batch(&m->corpus, eval, index, spoil, m);
    return s ? s : sc_maker_finish(&m->corpus.maker, SC_ROWS_WANTED, out);
}

static sc_status mlm_batch(void *self, int64_t index, sc_text_batch *out) { return batch(self, false, index, out); }
static sc_status mlm_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status mlm_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    (void)self;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, b->rows, NULL, NULL);
    if (!s) sc_loss_cross_entropy(out, out->t.logits, b->rows, 0);
    return s;
}

static void mlm_describe(void *self, int64_t index, sc_str *out)
{
    sc_corpus_describe(&((mlm *)self)->corpus, index, out);
}

const sc_objective sc_objective_mlm = {.name = "mlm",
                                       .summary = "masked words of a text (BERT)",
                                       .kinds = SC_LEARNS_ENCODER,
                                       .measure = "token_accuracy",
                                       .head = "ForMaskedLM",
                                       .open = mlm_open,
                                       .free = mlm_free,
                                       .size = mlm_size,
                                       .batch = mlm_batch,
                                       .eval_batch = mlm_eval_batch,
                                       .describe = mlm_describe,
                                       .build = mlm_build};

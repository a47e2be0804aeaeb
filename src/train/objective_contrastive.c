/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of sentences: an anchor's is to be nearer to its positive's than to those of all other positives and negatives of
 * the batch, by the cross entropy of their cosines times a scale (van den Oord et al. 2018; Henderson et al. 2017). */
#include "infer/infer.h"
#include "train/objective.h"

#define ANCHOR   "anchor|query|sentence1|question|source|text"
#define POSITIVE "positive|pos|sentence2|answer|target"
#define NEGATIVE "negative|neg|sentence3|hard_negative"

typedef struct contrastive {
    sc_collection texts; /* anchors, positives and maybe negatives */
    int64_t *chosen;     /* of a batch */
    int64_t count, width;
    sc_pool_kind pool;
    float scale;
} contrastive;

static void contrastive_free(void *self)
{
    contrastive *x = self;
    if (!x) return;
    sc_collection_free(&x->texts);
    sc_free(x->chosen);
    sc_free(x);
}

/* The first example says whether there are negatives. */
static sc_status add(void *user, const sc_record *r)
{
    static const char *const names[] = {ANCHOR, POSITIVE, NEGATIVE};
    contrastive *x = user;
    sc_examples *e = x->texts.data;
    if (!e[0].columns) e[0].columns = e[1].columns = sc_record_has(r, NEGATIVE, 2) ? 3 : 2;
    for (int k = 0; k < e[0].columns; k++) {
        sc_field text;
        sc_status s = sc_record_text(r, names[k], k, &text);
        if (!s) s = sc_collection_text(&x->texts, r, text, (sc_field){0}, x->texts.setup->model->info.vocab);
        if (s) return s;
    }
    return sc_examples_end(x->texts.to, 0);
}

static sc_status contrastive_open(void **self, const sc_objective_setup *s)
{
    contrastive *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    int usual = s->model->info.head == SC_HEAD_NEXT ? SC_POOL_LAST : SC_POOL_MEAN,
        kind = s->o->pooling ? sc_pool_named(s->o->pooling) : usual;
    x->width = s->model->info.width;
    x->pool = (sc_pool_kind)SC_MAX(kind, 0);
    x->scale = s->o->scale > 0 ? (float)s->o->scale : 20;
    sc_status e = SC_OK;
    if (kind < 0) e = sc_fail(SC_EINVAL, "pooling '%s' is not known", s->o->pooling);
    if (!e && s->o->batch < 2) e = sc_fail(SC_EINVAL, "a batch of one pair has nothing to tell it from");
    if (!e && !(x->chosen = sc_calloc((size_t)s->o->batch, sizeof *x->chosen))) e = sc_nomem();
    if (!e) e = sc_collection_open(&x->texts, s, false, add, x);
    if (e)
        contrastive_free(x);
    else
        *self = x;
    return e;
}

static void contrastive_size(const void *self, sc_objective_size *out)
{
    sc_collection_size(&((const contrastive *)self)->texts, out);
}

static void choose(void *user, const sc_examples *e, int64_t i)
{
    contrastive *x = user;
    (void)e;
    x->chosen[x->count++] = i;
}

/* All anchors, then all positives, then all negatives. */
static sc_status batch(contrastive *x, bool eval, int64_t index, sc_text_batch *out)
{
    const sc_examples *e = &x->texts.data[eval];
    sc_maker *m = &x->texts.maker;
    x->count = 0;
    sc_collection_batch(&x->texts, eval, index, choose, x);
    for (int k = 0; k < e->columns; k++)
        for (int64_t r = 0; r < x->count; r++) {
            int64_t at = x->chosen[r] * e->columns + k, from = e->at[at];
            sc_maker_text(m, &m->text, e->ids + from, e->types + from, e->at[at + 1] - from, false);
        }
    for (int64_t r = 0; r < x->count; r++) sc_maker_row(m, -1, (int32_t)r, 0);
    return sc_maker_finish(m, SC_ROWS_OWN, out);
}

static sc_status contrastive_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, false, index, out);
}

static sc_status contrastive_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status contrastive_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const contrastive *x = self;
    /* One sequence more may be there to fill up. */
    int64_t columns = x->texts.data[0].columns, n = b->sequences / columns, others = n * (columns - 1);
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, 0, NULL, NULL);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_tensor *start = out->t.in.seqs.start;
    sc_tensor *v = sc_pool_tokens(g, x->pool, sc_text_states(g), sc_slice(g, start, 0, 0, b->sequences),
                                  sc_slice(g, start, 0, 1, b->sequences));
    v = sc_unit(g, v); /* (S, C) */
    sc_tensor *cosines = sc_apply_linear(g, sc_slice(g, v, 0, 0, n), sc_slice(g, v, 0, n, others), NULL);
    sc_loss_cross_entropy(out, sc_affine(g, cosines, x->scale, 0), n, 0);
    return SC_OK;
}

static sc_status contrastive_finish(const void *self, const char *dir)
{
    const contrastive *x = self;
    return sc_embed_write_modules(dir, x->pool, x->width, x->texts.most);
}

const sc_objective sc_objective_contrastive = {.name = "contrastive",
                                               .summary =
                                                   "vectors of sentences that are near where these mean the same",
                                               .kinds = SC_LEARNS_ENCODER | SC_LEARNS_DECODER,
                                               .together = true,
                                               .measure = "accuracy",
                                               .head = "Model",
                                               .open = contrastive_open,
                                               .free = contrastive_free,
                                               .size = contrastive_size,
                                               .batch = contrastive_batch,
                                               .eval_batch = contrastive_eval_batch,
                                               .build = contrastive_build,
                                               .finish = contrastive_finish};

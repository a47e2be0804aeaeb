/* SPDX-License-Identifier: Apache-2.0 */
/* Distillation: the answers of conversations, as fine-tuning reads them, where each token's distribution is to be the teacher's as
 * far as `share` says, and the data's token the rest. */
#include "train/chat.h"
#include "train/reference.h"

#include <stdlib.h>

typedef struct distill {
    void *texts; /* of sft */
    sc_reference *teacher;
    sc_divergence_attr how;
    float share;
    int64_t vocab, taught; /* the student's tokens; those that both know */
    float *given, *logits; /* (rows, the teacher's), (rows, taught) */
    int64_t cap_given, cap_logits;
} distill;

static void distill_free(void *self)
{
    distill *x = self;
    if (!x) return;
    if (x->texts) sc_objective_sft.free(x->texts);
    sc_reference_free(x->teacher);
    sc_free(x->given);
    sc_free(x->logits);
    sc_free(x);
}

static sc_status settle(distill *x, sc_distill_options *o)
{
    static const char *const kinds[] = {"forward", "reverse", "symmetric", "js"};
    int kind = 0;
    if (!o->teacher) return sc_fail(SC_EINVAL, "distillation needs a teacher");
    if (!o->divergence) o->divergence = kinds[0];
    while (kind < SC_COUNT(kinds) && strcmp(kinds[kind], o->divergence) != 0) kind++;
    if (kind == SC_COUNT(kinds)) return sc_fail(SC_EINVAL, "no divergence is called '%s'", o->divergence);
    if (o->temperature == 0) o->temperature = 1;
    if (o->beta == 0) o->beta = 0.5;
    if (o->share == 0) o->share = 0.5;
    if (!(o->temperature > 0 && o->temperature <= 100))
        return sc_fail(SC_EINVAL, "the temperature is %g, which is out of range", o->temperature);
    if (!(o->beta > 0 && o->beta < 1)) return sc_fail(SC_EINVAL, "the mixture is %g, not between 0 and 1", o->beta);
    if (!(o->share > 0 && o->share <= 1))
        return sc_fail(SC_EINVAL, "the teacher's share is %g, not between 0 and 1", o->share);
    x->share = (float)o->share;
    x->how = (sc_divergence_attr){(sc_divergence_kind)kind, (float)o->temperature, (float)o->beta};
    return SC_OK;
}

/* Ids must mean the same to both: what one has beyond the other is left out of the comparison. */
static sc_status same_tokens(distill *x, const char *path, const sc_tokenizer *mine)
{
    sc_tokenizer *theirs;
    sc_status s = sc_tokenizer_load(&theirs, path);
    if (s) return s;
    for (int64_t i = 0; !s && i < x->taught; i++) {
        int64_t n, k;
        const char *a = sc_tokenizer_token(mine, (int32_t)i, &n), *b = sc_tokenizer_token(theirs, (int32_t)i, &k);
        if (a && b && (n != k || memcmp(a, b, (size_t)n) != 0))
            s = sc_fail(
                SC_EINVAL,
                "%s has another tokenizer: its id %lld is \"%.40s\", the student's \"%.40s\"; --texts lets it "
                "teach by its texts",
                path, (long long)i, b, a);
    }
    sc_tokenizer_free(theirs);
    return s;
}

static sc_status distill_open(void **self, const sc_objective_setup *setup)
{
    distill *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    sc_distill_options *o = &setup->o->distill;
    sc_status s = settle(x, o);
    if (!s && o->on_policy > 0) s = sc_fail(SC_EINVAL, "the student's own answers are for socle tune distill");
    if (!s) s = sc_reference_open(&x->teacher, setup->ctx, o->teacher, 0);
    if (!s) {
        x->vocab = setup->model->info.vocab;
        x->taught = SC_MIN(x->vocab, sc_reference_model(x->teacher)->info.vocab);
        s = same_tokens(x, o->teacher, setup->tokenizer);
    }
    if (!s) s = sc_objective_sft.open(&x->texts, setup);
    if (s)
        distill_free(x);
    else
        *self = x;
    return s;
}

static void distill_size(const void *self, sc_objective_size *out)
{
    sc_objective_sft.size(((const distill *)self)->texts, out);
}

void *sc_distill_data(void *self) { return ((distill *)self)->texts; }

/* Of the tokens that both know. */
sc_status sc_distill_teach(void *self, sc_text_batch *b)
{
    distill *x = self;
    int64_t theirs = sc_reference_model(x->teacher)->info.vocab;
    bool whole = theirs == x->taught;
    if (!sc_grow(&x->given, &x->cap_given, b->rows * theirs, sizeof *x->given) ||
        (!whole && !sc_grow(&x->logits, &x->cap_logits, b->rows * x->taught, sizeof *x->logits)))
        return sc_nomem();
    sc_status s = sc_reference_logits(x->teacher, b, x->given);
    if (s) return s;
    for (int64_t r = 0; !whole && r < b->rows; r++)
        memcpy(x->logits + r * x->taught, x->given + r * theirs, (size_t)x->taught * sizeof *x->logits);
    b->more[0] = (sc_more_input){.value = whole ? x->given : x->logits, .n = b->rows * x->taught};
    b->more[1] = (sc_more_input){.value = b->weight, .n = b->rows, .counts = true};
    return SC_OK;
}

static sc_status distill_batch(void *self, int64_t index, sc_text_batch *out)
{
    distill *x = self;
    sc_status s = sc_objective_sft.batch(x->texts, index, out);
    return s ? s : sc_distill_teach(x, out);
}

static sc_status distill_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    distill *x = self;
    sc_status s = sc_objective_sft.eval_batch(x->texts, index, out);
    return s ? s : sc_distill_teach(x, out);
}

static void distill_describe(void *self, int64_t index, sc_str *out)
{
    sc_objective_sft.describe(((distill *)self)->texts, index, out);
}

/* (1 - share) cross entropy + share T^2 divergence: T^2 keeps the size of its gradients when T changes (Hinton et al. 2015). */
static sc_status distill_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const distill *x = self;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, b->rows, NULL, NULL);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_tensor *logits = out->t.logits;
    sc_shape shape = {2, {b->rows, x->taught}}, rows = {1, {b->rows}};
    sc_loss_cross_entropy(out, logits, b->rows, 0);
    out->more[0] = sc_graph_input(g, "teacher", SC_F32, &shape);
    out->more[1] = sc_graph_input(g, "taught", SC_F32, &rows);
    if (x->taught < x->vocab) logits = sc_slice(g, logits, 1, 0, x->taught);
    sc_tensor *losses = sc_divergence(g, logits, out->more[0], out->more[1], &x->how),
              *apart = sc_sum_leading(g, sc_reshape(g, losses, 2, (int64_t[]){-1, 1}), 1), *entropy = out->loss;
    float t = x->how.temperature;
    out->metric[0] = (sc_metric){"divergence", apart};
    out->metric[1] = (sc_metric){"cross_entropy", entropy};
    apart = sc_affine(g, apart, x->share * t * t, 0);
    out->loss = x->share < 1 ? sc_add(g, sc_affine(g, entropy, 1 - x->share, 0), apart) : apart;
    return SC_OK;
}

static sc_status distill_finish(const void *self, const char *dir)
{
    return sc_objective_sft.finish(((const distill *)self)->texts, dir);
}

const sc_objective sc_objective_distill = {.name = "distill",
                                           .summary = "what a teacher makes of the answers of conversations",
                                           .kinds = SC_LEARNS_DECODER,
                                           .measure = "token_accuracy",
                                           .rate = 0.05,
                                           .open = distill_open,
                                           .free = distill_free,
                                           .size = distill_size,
                                           .batch = distill_batch,
                                           .eval_batch = distill_eval_batch,
                                           .describe = distill_describe,
                                           .build = distill_build,
                                           .finish = distill_finish};

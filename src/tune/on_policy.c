/* SPDX-License-Identifier: Apache-2.0 */
/* Distillation from the student's own answers (Agarwal et al. 2023, arXiv:2306.13649): of a share of the batches the answers are
 * sampled from the student as it is then, and the teacher says of each of their tokens what it would have said. */
#include "train/chat.h"
#include "tune/tune.h"

typedef struct on_policy {
    void *distill; /* the objective's own */
    sc_roller *roller;
    sc_maker maker;
    double share;
    uint64_t seed;
    int64_t rows, longest;
    int32_t *eos;
    int64_t n_eos;
    sc_rl_prompt *prompt;
    int64_t cap_prompt;
    float *none; /* zeros: what the student said is no right answer */
    int64_t cap_none;
} on_policy;

static void on_policy_free(void *self)
{
    on_policy *x = self;
    if (!x) return;
    if (x->distill) sc_objective_distill.free(x->distill);
    sc_roller_free(x->roller);
    sc_maker_free(&x->maker);
    sc_free(x->eos);
    sc_free(x->prompt);
    sc_free(x->none);
    sc_free(x);
}

/* The ids that end answers: the model's, and the tokenizer's. */
static sc_status find_ends(on_policy *x, const sc_objective_setup *setup)
{
    int64_t n;
    const int32_t *ends = sc_model_eos(setup->model, &n);
    int32_t own = sc_tokenizer_eos(setup->tokenizer);
    if (!(x->eos = sc_calloc((size_t)n + 1, sizeof *x->eos))) return sc_nomem();
    for (int64_t i = 0; i < n; i++) x->eos[x->n_eos++] = ends[i];
    if (own >= 0) x->eos[x->n_eos++] = own;
    return SC_OK;
}

static sc_status make_roller(on_policy *x, const sc_objective_setup *setup)
{
    sc_distill_options *o = &setup->o->distill;
    if (!o->max_tokens) o->max_tokens = 128;
    if (o->answer_temperature == 0) o->answer_temperature = 1;
    if (!(o->on_policy <= 1)) return sc_fail(SC_EINVAL, "--on-policy is %g, which is no share", o->on_policy);
    if (o->max_tokens < 1 || o->max_tokens >= setup->o->length)
        return sc_fail(SC_EINVAL, "answers of %lld tokens leave no room for questions in --length %lld",
                       (long long)o->max_tokens, (long long)setup->o->length);
    x->longest = setup->o->length - o->max_tokens;
    sc_roller_options how = {.longest = x->longest,
                             .max_tokens = o->max_tokens,
                             .temperature = o->answer_temperature,
                             .seed = setup->o->seed,
                             .eos = x->eos,
                             .n_eos = x->n_eos};
    return sc_roller_new(&x->roller, setup->ctx, setup->model, &how);
}

static sc_status on_policy_open(void **self, const sc_objective_setup *setup)
{
    on_policy *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->share = setup->o->distill.on_policy;
    x->seed = setup->o->seed;
    x->rows = setup->o->batch;
    sc_status s = SC_OK;
    if (sc_train_ranks() > 1 && x->share > 0)
        s = sc_fail(SC_EUNSUPPORTED, "answers are made by one process: without mpirun");
    setup->o->distill.on_policy = 0; /* which it refuses: it has the data's answers alone */
    if (!s) s = sc_objective_distill.open(&x->distill, setup);
    setup->o->distill.on_policy = x->share;
    if (!s && x->share > 0) s = find_ends(x, setup);
    if (!s && x->share > 0) s = make_roller(x, setup);
    if (s)
        on_policy_free(x);
    else
        *self = x;
    return s;
}

static void on_policy_size(const void *self, sc_objective_size *out)
{
    sc_objective_distill.size(((const on_policy *)self)->distill, out);
}

/* What is before the last answer of each sequence of a batch that has one; n of them. Rows rise, and those of an answer follow each
 * other. */
static sc_status find_prompts(on_policy *x, const sc_text_batch *b, int64_t *n)
{
    int64_t row = 0;
    *n = 0;
    for (int64_t q = 0; q < b->sequences; q++) {
        int64_t from = b->start[q], end = b->start[q + 1], last = -1;
        for (; row < b->rows && b->labels[row] >= 0 && b->wanted[row] < end; row++)
            if (last < 0 || b->wanted[row] != b->wanted[row - 1] + 1) last = b->wanted[row];
        if (last < 0) continue;
        int64_t to = last + 1;
        from = SC_MAX(from, to - x->longest); /* a long one loses its beginning */
        if (!sc_grow(&x->prompt, &x->cap_prompt, *n + 1, sizeof *x->prompt)) return sc_nomem();
        x->prompt[(*n)++] = (sc_rl_prompt){.ids = (int32_t *)(uintptr_t)(b->ids + from), .n = to - from};
    }
    return SC_OK;
}

/* The answers behind their prompts as a batch. */
static sc_status put_answers(on_policy *x, int64_t n, const sc_rollouts *r, sc_text_batch *out)
{
    sc_maker *m = &x->maker;
    sc_maker_begin(m);
    for (int64_t i = 0; i < n; i++) {
        const sc_rl_prompt *p = &x->prompt[i];
        const int32_t *answer = r->ids + r->start[i];
        int64_t k = r->start[i + 1] - r->start[i], at = m->text.tokens + p->n - 1;
        sc_maker_text(m, &m->text, p->ids, NULL, p->n, false);
        sc_maker_text(m, &m->text, answer, NULL, k, true);
        for (int64_t j = 0; j < k; j++) sc_maker_row(m, at + j, answer[j], 0);
        m->examples++;
    }
    sc_status s = sc_maker_finish(m, SC_ROWS_WANTED, out);
    if (!s && !sc_grow(&x->none, &x->cap_none, out->rows, sizeof *x->none)) s = sc_nomem();
    if (s) return s;
    memset(x->none, 0, (size_t)out->rows * sizeof *x->none);
    s = sc_distill_teach(x->distill, out);
    out->weight = x->none;
    out->target = NULL;
    return s;
}

static sc_status on_policy_batch(void *self, int64_t index, sc_text_batch *out)
{
    on_policy *x = self;
    sc_rollouts answers = {0};
    int64_t n;
    sc_rng r = sc_rng_make(x->seed, sc_hash("on-policy", 9) + (uint64_t)index);
    if (!(sc_rng_uniform(&r) < x->share)) return sc_objective_distill.batch(x->distill, index, out);
    sc_text_batch b;
    sc_status s = sc_objective_sft.batch(sc_distill_data(x->distill), index, &b);
    if (!s) s = find_prompts(x, &b, &n);
    const sc_rl_prompt **list = s ? NULL : sc_calloc((size_t)n + 1, sizeof *list);
    if (!s && !list) s = sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) list[i] = &x->prompt[i];
    /* Each answer of the run has a number of its own. */
    if (!s) s = sc_roller_run(x->roller, list, n, 1, (uint64_t)(index << 20), false, &answers);
    if (!s) s = put_answers(x, n, &answers, out);
    sc_rollouts_free(&answers);
    sc_free(list);
    return s;
}

static sc_status on_policy_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return sc_objective_distill.eval_batch(((on_policy *)self)->distill, index, out);
}

static void on_policy_describe(void *self, int64_t index, sc_str *out)
{
    sc_objective_distill.describe(((on_policy *)self)->distill, index, out);
}

static sc_status on_policy_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    return sc_objective_distill.build(((const on_policy *)self)->distill, out, m, b);
}

static sc_status on_policy_finish(const void *self, const char *dir)
{
    return sc_objective_distill.finish(((const on_policy *)self)->distill, dir);
}

sc_status sc_tune_distill(sc_context *ctx, const sc_train_options *o, sc_train_report *report, void *user)
{
    sc_objective objective = sc_objective_distill;
    objective.open = on_policy_open;
    objective.free = on_policy_free;
    objective.size = on_policy_size;
    objective.batch = on_policy_batch;
    objective.eval_batch = on_policy_eval_batch;
    objective.describe = on_policy_describe;
    objective.build = on_policy_build;
    objective.finish = on_policy_finish;
    return sc_train_objective(ctx, o, &objective, report, user);
}

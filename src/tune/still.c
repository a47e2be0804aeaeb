/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/policy.h"

sc_status sc_still_open(sc_still *x, sc_context *ctx, const sc_train_options *o)
{
    *x = (sc_still){.o = *o};
    sc_policy *p = &x->p;
    sc_rl_options *rl = &x->o.rl;
    if (!rl->max_tokens) rl->max_tokens = 64;
    if (!(rl->temperature > 0)) rl->temperature = 1;
    if (!x->o.tokenizer) x->o.tokenizer = o->model;
    sc_status s = sc_model_open(&x->model, ctx, o->model, NULL);
    if (!s) s = sc_tokenizer_load(&x->tokenizer, x->o.tokenizer);
    if (s) return s;
    int64_t context = x->model->info.context, most = context ? context - rl->max_tokens : 1 << 20;
    p->ctx = ctx;
    p->options = &x->o;
    p->model = x->model;
    p->tokenizer = x->tokenizer;
    p->o = *rl;
    p->phase.number = -1;
    const sc_objective_setup setup = {.ctx = ctx, .o = &x->o, .tokenizer = x->tokenizer, .model = x->model};
    if (most < 1)
        s = sc_fail(SC_EINVAL, "answers of %lld tokens leave no room for prompts", (long long)rl->max_tokens);
    if (!s) s = sc_policy_find_ends(p);
    if (!s) s = sc_rl_prompts_add(&p->data[1], &setup, o->data, o->n_data, most);
    if (!s) s = sc_rewards_open(&p->rewards, ctx, rl);
    if (!s && !(p->said = sc_calloc((size_t)p->rewards.n, sizeof *p->said))) s = sc_nomem();
    const sc_roller_options roller = {.longest = p->data[1].longest,
                                      .max_tokens = rl->max_tokens,
                                      .temperature = rl->temperature,
                                      .seed = o->seed,
                                      .eos = p->eos,
                                      .n_eos = p->n_eos};
    return s ? s : sc_roller_new(&p->roller, ctx, x->model, &roller);
}

void sc_still_close(sc_still *x)
{
    sc_policy *p = &x->p;
    sc_roller_free(p->roller);
    sc_rewards_close(&p->rewards);
    sc_rl_prompts_free(&p->data[1]);
    sc_free(p->said);
    sc_free(p->eos);
    sc_tokenizer_free(x->tokenizer);
    sc_model_free(x->model);
    *x = (sc_still){0};
}

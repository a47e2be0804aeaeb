/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/policy.h"

#include <math.h>
#include <stdio.h>

enum { MOST_EVAL = 512 };

void sc_phase_free(sc_phase *x)
{
    float *const list[] = {x->score, x->old, x->reference, x->value, x->advantage, x->returns, x->reward};
    for (int i = 0; i < SC_COUNT(list); i++) sc_free(list[i]);
    sc_rollouts_free(&x->answers);
    *x = (sc_phase){.number = -1};
}

sc_status sc_phase_room(sc_phase *x, int64_t rows)
{
    float **const list[] = {&x->score, &x->old, &x->reference, &x->value, &x->advantage, &x->returns, &x->reward};
    if (rows <= x->cap && x->score) return SC_OK;
    for (int i = 0; i < SC_COUNT(list); i++) {
        sc_free(*list[i]);
        *list[i] = sc_calloc((size_t)SC_MAX(rows, 1), sizeof **list[i]);
    }
    x->cap = rows;
    for (int i = 0; i < SC_COUNT(list); i++)
        if (!*list[i]) return sc_nomem();
    return SC_OK;
}

const sc_rl_prompt *sc_policy_prompt(sc_policy *p, int64_t number, int64_t i)
{
    return &p->data[0].item[sc_order_at(&p->order, number * (p->n / p->o.group) + i / p->o.group)];
}

void sc_policy_put(sc_policy *p, const sc_rl_prompt *prompt, const int32_t *ids, int64_t n)
{
    sc_maker *m = &p->maker;
    int64_t first = m->text.tokens + prompt->n - 1;
    sc_maker_text(m, &m->text, prompt->ids, NULL, prompt->n, false);
    if (n > 1) sc_maker_text(m, &m->text, ids, NULL, n - 1, true);
    for (int64_t t = 0; t < n; t++) sc_maker_row(m, first + t, ids[t], 0);
}

/* ---- rewards ---- */

/* Texts of answers; owned, as the list. */
sc_status sc_policy_tell(const sc_policy *p, const sc_rollouts *r, const sc_rl_prompt *const *prompt, int64_t group,
                         sc_answer **out)
{
    sc_answer *a = sc_calloc((size_t)SC_MAX(r->n, 1), sizeof *a);
    sc_status s = a ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < r->n; i++) {
        char *text = NULL;
        a[i] = (sc_answer){.prompt = prompt[i / group],
                           .ids = r->ids + r->start[i],
                           .n = r->start[i + 1] - r->start[i],
                           .ended = r->ended[i]};
        s = sc_tokenizer_decode(p->tokenizer, a[i].ids, a[i].n,
                                SC_DETOKENIZE_SKIP_SPECIAL | SC_DETOKENIZE_REPLACE_INVALID, &text, &a[i].len);
        for (int64_t k = 0; text && k < a[i].len; k++)
            if (!text[k]) text[k] = ' '; /* texts end at a NUL */
        a[i].text = text;
    }
    *out = a;
    return s;
}

void sc_answers_free(sc_answer *a, int64_t n)
{
    for (int64_t i = 0; a && i < n; i++) sc_free((char *)(uintptr_t)a[i].text);
    sc_free(a);
}

sc_status sc_policy_judge(sc_policy *p, const sc_answer *a, int64_t n, float *score, double *said, double *failed)
{
    int judges = p->rewards.n;
    float *each = sc_calloc((size_t)(n * judges + 1), sizeof *each);
    int64_t *failures = sc_calloc((size_t)judges, sizeof *failures);
    sc_status s = each && failures ? sc_rewards_give(&p->rewards, a, n, score, each, failures) : sc_nomem();
    *failed = 0;
    for (int k = 0; !s && k < judges; k++) {
        said[k] = 0;
        for (int64_t i = 0; i < n; i++) said[k] += each[k * n + i] / (double)n;
        *failed += (double)failures[k] / (double)n;
    }
    for (int64_t i = 0; !s && i < n; i++)
        if (!a[i].ended) score[i] -= (float)p->o.no_end;
    sc_free(each);
    sc_free(failures);
    return s;
}

static sc_status keep_shown(sc_policy *p, const sc_answer *a, const float *score)
{
    for (int i = 0; i < SC_COUNT(p->shown) && i < p->n; i++) {
        int64_t at = i * p->o.group % p->n; /* of different prompts */
        sc_str text = {0};
        sc_str_append(&text, a[at].text, a[at].len);
        sc_str_printf(&text, "\n[reward %.3g]", score[at]);
        sc_free(p->shown[i][0]);
        sc_free(p->shown[i][1]);
        p->shown[i][0] = sc_strdup(a[at].prompt->text);
        p->shown[i][1] = sc_str_take(&text, NULL);
        if (!p->shown[i][0] || !p->shown[i][1]) return sc_nomem();
    }
    return SC_OK;
}

/* ---- what the models say ---- */

static sc_status look(sc_policy *p, int64_t number)
{
    sc_phase *x = &p->phase;
    const sc_rollouts *r = &x->answers;
    sc_text_batch b;
    sc_maker_begin(&p->maker);
    for (int64_t i = 0; i < r->n; i++)
        sc_policy_put(p, sc_policy_prompt(p, number, i), r->ids + r->start[i], r->start[i + 1] - r->start[i]);
    sc_status s = sc_maker_finish(&p->maker, SC_ROWS_WANTED, &b);
    b.rows = r->start[r->n]; /* without what fills up */
    bool values = p->loss.kind == SC_POLICY_PPO;
    if (!s) s = sc_reference_policy(p->now, &b, p->o.temperature, x->old, values ? x->value : NULL);
    if (!s && p->reference) s = sc_reference_policy(p->reference, &b, p->o.temperature, x->reference, NULL);
    for (int64_t i = 0; !s && i < b.rows; i++)
        if (!isfinite(x->old[i]) || (p->reference && !isfinite(x->reference[i])))
            s = sc_fail(SC_EINVAL, "the model gives an answer the log-probability %g", x->old[i]);
    return s;
}

static void advantages_ppo(sc_policy *p)
{
    sc_phase *x = &p->phase;
    const sc_rollouts *r = &x->answers;
    int64_t rows = r->start[r->n];
    sc_kl_rewards(p->coef, r->n, r->start, x->old, p->reference ? x->reference : NULL, x->score, x->reward);
    if (p->o.whiten_rewards) sc_whiten(x->reward, rows, false);
    sc_gae_advantages(&(sc_gae){SC_MAX(p->o.gamma, 0), SC_MAX(p->o.lambda, 0)}, r->n, r->start, x->reward, x->value,
                      x->advantage, x->returns);
    if (!p->o.keep_advantages) sc_whiten(x->advantage, rows, true);
}

static sc_status advantages_grpo(sc_policy *p)
{
    sc_phase *x = &p->phase;
    const sc_rollouts *r = &x->answers;
    float *each = sc_malloc(sizeof *each * (size_t)r->n);
    if (!each) return sc_nomem();
    int64_t flat = sc_group_advantages(x->score, r->n, p->o.group, p->scale, p->o.leave_out, each);
    x->m.flat = (double)flat * (double)p->o.group / (double)r->n;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t t = r->start[i]; t < r->start[i + 1]; t++) x->advantage[t] = each[i];
    sc_free(each);
    return SC_OK;
}

static void measure(sc_policy *p, double failed)
{
    sc_phase *x = &p->phase;
    const sc_rollouts *r = &x->answers;
    double n = (double)r->n, sum = 0, squares = 0;
    int64_t rows = r->start[r->n];
    x->m.tokens = (double)rows / n;
    x->m.failed = failed;
    x->m.coef = p->coef;
    x->m.ended = x->m.kl = 0;
    for (int64_t i = 0; i < r->n; i++) {
        sum += x->score[i];
        x->m.ended += r->ended[i] / n;
    }
    x->m.reward = sum / n;
    for (int64_t i = 0; i < r->n; i++) squares += (x->score[i] - x->m.reward) * (x->score[i] - x->m.reward);
    x->m.deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
    for (int64_t i = 0; p->reference && i < rows; i++) x->m.kl += ((double)x->old[i] - x->reference[i]) / n;
}

sc_status sc_policy_make_phase(sc_policy *p, int64_t number)
{
    sc_phase *x = &p->phase;
    int64_t prompts = p->n / p->o.group;
    const sc_rl_prompt **prompt = sc_calloc((size_t)prompts, sizeof *prompt);
    sc_answer *a = NULL;
    double failed = 0;
    if (!prompt) return sc_nomem();
    x->number = -1;
    for (int64_t i = 0; i < prompts; i++) prompt[i] = sc_policy_prompt(p, number, i * p->o.group);
    sc_status s =
        sc_roller_run(p->roller, prompt, prompts, p->o.group, (uint64_t)(number * p->n), false, &x->answers);
    if (!s) s = sc_phase_room(x, SC_MAX(x->answers.start[x->answers.n], p->n));
    if (!s) s = sc_policy_tell(p, &x->answers, prompt, p->o.group, &a);
    if (!s) s = sc_policy_judge(p, a, p->n, x->score, p->said, &failed);
    if (!s) s = keep_shown(p, a, x->score);
    if (!s) s = look(p, number);
    if (!s && p->loss.kind == SC_POLICY_PPO) advantages_ppo(p);
    if (!s && p->loss.kind == SC_POLICY_GRPO) s = advantages_grpo(p);
    if (!s) {
        measure(p, failed);
        if (p->o.kl_target > 0 && p->reference)
            p->coef = sc_kl_adapt(p->coef, x->m.kl, p->o.kl_target, (double)p->n, p->o.kl_horizon);
        x->number = number;
    }
    sc_answers_free(a, x->answers.n);
    sc_free(prompt);
    return s;
}

sc_status sc_policy_measure(sc_policy *p, bool greedy, double *reward, double *tokens)
{
    int64_t n = SC_MIN(p->data[1].n, MOST_EVAL);
    const sc_rl_prompt **prompt = sc_calloc((size_t)n, sizeof *prompt);
    float *score = sc_calloc((size_t)n, sizeof *score);
    double *said = sc_calloc((size_t)p->rewards.n, sizeof *said), failed;
    sc_rollouts r = {0};
    sc_answer *a = NULL;
    sc_status s = prompt && score && said ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) prompt[i] = &p->data[1].item[i];
    if (!s) s = sc_roller_run(p->roller, prompt, n, 1, 0, greedy, &r);
    if (!s) s = sc_policy_tell(p, &r, prompt, 1, &a);
    if (!s) s = sc_policy_judge(p, a, n, score, said, &failed);
    *reward = 0;
    for (int64_t i = 0; !s && i < n; i++) *reward += score[i] / (double)n;
    if (!s) *tokens = (double)r.start[n] / (double)n;
    sc_answers_free(a, r.n);
    sc_rollouts_free(&r);
    sc_free(prompt);
    sc_free(score);
    sc_free(said);
    return s;
}

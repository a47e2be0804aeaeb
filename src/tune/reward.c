/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/rewards.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const sc_judge_kind *const kinds[] = {&sc_judge_number, &sc_judge_exact,  &sc_judge_regex, &sc_judge_schema,
                                             &sc_judge_tests,  &sc_judge_length, &sc_judge_model, &sc_judge_cmd};

const sc_judge_kind *sc_judge_kind_at(int i) { return i >= 0 && i < SC_COUNT(kinds) ? kinds[i] : NULL; }

/* "0.5*regex=PATTERN" */
static sc_status open_judge(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *spec)
{
    char *end;
    const char *name = spec;
    *j = (sc_judge){.factor = 1, .ctx = ctx};
    double factor = strtod(spec, &end);
    if (end != spec && *end == '*') {
        name = end + 1;
        j->factor = factor;
    }
    size_t n = strcspn(name, "=");
    for (int i = 0; !j->kind && i < SC_COUNT(kinds); i++)
        if (strlen(kinds[i]->name) == n && memcmp(kinds[i]->name, name, n) == 0) j->kind = kinds[i];
    const sc_judge_kind *k = j->kind;
    const char *argument = name[n] ? name + n + 1 : NULL;
    if (!k || !isfinite(j->factor)) return sc_fail(SC_EINVAL, "no reward is called '%s'", spec);
    if (k->argument != (argument && *argument)) {
        j->kind = NULL;
        return sc_fail(SC_EINVAL,
                       k->argument ? "the reward '%s' needs something behind '='"
                                   : "the reward '%s' takes nothing behind its name",
                       k->name);
    }
    snprintf(j->name, sizeof j->name, "%s", k->name);
    sc_status s = k->open ? k->open(j, ctx, o, argument) : SC_OK;
    if (s) j->kind = NULL; /* an open that fails leaves nothing */
    return s;
}

sc_status sc_rewards_open(sc_rewards *r, sc_context *ctx, const sc_rl_options *o)
{
    sc_status s = SC_OK;
    *r = (sc_rewards){.failed = o->reward_failed};
    if (o->n_rewards < 1) return sc_fail(SC_EINVAL, "nothing says how good an answer is: --reward");
    if (!(r->judge = sc_calloc((size_t)o->n_rewards, sizeof *r->judge))) return sc_nomem();
    for (int i = 0; !s && i < o->n_rewards; i++, r->n++) {
        sc_judge *j = &r->judge[i];
        s = open_judge(j, ctx, o, o->rewards[i]);
        int same = 0;
        for (int k = 0; !s && k < i; k++) same += r->judge[k].kind == j->kind;
        if (same) snprintf(j->name, sizeof j->name, "%s_%d", j->kind->name, same + 1);
    }
    if (s) sc_rewards_close(r);
    return s;
}

void sc_rewards_close(sc_rewards *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->judge[i].kind && r->judge[i].kind->free) r->judge[i].kind->free(&r->judge[i]);
    sc_free(r->judge);
    *r = (sc_rewards){0};
}

/* What one judge says, into the total. */
static sc_status take(const sc_rewards *r, const sc_judge *j, int64_t n, const float *score, const bool *failed,
                      float *total, int64_t *failures)
{
    *failures = 0;
    for (int64_t i = 0; i < n; i++) {
        *failures += failed[i];
        if (!failed[i] && !isfinite(score[i]))
            return sc_fail(SC_EINVAL, "the reward '%s' of an answer is %g: nothing was learned from it", j->name,
                           score[i]);
        total[i] += (float)(j->factor * (failed[i] ? r->failed : score[i]));
    }
    return SC_OK;
}

sc_status sc_rewards_give(sc_rewards *r, const sc_answer *a, int64_t n, float *total, float *each,
                          int64_t *failures)
{
    sc_status s = SC_OK;
    bool *failed = sc_calloc((size_t)SC_MAX(n, 1), sizeof *failed);
    if (!failed) return sc_nomem();
    memset(total, 0, sizeof *total * (size_t)n);
    for (int i = 0; !s && i < r->n; i++) {
        sc_judge *j = &r->judge[i];
        float *score = each + i * n;
        memset(failed, 0, sizeof *failed * (size_t)n);
        memset(score, 0, sizeof *score * (size_t)n);
        s = j->kind->judge(j, a, n, score, failed);
        if (!s) s = take(r, j, n, score, failed, total, &failures[i]);
        for (int64_t k = 0; !s && k < n; k++)
            if (failed[k]) score[k] = (float)r->failed;
        if (!s && n && failures[i] == n)
            s = sc_fail(SC_EIO, "the reward '%s' could be given for none of %lld answers; the last one: %s",
                        j->name, (long long)n, sc_error());
    }
    sc_free(failed);
    return s;
}

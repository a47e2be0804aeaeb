/* SPDX-License-Identifier: Apache-2.0 */
/* Advantages and losses of PPO and GRPO with their gradients, as PyTorch has them where the fixtures are, and as their
 * definitions say. */
#include "models.h"
#include "one_context.h"
#include "tune/tune.h"

enum { MOST = 64 };

static sc_safetensors *fixture;

static int open_fixture(void **state)
{
    char root[1024], path[1100];
    if (find_fixtures(root)) {
        snprintf(path, sizeof path, "%s/losses/losses.safetensors", root);
        if (sc_safetensors_open(&fixture, path)) return -1;
    }
    return two_threads(state);
}

static int close_fixture(void **state)
{
    sc_safetensors_free(fixture);
    return no_context(state);
}

static const sc_file_tensor *named(const char *name)
{
    const sc_file_tensor *t;
    if (sc_safetensors_find(fixture, name, &t)) fail_msg("%s", sc_error());
    return t;
}

static void near(const char *what, const float *got, const float *want, int64_t n, double tolerance)
{
    double scale = 0;
    for (int64_t i = 0; i < n; i++) scale = fmax(scale, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance * fmax(scale, 1e-3)))
            fail_msg("%s: %lld is %.8g, not %.8g", what, (long long)i, got[i], want[i]);
}

/* The real tokens of a padded (N, T), end to end, and back. */
typedef struct ragged {
    int64_t n, t, rows, start[16];
    int at[MOST];
} ragged;

static ragged ragged_of(const char *mask)
{
    const sc_file_tensor *m = named(mask);
    const float *real = m->data;
    ragged r = {.n = m->dim[0], .t = m->dim[1]};
    for (int64_t i = 0; i < r.n; i++) {
        r.start[i] = r.rows;
        for (int64_t k = 0; k < r.t; k++)
            if (real[i * r.t + k] > 0) r.at[r.rows++] = (int)(i * r.t + k);
    }
    r.start[r.n] = r.rows;
    return r;
}

static void take(const ragged *r, const char *name, float out[MOST])
{
    const float *from = named(name)->data;
    for (int64_t i = 0; i < r->rows; i++) out[i] = from[r->at[i]];
}

static void advantages_as_pytorch(void **state)
{
    (void)state;
    if (!fixture) skip();
    float old[MOST], ref[MOST], value[MOST], reward[MOST], want[MOST], advantage[MOST], returns[MOST];
    ragged r = ragged_of("ppo.mask");
    take(&r, "ppo.old_logprobs", old);
    take(&r, "ppo.ref_logprobs", ref);
    take(&r, "ppo.old_values", value);
    sc_kl_rewards(0.05, r.n, r.start, old, ref, named("ppo.scores")->data, reward);
    take(&r, "ppo.rewards", want);
    near("rewards", reward, want, r.rows, 1e-5);
    sc_gae_advantages(&(sc_gae){1, 0.95}, r.n, r.start, reward, value, advantage, returns);
    take(&r, "ppo.advantages", want);
    near("advantages", advantage, want, r.rows, 1e-5);
    take(&r, "ppo.returns", want);
    near("returns", returns, want, r.rows, 1e-5);
    sc_whiten(advantage, r.rows, true);
    take(&r, "ppo.whitened_advantages", want);
    near("whitened", advantage, want, r.rows, 1e-5);

    const sc_file_tensor *scores = named("grpo.rewards");
    assert_int_equal(sc_group_advantages(scores->data, 8, 4, SC_SCALE_GROUP, false, advantage), 0);
    near("of groups", advantage, named("grpo.advantages")->data, 8, 1e-5);
    sc_group_advantages(scores->data, 8, 4, SC_SCALE_NONE, false, advantage);
    near("unscaled", advantage, named("grpo.advantages_unscaled")->data, 8, 1e-5);
}

/* ---- losses ---- */

typedef struct loss {
    sc_policy_loss how;
    bool values, reference;
    const char *prefix; /* of the fixture's tensors */
} loss;

typedef struct inputs {
    float logp[MOST], old[MOST], ref[MOST], advantage[MOST], weight[MOST], mean[MOST], value[MOST], old_value[MOST],
        returns[MOST], select[16 * MOST], spread[16 * MOST];
} inputs;

static void put(const sc_plan *p, const sc_tensor *t, const float *from, int64_t n)
{
    float *to = t ? sc_plan_data(p, t) : NULL;
    if (to) memcpy(to, from, sizeof *to * (size_t)n);
}

/* The loss, and its gradients with respect to logp and value. */
static double run_loss(const loss *l, const ragged *r, const inputs *x, float *d_logp, float *d_value)
{
    sc_backend *backend;
    sc_graph *g;
    sc_plan *p;
    sc_metric metric[SC_POLICY_METRICS];
    sc_shape rows = {1, {r->rows}}, wide = {2, {r->n, r->rows}}, tall = {2, {r->rows, r->n}};
    assert_int_equal(sc_backend_new(&backend, ctx), SC_OK);
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
#define IN(name, shape) sc_graph_input(g, #name, SC_F32, shape)
    sc_policy_inputs in = {.logp = IN(logp, &rows),
                           .old = IN(old, &rows),
                           .advantage = IN(advantage, &rows),
                           .weight = IN(weight, &rows),
                           .mean = IN(mean, &rows)};
    if (l->reference) in.ref = IN(ref, &rows);
    if (l->values)
        in.value = IN(value, &rows), in.old_value = IN(old_value, &rows), in.returns = IN(returns, &rows);
    if (l->how.by_sequence) in.select = IN(select, &wide), in.spread = IN(spread, &tall);
#undef IN
    sc_tensor *out[8] = {sc_policy_loss_build(g, &l->how, &in, metric)}, *wrt[] = {in.logp, in.value},
              *grad[2] = {0};
    sc_grad(g, out[0], wrt, l->values ? 2 : 1, grad);
    int n = 1;
    for (int i = 0; i < 2; i++)
        if (grad[i]) out[n++] = grad[i];
    for (int i = 0; i < SC_POLICY_METRICS && metric[i].value && n < 8; i++) out[n++] = metric[i].value;
    if (g->status) fail_msg("%s", g->fault);
    if (sc_plan_new(&p, g, backend, out, n)) fail_msg("%s", sc_error());
    put(p, in.logp, x->logp, r->rows);
    put(p, in.old, x->old, r->rows);
    put(p, in.ref, x->ref, r->rows);
    put(p, in.advantage, x->advantage, r->rows);
    put(p, in.weight, x->weight, r->rows);
    put(p, in.mean, x->mean, r->rows);
    put(p, in.value, x->value, r->rows);
    put(p, in.old_value, x->old_value, r->rows);
    put(p, in.returns, x->returns, r->rows);
    put(p, in.select, x->select, r->n * r->rows);
    put(p, in.spread, x->spread, r->n * r->rows);
    if (sc_plan_run(p)) fail_msg("%s", sc_error());
    double value = *(const float *)sc_plan_data(p, out[0]);
    if (grad[0]) memcpy(d_logp, sc_plan_data(p, grad[0]), sizeof *d_logp * (size_t)r->rows);
    if (grad[1]) memcpy(d_value, sc_plan_data(p, grad[1]), sizeof *d_value * (size_t)r->rows);
    sc_plan_free(p);
    sc_graph_free(g);
    backend->free(backend);
    return value;
}

static double scalar(const char *name)
{
    char root[1024], path[1100];
    json_t *all;
    find_fixtures(root);
    snprintf(path, sizeof path, "%s/losses/losses.json", root);
    assert_int_equal(sc_json_read(&all, path, 1 << 20), SC_OK);
    double x = json_number_value(json_object_get(json_object_get(all, "values"), name));
    json_decref(all);
    return x;
}

static void compare(const char *name, const loss *l, const ragged *r, const inputs *x, const char *gradient,
                    bool of_value)
{
    float d_logp[MOST], d_value[MOST], want[MOST];
    double got = run_loss(l, r, x, d_logp, d_value), value = scalar(name);
    if (!(fabs(got - value) <= 1e-5 * fmax(1e-2, fabs(value)))) fail_msg("%s is %.9g, not %.9g", name, got, value);
    take(r, gradient, want);
    near(gradient, of_value ? d_value : d_logp, want, r->rows, 1e-5);
}

static void ppo_as_pytorch(void **state)
{
    (void)state;
    if (!fixture) skip();
    static inputs x;
    ragged r = ragged_of("ppo.mask");
    take(&r, "ppo.logprobs", x.logp);
    take(&r, "ppo.old_logprobs", x.old);
    take(&r, "ppo.whitened_advantages", x.advantage);
    take(&r, "ppo.values", x.value);
    take(&r, "ppo.old_values", x.old_value);
    take(&r, "ppo.returns", x.returns);
    for (int64_t i = 0; i < r.rows; i++) x.weight[i] = x.mean[i] = 1 / (float)r.rows;
    loss l = {
        .how = {.kind = SC_POLICY_PPO, .clip_low = 0.2, .clip_high = 0.2, .value_clip = 0.2, .value_coef = 1}};
    compare("ppo.policy_loss", &l, &r, &x, "grad.ppo.policy_loss.ppo.logprobs", false);
    /* With the value's loss the sum of both. */
    float d_logp[MOST], d_value[MOST], want[MOST];
    l.values = true;
    double both = run_loss(&l, &r, &x, d_logp, d_value),
           expected = scalar("ppo.policy_loss") + scalar("ppo.value_loss");
    assert_true(fabs(both - expected) <= 1e-5 * fabs(expected));
    take(&r, "grad.ppo.value_loss.ppo.values", want);
    near("value's gradient", d_value, want, r.rows, 1e-5);
}

static void grpo_as_pytorch(void **state)
{
    (void)state;
    if (!fixture) skip();
    static inputs x;
    ragged r = ragged_of("grpo.mask");
    const float *advantage = named("grpo.advantages")->data;
    take(&r, "grpo.logprobs", x.logp);
    take(&r, "grpo.old_logprobs", x.old);
    take(&r, "grpo.ref_logprobs", x.ref);
    for (int64_t i = 0; i < r.n; i++)
        for (int64_t k = r.start[i]; k < r.start[i + 1]; k++) {
            int64_t len = r.start[i + 1] - r.start[i];
            x.advantage[k] = advantage[i];
            x.mean[k] = 1 / (float)r.rows;
            x.weight[k] = 1 / (float)(r.n * len);
            x.select[i * r.rows + k] = 1 / (float)len;
            x.spread[k * r.n + i] = 1;
        }
    loss l = {.how = {.kind = SC_POLICY_GRPO, .clip_low = 0.2, .clip_high = 0.28, .kl_coef = 0.04},
              .reference = true};
    compare("grpo.loss_grpo", &l, &r, &x, "grad.grpo.loss_grpo.grpo.logprobs", false);
    l.how.kl_coef = 0;
    l.reference = false;
    compare("grpo.loss_grpo_no_kl", &l, &r, &x, "grad.grpo.loss_grpo_no_kl.grpo.logprobs", false);
    l.how.by_sequence = true;
    compare("grpo.loss_gspo", &l, &r, &x, "grad.grpo.loss_gspo.grpo.logprobs", false);
    l.how.by_sequence = false;
    l.how.kl_coef = 0.04;
    l.reference = true;
    for (int64_t i = 0; i < r.rows; i++) x.weight[i] = 1 / (float)r.rows;
    compare("grpo.loss_bnpo", &l, &r, &x, "grad.grpo.loss_bnpo.grpo.logprobs", false);
    for (int64_t i = 0; i < r.rows; i++) x.weight[i] = 1 / (float)(r.n * r.t);
    compare("grpo.loss_dr_grpo", &l, &r, &x, "grad.grpo.loss_dr_grpo.grpo.logprobs", false);
}

/* What needs no fixture. */
static void advantages_by_definition(void **state)
{
    (void)state;
    int64_t start[] = {0, 3, 4, 4};
    float reward[] = {1, 0, 2, -1}, value[] = {0.5f, 0.25f, 1, 3}, a[8], ret[8];
    sc_gae_advantages(&(sc_gae){0.5, 0}, 3, start, reward, value, a, ret); /* one step ahead */
    const float one[] = {1 + 0.5f * 0.25f - 0.5f, 0.5f * 1 - 0.25f, 2 - 1, -1 - 3};
    near("lambda 0", a, one, 4, 1e-6);
    sc_gae_advantages(&(sc_gae){0.5, 1}, 3, start, reward, value, a, ret); /* all that comes */
    const float all[] = {1 + 0.25f * 2, 0.5f * 2, 2, -1};
    near("lambda 1", ret, all, 4, 1e-6);
    sc_kl_rewards(0.1, 3, start, value, NULL, (float[]){7, 8, 9}, a); /* the third has no token */
    near("scores alone", a, (float[]){0, 0, 7, 8}, 4, 0);
    /* Of equal scores nothing is learned; RLOO's baseline is the mean of the others. */
    const float score[] = {2, 2, 2, 1, 2, 6};
    assert_int_equal(sc_group_advantages(score, 6, 3, SC_SCALE_NONE, true, a), 1);
    near("leave one out", a, (float[]){0, 0, 0, 1 - 4, 2 - 3.5f, 6 - 1.5f}, 6, 1e-6);
    sc_group_advantages(score, 6, 3, SC_SCALE_BATCH, false, a);
    assert_true(fabs(a[5] - 3 / (1.7606816861659 + 1e-4)) < 1e-5);
    assert_true(sc_kl_adapt(0.1, 12, 6, 100, 10000) == 0.1 * (1 + 0.2 * 0.01));
    assert_true(sc_kl_adapt(0.1, 5.7, 6, 100, 10000) < 0.1);
    float w[] = {1, 2, 3, 10};
    sc_whiten(w, 4, false);
    assert_true(fabs((w[0] + w[1] + w[2] + w[3]) / 4 - 4) < 1e-5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advantages_as_pytorch),
        cmocka_unit_test(ppo_as_pytorch),
        cmocka_unit_test(grpo_as_pytorch),
        cmocka_unit_test(advantages_by_definition),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}

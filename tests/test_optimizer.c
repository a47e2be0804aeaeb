/* SPDX-License-Identifier: Apache-2.0 */
/* Optimisers and schedules along the trajectories of PyTorch's and transformers': tests/data/optim.safetensors, and the
 * losses of the fixtures where those are. On 1 and 3 threads to the same bits. */
#include "models.h"
#include "train/train.h"

static sc_context *ctx[2];

/* `kind` from `initial` along the gradients of `prefix`.grads, compared with `want` (steps, …) after each step. */
static void follow(const sc_safetensors *st, const char *initial, const char *grads, const char *want,
                   const sc_optimizer_options *o, double tolerance, int64_t steps)
{
    const sc_file_tensor *p = get(st, initial), *g = get(st, grads), *w = get(st, want);
    if (!p || !g || !w) fail_msg("%s, %s or %s is missing", initial, grads, want);
    int64_t n = p->bytes / 4;
    float *value[2], *grad = malloc((size_t)p->bytes);
    for (int c = 0; c < 2; c++) {
        sc_optimizer *optimizer;
        value[c] = malloc((size_t)p->bytes);
        memcpy(value[c], p->data, (size_t)p->bytes);
        sc_trained trained = {.name = "p",
                              .value = value[c],
                              .rows = p->rank == 2 ? p->dim[0] : 1,
                              .cols = p->dim[p->rank - 1],
                              .decay = true};
        assert_int_equal(sc_optimizer_new(&optimizer, o, &trained, 1), SC_OK);
        for (int64_t s = 0; s < steps; s++) {
            memcpy(grad, (const float *)g->data + s * n, (size_t)p->bytes);
            sc_optimizer_step(optimizer, ctx[c], &grad, 1, 1);
            sc_file_tensor part = *w;
            part.data = (const float *)w->data + s * n;
            part.bytes = p->bytes;
            double off = difference(value[c], n, &part);
            if (!(off <= tolerance)) fail_msg("%s: step %lld is off by %g", want, (long long)s, off);
        }
        assert_int_equal(sc_optimizer_steps(optimizer), steps);
        sc_optimizer_free(optimizer);
    }
    assert_memory_equal(value[0], value[1], (size_t)p->bytes);
    free(value[0]);
    free(value[1]);
    free(grad);
}

static sc_optimizer_options with(sc_optimizer_kind kind, double lr, double decay)
{
    sc_optimizer_options o = sc_optimizer_defaults(kind);
    o.lr = lr;
    o.weight_decay = decay;
    return o;
}

static void as_pytorch(void **state)
{
    (void)state;
    sc_safetensors *st;
    assert_int_equal(sc_safetensors_open(&st, SOCLE_SOURCE_DIR "/tests/data/optim.safetensors"), SC_OK);
    static const char *const shapes[] = {"matrix", "vector"};
    sc_optimizer_options adamw = with(SC_ADAMW, 1e-2, 0.1), sgd = with(SC_SGD, 0.05, 0.01),
                         lion = with(SC_LION, 1e-3, 0.1), adafactor = with(SC_ADAFACTOR, 1e-2, 0.1);
    adamw.beta2 = 0.95;
    const struct {
        const char *name;
        const sc_optimizer_options *o;
    } all[] = {{"adamw", &adamw}, {"sgd", &sgd}, {"lion", &lion}, {"adafactor", &adafactor}};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < SC_COUNT(all); i++) {
            char initial[64], grads[64], want[64];
            snprintf(initial, sizeof initial, "%s.initial", shapes[s]);
            snprintf(grads, sizeof grads, "%s.grads", shapes[s]);
            snprintf(want, sizeof want, "%s.%s", shapes[s], all[i].name);
            follow(st, initial, grads, want, all[i].o, 2e-6, 4);
        }
    sc_safetensors_free(st);
}

static void check_schedule(const sc_safetensors *st, const char *name, const sc_schedule *s)
{
    const sc_file_tensor *want = get(st, name);
    assert_non_null(want);
    for (int64_t i = 0; i < want->dim[0]; i++) {
        double w = ((const float *)want->data)[i], got = sc_schedule_at(s, i);
        if (!(fabs(got - w) <= 1e-6)) fail_msg("%s: step %lld is %g, not %g", name, (long long)i, got, w);
    }
}

static void as_the_fixtures(void **state)
{
    (void)state;
    char root[1024], path[1100];
    sc_safetensors *st;
    if (!find_fixtures(root)) skip();
    snprintf(path, sizeof path, "%s/losses/losses.safetensors", root);
    assert_int_equal(sc_safetensors_open(&st, path), SC_OK);
    sc_optimizer_options adamw = with(SC_ADAMW, 1e-2, 0.1), adam = with(SC_ADAM, 1e-2, 0.1),
                         sgd = with(SC_SGD, 0.05, 0);
    adamw.beta2 = 0.95;
    sgd.nesterov = true;
    follow(st, "optim.initial", "optim.grads", "optim.adamw", &adamw, 1e-5, 5);
    follow(st, "optim.initial", "optim.grads", "optim.adam_l2", &adam, 1e-5, 5);
    follow(st, "optim.initial", "optim.grads", "optim.sgd", &sgd, 1e-5, 5);
    const sc_file_tensor *g = get(st, "optim.grads"), *clipped = get(st, "optim.clipped_grads");
    float *grad = malloc((size_t)g->bytes);
    memcpy(grad, g->data, (size_t)g->bytes);
    int64_t n = g->bytes / 4;
    double f = sc_clip_factor(sc_gradient_norm(ctx[0], &grad, &n, 1), 1.0);
    assert_true(f == sc_clip_factor(sc_gradient_norm(ctx[1], &grad, &n, 1), 1.0));
    for (int64_t i = 0; i < n; i++) grad[i] = (float)(grad[i] * f);
    assert_true(difference(grad, n, clipped) <= 1e-5);
    free(grad);
    const sc_schedule plain = {.warmup = 4, .total = 20, .cycles = 0.5};
    sc_schedule s = plain;
    s.kind = SC_SCHEDULE_COSINE;
    check_schedule(st, "lr.cosine", &s);
    s.kind = SC_SCHEDULE_LINEAR;
    check_schedule(st, "lr.linear", &s);
    s.kind = SC_SCHEDULE_INVERSE_SQRT;
    check_schedule(st, "lr.inverse_sqrt", &s);
    s.kind = SC_SCHEDULE_WSD;
    s.decay = 6;
    s.shape = SC_DECAY_SQRT;
    check_schedule(st, "lr.wsd_1-sqrt", &s);
    s.shape = SC_DECAY_COSINE;
    check_schedule(st, "lr.wsd_cosine", &s);
    s.shape = SC_DECAY_LINEAR;
    s.floor = 0.1;
    check_schedule(st, "lr.wsd_linear", &s);
    sc_safetensors_free(st);
}

static int set_up(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        if (sc_context_new(&ctx[i], &(sc_context_options){.threads = 1 + 2 * i})) return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) sc_context_free(ctx[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_pytorch),
        cmocka_unit_test(as_the_fixtures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

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
                              .decay = true,
                              .hidden = p->rank == 2};
        assert_int_equal(sc_optimizer_new(&optimizer, o, &trained, 1), SC_OK);
        for (int64_t s = 0; s < steps; s++) {
            memcpy(grad, (const float *)g->data + s * n, (size_t)p->bytes);
            assert_int_equal(sc_optimizer_step(optimizer, ctx[c], &grad, 1, 1), SC_OK);
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
    static const char *const shapes[] = {"matrix", "vector", "tall"};
    sc_optimizer_options adamw = with(SC_ADAMW, 1e-2, 0.1), sgd = with(SC_SGD, 0.05, 0.01),
                         lion = with(SC_LION, 1e-3, 0.1), adafactor = with(SC_ADAFACTOR, 1e-2, 0.1);
    adamw.beta2 = 0.95;
    const struct {
        const char *name;
        const sc_optimizer_options *o;
    } all[] = {{"adamw", &adamw}, {"sgd", &sgd}, {"lion", &lion}, {"adafactor", &adafactor}};
    for (int s = 0; s < SC_COUNT(shapes); s++)
        for (int i = 0; i < SC_COUNT(all); i++) {
            char initial[64], grads[64], want[64];
            snprintf(initial, sizeof initial, "%s.initial", shapes[s]);
            snprintf(grads, sizeof grads, "%s.grads", shapes[s]);
            snprintf(want, sizeof want, "%s.%s", shapes[s], all[i].name);
            follow(st, initial, grads, want, all[i].o, 2e-6, 4);
        }
    sc_safetensors_free(st);
}

/* In f64 by its definition, and as torch's own, which rounds to bf16 within. */
static void muon_as_pytorch(void **state)
{
    (void)state;
    sc_safetensors *st;
    assert_int_equal(sc_safetensors_open(&st, SOCLE_SOURCE_DIR "/tests/data/optim.safetensors"), SC_OK);
    static const char *const shapes[] = {"matrix", "tall"}, *const scales[] = {"original", "match_rms_adamw",
                                                                               "spectral_unclamped"};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < SC_COUNT(scales); i++) {
            sc_optimizer_options muon = with(SC_MUON, 0.02, 0.1);
            muon.muon_scale = (sc_muon_scale)i;
            char initial[64], grads[64], want[64];
            snprintf(initial, sizeof initial, "%s.initial", shapes[s]);
            snprintf(grads, sizeof grads, "%s.grads", shapes[s]);
            snprintf(want, sizeof want, "%s.muon_%s", shapes[s], scales[i]);
            follow(st, initial, grads, want, &muon, 2e-6, 4);
            snprintf(want, sizeof want, "%s.muon_%s_bf16", shapes[s], scales[i]);
            follow(st, initial, grads, want, &muon, 1e-3, 4);
        }
    sc_safetensors_free(st);
}

typedef struct family {
    sc_trained p[4];
    float *grad[4];
} family;

/* Four parameters of more than a piece, the same each time. */
static void make_family(family *f)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
        bool hidden;
    } what[] = {{"model.embed_tokens.weight", 301, 96, false},
                {"layers.0.up_proj.weight", 96, 331, true},
                {"layers.0.down_proj.weight", 331, 96, true},
                {"norm.bias", 1, 40000, false}};
    for (int i = 0; i < 4; i++) {
        int64_t n = what[i].rows * what[i].cols;
        f->p[i] = (sc_trained){.name = what[i].name,
                               .value = malloc((size_t)n * 4),
                               .rows = what[i].rows,
                               .cols = what[i].cols,
                               .decay = what[i].rows > 1,
                               .hidden = what[i].hidden};
        f->grad[i] = malloc((size_t)n * 4);
        sc_rng_normal_fill(1, (uint64_t)i, 0, f->p[i].value, n);
        sc_rng_normal_fill(2, (uint64_t)i, 0, f->grad[i], n);
    }
}

static void free_family(family *f)
{
    for (int i = 0; i < 4; i++) {
        free(f->p[i].value);
        free(f->grad[i]);
    }
}

static void steps_of(family *f, const sc_optimizer_options *o, sc_context *c, int steps, bool exchange)
{
    sc_optimizer *optimizer;
    make_family(f);
    if (sc_optimizer_new(&optimizer, o, f->p, 4)) fail_msg("%s", sc_error());
    for (int s = 0; s < steps; s++) assert_int_equal(sc_optimizer_step(optimizer, c, f->grad, 0.5, 1), SC_OK);
    if (exchange) sc_optimizer_exchange(optimizer, c);
    sc_optimizer_free(optimizer);
}

static bool alike(const family *a, const family *b, int i)
{
    return memcmp(a->p[i].value, b->p[i].value, (size_t)(a->p[i].rows * a->p[i].cols) * 4) == 0;
}

static void threads_change_nothing(void **state)
{
    (void)state;
    for (int kind = SC_ADAMW; kind <= SC_MUON; kind++) {
        family one, three;
        sc_optimizer_options o = with((sc_optimizer_kind)kind, 1e-2, 0.1);
        o.ema = 0.9;
        steps_of(&one, &o, ctx[0], 3, true);
        steps_of(&three, &o, ctx[1], 3, true);
        for (int i = 0; i < 4; i++)
            if (!alike(&one, &three, i)) fail_msg("optimiser %d: %s", kind, one.p[i].name);
        free_family(&one);
        free_family(&three);
    }
}

/* A rate of 0 leaves a group as it is; decay by itself is (1 - lr decay) a step of a parameter without gradient. */
static void groups_have_their_own(void **state)
{
    (void)state;
    family f, first;
    const sc_param_group groups[] = {{"*embed*", 0, -1}, {"*.up_proj.*", -1, 0.25}, {"*.bias", -1, 0.5}};
    sc_optimizer_options o = with(SC_ADAMW, 0.1, 0.125);
    o.group = groups;
    o.n_groups = 3;
    o.eps = 1;
    make_family(&first);
    make_family(&f);
    for (int i = 0; i < 4; i++) memset(f.grad[i], 0, (size_t)(f.p[i].rows * f.p[i].cols) * 4);
    sc_optimizer *optimizer;
    assert_int_equal(sc_optimizer_new(&optimizer, &o, f.p, 4), SC_OK);
    assert_int_equal(sc_optimizer_step(optimizer, ctx[0], f.grad, 1, 1), SC_OK);
    const double decay[] = {0, 0.25, 0.125, 0.5};
    for (int i = 0; i < 4; i++)
        for (int64_t k = 0; k < f.p[i].rows * f.p[i].cols; k++)
            assert_true(f.p[i].value[k] == first.p[i].value[k] * (float)(1 - 0.1 * decay[i]));
    sc_optimizer_free(optimizer);
    free_family(&first);
    o.group = &(sc_param_group){"*.gate", 0, 0};
    o.n_groups = 1;
    assert_int_equal(sc_optimizer_new(&optimizer, &o, f.p, 4), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "no parameter is called '*.gate'"));
    free_family(&f);
    /* Muon's rest is AdamW's, whatever the matrices' rate. */
    family adamw, muon;
    sc_optimizer_options a = with(SC_ADAMW, 3e-3, 0.1), m = with(SC_MUON, 0.02, 0.1);
    m.rest_lr = 3e-3;
    steps_of(&adamw, &a, ctx[0], 2, false);
    steps_of(&muon, &m, ctx[0], 2, false);
    assert_true(alike(&adamw, &muon, 0) && alike(&adamw, &muon, 3));
    assert_false(alike(&adamw, &muon, 1) || alike(&adamw, &muon, 2));
    free_family(&adamw);
    free_family(&muon);
}

/* torch's AveragedModel along AdamW's path; the weights come back to the bit. */
static void averages_as_pytorch(void **state)
{
    (void)state;
    sc_safetensors *st;
    assert_int_equal(sc_safetensors_open(&st, SOCLE_SOURCE_DIR "/tests/data/optim.safetensors"), SC_OK);
    const sc_file_tensor *initial = get(st, "tall.initial"), *grads = get(st, "tall.grads"),
                         *want = get(st, "tall.ema");
    float value[60], before[60], grad[60], *list[] = {grad};
    sc_trained p = {.name = "p", .value = value, .rows = 12, .cols = 5, .decay = true, .hidden = true};
    sc_optimizer_options o = with(SC_ADAMW, 1e-2, 0.1);
    o.beta2 = 0.95;
    o.ema = 0.9;
    sc_optimizer *optimizer;
    memcpy(value, initial->data, sizeof value);
    assert_int_equal(sc_optimizer_new(&optimizer, &o, &p, 1), SC_OK);
    for (int s = 0; s < 4; s++) {
        memcpy(grad, (const float *)grads->data + s * 60, sizeof grad);
        assert_int_equal(sc_optimizer_step(optimizer, ctx[1], list, 1, 1), SC_OK);
        memcpy(before, value, sizeof value);
        sc_optimizer_exchange(optimizer, ctx[1]);
        sc_file_tensor part = *want;
        part.data = (const float *)want->data + s * 60;
        part.bytes = sizeof value;
        assert_true(difference(value, 60, &part) <= 1e-6);
        sc_optimizer_exchange(optimizer, ctx[1]);
        assert_memory_equal(value, before, sizeof value);
    }
    sc_optimizer_free(optimizer);
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
    sc_optimizer_options muon = with(SC_MUON, 0.02, 0.1);
    follow(st, "optim.initial", "optim.grads", "optim.muon_fp32", &muon, 1e-5, 3);
    follow(st, "optim.initial", "optim.grads", "optim.muon_bf16", &muon, 1e-3, 3);
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
    /* d^-0.5 min(n^-0.5, n warmup^-1.5), the fourth step's rate the highest. */
    s = (sc_schedule){.kind = SC_SCHEDULE_NOAM, .warmup = 4, .total = 20, .width = 64};
    assert_true(fabs(sc_schedule_at(&s, 0) - 1 / 64.) < 1e-12);
    assert_true(fabs(sc_schedule_at(&s, 3) - 1 / 16.) < 1e-12);
    assert_true(fabs(sc_schedule_at(&s, 15) - 1 / 32.) < 1e-12);
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
        cmocka_unit_test(muon_as_pytorch),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(groups_have_their_own),
        cmocka_unit_test(averages_as_pytorch),
        cmocka_unit_test(as_the_fixtures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

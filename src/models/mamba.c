/* SPDX-License-Identifier: Apache-2.0 */
/* Mamba (Gu and Dao 2023), Falcon-Mamba, and Mamba 2 (Dao and Gu 2024): every layer is a norm and a mixer, which is a short
 * convolution and a recurrence with rates that depend on the input. No attention, no positions, and a state of the same
 * size for any length. */
#include "models/models.h"

#include <math.h>
#include <strings.h>

typedef struct mamba {
    int64_t layers, width, inner, state, taps, vocab;
    int64_t rank;             /* of the steps (1) */
    int64_t heads, d, groups; /* (2) */
    float eps, mixer_eps;     /* mixer_eps: of Falcon's norms on steps, inputs and outputs; 0: none */
    float dt_min, dt_max;     /* (2) */
    sc_init steps;            /* of a fresh model */
    unsigned bias, conv_bias; /* SC_BIAS or 0 */
    bool tied;
    sc_unary_kind act;
} mamba;

static const sc_init zeros = {SC_INIT_ZEROS, 0}, ones = {SC_INIT_ONES, 0}, rates = {SC_INIT_LOG_COUNT, 0};

static void configure_common(sc_config *c, mamba *m)
{
    const int64_t wide = 1 << 20;
    m->layers = sc_config_int(c, "num_hidden_layers", SC_REQUIRED, 1, 1024);
    m->width = sc_config_int(c, "hidden_size", SC_REQUIRED, 1, wide);
    m->vocab = sc_config_int(c, "vocab_size", SC_REQUIRED, 1, 1 << 24);
    m->inner = (int64_t)(sc_config_num(c, "expand", 2, 1e-3, 64) * (double)m->width);
    m->taps = sc_config_int(c, "conv_kernel", 4, 1, SC_CONV_TAPS);
    m->eps = (float)sc_config_num(c, "layer_norm_epsilon", 1e-5, 0, 1);
    m->bias = sc_config_bool(c, "use_bias", false) ? SC_BIAS : 0;
    m->conv_bias = sc_config_bool(c, "use_conv_bias", true) ? SC_BIAS : 0;
    m->act = sc_config_activation(c, "hidden_act", "silu");
    m->steps = (sc_init){.kind = SC_INIT_STEPS,
                         .lo = (float)sc_config_num(c, "time_step_min", 0.001, 1e-9, 1e3),
                         .hi = (float)sc_config_num(c, "time_step_max", 0.1, 1e-9, 1e3)};
    if (!c->status && m->inner < 1) sc_config_fault(c, "expand leaves no features");
}

static void configure(sc_config *c, void *config)
{
    mamba *m = config;
    bool falcon = strcmp(sc_config_str(c, "model_type", ""), "falcon_mamba") == 0;
    const json_t *rank = json_object_get(c->json, "time_step_rank");
    configure_common(c, m);
    m->state = sc_config_int(c, "state_size", 16, 1, 1 << 16);
    m->rank = (m->width + 15) / 16; /* "auto" */
    if (!json_is_string(rank)) m->rank = sc_config_int(c, "time_step_rank", m->rank, 1, 1 << 20);
    m->tied = sc_config_bool(c, "tie_word_embeddings", true);
    if (falcon) m->mixer_eps = (float)sc_config_num(c, "mixer_rms_eps", 1e-6, 1e-30, 1);
}

/* [lowest, highest]; Python writes infinity as a bare word or, where that is not allowed, as {"__float__": "Infinity"}. */
static void configure_limits(sc_config *c, mamba *m)
{
    const json_t *limits = json_object_get(c->json, "time_step_limit");
    if (!limits || json_is_null(limits)) return;
    const json_t *lo = json_array_get(limits, 0), *hi = json_array_get(limits, 1);
    const char *word = json_string_value(json_is_object(hi) ? json_object_get(hi, "__float__") : hi);
    bool infinite = word && strcasecmp(word, "infinity") == 0;
    double low = json_number_value(lo), high = infinite ? 0 : json_number_value(hi);
    if (json_array_size(limits) != 2 || !json_is_number(lo) || low < 0 ||
        (!infinite && (!json_is_number(hi) || high <= 0 || high < low)))
        sc_config_fault(c, "time_step_limit is not a range of steps");
    m->dt_min = (float)low;
    m->dt_max = (float)high;
}

static void configure2(sc_config *c, void *config)
{
    mamba *m = config;
    configure_common(c, m);
    m->state = sc_config_int(c, "state_size", 128, 1, 1 << 16);
    m->heads = sc_config_int(c, "num_heads", 128, 1, 1 << 16);
    m->d = sc_config_int(c, "head_dim", 64, 1, 1 << 16);
    m->groups = sc_config_int(c, "n_groups", 8, 1, 1 << 16);
    m->tied = sc_config_bool(c, "tie_word_embeddings", false);
    configure_limits(c, m);
    if (!c->status && m->heads * m->d != m->inner)
        sc_config_fault(c, "num_heads %lld of head_dim %lld do not make the inner width of %lld",
                        (long long)m->heads, (long long)m->d, (long long)m->inner);
    if (!c->status && (m->heads % m->groups || m->inner % m->groups))
        sc_config_fault(c, "num_heads %lld is not a multiple of n_groups %lld", (long long)m->heads,
                        (long long)m->groups);
}

/* x (T, C), the activation included. */
static sc_tensor *convolve(sc_graph *g, const mamba *m, sc_text_in *in, sc_tensor *x, int64_t channels)
{
    bool silu = m->act == SC_UNARY_SILU;
    float bound = 1 / sqrtf((float)m->taps);
    sc_init uniform = {.kind = SC_INIT_UNIFORM, .lo = -bound, .hi = bound};
    sc_scope_push(g, "conv1d");
    sc_tensor *w = sc_param_formed(g, "weight", uniform, SC_FORM_TAPS, 3, (int64_t[]){channels, 1, m->taps});
    sc_tensor *bias = m->conv_bias ? sc_param(g, "bias", zeros, 1, &channels) : NULL;
    sc_tensor *state = sc_text_state(g, in, m->taps - 1, channels);
    x = sc_conv_causal(g, &x, 1, w, bias, silu, &in->seqs, state);
    sc_scope_pop(g);
    return silu ? x : sc_unary(g, m->act, x);
}

/* x (T, C) → (T, C) */
static sc_tensor *mixer(sc_graph *g, const mamba *m, sc_text_in *in, sc_tensor *x)
{
    int64_t inner = m->inner, n = m->state, r = m->rank;
    sc_tensor *xz = sc_linear(g, "in_proj", x, 2 * inner, m->bias);
    x = convolve(g, m, in, sc_slice(g, xz, 1, 0, inner), inner);
    sc_tensor *of = sc_linear(g, "x_proj", x, r + 2 * n, 0); /* steps, inputs and outputs of the states */
    sc_tensor *dt = sc_slice(g, of, 1, 0, r), *b = sc_slice(g, of, 1, r, n), *c = sc_slice(g, of, 1, r + n, n);
    if (m->mixer_eps > 0) {
        dt = sc_apply_rms_norm(g, dt, NULL, m->mixer_eps);
        b = sc_apply_rms_norm(g, b, NULL, m->mixer_eps);
        c = sc_apply_rms_norm(g, c, NULL, m->mixer_eps);
    }
    sc_selective_scan scan = {.x = x, .b = b, .c = c};
    scan.dt = sc_unary(g, SC_UNARY_SOFTPLUS, sc_linear_from(g, "dt_proj", dt, inner, SC_BIAS, m->steps));
    scan.a = sc_decay_rates(g, "A_log", rates, 2, (int64_t[]){inner, n});
    scan.d = sc_param(g, "D", ones, 1, &inner);
    sc_tensor *y = sc_scan_selective(g, &scan, &in->seqs, sc_text_state(g, in, inner, n)); /* (T, inner) */
    y = sc_mul(g, sc_unary(g, SC_UNARY_SILU, sc_slice(g, xz, 1, inner, inner)), y);
    return sc_linear(g, "out_proj", y, m->width, m->bias);
}

/* The same of Mamba 2: everything comes from one projection, and the result is gated and then normed in groups. */
static sc_tensor *mixer2(sc_graph *g, const mamba *m, sc_text_in *in, sc_tensor *x)
{
    int64_t inner = m->inner, n = m->groups * m->state, channels = inner + 2 * n;
    sc_tensor *all = sc_linear(g, "in_proj", x, inner + channels + m->heads, m->bias);
    sc_tensor *z = sc_slice(g, all, 1, 0, inner), *dt = sc_slice(g, all, 1, inner + channels, m->heads);
    x = convolve(g, m, in, sc_slice(g, all, 1, inner, channels), channels);
    sc_selective_scan scan = {.dt_min = m->dt_min, .dt_max = m->dt_max};
    scan.x = sc_reshape(g, sc_slice(g, x, 1, 0, inner), 3, (int64_t[]){-1, m->heads, m->d});
    scan.b = sc_reshape(g, sc_slice(g, x, 1, inner, n), 3, (int64_t[]){-1, m->groups, m->state});
    scan.c = sc_reshape(g, sc_slice(g, x, 1, inner + n, n), 3, (int64_t[]){-1, m->groups, m->state});
    scan.dt = sc_unary(g, SC_UNARY_SOFTPLUS, sc_add(g, dt, sc_param(g, "dt_bias", m->steps, 1, &m->heads)));
    scan.a = sc_decay_rates(g, "A_log", rates, 1, &m->heads);
    scan.d = sc_param(g, "D", ones, 1, &m->heads);
    sc_tensor *y = sc_scan_decay(g, &scan, &in->seqs, sc_text_state(g, in, inner, m->state));
    y = sc_mul(g, sc_unary(g, SC_UNARY_SILU, z), sc_reshape(g, y, 2, (int64_t[]){-1, inner}));
    y = sc_apply_rms_norm(g, sc_reshape(g, y, 3, (int64_t[]){-1, m->groups, inner / m->groups}), NULL, m->eps);
    sc_scope_push(g, "norm");
    y = sc_mul(g, sc_reshape(g, y, 2, (int64_t[]){-1, inner}), sc_param(g, "weight", ones, 1, &inner));
    sc_scope_pop(g);
    return sc_linear(g, "out_proj", y, m->width, m->bias);
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    const mamba *m = config;
    sc_scope_push(g, "backbone");
    sc_tensor *x = sc_embedding(g, "embeddings", in->ids, m->vocab, m->width); /* (T, C) */
    for (int64_t i = 0; i < m->layers; i++) {
        sc_scope_push(g, "layers.%d", (int)i);
        sc_tensor *h = sc_rms_norm(g, "norm", x, m->eps);
        sc_scope_push(g, "mixer");
        x = sc_add(g, x, m->heads ? mixer2(g, m, in, h) : mixer(g, m, in, h));
        sc_scope_pop(g);
        sc_scope_pop(g);
        sc_tap(g, x, "hidden_states.%d", (int)i); /* what a layer gives, as HuggingFace counts them here */
    }
    x = sc_rms_norm(g, "norm_f", x, m->eps);
    sc_tap(g, x, "hidden_states.%d", (int)m->layers);
    sc_scope_pop(g);
    return sc_lm_head(g, in, m->tied ? "backbone.embeddings" : "lm_head", x, m->vocab);
}

static void describe(const void *config, sc_model_info *info)
{
    const mamba *m = config;
    info->layers = m->layers;
    info->width = m->width;
    info->heads = m->heads;
    info->head_dim = m->d;
    info->vocab = m->vocab;
    info->tied = m->tied;
}

static void sizes(const void *config, sc_ssm_sizes *out)
{
    const mamba *m = config;
    *out = (sc_ssm_sizes){.taps = m->taps, .inner = m->inner, .state = m->state, .rank = m->rank + m->heads};
    out->groups = m->groups;
    out->norms = m->mixer_eps > 0;
    out->unusual = m->bias || !m->conv_bias;
    out->limited = m->dt_min > 0 || m->dt_max > 0;
    out->eps = m->eps;
    out->act = m->act;
}

const sc_family sc_family_mamba = {.name = "mamba",
                                   .model_types = (const char *const[]){"mamba", "falcon_mamba", NULL},
                                   .prefix = "backbone",
                                   .config_size = sizeof(mamba),
                                   .configure = configure,
                                   .build = build,
                                   .describe = describe,
                                   .ssm = sizes};
const sc_family sc_family_mamba2 = {.name = "mamba2",
                                    .model_types = (const char *const[]){"mamba2", NULL},
                                    .prefix = "backbone",
                                    .config_size = sizeof(mamba),
                                    .configure = configure2,
                                    .build = build,
                                    .describe = describe,
                                    .ssm = sizes};

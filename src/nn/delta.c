/* SPDX-License-Identifier: Apache-2.0 */
/* A layer of the gated delta rule (Yang et al. 2024, arXiv:2412.06464) as Qwen has it: queries, keys and values go through
 * a short convolution, a matrix a head is decayed and corrected by each key and value, and what queries read from it is
 * normed and gated. */
#include "nn/nn.h"

static const sc_init normal = {SC_INIT_NORMAL, 0.02f}, ones = {SC_INIT_ONES, 0},
                     rates = {.kind = SC_INIT_LOG_UNIFORM, .lo = 0.01f, .hi = 16};

/* Elements start .. start + n of the last axis of x (T, H, D). */
static sc_tensor *of_heads(sc_graph *g, sc_tensor *x, int64_t start, int64_t n)
{
    return sc_slice(g, x, 2, start, n);
}

typedef struct inputs {
    sc_tensor *part[3]; /* what is convolved: queries, keys and values together or each */
    int parts;
    sc_tensor *z;     /* (T, H * D) */
    sc_tensor *b, *a; /* (T, H) */
} inputs;

static inputs project(sc_graph *g, const sc_delta_config *c, sc_tensor *x)
{
    int64_t values = c->heads * c->d, each = c->heads / c->key_heads, wide = each * c->d;
    inputs p = {.parts = 1};
    if (c->joined_qkv) {
        sc_tensor *all = sc_linear(g, "in_proj_qkvz", x, c->key_heads * 2 * (c->key_d + wide), 0);
        all = sc_reshape(g, all, 3, (int64_t[]){-1, c->key_heads, 2 * (c->key_d + wide)});
        p.part[0] = of_heads(g, all, 0, c->key_d);
        p.part[1] = of_heads(g, all, c->key_d, c->key_d);
        p.part[2] = of_heads(g, all, 2 * c->key_d, wide);
        p.parts = 3;
        p.z = sc_reshape(g, of_heads(g, all, 2 * c->key_d + wide, wide), 2, (int64_t[]){-1, values});
    } else {
        p.part[0] = sc_linear(g, "in_proj_qkv", x, 2 * c->key_heads * c->key_d + values, 0);
        p.z = sc_linear(g, "in_proj_z", x, values, 0);
    }
    if (c->joined_ba) {
        sc_tensor *ba = sc_linear(g, "in_proj_ba", x, 2 * c->heads, 0);
        ba = sc_reshape(g, ba, 3, (int64_t[]){-1, c->key_heads, 2 * each});
        p.b = sc_reshape(g, of_heads(g, ba, 0, each), 2, (int64_t[]){-1, c->heads});
        p.a = sc_reshape(g, of_heads(g, ba, each, each), 2, (int64_t[]){-1, c->heads});
    } else {
        p.b = sc_linear(g, "in_proj_b", x, c->heads, 0);
        p.a = sc_linear(g, "in_proj_a", x, c->heads, 0);
    }
    return p;
}

sc_tensor *sc_gated_delta(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in, const sc_delta_config *c)
{
    if (g->status || !x) return NULL;
    int64_t keys = c->key_heads * c->key_d, values = c->heads * c->d, channels = 2 * keys + values;
    bool silu = c->act == SC_UNARY_SILU;
    sc_scope_push(g, "%s", name);
    inputs p = project(g, c, x);
    sc_scope_push(g, "conv1d");
    sc_tensor *w = sc_param_formed(g, "weight", normal, SC_FORM_TAPS, 3, (int64_t[]){channels, 1, c->taps});
    sc_scope_pop(g);
    sc_tensor *state = sc_text_state(g, in, c->taps - 1, channels);
    sc_tensor *qkv = sc_conv_causal(g, p.part, p.parts, w, NULL, silu, &in->seqs, state); /* (T, channels) */
    if (!silu) qkv = sc_unary(g, c->act, qkv);
    sc_tensor *rate = sc_decay_rates(g, "A_log", rates, 1, &c->heads);
    sc_tensor *step = sc_add(g, p.a, sc_param(g, "dt_bias", ones, 1, &c->heads));
    sc_delta_scan scan = {.eps = 1e-6f, .tiled = c->tiled};
    scan.g = sc_mul(g, sc_unary(g, SC_UNARY_SOFTPLUS, step), rate);
    scan.beta = sc_unary(g, SC_UNARY_SIGMOID, p.b);
    scan.q = sc_reshape(g, sc_slice(g, qkv, 1, 0, keys), 3, (int64_t[]){-1, c->key_heads, c->key_d});
    scan.k = sc_reshape(g, sc_slice(g, qkv, 1, keys, keys), 3, (int64_t[]){-1, c->key_heads, c->key_d});
    scan.v = sc_reshape(g, sc_slice(g, qkv, 1, 2 * keys, values), 3, (int64_t[]){-1, c->heads, c->d});
    sc_tensor *y = sc_scan_delta(g, &scan, &in->seqs, sc_text_state(g, in, values, c->key_d)); /* (T, H, D) */
    y = sc_reshape(g, sc_rms_norm(g, "norm", y, c->eps), 2, (int64_t[]){-1, values});
    y = sc_linear(g, "out_proj", sc_mul(g, sc_unary(g, SC_UNARY_SILU, p.z), y), x->shape.dim[1], 0);
    sc_scope_pop(g);
    return y;
}

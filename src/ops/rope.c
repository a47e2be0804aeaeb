/* SPDX-License-Identifier: Apache-2.0 */
/* Rotary positions: pair i of a head turns by position * inv_freq[i], inv_freq[i] = theta^(-2i/dim), rescaled for
 * longer contexts in one of these ways:
 *  linear    position interpolation (Chen et al. 2023): divided by factor
 *  dynamic   NTK-aware base that grows with the sequence once it is longer than max_positions
 *  yarn      Peng et al. 2023, "YaRN": high frequencies kept, low ones divided, a ramp between; cos and sin scaled
 *  longrope  Ding et al. 2024, "LongRoPE": a divisor for each frequency, one list for short and one for long sequences
 *  llama3    as in Llama 3.1: divided below a wavelength, kept above another, smoothed between
 *  factors   divisors given with the weights (GGUF's rope_freqs.weight) */
#include "ops/ops.h"

#include <math.h>

static double yarn_mscale(double factor, double m) { return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1; }

static void yarn(const sc_rope_params *p, float *inv_freq, float *scaling)
{
    double dim = (double)p->dim, full = 2 * M_PI, span = (double)p->original_max_positions;
    double low = dim * log(span / (p->beta_fast * full)) / (2 * log(p->theta));
    double high = dim * log(span / (p->beta_slow * full)) / (2 * log(p->theta));
    if (p->truncate) low = floor(low), high = ceil(high);
    low = fmax(low, 0);
    high = fmin(high, dim - 1);
    if (low == high) high += 0.001;
    for (int64_t i = 0; i < p->dim / 2; i++) {
        double f = pow(p->theta, -2.0 * (double)i / dim);
        double ramp = fmin(1, fmax(0, ((double)i - low) / (high - low)));
        inv_freq[i] = (float)(f / p->factor * ramp + f * (1 - ramp));
    }
    if (p->attention_factor > 0)
        *scaling = (float)p->attention_factor;
    else if (p->mscale > 0 && p->mscale_all_dim > 0)
        *scaling = (float)(yarn_mscale(p->factor, p->mscale) / yarn_mscale(p->factor, p->mscale_all_dim));
    else
        *scaling = (float)yarn_mscale(p->factor, 1);
}

static double llama3(const sc_rope_params *p, double f)
{
    double span = (double)p->original_max_positions, wavelength = 2 * M_PI / f;
    if (wavelength > span / p->low_freq_factor) return f / p->factor;
    if (wavelength < span / p->high_freq_factor) return f;
    double smooth = (span / wavelength - p->low_freq_factor) / (p->high_freq_factor - p->low_freq_factor);
    return (1 - smooth) * f / p->factor + smooth * f;
}

void sc_rope_frequencies(const sc_rope_params *p, int64_t seq_len, float *inv_freq, float *scaling)
{
    double theta = p->theta, dim = (double)p->dim;
    const float *divide = NULL;
    *scaling = 1;
    if (p->type == SC_ROPE_YARN) {
        yarn(p, inv_freq, scaling);
        return;
    }
    if (p->type == SC_ROPE_DYNAMIC && seq_len > p->max_positions)
        theta *= pow(p->factor * (double)seq_len / (double)p->max_positions - (p->factor - 1), dim / (dim - 2));
    if (p->type == SC_ROPE_LONGROPE) {
        divide = seq_len > p->original_max_positions ? p->long_factor : p->short_factor;
        if (p->attention_factor > 0)
            *scaling = (float)p->attention_factor;
        else if (p->factor > 1 && p->original_max_positions > 1)
            *scaling = (float)sqrt(1 + log(p->factor) / log((double)p->original_max_positions));
    }
    if (p->type == SC_ROPE_FACTORS) divide = p->short_factor;
    for (int64_t i = 0; i < p->dim / 2; i++) {
        double f = pow(theta, -2.0 * (double)i / dim);
        if (p->type == SC_ROPE_LINEAR) f /= p->factor;
        if (p->type == SC_ROPE_LLAMA3) f = llama3(p, f);
        inv_freq[i] = (float)(divide ? f / divide[i] : f);
    }
}

/* ---- the table of angles ---- */

static sc_status table_infer(sc_tensor *y)
{
    const sc_rope_params *p = &SC_ATTR(y, sc_rope_table_attr)->params;
    sc_status s;
    for (int i = 0; i < 2; i++)
        if ((s = sc_want_dtype(y->in[i], "a sequence table", SC_I32)) ||
            (s = sc_want_rank(y->in[i], "a sequence table", 1)))
            return s;
    if (y->in[1]->shape.dim[0] < 2) return sc_fail(SC_ESHAPE, "the start table has no sequence");
    if (p->dim < 2 || p->dim % 2)
        return sc_fail(SC_ESHAPE, "%lld rotated features, not an even number", (long long)p->dim);
    y->dtype = SC_F32;
    y->shape = (sc_shape){3, {2, y->in[0]->shape.dim[0], p->dim / 2}};
    return SC_OK;
}

const sc_op sc_op_rope_table = {.name = "rope_table",
                                .id = SC_OP_rope_table,
                                .derivative = "none: angles are made of positions, which are whole numbers",
                                .infer = table_infer,
                                .cost = sc_cost_elementwise};

/* A copy of n floats in the graph's arena; NULL stays NULL. */
static sc_status keep(sc_graph *g, const float **p, int64_t n)
{
    if (!*p) return SC_OK;
    float *copy = sc_arena_alloc(g->arena, sizeof **p * (size_t)n);
    if (!copy) return sc_nomem();
    memcpy(copy, *p, sizeof **p * (size_t)n);
    *p = copy;
    return SC_OK;
}

sc_tensor *sc_rope_table(sc_graph *g, const sc_seqs *seqs, const sc_rope_params *params)
{
    sc_rope_table_attr a = {.params = *params};
    int64_t half = params->dim / 2;
    sc_tensor *in[] = {sc_contiguous(g, seqs->position), sc_contiguous(g, seqs->start)};
    sc_status s;
    if (g->status) return NULL;
    if ((s = keep(g, &a.params.short_factor, half)) || (s = keep(g, &a.params.long_factor, half)))
        return sc_graph_fault(g, s);
    if (params->type != SC_ROPE_DYNAMIC && params->type != SC_ROPE_LONGROPE) {
        if (!(a.inv_freq = sc_arena_alloc(g->arena, sizeof(float) * (size_t)SC_MAX(half, 1))))
            return sc_graph_fault(g, sc_nomem());
        sc_rope_frequencies(params, 0, a.inv_freq, &a.scaling);
    }
    return sc_graph_node(g, &sc_op_rope_table, in, 2, &a, sizeof a);
}

/* ---- the rotation ---- */

static sc_status rope_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *table = y->in[1];
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(x, "the input", 3)) ||
        (s = sc_want_dtype(table, "the table", SC_F32)) || (s = sc_want_rank(table, "the table", 3)) ||
        (s = sc_want_dim(table, "the table", 0, 2)) || (s = sc_want_dim(table, "the table", 1, x->shape.dim[0])))
        return s;
    if (2 * table->shape.dim[2] > x->shape.dim[2])
        return sc_fail(SC_ESHAPE, "%lld rotated features in heads of %lld", (long long)(2 * table->shape.dim[2]),
                       (long long)x->shape.dim[2]);
    if (!sc_rows_dense(x)) return sc_fail(SC_ESHAPE, "the heads are not dense");
    return sc_infer_like_input(y);
}

static sc_cost rope_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops *= 3;
    return c;
}

static void rope_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_rope_attr a = *SC_ATTR(y, sc_rope_attr);
    sc_tensor *in[] = {sc_contiguous(g, dy), y->in[1]};
    a.back = !a.back;
    sc_gradient_add(b, y->in[0], sc_graph_node(g, &sc_op_rope, in, 2, &a, sizeof a));
}

const sc_op sc_op_rope = {.name = "rope",
                          .id = SC_OP_rope,
                          .derivative = "dx = dy rotated by the opposite angles; none for the table",
                          .backward = rope_backward,
                          .infer = rope_infer,
                          .cost = rope_cost,
                          .in_place = 1 << 0};

sc_tensor *sc_rope(sc_graph *g, sc_tensor *x, sc_tensor *table, bool neighbours)
{
    sc_tensor *in[] = {x, sc_contiguous(g, table)};
    return sc_graph_node(g, &sc_op_rope, in, 2, &(sc_rope_attr){.neighbours = neighbours}, sizeof(sc_rope_attr));
}

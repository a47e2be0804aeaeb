/* SPDX-License-Identifier: Apache-2.0 */
/* DeepSeek-V2 (arXiv:2405.04434) and V3 (arXiv:2412.19437): latent attention, and mixtures of small experts beside shared
 * ones, from groups of which only the best may be chosen. */
#include "models/models.h"

#include <math.h>

static sc_tensor *attention(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    sc_latent_config c = ((const sc_moe_decoder *)d)->latent;
    if (d->sparse && d->sparse[i]) c.blocks = d->blocks;
    c.rope = in->rope;
    return sc_latent_attention(g, d->names.attn, x, in, &c);
}

/* YaRN's softmax temperature goes into the scores here, mscale_all_dim saying how much of it. */
static float score_scale(const sc_rope_params *rope, int64_t d)
{
    double scale = 1 / sqrt((double)d), m = 1;
    if (rope->type != SC_ROPE_DEFAULT && rope->mscale_all_dim > 0 && rope->factor > 1)
        m = 1 + 0.1 * rope->mscale_all_dim * log(rope->factor);
    return (float)(scale * m * m);
}

/* What both have in common; sizes that a configuration leaves out are each one's own. */
static void configure(sc_config *c, sc_moe_decoder *m, bool v3)
{
    sc_decoder *d = &m->decoder;
    sc_latent_config *l = &m->latent;
    const int64_t wide = 1 << 16;
    l->rank = sc_config_int(c, "kv_lora_rank", 512, 1, wide);
    l->nope = sc_config_int(c, "qk_nope_head_dim", 128, 1, wide);
    l->rotated = sc_config_int(c, "qk_rope_head_dim", 64, 2, 4096);
    l->v_d = sc_config_int(c, "v_head_dim", 128, 1, wide);
    l->q_rank = json_object_get(c->json, "q_lora_rank") ? 0 : 1536; /* null says none */
    l->q_rank = sc_config_int(c, "q_lora_rank", l->q_rank, 0, wide);
    l->bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    l->eps = 1e-6f; /* of the norms within, whatever the others' */
    d->attn.neighbours = true;
    d->attn.d = l->rotated;
    d->attn.kv_heads = 0;
    sc_decoder_configure(c, d);
    if (d->attn.d != l->rotated) /* an older configuration's head_dim says nothing here */
        sc_config_rope(c, d->attn.d = l->rotated, &d->rope);
    l->heads = d->attn.heads;
    l->neighbours = d->attn.neighbours;
    l->scale = score_scale(&d->rope, l->nope + l->rotated);
    d->mlp_bias = sc_config_bool(c, "mlp_bias", false) ? SC_BIAS : 0;
    d->mixer = attention;
    sc_moe_decoder_configure(c, m);
    if (!v3) m->moe.routing.normalise = false;
}

static void configure_v2(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    m->moe = (sc_moe_config){.experts = 64, .width = 1407};
    m->moe.routing = (sc_routing){.score = SC_SCORE_SOFTMAX, .group_best = 1};
    m->shared = 2;
    configure(c, m, false);
    if (strcmp(sc_config_str(c, "topk_method", "greedy"), "group_limited_greedy") != 0) m->moe.routing.groups = 1;
}

static void configure_v3(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    m->moe = (sc_moe_config){.experts = 256, .width = 2048, .correction = "gate.e_score_correction_bias"};
    m->moe.routing = (sc_routing){.used = 8,
                                  .score = SC_SCORE_SIGMOID,
                                  .normalise = true,
                                  .scale = 2.5f,
                                  .groups = 8,
                                  .groups_used = 4,
                                  .group_best = 2};
    m->shared = 1;
    m->first_sparse = 3;
    configure(c, m, true);
}

/* ---- GGUF files for absorbed attention keep the two halves of kv_b_proj apart, the keys' turned ---- */

/* Head h of a stack (H, rows, width) as f32. */
static sc_status read_head(const sc_weight *w, int64_t h, float *x)
{
    int64_t n = w->shape.dim[1] * w->shape.dim[2], bytes = sc_dtype_size(w->storage.dtype, n);
    if (bytes < 0) return sc_fail(SC_ESHAPE, "'%s' has rows that are not whole blocks", w->name);
    return sc_dequantize(w->storage.dtype, (const char *)w->storage.data + h * bytes, x, n);
}

/* keys (H, rank, nope) and values (H, v_d, rank) as rows of one (H, nope + v_d, rank). */
static sc_status join(sc_weights *w, const char *name, const sc_weight *k, const sc_weight *v)
{
    int64_t heads = k->shape.dim[0], rank = k->shape.dim[1], nope = k->shape.dim[2], v_d = v->shape.dim[1],
            n = nope + v_d;
    sc_shape shape = {2, {heads * n, rank}};
    bool wide = k->storage.dtype == SC_F32 || k->storage.dtype == SC_BF16;
    sc_storage st = {.dtype = wide ? SC_F32 : SC_F16};
    int64_t bytes = sc_dtype_size(st.dtype, n * rank);
    float *from = sc_malloc(sizeof *from * (size_t)(rank * SC_MAX(nope, v_d))),
          *to = sc_malloc(sizeof *to * (size_t)(n * rank));
    sc_status s = from && to ? sc_buffer_new(&st.buffer, heads * bytes) : sc_nomem();
    if (!s) st.data = st.buffer->data;
    sc_dense_strides(&shape, st.stride);
    for (int64_t h = 0; !s && h < heads; h++) {
        if ((s = read_head(k, h, from))) break;
        for (int64_t r = 0; r < rank; r++)
            for (int64_t i = 0; i < nope; i++) to[i * rank + r] = from[r * nope + i];
        if ((s = read_head(v, h, from))) break;
        memcpy(to + nope * rank, from, sizeof *to * (size_t)(v_d * rank));
        s = sc_quantize(st.dtype, to, (char *)st.data + h * bytes, n * rank);
    }
    if (!s) s = sc_weights_add(w, name, &shape, &st);
    sc_buffer_unref(st.buffer);
    sc_free(from);
    sc_free(to);
    return s;
}

static sc_status adapt(const void *config, sc_weights *w)
{
    const sc_moe_decoder *m = config;
    const sc_latent_config *l = &m->latent;
    sc_status s = sc_moe_adapt(config, w);
    sc_shape keys = {3, {l->heads, l->rank, l->nope}}, values = {3, {l->heads, l->v_d, l->rank}};
    for (int64_t i = 0; !s && i < m->decoder.layers; i++) {
        char name[128];
        snprintf(name, sizeof name, "blk.%lld.attn_k_b.weight", (long long)i);
        sc_weight *k = sc_weights_find(w, name);
        snprintf(name, sizeof name, "blk.%lld.attn_v_b.weight", (long long)i);
        sc_weight *v = sc_weights_find(w, name);
        if (!k || !v) continue;
        if (!sc_shape_equal(&k->shape, &keys) || !sc_shape_equal(&v->shape, &values) ||
            k->storage.dtype == SC_DTYPE_COUNT || v->storage.dtype == SC_DTYPE_COUNT)
            return sc_fail(SC_ESHAPE, "'%s' and attn_k_b do not have the shapes that the configuration makes them",
                           name);
        k->used = v->used = true;
        sc_weight from_k = *k, from_v = *v; /* adding moves them */
        snprintf(name, sizeof name, "model.layers.%lld.self_attn.kv_b_proj.weight", (long long)i);
        s = join(w, name, &from_k, &from_v);
    }
    return s;
}

const sc_family sc_family_deepseek_v2 = {.name = "deepseek_v2",
                                         .model_types = (const char *const[]){"deepseek_v2", NULL},
                                         .prefix = "model",
                                         .config_size = sizeof(sc_moe_decoder),
                                         .configure = configure_v2,
                                         .adapt = adapt,
                                         .build = sc_decoder_build,
                                         .describe = sc_moe_decoder_describe};
const sc_family sc_family_deepseek_v3 = {.name = "deepseek_v3",
                                         .model_types = (const char *const[]){"deepseek_v3", NULL},
                                         .prefix = "model",
                                         .config_size = sizeof(sc_moe_decoder),
                                         .configure = configure_v3,
                                         .adapt = adapt,
                                         .build = sc_decoder_build,
                                         .describe = sc_moe_decoder_describe};

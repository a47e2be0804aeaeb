/* SPDX-License-Identifier: Apache-2.0 */
/* DeepSeek-V2 (arXiv:2405.04434) and V3 (arXiv:2412.19437): latent attention, and mixtures of small experts beside shared
 * ones, from groups of which only the best may be chosen. */
#include "models/models.h"

#include <math.h>

typedef struct deepseek {
    sc_moe_decoder moe;
    sc_latent_config latent;
} deepseek;

static sc_tensor *attention(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    sc_latent_config c = ((const deepseek *)d)->latent;
    (void)i;
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
static void configure(sc_config *c, deepseek *m, bool v3)
{
    sc_decoder *d = &m->moe.decoder;
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
    sc_moe_decoder_configure(c, &m->moe);
    if (!v3) m->moe.moe.routing.normalise = false;
}

static void configure_v2(sc_config *c, void *config)
{
    deepseek *m = config;
    m->moe.moe = (sc_moe_config){.experts = 64, .width = 1407};
    m->moe.moe.routing = (sc_routing){.score = SC_SCORE_SOFTMAX, .group_best = 1};
    m->moe.shared = 2;
    configure(c, m, false);
    if (strcmp(sc_config_str(c, "topk_method", "greedy"), "group_limited_greedy") != 0)
        m->moe.moe.routing.groups = 1;
}

static void configure_v3(sc_config *c, void *config)
{
    deepseek *m = config;
    m->moe.moe = (sc_moe_config){.experts = 256, .width = 2048, .correction = "gate.e_score_correction_bias"};
    m->moe.moe.routing = (sc_routing){.used = 8,
                                      .score = SC_SCORE_SIGMOID,
                                      .normalise = true,
                                      .scale = 2.5f,
                                      .groups = 8,
                                      .groups_used = 4,
                                      .group_best = 2};
    m->moe.shared = 1;
    m->moe.first_sparse = 3;
    configure(c, m, true);
}

const sc_family sc_family_deepseek_v2 = {.name = "deepseek_v2",
                                         .model_types = (const char *const[]){"deepseek_v2", NULL},
                                         .prefix = "model",
                                         .config_size = sizeof(deepseek),
                                         .configure = configure_v2,
                                         .adapt = sc_moe_adapt,
                                         .build = sc_decoder_build,
                                         .describe = sc_moe_decoder_describe};
const sc_family sc_family_deepseek_v3 = {.name = "deepseek_v3",
                                         .model_types = (const char *const[]){"deepseek_v3", NULL},
                                         .prefix = "model",
                                         .config_size = sizeof(deepseek),
                                         .configure = configure_v3,
                                         .adapt = sc_moe_adapt,
                                         .build = sc_decoder_build,
                                         .describe = sc_moe_decoder_describe};

/* SPDX-License-Identifier: Apache-2.0 */
/* gpt-oss (arXiv:2508.10925): attention sinks, a window in every other layer, biases everywhere, and experts whose gate is
 * clamped. */
#include "models/models.h"

static sc_tensor *attention(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    sc_attention_config a = sc_decoder_attention_config(d, i, in);
    sc_scope_push(g, "%s", d->names.attn);
    a.sinks = sc_param(g, "sinks", (sc_init){SC_INIT_NORMAL, 0.02f}, 1, &a.heads);
    x = sc_self_attention(g, NULL, x, in, &a);
    sc_scope_pop(g);
    return x;
}

static void configure(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    sc_decoder *d = &m->decoder;
    d->eps = 1e-5f;
    d->attn.d = 64;
    d->rope.theta = 150000;
    if (!json_object_get(c->json, "sliding_window")) d->window = 128; /* null says none */
    sc_decoder_configure(c, d);
    sc_decoder_window_pattern(c, d, 2);
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", true) ? SC_BIAS : 0;
    d->mixer = attention;
    m->moe = (sc_moe_config){.width = d->ffn_width, .router = "router", .router_bias = SC_BIAS, .bias = SC_BIAS};
    m->moe.routing = (sc_routing){.used = 4, .score = SC_SCORE_CHOSEN};
    m->moe.alpha = (float)sc_config_num(c, "swiglu_alpha", 1.702, 1e-6, 1e6);
    m->moe.limit = (float)sc_config_num(c, "swiglu_limit", 7, 0, 1e30);
    m->balanced = true;
    sc_moe_decoder_configure(c, m);
}

const sc_family sc_family_gpt_oss = {.name = "gpt_oss",
                                     .model_types = (const char *const[]){"gpt_oss", NULL},
                                     .prefix = "model",
                                     .config_size = sizeof(sc_moe_decoder),
                                     .configure = configure,
                                     .columns = true,
                                     .adapt = sc_gpt_oss_adapt,
                                     .build = sc_decoder_build,
                                     .describe = sc_moe_decoder_describe};

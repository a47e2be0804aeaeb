/* SPDX-License-Identifier: Apache-2.0 */
/* Command R (Cohere 2024) and Command R7B and A, which have windows in three layers of four and a rotation in those alone:
 * attention and feed-forward side by side after one layer norm without biases; neighbours rotated with each other. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    bool second = strcmp(sc_config_str(c, "model_type", ""), "cohere2") == 0;
    d->eps = 1e-5f;
    d->tied = true;
    d->attn.neighbours = true;
    if (!second) d->rope.theta = 500000;
    if (second && !json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    sc_decoder_configure(c, d);
    if (second)
        sc_decoder_window_pattern(c, d, 4);
    else
        d->window = 0;
    if (second && d->window) d->rotated = d->sliding;
    if (second && !d->window) d->position = SC_POSITION_NONE;
    d->norm = SC_NORM_LAYER_WEIGHT;
    d->parallel = true;
    d->logit_scale = (float)sc_config_num(c, "logit_scale", 0.0625, -1e6, 1e6);
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    if (!second && sc_config_bool(c, "use_qk_norm", false)) d->attn.head_norm = SC_QK_NORM_EACH;
    d->names.ffn_norm = NULL;
}

const sc_family sc_family_cohere = {.name = "cohere",
                                    .model_types = (const char *const[]){"cohere", "cohere2", NULL},
                                    .prefix = "model",
                                    .config_size = sizeof(sc_decoder),
                                    .configure = configure,
                                    .build = sc_decoder_build,
                                    .describe = sc_decoder_describe};

/* SPDX-License-Identifier: Apache-2.0 */
/* EXAONE 4 (arXiv:2507.11407): only the results of attention and feed-forward are normed; head norms; windows in three layers of
 * four, and with them a rotation in those layers alone. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    if (!json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    sc_decoder_configure(c, d);
    sc_decoder_window_pattern(c, d, 4);
    if (d->window) d->rotated = d->sliding;
    d->attn.head_norm = SC_QK_NORM_HEAD;
    d->names.attn_norm = d->names.ffn_norm = NULL;
    d->names.attn_after = "post_attention_layernorm";
    d->names.ffn_after = "post_feedforward_layernorm";
}

const sc_family sc_family_exaone4 = {.name = "exaone4",
                                     .model_types = (const char *const[]){"exaone4", NULL},
                                     .prefix = "model",
                                     .config_size = sizeof(sc_decoder),
                                     .configure = configure,
                                     .build = sc_decoder_build,
                                     .describe = sc_decoder_describe};

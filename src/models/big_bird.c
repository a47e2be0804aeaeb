/* SPDX-License-Identifier: Apache-2.0 */
/* BigBird (Zaheer et al. 2020, arXiv:2007.14062): BERT whose tokens see their block and its neighbours, the first and last
 * block, and some others. Which others is drawn while it learns; evaluated, they all are the first block once more. */
#include "models/models.h"

#include <math.h>

static void configure_blocks(sc_config *c, sc_encoder *e)
{
    const char *kind = sc_config_str(c, "attention_type", "block_sparse");
    int64_t size = sc_config_int(c, "block_size", 64, 1, 1 << 20);
    int64_t random = sc_config_int(c, "num_random_blocks", 3, 0, 1024);
    if (strcmp(kind, "original_full") == 0 || e->sparse) return;
    if (strcmp(kind, "block_sparse") != 0) sc_config_fault(c, "attention_type '%s' is not known", kind);
    bool *all = sc_arena_alloc(c->arena, (size_t)e->layers);
    if (!all) c->status = sc_nomem();
    for (int64_t i = 0; all && i < e->layers; i++) all[i] = true;
    e->sparse = all;
    e->blocks = (sc_block_pattern){
        .size = size, .near = 1, .first = 1, .last = 1, .again = random, .dense = (5 + 2 * random) * size};
}

static void configure(sc_config *c, void *config)
{
    sc_encoder *e = config;
    sc_bert_configure(c, e, &sc_big_bird_names, SC_UNARY_TANH);
    e->positions = sc_config_int(c, "max_position_embeddings", 4096, 1, 1 << 24);
    e->act = sc_config_activation(c, "hidden_act", "gelu_new");
    if (e->head == SC_HEAD_FILL || e->head == SC_HEAD_CLASSES) e->head_act = e->act;
    /* Checkpoints with a head have the pooler too, which nothing of theirs uses. */
    e->pooler |= sc_config_has_weight(c, "bert", "bert.pooler.weight", false);
    e->attn.qkv_bias = sc_config_bool(c, "use_bias", true) ? SC_BIAS : 0;
    if (sc_config_bool(c, "rescale_embeddings", false)) e->embed_scale = sqrtf((float)e->width);
    configure_blocks(c, e);
}

const sc_family sc_family_big_bird = {.name = "big_bird",
                                      .model_types = (const char *const[]){"big_bird", NULL},
                                      .prefix = "bert",
                                      .config_size = sizeof(sc_encoder),
                                      .configure = configure,
                                      .build = sc_encoder_build,
                                      .describe = sc_encoder_describe};

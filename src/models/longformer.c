/* SPDX-License-Identifier: Apache-2.0 */
/* Longformer (Beltagy et al. 2020, arXiv:2004.05150): RoBERTa whose tokens see a window to each side. The first tokens of a
 * text may be global: all see them as keys, and they see all, through matrices of their own. */
#include "models/models.h"

#include <math.h>

typedef struct longformer {
    sc_encoder e;
    int64_t *window; /* of each layer */
    int64_t globals;
} longformer;

/* y (T, C) with the first tokens' rows replaced by what they see of all of x (T, C). A checkpoint has these matrices even
 * where no token is global. */
static sc_tensor *attend_globally(sc_graph *g, const longformer *m, sc_text_in *in, sc_tensor *x, sc_tensor *y)
{
    const sc_attention_config *a = &m->e.attn;
    const int64_t per_head[] = {-1, a->heads, a->d};
    sc_first_tokens first = sc_tokens_first(g, &in->seqs, SC_MAX(m->globals, 1));
    sc_tensor *q = sc_linear(g, "attention.self.query_global", sc_rows(g, x, first.rows), m->e.width, SC_BIAS);
    sc_kv kv = {sc_linear(g, "attention.self.key_global", x, m->e.width, SC_BIAS),
                sc_linear(g, "attention.self.value_global", x, m->e.width, SC_BIAS)};
    if (!m->globals) return y;
    sc_attention_attr attr = {.scale = (float)(1 / sqrt((double)a->d)), .cross = true};
    kv = (sc_kv){sc_reshape(g, kv.k, 3, per_head), sc_reshape(g, kv.v, 3, per_head)};
    sc_tensor *seen = sc_attention_cross(g, sc_reshape(g, q, 3, per_head), kv, &(sc_seqs){.start = first.start},
                                         &in->seqs, &attr);
    return sc_rows_and(g, y, sc_reshape(g, seen, 2, (int64_t[]){-1, m->e.width}), first.back);
}

static sc_tensor *mixer(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *const *shared,
                        sc_tensor *x)
{
    const longformer *m = (const longformer *)e;
    const sc_attention_names *n = &e->names->attn;
    sc_attention_config a = sc_encoder_attention_config(e, i);
    (void)shared;
    if (!a.blocks.size) {
        a.window = m->window[i];
        a.globals = m->globals;
    }
    sc_tensor *q = sc_linear(g, n->q, x, e->width, SC_BIAS), *k = sc_linear(g, n->k, x, e->width, SC_BIAS),
              *v = sc_linear(g, n->v, x, e->width, SC_BIAS);
    sc_tensor *y = sc_attend(g, in, &a, q, k, v);
    return sc_linear(g, n->o, attend_globally(g, m, in, x, y), e->width, SC_BIAS);
}

static void configure_windows(sc_config *c, longformer *m)
{
    const json_t *windows = json_object_get(c->json, "attention_window");
    bool each = json_is_array(windows);
    if (each && (int64_t)json_array_size(windows) != m->e.layers)
        sc_config_fault(c, "attention_window is not a list of %lld layers", (long long)m->e.layers);
    if (!(m->window = sc_arena_alloc(c->arena, sizeof *m->window * (size_t)m->e.layers))) {
        c->status = sc_nomem();
        return;
    }
    int64_t same = each ? 0 : sc_config_int(c, "attention_window", 512, 2, 1 << 30);
    for (int64_t i = 0; i < m->e.layers; i++) {
        const json_t *v = json_array_get(windows, (size_t)i);
        m->window[i] = each ? json_integer_value(v) : same;
        if (m->window[i] < 2 || m->window[i] > 1 << 30 || m->window[i] % 2)
            sc_config_fault(c, "attention_window of layer %lld is not an even number from 2 on", (long long)i);
    }
}

static void configure(sc_config *c, void *config)
{
    longformer *m = config;
    sc_encoder *e = &m->e;
    e->first_position = sc_config_int(c, "pad_token_id", 1, 0, 1 << 24) + 1;
    sc_bert_configure(c, e, &sc_longformer_names, SC_UNARY_TANH);
    e->mixer = mixer;
    configure_windows(c, m);
    /* transformers is told at each call which tokens are global, by default the first for a text's class and none else. */
    m->globals = sc_config_int(c, "global_tokens", e->head == SC_HEAD_CLASSES, 0, 1 << 20);
}

const sc_family sc_family_longformer = {.name = "longformer",
                                        .model_types = (const char *const[]){"longformer", NULL},
                                        .prefix = "longformer",
                                        .config_size = sizeof(longformer),
                                        .configure = configure,
                                        .build = sc_encoder_build,
                                        .describe = sc_encoder_describe};

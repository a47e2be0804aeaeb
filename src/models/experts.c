/* SPDX-License-Identifier: Apache-2.0 */
/* What decoders with mixtures of experts share. */
#include "models/models.h"

static sc_tensor *ffn(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    const sc_moe_decoder *m = (const sc_moe_decoder *)d;
    return m->sparse[i] ? sc_moe(g, m->name, x, &m->moe) : sc_decoder_ffn(g, d, i, in, x);
}

static bool listed(const json_t *list, int64_t n)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == n) return true;
    return false;
}

/* "mlp_layer_types" where given; else all from first_k_dense_replace on but mlp_only_layers and those that
 * decoder_sparse_step leaves out. */
static const bool *sparse_layers(sc_config *c, int64_t layers, int64_t otherwise)
{
    const json_t *types = json_object_get(c->json, "mlp_layer_types"),
                 *only = json_object_get(c->json, "mlp_only_layers");
    int64_t first = sc_config_int(c, "first_k_dense_replace", otherwise, 0, 1 << 20),
            step = sc_config_int(c, "decoder_sparse_step", 1, 1, 1 << 20);
    bool given = types && !json_is_null(types), *sparse = sc_arena_alloc(c->arena, (size_t)layers);
    if (!sparse) {
        c->status = sc_nomem();
        return NULL;
    }
    if (given && (!json_is_array(types) || (int64_t)json_array_size(types) != layers))
        sc_config_fault(c, "mlp_layer_types is not a list of %lld layers", (long long)layers);
    for (int64_t i = 0; i < layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        sparse[i] =
            given ? type && strcmp(type, "sparse") == 0 : i >= first && (i + 1) % step == 0 && !listed(only, i);
        if (given && !sparse[i] && (!type || strcmp(type, "dense") != 0))
            sc_config_fault(c, "mlp_layer_types[%lld] is '%s', which is not known", (long long)i,
                            type ? type : "no text");
    }
    return sparse;
}

static void read_routing(sc_config *c, sc_moe_config *m)
{
    sc_routing *r = &m->routing;
    r->used = sc_config_int(c, "num_experts_per_tok", r->used ? r->used : SC_REQUIRED, 1, 1 << 10);
    r->normalise = sc_config_bool(c, "norm_topk_prob", r->normalise);
    r->scale = (float)sc_config_num(c, "routed_scaling_factor", r->scale > 0 ? r->scale : 1, 0, 1e6);
    r->groups = sc_config_int(c, "n_group", SC_MAX(r->groups, 1), 1, 1 << 16);
    r->groups_used = sc_config_int(c, "topk_group", r->groups_used ? r->groups_used : r->groups, 1, 1 << 16);
    if (r->groups <= 1 || r->groups_used >= r->groups) r->groups = r->groups_used = 1; /* no limit */
    int64_t size = m->experts / r->groups;
    if (m->experts % r->groups || r->used > size * r->groups_used || (r->groups > 1 && r->group_best > size))
        sc_config_fault(c, "num_experts_per_tok %lld of topk_group %lld of n_group %lld groups of %lld experts",
                        (long long)r->used, (long long)r->groups_used, (long long)r->groups, (long long)m->experts);
}

void sc_moe_decoder_configure(sc_config *c, sc_moe_decoder *m)
{
    sc_decoder *d = &m->decoder;
    sc_moe_config *e = &m->moe;
    const int64_t wide = 4 << 20;
    if (!m->name) m->name = "mlp";
    if (!e->router) e->router = "gate";
    if (!e->gate) e->gate = "gate_proj", e->up = "up_proj", e->down = "down_proj";
    e->act = d->act;
    e->experts = sc_config_int(c, "num_experts|num_local_experts|n_routed_experts",
                               e->experts ? e->experts : SC_REQUIRED, 1, 1 << 16);
    e->width = sc_config_int(c, "moe_intermediate_size", e->width ? e->width : SC_REQUIRED, 1, wide);
    read_routing(c, e);
    int64_t shared = sc_config_int(c, "n_shared_experts|num_shared_experts", m->shared, 0, 1 << 10);
    if (!e->shared && shared) {
        e->shared = "shared_experts";
        e->shared_width = shared * e->width;
    }
    if (m->balanced && sc_config_bool(c, "output_router_logits", false))
        m->balance = (float)sc_config_num(c, "router_aux_loss_coef", 0.001, 0, 1e6);
    m->sparse = sparse_layers(c, d->layers, m->first_sparse);
    d->ffn = ffn;
}

const sc_moe_decoder *sc_model_moe(const sc_model *m)
{
    return m->family->describe == sc_moe_decoder_describe ? m->config : NULL;
}

void sc_moe_decoder_describe(const void *decoder, sc_model_info *info)
{
    const sc_moe_decoder *m = decoder;
    sc_decoder_describe(decoder, info);
    info->experts = m->moe.experts;
    info->experts_used = m->moe.routing.used;
    if (!m->latent.rank) return;
    info->head_dim = m->latent.nope + m->latent.rotated;
    info->latent = m->latent.rank + m->latent.rotated;
}

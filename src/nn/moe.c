/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/nn.h"

static const sc_init normal = {SC_INIT_NORMAL, 0.02f}, zeros = {SC_INIT_ZEROS, 0};

/* One matrix of every expert, (E, n, c), times x. */
static sc_tensor *experts(sc_graph *g, const sc_moe_config *m, const char *name, sc_tensor *x, sc_tensor *chosen,
                          int64_t n, int64_t c)
{
    char weight[128], bias[128];
    snprintf(weight, sizeof weight, "experts.%%d.%s.weight", name);
    snprintf(bias, sizeof bias, "experts.%%d.%s.bias", name);
    sc_tensor *w = sc_param_stack(g, weight, normal, m->experts, 2, (int64_t[]){n, c});
    sc_tensor *b = m->bias & SC_BIAS ? sc_param_stack(g, bias, zeros, m->experts, 1, &n) : NULL;
    sc_tensor *y = sc_linear_experts(g, x, w, chosen, b);
    sc_lora part;
    snprintf(weight, sizeof weight, ".experts.%%d.%s", name);
    const char *of = sc_arena_printf(g->arena, "%s%s", g->scope[g->depth], weight);
    for (int i = 0; of && sc_lora_next(g, of, SC_LORA_EXPERTS, i, n, c, &part); i++) {
        sc_shape down = {3, {part.experts, part.rank, c}}, up = {3, {part.experts, n, part.rank}};
        sc_tensor *few = sc_linear_experts(g, x, sc_graph_constant(g, "lora_A", &down, &part.a), chosen, NULL);
        y = sc_add(g, y, sc_linear_experts(g, few, sc_graph_constant(g, "lora_B", &up, &part.b), chosen, NULL));
    }
    return y;
}

/* An expert that every token goes to. */
static sc_tensor *shared(sc_graph *g, const sc_moe_config *m, sc_tensor *x)
{
    sc_tensor *y = sc_glu(g, m->shared, x, m->shared_width, m->act, 0);
    if (!m->shared_gate) return y;
    sc_tensor *gate = sc_unary(g, SC_UNARY_SIGMOID, sc_linear(g, m->shared_gate, x, 1, 0)); /* (T, 1) */
    return sc_expert_sum(g, sc_reshape(g, y, 3, (int64_t[]){-1, 1, x ? x->shape.dim[1] : 1}), gate);
}

sc_tensor *sc_moe(sc_graph *g, const char *name, sc_tensor *x, const sc_moe_config *m)
{
    if (g->status || !x) return NULL;
    int64_t c = x->shape.dim[1];
    sc_scope_push(g, "%s", name);
    sc_tensor *logits = sc_linear(g, m->router, x, m->experts, m->router_bias); /* (T, E) */
    sc_tensor *bias = m->correction ? sc_param_fixed(g, m->correction, zeros, 1, &m->experts) : NULL;
    sc_tensor *chosen = sc_top_experts(g, logits, bias, &m->routing); /* (T, K) */
    sc_tensor *weights = sc_expert_weights(g, logits, chosen, &m->routing);
    sc_tensor *gate = experts(g, m, m->gate, x, chosen, m->width, c),
              *up = experts(g, m, m->up, x, chosen, m->width, c);
    sc_tensor *h = m->alpha > 0 ? sc_clamped_glu(g, gate, up, m->alpha, m->limit)
                                : sc_mul(g, sc_unary(g, m->act, gate), up); /* (T, K, N) */
    sc_tensor *y = sc_expert_sum(g, experts(g, m, m->down, h, chosen, c, m->width), weights);
    if (m->shared) y = sc_add(g, y, shared(g, m, x));
    sc_scope_pop(g);
    return y;
}

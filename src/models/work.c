/* SPDX-License-Identifier: Apache-2.0 */
/* What evaluating a model costs at least, counted on the graph that its builder makes. */
#include "models/models.h"
#include "socle/bench.h"

/* The share of the matrices of a mixture that a run must read, if each token chooses others. */
static double share_of(const sc_tensor *y)
{
    double pairs = (double)y->shape.dim[0] * (double)y->shape.dim[1], experts = (double)y->in[1]->shape.dim[0];
    return y->in[2] && pairs < experts ? pairs / experts : 1;
}

/* Bytes of a parameter that a run must read: of a table that rows are looked up in, only those; of experts, those that are
 * chosen. */
static double read_of(const sc_graph *g, const sc_tensor *param)
{
    int64_t n = sc_shape_elements(&param->shape);
    double bytes = (double)sc_dtype_size(param->dtype, n), rows = 0;
    for (int64_t i = 0; i < g->count; i++) {
        const sc_tensor *y = g->tensor[i];
        for (int k = 0; k < y->n_in; k++) {
            const sc_tensor *x = y->in[k];
            if (!x || (x != param && x->view_of != param) || (y->op && y->op->view)) continue;
            if (y->op == &sc_op_linear_experts && k == 1) return bytes * share_of(y);
            if (y->op != &sc_op_rows) return bytes;
            rows += (double)y->shape.dim[0] / (double)SC_MAX(param->shape.dim[0], 1);
        }
    }
    return bytes * SC_MIN(rows, 1);
}

/* Keys that the tokens past .. past + n of a sequence see, summed over the tokens, and how many different ones. */
static void seen(const sc_attention_attr *a, int64_t n, int64_t past, double *sum, double *different)
{
    *sum = sc_attention_pairs(a, past, past + n, past + n);
    *different = (double)(a->window > 0 ? SC_MIN(past + n, a->window + n - 1) : past + n);
}

sc_status sc_model_work(const sc_model *m, int64_t tokens, int sequences, int64_t past, sc_dtype cache,
                        sc_work *out)
{
    const int64_t most = (int64_t)1 << 24;
    if (tokens < 1 || sequences < 1 || past < 0 || tokens > most || past > most || tokens * sequences > most)
        return sc_fail(SC_EINVAL, "%lld tokens of each of %d sequences after %lld", (long long)tokens, sequences,
                       (long long)past);
    const sc_dtype_info *d = sc_dtype_get(cache);
    if (!d) return sc_fail(SC_EINVAL, "a cache of type %d", (int)cache);
    sc_text_graph t = {0};
    sc_status s = sc_text_graph_new(&t, m, tokens * sequences, 1, sequences, NULL, NULL);
    if (s) return s;
    *out = (sc_work){0};
    for (int64_t i = 0; i < t.g->count; i++) {
        const sc_tensor *y = t.g->tensor[i];
        if (y->leaf == SC_PARAM) {
            out->weight_bytes += read_of(t.g, y);
        } else if (y->op == &sc_op_linear) {
            out->flops += 2 * (double)sc_shape_elements(&y->shape) * (double)y->in[1]->shape.dim[1];
        } else if (y->op == &sc_op_linear_experts) {
            out->flops += 2 * (double)sc_shape_elements(&y->shape) * (double)y->in[1]->shape.dim[2];
        } else if (y->op == &sc_op_attention) {
            const sc_tensor *q = y->in[0], *k = y->in[1], *v = y->in[2];
            /* Values that are a part of the keys are not read again. */
            bool part = v->view_of && v->view_of == (k->view_of ? k->view_of : k);
            double stored = (double)(k->shape.dim[1] * (k->shape.dim[2] + (part ? 0 : v->shape.dim[2])));
            double sum, different;
            seen(SC_ATTR(y, sc_attention_attr), tokens, past, &sum, &different);
            out->flops += 2 * sum * sequences * (double)(q->shape.dim[1] * (q->shape.dim[2] + v->shape.dim[2]));
            out->cache_bytes += different * sequences * stored * (double)d->bytes / (double)d->block;
        }
    }
    sc_graph_free(t.g);
    return SC_OK;
}

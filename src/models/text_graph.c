/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

static sc_tensor *table(sc_graph *g, const char *name, int rank, int64_t a, int64_t b)
{
    return sc_graph_input(g, name, SC_I32, &(sc_shape){rank, {a, b}});
}

sc_status sc_text_graph_new(sc_text_graph *out, const sc_model *m, int64_t tokens, int64_t sequences,
                            int64_t wanted, const sc_cache *cache, sc_cache_spec *spec)
{
    sc_graph *g;
    sc_status s = sc_graph_new(&g, m->source);
    if (s) return s;
    sc_text_in in = {.ids = table(g, "input_ids", 1, tokens, 0), .cache = cache, .spec = spec};
    in.types = table(g, "token_type_ids", 1, tokens, 0);
    in.seqs.position = table(g, "position", 1, tokens, 0);
    in.seqs.start = table(g, "start", 1, sequences + 1, 0);
    if (cache) {
        in.seqs.past = table(g, "past", 1, sequences, 0);
        in.seqs.slot = table(g, "slot", 1, tokens, 0);
        in.seqs.pages = table(g, "pages", 2, sequences, sc_cache_pages(cache));
        in.seqs.state_from = table(g, "state_from", 1, sequences, 0);
        in.seqs.state_to = table(g, "state_to", 1, sequences, 0);
    }
    if (wanted) in.wanted = table(g, "wanted", 1, wanted, 0);
    sc_tensor *logits = m->family->build(g, m->config, &in);
    if (g->status) {
        s = sc_fail(g->status, "%s", g->fault);
        sc_graph_free(g);
        return s;
    }
    *out = (sc_text_graph){.g = g, .in = in, .logits = logits};
    return SC_OK;
}

sc_status sc_text_graph_plan(sc_plan **out, const sc_text_graph *t, const sc_model *m, bool taps)
{
    int64_t n = 1 + (taps ? t->g->n_taps : 0);
    sc_tensor **outputs = sc_calloc((size_t)n, sizeof *outputs);
    if (!outputs) return sc_nomem();
    outputs[0] = t->logits;
    for (int64_t i = 1; i < n; i++) outputs[i] = t->g->tap[i - 1].tensor;
    sc_status s = sc_plan_new(out, t->g, m->backend, outputs, (int)n);
    sc_free(outputs);
    return s;
}

sc_status sc_model_plan_text(char **out, const sc_model *m, int64_t tokens, int64_t past)
{
    sc_cache *cache = NULL;
    sc_text_graph t = {0};
    sc_plan *p = NULL;
    sc_str text = {0};
    if (tokens < 1 || past < 0)
        return sc_fail(SC_EINVAL, "a plan for %lld tokens after %lld", (long long)tokens, (long long)past);
    sc_status s = m->cache.n_layers ? sc_cache_new(&cache, &m->cache, SC_F16, tokens + past, 1) : SC_OK;
    if (!s) s = sc_text_graph_new(&t, m, tokens, 1, 1, cache, NULL);
    if (!s) s = sc_text_graph_plan(&p, &t, m, false);
    if (!s) {
        sc_plan_print(p, &text);
        if (!(*out = sc_str_take(&text, NULL))) s = sc_nomem();
    }
    sc_plan_free(p);
    sc_graph_free(t.g);
    sc_cache_free(cache);
    return s;
}

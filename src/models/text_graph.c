/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

static sc_tensor *table(sc_graph *g, const char *name, int rank, int64_t a, int64_t b)
{
    return sc_graph_input(g, name, SC_I32, &(sc_shape){rank, {a, b}});
}

/* Tables of where tokens are in a cache. */
static void add_tables(sc_graph *g, sc_seqs *q, const sc_text_shape *shape, const sc_cache *cache,
                       const char *prefix)
{
    sc_scope_push(g, "%s", prefix);
    q->past = table(g, "past", 1, shape->sequences, 0);
    q->pages = table(g, "pages", 2, shape->sequences, sc_cache_pages(cache));
    sc_scope_pop(g);
}

/* What the encoder reads and the decoder looks at. */
static void add_source(sc_text_graph *t, const sc_text_shape *shape)
{
    sc_graph *g = t->g;
    t->memory = (sc_memory){.cache = shape->memory, .spec = shape->memory_spec};
    t->in.memory = &t->memory;
    if (shape->memory) add_tables(g, &t->memory.seqs, shape, shape->memory, "memory");
    if (!shape->source) return;
    t->source.ids = table(g, "source_ids", 1, shape->source, 0);
    t->source.seqs.position = table(g, "source_position", 1, shape->source, 0);
    t->source.seqs.start = t->memory.seqs.start = table(g, "source_start", 1, shape->sequences + 1, 0);
    if (shape->memory) t->memory.seqs.slot = table(g, "memory_slot", 1, shape->source, 0);
    t->in.source = &t->source;
}

sc_status sc_text_graph_build(sc_text_graph *out, const sc_model *m, const sc_text_shape *shape)
{
    sc_graph *g;
    sc_status s = sc_graph_new(&g, m->source);
    if (s) return s;
    sc_text_graph t = {.g = g};
    sc_text_in *in = &t.in;
    *in =
        (sc_text_in){.ids = table(g, "input_ids", 1, shape->tokens, 0), .cache = shape->cache, .spec = shape->spec};
    in->types = table(g, "token_type_ids", 1, shape->tokens, 0);
    in->seqs.position = table(g, "position", 1, shape->tokens, 0);
    in->seqs.start = table(g, "start", 1, shape->sequences + 1, 0);
    if (shape->cache) {
        in->seqs.slot = table(g, "slot", 1, shape->tokens, 0);
        add_tables(g, &in->seqs, shape, shape->cache, "cache");
        in->seqs.state_from = table(g, "state_from", 1, shape->sequences, 0);
        in->seqs.state_to = table(g, "state_to", 1, shape->sequences, 0);
    }
    if (shape->wanted) in->wanted = table(g, "wanted", 1, shape->wanted, 0);
    if (m->family->encoder_decoder) add_source(&t, shape);
    if (m->info.head == SC_HEAD_CLASSES) in->labels = m->info.labels;
    t.logits = m->family->build(g, m->config, in);
    in->source = NULL; /* they were for building */
    in->memory = NULL;
    if (g->status) {
        s = sc_fail(g->status, "%s", g->fault);
        sc_graph_free(g);
        return s;
    }
    *out = t;
    return SC_OK;
}

sc_status sc_text_graph_new(sc_text_graph *out, const sc_model *m, int64_t tokens, int64_t sequences,
                            int64_t wanted, const sc_cache *cache, sc_cache_spec *spec)
{
    return sc_text_graph_build(out, m,
                               &(sc_text_shape){.tokens = tokens,
                                                .sequences = sequences,
                                                .wanted = wanted,
                                                .cache = cache,
                                                .spec = spec,
                                                .source = tokens});
}

static bool fills_memory(const char *tap) { return strncmp(tap, "memory.", 7) == 0; }

sc_status sc_text_graph_plan_memory(sc_plan **out, const sc_text_graph *t, const sc_model *m)
{
    sc_tensor **outputs = sc_calloc((size_t)t->g->n_taps + 1, sizeof *outputs);
    int n = 0;
    if (!outputs) return sc_nomem();
    for (int64_t i = 0; i < t->g->n_taps; i++)
        if (fills_memory(t->g->tap[i].name)) outputs[n++] = t->g->tap[i].tensor;
    sc_status s = sc_plan_new(out, t->g, m->backend, outputs, n);
    sc_free(outputs);
    return s;
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

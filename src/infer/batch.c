/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/infer.h"

sc_tensor *sc_text_states(const sc_graph *g)
{
    static const char *const names[] = {"hidden_states.", "encoder_hidden_states.", "encoder_outputs."};
    for (int k = 0; k < SC_COUNT(names); k++)
        for (int64_t i = g->n_taps - 1; i >= 0; i--)
            if (strncmp(g->tap[i].name, names[k], strlen(names[k])) == 0) return g->tap[i].tensor;
    return NULL;
}

static const sc_text_in *input_of(const sc_batch *b) { return b->pair ? &b->t.source : &b->t.in; }

sc_status sc_batch_new(sc_batch *b, const sc_model *m, int64_t tokens, int64_t texts, unsigned pools,
                       int64_t wanted)
{
    sc_tensor *out[SC_POOL_COUNT];
    int n = 0;
    b->pair = m->info.source_vocab > 0;
    if (b->pair && !pools)
        return sc_fail(SC_EUNSUPPORTED, "%s: an encoder-decoder goes from text to text", m->info.path);
    /* What its decoder would need is not among the outputs, so it costs nothing. */
    sc_status s = sc_text_graph_build(&b->t, m,
                                      &(sc_text_shape){.tokens = b->pair ? texts : tokens,
                                                       .sequences = texts,
                                                       .wanted = b->pair ? 0 : wanted,
                                                       .source = tokens});
    if (s) return s;
    sc_graph *g = b->t.g;
    if (pools) {
        sc_tensor *x = sc_text_states(g), *stop = sc_slice(g, input_of(b)->seqs.start, 0, 1, texts);
        b->first = sc_graph_input(g, "first", SC_I32, &(sc_shape){1, {texts}});
        for (int i = 0; i < SC_POOL_COUNT; i++)
            if (pools >> i & 1) out[n++] = b->pooled[i] = sc_pool_tokens(g, (sc_pool_kind)i, x, b->first, stop);
    } else {
        out[n++] = b->t.logits;
    }
    s = g->status ? sc_fail(g->status, "%s", g->fault) : sc_plan_new(&b->plan, g, m->backend, out, n);
    if (s) sc_batch_free(b);
    return s;
}

sc_status sc_batch_run(sc_batch *b, const sc_batch_text *text, int64_t texts)
{
    const sc_text_in *in = input_of(b);
    int32_t *ids = sc_plan_data(b->plan, in->ids), *position = sc_plan_data(b->plan, in->seqs.position),
            *start = sc_plan_data(b->plan, in->seqs.start),
            *types = in->types ? sc_plan_data(b->plan, in->types) : NULL,
            *first = b->first ? sc_plan_data(b->plan, b->first) : NULL;
    int64_t at = 0;
    for (int64_t i = 0; i < texts; i++) {
        const sc_batch_text *x = &text[i];
        if (start) start[i] = (int32_t)at;
        if (first) first[i] = (int32_t)(at + x->skip);
        memcpy(ids + at, x->ids, sizeof *ids * (size_t)x->n);
        if (types && x->types) memcpy(types + at, x->types, sizeof *types * (size_t)x->n);
        if (types && !x->types) memset(types + at, 0, sizeof *types * (size_t)x->n);
        for (int64_t k = 0; position && k < x->n; k++) position[at + k] = (int32_t)k;
        at += x->n;
    }
    if (start) start[texts] = (int32_t)at;
    return sc_plan_run(b->plan);
}

void sc_batch_free(sc_batch *b)
{
    sc_plan_free(b->plan);
    sc_graph_free(b->t.g);
    *b = (sc_batch){0};
}

/* Leaves out tokens before what the tokenizer puts at the end. */
static void cut(sc_text_ids *x, const sc_tokenizer *t, int64_t most)
{
    const int32_t *before, *after;
    int64_t nb, na;
    if (x->n <= most) return;
    sc_tokenizer_template(t, &before, &nb, &after, &na);
    bool ends = na < most && na <= x->n && memcmp(x->ids + x->n - na, after, sizeof *after * (size_t)na) == 0;
    if (!ends) na = 0;
    memmove(x->ids + most - na, x->ids + x->n - na, sizeof *x->ids * (size_t)na);
    memmove(x->types + most - na, x->types + x->n - na, sizeof *x->types * (size_t)na);
    x->n = most;
}

sc_status sc_text_ids_new(sc_text_ids *out, const sc_tokenizer *t, sc_text text, sc_text pair, int64_t most)
{
    sc_text_ids x = {0};
    sc_status s = sc_tokenizer_encode_pair(t, text.p, text.len, pair.p, pair.len,
                                           SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, &x.ids, &x.types, &x.n);
    if (s) return s;
    x.whole = x.n;
    cut(&x, t, most);
    *out = x;
    return SC_OK;
}

void sc_text_ids_free(sc_text_ids *x)
{
    sc_free(x->ids);
    sc_free(x->types);
    *x = (sc_text_ids){0};
}

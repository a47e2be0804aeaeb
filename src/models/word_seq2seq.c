/* SPDX-License-Identifier: Apache-2.0 */
/* The sequence-to-sequence model before the transformer: a bidirectional GRU or LSTM reads the source, another with
 * additive attention writes (Sutskever et al. 2014; Bahdanau et al. 2015, arXiv:1409.0473). */
#include "models/models.h"

typedef struct word_seq2seq {
    int64_t source, target, embed, h, a; /* vocabularies and widths */
    bool lstm;
} word_seq2seq;

static void configure(sc_config *c, void *config)
{
    word_seq2seq *m = config;
    const int64_t wide = 1 << 16;
    m->source = sc_config_int(c, "src_vocab_size", SC_REQUIRED, 1, 1 << 24);
    m->target = sc_config_int(c, "tgt_vocab_size", SC_REQUIRED, 1, 1 << 24);
    m->embed = sc_config_int(c, "embed_dim", SC_REQUIRED, 1, wide);
    m->h = sc_config_int(c, "hidden_size", SC_REQUIRED, 1, wide);
    m->a = sc_config_int(c, "attention_size", SC_REQUIRED, 1, wide);
    const char *cell = sc_config_str(c, "cell", "gru");
    m->lstm = strcmp(cell, "lstm") == 0;
    if (!m->lstm && strcmp(cell, "gru") != 0) sc_config_fault(c, "cell is '%s', not gru or lstm", cell);
    if (!sc_config_bool(c, "bidirectional_encoder", true)) sc_config_fault(c, "bidirectional_encoder is false");
}

static const sc_init normal = {SC_INIT_NORMAL, 0.1f}, zeros = {SC_INIT_ZEROS, 0};

/* A cell's parameters, with `suffix` after their names. */
typedef struct cell {
    sc_tensor *in, *in_bias, *w, *b; /* (G H, width), (G H), (G H, H), (G H) */
} cell;

static cell parameters(sc_graph *g, const word_seq2seq *m, const char *suffix, int64_t width)
{
    int64_t gates = (m->lstm ? 4 : 3) * m->h;
    char name[64];
    cell c;
    snprintf(name, sizeof name, "weight_ih%s", suffix);
    c.in = sc_param(g, name, normal, 2, (int64_t[]){gates, width});
    snprintf(name, sizeof name, "weight_hh%s", suffix);
    c.w = sc_param(g, name, normal, 2, (int64_t[]){gates, m->h});
    snprintf(name, sizeof name, "bias_ih%s", suffix);
    c.in_bias = sc_param(g, name, zeros, 1, &gates);
    snprintf(name, sizeof name, "bias_hh%s", suffix);
    c.b = sc_param(g, name, zeros, 1, &gates);
    return c;
}

/* One direction over the source, x (U, E) → (U, H), with an LSTM (U, 2H). */
static sc_tensor *read(sc_graph *g, const word_seq2seq *m, sc_tensor *x, const sc_seqs *seqs, bool reverse)
{
    cell c = parameters(g, m, reverse ? "_l0_reverse" : "_l0", m->embed);
    return sc_cell(g, sc_apply_linear(g, x, c.in, c.in_bias), c.w, c.b, NULL, NULL, NULL, seqs, NULL,
                   &(sc_cell_attr){.lstm = m->lstm, .reverse = reverse});
}

/* What the decoder begins with: what both directions ended with, through "name"; part 0: h, 1: c. */
static sc_tensor *bridge(sc_graph *g, const word_seq2seq *m, const char *name, sc_tensor *const *direction,
                         int part, const sc_seqs *seqs)
{
    sc_tensor *end[2];
    if (g->status) return NULL;
    int64_t n = seqs->start->shape.dim[0] - 1;
    sc_tensor *first = sc_slice(g, seqs->start, 0, 0, n), *stop = sc_slice(g, seqs->start, 0, 1, n);
    for (int i = 0; i < 2; i++) {
        sc_tensor *x = sc_slice(g, direction[i], 1, part * m->h, m->h);
        end[i] = sc_pool_tokens(g, i ? SC_POOL_FIRST : SC_POOL_LAST, sc_contiguous(g, x), first, stop);
    }
    return sc_linear(g, name, sc_concat(g, 2, end), m->h, SC_BIAS);
}

/* Everything that the decoder reads of the source. */
typedef struct memory {
    sc_tensor *keys, *values, *h0, *c0;
} memory;

static memory encode(sc_graph *g, const word_seq2seq *m, sc_text_in *in)
{
    sc_tensor *x = sc_embedding(g, "src_embed", in->ids, m->source, m->embed), *direction[2], *h[2];
    sc_scope_push(g, "encoder");
    for (int i = 0; i < 2; i++) {
        direction[i] = read(g, m, x, &in->seqs, i);
        h[i] = sc_slice(g, direction[i], 1, 0, m->h);
    }
    sc_scope_pop(g);
    memory r = {.values = sc_concat(g, 2, h)};
    sc_tap(g, r.values, "encoder_outputs.0");
    r.keys = sc_linear(g, "attn_key", r.values, m->a, SC_BIAS);
    r.h0 = sc_unary(g, SC_UNARY_TANH, bridge(g, m, "bridge", direction, 0, &in->seqs));
    if (m->lstm) r.c0 = bridge(g, m, "bridge_c", direction, 1, &in->seqs);
    return r;
}

static sc_tensor *as_heads(sc_graph *g, sc_tensor *x, int64_t n)
{
    return sc_reshape(g, x, 3, (int64_t[]){-1, 1, n});
}

/* Keeps it in the memory's cache, where the first states stand in place of a sequence's first token. */
static void keep(sc_graph *g, const word_seq2seq *m, sc_memory *to, const memory *r, sc_kv tokens, sc_kv first)
{
    sc_seqs begin = {.slot = sc_slice(g, to->seqs.slot, 0, 0, 1)};
    sc_tap(g, sc_kv_write(g, tokens.k, as_heads(g, r->keys, m->a), &to->seqs), "memory.keys");
    sc_tap(g, sc_kv_write(g, tokens.v, as_heads(g, r->values, 2 * m->h), &to->seqs), "memory.values");
    sc_tap(g, sc_kv_write(g, first.k, as_heads(g, r->h0, m->h), &begin), "memory.h0");
    if (m->lstm) sc_tap(g, sc_kv_write(g, first.v, as_heads(g, r->c0, m->h), &begin), "memory.c0");
}

/* From the source where it is read, else from the cache. */
static memory remember(sc_graph *g, const word_seq2seq *m, sc_text_in *in)
{
    sc_memory *to = in->memory;
    memory r = {0};
    sc_kv tokens = {0}, first = {0};
    if (to->spec) {
        sc_cache_note(g, to->spec, 0, 1, m->a, 2 * m->h);
        sc_cache_note(g, to->spec, 1, 1, m->h, m->h);
    }
    if (to->cache) {
        tokens = sc_cache_layer(g, to->cache, 0);
        first = sc_cache_layer(g, to->cache, 1);
    }
    if (in->source) r = encode(g, m, in->source);
    if (in->source && to->cache && !g->status) keep(g, m, to, &r, tokens, first);
    if (!in->source) r = (memory){tokens.k, tokens.v, first.k, m->lstm ? first.v : NULL};
    return r;
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    const word_seq2seq *m = config;
    memory r = remember(g, m, in);
    sc_tensor *e = sc_embedding(g, "tgt_embed", in->ids, m->target, m->embed); /* (T, E) */
    sc_scope_push(g, "decoder");
    cell c = parameters(g, m, "", m->embed + 2 * m->h);
    sc_scope_pop(g);
    sc_additive attend = {.query = sc_param(g, "attn_query.weight", normal, 2, (int64_t[]){m->a, m->h}),
                          .keys = r.keys,
                          .values = r.values,
                          .into = sc_slice(g, c.in, 1, m->embed, 2 * m->h),
                          .memory = &in->memory->seqs};
    attend.v = sc_reshape(g, sc_param(g, "attn_v.weight", normal, 2, (int64_t[]){1, m->a}), 1, &m->a);
    sc_tensor *x = sc_apply_linear(g, e, sc_slice(g, c.in, 1, 0, m->embed), c.in_bias);
    sc_tensor *y = sc_cell(g, x, c.w, c.b, r.h0, r.c0, &attend, &in->seqs, sc_text_state(g, in, 1 + m->lstm, m->h),
                           &(sc_cell_attr){.lstm = m->lstm});
    sc_tensor *parts[] = {sc_slice(g, y, 1, 0, m->h), sc_slice(g, y, 1, (1 + m->lstm) * m->h, 2 * m->h), e};
    return sc_linear(g, "out", sc_wanted_rows(g, in, sc_concat(g, 3, parts)), m->target, SC_BIAS);
}

static void describe(const void *config, sc_model_info *info)
{
    const word_seq2seq *m = config;
    info->layers = 2;
    info->width = m->h;
    info->heads = info->kv_heads = 1;
    info->head_dim = m->h;
    info->vocab = m->target;
    info->source_vocab = m->source;
}

const sc_family sc_family_word_seq2seq = {.name = "word_seq2seq",
                                          .model_types = (const char *const[]){"word_seq2seq", NULL},
                                          .prefix = "",
                                          .config_size = sizeof(word_seq2seq),
                                          .configure = configure,
                                          .build = build,
                                          .describe = describe,
                                          .encoder_decoder = true};

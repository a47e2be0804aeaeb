/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/nn.h"

/* New weights: normal with HuggingFace's default initializer_range. */
static const sc_init normal = {SC_INIT_NORMAL, 0.02f}, zeros = {SC_INIT_ZEROS, 0}, ones = {SC_INIT_ONES, 0};

static int64_t last_dim(const sc_tensor *x) { return x && x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 0; }

bool sc_lora_next(sc_graph *g, const char *name, sc_lora_use use, int i, int64_t n, int64_t c, sc_lora *part)
{
    if (g->status || !g->params || !g->params->lora || !g->params->lora(g->params->user, name, use, i, part))
        return false;
    if ((part->rows == n || part->kind == SC_LORA_SCALES_IN) &&
        (part->cols == c || part->kind == SC_LORA_SCALES_OUT || part->kind == SC_LORA_FOLLOWS))
        return true;
    sc_graph_fault(g, sc_fail(SC_ESHAPE,
                              "an adapter for another model: its part for '%s' is for (%lld, %lld), the "
                              "matrix is (%lld, %lld)",
                              name, (long long)part->rows, (long long)part->cols, (long long)n, (long long)c));
    return false;
}

static sc_tensor *times(sc_graph *g, sc_tensor *x, const sc_storage *factors, int64_t n)
{
    return sc_mul(g, x, sc_graph_constant(g, "ia3_l", &(sc_shape){1, {n}}, factors));
}

static sc_tensor *constant(sc_graph *g, const char *name, const sc_storage *s, int rank, int64_t rows, int64_t cols)
{
    return sc_graph_constant(g, name, &(sc_shape){rank, {rows, cols}}, s);
}

/* x, or what chance leaves of it. */
static sc_tensor *thinned(sc_graph *g, sc_tensor *x, float rate)
{
    if (g->status || !(rate > 0) || !g->params->chance) return x;
    if (!g->chance) {
        const char *scope = g->scope[g->depth];
        g->scope[g->depth] = "";
        g->chance = sc_graph_input(g, "chance", SC_I32, &(sc_shape){1, {2}});
        g->scope[g->depth] = scope;
    }
    return sc_dropout(g, x, g->chance, rate);
}

/* With DoRA: the rows of w + b a get lengths that are trained. seen: x, or what is left of it where some was left out. */
static sc_tensor *with_lengths(sc_graph *g, const sc_lora *l, sc_tensor *w, sc_tensor *a, sc_tensor *b,
                               sc_tensor *seen, sc_tensor *plain, sc_tensor *added)
{
    sc_tensor *length = constant(g, "lora_magnitude_vector", &l->magnitude, 1, l->rows, 0),
              *square = constant(g, "lora_square", &l->square, 1, l->rows, 0);
    sc_tensor *gain = sc_mul(g, length, sc_inverse_lengths(g, square, w, a, b, l->scale));
    if (!seen || seen->op != &sc_op_dropout) return sc_mul(g, sc_add(g, plain, added), gain);
    /* What is left out is so for the change of lengths, not for what the matrix did before. */
    sc_tensor *change = sc_mul(g, sc_apply_linear(g, seen, w, NULL), sc_affine(g, gain, 1, -1));
    return sc_add(g, sc_add(g, plain, change), sc_mul(g, added, gain));
}

static sc_tensor *followed(sc_graph *g, sc_tensor *y, const sc_lora *l)
{
    sc_tensor *down = sc_apply_linear(g, y, constant(g, "adapter_down.weight", &l->a, 2, l->rank, l->rows),
                                      constant(g, "adapter_down.bias", &l->a_bias, 1, l->rank, 0));
    return sc_add(g, y,
                  sc_apply_linear(g, sc_unary(g, SC_UNARY_RELU, down),
                                  constant(g, "adapter_up.weight", &l->b, 2, l->rows, l->rank),
                                  constant(g, "adapter_up.bias", &l->b_bias, 1, l->rows, 0)));
}

/* x (T, C) w^T + bias and what adapters make of that; y (T, N). w is that of the scope we are in. */
static sc_tensor *adapted(sc_graph *g, sc_lora_use use, sc_tensor *x, sc_tensor *w, sc_tensor *bias)
{
    sc_lora part;
    if (!w) return NULL;
    const char *name = g->scope[g->depth];
    int64_t n = w->shape.dim[0], c = w->shape.dim[1];
    bool gain = false;
    sc_tensor *scaled = x;
    for (int i = 0; sc_lora_next(g, name, use, i, n, c, &part); i++) {
        gain = gain || part.gain.data || part.magnitude.data;
        if (part.kind == SC_LORA_SCALES_IN) scaled = times(g, scaled, &part.a, c);
    }
    sc_tensor *plain = sc_apply_linear(g, scaled, w, gain ? NULL : bias); /* a gain leaves the bias alone */
    sc_tensor *y = plain;
    for (int i = 0; sc_lora_next(g, name, use, i, n, c, &part); i++) {
        if (part.kind != SC_LORA_ADDS) continue;
        sc_tensor *a = constant(g, "lora_A", &part.a, 2, part.rank, part.cols),
                  *b = constant(g, "lora_B", &part.b, 2, part.rows, part.rank);
        sc_tensor *seen = thinned(g, x, part.dropout), *down = sc_apply_linear(g, seen, a, NULL);
        if (part.scale != 0) down = sc_affine(g, down, part.scale, 0);
        sc_tensor *added = sc_apply_linear(g, down, b, NULL);
        if (part.magnitude.data)
            y = with_lengths(g, &part, w, a, b, seen, y, added);
        else
            y = sc_add(g, y, added);
        if (part.gain.data) y = sc_add(g, y, sc_mul(g, plain, constant(g, "lora_gain", &part.gain, 1, n, 0)));
    }
    if (gain && bias) y = sc_add(g, y, bias);
    for (int i = 0; sc_lora_next(g, name, use, i, n, c, &part); i++)
        if (part.kind == SC_LORA_SCALES_OUT) y = times(g, y, &part.b, n);
    for (int i = 0; sc_lora_next(g, name, use, i, n, c, &part); i++)
        if (part.kind == SC_LORA_FOLLOWS) y = followed(g, y, &part);
    return y;
}

sc_tensor *sc_linear(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags)
{
    return sc_linear_from(g, name, x, n, flags, zeros);
}

sc_tensor *sc_linear_from(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags, sc_init from)
{
    int64_t c = last_dim(x);
    bool in_out = flags & SC_IN_OUT;
    if (g->status || !x) return NULL;
    sc_scope_push(g, "%s", name);
    sc_tensor *w = sc_param(g, "weight", normal, 2, in_out ? (int64_t[]){c, n} : (int64_t[]){n, c});
    if (in_out) w = sc_permute(g, w, (int[]){1, 0});
    sc_tensor *bias = flags & SC_BIAS ? sc_param(g, "bias", from, 1, &n) : NULL;
    sc_tensor *y = adapted(g, in_out ? SC_LORA_IN_OUT : SC_LORA_LINEAR, x, w, bias);
    sc_scope_pop(g);
    return y;
}

sc_tensor *sc_decay_rates(sc_graph *g, const char *name, sc_init init, int rank, const int64_t *dim)
{
    if (!g->params || !g->params->changing) return sc_param_formed(g, name, init, SC_FORM_NEG_EXP, rank, dim);
    return sc_affine(g, sc_unary(g, SC_UNARY_EXP, sc_param(g, name, init, rank, dim)), -1, 0);
}

sc_tensor *sc_rms_norm(sc_graph *g, const char *name, sc_tensor *x, float eps)
{
    int64_t c = last_dim(x);
    sc_scope_push(g, "%s", name);
    sc_tensor *y = sc_apply_rms_norm(g, x, sc_param(g, "weight", ones, 1, &c), eps);
    sc_scope_pop(g);
    return y;
}

sc_tensor *sc_layer_norm(sc_graph *g, const char *name, sc_tensor *x, float eps)
{
    int64_t c = last_dim(x);
    sc_scope_push(g, "%s", name);
    sc_tensor *w = sc_param(g, "weight", ones, 1, &c), *b = sc_param(g, "bias", zeros, 1, &c);
    sc_tensor *y = sc_apply_layer_norm(g, x, w, b, eps);
    sc_scope_pop(g);
    return y;
}

sc_tensor *sc_norm(sc_graph *g, sc_norm_kind kind, const char *name, sc_tensor *x, float eps)
{
    int64_t c = last_dim(x);
    if (kind == SC_NORM_RMS) return sc_rms_norm(g, name, x, eps);
    if (kind == SC_NORM_LAYER) return sc_layer_norm(g, name, x, eps);
    if (kind == SC_NORM_LAYER_PLAIN) return sc_apply_layer_norm(g, x, NULL, NULL, eps);
    sc_scope_push(g, "%s", name);
    sc_tensor *w = sc_param(g, "weight", kind == SC_NORM_RMS_PLUS ? zeros : ones, 1, &c);
    sc_tensor *y = kind == SC_NORM_RMS_PLUS ? sc_apply_rms_norm(g, x, sc_affine(g, w, 1, 1), eps)
                                            : sc_apply_layer_norm(g, x, w, NULL, eps);
    sc_scope_pop(g);
    return y;
}

/* An adapter's virtual tokens behind a table that `ids` are looked up in; NULL: none. */
static sc_tensor *prompt_of(sc_graph *g, const sc_tensor *ids, int64_t width)
{
    const sc_prompt *p = g->params ? &g->params->prompt : NULL;
    if (g->status || !p || !p->ids || p->layers || !ids || ids->leaf != SC_INPUT || strcmp(ids->name, p->ids) != 0)
        return NULL;
    if (p->width != width)
        return sc_graph_fault(g, sc_fail(SC_ESHAPE,
                                         "an adapter for another model: its virtual tokens are %lld wide, the "
                                         "model's tokens %lld",
                                         (long long)p->width, (long long)width));
    return sc_graph_constant(g, "prompt", &(sc_shape){2, {p->rows, width}}, &p->table);
}

/* Virtual tokens whose keys and values are given look like token 0 till then. */
static sc_tensor *real_ids(sc_graph *g, sc_tensor *ids)
{
    const sc_prompt *p = g->params ? &g->params->prompt : NULL;
    if (!p || !p->ids || !p->layers || !ids || ids->leaf != SC_INPUT || strcmp(ids->name, p->ids) != 0) return ids;
    sc_tensor *rows = sc_virtual_rows(g, ids, p->vocab);
    return sc_reshape(g, sc_slice(g, rows, 0, 1, 1), 1, (int64_t[]){-1});
}

static sc_tensor *embedding(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t skip,
                            int64_t width, int64_t still)
{
    sc_scope_push(g, "%s", name);
    sc_tensor *table = sc_param(g, "weight", normal, 2, (int64_t[]){skip + rows, width});
    sc_lora part;
    sc_tensor *seen = skip ? sc_slice(g, table, 0, skip, rows) : table, *more = prompt_of(g, ids, width);
    ids = real_ids(g, ids);
    sc_tensor *y = sc_rows_but(g, seen, more, ids, still);
    for (int i = 0; sc_lora_next(g, g->scope[g->depth], SC_LORA_TABLE, i, width, skip + rows, &part); i++) {
        sc_shape a = {2, {part.cols, part.rank}}, b = {2, {part.rows, part.rank}};
        sc_tensor *first = sc_graph_constant(g, "lora_embedding_A", &a, &part.a);
        sc_tensor *down = sc_rows(g, skip ? sc_slice(g, first, 0, skip, rows) : first, ids);
        if (part.scale != 0) down = sc_affine(g, down, part.scale, 0);
        y = sc_add(g, y, sc_apply_linear(g, down, sc_graph_constant(g, "lora_embedding_B", &b, &part.b), NULL));
    }
    sc_scope_pop(g);
    return y;
}

sc_tensor *sc_embedding_after(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t skip,
                              int64_t width)
{
    return embedding(g, name, ids, rows, skip, width, -1);
}

sc_tensor *sc_embedding_but(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t width,
                            int64_t still)
{
    return embedding(g, name, ids, rows, 0, width, still);
}

sc_tensor *sc_embedding(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t width)
{
    return embedding(g, name, ids, rows, 0, width, -1);
}

sc_tensor *sc_ffn(sc_graph *g, const char *name, sc_tensor *x, int64_t n, sc_unary_kind act, unsigned flags,
                  const sc_ffn_names *names)
{
    static const sc_ffn_names llama = {.gate = "gate_proj", .up = "up_proj", .down = "down_proj"};
    if (g->status || !x) return NULL;
    const sc_ffn_names *m = names ? names : &llama;
    int64_t c = last_dim(x);
    unsigned last = flags & SC_BIAS_DOWN ? SC_BIAS : flags;
    sc_tensor *h;
    flags &= ~(unsigned)SC_BIAS_DOWN;
    if (name) sc_scope_push(g, "%s", name);
    if (m->gate_up) {
        h = sc_linear(g, m->gate_up, x, 2 * n, flags);
        sc_tensor *gate = sc_slice(g, h, 1, 0, n), *up = sc_slice(g, h, 1, n, n);
        h = sc_mul(g, sc_unary(g, act, gate), up);
    } else if (m->gate) {
        sc_tensor *gate = sc_linear(g, m->gate, x, n, flags), *up = sc_linear(g, m->up, x, n, flags);
        h = sc_mul(g, sc_unary(g, act, gate), up);
    } else {
        h = sc_unary(g, act, sc_linear(g, m->up, x, n, flags));
    }
    h = sc_linear(g, m->down, h, c, last);
    if (name) sc_scope_pop(g);
    return h;
}

sc_tensor *sc_glu(sc_graph *g, const char *name, sc_tensor *x, int64_t n, sc_unary_kind act, unsigned flags)
{
    return sc_ffn(g, name, x, n, act, flags, NULL);
}

sc_tensor *sc_wanted_rows(sc_graph *g, const sc_text_in *in, sc_tensor *x)
{
    return in->wanted ? sc_rows(g, x, in->wanted) : x;
}

sc_tensor *sc_score_head(sc_graph *g, sc_text_in *in, sc_tensor *x)
{
    int64_t n = in->seqs.start ? in->seqs.start->shape.dim[0] - 1 : 0;
    x = sc_pool_tokens(g, SC_POOL_LAST, x, sc_slice(g, in->seqs.start, 0, 0, n),
                       sc_slice(g, in->seqs.start, 0, 1, n));
    return sc_linear(g, "score", x, in->labels, 0);
}

sc_tensor *sc_lm_head(sc_graph *g, sc_text_in *in, const char *name, sc_tensor *x, int64_t vocab)
{
    if (in->labels) return sc_score_head(g, in, x);
    return sc_linear(g, name, sc_wanted_rows(g, in, x), vocab, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration at another size: width, layers, heads and feed-forward in the proportions of the one given. A head keeps
 * its width while there are enough heads, so that sizes come in steps of one head. */
#include "scale/ladder.h"

#include <math.h>

typedef enum role { WIDTH, LAYERS, HEADS, KEY_HEADS, VALUE_HEADS, FFN, HEAD_WIDTH, PER_LAYER } role;

/* What configurations of all families call these. A list of PER_LAYER has an item for each layer. */
static const struct {
    const char *key;
    role role;
} keys[] = {
    {"hidden_size", WIDTH},
    {"n_embd", WIDTH},
    {"n_embed", WIDTH},
    {"d_model", WIDTH},
    {"dim", WIDTH},
    {"word_embed_proj_dim", WIDTH},
    {"embedding_size", WIDTH},
    {"num_hidden_layers", LAYERS},
    {"n_layer", LAYERS},
    {"n_layers", LAYERS},
    {"num_layers", LAYERS},
    {"num_decoder_layers", LAYERS},
    {"encoder_layers", LAYERS},
    {"decoder_layers", LAYERS},
    {"num_attention_heads", HEADS},
    {"n_head", HEADS},
    {"n_heads", HEADS},
    {"num_heads", HEADS},
    {"encoder_attention_heads", HEADS},
    {"decoder_attention_heads", HEADS},
    {"linear_num_key_heads", HEADS},
    {"linear_num_value_heads", VALUE_HEADS},
    {"num_key_value_heads", KEY_HEADS},
    {"intermediate_size", FFN},
    {"n_inner", FFN},
    {"ffn_dim", FFN},
    {"d_ff", FFN},
    {"hidden_dim", FFN},
    {"encoder_ffn_dim", FFN},
    {"decoder_ffn_dim", FFN},
    {"moe_intermediate_size", FFN},
    {"shared_expert_intermediate_size", FFN},
    {"q_lora_rank", FFN},
    {"kv_lora_rank", FFN},
    {"time_step_rank", FFN},
    {"head_dim", HEAD_WIDTH},
    {"d_kv", HEAD_WIDTH},
    {"rotary_dim", HEAD_WIDTH},
    {"layer_types", PER_LAYER},
    {"mlp_layer_types", PER_LAYER},
    {"no_rope_layers", PER_LAYER},
};

/* The first value of a role; 0: the configuration has none. */
static int64_t value_of(const json_t *config, role r)
{
    for (int i = 0; i < SC_COUNT(keys); i++) {
        const json_t *v = json_object_get(config, keys[i].key);
        if (keys[i].role == r && json_is_integer(v) && json_integer_value(v) > 0) return json_integer_value(v);
    }
    return 0;
}

static int64_t rounded(double x, int64_t to) { return SC_MAX(llround(x / (double)to), 1) * to; }

/* x at another width: a whole multiple of the width stays one, else multiples of 8 (or of less, where it was less). */
static int64_t beside(int64_t x, int64_t width, int64_t to)
{
    if (to == width) return x;
    if (x % width == 0) return x / width * to;
    return rounded((double)x * (double)to / (double)width, x >= 8 ? 8 : 1);
}

typedef struct sizes {
    int64_t width, layers, heads, head_width, linear_keys; /* of the configuration; 0: none */
    int64_t to_width, to_layers, to_heads, to_head_width;
} sizes;

static void find_sizes(sizes *x, const json_t *config, double factor)
{
    enum { FEWEST = 2, NARROWEST = 8, EVEN = 8, SHALLOWEST = 2 };
    *x = (sizes){
        .width = value_of(config, WIDTH), .layers = value_of(config, LAYERS), .heads = value_of(config, HEADS)};
    /* A single layer does what more of them do not only more of (Kaplan et al. 2020, section 3.2, leave it out). */
    x->to_layers = SC_MAX(llround(factor * (double)x->layers), SC_MIN(x->layers, SHALLOWEST));
    if (!x->heads) {
        x->to_width = rounded(factor * (double)x->width, EVEN);
        return;
    }
    int64_t groups = SC_MAX(json_integer_value(json_object_get(config, "n_groups")), 1);
    x->head_width = SC_MAX(x->width / x->heads, 1);
    x->linear_keys = json_integer_value(json_object_get(config, "linear_num_key_heads"));
    double wanted = factor * (double)x->width;
    x->to_head_width = x->head_width;
    while (wanted < (FEWEST - 0.5) * (double)x->to_head_width && x->to_head_width >= 2 * NARROWEST &&
           x->to_head_width % 4 == 0)
        x->to_head_width /= 2;
    x->to_heads = rounded(wanted / (double)x->to_head_width, groups);
    x->to_width = x->to_heads * x->to_head_width;
}

/* As many queries share a key as before, or the next fewer that divides the heads. */
static int64_t key_heads(const sizes *x, int64_t before)
{
    int64_t n = SC_MAX(SC_MIN(before * x->to_heads / SC_MAX(x->heads, 1), x->to_heads), 1);
    while (x->to_heads % n) n--;
    return n;
}

static json_t *list_of(const json_t *list, int64_t layers)
{
    json_t *out = json_array();
    size_t n = json_array_size(list);
    for (int64_t i = 0; out && n && i < layers; i++)
        if (json_array_append(out, json_array_get(list, (size_t)i % n)) != 0) break;
    return out;
}

static json_t *value_for(const sizes *x, role r, const json_t *v)
{
    int64_t n = json_integer_value(v);
    if (r == PER_LAYER) return json_is_array(v) ? list_of(v, x->to_layers) : NULL;
    if (!json_is_integer(v) || n < 1) return NULL;
    switch (r) {
    case WIDTH: n = beside(n, x->width, x->to_width); break;
    case LAYERS: n = SC_MAX(llround((double)n * (double)x->to_layers / (double)x->layers), 1); break;
    case HEADS: n = SC_MAX(n * x->to_heads / x->heads, 1); break;
    case VALUE_HEADS: /* as many share a key as before */
        n = SC_MAX(x->linear_keys * x->to_heads / x->heads, 1) * SC_MAX(n / SC_MAX(x->linear_keys, 1), 1);
        break;
    case KEY_HEADS: n = key_heads(x, n); break;
    case HEAD_WIDTH: n = SC_MAX(n * x->to_head_width / x->head_width, 2); break;
    default: n = beside(n, x->width, x->to_width);
    }
    return json_integer(n);
}

sc_status sc_config_grow(json_t **out, const json_t *config, const char *path, double factor)
{
    sizes x;
    const json_t *part = json_object_get(config, "text_config"),
                 *from = value_of(config, WIDTH) || !part ? config : part;
    find_sizes(&x, from, factor);
    if (!x.width || !x.layers)
        return sc_fail(SC_EUNSUPPORTED,
                       "%s: no width or no number of layers that is known, so it has no other sizes", path);
    json_t *changes = json_object();
    bool ok = changes != NULL;
    for (int i = 0; ok && i < SC_COUNT(keys); i++) {
        const json_t *v = json_object_get(from, keys[i].key);
        json_t *to = v ? value_for(&x, keys[i].role, v) : NULL;
        if (to) ok = json_object_set_new(changes, keys[i].key, to) == 0;
    }
    if (ok && from != config) {
        json_t *inner = json_deep_copy(part), *outer = json_object();
        ok = inner && outer && json_object_update(inner, changes) == 0 &&
             json_object_set(outer, "text_config", inner) == 0;
        json_decref(inner);
        json_decref(changes);
        changes = outer;
    }
    if (!ok) {
        json_decref(changes);
        return sc_nomem();
    }
    *out = changes;
    return SC_OK;
}

/* ---- what a size is ---- */

/* Operations of training on a token: three times those of going forward (Kaplan et al. 2020, section 2.1), counted on the
 * model's graph, the head on all tokens. */
static sc_status count_work(sc_size *out, const sc_model *m, int64_t length)
{
    sc_work work;
    sc_status s = sc_model_work(m, length, 1, 0, SC_F32, &work);
    if (s) return s;
    double head = m->info.head == SC_HEAD_NEXT || m->info.head == SC_HEAD_FILL
                      ? 2 * (double)m->info.vocab * (double)m->info.width * (double)(length - 1)
                      : 0;
    out->operations = 3 * (work.flops + head) / (double)length;
    return SC_OK;
}

sc_status sc_size_of(sc_size *out, sc_context *ctx, const sc_sizing *z, double factor)
{
    const sc_model_options make = {.weights = SC_WEIGHTS_FRESH, .config_only = true};
    json_t *changes = NULL;
    sc_model *m = NULL;
    sc_status s = sc_config_grow(&changes, z->config, z->path, factor);
    if (!s && json_object_update_missing(changes, z->changes) != 0) s = sc_nomem();
    if (!s) s = sc_model_open_changed(&m, ctx, z->path, &make, changes);
    if (!s) {
        int64_t length = z->length;
        if (!length) length = SC_MIN(m->info.context ? m->info.context : 512, 512);
        *out = (sc_size){.factor = factor,
                         .parameters = m->info.active,
                         .width = m->info.width,
                         .layers = m->info.layers,
                         .length = length};
        s = count_work(out, m, length);
    }
    sc_model_free(m);
    json_decref(changes);
    return s;
}

/* Parameters grow at least with the factor (tables) and at most with its cube (width twice, layers once). Sizes go in steps,
 * and not always upwards: first halves, then the neighbours. */
sc_status sc_size_near(sc_size *out, sc_context *ctx, const sc_sizing *z, double parameters)
{
    enum { HALVES = 12, NEIGHBOURS = 5 };
    sc_size at;
    sc_status s = sc_size_of(out, ctx, z, 1);
    if (s) return s;
    double ratio = log(parameters / (double)out->parameters), lo = fmin(ratio, ratio / 3) - 0.5,
           hi = fmax(ratio, ratio / 3) + 0.5;
    for (int i = 0; !s && i < HALVES + 2 * NEIGHBOURS + 1; i++) {
        double middle = (lo + hi) / 2;
        s = sc_size_of(&at, ctx, z, exp(i < HALVES ? middle : middle + 0.04 * (i - HALVES - NEIGHBOURS)));
        bool above = s == SC_ELIMIT || s == SC_ENOMEM || (!s && (double)at.parameters > parameters);
        if (i < HALVES) *(above ? &hi : &lo) = middle;
        if (s == SC_ELIMIT || s == SC_ENOMEM)
            s = SC_OK; /* too large to be opened is larger than wanted */
        else if (!s && fabs(log((double)at.parameters / parameters)) <
                           fabs(log((double)out->parameters / parameters)) - 1e-9)
            *out = at;
    }
    return s;
}

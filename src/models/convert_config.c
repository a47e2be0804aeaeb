/* SPDX-License-Identifier: Apache-2.0 */
/* config.json for a model that was not read from one, and what GGUF cannot say of a config.json. */
#include "models/models.h"

#include <math.h>

static bool set(json_t *o, const char *key, json_t *value) { return json_object_set_new(o, key, value) == 0; }

/* ---- what GGUF has no words for ---- */

static sc_status unsupported(const sc_model *m, const char *key)
{
    return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no key for this model's %s", m->info.path, key);
}

/* GGUF has one window for all layers. */
static sc_status layers_fit(const sc_model *m)
{
    const sc_decoder *d = m->config; /* what all families with rotary positions have so far */
    int64_t sliding = 0;
    for (int64_t i = 0; i < d->layers; i++) sliding += d->window > 0 && d->sliding[i];
    return sliding == 0 || sliding == d->layers ? SC_OK : unsupported(m, "windows in some layers only");
}

static bool is_one(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return !json_is_number(v) || json_number_value(v) == 1;
}

sc_status sc_config_fits_gguf(const sc_model *m)
{
    const char *arch = sc_gguf_arch_of(m->info.model_type);
    if (!arch)
        return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no name for model type '%s'", m->info.path,
                       m->info.model_type);
    bool gpt2 = strcmp(arch, "gpt2") == 0;
    const char *key = gpt2 ? "activation_function" : "hidden_act";
    sc_config c = {.json = m->json, .what = m->info.path};
    sc_unary_kind act = sc_config_activation(&c, key, gpt2 ? "gelu_new" : "silu");
    bool scale = sc_config_bool(&c, "scale_attn_weights", true);
    bool by_layer = sc_config_bool(&c, "scale_attn_by_inverse_layer_idx", false);
    if (c.status) return c.status;
    if (act != (gpt2 ? SC_UNARY_GELU_TANH : SC_UNARY_SILU)) return unsupported(m, key);
    if (gpt2) return scale && !by_layer ? SC_OK : unsupported(m, "scaling of attention");
    if (!is_one(m->json, "partial_rotary_factor") ||
        !is_one(json_object_get(m->json, "rope_parameters"), "partial_rotary_factor"))
        return unsupported(m, "partial_rotary_factor");
    return layers_fit(m);
}

/* ---- from GGUF's keys to transformers' ---- */

/* Does Llama 3's rule with these numbers give the divisors? */
static bool is_llama3(const sc_rope_params *p, double factor, int64_t original)
{
    float f[2048], plain[2048], scaling;
    if (p->dim / 2 > SC_COUNT(f)) return false;
    sc_rope_params rule = *p, base = *p;
    rule.type = SC_ROPE_LLAMA3;
    rule.factor = factor;
    rule.low_freq_factor = 1;
    rule.high_freq_factor = 4;
    rule.original_max_positions = original;
    base.type = SC_ROPE_DEFAULT;
    sc_rope_frequencies(&rule, 0, f, &scaling);
    sc_rope_frequencies(&base, 0, plain, &scaling);
    for (int64_t i = 0; i < p->dim / 2; i++)
        if (fabs((double)plain[i] / f[i] - p->short_factor[i]) > 1e-5 * p->short_factor[i]) return false;
    return true;
}

/* transformers has no type for bare divisors. They are Llama 3's mostly; what is not fits LongRoPE, which has lists. */
static sc_status name_factors(json_t *config, json_t *rope, const sc_rope_params *p)
{
    double factor = 1;
    for (int64_t i = 0; i < p->dim / 2; i++) factor = fmax(factor, p->short_factor[i]);
    int64_t originals[] = {8192, (int64_t)((double)p->max_positions / factor)};
    json_object_del(rope, "long_factor");
    for (int i = 0; i < SC_COUNT(originals); i++) {
        if (originals[i] < 1 || !is_llama3(p, factor, originals[i])) continue;
        json_object_del(rope, "short_factor");
        return set(rope, "rope_type", json_string("llama3")) && set(rope, "factor", json_real(factor)) &&
                       set(rope, "low_freq_factor", json_real(1)) && set(rope, "high_freq_factor", json_real(4)) &&
                       set(rope, "original_max_position_embeddings", json_integer(originals[i]))
                   ? SC_OK
                   : sc_nomem();
    }
    return set(rope, "rope_type", json_string("longrope")) && set(rope, "factor", json_real(1)) &&
                   set(rope, "attention_factor", json_real(1)) &&
                   set(rope, "long_factor", json_copy(json_object_get(rope, "short_factor"))) &&
                   set(rope, "original_max_position_embeddings", json_integer(p->max_positions)) &&
                   set(config, "original_max_position_embeddings", json_integer(p->max_positions))
               ? SC_OK
               : sc_nomem();
}

static sc_status fix_rope(json_t *o, const sc_model *m)
{
    json_t *rope = json_object_get(o, "rope_scaling");
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    sc_status s = SC_OK;
    json_object_del(o, "rope_interleave"); /* the rows are in HuggingFace's order now */
    if (!rope) return SC_OK;
    sc_arena *arena = sc_arena_new();
    if (!arena) return sc_nomem();
    sc_rope_params p = {0};
    sc_config c = {.json = o, .what = m->info.path, .arena = arena};
    sc_config_rope(&c, m->info.head_dim, &p);
    s = c.status;
    if (!s && p.type == SC_ROPE_FACTORS)
        s = name_factors(o, rope, &p);
    else if (!s && type && strcmp(type, "default") == 0)
        json_object_del(o, "rope_scaling");
    else if (!s && (p.type == SC_ROPE_LINEAR || p.type == SC_ROPE_DYNAMIC))
        json_object_del(rope, "original_max_position_embeddings"); /* theirs have no such number */
    sc_arena_free(arena);
    return s;
}

static sc_status set_ids(json_t *o, const sc_gguf *file)
{
    static const char *const ids[][2] = {{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                         {"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                         {"pad_token_id", "tokenizer.ggml.padding_token_id"}};
    for (int i = 0; file && i < SC_COUNT(ids); i++) {
        int64_t id = -1;
        sc_status s = sc_gguf_int(file, ids[i][1], INT32_MIN, UINT32_MAX, &id);
        if (s) return s;
        if (!set(o, ids[i][0], id >= 0 && id < INT32_MAX ? json_integer(id) : json_null())) return sc_nomem();
    }
    return SC_OK;
}

static sc_status from_gguf(json_t *o, const sc_model *m, const sc_gguf *file)
{
    static const struct {
        const char *type, *class, *act;
    } of[] = {{"llama", "LlamaForCausalLM", "hidden_act"},
              {"mistral", "MistralForCausalLM", "hidden_act"},
              {"qwen2", "Qwen2ForCausalLM", "hidden_act"},
              {"qwen3", "Qwen3ForCausalLM", "hidden_act"},
              {"gpt2", "GPT2LMHeadModel", "activation_function"}};
    int i = 0;
    while (i < SC_COUNT(of) && strcmp(of[i].type, m->info.model_type) != 0) i++;
    if (i == SC_COUNT(of))
        return sc_fail(SC_EUNSUPPORTED, "%s: models of type '%s' are not written as directories yet", m->info.path,
                       m->info.model_type);
    bool gpt2 = strcmp(of[i].type, "gpt2") == 0;
    if (!set(o, "architectures", json_pack("[s]", of[i].class)) ||
        !set(o, of[i].act, json_string(gpt2 ? "gelu_new" : "silu")))
        return sc_nomem();
    if (strncmp(m->info.model_type, "qwen", 4) != 0) json_object_del(o, "use_sliding_window"); /* a key of Qwen's */
    sc_status s = fix_rope(o, m);
    return s ? s : set_ids(o, file);
}

sc_status sc_config_for_hf(json_t **out, const sc_model *m, sc_dtype dtype, const sc_gguf *file)
{
    const char *name = dtype == SC_F16 ? "float16" : dtype == SC_BF16 ? "bfloat16" : "float32";
    json_t *o = json_deep_copy(m->json);
    if (!o) return sc_nomem();
    sc_status s = file ? from_gguf(o, m, file) : SC_OK;
    bool newer = json_object_get(o, "dtype") != NULL;
    if (!s && newer && !set(o, "dtype", json_string(name))) s = sc_nomem();
    if (!s && (!newer || json_object_get(o, "torch_dtype")) && !set(o, "torch_dtype", json_string(name)))
        s = sc_nomem();
    if (s)
        json_decref(o);
    else
        *out = o;
    return s;
}

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

sc_status sc_config_fits_gguf(const sc_model *m)
{
    const sc_gguf_arch *a = sc_gguf_arch_for(m->info.model_type);
    const sc_decoder *d = sc_model_decoder(m);
    if (a && json_is_object(json_object_get(m->json, "block_sparse")))
        return unsupported(m, "block_sparse attention");
    if (a && sc_model_encoder(m)) return sc_gguf_fits_encoder(m, a);
    if (a && strncmp(a->arch, "t5", 2) == 0) return sc_gguf_fits_t5(m);
    if (!a || (!d && !m->family->ssm))
        return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no name for model type '%s'", m->info.path,
                       m->info.model_type);
    if (m->family->ssm) {
        sc_status s = sc_gguf_fits_ssm(m, a);
        if (s || !d) return s;
    }
    sc_config c = {.json = json_null(), .what = m->info.path};
    int64_t sliding = 0;
    for (int64_t i = 0; i < d->layers; i++) sliding += d->window > 0 && d->sliding[i];
    if (d->act != sc_config_activation(&c, "hidden_act", a->act))
        return unsupported(m, sc_gguf_alias(a, "hidden_act"));
    if (strcmp(a->arch, "gpt2") == 0 && (d->attn.scale > 0 || d->scale_by_layer))
        return unsupported(m, "scaling of attention");
    if (d->residual_normed) return unsupported(m, "apply_residual_connection_post_layernorm");
    if (strcmp(a->arch, "gemma2") == 0 && (d->attn.cap <= 0 || d->logit_cap <= 0))
        return unsupported(m, "lack of caps");
    if (d->local_rope.dim > 0 && d->local_rope.type != SC_ROPE_DEFAULT)
        return unsupported(m, "rotation in layers with a window");
    for (const sc_gguf_name *r = a->names; r->hf; r++)
        if (r->permuted && d->rope.dim != d->attn.d) return unsupported(m, "partial_rotary_factor");
    return sliding == 0 || sliding == d->layers || a->period ? SC_OK
                                                             : unsupported(m, "windows in some layers only");
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
    if (!rope || !sc_model_decoder(m)) return SC_OK;
    const sc_rope_params p = sc_model_decoder(m)->rope;
    if (p.type == SC_ROPE_FACTORS)
        s = name_factors(o, rope, &p);
    else if (type && strcmp(type, "default") == 0)
        json_object_del(o, "rope_scaling");
    else if (p.type == SC_ROPE_LINEAR || p.type == SC_ROPE_DYNAMIC)
        json_object_del(rope, "original_max_position_embeddings"); /* theirs have no such number */
    else if (p.type == SC_ROPE_LONGROPE &&                         /* Phi-3 reads it there */
             !set(o, "original_max_position_embeddings", json_integer(p.original_max_positions)))
        s = sc_nomem();
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

/* For types that would have windows in some layers otherwise. */
static sc_status say_no_windows(json_t *o, int64_t layers)
{
    json_t *types = json_array();
    for (int64_t i = 0; types && i < layers; i++) json_array_append_new(types, json_string("full_attention"));
    return set(o, "layer_types", types) ? SC_OK : sc_nomem();
}

static sc_status from_gguf(json_t *o, const sc_model *m, const sc_gguf *file)
{
    /* What stands there for this library's reading of the file: the weights are in HuggingFace's order now. */
    static const char *const own[] = {"rope_interleave", "qkv_joined", "norm_weights_whole", "linear_heads_tiled",
                                      "linear_qkvz_apart"};
    const sc_gguf_arch *a = sc_gguf_arch_for(m->info.model_type);
    if (!a)
        return sc_fail(SC_EUNSUPPORTED, "%s: models of type '%s' are not written as directories yet", m->info.path,
                       m->info.model_type);
    if (json_is_true(json_object_get(o, "linear_qkvz_apart")) && strcmp(a->arch, "qwen3next") == 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: matrices that are split in the file are not put together again",
                       m->info.path);
    for (int i = 0; i < SC_COUNT(own); i++) json_object_del(o, own[i]);
    if (strncmp(a->arch, "t5", 2) == 0)
        return set(o, "architectures", json_pack("[s]", a->hf_class)) ? set_ids(o, file) : sc_nomem();
    bool bloom = strcmp(a->arch, "bloom") == 0; /* it has one activation */
    if (!set(o, "architectures", json_pack("[s]", a->hf_class)) ||
        (!bloom && !set(o, sc_gguf_alias(a, "hidden_act"), json_string(a->act))))
        return sc_nomem();
    if (strncmp(m->info.model_type, "qwen", 4) != 0) { /* keys of Qwen's */
        json_object_del(o, "use_sliding_window");
        json_object_del(o, "max_window_layers");
    }
    sc_status s = fix_rope(o, m);
    if (!s && a->period && json_is_null(json_object_get(o, "sliding_window")))
        s = say_no_windows(o, m->info.layers);
    return s ? s : set_ids(o, file);
}

sc_status sc_config_for_hf(json_t **out, const sc_model *m, sc_dtype dtype, const sc_gguf *file)
{
    const char *name = dtype == SC_F16 ? "float16" : dtype == SC_BF16 ? "bfloat16" : "float32";
    json_t *o = json_deep_copy(m->json);
    if (!o) return sc_nomem();
    sc_status s = file ? from_gguf(o, m, file) : SC_OK;
    json_object_del(o, "quantization_config"); /* none of whose types is written */
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

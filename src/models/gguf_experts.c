/* SPDX-License-Identifier: Apache-2.0 */
/* What GGUF says of mixtures of experts and of latent attention. */
#include "models/models.h"

#include <math.h>

enum { SOFTMAX = 1, SIGMOID = 2, SOFTMAX_OF_CHOSEN = 3 }; /* expert_gating_func */

static bool set(json_t *o, const char *name, json_t *value) { return json_object_set_new(o, name, value) == 0; }
static bool is(const sc_gguf_arch *a, const char *type) { return strcmp(a->model_type, type) == 0; }
static bool is_hybrid(const sc_gguf_arch *a) { return is(a, "qwen3_next") || is(a, "qwen3_5_moe_text"); }
static bool is_qwen(const sc_gguf_arch *a) { return is(a, "qwen2_moe") || is(a, "qwen3_moe") || is_hybrid(a); }
static bool is_deepseek(const sc_gguf_arch *a) { return strcmp(a->arch, "deepseek2") == 0; }

/* A number under "ARCH.key"; `otherwise` where it is absent. */
static sc_status number(const sc_gguf *file, const char *arch, const char *key, int64_t otherwise, int64_t *out)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    *out = otherwise;
    return sc_gguf_key(file, name) ? sc_gguf_int(file, name, 0, UINT32_MAX, out) : SC_OK;
}

sc_status sc_gguf_arch_of_file(const sc_gguf_arch **out, const sc_gguf *file)
{
    const char *arch = NULL;
    int64_t experts = 0, gating = SOFTMAX;
    sc_status s = sc_gguf_str(file, "general.architecture", &arch);
    if (s) return s;
    if (!arch) return sc_fail(SC_EFORMAT, "%s: general.architecture is missing", sc_gguf_path(file));
    const sc_gguf_arch *a = sc_gguf_arch_named(arch);
    if (!a) return sc_fail(SC_EUNSUPPORTED, "%s: architecture '%s' is not known", sc_gguf_path(file), arch);
    if ((s = number(file, arch, "expert_count", 0, &experts)) ||
        (s = number(file, arch, "expert_gating_func", SOFTMAX, &gating)))
        return s;
    if (strcmp(arch, "llama") == 0 && experts > 0) a = sc_gguf_arch_for("mixtral");
    if (is_deepseek(a) && gating == SIGMOID) a = sc_gguf_arch_for("deepseek_v3");
    *out = a;
    return SC_OK;
}

/* Layers without a router are dense. */
static sc_status read_dense_layers(json_t *o, const sc_gguf *file)
{
    int64_t layers = json_integer_value(json_object_get(o, "num_hidden_layers"));
    json_t *dense = json_array();
    for (int64_t i = 0; dense && i < SC_MIN(layers, 1024); i++) {
        char name[64];
        const sc_file_tensor *t;
        snprintf(name, sizeof name, "blk.%lld.ffn_gate_inp.weight", (long long)i);
        if (sc_gguf_find(file, name, &t) != SC_OK) json_array_append_new(dense, json_integer(i));
    }
    return set(o, "mlp_only_layers", dense) ? SC_OK : sc_nomem();
}

/* The widths of a head's parts. A file for absorbed attention has those of the cache under the usual keys. */
static sc_status read_latent(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    int64_t key, value, key_mla, value_mla, rotated;
    sc_status s;
    if ((s = number(file, a->arch, "attention.key_length", 0, &key)) ||
        (s = number(file, a->arch, "attention.value_length", 0, &value)) ||
        (s = number(file, a->arch, "attention.key_length_mla", key, &key_mla)) ||
        (s = number(file, a->arch, "attention.value_length_mla", value, &value_mla)) ||
        (s = number(file, a->arch, "rope.dimension_count", 64, &rotated)))
        return s;
    json_object_del(o, "partial_rotary_factor");
    if (key_mla <= rotated)
        return sc_fail(SC_EFORMAT, "%s: keys of %lld features, %lld of them rotated", sc_gguf_path(file),
                       (long long)key_mla, (long long)rotated);
    json_t *heads = json_object_get(o, "num_attention_heads");
    bool ok = set(o, "qk_nope_head_dim", json_integer(key_mla - rotated)) &&
              set(o, "qk_rope_head_dim", json_integer(rotated)) && set(o, "head_dim", json_integer(rotated)) &&
              set(o, "v_head_dim", json_integer(value_mla)) && set(o, "num_key_value_heads", json_incref(heads)) &&
              (json_object_get(o, "q_lora_rank") || set(o, "q_lora_rank", json_null()));
    return ok ? SC_OK : sc_nomem();
}

/* Softmax routing chooses from groups only where there are some. */
static bool set_method(json_t *o)
{
    bool groups = json_integer_value(json_object_get(o, "n_group")) > 1;
    return set(o, "topk_method", json_string(groups ? "group_limited_greedy" : "greedy"));
}

sc_status sc_gguf_read_experts(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    sc_status s = SC_OK;
    json_t *rope = json_object_get(o, "rope_scaling");
    bool ok = true;
    if (json_integer_value(json_object_get(o, sc_gguf_alias(a, "num_experts"))) <= 0) { /* some files say 0 */
        json_object_del(o, "num_experts");
        json_object_del(o, "num_experts_per_tok");
        return SC_OK;
    }
    if (is_qwen(a)) s = read_dense_layers(o, file);
    if (!s && is_deepseek(a)) s = read_latent(o, file, a);
    if (s) return s;
    if ((is(a, "qwen3_moe") || is_hybrid(a)) && !json_object_get(o, "norm_topk_prob"))
        ok = set(o, "norm_topk_prob", json_true());
    if (is(a, "deepseek_v2")) ok = set_method(o);
    if (is(a, "deepseek_v3")) ok = set(o, "rope_interleave", json_true());
    if (is(a, "gpt_oss")) {
        json_object_del(o, "moe_intermediate_size"); /* the same as intermediate_size */
        const char *type = json_string_value(json_object_get(rope, "rope_type"));
        ok = !type || strcmp(type, "yarn") != 0 || set(rope, "truncate", json_false());
    }
    return ok ? SC_OK : sc_nomem();
}

bool sc_gguf_expert_values(json_t *o, const sc_model *m, const sc_gguf_arch *a)
{
    const sc_moe_decoder *d = sc_model_moe(m);
    if (!d) return true;
    const sc_moe_config *e = &d->moe;
    const sc_latent_config *l = &d->latent;
    const sc_routing *r = &e->routing;
    bool ok =
        set(o, "num_experts", json_integer(e->experts)) && set(o, "num_experts_per_tok", json_integer(r->used));
    if (is(a, "mixtral")) return ok;
    ok = ok && set(o, "moe_intermediate_size", json_integer(e->width));
    if (e->alpha > 0 && e->alpha != 1.702f) ok = ok && set(o, "swiglu_alpha", json_real((double)e->alpha));
    if (e->alpha > 0 && e->limit != 7) ok = ok && set(o, "swiglu_limit", json_real((double)e->limit));
    if (is(a, "gpt_oss")) return ok;
    if (is(a, "qwen2_moe") || is_hybrid(a))
        ok = ok && set(o, "shared_expert_intermediate_size", json_integer(e->shared_width));
    if (r->normalise != (is(a, "qwen3_moe") || is_hybrid(a)) || e->correction)
        ok = ok && set(o, "norm_topk_prob", json_boolean(r->normalise));
    if (is_qwen(a)) return ok;
    int64_t dense = 0;
    while (dense < d->decoder.layers && !d->sparse[dense]) dense++;
    ok = ok && set(o, "first_k_dense_replace", json_integer(dense)) &&
         set(o, "n_shared_experts", json_integer(e->shared_width / e->width)) &&
         set(o, "routed_scaling_factor", json_real((double)r->scale)) &&
         set(o, "n_group", json_integer(r->groups)) && set(o, "topk_group", json_integer(r->groups_used));
    if (!l->rank) return ok;
    if (l->q_rank) ok = ok && set(o, "q_lora_rank", json_integer(l->q_rank));
    return ok && set(o, "kv_lora_rank", json_integer(l->rank)) &&
           set(o, "head_dim", json_integer(l->nope + l->rotated)) &&
           set(o, "num_key_value_heads", json_integer(l->heads));
}

/* Dense layers only where GGUF's readers expect them. */
static sc_status check_layers(const sc_model *m, const sc_moe_decoder *d, const sc_gguf_arch *a)
{
    int64_t dense = 0, leading = 0;
    for (int64_t i = 0; i < d->decoder.layers; i++) {
        dense += !d->sparse[i];
        leading += !d->sparse[i] && leading == i;
    }
    if (dense && (is_qwen(a) || dense != leading))
        sc_log(m->ctx, SC_LOG_WARNING,
               "%s: its layers without experts are written, but other programs may not read them", m->info.path);
    return dense == leading || is_qwen(a)
               ? SC_OK
               : sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no key for this model's mlp_layer_types", m->info.path);
}

sc_status sc_gguf_write_experts(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a)
{
    const sc_moe_decoder *d = sc_model_moe(m);
    char name[256];
    sc_status s;
    if (!d) return SC_OK;
    const sc_moe_config *e = &d->moe;
    if (e->alpha > 0 && (e->alpha != 1.702f || e->limit != 7))
        sc_log(m->ctx, SC_LOG_WARNING, "%s: its swiglu_limit is written, but other programs may not read it",
               m->info.path);
    if ((s = check_layers(m, d, a))) return s;
    snprintf(name, sizeof name, "%s.expert_gating_func", a->arch);
    int64_t gating = e->routing.score == SC_SCORE_SIGMOID  ? SIGMOID
                     : e->routing.score == SC_SCORE_CHOSEN ? SOFTMAX_OF_CHOSEN
                                                           : SOFTMAX;
    return is(a, "mixtral") ? SC_OK : sc_gguf_writer_int(w, name, SC_GGUF_U32, gating);
}

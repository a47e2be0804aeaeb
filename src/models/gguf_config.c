/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF metadata as a config.json, so that a family reads one kind of configuration. */
#include "models/models.h"

#include <math.h>
#include <stdlib.h>

typedef enum kind { INT, NUM, BOOL } kind;

/* A key of HuggingFace's, which a type may call otherwise (sc_gguf_alias), and the GGUF key after "ARCH." that it is. */
typedef struct key_name {
    const char *hf, *gguf;
    kind kind;
} key_name;

static const key_name keys[] = {
    {"num_hidden_layers", "block_count", INT},
    {"max_position_embeddings", "context_length", INT},
    {"hidden_size", "embedding_length", INT},
    {"intermediate_size", "feed_forward_length", INT},
    {"num_attention_heads", "attention.head_count", INT},
    {"num_key_value_heads", "attention.head_count_kv", INT},
    {"head_dim", "attention.key_length", INT},
    {"sliding_window", "attention.sliding_window", INT},
    {"vocab_size", "vocab_size", INT},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", NUM},
    {"layer_norm_eps", "attention.layer_norm_epsilon", NUM},
    {"rope_theta", "rope.freq_base", NUM},
    {"rope_local_base_freq", "rope.freq_base_swa", NUM},
    {"attn_logit_softcapping", "attn_logit_softcapping", NUM},
    {"final_logit_softcapping", "final_logit_softcapping", NUM},
    {"attention_multiplier", "attention.scale", NUM},
    {"embedding_multiplier", "embedding_scale", NUM},
    {"residual_multiplier", "residual_scale", NUM},
    {"logit_scale", "logit_scale", NUM},
    {"use_parallel_residual", "use_parallel_residual", BOOL},
    {"num_experts", "expert_count", INT},
    {"num_experts_per_tok", "expert_used_count", INT},
    {"moe_intermediate_size", "expert_feed_forward_length", INT},
    {"shared_expert_intermediate_size", "expert_shared_feed_forward_length", INT},
    {"n_shared_experts", "expert_shared_count", INT},
    {"first_k_dense_replace", "leading_dense_block_count", INT},
    {"routed_scaling_factor", "expert_weights_scale", NUM},
    {"norm_topk_prob", "expert_weights_norm", BOOL},
    {"n_group", "expert_group_count", INT},
    {"topk_group", "expert_group_used_count", INT},
    {"q_lora_rank", "attention.q_lora_rank", INT},
    {"kv_lora_rank", "attention.kv_lora_rank", INT},
    {"swiglu_alpha", "swiglu_alpha", NUM},
    {"swiglu_limit", "swiglu_limit", NUM},
    {0},
};

static const key_name rope_keys[] = {
    {"factor", "rope.scaling.factor", NUM},
    {"original_max_position_embeddings", "rope.scaling.original_context_length", INT},
    {"attention_factor", "rope.scaling.attn_factor", NUM},
    {"beta_fast", "rope.scaling.yarn_beta_fast", NUM},
    {"beta_slow", "rope.scaling.yarn_beta_slow", NUM},
    {0},
};

static bool is(const sc_gguf_arch *a, const char *arch) { return strcmp(a->arch, arch) == 0; }
static bool is_gemma(const sc_gguf_arch *a) { return is(a, "gemma2") || is(a, "gemma3"); }
static bool is_mamba(const sc_gguf_arch *a) { return is(a, "mamba") || is(a, "mamba2"); }
static bool rotates(const sc_gguf_arch *a)
{
    return !is(a, "gpt2") && !is(a, "bloom") && !is(a, "bert") && !is(a, "jina-bert-v2") && !is_mamba(a);
}

static bool set(json_t *o, const char *name, json_t *value) { return json_object_set_new(o, name, value) == 0; }

/* GGUF keeps f32; the shortest decimal that gives it back is what the original configuration said. */
static double shortest(double f)
{
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, f);
        if (strtof(text, NULL) == (float)f) break;
    }
    return strtod(text, NULL);
}

/* Copies the table's keys that the file has. */
static sc_status read_keys(json_t *o, const sc_gguf *file, const sc_gguf_arch *a, const key_name *k)
{
    for (; k->hf; k++) {
        char name[256];
        sc_status s = SC_OK;
        snprintf(name, sizeof name, "%s.%s", a->arch, k->gguf);
        if (!sc_gguf_key(file, name)) continue;
        int64_t n = 0;
        double f = 0;
        bool yes = false;
        if (k->kind == INT) s = sc_gguf_int(file, name, INT32_MIN, UINT32_MAX, &n);
        if (k->kind == NUM) s = sc_gguf_num(file, name, -1e30, 1e30, &f);
        if (k->kind == BOOL) s = sc_gguf_bool(file, name, &yes);
        if (s) return s;
        json_t *v = k->kind == INT ? json_integer(n) : k->kind == NUM ? json_real(shortest(f)) : json_boolean(yes);
        if (!set(o, sc_gguf_alias(a, k->hf), v)) return sc_nomem();
    }
    return SC_OK;
}

/* A one-dimensional f32 tensor as a JSON list; NULL where there is none. */
static sc_status read_factors(json_t *o, const char *hf, const sc_gguf *file, const char *name, bool *found)
{
    const sc_file_tensor *t;
    if (sc_gguf_find(file, name, &t) != SC_OK) return SC_OK;
    if (t->dtype != SC_F32 || t->rank != 1 || t->dim[0] > 4096)
        return sc_fail(SC_EFORMAT, "%s: '%s' is not a list of f32", sc_gguf_path(file), name);
    json_t *list = json_array();
    for (int64_t i = 0; list && i < t->dim[0]; i++)
        json_array_append_new(list, json_real((double)((const float *)t->data)[i]));
    *found = true;
    return set(o, hf, list) ? SC_OK : sc_nomem();
}

/* YaRN's factor on cosines and sines. */
static double yarn_own(double factor) { return factor > 1 ? 1 + 0.1 * log(factor) : 1; }

/* How much of a head is rotated, where the file says so: a share, or for GPT-J a number. */
static sc_status read_rotated(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    char name[256];
    int64_t n = 0, heads = json_integer_value(json_object_get(o, sc_gguf_alias(a, "num_attention_heads"))),
            width = json_integer_value(json_object_get(o, sc_gguf_alias(a, "hidden_size"))),
            d = json_integer_value(json_object_get(o, "head_dim"));
    snprintf(name, sizeof name, "%s.rope.dimension_count", a->arch);
    sc_status s = sc_gguf_int(file, name, 0, 4096, &n);
    if (d <= 0 && heads > 0) d = width / heads;
    if (s || n < 1 || d < 1) return s;
    if (is(a, "gptj")) return set(o, "rotary_dim", json_integer(n)) ? SC_OK : sc_nomem();
    if (n == d && !is(a, "gptneox") && !is(a, "phi2") && !is(a, "chatglm") && !is(a, "glm4") &&
        strncmp(a->arch, "qwen35", 6) != 0 && !is(a, "qwen3next"))
        return SC_OK; /* as these types have it anyway */
    double share = (double)n / (double)d;
    if ((int64_t)((double)d * share) < n) share = nextafter(share, 2);
    return set(o, sc_gguf_alias(a, "partial_rotary_factor"), json_real(share)) ? SC_OK : sc_nomem();
}

static sc_status read_rope(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    char name[256];
    const char *type = "none";
    bool factors = false, longrope = false;
    json_t *rope = json_object();
    snprintf(name, sizeof name, "%s.rope.scaling.type", a->arch);
    sc_status s = rope ? sc_gguf_str(file, name, &type) : sc_nomem();
    if (!s) s = read_keys(rope, file, a, rope_keys);
    if (!s) s = read_factors(rope, "short_factor", file, "rope_freqs.weight", &factors);
    if (!s) s = read_factors(rope, "short_factor", file, "rope_factors_short.weight", &longrope);
    if (!s) s = read_factors(rope, "long_factor", file, "rope_factors_long.weight", &longrope);
    if (factors)
        type = "factors";
    else if (longrope)
        type = "longrope";
    else if (strcmp(type, "none") == 0)
        type = "default";
    double mscale = 0;
    snprintf(name, sizeof name, "%s.rope.scaling.yarn_log_multiplier", a->arch);
    if (!s && sc_gguf_key(file, name)) s = sc_gguf_num(file, name, 0, 1e3, &mscale);
    if (!s && mscale > 0 &&
        (!set(rope, "mscale", json_real(shortest(10 * mscale))) ||
         !set(rope, "mscale_all_dim", json_real(shortest(10 * mscale)))))
        s = sc_nomem();
    /* For yarn GGUF's factor comes on top of YaRN's own. */
    const json_t *on_top = json_object_get(rope, "attention_factor");
    if (!s && strcmp(type, "yarn") == 0 && on_top &&
        !set(rope, "attention_factor",
             json_real(json_number_value(on_top) * yarn_own(json_number_value(json_object_get(rope, "factor"))))))
        s = sc_nomem();
    if (!s && (!set(rope, "rope_type", json_string(type)) || !set(o, "rope_scaling", json_incref(rope))))
        s = sc_nomem();
    json_decref(rope);
    return s;
}

/* What GGUF says by the tensors that are there, and by what it does to them. */
static sc_status read_tensors(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    const sc_file_tensor *t;
    bool own_head = sc_gguf_find(file, "output.weight", &t) == SC_OK,
         bias = sc_gguf_find(file, "blk.0.attn_q.bias", &t) == SC_OK ||
                sc_gguf_find(file, "blk.0.attn_qkv.bias", &t) == SC_OK,
         mlp_bias = sc_gguf_find(file, "blk.0.ffn_gate.bias", &t) == SC_OK,
         head_norms = sc_gguf_find(file, "blk.0.attn_q_norm.weight", &t) == SC_OK, permuted = false, joined = false,
         plus_one = false;
    for (const sc_gguf_name *r = a->names; r->hf; r++) {
        permuted |= r->permuted;
        joined |= r->joined;
        plus_one |= r->plus_one;
    }
    if (!set(o, "tie_word_embeddings", json_boolean(!own_head)) ||
        !set(o, sc_gguf_alias(a, "attention_bias"), json_boolean(bias)) ||
        !set(o, "mlp_bias", json_boolean(mlp_bias)) || (permuted && !set(o, "rope_interleave", json_true())) ||
        (joined && !set(o, "qkv_joined", json_true())) ||
        (plus_one && !set(o, "norm_weights_whole", json_true())) ||
        (is(a, "command-r") && !set(o, "use_qk_norm", json_boolean(head_norms))) ||
        (is(a, "phi2") && !set(o, "qk_layernorm", json_boolean(head_norms))))
        return sc_nomem();
    sc_status s = sc_gguf_find(file, "token_embd.weight", &t);
    if (s) return s;
    if (t->rank == 2 && !json_object_get(o, "vocab_size") && !set(o, "vocab_size", json_integer(t->dim[0])))
        return sc_nomem();
    return SC_OK;
}

static int64_t element_of(const sc_gguf_value *v, int64_t i)
{
    const uint8_t *p = v->data;
    if (v->element == SC_GGUF_BOOL || v->element == SC_GGUF_U8 || v->element == SC_GGUF_I8) return p[i];
    uint32_t x;
    memcpy(&x, p + 4 * i, sizeof x);
    return x;
}

/* A key that has a number for each layer; *v NULL where it is not there or no such list. */
static sc_status find_list(const sc_gguf *file, const sc_gguf_arch *a, const char *key, const sc_gguf_value **v)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", a->arch, key);
    *v = sc_gguf_key(file, name);
    if (*v && (*v)->type != SC_GGUF_ARRAY) *v = NULL;
    if (!*v) return SC_OK;
    sc_gguf_type e = (*v)->element;
    if (e != SC_GGUF_BOOL && e != SC_GGUF_U8 && e != SC_GGUF_I8 && e != SC_GGUF_U32 && e != SC_GGUF_I32)
        return sc_fail(SC_EFORMAT, "%s: %s is no list of numbers", sc_gguf_path(file), name);
    return (*v)->count <= 1024 ? SC_OK : sc_fail(SC_ELIMIT, "%s: %s is too long", sc_gguf_path(file), name);
}

/* Which layers have a window, and which a rotation. */
static sc_status read_layers(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    static const char pattern[] = "attention.sliding_window_pattern";
    const sc_gguf_value *sliding, *rotated;
    char name[256];
    int64_t window = json_integer_value(json_object_get(o, "sliding_window")), n = 0;
    snprintf(name, sizeof name, "%s.%s", a->arch, pattern);
    sc_status s = find_list(file, a, pattern, &sliding);
    if (!s) s = find_list(file, a, "no_rope_layers", &rotated);
    if (!s && !sliding) s = sc_gguf_int(file, name, 0, 1 << 20, &n);
    if (s) return s;
    if (n && !set(o, "sliding_window_pattern", json_integer(n))) return sc_nomem();
    if (window <= 0 && !set(o, "sliding_window", json_null())) return sc_nomem(); /* absent might mean a default */
    if (sliding) {
        json_t *types = json_array();
        for (int64_t i = 0; types && i < sliding->count; i++)
            json_array_append_new(types,
                                  json_string(element_of(sliding, i) ? "sliding_attention" : "full_attention"));
        if (!set(o, "layer_types", types)) return sc_nomem();
    }
    if (rotated) {
        json_t *list = json_array();
        for (int64_t i = 0; list && i < rotated->count; i++)
            json_array_append_new(list, json_integer(element_of(rotated, i)));
        if (!set(o, "no_rope_layers", list)) return sc_nomem();
    }
    return set(o, "use_sliding_window", json_boolean(window > 0)) &&
                   (window <= 0 || set(o, "max_window_layers", json_integer(0)))
               ? SC_OK
               : sc_nomem();
}

/* What Gemma's scores are divided by the root of: as llama.cpp has it, the head's width but in the 27B models. */
static double gemma_scalar(const sc_gguf_arch *a, int64_t layers, int64_t width, int64_t heads, int64_t d)
{
    bool largest = layers == (is(a, "gemma2") ? 46 : 62);
    return largest && heads > 0 ? (double)(width / heads) : (double)d;
}

static sc_status read_gemma(json_t *o, const sc_gguf_arch *a)
{
    int64_t of[4];
    static const char *const names[] = {"num_hidden_layers", "hidden_size", "num_attention_heads", "head_dim"};
    for (int i = 0; i < 4; i++) of[i] = json_integer_value(json_object_get(o, names[i]));
    double scale = json_number_value(json_object_get(o, "attention_multiplier")),
           scalar = scale > 0 ? 1 / (scale * scale) : gemma_scalar(a, of[0], of[1], of[2], of[3]);
    if (fabs(scalar - round(scalar)) < 1e-5 * scalar) scalar = round(scalar);
    json_object_del(o, "attention_multiplier");
    json_t *v = scalar == floor(scalar) && scalar < 1e9 ? json_integer((json_int_t)scalar) : json_real(scalar);
    return scalar <= 0 || set(o, "query_pre_attn_scalar", v) ? SC_OK : sc_nomem();
}

/* All that a decoder-only architecture's keys and tensors say. */
static sc_status read_decoder(json_t *o, const sc_gguf *file, const sc_gguf_arch *a)
{
    sc_status s = read_keys(o, file, a, keys);
    if (!s) s = read_tensors(o, file, a);
    if (!s && rotates(a)) s = read_rope(o, file, a);
    if (!s && rotates(a)) s = read_rotated(o, file, a);
    if (!s) s = read_layers(o, file, a);
    if (!s && is_gemma(a)) s = read_gemma(o, a);
    if (!s) s = sc_gguf_read_experts(o, file, a);
    if (!s) s = sc_gguf_read_ssm(o, file, a);
    if (!s) s = sc_gguf_read_encoder(o, file, a);
    bool llama = strcmp(a->model_type, "llama") == 0;
    bool mistral = llama && json_integer_value(json_object_get(o, "sliding_window")) > 0;
    const char *type = mistral ? "mistral" : a->model_type;
    if (!s && !json_object_get(o, "model_type") && !set(o, "model_type", json_string(type))) s = sc_nomem();
    return s;
}

sc_status sc_gguf_config(json_t **out, const sc_gguf *file)
{
    const sc_gguf_arch *a;
    sc_status s = sc_gguf_arch_of_file(&a, file);
    if (s) return s;
    json_t *o = json_object();
    if (!o) return sc_nomem();
    s = strncmp(a->arch, "t5", 2) == 0 ? sc_gguf_read_t5(o, file) : read_decoder(o, file, a);
    if (s)
        json_decref(o);
    else
        *out = o;
    return s;
}

/* ---- the way back ---- */

static sc_status write_keys(sc_gguf_writer *w, const json_t *o, const char *arch, const key_name *k)
{
    sc_status s = SC_OK;
    for (; !s && k->hf; k++) {
        char name[256];
        const json_t *v = json_object_get(o, k->hf);
        snprintf(name, sizeof name, "%s.%s", arch, k->gguf);
        if (k->kind == BOOL && json_is_boolean(v)) s = sc_gguf_writer_int(w, name, SC_GGUF_BOOL, json_is_true(v));
        if (k->kind == INT && json_is_number(v))
            s = sc_gguf_writer_int(w, name, SC_GGUF_U32, (int64_t)json_number_value(v));
        if (k->kind == NUM && json_is_number(v)) s = sc_gguf_writer_num(w, name, SC_GGUF_F32, json_number_value(v));
    }
    return s;
}

static sc_status write_str(sc_gguf_writer *w, const char *arch, const char *key, const char *value)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    return sc_gguf_writer_str(w, name, value);
}

static sc_status write_num(sc_gguf_writer *w, const char *arch, const char *key, double value)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    return sc_gguf_writer_num(w, name, SC_GGUF_F32, value);
}

static sc_status write_int(sc_gguf_writer *w, const char *arch, const char *key, int64_t value)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    return sc_gguf_writer_int(w, name, SC_GGUF_U32, value);
}

static sc_status write_factors(sc_gguf_writer *w, const char *name, const float *f, int64_t n)
{
    return sc_gguf_writer_tensor(w, name, SC_F32, 1, &n, f);
}

/* llama3's bands are written as divisors, which is how GGUF's readers take them. */
static sc_status write_llama3(sc_gguf_writer *w, const sc_rope_params *p, sc_arena *arena)
{
    float scaling, *f = sc_arena_alloc(arena, sizeof *f * (size_t)p->dim), *plain = f ? f + p->dim / 2 : NULL;
    if (!f) return sc_nomem();
    sc_rope_params base = *p;
    base.type = SC_ROPE_DEFAULT;
    sc_rope_frequencies(p, 0, f, &scaling);
    sc_rope_frequencies(&base, 0, plain, &scaling);
    for (int64_t i = 0; i < p->dim / 2; i++) f[i] = plain[i] / f[i];
    return write_factors(w, "rope_freqs.weight", f, p->dim / 2);
}

static sc_status write_rope(sc_gguf_writer *w, const char *arch, const sc_rope_params *p, sc_arena *arena)
{
    static const char *const types[] = {[SC_ROPE_LINEAR] = "linear",
                                        [SC_ROPE_DYNAMIC] = "dynamic",
                                        [SC_ROPE_YARN] = "yarn",
                                        [SC_ROPE_LONGROPE] = "longrope"};
    sc_status s = write_num(w, arch, "rope.freq_base", p->theta);
    if (!s) s = write_int(w, arch, "rope.dimension_count", p->dim);
    if (s || p->type == SC_ROPE_DEFAULT) return s;
    if (p->type == SC_ROPE_LLAMA3) return write_llama3(w, p, arena);
    if (p->type == SC_ROPE_FACTORS) return write_factors(w, "rope_freqs.weight", p->short_factor, p->dim / 2);
    if ((s = write_str(w, arch, "rope.scaling.type", types[p->type])) ||
        /* LongRoPE's lists say it all: llama.cpp would divide positions by the factor too. */
        (p->type != SC_ROPE_LONGROPE && (s = write_num(w, arch, "rope.scaling.factor", p->factor))) ||
        (s = write_int(w, arch, "rope.scaling.original_context_length", p->original_max_positions)))
        return s;
    if (p->type == SC_ROPE_LONGROPE) {
        double scale = p->attention_factor > 0 ? p->attention_factor
                       : p->factor > 1         ? sqrt(1 + log(p->factor) / log((double)p->original_max_positions))
                                               : 1;
        if ((s = write_num(w, arch, "rope.scaling.attn_factor", scale)) ||
            (s = write_factors(w, "rope_factors_short.weight", p->short_factor, p->dim / 2)))
            return s;
        return write_factors(w, "rope_factors_long.weight", p->long_factor, p->dim / 2);
    }
    if (p->type != SC_ROPE_YARN) return SC_OK;
    if (p->mscale_all_dim > 0) { /* the scores have YaRN's factor, cosines and sines have none */
        if (p->mscale != p->mscale_all_dim || p->attention_factor > 0)
            return sc_fail(SC_EUNSUPPORTED, "GGUF has no keys for this yarn's mscale");
        return write_num(w, arch, "rope.scaling.yarn_log_multiplier", 0.1 * p->mscale_all_dim);
    }
    if (!p->truncate && strcmp(arch, "gpt-oss") != 0)
        return sc_fail(SC_EUNSUPPORTED, "GGUF has no key for yarn without truncation");
    float unused[4096], scaling;
    if (p->dim / 2 > SC_COUNT(unused)) return sc_fail(SC_ELIMIT, "heads of %lld", (long long)p->dim);
    sc_rope_frequencies(p, 0, unused, &scaling);
    if ((s = write_num(w, arch, "rope.scaling.attn_factor", scaling / yarn_own(p->factor))) ||
        (s = write_num(w, arch, "rope.scaling.yarn_beta_fast", p->beta_fast)))
        return s;
    return write_num(w, arch, "rope.scaling.yarn_beta_slow", p->beta_slow);
}

/* The configuration under the names of `keys`, with what the family takes for granted where a key is absent. */
static json_t *values_of(const sc_model *m, const sc_decoder *d, const sc_gguf_arch *a)
{
    sc_config c = {.json = m->json, .what = m->info.path};
    bool granite = is(a, "granite"), cohere = is(a, "command-r") || is(a, "cohere2"),
         layer = d->norm >= SC_NORM_LAYER;
    json_t *o = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "num_hidden_layers", (json_int_t)d->layers, "hidden_size",
        (json_int_t)d->width, "intermediate_size", (json_int_t)d->ffn_width, "num_attention_heads",
        (json_int_t)d->attn.heads, "num_key_value_heads", (json_int_t)d->attn.kv_heads, "vocab_size",
        (json_int_t)d->vocab, "max_position_embeddings",
        (json_int_t)sc_config_int(&c, "max_position_embeddings|n_positions|seq_length", d->context, 1, INT32_MAX));
    bool ok = o && set(o, layer ? "layer_norm_eps" : "rms_norm_eps", json_real((double)d->eps));
    if (rotates(a)) ok = ok && set(o, "head_dim", json_integer(d->attn.d));
    bool windows = false;
    for (int64_t i = 0; i < d->layers; i++) windows |= d->window > 0 && d->sliding[i];
    if (windows) ok = ok && set(o, "sliding_window", json_integer(d->window));
    if (d->local_rope.dim > 0) ok = ok && set(o, "rope_local_base_freq", json_real(d->local_rope.theta));
    if (d->attn.cap > 0) ok = ok && set(o, "attn_logit_softcapping", json_real((double)d->attn.cap));
    if (d->logit_cap > 0) ok = ok && set(o, "final_logit_softcapping", json_real((double)d->logit_cap));
    if (cohere) ok = ok && set(o, "logit_scale", json_real((double)d->logit_scale));
    if (granite)
        ok = ok && set(o, "attention_multiplier", json_real((double)d->attn.scale)) &&
             set(o, "embedding_multiplier", json_real((double)d->embed_scale)) &&
             set(o, "residual_multiplier", json_real((double)d->residual_scale)) &&
             set(o, "logit_scale", json_real(sc_config_num(&c, "logits_scaling", 1, 1e-9, 1e6)));
    ok = ok && sc_gguf_expert_values(o, m, a);
    if (is(a, "gptneox")) ok = ok && set(o, "use_parallel_residual", json_boolean(d->parallel));
    double scale = (double)d->attn.scale;
    if (is_gemma(a) &&
        fabs(1 / (scale * scale) / gemma_scalar(a, d->layers, d->width, d->attn.heads, d->attn.d) - 1) > 1e-5) {
        sc_log(m->ctx, SC_LOG_WARNING,
               "%s: its query_pre_attn_scalar is written, but other programs may not read it", m->info.path);
        ok = ok && set(o, "attention_multiplier", json_real(scale));
    }
    if (ok) return o;
    json_decref(o);
    return NULL;
}

/* Which layers have a window and a rotation, where that is not the architecture's own rule. */
static sc_status write_layers(sc_gguf_writer *w, const sc_model *m, const sc_decoder *d, const sc_gguf_arch *a)
{
    int32_t rotated[1024];
    bool sliding[1024], usual = true;
    char name[256];
    sc_status s = SC_OK;
    for (int64_t i = 0; i < d->layers; i++) {
        sliding[i] = d->sliding[i];
        usual &= !a->period || sliding[i] == ((i + 1) % a->period != 0);
    }
    snprintf(name, sizeof name, "%s.attention.sliding_window_pattern", a->arch);
    if (d->window > 0 && a->period && (!usual || is(a, "exaone4")))
        s = sc_gguf_writer_array(w, name, SC_GGUF_BOOL, sliding, d->layers);
    if (s || !is(a, "smollm3")) return s;
    usual = true;
    for (int64_t i = 0; i < d->layers; i++) {
        rotated[i] = d->rotated[i];
        usual &= d->rotated[i] == ((i + 1) % 4 != 0);
    }
    if (usual) return SC_OK;
    sc_log(m->ctx, SC_LOG_WARNING, "%s: its no_rope_layers are written, but other programs may not read them",
           m->info.path);
    return sc_gguf_writer_array(w, "smollm3.no_rope_layers", SC_GGUF_I32, rotated, d->layers);
}

sc_status sc_gguf_write_config(sc_gguf_writer *w, const sc_model *m, sc_arena *arena)
{
    const sc_gguf_arch *a = sc_gguf_arch_for(m->info.model_type);
    const sc_decoder *d = sc_model_decoder(m);
    if (a && sc_model_encoder(m)) return sc_gguf_write_encoder(w, m, a);
    if (a && strncmp(a->arch, "t5", 2) == 0) return sc_gguf_write_t5(w, m, a->arch);
    if (!a || (!d && !m->family->ssm))
        return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no name for model type '%s'", m->info.path,
                       m->info.model_type);
    if (!d) return sc_gguf_write_ssm(w, m, a);
    json_t *o = values_of(m, d, a);
    if (!o) return sc_nomem();
    sc_status s = sc_gguf_writer_str(w, "general.architecture", a->arch);
    if (!s) s = write_keys(w, o, a->arch, keys);
    if (!s) s = write_layers(w, m, d, a);
    if (!s) s = sc_gguf_write_experts(w, m, a);
    const sc_moe_decoder *moe = sc_model_moe(m);
    int64_t value = moe && moe->latent.rank ? moe->latent.v_d : d->attn.d;
    if (!s && rotates(a)) s = write_int(w, a->arch, "attention.value_length", value);
    if (!s && rotates(a)) s = write_rope(w, a->arch, &d->rope, arena);
    if (!s && m->family->ssm) s = sc_gguf_write_ssm(w, m, a);
    json_decref(o);
    return s;
}

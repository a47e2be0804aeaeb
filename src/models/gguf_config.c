/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF metadata as a config.json, so that a family reads one kind of configuration. */
#include "models/models.h"

#include <math.h>
#include <stdlib.h>

typedef enum kind { INT, NUM } kind;

/* A key of HuggingFace's and the GGUF key after "ARCH." that it is. */
typedef struct key_name {
    const char *hf, *gguf;
    kind kind;
} key_name;

static const key_name decoder_keys[] = {
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
    {"rope_theta", "rope.freq_base", NUM},
    {0},
};

static const key_name gpt2_keys[] = {
    {"n_layer", "block_count", INT},
    {"n_positions", "context_length", INT},
    {"n_embd", "embedding_length", INT},
    {"n_inner", "feed_forward_length", INT},
    {"n_head", "attention.head_count", INT},
    {"vocab_size", "vocab_size", INT},
    {"layer_norm_epsilon", "attention.layer_norm_epsilon", NUM},
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

static const key_name *keys_of(const char *arch) { return strcmp(arch, "gpt2") == 0 ? gpt2_keys : decoder_keys; }

static bool set(json_t *o, const char *name, json_t *value) { return json_object_set_new(o, name, value) == 0; }

/* Copies the table's keys that the file has. */
static sc_status read_keys(json_t *o, const sc_gguf *file, const char *arch, const key_name *k)
{
    for (; k->hf; k++) {
        char name[256];
        sc_status s;
        snprintf(name, sizeof name, "%s.%s", arch, k->gguf);
        const sc_gguf_value *v = sc_gguf_key(file, name);
        if (!v) continue;
        int64_t n = 0;
        double f = 0;
        s = k->kind == INT ? sc_gguf_int(file, name, INT32_MIN, UINT32_MAX, &n)
                           : sc_gguf_num(file, name, -1e30, 1e30, &f);
        if (s) return s;
        /* GGUF keeps f32; the shortest decimal that gives it back is what the original configuration said. */
        if (k->kind == NUM) {
            char text[32];
            for (int digits = 1; digits <= 9; digits++) {
                snprintf(text, sizeof text, "%.*g", digits, f);
                if (strtof(text, NULL) == (float)f) break;
            }
            f = strtod(text, NULL);
        }
        if (!set(o, k->hf, k->kind == INT ? json_integer(n) : json_real(f))) return sc_nomem();
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

static sc_status read_rope(json_t *o, const sc_gguf *file, const char *arch)
{
    char name[256];
    const char *type = "none";
    bool factors = false, longrope = false;
    json_t *rope = json_object();
    snprintf(name, sizeof name, "%s.rope.scaling.type", arch);
    sc_status s = rope ? sc_gguf_str(file, name, &type) : sc_nomem();
    if (!s) s = read_keys(rope, file, arch, rope_keys);
    if (!s) s = read_factors(rope, "short_factor", file, "rope_freqs.weight", &factors);
    if (!s) s = read_factors(rope, "short_factor", file, "rope_factors_short.weight", &longrope);
    if (!s) s = read_factors(rope, "long_factor", file, "rope_factors_long.weight", &longrope);
    if (factors)
        type = "factors";
    else if (longrope)
        type = "longrope";
    else if (strcmp(type, "none") == 0)
        type = "default";
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

/* What GGUF says by the tensors that are there. */
static sc_status read_tensors(json_t *o, const sc_gguf *file)
{
    const sc_file_tensor *t;
    bool own_head = sc_gguf_find(file, "output.weight", &t) == SC_OK,
         bias = sc_gguf_find(file, "blk.0.attn_q.bias", &t) == SC_OK;
    bool mlp_bias = sc_gguf_find(file, "blk.0.ffn_gate.bias", &t) == SC_OK;
    if (!set(o, "tie_word_embeddings", json_boolean(!own_head)) || !set(o, "attention_bias", json_boolean(bias)) ||
        !set(o, "mlp_bias", json_boolean(mlp_bias)))
        return sc_nomem();
    sc_status s = sc_gguf_find(file, "token_embd.weight", &t);
    if (s) return s;
    if (t->rank == 2 && !json_object_get(o, "vocab_size") && !set(o, "vocab_size", json_integer(t->dim[0])))
        return sc_nomem();
    return SC_OK;
}

sc_status sc_gguf_config(json_t **out, const sc_gguf *file)
{
    const char *arch = NULL;
    sc_status s = sc_gguf_str(file, "general.architecture", &arch);
    if (s) return s;
    if (!arch) return sc_fail(SC_EFORMAT, "%s: general.architecture is missing", sc_gguf_path(file));
    if (!sc_gguf_names(arch))
        return sc_fail(SC_EUNSUPPORTED, "%s: architecture '%s' is not known", sc_gguf_path(file), arch);
    json_t *o = json_object();
    if (!o) return sc_nomem();
    s = read_keys(o, file, arch, keys_of(arch));
    if (!s) s = read_tensors(o, file);
    if (!s && keys_of(arch) == decoder_keys) s = read_rope(o, file, arch);
    bool sliding = json_integer_value(json_object_get(o, "sliding_window")) > 0, llama = strcmp(arch, "llama") == 0;
    if (!s &&
        (!set(o, "model_type", json_string(llama && sliding ? "mistral" : arch)) ||
         !set(o, "use_sliding_window", json_boolean(sliding)) || !set(o, "rope_interleave", json_boolean(llama)) ||
         (sliding && !set(o, "max_window_layers", json_integer(0)))))
        s = sc_nomem();
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
        if (!json_is_number(v)) continue;
        snprintf(name, sizeof name, "%s.%s", arch, k->gguf);
        s = k->kind == INT ? sc_gguf_writer_int(w, name, SC_GGUF_U32, (int64_t)json_number_value(v))
                           : sc_gguf_writer_num(w, name, SC_GGUF_F32, json_number_value(v));
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
        (s = write_num(w, arch, "rope.scaling.factor", p->factor)) ||
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
    if (!p->truncate) return sc_fail(SC_EUNSUPPORTED, "GGUF has no key for yarn without truncation");
    float unused[4096], scaling;
    if (p->dim / 2 > SC_COUNT(unused)) return sc_fail(SC_ELIMIT, "heads of %lld", (long long)p->dim);
    sc_rope_frequencies(p, 0, unused, &scaling);
    if ((s = write_num(w, arch, "rope.scaling.attn_factor", scaling / yarn_own(p->factor))) ||
        (s = write_num(w, arch, "rope.scaling.yarn_beta_fast", p->beta_fast)))
        return s;
    return write_num(w, arch, "rope.scaling.yarn_beta_slow", p->beta_slow);
}

sc_status sc_gguf_write_config(sc_gguf_writer *w, const sc_model *m, sc_arena *arena)
{
    const char *arch = sc_gguf_arch_of(m->info.model_type);
    if (!arch)
        return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no name for model type '%s'", m->info.path,
                       m->info.model_type);
    /* What the family derives when the key is absent must stand in the file. */
    json_t *o = json_copy((json_t *)(uintptr_t)m->json);
    if (!o) return sc_nomem();
    bool decoder = keys_of(arch) == decoder_keys;
    const sc_decoder *d = decoder ? m->config : NULL;
    bool window = d && d->window > 0 && d->sliding[0]; /* one window for all layers, or none */
    if (decoder && (!set(o, "head_dim", json_integer(m->info.head_dim)) ||
                    !set(o, "num_key_value_heads", json_integer(m->info.kv_heads)))) {
        json_decref(o);
        return sc_nomem();
    }
    if (!decoder && !json_is_integer(json_object_get(o, "n_inner")))
        set(o, "n_inner", json_integer(4 * m->info.width));
    json_object_del(o, "sliding_window");
    if (window && !set(o, "sliding_window", json_integer(d->window))) {
        json_decref(o);
        return sc_nomem();
    }
    json_object_del(o, "rope_theta"); /* written with the rest of the rotation */
    sc_status s = sc_gguf_writer_str(w, "general.architecture", arch);
    if (!s) s = write_keys(w, o, arch, keys_of(arch));
    if (!s && decoder) s = write_int(w, arch, "attention.value_length", m->info.head_dim);
    if (!s && decoder) {
        sc_rope_params rope = {0};
        sc_config c = {.json = m->json, .what = m->info.path, .arena = arena};
        sc_config_rope(&c, m->info.head_dim, &rope);
        s = c.status ? c.status : write_rope(w, arch, &rope, arena);
    }
    json_decref(o);
    return s;
}

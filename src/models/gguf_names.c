/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor names of GGUF against HuggingFace's; one table an architecture, used in both directions. */
#include "models/models.h"

#include <stdlib.h>

#define LLAMA_LIKE(p)                                                                                              \
    {"model.embed_tokens", "token_embd", 0, 0}, {"model.norm", "output_norm", 0, 0}, {"lm_head", "output", 0, 0},  \
        {"model.layers.%d.input_layernorm", "blk.%d.attn_norm", 0, 0},                                             \
        {"model.layers.%d.self_attn.q_proj", "blk.%d.attn_q", 0, p},                                               \
        {"model.layers.%d.self_attn.k_proj", "blk.%d.attn_k", 0, p},                                               \
        {"model.layers.%d.self_attn.v_proj", "blk.%d.attn_v", 0, 0},                                               \
        {"model.layers.%d.self_attn.o_proj", "blk.%d.attn_output", 0, 0},                                          \
        {"model.layers.%d.post_attention_layernorm", "blk.%d.ffn_norm", 0, 0},                                     \
        {"model.layers.%d.mlp.gate_proj", "blk.%d.ffn_gate", 0, 0},                                                \
        {"model.layers.%d.mlp.up_proj", "blk.%d.ffn_up", 0, 0},                                                    \
    {                                                                                                              \
        "model.layers.%d.mlp.down_proj", "blk.%d.ffn_down", 0, 0                                                   \
    }

static const sc_gguf_name llama[] = {LLAMA_LIKE(1), {0}};
static const sc_gguf_name qwen2[] = {LLAMA_LIKE(0), {0}};
static const sc_gguf_name qwen3[] = {LLAMA_LIKE(0),
                                     {"model.layers.%d.self_attn.q_norm", "blk.%d.attn_q_norm", 0, 0},
                                     {"model.layers.%d.self_attn.k_norm", "blk.%d.attn_k_norm", 0, 0},
                                     {0}};
static const sc_gguf_name gpt2[] = {
    {"transformer.wte", "token_embd", 0, 0},
    {"transformer.wpe", "position_embd", 0, 0},
    {"transformer.ln_f", "output_norm", 0, 0},
    {"lm_head", "output", 0, 0},
    {"transformer.h.%d.ln_1", "blk.%d.attn_norm", 0, 0},
    {"transformer.h.%d.attn.c_attn", "blk.%d.attn_qkv", 1, 0},
    {"transformer.h.%d.attn.c_proj", "blk.%d.attn_output", 1, 0},
    {"transformer.h.%d.ln_2", "blk.%d.ffn_norm", 0, 0},
    {"transformer.h.%d.mlp.c_fc", "blk.%d.ffn_up", 1, 0},
    {"transformer.h.%d.mlp.c_proj", "blk.%d.ffn_down", 1, 0},
    {0},
};

/* An architecture, the model types that are written as it, and its table. */
static const struct {
    const char *arch, *model_type;
    const sc_gguf_name *names;
} archs[] = {
    {"llama", "llama", llama}, {"llama", "mistral", llama}, {"qwen2", "qwen2", qwen2},
    {"qwen3", "qwen3", qwen3}, {"gpt2", "gpt2", gpt2},
};

const sc_gguf_name *sc_gguf_names(const char *arch)
{
    for (int i = 0; i < SC_COUNT(archs); i++)
        if (strcmp(archs[i].arch, arch) == 0) return archs[i].names;
    return NULL;
}

const char *sc_gguf_arch_of(const char *model_type)
{
    for (int i = 0; i < SC_COUNT(archs); i++)
        if (strcmp(archs[i].model_type, model_type) == 0) return archs[i].arch;
    return NULL;
}

/* Matches `name` against `pattern` and its layer, if it has one, and ".weight" or ".bias" after it. */
static bool match(const char *name, const char *pattern, long *layer, const char **rest)
{
    const char *d = strstr(pattern, "%d");
    size_t head = d ? (size_t)(d - pattern) : strlen(pattern);
    if (strncmp(name, pattern, head) != 0) return false;
    name += head;
    if (d) {
        char *end;
        if (*name < '0' || *name > '9') return false;
        *layer = strtol(name, &end, 10);
        size_t tail = strlen(d + 2);
        if (strncmp(end, d + 2, tail) != 0) return false;
        name = end + tail;
    }
    *rest = name;
    return strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0;
}

static bool write_name(char *out, size_t size, const char *pattern, long layer, const char *rest)
{
    const char *d = strstr(pattern, "%d");
    int n = d ? snprintf(out, size, "%.*s%ld%s%s", (int)(d - pattern), pattern, layer, d + 2, rest)
              : snprintf(out, size, "%s%s", pattern, rest);
    return n > 0 && (size_t)n < size;
}

const sc_gguf_name *sc_gguf_to_hf(const char *arch, const char *name, char *out, size_t size)
{
    long layer = 0;
    const char *rest;
    for (const sc_gguf_name *r = sc_gguf_names(arch); r && r->hf; r++)
        if (match(name, r->gguf, &layer, &rest) && write_name(out, size, r->hf, layer, rest)) return r;
    return NULL;
}

const sc_gguf_name *sc_gguf_from_hf(const char *arch, const char *name, char *out, size_t size)
{
    long layer = 0;
    const char *rest;
    for (const sc_gguf_name *r = sc_gguf_names(arch); r && r->hf; r++)
        if (match(name, r->hf, &layer, &rest) && write_name(out, size, r->gguf, layer, rest)) return r;
    return NULL;
}

sc_status sc_weights_from_gguf(sc_weights *w, const sc_gguf *file)
{
    const char *arch = "";
    sc_status s = sc_gguf_str(file, "general.architecture", &arch);
    for (int64_t i = 0; !s && i < sc_gguf_count(file); i++) {
        const sc_file_tensor *t = sc_gguf_get(file, i);
        char name[512];
        sc_shape shape = {.rank = t->rank};
        sc_storage storage = {
            .dtype = t->dtype, .data = (void *)(uintptr_t)t->data, .buffer = sc_gguf_buffer(file)};
        memcpy(shape.dim, t->dim, sizeof shape.dim);
        sc_dense_strides(&shape, storage.stride);
        const sc_gguf_name *row = sc_gguf_to_hf(arch, t->name, name, sizeof name);
        bool matrix = row && shape.rank == 2;
        if (matrix && row->transposed) {
            /* The axes as HuggingFace has them; the bytes stay. */
            int64_t d = shape.dim[0], st = storage.stride[0];
            shape.dim[0] = shape.dim[1], shape.dim[1] = d;
            storage.stride[0] = storage.stride[1], storage.stride[1] = st;
        }
        s = sc_weights_add(w, row ? name : t->name, &shape, &storage);
        if (s || !row) continue;
        w->item[w->count - 1].transposed = matrix && row->transposed;
        w->item[w->count - 1].permuted = row->permuted;
    }
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor names of GGUF against HuggingFace's; one table an architecture, used in both directions. */
#include "models/models.h"

#include <stdlib.h>

/* Rows that many tables have. */
#define ENDS                                                                                                       \
    {"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm"}, { "lm_head", "output" }
#define ATTENTION(p)                                                                                               \
    {"model.layers.%d.self_attn.q_proj", "blk.%d.attn_q", .permuted = p},                                          \
        {"model.layers.%d.self_attn.k_proj", "blk.%d.attn_k", .permuted = p},                                      \
        {"model.layers.%d.self_attn.v_proj", "blk.%d.attn_v"},                                                     \
    {                                                                                                              \
        "model.layers.%d.self_attn.o_proj", "blk.%d.attn_output"                                                   \
    }
#define HEAD_NORMS                                                                                                 \
    {"model.layers.%d.self_attn.q_norm", "blk.%d.attn_q_norm"},                                                    \
    {                                                                                                              \
        "model.layers.%d.self_attn.k_norm", "blk.%d.attn_k_norm"                                                   \
    }
#define NORMS_BEFORE                                                                                               \
    {"model.layers.%d.input_layernorm", "blk.%d.attn_norm"},                                                       \
    {                                                                                                              \
        "model.layers.%d.post_attention_layernorm", "blk.%d.ffn_norm"                                              \
    }
#define NORMS_AFTER                                                                                                \
    {"model.layers.%d.post_attention_layernorm", "blk.%d.post_attention_norm"},                                    \
    {                                                                                                              \
        "model.layers.%d.post_feedforward_layernorm", "blk.%d.post_ffw_norm"                                       \
    }
#define GATED                                                                                                      \
    {"model.layers.%d.mlp.gate_proj", "blk.%d.ffn_gate"}, {"model.layers.%d.mlp.up_proj", "blk.%d.ffn_up"},        \
    {                                                                                                              \
        "model.layers.%d.mlp.down_proj", "blk.%d.ffn_down"                                                         \
    }
#define GATE_UP                                                                                                    \
    {"model.layers.%d.mlp.gate_up_proj", "blk.%d.ffn_up"}, { "model.layers.%d.mlp.down_proj", "blk.%d.ffn_down" }
#define LLAMA_LIKE(p) ENDS, NORMS_BEFORE, ATTENTION(p), GATED

/* A stack of experts, matrix by matrix; "mlp" or what a family calls it, and its three names. */
#define EXPERTS(mlp, gate, up, down)                                                                               \
    {"model.layers.%d." mlp ".experts.%d." gate, "blk.%d.ffn_gate_exps", .experts = true},                         \
        {"model.layers.%d." mlp ".experts.%d." up, "blk.%d.ffn_up_exps", .experts = true},                         \
    {                                                                                                              \
        "model.layers.%d." mlp ".experts.%d." down, "blk.%d.ffn_down_exps", .experts = true                        \
    }
#define MLP_EXPERTS                                                                                                \
    EXPERTS("mlp", "gate_proj", "up_proj", "down_proj"), { "model.layers.%d.mlp.gate", "blk.%d.ffn_gate_inp" }
#define SHARED(name)                                                                                               \
    {"model.layers.%d.mlp." name ".gate_proj", "blk.%d.ffn_gate_shexp"},                                           \
        {"model.layers.%d.mlp." name ".up_proj", "blk.%d.ffn_up_shexp"},                                           \
    {                                                                                                              \
        "model.layers.%d.mlp." name ".down_proj", "blk.%d.ffn_down_shexp"                                          \
    }

static const sc_gguf_name llama[] = {LLAMA_LIKE(true),
                                     EXPERTS("block_sparse_moe", "w1", "w3", "w2"),
                                     {"model.layers.%d.block_sparse_moe.gate", "blk.%d.ffn_gate_inp"},
                                     {0}};
static const sc_gguf_name qwen2moe[] = {
    LLAMA_LIKE(false),
    MLP_EXPERTS,
    SHARED("shared_expert"),
    {"model.layers.%d.mlp.shared_expert_gate", "blk.%d.ffn_gate_inp_shexp", .vector = true},
    {0}};
static const sc_gguf_name qwen3moe[] = {LLAMA_LIKE(false), HEAD_NORMS, MLP_EXPERTS, {0}};
static const sc_gguf_name exaone_moe[] = {
    LLAMA_LIKE(false),
    HEAD_NORMS,
    MLP_EXPERTS,
    SHARED("shared_experts"),
    {"model.layers.%d.mlp.e_score_correction_bias", "blk.%d.exp_probs_b", .bare = ".bias"},
    {0}};
static const sc_gguf_name glm4moe[] = {
    ENDS,
    {"model.layers.%d.input_layernorm", "blk.%d.attn_norm"},
    {"model.layers.%d.post_attention_layernorm", "blk.%d.post_attention_norm"},
    ATTENTION(false),
    MLP_EXPERTS,
    SHARED("shared_experts"),
    {"model.layers.%d.mlp.gate.e_score_correction_bias", "blk.%d.exp_probs_b", .bare = ".bias"},
    {0}};
static const sc_gguf_name deepseek2[] = {
    LLAMA_LIKE(false),
    {"model.layers.%d.self_attn.q_a_proj", "blk.%d.attn_q_a"},
    {"model.layers.%d.self_attn.q_a_layernorm", "blk.%d.attn_q_a_norm"},
    {"model.layers.%d.self_attn.q_b_proj", "blk.%d.attn_q_b"},
    {"model.layers.%d.self_attn.kv_a_proj_with_mqa", "blk.%d.attn_kv_a_mqa"},
    {"model.layers.%d.self_attn.kv_a_layernorm", "blk.%d.attn_kv_a_norm"},
    {"model.layers.%d.self_attn.kv_b_proj", "blk.%d.attn_kv_b"},
    MLP_EXPERTS,
    SHARED("shared_experts"),
    {"model.layers.%d.mlp.gate.e_score_correction_bias", "blk.%d.exp_probs_b", .bare = ".bias"},
    {0}};
static const sc_gguf_name gpt_oss[] = {ENDS,
                                       {"model.layers.%d.input_layernorm", "blk.%d.attn_norm"},
                                       {"model.layers.%d.post_attention_layernorm", "blk.%d.post_attention_norm"},
                                       ATTENTION(false),
                                       {"model.layers.%d.self_attn.sinks", "blk.%d.attn_sinks", .bare = ".weight"},
                                       {"model.layers.%d.mlp.router", "blk.%d.ffn_gate_inp"},
                                       EXPERTS("mlp", "gate_proj", "up_proj", "down_proj"),
                                       {0}};
static const sc_gguf_name qwen2[] = {LLAMA_LIKE(false), {0}};
static const sc_gguf_name qwen3[] = {LLAMA_LIKE(false), HEAD_NORMS, {0}};
static const sc_gguf_name gpt2[] = {
    {"transformer.wte", "token_embd"},
    {"transformer.wpe", "position_embd"},
    {"transformer.ln_f", "output_norm"},
    {"lm_head", "output"},
    {"transformer.h.%d.ln_1", "blk.%d.attn_norm"},
    {"transformer.h.%d.attn.c_attn", "blk.%d.attn_qkv", .transposed = true},
    {"transformer.h.%d.attn.c_proj", "blk.%d.attn_output", .transposed = true},
    {"transformer.h.%d.ln_2", "blk.%d.ffn_norm"},
    {"transformer.h.%d.mlp.c_fc", "blk.%d.ffn_up", .transposed = true},
    {"transformer.h.%d.mlp.c_proj", "blk.%d.ffn_down", .transposed = true},
    {0},
};
static const sc_gguf_name gptj[] = {
    {"transformer.wte", "token_embd"},
    {"transformer.ln_f", "output_norm"},
    {"lm_head", "output"},
    {"transformer.h.%d.ln_1", "blk.%d.attn_norm"},
    {"transformer.h.%d.attn.q_proj", "blk.%d.attn_q"},
    {"transformer.h.%d.attn.k_proj", "blk.%d.attn_k"},
    {"transformer.h.%d.attn.v_proj", "blk.%d.attn_v"},
    {"transformer.h.%d.attn.out_proj", "blk.%d.attn_output"},
    {"transformer.h.%d.mlp.fc_in", "blk.%d.ffn_up"},
    {"transformer.h.%d.mlp.fc_out", "blk.%d.ffn_down"},
    {0},
};
static const sc_gguf_name gptneox[] = {
    {"gpt_neox.embed_in", "token_embd"},
    {"gpt_neox.final_layer_norm", "output_norm"},
    {"embed_out", "output"},
    {"gpt_neox.layers.%d.input_layernorm", "blk.%d.attn_norm"},
    {"gpt_neox.layers.%d.attention.query_key_value", "blk.%d.attn_qkv", .joined = true},
    {"gpt_neox.layers.%d.attention.dense", "blk.%d.attn_output"},
    {"gpt_neox.layers.%d.post_attention_layernorm", "blk.%d.ffn_norm"},
    {"gpt_neox.layers.%d.mlp.dense_h_to_4h", "blk.%d.ffn_up"},
    {"gpt_neox.layers.%d.mlp.dense_4h_to_h", "blk.%d.ffn_down"},
    {0},
};
static const sc_gguf_name bloom[] = {
    {"transformer.word_embeddings", "token_embd"},
    {"transformer.word_embeddings_layernorm", "token_embd_norm"},
    {"transformer.ln_f", "output_norm"},
    {"lm_head", "output"},
    {"transformer.h.%d.input_layernorm", "blk.%d.attn_norm"},
    {"transformer.h.%d.self_attention.query_key_value", "blk.%d.attn_qkv", .joined = true},
    {"transformer.h.%d.self_attention.dense", "blk.%d.attn_output"},
    {"transformer.h.%d.post_attention_layernorm", "blk.%d.ffn_norm"},
    {"transformer.h.%d.mlp.dense_h_to_4h", "blk.%d.ffn_up"},
    {"transformer.h.%d.mlp.dense_4h_to_h", "blk.%d.ffn_down"},
    {0},
};
static const sc_gguf_name phi2[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.final_layernorm", "output_norm"},
    {"lm_head", "output"},
    {"model.layers.%d.input_layernorm", "blk.%d.attn_norm"},
    {"model.layers.%d.self_attn.q_proj", "blk.%d.attn_q"},
    {"model.layers.%d.self_attn.k_proj", "blk.%d.attn_k"},
    {"model.layers.%d.self_attn.v_proj", "blk.%d.attn_v"},
    {"model.layers.%d.self_attn.q_layernorm", "blk.%d.attn_q_norm"},
    {"model.layers.%d.self_attn.k_layernorm", "blk.%d.attn_k_norm"},
    {"model.layers.%d.self_attn.dense", "blk.%d.attn_output"},
    {"model.layers.%d.mlp.fc1", "blk.%d.ffn_up"},
    {"model.layers.%d.mlp.fc2", "blk.%d.ffn_down"},
    {0},
};
static const sc_gguf_name phi3[] = {
    ENDS,
    NORMS_BEFORE,
    {"model.layers.%d.self_attn.qkv_proj", "blk.%d.attn_qkv"},
    {"model.layers.%d.self_attn.o_proj", "blk.%d.attn_output"},
    GATE_UP,
    {0},
};
static const sc_gguf_name exaone[] = {
    {"transformer.wte", "token_embd"},
    {"transformer.ln_f", "output_norm"},
    {"lm_head", "output"},
    {"transformer.h.%d.ln_1", "blk.%d.attn_norm"},
    {"transformer.h.%d.attn.attention.q_proj", "blk.%d.attn_q"},
    {"transformer.h.%d.attn.attention.k_proj", "blk.%d.attn_k"},
    {"transformer.h.%d.attn.attention.v_proj", "blk.%d.attn_v"},
    {"transformer.h.%d.attn.attention.out_proj", "blk.%d.attn_output"},
    {"transformer.h.%d.ln_2", "blk.%d.ffn_norm"},
    {"transformer.h.%d.mlp.c_fc_0", "blk.%d.ffn_gate"},
    {"transformer.h.%d.mlp.c_fc_1", "blk.%d.ffn_up"},
    {"transformer.h.%d.mlp.c_proj", "blk.%d.ffn_down"},
    {0},
};
static const sc_gguf_name norms_after[] = {ENDS, ATTENTION(false), HEAD_NORMS, NORMS_AFTER, GATED, {0}};
static const sc_gguf_name gemma[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm", .plus_one = true},
    {"lm_head", "output"},
    {"model.layers.%d.input_layernorm", "blk.%d.attn_norm", .plus_one = true},
    {"model.layers.%d.post_attention_layernorm", "blk.%d.post_attention_norm", .plus_one = true},
    {"model.layers.%d.pre_feedforward_layernorm", "blk.%d.ffn_norm", .plus_one = true},
    {"model.layers.%d.post_feedforward_layernorm", "blk.%d.post_ffw_norm", .plus_one = true},
    {"model.layers.%d.self_attn.q_norm", "blk.%d.attn_q_norm", .plus_one = true},
    {"model.layers.%d.self_attn.k_norm", "blk.%d.attn_k_norm", .plus_one = true},
    ATTENTION(false),
    GATED,
    {0},
};
static const sc_gguf_name starcoder2[] = {
    ENDS,
    NORMS_BEFORE,
    ATTENTION(false),
    {"model.layers.%d.mlp.c_fc", "blk.%d.ffn_up"},
    {"model.layers.%d.mlp.c_proj", "blk.%d.ffn_down"},
    {0},
};
static const sc_gguf_name cohere[] = {
    ENDS, {"model.layers.%d.input_layernorm", "blk.%d.attn_norm"}, ATTENTION(false), HEAD_NORMS, GATED, {0}};
static const sc_gguf_name glm[] = {ENDS, NORMS_BEFORE, ATTENTION(false), GATE_UP, {0}};
static const sc_gguf_name glm4[] = {
    ENDS,
    {"model.layers.%d.input_layernorm", "blk.%d.attn_norm"},
    {"model.layers.%d.post_self_attn_layernorm", "blk.%d.post_attention_norm"},
    {"model.layers.%d.post_attention_layernorm", "blk.%d.ffn_norm"},
    {"model.layers.%d.post_mlp_layernorm", "blk.%d.post_ffw_norm"},
    ATTENTION(false),
    GATE_UP,
    {0},
};

static const sc_gguf_name mamba[] = {
    {"backbone.embeddings", "token_embd"},
    {"backbone.norm_f", "output_norm"},
    {"lm_head", "output"},
    {"backbone.layers.%d.norm", "blk.%d.attn_norm"},
    {"backbone.layers.%d.mixer.in_proj", "blk.%d.ssm_in"},
    {"backbone.layers.%d.mixer.conv1d", "blk.%d.ssm_conv1d", .axes = SC_AXES_SQUEEZED},
    {"backbone.layers.%d.mixer.x_proj", "blk.%d.ssm_x"},
    {"backbone.layers.%d.mixer.dt_proj", "blk.%d.ssm_dt"},
    {"backbone.layers.%d.mixer.A_log", "blk.%d.ssm_a", .bare = "", .neg_exp = true},
    {"backbone.layers.%d.mixer.D", "blk.%d.ssm_d", .bare = ""},
    {"backbone.layers.%d.mixer.out_proj", "blk.%d.ssm_out"},
    {0},
};
static const sc_gguf_name mamba2[] = {
    {"backbone.embeddings", "token_embd"},
    {"backbone.norm_f", "output_norm"},
    {"lm_head", "output"},
    {"backbone.layers.%d.norm", "blk.%d.attn_norm"},
    {"backbone.layers.%d.mixer.in_proj", "blk.%d.ssm_in"},
    {"backbone.layers.%d.mixer.conv1d", "blk.%d.ssm_conv1d", .axes = SC_AXES_SQUEEZED},
    {"backbone.layers.%d.mixer.dt_bias", "blk.%d.ssm_dt", .bare = ".bias"},
    {"backbone.layers.%d.mixer.A_log", "blk.%d.ssm_a", .bare = "", .neg_exp = true, .axes = SC_AXES_COLUMN},
    {"backbone.layers.%d.mixer.D", "blk.%d.ssm_d", .bare = "", .axes = SC_AXES_COLUMN},
    {"backbone.layers.%d.mixer.norm", "blk.%d.ssm_norm", .axes = SC_AXES_GROUPED},
    {"backbone.layers.%d.mixer.out_proj", "blk.%d.ssm_out"},
    {0},
};
#define LINEAR "model.layers.%d.linear_attn."
/* Qwen's hybrids: attention and their own norms. */
#define QWEN_HYBRID                                                                                                \
    {"model.embed_tokens", "token_embd"}, {"model.norm", "output_norm", .plus_one = true}, {"lm_head", "output"},  \
        {"model.layers.%d.input_layernorm", "blk.%d.attn_norm", .plus_one = true},                                 \
        {"model.layers.%d.post_attention_layernorm", "blk.%d.post_attention_norm", .plus_one = true},              \
        {"model.layers.%d.self_attn.q_norm", "blk.%d.attn_q_norm", .plus_one = true},                              \
        {"model.layers.%d.self_attn.k_norm", "blk.%d.attn_k_norm", .plus_one = true}, ATTENTION(false)
/* The layers of the gated delta rule but their projections; t: whether value heads change places. */
#define DELTA(t)                                                                                                   \
    {LINEAR "conv1d", "blk.%d.ssm_conv1d", .axes = SC_AXES_SQUEEZED, .tiled = (t) ? SC_TILED_TAIL : 0},            \
        {LINEAR "dt_bias", "blk.%d.ssm_dt", .bare = ".bias", .tiled = (t) ? SC_TILED_ROWS : 0},                    \
        {LINEAR "A_log", "blk.%d.ssm_a", .bare = "", .neg_exp = true, .tiled = (t) ? SC_TILED_ROWS : 0},           \
        {LINEAR "norm", "blk.%d.ssm_norm"},                                                                        \
    {                                                                                                              \
        LINEAR "out_proj", "blk.%d.ssm_out", .tiled = (t) ? SC_TILED_COLUMNS : 0                                   \
    }
static const sc_gguf_name qwen3next[] = {
    QWEN_HYBRID,
    GATED,
    MLP_EXPERTS,
    SHARED("shared_expert"),
    {"model.layers.%d.mlp.shared_expert_gate", "blk.%d.ffn_gate_inp_shexp", .vector = true},
    {LINEAR "in_proj_qkvz", "blk.%d.ssm_in"},
    {LINEAR "in_proj_qkv", "blk.%d.attn_qkv"}, /* these two in place of the one */
    {LINEAR "in_proj_z", "blk.%d.attn_gate"},
    {LINEAR "in_proj_ba", "blk.%d.ssm_ba"},
    DELTA(false),
    {0},
};
#define DELTA_APART                                                                                                \
    {LINEAR "in_proj_qkv", "blk.%d.attn_qkv", .tiled = SC_TILED_TAIL},                                             \
        {LINEAR "in_proj_z", "blk.%d.attn_gate", .tiled = SC_TILED_ROWS},                                          \
        {LINEAR "in_proj_b", "blk.%d.ssm_beta", .tiled = SC_TILED_ROWS},                                           \
        {LINEAR "in_proj_a", "blk.%d.ssm_alpha", .tiled = SC_TILED_ROWS}, DELTA(true)
static const sc_gguf_name qwen35[] = {QWEN_HYBRID, GATED, DELTA_APART, {0}};
static const sc_gguf_name qwen35moe[] = {
    QWEN_HYBRID,
    MLP_EXPERTS,
    SHARED("shared_expert"),
    {"model.layers.%d.mlp.shared_expert_gate", "blk.%d.ffn_gate_inp_shexp", .vector = true},
    DELTA_APART,
    {0},
};

/* What a configuration calls the keys of gguf_config.c, where it is something else. */
/* Encoders: without the name of the bare model in front, which differs between families that share the rest. */
static const sc_gguf_name bert[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"encoder.layer.%d.attention.self.query", "blk.%d.attn_q"},
    {"encoder.layer.%d.attention.self.key", "blk.%d.attn_k"},
    {"encoder.layer.%d.attention.self.value", "blk.%d.attn_v"},
    {"encoder.layer.%d.attention.output.dense", "blk.%d.attn_output"},
    {"encoder.layer.%d.attention.output.LayerNorm", "blk.%d.attn_output_norm"},
    {"encoder.layer.%d.intermediate.dense", "blk.%d.ffn_up"},
    {"encoder.layer.%d.output.dense", "blk.%d.ffn_down"},
    {"encoder.layer.%d.output.LayerNorm", "blk.%d.layer_output_norm"},
    {0},
};
static const sc_gguf_name nomic_bert[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"emb_ln", "token_embd_norm"},
    {"encoder.layers.%d.attn.Wqkv", "blk.%d.attn_qkv"},
    {"encoder.layers.%d.attn.out_proj", "blk.%d.attn_output"},
    {"encoder.layers.%d.norm1", "blk.%d.attn_output_norm"},
    {"encoder.layers.%d.mlp.fc11", "blk.%d.ffn_up"},
    {"encoder.layers.%d.mlp.fc12", "blk.%d.ffn_gate"},
    {"encoder.layers.%d.mlp.fc2", "blk.%d.ffn_down"},
    {"encoder.layers.%d.norm2", "blk.%d.layer_output_norm"},
    {0},
};
/* The first files had the gate apart: jina_bert.c knows both. */
static const sc_gguf_name jina_bert[] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"encoder.layer.%d.attention.self.query", "blk.%d.attn_q"},
    {"encoder.layer.%d.attention.self.key", "blk.%d.attn_k"},
    {"encoder.layer.%d.attention.self.value", "blk.%d.attn_v"},
    {"encoder.layer.%d.attention.self.layer_norm_q", "blk.%d.attn_q_norm"},
    {"encoder.layer.%d.attention.self.layer_norm_k", "blk.%d.attn_k_norm"},
    {"encoder.layer.%d.attention.output.dense", "blk.%d.attn_output"},
    {"encoder.layer.%d.attention.output.LayerNorm", "blk.%d.attn_output_norm"},
    {"encoder.layer.%d.mlp.gated_layers", "blk.%d.ffn_up"},
    {"encoder.layer.%d.mlp.gated_layers_w", "blk.%d.ffn_gate"},
    {"encoder.layer.%d.mlp.wo", "blk.%d.ffn_down"},
    {"encoder.layer.%d.mlp.layernorm", "blk.%d.layer_output_norm"},
    {0},
};
static const sc_gguf_name modern_bert[] = {
    {"embeddings.tok_embeddings", "token_embd"},
    {"embeddings.norm", "token_embd_norm"},
    {"final_norm", "output_norm"},
    {"layers.%d.attn_norm", "blk.%d.attn_norm"},
    {"layers.%d.attn.Wqkv", "blk.%d.attn_qkv"},
    {"layers.%d.attn.Wo", "blk.%d.attn_output"},
    {"layers.%d.mlp_norm", "blk.%d.ffn_norm"},
    {"layers.%d.mlp.Wi", "blk.%d.ffn_up"},
    {"layers.%d.mlp.Wo", "blk.%d.ffn_down"},
    {0},
};

#define GPT2_KEYS                                                                                                  \
    {"num_hidden_layers", "n_layer"}, {"max_position_embeddings", "n_positions"}, {"hidden_size", "n_embd"},       \
        {"intermediate_size", "n_inner"}, {"num_attention_heads", "n_head"},                                       \
        {"layer_norm_eps", "layer_norm_epsilon"},                                                                  \
    {                                                                                                              \
        "hidden_act", "activation_function"                                                                        \
    }
static const sc_key_alias gpt2_keys[] = {GPT2_KEYS, {0}};
static const sc_key_alias gptneox_keys[] = {
    {"partial_rotary_factor", "rotary_pct"}, {"rope_theta", "rotary_emb_base"}, {0}};
static const sc_key_alias bloom_keys[] = {{"num_hidden_layers", "n_layer"},
                                          {"num_attention_heads", "n_head"},
                                          {"max_position_embeddings", "seq_length"},
                                          {"layer_norm_eps", "layer_norm_epsilon"},
                                          {0}};
static const sc_key_alias exaone_keys[] = {{"num_hidden_layers", "num_layers"},
                                           {"rms_norm_eps", "layer_norm_epsilon"},
                                           {"hidden_act", "activation_function"},
                                           {0}};
static const sc_key_alias gemma_keys[] = {{"hidden_act", "hidden_activation"}, {0}};
static const sc_key_alias starcoder2_keys[] = {
    {"layer_norm_eps", "norm_epsilon"}, {"attention_bias", "use_bias"}, {0}};
static const sc_key_alias local_experts_keys[] = {{"num_experts", "num_local_experts"}, {0}};
static const sc_key_alias routed_experts_keys[] = {{"num_experts", "n_routed_experts"}, {0}};
static const sc_key_alias qwen2_moe_keys[] = {{"attention_bias", "qkv_bias"}, {0}};
static const sc_key_alias exaone_moe_keys[] = {{"n_shared_experts", "num_shared_experts"}, {0}};
static const sc_key_alias mamba_keys[] = {{"rms_norm_eps", "layer_norm_epsilon"}, {0}};
static const sc_key_alias modern_bert_keys[] = {{"layer_norm_eps", "norm_eps"},
                                                {"rope_theta", "global_rope_theta"},
                                                {"rope_local_base_freq", "local_rope_theta"},
                                                {"sliding_window", "local_attention"},
                                                {"hidden_act", "hidden_activation"},
                                                {0}};
static const sc_key_alias granite_keys[] = {{"logit_scale", "logits_scaling"}, {0}};

/* ffn_up is wi where there is no gate: t5.c renames it. */
#define T5_STACK(hf, gguf, ffn)                                                                                    \
    {hf ".block.%d.layer.0.layer_norm", gguf ".blk.%d.attn_norm"},                                                 \
        {hf ".block.%d.layer.0.SelfAttention.q", gguf ".blk.%d.attn_q"},                                           \
        {hf ".block.%d.layer.0.SelfAttention.k", gguf ".blk.%d.attn_k"},                                           \
        {hf ".block.%d.layer.0.SelfAttention.v", gguf ".blk.%d.attn_v"},                                           \
        {hf ".block.%d.layer.0.SelfAttention.o", gguf ".blk.%d.attn_o"},                                           \
        {hf ".block.%d.layer.0.SelfAttention.relative_attention_bias", gguf ".blk.%d.attn_rel_b"},                 \
        {hf ".block.%d.layer." ffn ".layer_norm", gguf ".blk.%d.ffn_norm"},                                        \
        {hf ".block.%d.layer." ffn ".DenseReluDense.wi_0", gguf ".blk.%d.ffn_gate"},                               \
        {hf ".block.%d.layer." ffn ".DenseReluDense.wi_1", gguf ".blk.%d.ffn_up"},                                 \
        {hf ".block.%d.layer." ffn ".DenseReluDense.wi", gguf ".blk.%d.ffn_up"},                                   \
        {hf ".block.%d.layer." ffn ".DenseReluDense.wo", gguf ".blk.%d.ffn_down"},                                 \
    {                                                                                                              \
        hf ".final_layer_norm", gguf ".output_norm"                                                                \
    }
static const sc_gguf_name t5[] = {
    {"shared", "token_embd"},
    {"lm_head", "output"},
    T5_STACK("encoder", "enc", "1"),
    T5_STACK("decoder", "dec", "2"),
    {"decoder.block.%d.layer.1.layer_norm", "dec.blk.%d.cross_attn_norm"},
    {"decoder.block.%d.layer.1.EncDecAttention.q", "dec.blk.%d.cross_attn_q"},
    {"decoder.block.%d.layer.1.EncDecAttention.k", "dec.blk.%d.cross_attn_k"},
    {"decoder.block.%d.layer.1.EncDecAttention.v", "dec.blk.%d.cross_attn_v"},
    {"decoder.block.%d.layer.1.EncDecAttention.o", "dec.blk.%d.cross_attn_o"},
    {0},
};

static const sc_gguf_arch archs[] = {
    {"llama", "llama", "LlamaForCausalLM", "silu", llama},
    {"llama", "mistral", "MistralForCausalLM", "silu", llama},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", "silu", qwen2},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", "silu", qwen3},
    {"gpt2", "gpt2", "GPT2LMHeadModel", "gelu_new", gpt2, gpt2_keys},
    {"gptj", "gptj", "GPTJForCausalLM", "gelu_new", gptj, gpt2_keys},
    {"gptneox", "gpt_neox", "GPTNeoXForCausalLM", "gelu", gptneox, gptneox_keys},
    {"bloom", "bloom", "BloomForCausalLM", "gelu_new", bloom, bloom_keys},
    {"phi2", "phi", "PhiForCausalLM", "gelu_new", phi2},
    {"phi3", "phi3", "Phi3ForCausalLM", "silu", phi3},
    {"exaone", "exaone", "ExaoneForCausalLM", "silu", exaone, exaone_keys},
    {"exaone4", "exaone4", "Exaone4ForCausalLM", "silu", norms_after, .period = 4},
    {"gemma2", "gemma2", "Gemma2ForCausalLM", "gelu_pytorch_tanh", gemma, gemma_keys, .period = 2},
    {"gemma3", "gemma3_text", "Gemma3ForCausalLM", "gelu_pytorch_tanh", gemma, gemma_keys, .period = 6},
    {"olmo2", "olmo2", "Olmo2ForCausalLM", "silu", norms_after},
    {"smollm3", "smollm3", "SmolLM3ForCausalLM", "silu", llama},
    {"starcoder2", "starcoder2", "Starcoder2ForCausalLM", "gelu_pytorch_tanh", starcoder2, starcoder2_keys},
    {"granite", "granite", "GraniteForCausalLM", "silu", llama, granite_keys},
    {"command-r", "cohere", "CohereForCausalLM", "silu", cohere},
    {"cohere2", "cohere2", "Cohere2ForCausalLM", "silu", cohere, .period = 4},
    {"chatglm", "glm", "GlmForCausalLM", "silu", glm},
    {"glm4", "glm4", "Glm4ForCausalLM", "silu", glm4},
    {"mamba", "mamba", "MambaForCausalLM", "silu", mamba, mamba_keys},
    {"mamba", "falcon_mamba", "FalconMambaForCausalLM", "silu", mamba, mamba_keys},
    {"mamba2", "mamba2", "Mamba2ForCausalLM", "silu", mamba2, mamba_keys},
    {"qwen35", "qwen3_5_text", "Qwen3_5ForCausalLM", "silu", qwen35},
    {"qwen35moe", "qwen3_5_moe_text", "Qwen3_5MoeForCausalLM", "silu", qwen35moe},
    {"qwen3next", "qwen3_next", "Qwen3NextForCausalLM", "silu", qwen3next},
    {"llama", "mixtral", "MixtralForCausalLM", "silu", llama, local_experts_keys},
    {"qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", "silu", qwen2moe, qwen2_moe_keys},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", "silu", qwen3moe},
    {"deepseek2", "deepseek_v2", "DeepseekV2ForCausalLM", "silu", deepseek2, routed_experts_keys},
    {"deepseek2", "deepseek_v3", "DeepseekV3ForCausalLM", "silu", deepseek2, routed_experts_keys},
    {"exaone-moe", "exaone_moe", "ExaoneMoeForCausalLM", "silu", exaone_moe, exaone_moe_keys, .period = 4},
    {"glm4moe", "solar_open", "SolarOpenForCausalLM", "silu", glm4moe, routed_experts_keys},
    {"gpt-oss", "gpt_oss", "GptOssForCausalLM", "silu", gpt_oss, local_experts_keys, .period = 2},
    {"bert", "bert", "BertModel", "gelu", bert},
    {"bert", "roberta", "RobertaModel", "gelu", bert},
    {"bert", "xlm-roberta", "XLMRobertaModel", "gelu", bert},
    {"modern-bert", "modernbert", "ModernBertModel", "gelu", modern_bert, modern_bert_keys, .period = 3},
    {"nomic-bert", "nomic_bert", "NomicBertModel", "silu", nomic_bert},
    {"jina-bert-v2", "jina_bert_v2", "JinaBertModel", "gelu", jina_bert},
    {"t5encoder", "t5_encoder", "T5EncoderModel", "relu", t5},
    {"t5", "t5", "T5ForConditionalGeneration", "relu", t5},
    {"t5", "mt5", "MT5ForConditionalGeneration", "gelu_pytorch_tanh", t5},
};

const sc_gguf_arch *sc_gguf_arch_named(const char *arch)
{
    for (int i = 0; i < SC_COUNT(archs); i++)
        if (strcmp(archs[i].arch, arch) == 0) return &archs[i];
    return NULL;
}

const sc_gguf_arch *sc_gguf_arch_for(const char *model_type)
{
    for (int i = 0; i < SC_COUNT(archs); i++)
        if (strcmp(archs[i].model_type, model_type) == 0) return &archs[i];
    return NULL;
}

const char *sc_gguf_arch_of(const char *model_type)
{
    const sc_gguf_arch *a = sc_gguf_arch_for(model_type);
    return a ? a->arch : NULL;
}

const char *sc_gguf_alias(const sc_gguf_arch *a, const char *key)
{
    for (const sc_key_alias *k = a->keys; k && k->key; k++)
        if (strcmp(k->key, key) == 0) return k->alias;
    return key;
}

/* The layer, and the expert where a name has one. */
enum { NUMBERS = 2 };

/* Matches `name` against `pattern` and its numbers, and `end` after it; NULL: ".weight" or ".bias". */
static bool match(const char *name, const char *pattern, const char *end, long number[NUMBERS], const char **rest)
{
    int n = 0;
    while (*pattern) {
        if (strncmp(pattern, "%d", 2) != 0) {
            if (*name++ != *pattern++) return false;
            continue;
        }
        char *after;
        if (*name < '0' || *name > '9' || n == NUMBERS) return false;
        number[n++] = strtol(name, &after, 10);
        name = after;
        pattern += 2;
    }
    *rest = name;
    return end ? strcmp(name, end) == 0 : strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0;
}

static bool write_name(char *out, size_t size, const char *pattern, const long number[NUMBERS], const char *rest)
{
    int n = 0;
    size_t at = 0;
    while (*pattern && at < size) {
        bool digits = strncmp(pattern, "%d", 2) == 0;
        if (digits)
            at += (size_t)snprintf(out + at, size - at, "%ld", number[n++]);
        else
            out[at++] = *pattern;
        pattern += digits ? 2 : 1;
    }
    if (at < size) at += (size_t)snprintf(out + at, size - at, "%s", rest);
    return at < size;
}

/* The row of a GGUF tensor, and what stands for %d in it and after it. */
static const sc_gguf_name *find_row(const char *arch, const char *name, long number[NUMBERS], const char **rest)
{
    const sc_gguf_arch *a = sc_gguf_arch_named(arch);
    for (const sc_gguf_name *r = a ? a->names : NULL; r && r->hf; r++)
        if (match(name, r->gguf, r->bare, number, rest)) return r;
    return NULL;
}

const sc_gguf_name *sc_gguf_to_hf(const char *arch, const char *name, char *out, size_t size)
{
    long number[NUMBERS] = {0};
    const char *rest;
    const sc_gguf_name *r = find_row(arch, name, number, &rest);
    return r && write_name(out, size, r->hf, number, r->bare ? "" : rest) ? r : NULL;
}

const sc_gguf_name *sc_gguf_from_hf(const char *arch, const char *name, char *out, size_t size)
{
    long number[NUMBERS] = {0};
    const char *rest;
    const sc_gguf_arch *a = sc_gguf_arch_named(arch);
    for (const sc_gguf_name *r = a ? a->names : NULL; r && r->hf; r++)
        if (match(name, r->hf, r->bare ? "" : NULL, number, &rest) &&
            write_name(out, size, r->gguf, number, r->bare ? r->bare : rest))
            return r;
    return NULL;
}

/* The experts of a stack under their own names, where they lie. */
static sc_status add_experts(sc_weights *w, const sc_gguf_name *row, long layer, const char *rest,
                             const sc_shape *shape, const sc_storage *all)
{
    sc_shape one = {.rank = shape->rank - 1};
    sc_storage storage = *all;
    sc_status s = SC_OK;
    memcpy(one.dim, shape->dim + 1, sizeof *one.dim * (size_t)SC_MAX(one.rank, 0));
    memcpy(storage.stride, all->stride + 1, sizeof *storage.stride * (size_t)SC_MAX(one.rank, 0));
    int64_t bytes = all->dtype < SC_DTYPE_COUNT ? sc_dtype_size(all->dtype, all->stride[0]) : 0;
    if (one.rank < 1 || bytes < 0)
        return sc_fail(SC_ESHAPE, "'%s' of layer %ld is no stack of experts", row->gguf, layer);
    for (int64_t e = 0; !s && e < shape->dim[0]; e++) {
        char name[512];
        long number[NUMBERS] = {layer, (long)e};
        if (!write_name(name, sizeof name, row->hf, number, rest))
            return sc_fail(SC_ELIMIT, "'%s' is too long", row->hf);
        s = sc_weights_add(w, name, &one, &storage);
        storage.data = (char *)storage.data + bytes;
    }
    return s;
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
        long number[NUMBERS] = {0};
        const char *rest;
        const sc_gguf_name *row = sc_gguf_to_hf(arch, t->name, name, sizeof name);
        if (row && row->experts) {
            find_row(arch, t->name, number, &rest);
            s = add_experts(w, row, number[0], rest, &shape, &storage);
            continue;
        }
        if (row && row->vector && shape.rank == 1) {
            shape = (sc_shape){2, {1, shape.dim[0]}};
            sc_dense_strides(&shape, storage.stride);
        }
        bool matrix = row && shape.rank == 2;
        if (matrix && row->transposed) {
            /* The axes as HuggingFace has them; the bytes stay. */
            int64_t d = shape.dim[0], st = storage.stride[0];
            shape.dim[0] = shape.dim[1], shape.dim[1] = d;
            storage.stride[0] = storage.stride[1], storage.stride[1] = st;
        }
        s = sc_weights_add(w, row ? name : t->name, &shape, &storage);
        if (s || !row) continue;
        sc_weight *added = &w->item[w->count - 1];
        added->transposed = matrix && row->transposed;
        added->permuted = row->permuted;
        added->joined = row->joined;
        added->plus_one = row->plus_one;
        added->formed = row->neg_exp;
        added->reshaped = row->axes != SC_AXES_SAME;
        added->tiled = row->tiled;
    }
    return s;
}

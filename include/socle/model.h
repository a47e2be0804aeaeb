/* SPDX-License-Identifier: Apache-2.0 */
/* Models: opened from a HuggingFace directory or a GGUF file, looked at, and called as functions. */
#ifndef SOCLE_MODEL_H
#define SOCLE_MODEL_H

#include "socle/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A loaded model: immutable, so any number of threads may share it. Its weights are used where they lie in the file. */
typedef struct sc_model sc_model;

typedef enum sc_model_weights {
    SC_WEIGHTS_FILE,  /* as stored; a missing or mis-shaped tensor fails */
    SC_WEIGHTS_FRESH, /* new ones by each parameter's initialiser: the start of a training. Needs config.json only */
    SC_WEIGHTS_SYNTHETIC, /* quick noise of `type`, to measure speed. Needs config.json only */
} sc_model_weights;

typedef struct sc_model_options {
    sc_model_weights weights;
    sc_dtype type;    /* of synthetic matrices; SC_F32 (0) by default. Vectors are f32 */
    uint64_t seed;    /* of fresh and synthetic weights */
    bool config_only; /* fresh or synthetic weights get memory but no values: for looking at a plan */
    /* Folders of adapters in PEFT's format (docs/adapters.md), all applied: LoRA (with rsLoRA, DoRA, patterns, modules_to_save
     * and trained biases), IA3, VeRA, bottleneck adapters, each part of which must meet a matrix of the model that it fits, and at most one of prompt tuning, whose
     * virtual tokens go before every sequence. adapter_weights: how much of each counts; NULL: 1. */
    const char *const *adapters;
    const double *adapter_weights;
    int n_adapters;
} sc_model_options;

/* path: a directory with config.json and safetensors, or a .gguf file, or a directory with adapter_config.json alone, for the
 * model that it names, with it; for fresh and synthetic weights also a .json file
 * as config.json. options may be NULL. The context must outlive the
 * model. SC_ENOTFOUND, SC_EFORMAT, SC_EUNSUPPORTED (a family or type that is not known), SC_ESHAPE, SC_ELIMIT. */
SC_API sc_status sc_model_open(sc_model **out, sc_context *ctx, const char *path, const sc_model_options *options);
SC_API void sc_model_free(sc_model *m);

/* What kinds of models there are: config.json's model types, and each at a glance. NULL: nothing is known of it. */
typedef struct sc_model_type {
    const char *model_type, *family, *name;
    const char *attention, *position, *norm, *activation, *tokenizer; /* in a few words */
    const char *gguf;     /* its architecture there; NULL: GGUF has none */
    const char *fixtures; /* cases of the fixture matrix that its tests compare with transformers */
} sc_model_type;
SC_API int64_t sc_model_type_count(void);
SC_API bool sc_model_type_at(int64_t i, sc_model_type *out); /* false: there are fewer */

/* What a model's result is. */
typedef enum sc_head {
    SC_HEAD_NEXT,     /* for each token, logits of the one that follows: (tokens, vocab) */
    SC_HEAD_NONE,     /* the states alone: (tokens, width) */
    SC_HEAD_FILL,     /* for each token, logits of the one that stands there: (tokens, vocab) */
    SC_HEAD_CLASSES,  /* logits of classes for each sequence: (sequences, labels) */
    SC_HEAD_TAGS,     /* … for each token: (tokens, labels) */
    SC_HEAD_SPAN,     /* where an answer begins and ends: (tokens, 2) */
    SC_HEAD_REPLACED, /* the logit that a token was replaced: (tokens, 1) (ELECTRA) */
    SC_HEAD_COUNT
} sc_head;

typedef struct sc_model_info {
    const char *path, *family, *model_type, *format; /* format: "safetensors", "gguf", "fresh", "synthetic" */
    const char *dtypes;                              /* "q4_1 211, f32 61": how many tensors of each type */
    int64_t parameters, bytes;                       /* of all weights */
    int64_t active; /* parameters that one token goes through: all but those of experts it does not use */
    int64_t experts, experts_used; /* of a mixture, and of them those that a token uses; 0: none */
    int64_t layers, width, heads, kv_heads, head_dim, vocab;
    int64_t
        latent; /* width of the one key that all heads share in the cache (latent attention); 0: heads have their own */
    int64_t context;      /* tokens; 0: not limited */
    int64_t source_vocab; /* ids that an encoder-decoder's encoder reads; 0: the model has none */
    bool tied;            /* the output matrix is the embedding */
    sc_head head;
    int64_t labels;         /* of SC_HEAD_CLASSES and SC_HEAD_TAGS */
    int64_t first_position; /* of HuggingFace's position_ids: 2 in RoBERTa */
    int64_t token_types;    /* values of token_type_ids; 0: not told */
} sc_model_info;
SC_API void sc_model_describe(const sc_model *m, sc_model_info *info); /* texts are borrowed from the model */
SC_API sc_context *sc_model_context(const sc_model *m);

/* config.json's name of a class; "LABEL_i" where it has none. Borrowed. NULL: there is no class i. */
SC_API const char *sc_model_label(const sc_model *m, int64_t i);
/* Each class is yes or no for itself: config.json's problem_type is multi_label_classification. */
SC_API bool sc_model_multi_label(const sc_model *m);

/* Ids that end an answer, from generation_config.json, config.json or GGUF keys; borrowed, *n of them. */
SC_API const int32_t *sc_model_eos(const sc_model *m, int64_t *n);
/* The id that an encoder-decoder's decoder begins with; -1: not known. */
SC_API int32_t sc_model_decoder_start(const sc_model *m);
/* generation_config.json as text, "{}" where there is none; an encoder-decoder without one has what its config.json says
 * of generation. Borrowed. */
SC_API const char *sc_model_generation_config(const sc_model *m);

/* The parameters in the order in which the model asks for them. */
typedef struct sc_model_param {
    const char *name; /* HuggingFace's */
    sc_dtype dtype;
    int rank;
    int64_t dim[SC_MAX_RANK];
    const void *data; /* dense in dim, or in the transposed order where `transposed`; NULL when only declared */
    bool transposed;  /* stored with its two axes exchanged */
    int64_t step;     /* > 1: of what is stored there only each so many-th value is this parameter's */
    bool expert;      /* one of a mixture's, read only for the tokens that choose it */
    bool permuted;    /* rows of each head stored as (2, d/2) pairs side by side: GGUF's rotary layout */
    bool joined;   /* rows stored as all queries, all keys, all values, where HuggingFace has them head by head */
    bool plus_one; /* stored with 1 added */
    bool neg_exp;  /* stored as -exp(x) */
    bool fixed;    /* not learned: training leaves it as it is */
    int tiled; /* not 0: value heads stored in turns of their key heads: 1 in all rows, 2 behind queries and keys, 3 in
                      the columns */
} sc_model_param;
SC_API int64_t sc_model_param_count(const sc_model *m);
SC_API const sc_model_param *sc_model_param_at(const sc_model *m, int64_t i);
/* Tensors of the file that no parameter asked for; borrowed. */
SC_API int64_t sc_model_unexpected_count(const sc_model *m);
SC_API const char *sc_model_unexpected_at(const sc_model *m, int64_t i);

/* The plan of one run over `tokens` tokens with `past` before them, as text (sc_free). */
SC_API sc_status sc_model_plan_text(char **out, const sc_model *m, int64_t tokens, int64_t past);

/* ---- a model as a function: named tensors in, named tensors out ---- */

typedef struct sc_named_tensor {
    const char *name;
    sc_dtype dtype; /* f32, i32 or i64 */
    int rank;
    int64_t dim[SC_MAX_RANK];
    void *data;
} sc_named_tensor;

typedef struct sc_outputs sc_outputs;

/* HuggingFace's argument and field names. Text models take input_ids (B, T) and attention_mask (B, T) (absent: all
 * ones; each row's real tokens must be together), and position_ids and token_type_ids (B, T) (absent: counted, zeros). They
 * give what their head makes: logits (B, T, V), zeros at padding; (B, labels) of classes; (B, T) of SC_HEAD_REPLACED;
 * start_logits and end_logits (B, T) of SC_HEAD_SPAN; without a head last_hidden_state (B, T, C). With `all` also
 * hidden_states (L+1, T', C): what enters each layer, and the last after the final norm, for row 0's T' = T places;
 * and of encoders last_hidden_state and what they pool: pooler_output (B, C), seq_relationship_logits (B, 2).
 * Encoder-decoders take input_ids (B, U), attention_mask, decoder_input_ids (B, T) and decoder_attention_mask (without it
 * a row ends where decoder_lengths (B) says, or after its last label that is not -100) and give logits (B, T, V), with
 * `all` also encoder_last_hidden_state (B, U, C) and row 0's encoder_hidden_states and decoder_hidden_states.
 * Other inputs are ignored. End *out with sc_outputs_free. */
SC_API sc_status sc_model_forward(sc_outputs **out, const sc_model *m, const sc_named_tensor *in, int64_t n_in,
                                  bool all);
SC_API void sc_outputs_free(sc_outputs *o);
SC_API int64_t sc_outputs_count(const sc_outputs *o);
SC_API const sc_named_tensor *sc_outputs_at(const sc_outputs *o, int64_t i);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Families of models and the loading of one. A family is one file: which keys of config.json mean what, and how its
 * layers are put together. */
#ifndef SC_MODELS_INTERNAL_H
#define SC_MODELS_INTERNAL_H

#include "io/io.h"
#include "nn/nn.h"
#include "socle/convert.h"
#include "socle/model.h"
#include "socle/peft.h"

/* ---- reading a configuration (config.c): sticky, like building a graph ---- */

typedef struct sc_config {
    const json_t *json;
    const char *what;                 /* the file, for messages */
    sc_arena *arena;                  /* lives as long as the model */
    const struct sc_weights *weights; /* what the file has; NULL where weights come from no file */
    sc_status status;                 /* the first fault; its message is the thread's */
    bool blocks;                      /* sc_config_blocks was asked */
} sc_config;

#define SC_REQUIRED INT64_MIN
/* The value of a key, `otherwise` where it is absent or null (SC_REQUIRED: a fault). Outside lo … hi is a fault. A key may
 * be several names of the same thing, "num_hidden_layers|n_layer": the last that is there counts, and messages about one
 * that is not have the first. */
int64_t sc_config_int(sc_config *c, const char *key, int64_t otherwise, int64_t lo, int64_t hi);
double sc_config_num(sc_config *c, const char *key, double otherwise, double lo, double hi);
bool sc_config_bool(sc_config *c, const char *key, bool otherwise);
const char *sc_config_str(sc_config *c, const char *key, const char *otherwise);
bool sc_config_has(const sc_config *c, const char *key); /* there, and not null */
/* A HuggingFace activation name: "silu", "gelu_new", … */
sc_unary_kind sc_config_activation(sc_config *c, const char *key, const char *otherwise);
sc_unary_kind sc_activation_named(sc_config *c, const char *key, const char *name); /* key: for the message */
/* rope_parameters (transformers 5) or rope_theta, rope_scaling and partial_rotary_factor (before) for heads of d. What
 * *out holds before of theta and dim are the family's defaults; 0: 10000, and d. */
void sc_config_rope(sc_config *c, int64_t d, sc_rope_params *out);
/* The same for layers with a window, where they have their own: rope_parameters.sliding_attention or, before,
 * rope_local_base_freq. */
void sc_config_local_rope(sc_config *c, int64_t d, sc_rope_params *out);
/* "block_sparse": which of the layers have such a pattern, NULL where there is none. (config_blocks.c) */
const bool *sc_config_blocks(sc_config *c, int64_t layers, bool causal, sc_block_pattern *out);
/* Whether the file has a tensor whose name, or its name without the prefix and a dot, is this; `otherwise` without a file. */
bool sc_config_has_weight(const sc_config *c, const char *prefix, const char *name, bool otherwise);
/* The row of a table of `vocab` tokens that no look-up teaches: that of pad_token_id; -1: none. As torch, where
 * transformers gives that to a table as its padding: below 0 counts from the end. */
int64_t sc_config_padding(sc_config *c, int64_t vocab, int64_t otherwise);
/* Reports a fault that the configuration's values make together. */
void sc_config_fault(sc_config *c, const char *fmt, ...) SC_PRINTF(2, 3);

/* ---- what decoder-only families share (decoder.c) ---- */

typedef struct sc_decoder sc_decoder;
/* A part of layer i, named as its checkpoints name it: x (T, C) → (T, C). */
typedef sc_tensor *sc_decoder_part(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x);

/* What checkpoints call the parts. A norm or a matrix without a name is not there; a scope without one adds nothing. */
typedef struct sc_decoder_names {
    const char *model;                                     /* the scope of all but the head */
    const char *embed, *embed_in, *embed_norm, *positions; /* of tokens; widened; normed; learned positions */
    const char *layer;                                     /* the scope of layer i: "layers" → "layers.%d" */
    const char *attn_norm, *attn, *attn_after, *ffn_norm, *ffn, *ffn_after;
    const char *norm, *embed_out, *head; /* the last norm; narrowed; the head, outside */
    sc_attention_names in_attn;
    sc_ffn_names in_ffn;
} sc_decoder_names;

typedef enum sc_position { SC_POSITION_ROPE, SC_POSITION_LEARNED, SC_POSITION_ALIBI, SC_POSITION_NONE } sc_position;

/* A decoder-only model: its sizes, and how a block is put together from the layers of nn/. A family sets what differs from
 * LLaMA, before sc_decoder_configure what is a default of its own and after it what is always so. A family with more keys
 * begins its own configuration with this one.
 *
 *     h = attn_norm(x);        x = x + attn_after(attn(h))
 *     h = ffn_norm(x);         x = x + ffn_after(ffn(h))         or, parallel, both added to the same x */
struct sc_decoder {
    int64_t layers, width, ffn_width, vocab, context;
    int64_t embed_width; /* of the token table, where it is another one */
    int64_t padding;     /* sc_config_padding */
    float eps;
    bool tied;
    sc_unary_kind act;
    const char *act_default; /* of hidden_act; NULL: "silu" */
    unsigned mlp_bias;       /* flags of the matrices */
    unsigned head_bias;      /* SC_BIAS or 0 */
    sc_norm_kind norm;       /* all but the head norms */
    bool parallel;           /* attention and feed-forward read the same x; without a ffn_norm, the same h */
    bool norm_sum;           /* attn_after and ffn_after norm the sum (OPT-350M) */
    bool residual_normed;    /* h is what is added to, not x (a kind of BLOOM) */
    bool scale_by_layer;     /* scores are divided by the layer's number, from 1 */
    float embed_scale, residual_scale, logit_scale; /* factors; 0: none */
    float logit_cap;                                /* a logit s becomes cap tanh(s / cap); 0: none */
    bool valued; /* beside the head "v_head.summary" says what is to be expected, tap "value" (TRL's name) */
    sc_position position;
    int64_t position_skip; /* rows of the table of positions in front of the first */
    sc_attention_config
        attn; /* of a layer without a window; the head norms are of the kind `norm` where none is set */
    sc_rope_params rope, local_rope; /* local_rope.dim > 0: layers with a window have their own */
    double rotary_share;             /* default of partial_rotary_factor; 0: 1 */
    int64_t window;                  /* of the layers that have one; 0: none has */
    const bool *sliding;             /* of each layer */
    const bool *sparse;              /* of each layer: has `blocks`; NULL: none */
    sc_block_pattern blocks;
    const bool *rotated; /* of each layer; NULL: all */
    sc_decoder_names names;
    sc_decoder_part *mixer; /* between tokens; NULL: sc_decoder_attention */
    sc_decoder_part *ffn;   /* of each token; NULL: sc_decoder_ffn */
};
/* Reads the keys that HuggingFace's configurations have in common. A number that is set before is its default; 0: the key
 * must be there (d->attn.d: hidden_size / num_attention_heads, kv_heads: as many as heads). */
void sc_decoder_configure(sc_config *c, sc_decoder *d);
/* Qwen's use of windows, after sc_decoder_configure: only with use_sliding_window, in layers from max_window_layers on. */
void sc_decoder_late_windows(sc_config *c, sc_decoder *d);
/* Windows in all layers but each n-th, where layer_types does not say; n from sliding_window_pattern, else `otherwise`. */
void sc_decoder_window_pattern(sc_config *c, sc_decoder *d, int64_t otherwise);
void sc_decoder_describe(const void *decoder, sc_model_info *info);

/* The whole model → logits. */
sc_tensor *sc_decoder_build(sc_graph *g, const void *decoder, sc_text_in *in);
/* Attention as d->attn and layer i say, for a mixer that has its own way in some layers only; and its configuration. */
sc_decoder_part sc_decoder_attention, sc_decoder_ffn;
sc_attention_config sc_decoder_attention_config(const sc_decoder *d, int64_t i, const sc_text_in *in);

/* ---- what decoders with mixtures of experts share (experts.c) ---- */

typedef struct sc_weights sc_weights;

typedef struct sc_moe_decoder {
    sc_decoder decoder;
    sc_moe_config moe;
    const char *name;     /* of a mixture within its layer */
    const bool *sparse;   /* of each layer: has a mixture; else the gated "mlp" */
    int64_t first_sparse; /* default of first_k_dense_replace */
    int64_t shared;       /* default of n_shared_experts, all of them one feed-forward "shared_experts" */
    bool balanced; /* learns with a loss for the balance of its experts where the configuration asks for it */
    float balance; /* times that loss: router_aux_loss_coef; 0: none */
    sc_latent_config latent; /* of latent attention; rank 0: it is another */
} sc_moe_decoder;
/* After sc_decoder_configure: the number of experts under whichever name, how many a token uses, their width, how they are
 * weighed, and which layers have them. What the family has set stands where the configuration does not say otherwise. */
void sc_moe_decoder_configure(sc_config *c, sc_moe_decoder *m);
/* As sc_family.adapt: stacked experts, and gpt-oss's. (experts_stacked.c) */
sc_status sc_moe_adapt(const void *config, sc_weights *w);
sc_status sc_gpt_oss_adapt(const void *config, sc_weights *w);
/* The decoder with experts that a model's configuration begins with; NULL: it is something else. */
const sc_moe_decoder *sc_model_moe(const sc_model *m);
void sc_moe_decoder_describe(const void *decoder, sc_model_info *info);
/* A parameter that this model's checkpoints keep in one tensor with others: matrix `part` of `parts` of an expert, within
 * (E, parts N, C) or (E, parts N) one after the other, or as columns that take turns, (E, C, parts N). false: it stands
 * alone, under its own name. */
typedef struct sc_published {
    char name[512];
    int64_t expert, part, parts;
    bool columns;
} sc_published;
bool sc_param_published(const sc_model *m, const sc_model_param *p, sc_published *out);

/* ---- what encoder-only families share (encoder.c, encoder_head.c) ---- */

typedef struct sc_encoder sc_encoder;
/* A part of layer i: x (T, C) → (T, C). `shared` is what `prepare` made for all layers. */
typedef sc_tensor *sc_encoder_part(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in,
                                   sc_tensor *const *shared, sc_tensor *x);

/* dense, an activation and a norm, each where it is there, before the output's matrix. Whole names. */
typedef struct sc_head_names {
    const char *dense, *norm, *out;
} sc_head_names;

/* How checkpoints call the parts; those up to final_norm within `root`, or within a layer. NULL: there is none. */
typedef struct sc_encoder_names {
    const char *root, *word, *position, *type, *norm, *project;
    const char *layer, *attn_norm, *ffn_norm, *final_norm;
    sc_attention_names attn;
    sc_ffn_names ffn;
    const char *pooler, *next_sentence, *fill_bias; /* whole names */
    sc_head_names head[SC_HEAD_COUNT];
} sc_encoder_names;

/* A family with more of them begins its own configuration with this one. A block of BERT: x = norm(x + attention(x)), then
 * x = norm(x + down(act(up(x)))). */
struct sc_encoder {
    int64_t layers, width, embed_width, ffn_width, vocab, positions, types, labels;
    int64_t first_position; /* rows of the position table before that of a text's first token */
    int64_t padding;        /* sc_config_padding */
    float eps;
    bool tied, pooler, next_sentence;
    float embed_scale;  /* of the words; 0: none */
    const bool *sparse; /* of each layer: has `blocks`; NULL: none */
    sc_block_pattern blocks;
    bool norm_first;   /* the embeddings' norm comes before the projection to the layers' width */
    sc_norm_kind norm; /* of the embeddings, at the end and of the head */
    unsigned project_flags, head_flags, ffn_flags; /* of that projection, the head's dense part, the feed-forward */
    sc_unary_kind act, head_act;
    sc_pool_kind pool; /* of SC_HEAD_CLASSES */
    sc_head head;
    sc_attention_config attn;
    const sc_encoder_names *names;
    const char *fill_bias; /* whole name; NULL: none */
    void (*prepare)(sc_graph *g, const sc_encoder *e, sc_text_in *in,
                    sc_tensor **shared); /* NULL: nothing to share */
    sc_encoder_part *mixer;              /* the attention with its output matrix; NULL: as `names` say */
    sc_encoder_part *block;              /* a whole layer; NULL: BERT's */
    /* Joins what layer i was given and what it gave; NULL: that is the layer's result. */
    sc_tensor *(*beside)(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *from,
                         sc_tensor *x);
};
/* The keys that BERT-like configurations have in common; e->names is set before. */
void sc_encoder_configure(sc_config *c, sc_encoder *e);
/* The head that "architectures" or, where that says nothing, the file's tensors name; with labels, pooler, activation. */
void sc_encoder_configure_head(sc_config *c, sc_encoder *e);
sc_attention_config sc_encoder_attention_config(const sc_encoder *e, int64_t i);
/* What BERT's kin have in common. (bert.c) */
extern const sc_encoder_names sc_big_bird_names, sc_longformer_names;
void sc_bert_configure(sc_config *c, sc_encoder *e, const sc_encoder_names *names, sc_unary_kind classes_act);
void sc_encoder_describe(const void *encoder, sc_model_info *info);
const sc_encoder *sc_model_encoder(const sc_model *m); /* NULL: another kind of model */
sc_tensor *sc_encoder_build(sc_graph *g, const void *encoder, sc_text_in *in);
/* states x (T, C) → what the head gives; taps "sequence.pooler_output" and "sequence.seq_relationship_logits". */
sc_tensor *sc_encoder_head(sc_graph *g, const sc_encoder *e, sc_text_in *in, sc_tensor *x);

/* ---- families ---- */

/* The sizes of recurrent layers as GGUF counts them (gguf_ssm.c). */
typedef struct sc_ssm_sizes {
    int64_t taps, inner, state;
    int64_t rank;     /* of Mamba's steps; else heads */
    int64_t groups;   /* of heads: in Mamba 2 those with the same inputs, else key heads; 0: none */
    int64_t interval; /* each so many-th layer has attention instead; 0: none has, -1: there is no such rule */
    bool norms;       /* of steps, inputs and outputs (Falcon-Mamba) */
    bool limited;     /* steps have a range */
    bool unusual;     /* matrices with biases, convolutions without, keys and values of two widths */
    float eps;
    sc_unary_kind act;
} sc_ssm_sizes;

typedef struct sc_family {
    const char *name;
    const char *const *model_types; /* config.json's model_type, ended by NULL */
    size_t config_size;
    void (*configure)(sc_config *c, void *config);
    sc_tensor *(*build)(sc_graph *g, const void *config, sc_text_in *in); /* logits (R or T, V) */
    void (*describe)(const void *config, sc_model_info *info);            /* fills the sizes */
    bool
        columns; /* checkpoints keep experts in one tensor, (in, out), with gates and what they gate in turn (gpt-oss) */
    /* NULL, or: brings other forms in which checkpoints keep parameters into the one that build asks for. */
    sc_status (*adapt)(const void *config, sc_weights *w);
    void (*ssm)(const void *config, sc_ssm_sizes *out); /* NULL: no layer is recurrent */
    const char *prefix;   /* checkpoints of the bare model leave it out of their names; "" without */
    bool encoder_decoder; /* build reads in->source and in->memory */
} sc_family;

#define F(name) extern const sc_family sc_family_##name;
#include "models/models.def"
#undef F
const sc_family *sc_family_of(const char *model_type); /* NULL: not known */
/* The type under which the registry has a configuration of this model_type: that of another model where its own is shared
 * with one that is built otherwise (T5's encoder alone, Jina's BERT). */
const char *sc_model_type_of(const json_t *config, const char *model_type);
/* SC_EUNSUPPORTED, with the types that are near. */
sc_status sc_family_unknown(const char *what, const char *model_type);

/* ---- weights by HuggingFace name (weights.c) ---- */

typedef struct sc_weight {
    const char *name;
    sc_shape shape;
    sc_storage storage; /* as the file has it */
    sc_storage
        wide; /* what graphs use in its place: a vector of a 16-bit type as f32, or a form; data NULL: none */
    sc_storage
        trained;  /* what a model that learns beside its weights has in place of this one; data NULL: nothing */
    sc_form form; /* that the graph wants */
    bool made;    /* it came from no file */
    bool used, transposed, permuted, joined, plus_one; /* as the rows of gguf_names.c say */
    bool formed;                                       /* stored as NEG_EXP makes it */
    int tiled;                                         /* of sc_gguf_name */
    bool reshaped; /* GGUF has other axes for the same values in the same order */
    int64_t step;  /* > 1: between neighbours of a line of the (transposed) matrix lie others' values */
} sc_weight;

struct sc_weights {
    sc_arena *arena;
    sc_weight *item;
    int64_t count, cap;
    sc_map index;
    bool stacked; /* experts were in one tensor, by rows (sc_moe_adapt) */
};
/* Takes a reference to the storage's buffer. SC_EFORMAT where the name is there already. */
sc_status sc_weights_add(sc_weights *w, const char *name, const sc_shape *shape, const sc_storage *storage);
sc_weight *sc_weights_find(const sc_weights *w, const char *name); /* NULL: none */
void sc_weights_free(sc_weights *w);
/* Norms and biases are computed with as f32, whatever a checkpoint stores; they are small. Fills w->wide where that or a
 * form asks for it. */
sc_status sc_weight_widen(sc_weight *w);
/* The values as f32, element (r, c) of a matrix, or r of a vector, at r stride[0] + c stride[1]. */
sc_status sc_weight_copy(const sc_weight *w, float *to, const int64_t *stride);
/* Bytes of a fresh or synthetic weight. (make.c) */
sc_status sc_weights_size(const sc_param_request *want, const sc_model_options *o, int64_t *bytes);
/* Adds it, as the options say. */
sc_status sc_weights_make(sc_weights *w, const sc_param_request *want, const sc_model_options *o);
/* config: config.json, which says how packed matrices are to be unpacked; NULL: none is. */
sc_status sc_weights_from_safetensors(sc_weights *w, sc_context *ctx, const char *dir, const json_t *config);
/* Adds what a packed tensor stands for; *taken: it is one, or belongs to one. (unpack.c) */
sc_status sc_weights_unpack(sc_weights *w, sc_context *ctx, const sc_safetensors *st, const sc_file_tensor *t,
                            const json_t *config, bool *taken);
/* Models of text and pictures, whose text model is a part: *text_config becomes the whole of m->json, and the weights have
 * the names that it has by itself. Does nothing to others. (wrapped.c) */
sc_status sc_config_unwrap(sc_model *m);
sc_status sc_weights_unwrap(sc_weights *w);
/* Dense strides of a shape. */
void sc_dense_strides(const sc_shape *s, int64_t *stride);

/* ---- GGUF's own words (gguf_config.c, gguf_names.c) ---- */

/* The metadata as a config.json object (owned) with HuggingFace's keys. */
sc_status sc_gguf_config(json_t **out, const sc_gguf *file);
sc_status sc_weights_from_gguf(sc_weights *w, const sc_gguf *file);
/* One row of the correspondence of tensor names, and what else GGUF does to the tensor. */
typedef struct sc_gguf_name {
    const char *hf, *gguf; /* "%d" stands for the layer; without ".weight" or ".bias" */
    bool transposed;       /* HuggingFace stores (in, out) */
    bool permuted;         /* GGUF keeps rotary pairs side by side in q and k */
    bool joined;   /* HuggingFace has query, key and value head by head, GGUF all queries, all keys, all values */
    bool plus_one; /* GGUF has added 1 */
    bool experts;  /* GGUF has all experts in one tensor; the second "%d" of HuggingFace's name is the expert */
    bool vector;   /* HuggingFace has a matrix of one row */
    const char *bare; /* HuggingFace's name has no ending, GGUF's this one; NULL: both have the same */
    bool neg_exp;     /* GGUF has -exp(x) */
    enum {
        SC_AXES_SAME,
        SC_AXES_SQUEEZED,
        SC_AXES_COLUMN,
        SC_AXES_GROUPED
    } axes; /* (C, 1, K) as (C, K), (n) as (n, 1), (n) as (groups, n / groups) */
    /* Value heads, side by side for each key head: GGUF has the first of each key head, then the second of each, … in
     * all rows, in the rows behind queries and keys, or in the columns. */
    enum { SC_TILED_NOT, SC_TILED_ROWS, SC_TILED_TAIL, SC_TILED_COLUMNS } tiled;
} sc_gguf_name;
typedef struct sc_key_alias {
    const char *key, *alias;
} sc_key_alias;
/* An architecture of GGUF, a model type that is written as it, and what they take for granted. */
typedef struct sc_gguf_arch {
    const char *arch, *model_type;
    const char *hf_class;      /* in "architectures" */
    const char *act;           /* its activation, for which GGUF has no key */
    const sc_gguf_name *names; /* ended by {0} */
    const sc_key_alias *keys;  /* what config.json calls keys otherwise, ended by {0}; NULL: nothing */
    int64_t period; /* each so many-th layer is without a window; 0: windows are in all layers or in none */
} sc_gguf_arch;
const sc_gguf_arch *sc_gguf_arch_named(const char *arch);     /* the first of its rows; NULL: not known */
const sc_gguf_arch *sc_gguf_arch_for(const char *model_type); /* NULL: GGUF has no name for it */
const char *sc_gguf_alias(const sc_gguf_arch *a, const char *key);
/* A tensor's name in the other vocabulary, and the row that says so; NULL: no row, or the name does not fit. */
const sc_gguf_name *sc_gguf_to_hf(const char *arch, const char *name, char *out, size_t size);
const sc_gguf_name *sc_gguf_from_hf(const char *arch, const char *name, char *out, size_t size);
/* What GGUF says of recurrent layers, read and written; and what it has no key for. (gguf_ssm.c) */
sc_status sc_gguf_read_ssm(json_t *o, const sc_gguf *file, const sc_gguf_arch *a);
sc_status sc_gguf_write_ssm(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a);
sc_status sc_gguf_fits_ssm(const sc_model *m, const sc_gguf_arch *a);
/* The same of encoders. GGUF has names for what gives the states; heads are left out, with a remark. (gguf_encoder.c) */
sc_status sc_gguf_read_encoder(json_t *o, const sc_gguf *file, const sc_gguf_arch *a);
sc_status sc_gguf_write_encoder(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a);
double sc_nomic_bert_theta(const sc_model *m); /* the base of its rotations */
/* ModernBERT's windows and rotations. (modernbert.c) */
sc_status sc_modernbert_write(sc_gguf_writer *w, const sc_model *m, const char *arch);
sc_status sc_gguf_fits_encoder(const sc_model *m, const sc_gguf_arch *a);
/* GGUF's name of an encoder's parameter and the rows of it that are left out in front; NULL: GGUF has none. */
const sc_gguf_name *sc_gguf_encoder_name(const sc_model *m, const char *hf, char *out, size_t size, int64_t *skip);
/* Sets what changes of an item where a row of gguf_names.c is the output's, or the source's. */
typedef struct sc_item sc_item;
sc_status sc_ssm_item(sc_item *it, const sc_model *m, const sc_model_param *p, const sc_gguf_name *row);
/* The decoder that a model's configuration is or begins with; NULL: it is something else. */
const sc_decoder *sc_model_decoder(const sc_model *m);
/* The row of a file's architecture; where it stands for several types, the one that the metadata tell. (gguf_experts.c, as
 * what follows) */
sc_status sc_gguf_arch_of_file(const sc_gguf_arch **out, const sc_gguf *file);
/* What GGUF says of experts and latent attention in its own way, as HuggingFace's keys; and the other way round: values
 * for the keys that both have, false without memory, and the rest. */
sc_status sc_gguf_read_experts(json_t *o, const sc_gguf *file, const sc_gguf_arch *a);
bool sc_gguf_expert_values(json_t *o, const sc_model *m, const sc_gguf_arch *a);
sc_status sc_gguf_write_experts(sc_gguf_writer *w, const sc_model *m, const sc_gguf_arch *a);
/* Writes architecture and hyperparameters (not tokenizer and weights). `arena` must live until the file is finished. */
sc_status sc_gguf_write_config(sc_gguf_writer *w, const sc_model *m, sc_arena *arena);
/* T5's own keys (gguf_t5.c): read; refused where GGUF has none for a setting; written. */
sc_status sc_gguf_read_t5(json_t *o, const sc_gguf *file);
sc_status sc_gguf_fits_t5(const sc_model *m);
sc_status sc_gguf_write_t5(sc_gguf_writer *w, const sc_model *m, const char *arch);
/* HuggingFace's model_type to GGUF's architecture; NULL: GGUF has no name for it. */
const char *sc_gguf_arch_of(const char *model_type);

/* ---- adapters in PEFT's format (lora.c and adapter_kinds.c read them, adapter_experts.c and adapt.c fit them to a model)
 * ---- */

typedef struct sc_adapter_part {
    const char *name; /* of the matrix, without ".weight" */
    const char *stem; /* of the names in the adapter's file: the same with a prefix */
    sc_lora lora;
    float scale;          /* that b is stored times */
    sc_lora_use use;      /* a table's part says so, a matrix's is told when it is met */
    sc_buffer *magnitude; /* (N) f32: DoRA's; NULL: none */
    float weight;         /* of the adapter */
    int adapter;          /* its number */
    bool used;
    /* Of a tensor of all experts, a (E R, C) and b (N, R E), taken apart when the model is known: what b is to be multiplied
     * by is alpha over the rank or its root. */
    bool stacked, rslora;
    double alpha;
    bool wide; /* a has more columns than the matrix, which has the first of them */
} sc_adapter_part;

/* A tensor that an adapter has instead of the model's. */
typedef struct sc_adapter_whole {
    const char *name;
    sc_shape shape;
    sc_storage storage;
} sc_adapter_whole;

/* A tensor that is trained: rows * cols values in a buffer that graphs read, of a tensor in an adapter's file. */
typedef struct sc_learnt {
    const char *name; /* of its own */
    const char *file; /* of the file's tensor, (rows, cols), or with the axes exchanged where `turned` */
    int rank;         /* of that */
    int64_t dim[SC_MAX_RANK];
    int64_t rows, cols;
    bool turned;
    const int32_t *row, *col; /* of the file's that is row, or column, i here; NULL: the same */
    int64_t at;               /* its first column in the file's tensor, which may have more */
    sc_buffer *buffer;        /* its memory; NULL: it is a part of another one's */
    float *value;
    const char *param; /* of the model, in whose place it stands; NULL: it stands beside them */
    float add;         /* more than what the file has */
    bool plain;        /* decay is not for it */
} sc_learnt;

typedef struct sc_adapters {
    sc_adapter_part *part;
    sc_adapter_whole *whole;
    int64_t count, cap, n_whole, cap_whole;
    int adapters; /* read so far */
    sc_prompt prompt;
    /* What is trained, the weights being left as they are; and adapter_config.json for it. 0: nothing is here. */
    sc_learnt *learnt;
    int64_t n_learnt, cap_learnt;
    uint64_t seed; /* of what is left out at random */
    json_t *config;
} sc_adapters;
/* What the readers of one adapter share. */
typedef struct sc_adapter_source {
    const sc_safetensors *st;
    sc_arena *arena;
    const json_t *config;
    const char *what; /* adapter_config.json, for messages */
    double weight;
} sc_adapter_source;
/* n values as f32 times `scale`, in memory of their own. turned: an (R, C) matrix becomes (C, R). (lora.c) */
sc_status sc_adapter_load(sc_storage *out, const sc_file_tensor *t, float scale, bool turned);
/* A new part for the matrix that a tensor's name stands for without its last n characters. */
sc_status sc_adapter_new_part(sc_adapters *a, const sc_adapter_source *from, const char *name, size_t n,
                              sc_adapter_part **out);
/* A tensor of one of the kinds of adapter_kinds.c, `end` that of its name; and the virtual tokens of an adapter. */
sc_status sc_adapter_add_scale(sc_adapters *a, const sc_adapter_source *from, const sc_file_tensor *t,
                               const char *end);
sc_status sc_adapter_add_vera(sc_adapters *a, const sc_adapter_source *from, const sc_file_tensor *t,
                              const char *end);
sc_status sc_adapter_add_bottleneck(sc_adapters *a, const sc_adapter_source *from, const sc_file_tensor *t,
                                    const char *end);
sc_status sc_adapter_add_prompt(sc_adapters *a, const sc_adapter_source *from, bool prefix);
/* Brings the parts of experts together, matrix by matrix, before the model is built. (adapter_experts.c) */
sc_status sc_adapters_gather(sc_adapters *a, sc_model *m);
/* Adds the adapter of a folder (adapter_config.json, adapter_model.safetensors), `weight` times. Strings go to the arena. */
sc_status sc_adapters_add(sc_adapters *a, sc_arena *arena, const char *dir, double weight);
void sc_adapters_free(sc_adapters *a);
/* Puts whole tensors in the place of the file's, once these are known. */
sc_status sc_adapters_replace(const sc_adapters *a, sc_model *m);
/* Fits the parts to the weights that they add to: order of rows, DoRA's gains. After the parameters are checked. */
sc_status sc_adapters_meet(sc_adapters *a, sc_model *m);
/* The order that a weight's file has rows (columns) in: order[i] is HuggingFace's that is i there. NULL: the same. In the
 * model's arena. (adapt.c) */
sc_status sc_adapter_order(const int32_t **order, const sc_model *m, const sc_weight *w, const char *name,
                           int64_t n, bool columns);
/* What a model's builder puts together with a matrix, in its order. (adapter_make.c, as what follows) */
typedef struct sc_module {
    const char *name; /* of the matrix, without ".weight" */
    sc_lora_use use;
    int64_t n, c; /* from c features to n; of a table its width and its rows */
} sc_module;
typedef struct sc_modules {
    sc_module *item;
    int64_t count, cap;
    bool oom;
} sc_modules;
sc_status sc_model_modules(sc_modules *out, sc_model *m); /* item: sc_free */
/* New adapters for a model, as o says: from then on they are what is trained, and its graphs have them. ids: of o->first, by
 * the model's tokenizer. */
sc_status sc_adapters_make(sc_model *m, const sc_peft_options *o, uint64_t seed, const int32_t *ids, int64_t n_ids);
/* What making adapters needs to know. */
typedef struct sc_adapter_maker {
    sc_model *m;
    const sc_peft_options *o;
    uint64_t seed;
} sc_adapter_maker;
/* Another tensor to train, zeros at first: (rows, cols) in memory, in the file "STEM" + end. */
sc_status sc_adapter_learn(const sc_adapter_maker *k, const char *stem, const char *end, int64_t rows, int64_t cols,
                           bool turned, sc_learnt **out);
/* Trains copies of the model's own parameters: those that are in a module of `names` (as sc_choice_new; NULL: none), that end
 * in `end` (NULL: none), and those of a head. *n: how many of the first two; *modules, owned: the modules around all but those
 * that only end so. (adapter_whole.c) */
sc_status sc_adapter_learn_whole(const sc_adapter_maker *k, const char *names, const char *end, int64_t *n,
                                 json_t **modules);
/* adapter_config.json of what was made. (adapter_config.c) */
sc_status sc_adapter_describe(const sc_adapter_maker *k, const sc_modules *all, const bool *chosen,
                              json_t *modules);
/* What is trained as PEFT's adapter_config.json and adapter_model.safetensors; and back, into the same. (adapter_files.c) */
sc_status sc_adapters_write(const sc_adapters *a, const char *dir);
sc_status sc_adapters_read(sc_adapters *a, const char *dir);
/* Brings b's n rows into GGUF's order of rotary pairs, for a matrix that the file keeps so. */
sc_status sc_adapter_permute(sc_adapter_part *part, int64_t n, int64_t head_dim);
/* ... or from head by head to all queries, all keys, all values. */
sc_status sc_adapter_join(sc_adapter_part *part, int64_t n, int64_t heads);

/* ---- a model ---- */

struct sc_model {
    sc_context *ctx;
    bool wrapped; /* it is the text part of a larger one */
    sc_backend *backend;
    sc_arena *arena;
    json_t *json;     /* config.json */
    char *generation; /* generation_config.json */
    const sc_family *family;
    void *config; /* the family's */
    sc_weights weights;
    sc_adapters adapters;
    sc_cache_spec cache, memory; /* memory: of the layers that look at an encoder's output */
    sc_model_info info;
    const char **label; /* info.labels of them */
    sc_model_param *param;
    int64_t n_params, cap_params;
    sc_map declared; /* name → place in param */
    const char **unexpected;
    int64_t n_unexpected;
    int32_t *eos;
    int64_t n_eos, cap_eos;
    int32_t decoder_start;         /* -1: none */
    const sc_model_options *make;  /* while opening */
    int64_t make_bytes;            /* of the weights that come from no file */
    const sc_param_source *source; /* for graphs of this model */
    sc_param_source source_;
};

/* As sc_model_open, of a configuration with the keys of `changes` (an object, NULL: none) in place of its own. What a file
 * lacks then is made as in a new model: another head. (model.c, as what follows) */
sc_status sc_model_open_changed(sc_model **out, sc_context *ctx, const char *path, const sc_model_options *options,
                                json_t *changes);
/* The steps of opening that need the configuration alone: m->json → family, its configuration and sizes; then every
 * parameter by running the builder once. */
sc_status sc_model_configure(sc_model *m);
sc_status sc_model_declare(sc_model *m);
/* Runs the builder once with this in place of the model's own source of parameters. */
sc_status sc_model_visit(sc_model *m, const sc_param_source *source);

/* Another look at a model, without what is trained beside it (sc_adapters_make): the same weights, for graphs and sessions.
 * sc_model_base_free frees it, before the model. */
sc_status sc_model_base(sc_model **out, const sc_model *m);
void sc_model_base_free(sc_model *base);

typedef struct sc_text_shape {
    int64_t tokens, sequences, wanted; /* T, S, R */
    const sc_cache *cache;
    sc_cache_spec *spec;
    /* Encoder-decoders: tokens that the encoder reads, 0 where the memory has it all; where keys and values go to or come
     * from, NULL: nowhere. */
    int64_t source;
    const sc_cache *memory;
    sc_cache_spec *memory_spec;
} sc_text_shape;
/* A parameter's weight: by its HuggingFace name as it is, or as checkpoints of the bare model have it, without the prefix.
 * Norms' "LayerNorm.weight" and "bias" may be called gamma and beta, as in BERT's first checkpoints. NULL: none. (model.c) */
sc_weight *sc_model_weight(sc_model *m, const char *name);

/* config.json's pad_token_id, -1: none: where transformers takes a number for a whole text, it is of the last token before these
 * at its end. */
int32_t sc_model_pad(const sc_model *m);

/* Wires up a graph for T tokens in S sequences, R of them with logits (0: all), and builds the model in it. */
typedef struct sc_text_graph {
    sc_graph *g;
    sc_text_in in, source;
    sc_memory memory;
    sc_tensor *logits; /* what the family's head gives (sc_head) */
} sc_text_graph;
sc_status sc_text_graph_build(sc_text_graph *out, const sc_model *m, const sc_text_shape *shape);
/* The same; the encoder of an encoder-decoder reads as many tokens as the decoder. */
sc_status sc_text_graph_new(sc_text_graph *out, const sc_model *m, int64_t tokens, int64_t sequences,
                            int64_t wanted, const sc_cache *cache, sc_cache_spec *spec);
/* Plans what fills the memory and nothing else. */
sc_status sc_text_graph_plan_memory(sc_plan **out, const sc_text_graph *t, const sc_model *m);
/* Plans the logits, with the graph's intermediate outputs too where `taps`. */
sc_status sc_text_graph_plan(sc_plan **out, const sc_text_graph *t, const sc_model *m, bool taps);

/* ---- a model as a function (call.c, forward.c) ---- */

/* (B, T) columns of which each row has real tokens in one run. */
typedef struct sc_padded {
    int64_t b, t, total; /* rows, columns, real tokens */
    int64_t lead;        /* virtual tokens before those of each row */
    int64_t *first, *n;  /* of each row */
} sc_padded;

/* The tensors that a text is told by; all but ids may be NULL. */
typedef struct sc_named_rows {
    const sc_named_tensor *ids, *mask, *positions, *types;
    sc_padded rows;
    int64_t vocab, first_position; /* the id from which on virtual tokens stand; of HuggingFace's position_ids */
} sc_named_rows;

/* A call: what the model, or an encoder-decoder's decoder, reads and what its encoder reads (else ids NULL). */
typedef struct sc_text_call {
    sc_named_rows text, source;
    sc_text_shape shape; /* of its graph */
} sc_text_call;
/* Finds a text model's inputs among the named tensors, which are borrowed. End with sc_text_call_free, whatever is
 * returned. */
sc_status sc_text_call_read(sc_text_call *c, const sc_model *m, const sc_named_tensor *in, int64_t n_in);
void sc_text_call_free(sc_text_call *c);

/* Where the tokens of all rows go, end to end; all but ids may be NULL. wanted: which of them are real. */
typedef struct sc_text_tables {
    int32_t *ids, *start, *positions, *types, *wanted;
} sc_text_tables;
sc_status sc_text_call_fill(const sc_named_rows *x, sc_text_tables to);

const sc_named_tensor *sc_named(const sc_named_tensor *in, int64_t n, const char *name); /* NULL: absent */
int64_t sc_named_int(const sc_named_tensor *t, int64_t i); /* of whole numbers or a mask */
/* A new zeroed f32 output; NULL without memory. */
float *sc_outputs_add(sc_outputs *o, const char *name, int rank, const int64_t *dim);

/* ---- converting ---- */

/* The tokenizer's files of a directory into another; *found (may be NULL): there is one that tokenizes. (convert_dir.c) */
sc_status sc_copy_tokenizer(const char *in, const char *out, bool *found);

/* A tensor on its way from one file to another. */
/* Blocks of `size` rows (or columns) from `offset` on, groups * each of them, that change between (group, one of each)
 * and (one of each, group). size 0: nothing changes. */
typedef struct sc_tiles {
    int64_t groups, each, size, offset;
    bool to_tiled; /* to the latter */
    bool columns;
} sc_tiles;

struct sc_item {
    const char *name; /* the output's */
    int rank;
    int64_t dim[SC_MAX_RANK]; /* as the output stores it */
    sc_dtype from, to;
    const void *data;
    bool transpose; /* the source stores the two axes the other way round */
    int64_t
        rotate; /* head width where the rows of a head change between HuggingFace's rotary order and GGUF's; else 0 */
    bool to_pairs;     /* to GGUF's order, side by side */
    int64_t heads;     /* whose queries, keys and values change between head by head and all of each; else 0 */
    bool to_joined;    /* to all of each */
    float add;         /* to each value */
    int64_t step;      /* > 1: of a transposed source's lines only each so many-th value is meant */
    const void **part; /* not NULL: the first axis has so many parts, each of them as the fields above say */
    int64_t parts;
    int64_t
        columns; /* > 0: the parts are (N, C) or (N), and that many of them together the columns of one (C, columns * N),
                        in turn */
    int neg_exp; /* 1: x becomes -exp(x), -1: log(-x) */
    sc_tiles tiles;
    enum { SC_ITEM_OTHER, SC_ITEM_MATRIX, SC_ITEM_EMBEDDING, SC_ITEM_OUTPUT } role;
    int64_t layer; /* -1: none */
    /* What adapters add on the way; NULL: nothing. in_out: the output has the axes of the parts the other way round. */
    const sc_adapters *adapters;
    const char *param; /* the matrix's name for them */
    int64_t expert;    /* whose it is, of those that share a part */
    bool in_out;
};

/* The source's row (or column) that is i of the output. (convert_rows.c) */
int64_t sc_tiles_source(const sc_tiles *t, int64_t i);
/* How a matrix (or vector) with n rows, or columns, is tiled in its way (sc_gguf_name). (gguf_ssm.c) */
sc_status sc_ssm_tiles(sc_tiles *out, const sc_model *m, const char *name, int way, int64_t n, bool to_tiled);

typedef struct sc_items {
    sc_item *item;
    int64_t count, cap;
    sc_arena *arena; /* holds the names */
} sc_items;

/* Notes in the item of a parameter what adapters add to it; turned: it is written with its axes exchanged. (adapt.c) */
sc_status sc_adapters_mark(sc_item *it, const sc_model *m, const char *param, bool turned);
bool sc_adapters_change(const sc_model *m, const char *param);
/* Adds that to one row as it is written, `row` in the order of the source. */
void sc_adapters_merge_row(const sc_item *it, int64_t row, int64_t width, float *x);

typedef sc_status sc_sink(void *user, const void *data, int64_t bytes);
/* The values of an item in the output's type and order, in pieces. Threads work on rows. (convert_rows.c) */
sc_status sc_item_convert(const sc_context *ctx, const sc_item *it, sc_sink *sink, void *user);
/* The same for one whose parts are columns. (convert_columns.c) */
sc_status sc_item_columns(const sc_item *it, sc_sink *sink, void *user);
/* Takes an expert's parameter into the item that checkpoints keep it in; false and nothing done where it is not one. */
sc_status sc_items_add_column(sc_items *items, const sc_model *m, const sc_model_param *p, bool *added);
/* Checks that there are conversions for all items, in this thread. */
sc_status sc_items_check(const sc_items *items);

/* What the options make of each tensor of `layers` layers. (convert_types.c) */
typedef struct sc_type_plan {
    const struct sc_type_name *type, *output, *embedding; /* NULL: as stored; by rule */
    bool pure;
    int64_t layers;
    int64_t fallbacks;
} sc_type_plan;
sc_status sc_type_plan_new(sc_type_plan *p, const sc_convert_options *o);
/* Sets the items' types for a GGUF file. Remarks go to the log. */
sc_status sc_type_plan_gguf(sc_type_plan *p, sc_context *ctx, sc_items *items);
/* … and for safetensors. */
sc_status sc_type_plan_dir(sc_type_plan *p, sc_items *items);
/* general.file_type's number. */
int sc_type_plan_file_type(const sc_type_plan *p, const sc_items *items);

/* Adds the model's parameters, as GGUF's architecture `arch` has them or as HuggingFace has them (NULL). (convert.c) */
sc_status sc_items_from_model(sc_items *items, const sc_model *m, const char *arch);
/* Opens the source with the adapters that are to be merged. */
sc_status sc_convert_open(sc_model **out, sc_context *ctx, const char *in, const sc_convert_options *o);
sc_status sc_convert_to_gguf(sc_context *ctx, const char *in, const char *out, const sc_convert_options *o,
                             sc_convert_report *r);
sc_status sc_convert_to_dir(sc_context *ctx, const char *in, const char *out, const sc_convert_options *o,
                            sc_convert_report *r);
/* The configuration that transformers reads for a model; dtype names what the weights are stored as. (convert_config.c) */
sc_status sc_config_for_hf(json_t **out, const sc_model *m, sc_dtype dtype, const sc_gguf *file);
/* SC_EUNSUPPORTED where GGUF has no key for a setting that this model uses. */
sc_status sc_config_fits_gguf(const sc_model *m);
void sc_report_items(sc_convert_report *r, const sc_items *items);
/* Gives the values of the i-th item, as its `to` says, to sink. */
typedef sc_status sc_item_values(void *user, const sc_items *items, int64_t i, sc_sink *sink, void *sink_user);
/* Writes the directory of a model: weights, the tokenizer of `in` (a directory or a GGUF file) if *tokenizer, the
 * configuration. *tokenizer becomes whether one was written. (convert_dir.c) */
sc_status sc_write_model_dir(sc_context *ctx, const sc_model *m, const char *in, const char *out,
                             const sc_items *items, sc_item_values *values, void *user, bool *tokenizer);
/* Both paths exist and are the same file or directory. (convert.c) */
bool sc_same_file(const char *a, const char *b);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Models from one format and element type to another: HuggingFace directories and GGUF files, both ways. */
#ifndef SOCLE_CONVERT_H
#define SOCLE_CONVERT_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sc_convert_options {
    /* What matrices become, by a name of sc_convert_type_at, case ignored. NULL: as stored, block types becoming f16 where
     * OUT is a directory. Directories take f32, f16 and bf16 only, for all tensors. In GGUF vectors, norms and tables of
     * positions are f32 whatever the type. */
    const char *type;
    /* The matrix that gives the logits, and the table of embeddings, where they are to differ from what type makes of them:
     * below eight bits they are kept as q6_k, or q8_0 where rows do not fit q6_k. NULL: so. */
    const char *output_type, *embedding_type;
    bool pure;         /* one type for every matrix: no mixtures and nothing kept better */
    bool no_tokenizer; /* leave the tokenizer out */
    const char
        *name; /* general.name of a GGUF file, UTF-8; NULL: what the source says. SC_EINVAL for a directory */
    /* Folders of adapters to merge, and how much of each counts (NULL: 1), as in sc_model_options. Virtual tokens, and a
     * tied table's additions, cannot be merged: SC_EUNSUPPORTED. */
    const char *const *adapters;
    const double *adapter_weights;
    int n_adapters;
} sc_convert_options;

typedef struct sc_convert_report {
    int64_t tensors, parameters;
    int64_t bytes_before, bytes_after; /* of all tensors */
    int64_t fallbacks;                 /* tensors whose rows did not fit the type and got another; logged by type */
    bool tokenizer;                    /* one was written */
} sc_convert_report;

/* in: a model as sc_model_open takes it; a GGUF file of any architecture where out is a GGUF file too. out: a file if it
 * ends in .gguf, else a directory, made where it is missing. Every file appears whole or not at all, also when cancelled;
 * a directory's configuration after its weights. options and report may be NULL.
 *
 * Types that rows of a tensor do not fit become q5_0 (for q4_k), q5_1 (q5_k), q8_0 (q6_k), iq4_nl (smaller ones), and
 * f16 where rows are no whole number of 32.
 *
 * SC_EINVAL: an unknown type, out is in; SC_EUNSUPPORTED: what the format has no words for (a setting of the
 * configuration, a tokenizer), or a type without quantiser; SC_ELIMIT: values that the type cannot hold. */
SC_API sc_status sc_convert(sc_context *ctx, const char *in, const char *out, const sc_convert_options *options,
                            sc_convert_report *report);

/* The names of types, in order of size, largest first; NULL after the last. */
SC_API const char *sc_convert_type_at(int i);

struct sc_gguf;
struct sc_gguf_writer;
/* A GGUF file's tokenizer as the text of a tokenizer.json, and of a tokenizer_config.json with the special tokens and
 * the chat template. Both owned (sc_free). SC_ENOTFOUND: the file has no tokenizer. */
SC_API sc_status sc_gguf_tokenizer_json(char **tokenizer, char **config, const struct sc_gguf *file);
/* The keys tokenizer.* from a directory's tokenizer.json, tokenizer_config.json, chat_template.jinja, config.json and
 * generation_config.json. The tokens are filled up to `vocab`, the rows of the embedding. SC_ENOTFOUND: the directory
 * has no tokenizer.json. */
SC_API sc_status sc_gguf_writer_tokenizer(struct sc_gguf_writer *w, const char *dir, int64_t vocab);

#ifdef __cplusplus
}
#endif
#endif

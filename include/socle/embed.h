/* SPDX-License-Identifier: Apache-2.0 */
/* What encoders are asked: vectors of texts, the word behind a mask, the class of a text or of its words. */
#ifndef SOCLE_EMBED_H
#define SOCLE_EMBED_H

#include "socle/model.h"
#include "socle/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A text as bytes, UTF-8. */
typedef struct sc_text {
    const char *p;
    int64_t len;
} sc_text;

/* ---- texts to vectors ---- */

/* A model with its tokenizer and how the states of a text's tokens become one vector: as modules.json says (the layout of
 * sentence-transformers: pooling, dense layers, norms, prompts), as a GGUF file's pooling type says, or else the mean for
 * encoders (also of an encoder-decoder, whose decoder then does nothing) and the last token for decoders. One owner. */
typedef struct sc_embedder sc_embedder;

typedef struct sc_embed_options {
    const char *pooling; /* "mean", "cls", "last", "max", "mean_sqrt_len" or "weightedmean"; NULL: the model's */
    int normalize; /* 1: to length 1, -1: not, 0: as the model says, which without modules.json is to length 1 */
    const char *prompt;      /* put before every text; NULL: none */
    const char *prompt_name; /* one of the model's prompts instead; NULL: its default, where it names one */
    int64_t max_tokens;      /* of a text, what is longer is cut; 0: the model's limit, and at most 8192 */
    int64_t dimensions;      /* only the first so many, brought to length 1 again if the vector was; 0: all */
    int64_t batch_tokens;    /* computed at once, at least one text; 0: what is fast */
} sc_embed_options;

/* path: a model's directory or a .gguf file. options may be NULL; its texts are copied. SC_EUNSUPPORTED: a module that is not
 * known. SC_ENOTFOUND: a prompt that the model does not have. */
SC_API sc_status sc_embedder_open(sc_embedder **out, sc_context *ctx, const char *path,
                                  const sc_embed_options *options);
SC_API void sc_embedder_free(sc_embedder *e);
SC_API const sc_model *sc_embedder_model(const sc_embedder *e);
SC_API int64_t sc_embedder_width(const sc_embedder *e); /* numbers of a vector */

/* out (n, width). A text's vector is the same bits alone and among others. Texts of like lengths are computed together;
 * progress goes to the context. SC_EINVAL: a vector has something else than finite numbers, as damaged weights give. */
SC_API sc_status sc_embedder_embed(sc_embedder *e, const sc_text *texts, int64_t n, float *out);

/* ---- nearest rows ---- */

typedef struct sc_neighbor {
    int64_t row;
    float score;
} sc_neighbor;
/* The k rows of table (n, width) whose products with query (width) are largest, best first, of equal ones the first;
 * *found, at most k, of them in out. For cosines both must have length 1. */
SC_API sc_status sc_nearest(sc_context *ctx, const float *table, int64_t n, int64_t width, const float *query,
                            int64_t k, sc_neighbor *out, int64_t *found);

/* ---- masks and classes ---- */

/* A masked-word model or a classifier with its tokenizer. One owner. */
typedef struct sc_reader sc_reader;
SC_API sc_status sc_reader_open(sc_reader **out, sc_context *ctx, const char *path);
SC_API void sc_reader_free(sc_reader *r);
SC_API const sc_model *sc_reader_model(const sc_reader *r);
SC_API const sc_tokenizer *sc_reader_tokenizer(const sc_reader *r);
/* The token that stands for a gap, as a text spells it: "[MASK]", "<mask>". NULL: the tokenizer has none. */
SC_API const char *sc_reader_mask(const sc_reader *r);

/* Each of the following fails with SC_EINVAL where what the model gives is not a number, as damaged weights make it. */
typedef struct sc_guess {
    int32_t id;
    float probability;
} sc_guess;
/* The k likeliest tokens of each gap of a text, best first: out (gaps, k), sc_free. SC_EINVAL: no gap; SC_ELIMIT:
 * a text longer than the model takes. Needs SC_HEAD_FILL. */
SC_API sc_status sc_reader_fill(sc_reader *r, sc_text text, int64_t k, sc_guess **out, int64_t *gaps);

/* Probabilities of the classes of a text, or of a pair where pair.p is not NULL: out (labels). Where the classes exclude each
 * other they sum to 1; with problem_type multi_label_classification each is for itself; a single one is the model's number
 * itself, a score. Of what is longer than the model takes the end is left out, and the context's log told so. Needs
 * SC_HEAD_CLASSES. */
SC_API sc_status sc_reader_classify(sc_reader *r, sc_text text, sc_text pair, float *out);

typedef struct sc_tag {
    int64_t begin, end; /* bytes of the text */
    int64_t label;      /* the likeliest */
    float probability;
} sc_tag;
/* The class of each token of a text that has bytes in it, in order: *n of them, sc_free. SC_ELIMIT: a text longer than the
 * model takes. Needs SC_HEAD_TAGS. */
SC_API sc_status sc_reader_tag(sc_reader *r, sc_text text, sc_tag **out, int64_t *n);

/* Where in `context` the answer to `question` stands: bytes begin .. end, and how likely that is among all places. SC_ELIMIT:
 * both together are longer than the model takes. Needs SC_HEAD_SPAN. */
SC_API sc_status sc_reader_answer(sc_reader *r, sc_text question, sc_text context, sc_tag *out);

#ifdef __cplusplus
}
#endif
#endif

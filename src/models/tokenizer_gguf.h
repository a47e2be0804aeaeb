/* SPDX-License-Identifier: Apache-2.0 */
/* A directory's tokenizer on its way into a GGUF file (tokenizer_to_gguf.c, tokenizer_pieces.c). */
#ifndef SC_MODELS_TOKENIZER_GGUF_H
#define SC_MODELS_TOKENIZER_GGUF_H

#include "socle/gguf.h"
#include "text/text.h"

enum { SC_GGUF_NORMAL = 1, SC_GGUF_UNKNOWN, SC_GGUF_CONTROL, SC_GGUF_USER_DEFINED, SC_GGUF_UNUSED, SC_GGUF_BYTE };
enum { SC_GGUF_MAX_STEPS = 8 };

typedef struct sc_gguf_source {
    const char *dir;
    sc_arena *arena;
    json_t *tokenizer, *settings, *config,
        *generation; /* tokenizer.json and the others, which may be missing (empty) */
    const json_t *model;
    sc_tokenizer *t; /* the same read whole, for its template */
    enum { SC_GGUF_GPT2, SC_GGUF_LLAMA, SC_GGUF_BERT, SC_GGUF_T5 } kind;
    bool nfc, add_space, squeeze, lowercase, strip_accents;
    sc_str charsmap;
    const char *steps[SC_GGUF_MAX_STEPS];
    int n_steps;
    const char *pre;
    sc_gguf_text *token, *merge;
    int32_t *type;
    float *score;
    int64_t n, n_merges;
} sc_gguf_source;

bool sc_gguf_source_is(const json_t *o, const char *type);
sc_status sc_gguf_source_refuse(const sc_gguf_source *x, const char *what);

/* What the kinds bert and t5 have to say beside their tokens; refused where GGUF cannot say it. */
sc_status sc_gguf_source_bert(sc_gguf_source *x);
sc_status sc_gguf_source_respell(sc_gguf_source *x);
sc_status sc_gguf_source_t5(sc_gguf_source *x);
sc_status sc_gguf_source_scores(sc_gguf_source *x);

/* Directories without a tokenizer.json: the same from tokenizer.model or spiece.model, or a tokenizer.json of vocab.txt's
 * words. SC_ENOTFOUND: none of them. (tokenizer_files.c) */
sc_status sc_gguf_source_spm(sc_gguf_source *x, int64_t vocab, bool *found);
sc_status sc_gguf_source_words(sc_gguf_source *x);

#endif

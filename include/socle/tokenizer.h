/* SPDX-License-Identifier: Apache-2.0 */
/* Text to token ids and back.
 *
 * A tokenizer is read from a tokenizer.json (the format of HuggingFace's tokenizers: BPE, WordPiece, Unigram, WordLevel), a
 * SentencePiece tokenizer.model (BPE, Unigram), tiktoken's ranks of the published vocabularies, BERT's vocab.txt, GPT-2's
 * vocab.json with merges.txt, or a GGUF file's metadata (see gguf.h). It does not change: any number of threads may use it at
 * once. A detokenizer has one owner.
 *
 * Text is UTF-8. Bytes that are not valid UTF-8 are kept where the vocabulary can spell single bytes, so that
 * encoding and decoding give back any bytes exactly (unless a normalizer of the tokenizer changes the text). */
#ifndef SOCLE_TOKENIZER_H
#define SOCLE_TOKENIZER_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sc_tokenizer sc_tokenizer;

/* Where a token came from: bytes [begin, end) of the text that was given. */
typedef struct sc_token_span {
    int32_t begin, end;
} sc_token_span;

/* path: a model's directory (tokenizer.json, tokenizer.model, spiece.model, tiktoken.model, vocab.json, encoder.json or
 * vocab.txt, the first of them; tokenizer_config.json and special_tokens_map.json name the bos, eos, pad and unk tokens), one of these files itself, or a .gguf file. SC_ENOTFOUND: it has none of them. Kinds
 * that are not known give SC_EUNSUPPORTED naming the kind. */
SC_API sc_status sc_tokenizer_load(sc_tokenizer **out, const char *path);
/* The text of a tokenizer.json; `what` names it in messages. */
SC_API sc_status sc_tokenizer_from_json(sc_tokenizer **out, const char *json, int64_t len, const char *what);
/* The bytes of a SentencePiece tokenizer.model (BPE or Unigram), or tiktoken's ranks, which go by the same name. */
SC_API sc_status sc_tokenizer_from_spm(sc_tokenizer **out, const void *data, int64_t len, const char *what);
/* The tokenizer in a GGUF file's metadata (kinds gpt2, llama, bert, t5 and rwkv). The file need not stay open. */
struct sc_gguf;
SC_API sc_status sc_tokenizer_from_gguf(sc_tokenizer **out, const struct sc_gguf *file);
/* Says which id is "bos_token", "eos_token", "pad_token" or "unk_token", for one that was read from a text alone; before it is
 * shared. Other names are SC_EINVAL. */
SC_API sc_status sc_tokenizer_set(sc_tokenizer *t, const char *name, int32_t id);
SC_API void sc_tokenizer_free(sc_tokenizer *t);

enum {
    SC_TOKENIZE_SPECIAL = 1,         /* add what the tokenizer's template adds around a text (bos, eos) */
    SC_TOKENIZE_PARSE_SPECIAL = 2,   /* text that spells a special token becomes that token; else it stays text */
    SC_TOKENIZE_REPLACE_INVALID = 4, /* invalid UTF-8 becomes U+FFFD first, as Python's errors="replace" does */
    SC_TOKENIZE_FIT =
        8, /* cut and fill up to the lengths that a tokenizer.json asks for; else these are not heeded */
};

/* text: len bytes, at most 512 MiB, NUL allowed. *ids: n ids (sc_free). */
SC_API sc_status sc_tokenizer_encode(const sc_tokenizer *t, const char *text, int64_t len, unsigned flags,
                                     int32_t **ids, int64_t *n);
/* The same, with where each token came from (*spans: n of them, sc_free). What the template adds has {0, 0}. A token
 * that holds a part of a character has the whole character's span. With SC_TOKENIZE_REPLACE_INVALID spans count in
 * the replaced text. */
SC_API sc_status sc_tokenizer_encode_spans(const sc_tokenizer *t, const char *text, int64_t len, unsigned flags,
                                           int32_t **ids, sc_token_span **spans, int64_t *n);

/* A pair of texts, as models that compare sentences read it; b NULL: a alone. *types: the token type (segment) of each id (n
 * of them, sc_free), what BERT's token_type_ids are; types may be NULL. */
SC_API sc_status sc_tokenizer_encode_pair(const sc_tokenizer *t, const char *a, int64_t a_len, const char *b,
                                          int64_t b_len, unsigned flags, int32_t **ids, int32_t **types,
                                          int64_t *n);

/* The prompt for what stands between two texts, for models that were trained to fill it in (CodeLlama, StarCoder, Qwen2.5-
 * Coder, DeepSeek-Coder, …). Special tokens in the texts stay text. *end: the id that ends such an answer, -1: no other
 * than always. SC_ENOTFOUND where the vocabulary lacks the tokens for it. */
SC_API sc_status sc_tokenizer_infill(const sc_tokenizer *t, const char *prefix, int64_t prefix_len,
                                     const char *suffix, int64_t suffix_len, int32_t **ids, int64_t *n,
                                     int32_t *end);

enum {
    SC_DETOKENIZE_SKIP_SPECIAL = 1, /* special tokens give no text */
    SC_DETOKENIZE_REPLACE_INVALID =
        2, /* the text is valid UTF-8: what is not becomes U+FFFD; else bytes as they are */
};

/* *text: len bytes and a NUL (sc_free). An id outside the vocabulary is SC_EINVAL; a gap in it gives no text. */
SC_API sc_status sc_tokenizer_decode(const sc_tokenizer *t, const int32_t *ids, int64_t n, unsigned flags,
                                     char **text, int64_t *len);

/* Decoding as ids come. Each push gives the text that is certain by then: never a part of a character, which waits
 * until it is whole or cannot become so. The pieces together are what sc_tokenizer_decode gives. */
typedef struct sc_detokenizer sc_detokenizer;
SC_API sc_status sc_detokenizer_new(sc_detokenizer **out, const sc_tokenizer *t, unsigned flags);
/* *text: len bytes, maybe 0, and a NUL; valid until the next call on d. */
SC_API sc_status sc_detokenizer_push(sc_detokenizer *d, int32_t id, const char **text, int64_t *len);
/* What is left. The detokenizer then is as new. */
SC_API sc_status sc_detokenizer_flush(sc_detokenizer *d, const char **text, int64_t *len);
SC_API void sc_detokenizer_free(sc_detokenizer *d);

/* The highest id and one; some ids below may have no token. */
SC_API int64_t sc_tokenizer_vocab_size(const sc_tokenizer *t);
/* The token as the vocabulary spells it ("Ġthe"), borrowed, NUL-terminated; NULL where the id has none. len may be
 * NULL. */
SC_API const char *sc_tokenizer_token(const sc_tokenizer *t, int32_t id, int64_t *len);
/* The id of a token spelled so, or -1. */
SC_API int32_t sc_tokenizer_id(const sc_tokenizer *t, const char *token, int64_t len);
SC_API bool sc_tokenizer_is_special(const sc_tokenizer *t, int32_t id);
/* -1 where the tokenizer names none. */
SC_API int32_t sc_tokenizer_bos(const sc_tokenizer *t);
SC_API int32_t sc_tokenizer_eos(const sc_tokenizer *t);
SC_API int32_t sc_tokenizer_pad(const sc_tokenizer *t);
SC_API int32_t sc_tokenizer_unk(const sc_tokenizer *t);
/* What SC_TOKENIZE_SPECIAL puts before and after a text: borrowed arrays, maybe of no ids. */
SC_API void sc_tokenizer_template(const sc_tokenizer *t, const int32_t **before, int64_t *n_before,
                                  const int32_t **after, int64_t *n_after);

#ifdef __cplusplus
}
#endif
#endif

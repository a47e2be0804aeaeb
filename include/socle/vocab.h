/* SPDX-License-Identifier: Apache-2.0 */
/* Training of tokenizers: from texts to a folder with tokenizer.json and tokenizer_config.json, which this library (tokenizer.h),
 * HuggingFace's tokenizers and transformers load, with the same ids.
 *
 * Kinds
 *  byte-bpe   byte-pair encoding over bytes spelled as characters (GPT-2): every text can be encoded and comes back exactly
 *  bpe        byte-pair encoding over characters, spaces spelled as U+2581, rare characters as bytes <0x00> to <0xFF> (Llama 2)
 *  unigram    the pieces of highest likelihood (Kudo 2018, arXiv:1804.10959), as SentencePiece and XLM-R have them
 *  wordpiece  as BERT's: byte-pair merges inside words, what continues a word marked by ##
 *
 * The merges of byte-bpe, bpe and wordpiece are those that HuggingFace's BpeTrainer and WordPieceTrainer make of the same words:
 * the most frequent pair first, of equals the one whose ids are lower. Counts are 64 bits wide. The result does not depend on
 * the number of threads. */
#ifndef SOCLE_VOCAB_H
#define SOCLE_VOCAB_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What stands for 0 or NULL is said with each. Strings are UTF-8 and borrowed. */
typedef struct sc_tokenizer_recipe {
    const char *kind; /* one of the above */
    int64_t
        size; /* tokens in all, special ones included: up to 2^21; 0: 32000. Fewer where the text gives no more. */

    /* Texts; gzip and zstd are unpacked. A file whose name ends in .jsonl (.gz, .zst) has one text a line, others one a line of text (with its end for byte-bpe and
     * wordpiece, as HuggingFace's trainers read files) or, with `documents`, one a file. "-" is standard input. Bytes that are not UTF-8
     * are left out and counted. Lines and documents are cut after at most 1 MiB, near a space; words therefore too. */
    const char *const *file;
    int files;
    const char *field; /* of a .jsonl's objects; NULL: "text" */
    bool documents;
    int64_t
        memory; /* bytes that the different words may take; 0: a quarter of the machine's. SC_ELIMIT: more are needed. */

    /* How texts are cut */
    const char *
        pattern; /* byte-bpe: gpt2, llama3 (cl100k in the form that tokenizer.json files have it), qwen2, o200k, none, or a
                            regular expression (Oniguruma's syntax, each match one piece). NULL: gpt2 */
    const char *
        normalizer; /* nfc, nfd, nfkc, nfkd, lowercase, strip-accents, bert, separated by commas and applied in that order,
                               or an object as in tokenizer.json. NULL: none; wordpiece: bert. "": none */
    bool split_digits;      /* each digit is a piece */
    bool split_punctuation; /* bpe, unigram: each punctuation character is a piece */
    bool prefix_space;      /* byte-bpe: a space before texts without one */
    bool no_prefix_space;   /* bpe, unigram: none */

    /* Special tokens, first in the vocabulary in this order; the ones named below follow where they are not among them. None at all:
     * byte-bpe <|endoftext|>; bpe and unigram <unk> <s> </s>; wordpiece [PAD] [UNK] [CLS] [SEP] [MASK]. */
    const char *const *special;
    int specials;
    const char *bos, *eos, *unk, *pad, *mask, *cls, *sep;
    bool add_bos, add_eos;     /* put around each text when it is encoded; wordpiece always has cls and sep */
    const char *chat_template; /* Jinja, for tokenizer_config.json; NULL: none */

    /* Alphabet */
    const char *
        initial_alphabet; /* characters that are tokens whether the text has them or not. NULL: none; byte-bpe: all 256
                                     bytes. "": none */
    int64_t limit_alphabet; /* bpe, wordpiece: keep so many, the most frequent; the rest is passed over. 0: all */
    double
        coverage; /* bpe, unigram: keep the most frequent characters that make up this share of the text, and never join what
                               stands around others. 0: 0.9995 with byte_fallback, else 1 */
    bool no_byte_fallback; /* bpe, unigram: unknown characters become unk instead of bytes */

    /* Pairs */
    int64_t min_frequency; /* pairs that are rarer are not merged; 0: 0, as HuggingFace's default */
    int64_t
        max_token_length; /* characters (bytes for byte-bpe). byte-bpe, bpe, wordpiece: joins stop as in HuggingFace's trainer, that is
                                 below this; 0: no limit. unigram: 0: 16 */

    /* Unigram */
    int64_t seed_size; /* pieces to begin with; 0: 1,000,000 */
    double shrink;     /* share of the pieces that a round keeps, 0 < shrink < 1; 0: 0.75 */
    int rounds;        /* EM steps before each cut; 0: 2 */
} sc_tokenizer_recipe;

/* What training met and made. */
typedef struct sc_tokenizer_report {
    int64_t bytes, records;     /* of text; lines or documents */
    int64_t words, distinct;    /* pieces that the pre-tokenizer cut, and how many different ones */
    int64_t invalid;            /* bytes that are not UTF-8, left out */
    int64_t alphabet, left_out; /* characters kept as tokens and passed over */
    double uncovered;           /* share of the text's characters that was passed over */
    int64_t tokens, merges;     /* of the vocabulary */
    double read_seconds, learn_seconds;
} sc_tokenizer_report;

/* Trains and writes DIR/tokenizer.json and DIR/tokenizer_config.json, each whole or not at all. report may be NULL.
 * SC_EINVAL: an option that does not fit, no text at all, or a size below what the alphabet needs. */
SC_API sc_status sc_tokenizer_train(const sc_tokenizer_recipe *recipe, sc_context *ctx, const char *dir,
                                    sc_tokenizer_report *report);

#ifdef __cplusplus
}
#endif
#endif

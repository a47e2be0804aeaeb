/* SPDX-License-Identifier: Apache-2.0 */
/* socle tokenizer train: texts to a tokenizer. */
#include "cmd/cmd.h"
#include "socle/vocab.h"

#include <stdlib.h>

enum { MAX_TEMPLATE = 1 << 20 };

static void say(sc_cmd *c, const sc_tokenizer_report *x, const char *dir)
{
    sc_cmd_note(c, "%.1f MB, %lld texts, %lld words, %lld different, read in %.2f s", (double)x->bytes / 1e6,
                (long long)x->records, (long long)x->words, (long long)x->distinct, x->read_seconds);
    if (x->invalid) sc_cmd_note(c, "%lld bytes that are not UTF-8 were left out", (long long)x->invalid);
    if (x->left_out)
        sc_cmd_note(c, "%lld of %lld characters are no tokens: %.3g%% of the text", (long long)x->left_out,
                    (long long)(x->left_out + x->alphabet), 100 * x->uncovered);
    sc_cmd_note(c, "%lld tokens, learned in %.2f s: %s", (long long)x->tokens, x->learn_seconds, dir);
}

static int train(sc_cmd *c)
{
    int files = sc_cmd_argc(c) - 1, specials = sc_cmd_count(c, "special"), rc = 1;
    const char *dir = sc_cmd_arg(c, 0), *chat = sc_cmd_str(c, "chat-template");
    const char **file = calloc((size_t)files + 1, sizeof *file),
               **special = calloc((size_t)specials + 1, sizeof *special);
    char *template = NULL;
    int64_t len;
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || !file || !special) {
        rc = ctx ? sc_cmd_error(c, "out of memory") : sc_cmd_fail(c);
        goto end;
    }
    for (int i = 0; i < files; i++) file[i] = sc_cmd_arg(c, i + 1);
    for (int i = 0; i < specials; i++) special[i] = sc_cmd_list(c, "special", i);
    if (chat && !(template = sc_cmd_read(c, chat, MAX_TEMPLATE, &len))) goto end;
    sc_tokenizer_report report;
    sc_tokenizer_recipe r = {
        .kind = sc_cmd_str(c, "kind"),
        .size = sc_cmd_int(c, "size"),
        .file = file,
        .files = files,
        .field = sc_cmd_str(c, "field"),
        .documents = sc_cmd_flag(c, "documents"),
        .memory = sc_cmd_int(c, "memory") << 20,
        .pattern = sc_cmd_str(c, "pattern"),
        .normalizer = sc_cmd_str(c, "normalizer"),
        .split_digits = sc_cmd_flag(c, "split-digits"),
        .split_punctuation = sc_cmd_flag(c, "split-punctuation"),
        .prefix_space = sc_cmd_flag(c, "prefix-space"),
        .no_prefix_space = sc_cmd_flag(c, "no-prefix-space"),
        .special = special,
        .specials = specials,
        .bos = sc_cmd_str(c, "bos"),
        .eos = sc_cmd_str(c, "eos"),
        .unk = sc_cmd_str(c, "unk"),
        .pad = sc_cmd_str(c, "pad"),
        .mask = sc_cmd_str(c, "mask"),
        .cls = sc_cmd_str(c, "cls"),
        .sep = sc_cmd_str(c, "sep"),
        .add_bos = sc_cmd_flag(c, "add-bos"),
        .add_eos = sc_cmd_flag(c, "add-eos"),
        .chat_template = template,
        .initial_alphabet = sc_cmd_str(c, "initial-alphabet"),
        .limit_alphabet = sc_cmd_int(c, "limit-alphabet"),
        .coverage = sc_cmd_num(c, "coverage"),
        .no_byte_fallback = sc_cmd_flag(c, "no-byte-fallback"),
        .min_frequency = sc_cmd_int(c, "min-frequency"),
        .max_token_length = sc_cmd_int(c, "max-token-length"),
        .seed_size = sc_cmd_int(c, "seed-size"),
        .shrink = sc_cmd_num(c, "shrink"),
        .rounds = (int)sc_cmd_int(c, "rounds"),
    };
    rc = sc_tokenizer_train(&r, ctx, dir, &report) ? sc_cmd_fail(c) : 0;
    sc_cmd_clear_progress(c);
    if (!rc) say(c, &report, dir);
end:
    free(file);
    free(special);
    free(template);
    return rc;
}

static const sc_option options[] = {
    {"kind", 'k', SC_OPT_CHOICE, "byte-bpe|bpe|unigram|wordpiece", "what to train", .value = "byte-bpe"},
    {"size", 'n', SC_OPT_INT, "N", "tokens of the vocabulary, special ones included", .value = "32000", .lo = 1,
     .hi = 1 << 21},
    {"pattern", 'p', SC_OPT_STR, "NAME",
     "how byte-bpe cuts text: gpt2, llama3, qwen2, o200k, none, or a regular expression (gpt2)"},
    {"field", 'f', SC_OPT_STR, "NAME", "the text of a .jsonl's objects", .value = "text"},
    {"documents", 0, SC_OPT_FLAG, .help = "a text file is one text, not one a line"},
    {"normalizer", 0, SC_OPT_STR, "LIST",
     "nfc, nfd, nfkc, nfkd, lowercase, strip-accents, bert, or an object as in tokenizer.json"},
    {"split-digits", 0, SC_OPT_FLAG, .help = "each digit is a token"},
    {"split-punctuation", 0, SC_OPT_FLAG, .help = "bpe, unigram: each punctuation character is a token"},
    {"prefix-space", 0, SC_OPT_FLAG, .help = "byte-bpe: a space before texts that begin without one"},
    {"no-prefix-space", 0, SC_OPT_FLAG, .help = "bpe, unigram: no space before texts"},
    {"special", 's', SC_OPT_STR, "TOKEN", "a special token; they come first, in this order", .many = true},
    {"bos", 0, SC_OPT_STR, "TOKEN", "begins texts"},
    {"eos", 0, SC_OPT_STR, "TOKEN", "ends texts"},
    {"unk", 0, SC_OPT_STR, "TOKEN", "stands for what is unknown"},
    {"pad", 0, SC_OPT_STR, "TOKEN", "fills up"},
    {"mask", 0, SC_OPT_STR, "TOKEN", "hides a token"},
    {"cls", 0, SC_OPT_STR, "TOKEN", "wordpiece: begins texts"},
    {"sep", 0, SC_OPT_STR, "TOKEN", "wordpiece: ends texts"},
    {"add-bos", 0, SC_OPT_FLAG, .help = "put bos before each text that is encoded"},
    {"add-eos", 0, SC_OPT_FLAG, .help = "put eos after each text that is encoded"},
    {"chat-template", 0, SC_OPT_FILE, "FILE", "a chat template in Jinja, for tokenizer_config.json"},
    {"initial-alphabet", 0, SC_OPT_STR, "CHARS", "characters that are tokens in any case (byte-bpe: all bytes)"},
    {"limit-alphabet", 0, SC_OPT_INT, "N", "bpe, wordpiece: keep the N most frequent characters", .lo = 1,
     .hi = 1114112},
    {"coverage", 0, SC_OPT_NUM, "SHARE",
     "bpe, unigram: keep characters that make up this share of the text (0.9995 with byte fallback, else 1)",
     .lo = 0, .hi = 1},
    {"no-byte-fallback", 0, SC_OPT_FLAG, .help = "bpe, unigram: unknown characters become unk, not bytes"},
    {"min-frequency", 0, SC_OPT_INT, "N", "merge no pair that is rarer (0)", .lo = 0, .hi = 1e15},
    {"max-token-length", 0, SC_OPT_INT, "N", "join only what stays below N characters; unigram: at most N (16)",
     .lo = 1, .hi = 1 << 20},
    {"seed-size", 0, SC_OPT_INT, "N", "unigram: pieces to begin with (1000000)", .lo = 1, .hi = 1e8},
    {"shrink", 0, SC_OPT_NUM, "SHARE", "unigram: what a round keeps (0.75)", .lo = 0, .hi = 1},
    {"rounds", 0, SC_OPT_INT, "N", "unigram: EM steps before each cut (2)", .lo = 1, .hi = 1000},
    {"memory", 0, SC_OPT_INT, "MB", "what the different words may take (a quarter of the machine's)", .lo = 1,
     .hi = 1e9},
    SC_OPT_CONTEXT,
    {0},
};

static const sc_example examples[] = {
    {"socle tokenizer train --size 32000 tok corpus.txt more.jsonl", "A byte-level tokenizer from two files"},
    {"socle tokenizer train --pattern llama3 --special '<|begin_of_text|>' --special '<|end_of_text|>' --add-bos "
     "tok a.txt",
     "With another pattern and other special tokens"},
    {"socle tokenizer train --kind unigram --normalizer nfkc tok corpus.txt", "As SentencePiece's default"},
    {"socle tokenizer train --kind wordpiece --size 30522 tok corpus.txt", "As BERT's"},
    {0},
};

const sc_verb sc_verb_tokenizer_train = {
    .name = "tokenizer train",
    .summary = "Train a tokenizer on texts",
    .args = "DIR FILE...",
    .about =
        "Writes DIR/tokenizer.json and DIR/tokenizer_config.json, which HuggingFace's tokenizers and transformers "
        "load too, with the same ids. FILE is text, one a line, or .jsonl; - is standard input.\n\n"
        "byte-bpe is byte-pair encoding over bytes, as GPT-2's; bpe is over characters with bytes for rare ones, "
        "as "
        "Llama 2's; unigram is as SentencePiece's; wordpiece as BERT's. The same merges as HuggingFace's trainers, "
        "for any "
        "number of threads.",
    .min_args = 2,
    .max_args = -1,
    .options = options,
    .examples = examples,
    .run = train,
};

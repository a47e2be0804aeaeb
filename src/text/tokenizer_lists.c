/* SPDX-License-Identifier: Apache-2.0 */
/* Vocabularies as plain lists. What the lists do not say, the kind of tokenizer does: each is made into the tokenizer.json that
 * it stands for. */
#include "text/text.h"

#define GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d|[\\\\p{L}]+|[\\\\p{N}]|[^\\\\s\\\\p{L}\\\\p{N}]+"
#define QWEN_WORDS                                                                                                 \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"    \
    "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define BYTES(prefix, regex)                                                                                       \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":" prefix ",\"trim_offsets\":true,\"use_regex\":" regex "}"
#define SPLIT(regex, behavior, invert)                                                                             \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"" behavior "\",\"invert\":" invert "}"
#define PAIR(n) "{\"type\":\"Sequence\",\"pretokenizers\":[" n "]}"

typedef struct kind {
    const char *in_class; /* of tokenizer_class */
    const char *frame;    /* a tokenizer.json without its vocabulary */
    const char *cls, *sep;
    const char *mask; /* takes the space before it */
    const char *unk, *suffix;
} kind;

static const kind kinds[] = {
    {"Roberta Bart LED Longformer MPNet",
     "{\"pre_tokenizer\":" BYTES("false", "true") ",\"decoder\":{\"type\":\"ByteLevel\"},"
                                                  "\"post_processor\":{\"type\":\"RobertaProcessing\",\"trim_"
                                                  "offsets\":true,\"add_prefix_space\":false}}",
     "<s>", "</s>", "<mask>", NULL, NULL},
    {"CLIP",
     "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Replace\",\"pattern\":"
     "{\"Regex\":\"\\\\s+\"},\"content\":\" \"},{\"type\":\"Lowercase\"}]},"
     "\"pre_tokenizer\":" PAIR(
         SPLIT("<\\\\|startoftext\\\\|>|<\\\\|endoftext\\\\|>|" GPT2_WORDS, "Removed",
               "true") "," BYTES("false", "true")) ",\"decoder\":{\"type\":\"ByteLevel\"},"
                                                   "\"post_processor\":{\"type\":\"RobertaProcessing\",\"trim_"
                                                   "offsets\":false,\"add_prefix_space\":false}}",
     "<|startoftext|>", "<|endoftext|>", NULL, "<|endoftext|>", "</w>"},
    {"Qwen2",
     "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":" PAIR(SPLIT(QWEN_WORDS, "Isolated", "false") "," BYTES(
         "false", "false")) ",\"decoder\":{\"type\":\"ByteLevel\"}}",
     NULL, NULL, NULL, NULL, NULL},
    {"", /* GPT-2 and all others */
     "{\"pre_tokenizer\":" BYTES(
         "false",
         "true") ",\"decoder\":{\"type\":\"ByteLevel\"},"
                 "\"post_processor\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":false}}",
     NULL, NULL, NULL, NULL, NULL},
};

static const kind *find_kind(const json_t *settings)
{
    const char *name = json_string_value(json_object_get(settings, "tokenizer_class"));
    for (int i = 0; name && i < SC_COUNT(kinds); i++) {
        for (const char *p = kinds[i].in_class; *p;) {
            size_t n = strcspn(p, " ");
            if (strncmp(name, p, n) == 0) return &kinds[i];
            p += n + (p[n] == ' ');
        }
    }
    return &kinds[SC_COUNT(kinds) - 1];
}

/* ---- added tokens ---- */

static void add_token(json_t *list, const json_t *vocab, const char *content, bool lstrip)
{
    const json_t *id = json_object_get(vocab, content);
    if (!json_is_integer(id)) return;
    json_array_append_new(list, json_pack("{s:I,s:s,s:b,s:b,s:b}", "id", json_integer_value(id), "content", content,
                                          "special", 1, "normalized", 0, "lstrip", (int)lstrip));
}

/* The tokens of tokenizer_config.json's added_tokens_decoder, or else those of the kind. */
static json_t *added_tokens(const json_t *settings, const json_t *vocab, const char *const *names, const char *mask)
{
    json_t *list = json_array(), *given = json_object_get(settings, "added_tokens_decoder"), *value;
    const char *key;
    json_object_foreach(given, key, value)
    {
        char *end;
        long long id = strtoll(key, &end, 10);
        if (*end || end == key || !json_is_object(value)) continue;
        json_t *copy = json_copy(value);
        json_object_set_new(copy, "id", json_integer(id));
        json_array_append_new(list, copy);
    }
    if (json_array_size(list) > 0) return list;
    for (; *names; names++) add_token(list, vocab, *names, false);
    if (mask) add_token(list, vocab, mask, true);
    return list;
}

static sc_status finish(sc_tokenizer **out, json_t *root, json_t *model, json_t *added, const char *what)
{
    json_object_set_new(root, "model", model);
    json_object_set_new(root, "added_tokens", added);
    sc_status s = root && model && added ? sc_tokenizer_from_root(out, root, what) : sc_nomem();
    json_decref(root);
    return s;
}

/* ---- vocab.txt ---- */

static sc_status read_lines(json_t **out, const char *text, int64_t len, const char *what)
{
    json_t *vocab = json_object();
    sc_status s = vocab ? SC_OK : sc_nomem();
    for (int64_t i = 0, id = 0; i < len && !s; id++) {
        const char *end = memchr(text + i, '\n', (size_t)(len - i));
        int64_t n = end ? end - (text + i) : len - i, next = i + n + 1;
        while (n > 0 && text[i + n - 1] == '\r') n--;
        if (id >= SC_TEXT_MAX_IDS)
            s = sc_fail(SC_ELIMIT, "%s: more than %d lines", what, SC_TEXT_MAX_IDS);
        else if (!sc_utf8_valid(text + i, n))
            s = sc_fail(SC_EFORMAT, "%s: line %lld is not UTF-8", what, (long long)id + 1);
        else if (json_object_setn_new(vocab, text + i, (size_t)n, json_integer(id)))
            s = sc_nomem();
        i = next;
    }
    if (s) {
        json_decref(vocab);
        return s;
    }
    *out = vocab;
    return SC_OK;
}

static json_t *bert_frame(const json_t *vocab)
{
    json_int_t cls = json_integer_value(json_object_get(vocab, "[CLS]"));
    json_int_t sep = json_integer_value(json_object_get(vocab, "[SEP]"));
    if (!json_object_get(vocab, "[CLS]") || !json_object_get(vocab, "[SEP]")) return json_null();
    return json_pack("{s:s,s:[s,I],s:[s,I]}", "type", "BertProcessing", "sep", "[SEP]", sep, "cls", "[CLS]", cls);
}

sc_status sc_tokenizer_from_vocab_txt(sc_tokenizer **out, const json_t *settings, const char *text, int64_t len,
                                      const char *what)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", NULL};
    bool lower = true, ideographs = true;
    json_t *vocab;
    sc_status s = sc_json_bool(settings, what, "do_lower_case", &lower);
    if (!s) s = sc_json_bool(settings, what, "tokenize_chinese_chars", &ideographs);
    bool accents = lower;
    if (!s) s = sc_json_bool(settings, what, "strip_accents", &accents);
    if (!s) s = read_lines(&vocab, text, len, what);
    if (s) return s;
    json_t *root =
        json_pack("{s:{s:s,s:b,s:b,s:b,s:b},s:{s:s},s:{s:s,s:s,s:b},s:o}", "normalizer", "type", "BertNormalizer",
                  "clean_text", 1, "handle_chinese_chars", (int)ideographs, "strip_accents", (int)accents,
                  "lowercase", (int)lower, "pre_tokenizer", "type", "BertPreTokenizer", "decoder", "type",
                  "WordPiece", "prefix", "##", "cleanup", 1, "post_processor", bert_frame(vocab));
    json_t *added = added_tokens(settings, vocab, names, NULL);
    json_t *model = json_pack("{s:s,s:s,s:s,s:i,s:o}", "type", "WordPiece", "unk_token", "[UNK]",
                              "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "vocab", vocab);
    return finish(out, root, model, added, what);
}

/* ---- vocab.json and merges.txt ---- */

/* Lines "a b"; a first line "#version: ..." is none. */
static sc_status read_merges(json_t **out, const char *text, int64_t len, const char *what)
{
    json_t *list = json_array();
    sc_status s = list ? SC_OK : sc_nomem();
    for (int64_t i = 0, line = 1; !s && i < len; line++) {
        const char *end = memchr(text + i, '\n', (size_t)(len - i));
        int64_t n = end ? end - (text + i) : len - i, next = i + n + 1;
        while (n > 0 && text[i + n - 1] == '\r') n--;
        bool version = n >= 9 && memcmp(text + i, "#version:", 9) == 0;
        if (!sc_utf8_valid(text + i, n))
            s = sc_fail(SC_EFORMAT, "%s: its merges.txt: line %lld is not UTF-8", what, (long long)line);
        else if (n > 0 && !version && json_array_append_new(list, json_stringn(text + i, (size_t)n)))
            s = sc_nomem();
        i = next;
    }
    if (s)
        json_decref(list);
    else
        *out = list;
    return s;
}

static void set_frame(json_t *root, const kind *k, const json_t *vocab)
{
    json_t *post = json_object_get(root, "post_processor");
    const json_t *cls = k->cls ? json_object_get(vocab, k->cls) : NULL;
    const json_t *sep = k->sep ? json_object_get(vocab, k->sep) : NULL;
    if (!k->cls) return;
    json_object_set_new(post, "cls", json_pack("[s,I]", k->cls, cls ? json_integer_value(cls) : -1));
    json_object_set_new(post, "sep", json_pack("[s,I]", k->sep, sep ? json_integer_value(sep) : -1));
}

sc_status sc_tokenizer_from_merges(sc_tokenizer **out, const json_t *settings, const char *vocab, int64_t vocab_len,
                                   const char *merges, int64_t merges_len, const char *what)
{
    static const char *const names[] = {"<s>",           "<pad>",        "</s>",       "<unk>", "<|startoftext|>",
                                        "<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};
    const kind *k = find_kind(settings);
    json_t *ids = NULL, *pairs = NULL;
    sc_status s = sc_json_parse(&ids, vocab, vocab_len, what);
    if (!s && !json_is_object(ids)) s = sc_fail(SC_EFORMAT, "%s: expected an object of tokens and ids", what);
    if (!s) s = read_merges(&pairs, merges, merges_len, what);
    if (s) {
        json_decref(ids);
        return s;
    }
    json_t *root = json_loads(k->frame, 0, NULL);
    if (root) set_frame(root, k, ids);
    json_t *added = added_tokens(settings, ids, names, k->mask);
    json_t *model = json_pack("{s:s,s:o,s:o,s:s*,s:s*}", "type", "BPE", "vocab", ids, "merges", pairs, "unk_token",
                              k->unk, "end_of_word_suffix", k->suffix);
    return finish(out, root, model, added, what);
}

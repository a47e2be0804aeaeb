/* SPDX-License-Identifier: Apache-2.0 */
/* socle tokenize: text to ids as JSON, and back. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INPUT (512LL << 20)

/* {"ids": [...], "tokens": [...], "spans": [[begin, end], ...]}; null for a token that is no text. */
static int put_spans(sc_cmd *c, const sc_tokenizer *t, const char *text, int64_t len, unsigned flags)
{
    int32_t *ids;
    sc_token_span *spans;
    int64_t n, k;
    if (sc_tokenizer_encode_spans(t, text, len, flags, &ids, &spans, &n)) return sc_cmd_fail(c);
    json_t *id = json_array(), *token = json_array(), *span = json_array();
    for (int64_t i = 0; i < n; i++) {
        const char *p = sc_tokenizer_token(t, ids[i], &k);
        json_t *text_of = p ? json_stringn(p, (size_t)k) : json_null();
        json_array_append_new(id, json_integer(ids[i]));
        json_array_append_new(token, text_of ? text_of : json_null());
        json_array_append_new(span, json_pack("[i,i]", spans[i].begin, spans[i].end));
    }
    sc_free(ids);
    sc_free(spans);
    return sc_cmd_json(c, json_pack("{s:o,s:o,s:o}", "ids", id, "tokens", token, "spans", span), 0);
}

static int put_ids(sc_cmd *c, const sc_tokenizer *t, const char *text, int64_t len, unsigned flags)
{
    int32_t *ids;
    int64_t n;
    if (sc_tokenizer_encode(t, text, len, flags, &ids, &n)) return sc_cmd_fail(c);
    putchar('[');
    for (int64_t i = 0; i < n; i++) printf(i ? ", %d" : "%d", ids[i]);
    puts("]");
    sc_free(ids);
    return 0;
}

static int encode(sc_cmd *c, const sc_tokenizer *t, const char *text, int64_t len)
{
    unsigned flags = SC_TOKENIZE_PARSE_SPECIAL | (sc_cmd_flag(c, "no-special") ? 0 : SC_TOKENIZE_SPECIAL);
    int (*put)(sc_cmd *, const sc_tokenizer *, const char *, int64_t, unsigned) =
        sc_cmd_flag(c, "spans") ? put_spans : put_ids;
    if (sc_cmd_flag(c, "fit")) flags |= SC_TOKENIZE_FIT;
    if (!sc_cmd_flag(c, "lines")) return put(c, t, text, len, flags);
    for (int64_t i = 0; i < len;) {
        const char *end = memchr(text + i, '\n', (size_t)(len - i));
        int64_t n = end ? end - (text + i) : len - i;
        int code = put(c, t, text + i, n, flags);
        if (code) return code;
        i += n + 1;
    }
    return 0;
}

/* Without what the tokenizer itself puts around a text, so that decoding gives back the text that was encoded. */
static void unwrap(const sc_tokenizer *t, const int32_t **ids, int64_t *n)
{
    const int32_t *before, *after;
    int64_t nb, na;
    sc_tokenizer_template(t, &before, &nb, &after, &na);
    if (nb <= *n && nb > 0 && memcmp(*ids, before, (size_t)nb * sizeof(**ids)) == 0) {
        *ids += nb;
        *n -= nb;
    }
    if (na <= *n && na > 0 && memcmp(*ids + *n - na, after, (size_t)na * sizeof(**ids)) == 0) *n -= na;
}

static int decode_one(sc_cmd *c, const sc_tokenizer *t, const json_t *array, int64_t index)
{
    int64_t n = (int64_t)json_array_size(array), len;
    int32_t *ids = malloc((size_t)n * sizeof(*ids) + 1);
    char *text;
    if (!ids) return sc_cmd_error(c, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        const json_t *j = json_array_get(array, (size_t)i);
        json_int_t id = json_is_integer(j) ? json_integer_value(j) : -1;
        if (id < 0 || id > INT32_MAX) {
            free(ids);
            return sc_cmd_error(c, "array %lld: item %lld is no token id", (long long)index, (long long)i);
        }
        ids[i] = (int32_t)id;
    }
    const int32_t *p = ids;
    if (!sc_cmd_flag(c, "no-special")) unwrap(t, &p, &n);
    sc_status s = sc_tokenizer_decode(t, p, n, 0, &text, &len);
    free(ids);
    if (s) return sc_cmd_fail(c);
    fwrite(text, 1, (size_t)len, stdout);
    sc_free(text);
    return 0;
}

static int decode(sc_cmd *c, const sc_tokenizer *t, const char *text, int64_t len)
{
    int64_t at = 0;
    for (int64_t index = 0;; index++) {
        while (at < len && strchr(" \t\r\n", text[at]) && text[at]) at++;
        if (at == len) return 0;
        json_error_t error;
        json_t *array = json_loadb(text + at, (size_t)(len - at), JSON_DISABLE_EOF_CHECK, &error);
        if (!json_is_array(array)) {
            json_decref(array);
            return sc_cmd_error(c, "array %lld: expected a JSON array of token ids", (long long)index);
        }
        at += error.position;
        if (index > 0 && !sc_cmd_flag(c, "lines")) putchar('\n');
        int rc = decode_one(c, t, array, index);
        json_decref(array);
        if (rc) return rc;
        if (sc_cmd_flag(c, "lines")) putchar('\n');
    }
}

static int tokenize(sc_cmd *c)
{
    sc_tokenizer *t;
    char *path;
    int64_t len;
    if (sc_hub_resolve(&path, sc_cmd_arg(c, 0))) return sc_cmd_fail(c);
    sc_status s = sc_tokenizer_load(&t, path);
    sc_free(path);
    if (s) return sc_cmd_fail(c);
    char *text = sc_cmd_read(c, sc_cmd_arg(c, 1), MAX_INPUT, &len);
    int rc = !text ? 1 : sc_cmd_flag(c, "decode") ? decode(c, t, text, len) : encode(c, t, text, len);
    free(text);
    sc_tokenizer_free(t);
    return rc;
}

static const sc_option options[] = {
    {"lines", 'l', SC_OPT_FLAG, .help = "one array a line of input; with --decode, one line of text an array"},
    {"decode", 'd', SC_OPT_FLAG, .help = "the way back: arrays of ids in, text out"},
    {"no-special", 0, SC_OPT_FLAG, .help = "add no tokens around the text, and take none off when decoding"},
    {"spans", 's', SC_OPT_FLAG,
     .help = "also the tokens as the vocabulary spells them, and the bytes each stands for"},
    {"fit", 0, SC_OPT_FLAG, .help = "cut and pad to the lengths that a tokenizer.json asks for"},
    {0},
};

static const sc_example examples[] = {
    {"socle tokenize SmolLM2-135M-Instruct notes.txt", "The ids of a file as one JSON array"},
    {"echo 'Hello, world!' | socle tokenize --lines Qwen2.5-0.5B", "One array for each line of the input"},
    {"echo 'Hello' | socle tokenize --spans tokenizer.json", "Ids, tokens and where they come from"},
    {"socle tokenize tokenizer.json a.txt | socle tokenize --decode tokenizer.json", "There and back"},
    {0},
};

const sc_verb sc_verb_tokenize = {
    .name = "tokenize",
    .summary = "Turn text into token ids, and back",
    .args = "MODEL [FILE]",
    .about = "MODEL is a model's directory or name, a GGUF file, a tokenizer.json, a SentencePiece "
             "tokenizer.model, tiktoken's "
             "ranks, a vocab.txt, or a vocab.json with merges.txt beside it. FILE is the text; without it, "
             "standard input is read. Text that spells a special token becomes that "
             "token.\n\n"
             "Bytes that are not UTF-8 are kept where the vocabulary can spell them: decoding gives back the same "
             "bytes.",
    .min_args = 1,
    .max_args = 2,
    .options = options,
    .examples = examples,
    .run = tokenize,
};

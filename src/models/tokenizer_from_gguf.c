/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file's tokenizer as tokenizer.json and tokenizer_config.json. */
#include "socle/convert.h"
#include "socle/gguf.h"
#include "text/text.h"

#include <stdlib.h>

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE, MAX_SCORED = 1024 };

typedef struct source {
    const sc_gguf *file;
    bool llama; /* SentencePiece's BPE; else byte-level */
    int64_t n, n_merges;
    sc_gguf_text *token, *merge;
    int64_t *type;
    float *score;
    sc_map id; /* of the tokens that are in the vocabulary */
    const sc_gguf_pre *pre;
    int64_t bos, eos, unk, pad;
    bool add_bos, add_eos, add_space;
} source;

static bool set(json_t *o, const char *key, json_t *value) { return json_object_set_new(o, key, value) == 0; }

static sc_status read_ids(source *x)
{
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", &x->bos},
               {"tokenizer.ggml.eos_token_id", &x->eos},
               {"tokenizer.ggml.unknown_token_id", &x->unk},
               {"tokenizer.ggml.padding_token_id", &x->pad}};
    for (int i = 0; i < SC_COUNT(ids); i++) {
        *ids[i].id = -1;
        sc_status s = sc_gguf_int(x->file, ids[i].key, INT32_MIN, UINT32_MAX, ids[i].id);
        if (s) return s;
        if (*ids[i].id >= x->n) *ids[i].id = -1; /* some writers put 2^32 - 1 for none */
    }
    return SC_OK;
}

static sc_status same_length(const source *x, const char *key, int64_t n)
{
    if (n == x->n) return SC_OK;
    return sc_fail(SC_EFORMAT, "%s: %s: %lld elements for %lld tokens", sc_gguf_path(x->file), key, (long long)n,
                   (long long)x->n);
}

static sc_status index_tokens(source *x)
{
    for (int64_t i = 0; i < x->n; i++) {
        const sc_gguf_text *t = &x->token[i];
        int64_t known;
        if (x->type && x->type[i] == UNUSED && !x->llama) continue; /* fills a gap */
        if (!sc_utf8_valid(t->p, t->n) || memchr(t->p, 0, (size_t)t->n))
            return sc_fail(SC_EUNSUPPORTED, "%s: token %lld is not text, which tokenizer.json cannot say",
                           sc_gguf_path(x->file), (long long)i);
        if (x->llama && t->n > MAX_SCORED) /* every way to split it is tried */
            return sc_fail(SC_ELIMIT, "%s: token %lld has more than %d bytes", sc_gguf_path(x->file), (long long)i,
                           MAX_SCORED);
        if (!sc_map_get(&x->id, t->p, t->n, &known) && !sc_map_put(&x->id, t->p, t->n, i)) return sc_nomem();
    }
    return SC_OK;
}

static sc_status read_source(source *x)
{
    const char *model = NULL, *pre = "default";
    int64_t n = 0;
    sc_status s = sc_gguf_str(x->file, "tokenizer.ggml.model", &model);
    if (!s && !model) return sc_fail(SC_ENOTFOUND, "%s: no tokenizer", sc_gguf_path(x->file));
    if (!s) s = sc_gguf_str(x->file, "tokenizer.ggml.pre", &pre);
    if (s) return s;
    x->llama = strcmp(model, "llama") == 0;
    if (!x->llama && strcmp(model, "gpt2") != 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: tokenizers of the kind %s are not supported", sc_gguf_path(x->file),
                       model);
    if (!x->llama && (!(x->pre = sc_gguf_pre_find(pre)) || (x->pre->flags & SC_GGUF_PRE_RAW)))
        return sc_fail(SC_EUNSUPPORTED, "%s: the pre-tokenizer %s is not supported", sc_gguf_path(x->file), pre);
    x->add_bos = x->llama || (x->pre->flags & SC_GGUF_PRE_ADD_BOS);
    x->add_space = true;
    s = sc_gguf_strings(x->file, "tokenizer.ggml.tokens", &x->token, &x->n);
    if (!s && x->n > SC_TEXT_MAX_IDS)
        s = sc_fail(SC_ELIMIT, "%s: %lld tokens", sc_gguf_path(x->file), (long long)x->n);
    if (!s) s = sc_gguf_strings(x->file, "tokenizer.ggml.merges", &x->merge, &x->n_merges);
    if (!s) s = sc_gguf_ints(x->file, "tokenizer.ggml.token_type", &x->type, &n);
    if (!s && x->type) s = same_length(x, "tokenizer.ggml.token_type", n);
    if (!s) s = sc_gguf_floats(x->file, "tokenizer.ggml.scores", &x->score, &n);
    if (!s && x->score) s = same_length(x, "tokenizer.ggml.scores", n);
    if (!s && x->llama && !x->score)
        s = sc_fail(SC_EFORMAT, "%s: a tokenizer of the kind llama without scores", sc_gguf_path(x->file));
    if (!s) s = sc_gguf_bool(x->file, "tokenizer.ggml.add_bos_token", &x->add_bos);
    if (!s) s = sc_gguf_bool(x->file, "tokenizer.ggml.add_eos_token", &x->add_eos);
    if (!s) s = sc_gguf_bool(x->file, "tokenizer.ggml.add_space_prefix", &x->add_space);
    if (!s) s = read_ids(x);
    return s ? s : index_tokens(x);
}

static void source_free(source *x)
{
    sc_free(x->token);
    sc_free(x->merge);
    sc_free(x->type);
    sc_free(x->score);
    sc_map_free(&x->id);
}

/* ---- the model ---- */

/* Appends what may be NULL for want of memory; *ok false then. */
static void push(json_t *list, json_t *item, bool *ok)
{
    if (json_array_append_new(list, item)) *ok = false;
}

static json_t *unless(bool ok, json_t *o)
{
    if (ok) return o;
    json_decref(o);
    return NULL;
}

static json_t *text_of(const sc_gguf_text *t) { return json_stringn(t->p, (size_t)t->n); }

static json_t *vocabulary(const source *x)
{
    json_t *o = json_object();
    for (int64_t i = 0; o && i < x->n; i++) {
        int64_t id;
        if (!sc_map_get(&x->id, x->token[i].p, x->token[i].n, &id) || id != i) continue;
        if (json_object_setn_new(o, x->token[i].p, (size_t)x->token[i].n, json_integer(i))) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

static bool add_pair(json_t *list, const char *p, int64_t na, const char *q, int64_t nb)
{
    return json_array_append_new(list, json_pack("[s%s%]", p, (size_t)na, q, (size_t)nb)) == 0;
}

/* The file's merges, without those that name no token. */
static json_t *listed_merges(const source *x)
{
    json_t *list = json_array();
    sc_str whole = {0};
    for (int64_t i = 0; list && i < x->n_merges; i++) {
        const char *p = x->merge[i].p;
        int64_t n = x->merge[i].n, id;
        const char *space = n > 1 ? memchr(p + 1, ' ', (size_t)n - 1) : NULL;
        if (!space) continue;
        int64_t na = space - p, nb = n - na - 1;
        whole.len = 0;
        sc_str_append(&whole, p, na);
        sc_str_append(&whole, space + 1, nb);
        if (whole.oom) break;
        if (sc_map_get(&x->id, p, na, &id) && sc_map_get(&x->id, space + 1, nb, &id) &&
            sc_map_get(&x->id, whole.p, whole.len, &id) && !add_pair(list, p, na, space + 1, nb))
            whole.oom = true;
    }
    if (whole.oom) {
        json_decref(list);
        list = NULL;
    }
    sc_str_free(&whole);
    return list;
}

typedef struct split {
    float score;
    int32_t token, at, n;
} split;

/* The best score first; of one token's ways to split it, the longest beginning first. */
static int by_score(const void *a, const void *b)
{
    const split *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->at != y->at) return x->at > y->at ? -1 : 1;
    return x->token < y->token ? -1 : x->token > y->token;
}

/* SentencePiece merges any two neighbours that spell a token, the best score first: as merges, every way in which a
 * token is two others. */
static json_t *scored_merges(const source *x)
{
    split *s = NULL;
    int64_t n = 0, cap = 0, id;
    bool ok = true;
    for (int64_t i = 0; ok && i < x->n; i++) {
        const sc_gguf_text *t = &x->token[i];
        if (x->type && x->type[i] != NORMAL && x->type[i] != UNUSED) continue;
        for (int64_t at = 1; ok && at < t->n; at++) {
            if (((unsigned char)t->p[at] & 0xc0) == 0x80) continue;
            if (!sc_map_get(&x->id, t->p, at, &id) || !sc_map_get(&x->id, t->p + at, t->n - at, &id)) continue;
            if (!(ok = sc_grow(&s, &cap, n + 1, sizeof *s))) break;
            s[n++] = (split){x->score[i], (int32_t)i, (int32_t)at, (int32_t)t->n};
        }
    }
    json_t *list = ok ? json_array() : NULL;
    if (n) qsort(s, (size_t)n, sizeof *s, by_score);
    for (int64_t i = 0; list && i < n; i++) {
        const char *p = x->token[s[i].token].p;
        if (add_pair(list, p, s[i].at, p + s[i].at, s[i].n - s[i].at)) continue;
        json_decref(list);
        list = NULL;
    }
    sc_free(s);
    return list;
}

static json_t *model(const source *x)
{
    json_t *o =
        json_pack("{s:s, s:n, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout", "continuing_subword_prefix",
                  "end_of_word_suffix", "fuse_unk", (int)x->llama, "byte_fallback", (int)x->llama, "ignore_merges",
                  (int)(x->pre && (x->pre->flags & SC_GGUF_PRE_IGNORE_MERGES)));
    json_t *unk = x->llama && x->unk >= 0 ? text_of(&x->token[x->unk]) : json_null();
    if (!o || !set(o, "unk_token", unk) || !set(o, "vocab", vocabulary(x)) ||
        !set(o, "merges", x->llama ? scored_merges(x) : listed_merges(x))) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- around it ---- */

static json_t *added(const source *x)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && x->type && i < x->n; i++) {
        int64_t type = x->type[i], id;
        if (type != CONTROL && type != USER_DEFINED && type != UNKNOWN) continue;
        if (!sc_map_get(&x->id, x->token[i].p, x->token[i].n, &id) || id != i) continue;
        json_t *o = json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)i, "content", x->token[i].p,
                              (size_t)x->token[i].n, "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0,
                              "special", (int)(type != USER_DEFINED));
        if (json_array_append_new(list, o)) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *byte_level(bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0,
                     "use_regex", (int)regex);
}

static json_t *pre_tokenizer(const source *x)
{
    if (x->llama) return json_null();
    json_t *list = json_array();
    bool mapped = false, ok = list != NULL;
    for (int i = 0; list && i < SC_COUNT(x->pre->steps) && x->pre->steps[i]; i++) {
        const char *step = x->pre->steps[i];
        json_t *o;
        if (strcmp(step, SC_GGUF_PRE_GPT2) == 0) {
            o = byte_level(true);
            mapped = true;
        } else if (strcmp(step, SC_GGUF_PRE_DIGIT) == 0 || strcmp(step, SC_GGUF_PRE_DIGITS) == 0) {
            o = json_pack("{s:s, s:b}", "type", "Digits", "individual_digits",
                          strcmp(step, SC_GGUF_PRE_DIGIT) == 0);
        } else if (strcmp(step, SC_GGUF_PRE_PUNCT) == 0) {
            o = json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", "Contiguous");
        } else {
            o = json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", step, "behavior",
                          "Isolated", "invert", 0);
        }
        push(list, o, &ok);
    }
    if (!mapped) push(list, byte_level(false), &ok);
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", unless(ok, list));
}

static json_t *normalizer(const source *x)
{
    if (!x->llama) return x->pre->flags & SC_GGUF_PRE_NFC ? json_pack("{s:s}", "type", "NFC") : json_null();
    json_t *escape =
        json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", SC_LOWLINE);
    if (!x->add_space) return escape;
    return json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend",
                     SC_LOWLINE, escape);
}

static json_t *decoder(const source *x)
{
    if (!x->llama) return byte_level(true);
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                             SC_LOWLINE, "content", " ", "type", "ByteFallback", "type", "Fuse");
    bool ok = list != NULL;
    if (x->add_space)
        push(list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0), &ok);
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", unless(ok, list));
}

/* Adds a special token to a template and to its table. */
static void add_special(const source *x, json_t *single, json_t *pair, json_t *table, int64_t id, int of_pair,
                        bool *ok)
{
    json_t *name = text_of(&x->token[id]);
    push(single, json_pack("{s:{s:O, s:i}}", "SpecialToken", "id", name, "type_id", 0), ok);
    push(pair, json_pack("{s:{s:O, s:i}}", "SpecialToken", "id", name, "type_id", of_pair), ok);
    if (json_object_setn_new(table, x->token[id].p, (size_t)x->token[id].n,
                             json_pack("{s:O, s:[I], s:[O]}", "id", name, "ids", (json_int_t)id, "tokens", name)))
        *ok = false;
    json_decref(name);
}

static json_t *post_processor(const source *x)
{
    bool bos = x->add_bos && x->bos >= 0, eos = x->add_eos && x->eos >= 0;
    if (!bos && !eos) return x->llama ? json_null() : byte_level(true);
    json_t *single = json_array(), *pair = json_array(), *table = json_object(), *second = json_array();
    bool ok = single && pair && table && second;
    for (int part = 0; part < 2; part++) {
        json_t *to = part ? second : single; /* the pair's second text is in no template of one */
        if (bos) add_special(x, to, pair, table, x->bos, part, &ok);
        push(to, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0), &ok);
        push(pair, json_pack("{s:{s:s, s:i}}", "Sequence", "id", part ? "B" : "A", "type_id", part), &ok);
        if (eos) add_special(x, to, pair, table, x->eos, part, &ok);
    }
    json_decref(second);
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", unless(ok, single), "pair",
                     pair, "special_tokens", table);
}

static json_t *tokenizer(const source *x)
{
    json_t *o = json_pack("{s:s, s:n, s:n}", "version", "1.0", "truncation", "padding");
    if (o && set(o, "added_tokens", added(x)) && set(o, "normalizer", normalizer(x)) &&
        set(o, "pre_tokenizer", pre_tokenizer(x)) && set(o, "post_processor", post_processor(x)) &&
        set(o, "decoder", decoder(x)) && set(o, "model", model(x)))
        return o;
    json_decref(o);
    return NULL;
}

/* ---- tokenizer_config.json ---- */

static sc_status config(const source *x, json_t **out)
{
    const struct {
        const char *key;
        int64_t id;
    } names[] = {{"bos_token", x->bos}, {"eos_token", x->eos}, {"unk_token", x->unk}, {"pad_token", x->pad}};
    sc_gguf_text chat = {0};
    sc_status s = sc_gguf_text_of(x->file, "tokenizer.chat_template", &chat);
    if (s) return s;
    json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                          "clean_up_tokenization_spaces", 0, "add_bos_token", (int)x->add_bos, "add_eos_token",
                          (int)x->add_eos);
    bool ok = o != NULL;
    for (int i = 0; ok && i < SC_COUNT(names); i++)
        if (names[i].id >= 0) ok = set(o, names[i].key, text_of(&x->token[names[i].id]));
    if (ok && chat.p) ok = set(o, "chat_template", json_stringn(chat.p, (size_t)chat.n));
    if (ok)
        *out = o;
    else
        json_decref(o);
    return ok ? SC_OK
              : sc_fail(SC_EFORMAT, "%s: a special token or the chat template is not UTF-8", sc_gguf_path(x->file));
}

sc_status sc_gguf_tokenizer_json(char **tokenizer_out, char **config_out, const sc_gguf *file)
{
    source x = {.file = file};
    json_t *a = NULL, *b = NULL;
    char *text = NULL, *config_text = NULL;
    sc_status s = read_source(&x);
    if (!s) s = config(&x, &b);
    if (!s && !(a = tokenizer(&x))) s = sc_nomem();
    if (!s && (!(text = json_dumps(a, JSON_INDENT(1))) || !(config_text = json_dumps(b, JSON_INDENT(2)))))
        s = sc_nomem();
    json_decref(a);
    json_decref(b);
    source_free(&x);
    if (s) {
        sc_free(text);
        sc_free(config_text);
        return s;
    }
    *tokenizer_out = text;
    *config_out = config_text;
    return SC_OK;
}

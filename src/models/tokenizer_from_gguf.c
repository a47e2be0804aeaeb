/* SPDX-License-Identifier: Apache-2.0 */
/* A GGUF file's tokenizer as tokenizer.json and tokenizer_config.json. */
#include "socle/convert.h"
#include "socle/gguf.h"
#include "text/text.h"

#include <stdlib.h>

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE, MAX_SCORED = 1024 };

typedef struct source {
    const sc_gguf *file;
    bool llama, t5, bert; /* SentencePiece's BPE or Unigram, or WordPiece; else byte-level BPE */
    int64_t n, n_merges;
    sc_gguf_text *token, *merge;
    int64_t *type;
    float *score;
    sc_map id; /* of the tokens that are in the vocabulary */
    const sc_gguf_pre *pre;
    int64_t bos, eos, unk, pad, cls, sep, mask;
    bool add_bos, add_eos, add_space, squeeze, lowercase;
    int strip_accents; /* -1: as lowercase */
    int64_t *charsmap; /* bytes of SentencePiece's normalizer */
    int64_t n_charsmap;
    char *spelled; /* WordPiece's tokens as it spells them */
} source;

static bool set(json_t *o, const char *key, json_t *value) { return json_object_set_new(o, key, value) == 0; }

static sc_status read_ids(source *x)
{
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", &x->bos},     {"tokenizer.ggml.eos_token_id", &x->eos},
               {"tokenizer.ggml.unknown_token_id", &x->unk}, {"tokenizer.ggml.padding_token_id", &x->pad},
               {"tokenizer.ggml.cls_token_id", &x->cls},     {"tokenizer.ggml.seperator_token_id", &x->sep},
               {"tokenizer.ggml.mask_token_id", &x->mask}};
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
        if (x->type && x->type[i] == UNUSED && !x->llama && !x->t5) continue; /* fills a gap */
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

/* GGUF marks what begins a word, WordPiece what continues one. */
static sc_status respell(source *x)
{
    int64_t room = 1, at = 0;
    for (int64_t i = 0; i < x->n; i++) room += x->token[i].n + 2;
    if (!(x->spelled = sc_malloc((size_t)room))) return sc_nomem();
    for (int64_t i = 0; i < x->n; i++) {
        sc_gguf_text *t = &x->token[i];
        bool begins = t->n >= 3 && memcmp(t->p, SC_LOWLINE, 3) == 0, marked = x->type && x->type[i] != NORMAL;
        if (marked || (t->n > 2 && t->p[0] == '[' && t->p[t->n - 1] == ']')) continue;
        int64_t n = begins ? t->n - 3 : t->n + 2;
        char *to = x->spelled + at;
        if (!begins) memcpy(to, "##", 2);
        memcpy(to + (begins ? 0 : 2), t->p + (begins ? 3 : 0), (size_t)(begins ? n : t->n));
        *t = (sc_gguf_text){.p = to, .n = n};
        at += n;
    }
    return SC_OK;
}

/* What bert and t5 say besides. */
static sc_status read_more(source *x)
{
    bool strip = false;
    sc_status s = sc_gguf_bool(x->file, "tokenizer.ggml.remove_extra_whitespaces", &x->squeeze);
    x->lowercase = true;
    x->strip_accents = sc_gguf_key(x->file, "tokenizer.ggml.normalizer.strip_accents") ? 1 : -1;
    if (!s) s = sc_gguf_bool(x->file, "tokenizer.ggml.normalizer.lowercase", &x->lowercase);
    if (!s && x->strip_accents > 0) {
        s = sc_gguf_bool(x->file, "tokenizer.ggml.normalizer.strip_accents", &strip);
        x->strip_accents = strip;
    }
    if (!s) s = sc_gguf_ints(x->file, "tokenizer.ggml.precompiled_charsmap", &x->charsmap, &x->n_charsmap);
    if (!s && x->t5 && !x->score)
        s = sc_fail(SC_EFORMAT, "%s: a tokenizer of the kind t5 without scores", sc_gguf_path(x->file));
    return s || !x->bert ? s : respell(x);
}

/* BERT's ends go by two names. */
static sc_status check_bert(source *x)
{
    if (x->cls >= 0) x->bos = x->cls;
    if (x->sep >= 0) x->eos = x->sep;
    x->add_eos = true;
    for (int64_t i = 0; x->unk < 0 && i < x->n; i++)
        if (x->token[i].n == 5 && memcmp(x->token[i].p, "[UNK]", 5) == 0) x->unk = i;
    return x->unk >= 0 ? SC_OK
                       : sc_fail(SC_EFORMAT, "%s: a tokenizer of the kind bert without an unknown token",
                                 sc_gguf_path(x->file));
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
    x->bert = strcmp(model, "bert") == 0;
    x->t5 = strcmp(model, "t5") == 0;
    bool bytes = strcmp(model, "gpt2") == 0;
    if (!x->llama && !x->bert && !x->t5 && !bytes)
        return sc_fail(SC_EUNSUPPORTED, "%s: tokenizers of the kind %s are not supported", sc_gguf_path(x->file),
                       model);
    if (bytes && (!(x->pre = sc_gguf_pre_find(pre)) || (x->pre->flags & SC_GGUF_PRE_RAW)))
        return sc_fail(SC_EUNSUPPORTED, "%s: the pre-tokenizer %s is not supported", sc_gguf_path(x->file), pre);
    x->add_bos = x->llama || x->bert || (bytes && (x->pre->flags & SC_GGUF_PRE_ADD_BOS));
    x->add_eos = x->t5;
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
    if (!s && (x->bert || x->t5)) s = read_more(x);
    if (!s && x->bert) s = check_bert(x);
    return s ? s : index_tokens(x);
}

static void source_free(source *x)
{
    sc_free(x->token);
    sc_free(x->merge);
    sc_free(x->type);
    sc_free(x->score);
    sc_free(x->charsmap);
    sc_free(x->spelled);
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

static json_t *word_pieces(const source *x)
{
    json_t *o = json_pack("{s:s, s:s, s:i}", "type", "WordPiece", "continuing_subword_prefix", "##",
                          "max_input_chars_per_word", 100);
    if (o && set(o, "unk_token", text_of(&x->token[x->unk])) && set(o, "vocab", vocabulary(x))) return o;
    json_decref(o);
    return NULL;
}

/* A piece that is unused must not be found, so it is the least likely by far. */
static json_t *unigram(const source *x)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    int64_t bytes = 0;
    for (int64_t i = 0; ok && i < x->n; i++) {
        const sc_gguf_text *t = &x->token[i];
        int64_t type = x->type ? x->type[i] : NORMAL;
        bytes += type == BYTE;
        push(list, json_pack("[s%, f]", t->p, (size_t)t->n, type == UNUSED ? -1e9 : (double)x->score[i]), &ok);
    }
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "Unigram", "unk_id",
                     x->unk >= 0 ? json_integer(x->unk) : json_null(), "vocab", unless(ok, list), "byte_fallback",
                     (int)(bytes == 256));
}

static json_t *model(const source *x)
{
    if (x->bert) return word_pieces(x);
    if (x->t5) return unigram(x);
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

static json_t *metaspace(const source *x)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", SC_LOWLINE, "prepend_scheme",
                     x->add_space ? "always" : "never", "split", 1);
}

/* SentencePiece's table of replacements, as base64; NULL without memory. */
static json_t *charsmap(const source *x)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    sc_str text = {0};
    for (int64_t i = 0; i < x->n_charsmap; i += 3) {
        unsigned v = 0;
        for (int64_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < x->n_charsmap ? (unsigned)x->charsmap[i + k] & 255 : 0);
        for (int k = 0; k < 4; k++)
            sc_str_putc(&text, i + k <= x->n_charsmap ? digits[v >> (18 - 6 * k) & 63] : '=');
    }
    json_t *o = text.oom ? NULL : json_pack("{s:s, s:s}", "type", "Precompiled", "precompiled_charsmap", text.p);
    sc_str_free(&text);
    return o;
}

static json_t *unigram_normalizer(const source *x)
{
    json_t *list = json_array();
    bool ok = list != NULL;
    if (x->n_charsmap > 0) push(list, charsmap(x), &ok);
    if (x->squeeze) {
        push(list, json_pack("{s:s, s:b, s:b}", "type", "Strip", "strip_left", 1, "strip_right", 1), &ok);
        push(list, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "Regex", " {2,}", "content", " "),
             &ok);
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", unless(ok, list));
}

static json_t *pre_tokenizer(const source *x)
{
    if (x->llama) return json_null();
    if (x->bert) return json_pack("{s:s}", "type", "BertPreTokenizer");
    if (x->t5) return metaspace(x);
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
    if (x->bert)
        return json_pack("{s:s, s:b, s:b, s:o, s:b}", "type", "BertNormalizer", "clean_text", 1,
                         "handle_chinese_chars", 1, "strip_accents",
                         x->strip_accents < 0 ? json_null() : json_boolean(x->strip_accents), "lowercase",
                         (int)x->lowercase);
    if (x->t5) return unigram_normalizer(x);
    if (!x->llama) return x->pre->flags & SC_GGUF_PRE_NFC ? json_pack("{s:s}", "type", "NFC") : json_null();
    json_t *escape =
        json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", SC_LOWLINE);
    if (!x->add_space) return escape;
    return json_pack("{s:s, s:[{s:s, s:s}, o]}", "type", "Sequence", "normalizers", "type", "Prepend", "prepend",
                     SC_LOWLINE, escape);
}

static json_t *decoder(const source *x)
{
    if (x->bert) return json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", "##", "cleanup", 1);
    if (x->t5) return metaspace(x);
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
    if (!bos && !eos) return x->pre ? byte_level(true) : json_null();
    json_t *single = json_array(), *pair = json_array(), *table = json_object(), *second = json_array();
    bool ok = single && pair && table && second;
    for (int part = 0; part < 2; part++) {
        json_t *to = part ? second : single; /* the pair's second text is in no template of one */
        if (bos && !(x->bert && part)) add_special(x, to, pair, table, x->bos, part, &ok);
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
    } names[] = {{"bos_token", x->bert ? -1 : x->bos},
                 {"eos_token", x->bert ? -1 : x->eos},
                 {"cls_token", x->bert ? x->bos : x->cls},
                 {"sep_token", x->bert ? x->eos : x->sep},
                 {"unk_token", x->unk},
                 {"pad_token", x->pad},
                 {"mask_token", x->mask}};
    sc_gguf_text chat = {0};
    sc_status s = sc_gguf_text_of(x->file, "tokenizer.chat_template", &chat);
    if (s) return s;
    json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class",
                          x->bert ? "BertTokenizerFast" : "PreTrainedTokenizerFast", "clean_up_tokenization_spaces",
                          0, "add_bos_token", (int)x->add_bos, "add_eos_token", (int)x->add_eos);
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

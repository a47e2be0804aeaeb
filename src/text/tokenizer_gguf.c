/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers as GGUF's metadata holds them. The kind "gpt2" has tokens and merges, and names its pre-tokenizer; what
 * the name stands for is in tokenizer_gguf_pre.c. "llama" is SentencePiece's BPE: tokens with scores; "t5" its Unigram; "bert"
 * is WordPiece; "rwkv" takes the longest token first. */
#include "text/text.h"

#include <math.h>

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

/* ---- the vocabulary ---- */

static sc_status read_tokens(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    bool pieces = strcmp(v->model, "llama") == 0 || strcmp(v->model, "t5") == 0;
    if (v->n <= 0 || v->n > SC_TEXT_MAX_IDS)
        return sc_fail(SC_ELIMIT, "%s: tokenizer.ggml.tokens: %lld tokens; from 1 to %d", what, (long long)v->n,
                       SC_TEXT_MAX_IDS);
    for (int64_t i = 0; i < v->n; i++) {
        sc_status s = sc_vocab_set(&t->vocab, i, v->tokens[i].p, v->tokens[i].n, what);
        if (s) return s;
        int32_t type = v->types ? v->types[i] : NORMAL;
        if (!pieces || type == NORMAL || type == USER_DEFINED || type == UNUSED || type < NORMAL || type > BYTE)
            t->vocab.flags[i] |= SC_TOKEN_MODEL;
    }
    return sc_vocab_index(&t->vocab);
}

static sc_status read_added(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    for (int64_t i = 0; i < v->n && v->types; i++) {
        int32_t type = v->types[i];
        if ((type != CONTROL && type != USER_DEFINED && type != UNKNOWN) || v->tokens[i].n > SC_TEXT_MAX_ADDED)
            continue;
        sc_added a = {.id = (int32_t)i,
                      .special = type != USER_DEFINED,
                      .normalized = v->sentencepiece && type == USER_DEFINED};
        sc_status s = sc_added_put(t, a, v->tokens[i].p, v->tokens[i].n, what);
        if (s) return s;
    }
    return sc_added_index(t);
}

/* Merges that name no token are left out: nothing could come of them. Merges mostly stand in the order of the tokens
 * that they make, so that the next one is guessed before it is looked up. */
static sc_status read_merges(const sc_tokenizer *t, const sc_gguf_vocab *v, const char *what, sc_merge **out,
                             int64_t *n)
{
    if (v->n_merges < 0 || v->n_merges > 2 * SC_TEXT_MAX_IDS)
        return sc_fail(SC_ELIMIT, "%s: tokenizer.ggml.merges: %lld merges; at most %d", what,
                       (long long)v->n_merges, 2 * SC_TEXT_MAX_IDS);
    sc_merge *list = sc_malloc((size_t)v->n_merges * sizeof(*list));
    if (!list) return sc_nomem();
    sc_str whole = {0};
    int64_t count = 0;
    int32_t guess = -1;
    for (int64_t i = 0; i < v->n_merges; i++) {
        const char *p = v->merges[i].p;
        int64_t len = v->merges[i].n;
        const char *space = len > 1 ? memchr(p + 1, ' ', (size_t)len - 1) : NULL;
        if (!space) continue;
        int64_t na = space - p, nb = len - na - 1, have;
        sc_merge m = {.a = sc_vocab_find(&t->vocab, p, na), .result = guess};
        m.b = m.a >= 0 ? sc_vocab_find(&t->vocab, space + 1, nb) : -1;
        if (m.b < 0) continue;
        const char *made = sc_vocab_text(&t->vocab, guess, &have);
        if (!made || have != na + nb || memcmp(made, p, (size_t)na) != 0 ||
            memcmp(made + na, space + 1, (size_t)nb) != 0) {
            whole.len = 0;
            sc_str_append(&whole, p, na);
            sc_str_append(&whole, space + 1, nb);
            m.result = whole.oom ? -1 : sc_vocab_find(&t->vocab, whole.p, whole.len);
        }
        if (m.result < 0) continue;
        guess = m.result + 1;
        list[count++] = m;
    }
    bool oom = whole.oom;
    sc_str_free(&whole);
    if (oom) {
        sc_free(list);
        return sc_nomem();
    }
    *out = list;
    *n = count;
    return SC_OK;
}

/* ---- the kinds ---- */

static sc_decode_step strip_one(void)
{
    return (sc_decode_step){.kind = SC_DEC_STRIP, .text = sc_strdup(" "), .len = 1, .start = 1};
}

/* The steps around SentencePiece's model: spaces become U+2581, one more in front. */
static sc_status add_space_steps(sc_tokenizer *t, bool prefix, bool squeeze)
{
    sc_status s = squeeze ? sc_norm_add(t, (sc_norm_step){.kind = SC_NORM_SPACES}) : SC_OK;
    sc_norm_step prepend = {.kind = SC_NORM_PREPEND, .text = sc_strdup(SC_LOWLINE), .len = 3};
    sc_norm_step escape = {.kind = SC_NORM_REPLACE,
                           .pattern = {.text = sc_strdup(" "), .len = 1},
                           .text = sc_strdup(SC_LOWLINE),
                           .len = 3};
    sc_decode_step spaces = {.kind = SC_DEC_REPLACE,
                             .pattern = {.text = sc_strdup(SC_LOWLINE), .len = 3},
                             .text = sc_strdup(" "),
                             .len = 1};
    sc_decode_step first = strip_one();
    bool oom = !prepend.text || !escape.text || !escape.pattern.text || !spaces.text || !spaces.pattern.text ||
               !first.text;
    if (oom || s || !prefix) {
        sc_norm_step_free(&prepend);
        prepend.text = NULL;
    }
    if (oom || s || !(prefix || squeeze)) {
        sc_free(first.text);
        first.text = NULL;
    }
    if (oom || s) {
        sc_norm_step_free(&escape);
        sc_pattern_free(&spaces.pattern);
        sc_free(spaces.text);
        return s ? s : sc_nomem();
    }
    /* a table with room for all of these: hardly anything was added yet, so none of the calls can fail */
    if (prepend.text) sc_norm_add(t, prepend);
    sc_norm_add(t, escape);
    sc_dec_add(t, spaces);
    sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_BYTE_FALLBACK});
    sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_FUSE});
    if (first.text) sc_dec_add(t, first);
    return SC_OK;
}

static sc_status make_gpt2(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    bool gemma = strcmp(v->model, "gemma4") == 0;
    const char *name = gemma ? "gemma4" : v->pre ? v->pre : "default";
    const sc_gguf_pre *pre = sc_gguf_pre_find(name);
    if (!pre)
        return sc_fail(SC_EUNSUPPORTED, "%s: tokenizer.ggml.pre: the pre-tokenizer %s is not supported", what,
                       name);
    sc_merge *merges = NULL;
    int64_t n = 0;
    bool raw = pre->flags & SC_GGUF_PRE_RAW;
    sc_status s = raw ? add_space_steps(t, false, false) : SC_OK;
    if (!s) s = sc_pre_add_steps(t, pre);
    if (!s) s = read_added(t, v, what);
    if (!s) s = read_merges(t, v, what, &merges, &n);
    sc_bpe_options o = {.unk = -1, .ignore_merges = pre->flags & SC_GGUF_PRE_IGNORE_MERGES, .byte_fallback = raw};
    if (!s) s = sc_bpe_new(&t->model, t, merges, n, &o);
    sc_free(merges);
    if (!s && !raw) s = sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_BYTES});
    if (s) return s;
    bool bos = v->add_bos < 0 ? (pre->flags & SC_GGUF_PRE_ADD_BOS) != 0 : v->add_bos;
    return sc_post_wrap(t, bos ? t->bos : -1, v->add_eos > 0 ? t->eos : -1);
}

static sc_status add_charsmap(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    sc_norm_step map = {.kind = SC_NORM_CHARSMAP, .longest = true};
    if (v->charsmap_n <= 0) return SC_OK;
    sc_status s = sc_charsmap_new(&map.charsmap, v->charsmap, v->charsmap_n, what);
    return s ? s : sc_norm_add(t, map);
}

static void find_bytes(const sc_gguf_vocab *v, int32_t bytes[256])
{
    for (int b = 0; b < 256; b++) bytes[b] = -1;
    for (int64_t i = 0; i < v->n; i++) {
        char name[7] = "";
        unsigned b;
        if (v->tokens[i].n != 6 || (v->types && v->types[i] != BYTE)) continue;
        memcpy(name, v->tokens[i].p, 6);
        if (memcmp(name, "<0x", 3) == 0 && name[5] == '>' && sscanf(name + 3, "%2X", &b) == 1)
            bytes[b & 255] = (int32_t)i;
    }
}

static sc_status make_llama(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    int32_t bytes[256];
    if (!v->scores) return sc_fail(SC_EFORMAT, "%s: a tokenizer of the kind %s without scores", what, v->model);
    find_bytes(v, bytes);
    t->prefix_once = t->verbatim = v->sentencepiece;
    sc_status s = add_charsmap(t, v, what);
    if (!s) s = add_space_steps(t, v->add_space_prefix != 0, v->squeeze_spaces);
    if (!s) s = read_added(t, v, what);
    sc_bpe_options o = {.unk = t->unk,
                        .fuse_unk = true,
                        .byte_fallback = !v->no_byte_fallback,
                        .by_score = true,
                        .scores = v->scores,
                        .bytes = bytes};
    if (!s) s = sc_bpe_new(&t->model, t, NULL, 0, &o);
    if (s) return s;
    return sc_post_wrap(t, v->add_bos != 0 ? t->bos : -1, v->add_eos > 0 ? t->eos : -1);
}

/* SentencePiece's Unigram. A user-defined token is found before the model sees the text. */
static sc_status make_t5(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    int32_t bytes[256];
    double least = INFINITY;
    if (!v->scores) return sc_fail(SC_EFORMAT, "%s: a tokenizer of the kind %s without scores", what, v->model);
    find_bytes(v, bytes);
    t->prefix_once = t->verbatim = v->sentencepiece;
    sc_status s = add_charsmap(t, v, what);
    if (!s) s = add_space_steps(t, v->add_space_prefix != 0, v->squeeze_spaces);
    if (!s) s = read_added(t, v, what);
    double *scores = sc_malloc((size_t)v->n * sizeof(*scores));
    if (!s && !scores) s = sc_nomem();
    for (int64_t i = 0; i < v->n && scores; i++) {
        scores[i] = (double)v->scores[i];
        if (!v->types || v->types[i] == NORMAL) least = SC_MIN(least, scores[i]);
        if (v->types && v->types[i] == UNUSED) t->vocab.flags[i] &= (uint8_t)~SC_TOKEN_MODEL;
    }
    sc_unigram_options o = {
        .unk = t->unk, .fuse_unk = true, .byte_fallback = !v->no_byte_fallback, .single = true, .bytes = bytes};
    if (!s) s = sc_vocab_index(&t->vocab);
    if (!s) s = sc_unigram_new(&t->model, t, scores, least, &o);
    sc_free(scores);
    return s ? s : sc_post_wrap(t, v->add_bos > 0 ? t->bos : -1, v->add_eos != 0 ? t->eos : -1);
}

/* BERT's WordPiece, turned round: what begins a word has a U+2581, what continues one is bare. */
static sc_status respell_bert(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    sc_str name = {0};
    sc_status s = SC_OK;
    for (int64_t i = 0; i < v->n && !s; i++) {
        if (v->types && v->types[i] != NORMAL) continue;
        const char *p = v->tokens[i].p;
        int64_t n = v->tokens[i].n;
        bool begins = n >= 3 && memcmp(p, SC_LOWLINE, 3) == 0;
        if (n > 2 && p[0] == '[' && p[n - 1] == ']') continue; /* [unused7] */
        name.len = 0;
        sc_str_puts(&name, begins ? "" : "##");
        sc_str_append(&name, begins ? p + 3 : p, begins ? n - 3 : n);
        s = name.oom ? sc_nomem() : sc_vocab_set(&t->vocab, i, name.p, name.len, what);
    }
    sc_str_free(&name);
    return s ? s : sc_vocab_index(&t->vocab);
}

static sc_status make_bert(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    bool lower = v->lowercase != 0;
    sc_norm_step norm = {.kind = SC_NORM_BERT,
                         .clean = true,
                         .separate = true,
                         .lower = lower,
                         .accents = v->strip_accents < 0 ? lower : v->strip_accents != 0};
    if (t->unk < 0) t->unk = sc_vocab_find(&t->vocab, "[UNK]", 5);
    if (t->unk < 0)
        return sc_fail(SC_EFORMAT, "%s: a tokenizer of the kind %s without an unknown token", what, v->model);
    sc_status s = respell_bert(t, v, what);
    if (!s) s = sc_norm_add(t, norm);
    if (!s) s = read_added(t, v, what);
    if (!s) s = sc_pre_add_class(t, sc_uni_white, SC_REMOVED);
    if (!s) s = sc_pre_add_class(t, sc_uni_old_punct, SC_ISOLATED);
    if (!s) s = sc_wordpiece_new(&t->model, t, "##", 100, t->unk);
    sc_decode_step words = {.kind = SC_DEC_WORDPIECE, .text = sc_strdup("##"), .len = 2, .cleanup = true};
    if (!s && !words.text) s = sc_nomem();
    if (s)
        sc_free(words.text);
    else
        s = sc_dec_add(t, words);
    if (s) return s;
    int32_t cls = v->cls >= 0 ? v->cls : t->bos, sep = v->sep >= 0 ? v->sep : t->eos;
    return sc_post_wrap(t, v->add_bos != 0 ? cls : -1, sep);
}

/* RWKV spells its tokens as Python does: \n, \\, \x00. */
static int64_t unescape(const char *p, int64_t n, char *out)
{
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++) {
        unsigned b;
        if (p[i] != '\\' || i + 1 == n) {
            out[k++] = p[i];
            continue;
        }
        char c = p[++i];
        char hex[3] = {i + 2 < n ? p[i + 1] : 0, i + 2 < n ? p[i + 2] : 0, 0};
        if (c == 'x' && sscanf(hex, "%2x", &b) == 1) {
            out[k++] = (char)b;
            i += 2;
        } else {
            out[k++] = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
        }
    }
    return k;
}

static sc_status make_rwkv(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    sc_status s = read_added(t, v, what);
    for (int64_t i = 0; i < v->n && !s; i++) {
        if (v->types && v->types[i] != NORMAL) {
            t->vocab.flags[i] &= (uint8_t)~SC_TOKEN_MODEL;
            continue;
        }
        char *text = sc_malloc((size_t)v->tokens[i].n + 1);
        s = text ? sc_vocab_set(&t->vocab, i, text, unescape(v->tokens[i].p, v->tokens[i].n, text), what)
                 : sc_nomem();
        sc_free(text);
    }
    if (!s) s = sc_vocab_index(&t->vocab);
    if (!s) s = sc_greedy_new(&t->model, t, t->unk);
    if (!s) s = sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_FUSE});
    return s ? s : sc_post_wrap(t, v->add_bos > 0 ? t->bos : -1, v->add_eos > 0 ? t->eos : -1);
}

sc_status sc_tokenizer_from_gguf_vocab(sc_tokenizer **out, const sc_gguf_vocab *v, const char *what)
{
    const struct {
        const char *name;
        int32_t id;
    } named[] = {{"bos_token", v->bos}, {"eos_token", v->eos}, {"pad_token", v->pad}, {"unk_token", v->unk}};
    static const struct {
        const char *model;
        sc_status (*make)(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what);
    } kinds[] = {{"gpt2", make_gpt2}, {"gemma4", make_gpt2}, {"llama", make_llama},
                 {"t5", make_t5},     {"bert", make_bert},   {"rwkv", make_rwkv}};
    int kind = 0;
    while (kind < SC_COUNT(kinds) && strcmp(v->model, kinds[kind].model) != 0) kind++;
    if (kind == SC_COUNT(kinds))
        return sc_fail(SC_EUNSUPPORTED, "%s: tokenizer.ggml.model: tokenizers of the kind %s are not supported",
                       what, v->model);
    sc_tokenizer *t;
    sc_status s = sc_tokenizer_begin(&t);
    if (s) return s;
    for (int i = 0; i < SC_COUNT(named) && !s; i++) {
        if (named[i].id >= v->n)
            s = sc_fail(SC_EFORMAT, "%s: %s: id %d; there are %lld tokens", what, named[i].name, named[i].id,
                        (long long)v->n);
        else
            sc_tokenizer_set(t, named[i].name, named[i].id < 0 ? -1 : named[i].id);
    }
    if (!s) s = read_tokens(t, v, what);
    if (!s) s = kinds[kind].make(t, v, what);
    if (s) {
        sc_tokenizer_free(t);
        return s;
    }
    *out = t;
    return SC_OK;
}

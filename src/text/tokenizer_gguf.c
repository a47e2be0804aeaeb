/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers as GGUF's metadata holds them. The kind "gpt2" has tokens and merges, and names its pre-tokenizer; what
 * the name stands for is below, as the models' own tokenizer.json files say it. The kind "llama" is SentencePiece's
 * BPE: tokens with scores. */
#include "text/text.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define PUNCT_SPACE  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORDS        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define PUNCT_SLASH  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK3                                                                                                  \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"            \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED                                                                                                                                                                                    \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-"                                  \
    "ἕἘ-"                                                                                                                                                                                    \
    "Ἕἠ-"                                                                                                                                                                                    \
    "ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\x{1f7d}ᾀ-ᾴᾶ-ᾼ\\x{1fbe}ῂ-ῄῆ-"                                                                                                                  \
    "ῌῐ-\\x{1fd3}ῖ-\\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\x{2126}ℨ\\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-" \
    "ꞇꞋ-"                                                                                                                                                                                    \
    "ꞎꭰ-"                                                                                                                                                                                    \
    "ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
#define CJK   "[一-龥ࠀ-一가-퟿]+"
#define BLOOM " ?[^(\\s|.,!?…。，、।۔،)]+"

/* Steps that are no regular expression */
#define GPT2   SC_GGUF_PRE_GPT2
#define DIGIT  SC_GGUF_PRE_DIGIT
#define DIGITS SC_GGUF_PRE_DIGITS
#define PUNCT  SC_GGUF_PRE_PUNCT

enum { NFC = SC_GGUF_PRE_NFC, IGNORE_MERGES = SC_GGUF_PRE_IGNORE_MERGES, ADD_BOS = SC_GGUF_PRE_ADD_BOS };

static const sc_gguf_pre pres[] = {
    {"gpt-2 gpt2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de gigachat a.x-4.0 mellum mpt olmo jais "
     "trillion granite-docling exaone4 roberta-bpe modern-bert",
     0,
     {GPT2}},
    {"smollm starcoder refact codeshell exaone minerva-7b", 0, {DIGIT, GPT2}},
    {"command-r", NFC, {DIGIT, GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     IGNORE_MERGES | ADD_BOS,
     {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE}},
    {"dbrx smaug-bpe", 0, {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE}},
    {"chatglm-bpe glm4", IGNORE_MERGES, {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE}},
    {"qwen2 megrez", NFC, {CONTRACTIONS "|" WORDS "|\\p{N}" PUNCT_SPACE}},
    {"deepseek-r1-qwen stablelm2 hunyuan grok-2 kormo", 0, {CONTRACTIONS "|" WORDS "|\\p{N}" PUNCT_SPACE}},
    {"deepseek-llm", 0, {"[\\r\\n]", CASED, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", CJK "|\\p{N}"}},
    {"deepseek-coder", 0, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"}},
    {"deepseek-v3 deepseek-r1 deepseek-v2 hunyuan-dense",
     0,
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3}},
    {"falcon", 0, {PUNCT, GPT2, DIGITS, "[0-9][0-9][0-9]"}},
    {"tekken",
     IGNORE_MERGES | ADD_BOS,
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}" PUNCT_SLASH}},
    {"gpt-4o llama4 kanana2 minimax-m2",
     0,
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER
      "*" CONTRACTIONS "?|\\p{N}{1,3}" PUNCT_SLASH}},
    {"bailingmoe bailingmoe2 llada-moe",
     0,
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]"
      "|\\s+(?!\\S)|\\s+"}},
    {"seed-coder",
     0,
     {CONTRACTIONS "|" WORDS "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    {"bloom poro-chat gpt3-finnish", 0, {BLOOM}},
    {"viking", 0, {BLOOM, "\\p{N}"}},
    {"superbpe", 0, {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}},
    {"default",
     0,
     {"[\\p{P}\\$\\+<=>\\^~\\|]+", "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)",
      "\\p{N}+", "[0-9][0-9][0-9]"}},
};

const sc_gguf_pre *sc_gguf_pre_find(const char *name)
{
    size_t len = strlen(name);
    for (int i = 0; i < SC_COUNT(pres) && len > 0; i++) {
        for (const char *p = pres[i].names; (p = strstr(p, name)) != NULL; p++) {
            if ((p == pres[i].names || p[-1] == ' ') && (p[len] == 0 || p[len] == ' ')) return &pres[i];
        }
    }
    return NULL;
}

const sc_gguf_pre *sc_gguf_pre_like(const char *const *steps, int n, unsigned flags)
{
    for (int i = 0; i < SC_COUNT(pres); i++) {
        int same = 0;
        while (same < n && same < SC_COUNT(pres->steps) && pres[i].steps[same] &&
               strcmp(pres[i].steps[same], steps[same]) == 0)
            same++;
        bool all = same == n && (same == SC_COUNT(pres->steps) || !pres[i].steps[same]);
        if (all && (pres[i].flags & (NFC | IGNORE_MERGES)) == (flags & (NFC | IGNORE_MERGES))) return &pres[i];
    }
    return NULL;
}

static sc_status add_class(sc_tokenizer *t, bool (*is)(uint32_t), sc_behavior behavior)
{
    return sc_pre_add(t, (sc_pre_step){.kind = SC_PRE_SPLIT, .pattern.is = is, .behavior = behavior});
}

static sc_status add_steps(sc_tokenizer *t, const sc_gguf_pre *pre)
{
    bool mapped = false;
    sc_status s = pre->flags & NFC ? sc_norm_add(t, (sc_norm_step){.kind = SC_NORM_FORM, .form = SC_NFC}) : SC_OK;
    for (int i = 0; i < SC_COUNT(pre->steps) && pre->steps[i] && !s; i++) {
        const char *step = pre->steps[i];
        if (strcmp(step, GPT2) == 0) {
            s = sc_pre_add_bytes(t, false, true);
            mapped = true;
        } else if (strcmp(step, DIGIT) == 0) {
            s = add_class(t, sc_uni_number, SC_ISOLATED);
        } else if (strcmp(step, DIGITS) == 0) {
            s = add_class(t, sc_uni_number, SC_CONTIGUOUS);
        } else if (strcmp(step, PUNCT) == 0) {
            s = add_class(t, sc_uni_old_punct, SC_CONTIGUOUS);
        } else {
            s = sc_pre_add_regex(t, step);
        }
    }
    return s || mapped ? s : sc_pre_add_bytes(t, false, false);
}

/* ---- the vocabulary ---- */

static sc_status read_tokens(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    bool llama = strcmp(v->model, "llama") == 0;
    if (v->n <= 0 || v->n > SC_TEXT_MAX_IDS)
        return sc_fail(SC_ELIMIT, "%s: tokenizer.ggml.tokens: %lld tokens; from 1 to %d", what, (long long)v->n,
                       SC_TEXT_MAX_IDS);
    for (int64_t i = 0; i < v->n; i++) {
        sc_status s = sc_vocab_set(&t->vocab, i, v->tokens[i].p, v->tokens[i].n, what);
        if (s) return s;
        int32_t type = v->types ? v->types[i] : NORMAL;
        if (!llama || type == NORMAL || type == USER_DEFINED || type == UNUSED || type < NORMAL || type > BYTE)
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

/* ---- the two kinds ---- */

static sc_status make_gpt2(sc_tokenizer *t, const sc_gguf_vocab *v, const char *what)
{
    const char *name = v->pre ? v->pre : "default";
    const sc_gguf_pre *pre = sc_gguf_pre_find(name);
    if (!pre)
        return sc_fail(SC_EUNSUPPORTED, "%s: tokenizer.ggml.pre: the pre-tokenizer %s is not supported", what,
                       name);
    sc_merge *merges = NULL;
    int64_t n = 0;
    sc_status s = add_steps(t, pre);
    if (!s) s = read_added(t, v, what);
    if (!s) s = read_merges(t, v, what, &merges, &n);
    sc_bpe_options o = {.unk = -1, .ignore_merges = pre->flags & IGNORE_MERGES};
    if (!s) s = sc_bpe_new(&t->model, t, merges, n, &o);
    sc_free(merges);
    if (!s) s = sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_BYTES});
    if (s) return s;
    bool bos = v->add_bos < 0 ? (pre->flags & ADD_BOS) != 0 : v->add_bos;
    return sc_post_wrap(t, bos ? t->bos : -1, v->add_eos > 0 ? t->eos : -1);
}

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
    /* a table with room for all of these: nothing else was added yet, so none of the calls can fail */
    if (prepend.text) sc_norm_add(t, prepend);
    sc_norm_add(t, escape);
    sc_dec_add(t, spaces);
    sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_BYTE_FALLBACK});
    sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_FUSE});
    if (first.text) sc_dec_add(t, first);
    return SC_OK;
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
    sc_status s = add_space_steps(t, v->add_space_prefix != 0, v->squeeze_spaces);
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

sc_status sc_tokenizer_from_gguf_vocab(sc_tokenizer **out, const sc_gguf_vocab *v, const char *what)
{
    const struct {
        const char *name;
        int32_t id;
    } named[] = {{"bos_token", v->bos}, {"eos_token", v->eos}, {"pad_token", v->pad}, {"unk_token", v->unk}};
    bool gpt2 = strcmp(v->model, "gpt2") == 0;
    if (!gpt2 && strcmp(v->model, "llama") != 0)
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
    if (!s) s = gpt2 ? make_gpt2(t, v, what) : make_llama(t, v, what);
    if (s) {
        sc_tokenizer_free(t);
        return s;
    }
    *out = t;
    return SC_OK;
}

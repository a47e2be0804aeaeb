/* SPDX-License-Identifier: Apache-2.0 */
/* What the names of tokenizer.ggml.pre stand for, as the models' own tokenizer.json files say it. */
#include "text/patterns.h"
#include "text/text.h"

#define DEEPSEEK3                                                                                                  \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"            \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CASED                                                                                                                                                                      \
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-"                                                              \
    "ᏽᲐ-"                                                                                                                                                                      \
    "ᲺᲽ-"                                                                                                                                                                      \
    "Ჿᴀ-"                                                                                                                                                                      \
    "ᴫᵫ-"                                                                                                                                                                      \
    "ᵷᵹ-"                                                                                                                                                                      \
    "ᶚḀ-"                                                                                                                                                                      \
    "ἕἘ-"                                                                                                                                                                      \
    "Ἕἠ-"                                                                                                                                                                      \
    "ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\x{1f7d}ᾀ-ᾴᾶ-ᾼ\\x{1fbe}ῂ-ῄῆ-"                                                                                                    \
    "ῌῐ-\\x{1fd3}ῖ-\\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\\x{2126}ℨ\\x{212a}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-" \
    "ꚛꜢ-"                                                                                                                                                                      \
    "ꝯꝱ-"                                                                                                                                                                      \
    "ꞇꞋ-"                                                                                                                                                                      \
    "ꞎꭰ-"                                                                                                                                                                      \
    "ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
#define CASED_WORDS                                                                                                \
    BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER "*" CONTRACTIONS "?|\\p{N}{1,"             \
                 "3}" PUNCT_SLASH
#define LINES "[^\\n]+|[\\n]+"
#define CJK   "[一-龥ࠀ-一가-퟿]+"
#define BLOOM " ?[^(\\s|.,!?…。，、।۔،)]+"

/* Steps that are no regular expression */
#define GPT2   SC_GGUF_PRE_GPT2
#define DIGIT  SC_GGUF_PRE_DIGIT
#define DIGITS SC_GGUF_PRE_DIGITS
#define PUNCT  SC_GGUF_PRE_PUNCT

enum {
    NFC = SC_GGUF_PRE_NFC,
    IGNORE_MERGES = SC_GGUF_PRE_IGNORE_MERGES,
    ADD_BOS = SC_GGUF_PRE_ADD_BOS,
    RAW = SC_GGUF_PRE_RAW
};

static const sc_gguf_pre pres[] = {
    {"gpt-2 gpt2 phi-2 jina-es jina-de jina-v1-en jina-v2-es jina-v2-de gigachat a.x-4.0 mellum mpt olmo jais "
     "trillion granite-docling exaone4 roberta-bpe modern-bert jina-v2-code",
     0,
     {GPT2}},
    {"smollm starcoder refact codeshell exaone minerva-7b mellum2", 0, {DIGIT, GPT2}},
    {"command-r", NFC, {DIGIT, GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     IGNORE_MERGES | ADD_BOS,
     {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE}},
    {"dbrx smaug-bpe", 0, {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE}},
    {"chatglm-bpe glm4 glm5", IGNORE_MERGES, {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}" PUNCT_SPACE}},
    {"qwen2 megrez f2llmv2", NFC, {CONTRACTIONS "|" WORDS "|\\p{N}" PUNCT_SPACE}},
    {"deepseek-r1-qwen stablelm2 hunyuan grok-2 kormo solar-open",
     0,
     {CONTRACTIONS "|" WORDS "|\\p{N}" PUNCT_SPACE}},
    {"deepseek-llm", 0, {"[\\r\\n]", CASED, "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$", CJK "|\\p{N}"}},
    {"deepseek-coder", 0, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK, "\\p{N}"}},
    {"deepseek-v3 deepseek-r1 deepseek-v2 hunyuan-dense joyai-llm hy_v4",
     0,
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3}},
    {"falcon", 0, {PUNCT, GPT2, DIGITS, "[0-9][0-9][0-9]"}},
    {"tekken",
     IGNORE_MERGES | ADD_BOS,
     {"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*|\\p{N}" PUNCT_SLASH}},
    {"gpt-4o llama4 kanana2 minimax-m2 talkie", 0, {CASED_WORDS}},
    {"granite-embed-multi-97m", IGNORE_MERGES, {CASED_WORDS}},
    {"tiny_aya cohere2moe", 0, {"\\d{1,3}(?=(?:\\d{3})*\\b)", CASED_WORDS}},
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
    {"qwen35",
     NFC,
     {CONTRACTIONS
      "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"
      "|\\s+(?!\\S)|\\s+"}},
    {"ufakzeka", 0, {WORDS "|\\p{N}" PUNCT_SPACE}},
    {"laguna", 0, {LINES, CONTRACTIONS "|" WORDS "|\\p{N}" PUNCT_SPACE}},
    {"exaone-moe",
     0,
     {CONTRACTIONS
      "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?"
      "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"jais-2",
     0,
     {CONTRACTIONS "|" WORDS
                   "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)"
                   "|\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)"
                   "|\\s{1,2}(?!\\S)|\\s{1}"}},
    {"kimi-k2",
     0,
     {"\\p{Han}+|" BEFORE "(?:(?!\\p{Han})" UPPER ")*(?:(?!\\p{Han})" LOWER ")+" CONTRACTIONS "?|" BEFORE
      "(?:(?!\\p{Han})" UPPER ")+(?:(?!\\p{Han})" LOWER ")*" CONTRACTIONS "?|\\p{N}{1,3}" PUNCT_SPACE}},
    {"youtu",
     IGNORE_MERGES,
     {"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
      BEFORE UPPER "*" LOWER "+" CONTRACTIONS "?|" BEFORE UPPER "+" LOWER "*" CONTRACTIONS "?|\\p{N}" PUNCT_SLASH}},
    {"spark2_5",
     0,
     {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
      "| ?[\\p{P}\\p{S}]+|[\\r\\n]|\\s+(?!\\S)|\\s+",
      "\\p{N}"}},
    {"afmoe",
     0,
     {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?!\\p{N}))",
      "[一-鿿㐀-䶿\\x{f900}-\\x{faff}぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-"
      "힯ᄀ-"
      "ᇿ]"
      "+",
      DEEPSEEK3}},
    {"chameleon",
     ADD_BOS,
     {"<sentinel:[0-9]+>", "(?:IMGIMG)(?:A|B|C|D|E|F|G|H|I){1,4}Z", "[\\t\\n]|    |  ", DIGIT,
      "[\\p{P}!-/:-@\\[-`{-~]", GPT2}},
    {"gemma4 sarvam-moe granite-embed-multi-311m", RAW, {LINES}},
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
        if (all && (pres[i].flags & (NFC | IGNORE_MERGES | RAW)) == (flags & (NFC | IGNORE_MERGES | RAW)))
            return &pres[i];
    }
    return NULL;
}

sc_status sc_pre_add_steps(sc_tokenizer *t, const sc_gguf_pre *pre)
{
    bool mapped = false;
    sc_status s = pre->flags & NFC ? sc_norm_add(t, (sc_norm_step){.kind = SC_NORM_FORM, .form = SC_NFC}) : SC_OK;
    for (int i = 0; i < SC_COUNT(pre->steps) && pre->steps[i] && !s; i++) {
        const char *step = pre->steps[i];
        if (strcmp(step, GPT2) == 0) {
            s = sc_pre_add_bytes(t, false, true);
            mapped = true;
        } else if (strcmp(step, DIGIT) == 0) {
            s = sc_pre_add_class(t, sc_uni_number, SC_ISOLATED);
        } else if (strcmp(step, DIGITS) == 0) {
            s = sc_pre_add_class(t, sc_uni_number, SC_CONTIGUOUS);
        } else if (strcmp(step, PUNCT) == 0) {
            s = sc_pre_add_class(t, sc_uni_old_punct, SC_CONTIGUOUS);
        } else {
            s = sc_pre_add_regex(t, step);
        }
    }
    return s || mapped || (pre->flags & RAW) ? s : sc_pre_add_bytes(t, false, false);
}

sc_status sc_pre_add_named(sc_tokenizer *t, const char *name)
{
    const sc_gguf_pre *pre = sc_gguf_pre_find(name);
    return pre ? sc_pre_add_steps(t, pre) : sc_fail(SC_EINVAL, "tokenizer: no pre-tokenizer %s", name);
}

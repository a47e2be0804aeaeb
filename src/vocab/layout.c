/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of the tokenizer.json around its model: what is done to a text before it is cut, how it is cut, and how ids become
 * text again. */
#include "vocab/vocab.h"

static json_t *typed(const char *type) { return json_pack("{s:s}", "type", type); }

/* One of the names of sc_tokenizer_recipe.normalizer; NULL: there is none of the name. */
static json_t *normalizer_named(const char *p, size_t n)
{
    static const char *const names[][2] = {{"nfc", "NFC"},
                                           {"nfd", "NFD"},
                                           {"nfkc", "NFKC"},
                                           {"nfkd", "NFKD"},
                                           {"lowercase", "Lowercase"},
                                           {"strip-accents", "StripAccents"}};
    for (int i = 0; i < SC_COUNT(names); i++)
        if (strlen(names[i][0]) == n && memcmp(names[i][0], p, n) == 0) return typed(names[i][1]);
    if (n == 4 && memcmp(p, "bert", 4) == 0)
        return json_pack("{s:s, s:b, s:b, s:n, s:b}", "type", "BertNormalizer", "clean_text", 1,
                         "handle_chinese_chars", 1, "strip_accents", "lowercase", 1);
    return NULL;
}

static sc_status make_normalizer(json_t **out, const char *names)
{
    if (*names == '{') return sc_json_parse(out, names, (int64_t)strlen(names), "normalizer");
    json_t *list = json_array();
    if (!list) return sc_nomem();
    for (const char *p = names; *p;) {
        size_t n = strcspn(p, ",");
        json_t *step = normalizer_named(p, n);
        if (!step) {
            json_decref(list);
            return sc_fail(SC_EINVAL,
                           "no normalizer is called %.*s: nfc, nfd, nfkc, nfkd, lowercase, strip-accents or bert",
                           (int)SC_MIN(n, 100), p);
        }
        if (json_array_append_new(list, step)) {
            json_decref(list);
            return sc_nomem();
        }
        p += n + (p[n] == ',');
    }
    size_t steps = json_array_size(list);
    *out = steps == 0   ? json_null()
           : steps == 1 ? json_incref(json_array_get(list, 0))
                        : json_pack("{s:s, s:O}", "type", "Sequence", "normalizers", list);
    json_decref(list);
    return *out ? SC_OK : sc_nomem();
}

static json_t *byte_level(bool prefix, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "trim_offsets", 1,
                     "use_regex", regex);
}

static json_t *metaspace(const sc_recipe *r)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", SC_LOWLINE, "prepend_scheme",
                     r->in.no_prefix_space ? "never" : "always", "split", 1);
}

/* The steps that cut a text, in order. */
static bool cut_steps(const sc_recipe *r, json_t *list)
{
    const char *pattern = r->in.pattern, *known = pattern ? sc_pattern_named(pattern) : NULL;
    int bad = 0;
    if (r->kind == SC_KIND_WORDPIECE) bad |= json_array_append_new(list, typed("BertPreTokenizer"));
    if (r->kind == SC_KIND_BPE || r->kind == SC_KIND_UNIGRAM) bad |= json_array_append_new(list, metaspace(r));
    if (r->in.split_digits)
        bad |= json_array_append_new(list, json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1));
    if (r->in.split_punctuation && r->kind != SC_KIND_BYTES)
        bad |= json_array_append_new(list, json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", "Isolated"));
    if (r->kind != SC_KIND_BYTES) return !bad;
    if (strcmp(pattern, "gpt2") == 0)
        return !bad && !json_array_append_new(list, byte_level(r->in.prefix_space, true));
    if (strcmp(pattern, "none") != 0)
        bad |=
            json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                                  known ? known : pattern, "behavior", "Isolated", "invert", 0));
    return !bad && !json_array_append_new(list, byte_level(r->in.prefix_space, false));
}

static json_t *make_pre_tokenizer(const sc_recipe *r)
{
    json_t *list = json_array(), *out = NULL;
    if (list && cut_steps(r, list))
        out = json_array_size(list) == 1 ? json_incref(json_array_get(list, 0))
                                         : json_pack("{s:s, s:O}", "type", "Sequence", "pretokenizers", list);
    json_decref(list);
    return out;
}

static json_t *make_decoder(const sc_recipe *r)
{
    if (r->kind == SC_KIND_BYTES) return byte_level(true, true);
    if (r->kind == SC_KIND_WORDPIECE)
        return json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", r->prefix, "cleanup", 1);
    json_t *list = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                             SC_LOWLINE, "content", " ", "type", "ByteFallback", "type", "Fuse");
    int bad = 0;
    if (list && !r->in.no_prefix_space)
        bad = json_array_append_new(
            list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    if (!bad) return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", list);
    json_decref(list);
    return NULL;
}

sc_status sc_layout_make(json_t **out, const sc_recipe *r)
{
    json_t *normalizer = NULL;
    sc_status s = make_normalizer(&normalizer, r->in.normalizer);
    if (s) return s;
    *out = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding", "normalizer",
                     normalizer, "pre_tokenizer", make_pre_tokenizer(r), "decoder", make_decoder(r));
    return *out ? SC_OK : sc_nomem();
}

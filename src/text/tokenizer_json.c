/* SPDX-License-Identifier: Apache-2.0 */
/* Reading tokenizer.json. */
#include "text/text.h"

#include <math.h>

#define MAX_MERGES (1 << 23)

static sc_status read_vocab(sc_tokenizer *t, const json_t *vocab, const char *what)
{
    if (!json_is_object(vocab)) return sc_fail(SC_EFORMAT, "%s: model: vocab: expected an object", what);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
    {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        sc_status s = sc_vocab_set(&t->vocab, id, key, (int64_t)strlen(key), what);
        if (s) return s;
        t->vocab.flags[id] |= SC_TOKEN_MODEL;
    }
    return sc_vocab_index(&t->vocab);
}

/* "a b" or ["a", "b"]. */
static bool merge_parts(const json_t *j, const char **a, int64_t *na, const char **b, int64_t *nb)
{
    if (json_is_string(j)) {
        *a = json_string_value(j);
        const char *space = strchr(*a, ' ');
        if (!space || strchr(space + 1, ' ')) return false;
        *na = space - *a;
        *b = space + 1;
        *nb = (int64_t)strlen(*b);
        return true;
    }
    const json_t *x = json_array_get(j, 0), *y = json_array_get(j, 1);
    if (json_array_size(j) != 2 || !json_is_string(x) || !json_is_string(y)) return false;
    *a = json_string_value(x);
    *na = (int64_t)json_string_length(x);
    *b = json_string_value(y);
    *nb = (int64_t)json_string_length(y);
    return true;
}

static sc_status read_merges(const sc_tokenizer *t, const json_t *list, const char *prefix, const char *what,
                             sc_merge **out, int64_t *n)
{
    int64_t count = (int64_t)json_array_size(list), skip = prefix ? (int64_t)strlen(prefix) : 0;
    if (!json_is_array(list) || count > MAX_MERGES)
        return sc_fail(SC_EFORMAT, "%s: model: merges: expected a list of at most %d", what, MAX_MERGES);
    sc_merge *merges = sc_malloc((size_t)count * sizeof(*merges));
    sc_str whole = {0};
    sc_status s = merges ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < count && !s; i++) {
        const char *a, *b;
        int64_t na, nb;
        if (!merge_parts(json_array_get(list, (size_t)i), &a, &na, &b, &nb) || nb < skip) {
            s = sc_fail(SC_EFORMAT, "%s: model: merges: item %lld is no pair of tokens", what, (long long)i);
            break;
        }
        whole.len = 0;
        sc_str_append(&whole, a, na);
        sc_str_append(&whole, b + skip, nb - skip);
        if (whole.oom) {
            s = sc_nomem();
            break;
        }
        sc_merge *m = &merges[i];
        m->a = sc_vocab_find(&t->vocab, a, na);
        m->b = sc_vocab_find(&t->vocab, b, nb);
        m->result = sc_vocab_find(&t->vocab, whole.p, whole.len);
        if (m->a < 0 || m->b < 0 || m->result < 0)
            s = sc_fail(SC_EFORMAT, "%s: model: merges: item %lld: a token that is not in the vocabulary", what,
                        (long long)i);
    }
    sc_str_free(&whole);
    if (s) {
        sc_free(merges);
        return s;
    }
    *out = merges;
    *n = count;
    return SC_OK;
}

static sc_status read_bpe(sc_tokenizer *t, const json_t *model, const char *what)
{
    sc_bpe_options o = {.unk = -1};
    const char *unk = NULL;
    sc_status s = sc_json_str(model, what, "unk_token", &unk);
    if (!s) s = sc_json_str(model, what, "continuing_subword_prefix", &o.prefix);
    if (!s) s = sc_json_str(model, what, "end_of_word_suffix", &o.suffix);
    if (!s) s = sc_json_bool(model, what, "fuse_unk", &o.fuse_unk);
    if (!s) s = sc_json_bool(model, what, "byte_fallback", &o.byte_fallback);
    if (!s) s = sc_json_bool(model, what, "ignore_merges", &o.ignore_merges);
    if (!s) s = read_vocab(t, json_object_get(model, "vocab"), what);
    sc_merge *merges = NULL;
    int64_t n = 0;
    if (!s) s = read_merges(t, json_object_get(model, "merges"), o.prefix, what, &merges, &n);
    if (s) return s;
    if (unk) t->unk = o.unk = sc_vocab_find(&t->vocab, unk, (int64_t)strlen(unk));
    s = sc_bpe_new(&t->model, t, merges, n, &o);
    sc_free(merges);
    return s;
}

/* The id of the token for unknown words; -1 where the vocabulary has none of that name. */
static sc_status read_unk(sc_tokenizer *t, const json_t *model, const char *otherwise, const char *what)
{
    const char *unk = otherwise;
    sc_status s = sc_json_str(model, what, "unk_token", &unk);
    if (!s) t->unk = sc_vocab_find(&t->vocab, unk, (int64_t)strlen(unk));
    return s;
}

static sc_status read_wordpiece(sc_tokenizer *t, const json_t *model, const char *what)
{
    const char *prefix = "##";
    int64_t most = 100;
    sc_status s = sc_json_str(model, what, "continuing_subword_prefix", &prefix);
    if (!s) s = sc_json_int(model, what, "max_input_chars_per_word", 0, INT32_MAX, &most);
    if (!s) s = read_vocab(t, json_object_get(model, "vocab"), what);
    if (!s) s = read_unk(t, model, "[UNK]", what);
    if (!s && t->unk < 0)
        s = sc_fail(SC_EFORMAT, "%s: model: unk_token: a token that is not in the vocabulary", what);
    return s ? s : sc_wordpiece_new(&t->model, t, prefix, most, t->unk);
}

static sc_status read_wordlevel(sc_tokenizer *t, const json_t *model, const char *what)
{
    sc_status s = read_vocab(t, json_object_get(model, "vocab"), what);
    if (!s) s = read_unk(t, model, "<unk>", what);
    return s ? s : sc_wordlevel_new(&t->model, t, t->unk);
}

static sc_status read_unigram(sc_tokenizer *t, const json_t *model, const char *what)
{
    const json_t *list = json_object_get(model, "vocab");
    int64_t n = (int64_t)json_array_size(list), unk = -1;
    sc_unigram_options o = {.fuse_unk = true};
    sc_status s = sc_json_int(model, what, "unk_id", 0, SC_TEXT_MAX_IDS - 1, &unk);
    if (!s) s = sc_json_bool(model, what, "byte_fallback", &o.byte_fallback);
    if (!s && (n == 0 || n > SC_TEXT_MAX_IDS))
        s = sc_fail(SC_EFORMAT, "%s: model: vocab: expected a list of 1 to %d tokens", what, SC_TEXT_MAX_IDS);
    if (!s && unk >= n)
        s = sc_fail(SC_EFORMAT, "%s: model: unk_id: %lld; there are %lld tokens", what, (long long)unk,
                    (long long)n);
    if (s) return s;
    double *score = sc_malloc((size_t)n * sizeof(*score)), least = INFINITY;
    if (!score) return sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        const json_t *item = json_array_get(list, (size_t)i), *text = json_array_get(item, 0);
        const json_t *number = json_array_get(item, 1);
        if (!json_is_string(text) || !json_is_number(number)) {
            s = sc_fail(SC_EFORMAT, "%s: model: vocab: item %lld is no token with a score", what, (long long)i);
            break;
        }
        score[i] = json_number_value(number);
        least = SC_MIN(least, score[i]);
        s = sc_vocab_set(&t->vocab, i, json_string_value(text), (int64_t)json_string_length(text), what);
        if (!s) t->vocab.flags[i] |= SC_TOKEN_MODEL;
    }
    if (!s) s = sc_vocab_index(&t->vocab);
    t->unk = o.unk = (int32_t)unk;
    if (!s) s = sc_unigram_new(&t->model, t, score, least, &o);
    sc_free(score);
    return s;
}

/* A file that names no kind is of the first whose fields it has. */
static const char *guess_kind(const json_t *model)
{
    if (json_object_get(model, "merges")) return "BPE";
    if (json_is_array(json_object_get(model, "vocab"))) return "Unigram";
    return json_object_get(model, "continuing_subword_prefix") ? "WordPiece" : "WordLevel";
}

static sc_status read_model(sc_tokenizer *t, const json_t *model, const char *what)
{
    static const struct {
        const char *type;
        sc_status (*read)(sc_tokenizer *t, const json_t *model, const char *what);
    } kinds[] = {
        {"BPE", read_bpe}, {"WordPiece", read_wordpiece}, {"Unigram", read_unigram}, {"WordLevel", read_wordlevel}};
    const char *type = NULL;
    if (!json_is_object(model)) return sc_fail(SC_EFORMAT, "%s: model: expected an object", what);
    sc_status s = sc_json_str(model, what, "type", &type);
    if (s) return s;
    if (!type) type = guess_kind(model); /* older files */
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        if (strcmp(type, kinds[i].type) == 0) return kinds[i].read(t, model, what);
    }
    return sc_fail(SC_EUNSUPPORTED, "%s: tokenizers of the kind %s are not supported", what, type);
}

static sc_status read_added(sc_tokenizer *t, const json_t *list, const char *what)
{
    if (list && !json_is_null(list) && !json_is_array(list))
        return sc_fail(SC_EFORMAT, "%s: added_tokens: expected a list", what);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *j = json_array_get(list, i);
        sc_added a = {.normalized = true};
        int64_t id = -1;
        const json_t *content = json_object_get(j, "content");
        if (!json_is_string(content))
            return sc_fail(SC_EFORMAT, "%s: added_tokens: item %zu has no content", what, i);
        sc_status s = sc_json_bool(j, what, "special", &a.special);
        a.normalized = !a.special;
        if (!s) s = sc_json_bool(j, what, "normalized", &a.normalized);
        if (!s) s = sc_json_bool(j, what, "single_word", &a.single_word);
        if (!s) s = sc_json_bool(j, what, "lstrip", &a.lstrip);
        if (!s) s = sc_json_bool(j, what, "rstrip", &a.rstrip);
        if (!s) s = sc_json_int(j, what, "id", 0, SC_TEXT_MAX_IDS - 1, &id);
        if (s) return s;
        const char *p = json_string_value(content);
        int64_t len = (int64_t)json_string_length(content);
        int32_t known = sc_vocab_find(&t->vocab, p, len); /* the model's own id counts */
        a.id = known >= 0 ? known : (int32_t)id;
        if (a.id < 0) return sc_fail(SC_EFORMAT, "%s: added_tokens: item %zu has no id", what, i);
        if (known < 0 && id < t->vocab.ids && t->vocab.text[id])
            return sc_fail(SC_EFORMAT, "%s: added_tokens: item %zu: id %lld is another token's", what, i,
                           (long long)id);
        s = sc_added_put(t, a, p, len, what);
        if (s) return s;
    }
    return SC_OK;
}

static sc_status read_tokenizer(sc_tokenizer *t, const json_t *root, const char *what)
{
    sc_status s = read_model(t, json_object_get(root, "model"), what);
    if (!s) s = sc_norm_parse(t, json_object_get(root, "normalizer"), what);
    if (!s) s = read_added(t, json_object_get(root, "added_tokens"), what);
    if (!s) s = sc_added_index(t);
    if (!s) s = sc_pre_parse(t, json_object_get(root, "pre_tokenizer"), what);
    if (!s) s = sc_post_parse(t, json_object_get(root, "post_processor"), what);
    if (!s) s = sc_fit_parse(t, root, what);
    return s ? s : sc_dec_parse(t, json_object_get(root, "decoder"), what);
}

sc_status sc_tokenizer_from_root(sc_tokenizer **out, const json_t *root, const char *what)
{
    sc_tokenizer *t = NULL;
    sc_status s = sc_tokenizer_begin(&t);
    if (!s) s = read_tokenizer(t, root, what);
    if (s) {
        sc_tokenizer_free(t);
        return s;
    }
    *out = t;
    return SC_OK;
}

sc_status sc_tokenizer_from_json(sc_tokenizer **out, const char *json, int64_t len, const char *what)
{
    json_t *root;
    sc_status s = sc_json_parse(&root, json, len, what);
    if (s) return s;
    s = sc_tokenizer_from_root(out, root, what);
    json_decref(root);
    return s;
}

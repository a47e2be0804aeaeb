/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers of directories without a tokenizer.json on their way into a GGUF file: SentencePiece's own file, whose words GGUF
 * has taken over, and a bare list of WordPiece's tokens. */
#include "models/tokenizer_gguf.h"

static char *file_in(const sc_gguf_source *x, const char *name)
{
    char *path = sc_path_join(x->dir, name);
    if (path && sc_path_exists(path)) return path;
    sc_free(path);
    return NULL;
}

/* ---- tokenizer.model ---- */

typedef struct spm_use {
    sc_gguf_source *x;
    int64_t vocab;
} spm_use;

/* Tokens that tokenizer_config.json adds behind the file's own, or calls special. */
static sc_status read_added(sc_gguf_source *x)
{
    const json_t *added = json_object_get(x->settings, "added_tokens_decoder");
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)added, key, v)
    {
        char *end;
        long id = strtol(key, &end, 10);
        const char *text = json_string_value(json_object_get(v, "content"));
        if (*end || end == key || id < 0 || id >= x->n || !text)
            return sc_fail(SC_EFORMAT, "%s: tokenizer_config.json: added token '%s' is none of %lld", x->dir, key,
                           (long long)x->n);
        char *kept = sc_arena_strndup(x->arena, text, strlen(text));
        if (!kept) return sc_nomem();
        x->token[id] = (sc_gguf_text){kept, (int64_t)strlen(kept)};
        if (x->type[id] != SC_GGUF_UNKNOWN)
            x->type[id] = json_is_true(json_object_get(v, "special")) ? SC_GGUF_CONTROL : SC_GGUF_USER_DEFINED;
    }
    return SC_OK;
}

static sc_status take(void *user, const sc_gguf_vocab *v, const char *what)
{
    spm_use *u = user;
    sc_gguf_source *x = u->x;
    if (v->n > u->vocab)
        return sc_fail(SC_EFORMAT, "%s: %lld pieces for a model of %lld", what, (long long)v->n,
                       (long long)u->vocab);
    x->kind = strcmp(v->model, "t5") == 0 ? SC_GGUF_T5 : SC_GGUF_LLAMA;
    x->add_space = v->add_space_prefix != 0;
    x->squeeze = v->squeeze_spaces;
    x->n = u->vocab;
    x->token = sc_calloc((size_t)x->n, sizeof *x->token);
    x->type = sc_calloc((size_t)x->n, sizeof *x->type);
    x->score = sc_calloc((size_t)x->n, sizeof *x->score);
    if (!x->token || !x->type || !x->score) return sc_nomem();
    if (v->charsmap_n > 0) sc_str_append(&x->charsmap, (const char *)v->charsmap, v->charsmap_n);
    for (int64_t i = 0; i < x->n; i++) {
        bool own = i < v->n;
        const char *text = own ? sc_arena_strndup(x->arena, v->tokens[i].p, (size_t)v->tokens[i].n)
                               : sc_arena_printf(x->arena, "[PAD%lld]", (long long)i);
        if (!text) return sc_nomem();
        x->token[i] = (sc_gguf_text){text, own ? v->tokens[i].n : (int64_t)strlen(text)};
        x->type[i] = own ? v->types[i] : SC_GGUF_UNUSED;
        x->score[i] = own ? v->scores[i] : -1000;
    }
    return x->charsmap.oom ? sc_nomem() : read_added(x);
}

sc_status sc_gguf_source_spm(sc_gguf_source *x, int64_t vocab, bool *found)
{
    static const char *const names[] = {"tokenizer.model", "spiece.model"};
    char *path = NULL, *data = NULL;
    int64_t len;
    for (int i = 0; i < SC_COUNT(names) && !path; i++) path = file_in(x, names[i]);
    if (!path) return SC_OK;
    spm_use u = {x, vocab};
    sc_status s = sc_file_read(&data, &len, path, SC_TEXT_MAX_FILE);
    if (!s && sc_is_tiktoken(data, len))
        s = sc_fail(SC_EUNSUPPORTED, "%s: tiktoken's file says too little for GGUF; a tokenizer.json is needed",
                    path);
    if (!s) s = sc_spm_read(data, len, path, take, &u);
    *found = !s;
    sc_free(data);
    sc_free(path);
    return s;
}

/* ---- vocab.txt ---- */

static bool set(json_t *o, const char *key, json_t *value) { return json_object_set_new(o, key, value) == 0; }

/* A token a line; an id is the line's number. */
static sc_status words_of(json_t *vocab, const char *path)
{
    char *text;
    int64_t len, id = 0;
    sc_status s = sc_file_read(&text, &len, path, SC_TEXT_MAX_FILE);
    if (s) return s;
    for (const char *p = text, *end = text + len; !s && p < end; id++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        int64_t n = stop - p - (stop > p && stop[-1] == '\r');
        if (!sc_utf8_valid(p, n) || memchr(p, 0, (size_t)n))
            s = sc_fail(SC_EFORMAT, "%s: line %lld is not text", path, (long long)id + 1);
        else if (json_object_setn_new(vocab, p, (size_t)n, json_integer(id)) != 0)
            s = sc_nomem();
        p = stop + 1;
    }
    sc_free(text);
    return s;
}

static json_t *flag(const sc_gguf_source *x, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(x->settings, key);
    return json_boolean(json_is_boolean(v) ? json_is_true(v) : otherwise);
}

static json_t *special_tokens(const json_t *vocab)
{
    static const char *const names[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    json_t *list = json_array();
    for (int i = 0; list && i < SC_COUNT(names); i++) {
        const json_t *id = json_object_get(vocab, names[i]);
        if (!id) continue;
        json_t *o = json_pack("{s:I, s:s, s:b}", "id", json_integer_value(id), "content", names[i], "special", 1);
        if (json_array_append_new(list, o) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

sc_status sc_gguf_source_words(sc_gguf_source *x)
{
    char *path = file_in(x, "vocab.txt");
    if (!path) return sc_fail(SC_ENOTFOUND, "%s: there is no tokenizer.json", x->dir);
    json_t *o = json_object(), *vocab = json_object(), *accents = json_object_get(x->settings, "strip_accents");
    sc_status s = o && vocab ? words_of(vocab, path) : sc_nomem();
    sc_free(path);
    bool ok = !s && set(o, "added_tokens", special_tokens(vocab)) &&
              set(o, "normalizer",
                  json_pack("{s:s, s:o, s:O}", "type", "BertNormalizer", "lowercase",
                            flag(x, "do_lower_case", true), "strip_accents", accents ? accents : json_null())) &&
              set(o, "pre_tokenizer", json_pack("{s:s}", "type", "BertPreTokenizer")) &&
              set(o, "model",
                  json_pack("{s:s, s:s, s:s, s:O}", "type", "WordPiece", "unk_token", "[UNK]",
                            "continuing_subword_prefix", "##", "vocab", vocab));
    json_decref(vocab);
    if (ok) {
        x->tokenizer = o;
        return SC_OK;
    }
    json_decref(o);
    return s ? s : sc_nomem();
}

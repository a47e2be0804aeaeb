/* SPDX-License-Identifier: Apache-2.0 */
/* A directory's tokenizer as the keys tokenizer.* of a GGUF file. */
#include "socle/convert.h"
#include "models/tokenizer_gguf.h"

#include <stdlib.h>

typedef sc_gguf_source source;

sc_status sc_gguf_source_refuse(const source *x, const char *what)
{
    return sc_fail(SC_EUNSUPPORTED, "%s: GGUF has no name for %s", x->dir, what);
}

static bool llama(const source *x) { return x->kind == SC_GGUF_LLAMA; }

static const char *type_of(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "";
}

bool sc_gguf_source_is(const json_t *o, const char *type) { return strcmp(type_of(o), type) == 0; }

/* Line ends as escapes, as our own patterns have them. */
static const char *escaped(source *x, const char *pattern)
{
    sc_str s = {0};
    for (const char *p = pattern; *p; p++) {
        if (*p == '\n')
            sc_str_puts(&s, "\\n");
        else if (*p == '\r')
            sc_str_puts(&s, "\\r");
        else
            sc_str_putc(&s, *p);
    }
    const char *copy = s.p && !s.oom ? sc_arena_strndup(x->arena, s.p, (size_t)s.len) : NULL;
    sc_str_free(&s);
    return copy;
}

/* ---- the pre-tokenizer and normalizer ---- */

static sc_status add_step(source *x, const char *step)
{
    if (!step) return sc_nomem();
    if (x->n_steps == SC_GGUF_MAX_STEPS) return sc_gguf_source_refuse(x, "its pre-tokenizer");
    x->steps[x->n_steps++] = step;
    return SC_OK;
}

static sc_status read_pre(source *x, const json_t *o)
{
    sc_status s = SC_OK;
    if (!o || json_is_null(o)) return SC_OK;
    if (sc_gguf_source_is(o, "Sequence")) {
        const json_t *list = json_object_get(o, "pretokenizers");
        for (size_t i = 0; !s && i < json_array_size(list); i++) {
            const json_t *item = json_array_get(list, i);
            s = sc_gguf_source_is(item, "Sequence") ? sc_gguf_source_refuse(x, "its pre-tokenizer")
                                                    : read_pre(x, item);
        }
        return s;
    }
    if (sc_gguf_source_is(o, "ByteLevel")) {
        if (json_is_true(json_object_get(o, "add_prefix_space")))
            return sc_gguf_source_refuse(x, "a byte-level tokenizer with a space in front");
        bool plain = json_is_false(json_object_get(o, "use_regex"));
        return plain ? SC_OK : add_step(x, SC_GGUF_PRE_GPT2);
    }
    if (sc_gguf_source_is(o, "Digits"))
        return add_step(x, json_is_true(json_object_get(o, "individual_digits")) ? SC_GGUF_PRE_DIGIT
                                                                                 : SC_GGUF_PRE_DIGITS);
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    if (sc_gguf_source_is(o, "Punctuation") && behavior && strcmp(behavior, "Contiguous") == 0)
        return add_step(x, SC_GGUF_PRE_PUNCT);
    const char *regex = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    bool invert = json_is_true(json_object_get(o, "invert"));
    /* To isolate matches, and to remove what is none, is the same for patterns that match everything. */
    if (sc_gguf_source_is(o, "Split") && regex && behavior &&
        strcmp(behavior, invert ? "Removed" : "Isolated") == 0)
        return add_step(x, escaped(x, regex));
    if (sc_gguf_source_is(o, "Metaspace") && llama(x)) {
        const char *scheme = json_string_value(json_object_get(o, "prepend_scheme"));
        const json_t *old = json_object_get(o, "add_prefix_space");
        x->add_space = scheme ? strcmp(scheme, "never") != 0 : !json_is_false(old);
        return SC_OK;
    }
    return sc_gguf_source_refuse(x, "its pre-tokenizer");
}

static sc_status read_normalizer(source *x, const json_t *o)
{
    sc_status s = SC_OK;
    if (!o || json_is_null(o)) return SC_OK;
    const json_t *list = json_object_get(o, "normalizers");
    if (sc_gguf_source_is(o, "Sequence")) {
        for (size_t i = 0; !s && i < json_array_size(list); i++) {
            const json_t *item = json_array_get(list, i);
            s = sc_gguf_source_is(item, "Sequence") ? sc_gguf_source_refuse(x, "its normalizer")
                                                    : read_normalizer(x, item);
        }
        return s;
    }
    const char *pattern = json_string_value(json_object_get(json_object_get(o, "pattern"), "String"));
    if (sc_gguf_source_is(o, "NFC") && !llama(x))
        x->nfc = true;
    else if (sc_gguf_source_is(o, "Prepend") && llama(x))
        x->add_space = true;
    else if (!(sc_gguf_source_is(o, "Replace") && llama(x) && pattern && strcmp(pattern, " ") == 0))
        return sc_gguf_source_refuse(x, "its normalizer");
    return SC_OK;
}

static bool has_type(const json_t *o, const char *type, const char *list_key)
{
    if (sc_gguf_source_is(o, type)) return true;
    const json_t *list = json_object_get(o, list_key);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (sc_gguf_source_is(json_array_get(list, i), type)) return true;
    return false;
}

static sc_status find_kind(source *x)
{
    x->model = json_object_get(x->tokenizer, "model");
    const json_t *pre = json_object_get(x->tokenizer, "pre_tokenizer");
    x->kind = sc_gguf_source_is(x->model, "WordPiece") ? SC_GGUF_BERT
              : sc_gguf_source_is(x->model, "Unigram") ? SC_GGUF_T5
                                                       : SC_GGUF_GPT2;
    if (x->kind == SC_GGUF_BERT) return sc_gguf_source_bert(x);
    if (x->kind == SC_GGUF_T5) return sc_gguf_source_t5(x);
    if (!sc_gguf_source_is(x->model, "BPE") && !(type_of(x->model)[0] == 0 && json_object_get(x->model, "merges")))
        return sc_fail(SC_EUNSUPPORTED, "%s: tokenizers of the kind %s are not written to GGUF", x->dir,
                       type_of(x->model));
    if (json_is_true(json_object_get(x->model, "byte_fallback")) && !has_type(pre, "ByteLevel", "pretokenizers"))
        x->kind = SC_GGUF_LLAMA;
    sc_status s = read_normalizer(x, json_object_get(x->tokenizer, "normalizer"));
    if (!s) s = read_pre(x, pre);
    if (s || llama(x)) return s;
    if (!has_type(pre, "ByteLevel", "pretokenizers"))
        return sc_gguf_source_refuse(x, "a BPE tokenizer that is not byte-level");
    unsigned flags = (x->nfc ? SC_GGUF_PRE_NFC : 0) |
                     (json_is_true(json_object_get(x->model, "ignore_merges")) ? SC_GGUF_PRE_IGNORE_MERGES : 0);
    const sc_gguf_pre *p = sc_gguf_pre_like(x->steps, x->n_steps, flags);
    if (!p) return sc_gguf_source_refuse(x, "its pre-tokenizer");
    x->pre = sc_arena_strndup(x->arena, p->names, strcspn(p->names, " "));
    return x->pre ? SC_OK : sc_nomem();
}

/* ---- tokens and merges ---- */

static sc_status set_token(source *x, int64_t id, const char *p, int64_t n, int32_t type)
{
    if (id < 0 || id >= x->n)
        return sc_fail(SC_EFORMAT, "%s: tokenizer.json: token id %lld; the model has %lld", x->dir, (long long)id,
                       (long long)x->n);
    x->token[id] = (sc_gguf_text){p, n};
    x->type[id] = type;
    return SC_OK;
}

static bool is_byte(const char *p) { return strlen(p) == 6 && strncmp(p, "<0x", 3) == 0 && p[5] == '>'; }

/* Unigram's vocabulary: a list of [token, score]. */
static sc_status read_pieces(source *x)
{
    const json_t *list = json_object_get(x->model, "vocab"), *unk = json_object_get(x->model, "unk_id");
    bool fallback = json_is_true(json_object_get(x->model, "byte_fallback"));
    sc_status s = SC_OK;
    for (size_t i = 0; i < json_array_size(list) && !s; i++) {
        const char *p = json_string_value(json_array_get(json_array_get(list, i), 0));
        if (!p) return sc_fail(SC_EFORMAT, "%s: tokenizer.json: token %zu is no text", x->dir, i);
        bool unknown = json_is_integer(unk) && json_integer_value(unk) == (json_int_t)i;
        s = set_token(x, (int64_t)i, p, (int64_t)strlen(p),
                      unknown                  ? SC_GGUF_UNKNOWN
                      : fallback && is_byte(p) ? SC_GGUF_BYTE
                                               : SC_GGUF_NORMAL);
    }
    return s;
}

static sc_status read_tokens(source *x, int64_t vocab)
{
    const char *unk = json_string_value(json_object_get(x->model, "unk_token")), *key;
    json_t *v;
    x->n = vocab;
    x->token = sc_calloc((size_t)vocab, sizeof *x->token);
    x->type = sc_calloc((size_t)vocab, sizeof *x->type);
    if (!x->token || !x->type) return sc_nomem();
    sc_status s = x->kind == SC_GGUF_T5 ? read_pieces(x) : SC_OK;
    if (s) return s;
    if (x->kind != SC_GGUF_T5) json_object_foreach(json_object_get(x->model, "vocab"), key, v)
        {
            int32_t type = !llama(x)                      ? SC_GGUF_NORMAL
                           : is_byte(key)                 ? SC_GGUF_BYTE
                           : unk && strcmp(key, unk) == 0 ? SC_GGUF_UNKNOWN
                                                          : SC_GGUF_NORMAL;
            s = set_token(x, json_is_integer(v) ? json_integer_value(v) : -1, key, (int64_t)strlen(key), type);
            if (s) return s;
        }
    json_t *item;
    size_t i;
    json_array_foreach(json_object_get(x->tokenizer, "added_tokens"), i, item)
    {
        const char *text = json_string_value(json_object_get(item, "content"));
        json_int_t id = json_integer_value(json_object_get(item, "id"));
        bool special = json_is_true(json_object_get(item, "special")),
             unknown = llama(x) && text && unk && strcmp(text, unk) == 0;
        if (id >= 0 && id < vocab && x->type[id] == SC_GGUF_UNKNOWN) unknown = true;
        if (!text) return sc_fail(SC_EFORMAT, "%s: tokenizer.json: an added token without text", x->dir);
        if ((s = set_token(x, id, text, (int64_t)strlen(text),
                           unknown   ? SC_GGUF_UNKNOWN
                           : special ? SC_GGUF_CONTROL
                                     : SC_GGUF_USER_DEFINED)))
            return s;
    }
    for (int64_t k = 0; k < vocab; k++) {
        if (x->token[k].p) continue;
        char *name = sc_arena_printf(x->arena, "[PAD%lld]", (long long)k);
        if (!name) return sc_nomem();
        set_token(x, k, name, (int64_t)strlen(name), SC_GGUF_UNUSED);
    }
    return SC_OK;
}

/* Merges, or what the kind has instead: merges as "a b" and, for SentencePiece's kind, each token's score: the rank of the merge that makes it. */
static sc_status read_merges(source *x)
{
    const json_t *list = json_object_get(x->model, "merges");
    if (x->kind == SC_GGUF_BERT) return sc_gguf_source_respell(x);
    if (x->kind == SC_GGUF_T5) return sc_gguf_source_scores(x);
    x->n_merges = (int64_t)json_array_size(list);
    x->merge = sc_calloc((size_t)x->n_merges + 1, sizeof *x->merge);
    x->score = sc_calloc((size_t)x->n, sizeof *x->score);
    if (!x->merge || !x->score) return sc_nomem();
    for (int64_t i = 0; i < x->n; i++) x->score[i] = -(float)(x->n_merges + i);
    for (int64_t i = x->n_merges - 1; i >= 0; i--) {
        const json_t *m = json_array_get(list, (size_t)i);
        const char *text = json_string_value(m), *a = json_string_value(json_array_get(m, 0)),
                   *b = json_string_value(json_array_get(m, 1));
        const char *space = text ? strchr(text, ' ') : NULL;
        if (!space && (!a || !b))
            return sc_fail(SC_EFORMAT, "%s: tokenizer.json: merge %lld is no pair", x->dir, (long long)i);
        if (!space && (strchr(a, ' ') || strchr(b, ' ')))
            return sc_gguf_source_refuse(x, "merges of tokens with spaces");
        if (!space && !(text = sc_arena_printf(x->arena, "%s %s", a, b))) return sc_nomem();
        x->merge[i] = (sc_gguf_text){text, (int64_t)strlen(text)};
        if (!llama(x)) continue;
        space = strchr(text, ' ');
        char *whole = sc_arena_printf(x->arena, "%.*s%s", (int)(space - text), text, space + 1);
        if (!whole) return sc_nomem();
        const json_t *id = json_object_get(json_object_get(x->model, "vocab"), whole);
        if (json_is_integer(id) && json_integer_value(id) < x->n) x->score[json_integer_value(id)] = -(float)i;
    }
    return SC_OK;
}

/* ---- special tokens ---- */

/* A special token of tokenizer_config.json, as text or as an object with "content"; else the id that the configuration
 * has; -1 for none. */
static int64_t special_id(const source *x, const char *key, const char *id_key)
{
    const json_t *v = json_object_get(x->settings, key);
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    for (int64_t i = 0; text && i < x->n; i++)
        if (x->token[i].n == (int64_t)strlen(text) && memcmp(x->token[i].p, text, strlen(text)) == 0) return i;
    const json_t *id = json_object_get(x->config, id_key);
    if (json_is_array(id)) id = json_array_get(id, 0);
    return json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < x->n
               ? json_integer_value(id)
               : -1;
}

static sc_status write_id(sc_gguf_writer *w, const char *key, int64_t id)
{
    return id < 0 ? SC_OK : sc_gguf_writer_int(w, key, SC_GGUF_U32, id);
}

/* Chat models end an answer with more than one token; GGUF has keys for two more. */
static sc_status write_more_ends(const source *x, sc_gguf_writer *w, int64_t eos)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    const json_t *list = json_object_get(x->generation, "eos_token_id");
    sc_status s = SC_OK;
    if (!list || json_is_null(list)) list = json_object_get(x->config, "eos_token_id");
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t i = 0, k = 0; !s && i < n && k < (size_t)SC_COUNT(keys); i++) {
        const json_t *id = json_is_array(list) ? json_array_get(list, i) : list;
        if (!json_is_integer(id) || json_integer_value(id) == eos || json_integer_value(id) < 0) continue;
        s = write_id(w, keys[k++], json_integer_value(id));
    }
    return s;
}

static sc_status write_special(const source *x, sc_gguf_writer *w)
{
    int64_t bos = special_id(x, "bos_token", "bos_token_id"), eos = special_id(x, "eos_token", "eos_token_id");
    const int32_t *before, *after;
    int64_t n_before, n_after;
    sc_tokenizer_template(x->t, &before, &n_before, &after, &n_after);
    if (bos < 0 && n_before) bos = before[0];
    if (eos < 0 && n_after) eos = after[0];
    if (n_before > 1 || n_after > 1 || (n_before && before[0] != bos) || (n_after && after[0] != eos))
        return sc_gguf_source_refuse(x, "what its template puts around a text");
    sc_status s = write_id(w, "tokenizer.ggml.bos_token_id", bos);
    if (!s) s = write_id(w, "tokenizer.ggml.eos_token_id", eos);
    int64_t unk = special_id(x, "unk_token", "unk_token_id");
    const json_t *named = json_object_get(x->model, "unk_id");
    if (unk < 0 && json_is_integer(named) && json_integer_value(named) < x->n) unk = json_integer_value(named);
    for (int64_t i = 0; unk < 0 && i < x->n; i++)
        if (x->type[i] == SC_GGUF_UNKNOWN) unk = i;
    if (!s) s = write_id(w, "tokenizer.ggml.unknown_token_id", unk);
    if (!s) s = write_id(w, "tokenizer.ggml.padding_token_id", special_id(x, "pad_token", "pad_token_id"));
    if (!s) s = sc_gguf_writer_int(w, "tokenizer.ggml.add_bos_token", SC_GGUF_BOOL, n_before > 0);
    if (!s) s = sc_gguf_writer_int(w, "tokenizer.ggml.add_eos_token", SC_GGUF_BOOL, n_after > 0);
    if (!s && x->kind == SC_GGUF_BERT) s = write_id(w, "tokenizer.ggml.cls_token_id", bos);
    if (!s && x->kind == SC_GGUF_BERT) s = write_id(w, "tokenizer.ggml.seperator_token_id", eos);
    if (!s) s = write_id(w, "tokenizer.ggml.mask_token_id", special_id(x, "mask_token", ""));
    return s ? s : write_more_ends(x, w, eos);
}

static sc_status write_chat(const source *x, sc_gguf_writer *w)
{
    char *path = sc_path_join(x->dir, "chat_template.jinja"), *text;
    int64_t n;
    sc_status s = path ? SC_OK : sc_nomem();
    const json_t *chat = json_object_get(x->settings, "chat_template");
    if (!s && sc_path_exists(path)) {
        s = sc_file_read(&text, &n, path, 4 << 20);
        if (!s) {
            s = sc_gguf_writer_text(w, "tokenizer.chat_template", text, n);
            sc_free(text);
        }
        sc_free(path);
        return s;
    }
    sc_free(path);
    for (size_t i = 0; !s && i < json_array_size(chat); i++) { /* several with names */
        const json_t *item = json_array_get(chat, i);
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *body = json_string_value(json_object_get(item, "template"));
        if (!name || !body) continue;
        const char *key = strcmp(name, "default") == 0
                              ? "tokenizer.chat_template"
                              : sc_arena_printf(x->arena, "tokenizer.chat_template.%s", name);
        s = key ? sc_gguf_writer_str(w, key, body) : sc_nomem();
    }
    if (!s && json_is_string(chat))
        s = sc_gguf_writer_text(w, "tokenizer.chat_template", json_string_value(chat),
                                (int64_t)json_string_length(chat));
    return s;
}

/* ---- all of it ---- */

/* What a kind says beside its tokens. */
static sc_status write_kind(const source *x, sc_gguf_writer *w)
{
    sc_status s = SC_OK;
    if (llama(x) || x->kind == SC_GGUF_T5)
        s = sc_gguf_writer_array(w, "tokenizer.ggml.scores", SC_GGUF_F32, x->score, x->n);
    if (!s && (llama(x) || x->kind == SC_GGUF_T5))
        s = sc_gguf_writer_int(w, "tokenizer.ggml.add_space_prefix", SC_GGUF_BOOL, x->add_space);
    if (!s && x->kind == SC_GGUF_T5)
        s = sc_gguf_writer_int(w, "tokenizer.ggml.remove_extra_whitespaces", SC_GGUF_BOOL, x->squeeze);
    if (!s && x->charsmap.len > 0)
        s = sc_gguf_writer_array(w, "tokenizer.ggml.precompiled_charsmap", SC_GGUF_U8, x->charsmap.p,
                                 x->charsmap.len);
    if (!s && x->kind == SC_GGUF_BERT)
        s = sc_gguf_writer_int(w, "tokenizer.ggml.normalizer.lowercase", SC_GGUF_BOOL, x->lowercase);
    if (!s && x->kind == SC_GGUF_BERT)
        s = sc_gguf_writer_int(w, "tokenizer.ggml.normalizer.strip_accents", SC_GGUF_BOOL, x->strip_accents);
    if (!s && x->kind == SC_GGUF_GPT2)
        s = sc_gguf_writer_strings(w, "tokenizer.ggml.merges", x->merge, x->n_merges);
    return s;
}

static sc_status write_all(const source *x, sc_gguf_writer *w)
{
    static const char *const names[] = {"gpt2", "llama", "bert", "t5"};
    sc_status s = sc_gguf_writer_str(w, "tokenizer.ggml.model", names[x->kind]);
    if (!s) s = sc_gguf_writer_str(w, "tokenizer.ggml.pre", x->pre ? x->pre : "default");
    if (!s) s = sc_gguf_writer_strings(w, "tokenizer.ggml.tokens", x->token, x->n);
    if (!s) s = sc_gguf_writer_array(w, "tokenizer.ggml.token_type", SC_GGUF_I32, x->type, x->n);
    if (!s) s = write_kind(x, w);
    if (!s) s = write_special(x, w);
    return s ? s : write_chat(x, w);
}

/* *out stays NULL where there is no such file. */
static sc_status read_file(const char *dir, const char *name, json_t **out)
{
    char *path = sc_path_join(dir, name);
    sc_status s = SC_OK;
    if (!path) return sc_nomem();
    if (sc_path_exists(path)) s = sc_json_read(out, path, SC_TEXT_MAX_FILE);
    sc_free(path);
    return s;
}

sc_status sc_gguf_writer_tokenizer(sc_gguf_writer *w, const char *dir, int64_t vocab)
{
    source x = {.dir = dir};
    if (vocab < 1 || vocab > SC_TEXT_MAX_IDS) return sc_fail(SC_EINVAL, "a vocabulary of %lld", (long long)vocab);
    bool pieces = false;
    sc_status s = read_file(dir, "tokenizer.json", &x.tokenizer);
    if (!s) s = read_file(dir, "tokenizer_config.json", &x.settings);
    if (!s) s = read_file(dir, "config.json", &x.config);
    if (!s) s = read_file(dir, "generation_config.json", &x.generation);
    if (!s) s = sc_tokenizer_load(&x.t, dir);
    if (!s && !(x.arena = sc_arena_new())) s = sc_nomem();
    if (!s && !x.tokenizer) s = sc_gguf_source_spm(&x, vocab, &pieces);
    if (!s && !x.tokenizer && !pieces) s = sc_gguf_source_words(&x);
    if (!s && !pieces) s = find_kind(&x);
    if (!s && !pieces) s = read_tokens(&x, vocab);
    if (!s && !pieces) s = read_merges(&x);
    if (!s) s = write_all(&x, w);
    sc_tokenizer_free(x.t);
    sc_free(x.token);
    sc_free(x.merge);
    sc_free(x.type);
    sc_free(x.score);
    sc_str_free(&x.charsmap);
    sc_arena_free(x.arena);
    json_decref(x.tokenizer);
    json_decref(x.settings);
    json_decref(x.config);
    json_decref(x.generation);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer as an object, and encoding. */
#include "text/text.h"

sc_status sc_tokenizer_begin(sc_tokenizer **out)
{
    sc_tokenizer *t = sc_calloc(1, sizeof(*t));
    if (!t) return sc_nomem();
    sc_status s = sc_encoder_pool_new(&t->pool);
    if (s) {
        sc_free(t);
        return s;
    }
    t->bos = t->eos = t->pad = t->unk = -1;
    *out = t;
    return SC_OK;
}

void sc_tokenizer_free(sc_tokenizer *t)
{
    if (!t) return;
    sc_encoder_pool_free(t->pool);
    if (t->model) t->model->free(t->model);
    for (int i = 0; i < t->n_norm; i++) sc_norm_step_free(&t->norm[i]);
    for (int i = 0; i < t->n_pre; i++) sc_pattern_free(&t->pre[i].pattern);
    for (int i = 0; i < t->n_dec; i++) sc_dec_step_free(&t->dec[i]);
    sc_trie_free(&t->raw);
    sc_trie_free(&t->normalized);
    sc_map_free(&t->added_map);
    sc_free(t->added);
    sc_vocab_free(&t->vocab);
    sc_frame_free(&t->single);
    sc_frame_free(&t->pair);
    sc_free(t->before);
    sc_free(t->after);
    sc_free(t);
}

sc_status sc_tokenizer_set(sc_tokenizer *t, const char *name, int32_t id)
{
    if (strcmp(name, "bos_token") == 0)
        t->bos = id;
    else if (strcmp(name, "eos_token") == 0)
        t->eos = id;
    else if (strcmp(name, "pad_token") == 0)
        t->pad = id;
    else if (strcmp(name, "unk_token") == 0)
        t->unk = id;
    else
        return sc_fail(SC_EINVAL, "tokenizer: unknown kind of token %s", name);
    return SC_OK;
}

int64_t sc_tokenizer_vocab_size(const sc_tokenizer *t) { return t->vocab.ids; }
int32_t sc_tokenizer_bos(const sc_tokenizer *t) { return t->bos; }
int32_t sc_tokenizer_eos(const sc_tokenizer *t) { return t->eos; }
int32_t sc_tokenizer_pad(const sc_tokenizer *t) { return t->pad; }
int32_t sc_tokenizer_unk(const sc_tokenizer *t) { return t->unk; }

const char *sc_tokenizer_token(const sc_tokenizer *t, int32_t id, int64_t *len)
{
    int64_t n = 0;
    const char *p = sc_vocab_text(&t->vocab, id, &n);
    if (p && len) *len = n;
    return p;
}

int32_t sc_tokenizer_id(const sc_tokenizer *t, const char *token, int64_t len)
{
    int64_t id;
    return sc_map_get(&t->added_map, token, len, &id) ? (int32_t)id : sc_vocab_find(&t->vocab, token, len);
}

bool sc_tokenizer_is_special(const sc_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.ids && (t->vocab.flags[id] & SC_TOKEN_SPECIAL);
}

void sc_tokenizer_template(const sc_tokenizer *t, const int32_t **before, int64_t *n_before, const int32_t **after,
                           int64_t *n_after)
{
    *before = t->before;
    *n_before = t->n_before;
    *after = t->after;
    *n_after = t->n_after;
}

/* ---- encoding ---- */

static sc_status emit(sc_encoder *e, int32_t id, sc_token_span a)
{
    if ((e->n >= e->cap && !sc_grow(&e->ids, &e->cap, e->n + 1, sizeof(*e->ids))) ||
        (e->want_spans && !sc_grow(&e->spans, &e->span_cap, e->n + 1, sizeof(*e->spans))))
        return sc_nomem();
    if (e->want_spans) e->spans[e->n] = a;
    e->ids[e->n++] = id;
    return SC_OK;
}

sc_status sc_encoder_emit(sc_encoder *e, int32_t id, const sc_piece *piece, int64_t from, int64_t to)
{
    sc_token_span a = {0, 0};
    if (piece->a && to > from) a = (sc_token_span){piece->a[from].begin, piece->a[to - 1].end};
    return emit(e, id, a);
}

sc_status sc_encoder_matcher(sc_encoder *e) { return e->matcher ? SC_OK : sc_matcher_new(&e->matcher); }

typedef struct segment {
    sc_encoder *e;
    const char *p; /* of the whole text, or of the normalized stretch */
    const sc_token_span *a;
    bool first;
} segment;

/* A stretch of normalized text, or an added token in it. */
static sc_status on_normalized(void *user, int64_t begin, int64_t end, const sc_added *a)
{
    const segment *g = user;
    sc_piece piece = {g->p + begin, end - begin, g->a ? g->a + begin : NULL, g->first && begin == 0};
    return a ? sc_encoder_emit(g->e, a->id, &piece, 0, piece.n) : sc_pre_run(g->e, 0, piece);
}

/* The text as it is, each byte with the span of its character. */
static void put_original(sc_norm *x, const char *p, int64_t begin, int64_t end)
{
    if (!x->track) {
        sc_norm_put(x, p + begin, end - begin, (sc_token_span){0, 0});
        return;
    }
    for (int64_t i = begin; i < end;) {
        uint32_t cp;
        int k = sc_utf8_decode(p + i, end - i, &cp);
        sc_norm_put(x, p + i, k, (sc_token_span){(int32_t)i, (int32_t)(i + k)});
        i += k;
    }
}

static sc_status on_raw(void *user, int64_t begin, int64_t end, const sc_added *a)
{
    const segment *g = user;
    sc_encoder *e = g->e;
    const sc_tokenizer *t = e->t;
    if (a) return emit(e, a->id, (sc_token_span){(int32_t)begin, (int32_t)end});
    bool first = begin == 0, special = e->flags & SC_TOKENIZE_PARSE_SPECIAL;
    segment inner = {.e = e, .p = g->p + begin, .first = first};
    int64_t n = end - begin;
    if (t->n_norm > 0 || e->want_spans) {
        sc_norm *x = &e->norm[0];
        sc_norm_clear(x);
        x->track = e->want_spans;
        put_original(x, g->p, begin, end);
        sc_status s = x->oom ? sc_nomem() : sc_encoder_matcher(e);
        if (!s) s = sc_norm_run(t, e->matcher, x, &e->norm[1], first);
        if (s) return s;
        inner.p = x->p;
        inner.a = x->track ? x->a : NULL;
        n = x->n;
    }
    return sc_added_each(t, &t->normalized, special, inner.p, n, on_normalized, &inner);
}

static sc_status run(sc_encoder *e, const char *text, int64_t len)
{
    const sc_tokenizer *t = e->t;
    int64_t from = e->n;
    segment g = {.e = e, .p = text};
    sc_status s = sc_added_each(t, &t->raw, e->flags & SC_TOKENIZE_PARSE_SPECIAL, text, len, on_raw, &g);
    if (!s && e->want_spans && t->trim_spans) sc_post_trim(t, e, text, from);
    return s;
}

/* *text with U+FFFD for what is not UTF-8; the copy is in *replaced. */
static sc_status replace_invalid(sc_str *replaced, const char **text, int64_t *len)
{
    for (int64_t i = 0; i < *len;) {
        uint32_t cp;
        i += sc_utf8_decode(*text + i, *len - i, &cp);
        sc_str_utf8(replaced, cp);
    }
    if (replaced->oom) return sc_nomem();
    if (replaced->len > SC_TEXT_MAX_INPUT)
        return sc_fail(SC_ELIMIT, "tokenizer: a text of %lld bytes; at most %lld", (long long)replaced->len,
                       SC_TEXT_MAX_INPUT);
    *text = replaced->p;
    *len = replaced->len;
    return SC_OK;
}

/* Appends a text's ids, without what stands around it. */
static sc_status append(sc_encoder *e, const char *text, int64_t len)
{
    if (len < 0 || len > SC_TEXT_MAX_INPUT)
        return sc_fail(SC_ELIMIT, "tokenizer: a text of %lld bytes; at most %lld", (long long)len,
                       SC_TEXT_MAX_INPUT);
    sc_str replaced = {0};
    sc_status s = SC_OK;
    e->valid = sc_utf8_valid(text, len);
    if (!e->valid && (e->flags & SC_TOKENIZE_REPLACE_INVALID)) {
        s = replace_invalid(&replaced, &text, &len);
        e->valid = true;
    }
    if (!s) s = run(e, text, len);
    sc_str_free(&replaced);
    return s;
}

static sc_status fill(sc_encoder *e, const sc_slice *text, int texts, bool types, int32_t **type)
{
    const sc_tokenizer *t = e->t;
    int64_t end[2] = {0, 0};
    sc_status s = SC_OK;
    bool plain = texts == 1 && !types && !(e->flags & SC_TOKENIZE_FIT), around = e->flags & SC_TOKENIZE_SPECIAL;
    for (int64_t i = 0; plain && around && i < t->n_before && !s; i++)
        s = emit(e, t->before[i], (sc_token_span){0, 0});
    for (int i = 0; i < texts && !s; i++) {
        s = append(e, text[i].p, text[i].n);
        end[i] = e->n;
    }
    for (int64_t i = 0; plain && around && i < t->n_after && !s; i++)
        s = emit(e, t->after[i], (sc_token_span){0, 0});
    return s || plain ? s : sc_frame_apply(e, end, texts, type);
}

/* A copy of n things of the encoder's, which keeps its own. */
static sc_status copy(void *out, const void *p, int64_t n, size_t size)
{
    void *q = sc_malloc((size_t)SC_MAX(n, 1) * size);
    if (!q) return sc_nomem();
    if (n > 0) memcpy(q, p, (size_t)n * size);
    memcpy(out, &q, sizeof(q));
    return SC_OK;
}

static sc_status encode(const sc_tokenizer *t, const sc_slice *text, int texts, unsigned flags, int32_t **ids,
                        sc_token_span **spans, int32_t **types, int64_t *n)
{
    sc_encoder *e;
    int32_t *type = NULL, *id = NULL;
    sc_token_span *span = NULL;
    sc_status s = sc_encoder_take(&e, t, flags, spans != NULL);
    if (s) return s;
    s = fill(e, text, texts, types != NULL, &type);
    if (!s) s = copy(&id, e->ids, e->n, sizeof(*id));
    if (!s && spans) s = copy(&span, e->spans, e->n, sizeof(*span));
    if (!s) {
        *ids = id;
        *n = e->n;
        if (spans) *spans = span;
        if (types) {
            *types = type;
            type = NULL;
        }
    } else {
        sc_free(id);
        sc_free(span);
    }
    sc_free(type);
    sc_encoder_give(e);
    return s;
}

sc_status sc_tokenizer_encode(const sc_tokenizer *t, const char *text, int64_t len, unsigned flags, int32_t **ids,
                              int64_t *n)
{
    return encode(t, &(sc_slice){text, len}, 1, flags, ids, NULL, NULL, n);
}

sc_status sc_tokenizer_encode_spans(const sc_tokenizer *t, const char *text, int64_t len, unsigned flags,
                                    int32_t **ids, sc_token_span **spans, int64_t *n)
{
    return encode(t, &(sc_slice){text, len}, 1, flags, ids, spans, NULL, n);
}

sc_status sc_tokenizer_encode_pair(const sc_tokenizer *t, const char *a, int64_t a_len, const char *b,
                                   int64_t b_len, unsigned flags, int32_t **ids, int32_t **types, int64_t *n)
{
    sc_slice text[2] = {{a, a_len}, {b, b_len}};
    return encode(t, text, b ? 2 : 1, flags, ids, NULL, types, n);
}

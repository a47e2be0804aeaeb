/* SPDX-License-Identifier: Apache-2.0 */
/* From texts and conversations to the ids of a prompt. */
#include "infer/infer.h"

#include <stdlib.h>

sc_status sc_pipeline_text_ids(const sc_pipeline *p, const char *text, int64_t len, int32_t **ids, int64_t *n)
{
    return sc_tokenizer_encode(p->tokenizer, text, len, SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, ids, n);
}

/* Put into a message behind the first byte of what spells a special token, so that it can be told from the template's
 * own after rendering: a noncharacter, which no text has (and is dropped from one that has). */
static const char mark[] = "\xef\xb7\x90"; /* U+FDD0 */
enum { MARK = 3 };

/* The first of special[from..end), which agree in their bytes before i, whose byte i is `byte` or more; a text that ends there
 * comes before all. */
static int64_t first_from(const sc_chat_format *t, int64_t from, int64_t end, int64_t i, int byte)
{
    while (from < end) {
        int64_t middle = from + (end - from) / 2;
        const sc_special *s = &t->special[middle];
        if (s->len <= i || (unsigned char)s->text[i] < byte)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

/* The length of the longest special token that p[0..n) begins with; 0: none. Some vocabularies have thousands that begin
 * alike, so that they are not tried one by one. */
static int64_t special_at(const sc_chat_format *t, const char *p, int64_t n)
{
    int64_t best = 0, from = 0, end = t->n_special;
    if (!t->begins_special[(unsigned char)p[0]]) return 0; /* nearly always */
    for (int64_t i = 0; i < n && from < end; i++) {
        unsigned char byte = (unsigned char)p[i];
        from = first_from(t, from, end, i, byte);
        end = first_from(t, from, end, i, byte + 1);
        if (from < end && t->special[from].len == i + 1) best = i + 1; /* the shortest of them is the first */
    }
    return best;
}

static int by_bytes(const void *a, const void *b)
{
    const sc_special *x = a, *y = b;
    int c = memcmp(x->text, y->text, (size_t)SC_MIN(x->len, y->len));
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

sc_status sc_chat_format_new(sc_chat_format *out, const sc_tokenizer *tokenizer, const sc_template *chat)
{
    sc_chat_format f = {.tokenizer = tokenizer, .chat = chat};
    int64_t cap = 0;
    for (int64_t id = 0, len; id < sc_tokenizer_vocab_size(tokenizer); id++) {
        if (!sc_tokenizer_is_special(tokenizer, (int32_t)id)) continue;
        const char *text = sc_tokenizer_token(tokenizer, (int32_t)id, &len);
        if (!text || len < 2) continue;
        if (!sc_grow(&f.special, &cap, f.n_special + 1, sizeof *f.special)) {
            sc_free(f.special);
            return sc_nomem();
        }
        f.special[f.n_special++] = (sc_special){text, len};
        f.begins_special[(unsigned char)text[0]] = true;
    }
    if (f.n_special) qsort(f.special, (size_t)f.n_special, sizeof *f.special, by_bytes);
    *out = f;
    return SC_OK;
}

void sc_chat_format_free(sc_chat_format *f)
{
    sc_free(f->special);
    *f = (sc_chat_format){0};
}

/* Appends p[0..n) with the special tokens in it marked; whether that is another text. Marks in it go first: one within
 * what spells a special token would hide it here, and be gone afterwards. */
static bool mark_specials(const sc_chat_format *t, sc_str *marked, const char *p, int64_t n)
{
    bool changed = false;
    sc_str clean = {0};
    const char *at;
    while ((at = memmem(p, (size_t)n, mark, MARK))) {
        sc_str_append(&clean, p, at - p);
        n -= at - p + MARK;
        p = at + MARK;
        changed = true;
    }
    if (changed) {
        sc_str_append(&clean, p, n);
        marked->oom |= clean.oom;
        p = clean.p;
        n = clean.len;
    }
    for (int64_t i = 0; i < n; i++) {
        sc_str_putc(marked, p[i]);
        if (special_at(t, p + i, n - i) == 0) continue;
        sc_str_append(marked, mark, MARK);
        changed = true;
    }
    sc_str_free(&clean);
    return changed;
}

/* Values, and names as well: a template may print an object whole. */
static sc_status guard_object(const sc_chat_format *t, json_t *v)
{
    json_t *copy = json_object(), *value;
    const char *key;
    size_t n;
    bool changed = false;
    sc_status s = copy ? SC_OK : sc_nomem();
    if (s) return s;
    json_object_keylen_foreach(v, key, n, value)
    {
        sc_str marked = {0};
        if (!s) s = sc_chat_guard(t, value);
        changed |= mark_specials(t, &marked, key, (int64_t)n);
        if (marked.oom || json_object_setn(copy, marked.p ? marked.p : "", (size_t)marked.len, value))
            s = sc_nomem();
        sc_str_free(&marked);
    }
    if (!s && changed && (json_object_clear(v) || json_object_update(v, copy))) s = sc_nomem();
    json_decref(copy);
    return s;
}

sc_status sc_chat_guard(const sc_chat_format *t, json_t *v)
{
    sc_status s = SC_OK;
    if (json_is_string(v)) {
        sc_str marked = {0};
        bool changed = mark_specials(t, &marked, json_string_value(v), (int64_t)json_string_length(v));
        if (marked.oom || (changed && json_string_setn(v, marked.p ? marked.p : "", (size_t)marked.len) != 0))
            s = sc_nomem();
        sc_str_free(&marked);
    } else if (json_is_array(v)) {
        for (size_t i = 0; !s && i < json_array_size(v); i++) s = sc_chat_guard(t, json_array_get(v, i));
    } else if (json_is_object(v)) {
        s = guard_object(t, v);
    }
    return s;
}

typedef struct id_list {
    int32_t *p;
    sc_token_span *span; /* where wanted */
    int64_t n, cap, cap_span;
    bool spans;
} id_list;

/* Appends the ids of text[from..to). */
static sc_status add_ids(const sc_chat_format *f, id_list *out, const char *text, int64_t from, int64_t to,
                         unsigned flags)
{
    int32_t *ids;
    sc_token_span *span = NULL;
    int64_t n;
    if (from == to) return SC_OK;
    sc_status s = out->spans
                      ? sc_tokenizer_encode_spans(f->tokenizer, text + from, to - from, flags, &ids, &span, &n)
                      : sc_tokenizer_encode(f->tokenizer, text + from, to - from, flags, &ids, &n);
    if (s) return s;
    if (!sc_grow(&out->p, &out->cap, out->n + n, sizeof *out->p) ||
        (span && !sc_grow(&out->span, &out->cap_span, out->n + n, sizeof *out->span)))
        s = sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        out->p[out->n] = ids[i];
        if (span)
            out->span[out->n] = (sc_token_span){(int32_t)(from + span[i].begin), (int32_t)(from + span[i].end)};
        out->n++;
    }
    sc_free(ids);
    sc_free(span);
    return s;
}

sc_status sc_chat_encode(const sc_chat_format *f, char *text, int64_t len, int32_t **ids, sc_token_span **spans,
                         int64_t *n)
{
    id_list list = {.spans = spans != NULL};
    sc_status s = SC_OK;
    int64_t from = 0;
    while (!s) {
        char *at = memmem(text + from, (size_t)(len - from), mark, MARK);
        if (!at) {
            s = add_ids(f, &list, text, from, len, SC_TOKENIZE_PARSE_SPECIAL);
            break;
        }
        int64_t first = at - text - 1; /* the token's first byte is before the mark */
        s = add_ids(f, &list, text, from, first, SC_TOKENIZE_PARSE_SPECIAL);
        at[MARK - 1] = text[first]; /* over the mark's last byte, so that the token is in one piece */
        int64_t start = first + MARK, spelled = special_at(f, text + start, len - start);
        if (!s) s = add_ids(f, &list, text, start, start + spelled, 0);
        from = start + spelled;
    }
    if (s) {
        sc_free(list.p);
        sc_free(list.span);
        return s;
    }
    *ids = list.p;
    if (spans) *spans = list.span;
    *n = list.n;
    return SC_OK;
}

sc_status sc_chat_usual(const sc_chat_format *f, json_t *v)
{
    const struct {
        const char *name;
        int32_t id;
    } tokens[] = {{"bos_token", sc_tokenizer_bos(f->tokenizer)},
                  {"eos_token", sc_tokenizer_eos(f->tokenizer)},
                  {"unk_token", sc_tokenizer_unk(f->tokenizer)},
                  {"pad_token", sc_tokenizer_pad(f->tokenizer)}};
    if (!json_object_get(v, "add_generation_prompt") &&
        json_object_set_new(v, "add_generation_prompt", json_true()))
        return sc_nomem();
    for (int i = 0; i < SC_COUNT(tokens); i++) {
        const char *text = tokens[i].id >= 0 ? sc_tokenizer_token(f->tokenizer, tokens[i].id, NULL) : NULL;
        if (text && !json_object_get(v, tokens[i].name) &&
            json_object_set_new(v, tokens[i].name, json_string(text)))
            return sc_nomem();
    }
    return SC_OK;
}

sc_status sc_chat_render(const sc_chat_format *f, const json_t *variables, char **text, int64_t *len,
                         sc_template_span **spans, int64_t *n_spans)
{
    char *json = json_dumps(variables, JSON_COMPACT);
    sc_status s =
        json ? sc_template_render_spans(text, len, spans, n_spans, f->chat, json, (int64_t)strlen(json), NULL)
             : sc_nomem();
    sc_free(json);
    return s;
}

sc_status sc_pipeline_chat_ids(const sc_pipeline *p, const char *variables, int64_t len, int32_t **ids, int64_t *n)
{
    json_t *v = NULL;
    char *text = NULL;
    int64_t text_len;
    if (!p->chat) return sc_fail(SC_ENOTFOUND, "the model has no chat template");
    sc_status s = sc_json_parse(&v, variables, len, "the template's variables");
    if (!s && !json_is_object(v)) s = sc_fail(SC_EFORMAT, "the template's variables are not a JSON object");
    if (!s) s = sc_chat_guard(&p->format, v);
    if (!s) s = sc_chat_usual(&p->format, v);
    if (!s) s = sc_chat_render(&p->format, v, &text, &text_len, NULL, NULL);
    if (!s) s = sc_chat_encode(&p->format, text, text_len, ids, NULL, n);
    json_decref(v);
    sc_free(text);
    return s;
}

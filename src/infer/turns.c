/* SPDX-License-Identifier: Apache-2.0 */
/* Which ids of a conversation are the assistant's answers, as its template writes them. */
#include "infer/infer.h"

/* Bytes of a rendered text that are the answer of a message. */
typedef struct answer {
    int64_t begin, end, message;
} answer;

typedef struct turns {
    const sc_chat_format *f;
    json_t *variables; /* a copy, guarded */
    const json_t *messages;
    int64_t n;
    answer *found;
    int64_t n_found, cap_found;
    int32_t *turn;
    int64_t cap_turn;
    sc_turn_ids_fn *fn;
    void *user;
} turns;

typedef struct rendering {
    char *text;
    int64_t len;
} rendering;

static bool is_answer(const turns *t, int64_t i)
{
    const char *role = json_string_value(json_object_get(json_array_get(t->messages, (size_t)i), "role"));
    return role && strcmp(role, "assistant") == 0;
}

/* The first n messages; ask: with what asks the assistant for the next one. */
static sc_status render(turns *t, int64_t n, bool ask, rendering *out, sc_template_span **spans, int64_t *n_spans)
{
    json_t *first = json_array();
    sc_status s = first ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++)
        if (json_array_append(first, json_array_get(t->messages, (size_t)i)) != 0) s = sc_nomem();
    if (!s && (json_object_set(t->variables, "messages", first) != 0 ||
               json_object_set_new(t->variables, "add_generation_prompt", json_boolean(ask)) != 0))
        s = sc_nomem();
    if (!s) s = sc_chat_render(t->f, t->variables, &out->text, &out->len, spans, n_spans);
    json_decref(first);
    return s;
}

static bool begins(const rendering *text, const rendering *with)
{
    return with->len <= text->len && memcmp(text->text, with->text, (size_t)with->len) == 0;
}

static int64_t common(const rendering *a, const rendering *b)
{
    int64_t n = SC_MIN(a->len, b->len), i = 0;
    while (i < n && a->text[i] == b->text[i]) i++;
    return i;
}

static sc_status note(turns *t, int64_t begin, int64_t end, int64_t message)
{
    if (!sc_grow(&t->found, &t->cap_found, t->n_found + 1, sizeof *t->found)) return sc_nomem();
    t->found[t->n_found++] = (answer){begin, end, message};
    return SC_OK;
}

/* Where in `whole` the answer that is message i begins, -1: it cannot be told. What asks for it may say more than stands
 * before it later, an empty line of thought; what it says in common with that is not the answer's. */
static sc_status begin_of(turns *t, const rendering *whole, int64_t i, int64_t *out)
{
    rendering asked = {0}, before = {0};
    sc_status s = render(t, i, true, &asked, NULL, NULL);
    *out = -1;
    if (!s && begins(whole, &asked))
        *out = asked.len;
    else if (!s && !(s = render(t, i, false, &before, NULL, NULL))) {
        int64_t same = common(whole, &asked);
        if (same > before.len && begins(whole, &before)) *out = same;
    }
    sc_free(asked.text);
    sc_free(before.text);
    return s;
}

/* Where in `whole` message i ends, -1: it cannot be told. Some templates end a conversation with the token that ends texts. */
static sc_status end_of(turns *t, const rendering *whole, int64_t i, int64_t *out)
{
    rendering upto = {0};
    if (i == t->n - 1) {
        *out = whole->len;
        return SC_OK;
    }
    sc_status s = render(t, i + 1, false, &upto, NULL, NULL);
    if (s) return s;
    const char *eos = json_string_value(json_object_get(t->variables, "eos_token"));
    int64_t n = eos ? (int64_t)strlen(eos) : 0;
    if (!begins(whole, &upto) && n && upto.len > n && memcmp(upto.text + upto.len - n, eos, (size_t)n) == 0)
        upto.len -= n;
    *out = begins(whole, &upto) ? upto.len : -1;
    sc_free(upto.text);
    return SC_OK;
}

/* Gives the text's ids with those of the answers that were found. */
static sc_status give(turns *t, rendering *whole)
{
    int32_t *ids = NULL;
    sc_token_span *span = NULL;
    int64_t n = 0, at = 0;
    sc_status s = sc_chat_encode(t->f, whole->text, whole->len, &ids, &span, &n);
    if (!s && !sc_grow(&t->turn, &t->cap_turn, n, sizeof *t->turn)) s = sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        while (at < t->n_found && t->found[at].end <= span[i].begin) at++;
        bool in = at < t->n_found && span[i].end > t->found[at].begin;
        t->turn[i] = in ? (int32_t)t->found[at].message : -1;
    }
    if (!s) s = t->fn(t->user, &(sc_turn_ids){ids, t->turn, n});
    sc_free(ids);
    sc_free(span);
    return s;
}

/* All answers in one text; *apart: it does not have them as they were asked for. */
static sc_status together(turns *t, bool *apart)
{
    rendering whole = {0};
    sc_template_span *spans = NULL;
    int64_t marked = 0;
    sc_status s = render(t, t->n, false, &whole, &spans, &marked);
    *apart = false;
    for (int64_t i = 0, k = 0; !s && !*apart && i < t->n; i++) {
        int64_t begin, end;
        if (!is_answer(t, i)) continue;
        if (marked) {
            if (k < marked) s = note(t, spans[k].begin, spans[k].end, i);
            k++;
            continue;
        }
        s = begin_of(t, &whole, i, &begin);
        if (!s) s = end_of(t, &whole, i, &end);
        if (s) break;
        *apart = begin < 0 || end < begin;
        if (!*apart) s = note(t, begin, end, i);
    }
    if (!s && !*apart) s = give(t, &whole);
    sc_free(whole.text);
    sc_free(spans);
    return s;
}

/* Each answer with what was before it when it was asked for. */
static sc_status one_by_one(turns *t)
{
    sc_status s = SC_OK;
    int64_t n = t->n;
    for (int64_t i = 0; !s && i < n; i++) {
        rendering whole = {0};
        int64_t begin;
        if (!is_answer(t, i)) continue;
        t->n = i + 1;
        t->n_found = 0;
        s = render(t, i + 1, false, &whole, NULL, NULL);
        if (!s) s = begin_of(t, &whole, i, &begin);
        if (!s && begin < 0)
            s = sc_fail(SC_EUNSUPPORTED,
                        "the template cannot mark the assistant's turn: what it writes with message %lld does not "
                        "begin with what it writes to ask for it",
                        (long long)i + 1);
        if (!s) s = note(t, begin, whole.len, i);
        if (!s) s = give(t, &whole);
        sc_free(whole.text);
    }
    return s;
}

sc_status sc_chat_turns(const sc_chat_format *f, const json_t *variables, sc_turn_ids_fn *fn, void *user)
{
    turns t = {.f = f, .fn = fn, .user = user};
    bool apart;
    if (!f->chat) return sc_fail(SC_ENOTFOUND, "the model has no chat template");
    json_t *messages = json_incref(json_object_get(variables, "messages"));
    if (!json_is_array(messages)) {
        json_decref(messages);
        return sc_fail(SC_EFORMAT, "\"messages\" is no list");
    }
    t.variables = json_deep_copy(variables);
    sc_status s = t.variables ? sc_chat_guard(f, t.variables) : sc_nomem();
    if (!s) s = sc_chat_usual(f, t.variables);
    json_decref(messages);
    messages = s ? NULL : json_incref(json_object_get(t.variables, "messages"));
    t.messages = messages;
    t.n = (int64_t)json_array_size(messages);
    if (!s) s = together(&t, &apart);
    if (!s && apart) s = one_by_one(&t);
    json_decref(messages);
    json_decref(t.variables);
    sc_free(t.found);
    sc_free(t.turn);
    return s;
}

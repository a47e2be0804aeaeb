/* SPDX-License-Identifier: Apache-2.0 */
/* A model behind OpenAI's protocol: /chat/completions for conversations, /completions for plain prompts and, with echo and
 * logprobs, for likelihoods. Servers differ in what they take; what is sent beyond the plainest fields is only what the request
 * differs from the defaults in. */
#include "ask/ask.h"
#include "ask/post.h"

#include <stdlib.h>

enum { MOST_AT_ONCE = 16 }; /* samples asked for in one request */

typedef struct sc_ask_endpoint {
    char *url, *key; /* key NULL: none */
    sc_post post;
    bool chat_only;
    bool one_by_one; /* it does not take n > 1 */
} sc_ask_endpoint;

static void close_endpoint(sc_asker *a)
{
    if (!a->api) return;
    sc_free(a->api->url);
    sc_free(a->api->key);
    sc_free(a->api);
}

sc_status sc_asker_open_api(sc_asker **out, sc_context *ctx, const sc_asker_api *api)
{
    if (!api->url || !api->model || !*api->model)
        return sc_fail(SC_EINVAL, "an endpoint's address and a model's name there");
    if (api->concurrency < 0 || api->concurrency > 64)
        return sc_fail(SC_EINVAL, "%d requests at once, outside 1 to 64", api->concurrency);
    if (!(api->timeout >= 0 && api->timeout <= 1e6))
        return sc_fail(SC_EINVAL, "a time limit of %g s", api->timeout);
    sc_asker *a = sc_calloc(1, sizeof *a);
    sc_ask_endpoint *e = sc_calloc(1, sizeof *e);
    if (!a || !e) {
        sc_free(a);
        sc_free(e);
        return sc_nomem();
    }
    a->kind = &sc_asker_endpoint;
    a->ctx = ctx;
    a->api = e;
    a->name = sc_strdup(api->model);
    e->url = sc_strdup(api->url);
    e->key = api->key && *api->key ? sc_strdup(api->key) : NULL;
    e->chat_only = api->chat_only;
    sc_status s = a->name && e->url && (e->key || !api->key || !*api->key) ? SC_OK : sc_nomem();
    for (size_t n = s ? 0 : strlen(e->url); n && e->url[n - 1] == '/'; n--) e->url[n - 1] = 0;
    e->post = (sc_post){.ctx = ctx,
                        .url = e->url,
                        .key = e->key,
                        .concurrency = api->concurrency ? api->concurrency : 4,
                        .retries = api->retries < 0 ? 0
                                   : api->retries   ? api->retries
                                                    : 5,
                        .timeout = api->timeout > 0 ? api->timeout : 600};
    if (!s) s = sc_post_check(&e->post);
    if (s)
        sc_asker_free(a);
    else
        *out = a;
    return s;
}

/* ---- requests ---- */

/* Sets o[key] to v, which it takes. */
static void put(json_t *o, const char *key, json_t *v, sc_status *s)
{
    if (json_object_set_new(o, key, v) && !*s)
        *s = sc_fail(SC_EINVAL, "what an endpoint is asked must be UTF-8: %s is not", key);
}

static json_t *text_value(sc_text t) { return json_stringn(t.p, (size_t)t.len); }

static sc_status dump(json_t *o, char **body, int64_t *len)
{
    char *text = json_dumps(o, JSON_COMPACT);
    *body = text ? sc_strdup(text) : NULL;
    *len = text ? (int64_t)strlen(text) : 0;
    free(text);
    return *body ? SC_OK : sc_nomem();
}

static void put_sampling(json_t *o, const sc_sampling *p, uint64_t seed, sc_status *s)
{
    bool draws = p->do_sample && p->temperature > 0;
    put(o, "temperature", json_real(draws ? p->temperature : 0), s);
    if (p->frequency_penalty != 0) put(o, "frequency_penalty", json_real(p->frequency_penalty), s);
    if (p->presence_penalty != 0) put(o, "presence_penalty", json_real(p->presence_penalty), s);
    if (p->repetition_penalty != 1) put(o, "repetition_penalty", json_real(p->repetition_penalty), s);
    if (!draws) return;
    put(o, "seed", json_integer((json_int_t)(seed & INT32_MAX)), s);
    if (p->top_p < 1) put(o, "top_p", json_real(p->top_p), s);
    if (p->top_k != 0 && p->top_k != 50) put(o, "top_k", json_integer(p->top_k), s);
    if (p->min_p > 0) put(o, "min_p", json_real(p->min_p), s);
}

/* The conversation as the protocol has it, with how the answer begins as the assistant's last message. */
static sc_status put_messages(json_t *o, const sc_ask_request *r)
{
    json_t *v = NULL, *list = NULL;
    sc_status s = SC_OK;
    if (r->prompt.p) {
        list = json_array();
        json_t *m = json_pack("{s:s}", "role", "user");
        if (!list || !m) s = sc_nomem();
        if (!s) put(m, "content", text_value(r->prompt), &s);
        if (json_array_append_new(list, m) && !s) s = sc_nomem();
    } else if (!(s = sc_json_parse(&v, r->messages.p, r->messages.len, "messages"))) {
        json_t *tools = json_object_get(v, "tools");
        if (tools) put(o, "tools", json_incref(tools), &s);
        list = json_deep_copy(json_is_object(v) ? json_object_get(v, "messages") : v);
        if (!json_is_array(list)) s = sc_fail(SC_EINVAL, "messages are no array");
    }
    if (!s && r->begin.p && r->begin.len) {
        json_t *m = json_pack("{s:s}", "role", "assistant");
        if (m) put(m, "content", text_value(r->begin), &s);
        if (json_array_append_new(list, m) && !s) s = sc_nomem();
    }
    if (!s)
        put(o, "messages", list, &s);
    else
        json_decref(list);
    json_decref(v);
    return s;
}

static sc_status put_prompt(json_t *o, const sc_ask_request *r)
{
    sc_str whole = {0};
    sc_status s = SC_OK;
    sc_str_append(&whole, r->prompt.p, r->prompt.len);
    if (r->begin.p) sc_str_append(&whole, r->begin.p, r->begin.len);
    if (whole.oom)
        s = sc_nomem();
    else
        put(o, "prompt", json_stringn(whole.p ? whole.p : "", (size_t)whole.len), &s);
    sc_str_free(&whole);
    return s;
}

/* ---- answers ---- */

/* Some samples of one request. */
typedef struct share {
    int64_t request;
    int from, count, have;
} share;

typedef struct asking {
    sc_asker *a;
    const sc_ask_request *request;
    const int64_t *first;
    sc_ask_answer *answers;
    share *share;
    int64_t n_shares;
    int64_t *todo; /* (n_todo) shares that are asked for in this round */
    int64_t n_todo;
    int64_t *left; /* samples of each request that are not there */
    int64_t n, ended;
    sc_ask_done done;
    void *user;
} asking;

static sc_status generate_body(void *user, int64_t i, const char **path, char **body, int64_t *len)
{
    asking *x = user;
    const share *h = &x->share[x->todo[i]];
    const sc_ask_request *r = &x->request[h->request];
    bool chat = r->messages.p || x->a->api->chat_only;
    json_t *o = json_object();
    if (!o) return sc_nomem();
    sc_status s = SC_OK;
    put(o, "model", json_string(x->a->name), &s);
    if (!s) s = chat ? put_messages(o, r) : put_prompt(o, r);
    put(o, "max_tokens", json_integer(r->max_new_tokens), &s);
    put_sampling(o, &r->sampling, r->sampling.seed + r->sampling.stream + (uint64_t)(h->from + h->have), &s);
    if (h->count - h->have > 1) put(o, "n", json_integer(h->count - h->have), &s);
    if (r->n_stop) {
        json_t *stop = json_array();
        for (int64_t k = 0; k < r->n_stop; k++) json_array_append_new(stop, json_string(r->stop[k]));
        put(o, "stop", stop, &s);
    }
    *path = chat ? "/chat/completions" : "/completions";
    if (!s) s = dump(o, body, len);
    json_decref(o);
    return s;
}

/* Servers may leave it out, stop late, or not know a stop text: the answer ends before the first of them. */
static int64_t until_stop(const sc_ask_request *r, const char *text, int64_t len)
{
    for (int64_t k = 0; k < r->n_stop; k++) {
        const char *at = memmem(text, (size_t)len, r->stop[k], strlen(r->stop[k]));
        if (at) len = at - text;
    }
    return len;
}

static sc_status take_choice(asking *x, share *h, const json_t *choice)
{
    const sc_ask_request *r = &x->request[h->request];
    sc_ask_answer *to = &x->answers[x->first[h->request] + h->from + h->have];
    const json_t *message = json_object_get(choice, "message");
    const json_t *text = message ? json_object_get(message, "content") : json_object_get(choice, "text");
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    if (text && !json_is_string(text) && !json_is_null(text))
        return sc_fail(SC_EFORMAT, "%s: the answer's text is no string", x->a->api->url);
    if (!text) return sc_fail(SC_EFORMAT, "%s: an answer without text", x->a->api->url);
    const char *p = json_is_string(text) ? json_string_value(text) : "";
    int64_t len = (int64_t)json_string_length(text);
    sc_status s = sc_ask_keep(to, p, until_stop(r, p, len));
    if (s) return s;
    to->finish_reason = reason && !strcmp(reason, "stop")     ? "stop"
                        : reason && !strcmp(reason, "length") ? "length"
                                                              : "other";
    if (to->len < len) to->finish_reason = "stop";
    h->have++;
    return SC_OK;
}

static int64_t count_at(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 && v < (json_int_t)1 << 40 ? v : 0;
}

static sc_status parse_answer(const sc_asker *a, const char *text, int64_t len, json_t **o, const json_t **choices)
{
    sc_status s = sc_json_parse(o, text, len, "the endpoint's answer");
    if (s) return sc_fail_in(s, "%s", a->api->url);
    *choices = json_object_get(*o, "choices");
    if (json_is_array(*choices) && json_array_size(*choices)) return SC_OK;
    json_decref(*o);
    *o = NULL;
    return sc_fail(SC_EFORMAT, "%s: an answer without choices", a->api->url);
}

static sc_status generate_answer(void *user, int64_t i, const char *text, int64_t len)
{
    asking *x = user;
    share *h = &x->share[x->todo[i]];
    json_t *o = NULL;
    const json_t *choices = NULL;
    int before = h->have;
    sc_status s = parse_answer(x->a, text, len, &o, &choices);
    for (size_t k = 0; !s && k < json_array_size(choices) && h->have < h->count; k++)
        s = take_choice(x, h, json_array_get(choices, k));
    if (s) {
        json_decref(o);
        return s;
    }
    const json_t *usage = json_object_get(o, "usage");
    int64_t generated = count_at(usage, "completion_tokens");
    x->a->counts.prompt_tokens += count_at(usage, "prompt_tokens");
    x->a->counts.cached_tokens += count_at(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    x->a->counts.generated_tokens += generated;
    if (h->have - before == 1) x->answers[x->first[h->request] + h->from + before].tokens = generated;
    json_decref(o);
    if ((x->left[h->request] -= h->have - before) > 0) return SC_OK;
    x->ended++;
    sc_ask_progress(x->a, "answers", x->ended, x->n);
    if (x->done && !x->done(x->user, h->request, &x->answers[x->first[h->request]])) return sc_ask_stopped();
    return SC_OK;
}

/* The samples of all requests, at most so many in one request; how many are there already stays. */
static sc_status divide(asking *x, int most)
{
    int64_t n = 0;
    for (int64_t i = 0; i < x->n; i++) n += (SC_MAX(x->request[i].samples, 1) + most - 1) / most;
    sc_free(x->share);
    sc_free(x->todo);
    x->share = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x->share);
    x->todo = sc_malloc(sizeof *x->todo * (size_t)SC_MAX(n, 1));
    x->n_shares = 0;
    if (!x->share || !x->todo) return sc_nomem();
    for (int64_t i = 0; i < x->n; i++)
        for (int k = 0, all = SC_MAX(x->request[i].samples, 1); k < all; k += most) {
            share *h = &x->share[x->n_shares++];
            *h = (share){.request = i, .from = k, .count = SC_MIN(most, all - k)};
            while (h->have < h->count && x->answers[x->first[i] + k + h->have].text) h->have++;
        }
    return SC_OK;
}

/* Rounds: a server may give fewer samples than it was asked for. */
static sc_status ask_all(asking *x)
{
    sc_ask_endpoint *e = x->a->api;
    sc_status s = divide(x, e->one_by_one ? 1 : MOST_AT_ONCE);
    while (!s) {
        bool several = false;
        x->n_todo = 0;
        for (int64_t i = 0; i < x->n_shares; i++)
            if (x->share[i].have < x->share[i].count) {
                several = several || x->share[i].count - x->share[i].have > 1;
                x->todo[x->n_todo++] = i;
            }
        if (!x->n_todo) break;
        sc_post post = e->post;
        post.body = generate_body;
        post.answer = generate_answer;
        post.user = x;
        s = sc_post_all(&post, x->n_todo);
        x->a->counts.retries += post.retried;
        if (s == SC_EINVAL && several) { /* n is what some do not know */
            e->one_by_one = true;
            s = divide(x, 1);
        }
    }
    return s;
}

static sc_status generate_endpoint(sc_asker *a, const sc_ask_request *r, int64_t n, const int64_t *first,
                                   sc_ask_answer *answers, sc_ask_done done, void *user)
{
    asking x = {.a = a, .request = r, .first = first, .answers = answers, .n = n, .done = done, .user = user};
    sc_status s = (x.left = sc_malloc(sizeof *x.left * (size_t)SC_MAX(n, 1))) ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) x.left[i] = SC_MAX(r[i].samples, 1);
    if (!s) s = ask_all(&x);
    sc_free(x.left);
    sc_free(x.share);
    sc_free(x.todo);
    return s;
}

/* ---- likelihoods ---- */

typedef struct scoring {
    sc_asker *a;
    const sc_ask_continuation *request;
    sc_ask_score *out;
    int64_t n, ended;
    sc_ask_done done;
    void *user;
} scoring;

static int64_t code_points(const char *p, int64_t n)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += ((unsigned char)p[i] & 0xC0) != 0x80;
    return count;
}

/* As on a local model: spaces at the context's end belong to the continuation. */
static int64_t context_points(const sc_ask_continuation *r)
{
    int64_t n = r->context.len;
    while (n > 0 && strchr(" \t\n\v\f\r", r->context.p[n - 1]) && r->context.p[n - 1]) n--;
    return code_points(r->context.p, n);
}

static sc_status score_body(void *user, int64_t i, const char **path, char **body, int64_t *len)
{
    scoring *x = user;
    const sc_ask_continuation *r = &x->request[i];
    sc_str whole = {0};
    json_t *o = json_object();
    sc_status s = SC_OK;
    sc_str_append(&whole, r->context.p, r->context.len);
    sc_str_append(&whole, r->continuation.p, r->continuation.len);
    if (!o || whole.oom) s = sc_nomem();
    if (!s) {
        put(o, "model", json_string(x->a->name), &s);
        put(o, "prompt", json_stringn(whole.p, (size_t)whole.len), &s);
        put(o, "max_tokens", json_integer(1), &s); /* some refuse 0 */
        put(o, "temperature", json_integer(0), &s);
        put(o, "logprobs", json_integer(1), &s);
        put(o, "echo", json_true(), &s);
    }
    *path = "/completions";
    if (!s) s = dump(o, body, len);
    json_decref(o);
    sc_str_free(&whole);
    return s;
}

/* Whether a token is the likeliest: nothing among the alternatives is likelier. */
static bool is_top(const json_t *alternatives, double logprob)
{
    const char *key;
    json_t *v;
    if (!json_is_object(alternatives) || !json_object_size(alternatives)) return false;
    json_object_foreach((json_t *)alternatives, key, v)
    {
        if (json_number_value(v) > logprob) return false;
    }
    return true;
}

/* Adds up the tokens that end behind `from` and begin before `to`, in code points of the text. */
static sc_status add_tokens(const scoring *x, const json_t *logprobs, int64_t from, int64_t to, sc_ask_score *out)
{
    const json_t *tokens = json_object_get(logprobs, "tokens"),
                 *values = json_object_get(logprobs, "token_logprobs"),
                 *top = json_object_get(logprobs, "top_logprobs"),
                 *offsets = json_object_get(logprobs, "text_offset");
    size_t n = json_array_size(tokens);
    int64_t at = 0;
    if (!n || json_array_size(values) != n)
        return sc_fail(SC_EUNSUPPORTED, "%s: it gives no log probabilities of a prompt (echo with logprobs)",
                       x->a->api->url);
    *out = (sc_ask_score){.greedy = true};
    for (size_t i = 0; i < n; i++) {
        const json_t *token = json_array_get(tokens, i), *v = json_array_get(values, i);
        int64_t length =
            json_is_string(token) ? code_points(json_string_value(token), (int64_t)json_string_length(token)) : 0;
        int64_t begin = json_array_size(offsets) == n ? json_integer_value(json_array_get(offsets, i)) : at;
        int64_t end = json_array_size(offsets) == n && i + 1 < n
                          ? json_integer_value(json_array_get(offsets, i + 1))
                          : begin + length;
        at = end;
        if (begin >= to) break;
        if (end <= from) continue;
        if (!json_is_number(v))
            return sc_fail(SC_EUNSUPPORTED, "%s: it gives a text's first token no probability: a context is needed",
                           x->a->api->url);
        out->logprob += json_number_value(v);
        out->greedy = out->greedy && is_top(json_array_get(top, i), json_number_value(v));
        out->tokens++;
    }
    return out->tokens ? SC_OK
                       : sc_fail(SC_EFORMAT, "%s: no token of the answer lies in the continuation", x->a->api->url);
}

static sc_status score_answer(void *user, int64_t i, const char *text, int64_t len)
{
    scoring *x = user;
    const sc_ask_continuation *r = &x->request[i];
    json_t *o;
    const json_t *choices;
    sc_status s = parse_answer(x->a, text, len, &o, &choices);
    if (s) return s;
    int64_t all = code_points(r->context.p, r->context.len) + code_points(r->continuation.p, r->continuation.len);
    s = add_tokens(x, json_object_get(json_array_get(choices, 0), "logprobs"), context_points(r), all, &x->out[i]);
    x->a->counts.prompt_tokens += count_at(json_object_get(o, "usage"), "prompt_tokens");
    json_decref(o);
    if (s) return s;
    x->a->counts.scored_tokens += x->out[i].tokens;
    x->ended++;
    sc_ask_progress(x->a, "likelihoods", x->ended, x->n);
    if (x->done && !x->done(x->user, i, &x->out[i])) return sc_ask_stopped();
    return SC_OK;
}

static sc_status score_endpoint(sc_asker *a, const sc_ask_continuation *r, int64_t n, sc_ask_score *out,
                                sc_ask_done done, void *user)
{
    scoring x = {.a = a, .request = r, .out = out, .n = n, .done = done, .user = user};
    if (a->api->chat_only)
        return sc_fail(SC_EUNSUPPORTED, "%s: a chat endpoint tells no likelihood of given texts", a->api->url);
    for (int64_t i = 0; i < n; i++)
        if (r[i].messages.p)
            return sc_fail(SC_EUNSUPPORTED, "%s: an endpoint tells likelihoods behind plain contexts only",
                           a->api->url);
    sc_post post = a->api->post;
    post.body = score_body;
    post.answer = score_answer;
    post.user = &x;
    sc_status s = sc_post_all(&post, n);
    a->counts.retries += post.retried;
    return s;
}

const sc_asker_kind sc_asker_endpoint = {
    .generate = generate_endpoint, .score = score_endpoint, .close = close_endpoint};

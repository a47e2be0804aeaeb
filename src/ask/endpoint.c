/* SPDX-License-Identifier: Apache-2.0 */
/* A model behind OpenAI's protocol: /chat/completions for conversations, /completions for plain prompts and, with echo and
 * logprobs, for likelihoods. Servers differ in what they take; what is sent beyond the plainest fields is only what the request
 * differs from the defaults in. */
#include "ask/ask.h"
#include "ask/post.h"
#include "ask/reply.h"

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
    *body = json_dumps(o, JSON_COMPACT);
    *len = *body ? (int64_t)strlen(*body) : 0;
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
    if (r->logprob) put(o, "logprobs", chat ? json_true() : json_integer(0), &s);
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

static sc_status generate_answer(void *user, int64_t i, const char *text, int64_t len)
{
    asking *x = user;
    share *h = &x->share[x->todo[i]];
    sc_ask_answer *to = &x->answers[x->first[h->request] + h->from];
    sc_ask_reply reply;
    int before = h->have;
    sc_status s = sc_ask_reply_read(&reply, text, len, x->a->api->url);
    for (int k = 0; !s && k < sc_ask_reply_choices(&reply) && h->have < h->count; k++)
        if (!(s = sc_ask_reply_choice(&reply, k, &x->request[h->request], &to[h->have]))) h->have++;
    if (!s) {
        int64_t generated = sc_ask_reply_usage(&reply, &x->a->counts);
        if (h->have - before == 1) to[before].tokens = generated;
    }
    sc_ask_reply_free(&reply);
    if (s || (x->left[h->request] -= h->have - before) > 0) return s;
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

static sc_status score_answer(void *user, int64_t i, const char *text, int64_t len)
{
    scoring *x = user;
    sc_ask_reply reply;
    sc_status s = sc_ask_reply_read(&reply, text, len, x->a->api->url);
    if (!s) s = sc_ask_reply_score(&reply, &x->request[i], &x->out[i]);
    if (!s) {
        sc_ask_counts used = {0}; /* the token that is generated along with a likelihood is nobody's answer */
        sc_ask_reply_usage(&reply, &used);
        x->a->counts.prompt_tokens += used.prompt_tokens;
    }
    if (!s) x->a->counts.scored_tokens += x->out[i].tokens;
    sc_ask_reply_free(&reply);
    if (s) return s;
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

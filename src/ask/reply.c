/* SPDX-License-Identifier: Apache-2.0 */
#include "ask/reply.h"

#include <math.h>

sc_status sc_ask_reply_read(sc_ask_reply *out, const char *text, int64_t len, const char *url)
{
    *out = (sc_ask_reply){.url = url};
    sc_status s = sc_json_parse(&out->o, text, len, "the endpoint's answer");
    if (s) {
        out->o = NULL;
        return sc_fail_in(s, "%s", url);
    }
    out->choices = json_object_get(out->o, "choices");
    if (json_is_array(out->choices) && json_array_size(out->choices)) return SC_OK;
    return sc_fail(SC_EFORMAT, "%s: an answer without choices", url);
}

void sc_ask_reply_free(sc_ask_reply *x)
{
    json_decref(x->o);
    *x = (sc_ask_reply){0};
}

int sc_ask_reply_choices(const sc_ask_reply *x) { return (int)SC_MIN(json_array_size(x->choices), 1 << 20); }

/* ---- answers ---- */

/* Servers may leave it out, stop late, or not know a stop text: the answer ends before the first of them. */
static int64_t until_stop(const sc_ask_request *r, const char *text, int64_t len)
{
    for (int64_t k = 0; k < r->n_stop; k++) {
        const char *at = memmem(text, (size_t)len, r->stop[k], strlen(r->stop[k]));
        if (at) len = at - text;
    }
    return len;
}

/* The sum of an answer's log probabilities, as chats tell them (content) or completions (token_logprobs); NAN: neither. */
static double sum_of(const json_t *logprobs)
{
    const json_t *content = json_object_get(logprobs, "content"),
                 *values = json_object_get(logprobs, "token_logprobs");
    size_t n = json_array_size(content ? content : values);
    double sum = n ? 0 : NAN;
    for (size_t i = 0; i < n; i++) {
        const json_t *v =
            content ? json_object_get(json_array_get(content, i), "logprob") : json_array_get(values, i);
        sum += json_is_number(v) ? json_number_value(v) : NAN;
    }
    return sum;
}

sc_status sc_ask_reply_choice(const sc_ask_reply *x, int i, const sc_ask_request *r, sc_ask_answer *to)
{
    const json_t *choice = json_array_get(x->choices, (size_t)i);
    const json_t *message = json_object_get(choice, "message");
    const json_t *text = message ? json_object_get(message, "content") : json_object_get(choice, "text");
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    if (text && !json_is_string(text) && !json_is_null(text))
        return sc_fail(SC_EFORMAT, "%s: the answer's text is no string", x->url);
    if (!text) return sc_fail(SC_EFORMAT, "%s: an answer without text", x->url);
    const char *p = json_is_string(text) ? json_string_value(text) : "";
    int64_t len = (int64_t)json_string_length(text);
    sc_status s = sc_ask_keep(to, p, until_stop(r, p, len));
    if (s) return s;
    to->finish_reason = reason && !strcmp(reason, "stop")     ? "stop"
                        : reason && !strcmp(reason, "length") ? "length"
                                                              : "other";
    if (to->len < len) to->finish_reason = "stop";
    to->logprob = sum_of(json_object_get(choice, "logprobs"));
    return SC_OK;
}

static int64_t count_at(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 && v < (json_int_t)1 << 40 ? v : 0;
}

int64_t sc_ask_reply_usage(const sc_ask_reply *x, sc_ask_counts *add)
{
    const json_t *usage = json_object_get(x->o, "usage");
    int64_t generated = count_at(usage, "completion_tokens");
    add->prompt_tokens += count_at(usage, "prompt_tokens");
    add->cached_tokens += count_at(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
    add->generated_tokens += generated;
    return generated;
}

/* ---- likelihoods ---- */

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
static sc_status add_tokens(const sc_ask_reply *x, const json_t *logprobs, int64_t from, int64_t to,
                            sc_ask_score *out)
{
    const json_t *tokens = json_object_get(logprobs, "tokens"),
                 *values = json_object_get(logprobs, "token_logprobs"),
                 *top = json_object_get(logprobs, "top_logprobs"),
                 *offsets = json_object_get(logprobs, "text_offset");
    size_t n = json_array_size(tokens);
    int64_t at = 0;
    if (!n || json_array_size(values) != n)
        return sc_fail(SC_EUNSUPPORTED, "%s: it gives no log probabilities of a prompt (echo with logprobs)",
                       x->url);
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
                           x->url);
        out->logprob += json_number_value(v);
        out->greedy = out->greedy && is_top(json_array_get(top, i), json_number_value(v));
        out->tokens++;
    }
    return out->tokens ? SC_OK : sc_fail(SC_EFORMAT, "%s: no token of the answer lies in the continuation", x->url);
}

sc_status sc_ask_reply_score(const sc_ask_reply *x, const sc_ask_continuation *r, sc_ask_score *out)
{
    int64_t all = code_points(r->context.p, r->context.len) + code_points(r->continuation.p, r->continuation.len);
    return add_tokens(x, json_object_get(json_array_get(x->choices, 0), "logprobs"), context_points(r), all, out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What all that answer have in common: checks, counts, the order of the answers. */
#include "ask/ask.h"

#include <math.h>
#include <sys/resource.h>

enum { MOST_SAMPLES = 4096 };

void sc_asker_free(sc_asker *a)
{
    if (!a) return;
    if (a->kind) a->kind->close(a);
    sc_free(a->name);
    sc_free(a);
}

const char *sc_asker_name(const sc_asker *a) { return a->name; }
sc_pipeline *sc_asker_pipeline(const sc_asker *a) { return a->p; }
bool sc_asker_chats(const sc_asker *a) { return !a->p || sc_pipeline_has_template(a->p); }

void sc_asker_counts(const sc_asker *a, sc_ask_counts *out)
{
    struct rusage usage;
    *out = a->counts;
    if (getrusage(RUSAGE_SELF, &usage) == 0) out->peak_bytes = (int64_t)usage.ru_maxrss * 1024;
}

void sc_ask_progress(const sc_asker *a, const char *what, int64_t done, int64_t total)
{
    if (a->ctx) sc_progress(a->ctx, what, done, total);
}

sc_status sc_ask_stopped(void) { return sc_fail(SC_ECANCELLED, "stopped by the caller"); }

sc_status sc_ask_keep(sc_ask_answer *to, const char *text, int64_t len)
{
    char *copy = sc_strndup(text ? text : "", (size_t)len);
    if (!copy) return sc_nomem();
    sc_free(to->text);
    to->text = copy;
    to->len = len;
    return SC_OK;
}

void sc_ask_answers_free(sc_ask_answer *answers, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        sc_free(answers[i].text);
        answers[i] = (sc_ask_answer){0};
    }
}

static sc_status check_prompt(const sc_asker *a, sc_text prompt, sc_text messages)
{
    if (!prompt.p == !messages.p) return sc_fail(SC_EINVAL, "either a plain prompt or messages");
    if (messages.p && !sc_asker_chats(a))
        return sc_fail(SC_ENOTFOUND, "%s has no chat template: it can be asked with plain prompts only", a->name);
    return SC_OK;
}

static sc_status check_request(const sc_asker *a, const sc_ask_request *r)
{
    sc_status s = check_prompt(a, r->prompt, r->messages);
    if (!s) s = sc_sampling_check(&r->sampling);
    if (s) return s;
    if (r->max_new_tokens < 1 || r->max_new_tokens > (int64_t)1 << 24)
        return sc_fail(SC_EINVAL, "max_new_tokens is %lld, outside 1 to 2^24", (long long)r->max_new_tokens);
    if (r->samples < 0 || r->samples > MOST_SAMPLES)
        return sc_fail(SC_EINVAL, "%d samples of one prompt, outside 1 to %d", r->samples, MOST_SAMPLES);
    return SC_OK;
}

sc_status sc_asker_generate(sc_asker *a, const sc_ask_request *requests, int64_t n, sc_ask_answer *answers,
                            sc_ask_done done, void *user)
{
    double start = sc_now();
    int64_t total = 0;
    int64_t *first = sc_malloc(sizeof *first * (size_t)SC_MAX(n, 1));
    sc_status s = first ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        if ((s = check_request(a, &requests[i]))) sc_fail_in(s, "prompt %lld", (long long)i + 1);
        first[i] = total;
        total += SC_MAX(requests[i].samples, 1);
    }
    if (!s) {
        for (int64_t i = 0; i < total; i++) answers[i] = (sc_ask_answer){.finish_reason = "other", .logprob = NAN};
        s = a->kind->generate(a, requests, n, first, answers, done, user);
        if (s) sc_ask_answers_free(answers, total);
    }
    if (!s) a->counts.requests += n;
    a->counts.seconds += sc_now() - start;
    sc_free(first);
    return s;
}

sc_status sc_asker_score(sc_asker *a, const sc_ask_continuation *requests, int64_t n, sc_ask_score *out,
                         sc_ask_done done, void *user)
{
    double start = sc_now();
    sc_status s = SC_OK;
    for (int64_t i = 0; i < n && !s; i++) {
        s = check_prompt(a, requests[i].context, requests[i].messages);
        if (!s && requests[i].begin.len && !requests[i].messages.p)
            s = sc_fail(SC_EINVAL, "a beginning goes with messages; a plain context has it at its end");
        if (!s && requests[i].continuation.len < 1) s = sc_fail(SC_EINVAL, "an empty continuation");
        if (s) sc_fail_in(s, "continuation %lld", (long long)i + 1);
    }
    if (!s) s = a->kind->score(a, requests, n, out, done, user);
    if (!s) a->counts.requests += n;
    a->counts.seconds += sc_now() - start;
    return s;
}

sc_status sc_asker_score_texts(sc_asker *a, const sc_text *texts, int64_t n, sc_ask_score *out, sc_ask_done done,
                               void *user)
{
    double start = sc_now();
    if (!a->kind->score_texts)
        return sc_fail(SC_EUNSUPPORTED, "%s: the likelihood of whole texts is asked of local models only", a->name);
    sc_status s = a->kind->score_texts(a, texts, n, out, done, user);
    if (!s) a->counts.requests += n;
    a->counts.seconds += sc_now() - start;
    return s;
}

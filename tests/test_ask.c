/* SPDX-License-Identifier: Apache-2.0 */
/* A local model asked many things at once, beside the pipeline asked one by one and the model as a function. */
#include "ask_common.h"
#include "one_context.h"

#include "ask/ask.h"
#include "infer/infer.h"

#include <math.h>

#define PLAIN_MODEL SOCLE_SOURCE_DIR "/tests/data/models/gpt2"

static sc_asker *open_batch(int batch, int64_t context)
{
    sc_asker *a;
    ok(sc_asker_open(&a, ctx, CHAT_MODEL, &(sc_asker_options){.batch = batch, .context = context}));
    return a;
}

static const char *const prompts[] = {"The quick brown fox",
                                      "The quick",
                                      "One two three four five six seven",
                                      "",
                                      "The quick brown fox jumps over",
                                      "Z"};

static sc_ask_request request_of(const char *prompt, bool sample)
{
    sc_ask_request r = {
        .prompt = text_of(*prompt ? prompt : "x"), .sampling = SC_SAMPLING_INIT, .max_new_tokens = 12};
    r.sampling.do_sample = sample;
    r.sampling.temperature = 0.8;
    r.sampling.seed = 7;
    return r;
}

/* What the pipeline answers to the same, one after the other. */
static bool append(void *user, const char *piece, int64_t len)
{
    sc_str_append(user, piece, len);
    return true;
}

static void compare_with_pipeline(const sc_ask_request *r, int sample, const sc_ask_answer *got)
{
    sc_pipeline *p;
    int32_t *ids;
    int64_t n;
    sc_str text = {0};
    sc_text_result result;
    ok(sc_pipeline_open(&p, ctx, CHAT_MODEL, NULL));
    ok(sc_pipeline_text_ids(p, r->prompt.p, r->prompt.len, &ids, &n));
    sc_text_request t = {.ids = ids,
                         .n_ids = n,
                         .sampling = r->sampling,
                         .max_new_tokens = r->max_new_tokens,
                         .stop = r->stop,
                         .n_stop = r->n_stop,
                         .ignore_eos = r->ignore_eos,
                         .text = append,
                         .user = &text};
    t.sampling.stream += (uint64_t)sample;
    ok(sc_pipeline_generate(p, &t, &result));
    assert_string_equal(got->text, text.p ? text.p : "");
    assert_int_equal(got->len, text.len);
    assert_string_equal(got->finish_reason, result.finish_reason);
    assert_int_equal(got->tokens, result.generated_tokens);
    sc_free(result.ids);
    sc_free(ids);
    sc_str_free(&text);
    sc_pipeline_free(p);
}

static void answers_as_the_pipeline(void **state)
{
    (void)state;
    enum { N = SC_COUNT(prompts), SAMPLES = 3 };
    sc_ask_request r[N];
    sc_ask_answer first[N * SAMPLES] = {0};
    static const char *const stop[] = {"e", "\n"};
    for (int i = 0; i < N; i++) {
        r[i] = request_of(prompts[i], i % 2);
        r[i].samples = SAMPLES;
        r[i].sampling.stream = (uint64_t)i * 100;
        r[i].max_new_tokens = 3 + 4 * i;
        if (i == 4) r[i].stop = stop, r[i].n_stop = 2;
        r[i].ignore_eos = i == 5;
    }
    for (int batch = 1; batch <= 16; batch *= 4) {
        sc_asker *a = open_batch(batch, 0);
        sc_ask_answer got[N * SAMPLES];
        ok(sc_asker_generate(a, r, N, got, NULL, NULL));
        for (int i = 0; i < N * SAMPLES; i++) {
            if (batch == 1) {
                compare_with_pipeline(&r[i / SAMPLES], i % SAMPLES, &got[i]);
                first[i] = got[i];
            } else {
                assert_string_equal(got[i].text, first[i].text);
                assert_true(got[i].logprob == first[i].logprob);
                sc_ask_answers_free(&got[i], 1);
            }
        }
        sc_ask_counts c;
        sc_asker_counts(a, &c);
        assert_int_equal(c.requests, N);
        assert_true(c.peak_bytes > 0 && c.seconds > 0 && c.generated_tokens > 0);
        /* "The quick" is shared, and samples add nothing to the prompts */
        assert_true(c.cached_tokens > 0 && c.prompt_tokens < 200);
        sc_asker_free(a);
    }
    sc_ask_answers_free(first, N * SAMPLES);
}

static void messages_go_through_the_template(void **state)
{
    (void)state;
    sc_asker *a = open_batch(4, 0);
    sc_ask_answer got[3];
    static const char list[] = "[{\"role\": \"user\", \"content\": \"hi\"}]",
                      whole[] = " {\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}",
                      plain[] = "<|user|>hi<|end|><|assistant|>";
    sc_ask_request r[3] = {request_of("x", false), request_of("x", false), request_of(plain, false)};
    r[0].prompt = r[1].prompt = (sc_text){0};
    r[0].messages = text_of(list);
    r[1].messages = text_of(whole);
    ok(sc_asker_generate(a, r, 3, got, NULL, NULL));
    assert_string_equal(got[0].text, got[2].text);
    assert_string_equal(got[1].text, got[2].text);
    sc_ask_answers_free(got, 3);
    /* how the answer begins is read but not repeated */
    r[0].begin = text_of(" So");
    r[1] = request_of("<|user|>hi<|end|><|assistant|> So", false);
    ok(sc_asker_generate(a, r, 2, got, NULL, NULL));
    assert_string_equal(got[0].text, got[1].text);
    sc_ask_answers_free(got, 2);
    r[0].messages = text_of("[{\"role\"");
    fails(sc_asker_generate(a, r, 1, got, NULL, NULL), SC_EFORMAT, "prompt 1");
    sc_asker_free(a);
}

static bool count_done(void *user, int64_t i, const void *result)
{
    const sc_ask_answer *x = result;
    int *seen = user;
    assert_non_null(x->text);
    seen[i]++;
    return seen[5] == 0;
}

static void hands_answers_over_one_by_one(void **state)
{
    (void)state;
    sc_asker *a = open_batch(2, 0);
    sc_ask_request r[6];
    sc_ask_answer got[6];
    int seen[6] = {0};
    for (int i = 0; i < 6; i++) {
        r[i] = request_of("The", true);
        r[i].sampling.stream = (uint64_t)i;
    }
    ok(sc_asker_generate(a, r, 5, got, count_done, seen));
    for (int i = 0; i < 5; i++) assert_int_equal(seen[i], 1);
    sc_ask_answers_free(got, 5);
    fails(sc_asker_generate(a, r, 6, got, count_done, seen), SC_ECANCELLED, "caller");
    for (int i = 0; i < 6; i++) assert_null(got[i].text);
    /* and the asker is as good as new */
    ok(sc_asker_generate(a, r, 1, got, NULL, NULL));
    sc_ask_answers_free(got, 1);
    sc_asker_free(a);
}

static void long_prompts_are_refused_or_cut(void **state)
{
    (void)state;
    enum { CONTEXT = 40 };
    sc_asker *a = open_batch(2, CONTEXT);
    char text[400];
    for (int i = 0; i < 399; i++) text[i] = (char)("abcdefg "[i % 8]);
    text[399] = 0;
    sc_ask_request r = request_of(text, false);
    sc_ask_answer got;
    r.max_new_tokens = 10;
    r.ignore_eos = true;
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_ELIMIT, "in a context of 40");
    r.cut = true;
    ok(sc_asker_generate(a, &r, 1, &got, NULL, NULL));
    assert_true(got.prompt_cut > 0);
    assert_string_equal(got.finish_reason, "length");
    assert_int_equal(got.tokens, 10);
    sc_ask_answers_free(&got, 1);
    r = request_of("a", false);
    r.max_new_tokens = 1000;
    r.ignore_eos = true;
    ok(sc_asker_generate(a, &r, 1, &got, NULL, NULL));
    assert_string_equal(got.finish_reason, "context");
    sc_ask_answers_free(&got, 1);
    sc_asker_free(a);
}

/* A cache that holds few answers: others wait, and what is said stays the same. */
static void answers_wait_for_room(void **state)
{
    (void)state;
    enum { N = 5, CONTEXT = 64 };
    sc_asker *wide = open_batch(8, CONTEXT), *narrow = open_batch(8, CONTEXT);
    sc_ask_request r[N];
    sc_ask_answer want[2 * N], got[2 * N];
    sc_session_free(narrow->p->session);
    narrow->room = 2 * CONTEXT;
    ok(sc_session_new(&narrow->p->session, narrow->p->model,
                      &(sc_session_options){.context = narrow->room, .sequences = narrow->batch + 1}));
    for (int i = 0; i < N; i++) {
        r[i] = request_of(prompts[i], true);
        r[i].samples = 2;
        r[i].ignore_eos = true;
        r[i].max_new_tokens = i % 2 ? CONTEXT : 25;
    }
    ok(sc_asker_generate(wide, r, N, want, NULL, NULL));
    ok(sc_asker_generate(narrow, r, N, got, NULL, NULL));
    for (int i = 0; i < 2 * N; i++) assert_string_equal(got[i].text, want[i].text);
    sc_ask_answers_free(want, 2 * N);
    sc_ask_answers_free(got, 2 * N);
    sc_asker_free(wide);
    sc_asker_free(narrow);
}

static void wrong_requests_are_refused(void **state)
{
    (void)state;
    sc_asker *a = open_batch(2, 0), *plain;
    sc_ask_answer got;
    sc_ask_request r = request_of("a", true);
    r.messages = text_of("[]");
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_EINVAL, "either");
    r.messages = (sc_text){0};
    r.sampling.top_p = 2;
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_EINVAL, "top_p");
    r = request_of("a", true);
    r.samples = 5000;
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_EINVAL, "5000 samples");
    r = request_of("a", true);
    r.max_new_tokens = 0;
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_EINVAL, "max_new_tokens");
    fails(sc_asker_open(&plain, ctx, CHAT_MODEL, &(sc_asker_options){.batch = 1000}), SC_EINVAL, "at once");
    fails(sc_asker_open(&plain, ctx, "/nowhere", NULL), SC_ENOTFOUND, "nowhere");
    assert_non_null(sc_asker_pipeline(a));
    assert_true(sc_asker_chats(a));
    sc_context_cancel(ctx);
    r = request_of("a", true);
    sc_status s = sc_asker_generate(a, &r, 1, &got, NULL, NULL);
    sc_context_resume(ctx);
    assert_int_equal(s, SC_ECANCELLED);
    sc_asker_free(a);
}

/* ---- likelihoods ---- */

/* log softmax of the model as a function at every place of ids[0..n): out[i] is the id i + 1's. */
static void by_forward(const sc_model *m, const int32_t *ids, int64_t n, double *out, bool *greedy)
{
    sc_outputs *o;
    sc_named_tensor in = {"input_ids", SC_I32, 2, {1, n}, (void *)(uintptr_t)ids};
    ok(sc_model_forward(&o, m, &in, 1, false));
    const sc_named_tensor *t = sc_outputs_at(o, 0);
    int64_t vocab = t->dim[2];
    for (int64_t i = 0; i + 1 < n; i++) {
        const float *x = (const float *)t->data + i * vocab;
        double sum = 0;
        int64_t best = 0;
        for (int64_t v = 0; v < vocab; v++) sum += exp((double)x[v]);
        for (int64_t v = 0; v < vocab; v++) best = x[v] > x[best] ? v : best;
        out[i] = x[ids[i + 1]] - log(sum);
        greedy[i] = best == ids[i + 1];
    }
    sc_outputs_free(o);
}

static void scores_are_the_models(void **state)
{
    (void)state;
    sc_asker *a = open_batch(2, 0);
    const struct {
        const char *context, *continuation;
    } cases[] = {{"The quick brown", " fox"},     {"The quick brown", " dog and more of it"},
                 {"The quick", " brown fox"},     {"The quick brown ", "fox"},
                 {"", "The quick brown fox"},     {"The quick brown", " fox"},
                 {"One two", " three four five"}, {"The", "e"}};
    enum { N = SC_COUNT(cases) };
    sc_ask_continuation r[N];
    sc_ask_score got[N], other[N];
    for (int i = 0; i < N; i++)
        r[i] = (sc_ask_continuation){.context = text_of(cases[i].context),
                                     .continuation = text_of(cases[i].continuation)};
    ok(sc_asker_score(a, r, N, got, NULL, NULL));
    sc_pipeline *p = sc_asker_pipeline(a);
    for (int i = 0; i < N; i++) {
        char whole[200];
        int32_t *ids, *before, all[200];
        int64_t n, nb, lead = 0;
        double lp[200], sum = 0;
        bool greedy[200], all_greedy = true;
        snprintf(whole, sizeof whole, "%s%s", cases[i].context, cases[i].continuation);
        int64_t len = (int64_t)strlen(cases[i].context);
        while (len && cases[i].context[len - 1] == ' ') len--;
        ok(sc_tokenizer_encode(sc_pipeline_tokenizer(p), whole, (int64_t)strlen(whole), 0, &ids, &n));
        ok(sc_tokenizer_encode(sc_pipeline_tokenizer(p), whole, len, 0, &before, &nb));
        if (!nb) all[lead++] = 0; /* the id that begins and ends texts there */
        memcpy(all + lead, ids, sizeof *ids * (size_t)n);
        nb += lead;
        n += lead;
        if (n == nb) { /* letters that merge: each is encoded by itself */
            sc_free(ids);
            ok(sc_tokenizer_encode(sc_pipeline_tokenizer(p), cases[i].continuation,
                                   (int64_t)strlen(cases[i].continuation), 0, &ids, &n));
            memcpy(all, before, sizeof *ids * (size_t)nb);
            memcpy(all + nb, ids, sizeof *ids * (size_t)n);
            n += nb;
        }
        by_forward(sc_pipeline_model(p), all, n, lp, greedy);
        for (int64_t k = nb; k < n; k++) {
            sum += lp[k - 1];
            all_greedy = all_greedy && greedy[k - 1];
        }
        assert_int_equal(got[i].tokens, n - nb);
        assert_true(fabs(got[i].logprob - sum) < 1e-4);
        assert_int_equal(got[i].greedy, all_greedy);
        assert_false(got[i].cut);
        sc_free(ids);
        sc_free(before);
    }
    assert_true(got[0].logprob == got[5].logprob);
    /* alone and in another order: the same bits */
    for (int i = N - 1; i >= 0; i--) {
        ok(sc_asker_score(a, &r[i], 1, &other[i], NULL, NULL));
        assert_true(other[i].logprob == got[i].logprob);
    }
    /* what the model itself chose is greedy */
    sc_ask_request g = request_of("The quick brown", false);
    sc_ask_answer answer;
    g.max_new_tokens = 4;
    ok(sc_asker_generate(a, &g, 1, &answer, NULL, NULL));
    assert_true(answer.logprob < 0);
    sc_ask_answers_free(&answer, 1);
    r[0].continuation = text_of("");
    fails(sc_asker_score(a, r, 1, got, NULL, NULL), SC_EINVAL, "empty continuation");
    sc_asker_free(a);
}

static void conversations_are_scored(void **state)
{
    (void)state;
    sc_asker *a = open_batch(2, 0);
    sc_ask_score got[2];
    sc_ask_continuation r[2] = {
        {.messages = text_of("[{\"role\": \"user\", \"content\": \"hi\"}]"), .continuation = text_of("yes")},
        {.context = text_of("<|user|>hi<|end|><|assistant|>"), .continuation = text_of("yes")}};
    ok(sc_asker_score(a, r, 2, got, NULL, NULL));
    assert_true(got[0].logprob == got[1].logprob && got[0].tokens == got[1].tokens);
    sc_asker_free(a);
}

/* Windows of W: each sees as much as fits, and all tokens count once. */
static void whole_texts_are_scored_in_windows(void **state)
{
    (void)state;
    enum { W = 16 };
    sc_asker *a = open_batch(2, W);
    static const char text[] =
        "The quick brown fox jumps over the lazy dog, and then over another one; so it goes on.";
    sc_text texts[2] = {text_of(text), text_of("The")};
    sc_ask_score got[2];
    ok(sc_asker_score_texts(a, texts, 2, got, NULL, NULL));
    sc_pipeline *p = sc_asker_pipeline(a);
    int32_t *ids, all[200] = {0};
    int64_t n;
    ok(sc_tokenizer_encode(sc_pipeline_tokenizer(p), text, (int64_t)strlen(text), 0, &ids, &n));
    assert_true(n > 2 * W);
    memcpy(all + 1, ids, sizeof *ids * (size_t)n);
    double sum = 0;
    for (int64_t known = 1; known < n + 1;) {
        int64_t end = SC_MIN(known + W, n + 1), from = SC_MAX(end - W - 1, 0);
        double lp[200];
        bool greedy[200];
        by_forward(sc_pipeline_model(p), all + from, end - from, lp, greedy);
        for (int64_t k = known; k < end; k++) sum += lp[k - from - 1];
        known = end;
    }
    assert_int_equal(got[0].tokens, n);
    assert_true(fabs(got[0].logprob - sum) < 1e-3);
    assert_int_equal(got[1].tokens > 0, 1);
    sc_free(ids);
    /* a continuation as long as the context just fits; a context in front of it is cut */
    sc_ask_score s;
    sc_ask_continuation r = {.context = text_of(text), .continuation = text_of(" over")};
    ok(sc_asker_score(a, &r, 1, &s, NULL, NULL));
    assert_true(s.cut);
    r = (sc_ask_continuation){.context = text_of("a"), .continuation = text_of(text)};
    fails(sc_asker_score(a, &r, 1, &s, NULL, NULL), SC_ELIMIT, "in a context of 16");
    sc_asker_free(a);
}

static void models_without_a_template_take_plain_prompts(void **state)
{
    (void)state;
    sc_asker *a;
    sc_status s = sc_asker_open(&a, ctx, PLAIN_MODEL, NULL);
    if (s) { /* it has no tokenizer: a model that cannot be asked at all */
        assert_int_equal(s, SC_ENOTFOUND);
        return;
    }
    sc_ask_request r = request_of("a", false);
    sc_ask_answer got;
    r.prompt = (sc_text){0};
    r.messages = text_of("[]");
    fails(sc_asker_generate(a, &r, 1, &got, NULL, NULL), SC_ENOTFOUND, "no chat template");
    sc_asker_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_as_the_pipeline),
                                       cmocka_unit_test(messages_go_through_the_template),
                                       cmocka_unit_test(hands_answers_over_one_by_one),
                                       cmocka_unit_test(long_prompts_are_refused_or_cut),
                                       cmocka_unit_test(answers_wait_for_room),
                                       cmocka_unit_test(wrong_requests_are_refused),
                                       cmocka_unit_test(scores_are_the_models),
                                       cmocka_unit_test(conversations_are_scored),
                                       cmocka_unit_test(whole_texts_are_scored_in_windows),
                                       cmocka_unit_test(models_without_a_template_take_plain_prompts)};
    return cmocka_run_group_tests(tests, two_threads, no_context);
}

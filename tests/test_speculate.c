/* SPDX-License-Identifier: Apache-2.0 */
/* Speculative decoding: the same ids as plain decoding where that can be had, the same distribution where not, the same
 * ends, and few evaluations where guesses are good, hardly more than plain decoding where they are bad. */
#include "core_help.h"
#include "infer/infer.h"
#include "one_context.h"

enum { VOCAB = 61, MOST = 120 };

#define GPT2(layers, width, vocab, range)                                                                          \
    "{\"model_type\":\"gpt2\",\"n_layer\":" layers ",\"n_embd\":" width ",\"n_head\":2,\"vocab_size\":" vocab      \
    ",\"n_positions\":220,\"initializer_range\":" range "}"
static const char *const models[] = {
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"intermediate_size\":96,\"vocab_size\":"
    "61,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":32,\"initializer_range\":0.2}",
    "{\"model_type\":\"mistral\",\"num_hidden_layers\":2,\"hidden_size\":48,\"intermediate_size\":40,\"vocab_"
    "size\":61,"
    "\"num_attention_heads\":6,\"num_key_value_heads\":3,\"head_dim\":32,\"sliding_window\":33}",
    GPT2("2", "64", "61", "0.1"),
    /* Whose states cannot go back to what of a draft is accepted. */
    "{\"model_type\":\"mamba2\",\"num_hidden_layers\":2,\"hidden_size\":24,\"state_size\":20,\"vocab_size\":61,"
    "\"num_heads\":6,\"head_dim\":8,\"n_groups\":2}",
    "{\"model_type\":\"qwen3_5_text\",\"num_hidden_layers\":2,\"hidden_size\":48,\"intermediate_size\":40,"
    "\"vocab_size\":61,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":32,"
    "\"layer_types\":[\"linear_attention\",\"full_attention\"],\"linear_num_key_heads\":2,"
    "\"linear_num_value_heads\":4,\"linear_key_head_dim\":12,\"linear_value_head_dim\":10}",
};

static sc_model *model_of(const char *config)
{
    sc_model *m = fresh_model(ctx, config);
    if (!m) fail_msg("%s", sc_error());
    return m;
}

static sc_session *session_of(const sc_model *m, sc_session_options o)
{
    sc_session *s;
    if (sc_session_new(&s, m, &o)) fail_msg("%s", sc_error());
    return s;
}

static sc_drafter *drafter_of(const sc_model *m, sc_session *draft, int64_t tokens)
{
    sc_drafter *d;
    if (sc_drafter_new(&d, m, draft, tokens)) fail_msg("%s", sc_error());
    return d;
}

typedef struct answer {
    int32_t id[1024];
    float logprob[1024];
    int n, most; /* the caller stops at `most` */
    sc_stop_reason why;
    int64_t generated, held;
    int64_t drafted, accepted, evaluations;
} answer;

static bool hear(void *user, int32_t id, float logprob)
{
    answer *a = user;
    a->logprob[a->n] = logprob;
    a->id[a->n++] = id;
    return a->n < a->most;
}

typedef struct task {
    sc_sampling sampling;
    const int32_t *prompt;
    int64_t n_prompt, max_new_tokens;
    int32_t eos; /* -1: none */
    int most;
} task;

/* Drafter NULL: plainly. */
static sc_status answer_with(answer *a, sc_session *s, sc_drafter *d, const task *t)
{
    sc_sampler *sampler;
    sc_model_info info;
    const float *logits;
    sc_model_describe(sc_session_model(s), &info);
    memset(a, 0, sizeof *a);
    a->most = t->most ? t->most : 1024;
    assert_int_equal(sc_sampler_new(&sampler, &t->sampling, info.vocab), SC_OK);
    assert_int_equal(sc_sampler_prompt(sampler, t->prompt, t->n_prompt), SC_OK);
    sc_session_trim(s, 0, 0);
    if (sc_session_eval(s, 0, t->prompt, t->n_prompt, &logits)) fail_msg("%s", sc_error());
    if (d && sc_drafter_start(d, &t->sampling, t->prompt, t->n_prompt)) fail_msg("%s", sc_error());
    sc_generate how = {.max_new_tokens = t->max_new_tokens,
                       .eos = &t->eos,
                       .n_eos = t->eos >= 0,
                       .token = hear,
                       .user = a,
                       .drafter = d};
    sc_status status = sc_session_generate(s, 0, logits, sampler, &how, &a->why, &a->generated);
    a->held = sc_session_length(s, 0);
    if (d) sc_drafter_counts(d, &a->drafted, &a->accepted, &a->evaluations);
    sc_sampler_free(sampler);
    return status;
}

static void same_answer(const answer *got, const answer *want, const char *what)
{
    if (got->n != want->n || memcmp(got->id, want->id, (size_t)want->n * sizeof *want->id) != 0 ||
        memcmp(got->logprob, want->logprob, (size_t)want->n * sizeof *want->logprob) != 0)
        fail_msg("%s: %d ids, not the %d of plain decoding", what, got->n, want->n);
    assert_int_equal(got->why, want->why);
    assert_int_equal(got->generated, want->generated);
    assert_int_equal(got->held, want->held);
    assert_true(got->accepted <= got->drafted && got->evaluations <= got->generated);
}

/* A prompt of `n` ids: chance, or one short run again and again. */
static void make_prompt(int32_t *ids, int64_t n, uint64_t seed, int64_t period)
{
    for (int64_t i = 0; i < n; i++) ids[i] = i < period ? (int32_t)random_in(&seed, 0, VOCAB - 1) : ids[i - period];
}

static sc_sampling greedy(void)
{
    sc_sampling o = SC_SAMPLING_INIT;
    return o;
}

static sc_sampling warm(double temperature, uint64_t seed)
{
    sc_sampling o = SC_SAMPLING_INIT;
    o.do_sample = true;
    o.temperature = temperature;
    o.seed = seed;
    return o;
}

/* ---- the same ids ---- */

static void same_ids_as_plain_decoding(void **state)
{
    (void)state;
    static const int64_t tokens[] = {0, 1, 5, 31};
    int64_t accepted = 0;
    for (int i = 0; i < SC_COUNT(models); i++) {
        sc_model *m = model_of(models[i]), *other = model_of(models[(i + 1) % SC_COUNT(models)]);
        sc_session *s = session_of(m, (sc_session_options){.context = 200});
        sc_session *drafts[] = {NULL, session_of(m, (sc_session_options){.context = 200}),
                                session_of(other, (sc_session_options){.context = 60})};
        for (uint64_t seed = 0; seed < 6; seed++) {
            int32_t prompt[40];
            make_prompt(prompt, 40, seed, seed % 2 ? 40 : 7);
            for (int k = 0; k < 4; k++) {
                task t = {.prompt = prompt, .n_prompt = 40 - 3 * (int)seed, .max_new_tokens = MOST, .eos = -1};
                t.sampling = k < 2 ? greedy() : warm(k == 2 ? 0.3 : 1, seed);
                if (k == 1) t.sampling.repetition_penalty = 1.3, t.sampling.no_repeat_ngram_size = 4;
                if (k == 3) t.sampling.presence_penalty = 0.5, t.sampling.top_p = 0.9;
                answer plain, fast;
                assert_int_equal(answer_with(&plain, s, NULL, &t), SC_OK);
                assert_int_equal(plain.n, MOST);
                for (int w = 0; w < SC_COUNT(drafts); w++) {
                    if (w && k >= 2) continue; /* drawn guesses have the distribution, not the ids */
                    sc_drafter *d = drafter_of(m, drafts[w], tokens[(seed + (uint64_t)k) % 4]);
                    assert_int_equal(answer_with(&fast, s, d, &t), SC_OK);
                    same_answer(&fast, &plain, w ? "draft model" : "look-up");
                    if (w == 1) assert_int_equal(fast.accepted, fast.drafted); /* the model itself is never wrong */
                    accepted += fast.accepted;
                    sc_drafter_free(d);
                }
            }
        }
        for (int w = 1; w < SC_COUNT(drafts); w++) sc_session_free(drafts[w]);
        sc_session_free(s);
        sc_model_free(other);
        sc_model_free(m);
    }
    assert_true(accepted > 1000);
}

/* ---- how many evaluations ---- */

static void good_guesses_save_evaluations(void **state)
{
    (void)state;
    sc_model *m = model_of(models[0]);
    sc_session *s = session_of(m, (sc_session_options){.context = 200});
    sc_session *draft = session_of(m, (sc_session_options){.context = 200});
    int32_t prompt[20];
    make_prompt(prompt, 20, 1, 20);
    task t = {.sampling = greedy(), .prompt = prompt, .n_prompt = 20, .max_new_tokens = MOST, .eos = -1};
    answer a;
    sc_drafter *d = drafter_of(m, draft, 0);
    assert_int_equal(answer_with(&a, s, d, &t), SC_OK);
    assert_int_equal(a.accepted, a.drafted);
    /* The prompt, then 4, 8, 16, … 16 ids; at the end less. */
    assert_true(a.evaluations <= 3 + (MOST - 13) / 16 + 4);
    sc_drafter_free(d);
    /* Forever the same id: look-up sees that as soon as there are two. */
    t.sampling.bias_ids = (const int32_t[]){7};
    t.sampling.bias = (const float[]){1000};
    t.sampling.n_bias = 1;
    d = drafter_of(m, NULL, 0);
    assert_int_equal(answer_with(&a, s, d, &t), SC_OK);
    assert_true(a.evaluations <= 6 + MOST / 16 + 4);
    sc_drafter_free(d);
    d = drafter_of(m, NULL, 3);
    assert_int_equal(answer_with(&a, s, d, &t), SC_OK);
    assert_true(a.evaluations <= 3 + MOST / 4 + 1);
    sc_drafter_free(d);
    sc_session_free(draft);
    sc_session_free(s);
    sc_model_free(m);
}

/* Text in which every pair was there before, and nothing guessed is ever right. */
static void bad_guesses_become_rare(void **state)
{
    (void)state;
    enum { N = 2000 };
    sc_model *m = model_of(models[0]);
    sc_drafter *d = drafter_of(m, NULL, 0);
    sc_sampling o = greedy();
    uint64_t seed = 9;
    int32_t id = 0;
    int64_t drafted, accepted, evaluations;
    assert_int_equal(sc_drafter_start(d, &o, &id, 1), SC_OK);
    for (int i = 0; i < N; i++) {
        const int32_t *guess;
        int64_t n;
        assert_int_equal(sc_drafter_guess(d, 100, &guess, &n), SC_OK);
        do id = (int32_t)random_in(&seed, 0, 5);
        while (n && id == guess[0]);
        assert_int_equal(sc_drafter_add(d, id), SC_OK);
        sc_drafter_judge(d, 0);
    }
    sc_drafter_counts(d, &drafted, &accepted, &evaluations);
    assert_int_equal(evaluations, N);
    assert_true(drafted > 10 && drafted < N / 8);
    sc_drafter_free(d);
    /* A draft model of another mind. */
    sc_model *other = model_of(models[1]);
    sc_session *draft = session_of(other, (sc_session_options){.context = 200});
    d = drafter_of(m, draft, 0);
    id = 0;
    assert_int_equal(sc_drafter_start(d, &o, &id, 1), SC_OK);
    for (int i = 0; i < 180; i++) {
        const int32_t *guess;
        int64_t n;
        assert_int_equal(sc_drafter_guess(d, 100, &guess, &n), SC_OK);
        id = n ? (guess[0] + 1) % VOCAB : (int32_t)random_in(&seed, 0, VOCAB - 1);
        assert_int_equal(sc_drafter_add(d, id), SC_OK);
        sc_drafter_judge(d, 0);
    }
    sc_drafter_counts(d, &drafted, &accepted, &evaluations);
    assert_true(drafted >= 8 && drafted <= 16);
    sc_drafter_free(d);
    sc_session_free(draft);
    sc_model_free(other);
    sc_model_free(m);
}

/* ---- the same distribution ---- */

enum { FEW = 4, DEEP = 4, CELLS = 256, RUNS = 6000 };

/* The exact probability of every answer of DEEP ids. */
static void exact(sc_session *s, const task *t, sc_sampler *sampler, int depth, int32_t *ids, double p, double *out)
{
    float probs[FEW];
    const float *logits;
    int32_t all[64];
    memcpy(all, t->prompt, (size_t)t->n_prompt * sizeof *all);
    memcpy(all + t->n_prompt, ids, (size_t)depth * sizeof *all);
    sc_session_trim(s, 0, 0);
    assert_int_equal(sc_session_eval(s, 0, all, t->n_prompt + depth, &logits), SC_OK);
    sc_sampler_reset(sampler);
    sc_sampler_prompt(sampler, t->prompt, t->n_prompt);
    for (int i = 0; i < depth; i++) sc_sampler_accept(sampler, ids[i]);
    assert_int_equal(sc_sampler_probs(sampler, logits, probs), SC_OK);
    for (int32_t v = 0; v < FEW; v++) {
        ids[depth] = v;
        if (depth + 1 == DEEP)
            out[((ids[0] * FEW + ids[1]) * FEW + ids[2]) * FEW + ids[3]] = p * (double)probs[v];
        else if (probs[v] > 0)
            exact(s, t, sampler, depth + 1, ids, p * (double)probs[v], out);
    }
}

/* Chi-square of the counts against the probabilities, less its expectation, in standard deviations. Rare answers are
 * counted together; impossible ones must not occur. */
static double surprise(const int *count, const double *p)
{
    double sum = 0, rest = 0, rest_count = 0;
    int cells = 0;
    for (int i = 0; i < CELLS; i++) {
        double want = p[i] * RUNS;
        if (p[i] <= 0 && count[i]) return INFINITY;
        if (want < 5) {
            rest += want;
            rest_count += count[i];
            continue;
        }
        sum += (count[i] - want) * (count[i] - want) / want;
        cells++;
    }
    if (rest > 1) sum += (rest_count - rest) * (rest_count - rest) / rest, cells++;
    return (sum - (cells - 1)) / sqrt(2.0 * (cells - 1));
}

static void same_distribution(void **state)
{
    (void)state;
    sc_model *m = model_of(GPT2("1", "32", "4", "0.6")), *other = model_of(GPT2("2", "48", "4", "1.5"));
    sc_session *s = session_of(m, (sc_session_options){.context = 64});
    sc_session *draft = session_of(other, (sc_session_options){.context = 64});
    static const int32_t prompt[] = {1, 2, 0, 3, 1, 2};
    static int count[CELLS];
    static double p[CELLS], p_other[CELLS];
    for (int k = 0; k < 2; k++) {
        task t = {
            .sampling = warm(k ? 0.5 : 0.3, 0), .prompt = prompt, .n_prompt = 6, .max_new_tokens = DEEP, .eos = -1};
        if (k) t.sampling.repetition_penalty = 1.4, t.sampling.presence_penalty = 0.3, t.sampling.top_k = 3;
        sc_sampler *sampler;
        int32_t ids[DEEP];
        assert_int_equal(sc_sampler_new(&sampler, &t.sampling, FEW), SC_OK);
        memset(p, 0, sizeof p);
        memset(p_other, 0, sizeof p_other);
        exact(s, &t, sampler, 0, ids, 1, p);
        exact(draft, &t, sampler, 0, ids, 1, p_other);
        sc_sampler_free(sampler);
        for (int w = 0; w < 3; w++) { /* plainly, by look-up, by a draft model of another mind */
            sc_drafter *d = w ? drafter_of(m, w == 2 ? draft : NULL, w == 2 ? 2 : 0) : NULL;
            int64_t drafted = 0, accepted = 0;
            memset(count, 0, sizeof count);
            for (int i = 0; i < RUNS; i++) {
                answer a;
                t.sampling.seed = 1000000 + (uint64_t)i;
                assert_int_equal(answer_with(&a, s, d, &t), SC_OK);
                count[((a.id[0] * FEW + a.id[1]) * FEW + a.id[2]) * FEW + a.id[3]]++;
                drafted += a.drafted;
                accepted += a.accepted;
            }
            double off = surprise(count, p), off_other = surprise(count, p_other);
            printf("  sampling %d, way %d: chi-square %+.2f sd (against the draft's own: %.0f); %lld of %lld "
                   "guesses stood\n",
                   k, w, off, off_other, (long long)accepted, (long long)drafted);
            assert_true(off < 4);
            assert_true(off_other > 20); /* the test sees a wrong distribution */
            if (w) assert_true(accepted > drafted / 20 && accepted < drafted * 19 / 20);
            sc_drafter_free(d);
        }
    }
    sc_session_free(draft);
    sc_session_free(s);
    sc_model_free(other);
    sc_model_free(m);
}

/* ---- ends and limits ---- */

static void ends_where_plain_decoding_ends(void **state)
{
    (void)state;
    sc_model *m = model_of(models[2]);
    sc_session *s = session_of(m, (sc_session_options){.context = 90});
    sc_session *draft = session_of(m, (sc_session_options){.context = 300});
    int32_t prompt[30];
    make_prompt(prompt, 30, 4, 6);
    task t = {.sampling = greedy(), .prompt = prompt, .n_prompt = 30, .max_new_tokens = 1000, .eos = -1};
    answer plain, fast, whole;
    assert_int_equal(answer_with(&whole, s, NULL, &t), SC_OK);
    assert_int_equal(whole.why, SC_STOP_CONTEXT);
    for (int w = 0; w < 2; w++) {
        for (int64_t tokens = 0; tokens < 9; tokens += 4) {
            sc_drafter *d = drafter_of(m, w ? draft : NULL, tokens);
            assert_int_equal(answer_with(&fast, s, d, &t), SC_OK);
            same_answer(&fast, &whole, "context");
            for (int end = 0; end < 40; end += 3) {
                task e[3] = {t, t, t};
                e[0].max_new_tokens = end;
                e[1].most = end + 1;
                e[2].eos = whole.id[end];
                for (int i = 0; i < 3; i++) {
                    assert_int_equal(answer_with(&plain, s, NULL, &e[i]), SC_OK);
                    assert_int_equal(answer_with(&fast, s, d, &e[i]), SC_OK);
                    same_answer(&fast, &plain, i ? i == 1 ? "caller" : "eos" : "length");
                }
            }
            sc_drafter_free(d);
        }
    }
    /* A chunk shorter than the draft, and a cache whose rest another sequence has. */
    sc_session *small = session_of(m, (sc_session_options){.context = 90, .chunk = 3});
    sc_session *shared = session_of(m, (sc_session_options){.context = 96, .sequences = 2});
    const float *logits;
    assert_int_equal(sc_session_eval(shared, 1, prompt, 30, &logits), SC_OK);
    t.max_new_tokens = 34; /* 64 tokens and 32 are all pages */
    for (int i = 0; i < 2; i++) {
        sc_session *q = i ? shared : small;
        sc_drafter *d = drafter_of(m, draft, 7);
        assert_int_equal(answer_with(&plain, q, NULL, &t), SC_OK);
        assert_int_equal(answer_with(&fast, q, d, &t), SC_OK);
        same_answer(&fast, &plain, "little room");
        sc_drafter_free(d);
    }
    sc_session_free(shared);
    sc_session_free(small);
    sc_session_free(draft);
    sc_session_free(s);
    sc_model_free(m);
}

typedef struct stopper {
    answer a; /* first: hear() takes it for its own */
    sc_context *own;
} stopper;

static bool cancel_at_ten(void *user, int32_t id, float logprob)
{
    stopper *x = user;
    hear(&x->a, id, logprob);
    if (x->a.n == 10) sc_context_cancel(x->own);
    return true;
}

static void cancelling_leaves_what_was_said(void **state)
{
    (void)state;
    sc_context *own = new_context(2);
    sc_model *m = fresh_model(own, models[0]);
    assert_non_null(m);
    sc_session *s = session_of(m, (sc_session_options){.context = 200});
    for (int w = 0; w < 2; w++) {
        sc_session *draft = w ? session_of(m, (sc_session_options){.context = 200}) : NULL;
        sc_drafter *d = drafter_of(m, draft, 4);
        int32_t prompt[12];
        make_prompt(prompt, 12, 8, 4);
        task t = {.sampling = greedy(), .prompt = prompt, .n_prompt = 12, .max_new_tokens = 60, .eos = -1};
        answer plain;
        static stopper x;
        sc_sampler *sampler;
        const float *logits;
        x = (stopper){.own = own};
        assert_int_equal(answer_with(&plain, s, NULL, &t), SC_OK);
        sc_session_trim(s, 0, 0);
        assert_int_equal(sc_sampler_new(&sampler, &t.sampling, VOCAB), SC_OK);
        assert_int_equal(sc_session_eval(s, 0, prompt, 12, &logits), SC_OK);
        assert_int_equal(sc_drafter_start(d, &t.sampling, prompt, 12), SC_OK);
        x.a.most = 1024;
        sc_generate how = {.max_new_tokens = 60, .token = cancel_at_ten, .user = &x, .drafter = d};
        assert_int_equal(sc_session_generate(s, 0, logits, sampler, &how, &x.a.why, &x.a.generated), SC_ECANCELLED);
        assert_true(x.a.n >= 10 && x.a.n <= 15);
        assert_memory_equal(x.a.id, plain.id, (size_t)x.a.n * sizeof *plain.id);
        assert_int_equal(sc_session_length(s, 0), 12 + x.a.n - 1);
        sc_context_resume(own);
        assert_int_equal(answer_with(&x.a, s, d, &t), SC_OK); /* as if nothing had been */
        same_answer(&x.a, &plain, "after cancelling");
        sc_sampler_free(sampler);
        sc_drafter_free(d);
        sc_session_free(draft);
    }
    sc_session_free(s);
    sc_model_free(m);
    sc_context_free(own);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    sc_model *m = model_of(models[0]), *other = model_of(GPT2("1", "32", "60", "0.1"));
    sc_session *draft = session_of(other, (sc_session_options){.context = 64});
    sc_drafter *d = NULL;
    assert_int_equal(sc_drafter_new(&d, m, draft, 0), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "vocabulary of 60"));
    assert_int_equal(sc_drafter_new(&d, m, NULL, SC_DRAFT_MOST + 1), SC_EINVAL);
    assert_int_equal(sc_drafter_new(&d, m, NULL, -1), SC_EINVAL);
    assert_null(d);
    sc_drafter_free(NULL);
    sc_session_free(draft);
    sc_model_free(other);
    sc_model_free(m);
}

/* ---- look-up against a search through everything ---- */

static void look_up_finds_the_last_longest(void **state)
{
    (void)state;
    enum { N = 3000 };
    static int32_t ids[N];
    uint64_t seed = 2;
    int64_t asked = 0, best = 0;
    sc_lookup l = {0};
    for (int i = 0; i < N; i++) {
        ids[i] = i > 100 && i / 40 % 3 == 0 ? ids[i - 77] : (int32_t)random_in(&seed, 0, i < 1500 ? 3 : 900);
        int64_t n = i + 1, next = -1, want = 0;
        int length = 0;
        assert_int_equal(sc_lookup_grow(&l, ids, n), SC_OK);
        int got = sc_lookup_find(&l, ids, n, &next);
        for (int64_t end = n - 1; end > 0; end--) {
            int k = 0;
            while (k < SC_LOOKUP_LONGEST && k < end && ids[end - 1 - k] == ids[n - 1 - k]) k++;
            if (k > length) length = k, want = end;
        }
        assert_true(got <= length);
        if (got) {
            assert_true(next >= got && next < n);
            assert_memory_equal(ids + next - got, ids + n - got, (size_t)got * sizeof *ids);
        }
        asked += length > 0;
        best += length > 0 && got == length && next == want;
    }
    printf("  %lld of %lld found\n", (long long)best, (long long)asked);
    assert_true(asked > 1000 && best > asked * 9 / 10);
    sc_lookup_clear(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids_as_plain_decoding),     cmocka_unit_test(good_guesses_save_evaluations),
        cmocka_unit_test(bad_guesses_become_rare),        cmocka_unit_test(same_distribution),
        cmocka_unit_test(ends_where_plain_decoding_ends), cmocka_unit_test(cancelling_leaves_what_was_said),
        cmocka_unit_test(refuses_what_does_not_fit),      cmocka_unit_test(look_up_finds_the_last_longest),
    };
    return cmocka_run_group_tests(tests, one_thread, no_context);
}

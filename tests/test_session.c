/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions over small fresh models: the same bits however a text is cut, batched, forked or trimmed; limits, faults and
 * cancelling leave sequences as they were; generation and beam search end where they should. */
#include "core_help.h"
#include "one_context.h"

#include <pthread.h>

#define LLAMA(more)                                                                                                \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":64,\"intermediate_size\":96,\"vocab_"       \
    "size\":61,"                                                                                                   \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":32,\"initializer_range\":0.02" more "}"
/* A hybrid of both kinds of layers; value heads that share key heads. */
#define QWEN(type)                                                                                                 \
    "{\"model_type\":\"" type "\",\"num_hidden_layers\":3,\"hidden_size\":48,\"intermediate_size\":40,"            \
    "\"vocab_size\":61,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":32,"                       \
    "\"layer_types\":[\"linear_attention\",\"full_attention\",\"linear_attention\"],\"linear_num_key_heads\":2,"   \
    "\"linear_num_value_heads\":6,\"linear_key_head_dim\":12,\"linear_value_head_dim\":10,\"num_experts\":5,"      \
    "\"num_experts_per_tok\":2,\"moe_intermediate_size\":16,\"shared_expert_intermediate_size\":24}"
enum { VOCAB = 61, LONG = 150 };

static const struct {
    const char *name, *config;
} models[] = {
    {"llama", LLAMA("")},
    {"mistral", "{\"model_type\":\"mistral\",\"num_hidden_layers\":3,\"hidden_size\":48,\"intermediate_size\":40,"
                "\"vocab_size\":61,"
                "\"num_attention_heads\":6,\"num_key_value_heads\":3,\"head_dim\":32,\"sliding_window\":33}"},
    {"qwen3", "{\"model_type\":\"qwen3\",\"num_hidden_layers\":2,\"hidden_size\":40,\"intermediate_size\":72,"
              "\"vocab_size\":61,"
              "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":32,\"tie_word_embeddings\":true}"},
    {"gpt2",
     "{\"model_type\":\"gpt2\",\"n_layer\":2,\"n_embd\":64,\"n_head\":2,\"vocab_size\":61,\"n_positions\":200}"},
    {"mamba",
     "{\"model_type\":\"mamba\",\"num_hidden_layers\":2,\"hidden_size\":40,\"state_size\":5,\"vocab_size\":61,"
     "\"time_step_rank\":3,\"conv_kernel\":3}"},
    {"mamba2",
     "{\"model_type\":\"mamba2\",\"num_hidden_layers\":2,\"hidden_size\":24,\"state_size\":20,\"vocab_size\":61,"
     "\"num_heads\":6,\"head_dim\":8,\"n_groups\":2,\"time_step_limit\":[0.001,0.5]}"},
    {"qwen3_5", QWEN("qwen3_5_text")},
    {"qwen3_next", QWEN("qwen3_next")},
};
enum { FIRST_RECURRENT = 4 };

static int32_t text[LONG];

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

static const float *eval(sc_session *s, int seq, const int32_t *ids, int64_t n)
{
    const float *logits;
    if (sc_session_eval(s, seq, ids, n, &logits)) fail_msg("%s", sc_error());
    return logits;
}

static void same_row(const float *got, const float *want, const char *name, const char *what, int64_t i)
{
    if (memcmp(got, want, VOCAB * sizeof *got) != 0) fail_msg("%s: %s, %lld: other bits", name, what, (long long)i);
}

/* Logits after each of the ids, (LONG, VOCAB), one token at a time. */
static float *one_by_one(const sc_model *m, sc_dtype cache)
{
    float *all = malloc(LONG * VOCAB * sizeof *all);
    sc_session *s = session_of(m, (sc_session_options){.context = LONG, .cache = cache});
    for (int i = 0; i < LONG; i++) memcpy(all + i * VOCAB, eval(s, 0, text + i, 1), VOCAB * sizeof *all);
    assert_int_equal(sc_session_length(s, 0), LONG);
    sc_session_free(s);
    return all;
}

static void pieces_of_any_size(const sc_model *m, const char *name, sc_dtype cache, const float *all)
{
    static const int64_t sizes[] = {7, 32, 33, 150};
    for (int k = 0; k < SC_COUNT(sizes); k++) {
        /* As calls, and as one call whose chunk is that long. */
        sc_session *s = session_of(m, (sc_session_options){.context = LONG, .cache = cache});
        for (int64_t i = 0; i < LONG; i += sizes[k]) {
            int64_t n = SC_MIN(sizes[k], LONG - i);
            same_row(eval(s, 0, text + i, n), all + (i + n - 1) * VOCAB, name, "calls of", sizes[k]);
        }
        sc_session_free(s);
        s = session_of(m, (sc_session_options){.context = LONG, .cache = cache, .chunk = sizes[k]});
        same_row(eval(s, 0, text, LONG), all + (LONG - 1) * VOCAB, name, "chunks of", sizes[k]);
        sc_session_trim(s, 0, 0);
        const float *scores;
        for (int64_t i = 0; i < LONG; i += sizes[k]) {
            int64_t n = SC_MIN(sizes[k], LONG - i);
            assert_int_equal(sc_session_score(s, 0, text + i, n, &scores), SC_OK);
            for (int64_t j = 0; j < n; j++)
                same_row(scores + j * VOCAB, all + (i + j) * VOCAB, name, "scores", i + j);
        }
        sc_session_free(s);
    }
}

static void the_same_however_it_is_cut(void **state)
{
    (void)state;
    static const sc_dtype caches[] = {SC_F32, SC_F16, SC_BF16, SC_Q8_0};
    for (int i = 0; i < SC_COUNT(models); i++) {
        sc_model *m = model_of(models[i].config);
        float *exact = one_by_one(m, SC_F32);
        for (int c = 0; c < SC_COUNT(caches); c++) {
            if (i && c) continue; /* the types once */
            float *all = one_by_one(m, caches[c]);
            pieces_of_any_size(m, models[i].name, caches[c], all);
            double off = 0, size = 0;
            for (int k = 0; k < LONG * VOCAB; k++) {
                off = fmax(off, fabs((double)all[k] - exact[k]));
                size = fmax(size, fabs((double)exact[k]));
            }
            assert_true(off <= size * 2e-2 && (off > 0) == (caches[c] != SC_F32));
            free(all);
        }
        /* The model as a function, without a cache, has the same bits too. */
        sc_outputs *o;
        sc_named_tensor ids = {.name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {1, LONG}, .data = text};
        assert_int_equal(sc_model_forward(&o, m, &ids, 1, false), SC_OK);
        assert_memory_equal(sc_outputs_at(o, 0)->data, exact, LONG * VOCAB * sizeof *exact);
        sc_outputs_free(o);
        free(exact);
        sc_model_free(m);
    }
}

/* Sequences of several lengths stepped together, some joining later, against each alone. */
static void several_sequences_as_each_alone(void **state)
{
    (void)state;
    enum { N = 4, STEPS = 40 };
    for (int i = 0; i < SC_COUNT(models); i++) {
        sc_model *m = model_of(models[i].config);
        sc_session *alone = session_of(m, (sc_session_options){.context = 400, .sequences = N});
        sc_session *together = session_of(m, (sc_session_options){.context = 400, .sequences = N});
        for (int s = 0; s < N; s++) {
            eval(alone, s, text + s, 1 + 13 * s);
            eval(together, s, text + s, 1 + 13 * s);
        }
        for (int step = 0; step < STEPS; step++) {
            int seqs[N], n = 0;
            int32_t ids[N];
            for (int s = N - 1; s >= 0; s--)
                if (step % (s + 1) == 0) {
                    seqs[n] = s;
                    ids[n++] = text[(step * 7 + s) % LONG];
                }
            const float *logits;
            assert_int_equal(sc_session_step(together, seqs, ids, n, &logits), SC_OK);
            for (int k = 0; k < n; k++)
                same_row(logits + k * VOCAB, eval(alone, seqs[k], ids + k, 1), models[i].name, "together", step);
        }
        sc_session_free(alone);
        sc_session_free(together);
        sc_model_free(m);
    }
}

/* Recurrent states cannot go back; nobody can tell. */
static void forks_and_trims_continue_in(int model)
{
    sc_model *m = model_of(models[model].config);
    float *all = one_by_one(m, SC_F32);
    sc_session *s = session_of(m, (sc_session_options){.context = 3 * LONG, .sequences = 3});
    eval(s, 0, text, 70);
    for (int64_t keep = 69; keep > 0; keep -= 11) { /* another end, taken back, and the right one again */
        int32_t other[20];
        for (int k = 0; k < 20; k++) other[k] = (int32_t)((keep + k) % VOCAB);
        assert_int_equal(sc_session_fork(s, 0, 1), SC_OK);
        assert_int_equal(sc_session_trim(s, 1, keep), SC_OK);
        eval(s, 1, other, 20);
        assert_int_equal(sc_session_fork(s, 1, 2), SC_OK);
        assert_int_equal(sc_session_trim(s, 2, keep), SC_OK);
        same_row(eval(s, 2, text + keep, 5), all + (keep + 4) * VOCAB, "fork", "after", keep);
        int seqs[2] = {0, 2};
        int32_t ids[2] = {text[70], text[keep + 5]};
        const float *logits;
        assert_int_equal(sc_session_step(s, seqs, ids, 2, &logits), SC_OK);
        same_row(logits, all + 70 * VOCAB, "fork", "the first goes on", keep);
        same_row(logits + VOCAB, all + (keep + 5) * VOCAB, "fork", "the third goes on", keep);
        assert_int_equal(sc_session_trim(s, 0, 70), SC_OK);
    }
    sc_session_free(s);
    free(all);
    sc_model_free(m);
}

static void forks_and_trims_continue(void **state)
{
    (void)state;
    forks_and_trims_continue_in(1);
    for (int i = FIRST_RECURRENT; i < SC_COUNT(models); i++) forks_and_trims_continue_in(i);
}

/* Ids that were taken back go along with what is scored, stepped or evaluated next, and count in nothing. */
static void taken_back_and_scored(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(models); i++) {
        sc_model *m = model_of(models[i].config);
        float *all = one_by_one(m, SC_F32);
        sc_session *s = session_of(m, (sc_session_options){.context = 2 * LONG, .sequences = 2, .chunk = 24});
        const float *scores;
        eval(s, 0, text, 60);
        for (int64_t at = 60; at + 12 < 120; at += 3) { /* ten guesses, two of which stand */
            int32_t guess[10];
            for (int k = 0; k < 10; k++) guess[k] = k < 3 ? text[at + k] : (text[at + k] + 1) % VOCAB;
            assert_int_equal(sc_session_score(s, 0, guess, 10, &scores), SC_OK);
            for (int k = 0; k < 3; k++)
                same_row(scores + k * VOCAB, all + (at + k) * VOCAB, models[i].name, "guess", at + k);
            assert_int_equal(sc_session_trim(s, 0, at + 3), SC_OK);
            assert_int_equal(sc_session_length(s, 0), at + 3);
        }
        assert_int_equal(sc_session_trim(s, 0, 50), SC_OK);
        assert_int_equal(sc_session_fork(s, 0, 1), SC_OK);
        int seqs[2] = {1, 0};
        assert_int_equal(sc_session_step(s, seqs, (int32_t[]){text[50], text[50]}, 2, &scores), SC_OK);
        for (int k = 0; k < 2; k++) same_row(scores + k * VOCAB, all + 50 * VOCAB, models[i].name, "step", k);
        assert_int_equal(sc_session_trim(s, 1, 20), SC_OK);
        same_row(eval(s, 1, text + 20, 70), all + 89 * VOCAB, models[i].name, "prompt", 20);
        assert_int_equal(sc_session_trim(s, 1, 0), SC_OK);
        same_row(eval(s, 1, text, 3), all + 2 * VOCAB, models[i].name, "anew", 0);
        sc_session_free(s);
        free(all);
        sc_model_free(m);
    }
}

static void limits_leave_sequences_alone(void **state)
{
    (void)state;
    sc_model *m = model_of(LLAMA(",\"max_position_embeddings\":100"));
    sc_session *s = session_of(m, (sc_session_options){.context = 64, .sequences = 2, .chunk = 16});
    const float *logits = NULL;
    int32_t bad[40];
    memcpy(bad, text, sizeof bad);
    bad[35] = VOCAB;
    eval(s, 0, text, 20);
    float *next = malloc(VOCAB * sizeof *next);
    memcpy(next, eval(s, 0, text + 20, 1), VOCAB * sizeof *next);
    sc_session_trim(s, 0, 20);
    const struct {
        int seq;
        const int32_t *ids;
        int64_t n;
        sc_status want;
    } cases[] = {{0, bad, 40, SC_ELIMIT},
                 {0, text, 45, SC_ELIMIT},
                 {0, text, INT64_MAX, SC_ELIMIT},
                 {0, text, 0, SC_EINVAL},
                 {0, text, -1, SC_EINVAL},
                 {2, text, 1, SC_EINVAL},
                 {-1, text, 1, SC_EINVAL},
                 {1, text, 65, SC_ELIMIT},
                 {0, (int32_t[]){-1}, 1, SC_ELIMIT},
                 {0, (int32_t[]){INT32_MIN}, 1, SC_ELIMIT}};
    for (int i = 0; i < SC_COUNT(cases); i++) {
        assert_int_equal(sc_session_eval(s, cases[i].seq, cases[i].ids, cases[i].n, &logits), cases[i].want);
        assert_null(logits);
        assert_int_equal(sc_session_length(s, 0), 20);
        assert_int_equal(sc_session_length(s, 1), 0);
    }
    int twice[] = {0, 1, 0}, far[] = {0, 5};
    assert_int_equal(sc_session_step(s, twice, text, 3, &logits), SC_EINVAL);
    assert_int_equal(sc_session_step(s, far, text, 2, &logits), SC_EINVAL);
    assert_int_equal(sc_session_step(s, far, text, 0, &logits), SC_EINVAL);
    assert_int_equal(sc_session_step(s, twice, bad + 34, 2, &logits), SC_ELIMIT);
    assert_int_equal(sc_session_score(s, 0, text, 17, &logits), SC_EINVAL); /* more than a chunk */
    assert_int_equal(sc_session_fork(s, 0, 2), SC_EINVAL);
    assert_int_equal(sc_session_trim(s, 2, 0), SC_EINVAL);
    assert_int_equal(sc_session_trim(s, 0, -1), SC_EINVAL);
    same_row(eval(s, 0, text + 20, 1), next, "limits", "what follows", 20);
    eval(s, 0, text + 21, 43);
    assert_int_equal(sc_session_eval(s, 0, text, 1, &logits), SC_ELIMIT); /* 64 of 64 */
    /* A step that one of its sequences cannot take leaves both. */
    eval(s, 1, text, 5);
    int both[] = {1, 0};
    assert_int_equal(sc_session_step(s, both, text, 2, &logits), SC_ELIMIT);
    assert_int_equal(sc_session_length(s, 0), 64);
    assert_int_equal(sc_session_length(s, 1), 5);
    sc_session_free(s);
    /* More than the model was made for. */
    s = session_of(m, (sc_session_options){.context = 300, .sequences = 3});
    assert_int_equal(sc_session_eval(s, 0, text, 101, &logits), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "100"));
    assert_int_equal(sc_session_length(s, 0), 0);
    eval(s, 0, text, 100);
    sc_session_free(s);
    static const sc_session_options wrong[] = {
        {.context = -1},   {.sequences = -1},         {.sequences = 1 << 20},       {.chunk = -5},
        {.cache = SC_I32}, {.cache = SC_DTYPE_COUNT}, {.context = (int64_t)1 << 40}};
    for (int i = 0; i < SC_COUNT(wrong); i++) {
        sc_session *none = NULL;
        assert_int_not_equal(sc_session_new(&none, m, &wrong[i]), SC_OK);
        assert_null(none);
    }
    free(next);
    sc_model_free(m);
}

/* ---- cancelling ---- */

static void cancel_at(void *user, const char *what, int64_t done, int64_t total)
{
    (void)what;
    (void)total;
    int64_t *at = user;
    if (at[0] == done) sc_context_cancel((sc_context *)(intptr_t)at[1]);
}

static void cancelling_leaves_the_sequence_of(int model)
{
    int64_t user[2] = {48, 0};
    sc_context *own;
    assert_int_equal(sc_context_new(&own, &(sc_context_options){.threads = 2, .progress = cancel_at, .user = user}),
                     SC_OK);
    user[1] = (int64_t)(intptr_t)own;
    sc_model *m = fresh_model(own, models[model].config);
    assert_non_null(m);
    sc_session *s = session_of(m, (sc_session_options){.context = 200, .chunk = 16});
    float *all = one_by_one(m, SC_F32);
    eval(s, 0, text, 10);
    const float *logits;
    assert_int_equal(sc_session_eval(s, 0, text + 10, 100, &logits), SC_ECANCELLED); /* after its third chunk */
    assert_int_equal(sc_session_length(s, 0), 10);
    assert_int_equal(sc_session_eval(s, 0, text + 10, 1, &logits), SC_ECANCELLED);
    sc_context_resume(own);
    same_row(eval(s, 0, text + 10, 30), all + 39 * VOCAB, "cancel", "then", 40);
    free(all);
    sc_session_free(s);
    sc_model_free(m);
    sc_context_free(own);
}

static void cancelling_leaves_the_sequence(void **state)
{
    (void)state;
    cancelling_leaves_the_sequence_of(0);
    for (int i = FIRST_RECURRENT; i < SC_COUNT(models); i++) cancelling_leaves_the_sequence_of(i);
}

/* ---- generation ---- */

typedef struct heard {
    int32_t id[300];
    int n, most;
} heard;

static bool hear(void *user, int32_t id, float logprob)
{
    heard *h = user;
    assert_true(logprob <= 0);
    h->id[h->n++] = id;
    return h->n < h->most;
}

static sc_stop_reason generate(sc_session *s, int64_t most, int32_t eos, heard *h)
{
    sc_sampler *sampler;
    sc_stop_reason why;
    int64_t n;
    sc_sampling o = SC_SAMPLING_INIT;
    assert_int_equal(sc_sampler_new(&sampler, &o, VOCAB), SC_OK);
    sc_session_trim(s, 0, 0);
    const float *logits = eval(s, 0, text, 10);
    sc_generate how = {.max_new_tokens = most, .eos = &eos, .n_eos = eos >= 0, .token = hear, .user = h};
    h->n = 0;
    if (sc_session_generate(s, 0, logits, sampler, &how, &why, &n)) fail_msg("%s", sc_error());
    assert_int_equal(n, h->n + (why == SC_STOP_EOS));
    sc_sampler_free(sampler);
    return why;
}

static void generation_ends_where_it_should(void **state)
{
    (void)state;
    sc_model *m = model_of(LLAMA(",\"max_position_embeddings\":80"));
    sc_session *s = session_of(m, (sc_session_options){.context = 60});
    heard h = {.most = 1000}, again = {.most = 1000};
    assert_int_equal(generate(s, 20, -1, &h), SC_STOP_LENGTH);
    assert_int_equal(h.n, 20);
    /* Greedy by hand. */
    sc_session_trim(s, 0, 0);
    const float *logits = eval(s, 0, text, 10);
    for (int i = 0; i < 20; i++) {
        int32_t best = 0;
        for (int32_t v = 1; v < VOCAB; v++)
            if (logits[v] > logits[best]) best = v;
        assert_int_equal(h.id[i], best);
        logits = eval(s, 0, &best, 1);
    }
    int first = 0; /* the end id is not handed over, and comes where it first was */
    while (h.id[first] != h.id[7]) first++;
    assert_int_equal(generate(s, 20, h.id[7], &again), SC_STOP_EOS);
    assert_int_equal(again.n, first);
    again.most = 3;
    assert_int_equal(generate(s, 20, -1, &again), SC_STOP_CALLER);
    assert_int_equal(again.n, 3);
    assert_memory_equal(again.id, h.id, 3 * sizeof *h.id);
    again.most = 1000;
    assert_int_equal(generate(s, 0, -1, &again), SC_STOP_LENGTH);
    assert_int_equal(again.n, 0);
    assert_int_equal(generate(s, 1000, -1, &again), SC_STOP_CONTEXT); /* the session's */
    assert_int_equal(again.n, 51);                                    /* the last one needs no place */
    assert_int_equal(sc_session_length(s, 0), 60);
    sc_session_free(s);
    s = session_of(m, (sc_session_options){.context = 200, .sequences = 2});
    assert_int_equal(generate(s, 1000, -1, &again), SC_STOP_CONTEXT); /* the model's */
    assert_int_equal(again.n, 71);
    sc_session_free(s);
    sc_model_free(m);
}

/* ---- beam search, against every sequence there is ---- */

enum { TINY = 4, LENGTH = 3 };

/* The best sum of log-probabilities over all sequences of LENGTH ids that none of ends early. */
static void every_sequence(sc_session *s, const float *logits, int depth, double sum, int32_t *ids, double *best,
                           int32_t *best_ids)
{
    float logprobs[TINY];
    assert_int_equal(sc_logits_logprobs(logits, TINY, logprobs), SC_OK);
    for (int32_t v = 0; v < TINY; v++) {
        ids[depth] = v;
        double total = sum + logprobs[v];
        if (depth + 1 == LENGTH) {
            if (total > *best) {
                *best = total;
                memcpy(best_ids, ids, LENGTH * sizeof *ids);
            }
            continue;
        }
        int64_t before = sc_session_length(s, 0);
        every_sequence(s, eval(s, 0, &v, 1), depth + 1, total, ids, best, best_ids);
        sc_session_trim(s, 0, before);
    }
}

static void wide_beam_finds_the_best(void **state)
{
    (void)state;
    sc_model *m = model_of(
        "{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_embd\":32,\"n_head\":2,\"vocab_size\":4,\"n_positions\":40}");
    sc_session *s = session_of(m, (sc_session_options){.context = 400, .sequences = 32});
    for (int32_t prompt = 0; prompt < TINY; prompt++) {
        int32_t ids[LENGTH], best_ids[LENGTH], p[2] = {prompt, 1};
        double best = -INFINITY;
        for (int q = 0; q < 32; q++) sc_session_trim(s, q, 0);
        every_sequence(s, eval(s, 0, p, 2), 0, 0, ids, &best, best_ids);
        sc_session_trim(s, 0, 0);
        sc_beam_search how = {.options = SC_BEAM_INIT};
        sc_beam_options *o = &how.options;
        o->num_beams = 16; /* TINY^2: nothing is left out */
        o->num_return_sequences = 3;
        o->max_new_tokens = LENGTH;
        sc_beam_answer answers[3];
        int n = 0;
        if (sc_session_beam(s, eval(s, 0, p, 2), &how, answers, &n)) fail_msg("%s", sc_error());
        assert_int_equal(n, 3);
        assert_int_equal(answers[0].n, LENGTH);
        assert_memory_equal(answers[0].ids, best_ids, sizeof best_ids);
        assert_true(fabs(answers[0].score - best / LENGTH) < 1e-5);
        assert_true(answers[0].score >= answers[1].score && answers[1].score >= answers[2].score);
        for (int i = 0; i < n; i++) sc_free(answers[i].ids);
        o->num_beams = 17; /* 34 sequences */
        assert_int_equal(sc_session_beam(s, eval(s, 1, p, 2), &how, answers, &n), SC_EINVAL);
    }
    sc_session_free(s);
    sc_model_free(m);
}

/* ---- two sessions of one model on two threads ---- */

typedef struct worker {
    const sc_model *m;
    const float *all;
    int bad;
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    sc_session *s;
    for (int round = 0; round < 3; round++) {
        const float *logits;
        if (sc_session_new(&s, w->m, &(sc_session_options){.context = LONG, .chunk = 17 + round})) {
            w->bad++;
            return NULL;
        }
        for (int i = 0; i < LONG && !w->bad; i += 50)
            if (sc_session_eval(s, 0, text + i, 50, &logits) ||
                memcmp(logits, w->all + (i + 49) * VOCAB, VOCAB * 4) != 0)
                w->bad++;
        if (sc_session_eval(s, 0, text, 1, &logits) != SC_ELIMIT || !strstr(sc_error(), "150")) w->bad++;
        sc_session_free(s);
    }
    return NULL;
}

static void two_threads_share_a_model(void **state)
{
    (void)state;
    sc_model *m = model_of(models[0].config);
    float *all = one_by_one(m, SC_F32);
    worker w[2] = {{m, all, 0}, {m, all, 0}};
    pthread_t t[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(w[i].bad, 0);
    }
    free(all);
    sc_model_free(m);
}

static int set_up(void **state)
{
    uint64_t seed = 3;
    for (int i = 0; i < LONG; i++) text[i] = (int32_t)random_in(&seed, 0, VOCAB - 1);
    return two_threads(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_however_it_is_cut),      cmocka_unit_test(several_sequences_as_each_alone),
        cmocka_unit_test(forks_and_trims_continue),        cmocka_unit_test(taken_back_and_scored),
        cmocka_unit_test(limits_leave_sequences_alone),    cmocka_unit_test(cancelling_leaves_the_sequence),
        cmocka_unit_test(generation_ends_where_it_should), cmocka_unit_test(wide_beam_finds_the_best),
        cmocka_unit_test(two_threads_share_a_model),
    };
    return cmocka_run_group_tests(tests, set_up, no_context);
}

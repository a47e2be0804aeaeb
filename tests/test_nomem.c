/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th allocation fails, for every n, once and from then on, while a model is opened, a session made and text
 * evaluated: a clear SC_ENOMEM, nothing lost, and what lives on stays usable.
 *
 * The library's allocations all go through base/memory.c. This program has its own copy of that file over an allocator
 * that fails when told to; the linker then leaves the library's out. */
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long live;      /* blocks that were allocated and not freed */
static atomic_long countdown; /* the allocation that fails: 1 the next one; 0: none */
static atomic_bool forever;   /* and all after it */
static atomic_bool fired;     /* one did */

static int fails(void)
{
    long n = atomic_load(&countdown);
    if (n == 0) return 0;
    if (n > 1) {
        atomic_fetch_sub(&countdown, 1);
        return 0;
    }
    atomic_store(&fired, 1);
    if (!atomic_load(&forever)) atomic_store(&countdown, 0);
    return 1;
}

static void *counted(void *p)
{
    if (p) atomic_fetch_add(&live, 1);
    return p;
}
static void *test_malloc(size_t n) { return fails() ? NULL : counted(malloc(n)); }
static void *test_calloc(size_t n, size_t size) { return fails() ? NULL : counted(calloc(n, size)); }
static void *test_aligned_alloc(size_t align, size_t n)
{
    return fails() ? NULL : counted(aligned_alloc(align, n));
}
static void *test_realloc(void *p, size_t n)
{
    if (!p) return test_malloc(n);
    return fails() ? NULL : realloc(p, n);
}
static void test_free(void *p)
{
    if (p) atomic_fetch_sub(&live, 1);
    free(p);
}

static atomic_bool
    in_json; /* the JSON library had to do without: it may call that a fault of the text, or get over it */
static void *json_malloc(size_t n)
{
    void *p = test_malloc(n);
    if (!p) atomic_store(&in_json, 1);
    return p;
}

#define malloc(n)               test_malloc(n)
#define calloc(n, size)         test_calloc(n, size)
#define aligned_alloc(align, n) test_aligned_alloc(align, n)
#define realloc(p, n)           test_realloc(p, n)
#define free                    test_free /* a member of sc_buffer has this name too */
#include "../src/base/memory.c"
#undef malloc
#undef calloc
#undef aligned_alloc
#undef realloc
#undef free

#include "ask/asking.h"
#include "ask/reply.h"
#include "core_help.h"
#include "infer/infer.h"

#include <fcntl.h>

static sc_context *ctx;
static temp_model dir;
static const sc_model_options fresh = {.weights = SC_WEIGHTS_FRESH};

static bool listen(void *user, int32_t id, float logprob)
{
    (void)user;
    return id >= 0 && logprob <= 0;
}

/* Samples a few ids, then searches with one beam. */
static sc_status answers(sc_session *s, const float *logits, int64_t vocab)
{
    sc_sampler *sampler = NULL;
    sc_sampling o = SC_SAMPLING_INIT;
    sc_generate how = {.max_new_tokens = 4, .token = listen};
    sc_beam_search beam = {.options = SC_BEAM_INIT};
    sc_beam_answer best;
    sc_stop_reason why;
    int64_t n;
    int found = 0;
    static const int32_t id = 1;
    o.do_sample = true;
    beam.options.num_beams = 1;
    beam.options.max_new_tokens = 4;
    sc_status status = sc_sampler_new(&sampler, &o, vocab);
    if (!status) status = sc_session_generate(s, 0, logits, sampler, &how, &why, &n);
    if (!status) status = sc_session_eval(s, 0, &id, 1, &logits);
    if (!status) status = sc_session_beam(s, logits, &beam, &best, &found);
    if (!status && found) sc_free(best.ids);
    sc_sampler_free(sampler);
    return status;
}

/* One way through everything; what was made is ended again. */
static sc_status all_of_it(const char *path, const sc_model_options *options)
{
    sc_model *m = NULL;
    sc_session *s = NULL;
    const float *logits;
    static const int32_t ids[40] = {1, 2, 3};
    char *text = NULL;
    sc_outputs *o = NULL;
    sc_model_info info;
    sc_named_tensor in = {
        .name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {2, 20}, .data = (void *)(uintptr_t)ids};
    sc_status status;
    if ((status = sc_model_open(&m, ctx, path, options)) ||
        (status = sc_session_new(&s, m, &(sc_session_options){.context = 64, .sequences = 2, .chunk = 32})) ||
        (status = sc_session_eval(s, 0, ids, 40, &logits)) || (status = sc_session_fork(s, 0, 1)) ||
        (status = sc_session_step(s, (int[]){0, 1}, ids, 2, &logits)))
        goto end;
    sc_model_describe(m, &info);
    if ((status = answers(s, logits, info.vocab)) || (status = sc_model_forward(&o, m, &in, 1, true)) ||
        (status = sc_model_plan_text(&text, m, 3, 2)))
        goto end;
end:
    sc_free(text);
    sc_outputs_free(o);
    sc_session_free(s);
    sc_model_free(m);
    return status;
}

static sc_model *kept; /* for what is tried without opening a model each time */

/* Four ids by look-up, four with a session of the same model for a draft. */
static sc_status speculation(void)
{
    sc_status status = SC_OK;
    sc_sampling o = SC_SAMPLING_INIT;
    static const int32_t ids[] = {3, 3, 3};
    o.do_sample = true;
    for (int way = 0; way < 2 && !status; way++) {
        sc_session *s = NULL, *draft = NULL;
        sc_drafter *d = NULL;
        sc_sampler *sampler = NULL;
        const float *logits;
        sc_stop_reason why;
        int64_t n;
        sc_session_options small = {.context = 32};
        status = sc_session_new(&s, kept, &small);
        if (!status && way) status = sc_session_new(&draft, kept, &small);
        if (!status) status = sc_drafter_new(&d, kept, draft, 1);
        if (!status) status = sc_drafter_start(d, &o, ids, 3);
        if (!status) status = sc_sampler_new(&sampler, &o, 11);
        if (!status) status = sc_session_eval(s, 0, ids, 3, &logits);
        sc_generate how = {.max_new_tokens = 4, .token = listen, .drafter = d};
        if (!status) status = sc_session_generate(s, 0, logits, sampler, &how, &why, &n);
        sc_sampler_free(sampler);
        sc_drafter_free(d);
        sc_session_free(draft);
        sc_session_free(s);
    }
    return status;
}

static sc_status fresh_model_and_all(void) { return all_of_it(dir.dir, &fresh); }
static sc_status stored_model_and_all(void) { return all_of_it(SOCLE_SOURCE_DIR "/tests/data/chat_model", NULL); }

static sc_status context_alone(void)
{
    sc_context *c = NULL;
    sc_status s = sc_context_new(&c, &(sc_context_options){.threads = 3});
    sc_context_free(c);
    return s;
}

static sc_asker *asker; /* for what is asked without opening a model each time; its session is made anew */

/* Two samples of a prompt, and the likelihood of a continuation. */
static sc_status asking(void)
{
    sc_pipeline *p = sc_asker_pipeline(asker);
    sc_ask_request r = {.prompt = {"ab a", 4}, .sampling = SC_SAMPLING_INIT, .max_new_tokens = 2, .samples = 2};
    sc_ask_continuation c = {.context = {"ab a", 4}, .continuation = {"b b", 3}};
    sc_ask_answer answers[2];
    sc_ask_score score;
    r.ignore_eos = r.sampling.do_sample = true;
    p->n_held = 0;
    sc_status s = sc_session_new(&p->session, p->model, &(sc_session_options){.context = 64, .sequences = 3});
    if (!s) s = sc_asker_generate(asker, &r, 1, answers, NULL, NULL);
    if (!s) sc_ask_answers_free(answers, 2);
    if (!s) s = sc_asker_score(asker, &c, 1, &score, NULL, NULL);
    sc_session_free(p->session);
    p->session = NULL;
    return s;
}

/* What is around a model: examples, prompts, answers within texts, what an endpoint sends. */
static sc_status around_asking(void)
{
    static const char pool[] = "{\"input\": \"ab\", \"answer\": \"c\", \"choices\": [\"c\", \"d\"]}\n"
                               "{\"input\": \"b\", \"answer\": \"x #### d\"}",
                      sent[] = "{\"choices\": [{\"text\": \"the answer is 7\"}]}";
    sc_ask_method m;
    sc_ask_task t = {.instruction = "Say."};
    sc_ask_question q = {.input = {"b a", 3}};
    sc_ask_prompt prompt = {0};
    sc_ask_reply reply = {0};
    sc_ask_answer a = {0};
    char *answer = NULL;
    sc_status s = sc_ask_examples_parse(&t.examples, pool, sizeof pool - 1, "pool");
    if (!s) s = sc_ask_method_named(&m, "few-shot-cot");
    for (int chat = 0; chat < 2 && !s; chat++) {
        sc_ask_run run = {.m = &m, .t = &t, .chat = chat};
        m.pick = chat ? SC_PICK_BALANCED : SC_PICK_NEAREST;
        s = sc_ask_prompt_make(&prompt, &run, &q);
        sc_ask_prompt_free(&prompt);
    }
    if (!s) s = sc_ask_reply_read(&reply, sent, sizeof sent - 1, "url");
    if (!s) s = sc_ask_reply_choice(&reply, 0, &(sc_ask_request){0}, &a);
    if (!s) s = sc_ask_extract(&answer, SC_ANSWER_NUMBER, a.text, a.len, NULL, 0);
    sc_free(answer);
    sc_ask_answers_free(&a, 1);
    sc_ask_reply_free(&reply);
    sc_ask_examples_free(t.examples);
    return s;
}

/* Files that are open. */
static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void fail_each(const char *name, sc_status (*run)(void), bool all_after, int at_least)
{
    int failed = 0, files = open_files();
    for (int n = 1;; n++) {
        long before = atomic_load(&live);
        atomic_store(&forever, all_after);
        atomic_store(&in_json, false);
        atomic_store(&fired, false);
        atomic_store(&countdown, n);
        sc_status s = run();
        bool reached = atomic_load(&fired);
        atomic_store(&countdown, 0);
        if (atomic_load(&live) != before)
            fail_msg("%s, allocation %d: %ld blocks were lost", name, n, atomic_load(&live) - before);
        assert_int_equal(open_files(), files);
        if (!reached) {
            if (s) fail_msg("%s: %s", name, sc_error());
            break;
        }
        if (!atomic_load(&in_json) && s != SC_ENOMEM)
            fail_msg("%s, allocation %d: %d, '%s'", name, n, s, sc_error());
        failed++;
    }
    if (failed < at_least) fail_msg("%s: only %d allocations", name, failed);
    printf("  %s: %d allocations failed\n", name, failed);
}

static void every_allocation_fails(void **state)
{
    (void)state;
    assert_int_equal(sc_model_open(&kept, ctx, dir.dir, &fresh), SC_OK);
    assert_int_equal(sc_asker_open(&asker, ctx, SOCLE_SOURCE_DIR "/tests/data/chat_model", NULL), SC_OK);
    sc_session_free(sc_asker_pipeline(asker)->session);
    assert_int_equal(asking(), SC_OK); /* what the pipeline keeps from call to call is there now */
    for (int all_after = 0; all_after < 2; all_after++) {
        fail_each("asking", asking, all_after, 100);
        fail_each("around asking", around_asking, all_after, 50);
        fail_each("speculation", speculation, all_after, 20);
        fail_each("a context", context_alone, all_after, 3);
        fail_each("a fresh model", fresh_model_and_all, all_after, 200);
        fail_each("a stored model", stored_model_and_all, all_after, 200);
    }
    sc_asker_free(asker);
    sc_model_free(kept);
}

/* A session goes on after a failure, with the same bits. */
static void a_session_survives(void **state)
{
    (void)state;
    sc_model *m;
    sc_session *s, *t;
    static const int32_t ids[20] = {4, 5, 6};
    const float *logits, *want;
    sc_session_options o = {.context = 64, .chunk = 16};
    atomic_store(&forever, false);
    assert_int_equal(sc_model_open(&m, ctx, dir.dir, &fresh), SC_OK);
    assert_int_equal(sc_session_new(&t, m, &o), SC_OK);
    assert_int_equal(sc_session_eval(t, 0, ids, 20, &want), SC_OK);
    assert_int_equal(sc_session_new(&s, m, &o), SC_OK);
    for (int n = 1; n; n++) {
        atomic_store(&countdown, n);
        sc_status status = sc_session_eval(s, 0, ids, 20, &logits);
        bool reached = atomic_load(&countdown) == 0;
        atomic_store(&countdown, 0);
        assert_int_equal(status, reached ? SC_ENOMEM : SC_OK);
        assert_int_equal(sc_session_length(s, 0), reached ? 0 : 20);
        if (!reached) break;
    }
    assert_memory_equal(logits, want, 11 * sizeof *want);
    sc_session_free(s);
    sc_session_free(t);
    sc_model_free(m);
}

static int set_up(void **state)
{
    (void)state;
    json_set_alloc_funcs(json_malloc, test_free);
    ctx = new_context(2);
    write_config(&dir,
                 "{\"model_type\":\"qwen3_5_text\",\"num_hidden_layers\":2,\"hidden_size\":16,"
                 "\"intermediate_size\":24,\"vocab_size\":11,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
                 "\"head_dim\":8,\"layer_types\":[\"linear_attention\",\"full_attention\"],"
                 "\"linear_num_key_heads\":1,\"linear_num_value_heads\":2,\"linear_key_head_dim\":4,"
                 "\"linear_value_head_dim\":4,\"eos_token_id\":[1,2]}");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sc_context_free(ctx);
    remove_config(&dir);
    return atomic_load(&live) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(a_session_survives),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

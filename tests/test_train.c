/* SPDX-License-Identifier: Apache-2.0 */
/* Training runs: they learn, they stop and go on to the same bits, and refuse what they cannot work with. */
#include "models.h"
#include "socle/train.h"

#define MODEL SOCLE_SOURCE_DIR "/tests/data/chat_model"

static char dir[] = "/tmp/socle-train-XXXXXX";
static sc_context *ctx;

static const char *in_dir(const char *name)
{
    static char path[8][256];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static const char *write_file(const char *name, const char *text, int64_t n)
{
    const char *path = in_dir(name);
    assert_int_equal(sc_file_write(path, text, n), SC_OK);
    return path;
}

/* Text that is easy to learn. */
static const char *write_text(const char *name, int lines)
{
    sc_str s = {0};
    for (int i = 0; i < lines; i++) sc_str_printf(&s, "one two three %d, one two three.\n", i % 3);
    const char *path = write_file(name, s.p, s.len);
    sc_str_free(&s);
    return path;
}

typedef struct seen {
    double first, last, eval;
    int64_t steps, stop_at;
} seen;

static void report(void *user, const sc_train_event *e)
{
    seen *x = user;
    if (!x->steps++) x->first = e->loss;
    x->last = e->loss;
    if (e->eval_loss >= 0) x->eval = e->eval_loss;
    if (e->step == x->stop_at) sc_context_cancel(ctx);
}

static const char *data[1];

static sc_train_options options(const char *out)
{
    return (sc_train_options){.model = MODEL,
                              .data = data,
                              .n_data = 1,
                              .out = out,
                              .steps = 14,
                              .batch = 3,
                              .length = 24,
                              .accumulate = 2,
                              .lr = 1e-2,
                              .save_every = 4,
                              .log_every = 1,
                              .seed = 3};
}

static void same_file(const char *a, const char *b)
{
    char *x, *y;
    int64_t n, m;
    assert_int_equal(sc_file_read(&x, &n, a, 1 << 24), SC_OK);
    assert_int_equal(sc_file_read(&y, &m, b, 1 << 24), SC_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, (size_t)n);
    sc_free(x);
    sc_free(y);
}

static void learns(void **state)
{
    (void)state;
    seen x = {0};
    const char *const eval[] = {write_text("eval.txt", 12)};
    sc_train_options o = options(in_dir("whole"));
    o.eval_data = eval;
    o.n_eval_data = 1;
    if (sc_train(ctx, &o, report, &x)) fail_msg("%s", sc_error());
    assert_int_equal(x.steps, 14);
    assert_true(x.last < 0.7 * x.first);
    assert_true(x.eval > 0 && x.eval < x.first);
    /* What it leaves is a model like any other. */
    sc_model *m;
    if (sc_model_open(&m, ctx, in_dir("whole"), NULL)) fail_msg("%s", sc_error());
    sc_model_free(m);
    assert_true(sc_path_exists(in_dir("whole/tokenizer.json")));
    assert_true(sc_path_exists(in_dir("whole/checkpoint-14/optimizer.safetensors")));
    assert_true(sc_path_exists(in_dir("whole/checkpoint-12/model.safetensors")));
    assert_false(sc_path_exists(in_dir("whole/checkpoint-8"))); /* two are kept */
}

/* Stopped by the user after step 6, then as if killed after step 12's checkpoint, with threads that differ. */
static void goes_on_to_the_same_bits(void **state)
{
    (void)state;
    seen x = {.stop_at = 6};
    sc_train_options o = options(in_dir("parts"));
    assert_int_equal(sc_train(ctx, &o, report, &x), SC_ECANCELLED);
    assert_non_null(strstr(sc_error(), "stopped after step 6 of 14"));
    sc_context_resume(ctx);
    assert_true(sc_path_exists(in_dir("parts/checkpoint-6")));
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "has a run already"));
    o.resume = true;
    sc_context *other;
    assert_int_equal(sc_context_new(&other, &(sc_context_options){.threads = 3}), SC_OK);
    if (sc_train(other, &o, NULL, NULL)) fail_msg("%s", sc_error());
    same_file(in_dir("whole/model.safetensors"), in_dir("parts/model.safetensors"));
    char command[600];
    snprintf(command, sizeof command, "rm -r '%s' '%s'", in_dir("parts/checkpoint-14"),
             in_dir("parts/model.safetensors"));
    assert_int_equal(system(command), 0);
    if (sc_train(other, &o, NULL, NULL)) fail_msg("%s", sc_error());
    same_file(in_dir("whole/model.safetensors"), in_dir("parts/model.safetensors"));
    same_file(in_dir("whole/checkpoint-14/optimizer.safetensors"),
              in_dir("parts/checkpoint-14/optimizer.safetensors"));
    sc_context_free(other);
    o.batch = 4;
    o.out = in_dir("parts"); /* its memory has been used again */
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "--batch is 4, the run was started with 3"));
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        int64_t n;
        const char *says;
    } bad[] = {
        {"empty.txt", "", 0, "has no text"},
        {"binary.txt", "ab\0cd", 5, "is not text"},
        {"latin.txt", "caf\xe9\n", 5, "is not UTF-8"},
        {"short.txt", "one", 3, "not one sequence of 24"},
        {"a.jsonl", "{\"text\": \"one\"}\n{\"txt\": 1}\n", 27, "line 2 has no \"text\""},
        {"b.jsonl", "{\"text\": \"one\"}\n{", 17, "line 2"},
    };
    for (int i = 0; i < SC_COUNT(bad); i++) {
        const char *const files[] = {write_file(bad[i].name, bad[i].text, bad[i].n)};
        sc_train_options o = options(in_dir("never"));
        o.data = files;
        assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
        if (!strstr(sc_error(), bad[i].says) || !strstr(sc_error(), i == 3 ? "data" : bad[i].name))
            fail_msg("%s: %s", bad[i].name, sc_error());
    }
    assert_false(sc_path_exists(in_dir("never")));
    sc_train_options o = options(in_dir("never"));
    o.length = 4000;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "the model's context is 512"));
    o = options(in_dir("never"));
    o.resume = true;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_ENOTFOUND);
    o = options(in_dir("never"));
    static const char small[] =
        "{\"model_type\": \"llama\", \"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 1, "
        "\"num_attention_heads\": 2, \"vocab_size\": 20}";
    o.model = write_file("small.json", small, sizeof small - 1);
    o.tokenizer = MODEL;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "the model has 20 tokens"));
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 2})) return -1;
    data[0] = strdup(write_text("data.txt", 200));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    sc_context_free(ctx);
    free((void *)(uintptr_t)data[0]);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns),
        cmocka_unit_test(goes_on_to_the_same_bits),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

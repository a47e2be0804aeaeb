/* SPDX-License-Identifier: Apache-2.0 */
/* Learning on: a small model that knows one task learns another, with and without what keeps it from forgetting. Batches with
 * replay against their parts, the pull and the Fisher information against their definitions, runs that are stopped. */
#include "models.h"
#include "socle/train.h"
#include "train/run.h"

#include <math.h>

static char dir[] = "/tmp/socle-continual-XXXXXX";
static sc_context *ctx;

static const char *in_dir(const char *fmt, ...) SC_PRINTF(1, 2);
static const char *in_dir(const char *fmt, ...)
{
    static char path[64][300];
    static int turn;
    char name[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    turn = (turn + 1) % 64;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static void write_text(const char *name, const char *text)
{
    assert_int_equal(sc_file_write(in_dir("%s", name), text, (int64_t)strlen(text)), SC_OK);
}

/* Lines of letters that go up the alphabet, or down. */
static void write_lines(const char *name, int n, int by, uint64_t seed)
{
    sc_str s = {0};
    sc_rng r = sc_rng_make(seed, 1);
    for (int i = 0; i < n; i++) {
        int64_t from = (int64_t)(sc_rng_uniform(&r) * 8);
        for (int k = 0; k < 24; k++) sc_str_putc(&s, (char)('a' + ((from + by * k) % 8 + 8) % 8));
        sc_str_putc(&s, '\n');
    }
    write_text(name, s.p);
    sc_str_free(&s);
}

static const char *files(const char *name) { return strdup(in_dir("%s", name)); }

static const char *up[1], *up_eval[1], *down[1], *down_eval[1];

/* Makes the data, and a model that knows how to go up. */
static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 2})) return 1;
    write_text("symbols.txt", "a\nb\nc\nd\ne\nf\ng\nh\n");
    write_text("gpt2.json",
               "{\"model_type\": \"gpt2\", \"vocab_size\": 9, \"n_embd\": 32, \"n_layer\": 1, \"n_head\": 4, "
               "\"n_positions\": 32}");
    write_lines("up.txt", 200, 1, 1);
    write_lines("up_eval.txt", 20, 1, 2);
    write_lines("down.txt", 200, -1, 3);
    write_lines("down_eval.txt", 20, -1, 4);
    up[0] = files("up.txt");
    up_eval[0] = files("up_eval.txt");
    down[0] = files("down.txt");
    down_eval[0] = files("down_eval.txt");
    const sc_train_options o = {.model = in_dir("gpt2.json"),
                                .alphabet = in_dir("symbols.txt"),
                                .data = up,
                                .n_data = 1,
                                .out = in_dir("old"),
                                .steps = 150,
                                .batch = 8,
                                .length = 16,
                                .lr = 1e-2};
    return sc_train(ctx, &o, NULL, NULL) != SC_OK;
}

static int end(void **state)
{
    (void)state;
    sc_context_free(ctx);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0;
}

/* Now it is to learn to go down. */
static sc_train_options learn_on(const char *out)
{
    return (sc_train_options){.model = in_dir("old"),
                              .from_weights = true,
                              .data = down,
                              .n_data = 1,
                              .eval_data = down_eval,
                              .n_eval_data = 1,
                              .old_eval_data = up_eval,
                              .n_old_eval_data = 1,
                              .out = in_dir("%s", out),
                              .steps = 40,
                              .batch = 8,
                              .length = 16,
                              .lr = 3e-3,
                              .save_every = 10,
                              .log_every = 1,
                              .seed = 7};
}

static void train(const sc_train_options *o)
{
    if (sc_train(ctx, o, NULL, NULL)) fail_msg("%s", sc_error());
}

static json_t *read_json(const char *path)
{
    json_t *o;
    if (sc_json_read(&o, path, 1 << 20)) fail_msg("%s", sc_error());
    return o;
}

/* A number of the report of a run: of the old data, or of the new. */
static double forgot(const char *run, bool old, const char *when)
{
    json_t *all = read_json(in_dir("%s/forgetting.json", run)),
           *row = old ? json_array_get(json_object_get(all, "old"), 0) : json_object_get(all, "new");
    const json_t *v = json_object_get(json_object_get(row, when), "loss");
    assert_true(json_is_number(v));
    double x = json_number_value(v);
    json_decref(all);
    return x;
}

/* ---- replay ---- */

static void open_task(sc_task *t, sc_train_options *o)
{
    *t = (sc_task){0};
    o->tokenizer = o->model;
    if (sc_task_open(t, ctx, o, o->model, false, 1)) fail_msg("%s", sc_error());
}

static double loss_of(sc_learner *l, const sc_text_batch *b)
{
    double loss;
    sc_learner_clear(l);
    if (sc_learner_add(l, b, 1, &loss)) fail_msg("%s", sc_error());
    return loss;
}

/* A batch is what the two of its parts are, one after the other, and so are its loss and gradients. */
static void a_batch_has_old_and_new(void **state)
{
    (void)state;
    sc_train_options both = learn_on("none"), new = both, old = both;
    both.replay = up;
    both.n_replay = 1;
    both.replay_share = 0.25;
    new.batch = 6;
    old.batch = 2;
    old.data = up;
    sc_task t[3];
    open_task(&t[0], &both);
    open_task(&t[1], &new);
    open_task(&t[2], &old);
    assert_int_equal(t[0].replayed, 2);
    sc_learner *l;
    assert_int_equal(sc_learner_new(&l, t[0].model, t[0].objective, t[0].self), SC_OK);
    for (int64_t i = 0; i < 60; i += 13) {
        sc_text_batch a, b, c;
        assert_int_equal(sc_task_batch(&t[0], i, &a), SC_OK);
        assert_int_equal(sc_task_batch(&t[1], i, &b), SC_OK);
        assert_int_equal(sc_task_batch(&t[2], i, &c), SC_OK);
        assert_int_equal(a.tokens, 8 * 16);
        assert_int_equal(a.examples, 8);
        assert_memory_equal(a.ids, b.ids, (size_t)b.tokens * 4);
        assert_memory_equal(a.ids + b.tokens, c.ids, (size_t)c.tokens * 4);
        assert_memory_equal(a.labels + b.rows, c.labels, (size_t)c.rows * 4);
        assert_int_equal(a.start[a.sequences], a.tokens);
        assert_int_equal(a.start[b.sequences], b.tokens);
        double whole = loss_of(l, &a), n = loss_of(l, &b), o = loss_of(l, &c);
        assert_true(fabs(whole - (n * (double)b.counted + o * (double)c.counted) / (double)a.counted) < 1e-5);
    }
    sc_str text = {0};
    sc_task_describe(&t[0], 0, &text);
    assert_non_null(strstr(text.p, "; replayed: up.txt"));
    sc_str_free(&text);
    sc_learner_free(l);
    for (int i = 0; i < 3; i++) sc_task_close(&t[i]);
}

/* The same with labels at some tokens, sources and types: encoders, and encoder-decoders. */
static void all_kinds_of_batches_take_it(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {
        {"mlm", "{\"model_type\": \"bert\", \"vocab_size\": 9, \"type_vocab_size\": 2, \"hidden_size\": 16, "
                "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"intermediate_size\": 32, "
                "\"max_position_embeddings\": 64}"},
        {"span",
         "{\"model_type\": \"t5\", \"vocab_size\": 9, \"d_model\": 16, \"d_ff\": 32, \"d_kv\": 8, \"num_heads\": "
         "2, \"num_layers\": 1, \"relative_attention_num_buckets\": 8, \"relative_attention_max_distance\": 20}"},
    };
    for (int k = 0; k < SC_COUNT(kinds); k++) {
        write_text("kind.json", kinds[k][1]);
        sc_train_options o = {.model = in_dir("kind.json"),
                              .alphabet = in_dir("symbols.txt"),
                              .objective = kinds[k][0],
                              .data = down,
                              .n_data = 1,
                              .replay = up,
                              .n_replay = 1,
                              .replay_share = 0.5,
                              .batch = 4,
                              .length = 24};
        sc_task t = {0};
        if (sc_task_open(&t, ctx, &o, o.model, true, 1)) fail_msg("%s: %s", kinds[k][0], sc_error());
        sc_learner *l;
        sc_text_batch b;
        assert_int_equal(sc_learner_new(&l, t.model, t.objective, t.self), SC_OK);
        assert_int_equal(t.objective->batch(t.self, 3, &b), SC_OK);
        double n = loss_of(l, &b), counted = (double)b.counted;
        assert_int_equal(sc_replay_add(t.replay, 3, &b), SC_OK);
        double whole = loss_of(l, &b), sum = 0;
        assert_true((double)b.counted > counted);
        for (int64_t i = 0; i < b.rows; i++) sum += b.labels[i] >= 0 ? b.weight[i] : 0;
        assert_true(fabs(sum - 1) < 1e-5);
        /* What the old part's loss must be, by itself. */
        double old = (whole * (double)b.counted - n * counted) / ((double)b.counted - counted);
        o.data = up;
        o.n_replay = 0;
        o.batch = 2;
        sc_task alone = {0};
        assert_int_equal(sc_task_open(&alone, ctx, &o, o.model, true, 1), SC_OK);
        assert_int_equal(sc_task_batch(&alone, 3, &b), SC_OK);
        double expected = loss_of(l, &b);
        if (fabs(old - expected) > 1e-4) fail_msg("%s: %.7f, expected %.7f", kinds[k][0], old, expected);
        sc_task_close(&alone);
        sc_learner_free(l);
        sc_task_close(&t);
    }
}

static void refuse(sc_train_options o, const char *message)
{
    sc_status s = sc_train(ctx, &o, NULL, NULL);
    assert_true(s != SC_OK);
    if (!strstr(sc_error(), message)) fail_msg("'%s' lacks '%s'", sc_error(), message);
}

static void says_what_cannot_be(void **state)
{
    (void)state;
    sc_train_options o = learn_on("refused");
    o.replay = up;
    o.n_replay = 1;
    o.replay_share = 0.01;
    refuse(o, "--replay-share 0.01 of a batch of 8 are 0 examples");
    o.replay_share = 1.5;
    refuse(o, "the share of old data is 1.5");
    o = learn_on("refused");
    o.ewc = 10;
    refuse(o, "--ewc needs old data");
    o.ewc = 0;
    o.ewc_data = up;
    o.n_ewc_data = 1;
    refuse(o, "need a strength: --ewc");
    o = learn_on("refused");
    o.ewc = 1;
    o.ewc_from = in_dir("nothing.safetensors");
    refuse(o, "nothing.safetensors");
    const char *missing[] = {in_dir("nothing.txt")};
    o = learn_on("refused");
    o.old_eval_data = missing;
    refuse(o, "--old-eval-data: ");
}

/* ---- the pull ---- */

typedef struct anchored {
    sc_task t;
    sc_learner *l;
    sc_anchor *a;
    const sc_trained *trained;
    int64_t n;
} anchored;

static void open_anchor(anchored *x, sc_train_options *o)
{
    open_task(&x->t, o);
    assert_int_equal(sc_learner_new(&x->l, x->t.model, x->t.objective, x->t.self), SC_OK);
    x->trained = sc_learner_trained(x->l, &x->n);
    const sc_anchor_setup s = {.o = o,
                               .task = &x->t,
                               .learner = x->l,
                               .whole = x->trained,
                               .part = x->trained,
                               .n = x->n,
                               .first = true,
                               .work = ctx,
                               .user = ctx};
    if (sc_anchor_open(&x->a, &s, true)) fail_msg("%s", sc_error());
}

static void close_anchor(anchored *x)
{
    sc_anchor_free(x->a);
    sc_learner_free(x->l);
    sc_task_close(&x->t);
}

/* Squares of numerical derivatives of the losses of three examples, which are all of this data. */
static void fisher_is_the_mean_square_of_gradients(void **state)
{
    (void)state;
    const float h = 1e-2f;
    const char *few[] = {in_dir("few.txt")};
    write_text("few.txt", "abcdefghabcdefgha\nbadcfehgbadcfehgb\nhhhhgggghhhhggggh\n");
    sc_train_options o = learn_on("fisher"), one;
    o.ewc = 1;
    o.ewc_data = few;
    o.n_ewc_data = 1;
    o.ewc_examples = 256;
    anchored x;
    open_anchor(&x, &o);
    sc_safetensors *st;
    assert_int_equal(sc_safetensors_open(&st, in_dir("fisher/anchor.safetensors")), SC_OK);
    one = o;
    one.batch = 1;
    void *self;
    int64_t batches;
    assert_int_equal(sc_task_measure(&x.t, ctx, &one, few, 1, &self, &batches), SC_OK);
    assert_true(batches >= 3);
    for (int64_t i = 0; i < x.n; i++) {
        char name[200];
        const sc_trained *p = &x.trained[i];
        const sc_file_tensor *f, *start;
        snprintf(name, sizeof name, "fisher.%s", p->name);
        assert_int_equal(sc_safetensors_find(st, name, &f), SC_OK);
        snprintf(name, sizeof name, "start.%s", p->name);
        assert_int_equal(sc_safetensors_find(st, name, &start), SC_OK);
        assert_memory_equal(start->data, p->value, (size_t)(p->rows * p->cols) * 4);
        int64_t k = p->rows * p->cols / 2; /* one element of each is enough */
        double expected = 0, got = ((const float *)f->data)[k];
        for (int64_t e = 0; e < batches; e++) {
            double loss[2];
            sc_text_batch b;
            assert_int_equal(x.t.objective->eval_batch(self, e, &b), SC_OK);
            float w = p->value[k];
            for (int side = 0; side < 2; side++) {
                sc_measure sum = {0};
                p->value[k] = w + (side ? h : -h);
                assert_int_equal(sc_learner_score(x.l, &b, &sum), SC_OK);
                loss[side] = sum.loss / sum.counted;
            }
            p->value[k] = w;
            double g = (loss[1] - loss[0]) / (2 * h);
            expected += (double)b.counted * g * g / (double)batches;
        }
        if (fabs(got - expected) > 2e-3 * expected + 1e-5)
            fail_msg("%s: %g, by differences %g", p->name, got, expected);
    }
    x.t.objective->free(self);
    sc_safetensors_free(st);
    close_anchor(&x);
}

/* The gradient and the value of (l2 + ewc F) / 2 (w - w0)^2; and what an earlier run knew is added. */
static void pulls_as_it_should(void **state)
{
    (void)state;
    sc_train_options o = learn_on("pull");
    o.ewc = 5;
    o.l2_start = 0.25;
    o.ewc_data = up;
    o.n_ewc_data = 1;
    o.ewc_examples = 8;
    anchored x, y;
    open_anchor(&x, &o);
    sc_train_options more = learn_on("pull_more");
    more.ewc = 5;
    more.ewc_from = in_dir("pull/anchor.safetensors");
    more.ewc_data = up;
    more.n_ewc_data = 1;
    more.ewc_examples = 8;
    open_anchor(&y, &more);
    sc_safetensors *st, *sum;
    assert_int_equal(sc_safetensors_open(&st, in_dir("pull/anchor.safetensors")), SC_OK);
    assert_int_equal(sc_safetensors_open(&sum, in_dir("pull_more/anchor.safetensors")), SC_OK);
    float **grad = calloc((size_t)x.n, sizeof *grad);
    double expected = 0;
    for (int64_t i = 0; i < x.n; i++) {
        int64_t n = x.trained[i].rows * x.trained[i].cols;
        grad[i] = calloc((size_t)n, sizeof **grad);
        for (int64_t k = 0; k < n; k++) {
            grad[i][k] = 1;
            x.trained[i].value[k] += (float)(k % 3) * 0.01f;
        }
    }
    double penalty = sc_anchor_pull(x.a, ctx, grad);
    for (int64_t i = 0; i < x.n; i++) {
        char name[200];
        const sc_file_tensor *f, *g, *w0;
        snprintf(name, sizeof name, "fisher.%s", x.trained[i].name);
        assert_int_equal(sc_safetensors_find(st, name, &f), SC_OK);
        assert_int_equal(sc_safetensors_find(sum, name, &g), SC_OK);
        snprintf(name, sizeof name, "start.%s", x.trained[i].name);
        assert_int_equal(sc_safetensors_find(st, name, &w0), SC_OK);
        for (int64_t k = 0; k < x.trained[i].rows * x.trained[i].cols; k++) {
            double fisher = ((const float *)f->data)[k],
                   d = (double)x.trained[i].value[k] - ((const float *)w0->data)[k], c = 0.25 + 5 * fisher;
            expected += c / 2 * d * d;
            assert_true(fabs(grad[i][k] - (1 + c * d)) < 1e-6 * (1 + fabs(c * d)));
            assert_true(((const float *)g->data)[k] == (float)(2 * fisher));
        }
        free(grad[i]);
    }
    assert_true(fabs(penalty - expected) < 1e-9 * expected);
    free(grad);
    sc_safetensors_free(st);
    sc_safetensors_free(sum);
    close_anchor(&x);
    close_anchor(&y);
}

/* ---- whole runs ---- */

/* Each of the three forgets much less than a run without, which forgets; and the new task is learned with all of them. */
static void each_forgets_less(void **state)
{
    (void)state;
    sc_train_options plain = learn_on("plain"), replay = learn_on("replay"), ewc = learn_on("ewc"),
                     l2 = learn_on("l2");
    replay.replay = up;
    replay.n_replay = 1;
    replay.replay_share = 0.25;
    ewc.ewc = 3000;
    ewc.ewc_data = up;
    ewc.n_ewc_data = 1;
    l2.l2_start = 1;
    const sc_train_options *all[] = {&plain, &replay, &ewc, &l2};
    static const char *const names[] = {"plain", "replay", "ewc", "l2"};
    double old[4], new[4];
    for (int i = 0; i < 4; i++) {
        train(all[i]);
        old[i] = forgot(names[i], true, "change");
        new[i] = forgot(names[i], false, "change");
        print_message("%s: old %+.3f, new %+.3f\n", names[i], old[i], new[i]);
    }
    assert_true(old[0] > 1);
    for (int i = 0; i < 4; i++) assert_true(new[i] < -0.5);
    for (int i = 1; i < 4; i++) assert_true(old[i] < 0.7 * old[0]);
}

/* What the report says is what a model that is measured has, and the page shows it. */
static void the_report_is_right(void **state)
{
    (void)state;
    sc_train_options o = learn_on("measured");
    o.steps = 12;
    train(&o);
    const char *runs[] = {in_dir("old"), in_dir("measured")};
    static const char *const when[] = {"before", "now"};
    for (int i = 0; i < 2; i++) {
        sc_train_options m = o;
        sc_task t;
        sc_learner *l;
        sc_measure sum = {0};
        m.model = runs[i];
        m.eval_data = up_eval;
        open_task(&t, &m);
        assert_int_equal(sc_learner_new(&l, t.model, t.objective, t.self), SC_OK);
        for (int64_t k = 0; k < t.size.eval_batches; k++) {
            sc_text_batch b;
            assert_int_equal(t.objective->eval_batch(t.self, k, &b), SC_OK);
            assert_int_equal(sc_learner_score(l, &b, &sum), SC_OK);
        }
        assert_true(fabs(forgot("measured", true, when[i]) - sum.loss / sum.counted) < 1e-7);
        sc_learner_free(l);
        sc_task_close(&t);
    }
    char *page;
    int64_t n;
    assert_int_equal(sc_file_read(&page, &n, in_dir("measured/report.html"), 1 << 22), SC_OK);
    assert_non_null(strstr(page, "Forgetting"));
    assert_non_null(strstr(page, "up_eval.txt"));
    sc_free(page);
}

static void stop_at(void *user, const sc_train_event *e)
{
    if (e->step == *(const int64_t *)user) sc_context_cancel(ctx);
}

static void same_file(const char *a, const char *b)
{
    char *x, *y;
    int64_t n, m;
    if (sc_file_read(&x, &n, a, 1 << 24) || sc_file_read(&y, &m, b, 1 << 24)) fail_msg("%s", sc_error());
    if (n != m || memcmp(x, y, (size_t)n) != 0) fail_msg("%s and %s differ", a, b);
    sc_free(x);
    sc_free(y);
}

/* Stopped twice and gone on, with nothing but the folder told, it comes to the same bits; and for any number of threads. */
static void goes_on_to_the_same_bits(void **state)
{
    (void)state;
    static const char *const names[] = {"straight", "stopped"};
    for (int i = 0; i < 2; i++) {
        sc_train_options o = learn_on(names[i]);
        o.steps = 25;
        o.replay = up;
        o.n_replay = 1;
        o.replay_share = 0.25;
        o.ewc = 3;
        o.ewc_data = up;
        o.n_ewc_data = 1;
        o.ewc_examples = 16;
        o.l2_start = 0.01;
        for (int64_t at = 7; i && at < 25; at += 7) {
            assert_int_equal(sc_train(ctx, &o, stop_at, &at), SC_ECANCELLED);
            sc_context_resume(ctx);
            o = (sc_train_options){.out = o.out, .resume = true};
        }
        sc_context *own;
        assert_int_equal(sc_context_new(&own, &(sc_context_options){.threads = i ? 3 : 1}), SC_OK);
        if (sc_train(own, &o, NULL, NULL)) fail_msg("%s", sc_error());
        sc_context_free(own);
    }
    static const char *const files_of[] = {"model.safetensors", "anchor.safetensors", "forgetting.json",
                                           "checkpoint-25/optimizer.safetensors"};
    for (int i = 0; i < SC_COUNT(files_of); i++)
        same_file(in_dir("straight/%s", files_of[i]), in_dir("stopped/%s", files_of[i]));
    sc_train_options o = {.out = in_dir("stopped"), .resume = true, .replay = down, .n_replay = 1};
    refuse(o, "is not what the run was started with");
    assert_int_equal(remove(in_dir("stopped/anchor.safetensors")), 0);
    o.replay = NULL;
    o.n_replay = 0;
    refuse(o, "anchor.safetensors is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_has_old_and_new), cmocka_unit_test(all_kinds_of_batches_take_it),
        cmocka_unit_test(says_what_cannot_be),     cmocka_unit_test(fisher_is_the_mean_square_of_gradients),
        cmocka_unit_test(pulls_as_it_should),      cmocka_unit_test(each_forgets_less),
        cmocka_unit_test(the_report_is_right),     cmocka_unit_test(goes_on_to_the_same_bits),
    };
    return cmocka_run_group_tests(tests, begin, end);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What a model can learn: small models that learn small tasks to the end, what batches are made of, and what is refused. With
 * SOCLE_BATCHES=DIR batches are written there too, for check_train.py. */
#include "models.h"
#include "socle/train.h"
#include "train/train.h"

static char dir[] = "/tmp/socle-objectives-XXXXXX";
static sc_context *ctx;

static const char *in_dir(const char *name)
{
    static char path[16][256];
    static int turn;
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = in_dir(name);
    assert_int_equal(sc_file_write(path, text, (int64_t)strlen(text)), SC_OK);
    return path;
}

/* ---- models and data ---- */

#define ENCODER                                                                                                    \
    "\"hidden_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 64, "       \
    "\"max_position_embeddings\": 64"
#define PAIR                                                                                                       \
    "\"d_model\": 32, \"encoder_layers\": 2, \"decoder_layers\": 2, \"encoder_attention_heads\": 4, "              \
    "\"decoder_attention_heads\": 4, \"encoder_ffn_dim\": 64, \"decoder_ffn_dim\": 64, "                           \
    "\"max_position_embeddings\": 64"
#define WORDS                                                                                                      \
    "\"embed_dim\": 24, \"hidden_size\": 32, \"attention_size\": 24, \"src_vocab_size\": 9, \"tgt_vocab_size\": 9"

static const char *const configs[][2] = {
    {"gpt2", "{\"model_type\": \"gpt2\", \"vocab_size\": 9, \"n_embd\": 32, \"n_layer\": 2, \"n_head\": 4, "
             "\"n_positions\": 64}"},
    {"bert", "{\"model_type\": \"bert\", \"vocab_size\": 9, \"type_vocab_size\": 2, " ENCODER "}"},
    {"t5",
     "{\"model_type\": \"t5\", \"vocab_size\": 9, \"d_model\": 32, \"d_ff\": 64, \"d_kv\": 8, \"num_heads\": 4, "
     "\"num_layers\": 2, \"relative_attention_num_buckets\": 8, \"relative_attention_max_distance\": 20}"},
    {"bart", "{\"model_type\": \"bart\", \"vocab_size\": 9, \"activation_function\": \"gelu\", "
             "\"decoder_start_token_id\": 2, " PAIR "}"},
    /* The transformer of 2017. */
    {"marian", "{\"model_type\": \"marian\", \"vocab_size\": 9, \"activation_function\": \"relu\", "
               "\"scale_embedding\": true, \"init_std\": 0.1, \"decoder_start_token_id\": 0, " PAIR "}"},
    {"gru", "{\"model_type\": \"word_seq2seq\", \"cell\": \"gru\", " WORDS "}"},
    {"lstm", "{\"model_type\": \"word_seq2seq\", \"cell\": \"lstm\", " WORDS "}"},
};

static const char *config_of(const char *name)
{
    for (int i = 0; i < SC_COUNT(configs); i++)
        if (strcmp(configs[i][0], name) == 0) {
            char file[64];
            snprintf(file, sizeof file, "%s.json", name);
            return write_file(file, configs[i][1]);
        }
    fail_msg("no configuration %s", name);
    return NULL;
}

/* Lines "cdefghab…", from any letter on. */
static void alphabet_lines(sc_str *s, sc_rng *r, int i)
{
    (void)i;
    int64_t n = 8 + sc_rng_below(r, 30), from = sc_rng_below(r, 8);
    for (int64_t k = 0; k < n; k++) sc_str_putc(s, (char)('a' + (from + k) % 8));
    sc_str_putc(s, '\n');
}

/* Lines of one letter. */
static void one_letter(sc_str *s, sc_rng *r, int i)
{
    (void)i;
    int64_t n = 6 + sc_rng_below(r, 20), letter = sc_rng_below(r, 8);
    for (int64_t k = 0; k < n; k++) sc_str_putc(s, (char)('a' + letter));
    sc_str_putc(s, '\n');
}

static void letters(char *word, sc_rng *r, int64_t n, int64_t kinds)
{
    for (int64_t k = 0; k < n; k++) word[k] = (char)('a' + sc_rng_below(r, kinds));
    word[n] = 0;
}

static void copies(sc_str *s, sc_rng *r, int i)
{
    char word[16];
    (void)i;
    letters(word, r, 2 + sc_rng_below(r, 3), 4);
    sc_str_printf(s, "{\"source\": \"%s\", \"target\": \"%s\"}\n", word, word);
}

static void classes(sc_str *s, sc_rng *r, int i)
{
    char word[32];
    letters(word, r, 3 + sc_rng_below(r, 15), 4);
    for (int k = 0; i % 2 && word[k]; k++) word[k] = (char)(word[k] + 4);
    sc_str_printf(s, "{\"text\": \"%s\", \"label\": \"%s\"}\n", word, i % 2 ? "late" : "early");
}

static void shares(sc_str *s, sc_rng *r, int i)
{
    char word[32];
    int64_t n = 4 + sc_rng_below(r, 12), a = 0;
    letters(word, r, n, 2);
    for (int64_t k = 0; k < n; k++) a += word[k] == 'a';
    if (i == 0) sc_str_puts(s, "text\tscore\n");
    sc_str_printf(s, "%s\t%.4f\n", word, (double)a / (double)n);
}

/* Texts of the same letters. */
static void alike(sc_str *s, sc_rng *r, int i)
{
    char word[16], other[16];
    (void)i;
    letters(word, r, 4, 8);
    for (int k = 0; k < 4; k++) other[k] = word[3 - k];
    other[4] = 0;
    sc_str_printf(s, "{\"anchor\": \"%s\", \"positive\": \"%s\"}\n", word, other);
}

typedef void maker(sc_str *s, sc_rng *r, int i);

static const char *write_data(const char *name, maker *make, int n, uint64_t seed)
{
    sc_str s = {0};
    sc_rng r = sc_rng_make(seed, 1);
    for (int i = 0; i < n; i++) make(&s, &r, i);
    const char *path = write_file(name, s.p);
    sc_str_free(&s);
    return path;
}

static const char *symbols(void) { return write_file("symbols.txt", "a\nb\nc\nd\ne\nf\ng\nh\n"); }

/* ---- learning ---- */

typedef struct seen {
    double loss, measured;
    const char *measure;
    int64_t stop_at;
} seen;

static void report(void *user, const sc_train_event *e)
{
    seen *x = user;
    if (e->eval_loss >= 0) *x = (seen){e->eval_loss, e->measured, e->measure, x->stop_at};
    if (e->step == x->stop_at) sc_context_cancel(ctx);
}

static const struct task {
    const char *model, *objective, *file;
    maker *make;
    int64_t steps, batch;
    double lr, most, least; /* of the evaluation's loss, and of what is measured */
    const char *schedule, *measure;
} tasks[] = {
    {"gpt2", "causal", "lines.txt", alphabet_lines, 60, 16, 3e-3, 0.8, 0.85, NULL, "token_accuracy"},
    {"bert", "mlm", "same.txt", one_letter, 120, 16, 3e-3, 0.6, 0.85, NULL, "token_accuracy"},
    {"t5", "span", "same.txt", one_letter, 60, 16, 5e-3, 1.2, 0.6, NULL, "token_accuracy"},
    {"bart", "denoise", "same.txt", one_letter, 80, 16, 3e-3, 0.6, 0.85, NULL, "token_accuracy"},
    {"marian", "seq2seq", "copy.jsonl", copies, 200, 32, 0.7, 0.5, 0.9, "noam", "token_accuracy"},
    {"gru", "seq2seq", "copy.jsonl", copies, 400, 32, 1e-2, 0.2, 0.95, NULL, "token_accuracy"},
    {"lstm", "seq2seq", "copy.jsonl", copies, 500, 32, 2e-2, 0.2, 0.95, NULL, "token_accuracy"},
    {"bert", "contrastive", "alike.jsonl", alike, 80, 16, 3e-3, 0.4, 0.85, NULL, "accuracy"},
    {"gpt2", "contrastive", "alike.jsonl", alike, 80, 16, 3e-3, 0.8, 0.7, NULL, "accuracy"},
    {"bert", "classify", "classes.jsonl", classes, 40, 16, 3e-3, 0.3, 0.99, NULL, "accuracy"},
    {"bert", "regress", "shares.tsv", shares, 60, 16, 3e-3, 0.06, 0.9, NULL, "pearson"},
};

static void learn(const struct task *t, const char *out, bool resume, int64_t stop_at, seen *x)
{
    char name[64];
    snprintf(name, sizeof name, "other-%s", t->file);
    const char *const data[] = {write_data(t->file, t->make, 500, 1)}, *const eval[] = {
                                                                           write_data(name, t->make, 60, 2)};
    sc_train_options o = {.model = config_of(t->model),
                          .alphabet = symbols(),
                          .objective = t->objective,
                          .data = data,
                          .n_data = 1,
                          .eval_data = eval,
                          .n_eval_data = 1,
                          .out = out,
                          .resume = resume,
                          .steps = t->steps,
                          .batch = t->batch,
                          .length = 32,
                          .lr = t->lr,
                          .schedule = t->schedule,
                          .beta2 = 0.98,
                          .warmup = 0.2,
                          .smoothing = t->schedule ? 0.1 : 0,
                          .pack = strcmp(t->objective, "causal") == 0,
                          .save_every = t->steps,
                          .seed = 5};
    *x = (seen){.stop_at = stop_at};
    sc_status s = sc_train(ctx, &o, report, x);
    if (s && !(stop_at && s == SC_ECANCELLED)) fail_msg("%s %s: %s", t->model, t->objective, sc_error());
    if (s) sc_context_resume(ctx);
}

static void learns(void **state)
{
    (void)state;
    int worse = 0;
    for (int i = 0; i < SC_COUNT(tasks); i++) {
        const struct task *t = &tasks[i];
        char out[64];
        seen x;
        snprintf(out, sizeof out, "%s-%s", t->model, t->objective);
        double begun = sc_now();
        learn(t, in_dir(out), false, 0, &x);
        printf("%-8s %-12s loss %.4f, %s %.4f, %.1f s\n", t->model, t->objective, x.loss, x.measure, x.measured,
               sc_now() - begun);
        assert_string_equal(x.measure, t->measure);
        worse += !(x.loss <= t->most && x.measured >= t->least);
        sc_model *m; /* what it leaves is a model like any other */
        if (sc_model_open(&m, ctx, in_dir(out), NULL)) fail_msg("%s", sc_error());
        sc_model_free(m);
    }
    assert_int_equal(worse, 0);
    assert_true(sc_path_exists(in_dir("bert-contrastive/modules.json")));
    assert_true(sc_path_exists(in_dir("bert-contrastive/1_Pooling/config.json")));
    assert_true(sc_path_exists(in_dir("bert-classify/tokenizer.json")));
}

/* Batches of like lengths, in an order of their own in each epoch, are the same for a run that was stopped. */
static void goes_on_to_the_same_bits(void **state)
{
    (void)state;
    static const int which[] = {1, 4, 9};
    for (int i = 0; i < SC_COUNT(which); i++) {
        struct task t = tasks[which[i]];
        seen x;
        char *a, *b;
        int64_t n, m;
        char whole[32], parts[32];
        t.steps = 40;
        snprintf(whole, sizeof whole, "whole%d", i);
        snprintf(parts, sizeof parts, "parts%d", i);
        learn(&t, in_dir(whole), false, 0, &x);
        learn(&t, in_dir(parts), false, 35, &x);
        learn(&t, in_dir(parts), true, 0, &x);
        strcat(whole, "/model.safetensors");
        strcat(parts, "/model.safetensors");
        assert_int_equal(sc_file_read(&a, &n, in_dir(whole), 1 << 24), SC_OK);
        assert_int_equal(sc_file_read(&b, &m, in_dir(parts), 1 << 24), SC_OK);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, (size_t)n);
        sc_free(a);
        sc_free(b);
    }
}

/* ---- batches ---- */

typedef struct opened {
    sc_task t;
    sc_train_options o;
    const char *data[1];
} opened;

static sc_status open_task(opened *x, const char *config, const char *objective, const char *data)
{
    x->data[0] = data;
    x->o.model = config;
    x->o.objective = objective;
    x->o.data = x->o.eval_data = x->data;
    x->o.n_data = x->o.n_eval_data = 1;
    if (!x->o.alphabet && !x->o.tokenizer) x->o.alphabet = symbols();
    if (!x->o.batch) x->o.batch = 16;
    if (!x->o.length) x->o.length = 32;
    x->t = (sc_task){0};
    return sc_task_open(&x->t, ctx, &x->o, config, true, 1);
}

static int64_t id_of(const opened *x, const char *token)
{
    return sc_tokenizer_id(x->t.tokenizer, token, (int64_t)strlen(token));
}

static void put_ints(json_t *o, const char *name, const int32_t *x, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; x && i < n; i++) json_array_append_new(list, json_integer(x[i]));
    json_object_set_new(o, name, list);
}

static void write_json(const json_t *o, const char *folder, const char *name)
{
    char path[700], *text = json_dumps(o, JSON_INDENT(1));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sc_file_write(path, text, (int64_t)strlen(text)), SC_OK);
    sc_free(text);
}

static void write_model(const sc_task *t, const sc_learner *l, const char *folder)
{
    char path[700];
    int64_t n;
    const sc_trained *w = sc_learner_trained(l, &n);
    sc_safetensors_writer *f;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(sc_safetensors_writer_new(&f, path), SC_OK);
    assert_int_equal(sc_safetensors_writer_meta(f, "format", "pt"), SC_OK);
    for (int64_t i = 0; i < n; i++) {
        const sc_model_param *p = sc_model_param_at(t->model, i);
        assert_int_equal(sc_safetensors_writer_add(f, p->name, SC_F32, p->rank, p->dim, w[i].value), SC_OK);
    }
    assert_int_equal(sc_safetensors_writer_finish(f), SC_OK);
    sc_safetensors_writer_free(f);
    write_json(t->model->json, folder, "config.json");
}

/* For check_train.py: a batch, the model and its loss. */
static void dump(opened *x, const char *name)
{
    const char *to = getenv("SOCLE_BATCHES");
    char path[600];
    sc_text_batch b;
    sc_learner *l;
    sc_measure sum = {0};
    if (!to) return;
    assert_int_equal(sc_learner_new(&l, x->t.model, x->t.objective, x->t.self), SC_OK);
    assert_int_equal(x->t.objective->eval_batch(x->t.self, 0, &b), SC_OK);
    if (sc_learner_score(l, &b, &sum)) fail_msg("%s", sc_error());
    json_t *o = json_pack("{s:f, s:f}", "loss", sum.loss / sum.counted, "accuracy", sum.right / sum.counted);
    put_ints(o, "ids", b.ids, b.tokens);
    put_ints(o, "start", b.start, b.sequences + 1);
    put_ints(o, "source_ids", b.source_ids, b.source);
    put_ints(o, "source_start", b.source_start, b.source ? b.sequences + 1 : 0);
    put_ints(o, "wanted", b.wanted, b.wanted ? b.rows : 0);
    put_ints(o, "labels", b.labels, b.rows);
    snprintf(path, sizeof path, "%s/%s", to, name);
    assert_int_equal(sc_mkdirs(path), SC_OK);
    write_model(&x->t, l, path);
    write_json(o, path, "batch.json");
    json_decref(o);
    sc_learner_free(l);
}

static void masks_words(void **state)
{
    (void)state;
    opened x = {0};
    sc_text_batch b;
    int64_t all = 0, chosen = 0, masked = 0, kept = 0, special = 0;
    if (open_task(&x, config_of("bert"), "mlm", write_data("lines.txt", alphabet_lines, 500, 1)))
        fail_msg("%s", sc_error());
    int64_t mask = id_of(&x, "<mask>"), first = id_of(&x, "a");
    for (int64_t i = 0; i < 200; i++) {
        assert_int_equal(x.t.objective->batch(x.t.self, i, &b), SC_OK);
        assert_int_equal(b.examples, 16);
        for (int64_t s = 0; s < 16; s++) {
            assert_int_equal(b.ids[b.start[s]], 1);
            assert_int_equal(b.ids[b.start[s + 1] - 1], 2);
            all += b.start[s + 1] - b.start[s] - 2;
        }
        double weight = 0;
        for (int64_t r = 0; r < b.rows; r++) {
            weight += (double)b.weight[r];
            if (b.labels[r] < 0) continue;
            int32_t at = b.ids[b.wanted[r]];
            chosen++;
            masked += at == mask;
            kept += at == b.labels[r];
            special += b.labels[r] < first;
        }
        assert_true(fabs(weight - 1) < 1e-5);
    }
    double share = (double)chosen / (double)all;
    printf("%.4f chosen; of them %.4f masked, %.4f kept\n", share, (double)masked / (double)chosen,
           (double)kept / (double)chosen);
    assert_true(fabs(share - 0.15) < 0.01 && special == 0);
    /* 0.8 and an 18th of 0.1; 0.1 and an 18th of 0.1, of 13 tokens. */
    assert_true(fabs((double)masked / (double)chosen - 0.8 - 0.1 / 13) < 0.015);
    assert_true(fabs((double)kept / (double)chosen - 0.1 - 0.1 / 13) < 0.015);
    /* The same batch whenever it is asked for, and another in the next epoch. */
    int32_t before[64];
    assert_int_equal(x.t.objective->batch(x.t.self, 3, &b), SC_OK);
    memcpy(before, b.ids, sizeof before);
    assert_int_equal(x.t.objective->batch(x.t.self, 90, &b), SC_OK);
    assert_int_equal(x.t.objective->batch(x.t.self, 3, &b), SC_OK);
    assert_memory_equal(before, b.ids, sizeof before);
    dump(&x, "mlm");
    sc_task_close(&x.t);
}

static void masks_whole_words(void **state)
{
    (void)state;
    opened x = {
        .o = {.tokenizer = write_file(
                  "pieces.json",
                  "{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 0, \"content\": \"[MASK]\", \"special\": "
                  "true}], \"pre_tokenizer\": {\"type\": \"WhitespaceSplit\"}, \"model\": {\"type\": "
                  "\"WordPiece\", \"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\", "
                  "\"max_input_chars_per_word\": 100, \"vocab\": {\"[MASK]\": 0, \"[UNK]\": 1, \"a\": 2, "
                  "\"##b\": 3, \"##c\": 4}}}"),
              .whole_words = true,
              .mask_share = 0.3}};
    sc_text_batch b;
    int64_t chosen = 0;
    if (open_task(&x, config_of("bert"), "mlm", write_file("words.txt", "abc abc ab abcb a abc abcc ab a abc")))
        fail_msg("%s", sc_error());
    for (int64_t i = 0; i < 20; i++) {
        bool on[64] = {false};
        int32_t was[64];
        assert_int_equal(x.t.objective->batch(x.t.self, i, &b), SC_OK);
        int64_t n = b.start[1];
        memcpy(was, b.ids, (size_t)n * sizeof *was);
        for (int64_t r = 0; r < b.rows; r++)
            if (b.labels[r] >= 0 && b.wanted[r] < n) {
                on[b.wanted[r]] = true;
                was[b.wanted[r]] = b.labels[r];
                chosen++;
            }
        for (int64_t k = 1; k < n; k++)
            if (was[k] > 2) assert_int_equal(on[k], on[k - 1]);
    }
    assert_true(chosen > 0);
    sc_task_close(&x.t);
}

/* Whether the letters go on one after another. */
static void follow(const int32_t *ids, int64_t n, int64_t first)
{
    for (int64_t i = 1; i < n; i++) assert_int_equal((ids[i] - first) % 8, (ids[i - 1] - first + 1) % 8);
}

/* Raffel et al. 2020, figure 2: "Thank you <X> me to your party <Y> week." and "<X> for inviting <Y> last <Z>". */
static void takes_spans_out(void **state)
{
    (void)state;
    opened x = {0};
    sc_text_batch b;
    if (open_task(&x, config_of("t5"), "span", write_data("lines.txt", alphabet_lines, 500, 1)))
        fail_msg("%s", sc_error());
    int64_t first = id_of(&x, "a"), top = id_of(&x, "<extra_id_0>"), gone = 0, spans = 0;
    assert_int_equal(top, x.t.model->info.vocab - 1);
    for (int64_t i = 0; i < 60; i++) {
        assert_int_equal(x.t.objective->batch(x.t.self, i, &b), SC_OK);
        for (int64_t s = 0; s < 16; s++) {
            const int32_t *in = b.source_ids + b.source_start[s], *out = b.labels + b.start[s];
            int64_t n = b.source_start[s + 1] - b.source_start[s], m = b.start[s + 1] - b.start[s], w = 0, k = 0;
            int32_t whole[128];
            assert_true(n <= 32 && in[n - 1] == 2 && out[m - 1] == 2);
            assert_true(in[0] <= top - 100); /* a text begins with what stays, and ends with what goes */
            assert_int_equal(b.ids[b.start[s]], x.t.model->decoder_start);
            assert_memory_equal(b.ids + b.start[s] + 1, out, (size_t)(m - 1) * sizeof *out);
            int64_t at = 0;
            for (int64_t j = 0; j < n - 1; j++) {
                if (in[j] != top - k) {
                    whole[w++] = in[j];
                    continue;
                }
                assert_int_equal(out[at++], top - k++);
                int64_t from = at;
                while (at < m - 1 && out[at] != top - k) whole[w++] = out[at++];
                assert_true(at > from);
                gone += at - from;
            }
            assert_int_equal(at, m - 1);
            follow(whole, w, first);
            spans += k;
        }
    }
    printf("%lld tokens in %lld spans\n", (long long)gone, (long long)spans);
    dump(&x, "span");
    sc_task_close(&x.t);
}

/* As random_spans_noise_mask counts: of 32 tokens rint(4.8) = 5 in rint(5 / 3) = 2 spans, so 28 + 2 + 1 are read; of 33
 * the same go, and 31 + 1; 34 would be too many. */
static void fills_the_length(void **state)
{
    (void)state;
    opened x = {.o = {.batch = 2}};
    sc_text_batch b;
    sc_str s = {0};
    for (int i = 0; i < 400; i++) sc_str_putc(&s, (char)('a' + i % 8));
    if (open_task(&x, config_of("t5"), "span", write_file("long.txt", s.p))) fail_msg("%s", sc_error());
    sc_str_free(&s);
    assert_int_equal(x.t.objective->batch(x.t.self, 0, &b), SC_OK);
    for (int q = 0; q < 2; q++) {
        int64_t n = b.source_start[q + 1] - b.source_start[q], m = b.start[q + 1] - b.start[q];
        if (n == 32) assert_true(m == 5 + 2 + 1 || m == 6 + 2 + 1);
        assert_true(n <= 32);
    }
    sc_task_close(&x.t);
}

static void spoils_and_permutes(void **state)
{
    (void)state;
    opened x = {0};
    sc_text_batch b;
    int64_t masks = 0, kept = 0, all = 0;
    if (open_task(&x, config_of("bart"), "denoise", write_data("lines.txt", alphabet_lines, 500, 1)))
        fail_msg("%s", sc_error());
    int64_t first = id_of(&x, "a"), mask = id_of(&x, "<mask>");
    for (int64_t i = 0; i < 100; i++) {
        assert_int_equal(x.t.objective->batch(x.t.self, i, &b), SC_OK);
        for (int64_t s = 0; s < 16; s++) {
            const int32_t *in = b.source_ids + b.source_start[s], *out = b.labels + b.start[s];
            int64_t n = b.source_start[s + 1] - b.source_start[s], m = b.start[s + 1] - b.start[s];
            assert_true(in[n - 1] == 2 && out[m - 1] == 2 && b.ids[b.start[s]] == 1);
            follow(out, m - 1, first);
            all += m - 1;
            for (int64_t k = 0; k < n - 1; k++) {
                masks += in[k] == mask;
                kept += in[k] != mask;
                assert_false(k && in[k] == mask && in[k - 1] == mask); /* one for each span */
            }
        }
    }
    double share = 1 - (double)kept / (double)all, mean = (double)(all - kept) / (double)masks;
    printf("%.4f masked, %.3f for a mask\n", share, mean);
    assert_true(fabs(share - 0.3) < 0.02 && mean > 2 && mean < 3.2);
    dump(&x, "denoise");
    sc_task_close(&x.t);
    /* Sentences. */
    x.o.mask_share = 1e-9;
    x.o.alphabet = "words";
    x.o.batch = 2;
    if (open_task(&x, config_of("bart"), "denoise", write_file("sentences.txt", "a b . c d . e f .\n")))
        fail_msg("%s", sc_error());
    bool moved = false;
    for (int64_t i = 0; i < 20; i++) {
        assert_int_equal(x.t.objective->batch(x.t.self, i, &b), SC_OK);
        const int32_t *in = b.source_ids, *out = b.labels;
        assert_int_equal(b.source_start[1], 10);
        moved |= memcmp(in, out, 10 * sizeof *in) != 0;
        for (int k = 0; k < 9; k += 3) { /* a sentence stays together */
            assert_int_equal(in[k] + 1, in[k + 1]);
            assert_int_equal(in[k + 2], out[2]);
        }
    }
    assert_true(moved);
    sc_task_close(&x.t);
}

static void packs_documents(void **state)
{
    (void)state;
    opened x = {.o = {.pack = true, .batch = 4}};
    sc_text_batch b;
    int64_t ends = 0;
    if (open_task(&x, config_of("gpt2"), "causal", write_data("lines.txt", alphabet_lines, 500, 1)))
        fail_msg("%s", sc_error());
    for (int64_t i = 0; i < 20; i++) {
        assert_int_equal(x.t.objective->batch(x.t.self, i, &b), SC_OK);
        assert_int_equal(b.tokens, 4 * 32);
        for (int64_t s = 0; s < b.sequences; s++)
            for (int64_t k = b.start[s]; k < b.start[s + 1]; k++) {
                bool last = b.ids[k] == 2;
                assert_true(!last || k + 1 == b.start[s + 1]);
                assert_int_equal(b.labels[k] < 0, last);
                ends += last;
            }
    }
    assert_true(ends > 20);
    dump(&x, "causal");
    sc_task_close(&x.t);
}

static void pairs_end(void **state)
{
    (void)state;
    opened x = {.o = {.batch = 2, .in_order = true}};
    sc_text_batch b;
    if (open_task(&x, config_of("marian"), "seq2seq", write_file("two.tsv", "ab\tcd\nabc\tdcba\n")))
        fail_msg("%s", sc_error());
    int32_t a = (int32_t)id_of(&x, "a"), source[] = {a, a + 1, 2, a, a + 1, a + 2, 2},
            given[] = {1, a + 2, a + 3, 1, a + 3, a + 2, a + 1, a},
            labels[] = {a + 2, a + 3, 2, a + 3, a + 2, a + 1, a, 2};
    assert_int_equal(x.t.objective->batch(x.t.self, 0, &b), SC_OK);
    assert_memory_equal(b.source_ids, source, sizeof source);
    assert_memory_equal(b.ids, given, sizeof given);
    assert_memory_equal(b.labels, labels, sizeof labels);
    assert_int_equal(b.counted, 8);
    assert_int_equal(b.words, 15);
    dump(&x, "seq2seq");
    sc_task_close(&x.t);
}

/* ---- alphabets ---- */

static void alphabets(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *back;
        int64_t vocab, n; /* tokens of the text */
    } all[] = {
        {"protein", "MKV*", NULL, 34, 4},
        {"dna", "ACGTN", NULL, 22, 5},
        {"bytes", "a\xc3\xa9 b", NULL, 261, 5},
        {"chars", "ab\nba", NULL, 5 + 3, 5},
        {"chess", "e2e4 e7e8q 1-0", NULL, 5 + 1968 + 4, 3},
        {"words", "one two", NULL, 5 + 2, 2},
    };
    for (int i = 0; i < SC_COUNT(all); i++) {
        sc_alphabet a = {0};
        sc_tokenizer *t = NULL;
        char *text;
        int32_t *ids;
        int64_t n, len;
        const char *const data[] = {write_file("text.txt", all[i].text)};
        sc_train_options o = {.alphabet = all[i].name, .data = data, .n_data = 1};
        json_t *changes = json_object(), *config = json_object();
        sc_objective_setup x = {.ctx = ctx, .o = &o, .config = config};
        if (sc_alphabet_make(&a, &sc_objective_causal, SC_LEARNS_DECODER, &x, changes) ||
            sc_alphabet_tokenizer(&t, &a))
            fail_msg("%s: %s", all[i].name, sc_error());
        assert_int_equal(json_integer_value(json_object_get(changes, "vocab_size")), all[i].vocab);
        assert_int_equal(sc_tokenizer_vocab_size(t), all[i].vocab);
        assert_int_equal(sc_tokenizer_encode(t, all[i].text, (int64_t)strlen(all[i].text), 0, &ids, &n), SC_OK);
        assert_int_equal(n, all[i].n);
        for (int64_t k = 0; k < n; k++) assert_true(ids[k] > 4);
        assert_int_equal(sc_tokenizer_decode(t, ids, n, 0, &text, &len), SC_OK);
        assert_string_equal(text, all[i].text);
        sc_free(text);
        sc_free(ids);
        sc_tokenizer_free(t);
        sc_alphabet_free(&a);
        json_decref(changes);
        json_decref(config);
    }
    /* Sequences of a FASTA file are documents. */
    opened x = {.o = {.alphabet = "protein", .length = 4, .batch = 1, .in_order = true}};
    sc_text_batch b;
    if (open_task(&x, config_of("gpt2"), "causal", write_file("a.fasta", ">one\nMk\nV\n\n>two\nAC\n")))
        fail_msg("%s", sc_error());
    assert_int_equal(x.t.objective->batch(x.t.self, 0, &b), SC_OK);
    int32_t want[] = {(int32_t)id_of(&x, "M"), (int32_t)id_of(&x, "K"), (int32_t)id_of(&x, "V"), 2};
    assert_memory_equal(b.ids, want, sizeof want);
    sc_task_close(&x.t);
}

/* ---- refusals ---- */

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *model, *objective, *alphabet, *file, *text, *says;
    } bad[] = {
        {"marian", "seq2seq", "chars", "p.jsonl", "{\"source\": \"a\"}\n", "p.jsonl: line 1 has no \"target\""},
        {"marian", "seq2seq", "chars", "p.txt", "a b\n", "has no \"source\": .jsonl or .tsv is needed"},
        {"marian", "seq2seq", "chars", "p.tsv", "a\tb\nc\n", "p.tsv: line 2 has no \"target\""},
        {"marian", "seq2seq", "chars", "e.jsonl", "\n", "e.jsonl has no text"},
        {"marian", "seq2seq", "chars", "n.jsonl", "{\"source\": 5, \"target\": \"x\"}\n",
         "line 1 has no text as \"source\""},
        {"bert", "classify", "chars", "c.jsonl", "{\"text\": \"a\"}\n", "line 1 has no \"label\""},
        {"bert", "classify", "chars", "c.jsonl", "{\"text\": \"a\", \"label\": \"x\"}\n", "one label alone, x"},
        {"bert", "classify", "chars", "c.jsonl", "{\"text\": \"a\", \"label\": [1]}\n",
         "neither a text nor a number"},
        {"bert", "regress", "chars", "r.tsv", "a\tmuch\n", "line 1: label 'much' is no number"},
        {"bert", "contrastive", "chars", "a.jsonl", "{\"anchor\": \"a\"}\n", "line 1 has no \"positive\""},
        {"bert", "causal", "chars", "t.txt", "abc\n", "a model of type 'bert' does not learn 'causal'"},
        {"gpt2", "classify", "chars", "t.tsv", "a\tb\n", "does not learn 'classify'"},
        {"gpt2", "causal", "runes", "t.txt", "abc\n", "no alphabet 'runes'"},
        {"gpt2", "sing", "chars", "t.txt", "abc\n", "no objective is called 'sing'"},
        {"gpt2", "causal", "dna", "x.fasta", "ACGT\n", "line 1: a FASTA file begins with '>'"},
        {"gpt2", "causal", "chars", "j.json", "{}", "is no list of objects"},
    };
    for (int i = 0; i < SC_COUNT(bad); i++) {
        const char *const files[] = {write_file(bad[i].file, bad[i].text)};
        sc_train_options o = {.model = config_of(bad[i].model),
                              .objective = bad[i].objective,
                              .alphabet = bad[i].alphabet,
                              .data = files,
                              .n_data = 1,
                              .out = in_dir("never"),
                              .length = 16};
        assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
        if (!strstr(sc_error(), bad[i].says)) fail_msg("%s: %s", bad[i].says, sc_error());
        assert_false(sc_path_exists(in_dir("never")));
    }
    const char *const files[] = {write_file("t.txt", "abc\n")};
    sc_train_options o = {.model = write_file("odd.json",
                                              "{\"model_type\": \"gpt2\", \"vocab_size\": 9, \"n_embd\": 30, "
                                              "\"n_layer\": 1, \"n_head\": 4}"),
                          .alphabet = "chars",
                          .data = files,
                          .n_data = 1,
                          .out = in_dir("never")};
    assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
    assert_non_null(strstr(sc_error(), "a width of 30 is not a multiple of 4 heads"));
    o.model = config_of("bert");
    o.alphabet = NULL;
    o.tokenizer =
        write_file("bare.json", "{\"version\": \"1.0\", \"model\": {\"type\": \"WordLevel\", \"unk_token\": "
                                "\"x\", \"vocab\": {\"x\": 0}}}");
    assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
    assert_non_null(strstr(sc_error(), "no token [MASK] or <mask>"));
    o.model = config_of("t5");
    assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
    assert_false(sc_path_exists(in_dir("never")));
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) && !sc_context_new(&ctx, &(sc_context_options){.threads = 2}) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    sc_context_free(ctx);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest batches[] =
        {
            cmocka_unit_test(masks_words),         cmocka_unit_test(masks_whole_words),
            cmocka_unit_test(takes_spans_out),     cmocka_unit_test(fills_the_length),
            cmocka_unit_test(spoils_and_permutes), cmocka_unit_test(packs_documents),
            cmocka_unit_test(pairs_end),
        },
                            others[] = {
                                cmocka_unit_test(alphabets),
                                cmocka_unit_test(refuses),
                                cmocka_unit_test(learns),
                                cmocka_unit_test(goes_on_to_the_same_bits),
                            };
    int failed = cmocka_run_group_tests(batches, set_up, tear_down);
    if (failed || getenv("SOCLE_BATCHES")) return failed;
    strcpy(dir, "/tmp/socle-objectives-XXXXXX");
    return cmocka_run_group_tests(others, set_up, tear_down);
}

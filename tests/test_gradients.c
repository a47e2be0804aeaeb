/* SPDX-License-Identifier: Apache-2.0 */
/* Loss and gradients of a call (sc_model_gradients) as transformers and PEFT have them, for encoders, encoder-decoders, the
 * recurrent pair and adapters; that padding and other rows change nothing; and what does not fit is refused by name. */
#include "models.h"
#include "one_context.h"
#include "socle/train.h"

static const sc_named_tensor *output(const sc_outputs *o, const char *name)
{
    for (int64_t i = 0; i < sc_outputs_count(o); i++)
        if (strcmp(sc_outputs_at(o, i)->name, name) == 0) return sc_outputs_at(o, i);
    return NULL;
}

static int64_t count_of(const sc_named_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

static double norm_of(const sc_named_tensor *t)
{
    double sum = 0;
    const float *x = t->data;
    for (int64_t i = 0; i < count_of(t); i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* ---- fixtures ---- */

typedef struct report {
    int gradients, norms, zeros;
    double worst, worst_norm;
} report;

/* Smaller than this is what rounding leaves of zero: a key's bias shifts all scores of a query alike. */
#define NOTHING 1e-6

static void check_gradients(const char *name, const sc_outputs *o, const sc_safetensors *want, report *r)
{
    for (int64_t i = 0; i < sc_safetensors_count(want); i++) {
        const sc_file_tensor *t = sc_safetensors_get(want, i);
        if (strncmp(t->name, "grad.", 5) != 0) continue;
        const sc_named_tensor *got = output(o, t->name);
        if (!got) fail_msg("%s: no %s", name, t->name);
        assert_int_equal(got->rank, t->rank);
        assert_memory_equal(got->dim, t->dim, sizeof *t->dim * (size_t)t->rank);
        double top = 0;
        for (int64_t k = 0; k < count_of(got); k++) top = fmax(top, fabs((double)((const float *)t->data)[k]));
        if (top < NOTHING && norm_of(got) < NOTHING) {
            r->zeros++;
            continue;
        }
        double off = difference(got->data, count_of(got), t);
        if (!(off <= 1e-4)) fail_msg("%s: %s is off by %g", name, t->name, off);
        r->worst = fmax(r->worst, off);
        r->gradients++;
    }
}

/* Every weight's norm; a weight that is not listed has no gradient. */
static void check_norms(const char *name, const sc_outputs *o, const json_t *l2, report *r)
{
    for (int64_t i = 0; i < sc_outputs_count(o); i++) {
        const sc_named_tensor *t = sc_outputs_at(o, i);
        if (strncmp(t->name, "grad.", 5) != 0) continue;
        double want = json_number_value(json_object_get(l2, t->name + 5)), got = norm_of(t);
        if (want < NOTHING && got < NOTHING) continue;
        double off = fabs(got - want) / fmax(want, NOTHING);
        if (!(off <= 1e-4)) fail_msg("%s: the norm of %s is %g, not %g", name, t->name, got, want);
        r->worst_norm = fmax(r->worst_norm, off);
        r->norms++;
    }
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)l2, key, v)
    {
        char full[512];
        snprintf(full, sizeof full, "grad.%s", key);
        if (!output(o, full)) fail_msg("%s: no %s", name, full);
    }
}

static void check_case(const char *root, const char *name)
{
    char dir[1300], adapter[1400], path[1400];
    const char *adapters[] = {adapter};
    sc_safetensors *st;
    sc_model *m;
    sc_outputs *o;
    json_t *meta = NULL;
    sc_named_tensor in[128];
    int64_t n = 0;
    report r = {0};
    snprintf(dir, sizeof dir, "%s/%s", root, name);
    if (!sc_path_is_dir(dir)) {
        printf("%-20s not there\n", name);
        return;
    }
    snprintf(path, sizeof path, "%s/expected.safetensors", dir);
    snprintf(adapter, sizeof adapter, "%s/adapter", dir);
    if (sc_safetensors_open(&st, path)) fail_msg("%s", sc_error());
    for (int64_t i = 0; i < sc_safetensors_count(st) && n < SC_COUNT(in); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        if (strncmp(t->name, "grad.", 5) == 0) continue;
        in[n] = (sc_named_tensor){t->name, t->dtype, t->rank, {0}, (void *)(uintptr_t)t->data};
        memcpy(in[n++].dim, t->dim, sizeof in->dim);
    }
    sc_model_options options = {.adapters = adapters, .n_adapters = sc_path_is_dir(adapter)};
    if (sc_model_open(&m, ctx, dir, &options)) fail_msg("%s: %s", name, sc_error());
    if (sc_model_gradients(&o, m, in, n, false)) fail_msg("%s: %s", name, sc_error());
    double loss = ((const float *)output(o, "loss")->data)[0], want = ((const float *)get(st, "loss")->data)[0];
    if (!(fabs(loss - want) <= 1e-5 * fabs(want))) fail_msg("%s: the loss is %.9g, not %.9g", name, loss, want);
    check_gradients(name, o, st, &r);
    snprintf(path, sizeof path, "%s/meta.json", dir);
    if (!sc_json_read(&meta, path, 16 << 20)) check_norms(name, o, json_object_get(meta, "grad_l2"), &r);
    printf("%-20s loss %.6f within %.0e, %2d gradients within %.1e, %2d norms within %.1e, %d that are 0\n", name,
           loss, fabs(loss - want) / fabs(want), r.gradients, r.worst, r.norms, r.worst_norm, r.zeros);
    json_decref(meta);
    sc_outputs_free(o);
    sc_model_free(m);
    sc_safetensors_free(st);
}

static void gradients_as_transformers(void **state)
{
    (void)state;
    static const char *const cases[] = {"bert",
                                        "bert_base",
                                        "roberta",
                                        "xlm_roberta",
                                        "xlm_roberta_seqcls",
                                        "distilbert",
                                        "electra",
                                        "modernbert",
                                        "deberta_v2",
                                        "t5",
                                        "flan_t5",
                                        "mt5",
                                        "bart",
                                        "mbart",
                                        "pegasus",
                                        "marian",
                                        "seq2seq_gru",
                                        "seq2seq_lstm",
                                        "llama",
                                        "opt",
                                        "lora_llama",
                                        "prompt_tuning_llama"};
    char root[1024];
    if (!find_fixtures(root)) skip();
    for (int i = 0; i < SC_COUNT(cases); i++) check_case(root, cases[i]);
}

/* ---- models of a configuration alone ---- */

enum { B = 3, T = 7 };

static sc_model *fresh(const char *config)
{
    char path[] = "/tmp/socle-gradients-XXXXXX.json";
    sc_model *m;
    int fd = mkstemps(path, 5);
    assert_true(fd >= 0);
    assert_true(write(fd, config, strlen(config)) == (ssize_t)strlen(config));
    close(fd);
    sc_model_options o = {.weights = SC_WEIGHTS_FRESH, .seed = 3};
    if (sc_model_open(&m, ctx, path, &o)) fail_msg("%s", sc_error());
    unlink(path);
    return m;
}

#define LLAMA                                                                                                      \
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":16,\"intermediate_size\":20,"               \
    "\"vocab_size\":23,\"num_attention_heads\":2,\"pad_token_id\":4}"
#define BERT(more)                                                                                                 \
    "{\"model_type\":\"bert\",\"num_hidden_layers\":1,\"hidden_size\":16,\"intermediate_size\":20,"                \
    "\"vocab_size\":23,\"num_attention_heads\":2,\"max_position_embeddings\":16," more "}"
#define CLASSES "\"architectures\":[\"BertForSequenceClassification\"],\"num_labels\":"

static sc_named_tensor numbers(const char *name, int rank, int64_t b, int64_t t, const int64_t *data)
{
    return (sc_named_tensor){name, SC_I64, rank, {b, t}, (void *)(uintptr_t)data};
}

static sc_outputs *gradients(sc_model *m, const sc_named_tensor *in, int64_t n)
{
    sc_outputs *o;
    if (sc_model_gradients(&o, m, in, n, false)) fail_msg("%s", sc_error());
    return o;
}

/* Places outside the mask, whatever they hold, and labels of -100 leave no trace; neither does the side of the padding where
 * positions are given. The padding's own row learns nothing, though its id is among the real tokens. */
static void padding_leaves_no_trace(void **state)
{
    (void)state;
    static const int64_t ids[B * T] = {4,  2,  3,  1,       7,  8, 9, /**/ 11, 4, 13, 99,
                                       99, 99, 99, /**/ -1, -1, 5, 6, 7,       4, 8},
                                 mask[B * T] = {1, 1, 1, 1,      1, 1, 1, /**/ 1, 1, 1, 0,
                                                0, 0, 0, /**/ 0, 0, 1, 1, 1,      1, 1},
                                 labels[B * T] = {4,  2,  3,  1,       -100, 8, 9, /**/ 11, 4,    13, -100,
                                                  -1, -1, -1, /**/ -1, -1,   5, 6, 7,       -100, 8},
                                 positions[B * T] = {0, 1, 2, 3,      4, 5, 6, /**/ 0, 1, 2, 0,
                                                     0, 0, 0, /**/ 0, 0, 0, 1, 2,      3, 4};
    sc_model *m = fresh(LLAMA);
    sc_named_tensor in[] = {numbers("input_ids", 2, B, T, ids), numbers("attention_mask", 2, B, T, mask),
                            numbers("labels", 2, B, T, labels), numbers("position_ids", 2, B, T, positions)};
    sc_outputs *all = gradients(m, in, 4);
    const char *table = "grad.model.embed_tokens.weight";
    const float *rows = output(all, table)->data;
    for (int i = 0; i < 16; i++) assert_true(rows[4 * 16 + i] == 0 && rows[5 * 16 + i] != 0 && rows[0] == 0);
    /* The rows alone, weighed by their labels, are the same sum. */
    static const int first[B] = {0, 0, 2}, n[B] = {T, 3, 5}, counts[B] = {5, 2, 3};
    double loss = 0, part[23 * 16] = {0};
    for (int r = 0; r < B; r++) {
        sc_named_tensor one[] = {numbers("input_ids", 2, 1, n[r], ids + r * T + first[r]),
                                 numbers("labels", 2, 1, n[r], labels + r * T + first[r])};
        sc_outputs *alone = gradients(m, one, 2);
        double share = counts[r] / 10.0;
        loss += share * ((const float *)output(alone, "loss")->data)[0];
        for (int i = 0; i < 23 * 16; i++) part[i] += share * ((const float *)output(alone, table)->data)[i];
        sc_outputs_free(alone);
    }
    assert_true(fabs(loss - ((const float *)output(all, "loss")->data)[0]) < 1e-6);
    for (int i = 0; i < 23 * 16; i++) assert_true(fabs(part[i] - rows[i]) < 1e-6);
    sc_outputs_free(all);
    sc_model_free(m);
}

/* The losses of classes that exclude each other, that do not, and of a number, from the logits that the same call gives. */
static void losses_of_classes(void **state)
{
    (void)state;
    static const int64_t ids[B * T] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21},
                                 one_of[B] = {2, -100, 0}, each[B * 3] = {1, 0, 0, 1, 1, 0, 0, 1, 1};
    static float target[B] = {0.5f, -1, 2};
    static const char *const config[] = {
        BERT(CLASSES "3"), BERT(CLASSES "3,\"problem_type\":\"multi_label_classification\""), BERT(CLASSES "1")};
    sc_named_tensor labels[] = {
        numbers("labels", 1, B, 0, one_of), numbers("labels", 2, B, 3, each), {"labels", SC_F32, 1, {B}, target}};
    for (int k = 0; k < 3; k++) {
        sc_model *m = fresh(config[k]);
        sc_named_tensor in[] = {numbers("input_ids", 2, B, T, ids), labels[k]};
        sc_outputs *o = gradients(m, in, 2);
        const float *y = output(o, "logits")->data;
        double want = 0;
        for (int i = 0; i < B * 3; i++) {
            if (k == 0 && i % 3 == 0 && one_of[i / 3] >= 0)
                want += (log(exp(y[i]) + exp(y[i + 1]) + exp(y[i + 2])) - y[i + one_of[i / 3]]) / 2;
            if (k == 1) want += (log(1 + exp(y[i])) - (each[i] ? y[i] : 0)) / (B * 3);
            if (k == 2 && i < B) want += (y[i] - target[i]) * (y[i] - target[i]) / B;
        }
        double loss = ((const float *)output(o, "loss")->data)[0];
        if (!(fabs(loss - want) < 1e-6)) fail_msg("loss %d is %g, not %g", k, loss, want);
        assert_non_null(output(o, "grad.bert.pooler.dense.weight"));
        sc_outputs_free(o);
        sc_model_free(m);
    }
}

static void fails(sc_model *m, const sc_named_tensor *in, int64_t n, sc_status code, const char *words)
{
    sc_outputs *o = NULL;
    assert_int_equal(sc_model_gradients(&o, m, in, n, false), code);
    assert_null(o);
    if (!strstr(sc_error(), words)) fail_msg("'%s' does not say '%s'", sc_error(), words);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const int64_t ids[2 * T] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    int64_t labels[2 * T];
    for (int i = 0; i < 2 * T; i++) labels[i] = -100;
    sc_named_tensor in[] = {numbers("input_ids", 2, 2, T, ids), numbers("labels", 2, 2, T, labels)};
    sc_model *m = fresh(LLAMA);
    fails(m, in, 0, SC_EINVAL, "input_ids is missing");
    fails(m, in, 1, SC_EINVAL, "labels is missing");
    fails(m, in, 2, SC_EINVAL, "labels has none that counts");
    labels[3] = 23;
    fails(m, in, 2, SC_ELIMIT, "label 23");
    labels[3] = INT64_MAX;
    fails(m, in, 2, SC_ELIMIT, "out of range");
    in[1].dim[1] = 3;
    fails(m, in, 2, SC_ESHAPE, "labels is not of shape (2, 7)");
    in[1].dtype = SC_F32;
    fails(m, in, 2, SC_ESHAPE, "i32 or i64");
    sc_model_free(m);
    m = fresh(BERT("\"architectures\":[\"BertForQuestionAnswering\"]"));
    fails(m, in, 1, SC_EUNSUPPORTED, "no loss of a span's ends");
    sc_model_free(m);
    m = fresh(BERT("\"architectures\":[\"BertModel\"]"));
    in[0].dim[0] = 1;
    fails(m, in, 1, SC_EINVAL, "not the two that are compared");
    sc_model_free(m);
    m = fresh(BERT(CLASSES "2,\"problem_type\":\"multi_label_classification\""));
    labels[0] = 3;
    in[0].dim[0] = 2;
    in[1] = numbers("labels", 2, 2, 2, labels);
    fails(m, in, 2, SC_EINVAL, "not 0 or 1");
    in[1].rank = 1;
    fails(m, in, 2, SC_ESHAPE, "labels is not of shape (2, 2)");
    sc_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_as_transformers),
        cmocka_unit_test(padding_leaves_no_trace),
        cmocka_unit_test(losses_of_classes),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, two_threads, no_context);
}

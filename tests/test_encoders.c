/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders against the answers of transformers: states, heads, poolers, vectors of texts, gaps, classes, tags, answers. */
#include "models.h"
#include "one_context.h"
#include "socle/convert.h"
#include "socle/embed.h"

#include <jansson.h>

#define OWN SOCLE_SOURCE_DIR "/tests/data/encoders"

static const char *const fixtures[] = {"bert",       "bert_base",   "roberta",
                                       "distilbert", "xlm_roberta", "xlm_roberta_seqcls",
                                       "electra",    "modernbert",  "deberta_v2"};
static const char *const own[] = {"bert_embed",
                                  "bert_fill",
                                  "bert_fill_untied",
                                  "bert_classes",
                                  "bert_multi",
                                  "bert_tags",
                                  "bert_span",
                                  "roberta",
                                  "electra",
                                  "electra_fill",
                                  "distilbert",
                                  "distilbert_classes",
                                  "modernbert",
                                  "deberta",
                                  "deberta_own_head",
                                  "deberta_conv",
                                  "modernbert_classes",
                                  "xlm_roberta_classes",
                                  "big_bird",
                                  "big_bird_full",
                                  "big_bird_classes",
                                  "longformer",
                                  "longformer_global",
                                  "longformer_classes",
                                  "longformer_fill",
                                  "nomic_bert",
                                  "nomic_bert_old",
                                  "nomic_bert_fill",
                                  "nomic_bert_classes",
                                  "jina_bert",
                                  "t5_encoder"};

/* ---- models ---- */

static void check_outputs(const sc_model *m, const sc_safetensors *st, const char *label)
{
    static const char *const names[] = {"input_ids", "attention_mask", "token_type_ids"};
    sc_named_tensor in[3];
    int n = 0;
    for (int i = 0; i < 3; i++) {
        const sc_file_tensor *t = get(st, names[i]);
        if (!t) continue;
        in[n] = (sc_named_tensor){
            .name = names[i], .dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)t->data};
        memcpy(in[n++].dim, t->dim, sizeof in[0].dim);
    }
    sc_outputs *out;
    int compared = 0;
    double worst = 0;
    if (sc_model_forward(&out, m, in, n, true)) fail_msg("%s: %s", label, sc_error());
    for (int64_t i = 0; i < sc_outputs_count(out); i++) {
        const sc_named_tensor *t = sc_outputs_at(out, i);
        const sc_file_tensor *want = get(st, t->name);
        if (!want) continue; /* a pooler that the reference's class does not show */
        double d = difference(t->data, elements(t), want);
        if (!(d <= TOLERANCE)) fail_msg("%s: %s differs by %g", label, t->name, d);
        worst = fmax(worst, d);
        compared++;
    }
    printf("  %-22s %.1e (%d outputs)\n", label, worst, compared);
    assert_true(compared >= 2);
    sc_outputs_free(out);
}

static void check_case(const char *root, const char *name)
{
    char path[2048];
    sc_model *m;
    sc_safetensors *st = open_expected(root, name);
    snprintf(path, sizeof path, "%.1000s/%.100s", root, name);
    if (sc_model_open(&m, ctx, path, NULL)) fail_msg("%s: %s", name, sc_error());
    assert_int_equal(sc_model_unexpected_count(m), 0);
    check_outputs(m, st, name);
    sc_model_free(m);
    sc_safetensors_free(st);
}

static void own_encoders_match(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(own); i++) check_case(OWN, own[i]);
}

static void fixture_encoders_match(void **state)
{
    char root[1024];
    (void)state;
    if (!find_fixtures(root)) skip();
    for (int i = 0; i < SC_COUNT(fixtures); i++) check_case(root, fixtures[i]);
}

/* To GGUF and from it to a folder: the states stay what they are; a head has no name there. */
static void gguf_holds_the_states(void **state)
{
    static const char *const names[] = {"bert_embed",          "bert_fill",  "roberta",
                                        "xlm_roberta_classes", "modernbert", "nomic_bert",
                                        "nomic_bert_fill",     "jina_bert",  "t5_encoder"};
    (void)state;
    for (int i = 0; i < SC_COUNT(names); i++) {
        char dir[] = "/tmp/socle-encoders-XXXXXX", in[512], path[64], back[64], command[128];
        assert_non_null(mkdtemp(dir));
        snprintf(in, sizeof in, "%s/%s", OWN, names[i]);
        snprintf(path, sizeof path, "%s/model.gguf", dir);
        snprintf(back, sizeof back, "%s/back", dir);
        sc_convert_options o = {.no_tokenizer = true};
        if (sc_convert(ctx, in, path, &o, NULL) || sc_convert(ctx, path, back, &o, NULL))
            fail_msg("%s", sc_error());
        sc_safetensors *st = open_expected(OWN, names[i]);
        for (int k = 0; k < 2; k++) {
            sc_model *m;
            sc_model_info info;
            if (sc_model_open(&m, ctx, k ? back : path, NULL)) fail_msg("%s", sc_error());
            sc_model_describe(m, &info);
            assert_int_equal(info.head, SC_HEAD_NONE);
            check_outputs(m, st, k ? "  and back" : names[i]);
            sc_model_free(m);
        }
        sc_safetensors_free(st);
        snprintf(command, sizeof command, "rm -r '%s'", dir);
        assert_int_equal(system(command), 0);
    }
}

/* A row alone, and between others, gives the same bits. */
static void rows_do_not_see_each_other(void **state)
{
    static const char *const names[] = {"bert_fill",    "modernbert", "deberta",
                                        "deberta_conv", "big_bird",   "longformer_global"};
    (void)state;
    for (int k = 0; k < SC_COUNT(names); k++) {
        char path[512];
        sc_model *m;
        sc_outputs *both, *alone;
        int32_t ids[2][70], one[30];
        snprintf(path, sizeof path, "%s/%s", OWN, names[k]);
        assert_int_equal(sc_model_open(&m, ctx, path, NULL), SC_OK);
        for (int i = 0; i < 140; i++) ids[i / 70][i % 70] = 5 + i * 7 % 20;
        memcpy(one, ids[1], sizeof one);
        uint8_t mask[2][70];
        for (int i = 0; i < 140; i++) mask[i / 70][i % 70] = i < 70 || i % 70 < 30;
        sc_named_tensor in[] = {{"input_ids", SC_I32, 2, {2, 70}, ids},
                                {"attention_mask", SC_U8, 2, {2, 70}, mask}},
                        single = {"input_ids", SC_I32, 2, {1, 30}, one};
        assert_int_equal(sc_model_forward(&both, m, in, 2, false), SC_OK);
        assert_int_equal(sc_model_forward(&alone, m, &single, 1, false), SC_OK);
        const sc_named_tensor *a = sc_outputs_at(both, 0), *b = sc_outputs_at(alone, 0);
        int64_t row = elements(a) / 2, n = elements(b);
        assert_memory_equal((float *)a->data + row, b->data, (size_t)n * sizeof(float));
        sc_outputs_free(both);
        sc_outputs_free(alone);
        sc_model_free(m);
    }
}

/* ---- what is asked of them ---- */

static json_t *answers_of(const char *name, char path[512])
{
    char file[600];
    json_error_t error;
    snprintf(path, 512, "%s/%s", OWN, name);
    snprintf(file, sizeof file, "%s/answers.json", path);
    json_t *o = json_load_file(file, 0, &error);
    if (!o) fail_msg("%s: %s", file, error.text);
    return o;
}

static sc_text text_of(const json_t *s) { return (sc_text){json_string_value(s), (int64_t)json_string_length(s)}; }

static void near_to(double got, const json_t *want, const char *what)
{
    if (!(fabs(got - json_number_value(want)) < 2e-6))
        fail_msg("%s: %.8f, not %.8f", what, got, json_number_value(want));
}

static void check_vectors(const char *path, const json_t *answers, const json_t *want, const sc_embed_options *o,
                          const char *label)
{
    sc_embedder *e;
    sc_text text[8];
    float x[8 * 12];
    const json_t *texts = json_object_get(answers, "texts");
    int64_t n = (int64_t)json_array_size(texts);
    if (sc_embedder_open(&e, ctx, path, o)) fail_msg("%s: %s", label, sc_error());
    int64_t width = sc_embedder_width(e);
    for (int64_t i = 0; i < n; i++) text[i] = text_of(json_array_get(texts, (size_t)i));
    if (sc_embedder_embed(e, text, n, x)) fail_msg("%s: %s", label, sc_error());
    for (int64_t i = 0; i < n * width; i++)
        near_to(x[i], json_array_get(json_array_get(want, (size_t)(i / width)), (size_t)(i % width)), label);
    float one[12];
    assert_int_equal(sc_embedder_embed(e, text + 1, 1, one), SC_OK);
    assert_memory_equal(one, x + width, (size_t)width * sizeof *x);
    sc_embedder_free(e);
}

static void vectors_are_those_of_the_modules(void **state)
{
    char path[512];
    const char *kind;
    const json_t *want;
    (void)state;
    json_t *a = answers_of("bert_embed", path);
    check_vectors(path, a, json_object_get(a, "dense"), NULL, "as the modules say");
    check_vectors(path, a, json_object_get(a, "dense"), &(sc_embed_options){.batch_tokens = 3}, "in small batches");
    check_vectors(path, a, json_object_get(a, "query"), &(sc_embed_options){.prompt_name = "query"},
                  "with a prompt by name");
    check_vectors(path, a, json_object_get(a, "query"), &(sc_embed_options){.prompt = "ask : "}, "with a prompt");
    json_object_foreach(json_object_get(a, "plain"), kind, want)
        check_vectors(path, a, want, &(sc_embed_options){.pooling = kind}, kind);
    json_decref(a);
}

static void vectors_can_be_cut_and_left_long(void **state)
{
    char path[512];
    sc_embedder *e;
    float cut[3], long_[7];
    double sum = 0, all = 0;
    sc_text text = {"the cat", 7};
    (void)state;
    json_t *a = answers_of("bert_embed", path);
    assert_int_equal(sc_embedder_open(&e, ctx, path, &(sc_embed_options){.dimensions = 3}), SC_OK);
    assert_int_equal(sc_embedder_width(e), 3);
    assert_int_equal(sc_embedder_embed(e, &text, 1, cut), SC_OK);
    sc_embedder_free(e);
    assert_int_equal(sc_embedder_open(&e, ctx, path, &(sc_embed_options){.normalize = -1}), SC_OK);
    assert_int_equal(sc_embedder_embed(e, &text, 1, long_), SC_OK);
    sc_embedder_free(e);
    for (int i = 0; i < 3; i++) sum += (double)cut[i] * cut[i];
    for (int i = 0; i < 7; i++) all += (double)long_[i] * long_[i];
    assert_true(fabs(sum - 1) < 1e-6 && fabs(all - 1) > 1e-3);
    double scale = sqrt((double)long_[0] * long_[0] + (double)long_[1] * long_[1] + (double)long_[2] * long_[2]);
    for (int i = 0; i < 3; i++) assert_true(fabs(long_[i] / scale - cut[i]) < 1e-6);
    json_decref(a);
}

/* A decoder's vector is its last token's, of length 1. */
static void decoders_give_vectors_too(void **state)
{
    sc_embedder *e;
    (void)state;
    const char *path = SOCLE_SOURCE_DIR "/tests/data/chat_model";
    if (sc_embedder_open(&e, ctx, path, NULL)) fail_msg("%s", sc_error());
    float *x = calloc((size_t)sc_embedder_width(e), sizeof *x);
    double sum = 0;
    assert_int_equal(sc_embedder_embed(e, &(sc_text){"hello", 5}, 1, x), SC_OK);
    for (int64_t i = 0; i < sc_embedder_width(e); i++) sum += (double)x[i] * x[i];
    assert_true(fabs(sum - 1) < 1e-5);
    free(x);
    sc_embedder_free(e);
}

static sc_reader *reader_of(const char *path)
{
    sc_reader *r;
    if (sc_reader_open(&r, ctx, path)) fail_msg("%s", sc_error());
    return r;
}

static void gaps_are_filled(void **state)
{
    char path[512];
    sc_guess *guess;
    int64_t gaps;
    (void)state;
    json_t *a = answers_of("bert_fill", path);
    sc_reader *r = reader_of(path);
    assert_string_equal(sc_reader_mask(r), "[MASK]");
    const json_t *want = json_object_get(a, "gaps");
    assert_int_equal(sc_reader_fill(r, text_of(json_object_get(a, "text")), 3, &guess, &gaps), SC_OK);
    assert_int_equal(gaps, json_array_size(want));
    for (int64_t i = 0; i < gaps * 3; i++) {
        const json_t *w = json_array_get(json_array_get(want, (size_t)(i / 3)), (size_t)(i % 3));
        assert_int_equal(guess[i].id, json_integer_value(json_array_get(w, 0)));
        near_to(guess[i].probability, json_array_get(w, 1), "a gap");
    }
    sc_free(guess);
    assert_int_equal(sc_reader_fill(r, (sc_text){"a cat", 5}, 3, &guess, &gaps), SC_EINVAL);
    assert_string_equal(sc_error(), "the text has no gap: [MASK] marks one");
    float p[3];
    assert_int_equal(sc_reader_classify(r, (sc_text){"a", 1}, (sc_text){NULL, 0}, p), SC_EUNSUPPORTED);
    sc_reader_free(r);
    json_decref(a);
}

static void texts_are_classified(void **state)
{
    static const char *const names[] = {"bert_classes", "bert_multi"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        char path[512];
        float p[3];
        json_t *a = answers_of(names[k], path);
        sc_reader *r = reader_of(path);
        sc_text text = text_of(json_object_get(a, "text")), pair = text_of(json_object_get(a, "pair"));
        for (int two = 0; two < 2; two++) {
            const json_t *want = json_object_get(a, two ? "two" : "one");
            assert_int_equal(sc_reader_classify(r, text, two ? pair : (sc_text){NULL, 0}, p), SC_OK);
            for (size_t i = 0; i < json_array_size(want); i++) near_to(p[i], json_array_get(want, i), names[k]);
        }
        assert_string_equal(sc_model_label(sc_reader_model(r), 1), "LABEL_1");
        assert_null(sc_model_label(sc_reader_model(r), 9));
        sc_reader_free(r);
        json_decref(a);
    }
}

static void tokens_are_tagged(void **state)
{
    char path[512];
    sc_tag *tag;
    int64_t n;
    (void)state;
    json_t *a = answers_of("bert_tags", path);
    sc_reader *r = reader_of(path);
    const json_t *want = json_object_get(a, "tags");
    assert_int_equal(sc_reader_tag(r, text_of(json_object_get(a, "text")), &tag, &n), SC_OK);
    assert_int_equal(n, json_array_size(want));
    for (int64_t i = 0; i < n; i++) {
        const json_t *w = json_array_get(want, (size_t)i);
        assert_int_equal(tag[i].begin, json_integer_value(json_array_get(w, 0)));
        assert_int_equal(tag[i].end, json_integer_value(json_array_get(w, 1)));
        assert_int_equal(tag[i].label, json_integer_value(json_array_get(w, 2)));
        near_to(tag[i].probability, json_array_get(w, 3), "a tag");
    }
    sc_free(tag);
    sc_reader_free(r);
    json_decref(a);
}

static void answers_are_found(void **state)
{
    char path[512];
    sc_tag found;
    (void)state;
    json_t *a = answers_of("bert_span", path);
    sc_reader *r = reader_of(path);
    assert_int_equal(
        sc_reader_answer(r, text_of(json_object_get(a, "question")), text_of(json_object_get(a, "text")), &found),
        SC_OK);
    assert_int_equal(found.begin, json_integer_value(json_object_get(a, "begin")));
    assert_int_equal(found.end, json_integer_value(json_object_get(a, "end")));
    near_to(found.probability, json_object_get(a, "probability"), "an answer");
    sc_reader_free(r);
    json_decref(a);
}

static void nearest_rows_are_in_order(void **state)
{
    float table[6][2] = {{1, 0}, {0, 1}, {2, 0}, {1, 0}, {-1, 0}, {0.5f, 9}};
    sc_neighbor out[6];
    int64_t found;
    (void)state;
    assert_int_equal(sc_nearest(ctx, table[0], 6, 2, (float[]){1, 0}, 4, out, &found), SC_OK);
    static const int rows[] = {2, 0, 3, 5};
    assert_int_equal(found, 4);
    for (int i = 0; i < 4; i++) assert_int_equal(out[i].row, rows[i]);
    assert_int_equal(sc_nearest(ctx, table[0], 3, 2, (float[]){1, 0}, 5, out, &found), SC_OK);
    assert_int_equal(found, 3);
    assert_int_equal(sc_nearest(ctx, table[0], 0, 2, (float[]){1, 0}, 5, out, &found), SC_OK);
    assert_int_equal(found, 0);
}

static void wrong_uses_are_refused(void **state)
{
    char path[512];
    sc_embedder *e;
    sc_session *s;
    (void)state;
    json_t *a = answers_of("bert_embed", path);
    assert_int_equal(sc_embedder_open(&e, ctx, path, &(sc_embed_options){.prompt_name = "passage"}), SC_ENOTFOUND);
    assert_non_null(strstr(sc_error(), "has no prompt 'passage' (it has: query)"));
    assert_int_equal(sc_embedder_open(&e, ctx, path, &(sc_embed_options){.pooling = "best"}), SC_EINVAL);
    assert_int_equal(sc_embedder_open(&e, ctx, path, &(sc_embed_options){.dimensions = 8}), SC_EINVAL);
    assert_int_equal(sc_embedder_open(&e, ctx, path, &(sc_embed_options){.max_tokens = -1}), SC_EINVAL);
    sc_reader *r = reader_of(path);
    assert_int_equal(sc_session_new(&s, sc_reader_model(r), NULL), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "reads text and generates none"));
    sc_reader_free(r);
    json_decref(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_encoders_match),
        cmocka_unit_test(fixture_encoders_match),
        cmocka_unit_test(gguf_holds_the_states),
        cmocka_unit_test(rows_do_not_see_each_other),
        cmocka_unit_test(vectors_are_those_of_the_modules),
        cmocka_unit_test(vectors_can_be_cut_and_left_long),
        cmocka_unit_test(decoders_give_vectors_too),
        cmocka_unit_test(gaps_are_filled),
        cmocka_unit_test(texts_are_classified),
        cmocka_unit_test(tokens_are_tagged),
        cmocka_unit_test(answers_are_found),
        cmocka_unit_test(nearest_rows_are_in_order),
        cmocka_unit_test(wrong_uses_are_refused),
    };
    return cmocka_run_group_tests(tests, as_many_threads_as_cores, no_context);
}

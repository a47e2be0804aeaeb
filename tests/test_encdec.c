/* SPDX-License-Identifier: Apache-2.0 */
/* Encoder-decoders against transformers: forward, greedy decoding over an encoded source, beam search with the settings of
 * a generation_config.json; decoding in steps gives the bits of the whole; sources are shared by forks and apart in batches.
 * And attention to another batch's keys, or with a bias by distance, against loops. */
#include "core_help.h"
#include "infer/infer.h"
#include "socle/embed.h"
#include "models.h"
#include "one_context.h"

static const char *const own[] = {"t5", "t5_gated", "bart", "mbart", "marian"};
static const char *const fixtures[] = {"t5", "flan_t5", "mt5", "bart", "mbart", "pegasus", "marian"};
#define OWN SOCLE_SOURCE_DIR "/tests/data/pairs"

static sc_model *open_model(const char *path)
{
    sc_model *m;
    if (sc_model_open(&m, ctx, path, NULL)) fail_msg("%s", sc_error());
    return m;
}

static sc_session *open_session(const sc_model *m, int sequences)
{
    sc_session *s;
    sc_session_options o = {.context = 64 * sequences, .sequences = sequences, .cache = SC_F32, .chunk = 5};
    if (sc_session_new(&s, m, &o)) fail_msg("%s", sc_error());
    return s;
}

static sc_named_tensor as_input(const sc_safetensors *st, const char *name)
{
    const sc_file_tensor *t = get(st, name);
    assert_non_null(t);
    sc_named_tensor in = {.name = name, .dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)t->data};
    memcpy(in.dim, t->dim, sizeof in.dim);
    return in;
}

static sc_outputs *forward(const sc_model *m, const sc_safetensors *st)
{
    sc_outputs *out;
    sc_named_tensor in[] = {as_input(st, "input_ids"), as_input(st, "attention_mask"),
                            as_input(st, "decoder_input_ids"), as_input(st, "decoder_lengths")};
    if (sc_model_forward(&out, m, in, 4, true)) fail_msg("%s", sc_error());
    return out;
}

static const sc_named_tensor *output(const sc_outputs *o, const char *name)
{
    for (int64_t i = 0; i < sc_outputs_count(o); i++)
        if (strcmp(sc_outputs_at(o, i)->name, name) == 0) return sc_outputs_at(o, i);
    fail_msg("no output %s", name);
    return NULL;
}

static double check_outputs(const sc_model *m, const sc_safetensors *st, const char *label)
{
    sc_outputs *out = forward(m, st);
    int compared = 0;
    double worst = 0;
    for (int64_t i = 0; i < sc_outputs_count(out); i++) {
        const sc_named_tensor *t = sc_outputs_at(out, i);
        const sc_file_tensor *want = get(st, t->name);
        if (!want) continue;
        double d = difference(t->data, elements(t), want);
        if (!(d <= TOLERANCE)) fail_msg("%s: %s differs by %g", label, t->name, d);
        worst = fmax(worst, d);
        compared++;
    }
    assert_true(compared >= 2);
    sc_outputs_free(out);
    return worst;
}

/* What the encoder makes of texts on the mean, and targets as predicted from their sources. */
static void texts_are_embedded_and_predicted(void **state)
{
    static const char *const names[] = {"t5", "bart"};
    (void)state;
    for (int k = 0; k < SC_COUNT(names); k++) {
        char path[512];
        json_t *want;
        sc_embedder *e;
        sc_pipeline *p;
        sc_perplexity r;
        sc_str lines[2] = {{0}, {0}};
        float v[3 * 16];
        sc_text text[3];
        snprintf(path, sizeof path, OWN "/%s/texts.json", names[k]);
        if (sc_json_read(&want, path, 1 << 20)) fail_msg("%s", sc_error());
        snprintf(path, sizeof path, OWN "/%s", names[k]);
        if (sc_embedder_open(&e, ctx, path, NULL)) fail_msg("%s", sc_error());
        assert_int_equal(sc_embedder_width(e), 16);
        for (size_t i = 0; i < 3; i++) {
            const char *source = json_string_value(json_array_get(json_object_get(want, "sources"), i));
            const char *target = json_string_value(json_array_get(json_object_get(want, "targets"), i));
            text[i] = (sc_text){source, (int64_t)strlen(source)};
            sc_str_printf(&lines[0], "%s\n", source);
            sc_str_printf(&lines[1], "%s%s", target, i == 0 ? "\r\n" : i == 1 ? "\n" : "");
        }
        if (sc_embedder_embed(e, text, 3, v)) fail_msg("%s", sc_error());
        for (size_t i = 0; i < 48; i++) {
            const json_t *row = json_array_get(json_object_get(want, "mean"), i / 16);
            assert_true(fabs(v[i] - json_number_value(json_array_get(row, i % 16))) < 3e-6);
        }
        sc_embedder_free(e);
        sc_session_options o = {.context = 64, .cache = SC_F32};
        if (sc_pipeline_open(&p, ctx, path, &o)) fail_msg("%s", sc_error());
        if (sc_pipeline_perplexity_of(p, lines[0].p, lines[0].len, lines[1].p, lines[1].len, &r))
            fail_msg("%s", sc_error());
        assert_int_equal(r.scored, json_integer_value(json_object_get(want, "scored")));
        double nll = json_real_value(json_object_get(want, "nll"));
        assert_true(fabs(r.nll - nll) < 1e-5 * nll);
        assert_int_equal(sc_pipeline_perplexity_of(p, "w5\nw6", 5, "w5", 2, &r), SC_EINVAL);
        assert_int_equal(sc_pipeline_perplexity_of(p, "", 0, "", 0, &r), SC_EINVAL);
        assert_int_equal(sc_pipeline_perplexity(p, "w5 w6", 5, 8, 8, &r), SC_EUNSUPPORTED);
        sc_pipeline_free(p);
        json_decref(want);
        sc_str_free(&lines[0]);
        sc_str_free(&lines[1]);
    }
}

static int64_t best_of(const float *logits, int64_t n)
{
    int64_t best = 0;
    for (int64_t v = 1; v < n; v++)
        if (logits[v] > logits[best]) best = v;
    return best;
}

static void check_steps(const sc_model *m, const sc_safetensors *st, const char *label)
{
    const sc_file_tensor *source = get(st, "greedy_prompt"), *tokens = get(st, "greedy_tokens"),
                         *last = get(st, "greedy_logits_last");
    int32_t id = sc_model_decoder_start(m);
    sc_model_info info;
    sc_model_describe(m, &info);
    sc_session *s = open_session(m, 1);
    const float *logits;
    if (sc_session_encode(s, 0, source->data, source->dim[0])) fail_msg("%s: %s", label, sc_error());
    for (int64_t i = 0; i < tokens->dim[0]; i++) {
        if (sc_session_eval(s, 0, &id, 1, &logits)) fail_msg("%s: %s", label, sc_error());
        int64_t kept = i - (tokens->dim[0] - last->dim[0]);
        id = (int32_t)best_of(logits, info.vocab);
        if (id != ((const int32_t *)tokens->data)[i])
            fail_msg("%s: token %lld is %d, not %d", label, (long long)i, id, ((const int32_t *)tokens->data)[i]);
        if (kept < 0) continue;
        sc_file_tensor row = *last;
        row.bytes = info.vocab * 4;
        row.data = (const float *)last->data + kept * info.vocab;
        double d = difference(logits, info.vocab, &row);
        if (!(d <= TOLERANCE)) fail_msg("%s: logits of step %lld differ by %g", label, (long long)i, d);
    }
    sc_session_free(s);
}

static void check_folder(const char *path, const sc_safetensors *st, const char *label)
{
    sc_model *m = open_model(path);
    double worst = check_outputs(m, st, label);
    check_steps(m, st, label);
    printf("  %s: %.1e\n", label, worst);
    sc_model_free(m);
}

static void check_case(const char *root, const char *name)
{
    char path[2048], copy[] = "/tmp/socle-pair-XXXXXX", command[8192];
    sc_safetensors *st = open_expected(root, name);
    snprintf(path, sizeof path, "%.1000s/%.100s", root, name);
    check_folder(path, st, name);
    snprintf(path, sizeof path, "%.1000s/%.100s/config_v4.json", root, name);
    if (sc_path_exists(path)) {
        assert_non_null(mkdtemp(copy));
        snprintf(command, sizeof command, "cp '%s' '%s/config.json' && cp '%s/%s/model.safetensors' '%s'", path,
                 copy, root, name, copy);
        assert_int_equal(system(command), 0);
        check_folder(copy, st, "with the older config");
        snprintf(command, sizeof command, "rm -r '%s'", copy);
        assert_int_equal(system(command), 0);
    }
    sc_safetensors_free(st);
}

static void pairs_match(void **state)
{
    char root[1024];
    (void)state;
    for (int i = 0; i < SC_COUNT(own); i++) check_case(OWN, own[i]);
    if (!find_fixtures(root)) return;
    for (int i = 0; i < SC_COUNT(fixtures); i++) check_case(root, fixtures[i]);
}

/* Every row of the forward, in steps over the cache and in one batch with the other row. */
static void steps_give_the_bits_of_the_whole(void **state)
{
    (void)state;
    for (int c = 0; c < SC_COUNT(own); c++) {
        char path[1024];
        snprintf(path, sizeof path, OWN "/%s", own[c]);
        sc_safetensors *st = open_expected(OWN, own[c]);
        sc_model *m = open_model(path);
        sc_outputs *out = forward(m, st);
        const sc_named_tensor *whole = output(out, "logits");
        int64_t longest = whole->dim[1], vocab = whole->dim[2], width = get(st, "input_ids")->dim[1];
        const int32_t *source = get(st, "input_ids")->data, *mask = get(st, "attention_mask")->data,
                      *target = get(st, "decoder_input_ids")->data, *lengths = get(st, "decoder_lengths")->data;
        sc_session *s = open_session(m, 4);
        const float *logits;
        for (int r = 0; r < 2; r++) {
            int64_t n = 0;
            while (n < width && mask[r * width + n]) n++;
            assert_int_equal(sc_session_encode(s, r, source + r * width, n), SC_OK);
        }
        for (int64_t t = 0; t < longest; t++) {
            int both[2] = {0, 1}, n = t < lengths[1] ? 2 : 1;
            int32_t ids[2] = {target[t], target[longest + t]};
            assert_int_equal(sc_session_step(s, both, ids, n, &logits), SC_OK);
            for (int r = 0; r < n; r++)
                assert_memory_equal(logits + r * vocab, (const float *)whole->data + (r * longest + t) * vocab,
                                    sizeof *logits * (size_t)vocab);
        }
        /* A fork goes on with the same source, a new source begins again. */
        assert_int_equal(sc_session_fork(s, 0, 3), SC_OK);
        assert_int_equal(sc_session_trim(s, 3, 4), SC_OK);
        assert_int_equal(sc_session_encode(s, 0, source, 3), SC_OK);
        assert_int_equal(sc_session_length(s, 0), 0);
        assert_int_equal(sc_session_eval(s, 3, target + 4, longest - 4, &logits), SC_OK);
        assert_memory_equal(logits, (const float *)whole->data + (longest - 1) * vocab,
                            sizeof *logits * (size_t)vocab);
        sc_session_free(s);
        sc_outputs_free(out);
        sc_model_free(m);
        sc_safetensors_free(st);
    }
}

/* The recurrent ones: each of three sources by itself, and all of them in one batch. */
static void recurrent_pairs_match(void **state)
{
    (void)state;
    static const char *const names[] = {"seq2seq_gru", "seq2seq_lstm"};
    char root[1024], path[2048];
    if (!find_fixtures(root)) skip();
    for (int c = 0; c < SC_COUNT(names); c++) {
        sc_safetensors *st = open_expected(root, names[c]);
        snprintf(path, sizeof path, "%.1000s/%.100s", root, names[c]);
        sc_model *m = open_model(path);
        sc_model_info info;
        sc_model_describe(m, &info);
        const sc_file_tensor *source = get(st, "src_ids"), *tokens = get(st, "greedy_tokens");
        const int32_t *lengths = get(st, "src_lengths")->data;
        sc_session *s = open_session(m, 3);
        const float *logits;
        int rows[3] = {0, 1, 2};
        int32_t ids[3];
        for (int r = 0; r < 3; r++) {
            ids[r] = sc_model_decoder_start(m);
            if (sc_session_encode(s, r, (const int32_t *)source->data + r * source->dim[1], lengths[r]))
                fail_msg("%s", sc_error());
        }
        for (int64_t i = 0; i < tokens->dim[1]; i++) {
            if (sc_session_step(s, rows, ids, 3, &logits)) fail_msg("%s", sc_error());
            for (int r = 0; r < 3; r++) {
                ids[r] = (int32_t)best_of(logits + r * info.vocab, info.vocab);
                if (ids[r] != ((const int32_t *)tokens->data)[r * tokens->dim[1] + i])
                    fail_msg("%s: token %lld of row %d is %d", names[c], (long long)i, r, ids[r]);
            }
        }
        sc_named_tensor in[] = {as_input(st, "src_ids"), as_input(st, "src_mask"),
                                as_input(st, "decoder_input_ids"), as_input(st, "labels")};
        sc_outputs *out;
        if (sc_model_forward(&out, m, in, 4, true)) fail_msg("%s", sc_error());
        const sc_named_tensor *whole = output(out, "logits");
        double d = difference(whole->data, elements(whole), get(st, "logits"));
        printf("  %s: %.1e\n", names[c], d);
        assert_true(d <= TOLERANCE);
        /* The bits of the whole in steps, and after a fork. */
        const int32_t *target = get(st, "decoder_input_ids")->data;
        if (sc_session_encode(s, 0, source->data, lengths[0])) fail_msg("%s", sc_error());
        assert_int_equal(sc_session_eval(s, 0, target, 3, &logits), SC_OK);
        assert_memory_equal(logits, (const float *)whole->data + 2 * info.vocab,
                            sizeof(float) * (size_t)info.vocab);
        assert_int_equal(sc_session_fork(s, 0, 1), SC_OK);
        assert_int_equal(sc_session_eval(s, 0, target, 1, &logits), SC_OK);
        assert_int_equal(sc_session_eval(s, 1, target + 3, 1, &logits), SC_OK);
        assert_memory_equal(logits, (const float *)whole->data + 3 * info.vocab,
                            sizeof(float) * (size_t)info.vocab);
        sc_session_free(s);
        sc_outputs_free(out);
        sc_model_free(m);
        sc_safetensors_free(st);
    }
}

/* T5 there and back, with the one reach of its bias that GGUF's readers know. */
static void t5_goes_through_gguf(void **state)
{
    (void)state;
    static const char *const names[] = {"t5", "t5_gated"};
    for (int i = 0; i < SC_COUNT(names); i++) {
        char root[] = "/tmp/socle-t5-XXXXXX", command[2048], dir[64], gguf[64], back[64];
        sc_safetensors *st = open_expected(OWN, names[i]);
        assert_non_null(mkdtemp(root));
        snprintf(dir, sizeof dir, "%s/dir", root);
        snprintf(gguf, sizeof gguf, "%s/t5.gguf", root);
        snprintf(back, sizeof back, "%s/back", root);
        snprintf(command, sizeof command,
                 "mkdir %s && cp " OWN
                 "/%s/model.safetensors %s && sed 's/max_distance\": 20/max_distance\": 128/' " OWN
                 "/%s/config.json > %s/config.json",
                 dir, names[i], dir, names[i], dir);
        assert_int_equal(system(command), 0);
        sc_convert_options o = {.no_tokenizer = true};
        assert_int_equal(sc_convert(ctx, OWN "/t5", gguf, &o, NULL), SC_EUNSUPPORTED);
        assert_non_null(strstr(sc_error(), "relative_attention_max_distance"));
        if (sc_convert(ctx, dir, gguf, &o, NULL) || sc_convert(ctx, gguf, back, &o, NULL))
            fail_msg("%s", sc_error());
        const char *const paths[] = {gguf, back};
        sc_model *m = open_model(dir);
        sc_outputs *want = forward(m, st);
        for (int k = 0; k < 2; k++) {
            sc_model *other = open_model(paths[k]);
            sc_outputs *got = forward(other, st);
            const sc_named_tensor *x = output(got, "logits"), *y = output(want, "logits");
            assert_memory_equal(x->data, y->data, sizeof(float) * (size_t)elements(x));
            assert_int_equal(sc_model_decoder_start(other), 0);
            sc_outputs_free(got);
            sc_model_free(other);
        }
        sc_outputs_free(want);
        sc_model_free(m);
        sc_safetensors_free(st);
        snprintf(command, sizeof command, "rm -r %s", root);
        assert_int_equal(system(command), 0);
    }
}

/* The best answer of a search as a generation_config.json sets it. */
static void search(const sc_model *m, const sc_safetensors *st, const json_t *config, sc_beam_answer *best)
{
    const sc_file_tensor *source = get(st, "greedy_prompt");
    char *text = json_dumps(config, 0);
    sc_forced forced;
    int32_t *forbidden, start = sc_model_decoder_start(m);
    const float *logits;
    sc_model_info info;
    int n;
    sc_model_describe(m, &info);
    sc_sampling sampling = SC_SAMPLING_INIT;
    assert_int_equal(sc_sampling_from_json(&sampling, text, (int64_t)strlen(text), "settings"), SC_OK);
    if (sc_forced_read(&forced, &forbidden, ctx, text, info.vocab)) fail_msg("%s", sc_error());
    sc_beam_search how = {
        .options = SC_BEAM_INIT, .processors = &sampling, .prompt = &start, .n_prompt = 1, .forced = &forced};
    const json_t *penalty = json_object_get(config, "length_penalty"),
                 *early = json_object_get(config, "early_stopping");
    how.options.num_beams = (int)json_integer_value(json_object_get(config, "num_beams"));
    how.options.max_new_tokens = 10;
    if (penalty) how.options.length_penalty = json_number_value(penalty);
    how.options.early_stopping = json_is_true(early)     ? SC_BEAM_EARLY
                                 : json_is_string(early) ? SC_BEAM_NEVER
                                                         : SC_BEAM_HEURISTIC;
    how.options.eos = sc_model_eos(m, &how.options.n_eos);
    sc_session *s = open_session(m, 2 * how.options.num_beams);
    assert_int_equal(sc_session_encode(s, 0, source->data, source->dim[0]), SC_OK);
    assert_int_equal(sc_session_eval(s, 0, &start, 1, &logits), SC_OK);
    if (sc_session_beam(s, logits, &how, best, &n)) fail_msg("%s", sc_error());
    sc_session_free(s);
    sc_free(forbidden);
    free(text);
}

static void beams_match(void **state)
{
    (void)state;
    for (int c = 0; c < SC_COUNT(own); c++) {
        char path[1024];
        json_t *cases;
        snprintf(path, sizeof path, OWN "/%s/beams.json", own[c]);
        assert_int_equal(sc_json_read(&cases, path, 1 << 20), SC_OK);
        snprintf(path, sizeof path, OWN "/%s", own[c]);
        sc_safetensors *st = open_expected(OWN, own[c]);
        sc_model *m = open_model(path);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *one = json_array_get(cases, i), *want = json_object_get(one, "ids");
            sc_beam_answer best;
            search(m, st, json_object_get(one, "config"), &best);
            if (best.n != (int64_t)json_array_size(want))
                fail_msg("%s, search %zu: %lld ids", own[c], i, (long long)best.n);
            for (int64_t k = 0; k < best.n; k++)
                if (best.ids[k] != json_integer_value(json_array_get(want, (size_t)k)))
                    fail_msg("%s, search %zu: id %lld is %d", own[c], i, (long long)k, best.ids[k]);
            sc_free(best.ids);
        }
        json_decref(cases);
        sc_model_free(m);
        sc_safetensors_free(st);
    }
}

static void misuse_is_refused(void **state)
{
    (void)state;
    sc_model *m = open_model(OWN "/bart"), *plain = open_model(OWN_MODELS "/llama");
    sc_session *s = open_session(m, 1), *other = open_session(plain, 1);
    static const int32_t ids[64] = {5, 6, 7}, bad = 48;
    const float *logits;
    sc_outputs *out;
    sc_named_tensor in[] = {
        {.name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {1, 3}, .data = (void *)(uintptr_t)ids},
        {.name = "decoder_input_ids", .dtype = SC_I32, .rank = 2, .dim = {2, 1}, .data = (void *)(uintptr_t)ids}};
    assert_int_equal(sc_session_eval(s, 0, ids, 1, &logits), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "has no source"));
    assert_int_equal(sc_session_encode(s, 0, &bad, 1), SC_ELIMIT);
    assert_int_equal(sc_session_encode(s, 0, ids, 49), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "more than the model's 48"));
    assert_int_equal(sc_session_encode(s, 0, ids, 0), SC_EINVAL);
    assert_int_equal(sc_session_encode(s, 1, ids, 1), SC_EINVAL);
    assert_int_equal(sc_session_encode(other, 0, ids, 1), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "has no encoder"));
    assert_int_equal(sc_model_decoder_start(plain), -1);
    assert_int_equal(sc_model_forward(&out, m, in, 1, false), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "decoder_input_ids is missing"));
    assert_int_equal(sc_model_forward(&out, m, in, 2, false), SC_ESHAPE);
    assert_int_equal(sc_model_forward(&out, m, in + 1, 1, false), SC_EINVAL);
    sc_session_free(s);
    sc_session_free(other);
    sc_model_free(m);
    sc_model_free(plain);
}

static void forced_settings_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"{\"forced_bos_token_id\": 48}", "{\"forced_eos_token_id\": -1}",
                                      "{\"bad_words_ids\": [[99]]}", "{\"suppress_tokens\": [\"a\"]}",
                                      "{\"min_length\": -4}"};
    sc_forced f;
    int32_t *ids;
    for (int i = 0; i < SC_COUNT(bad); i++) {
        if (sc_forced_read(&f, &ids, ctx, bad[i], 48) != SC_OK) continue;
        fail_msg("%s passes", bad[i]);
    }
    assert_int_equal(sc_forced_read(&f, &ids, ctx, "{}", 48), SC_OK);
    assert_true(f.first == -1 && f.last == -1 && f.min_new_tokens == 0 && f.n_forbidden == 0);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *why;
    } bad[] = {
        {"{\"model_type\":\"t5\",\"d_model\":8,\"d_ff\":8,\"vocab_size\":9,\"num_heads\":2,\"d_kv\":4,\"num_"
         "layers\":1,"
         "\"relative_attention_num_buckets\":64,\"relative_attention_max_distance\":20}",
         "not beyond half"},
        {"{\"model_type\":\"t5\",\"d_model\":8,\"d_ff\":8,\"vocab_size\":9,\"num_heads\":2,\"d_kv\":4,\"num_"
         "layers\":1,"
         "\"feed_forward_proj\":\"gated-what\"}",
         "feed_forward_proj is 'what'"},
        {"{\"model_type\":\"bart\",\"d_model\":9,\"vocab_size\":9,\"encoder_attention_heads\":2}",
         "not a multiple of encoder_attention_heads"},
        {"{\"model_type\":\"marian\",\"d_model\":16,\"vocab_size\":9,\"decoder_vocab_size\":8}", "one table"},
    };
    for (int i = 0; i < SC_COUNT(bad); i++) {
        sc_model *m = fresh_model(ctx, bad[i].config);
        assert_null(m);
        if (!strstr(sc_error(), bad[i].why)) fail_msg("%s", sc_error());
    }
}

/* ---- attention ---- */

typedef struct sides {
    int64_t s, d, kv, group, queries, keys;
    int32_t start[4], key_start[4];
    float *q, *k, *v;
} sides;

static float *noise(uint64_t *seed, int64_t n)
{
    float *x = malloc(sizeof *x * (size_t)(n + 1));
    for (int64_t i = 0; i < n; i++) x[i] = random_float(seed);
    return x;
}

/* bias: of distances -most … most, or NULL. */
static void check_against_loops(const sides *b, const float *got, float scale, bool causal, const float *bias,
                                int64_t most)
{
    int64_t heads = b->kv * b->group;
    for (int64_t s = 0; s < b->s; s++)
        for (int64_t i = b->start[s]; i < b->start[s + 1]; i++)
            for (int64_t h = 0; h < heads; h++) {
                double sum = 0, y[64] = {0};
                for (int64_t j = b->key_start[s]; j < b->key_start[s + 1]; j++) {
                    double score = 0;
                    int64_t away = (j - b->key_start[s]) - (i - b->start[s]);
                    if (causal && away > 0) continue;
                    for (int64_t c = 0; c < b->d; c++)
                        score +=
                            scale * b->q[(i * heads + h) * b->d + c] * b->k[(j * b->kv + h / b->group) * b->d + c];
                    if (bias) score += bias[h * (2 * most + 1) + most + SC_MAX(SC_MIN(away, most), -most)];
                    sum += exp(score);
                    for (int64_t c = 0; c < b->d; c++)
                        y[c] += exp(score) * b->v[(j * b->kv + h / b->group) * b->d + c];
                }
                for (int64_t c = 0; c < b->d; c++)
                    if (fabs(got[(i * heads + h) * b->d + c] - y[c] / sum) > 1e-5) fail_msg("another result");
            }
}

static sides any_sides(uint64_t *seed, bool same)
{
    sides b = {.s = random_in(seed, 1, 3),
               .d = random_in(seed, 1, 40),
               .kv = random_in(seed, 1, 3),
               .group = random_in(seed, 1, 2)};
    for (int64_t s = 0; s < b.s; s++) {
        b.start[s + 1] = b.start[s] + (int32_t)random_in(seed, 1, 40);
        b.key_start[s + 1] = same ? b.start[s + 1] : b.key_start[s] + (int32_t)random_in(seed, 1, 600);
    }
    b.queries = b.start[b.s];
    b.keys = b.key_start[b.s];
    b.q = noise(seed, b.queries * b.kv * b.group * b.d);
    b.k = noise(seed, b.keys * b.kv * b.d);
    b.v = noise(seed, b.keys * b.kv * b.d);
    return b;
}

static void free_sides(sides *b)
{
    free(b->q);
    free(b->k);
    free(b->v);
}

static sc_tensor *input(sc_graph *g, sc_dtype t, int rank, int64_t x, int64_t y, int64_t z)
{
    return sc_graph_input(g, "x", t, &(sc_shape){rank, {x, y, z}});
}

static void attention_takes_a_bias(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 20; trial++) {
        uint64_t seed = trial;
        sides b = any_sides(&seed, true);
        int64_t most = random_in(&seed, 1, 50), heads = b.kv * b.group;
        float *bias = noise(&seed, heads * (2 * most + 1));
        sc_graph *g;
        sc_plan *p;
        sc_backend *backend;
        assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
        assert_int_equal(sc_backend_new(&backend, ctx), SC_OK);
        sc_tensor *q = input(g, SC_F32, 3, b.queries, heads, b.d), *k = input(g, SC_F32, 3, b.keys, b.kv, b.d),
                  *v = input(g, SC_F32, 3, b.keys, b.kv, b.d), *by = input(g, SC_F32, 2, heads, 2 * most + 1, 0);
        sc_seqs seqs = {.start = input(g, SC_I32, 1, b.s + 1, 0, 0)};
        sc_attention_attr a = {.scale = 0.7f, .causal = trial % 2, .bias = by};
        sc_tensor *y = sc_attention(g, q, k, v, &seqs, &a);
        if (sc_plan_new(&p, g, backend, &y, 1)) fail_msg("%s", sc_error());
        memcpy(sc_plan_data(p, q), b.q, 4 * (size_t)(b.queries * heads * b.d));
        memcpy(sc_plan_data(p, k), b.k, 4 * (size_t)(b.keys * b.kv * b.d));
        memcpy(sc_plan_data(p, v), b.v, 4 * (size_t)(b.keys * b.kv * b.d));
        memcpy(sc_plan_data(p, by), bias, 4 * (size_t)(heads * (2 * most + 1)));
        memcpy(sc_plan_data(p, seqs.start), b.start, 4 * (size_t)(b.s + 1));
        assert_int_equal(sc_plan_run(p), SC_OK);
        check_against_loops(&b, sc_plan_data(p, y), 0.7f, a.causal, bias, most);
        sc_plan_free(p);
        backend->free(backend);
        sc_graph_free(g);
        free(bias);
        free_sides(&b);
    }
}

/* Another batch's keys as they are, and through a cache, to the bit. */
static void attention_reads_another_batch(void **state)
{
    (void)state;
    for (uint64_t trial = 0; trial < 20; trial++) {
        uint64_t seed = trial;
        sides b = any_sides(&seed, false);
        int64_t heads = b.kv * b.group, tiles[4] = {0}, pages = 0;
        sc_graph *g;
        sc_plan *p;
        sc_backend *backend;
        assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
        assert_int_equal(sc_backend_new(&backend, ctx), SC_OK);
        for (int64_t s = 0; s < b.s; s++) pages += tiles[s] = (b.key_start[s + 1] - b.key_start[s] + 31) / 32;
        sc_tensor *q = input(g, SC_F32, 3, b.queries, heads, b.d), *k = input(g, SC_F32, 3, b.keys, b.kv, b.d),
                  *v = input(g, SC_F32, 3, b.keys, b.kv, b.d);
        sc_seqs seqs = {.start = input(g, SC_I32, 1, b.s + 1, 0, 0)},
                memory = {.start = input(g, SC_I32, 1, b.s + 1, 0, 0),
                          .past = input(g, SC_I32, 1, b.s, 0, 0),
                          .slot = input(g, SC_I32, 1, b.keys, 0, 0),
                          .pages = input(g, SC_I32, 2, b.s, pages, 0)},
                plain = {.start = memory.start};
        int64_t all = pages * b.kv * 32 * b.d;
        float *store[2] = {calloc((size_t)all, 4), calloc((size_t)all, 4)};
        sc_tensor *kept[2];
        for (int i = 0; i < 2; i++) {
            sc_storage st = {.stride = {b.kv * 32 * b.d, 32 * b.d, b.d, 1}, .data = store[i]};
            kept[i] = sc_kv_write(g, sc_graph_state(g, "cache", &(sc_shape){4, {pages, b.kv, 32, b.d}}, &st),
                                  i ? v : k, &memory);
        }
        sc_attention_attr a = {.scale = 0.7f, .cross = true};
        sc_tensor *y[2] = {sc_attention_cross(g, q, (sc_kv){k, v}, &seqs, &plain, &a),
                           sc_attention_cross(g, q, (sc_kv){kept[0], kept[1]}, &seqs, &memory, &a)};
        if (sc_plan_new(&p, g, backend, y, 2)) fail_msg("%s", sc_error());
        memcpy(sc_plan_data(p, q), b.q, 4 * (size_t)(b.queries * heads * b.d));
        memcpy(sc_plan_data(p, k), b.k, 4 * (size_t)(b.keys * b.kv * b.d));
        memcpy(sc_plan_data(p, v), b.v, 4 * (size_t)(b.keys * b.kv * b.d));
        memcpy(sc_plan_data(p, seqs.start), b.start, 4 * (size_t)(b.s + 1));
        memcpy(sc_plan_data(p, memory.start), b.key_start, 4 * (size_t)(b.s + 1));
        int32_t *slot = sc_plan_data(p, memory.slot), *page = sc_plan_data(p, memory.pages), next = 0;
        for (int64_t s = 0; s < b.s; s++) {
            int32_t n = b.key_start[s + 1] - b.key_start[s];
            ((int32_t *)sc_plan_data(p, memory.past))[s] = n;
            for (int64_t t = 0; t < tiles[s]; t++) page[s * pages + t] = next + (int32_t)t;
            for (int32_t i = 0; i < n; i++) slot[b.key_start[s] + i] = next * 32 + i;
            next += (int32_t)tiles[s];
        }
        assert_int_equal(sc_plan_run(p), SC_OK);
        check_against_loops(&b, sc_plan_data(p, y[0]), 0.7f, false, NULL, 0);
        assert_memory_equal(sc_plan_data(p, y[0]), sc_plan_data(p, y[1]), 4 * (size_t)sc_tensor_count(y[0]));
        sc_plan_free(p);
        backend->free(backend);
        sc_graph_free(g);
        free(store[0]);
        free(store[1]);
        free_sides(&b);
    }
}

/* T5's buckets at its own sizes: 32, exact below 8 (both ways) or 16, up to 128. */
static void buckets_are_known(void **state)
{
    (void)state;
    static const struct {
        int64_t away;
        int32_t both, back;
    } want[] = {{0, 0, 0},   {1, 17, 0},    {-1, 1, 1},     {-7, 7, 7},     {7, 23, 0},
                {-8, 8, 8},  {-11, 8, 11},  {-12, 9, 12},   {-16, 10, 16},  {-23, 11, 18},
                {64, 30, 0}, {-91, 15, 29}, {-127, 15, 31}, {-128, 15, 31}, {5000, 31, 0}};
    sc_relative_config both = {.heads = 1, .buckets = 32, .farthest = 128, .bidirectional = true}, back = both;
    back.bidirectional = false;
    for (int i = 0; i < SC_COUNT(want); i++) {
        assert_int_equal(sc_relative_bucket(&both, want[i].away), want[i].both);
        assert_int_equal(sc_relative_bucket(&back, want[i].away), want[i].back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_match),
        cmocka_unit_test(steps_give_the_bits_of_the_whole),
        cmocka_unit_test(recurrent_pairs_match),
        cmocka_unit_test(texts_are_embedded_and_predicted),
        cmocka_unit_test(beams_match),
        cmocka_unit_test(t5_goes_through_gguf),
        cmocka_unit_test(misuse_is_refused),
        cmocka_unit_test(forced_settings_are_checked),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(attention_takes_a_bias),
        cmocka_unit_test(attention_reads_another_batch),
        cmocka_unit_test(buckets_are_known),
    };
    return cmocka_run_group_tests(tests, two_threads, no_context);
}

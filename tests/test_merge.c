/* SPDX-License-Identifier: Apache-2.0 */
/* Merged models beside what the definitions give, computed here in doubles with sorting where the library counts digits. */
#include "models.h"
#include "models/models.h"
#include "one_context.h"
#include "socle/merge.h"

enum { SOURCES = 3, MOST_VALUES = 4096 };
static char folder[64], source[SOURCES + 1][128], out[128]; /* the last source is the base */

/* A small Llama whose weights are steps of 1/64, so that many changes are equally large. */
static void write_model(const char *dir, uint64_t seed, int width)
{
    char path[1100], config[512];
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    snprintf(path, sizeof path, "%s/config.json", dir);
    int n = snprintf(
        config, sizeof config,
        "{\"model_type\": \"llama\", \"hidden_size\": %d, \"intermediate_size\": 32, \"num_hidden_layers\": 2, "
        "\"num_attention_heads\": 4, \"vocab_size\": 40, \"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5}",
        width);
    assert_int_equal(sc_file_write(path, config, n), SC_OK);
    sc_model *m;
    sc_model_options o = {.weights = SC_WEIGHTS_FRESH, .seed = seed};
    assert_int_equal(sc_model_open(&m, ctx, dir, &o), SC_OK);
    sc_safetensors_writer *w;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(sc_safetensors_writer_new(&w, path), SC_OK);
    for (int64_t i = 0; i < sc_model_param_count(m); i++) {
        const sc_model_param *p = sc_model_param_at(m, i);
        float *x = (float *)(uintptr_t)p->data;
        int64_t values = p->dim[0] * (p->rank > 1 ? p->dim[1] : 1);
        for (int64_t k = 0; k < values; k++)
            x[k] = roundf((x[k] * 4 + (float)((k * 7 + (int64_t)seed * 13) % 5) / 8) * 64) / 64;
        assert_int_equal(sc_safetensors_writer_add(w, p->name, p->dtype, p->rank, p->dim, p->data), SC_OK);
    }
    assert_int_equal(sc_safetensors_writer_finish(w), SC_OK);
    sc_safetensors_writer_free(w);
    sc_model_free(m);
}

static const float *values_of(const sc_safetensors *st, const char *name, int64_t *n)
{
    const sc_file_tensor *t;
    if (sc_safetensors_find(st, name, &t)) fail_msg("%s", sc_error());
    *n = t->bytes / 4;
    assert_true(*n <= MOST_VALUES);
    return t->data;
}

/* ---- the definitions ---- */

typedef struct set {
    const float *x[SOURCES], *base;
    int64_t n;
} set;

static const double *sort_key;
static int by_size(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    double x = fabs(sort_key[i]), y = fabs(sort_key[j]);
    return x > y ? -1 : x < y ? 1 : i < j ? -1 : i > j;
}

static void oracle(const sc_merge_options *o, const set *s, double *y)
{
    static double d[SOURCES][MOST_VALUES];
    static int64_t order[MOST_VALUES];
    double scale = o->scale != 0 ? o->scale : 1, w[SOURCES], all = 0, density = o->density != 0 ? o->density : 0.2;
    for (int i = 0; i < o->n; i++) all += w[i] = o->weights ? o->weights[i] : 1;
    for (int i = 0; i < o->n; i++)
        for (int64_t k = 0; k < s->n; k++) d[i][k] = (double)s->x[i][k] - (o->base ? s->base[k] : 0);
    if (strcmp(o->method, "ties") == 0) {
        for (int i = 0; i < o->n; i++) {
            for (int64_t k = 0; k < s->n; k++) order[k] = k;
            sort_key = d[i];
            qsort(order, (size_t)s->n, sizeof *order, by_size);
            for (int64_t k = (int64_t)(density * (double)s->n); k < s->n; k++)
                if (k >= 1) d[i][order[k]] = 0;
        }
        for (int64_t k = 0; k < s->n; k++) {
            double sum = 0, same = 0, share = 0;
            for (int i = 0; i < o->n; i++) sum += w[i] * d[i][k];
            for (int i = 0; i < o->n; i++)
                if (w[i] * d[i][k] * (sum >= 0 ? 1 : -1) > 0) same += w[i] * d[i][k], share += fabs(w[i]);
            y[k] = s->base[k] + (share > 0 ? scale * same / share : 0);
        }
    } else if (strcmp(o->method, "slerp") == 0) {
        double dot = 0, a2 = 0, b2 = 0;
        for (int64_t k = 0; k < s->n; k++) {
            dot += d[0][k] * d[1][k];
            a2 += d[0][k] * d[0][k];
            b2 += d[1][k] * d[1][k];
        }
        double a = acos(dot / sqrt(a2 * b2)), flat = a2 == 0 || b2 == 0 || dot / sqrt(a2 * b2) > 0.9995;
        for (int64_t k = 0; k < s->n; k++)
            y[k] = flat ? (1 - o->t) * d[0][k] + o->t * d[1][k]
                        : (sin((1 - o->t) * a) * d[0][k] + sin(o->t * a) * d[1][k]) / sin(a);
    } else {
        for (int64_t k = 0; k < s->n; k++) {
            double sum = 0;
            for (int i = 0; i < o->n; i++) sum += w[i] * d[i][k];
            y[k] = o->base ? s->base[k] + scale * sum : sum / all;
        }
    }
}

static void compare(const sc_merge_options *o)
{
    static double want[MOST_VALUES];
    sc_safetensors *st[SOURCES + 1], *got;
    if (sc_merge(ctx, out, o, NULL)) fail_msg("%s: %s", o->method, sc_error());
    for (int i = 0; i <= SOURCES; i++) assert_int_equal(sc_safetensors_open(&st[i], source[i]), SC_OK);
    assert_int_equal(sc_safetensors_open(&got, out), SC_OK);
    assert_int_equal(sc_safetensors_count(got), sc_safetensors_count(st[0]));
    for (int64_t i = 0; i < sc_safetensors_count(got); i++) {
        const char *name = sc_safetensors_get(got, i)->name;
        set s;
        int64_t n;
        for (int k = 0; k < SOURCES; k++) s.x[k] = values_of(st[k], name, &s.n);
        s.base = values_of(st[SOURCES], name, &s.n);
        const float *x = values_of(got, name, &n);
        assert_int_equal(n, s.n);
        oracle(o, &s, want);
        for (int64_t k = 0; k < n; k++)
            if (!(fabs(x[k] - want[k]) <= 1e-5 * (1 + fabs(want[k]))))
                fail_msg("%s, '%s' at %lld: %g, not %g", o->method, name, (long long)k, x[k], want[k]);
    }
    for (int i = 0; i <= SOURCES; i++) sc_safetensors_free(st[i]);
    sc_safetensors_free(got);
}

static void definitions(void **state)
{
    (void)state;
    const char *const models[] = {source[0], source[1], source[2]};
    static const double weights[] = {0.5, 1.25, -0.25}, positive[] = {1, 2, 0.5};
    const sc_merge_options all[] = {
        {"linear", models, 3},
        {"linear", models, 2, positive},
        {"linear", models, 3, weights},
        {"slerp", models, 2, .t = 0.5},
        {"slerp", models, 2, .t = 0},
        {"slerp", models, 2, .t = 0.8},
        {"task", models, 3, NULL, source[SOURCES]},
        {"task", models, 1, weights + 2, source[SOURCES], .scale = 0.7},
        {"ties", models, 3, NULL, source[SOURCES]},
        {"ties", models, 3, weights, source[SOURCES], .density = 0.5, .scale = 1.5},
        {"ties", models, 2, positive, source[SOURCES], .density = 1},
        {"ties", models, 3, positive, source[SOURCES], .density = 0.001},
        {"dare", models, 3, positive, source[SOURCES], .density = 1}, /* nothing is dropped: as task */
    };
    for (int i = 0; i < SC_COUNT(all); i++) compare(&all[i]);
}

/* Each value is the base's or the base's and the change divided by the density; about the share that was asked for; and
 * another seed drops others. */
static void drops(void **state)
{
    (void)state;
    const char *const models[] = {source[0]};
    sc_safetensors *a, *base, *got[2];
    assert_int_equal(sc_safetensors_open(&a, source[0]), SC_OK);
    assert_int_equal(sc_safetensors_open(&base, source[SOURCES]), SC_OK);
    for (int k = 0; k < 2; k++) {
        const sc_merge_options o = {"dare", models, 1, NULL, source[SOURCES], .density = 0.25, .seed = (uint64_t)k};
        assert_int_equal(sc_merge(ctx, out, &o, NULL), SC_OK);
        assert_int_equal(sc_safetensors_open(&got[k], out), SC_OK);
    }
    int64_t kept = 0, changed = 0, other = 0, n;
    for (int64_t i = 0; i < sc_safetensors_count(a); i++) {
        const char *name = sc_safetensors_get(a, i)->name;
        const float *x = values_of(a, name, &n), *b = values_of(base, name, &n), *y = values_of(got[0], name, &n),
                    *z = values_of(got[1], name, &n);
        for (int64_t k = 0; k < n; k++) {
            if (x[k] == b[k]) continue;
            changed++;
            other += y[k] != z[k];
            if (y[k] == b[k]) continue;
            kept++;
            assert_true(fabsf(y[k] - (b[k] + 4 * (x[k] - b[k]))) < 1e-4f);
        }
    }
    double share = (double)kept / (double)changed;
    assert_true(share > 0.23 && share < 0.27);
    assert_true((double)other / (double)changed > 0.3);
    for (int k = 0; k < 2; k++) sc_safetensors_free(got[k]);
    sc_safetensors_free(a);
    sc_safetensors_free(base);
}

/* The same bytes for any number of threads; a model merged with itself, and one from GGUF, is itself. */
static void same_bytes(void **state)
{
    (void)state;
    const char *const models[] = {source[0], source[1], source[2]};
    const sc_merge_options o = {"dare_ties", models, 3, NULL, source[SOURCES], .type = "bf16", .seed = 4};
    char path[256], *text[2], gguf[128];
    int64_t n[2];
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    for (int k = 0; k < 2; k++) {
        sc_context *with;
        assert_int_equal(sc_context_new(&with, &(sc_context_options){.threads = 1 + 2 * k}), SC_OK);
        if (sc_merge(with, out, &o, NULL)) fail_msg("%s", sc_error());
        assert_int_equal(sc_file_read(&text[k], &n[k], path, 1 << 20), SC_OK);
        sc_context_free(with);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(text[0], text[1], n[0]);
    for (int k = 0; k < 2; k++) sc_free(text[k]);

    snprintf(gguf, sizeof gguf, "%s/a.gguf", folder);
    assert_int_equal(sc_convert(ctx, source[0], gguf, &(sc_convert_options){.type = "f32"}, NULL), SC_OK);
    const char *const twice[] = {source[0], gguf};
    sc_convert_report r;
    if (sc_merge(ctx, out, &(sc_merge_options){"linear", twice, 2}, &r)) fail_msg("%s", sc_error());
    assert_int_equal(r.bytes_after, 4 * r.parameters);
    sc_safetensors *a, *b;
    assert_int_equal(sc_safetensors_open(&a, source[0]), SC_OK);
    assert_int_equal(sc_safetensors_open(&b, out), SC_OK);
    for (int64_t i = 0; i < sc_safetensors_count(a); i++) {
        const sc_file_tensor *t = sc_safetensors_get(a, i);
        const float *x = t->data, *y = values_of(b, t->name, n);
        for (int64_t k = 0; k < n[0]; k++) assert_true(x[k] == y[k]);
    }
    sc_safetensors_free(a);
    sc_safetensors_free(b);
}

static void expect(sc_status want, const sc_merge_options *o, const char *said)
{
    sc_status s = sc_merge(ctx, out, o, NULL);
    if (s != want || !strstr(sc_error(), said)) fail_msg("%d '%s', not %d '%s'", s, sc_error(), want, said);
}

static void refusals(void **state)
{
    (void)state;
    char wide[128], file[200];
    snprintf(wide, sizeof wide, "%s/wide", folder);
    write_model(wide, 3, 32);
    const char *const models[] = {source[0], source[1]}, *const misfit[] = {source[0], wide},
                      *const other[] = {source[0], OWN_MODELS "/gpt2"}, *const itself[] = {source[0], out},
                      *const missing[] = {source[0], "/nowhere/at/all"};
    static const double zero[] = {1, -1}, nan[] = {1, NAN};
    expect(SC_EINVAL, &(sc_merge_options){"mean", models, 2}, "no way of merging is called 'mean'");
    expect(SC_EINVAL, &(sc_merge_options){"ties", models, 2}, "ties needs a base");
    expect(SC_EINVAL, &(sc_merge_options){"linear", models, 2, NULL, source[2]}, "linear has no base");
    expect(SC_EINVAL, &(sc_merge_options){"slerp", models, 1}, "slerp is between two models");
    expect(SC_EINVAL, &(sc_merge_options){"linear", models, 2, zero}, "the weights' sum is 0");
    expect(SC_EINVAL, &(sc_merge_options){"linear", models, 2, nan}, "a weight is not finite");
    expect(SC_EINVAL, &(sc_merge_options){"linear", models, 2, .density = 0.5}, "a density is for ties and dare");
    expect(SC_EINVAL, &(sc_merge_options){"ties", models, 2, NULL, source[2], .density = 2}, "a density of 2");
    expect(SC_EINVAL, &(sc_merge_options){"linear", models, 2, .type = "q8_0"}, "safetensors have no type");
    expect(SC_EINVAL, &(sc_merge_options){"linear", models, 0}, "0 models");
    expect(SC_ESHAPE, &(sc_merge_options){"linear", misfit, 2}, "has another shape");
    expect(SC_EUNSUPPORTED, &(sc_merge_options){"linear", other, 2}, "different architectures");
    expect(SC_ENOTFOUND, &(sc_merge_options){"linear", missing, 2}, "/nowhere/at/all");
    assert_int_equal(sc_merge(ctx, out, &(sc_merge_options){"linear", models, 2}, NULL), SC_OK);
    expect(SC_EINVAL, &(sc_merge_options){"linear", itself, 2}, "cannot be merged onto itself");

    /* A value that is not finite: nothing is written over what was there. */
    snprintf(file, sizeof file, "%s/model.safetensors", wide);
    char *text;
    int64_t n;
    const float bad = INFINITY;
    write_model(wide, 3, 16);
    assert_int_equal(sc_file_read(&text, &n, file, 1 << 20), SC_OK);
    memcpy(text + n - 4, &bad, 4);
    assert_int_equal(sc_file_write(file, text, n), SC_OK);
    sc_free(text);
    expect(SC_ELIMIT, &(sc_merge_options){"linear", misfit, 2}, "values that are not finite");
    sc_model *m;
    assert_int_equal(sc_model_open(&m, ctx, out, NULL), SC_OK);
    sc_model_free(m);
}

static int set_up(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/socle-merge-XXXXXX");
    if (!mkdtemp(folder) || two_threads(state)) return 1;
    for (int i = 0; i <= SOURCES; i++) {
        snprintf(source[i], sizeof source[i], "%s/m%d", folder, i);
        write_model(source[i], (uint64_t)i + 1, 16);
    }
    snprintf(out, sizeof out, "%s/out", folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return no_context(state) || system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(definitions), cmocka_unit_test(drops),
                                       cmocka_unit_test(same_bytes), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

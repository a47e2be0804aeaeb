/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a checkpoint: a model directory with optimizer.safetensors and trainer_state.json. */
#include "train/run.h"

#include <stdio.h>

static sc_status write_weights(const sc_checkpoint *c, const char *path, bool average)
{
    sc_safetensors_writer *w;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < c->n; i++) {
        const sc_trained *p = &c->trained[i];
        const float *value = average ? sc_optimizer_average(c->optimizer, i) : p->value;
        s = sc_safetensors_writer_add(w, p->name, SC_F32, p->rank, p->dim, value);
    }
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

/* "exp_avg.model.embed_tokens.weight" and so on, each a vector. */
static sc_status write_moments(const sc_checkpoint *c, const char *path)
{
    sc_safetensors_writer *w;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    for (int64_t i = 0; !s && i < c->n; i++) {
        sc_moment m[4];
        int k = sc_optimizer_moments(c->optimizer, i, m);
        for (int j = 0; !s && j < k; j++) {
            char name[600];
            snprintf(name, sizeof name, "%s.%s", m[j].name, c->trained[i].name);
            s = sc_safetensors_writer_add(w, name, SC_F32, 1, &m[j].n, m[j].value);
        }
    }
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

static sc_status read_values(const sc_safetensors *st, const char *path, const char *name, float *to, int64_t n)
{
    const sc_file_tensor *t;
    sc_status s = sc_safetensors_find(st, name, &t);
    if (s) return s;
    if (t->dtype != SC_F32 || t->bytes != n * (int64_t)sizeof *to)
        return sc_fail(SC_ESHAPE, "%s: '%s' does not fit the model", path, name);
    memcpy(to, t->data, (size_t)t->bytes);
    return SC_OK;
}

static sc_status read_moments(const sc_checkpoint *c, const sc_safetensors *st, const char *path, int64_t i)
{
    sc_moment m[4];
    sc_status s = SC_OK;
    int k = sc_optimizer_moments(c->optimizer, i, m);
    for (int j = 0; !s && j < k; j++) {
        char name[600];
        snprintf(name, sizeof name, "%s.%s", m[j].name, c->trained[i].name);
        s = read_values(st, path, name, m[j].value, m[j].n);
    }
    return s;
}

/* What of parameter i is in a file of the kind. */
typedef enum part { WEIGHTS, AVERAGES, MOMENTS } part;

static sc_status read_part(const sc_checkpoint *c, const char *dir, const char *name, part what)
{
    sc_safetensors *st = NULL;
    char *path = sc_path_join(dir, name);
    sc_status s = path ? sc_safetensors_open(&st, path) : sc_nomem();
    for (int64_t i = 0; !s && i < c->n; i++) {
        const sc_trained *p = &c->trained[i];
        float *to = what == WEIGHTS ? p->value : what == AVERAGES ? sc_optimizer_average(c->optimizer, i) : NULL;
        s = what == MOMENTS ? read_moments(c, st, path, i) : read_values(st, path, p->name, to, p->rows * p->cols);
    }
    sc_safetensors_free(st);
    sc_free(path);
    return s;
}

sc_status sc_checkpoint_read(const sc_checkpoint *c, const char *dir, bool weights)
{
    sc_status s = read_part(c, dir, "optimizer.safetensors", MOMENTS);
    if (!s && c->n && sc_optimizer_average(c->optimizer, 0)) s = read_part(c, dir, "ema.safetensors", AVERAGES);
    return !s && weights ? read_part(c, dir, "model.safetensors", WEIGHTS) : s;
}

static sc_status write_json(const char *dir, const char *name, const json_t *o)
{
    char *text = json_dumps(o, JSON_INDENT(2)), *path = sc_path_join(dir, name);
    sc_status s = text && path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    sc_free(path);
    return s;
}

static sc_status write_text(const char *dir, const char *name, const char *text)
{
    char *path = sc_path_join(dir, name);
    sc_status s = path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    return s;
}

/* config.json as it was given, saying f32. */
static sc_status write_config(const sc_checkpoint *c, const char *dir)
{
    json_t *o = json_copy(c->model->json);
    bool old = o && json_object_get(o, "torch_dtype");
    sc_status s = o && json_object_set_new(o, old ? "torch_dtype" : "dtype", json_string("float32")) == 0
                      ? write_json(dir, "config.json", o)
                      : sc_nomem();
    json_decref(o);
    return s;
}

/* The weights, or their averages, under the names that models have. */
static sc_status write_file(const sc_checkpoint *c, const char *dir, const char *name, bool average)
{
    char *path = sc_path_join(dir, name);
    sc_status s = path ? write_weights(c, path, average) : sc_nomem();
    sc_free(path);
    return s;
}

static sc_status write_all(const sc_checkpoint *c, const char *dir)
{
    char *moments = sc_path_join(dir, "optimizer.safetensors");
    sc_status s = moments ? write_file(c, dir, "model.safetensors", false) : sc_nomem();
    if (!s && c->n && sc_optimizer_average(c->optimizer, 0)) s = write_file(c, dir, "ema.safetensors", true);
    if (!s && c->tokenizer) s = sc_copy_tokenizer(c->tokenizer, dir, NULL);
    if (!s && c->alphabet && c->alphabet->tokenizer) {
        s = write_text(dir, "tokenizer.json", c->alphabet->tokenizer);
        if (!s) s = write_text(dir, "tokenizer_config.json", c->alphabet->config);
    }
    if (!s) s = write_config(c, dir);
    if (!s) s = write_moments(c, moments);
    if (!s) s = sc_checkpoint_seal(dir, c->state);
    sc_free(moments);
    return s;
}

sc_status sc_checkpoint_write(const sc_checkpoint *c, const char *out, int64_t step, int64_t keep, int64_t every)
{
    char *made;
    sc_status s = sc_checkpoint_begin(out, step, &made);
    if (s) return s;
    s = write_all(c, made);
    if (!s) s = sc_checkpoint_end(out, made, step, keep, every);
    if (s) sc_checkpoint_abandon(made);
    sc_free(made);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is in a checkpoint: a model directory with optimizer.safetensors and trainer_state.json. Of several ranks all come
 * here: rank 0 has the disk, and gets from the others what each keeps of the optimiser's, one vector at a time. Whatever
 * happens to its files, it goes on asking for the rest, since the others go on giving. */
#include "train/run.h"

#include <stdio.h>

/* ---- what the optimiser keeps ---- */

typedef enum kept { MOMENTS, AVERAGES } kept;

static const char *const kept_files[] = {[MOMENTS] = "optimizer.safetensors", [AVERAGES] = "ema.safetensors"};

typedef struct vector {
    char name[600]; /* "exp_avg.model.embed_tokens.weight", or an average's parameter's */
    int rank;
    int64_t dim[SC_MAX_RANK];
    int64_t parameter, n;
    float *part; /* what this rank keeps of it; NULL: nothing */
} vector;

static bool has_averages(const sc_checkpoint *c) { return c->n && sc_optimizer_average(c->optimizer, 0); }

/* Number j of parameter i; false: there are no more. */
static bool find_vector(const sc_checkpoint *c, kept what, int64_t i, int j, vector *out)
{
    const sc_trained *p = &c->trained[i];
    if (what == AVERAGES) {
        *out = (vector){
            .rank = p->rank, .parameter = i, .n = p->rows * p->cols, .part = sc_optimizer_average(c->optimizer, i)};
        memcpy(out->dim, p->dim, sizeof p->dim);
        snprintf(out->name, sizeof out->name, "%s", p->name);
        return j == 0;
    }
    sc_moment like[4], own[4];
    int n = sc_optimizer_moments_like(c->optimizer, p, like), has = sc_optimizer_moments(c->optimizer, i, own);
    if (j >= n) return false;
    *out = (vector){
        .rank = 1, .dim = {like[j].n}, .parameter = i, .n = like[j].n, .part = j < has ? own[j].value : NULL};
    snprintf(out->name, sizeof out->name, "%s.%s", like[j].name, p->name);
    return true;
}

#define EACH_VECTOR(c, what, v)                                                                                    \
    for (int64_t i_ = 0; i_ < (c)->n; i_++)                                                                        \
        for (int j_ = 0; find_vector(c, what, i_, j_, &(v)); j_++)

/* Memory for the largest vector, on rank 0 of several. */
static sc_status make_room(const sc_checkpoint *c, kept what, float **out)
{
    int64_t most = 1;
    vector v;
    *out = NULL;
    if (!c->shards || !c->first) return SC_OK;
    EACH_VECTOR(c, what, v) most = SC_MAX(most, v.n);
    *out = sc_malloc((size_t)most * sizeof **out);
    return *out ? SC_OK : sc_shards_abort(c->shards, sc_nomem());
}

static sc_status declare(const sc_checkpoint *c, kept what, sc_safetensors_writer *w)
{
    sc_status s = what == AVERAGES ? sc_safetensors_writer_meta(w, "format", "pt") : SC_OK;
    vector v;
    EACH_VECTOR(c, what, v)
    {
        if (!s) s = sc_safetensors_writer_add(w, v.name, SC_F32, v.rank, v.dim, c->shards ? NULL : v.part);
    }
    return s;
}

/* From all ranks, one after the other as the writer takes them; w NULL: to nowhere. */
static sc_status stream(const sc_checkpoint *c, kept what, sc_safetensors_writer *w, float *room, sc_status s)
{
    vector v;
    int64_t number = 0, turn;
    EACH_VECTOR(c, what, v)
    {
        sc_status met = sc_shards_gather(c->shards, v.parameter, v.part, room, v.n);
        if (met) return met;
        if (!s && w) s = sc_safetensors_writer_next(w, &turn);
        if (!s && w && turn != number++) s = sc_fail(SC_EINVAL, "'%s' is not the writer's next", v.name);
        if (!s && w) s = sc_safetensors_writer_write(w, room, v.n * (int64_t)sizeof *room);
    }
    return s;
}

/* dir: NULL but on rank 0. s: what happened before. */
static sc_status write_kept(const sc_checkpoint *c, kept what, const char *dir, sc_status s)
{
    sc_safetensors_writer *w = NULL;
    float *room;
    sc_status met = make_room(c, what, &room);
    if (met) return met;
    char *path = dir ? sc_path_join(dir, kept_files[what]) : NULL;
    if (!s && dir) s = path ? sc_safetensors_writer_new(&w, path) : sc_nomem();
    if (!s && w) s = declare(c, what, w);
    if (c->shards) s = stream(c, what, s ? NULL : w, room, s);
    if (!s && w) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    sc_free(room);
    sc_free(path);
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

static sc_status read_kept(const sc_checkpoint *c, kept what, const char *dir)
{
    sc_safetensors *st = NULL;
    float *room;
    vector v;
    sc_status s = make_room(c, what, &room);
    if (s) return s;
    char *path = dir ? sc_path_join(dir, kept_files[what]) : NULL;
    if (c->first) s = path ? sc_safetensors_open(&st, path) : sc_nomem();
    EACH_VECTOR(c, what, v)
    {
        if (!s && st) s = read_values(st, path, v.name, room ? room : v.part, v.n);
        sc_status met = c->shards ? sc_shards_scatter(c->shards, v.parameter, v.part, room, v.n) : SC_OK;
        if (met) s = met;
    }
    sc_safetensors_free(st);
    sc_free(room);
    sc_free(path);
    return s;
}

/* ---- the model ---- */

static bool has_adapters(const sc_checkpoint *c) { return c->model->adapters.n_learnt > 0; }

static sc_status write_weights(const sc_checkpoint *c, const char *dir)
{
    if (has_adapters(c)) return sc_adapters_write(&c->model->adapters, dir);
    sc_safetensors_writer *w = NULL;
    char *path = sc_path_join(dir, "model.safetensors");
    sc_status s = path ? sc_safetensors_writer_new(&w, path) : sc_nomem();
    if (!s) s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < c->n; i++) {
        const sc_trained *p = &c->trained[i];
        s = sc_safetensors_writer_add(w, p->name, SC_F32, p->rank, p->dim, p->value);
    }
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    sc_free(path);
    return s;
}

static sc_status read_weights(const sc_checkpoint *c, const char *dir)
{
    if (has_adapters(c)) return sc_adapters_read(&c->model->adapters, dir);
    sc_safetensors *st = NULL;
    char *path = sc_path_join(dir, "model.safetensors");
    sc_status s = path ? sc_safetensors_open(&st, path) : sc_nomem();
    for (int64_t i = 0; !s && i < c->n; i++) {
        const sc_trained *p = &c->trained[i];
        s = read_values(st, path, p->name, p->value, p->rows * p->cols);
    }
    sc_safetensors_free(st);
    sc_free(path);
    return s;
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

/* ---- all of it ---- */

sc_status sc_checkpoint_read(const sc_checkpoint *c, const char *dir, bool weights)
{
    sc_status s = read_kept(c, MOMENTS, dir);
    if (has_averages(c)) {
        sc_status met = read_kept(c, AVERAGES, dir);
        s = s ? s : met;
    }
    if (!s && weights && c->first) s = read_weights(c, dir);
    return !s && c->objective->load ? c->objective->load(c->self, dir) : s;
}

static sc_status write_all(const sc_checkpoint *c, const char *dir, sc_status s)
{
    bool writes = c->first;
    if (!s && writes) s = write_weights(c, dir);
    if (!s && writes && c->tokenizer) s = sc_copy_tokenizer(c->tokenizer, dir, NULL);
    if (!s && writes && c->alphabet && c->alphabet->tokenizer) {
        s = write_text(dir, "tokenizer.json", c->alphabet->tokenizer);
        if (!s) s = write_text(dir, "tokenizer_config.json", c->alphabet->config);
    }
    if (!s && writes && !has_adapters(c)) s = write_config(c, dir);
    if (has_averages(c)) s = write_kept(c, AVERAGES, dir, s);
    s = write_kept(c, MOMENTS, dir, s);
    if (!s && writes && c->objective->save) s = c->objective->save(c->self, dir);
    return !s && writes ? sc_checkpoint_seal(dir, c->state) : s;
}

sc_status sc_checkpoint_write(const sc_checkpoint *c, const char *out, int64_t step, int64_t keep, int64_t every)
{
    char *made = NULL;
    sc_status s = c->first ? sc_checkpoint_begin(out, step, &made) : SC_OK;
    s = s && !c->shards ? s : write_all(c, made, s);
    if (made) {
        if (!s) s = sc_checkpoint_end(out, made, step, keep, every);
        if (s) sc_checkpoint_abandon(made);
    }
    sc_free(made);
    return s;
}

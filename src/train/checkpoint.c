/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint is a model directory with optimizer.safetensors and trainer_state.json. It is written under another name
 * and renamed when all of it is on the disk, so a checkpoint that is there is whole. */
#include "train/shards.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PREFIX "checkpoint-"
enum { MAX_STATE = 16 << 20 };

static sc_status write_weights(const sc_checkpoint *c, const char *path)
{
    sc_safetensors_writer *w;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < c->n; i++) {
        const sc_model_param *p = &c->model->param[i];
        s = sc_safetensors_writer_add(w, p->name, SC_F32, p->rank, p->dim, c->trained[i].value);
    }
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

/* One of the vectors of optimizer.safetensors: "exp_avg.model.embed_tokens.weight" and so on. */
typedef struct vector {
    char name[600];
    int64_t parameter, n;
    float *part; /* what this rank keeps of it; NULL: nothing */
} vector;

/* Moment j of parameter i; false: there are no more. */
static bool find_vector(const sc_checkpoint *c, int64_t i, int j, vector *out)
{
    sc_moment like[4], own[4];
    int n = sc_optimizer_moments_like(c->optimizer, &c->trained[i], like),
        kept = sc_optimizer_moments(c->optimizer, i, own);
    if (j >= n) return false;
    *out = (vector){.parameter = i, .n = like[j].n, .part = j < kept ? own[j].value : NULL};
    snprintf(out->name, sizeof out->name, "%s.%s", like[j].name, c->trained[i].name);
    return true;
}

#define EACH_VECTOR(c, v)                                                                                          \
    for (int64_t i_ = 0; i_ < (c)->n; i_++)                                                                        \
        for (int j_ = 0; find_vector(c, i_, j_, &(v)); j_++)

/* Memory for the largest vector, on rank 0 of several. */
static sc_status make_room(const sc_checkpoint *c, float **out)
{
    int64_t most = 1;
    vector v;
    *out = NULL;
    if (!c->shards || !c->first) return SC_OK;
    EACH_VECTOR(c, v) most = SC_MAX(most, v.n);
    *out = sc_malloc((size_t)most * sizeof **out);
    return *out ? SC_OK : sc_shards_abort(c->shards, sc_nomem());
}

static sc_status declare(const sc_checkpoint *c, sc_safetensors_writer *w)
{
    sc_status s = SC_OK;
    vector v;
    EACH_VECTOR(c, v)
    {
        if (!s) s = sc_safetensors_writer_add(w, v.name, SC_F32, 1, &v.n, c->shards ? NULL : v.part);
    }
    return s;
}

/* One after the other, as the writer takes them. Ranks go on to the end whatever happens to rank 0's file. */
static sc_status stream(const sc_checkpoint *c, sc_safetensors_writer *w, float *room, sc_status s)
{
    vector v;
    int64_t number = 0, turn;
    EACH_VECTOR(c, v)
    {
        sc_status met = sc_shards_gather(c->shards, v.parameter, v.part, room, v.n);
        if (met) return met;
        if (!s && w) s = sc_safetensors_writer_next(w, &turn);
        if (!s && w && turn != number++) s = sc_fail(SC_EINVAL, "'%s' is not the writer's next", v.name);
        if (!s && w) s = sc_safetensors_writer_write(w, room, v.n * (int64_t)sizeof *room);
    }
    return s;
}

/* path: on rank 0, or alone; s: what happened before. */
static sc_status write_moments(const sc_checkpoint *c, const char *path, sc_status s)
{
    sc_safetensors_writer *w = NULL;
    float *room;
    sc_status met = make_room(c, &room);
    if (met) return met;
    if (!s && path) s = sc_safetensors_writer_new(&w, path);
    if (!s && w) s = declare(c, w);
    if (c->shards) s = stream(c, s ? NULL : w, room, s);
    if (!s && w) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    sc_free(room);
    return s;
}

static sc_status read_vector(const sc_safetensors *st, const vector *v, const char *path, float *out)
{
    const sc_file_tensor *t;
    sc_status s = sc_safetensors_find(st, v->name, &t);
    if (s) return s;
    if (t->dtype != SC_F32 || t->bytes != v->n * 4)
        return sc_fail(SC_ESHAPE, "%s: '%s' does not fit the model", path, v->name);
    memcpy(out, t->data, (size_t)t->bytes);
    return SC_OK;
}

sc_status sc_checkpoint_read_optimizer(const sc_checkpoint *c, const char *dir)
{
    sc_safetensors *st = NULL;
    float *room;
    vector v;
    char *path = c->first ? sc_path_join(dir, "optimizer.safetensors") : NULL;
    sc_status s = make_room(c, &room);
    if (s) return s;
    s = !c->first ? SC_OK : path ? sc_safetensors_open(&st, path) : sc_nomem();
    EACH_VECTOR(c, v)
    {
        if (!s && st) s = read_vector(st, &v, path, room ? room : v.part);
        sc_status met = c->shards ? sc_shards_scatter(c->shards, v.parameter, v.part, room, v.n) : SC_OK;
        if (met) s = met;
    }
    sc_safetensors_free(st);
    sc_free(room);
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

sc_status sc_checkpoint_write_model(const sc_checkpoint *c, const char *dir)
{
    char *weights = sc_path_join(dir, "model.safetensors");
    sc_status s = weights ? sc_mkdirs(dir) : sc_nomem();
    if (!s) s = write_weights(c, weights);
    if (!s && c->tokenizer) s = sc_copy_tokenizer(c->tokenizer, dir, NULL);
    if (!s) s = write_config(c, dir);
    if (!s) s = write_json(dir, "trainer_state.json", c->state);
    sc_free(weights);
    return s;
}

/* ---- folders ---- */

/* STEP of "checkpoint-STEP"; -1: another name. */
static int64_t step_of(const char *name)
{
    char *end;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) return -1;
    const char *digits = name + strlen(PREFIX);
    if (*digits < '0' || *digits > '9') return -1;
    long long step = strtoll(digits, &end, 10);
    return *end ? -1 : step;
}

/* The least or greatest step of the checkpoints in a folder, and how many there are; -1: none. */
static int64_t find_step(const char *out, bool last, int64_t *count)
{
    int64_t best = -1;
    DIR *d = opendir(out);
    *count = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        int64_t step = step_of(e->d_name);
        if (step < 0) continue;
        ++*count;
        if (best < 0 || (last ? step > best : step < best)) best = step;
    }
    if (d) closedir(d);
    return best;
}

static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *path = e->d_name[0] == '.' ? NULL : sc_path_join(dir, e->d_name);
        if (path) unlink(path);
        sc_free(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

/* So that a rename is on the disk too. */
static void sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

sc_status sc_checkpoint_write(const sc_checkpoint *c, const char *out, int64_t step, int64_t keep)
{
    char name[64], *dir = NULL, *made = NULL, *moments = NULL;
    int64_t count;
    if (!c->first) return write_moments(c, NULL, SC_OK);
    snprintf(name, sizeof name, PREFIX "%lld", (long long)step);
    dir = sc_path_join(out, name);
    snprintf(name, sizeof name, "writing-%lld", (long long)step);
    made = sc_path_join(out, name);
    moments = made ? sc_path_join(made, "optimizer.safetensors") : NULL;
    sc_status s = dir && moments ? SC_OK : sc_nomem();
    bool there = !s && sc_path_exists(dir); /* one of the same step is the same */
    if (!s && !there) {
        remove_folder(made);
        s = sc_checkpoint_write_model(c, made);
    }
    if (!there || c->shards) s = write_moments(c, there ? NULL : moments, s);
    if (made && !there) {
        if (!s) sync_folder(made);
        if (!s && rename(made, dir) != 0) s = sc_fail(SC_EIO, "cannot rename %s: %s", made, strerror(errno));
        if (s) remove_folder(made);
        sync_folder(out);
    }
    for (int64_t first; !s && (first = find_step(out, false, &count)) >= 0 && count > keep;) {
        snprintf(name, sizeof name, PREFIX "%lld", (long long)first);
        char *old = sc_path_join(out, name);
        if (!old)
            s = sc_nomem();
        else
            remove_folder(old);
        bool stays = old && sc_path_exists(old);
        sc_free(old);
        if (stays) break;
    }
    sc_free(dir);
    sc_free(made);
    sc_free(moments);
    return s;
}

sc_status sc_checkpoint_last(const char *out, char **dir, json_t **state)
{
    int64_t count, step = find_step(out, true, &count);
    char name[64];
    if (step < 0) return sc_fail(SC_ENOTFOUND, "%s has no checkpoint to go on from", out);
    snprintf(name, sizeof name, PREFIX "%lld", (long long)step);
    *dir = sc_path_join(out, name);
    char *path = *dir ? sc_path_join(*dir, "trainer_state.json") : NULL;
    sc_status s = path ? sc_json_read(state, path, MAX_STATE) : sc_nomem();
    sc_free(path);
    if (s) {
        sc_free(*dir);
        *dir = NULL;
    }
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint is a model directory with optimizer.safetensors and trainer_state.json. It is written under another name
 * and renamed when all of it is on the disk, so a checkpoint that is there is whole. */
#include "train/train.h"

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
        const sc_trained *p = &c->trained[i];
        s = sc_safetensors_writer_add(w, p->name, SC_F32, p->rank, p->dim, p->value);
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

sc_status sc_checkpoint_read_optimizer(const sc_checkpoint *c, const char *dir)
{
    sc_safetensors *st = NULL;
    char *path = sc_path_join(dir, "optimizer.safetensors");
    sc_status s = path ? sc_safetensors_open(&st, path) : sc_nomem();
    for (int64_t i = 0; !s && i < c->n; i++) {
        sc_moment m[4];
        int k = sc_optimizer_moments(c->optimizer, i, m);
        for (int j = 0; !s && j < k; j++) {
            char name[600];
            const sc_file_tensor *t;
            snprintf(name, sizeof name, "%s.%s", m[j].name, c->trained[i].name);
            if ((s = sc_safetensors_find(st, name, &t))) break;
            if (t->dtype != SC_F32 || t->bytes != m[j].n * 4)
                s = sc_fail(SC_ESHAPE, "%s: '%s' does not fit the model", path, name);
            else
                memcpy(m[j].value, t->data, (size_t)t->bytes);
        }
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
    snprintf(name, sizeof name, PREFIX "%lld", (long long)step);
    dir = sc_path_join(out, name);
    snprintf(name, sizeof name, "writing-%lld", (long long)step);
    made = sc_path_join(out, name);
    moments = made ? sc_path_join(made, "optimizer.safetensors") : NULL;
    sc_status s = dir && moments ? SC_OK : sc_nomem();
    if (!s && !sc_path_exists(dir)) { /* one of the same step is the same */
        remove_folder(made);
        s = sc_checkpoint_write_model(c, made);
        if (!s) s = write_moments(c, moments);
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

/* SPDX-License-Identifier: Apache-2.0 */
/* What is trained beside a model, as the files of an adapter and back. In memory rows and columns may be in the order of the
 * model's file, and a table is turned; in the adapter's file all is as HuggingFace has it. */
#include "models/models.h"

/* Where element (r, c) in memory is in the file's tensor. */
static int64_t place(const sc_learnt *l, int64_t r, int64_t c)
{
    int64_t row = l->row ? l->row[r] : r, col = l->col ? l->col[c] : c;
    return l->turned ? col * l->rows + row : row * l->cols + col;
}

static sc_status write_config(const sc_adapters *a, const char *dir)
{
    char *text = json_dumps(a->config, JSON_INDENT(2)), *path = sc_path_join(dir, "adapter_config.json");
    sc_status s = text && path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    sc_free(path);
    return s;
}

static sc_status write_tensors(const sc_adapters *a, sc_safetensors_writer *w)
{
    float *room = NULL;
    int64_t most = 1, turn;
    sc_status s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < a->n_learnt; i++) {
        const sc_learnt *l = &a->learnt[i];
        most = SC_MAX(most, l->rows * l->cols);
        s = sc_safetensors_writer_add(w, l->file, SC_F32, l->rank, l->dim, NULL);
    }
    if (!s && !(room = sc_malloc((size_t)most * sizeof *room))) s = sc_nomem();
    while (!s && !(s = sc_safetensors_writer_next(w, &turn)) && turn >= 0) {
        const sc_learnt *l = &a->learnt[turn];
        const float *x = l->buffer->data;
        for (int64_t r = 0; r < l->rows; r++)
            for (int64_t c = 0; c < l->cols; c++) room[place(l, r, c)] = *x++;
        s = sc_safetensors_writer_write(w, room, l->rows * l->cols * (int64_t)sizeof *room);
    }
    sc_free(room);
    return s ? s : sc_safetensors_writer_finish(w);
}

sc_status sc_adapters_write(const sc_adapters *a, const char *dir)
{
    sc_safetensors_writer *w = NULL;
    char *path = sc_path_join(dir, "adapter_model.safetensors");
    sc_status s = path ? sc_safetensors_writer_new(&w, path) : sc_nomem();
    if (!s) s = write_tensors(a, w);
    sc_safetensors_writer_free(w);
    sc_free(path);
    return s ? s : write_config(a, dir);
}

static sc_status read_one(const sc_safetensors *st, const char *path, sc_learnt *l)
{
    const sc_file_tensor *t;
    int64_t n = l->rows * l->cols;
    sc_status s = sc_safetensors_find(st, l->file, &t);
    if (s) return s;
    bool fits = t->dtype == SC_F32 && t->rank == l->rank && t->bytes == n * (int64_t)sizeof(float);
    for (int i = 0; fits && i < l->rank; i++) fits = t->dim[i] == l->dim[i];
    if (!fits) return sc_fail(SC_ESHAPE, "%s: '%s' is not what is trained", path, l->file);
    float *x = l->buffer->data;
    for (int64_t r = 0; r < l->rows; r++)
        for (int64_t c = 0; c < l->cols; c++, x++) /* the file's values need not be aligned */
            memcpy(x, (const char *)t->data + place(l, r, c) * (int64_t)sizeof *x, sizeof *x);
    return SC_OK;
}

sc_status sc_adapters_read(sc_adapters *a, const char *dir)
{
    sc_safetensors *st = NULL;
    char *path = sc_path_join(dir, "adapter_model.safetensors");
    sc_status s = path ? sc_safetensors_open(&st, path) : sc_nomem();
    for (int64_t i = 0; !s && i < a->n_learnt; i++) s = read_one(st, path, &a->learnt[i]);
    sc_safetensors_free(st);
    sc_free(path);
    return s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is trained beside a model, as the files of an adapter and back. In memory rows and columns may be in the order of the
 * model's file, and a table is turned; in the adapter's file all is as HuggingFace has it. */
#include "models/models.h"

static int64_t elements(const sc_learnt *l)
{
    int64_t n = 1;
    for (int i = 0; i < l->rank; i++) n *= l->dim[i];
    return n;
}

/* Where element (r, c) in memory is in the file's tensor. */
static int64_t place(const sc_learnt *l, int64_t r, int64_t c)
{
    int64_t row = l->row ? l->row[r] : r, col = l->col ? l->col[c] : c;
    if (l->turned) return col * l->rows + row;
    return row * (l->rank > 1 ? elements(l) / l->dim[0] : l->cols) + l->at + col;
}

static sc_status write_config(const sc_adapters *a, const char *dir)
{
    char *text = json_dumps(a->config, JSON_INDENT(2)), *path = sc_path_join(dir, "adapter_config.json");
    sc_status s = text && path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    sc_free(path);
    return s;
}

/* All that are of the same tensor of the file, in a room for it. */
static void gather(const sc_adapters *a, int64_t first, float *room)
{
    for (int64_t i = first; i < a->n_learnt && strcmp(a->learnt[i].file, a->learnt[first].file) == 0; i++) {
        const sc_learnt *l = &a->learnt[i];
        const float *x = l->value;
        for (int64_t r = 0; r < l->rows; r++)
            for (int64_t c = 0; c < l->cols; c++) room[place(l, r, c)] = *x++ - l->add;
    }
}

static bool is_first(const sc_adapters *a, int64_t i)
{
    return !i || strcmp(a->learnt[i].file, a->learnt[i - 1].file);
}

static sc_status write_tensors(const sc_adapters *a, sc_safetensors_writer *w)
{
    float *room = NULL;
    int64_t most = 1, turn;
    sc_status s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < a->n_learnt; i++) {
        const sc_learnt *l = &a->learnt[i];
        most = SC_MAX(most, elements(l));
        if (is_first(a, i)) s = sc_safetensors_writer_add(w, l->file, SC_F32, l->rank, l->dim, NULL);
    }
    if (!s && !(room = sc_malloc((size_t)most * sizeof *room))) s = sc_nomem();
    for (int64_t i = 0; !s && i < a->n_learnt; i++) {
        if (!is_first(a, i)) continue;
        s = sc_safetensors_writer_next(w, &turn);
        gather(a, i, room);
        if (!s) s = sc_safetensors_writer_write(w, room, elements(&a->learnt[i]) * (int64_t)sizeof *room);
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
    int64_t n = elements(l);
    sc_status s = sc_safetensors_find(st, l->file, &t);
    if (s) return s;
    bool fits = t->dtype == SC_F32 && t->rank == l->rank && t->bytes == n * (int64_t)sizeof(float);
    for (int i = 0; fits && i < l->rank; i++) fits = t->dim[i] == l->dim[i];
    if (!fits) return sc_fail(SC_ESHAPE, "%s: '%s' is not what is trained", path, l->file);
    float *x = l->value;
    for (int64_t r = 0; r < l->rows; r++)
        for (int64_t c = 0; c < l->cols; c++, x++) { /* the file's values need not be aligned */
            memcpy(x, (const char *)t->data + place(l, r, c) * (int64_t)sizeof *x, sizeof *x);
            *x += l->add;
        }
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

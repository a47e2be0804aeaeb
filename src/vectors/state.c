/* SPDX-License-Identifier: Apache-2.0 */
/* Where a training was stopped: a line of JSON, then both tables as they are in memory. */
#include "vectors/learn.h"

#include <stdlib.h>

enum { LONGEST_HEADER = 64 << 10 };

static int64_t table_bytes(const sc_tables *t, int64_t rows) { return rows * t->stride * (int64_t)sizeof(float); }

sc_status sc_state_save(const sc_word_learner *a)
{
    const sc_tables *t = a->t;
    sc_writer *w = NULL;
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "settings", a->o->settings, "next",
                          (json_int_t)atomic_load(&a->next), "words", (json_int_t)atomic_load(&a->words), "in",
                          (json_int_t)t->n_in, "out", (json_int_t)t->n_out, "stride", (json_int_t)t->stride);
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text) return sc_nomem();
    sc_status s = sc_writer_open(&w, a->o->state);
    if (!s) s = sc_writer_write(w, text, (int64_t)strlen(text));
    if (!s) s = sc_writer_write(w, "\n", 1);
    if (!s) s = sc_writer_write(w, t->in, table_bytes(t, t->n_in));
    if (!s) s = sc_writer_write(w, t->out, table_bytes(t, t->n_out));
    if (!s) s = sc_writer_commit(w);
    sc_writer_close(w);
    free(text);
    return s;
}

static sc_status take(sc_word_learner *a, const sc_buffer *file, const json_t *o, const char *tables)
{
    const sc_tables *t = a->t;
    const char *settings = NULL, *name = a->o->state;
    int64_t next = 0, words = 0, in = 0, out = 0, stride = 0;
    sc_status s = sc_json_str(o, name, "settings", &settings);
    if (!s) s = sc_json_int(o, name, "next", 0, INT64_MAX, &next);
    if (!s) s = sc_json_int(o, name, "words", 0, INT64_MAX, &words);
    if (!s) s = sc_json_int(o, name, "in", 0, INT64_MAX, &in);
    if (!s) s = sc_json_int(o, name, "out", 0, INT64_MAX, &out);
    if (!s) s = sc_json_int(o, name, "stride", 0, INT64_MAX, &stride);
    if (s) return s;
    if (!settings || strcmp(settings, a->o->settings) != 0 || in != t->n_in || out != t->n_out ||
        stride != t->stride || next > a->units)
        return sc_fail(SC_EINVAL,
                       "%s: is of a training with other settings or another text; remove it to begin anew", name);
    int64_t need = table_bytes(t, in) + table_bytes(t, out);
    if ((const char *)file->data + file->size - tables != need)
        return sc_fail(SC_EFORMAT, "%s: has not the size that its first line says", name);
    memcpy(t->in, tables, (size_t)table_bytes(t, in));
    memcpy(t->out, tables + table_bytes(t, in), (size_t)table_bytes(t, out));
    atomic_store(&a->next, next);
    atomic_store(&a->words, words);
    return SC_OK;
}

sc_status sc_state_load(sc_word_learner *a, bool *found)
{
    sc_buffer *file = NULL;
    json_t *o = NULL;
    *found = false;
    if (!sc_path_exists(a->o->state)) return SC_OK;
    sc_status s = sc_file_map(&file, a->o->state);
    if (s) return s;
    const char *p = file->data,
               *end = file->size ? memchr(p, '\n', (size_t)SC_MIN(file->size, LONGEST_HEADER)) : NULL;
    if (!end)
        s = sc_fail(SC_EFORMAT, "%s: no state of a training", a->o->state);
    else
        s = sc_json_parse(&o, p, end - p, a->o->state);
    if (!s) s = take(a, file, o, end + 1);
    *found = !s;
    json_decref(o);
    sc_buffer_unref(file);
    return s;
}

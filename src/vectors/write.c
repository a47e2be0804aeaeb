/* SPDX-License-Identifier: Apache-2.0 */
/* Word vectors into the files that their users know. */
#include "vectors/vectors.h"

static sc_status put_binary(sc_writer *w, const float *x, int64_t width, sc_str *line)
{
    sc_str_putc(line, ' ');
    sc_str_append(line, (const char *)x, width * (int64_t)sizeof *x);
    sc_str_putc(line, '\n');
    return line->oom ? sc_nomem() : sc_writer_write(w, line->p, line->len);
}

static sc_status put_text(sc_writer *w, const float *x, int64_t width, sc_str *line)
{
    for (int64_t k = 0; k < width; k++) sc_str_printf(line, " %.9g", (double)x[k]);
    sc_str_putc(line, '\n');
    return line->oom ? sc_nomem() : sc_writer_write(w, line->p, line->len);
}

sc_status sc_vectors_write(const char *path, sc_vectors_format format, const sc_vectors_table *t)
{
    sc_writer *w = NULL;
    sc_str line = {0};
    sc_status s = sc_writer_open(&w, path);
    if (s) return s;
    if (format != SC_VECTORS_GLOVE_TEXT) {
        sc_str_printf(&line, "%lld %lld\n", (long long)t->n, (long long)t->width);
        s = line.oom ? sc_nomem() : sc_writer_write(w, line.p, line.len);
    }
    for (int64_t i = 0; !s && i < t->n; i++) {
        const float *x = t->row + i * t->stride;
        line.len = 0;
        sc_str_append(&line, t->word[i].p, t->word[i].len);
        s = (format == SC_VECTORS_BINARY ? put_binary : put_text)(w, x, t->width, &line);
    }
    if (!s) s = sc_writer_commit(w);
    sc_writer_close(w);
    sc_str_free(&line);
    return s;
}

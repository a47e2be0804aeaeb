/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a model's matrices, dense or quantised. */
#include "vectors/fasttext.h"

enum { CHOICES = 256 };

/* The centroid that part s of a row uses; *n of its numbers. */
static const sc_ft_float *part(const sc_ft_matrix *m, const uint8_t *code, int32_t s, int32_t *n)
{
    const sc_ft_float *all = m->centroids + (int64_t)s * CHOICES * m->sub;
    *n = s + 1 == m->subs ? m->last : m->sub;
    return all + (int64_t)code[s] * *n;
}

static float length(const sc_ft_matrix *m, int64_t row) { return m->norms ? m->norm_choices[m->norms[row]] : 1; }

void sc_ft_add_row(const sc_ft_matrix *m, int64_t row, float *x)
{
    if (m->data) {
        const sc_ft_float *r = m->data + row * m->stride;
        for (int64_t i = 0; i < m->width; i++) x[i] += r[i];
        return;
    }
    const uint8_t *code = m->codes + row * m->subs;
    float scale = length(m, row);
    for (int32_t s = 0; s < m->subs; s++) {
        int32_t n;
        const sc_ft_float *c = part(m, code, s, &n);
        for (int32_t i = 0; i < n; i++) *x++ += scale * c[i];
    }
}

float sc_ft_dot(const sc_ft_matrix *m, int64_t row, const float *x)
{
    float sum = 0;
    if (m->data) {
        const sc_ft_float *r = m->data + row * m->stride;
        for (int64_t i = 0; i < m->width; i++) sum += x[i] * r[i];
        return sum;
    }
    const uint8_t *code = m->codes + row * m->subs;
    for (int32_t s = 0; s < m->subs; s++) {
        int32_t n;
        const sc_ft_float *c = part(m, code, s, &n);
        for (int32_t i = 0; i < n; i++) sum += *x++ * c[i];
    }
    return sum * length(m, row);
}

void sc_ft_prefetch(const sc_ft_matrix *m, int64_t row)
{
    const char *p = m->data ? (const char *)(m->data + row * m->stride) : (const char *)(m->codes + row * m->subs);
    int64_t bytes = m->data ? m->width * (int64_t)sizeof(float) : m->subs;
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
}

sc_status sc_ft_matrix_new(sc_ft_matrix *m, float **data, int64_t rows, int64_t width)
{
    int64_t bytes;
    if (!sc_mul_ok(rows, width * (int64_t)sizeof(float), &bytes) || bytes > sc_memory_size())
        return sc_fail(SC_ELIMIT, "%lld vectors of %lld numbers would take more than this machine's memory",
                       (long long)rows, (long long)width);
    if (!(*data = sc_malloc((size_t)bytes))) return sc_nomem();
    *m = (sc_ft_matrix){.rows = rows, .width = width, .stride = width, .data = *data, .own = {*data}};
    return SC_OK;
}

void sc_ft_matrix_free(sc_ft_matrix *m)
{
    for (int i = 0; i < SC_COUNT(m->own); i++) sc_free(m->own[i]);
    *m = (sc_ft_matrix){0};
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a table as f32, one a task. */
#include "cpu/cpu.h"

static const char *refuse(const sc_step *s)
{
    const sc_tensor *table = s->in[0];
    const sc_dtype_info *d = sc_dtype_get(table->dtype);
    if (table->dtype != SC_F32 && table->dtype != SC_F16 && table->dtype != SC_BF16 && d->block == 1)
        return "an integer table";
    if (!sc_rows_dense(table)) return "a table stored by columns";
    return table->shape.dim[1] % d->block ? "a table whose rows are not whole blocks" : NULL;
}

static int64_t tasks(const sc_step *s) { return s->out->shape.dim[0]; }

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const sc_tensor *table = s->in[0];
    const sc_dtype_info *d = sc_dtype_get(table->dtype);
    const int32_t *ids = s->in_data[1];
    int64_t rows = table->shape.dim[0], c = table->shape.dim[1], stride = table->stride[0] / d->block * d->bytes;
    for (int64_t t = begin; t < end; t++) {
        float *y = (float *)s->out_data + t * c;
        if (s->in[2] && ids[t] >= rows && ids[t] - rows < s->in[2]->shape.dim[0]) {
            memcpy(y, (const float *)s->in_data[2] + (ids[t] - rows) * c, sizeof *y * (size_t)c);
            continue;
        }
        if (ids[t] < 0 || ids[t] >= rows)
            return sc_fail(SC_ELIMIT, "id %d at place %lld is outside the table of %lld rows ('%s')", ids[t],
                           (long long)t, (long long)rows, table->name);
        const char *row = (const char *)s->in_data[0] + ids[t] * stride;
        if (table->dtype == SC_F32)
            memcpy(y, row, sizeof *y * (size_t)c);
        else
            k->dequantize[table->dtype](row, y, c);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_rows = {.refuse = refuse, .tasks = tasks, .run = run};

/* ---- rows_grad: some columns a task, the tokens in order, so that no two threads add to one row ---- */

enum { COLUMNS = 64 };

static int64_t grad_tasks(const sc_step *s) { return sc_tasks_of(s->out->shape.dim[1], COLUMNS); }

static sc_status grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int32_t *ids = s->in_data[1];
    int64_t rows = s->out->shape.dim[0], c = s->out->shape.dim[1], tokens = s->in[1]->shape.dim[0];
    int64_t still = SC_ATTR(s, sc_rows_attr)->still;
    int64_t at = begin * COLUMNS, n = SC_MIN(end * COLUMNS, c) - at;
    float *y = (float *)s->out_data + at;
    const float *dy = (const float *)s->in_data[0] + at;
    const float *known = s->n_in > 2 ? (const float *)s->in_data[2] + at : NULL;
    for (int64_t r = 0; r < rows && known != y; r++) {
        if (known)
            memcpy(y + r * c, known + r * c, sizeof *y * (size_t)n);
        else
            memset(y + r * c, 0, sizeof *y * (size_t)n);
    }
    for (int64_t t = 0; t < tokens; t++)
        if (ids[t] >= 0 && ids[t] < rows && ids[t] != still) k->add(n, y + ids[t] * c, dy + t * c, y + ids[t] * c);
    return SC_OK;
}

const sc_cpu_op sc_cpu_rows_grad = {.tasks = grad_tasks, .run = grad_run};

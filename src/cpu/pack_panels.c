/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of activations as panels (kernels.def, pack_panel). Panel i lies where its first row would in (T, C). */
#include "cpu/cpu.h"

enum { GRAIN = 64 << 10, MOST_ROWS = 32 }; /* values of a task; rows of a panel */

static int64_t rows(const sc_step *s) { return s->out->shape.dim[0]; }
static int64_t width(const sc_step *s) { return s->in[0]->shape.dim[s->in[0]->shape.rank - 1]; }

static int64_t tasks(const sc_step *s)
{
    return SC_MAX(SC_MIN(sc_tensor_count(s->out) / GRAIN, rows(s) / MOST_ROWS), rows(s) > 0);
}

/* The first panel of a task; of the one after the last: how many there are. */
static int64_t first_panel(const sc_step *s, const sc_kernels *k, int64_t task)
{
    return sc_panel_count(rows(s), k) * task / tasks(s);
}

static bool turned(const sc_tensor *x) { return x->shape.rank == 2 && x->stride[1] != 1 && x->shape.dim[1] != 1; }

typedef typeof(((sc_kernels *)0)->pack_panel) pack_kernel;

/* unit: values of x in one float of a panel */
static sc_status pack(const sc_step *s, const sc_kernels *k, pack_kernel f, int unit, int64_t begin, int64_t end)
{
    const sc_tensor *x = s->in[0];
    int64_t c = width(s), ld = s->out->shape.dim[1] / unit, count = sc_panel_count(rows(s), k);
    int64_t along_n = x->shape.rank == 2 ? x->stride[0] : c, along_k = turned(x) ? x->stride[1] : 1;
    for (int64_t i = first_panel(s, k, begin); i < first_panel(s, k, end); i++) {
        int64_t at = sc_panel_begin(rows(s), count, i), n = sc_panel_begin(rows(s), count, i + 1) - at;
        f(n, c, (const float *)s->in_data[0] + at * along_n, along_n, along_k, (float *)s->out_data + at * ld, n);
    }
    return SC_OK;
}

/* For the other side: panels of k->panel_cols, the last one filled up with zeros. */
static int64_t tasks_w(const sc_step *s) { return s->out->shape.dim[0] / MOST_ROWS; }

static sc_status pack_w(const sc_step *s, pack_kernel f, int cols, int unit, int64_t begin, int64_t end)
{
    const sc_tensor *w = s->in[0];
    int64_t n = w->shape.dim[0], c = w->shape.dim[1], ld = s->out->shape.dim[1] / unit;
    for (int64_t i = begin * MOST_ROWS; i < end * MOST_ROWS; i += cols)
        f(SC_MAX(SC_MIN(cols, n - i), 0), c, (const float *)s->in_data[0] + SC_MIN(i, n - 1) * w->stride[0],
          w->stride[0], w->stride[1], (float *)s->out_data + i * ld, cols);
    return SC_OK;
}

#define PACK(name, kernel, unit)                                                                                   \
    static sc_status run_##name(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)  \
    {                                                                                                              \
        (void)scratch;                                                                                             \
        return pack(s, k, k->kernel, unit, begin, end);                                                            \
    }
#define PACK_W(name, kernel, unit)                                                                                 \
    static sc_status run_##name(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)  \
    {                                                                                                              \
        (void)scratch;                                                                                             \
        return pack_w(s, k->kernel, k->panel_cols, unit, begin, end);                                              \
    }
PACK(panels, pack_panel, 1)
PACK(ordered, pack_ordered, 1)
PACK(ordered_bf16, pack_ordered_bf16, 2)
PACK_W(ordered_w, pack_ordered, 1)
PACK_W(ordered_w_bf16, pack_ordered_bf16, 2)

const sc_cpu_op sc_cpu_pack_panels = {.tasks = tasks, .run = run_panels};
const sc_cpu_op sc_cpu_pack_ordered = {.tasks = tasks, .run = run_ordered};
const sc_cpu_op sc_cpu_pack_ordered_w = {.tasks = tasks_w, .run = run_ordered_w};
const sc_cpu_op sc_cpu_pack_ordered_w_bf16 = {.tasks = tasks_w, .run = run_ordered_w_bf16};
const sc_cpu_op sc_cpu_pack_ordered_bf16 = {.tasks = tasks, .run = run_ordered_bf16};

/* As bf16: the panel's rows rounded, and one row gathered from a column. */
static int64_t scratch_bf16(const sc_step *s)
{
    return MOST_ROWS * s->out->shape.dim[1] * (int64_t)sizeof(uint16_t) + width(s) * (int64_t)sizeof(float);
}

static sc_status run_bf16(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_tensor *x = s->in[0];
    int64_t c = width(s), ld = s->out->shape.dim[1] / 2, count = sc_panel_count(rows(s), k); /* ld: pairs */
    float *pairs = scratch, *gathered = pairs + MOST_ROWS * ld;
    for (int64_t i = first_panel(s, k, begin); i < first_panel(s, k, end); i++) {
        int64_t at = sc_panel_begin(rows(s), count, i), n = sc_panel_begin(rows(s), count, i + 1) - at;
        for (int64_t r = 0; r < n; r++) {
            const float *row = (const float *)s->in_data[0] + (at + r) * (x->shape.rank == 2 ? x->stride[0] : c);
            if (turned(x)) {
                for (int64_t l = 0; l < c; l++) gathered[l] = row[l * x->stride[1]];
                row = gathered;
            }
            k->quantize[SC_BF16](row, pairs + r * ld, c);
        }
        k->pack_panel(n, c / 2, pairs, ld, 1, (float *)s->out_data + at * ld, n);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_pack_panels_bf16 = {.tasks = tasks, .scratch = scratch_bf16, .run = run_bf16};

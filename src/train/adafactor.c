/* SPDX-License-Identifier: Apache-2.0 */
/* Adafactor: the second moment of a matrix as an outer product of means over its rows and columns. */
#include "train/optimizer.h"

#include <float.h>
#include <math.h>

static void squares_piece(const sc_update *u, int64_t i)
{
    u->o->part[i] = sc_sum_squares(u->room + i * SC_PIECE, sc_piece_end(u, i) - i * SC_PIECE);
}

/* Of the parameter's n values at u->room, their root mean square. */
static double rms(const sc_update *u)
{
    double sum = 0;
    int64_t n = sc_update_pieces(u);
    sc_update_run(u, n, squares_piece);
    for (int64_t i = 0; i < n; i++) sum += u->o->part[i];
    return sqrt(sum / (double)SC_MAX(u->s->n, 1));
}

/* ---- moments ---- */

static void vector_piece(const sc_update *u, int64_t index)
{
    float *v = u->s->v;
    for (int64_t i = index * SC_PIECE, end = sc_piece_end(u, index); i < end; i++) {
        double g = u->g[i] * u->scale;
        v[i] += (float)((g * g - v[i]) * u->factor);
    }
}

/* Rows are gone through once, in blocks whose number their count alone decides: what a block's rows give each column is
 * kept apart until all are there. */
static int64_t block_rows(const sc_update *u) { return (u->s->p.rows + SC_ROW_BLOCKS - 1) / SC_ROW_BLOCKS; }

static void rows_piece(const sc_update *u, int64_t block)
{
    int64_t rows = u->s->p.rows, cols = u->s->p.cols, many = block_rows(u);
    double *restrict column = u->o->columns + block * cols, scale = u->scale * u->scale;
    memset(column, 0, (size_t)cols * sizeof *column);
    for (int64_t r = block * many; r < SC_MIN((block + 1) * many, rows); r++) {
        const float *restrict g = u->g + r * cols;
        for (int64_t c = 0; c < cols; c++) column[c] += (double)g[c] * g[c];
        float *m = &u->s->m[r];
        *m += (float)((sc_sum_squares(g, cols) * scale / (double)cols - *m) * u->factor);
    }
}

enum { STRIP = 256 };

static void columns_piece(const sc_update *u, int64_t index)
{
    int64_t rows = u->s->p.rows, cols = u->s->p.cols, end = SC_MIN((index + 1) * STRIP, cols);
    int64_t blocks = (rows + block_rows(u) - 1) / block_rows(u);
    double sum[STRIP] = {0}, scale = u->scale * u->scale / (double)rows;
    for (int64_t b = 0; b < blocks; b++)
        for (int64_t c = index * STRIP; c < end; c++) sum[c - index * STRIP] += u->o->columns[b * cols + c];
    for (int64_t c = index * STRIP; c < end; c++) {
        float *v = &u->s->v[c];
        *v += (float)((sum[c - index * STRIP] * scale - *v) * u->factor);
    }
}

static void take_moments(sc_update *u)
{
    u->factor = pow(u->step, u->o->o.beta2_decay); /* the part that is new */
    if (!u->s->n_m) {
        sc_update_run(u, sc_update_pieces(u), vector_piece);
        return;
    }
    sc_update_run(u, (u->s->p.rows + block_rows(u) - 1) / block_rows(u), rows_piece);
    sc_update_run(u, (u->s->p.cols + STRIP - 1) / STRIP, columns_piece);
}

/* ---- the update ---- */

static void update_piece(const sc_update *u, int64_t index)
{
    const sc_slot *s = u->s;
    const float least = FLT_EPSILON * FLT_EPSILON, scale = (float)u->scale;
    int64_t i = index * SC_PIECE, end = sc_piece_end(u, index);
    for (int64_t stop; i < end; i = stop) { /* a row, or what of it is in this piece */
        int64_t row = s->n_m ? i / s->p.cols : 0, first = s->n_m ? row * s->p.cols : 0;
        stop = s->n_m ? SC_MIN(end, first + s->p.cols) : end;
        float of_row = s->n_m ? (float)(s->m[row] * u->factor) : 1;
        const float *v = s->v + (s->n_m ? i - first : i), *g = u->g + i;
        float *to = u->room + i;
        for (int64_t k = 0; k < stop - i; k++) to[k] = g[k] * scale / sqrtf(SC_MAX(of_row * v[k], least));
    }
}

static void apply_piece(const sc_update *u, int64_t index)
{
    float keep = (float)(1 - u->lr * u->s->weight_decay), f = (float)u->factor;
    float *restrict p = u->s->p.value;
    const float *restrict room = u->room;
    for (int64_t i = index * SC_PIECE, end = sc_piece_end(u, index); i < end; i++) p[i] = p[i] * keep - f * room[i];
}

void sc_adafactor_update(sc_update *u)
{
    const sc_optimizer_options *o = &u->o->o;
    sc_slot *s = u->s;
    take_moments(u);
    u->room = s->p.value;
    double mean = 0, size = SC_MAX(o->eps, rms(u)) * SC_MIN(u->lr, 1 / sqrt(u->step));
    for (int64_t r = 0; r < s->n_m; r++) mean += s->m[r] / (double)s->p.rows;
    u->factor = 1 / SC_MAX(mean, (double)FLT_EPSILON);
    u->room = u->g;
    sc_update_run(u, sc_update_pieces(u), update_piece);
    u->factor = size / SC_MAX(1, rms(u) / o->clip);
    sc_update_run(u, sc_update_pieces(u), apply_piece);
}

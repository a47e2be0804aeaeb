/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions that have keys and queries of their own. A task is a head and a block of neighbouring
 * tokens. For a block and a tile of keys the distances are fewer than twice a tile's places, and their buckets are
 * neighbouring rows of the position tables, so only those rows are multiplied. Every score is one sum of whole products and
 * a query's softmax runs over its whole sequence, so the cut into blocks and tiles leaves no trace.
 *
 * disentangled_grad: a task is a head and a group of sequences; it goes through the same blocks, whose weights are made
 * again. What the scores of a block and a tile get is added up by distance first, so that the position tables, too, take
 * part in products of matrices alone. */
#include "cpu/cpu.h"

#include <math.h>

enum { BLOCK = 64, SPAN = 2 * BLOCK };

static int64_t blocks(const sc_step *s) { return sc_tasks_of(s->in[0]->shape.dim[0], BLOCK); }
static int64_t tasks(const sc_step *s) { return blocks(s) * s->in[0]->shape.dim[1]; }

/* Rows of the position tables that a block and a tile need at most: one for each distance, but where so many buckets are
 * squeezed into so short a range that some distances skip one. */
static int64_t width(const sc_step *s)
{
    const sc_disentangled_attr *a = SC_ATTR(s, sc_disentangled_attr);
    const sc_tensor *rows = s->in[4] ? s->in[4] : s->in[5];
    if (!rows || a->buckets == 0 || a->farthest - 1 >= 3 * (a->buckets / 2)) return SPAN;
    return SC_MAX(rows->shape.dim[0], SPAN);
}

static int64_t scratch(const sc_step *s)
{
    return (BLOCK * s->in[0]->shape.dim[0] + 2 * BLOCK * width(s)) * (int64_t)sizeof(float);
}

/* The row of the position tables for a key `distance` places before the query. */
static int64_t row_of(const sc_disentangled_attr *a, int64_t half, int64_t distance)
{
    int64_t far = distance < 0 ? -distance : distance, mid = a->buckets / 2, bucket = far;
    if (a->buckets > 0 && far > mid)
        bucket = (int64_t)ceilf(logf((float)far / (float)mid) /
                                logf((float)((double)(a->farthest - 1) / (double)mid)) * (float)(mid - 1)) +
                 mid;
    int64_t row = half + (distance < 0 ? -bucket : bucket);
    return SC_MAX(SC_MIN(row, 2 * half - 1), 0);
}

/* The rows of the position tables for n queries from `first` on and m keys from `key` on, both counted in the sequence:
 * place[i], i < n + m - 1, is that of the i-th distance, from the smallest on, counted from the row *low. Returns how many
 * rows they span. */
static int64_t places(const sc_step *s, int64_t first, int64_t n, int64_t key, int64_t m, int64_t *low,
                      int64_t place[SPAN])
{
    const sc_disentangled_attr *a = SC_ATTR(s, sc_disentangled_attr);
    const sc_tensor *rows = s->in[4] ? s->in[4] : s->in[5];
    int64_t half = rows->shape.dim[0] / 2, nearest = first - (key + m - 1);
    *low = row_of(a, half, nearest);
    for (int64_t i = 0; i < n + m - 1; i++) place[i] = row_of(a, half, nearest + i) - *low;
    return place[n + m - 2] + 1;
}

/* Rows of a head from `row` on. */
static const float *head_rows(const sc_step *s, int which, int64_t row, int64_t head)
{
    return (const float *)s->in_data[which] + row * s->in[which]->stride[0] + head * s->in[which]->stride[1];
}

/* The position terms of n queries and m keys, into score. */
static void add_positions(const sc_step *s, const sc_kernels *kn, const float *q, const float *k, int64_t head,
                          int64_t first, int64_t n, int64_t key, int64_t m, float *score, int64_t ld, float *room)
{
    int64_t d = s->in[0]->shape.dim[2], place[SPAN], low, count = places(s, first, n, key, m, &low, place),
            ldp = width(s);
    float *by_query = room, *by_key = room + BLOCK * ldp;
    const sc_tensor *pk = s->in[4], *pq = s->in[5];
    if (pk)
        kn->matmul_nt(n, count, d, q, s->in[0]->stride[0], head_rows(s, 4, low, head), pk->stride[0], by_query,
                      ldp);
    if (pq)
        kn->matmul_nt(m, count, d, k, s->in[1]->stride[0], head_rows(s, 5, low, head), pq->stride[0], by_key, ldp);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            int64_t at = place[i - j + m - 1];
            if (pk) score[i * ld + j] += by_query[i * ldp + at];
            if (pq) score[i * ld + j] += by_key[j * ldp + at];
        }
}

/* The weights of tokens first .. first + n of the sequence that begins at `start` and has `length` tokens: (n, length). */
static void soften(const sc_step *s, const sc_kernels *kn, int64_t head, int64_t start, int64_t length,
                   int64_t first, int64_t n, float *score, float *room)
{
    const float *q = head_rows(s, 0, start + first, head), *k = head_rows(s, 1, start, head);
    int64_t ldq = s->in[0]->stride[0], ldk = s->in[1]->stride[0];
    for (int64_t j = 0; j < length; j += BLOCK) {
        int64_t m = SC_MIN(length - j, BLOCK);
        kn->matmul_nt(n, m, s->in[0]->shape.dim[2], q, ldq, k + j * ldk, ldk, score + j, length);
        if (s->in[4] || s->in[5])
            add_positions(s, kn, q, k + j * ldk, head, first, n, j, m, score + j, length, room);
    }
    for (int64_t i = 0; i < n; i++) {
        float *row = score + i * length;
        kn->scale(length, row, SC_ATTR(s, sc_disentangled_attr)->scale, row);
        float sum = kn->exp_sum(length, row, kn->max(length, row), row);
        kn->scale(length, row, 1 / sum, row);
    }
}

static void attend(const sc_step *s, const sc_kernels *kn, int64_t head, int64_t start, int64_t length,
                   int64_t first, int64_t n, float *room)
{
    int64_t d = s->in[0]->shape.dim[2], out = s->in[0]->shape.dim[1] * d;
    float *score = room + 2 * BLOCK * width(s), *y = (float *)s->out_data + (start + first) * out + head * d;
    soften(s, kn, head, start, length, first, n, score, room);
    for (int64_t i = 0; i < n; i++) memset(y + i * out, 0, sizeof *y * (size_t)d);
    kn->matmul_nn_acc(n, d, length, score, length, head_rows(s, 2, start, head), s->in[2]->stride[0], y, out);
}

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *room)
{
    const int32_t *start = s->in_data[3];
    int64_t tokens = s->in[0]->shape.dim[0], heads = s->in[0]->shape.dim[1], sequences = s->in[3]->shape.dim[0] - 1;
    for (int64_t task = begin; task < end; task++) {
        int64_t first = task / heads * BLOCK, stop = SC_MIN(first + BLOCK, tokens);
        for (int64_t seq = 0; seq < sequences; seq++) {
            int64_t from = SC_MAX(first, start[seq]), to = SC_MIN(stop, start[seq + 1]);
            if (from < to)
                attend(s, kn, task % heads, start[seq], start[seq + 1] - start[seq], from - start[seq], to - from,
                       room);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_disentangled = {.tasks = tasks, .scratch = scratch, .run = run};

/* ---- disentangled_grad ---- */

/* What a task writes, of its head: rows `ld` apart. */
typedef struct result {
    float *dq, *dk, *dv, *dpos_key, *dpos_query;
    int64_t ld;
} result;

/* A thread's room. */
typedef struct room {
    float *p, *ds;            /* (BLOCK, length) */
    float *by_query, *by_key; /* (BLOCK, width): also what add_positions needs */
} room;

static int64_t grad_groups(const sc_step *s) { return SC_MIN(s->in[3]->shape.dim[0] - 1, SC_DISENTANGLED_GROUPS); }

static int64_t grad_tasks(const sc_step *s) { return grad_groups(s) * s->in[0]->shape.dim[1]; }

static int64_t grad_scratch(const sc_step *s)
{
    return 2 * BLOCK * (s->in[0]->shape.dim[0] + width(s)) * (int64_t)sizeof(float);
}

static result result_of(const sc_step *s, int64_t group, int64_t head)
{
    int64_t d = s->in[0]->shape.dim[2], n = sc_tensor_count(s->in[0]);
    float *at = (float *)s->out_data + 3 * n;
    result r = {.dq = (float *)s->out_data + head * d, .ld = s->in[0]->shape.dim[1] * d};
    r.dk = r.dq + n;
    r.dv = r.dk + n;
    for (int i = 4; i < 6; i++) {
        if (!s->in[i]) continue;
        int64_t rows = s->in[i]->shape.dim[0], each = sc_tensor_count(s->in[i]);
        float *to = at + group * each + head * d;
        for (int64_t j = 0; j < rows; j++) memset(to + j * r.ld, 0, sizeof *to * (size_t)d);
        if (i == 4)
            r.dpos_key = to;
        else
            r.dpos_query = to;
        at += grad_groups(s) * each;
    }
    return r;
}

/* One of the two position terms of a block and a tile: by (rows, count) is what its products got; x the rows' own q or k,
 * table the position rows. dx += by table; dtable += by^T x. */
static void position_gradient(const sc_kernels *kn, int64_t rows, int64_t count, int64_t d, const float *by,
                              int64_t ldp, const float *x, int64_t ldx, const float *table, int64_t ldt, float *dx,
                              float *dtable, int64_t ld)
{
    kn->matmul_nn_acc(rows, d, count, by, ldp, table, ldt, dx, ld);
    kn->matmul_tn_acc(count, d, rows, by, ldp, x, ldx, dtable, ld);
}

/* n queries from `first` on and m keys from `key` on; ds: what the scores of the pairs get. */
static void add_position_gradients(const sc_step *s, const sc_kernels *kn, const room *m, const result *to,
                                   int64_t head, int64_t start, int64_t first, int64_t n, int64_t key, int64_t keys,
                                   const float *ds, int64_t ld)
{
    int64_t d = s->in[0]->shape.dim[2], place[SPAN], low, count = places(s, first, n, key, keys, &low, place),
            ldp = width(s), queries_at = start + first, keys_at = start + key;
    const sc_tensor *pk = s->in[4], *pq = s->in[5];
    for (int64_t i = 0; i < n; i++) memset(m->by_query + i * ldp, 0, sizeof *m->by_query * (size_t)count);
    for (int64_t j = 0; j < keys; j++) memset(m->by_key + j * ldp, 0, sizeof *m->by_key * (size_t)count);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < keys; j++) {
            int64_t at = place[i - j + keys - 1];
            m->by_query[i * ldp + at] += ds[i * ld + j];
            m->by_key[j * ldp + at] += ds[i * ld + j];
        }
    if (pk)
        position_gradient(kn, n, count, d, m->by_query, ldp, head_rows(s, 0, queries_at, head), s->in[0]->stride[0],
                          head_rows(s, 4, low, head), pk->stride[0], to->dq + queries_at * to->ld,
                          to->dpos_key + low * to->ld, to->ld);
    if (pq)
        position_gradient(kn, keys, count, d, m->by_key, ldp, head_rows(s, 1, keys_at, head), s->in[1]->stride[0],
                          head_rows(s, 5, low, head), pq->stride[0], to->dk + keys_at * to->ld,
                          to->dpos_query + low * to->ld, to->ld);
}

static void block_gradient(const sc_step *s, const sc_kernels *kn, const room *m, const result *to, int64_t head,
                           int64_t start, int64_t length, int64_t first, int64_t n)
{
    int64_t d = s->in[0]->shape.dim[2], ld = to->ld, at = start + first;
    const float *q = head_rows(s, 0, at, head), *dy = (const float *)s->in_data[6] + at * ld + head * d;
    soften(s, kn, head, start, length, first, n, m->p, m->by_query);
    kn->matmul_nt(n, length, d, dy, ld, head_rows(s, 2, start, head), s->in[2]->stride[0], m->ds, length);
    kn->matmul_tn_acc(length, d, n, m->p, length, dy, ld, to->dv + start * ld, ld);
    for (int64_t i = 0; i < n; i++) {
        float *p = m->p + i * length, *ds = m->ds + i * length, sum = kn->dot(length, p, ds);
        for (int64_t j = 0; j < length; j++) ds[j] = p[j] * (ds[j] - sum);
        kn->scale(length, ds, SC_ATTR(s, sc_disentangled_attr)->scale, ds);
    }
    kn->matmul_nn_acc(n, d, length, m->ds, length, head_rows(s, 1, start, head), s->in[1]->stride[0],
                      to->dq + at * ld, ld);
    kn->matmul_tn_acc(length, d, n, m->ds, length, q, s->in[0]->stride[0], to->dk + start * ld, ld);
    for (int64_t j = 0; (s->in[4] || s->in[5]) && j < length; j += BLOCK)
        add_position_gradients(s, kn, m, to, head, start, first, n, j, SC_MIN(length - j, BLOCK), m->ds + j,
                               length);
}

static sc_status grad_run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *scratch_room)
{
    const int32_t *start = s->in_data[3];
    int64_t tokens = s->in[0]->shape.dim[0], heads = s->in[0]->shape.dim[1], d = s->in[0]->shape.dim[2],
            sequences = s->in[3]->shape.dim[0] - 1, groups = grad_groups(s), rows = width(s);
    room m = {.by_query = scratch_room};
    m.by_key = m.by_query + BLOCK * rows;
    m.p = m.by_key + BLOCK * rows;
    m.ds = m.p + BLOCK * tokens;
    for (int64_t task = begin; task < end; task++) {
        int64_t group = task / heads, head = task % heads;
        result to = result_of(s, group, head);
        for (int64_t seq = group * sequences / groups; seq < (group + 1) * sequences / groups; seq++) {
            int64_t length = start[seq + 1] - start[seq];
            for (int64_t i = start[seq]; i < start[seq + 1]; i++) {
                memset(to.dq + i * to.ld, 0, sizeof *to.dq * (size_t)d);
                memset(to.dk + i * to.ld, 0, sizeof *to.dk * (size_t)d);
                memset(to.dv + i * to.ld, 0, sizeof *to.dv * (size_t)d);
            }
            for (int64_t at = 0; at < length; at += BLOCK)
                block_gradient(s, kn, &m, &to, head, start[seq], length, at, SC_MIN(length - at, BLOCK));
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_disentangled_grad = {.tasks = grad_tasks, .scratch = grad_scratch, .run = grad_run};

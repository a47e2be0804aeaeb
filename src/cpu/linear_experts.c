/* SPDX-License-Identifier: Apache-2.0 */
/* y[t, i] = w[experts[t, i]] x + bias. Pairs of token and expert are grouped by expert, so that each matrix is read once
 * for all its tokens, and one that nobody chose not at all. Which experts there are is known only when it runs, how many
 * groups there can be follows from the shapes: no more than pairs, and no more than experts. A task is one of so many
 * groups times a block of its matrix's rows, and does nothing where its group is not there. */
#include "cpu/cpu.h"

enum { GATHER_BYTES = 512 << 10 }; /* of x's rows that are brought together: they should stay in the second cache */

typedef struct geometry {
    int64_t tokens, used, experts, n, c; /* T, K, E, N, C */
    int64_t pairs, groups;
    int64_t block;        /* rows of a task */
    int64_t gathered;     /* rows of x at a time */
    bool packed, own;     /* x is packed; each pair has its own x */
    int64_t ldx, x_bytes; /* of a row of x: elements or blocks, bytes */
} geometry;

/* The matrix of one expert. */
static sc_cpu_matrix matrix(const sc_step *s, int64_t expert)
{
    const sc_tensor *w = s->in[1], *root = w->view_of ? w->view_of : w;
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    const void *const *part = root->storage.part;
    const void *data = part ? (const char *)part[expert] + w->view_start / d->block * d->bytes
                            : (const char *)s->in_data[1] + expert * (w->stride[0] / d->block * d->bytes);
    int64_t apart = sc_rows_dense(w) || sc_is_contiguous(w) ? 1 : w->stride[2];
    return (sc_cpu_matrix){w->dtype, data, w->shape.dim[2], {w->stride[1], apart}, NULL};
}

static geometry measure(const sc_step *s)
{
    const sc_tensor *x = s->in[0], *w = s->in[1];
    geometry g = {.tokens = s->out->shape.dim[0],
                  .used = s->out->shape.dim[1],
                  .experts = w->shape.dim[0],
                  .n = w->shape.dim[1],
                  .c = w->shape.dim[2],
                  .packed = x->dtype == SC_U8};
    sc_cpu_matrix first = matrix(s, 0);
    g.pairs = g.tokens * g.used;
    g.groups = SC_MIN(g.pairs, g.experts);
    g.block = sc_cpu_matrix_rows(&first, g.packed);
    g.ldx = g.packed ? g.c / SC_PACKED : g.c;
    g.x_bytes = g.ldx * (g.packed ? (int64_t)sizeof(sc_packed) : (int64_t)sizeof(float));
    g.own = g.packed ? x->shape.dim[0] == g.pairs && g.used > 1 : x->shape.rank == 3;
    g.gathered = SC_MAX(SC_MIN(GATHER_BYTES / SC_MAX(g.x_bytes, 1), 256), 16);
    g.gathered = SC_MIN(g.gathered, SC_MAX(g.pairs, 1));
    return g;
}

static const sc_op *lower(const sc_step *s, const sc_kernels *k, int i)
{
    sc_cpu_matrix w = matrix(s, 0);
    return i == 0 && s->in[0]->dtype == SC_F32 && sc_cpu_matrix_packed(&w, k) ? &sc_op_pack_rows : NULL;
}

/* Stacks that lie evenly, as one weight; each expert's rows begin where a panel of the kernels' layout can. */
static bool weight(const sc_step *s, const sc_kernels *k, sc_cpu_weight *out)
{
    enum { PANEL = 32 };
    const sc_tensor *w = s->in[1], *root = w->view_of ? w->view_of : w;
    int64_t n = w->shape.dim[1];
    *out = (sc_cpu_weight){matrix(s, 0), w->shape.dim[0] * n, root->storage.buffer};
    return s->in[0]->dtype == SC_U8 && k->interleave[w->dtype] && root->leaf == SC_PARAM && out->buffer &&
           !root->storage.part && n % PANEL == 0 && w->stride[0] == n * w->stride[1];
}

static const char *refuse(const sc_step *s)
{
    sc_cpu_matrix w = matrix(s, 0);
    return sc_cpu_matrix_refuse(&w);
}

static int64_t tasks(const sc_step *s)
{
    geometry g = measure(s);
    return g.groups * sc_tasks_of(g.n, g.block);
}

/* A thread's room. */
typedef struct room {
    float *rows;   /* of the matrix as f32 */
    void *x;       /* (gathered) rows of x */
    float *y;      /* (gathered, block) */
    int32_t *pair; /* those of the group */
} room;

static int64_t aligned(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

static room lay_out(const sc_step *s, const geometry *g, void *p, int64_t *bytes)
{
    sc_cpu_matrix w = matrix(s, 0);
    int64_t rows = aligned(sc_cpu_matrix_scratch(&w, g->packed)), x = aligned(g->gathered * g->x_bytes),
            y = aligned(g->gathered * g->block * (int64_t)sizeof(float));
    char *at = p;
    *bytes = rows + x + y + aligned(g->pairs * (int64_t)sizeof(int32_t));
    return at ? (room){(float *)at, at + rows, (float *)(at + rows + x), (int32_t *)(at + rows + x + y)}
              : (room){0};
}

static int64_t scratch(const sc_step *s)
{
    geometry g = measure(s);
    int64_t bytes;
    lay_out(s, &g, NULL, &bytes);
    return bytes;
}

/* The expert of group `i` and its pairs; *n is 0 where the group is not there. With few pairs group i is that of pair i,
 * if no pair before it has the same expert; else it is that of expert i. */
static int64_t find_group(const geometry *g, const int32_t *experts, int64_t i, int32_t *pair, int64_t *n)
{
    int64_t expert = g->pairs <= g->experts ? experts[i] : i;
    *n = 0;
    for (int64_t p = 0; p < g->pairs; p++) {
        if (experts[p] != expert) continue;
        if (g->pairs <= g->experts && p < i) {
            *n = 0;
            return expert;
        }
        pair[(*n)++] = (int32_t)p;
    }
    return expert;
}

/* A group at work. */
typedef struct group {
    int64_t expert, count; /* pairs */
    sc_cpu_matrix w;
    int64_t have;  /* rows of the matrix that are in the room */
    bool gathered; /* all its rows of x are in the room */
} group;

static const char *x_of(const sc_step *s, const geometry *g, int64_t pair)
{
    return (const char *)s->in_data[0] + (g->own ? pair : pair / g->used) * g->x_bytes;
}

/* Rows `row` … of the group's matrix times the pairs first .. first + n. */
static void multiply(const sc_step *s, const sc_kernels *k, const geometry *g, const room *m, group *u, int64_t row,
                     int64_t rows, int64_t first, int64_t n)
{
    float *out = s->out_data;
    const float *bias = s->in_data[3];
    if (!s->in_data[2] || n == 1) { /* where they are, evenly spaced */
        int64_t pair = s->in_data[2] ? m->pair[first] : first * g->used + u->expert, apart = g->own ? g->used : 1;
        float *y = out + pair * g->n + row;
        sc_cpu_matrix_times(k, &u->w, row, rows, g->packed, n, x_of(s, g, pair), apart * g->ldx, y, g->used * g->n,
                            m->rows, &u->have);
        for (int64_t i = 0; i < n && bias; i++, y += g->used * g->n)
            k->add(rows, y, bias + u->expert * g->n + row, y);
        return;
    }
    for (int64_t i = 0; i < n && !u->gathered; i++)
        memcpy((char *)m->x + i * g->x_bytes, x_of(s, g, m->pair[first + i]), (size_t)g->x_bytes);
    u->gathered = n == u->count;
    sc_cpu_matrix_times(k, &u->w, row, rows, g->packed, n, m->x, g->ldx, m->y, rows, m->rows, &u->have);
    for (int64_t i = 0; i < n; i++) {
        float *y = out + m->pair[first + i] * g->n + row;
        if (bias)
            k->add(rows, m->y + i * rows, bias + u->expert * g->n + row, y);
        else
            memcpy(y, m->y + i * rows, sizeof *y * (size_t)rows);
    }
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch_room)
{
    geometry g = measure(s);
    const int32_t *experts = s->in_data[2];
    int64_t bytes, blocks = sc_tasks_of(g.n, g.block), at = -1;
    room m = lay_out(s, &g, scratch_room, &bytes);
    group u = {0};
    for (int64_t p = 0; experts && p < g.pairs; p++)
        if (experts[p] < 0 || experts[p] >= g.experts)
            return sc_fail(SC_ELIMIT, "expert %d of %lld", experts[p], (long long)g.experts);
    for (int64_t task = begin; task < end; task++) {
        int64_t row = task % blocks * g.block, rows = SC_MIN(g.block, g.n - row);
        if (task / blocks != at) {
            at = task / blocks;
            u = (group){.expert = at, .count = g.tokens, .have = -1};
            if (experts) u.expert = find_group(&g, experts, at, m.pair, &u.count);
            u.w = matrix(s, u.expert);
            if (s->own) u.w.own = (const char *)s->own + k->interleaved_bytes[u.w.dtype](u.expert * g.n, g.c);
        }
        if (g.packed && (u.count == 1 || !experts)) { /* neighbours in one go: the kernel fetches ahead */
            int64_t more = SC_MIN(end - task, blocks - task % blocks);
            rows = SC_MIN(g.block * more, g.n - row);
            task += more - 1;
        }
        for (int64_t i = 0; i < u.count; i += g.gathered)
            multiply(s, k, &g, &m, &u, row, rows, i, SC_MIN(g.gathered, u.count - i));
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_linear_experts = {
    .refuse = refuse, .lower = lower, .weight = weight, .tasks = tasks, .scratch = scratch, .run = run};

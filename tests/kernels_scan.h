/* SPDX-License-Identifier: Apache-2.0 */
/* Part of test_kernels.c: steps of recurrences. */

static void check_conv_taps(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 1; l < LENGTHS - 2; l++)
        for (int taps = 1; taps < 6; taps++) {
            int64_t n = lengths[l], ldw = n + random_below(3);
            block bw = normals(taps * ldw, 1, 1), bb = normals(n, 2, 1), by = floats(n, 3), br = floats(n, 0),
                  bx[6];
            const float *x[6];
            const float *w = bw.p, *bias = taps % 2 ? bb.p : NULL;
            for (int j = 0; j < taps; j++) bx[j] = normals(n, j % 4, 1), x[j] = bx[j].p;
            k->conv_taps(n, taps, x, w, ldw, bias, by.p);
            ref->conv_taps(n, taps, x, w, ldw, bias, br.p);
            for (int64_t i = 0; i < n; i++) {
                const float *one[6];
                float alone;
                check_near(((float *)by.p)[i], ((float *)br.p)[i], 2e-6 * taps, i, n);
                for (int j = 0; j < taps; j++) one[j] = x[j] + i;
                k->conv_taps(1, taps, one, w + i, ldw, bias ? bias + i : NULL, &alone);
                check_same(&alone, (float *)by.p + i, 1, "alone");
            }
            for (int j = 0; j < taps; j++) drop(bx[j]);
            drop(bw);
            drop(bb);
            drop(by);
            drop(br);
        }
}

enum { SELECTIVE, DECAY, DELTA };

static void one_step(const sc_kernels *k, int which, int64_t rows, int64_t n, const float *a, const float *dt,
                     const float *x, const float *b, const float *c, float *s, float *y)
{
    if (which == SELECTIVE) k->selective_step(rows, n, a, dt, x, b, c, s, y);
    if (which == DECAY) k->decay_step(rows, n, 0.7f, x, b, c, s, y);
    if (which == DELTA) k->delta_step(rows, n, 0.7f, 0.6f, b, c, x, s, y);
}

static void check_step(const sc_kernels *k, const sc_kernels *ref, int which)
{
    for (int l = 1; l < LENGTHS - 2; l++)
        for (int rows = 1; rows < 8; rows++) {
            int64_t n = lengths[l], all = rows * n;
            float small = 1 / sqrtf((float)n);
            block ba = normals(all, 1, 1), bd = normals(rows, 2, 0.5f), bx = normals(rows, 3, 1),
                  bb = normals(n, 1, small), bc = normals(n, 2, small), bs = normals(all, 3, 1),
                  br = floats(all, 0), before = floats(all, 1), by = floats(rows, 1), bw = floats(rows, 0);
            float *a = ba.p, *dt = bd.p, *x = bx.p, *s = bs.p, *y = by.p, *r = br.p, *old = before.p;
            for (int64_t i = 0; i < all; i++) a[i] = -fabsf(a[i]);
            for (int i = 0; i < rows; i++) dt[i] = fabsf(dt[i]);
            memcpy(r, s, bs.bytes);
            memcpy(old, s, bs.bytes);
            one_step(k, which, rows, n, a, dt, x, bb.p, bc.p, s, y);
            one_step(ref, which, rows, n, a, dt, x, bb.p, bc.p, r, bw.p);
            for (int64_t i = 0; i < all; i++) check_near(s[i], r[i], 4e-6, i, all);
            for (int i = 0; i < rows; i++) {
                float alone;
                check_near(y[i], ((float *)bw.p)[i], 1e-5, i, rows);
                one_step(k, which, 1, n, a + i * n, dt + i, x + i, bb.p, bc.p, old + i * n, &alone);
                check_same(&alone, y + i, 1, "alone");
            }
            check_same(old, s, all, "states alone");
            block *const blocks[] = {&ba, &bd, &bx, &bb, &bc, &bs, &br, &before, &by, &bw};
            for (int i = 0; i < (int)(sizeof blocks / sizeof *blocks); i++) drop(*blocks[i]);
        }
}

static void check_selective_step(const sc_kernels *k, const sc_kernels *ref) { check_step(k, ref, SELECTIVE); }
static void check_decay_step(const sc_kernels *k, const sc_kernels *ref) { check_step(k, ref, DECAY); }
static void check_delta_step(const sc_kernels *k, const sc_kernels *ref) { check_step(k, ref, DELTA); }

/* ---- the same going back ---- */

static void check_conv_taps_grad(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 1; l < LENGTHS - 2; l++)
        for (int taps = 1; taps < 6; taps++) {
            int64_t n = lengths[l], ldw = n + random_below(3);
            block bd = normals(n, 2, 1), by = normals(taps * ldw, 3, 1), br = floats(taps * ldw, 0), bx[6];
            const float *x[6];
            for (int j = 0; j < taps; j++) bx[j] = normals(n, j % 4, 1), x[j] = bx[j].p;
            memcpy(br.p, by.p, by.bytes);
            k->conv_taps_grad(n, taps, x, bd.p, by.p, ldw);
            ref->conv_taps_grad(n, taps, x, bd.p, br.p, ldw);
            for (int64_t i = 0; i < taps * ldw; i++) check_near(((float *)by.p)[i], ((float *)br.p)[i], 2e-6, i, n);
            for (int j = 0; j < taps; j++) drop(bx[j]);
            drop(bd);
            drop(by);
            drop(br);
        }
}

enum { IN = 9, OUT = 6, SUMS = 2 };

/* in: a, dt, x, b, c, before, after, dy, spare; out: ds, da, of rows twice, of columns twice. */
static void one_step_back(const sc_kernels *k, int which, int64_t rows, int64_t n, float *const *in,
                          float *const *out, float *sums)
{
    if (which == SELECTIVE)
        k->selective_step_grad(rows, n, in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], out[0], out[1],
                               out[2], out[3], out[4], out[5]);
    if (which == DECAY)
        k->decay_step_grad(rows, n, 0.7f, in[2], in[3], in[4], in[5], in[6], in[7], out[0], out[2], out[4], out[5],
                           &sums[0]);
    if (which == DELTA)
        k->delta_step_grad(rows, n, 0.7f, 0.6f, in[3], in[4], in[2], in[5], in[6], in[7], out[0], out[2], out[4],
                           out[5], &sums[0], &sums[1]);
}

static void check_step_grad(const sc_kernels *k, const sc_kernels *ref, int which)
{
    for (int l = 1; l < LENGTHS - 2; l++)
        for (int rows = 1; rows < 8; rows++) {
            int64_t n = lengths[l], all = rows * n, size[] = {all, rows, rows, n, n, all, all, rows, 1},
                    made[] = {all, all, rows, rows, n, n};
            float small = 1 / sqrtf((float)n), *in[IN], *got[OUT], *want[OUT], *one[OUT], sums[SUMS] = {0.5f, -1},
                  right[SUMS] = {0.5f, -1}, apart[SUMS] = {0};
            block bi[IN], bg[OUT], bw[OUT], bo[OUT];
            for (int i = 0; i < IN; i++)
                bi[i] = normals(size[i], i % 4, i == 3 || i == 4 ? small : 1), in[i] = bi[i].p;
            for (int64_t i = 0; i < all; i++) in[0][i] = -fabsf(in[0][i]);
            for (int i = 0; i < rows; i++) in[1][i] = fabsf(in[1][i]);
            for (int i = 0; i < OUT; i++) {
                bg[i] = normals(made[i], i % 3, 1), bw[i] = floats(made[i], 0), bo[i] = floats(made[i], 1);
                got[i] = bg[i].p, want[i] = bw[i].p, one[i] = bo[i].p;
                memcpy(want[i], got[i], bg[i].bytes);
                memcpy(one[i], got[i], bg[i].bytes);
            }
            one_step_back(k, which, rows, n, in, got, sums);
            one_step_back(ref, which, rows, n, in, want, right);
            for (int i = 0; i < OUT; i++)
                for (int64_t j = 0; j < made[i]; j++) check_near(got[i][j], want[i][j], 3e-5 * rows, j, made[i]);
            for (int i = 0; i < SUMS; i++) check_near(sums[i], right[i], 1e-4 * rows * sqrt((double)n), i, SUMS);
            for (int r = 0; r < rows; r++) { /* row by row: what is a row's own, and what is added up */
                float *of[] = {in[0] + r * n, in[1] + r,     in[2] + r,     in[3],
                               in[4],         in[5] + r * n, in[6] + r * n, in[7] + r},
                      *to[] = {one[0] + r * n, one[1] + r * n, one[2] + r, one[3] + r, one[4], one[5]};
                one_step_back(k, which, 1, n, of, to, apart);
            }
            for (int i = 0; i < OUT; i++) check_same(one[i], got[i], made[i], "alone");
            for (int i = 0; i < IN; i++) drop(bi[i]);
            for (int i = 0; i < OUT; i++) drop(bg[i]), drop(bw[i]), drop(bo[i]);
        }
}

static void check_selective_step_grad(const sc_kernels *k, const sc_kernels *ref)
{
    check_step_grad(k, ref, SELECTIVE);
}
static void check_decay_step_grad(const sc_kernels *k, const sc_kernels *ref) { check_step_grad(k, ref, DECAY); }
static void check_delta_step_grad(const sc_kernels *k, const sc_kernels *ref) { check_step_grad(k, ref, DELTA); }

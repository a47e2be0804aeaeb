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

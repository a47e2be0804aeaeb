/* SPDX-License-Identifier: Apache-2.0 */
/* Part of test_kernels.c: the kernels of gradients. */

static void each_unary_grad(const sc_kernels *k, int which, int64_t n, const float *a, const float *b, float *y)
{
    k->unary_grad[which](n, a, b, y);
}

static void check_unary_grad(const sc_kernels *k, const sc_kernels *ref, int which)
{
    static const float special[] = {0.0f, -0.0f, 1e-30f, -1e-30f, 0.625f, -0.625f,
                                    30,   -30,   87.5f,  -87.5f,  104,    -104.5f};
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        block bx = normals(n, 1, l % 3 ? 3 : 20), bd = normals(n, 3, 1), by = floats(n, 2), br = floats(n, 0);
        float *x = bx.p, *dy = bd.p, *y = by.p, *r = br.p;
        for (int64_t i = 0; i < n && i < (int)(sizeof special / sizeof *special); i++)
            if (l % 2) x[n - 1 - i] = special[i];
        k->unary_grad[which](n, x, dy, y);
        ref->unary_grad[which](n, x, dy, r);
        /* f' is a sum of terms of size 1, and of x times an exponential whose argument was rounded */
        for (int64_t i = 0; i < n; i++)
            check_near(y[i], r[i],
                       2e-6 * (fabs(r[i]) + fabs(dy[i]) * fmin(1, fabs(x[i]) * exp(-fabs(x[i]) / 2) + 1e-3)), i, n);
        check_each(k, each_unary_grad, which, n, x, dy, y);
        drop(bx);
        drop(bd);
        drop(by);
        drop(br);
    }
}

static void check_norm_grad(const sc_kernels *k, const sc_kernels *ref, bool layer)
{
    for (int l = 1; l < LENGTHS; l++)
        for (int form = 0; form < 4; form++) {
            int64_t n = lengths[l];
            block bx = normals(n, form, 2), bw = normals(n, 1, 1), bd = normals(n, 2, 1), by = floats(n, 3),
                  br = floats(n, 0);
            float *x = bx.p, *w = form & 1 ? bw.p : NULL, *dy = bd.p, *y = by.p, *r = br.p;
            for (int64_t i = 0; i < n; i++) x[i] += form & 2 ? 3 : 0;
            (layer ? k->layer_norm_grad : k->rms_norm_grad)(n, x, w, 1e-2f, dy, y);
            (layer ? ref->layer_norm_grad : ref->rms_norm_grad)(n, x, w, 1e-2f, dy, r);
            double mean = 0, var = 0, top = 0, far = 0;
            for (int64_t i = 0; i < n; i++) mean += layer ? x[i] / (double)n : 0;
            for (int64_t i = 0; i < n; i++) {
                var += (x[i] - mean) * (x[i] - mean) / (double)n;
                top += fabs(dy[i] * (w ? w[i] : 1)) / (double)n;
                far = fmax(far, fabs(x[i] - mean));
            }
            /* each of the three terms of the result is at most as large as this */
            double s = 1 / sqrt(var + 1e-2), offset = 1 + fabs(mean) * s;
            for (int64_t i = 0; i < n; i++)
                check_near(y[i], r[i],
                           sum_error(n) * offset * s *
                               (fabs(dy[i] * (w ? w[i] : 1)) + top + far * s * far * s * top),
                           i, n);
            memcpy(r, dy, bd.bytes);
            (layer ? k->layer_norm_grad : k->rms_norm_grad)(n, x, w, 1e-2f, r, r);
            check_same(r, y, n, "in place");
            drop(bx);
            drop(bw);
            drop(bd);
            drop(by);
            drop(br);
        }
}

static void check_rms_norm_grad(const sc_kernels *k, const sc_kernels *ref) { check_norm_grad(k, ref, false); }
static void check_layer_norm_grad(const sc_kernels *k, const sc_kernels *ref) { check_norm_grad(k, ref, true); }

static void check_dot(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        block ba = normals(n, 1, 2), bb = normals(n, 2, 2);
        double scale = 0;
        for (int64_t i = 0; i < n; i++) scale += fabs((double)((float *)ba.p)[i] * ((float *)bb.p)[i]);
        check_near(k->dot(n, ba.p, bb.p), ref->dot(n, ba.p, bb.p), sum_error(n) * scale, 0, 1);
        drop(ba);
        drop(bb);
    }
}

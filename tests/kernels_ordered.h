/* SPDX-License-Identifier: Apache-2.0 */
/* Part of test_kernels.c: panels and products that are summed along k from first to last. `half`: as bf16, two a slot. */

static void call_pack_ordered(const sc_kernels *k, bool half, int64_t n, int64_t len, const float *x,
                              int64_t along_n, int64_t along_k, float *y, int64_t width)
{
    (half ? k->pack_ordered_bf16 : k->pack_ordered)(n, len, x, along_n, along_k, y, width);
}

/* n rows of len values as a panel, stored by rows or by columns at any alignment; malloc's. */
static block ordered_panel(const sc_kernels *k, bool half, const float *x, int64_t n, int64_t len, int64_t ldx,
                           bool turned, int64_t width)
{
    int64_t ld = (turned ? n : len) + random_below(4);
    block b = make(turned ? len * ld : n * ld, 4, random_below(4) * 4),
          p = make((half ? (len + 1) / 2 : len) * width, 4, 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t l = 0; l < len; l++)
            memcpy((float *)b.p + (turned ? l * ld + i : i * ld + l), x + i * ldx + l, sizeof *x);
    call_pack_ordered(k, half, n, len, b.p, turned ? 1 : ld, turned ? ld : 1, p.p, width);
    drop(b);
    return p;
}

/* Every value at its place, zeros elsewhere. */
static void check_ordered_panel(const sc_kernels *k, const sc_kernels *ref, bool half, int n, int len, int width,
                                bool turned)
{
    block b = normals((int64_t)n * len, 0, 1), p = ordered_panel(k, half, b.p, n, len, len, turned, width);
    for (int l = 0; l < (half ? (len + 1) / 2 * 2 : len); l++)
        for (int i = 0; i < width; i++) {
            const float *x = (const float *)b.p + (int64_t)i * len + l;
            uint32_t want = i < n && l < len ? sc_float_bits(*x) : 0, got;
            if (half) {
                uint16_t rounded = 0;
                if (i < n && l < len) ref->quantize[SC_BF16](x, &rounded, 1);
                want = rounded;
                got = ((const uint16_t *)p.p)[((int64_t)(l / 2) * width + i) * 2 + l % 2];
            } else {
                got = ((const uint32_t *)p.p)[(int64_t)l * width + i];
            }
            CHECK(got == want, "step %d, slot %d of %d: %08x, not %08x", l, i, width, got, want);
        }
    drop(b);
    drop(p);
}

static void check_pack_ordered_as(const sc_kernels *k, const sc_kernels *ref, bool half)
{
    for (int round = 0; round < 120; round++) {
        int n = 1 + random_below(40), width = n + random_below(3),
            len = round % 3 ? random_below(70) : (int)lengths[round % LENGTHS];
        check_ordered_panel(k, ref, half, n, len, width, round & 1);
    }
}

static void check_pack_ordered(const sc_kernels *k, const sc_kernels *ref) { check_pack_ordered_as(k, ref, false); }
static void check_pack_ordered_bf16(const sc_kernels *k, const sc_kernels *ref)
{
    check_pack_ordered_as(k, ref, true);
}

static void call_multiply_ordered(const sc_kernels *k, bool half, int64_t rows, int64_t len, const float *x,
                                  const float *w, int64_t n, float *y, int64_t ldy, const float *bias,
                                  const float *residual)
{
    (half ? k->multiply_ordered_bf16 : k->multiply_ordered)(rows, len, x, w, n, y, ldy, bias, residual);
}

/* One element by itself, which must have the same bits. */
static float ordered_alone(const sc_kernels *k, bool half, int len, const float *x, const float *w,
                           const float *bias, const float *residual)
{
    block bx = ordered_panel(k, half, x, 1, len, len, false, 1),
          bw = ordered_panel(k, half, w, 1, len, len, true, k->panel_cols);
    float y;
    call_multiply_ordered(k, half, 1, len, bx.p, bw.p, 1, &y, 1, bias, residual);
    drop(bx);
    drop(bw);
    return y;
}

static void check_ordered_shape(const sc_kernels *k, const sc_kernels *ref, bool half, int rows, int n, int len)
{
    int ldy = n + random_below(4), form = random_below(8);
    block bx = normals((int64_t)rows * len, random_below(4), 1), bw = normals((int64_t)n * len, random_below(4), 1);
    block by = floats((int64_t)rows * ldy, random_below(4)), br = normals((int64_t)rows * ldy, 1, 1),
          bb = normals(n, 2, 1);
    float *x = bx.p, *w = bw.p, *y = by.p, *r = br.p, *bias = form & 1 ? bb.p : NULL, *residual = NULL;
    if (half) { /* what is multiplied */
        uint16_t h;
        for (int64_t i = 0; i < (int64_t)rows * len; i++)
            ref->quantize[SC_BF16](x + i, &h, 1), ref->dequantize[SC_BF16](&h, x + i, 1);
        for (int64_t i = 0; i < (int64_t)n * len; i++)
            ref->quantize[SC_BF16](w + i, &h, 1), ref->dequantize[SC_BF16](&h, w + i, 1);
    }
    if (form & 2) residual = r;
    if (residual && form & 4) { /* it may be y */
        for (int i = 0; i < rows; i++) memcpy(y + (int64_t)i * ldy, r + (int64_t)i * ldy, sizeof *y * (size_t)n);
        residual = y;
    }
    block px = ordered_panel(k, half, x, rows, len, len, random_below(2), rows),
          pw = ordered_panel(k, half, w, n, len, len, random_below(2), k->panel_cols);
    call_multiply_ordered(k, half, rows, len, px.p, pw.p, n, y, ldy, bias, residual);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < n; j++) {
            float want, *to = bias ? bias + j : NULL, *more = residual ? r + (int64_t)i * ldy + j : NULL;
            double scale = (to ? fabsf(*to) : 0) + (more ? fabsf(*more) : 0);
            for (int l = 0; l < len; l++) scale += fabs((double)x[i * len + l] * w[j * len + l]);
            ref->matmul_nt(1, 1, len, x + i * len, len, w + j * len, len, &want, 1);
            want += (to ? *to : 0) + (more ? *more : 0);
            check_near(y[(int64_t)i * ldy + j], want, (sum_error(len) + 2e-7) * scale, i * n + j, rows * n);
            float alone = ordered_alone(k, half, len, x + i * len, w + j * len, to, more);
            check_same(&y[(int64_t)i * ldy + j], &alone, 1, "alone");
        }
        for (int j = n; j < ldy; j++)
            CHECK(sc_float_bits(y[(int64_t)i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    drop(bx);
    drop(bw);
    drop(by);
    drop(br);
    drop(bb);
    drop(px);
    drop(pw);
}

static void check_multiply_ordered_as(const sc_kernels *k, const sc_kernels *ref, bool half)
{
    for (int rows = 1; rows <= k->panel_rows; rows++)
        for (int n = 1; n <= k->panel_cols; n += 1 + random_below(5))
            check_ordered_shape(k, ref, half, rows, n, random_below(40));
    for (int i = 0; i < LENGTHS; i++)
        check_ordered_shape(k, ref, half, 1 + random_below(k->panel_rows), 1 + random_below(k->panel_cols),
                            (int)lengths[i]);
}

static void check_multiply_ordered(const sc_kernels *k, const sc_kernels *ref)
{
    check_multiply_ordered_as(k, ref, false);
}
static void check_multiply_ordered_bf16(const sc_kernels *k, const sc_kernels *ref)
{
    check_multiply_ordered_as(k, ref, true);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Part of test_kernels.c: products from panels. */

/* n rows as a panel, from rows (`turned` false) or from columns, at any alignment; malloc's. */
static block panel_of(const sc_kernels *k, const float *x, int64_t n, int64_t len, int64_t ldx, bool turned,
                      int64_t width)
{
    int64_t ld = (turned ? n : len) + random_below(4);
    block b = make(turned ? len * ld : n * ld, 4, random_below(4) * 4),
          p = make((len + 15) / 16 * 16 * width, 4, 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t l = 0; l < len; l++)
            memcpy((float *)b.p + (turned ? l * ld + i : i * ld + l), x + i * ldx + l, sizeof *x);
    k->pack_panel(n, len, b.p, turned ? 1 : ld, turned ? ld : 1, p.p, width);
    drop(b);
    return p;
}

/* All panels, as the caller of the kernels does it. */
static void panels_product(const sc_kernels *k, bool pairs, int nx, int nw, int len, const float *x, const float *w,
                           float *y, int ldy, const float *bias, const float *residual)
{
    for (int j = 0; j < nw; j += k->panel_cols) {
        int n = nw - j < k->panel_cols ? nw - j : k->panel_cols;
        block bw = panel_of(k, w + (int64_t)j * len, n, len, len, random_below(2), k->panel_cols);
        for (int i = 0, rows; i < nx; i += rows) {
            rows = 1 + random_below(nx - i < k->panel_rows ? nx - i : k->panel_rows);
            block bx = panel_of(k, x + (int64_t)i * len, rows, len, len, random_below(2), rows);
            (pairs ? k->multiply_panels_bf16
                   : k->multiply_panels)(rows, len, bx.p, bw.p, n, y + (int64_t)i * ldy + j, ldy,
                                         bias ? bias + j : NULL, residual ? residual + (int64_t)i * ldy + j : NULL);
            drop(bx);
        }
        drop(bw);
    }
}

static void check_panels_shape(const sc_kernels *k, const sc_kernels *ref, int nx, int nw, int len)
{
    int ldy = nw + random_below(4), form = random_below(4);
    block bx = normals((int64_t)nx * len, 0, 1), bw = normals((int64_t)nw * len, 1, 1);
    block by = floats((int64_t)nx * ldy, random_below(4)), br = normals((int64_t)nx * ldy, 2, 1),
          bb = normals(nw, 3, 1);
    float *x = bx.p, *w = bw.p, *y = by.p, *bias = form & 1 ? bb.p : NULL, *residual = form & 2 ? br.p : NULL;
    panels_product(k, false, nx, nw, len, x, w, y, ldy, bias, residual);
    for (int i = 0; i < nx; i++) {
        for (int j = 0; j < nw; j++) {
            float want, plain;
            double scale = 0;
            for (int l = 0; l < len; l++) scale += fabs((double)x[i * len + l] * w[j * len + l]);
            ref->matmul_nt(1, 1, len, x + i * len, len, w + j * len, len, &want, 1);
            k->matmul_nt(1, 1, len, x + i * len, len, w + j * len, len, &plain, 1);
            check_near(plain, want, sum_error(len) * scale, i * nw + j, nx * nw);
            if (bias) plain += bias[j];
            if (residual) plain += residual[i * ldy + j];
            check_same(&y[i * ldy + j], &plain, 1, "not the bits of matmul_nt");
        }
        for (int j = nw; j < ldy; j++) CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    drop(bx);
    drop(bw);
    drop(by);
    drop(br);
    drop(bb);
}

static void check_multiply_panels(const sc_kernels *k, const sc_kernels *ref)
{
    for (int nx = 1; nx <= 30; nx++)
        for (int nw = 1; nw <= 70; nw += 1 + random_below(12)) check_panels_shape(k, ref, nx, nw, random_below(70));
    for (int i = 0; i < LENGTHS; i++)
        check_panels_shape(k, ref, 1 + random_below(16), 1 + random_below(50), lengths[i]);
}

/* Any bits, in any place of a panel, must come through: by multiplying rows of one 1 with them. */
static void check_pack_panel(const sc_kernels *k, const sc_kernels *ref)
{
    (void)ref;
    for (int round = 0; round < 60; round++) {
        int n = 1 + random_below(40), width = n + random_below(3),
            len = round % 3 ? random_below(70) : lengths[round % LENGTHS];
        block b = make((int64_t)n * len, 4, 0);
        for (int64_t i = 0; i < (int64_t)n * len; i++) ((uint32_t *)b.p)[i] = random_bits() | 1;
        block rows = panel_of(k, b.p, n, len, len, false, width), cols = panel_of(k, b.p, n, len, len, true, width);
        uint32_t *p = rows.p;
        int64_t filled = 0, zeros = 0, untouched = 0, all = (int64_t)(rows.bytes / 4);
        CHECK(!memcmp(rows.p, cols.p, rows.bytes), "rows and columns give different panels");
        for (int64_t i = 0; i < all; i++) {
            bool in_row = i % width < n;
            if (p[i] == 0xa5a5a5a5u && i >= all - 15 * width)
                untouched++; /* lengths are rounded up to vectors, which may be shorter */
            else if (in_row && p[i])
                filled++;
            else
                zeros += p[i] == 0;
        }
        CHECK(filled == (int64_t)n * len && filled + zeros + untouched == all, "%lld of %lld values in the panel",
              (long long)filled, (long long)n * len);
        drop(rows);
        drop(cols);
        drop(b);
    }
}

/* bf16 rows of w and f32 rows of x as they are rounded to it; what bf16 gives is the definition on those values, up to
 * the order of sums, and both kernels give the same bits. */
static void check_bf16_shape(const sc_kernels *k, const sc_kernels *ref, int nx, int nw, int pairs, bool panels)
{
    int len = 2 * pairs, ldw = len + random_below(5), ldy = nw + random_below(4), shift = random_below(4);
    block bx = normals((int64_t)nx * len, shift, 1), bw = make((int64_t)nw * ldw, 2, 2 * shift);
    block bf = floats((int64_t)nx * len, 0), bv = floats((int64_t)nw * len, 0),
          by = floats((int64_t)nx * ldy, 3 - shift);
    block bp = make((int64_t)nx * len, 2, 0), bq = make((int64_t)nw * len, 2, 0);
    float *x = bx.p, *rounded = bf.p, *values = bv.p, *y = by.p;
    if (len > 4) x[3] = 1e-40f; /* taken as zero by some machines: too small to matter */
    for (int j = 0; j < nw; j++) {
        uint16_t *row = (uint16_t *)bw.p + j * ldw;
        for (int l = 0; l < ldw; l++) row[l] = l < len ? (uint16_t)(sc_float_bits(random_normal()) >> 16) : 0x7fc0;
        ref->dequantize[SC_BF16](row, values + j * len, len);
        memcpy((uint16_t *)bq.p + j * len, row, (size_t)len * 2);
    }
    ref->quantize[SC_BF16](x, bp.p, (int64_t)nx * len);
    ref->dequantize[SC_BF16](bp.p, rounded, (int64_t)nx * len);
    if (panels)
        panels_product(k, true, nx, nw, pairs, bp.p, bq.p, y, ldy, NULL, NULL);
    else
        k->matmul_nt_bf16(nx, nw, len, x, len, bw.p, ldw * 2, y, ldy);
    for (int i = 0; i < nx; i++)
        for (int j = 0; j < nw; j++) {
            double scale = 1e-30;
            float want, alone;
            for (int l = 0; l < len; l++) scale += fabs((double)rounded[i * len + l] * values[j * len + l]);
            ref->matmul_nt(1, 1, len, rounded + i * len, len, values + j * len, len, &want, 1);
            check_near(y[i * ldy + j], want, sum_error(len) * scale, i * nw + j, nx * nw);
            k->matmul_nt_bf16(1, 1, len, x + i * len, len, (uint16_t *)bw.p + j * ldw, ldw * 2, &alone, 1);
            check_same(&alone, &y[i * ldy + j], 1, "alone");
        }
    drop(bx);
    drop(bw);
    drop(bf);
    drop(bv);
    drop(by);
    drop(bp);
    drop(bq);
}

static void check_bf16(const sc_kernels *k, const sc_kernels *ref, bool panels)
{
    for (int nx = 1; nx <= 20; nx++)
        for (int nw = 1; nw <= 70; nw += 1 + random_below(20))
            check_bf16_shape(k, ref, nx, nw, random_below(40), panels);
    for (int i = 0; i < LENGTHS; i++)
        check_bf16_shape(k, ref, 1 + random_below(9), 1 + random_below(40), lengths[i], panels);
}

static void check_multiply_panels_bf16(const sc_kernels *k, const sc_kernels *ref) { check_bf16(k, ref, true); }
static void check_matmul_nt_bf16(const sc_kernels *k, const sc_kernels *ref) { check_bf16(k, ref, false); }

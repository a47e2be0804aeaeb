/* SPDX-License-Identifier: Apache-2.0 */
/* Part of test_kernels.c: products of activations packed as whole numbers. */

/* Values as activations are, with the odd block of zeros, of tiny ones, or with a NaN or an infinity. */
static void activations(float *x, int64_t n, bool odd)
{
    for (int64_t b = 0; b < n; b += 32) {
        int kind = odd ? random_below(12) : 9;
        float scale = kind == 0 ? 0 : kind == 1 ? 1e-32f : kind == 2 ? 1e-20f : kind == 3 ? 1e30f : 1;
        for (int64_t i = b; i < b + 32; i++) x[i] = random_normal() * scale;
        if (kind == 4) x[b + random_below(32)] = NAN;
        if (kind == 5) x[b + random_below(32)] = -INFINITY;
        if (kind == 6)
            for (int64_t i = b; i < b + 32; i++) x[i] = i == b ? 127 : (float)random_below(254) - 126.5f; /* ties */
    }
}

static void check_pack_row(const sc_kernels *k, const sc_kernels *ref)
{
    for (int round = 0; round < 300; round++) {
        int64_t blocks = random_below(9), n = blocks * 32;
        block bx = floats(n, round % 4), by = make(blocks, sizeof(sc_packed), round % 3 * 4),
              br = make(blocks, sizeof(sc_packed), 0);
        activations(bx.p, n, true);
        k->pack_row(n, bx.p, by.p);
        ref->pack_row(n, bx.p, br.p);
        for (int64_t b = 0; b < blocks; b++) {
            const sc_packed *y = (sc_packed *)by.p + b, *r = (sc_packed *)br.p + b;
            CHECK(memcmp(y->q, r->q, sizeof y->q) == 0, "block %lld of %lld: other numbers", (long long)b,
                  (long long)blocks);
            CHECK(y->minus_sum == r->minus_sum && y->minus_half == r->minus_half, "sums");
            check_same(&y->scale, &r->scale, 1, "scale");
            check_same(&y->scaled_sum, &r->scaled_sum, 1, "scaled sum");
            /* what they stand for: within half a unit and the roundings of the scale */
            for (int i = 0; i < 32; i++) {
                float x = ((float *)bx.p)[b * 32 + i];
                CHECK(abs(y->q[i]) <= 127, "a number out of range");
                if (isfinite(r->scale))
                    check_near((float)y->q[i] * y->scale, x, 0.50002 * r->scale + SC_PACKED_LEAST, i, 32);
            }
        }
        drop(bx);
        drop(by);
        drop(br);
    }
}

static void check_packed_shape(const sc_kernels *k, const sc_kernels *ref, int t, int64_t nx, int64_t nw, int64_t n)
{
    const struct dtype *d = &dtypes[t];
    int64_t ldx = n / 32 + random_below(2), ldy = nw + random_below(4), bytes = n / d->block * d->bytes,
            stride = bytes + random_below(4);
    block bf = floats(nw * n, 0), bw = make(nw * stride, 1, random_below(5)), ba = floats(n, 0),
          bx = make(nx * ldx, sizeof(sc_packed), random_below(3) * 4), by = floats(nx * ldy, random_below(4)),
          br = floats(nx * ldy, 0);
    float *f = bf.p, *y = by.p, *r = br.p;
    sc_packed *x = bx.p;
    for (int64_t i = 0; i < nx; i++) {
        activations(ba.p, n, random_below(20) == 0);
        ref->pack_row(n, ba.p, x + i * ldx);
    }
    for (int64_t j = 0; j < nw; j++) {
        uint8_t *row = (uint8_t *)bw.p + j * stride;
        for (int64_t i = 0; i < n; i++) f[j * n + i] = random_normal();
        ref->quantize[t](f + j * n, row, n);
        ref->dequantize[t](row, f + j * n, n);
    }
    k->matmul_packed[t](nx, nw, n, x, ldx, bw.p, stride, y, ldy);
    ref->matmul_packed[t](nx, nw, n, x, ldx, bw.p, stride, r, ldy);
    for (int64_t i = 0; i < nx; i++) {
        for (int64_t j = 0; j < nw; j++) {
            /* A block's two terms, d q and m, may each be as large as three of its largest weight, and cancel. */
            double scale = 0;
            for (int64_t b = 0; b < n; b += 32) {
                const sc_packed *p = x + i * ldx + b / 32;
                double top = 0, sum = 0;
                for (int l = 0; l < 32; l++) {
                    top = fmax(top, fabs(f[j * n + b + l]));
                    sum += abs(p->q[l]);
                }
                scale += 6 * top * sum * (isfinite(p->scale) ? p->scale : 0);
            }
            check_near(y[i * ldy + j], r[i * ldy + j], sum_error(n / 16) * scale, i * nw + j, nx * nw);
        }
        for (int64_t j = nw; j < ldy; j++)
            CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    for (int tries = 0; tries < 8 && nx > 0 && nw > 0; tries++) { /* one alone, and a part */
        int64_t i = random_below((int)nx), j = random_below((int)nw), pi = 1 + random_below((int)(nx - i)),
                pj = tries ? 1 + random_below((int)(nw - j)) : 1;
        block bp = floats(pi * pj, 1);
        k->matmul_packed[t](pi, pj, n, x + i * ldx, ldx, (uint8_t *)bw.p + j * stride, stride, bp.p, pj);
        for (int64_t m = 0; m < pi; m++) check_same((float *)bp.p + m * pj, y + (i + m) * ldy + j, pj, "part");
        drop(bp);
    }
    drop(bf);
    drop(bw);
    drop(ba);
    drop(bx);
    drop(by);
    drop(br);
}

/* The sums within a block are exact and the rest is in one order, so where the weights' numbers and scales are whole
 * and small everything is exact. The largest numbers of either sign: no sum of 16 bits may overflow. */
static void check_packed_extremes(const sc_kernels *k, const sc_kernels *ref, int t)
{
    const struct dtype *d = &dtypes[t];
    for (int round = 0; round < 64; round++) {
        int64_t n = 256, bytes = n / d->block * d->bytes;
        block bw = make(bytes, 1, 0), bf = floats(n, 0);
        sc_packed x[8] = {{.scale = 1}};
        for (int64_t i = 0; i < bytes; i++)
            ((uint8_t *)bw.p)[i] = (uint8_t)(round % 4 == 0   ? 0xff
                                             : round % 4 == 1 ? 0
                                             : round % 4 == 2 ? 0x80
                                                              : random_bits());
        ref->dequantize[t](bw.p, bf.p, n);
        bool finite = true;
        double scale = 0;
        for (int b = 0; b < 8; b++) {
            int sum[2] = {0, 0};
            for (int i = 0; i < 32; i++) {
                x[b].q[i] = (int8_t)(round / 4 % 3 == 0   ? 127
                                     : round / 4 % 3 == 1 ? -127
                                                          : random_below(255) - 127);
                sum[i / 16] += x[b].q[i];
                finite = finite && fabs(((float *)bf.p)[b * 32 + i]) < 1e30; /* nor do sums overflow */
                scale += 127 * fabs(((float *)bf.p)[b * 32 + i]);
            }
            x[b].scale = 1;
            x[b].minus_sum = -sum[0] - sum[1];
            x[b].minus_half = -sum[0];
            x[b].scaled_sum = (float)(sum[0] + sum[1]);
        }
        float got, want;
        k->matmul_packed[t](1, 1, n, x, 8, bw.p, bytes, &got, 1);
        ref->matmul_packed[t](1, 1, n, x, 8, bw.p, bytes, &want, 1);
        /* random scales and minima cancel at will: 100 times the usual, still far below one overflow */
        if (finite) check_near(got, want, 100 * sum_error(16) * scale, 0, 1);
        drop(bw);
        drop(bf);
    }
}

static void check_matmul_packed(const sc_kernels *k, const sc_kernels *ref, int t)
{
    int block_size = dtypes[t].block;
    for (int64_t nx = 0; nx <= 19; nx++)
        for (int64_t nw = 0; nw <= 35; nw += 1 + random_below(9))
            check_packed_shape(k, ref, t, nx, nw, (int64_t)block_size * random_below(block_size == 32 ? 20 : 4));
    check_packed_shape(k, ref, t, 21, 37, 1280);
    check_packed_extremes(k, ref, t);
}

/* ---- rows in a layout of the level's own ---- */

/* nw random rows of a type, `stride` bytes apart. */
static block random_rows(const sc_kernels *ref, int t, int64_t nw, int64_t n, int64_t stride)
{
    block b = make(nw * stride, 1, random_below(5)), bf = floats(n, 0);
    for (int64_t j = 0; j < nw; j++) {
        for (int64_t i = 0; i < n; i++) ((float *)bf.p)[i] = random_normal();
        ref->quantize[t](bf.p, (uint8_t *)b.p + j * stride, n);
    }
    drop(bf);
    return b;
}

static void check_interleaved_shape(const sc_kernels *k, const sc_kernels *ref, int t, int64_t nx, int64_t nw,
                                    int64_t n)
{
    const struct dtype *d = &dtypes[t];
    int64_t ldx = n / 32 + random_below(2), ldy = nw + random_below(4),
            stride = n / d->block * d->bytes + 1 + random_below(4), whole = k->interleaved_bytes[t](nw, n);
    block bw = random_rows(ref, t, nw, n, stride), bi = lines(whole), ba = floats(n, 0),
          bx = make(nx * ldx, sizeof(sc_packed), random_below(3) * 4), by = floats(nx * ldy, random_below(4)),
          br = floats(nx * ldy, 0);
    sc_packed *x = bx.p;
    float *y = by.p, *r = br.p;
    for (int64_t i = 0; i < nx; i++) {
        activations(ba.p, n, random_below(20) == 0);
        ref->pack_row(n, ba.p, x + i * ldx);
    }
    k->interleave[t](nw, n, bw.p, stride, bi.p);
    k->matmul_interleaved[t](nx, nw, n, x, ldx, bi.p, y, ldy);
    k->matmul_packed[t](nx, nw, n, x, ldx, bw.p, stride, r, ldy);
    for (int64_t i = 0; i < nx; i++) {
        check_same(y + i * ldy, r + i * ldy, nw, "as from the stored rows");
        for (int64_t j = nw; j < ldy; j++)
            CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    for (int64_t j = 0; j < nw && nx > 0; j += 32) { /* a part of the rows, and of x */
        int64_t i = random_below((int)nx), pi = nx - i, pj = 1 + random_below((int)(nw - j));
        block bp = floats(pi * pj, 1);
        k->matmul_interleaved[t](pi, pj, n, x + i * ldx, ldx, (uint8_t *)bi.p + k->interleaved_bytes[t](j, n), bp.p,
                                 pj);
        for (int64_t m = 0; m < pi; m++) check_same((float *)bp.p + m * pj, y + (i + m) * ldy + j, pj, "part");
        drop(bp);
    }
    drop(bw);
    drop(bi);
    drop(ba);
    drop(bx);
    drop(by);
    drop(br);
}

static void check_matmul_interleaved(const sc_kernels *k, const sc_kernels *ref, int t)
{
    int block_size = dtypes[t].block;
    for (int64_t nx = 0; nx <= 19; nx++)
        for (int64_t nw = 0; nw <= 70; nw += 1 + random_below(18))
            check_interleaved_shape(k, ref, t, nx, nw,
                                    (int64_t)block_size * random_below(block_size == 32 ? 40 : 5));
    check_interleaved_shape(k, ref, t, 21, 37, 1280);
    check_interleaved_shape(k, ref, t, 150, 33, 2048); /* more of x than is kept in the cache at once */
}

/* In parts as at once, from any alignment; the bytes are checked by the products. */
static void check_interleave(const sc_kernels *k, const sc_kernels *ref, int t)
{
    for (int round = 0; round < 40; round++) {
        int64_t n = (int64_t)dtypes[t].block * (1 + random_below(5)), nw = 1 + random_below(100),
                stride = n / dtypes[t].block * dtypes[t].bytes + random_below(4);
        int64_t whole = k->interleaved_bytes[t](nw, n), cut = (int64_t)random_below((int)nw) / 32 * 32,
                head = k->interleaved_bytes[t](cut, n);
        block bw = random_rows(ref, t, nw, n, stride), at_once = lines(whole), in_parts = lines(whole);
        memset(at_once.p, 0, at_once.bytes); /* what fills up is not written */
        memset(in_parts.p, 0, in_parts.bytes);
        k->interleave[t](nw, n, bw.p, stride, at_once.p);
        k->interleave[t](nw - cut, n, (uint8_t *)bw.p + cut * stride, stride, (uint8_t *)in_parts.p + head);
        k->interleave[t](cut, n, bw.p, stride, in_parts.p);
        CHECK(memcmp(at_once.p, in_parts.p, at_once.bytes) == 0, "%lld rows in parts of %lld", (long long)nw,
              (long long)cut);
        drop(bw);
        drop(at_once);
        drop(in_parts);
    }
}

/* Whole cache lines, additive from multiples of 32 rows on, and hardly more than the stored rows. */
static void check_interleaved_bytes(const sc_kernels *k, const sc_kernels *ref, int t)
{
    (void)ref;
    for (int64_t n = 0; n <= 4096; n += dtypes[t].block)
        for (int64_t nw = 0; nw <= 96; nw += 32) {
            int64_t got = k->interleaved_bytes[t](nw, n), stored = nw * n / dtypes[t].block * dtypes[t].bytes;
            CHECK(got % 64 == 0 && got >= stored, "%lld bytes for %lld", (long long)got, (long long)stored);
            CHECK(n % 256 || got <= stored + stored * 3 / 100 + nw / 8 * 64, "%lld bytes for %lld", (long long)got,
                  (long long)stored);
            CHECK(k->interleaved_bytes[t](nw + 7, n) == got + k->interleaved_bytes[t](7, n), "in two parts");
        }
}

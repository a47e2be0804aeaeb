/* SPDX-License-Identifier: Apache-2.0 */
/* Products of a few rows with rows of a cache, f16, bf16 or q8_0, over the vocabularies of vector_math.h and
 * vector_convert.h: each vector is brought to f32 in a register once for all the rows, and then goes the way that it
 * goes in matmul_nt and matmul_nn_acc, so the bits are theirs. */

/* Vector p of the elements from `at`, which for q8_0 begins a block. */
VEC vf part_f16(const uint8_t *row, int64_t at, const int p) { return v_from_f16(row + 2 * (at + p * W)); }
VEC vf part_bf16(const uint8_t *row, int64_t at, const int p) { return v_from_bf16(row + 2 * (at + p * W)); }
VEC vf part_q8_0(const uint8_t *row, int64_t at, const int p)
{
    const int into = p * W;
    const uint8_t *b = row + (at / 32 + into / 32) * 34;
    return v_mul(v_part_s8(b_load(b + 2 + into % 32 / 16 * 16), p % (16 / W)), v_half(b));
}

enum { DOT_ROWS = TILE_X > 3 ? 4 : 3 };

/* clang-format off */

/* What is left of a row that is no whole vector: of 16-bit floats only. */
#define NO_REST(...)
#define DOT_REST(name)                                                                                             \
    if (l < k) {                                                                                                   \
        int n = (int)(k - l);                                                                                      \
        UNROLL for (int j = 0; j < cols; j++) {                                                                    \
            vf b = from_n_##name(w + j * stride + 2 * l, n);                                                       \
            UNROLL for (int i = 0; i < rows; i++)                                                                  \
                acc[i][j] = v_fma(v_load_n(x + i * ldx + l, n), b, acc[i][j]);                                     \
        }                                                                                                          \
    }
#define ADD_REST(name, rows)                                                                                             \
    if (d < n) {                                                                                                   \
        int left = (int)(n - d);                                                                                   \
        for (int i = 0; i < rows; i++) {                                                                           \
            vf acc = v_load_n(y + i * ldy + d, left);                                                              \
            for (int64_t j = 0; j < k; j++)                                                                        \
                acc = v_fma(v_set(p[i * ldp + j]), from_n_##name(v + j * stride + 2 * d, left), acc);              \
            v_store_n(y + i * ldy + d, acc, left);                                                                 \
        }                                                                                                          \
    }

/* step: elements that are taken at once, a whole number of vectors, and of blocks. */
#define ROW_TILES(name, step, dot_rest)                                                                            \
    VEC void dot_tile_##name(const int rows, const int cols, int64_t k, const float *x, int64_t ldx,               \
                             const uint8_t *w, int64_t stride, float *y, int64_t ldy)                              \
    {                                                                                                              \
        vf acc[4][4];                                                                                              \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < cols; j++) acc[i][j] = v_set(0);          \
        int64_t l = 0;                                                                                             \
        for (; l + (step) <= k; l += (step)) UNROLL for (int p = 0; p < (step) / W; p++) {                         \
            vf b[4];                                                                                               \
            UNROLL for (int j = 0; j < cols; j++) b[j] = part_##name(w + j * stride, l, p);                        \
            UNROLL for (int i = 0; i < rows; i++) {                                                                \
                vf a = v_load(x + i * ldx + l + p * W);                                                            \
                UNROLL for (int j = 0; j < cols; j++) acc[i][j] = v_fma(a, b[j], acc[i][j]);                       \
            }                                                                                                      \
        }                                                                                                          \
        dot_rest(name)                                                                                             \
        UNROLL for (int i = 0; i < rows; i++)                                                                      \
            if (cols == 4)                                                                                         \
                v_sum4(y + i * ldy, acc[i][0], acc[i][1], acc[i][2], acc[i][3]);                                   \
            else                                                                                                   \
                y[i * ldy] = v_sum(acc[i][0]);                                                                     \
    }                                                                                                              \
    VEC void add_tile_##name(const int rows, const int vectors, int64_t d, int64_t k, const float *p, int64_t ldp, \
                             const uint8_t *v, int64_t stride, float *y, int64_t ldy)                              \
    {                                                                                                              \
        vf acc[4][ACC_VECTORS > 32 / W ? ACC_VECTORS : 32 / W];                                                    \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < vectors; c++)                             \
            acc[i][c] = v_load(y + i * ldy + d + c * W);                                                           \
        for (int64_t j = 0; j < k; j++) {                                                                          \
            vf b[ACC_VECTORS > 32 / W ? ACC_VECTORS : 32 / W];                                                     \
            UNROLL for (int c = 0; c < vectors; c++) b[c] = part_##name(v + j * stride, d, c);                     \
            UNROLL for (int i = 0; i < rows; i++) {                                                                \
                vf a = v_set(p[i * ldp + j]);                                                                      \
                UNROLL for (int c = 0; c < vectors; c++) acc[i][c] = v_fma(a, b[c], acc[i][c]);                    \
            }                                                                                                      \
        }                                                                                                          \
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int c = 0; c < vectors; c++)                             \
            v_store(y + i * ldy + d + c * W, acc[i][c]);                                                           \
    }

/* clang-format on */

#define ROW_STRIPS(name, wide, narrow, add_rest, rows)                                                             \
    KERNEL void dot_strip_##name##_##rows(int64_t nw, int64_t k, const float *x, int64_t ldx, const uint8_t *w,    \
                                          int64_t stride, float *y, int64_t ldy)                                   \
    {                                                                                                              \
        int64_t j = 0;                                                                                             \
        for (; j + 4 <= nw; j += 4) dot_tile_##name(rows, 4, k, x, ldx, w + j * stride, stride, y + j, ldy);       \
        for (; j < nw; j++) dot_tile_##name(rows, 1, k, x, ldx, w + j * stride, stride, y + j, ldy);               \
    }                                                                                                              \
    KERNEL void add_strip_##name##_##rows(int64_t n, int64_t k, const float *p, int64_t ldp, const uint8_t *v,     \
                                          int64_t stride, float *y, int64_t ldy)                                   \
    {                                                                                                              \
        int64_t d = 0;                                                                                             \
        for (; d + (wide) <= n; d += (wide)) add_tile_##name(rows, (wide) / W, d, k, p, ldp, v, stride, y, ldy);   \
        for (; d + (narrow) <= n; d += (narrow))                                                                   \
            add_tile_##name(rows, (narrow) / W, d, k, p, ldp, v, stride, y, ldy);                                  \
        add_rest(name, rows)                                                                                       \
    }

#define ROW_KERNELS(name, wide, step, dot_rest, add_rest)                                                          \
    ROW_TILES(name, step, dot_rest)                                                                                \
    ROW_STRIPS(name, wide, step, add_rest, 1)                                                                      \
    ROW_STRIPS(name, wide, step, add_rest, 2)                                                                      \
    ROW_STRIPS(name, wide, step, add_rest, 3)                                                                      \
    ROW_STRIPS(name, wide, step, add_rest, 4)                                                                      \
    KERNEL void dot_rows_##name(int64_t nx, int64_t nw, int64_t k, const float *x, int64_t ldx, const void *w,     \
                                int64_t stride, float *y, int64_t ldy)                                             \
    {                                                                                                              \
        for (; nx > 0; nx -= DOT_ROWS, x += DOT_ROWS * ldx, y += DOT_ROWS * ldy) {                                 \
            switch (nx < DOT_ROWS ? (int)nx : DOT_ROWS) {                                                          \
            case 1: dot_strip_##name##_1(nw, k, x, ldx, w, stride, y, ldy); break;                                 \
            case 2: dot_strip_##name##_2(nw, k, x, ldx, w, stride, y, ldy); break;                                 \
            case 3: dot_strip_##name##_3(nw, k, x, ldx, w, stride, y, ldy); break;                                 \
            default: dot_strip_##name##_4(nw, k, x, ldx, w, stride, y, ldy); break;                                \
            }                                                                                                      \
        }                                                                                                          \
    }                                                                                                              \
    KERNEL void add_rows_##name(int64_t nx, int64_t n, int64_t k, const float *p, int64_t ldp, const void *v,      \
                                int64_t stride, float *y, int64_t ldy)                                             \
    {                                                                                                              \
        for (; nx > 0; nx -= 4, p += 4 * ldp, y += 4 * ldy) {                                                      \
            switch (nx < 4 ? (int)nx : 4) {                                                                        \
            case 1: add_strip_##name##_1(n, k, p, ldp, v, stride, y, ldy); break;                                  \
            case 2: add_strip_##name##_2(n, k, p, ldp, v, stride, y, ldy); break;                                  \
            case 3: add_strip_##name##_3(n, k, p, ldp, v, stride, y, ldy); break;                                  \
            default: add_strip_##name##_4(n, k, p, ldp, v, stride, y, ldy); break;                                 \
            }                                                                                                      \
        }                                                                                                          \
    }
ROW_KERNELS(f16, ACC_VECTORS *W, W, DOT_REST, ADD_REST)
ROW_KERNELS(bf16, ACC_VECTORS *W, W, DOT_REST, ADD_REST)
ROW_KERNELS(q8_0, (ACC_VECTORS * W > 32 ? ACC_VECTORS * W : 32), 32, NO_REST, NO_REST)

static void set_rows(sc_kernels *k)
{
#define SET_ROWS(ID, name)                                                                                         \
    k->dot_rows[SC_##ID] = dot_rows_##name;                                                                        \
    k->add_rows[SC_##ID] = add_rows_##name;
    SET_ROWS(F16, f16)
    SET_ROWS(BF16, bf16)
    SET_ROWS(Q8_0, q8_0)
#undef SET_ROWS
}

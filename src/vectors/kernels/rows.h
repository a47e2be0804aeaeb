/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels in terms of a vector type; a file of one instruction set says what that is and includes this:
 *   VEC, LANES, LOAD(p), STORE(p, v), SPLAT(x), ZERO, FMA(a, b, c) = a b + c, ADD, SUB, MUL, DIV, SQRT, SUM(v) to a float.
 * Rows are taken up to six at a time, five negative examples and the word itself being the usual number. */

#define INLINE static inline __attribute__((always_inline)) SC_UNLOCKED

INLINE void dots_of(int64_t n, const float *h, float *const *row, const int k, float *f)
{
    VEC sum[6];
#pragma GCC unroll 6
    for (int j = 0; j < k; j++) sum[j] = ZERO;
    for (int64_t i = 0; i < n; i += LANES) {
        VEC x = LOAD(h + i);
#pragma GCC unroll 6
        for (int j = 0; j < k; j++) sum[j] = FMA(LOAD(row[j] + i), x, sum[j]);
    }
#pragma GCC unroll 6
    for (int j = 0; j < k; j++) f[j] = SUM(sum[j]);
}

INLINE void pull_of(int64_t n, const float *h, float *const *row, const int k, const float *g, float *e, bool more,
                    bool change)
{
    VEC s[6];
#pragma GCC unroll 6
    for (int j = 0; j < k; j++) s[j] = SPLAT(g[j]);
    for (int64_t i = 0; i < n; i += LANES) {
        VEC to = more ? LOAD(e + i) : ZERO, x = change ? LOAD(h + i) : ZERO;
#pragma GCC unroll 6
        for (int j = 0; j < k; j++) {
            VEC r = LOAD(row[j] + i);
            to = FMA(s[j], r, to);
            /* Read again: the same row may stand at two places. */
            if (change) STORE(row[j] + i, FMA(s[j], x, r));
        }
        STORE(e + i, to);
    }
}

SC_UNLOCKED static void dots(int64_t n, const float *h, float *const *row, int64_t k, float *f)
{
    for (; k >= 6; k -= 6, row += 6, f += 6) dots_of(n, h, row, 6, f);
    switch (k) {
    case 5: dots_of(n, h, row, 5, f); break;
    case 4: dots_of(n, h, row, 4, f); break;
    case 3: dots_of(n, h, row, 3, f); break;
    case 2: dots_of(n, h, row, 2, f); break;
    case 1: dots_of(n, h, row, 1, f); break;
    default: break;
    }
}

INLINE void pull_all(int64_t n, const float *h, float *const *row, int64_t k, const float *g, float *e, bool change)
{
    bool more = false;
    if (!k) memset(e, 0, sizeof *e * (size_t)n);
    for (; k >= 6; k -= 6, row += 6, g += 6, more = true) pull_of(n, h, row, 6, g, e, more, change);
    switch (k) {
    case 5: pull_of(n, h, row, 5, g, e, more, change); break;
    case 4: pull_of(n, h, row, 4, g, e, more, change); break;
    case 3: pull_of(n, h, row, 3, g, e, more, change); break;
    case 2: pull_of(n, h, row, 2, g, e, more, change); break;
    case 1: pull_of(n, h, row, 1, g, e, more, change); break;
    default: break;
    }
}

SC_UNLOCKED static void pull(int64_t n, const float *h, float *const *row, int64_t k, const float *g, float *e)
{
    pull_all(n, h, row, k, g, e, true);
}

SC_UNLOCKED static void weigh(int64_t n, float *const *row, int64_t k, const float *g, float *e)
{
    pull_all(n, NULL, row, k, g, e, false);
}

SC_UNLOCKED static void add(int64_t n, float s, const float *x, float *y)
{
    VEC by = SPLAT(s);
    for (int64_t i = 0; i < n; i += LANES) STORE(y + i, FMA(by, LOAD(x + i), LOAD(y + i)));
}

SC_UNLOCKED static void sum(int64_t n, float *const *row, int64_t k, float s, float *y)
{
    VEC by = SPLAT(s);
    for (int64_t i = 0; i < n; i += LANES) {
        VEC to = ZERO;
        for (int64_t j = 0; j < k; j++) to = ADD(to, LOAD(row[j] + i));
        STORE(y + i, MUL(by, to));
    }
}

SC_UNLOCKED static void adagrad(int64_t n, float s, float *a, float *b, float *qa, float *qb)
{
    VEC by = SPLAT(s);
    for (int64_t i = 0; i < n; i += LANES) {
        VEC x = LOAD(a + i), y = LOAD(b + i), sx = LOAD(qa + i), sy = LOAD(qb + i);
        VEC gx = MUL(by, y), gy = MUL(by, x);
        STORE(a + i, SUB(x, DIV(gx, SQRT(sx))));
        STORE(b + i, SUB(y, DIV(gy, SQRT(sy))));
        STORE(qa + i, FMA(gx, gx, sx));
        STORE(qb + i, FMA(gy, gy, sy));
    }
}

#define FILL(k)                                                                                                    \
    *(k) = (sc_vector_kernels) { dots, pull, weigh, add, sum, adagrad }

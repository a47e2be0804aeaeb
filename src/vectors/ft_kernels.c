/* SPDX-License-Identifier: Apache-2.0 */
/* The inner loops over rows of floats. Each is written once and compiled for several instruction sets; sums run in 16 lanes
 * whatever the set, so all of them give the same bits. */
#include "vectors/fasttext.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

typedef float lanes __attribute__((vector_size(64), aligned(1), may_alias));
typedef float four __attribute__((vector_size(16), aligned(1), may_alias));

/* Threads learn from each other's rows without locks (Recht et al. 2011, "Hogwild"): races are part of the method. */
#define RACES  __attribute__((no_sanitize("thread")))
#define INLINE RACES static inline __attribute__((always_inline))

INLINE void add_scaled(sc_ft_float *y, const sc_ft_float *x, float a, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) *(lanes *)(y + i) += *(const lanes *)(x + i) * a;
    for (; i + 4 <= n; i += 4) *(four *)(y + i) += *(const four *)(x + i) * a;
    for (; i < n; i++) y[i] += x[i] * a;
}

INLINE void add(sc_ft_float *y, const sc_ft_float *x, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) *(lanes *)(y + i) += *(const lanes *)(x + i);
    for (; i + 4 <= n; i += 4) *(four *)(y + i) += *(const four *)(x + i);
    for (; i < n; i++) y[i] += x[i];
}

INLINE float product(const sc_ft_float *x, const sc_ft_float *y, int64_t n)
{
    lanes sum = {0};
    four rest = {0};
    float tail = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) sum += *(const lanes *)(x + i) * *(const lanes *)(y + i);
    for (; i + 4 <= n; i += 4) rest += *(const four *)(x + i) * *(const four *)(y + i);
    for (; i < n; i++) tail += x[i] * y[i];
    for (int k = 0; k < 4; k++) rest[k] += (sum[k] + sum[k + 4]) + (sum[k + 8] + sum[k + 12]);
    return (rest[0] + rest[1]) + (rest[2] + rest[3]) + tail;
}

/* g += a * w, w += a * h: a step down for one output and what it asks of the hidden vector. */
INLINE void both(sc_ft_float *w, const sc_ft_float *h, sc_ft_float *g, float a, int64_t n)
{
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        lanes was = *(lanes *)(w + i);
        *(lanes *)(g + i) += was * a;
        *(lanes *)(w + i) = was + *(const lanes *)(h + i) * a;
    }
    for (; i + 4 <= n; i += 4) {
        four was = *(four *)(w + i);
        *(four *)(g + i) += was * a;
        *(four *)(w + i) = was + *(const four *)(h + i) * a;
    }
    for (; i < n; i++) {
        float was = w[i];
        g[i] += was * a;
        w[i] = was + h[i] * a;
    }
}

/* Rows lie all over a table larger than the caches: those that come next are asked for in time. */
enum { AHEAD = 12 };

INLINE void fetch(const sc_ft_float *row, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(row + i);
}

INLINE void sum_rows_of(sc_ft_float *out, const sc_ft_float *table, int64_t width, const int32_t *row, int64_t n)
{
    for (int64_t k = 0; k < SC_MIN(n, AHEAD); k++) fetch(table + row[k] * width, width);
    for (int64_t k = 0; k < n; k++) {
        if (k + AHEAD < n) fetch(table + row[k + AHEAD] * width, width);
        add(out, table + row[k] * width, width);
    }
}

INLINE void add_to_rows_of(sc_ft_float *table, int64_t width, const int32_t *row, int64_t n, const sc_ft_float *x)
{
    for (int64_t k = 0; k < n; k++) {
        if (k + AHEAD < n) fetch(table + row[k + AHEAD] * width, width);
        add(table + row[k] * width, x, width);
    }
}

INLINE void products_of(sc_ft_float *out, const sc_ft_float *table, int64_t width, int64_t rows,
                        const sc_ft_float *x)
{
    for (int64_t k = 0; k < rows; k++) out[k] = product(table + k * width, x, width);
}

INLINE void steps_of(sc_ft_float *table, int64_t width, int64_t rows, const sc_ft_float *h, sc_ft_float *g,
                     const sc_ft_float *a)
{
    for (int64_t k = 0; k < rows; k++) both(table + k * width, h, g, a[k], width);
}

#define KERNELS(set, attribute)                                                                                    \
    RACES attribute static void set##_sum_rows(sc_ft_float *out, const sc_ft_float *table, int64_t width,          \
                                               const int32_t *row, int64_t n)                                      \
    {                                                                                                              \
        sum_rows_of(out, table, width, row, n);                                                                    \
    }                                                                                                              \
    RACES attribute static void set##_add_to_rows(sc_ft_float *table, int64_t width, const int32_t *row,           \
                                                  int64_t n, const sc_ft_float *x)                                 \
    {                                                                                                              \
        add_to_rows_of(table, width, row, n, x);                                                                   \
    }                                                                                                              \
    RACES attribute static void set##_products(sc_ft_float *out, const sc_ft_float *table, int64_t width,          \
                                               int64_t rows, const sc_ft_float *x)                                 \
    {                                                                                                              \
        products_of(out, table, width, rows, x);                                                                   \
    }                                                                                                              \
    RACES attribute static void set##_steps(sc_ft_float *table, int64_t width, int64_t rows, const sc_ft_float *h, \
                                            sc_ft_float *g, const sc_ft_float *a)                                  \
    {                                                                                                              \
        steps_of(table, width, rows, h, g, a);                                                                     \
    }                                                                                                              \
    RACES attribute static float set##_product(const sc_ft_float *x, const sc_ft_float *y, int64_t n)              \
    {                                                                                                              \
        return product(x, y, n);                                                                                   \
    }                                                                                                              \
    RACES attribute static void set##_step(sc_ft_float *w, const sc_ft_float *h, sc_ft_float *g, float a,          \
                                           int64_t n)                                                              \
    {                                                                                                              \
        both(w, h, g, a, n);                                                                                       \
    }                                                                                                              \
    RACES attribute static void set##_add_scaled(sc_ft_float *y, const sc_ft_float *x, float a, int64_t n)         \
    {                                                                                                              \
        add_scaled(y, x, a, n);                                                                                    \
    }                                                                                                              \
    static const sc_ft_kernels set##_kernels = {set##_sum_rows, set##_add_to_rows, set##_products,  set##_steps,   \
                                                set##_product,  set##_step,        set##_add_scaled};

KERNELS(plain, )
#if defined(__x86_64__)
KERNELS(avx2, __attribute__((target("avx2"))))
KERNELS(avx512, __attribute__((target("avx512f,avx512vl"))))
#endif

const sc_ft_kernels *sc_ft_kernels_at(int i)
{
    const sc_ft_kernels *have[3] = {&plain_kernels};
#if defined(__x86_64__)
    int n = 1;
    if (__builtin_cpu_supports("avx2")) have[n++] = &avx2_kernels;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl")) have[n++] = &avx512_kernels;
#endif
    return i < SC_COUNT(have) ? have[i] : NULL;
}

const sc_ft_kernels *sc_ft_kernels_get(void)
{
    int best = 0;
    while (sc_ft_kernels_at(best + 1)) best++;
    return sc_ft_kernels_at(best);
}

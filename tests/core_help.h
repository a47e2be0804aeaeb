/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of graphs, sessions and configurations share: numbers that repeat, weights of any type, small models
 * in temporary directories. */
#ifndef CORE_HELP_H
#define CORE_HELP_H

#include "cpu/cpu.h"
#include "models/models.h"
#include "socle/session.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* splitmix64 */
static inline uint64_t random_bits(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
/* lo … hi, both included */
static inline int64_t random_in(uint64_t *s, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(random_bits(s) % (uint64_t)(hi - lo + 1));
}
static inline float random_float(uint64_t *s) { return (float)(random_bits(s) >> 40) * 0x1p-23f - 1; } /* [-1, 1) */

static inline sc_context *new_context(int threads)
{
    sc_context *ctx;
    assert_int_equal(sc_context_new(&ctx, &(sc_context_options){.threads = threads}), SC_OK);
    return ctx;
}

/* The sets of kernels to try: none, then the first level, the first two, … of those that the machine has. */
static inline int kernel_levels(unsigned *level, int most)
{
    unsigned have = sc_cpu_detect();
    int n = 0;
    level[n++] = 0;
    for (unsigned mask = 1; mask <= have; mask = mask << 1 | 1) {
        if ((mask & have) == level[n - 1]) continue;
        assert_true(n < most); /* a level left out would go untested */
        level[n++] = mask & have;
    }
    return n;
}

/* A type that linear and rows take as a weight. */
static inline bool is_weight_type(sc_dtype t)
{
    float x[256];
    unsigned char block[512] = {0};
    const sc_dtype_info *d = sc_dtype_get(t);
    if (t == SC_F32) return true;
    return (t == SC_F16 || t == SC_BF16 || d->block > 1) && sc_dequantize(t, block, x, d->block) == SC_OK;
}

/* n random elements of type t into `out`, and what they stand for into `values`. */
static inline void random_elements(uint64_t *seed, sc_dtype t, int64_t n, void *out, double *values)
{
    const sc_dtype_info *d = sc_dtype_get(t);
    float *x = malloc(sizeof *x * (size_t)(n + 1));
    for (int64_t i = 0; i < n; i++) x[i] = random_float(seed);
    if (t == SC_F32)
        memcpy(out, x, sizeof *x * (size_t)n);
    else if (sc_quantize(t, x, out, n)) { /* no quantiser: any bits that give finite values */
        for (int64_t b = 0; b < n / d->block; b++) {
            unsigned char *p = (unsigned char *)out + b * d->bytes;
            for (bool good = false; !good;) {
                for (int64_t i = 0; i < d->bytes; i++) p[i] = (unsigned char)random_bits(seed);
                assert_int_equal(sc_dequantize(t, p, x, d->block), SC_OK);
                good = true;
                for (int64_t i = 0; i < d->block; i++) good = good && fabsf(x[i]) < 1e6f;
            }
        }
    }
    if (t != SC_F32) assert_int_equal(sc_dequantize(t, out, x, n), SC_OK);
    for (int64_t i = 0; i < n; i++) values[i] = x[i];
    free(x);
}

/* ---- small models ---- */

typedef struct temp_model {
    char dir[64];
} temp_model;

static inline void write_config(temp_model *t, const char *config)
{
    char path[128];
    snprintf(t->dir, sizeof t->dir, "/tmp/socle-core-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    snprintf(path, sizeof path, "%s/config.json", t->dir);
    assert_int_equal(sc_file_write(path, config, (int64_t)strlen(config)), SC_OK);
}

static inline void remove_config(const temp_model *t)
{
    char path[128];
    snprintf(path, sizeof path, "%s/config.json", t->dir);
    unlink(path);
    assert_int_equal(rmdir(t->dir), 0);
}

/* A fresh model of a config.json; NULL where it is refused. */
static inline sc_model *fresh_model(sc_context *ctx, const char *config)
{
    temp_model t;
    sc_model *m = NULL;
    write_config(&t, config);
    sc_status s = sc_model_open(&m, ctx, t.dir, &(sc_model_options){.weights = SC_WEIGHTS_FRESH, .seed = 5});
    remove_config(&t);
    return s ? NULL : m;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Element types: the look-ups, and the reference conversions against what the gguf package makes of the same bytes
 * and numbers (data/dtypes.bin, written by data/make_dtypes.py). */
#include "base/base.h"
#include "cpu/kernels/blocks.h"
#include "socle/tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void looked_up_by_every_name(void **state)
{
    (void)state;
    for (int i = 0; i < SC_DTYPE_COUNT; i++) {
        const sc_dtype_info *d = sc_dtype_get((sc_dtype)i);
        assert_non_null(d);
        assert_int_equal(sc_dtype_named(d->name), i);
        if (d->gguf >= 0) assert_int_equal(sc_dtype_from_gguf(d->gguf), i);
        if (d->safetensors) assert_int_equal(sc_dtype_from_safetensors(d->safetensors), i);
    }
    assert_int_equal(sc_dtype_named("Q4_K"), SC_Q4_K);
    assert_int_equal(sc_dtype_named("q4_kk"), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_named(""), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_named(NULL), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_from_gguf(-1),
                     SC_DTYPE_COUNT); /* the number of types that GGUF lacks is not a type */
    assert_int_equal(sc_dtype_from_gguf(4), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_from_gguf(((int64_t)1 << 32) + 1), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_from_gguf(INT64_MIN), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_from_safetensors("F64"), SC_DTYPE_COUNT);
    assert_int_equal(sc_dtype_from_safetensors("f32"), SC_DTYPE_COUNT); /* that format's names are exact */
    assert_int_equal(sc_dtype_from_safetensors(NULL), SC_DTYPE_COUNT);
    assert_null(sc_dtype_get(SC_DTYPE_COUNT));
    assert_null(sc_dtype_get((sc_dtype)-1));
}

static void sized_in_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(sc_dtype_size(SC_F32, 3), 12);
    assert_int_equal(sc_dtype_size(SC_Q4_0, 64), 36);
    assert_int_equal(sc_dtype_size(SC_Q6_K, 512), 420);
    assert_int_equal(sc_dtype_size(SC_Q6_K, 0), 0);
    assert_int_equal(sc_dtype_size(SC_Q4_0, 33), -1);
    assert_int_equal(sc_dtype_size(SC_F32, -4), -1);
    assert_int_equal(sc_dtype_size(SC_F32, INT64_MAX / 2), -1);
    assert_int_equal(sc_dtype_size(SC_U8, INT64_MAX), INT64_MAX);
    assert_int_equal(sc_dtype_size(SC_DTYPE_COUNT, 4), -1);
}

static void refuses_what_it_cannot_convert(void **state)
{
    (void)state;
    float x[64] = {0};
    uint8_t b[256] = {0};
    assert_int_equal(sc_dequantize(SC_Q4_0, b, x, 33), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "q4_0: 33 elements"));
    assert_int_equal(sc_quantize(SC_Q4_K, x, b, 64), SC_EINVAL);
    assert_int_equal(sc_quantize(SC_F16, x, b, -1), SC_EINVAL);
    assert_int_equal(sc_quantize(SC_F16, NULL, b, 1), SC_EINVAL);
    assert_int_equal(sc_dequantize(SC_F16, b, NULL, 1), SC_EINVAL);
    assert_int_equal(sc_dequantize(SC_DTYPE_COUNT, b, x, 1), SC_EINVAL);
    assert_int_equal(sc_dequantize(SC_I64, b, x, 1), SC_EUNSUPPORTED);
    assert_int_equal(sc_quantize(SC_BOOL, x, b, 1), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "bool"));
    assert_int_equal(sc_dequantize(SC_Q4_K, NULL, NULL, 0), SC_OK);
    assert_int_equal(sc_quantize(SC_F32, NULL, NULL, 0), SC_OK);
    x[5] = 2.5f;
    assert_int_equal(sc_quantize(SC_F32, x, b, 64), SC_OK);
    assert_memory_equal(x, b, sizeof x);
}

/* ---- the package's results ---- */

static void converts_as_gguf_does(void **state)
{
    (void)state;
    char *file, name[9] = {0};
    int64_t size, at = 0;
    int records = 0, wrong = 0;
    assert_int_equal(sc_file_read(&file, &size, SOCLE_SOURCE_DIR "/tests/data/dtypes.bin", 1 << 20), SC_OK);
    while (at < size) {
        uint32_t n;
        assert_true(size - at >= 16);
        bool from = !memcmp(file + at, "DEQ ", 4);
        memcpy(name, file + at + 4, 8);
        memcpy(&n, file + at + 12, 4);
        at += 16;
        sc_dtype t = sc_dtype_named(name);
        int64_t bytes = sc_dtype_size(t, n), floats = (int64_t)n * 4;
        assert_true(bytes > 0 && bytes + floats <= size - at);
        float *x = malloc((size_t)floats);
        uint8_t *b = malloc((size_t)bytes);
        assert_non_null(x);
        assert_non_null(b);
        if (from) {
            const char *want = file + at + bytes;
            assert_int_equal(sc_dequantize(t, file + at, x, n), SC_OK); /* blocks lie at any address */
            for (uint32_t i = 0; i < n; i++)
                if (memcmp(x + i, want + 4 * (int64_t)i, 4) && wrong++ < 10)
                    print_message("%s: element %u is %.9g\n", name, i, (double)x[i]);
        } else {
            const uint8_t *want = (const uint8_t *)file + at + floats;
            memcpy(x, file + at, (size_t)floats);
            assert_int_equal(sc_quantize(t, x, b, n), SC_OK);
            for (int64_t i = 0; i < bytes; i++)
                if (b[i] != want[i] && wrong++ < 10)
                    print_message("%s: byte %lld is %02x, not %02x\n", name, (long long)i, b[i], want[i]);
        }
        free(x);
        free(b);
        at += bytes + floats;
        records++;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(records, 15 + 8);
    sc_free(file);
}

/* ---- 16-bit floats, all of them ---- */

/* Every f16 against its definition, and back: the nearest to itself, and to what lies between it and its
 * neighbour. */
static void halves_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++) {
        double want = h < 0x400 ? ldexp(h, -24) : ldexp(0x400 + (h & 0x3ff), (int)(h >> 10) - 25);
        double next =
            h + 1 < 0x400 ? ldexp(h + 1, -24) : ldexp(0x400 + ((h + 1) & 0x3ff), (int)((h + 1) >> 10) - 25);
        float f = sc_half_float((uint16_t)h), middle = (float)((want + next) / 2); /* exact in f32 */
        assert_true((double)f == want);
        assert_int_equal(sc_float_half(f), h);
        assert_int_equal(sc_float_half(-f), h | 0x8000);
        assert_int_equal(sc_float_half(middle), (h + 1) & ~1u); /* 65520 becomes infinity */
        assert_int_equal(sc_float_half(nextafterf(middle, 0)), h);
        assert_int_equal(sc_float_half(nextafterf(middle, INFINITY)), h + 1);
    }
    assert_int_equal(sc_float_half(INFINITY), 0x7c00);
    assert_int_equal(sc_float_half(-3.4e38f), 0xfc00);
    assert_int_equal(sc_float_half(1e-45f), 0);
    assert_int_equal(sc_float_half(-1e-45f), 0x8000);
    assert_true(isinf(sc_half_float(0xfc00)) && sc_half_float(0xfc00) < 0);
    for (uint32_t h = 0x7c01; h < 0x8000; h++) { /* NaNs stay, made quiet */
        assert_true(isnan(sc_half_float((uint16_t)h)));
        assert_int_equal(sc_float_half(sc_half_float((uint16_t)h)), h | 0x200);
    }
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7f80; h++) {
        float f = sc_bf16_float((uint16_t)h);
        assert_int_equal(sc_float_bits(f), h << 16);
        assert_int_equal(sc_float_bf16(f), h);
        assert_int_equal(sc_float_bf16(sc_bits_float(h << 16 | 0x8000)), (h + 1) & ~1u); /* denormals too */
        assert_int_equal(sc_float_bf16(sc_bits_float(h << 16 | 0x7fff)), h);
        assert_int_equal(sc_float_bf16(sc_bits_float(h << 16 | 0x8001)), h + 1);
        assert_int_equal(sc_float_bf16(sc_bits_float(0x80000000u | h << 16 | 0x8001)), 0x8000 | (h + 1));
    }
    assert_int_equal(sc_float_bf16(INFINITY), 0x7f80);
    assert_true(isnan(sc_bf16_float(sc_float_bf16(sc_bits_float(0x7f800001))))); /* not rounded to infinity */
    assert_true(isnan(sc_bf16_float(sc_float_bf16(sc_bits_float(0xffffffff)))));
}

/* ---- quantisers ---- */

static double relative_error(sc_dtype t, const float *x, int64_t n)
{
    uint8_t *b = malloc((size_t)sc_dtype_size(t, n));
    float *y = malloc((size_t)n * sizeof *y);
    double error = 0, power = 0;
    assert_non_null(b);
    assert_non_null(y);
    assert_int_equal(sc_quantize(t, x, b, n), SC_OK);
    assert_int_equal(sc_dequantize(t, b, y, n), SC_OK);
    for (int64_t i = 0; i < n; i++) {
        error += ((double)y[i] - x[i]) * ((double)y[i] - x[i]);
        power += (double)x[i] * x[i];
    }
    free(b);
    free(y);
    return sqrt(error / power);
}

/* Bounds on the root of the mean square error for normal numbers, a few percent over what a full search of the
 * scales reaches in each format; without the search they are missed. */
static const struct {
    sc_dtype type;
    double bound;
} bounds[] = {
    {SC_F16, 0.00025}, {SC_BF16, 0.0018}, {SC_Q8_0, 0.0056}, {SC_Q4_0, 0.088},    {SC_Q4_1, 0.080},
    {SC_Q5_0, 0.044},  {SC_Q5_1, 0.039},  {SC_MXFP4, 0.118}, {SC_Q2_K, 0.277},    {SC_Q3_K, 0.150},
    {SC_Q4_K, 0.0725}, {SC_Q5_K, 0.0358}, {SC_Q6_K, 0.0175}, {SC_IQ4_NL, 0.0755}, {SC_IQ4_XS, 0.0765},
};

static void quantisers_err_little_on_normal_numbers(void **state)
{
    (void)state;
    enum { N = 256 * 64 };
    float *x = malloc(N * sizeof *x);
    assert_non_null(x);
    sc_rng_normal_fill(7, 1, 0, x, N);
    for (int i = 0; i < SC_COUNT(bounds); i++) {
        double error = relative_error(bounds[i].type, x, N);
        if (error > bounds[i].bound) fail_msg("%s: %g", sc_dtype_get(bounds[i].type)->name, error);
        for (int j = 0; j < N; j++) x[j] *= 0.02f; /* the size of weights */
        double small = relative_error(bounds[i].type, x, N);
        for (int j = 0; j < N; j++) x[j] *= 50;
        if (small > bounds[i].bound * 1.01) fail_msg("%s, small: %g", sc_dtype_get(bounds[i].type)->name, small);
    }
    free(x);
}

static void quantisers_keep_what_a_type_can_hold(void **state)
{
    (void)state;
    float zero[256] = {0}, y[256], flat[256], step[256];
    uint8_t b[1024];
    for (int i = 0; i < 256; i++) flat[i] = i < 128 ? 1 : -1, step[i] = (float)(i % 16 - 8);
    for (int i = 0; i < SC_COUNT(bounds); i++) {
        sc_dtype t = bounds[i].type;
        assert_int_equal(sc_quantize(t, zero, b, 256), SC_OK);
        assert_int_equal(sc_dequantize(t, b, y, 256), SC_OK);
        for (int j = 0; j < 256; j++) assert_true(y[j] == 0);
        /* one magnitude everywhere: held up to the rounding of the scales, of which q3_k has -32 but only +31 */
        double error = relative_error(t, flat, 256);
        if (error > 0.025) fail_msg("%s: %g", sc_dtype_get(t)->name, error);
    }
    assert_true(relative_error(SC_Q4_0, step, 256) < 1e-6);
    assert_true(relative_error(SC_Q4_1, step, 256) < 1e-3);
    assert_true(relative_error(SC_Q4_K, step, 256) < 1e-2);
    assert_true(relative_error(SC_Q5_K, step, 256) < 1e-2);
}

/* Numbers of any bits: a valid block comes out, and nothing undefined happens on the way (for the sanitizers). */
static void quantisers_survive_any_bits(void **state)
{
    (void)state;
    sc_rng r = sc_rng_make(3, 9);
    float x[256], y[256];
    uint8_t b[1024];
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 256; i++) {
            uint32_t u = sc_rng_u32(&r);
            if (round % 4 == 1) u &= 0x807fffffu;                                  /* denormals */
            if (round % 4 == 2) u |= 0x7f000000u;                                  /* huge, infinite, NaN */
            if (round % 4 == 3) u = i % 50 ? 0x3f800000u + (u >> 9) : 0x7fc00000u; /* NaN among ordinary ones */
            x[i] = sc_bits_float(u);
        }
        for (int i = 0; i < SC_COUNT(bounds); i++) {
            assert_int_equal(sc_quantize(bounds[i].type, x, b, 256), SC_OK);
            assert_int_equal(sc_dequantize(bounds[i].type, b, y, 256), SC_OK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looked_up_by_every_name),
        cmocka_unit_test(sized_in_whole_blocks),
        cmocka_unit_test(refuses_what_it_cannot_convert),
        cmocka_unit_test(converts_as_gguf_does),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(quantisers_err_little_on_normal_numbers),
        cmocka_unit_test(quantisers_keep_what_a_type_can_hold),
        cmocka_unit_test(quantisers_survive_any_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The public conversions between f32 and the other element types. Every kernel of a conversion gives the same bytes, so
 * which one is taken shows in nothing but the time. */
#include "base/base.h"
#include "cpu/kernels/kernels.h"

/* To find out what the machine has takes longer than to convert a few values. */
static void choose(sc_kernels *k, int64_t n) { sc_kernels_init(k, n < 4096 ? 0 : ~0u); }

/* Checks what both directions share; */
static sc_status check(sc_dtype t, int64_t n, const void *x, const void *y)
{
    const sc_dtype_info *d = sc_dtype_get(t);
    if (!d) return sc_fail(SC_EINVAL, "no element type has the number %d", (int)t);
    if (sc_dtype_size(t, n) < 0)
        return sc_fail(SC_EINVAL, "%s: %lld elements are no whole number of blocks of %lld", d->name, (long long)n,
                       (long long)d->block);
    if (n > 0 && (!x || !y))
        return sc_fail(SC_EINVAL, "%s: conversion of %lld elements without memory", d->name, (long long)n);
    return SC_OK;
}

sc_status sc_dequantize(sc_dtype t, const void *x, float *y, int64_t n)
{
    sc_status st = check(t, n, x, y);
    if (st) return st;
    if (t == SC_F32) {
        if (n) memmove(y, x, (size_t)n * sizeof *y);
        return SC_OK;
    }
    sc_kernels k;
    choose(&k, n);
    if (!k.dequantize[t]) return sc_fail(SC_EUNSUPPORTED, "%s: no conversion to f32", sc_dtype_get(t)->name);
    k.dequantize[t](x, y, n);
    return SC_OK;
}

sc_status sc_quantize(sc_dtype t, const float *x, void *y, int64_t n)
{
    sc_status st = check(t, n, x, y);
    if (st) return st;
    if (t == SC_F32) {
        if (n) memmove(y, x, (size_t)n * sizeof *x);
        return SC_OK;
    }
    sc_kernels k;
    choose(&k, n);
    if (!k.quantize[t]) return sc_fail(SC_EUNSUPPORTED, "%s: no conversion from f32", sc_dtype_get(t)->name);
    k.quantize[t](x, y, n);
    return SC_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <math.h>

void sc_philox(uint64_t seed, uint64_t stream, uint64_t i, uint32_t out[4])
{
    uint32_t c[4] = {(uint32_t)i, (uint32_t)(i >> 32), (uint32_t)stream, (uint32_t)(stream >> 32)};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = 0xd2511f53u * (uint64_t)c[0], b = 0xcd9e8d57u * (uint64_t)c[2];
        uint32_t n0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[1] = (uint32_t)b;
        c[3] = (uint32_t)a;
        c[0] = n0;
        c[2] = n2;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    memcpy(out, c, sizeof c);
}

sc_rng sc_rng_make(uint64_t seed, uint64_t stream) { return (sc_rng){.seed = seed, .stream = stream}; }

uint32_t sc_rng_u32(sc_rng *r)
{
    if (r->left == 0) {
        sc_philox(r->seed, r->stream, r->i++, r->have);
        r->left = 4;
    }
    return r->have[4 - r->left--];
}

double sc_rng_uniform(sc_rng *r)
{
    uint64_t hi = sc_rng_u32(r) >> 5, lo = sc_rng_u32(r) >> 6;
    return (double)(hi << 26 | lo) * 0x1p-53;
}

void sc_rng_normal_fill(uint64_t seed, uint64_t stream, int64_t first, float *out, int64_t n)
{
    /* Box-Muller on the two halves of each Philox block: two normals a block. */
    for (int64_t j = 0; j < n; j++) {
        uint64_t at = (uint64_t)(first + j);
        uint32_t u[4];
        sc_philox(seed, stream, at / 2, u);
        double a = ((double)((uint64_t)u[0] << 20 | u[1] >> 12) + 1) * 0x1p-52;
        double b = (double)((uint64_t)u[2] << 20 | u[3] >> 12) * 0x1p-52 * 2 * M_PI;
        out[j] = (float)(sqrt(-2 * log(a)) * (at & 1 ? sin(b) : cos(b)));
    }
}

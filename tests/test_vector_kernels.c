/* SPDX-License-Identifier: Apache-2.0 */
/* The loops over rows of each instruction set that this machine has against the reference, at all numbers of rows and widths, a row standing
 * twice among them too. Without cmocka, as neon.sh runs it under emulation. */
#include "cpu/kernels/kernels.h"
#include "vectors/kernels/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

enum { ROWS = 14, WIDEST = 112 };

typedef struct numbers {
    _Alignas(64) float row[ROWS][WIDEST], h[WIDEST], e[WIDEST], f[16], g[16];
} numbers;

static float draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) * 0x1p-23f - 1;
}

static void fill_numbers(numbers *x, uint64_t seed)
{
    for (int j = 0; j < ROWS; j++)
        for (int i = 0; i < WIDEST; i++) x->row[j][i] = draw(&seed);
    for (int i = 0; i < WIDEST; i++) x->h[i] = draw(&seed), x->e[i] = draw(&seed);
    for (int i = 0; i < 16; i++) x->f[i] = 0, x->g[i] = draw(&seed);
}

/* The first float that is off; -1: none is. */
static int compare(const numbers *a, const numbers *b)
{
    const float *x = (const float *)a, *y = (const float *)b;
    for (size_t i = 0; i < sizeof *a / sizeof *x; i++)
        if (!(fabsf(x[i] - y[i]) <= 2e-5f)) return (int)i;
    return -1;
}

static void run_all(const sc_vector_kernels *k, numbers *x, int64_t n, int64_t rows, bool twice)
{
    float *row[ROWS];
    for (int j = 0; j < ROWS; j++) row[j] = x->row[twice && j == 3 ? 1 : j];
    k->dots(n, x->h, row, rows, x->f);
    k->weigh(n, row, rows, x->f, x->e);
    k->add(n, 0.5f, x->e, x->row[ROWS - 1]);
    k->pull(n, x->h, row, rows, x->g, x->e);
    if (rows) k->sum(n, row, rows, 0.25f, x->h);
    for (int i = 0; i < WIDEST; i++) x->row[8][i] = fabsf(x->row[8][i]) + 1, x->row[9][i] = fabsf(x->row[9][i]) + 1;
    k->adagrad(n, 0.3f, x->row[6], x->row[7], x->row[8], x->row[9]);
}

/* How many cases are wrong. */
static int check(unsigned level, int *cases)
{
    static numbers want, got;
    sc_vector_kernels ref, k;
    int wrong = 0;
    sc_vector_kernels_init(&ref, 0);
    sc_vector_kernels_init(&k, level);
    for (int64_t n = 16; n <= WIDEST; n += 16)
        for (int64_t rows = 0; rows < ROWS - 1; rows++, ++*cases) {
            fill_numbers(&want, (uint64_t)(n * 100 + rows));
            got = want;
            run_all(&ref, &want, n, rows, rows % 2);
            run_all(&k, &got, n, rows, rows % 2);
            int at = compare(&got, &want);
            if (at >= 0) printf("width %d, %d rows: float %d is off\n", (int)n, (int)rows, at), wrong++;
        }
    return wrong;
}

int main(void)
{
    int wrong = 0;
    for (int bit = 0; bit < SC_CPU_LEVEL_COUNT; bit++) {
        int cases = 0;
        if (!(sc_cpu_detect() & 1u << bit)) continue;
        wrong += check(1u << bit, &cases);
        printf("%s: %d\n", sc_cpu_level_name(bit), cases);
    }
    return wrong != 0;
}

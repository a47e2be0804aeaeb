/* SPDX-License-Identifier: Apache-2.0 */
/* 16 random bits a value, eight values a draw. */
#include "cpu/cpu.h"

enum { GRAIN = 8192, AT_ONCE = 8 };

static int64_t tasks(const sc_step *s) { return sc_tasks_of(sc_tensor_count(s->out), GRAIN); }

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_dropout_attr *a = SC_ATTR(s, sc_dropout_attr);
    const uint32_t *word = s->in_data[1];
    const float *x = s->in_data[0];
    float *y = s->out_data, scale = 1 / (1 - a->rate);
    uint64_t seed = (uint64_t)word[1] << 32 | word[0];
    uint32_t least = (uint32_t)(a->rate * 65536 + 0.5F);
    int64_t stop = SC_MIN(end * GRAIN, sc_tensor_count(s->out));
    (void)k;
    (void)scratch;
    for (int64_t i = begin * GRAIN; i < stop; i += AT_ONCE) {
        uint32_t bits[4];
        sc_philox(seed, a->stream, (uint64_t)(i / AT_ONCE), bits);
        for (int64_t j = i; j < SC_MIN(i + AT_ONCE, stop); j++)
            y[j] = (bits[(j - i) / 2] >> 16 * (j % 2) & 0xffff) >= least ? x[j] * scale : 0;
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_dropout = {.tasks = tasks, .run = run};

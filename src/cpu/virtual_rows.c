/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/cpu.h"

enum { GRAIN = 4096 }; /* tokens of a task */

static int64_t tasks(const sc_step *s) { return sc_tasks_of(s->in[0]->shape.dim[0], GRAIN); }

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *room)
{
    (void)kn;
    (void)room;
    int64_t n = s->in[0]->shape.dim[0], vocab = SC_ATTR(s, sc_virtual_rows_attr)->vocab;
    const int32_t *ids = s->in_data[0];
    int32_t *place = s->out_data, *real = place + n;
    for (int64_t t = begin * GRAIN; t < SC_MIN(end * GRAIN, n); t++) {
        bool is_virtual = ids[t] >= vocab;
        place[t] = (int32_t)(is_virtual ? n + ids[t] - vocab : t);
        real[t] = is_virtual ? 0 : ids[t];
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_virtual_rows = {.tasks = tasks, .run = run};

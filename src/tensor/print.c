/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/tensor.h"

sc_cost sc_plan_cost(const sc_plan *p)
{
    sc_cost sum = {0};
    for (int i = 0; i < p->n_steps; i++) {
        sc_cost c = p->step[i].op->cost(&p->step[i]);
        sum.flops += c.flops;
        sum.bytes += c.bytes;
    }
    return sum;
}

static void print_step(const sc_plan *p, int i, sc_str *out)
{
    const sc_step *s = &p->step[i];
    sc_cost c = s->op->cost(s);
    char shape[SC_SHAPE_TEXT], operand[256];
    bool own = !s->out->view_of && s->out->leaf == SC_NODE;
    sc_str_printf(out, "%5d %5d  %-10s %-18s", i, s->stage, s->op->name, sc_shape_text(&s->out->shape, shape));
    if (own)
        sc_str_printf(out, " @%-9lld", (long long)((char *)s->out_data - (char *)p->arena->data));
    else
        sc_str_printf(out, " %-10s", "state");
    sc_str_printf(out, " %6lld %11.0f %11.0f  %s", (long long)s->tasks, c.flops, c.bytes, s->out->name);
    for (int k = 0; k < s->n_in; k++) {
        const sc_tensor *t = s->in[k];
        if (!t || t->leaf != SC_PARAM) continue;
        snprintf(operand, sizeof operand, " [%s %s]", sc_dtype_get(t->dtype)->name,
                 sc_shape_text(&t->shape, shape));
        sc_str_puts(out, operand);
    }
    sc_str_putc(out, '\n');
}

void sc_plan_print(const sc_plan *p, sc_str *out)
{
    sc_str_puts(out,
                " step stage  operation  shape              buffer      tasks       FLOPs       bytes  name\n");
    for (int i = 0; i < p->n_steps; i++) print_step(p, i, out);
    sc_cost c = sc_plan_cost(p);
    sc_str_printf(
        out,
        "%d steps in %d stages (%d nodes fused away) on %s; arena %lld bytes (%lld without sharing), scratch %lld "
        "a thread; %.0f FLOPs, %.0f bytes a run\n",
        p->n_steps, p->n_stages, p->fused, p->backend->name, (long long)p->arena_bytes,
        (long long)p->unshared_bytes, (long long)p->scratch_bytes, c.flops, c.bytes);
}

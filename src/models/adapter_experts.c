/* SPDX-License-Identifier: Apache-2.0 */
/* What adapters add to a mixture's experts. PEFT has it in two forms: of each expert's matrix by itself, and of the tensor
 * that holds all experts' (target_parameters), where the E ranks stand one behind the other. Both become one part a matrix
 * of a layer, named with "%d" in the expert's place: a (E, R, C), b (E, N, R), zeros where an expert has less. */
#include "models/models.h"

#include <math.h>
#include <stdlib.h>

/* "LAYER.experts.7.NAME" → the lengths before the number and behind it, and 7; -1: another name. */
static int64_t expert_of(const char *name, int *before, const char **rest)
{
    static const char experts[] = ".experts.";
    const char *at = strstr(name, experts);
    char *end;
    if (!at || at[strlen(experts)] < '0' || at[strlen(experts)] > '9') return -1;
    at += strlen(experts);
    long n = strtol(at, &end, 10);
    *before = (int)(at - name);
    *rest = end;
    return *end == '.' ? n : -1;
}

static sc_status make(sc_adapter_part *part, int64_t experts, int64_t rank, int64_t rows, int64_t cols)
{
    sc_lora *l = &part->lora;
    int64_t na, nb;
    *l = (sc_lora){.rank = rank, .rows = rows, .cols = cols, .experts = experts};
    part->use = SC_LORA_EXPERTS;
    if (!sc_mul_ok(experts * rank, cols, &na) || !sc_mul_ok(experts * rank, rows, &nb) || na > INT64_MAX / 8 ||
        nb > INT64_MAX / 8)
        return sc_fail(SC_ELIMIT, "'%s': too large an adapter", part->name);
    sc_shape a = {3, {experts, rank, cols}}, b = {3, {experts, rows, rank}};
    sc_status s = sc_buffer_new(&l->a.buffer, na * (int64_t)sizeof(float));
    if (!s) s = sc_buffer_new(&l->b.buffer, nb * (int64_t)sizeof(float));
    if (s) return s;
    memset(l->a.data = l->a.buffer->data, 0, (size_t)na * sizeof(float));
    memset(l->b.data = l->b.buffer->data, 0, (size_t)nb * sizeof(float));
    l->a.dtype = l->b.dtype = SC_F32;
    sc_dense_strides(&a, l->a.stride);
    sc_dense_strides(&b, l->b.stride);
    return SC_OK;
}

static sc_status add(sc_adapters *to, const sc_adapter_part *like, const char *name, int64_t experts, int64_t rank,
                     int64_t rows, int64_t cols, sc_adapter_part **out)
{
    if (!name || !sc_grow(&to->part, &to->cap, to->count + 1, sizeof *to->part)) return sc_nomem();
    sc_adapter_part *part = *out = &to->part[to->count++];
    *part = (sc_adapter_part){.name = name, .stem = name, .weight = like->weight, .adapter = like->adapter};
    return make(part, experts, rank, rows, cols);
}

/* One matrix of all experts: rows first, first + step, ... of what the tensor's b gives. */
static sc_status add_rows(sc_adapters *to, sc_model *m, const sc_adapter_part *from, const char *name, int64_t rows,
                          int64_t first, int64_t step)
{
    const sc_moe_decoder *d = sc_model_moe(m);
    int64_t experts = d->moe.experts, rank = from->lora.rank / experts, cols = from->lora.cols;
    const char *dot = strstr(from->name, ".experts"), *layer = dot;
    double scale = from->alpha / (from->rslora ? sqrt((double)rank) : (double)rank);
    sc_adapter_part *part;
    while (layer > from->name && layer[-1] != '.')
        layer--; /* the mixture's own name, which models do not agree on */
    sc_status s = add(
        to, from,
        sc_arena_printf(m->arena, "%.*s%s.experts.%%d.%s", (int)(layer - from->name), from->name, d->name, name),
        experts, rank, rows, cols, &part);
    if (s) return s;
    const float *b = from->lora.b.data;
    float *y = part->lora.b.data;
    memcpy(part->lora.a.data, from->lora.a.data, sizeof(float) * (size_t)(experts * rank * cols));
    for (int64_t e = 0; e < experts; e++)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < rank; k++)
                *y++ = (float)(scale * b[(first + r * step) * from->lora.rank + k * experts + e]);
    return SC_OK;
}

static sc_status split(sc_adapters *to, sc_model *m, const sc_adapter_part *p)
{
    const sc_moe_decoder *d = sc_model_moe(m);
    int64_t in = p->lora.cols, out = p->lora.rows, c = d->decoder.width, n = d->moe.width;
    bool turns = m->family->columns; /* gates and what they gate in turn */
    if (p->magnitude) return sc_fail(SC_EUNSUPPORTED, "'%s': no DoRA on experts", p->name);
    if (p->lora.rank % d->moe.experts)
        return sc_fail(SC_ESHAPE, "an adapter for another model: its rank for '%s' is %lld for %lld experts",
                       p->name, (long long)p->lora.rank, (long long)d->moe.experts);
    if (in == n && out == c) return add_rows(to, m, p, d->moe.down, c, 0, 1);
    if (in != c || out != 2 * n)
        return sc_fail(SC_ESHAPE, "an adapter for another model: its part for '%s' is for (%lld, %lld)", p->name,
                       (long long)out, (long long)in);
    sc_status s = add_rows(to, m, p, d->moe.gate, n, 0, turns ? 2 : 1);
    return s ? s : add_rows(to, m, p, d->moe.up, n, turns ? 1 : n, turns ? 2 : 1);
}

/* Part i with all of the same matrix and adapter that come after it. */
static sc_status join(sc_adapters *to, sc_model *m, const sc_adapters *a, int64_t i, bool *taken)
{
    int64_t experts = sc_model_moe(m)->moe.experts, rank = 0;
    int before, other_before;
    const char *rest, *other;
    const sc_adapter_part *p = &a->part[i];
    expert_of(p->name, &before, &rest);
    for (int pass = 0; pass < 2; pass++) {
        sc_adapter_part *part = NULL;
        sc_status s = pass ? add(to, p, sc_arena_printf(m->arena, "%.*s%%d%s", before, p->name, rest), experts,
                                 rank, p->lora.rows, p->lora.cols, &part)
                           : SC_OK;
        if (s) return s;
        for (int64_t k = i; k < a->count; k++) {
            const sc_adapter_part *q = &a->part[k];
            int64_t e = taken[k] ? -1 : expert_of(q->name, &other_before, &other);
            if (e < 0 || q->adapter != p->adapter || other_before != before || strcmp(other, rest) != 0 ||
                strncmp(p->name, q->name, (size_t)before) != 0)
                continue;
            if (q->magnitude || q->lora.kind != SC_LORA_ADDS)
                return sc_fail(SC_EUNSUPPORTED, "'%s': only LoRA is known for experts", q->name);
            if (e >= experts || q->lora.rows != p->lora.rows || q->lora.cols != p->lora.cols)
                return sc_fail(SC_ESHAPE, "an adapter for another model: '%s' among %lld experts", q->name,
                               (long long)experts);
            rank = SC_MAX(rank, q->lora.rank);
            if (!pass) continue;
            taken[k] = true;
            memcpy((float *)part->lora.a.data + e * rank * p->lora.cols, q->lora.a.data,
                   sizeof(float) * (size_t)(q->lora.rank * p->lora.cols));
            for (int64_t r = 0; r < p->lora.rows; r++)
                memcpy((float *)part->lora.b.data + (e * p->lora.rows + r) * rank,
                       (const float *)q->lora.b.data + r * q->lora.rank, sizeof(float) * (size_t)q->lora.rank);
        }
    }
    return SC_OK;
}

static void drop(sc_adapter_part *p)
{
    sc_buffer_unref(p->lora.a.buffer);
    sc_buffer_unref(p->lora.b.buffer);
    sc_buffer_unref(p->magnitude);
}

/* Leaves the columns that the matrix has. */
static sc_status narrow(sc_adapter_part *part, sc_model *m)
{
    char name[512];
    sc_lora *l = &part->lora;
    snprintf(name, sizeof name, "%s.weight", part->name);
    const sc_weight *w = sc_model_weight(m, name);
    if (!part->wide || !w || w->shape.rank != 2) return SC_OK; /* what is not there is told later */
    int64_t cols = w->shape.dim[0] == l->rows ? w->shape.dim[1] : w->shape.dim[0];
    if (cols > l->cols)
        return sc_fail(SC_ESHAPE, "an adapter for another model: vera_A is too narrow for '%s'", part->name);
    float *x = l->a.data;
    for (int64_t r = 1; r < l->rank; r++) memmove(x + r * cols, x + r * l->cols, sizeof *x * (size_t)cols);
    l->a.stride[0] = l->cols = cols;
    return SC_OK;
}

sc_status sc_adapters_gather(sc_adapters *a, sc_model *m)
{
    const sc_moe_decoder *d = sc_model_moe(m);
    sc_adapters made = {0};
    sc_status s = SC_OK;
    int before;
    const char *rest;
    bool *taken = sc_calloc((size_t)a->count + 1, sizeof *taken);
    if (!taken) return sc_nomem();
    for (int64_t i = 0; !s && i < a->count; i++) {
        bool single = expert_of(a->part[i].name, &before, &rest) >= 0;
        if ((s = narrow(&a->part[i], m))) break;
        if (taken[i] || (!single && !a->part[i].stacked)) continue;
        if (!d || d->moe.experts < 1) {
            s = sc_fail(SC_ENOTFOUND, "the adapter changes '%s', which the model does not have", a->part[i].name);
        } else if (a->part[i].stacked) {
            taken[i] = true;
            s = split(&made, m, &a->part[i]);
        } else {
            s = join(&made, m, a, i, taken);
        }
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < a->count; i++) {
        if (taken[i])
            drop(&a->part[i]);
        else
            a->part[kept++] = a->part[i];
    }
    a->count = kept;
    if (!sc_grow(&a->part, &a->cap, a->count + made.count, sizeof *a->part) && made.count) {
        for (int64_t i = 0; i < made.count; i++) drop(&made.part[i]);
        s = s ? s : sc_nomem();
    } else if (made.count) {
        memcpy(a->part + a->count, made.part, sizeof *a->part * (size_t)made.count);
        a->count += made.count;
    }
    sc_free(made.part);
    sc_free(taken);
    return s;
}

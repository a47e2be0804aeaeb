/* SPDX-License-Identifier: Apache-2.0 */
/* Experts as gpt-oss's checkpoints keep them: a layer's in one tensor, each matrix stored (in, out), and the columns of
 * gates and of what they gate in turn. */
#include "models/models.h"

#include <stdlib.h>

/* Part i, (N, C), as f32. */
static sc_status read_part(const sc_item *it, int64_t i, int64_t n, int64_t c, float *x)
{
    int64_t step = SC_MAX(it->step, 1), bytes = sc_dtype_size(it->from, 1);
    const char *from = it->part[i];
    sc_status s = SC_OK;
    if (!it->transpose) return sc_dequantize(it->from, from, x, n * c);
    for (int64_t k = 0; !s && k < c; k++)
        for (int64_t r = 0; !s && r < n; r++)
            s = sc_dequantize(it->from, from + (k * n + r) * step * bytes, x + r * c + k, 1);
    return s;
}

sc_status sc_item_columns(const sc_item *it, sc_sink *sink, void *user)
{
    int64_t width = it->dim[it->rank - 1], n = width / it->columns, c = it->rank == 3 ? it->dim[1] : 1;
    int64_t bytes = sc_dtype_size(it->to, width * c);
    float *x = sc_malloc(sizeof *x * (size_t)(n * c)), *y = sc_malloc(sizeof *y * (size_t)(width * c));
    void *out = sc_malloc((size_t)SC_MAX(bytes, 1));
    sc_status s = x && y && out ? SC_OK : sc_nomem();
    for (int64_t e = 0; !s && e < it->parts; e += it->columns) {
        for (int64_t k = 0; !s && k < it->columns; k++) {
            s = read_part(it, e + k, n, c, x);
            for (int64_t r = 0; !s && r < n; r++)
                for (int64_t i = 0; i < c; i++) y[i * width + r * it->columns + k] = x[r * c + i];
        }
        if (!s) s = sc_quantize(it->to, y, out, width * c);
        if (!s) s = sink(user, out, bytes);
    }
    sc_free(x);
    sc_free(y);
    sc_free(out);
    return s;
}

/* "LAYER.experts.3.gate_proj.weight" → "LAYER.experts.gate_up_proj", part 0 of 2, expert 3. */
bool sc_param_published(const sc_model *m, const sc_model_param *p, sc_published *out)
{
    const sc_moe_decoder *d = sc_model_moe(m);
    const char *at = strstr(p->name, ".experts."), *rest = at ? strchr(at + 9, '.') : NULL;
    bool columns = m->family->columns;
    if (!d || !rest || at[9] < '0' || at[9] > '9' || !(columns || m->weights.stacked)) return false;
    const char *const matrices[] = {d->moe.gate, d->moe.up, d->moe.down}, *kind = strchr(rest + 1, '.');
    bool bias = kind && strcmp(kind, ".bias") == 0;
    if (bias && !columns) return false;
    for (int i = 0; kind && i < 3; i++) {
        size_t n = strlen(matrices[i]);
        if (strncmp(rest + 1, matrices[i], n) != 0 || rest + 1 + n != kind) continue;
        *out = (sc_published){
            .expert = strtol(at + 9, NULL, 10), .part = i == 1, .parts = i < 2 ? 2 : 1, .columns = columns};
        int length = snprintf(out->name, sizeof out->name, "%.*s.experts.%s%s", (int)(at - p->name), p->name,
                              i < 2 ? "gate_up_proj" : "down_proj", bias ? "_bias" : "");
        return length < (int)sizeof out->name && out->expert < m->info.experts;
    }
    return false;
}

sc_status sc_items_add_column(sc_items *items, const sc_model *m, const sc_model_param *p, bool *added)
{
    sc_published at;
    int64_t k = items->count;
    if (!sc_param_published(m, p, &at)) return SC_OK;
    *added = true;
    if (sc_adapters_change(m, p->name))
        return sc_fail(SC_EUNSUPPORTED,
                       "the adapter changes '%s': that cannot be merged into a folder, only into GGUF", p->name);
    while (k > 0 && strcmp(items->item[k - 1].name, at.name) != 0) k--;
    if (k == 0) {
        if (!sc_grow(&items->item, &items->cap, items->count + 1, sizeof *items->item)) return sc_nomem();
        sc_item *it = &items->item[items->count];
        *it = (sc_item){.name = sc_arena_strndup(items->arena, at.name, strlen(at.name)),
                        .from = p->dtype,
                        .to = p->dtype,
                        .data = p->data,
                        .transpose = p->transposed,
                        .step = p->step,
                        .parts = m->info.experts * at.parts,
                        .columns = at.parts,
                        .layer = -1};
        it->part = sc_arena_alloc(items->arena, sizeof *it->part * (size_t)it->parts);
        if (!it->name || !it->part) return sc_nomem();
        it->dim[it->rank++] = m->info.experts;
        if (p->rank == 2) it->dim[it->rank++] = p->dim[1];
        it->dim[it->rank++] = p->dim[0] * at.parts;
        k = ++items->count;
    }
    sc_item *it = &items->item[k - 1];
    if (it->from != p->dtype || it->transpose != p->transposed)
        return sc_fail(SC_EUNSUPPORTED, "%s: '%s' is stored in another way than the experts before it",
                       m->info.path, p->name);
    it->part[at.expert * at.parts + at.part] = p->data;
    return SC_OK;
}

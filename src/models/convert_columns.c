/* SPDX-License-Identifier: Apache-2.0 */
/* Experts as gpt-oss's checkpoints keep them: a layer's in one tensor, each matrix stored (in, out), and the columns of
 * gates and of what they gate in turn. */
#include "models/models.h"

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

/* "LAYER.experts.3.gate_proj.weight" → "LAYER.experts.gate_up_proj", column 0 of 2, expert 3. */
static bool place_of(const sc_model_param *p, char name[512], int64_t *expert, int64_t *column, int64_t *columns)
{
    static const char *const matrices[] = {"gate_proj", "up_proj", "down_proj"};
    const char *at = strstr(p->name, ".experts.");
    int n = 0, e = 0;
    if (!at || sscanf(at, ".experts.%d%n", &e, &n) != 1 || at[n] != '.') return false;
    const char *rest = at + n + 1, *kind = strchr(rest, '.');
    for (int i = 0; kind && i < 3; i++) {
        if (strncmp(rest, matrices[i], (size_t)(kind - rest)) != 0) continue;
        *expert = e;
        *columns = i < 2 ? 2 : 1;
        *column = i % 2;
        if (i == 2) *column = 0;
        return snprintf(name, 512, "%.*s.experts.%s%s", (int)(at - p->name), p->name,
                        i < 2 ? "gate_up_proj" : "down_proj", strcmp(kind, ".bias") == 0 ? "_bias" : "") < 512;
    }
    return false;
}

sc_status sc_items_add_column(sc_items *items, const sc_model *m, const sc_model_param *p, bool *added)
{
    char name[512];
    int64_t expert, column, columns, k = items->count;
    if (!place_of(p, name, &expert, &column, &columns)) return SC_OK;
    *added = true;
    if (sc_adapters_change(m, p->name))
        return sc_fail(SC_EUNSUPPORTED,
                       "the adapter changes '%s': that cannot be merged into a folder, only into GGUF", p->name);
    while (k > 0 && strcmp(items->item[k - 1].name, name) != 0) k--;
    if (k == 0) {
        if (!sc_grow(&items->item, &items->cap, items->count + 1, sizeof *items->item)) return sc_nomem();
        sc_item *it = &items->item[items->count];
        *it = (sc_item){.name = sc_arena_strndup(items->arena, name, strlen(name)),
                        .from = p->dtype,
                        .to = p->dtype,
                        .data = p->data,
                        .transpose = p->transposed,
                        .step = p->step,
                        .parts = m->info.experts * columns,
                        .columns = columns,
                        .layer = -1};
        it->part = sc_arena_alloc(items->arena, sizeof *it->part * (size_t)it->parts);
        if (!it->name || !it->part) return sc_nomem();
        it->dim[it->rank++] = m->info.experts;
        if (p->rank == 2) it->dim[it->rank++] = p->dim[1];
        it->dim[it->rank++] = p->dim[0] * columns;
        k = ++items->count;
    }
    sc_item *it = &items->item[k - 1];
    if (it->from != p->dtype || it->transpose != p->transposed)
        return sc_fail(SC_EUNSUPPORTED, "%s: '%s' is stored in another way than the experts before it",
                       m->info.path, p->name);
    it->part[expert * columns + column] = p->data;
    return SC_OK;
}

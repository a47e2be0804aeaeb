/* SPDX-License-Identifier: Apache-2.0 */
/* What PEFT saves of other adapters than LoRA. IA3: NAME.ia3_l, (N, 1) for what comes out of a matrix, (1, C) for what goes
 * into it. VeRA (Kopiczko et al. 2024, arXiv:2310.11454): NAME.vera_lambda_d (R) and vera_lambda_b (N) on a vera_A (R, most
 * in) and vera_B (most out, R) that all share. Prompt, P- and prefix tuning: prompt_embeddings, (tokens, C) or (tokens, 2 *
 * layers * width of a key). */
#include "models/models.h"

sc_status sc_adapter_add_scale(sc_adapters *a, const sc_adapter_source *from, const sc_file_tensor *t,
                               const char *end)
{
    sc_adapter_part *part;
    bool in = t->rank == 2 && t->dim[0] == 1 && t->dim[1] > 1;
    if (t->rank != 2 || (!in && t->dim[1] != 1))
        return sc_fail(SC_ESHAPE, "%s: '%s' is not a vector", from->what, t->name);
    sc_status s = sc_adapter_new_part(a, from, t->name, strlen(end), &part);
    if (s) return s;
    sc_lora *l = &part->lora;
    *l = (sc_lora){.rank = 1, .rows = in ? 0 : t->dim[0], .cols = in ? t->dim[1] : 0};
    l->kind = in ? SC_LORA_SCALES_IN : SC_LORA_SCALES_OUT;
    sc_storage *to = in ? &l->a : &l->b;
    if ((s = sc_adapter_load(to, t, 1, false))) return s;
    to->stride[0] = 1;
    float *x = to->data;
    for (int64_t i = 0; i < t->dim[0] * t->dim[1]; i++) x[i] = (float)(1 + from->weight * ((double)x[i] - 1));
    return SC_OK;
}

/* "base_model.vera_A", whatever PEFT's version put around it. */
static const sc_file_tensor *shared(const sc_safetensors *st, const char *name)
{
    for (int64_t i = 0; i < sc_safetensors_count(st); i++)
        if (sc_path_has_suffix(sc_safetensors_get(st, i)->name, name)) return sc_safetensors_get(st, i);
    return NULL;
}

/* lambda_b (B (lambda_d (A x))) is a LoRA with b = lambda_b B and a = lambda_d A, of which a matrix uses a part. */
sc_status sc_adapter_add_vera(sc_adapters *a, const sc_adapter_source *from, const sc_file_tensor *t,
                              const char *end)
{
    char name[512];
    const sc_file_tensor *d, *wide_a = shared(from->st, "vera_A"), *wide_b = shared(from->st, "vera_B");
    sc_adapter_part *part;
    size_t n = strlen(t->name) - strlen(end);
    snprintf(name, sizeof name, "%.*s.vera_lambda_d", (int)n, t->name);
    sc_status s = sc_safetensors_find(from->st, name, &d);
    if (s) return s;
    if (!wide_a || !wide_b)
        return sc_fail(SC_EUNSUPPORTED, "%s: vera_A and vera_B were not saved (save_projection)", from->what);
    int64_t rank = d->dim[0], rows = t->dim[0];
    if (t->rank != 1 || d->rank != 1 || wide_a->rank != 2 || wide_b->rank != 2 || wide_a->dim[0] != rank ||
        wide_b->dim[1] != rank || wide_b->dim[0] < rows || rank < 1 || rows < 1)
        return sc_fail(SC_ESHAPE, "%s: '%s' does not fit vera_A and vera_B", from->what, t->name);
    if ((s = sc_adapter_new_part(a, from, t->name, strlen(end), &part))) return s;
    sc_storage factor = {0};
    part->lora = (sc_lora){.rank = rank, .rows = rows, .cols = wide_a->dim[1]};
    part->wide = true;
    if ((s = sc_adapter_load(&part->lora.a, wide_a, 1, false)) ||
        (s = sc_adapter_load(&part->lora.b, wide_b, (float)from->weight, false)))
        return s;
    float *x = part->lora.a.data, *y = part->lora.b.data;
    if (!(s = sc_adapter_load(&factor, d, 1, false)))
        for (int64_t i = 0; i < rank * wide_a->dim[1]; i++)
            x[i] *= ((const float *)factor.data)[i / wide_a->dim[1]];
    sc_buffer_unref(factor.buffer);
    factor = (sc_storage){0};
    if (!s && !(s = sc_adapter_load(&factor, t, 1, false)))
        for (int64_t i = 0; i < rows * rank; i++) y[i] *= ((const float *)factor.data)[i / rank];
    sc_buffer_unref(factor.buffer);
    return s;
}

/* NAME.adapter_down.weight (R, N), .adapter_down.bias (R), .adapter_up.weight (N, R), .adapter_up.bias (N), as socle saves them:
 * PEFT has no such type. */
sc_status sc_adapter_add_bottleneck(sc_adapters *a, const sc_adapter_source *from, const sc_file_tensor *t,
                                    const char *end)
{
    static const char *const others[] = {".adapter_down.bias", ".adapter_up.weight", ".adapter_up.bias"};
    const sc_file_tensor *of[4] = {t};
    size_t n = strlen(t->name) - strlen(end);
    sc_adapter_part *part;
    sc_status s = SC_OK;
    for (int i = 0; !s && i < SC_COUNT(others); i++) {
        char name[512];
        snprintf(name, sizeof name, "%.*s%s", (int)n, t->name, others[i]);
        s = sc_safetensors_find(from->st, name, &of[i + 1]);
    }
    if (s) return s;
    int64_t rank = t->rank == 2 ? t->dim[0] : 0, rows = t->rank == 2 ? t->dim[1] : 0;
    if (rank < 1 || rows < 1 || of[1]->rank != 1 || of[1]->dim[0] != rank || of[2]->rank != 2 ||
        of[2]->dim[0] != rows || of[2]->dim[1] != rank || of[3]->rank != 1 || of[3]->dim[0] != rows)
        return sc_fail(SC_ESHAPE, "%s: '%s' and its kin do not fit each other", from->what, t->name);
    if (from->weight != 1)
        return sc_fail(SC_EUNSUPPORTED, "%s: a bottleneck adapter can only have the weight 1", from->what);
    if ((s = sc_adapter_new_part(a, from, t->name, strlen(end), &part))) return s;
    part->lora = (sc_lora){.rank = rank, .rows = rows, .kind = SC_LORA_FOLLOWS};
    sc_storage *const to[] = {&part->lora.a, &part->lora.a_bias, &part->lora.b, &part->lora.b_bias};
    for (int i = 0; !s && i < 4; i++) s = sc_adapter_load(to[i], of[i], 1, false);
    part->lora.a_bias.stride[0] = part->lora.b_bias.stride[0] = 1;
    return s;
}

/* (tokens, 2 * layers, width) to (2 * layers, tokens, width). */
static sc_status turn_prefix(sc_prompt *p)
{
    sc_buffer *b;
    int64_t all = 2 * p->layers;
    sc_status s = sc_buffer_new(&b, p->table.buffer->size);
    if (s) return s;
    const float *from = p->table.data;
    float *to = b->data;
    for (int64_t t = 0; t < p->rows; t++)
        for (int64_t l = 0; l < all; l++)
            memcpy(to + (l * p->rows + t) * p->width, from + (t * all + l) * p->width,
                   sizeof *to * (size_t)p->width);
    sc_buffer_unref(p->table.buffer);
    sc_shape shape = {3, {all, p->rows, p->width}};
    p->table.buffer = b;
    p->table.data = to;
    sc_dense_strides(&shape, p->table.stride);
    return SC_OK;
}

sc_status sc_adapter_add_prompt(sc_adapters *a, const sc_adapter_source *from, bool prefix)
{
    const sc_file_tensor *t;
    int64_t said = 0, layers = 0;
    sc_status s = sc_json_int(from->config, from->what, "num_virtual_tokens", 1, 1 << 20, &said);
    if (!s && prefix) s = sc_json_int(from->config, from->what, "num_layers", 1, 1024, &layers);
    if (!s) s = sc_safetensors_find(from->st, "prompt_embeddings", &t);
    if (s) return s;
    if (t->rank != 2 || t->dim[0] < 1 || t->dim[0] > 1 << 20 || t->dim[1] < 1)
        return sc_fail(SC_ESHAPE, "%s: prompt_embeddings is not (tokens, width)", from->what);
    if (a->prompt.ids) return sc_fail(SC_EUNSUPPORTED, "%s: a second adapter with virtual tokens", from->what);
    if (from->weight != 1)
        return sc_fail(SC_EUNSUPPORTED, "%s: virtual tokens can only have the weight 1", from->what);
    /* Where there are more they are of the decoder, which PEFT gives none when it generates. */
    int64_t rows = said ? said : t->dim[0];
    if (rows > t->dim[0])
        return sc_fail(SC_ESHAPE, "%s: %lld virtual tokens, but prompt_embeddings has %lld", from->what,
                       (long long)rows, (long long)t->dim[0]);
    if (prefix && (layers < 1 || t->dim[1] % (2 * layers)))
        return sc_fail(SC_ESHAPE, "%s: prompt_embeddings, %lld wide, is not of keys and values of %lld layers",
                       from->what, (long long)t->dim[1], (long long)layers);
    a->prompt = (sc_prompt){.ids = "input_ids", .rows = rows, .width = t->dim[1], .layers = layers};
    if (prefix) a->prompt.width /= 2 * layers;
    s = sc_adapter_load(&a->prompt.table, t, 1, false);
    return s || !prefix ? s : turn_prefix(&a->prompt);
}

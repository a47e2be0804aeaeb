/* SPDX-License-Identifier: Apache-2.0 */
/* LoRA adapters as PEFT saves them: adapter_config.json and pairs NAME.lora_A.weight (R, C), NAME.lora_B.weight (N, R). */
#include "models/models.h"

#include <math.h>

static const char prefix[] = "base_model.model.";

typedef struct lora_config {
    int64_t rank;
    double alpha;
    bool rslora;
    const json_t *alpha_pattern;
} lora_config;

/* What is not done is refused: an adapter applied in part would be a wrong model. */
static sc_status read_config(lora_config *c, const json_t *j, const char *what)
{
    const char *type = "", *bias = "none";
    bool dora = false;
    sc_status s = sc_json_str(j, what, "peft_type", &type);
    if (!s) s = sc_json_str(j, what, "bias", &bias);
    if (!s) s = sc_json_bool(j, what, "use_dora", &dora);
    if (s) return s;
    if (strcmp(type, "LORA") != 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: adapters of type '%s' are not supported", what, type);
    if (dora) return sc_fail(SC_EUNSUPPORTED, "%s: DoRA is not supported", what);
    if (strcmp(bias, "none") != 0) return sc_fail(SC_EUNSUPPORTED, "%s: trained biases are not supported", what);
    c->alpha_pattern = json_object_get(j, "alpha_pattern");
    if ((s = sc_json_int(j, what, "r", 1, 1 << 20, &c->rank)) ||
        (s = sc_json_num(j, what, "lora_alpha", -1e9, 1e9, &c->alpha)) ||
        (s = sc_json_bool(j, what, "use_rslora", &c->rslora)))
        return s;
    return SC_OK;
}

/* alpha of one matrix: a pattern names the end of its path. */
static double alpha_of(const lora_config *c, const char *name)
{
    const char *key;
    json_t *v;
    size_t n = strlen(name);
    json_object_foreach((json_t *)(uintptr_t)c->alpha_pattern, key, v)
    {
        size_t k = strlen(key);
        if (json_is_number(v) && k <= n && strcmp(name + n - k, key) == 0 && (k == n || name[n - k - 1] == '.'))
            return json_number_value(v);
    }
    return c->alpha;
}

/* A matrix as f32 times `scale`, in memory of its own. */
static sc_status load(sc_storage *out, const sc_file_tensor *t, float scale)
{
    int64_t n = t->dim[0] * t->dim[1];
    sc_shape shape = {2, {t->dim[0], t->dim[1]}};
    sc_status s = sc_buffer_new(&out->buffer, n * (int64_t)sizeof(float));
    if (s) return s;
    float *x = out->data = out->buffer->data;
    out->dtype = SC_F32;
    sc_dense_strides(&shape, out->stride);
    if (t->dtype == SC_F32)
        memcpy(x, t->data, sizeof *x * (size_t)n);
    else
        s = sc_dequantize(t->dtype, t->data, x, n);
    for (int64_t i = 0; i < n; i++) x[i] *= scale;
    return s;
}

static sc_status add_pair(sc_adapters *a, sc_arena *arena, const sc_safetensors *st, const sc_file_tensor *down,
                          const lora_config *c, const char *what)
{
    static const char end[] = ".lora_A.weight";
    char up_name[512];
    const sc_file_tensor *up;
    size_t n = strlen(down->name) - strlen(end),
           skip = strncmp(down->name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
    snprintf(up_name, sizeof up_name, "%.*s.lora_B.weight", (int)n, down->name);
    sc_status s = sc_safetensors_find(st, up_name, &up);
    if (s) return s;
    if (n < skip || down->rank != 2 || up->rank != 2 || down->dim[0] != up->dim[1] || down->dim[0] < 1)
        return sc_fail(SC_ESHAPE, "%s: '%s' and its lora_B do not fit each other", what, down->name);
    if (!sc_grow(&a->part, &a->cap, a->count + 1, sizeof *a->part)) return sc_nomem();
    sc_adapter_part *part = &a->part[a->count];
    *part = (sc_adapter_part){.name = sc_arena_strndup(arena, down->name + skip, n - skip),
                              .lora = {.rank = down->dim[0], .rows = up->dim[0], .cols = down->dim[1]}};
    if (!part->name) return sc_nomem();
    a->count++;
    double rank = (double)down->dim[0], alpha = alpha_of(c, part->name);
    if ((s = load(&part->lora.a, down, 1))) return s;
    return load(&part->lora.b, up, (float)(alpha / (c->rslora ? sqrt(rank) : rank)));
}

sc_status sc_adapters_add(sc_adapters *a, sc_arena *arena, const char *dir)
{
    sc_safetensors *st = NULL;
    json_t *j = NULL;
    lora_config c = {.rank = 8, .alpha = 8};
    char *path = sc_path_join(dir, "adapter_config.json");
    sc_status s = path ? sc_json_read(&j, path, 16 << 20) : sc_nomem();
    if (!s) s = read_config(&c, j, path);
    if (!s) s = sc_safetensors_open(&st, dir);
    for (int64_t i = 0; !s && i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        if (sc_path_has_suffix(t->name, ".lora_A.weight"))
            s = add_pair(a, arena, st, t, &c, dir);
        else if (!sc_path_has_suffix(t->name, ".lora_B.weight"))
            s = sc_fail(SC_EUNSUPPORTED, "%s: the adapter holds '%s', which is not a LoRA matrix", dir, t->name);
    }
    sc_safetensors_free(st);
    json_decref(j);
    sc_free(path);
    return s;
}

/* Row i of b goes to where `place` says. */
static sc_status move_rows(sc_adapter_part *part, int64_t n, int64_t unit,
                           int64_t (*place)(int64_t i, int64_t unit, int64_t n))
{
    int64_t r = part->lora.rank;
    sc_buffer *buffer;
    if (part->lora.rows != n || n % unit)
        return sc_fail(SC_ESHAPE, "the adapter's matrix for '%s' does not fit", part->name);
    sc_status s = sc_buffer_new(&buffer, part->lora.b.buffer->size);
    if (s) return s;
    const float *from = part->lora.b.data;
    float *to = buffer->data;
    for (int64_t i = 0; i < n; i++) memcpy(to + place(i, unit, n) * r, from + i * r, sizeof *to * (size_t)r);
    sc_buffer_unref(part->lora.b.buffer);
    part->lora.b.buffer = buffer;
    part->lora.b.data = to;
    return SC_OK;
}

/* Feature f of a head of d is half f / (d/2) of pair f % (d/2). */
static int64_t place_in_pairs(int64_t i, int64_t d, int64_t n)
{
    (void)n;
    int64_t f = i % d;
    return i - f + f % (d / 2) * 2 + f / (d / 2);
}

sc_status sc_adapter_permute(sc_adapter_part *part, int64_t n, int64_t head_dim)
{
    return move_rows(part, n, head_dim, place_in_pairs);
}

/* A head has its query, key and value, together `unit`. */
static int64_t place_joined(int64_t i, int64_t unit, int64_t n)
{
    int64_t d = unit / 3, head = i / unit, which = i % unit / d;
    return which * (n / 3) + head * d + i % d;
}

sc_status sc_adapter_join(sc_adapter_part *part, int64_t n, int64_t heads)
{
    return move_rows(part, n, n / SC_MAX(heads, 1), place_joined);
}

void sc_adapters_free(sc_adapters *a)
{
    for (int64_t i = 0; i < a->count; i++) {
        sc_buffer_unref(a->part[i].lora.a.buffer);
        sc_buffer_unref(a->part[i].lora.b.buffer);
    }
    sc_free(a->part);
    *a = (sc_adapters){0};
}

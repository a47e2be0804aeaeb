/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters as PEFT saves them: adapter_config.json, and for LoRA pairs NAME.lora_A.weight (R, C), NAME.lora_B.weight (N, R),
 * with DoRA NAME.lora_magnitude_vector (N), and whole tensors. For the other kinds see adapter_kinds.c. */
#include "models/models.h"

#include <ctype.h>
#include <math.h>

static const char prefix[] = "base_model.model.";

typedef enum adapter_kind { LORA, IA3, VERA, BOTTLENECK, PROMPT, PREFIX } adapter_kind;

typedef struct lora_config {
    sc_adapter_source from;
    adapter_kind kind;
    double alpha;
    bool rslora, dora;
    const json_t *alpha_pattern;
} lora_config;

/* A key of a pattern: the end of a path at a dot, or with ^ a whole path. PEFT reads regular expressions there, of which
 * those are what its own documentation shows. */
static sc_status check_pattern(const json_t *pattern, const char *what, const char *field)
{
    const char *key;
    json_t *v;
    if (pattern && !json_is_null(pattern) && !json_is_object(pattern))
        return sc_fail(SC_EFORMAT, "%s: %s is not an object", what, field);
    json_object_foreach((json_t *)(uintptr_t)pattern, key, v)
    {
        for (const char *c = key; *c; c++)
            if (!isalnum((unsigned char)*c) && !strchr("._-", *c) && !(c == key && *c == '^'))
                return sc_fail(SC_EUNSUPPORTED, "%s: %s has the key '%s'; only ends of names are understood", what,
                               field, key);
        if (!json_is_number(v)) return sc_fail(SC_EFORMAT, "%s: %s '%s' is not a number", what, field, key);
    }
    return SC_OK;
}

static sc_status read_kind(lora_config *c)
{
    static const struct {
        const char *name;
        adapter_kind kind;
    } kinds[] = {{"LORA", LORA},
                 {"IA3", IA3},
                 {"BOTTLENECK", BOTTLENECK},
                 {"VERA", VERA},
                 {"PROMPT_TUNING", PROMPT},
                 {"P_TUNING", PROMPT},
                 {"PREFIX_TUNING", PREFIX}};
    const char *type = "";
    sc_status s = sc_json_str(c->from.config, c->from.what, "peft_type", &type);
    if (s) return s;
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        if (strcmp(kinds[i].name, type) != 0) continue;
        c->kind = kinds[i].kind;
        return SC_OK;
    }
    return sc_fail(SC_EUNSUPPORTED, "%s: adapters of type '%s' are not supported", c->from.what, type);
}

/* What is not done is refused: an adapter applied in part would be a wrong model. */
static sc_status read_config(lora_config *c)
{
    const json_t *j = c->from.config;
    const char *what = c->from.what;
    int64_t rank = 8; /* the matrices say it */
    sc_status s = read_kind(c);
    c->alpha_pattern = json_object_get(j, "alpha_pattern");
    if (s || (s = check_pattern(c->alpha_pattern, what, "alpha_pattern")) ||
        (s = check_pattern(json_object_get(j, "rank_pattern"), what, "rank_pattern")) ||
        (s = sc_json_int(j, what, "r", 1, 1 << 20, &rank)) ||
        (s = sc_json_num(j, what, "lora_alpha", -1e9, 1e9, &c->alpha)) ||
        (s = sc_json_bool(j, what, "use_dora", &c->dora)) || (s = sc_json_bool(j, what, "use_rslora", &c->rslora)))
        return s;
    return SC_OK;
}

static double alpha_of(const lora_config *c, const char *name)
{
    const char *key;
    json_t *v;
    size_t n = strlen(name);
    json_object_foreach((json_t *)(uintptr_t)c->alpha_pattern, key, v)
    {
        bool whole = key[0] == '^';
        const char *end = key + whole;
        size_t k = strlen(end);
        if (k <= n && strcmp(name + n - k, end) == 0 && (k == n || (!whole && name[n - k - 1] == '.')))
            return json_number_value(v);
    }
    return c->alpha;
}

sc_status sc_adapter_load(sc_storage *out, const sc_file_tensor *t, float scale, bool turned)
{
    int64_t n = 1;
    if (t->dtype == SC_DTYPE_COUNT) /* whose size nobody has checked */
        return sc_fail(SC_EUNSUPPORTED, "'%s': type %.40s is not supported", t->name, t->type);
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    sc_shape shape = {2, {t->dim[0], t->rank > 1 ? t->dim[1] : 1}};
    if (turned) shape = (sc_shape){2, {t->dim[1], t->dim[0]}};
    float *as_stored = sc_malloc(sizeof *as_stored * (size_t)n);
    sc_status s = as_stored ? sc_buffer_new(&out->buffer, n * (int64_t)sizeof(float)) : sc_nomem();
    if (!s && t->dtype == SC_F32)
        memcpy(as_stored, t->data, sizeof *as_stored * (size_t)n);
    else if (!s)
        s = sc_dequantize(t->dtype, t->data, as_stored, n);
    if (!s) {
        float *x = out->data = out->buffer->data;
        out->dtype = SC_F32;
        sc_dense_strides(&shape, out->stride);
        for (int64_t i = 0; i < n; i++)
            x[turned ? i % t->dim[1] * t->dim[0] + i / t->dim[1] : i] = as_stored[i] * scale;
    }
    sc_free(as_stored);
    return s;
}

static sc_status load_magnitude(sc_adapter_part *part, const sc_safetensors *st, const char *stem, int n,
                                const lora_config *c)
{
    char name[512];
    const sc_file_tensor *t;
    int64_t values = 1;
    sc_storage made = {0};
    snprintf(name, sizeof name, "%.*s.lora_magnitude_vector", n, stem);
    sc_status s = sc_safetensors_find(st, name, &t);
    if (s) {
        snprintf(name, sizeof name, "%.*s.lora_magnitude_vector.weight", n, stem);
        s = sc_safetensors_find(st, name, &t);
    }
    if (s) return s;
    for (int i = 0; i < t->rank; i++) values *= t->dim[i];
    if (t->rank < 1 || values != part->lora.rows)
        return sc_fail(SC_ESHAPE, "%s: '%s' has not one number a row", c->from.what, name);
    s = sc_adapter_load(&made, t, 1, false);
    part->magnitude = made.buffer;
    return s;
}

sc_status sc_adapter_new_part(sc_adapters *a, const sc_adapter_source *from, const char *name, size_t n,
                              sc_adapter_part **out)
{
    static const char inner[] = ".base_layer";
    size_t end = strlen(name) - n, skip = strncmp(name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0;
    while (end > strlen(inner) && memcmp(name + end - strlen(inner), inner, strlen(inner)) == 0)
        end -= strlen(inner); /* another adapter of the same module lies around it */
    if (end < skip || !sc_grow(&a->part, &a->cap, a->count + 1, sizeof *a->part)) return sc_nomem();
    sc_adapter_part *part = *out = &a->part[a->count];
    *part = (sc_adapter_part){.stem = sc_arena_strndup(from->arena, name, end),
                              .use = SC_LORA_LINEAR,
                              .weight = (float)from->weight,
                              .adapter = a->adapters};
    if (!part->stem) return sc_nomem();
    part->name = part->stem + skip;
    a->count++;
    return SC_OK;
}

static sc_status add_pair(sc_adapters *a, const sc_safetensors *st, const sc_file_tensor *down, const char *end,
                          const lora_config *c)
{
    bool table = strcmp(end, ".lora_embedding_A") == 0;
    char up_name[512];
    const sc_file_tensor *up;
    sc_adapter_part *part;
    size_t n = strlen(down->name) - strlen(end);
    snprintf(up_name, sizeof up_name, "%.*s.%s", (int)n, down->name, table ? "lora_embedding_B" : "lora_B.weight");
    sc_status s = sc_safetensors_find(st, up_name, &up);
    if (s) return s;
    if (down->rank != 2 || up->rank != 2 || down->dim[0] != up->dim[1] || down->dim[0] < 1)
        return sc_fail(SC_ESHAPE, "%s: '%s' and its lora_B do not fit each other", c->from.what, down->name);
    if ((s = sc_adapter_new_part(a, &c->from, down->name, strlen(end), &part))) return s;
    part->lora = (sc_lora){.rank = down->dim[0], .rows = up->dim[0], .cols = down->dim[1]};
    part->alpha = alpha_of(c, part->name);
    part->rslora = c->rslora;
    if (table) part->use = SC_LORA_TABLE;
    part->stacked = sc_path_has_suffix(part->name, ".experts");
    double rank = (double)down->dim[0], scale = part->alpha / (c->rslora ? sqrt(rank) : rank);
    if (part->stacked) scale = 1; /* the rank is of all experts */
    if ((s = sc_adapter_load(&part->lora.a, down, 1, table))) return s;
    if (c->dora && !table) {
        if ((s = load_magnitude(part, st, down->name, (int)n, c))) return s;
    } else {
        scale *= c->from.weight; /* DoRA's needs the sum with the matrix first */
    }
    part->scale = (float)scale;
    return sc_adapter_load(&part->lora.b, up, part->scale, false);
}

/* A tensor of modules_to_save or a trained bias, under the model's name. */
static sc_status add_whole(sc_adapters *a, const sc_safetensors *st, int64_t i, const lora_config *c)
{
    static const char inner[] = ".base_layer.";
    const sc_file_tensor *t = sc_safetensors_get(st, i);
    char name[512];
    snprintf(name, sizeof name, "%s",
             t->name + (strncmp(t->name, prefix, strlen(prefix)) == 0 ? strlen(prefix) : 0));
    char *at = strstr(name, inner);
    if (at) memmove(at, at + strlen(inner) - 1, strlen(at + strlen(inner) - 1) + 1);
    if (strstr(name, ".lora_") || strstr(name, ".vera_") || strstr(name, ".adapter_"))
        return sc_fail(SC_EUNSUPPORTED, "%s: the adapter holds '%s', which is not understood", c->from.what,
                       t->name);
    if (c->from.weight != 1)
        return sc_fail(SC_EUNSUPPORTED, "%s: an adapter with whole tensors ('%s') can only have the weight 1",
                       c->from.what, name);
    if (!sc_grow(&a->whole, &a->cap_whole, a->n_whole + 1, sizeof *a->whole)) return sc_nomem();
    sc_adapter_whole *w = &a->whole[a->n_whole];
    *w = (sc_adapter_whole){.name = sc_arena_strndup(c->from.arena, name, strlen(name)),
                            .shape = {.rank = t->rank},
                            .storage = {.dtype = t->dtype,
                                        .data = (void *)(uintptr_t)t->data,
                                        .buffer = sc_buffer_ref(sc_safetensors_buffer(st, i))}};
    a->n_whole++;
    memcpy(w->shape.dim, t->dim, sizeof w->shape.dim);
    sc_dense_strides(&w->shape, w->storage.stride);
    return w->name ? SC_OK : sc_nomem();
}

/* The one of the endings that the name has; NULL: none. */
static const char *ending(const char *name, const char *const *ends)
{
    for (; *ends; ends++)
        if (sc_path_has_suffix(name, *ends)) return *ends;
    return NULL;
}

static sc_status add_tensors(sc_adapters *a, const sc_safetensors *st, const lora_config *c)
{
    static const char *const first[] = {".lora_A.weight", ".lora_embedding_A", NULL};
    static const char *const seconds[] = {".lora_B.weight",
                                          ".lora_embedding_B",
                                          ".lora_magnitude_vector",
                                          ".lora_magnitude_vector.weight",
                                          ".vera_lambda_d",
                                          "vera_A",
                                          "vera_B",
                                          NULL};
    static const char *const nets[] = {".adapter_down.weight", NULL}, *const rest[] = {".adapter_down.bias",
                                                                                       ".adapter_up.weight",
                                                                                       ".adapter_up.bias", NULL};
    static const char *const scales[] = {".ia3_l", NULL}, *const veras[] = {".vera_lambda_b", NULL};
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        const char *end;
        if (c->kind == LORA && (end = ending(t->name, first)))
            s = add_pair(a, st, t, end, c);
        else if (c->kind == IA3 && (end = ending(t->name, scales)))
            s = sc_adapter_add_scale(a, &c->from, t, end);
        else if (c->kind == BOTTLENECK && (end = ending(t->name, nets)))
            s = sc_adapter_add_bottleneck(a, &c->from, t, end);
        else if (c->kind == BOTTLENECK && ending(t->name, rest))
            continue;
        else if (c->kind == VERA && (end = ending(t->name, veras)))
            s = sc_adapter_add_vera(a, &c->from, t, end);
        else if (!ending(t->name, seconds))
            s = add_whole(a, st, i, c);
    }
    return s;
}

sc_status sc_adapters_add(sc_adapters *a, sc_arena *arena, const char *dir, double weight)
{
    sc_safetensors *st = NULL;
    json_t *j = NULL;
    char *path = sc_path_join(dir, "adapter_config.json");
    lora_config c = {.alpha = 8, .from = {.weight = weight, .arena = arena, .what = path}};
    sc_status s = path ? sc_json_read(&j, path, 16 << 20) : sc_nomem();
    if (!s && !(fabs(weight) <= 1e6)) s = sc_fail(SC_EINVAL, "%s: a weight of %g", dir, weight);
    c.from.config = j;
    if (!s) s = read_config(&c);
    if (!s) s = sc_safetensors_open(&st, dir);
    c.from.st = st;
    if (!s) s = c.kind >= PROMPT ? sc_adapter_add_prompt(a, &c.from, c.kind == PREFIX) : add_tensors(a, st, &c);
    a->adapters++;
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
    if (part->lora.rows != n || unit < 1 || n % unit)
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
    return move_rows(part, n, head_dim % 2 ? 0 : head_dim, place_in_pairs);
}

/* A head has its query, key and value, together `unit`. */
static int64_t place_joined(int64_t i, int64_t unit, int64_t n)
{
    int64_t d = unit / 3, head = i / unit, which = i % unit / d;
    return which * (n / 3) + head * d + i % d;
}

sc_status sc_adapter_join(sc_adapter_part *part, int64_t n, int64_t heads)
{
    int64_t unit = n / SC_MAX(heads, 1);
    return move_rows(part, n, unit % 3 ? 0 : unit, place_joined);
}

void sc_adapters_free(sc_adapters *a)
{
    for (int64_t i = 0; i < a->count; i++) {
        sc_buffer_unref(a->part[i].lora.a.buffer);
        sc_buffer_unref(a->part[i].lora.b.buffer);
        sc_buffer_unref(a->part[i].lora.gain.buffer);
        sc_buffer_unref(a->part[i].lora.magnitude.buffer);
        sc_buffer_unref(a->part[i].lora.square.buffer);
        sc_buffer_unref(a->part[i].lora.a_bias.buffer);
        sc_buffer_unref(a->part[i].lora.b_bias.buffer);
        sc_buffer_unref(a->part[i].magnitude);
    }
    for (int64_t i = 0; i < a->n_whole; i++) sc_buffer_unref(a->whole[i].storage.buffer);
    for (int64_t i = 0; i < a->n_learnt; i++) sc_buffer_unref(a->learnt[i].buffer);
    sc_buffer_unref(a->prompt.table.buffer);
    json_decref(a->config);
    sc_free(a->learnt);
    sc_free(a->part);
    sc_free(a->whole);
    *a = (sc_adapters){0};
}

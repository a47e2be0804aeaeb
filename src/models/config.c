/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

#include <math.h>

/* Runs one typed read unless there is a fault already. */
#define READ(c, call)                                                                                              \
    do {                                                                                                           \
        if (!(c)->status) (c)->status = (call);                                                                    \
    } while (0)

bool sc_config_has(const sc_config *c, const char *key)
{
    const json_t *v = json_object_get(c->json, key);
    return v && !json_is_null(v);
}

enum { KEY = 128 };

/* The last of "a|b|c" that is there, else the first. */
static const char *pick(const sc_config *c, const char *key, char name[KEY])
{
    char other[KEY];
    snprintf(name, KEY, "%.*s", (int)strcspn(key, "|"), key);
    while ((key = strchr(key, '|'))) {
        key++;
        snprintf(other, KEY, "%.*s", (int)strcspn(key, "|"), key);
        if (sc_config_has(c, other)) memcpy(name, other, KEY);
    }
    return name;
}

bool sc_config_has_weight(const sc_config *c, const char *prefix, const char *name, bool otherwise)
{
    size_t n = strlen(prefix);
    if (!c->weights) return otherwise;
    return sc_weights_find(c->weights, name) ||
           (strncmp(name, prefix, n) == 0 && name[n] == '.' && sc_weights_find(c->weights, name + n + 1));
}

void sc_config_fault(sc_config *c, const char *fmt, ...)
{
    char text[512];
    if (c->status) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->status = sc_fail(SC_EFORMAT, "%s: %s", c->what, text);
}

int64_t sc_config_int(sc_config *c, const char *key, int64_t otherwise, int64_t lo, int64_t hi)
{
    char name[KEY];
    int64_t v = otherwise;
    key = pick(c, key, name);
    if (otherwise == SC_REQUIRED && !sc_config_has(c, key)) sc_config_fault(c, "%s is missing", key);
    READ(c, sc_json_int(c->json, c->what, key, lo, hi, &v));
    if (v < lo || v > hi) /* a default that follows from other values */
        sc_config_fault(c, "%s is %lld, outside %lld to %lld", key, (long long)v, (long long)lo, (long long)hi);
    return c->status ? SC_MAX(lo, 0) : v;
}

int64_t sc_config_padding(sc_config *c, int64_t vocab, int64_t otherwise)
{
    const int64_t most = (int64_t)1 << 40, none = most + 1;
    int64_t id = sc_config_int(c, "pad_token_id", otherwise < 0 ? none : otherwise, -most, none);
    if (id < 0) id += vocab;
    return id >= 0 && id < vocab ? id : -1;
}

double sc_config_num(sc_config *c, const char *key, double otherwise, double lo, double hi)
{
    char name[KEY];
    double v = otherwise;
    READ(c, sc_json_num(c->json, c->what, pick(c, key, name), lo, hi, &v));
    return v;
}

bool sc_config_bool(sc_config *c, const char *key, bool otherwise)
{
    char name[KEY];
    bool v = otherwise;
    READ(c, sc_json_bool(c->json, c->what, pick(c, key, name), &v));
    return v;
}

const char *sc_config_str(sc_config *c, const char *key, const char *otherwise)
{
    char name[KEY];
    const char *v = otherwise;
    READ(c, sc_json_str(c->json, c->what, pick(c, key, name), &v));
    return v;
}

sc_unary_kind sc_activation_named(sc_config *c, const char *key, const char *name)
{
    static const struct {
        const char *name;
        sc_unary_kind kind;
    } names[] = {
        {"silu", SC_UNARY_SILU},       {"swish", SC_UNARY_SILU},
        {"gelu", SC_UNARY_GELU},       {"gelu_new", SC_UNARY_GELU_TANH},
        {"relu", SC_UNARY_RELU},       {"gelu_pytorch_tanh", SC_UNARY_GELU_TANH},
        {"sigmoid", SC_UNARY_SIGMOID}, {"gelu_fast", SC_UNARY_GELU_TANH},
        {"tanh", SC_UNARY_TANH},
    };
    for (int i = 0; i < SC_COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0) return names[i].kind;
    sc_config_fault(c, "%s is '%s', an activation that is not known", key, name);
    return SC_UNARY_SILU;
}

sc_unary_kind sc_config_activation(sc_config *c, const char *key, const char *otherwise)
{
    char found[KEY];
    const char *name = sc_config_str(c, key = pick(c, key, found), otherwise);
    return sc_activation_named(c, key, name);
}

/* ---- rotary positions ---- */

/* An array of n floats in the arena; NULL where absent. */
static const float *floats(sc_config *c, const json_t *o, const char *key, int64_t n)
{
    const json_t *a = json_object_get(o, key);
    if (c->status || !a || json_is_null(a)) return NULL;
    if (!json_is_array(a) || (int64_t)json_array_size(a) != n) {
        sc_config_fault(c, "%s is not a list of %lld numbers", key, (long long)n);
        return NULL;
    }
    float *f = sc_arena_alloc(c->arena, sizeof *f * (size_t)n);
    if (!f) c->status = sc_nomem();
    for (int64_t i = 0; f && i < n; i++) {
        f[i] = (float)json_number_value(json_array_get(a, (size_t)i));
        if (!(f[i] > 0) || !isfinite(f[i]))
            sc_config_fault(c, "%s[%lld] is not a positive number", key, (long long)i);
    }
    return f;
}

static sc_rope_type rope_type(sc_config *c, const char *name)
{
    static const struct {
        const char *name;
        sc_rope_type type;
    } names[] = {
        {"default", SC_ROPE_DEFAULT}, {"linear", SC_ROPE_LINEAR},     {"dynamic", SC_ROPE_DYNAMIC},
        {"yarn", SC_ROPE_YARN},       {"longrope", SC_ROPE_LONGROPE}, {"su", SC_ROPE_LONGROPE},
        {"llama3", SC_ROPE_LLAMA3},   {"factors", SC_ROPE_FACTORS},
    };
    for (int i = 0; i < SC_COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0) return names[i].type;
    sc_config_fault(c, "rope type '%s' is not known", name);
    return SC_ROPE_DEFAULT;
}

void sc_config_rope(sc_config *c, int64_t d, sc_rope_params *out)
{
    const json_t *nested = json_object_get(c->json, "rope_parameters"),
                 *old = json_object_get(c->json, "rope_scaling");
    if (!json_is_object(nested)) nested = json_is_object(old) ? old : NULL;
    const json_t *full = json_object_get(nested, "full_attention"); /* a family with a second rotation */
    if (json_is_object(full)) nested = full;
    const double big = 1e12;
    const int64_t longest = (int64_t)1 << 30;
    /* Old configurations keep theta and the share outside of rope_scaling. */
    double theta = sc_config_num(c, "rope_theta|rotary_emb_base", out->theta > 0 ? out->theta : 10000, 1, big);
    double share = sc_config_num(c, "partial_rotary_factor|rotary_pct", 0, 1e-9, 1);
    int64_t positions = sc_config_int(c, "max_position_embeddings|n_positions", 2048, 1, longest);
    int64_t original = sc_config_int(c, "original_max_position_embeddings", positions, 1, longest);
    sc_config r = {.json = nested ? nested : c->json, .what = c->what, .arena = c->arena, .status = c->status};
    theta = sc_config_num(&r, "rope_theta", theta, 1, big);
    share = sc_config_num(&r, "partial_rotary_factor", share, 1e-9, 1);
    const char *type = nested ? sc_config_str(&r, "rope_type", sc_config_str(&r, "type", "default")) : "default";
    *out = (sc_rope_params){
        .type = rope_type(&r, type),
        .dim = share > 0      ? (int64_t)((double)d * share)
               : out->dim > 0 ? out->dim
                              : d,
        .theta = theta,
        .low_freq_factor = 1,
        .high_freq_factor = 4,
        .beta_fast = 32,
        .beta_slow = 1,
        .truncate = true,
        .max_positions = positions,
        .original_max_positions = original,
    };
    if (nested) {
        out->original_max_positions = sc_config_int(&r, "original_max_position_embeddings", original, 1, longest);
        out->factor =
            sc_config_num(&r, "factor", (double)positions / (double)out->original_max_positions, 1e-6, 1e6);
        out->low_freq_factor = sc_config_num(&r, "low_freq_factor", 1, 1e-6, 1e6);
        out->high_freq_factor = sc_config_num(&r, "high_freq_factor", 4, 1e-6, 1e6);
        out->beta_fast = sc_config_num(&r, "beta_fast", 32, 1e-6, 1e6);
        out->beta_slow = sc_config_num(&r, "beta_slow", 1, 1e-6, 1e6);
        out->mscale = sc_config_num(&r, "mscale", 0, 0, 1e3);
        out->mscale_all_dim = sc_config_num(&r, "mscale_all_dim", 0, 0, 1e3);
        out->attention_factor = sc_config_num(&r, "attention_factor", 0, 0, 1e3);
        out->truncate = sc_config_bool(&r, "truncate", true);
    }
    c->status = r.status;
    if (out->dim < 2 || out->dim % 2)
        sc_config_fault(c, "%lld rotated features in a head of %lld", (long long)out->dim, (long long)d);
    if (out->type == SC_ROPE_YARN && out->theta <= 1) sc_config_fault(c, "yarn needs a rope_theta above 1");
    if (out->type == SC_ROPE_LLAMA3 && out->low_freq_factor >= out->high_freq_factor)
        sc_config_fault(c, "low_freq_factor is not below high_freq_factor");
    if (out->type == SC_ROPE_DYNAMIC && out->dim < 4) sc_config_fault(c, "dynamic rope needs heads wider than 2");
    if (out->type == SC_ROPE_LONGROPE || out->type == SC_ROPE_FACTORS) {
        out->short_factor = floats(c, nested, "short_factor", out->dim / 2);
        out->long_factor = floats(c, nested, "long_factor", out->dim / 2);
        if (!out->short_factor || (out->type == SC_ROPE_LONGROPE && !out->long_factor))
            sc_config_fault(c, "rope type '%s' without its factors", type);
        /* Phi-3 keeps the original length outside; the factor is then the ratio of the two. */
        if (out->type == SC_ROPE_LONGROPE && sc_config_has(c, "original_max_position_embeddings"))
            out->factor = (double)positions / (double)out->original_max_positions;
    }
}

void sc_config_local_rope(sc_config *c, int64_t d, sc_rope_params *out)
{
    const json_t *local = json_object_get(json_object_get(c->json, "rope_parameters"), "sliding_attention");
    json_t *o = json_object();
    if (!o || (json_is_object(local) && json_object_set(o, "rope_parameters", (json_t *)(uintptr_t)local)))
        c->status = sc_nomem();
    sc_config r = {.json = o, .what = c->what, .arena = c->arena, .status = c->status};
    *out = (sc_rope_params){.theta = sc_config_num(c, "rope_local_base_freq", 10000, 1, 1e12)};
    if (o) sc_config_rope(&r, d, out);
    c->status = r.status;
    json_decref(o);
}

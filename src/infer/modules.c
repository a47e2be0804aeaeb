/* SPDX-License-Identifier: Apache-2.0 */
/* modules.json and what stands beside it: the layout in which sentence-transformers keeps embedding models. */
#include "infer/infer.h"

#include <math.h>

enum { MAX_JSON = 16 << 20, MAX_MODULES = 16 };

static const struct {
    const char *name, *key; /* as an option and in the newer files; as the older files say it */
} pools[SC_POOL_COUNT] = {
    [SC_POOL_FIRST] = {"cls", "pooling_mode_cls_token"},
    [SC_POOL_LAST] = {"last", "pooling_mode_lasttoken"},
    [SC_POOL_MEAN] = {"mean", "pooling_mode_mean_tokens"},
    [SC_POOL_MAX] = {"max", "pooling_mode_max_tokens"},
    [SC_POOL_MEAN_SQRT] = {"mean_sqrt_len", "pooling_mode_mean_sqrt_len_tokens"},
    [SC_POOL_WEIGHTED] = {"weightedmean", "pooling_mode_weightedmean_tokens"},
};

int sc_pool_named(const char *name)
{
    if (strcmp(name, "lasttoken") == 0) return SC_POOL_LAST;
    for (int i = 0; i < SC_POOL_COUNT; i++)
        if (strcmp(pools[i].name, name) == 0) return i;
    return -1;
}

/* A file of a folder that may be missing: *out is NULL then. */
static sc_status read_json(json_t **out, const char *dir, const char *name)
{
    char *path = sc_path_join(dir, name);
    sc_status s = path ? SC_OK : sc_nomem();
    *out = NULL;
    if (!s && sc_path_exists(path)) {
        s = sc_json_read(out, path, MAX_JSON);
        if (!s && !json_is_object(*out) && !json_is_array(*out)) s = sc_fail(SC_EFORMAT, "%s: no object", path);
        if (s) json_decref(*out), *out = NULL;
    }
    sc_free(path);
    return s;
}

static sc_status read_pooling(sc_embed_plan *p, const json_t *o, const char *dir)
{
    const char *mode = NULL;
    bool on, skip = true;
    p->pools = 0;
    for (int i = 0; i < SC_POOL_COUNT; i++) {
        on = false;
        sc_status s = sc_json_bool(o, dir, pools[i].key, &on);
        if (s) return s;
        p->pools |= (unsigned)on << i;
    }
    sc_status s = sc_json_bool(o, dir, "include_prompt", &skip);
    if (!s && !p->pools) s = sc_json_str(o, dir, "pooling_mode", &mode);
    if (s) return s;
    p->skip_prompt = !skip;
    int kind = mode ? sc_pool_named(mode) : -1;
    if (!p->pools && kind < 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: pooling_mode '%s' is not known", dir, mode ? mode : "none");
    if (!p->pools) p->pools = 1u << kind;
    return SC_OK;
}

/* "torch.nn.modules.activation.Tanh" */
static sc_status read_activation(sc_embed_module *m, const char *name, const char *dir)
{
    static const struct {
        const char *name;
        sc_unary_kind kind;
    } known[] = {{"Tanh", SC_UNARY_TANH},
                 {"ReLU", SC_UNARY_RELU},
                 {"GELU", SC_UNARY_GELU},
                 {"SiLU", SC_UNARY_SILU},
                 {"Sigmoid", SC_UNARY_SIGMOID}};
    const char *dot = strrchr(name, '.'), *last = dot ? dot + 1 : name;
    if (strcmp(last, "Identity") == 0) return SC_OK;
    for (int i = 0; i < SC_COUNT(known); i++) {
        if (strcmp(known[i].name, last) != 0) continue;
        m->activated = true;
        m->act = known[i].kind;
        return SC_OK;
    }
    return sc_fail(SC_EUNSUPPORTED, "%s: activation '%s' is not known", dir, name);
}

static sc_status want_weight(const sc_embed_module *m, const char *name, sc_shape shape, const char *dir)
{
    const sc_weight *w = sc_weights_find(&m->weights, name);
    char have[SC_SHAPE_TEXT], need[SC_SHAPE_TEXT];
    if (!w) return sc_fail(SC_ENOTFOUND, "%s: '%s' is missing", dir, name);
    if (!sc_shape_equal(&w->shape, &shape))
        return sc_fail(SC_ESHAPE, "%s: '%s' has shape %s, not %s", dir, name, sc_shape_text(&w->shape, have),
                       sc_shape_text(&shape, need));
    if (w->storage.dtype != SC_F32 && w->storage.dtype != SC_F16 && w->storage.dtype != SC_BF16)
        return sc_fail(SC_EUNSUPPORTED, "%s: '%s' is of a type that is not known", dir, name);
    return SC_OK;
}

static sc_status read_weights(sc_embed_module *m, sc_arena *arena, const json_t *o, const char *dir)
{
    const int64_t wide = 1 << 20;
    const char *act = "torch.nn.modules.activation.Tanh";
    sc_status s;
    m->weights.arena = arena;
    m->bias = true;
    if (m->kind == SC_EMBED_NORM) {
        if ((s = sc_json_int(o, dir, "dimension", 1, wide, &m->in)) ||
            (s = sc_weights_from_safetensors(&m->weights, NULL, dir, NULL)) ||
            (s = want_weight(m, "norm.weight", (sc_shape){1, {m->in}}, dir)) ||
            (s = want_weight(m, "norm.bias", (sc_shape){1, {m->in}}, dir)))
            return s;
        m->out = m->in;
    } else if ((s = sc_json_int(o, dir, "in_features", 1, wide, &m->in)) ||
               (s = sc_json_int(o, dir, "out_features", 1, wide, &m->out)) ||
               (s = sc_json_bool(o, dir, "bias", &m->bias)) ||
               (s = sc_json_str(o, dir, "activation_function", &act)) || (s = read_activation(m, act, dir)) ||
               (s = sc_weights_from_safetensors(&m->weights, NULL, dir, NULL)) ||
               (s = want_weight(m, "linear.weight", (sc_shape){2, {m->out, m->in}}, dir)) ||
               (m->bias && (s = want_weight(m, "linear.bias", (sc_shape){1, {m->out}}, dir)))) {
        return s;
    }
    for (int64_t i = 0; i < m->weights.count; i++)
        if ((s = sc_weight_widen(&m->weights.item[i]))) return s;
    return SC_OK;
}

static sc_status add_module(sc_embed_plan *p, int kind, const json_t *o, const char *dir)
{
    if (!sc_grow(&p->module, &p->cap_modules, p->n_modules + 1, sizeof *p->module)) return sc_nomem();
    sc_embed_module *m = &p->module[p->n_modules++];
    *m = (sc_embed_module){.kind = kind};
    if (kind == SC_EMBED_UNIT) return SC_OK;
    return o ? read_weights(m, p->arena, o, dir) : sc_fail(SC_ENOTFOUND, "%s: config.json is missing", dir);
}

/* One entry of modules.json. */
static sc_status read_module(sc_embed_plan *p, const json_t *entry, const char *path)
{
    const char *type = NULL, *sub = "";
    char *dir = NULL;
    json_t *o = NULL;
    sc_status s =
        json_is_object(entry) ? SC_OK : sc_fail(SC_EFORMAT, "%s/modules.json: an entry is no object", path);
    if (!s) s = sc_json_str(entry, "modules.json", "type", &type);
    if (!s) s = sc_json_str(entry, "modules.json", "path", &sub);
    if (!s && (!type || strstr(sub, "..") || sub[0] == '/'))
        s = sc_fail(SC_EFORMAT, "%s/modules.json: an entry without type or with the path '%s'", path, sub);
    if (s) return s;
    if (!(dir = sub[0] ? sc_path_join(path, sub) : sc_strdup(path))) return sc_nomem();
    const char *dot = strrchr(type, '.'), *last = dot ? dot + 1 : type;
    s = read_json(&o, dir, "config.json");
    if (s) {
    } else if (strcmp(last, "Transformer") == 0) {
        sc_free(p->model);
        p->model = dir;
        dir = NULL;
    } else if (strcmp(last, "Pooling") == 0) {
        s = o ? read_pooling(p, o, dir) : sc_fail(SC_ENOTFOUND, "%s: config.json is missing", dir);
    } else if (strcmp(last, "Dense") == 0) {
        s = add_module(p, SC_EMBED_DENSE, o, dir);
    } else if (strcmp(last, "LayerNorm") == 0) {
        s = add_module(p, SC_EMBED_NORM, o, dir);
    } else if (strcmp(last, "Normalize") == 0) {
        s = add_module(p, SC_EMBED_UNIT, NULL, dir);
    } else if (strcmp(last, "Dropout") != 0) {
        s = sc_fail(SC_EUNSUPPORTED, "%s/modules.json: module '%s' is not known", path, last);
    }
    json_decref(o);
    sc_free(dir);
    return s;
}

/* GGUF says only how to pool: 1 mean, 2 cls, 3 last. */
static sc_status read_gguf(sc_embed_plan *p, const char *path)
{
    static const sc_pool_kind kinds[] = {SC_POOL_MEAN, SC_POOL_MEAN, SC_POOL_FIRST, SC_POOL_LAST};
    sc_gguf *file;
    const char *arch = "";
    char key[256];
    int64_t kind = 0;
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    s = sc_gguf_str(file, "general.architecture", &arch);
    snprintf(key, sizeof key, "%s.pooling_type", arch);
    if (!s) s = sc_gguf_int(file, key, 0, 4, &kind);
    if (!s && kind == 4) s = sc_fail(SC_EUNSUPPORTED, "%s: a model that ranks gives no vectors", path);
    if (!s && kind) p->pools = 1u << kinds[kind];
    sc_gguf_free(file);
    return s;
}

static sc_status read_dir(sc_embed_plan *p, const char *path)
{
    json_t *modules = NULL, *o = NULL;
    sc_status s = read_json(&modules, path, "modules.json");
    if (!s && modules && (!json_is_array(modules) || json_array_size(modules) > MAX_MODULES))
        s = sc_fail(SC_EFORMAT, "%s/modules.json: not a list of at most %d modules", path, MAX_MODULES);
    p->given = modules != NULL;
    for (size_t i = 0; !s && i < json_array_size(modules); i++)
        s = read_module(p, json_array_get(modules, i), path);
    json_decref(modules);
    if (!s) s = read_json(&p->prompts, path, "config_sentence_transformers.json");
    if (!s) s = read_json(&o, p->model, "sentence_bert_config.json");
    if (!s && o) s = sc_json_int(o, "sentence_bert_config.json", "max_seq_length", 1, 1 << 24, &p->max_tokens);
    json_decref(o);
    return s;
}

sc_status sc_embed_plan_read(sc_embed_plan *p, const char *path)
{
    sc_status s = SC_OK;
    *p = (sc_embed_plan){.arena = sc_arena_new(), .model = sc_strdup(path)};
    if (!p->arena || !p->model) s = sc_nomem();
    if (!s) s = sc_path_is_dir(path) ? read_dir(p, path) : read_gguf(p, path);
    if (s) sc_embed_plan_free(p);
    return s;
}

void sc_embed_plan_free(sc_embed_plan *p)
{
    for (int64_t i = 0; i < p->n_modules; i++) sc_weights_free(&p->module[i].weights);
    sc_free(p->module);
    sc_free(p->model);
    json_decref(p->prompts);
    sc_arena_free(p->arena);
    *p = (sc_embed_plan){0};
}

/* ---- writing ---- */

/* Takes o. */
static sc_status write_json(json_t *o, const char *dir, const char *name)
{
    char *path = sc_path_join(dir, name), *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    sc_status s = path && text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    sc_free(text);
    json_decref(o);
    return s;
}

sc_status sc_embed_write_modules(const char *dir, sc_pool_kind pool, int64_t width, int64_t max_tokens)
{
    static const char *const types[][2] = {
        {"", "Transformer"}, {"1_Pooling", "Pooling"}, {"2_Normalize", "Normalize"}};
    json_t *list = json_array(),
           *o = json_pack("{s:I, s:b}", "word_embedding_dimension", (json_int_t)width, "include_prompt", 1);
    char *sub = sc_path_join(dir, "1_Pooling"), type[64], index[2] = "0";
    for (int i = 0; list && i < SC_COUNT(types); i++) {
        snprintf(type, sizeof type, "sentence_transformers.models.%s", types[i][1]);
        index[0] = (char)('0' + i);
        json_array_append_new(
            list, json_pack("{s:i, s:s, s:s, s:s}", "idx", i, "name", index, "path", types[i][0], "type", type));
    }
    for (int i = 0; o && i < SC_POOL_COUNT; i++) json_object_set_new(o, pools[i].key, json_boolean(i == (int)pool));
    sc_status s = sub ? sc_mkdirs(sub) : sc_nomem();
    if (!s)
        s = write_json(o, sub, "config.json");
    else
        json_decref(o);
    if (!s)
        s = write_json(json_pack("{s:I, s:b}", "max_seq_length", (json_int_t)max_tokens, "do_lower_case", 0), dir,
                       "sentence_bert_config.json");
    if (!s)
        s = write_json(list, dir, "modules.json"); /* last: with it the layout is whole */
    else
        json_decref(list);
    sc_free(sub);
    return s;
}

/* ---- in a graph ---- */

static sc_tensor *constant(sc_graph *g, const sc_embed_module *m, const char *name)
{
    const sc_weight *w = sc_weights_find(&m->weights, name);
    return sc_graph_constant(g, name, &w->shape, w->wide.data ? &w->wide : &w->storage);
}

sc_tensor *sc_unit(sc_graph *g, sc_tensor *x)
{
    if (!x || g->status) return NULL;
    int64_t n = x->shape.dim[x->shape.rank - 1];
    /* x / sqrt(mean x^2) is sqrt(n) long. The eps only keeps a vector of zeros what it is. */
    float *w = sc_arena_alloc(g->arena, sizeof *w * (size_t)n);
    if (!w) return sc_graph_fault(g, sc_nomem());
    for (int64_t i = 0; i < n; i++) w[i] = (float)(1 / sqrt((double)n));
    sc_storage st = {.dtype = SC_F32, .stride = {1}, .data = w};
    return sc_apply_rms_norm(g, x, sc_graph_constant(g, "unit", &(sc_shape){1, {n}}, &st), 1e-30f);
}

sc_tensor *sc_embed_plan_build(sc_graph *g, const sc_embed_plan *p, sc_tensor *x)
{
    for (int64_t i = 0; i < p->n_modules; i++) {
        const sc_embed_module *m = &p->module[i];
        if (m->kind == SC_EMBED_UNIT) {
            x = sc_unit(g, x);
        } else if (m->kind == SC_EMBED_NORM) {
            x = sc_apply_layer_norm(g, x, constant(g, m, "norm.weight"), constant(g, m, "norm.bias"), 1e-5f);
        } else {
            x = sc_apply_linear(g, x, constant(g, m, "linear.weight"),
                                m->bias ? constant(g, m, "linear.bias") : NULL);
            if (m->activated) x = sc_unary(g, m->act, x);
        }
    }
    return x;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a model: configuration, then the parameters that the family's builder asks for, each met with what the file
 * has. */
#include "models/models.h"

#include <limits.h>

enum { MAX_CONFIG = 16 << 20 };

/* ---- parameters ---- */

static sc_weight *find_with_prefix(sc_model *m, const char *name)
{
    sc_weight *w = sc_weights_find(&m->weights, name);
    size_t n = strlen(m->family->prefix);
    if (w || n == 0 || strncmp(name, m->family->prefix, n) != 0 || name[n] != '.') return w;
    return sc_weights_find(&m->weights, name + n + 1);
}

sc_weight *sc_model_weight(sc_model *m, const char *name)
{
    sc_weight *w = find_with_prefix(m, name);
    const char *norm = strstr(name, "LayerNorm."), *last = strrchr(name, '.');
    char text[512];
    if (w || !norm || last != norm + 9) return w;
    snprintf(text, sizeof text, "%.*s.%s", (int)(last - name), name,
             strcmp(last, ".weight") == 0 ? "gamma" : "beta");
    return find_with_prefix(m, text);
}

static sc_status give_stored(void *user, const sc_param_request *want, sc_storage *out)
{
    sc_weight *w = sc_model_weight(user, want->name);
    if (w) *out = w->wide.data ? w->wide : w->storage;
    return SC_OK;
}

static sc_status give(void *user, const sc_param_request *want, sc_storage *out)
{
    sc_weight *w = sc_model_weight(user, want->name);
    if (!w || !w->trained.data) return give_stored(user, want, out);
    *out = w->trained;
    return SC_OK;
}

/* While declaring: notes each parameter once, whatever the file has. */
static sc_status declare(void *user, const sc_param_request *want, sc_storage *out)
{
    sc_model *m = user;
    sc_weight *w = sc_model_weight(m, want->name);
    int64_t bytes;
    (void)out;
    if (w) w->form = want->form;
    int64_t n = (int64_t)strlen(want->name), old;
    if (sc_map_get(&m->declared, want->name, n, &old)) return SC_OK; /* tied */
    if (!sc_grow(&m->param, &m->cap_params, m->n_params + 1, sizeof *m->param)) return sc_nomem();
    sc_model_param *p = &m->param[m->n_params];
    *p = (sc_model_param){.name = sc_arena_strndup(m->arena, want->name, (size_t)n),
                          .rank = want->shape.rank,
                          .expert = want->expert,
                          .fixed = want->fixed};
    if (!p->name || !sc_map_put(&m->declared, p->name, n, m->n_params)) return sc_nomem();
    memcpy(p->dim, want->shape.dim, sizeof p->dim);
    m->n_params++;
    if (m->info.format) return SC_OK; /* the weights come from a file */
    sc_status s = sc_weights_size(want, m->make, &bytes);
    if (!s && !sc_add_ok(m->make_bytes, bytes, &m->make_bytes)) s = sc_fail(SC_ELIMIT, "the weights are too large");
    return s;
}

static sc_status make(void *user, const sc_param_request *want, sc_storage *out)
{
    sc_model *m = user;
    (void)out;
    if (sc_model_weight(m, want->name)) return SC_OK;
    sc_status s = sc_weights_make(&m->weights, want, m->make);
    if (!s) m->weights.item[m->weights.count - 1].form = want->form;
    return s;
}

/* Builds the model for its parameters alone. */
sc_status sc_model_visit(sc_model *m, const sc_param_source *source)
{
    sc_text_graph t = {0};
    sc_param_source with = *source;
    const sc_param_source *own = m->source;
    with.prompt = m->adapters.prompt;
    m->source = &with;
    sc_status s = sc_text_graph_build(
        &t, m,
        &(sc_text_shape){.tokens = 1, .sequences = 1, .spec = &m->cache, .source = 1, .memory_spec = &m->memory});
    m->source = own;
    sc_graph_free(t.g);
    return s ? sc_fail_in(s, "%s", m->info.path) : SC_OK;
}

/* The i-th addition that adapters before `end` have for a matrix; NULL: there are no more. */
static sc_adapter_part *find_part(const sc_adapters *a, int end, const char *name, sc_lora_use use, int i,
                                  sc_lora *out)
{
    for (int64_t k = 0; k < a->count; k++) {
        sc_adapter_part *part = &a->part[k];
        if (part->adapter >= end || strcmp(part->name, name) != 0 ||
            (part->use == SC_LORA_TABLE) != (use == SC_LORA_TABLE) || i-- > 0)
            continue;
        *out = part->lora;
        return part;
    }
    return NULL;
}

/* While declaring this is also where a part meets the model. */
static bool lora(void *user, const char *name, sc_lora_use use, int i, sc_lora *out)
{
    sc_model *m = user;
    sc_adapter_part *part = find_part(&m->adapters, INT_MAX, name, use, i, out);
    if (!part) return false;
    part->used = true;
    part->use = use;
    return true;
}

/* Weights that come from no file are made once it is known that all of them fit. */
sc_status sc_model_declare(sc_model *m)
{
    sc_status s = sc_model_visit(m, &(sc_param_source){.get = declare, .lora = lora, .user = m});
    if (s || m->info.format) return s;
    if (m->make_bytes > sc_memory_size() && !m->make->config_only)
        return sc_fail(SC_ELIMIT, "%s: the weights would take %lld bytes, this machine has %lld", m->info.path,
                       (long long)m->make_bytes, (long long)sc_memory_size());
    return sc_model_visit(m, &(sc_param_source){.get = make, .lora = lora, .user = m});
}

/* The parameters that a file has not, as those of a new model. */
static sc_status make_missing(sc_model *m, const sc_model_options *o)
{
    const sc_model_options fresh = {.weights = SC_WEIGHTS_FRESH, .seed = o->seed};
    int64_t had = m->weights.count;
    m->make = &fresh;
    sc_status s = sc_model_visit(m, &(sc_param_source){.get = make, .lora = lora, .user = m});
    m->make = o;
    for (int64_t i = had; i < m->weights.count; i++) m->weights.item[i].made = true;
    if (!s && m->weights.count > had)
        sc_log(m->ctx, SC_LOG_INFO, "%s: %lld tensors are new, the first '%s'", m->info.path,
               (long long)(m->weights.count - had), m->weights.item[had].name);
    return s;
}

static sc_status check_params(sc_model *m)
{
    int64_t missing = 0;
    const char *first = NULL;
    for (int64_t i = 0; i < m->n_params; i++) {
        sc_model_param *p = &m->param[i];
        sc_weight *w = sc_model_weight(m, p->name);
        sc_shape want = {.rank = p->rank};
        char have[SC_SHAPE_TEXT], need[SC_SHAPE_TEXT];
        memcpy(want.dim, p->dim, sizeof want.dim);
        if (!w) {
            if (!missing++) first = p->name;
            continue;
        }
        if (w->storage.dtype == SC_DTYPE_COUNT || !w->storage.data)
            return sc_fail(SC_EUNSUPPORTED, "%s: '%s' has a type that is not supported", m->info.path, w->name);
        if (w->reshaped && sc_shape_elements(&w->shape) == sc_shape_elements(&want)) {
            w->shape = want;
            sc_dense_strides(&want, w->storage.stride);
        }
        if (!sc_shape_equal(&w->shape, &want))
            return sc_fail(SC_ESHAPE, "%s: '%s' has shape %s where the configuration makes it %s", m->info.path,
                           w->name, sc_shape_text(&w->shape, have), sc_shape_text(&want, need));
        sc_status s = w->wide.data ? SC_OK : sc_weight_widen(w);
        if (s) return s;
        w->used = true;
        p->dtype = w->storage.dtype;
        p->data = w->storage.data;
        p->transposed = w->transposed;
        p->step = w->step;
        p->permuted = w->permuted;
        p->joined = w->joined;
        p->plus_one = w->plus_one;
        p->neg_exp = w->formed;
        p->tiled = w->tiled;
    }
    if (missing)
        return sc_fail(SC_ENOTFOUND, "%s: %lld of %lld tensors are missing, the first '%s'", m->info.path,
                       (long long)missing, (long long)m->n_params, first);
    return SC_OK;
}

/* Buffers that older checkpoints saved along with the weights, and what GGUF keeps of the rotation. */
static bool is_ballast(const char *name)
{
    static const char *const ends[] = {".attn.bias",
                                       ".attn.masked_bias",
                                       ".attention.bias",
                                       ".attention.masked_bias",
                                       ".rotary_emb.inv_freq",
                                       ".embed_positions.weight",
                                       "encoder.embed_tokens.weight",
                                       "decoder.embed_tokens.weight",
                                       "rope_freqs.weight",
                                       "rope_factors_long.weight",
                                       "rope_factors_short.weight",
                                       "embeddings.position_ids"};
    for (int i = 0; i < SC_COUNT(ends); i++)
        if (sc_path_has_suffix(name, ends[i])) return true;
    return false;
}

static sc_status note_unexpected(sc_model *m)
{
    m->unexpected = sc_arena_alloc(m->arena, sizeof *m->unexpected * (size_t)(m->weights.count + 1));
    if (!m->unexpected) return sc_nomem();
    for (int64_t i = 0; i < m->weights.count; i++) {
        const sc_weight *w = &m->weights.item[i];
        if (w->used || is_ballast(w->name)) continue;
        /* A tied model may carry its output matrix all the same, and a head its bias twice. */
        if (m->info.tied && (strcmp(w->name, "lm_head.weight") == 0 || strstr(w->name, "decoder.weight"))) continue;
        if (m->info.head == SC_HEAD_FILL &&
            (strstr(w->name, "decoder.bias") || strstr(w->name, "predictions.bias")))
            continue;
        m->unexpected[m->n_unexpected++] = w->name;
    }
    if (m->n_unexpected)
        sc_log(m->ctx, SC_LOG_WARNING, "%s: %lld tensors are not used, the first '%s'", m->info.path,
               (long long)m->n_unexpected, m->unexpected[0]);
    return SC_OK;
}

static sc_status summarize(sc_model *m)
{
    int64_t of_type[SC_DTYPE_COUNT] = {0}, of_experts = 0;
    sc_str text = {0};
    for (int64_t i = 0; i < m->n_params; i++) {
        const sc_model_param *p = &m->param[i];
        sc_shape shape = {.rank = p->rank};
        memcpy(shape.dim, p->dim, sizeof shape.dim);
        int64_t n = sc_shape_elements(&shape);
        m->info.parameters += n;
        of_experts += p->expert ? n : 0;
        m->info.bytes += sc_dtype_size(p->dtype, n);
        of_type[p->dtype]++;
    }
    m->info.active = m->info.parameters - of_experts;
    if (of_experts) m->info.active += of_experts / SC_MAX(m->info.experts, 1) * m->info.experts_used;
    for (int t = 0; t < SC_DTYPE_COUNT; t++)
        if (of_type[t])
            sc_str_printf(&text, "%s%s %lld", text.len ? ", " : "", sc_dtype_get((sc_dtype)t)->name,
                          (long long)of_type[t]);
    m->info.dtypes = text.p && !text.oom ? sc_arena_strndup(m->arena, text.p, (size_t)text.len) : NULL;
    sc_str_free(&text);
    return m->info.dtypes ? SC_OK : sc_nomem();
}

/* ---- configuration ---- */

static sc_status add_eos(sc_model *m, const json_t *v, const char *what)
{
    int64_t n = json_is_array(v) ? (int64_t)json_array_size(v) : 1;
    for (int64_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return sc_fail(SC_EFORMAT, "%s: eos_token_id is not a token id", what);
        if (!sc_grow(&m->eos, &m->cap_eos, m->n_eos + 1, sizeof *m->eos)) return sc_nomem();
        m->eos[m->n_eos++] = (int32_t)json_integer_value(id);
    }
    return SC_OK;
}

/* generation_config.json decides where it has the key; else config.json. */
static sc_status read_eos(sc_model *m)
{
    json_t *gen;
    sc_status s = sc_json_parse(&gen, m->generation, (int64_t)strlen(m->generation), "generation_config.json");
    if (s) return sc_fail_in(s, "%s", m->info.path);
    const json_t *v = json_object_get(gen, "eos_token_id");
    if (!v || json_is_null(v)) v = json_object_get(m->json, "eos_token_id");
    if (v && !json_is_null(v)) s = add_eos(m, v, m->info.path);
    json_decref(gen);
    return s;
}

/* Before there was generation_config.json, config.json said how to generate. */
static sc_status generation_of_config(sc_model *m)
{
    static const char *const keys[] = {
        "bos_token_id",         "eos_token_id",  "pad_token_id", "decoder_start_token_id", "forced_bos_token_id",
        "forced_eos_token_id",  "bad_words_ids", "num_beams",    "length_penalty",         "early_stopping",
        "no_repeat_ngram_size", "min_length",    "max_length"};
    json_t *o = json_object();
    char *text = NULL;
    bool ok = o != NULL;
    for (int i = 0; ok && i < SC_COUNT(keys); i++) {
        json_t *v = json_object_get(m->json, keys[i]);
        if (v && !json_is_null(v)) ok = json_object_set(o, keys[i], v) == 0;
    }
    if (ok) text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (!text) return sc_nomem();
    sc_free(m->generation);
    m->generation = text;
    return SC_OK;
}

/* A whole number of generation_config.json, else of config.json; -1: in neither. */
static sc_status read_decoder_start(sc_model *m)
{
    static const char *const keys[] = {"decoder_start_token_id", "bos_token_id"};
    json_t *gen;
    sc_status s = sc_json_parse(&gen, m->generation, (int64_t)strlen(m->generation), "generation_config.json");
    int64_t id = -1;
    if (s) return s;
    for (int i = 0; !s && id < 0 && i < SC_COUNT(keys); i++) {
        s = sc_json_int(gen, "generation_config.json", keys[i], 0, INT32_MAX, &id);
        if (!s && id < 0) s = sc_json_int(m->json, m->info.path, keys[i], 0, INT32_MAX, &id);
    }
    json_decref(gen);
    if (!s && id >= m->info.vocab)
        return sc_fail(SC_EFORMAT, "%s: the decoder begins with id %lld of a vocabulary of %lld", m->info.path,
                       (long long)id, (long long)m->info.vocab);
    m->decoder_start = (int32_t)id;
    return s;
}

static sc_status open_dir(sc_model *m, const char *path, bool weights)
{
    char *config = sc_path_join(path, "config.json"), *generation = sc_path_join(path, "generation_config.json"),
         *text;
    int64_t n;
    sc_status s = config && generation ? sc_json_read(&m->json, config, MAX_CONFIG) : sc_nomem();
    if (!s && !json_is_object(m->json)) s = sc_fail(SC_EFORMAT, "%s: not a JSON object", config);
    if (!s && sc_path_exists(generation) && !(s = sc_file_read(&text, &n, generation, MAX_CONFIG))) {
        sc_free(m->generation);
        m->generation = text;
    }
    if (!s) s = sc_config_unwrap(m);
    if (!s && weights) s = sc_weights_from_safetensors(&m->weights, m->ctx, path, m->json);
    if (!s && m->wrapped) s = sc_weights_unwrap(&m->weights);
    sc_free(config);
    sc_free(generation);
    return s;
}

static sc_status open_gguf(sc_model *m, const char *path, bool weights)
{
    sc_gguf *file;
    sc_status s = sc_gguf_open(&file, path);
    if (s) return s;
    s = sc_gguf_config(&m->json, file);
    if (!s && weights) s = sc_weights_from_gguf(&m->weights, file);
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    for (int i = 0; !s && i < SC_COUNT(ends); i++) {
        int64_t id = -1;
        s = sc_gguf_int(file, ends[i], 0, INT32_MAX, &id);
        if (s || id < 0) continue;
        json_t *v = json_integer(id);
        s = v ? add_eos(m, v, path) : sc_nomem();
        json_decref(v);
    }
    sc_gguf_free(file);
    return s;
}

/* Once, while nobody shares the model yet. */
static sc_status name_labels(sc_model *m)
{
    const json_t *names = json_object_get(m->json, "id2label");
    int64_t n = m->info.labels;
    if (n && !(m->label = sc_arena_alloc(m->arena, sizeof *m->label * (size_t)n))) return sc_nomem();
    for (int64_t i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "%lld", (long long)i);
        const char *name = json_string_value(json_object_get(names, key));
        if (!(m->label[i] = name ? name : sc_arena_printf(m->arena, "LABEL_%s", key))) return sc_nomem();
    }
    return SC_OK;
}

/* A decoder's checkpoint says by its class that it has classes of texts, or one number for each. */
static void find_score_head(sc_model *m, sc_config *c)
{
    const json_t *labels = json_object_get(m->json, "id2label");
    const char *name = json_string_value(json_array_get(json_object_get(m->json, "architectures"), 0));
    if (!name || !sc_path_has_suffix(name, "ForSequenceClassification")) return;
    m->info.head = SC_HEAD_CLASSES;
    m->info.labels =
        sc_config_int(c, "num_labels", json_is_object(labels) ? (int64_t)json_object_size(labels) : 2, 1, 1 << 20);
    m->info.tied = false;
}

sc_status sc_model_configure(sc_model *m)
{
    const char *type = NULL;
    sc_status s = sc_json_str(m->json, m->info.path, "model_type", &type);
    if (s) return s;
    if (!type) return sc_fail(SC_EFORMAT, "%s: config.json has no model_type", m->info.path);
    type = sc_model_type_of(m->json, type);
    if (!(m->family = sc_family_of(type))) return sc_family_unknown(m->info.path, type);
    m->info.family = m->family->name;
    m->info.model_type = type;
    sc_config c = {.json = m->json, .what = m->info.path, .arena = m->arena};
    if (m->info.format && m->weights.count) c.weights = &m->weights;
    if (!(m->config = sc_arena_alloc(m->arena, m->family->config_size))) return sc_nomem();
    m->family->configure(&c, m->config);
    if (!c.blocks && sc_config_has(&c, "block_sparse"))
        sc_config_fault(&c, "block_sparse: models of type '%s' have no such attention", type);
    if (c.status) return c.status;
    m->family->describe(m->config, &m->info);
    if (m->info.head == SC_HEAD_NEXT && !m->family->encoder_decoder) find_score_head(m, &c);
    return c.status ? c.status : name_labels(m);
}

sc_status sc_model_open(sc_model **out, sc_context *ctx, const char *path, const sc_model_options *options)
{
    return sc_model_open_changed(out, ctx, path, options, NULL);
}

/* A folder with an adapter and no model of its own: the model that it is for, with it. */
static sc_status open_adapted(sc_model **out, sc_context *ctx, const char *path, const char *config,
                              const sc_model_options *options, json_t *changes)
{
    sc_model_options o = *options;
    const char **dirs = sc_malloc(sizeof *dirs * (size_t)(o.n_adapters + 1)), *base = NULL;
    double *weights = sc_malloc(sizeof *weights * (size_t)(o.n_adapters + 1));
    json_t *j = NULL;
    sc_status s = dirs && weights ? sc_json_read(&j, config, MAX_CONFIG) : sc_nomem();
    if (!s) s = sc_json_str(j, config, "base_model_name_or_path", &base);
    if (!s && (!base || !sc_path_exists(base)))
        s = sc_fail(SC_ENOTFOUND, "%s is an adapter for %s, which is not there: open that, with --adapter %s", path,
                    base ? base : "some model", path);
    char *own = s ? NULL : sc_path_join(base, "config.json");
    if (!s && sc_path_is_dir(base) && (!own || !sc_path_exists(own)))
        s = sc_fail(SC_EFORMAT, "%s is an adapter for %s, which is no model", path, base);
    if (!s) {
        dirs[0] = path;
        weights[0] = 1;
        for (int i = 0; i < o.n_adapters; i++) {
            dirs[i + 1] = o.adapters[i];
            weights[i + 1] = o.adapter_weights ? o.adapter_weights[i] : 1;
        }
        o.adapters = dirs;
        o.adapter_weights = weights;
        o.n_adapters++;
        s = sc_model_open_changed(out, ctx, base, &o, changes);
    }
    sc_free(own);
    sc_free(dirs);
    sc_free(weights);
    json_decref(j);
    return s;
}

/* *config: its file, where a folder has one and no model (sc_free); else NULL. */
static sc_status find_adapter(const char *path, char **config)
{
    *config = NULL;
    if (!sc_path_is_dir(path)) return SC_OK;
    char *own = sc_path_join(path, "config.json"),
         *adapter = own ? sc_path_join(path, "adapter_config.json") : NULL;
    sc_status s = adapter ? SC_OK : sc_nomem();
    if (!s && !sc_path_exists(own) && sc_path_exists(adapter)) {
        *config = adapter;
        adapter = NULL;
    }
    sc_free(adapter);
    sc_free(own);
    return s;
}

sc_status sc_model_open_changed(sc_model **out, sc_context *ctx, const char *path, const sc_model_options *options,
                                json_t *changes)
{
    static const sc_model_options defaults = {0};
    char *adapter;
    sc_status s = find_adapter(path, &adapter);
    if (s) return s;
    if (adapter) {
        s = open_adapted(out, ctx, path, adapter, options ? options : &defaults, changes);
        sc_free(adapter);
        return s;
    }
    sc_model *m = sc_calloc(1, sizeof *m);
    if (!m) return sc_nomem();
    const sc_model_options *o = options ? options : &defaults;
    if ((unsigned)o->type >= SC_DTYPE_COUNT || (unsigned)o->weights > SC_WEIGHTS_SYNTHETIC) {
        s = sc_fail(SC_EINVAL, "%s: weights of kind %d and type %d", path, (int)o->weights, (int)o->type);
        goto end;
    }
    m->ctx = ctx;
    m->decoder_start = -1;
    m->make = o;
    if (!(m->arena = m->weights.arena = sc_arena_new()) || !(m->generation = sc_strdup("{}")) ||
        !(m->info.path = sc_arena_strndup(m->arena, path, strlen(path)))) {
        s = sc_nomem();
        goto end;
    }
    if ((s = sc_backend_new(&m->backend, ctx))) goto end;
    bool file = o->weights == SC_WEIGHTS_FILE, dir = sc_path_is_dir(path);
    if (file) m->info.format = dir ? "safetensors" : "gguf";
    if (!file && !dir && sc_path_has_suffix(path, ".json"))
        s = sc_json_read(&m->json, path, MAX_CONFIG);
    else
        s = dir ? open_dir(m, path, file) : open_gguf(m, path, file);
    if (!s && changes && json_object_update(m->json, changes) != 0) s = sc_nomem();
    if (s || (s = sc_model_configure(m))) goto end;
    if (m->info.source_vocab) {
        if (strcmp(m->generation, "{}") == 0) s = generation_of_config(m);
        if (s || (s = read_decoder_start(m))) goto end;
    }
    if (file && m->family->adapt && (s = m->family->adapt(m->config, &m->weights))) {
        s = sc_fail_in(s, "%s", path);
        goto end;
    }
    for (int i = 0; !s && i < o->n_adapters; i++)
        s = sc_adapters_add(&m->adapters, m->arena, o->adapters[i], o->adapter_weights ? o->adapter_weights[i] : 1);
    if (!s && m->info.source_vocab && m->adapters.prompt.layers)
        s = sc_fail(SC_EUNSUPPORTED, "%s: no prefix tuning for encoder-decoders", path);
    if (m->info.source_vocab && m->adapters.prompt.ids) m->adapters.prompt.ids = "source_ids";
    m->adapters.prompt.vocab = m->info.vocab;
    if (!s && m->adapters.prompt.ids && m->info.head != SC_HEAD_NEXT)
        s = sc_fail(SC_EUNSUPPORTED, "%s: no virtual tokens for a model that generates none", path);
    if (s || (s = sc_adapters_gather(&m->adapters, m)) || (s = sc_adapters_replace(&m->adapters, m)) ||
        (s = sc_model_declare(m)) || (changes && file && (s = make_missing(m, o))) || (s = check_params(m)) ||
        (s = sc_adapters_meet(&m->adapters, m)) || (s = note_unexpected(m)) || (s = summarize(m)) ||
        (s = read_eos(m)))
        goto end;
    if (!m->info.format) m->info.format = o->weights == SC_WEIGHTS_FRESH ? "fresh" : "synthetic";
    m->source_ = (sc_param_source){.get = give, .lora = lora, .user = m, .prompt = m->adapters.prompt};
    m->source = &m->source_;
end:
    m->make = NULL;
    if (s)
        sc_model_free(m);
    else
        *out = m;
    return s;
}

/* What an adapter that was opened with the model has stays; what was made since to be trained is of a later number. */
static bool lora_of_base(void *user, const char *name, sc_lora_use use, int i, sc_lora *out)
{
    const sc_model *base = user;
    return find_part(&base->adapters, base->adapters.adapters, name, use, i, out) != NULL;
}

sc_status sc_model_base(sc_model **out, const sc_model *m)
{
    sc_model *base = sc_malloc(sizeof *base);
    if (!base) return sc_nomem();
    *base = *m;
    base->adapters.adapters = m->adapters.n_learnt ? m->adapters.adapters - 1 : m->adapters.adapters;
    base->adapters.prompt = base->source_.prompt = (sc_prompt){0};
    base->source_.get = give_stored;
    base->source_.lora = lora_of_base;
    base->source_.user = base;
    base->source = &base->source_;
    *out = base;
    return SC_OK;
}

void sc_model_base_free(sc_model *base) { sc_free(base); }

void sc_model_free(sc_model *m)
{
    if (!m) return;
    sc_weights_free(&m->weights);
    sc_adapters_free(&m->adapters);
    if (m->backend) m->backend->free(m->backend);
    json_decref(m->json);
    sc_free(m->generation);
    sc_free(m->param);
    sc_map_free(&m->declared);
    sc_free(m->eos);
    sc_arena_free(m->arena);
    sc_free(m);
}

void sc_model_describe(const sc_model *m, sc_model_info *info) { *info = m->info; }
sc_context *sc_model_context(const sc_model *m) { return m->ctx; }
const char *sc_model_label(const sc_model *m, int64_t i)
{
    return i >= 0 && i < m->info.labels ? m->label[i] : NULL;
}

bool sc_model_multi_label(const sc_model *m)
{
    const char *type = json_string_value(json_object_get(m->json, "problem_type"));
    return type && strcmp(type, "multi_label_classification") == 0;
}

const char *sc_model_generation_config(const sc_model *m) { return m->generation; }
int32_t sc_model_pad(const sc_model *m)
{
    const json_t *v = json_object_get(m->json, "pad_token_id");
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < m->info.vocab
               ? (int32_t)json_integer_value(v)
               : -1;
}

int32_t sc_model_decoder_start(const sc_model *m) { return m->decoder_start; }
int64_t sc_model_param_count(const sc_model *m) { return m->n_params; }
const sc_model_param *sc_model_param_at(const sc_model *m, int64_t i)
{
    return i >= 0 && i < m->n_params ? &m->param[i] : NULL;
}
int64_t sc_model_unexpected_count(const sc_model *m) { return m->n_unexpected; }
const char *sc_model_unexpected_at(const sc_model *m, int64_t i)
{
    return i >= 0 && i < m->n_unexpected ? m->unexpected[i] : NULL;
}

const int32_t *sc_model_eos(const sc_model *m, int64_t *n)
{
    *n = m->n_eos;
    return m->eos;
}

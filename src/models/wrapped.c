/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints of models that see or hear besides: "text_config" is the configuration of the text model within, and its
 * weights have a prefix, "model.language_model." (transformers 5) or "language_model." (before). What else is there is left
 * out. */
#include "models/models.h"

/* What stands beside text_config and is of the text too. */
static const char *const shared[] = {"tie_word_embeddings", "eos_token_id", "bos_token_id", "pad_token_id",
                                     "quantization_config", "torch_dtype",  "dtype"};

/* Such configurations leave out what their classes take for granted: those are theirs. */
static bool fill_in(json_t *o, const char *type)
{
    static const struct {
        const char *type, *values;
    } defaults[] = {
        {"llama",
         "{\"hidden_size\":4096,\"intermediate_size\":11008,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
         "\"vocab_size\":32000,\"rms_norm_eps\":1e-6}"},
        {"mistral", "{\"hidden_size\":4096,\"intermediate_size\":14336,\"num_hidden_layers\":32,"
                    "\"num_attention_heads\":32,\"num_key_value_heads\":8,\"vocab_size\":32000}"},
        {"qwen2", "{\"hidden_size\":4096,\"intermediate_size\":22016,\"num_hidden_layers\":32,"
                  "\"num_attention_heads\":32,\"num_key_value_heads\":32,\"vocab_size\":151936}"},
        {"gemma3_text",
         "{\"hidden_size\":2304,\"intermediate_size\":9216,\"num_hidden_layers\":26,"
         "\"num_attention_heads\":8,\"num_key_value_heads\":4,\"head_dim\":256,\"vocab_size\":262208,"
         "\"max_position_embeddings\":131072}"},
    };
    for (int i = 0; i < SC_COUNT(defaults); i++) {
        if (strcmp(defaults[i].type, type) != 0) continue;
        json_t *more = json_loads(defaults[i].values, 0, NULL);
        int failed = more ? json_object_update_missing(o, more) : -1;
        json_decref(more);
        return failed == 0;
    }
    return true;
}

sc_status sc_config_unwrap(sc_model *m)
{
    const char *type = json_string_value(json_object_get(m->json, "model_type"));
    json_t *text = json_object_get(m->json, "text_config");
    if (!type || sc_family_of(sc_model_type_of(m->json, type)) || !json_is_object(text)) return SC_OK;
    const char *inner = json_string_value(json_object_get(text, "model_type"));
    if (!inner) return sc_fail(SC_EFORMAT, "%s: text_config has no model_type", m->info.path);
    json_t *o = json_deep_copy(text);
    if (!o) return sc_nomem();
    for (int i = 0; i < SC_COUNT(shared); i++) {
        json_t *v = json_object_get(m->json, shared[i]), *own = json_object_get(o, shared[i]);
        /* Whether the output is tied is the whole's to say. */
        if (v && (i == 0 || !own || json_is_null(own)) && json_object_set(o, shared[i], v) != 0) {
            json_decref(o);
            return sc_nomem();
        }
    }
    if (!fill_in(o, inner)) {
        json_decref(o);
        return sc_nomem();
    }
    json_object_del(o, "architectures"); /* the whole's */
    json_decref(m->json);
    m->json = o;
    m->wrapped = true;
    return SC_OK;
}

/* The name within the text model; NULL: it is not of that. */
static const char *inner_name(const char *name, char out[512])
{
    static const struct {
        const char *before, *now;
    } prefixes[] = {{"model.language_model.lm_head.", "lm_head."},
                    {"model.language_model.", "model."},
                    {"model.text_model.", "model."},
                    {"language_model.model.", "model."},
                    {"language_model.lm_head.", "lm_head."},
                    {"lm_head.", "lm_head."}};
    for (int i = 0; i < SC_COUNT(prefixes); i++) {
        size_t n = strlen(prefixes[i].before);
        if (strncmp(name, prefixes[i].before, n) != 0) continue;
        return snprintf(out, 512, "%s%s", prefixes[i].now, name + n) < 512 ? out : NULL;
    }
    return NULL;
}

sc_status sc_weights_unwrap(sc_weights *w)
{
    for (int64_t i = 0; i < w->count; i++) {
        char name[512];
        sc_weight *t = &w->item[i];
        const char *inner = inner_name(t->name, name), *kept;
        t->used = inner == NULL; /* of the other parts */
        if (!inner || strcmp(inner, t->name) == 0) continue;
        if (sc_weights_find(w, inner)) return sc_fail(SC_EFORMAT, "'%s' is there twice", inner);
        if (!(kept = sc_arena_strndup(w->arena, inner, strlen(inner))) ||
            !sc_map_put(&w->index, kept, (int64_t)strlen(kept), i))
            return sc_nomem();
        t->name = kept;
    }
    return SC_OK;
}

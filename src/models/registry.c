/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

static const sc_family *const families[] = {
#define F(name) &sc_family_##name,
#include "models/models.def"
#undef F
};

static const struct {
    const char *type, *name, *attention, *position, *norm, *activation, *tokenizer, *fixtures;
} about[] = {
#define T(...) {__VA_ARGS__},
#include "models/types.def"
#undef T
};

const sc_family *sc_family_of(const char *model_type)
{
    for (int i = 0; i < SC_COUNT(families); i++)
        for (const char *const *t = families[i]->model_types; *t; t++)
            if (strcmp(*t, model_type) == 0) return families[i];
    return NULL;
}

const char *sc_model_type_of(const json_t *config, const char *model_type)
{
    static const struct {
        const char *model_type, *key, *value, *is;
    } shared[] = {
        {"bert", "position_embedding_type", "alibi", "jina_bert_v2"},
        {"t5", "architectures", "T5EncoderModel", "t5_encoder"},
        {"mt5", "architectures", "MT5EncoderModel", "t5_encoder"},
    };
    for (int i = 0; i < SC_COUNT(shared); i++) {
        const json_t *v = json_object_get(config, shared[i].key);
        const char *text = json_string_value(json_is_array(v) ? json_array_get(v, 0) : v);
        if (strcmp(model_type, shared[i].model_type) == 0 && text && strcmp(text, shared[i].value) == 0)
            return shared[i].is;
    }
    return model_type;
}

int64_t sc_model_type_count(void)
{
    int64_t n = 0;
    for (int i = 0; i < SC_COUNT(families); i++)
        for (const char *const *t = families[i]->model_types; *t; t++) n++;
    return n;
}

bool sc_model_type_at(int64_t i, sc_model_type *out)
{
    for (int f = 0; f < SC_COUNT(families); f++)
        for (const char *const *t = families[f]->model_types; *t; t++) {
            if (i-- > 0) continue;
            *out = (sc_model_type){.model_type = *t, .family = families[f]->name};
            out->gguf = sc_gguf_arch_of(*t);
            for (int k = 0; k < SC_COUNT(about); k++) {
                if (strcmp(about[k].type, *t) != 0) continue;
                out->name = about[k].name;
                out->attention = about[k].attention;
                out->position = about[k].position;
                out->norm = about[k].norm;
                out->activation = about[k].activation;
                out->tokenizer = about[k].tokenizer;
                out->fixtures = about[k].fixtures;
            }
            return true;
        }
    return false;
}

sc_status sc_family_unknown(const char *what, const char *model_type)
{
    enum { NEAR = 4 };
    const char *names[512], *near[NEAR];
    int n = 0;
    sc_model_type t;
    sc_str text = {0};
    while (n < SC_COUNT(names) && sc_model_type_at(n, &t)) names[n++] = t.model_type;
    int found = sc_nearest_words(model_type, names, n, near, NEAR);
    for (int i = 0; i < found; i++) sc_str_printf(&text, "%s'%s'", i ? ", " : "; near it: ", near[i]);
    sc_status s = sc_fail(SC_EUNSUPPORTED, "%s: model type '%.100s' is not known%s", what, model_type,
                          found && !text.oom ? text.p : "; 'socle list --families' has those that are");
    sc_str_free(&text);
    return s;
}
